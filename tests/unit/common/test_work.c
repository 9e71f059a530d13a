/* Rounds of a thread: counted, timed, and looked at from another one. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "common/work.h"

#define S INT64_C(1000000000)

static struct work w;

static struct work_stats at(int64_t now_ns)
{
    struct work_stats s;

    work_look(&w, now_ns, &s);
    return s;
}

static void round_of(int64_t begin_ns, int64_t end_ns)
{
    work_begin(&w, begin_ns);
    work_end(&w, end_ns);
}

static void assert_ratio(double is, double expected)
{
    if (is < expected - 1e-9 || is > expected + 1e-9)
        fail_msg("%.9f instead of %.9f", is, expected);
}

static void nothing_yet(void **state)
{
    struct work_stats s;

    (void)state;
    work_init(&w, 100 * S);
    s = at(100 * S);
    assert_true(!s.rounds && !s.busy_ns && !s.longest_ns && !s.quiet_ns && !s.working);
    assert_ratio(s.busy_ratio, 0);
    assert_int_equal(at(103 * S).quiet_ns, 3 * S);
}

static void rounds_add_up(void **state)
{
    struct work_stats s;

    (void)state;
    work_init(&w, 0);
    round_of(1 * S, 3 * S);
    round_of(5 * S, 6 * S);
    s = at(10 * S);
    assert_int_equal(s.rounds, 2);
    assert_int_equal(s.busy_ns, 3 * S);
    assert_int_equal(s.longest_ns, 2 * S);
    assert_int_equal(s.quiet_ns, 4 * S);
    assert_false(s.working);
    assert_ratio(s.busy_ratio, 0.3);
}

/* One that hangs is seen while it hangs. */
static void the_round_under_way_counts(void **state)
{
    struct work_stats s;

    (void)state;
    work_init(&w, 0);
    work_begin(&w, 2 * S);
    s = at(10 * S);
    assert_true(s.working && !s.rounds);
    assert_int_equal(s.busy_ns, 8 * S);
    assert_int_equal(s.longest_ns, 8 * S);
    assert_int_equal(s.quiet_ns, 8 * S);
    assert_ratio(s.busy_ratio, 0.8);
    s = at(1000 * S);
    assert_ratio(s.busy_ratio, 1);
    assert_int_equal(s.longest_ns, 998 * S);
    work_end(&w, 1000 * S);
    s = at(1000 * S);
    assert_ratio(s.busy_ratio, 1);
    assert_int_equal(s.longest_ns, 998 * S);
    assert_int_equal(s.busy_ns, 998 * S);
    assert_ratio(at(1060 * S).busy_ratio, 0.5); /* it has waited since */
}

static void the_past_is_forgotten(void **state)
{
    struct work_stats s;

    (void)state;
    work_init(&w, 0);
    round_of(0, 30 * S);
    round_of(70 * S, 71 * S);
    s = at(71 * S);
    assert_int_equal(s.longest_ns, 30 * S);
    assert_ratio(s.busy_ratio, 31.0 / 71);
    round_of(130 * S, 131 * S);
    s = at(132 * S);
    assert_int_equal(s.longest_ns, 1 * S);
    assert_ratio(s.busy_ratio, 2.0 / 62);
    s = at(1000 * S);
    assert_int_equal(s.longest_ns, 0);
    assert_ratio(s.busy_ratio, 0);
    assert_int_equal(s.busy_ns, 32 * S); /* not the total */
    round_of(1000 * S, 1006 * S);
    assert_ratio(at(1006 * S).busy_ratio, 6.0 / 66);
}

/* ---- Another thread looks: no figure is torn, none goes back ---- */

#define ROUNDS 200000

static void *works(void *ctx)
{
    (void)ctx;
    for (int64_t i = 0; i < ROUNDS; i++)
        round_of(2 * i * S, (2 * i + 1) * S);
    return NULL;
}

static void it_can_be_looked_at_meanwhile(void **state)
{
    struct work_stats s = { 0 }, before;
    pthread_t t;

    (void)state;
    work_init(&w, 0);
    assert_int_equal(pthread_create(&t, NULL, works, NULL), 0);
    do {
        before = s;
        s = at(2 * ROUNDS * S);
        assert_true(s.rounds >= before.rounds && s.rounds <= ROUNDS);
        assert_true(s.busy_ratio >= 0 && s.busy_ratio <= 1);
        assert_true(s.quiet_ns >= 0 && s.quiet_ns <= before.quiet_ns + (before.rounds ? 0 : 2 * ROUNDS * S));
    } while (s.rounds < ROUNDS);
    assert_int_equal(pthread_join(t, NULL), 0);
    s = at(2 * ROUNDS * S);
    assert_int_equal(s.busy_ns, ROUNDS * S);
    assert_ratio(s.busy_ratio, at(2 * ROUNDS * S).busy_ratio);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_yet),
        cmocka_unit_test(rounds_add_up),
        cmocka_unit_test(the_round_under_way_counts),
        cmocka_unit_test(the_past_is_forgotten),
        cmocka_unit_test(it_can_be_looked_at_meanwhile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
