/* Which run of a test on demand starts when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "controller/core/test_queue.h"
#include "tests/unit/common/rng.h"

static struct test_queue make(const uint32_t *source, size_t n, size_t sources, uint32_t each, uint32_t total)
{
    struct test_queue q;

    assert_int_equal(test_queue_init(&q, source, n, sources, each, total), TW_OK);
    return q;
}

static void order_and_limits(void **state)
{
    static const uint32_t source[] = { 0, 0, 0, 1, 1, 2 };
    struct test_queue q = make(source, 6, 3, 1, 2);
    size_t run;

    (void)state;
    assert_true(test_queue_next(&q, &run) && run == 0);
    assert_true(test_queue_next(&q, &run) && run == 3); /* source 0 has its one */
    assert_false(test_queue_next(&q, &run));            /* two in all */
    test_queue_end(&q, 3, false);
    assert_true(test_queue_next(&q, &run) && run == 4);
    test_queue_end(&q, 0, true);
    assert_true(test_queue_next(&q, &run) && run == 1);
    test_queue_end(&q, 4, false);
    assert_true(test_queue_next(&q, &run) && run == 5);
    test_queue_end(&q, 1, false);
    test_queue_end(&q, 5, false);
    assert_true(test_queue_next(&q, &run) && run == 2);
    assert_int_equal(test_queue_state(&q), TEST_RUNNING);
    test_queue_end(&q, 2, false);
    assert_false(test_queue_next(&q, &run));
    assert_true(test_queue_done(&q));
    assert_int_equal(test_queue_state(&q), TEST_COMPLETE);
    assert_int_equal(q.failed, 1);
    test_queue_free(&q);
}

static void states(void **state)
{
    static const struct {
        const char *name;
        bool failed, halt, left;
        enum test_state before, after;
    } cases[] = {
        { "complete", false, false, false, TEST_RUNNING, TEST_COMPLETE },
        { "failed", true, false, false, TEST_RUNNING, TEST_FAILED },
        { "stopped", false, true, false, TEST_STOPPING, TEST_STOPPED },
        { "abandoned", false, true, true, TEST_STOPPING, TEST_ABANDONED },
    };
    static const uint32_t source[] = { 0, 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct test_queue q = make(source, 2, 1, 1, 8);
        size_t run;

        assert_true(test_queue_next(&q, &run));
        if (cases[i].halt) {
            assert_true(test_queue_halt(&q, cases[i].left));
            assert_false(test_queue_halt(&q, false)); /* only the first one counts */
        }
        assert_int_equal(test_queue_state(&q), cases[i].before);
        test_queue_end(&q, run, cases[i].failed);
        if (!cases[i].halt) {
            assert_true(test_queue_next(&q, &run));
            test_queue_end(&q, run, cases[i].failed);
        }
        assert_false(test_queue_next(&q, &run));
        assert_false(test_queue_halt(&q, true)); /* too late */
        assert_string_equal(test_state_name(test_queue_state(&q)), cases[i].name);
        assert_int_equal(q.over + q.cancelled, 2);
        test_queue_free(&q);
    }
}

static void the_lease(void **state)
{
    static const uint32_t source[] = { 0 };
    struct test_queue q = make(source, 1, 1, 1, 1);

    (void)state;
    test_queue_renew(&q, 1000, 500);
    assert_false(test_queue_expired(&q, 1499));
    assert_true(test_queue_expired(&q, 1500));
    test_queue_renew(&q, 1499, 500);
    assert_false(test_queue_expired(&q, 1998));
    assert_true(test_queue_halt(&q, true));
    assert_false(test_queue_expired(&q, 5000)); /* once */
    test_queue_free(&q);
}

/* Whatever order runs end in, no limit is passed, each run starts once, and none is left behind. */
static void limits_hold(void **state)
{
    uint64_t seed = 0x1795749438;

    (void)state;
    for (int round = 0; round < 200; round++) {
        uint32_t source[60], each = 1 + (uint32_t)(rng_next(&seed) % 3),
                             total = 1 + (uint32_t)(rng_next(&seed) % 9);
        size_t n = rng_next(&seed) % 60, sources = 1 + rng_next(&seed) % 7, started = 0, n_active = 0;
        size_t active[60], run;
        unsigned per[8] = { 0 };
        struct test_queue q;

        for (size_t i = 0; i < n; i++)
            source[i] = (uint32_t)(rng_next(&seed) % sources);
        q = make(source, n, sources, each, total);
        while (!test_queue_done(&q)) {
            while (test_queue_next(&q, &run)) {
                started++;
                active[n_active++] = run;
                if (++per[source[run]] > each || n_active > total)
                    fail_msg("round %d: %u of source %u, %zu in all", round, per[source[run]], source[run],
                             n_active);
            }
            assert_true(n_active > 0);
            run = rng_next(&seed) % n_active;
            per[source[active[run]]]--;
            test_queue_end(&q, active[run], false);
            active[run] = active[--n_active];
        }
        assert_int_equal(started, n);
        test_queue_free(&q);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_limits),
        cmocka_unit_test(states),
        cmocka_unit_test(the_lease),
        cmocka_unit_test(limits_hold),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
