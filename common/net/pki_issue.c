/* Requests, and what the CA makes of them. */
#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include "common/hostname.h"
#include "common/net/identity.h"
#include "common/net/pki_priv.h"

#define NS_PER_S INT64_C(1000000000)
#define SERIAL_LEN 16

static bool set_name(X509_NAME *n, const char *name)
{
    return pki_name_ok(name, strlen(name)) &&
           X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_ASC, (const unsigned char *)name, -1, -1,
                                      0) == 1;
}

/* ---- Requests ---- */

enum tw_rc pki_csr_make(const struct pki_key *k, const char *name, struct pki_octets *ret_der)
{
    X509_REQ *q = X509_REQ_new();
    BIO *bio = BIO_new(BIO_s_mem());
    bool ok = q && bio && X509_REQ_set_version(q, X509_REQ_VERSION_1) == 1 &&
              set_name(X509_REQ_get_subject_name(q), name) && X509_REQ_set_pubkey(q, pki_pkey(k)) == 1 &&
              X509_REQ_sign(q, pki_pkey(k), EVP_sha256()) > 0 && i2d_X509_REQ_bio(bio, q) == 1;

    X509_REQ_free(q);
    return pki_take_bio(bio, ok, ret_der);
}

enum tw_rc pki_csr_from_der(const uint8_t *data, size_t len, struct pki_csr **ret, struct tw_err *err)
{
    const unsigned char *p = data;
    X509_REQ *q = len > 0 && len <= PKI_DER_MAX ? d2i_X509_REQ(NULL, &p, (long)len) : NULL;
    EVP_PKEY *k = q ? X509_REQ_get0_pubkey(q) : NULL;
    const char *what = NULL;

    if (!q || p != data + len)
        what = "not one certificate request in DER";
    else if (!pki_is_p256(k))
        what = "the certificate request is not for a P-256 key";
    else if (X509_REQ_verify(q, k) != 1)
        what = "the certificate request was not signed by the key that is in it";
    if (what) {
        X509_REQ_free(q);
        return pki_done(tw_err_set(err, TW_ECORRUPT, "%s", what));
    }
    *ret = (struct pki_csr *)q;
    return pki_done(TW_OK);
}

void pki_csr_hash(const struct pki_csr *q, uint8_t ret_key_hash[PKI_HASH_LEN])
{
    pki_hash_pubkey(X509_REQ_get_X509_PUBKEY(pki_req(q)), ret_key_hash);
    pki_done(TW_OK);
}

void pki_csr_free(struct pki_csr *q)
{
    X509_REQ_free(pki_req(q));
}

/* ---- Parts of a certificate ---- */

static bool set_serial(X509 *x)
{
    uint8_t octets[SERIAL_LEN];
    BIGNUM *n;
    bool ok;

    if (identity_random(octets, sizeof octets))
        return false;
    octets[0] = (octets[0] & 0x7f) | 0x40; /* positive, and always as long */
    n = BN_bin2bn(octets, sizeof octets, NULL);
    ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

static bool set_times(X509 *x, int64_t from_ns, int64_t to_ns)
{
    return from_ns >= 0 && to_ns > from_ns && ASN1_TIME_set(X509_getm_notBefore(x), from_ns / NS_PER_S) &&
           ASN1_TIME_set(X509_getm_notAfter(x), to_ns / NS_PER_S);
}

static bool add_ext(X509 *x, X509V3_CTX *ctx, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;

    X509_EXTENSION_free(e);
    return ok;
}

static bool push_name(GENERAL_NAMES *names, int type, const void *data, size_t len)
{
    GENERAL_NAME *g = GENERAL_NAME_new();
    ASN1_STRING *s = type == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();

    if (!g || !s || ASN1_STRING_set(s, data, (int)len) != 1) {
        GENERAL_NAME_free(g);
        ASN1_STRING_free(s);
        return false;
    }
    GENERAL_NAME_set0_value(g, type, s);
    if (sk_GENERAL_NAME_push(names, g) > 0)
        return true;
    GENERAL_NAME_free(g);
    return false;
}

/* An address goes in twice: as RFC 5280 wants it, and as a DNS name, which is the only kind that mbedTLS 2.28
 * compares. */
static bool push_host(GENERAL_NAMES *names, const char *host)
{
    uint8_t ip[16];
    size_t len = inet_pton(AF_INET, host, ip) == 1 ? 4 : inet_pton(AF_INET6, host, ip) == 1 ? 16 : 0;
    char text[INET6_ADDRSTRLEN];

    if (len == 0)
        return push_name(names, GEN_DNS, host, strlen(host));
    return inet_ntop(len == 4 ? AF_INET : AF_INET6, ip, text, sizeof text) &&
           push_name(names, GEN_IPADD, ip, len) && push_name(names, GEN_DNS, text, strlen(text));
}

static bool add_hosts(X509 *x, const struct pki_issue *what)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    bool ok = names != NULL;

    for (size_t i = 0; ok && i < what->n_hosts; i++)
        ok = push_host(names, what->hosts[i]);
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

static enum tw_rc check_hosts(const struct pki_issue *what, struct tw_err *err)
{
    uint8_t ip[16];

    if (what->n_hosts > PKI_MAX_HOSTS || (what->purpose == PKI_SERVER) != (what->n_hosts > 0))
        return tw_err_set(err, TW_EINVAL, "a server's certificate has 1 to %d names, an agent's has none",
                          PKI_MAX_HOSTS);
    for (size_t i = 0; i < what->n_hosts; i++) {
        const char *h = what->hosts[i];

        if (inet_pton(AF_INET, h, ip) != 1 && inet_pton(AF_INET6, h, ip) != 1 && !hostname_ok(h))
            return tw_err_set(err, TW_EINVAL, "\"%.100s\" is neither a host name nor a numeric address", h);
    }
    return TW_OK;
}

/* ---- The CA ---- */

static bool fill_ca(X509 *x, EVP_PKEY *k, const char *name, int64_t now_ns, int64_t life_ns)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
           set_name(X509_get_subject_name(x), name) &&
           X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
           set_times(x, now_ns - PKI_BACKDATE_NS, now_ns + life_ns) && X509_set_pubkey(x, k) == 1 &&
           add_ext(x, &ctx, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
           add_ext(x, &ctx, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_ext(x, &ctx, NID_subject_key_identifier, "hash") && X509_sign(x, k, EVP_sha256()) > 0;
}

enum tw_rc pki_ca_make(const char *name, int64_t now_ns, int64_t life_ns, struct pki_key **ret_key,
                       struct pki_cert **ret_cert)
{
    struct pki_key *k = NULL;
    X509 *x = X509_new();
    enum tw_rc rc = x ? pki_key_make(&k) : TW_ENOMEM;

    if (!rc && !fill_ca(x, pki_pkey(k), name, now_ns, life_ns))
        rc = TW_EINVAL;
    if (rc) {
        X509_free(x);
        pki_key_free(k);
        return pki_done(rc);
    }
    X509_check_purpose(x, -1, 0);
    *ret_key = k;
    *ret_cert = (struct pki_cert *)x;
    return pki_done(TW_OK);
}

static bool fill_issued(X509 *x, const struct pki_cert *ca, const struct pki_key *ca_key,
                        const struct pki_csr *q, const struct pki_issue *what, int64_t until_ns)
{
    X509V3_CTX ctx;

    X509V3_set_ctx(&ctx, pki_x509(ca), x, NULL, NULL, 0);
    return X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
           set_name(X509_get_subject_name(x), what->name) &&
           X509_set_issuer_name(x, X509_get_subject_name(pki_x509(ca))) == 1 &&
           set_times(x, what->now_ns - PKI_BACKDATE_NS, until_ns) &&
           X509_set_pubkey(x, X509_REQ_get0_pubkey(pki_req(q))) == 1 &&
           add_ext(x, &ctx, NID_basic_constraints, "critical,CA:FALSE") &&
           add_ext(x, &ctx, NID_key_usage, "critical,digitalSignature") &&
           add_ext(x, &ctx, NID_ext_key_usage, what->purpose == PKI_AGENT ? "clientAuth" : "serverAuth") &&
           add_ext(x, &ctx, NID_subject_key_identifier, "hash") &&
           add_ext(x, &ctx, NID_authority_key_identifier, "keyid:always") &&
           (what->n_hosts == 0 || add_hosts(x, what)) && X509_sign(x, pki_pkey(ca_key), EVP_sha256()) > 0;
}

enum tw_rc pki_issue(const struct pki_cert *ca, const struct pki_key *ca_key, const struct pki_csr *q,
                     const struct pki_issue *what, struct pki_cert **ret, struct tw_err *err)
{
    int64_t until = what->now_ns + what->life_ns;
    struct pki_info of_ca;
    enum tw_rc rc = check_hosts(what, err);
    X509 *x;

    if (rc)
        return rc;
    if (!pki_name_ok(what->name, strlen(what->name)))
        return tw_err_set(err, TW_EINVAL, "names in certificates are 1 to %d printable ASCII characters",
                          PKI_NAME_TEXT - 1);
    if (!pki_cert_is_of(ca, ca_key))
        return tw_err_set(err, TW_EINVAL, "the CA's key does not belong to its certificate");
    if (pki_check_ca(ca, what->now_ns, err))
        return TW_EINVAL;
    pki_cert_info(ca, &of_ca);
    x = X509_new();
    if (!x || !fill_issued(x, ca, ca_key, q, what, until < of_ca.not_after_ns ? until : of_ca.not_after_ns)) {
        X509_free(x);
        return pki_done(tw_err_set(err, TW_ENOMEM, "cannot make the certificate"));
    }
    X509_check_purpose(x, -1, 0);
    *ret = (struct pki_cert *)x;
    return pki_done(TW_OK);
}
