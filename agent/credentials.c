#include "agent/credentials.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/hextext.h"
#include "common/net/keyfile.h"

#define DIR_MAX 512

struct credentials {
    char dir[DIR_MAX];
    struct pki_cert *ca, *cert;
    struct pki_key *next; /* of the request; NULL: none is under way */
    struct pki_octets ca_pem, pem;
};

#define PATH_TEXT (DIR_MAX + 16)
static const char *path_of(const struct credentials *c, const char *file, char ret[PATH_TEXT])
{
    snprintf(ret, PATH_TEXT, "%s/%s", c->dir, file);
    return ret;
}

static enum tw_rc wrong(const char *path, const char *what, struct tw_err *err)
{
    char text[sizeof err->text];

    snprintf(text, sizeof text, "%s", err->text);
    return tw_err_set(err, TW_ECORRUPT, "%.110s: %.60s; %s", path, text, what);
}

/* ---- Reading ---- */

/* TW_OK also if there is no such file: nothing is set then. */
static enum tw_rc read_optional(const char *path, struct pki_octets *ret, struct tw_err *err)
{
    enum tw_rc rc = keyfile_read(path, ret, err);

    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc read_ca(struct credentials *c, struct tw_err *err)
{
    char path[PATH_TEXT];
    enum tw_rc rc = read_optional(path_of(c, "ca.pem", path), &c->ca_pem, err);

    if (rc || !c->ca_pem.data)
        return rc;
    rc = pki_cert_from_pem((const char *)c->ca_pem.data, c->ca_pem.len, &c->ca, err);
    return rc ? wrong(path, "remove it to join anew", err) : TW_OK;
}

static enum tw_rc read_own(struct credentials *c, struct tw_err *err)
{
    char path[PATH_TEXT];
    struct pki_key *key = NULL;
    enum tw_rc rc = read_optional(path_of(c, "tls.pem", path), &c->pem, err);

    if (rc || !c->pem.data)
        return rc;
    rc = pki_cert_from_pem((const char *)c->pem.data, c->pem.len, &c->cert, err);
    if (!rc)
        rc = pki_key_from_pem((const char *)c->pem.data, c->pem.len, &key, err);
    if (!rc && !pki_cert_is_of(c->cert, key))
        rc = tw_err_set(err, TW_ECORRUPT, "the key in it is not that of the certificate");
    pki_key_free(key);
    return rc ? wrong(path, "remove it: the controller gives another", err) : TW_OK;
}

static enum tw_rc read_next(struct credentials *c, struct tw_err *err)
{
    char path[PATH_TEXT];
    struct pki_octets pem = { 0 };
    enum tw_rc rc = read_optional(path_of(c, "tls.key.new", path), &pem, err);

    if (!rc && pem.data && pki_key_from_pem((const char *)pem.data, pem.len, &c->next, err) != TW_OK)
        unlink(path); /* nobody needs it: another one is made */
    pki_octets_free(&pem);
    if (!rc && c->next && c->cert && pki_cert_is_of(c->cert, c->next)) { /* ended between writing and this */
        unlink(path);
        pki_key_free(c->next);
        c->next = NULL;
    }
    return rc;
}

enum tw_rc credentials_open(const char *dir, struct credentials **ret, struct tw_err *err)
{
    struct credentials *c = calloc(1, sizeof *c);
    enum tw_rc rc = TW_OK;

    if (!c)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    if (snprintf(c->dir, sizeof c->dir, "%s", dir) >= (int)sizeof c->dir)
        rc = tw_err_set(err, TW_EINVAL, "the path of the data directory has more than %d characters",
                        DIR_MAX - 1);
    if (!rc)
        rc = read_ca(c, err);
    if (!rc)
        rc = read_own(c, err);
    if (!rc)
        rc = read_next(c, err);
    if (rc) {
        credentials_free(c);
        return rc;
    }
    *ret = c;
    return TW_OK;
}

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    pki_cert_free(c->ca);
    pki_cert_free(c->cert);
    pki_key_free(c->next);
    pki_octets_free(&c->ca_pem);
    pki_octets_free(&c->pem);
    free(c);
}

/* ---- Looking ---- */

const char *credentials_ca_pem(const struct credentials *c)
{
    return (const char *)c->ca_pem.data;
}

const char *credentials_pem(const struct credentials *c)
{
    return (const char *)c->pem.data;
}

bool credentials_info(const struct credentials *c, struct pki_info *ret)
{
    if (c->cert)
        pki_cert_info(c->cert, ret);
    return c->cert != NULL;
}

bool credentials_usable(const struct credentials *c, int64_t now_ns)
{
    struct pki_info info;

    return c->ca && credentials_info(c, &info) && now_ns < info.not_after_ns;
}

bool credentials_ca_hash(const struct credentials *c, uint8_t ret[PKI_HASH_LEN])
{
    struct pki_info info;

    if (!c->ca)
        return false;
    pki_cert_info(c->ca, &info);
    memcpy(ret, info.key_hash, PKI_HASH_LEN);
    return true;
}

/* ---- Changing ---- */

static enum tw_rc check_ca(const struct pki_cert *ca, const uint8_t hash[PKI_HASH_LEN], int64_t now_ns,
                           struct tw_err *err)
{
    char want[2 * PKI_HASH_LEN + 1], got[2 * PKI_HASH_LEN + 1];
    struct pki_info info;

    pki_cert_info(ca, &info);
    if (memcmp(info.key_hash, hash, PKI_HASH_LEN) != 0) {
        hextext_format(hash, PKI_HASH_LEN, want);
        hextext_format(info.key_hash, PKI_HASH_LEN, got);
        return tw_err_set(err, TW_EPERM,
                          "the controller's CA has the key %.16s..., the token names %.16s...: it is the "
                          "token of another controller, or "
                          "somebody stands between",
                          got, want);
    }
    return pki_check_ca(ca, now_ns, err) ? TW_EPERM : TW_OK;
}

enum tw_rc credentials_trust(struct credentials *c, const uint8_t *der, size_t len,
                             const uint8_t hash[PKI_HASH_LEN], int64_t now_ns, struct tw_err *err)
{
    char path[PATH_TEXT];
    struct pki_octets pem = { 0 };
    struct pki_cert *ca = NULL;
    enum tw_rc rc = pki_cert_from_der(der, len, &ca, err);

    if (!rc)
        rc = check_ca(ca, hash, now_ns, err);
    if (!rc && (rc = pki_cert_to_pem(ca, &pem)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (!rc)
        rc = keyfile_write(path_of(c, "ca.pem", path), pem.data, pem.len, err);
    if (rc) {
        pki_cert_free(ca);
        pki_octets_free(&pem);
        return rc;
    }
    pki_cert_free(c->ca);
    pki_octets_free(&c->ca_pem);
    c->ca = ca;
    c->ca_pem = pem;
    return TW_OK;
}

/* Kept before it is asked for. */
static enum tw_rc make_next(struct credentials *c, struct tw_err *err)
{
    char path[PATH_TEXT];
    struct pki_octets pem = { 0 };
    struct pki_key *key = NULL;
    enum tw_rc rc = pki_key_make(&key);

    if (!rc)
        rc = pki_key_to_pem(key, &pem);
    if (rc)
        tw_err_set(err, rc, "cannot make a key");
    else
        rc = keyfile_write(path_of(c, "tls.key.new", path), pem.data, pem.len, err);
    pki_octets_free(&pem);
    if (rc)
        pki_key_free(key);
    else
        c->next = key;
    return rc;
}

enum tw_rc credentials_request(struct credentials *c, const char *name, struct pki_octets *ret_csr,
                               struct tw_err *err)
{
    enum tw_rc rc = c->next ? TW_OK : make_next(c, err);

    if (!rc && (rc = pki_csr_make(c->next, name, ret_csr)) != TW_OK)
        tw_err_set(err, rc, "cannot make a certificate request");
    return rc;
}

static enum tw_rc check_own(const struct credentials *c, const struct pki_cert *cert, const char *name,
                            int64_t now_ns, struct tw_err *err)
{
    struct pki_info info;

    if (!c->next || !pki_cert_is_of(cert, c->next))
        return tw_err_set(err, TW_EPERM, "the certificate is not for the key that was asked for");
    if (!c->ca || pki_check(c->ca, cert, PKI_AGENT, now_ns, err))
        return err ? err->rc = TW_EPERM : TW_EPERM;
    pki_cert_info(cert, &info);
    return strcmp(info.name, name)
               ? tw_err_set(err, TW_EPERM, "the certificate is for \"%s\", not for \"%.63s\"", info.name,
                            name)
               : TW_OK;
}

static enum tw_rc join_pem(const struct pki_cert *cert, const struct pki_key *key, struct pki_octets *ret)
{
    struct pki_octets a = { 0 }, b = { 0 };
    enum tw_rc rc = pki_cert_to_pem(cert, &a);
    uint8_t *both = NULL;

    if (!rc)
        rc = pki_key_to_pem(key, &b);
    if (!rc && !(both = malloc(a.len + b.len + 1)))
        rc = TW_ENOMEM;
    if (!rc) {
        memcpy(both, a.data, a.len);
        memcpy(both + a.len, b.data, b.len + 1);
        *ret = (struct pki_octets){ both, a.len + b.len };
    }
    pki_octets_free(&a);
    pki_octets_free(&b);
    return rc;
}

enum tw_rc credentials_take(struct credentials *c, const char *name, const uint8_t *der, size_t len,
                            int64_t now_ns, struct tw_err *err)
{
    char path[PATH_TEXT];
    struct pki_octets pem = { 0 };
    struct pki_cert *cert = NULL;
    enum tw_rc rc = pki_cert_from_der(der, len, &cert, err);

    if (!rc)
        rc = check_own(c, cert, name, now_ns, err);
    if (!rc && (rc = join_pem(cert, c->next, &pem)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (!rc)
        rc = keyfile_write(path_of(c, "tls.pem", path), pem.data, pem.len, err);
    if (rc) {
        pki_cert_free(cert);
        pki_octets_free(&pem);
        return rc;
    }
    unlink(path_of(c, "tls.key.new", path));
    pki_key_free(c->next);
    c->next = NULL;
    pki_cert_free(c->cert);
    pki_octets_free(&c->pem);
    c->cert = cert;
    c->pem = pem;
    return TW_OK;
}
