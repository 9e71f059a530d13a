#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/rpc_ahead.h"
#include "common/net/rpc_peer.h"

#define DIAL_TIMEOUT_MS 10000
#define WATCHDOG_NS (11 * TW_NS_PER_S) /* nng's own limit comes first, unless the dialer hangs */
#define BACKOFF_MIN_NS (200 * TW_NS_PER_MS)
#define BACKOFF_MAX_NS (30 * TW_NS_PER_S)
#define RETRY_MAX_MS 300000 /* of what a server asks for */
#define STEADY_NS \
    (10 * TW_NS_PER_S) /* a connection that held so long was a good one: begin again with short waits */

struct rpc_client {
    struct rpc_side side; /* first */
    char *url;
    struct hello_id id;
    const struct identity *key;
    enum tw_rc (*tls)(void *ctx, struct rpc_tls *ret, struct tw_err *err);
    void *tls_ctx;
    struct tw_err tls_failed;        /* rc: there is no session for the next dial, and why */
    struct rpc_tls_session *session; /* for the dial that is under way; NULL: plain */
    bool once;
    struct rpc_client_end end;
    struct rpc_welcome welcome;

    nng_stream_dialer *dialer; /* NULL: to be made before the next dial */
    nng_aio *dial;
    int dial_error;
    nng_stream *dialed; /* nng's thread sets it, the loop takes it */
    struct loop_task dial_task;
    bool dialing;
    bool waiting;            /* for the next dial */
    struct loop_timer timer; /* dialing: the watchdog; else the next dial */
    int64_t backoff_ns;
    struct tw_mono up_since;
    struct log_limit failures;
};

/* ---- Dialling ---- */

static void on_dialed(void *arg) /* nng's thread */
{
    struct rpc_client *c = arg;

    c->dial_error = nng_aio_result(c->dial);
    if (!c->dial_error)
        c->dialed = nng_aio_get_output(c->dial, 0);
    loop_post(c->side.loop, &c->dial_task);
}

static int make_dialer(struct rpc_client *c)
{
    int e = c->dialer ? 0 : nng_stream_dialer_alloc(&c->dialer, side_nng_url(c->url));

    if (!e)
        nng_stream_dialer_set_bool(c->dialer, NNG_OPT_TCP_NODELAY, true); /* ipc refuses it: no harm */
    return e;
}

static void set_timer(struct rpc_client *c, int64_t ns)
{
    struct tw_mono due = { loop_now(c->side.loop).mono.ns + ns };

    if (loop_timer_set(c->side.loop, &c->timer, due))
        log_error("out of memory: cannot set the timer for connecting", LOG_S("url", c->url));
}

/* "tls+tcp://[2001:db8::1]:8620" is of "2001:db8::1". */
static void host_of(const char *url, char *ret, size_t cap)
{
    const char *at = strstr(url, "://") + 3, *end = strrchr(at, ':');

    if (*at == '[' && end > at + 1 && end[-1] == ']') {
        at++;
        end--;
    }
    snprintf(ret, cap, "%.*s", (int)(end - at), at);
}

static enum tw_rc new_session(struct rpc_client *c, struct tw_err *err)
{
    struct rpc_tls conf = { 0 };
    struct rpc_tls_end *end = NULL;
    char host[256];
    enum tw_rc rc = c->tls(c->tls_ctx, &conf, err);

    if (rc)
        return rc;
    rc = rpc_tls_end_new(&conf, false, &end, err);
    if (rc)
        return rc;
    host_of(c->url, host, sizeof host);
    rc = rpc_tls_session_new(end, conf.server_name ? conf.server_name : host, &c->session);
    if (rc)
        tw_err_set(err, rc, "OpenSSL does not take %s as the server's name", conf.server_name ? conf.server_name : host);
    rpc_tls_end_free(end);
    return rc;
}

static void dial(struct rpc_client *c)
{
    c->tls_failed = (struct tw_err){ 0 };
    if (side_is_tls(c->url) && new_session(c, &c->tls_failed)) {
        loop_post(c->side.loop, &c->dial_task);
        return;
    }
    c->dial_error = make_dialer(c);
    if (c->dial_error) {
        loop_post(c->side.loop, &c->dial_task);
        return;
    }
    c->dialing = true;
    nng_aio_set_timeout(c->dial, DIAL_TIMEOUT_MS);
    nng_stream_dialer_dial(c->dialer, c->dial);
    set_timer(c, WATCHDOG_NS);
}

static int64_t draw(int64_t bound)
{
    uint64_t random = 0;

    identity_random((uint8_t *)&random, sizeof random); /* failing means no jitter but no harm */
    return (int64_t)(random % (uint64_t)bound);
}

/* Full jitter: a thousand agents that lost the same controller do not come back in the same instant. Not
 * before the server said, if it did, and then within as long again. */
static int64_t next_wait(struct rpc_client *c, uint32_t retry_ms)
{
    int64_t bound = c->backoff_ns,
            retry_ns = (int64_t)(retry_ms < RETRY_MAX_MS ? retry_ms : RETRY_MAX_MS) * TW_NS_PER_MS;

    c->backoff_ns = bound < BACKOFF_MAX_NS / 2 ? bound * 2 : BACKOFF_MAX_NS;
    return retry_ns ? retry_ns + draw(retry_ns) : draw(bound);
}

/* Not connected, for whatever reason: try again or tell the user. */
static void failed(struct rpc_client *c, bool was_up, Tw__Status status, const char *detail,
                   uint32_t retry_ms)
{
    struct rpc_hooks *h = &c->side.hooks;
    unsigned held = 0;

    if (c->side.stopping)
        return;
    if (c->once) {
        if (!was_up && h->on_down)
            h->on_down(h->ctx, NULL, status, detail);
        return;
    }
    if (log_limit_ok(&c->failures, loop_now(c->side.loop).mono.ns, &held))
        log_warn(was_up ? "connection to the controller lost" : "cannot connect to the controller",
                 LOG_S("url", c->url), LOG_S("status", rpc_status_name(status)), LOG_S("reason", detail),
                 LOG_U("not_logged", held));
    c->waiting = true;
    set_timer(c, next_wait(c, retry_ms));
}

void rpc_client_dial_now(struct rpc_client *c)
{
    if (c->waiting)
        set_timer(c, 0);
}

static void on_timer(struct loop_timer *t)
{
    struct rpc_client *c = t->ctx;

    c->waiting = false;
    if (c->dialing)
        nng_stream_dialer_close(c->dialer); /* the dial then ends with NNG_ECLOSED */
    else
        dial(c);
}

static void dial_done(struct loop_task *t)
{
    struct rpc_client *c = t->ctx;
    nng_stream *stream = c->dialed;
    struct rpc_tls_session *session = c->session;
    struct rpc_peer *p;
    char text[RPC_MAX_DETAIL + 1];

    c->dialing = false;
    c->dialed = NULL;
    c->session = NULL;
    loop_timer_cancel(c->side.loop, &c->timer);
    if (c->tls_failed.rc) {
        failed(c, false, TW__STATUS__STATUS_FAILED_PRECONDITION,
               tw_err_format(&c->tls_failed, text, sizeof text), 0);
    } else if (c->dial_error) {
        rpc_tls_session_free(session);
        if (c->dialer)
            nng_stream_dialer_free(c->dialer); /* whatever was wrong with it, the next one is new */
        c->dialer = NULL;
        c->end = (struct rpc_client_end){ .silent = c->dial_error == NNG_ETIMEDOUT };
        snprintf(text, sizeof text, "cannot connect to %s: %s", c->url, nng_strerror(c->dial_error));
        failed(c, false, TW__STATUS__STATUS_UNAVAILABLE, text, 0);
    } else if (peer_new(&c->side, stream, session, &p)) {
        failed(c, false, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory", 0);
    }
}

/* ---- Handshake ---- */

static void introduce(struct rpc_client *c, struct rpc_peer *p, const struct hello_server *server)
{
    Tw__Frame f = TW__FRAME__INIT;
    Tw__ClientHello m;
    struct hello_channel ch;
    uint8_t sig[IDENTITY_SIG_LEN];

    f.kind = TW__FRAME_KIND__FRAME_HELLO;
    if (peer_channel(p, &ch) || hello_make_client(&c->id, c->key, server, &ch, sig, &m))
        peer_doom(p, TW__STATUS__STATUS_INTERNAL, "cannot sign with our key");
    else if (peer_send(p, &f, &m.base))
        peer_doom(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
}

static void on_server_hello(struct rpc_client *c, struct rpc_peer *p, const struct rpc_in_frame *f,
                            struct arena *a)
{
    char text[RPC_MAX_DETAIL + 1];
    struct hello_server server;
    struct tw_err err = { 0 };
    Tw__Status status = hello_check_server(f->body, f->body_len, a, &server, &err);

    if (status) {
        peer_doom(p, status, tw_err_format(&err, text, sizeof text));
        return;
    }
    p->greeted = true;
    snprintf(p->id.name, sizeof p->id.name, "%s", server.controller);
    introduce(c, p, &server);
}

static void on_hello_ok(struct rpc_client *c, struct rpc_peer *p, const struct rpc_in_frame *f,
                        struct arena *a)
{
    ProtobufCMessage *any = NULL;
    struct rpc_ahead ahead = { 0 };

    if (rpc_body_unpack(&tw__hello_ok__descriptor, f->body, f->body_len, a, &any, NULL) ||
        ahead_from_pb(((const Tw__HelloOk *)any)->ahead, &ahead)) {
        peer_doom(p, TW__STATUS__STATUS_INVALID_ARGUMENT, "the server's HELLO_OK is malformed");
        return;
    }
    c->welcome = (struct rpc_welcome){ .detail = "",
                                       .approved = ((const Tw__HelloOk *)any)->approved,
                                       .through_seq = f->through_seq,
                                       .ahead = ahead,
                                       .window = f->window };
    c->up_since = loop_now(c->side.loop).mono;
    peer_name(p, &p->id);
    peer_up(p);
    if (c->side.hooks.on_up)
        c->side.hooks.on_up(c->side.hooks.ctx, p);
}

static void on_handshake(struct rpc_peer *p, const struct rpc_in_frame *f)
{
    struct rpc_client *c = (struct rpc_client *)p->side;
    struct arena *a;

    if (arena_new(RPC_ARENA_CAP(f->body_len), &a)) {
        peer_doom(p, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    if (!p->greeted && f->kind == TW__FRAME_KIND__FRAME_HELLO)
        on_server_hello(c, p, f, a);
    else if (p->greeted && f->kind == TW__FRAME_KIND__FRAME_HELLO_OK)
        on_hello_ok(c, p, f, a);
    else
        peer_doom(p, TW__STATUS__STATUS_INVALID_ARGUMENT, "the server's handshake is out of order");
    arena_free(a);
}

static void on_ended(struct rpc_peer *p)
{
    struct rpc_client *c = (struct rpc_client *)p->side;

    c->end = (struct rpc_client_end){ p->sent_away, p->elsewhere, p->silent, p->retry_ms };
    if (p->sent_away && !p->was_up && !c->side.stopping && c->side.hooks.on_refused)
        c->side.hooks.on_refused(c->side.hooks.ctx, p->end_status, p->end_detail);
    if (p->was_up && loop_now(c->side.loop).mono.ns - c->up_since.ns >= STEADY_NS)
        c->backoff_ns = BACKOFF_MIN_NS;
    failed(c, p->was_up, p->end_status, p->end_detail, p->retry_ms);
}

struct rpc_client_end rpc_client_end(const struct rpc_client *c)
{
    return c->end;
}

struct rpc_welcome rpc_client_welcome(const struct rpc_client *c)
{
    return c->welcome;
}

/* ---- Start and stop ---- */

static enum tw_rc fill_id(struct rpc_client *c, const struct rpc_client_conf *conf, struct tw_err *err)
{
    struct hello_id *id = &c->id;

    c->tls = conf->tls;
    c->tls_ctx = conf->tls_ctx;
    id->role = conf->role;
    id->others = conf->others;
    if (snprintf(id->name, sizeof id->name, "%s", conf->name) >= (int)sizeof id->name ||
        (conf->role == TW__ROLE__ROLE_AGENT && !hello_agent_name_ok(conf->name)))
        return tw_err_set(err, TW_EINVAL, "name \"%s\": expected 1 to 63 of a-z 0-9 . -", conf->name);
    if (conf->role == TW__ROLE__ROLE_AGENT && (!conf->identity || !conf->boot_id || !conf->spool_id))
        return tw_err_set(err, TW_EINVAL, "an agent needs a key, a boot id and a spool id");
    snprintf(id->software, sizeof id->software, "%s", conf->software ? conf->software : "");
    if (conf->token && !strncmp(conf->url, "tcp", 3))
        return tw_err_set(err, TW_EINVAL,
                          "an access token is not sent to %s, where others could read it: tls+tcp:// or ipc:// is needed", conf->url);
    if (snprintf(id->token, sizeof id->token, "%s", conf->token ? conf->token : "") >= (int)sizeof id->token)
        return tw_err_set(err, TW_EINVAL, "the access token is longer than any: expected twa1.ID.SECRET");
    if (conf->boot_id)
        memcpy(id->boot_id, conf->boot_id, HELLO_ID_LEN);
    if (conf->spool_id)
        memcpy(id->spool_id, conf->spool_id, HELLO_ID_LEN);
    if (conf->identity)
        identity_public(conf->identity, id->public_key);
    c->key = conf->role == TW__ROLE__ROLE_AGENT ? conf->identity : NULL;
    return TW_OK;
}

static enum tw_rc fill(struct rpc_client *c, const struct rpc_client_conf *conf, struct tw_err *err)
{
    int e;

    c->side.on_handshake = on_handshake;
    c->side.on_ended = on_ended;
    c->once = conf->once;
    c->welcome.detail = "";
    c->backoff_ns = BACKOFF_MIN_NS;
    c->failures.burst = 3;
    c->dial_task = (struct loop_task){ .fn = dial_done, .ctx = c };
    c->timer = (struct loop_timer){ .fn = on_timer, .ctx = c };
    c->url = strdup(conf->url);
    if (side_init(&c->side, conf->loop, &conf->hooks, conf->services, conf->n_services, &conf->times) ||
        !c->url || nng_aio_alloc(&c->dial, on_dialed, c))
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    e = make_dialer(c);
    if (e)
        return tw_err_set(err, TW_EINVAL, "%s: %s", c->url, nng_strerror(e));
    return fill_id(c, conf, err);
}

enum tw_rc rpc_client_start(const struct rpc_client_conf *conf, struct rpc_client **ret, struct tw_err *err)
{
    enum tw_rc rc = side_check_url(conf->url, err);
    struct rpc_client *c;

    if (rc)
        return rc;
    if (side_is_tls(conf->url) && !conf->tls)
        return tw_err_set(err, TW_EINVAL, "%s needs the certificate of the CA that the server's is from", conf->url);
    c = calloc(1, sizeof *c);
    if (!c)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = fill(c, conf, err);
    if (rc) {
        rpc_client_stop(c);
        return rc;
    }
    dial(c);
    *ret = c;
    return TW_OK;
}

void rpc_client_stop(struct rpc_client *c)
{
    if (!c)
        return;
    loop_timer_cancel(c->side.loop, &c->timer);
    if (c->dialer)
        nng_stream_dialer_close(c->dialer);
    if (c->dial)
        nng_aio_stop(c->dial);
    loop_unpost(c->side.loop, &c->dial_task);
    if (c->dialed)
        nng_stream_free(c->dialed);
    rpc_tls_session_free(c->session);
    side_stop(&c->side);
    nng_aio_free(c->dial);
    if (c->dialer)
        nng_stream_dialer_free(c->dialer);
    free(c->url);
    OPENSSL_cleanse(c->id.token, sizeof c->id.token);
    free(c);
}

void rpc_client_counters(const struct rpc_client *c, struct rpc_counters *ret)
{
    rpc_stats_read(&c->side.stats, ret);
}
