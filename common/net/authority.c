#include "common/net/authority.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/folder.h"
#include "common/net/keyfile.h"

#define CA_KEY "ca.key"
#define CA_CERT "ca.pem"
#define SERVER "server.pem"
#define SERVER_NAME "twampmesh controller" /* for people: what counts is the names of hosts */

struct authority {
    char dir[PATH_MAX - 64];
    struct pki_key *key;
    struct pki_cert *ca, *server;
    struct pki_octets ca_pem, server_pem;
};

static const char *const files[] = { CA_KEY, CA_CERT, SERVER };

static const char *path_of(const char *dir, const char *file, char ret[PATH_MAX])
{
    snprintf(ret, PATH_MAX, "%s/%s", dir, file);
    return ret;
}

/* ---- The controller's certificate ---- */

static enum tw_rc issue(const struct pki_cert *ca, const struct pki_key *ca_key, const struct pki_key *key,
                        const struct pki_issue *what, struct pki_cert **ret, struct tw_err *err)
{
    struct pki_octets der = { 0 };
    struct pki_csr *q = NULL;
    enum tw_rc rc = pki_csr_make(key, what->name, &der);

    if (rc)
        return tw_err_set(err, rc, "cannot make a certificate request");
    rc = pki_csr_from_der(der.data, der.len, &q, err);
    if (!rc)
        rc = pki_issue(ca, ca_key, q, what, ret, err);
    pki_csr_free(q);
    pki_octets_free(&der);
    return rc;
}

static enum tw_rc join(const struct pki_cert *cert, const struct pki_key *key, struct pki_octets *ret)
{
    struct pki_octets c = { 0 }, k = { 0 };
    enum tw_rc rc = pki_cert_to_pem(cert, &c);

    if (!rc)
        rc = pki_key_to_pem(key, &k);
    if (!rc) {
        uint8_t *both = malloc(c.len + k.len + 1);

        rc = both ? TW_OK : TW_ENOMEM;
        if (both) {
            memcpy(both, c.data, c.len);
            memcpy(both + c.len, k.data, k.len + 1);
            *ret = (struct pki_octets){ both, c.len + k.len };
        }
    }
    pki_octets_free(&c);
    pki_octets_free(&k);
    return rc;
}

/* The certificate, and it with its key as server.pem has them. */
static enum tw_rc make_server(const struct pki_cert *ca, const struct pki_key *ca_key,
                              const struct pki_issue *what, struct pki_cert **ret, struct pki_octets *ret_pem,
                              struct tw_err *err)
{
    struct pki_key *key = NULL;
    struct pki_cert *cert = NULL;
    enum tw_rc rc = pki_key_make(&key);

    if (rc)
        return tw_err_set(err, rc, "cannot make a key");
    rc = issue(ca, ca_key, key, what, &cert, err);
    if (!rc && (rc = join(cert, key, ret_pem)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    pki_key_free(key);
    if (rc)
        pki_cert_free(cert);
    else
        *ret = cert;
    return rc;
}

/* ---- Making ---- */

static enum tw_rc write_file(const char *dir, const char *file, const struct pki_octets *text,
                             struct tw_err *err)
{
    char path[PATH_MAX];

    return keyfile_write(path_of(dir, file, path), text->data, text->len, err);
}

static enum tw_rc write_ca(const char *dir, const struct pki_key *key, const struct pki_cert *ca,
                           struct tw_err *err)
{
    struct pki_octets k = { 0 }, c = { 0 };
    enum tw_rc rc = pki_key_to_pem(key, &k);

    if (!rc)
        rc = pki_cert_to_pem(ca, &c);
    if (rc)
        tw_err_set(err, rc, "out of memory");
    else
        rc = write_file(dir, CA_KEY, &k, err);
    if (!rc)
        rc = write_file(dir, CA_CERT, &c, err);
    pki_octets_free(&k);
    pki_octets_free(&c);
    return rc;
}

static enum tw_rc fill_dir(const char *dir, const struct authority_make *m, struct tw_err *err)
{
    struct pki_issue what = { PKI_SERVER, SERVER_NAME, m->hosts, m->n_hosts, m->now_ns, m->server_life_ns };
    struct pki_octets pem = { 0 };
    struct pki_cert *ca = NULL, *server = NULL;
    struct pki_key *key = NULL;
    enum tw_rc rc = pki_ca_make("twampmesh CA", m->now_ns, m->ca_life_ns, &key, &ca);

    if (rc)
        return tw_err_set(err, rc, "cannot make the CA's key and certificate");
    rc = make_server(ca, key, &what, &server, &pem, err);
    if (!rc)
        rc = write_ca(dir, key, ca, err);
    if (!rc)
        rc = write_file(dir, SERVER, &pem, err);
    pki_octets_free(&pem);
    pki_cert_free(server);
    pki_cert_free(ca);
    pki_key_free(key);
    return rc;
}

/* Root makes it for the user that the controller runs as: whose data directory it is in. */
static enum tw_rc give_away(const char *dir, const char *parent, struct tw_err *err)
{
    char path[PATH_MAX];
    struct stat st;
    bool ok = true;

    if (geteuid() != 0)
        return TW_OK;
    ok = stat(parent, &st) == 0;
    for (size_t i = 0; ok && i < TW_NELEM(files); i++)
        ok = lchown(path_of(dir, files[i], path), st.st_uid, st.st_gid) == 0;
    ok = ok && lchown(dir, st.st_uid, st.st_gid) == 0;
    return ok ? TW_OK
              : tw_err_set(err, tw_rc_errno(errno), "cannot give %s to the owner of %s: %s", dir, parent,
                           strerror(errno));
}

static void drop_dir(const char *dir)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < TW_NELEM(files); i++)
        unlink(path_of(dir, files[i], path));
    rmdir(dir);
}

/* Made beside it, and renamed when complete: renaming takes the place of an empty directory, never of a full
 * one. */
enum tw_rc authority_make(const struct authority_make *m, struct tw_err *err)
{
    char tmp[PATH_MAX - 64], copy[PATH_MAX];
    const char *parent;
    enum tw_rc rc;

    if (!m->dir[0] || snprintf(tmp, sizeof tmp, "%s.XXXXXX", m->dir) >= (int)sizeof tmp)
        return tw_err_set(err, TW_EINVAL, "expected the path of a directory of at most %zu characters",
                          sizeof tmp - 8);
    snprintf(copy, sizeof copy, "%s", m->dir);
    parent = dirname(copy);
    if (!mkdtemp(tmp)) /* mode 0700 */
        return tw_err_set(err, tw_rc_errno(errno), "cannot make a directory in %s: %s", parent,
                          strerror(errno));
    rc = fill_dir(tmp, m, err);
    if (!rc)
        rc = give_away(tmp, parent, err);
    if (!rc && rename(tmp, m->dir) < 0)
        rc = errno == ENOTEMPTY || errno == EEXIST || errno == ENOTDIR
                 ? tw_err_set(
                       err, TW_EEXIST,
                       "%s is there already and is not touched: agents that trust another CA would be lost",
                       m->dir)
                 : tw_err_set(err, tw_rc_errno(errno), "%s: %s", m->dir, strerror(errno));
    if (rc)
        drop_dir(tmp);
    folder_sync(m->dir);
    return rc;
}

/* ---- Reading ---- */

static enum tw_rc read_file(const char *dir, const char *file, struct pki_octets *ret, struct tw_err *err)
{
    char path[PATH_MAX];
    enum tw_rc rc = keyfile_read(path_of(dir, file, path), ret, err);

    return rc == TW_ENOENT ? tw_err_set(err, TW_ECORRUPT, "%s is missing", path) : rc;
}

static enum tw_rc wrong(const char *dir, const char *file, struct tw_err *err)
{
    char text[sizeof err->text];

    snprintf(text, sizeof text, "%s", err->text);
    return tw_err_set(err, TW_ECORRUPT, "%.100s/%s: %.120s", dir, file, text);
}

static enum tw_rc read_ca(struct authority *a, struct tw_err *err)
{
    struct pki_octets key = { 0 };
    enum tw_rc rc = read_file(a->dir, CA_KEY, &key, err);

    if (!rc)
        rc = read_file(a->dir, CA_CERT, &a->ca_pem, err);
    if (rc) {
        pki_octets_free(&key);
        return rc;
    }
    rc = pki_key_from_pem((const char *)key.data, key.len, &a->key, err);
    pki_octets_free(&key);
    if (rc)
        return wrong(a->dir, CA_KEY, err);
    rc = pki_cert_from_pem((const char *)a->ca_pem.data, a->ca_pem.len, &a->ca, err);
    if (!rc && !pki_cert_is_of(a->ca, a->key))
        rc = tw_err_set(err, TW_ECORRUPT, "it does not belong to " CA_KEY);
    return rc ? wrong(a->dir, CA_CERT, err) : TW_OK;
}

static enum tw_rc read_server(struct authority *a, struct tw_err *err)
{
    struct pki_key *key = NULL;
    enum tw_rc rc = read_file(a->dir, SERVER, &a->server_pem, err);
    const char *text = (const char *)a->server_pem.data;

    if (rc)
        return rc;
    rc = pki_cert_from_pem(text, a->server_pem.len, &a->server, err);
    if (!rc)
        rc = pki_key_from_pem(text, a->server_pem.len, &key, err);
    if (!rc && !pki_cert_is_of(a->server, key))
        rc = tw_err_set(err, TW_ECORRUPT, "the key in it is not that of the certificate");
    pki_key_free(key);
    return rc ? wrong(a->dir, SERVER, err) : TW_OK;
}

enum tw_rc authority_open(const char *dir, struct authority **ret, struct tw_err *err)
{
    struct authority *a;
    struct stat st;
    enum tw_rc rc = TW_OK;

    if (stat(dir, &st) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", dir, strerror(errno));
    a = calloc(1, sizeof *a);
    if (!a)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    if ((size_t)snprintf(a->dir, sizeof a->dir, "%s", dir) >= sizeof a->dir)
        rc = tw_err_set(err, TW_EINVAL, "the path of the CA's directory is too long");
    if (!rc)
        rc = read_ca(a, err);
    if (!rc)
        rc = read_server(a, err);
    if (rc) {
        authority_free(a);
        return rc;
    }
    *ret = a;
    return TW_OK;
}

void authority_free(struct authority *a)
{
    if (!a)
        return;
    pki_key_free(a->key);
    pki_cert_free(a->ca);
    pki_cert_free(a->server);
    pki_octets_free(&a->ca_pem);
    pki_octets_free(&a->server_pem);
    free(a);
}

/* ---- Using ---- */

const char *authority_ca_pem(const struct authority *a)
{
    return (const char *)a->ca_pem.data;
}

const char *authority_server_pem(const struct authority *a)
{
    return (const char *)a->server_pem.data;
}

const struct pki_cert *authority_ca(const struct authority *a)
{
    return a->ca;
}

void authority_server_info(const struct authority *a, struct pki_info *ret)
{
    pki_cert_info(a->server, ret);
}

size_t authority_hosts(const struct authority *a, char ret[PKI_MAX_HOSTS][PKI_HOST_TEXT])
{
    return pki_cert_hosts(a->server, ret, PKI_MAX_HOSTS);
}

static int64_t server_life(const struct authority *a)
{
    struct pki_info old;
    int64_t whole;

    pki_cert_info(a->server, &old);
    whole = old.not_after_ns - old.not_before_ns;
    return whole > PKI_BACKDATE_NS ? whole - PKI_BACKDATE_NS
                                   : whole; /* not one of ours, and shorter than what we backdate by */
}

static enum tw_rc renew(struct authority *a, const char *const *hosts, size_t n, int64_t now_ns,
                        struct tw_err *err)
{
    struct pki_issue what = { PKI_SERVER, SERVER_NAME, hosts, n, now_ns, server_life(a) };
    struct pki_octets pem = { 0 };
    struct pki_cert *server = NULL;
    enum tw_rc rc = make_server(a->ca, a->key, &what, &server, &pem, err);

    if (!rc)
        rc = write_file(a->dir, SERVER, &pem, err);
    if (rc) {
        pki_octets_free(&pem);
        pki_cert_free(server);
        return rc;
    }
    pki_cert_free(a->server);
    pki_octets_free(&a->server_pem);
    a->server = server;
    a->server_pem = pem;
    return TW_OK;
}

enum tw_rc authority_renew_server(struct authority *a, int64_t now_ns, struct tw_err *err)
{
    char hosts[PKI_MAX_HOSTS][PKI_HOST_TEXT];
    const char *list[PKI_MAX_HOSTS];
    size_t n = authority_hosts(a, hosts);

    for (size_t i = 0; i < n; i++)
        list[i] = hosts[i];
    return renew(a, list, n, now_ns, err);
}

static bool has(const char *const *list, size_t n, const char *host)
{
    for (size_t i = 0; i < n; i++)
        if (!strcasecmp(list[i], host))
            return true;
    return false;
}

enum tw_rc authority_add_hosts(struct authority *a, const char *const *hosts, size_t n, int64_t now_ns,
                               struct tw_err *err)
{
    char had[PKI_MAX_HOSTS][PKI_HOST_TEXT], path[PATH_MAX];
    const char *list[PKI_MAX_HOSTS];
    size_t all = authority_hosts(a, had);
    struct stat st;
    enum tw_rc rc;

    for (size_t i = 0; i < all; i++)
        list[i] = had[i];
    for (size_t i = 0; i < n; i++) {
        if (has(list, all, hosts[i]))
            continue;
        if (all == PKI_MAX_HOSTS)
            return tw_err_set(err, TW_ENOSPC, "a certificate has at most %d names", PKI_MAX_HOSTS);
        list[all++] = hosts[i];
    }
    if (stat(path_of(a->dir, SERVER, path), &st) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", path, strerror(errno));
    rc = renew(a, list, all, now_ns, err);
    if (!rc && geteuid() == 0 && lchown(path, st.st_uid, st.st_gid) < 0)
        rc = tw_err_set(err, tw_rc_errno(errno), "cannot give %s to its owner: %s", path, strerror(errno));
    return rc;
}

enum tw_rc authority_issue(const struct authority *a, const uint8_t *csr, size_t len, const char *name,
                           int64_t now_ns, int64_t life_ns, struct pki_cert **ret, struct tw_err *err)
{
    struct pki_issue what = { .purpose = PKI_AGENT, .name = name, .now_ns = now_ns, .life_ns = life_ns };
    struct pki_csr *q = NULL;
    enum tw_rc rc = pki_csr_from_der(csr, len, &q, err);

    if (!rc)
        rc = pki_issue(a->ca, a->key, q, &what, ret, err);
    pki_csr_free(q);
    return rc;
}
