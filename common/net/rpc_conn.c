#include "common/net/rpc_conn.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_BYTES 65536 /* an empty send buffer larger than this is given back */

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
    size_t rx_base; /* what in.cap shrinks back to */
    struct loop_task rx_task;
    bool rx_busy; /* the loop's, as is tx_busy */

    /* While tx_busy `sending`, `sent` and tx_error belong to nng's thread. */
    nng_aio *tx;
    struct octets sending;
    size_t sent;
    int tx_error;
    struct loop_task tx_task;
    bool tx_busy;
    struct octets out; /* the loop's: appended here meanwhile */
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

static void on_received(void *arg) /* nng's thread */
{
    struct conn *c = arg;

    c->rx_error = nng_aio_result(c->rx);
    if (!c->rx_error) {
        c->in.len += nng_aio_count(c->rx);
        if (!cut_received(c)) {
            start_receive(c);
            return;
        }
    }
    loop_post(c->loop, &c->rx_task);
}

enum tw_rc conn_set_receive(struct conn *c, size_t buffer, uint32_t timeout_ms)
{
    nng_aio_set_timeout(c->rx, timeout_ms ? (nng_duration)timeout_ms : NNG_DURATION_INFINITE);
    c->rx_base = buffer;
    return buffer > c->in.cap ? set_cap(&c->in, buffer) : TW_OK;
}

void conn_resume(struct conn *c)
{
    if (c->closing || c->rx_busy)
        return;
    c->rx_busy = true;
    if (c->in.len && cut_received(c)) {
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

void conn_flush(struct conn *c)
{
    struct octets idle = c->sending;

    if (c->tx_busy || c->closing || c->out.len == 0)
        return;
    c->sending = c->out;
    c->out = idle;
    c->sent = 0;
    c->tx_busy = true;
    start_send(c);
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
    /* The operations before the stream: freeing one waits until nng's timeout thread has let go of it, and that thread
     * may be about to cancel it in the stream; stopping alone does not wait for that. */
    nng_aio_free(c->rx);
    nng_aio_free(c->tx);
    nng_stream_free(c->stream);
    free(c->in.p);
    free(c->sending.p);
    free(c->out.p);
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
    if (c->rx_error)
        c->hooks.failed(c->ctx, conn_rc(c->rx_error), nng_strerror(c->rx_error));
    else
        c->hooks.readable(c->ctx);
}

static void tx_done(struct loop_task *t)
{
    struct conn *c = t->ctx;

    c->tx_busy = false;
    give_back(&c->sending);
    if (ended(c))
        return;
    if (c->tx_error)
        c->hooks.failed(c->ctx, conn_rc(c->tx_error), nng_strerror(c->tx_error));
    else
        conn_flush(c);
}

enum tw_rc conn_new(struct loop *l, nng_stream *stream, const struct conn_hooks *hooks, void *ctx,
                    struct conn **ret)
{
    struct conn *c = calloc(1, sizeof *c);

    if (!c) {
        nng_stream_free(stream);
        return TW_ENOMEM;
    }
    c->loop = l;
    c->stream = stream;
    c->hooks = *hooks;
    c->ctx = ctx;
    c->rx_task = (struct loop_task){ .fn = rx_done, .ctx = c };
    c->tx_task = (struct loop_task){ .fn = tx_done, .ctx = c };
    if (nng_aio_alloc(&c->rx, on_received, c) || nng_aio_alloc(&c->tx, on_sent, c)) {
        conn_free(c);
        return TW_ENOMEM;
    }
    *ret = c;
    return TW_OK;
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
