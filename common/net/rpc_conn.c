#include "common/net/rpc_conn.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES 65536 /* an empty send buffer larger than this is given back */
#define CIPHER_BYTES 16384
#define UNREAD_BYTES (64u << 10) /* answers to a peer's key updates; whoever does not read them has no use for them */

struct octets {
    uint8_t *p;
    size_t len, cap;
};

struct conn {
    struct loop *loop;
    nng_stream *stream;
    struct conn_hooks hooks;
    void *ctx;
    bool closing;

    /* While rx_busy these belong to nng's thread. */
    nng_aio *rx;
    struct octets in;
    int rx_error;
    enum tw_rc tls_error; /* why TLS ended, with tls_why; the loop reads them when nothing is being received */
    char tls_why[256];
    bool tls_ready;
    size_t rx_base; /* what in.cap shrinks back to */
    size_t rx_most; /* of a receive; 0: any number */
    struct loop_task rx_task;
    bool rx_busy; /* the loop's, as is tx_busy */

    /* While tx_busy `sending`, `sent` and tx_error belong to nng's thread. */
    nng_aio *tx;
    struct octets sending;
    size_t sent;
    int tx_error;
    enum tw_rc seal_error; /* the loop's, with seal_why */
    char seal_why[256];
    struct loop_task tx_task;
    bool tx_busy;
    struct octets out; /* the loop's: appended here meanwhile */

    /* NULL: plain. nng's thread reads while the loop writes: one at a time. */
    struct rpc_tls_session *tls;
    pthread_mutex_t tls_lock;
    uint8_t *cipher;          /* what the network brought, CIPHER_BYTES; of whoever receives */
    struct loop_task tls_task; /* there may be something to send: of the handshake, or what waited for it */
    bool ending;               /* tls_error is known; what is still to be sent tells the peer */
    atomic_bool heard;
};

enum tw_rc conn_rc(int nng_error)
{
    static const struct {
        int nng;
        enum tw_rc rc;
    } rows[] = {
        { 0, TW_OK },
        { NNG_ENOMEM, TW_ENOMEM },
        { NNG_EINVAL, TW_EINVAL },
        { NNG_ETIMEDOUT, TW_ETIMEOUT },
        { NNG_ECLOSED, TW_ECLOSED },
        { NNG_ECONNSHUT, TW_ECLOSED },
        { NNG_ECONNRESET, TW_ECLOSED },
        { NNG_ECANCELED, TW_ECLOSED },
        { NNG_EADDRINUSE, TW_EINUSE },
        { NNG_EADDRINVAL, TW_EINVAL },
        { NNG_EPERM, TW_EPERM },
        { NNG_ENOFILES, TW_ENOSPC },
        { NNG_ENOENT, TW_ENOENT },
        { NNG_ENOTSUP, TW_EINVAL },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (rows[i].nng == nng_error)
            return rows[i].rc;
    return TW_EIO;
}

static enum tw_rc set_cap(struct octets *o, size_t cap)
{
    uint8_t *p = realloc(o->p, cap);

    if (!p)
        return TW_ENOMEM;
    o->p = p;
    o->cap = cap;
    return TW_OK;
}

/* ---- Receiving ---- */

static void start_receive(struct conn *c)
{
    nng_iov iov = { .iov_buf = c->in.p + c->in.len, .iov_len = c->in.cap - c->in.len };

    if (c->tls)
        iov = (nng_iov){ .iov_buf = c->cipher, .iov_len = CIPHER_BYTES };
    if (c->rx_most && iov.iov_len > c->rx_most)
        iov.iov_len = c->rx_most;
    nng_aio_set_iov(c->rx, 1, &iov);
    nng_stream_recv(c->stream, c->rx);
}

/* True: the loop has something to do. */
static bool cut_received(struct conn *c)
{
    struct conn_cut cut = c->hooks.cut(c->ctx, c->in.p, c->in.len);

    c->in.len -= cut.used;
    if (cut.used && c->in.len)
        memmove(c->in.p, c->in.p + cut.used, c->in.len);
    if (cut.need > c->in.cap && set_cap(&c->in, cut.need))
        c->rx_error = NNG_ENOMEM;
    return cut.deliver || c->rx_error;
}

/* One step of TLS: octets for c->in, and whether there is something to send. */
static enum tw_rc tls_read(struct conn *c, bool *ret_send)
{
    enum tw_rc rc;
    size_t n = 0;

    pthread_mutex_lock(&c->tls_lock);
    rc = rpc_tls_read(c->tls, c->in.p + c->in.len, c->in.cap - c->in.len, &n);
    c->in.len += n;
    *ret_send = rpc_tls_pending(c->tls) > 0;
    if (rc == TW_EAGAIN && rpc_tls_pending(c->tls) > UNREAD_BYTES) {
        rc = TW_EBUSY;
        snprintf(c->tls_why, sizeof c->tls_why, "the peer does not read what it asks for");
    } else if (rc && rc != TW_EAGAIN) {
        snprintf(c->tls_why, sizeof c->tls_why, "%s", rpc_tls_why(c->tls));
    }
    if (!c->tls_ready && rpc_tls_ready(c->tls))
        c->tls_ready = *ret_send = true; /* what waited for the handshake */
    pthread_mutex_unlock(&c->tls_lock);
    return rc;
}

/* True: the loop has something to do; false: more must be received. */
static bool tls_pump(struct conn *c)
{
    enum tw_rc rc;
    bool send;

    do {
        rc = tls_read(c, &send);
        if (send)
            loop_post(c->loop, &c->tls_task);
        if (rc == TW_EAGAIN)
            return false;
        c->tls_error = rc;
    } while (!rc && !cut_received(c));
    return true;
}

static bool tls_received(struct conn *c, size_t n)
{
    enum tw_rc rc;

    pthread_mutex_lock(&c->tls_lock);
    rc = rpc_tls_feed(c->tls, c->cipher, n);
    pthread_mutex_unlock(&c->tls_lock);
    if (rc)
        c->rx_error = NNG_ENOMEM;
    return rc || tls_pump(c);
}

static bool received(struct conn *c, size_t n)
{
    atomic_store_explicit(&c->heard, true, memory_order_relaxed);
    if (c->tls)
        return tls_received(c, n);
    c->in.len += n;
    return cut_received(c);
}

static void on_received(void *arg) /* nng's thread */
{
    struct conn *c = arg;

    c->rx_error = nng_aio_result(c->rx);
    if (!c->rx_error && !received(c, nng_aio_count(c->rx))) {
        start_receive(c);
        return;
    }
    loop_post(c->loop, &c->rx_task);
}

enum tw_rc conn_set_receive(struct conn *c, size_t buffer, uint32_t timeout_ms)
{
    nng_aio_set_timeout(c->rx, timeout_ms ? (nng_duration)timeout_ms : NNG_DURATION_INFINITE);
    c->rx_base = buffer;
    return buffer > c->in.cap ? set_cap(&c->in, buffer) : TW_OK;
}

void conn_set_most(struct conn *c, size_t octets)
{
    if (!c->rx_busy)
        c->rx_most = octets;
}

void conn_resume(struct conn *c)
{
    if (c->closing || c->rx_busy || c->ending)
        return;
    c->rx_busy = true;
    if ((c->in.len && cut_received(c)) || (c->tls && tls_pump(c))) {
        loop_post(c->loop, &c->rx_task);
        return;
    }
    if (c->in.len == 0 && c->in.cap > c->rx_base)
        set_cap(&c->in, c->rx_base); /* after a big frame; no harm if it stays big */
    start_receive(c);
}

/* ---- Sending ---- */

static void start_send(struct conn *c)
{
    nng_iov iov = { .iov_buf = c->sending.p + c->sent, .iov_len = c->sending.len - c->sent };

    nng_aio_set_iov(c->tx, 1, &iov);
    nng_stream_send(c->stream, c->tx);
}

static void on_sent(void *arg) /* nng's thread */
{
    struct conn *c = arg;

    c->tx_error = nng_aio_result(c->tx);
    if (!c->tx_error) {
        c->sent += nng_aio_count(c->tx);
        if (c->sent < c->sending.len) { /* short writes are normal */
            start_send(c);
            return;
        }
    }
    loop_post(c->loop, &c->tx_task);
}

size_t conn_queued(const struct conn *c)
{
    return c->out.len + (c->tx_busy ? c->sending.len : 0);
}

uint8_t *conn_append(struct conn *c, size_t n)
{
    size_t cap = c->out.cap ? c->out.cap : 1024;
    uint8_t *at;

    while (cap - c->out.len < n)
        cap *= 2;
    if (cap > c->out.cap && set_cap(&c->out, cap))
        return NULL;
    at = c->out.p + c->out.len;
    c->out.len += n;
    return at;
}

static void give_back(struct octets *o)
{
    o->len = 0;
    if (o->cap <= KEEP_BYTES)
        return;
    free(o->p);
    *o = (struct octets){ 0 };
}

/* What is to be sent goes from `out` to `sending`. */
static enum tw_rc tls_seal(struct conn *c)
{
    enum tw_rc rc;
    size_t n;

    pthread_mutex_lock(&c->tls_lock);
    rc = c->ending ? TW_EAGAIN : rpc_tls_write(c->tls, c->out.p, c->out.len);
    if (rc && rc != TW_EAGAIN)
        snprintf(c->seal_why, sizeof c->seal_why, "%s", rpc_tls_why(c->tls));
    n = rpc_tls_pending(c->tls);
    if (n > c->sending.cap && set_cap(&c->sending, n)) {
        rc = TW_ENOMEM;
        n = 0;
        snprintf(c->seal_why, sizeof c->seal_why, "out of memory");
    }
    rpc_tls_take(c->tls, c->sending.p, n);
    pthread_mutex_unlock(&c->tls_lock);
    c->sending.len = n;
    if (rc == TW_OK) {
        c->out.len = 0;
        give_back(&c->out);
    }
    return rc == TW_EAGAIN ? TW_OK : rc;
}

static void take_plain(struct conn *c)
{
    struct octets idle = c->sending;

    c->sending = c->out;
    c->out = idle;
}

void conn_flush(struct conn *c)
{
    if (c->tx_busy || c->closing)
        return;
    if (c->tls)
        c->seal_error = tls_seal(c);
    else
        take_plain(c);
    if (!c->seal_error && c->sending.len == 0)
        return;
    c->sent = 0;
    c->tx_busy = true;
    if (c->sending.len)
        start_send(c); /* also after a failure: the alert tells the peer */
    else
        loop_post(c->loop, &c->tx_task);
}

/* ---- The end ---- */

static void release(struct conn *c)
{
    if (c->rx)
        nng_aio_stop(c->rx); /* waits until its callback has returned */
    if (c->tx)
        nng_aio_stop(c->tx);
    loop_unpost(c->loop, &c->rx_task);
    loop_unpost(c->loop, &c->tx_task);
    loop_unpost(c->loop, &c->tls_task);
    /* The operations before the stream: freeing one waits until nng's timeout thread has let go of it, and that thread
     * may be about to cancel it in the stream; stopping alone does not wait for that. */
    nng_aio_free(c->rx);
    nng_aio_free(c->tx);
    nng_stream_free(c->stream);
    free(c->in.p);
    free(c->sending.p);
    free(c->out.p);
    rpc_tls_session_free(c->tls);
    pthread_mutex_destroy(&c->tls_lock);
    free(c->cipher);
    free(c);
}

/* True: the connection is gone. Both callbacks have posted by then, so nothing is waited for. */
static bool ended(struct conn *c)
{
    void (*gone)(void *) = c->hooks.gone;
    void *ctx = c->ctx;

    if (!c->closing)
        return false;
    if (!c->rx_busy && !c->tx_busy) {
        release(c);
        gone(ctx);
    }
    return true;
}

void conn_close(struct conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    nng_stream_close(c->stream);
    if (c->rx_busy || c->tx_busy)
        return;
    c->rx_busy = true; /* no callback is due: go round through the loop all the same */
    loop_post(c->loop, &c->rx_task);
}

void conn_free(struct conn *c)
{
    nng_stream_close(c->stream);
    release(c);
}

static void rx_done(struct loop_task *t)
{
    struct conn *c = t->ctx;

    c->rx_busy = false;
    if (ended(c))
        return;
    if (c->rx_error) {
        c->hooks.failed(c->ctx, conn_rc(c->rx_error), nng_strerror(c->rx_error));
    } else if (c->tls_error) {
        c->ending = true;
        conn_flush(c); /* the alert, first: it tells the peer */
        if (!c->tx_busy)
            c->hooks.failed(c->ctx, c->tls_error, c->tls_why);
    } else {
        c->hooks.readable(c->ctx);
    }
}

static void tx_done(struct loop_task *t)
{
    struct conn *c = t->ctx;

    c->tx_busy = false;
    give_back(&c->sending);
    if (ended(c))
        return;
    if (!c->tx_error && !c->seal_error)
        conn_flush(c);
    if (c->tx_busy)
        return;
    if (c->ending)
        c->hooks.failed(c->ctx, c->tls_error, c->tls_why);
    else if (c->seal_error)
        c->hooks.failed(c->ctx, c->seal_error, c->seal_why);
    else if (c->tx_error)
        c->hooks.failed(c->ctx, conn_rc(c->tx_error), nng_strerror(c->tx_error));
}

static void tls_due(struct loop_task *t)
{
    conn_flush(t->ctx);
}

void conn_set_urgent(struct conn *c)
{
    c->rx_task.urgent = c->tx_task.urgent = c->tls_task.urgent = true;
}

enum tw_rc conn_new(struct loop *l, nng_stream *stream, struct rpc_tls_session *tls, const struct conn_hooks *hooks,
                    void *ctx, struct conn **ret)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c) {
        rpc_tls_session_free(tls);
        nng_stream_free(stream);
        return TW_ENOMEM;
    }
    pthread_mutex_init(&c->tls_lock, NULL);
    c->tls = tls;
    c->loop = l;
    c->stream = stream;
    c->hooks = *hooks;
    c->ctx = ctx;
    c->rx_task = (struct loop_task){ .fn = rx_done, .ctx = c };
    c->tx_task = (struct loop_task){ .fn = tx_done, .ctx = c };
    c->tls_task = (struct loop_task){ .fn = tls_due, .ctx = c };
    if (tls)
        c->cipher = malloc(CIPHER_BYTES);
    if ((tls && !c->cipher) || nng_aio_alloc(&c->rx, on_received, c) || nng_aio_alloc(&c->tx, on_sent, c)) {
        conn_free(c);
        return TW_ENOMEM;
    }
    *ret = c;
    return TW_OK;
}

/* ---- TLS ---- */

bool conn_heard(const struct conn *c)
{
    return atomic_load_explicit(&c->heard, memory_order_relaxed);
}

bool conn_is_tls(const struct conn *c)
{
    return c->tls != NULL;
}

bool conn_certificate(struct conn *c, struct rpc_certificate *ret)
{
    bool is;

    if (!c->tls)
        return false;
    pthread_mutex_lock(&c->tls_lock);
    is = rpc_tls_certificate(c->tls, ret);
    pthread_mutex_unlock(&c->tls_lock);
    return is;
}

enum tw_rc conn_binding(struct conn *c, uint8_t ret[RPC_TLS_BINDING])
{
    enum tw_rc rc;

    pthread_mutex_lock(&c->tls_lock);
    rc = rpc_tls_binding(c->tls, ret);
    pthread_mutex_unlock(&c->tls_lock);
    return rc;
}

/* ---- Addresses ---- */

static void format_address(const struct conn *c, const char *option, char ret[CONN_ADDRESS_TEXT])
{
    nng_sockaddr sa;

    ret[0] = '\0';
    if (nng_stream_get_addr(c->stream, option, &sa))
        return;
    if (sa.s_family == NNG_AF_INET)
        inet_ntop(AF_INET, &sa.s_in.sa_addr, ret, CONN_ADDRESS_TEXT);
    else if (sa.s_family == NNG_AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)sa.s_in6.sa_addr))
        inet_ntop(AF_INET, sa.s_in6.sa_addr + 12, ret, CONN_ADDRESS_TEXT);
    else if (sa.s_family == NNG_AF_INET6)
        inet_ntop(AF_INET6, sa.s_in6.sa_addr, ret, CONN_ADDRESS_TEXT);
}

void conn_peer_address(const struct conn *c, char ret[CONN_ADDRESS_TEXT])
{
    format_address(c, NNG_OPT_REMADDR, ret);
}

void conn_local_address(const struct conn *c, char ret[CONN_ADDRESS_TEXT])
{
    format_address(c, NNG_OPT_LOCADDR, ret);
}

void conn_peer_ids(const struct conn *c, int64_t *ret_uid, int64_t *ret_pid)
{
    uint64_t v;

    *ret_uid = nng_stream_get_uint64(c->stream, NNG_OPT_IPC_PEER_UID, &v) ? -1 : (int64_t)v;
    *ret_pid = nng_stream_get_uint64(c->stream, NNG_OPT_IPC_PEER_PID, &v) ? -1 : (int64_t)v;
}
