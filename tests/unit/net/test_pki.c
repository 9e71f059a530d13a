#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "common/net/pki.h"
#include "common/net/pki_priv.h"

#define S INT64_C(1000000000)
#define DAY (86400 * S)
#define NOW (INT64_C(1795000000) * S) /* 2026-11-18 */

static const char *const hosts[] = { "controller.example.net", "10.1.2.3", "2001:db8::1" };

static struct {
    struct pki_key *ca_key, *other_key, *key;
    struct pki_cert *ca, *other;
    struct pki_csr *csr;
} t;

static struct pki_csr *request(const struct pki_key *k, const char *name)
{
    struct pki_octets der = { 0 };
    struct pki_csr *q = NULL;

    assert_int_equal(pki_csr_make(k, name, &der), TW_OK);
    assert_int_equal(pki_csr_from_der(der.data, der.len, &q, NULL), TW_OK);
    pki_octets_free(&der);
    return q;
}

static struct pki_cert *issue(const struct pki_cert *ca, const struct pki_key *k, enum pki_purpose purpose,
                              const char *name, int64_t now_ns, int64_t life_ns)
{
    struct pki_issue what = {
        purpose, name,   purpose == PKI_SERVER ? hosts : NULL, purpose == PKI_SERVER ? TW_NELEM(hosts) : 0,
        now_ns,  life_ns
    };
    struct pki_cert *c = NULL;
    struct tw_err err = { 0 };

    if (pki_issue(ca, k, t.csr, &what, &c, &err))
        fail_msg("%s", err.text);
    return c;
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(pki_ca_make("fleet CA", NOW, 3650 * DAY, &t.ca_key, &t.ca), TW_OK);
    assert_int_equal(pki_ca_make("fleet CA", NOW, 3650 * DAY, &t.other_key, &t.other), TW_OK);
    assert_int_equal(pki_key_make(&t.key), TW_OK);
    t.csr = request(t.key, "whatever");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pki_key_free(t.ca_key);
    pki_key_free(t.other_key);
    pki_key_free(t.key);
    pki_cert_free(t.ca);
    pki_cert_free(t.other);
    pki_csr_free(t.csr);
    return 0;
}

static void what_is_in_a_certificate(void **state)
{
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, 90 * DAY), *again = NULL;
    struct pki_octets der = { 0 }, pem = { 0 };
    struct pki_info i, j, ca;
    uint8_t hash[PKI_HASH_LEN];

    (void)state;
    pki_cert_info(c, &i);
    assert_string_equal(i.name, "a1"); /* the issuer's, not the request's */
    assert_int_equal(strlen(i.serial), 32);
    assert_true(i.not_before_ns == NOW - PKI_BACKDATE_NS && i.not_after_ns == NOW + 90 * DAY);
    assert_false(i.ca);
    pki_csr_hash(t.csr, hash);
    assert_memory_equal(i.key_hash, hash, sizeof hash);
    assert_true(pki_cert_is_of(c, t.key) && !pki_cert_is_of(c, t.ca_key));
    pki_cert_info(t.ca, &ca);
    assert_true(ca.ca);
    assert_string_equal(ca.name, "fleet CA");
    assert_memory_not_equal(ca.key_hash, i.key_hash, sizeof hash);

    assert_int_equal(pki_cert_to_der(c, &der), TW_OK);
    assert_int_equal(pki_cert_to_pem(c, &pem), TW_OK);
    assert_int_equal(strlen((char *)pem.data), pem.len);
    assert_int_equal(pki_cert_from_pem((char *)pem.data, pem.len, &again, NULL), TW_OK);
    pki_cert_info(again, &j);
    assert_memory_equal(&i.key_hash, &j.key_hash, sizeof i.key_hash);
    assert_string_equal(i.serial, j.serial);
    pki_cert_free(again);
    pki_cert_free(c);
    pki_octets_free(&der);
    pki_octets_free(&pem);
    assert_null(der.data);
    c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, 90 * DAY);
    pki_cert_info(c, &j);
    assert_string_not_equal(i.serial, j.serial);
    pki_cert_free(c);
    c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, 36500 * DAY); /* never longer than the CA */
    pki_cert_info(c, &j);
    assert_true(j.not_after_ns == ca.not_after_ns);
    pki_cert_free(c);
}

static const struct {
    const char *name;
    bool other_ca, other_signer;
    enum pki_purpose is, wanted;
    int64_t made_ns, life_ns, now_ns;
    enum pki_fault fault;
    const char *says;
} checks[] = {
    { "an agent's", 0, 0, PKI_AGENT, PKI_AGENT, NOW, DAY, NOW, PKI_FINE, "" },
    { "a server's", 0, 0, PKI_SERVER, PKI_SERVER, NOW, DAY, NOW, PKI_FINE, "" },
    { "its last second", 0, 0, PKI_AGENT, PKI_AGENT, NOW, DAY, NOW + DAY, PKI_FINE, "" },
    { "expired", 0, 0, PKI_AGENT, PKI_AGENT, NOW, DAY, NOW + DAY + S, PKI_EXPIRED, "expired at 2026-11-19T" },
    { "a clock that is 5 min slow", 0, 0, PKI_AGENT, PKI_AGENT, NOW, DAY, NOW - 300 * S, PKI_FINE, "" },
    { "not yet valid", 0, 0, PKI_AGENT, PKI_AGENT, NOW, DAY, NOW - 301 * S, PKI_NOT_YET_VALID,
      "not valid before 2026-11-18T" },
    { "an agent's as a server's", 0, 0, PKI_AGENT, PKI_SERVER, NOW, DAY, NOW, PKI_WRONG_PURPOSE,
      "serverAuth" },
    { "a server's as an agent's", 0, 0, PKI_SERVER, PKI_AGENT, NOW, DAY, NOW, PKI_WRONG_PURPOSE,
      "clientAuth" },
    { "of a CA of the same name", 1, 1, PKI_AGENT, PKI_AGENT, NOW, DAY, NOW, PKI_UNKNOWN_CA,
      "not issued by the CA" },
};

static void judging(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(checks); i++) {
        struct pki_cert *c =
            issue(checks[i].other_ca ? t.other : t.ca, checks[i].other_signer ? t.other_key : t.ca_key,
                  checks[i].is, "a1", checks[i].made_ns, checks[i].life_ns);
        struct tw_err err = { 0 };
        enum pki_fault fault = pki_check(t.ca, c, checks[i].wanted, checks[i].now_ns, &err);

        if (fault != checks[i].fault || !strstr(err.text, checks[i].says))
            fail_msg("%s: %d, \"%s\"", checks[i].name, fault, err.text);
        pki_cert_free(c);
    }
}

static void the_ca_is_no_agent(void **state)
{
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, DAY);
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(pki_check(t.ca, t.ca, PKI_AGENT, NOW, &err), PKI_WRONG_PURPOSE);
    assert_int_equal(pki_check_ca(t.ca, NOW, &err), PKI_FINE);
    assert_int_equal(pki_check_ca(c, NOW, &err), PKI_WRONG_PURPOSE);
    assert_int_equal(pki_check_ca(t.ca, NOW + 3651 * DAY, &err), PKI_EXPIRED);
    assert_int_equal(pki_check(c, t.ca, PKI_AGENT, NOW, &err), PKI_UNKNOWN_CA);
    pki_cert_free(c);
}

/* An agent with a certificate must not be able to issue another. */
static void an_agent_issues_nothing(void **state)
{
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, DAY), *got = NULL;
    struct pki_issue what = { PKI_AGENT, "a2", NULL, 0, NOW, DAY };
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(pki_issue(c, t.key, t.csr, &what, &got, &err), TW_EINVAL);
    assert_int_equal(pki_issue(t.ca, t.other_key, t.csr, &what, &got, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "does not belong"));
    assert_null(got);
    pki_cert_free(c);
}

/* Made by OpenSSL directly: what somebody with the CA's key could issue, and we never do. */
static struct pki_cert *odd(int nid, const char *value, const char *name, const char *second_name)
{
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, DAY), *ret = NULL;
    X509 *x = X509_dup(pki_x509(c));
    X509_NAME *n = X509_NAME_new();
    struct pki_octets der;
    struct pki_cert *dup = (struct pki_cert *)x;
    int at = nid ? X509_get_ext_by_NID(x, nid, -1) : -1;

    if (at >= 0)
        X509_EXTENSION_free(X509_delete_ext(x, at));
    if (nid && value) {
        X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

        assert_non_null(e);
        X509_add_ext(x, e, -1);
        X509_EXTENSION_free(e);
    }
    if (name)
        X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0);
    if (second_name)
        X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8, (const unsigned char *)second_name, -1,
                                   -1, 0);
    X509_set_subject_name(x, n);
    assert_true(X509_sign(x, pki_pkey(t.ca_key), EVP_sha256()) > 0);
    assert_int_equal(pki_cert_to_der(dup, &der), TW_OK);
    assert_int_equal(pki_cert_from_der(der.data, der.len, &ret, NULL), TW_OK);
    pki_octets_free(&der);
    X509_NAME_free(n);
    X509_free(x);
    pki_cert_free(c);
    return ret;
}

static const struct {
    const char *what;
    int nid;
    const char *value, *name, *second_name;
    enum pki_fault fault;
} odds[] = {
    { "as it is", 0, NULL, "a1", NULL, PKI_FINE },
    { "any extended use", NID_ext_key_usage, NULL, "a1", NULL, PKI_WRONG_PURPOSE },
    { "both uses", NID_ext_key_usage, "clientAuth,serverAuth", "a1", NULL, PKI_WRONG_PURPOSE },
    { "may issue", NID_basic_constraints, "critical,CA:TRUE", "a1", NULL, PKI_WRONG_PURPOSE },
    { "no name", 0, NULL, NULL, NULL, PKI_UNKNOWN_CA /* RFC 5280 allows none */ },
    { "two names", 0, NULL, "a1", "a2", PKI_WRONG_KIND },
    { "a name with a control character", 0, NULL, "a\n1", NULL, PKI_WRONG_KIND },
    { "a name of 64 octets", 0, NULL, "0123456789012345678901234567890123456789012345678901234567890123",
      NULL, PKI_WRONG_KIND },
};

static void odd_certificates(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(odds); i++) {
        struct pki_cert *c = odd(odds[i].nid, odds[i].value, odds[i].name, odds[i].second_name);
        struct tw_err err = { 0 };
        enum pki_fault fault = pki_check(t.ca, c, PKI_AGENT, NOW, &err);

        if (fault != odds[i].fault)
            fail_msg("%s: %d, \"%s\"", odds[i].what, fault, err.text);
        pki_cert_free(c);
    }
}

/* Each octet of a certificate altered, and each length of it: never accepted. */
static void altered(void **state)
{
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, DAY), *got;
    struct pki_octets der;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(pki_cert_to_der(c, &der), TW_OK);
    for (size_t i = 0; i < der.len; i++) {
        der.data[i] ^= 1;
        if (pki_cert_from_der(der.data, der.len, &got, &err) == TW_OK) {
            if (pki_check(t.ca, got, PKI_AGENT, NOW, &err) == PKI_FINE)
                fail_msg("octet %zu of %zu altered and accepted", i, der.len);
            pki_cert_free(got);
        }
        der.data[i] ^= 1;
        assert_int_equal(pki_cert_from_der(der.data, i, &got, &err), TW_ECORRUPT);
    }
    pki_octets_free(&der);
    pki_cert_free(c);
}

static void garbage(void **state)
{
    static uint8_t big[PKI_DER_MAX + 1] = { 0x30, 0x82, 0x0f, 0xfd };
    static char text[PKI_PEM_MAX + 2];
    struct pki_octets der = { 0 }, pem = { 0 }, twice = { 0 };
    struct pki_cert *c = NULL;
    struct pki_csr *q = NULL;
    struct pki_key *k = NULL;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(pki_cert_from_der(big, sizeof big, &c, &err), TW_ECORRUPT);
    assert_int_equal(pki_cert_from_der(big, 0, &c, &err), TW_ECORRUPT);
    assert_int_equal(pki_csr_from_der(big, sizeof big, &q, &err), TW_ECORRUPT);
    assert_int_equal(pki_csr_from_der((const uint8_t *)"x", 1, &q, &err), TW_ECORRUPT);
    memset(text, 'A', sizeof text - 1);
    assert_int_equal(pki_cert_from_pem(text, sizeof text - 1, &c, &err), TW_ECORRUPT);
    assert_int_equal(pki_cert_from_pem("", 0, &c, &err), TW_ECORRUPT);
    assert_int_equal(pki_key_from_pem("-----BEGIN PRIVATE KEY-----\n", 28, &k, &err), TW_ECORRUPT);
    /* something after it */
    assert_int_equal(pki_cert_to_der(t.ca, &der), TW_OK);
    memcpy(big, der.data, der.len);
    big[der.len] = 0;
    assert_int_equal(pki_cert_from_der(big, der.len + 1, &c, &err), TW_ECORRUPT);
    assert_int_equal(pki_csr_from_der(der.data, der.len, &q, &err),
                     TW_ECORRUPT); /* a certificate is no request */
    assert_int_equal(pki_cert_to_pem(t.ca, &pem), TW_OK);
    twice.len = (size_t)snprintf(text, sizeof text, "%s%s", (char *)pem.data, (char *)pem.data);
    assert_int_equal(pki_cert_from_pem(text, twice.len, &c, &err), TW_ECORRUPT);
    assert_non_null(strstr(err.text, "another one"));
    assert_true(!c && !q && !k);
    pki_octets_free(&der);
    pki_octets_free(&pem);
}

static void other_kinds_of_keys(void **state)
{
    static const char *const curves[] = { "P-384", "secp256k1" };
    struct pki_octets pem, der;
    struct pki_csr *q = NULL;
    struct pki_key *k = NULL;
    struct tw_err err = { 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(curves); i++) {
        struct pki_key *odd_key = (struct pki_key *)EVP_EC_gen(curves[i]);

        assert_non_null(odd_key);
        assert_int_equal(pki_key_to_pem(odd_key, &pem), TW_OK);
        assert_int_equal(pki_key_from_pem((char *)pem.data, pem.len, &k, &err), TW_ECORRUPT);
        assert_int_equal(pki_csr_make(odd_key, "a1", &der), TW_OK);
        assert_int_equal(pki_csr_from_der(der.data, der.len, &q, &err), TW_ECORRUPT);
        assert_non_null(strstr(err.text, "P-256"));
        pki_octets_free(&pem);
        pki_octets_free(&der);
        pki_key_free(odd_key);
    }
    assert_true(!k && !q);
}

/* Somebody else's public key in a request of his own signature: he would get a certificate that he cannot
 * use, and the other would be known by his name. */
static void request_for_a_foreign_key(void **state)
{
    struct pki_octets der;
    struct pki_csr *q = NULL;
    struct tw_err err = { 0 };
    X509_REQ *x = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());

    (void)state;
    X509_REQ_set_pubkey(x, pki_pkey(t.key));
    assert_true(X509_REQ_sign(x, pki_pkey(t.other_key), EVP_sha256()) > 0);
    assert_int_equal(pki_take_bio(bio, i2d_X509_REQ_bio(bio, x) == 1, &der), TW_OK);
    assert_int_equal(pki_csr_from_der(der.data, der.len, &q, &err), TW_ECORRUPT);
    assert_non_null(strstr(err.text, "not signed by the key"));
    assert_null(q);
    pki_octets_free(&der);
    X509_REQ_free(x);
}

static const struct {
    const char *host;
    bool has;
} host_rows[] = {
    { "controller.example.net", true },
    { "CONTROLLER.example.net", true },
    { "other.example.net", false },
    { "10.1.2.3", true },
    { "10.1.2.4", false },
    { "2001:db8:0::1", true },
    { "2001:db8::2", false },
    { "", false },
    { "srv", false }, /* the common name is for people */
};

static void names_of_a_server(void **state)
{
    static const char *const bad[] = { "", "a b", "x,DNS:evil", "-x", "10.0.0", "*.example.net" };
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_SERVER, "srv", NOW, DAY), *got = NULL;
    char again[PKI_MAX_HOSTS][PKI_HOST_TEXT];

    (void)state;
    assert_int_equal(pki_cert_hosts(c, again, PKI_MAX_HOSTS), TW_NELEM(hosts));
    for (size_t i = 0; i < TW_NELEM(hosts); i++)
        assert_string_equal(again[i], hosts[i]);
    assert_int_equal(pki_cert_hosts(t.ca, again, PKI_MAX_HOSTS), 0);
    for (size_t i = 0; i < TW_NELEM(host_rows); i++)
        if (pki_cert_has_host(c, host_rows[i].host) != host_rows[i].has)
            fail_msg("%s", host_rows[i].host);
    pki_cert_free(c);
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct pki_issue what = { PKI_SERVER, "srv", &bad[i], 1, NOW, DAY };
        struct tw_err err = { 0 };

        if (pki_issue(t.ca, t.ca_key, t.csr, &what, &got, &err) != TW_EINVAL ||
            !strstr(err.text, "neither a host name"))
            fail_msg("\"%s\" was taken as a host", bad[i]);
    }
    for (int purpose = PKI_AGENT; purpose <= PKI_SERVER;
         purpose++) { /* an agent with hosts, a server without */
        struct pki_issue what = { (enum pki_purpose)purpose,    "srv", hosts,
                                  purpose == PKI_AGENT ? 1 : 0, NOW,   DAY };

        assert_int_equal(pki_issue(t.ca, t.ca_key, t.csr, &what, &got, NULL), TW_EINVAL);
    }
    assert_null(got);
}

static void signatures(void **state)
{
    static const uint8_t text[] = "a nonce", other[] = "another";
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, DAY);
    uint8_t sig[PKI_SIG_MAX];
    size_t n = 0;

    (void)state;
    assert_int_equal(pki_sign(t.key, text, sizeof text, sig, &n), TW_OK);
    assert_true(pki_verify(c, text, sizeof text, sig, n));
    assert_false(pki_verify(c, other, sizeof other, sig, n));
    assert_false(pki_verify(t.ca, text, sizeof text, sig, n));
    assert_false(pki_verify(c, text, sizeof text, sig, n - 1));
    assert_false(pki_verify(c, text, sizeof text, sig, 0));
    sig[n / 2] ^= 1;
    assert_false(pki_verify(c, text, sizeof text, sig, n));
    pki_cert_free(c);
}

static void keys_in_pem(void **state)
{
    struct pki_octets pem;
    struct pki_key *k = NULL;
    struct pki_cert *c = issue(t.ca, t.ca_key, PKI_AGENT, "a1", NOW, DAY);

    (void)state;
    assert_int_equal(pki_key_to_pem(t.key, &pem), TW_OK);
    assert_non_null(strstr((char *)pem.data, "BEGIN PRIVATE KEY"));
    assert_int_equal(pki_key_from_pem((char *)pem.data, pem.len, &k, NULL), TW_OK);
    assert_true(pki_cert_is_of(c, k));
    pki_octets_free(&pem);
    pki_key_free(k);
    pki_cert_free(c);
}

static void when_to_renew(void **state)
{
    (void)state;
    assert_true(pki_renew_at_ns(NOW - PKI_BACKDATE_NS, NOW + 90 * DAY) == NOW + 60 * DAY);
    assert_true(pki_renew_at_ns(NOW - PKI_BACKDATE_NS, NOW + 6 * S) == NOW + 4 * S);
    assert_true(pki_renew_at_ns(NOW, NOW + 30 * S) ==
                NOW + 20 * S); /* another CA's, shorter than what we backdate by */
    assert_true(pki_renew_at_ns(NOW, NOW) == NOW);
    assert_true(pki_renew_at_ns(NOW, NOW - S) == NOW - S);
    assert_true(pki_renew_at_ns(0, INT64_MAX) > INT64_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_in_a_certificate),
        cmocka_unit_test(judging),
        cmocka_unit_test(the_ca_is_no_agent),
        cmocka_unit_test(an_agent_issues_nothing),
        cmocka_unit_test(odd_certificates),
        cmocka_unit_test(altered),
        cmocka_unit_test(garbage),
        cmocka_unit_test(other_kinds_of_keys),
        cmocka_unit_test(request_for_a_foreign_key),
        cmocka_unit_test(names_of_a_server),
        cmocka_unit_test(signatures),
        cmocka_unit_test(keys_in_pem),
        cmocka_unit_test(when_to_renew),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
