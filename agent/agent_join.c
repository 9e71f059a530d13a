/* agent/agent_join.c - how the agent comes to its controller: with its certificate, or first to one. */
#include "agent/agent.h"
#include <string.h>
#include "agent/credentials.h"
#include "agent/join.h"
#include "agent/uplink.h"
#include "common/log.h"
#include "common/net/join_token.h"
#include "common/net/keyfile.h"
#include "common/net/now.h"

static void on_joined(void *ctx);

static void on_join_failed(void *ctx, const char *why)
{
    struct agent *a = ctx;

    log_error("this agent cannot join the fleet", LOG_S("reason", why));
    join_stop(a->join);
    a->join = NULL;
    a->failed = true;
    loop_stop(a->loop);
}

/* `token`: NULL: it has joined, and asks by its identity. */
static enum tw_rc start_join(struct agent *a, const char *token, struct tw_err *err)
{
    struct join_conf c = { .loop = a->loop,
                           .urls = (const char *const *)a->opt.controllers.v,
                           .n_urls = a->opt.controllers.n,
                           .name = a->opt.name,
                           .token = token,
                           .identity = a->identity,
                           .credentials = a->credentials,
                           .on_joined = on_joined,
                           .on_failed = on_join_failed,
                           .ctx = a };

    return join_start(&c, &a->join, err);
}

/* It was away for long. It goes on dialling, and asks for another certificate meanwhile. */
static void on_expired(void *ctx)
{
    struct agent *a = ctx;
    struct tw_err err = { 0 };

    if (a->join)
        return;
    log_warn("the certificate has expired: asking for another one by this agent's identity");
    if (start_join(a, NULL, &err) != TW_OK)
        log_error("cannot ask for a certificate", LOG_S("reason", err.text));
}

/* Before each dial: a certificate may have been renewed since. */
static enum tw_rc give_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    struct agent *a = ctx;
    const char *own = credentials_pem(a->credentials), *ca = credentials_ca_pem(a->credentials);

    if (!own || !ca)
        return tw_err_set(err, TW_EPERM, "this agent has no certificate: let it join by --join-token-file");
    if (!credentials_usable(a->credentials, tw_wall_now().ns))
        on_expired(a);
    *ret = (struct rpc_tls){ .ca = ca, .certificate = own, .key = own };
    return TW_OK;
}

static enum tw_rc start_uplink(struct agent *a, struct tw_err *err)
{
    struct uplink_conf c = { .loop = a->loop,
                             .urls = (const char *const *)a->opt.controllers.v,
                             .n_urls = a->opt.controllers.n,
                             .name = a->opt.name,
                             .identity = a->identity,
                             .credentials = a->credentials,
                             .tls = give_tls,
                             .tls_ctx = a,
                             .spool = a->spool,
                             .schedule = a->schedule,
                             .workers = a->workers,
                             .n_workers = a->n_workers,
                             .recorder = a->recorder,
                             .diagnose = a->diagnose,
                             .ondemand = a->ondemand,
                             .enrolment = a->enrolment,
                             .schedule_taken_ns = &a->schedule_taken_ns,
                             .on_schedule = agent_on_schedule,
                             .on_unwanted = agent_on_unwanted,
                             .on_wanted = agent_on_wanted,
                             .fill_health = agent_fill_health,
                             .fill_threads = agent_fill_threads,
                             .ctx = a };

    return uplink_start(&c, &a->uplink, err);
}

static void on_joined(void *ctx)
{
    struct agent *a = ctx;
    struct tw_err err = { 0 };

    join_stop(a->join);
    a->join = NULL;
    if (a->uplink) { /* it dials by the new one */
        uplink_dial_now(a->uplink);
        return;
    }
    if (start_uplink(a, &err) == TW_OK)
        return;
    log_error("cannot connect", LOG_S("reason", err.text));
    a->failed = true;
    loop_stop(a->loop);
}

static bool uses_tls(const struct conf_strlist *urls)
{
    for (size_t i = 0; i < urls->n; i++)
        if (!strncmp(urls->v[i], "tls+tcp://", 10))
            return true;
    return false;
}

/* Joins first if a token was given, or TLS needs a certificate, and there is none. */
enum tw_rc agent_connect(struct agent *a, struct tw_err *err)
{
    bool tls = uses_tls(&a->opt.controllers);
    char token[JOIN_TOKEN_TEXT];
    enum tw_rc rc;

    if (credentials_usable(a->credentials, tw_wall_now().ns) || (!tls && !a->opt.join_token_file))
        return start_uplink(a, err);
    if ((credentials_pem(a->credentials) && credentials_ca_pem(a->credentials)) || !a->opt.join_token_file)
        return start_join(a, NULL, err);
    rc = keyfile_read_line(a->opt.join_token_file, token, sizeof token, err);
    if (rc == TW_OK)
        rc = start_join(a, token, err);
    explicit_bzero(token, sizeof token);
    return rc;
}
