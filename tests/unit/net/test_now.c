/* Tests of reading the clocks: a thread that loses its CPU between two readings must not take that for a
 * step. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <time.h>
#include "common/net/now.h"

/* Clocks of the test's: both advance by 100 ns with each reading, and by a pause before some of them. */
#define OFFSET_NS INT64_C(1700000000000000000)
static int64_t mono_ns, pause_ns;
static unsigned readings, pause_from, pause_to; /* these readings come after a pause */

int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int __wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
    int64_t ns;

    mono_ns += 100 + (readings >= pause_from && readings < pause_to ? pause_ns : 0);
    readings++;
    ns = mono_ns + (id == CLOCK_REALTIME ? OFFSET_NS : 0);
    *ret = (struct timespec){ ns / TW_NS_PER_S, ns % TW_NS_PER_S };
    return 0;
}

static void pauses_are_no_steps(void **state)
{
    static const struct {
        unsigned from, to; /* pauses before these readings */
        int64_t pause_ns, error_ns;
        unsigned readings;
    } cases[] = {
        { 0, 0, 0, 0, 3 },
        { 1, 2, 80000000, 0, 6 }, /* before the wall clock is read */
        { 2, 3, 80000000, 0, 6 }, /* and after it */
        { 2, 5, 80000000, 0, 9 }, /* again and again: reading 5 is the last of the second try */
        { 2, 3, 19000, 9500, 3 }, /* an interrupt: as exact as always */
        { 0, 1000, 80000000, 0,
          15 }, /* a host where it never works out: an answer all the same, and the middle is not bad */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tw_now n;
        int64_t error;
        readings = 0;
        pause_from = cases[i].from;
        pause_to = cases[i].to;
        pause_ns = cases[i].pause_ns;
        n = tw_now();
        error = n.wall.ns - n.mono.ns - OFFSET_NS;
        if (error < -cases[i].error_ns || error > cases[i].error_ns || readings != cases[i].readings)
            fail_msg("case %zu: off by %lld ns after %u readings", i, (long long)error, readings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(pauses_are_no_steps) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
