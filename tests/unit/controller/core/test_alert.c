/* The alert engine over simulated days: who is told of what, how often, and what a restart changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert.h"
#include "controller/core/alert_track.h"
#include "tests/unit/common/rng.h"

#define S TW_NS_PER_S
#define MINUTE (60 * S)
#define HOUR (3600 * S)
#define DAY (24 * HOUR)
#define PERIOD (10 * S)
#define SITES 10
#define T0 (INT64_C(1790000000) * S)

struct told {
    char subject[160];
    enum alert_notice notice;
    enum alert_severity severity;
    uint64_t id;
    int64_t at_ns;
};
/* A report period as it is stored. */
struct period {
    int64_t end_ns;
    double p95;
    uint64_t up, down; /* windows */
    int ttl;
};
struct world {
    struct alert_engine *e;
    struct alert_rule rule[8];
    struct alert_rules rules;
    int64_t now;
    struct told told[4096];
    size_t n_told;
    struct alert stored[512]; /* as the database has them */
    size_t n_stored;
    char baseline[ALERT_BASELINE_TEXT];
    struct period *history; /* what the store has of the pair; NULL: there is no store */
    size_t n_history;
    struct alert_want wanted[8];
    size_t n_wanted;
    bool gone, maintenance;
    size_t looks; /* of a piece of a tick; 0: in one go */
    unsigned site_seen[ALERT_SEVERITY_COUNT]; /* changes of alerts of sites, by their severity then */
    struct tw_label site_label[SITES];
    char name[SITES][8];
};

static void changed(void *ctx, const struct alert *a)
{
    struct world *w = ctx;
    size_t i = 0;

    while (i < w->n_stored && w->stored[i].id != a->id)
        i++;
    assert_in_range(i, 0, TW_NELEM(w->stored) - 1);
    w->stored[i] = *a;
    w->n_stored += i == w->n_stored;
    w->site_seen[a->severity] += a->key.kind == ALERT_SITE;
}

static void dropped(void *ctx, const struct alert *a)
{
    struct world *w = ctx;

    for (size_t i = 0; i < w->n_stored; i++)
        if (w->stored[i].id == a->id)
            w->stored[i] = w->stored[--w->n_stored];
}

static void notice(void *ctx, const struct alert *a, enum alert_notice n)
{
    struct world *w = ctx;
    struct told *t = &w->told[w->n_told++];

    assert_in_range(w->n_told, 1, TW_NELEM(w->told) - 1);
    *t = (struct told){ .notice = n, .severity = a->severity, .id = a->id, .at_ns = w->now };
    if (a->key.kind == ALERT_PAIR)
        snprintf(t->subject, sizeof t->subject, "%s>%s", a->source, a->target);
    else
        snprintf(t->subject, sizeof t->subject, "%s %s", alert_kind_name((enum alert_kind)a->key.kind),
                 a->key.subject);
}

static bool alive(void *ctx, const struct alert *a)
{
    (void)a;
    return !((struct world *)ctx)->gone;
}

static bool maintenance(void *ctx, const struct alert *a, int64_t now_ns, char *buf, size_t cap)
{
    struct world *w = ctx;

    (void)a;
    (void)now_ns;
    snprintf(buf, cap, "works");
    return w->maintenance;
}

static size_t end_labels(void *ctx, const struct alert *a, unsigned end, const struct tw_label **ret)
{
    struct world *w = ctx;
    const char *name = end ? a->target : a->key.kind == ALERT_AGENT ? a->key.subject : a->source;

    for (size_t i = 0; i < SITES; i++)
        if (!strcmp(name, w->name[i])) {
            *ret = &w->site_label[i];
            return 1;
        }
    return 0;
}

static void note_baseline(void *ctx, uint64_t pair_id, unsigned slot, const char *text)
{
    (void)pair_id;
    (void)slot;
    snprintf(((struct world *)ctx)->baseline, ALERT_BASELINE_TEXT, "%s", text);
}

static bool want(void *ctx, const struct alert_want *w)
{
    struct world *world = ctx;

    assert_in_range(world->n_wanted, 0, TW_NELEM(world->wanted) - 1);
    world->wanted[world->n_wanted++] = *w;
    return true;
}

static void start(struct world *w)
{
    struct alert_conf c = { w, changed, dropped, notice, alive, maintenance, end_labels, note_baseline, w->history ? want : NULL, 0 };

    assert_int_equal(alert_engine_new(&c, &w->e), TW_OK);
    alert_engine_set_rules(w->e, &w->rules);
}

static struct alert_rule *add_rule(struct world *w, const char *name, enum alert_metric m,
                                   enum tw_direction d)
{
    struct alert_rule *r = &w->rule[w->rules.n_rules++];

    snprintf(r->name, sizeof r->name, "%s", name);
    r->metric = m;
    r->direction = d;
    return r;
}

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    assert_non_null(w);
    alert_rules_init(&w->rules);
    w->rules.rules = w->rule;
    w->now = T0;
    for (size_t i = 0; i < SITES; i++) {
        snprintf(w->name[i], sizeof w->name[i], "s%zu", i);
        w->site_label[i] = (struct tw_label){ "site", w->name[i] };
    }
    *state = w;
    return 0;
}

/* What is done in pieces comes to the same. */
static int make_world_in_pieces(void **state)
{
    make_world(state);
    ((struct world *)*state)->looks = 1;
    return 0;
}

static int free_world(void **state)
{
    struct world *w = *state;

    alert_engine_free(w->e);
    free(w);
    return 0;
}

/* The database and nothing else goes on. */
static void restart(struct world *w)
{
    struct alert stored[TW_NELEM(w->stored)];
    size_t n = w->n_stored, silences;
    struct alert_silence s = { 0 };
    const struct alert_silence *old = alert_engine_silences(w->e, &silences);
    struct tw_err err;

    if (silences)
        s = *old;
    memcpy(stored, w->stored, sizeof stored);
    alert_engine_free(w->e);
    start(w);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(alert_engine_restore(w->e, &stored[i]), TW_OK);
    if (silences) {
        assert_int_equal(selector_parse(s.match_text, &s.match, &err), TW_OK);
        assert_int_equal(alert_engine_silence(w->e, &s), TW_OK);
    }
}

static struct alert_subject subject(const struct world *w, int source, int target)
{
    return (struct alert_subject){ .pair_id = (uint64_t)(source * SITES + target + 1),
                                   .mesh = "m",
                                   .class_name = "c",
                                   .source = w->name[source],
                                   .target = w->name[target],
                                   .source_labels = &w->site_label[source],
                                   .target_labels = &w->site_label[target],
                                   .n_source_labels = 1,
                                   .n_target_labels = 1 };
}

static struct stats_view loss_view(double loss)
{
    struct stats_view v = { .sent = 1000, .host_trouble = "none", .one_way_valid = true };

    v.lost = (uint64_t)(loss * 1000);
    v.received = 1000 - v.lost;
    v.loss_ratio = (struct tw_num){ true, loss };
    return v;
}

/* A period that ends now. */
static void feed_view(struct world *w, int source, int target, const struct stats_view *v)
{
    struct alert_subject s = subject(w, source, target);
    struct alert_facts f = { .start_ns = w->now - PERIOD, .end_ns = w->now, .period_ns = PERIOD, .view = v };

    assert_int_equal(alert_engine_feed(w->e, &s, &f, w->now), TW_OK);
}

static void feed(struct world *w, int source, int target, double loss)
{
    struct stats_view v = loss_view(loss);

    feed_view(w, source, target, &v);
}

static void tick(struct world *w)
{
    bool more = true;

    if (!w->looks)
        assert_int_equal(alert_engine_tick(w->e, w->now), TW_OK);
    while (w->looks && more)
        assert_int_equal(alert_engine_work(w->e, w->now, w->looks, &more), TW_OK);
}

static void feed_for(struct world *w, int64_t ns, double loss)
{
    for (int64_t end = w->now + ns; w->now < end;) {
        w->now += PERIOD;
        feed(w, 0, 1, loss);
        tick(w);
    }
}

static size_t count(const struct world *w, enum alert_notice n)
{
    size_t k = 0;

    for (size_t i = 0; i < w->n_told; i++)
        k += w->told[i].notice == n;
    return k;
}

static struct alert_rule *loss_rule(struct world *w)
{
    struct alert_rule *r = add_rule(w, "loss", ALERT_LOSS, TW_UNKNOWN);

    r->level[ALERT_WARNING] = (struct alert_level){ true, 0.05, 0.02 };
    r->level[ALERT_CRITICAL] = (struct alert_level){ true, 0.5, 0.1 };
    r->for_ns = 30 * S;
    r->clear_for_ns = 30 * S;
    return r;
}

/* ---- One pair ---- */

static void a_day(void **state)
{
    struct world *w = *state;

    loss_rule(w);
    start(w);
    feed_for(w, HOUR, 0);
    feed_for(w, 20 * S, 0.3);
    feed_for(w, HOUR, 0);
    assert_int_equal(w->n_told, 0); /* too short */
    assert_int_equal(w->n_stored, 0);
    feed_for(w, 10 * MINUTE, 0.3);
    assert_int_equal(w->n_told, 1);
    assert_int_equal(w->told[0].notice, ALERT_NOTICE_FIRING);
    assert_int_equal(w->told[0].severity, ALERT_WARNING);
    feed_for(w, 10 * MINUTE, 0.03); /* between */
    assert_int_equal(w->n_told, 1);
    feed_for(w, 10 * MINUTE, 0.9);
    assert_int_equal(w->n_told, 2);
    assert_int_equal(w->told[1].notice, ALERT_NOTICE_SEVERITY);
    assert_int_equal(w->told[1].severity, ALERT_CRITICAL);
    assert_int_equal(w->told[1].id, w->told[0].id);
    feed_for(w, 9 * HOUR, 0.9);
    assert_int_equal(w->n_told, 4); /* every four hours */
    assert_int_equal(w->told[3].notice, ALERT_NOTICE_REPEAT);
    feed_for(w, HOUR, 0);
    assert_int_equal(w->n_told, 5);
    assert_int_equal(w->told[4].notice, ALERT_NOTICE_RESOLVED);
    assert_int_equal(w->stored[0].state, ALERT_RESOLVED);
    assert_true(w->stored[0].worst.value > 0.89);
}

/* A day of loss that comes and goes every minute. */
static void flapping(void **state)
{
    struct world *w = *state;
    struct alert_rule *r = loss_rule(w);

    r->for_ns = r->clear_for_ns = 0;
    w->rules.wait_ns = 0;
    w->rules.repeat_ns = 0;
    start(w);
    for (int i = 0; i < 24 * 60; i++) {
        feed_for(w, 30 * S, 0.3);
        feed_for(w, 30 * S, 0);
    }
    if (w->n_told > 24)
        fail_msg("told %zu times", w->n_told);
    assert_true(count(w, ALERT_NOTICE_FIRING) >= 1);
    feed_for(w, 3 * HOUR, 0);
    assert_int_equal(count(w, ALERT_NOTICE_FIRING), count(w, ALERT_NOTICE_RESOLVED));
}

/* Ten days at random, with restarts at random: nothing twice, nothing lost; begins and ends alternate. */
static void restarts(void **state)
{
    struct world *w = *state;
    uint64_t seed = 20261127;
    bool begun = false;
    double loss = 0;

    printf("seed %llu\n", (unsigned long long)seed);
    loss_rule(w);
    w->rules.repeat_ns = 0;
    start(w);
    for (int i = 0; i < 10 * 8640; i++) {
        if (rng_below(&seed, 60) == 0)
            loss = rng_below(&seed, 3) ? 0 : 0.3;
        if (rng_below(&seed, 500) == 0) {
            /* only the alerts that go on matter; what was resolved has been told */
            size_t kept = 0;
            for (size_t k = 0; k < w->n_stored; k++)
                if (w->stored[k].state != ALERT_RESOLVED)
                    w->stored[kept++] = w->stored[k];
            w->n_stored = kept;
            restart(w);
        }
        feed_for(w, PERIOD, loss);
    }
    assert_true(w->n_told > 20);
    for (size_t i = 0; i < w->n_told; i++) {
        assert_int_equal(w->told[i].notice, begun ? ALERT_NOTICE_RESOLVED : ALERT_NOTICE_FIRING);
        if (begun)
            assert_int_equal(w->told[i].id, w->told[i - 1].id);
        begun = !begun;
    }
}

/* How long it has been good is kept, but for a time of which nothing is known. */
static void a_clear_time_goes_on(void **state)
{
    static const struct {
        int64_t away_ns, still_ns; /* until it ends */
    } cases[] = { { 0, 10 * S }, { 10 * S, 10 * S }, { HOUR, 30 * S } };
    struct world *w = *state;

    loss_rule(w);
    w->rules.repeat_ns = 0;
    start(w);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        feed_for(w, 2 * MINUTE, 0.3);
        assert_int_equal(w->n_told, 2 * i + 1);
        feed_for(w, 20 * S, 0);
        restart(w);
        w->now += cases[i].away_ns;
        feed_for(w, cases[i].still_ns - PERIOD, 0);
        assert_int_equal(w->n_told, 2 * i + 1);
        feed_for(w, PERIOD, 0);
        assert_int_equal(w->n_told, 2 * i + 2);
        feed_for(w, 3 * HOUR, 0); /* it flaps not */
    }
}

static void out_of_a_spool(void **state)
{
    struct world *w = *state;
    struct stats_view v = loss_view(0.9);
    struct alert_subject s = subject(w, 0, 1);

    loss_rule(w);
    start(w);
    for (int i = 0; i < 360; i++) { /* an hour of yesterday */
        struct alert_facts f = { .start_ns = T0 - DAY + i * PERIOD,
                                 .end_ns = T0 - DAY + (i + 1) * PERIOD,
                                 .period_ns = PERIOD,
                                 .view = &v };
        assert_int_equal(alert_engine_feed(w->e, &s, &f, w->now), TW_OK);
        tick(w);
    }
    assert_int_equal(w->n_told, 0);
    assert_int_equal(w->n_stored, 0);
}

static void against_its_baseline(void **state)
{
    struct world *w = *state;
    struct alert_rule *r = add_rule(w, "delay", ALERT_P95, TW_ROUNDTRIP);
    struct stats_view v = loss_view(0);
    int64_t known;

    r->relative = true;
    r->level[ALERT_WARNING] = (struct alert_level){ true, 2, 1.5 };
    r->at_least = 0.005;
    r->baseline_ns = DAY;
    r->warm_up_ns = 6 * HOUR;
    start(w);
    v.delay[TW_ROUNDTRIP].p95_s = (struct tw_num){ true, 0.1 };
    for (int i = 0; i < 12 * 360; i++) {
        w->now += PERIOD;
        v.delay[TW_ROUNDTRIP].p95_s.value =
            i < 5 * 360 && i > 4 * 360 ? 0.5 : 0.01; /* cold: nobody knows that it is much */
        feed_view(w, 0, 1, &v);
        tick(w);
    }
    assert_int_equal(w->n_told, 0);
    assert_true(alert_engine_baseline(w->e, 2, alert_slot(ALERT_P95, TW_ROUNDTRIP), w->now, &known).value <
                0.011);
    v.delay[TW_ROUNDTRIP].p95_s.value = 0.019;
    for (int i = 0; i < 6; i++, w->now += PERIOD, tick(w))
        feed_view(w, 0, 1, &v);
    assert_int_equal(w->n_told, 0);
    restart(w); /* the baseline survives */
    alert_engine_restore_baseline(w->e, 2, alert_slot(ALERT_P95, TW_ROUNDTRIP), w->baseline);
    v.delay[TW_ROUNDTRIP].p95_s.value = 0.021;
    for (int i = 0; i < 6; i++, w->now += PERIOD, tick(w))
        feed_view(w, 0, 1, &v);
    assert_int_equal(w->n_told, 1);
    assert_true(w->stored[0].baseline.known && w->stored[0].level.value > 0.0199 &&
                w->stored[0].level.value < 0.0201);
}

/* ---- What rules remember, made again from what is stored ---- */

static struct stats_view view_of(const struct period *p)
{
    struct stats_view v = loss_view(0);

    v.delay[TW_ROUNDTRIP].p95_s = (struct tw_num){ true, p->p95 };
    v.windows_available = p->up;
    v.windows_unavailable = p->down;
    v.ttl_forward_min = v.ttl_forward_max = (struct tw_num){ true, p->ttl };
    return v;
}

/* As a store that merges: a part has the mean of its delays, the sum of its windows, and the range of its TTLs. */
static void answer(struct world *w, const struct alert_want *q)
{
    struct alert_past *v = calloc(w->n_history + 1, sizeof *v);
    size_t n = 0;

    assert_non_null(v);
    for (size_t i = 0; i < w->n_history;) {
        int64_t part = (w->history[i].end_ns - 1) / q->step_ns;
        struct period sum = { 0 };
        struct alert_facts f = { .start_ns = w->history[i].end_ns - PERIOD };
        struct stats_view view;
        uint64_t k = 0;
        int lo = 255, hi = 0;

        for (; i < w->n_history && (w->history[i].end_ns - 1) / q->step_ns == part; i++, k++) {
            const struct period *p = &w->history[i];
            sum.p95 += p->p95;
            sum.up += p->up;
            sum.down += p->down;
            lo = p->ttl < lo ? p->ttl : lo;
            hi = p->ttl > hi ? p->ttl : hi;
            f.end_ns = p->end_ns;
        }
        if (f.start_ns < q->from_ns || f.end_ns > q->to_ns)
            continue;
        sum.p95 /= (double)k;
        sum.ttl = lo;
        view = view_of(&sum);
        view.ttl_forward_max.value = hi;
        f.view = &view;
        alert_past_of(&q->rule, &f, k, &v[n++]);
    }
    for (size_t i = 0; i + 1 < n; i += 2) { /* the store has no order */
        struct alert_past swap = v[i];
        v[i] = v[i + 1];
        v[i + 1] = swap;
    }
    alert_engine_learn(w->e, q, v, n);
    free(v);
}

static void answer_all(struct world *w)
{
    for (size_t i = 0; i < w->n_wanted; i++)
        answer(w, &w->wanted[i]);
    w->n_wanted = 0;
}

static void remembering_rules(struct world *w)
{
    struct alert_rule *r = add_rule(w, "delay", ALERT_P95, TW_ROUNDTRIP);

    r->relative = true;
    r->level[ALERT_WARNING] = (struct alert_level){ true, 2, 1.5 };
    r->baseline_ns = 7 * DAY;
    r->warm_up_ns = DAY;
    r->for_ns = 60 * S;
    r = add_rule(w, "up", ALERT_AVAILABILITY, TW_UNKNOWN);
    r->level[ALERT_WARNING] = (struct alert_level){ true, 0.97, 0.99 };
    r->over_ns = HOUR;
    r = add_rule(w, "route", ALERT_ROUTE, TW_FORWARD);
    r->level[ALERT_WARNING] = (struct alert_level){ true, 1, 1 };
    r->settle_ns = 2 * HOUR;
    w->rules.repeat_ns = 0;
}

/* Four weeks: days have hours in which the path is slow, windows in which it is down, and routes that stay; in the
 * third week it is slower for good. */
static struct period weather(int64_t i, uint64_t *seed)
{
    int64_t at = i * PERIOD, hour = at / HOUR;
    double usual = at > 15 * DAY + 5 * HOUR ? 0.030 : 0.010;
    struct period p = { .up = 1, .ttl = (hour / 37) % 2 ? 60 : 62 };

    p.p95 = usual * (0.9 + 0.2 * (double)rng_below(seed, 1000) / 1000);
    if (hour % 29 == 11 && at % HOUR < 40 * MINUTE)
        p.p95 *= 3;
    if (hour % 31 == 7 && at % HOUR >= 10 * MINUTE && at % HOUR < 14 * MINUTE)
        p.up = 0, p.down = 1;
    return p;
}

#define WEEKS (4 * 7 * 8640)

/* How it goes without a restart, or with one about every `every` periods; lose: the database lost the baselines. */
static void live_weeks(struct world *w, int64_t every, bool lose)
{
    uint64_t seed = 20261127, chance = 7;

    remembering_rules(w);
    w->history = calloc(WEEKS, sizeof *w->history);
    assert_non_null(w->history);
    start(w);
    for (int64_t i = 0; i < WEEKS; i++) {
        struct period p = weather(i, &seed);
        struct stats_view v = view_of(&p);

        w->now += PERIOD;
        p.end_ns = w->now;
        if (every && i % every == every / 2 + (int64_t)rng_below(&chance, 100) % 97) {
            restart(w);
            w->n_wanted = 0;
            if (!lose && *w->baseline)
                alert_engine_restore_baseline(w->e, 2, alert_slot(ALERT_P95, TW_ROUNDTRIP), w->baseline);
        }
        w->history[w->n_history++] = p;
        feed_view(w, 0, 1, &v);
        answer_all(w);
        tick(w);
    }
    free(w->history);
    w->history = NULL;
}

static void a_restart_changes_nothing(void **state)
{
    static const struct {
        const char *name;
        int64_t every;
        bool lose;
    } cases[] = { { "at odd times", 3001, false }, { "without its state", 8640, true } };
    struct world *never = *state, *w;

    live_weeks(never, 0, false);
    assert_true(never->n_told > 60);
    for (size_t c = 0; c < TW_NELEM(cases); c++) {
        make_world((void **)&w);
        live_weeks(w, cases[c].every, cases[c].lose);
        if (w->n_told != never->n_told)
            fail_msg("%s: told %zu times, without a restart %zu", cases[c].name, w->n_told, never->n_told);
        for (size_t i = 0; i < w->n_told; i++)
            if (w->told[i].notice != never->told[i].notice || strcmp(w->told[i].subject, never->told[i].subject) != 0 ||
                llabs(w->told[i].at_ns - never->told[i].at_ns) > 4 * HOUR)
                fail_msg("%s: notice %zu is %s at %lld s, without a restart %s at %lld s", cases[c].name, i,
                         alert_notice_name(w->told[i].notice), (long long)((w->told[i].at_ns - T0) / S),
                         alert_notice_name(never->told[i].notice), (long long)((never->told[i].at_ns - T0) / S));
        free_world((void **)&w);
    }
}

/* A rule that is new stands on what is stored from its first minute on. */
static void a_new_rule_knows_the_past(void **state)
{
    struct world *w = *state;
    uint64_t seed = 1;
    int64_t known;
    struct tw_num usual;

    remembering_rules(w);
    w->history = calloc(WEEKS, sizeof *w->history);
    assert_non_null(w->history);
    for (int64_t i = 0; i < 8 * 8640; i++) {
        w->now += PERIOD;
        w->history[w->n_history] = weather(i, &seed);
        w->history[w->n_history++].end_ns = w->now;
    }
    start(w);
    w->now += PERIOD;
    feed_view(w, 0, 1, &(struct stats_view){ .host_trouble = "none", .delay[TW_ROUNDTRIP].p95_s = { true, 0.01 } });
    usual = alert_engine_baseline(w->e, 2, alert_slot(ALERT_P95, TW_ROUNDTRIP), w->now, &known);
    assert_false(usual.known);
    assert_int_equal(w->n_wanted, 3);
    answer_all(w);
    usual = alert_engine_baseline(w->e, 2, alert_slot(ALERT_P95, TW_ROUNDTRIP), w->now, &known);
    assert_true(usual.known && usual.value > 0.0095 && usual.value < 0.0105);
    assert_in_range(known, 47 * (7 * DAY / 48), 7 * DAY);
    feed_view(w, 0, 1, &(struct stats_view){ .host_trouble = "none" });
    assert_int_equal(w->n_wanted, 0); /* once is enough */
    free(w->history);
    w->history = NULL;
}

/* ---- Clocks that are set ---- */

struct stepping {
    const char *name;
    int64_t at_s;             /* when, by a clock that nobody sets */
    int64_t ours_s, theirs_s; /* by how much: the controller's wall clock, the agent's */
    int64_t before_s;         /* the agent's clock is so much ahead before that */
    int64_t late_s;           /* notices may come so much later than without */
};

/* Four hours: it is bad from 3600 to 4800 s, silent from 9000 to 9600 s, and its agent away from 12000 to 12600 s. */
static void live_hours(struct world *w, const struct stepping *t)
{
    struct alert_rule *r = loss_rule(w);
    int64_t theirs = t->before_s * S, ours = 0, last_end = 0;
    struct alert_subject agent;

    r = add_rule(w, "silence", ALERT_NO_DATA, TW_UNKNOWN);
    r->level[ALERT_WARNING] = (struct alert_level){ true, 60, 60 };
    r->for_ns = 30 * S;
    r = add_rule(w, "away", ALERT_AGENT_DOWN, TW_UNKNOWN);
    r->level[ALERT_WARNING] = (struct alert_level){ true, 60, 60 };
    r->for_ns = 30 * S;
    w->rules.wait_ns = 15 * S;
    w->rules.repeat_ns = 4 * HOUR;
    start(w);
    agent = subject(w, 0, 0);
    agent.mesh = agent.class_name = agent.target = "";
    for (int64_t s = 0; s < 4 * 3600; s += 5) {
        bool silent = s >= 9000 && s < 9600, away = s >= 12000 && s < 12600;
        struct alert_subject pair = subject(w, 0, 1);

        if (s == t->at_s) {
            theirs += t->theirs_s * S;
            ours += t->ours_s * S;
        }
        w->now = T0 + s * S + ours;
        if (s == t->at_s && t->ours_s)
            alert_engine_stepped(w->e, t->ours_s * S);
        if (s % 10 == 0 && !silent) {
            struct stats_view v = loss_view(s > 3600 && s <= 4800 ? 0.3 : 0);
            struct alert_facts f = { .end_ns = T0 + s * S + theirs, .period_ns = PERIOD, .view = &v };

            /* the period in which its clock was set is longer, or it begins anew */
            f.start_ns = last_end && last_end < f.end_ns ? last_end : f.end_ns - PERIOD;
            last_end = f.end_ns;
            assert_int_equal(alert_engine_feed(w->e, &pair, &f, w->now), TW_OK);
        }
        assert_int_equal(alert_engine_absent(w->e, &pair, (struct tw_num){ true, silent ? (double)(s - 8990) : (double)(s % 10) },
                                             w->now),
                         TW_OK);
        assert_int_equal(alert_engine_agent(w->e, &agent, (struct tw_num){ true, away ? (double)(s - 12000) : 0 }, w->now), TW_OK);
        tick(w);
        for (size_t i = 0; i < w->n_told; i++)
            if (w->told[i].at_ns > INT64_C(1000000) * S)
                w->told[i].at_ns = s; /* by the clock that nobody sets, from now on */
    }
}

static void a_step_changes_nothing(void **state)
{
#define YEAR 31536000
    /* While it is quiet, pending, waits to be told, fires, is about to end, nearly silent, silent, away. */
    static const int64_t moments[] = { 1000, 3615, 3645, 4000, 4815, 9050, 9300, 9615, 12040, 12300, 12610 };
    static const struct stepping cases[] = {
        { "ours: seconds on", 0, 7, 0, 0, 0 },
        { "ours: seconds back", 0, -7, 0, 0, 0 },
        { "ours: a leap second", 0, -1, 0, 0, 0 },
        { "ours: an hour back", 0, -3600, 0, 0, 0 },
        { "ours: a year back", 0, -YEAR, 0, 0, 0 },
        { "ours and theirs: an hour on", 0, 3600, 3600, 0, 60 },
        { "ours and theirs: an hour back", 0, -3600, -3600, 0, 60 },
        { "ours and theirs: a year on", 0, YEAR, YEAR, 0, 60 },
        { "ours and theirs: a year back", 0, -YEAR, -YEAR, 0, 60 },
        { "theirs: seconds on", 0, 0, 7, 0, 60 },
        { "theirs: seconds back", 0, 0, -7, 0, 60 },
        { "theirs: a leap second", 0, 0, -1, 0, 60 },
        { "theirs: an hour on", 0, 0, 3600, 0, 60 },
        { "theirs: a year on", 0, 0, YEAR, 0, 60 },
        { "theirs: from an hour ahead to right", 0, 0, -3600, 3600, 60 },
        { "theirs: from a year ahead to right", 0, 0, -YEAR, YEAR, 60 },
    };
    static const struct stepping none = { .name = "none", .at_s = -1 };
    struct world *without = *state, *w;

    live_hours(without, &none);
    assert_int_equal(without->n_told, 6); /* three begins, three ends */
    for (size_t c = 0; c < TW_NELEM(cases); c++)
        for (size_t m = 0; m < TW_NELEM(moments); m++) {
            struct stepping t = cases[c];

            t.at_s = moments[m];
            make_world((void **)&w);
            live_hours(w, &t);
            if (w->n_told != without->n_told)
                fail_msg("%s at %lld s: told %zu times, not %zu", t.name, (long long)t.at_s, w->n_told, without->n_told);
            for (size_t i = 0; i < w->n_told; i++)
                if (w->told[i].notice != without->told[i].notice || strcmp(w->told[i].subject, without->told[i].subject) != 0 ||
                    w->told[i].at_ns < without->told[i].at_ns - 10 || w->told[i].at_ns > without->told[i].at_ns + 10 + t.late_s)
                    fail_msg("%s at %lld s: notice %zu is %s of %s at %lld s, not %s of %s at %lld s", t.name, (long long)t.at_s, i,
                             alert_notice_name(w->told[i].notice), w->told[i].subject, (long long)w->told[i].at_ns,
                             alert_notice_name(without->told[i].notice), without->told[i].subject,
                             (long long)without->told[i].at_ns);
            free_world((void **)&w);
        }
#undef YEAR
}

/* Three minutes out of an hour are 95%: it fires when they have been, and ends when the hour is over. */
static void availability(void **state)
{
    struct world *w = *state;
    struct alert_rule *r = add_rule(w, "up", ALERT_AVAILABILITY, TW_UNKNOWN);
    struct stats_view v = loss_view(0);

    r->level[ALERT_WARNING] = (struct alert_level){ true, 0.97, 0.99 };
    r->over_ns = HOUR;
    start(w);
    for (int i = 0; i < 4 * 360; i++) {
        w->now += PERIOD;
        v.windows_unavailable = i >= 400 && i < 418;
        v.windows_available = !v.windows_unavailable;
        feed_view(w, 0, 1, &v);
        tick(w);
    }
    assert_int_equal(w->n_told, 2);
    assert_in_range(w->told[0].at_ns - T0, 4000 * S, 4200 * S + 30 * S);
    assert_in_range(w->told[1].at_ns - T0, 7200 * S, 8100 * S);
    assert_true(w->stored[0].worst.value > 0.93 && w->stored[0].worst.value < 0.96);
}

/* ---- Silence, maintenance, acknowledgement ---- */

static void silences(void **state)
{
    struct world *w = *state;
    struct alert_silence s = {
        .id = 7, .start_ns = T0, .end_ns = T0 + HOUR, .match_text = "mesh=m,source.site=s0", .author = "me"
    };
    struct tw_err err;

    loss_rule(w);
    w->rules.repeat_ns = 0;
    start(w);
    assert_int_equal(selector_parse(s.match_text, &s.match, &err), TW_OK);
    assert_int_equal(alert_engine_silence(w->e, &s), TW_OK);
    feed_for(w, 30 * MINUTE, 0.3);
    assert_int_equal(w->n_told, 0);
    assert_int_equal(alert_engine_find(w->e, 1)->quiet, ALERT_SILENCED);
    restart(w);
    feed_for(w, 29 * MINUTE, 0.3);
    assert_int_equal(w->n_told, 0);
    feed_for(w, 2 * MINUTE, 0.3); /* it ends, and the alert is there still */
    assert_int_equal(w->n_told, 1);
    assert_true(alert_engine_unsilence(w->e, 7, T0 + MINUTE, &s));
    assert_false(alert_engine_unsilence(w->e, 7, w->now, &s));
    assert_false(alert_engine_unsilence(w->e, 8, w->now, &s));
}

static enum tw_rc put_silence(struct world *w, uint64_t id, int64_t end_ns)
{
    struct alert_silence s = { .id = id, .made_ns = w->now, .start_ns = w->now, .end_ns = end_ns, .match_text = "mesh=m" };
    struct tw_err err;

    assert_int_equal(selector_parse(s.match_text, &s.match, &err), TW_OK);
    return alert_engine_silence(w->e, &s);
}

/* A year of them leaves those of the last day; and there is a most. */
static void silences_are_bounded(void **state)
{
    struct world *w = *state;
    size_t n, most = 0;
    uint64_t id = 0;

    loss_rule(w);
    start(w);
    for (int64_t end = T0 + 365 * DAY; w->now < end; w->now += HOUR) {
        assert_int_equal(put_silence(w, ++id, w->now + HOUR), TW_OK);
        tick(w);
        alert_engine_silences(w->e, &n);
        most = n > most ? n : most;
    }
    assert_in_range(most, 24, 27);
    for (alert_engine_silences(w->e, &n); put_silence(w, ++id, w->now + DAY) == TW_OK; n++)
        assert_in_range(n, 0, ALERT_SILENCES_MAX + 30);
    assert_int_equal(put_silence(w, id, w->now + DAY), TW_ENOSPC);
    assert_int_equal(put_silence(w, id - 1, w->now + 2 * DAY), TW_OK); /* in place of one */
    w->now += DAY + HOUR;
    assert_int_equal(put_silence(w, id, w->now + DAY), TW_OK); /* the others are over */
}

/* What was critical and ends as a warning: the worst that was told is known at the end, after a restart, too. */
static void the_worst_is_remembered(void **state)
{
    struct world *w = *state;

    loss_rule(w);
    w->rules.repeat_ns = HOUR;
    start(w);
    feed_for(w, 10 * MINUTE, 0.9);
    assert_int_equal(w->told[0].severity, ALERT_CRITICAL);
    feed_for(w, 3 * HOUR, 0.05); /* told again, as a warning */
    assert_int_equal(w->told[w->n_told - 1].severity, ALERT_WARNING);
    assert_int_equal(alert_engine_find(w->e, 1)->told_severity, ALERT_WARNING);
    assert_int_equal(alert_engine_find(w->e, 1)->told_worst, ALERT_CRITICAL);
    restart(w);
    feed_for(w, HOUR, 0);
    assert_int_equal(w->told[w->n_told - 1].notice, ALERT_NOTICE_RESOLVED);
    assert_int_equal(w->told[w->n_told - 1].severity, ALERT_WARNING);
    assert_int_equal(w->stored[0].told_worst, ALERT_CRITICAL);
}

/* A clock that admits little, and that the others see to be wrong: what they see counts. */
static void audited_clocks(void **state)
{
    struct world *w = *state;
    struct alert_rule *r = add_rule(w, "clock", ALERT_CLOCK, TW_UNKNOWN);
    struct stats_view v = loss_view(0);
    struct alert_facts f = { .period_ns = PERIOD, .view = &v };
    struct tw_num got;

    v.clock_local_synced = v.clock_remote_synced = v.clock_remote_known = true;
    v.clock_local_error_s = 0.0002;
    v.clock_remote_error_s = 0.0004;
    got = alert_rule_value(r, &f);
    assert_true(got.known && got.value == 0.0004);
    f.clock_offset = (struct tw_num){ true, 0.005 };
    assert_true(alert_rule_value(r, &f).value == 0.005);
    f.clock_offset.value = 0.0001; /* what it admits is more */
    assert_true(alert_rule_value(r, &f).value == 0.0004);
    v.clock_remote_synced = false;
    assert_true(alert_rule_value(r, &f).value == 16);
}

static void works(void **state)
{
    struct world *w = *state;

    loss_rule(w);
    start(w);
    w->maintenance = true;
    feed_for(w, 10 * MINUTE, 0.3);
    assert_int_equal(w->n_told, 0);
    assert_string_equal(alert_engine_find(w->e, 1)->quiet_text, "works");
    feed_for(w, 10 * MINUTE, 0);
    w->maintenance = false;
    feed_for(w, 10 * MINUTE, 0);
    assert_int_equal(w->n_told, 0); /* nor of the end of what nobody was told of */
}

static void acknowledged(void **state)
{
    struct world *w = *state;

    loss_rule(w);
    start(w);
    feed_for(w, 10 * MINUTE, 0.3);
    assert_int_equal(alert_engine_ack(w->e, 1, "me", "on it", w->now), TW_OK);
    assert_int_equal(alert_engine_ack(w->e, 2, "me", "", w->now), TW_ENOENT);
    feed_for(w, DAY, 0.3);
    assert_int_equal(w->n_told, 1); /* no repeat */
    feed_for(w, 10 * MINUTE, 0.9);
    assert_int_equal(w->n_told, 2); /* that is news */
    feed_for(w, 10 * MINUTE, 0);
    assert_int_equal(w->n_told, 3);
    assert_int_equal(alert_engine_ack(w->e, 1, "me", "", w->now), TW_ENOENT);
}

static void taken_away(void **state)
{
    struct world *w = *state;
    struct alert_rules none;

    loss_rule(w);
    start(w);
    feed_for(w, 10 * MINUTE, 0.3);
    w->gone = true;
    tick(w);
    assert_int_equal(w->n_told, 2);
    assert_string_equal(alert_engine_find(w->e, 1)->end_reason, "it is not measured any more");
    w->gone = false;
    feed_for(w, 10 * MINUTE, 0.3);
    assert_int_equal(w->n_told, 3);
    alert_rules_init(&none);
    alert_engine_set_rules(w->e, &none);
    feed_for(w, MINUTE, 0.3);
    assert_int_equal(w->n_told, 4);
    assert_int_equal(w->told[3].notice, ALERT_NOTICE_RESOLVED);
}

/* ---- A mesh of ten sites ---- */

static void add_fleet_rules(struct world *w)
{
    struct alert_rule *r = add_rule(w, "silent", ALERT_NO_DATA, TW_UNKNOWN);

    r->level[ALERT_WARNING] = (struct alert_level){ true, 30, 30 };
    r = add_rule(w, "agent", ALERT_AGENT_DOWN, TW_UNKNOWN);
    r->level[ALERT_CRITICAL] = (struct alert_level){ true, 60, 60 };
}

/* One second: `dead` neither answers nor tells anything since `since`. */
static void mesh_second(struct world *w, int dead, int64_t since)
{
    w->now += S;
    for (int a = 0; a < SITES; a++)
        for (int b = 0; b < SITES; b++) {
            struct alert_subject s = subject(w, a, b);
            double quiet = a == dead && since ? (double)(w->now - since) / 1e9 : 1;

            if (a == b)
                continue;
            /* each at its own time, as they come */
            if ((w->now / S + a) % 10 == 0 && a != dead)
                feed(w, a, b, b == dead ? 1 : 0);
            assert_int_equal(alert_engine_absent(w->e, &s, (struct tw_num){ true, quiet }, w->now), TW_OK);
        }
    for (int a = 0; a < SITES; a++) {
        struct alert_subject s = subject(w, a, 0);

        s.mesh = s.class_name = s.target = "";
        s.pair_id = 0;
        assert_int_equal(
            alert_engine_agent(
                w->e, &s, (struct tw_num){ true, a == dead ? (double)(w->now - since) / 1e9 : 0 }, w->now),
            TW_OK);
    }
    tick(w);
}

static size_t explained(const struct world *w, uint64_t by)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_stored; i++)
        n += w->stored[i].state == ALERT_FIRING && w->stored[i].cause == by &&
             w->stored[i].key.kind == ALERT_PAIR;
    return n;
}

static void dead_site(struct world *w, int64_t restart_at)
{
    uint64_t id;

    loss_rule(w);
    add_fleet_rules(w);
    start(w);
    for (int i = 0; i < 60; i++)
        mesh_second(w, -1, 0);
    assert_int_equal(w->n_told, 0);
    for (int i = 0; i < 300; i++) {
        if (i == restart_at)
            restart(w);
        mesh_second(w, 4, T0 + 60 * S);
    }
    assert_int_equal(w->n_told, 1);
    assert_string_equal(w->told[0].subject, "site s4");
    assert_int_equal(w->told[0].severity, ALERT_CRITICAL);
    id = w->told[0].id;
    assert_int_equal(explained(w, id), 18);
    assert_int_equal(alert_engine_find(w->e, id)->bad, 18);
    assert_int_equal(alert_engine_find(w->e, id)->total, 18);
    for (int i = 0; i < 300; i++)
        mesh_second(w, -1, 0);
    assert_int_equal(w->n_told, 2);
    assert_int_equal(w->told[1].notice, ALERT_NOTICE_RESOLVED);
    assert_int_equal(w->told[1].id, id);
    for (size_t i = 0; i < w->n_stored; i++)
        assert_int_equal(w->stored[i].state, ALERT_RESOLVED);
}

static void one_alert_for_a_dead_site(void **state)
{
    dead_site(*state, -1);
}

static void a_restart_in_the_middle(void **state)
{
    dead_site(*state, 150);
}

static void without_sites_it_is_the_agent(void **state)
{
    struct world *w = *state;

    w->rules.sites = false;
    loss_rule(w);
    add_fleet_rules(w);
    start(w);
    for (int i = 0; i < 30; i++)
        mesh_second(w, -1, 0);
    for (int i = 0; i < 300; i++)
        mesh_second(w, 4, T0 + 30 * S);
    for (size_t i = 0; i < w->n_told; i++)
        assert_string_equal(w->told[i].subject, "agent s4");
    assert_in_range(w->n_told, 1, 2);
}

/* All pairs to one site, every second of them worse. */
static void lose_towards(struct world *w, int site, int64_t ns, double loss, double worse)
{
    for (int64_t end = w->now + ns; w->now < end;) {
        w->now += PERIOD;
        for (int a = 0; a < SITES; a++)
            for (int b = 0; b < SITES; b++)
                if (a != b)
                    feed(w, a, b, b != site ? 0 : a % 2 ? worse : loss);
        tick(w);
    }
}

/* Its pairs are looked at one after the other, and it is never seen with the severity of some of them. */
static void a_site_has_the_severity_of_all(void **state)
{
    struct world *w = *state;

    loss_rule(w);
    start(w);
    lose_towards(w, 3, MINUTE, 0, 0);
    lose_towards(w, 3, 5 * MINUTE, 0.3, 0.6);
    assert_int_equal(w->n_told, 1);
    assert_int_equal(w->told[0].severity, ALERT_CRITICAL);
    assert_true(w->site_seen[ALERT_CRITICAL]);
    assert_int_equal(w->site_seen[ALERT_WARNING] + w->site_seen[ALERT_INFO], 0);

    lose_towards(w, 3, 10 * MINUTE, 0, 0);
    assert_int_equal(count(w, ALERT_NOTICE_RESOLVED), 1);
    lose_towards(w, 3, 5 * MINUTE, 0.3, 0.3);
    assert_int_equal(w->told[2].severity, ALERT_WARNING);
    lose_towards(w, 3, 5 * MINUTE, 0.3, 0.6); /* one rise, told once, whatever the number of pairs */
    assert_int_equal(w->n_told, 4);
    assert_int_equal(w->told[3].notice, ALERT_NOTICE_SEVERITY);
    assert_int_equal(w->told[3].severity, ALERT_CRITICAL);
    assert_int_equal(w->site_seen[ALERT_INFO], 0);
}

/* Nobody to blame: two pairs of ninety. */
static void single_pairs(void **state)
{
    struct world *w = *state;

    loss_rule(w);
    start(w);
    for (int i = 0; i < 60; i++) {
        w->now += PERIOD;
        for (int a = 0; a < SITES; a++)
            for (int b = 0; b < SITES; b++)
                if (a != b)
                    feed(w, a, b, (a == 1 && b == 2) || (a == 7 && b == 3) ? 0.3 : 0);
        tick(w);
    }
    assert_int_equal(w->n_told, 2);
    assert_string_not_equal(w->told[0].subject, w->told[1].subject);
}

/* While a round goes on pairs are fed, go and come back: nobody is told of a pair that the dead site
 * explains, and nothing is looked at that has gone. */
static void feeding_in_between(void **state)
{
    struct world *w = *state;
    uint64_t seed = 7;
    bool more;

    loss_rule(w);
    start(w);
    for (int i = 0; i < 60; i++) {
        w->now += PERIOD;
        for (int n = 0; n < SITES * SITES; n++) {
            int a = n % SITES, b = n / SITES;
            bool dead = i >= 10 && (a == 3 || b == 3);

            if (a != b && rng_next(&seed) % 20)
                feed(w, a, b, dead ? 1 : 0);
            else if (!dead)
                alert_engine_forget(w->e, subject(w, a, b).pair_id);
            assert_int_equal(alert_engine_work(w->e, w->now, 1 + rng_next(&seed) % 40, &more), TW_OK);
        }
    }
    tick(w);
    assert_in_range(w->n_told, 1, 2);
    for (size_t i = 0; i < w->n_told; i++)
        assert_string_equal(w->told[i].subject, "site s3");
}

/* ---- Several controllers ---- */

static struct alert of_agent(uint64_t id, unsigned slot, enum alert_state state)
{
    struct alert a;

    memset(&a, 0, sizeof a); /* its key is hashed, padding and all */
    a.id = id;
    a.key.kind = ALERT_AGENT;
    a.key.slot = slot;
    snprintf(a.key.subject, sizeof a.key.subject, "a");
    a.state = state;
    a.severity = ALERT_WARNING;
    a.pending_ns = a.fired_ns = T0;
    return a;
}

/* More of them are over than are kept, so that taking one over pushes another out. */
static void alerts_go_with_their_agent(void **state)
{
    struct world *w = *state;
    struct alert a;

    start(w);
    for (uint64_t id = 1; id <= ALERT_DONE_MAX; id++) {
        a = of_agent(id, 0, ALERT_RESOLVED);
        assert_int_equal(alert_engine_show(w->e, &a), TW_OK);
    }
    for (unsigned i = 0; i < 20; i++) {
        a = of_agent(5000 + i, i, ALERT_FIRING);
        assert_int_equal(alert_engine_show(w->e, &a), TW_OK);
        assert_true(alert_engine_find(w->e, 5000 + i)->elsewhere);
    }
    /* We have found half of it ourselves. */
    for (unsigned i = 0; i < 10; i++) {
        a = of_agent(6000 + i, i, ALERT_FIRING);
        assert_int_equal(alert_engine_restore(w->e, &a), TW_OK);
    }
    alert_engine_claim(w->e, "b", w->now); /* another agent's: none */
    assert_true(alert_engine_find(w->e, 5000)->elsewhere);
    alert_engine_claim(w->e, "a", w->now);
    for (unsigned i = 0; i < 20; i++) {
        const struct alert *found = alert_engine_find(w->e, 5000 + i);

        assert_false(found->elsewhere);
        assert_int_equal(found->state, i < 10 ? ALERT_RESOLVED : ALERT_FIRING);
    }
    assert_null(alert_engine_find(w->e, 1)); /* pushed out */
    assert_int_equal(w->n_told, 0);

    /* And away again: what is said of them there counts. */
    alert_engine_give(w->e, "a");
    for (unsigned i = 0; i < 10; i++)
        assert_true(alert_engine_find(w->e, 6000 + i)->elsewhere);
    a = of_agent(6000, 0, ALERT_RESOLVED);
    assert_int_equal(alert_engine_show(w->e, &a), TW_OK);
    assert_int_equal(alert_engine_find(w->e, 6000)->state, ALERT_RESOLVED);
    alert_engine_hide(w->e, 6001);
    assert_null(alert_engine_find(w->e, 6001));
    alert_engine_hide(w->e, 6000); /* over: kept */
    assert_non_null(alert_engine_find(w->e, 6000));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, make_world, free_world)
#define PIECES(name) { #name " in pieces", name, make_world_in_pieces, free_world, NULL }
    const struct CMUnitTest tests[] = {
        T(a_day),
        T(flapping),
        PIECES(flapping),
        T(restarts),
        T(a_clear_time_goes_on),
        T(out_of_a_spool),
        T(availability),
        T(against_its_baseline),
        T(a_restart_changes_nothing),
        T(a_new_rule_knows_the_past),
        T(a_step_changes_nothing),
        T(silences),
        T(silences_are_bounded),
        T(the_worst_is_remembered),
        T(audited_clocks),
        T(works),
        T(acknowledged),
        T(taken_away),
        T(one_alert_for_a_dead_site),
        PIECES(one_alert_for_a_dead_site),
        T(a_restart_in_the_middle),
        T(without_sites_it_is_the_agent),
        PIECES(without_sites_it_is_the_agent),
        T(a_site_has_the_severity_of_all),
        PIECES(a_site_has_the_severity_of_all),
        T(single_pairs),
        PIECES(single_pairs),
        T(alerts_go_with_their_agent),
        cmocka_unit_test_setup_teardown(feeding_in_between, make_world, free_world),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
