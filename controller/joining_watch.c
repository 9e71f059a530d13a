/* Calls that end in a certificate: how many there may be, and that they are made again when others have
 * changed what they were decided by. */
#include <stdlib.h>
#include "common/net/now.h"
#include "controller/decide.h"
#include "controller/joining_priv.h"

#define CALLS_A_SECOND 200
#define CALLS_AT_ONCE 64

static bool too_many(struct joining *j)
{
    int64_t second = tw_mono_now().ns / TW_NS_PER_S;

    if (second != j->second) {
        j->second = second;
        j->in_second = 0;
    }
    return ++j->in_second > CALLS_A_SECOND || j->under_way >= CALLS_AT_ONCE;
}

/* As long as a call lasts, however often it is made again. */
struct watch {
    struct decide_call call;
    struct joining *j;
};

static void watch_over(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply)
{
    struct watch *w = ctx;

    (void)reply;
    w->j->under_way--;
    w->j->stats.refused += r->status == TW__STATUS__STATUS_ABORTED;
    free(w);
}

/* While others may have made tokens, approved or revoked, and it cannot be known: an agent with other
 * controllers asks one that knows. */
static bool is_barred(struct joining *j, void *closure_data)
{
    struct writer_stats w;

    writer_stats(j->c->writer, &w);
    if (!w.control_problem[0])
        return false;
    j->stats.refused++;
    rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "%s; nothing was changed", w.control_problem);
    return true;
}

bool joining_admits(struct joining *j, ProtobufCService *service, unsigned method, const ProtobufCMessage *rq,
                    ProtobufCClosure closure, void *closure_data)
{
    struct watch *w = NULL;

    j->stats.calls++;
    if (too_many(j) || !(w = malloc(sizeof *w))) {
        j->stats.limited++;
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                 "too many agents ask for certificates: try again");
        return false;
    }
    if (is_barred(j, closure_data)) {
        free(w);
        return false;
    }
    *w = (struct watch){ .call = { .c = j->c,
                                   .service = service,
                                   .method = method,
                                   .rq = rq,
                                   .closure = closure,
                                   .closure_data = closure_data },
                         .j = j };
    j->under_way++;
    rpc_call_observe(closure_data, watch_over, w);
    decide_watch(&w->call);
    return true;
}
