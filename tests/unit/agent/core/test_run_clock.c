/* Runs of sessions in simulated time: a session is made for each run as run_clock says, and every probe and
 * every summary is counted, also while the wall clock is set and after a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include "agent/core/run_clock.h"
#include "agent/core/session.h"

#define S TW_NS_PER_S
#define MS TW_NS_PER_MS
#define START (INT64_C(1800000000) * S) /* divisible by minutes and hours */
#define LEAD S
#define PERIOD (10 * S)

struct sim {
    struct run_clock clock;
    struct times *times;
    struct session *session, *before; /* the run before may have its last probes to send yet */
    struct tw_now now;
    int64_t wake_ns;           /* wall */
    struct tw_mono wake;       /* what a timer on the monotonic clock makes of it */
    int64_t first_ns, last_ns; /* of all probes: wall */
    uint64_t sent, summaries, runs, missed;
};

static void take_summaries(struct sim *m, struct session **of)
{
    struct tw_summary s;

    summary_init(&s);
    while (*of && session_next_summary(*of, m->now, &s) == TW_OK) {
        m->summaries++;
        assert_true(s.start_ns < s.end_ns && s.end_ns - s.start_ns <= PERIOD);
    }
    summary_free(&s);
    if (*of && session_done(*of)) {
        session_free(*of);
        *of = NULL;
    }
}

static void end_one(struct sim *m, struct session **of)
{
    if (!*of)
        return;
    session_flush(*of, m->now);
    take_summaries(m, of);
}

static void end_session(struct sim *m)
{
    end_one(m, &m->before);
    end_one(m, &m->session);
}

static void judge(struct sim *m)
{
    struct session_cfg c = { .pair_id = 1,
                             .spacing_ns = m->clock.pace.spacing_ns,
                             .spacing_kind = m->clock.pace.exponential ? SESSION_EXPONENTIAL : SESSION_FIXED,
                             .phase_ns = m->clock.pace.probe_phase_ns,
                             .size_bytes = 100,
                             .timeout_ns = S,
                             .report_period_ns = PERIOD,
                             .seed = 7 };
    struct run_order o;

    run_clock_judge(&m->clock, m->now.wall.ns, LEAD, &o);
    m->missed += o.missed;
    if (o.begin) {
        end_one(m, &m->before);
        m->before = m->session;
        c.start_ns = o.start_ns;
        c.stop_ns = o.stop_ns;
        assert_int_equal(session_new(&c, NULL, m->now, &m->session), TW_OK);
        m->runs++;
    }
    m->wake_ns = o.wake_ns;
    m->wake = o.wake_ns == TIMES_NEVER ? TW_MONO_NEVER
                                       : (struct tw_mono){ m->now.mono.ns + (o.wake_ns - m->now.wall.ns) };
}

static void send_probe(struct sim *m, struct session **of)
{
    uint8_t buf[200];
    size_t len;

    if (session_next_probe(*of, m->now, buf, sizeof buf, &len) == TW_OK) {
        m->sent++;
        m->first_ns = m->first_ns ? m->first_ns : m->now.wall.ns;
        m->last_ns = m->now.wall.ns;
    }
    take_summaries(m, of);
}

static void advance_to(struct sim *m, int64_t wall_ns)
{
    int64_t end = m->now.mono.ns + (wall_ns - m->now.wall.ns);

    for (;;) {
        struct tw_mono first = m->before ? session_next_due(m->before) : TW_MONO_NEVER;
        struct tw_mono due = m->session ? session_next_due(m->session) : TW_MONO_NEVER;
        struct session **of = first.ns < due.ns ? &m->before : &m->session;
        int64_t to;
        bool wake;

        due = first.ns < due.ns ? first : due;
        wake = m->wake.ns <= due.ns;
        to = wake ? m->wake.ns : due.ns;

        if (to > end)
            break;
        if (to > m->now.mono.ns) {
            m->now.wall.ns += to - m->now.mono.ns;
            m->now.mono.ns = to;
        }
        if (wake)
            judge(m);
        else
            send_probe(m, of);
    }
    m->now.wall.ns += end - m->now.mono.ns;
    m->now.mono.ns = end;
}

/* As schedule_run_clock_set() does. */
static void set_clock(struct sim *m, int64_t by_ns)
{
    m->now.wall.ns += by_ns;
    if (m->session && !run_clock_goes_on(&m->clock, m->now.wall.ns))
        end_session(m);
    judge(m);
}

static struct sim start(struct times *t, const struct times_pace *p)
{
    struct sim m = { .clock = RUN_CLOCK_INIT(t, *p), .times = t, .now = { { 5 * S }, { START } } };

    assert_int_equal(times_compile(t, NULL), TW_OK);
    judge(&m);
    return m;
}

static void stop(struct sim *m)
{
    end_session(m);
    times_unref(m->times);
}

static struct times *interval(int64_t every_ns, uint32_t count)
{
    struct times *t;

    assert_int_equal(times_new(&t), TW_OK);
    t->kind = TIMES_INTERVAL;
    t->every_ns = every_ns;
    t->count = count;
    return t;
}

static const struct times_pace pace = { .phase_ns = 7 * S,
                                        .spacing_ns = 100 * MS,
                                        .probe_phase_ns = 33 * MS };

/* ---- Tests ---- */

static void each_run_has_its_probes_and_summaries(void **state)
{
    static const struct {
        int64_t every, phase, spacing;
        uint32_t count;
        int64_t for_;
        uint64_t runs, probes;
    } rows[] = {
        /* of a day */
        { 300 * S, 7 * S, 100 * MS, 50, 0, 288, 288 * 50 },
        { 300 * S, 29 * S, 100 * MS, 50, 0, 288, 288 * 50 },        /* over the end of a report period */
        { 300 * S, 2 * S, 1000 * MS, 0, 9500 * MS, 288, 288 * 10 }, /* whole spacings */
        { 2 * S, 1200 * MS, 100 * MS, 5, 0, 43200, 43200 * 5 },
        { 60 * S, 59 * S, 30 * MS, 1, 0, 1440, 1440 },
        { 10 * S, 3 * S, 100 * MS, 100, 0, 361 * 24,
          36000 * 24 }, /* one after the other, the first for its rest */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct times *t = interval(rows[i].every, rows[i].count);
        struct times_pace p = { rows[i].phase, rows[i].spacing, rows[i].spacing / 3, false };
        int64_t days = rows[i].every > 10 * S ? 1 : 0, end = START + (days ? 86400 : 3600) * S;
        uint64_t part = days ? 1 : 24;
        struct times_run last;
        struct sim m;

        t->for_ns = rows[i].for_;
        m = start(t, &p);
        advance_to(&m, end);
        if (m.runs != rows[i].runs / part || m.sent != rows[i].probes / part || m.missed)
            fail_msg("row %zu: %llu runs, %llu probes", i, (unsigned long long)m.runs,
                     (unsigned long long)m.sent);
        end_session(&m);
        times_look(t, &p, end, &last);
        m.summaries -= last.in; /* what has begun just now is cut off */
        if (m.summaries != times_expected(t, &p, PERIOD, START, end))
            fail_msg("row %zu: %llu summaries, %llu expected", i, (unsigned long long)m.summaries,
                     (unsigned long long)times_expected(t, &p, PERIOD, START, end));
        stop(&m);
    }
}

static void random_gaps_stay_within_their_run(void **state)
{
    struct times *t = interval(60 * S, 0);
    struct times_pace p = { 5 * S, 100 * MS, 10 * MS, true };
    struct sim m;

    (void)state;
    t->for_ns = 10 * S;
    m = start(t, &p);
    for (int i = 0; i < 100; i++) {
        m.first_ns = 0;
        advance_to(&m, START + (i + 1) * 60 * S);
        assert_true(m.first_ns >= START + i * 60 * S + 5 * S && m.last_ns < START + i * 60 * S + 15 * S);
    }
    assert_int_equal(m.runs, 100);
    assert_true(m.sent > 9000 && m.sent < 11000);
    stop(&m);
}

static void nothing_is_sent_after_until(void **state)
{
    struct times *t = interval(60 * S, 100);
    struct sim m;

    (void)state;
    t->until_ns = START + 187 * S + 2 * S + 1; /* in the middle of the fourth run */
    m = start(t, &pace);
    advance_to(&m, START + 3600 * S);
    assert_int_equal(m.runs, 4);
    assert_int_equal(m.sent, 3 * 100 + 20);
    assert_true(m.last_ns < t->until_ns);
    assert_int_equal(m.wake.ns, TW_MONO_NEVER.ns); /* nothing wakes it up any more */
    stop(&m);
}

static void a_restart_goes_on_with_the_rest_of_a_run(void **state)
{
    struct times *t = interval(60 * S, 100);
    struct sim m = start(t, &pace);

    (void)state;
    advance_to(&m, START + 67 * S + 4 * S); /* 40 of the second run have been sent */
    end_session(&m);
    assert_int_equal(m.sent, 140);
    m.clock = (struct run_clock)RUN_CLOCK_INIT(t, pace); /* all that it knew is lost */
    judge(&m);
    advance_to(&m, START + 120 * S);
    assert_int_equal(m.sent, 200);
    advance_to(&m, START + 180 * S);
    assert_int_equal(m.sent, 300);
    assert_int_equal(m.missed, 0);
    stop(&m);
}

static void a_clock_that_is_set_repeats_nothing_and_counts_what_is_missed(void **state)
{
    static const struct {
        int64_t at, by;              /* after the start; seconds */
        uint64_t runs, sent, missed; /* an hour after the start, by the wall clock */
    } rows[] = {
        { 600, -10, 60, 6000, 0 },     /* between two runs, of which neither comes again */
        { 610, -10, 60, 6000, 0 },     /* in a run: it goes on to its end */
        { 618, -10, 60, 6000, 0 },     /* just after one */
        { 600, -3000, 60, 6000, 0 },   /* runs that were done are not done again */
        { 600, 10, 60, 6000 - 30, 0 }, /* into a run, of which 3 s are gone */
        { 600, 20, 59, 5900, 1 },      /* over a whole one */
        { 600, 1200, 40, 4000, 20 },
        { 610, 600, 51, 5000, 9 }, /* into the rest of another run: 30 of the one and 70 of the other */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct times *t = interval(60 * S, 100);
        struct sim m = start(t, &pace);

        advance_to(&m, START + rows[i].at * S);
        set_clock(&m, rows[i].by * S);
        advance_to(&m, START + 3600 * S);
        if (m.runs != rows[i].runs || m.sent != rows[i].sent || m.missed != rows[i].missed)
            fail_msg("row %zu: %llu runs, %llu probes, %llu missed", i, (unsigned long long)m.runs,
                     (unsigned long long)m.sent, (unsigned long long)m.missed);
        stop(&m);
    }
}

static void a_window_ends_by_the_wall_clock(void **state)
{
    struct times *t;
    struct sim m;

    (void)state;
    assert_int_equal(times_new(&t), TW_OK);
    t->start_ns = START + 100 * S;
    t->until_ns = START + 1100 * S;
    m = start(t, &pace);
    advance_to(&m, START + 600 * S);
    assert_int_equal(m.sent, 5000);
    set_clock(&m, -200 * S); /* another 200 s to go */
    advance_to(&m, START + 2000 * S);
    assert_int_equal(m.sent, 12000);
    assert_true(m.last_ns < t->until_ns);
    stop(&m);
}

static void a_host_that_stood_still_sends_no_burst(void **state)
{
    struct times *t = interval(60 * S, 100);
    struct sim m = start(t, &pace);

    (void)state;
    advance_to(&m, START + 12 * S);
    assert_int_equal(m.sent, 50);
    m.now.wall.ns += 30 * S; /* over the end of the run */
    m.now.mono.ns += 30 * S;
    advance_to(&m, START + 60 * S);
    assert_int_equal(m.sent, 50); /* none a second after the end */
    advance_to(&m, START + 120 * S);
    assert_int_equal(m.sent, 150);
    stop(&m);
}

static void outside_of_runs_there_is_one_timer(void **state)
{
    struct times *t;
    struct sim m;

    (void)state;
    assert_int_equal(times_new(&t), TW_OK);
    t->kind = TIMES_ONCE;
    t->count = 10;
    t->at_ns = START + 86400 * S;
    m = start(t, &pace);
    assert_null(m.session);
    assert_int_equal(m.wake_ns, t->at_ns - LEAD);
    advance_to(&m, START + 2 * 86400 * S);
    assert_true(m.runs == 1 && m.sent == 10 && m.summaries == 1);
    stop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_run_has_its_probes_and_summaries),
        cmocka_unit_test(random_gaps_stay_within_their_run),
        cmocka_unit_test(nothing_is_sent_after_until),
        cmocka_unit_test(a_restart_goes_on_with_the_rest_of_a_run),
        cmocka_unit_test(a_clock_that_is_set_repeats_nothing_and_counts_what_is_missed),
        cmocka_unit_test(a_window_ends_by_the_wall_clock),
        cmocka_unit_test(a_host_that_stood_still_sends_no_burst),
        cmocka_unit_test(outside_of_runs_there_is_one_timer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
