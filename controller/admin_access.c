/* Access tokens, and reading the audit log. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/audit.h"
#include "controller/gate.h"
#include "controller/writer.h"

/* ---- Tokens ---- */

static Tw__Status status_of(enum tw_rc rc)
{
    switch (rc) {
    case TW_EINVAL:
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    case TW_EEXIST:
        return TW__STATUS__STATUS_ALREADY_EXISTS;
    case TW_ENOENT:
        return TW__STATUS__STATUS_NOT_FOUND;
    case TW_ECLOSED:
        return TW__STATUS__STATUS_UNAVAILABLE;
    case TW_EAGAIN:
        return TW__STATUS__STATUS_ABORTED;
    default:
        return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
}

static void fill(const struct access_token *t, struct tw_wall now, Tw__AccessToken *ret)
{
    tw__access_token__init(ret);
    ret->id = (char *)t->id;
    ret->name = (char *)t->name;
    ret->role = (char *)access_role_name(t->role);
    ret->state = (char *)gate_token_state(t, now);
    ret->author = (char *)t->author;
    ret->created_ns = t->created_ns;
    ret->expires_ns = t->expires_ns;
    ret->revoked_ns = t->revoked_ns;
    ret->used_ns = t->used_ns;
}

struct token_call {
    struct controller *c;
    Tw__AccessCreateReply_Closure created; /* one of the two */
    Tw__AccessRevokeReply_Closure revoked;
    void *closure_data;
};

static void token_done(void *ctx, const struct access_token *t, const char *text, const struct tw_err *err)
{
    struct token_call *call = ctx;
    Tw__AccessCreateReply created = TW__ACCESS_CREATE_REPLY__INIT;
    Tw__AccessRevokeReply revoked = TW__ACCESS_REVOKE_REPLY__INIT;
    Tw__AccessToken info;

    if (!t) {
        rpc_fail(call->closure_data, status_of(err->rc), "%s",
                 *err->text ? err->text : "the controller is stopping");
        free(call);
        return;
    }
    fill(t, loop_now(call->c->loop).wall, &info);
    created.token = revoked.token = &info;
    created.text = (char *)text;
    if (call->created)
        call->created(&created, call->closure_data);
    else
        call->revoked(&revoked, call->closure_data);
    free(call);
}

static struct token_call *call_new(Tw__Admin_Service *service, Tw__AccessCreateReply_Closure created,
                                   Tw__AccessRevokeReply_Closure revoked, void *closure_data)
{
    struct token_call *call = malloc(sizeof *call);

    if (call)
        *call = (struct token_call){ admin_controller(service), created, revoked, closure_data };
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return call;
}

void admin_access_create(Tw__Admin_Service *service, const Tw__AccessCreateRequest *rq,
                         Tw__AccessCreateReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    enum access_role role = ACCESS_NOBODY;
    struct gate_new wanted;
    struct tw_err err = { 0 };
    struct token_call *call;

    if (access_role_parse(rq->role, &role) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "\"%.40s\" is no role: expected viewer, operator or admin", rq->role);
        return;
    }
    if (rq->certificate.len && rq->certificate.len != ACCESS_CERTIFICATE_OCTETS) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "certificate: expected the 32 octets of a SHA-256, got %zu", rq->certificate.len);
        return;
    }
    wanted = (struct gate_new){ .name = rq->name,
                                .author = gate_caller(closure_data)->who.name,
                                .role = role,
                                .duration_ns = rq->duration_ns,
                                .certificate = rq->certificate.len ? rq->certificate.data : NULL };
    call = call_new(service, closure, NULL, closure_data);
    if (!call || gate_create(c->gate, &wanted, token_done, call, &err) == TW_OK)
        return;
    free(call);
    rpc_fail(closure_data, status_of(err.rc), "%s", err.text);
}

void admin_access_revoke(Tw__Admin_Service *service, const Tw__AccessRevokeRequest *rq,
                         Tw__AccessRevokeReply_Closure closure, void *closure_data)
{
    struct tw_err err = { 0 };
    struct token_call *call = call_new(service, NULL, closure, closure_data);

    if (!call || gate_revoke(admin_controller(service)->gate, rq->id, token_done, call, &err) == TW_OK)
        return;
    free(call);
    rpc_fail(closure_data, status_of(err.rc), "%s", err.text);
}

static int newest_first(const void *a, const void *b)
{
    const Tw__AccessToken *x = *(Tw__AccessToken *const *)a, *y = *(Tw__AccessToken *const *)b;

    return x->created_ns != y->created_ns ? (x->created_ns < y->created_ns ? 1 : -1) : strcmp(x->id, y->id);
}

void admin_access_list(Tw__Admin_Service *service, const Tw__AccessListRequest *rq,
                       Tw__AccessListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct access *tokens = gate_tokens(c->gate);
    struct arena *ar = admin_arena(c);
    Tw__AccessListReply reply = TW__ACCESS_LIST_REPLY__INIT;
    size_t n = access_count(tokens);
    Tw__AccessToken *infos = arena_alloc(ar, (n + 1) * sizeof *infos);

    (void)rq;
    reply.tokens = arena_alloc(ar, (n + 1) * sizeof *reply.tokens);
    if (!infos || !reply.tokens) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        fill(access_at(tokens, i), loop_now(c->loop).wall, &infos[i]);
        reply.tokens[i] = &infos[i];
    }
    qsort(reply.tokens, n, sizeof *reply.tokens, newest_first);
    reply.n_tokens = n;
    closure(&reply, closure_data); /* GATE_TOKENS_MAX of them fit into a frame */
}

/* ---- The audit log ---- */

#define LIMIT_STANDARD 100
#define LIMIT_MAX 10000

struct audit_job {
    struct reader_job job;     /* first */
    struct writer_job barrier; /* what happened before the question is in the answer */
    struct controller *c;
    struct store_audit_query q;
    uint64_t limit;
    char who[256], what[256];
    struct arena *arena;
    Tw__AuditEntry **rows;
    size_t n, octets;
    bool more;
    enum tw_rc rc;
    struct tw_err err;
    Tw__AuditListReply_Closure closure;
    void *closure_data;
};

static const char *result_name(int32_t status)
{
    return status < 0 ? "BEGUN" : rpc_status_name((Tw__Status)status);
}

static enum tw_rc take_entry(void *ctx, const struct store_audit *a)
{
    struct audit_job *j = ctx;
    Tw__AuditEntry *e;

    if (j->n == j->limit || j->octets > ADMIN_REPLY_MAX - 3 * AUDIT_TEXT_MAX) {
        j->more = true;
        return TW_OK;
    }
    e = arena_alloc(j->arena, sizeof *e);
    if (!e)
        return TW_ENOMEM;
    tw__audit_entry__init(e);
    e->id = a->id;
    e->time_ns = a->time_ns;
    e->who = admin_text(j->arena, a->who);
    e->role = admin_text(j->arena, a->role);
    e->token_id = admin_text(j->arena, a->token_id);
    e->way = admin_text(j->arena, a->way);
    e->origin = admin_text(j->arena, a->origin);
    e->method = admin_text(j->arena, a->method);
    e->subject = admin_text(j->arena, a->subject);
    e->result = admin_text(j->arena, result_name(a->status));
    e->detail = admin_text(j->arena, a->detail);
    e->request = admin_text(j->arena, a->request);
    e->before = admin_text(j->arena, a->before);
    e->after = admin_text(j->arena, a->after);
    j->octets += tw__audit_entry__get_packed_size(e) + 8;
    j->rows[j->n++] = e;
    return TW_OK;
}

static void run_audit(struct reader_job *job, struct store_reader *r)
{
    struct audit_job *j = (struct audit_job *)job;

    j->rc = store_read_audit(r, &j->q, take_entry, j, &j->err);
    if (j->rc == TW_ENOMEM)
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
}

static void audit_job_free(struct audit_job *j)
{
    arena_free(j->arena);
    free(j->rows);
    free(j);
}

static void audit_done(struct reader_job *job)
{
    struct audit_job *j = (struct audit_job *)job;
    Tw__AuditListReply reply = TW__AUDIT_LIST_REPLY__INIT;

    reply.entries = j->rows;
    reply.n_entries = j->n;
    reply.truncated = j->more;
    if (j->rc == TW_OK)
        j->closure(&reply, j->closure_data);
    else
        admin_fail_run(j->rc, j->err.text, j->closure_data);
    audit_job_free(j);
}

static struct audit_job *audit_job_new(struct controller *c, const Tw__AuditListRequest *rq)
{
    struct audit_job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->job = (struct reader_job){ .run = run_audit, .done = audit_done };
    j->c = c;
    j->limit = rq->limit ? rq->limit : LIMIT_STANDARD;
    if (j->limit > LIMIT_MAX)
        j->limit = LIMIT_MAX;
    snprintf(j->who, sizeof j->who, "%s", rq->who);
    snprintf(j->what, sizeof j->what, "%s", rq->what);
    j->q = (struct store_audit_query){ rq->from_ns, rq->to_ns,  j->who,      j->what,
                                       rq->refused, rq->before, j->limit + 1 };
    j->rows = calloc(j->limit, sizeof *j->rows);
    if (j->rows && arena_new(ADMIN_ARENA_CAP, &j->arena) == TW_OK)
        return j;
    free(j->rows);
    free(j);
    return NULL;
}

static enum tw_rc run_nothing(struct writer_job *w, struct store *s, struct tw_err *err)
{
    (void)w;
    (void)s;
    (void)err;
    return TW_OK;
}

static void behind_barrier(struct writer_job *w)
{
    struct audit_job *j = (struct audit_job *)((char *)w - offsetof(struct audit_job, barrier));
    enum tw_rc rc = w->rc == TW_OK ? reader_submit(j->c->readers, &j->job) : w->rc;

    if (rc == TW_OK)
        return;
    admin_fail_run(rc, "", j->closure_data);
    audit_job_free(j);
}

static enum tw_rc submit_audit(struct audit_job *j)
{
    if (!audit_is_behind(j->c->audit))
        return reader_submit(j->c->readers, &j->job);
    j->barrier = (struct writer_job){ .run = run_nothing, .done = behind_barrier, .urgent = true };
    return writer_submit(j->c->writer, &j->barrier);
}

void admin_audit_list(Tw__Admin_Service *service, const Tw__AuditListRequest *rq,
                      Tw__AuditListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct audit_job *j = audit_job_new(c, rq);
    enum tw_rc rc = TW_ENOMEM;

    if (j) {
        j->closure = closure;
        j->closure_data = closure_data;
        rc = submit_audit(j);
    }
    if (rc == TW_OK)
        return;
    if (j)
        audit_job_free(j);
    admin_fail_run(rc, "", closure_data);
}
