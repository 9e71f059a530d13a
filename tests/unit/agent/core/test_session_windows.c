/* Availability: which windows of 10 s a session calls available, unavailable and unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "agent/core/session.h"
#include "agent/core/twamp_pkt.h"
#include "common/unavail.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424400) * S) /* a whole minute */
#define RTT (5 * MS)

struct rig {
    struct session *s;
    int64_t ns, step_ns;
    uint32_t reflected;
    struct tw_summary sum; /* of all that were fetched */
    unsigned summaries;
    struct {
        int64_t due_ns;
        uint8_t probe[64];
        size_t len;
    } late[8]; /* answers under way for longer than the timeout, in a ring */
    unsigned first, n;
};

static struct tw_now now_of(const struct rig *r)
{
    return (struct tw_now){ { r->ns + 5 * S }, { WALL0 + r->ns + r->step_ns } };
}

static void fetch(struct rig *r)
{
    struct tw_summary one;
    struct tw_err err = { 0 };

    summary_init(&one);
    while (session_next_summary(r->s, now_of(r), &one) == TW_OK) {
        if (summary_validate(&one, &err))
            fail_msg("the summary is not valid: %s %s", err.field, err.text);
        summary_merge(&r->sum, &one);
        r->summaries++;
    }
    summary_free(&one);
}

static void answer(struct rig *r, const uint8_t *probe, size_t len)
{
    struct session_rx rx = { { WALL0 + r->ns + r->step_ns + RTT }, TW_TS_KERNEL, 61, 184 };
    uint8_t wire[TWAMP_REPLY_MIN];
    struct test_probe p;
    struct test_reply a;

    twamp_decode_probe(probe, len, &p);
    a = (struct test_reply){ .seq = r->reflected++,
                             .t2 = tw_wall_to_ntp((struct tw_wall){ rx.time.ns - RTT / 2 }),
                             .t3 = tw_wall_to_ntp((struct tw_wall){ rx.time.ns - RTT / 2 }),
                             .err_est = 0x8001,
                             .sender_seq = p.seq,
                             .sender_t1 = p.t1,
                             .sender_err_est = p.err_est,
                             .ttl_known = true,
                             .sender_ttl = 60 };
    twamp_encode_reply(&a, wire, sizeof wire);
    r->ns += RTT;
    assert_int_equal(session_on_reply(r->s, now_of(r), &rx, wire, sizeof wire), TW_OK);
}

/* What the network and the host do at each second since the start: '.' answers come, 'x' none does, 'e' the
 * host cannot send, 's' the host sleeps, 'd' none comes and the host drops datagrams, 'l' the answer is late.
 */
struct row {
    const char *name, *seconds;
    int64_t period_s, spacing_ms;
    uint64_t available, unavailable, unknown;
    struct tw_unavail_run runs[4]; /* in seconds since the start */
};

#define TEN(c) c c c c c c c c c c

static const struct row rows[] = {
    { "all well", TEN(".") TEN(".") TEN("."), 30, 500, 3, 0, 0, { { 0 } } },
    { "one answer makes a window available",
      TEN("x") "xxxxxxxxx." TEN("x"),
      30,
      500,
      1,
      2,
      0,
      { { 0, 10, 1, 2 }, { 20, 30, 1, 2 } } },
    { "windows that touch are one run",
      TEN(".") TEN("x") TEN("x") TEN(".") TEN(".") TEN("x"),
      60,
      500,
      3,
      3,
      0,
      { { 10, 30, 2, 2 }, { 50, 60, 1, 2 } } },
    { "a run goes on over the end of the period",
      TEN(".") TEN("x") TEN("x") TEN("."),
      20,
      500,
      2,
      2,
      0,
      { { 10, 30, 2, 2 } } },
    { "late is lost", TEN(".") TEN("l") TEN("."), 30, 500, 2, 1, 0, { { 10, 20, 1, 2 } } },
    { "only send errors are not judged", TEN(".") TEN("e") TEN("."), 30, 500, 2, 0, 1, { { 0 } } },
    { "what could be sent is judged",
      TEN(".") "eeeeeeeeex"
               "eeeeeeeee.",
      30,
      500,
      2,
      1,
      0,
      { { 10, 20, 1, 2 } } },
    { "a host that sleeps is not judged",
      TEN(".") TEN("s") TEN("s") TEN("s") TEN("."),
      50,
      500,
      2,
      0,
      3,
      { { 0 } } },
    { "nothing received while the host drops", TEN(".") TEN("d") TEN("."), 30, 500, 2, 0, 1, { { 0 } } },
    { "drops before the window are no excuse",
      "d........." TEN("x") TEN("."),
      30,
      500,
      2,
      1,
      0,
      { { 10, 20, 1, 2 } } },
    { "a period of 15 s cuts its window",
      TEN(".") "xxxxx"
               "....." TEN("."),
      15,
      500,
      3,
      1,
      0,
      { { 10, 15, 1, 2 } } },
    { "a period of 5 s is the window",
      "....."
      "xxxxx"
      "xxxxx"
      ".....",
      5,
      500,
      2,
      2,
      0,
      { { 5, 15, 2, 2 } } },
    { "windows without a probe are none",
      TEN(".") TEN("x") TEN("x") TEN("x") TEN("x") TEN("x"),
      60,
      20000,
      1,
      2,
      0,
      { { 20, 30, 1, 2 }, { 40, 50, 1, 2 } } },
};

static void take_probe(struct rig *r, char what, const uint8_t *probe, size_t len)
{
    switch (what) {
    case '.':
        answer(r, probe, len);
        break;
    case 'e':
        session_on_send_error(r->s);
        break;
    case 'd':
        session_on_host_drops(r->s, 1);
        break;
    case 'l': /* nobody waits for it any more */
        assert_true(r->n < TW_NELEM(r->late) && len <= sizeof r->late[0].probe);
        r->late[(r->first + r->n) % TW_NELEM(r->late)].due_ns = r->ns + 1500 * MS;
        r->late[(r->first + r->n) % TW_NELEM(r->late)].len = len;
        memcpy(r->late[(r->first + r->n++) % TW_NELEM(r->late)].probe, probe, len);
        break;
    default:
        break;
    }
}

static struct rig start(int64_t period_s, int64_t spacing_ms)
{
    const struct session_cfg cfg = { .pair_id = 9,
                                     .flow = 2,
                                     .spacing_ns = spacing_ms * MS,
                                     .size_bytes = 41,
                                     .timeout_ns = 1 * S,
                                     .report_period_ns = period_s * S,
                                     .reflector_stateful = true };
    struct rig r = { 0 };

    summary_init(&r.sum);
    assert_int_equal(session_new(&cfg, NULL, now_of(&r), &r.s), TW_OK);
    return r;
}

static void finish(struct rig *r)
{
    session_free(r->s);
    summary_free(&r->sum);
}

static void run(struct rig *r, const char *seconds)
{
    int64_t end = (int64_t)strlen(seconds) * S;
    uint8_t probe[TEST_DATAGRAM_MAX];
    size_t len;

    for (int64_t at = 0; at < end; at += 250 * MS) {
        char what = seconds[at / S];
        if (r->ns < at)
            r->ns = at;
        if (what == 's')
            continue;
        for (; r->n && r->late[r->first].due_ns <= r->ns;
             r->n--, r->first = (r->first + 1) % TW_NELEM(r->late))
            answer(r, r->late[r->first].probe, r->late[r->first].len);
        if (session_next_probe(r->s, now_of(r), probe, sizeof probe, &len) == TW_OK)
            take_probe(r, what, probe, len);
        fetch(r);
    }
    r->ns = end;
    fetch(r); /* the boundary is that of the period, not of the stop */
    session_stop(r->s, now_of(r));
    r->ns = end + 5 * S;
    fetch(r);
}

static void check(const struct row *row, const struct tw_summary *s)
{
    struct stats_view v;
    size_t n = 0;

    stats_view(s, &v);
    if (v.windows_available != row->available || v.windows_unavailable != row->unavailable ||
        v.windows_unknown != row->unknown)
        fail_msg("%s: %llu available, %llu unavailable, %llu unknown", row->name,
                 (unsigned long long)v.windows_available, (unsigned long long)v.windows_unavailable,
                 (unsigned long long)v.windows_unknown);
    if (v.availability_ratio.value != (double)row->available / (double)(row->available + row->unavailable))
        fail_msg("%s: ratio %g", row->name, v.availability_ratio.value);
    for (; row->runs[n].windows; n++) {
        struct tw_unavail_run want = row->runs[n];
        want.start_ns = WALL0 + want.start_ns * S;
        want.end_ns = WALL0 + want.end_ns * S;
        if (n >= s->unavailable.n || memcmp(&s->unavailable.v[n], &want, sizeof want) != 0)
            fail_msg("%s: run %zu", row->name, n);
    }
    if (s->unavailable.n != n)
        fail_msg("%s: %u runs, expected %zu", row->name, s->unavailable.n, n);
}

static void windows_are_judged_by_the_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = start(rows[i].period_s, rows[i].spacing_ms);
        run(&r, rows[i].seconds);
        check(&rows[i], &r.sum);
        finish(&r);
    }
}

/* A clock that is slewed lets the last probes of a period be sent after its end. */
static void a_slewed_clock_counts_no_window_twice(void **state)
{
    (void)state;
    for (int64_t slew = -20 * MS; slew <= 20 * MS; slew += 40 * MS) {
        struct rig r = start(30, 10);
        uint8_t probe[TEST_DATAGRAM_MAX];
        size_t len;
        for (int64_t at = 0; at < 59950 * MS; at += 10 * MS) {
            r.ns = at;
            r.step_ns = slew * at / (60 * S);
            if (session_next_probe(r.s, now_of(&r), probe, sizeof probe, &len) == TW_OK && at >= 30 * S)
                answer(&r, probe, len);
            fetch(&r);
        }
        session_flush(r.s, now_of(&r));
        fetch(&r);
        assert_int_equal(r.sum.windows_available + r.sum.windows_unavailable, 6);
        assert_in_range(r.sum.windows_available, 3, 4); /* one answer may be of the window before */
        assert_int_equal(r.sum.unavailable.n, 1);
        finish(&r);
    }
}

static void a_step_cuts_the_window(void **state)
{
    struct rig r = start(30, 500);
    uint8_t probe[TEST_DATAGRAM_MAX];
    size_t len;

    (void)state;
    for (int64_t at = 0; at < 20 * S; at += 250 * MS) {
        r.ns = at > r.ns ? at : r.ns;
        r.step_ns = at >= 15 * S ? 3600 * S : 0;
        if (session_next_probe(r.s, now_of(&r), probe, sizeof probe, &len) == TW_OK && at < 10 * S)
            answer(&r, probe, len);
        fetch(&r);
    }
    session_stop(r.s, now_of(&r));
    r.ns += 5 * S;
    fetch(&r);
    assert_int_equal(r.sum.windows_available, 1);
    assert_int_equal(r.sum.windows_unavailable, 2);
    assert_int_equal(r.sum.unavailable.n, 2);
    assert_in_range(r.sum.unavailable.v[0].end_ns - WALL0, 15 * S, 15 * S + 20 * MS);
    finish(&r);
}

/* Probes in flight at shutdown: their fate is not known, so neither is that of their window. */
static void a_flush_does_not_judge_what_is_in_flight(void **state)
{
    struct rig r = start(30, 500);
    uint8_t probe[TEST_DATAGRAM_MAX];
    size_t len;

    (void)state;
    for (int64_t at = 0; at <= 10 * S; at += 500 * MS) {
        r.ns = at > r.ns ? at : r.ns;
        if (session_next_probe(r.s, now_of(&r), probe, sizeof probe, &len) == TW_OK && at < 9 * S)
            answer(&r, probe, len);
    }
    session_flush(r.s, now_of(&r));
    fetch(&r);
    assert_int_equal(r.sum.windows_available, 1);
    assert_int_equal(r.sum.windows_unavailable, 0);
    assert_int_equal(r.sum.windows_unknown, 1);
    finish(&r);
}

/* An hour in which every probe is lost, and one of an agent that does not count windows. */
static void long_outages_and_old_agents(void **state)
{
    struct rig r = start(60, 500);
    char seconds[3601];
    struct tw_summary old;
    struct stats_view v;

    (void)state;
    memset(seconds, 'x', 3600);
    seconds[3600] = '\0';
    run(&r, seconds);
    assert_int_equal(r.sum.windows_unavailable, 360);
    assert_int_equal(r.sum.unavailable.n, 1);
    assert_int_equal(unavail_windows(&r.sum.unavailable), 360);
    summary_init(&old);
    old.start_ns = WALL0;
    old.end_ns = WALL0 + 60 * S;
    old.sent = old.received = 60;
    old.status = TW_STATUS_OK;
    stats_view(&old, &v);
    assert_false(v.availability_ratio.known); /* not 100 % */
    summary_free(&old);
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_judged_by_the_rule),
        cmocka_unit_test(a_slewed_clock_counts_no_window_twice),
        cmocka_unit_test(a_step_cuts_the_window),
        cmocka_unit_test(a_flush_does_not_judge_what_is_in_flight),
        cmocka_unit_test(long_outages_and_old_agents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
