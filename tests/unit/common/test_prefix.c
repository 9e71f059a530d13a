#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/prefix.h"

static const struct {
    const char *text;
    enum tw_rc rc;
    unsigned family, len;
} parses[] = {
    { "192.0.2.0/24", TW_OK, 4, 24 },
    { "192.0.2.1", TW_OK, 4, 32 },
    { "0.0.0.0/0", TW_OK, 4, 0 },
    { "10.0.0.0/8", TW_OK, 4, 8 },
    { "10.128.0.0/9", TW_OK, 4, 9 },
    { "2001:db8::/32", TW_OK, 6, 32 },
    { "::/0", TW_OK, 6, 0 },
    { "fd00::1", TW_OK, 6, 128 },
    { "2001:db8::8000:0/97", TW_OK, 6, 97 },
    { "::ffff:192.0.2.0/120", TW_OK, 4, 24 },
    { "::ffff:192.0.2.1", TW_OK, 4, 32 },
    { "::ffff:0.0.0.0/96", TW_OK, 4, 0 },
    { "::ffff:0.0.0.0/95", TW_EINVAL, 0, 0 },
    { "::ffff:192.0.2.1/120", TW_EINVAL, 0, 0 },
    { "192.0.2.1/24", TW_EINVAL, 0, 0 },
    { "10.192.0.0/9", TW_EINVAL, 0, 0 },
    { "192.0.2.0/33", TW_EINVAL, 0, 0 },
    { "2001:db8::/129", TW_EINVAL, 0, 0 },
    { "192.0.2.0/", TW_EINVAL, 0, 0 },
    { "192.0.2.0/a", TW_EINVAL, 0, 0 },
    { "192.0.2.0/1234", TW_EINVAL, 0, 0 },
    { "192.0.2.0/-1", TW_EINVAL, 0, 0 },
    { "192.0.2.0:862/24", TW_EINVAL, 0, 0 },
    { "[2001:db8::]/32", TW_EINVAL, 0, 0 },
    { "/24", TW_EINVAL, 0, 0 },
    { "", TW_EINVAL, 0, 0 },
    { "example.net/24", TW_EINVAL, 0, 0 },
};

static void texts(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(parses); i++) {
        struct tw_prefix p = { 0 };
        enum tw_rc rc = tw_prefix_parse(parses[i].text, &p);

        if (rc != parses[i].rc || p.family != parses[i].family || p.len != parses[i].len)
            fail_msg("\"%s\": %s, family %u, %u bits", parses[i].text, tw_rc_name(rc), p.family, p.len);
    }
}

static const struct {
    const char *prefix, *address;
    bool inside;
} rows[] = {
    { "192.0.2.0/24", "192.0.2.255", true },
    { "192.0.2.0/24", "192.0.3.0", false },
    { "10.128.0.0/9", "10.255.0.1", true },
    { "10.128.0.0/9", "10.127.255.255", false },
    { "0.0.0.0/0", "203.0.113.9", true },
    { "0.0.0.0/0", "2001:db8::1", false },
    { "::/0", "192.0.2.1", false },
    { "192.0.2.7", "192.0.2.7", true },
    { "192.0.2.7", "192.0.2.6", false },
    { "2001:db8::/32", "2001:db8:ffff::1", true },
    { "2001:db8::/32", "2001:db9::1", false },
    { "2001:db8::8000:0/97", "2001:db8::ffff:1", true },
    { "2001:db8::8000:0/97", "2001:db8::7fff:1", false },
};

static void inside_and_outside(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_prefix p;
        struct tw_addr a;

        assert_int_equal(tw_prefix_parse(rows[i].prefix, &p), TW_OK);
        assert_int_equal(tw_addr_parse(rows[i].address, 862, &a), TW_OK);
        if (tw_prefix_contains(&p, &a) != rows[i].inside)
            fail_msg("%s in %s", rows[i].address, rows[i].prefix);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(texts), cmocka_unit_test(inside_and_outside) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
