#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/io/stamp_wait.h"

enum { BITS = 6, ROOM = 1 << BITS };

static struct stamp_wait *make(void)
{
    struct stamp_wait *t;

    assert_int_equal(stamp_wait_new(BITS, &t), TW_OK);
    return t;
}

static void each_finds_who_waits(void **state)
{
    struct stamp_wait *t = make();
    struct stamp_waiter a = { 0 }, b = { 0 };
    uint32_t seq = 0;

    (void)state;
    stamp_wait_add(t, 1, 0, &a, 100);
    stamp_wait_add(t, 2, 0, &b, 200);
    assert_null(stamp_wait_take(t, 3, 0, &seq));
    assert_null(stamp_wait_take(t, 1, 1, &seq));
    assert_null(stamp_wait_look(t, 1, 1, &seq));
    assert_ptr_equal(stamp_wait_look(t, 2, 0, &seq), &b);
    assert_int_equal(seq, 200);
    assert_ptr_equal(stamp_wait_take(t, 2, 0, &seq), &b);
    assert_int_equal(seq, 200);
    assert_ptr_equal(stamp_wait_take(t, 1, 0, &seq), &a);
    assert_int_equal(seq, 100);
    assert_null(stamp_wait_take(t, 1, 0, &seq)); /* told once */
    assert_int_equal(stamp_wait_missing(t), 0);
    stamp_wait_free(t);
}

/* The kernel's numbers wrap, and begin again from 0 after a failure, with an old one perhaps still there. */
static void numbers_wrap_and_begin_again(void **state)
{
    static const uint32_t starts[] = { 0, UINT32_MAX - ROOM / 2, 0 };
    struct stamp_wait *t = make();
    struct stamp_waiter w = { 0 };
    uint32_t seq = 0;

    (void)state;
    for (size_t k = 0; k < TW_NELEM(starts); k++) {
        for (uint32_t i = 0; i < ROOM; i++)
            stamp_wait_add(t, 9, starts[k] + i, &w, i);
        assert_int_equal(w.n, ROOM);
        for (uint32_t i = 0; i < ROOM; i++) {
            assert_ptr_equal(stamp_wait_take(t, 9, starts[k] + i, &seq), &w);
            assert_int_equal(seq, i);
        }
    }
    stamp_wait_add(t, 9, 5, &w, 77); /* never told */
    stamp_wait_add(t, 9, 5, &w, 78);
    assert_int_equal(stamp_wait_missing(t), 1);
    assert_ptr_equal(stamp_wait_take(t, 9, 5, &seq), &w);
    assert_int_equal(seq, 78);
    assert_int_equal(w.n, 0);
    stamp_wait_free(t);
}

/* A kernel that tells nothing costs no more memory, and what it kept back is counted. */
static void what_is_never_told_gives_way(void **state)
{
    struct stamp_wait *t = make();
    struct stamp_waiter w = { 0 };
    uint32_t seq = 0;

    (void)state;
    for (uint32_t i = 0; i < 10 * ROOM; i++)
        stamp_wait_add(t, 1, i, &w, i);
    assert_int_equal(w.n, ROOM);
    assert_int_equal(stamp_wait_missing(t), 9 * ROOM);
    assert_null(stamp_wait_take(t, 1, 0, &seq));
    assert_non_null(stamp_wait_take(t, 1, 10 * ROOM - 1, &seq));
    stamp_wait_free(t);
}

static void who_goes_is_forgotten(void **state)
{
    struct stamp_wait *t = make();
    struct stamp_waiter a = { 0 }, b = { 0 };
    uint32_t seq = 0;

    (void)state;
    for (uint32_t i = 0; i < 6; i++)
        stamp_wait_add(t, 1, i, i % 2 ? &a : &b, i);
    stamp_wait_forget(t, &a);
    assert_int_equal(a.n, 0);
    assert_int_equal(stamp_wait_missing(t), 3);
    for (uint32_t i = 0; i < 6; i++)
        assert_ptr_equal(stamp_wait_take(t, 1, i, &seq), i % 2 ? NULL : &b);
    stamp_wait_forget(t, &b); /* waits for nothing */
    assert_int_equal(stamp_wait_missing(t), 3);
    stamp_wait_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_finds_who_waits),
        cmocka_unit_test(numbers_wrap_and_begin_again),
        cmocka_unit_test(what_is_never_told_gives_way),
        cmocka_unit_test(who_goes_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
