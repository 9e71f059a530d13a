#include "agent/join.h"
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/join_token.h"
#include "common/net/now.h"
#include "common/version.h"
#include "join.pb-c.h"

#define CALL_DEADLINE_MS 10000
#define PAUSE_NS TW_NS_PER_S
#define PAUSE_MAX_NS (30 * TW_NS_PER_S)
#define POLL_MAX_S 300

struct join {
    struct join_conf conf;
    char token[JOIN_TOKEN_TEXT]; /* "": none */
    struct join_token_parts parts;
    struct rpc_client *client; /* NULL: between two steps */
    struct loop_timer timer;
    enum join_do doing;
    int64_t pause_ns; /* before the next step */
    unsigned failures;        /* in a row */
    size_t order[HOMING_MAX]; /* in which they are asked */
    size_t which;             /* of that order */
    bool waits, told; /* said in the log that it waits */
    char final[256];  /* it cannot go on, since ...; "" else */
    struct log_limit failed_log;
};

/* ---- What comes next ---- */

enum join_do join_next(const struct join_facts *f)
{
    if (f->ca && f->certificate)
        return JOIN_DONE;
    if (!f->ca)
        return f->token ? JOIN_GET_CA : JOIN_NO_TOKEN;
    return f->token && !f->waits ? JOIN_SHOW_TOKEN : JOIN_ASK_AGAIN;
}

int64_t join_pause_ns(unsigned failures)
{
    return failures < 5 ? PAUSE_NS << failures : PAUSE_MAX_NS;
}

bool join_is_final(Tw__Status s)
{
    return s == TW__STATUS__STATUS_PERMISSION_DENIED || s == TW__STATUS__STATUS_UNAUTHENTICATED ||
           s == TW__STATUS__STATUS_ALREADY_EXISTS || s == TW__STATUS__STATUS_INVALID_ARGUMENT ||
           s == TW__STATUS__STATUS_NOT_FOUND;
}

/* ---- The end of a step ---- */

/* The connection is closed from the loop: we are inside one of its hooks. */
static void step_over(struct join *j, int64_t pause_ns)
{
    j->pause_ns = pause_ns;
    if (loop_timer_set(j->conf.loop, &j->timer, tw_mono_now()) != TW_OK)
        log_error("no memory for a timer: joining stops");
}

static void give_up(struct join *j, const char *why)
{
    snprintf(j->final, sizeof j->final, "%s", why);
    step_over(j, 0);
}

static const char *url_of(const struct join *j)
{
    return j->conf.urls[j->order[j->which]];
}

static void try_later(struct join *j, const char *status, const char *why)
{
    int64_t pause = join_pause_ns(j->failures / (unsigned)j->conf.n_urls);
    const char *url = url_of(j);
    unsigned held;

    j->failures++;
    j->which = (j->which + 1) % j->conf.n_urls;
    if (j->failures % j->conf.n_urls) /* not all of them have been asked */
        pause = 0;
    if (log_limit_ok(&j->failed_log, tw_mono_now().ns, &held))
        log_warn("joining the fleet does not go on yet", LOG_S("url", url), LOG_S("status", status),
                 LOG_S("reason", why), LOG_U("held_back", held));
    step_over(j, pause);
}

static void call_failed(struct join *j)
{
    struct rpc_result res = rpc_result();

    if (res.answered && res.status == TW__STATUS__STATUS_NOT_FOUND && j->waits && j->token[0]) {
        j->waits = false; /* it was removed while it waited: the token may do once more */
        step_over(j, PAUSE_NS);
    } else if (res.answered && join_is_final(res.status)) {
        give_up(j, res.detail);
    } else {
        try_later(j, rpc_status_name(res.status), res.detail ? res.detail : "");
    }
}

/* ---- Steps ---- */

static void got_ca(const Tw__JoinCaReply *reply, void *ctx)
{
    struct join *j = ctx;
    struct tw_err err = { 0 };

    if (!reply) {
        call_failed(j);
        return;
    }
    if (credentials_trust(j->conf.credentials, reply->certificate.data, reply->certificate.len,
                          j->parts.ca_hash, tw_wall_now().ns, &err)) {
        give_up(j, err.text);
        return;
    }
    log_info("the controller's CA is the one of the token");
    j->failures = 0;
    step_over(j, 0);
}

static void wait_on(struct join *j, uint32_t poll_s)
{
    int64_t pause = poll_s < POLL_MAX_S ? (int64_t)poll_s * TW_NS_PER_S : POLL_MAX_S * TW_NS_PER_S;

    if (!j->told)
        log_info("waiting for approval", LOG_S("hint", "twampctl agent approve"),
                 LOG_S("name", j->conf.name));
    j->told = j->waits = true;
    j->failures = 0;
    step_over(j, pause > PAUSE_NS ? pause : PAUSE_NS);
}

static void got_answer(const Tw__JoinReply *reply, void *ctx)
{
    struct join *j = ctx;
    struct pki_info info;
    struct tw_err err = { 0 };

    if (!reply) {
        call_failed(j);
        return;
    }
    if (strcmp(reply->state, "issued") != 0) {
        wait_on(j, reply->poll_s);
        return;
    }
    if (credentials_take(j->conf.credentials, j->conf.name, reply->certificate.data, reply->certificate.len,
                         tw_wall_now().ns, &err)) {
        try_later(j, "certificate refused", err.text);
        return;
    }
    credentials_info(j->conf.credentials, &info);
    log_info("this agent has a certificate", LOG_S("serial", info.serial));
    step_over(j, 0);
}

static void ask(struct join *j, struct rpc_peer *p, const char *token)
{
    ProtobufCService *s = rpc_peer_service(p, RPC_JOIN, &tw__join__descriptor, CALL_DEADLINE_MS);
    Tw__JoinRequest rq = TW__JOIN_REQUEST__INIT;
    uint8_t key[IDENTITY_KEY_LEN], sig[IDENTITY_SIG_LEN], text[JOIN_PROOF_TEXT];
    struct pki_octets csr = { 0 };
    struct tw_err err = { 0 };
    size_t n;

    if (credentials_request(j->conf.credentials, j->conf.name, &csr, &err)) {
        try_later(j, "no request", err.text);
        return;
    }
    join_proof_text(csr.data, csr.len, j->conf.name, token, text, &n);
    identity_public(j->conf.identity, key);
    if (identity_sign(j->conf.identity, text, n, sig)) {
        pki_octets_free(&csr);
        try_later(j, "no proof", "the identity's key cannot sign");
        return;
    }
    rq.token = (char *)token;
    rq.name = (char *)j->conf.name;
    rq.csr = (ProtobufCBinaryData){ csr.len, csr.data };
    rq.public_key = (ProtobufCBinaryData){ sizeof key, key };
    rq.proof = (ProtobufCBinaryData){ sizeof sig, sig };
    rq.software = (char *)tw_software_agent;
    if (*token)
        tw__join__join(s, &rq, got_answer, j);
    else
        tw__join__poll(s, &rq, got_answer, j);
    pki_octets_free(&csr);
}

/* ---- Connections ---- */

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct join *j = ctx;
    Tw__JoinCaRequest rq = TW__JOIN_CA_REQUEST__INIT;

    if (j->doing == JOIN_GET_CA)
        tw__join__ca_certificate(rpc_peer_service(p, RPC_JOIN, &tw__join__descriptor, CALL_DEADLINE_MS), &rq,
                                 got_ca, j);
    else
        ask(j, p, j->doing == JOIN_SHOW_TOKEN ? j->token : "");
}

/* Also after a call was answered, when we close. */
static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct join *j = ctx;

    if (!p) /* it never came up; else the call has failed and said so */
        try_later(j, rpc_status_name(status), detail);
}

static enum tw_rc give_tls(void *ctx, struct rpc_tls *ret, struct tw_err *err)
{
    const struct join *j = ctx;

    (void)err;
    *ret = (struct rpc_tls){ .ca = credentials_ca_pem(j->conf.credentials),
                             .unverified = j->doing == JOIN_GET_CA };
    return TW_OK;
}

static void start_step(struct join *j)
{
    struct rpc_client_conf c = { .loop = j->conf.loop,
                                 .url = url_of(j),
                                 .role = TW__ROLE__ROLE_JOINER,
                                 .name = j->conf.name,
                                 .software = tw_software_agent,
                                 .hooks = { .ctx = j, .on_up = on_up, .on_down = on_down },
                                 .tls = give_tls,
                                 .tls_ctx = j,
                                 .once = true };
    struct tw_err err = { 0 };

    if (rpc_client_start(&c, &j->client, &err) != TW_OK)
        try_later(j, "no connection", err.text);
}

static struct join_facts facts(const struct join *j)
{
    uint8_t hash[PKI_HASH_LEN];

    return (struct join_facts){ .ca = credentials_ca_hash(j->conf.credentials, hash),
                                .certificate = credentials_usable(j->conf.credentials, tw_wall_now().ns),
                                .token = j->token[0] != '\0',
                                .waits = j->waits };
}

static void on_timer(struct loop_timer *t)
{
    struct join *j = t->ctx;
    int64_t pause = j->pause_ns;
    struct join_facts f;

    if (j->client)
        rpc_client_stop(j->client);
    j->client = NULL;
    loop_timer_cancel(j->conf.loop, t); /* closing may have ended a call, which set it */
    j->pause_ns = 0;
    if (j->final[0]) {
        j->conf.on_failed(j->conf.ctx, j->final);
        return;
    }
    if (pause) {
        loop_timer_set(j->conf.loop, t, (struct tw_mono){ tw_mono_now().ns + pause });
        return;
    }
    f = facts(j);
    j->doing = join_next(&f);
    if (j->doing == JOIN_DONE)
        j->conf.on_joined(j->conf.ctx);
    else if (j->doing == JOIN_NO_TOKEN)
        j->conf.on_failed(j->conf.ctx, "this agent knows no controller: give it --join-token-file with what "
                                       "twampctl token create prints");
    else
        start_step(j);
}

/* ---- Lifetime ---- */

static enum tw_rc take_token(struct join *j, struct tw_err *err)
{
    uint8_t trusted[PKI_HASH_LEN];
    enum tw_rc rc;

    if (!j->conf.token)
        return TW_OK;
    rc = join_token_parse(j->conf.token, &j->parts, err);
    if (rc)
        return rc;
    snprintf(j->token, sizeof j->token, "%s", j->conf.token);
    if (credentials_ca_hash(j->conf.credentials, trusted) &&
        memcmp(trusted, j->parts.ca_hash, sizeof trusted) != 0)
        return tw_err_set(err, TW_EINVAL,
                          "the join token is of another CA than ca.pem in --data-dir, which this agent "
                          "trusts: remove ca.pem and tls.pem "
                          "there if it shall change to the token's controller");
    return TW_OK;
}

enum tw_rc join_start(const struct join_conf *c, struct join **ret, struct tw_err *err)
{
    struct join *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    j->conf = *c;
    j->timer = (struct loop_timer){ .fn = on_timer, .ctx = j };
    j->failed_log.burst = 5;
    homing_rank(c->name, c->urls, c->n_urls, j->order);
    rc = take_token(j, err);
    j->conf.token = NULL; /* the caller's */
    if (!rc && (rc = loop_timer_set(c->loop, &j->timer, tw_mono_now())) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc) {
        join_stop(j);
        return rc;
    }
    *ret = j;
    return TW_OK;
}

void join_stop(struct join *j)
{
    if (!j)
        return;
    if (j->client)
        rpc_client_stop(j->client);
    loop_timer_cancel(j->conf.loop, &j->timer);
    OPENSSL_cleanse(j->token, sizeof j->token);
    free(j);
}
