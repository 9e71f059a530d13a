/* Addresses as people type them; names are looked up once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "agent/tool/hosts.h"

static const struct {
    const char *text, *name; /* name NULL: refused */
    uint16_t port;
    bool port_given;
} forms[] = {
    { "192.0.2.1", "192.0.2.1", 20001, false },
    { "192.0.2.1:862", "192.0.2.1", 862, true },
    { ":862", "", 862, true },
    { ":0", "", 0, true },
    { "", "", 20001, false },
    { "2001:db8::1", "2001:db8::1", 20001, false },
    { "[2001:db8::1]:862", "2001:db8::1", 862, true },
    { "[2001:db8::1]", "2001:db8::1", 20001, false },
    { "::1", "::1", 20001, false },
    { "router", "router", 20001, false },
    { "router.example.net:862", "router.example.net", 862, true },
    { "twampy-responder", "twampy-responder", 20001, false },
    { "192.0.2.1:", NULL, 0, false },
    { "192.0.2.1:x", NULL, 0, false },
    { "192.0.2.1:65536", NULL, 0, false },
    { "192.0.2.1:-1", NULL, 0, false },
    { "[192.0.2.1]:862", NULL, 0, false },
    { "[2001:db8::1]862", NULL, 0, false },
    { "[2001:db8::1", NULL, 0, false },
    { "2001:db8:::1:2:3:4:5:6:7", NULL, 0, false },
    { "a b", NULL, 0, false },
    { "-x", NULL, 0, false },
    { "a/b", NULL, 0, false },
};

static void forms_of_addresses(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(forms); i++) {
        struct host_spec h = { .name = "" };
        struct tw_err err = { 0 };
        enum tw_rc rc = host_parse(forms[i].text, 20001, &h, &err);

        if ((rc == TW_OK) != (forms[i].name != NULL))
            fail_msg("\"%s\": rc %d %s", forms[i].text, rc, err.text);
        if (rc && !strstr(err.text, "expected 192.0.2.1"))
            fail_msg("\"%s\": \"%s\"", forms[i].text, err.text);
        if (!rc &&
            (strcmp(h.name, forms[i].name) || h.port != forms[i].port || h.port_given != forms[i].port_given))
            fail_msg("\"%s\": \"%s\" %u", forms[i].text, h.name, h.port);
    }
}

/* ---- Looking up ---- */

static unsigned asked;

static enum tw_rc fake_lookup(const char *name, struct tw_addr *ret, size_t cap, size_t *ret_n,
                              struct tw_err *err)
{
    assert_true(cap >= 2);
    asked++;
    if (strcmp(name, "both") && strcmp(name, "only6"))
        return tw_err_set(err, TW_ENOENT, "no such name");
    *ret_n = 0;
    if (!strcmp(name, "both"))
        tw_addr_parse("192.0.2.9", 0, &ret[(*ret_n)++]);
    tw_addr_parse("2001:db8::9", 0, &ret[(*ret_n)++]);
    return TW_OK;
}

static const struct {
    const char *remote, *local, *to, *from, *target; /* to NULL: refused */
    unsigned asked;
} pairs[] = {
    { "192.0.2.1:1", ":20000", "192.0.2.1:1", "0.0.0.0:20000", "192.0.2.1:1", 0 },
    { "2001:db8::1", ":20000", "[2001:db8::1]:20001", "[::]:20000", "[2001:db8::1]:20001", 0 },
    { "both", "", "192.0.2.9:20001", "0.0.0.0:20001", "both:20001", 1 },
    { "both", "[::1]:7", "[2001:db8::9]:20001", "[::1]:7", "both:20001", 1 },
    { "both", "127.0.0.1", "192.0.2.9:20001", "127.0.0.1:20001", "both:20001", 1 },
    { "only6", ":5", "[2001:db8::9]:20001", "[::]:5", "only6:20001", 1 },
    { "only6", "127.0.0.1", NULL, "only6\" has no IPv4 address", NULL, 1 },
    { "nosuch", ":5", NULL, "no such name", NULL, 1 },
    { ":20001", ":5", "127.0.0.1:20001", "0.0.0.0:5", "127.0.0.1:20001", 0 },
    { ":20001", "[::1]:5", "[::1]:20001", "[::1]:5", "[::1]:20001", 0 },
    { "192.0.2.1", "[::1]:5", NULL, "has no IPv6 address", NULL, 0 },
    { "192.0.2.1:0", ":5", NULL, "port 0 cannot be sent to", NULL, 0 },
};

static void both_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(pairs); i++) {
        struct host_spec remote, local;
        struct host_pair p = { .target = "" };
        struct tw_err err = { 0 };
        char to[TW_ADDR_TEXT], from[TW_ADDR_TEXT];
        enum tw_rc rc;

        assert_int_equal(host_parse(pairs[i].remote, 20001, &remote, &err), TW_OK);
        assert_int_equal(host_parse(pairs[i].local, 20001, &local, &err), TW_OK);
        asked = 0;
        rc = host_resolve_pair(&remote, &local, fake_lookup, &p, &err);
        if ((rc == TW_OK) != (pairs[i].to != NULL) || asked != pairs[i].asked)
            fail_msg("%s: rc %d, asked %u times: %s", pairs[i].remote, rc, asked, err.text);
        if (rc && !strstr(err.text, pairs[i].from))
            fail_msg("%s: \"%s\"", pairs[i].remote, err.text);
        if (!rc &&
            (strcmp(tw_addr_format(&p.remote, to), pairs[i].to) ||
             strcmp(tw_addr_format(&p.local, from), pairs[i].from) || strcmp(p.target, pairs[i].target)))
            fail_msg("%s, %s: %s, %s, %s", pairs[i].remote, pairs[i].local, to, from, p.target);
    }
}

static void the_system_knows_localhost(void **state)
{
    struct tw_addr v[4];
    struct tw_err err = { 0 };
    size_t n = 0;

    (void)state;
    assert_int_equal(host_lookup("localhost", v, TW_NELEM(v), &n, &err), TW_OK);
    assert_true(n >= 1);
    assert_int_equal(host_lookup("no-such-host.invalid", v, TW_NELEM(v), &n, &err), TW_ENOENT);
    assert_non_null(strstr(err.text, "cannot find the address of \"no-such-host.invalid\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_addresses),
        cmocka_unit_test(both_ends),
        cmocka_unit_test(the_system_knows_localhost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
