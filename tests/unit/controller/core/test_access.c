/* Tokens: their text, whose they are, when they stop to work; and how wrong ones are limited. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "controller/core/access.h"
#include "controller/core/access_tries.h"
#include "controller/core/changed_lines.h"

#define S TW_NS_PER_S
/* Of the octets 0 to 39; the digest by another program. */
#define GOOD "twa1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic"

static struct access_token make(uint8_t first, char text[ACCESS_TOKEN_TEXT])
{
    uint8_t random[ACCESS_RANDOM_OCTETS];
    struct access_token t = { .role = ACCESS_OPERATOR, .name = "grafana", .author = "ops", .created_ns = 1 };

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(first + i);
    access_make(random, &t, text);
    return t;
}

static void the_text(void **state)
{
    static const uint8_t digest[ACCESS_DIGEST_OCTETS] = { 0x3a, 0xb0, 0xa4, 0x09, 0x1d, 0x2c, 0x4e, 0xb6,
                                                          0x30, 0x42, 0xff, 0xca, 0x5a, 0x2a, 0xe4, 0x50,
                                                          0x93, 0x2b, 0xfa, 0x8a, 0x38, 0x20, 0xba, 0x0b,
                                                          0xef, 0x30, 0x13, 0x58, 0x5e, 0xe8, 0x4f, 0xd0 };
    char text[ACCESS_TOKEN_TEXT];
    struct access_token t = make(0, text);

    (void)state;
    assert_string_equal(text, GOOD);
    assert_string_equal(t.id, "0001020304050607");
    assert_memory_equal(t.digest, digest, sizeof digest);
    assert_true(access_text_ok(text));
}

static void certificates(void **state)
{
    uint8_t sha256[ACCESS_CERTIFICATE_OCTETS] = { 1, 2, 3 }, other[ACCESS_CERTIFICATE_OCTETS] = { 1, 2, 4 };
    struct access_token t = { .role = ACCESS_ADMIN, .name = "ann", .created_ns = 1, .expires_ns = 100 * S },
                        again;
    char text[ACCESS_TOKEN_TEXT];
    struct access_token token = make(0, text);
    struct access_who who = { .role = ACCESS_NOBODY };
    struct access *a;

    (void)state;
    access_certificate(sha256, &t);
    assert_true(access_id_ok(t.id));
    assert_memory_not_equal(t.digest, sha256, sizeof sha256);
    again = t;
    access_certificate(sha256, &again);
    assert_memory_equal(&again, &t, sizeof t);
    assert_int_equal(access_new(8, &a), TW_OK);
    assert_int_equal(access_put(a, &token), TW_OK);
    assert_int_equal(access_find_certificate(a, (struct tw_wall){ S }, sha256, &who), ACCESS_UNKNOWN);
    assert_int_equal(access_put(a, &t), TW_OK);
    assert_int_equal(access_find_certificate(a, (struct tw_wall){ S }, other, &who), ACCESS_UNKNOWN);
    assert_int_equal(access_find_certificate(a, (struct tw_wall){ S }, token.digest, &who), ACCESS_UNKNOWN);
    assert_int_equal(who.role, ACCESS_NOBODY);
    assert_int_equal(access_find_certificate(a, (struct tw_wall){ S }, sha256, &who), ACCESS_OK);
    assert_int_equal(who.role, ACCESS_ADMIN);
    assert_string_equal(who.name, "ann");
    assert_string_equal(who.id, t.id);
    assert_int_equal(access_get(a, t.id)->used_ns, S);
    assert_int_equal(access_find_certificate(a, (struct tw_wall){ 100 * S }, sha256, &who), ACCESS_EXPIRED);
    t.revoked_ns = 2 * S;
    assert_int_equal(access_put(a, &t), TW_OK);
    assert_int_equal(access_find_certificate(a, (struct tw_wall){ 3 * S }, sha256, &who), ACCESS_REVOKED);
    access_free(a);
}

static const struct {
    const char *name, *text;
    enum access_verdict verdict;
} texts[] = {
    { "right", GOOD, ACCESS_OK },
    { "empty", "", ACCESS_MALFORMED },
    { "cut", "twa1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJi", ACCESS_MALFORMED },
    { "one more", GOOD "A", ACCESS_MALFORMED },
    { "space behind", GOOD " ", ACCESS_MALFORMED },
    { "line end behind", GOOD "\n", ACCESS_MALFORMED },
    { "other kind", "twj1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic", ACCESS_MALFORMED },
    { "other spelling of the last octet", "twa1.0001020304050607.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJid",
      ACCESS_MALFORMED },
    { "other alphabet", "twa1.0001020304050607.+AkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic",
      ACCESS_MALFORMED },
    { "capital digits in the ID", "twa1.000102030405060A.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic",
      ACCESS_MALFORMED },
    { "no point", "twa1.0001020304050607-CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic", ACCESS_MALFORMED },
    { "other secret", "twa1.0001020304050607.DAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic", ACCESS_UNKNOWN },
    { "other ID", "twa1.0001020304050608.CAkKCwwNDg8QERITFBUWFxgZGhscHR4fICEiIyQlJic", ACCESS_UNKNOWN },
};

static void whose(void **state)
{
    char text[ACCESS_TOKEN_TEXT];
    struct access_token t = make(0, text);
    struct access *a = NULL;

    (void)state;
    assert_int_equal(access_new(4, &a), TW_OK);
    assert_int_equal(access_put(a, &t), TW_OK);
    for (size_t i = 0; i < TW_NELEM(texts); i++) {
        struct access_who who = { .name = "before" };
        enum access_verdict v = access_find(a, (struct tw_wall){ 77 }, texts[i].text, &who);

        if (v != texts[i].verdict)
            fail_msg("%s: verdict %d", texts[i].name, (int)v);
        if (access_text_ok(texts[i].text) != (v != ACCESS_MALFORMED))
            fail_msg("%s: the form is judged in two ways", texts[i].name);
        assert_string_equal(who.name, v == ACCESS_OK ? "grafana" : "before");
        if (v == ACCESS_OK) {
            assert_int_equal(who.role, ACCESS_OPERATOR);
            assert_string_equal(who.id, t.id);
        }
        assert_true(strlen(access_verdict_text(v)) > 10);
    }
    assert_int_equal(access_get(a, t.id)->used_ns, 77);
    access_free(a);
}

static void ends(void **state)
{
    char text[ACCESS_TOKEN_TEXT], wrong[ACCESS_TOKEN_TEXT];
    struct access_token t = make(0, text);
    struct access_who who;
    struct access *a = NULL;

    (void)state;
    assert_int_equal(access_new(4, &a), TW_OK);
    assert_false(access_any(a, (struct tw_wall){ 0 }));
    t.expires_ns = 100;
    access_put(a, &t);
    assert_true(access_any(a, (struct tw_wall){ 99 }));
    assert_false(access_any(a, (struct tw_wall){ 100 }));
    assert_int_equal(access_find(a, (struct tw_wall){ 99 }, text, &who), ACCESS_OK);
    assert_int_equal(access_find(a, (struct tw_wall){ 100 }, text, &who), ACCESS_EXPIRED);
    assert_int_equal(access_still(a, (struct tw_wall){ 100 }, t.id), ACCESS_EXPIRED);
    memcpy(wrong, text, sizeof wrong);
    wrong[30] = wrong[30] == 'A' ? 'B' : 'A';
    assert_int_equal(access_find(a, (struct tw_wall){ 100 }, wrong, &who),
                     ACCESS_UNKNOWN); /* not told that it has expired */
    t.revoked_ns = 50;
    access_put(a, &t);
    assert_int_equal(access_count(a), 1);
    assert_int_equal(access_find(a, (struct tw_wall){ 60 }, text, &who), ACCESS_REVOKED);
    assert_int_equal(access_still(a, (struct tw_wall){ 60 }, t.id), ACCESS_REVOKED);
    assert_true(access_remove(a, t.id));
    assert_false(access_remove(a, t.id));
    assert_int_equal(access_find(a, (struct tw_wall){ 60 }, text, &who), ACCESS_UNKNOWN);
    access_free(a);
}

static void many(void **state)
{
    char text[200][ACCESS_TOKEN_TEXT];
    struct access_token t;
    struct access_who who;
    struct access *a = NULL;

    (void)state;
    assert_int_equal(access_new(200, &a), TW_OK);
    for (unsigned i = 0; i < 200; i++) {
        t = make((uint8_t)(i * 7), text[i]); /* 7 and 256 have no divisor in common: all different */
        snprintf(t.name, sizeof t.name, "n%u", i);
        assert_int_equal(access_put(a, &t), TW_OK);
    }
    t = make((uint8_t)(200 * 7), text[0] + 0);
    assert_int_equal(access_put(a, &t), TW_ENOSPC);
    make(0, text[0]);
    for (unsigned i = 0; i < 200; i++) {
        char name[ACCESS_NAME_MAX];

        snprintf(name, sizeof name, "n%u", i);
        assert_int_equal(access_find(a, (struct tw_wall){ 1 }, text[i], &who), ACCESS_OK);
        assert_string_equal(who.name, name);
        if (i)
            assert_true(strcmp(access_at(a, i - 1)->id, access_at(a, i)->id) < 0);
    }
    access_free(a);
}

static void roles(void **state)
{
    enum access_role r = ACCESS_NOBODY;

    (void)state;
    for (unsigned i = ACCESS_VIEWER; i < ACCESS_ROLES; i++) {
        assert_int_equal(access_role_parse(access_role_name((enum access_role)i), &r), TW_OK);
        assert_int_equal(r, i);
    }
    assert_int_equal(access_role_parse("nobody", &r), TW_EINVAL);
    assert_int_equal(access_role_parse("Admin", &r), TW_EINVAL);
    assert_int_equal(access_role_parse("", &r), TW_EINVAL);
    assert_true(ACCESS_NOBODY < ACCESS_VIEWER && ACCESS_VIEWER < ACCESS_OPERATOR &&
                ACCESS_OPERATOR < ACCESS_ADMIN);
}

/* ---- Wrong tries ---- */

static void tries(void **state)
{
    struct access_tries_counts n;
    struct access_tries *t = NULL;

    (void)state;
    assert_int_equal(access_tries_new(4, 3, 2 * S, &t), TW_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(access_tries_wrong(t, (struct tw_mono){ S }, "192.0.2.1"), 0);
    assert_int_equal(access_tries_wait_ns(t, (struct tw_mono){ S }, "192.0.2.1"), 2 * S);
    assert_int_equal(access_tries_wrong(t, (struct tw_mono){ 2 * S }, "192.0.2.1"), S);
    assert_int_equal(access_tries_wait_ns(t, (struct tw_mono){ 3 * S }, "192.0.2.1"),
                     0); /* that one did not make it longer */
    assert_int_equal(access_tries_wrong(t, (struct tw_mono){ 3 * S }, "192.0.2.1"), 0);
    assert_true(access_tries_wrong(t, (struct tw_mono){ 3 * S }, "192.0.2.1") > 0);
    assert_int_equal(access_tries_wait_ns(t, (struct tw_mono){ 3 * S }, "192.0.2.2"), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(access_tries_wrong(t, (struct tw_mono){ S }, ""), 0);
    access_tries_count(t, &n);
    assert_int_equal(n.wrong, 106);
    assert_int_equal(n.limited, 2);
    access_tries_free(t);
}

static void one_network(void **state)
{
    struct access_tries *t = NULL;

    (void)state;
    assert_int_equal(access_tries_new(4, 1, S, &t), TW_OK);
    assert_int_equal(access_tries_wrong(t, (struct tw_mono){ 0 }, "2001:db8::1"), 0);
    assert_true(access_tries_wrong(t, (struct tw_mono){ 0 }, "2001:db8::ffff:2") > 0);
    assert_int_equal(access_tries_wrong(t, (struct tw_mono){ 0 }, "2001:db8:0:1::1"), 0);
    access_tries_free(t);
}

static void bounded(void **state)
{
    struct access_tries_counts n;
    struct access_tries *t = NULL;
    char address[32];

    (void)state;
    assert_int_equal(access_tries_new(8, 1, S, &t), TW_OK);
    for (int i = 0; i < 100; i++) {
        snprintf(address, sizeof address, "192.0.2.%d", i);
        assert_int_equal(access_tries_wrong(t, (struct tw_mono){ i }, address), 0);
    }
    assert_true(access_tries_wait_ns(t, (struct tw_mono){ 100 }, "192.0.2.99") >
                0); /* the newest are known */
    assert_true(access_tries_wait_ns(t, (struct tw_mono){ 100 }, "192.0.2.92") > 0);
    assert_int_equal(access_tries_wait_ns(t, (struct tw_mono){ 100 }, "192.0.2.91"), 0);
    access_tries_count(t, &n);
    assert_int_equal(n.forgotten, 92);
    access_tries_free(t);
}

/* ---- What is different ---- */

static void differences(void **state)
{
    static const struct {
        const char *before, *after, *left, *right;
    } rows[] = {
        { "", "", "", "" },
        { "a\nb\nc\n", "a\nb\nc\n", "", "" },
        { "a\nb\nc\n", "a\nx\nc\n", "b\n", "x\n" },
        { "a\na\n", "a\n", "a\n", "" },
        { "", "a\n", "", "a\n" },
        { "ab\n", "a\nb\n", "ab\n", "a\nb\n" },
        { "b\na\n", "a\nb\n", "", "" },
        { "no end", "no end\n", "no end", "no end\n" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char before[32], after[32];

        strcpy(before, rows[i].before);
        strcpy(after, rows[i].after);
        changed_lines(before, after);
        assert_string_equal(before, rows[i].left);
        assert_string_equal(after, rows[i].right);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text),    cmocka_unit_test(certificates), cmocka_unit_test(whose),
        cmocka_unit_test(ends),        cmocka_unit_test(many),         cmocka_unit_test(roles),
        cmocka_unit_test(tries),       cmocka_unit_test(one_network),  cmocka_unit_test(bounded),
        cmocka_unit_test(differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
