#include <stdlib.h>
#include "common/net/now.h"
#include "controller/admin.h"
#include "controller/completeness.h"

struct completeness_call {
    struct controller *c;
    Tw__CompletenessReply_Closure closure;
    void *closure_data;
};

Tw__Missing *admin_missing(const struct missing *m, struct arena *ar)
{
    Tw__Missing *out = missing_sum(m) ? arena_alloc(ar, sizeof *out) : NULL;

    if (!out)
        return NULL;
    tw__missing__init(out);
    out->refused = m->of[STORE_REFUSED];
    out->dropped = m->of[STORE_DROPPED];
    out->agent_down = m->of[STORE_AGENT_DOWN];
    out->awaited = m->of[STORE_AWAITED];
    out->unknown = m->of[STORE_UNKNOWN];
    return out;
}

/* Room for message and packed octets both; NULL: the reply is full. */
static Tw__CompletenessHour *hour_row(const struct controller *c, const struct completeness_hour *h,
                                      struct arena *ar)
{
    Tw__CompletenessHour *row = arena_alloc(ar, sizeof *row);

    if (!row)
        return NULL;
    tw__completeness_hour__init(row);
    row->pair = arena_alloc(ar, sizeof *row->pair);
    if (!row->pair)
        return NULL;
    admin_fill_pair(&c->inv, &h->pair, row->pair);
    row->start_ns = h->start_ns;
    row->expected = h->expected;
    row->stored = h->stored;
    row->missing = admin_missing(&h->missing, ar);
    return row;
}

static void answer(const struct completeness_call *call, const struct completeness *v)
{
    struct arena *ar = admin_arena(call->c);
    Tw__CompletenessReply reply = TW__COMPLETENESS_REPLY__INIT;
    size_t octets = 0;

    reply.from_ns = v->from_ns;
    reply.to_ns = v->to_ns;
    reply.truncated = v->truncated;
    reply.hours = arena_alloc(ar, sizeof *reply.hours * (v->n + 1));
    for (size_t i = 0; i < v->n; i++) {
        Tw__CompletenessHour *row = reply.hours ? hour_row(call->c, &v->v[i], ar) : NULL;

        octets += row ? tw__completeness_hour__get_packed_size(row) + 8 : 0;
        if (!row || octets > ADMIN_REPLY_MAX) {
            reply.truncated = true;
            break;
        }
        reply.hours[reply.n_hours++] = row;
    }
    call->closure(&reply, call->closure_data);
}

static void completeness_done(void *ctx, struct completeness *v, const struct tw_err *err)
{
    struct completeness_call *call = ctx;

    if (v)
        answer(call, v);
    else
        admin_fail_run(err->rc, err->text, call->closure_data);
    completeness_free(v);
    free(call);
}

void admin_completeness(Tw__Admin_Service *service, const Tw__PairFilter *rq,
                        Tw__CompletenessReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct completeness_call *call;
    struct report_filter f;
    enum tw_rc rc;

    if (!admin_read_filter(rq, &f, closure_data))
        return;
    f.incomplete = rq->incomplete;
    call = malloc(sizeof *call);
    if (call)
        *call = (struct completeness_call){ c, closure, closure_data };
    rc = call ? completeness_run(&c->inv, c->readers, &f, tw_wall_now().ns, completeness_done, call)
              : TW_ENOMEM;
    if (rc == TW_OK)
        return;
    free(call);
    admin_fail_run(rc, "", closure_data);
}
