/* Completeness by hour, and why something is missing, against a store of known holes. */
#include "tests/unit/controller/api_fixture.h"
#include "controller/completeness.h"

#define HOUR (3600 * TW_NS_PER_S)
#define T0 (INT64_C(472000) * HOUR) /* a whole hour, in 2023 */
#define AT(seconds) (T0 + (seconds)*TW_NS_PER_S)
#define NOW AT(4 * 3600)

struct got {
    bool done;
    struct completeness *c;
    struct tw_err err;
};

static void on_completeness(void *ctx, struct completeness *c, const struct tw_err *err)
{
    struct got *g = ctx;

    g->done = true;
    g->c = c;
    if (err)
        g->err = *err;
}

static struct completeness *query(struct fx *f, const struct report_filter *filter)
{
    struct got g = { 0 };

    FX_OK(completeness_run(&f->inv, f->readers, filter, NOW, on_completeness, &g));
    fx_run_until(f, &g.done, "completeness");
    if (!g.c)
        fail_msg("completeness: %s", g.err.text);
    return g.c;
}

/* Each hour as "hour:stored/expected", and of what is missing the letter of its cause. */
static const char *show(const struct completeness *c, char *buf)
{
    static const char letters[STORE_CAUSES] = { [STORE_REFUSED] = 'r',
                                                [STORE_DROPPED] = 'd',
                                                [STORE_AGENT_DOWN] = 'a',
                                                [STORE_AWAITED] = 'w',
                                                [STORE_UNKNOWN] = 'u' };
    char *at = buf;

    *buf = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct completeness_hour *h = &c->v[i];

        at += sprintf(at, "%s%s.%lld:%llu/%llu", i ? " " : "", h->pair.target,
                      (long long)((h->start_ns - T0) / HOUR), (unsigned long long)h->stored,
                      (unsigned long long)h->expected);
        for (int k = 0; k < STORE_CAUSES; k++)
            if (h->missing.of[k])
                at += sprintf(at, "%c%llu", letters[k], (unsigned long long)h->missing.of[k]);
        assert_int_equal(missing_sum(&h->missing), h->expected > h->stored ? h->expected - h->stored : 0);
    }
    if (c->truncated)
        strcat(buf, " more");
    return buf;
}

static void expect(struct fx *f, const struct report_filter *filter, const char *want)
{
    struct completeness *c = query(f, filter);
    char buf[2048];

    assert_string_equal(show(c, buf), want);
    completeness_free(c);
}

/* Summaries of whole report periods in [from, to), but for those that begin in [hole_from, hole_to). */
static void fill(struct fx *f, const struct pair *p, int from, int to, int hole_from, int hole_to)
{
    struct tw_summary rows[1500];
    struct store_batch b = {
        .agent_id = f->agent_id, .spool_id = "spool", .first_seq = f->seq + 1, .rows = rows
    };
    enum store_append_result res;
    uint64_t through;

    for (int at = from; at < to; at += 10) {
        if (at >= hole_from && at < hole_to)
            continue;
        rows[b.n] = fx_summary(f, p, 0, AT(at));
        for (int d = 0; d < 3; d++)
            hist_free(&rows[b.n].delay[d]);
        b.n++;
    }
    f->seq += b.n;
    FX_OK(store_begin(f->store, &err));
    FX_OK(store_append(f->store, &b, &res, &through, &err));
    FX_OK(store_commit(f->store, &err));
}

static void a_hole_without_a_cause(void **state)
{
    struct fx *f = *state;
    struct report_filter all = { 0 };

    fill(f, fx_pair(f, "m", "c", "ams", "fra", 1, AT(0)), 0, 4 * 3600, 3600 + 100, 3600 + 150);
    /* The last two periods are not due yet. */
    expect(f, &all, "fra.0:360/360 fra.1:355/360u5 fra.2:360/360 fra.3:358/358");
    all.incomplete = true;
    expect(f, &all, "fra.1:355/360u5");
    all.from_ns = AT(2 * 3600 + 1800);
    all.incomplete = false;
    expect(f, &all, "fra.2:360/360 fra.3:358/358");
    all.limit = 1;
    expect(f, &all, "fra.2:360/360 more");
}

/* A late summary completes its hour, and of a hole's causes each takes what it can be. */
static void causes_take_turns(void **state)
{
    struct fx *f = *state;
    const struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, AT(0)),
                      *q = fx_pair(f, "m", "c", "ams", "vie", 1, AT(0));
    struct store_refusal v = { .pair_id = q->row.id, .reason = "more than --max-sessions" };
    struct report_filter all = { .incomplete = true };
    struct tw_summary late;

    fill(f, p, 0, 4 * 3600, 7200, 9000);
    fill(f, q, 0, 4 * 3600, 7200, 10800);
    FX_OK(store_agent_lost(f->store, "ams", AT(7200), &err));
    expect(f, &all, "fra.2:180/360w180 vie.2:0/360w360");
    FX_OK(store_agent_found(f->store, "ams", AT(9000), &err));
    expect(f, &all, "fra.2:180/360a180 vie.2:0/360a181u179");
    FX_OK(store_put_refusals(f->store, "ams", &v, 1, AT(9000), &err));
    FX_OK(store_put_refusals(f->store, "ams", NULL, 0, AT(10790), &err));
    expect(f, &all, "fra.2:180/360a180 vie.2:0/360r182a178");
    late = fx_summary(f, p, 0, AT(7300));
    fx_store(f, &late);
    summary_free(&late);
    expect(f, &all, "fra.2:181/360a179 vie.2:0/360r182a178");
}

static void it_ran_all_the_time_but_was_not_heard_of(void **state)
{
    struct fx *f = *state;
    struct report_filter all = { .incomplete = true };

    fill(f, fx_pair(f, "m", "c", "ams", "fra", 1, AT(0)), 0, 4 * 3600, 7200, 7300);
    FX_OK(store_agent_lost(f->store, "ams", AT(7200), &err));
    FX_OK(store_agent_lost(f->store, "ams", AT(7600), &err)); /* is known already */
    FX_OK(store_agent_found(f->store, "ams", AT(10), &err));
    expect(f, &all, "fra.2:350/360u10");
}

static void what_the_spool_gave_up(void **state)
{
    struct fx *f = *state;
    struct report_filter all = { .incomplete = true };
    struct store_batch gap = { .agent_id = f->agent_id, .spool_id = "spool", .gap_reason = "spool_full" };
    enum store_append_result res;
    uint64_t through;

    fill(f, fx_pair(f, "m", "c", "ams", "fra", 1, AT(0)), 0, 4 * 3600, 7200, 7300);
    gap.first_seq = f->seq + 1;
    gap.gap_last_seq = f->seq + 10;
    gap.gap_from_ns = AT(7212);
    gap.gap_until_ns = AT(7302);
    FX_OK(store_begin(f->store, &err));
    FX_OK(store_append(f->store, &gap, &res, &through, &err));
    FX_OK(store_commit(f->store, &err));
    expect(f, &all, "fra.2:350/360d10");
}

/* A spool that fills while it is being sent gives up many stretches, whose surroundings overlap: they count once,
 * and do not take what others are the cause of. */
static void what_the_spool_gave_up_again_and_again(void **state)
{
    struct fx *f = *state;
    struct report_filter all = { .incomplete = true };

    fill(f, fx_pair(f, "m", "c", "ams", "fra", 1, AT(0)), 0, 4 * 3600, 7200, 7600);
    for (int i = 0; i < 5; i++) {
        struct store_batch gap = { .agent_id = f->agent_id, .spool_id = "spool", .gap_reason = "spool_full" };
        enum store_append_result res;
        uint64_t through;

        gap.first_seq = f->seq + 1;
        gap.gap_last_seq = f->seq = f->seq + 1;
        gap.gap_from_ns = AT(7212);
        gap.gap_until_ns = AT(7222 + 10 * i);
        FX_OK(store_begin(f->store, &err));
        FX_OK(store_append(f->store, &gap, &res, &through, &err));
        FX_OK(store_commit(f->store, &err));
    }
    expect(f, &all, "fra.2:320/360d6u34");
    FX_OK(store_agent_lost(f->store, "ams", AT(7400), &err)); /* and is sending what is left when it is lost */
    expect(f, &all, "fra.2:320/360d6w34");
}

/* A renamed agent takes its absences along. */
static void renamed(void **state)
{
    struct fx *f = *state;
    struct report_filter all = { .incomplete = true };
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, AT(0));

    fill(f, p, 0, 4 * 3600, 7200, 7300);
    FX_OK(store_agent_lost(f->store, "ams", AT(7200), &err));
    FX_OK(store_begin(f->store, &err));
    FX_OK(store_rename_source(f->store, "ams", "rtm", &err));
    FX_OK(store_commit(f->store, &err));
    p->row.source = names_keep(&f->inv.names, "rtm");
    expect(f, &all, "fra.2:350/360w10");
}

/* It ran once in ten minutes for one, then always: each time is judged by its own rule, whatever it is now. A
 * run that does not begin with a report period has parts of seven. */
static void rules_of_their_time(void **state)
{
    struct fx *f = *state;
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, 0);
    struct report_filter all = { 0 };
    struct store_expectation x = {
        .report_period_ns = FX_PERIOD, .flows = 1, .rule_id = 7, .spacing_ns = TW_NS_PER_S
    };
    uint8_t octets[TIMES_PACKED_MAX];
    struct times *t;
    struct tw_err e;

    FX_OK(times_new(&t));
    t->kind = TIMES_INTERVAL;
    t->every_ns = 600 * TW_NS_PER_S;
    t->for_ns = 60 * TW_NS_PER_S;
    FX_OK(times_compile(t, &err));
    FX_OK(times_pack(t, octets, sizeof octets, &x.rule_len));
    times_unref(t);
    x.rule = octets;
    FX_OK(store_pair_scheduled(f->store, p->row.id, 1, &x, AT(0), &err));
    x.rule_id = 0;
    FX_OK(store_pair_scheduled(f->store, p->row.id, 2, &x, AT(7200), &err));
    p->scheduled = true;
    fill(f, p, 7200, 4 * 3600, 0, 0);
    expect(f, &all, "fra.0:0/42u42 fra.1:0/42u42 fra.2:360/360 fra.3:358/358");
    x.rule_id = 8;
    x.rule_len = 0;
    assert_int_equal(store_pair_scheduled(f->store, p->row.id, 3, &x, AT(9000), &e), TW_EINVAL);
}

/* Its only run in four hours begins in the slot that it had then: the first hour's last, later the third hour's first. */
static void slots_of_their_time(void **state)
{
    struct fx *f = *state;
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, 0);
    struct store_expectation x = {
        .report_period_ns = FX_PERIOD, .flows = 1, .rule_id = 7, .spacing_ns = TW_NS_PER_S, .slot = 60
    };
    struct report_filter all = { .from_ns = AT(-8 * 3600), .to_ns = AT(0) };
    uint8_t octets[TIMES_PACKED_MAX];
    struct times *t;

    FX_OK(times_new(&t));
    t->kind = TIMES_INTERVAL;
    t->every_ns = 4 * 3600 * TW_NS_PER_S;
    t->for_ns = 10 * TW_NS_PER_S;
    FX_OK(times_compile(t, &err));
    FX_OK(times_pack(t, octets, sizeof octets, &x.rule_len));
    times_unref(t);
    x.rule = octets;
    FX_OK(store_pair_scheduled(f->store, p->row.id, 1, &x, AT(-8 * 3600), &err));
    x.slot = 121;
    FX_OK(store_pair_scheduled(f->store, p->row.id, 2, &x, AT(-4 * 3600), &err));
    FX_OK(store_pair_scheduled(f->store, p->row.id, 3, &x, AT(-3 * 3600), &err)); /* the same: it goes on */
    p->scheduled = true;
    expect(f, &all, "fra.-8:0/2u2 fra.-2:0/2u2");
}

static void odd_spans(void **state)
{
    struct fx *f = *state;
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(0) };
    struct got g = { 0 };

    assert_int_equal(completeness_run(&f->inv, f->readers, &filter, NOW, on_completeness, &g), TW_EINVAL);
    filter = (struct report_filter){ .from_ns = 1, .to_ns = INT64_MAX / 2 };
    expect(f, &filter, "");
}

static int setup(void **state)
{
    *state = fx_new(1, 8);
    return 0;
}

static int teardown(void **state)
{
    fx_free(*state);
    return 0;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_hole_without_a_cause),
        T(causes_take_turns),
        T(it_ran_all_the_time_but_was_not_heard_of),
        T(what_the_spool_gave_up),
        T(what_the_spool_gave_up_again_and_again),
        T(renamed),
        T(rules_of_their_time),
        T(slots_of_their_time),
        T(odd_spans),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
