#include <stdlib.h>
#include "common/net/now.h"
#include "controller/admin.h"
#include "controller/outages.h"

struct outages_call {
    struct controller *c;
    Tw__OutagesReply_Closure closure;
    void *closure_data;
};

/* Room for message and packed octets both; NULL: the reply is full. */
static Tw__Outage *outage_row(const struct controller *c, const struct outage *o, struct arena *ar)
{
    Tw__Outage *row = arena_alloc(ar, sizeof *row);

    if (!row)
        return NULL;
    tw__outage__init(row);
    row->pair = arena_alloc(ar, sizeof *row->pair);
    if (!row->pair)
        return NULL;
    admin_fill_pair(&c->inv, &o->pair, row->pair);
    row->flow = o->run.flow;
    row->start_ns = o->run.start_ns;
    row->length_ns = o->run.length_ns;
    row->probes = o->run.probes;
    row->seq_first = o->run.seq_first;
    row->direction = (char *)tw_direction_name(o->run.direction);
    row->ongoing = o->ongoing;
    row->start_known = o->start_known;
    return row;
}

static void answer(const struct outages_call *call, const struct outages *o)
{
    struct arena *ar = admin_arena(call->c);
    Tw__OutagesReply reply = TW__OUTAGES_REPLY__INIT;
    size_t octets = 0;

    reply.from_ns = o->from_ns;
    reply.to_ns = o->to_ns;
    reply.truncated = o->truncated;
    reply.outages = arena_alloc(ar, sizeof *reply.outages * (o->n + 1));
    for (size_t i = 0; i < o->n; i++) {
        Tw__Outage *row = reply.outages ? outage_row(call->c, &o->v[i], ar) : NULL;

        octets += row ? tw__outage__get_packed_size(row) + 8 : 0;
        if (!row || octets > ADMIN_REPLY_MAX) {
            reply.truncated = true;
            break;
        }
        reply.outages[reply.n_outages++] = row;
    }
    call->closure(&reply, call->closure_data);
}

static void outages_done(void *ctx, struct outages *o, const struct tw_err *err)
{
    struct outages_call *call = ctx;

    if (o)
        answer(call, o);
    else
        admin_fail_run(err->rc, err->text, call->closure_data);
    outages_free(o);
    free(call);
}

void admin_outages(Tw__Admin_Service *service, const Tw__PairFilter *rq, Tw__OutagesReply_Closure closure,
                   void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct outages_call *call;
    struct report_filter f;
    enum tw_rc rc;

    if (!admin_read_filter(rq, &f, closure_data))
        return;
    call = malloc(sizeof *call);
    if (call)
        *call = (struct outages_call){ c, closure, closure_data };
    rc = call ? outages_run(&c->inv, c->readers, &f, tw_wall_now().ns, outages_done, call) : TW_ENOMEM;
    if (rc == TW_OK)
        return;
    free(call);
    admin_fail_run(rc, "", closure_data);
}
