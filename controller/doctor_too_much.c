/* controller/doctor_too_much.c - what was refused lately for being too much, from counters that other modules
 * keep. */
#include "common/net/httpd.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "controller/controller.h"
#include "controller/doctor_run.h"
#include "controller/reader.h"
#include "controller/writer.h"

#define MINUTE_NS (60 * TW_NS_PER_S)

static uint64_t refused_calls(const struct rpc_server *s)
{
    struct rpc_counters n = { 0 };

    if (s)
        rpc_server_counters(s, &n);
    return n.calls_refused;
}

static void read_counters(const struct controller *c, uint64_t ret[TOO_MUCH_KINDS])
{
    struct httpd_counters h = { 0 };
    struct writer_stats w;

    if (c->http)
        httpd_counters(c->http, &h);
    writer_stats(c->writer, &w);
    ret[TOO_MANY_REQUESTS] = h.busy_connections + h.busy_address + h.busy_requests + h.busy_content;
    ret[TOO_MANY_QUERIES] = reader_refused(c->readers);
    ret[TOO_MANY_CALLS] = refused_calls(c->admin) + refused_calls(c->admin_remote);
    ret[TOO_MANY_BATCHES] = w.refused;
}

static void on_minute(struct loop_timer *t)
{
    struct doctor *d = t->ctx;
    uint64_t now[TOO_MUCH_KINDS];

    read_counters(d->c, now);
    for (int i = 0; i < TOO_MUCH_KINDS; i++)
        lately_mark(&d->too_much[i], now[i]);
    loop_timer_set(d->c->loop, t, (struct tw_mono){ tw_mono_now().ns + MINUTE_NS });
}

enum tw_rc doctor_count_start(struct doctor *d)
{
    d->minute = (struct loop_timer){ .fn = on_minute, .ctx = d };
    return loop_timer_set(d->c->loop, &d->minute, (struct tw_mono){ tw_mono_now().ns + MINUTE_NS });
}

void doctor_too_much(struct doctor *d, struct doctor_too_much *ret)
{
    uint64_t now[TOO_MUCH_KINDS];

    read_counters(d->c, now);
    ret->requests = lately_count(&d->too_much[TOO_MANY_REQUESTS], now[TOO_MANY_REQUESTS]);
    ret->queries = lately_count(&d->too_much[TOO_MANY_QUERIES], now[TOO_MANY_QUERIES]);
    ret->calls = lately_count(&d->too_much[TOO_MANY_CALLS], now[TOO_MANY_CALLS]);
    ret->batches = lately_count(&d->too_much[TOO_MANY_BATCHES], now[TOO_MANY_BATCHES]);
}
