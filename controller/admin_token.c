/* Admin: join tokens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "controller/admin.h"
#include "controller/joining.h"

#define TTL_DEFAULT_NS (3600 * TW_NS_PER_S)
#define TTL_MAX_NS (INT64_C(366) * 86400 * TW_NS_PER_S)

static void fill_labels(const struct join_token *t, struct arena *ar, Tw__JoinTokenInfo *ret)
{
    ret->labels = arena_alloc(ar, sizeof *ret->labels * (t->n_labels + 1));
    for (size_t i = 0; ret->labels && i < t->n_labels; i++) {
        Tw__Label *l = arena_alloc(ar, sizeof *l);

        if (!l)
            return;
        tw__label__init(l);
        l->key = (char *)t->labels[i].key;
        l->value = (char *)t->labels[i].value;
        ret->labels[ret->n_labels++] = l;
    }
}

static void fill_token(const struct join_token *t, int64_t now_ns, struct arena *ar, Tw__JoinTokenInfo *ret)
{
    tw__join_token_info__init(ret);
    ret->id = (char *)t->id;
    ret->state = (char *)join_state_name(join_token_state(t, now_ns));
    ret->created_ns = t->created_ns;
    ret->expires_ns = t->expires_ns;
    ret->revoked_ns = t->revoked_ns;
    ret->uses = t->uses;
    ret->used = t->used;
    ret->name_glob = (char *)t->name_glob;
    ret->approve = t->approve;
    ret->author = (char *)t->author;
    fill_labels(t, ar, ret);
}

static Tw__Status status_of(enum tw_rc rc)
{
    return rc == TW_ENOENT    ? TW__STATUS__STATUS_NOT_FOUND
           : rc == TW_ECLOSED ? TW__STATUS__STATUS_UNAVAILABLE
           : rc == TW_EAGAIN  ? TW__STATUS__STATUS_ABORTED
                              : TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
}

struct token_call {
    struct controller *c;
    union {
        Tw__JoinTokenCreateReply_Closure create;
        Tw__JoinTokenRevokeReply_Closure revoke;
    } closure;
    void *closure_data;
};

/* NULL: the call is answered. */
static struct token_call *token_call(struct controller *c, void *closure_data)
{
    struct token_call *call = calloc(1, sizeof *call);

    if (!call) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return NULL;
    }
    call->c = c;
    call->closure_data = closure_data;
    return call;
}

/* ---- Create ---- */

static void created(void *ctx, const struct joining_token_result *r)
{
    struct token_call *call = ctx;
    Tw__JoinTokenCreateReply reply = TW__JOIN_TOKEN_CREATE_REPLY__INIT;
    Tw__JoinTokenInfo info;

    if (r->rc) {
        rpc_fail(call->closure_data,
                 r->rc == TW_ENOENT ? TW__STATUS__STATUS_FAILED_PRECONDITION : status_of(r->rc), "%s",
                 r->err.text);
    } else {
        fill_token(&r->token, tw_wall_now().ns, admin_arena(call->c), &info);
        reply.token = (char *)r->text;
        reply.info = &info;
        call->closure.create(&reply, call->closure_data);
    }
    free(call);
}

static bool glob_ok(const char *glob)
{
    size_t n = strspn(glob, "abcdefghijklmnopqrstuvwxyz0123456789.-*?[]!");

    return n < JOIN_NAME_MAX && glob[n] == '\0';
}

/* False: it has failed the call. */
static bool read_token(const Tw__JoinTokenCreateRequest *rq, struct join_token *t, void *closure_data)
{
    struct tw_err err = { 0 };
    int64_t ttl = rq->ttl_ns ? rq->ttl_ns : TTL_DEFAULT_NS;

    if (!admin_author_ok(rq->author, "", closure_data))
        return false;
    if (ttl < TW_NS_PER_S || ttl > TTL_MAX_NS || rq->uses > JOIN_USES_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "expected a life of 1s to 366d and 1 to %d uses", JOIN_USES_MAX);
        return false;
    }
    if (!glob_ok(rq->name_glob)) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "name: expected at most %d of a-z 0-9 . - and the wildcards * ? [...], such as ams-*",
                 JOIN_NAME_MAX - 1);
        return false;
    }
    for (size_t i = 0; i < rq->n_labels; i++)
        if (join_token_add_label(t, rq->labels[i]->key, rq->labels[i]->value, &err)) {
            rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "label: %s", err.text);
            return false;
        }
    t->created_ns = tw_wall_now().ns;
    t->expires_ns = t->created_ns + ttl;
    t->uses = rq->uses ? rq->uses : 1;
    t->approve = rq->approve;
    snprintf(t->name_glob, sizeof t->name_glob, "%s", rq->name_glob);
    snprintf(t->author, sizeof t->author, "%s", rq->author);
    return true;
}

void admin_join_token_create(Tw__Admin_Service *service, const Tw__JoinTokenCreateRequest *rq,
                             Tw__JoinTokenCreateReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct join_token t = { 0 };
    struct token_call *call = read_token(rq, &t, closure_data) ? token_call(c, closure_data) : NULL;

    if (!call)
        return;
    call->closure.create = closure;
    joining_token_make(c->joining, &t, created, call);
}

/* ---- Revoke ---- */

static void revoked(void *ctx, const struct joining_token_result *r)
{
    struct token_call *call = ctx;
    Tw__JoinTokenRevokeReply reply = TW__JOIN_TOKEN_REVOKE_REPLY__INIT;
    Tw__JoinTokenInfo info;

    if (r->rc) {
        rpc_fail(call->closure_data, status_of(r->rc), "%s", r->err.text);
    } else {
        fill_token(&r->token, tw_wall_now().ns, admin_arena(call->c), &info);
        reply.info = &info;
        call->closure.revoke(&reply, call->closure_data);
    }
    free(call);
}

void admin_join_token_revoke(Tw__Admin_Service *service, const Tw__JoinTokenRevokeRequest *rq,
                             Tw__JoinTokenRevokeReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct token_call *call =
        admin_author_ok(rq->author, "", closure_data) ? token_call(c, closure_data) : NULL;

    if (!call)
        return;
    call->closure.revoke = closure;
    joining_token_revoke(c->joining, rq->id, revoked, call);
}

/* ---- List ---- */

void admin_join_token_list(Tw__Admin_Service *service, const Tw__JoinTokenListRequest *rq,
                           Tw__JoinTokenListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    int64_t now_ns = tw_wall_now().ns;
    Tw__JoinTokenListReply reply = TW__JOIN_TOKEN_LIST_REPLY__INIT;
    const struct join_token *v;
    size_t n = joining_tokens(c->joining, &v);

    reply.tokens = arena_alloc(ar, (n + 1) * sizeof *reply.tokens);
    for (size_t i = n; reply.tokens && i--;) {
        Tw__JoinTokenInfo *m;

        if (!rq->all && join_token_state(&v[i], now_ns) != JOIN_USABLE)
            continue;
        m = arena_alloc(ar, sizeof *m);
        if (!m)
            break;
        fill_token(&v[i], now_ns, ar, m);
        reply.tokens[reply.n_tokens++] = m;
    }
    closure(&reply, closure_data);
}
