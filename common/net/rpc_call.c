#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/rpc_peer.h"
#define HASH_NONFATAL_OOM 1 /* then hh.tbl is NULL after HASH_ADD */
#include <uthash.h>

#define RETRY_MS 500 /* when too many calls are unanswered */

/* A call that we made. */
struct rpc_out_call {
    UT_hash_handle hh;
    uint64_t id;
    struct rpc_peer *peer;
    struct loop_timer timer; /* the deadline, or now if it has failed already */
    ProtobufCClosure closure;
    void *closure_data;
    const ProtobufCMessageDescriptor *output;
    Tw__Status failed; /* OK: it was sent */
    const char *failed_why;
};

/* A call that the peer made. It belongs to the handler until that has answered. */
struct rpc_in_call {
    UT_hash_handle hh;
    uint64_t id;
    struct rpc_peer *peer; /* NULL: nobody waits for the answer any more, the peer has gone */
    struct loop *loop;
    struct rpc_load *load; /* in which it counts; NULL: it is our own */
    bool cancelled;
    struct tw_mono due;
    struct arena *arena; /* holds the request */
    void (*observe)(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply);
    void *observe_ctx;
    bool (*again)(void *ctx);
    void *again_ctx;
    /* Of our own: */
    const void *caller;
    void (*done)(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply);
    void *ctx;
};

/* ---- Making calls ---- */

static _Thread_local struct rpc_result result = { TW__STATUS__STATUS_OK, "", false, 0 };

struct rpc_result rpc_result(void)
{
    return result;
}

const char *rpc_status_name(Tw__Status s)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(&tw__status__descriptor, (int)s);

    return v ? v->name + strlen("STATUS_") : "UNKNOWN";
}

void rpc_tell(ProtobufCClosure closure, void *data, struct rpc_result r, const ProtobufCMessage *reply)
{
    struct rpc_result outer = result; /* a done() may make a call that fails at once */

    result = r;
    closure(reply, data);
    result = outer;
}

static void end_with(struct rpc_out_call *c, struct rpc_result r, const ProtobufCMessage *reply)
{
    HASH_DEL(c->peer->calls, c);
    loop_timer_cancel(c->peer->side->loop, &c->timer);
    rpc_tell(c->closure, c->closure_data, r, reply);
    free(c);
}

static void end_call(struct rpc_out_call *c, Tw__Status status, const char *detail)
{
    end_with(c, (struct rpc_result){ .status = status, .detail = detail ? detail : "" }, NULL);
}

static void end_answered(struct rpc_out_call *c, const struct rpc_in_frame *f, const ProtobufCMessage *reply)
{
    end_with(c, (struct rpc_result){ f->status, f->detail ? f->detail : "", true, f->retry_ms }, reply);
}

static void on_deadline(struct loop_timer *t)
{
    struct rpc_out_call *c = t->ctx;
    Tw__Frame cancel = TW__FRAME__INIT;

    if (c->failed) {
        end_call(c, c->failed, c->failed_why);
        return;
    }
    cancel.kind = TW__FRAME_KIND__FRAME_CANCEL;
    cancel.id = c->id;
    peer_send_control(c->peer, &cancel, NULL);
    end_call(c, TW__STATUS__STATUS_DEADLINE_EXCEEDED, "no answer in time");
}

static void send_request(struct rpc_out_call *c, const struct rpc_stub *stub, unsigned method,
                         const ProtobufCMessage *input)
{
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_REQUEST;
    f.id = c->id;
    f.method = (uint32_t)stub->number << 8 | method;
    f.deadline_ms = stub->deadline_ms;
    switch (peer_send(c->peer, &f, input)) {
    case TW_OK:
        rpc_count(&c->peer->side->stats.calls_out, 1);
        return;
    case TW_ECLOSED:
        c->failed = TW__STATUS__STATUS_UNAVAILABLE;
        c->failed_why = "the connection is closing";
        return;
    case TW_ERANGE:
        c->failed = TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
        c->failed_why = "the request is larger than a frame may be";
        return;
    default:
        c->failed = TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
        c->failed_why = "too much is waiting to be sent to this peer";
    }
}

/* A call that cannot be sent is reported from the loop like any other: callers need not expect done() at
 * once. */
static bool start_call(struct rpc_out_call *c, const struct rpc_stub *stub, unsigned method,
                       const ProtobufCMessage *input)
{
    struct loop *l = c->peer->side->loop;
    struct tw_mono due = loop_now(l).mono;

    HASH_ADD(hh, c->peer->calls, id, sizeof c->id, c);
    if (!c->hh.tbl)
        return false;
    send_request(c, stub, method, input);
    if (!c->failed && stub->deadline_ms == 0)
        return true;
    if (!c->failed)
        due.ns += (int64_t)stub->deadline_ms * TW_NS_PER_MS;
    if (loop_timer_set(l, &c->timer, due) == TW_OK)
        return true;
    HASH_DEL(c->peer->calls, c);
    return false;
}

static void invoke(ProtobufCService *service, unsigned method, const ProtobufCMessage *input,
                   ProtobufCClosure closure, void *closure_data)
{
    struct rpc_stub *stub = (struct rpc_stub *)service;
    struct rpc_peer *p = stub->peer;
    struct rpc_out_call *c;

    if (p->state == PEER_DOWN) {
        rpc_tell(closure, closure_data,
                 (struct rpc_result){ .status = TW__STATUS__STATUS_UNAVAILABLE,
                                      .detail = "the connection is closed" },
                 NULL);
        return;
    }
    c = calloc(1, sizeof *c);
    if (c) {
        c->id = p->next_id;
        p->next_id += 2;
        c->peer = p;
        c->timer = (struct loop_timer){ .fn = on_deadline, .ctx = c };
        c->closure = closure;
        c->closure_data = closure_data;
        c->output = service->descriptor->methods[method].output;
        if (start_call(c, stub, method, input))
            return;
    }
    free(c);
    rpc_tell(
        closure, closure_data,
        (struct rpc_result){ .status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED, .detail = "out of memory" },
        NULL);
}

ProtobufCService *rpc_peer_service(struct rpc_peer *p, enum rpc_service_number number,
                                   const ProtobufCServiceDescriptor *d, uint32_t deadline_ms)
{
    p->stub.service = (ProtobufCService){ .descriptor = d, .invoke = invoke };
    p->stub.peer = p;
    p->stub.number = number;
    p->stub.deadline_ms = deadline_ms;
    return &p->stub.service;
}

static void deliver_reply(struct rpc_out_call *c, const struct rpc_in_frame *f)
{
    char why[RPC_MAX_DETAIL + 1];
    struct tw_err err = { 0 };
    struct arena *a;
    ProtobufCMessage *reply = NULL;

    if (arena_new(RPC_ARENA_CAP(f->body_len), &a)) {
        end_call(c, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (rpc_body_unpack(c->output, f->body, f->body_len, a, &reply, &err)) {
        rpc_count(&c->peer->side->stats.bad_frames, 1);
        end_call(c, TW__STATUS__STATUS_INTERNAL, tw_err_format(&err, why, sizeof why));
    } else {
        end_answered(c, f, reply);
    }
    arena_free(a);
}

void call_on_reply(struct rpc_peer *p, struct rpc_in_frame *f)
{
    struct rpc_out_call *c;

    HASH_FIND(hh, p->calls, &f->id, sizeof f->id, c);
    if (!c || c->failed)
        rpc_count(&p->side->stats.late_replies, 1);
    else if (f->status)
        end_answered(c, f, NULL);
    else
        deliver_reply(c, f);
}

/* ---- Serving calls ---- */

struct rpc_peer *rpc_call_peer(void *closure_data)
{
    return ((struct rpc_in_call *)closure_data)->peer;
}

const void *rpc_call_caller(void *closure_data)
{
    return ((struct rpc_in_call *)closure_data)->caller;
}

void rpc_call_observe(void *closure_data, void (*fn)(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply), void *ctx)
{
    struct rpc_in_call *c = closure_data;

    c->observe = fn;
    c->observe_ctx = ctx;
}

void rpc_call_again(void *closure_data, bool (*fn)(void *ctx), void *ctx)
{
    struct rpc_in_call *c = closure_data;

    c->again = fn;
    c->again_ctx = ctx;
}

static void tell_observer(const struct rpc_in_call *c, const struct rpc_result *r,
                          const ProtobufCMessage *reply)
{
    if (c->observe)
        c->observe(c->observe_ctx, r, reply);
}

static const struct rpc_result done_well = { TW__STATUS__STATUS_OK, "", true, 0 };

static void send_failure_later(struct rpc_peer *p, uint64_t id, const struct rpc_result *r)
{
    Tw__Frame f = TW__FRAME__INIT;
    char clipped[RPC_MAX_DETAIL + 1];

    f.kind = TW__FRAME_KIND__FRAME_REPLY;
    f.id = id;
    f.status = r->status;
    f.detail = peer_clip_detail(r->detail ? r->detail : "", clipped);
    f.retry_ms = r->retry_ms;
    peer_send_control(p, &f, NULL);
}

static void send_failure(struct rpc_peer *p, uint64_t id, Tw__Status status, const char *detail)
{
    send_failure_later(p, id, &(struct rpc_result){ .status = status, .detail = detail });
}

static bool somebody_waits(const struct rpc_in_call *c)
{
    return c->peer && !c->cancelled && loop_now(c->loop).mono.ns < c->due.ns;
}

bool rpc_call_awaited(void *closure_data)
{
    struct rpc_in_call *c = closure_data;

    return c->done || somebody_waits(c);
}

static void free_in_call(struct rpc_in_call *c)
{
    if (c->peer) {
        HASH_DEL(c->peer->serving, c);
        rpc_uncount(&c->peer->side->stats.calls_now);
        peer_served(c->peer, HASH_COUNT(c->peer->serving));
    }
    if (c->load)
        c->load->calls--;
    side_load_unref(c->load);
    arena_free(c->arena);
    free(c);
}

static void fail_with(struct rpc_in_call *c, Tw__Status status, uint32_t retry_ms, const char *fmt, va_list ap)
    __attribute__((format(printf, 4, 0)));
static void fail_with(struct rpc_in_call *c, Tw__Status status, uint32_t retry_ms, const char *fmt, va_list ap)
{
    char text[1024];
    const struct rpc_result r = { status, text, true, retry_ms };

    if (status == TW__STATUS__STATUS_ABORTED && c->again && c->again(c->again_ctx))
        return;
    vsnprintf(text, sizeof text, fmt, ap);
    tell_observer(c, &r, NULL);
    if (c->peer && r.retry_ms) {
        rpc_count(&c->peer->side->stats.calls_refused, 1);
        c->peer->refused++;
    }
    if (c->done)
        c->done(c->ctx, &r, NULL);
    else if (somebody_waits(c))
        send_failure_later(c->peer, c->id, &r);
    free_in_call(c);
}

void rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail_with(closure_data, status ? status : TW__STATUS__STATUS_UNKNOWN, 0, fmt, ap);
    va_end(ap);
}

void rpc_fail_later(void *closure_data, uint32_t retry_ms, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fail_with(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, retry_ms, fmt, ap);
    va_end(ap);
}

static void answer(const ProtobufCMessage *reply, void *closure_data)
{
    struct rpc_in_call *c = closure_data;
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_REPLY;
    f.id = c->id;
    tell_observer(c, &done_well, reply);
    if (c->done) {
        c->done(c->ctx, &done_well, reply);
    } else if (somebody_waits(c)) {
        enum tw_rc rc = peer_send(c->peer, &f, reply);

        if (rc == TW_ERANGE)
            send_failure(c->peer, c->id, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                         "the answer is larger than a frame may be");
        else if (rc == TW_EBUSY || rc == TW_ENOMEM)
            send_failure(c->peer, c->id, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                         "too much is waiting to be sent");
    }
    free_in_call(c);
}

static struct rpc_in_call *new_in_call(struct rpc_peer *p, struct rpc_in_frame *f)
{
    struct rpc_in_call *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->id = f->id;
    c->peer = p;
    c->loop = p->side->loop;
    c->due = TW_MONO_NEVER;
    if (f->deadline_ms)
        c->due.ns = loop_now(c->loop).mono.ns + (int64_t)f->deadline_ms * TW_NS_PER_MS;
    HASH_ADD(hh, p->serving, id, sizeof c->id, c);
    if (!c->hh.tbl) {
        free(c);
        return NULL;
    }
    c->arena = f->arena;
    f->arena = NULL;
    c->load = p->side->load;
    c->load->refs++;
    c->load->calls++;
    rpc_count(&p->side->stats.calls_now, 1);
    return c;
}

/* Refused before anything is done: it may be asked again. */
static bool is_full(struct rpc_peer *p, uint64_t id)
{
    const struct rpc_side *s = p->side;
    bool many = HASH_COUNT(p->serving) >= s->max_calls;

    if (!many && s->load->calls < s->max_calls_all)
        return false;
    rpc_count(&p->side->stats.calls_refused, 1);
    p->refused++;
    send_failure_later(
        p, id,
        &(struct rpc_result){ .status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                              .detail = many ? "too many unanswered calls on this connection: try again later"
                                             : "too many unanswered calls: try again later",
                              .retry_ms = RETRY_MS });
    return true;
}

void call_on_request(struct rpc_peer *p, struct rpc_in_frame *f)
{
    struct rpc_in_call *c;

    rpc_count(&p->side->stats.calls_in, 1);
    HASH_FIND(hh, p->serving, &f->id, sizeof f->id, c);
    if (c) {
        rpc_count(&p->side->stats.bad_frames, 1);
        peer_refuse(p, TW__STATUS__STATUS_INVALID_ARGUMENT, "a call with the id of an unanswered one");
        return;
    }
    if (f->status) {
        send_failure(p, f->id, f->status, f->detail);
        return;
    }
    if (p->side->server && !(p->allowed & RPC_SERVICE_BIT(f->service->number))) {
        send_failure(p, f->id, TW__STATUS__STATUS_PERMISSION_DENIED, "this connection may not call that service");
        return;
    }
    if (is_full(p, f->id))
        return;
    c = new_in_call(p, f);
    if (!c)
        send_failure(p, f->id, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    else
        f->service->service->invoke(f->service->service, f->method, f->request, answer, c);
}

/* Packed and unpacked, so that it is checked as what comes from outside, and lives until it is answered. */
static struct rpc_in_call *new_local_call(struct loop *l, const ProtobufCMessageDescriptor *input,
                                          const ProtobufCMessage *request, ProtobufCMessage **ret_request,
                                          struct tw_err *err)
{
    size_t len = protobuf_c_message_get_packed_size(request);
    struct rpc_in_call *c = calloc(1, sizeof *c);
    uint8_t *packed = malloc(len + 1);
    enum tw_rc rc = c && packed ? arena_new(RPC_ARENA_CAP(len), &c->arena) : TW_ENOMEM;

    if (rc == TW_OK) {
        protobuf_c_message_pack(request, packed);
        rc = rpc_body_unpack(input, packed, len, c->arena, ret_request, err);
    } else {
        tw_err_set(err, rc, "out of memory");
    }
    free(packed);
    if (rc == TW_OK) {
        c->loop = l;
        return c;
    }
    if (c)
        arena_free(c->arena);
    free(c);
    return NULL;
}

void rpc_call_local(struct loop *l, ProtobufCService *service, unsigned method, const ProtobufCMessage *request, const void *caller,
                    void (*done)(void *ctx, const struct rpc_result *r, const ProtobufCMessage *reply), void *ctx)
{
    struct tw_err err = { 0 };
    ProtobufCMessage *copy = NULL;
    struct rpc_in_call *c =
        new_local_call(l, service->descriptor->methods[method].input, request, &copy, &err);
    char why[RPC_MAX_DETAIL + 1];

    if (!c) {
        Tw__Status status = err.rc == TW_ENOMEM ? TW__STATUS__STATUS_RESOURCE_EXHAUSTED :
                                                  TW__STATUS__STATUS_INVALID_ARGUMENT;
        done(ctx, &(struct rpc_result){ .status = status, .detail = tw_err_format(&err, why, sizeof why) },
             NULL);
        return;
    }
    c->done = done;
    c->ctx = ctx;
    c->caller = caller;
    service->invoke(service, method, copy, answer, c);
}

void call_on_cancel(struct rpc_peer *p, struct rpc_in_frame *f)
{
    struct rpc_in_call *c;

    HASH_FIND(hh, p->serving, &f->id, sizeof f->id, c);
    if (c)
        c->cancelled = true;
}

/* ---- The end ---- */

void call_end_all(struct rpc_peer *p)
{
    /* An orderly end of the connection is none for a call: without a reply it has failed. */
    Tw__Status status = p->end_status ? p->end_status : TW__STATUS__STATUS_UNAVAILABLE;

    while (p->calls) {
        struct rpc_out_call *c = p->calls;

        if (c->failed)
            end_call(c, c->failed, c->failed_why);
        else
            end_call(c, status, p->end_detail);
    }
    while (p->serving) {
        struct rpc_in_call *c = p->serving;

        HASH_DEL(p->serving, c);
        rpc_uncount(&p->side->stats.calls_now);
        c->peer = NULL;
    }
}
