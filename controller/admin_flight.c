#include <stdlib.h>
#include <string.h>
#include <stdio.h>
#include "controller/admin.h"
#include "controller/flight.h"

struct flight_call {
    struct controller *c;
    union {
        Tw__PairFlightReply_Closure fetched;
        Tw__FlightRowsReply_Closure rows;
    } closure;
    void *closure_data;
};

static void fill_pair(const struct pair *p, Tw__PairInfo *ret)
{
    tw__pair_info__init(ret);
    ret->pair_id = p->row.id;
    ret->mesh = (char *)p->row.mesh;
    ret->class_name = (char *)p->row.class_name;
    ret->source = (char *)p->row.source;
    ret->target = (char *)p->row.target;
    ret->scheduled = p->scheduled;
}

/* ---- What is asked ---- */

static bool read_query(const Tw__PairFlightRequest *rq, struct flight_query *ret, void *closure_data)
{
    static const Tw__PairFilter all = TW__PAIR_FILTER__INIT;

    *ret = (struct flight_query){ .pair_id = rq->pair_id,
                                  .one_flow = rq->one_flow,
                                  .flow = rq->flow,
                                  .at_ns = rq->at_ns,
                                  .before_ns = rq->before_ns,
                                  .after_ns = rq->after_ns,
                                  .limit = rq->limit,
                                  .cause = rq->cause };
    if (!admin_read_filter(rq->pairs ? rq->pairs : &all, &ret->pairs, closure_data))
        return false;
    if (strlen(rq->reason) > FLIGHT_REASON_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "the reason has %zu octets: at most %u are kept", strlen(rq->reason), FLIGHT_REASON_MAX);
        return false;
    }
    strcpy(ret->reason, rq->reason);
    return true;
}

static struct flight_call *new_call(Tw__Admin_Service *service, void *closure_data)
{
    struct flight_call *call = calloc(1, sizeof *call);

    if (call)
        *call = (struct flight_call){ .c = admin_controller(service), .closure_data = closure_data };
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    return call;
}

/* ---- Flight ---- */

static void fetched(void *ctx, const struct flight_result *r)
{
    struct flight_call *call = ctx;
    Tw__PairFlightReply reply = TW__PAIR_FLIGHT_REPLY__INIT;
    Tw__PairInfo info;

    if (r->status) {
        rpc_fail(call->closure_data, r->status, "%s", r->text);
    } else {
        fill_pair(r->pair, &info);
        reply.pair = &info;
        reply.from_ns = r->from_ns;
        reply.at_ns = r->at_ns;
        reply.to_ns = r->to_ns;
        reply.flight = (Tw__FlightReply *)r->reply;
        call->closure.fetched(&reply, call->closure_data);
    }
    free(call);
}

void admin_flight(Tw__Admin_Service *service, const Tw__PairFlightRequest *rq,
                  Tw__PairFlightReply_Closure closure, void *closure_data)
{
    struct flight_query q;
    struct flight_call *call;

    if (!read_query(rq, &q, closure_data) || !(call = new_call(service, closure_data)))
        return;
    call->closure.fetched = closure;
    flight_fetch(call->c, &q, fetched, call);
}

/* ---- Rows ---- */

static Tw__FlightFrozen *frozen_of(const struct flight_row *r, struct arena *ar)
{
    Tw__FlightFrozen *m = arena_alloc(ar, sizeof *m);

    if (!m)
        return NULL;
    tw__flight_frozen__init(m);
    m->id = r->id;
    m->pair_id = r->pair_id;
    m->flow = r->flow;
    m->cause = r->cause;
    m->reason = (char *)r->reason;
    m->at_ns = r->at_ns;
    m->frozen_ns = r->frozen_ns;
    m->first_ns = r->first_ns;
    m->last_ns = r->last_ns;
    m->probes = r->probes;
    m->lost = r->lost;
    return m;
}

/* NULL: the reply is full. */
static Tw__FlightRow *row_of(struct controller *c, const struct flight_row *r, struct arena *ar)
{
    const struct pair *p = r->pair_id ? inventory_pair(&c->inv, r->pair_id) : NULL;
    Tw__FlightRow *m = arena_alloc(ar, sizeof *m);

    if (!m)
        return NULL;
    tw__flight_row__init(m);
    m->agent = (char *)r->agent;
    m->error = (char *)r->error;
    if (p) {
        m->pair = arena_alloc(ar, sizeof *m->pair);
        if (!m->pair)
            return NULL;
        fill_pair(p, m->pair);
    }
    if (!r->error[0] && !(m->frozen = frozen_of(r, ar)))
        return NULL;
    return m;
}

static void answer_rows(void *ctx, const struct flight_rows *r)
{
    struct flight_call *call = ctx;
    struct arena *ar = admin_arena(call->c);
    Tw__FlightRowsReply reply = TW__FLIGHT_ROWS_REPLY__INIT;
    size_t octets = 0;

    if (r->status) {
        rpc_fail(call->closure_data, r->status, "%s", r->text);
        free(call);
        return;
    }
    reply.truncated = r->truncated;
    reply.rows = arena_alloc(ar, sizeof *reply.rows * (r->n + 1));
    for (size_t i = 0; i < r->n; i++) {
        Tw__FlightRow *m = reply.rows ? row_of(call->c, &r->rows[i], ar) : NULL;

        octets += m ? tw__flight_row__get_packed_size(m) + 8 : 0;
        if (!m || octets > ADMIN_REPLY_MAX) {
            reply.truncated = true;
            break;
        }
        reply.rows[reply.n_rows++] = m;
    }
    call->closure.rows(&reply, call->closure_data);
    free(call);
}

void admin_flight_freeze(Tw__Admin_Service *service, const Tw__PairFlightRequest *rq,
                         Tw__FlightRowsReply_Closure closure, void *closure_data)
{
    struct flight_query q;
    struct flight_call *call;

    if (!read_query(rq, &q, closure_data) || !(call = new_call(service, closure_data)))
        return;
    call->closure.rows = closure;
    flight_freeze(call->c, &q, answer_rows, call);
}

void admin_flight_list(Tw__Admin_Service *service, const Tw__PairFilter *rq,
                       Tw__FlightRowsReply_Closure closure, void *closure_data)
{
    struct report_filter f;
    struct flight_call *call;

    if (!admin_read_filter(rq, &f, closure_data) || !(call = new_call(service, closure_data)))
        return;
    call->closure.rows = closure;
    flight_list(call->c, &f, answer_rows, call);
}
