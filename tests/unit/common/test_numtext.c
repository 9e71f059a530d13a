#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "common/numtext.h"
#include "rng.h"

static const struct {
    double v;
    const char *text;
} cases[] = {
    { 0, "0" },
    { 0.1, "0.1" },
    { 616000, "616000" },
    { -0.0, "-0" },
    { 1e-9, "1e-09" },
    { 0.00009999, "9.999e-05" },
    { 0.0001, "0.0001" },
    { 999999.999999999, "999999.999999999" },
    { 1e6, "1000000" },
    { -0.000412, "-0.000412" },
    { 0.1 + 0.2, "0.30000000000000004" },
    { 1.0 / 3, "0.3333333333333333" },
    { 9007199254740993.0, "9007199254740992" },
    { 1e300, "1e+300" },
    { DBL_MIN, "2.2250738585072014e-308" },
    { -DBL_MAX, "-1.7976931348623157e+308" },
};

static void fewest_digits(void **state)
{
    char buf[NUMTEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(numtext_exact(cases[i].v, buf), cases[i].text))
            fail_msg("row %zu: \"%s\", expected \"%s\"", i, buf, cases[i].text);
}

static void every_number_reads_back(void **state)
{
    uint64_t seed = 1;
    char buf[NUMTEXT_MAX];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_next(&seed);
        double v;

        memcpy(&v, &bits, sizeof v);
        if (isfinite(v) && strtod(numtext_exact(v, buf), NULL) != v)
            fail_msg("%a became %s", v, buf);
    }
}

/* What goes without printf() is what it would print. */
static void check_printf(double v)
{
    char buf[NUMTEXT_MAX], slow[NUMTEXT_MAX];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(slow, sizeof slow, "%.*g", digits, v);
        if (strtod(slow, NULL) == v)
            break;
    }
    if (strcmp(numtext_exact(v, buf), slow))
        fail_msg("%a became %s, not %s", v, buf, slow);
}

static void as_printf_does(void **state)
{
    uint64_t seed = 2;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        double v = (double)(rng_next(&seed) >> (9 + rng_next(&seed) % 55)) / 1e9;

        check_printf(i % 3 == 1 ? v / 3 : i % 3 == 2 ? -v : v);
        check_printf((double)(rng_next(&seed) >> 11) / (double)(1 + (rng_next(&seed) >> 40)));
        check_printf(ldexp((double)(rng_next(&seed) >> 11), -1 - (int)(rng_next(&seed) % 75)));
    }
}

/* Beside powers of 10 and of 2 digits and neighbours change. */
static void edges_as_printf_does(void **state)
{
    (void)state;
    for (int i = -8; i < 17; i++)
        for (double v = pow(10, i), end = nextafter(nextafter(v, 2 * v), 2 * v),
                    at = nextafter(nextafter(v, 0), 0);
             at <= end; at = nextafter(at, 2 * v))
            check_printf(at);
    for (int i = -25; i < 55; i++) {
        check_printf(ldexp(1, i));
        check_printf(nextafter(ldexp(1, i), 0));
        check_printf(-nextafter(ldexp(1, i), ldexp(1, i + 1)));
    }
}

static void whole_numbers(void **state)
{
    char buf[NUMTEXT_MAX];

    (void)state;
    assert_string_equal(numtext_u64(0, buf), "0");
    assert_string_equal(numtext_u64(1000000, buf), "1000000");
    assert_string_equal(numtext_u64(UINT64_MAX, buf), "18446744073709551615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fewest_digits),
        cmocka_unit_test(every_number_reads_back),
        cmocka_unit_test(as_printf_does),
        cmocka_unit_test(edges_as_printf_does),
        cmocka_unit_test(whole_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
