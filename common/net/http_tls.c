#include "common/net/http_tls.h"
#include <errno.h>
#include <fcntl.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/clk.h"
#include "common/log.h"

#define FILE_MAX ((size_t)256 << 10)
#define CHAIN_MAX 8u
#define ID_MAX 64

struct http_cert {
    _Atomic unsigned refs;
    char file[256]; /* for messages */
    gnutls_x509_crt_t chain[CHAIN_MAX];
    unsigned n;
    gnutls_x509_privkey_t key;
    int64_t begin_ns, end_ns;
};

/* ---- Files ---- */

static enum tw_rc cannot(const char *what, const char *file, int e, struct tw_err *err)
{
    return tw_err_set(err, tw_rc_errno(e), "https: cannot read the %s %s: %s", what, file, strerror(e));
}

static enum tw_rc read_open(int fd, const char *what, const char *file, gnutls_datum_t *ret,
                            struct tw_err *err)
{
    unsigned char *data = malloc(FILE_MAX + 1);
    size_t len = 0;
    ssize_t n = 1;

    if (!data)
        return tw_err_set(err, TW_ENOMEM, "https: out of memory");
    while (n > 0 && len <= FILE_MAX) {
        n = read(fd, data + len, FILE_MAX + 1 - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    if (n >= 0 && len <= FILE_MAX) {
        *ret = (gnutls_datum_t){ data, (unsigned)len };
        return TW_OK;
    }
    if (n < 0)
        cannot(what, file, errno, err);
    else
        tw_err_set(err, TW_EINVAL, "https: the %s %s is longer than %zu kB: expected PEM", what, file,
                   FILE_MAX >> 10);
    free(data);
    return err->rc;
}

/* The content, malloc'ed. */
static enum tw_rc read_file(const char *what, const char *file, gnutls_datum_t *ret, struct tw_err *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    enum tw_rc rc;

    if (fd < 0)
        return cannot(what, file, errno, err);
    rc = read_open(fd, what, file, ret, err);
    close(fd);
    return rc;
}

static void warn_of_readers(const char *file)
{
    struct stat st;

    if (stat(file, &st) == 0 && (st.st_mode & S_IROTH))
        log_warn("the key of HTTPS can be read by everybody on this host: chmod o-r", LOG_S("file", file));
}

/* Keys leave no copy behind. */
static void forget(gnutls_datum_t *d)
{
    if (d->data)
        explicit_bzero(d->data, d->size);
    free(d->data);
}

/* ---- What is in them ---- */

static enum tw_rc parse_chain(struct http_cert *c, const gnutls_datum_t *pem, struct tw_err *err)
{
    unsigned n = CHAIN_MAX;
    int e = gnutls_x509_crt_list_import(c->chain, &n, pem, GNUTLS_X509_FMT_PEM,
                                        GNUTLS_X509_CRT_LIST_IMPORT_FAIL_IF_EXCEED |
                                            GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);

    if (e == GNUTLS_E_SHORT_MEMORY_BUFFER)
        return tw_err_set(
            err, TW_EINVAL,
            "https: %s has more than %u certificates: expected that of the server and those above it",
            c->file, CHAIN_MAX);
    if (e == GNUTLS_E_CERTIFICATE_LIST_UNSORTED)
        return tw_err_set(err, TW_EINVAL,
                          "https: the certificates in %s are not in order: expected that of the server "
                          "first, each signed by the next",
                          c->file);
    if (e < 0 || !n)
        return tw_err_set(err, TW_EINVAL,
                          "https: %s is no certificate: expected PEM (-----BEGIN CERTIFICATE-----)%s%s",
                          c->file, e < 0 ? ": " : "", e < 0 ? gnutls_strerror(e) : "");
    c->n = n;
    c->begin_ns = (int64_t)gnutls_x509_crt_get_activation_time(c->chain[0]) * TW_NS_PER_S;
    c->end_ns = (int64_t)gnutls_x509_crt_get_expiration_time(c->chain[0]) * TW_NS_PER_S;
    return TW_OK;
}

static enum tw_rc parse_key(struct http_cert *c, const char *file, const gnutls_datum_t *pem,
                            struct tw_err *err)
{
    int e = gnutls_x509_privkey_init(&c->key);

    if (e < 0)
        return tw_err_set(err, TW_ENOMEM, "https: out of memory");
    e = gnutls_x509_privkey_import2(c->key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (e == GNUTLS_E_DECRYPTION_FAILED)
        return tw_err_set(
            err, TW_EINVAL,
            "https: the key %s has a password: expected one without, in a file that only we may read", file);
    if (e < 0)
        return tw_err_set(err, TW_EINVAL,
                          "https: %s is no private key: expected PEM (-----BEGIN PRIVATE KEY-----): %s", file,
                          gnutls_strerror(e));
    return TW_OK;
}

static enum tw_rc check_pair(const struct http_cert *c, const char *key_file, struct tw_err *err)
{
    unsigned char a[ID_MAX], b[ID_MAX];
    size_t a_len = sizeof a, b_len = sizeof b;

    if (gnutls_x509_crt_get_key_id(c->chain[0], GNUTLS_KEYID_USE_SHA256, a, &a_len) < 0 ||
        gnutls_x509_privkey_get_key_id(c->key, GNUTLS_KEYID_USE_SHA256, b, &b_len) < 0)
        return tw_err_set(err, TW_EINVAL,
                          "https: the keys of %s and %s are of a kind that cannot be used here", c->file,
                          key_file);
    if (a_len == b_len && !memcmp(a, b, a_len))
        return TW_OK;
    return tw_err_set(err, TW_EINVAL, "https: the key %s is not that of the certificate %s", key_file,
                      c->file);
}

static enum tw_rc parse(struct http_cert *c, const char *key_file, const gnutls_datum_t *cert,
                        const gnutls_datum_t *key, struct tw_err *err)
{
    enum tw_rc rc = parse_chain(c, cert, err);

    if (rc == TW_OK)
        rc = parse_key(c, key_file, key, err);
    return rc == TW_OK ? check_pair(c, key_file, err) : rc;
}

enum tw_rc http_cert_load(const char *cert_file, const char *key_file, struct http_cert **ret,
                          struct tw_err *err)
{
    struct http_cert *c = calloc(1, sizeof *c);
    gnutls_datum_t cert = { 0 }, key = { 0 };
    enum tw_rc rc;

    if (!c)
        return tw_err_set(err, TW_ENOMEM, "https: out of memory");
    atomic_store(&c->refs, 1);
    snprintf(c->file, sizeof c->file, "%s", cert_file);
    rc = read_file("certificate", cert_file, &cert, err);
    if (rc == TW_OK)
        rc = read_file("key", key_file, &key, err);
    if (rc == TW_OK)
        rc = parse(c, key_file, &cert, &key, err);
    free(cert.data);
    forget(&key);
    if (rc != TW_OK) {
        http_cert_unref(c);
        return rc;
    }
    warn_of_readers(key_file);
    *ret = c;
    return TW_OK;
}

/* ---- ---- */

struct http_cert *http_cert_ref(struct http_cert *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void http_cert_unref(struct http_cert *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < c->n; i++)
        gnutls_x509_crt_deinit(c->chain[i]);
    if (c->key)
        gnutls_x509_privkey_deinit(c->key);
    free(c);
}

int64_t http_cert_begin_ns(const struct http_cert *c)
{
    return c->begin_ns;
}

int64_t http_cert_end_ns(const struct http_cert *c)
{
    return c->end_ns;
}

enum tw_rc http_cert_check_time(const struct http_cert *c, int64_t now_ns, struct tw_err *err)
{
    bool early = now_ns < c->begin_ns;
    char text[TW_TIME_TEXT];

    if (!early && now_ns < c->end_ns)
        return TW_OK;
    tw_wall_format((struct tw_wall){ early ? c->begin_ns : c->end_ns }, text);
    return tw_err_set(err, TW_EINVAL, "https: the certificate %s %s %s: renew it, or check the clock",
                      c->file, early ? "is not valid before" : "has expired at", text);
}

int http_cert_copy(const struct http_cert *c, gnutls_pcert_st **ret_list, unsigned *ret_n,
                   gnutls_privkey_t *ret_key)
{
    gnutls_pcert_st *list = gnutls_calloc(c->n, sizeof *list);
    gnutls_privkey_t key = NULL;
    unsigned n = 0;
    int e = list ? gnutls_privkey_init(&key) : GNUTLS_E_MEMORY_ERROR;

    if (e >= 0)
        e = gnutls_privkey_import_x509(key, c->key, GNUTLS_PRIVKEY_IMPORT_COPY);
    while (e >= 0 && n < c->n) {
        e = gnutls_pcert_import_x509(&list[n], c->chain[n], 0);
        n += e >= 0;
    }
    if (e >= 0) {
        *ret_list = list;
        *ret_n = n;
        *ret_key = key;
        return 0;
    }
    while (n)
        gnutls_pcert_deinit(&list[--n]);
    if (key)
        gnutls_privkey_deinit(key);
    gnutls_free(list);
    return e;
}
