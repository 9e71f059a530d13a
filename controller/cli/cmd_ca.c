/* twampctl ca: the fleet's certificate authority. Nothing here asks a controller but `operator`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clk.h"
#include "common/hextext.h"
#include "common/net/authority.h"
#include "common/net/keyfile.h"
#include "controller/cli/cli.h"

#define CA_LIFE_NS \
    (INT64_C(3652) * 86400 * TW_NS_PER_S) /* 10 years: renewing it means to enrol all agents again */

struct made {
    const char *dir;
    char ca_hash[2 * PKI_HASH_LEN + 1];
    const char *const *names;
    size_t n_names;
    int64_t ca_until_ns, server_until_ns;
};

static void put_made(struct out_records *r, const void *row, const void *ctx)
{
    const struct made *m = row;

    (void)ctx;
    out_text(r, "directory", m->dir);
    out_text(r, "ca_hash", m->ca_hash);
    out_list(r, "names", (char *const *)m->names, m->n_names);
    out_ns(r, "ca_not_after_ns", m->ca_until_ns);
    out_ns(r, "server_not_after_ns", m->server_until_ns);
}

static const struct made none = { .dir = "" };
static const struct out_listing listing = { .key = "authorities", .put = put_made, .none = &none };

static void print_names(const struct made *m)
{
    printf("For");
    for (size_t i = 0; i < m->n_names; i++)
        printf(" %s", m->names[i]);
}

static enum cli_exit print_made(struct cli *c, const struct made *m)
{
    char ca[OUT_NUM], server[OUT_NUM];

    if (!cli_for_people(c))
        return cli_print_list(c, &listing, OUT_ONE_ROW(m), NULL);
    printf("Made in %s:\n"
           "  ca.key      the authority's private key: keep it, and a copy of it, out of reach of others\n"
           "  ca.pem      its certificate, until %s; SHA-256 of its key %s\n"
           "  server.pem  the controller's certificate and key, until %s; it renews them by itself\n",
           m->dir, out_time(m->ca_until_ns, ca), m->ca_hash, out_time(m->server_until_ns, server));
    print_names(m);
    printf("\n\nNext: (re)start twamp-controller, which looks for them in \"ca\" in its --data-dir (else "
           "--ca-dir %s), then\n"
           "  twampctl token create --approve     and on the agent's host\n"
           "  twamp-agent --join-token-file FILE --controller URL\n",
           m->dir);
    return CLI_OK;
}

static enum cli_exit print_server(struct cli *c, const struct made *m)
{
    char until[OUT_NUM];

    if (!cli_for_people(c))
        return cli_print_list(c, &listing, OUT_ONE_ROW(m), NULL);
    print_names(m);
    printf(
        "\nThe controller's new certificate in %s, until %s, is taken at its next reload (SIGHUP) or start.\n"
        "Agents and operators go on as they are: the authority is the same.\n",
        m->dir, out_time(m->server_until_ns, until));
    return CLI_OK;
}

static enum cli_exit describe(struct cli *c, const struct authority *a,
                              enum cli_exit (*print)(struct cli *c, const struct made *m))
{
    char hosts[PKI_MAX_HOSTS][PKI_HOST_TEXT];
    const char *names[PKI_MAX_HOSTS];
    struct made m = { .dir = c->opt.dir, .names = names, .n_names = authority_hosts(a, hosts) };
    struct pki_info info;

    for (size_t i = 0; i < m.n_names; i++)
        names[i] = hosts[i];
    pki_cert_info(authority_ca(a), &info);
    m.ca_until_ns = info.not_after_ns;
    hextext_format(info.key_hash, PKI_HASH_LEN, m.ca_hash);
    authority_server_info(a, &info);
    m.server_until_ns = info.not_after_ns;
    return print(c, &m);
}

/* Cuts "a,b" where they lie. */
static enum cli_exit read_names(struct cli *c, const char *ret[PKI_MAX_HOSTS], size_t *ret_n)
{
    size_t n = 0;

    for (size_t i = 0; i < c->opt.names.n; i++) {
        char *save = NULL;

        for (char *p = strtok_r(c->opt.names.v[i], ",", &save); p; p = strtok_r(NULL, ",", &save)) {
            if (n == PKI_MAX_HOSTS)
                return cli_fail(CLI_USAGE, "--name: at most %d names", PKI_MAX_HOSTS);
            ret[n++] = p;
        }
    }
    *ret_n = n;
    return n ? CLI_OK
             : cli_fail(CLI_USAGE,
                        "--name: expected HOST[,HOST|ADDRESS...] by which agents reach the controller");
}

enum cli_exit cmd_ca_init(struct cli *c)
{
    const char *names[PKI_MAX_HOSTS];
    struct authority_make w = { .dir = c->opt.dir,
                                .hosts = names,
                                .now_ns = c->wall_ns(),
                                .ca_life_ns = CA_LIFE_NS,
                                .server_life_ns = c->opt.life_ns };
    struct authority *a = NULL;
    struct tw_err err = { 0 };
    enum cli_exit code = read_names(c, names, &w.n_hosts);

    if (code)
        return code;
    if (authority_make(&w, &err) || authority_open(w.dir, &a, &err))
        return cli_fail(CLI_FAILED, "%s", err.text);
    code = describe(c, a, print_made);
    authority_free(a);
    return code;
}

enum cli_exit cmd_ca_server(struct cli *c)
{
    const char *names[PKI_MAX_HOSTS];
    struct authority *a = NULL;
    struct tw_err err = { 0 };
    size_t n;
    enum cli_exit code = read_names(c, names, &n);

    if (code)
        return code;
    if (authority_open(c->opt.dir, &a, &err))
        return cli_fail(CLI_FAILED, "%s", err.text);
    code = authority_add_hosts(a, names, n, c->wall_ns(), &err) ? cli_fail(CLI_FAILED, "%s", err.text)
                                                                : describe(c, a, print_server);
    authority_free(a);
    return code;
}

/* ---- An operator's certificate ---- */

#define OPERATOR_PREFIX "operator:" /* no agent has such a name */

struct operator_cert {
    struct pki_octets pem; /* the certificate, and its key behind it */
    uint8_t sha256[PKI_HASH_LEN];
    int64_t until_ns;
};

static enum tw_rc put_together(const struct pki_cert *cert, const struct pki_key *key,
                               struct operator_cert *ret)
{
    struct pki_octets c = { 0 }, k = { 0 };
    struct pki_info info;
    enum tw_rc rc = pki_cert_hash(cert, ret->sha256);

    if (rc == TW_OK)
        rc = pki_cert_to_pem(cert, &c);
    if (rc == TW_OK)
        rc = pki_key_to_pem(key, &k);
    ret->pem.data = rc == TW_OK ? malloc(c.len + k.len + 1) : NULL;
    if (rc == TW_OK && !ret->pem.data)
        rc = TW_ENOMEM;
    if (rc == TW_OK) {
        memcpy(ret->pem.data, c.data, c.len);
        memcpy(ret->pem.data + c.len, k.data, k.len + 1);
        ret->pem.len = c.len + k.len;
    }
    pki_octets_free(&c);
    pki_octets_free(&k);
    pki_cert_info(cert, &info);
    ret->until_ns = info.not_after_ns;
    return rc;
}

static enum tw_rc issue_operator(const struct cli *c, const char *name, struct operator_cert *ret,
                                 struct tw_err *err)
{
    char common[PKI_NAME_TEXT];
    struct authority *a = NULL;
    struct pki_key *key = NULL;
    struct pki_cert *cert = NULL;
    struct pki_octets csr = { 0 };
    enum tw_rc rc = authority_open(c->opt.dir, &a, err);

    if (snprintf(common, sizeof common, OPERATOR_PREFIX "%s", name) >= (int)sizeof common && rc == TW_OK)
        rc =
            tw_err_set(err, TW_EINVAL, "\"%.70s\" is too long for a certificate: expected at most %zu octets",
                       name, sizeof common - sizeof OPERATOR_PREFIX);
    if (rc == TW_OK)
        rc = pki_key_make(&key);
    if (rc == TW_OK)
        rc = pki_csr_make(key, common, &csr);
    if (rc == TW_OK)
        rc = authority_issue(a, csr.data, csr.len, common, c->wall_ns(), c->opt.access_ttl_ns, &cert, err);
    if (rc == TW_OK)
        rc = put_together(cert, key, ret);
    if (rc != TW_OK && !*err->text)
        tw_err_set(err, rc, "no certificate can be made: %s", tw_rc_name(rc));
    pki_octets_free(&csr);
    pki_cert_free(cert);
    pki_key_free(key);
    authority_free(a);
    return rc;
}

/* From when on the certificate lets in. */
static enum cli_exit register_operator(struct cli *c, const char *name, const struct operator_cert *o)
{
    Tw__AccessCreateRequest rq = TW__ACCESS_CREATE_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code;

    rq.name = (char *)name;
    rq.role = c->opt.access_role;
    rq.duration_ns = o->until_ns - c->wall_ns();
    rq.certificate = (ProtobufCBinaryData){ sizeof o->sha256, (uint8_t *)o->sha256 };
    code = cli_call(c, "AccessCreate", &rq.base, &m);
    if (!code) {
        const Tw__AccessCreateReply *reply = (const Tw__AccessCreateReply *)m;
        char until[OUT_NUM];

        if (!reply->token || *reply->text) {
            code =
                cli_fail(CLI_FAILED,
                         "the controller knows no certificates of operators: it is older than this twampctl");
            if (reply->token)
                cli_fail(code, "it has made the access token %s instead, which nobody has seen: revoke it",
                         reply->token->id);
        } else {
            printf("%s\n", reply->token->id);
            cli_fail(CLI_OK,
                     "certificate %s of %s, role %s, until %s, with its key in %s: for --client-cert; "
                     "twampctl access token revoke "
                     "%s ends it",
                     reply->token->id, name, reply->token->role, out_time(o->until_ns, until), c->opt.out,
                     reply->token->id);
        }
    }
    cli_free_reply(m);
    return code;
}

enum cli_exit cmd_ca_operator(struct cli *c)
{
    const char *name = c->args.v[0];
    struct operator_cert o = { .until_ns = 0 };
    struct tw_err err = { 0 };
    enum cli_exit code = CLI_OK;

    if (access(c->opt.out, F_OK) == 0)
        return cli_fail(CLI_FAILED, "%s is there already, and is not written over: expected another --out",
                        c->opt.out);
    if (issue_operator(c, name, &o, &err) != TW_OK ||
        keyfile_write(c->opt.out, o.pem.data, o.pem.len, &err) != TW_OK)
        code = cli_fail(CLI_FAILED, "%s", err.text);
    else if ((code = register_operator(c, name, &o)))
        unlink(c->opt.out);
    pki_octets_free(&o.pem);
    return code;
}
