/* Rules of times: cron texts, changes of clocks, windows, bounds, what is expected, octets. A year against an
 * independent oracle is in controller/test_times_year.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "common/civil.h"
#include "common/splitmix.h"
#include "common/times.h"

#define S TW_NS_PER_S
#define MIN (60 * S)
#define HOUR (3600 * S)
#define DAY (24 * HOUR)

/* As in Amsterdam: 2027-03-28 01:00 UTC +1 h becomes +2 h, 2027-10-31 01:00 UTC back. */
static struct zone_change changes[] = { { 1806195600, 7200 }, { 1824944400, 3600 } };
static const struct zone zone = { .name = "test", .offset_s = 3600, .n = 2, .v = changes };
static const struct times_pace second = { .spacing_ns = S };

static int64_t at(const char *text)
{
    struct tw_wall t;

    if (tw_wall_parse(text, &t) != TW_OK)
        fail_msg("not a time: %s", text);
    return t.ns;
}

static struct times *rule(enum times_kind kind)
{
    struct times *t;

    assert_int_equal(times_new(&t), TW_OK);
    t->kind = kind;
    if (kind != TIMES_CONTINUOUS)
        t->count = 1;
    return t;
}

static void use_zone(struct times_set *s)
{
    assert_int_equal(zone_copy(&zone, &s->zone), TW_OK);
}

/* ---- Zones ---- */

static void local_times_mean_moments(void **state)
{
    static const struct {
        const char *local, *moment;
    } rows[] = {
        { "2027-01-01T12:00:00Z", "2027-01-01T11:00:00Z" },
        { "2027-07-01T12:00:00Z", "2027-07-01T10:00:00Z" },
        { "2027-03-28T01:59:59Z", "2027-03-28T00:59:59Z" },
        { "2027-03-28T02:00:00Z", "2027-03-28T01:00:00Z" },
        { "2027-03-28T02:59:59Z", "2027-03-28T01:00:00Z" },
        { "2027-03-28T03:00:00Z", "2027-03-28T01:00:00Z" },
        { "2027-10-31T01:59:59Z", "2027-10-30T23:59:59Z" },
        { "2027-10-31T02:00:00Z", "2027-10-31T00:00:00Z" },
        { "2027-10-31T02:59:59Z", "2027-10-31T00:59:59Z" },
        { "2027-10-31T03:00:00Z", "2027-10-31T02:00:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (zone_moment(&zone, at(rows[i].local) / S) != at(rows[i].moment) / S)
            fail_msg("%s is not %s", rows[i].local, rows[i].moment);
    assert_int_equal(zone_at(&zone, changes[0].at_s - 1).offset_s, 3600);
    assert_int_equal(zone_at(&zone, changes[0].at_s).offset_s, 7200);
    assert_int_equal(zone_at(&zone, changes[0].at_s).before_s, 3600);
    assert_int_equal(zone_at(&zone, changes[0].at_s).to_s, changes[1].at_s);
    assert_int_equal(zone_at(&zone, INT64_MAX / 2).offset_s, 3600);
}

/* ---- Cron ---- */

static void cron_texts(void **state)
{
    static const struct {
        const char *text, *wrong; /* "" = fine */
    } rows[] = {
        { "* * * * *", "" },
        { "*/10 8-18 * * mon-fri", "" },
        { "0,15,30-40/5 0-23/2 1-7 JAN,jul-Dec SUN", "" },
        { "  0\t0  1 1 7 ", "" },
        { "0 0 * * fri-sun", "" },
        { "@daily", "" },
        { "@Hourly", "" },
        { "@reboot", "\"@reboot\" is unknown: expected five fields, or @hourly" },
        { "", "the minute is missing: expected five fields" },
        { "1 2 3 4", "the day of week is missing" },
        { "1 2 3 4 5 6", "more than five fields" },
        { "61 * * * *", "minute \"61\": expected 0..59" },
        { "* 24 * * *", "hour \"24\": expected 0..23" },
        { "* * 0 * *", "day of month \"0\": expected 1..31" },
        { "* * * 13 *", "month \"13\": expected 1..12 or jan..dec" },
        { "* * * * 8", "day of week \"8\": expected 0..7" },
        { "* * * * funday", "day of week \"funday\": expected 0..7" },
        { "40-30 * * * *", "minute \"40-30\": expected a range from the smaller to the larger" },
        { "5/10 * * * *", "minute \"5/10\": expected a step only after * or a range" },
        { "*/0 * * * *", "minute \"*/0\": expected a step of at least 1" },
        { "*/99999 * * * *", "minute \"*/99999\": expected a step" },
        { "1, * * * *", "minute \"1,\": expected 0..59" },
        { "1- * * * *", "minute \"1-\": expected 0..59" },
        { "1x * * * *", "minute \"1x\": expected 0..59" },
        { "99999999999999999999 * * * *", "minute" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err = { 0 };
        struct times_cron c;
        enum tw_rc rc = times_cron_parse(rows[i].text, &c, &err);

        if (*rows[i].wrong ? rc != TW_EINVAL || !strstr(err.text, rows[i].wrong) : rc != TW_OK)
            fail_msg("\"%s\": %s", rows[i].text, err.text);
    }
}

/* Around the nights when clocks change, as cron(8) of Debian says. */
static void cron_over_changes_of_clocks(void **state)
{
    static const struct {
        const char *cron, *after, *next[4];
    } rows[] = {
        /* A time of day that is skipped: at the moment of the change. */
        { "30 2 * * *", "2027-03-27T12:00:00Z", { "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z" } },
        { "0,30 2 * * *", "2027-03-28T00:00:00Z", { "2027-03-28T01:00:00Z", "2027-03-29T00:00:00Z" } },
        { "30 3 * * *", "2027-03-28T00:00:00Z", { "2027-03-28T01:30:00Z", "2027-03-29T01:30:00Z" } },
        /* One that comes twice: the first time. */
        { "30 2 * * *", "2027-10-30T12:00:00Z", { "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z" } },
        { "30 1 * * *", "2027-10-30T20:00:00Z", { "2027-10-30T23:30:00Z", "2027-11-01T00:30:00Z" } },
        { "0 2,3 * * *", "2027-10-30T20:00:00Z", { "2027-10-31T00:00:00Z", "2027-10-31T02:00:00Z" } },
        /* From the middle of the second one. */
        { "45 2 * * *", "2027-10-31T01:10:00Z", { "2027-11-01T01:45:00Z" } },
        /* With *: what the clock shows. Skipped hours have nothing, doubled ones twice as much. */
        { "0 * * * *", "2027-03-28T00:00:00Z", { "2027-03-28T01:00:00Z", "2027-03-28T02:00:00Z" } },
        { "*/30 2 * * *", "2027-03-28T00:00:00Z", { "2027-03-29T00:00:00Z", "2027-03-29T00:30:00Z" } },
        { "*/30 2 * * *",
          "2027-10-30T20:00:00Z",
          { "2027-10-31T00:00:00Z", "2027-10-31T00:30:00Z", "2027-10-31T01:00:00Z",
            "2027-10-31T01:30:00Z" } },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        int64_t t = at(rows[i].after);
        struct times_cron c;

        assert_int_equal(times_cron_parse(rows[i].cron, &c, NULL), TW_OK);
        for (size_t k = 0; k < TW_NELEM(rows[i].next) && rows[i].next[k]; k++) {
            char got[TW_TIME_TEXT];

            t = times_cron_next(&c, &zone, t);
            if (t != at(rows[i].next[k]))
                fail_msg("%s after %s, %zu: %s, not %s", rows[i].cron, rows[i].after, k,
                         tw_wall_format((struct tw_wall){ t }, got), rows[i].next[k]);
        }
    }
}

static void cron_days(void **state)
{
    static const struct {
        const char *cron, *next;
    } rows[] = {
        { "0 0 13 * 5", "2027-01-08T00:00:00Z" }, /* both given: a 13th or a Friday */
        { "0 0 * * 5", "2027-01-08T00:00:00Z" },     { "0 0 13 * *", "2027-01-13T00:00:00Z" },
        { "0 0 */13 * 5", "2027-05-14T00:00:00Z" }, /* begins with *: a 1st, 14th or 27th that is a Friday */
        { "0 0 29 2 *", "2028-02-29T00:00:00Z" },    { "0 0 31 4,6,12 *", "2027-12-31T00:00:00Z" },
        { "59 23 31 12 *", "2027-12-31T23:59:00Z" }, { "0 0 * * 0", "2027-01-10T00:00:00Z" },
        { "0 0 * * 7", "2027-01-10T00:00:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct zone utc = { 0 };
        struct times_cron c;

        assert_int_equal(times_cron_parse(rows[i].cron, &c, NULL), TW_OK);
        if (times_cron_next(&c, &utc, at("2027-01-04T00:00:00Z")) != at(rows[i].next))
            fail_msg("%s does not come next at %s", rows[i].cron, rows[i].next);
    }
}

/* ---- Rules ---- */

static void what_cannot_be_is_refused(void **state)
{
    enum {
        NEVER_CRON,
        CLOSED_CRON,
        TWO_LENGTHS,
        NO_LENGTH,
        LENGTH_ONLY,
        UNTIL,
        MAX_ALONE,
        MAX_ONCE,
        AT_LATE,
        LONG,
        SPAN
    };
    static const struct {
        int what;
        const char *field, *text;
    } rows[] = {
        { NEVER_CRON, "", "never runs" },
        { CLOSED_CRON, "", "never runs" },
        { TWO_LENGTHS, "count", "not both" },
        { NO_LENGTH, "", "needs its length" },
        { LENGTH_ONLY, "for", "when they begin" },
        { UNTIL, "until", "after `start`" },
        { MAX_ALONE, "max_runs", "`start`, too" },
        { MAX_ONCE, "max_runs", "one run" },
        { AT_LATE, "", "never runs" },
        { LONG, "every", "3h is longer than a window of 2h" },
        { SPAN, "every", "from `start` to `until`" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        int w = rows[i].what;
        struct times *t = rule(w == LENGTH_ONLY || w == UNTIL  ? TIMES_CONTINUOUS
                               : w == AT_LATE || w == MAX_ONCE ? TIMES_ONCE
                               : w <= CLOSED_CRON              ? TIMES_CRON
                                                               : TIMES_INTERVAL);
        struct tw_err err = { 0 };

        t->every_ns = t->kind == TIMES_INTERVAL ? 3 * HOUR : 0;
        if (t->kind == TIMES_CRON)
            times_cron_parse(w == NEVER_CRON ? "0 0 31 2 *" : "0 3 * * *", &t->cron, NULL);
        if (w == CLOSED_CRON || w == LONG)
            times_set_add_week(&t->windows, 8 * 60, 120);
        t->for_ns = w == TWO_LENGTHS || w == LENGTH_ONLY ? S : 0;
        t->count = w == NO_LENGTH || w == LENGTH_ONLY || w == UNTIL ? 0 : 1;
        t->start_ns = w == UNTIL || w == MAX_ONCE || w == SPAN ? 1000 * S : 0;
        t->until_ns = w == UNTIL || w == AT_LATE ? 1000 * S : w == SPAN ? 1000 * S + HOUR : TIMES_NEVER;
        t->max_runs = w == MAX_ALONE || w == MAX_ONCE ? 5 : 0;
        t->at_ns = t->kind == TIMES_ONCE ? 2000 * S : 0;
        if (times_compile(t, &err) != TW_EINVAL || strcmp(err.field, rows[i].field) ||
            !strstr(err.text, rows[i].text))
            fail_msg("%zu: %s: %s", i, err.field, err.text);
        times_unref(t);
    }
}

static void runs_must_fit_between_each_other(void **state)
{
    struct times *t = rule(TIMES_INTERVAL);
    struct tw_err err = { 0 };

    (void)state;
    t->every_ns = 10 * S;
    t->count = 100;
    assert_int_equal(times_check_length(t, 100 * TW_NS_PER_MS, false, 0, &err), TW_OK);
    assert_int_equal(times_check_length(t, 101 * TW_NS_PER_MS, false, 0, &err), TW_EINVAL);
    assert_string_equal(err.field, "count");
    assert_non_null(strstr(err.text, "10s of `every`"));
    assert_int_equal(times_check_length(t, TW_NS_PER_MS, true, 0, &err), TW_EINVAL);
    t->count = 0;
    t->for_ns = 9950 * TW_NS_PER_MS;
    assert_int_equal(times_length_ns(t, 100 * TW_NS_PER_MS, false), 10 * S); /* whole spacings */
    assert_int_equal(times_length_ns(t, 100 * TW_NS_PER_MS, true), t->for_ns);
    t->kind = TIMES_CRON;
    t->for_ns = 2 * MIN;
    times_cron_parse("*/5,52 * * * *", &t->cron, NULL);
    assert_int_equal(times_check_length(t, S, false, 0, &err), TW_OK);
    t->for_ns = 2 * MIN + S;
    assert_int_equal(times_check_length(t, S, false, 0, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "2m of `cron`"));
    times_unref(t);
}

/* M08: with 1,000 sessions of 60 s no second starts more than 3 % of them, and phases stay as they are. */
static void an_interval_spreads_and_keeps_its_phase(void **state)
{
    struct times *t = rule(TIMES_INTERVAL);
    unsigned in_second[60] = { 0 };
    uint64_t rng = 1;

    (void)state;
    t->every_ns = MIN;
    assert_int_equal(times_compile(t, NULL), TW_OK);
    for (unsigned i = 0; i < 1000; i++) {
        struct times_pace p = { .spacing_ns = S, .phase_ns = (int64_t)(tw_splitmix64(&rng) % (uint64_t)MIN) };
        int64_t from = at("2027-05-01T00:00:00Z"), searched;
        struct times_span a, b;

        assert_true(times_next(t, &p, from, &a, &searched) && times_next(t, &p, from + DAY, &b, &searched));
        assert_int_equal(a.from_ns % MIN, p.phase_ns);
        assert_int_equal(b.from_ns - a.from_ns, DAY);
        in_second[a.from_ns / S % 60]++;
    }
    for (size_t i = 0; i < 60; i++)
        assert_true(in_second[i] <= 30);
    times_unref(t);
}

static void a_run_is_known_while_it_lasts(void **state)
{
    struct times *t = rule(TIMES_INTERVAL);
    struct times_pace p = { .phase_ns = 7 * S, .spacing_ns = S };
    struct times_run r;

    (void)state;
    t->every_ns = MIN;
    t->count = 10;
    t->start_ns = 1000 * MIN;
    t->until_ns = 1002 * MIN + 12 * S;
    assert_int_equal(times_compile(t, NULL), TW_OK);
    static const struct {
        int64_t now, begin, end, next; /* seconds after the start; begin -1: in none; next -1: never */
    } rows[] = {
        { -5000, -1, 0, 7 }, { 0, -1, 0, 7 },       { 6, -1, 0, 7 },
        { 7, 7, 17, 67 },    { 16, 7, 17, 67 },     { 17, -1, 0, 67 },
        { 70, 67, 77, 127 }, { 127, 127, 132, -1 }, { 132, -1, 0, -1 },
    };
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        times_look(t, &p, t->start_ns + rows[i].now * S, &r);
        assert_int_equal(r.in, rows[i].begin >= 0);
        assert_int_equal(r.next_ns, rows[i].next < 0 ? TIMES_NEVER : t->start_ns + rows[i].next * S);
        if (!r.in)
            continue;
        assert_int_equal(r.begin_ns, t->start_ns + rows[i].begin * S);
        assert_int_equal(r.end_ns, t->start_ns + rows[i].end * S);
    }
    times_unref(t);
}

static void max_runs_counts_by_the_calendar(void **state)
{
    static const struct {
        enum times_kind kind;
        bool windows, stop;
        uint64_t runs;
        const char *last;
    } rows[] = {
        { TIMES_INTERVAL, false, false, 100, "2027-01-04T16:37:00Z" },
        { TIMES_INTERVAL, false, true, 94,
          "2027-01-04T16:37:00Z" }, /* what maintenance stopped counts as done */
        { TIMES_INTERVAL, true, false, 100, "2027-01-06T10:37:00Z" },
        { TIMES_CRON, false, false, 100, "2027-01-04T16:30:00Z" },
        { TIMES_CRON, true, false, 100, "2027-01-06T10:30:00Z" },
        { TIMES_CONTINUOUS, true, false, 100, "2027-05-21T07:00:00Z" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct times *t = rule(rows[i].kind);
        struct times_pace p = { .phase_ns = 7 * MIN, .spacing_ns = S };
        int64_t after = at("2027-01-04T00:00:00Z") - 1, searched;
        struct times_span run = { 0, 0 };
        struct tw_err err = { 0 };
        uint64_t n = 0;

        use_zone(&t->windows);
        t->start_ns = after + 1;
        t->max_runs = 100;
        t->every_ns = t->kind == TIMES_INTERVAL ? 10 * MIN : 0;
        times_cron_parse("*/10 * * * *", &t->cron, NULL);
        for (unsigned d = 0; d < 5 && rows[i].windows; d++)
            times_set_add_week(&t->windows, d * 1440 + 9 * 60, 7 * 60);
        if (rows[i].stop)
            times_set_add_span(&t->stop, at("2027-01-04T12:00:00Z"), at("2027-01-04T13:00:00Z"));
        if (times_compile(t, &err) != TW_OK)
            fail_msg("%zu: %s", i, err.text);
        if (t->kind ==
            TIMES_CONTINUOUS) { /* begins at the start of each of 100 windows, the last in summer */
            assert_int_equal(times_runs(t, &p, 0, TIMES_END_NS - 1, 1000), rows[i].runs);
            assert_int_equal(t->last_ns, at(rows[i].last));
            times_unref(t);
            continue;
        }
        for (struct times_span r; times_next(t, &p, after, &r, &searched); n++, after = r.from_ns)
            run = r;
        if (n != rows[i].runs || run.from_ns != at(rows[i].last)) {
            char got[TW_TIME_TEXT];
            fail_msg("%zu: %llu runs, the last at %s", i, (unsigned long long)n,
                     tw_wall_format((struct tw_wall){ run.from_ns }, got));
        }
        assert_int_equal(searched, TIMES_NEVER);
        times_unref(t);
    }
}

static void windows_go_by_the_clock_on_the_wall(void **state)
{
    static const struct {
        const char *now, *begin, *end, *next; /* begin NULL: outside */
    } rows[] = {
        /* Sundays 02:15 to 02:45, and Saturdays 22:00 to 00:30 */
        { "2027-03-21T01:20:00Z", "2027-03-21T01:15:00Z", "2027-03-21T01:45:00Z", "2027-03-27T21:00:00Z" },
        { "2027-03-27T22:30:00Z", "2027-03-27T21:00:00Z", "2027-03-27T23:30:00Z",
          "2027-04-03T20:00:00Z" }, /* skipped */
        { "2027-03-28T01:00:00Z", NULL, NULL, "2027-04-03T20:00:00Z" },
        { "2027-10-31T00:20:00Z", "2027-10-31T00:15:00Z", "2027-10-31T00:45:00Z",
          "2027-10-31T01:15:00Z" }, /* twice */
        { "2027-10-31T01:20:00Z", "2027-10-31T01:15:00Z", "2027-10-31T01:45:00Z", "2027-11-06T21:00:00Z" },
    };
    struct times *t = rule(TIMES_CONTINUOUS);

    (void)state;
    use_zone(&t->windows);
    times_set_add_week(&t->windows, 6 * 1440 + 135, 30);
    times_set_add_week(&t->windows, 5 * 1440 + 22 * 60, 150);
    assert_int_equal(times_compile(t, NULL), TW_OK);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct times_run r;

        times_look(t, &second, at(rows[i].now), &r);
        if (r.in != !!rows[i].begin || r.next_ns != at(rows[i].next) ||
            (r.in && (r.begin_ns != at(rows[i].begin) || r.end_ns != at(rows[i].end))))
            fail_msg("%s", rows[i].now);
    }
    times_unref(t);
}

static void pieces_of_the_week_are_merged(void **state)
{
    struct times_set s = { 0 };
    struct times_span same;

    (void)state;
    times_set_add_week(&s, 100, 50);
    times_set_add_week(&s, 10, 50);
    times_set_add_week(&s, 150, 10);
    times_set_add_week(&s, 55, 50);
    assert_int_equal(s.n_week, 1);
    assert_true(s.week[0].from == 10 && s.week[0].to == 160);
    times_set_add_week(&s, TIMES_WEEK_MINUTES - 10, 25);
    assert_int_equal(s.n_week, 2);
    assert_true(s.week[0].from == 0 && s.week[1].to == TIMES_WEEK_MINUTES);
    assert_int_equal(times_set_add_week(&s, TIMES_WEEK_MINUTES, 1), TW_EINVAL);
    times_set_add_span(&s, 1000 * S, 2000 * S);
    times_set_add_span(&s, 3000 * S, 4000 * S);
    times_set_add_span(&s, 1500 * S, 3000 * S);
    assert_int_equal(s.n_spans, 1);
    assert_true(s.spans[0].from_ns == 1000 * S && s.spans[0].to_ns == 4000 * S);
    assert_true(times_set_at(&s, 3999 * S, &same));
    assert_false(times_set_at(&s, 4000 * S, &same));
    for (unsigned i = 0; i < TIMES_SPANS_MAX - 1; i++)
        assert_int_equal(times_set_add_span(&s, (10000 + 2 * i) * S, (10001 + 2 * i) * S), TW_OK);
    assert_int_equal(times_set_add_span(&s, 1, 2), TW_ENOMEM);
    times_set_clear(&s);
}

/* ---- What should be there ---- */

static void summaries_expected_of_runs(void **state)
{
    static const struct {
        int64_t begin, length, spacing, phase; /* milliseconds */
        int64_t from, to;
        uint64_t want; /* report periods of 10 s */
    } rows[] = {
        { 2000, 5000, 1000, 0, 0, 60000, 1 },      { 8000, 5000, 1000, 0, 0, 60000, 2 },
        { 8500, 2000, 1000, 900, 0, 60000, 1 },    { 8500, 2000, 1000, 200, 0, 60000, 2 },
        { 9500, 1000, 1000, 200, 0, 60000, 1 },    { 0, 60000, 1000, 0, 0, 60000, 6 },
        { 5000, 40000, 1000, 0, 10000, 60000, 4 }, { 5000, 40000, 1000, 0, 10001, 60000, 3 },
        { 5000, 40000, 1000, 0, 0, 40000, 4 },     { 5000, 40000, 1000, 0, 0, 44000, 4 },
        { 5000, 40000, 1000, 0, 0, 44001, 5 },     { 5000, 40000, 1000, 0, 5001, 20000, 1 },
        { 5000, 5000, 1000, 0, 20000, 60000, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct times *t = rule(TIMES_ONCE);
        struct times_pace p = { .spacing_ns = rows[i].spacing * TW_NS_PER_MS,
                                .probe_phase_ns = rows[i].phase * TW_NS_PER_MS };
        uint64_t got;

        t->count = 0;
        t->at_ns = DAY + rows[i].begin * TW_NS_PER_MS;
        t->for_ns = rows[i].length * TW_NS_PER_MS;
        assert_int_equal(times_compile(t, NULL), TW_OK);
        got =
            times_expected(t, &p, 10 * S, DAY + rows[i].from * TW_NS_PER_MS, DAY + rows[i].to * TW_NS_PER_MS);
        if (got != rows[i].want)
            fail_msg("row %zu: %llu", i, (unsigned long long)got);
        times_unref(t);
    }
    assert_int_equal(times_expected(NULL, NULL, 10 * S, 5 * S, 40 * S), 3);
}

static void intervals_expect_each_run(void **state)
{
    struct times *t = rule(TIMES_INTERVAL);
    struct times_pace p = { .phase_ns = 30 * S,
                            .spacing_ns = 100 * TW_NS_PER_MS,
                            .probe_phase_ns = 50 * TW_NS_PER_MS };

    (void)state;
    t->every_ns = 5 * MIN;
    t->count = 50;
    times_set_add_span(&t->stop, 2 * DAY + HOUR, 2 * DAY + 2 * HOUR);
    assert_int_equal(times_compile(t, NULL), TW_OK);
    assert_int_equal(times_expected(t, &p, 10 * S, DAY, 2 * DAY), 288);
    assert_int_equal(times_expected(t, &p, 10 * S, 2 * DAY, 3 * DAY), 276);
    p.phase_ns = 29 * S; /* over the end of a period */
    assert_int_equal(times_expected(t, &p, 10 * S, DAY, 2 * DAY), 576);
    times_unref(t);
}

static void costs_in_the_long_run(void **state)
{
    struct times *t = rule(TIMES_INTERVAL);
    struct times_pace p = { .spacing_ns = 100 * TW_NS_PER_MS };
    struct times_duty d = times_duty(NULL, &p, 10 * S);

    (void)state;
    assert_true(d.share == 1 && d.summaries_per_day == 8640);
    t->every_ns = 5 * MIN;
    t->count = 100;
    d = times_duty(t, &p, 10 * S);
    assert_true(d.runs_per_day == 288 && d.share > 0.0333 && d.share < 0.0334);
    assert_true(d.summaries_per_day > 288 && d.summaries_per_day < 576);
    times_set_add_week(&t->windows, 0, TIMES_WEEK_MINUTES / 2);
    assert_true(times_duty(t, &p, 10 * S).runs_per_day == 144);
    t->kind = TIMES_CRON;
    t->windows.n_week = 0;
    times_cron_parse("0 */6 * * *", &t->cron, NULL);
    d = times_duty(t, &p, 10 * S);
    assert_true(d.runs_per_day > 3.9 && d.runs_per_day < 4.1);
    times_cron_parse("* * * * *", &t->cron, NULL);
    d = times_duty(t, &p, 10 * S);
    assert_true(d.runs_per_day > 1430 && d.runs_per_day < 1450);
    times_unref(t);
}

/* ---- Octets ---- */

static struct times *full_rule(void)
{
    struct times *t = rule(TIMES_CRON);

    use_zone(&t->windows);
    t->start_ns = at("2027-01-01T00:00:00Z");
    t->until_ns = at("2029-01-01T00:00:00Z");
    t->max_runs = 50;
    times_cron_parse("*/7 1-20 1,15 jan-nov mon-sat", &t->cron, NULL);
    for (unsigned d = 0; d < 7; d++)
        times_set_add_week(&t->windows, d * 1440 + 100 + d, 1000);
    for (unsigned i = 0; i < 9; i++)
        times_set_add_span(&t->stop, (i + 1) * DAY, (i + 1) * DAY + HOUR);
    assert_int_equal(times_compile(t, NULL), TW_OK);
    return t;
}

static void octets_and_back(void **state)
{
    uint8_t a[TIMES_PACKED_MAX], b[TIMES_PACKED_MAX];
    struct times *t = full_rule(), *u;
    size_t n, m;

    (void)state;
    assert_int_equal(times_pack(t, a, sizeof a, &n), TW_OK);
    assert_int_equal(times_unpack(a, n, &u), TW_OK);
    memcpy(u->windows.zone.name, zone.name, 5); /* names do not go along */
    assert_true(times_same(t, u));
    assert_int_equal(times_pack(u, b, sizeof b, &m), TW_OK);
    assert_true(m == n && !memcmp(a, b, n));
    u->last_ns++;
    assert_false(times_same(t, u));
    times_unref(u);
    assert_int_equal(times_pack(t, b, n - 1, &m), TW_ENOSPC);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(times_unpack(a, i, &u), TW_OK);
    a[n] = 0;
    assert_int_equal(times_unpack(a, n + 1, &u), TW_EINVAL);
    a[0] = 2;
    assert_int_equal(times_unpack(a, n, &u), TW_EVERSION);
    times_unref(t);
}

/* The largest rule has room. */
static void the_largest_rule_fits(void **state)
{
    static uint8_t buf[TIMES_PACKED_MAX];
    struct zone big = { .n = ZONE_CHANGES_MAX };
    struct times *t = full_rule(), *u;
    size_t n;

    (void)state;
    big.v = calloc(big.n, sizeof *big.v);
    for (size_t i = 0; i < big.n; i++)
        big.v[i] = (struct zone_change){ (int64_t)i * 9000000, i % 2 ? 40000 : -40000 };
    for (int i = 0; i < 2; i++) {
        struct times_set *s = i ? &t->stop : &t->windows;

        zone_clear(&s->zone);
        zone_copy(&big, &s->zone);
        s->zone.v[0].offset_s += i;
        for (unsigned k = 0; k < TIMES_WEEK_MAX; k++)
            times_set_add_week(s, k * 19, 5);
    }
    for (unsigned i = 0; i < TIMES_SPANS_MAX; i++)
        times_set_add_span(&t->stop, TIMES_END_NS - (2 * i + 2) * S, TIMES_END_NS - (2 * i + 1) * S);
    assert_int_equal(times_pack(t, buf, sizeof buf, &n), TW_OK);
    assert_int_equal(times_unpack(buf, n, &u), TW_OK);
    times_unref(u);
    times_unref(t);
    free(big.v);
}

/* No rule makes a call take long: those that hardly ever match, or never. */
static void searches_are_bounded(void **state)
{
    struct times *t = rule(TIMES_INTERVAL);
    struct times_run r;

    (void)state;
    t->every_ns = S;
    times_set_add_week(&t->windows, 0, 5000);
    times_set_add_week(&t->stop, 0, 5000);
    assert_int_equal(times_compile(t, NULL), TW_OK); /* maintenance is no reason: it may end */
    for (int64_t now = DAY, i = 0; i < 1000; i++, now = r.next_ns) {
        times_look(t, &second, now, &r);
        assert_false(r.in || r.next_sure);
        if (r.next_ns == TIMES_NEVER)
            break;
        assert_true(r.next_ns > now);
    }
    times_unref(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_times_mean_moments),
        cmocka_unit_test(cron_texts),
        cmocka_unit_test(cron_over_changes_of_clocks),
        cmocka_unit_test(cron_days),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(runs_must_fit_between_each_other),
        cmocka_unit_test(an_interval_spreads_and_keeps_its_phase),
        cmocka_unit_test(a_run_is_known_while_it_lasts),
        cmocka_unit_test(max_runs_counts_by_the_calendar),
        cmocka_unit_test(windows_go_by_the_clock_on_the_wall),
        cmocka_unit_test(pieces_of_the_week_are_merged),
        cmocka_unit_test(summaries_expected_of_runs),
        cmocka_unit_test(intervals_expect_each_run),
        cmocka_unit_test(costs_in_the_long_run),
        cmocka_unit_test(octets_and_back),
        cmocka_unit_test(the_largest_rule_fits),
        cmocka_unit_test(searches_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
