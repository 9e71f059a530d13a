#include "controller/admin.h"
#include "controller/gate.h"
#include "controller/secure.h"
#include <stdlib.h>
#include <string.h>

/* Of each listener: */
#define ADMIN_PEERS 256u
#define ADMIN_CALLS 32u /* unanswered, of one connection */
#define ADMIN_CALLS_ALL 256u

struct admin_door {
    Tw__Admin_Service service; /* first */
    struct controller *c;
    bool trusted; /* who may has been seen to where it was asked */
};
struct admin {
    struct admin_door door, trusted;
    struct rpc_service offered;
    struct arena *arena;
    struct pair_lists lists;
};

Tw__Admin_Service *admin_service(struct controller *c)
{
    return &c->admin_state->door.service;
}

struct controller *admin_controller(Tw__Admin_Service *service)
{
    return ((struct admin_door *)service)->c;
}

Tw__Admin_Service *admin_trusted(struct controller *c)
{
    return &c->admin_state->trusted.service;
}

bool admin_is_trusted(const Tw__Admin_Service *service)
{
    return ((const struct admin_door *)service)->trusted;
}

struct pair_lists *admin_pair_lists(struct controller *c)
{
    return &c->admin_state->lists;
}

struct arena *admin_arena(struct controller *c)
{
    arena_reset(c->admin_state->arena);
    return c->admin_state->arena;
}

char *admin_text(struct arena *ar, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = arena_alloc(ar, size);

    return copy ? memcpy(copy, text, size) : (char *)protobuf_c_empty_string;
}

/* ---- Changes ---- */

bool admin_change_failed(const struct change_result *r, void *closure_data)
{
    char text[512];

    if (r->status == TW__STATUS__STATUS_OK)
        return false;
    rpc_fail(closure_data, r->status, "%s", tw_err_format(&r->err, text, sizeof text));
    return true;
}

void admin_change(Tw__Admin_Service *service, const struct change_request *rq, void *closure_data)
{
    struct changes *changes = admin_controller(service)->changes;
    enum tw_rc rc = !changes ? TW_ECLOSED : rq->ctx ? change_submit(changes, rq) : TW_ENOMEM;

    if (rc == TW_OK)
        return;
    free(rq->ctx);
    if (rc == TW_ECLOSED) { /* a query ended while the controller stops */
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "the controller is stopping");
        return;
    }
    if (rc == TW_EBUSY)
        rpc_fail_later(closure_data, ADMIN_RETRY_MS, "too many changes wait: try again later");
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

/* ---- Start ---- */

void admin_free(struct admin *a)
{
    if (!a)
        return;
    arena_free(a->arena);
    pair_lists_clear(&a->lists);
    free(a);
}

static enum tw_rc listen_at(struct admin *a, const char *url, struct rpc_server **ret, struct tw_err *err)
{
    struct controller *c = a->door.c;
    const struct rpc_tls *tls;
    struct rpc_tls shown;
    enum tw_rc rc = secure_tls(c, url, &shown, &tls, err);

    if (rc != TW_OK)
        return rc;
    return rpc_server_start(&(struct rpc_server_conf){ .loop = c->loop,
                                                       .url = url,
                                                       .tls = tls,
                                                       .name = c->name,
                                                       .operators = true,
                                                       .urgent = true,
                                                       .hooks = gate_rpc_hooks(c->gate),
                                                       .services = &a->offered,
                                                       .n_services = 1,
                                                       .max_peers = ADMIN_PEERS,
                                                       .max_calls = ADMIN_CALLS,
                                                       .max_calls_all = ADMIN_CALLS_ALL },
                            ret, err);
}

enum tw_rc admin_start(struct controller *c, const char *url, const char *remote_url, struct admin **ret, struct tw_err *err)
{
    struct admin *a = calloc(1, sizeof *a);
    enum tw_rc rc = a ? arena_new(ADMIN_ARENA_CAP, &a->arena) : TW_ENOMEM;

    if (rc != TW_OK) {
        admin_free(a);
        return tw_err_set(err, rc, "out of memory");
    }
    a->door = a->trusted = (struct admin_door){ .service = TW__ADMIN__INIT(admin_), .c = c };
    a->door.service.base.invoke = admin_invoke;
    a->trusted.trusted = true;
    a->offered = (struct rpc_service){ RPC_ADMIN, &a->door.service.base };
    *ret = a; /* also if one of two listens: whoever stops the server frees it afterwards */
    rc = listen_at(a, url, &c->admin, err);
    return rc || !remote_url ? rc : listen_at(a, remote_url, &c->admin_remote, err);
}
