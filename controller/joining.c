/* The CA at work: opening it, renewing the controller's own certificate, what is to be told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/joining_priv.h"
#include "controller/secure.h"

#define LOOK_NS (3600 * TW_NS_PER_S) /* the wall clock may be set */
#define LIFE_NS (INT64_C(90) * 86400 * TW_NS_PER_S)
#define RETRY_NS (60 * TW_NS_PER_S)
#define TRIES_EVERY_NS (6 * TW_NS_PER_S)

/* ---- What the store has ---- */

struct owner {
    uint8_t key[STORE_KEY_LEN];
    struct agent *agent;
    UT_hash_handle hh;
};

static struct owner *owners_of(struct inventory *inv)
{
    struct owner *all = NULL;

    for (struct agent *a = inv->agents; a; a = a->hh.next) {
        struct owner *o = calloc(1, sizeof *o);

        if (!o)
            break; /* its certificate is not known then, and it is told so */
        memcpy(o->key, a->row.public_key, sizeof o->key);
        o->agent = a;
        HASH_ADD(hh, all, key, sizeof o->key, o);
    }
    return all;
}

static void free_owners(struct owner *all)
{
    struct owner *o, *next;

    HASH_ITER(hh, all, o, next)
    {
        HASH_DEL(all, o);
        free(o);
    }
}

static enum tw_rc load_certificate(void *ctx, const struct store_certificate *c)
{
    struct owner *all = ctx, *o;
    enum tw_rc rc;

    HASH_FIND(hh, all, c->public_key, sizeof c->public_key, o);
    if (!o)
        return TW_OK; /* of an agent that was removed */
    rc = agent_certs_add(&o->agent->certs, c->der, c->der_len, c->issued_ns);
    if (rc == TW_ECORRUPT) {
        log_error("a certificate in the database cannot be read: its agent has to join again",
                  LOG_S("agent", o->agent->row.name));
        return TW_OK;
    }
    return rc;
}

static enum tw_rc load_certificates(struct joining *j, struct tw_err *err)
{
    struct owner *all = owners_of(&j->c->inv);
    enum tw_rc rc = store_each_certificate(j->c->store, load_certificate, all, err);

    free_owners(all);
    return rc;
}

static struct owner *owner_of(struct owner *all, const struct store_certificate *c)
{
    struct owner *o;

    HASH_FIND(hh, all, c->public_key, sizeof c->public_key, o);
    return o;
}

enum tw_rc joining_follow_certificates(struct joining *j, const struct store_certificate *v, size_t n)
{
    struct owner *all = owners_of(&j->c->inv);
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < n; i++) {
        struct owner *o = owner_of(all, &v[i]);

        if (!o)
            continue;
        agent_certs_free(o->agent->certs);
        o->agent->certs = NULL;
    }
    for (size_t i = 0; i < n; i++) {
        enum tw_rc one = load_certificate(all, &v[i]);

        rc = rc == TW_OK ? one : rc;
    }
    free_owners(all);
    return rc;
}

/* ---- The controller's own certificate ---- */

static void renew_server(struct joining *j, int64_t now_ns)
{
    struct tw_err err = { 0 };
    struct pki_info info;

    if (authority_renew_server(j->ca, now_ns, &err)) {
        j->stats.server_renewals_failed++;
        log_error("the controller's certificate cannot be renewed", LOG_S("error", err.text));
        return;
    }
    j->stats.server_renewals++;
    authority_server_info(j->ca, &info);
    log_info("the controller's certificate is renewed", LOG_S("serial", info.serial));
    secure_renewed(j->c, j->ca);
}

static void on_renew(struct loop_timer *t)
{
    struct joining *j = t->ctx;
    int64_t now_ns = tw_wall_now().ns, wait = LOOK_NS, due;
    struct pki_info info;

    authority_server_info(j->ca, &info);
    due = pki_renew_at_ns(info.not_before_ns, info.not_after_ns);
    if (now_ns >= due) {
        renew_server(j, now_ns);
        authority_server_info(j->ca, &info);
        due = pki_renew_at_ns(info.not_before_ns, info.not_after_ns);
        if (due <= now_ns)
            due = now_ns + RETRY_NS;
    }
    if (due - now_ns < wait)
        wait = due - now_ns;
    if (loop_timer_set(j->c->loop, t, (struct tw_mono){ tw_mono_now().ns + wait }) != TW_OK)
        log_error("no memory for a timer: the controller's certificate is not renewed before a restart");
}

struct authority *joining_authority(struct joining *j)
{
    return j->ca;
}

/* ---- What is to be told ---- */

void joining_stats(const struct joining *j, int64_t now_ns, struct joining_stats *ret)
{
    struct pki_info info;

    *ret = j->stats;
    ret->tokens_usable = 0;
    for (size_t i = 0; i < j->n_tokens; i++)
        ret->tokens_usable += join_token_state(&j->tokens[i], now_ns) == JOIN_USABLE;
    for (const struct agent *a = j->c->inv.agents; a; a = a->hh.next) {
        const struct agent_cert *newest = agent_certs_newest(a->certs);

        if (newest && a->row.approved && !agent_is_revoked(a) &&
            (!ret->agents_expire_ns || newest->not_after_ns < ret->agents_expire_ns))
            ret->agents_expire_ns = newest->not_after_ns;
    }
    if (!j->ca)
        return;
    authority_server_info(j->ca, &info);
    ret->server_expires_ns = info.not_after_ns;
    pki_cert_info(authority_ca(j->ca), &info);
    ret->ca_expires_ns = info.not_after_ns;
}

/* ---- Lifetime ---- */

static enum tw_rc open_authority(struct joining *j, const char *dir, struct tw_err *err)
{
    struct tw_err why = { 0 };
    struct pki_info info;
    enum tw_rc rc = authority_open(dir, &j->ca, &why);

    if (rc == TW_ENOENT)
        return TW_OK;
    if (rc)
        return tw_err_set(err, rc, "%s", why.text);
    if (pki_check_ca(authority_ca(j->ca), tw_wall_now().ns, &why))
        log_error("the certificate authority can issue nothing", LOG_S("reason", why.text));
    authority_server_info(j->ca, &info);
    log_info("certificates are issued", LOG_S("ca_dir", dir), LOG_S("server_serial", info.serial));
    j->renew = (struct loop_timer){ .fn = on_renew, .ctx = j };
    on_renew(&j->renew);
    return TW_OK;
}

enum tw_rc joining_new(const struct joining_conf *conf, struct joining **ret, struct tw_err *err)
{
    struct joining *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    j->c = conf->c;
    snprintf(j->ca_dir, sizeof j->ca_dir, "%s", conf->ca_dir);
    j->life_ns = conf->life_ns ? conf->life_ns : LIFE_NS;
    j->refused_log.burst = 10;
    joining_calls_init(j);
    rc = access_tries_new(ACCESS_TRIES_ADDRESSES, ACCESS_TRIES_BURST, TRIES_EVERY_NS, &j->tries);
    if (rc)
        tw_err_set(err, rc, "out of memory");
    else
        rc = joining_load_tokens(j, err);
    if (!rc)
        rc = load_certificates(j, err);
    if (!rc)
        rc = open_authority(j, conf->ca_dir, err);
    if (rc) {
        joining_free(j);
        return rc;
    }
    *ret = j;
    return TW_OK;
}

static bool same_ca(const struct authority *a, const struct authority *b)
{
    struct pki_info x, y;

    pki_cert_info(authority_ca(a), &x);
    pki_cert_info(authority_ca(b), &y);
    return !memcmp(x.key_hash, y.key_hash, sizeof x.key_hash);
}

enum tw_rc joining_reload(struct joining *j, struct tw_err *err)
{
    struct authority *fresh = NULL, *old = j->ca;
    enum tw_rc rc;

    if (!old)
        return TW_OK;
    rc = authority_open(j->ca_dir, &fresh, err);
    if (rc == TW_OK && !same_ca(old, fresh)) {
        authority_free(fresh);
        return tw_err_set(err, TW_EINVAL, "%s/ca.pem is another CA than the one whose certificates the agents have: expected the same key; "
                          "another CA needs a restart, and agents that join again", j->ca_dir);
    }
    if (rc != TW_OK)
        return rc;
    j->ca = fresh;
    if (strcmp(authority_server_pem(old), authority_server_pem(fresh)))
        secure_renewed(j->c, j->ca);
    authority_free(old);
    on_renew(&j->renew);
    return TW_OK;
}

void joining_free(struct joining *j)
{
    if (!j)
        return;
    loop_timer_cancel(j->c->loop, &j->renew);
    authority_free(j->ca);
    access_tries_free(j->tries);
    free(j->tokens);
    free(j);
}

const struct rpc_service *joining_service(struct joining *j)
{
    return &j->offered;
}
