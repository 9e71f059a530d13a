#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/clk.h"
#include "tests/unit/common/rng.h"

#define S TW_NS_PER_S
/* 2036-02-07 06:28:16 UTC, where the 32 bits of NTP seconds wrap; and where PTP's do. */
#define NTP_WRAP_S INT64_C(2085978496)
#define PTP_WRAP_S INT64_C(4294967296)

static const int64_t around[] = {
    0, 1, 1700000000, NTP_WRAP_S - 1, NTP_WRAP_S, NTP_WRAP_S + 1, PTP_WRAP_S - 1, PTP_WRAP_S, -1, -86400
};

static void check_wire_times(int64_t ns, int64_t near_ns)
{
    struct tw_wall t = { ns }, near = { near_ns }, back = { 0 };

    if (tw_wall_from_ntp(tw_wall_to_ntp(t), near).ns != ns)
        fail_msg("NTP: %lld near %lld: %lld", (long long)ns, (long long)near_ns,
                 (long long)tw_wall_from_ntp(tw_wall_to_ntp(t), near).ns);
    if (tw_wall_from_ptp(tw_wall_to_ptp(t), near, &back) || back.ns != ns)
        fail_msg("PTP: %lld near %lld: %lld", (long long)ns, (long long)near_ns, (long long)back.ns);
}

static void wire_times_are_exact_to_the_nanosecond(void **state)
{
    uint64_t rng = 7;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(around); i++) {
        for (int64_t ns = 0; ns < 2000; ns++) {
            check_wire_times(around[i] * S + ns, around[i] * S - 40 * S);
            check_wire_times((around[i] + 1) * S - 1 - ns, around[i] * S + 40 * S);
        }
        for (int n = 0; n < 50000; n++) {
            int64_t year = 365 * 86400 * S;
            int64_t t = around[i] * S + (int64_t)rng_below(&rng, (uint64_t)S);
            check_wire_times(t, t + (int64_t)rng_below(&rng, (uint64_t)(120 * year)) - 60 * year);
        }
    }
}

static void known_wire_times(void **state)
{
    struct tw_wall t = { 1700000000 * S + S / 2 }, back = { 5 };

    (void)state;
    assert_true(tw_wall_to_ntp(t) == 0xe8fe6f8080000000);
    assert_true(tw_wall_to_ntp((struct tw_wall){ NTP_WRAP_S * S }) == 0);
    /* The largest fraction rounds up into the next second. */
    assert_int_equal(tw_wall_from_ntp(0xe8fe6f80ffffffff, t).ns, 1700000001 * S);
    assert_true(tw_wall_to_ptp(t) == (UINT64_C(1700000000) << 32 | 500000000));
    assert_int_equal(tw_wall_from_ptp(UINT64_C(1) << 32 | 1000000000, t, &back), TW_EINVAL);
    assert_int_equal(back.ns, 5);
    /* At the ends of what 64 bits hold nothing overflows. */
    assert_true(tw_wall_from_ntp(0, (struct tw_wall){ INT64_MAX }).ns > 0);
    assert_true(tw_wall_from_ntp(0, (struct tw_wall){ INT64_MIN }).ns < 0);
    check_wire_times(INT64_MAX, INT64_MAX - 5);
    check_wire_times(INT64_MIN, INT64_MIN + 5);
}

/* ---- Error Estimate ---- */

static const struct {
    uint16_t wire;
    enum tw_rc rc;
    int64_t ns;
    bool synced, ptp;
} errests[] = {
    { 0x9007, TW_OK, 106812, true, false },                                         /* 7 * 2^-16 s */
    { 0x8c32, TW_OK, 47684, true, false },                                          /* 50 * 2^-20 s */
    { 0x0001, TW_OK, 1, false, false },                                             /* 2^-32 s, rounded up */
    { 0xc001, TW_OK, 1, true, true },           { 0x2001, TW_OK, S, false, false }, /* 2^0 s */
    { 0x3fff, TW_OK, INT64_MAX, false, false },                                     /* 255 * 2^31 s */
    { 0x8000, TW_EINVAL, 0, false, false },                                         /* multiplier 0 */
};

static void error_estimates_decode(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(errests); i++) {
        int64_t ns = 0;
        bool synced = false, ptp = false;
        enum tw_rc rc = tw_errest_decode(errests[i].wire, &ns, &synced, &ptp);
        if (rc != errests[i].rc || ns != errests[i].ns || synced != errests[i].synced ||
            ptp != errests[i].ptp)
            fail_msg("%04x: rc %d, %lld ns, S %d, Z %d", errests[i].wire, rc, (long long)ns, synced, ptp);
    }
}

static void check_errest(int64_t error)
{
    bool synced = false, ptp = true;
    int64_t back = 0;
    uint16_t wire = tw_errest_encode(error, true, false);

    assert_int_equal(tw_errest_decode(wire, &back, &synced, &ptp), TW_OK);
    if (!synced || ptp || back < error || (double)back > (double)error * 1.008 + 2)
        fail_msg("%lld ns: %04x is %lld ns", (long long)error, wire, (long long)back);
    /* The smallest scale: with one less the multiplier would not fit. */
    if ((wire >> 8 & 0x3f) && (wire & 0xff) < 128)
        fail_msg("%lld ns: %04x wastes precision", (long long)error, wire);
}

static void error_estimates_never_understate(void **state)
{
    uint64_t rng = 2;

    (void)state;
    for (int64_t e = 0; e < 5000; e++)
        check_errest(e);
    for (int i = 0; i < 50000; i++)
        check_errest((int64_t)(rng_next(&rng) >> (1 + rng_below(&rng, 62))));
    check_errest(INT64_MAX);
    assert_int_equal(tw_errest_encode(0, false, true), 0x4001);
    assert_int_equal(tw_errest_encode(-5, false, false), 0x0001);
}

/* ---- Text ---- */

static const struct {
    const char *text;
    enum tw_rc rc;
    int64_t ns;
} times[] = {
    { "1970-01-01T00:00:00Z", TW_OK, 0 },
    { "2026-11-23T12:00:00.000Z", TW_OK, 1795435200 * S },
    { "2026-11-23t12:00:00z", TW_OK, 1795435200 * S },
    { "2026-11-23T13:30:00+01:30", TW_OK, 1795435200 * S },
    { "2026-11-23T11:59:59.5-00:00", TW_OK, 1795435199 * S + S / 2 },
    { "2026-11-22T23:00:00-13:00", TW_OK, 1795435200 * S },
    { "2024-02-29T00:00:00.123456789999Z", TW_OK, 1709164800 * S + 123456789 },
    { "2016-12-31T23:59:60Z", TW_OK, 1483228800 * S }, /* leap second */
    { "1969-12-31T23:59:59.75Z", TW_OK, -S / 4 },
    { "1795435200", TW_OK, 1795435200 * S },
    { "0", TW_OK, 0 },
    { "9223372036", TW_OK, 9223372036 * S },
    { "9223372037", TW_ERANGE, 0 },
    { "99999999999999999999999", TW_ERANGE, 0 },
    { "2300-01-01T00:00:00Z", TW_ERANGE, 0 },
    { "2026-02-29T00:00:00Z", TW_EINVAL, 0 },
    { "1900-02-29T00:00:00Z", TW_EINVAL, 0 },
    { "2026-04-31T00:00:00Z", TW_EINVAL, 0 },
    { "2026-13-01T00:00:00Z", TW_EINVAL, 0 },
    { "2026-00-01T00:00:00Z", TW_EINVAL, 0 },
    { "2026-11-23T24:00:00Z", TW_EINVAL, 0 },
    { "2026-11-23T12:00:00", TW_EINVAL, 0 }, /* which zone? */
    { "2026-11-23T12:00:00.Z", TW_EINVAL, 0 },
    { "2026-11-23T12:00:00Zx", TW_EINVAL, 0 },
    { "2026-11-23T12:00:00+1:00", TW_EINVAL, 0 },
    { "2026-11-23", TW_EINVAL, 0 },
    { "-5", TW_EINVAL, 0 },
    { " 5", TW_EINVAL, 0 },
    { "", TW_EINVAL, 0 },
};

static void times_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(times); i++) {
        struct tw_wall t = { 0 };
        enum tw_rc rc = tw_wall_parse(times[i].text, &t);
        if (rc != times[i].rc || t.ns != times[i].ns)
            fail_msg("\"%s\": %s, %lld", times[i].text, tw_rc_name(rc), (long long)t.ns);
    }
}

static void times_print_and_come_back(void **state)
{
    char buf[TW_TIME_TEXT];
    uint64_t rng = 8;

    (void)state;
    assert_string_equal(tw_wall_format((struct tw_wall){ 1795435200 * S + 1999999 }, buf),
                        "2026-11-23T12:00:00.001Z");
    assert_string_equal(tw_wall_format((struct tw_wall){ -1 }, buf), "1969-12-31T23:59:59.999Z");
    assert_string_equal(tw_wall_format((struct tw_wall){ INT64_MAX }, buf), "2262-04-11T23:47:16.854Z");
    assert_string_equal(tw_wall_format((struct tw_wall){ INT64_MIN }, buf), "1677-09-21T00:12:43.145Z");
    for (int i = 0; i < 20000; i++) {
        struct tw_wall t = { (int64_t)rng_next(&rng) / TW_NS_PER_MS * TW_NS_PER_MS }, back = { 0 };
        if (tw_wall_parse(tw_wall_format(t, buf), &back) || back.ns != t.ns)
            fail_msg("%lld is %s is %lld", (long long)t.ns, buf, (long long)back.ns);
    }
}

static const struct {
    const char *text;
    enum tw_rc rc;
    int64_t ns;
} durations[] = {
    { "0", TW_OK, 0 },
    { "0s", TW_OK, 0 },
    { "20ms", TW_OK, 20 * TW_NS_PER_MS },
    { "1.5s", TW_OK, 3 * S / 2 },
    { "100us", TW_OK, 100000 },
    { "7ns", TW_OK, 7 },
    { "2m", TW_OK, 120 * S },
    { "1h", TW_OK, 3600 * S },
    { "7d", TW_OK, 7 * 86400 * S },
    { "0.000000001s", TW_OK, 1 },
    { "1.50000000000000000000s", TW_OK, 3 * S / 2 },
    { "106751d", TW_OK, 106751 * (86400 * S) },
    { "9223372036854775807ns", TW_OK, INT64_MAX },
    { "106752d", TW_ERANGE, 0 },
    { "9223372036854775808ns", TW_ERANGE, 0 },
    { "9223372036.9s", TW_ERANGE, 0 },
    { "99999999999999999999999999d", TW_ERANGE, 0 },
    { "0.5ns", TW_EINVAL, 0 },
    { "0.0000000001s", TW_EINVAL, 0 },
    { "0.00000000000000000001d", TW_EINVAL, 0 },
    { "20", TW_EINVAL, 0 },
    { "ms", TW_EINVAL, 0 },
    { "1.s", TW_EINVAL, 0 },
    { ".5s", TW_EINVAL, 0 },
    { "-5ms", TW_EINVAL, 0 },
    { "5 ms", TW_EINVAL, 0 },
    { "5msx", TW_EINVAL, 0 },
    { "5MS", TW_EINVAL, 0 },
    { "1h30m", TW_EINVAL, 0 },
    { "1e3s", TW_EINVAL, 0 },
    { "", TW_EINVAL, 0 },
};

static void durations_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(durations); i++) {
        int64_t ns = 0;
        enum tw_rc rc = tw_duration_parse(durations[i].text, &ns);
        if (rc != durations[i].rc || ns != durations[i].ns)
            fail_msg("\"%s\": %s, %lld", durations[i].text, tw_rc_name(rc), (long long)ns);
    }
}

static const struct {
    int64_t ns;
    const char *text;
} printed[] = {
    { 0, "0" },
    { 20 * TW_NS_PER_MS, "20ms" },
    { 1500 * TW_NS_PER_MS, "1500ms" },
    { 90 * S, "90s" },
    { 120 * S, "2m" },
    { 86400 * S, "1d" },
    { -20 * TW_NS_PER_MS, "-20ms" },
    { INT64_MAX, "9223372036854775807ns" },
    { INT64_MIN, "-9223372036854775808ns" },
};

static void durations_print(void **state)
{
    char buf[TW_TIME_TEXT];
    uint64_t rng = 3;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(printed); i++)
        assert_string_equal(tw_duration_format(printed[i].ns, buf), printed[i].text);
    for (int i = 0; i < 20000; i++) {
        int64_t ns = (int64_t)(rng_next(&rng) >> (1 + rng_below(&rng, 62))), back = -1;
        if (tw_duration_parse(tw_duration_format(ns, buf), &back) || back != ns)
            fail_msg("%lld is %s is %lld", (long long)ns, buf, (long long)back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wire_times_are_exact_to_the_nanosecond),
        cmocka_unit_test(known_wire_times),
        cmocka_unit_test(error_estimates_decode),
        cmocka_unit_test(error_estimates_never_understate),
        cmocka_unit_test(times_parse),
        cmocka_unit_test(times_print_and_come_back),
        cmocka_unit_test(durations_parse),
        cmocka_unit_test(durations_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
