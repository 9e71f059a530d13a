#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "agent/core/lossdir.h"

/* A script of what happens, in order:
 *   N      the next probe is answered with number N            .      the next probe is lost
 *   dN     the answer to the newest probe comes again as N     |      the next probes are of the next period
 *   oN     probes were overtaken by N                          c      the first period closes */
static const struct {
    const char *name;
    bool stateful;
    const char *script;
    struct lossdir_verdict want[3]; /* by period */
} rows[] = {
    { "nothing lost", true, "0 1 2 3", { { 0 } } },
    { "the worked example", true, "0 1 . . 2 3 . 5 . 7", { { 0, 2, 2, 0 } } },
    { "the same when found out", false, "0 1 . . 2 3 . 5 . 7", { { 0, 2, 2, 0 } } },
    { "only backward, configured", true, "0 . 2 . 4", { { 0, 0, 2, 0 } } },
    { "only backward, not configured", false, "0 . 2 . 4", { { 0, 0, 0, 2 } } },
    { "known from the first difference on", false, "0 . 2 . 3 . 5", { { 0, 1, 1, 1 } } },
    { "start lost on the way out", true, ". . 0", { { 0, 2, 0, 0 } } },
    { "start lost on the way back", true, ". . 2", { { 0, 0, 2, 0 } } },
    { "start lost both ways", true, ". . 1", { { 0, 1, 1, 0 } } },
    { "reflector had counted before", true, ". . 7 8 . 9", { { 0, 1, 0, 2 } } },
    { "tail", true, "0 1 . . c", { { 0, 0, 0, 2 } } },
    { "all lost", true, ". . . c", { { 0, 0, 0, 3 } } },
    { "tail decided by the next period", true, "0 . | 1 c", { { 0, 1, 0, 0 } } },
    { "pure gap across a boundary", true, "0 . . | . 1", { { 0, 2, 0, 0 }, { 1, 1, 0, 0 } } },
    { "mixed gap across a boundary", true, "0 . . | . 2", { { 0, 1, 0, 1 }, { 1, 0, 0, 1 } } },
    { "mixed gap, mostly in one period", true, "0 . . . | . 3", { { 0, 1, 1, 1 }, { 1, 0, 0, 1 } } },
    { "the first period closes in the gap", true, "0 . . | . c . 1", { { 0, 0, 0, 2 }, { 1, 2, 0, 0 } } },
    { "what is closed may hold the other way", true, "0 . . | . c . 3", { { 0, 0, 0, 2 }, { 1, 0, 0, 2 } } },
    { "duplicated probe, both answers", true, "0 1 d2 . 3", { { 0, 1, 0, 0 } } },
    { "duplicated probe, answer repeated", true, "0 1 d1 . 2", { { 0, 1, 0, 0 } } },
    { "duplicated probe, second answer lost", true, "0 1 3 4", { { 0 } } },
    { "restart", true, "50 51 . 0 1 . 2", { { 0, 1, 0, 1 } } },
    { "restart with losses across it", true, "50 51 . . . 1 . 3", { { 0, 0, 1, 3 } } },
    { "numbers leap ahead", true, "0 1 . 90000 . 90001", { { 0, 1, 0, 1 } } },
    { "always the same number", true, "0 0 . 0 . 0", { { 0, 0, 0, 2 } } },
    { "reordered far from the loss", true, "o1 0 2 1 3 4 . 5 6 7", { { 0, 1, 0, 0 } } },
    { "reordered beside the loss waits for a clear cut", true, "o1 0 1 . 3 2 4 5 6", { { 0, 1, 0, 0 } } },
    { "reordering too wide to tell", true, "o40 0 1 . 2 3 c", { { 0, 0, 0, 1 } } },
};

static void feed(struct lossdir *d, const char *script)
{
    uint32_t s = 0;
    uint16_t period = 0;
    unsigned n;
    int used;

    for (; *script; script += strspn(script, " ")) {
        if (*script == '.') {
            lossdir_resolve(d, s++, false, 0, period);
            script++;
        } else if (*script == '|') {
            period++;
            script++;
        } else if (*script == 'c') {
            lossdir_close_period(d, 0);
            script++;
        } else if (sscanf(script, "d%u%n", &n, &used) == 1) {
            lossdir_seen(d, s - 1, n, true);
            script += used;
        } else if (sscanf(script, "o%u%n", &n, &used) == 1) {
            lossdir_overtaken(d, n);
            script += used;
        } else if (sscanf(script, "%u%n", &n, &used) == 1) {
            lossdir_seen(d, s, n, false);
            lossdir_resolve(d, s++, true, n, period);
            script += used;
        } else {
            fail_msg("bad script at %s", script);
        }
    }
}

static void verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct lossdir_verdict got[3] = { { 0 } }, v;
        struct lossdir *d;
        assert_int_equal(lossdir_new(64, rows[i].stateful, &d), TW_OK);
        feed(d, rows[i].script);
        while (lossdir_next(d, &v) == TW_OK) {
            got[v.period].forward += v.forward;
            got[v.period].backward += v.backward;
            got[v.period].unknown += v.unknown;
        }
        for (int p = 0; p < 3; p++)
            if (got[p].forward != rows[i].want[p].forward || got[p].backward != rows[i].want[p].backward ||
                got[p].unknown != rows[i].want[p].unknown)
                fail_msg("%s: period %d: forward %u backward %u unknown %u", rows[i].name, p,
                         (unsigned)got[p].forward, (unsigned)got[p].backward, (unsigned)got[p].unknown);
        lossdir_free(d);
    }
}

static const struct {
    const char *name, *script;
    struct lossdir_gap want[3]; /* end 0: no more */
} gap_rows[] = {
    { "one of each", "0 . 1 . 3 . . 5", { { 1, 2, 1, 0 }, { 3, 4, 0, 1 }, { 5, 7, 1, 1 } } },
    { "from the start", ". . 0", { { 0, 2, 2, 0 } } },
    { "across a boundary", "0 . | . 1", { { 1, 3, 2, 0 } } },
    { "closed meanwhile", "0 . | . c 1", { { 1, 3, 2, 0 } } },
    { "at the end", "0 . . c", { { 0 } } },
    { "across a restart", "50 51 . 0 1 . 2", { { 5, 6, 1, 0 } } },
    { "overtaken beside it", "o1 0 1 . 3 2 4 5 6", { { 1, 5, 1, 0 } } },
    { "the oldest give way",
      "0 . 1 . 2 . 3 . 4 . 5 . 6",
      { { 5, 6, 1, 0 }, { 7, 8, 1, 0 }, { 9, 10, 1, 0 } } },
};

static void gaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(gap_rows); i++) {
        struct lossdir_gap got = { 0 };
        struct lossdir *d;
        assert_int_equal(lossdir_new(64, true, &d), TW_OK);
        feed(d, gap_rows[i].script);
        for (int k = 0; k < 3; k++) {
            const struct lossdir_gap *want = &gap_rows[i].want[k];
            enum tw_rc rc = lossdir_next_gap(d, &got);
            if (rc != (want->end ? TW_OK : TW_EAGAIN) ||
                (!rc && (got.first != want->first || got.end != want->end || got.forward != want->forward ||
                         got.backward != want->backward)))
                fail_msg("%s: gap %d: rc %d, [%u, %u) forward %u backward %u", gap_rows[i].name, k, rc,
                         got.first, got.end, got.forward, got.backward);
        }
        lossdir_free(d);
    }
}

/* The reflector's numbers wrap in the middle of a long run: 1 of 4 lost on the way out, 1 of 4 on the way
 * back. */
static void numbers_wrap(void **state)
{
    uint64_t forward = 0, backward = 0, unknown = 0;
    uint32_t s = 0, r = UINT32_MAX - 500;
    struct lossdir_verdict v;
    struct lossdir *d;

    (void)state;
    assert_int_equal(lossdir_new(16, true, &d), TW_OK);
    for (int i = 0; i < 1000; i++) {
        for (int k = 0; k < 2; k++, s++, r++) {
            lossdir_seen(d, s, r, false);
            lossdir_resolve(d, s, true, r, 0);
        }
        lossdir_resolve(d, s++, false, 0, 0);
        lossdir_resolve(d, s++, false, 0, 0);
        r++;
    }
    while (lossdir_next(d, &v) == TW_OK) {
        forward += v.forward;
        backward += v.backward;
        unknown += v.unknown;
    }
    assert_int_equal(forward, 999);
    assert_int_equal(backward, 999);
    assert_int_equal(unknown, 0);
    lossdir_free(d);
}

static void bad_windows(void **state)
{
    struct lossdir *d = NULL;

    (void)state;
    assert_int_equal(lossdir_new(0, true, &d), TW_EINVAL);
    assert_int_equal(lossdir_new(8, true, &d), TW_EINVAL);
    assert_int_equal(lossdir_new(100, true, &d), TW_EINVAL);
    assert_null(d);
}

static uint64_t drain(struct lossdir *d)
{
    struct lossdir_verdict v;
    uint64_t n = 0;

    while (lossdir_next(d, &v) == TW_OK)
        n += v.forward + v.backward + v.unknown;
    return n;
}

/* Wall clock steps make periods as short as they like: each loss gets one verdict, however many there are. */
static void more_periods_than_can_be_told_apart(void **state)
{
    struct lossdir *d;
    uint64_t told;

    (void)state;
    assert_int_equal(lossdir_new(64, true, &d), TW_OK);
    lossdir_seen(d, 0, 0, false);
    lossdir_resolve(d, 0, true, 0, 0);
    lossdir_resolve(d, 1, false, 0, 0);
    told = drain(d);
    for (uint16_t period = 1; period < 20; period++) {
        lossdir_resolve(d, 1u + period, false, 0, period);
        told += drain(d);
    }
    lossdir_seen(d, 21, 1, false);
    lossdir_resolve(d, 21, true, 1, 20);
    told += drain(d);
    assert_int_equal(told, 20);
    lossdir_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),
        cmocka_unit_test(gaps),
        cmocka_unit_test(numbers_wrap),
        cmocka_unit_test(bad_windows),
        cmocka_unit_test(more_periods_than_can_be_told_apart),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
