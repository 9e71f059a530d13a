#include <math.h>
#include <stdlib.h>
#include "controller/admin.h"

static int64_t ns(double seconds)
{
    return llrint(seconds * (double)TW_NS_PER_S);
}

Tw__ClockFinding *admin_clock_finding(const struct agent *a, struct arena *ar)
{
    const struct clock_host *h = &a->audit.host;
    Tw__ClockFinding *f = a->audit.known ? arena_alloc(ar, sizeof *f) : NULL;

    if (!f)
        return NULL;
    tw__clock_finding__init(f);
    f->agent = (char *)a->row.name;
    f->verdict = (char *)clock_verdict_name(h->verdict);
    f->claimed = a->audit.claim.known;
    f->synced = a->audit.claim.synced;
    f->claimed_error_ns = f->synced ? ns(a->audit.claim.error_s) : 0;
    f->measured = h->pairs > 0;
    f->offset_ns = ns(h->offset_s);
    f->uncertainty_ns = ns(h->uncertainty_s);
    f->limit_ns = ns(h->limit_s);
    f->certain = h->certain;
    f->pairs = h->pairs;
    f->pairs_used = h->pairs_used;
    f->component = h->component;
    f->component_agents = h->component_hosts;
    return f;
}

static void fill_agents(const struct controller *c, const struct selector *sel, struct arena *ar,
                        Tw__ClockReply *reply)
{
    size_t n, octets = 0;
    const struct agent **v = clocks_sorted(&c->inv, &n);

    reply->agents = arena_alloc(ar, sizeof *reply->agents * (n + 1));
    for (size_t i = 0; v && reply->agents && i < n; i++) {
        Tw__ClockFinding *f = selector_match(sel, v[i]->labels, v[i]->n_labels, v[i]->row.name)
                                  ? admin_clock_finding(v[i], ar)
                                  : NULL;

        if (!f)
            continue; /* not asked for, or approved since the audit */
        octets += tw__clock_finding__get_packed_size(f) + 8;
        if (octets > ADMIN_REPLY_MAX) {
            reply->truncated = true;
            break;
        }
        reply->agents[reply->n_agents++] = f;
    }
    free(v);
}

static void fill_crooked(const struct clocks_result *r, struct arena *ar, Tw__ClockReply *reply)
{
    reply->crooked = arena_alloc(ar, sizeof *reply->crooked * (r->n_crooked + 1));
    for (size_t i = 0; reply->crooked && i < r->n_crooked; i++) {
        Tw__ClockCrooked *w = arena_alloc(ar, sizeof *w);

        if (!w)
            return;
        tw__clock_crooked__init(w);
        w->a = (char *)r->crooked[i].a;
        w->b = (char *)r->crooked[i].b;
        w->longer_ns = ns(r->crooked[i].longer_s);
        w->round_trip_ns = ns(r->crooked[i].round_trip_s);
        reply->crooked[reply->n_crooked++] = w;
    }
}

struct clock_call {
    struct controller *c;
    struct selector *select; /* NULL: all */
    Tw__ClockReply_Closure closure;
    void *closure_data;
};

static void audited(void *ctx, enum tw_rc rc, const struct clocks_result *r)
{
    struct clock_call *call = ctx;
    Tw__ClockReply reply = TW__CLOCK_REPLY__INIT;

    if (rc == TW_EBUSY) {
        rpc_fail_later(call->closure_data, ADMIN_RETRY_MS, "too many queries run already: try again later");
    } else if (rc) {
        rpc_fail(call->closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                 "the clocks cannot be audited now: %s", tw_rc_name(rc));
    } else {
        struct arena *ar = admin_arena(call->c);
        reply.time_ns = r->time_ns;
        reply.pairs = r->pairs;
        reply.pairs_used = r->pairs_used;
        reply.components = (uint32_t)r->components;
        fill_agents(call->c, call->select, ar, &reply);
        fill_crooked(r, ar, &reply);
        call->closure(&reply, call->closure_data);
    }
    selector_free(call->select);
    free(call);
}

void admin_clock(Tw__Admin_Service *service, const Tw__ClockRequest *rq, Tw__ClockReply_Closure closure,
                 void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct clock_call *call;
    struct selector *sel = NULL;
    struct tw_err err = { 0 };

    if (rq->select[0] && selector_parse(rq->select, &sel, &err) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", err.text);
        return;
    }
    call = malloc(sizeof *call);
    if (!call) {
        selector_free(sel);
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *call = (struct clock_call){ c, sel, closure, closure_data };
    clocks_ask(c->clocks, audited, call);
}
