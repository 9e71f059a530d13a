#include "controller/decide.h"

#include <utlist.h>
#include "common/net/now.h"
#include "controller/follow.h"
#include "controller/writer.h"

#define PAUSE_NS (10 * TW_NS_PER_MS)
#define FOLLOW_NS (2 * TW_NS_PER_S) /* memory is not waited for longer */

uint64_t decide_memory(struct controller *c)
{
    if (follow_is_even(c))
        c->memory = c->news > WRITER_MEMORY_START ? c->news : WRITER_MEMORY_START;
    return c->memory ? c->memory : WRITER_MEMORY_START;
}

void decide_news(void *ctx, const char *const *keys, size_t n, uint64_t number)
{
    struct controller *c = ctx;

    decide_memory(c);
    c->news = number;
    follow_changed(c, keys, n);
}

static void run_again(struct loop_timer *t)
{
    struct decide_call *d = (struct decide_call *)t;
    struct controller *c = d->c; /* the call may be over at once, and *d with it */
    int64_t now_ns = tw_mono_now().ns;
    struct reader_client before;

    if (!follow_is_even(c) && now_ns < d->wait_until_ns &&
        loop_timer_set(c->loop, t, (struct tw_mono){ now_ns + PAUSE_NS }) == TW_OK)
        return;
    DL_DELETE(c->deciding, d);
    if (!rpc_call_awaited(d->closure_data)) {
        rpc_fail(d->closure_data, TW__STATUS__STATUS_UNAVAILABLE, "who asked for it has gone");
        return;
    }
    before = reader_on_behalf(c->readers, d->client);
    protobuf_c_service_invoke_internal(d->service, d->method, d->rq, d->closure, d->closure_data);
    reader_on_behalf(c->readers, before);
}

/* In the call that has failed: not from within it. */
static bool again(void *ctx)
{
    struct decide_call *d = ctx;
    int64_t now_ns = tw_mono_now().ns;

    if (d->c->decide_no_more || ++d->tries >= DECIDE_TRIES)
        return false;
    d->timer = (struct loop_timer){ .fn = run_again };
    d->wait_until_ns = now_ns + FOLLOW_NS;
    if (loop_timer_set(d->c->loop, &d->timer, (struct tw_mono){ now_ns + d->tries * PAUSE_NS }) != TW_OK)
        return false;
    DL_APPEND(d->c->deciding, d);
    return true;
}

void decide_watch(struct decide_call *d)
{
    d->tries = 0;
    rpc_call_again(d->closure_data, again, d);
}

void decide_stop(struct controller *c)
{
    struct decide_call *d, *next;

    c->decide_no_more = true;
    DL_FOREACH_SAFE(c->deciding, d, next)
    {
        DL_DELETE(c->deciding, d);
        loop_timer_cancel(c->loop, &d->timer);
        rpc_fail(d->closure_data, TW__STATUS__STATUS_UNAVAILABLE, "the controller is stopping");
    }
}
