/* The service Join, and Renew: each call is a chain of steps, some of which wait for the store.
 *
 *   Join   check the token -> store agent and use -> approve, if the token says so -> issue
 *   Poll                                                                              issue
 *
 * After each wait the agent is looked up anew: it may have gone, or been revoked. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/rpc_hello.h"
#include "controller/change.h"
#include "controller/decide.h"
#include "controller/events.h"
#include "controller/fleet.h"
#include "controller/joining_priv.h"

#define POLL_S 5
#define RENEW_GAP_NS TW_NS_PER_S /* between two certificates of an agent with different keys */

struct join_call {
    struct writer_job job; /* first */
    struct join_call *prev, *next; /* in joining.admitting */
    struct joining *j;
    Tw__JoinReply_Closure closure;
    void *closure_data;
    char name[STORE_NAME_MAX]; /* as the agent calls itself */
    uint8_t public_key[STORE_KEY_LEN];
    char software[STORE_NAME_MAX], address[TW_ADDR_TEXT];
    uint8_t *csr;
    size_t csr_len;
    uint8_t csr_hash[PKI_HASH_LEN];
    /* Being stored: */
    struct store_agent row;
    struct agent_ops *ops;
    struct join_token token;
    int64_t stored_id;
    struct pki_info info;
    struct pki_octets der;
    int64_t issued_ns;
};

/* ---- The end of a call ---- */

static void call_free(struct join_call *call)
{
    fleet_agent_row_clear(&call->row);
    free(call->ops);
    free(call->csr);
    pki_octets_free(&call->der);
    free(call);
}

__attribute__((format(printf, 3, 4))) static void refuse(struct join_call *call, Tw__Status status,
                                                         const char *fmt, ...)
{
    char text[256];
    unsigned held;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    call->j->stats.refused++;
    if (log_limit_ok(&call->j->refused_log, tw_mono_now().ns, &held))
        log_warn("no certificate for an agent", LOG_S("agent", call->name), LOG_S("reason", text),
                 LOG_U("held_back", held));
    rpc_fail(call->closure_data, status, "%s", text);
    call_free(call);
}

/* Of what another controller changed: it is called again, or ends (joining_admits()). */
static void outdated(struct join_call *call)
{
    rpc_fail(call->closure_data, TW__STATUS__STATUS_ABORTED, "%s", call->job.err.text);
    call_free(call);
}

static void answer_pending(struct join_call *call)
{
    Tw__JoinReply reply = TW__JOIN_REPLY__INIT;

    reply.state = (char *)"pending";
    reply.poll_s = POLL_S;
    call->closure(&reply, call->closure_data);
    call_free(call);
}

static void answer_issued(struct join_call *call, const struct agent *a)
{
    Tw__JoinReply reply = TW__JOIN_REPLY__INIT;

    reply.state = (char *)"issued";
    reply.certificate = (ProtobufCBinaryData){ a->certs->der_len, a->certs->der };
    call->closure(&reply, call->closure_data);
    call_free(call);
}

/* ---- Whose call it is ---- */

static bool has_key(const struct agent *a, const struct join_call *call)
{
    return !memcmp(a->row.public_key, call->public_key, sizeof call->public_key);
}

static struct agent *by_key(const struct join_call *call)
{
    struct agent *named = inventory_agent(&call->j->c->inv, call->name);

    if (named && has_key(named, call))
        return named;
    for (struct agent *a = call->j->c->inv.agents; a; a = a->hh.next)
        if (has_key(a, call))
            return a;
    return NULL;
}

/* The agent, or NULL: none has this key. False: the call is answered. */
static bool find_agent(struct join_call *call, struct agent **ret)
{
    struct agent *a = by_key(call);

    if (a && agent_is_revoked(a)) {
        refuse(call, TW__STATUS__STATUS_PERMISSION_DENIED,
               "revoked by an operator; to let it in again: twampctl agent remove %s, then join with a new "
               "token",
               a->row.name);
        return false;
    }
    if (a && strcmp(a->row.name, call->name) != 0 && !agent_ops_had_name(a->ops, call->name)) {
        refuse(call, TW__STATUS__STATUS_ALREADY_EXISTS,
               "this identity is that of agent %s already: give it that name, or another data directory",
               a->row.name);
        return false;
    }
    if (!a && inventory_agent(&call->j->c->inv, call->name)) {
        refuse(call, TW__STATUS__STATUS_ALREADY_EXISTS,
               "another key is enrolled under the name %s; twampctl agent remove %s, then join", call->name,
               call->name);
        return false;
    }
    *ret = a;
    return true;
}

/* ---- Issuing ---- */

static enum tw_rc run_issue(struct writer_job *job, struct store *s, struct tw_err *err)
{
    struct join_call *call = (struct join_call *)job;
    struct store_certificate row = { .serial = call->info.serial,
                                     .issued_ns = call->issued_ns,
                                     .not_after_ns = call->info.not_after_ns,
                                     .der = call->der.data,
                                     .der_len = call->der.len };

    memcpy(row.public_key, call->public_key, sizeof row.public_key);
    return store_put_certificate(s, &row, AGENT_CERTS_MAX, err);
}

static void issue_done(struct writer_job *job)
{
    struct join_call *call = (struct join_call *)job;
    struct agent *a = NULL;

    if (job->rc == TW_EAGAIN) {
        outdated(call);
        return;
    }
    if (job->rc != TW_OK) {
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "the certificate cannot be stored: %s", job->err.text);
        return;
    }
    if (!find_agent(call, &a))
        return;
    if (!a || !a->row.approved) {
        refuse(call, TW__STATUS__STATUS_PERMISSION_DENIED, "removed by an operator");
        return;
    }
    if (agent_certs_add(&a->certs, call->der.data, call->der.len, call->issued_ns) != TW_OK) {
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "out of memory");
        return;
    }
    call->j->stats.issued++;
    log_info("certificate issued", LOG_S("agent", a->row.name), LOG_S("serial", call->info.serial));
    answer_issued(call, a);
}

static enum tw_rc make_certificate(struct join_call *call, struct tw_err *err)
{
    struct pki_cert *cert = NULL;
    enum tw_rc rc;

    call->issued_ns = tw_wall_now().ns;
    rc = authority_issue(call->j->ca, call->csr, call->csr_len, call->name, call->issued_ns, call->j->life_ns,
                         &cert, err);
    if (rc)
        return rc;
    pki_cert_info(cert, &call->info);
    rc = pki_cert_to_der(cert, &call->der);
    pki_cert_free(cert);
    return rc ? tw_err_set(err, rc, "out of memory") : TW_OK;
}

/* Who asks again for the same key, because an answer was lost, gets the same, unless it is time for another.
 */
static bool has_it_already(const struct join_call *call, const struct agent *a, int64_t now_ns)
{
    const struct agent_cert *newest = agent_certs_newest(a->certs);

    return newest && !memcmp(a->certs->key_hash, call->csr_hash, sizeof call->csr_hash) &&
           now_ns < pki_renew_at_ns(newest->issued_ns - PKI_BACKDATE_NS, newest->not_after_ns);
}

/* The agent is approved. */
static void issue(struct join_call *call, const struct agent *a)
{
    int64_t now_ns = tw_wall_now().ns;
    const struct agent_cert *newest = agent_certs_newest(a->certs);
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (has_it_already(call, a, now_ns)) {
        answer_issued(call, a);
        return;
    }
    if (newest && now_ns - newest->issued_ns < RENEW_GAP_NS && now_ns >= newest->issued_ns) {
        refuse(call, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
               "a certificate was issued to this agent just now: try again in a second");
        return;
    }
    rc = make_certificate(call, &err);
    if (rc) {
        refuse(call,
               rc == TW_ECORRUPT ? TW__STATUS__STATUS_INVALID_ARGUMENT
                                 : TW__STATUS__STATUS_FAILED_PRECONDITION,
               "%s", err.text);
        return;
    }
    call->job = (struct writer_job){
        .run = run_issue, .done = issue_done, .urgent = true, .decided = decide_memory(call->j->c)
    };
    if (writer_submit(call->j->c->writer, &call->job) != TW_OK)
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "the controller is busy: try again");
}

/* ---- Approving ---- */

static void approved(void *ctx, const struct change_result *r)
{
    struct join_call *call = ctx;
    struct agent *a = NULL;

    if (r->status) {
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "it cannot be approved: %s", r->err.text);
        return;
    }
    if (!find_agent(call, &a))
        return;
    if (a && a->row.approved)
        issue(call, a);
    else
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "removed meanwhile: try again");
}

static void approve(struct join_call *call, const struct agent *a)
{
    char reason[AGENT_REASON_MAX];
    struct change_request rq = { .kind = CHANGE_APPROVE, .name = a->row.name, .done = approved, .ctx = call };

    snprintf(reason, sizeof reason, "joined by token %s", call->token.id);
    rq.author = call->token.author;
    rq.reason = reason;
    if (change_submit(call->j->c->changes, &rq) != TW_OK)
        refuse(call, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "too many changes wait: try again");
}

/* What comes of an agent that is known and has shown its token. */
static void go_on(struct join_call *call, const struct agent *a)
{
    if (a->row.approved)
        issue(call, a);
    else if (call->token.approve)
        approve(call, a);
    else
        answer_pending(call);
}

/* ---- Admitting ---- */

static enum tw_rc run_admit(struct writer_job *job, struct store *s, struct tw_err *err)
{
    struct join_call *call = (struct join_call *)job;
    struct store_agent row = call->row; /* another run begins anew */
    char labels[JOIN_LABELS_TEXT];
    struct store_join_token token;
    enum tw_rc rc = store_put_agent(s, &row, err);

    call->stored_id = row.id;
    joining_token_row(&call->token, labels, &token);
    return rc ? rc : store_put_join_token(s, &token, err);
}

uint32_t joining_uses(const struct joining *j, const struct join_token *t)
{
    uint32_t n = t->used;
    const struct join_call *call;

    DL_FOREACH(j->admitting, call)
    n += !strcmp(call->token.id, t->id);
    return n;
}

/* Memory has only uses that are stored: what others stored is taken over as it is. */
static void note_use(struct join_call *call)
{
    struct join_token *t = joining_token(call->j, call->token.id);

    if (t && t->used < call->token.used)
        t->used = call->token.used;
}

static void admit_failed(struct join_call *call, enum tw_rc rc, const char *why)
{
    if (rc == TW_EAGAIN)
        outdated(call);
    else
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "the agent cannot be stored: %s", why);
}

/* Who is known by a call alone that was refused in the end would wait for approval for ever, and only here.
 */
static void forget(struct controller *c, struct agent *a)
{
    if (a->row.id || a->row.approved || a->peer || a->saving || a->changing || a->editing)
        return;
    inventory_drop_agent(&c->inv, a);
    events_note(c->events, EVENT_AGENTS);
}

static void admit_done(struct writer_job *job)
{
    struct join_call *call = (struct join_call *)job;
    struct agent *a = NULL;

    DL_DELETE(call->j->admitting, call);
    if (job->rc == TW_OK)
        note_use(call);
    a = by_key(call);
    if (a) {
        a->saving = false;
        if (job->rc == TW_OK) {
            a->row.id = call->stored_id;
            if (agent_set_ops(&call->j->c->inv, a, call->ops) == TW_OK)
                call->ops = NULL;
        }
        if (a->save_again)
            fleet_save(call->j->c, a);
        if (job->rc != TW_OK)
            forget(call->j->c, a);
    }
    if (job->rc != TW_OK) {
        admit_failed(call, job->rc, job->err.text);
        return;
    }
    log_info("agent joined", LOG_S("agent", call->name), LOG_S("token", call->token.id),
             LOG_S("approve", call->token.approve ? "yes" : "no"));
    if (!find_agent(call, &a))
        return;
    if (a)
        go_on(call, a);
    else
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "removed meanwhile: try again");
}

/* With the token's labels. */
static enum tw_rc prepare_row(struct join_call *call, const struct agent *a)
{
    enum tw_rc rc = TW_OK;

    call->ops = calloc(1, sizeof *call->ops);
    if (!call->ops)
        return TW_ENOMEM;
    if (a->ops)
        *call->ops = *a->ops;
    snprintf(call->ops->joined_by, sizeof call->ops->joined_by, "%s", call->token.id);
    for (size_t i = 0; !rc && i < call->token.n_labels; i++)
        rc = agent_ops_label(call->ops, call->token.labels[i].key, call->token.labels[i].value, false);
    if (!rc)
        rc = fleet_agent_row(a, &call->row);
    if (rc)
        return rc;
    free(call->row.ops);
    call->row.ops = agent_ops_to_json(call->ops);
    return call->row.ops ? TW_OK : TW_ENOMEM;
}

/* The first time that it shows this token. */
static void admit(struct join_call *call, const struct join_token *t, struct agent *a)
{
    struct controller *c = call->j->c;

    if (!a && c->inv.pending >= FLEET_MAX_PENDING) {
        refuse(call, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
               "%u agents wait for approval already; twampctl agent list, then approve or remove",
               c->inv.pending);
        return;
    }
    if (!a)
        a = fleet_new_agent(c, call->name, call->software, call->public_key, call->address);
    if (!a || a->saving || a->changing || a->editing) {
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE,
               "this agent is being changed, or there is no memory: try again");
        return;
    }
    if (prepare_row(call, a) != TW_OK) {
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "out of memory, or too many labels");
        return;
    }
    call->token.used = joining_uses(call->j, t) + 1;
    call->job = (struct writer_job){
        .run = run_admit, .done = admit_done, .urgent = true, .decided = decide_memory(c)
    };
    a->saving = true;
    DL_APPEND(call->j->admitting, call);
    if (writer_submit(c->writer, &call->job) == TW_OK)
        return;
    DL_DELETE(call->j->admitting, call);
    a->saving = false;
    admit_failed(call, TW_EBUSY, "the controller is busy: try again");
}

/* Whose token counts no more, but who came in by it, asks again since an answer was lost. */
static bool came_by(const struct agent *a, const struct join_token *t)
{
    return a && a->ops && !strcmp(a->ops->joined_by, t->id);
}

/* A local socket counts as this host. */
static const char *whose_tries(const struct join_call *call)
{
    return call->address[0] ? call->address : "::1";
}

static void refuse_unknown(struct join_call *call, const char *why)
{
    access_tries_wrong(call->j->tries, tw_mono_now(), whose_tries(call));
    refuse(call, TW__STATUS__STATUS_PERMISSION_DENIED, "%s",
           *why ? why : "no such join token: twampctl token list shows them");
}

static enum tw_rc skip_token(void *ctx, const struct store_join_token *row)
{
    (void)ctx;
    (void)row;
    return TW_OK;
}

/* It is to be read only: that is enough to find out that others have changed something. */
static enum tw_rc run_look(struct writer_job *job, struct store *s, struct tw_err *err)
{
    (void)job;
    return store_each_join_token(s, skip_token, NULL, err);
}

static void looked(struct writer_job *job)
{
    struct join_call *call = (struct join_call *)job;

    if (job->rc == TW_OK)
        refuse_unknown(call, "");
    else if (job->rc == TW_EAGAIN)
        outdated(call);
    else
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "the join token cannot be looked up: %s", job->err.text);
}

/* A refusal is final. Another controller may have made it a moment ago: is memory what the store has? */
static void look_for_token(struct join_call *call)
{
    call->job = (struct writer_job){
        .run = run_look, .done = looked, .urgent = true, .decided = decide_memory(call->j->c)
    };
    if (writer_submit(call->j->c->writer, &call->job) != TW_OK)
        refuse(call, TW__STATUS__STATUS_UNAVAILABLE, "the controller is busy: try again");
}

/* NULL: the call is answered, or will be. */
static struct join_token *check_token(struct join_call *call, const char *text, const struct agent *a)
{
    int64_t now_ns = tw_wall_now().ns;
    struct join_token_parts parts;
    struct tw_err err = { 0 };
    struct join_token *t = NULL, soon;
    enum join_state state;

    if (access_tries_wait_ns(call->j->tries, tw_mono_now(), whose_tries(call))) {
        call->j->stats.limited++;
        refuse(call, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
               "too many wrong tokens from this address: try again in a minute");
        return NULL;
    }
    if (join_token_parse(text, &parts, &err) == TW_OK)
        t = joining_token(call->j, parts.id);
    if (!t && !err.text[0] && call->j->c->shared) {
        look_for_token(call);
        return NULL;
    }
    if (!t || !join_token_is(t, parts.digest)) {
        refuse_unknown(call, err.text);
        return NULL;
    }
    soon = *t;
    soon.used = joining_uses(call->j, t);
    state = join_token_state(&soon, now_ns);
    if (state != JOIN_USABLE && !(state != JOIN_REVOKED && came_by(a, t))) {
        refuse(call, TW__STATUS__STATUS_PERMISSION_DENIED,
               "the join token %s is %s: twampctl token create makes another", t->id, join_state_name(state));
        return NULL;
    }
    if (!join_token_admits(t, call->name)) {
        refuse(call, TW__STATUS__STATUS_PERMISSION_DENIED, "the join token %s is for agents named %s", t->id,
               t->name_glob);
        return NULL;
    }
    return t;
}

/* ---- Calls ---- */

static void join_invoke(ProtobufCService *service, unsigned method, const ProtobufCMessage *rq,
                        ProtobufCClosure closure, void *closure_data)
{
    if (joining_admits((struct joining *)service, service, method, rq, closure, closure_data))
        protobuf_c_service_invoke_internal(service, method, rq, closure, closure_data);
}

/* NULL: the call is answered. */
static struct join_call *call_new(struct joining *j, const ProtobufCBinaryData *csr,
                                  Tw__JoinReply_Closure closure, void *closure_data)
{
    struct rpc_peer *p = rpc_call_peer(closure_data);
    struct join_call *call = NULL;
    struct pki_csr *q = NULL;
    struct tw_err err = { 0 };

    if (!j->ca)
        rpc_fail(closure_data, TW__STATUS__STATUS_FAILED_PRECONDITION,
                 "this controller has no certificate authority: twampctl ca init makes it, then restart the "
                 "controller");
    else if (pki_csr_from_der(csr->data, csr->len, &q, &err))
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", err.text);
    else if (!(call = calloc(1, sizeof *call)) || !(call->csr = malloc(csr->len)))
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    if (!call || !call->csr) {
        free(call);
        pki_csr_free(q);
        return NULL;
    }
    call->j = j;
    snprintf(call->address, sizeof call->address, "%s", p ? rpc_peer_hello(p)->address : "");
    call->closure = closure;
    call->closure_data = closure_data;
    memcpy(call->csr, csr->data, csr->len);
    call->csr_len = csr->len;
    pki_csr_hash(q, call->csr_hash);
    pki_csr_free(q);
    return call;
}

/* False: the call is answered. */
static bool take_identity(struct join_call *call, const Tw__JoinRequest *rq)
{
    uint8_t text[JOIN_PROOF_TEXT];
    size_t n;

    if (!hello_agent_name_ok(rq->name) || strlen(rq->token) >= JOIN_TOKEN_TEXT ||
        rq->public_key.len != STORE_KEY_LEN) {
        refuse(call, TW__STATUS__STATUS_INVALID_ARGUMENT,
               "expected a name of 1 to 63 of a-z 0-9 . -, a token of at most %d characters, and a public "
               "key of %d octets",
               JOIN_TOKEN_TEXT - 1, STORE_KEY_LEN);
        return false;
    }
    snprintf(call->name, sizeof call->name, "%s", rq->name);
    for (size_t i = 0; rq->software[i] && i < sizeof call->software - 1; i++)
        call->software[i] = rq->software[i] >= ' ' && rq->software[i] <= '~' ? rq->software[i] : '?';
    memcpy(call->public_key, rq->public_key.data, sizeof call->public_key);
    join_proof_text(rq->csr.data, rq->csr.len, rq->name, rq->token, text, &n);
    if (identity_verify(call->public_key, text, n, rq->proof.data, rq->proof.len))
        return true;
    refuse(call, TW__STATUS__STATUS_UNAUTHENTICATED,
           "the proof was not made with this identity for this request");
    return false;
}

static void join_ca_certificate(Tw__Join_Service *service, const Tw__JoinCaRequest *rq,
                                Tw__JoinCaReply_Closure closure, void *closure_data)
{
    struct joining *j = (struct joining *)service;
    Tw__JoinCaReply reply = TW__JOIN_CA_REPLY__INIT;
    struct pki_octets der = { 0 };

    (void)rq;
    if (!j->ca || pki_cert_to_der(authority_ca(j->ca), &der) != TW_OK) {
        rpc_fail(closure_data,
                 j->ca ? TW__STATUS__STATUS_RESOURCE_EXHAUSTED : TW__STATUS__STATUS_FAILED_PRECONDITION, "%s",
                 j->ca ? "out of memory: try again"
                       : "this controller has no certificate authority: twampctl ca init makes it, then "
                         "restart the controller");
        return;
    }
    reply.certificate = (ProtobufCBinaryData){ der.len, der.data };
    closure(&reply, closure_data);
    pki_octets_free(&der);
}

static void join_join(Tw__Join_Service *service, const Tw__JoinRequest *rq, Tw__JoinReply_Closure closure,
                      void *closure_data)
{
    struct join_call *call = call_new((struct joining *)service, &rq->csr, closure, closure_data);
    struct agent *a = NULL;
    struct join_token *t;

    if (!call || !take_identity(call, rq) || !find_agent(call, &a))
        return;
    t = check_token(call, rq->token, a);
    if (!t)
        return;
    call->token = *t;
    if (a && (a->row.approved || came_by(a, t)))
        go_on(call, a);
    else
        admit(call, t, a);
}

static void join_poll(Tw__Join_Service *service, const Tw__JoinRequest *rq, Tw__JoinReply_Closure closure,
                      void *closure_data)
{
    struct join_call *call = call_new((struct joining *)service, &rq->csr, closure, closure_data);
    struct agent *a = NULL;

    if (!call || !take_identity(call, rq) || !find_agent(call, &a))
        return;
    if (!a)
        refuse(call, TW__STATUS__STATUS_NOT_FOUND,
               "no agent of this identity waits here: it has to join with a token");
    else if (a->row.approved)
        issue(call, a);
    else
        answer_pending(call);
}

void joining_renew(struct joining *j, struct agent *a, const char *name, const Tw__RenewRequest *rq,
                   Tw__JoinReply_Closure closure, void *closure_data)
{
    struct join_call *call = call_new(j, &rq->csr, closure, closure_data);

    if (!call)
        return;
    snprintf(call->name, sizeof call->name, "%s", name);
    memcpy(call->public_key, a->row.public_key, sizeof call->public_key);
    issue(call, a);
}

void joining_calls_init(struct joining *j)
{
    j->service = (Tw__Join_Service)TW__JOIN__INIT(join_);
    j->service.base.invoke = join_invoke;
    j->offered = (struct rpc_service){ RPC_JOIN, &j->service.base };
}
