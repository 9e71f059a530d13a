#include "common/net/pki_priv.h"
#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/hextext.h"

#define NS_PER_S INT64_C(1000000000)

/* ---- Shared ---- */

enum tw_rc pki_done(enum tw_rc rc)
{
    ERR_clear_error();
    return rc;
}

void pki_octets_free(struct pki_octets *o)
{
    if (o->data)
        OPENSSL_cleanse(o->data, o->len);
    free(o->data);
    *o = (struct pki_octets){ 0 };
}

static enum tw_rc copy_octets(const void *data, size_t len, struct pki_octets *ret)
{
    uint8_t *to = malloc(len + 1);

    if (!to)
        return TW_ENOMEM;
    memcpy(to, data, len);
    to[len] = 0;
    *ret = (struct pki_octets){ to, len };
    return TW_OK;
}

enum tw_rc pki_take_bio(BIO *bio, bool written, struct pki_octets *ret)
{
    char *text = NULL;
    long len = written ? BIO_get_mem_data(bio, &text) : 0;
    enum tw_rc rc = len > 0 ? copy_octets(text, (size_t)len, ret) : TW_ENOMEM;

    BIO_free(bio); /* a memory BIO is wiped */
    return pki_done(rc);
}

bool pki_is_p256(EVP_PKEY *k)
{
    char group[32] = "";
    size_t len;

    return k && EVP_PKEY_get_base_id(k) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(k, group, sizeof group, &len) == 1 && !strcmp(group, SN_X9_62_prime256v1);
}

bool pki_name_ok(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] < 0x20 || name[i] > 0x7e)
            return false;
    return len > 0 && len < PKI_NAME_TEXT;
}

bool pki_hash_pubkey(X509_PUBKEY *k, uint8_t ret[PKI_HASH_LEN])
{
    uint8_t *der = NULL;
    int len = k ? i2d_X509_PUBKEY(k, &der) : -1;

    if (len > 0)
        SHA256(der, (size_t)len, ret);
    else
        memset(ret, 0, PKI_HASH_LEN);
    OPENSSL_free(der);
    return len > 0;
}

/* ---- Keys ---- */

int pki_no_passphrase(char *buf, int size, int writing, void *ctx)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1; /* never ask on the terminal */
}

enum tw_rc pki_key_make(struct pki_key **ret)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");

    if (!k)
        return pki_done(TW_ENOMEM);
    *ret = (struct pki_key *)k;
    return TW_OK;
}

enum tw_rc pki_key_from_pem(const char *text, size_t len, struct pki_key **ret, struct tw_err *err)
{
    BIO *bio = len <= PKI_PEM_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;
    EVP_PKEY *k = bio ? PEM_read_bio_PrivateKey(bio, NULL, pki_no_passphrase, NULL) : NULL;

    BIO_free(bio);
    if (!pki_is_p256(k)) {
        EVP_PKEY_free(k);
        return pki_done(tw_err_set(err, TW_ECORRUPT, "not an unencrypted P-256 private key in PEM"));
    }
    *ret = (struct pki_key *)k;
    return pki_done(TW_OK);
}

enum tw_rc pki_key_to_pem(const struct pki_key *k, struct pki_octets *ret)
{
    BIO *bio = BIO_new(BIO_s_secmem());

    return pki_take_bio(
        bio, bio && PEM_write_bio_PrivateKey(bio, pki_pkey(k), NULL, NULL, 0, NULL, NULL) == 1, ret);
}

void pki_key_free(struct pki_key *k)
{
    EVP_PKEY_free(pki_pkey(k));
}

enum tw_rc pki_sign(const struct pki_key *k, const uint8_t *data, size_t len, uint8_t ret_sig[PKI_SIG_MAX],
                    size_t *ret_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t n = PKI_SIG_MAX;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pki_pkey(k)) == 1 &&
              EVP_DigestSign(ctx, ret_sig, &n, data, len) == 1;

    EVP_MD_CTX_free(ctx);
    if (ok)
        *ret_len = n;
    return pki_done(ok ? TW_OK : TW_EIO);
}

bool pki_verify(const struct pki_cert *c, const uint8_t *data, size_t len, const uint8_t *sig, size_t sig_len)
{
    EVP_PKEY *k = X509_get0_pubkey(pki_x509(c));
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && sig_len <= PKI_SIG_MAX && pki_is_p256(k) &&
              EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, k) == 1 &&
              EVP_DigestVerify(ctx, sig, sig_len, data, len) == 1;

    EVP_MD_CTX_free(ctx);
    pki_done(TW_OK);
    return ok;
}

/* ---- Certificates: reading and writing ---- */

enum tw_rc pki_cert_from_der(const uint8_t *data, size_t len, struct pki_cert **ret, struct tw_err *err)
{
    const unsigned char *p = data;
    X509 *x = len > 0 && len <= PKI_DER_MAX ? d2i_X509(NULL, &p, (long)len) : NULL;

    if (x && p != data + len) {
        X509_free(x);
        x = NULL;
    }
    if (!x)
        return pki_done(tw_err_set(err, TW_ECORRUPT, "not one X.509 certificate in DER of at most %d octets",
                                   PKI_DER_MAX));
    X509_check_purpose(x, -1, 0); /* fills what X509 caches, so that later readers only read */
    *ret = (struct pki_cert *)x;
    return pki_done(TW_OK);
}

/* By way of DER, so that all certificates pass one gate. */
enum tw_rc pki_cert_from_pem(const char *text, size_t len, struct pki_cert **ret, struct tw_err *err)
{
    static const char what[] = "not exactly one certificate in PEM";
    BIO *bio = len <= PKI_PEM_MAX ? BIO_new_mem_buf(text, (int)len) : NULL;
    unsigned char *der = NULL, *more = NULL;
    long n = 0, n_more = 0;
    enum tw_rc rc;

    if (!bio || PEM_bytes_read_bio(&der, &n, NULL, PEM_STRING_X509, bio, pki_no_passphrase, NULL) != 1)
        rc = tw_err_set(err, TW_ECORRUPT, "%s", what);
    else if (PEM_bytes_read_bio(&more, &n_more, NULL, PEM_STRING_X509, bio, pki_no_passphrase, NULL) == 1)
        rc = tw_err_set(err, TW_ECORRUPT, "%s: there is another one after it", what);
    else
        rc = pki_cert_from_der(der, (size_t)n, ret, err);
    OPENSSL_free(der);
    OPENSSL_free(more);
    BIO_free(bio);
    return pki_done(rc);
}

enum tw_rc pki_cert_to_der(const struct pki_cert *c, struct pki_octets *ret)
{
    unsigned char *der = NULL;
    int len = i2d_X509(pki_x509(c), &der);
    enum tw_rc rc = len > 0 ? copy_octets(der, (size_t)len, ret) : TW_ENOMEM;

    OPENSSL_free(der);
    return pki_done(rc);
}

enum tw_rc pki_cert_to_pem(const struct pki_cert *c, struct pki_octets *ret)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return pki_take_bio(bio, bio && PEM_write_bio_X509(bio, pki_x509(c)) == 1, ret);
}

void pki_cert_free(struct pki_cert *c)
{
    X509_free(pki_x509(c));
}

/* ---- Certificates: what is in them ---- */

/* The times of certificates go to the year 9999, ours to 2262. */
static int64_t time_ns(const ASN1_TIME *t, int64_t otherwise)
{
    struct tm tm;
    int64_t s;

    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return otherwise;
    s = timegm(&tm);
    if (s > INT64_MAX / NS_PER_S)
        return INT64_MAX;
    return s < 0 ? 0 : s * NS_PER_S;
}

/* A name that could be read in two ways is none. */
static void fill_name(X509_NAME *subject, char ret[PKI_NAME_TEXT])
{
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *s;
    const char *text;
    size_t len;

    ret[0] = '\0';
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return;
    s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    if (ASN1_STRING_type(s) != V_ASN1_UTF8STRING && ASN1_STRING_type(s) != V_ASN1_PRINTABLESTRING)
        return;
    text = (const char *)ASN1_STRING_get0_data(s);
    len = (size_t)ASN1_STRING_length(s);
    if (!pki_name_ok(text, len))
        return;
    memcpy(ret, text, len);
    ret[len] = '\0';
}

static void fill_serial(const ASN1_INTEGER *serial, char ret[PKI_SERIAL_TEXT])
{
    size_t len = (size_t)ASN1_STRING_length(serial);
    const uint8_t *p = ASN1_STRING_get0_data(serial);

    ret[0] = '\0';
    if (len == 0 || 2 * len >= PKI_SERIAL_TEXT || ASN1_STRING_type(serial) != V_ASN1_INTEGER)
        return; /* negative or too long: RFC 5280 allows neither, and we issue none */
    hextext_format(p, len, ret);
}

enum tw_rc pki_cert_hash(const struct pki_cert *c, uint8_t ret[PKI_HASH_LEN])
{
    struct pki_octets der = { 0 };
    enum tw_rc rc = pki_cert_to_der(c, &der);

    if (rc == TW_OK)
        SHA256(der.data, der.len, ret);
    pki_octets_free(&der);
    return rc;
}

void pki_cert_info(const struct pki_cert *c, struct pki_info *ret)
{
    X509 *x = pki_x509(c);

    fill_name(X509_get_subject_name(x), ret->name);
    fill_serial(X509_get0_serialNumber(x), ret->serial);
    ret->not_before_ns = time_ns(X509_get0_notBefore(x), INT64_MAX);
    ret->not_after_ns = time_ns(X509_get0_notAfter(x), 0);
    pki_hash_pubkey(X509_get_X509_PUBKEY(x), ret->key_hash);
    ret->ca = X509_check_ca(x) == 1;
    pki_done(TW_OK);
}

bool pki_cert_is_of(const struct pki_cert *c, const struct pki_key *k)
{
    EVP_PKEY *mine = X509_get0_pubkey(pki_x509(c));
    bool same = mine && EVP_PKEY_eq(mine, pki_pkey(k)) == 1;

    pki_done(TW_OK);
    return same;
}

bool pki_cert_has_host(const struct pki_cert *c, const char *host)
{
    uint8_t ip[16];
    bool numeric = inet_pton(AF_INET, host, ip) == 1 || inet_pton(AF_INET6, host, ip) == 1;
    bool has = numeric ? X509_check_ip_asc(pki_x509(c), host, 0) == 1
                       : host[0] && X509_check_host(pki_x509(c), host, 0, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                                                    NULL) == 1;

    pki_done(TW_OK);
    return has;
}

/* Addresses are among the DNS names, too: see push_host(). */
size_t pki_cert_hosts(const struct pki_cert *c, char (*ret)[PKI_HOST_TEXT], size_t cap)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(pki_x509(c), NID_subject_alt_name, NULL, NULL);
    size_t n = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && n < cap; i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        size_t len = g->type == GEN_DNS ? (size_t)ASN1_STRING_length(g->d.dNSName) : 0;
        const void *text = len ? ASN1_STRING_get0_data(g->d.dNSName) : NULL;

        if (!text || len >= PKI_HOST_TEXT || memchr(text, 0, len))
            continue;
        memcpy(ret[n], text, len);
        ret[n++][len] = '\0';
    }
    GENERAL_NAMES_free(names);
    pki_done(TW_OK);
    return n;
}

/* ---- Judging ---- */

static void date_text(int64_t ns, char ret[32])
{
    time_t s = ns / NS_PER_S;
    struct tm tm;

    if (!gmtime_r(&s, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        ret[0] = '\0';
}

static enum pki_fault say(struct tw_err *err, enum pki_fault fault, const char *what)
{
    tw_err_set(err, TW_EPERM, "%s", what);
    return fault;
}

/* With the clock's time: most often it is the clock that is wrong. */
static enum pki_fault check_times(const struct pki_info *i, int64_t now_ns, struct tw_err *err)
{
    char limit[32], now[32];

    date_text(now_ns, now);
    if (now_ns < i->not_before_ns) {
        date_text(i->not_before_ns, limit);
        tw_err_set(err, TW_EPERM,
                   "the certificate of \"%s\" is not valid before %s, and the clock here says %s", i->name,
                   limit, now);
        return PKI_NOT_YET_VALID;
    }
    if (now_ns > i->not_after_ns) {
        date_text(i->not_after_ns, limit);
        tw_err_set(err, TW_EPERM, "the certificate of \"%s\" expired at %s, and the clock here says %s",
                   i->name, limit, now);
        return PKI_EXPIRED;
    }
    return PKI_FINE;
}

/* The signature, and what RFC 5280 asks of both; not the times, which we say more clearly. */
static bool chain_ok(X509 *ca, X509 *leaf)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    bool ok = store && ctx && X509_STORE_add_cert(store, ca) == 1 &&
              X509_STORE_CTX_init(ctx, store, leaf, NULL) == 1;

    if (ok) {
        X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_X509_STRICT);
        X509_STORE_CTX_set_depth(ctx, 0); /* nothing in between */
        ok = X509_verify_cert(ctx) == 1;
    }
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return ok;
}

static bool purpose_ok(X509 *x, enum pki_purpose purpose)
{
    uint32_t use = X509_get_extended_key_usage(x); /* all ones if there is none */

    return !(X509_get_extension_flags(x) & EXFLAG_CA) &&
           use == (purpose == PKI_AGENT ? XKU_SSL_CLIENT : XKU_SSL_SERVER) &&
           X509_check_purpose(x, purpose == PKI_AGENT ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER,
                              0) == 1;
}

enum pki_fault pki_check(const struct pki_cert *ca, const struct pki_cert *c, enum pki_purpose purpose,
                         int64_t now_ns, struct tw_err *err)
{
    enum pki_fault fault = PKI_FINE;
    struct pki_info info;

    pki_cert_info(c, &info);
    if (!chain_ok(pki_x509(ca), pki_x509(c)))
        fault = say(err, PKI_UNKNOWN_CA, "the certificate was not issued by the CA that is trusted here");
    else if (!purpose_ok(pki_x509(c), purpose))
        fault = say(err, PKI_WRONG_PURPOSE,
                    purpose == PKI_AGENT
                        ? "the certificate is not one of an agent (extended key usage clientAuth)"
                        : "the certificate is not one of a server (extended key usage serverAuth)");
    else if (!pki_is_p256(X509_get0_pubkey(pki_x509(c))) || !info.name[0] || !info.serial[0])
        fault = say(err, PKI_WRONG_KIND, "the certificate has no P-256 key, no name, or no serial number");
    else
        fault = check_times(&info, now_ns, err);
    pki_done(TW_OK);
    return fault;
}

enum pki_fault pki_check_ca(const struct pki_cert *ca, int64_t now_ns, struct tw_err *err)
{
    enum pki_fault fault = PKI_FINE;
    struct pki_info info;

    pki_cert_info(ca, &info);
    if (!info.ca)
        fault = say(err, PKI_WRONG_PURPOSE, "the certificate is not one of a CA (basic constraints CA:TRUE)");
    else if (!chain_ok(pki_x509(ca), pki_x509(ca)))
        fault = say(err, PKI_UNKNOWN_CA, "the CA's certificate was not signed by itself");
    else if (!pki_is_p256(X509_get0_pubkey(pki_x509(ca))))
        fault = say(err, PKI_WRONG_KIND, "the CA has no P-256 key");
    else
        fault = check_times(&info, now_ns, err);
    pki_done(TW_OK);
    return fault;
}

int64_t pki_renew_at_ns(int64_t not_before_ns, int64_t not_after_ns)
{
    int64_t from = not_before_ns;

    if (not_after_ns <= not_before_ns)
        return not_after_ns;
    if (not_after_ns - not_before_ns > PKI_BACKDATE_NS)
        from += PKI_BACKDATE_NS; /* when it was made */
    return not_after_ns - (not_after_ns - from) / 3;
}
