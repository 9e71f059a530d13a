#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/acl.h"
#include "common/splitmix.h"

static struct acl *list_of(const char *text)
{
    struct acl_rules rules = { 0 };
    struct tw_err err = { 0 };
    struct acl *a = NULL;

    if (acl_rules_parse(&rules, text, strlen(text), &err) != TW_OK || acl_new(&rules, &a, &err) != TW_OK)
        fail_msg("%s: line %u: %s", text, err.line, err.text);
    acl_rules_free(&rules);
    return a;
}

static struct tw_addr address(const char *text)
{
    struct tw_addr a;

    assert_int_equal(tw_addr_parse(text, 5000, &a), TW_OK);
    return a;
}

static const struct {
    const char *list, *from;
    bool allowed;
} looks[] = {
    { "", "192.0.2.1", true },
    { "", "2001:db8::1", true },
    { "allow 192.0.2.0/24\n", "192.0.2.255", true },
    { "allow 192.0.2.0/24\n", "192.0.3.0", false },
    { "allow 192.0.2.0/24\n", "192.0.1.255", false },
    { "allow 192.0.2.0/24\n", "2001:db8::1", false },
    { "deny 192.0.2.0/24\n", "192.0.2.0", false },
    { "deny 192.0.2.0/24\n", "192.0.3.0", true },
    { "deny 192.0.2.0/24\n", "2001:db8::1", true },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "10.2.0.0", true },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "10.1.3.0", false },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "10.1.2.2", true },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "10.1.2.3", false },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "10.1.2.4", true },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "10.255.255.255", true },
    { "allow 10.0.0.0/8\ndeny 10.1.0.0/16\nallow 10.1.2.0/24\ndeny 10.1.2.3\n", "11.0.0.0", false },
    { "deny 255.255.255.255\n", "255.255.255.255", false },
    { "deny 255.255.255.254/31\nallow 255.255.255.255", "255.255.255.254", false },
    { "deny 255.255.255.254/31\nallow 255.255.255.255", "255.255.255.255", true },
    { "deny 0.0.0.0/0\n", "203.0.113.1", false },
    { "deny 0.0.0.0/0\n", "2001:db8::1", true },
    { "deny ::/0\n", "2001:db8::1", false },
    { "deny ::/0\n", "192.0.2.1", true }, /* the mapped ones are IPv4 */
    { "deny ::ffff:192.0.2.0/120\n", "192.0.2.9", false },
    { "deny 192.0.2.0/24\n", "::ffff:192.0.2.9", false },
    { "allow 2001:db8::/32\ndeny 2001:db8:1::/48\n", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", false },
    { "allow 2001:db8::/32\ndeny 2001:db8:1::/48\n", "2001:db8:2::", true },
    { "allow 2001:db8::/32\ndeny 2001:db8:1::/48\n", "2001:db9::", false },
    { "deny ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\n", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false },
    { "# who\n\n  allow\t192.0.2.1   # the lab\r\n#deny 192.0.2.1\n", "192.0.2.1", true },
    { "allow 192.0.2.1\nallow 192.0.2.1\n", "192.0.2.1", true },
};

static void the_longest_prefix_decides(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(looks); i++) {
        struct acl *a = list_of(looks[i].list);
        struct tw_addr from = address(looks[i].from);

        if (acl_allows(a, &from) != looks[i].allowed)
            fail_msg("row %zu: %s", i, looks[i].from);
        acl_free(a);
    }
}

static const struct {
    const char *text;
    unsigned line;
    const char *says;
} bad[] = {
    { "allow 192.0.2.1/24\n", 1, "no prefix" },
    { "\nallow\n", 2, "allow PREFIX" },
    { "permit 192.0.2.0/24\n", 1, "permit" },
    { "allow 192.0.2.0/24 and more\n", 1, "allow PREFIX" },
    { "# fine\nallow 192.0.2.0/24\nallow example.net\n", 3, "example.net" },
    { "allow 192.0.2.0/24\ndeny 192.0.2.0/24\n", 0, "192.0.2.0/24 is both" },
    { "deny 2001:db8::/32\nallow 2001:db8::/32\n", 0, "2001:db8::/32 is both" },
    { "deny 192.0.2.1\nallow ::ffff:192.0.2.1\n", 0, "192.0.2.1/32 is both" },
};

static void mistakes_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct acl_rules rules = { 0 };
        struct tw_err err = { 0 };
        struct acl *a = NULL;
        enum tw_rc rc = acl_rules_parse(&rules, bad[i].text, strlen(bad[i].text), &err);

        if (rc == TW_OK)
            rc = acl_new(&rules, &a, &err);
        acl_rules_free(&rules);
        if (rc == TW_OK || err.line != bad[i].line || !strstr(err.text, bad[i].says))
            fail_msg("row %zu: line %u: %s", i, err.line, err.text);
    }
}

static bool by_hand(const struct acl_rules *rules, const struct tw_addr *from)
{
    bool verdict = true;
    int longest = -1;

    for (size_t i = 0; i < rules->n; i++)
        verdict &= !rules->v[i].allow;
    for (size_t i = 0; i < rules->n; i++) {
        const struct acl_rule *r = &rules->v[i];
        if (tw_prefix_contains(&r->prefix, from) && r->prefix.len > longest) {
            longest = r->prefix.len;
            verdict = r->allow;
        }
    }
    return verdict;
}

/* Random lists in a small corner, where ranges nest and touch: as a look at every rule would say. */
static void agrees_with_a_look_at_all(void **state)
{
    uint64_t seed = 11;

    (void)state;
    for (int round = 0; round < 300; round++) {
        struct acl_rules rules = { 0 };
        struct acl *a = NULL;
        for (int i = 0; i < round % 40; i++) {
            unsigned v = (unsigned)tw_splitmix64(&seed), len = v % 10;
            unsigned octet = (v >> 8 & 0xff) & (0xff00U >> (len < 8 ? len : 8));
            char text[40];
            snprintf(text, sizeof text, v >> 31 ? "10.9.8.%u/%u" : "2001:db8::%x/%u", octet,
                     (v >> 31 ? 24 : 120) + (len < 8 ? len : 8));
            acl_rules_add(&rules, v >> 20 & 1, text, NULL);
        }
        if (acl_new(&rules, &a, NULL) != TW_OK) { /* one range twice, with both verdicts */
            acl_rules_free(&rules);
            continue;
        }
        for (unsigned octet = 0; octet < 256; octet++) {
            struct tw_addr four = { .ip = { 10, 9, 8, (uint8_t)octet }, .family = 4 };
            struct tw_addr six = { .ip = { 0x20, 1, 0xd, 0xb8, [15] = (uint8_t)octet }, .family = 6 };
            if (acl_allows(a, &four) != by_hand(&rules, &four) ||
                acl_allows(a, &six) != by_hand(&rules, &six))
                fail_msg("round %d, octet %u", round, octet);
        }
        acl_free(a);
        acl_rules_free(&rules);
    }
}

static void holds_count(void **state)
{
    struct acl *a = list_of("deny 192.0.2.1\n"), *b = acl_hold(a);
    struct tw_addr from = address("192.0.2.1");
    const struct acl_rule *rule;
    bool others;

    (void)state;
    acl_free(a);
    assert_false(acl_allows(b, &from));
    assert_int_equal(acl_list(b, &rule, &others), 1);
    assert_true(others && !rule[0].allow && acl_names(b, &rule[0].prefix));
    assert_false(acl_names(b, &(struct tw_prefix){ .family = 4 }));
    acl_free(b);
    assert_true(acl_allows(NULL, &from));
    assert_int_equal(acl_list(NULL, &rule, &others), 0);
    assert_true(others);
}

static void is_bounded(void **state)
{
    struct acl_rules rules = { 0 };
    struct tw_err err = { 0 };
    enum tw_rc rc = TW_OK;
    char text[40];

    (void)state;
    for (unsigned i = 0; i <= ACL_RULES_MAX && rc == TW_OK; i++) {
        snprintf(text, sizeof text, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        rc = acl_rules_add(&rules, true, text, &err);
    }
    assert_int_equal(rc, TW_ENOSPC);
    assert_int_equal(rules.n, ACL_RULES_MAX);
    acl_rules_free(&rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_prefix_decides),
        cmocka_unit_test(mistakes_are_named),
        cmocka_unit_test(agrees_with_a_look_at_all),
        cmocka_unit_test(holds_count),
        cmocka_unit_test(is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
