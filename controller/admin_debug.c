/* What each thread of the controller or of an agent does, for who has to find out why it is slow. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/thread_list.h"
#include "controller/admin.h"
#include "controller/alerts.h"
#include "controller/dbjob.h"
#include "controller/near.h"
#include "controller/notify.h"
#include "controller/writer.h"

#define RECEIVERS_TOLD 64u
#define OTHERS_TOLD 32u
#define DEADLINE_MS 10000u

/* ---- The controller's ---- */

static void tell_writer(const struct controller *c, struct thread_list *l)
{
    Tw__ThreadState *t = thread_list_add(l, 1, "store writer");
    struct writer_stats s;

    writer_stats(c->writer, &s);
    thread_put_work(t, &s.work);
    thread_put_queue(t, s.queued_rows, s.max_rows, s.refused);
}

static void tell_readers(const struct controller *c, struct thread_list *l)
{
    struct work_stats work[CONTROLLER_READERS];
    struct reader_stats s;

    reader_stats(c->readers, &s, work, CONTROLLER_READERS);
    thread_list_group(l, &(struct thread_group){ .group = "readers",
                                                 .one = "reader",
                                                 .work = work,
                                                 .n = s.threads,
                                                 .queued = s.queued,
                                                 .queue_max = s.max,
                                                 .dropped = s.refused });
}

static void tell_http(const struct controller *c, struct thread_list *l)
{
    struct httpd_load s;

    if (!c->http)
        return;
    httpd_load(c->http, &s);
    thread_list_http(l, &s);
}

static void tell_dbjob(const struct controller *c, struct thread_list *l)
{
    struct work_stats w;

    dbjob_work(c->dbjob, &w);
    thread_put_work(thread_list_add(l, 1, "database job"), &w);
}

static void tell_receivers(const struct controller *c, struct thread_list *l)
{
    struct notify_state v[RECEIVERS_TOLD];
    size_t n = c->alerts ? notify_states(alerts_notify(c->alerts), v, RECEIVERS_TOLD) : 0;

    for (size_t i = 0; i < n && i < RECEIVERS_TOLD; i++) {
        Tw__ThreadState *t = thread_list_add(l, 1, "receiver %s", v[i].name);

        thread_put_work(t, &v[i].work);
        thread_put_queue(t, v[i].queued, NOTIFY_QUEUE_MAX, v[i].dropped);
    }
}

static void tell_own(struct controller *c, Tw__DebugThreadsReply_Closure closure, void *closure_data)
{
    Tw__DebugThreadsReply reply = TW__DEBUG_THREADS_REPLY__INIT;
    struct thread_list l;

    if (thread_list_init(&l, admin_arena(c), RECEIVERS_TOLD + OTHERS_TOLD) == TW_OK) {
        thread_list_loop(&l, c->loop);
        tell_writer(c, &l);
        tell_readers(c, &l);
        tell_http(c, &l);
        tell_dbjob(c, &l);
        tell_receivers(c, &l);
        reply.threads = l.v;
        reply.n_threads = l.n;
    }
    closure(&reply, closure_data);
}

/* ---- An agent's ---- */

struct asking {
    char agent[STORE_NAME_MAX];
    Tw__DebugThreadsReply_Closure closure;
    void *closure_data;
};

static void say_failure(const struct asking *a)
{
    struct rpc_result r = rpc_result();

    if (r.status == TW__STATUS__STATUS_UNIMPLEMENTED)
        rpc_fail(a->closure_data, TW__STATUS__STATUS_FAILED_PRECONDITION,
                 "agent %s cannot tell of its threads: it is older than this controller", a->agent);
    else if (r.status == TW__STATUS__STATUS_DEADLINE_EXCEEDED)
        rpc_fail(a->closure_data, TW__STATUS__STATUS_UNAVAILABLE,
                 "agent %s did not answer within %u s: its main loop hangs, or the way to it is cut",
                 a->agent, DEADLINE_MS / 1000);
    else
        rpc_fail(a->closure_data, TW__STATUS__STATUS_UNAVAILABLE, "agent %s: %s", a->agent,
                 r.detail && *r.detail ? r.detail : rpc_status_name(r.status));
}

static void on_told(const Tw__ThreadsReply *m, void *ctx)
{
    struct asking *a = ctx;
    Tw__DebugThreadsReply reply = TW__DEBUG_THREADS_REPLY__INIT;

    if (m) {
        reply.threads = m->threads;
        reply.n_threads = m->n_threads;
        a->closure(&reply, a->closure_data);
    } else {
        say_failure(a);
    }
    free(a);
}

/* NULL: the call is answered. */
static struct rpc_peer *peer_of(struct controller *c, const char *name, void *closure_data)
{
    const struct agent *a = inventory_agent(&c->inv, name);
    char mean[NEAR_TEXT];

    if (!a)
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no agent \"%s\"%s: twampctl agent list shows them", name, near_agent(&c->inv, name, mean));
    else if (!a->row.approved || !a->peer)
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "agent %s is not %s", name,
                 a->row.approved ? "connected" : "approved");
    return a && a->row.approved ? a->peer : NULL;
}

static void ask_agent(struct controller *c, const char *name, Tw__DebugThreadsReply_Closure closure,
                      void *closure_data)
{
    static const Tw__ThreadsRequest rq = TW__THREADS_REQUEST__INIT;
    struct rpc_peer *p = peer_of(c, name, closure_data);
    struct asking *a = p ? calloc(1, sizeof *a) : NULL;

    if (p && !a)
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    if (!a)
        return;
    snprintf(a->agent, sizeof a->agent, "%s", name);
    a->closure = closure;
    a->closure_data = closure_data;
    tw__fleet_agent__threads(rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, DEADLINE_MS),
                             &rq, on_told, a);
}

void admin_debug_threads(Tw__Admin_Service *service, const Tw__DebugThreadsRequest *rq,
                         Tw__DebugThreadsReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);

    if (*rq->agent)
        ask_agent(c, rq->agent, closure, closure_data);
    else
        tell_own(c, closure, closure_data);
}
