/* What an agent keeps of its certificate, wherever it was interrupted, and what it does next to get one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/credentials.h"
#include "agent/join.h"
#include "common/net/keyfile.h"

#define S INT64_C(1000000000)
#define DAY (86400 * S)
#define NOW (INT64_C(1795000000) * S)

static struct {
    char dir[64];
    struct pki_key *ca_key;
    struct pki_cert *ca, *other;
    struct pki_octets ca_der, other_der;
    struct pki_info info;
} t;

static int setup(void **state)
{
    struct pki_key *k = NULL;

    (void)state;
    snprintf(t.dir, sizeof t.dir, "/tmp/twjoin.XXXXXX");
    assert_non_null(mkdtemp(t.dir));
    assert_int_equal(pki_ca_make("ca", NOW, 100 * DAY, &t.ca_key, &t.ca), TW_OK);
    assert_int_equal(pki_ca_make("ca", NOW, 100 * DAY, &k, &t.other), TW_OK);
    pki_key_free(k);
    assert_int_equal(pki_cert_to_der(t.ca, &t.ca_der), TW_OK);
    assert_int_equal(pki_cert_to_der(t.other, &t.other_der), TW_OK);
    pki_cert_info(t.ca, &t.info);
    return 0;
}

static const char *in(const char *file)
{
    static char path[96];

    snprintf(path, sizeof path, "%s/%s", t.dir, file);
    return path;
}

static int teardown(void **state)
{
    (void)state;
    unlink(in("ca.pem"));
    unlink(in("tls.pem"));
    unlink(in("tls.key.new"));
    pki_key_free(t.ca_key);
    pki_cert_free(t.ca);
    pki_cert_free(t.other);
    pki_octets_free(&t.ca_der);
    pki_octets_free(&t.other_der);
    return rmdir(t.dir); /* also fails when something was left behind */
}

static struct credentials *opened(void)
{
    struct credentials *c = NULL;
    struct tw_err err = { 0 };

    if (credentials_open(t.dir, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

/* What the controller answers. */
static struct pki_octets answer(const struct pki_octets *csr, const char *name, int64_t now_ns)
{
    struct pki_issue what = { .purpose = PKI_AGENT, .name = name, .now_ns = now_ns, .life_ns = DAY };
    struct pki_octets der = { 0 };
    struct pki_cert *cert = NULL;
    struct pki_csr *q = NULL;

    assert_int_equal(pki_csr_from_der(csr->data, csr->len, &q, NULL), TW_OK);
    assert_int_equal(pki_issue(t.ca, t.ca_key, q, &what, &cert, NULL), TW_OK);
    assert_int_equal(pki_cert_to_der(cert, &der), TW_OK);
    pki_cert_free(cert);
    pki_csr_free(q);
    return der;
}

static void trusts_the_one_of_its_token(void **state)
{
    struct credentials *c = opened();
    uint8_t hash[PKI_HASH_LEN];
    struct tw_err err = { 0 };

    (void)state;
    assert_false(credentials_ca_hash(c, hash));
    assert_int_equal(credentials_trust(c, t.other_der.data, t.other_der.len, t.info.key_hash, NOW, &err),
                     TW_EPERM);
    assert_non_null(strstr(err.text, "it is the token of another controller"));
    assert_null(credentials_ca_pem(c));
    assert_int_equal(credentials_trust(c, t.ca_der.data, t.ca_der.len - 1, t.info.key_hash, NOW, &err),
                     TW_ECORRUPT);
    assert_int_equal(
        credentials_trust(c, t.ca_der.data, t.ca_der.len, t.info.key_hash, NOW + 200 * DAY, &err),
        TW_EPERM); /* expired */
    assert_int_equal(credentials_trust(c, t.ca_der.data, t.ca_der.len, t.info.key_hash, NOW, &err), TW_OK);
    credentials_free(c);
    c = opened();
    assert_true(credentials_ca_hash(c, hash));
    assert_memory_equal(hash, t.info.key_hash, sizeof hash);
    credentials_free(c);
}

/* Each time as after a crash. */
static void goes_on_after_a_crash(void **state)
{
    struct credentials *c = opened();
    struct pki_octets first = { 0 }, again = { 0 }, der;
    struct pki_info info;
    struct pki_csr *q = NULL;
    uint8_t hash[2][PKI_HASH_LEN];
    struct stat st;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(credentials_trust(c, t.ca_der.data, t.ca_der.len, t.info.key_hash, NOW, &err), TW_OK);
    assert_int_equal(credentials_request(c, "a1", &first, &err), TW_OK);
    credentials_free(c);
    c = opened();
    assert_int_equal(credentials_request(c, "a1", &again, &err), TW_OK); /* for the same key */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pki_csr_from_der(i ? again.data : first.data, i ? again.len : first.len, &q, NULL),
                         TW_OK);
        pki_csr_hash(q, hash[i]);
        pki_csr_free(q);
    }
    assert_memory_equal(hash[0], hash[1], PKI_HASH_LEN);
    der = answer(&first, "a1", NOW);
    assert_int_equal(credentials_take(c, "a1", der.data, der.len, NOW, &err), TW_OK);
    credentials_free(c);
    c = opened();
    assert_true(credentials_usable(c, NOW) && !credentials_usable(c, NOW + 2 * DAY));
    assert_true(credentials_info(c, &info));
    assert_memory_equal(info.key_hash, hash[0], PKI_HASH_LEN);
    assert_int_equal(stat(in("tls.pem"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(access(in("tls.key.new"), F_OK), -1);
    pki_octets_free(&first);
    pki_octets_free(&again);
    pki_octets_free(&der);
    credentials_free(c);
}

/* Written, but the key of the request not yet removed: it is not asked for twice. */
static void ended_before_cleaning_up(void **state)
{
    struct credentials *c = opened();
    struct pki_octets csr = { 0 }, der, key = { 0 };
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(credentials_trust(c, t.ca_der.data, t.ca_der.len, t.info.key_hash, NOW, &err), TW_OK);
    assert_int_equal(credentials_request(c, "a1", &csr, &err), TW_OK);
    assert_int_equal(keyfile_read(in("tls.key.new"), &key, &err), TW_OK);
    der = answer(&csr, "a1", NOW);
    assert_int_equal(credentials_take(c, "a1", der.data, der.len, NOW, &err), TW_OK);
    assert_int_equal(keyfile_write(in("tls.key.new"), key.data, key.len, &err), TW_OK);
    credentials_free(c);
    c = opened();
    assert_int_equal(access(in("tls.key.new"), F_OK), -1);
    pki_octets_free(&csr);
    pki_octets_free(&der);
    pki_octets_free(&key);
    credentials_free(c);
}

static void answers_that_are_not_taken(void **state)
{
    struct credentials *c = opened();
    struct pki_octets csr = { 0 }, der, stranger = { 0 };
    struct pki_key *key = NULL;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(credentials_trust(c, t.ca_der.data, t.ca_der.len, t.info.key_hash, NOW, &err), TW_OK);
    assert_int_equal(credentials_request(c, "a1", &csr, &err), TW_OK);
    der = answer(&csr, "a2", NOW); /* another's name */
    assert_int_equal(credentials_take(c, "a1", der.data, der.len, NOW, &err), TW_EPERM);
    assert_non_null(strstr(err.text, "\"a2\""));
    pki_octets_free(&der);
    assert_int_equal(pki_key_make(&key), TW_OK); /* another's key */
    assert_int_equal(pki_csr_make(key, "a1", &stranger), TW_OK);
    der = answer(&stranger, "a1", NOW);
    assert_int_equal(credentials_take(c, "a1", der.data, der.len, NOW, &err), TW_EPERM);
    pki_octets_free(&der);
    assert_int_equal(credentials_take(c, "a1", t.ca_der.data, t.ca_der.len, NOW, &err), TW_EPERM);
    assert_int_equal(credentials_take(c, "a1", (const uint8_t *)"x", 1, NOW, &err), TW_ECORRUPT);
    der = answer(&csr, "a1", NOW + 10 * DAY); /* not yet valid */
    assert_int_equal(credentials_take(c, "a1", der.data, der.len, NOW, &err), TW_EPERM);
    assert_null(credentials_pem(c));
    assert_int_equal(access(in("tls.pem"), F_OK), -1);
    pki_octets_free(&der);
    pki_octets_free(&csr);
    pki_octets_free(&stranger);
    pki_key_free(key);
    credentials_free(c);
}

static void damaged_files(void **state)
{
    static const struct {
        const char *file;
        enum tw_rc rc;
        const char *says;
    } rows[] = {
        { "ca.pem", TW_ECORRUPT, "join anew" },
        { "tls.pem", TW_ECORRUPT, "the controller gives another" },
        { "tls.key.new", TW_OK, "" }, /* another is made */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct credentials *c = NULL;
        struct tw_err err = { 0 };

        assert_int_equal(keyfile_write(in(rows[i].file), "rubbish", 7, NULL), TW_OK);
        if (credentials_open(t.dir, &c, &err) != rows[i].rc || !strstr(err.text, rows[i].says))
            fail_msg("%s: \"%s\"", rows[i].file, err.text);
        credentials_free(c);
        unlink(in(rows[i].file));
    }
}

static const struct {
    struct join_facts f;
    enum join_do next;
} steps[] = {
    { { 0 }, JOIN_NO_TOKEN },
    { { .token = true }, JOIN_GET_CA },
    { { .token = true, .certificate = true }, JOIN_GET_CA },
    { { .ca = true, .token = true }, JOIN_SHOW_TOKEN },
    { { .ca = true, .token = true, .waits = true }, JOIN_ASK_AGAIN },
    { { .ca = true }, JOIN_ASK_AGAIN },
    { { .ca = true, .certificate = true }, JOIN_DONE },
    { { .ca = true, .certificate = true, .token = true }, JOIN_DONE },
};

static void what_comes_next(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(steps); i++)
        if (join_next(&steps[i].f) != steps[i].next)
            fail_msg("row %zu: %d", i, join_next(&steps[i].f));
    for (unsigned n = 0; n < 100; n++)
        assert_true(join_pause_ns(n) >= S && join_pause_ns(n) <= 30 * S &&
                    join_pause_ns(n + 1) >= join_pause_ns(n));
    assert_true(join_is_final(TW__STATUS__STATUS_PERMISSION_DENIED) &&
                !join_is_final(TW__STATUS__STATUS_UNAVAILABLE) &&
                !join_is_final(TW__STATUS__STATUS_RESOURCE_EXHAUSTED) &&
                !join_is_final(TW__STATUS__STATUS_FAILED_PRECONDITION));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(trusts_the_one_of_its_token), T(goes_on_after_a_crash), T(ended_before_cleaning_up),
        T(answers_that_are_not_taken),  T(damaged_files),         cmocka_unit_test(what_comes_next),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
