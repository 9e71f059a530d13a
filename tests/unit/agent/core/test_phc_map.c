#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "agent/core/phc_map.h"
#include "common/splitmix.h"

#define US TW_NS_PER_US
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S)

/* A card whose clock runs faster by `ppb` billionths than the system's, and is `ahead` of it at the start. */
struct card {
    int64_t ahead_ns, ppb, took_ns;
    uint64_t rng;
    struct phc_map map;
};

static int64_t phc_at(const struct card *c, int64_t ns)
{
    return WALL0 + ns + c->ahead_ns + ns / S * c->ppb + ns % S * c->ppb / S;
}

/* A reading that begins at `ns` after the start; the card's clock is read at any time in between. */
static void read_at(struct card *c, int64_t ns)
{
    int64_t inside = (int64_t)(tw_splitmix64(&c->rng) % (uint64_t)(c->took_ns + 1));

    phc_map_add(&c->map, (struct tw_wall){ WALL0 + ns }, phc_at(c, ns + inside),
                (struct tw_wall){ WALL0 + ns + c->took_ns });
}

static int64_t off_at(const struct card *c, int64_t ns, int64_t *ret_error)
{
    struct tw_wall t;

    assert_int_equal(phc_map_convert(&c->map, phc_at(c, ns), &t, ret_error), TW_OK);
    return llabs(t.ns - (WALL0 + ns));
}

static void nothing_is_converted_before_a_reading(void **state)
{
    struct card c = { 0 };
    struct tw_wall t = { 7 };
    int64_t error = 7;

    (void)state;
    assert_int_equal(phc_map_convert(&c.map, phc_at(&c, 0), &t, &error), TW_EAGAIN);
    assert_true(t.ns == 7 && error == 7);
}

/* The error that is told holds, whatever offset, rate and jitter; and it is small. */
static void the_line_follows_a_drifting_clock(void **state)
{
    static const struct {
        const char *name;
        int64_t ahead, ppb, took, error_max;
    } rows[] = {
        { "the same", 0, 0, 0, 1 * US },
        { "TAI, fast", 37 * S, 20000, 1 * US, 3 * US },
        { "started at 1970, slow", -WALL0, -100000, 2 * US, 5 * US },
        { "a slow bus", 5 * US, 3000, 20 * US, 50 * US },
        { "as bad as crystals get", 12345, 450000, 1 * US, 3 * US },
    };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(rows); k++) {
        struct card c = { .ahead_ns = rows[k].ahead, .ppb = rows[k].ppb, .took_ns = rows[k].took, .rng = k };
        for (int i = 0; i < 60; i++) {
            read_at(&c, i * S);
            for (int j = 1; i > 2 && j < 10; j++) {
                int64_t error, off = off_at(&c, i * S + j * S / 10, &error);
                if (off > error + 1 || error > rows[k].error_max)
                    fail_msg("%s, second %d: off by %lld, error is told as %lld", rows[k].name, i,
                             (long long)off, (long long)error);
            }
        }
        if (c.map.steps)
            fail_msg("%s: %u steps", rows[k].name, c.map.steps);
    }
}

static void one_reading_says_that_its_rate_is_not_known(void **state)
{
    struct card c = { .ahead_ns = 37 * S, .ppb = 400000, .took_ns = 1 * US };
    int64_t error, off;

    (void)state;
    read_at(&c, 0);
    off = off_at(&c, S, &error);
    assert_true(off > 300 * US && error >= off);
}

/* Either clock is set: the line begins anew, and is right from the next reading on. */
static void a_step_begins_a_new_line(void **state)
{
    static const int64_t steps[] = { 2 * S, -2 * S, 37 * S, 100 * US, -100 * US, WALL0 };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(steps); k++) {
        struct card c = { .ahead_ns = 100, .ppb = 10000, .took_ns = 1 * US, .rng = k };
        int64_t error, off;
        for (int i = 0; i < 20; i++)
            read_at(&c, i * S);
        assert_int_equal(c.map.steps, 0);
        c.ahead_ns += steps[k];
        read_at(&c, 20 * S);
        assert_int_equal(c.map.steps, 1);
        off = off_at(&c, 20 * S + S / 2, &error);
        assert_true(off <= error);
        for (int i = 21; i < 25; i++)
            read_at(&c, i * S);
        off = off_at(&c, 24 * S + S / 2, &error);
        if (c.map.steps != 1 || off > error || error > 5 * US)
            fail_msg("step of %lld: %u steps, off by %lld, error %lld", (long long)steps[k], c.map.steps,
                     (long long)off, (long long)error);
    }
}

static void nobody_reads_any_more(void **state)
{
    struct card c = { .took_ns = US };
    struct tw_wall t;
    int64_t error;

    (void)state;
    for (int i = 0; i < 10; i++)
        read_at(&c, i * S);
    assert_int_equal(phc_map_convert(&c.map, phc_at(&c, 9 * S + PHC_MAP_AGE_NS / 2), &t, &error), TW_OK);
    assert_int_equal(phc_map_convert(&c.map, phc_at(&c, 10 * S + PHC_MAP_AGE_NS), &t, &error), TW_EAGAIN);
    assert_int_equal(phc_map_convert(&c.map, phc_at(&c, 8 * S - PHC_MAP_AGE_NS), &t, &error), TW_EAGAIN);
    assert_int_equal(phc_map_convert(&c.map, INT64_MIN, &t, &error), TW_EAGAIN);
}

/* The system clock is set back while it reads: that reading says nothing. */
static void a_reading_that_ends_before_it_began(void **state)
{
    struct card c = { .took_ns = US };
    int64_t error, off;

    (void)state;
    for (int i = 0; i < 4; i++)
        read_at(&c, i * S);
    phc_map_add(&c.map, (struct tw_wall){ WALL0 + 4 * S }, phc_at(&c, 4 * S), (struct tw_wall){ WALL0 });
    assert_true(c.map.steps == 0 && c.map.n == 4);
    off = off_at(&c, 4 * S, &error);
    assert_true(off <= error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_converted_before_a_reading),
        cmocka_unit_test(the_line_follows_a_drifting_clock),
        cmocka_unit_test(one_reading_says_that_its_rate_is_not_known),
        cmocka_unit_test(a_step_begins_a_new_line),
        cmocka_unit_test(nobody_reads_any_more),
        cmocka_unit_test(a_reading_that_ends_before_it_began),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
