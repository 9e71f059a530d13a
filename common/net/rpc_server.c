#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/listening.h"
#include "common/net/rpc_ahead.h"
#include "common/net/rpc_peer.h"
#include "common/version.h"

#define ACCEPT_PAUSE_NS (100 * TW_NS_PER_MS) /* when accepting itself fails: out of descriptors or memory */

#define FULL_RETRY_MS 10000 /* until somebody may have left */

struct rpc_server {
    struct rpc_side side; /* first */
    char *name;
    struct rpc_tls_end *tls; /* NULL: plain */
    uint32_t strangers;      /* RPC_SERVICE_BIT()s for who joins */
    unsigned max_peers, max_handshakes, max_joiners;
    uint16_t port;
    nng_stream_listener *listener;
    nng_aio *accept;
    int accept_error;
    nng_stream *accepted; /* nng's thread sets it, the loop takes it */
    struct loop_task accept_task;
    struct loop_timer retry;
    const char *away; /* not NULL: agents are sent away, since ... */
    struct log_limit refused, unable;
    struct rpc_failure failures[RPC_FAILURES_KEPT]; /* the newest first */
    size_t n_failures;
};

/* ---- Handshake ---- */

static void greet(struct rpc_server *s, struct rpc_peer *p)
{
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ServerHello h = TW__SERVER_HELLO__INIT;

    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    h.version_min = tw_rpc_version_min;
    h.version_max = tw_rpc_version_max;
    h.nonce = (ProtobufCBinaryData){ .len = sizeof p->nonce, .data = p->nonce };
    h.controller = s->name;
    if (peer_send(p, &f, &h.base))
        peer_doom(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

static struct rpc_welcome no(Tw__Status status, const char *detail)
{
    return (struct rpc_welcome){ .status = status, .detail = detail };
}

/* The certificate decides who an agent is. */
static struct rpc_welcome check_certificate(const struct rpc_hello *h)
{
    if (!h->tls || h->role != TW__ROLE__ROLE_AGENT)
        return no(TW__STATUS__STATUS_OK, NULL);
    if (!h->certificate)
        return no(
            TW__STATUS__STATUS_UNAUTHENTICATED,
            "an agent without a certificate: let it join with a token first (twamp-agent --join-token-file)");
    if (strcmp(h->certificate->name, h->name) != 0)
        return no(TW__STATUS__STATUS_PERMISSION_DENIED, "the certificate shown is for another agent's name");
    return no(TW__STATUS__STATUS_OK, NULL);
}

static void ask_user(struct rpc_server *s, struct rpc_peer *p, struct rpc_welcome *ret)
{
    *ret = check_certificate(&p->hello);
    if (ret->status)
        return;
    *ret = (struct rpc_welcome){ .status = TW__STATUS__STATUS_OK, .approved = true };
    if (s->side.n_up >= s->max_peers)
        *ret = (struct rpc_welcome){ .status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                                     .detail = "too many connections",
                                     .retry_ms = FULL_RETRY_MS,
                                     .elsewhere = true };
    else if (s->away && p->hello.role == TW__ROLE__ROLE_AGENT)
        *ret = (struct rpc_welcome){ .status = TW__STATUS__STATUS_UNAVAILABLE,
                                     .detail = s->away,
                                     .elsewhere = true };
    else if (s->side.hooks.on_hello)
        s->side.hooks.on_hello(s->side.hooks.ctx, &p->hello, ret);
    p->allowed = p->hello.tls && p->hello.role == TW__ROLE__ROLE_OPERATOR ? ret->grant : UINT32_MAX;
    if (!ret->status && !p->allowed)
        *ret = no(TW__STATUS__STATUS_UNAUTHENTICATED, "operators that come by TLS need a token");
}

/* The oldest is told to go. One that was told before and is still there, because it reads nothing, goes at
 * once. */
static void make_room_for_joiner(struct rpc_server *s)
{
    while (s->side.n_joiners >= s->max_joiners) {
        struct rpc_peer *oldest = s->side.joiners;

        if (oldest->state == PEER_UP) {
            peer_refuse(oldest, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                        "made room for a newer one that joins");
            return;
        }
        peer_down(oldest);
    }
}

static void admit_joiner(struct rpc_server *s, struct rpc_peer *p, struct rpc_welcome *ret)
{
    *ret = (struct rpc_welcome){ .status = TW__STATUS__STATUS_OK };
    p->joiner = true;
    p->allowed = s->strangers;
    make_room_for_joiner(s);
}

static void welcome(struct rpc_peer *p, const struct rpc_welcome *w)
{
    Tw__Frame f = TW__FRAME__INIT;
    Tw__HelloOk ok = TW__HELLO_OK__INIT;
    struct ahead_pb ahead;

    f.kind = TW__FRAME_KIND__FRAME_HELLO_OK;
    f.through_seq = w->through_seq;
    f.window = w->window;
    ok.version = p->id.version;
    ok.approved = w->approved;
    ok.ahead = w->ahead.max ? ahead_to_pb(&w->ahead, &ahead) : NULL;
    if (peer_send(p, &f, &ok.base))
        peer_doom(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

static void admit(struct rpc_peer *p)
{
    struct rpc_server *s = (struct rpc_server *)p->side;
    struct rpc_welcome w;

    if (p->hello.role == TW__ROLE__ROLE_JOINER)
        admit_joiner(s, p, &w);
    else
        ask_user(s, p, &w);
    peer_forget_token(p);
    p->put_off = w.later && !w.status;
    if (p->put_off)
        return;
    if (w.status) {
        peer_go_away(p, &w);
        return;
    }
    welcome(p, &w);
    if (p->state != PEER_HELLO)
        return;
    peer_up(p);
    if (s->side.hooks.on_up && !p->joiner)
        s->side.hooks.on_up(s->side.hooks.ctx, p);
}

static void on_handshake(struct rpc_peer *p, const struct rpc_in_frame *f)
{
    if (f->status) {
        peer_refuse(p, f->status, f->detail);
    } else if (p->put_off || p->state != PEER_HELLO) {
        p->put_off = false;
        peer_refuse(p, TW__STATUS__STATUS_INVALID_ARGUMENT, "a second HELLO");
    } else {
        peer_name(p, f->hello);
        OPENSSL_cleanse(f->hello->token, sizeof f->hello->token);
        admit(p);
    }
}

void rpc_server_ask_again(struct rpc_server *s)
{
    struct rpc_peer *next;

    for (struct rpc_peer *p = s->side.handshakes; p; p = next) {
        next = p->next;
        if (!p->put_off)
            continue;
        p->hello.again = true;
        admit(p);
        if (!p->put_off)
            peer_read_on(p);
    }
}

/* Strangers choose how often they fail, but not how much is kept. */
static void keep_failure(struct rpc_server *s, const struct rpc_peer *p)
{
    struct rpc_failure f = { .status = p->end_status };
    size_t i;

    snprintf(f.address, sizeof f.address, "%s", p->address);
    snprintf(f.name, sizeof f.name, "%s", p->id.name);
    snprintf(f.reason, sizeof f.reason, "%.*s", (int)sizeof f.reason - 1, p->end_detail);
    f.first_ns = f.last_ns = loop_now(s->side.loop).wall.ns;
    f.times = 1;
    for (i = 0; i < s->n_failures; i++)
        if (!strcmp(s->failures[i].address, f.address) && !strcmp(s->failures[i].reason, f.reason)) {
            f.first_ns = s->failures[i].first_ns;
            f.times += s->failures[i].times;
            break;
        }
    if (i == s->n_failures && s->n_failures < RPC_FAILURES_KEPT)
        s->n_failures++;
    if (i == RPC_FAILURES_KEPT)
        i--; /* the oldest goes */
    memmove(s->failures + 1, s->failures, i * sizeof *s->failures);
    s->failures[0] = f;
}

size_t rpc_server_failures(const struct rpc_server *s, struct rpc_failure *ret, size_t cap)
{
    size_t n = cap < s->n_failures ? cap : s->n_failures;

    memcpy(ret, s->failures, n * sizeof *ret);
    return n;
}

static void on_ended(struct rpc_peer *p)
{
    struct rpc_server *s = (struct rpc_server *)p->side;
    unsigned held = 0;

    if (p->was_up || s->side.stopping)
        return;
    keep_failure(s, p);
    if (log_limit_ok(&s->refused, loop_now(s->side.loop).mono.ns, &held))
        log_info("handshake failed", LOG_S("address", p->address), LOG_S("name", p->id.name),
                 LOG_S("status", rpc_status_name(p->end_status)), LOG_S("reason", p->end_detail),
                 LOG_U("not_logged", held));
}

/* ---- Accepting ---- */

static void on_accepted(void *arg) /* nng's thread */
{
    struct rpc_server *s = arg;

    s->accept_error = nng_aio_result(s->accept);
    if (!s->accept_error)
        s->accepted = nng_aio_get_output(s->accept, 0);
    loop_post(s->side.loop, &s->accept_task);
}

static void accept_next(struct rpc_server *s)
{
    nng_stream_listener_accept(s->listener, s->accept);
}

static void on_retry(struct loop_timer *t)
{
    accept_next(t->ctx);
}

static void evict_oldest(struct rpc_server *s)
{
    struct rpc_peer *p = s->side.handshakes;

    if (!p)
        return;
    p->end_counter = &s->side.stats.handshakes_evicted;
    peer_reason(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "made room for a newer handshake");
    peer_down(p);
}

static void take_connection(struct rpc_server *s)
{
    nng_stream *stream = s->accepted;
    struct rpc_tls_session *tls = NULL;
    struct rpc_peer *p;

    s->accepted = NULL;
    rpc_count(&s->side.stats.accepted, 1);
    if (s->side.n_handshakes >= s->max_handshakes)
        evict_oldest(s);
    if (s->tls && rpc_tls_session_new(s->tls, NULL, &tls)) {
        nng_stream_free(stream);
        rpc_count(&s->side.stats.handshakes_failed, 1);
        return;
    }
    if (peer_new(&s->side, stream, tls, &p) == TW_OK)
        greet(s, p);
    else
        rpc_count(&s->side.stats.handshakes_failed, 1);
}

/* Accepting must go on whatever happens; only an error that would come again at once makes it pause. */
static void accept_done(struct loop_task *t)
{
    struct rpc_server *s = t->ctx;
    struct tw_mono now = loop_now(s->side.loop).mono;
    unsigned held = 0;

    if (s->accept_error == 0) {
        take_connection(s);
        accept_next(s);
        return;
    }
    if (s->accept_error == NNG_ECONNABORTED || s->accept_error == NNG_ECONNRESET) {
        accept_next(s);
        return;
    }
    if (log_limit_ok(&s->unable, now.ns, &held))
        log_warn("cannot accept connections", LOG_S("reason", nng_strerror(s->accept_error)),
                 LOG_U("not_logged", held));
    evict_oldest(s); /* gives back a descriptor */
    now.ns += ACCEPT_PAUSE_NS;
    if (loop_timer_set(s->side.loop, &s->retry, now))
        accept_next(s);
}

/* ---- Start and stop ---- */

static enum tw_rc explain(int nng_error, const char *url, struct tw_err *err)
{
    enum tw_rc rc = conn_rc(nng_error);

    if (rc == TW_EINUSE)
        return tw_err_set(err, rc, "%s is in use: another process listens there; stop it or choose another",
                          url);
    if (rc == TW_EPERM)
        return tw_err_set(
            err, rc, "%s: permission denied: take a port above 1023, or a folder that we may write to", url);
    return tw_err_set(err, rc, "cannot listen on %s: %s", url, nng_strerror(nng_error));
}

static enum tw_rc listen_on(struct rpc_server *s, const char *url, struct tw_err *err)
{
    int port = 0, e = nng_stream_listener_alloc(&s->listener, side_nng_url(url));

    if (e)
        return explain(e, url, err);
    /* Each fits one of the transports and is refused by the other. */
    nng_stream_listener_set_bool(s->listener, NNG_OPT_TCP_NODELAY, true);
    nng_stream_listener_set_int(s->listener, NNG_OPT_IPC_PERMISSIONS, 0660);
    e = nng_stream_listener_listen(s->listener);
    if (e)
        return explain(e, url, err);
    if (nng_stream_listener_get_int(s->listener, NNG_OPT_TCP_BOUND_PORT, &port) == 0)
        s->port = (uint16_t)port;
    if (s->port && !listening_lengthen(s->port))
        log_warn("few connections can wait to be accepted: /proc is not there", LOG_S("listener", url));
    return nng_aio_alloc(&s->accept, on_accepted, s) ? tw_err_set(err, TW_ENOMEM, "out of memory") : TW_OK;
}

static enum tw_rc fill(struct rpc_server *s, const struct rpc_server_conf *c)
{
    enum tw_rc rc = side_init(&s->side, c->loop, &c->hooks, c->services, c->n_services, &c->times);

    s->side.server = true;
    s->side.policy = (struct hello_policy){ c->agents, c->operators, c->joiners };
    s->strangers = c->strangers;
    s->side.on_handshake = on_handshake;
    s->side.on_ended = on_ended;
    s->name = strdup(c->name ? c->name : "");
    s->max_peers = c->max_peers ? c->max_peers : 20000;
    s->max_handshakes = c->max_handshakes ? c->max_handshakes : 1024;
    s->max_joiners = c->max_joiners ? c->max_joiners : 64;
    if (c->max_calls)
        s->side.max_calls = c->max_calls;
    if (c->max_calls_all)
        s->side.max_calls_all = c->max_calls_all;
    s->side.urgent = c->urgent;
    s->accept_task = (struct loop_task){ .fn = accept_done, .ctx = s, .urgent = c->urgent };
    s->retry = (struct loop_timer){ .fn = on_retry, .ctx = s };
    s->refused.burst = s->unable.burst = 10;
    return rc || s->name ? rc : TW_ENOMEM;
}

bool rpc_server_is_tls(const struct rpc_server *s)
{
    return s->tls != NULL;
}

enum tw_rc rpc_server_set_tls(struct rpc_server *s, const struct rpc_tls *tls, struct tw_err *err)
{
    struct rpc_tls_end *fresh = NULL;
    enum tw_rc rc = rpc_tls_end_new(tls, true, &fresh, err);

    if (rc)
        return rc;
    rpc_tls_end_free(s->tls);
    s->tls = fresh;
    return TW_OK;
}

static enum tw_rc use_tls(struct rpc_server *s, const struct rpc_server_conf *c, struct tw_err *err)
{
    if (!side_is_tls(c->url))
        return TW_OK;
    if (!c->tls)
        return tw_err_set(err, TW_EINVAL, "%s needs a certificate, its key and the certificate of the CA", c->url);
    return rpc_server_set_tls(s, c->tls, err);
}

enum tw_rc rpc_server_start(const struct rpc_server_conf *c, struct rpc_server **ret, struct tw_err *err)
{
    struct rpc_server *s;
    enum tw_rc rc = side_check_url(c->url, err);

    if (rc)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = fill(s, c);
    if (rc)
        tw_err_set(err, rc, "out of memory");
    else
        rc = use_tls(s, c, err);
    if (!rc)
        rc = listen_on(s, c->url, err);
    if (rc) {
        rpc_server_stop(s);
        return rc;
    }
    accept_next(s);
    *ret = s;
    return TW_OK;
}

void rpc_server_send_away(struct rpc_server *s, const char *why)
{
    s->away = why;
    for (struct rpc_peer *p = s->side.up; p; p = p->next)
        if (p->hello.role == TW__ROLE__ROLE_AGENT)
            peer_go_away(p, &(struct rpc_welcome){
                                .status = TW__STATUS__STATUS_UNAVAILABLE, .detail = why, .elsewhere = true });
}

void rpc_server_stop(struct rpc_server *s)
{
    if (!s)
        return;
    loop_timer_cancel(s->side.loop, &s->retry);
    if (s->listener)
        nng_stream_listener_close(s->listener);
    if (s->accept)
        nng_aio_stop(s->accept);
    loop_unpost(s->side.loop, &s->accept_task);
    if (s->accepted)
        nng_stream_free(s->accepted);
    side_stop(&s->side);
    nng_aio_free(s->accept);
    if (s->listener)
        nng_stream_listener_free(s->listener);
    rpc_tls_end_free(s->tls);
    free(s->name);
    free(s);
}

uint16_t rpc_server_port(const struct rpc_server *s)
{
    return s->port;
}

void rpc_server_counters(const struct rpc_server *s, struct rpc_counters *ret)
{
    rpc_stats_read(&s->side.stats, ret);
}
