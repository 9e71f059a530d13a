/* How often something happened lately. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "controller/core/lately.h"

static void only_the_last_ten_minutes_count(void **state)
{
    struct lately l = { { 0 }, 0 };

    (void)state;
    assert_int_equal(lately_count(&l, 0), 0);
    assert_int_equal(lately_count(&l, 3), 3);
    for (unsigned minute = 1; minute <= 30; minute++) {
        unsigned total = minute < 20 ? 10 * minute : 200; /* ten a minute, for twenty minutes */

        lately_mark(&l, total);
        assert_int_equal(lately_count(&l, total), minute < LATELY_MINUTES ? 10 * minute
                                                  : minute <= 20          ? 90
                                                  : minute < 29           ? 200 - 10 * (minute - 9)
                                                                          : 0);
    }
    assert_int_equal(lately_count(&l, 201), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_the_last_ten_minutes_count) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
