#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/wake_margin.h"

#define US TW_NS_PER_US

/* n wake-ups that were `low` late, but the first `outliers` of each MARGIN_SAMPLES, which were `high`. */
static const struct {
    const char *name;
    unsigned n, outliers;
    int64_t low, high, want;
} rows[] = {
    { "nothing known", 0, 0, 0, 0, MARGIN_MAX_NS },
    { "too few to tell", MARGIN_EVERY - 1, 0, 30 * US, 0, MARGIN_MAX_NS },
    { "as many as are looked at", MARGIN_EVERY, 0, 30 * US, 0, 30 * US },
    { "steady", MARGIN_SAMPLES, 0, 55 * US, 0, 55 * US },
    { "one in a hundred may be later", MARGIN_SAMPLES, 1, 55 * US, 5000 * US, 55 * US },
    { "two may not", MARGIN_SAMPLES, 2, 55 * US, 90 * US, 90 * US },
    { "never more than the bound", MARGIN_SAMPLES, 64, 55 * US, 5000 * US, MARGIN_MAX_NS },
    { "never less than the bound", MARGIN_SAMPLES, 0, US, 0, MARGIN_MIN_NS },
    { "early counts as in time", MARGIN_SAMPLES, 0, -500 * US, 0, MARGIN_MIN_NS },
    { "later outliers replace those before", 10 * MARGIN_SAMPLES, 2, 55 * US, 70 * US, 70 * US },
};

static void feed(struct wake_margin *m, unsigned n, unsigned outliers, int64_t low, int64_t high)
{
    for (unsigned i = 0; i < n; i++)
        wake_margin_add(m, i % MARGIN_SAMPLES < outliers ? high : low);
}

static void is_the_99th_percentile(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct wake_margin m = { 0 };

        feed(&m, rows[i].n, rows[i].outliers, rows[i].low, rows[i].high);
        if (wake_margin_ns(&m) != rows[i].want)
            fail_msg("%s: %lld ns, not %lld", rows[i].name, (long long)wake_margin_ns(&m),
                     (long long)rows[i].want);
    }
}

static void forgets_what_was_before(void **state)
{
    struct wake_margin m = { 0 };

    (void)state;
    feed(&m, MARGIN_SAMPLES, MARGIN_SAMPLES, 0, 150 * US);
    assert_int_equal(wake_margin_ns(&m), 150 * US);
    feed(&m, MARGIN_SAMPLES, 0, 40 * US, 0);
    assert_int_equal(wake_margin_ns(&m), 40 * US);
    feed(&m, MARGIN_EVERY, 0, 100 * US, 0); /* and follows soon */
    assert_int_equal(wake_margin_ns(&m), 100 * US);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_the_99th_percentile),
        cmocka_unit_test(forgets_what_was_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
