#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/join_token.h"

#define S INT64_C(1000000000)
#define NOW (INT64_C(1795000000) * S)

static void make(struct join_token *t, char text[JOIN_TOKEN_TEXT], uint8_t seed)
{
    uint8_t random[JOIN_RANDOM_OCTETS], hash[JOIN_HASH_OCTETS];

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(seed + 7 * i);
    memset(hash, 0xa5, sizeof hash);
    *t = (struct join_token){ .created_ns = NOW, .expires_ns = NOW + 3600 * S, .uses = 2 };
    join_token_make(random, hash, t, text);
}

static void there_and_back(void **state)
{
    struct join_token_parts p;
    char text[JOIN_TOKEN_TEXT], other_text[JOIN_TOKEN_TEXT];
    struct join_token t, other;
    uint8_t hash[JOIN_HASH_OCTETS];

    (void)state;
    for (unsigned seed = 0; seed < 256; seed++) {
        make(&t, text, (uint8_t)seed);
        make(&other, other_text, (uint8_t)(seed + 1));
        memset(hash, 0xa5, sizeof hash);
        assert_int_equal(strncmp(text, "twj1.", 5), 0);
        assert_int_equal(join_token_parse(text, &p, NULL), TW_OK);
        assert_string_equal(p.id, t.id);
        assert_memory_equal(p.ca_hash, hash, sizeof hash);
        assert_true(join_token_is(&t, p.digest));
        assert_false(join_token_is(&other, p.digest));
    }
}

/* Each character altered, and each length: none is taken for this token, and the secret is in no error. */
static void altered(void **state)
{
    struct join_token_parts p;
    char text[JOIN_TOKEN_TEXT], copy[JOIN_TOKEN_TEXT + 2];
    struct join_token t;
    struct tw_err err;
    size_t len;

    (void)state;
    make(&t, text, 1);
    len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        memcpy(copy, text, sizeof text);
        copy[i] = copy[i] == 'b' ? 'c' : 'b';
        if (join_token_parse(copy, &p, &err) == TW_OK && join_token_is(&t, p.digest) && !strcmp(p.id, t.id) &&
            !memcmp(p.ca_hash,
                    "\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5"
                    "\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5",
                    32))
            fail_msg("character %zu altered and accepted", i);
        copy[i] = '\0';
        assert_int_equal(join_token_parse(copy, &p, &err), TW_EINVAL);
        assert_null(strstr(err.text, text + 22));
    }
    snprintf(copy, sizeof copy, "%sA", text);
    assert_int_equal(join_token_parse(copy, &p, &err), TW_EINVAL);
    assert_int_equal(join_token_parse("", &p, &err), TW_EINVAL);
}

static const struct {
    uint32_t used;
    int64_t revoked_ns, now_ns;
    enum join_state state;
} states[] = {
    { 0, 0, NOW, JOIN_USABLE },    { 1, 0, NOW + 3600 * S - 1, JOIN_USABLE },
    { 2, 0, NOW, JOIN_USED_UP },   { 0, 0, NOW + 3600 * S, JOIN_EXPIRED },
    { 0, NOW, NOW, JOIN_REVOKED }, { 2, NOW, NOW + 7200 * S, JOIN_REVOKED },
};

static void usable_or_not(void **state)
{
    struct join_token t;
    char text[JOIN_TOKEN_TEXT];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(states); i++) {
        make(&t, text, 1);
        t.used = states[i].used;
        t.revoked_ns = states[i].revoked_ns;
        if (join_token_state(&t, states[i].now_ns) != states[i].state)
            fail_msg("row %zu: %s", i, join_state_name(join_token_state(&t, states[i].now_ns)));
    }
}

static const struct {
    const char *glob, *name;
    bool admits;
} globs[] = {
    { "", "anybody", true },      { "ams-*", "ams-1", true }, { "ams-*", "fra-1", false },
    { "ams-?", "ams-12", false }, { "ams", "ams", true },     { "ams", "ams-1", false },
    { "[ab]*", "b", true },
};

static void names(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(globs); i++) {
        struct join_token t = { 0 };

        snprintf(t.name_glob, sizeof t.name_glob, "%s", globs[i].glob);
        if (join_token_admits(&t, globs[i].name) != globs[i].admits)
            fail_msg("\"%s\" and %s", globs[i].glob, globs[i].name);
    }
}

static void labels(void **state)
{
    struct join_token t = { 0 }, again = { 0 };
    char text[JOIN_LABELS_TEXT], key[16];
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(join_token_add_label(&t, "site", "ams", &err), TW_OK);
    assert_int_equal(join_token_add_label(&t, "role", "edge", &err), TW_OK);
    assert_int_equal(join_token_add_label(&t, "role", "core", &err), TW_EINVAL);
    assert_int_equal(join_token_add_label(&t, "a b", "c", &err), TW_EINVAL);
    assert_int_equal(join_token_add_label(&t, "x", "y,z=1", &err), TW_EINVAL);
    assert_int_equal(join_token_add_label(&t, "x", "", &err), TW_EINVAL);
    assert_string_equal(join_labels_format(&t, text), "site=ams,role=edge");
    assert_int_equal(join_labels_parse(&again, text), TW_OK);
    assert_int_equal(again.n_labels, 2);
    assert_string_equal(again.labels[1].value, "edge");
    assert_int_equal(join_labels_parse(&again, "site"), TW_EINVAL);
    assert_int_equal(join_labels_parse(&again, ""), TW_OK);
    assert_int_equal(again.n_labels, 0);
    for (int i = 0; i < JOIN_LABELS_MAX - 2; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(join_token_add_label(&t, key, "v", &err), TW_OK);
    }
    assert_int_equal(join_token_add_label(&t, "more", "v", &err), TW_EINVAL);
}

/* All that a proof is of is in it, and no part can be taken for another. */
static void proofs(void **state)
{
    uint8_t a[JOIN_PROOF_TEXT], b[JOIN_PROOF_TEXT];
    size_t n = 0, m = 0;

    (void)state;
    join_proof_text((const uint8_t *)"csr", 3, "ams", "twj1", a, &n);
    join_proof_text((const uint8_t *)"csr", 3, "amst", "wj1", b, &m);
    assert_true(n == m && memcmp(a, b, n) != 0);
    join_proof_text((const uint8_t *)"cst", 3, "ams", "twj1", b, &m);
    assert_true(n == m && memcmp(a, b, n) != 0);
    assert_memory_equal(a, "twampmesh-join-v1", 18);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back), cmocka_unit_test(altered), cmocka_unit_test(usable_or_not),
        cmocka_unit_test(names),          cmocka_unit_test(labels),  cmocka_unit_test(proofs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
