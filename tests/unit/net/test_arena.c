#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/arena.h"
#include "fleet.pb-c.h"

static void memory_is_zeroed_aligned_and_disjoint(void **state)
{
    static const size_t sizes[] = { 1, 15, 16, 17, 4000, 4096, 100, 60000, 1 };
    unsigned char *p[TW_NELEM(sizes)];
    struct arena *a;

    (void)state;
    assert_int_equal(arena_new(1 << 20, &a), TW_OK);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < TW_NELEM(sizes); i++) {
            p[i] = arena_alloc(a, sizes[i]);
            assert_non_null(p[i]);
            assert_int_equal((uintptr_t)p[i] % 16, 0);
            for (size_t k = 0; k < sizes[i]; k++)
                if (p[i][k])
                    fail_msg("round %d block %zu octet %zu is not zero", round, i, k);
            memset(p[i], (int)i + 1, sizes[i]);
        }
        for (size_t i = 0; i < TW_NELEM(sizes); i++)
            if (p[i][0] != i + 1 || p[i][sizes[i] - 1] != i + 1)
                fail_msg("round %d block %zu was overwritten", round, i);
        arena_reset(a);
    }
    arena_free(a);
}

static void the_cap_is_exact(void **state)
{
    struct arena *a;

    (void)state;
    assert_int_equal(arena_new(64, &a), TW_OK);
    assert_null(arena_alloc(a, 65));
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_null(arena_alloc(a, SIZE_MAX - 8));
    assert_non_null(arena_alloc(a, 33)); /* takes 48 */
    assert_null(arena_alloc(a, 17));
    assert_non_null(arena_alloc(a, 16));
    assert_null(arena_alloc(a, 1));
    arena_reset(a);
    assert_non_null(arena_alloc(a, 64));
    arena_free(a);
    arena_free(NULL);
}

/* A message of 128 Ki empty sub-messages: 256 KiB on the wire, tens of MiB in memory. */
static void a_hostile_message_is_refused(void **state)
{
    size_t n = 128 * 1024;
    uint8_t *wire = calloc(n, 2);
    struct arena *a;

    (void)state;
    for (size_t i = 0; i < n; i++)
        wire[2 * i] = 3 << 3 | 2; /* ScheduleRequest.sessions, length 0 */
    assert_int_equal(arena_new(4 << 20, &a), TW_OK);
    assert_null(tw__schedule_request__unpack(arena_allocator(a), 2 * n, wire));
    arena_reset(a);
    assert_non_null(tw__schedule_request__unpack(arena_allocator(a), 2000, wire)); /* a thousand are fine */
    arena_free(a);
    free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_disjoint),
        cmocka_unit_test(the_cap_is_exact),
        cmocka_unit_test(a_hostile_message_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
