/* Weekly maintenance and weekly windows in zones whose clocks change, in simulated time, over both changes of
 * a year: alerts are quiet for exactly as long as the clock on the wall of the zone says. In maintenance a
 * pair loses all the time and is told of again and again: that shows both ends. Of windows nothing comes
 * outside, and what should come inside stays away from some moment on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "controller/core/alert.h"
#include "controller/core/class_times.h"
#include "controller/zone_table.h"

#define S TW_NS_PER_S
#define PERIOD (10 * S)
#define REPEAT (60 * S)
#define AROUND (2 * 3600 * S) /* before and after the maintenance */
#define SUNDAY (6 * 1440)     /* minutes of the week before it */

struct world {
    struct maintenance m;
    struct class_times times;
    int64_t now_ns, told_ns[2048]; /* when it was told of */
    size_t n;
};

static void changed(void *ctx, const struct alert *a)
{
    (void)ctx;
    (void)a;
}

static void notice(void *ctx, const struct alert *a, enum alert_notice n)
{
    struct world *w = ctx;

    (void)a;
    (void)n;
    assert_in_range(w->n, 0, TW_NELEM(w->told_ns) - 1);
    w->told_ns[w->n++] = w->now_ns;
}

static bool alive(void *ctx, const struct alert *a)
{
    (void)ctx;
    (void)a;
    return true;
}

static bool maintenance(void *ctx, const struct alert *a, int64_t now_ns, char *buf, size_t cap)
{
    const struct maintenance *m = class_times_maintenance(&((struct world *)ctx)->times, now_ns);

    (void)a;
    if (m)
        snprintf(buf, cap, "%s", m->reason);
    return m != NULL;
}

static size_t end_labels(void *ctx, const struct alert *a, unsigned end, const struct tw_label **ret)
{
    (void)ctx;
    (void)a;
    (void)end;
    *ret = NULL;
    return 0;
}

static void note_baseline(void *ctx, uint64_t pair_id, unsigned slot, const char *text)
{
    (void)ctx;
    (void)pair_id;
    (void)slot;
    (void)text;
}

static void make_world(struct world *w, const char *name)
{
    char near[ZONE_NAME];

    *w = (struct world){ .m.reason = "weekly" };
    if (zone_table_make(name, &w->m.when.zone, near) != TW_OK)
        fail_msg("no zone %s", name);
    assert_int_equal(times_set_add_week(&w->m.when, SUNDAY + 60, 180), TW_OK);
    w->times = (struct class_times){ .maintenance = &w->m, .n_maintenance = 1 };
}

static struct alert_engine *make_engine(struct world *w, const struct alert_rules *rules)
{
    const struct alert_conf c = { w,           changed,    changed,       notice, alive,
                                  maintenance, end_labels, note_baseline, NULL,   0 };
    struct alert_engine *e;

    assert_int_equal(alert_engine_new(&c, &e), TW_OK);
    alert_engine_set_rules(e, rules);
    return e;
}

static void lose(struct world *w, struct alert_engine *e, int64_t until_ns)
{
    const struct alert_subject s = {
        .pair_id = 1, .mesh = "m", .class_name = "c", .source = "a", .target = "b"
    };
    const struct stats_view v = {
        .sent = 100, .lost = 100, .loss_ratio = { true, 1 }, .host_trouble = "none"
    };

    while (w->now_ns < until_ns) {
        w->now_ns += PERIOD;
        assert_int_equal(alert_engine_feed(e, &s,
                                           &(struct alert_facts){ .start_ns = w->now_ns - PERIOD,
                                                                  .end_ns = w->now_ns,
                                                                  .period_ns = PERIOD,
                                                                  .view = &v },
                                           w->now_ns),
                         TW_OK);
        assert_int_equal(alert_engine_tick(e, w->now_ns), TW_OK);
    }
}

/* Told of until it begins, not at all in it, and at once when it is over. */
static void check(const struct world *w, const char *what, int64_t from_ns, int64_t to_ns)
{
    int64_t last_ns = 0, next_ns = INT64_MAX;

    for (size_t i = 0; i < w->n; i++) {
        int64_t at_ns = w->told_ns[i];

        if (at_ns >= from_ns && at_ns < to_ns)
            fail_msg("%s: told of %lld s after its begin", what, (long long)((at_ns - from_ns) / S));
        if (at_ns < from_ns)
            last_ns = at_ns;
        else if (next_ns == INT64_MAX)
            next_ns = at_ns;
    }
    if (from_ns - last_ns > REPEAT + PERIOD || next_ns - to_ns > PERIOD)
        fail_msg("%s: quiet from %lld s before its begin to %lld s after its end", what,
                 (long long)((from_ns - last_ns) / S), (long long)((next_ns - to_ns) / S));
}

/* Sundays from 01:00 to 04:00 on the wall. */
static const struct {
    const char *zone, *from, *to;
} sundays[] = {
    { "Europe/Amsterdam", "2026-03-22T00:00:00Z", "2026-03-22T03:00:00Z" },
    { "Europe/Amsterdam", "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z" }, /* an hour is left out */
    { "Europe/Amsterdam", "2026-04-04T23:00:00Z", "2026-04-05T02:00:00Z" },
    { "Europe/Amsterdam", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z" }, /* an hour comes twice */
    { "Europe/Amsterdam", "2026-11-01T00:00:00Z", "2026-11-01T03:00:00Z" },
    { "America/New_York", "2026-03-08T06:00:00Z", "2026-03-08T08:00:00Z" },
    { "America/New_York", "2026-03-15T05:00:00Z", "2026-03-15T08:00:00Z" },
    { "America/New_York", "2026-11-01T05:00:00Z", "2026-11-01T09:00:00Z" },
    { "America/New_York", "2026-11-08T06:00:00Z", "2026-11-08T09:00:00Z" },
    { "Australia/Lord_Howe", "2026-04-04T14:00:00Z",
      "2026-04-04T17:30:00Z" }, /* half an hour, in the other half of the year */
    { "Australia/Lord_Howe", "2026-10-03T14:30:00Z", "2026-10-03T17:00:00Z" },
    { "Asia/Kathmandu", "2026-03-28T19:15:00Z", "2026-03-28T22:15:00Z" }, /* never changes */
    { "UTC", "2026-10-25T01:00:00Z", "2026-10-25T04:00:00Z" },
};

static void quiet_by_the_clock_on_the_wall(void **state)
{
    struct alert_rule rule = { .name = "loss", .metric = ALERT_LOSS, .direction = TW_UNKNOWN };
    struct alert_rules rules;

    (void)state;
    alert_rules_init(&rules);
    rule.level[ALERT_WARNING] = (struct alert_level){ true, 0.05, 0.02 };
    rules.rules = &rule;
    rules.n_rules = 1;
    rules.wait_ns = 0;
    rules.repeat_ns = REPEAT;
    for (size_t i = 0; i < TW_NELEM(sundays); i++) {
        struct tw_wall from, to;
        struct alert_engine *e;
        struct world w;
        char what[64];

        assert_int_equal(tw_wall_parse(sundays[i].from, &from), TW_OK);
        assert_int_equal(tw_wall_parse(sundays[i].to, &to), TW_OK);
        snprintf(what, sizeof what, "%s, %s", sundays[i].zone, sundays[i].from);
        make_world(&w, sundays[i].zone);
        e = make_engine(&w, &rules);
        w.now_ns = from.ns - AROUND;
        lose(&w, e, to.ns + AROUND);
        check(&w, what, from.ns, to.ns);
        alert_engine_free(e);
        times_set_clear(&w.m.when);
    }
}

/* ---- Windows ---- */

#define REPORT (60 * S)
#define ON_THE_WAY (5 * S) /* from the end of a report period until it is here */
#define LEVEL (180 * S)
#define ALL_WEEK (7 * 86400 * S)

struct watched {
    struct world w;
    struct class_times times;
    struct alert_engine *e;
    struct alert_rule rule;
    struct alert_rules rules;
    int64_t heard_ns, last_ns; /* what ends later does not come */
};

static const struct pair_key key = { .mesh = "m", .class_name = "c", .source = "a", .target = "b", .id = 1 };

static void watch(struct watched *x, const char *zone, enum times_kind kind)
{
    struct tw_err err = { 0 };
    struct times *t;

    *x = (struct watched){ .rule = { .name = "silent", .metric = ALERT_NO_DATA, .direction = TW_UNKNOWN },
                           .last_ns = INT64_MAX };
    make_world(&x->w, zone);
    x->w.times.n_maintenance = 0;
    assert_int_equal(times_new(&t), TW_OK);
    t->kind = kind;
    t->every_ns = kind == TIMES_INTERVAL ? 300 * S : 0;
    t->for_ns = kind == TIMES_INTERVAL ? 20 * S : 0;
    t->windows = x->w.m.when; /* Sundays from 01:00 to 04:00 on the wall */
    x->w.m.when = (struct times_set){ 0 };
    if (times_compile(t, &err) != TW_OK)
        fail_msg("%s: %s", zone, err.text);
    x->times = (struct class_times){
        .times = t, .id = 1, .spacing_ns = S / 10, .report_period_ns = REPORT, .flows = 1
    };
    alert_rules_init(&x->rules);
    x->rule.level[ALERT_WARNING] = (struct alert_level){ true, (double)(LEVEL / S), 60 };
    x->rules.rules = &x->rule;
    x->rules.n_rules = 1;
    x->rules.wait_ns = 0;
    x->rules.repeat_ns = ALL_WEEK;
    x->e = make_engine(&x->w, &x->rules);
}

static void unwatch(struct watched *x)
{
    alert_engine_free(x->e);
    times_unref(x->times.times);
}

/* A second of the controller: a report may come, and the pair is looked at. What should come is said by
 * [from, to) of the test, not by the rule. */
static void look(struct watched *x, int64_t from_ns, int64_t to_ns)
{
    const struct alert_subject s = {
        .pair_id = 1, .mesh = "m", .class_name = "c", .source = "a", .target = "b"
    };
    int64_t now_ns = x->w.now_ns += S, end_ns = now_ns - ON_THE_WAY, silent_ns;

    if (end_ns % REPORT == 0 && end_ns > from_ns && end_ns <= to_ns && end_ns <= x->last_ns)
        x->heard_ns = now_ns;
    silent_ns = class_times_silence(&x->times, &key, x->heard_ns, now_ns);
    assert_int_equal(alert_engine_absent(x->e, &s,
                                         silent_ns < 0
                                             ? (struct tw_num){ 0 }
                                             : (struct tw_num){ true, (double)silent_ns / (double)S },
                                         now_ns),
                     TW_OK);
    assert_int_equal(alert_engine_tick(x->e, now_ns), TW_OK);
}

/* From two hours before to two hours after; something came at the end of the last week's window. When it
 * was told of, or -1. */
static int64_t told_of(struct watched *x, int64_t from_ns, int64_t to_ns, int64_t last_ns)
{
    x->w.now_ns = from_ns - AROUND;
    x->w.n = 0;
    x->heard_ns = from_ns - ALL_WEEK + 4 * 3600 * S; /* whatever the clock did: the window was over */
    x->last_ns = last_ns;
    while (x->w.now_ns < to_ns + AROUND)
        look(x, from_ns, to_ns);
    return x->w.n ? x->w.told_ns[0] : -1;
}

static void silence_is_told_of_in_windows_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(sundays); i++) {
        struct tw_wall from, to;
        const struct {
            const char *what;
            int64_t stays_away_s, told_s; /* after the begin; -1: never */
        } rows[] = {
            { "all comes", -1, -1 },
            { "nothing comes", 0, LEVEL / S },
            { "half an hour comes", 1800, 1800 + (ON_THE_WAY + LEVEL) / S },
        };

        assert_int_equal(tw_wall_parse(sundays[i].from, &from), TW_OK);
        assert_int_equal(tw_wall_parse(sundays[i].to, &to), TW_OK);
        for (size_t k = 0; k < TW_NELEM(rows); k++) {
            int64_t last_ns = rows[k].stays_away_s < 0 ? INT64_MAX : from.ns + rows[k].stays_away_s * S,
                    at_ns;
            struct watched x;

            watch(&x, sundays[i].zone, TIMES_CONTINUOUS);
            at_ns = told_of(&x, from.ns, to.ns, last_ns);
            if (rows[k].told_s < 0 ? at_ns >= 0 : at_ns != from.ns + rows[k].told_s * S)
                fail_msg("%s, %s, %s: told of %lld s after the begin", sundays[i].zone, sundays[i].from,
                         rows[k].what, (long long)((at_ns - from.ns) / S));
            unwatch(&x);
        }
    }
}

/* The last report before the end of a window does not come: in that window there is no time to tell, the week
 * between does not count, and in the next one it begins anew. */
static void the_week_between_windows_does_not_count(void **state)
{
    struct watched x;
    struct tw_wall from, to;
    int64_t next_ns;

    (void)state;
    assert_int_equal(tw_wall_parse("2026-03-22T00:00:00Z", &from), TW_OK); /* Europe/Amsterdam */
    assert_int_equal(tw_wall_parse("2026-03-22T03:00:00Z", &to), TW_OK);
    next_ns = from.ns + ALL_WEEK;
    watch(&x, "Europe/Amsterdam", TIMES_CONTINUOUS);
    assert_int_equal(told_of(&x, from.ns, to.ns, to.ns - REPORT), -1);
    while (x.w.now_ns < next_ns + 1800 * S)
        look(&x, from.ns, to.ns);
    assert_int_equal(x.w.n, 1);
    assert_int_equal(x.w.told_ns[0], next_ns + LEVEL);
    unwatch(&x);
}

/* Runs of 20 s each five minutes, inside of windows: time between them counts from the first on that brought
 * nothing. */
static void runs_that_bring_nothing_add_up(void **state)
{
    struct watched x;
    struct tw_wall from, to;
    int64_t at_ns, first_ns;

    (void)state;
    assert_int_equal(tw_wall_parse("2026-10-24T23:00:00Z", &from), TW_OK);
    assert_int_equal(tw_wall_parse("2026-10-25T03:00:00Z", &to), TW_OK);
    watch(&x, "Europe/Amsterdam", TIMES_INTERVAL);
    assert_int_equal(told_of(&x, from.ns, to.ns, INT64_MAX), -1);
    first_ns = class_times_next(&x.times, &key, from.ns - 1);
    assert_in_range(first_ns, from.ns, from.ns + 300 * S);
    at_ns = told_of(&x, from.ns, to.ns, from.ns);
    assert_int_equal(at_ns / S,
                     first_ns / S + 300 + (first_ns % S != 0)); /* in the second run, at its begin */
    unwatch(&x);
}

static void who_always_runs_is_silent_from_the_first_moment(void **state)
{
    (void)state;
    assert_int_equal(class_times_silence(NULL, &key, 5 * S, 65 * S), 60 * S);
    assert_int_equal(class_times_silence(NULL, &key, 65 * S, 5 * S), 0); /* a clock went back */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_by_the_clock_on_the_wall),
        cmocka_unit_test(silence_is_told_of_in_windows_only),
        cmocka_unit_test(the_week_between_windows_does_not_count),
        cmocka_unit_test(runs_that_bring_nothing_add_up),
        cmocka_unit_test(who_always_runs_is_silent_from_the_first_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
