/* What each thread of the controller does, for who has to find out why it is slow. */
#include <stdio.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/alerts.h"
#include "controller/notify.h"
#include "controller/writer.h"

#define RECEIVERS_TOLD 64u

/* NULL: no room, and nothing more is told. */
static Tw__ThreadState *add_thread(Tw__DebugThreadsReply *reply, struct arena *ar, const char *name,
                                   uint32_t threads)
{
    Tw__ThreadState *t = arena_alloc(ar, sizeof *t);

    if (!t)
        return NULL;
    tw__thread_state__init(t);
    t->name = admin_text(ar, name);
    t->threads = threads;
    reply->threads[reply->n_threads++] = t;
    return t;
}

static void put_work(Tw__ThreadState *t, const struct work_stats *w)
{
    t->measured = true;
    t->rounds = w->rounds;
    t->working = w->working;
    t->busy_ns = w->busy_ns;
    t->busy_ratio = w->busy_ratio;
    t->longest_ns = w->longest_ns;
    t->quiet_ns = w->quiet_ns;
}

static void put_queue(Tw__ThreadState *t, uint64_t queued, uint64_t max, uint64_t dropped)
{
    t->queued = queued;
    t->queue_max = max;
    t->dropped = dropped;
}

static void tell_loop(const struct controller *c, struct arena *ar, Tw__DebugThreadsReply *reply)
{
    Tw__ThreadState *t = add_thread(reply, ar, "main loop", 1);
    struct loop_stats s;

    if (!t)
        return;
    loop_stats(c->loop, &s);
    put_work(t, &s.work);
    t->timers = s.timers;
}

static void tell_writer(const struct controller *c, struct arena *ar, Tw__DebugThreadsReply *reply)
{
    Tw__ThreadState *t = add_thread(reply, ar, "store writer", 1);
    struct writer_stats s;

    if (!t)
        return;
    writer_stats(c->writer, &s);
    put_work(t, &s.work);
    put_queue(t, s.queued_rows, s.max_rows, s.refused);
}

/* Of these only what they refused is known. */
static void tell_readers(const struct controller *c, struct arena *ar, Tw__DebugThreadsReply *reply)
{
    Tw__ThreadState *t = add_thread(reply, ar, "readers", CONTROLLER_READERS);

    if (t)
        t->dropped = reader_refused(c->readers);
}

/* libmicrohttpd's own thread: its requests are known, its rounds are not. */
static void tell_http(const struct controller *c, struct arena *ar, Tw__DebugThreadsReply *reply)
{
    Tw__ThreadState *t = c->http ? add_thread(reply, ar, "http", 1) : NULL;
    struct httpd_counters n;

    if (!t)
        return;
    httpd_counters(c->http, &n);
    put_queue(t, n.under_way, CONTROLLER_HTTP_REQUESTS,
              n.busy_connections + n.busy_address + n.busy_requests + n.busy_content);
}

static void tell_receivers(const struct controller *c, struct arena *ar, Tw__DebugThreadsReply *reply)
{
    struct notify_state v[RECEIVERS_TOLD];
    size_t n = c->alerts ? notify_states(alerts_notify(c->alerts), v, RECEIVERS_TOLD) : 0;
    char name[sizeof v[0].name + 16];

    for (size_t i = 0; i < n && i < RECEIVERS_TOLD; i++) {
        Tw__ThreadState *t;

        snprintf(name, sizeof name, "receiver %.*s", (int)sizeof v[i].name - 1, v[i].name);
        t = add_thread(reply, ar, name, 1);
        if (!t)
            return;
        put_work(t, &v[i].work);
        put_queue(t, v[i].queued, NOTIFY_QUEUE_MAX, v[i].dropped);
    }
}

void admin_debug_threads(Tw__Admin_Service *service, const Tw__DebugThreadsRequest *rq,
                         Tw__DebugThreadsReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    Tw__DebugThreadsReply reply = TW__DEBUG_THREADS_REPLY__INIT;

    (void)rq;
    reply.threads = arena_alloc(ar, sizeof *reply.threads * (4 + RECEIVERS_TOLD));
    if (reply.threads) {
        tell_loop(c, ar, &reply);
        tell_writer(c, ar, &reply);
        tell_readers(c, ar, &reply);
        tell_http(c, ar, &reply);
        tell_receivers(c, ar, &reply);
    }
    closure(&reply, closure_data);
}
