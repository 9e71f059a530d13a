#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "common/ring.h"

struct item {
    uint64_t number, check;
};

enum { ITEMS = 200000 };

static void refuses_and_counts_when_full(void **state)
{
    struct ring *r = NULL;
    int v = 0;

    (void)state;
    assert_int_equal(ring_new(sizeof v, 5, &r), TW_OK); /* rounded up to 8 */
    assert_false(ring_pop(r, &v));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 8; i++)
            assert_true(ring_push(r, &i));
        assert_false(ring_push(r, &v));
        assert_int_equal(ring_len(r), 8);
        for (int i = 0; i < 8; i++) {
            assert_true(ring_pop(r, &v));
            assert_int_equal(v, i);
        }
        assert_false(ring_pop(r, &v));
        assert_int_equal(ring_len(r), 0);
    }
    assert_int_equal(ring_refused(r), 3);
    ring_free(r);
    ring_free(NULL);
}

static void one_slot_is_enough(void **state)
{
    struct ring *r = NULL;
    char c = 'a', got = 0;

    (void)state;
    assert_int_equal(ring_new(1, 1, &r), TW_OK);
    for (int i = 0; i < 10; i++, c++) {
        assert_true(ring_push(r, &c));
        assert_false(ring_push(r, &c));
        assert_true(ring_pop(r, &got));
        assert_int_equal(got, c);
    }
    ring_free(r);
}

static void impossible_sizes_are_refused(void **state)
{
    struct ring *r = (struct ring *)state;

    assert_int_equal(ring_new(0, 5, &r), TW_EINVAL);
    assert_int_equal(ring_new(8, 0, &r), TW_EINVAL);
    assert_int_equal(ring_new(8, SIZE_MAX, &r), TW_EINVAL);
    assert_int_equal(ring_new(SIZE_MAX / 2, 2, &r), TW_EINVAL);
    assert_ptr_equal(r, state);
}

static void *produce(void *arg)
{
    struct ring *r = arg;

    for (uint64_t n = 0; n < ITEMS; n++) {
        struct item it = { n, ~n };
        while (!ring_push(r, &it))
            sched_yield();
    }
    return NULL;
}

static void two_threads_lose_and_tear_nothing(void **state)
{
    struct ring *r = NULL;
    pthread_t producer;
    struct item it;

    (void)state;
    assert_int_equal(ring_new(sizeof it, 64, &r), TW_OK);
    assert_int_equal(pthread_create(&producer, NULL, produce, r), 0);
    for (uint64_t n = 0; n < ITEMS; n++) {
        while (!ring_pop(r, &it))
            sched_yield();
        if (it.number != n || it.check != ~n || ring_len(r) > 64)
            fail_msg("item %llu: %llu, check %llx", (unsigned long long)n, (unsigned long long)it.number,
                     (unsigned long long)it.check);
    }
    pthread_join(producer, NULL);
    assert_false(ring_pop(r, &it));
    ring_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_and_counts_when_full),
        cmocka_unit_test(one_slot_is_enough),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(two_threads_lose_and_tear_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
