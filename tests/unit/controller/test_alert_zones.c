/* Weekly maintenance in zones whose clocks change: alerts are quiet for exactly as long as the clock on the
 * wall of the zone says, in simulated time, over both changes of a year. A pair loses all the time and is
 * told of again and again: that shows both ends. */
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

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(quiet_by_the_clock_on_the_wall) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
