#include "common/net/rpc_tls.h"
#include <arpa/inet.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/hextext.h"
#include "common/net/pki.h"

#define MAX_CHAIN 32768 /* octets of certificates that a peer may show */
#define TIME_TEXT 32
#define NAMES_TEXT 128

struct rpc_tls_end {
    SSL_CTX *ctx;
    bool server, verify;
};

struct rpc_tls_session {
    SSL *ssl;
    BIO *in, *out; /* the network's side; the SSL owns them */
    bool server, begun, bad;
    enum tw_rc end;
    char host[64]; /* client: for people */
    char why[256];
};

/* ---- Texts in PEM ---- */

static BIO *reader_of(const char *pem)
{
    size_t len = strlen(pem);

    return len < INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
}

/* Hands each certificate of the text to take(), which owns it then. Returns how many there were; -1: take()
 * failed. */
static int each_certificate(const char *pem, bool (*take)(SSL_CTX *ctx, X509 *x, int i), SSL_CTX *ctx)
{
    BIO *bio = reader_of(pem);
    X509 *x;
    int n = 0;

    while (bio && n >= 0 && (x = PEM_read_bio_X509(bio, NULL, pki_no_passphrase, NULL)))
        n = take(ctx, x, n) ? n + 1 : -1;
    BIO_free(bio);
    ERR_clear_error(); /* that there are no more is one */
    return n;
}

static bool take_authority(SSL_CTX *ctx, X509 *x, int i)
{
    bool ok = X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), x) == 1;

    (void)i;
    X509_free(x);
    return ok;
}

static bool take_own(SSL_CTX *ctx, X509 *x, int i)
{
    bool ok = i == 0 ? SSL_CTX_use_certificate(ctx, x) == 1 : SSL_CTX_add1_chain_cert(ctx, x) == 1;

    X509_free(x);
    return ok;
}

static enum tw_rc use_key(SSL_CTX *ctx, const char *pem, struct tw_err *err)
{
    BIO *bio = reader_of(pem);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, pki_no_passphrase, NULL) : NULL;
    bool fits = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    enum tw_rc rc = TW_OK;

    if (!key)
        rc = tw_err_set(err, TW_EINVAL, "the key is not an unencrypted private key in PEM");
    else if (!fits)
        rc = tw_err_set(err, TW_EINVAL, "the key is not that of the certificate");
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

static enum tw_rc use_texts(const struct rpc_tls *conf, bool server, SSL_CTX *ctx, struct tw_err *err)
{
    bool verify = server || !conf->unverified;

    if (verify && (!conf->ca || each_certificate(conf->ca, take_authority, ctx) < 1))
        return tw_err_set(err, TW_EINVAL,
                          "no certificate of an authority (CA) in PEM: nobody could be believed");
    if (!conf->certificate && !server)
        return TW_OK;
    if (!conf->certificate || each_certificate(conf->certificate, take_own, ctx) < 1)
        return tw_err_set(err, TW_EINVAL, "no certificate in PEM to show");
    if (!conf->key)
        return tw_err_set(err, TW_EINVAL, "the key of the certificate is missing");
    return use_key(ctx, conf->key, err);
}

/* ---- Why a certificate is not believed ---- */

static void format_time(const ASN1_TIME *t, char ret[TIME_TEXT])
{
    struct tm tm;

    snprintf(ret, TIME_TEXT, "an unknown time");
    if (ASN1_TIME_to_tm(t, &tm) == 1)
        strftime(ret, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void format_now(char ret[TIME_TEXT])
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(ret, TIME_TEXT, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void append_name(char *list, const char *name)
{
    size_t n = strlen(list);

    for (const char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            return; /* goes to terminals and logs */
    if (n > 0 && strcmp(list, name) == 0)
        return; /* an address that is also there as a name */
    snprintf(list + n, NAMES_TEXT - n, "%s%s", n ? ", " : "", name);
}

/* The names and addresses that a certificate is for, as many as fit. */
static void format_names(X509 *x, char ret[NAMES_TEXT])
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    char text[INET6_ADDRSTRLEN];

    ret[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(all, i);
        int family = g->type == GEN_IPADD && g->d.iPAddress->length == 16 ? AF_INET6 : AF_INET;

        if (g->type == GEN_DNS && strlen((const char *)g->d.dNSName->data) == (size_t)g->d.dNSName->length)
            append_name(ret, (const char *)g->d.dNSName->data);
        else if (g->type == GEN_IPADD && (g->d.iPAddress->length == 4 || g->d.iPAddress->length == 16) &&
                 inet_ntop(family, g->d.iPAddress->data, text, sizeof text))
            append_name(ret, text);
    }
    if (!ret[0])
        snprintf(ret, NAMES_TEXT, "no name");
    GENERAL_NAMES_free(all);
}

/* "the server's certificate", or which one on the way to the authority. */
static const char *whose(const struct rpc_tls_session *s, int depth)
{
    if (depth > 0)
        return "the certificate of the authority (CA)";
    return s->server ? "the client's certificate" : "the server's certificate";
}

static void explain_time(struct rpc_tls_session *s, X509 *x, const char *which, bool expired)
{
    char then[TIME_TEXT], now[TIME_TEXT];

    format_time(expired ? X509_get0_notAfter(x) : X509_get0_notBefore(x), then);
    format_now(now);
    if (expired)
        snprintf(s->why, sizeof s->why,
                 "%s expired at %s, and the clock here says %s: renew it, or set the clock", which, then,
                 now);
    else
        snprintf(s->why, sizeof s->why,
                 "%s is not valid before %s, and the clock here says %s: one of the two clocks is wrong",
                 which, then, now);
}

static void explain_name(struct rpc_tls_session *s, X509 *x)
{
    char names[NAMES_TEXT];

    format_names(x, names);
    snprintf(s->why, sizeof s->why,
             "the server's certificate is for %.110s, not for %.60s: connect to a name that it has", names, s->host);
}

static void explain_certificate(struct rpc_tls_session *s, int error, int depth, X509 *x)
{
    const char *which = whose(s, depth);

    switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        explain_time(s, x, which, error == X509_V_ERR_CERT_HAS_EXPIRED);
        break;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        explain_name(s, x);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        snprintf(s->why, sizeof s->why, "%s is not from an authority (CA) that is known here",
                 depth > 0 ? whose(s, 0) : which);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        snprintf(s->why, sizeof s->why, "%s is not made for %s", which, s->server ? "clients" : "servers");
        break;
    default:
        snprintf(s->why, sizeof s->why, "%s is not believed: %s", which,
                 X509_verify_cert_error_string(error));
    }
}

/* Only to remember the first reason; the verdict stays OpenSSL's. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct rpc_tls_session *s = SSL_get_app_data(ssl);

    if (!ok && !s->why[0]) {
        explain_certificate(s, X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_error_depth(store),
                            X509_STORE_CTX_get_current_cert(store));
        s->end = TW_EPERM;
    }
    return ok;
}

/* ---- Ends ---- */

static enum tw_rc setup(struct rpc_tls_end *e, const struct rpc_tls *conf, struct tw_err *err)
{
    e->ctx = SSL_CTX_new(e->server ? TLS_server_method() : TLS_client_method());
    if (!e->ctx || SSL_CTX_set_min_proto_version(e->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_num_tickets(e->ctx, 0) != 1)
        return tw_err_set(err, TW_ENOMEM, "OpenSSL does not give a context for TLS 1.3");
    SSL_CTX_set_options(e->ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_session_cache_mode(e->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(e->ctx,
                     SSL_MODE_RELEASE_BUFFERS); /* thousands of connections are idle most of the time */
    SSL_CTX_set_max_cert_list(e->ctx, MAX_CHAIN);
    SSL_CTX_set_verify(e->ctx, e->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, e->verify ? on_verify : NULL);
    return use_texts(conf, e->server, e->ctx, err);
}

enum tw_rc rpc_tls_end_new(const struct rpc_tls *conf, bool server, struct rpc_tls_end **ret,
                           struct tw_err *err)
{
    struct rpc_tls_end *e = calloc(1, sizeof *e);
    enum tw_rc rc;

    if (!e)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    e->server = server;
    e->verify = server || !conf->unverified;
    rc = setup(e, conf, err);
    ERR_clear_error();
    if (rc) {
        rpc_tls_end_free(e);
        return rc;
    }
    *ret = e;
    return TW_OK;
}

void rpc_tls_end_free(struct rpc_tls_end *e)
{
    if (!e)
        return;
    SSL_CTX_free(e->ctx); /* sessions hold it, too */
    free(e);
}

/* ---- Sessions ---- */

static bool set_host(const struct rpc_tls_end *e, SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);

    if (e->server || !e->verify)
        return true;
    if (!host || !host[0])
        return false; /* a client that believes everybody of the CA is no client of ours */
    if (X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1)
        return true;
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

enum tw_rc rpc_tls_session_new(struct rpc_tls_end *e, const char *host, struct rpc_tls_session **ret)
{
    struct rpc_tls_session *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->server = e->server;
    snprintf(s->host, sizeof s->host, "%s", host ? host : "");
    s->ssl = SSL_new(e->ctx);
    s->in = BIO_new(BIO_s_mem());
    s->out = BIO_new(BIO_s_mem());
    if (!s->ssl || !s->in || !s->out || !set_host(e, s->ssl, host)) {
        BIO_free(s->in);
        BIO_free(s->out);
        SSL_free(s->ssl);
        free(s);
        ERR_clear_error();
        return TW_ENOMEM;
    }
    BIO_set_mem_eof_return(s->in, -1); /* empty is not the end */
    SSL_set_bio(s->ssl, s->in, s->out);
    SSL_set_app_data(s->ssl, s);
    if (s->server)
        SSL_set_accept_state(s->ssl);
    else
        SSL_set_connect_state(s->ssl);
    ERR_clear_error(); /* a name is no address, for instance */
    *ret = s;
    return TW_OK;
}

void rpc_tls_session_free(struct rpc_tls_session *s)
{
    if (!s)
        return;
    SSL_free(s->ssl);
    free(s);
}

/* ---- Why a session ends ---- */

/* RFC 8446 section 6.2: what the peer tells us. A table of sentences, since each wants another remedy. */
static const struct {
    int alert;
    enum tw_rc rc;
    const char *text; /* %s: the peer */
} alerts[] = {
    { SSL_AD_BAD_CERTIFICATE, TW_EPERM,
      "the %s does not accept our certificate: by its clock it is not valid yet, or it is not for the name "
      "that it asked for" },
    { SSL_AD_UNSUPPORTED_CERTIFICATE, TW_EPERM,
      "the %s does not accept our certificate: it is made for another purpose" },
    { SSL_AD_CERTIFICATE_REVOKED, TW_EPERM, "the %s does not accept our certificate: it was revoked" },
    { SSL_AD_CERTIFICATE_EXPIRED, TW_EPERM,
      "the %s does not accept our certificate: by its clock it has expired" },
    { SSL_AD_CERTIFICATE_UNKNOWN, TW_EPERM, "the %s does not accept our certificate" },
    { SSL_AD_UNKNOWN_CA, TW_EPERM,
      "the %s does not accept our certificate: it is not from an authority (CA) that is known there" },
    { SSL_AD_HANDSHAKE_FAILURE, TW_ECORRUPT, "the %s and we have no way of TLS in common" },
    { SSL_AD_PROTOCOL_VERSION, TW_ECORRUPT, "the %s does not speak TLS 1.3" },
    { 116, TW_EPERM, "the %s wants a certificate, and we have shown none" }, /* certificate_required */
};

static const char *peer_of(const struct rpc_tls_session *s)
{
    return s->server ? "client" : "server";
}

static void explain_alert(struct rpc_tls_session *s, int alert)
{
    for (size_t i = 0; i < TW_NELEM(alerts); i++)
        if (alerts[i].alert == alert) {
            s->end = alerts[i].rc;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(s->why, sizeof s->why, alerts[i].text, peer_of(s));
#pragma GCC diagnostic pop
            return;
        }
    snprintf(s->why, sizeof s->why, "the %s ended the TLS handshake: %s", peer_of(s),
             SSL_alert_desc_string_long(alert));
}

static void explain_failure(struct rpc_tls_session *s)
{
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);

    if (s->why[0])
        return; /* a certificate, told where it was known */
    s->end = TW_ECORRUPT;
    if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET)
        explain_alert(s, reason - SSL_AD_REASON_OFFSET);
    else if (ERR_GET_LIB(e) == ERR_LIB_SSL && reason == SSL_R_UNSUPPORTED_PROTOCOL)
        snprintf(s->why, sizeof s->why, "the %s does not speak TLS 1.3", peer_of(s));
    else
        snprintf(s->why, sizeof s->why, "TLS failed: %s",
                 e ? ERR_reason_error_string(e) : "the connection ended");
}

/* ---- Octets ---- */

/* The first record is a handshake, or a server's alert. Who speaks plain text is told apart before OpenSSL
 * sees it. */
static bool is_tls(const struct rpc_tls_session *s, const uint8_t *data)
{
    return data[0] == 0x16 || (!s->server && data[0] == 0x15);
}

enum tw_rc rpc_tls_feed(struct rpc_tls_session *s, const uint8_t *data, size_t len)
{
    if (len && !s->begun && !is_tls(s, data)) {
        s->bad = true;
        s->end = TW_ECORRUPT;
        snprintf(
            s->why, sizeof s->why,
            s->server
                ? "the client speaks plain text to a port of TLS: let it use tls+tcp://"
                : "the server speaks plain text at that port: use tcp://, or let it listen on tls+tcp://");
    }
    s->begun = s->begun || len;
    if (s->bad)
        return TW_OK; /* rpc_tls_read() tells */
    return len < INT_MAX && BIO_write(s->in, data, (int)len) == (int)len ? TW_OK : TW_ENOMEM;
}

enum tw_rc rpc_tls_read(struct rpc_tls_session *s, uint8_t *buf, size_t cap, size_t *ret_len)
{
    int got;

    if (s->bad)
        return s->end;
    ERR_clear_error();
    got = SSL_read_ex(s->ssl, buf, cap, ret_len);
    if (got == 1)
        return TW_OK;
    switch (SSL_get_error(s->ssl, got)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return TW_EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        s->end = TW_ECLOSED;
        snprintf(s->why, sizeof s->why, "the %s has closed the connection", peer_of(s));
        break;
    default:
        explain_failure(s);
    }
    s->bad = true;
    ERR_clear_error();
    return s->end;
}

enum tw_rc rpc_tls_write(struct rpc_tls_session *s, const uint8_t *data, size_t len)
{
    size_t done = 0;

    if (s->bad)
        return s->end;
    if (!rpc_tls_ready(s))
        return TW_EAGAIN;
    ERR_clear_error();
    if (len == 0 || (SSL_write_ex(s->ssl, data, len, &done) == 1 && done == len))
        return TW_OK;
    s->bad = true;
    explain_failure(s);
    ERR_clear_error();
    return s->end;
}

size_t rpc_tls_pending(const struct rpc_tls_session *s)
{
    return BIO_ctrl_pending(s->out);
}

void rpc_tls_take(struct rpc_tls_session *s, uint8_t *buf, size_t len)
{
    for (int n; len > 0; buf += n, len -= (size_t)n) {
        n = BIO_read(s->out, buf, len < INT_MAX ? (int)len : INT_MAX);
        if (n <= 0)
            return; /* cannot be: pending() had them */
    }
}

const char *rpc_tls_why(const struct rpc_tls_session *s)
{
    return s->why;
}

bool rpc_tls_ready(const struct rpc_tls_session *s)
{
    return SSL_is_init_finished(s->ssl) == 1;
}

/* ---- The peer's certificate ---- */

static int64_t unix_time(const ASN1_TIME *t)
{
    struct tm tm;

    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void read_name(X509 *x, char ret[RPC_CERTIFICATE_NAME])
{
    X509_NAME *subject = X509_get_subject_name(x);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1), n;
    unsigned char *text = NULL;

    ret[0] = '\0';
    if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return;
    n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n > 0 && n < RPC_CERTIFICATE_NAME && !memchr(text, '\0', (size_t)n))
        snprintf(ret, RPC_CERTIFICATE_NAME, "%.*s", n, (const char *)text);
    OPENSSL_free(text);
}

static void read_serial(X509 *x, char ret[RPC_CERTIFICATE_SERIAL])
{
    const ASN1_INTEGER *n = X509_get0_serialNumber(x);

    ret[0] = '\0';
    if (n->length > 20)
        return; /* RFC 5280 allows no more; nobody issued this */
    hextext_format(n->data, (size_t)n->length, ret);
}

bool rpc_tls_certificate(const struct rpc_tls_session *s, struct rpc_certificate *ret)
{
    X509 *x = rpc_tls_ready(s) && SSL_get_verify_result(s->ssl) == X509_V_OK
                  ? SSL_get0_peer_certificate(s->ssl)
                  : NULL;
    unsigned n = sizeof ret->sha256;

    if (!x)
        return false;
    *ret = (struct rpc_certificate){ .not_before_s = unix_time(X509_get0_notBefore(x)),
                                     .not_after_s = unix_time(X509_get0_notAfter(x)) };
    read_name(x, ret->name);
    read_serial(x, ret->serial);
    X509_digest(x, EVP_sha256(), ret->sha256, &n);
    return true;
}

enum tw_rc rpc_tls_binding(const struct rpc_tls_session *s, uint8_t ret[RPC_TLS_BINDING])
{
    static const char label[] = "EXPORTER-Channel-Binding";

    return SSL_export_keying_material(s->ssl, ret, RPC_TLS_BINDING, label, sizeof label - 1, NULL, 0, 0) == 1
               ? TW_OK
               : TW_EIO;
}
