/* Kernel clock states as the usual daemons leave them, and leap seconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "common/clkstate.h"

#define US TW_NS_PER_US
#define DAY_NS (86400 * TW_NS_PER_S)
#define NOON (20000 * DAY_NS + DAY_NS / 2)
#define MIDNIGHT (20000 * DAY_NS)

static const struct {
    const char *name;
    int result, status;
    long maxerror, esterror, freq;
    int tai;
    int64_t wall_ns;
    bool synced;
    int64_t error_ns, est_error_ns, frequency_ppb;
    enum tw_leap leap;
} cases[] = {
    { "chrony, just after an update", TIME_OK, STA_PLL | STA_NANO, 1523, 87, -1234567, 0, NOON, true,
      1523 * US, 87 * US, -18837, TW_LEAP_NONE },
    { "chrony with leapsectz, 1024 s after an update", TIME_OK, STA_PLL | STA_NANO, 513523, 87, 65536, 37,
      NOON, true, 513523 * US, 87 * US, 1000, TW_LEAP_NONE },
    { "chrony, has lost its servers", TIME_ERROR, STA_UNSYNC, 16000000, 16000000, 0, 0, NOON, false,
      CLKSTATE_WORST_NS, CLKSTATE_WORST_NS, 0, TW_LEAP_NONE },
    { "ntpd with the kernel's PLL", TIME_OK, STA_PLL | STA_NANO, 8211, 612, 1966080, 37, NOON, true,
      8211 * US, 612 * US, 30000, TW_LEAP_NONE },
    { "ntpd, starting", TIME_ERROR, STA_PLL | STA_UNSYNC, 16000000, 16000000, 0, 0, NOON, false,
      CLKSTATE_WORST_NS, CLKSTATE_WORST_NS, 0, TW_LEAP_NONE },
    { "timesyncd", TIME_OK, STA_PLL, 42000, 0, -655360, 0, NOON, true, 42000 * US, 0, -10000, TW_LEAP_NONE },
    { "timesyncd, no answer for nine hours", TIME_ERROR, STA_PLL | STA_UNSYNC, 16000000, 0, 0, 0, NOON, false,
      CLKSTATE_WORST_NS, 0, 0, TW_LEAP_NONE },
    { "phc2sys, just after an update", TIME_OK, 0, 0, 16000000, 327680, 37, NOON, true, 1 * US,
      CLKSTATE_WORST_NS, 5000, TW_LEAP_NONE },
    { "phc2sys, in the next second", TIME_OK, 0, 500, 16000000, 327680, 37, NOON, true, 500 * US,
      CLKSTATE_WORST_NS, 5000, TW_LEAP_NONE },
    { "phc2sys has died nine hours ago", TIME_ERROR, STA_UNSYNC, 16000000, 16000000, 327680, 37, NOON, false,
      CLKSTATE_WORST_NS, CLKSTATE_WORST_NS, 5000, TW_LEAP_NONE },
    { "nobody, since boot", TIME_ERROR, STA_UNSYNC, 16000000, 16000000, 0, 0, NOON, false, CLKSTATE_WORST_NS,
      CLKSTATE_WORST_NS, 0, TW_LEAP_NONE },
    { "flag cleared by hand, error as far as it grows", TIME_OK, 0, 16000000, 16000000, 0, 0, NOON, false,
      CLKSTATE_WORST_NS, CLKSTATE_WORST_NS, 0, TW_LEAP_NONE },
    { "hardware fault", TIME_OK, STA_CLOCKERR, 100, 100, 0, 0, NOON, false, 100 * US, 100 * US, 0,
      TW_LEAP_NONE },
    { "adjtimex() is forbidden", -1, 0, 100, 100, 65536, 37, NOON, false, CLKSTATE_WORST_NS,
      CLKSTATE_WORST_NS, 0, TW_LEAP_NONE },
    { "negative error", TIME_OK, 0, -1, -1, 0, 0, NOON, false, CLKSTATE_WORST_NS, CLKSTATE_WORST_NS, 0,
      TW_LEAP_NONE },

    { "leap second tonight, noon", TIME_INS, STA_INS, 100, 10, 0, 37, NOON, true, 100 * US, 10 * US, 0,
      TW_LEAP_INSERT },
    { "31 s before it", TIME_INS, STA_INS, 100, 10, 0, 37, MIDNIGHT - 31 * TW_NS_PER_S, true, 100 * US,
      10 * US, 0, TW_LEAP_INSERT },
    { "29 s before it", TIME_INS, STA_INS, 100, 10, 0, 37, MIDNIGHT - 29 * TW_NS_PER_S, false, 100 * US,
      10 * US, 0, TW_LEAP_INSERT },
    { "23:59:60", TIME_OOP, STA_INS, 100, 10, 0, 37, MIDNIGHT - TW_NS_PER_S / 2, false, 100 * US, 10 * US, 0,
      TW_LEAP_NOW },
    { "29 s after it", TIME_WAIT, STA_INS, 100, 10, 0, 38, MIDNIGHT + 29 * TW_NS_PER_S, false, 100 * US,
      10 * US, 0, TW_LEAP_DONE },
    { "31 s after it", TIME_WAIT, STA_INS, 100, 10, 0, 38, MIDNIGHT + 31 * TW_NS_PER_S, true, 100 * US,
      10 * US, 0, TW_LEAP_DONE },
    { "a second less tonight", TIME_DEL, STA_DEL, 100, 10, 0, 37, MIDNIGHT - TW_NS_PER_S, false, 100 * US,
      10 * US, 0, TW_LEAP_DELETE },
    { "midnight of any other day", TIME_OK, 0, 100, 10, 0, 37, MIDNIGHT, true, 100 * US, 10 * US, 0,
      TW_LEAP_NONE },
    { "not synchronised, leap second requested", TIME_ERROR, STA_INS | STA_UNSYNC, 100, 10, 0, 37, NOON,
      false, 100 * US, 10 * US, 0, TW_LEAP_INSERT },
};

static void daemons(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct timex tx = { .status = cases[i].status,
                            .maxerror = cases[i].maxerror,
                            .esterror = cases[i].esterror,
                            .freq = cases[i].freq,
                            .tai = cases[i].tai };
        struct clkstate c;
        clkstate_from_timex(cases[i].result, &tx, (struct tw_wall){ cases[i].wall_ns }, &c);
        if (c.state.synced != cases[i].synced || c.state.max_error_ns != cases[i].error_ns || c.state.steps)
            fail_msg("%s: synced %d, error %lld ns", cases[i].name, c.state.synced,
                     (long long)c.state.max_error_ns);
        if (c.est_error_ns != cases[i].est_error_ns || c.frequency_ppb != cases[i].frequency_ppb ||
            c.tai_offset_s != (cases[i].result < 0 ? 0 : cases[i].tai))
            fail_msg("%s: estimated %lld ns, %lld ppb, TAI %d s", cases[i].name, (long long)c.est_error_ns,
                     (long long)c.frequency_ppb, c.tai_offset_s);
        if (c.leap != cases[i].leap)
            fail_msg("%s: leap %s", cases[i].name, tw_leap_name(c.leap));
    }
}

static void names(void **state)
{
    static const char *const want[TW_LEAPS] = { "none", "insert", "delete", "now", "done" };

    (void)state;
    for (int i = 0; i < TW_LEAPS; i++)
        assert_string_equal(tw_leap_name((enum tw_leap)i), want[i]);
    assert_string_equal(tw_leap_name((enum tw_leap)99), "none");
}

int main(void)
{
    static const struct CMUnitTest tests[] = { cmocka_unit_test(daemons), cmocka_unit_test(names) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
