/* Where an agent sends probes, whoever asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "agent/target_rules.h"

static const struct {
    const char *address, *allow[2];
    const char *says; /* NULL: it may */
} rows[] = {
    { "192.0.2.1:862", { NULL }, NULL },
    { "127.0.0.1:862", { NULL }, NULL },
    { "[2001:db8::1]:862", { NULL }, NULL },
    { "[::1]:862", { NULL }, NULL },
    { "223.255.255.255:862", { NULL }, NULL },
    { "224.0.0.1:862", { NULL }, "single host" },
    { "239.255.255.250:862", { NULL }, "single host" },
    { "240.0.0.1:862", { NULL }, "single host" },
    { "255.255.255.255:862", { NULL }, "single host" },
    { "0.0.0.0:862", { NULL }, "single host" },
    { "0.1.2.3:862", { NULL }, "single host" },
    { "[::]:862", { NULL }, "single host" },
    { "[ff02::1]:862", { NULL }, "single host" },
    { "192.0.2.1:862", { "192.0.2.0/24" }, NULL },
    { "192.0.3.1:862", { "192.0.2.0/24" }, "--probe-allow" },
    { "192.0.3.1:862", { "192.0.2.0/24", "192.0.3.0/24" }, NULL },
    { "[2001:db8::1]:862", { "192.0.2.0/24" }, "--probe-allow" },
    { "[2001:db8::1]:862", { "192.0.2.0/24", "2001:db8::/32" }, NULL },
    { "[::ffff:192.0.3.1]:862", { "192.0.2.0/24" }, "--probe-allow" },
    { "[::ffff:224.0.0.1]:862", { NULL }, "single host" },
    { "224.0.0.1:862", { "224.0.0.0/4" }, "single host" }, /* no option lets that through */
};

static void rules_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_prefix allow[2];
        struct target_rules r = { .allow = allow };
        struct tw_addr a;
        const char *got;

        for (; r.n_allow < 2 && rows[i].allow[r.n_allow]; r.n_allow++)
            assert_int_equal(tw_prefix_parse(rows[i].allow[r.n_allow], &allow[r.n_allow]), TW_OK);
        assert_int_equal(tw_addr_parse(rows[i].address, 0, &a), TW_OK);
        got = target_rules_forbid(&r, &a);
        if (!got != !rows[i].says || (got && !strstr(got, rows[i].says)))
            fail_msg("%s, row %zu: %s", rows[i].address, i, got ? got : "allowed");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rules_hold) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
