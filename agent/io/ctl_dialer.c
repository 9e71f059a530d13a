/* agent/io/ctl_dialer.c - see ctl_dialer.h. */
#include "agent/io/ctl_dialer.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/crypto.h"
#include "agent/io/ctl_random.h"
#include "common/net/now.h"

enum { READ_BYTES = 4096, OUT_BYTES = 65536 };
#define WAIT_NS (10 * TW_NS_PER_S)

struct ctl_dialer {
    struct ctl_dialer_cfg cfg;
    char key_id[CTL_KEYID_MAX + 1];
    uint8_t passphrase[CTL_PASSPHRASE_MAX]; /* until there is a connection */
    struct loop_watch watch;
    struct loop_timer timer;
    struct tw_addr local, peer;
    struct ctl_client *client; /* NULL: not connected yet */
    uint8_t out[OUT_BYTES];
    size_t out_len;
    bool closed;   /* on_closed() has been called */
    bool settling; /* outputs are being taken: commands of callbacks wait for it */
};

/* ---- Ends ---- */

static void close_socket(struct ctl_dialer *d)
{
    if (d->watch.fd < 0)
        return;
    loop_unwatch(d->cfg.loop, &d->watch);
    loop_timer_cancel(d->cfg.loop, &d->timer);
    close(d->watch.fd);
    d->watch.fd = -1;
}

static void give_up(struct ctl_dialer *d, const char *text)
{
    if (d->closed)
        return;
    d->closed = true;
    crypto_wipe(d->passphrase, sizeof d->passphrase);
    close_socket(d);
    if (d->cfg.on_closed)
        d->cfg.on_closed(d->cfg.ctx, text);
}

static void give_up_errno(struct ctl_dialer *d, int error)
{
    char text[200], addr[TW_ADDR_TEXT];

    snprintf(text, sizeof text, "cannot connect to TCP %s: %s", tw_addr_format(&d->cfg.server, addr),
             error == ETIMEDOUT ? "no answer" : strerror(error));
    give_up(d, text);
}

/* ---- Writing ---- */

static void flush(struct ctl_dialer *d)
{
    while (d->out_len && !d->closed) {
        ssize_t n = send(d->watch.fd, d->out, d->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            memmove(d->out, d->out + n, d->out_len - (size_t)n);
            d->out_len -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (errno != EINTR) {
            d->out_len = 0; /* reading tells what has happened */
        }
    }
}

static void put_out(struct ctl_dialer *d, const uint8_t *data, size_t len)
{
    if (len > sizeof d->out - d->out_len) {
        give_up(d, "the server does not read what we send");
        return;
    }
    memcpy(d->out + d->out_len, data, len);
    d->out_len += len;
    flush(d);
}

/* ---- What the client says ---- */

static void tell(struct ctl_dialer *d, const struct ctl_client_out *o)
{
    const struct ctl_dialer_cfg *c = &d->cfg;

    if (o->what == CTLC_SEND)
        put_out(d, o->data, o->len);
    else if (o->what == CTLC_READY && c->on_ready)
        c->on_ready(c->ctx);
    else if (o->what == CTLC_ACCEPTED && c->on_accepted)
        c->on_accepted(c->ctx, o->id, o->session);
    else if (o->what == CTLC_REFUSED && c->on_refused)
        c->on_refused(c->ctx, o->id, o->accept);
    else if (o->what == CTLC_STARTED && c->on_started)
        c->on_started(c->ctx, o->id);
    else if (o->what == CTLC_STOPPED && c->on_stopped)
        c->on_stopped(c->ctx, o->id);
    else if (o->what == CTLC_CLOSE)
        give_up(d, o->text);
}

/* The last thing in everything that feeds the client. */
static void settle(struct ctl_dialer *d)
{
    struct ctl_client_out o;
    struct tw_mono due;

    if (d->settling || d->closed || !d->client)
        return;
    d->settling = true;
    while (!d->closed && ctl_client_next(d->client, &o) == TW_OK)
        tell(d, &o);
    d->settling = false;
    if (d->closed)
        return;
    due = ctl_client_next_due(d->client);
    if (due.ns == TW_MONO_NEVER.ns)
        loop_timer_cancel(d->cfg.loop, &d->timer);
    else
        loop_timer_set(d->cfg.loop, &d->timer, due);
    loop_rewatch(d->cfg.loop, &d->watch, d->out_len ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

/* ---- Events ---- */

static void read_some(struct ctl_dialer *d)
{
    uint8_t buf[READ_BYTES];
    size_t room = ctl_client_room(d->client);
    ssize_t n = recv(d->watch.fd, buf, room < sizeof buf ? room : sizeof buf, MSG_DONTWAIT);

    if (n > 0)
        ctl_client_on_bytes(d->client, tw_now(), buf, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        ctl_client_on_close(d->client, tw_now());
}

static bool ends_of(int fd, struct tw_addr *local, struct tw_addr *peer)
{
    struct sockaddr_storage a, b;
    socklen_t alen = sizeof a, blen = sizeof b;

    return !getsockname(fd, (struct sockaddr *)&a, &alen) && !getpeername(fd, (struct sockaddr *)&b, &blen) &&
           tw_addr_from_sockaddr((struct sockaddr *)&a, local) == TW_OK &&
           tw_addr_from_sockaddr((struct sockaddr *)&b, peer) == TW_OK;
}

static void on_connected(struct ctl_dialer *d)
{
    struct ctl_client_cfg cfg = d->cfg.client;
    int error = 0;
    socklen_t len = sizeof error;

    if (getsockopt(d->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) || error) {
        give_up_errno(d, error ? error : errno);
        return;
    }
    if (!ends_of(d->watch.fd, &d->local, &d->peer)) {
        give_up_errno(d, errno);
        return;
    }
    cfg.local = d->local;
    cfg.peer = d->peer;
    cfg.local.port = 0; /* ports of test sessions are others */
    cfg.peer.port = 0;
    if (ctl_client_new(&cfg, tw_now(), &d->client))
        give_up(d, "out of memory"); /* the configuration was tried at the start */
    crypto_wipe(d->passphrase, sizeof d->passphrase);
}

static void on_event(struct loop_watch *w, uint32_t events)
{
    struct ctl_dialer *d = w->ctx;

    if (!d->client) {
        on_connected(d);
    } else {
        if (events & EPOLLOUT)
            flush(d);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            read_some(d);
    }
    settle(d);
}

static void on_timer(struct loop_timer *t)
{
    struct ctl_dialer *d = t->ctx;

    if (!d->client) {
        give_up_errno(d, ETIMEDOUT);
        return;
    }
    ctl_client_on_time(d->client, tw_now());
    settle(d);
}

/* ---- Life ---- */

static enum tw_rc fail_socket(struct tw_err *err, const struct tw_addr *a, const char *what)
{
    char text[TW_ADDR_TEXT];
    int error = errno;

    return tw_err_set(err, tw_rc_errno(error), "cannot %s TCP %s: %s", what, tw_addr_format(a, text),
                      strerror(error));
}

static void set_options(const struct ctl_dialer_cfg *cfg, int fd)
{
    int one = 1, tos = cfg->tos;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    if (cfg->server.family == 6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    else
        setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
}

static enum tw_rc open_socket(struct ctl_dialer *d, struct tw_err *err)
{
    const struct ctl_dialer_cfg *cfg = &d->cfg;
    struct sockaddr_storage ss;
    socklen_t len;
    int fd =
        socket(cfg->server.family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    d->watch.fd = fd;
    if (fd < 0)
        return fail_socket(err, &cfg->server, "open a socket for");
    set_options(cfg, fd);
    len = tw_addr_to_sockaddr(&cfg->bind, &ss);
    if (cfg->bind.family && bind(fd, (struct sockaddr *)&ss, len))
        return fail_socket(err, &cfg->bind, "send from");
    len = tw_addr_to_sockaddr(&cfg->server, &ss);
    if (connect(fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS)
        return fail_socket(err, &cfg->server, "connect to");
    return TW_OK;
}

/* A configuration that ctl_client_new() will not take is said now, not when there is a connection. */
static enum tw_rc check_client(const struct ctl_client_cfg *cfg, struct tw_err *err)
{
    struct ctl_client *c;
    enum tw_rc rc = ctl_client_new(cfg, tw_now(), &c);

    if (rc)
        return tw_err_set(err, rc,
                          rc == TW_EINVAL ? "a user needs a passphrase of 1 to 256 octets and a name of at "
                                            "most 80"
                                          : "out of memory");
    ctl_client_free(c);
    return TW_OK;
}

static void copy_secrets(struct ctl_dialer *d)
{
    struct ctl_client_cfg *c = &d->cfg.client;

    if (!c->key_id)
        return;
    snprintf(d->key_id, sizeof d->key_id, "%s", c->key_id);
    memcpy(d->passphrase, c->passphrase, c->passphrase_len);
    c->key_id = d->key_id;
    c->passphrase = d->passphrase;
}

enum tw_rc ctl_dialer_start(const struct ctl_dialer_cfg *cfg, struct ctl_dialer **ret, struct tw_err *err)
{
    struct ctl_dialer *d = calloc(1, sizeof *d);
    enum tw_rc rc;

    if (!d)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    d->cfg = *cfg;
    d->cfg.client.random = ctl_random;
    if (!cfg->client.answer_ns)
        d->cfg.client.answer_ns = WAIT_NS;
    d->watch = (struct loop_watch){ .fn = on_event, .ctx = d, .fd = -1 };
    d->timer = (struct loop_timer){ .fn = on_timer, .ctx = d };
    rc = check_client(&d->cfg.client, err);
    if (rc == TW_OK) {
        copy_secrets(d);
        rc = open_socket(d, err);
    }
    if (rc == TW_OK)
        rc = loop_watch(cfg->loop, &d->watch, EPOLLOUT);
    if (rc == TW_OK)
        rc = loop_timer_set(
            cfg->loop, &d->timer,
            (struct tw_mono){ tw_mono_now().ns + (cfg->connect_ns ? cfg->connect_ns : WAIT_NS) });
    if (rc) {
        ctl_dialer_free(d);
        return rc;
    }
    *ret = d;
    return TW_OK;
}

void ctl_dialer_free(struct ctl_dialer *d)
{
    if (!d)
        return;
    d->closed = true;
    close_socket(d);
    ctl_client_free(d->client);
    crypto_wipe(d, sizeof *d);
    free(d);
}

/* ---- Commands ---- */

enum tw_rc ctl_dialer_request(struct ctl_dialer *d, uint32_t id, const struct ctl_session_spec *spec)
{
    enum tw_rc rc = d->client && !d->closed ? ctl_client_request(d->client, tw_now(), id, spec) : TW_ECLOSED;

    settle(d);
    return rc;
}

enum tw_rc ctl_dialer_start_sessions(struct ctl_dialer *d, const uint32_t *ids, size_t n)
{
    enum tw_rc rc = d->client && !d->closed ? ctl_client_start(d->client, tw_now(), ids, n) : TW_ECLOSED;

    settle(d);
    return rc;
}

enum tw_rc ctl_dialer_stop_sessions(struct ctl_dialer *d, const uint32_t *ids, size_t n)
{
    enum tw_rc rc = d->client && !d->closed ? ctl_client_stop(d->client, tw_now(), ids, n) : TW_ECLOSED;

    settle(d);
    return rc;
}

uint32_t ctl_dialer_mode(const struct ctl_dialer *d)
{
    return d->client ? ctl_client_mode(d->client) : 0;
}

uint32_t ctl_dialer_offered(const struct ctl_dialer *d)
{
    return d->client ? ctl_client_offered(d->client) : 0;
}

enum tw_rc ctl_dialer_addrs(const struct ctl_dialer *d, struct tw_addr *ret_local, struct tw_addr *ret_peer)
{
    if (!d->client)
        return TW_EAGAIN;
    *ret_local = d->local;
    *ret_peer = d->peer;
    return TW_OK;
}
