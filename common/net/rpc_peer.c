#include "common/net/rpc_ahead.h"
#include "common/net/rpc_peer.h"
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/net/rpc_check.h"

#define SEND_BOUND (4u << 20)     /* octets that may wait for a peer to read */
#define CONTROL_BOUND (64u << 10) /* more, for frames without which nothing goes on */
#define HELLO_PATIENCE 3          /* times hello_timeout_ms */
#define BUFFER_BEFORE_HELLO (RPC_MAX_FRAME_BEFORE_HELLO + RPC_FRAME_HEADER)
#define BUFFER 65536
#define FEW_OCTETS 1024 /* some sixty small calls */
#define HOLD_NS (20 * TW_NS_PER_MS)
#define LINGER_NS (1 * TW_NS_PER_S) /* for the peer to read our GOAWAY and close */
#define LATE_NS (1 * TW_NS_PER_S)   /* a timer this late says that we, not the peer, were held up */

/* ---- What users ask of a peer ---- */

const struct rpc_hello *rpc_peer_hello(const struct rpc_peer *p)
{
    return &p->hello;
}

void rpc_peer_set_ctx(struct rpc_peer *p, void *ctx)
{
    p->ctx = ctx;
}

void *rpc_peer_ctx(const struct rpc_peer *p)
{
    return p->ctx;
}

const char *rpc_peer_local_address(const struct rpc_peer *p)
{
    return p->local;
}

enum tw_rc peer_channel(struct rpc_peer *p, struct hello_channel *ret)
{
    *ret = (struct hello_channel){ .tls = conn_is_tls(p->conn) };
    memcpy(ret->nonce, p->nonce, sizeof ret->nonce);
    return ret->tls ? conn_binding(p->conn, ret->binding) : TW_OK;
}

void peer_name(struct rpc_peer *p, const struct hello_id *id)
{
    p->id = *id;
    p->hello.role = p->id.role;
    p->hello.name = p->id.name;
    p->hello.software = p->id.software;
    memcpy(p->hello.boot_id, p->id.boot_id, RPC_ID_LEN);
    memcpy(p->hello.spool_id, p->id.spool_id, RPC_ID_LEN);
    memcpy(p->hello.public_key, p->id.public_key, IDENTITY_KEY_LEN);
    p->hello.address = p->address;
    p->hello.tls = conn_is_tls(p->conn);
    p->hello.certificate = conn_certificate(p->conn, &p->certificate) ? &p->certificate : NULL;
    p->hello.token = p->id.token;
    p->hello.others = p->id.others;
}

void peer_forget_token(struct rpc_peer *p)
{
    OPENSSL_cleanse(p->id.token, sizeof p->id.token);
}

/* ---- Sending ---- */

char *peer_clip_detail(const char *detail, char buf[RPC_MAX_DETAIL + 1])
{
    size_t n;

    snprintf(buf, RPC_MAX_DETAIL + 1, "%s", detail);
    n = strlen(buf);
    for (int cut = 0; cut < 3 && n > 0 && !tw_utf8_ok(buf);
         cut++) /* perhaps only the last character was cut */
        buf[--n] = '\0';
    if (tw_utf8_ok(buf))
        return buf;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)buf[i] >= 0x80)
            buf[i] = '?';
    return buf;
}

static enum tw_rc send_within(struct rpc_peer *p, const Tw__Frame *f, const ProtobufCMessage *body,
                              size_t bound)
{
    size_t n = rpc_frame_size(f, body);
    uint8_t *at;

    if (p->state > PEER_UP)
        return TW_ECLOSED;
    if (n > RPC_FRAME_HEADER + RPC_MAX_FRAME)
        return TW_ERANGE;
    if (conn_queued(p->conn) + n > bound)
        return TW_EBUSY;
    at = conn_append(p->conn, n);
    if (!at)
        return TW_ENOMEM;
    rpc_frame_pack(f, body, at);
    conn_flush(p->conn);
    rpc_count(&p->side->stats.frames_out, 1);
    rpc_count(&p->side->stats.bytes_out, n);
    return TW_OK;
}

enum tw_rc peer_send(struct rpc_peer *p, const Tw__Frame *f, const ProtobufCMessage *body)
{
    return send_within(p, f, body, SEND_BOUND);
}

enum tw_rc peer_send_control(struct rpc_peer *p, const Tw__Frame *f, const ProtobufCMessage *body)
{
    enum tw_rc rc = send_within(p, f, body, SEND_BOUND + CONTROL_BOUND);

    if (rc && rc != TW_ECLOSED)
        peer_doom(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "the peer does not read what it is sent");
    return rc;
}

enum tw_rc rpc_peer_send_data(struct rpc_peer *p, const ProtobufCMessage *body)
{
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = TW__FRAME_KIND__FRAME_DATA;
    return peer_send(p, &f, body);
}

enum tw_rc rpc_peer_send_ack(struct rpc_peer *p, uint64_t through_seq, const struct rpc_ahead *ahead, uint32_t window,
                             Tw__Status status, const char *detail)
{
    char clipped[RPC_MAX_DETAIL + 1];
    Tw__Frame f = TW__FRAME__INIT;
    struct ahead_pb body;

    f.kind = TW__FRAME_KIND__FRAME_ACK;
    f.through_seq = through_seq;
    f.window = window;
    f.status = status;
    f.detail = peer_clip_detail(detail ? detail : "", clipped);
    return peer_send_control(p, &f, ahead ? &ahead_to_pb(ahead, &body)->base : NULL);
}

static void send_bare(struct rpc_peer *p, Tw__FrameKind kind, uint64_t id)
{
    Tw__Frame f = TW__FRAME__INIT;

    f.kind = kind;
    f.id = id;
    peer_send_control(p, &f, NULL);
}

/* ---- The end ---- */

/* Never fails: the timer is queued already, or has just made room by firing. */
static void set_timer(struct rpc_peer *p, struct tw_mono due)
{
    p->timer_due = due;
    loop_timer_set(p->side->loop, &p->timer, due);
}

static struct tw_mono from_now(const struct rpc_peer *p, int64_t ns)
{
    return (struct tw_mono){ loop_now(p->side->loop).mono.ns + ns };
}

void peer_reason(struct rpc_peer *p, Tw__Status status, const char *detail)
{
    if (p->state > PEER_UP)
        return;
    p->end_status = status;
    peer_clip_detail(detail, p->end_detail);
}

void peer_doom(struct rpc_peer *p, Tw__Status status, const char *detail)
{
    if (p->state >= PEER_DOOMED)
        return;
    peer_reason(p, status, detail);
    p->state = PEER_DOOMED;
    set_timer(p, from_now(p, 0));
}

void peer_go_away(struct rpc_peer *p, const struct rpc_welcome *w)
{
    Tw__Frame f = TW__FRAME__INIT;

    if (p->state > PEER_UP)
        return;
    peer_reason(p, w->status, w->detail ? w->detail : "refused");
    f.kind = TW__FRAME_KIND__FRAME_GOAWAY;
    f.status = w->status;
    f.detail = p->end_detail;
    f.retry_ms = w->retry_ms;
    f.elsewhere = w->elsewhere;
    if (peer_send_control(p, &f, NULL))
        return; /* doomed */
    p->state = PEER_LINGER;
    set_timer(p, from_now(p, LINGER_NS));
}

void peer_refuse(struct rpc_peer *p, Tw__Status status, const char *detail)
{
    peer_go_away(p, &(struct rpc_welcome){ .status = status, .detail = detail });
}

void rpc_peer_close(struct rpc_peer *p, Tw__Status status, const char *detail)
{
    peer_refuse(p, status, detail ? detail : "");
}

static void leave_list(struct rpc_peer *p)
{
    struct rpc_side *s = p->side;

    if (p->was_up && p->joiner) {
        DL_DELETE(s->joiners, p);
        s->n_joiners--;
    } else if (p->was_up) {
        DL_DELETE(s->up, p);
        s->n_up--;
        atomic_fetch_sub_explicit(&s->stats.peers, 1, memory_order_relaxed);
    } else {
        DL_DELETE(s->handshakes, p);
        s->n_handshakes--;
        if (s->server && !s->stopping)
            rpc_count(p->end_counter, 1);
    }
    DL_APPEND(s->dying, p);
}

void peer_down(struct rpc_peer *p)
{
    struct rpc_side *s = p->side;

    if (p->state == PEER_DOWN)
        return;
    p->state = PEER_DOWN;
    loop_timer_cancel(s->loop, &p->timer);
    loop_timer_cancel(s->loop, &p->hold);
    p->held = false;
    leave_list(p);
    call_end_all(p);
    if (p->was_up && !p->joiner && s->hooks.on_down)
        s->hooks.on_down(s->hooks.ctx, p, p->end_status, p->end_detail);
    s->on_ended(p);
    conn_close(p->conn);
}

void peer_free(struct rpc_peer *p)
{
    struct rpc_in_frame *f, *next;

    DL_DELETE(p->side->dying, p);
    for (f = p->in.first; f; f = next) {
        next = f->next;
        in_frame_free(p->side, f);
    }
    free(p);
}

/* ---- Frames ---- */

static void on_handshake(struct rpc_peer *p, struct rpc_in_frame *f)
{
    p->side->on_handshake(p, f);
}

static void on_data(struct rpc_peer *p, struct rpc_in_frame *f)
{
    void *object = f->object;

    if (p->joiner) {
        peer_refuse(p, TW__STATUS__STATUS_PERMISSION_DENIED, "who joins has no results to send");
        return;
    }
    f->object = NULL;
    p->side->hooks.on_data(p->side->hooks.ctx, p, object);
}

static void on_ack(struct rpc_peer *p, struct rpc_in_frame *f)
{
    const struct rpc_hooks *h = &p->side->hooks;
    struct rpc_ahead ahead;

    if (!h->on_ack || p->joiner)
        return;
    if (ahead_unpack(f->body, f->body_len, &ahead))
        peer_doom(p, TW__STATUS__STATUS_INVALID_ARGUMENT, "an ACK whose body is malformed");
    else
        h->on_ack(h->ctx, p, f->through_seq, &ahead, f->window, f->status, f->detail ? f->detail : "");
}

static void on_ping(struct rpc_peer *p, struct rpc_in_frame *f)
{
    send_bare(p, TW__FRAME_KIND__FRAME_PONG, f->id);
}

static void on_pong(struct rpc_peer *p, struct rpc_in_frame *f)
{
    (void)p; /* that something came is all it says, and that is noted for every frame */
    (void)f;
}

static void on_goaway(struct rpc_peer *p, struct rpc_in_frame *f)
{
    p->sent_away = true;
    p->retry_ms = f->retry_ms;
    p->elsewhere = f->elsewhere;
    peer_doom(p, f->status ? f->status : TW__STATUS__STATUS_UNAVAILABLE,
              f->detail ? f->detail : "closed by the peer");
}

static void (*const handlers[])(struct rpc_peer *p, struct rpc_in_frame *f) = {
    [TW__FRAME_KIND__FRAME_HELLO] = on_handshake,
    [TW__FRAME_KIND__FRAME_HELLO_OK] = on_handshake,
    [TW__FRAME_KIND__FRAME_REQUEST] = call_on_request,
    [TW__FRAME_KIND__FRAME_REPLY] = call_on_reply,
    [TW__FRAME_KIND__FRAME_CANCEL] = call_on_cancel,
    [TW__FRAME_KIND__FRAME_DATA] = on_data,
    [TW__FRAME_KIND__FRAME_ACK] = on_ack,
    [TW__FRAME_KIND__FRAME_PING] = on_ping,
    [TW__FRAME_KIND__FRAME_PONG] = on_pong,
    [TW__FRAME_KIND__FRAME_GOAWAY] = on_goaway,
};

static void on_bad(struct rpc_peer *p)
{
    char text[RPC_MAX_DETAIL + 1];

    rpc_count(&p->side->stats.bad_frames, 1);
    peer_refuse(p, TW__STATUS__STATUS_INVALID_ARGUMENT, tw_err_format(&p->in.error, text, sizeof text));
}

static void read_again(struct rpc_peer *p)
{
    p->held = false;
    peer_read_on(p);
}

static void on_hold_over(struct loop_timer *t)
{
    read_again(t->ctx);
}

/* A peer that asks for more than it is given is read in small pieces, and only when there is room again, or
 * soon: the rest waits in the network, which holds it back. To refuse whatever it can send would take the
 * time that calls are served with. */
static bool hold_back(struct rpc_peer *p)
{
    bool many = p->refused && p->state == PEER_UP;

    if (many)
        p->most = FEW_OCTETS;
    else
        p->most = p->most < BUFFER ? 2 * p->most : 0;
    p->refused = 0;
    conn_set_most(p->conn, p->most);
    p->held = many && loop_timer_set(p->side->loop, &p->hold, from_now(p, HOLD_NS)) == TW_OK;
    return p->held;
}

void peer_served(struct rpc_peer *p, unsigned still)
{
    if (!p->held || (still && still != p->side->max_calls / 2))
        return;
    loop_timer_cancel(p->side->loop, &p->hold);
    read_again(p);
}

static void on_readable(void *ctx)
{
    struct rpc_peer *p = ctx;
    struct rpc_in_frame *f;

    p->last_in = loop_now(p->side->loop).mono;
    while ((f = p->in.first)) {
        p->in.first = f->next;
        if (p->state <= PEER_UP)
            handlers[f->kind](p, f);
        in_frame_free(p->side, f);
    }
    if (p->in.bad && p->state <= PEER_UP)
        on_bad(p);
    if (!p->put_off && !hold_back(p))
        peer_read_on(p);
}

/* That is how the end of the connection is noticed, too; what was bad stays unread otherwise and comes again. */
void peer_read_on(struct rpc_peer *p)
{
    p->in.discard = p->state > PEER_UP;
    conn_resume(p->conn);
}

/* ---- Time ---- */

static int64_t ms(uint32_t n)
{
    return (int64_t)n * TW_NS_PER_MS;
}

static void arm_tick(struct rpc_peer *p)
{
    int64_t dead = p->last_in.ns + ms(p->side->times.dead_ms);

    set_timer(p, p->next_ping.ns < dead ? p->next_ping : (struct tw_mono){ dead });
}

static void tick(struct rpc_peer *p)
{
    struct tw_mono now = loop_now(p->side->loop).mono;

    if (p->side->server && p->hello.certificate &&
        loop_now(p->side->loop).wall.ns / TW_NS_PER_S > p->certificate.not_after_s) {
        peer_refuse(p, TW__STATUS__STATUS_UNAUTHENTICATED, "the certificate of this connection has expired");
        return;
    }
    if (now.ns - p->timer_due.ns > LATE_NS)
        p->last_in = now; /* what it sent meanwhile may still be in the socket */
    if (now.ns - p->last_in.ns >= ms(p->side->times.dead_ms)) {
        rpc_count(&p->side->stats.dead_peers, 1);
        p->silent = true;
        peer_reason(p, TW__STATUS__STATUS_UNAVAILABLE, "the peer has been silent for too long");
        peer_down(p);
        return;
    }
    if (now.ns >= p->next_ping.ns) {
        p->next_ping.ns = now.ns + ms(p->side->times.ping_ms);
        send_bare(p, TW__FRAME_KIND__FRAME_PING, 0);
    }
    if (p->state == PEER_UP)
        arm_tick(p);
}

/* Both ends wait for the other when one of them speaks TLS and the other does not. */
static const char *why_silent(const struct rpc_peer *p)
{
    if (conn_heard(p->conn))
        return "the handshake took too long";
    if (p->side->server)
        return conn_is_tls(p->conn) ? "nothing came in the time for the TLS handshake: does the client connect by tcp://?"
                                    : "nothing came in the time for the handshake";
    return conn_is_tls(p->conn) ? "the server did not answer the TLS handshake in time" :
                                  "the server said nothing in time: does it listen on tls+tcp://?";
}

/* A thousand that come at once keep each other waiting: who has begun gets the time to come to an end, since
 * to begin anew would cost both ends everything once more. */
static bool may_go_on(struct rpc_peer *p)
{
    if (p->patient || p->state != PEER_HELLO || !conn_heard(p->conn))
        return false;
    p->patient = true;
    p->timer_due = from_now(p, (HELLO_PATIENCE - 1) * ms(p->side->times.hello_timeout_ms));
    return loop_timer_set(p->side->loop, &p->timer, p->timer_due) == TW_OK;
}

static void on_timer(struct loop_timer *t)
{
    struct rpc_peer *p = t->ctx;

    if (p->state == PEER_UP) {
        tick(p);
        return;
    }
    if (may_go_on(p))
        return;
    if (p->state == PEER_HELLO) {
        p->end_counter = &p->side->stats.handshakes_timed_out;
        p->silent = true;
        peer_reason(p, TW__STATUS__STATUS_DEADLINE_EXCEEDED, why_silent(p));
    }
    peer_down(p);
}

static void on_failed(void *ctx, enum tw_rc rc, const char *why)
{
    struct rpc_peer *p = ctx;
    char text[128];

    if (rc == TW_EPERM || rc == TW_ECORRUPT) { /* TLS: a whole sentence */
        peer_reason(p, rc == TW_EPERM ? TW__STATUS__STATUS_UNAUTHENTICATED : TW__STATUS__STATUS_FAILED_PRECONDITION, why);
        peer_down(p);
        return;
    }
    snprintf(text, sizeof text, "connection lost: %s", why);
    if (p->state == PEER_HELLO && rc == TW_ETIMEOUT) {
        p->end_counter = &p->side->stats.handshakes_timed_out;
        peer_reason(p, TW__STATUS__STATUS_DEADLINE_EXCEEDED, why_silent(p));
    } else {
        peer_reason(p, TW__STATUS__STATUS_UNAVAILABLE, text);
    }
    peer_down(p);
}

/* ---- The beginning ---- */

static void on_gone(void *ctx)
{
    peer_free(ctx);
}

static const struct conn_hooks conn_hooks = { peer_cut, on_readable, on_failed, on_gone };

static enum tw_rc start(struct rpc_peer *p)
{
    const struct rpc_side *s = p->side;
    enum tw_rc rc = identity_random(p->nonce, sizeof p->nonce);

    if (!rc)
        rc = conn_set_receive(p->conn, BUFFER_BEFORE_HELLO, HELLO_PATIENCE * s->times.hello_timeout_ms);
    p->timer_due = from_now(p, ms(s->times.hello_timeout_ms));
    if (!rc)
        rc = loop_timer_set(s->loop, &p->timer, p->timer_due);
    return rc;
}

enum tw_rc peer_new(struct rpc_side *s, nng_stream *stream, struct rpc_tls_session *tls, struct rpc_peer **ret)
{
    struct rpc_peer *p = calloc(1, sizeof *p);
    enum tw_rc rc;

    if (!p) {
        rpc_tls_session_free(tls);
        nng_stream_free(stream);
        return TW_ENOMEM;
    }
    p->side = s;
    p->next_id = s->server ? 2 : 1;
    p->end_counter = &s->stats.handshakes_failed;
    p->timer = (struct loop_timer){ .fn = on_timer, .ctx = p };
    p->hold = (struct loop_timer){ .fn = on_hold_over, .ctx = p };
    rc = conn_new(s->loop, stream, tls, &conn_hooks, p, &p->conn);
    if (rc)
        goto fail_free;
    if (s->urgent)
        conn_set_urgent(p->conn);
    rc = start(p);
    if (rc)
        goto fail_conn;
    conn_peer_address(p->conn, p->address);
    conn_local_address(p->conn, p->local);
    conn_peer_ids(p->conn, &p->hello.uid, &p->hello.pid);
    DL_APPEND(s->handshakes, p);
    s->n_handshakes++;
    conn_resume(p->conn); /* at once: it carries the time limit */
    *ret = p;
    return TW_OK;

fail_conn:
    conn_free(p->conn);
fail_free:
    free(p);
    return rc;
}

void peer_up(struct rpc_peer *p)
{
    struct rpc_side *s = p->side;

    DL_DELETE(s->handshakes, p);
    s->n_handshakes--;
    if (p->joiner) {
        DL_APPEND(s->joiners, p);
        s->n_joiners++;
    } else {
        DL_APPEND(s->up, p);
        s->n_up++;
        rpc_count(&s->stats.peers, 1);
    }
    p->was_up = true;
    p->state = PEER_UP;
    p->in.up = true;
    p->last_in = loop_now(s->loop).mono;
    p->next_ping = from_now(p, ms(s->times.ping_ms));
    arm_tick(p);
    if (conn_set_receive(p->conn, BUFFER, 0))
        peer_doom(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}
