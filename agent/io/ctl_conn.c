/* agent/io/ctl_conn.c - one connection of the TWAMP-Control server; see ctl_listener_priv.h. */
#include "agent/io/ctl_listener_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/now.h"

enum {
    READ_BYTES = 4096,
    OUT_BYTES = 16384, /* that a client has not taken; answers to what we have read are far less */
    KEEPALIVE_IDLE_S = 30,
    KEEPALIVE_INTERVAL_S = 10,
    KEEPALIVE_COUNT = 3,
};
#define LINGER_NS (2 * TW_NS_PER_S)

/* ---- Writing ---- */

static void forget_sent(struct ctl_conn *c, size_t n)
{
    memmove(c->out, c->out + n, c->out_len - n);
    c->out_len -= n;
}

/* Octets of one message leave in one segment wherever the socket has room. */
static void flush(struct ctl_conn *c)
{
    while (c->out_len && !c->gone) {
        ssize_t n = send(c->watch.fd, c->out, c->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0)
            forget_sent(c, (size_t)n);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (errno != EINTR)
            c->gone = true;
    }
}

static void put_out(struct ctl_conn *c, const uint8_t *data, size_t len)
{
    if (len > OUT_BYTES - c->out_len) {
        c->gone = true; /* a client that does not read */
        return;
    }
    memcpy(c->out + c->out_len, data, len);
    c->out_len += len;
    flush(c);
}

/* ---- What the server wants ---- */

static void log_close(const struct ctl_conn *c, const struct ctl_server_out *o)
{
    char peer[TW_ADDR_TEXT];
    enum log_level level = o->why == CTL_WHY_PEER || o->why == CTL_WHY_SHUT_DOWN ? LOG_INFO_ : LOG_WARN_;
    unsigned held;

    if (!log_limit_ok(&c->l->logins, tw_mono_now().ns, &held))
        return;
    log_event(level, "control connection ends",
              (const struct log_kv[]){ LOG_S("peer", tw_addr_format(&c->peer, peer)),
                                       LOG_S("user", ctl_server_key_id(c->server)),
                                       LOG_S("mode", ctl_mode_text(ctl_server_mode(c->server))),
                                       LOG_S("why", ctl_why_name(o->why)),
                                       LOG_S("text", o->text),
                                       LOG_U("held_back", held),
                                       { 0 } });
}

static void log_note(const struct ctl_conn *c, const struct ctl_server_out *o)
{
    char peer[TW_ADDR_TEXT];
    unsigned held;

    if (log_limit_ok(&c->l->sessions, tw_mono_now().ns, &held))
        log_info(o->accept ? "control request refused" : "control request is odd",
                 LOG_S("peer", tw_addr_format(&c->peer, peer)), LOG_S("text", o->text),
                 LOG_U("accept", o->accept), LOG_U("held_back", held));
}

static void do_output(struct ctl_conn *c, const struct ctl_server_out *o)
{
    enum ctl_accept accept;
    uint16_t port = 0;

    switch (o->what) {
    case CTL_SEND:
        put_out(c, o->data, o->len);
        break;
    case CTL_OPEN:
        accept = ctl_reflectors_open(c, o->id, o->session, &port);
        ctl_server_opened(c->server, tw_now(), o->id, accept, port);
        break;
    case CTL_START:
        ctl_reflectors_start(c, o->id);
        break;
    case CTL_STOP:
        ctl_reflectors_stop(c, o->id);
        break;
    case CTL_DROP:
        ctl_reflectors_drop(c, o->id);
        break;
    case CTL_NOTE:
        if (o->accept && o->accept < CTL_ACCEPTS)
            c->l->n.requests_refused[o->accept]++;
        log_note(c, o);
        break;
    case CTL_CLOSE:
        c->closed = true;
        c->guessed = o->why == CTL_WHY_LOGIN;
        c->l->n.closed[o->why]++;
        loop_timer_set(c->l->cfg.loop, &c->timer, (struct tw_mono){ tw_mono_now().ns + LINGER_NS });
        log_close(c, o);
        break;
    }
}

static void take_outputs(struct ctl_conn *c)
{
    struct ctl_server_out o;

    while (ctl_server_next(c->server, &o) == TW_OK)
        do_output(c, &o);
}

/* ---- Life ---- */

/* Each wrong passphrase costs us PBKDF2 and the client nothing. */
bool ctl_conn_is_handshaking(const struct ctl_conn *c)
{
    return c->guessed || ctl_server_is_handshaking(c->server);
}

static void close_socket(struct ctl_conn *c)
{
    if (c->watch.fd < 0)
        return;
    loop_unwatch(c->l->cfg.loop, &c->watch);
    close(c->watch.fd);
    c->watch.fd = -1;
}

void ctl_conn_free(struct ctl_conn *c)
{
    struct ctl_listener *l = c->l;

    ctl_reflectors_leave(c);
    close_socket(c);
    loop_timer_cancel(l->cfg.loop, &c->timer);
    ctl_server_free(c->server);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    free(c->out);
    free(c);
    l->n.connections--;
}

/* A close() with octets unread would be a reset, which can overtake our last words: so we close our side and
 * read until theirs is closed, too. */
static void linger(struct ctl_conn *c)
{
    c->lingering = true;
    shutdown(c->watch.fd, SHUT_WR);
}

static void set_timer(struct ctl_conn *c)
{
    struct tw_mono due = ctl_server_next_due(c->server);

    if (due.ns == TW_MONO_NEVER.ns)
        loop_timer_cancel(c->l->cfg.loop, &c->timer);
    else
        loop_timer_set(c->l->cfg.loop, &c->timer, due);
}

/* The last thing in every callback: takes outputs, sets what is waited for, may free the connection. */
static void settle(struct ctl_conn *c)
{
    take_outputs(c);
    if (c->gone && !c->closed) {
        ctl_server_on_close(c->server, tw_now());
        take_outputs(c);
    }
    if (c->gone && c->guessed && !c->over) {
        close_socket(c); /* its place is kept */
        return;
    }
    if (c->gone) {
        ctl_conn_free(c);
        return;
    }
    if (c->closed && !c->out_len && !c->lingering)
        linger(c);
    else if (!c->closed)
        set_timer(c);
    /* Who does not take answers is not read from. */
    loop_rewatch(c->l->cfg.loop, &c->watch, c->out_len ? EPOLLOUT : EPOLLIN);
}

static void read_some(struct ctl_conn *c)
{
    uint8_t buf[READ_BYTES];
    size_t room = c->closed ? sizeof buf : ctl_server_room(c->server);
    ssize_t n;

    if (!room || c->out_len)
        return;
    n = recv(c->watch.fd, buf, room < sizeof buf ? room : sizeof buf, MSG_DONTWAIT);
    if (n > 0 && !c->closed)
        ctl_server_on_bytes(c->server, tw_now(), buf, (size_t)n);
    else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
        c->gone = true;
}

static void on_event(struct loop_watch *w, uint32_t events)
{
    struct ctl_conn *c = w->ctx;

    if (events & EPOLLOUT)
        flush(c);
    if (events & EPOLLIN)
        read_some(c);
    else if (events & (EPOLLHUP | EPOLLERR))
        c->gone = true;
    settle(c);
}

static void on_timer(struct loop_timer *t)
{
    struct ctl_conn *c = t->ctx;

    if (c->closed) /* long enough */
        c->gone = c->over = true;
    else
        ctl_server_on_time(c->server, tw_now());
    settle(c);
}

void ctl_conn_session_ended(struct ctl_conn *c, uint32_t id)
{
    ctl_server_ended(c->server, tw_now(), id);
    settle(c);
}

/* ---- Beginning ---- */

/* Control traffic goes in the DSCP of the client's SYN, which the kernel has kept. */
static void follow_dscp(int fd)
{
    uint8_t syn[128];
    socklen_t len = sizeof syn;
    int tos;

    if (getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, syn, &len) || len < 20)
        return;
    tos = syn[0] >> 4 == 6 ? (syn[0] & 15) << 4 | syn[1] >> 4 : syn[1];
    tos &= 0xfc;
    if (!tos)
        return;
    if (syn[0] >> 4 == 6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos);
    else
        setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
}

/* A client whose host has vanished is noticed in a minute, so that its sessions end. */
static void set_options(int fd)
{
    static const int one = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S,
                     count = KEEPALIVE_COUNT;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    follow_dscp(fd);
}

static enum tw_rc make_server(struct ctl_conn *c)
{
    const struct ctl_listener_cfg *l = &c->l->cfg;
    struct ctl_server_cfg cfg = { .modes = l->modes,
                                  .count = l->count,
                                  .start_time_ntp = c->l->start_ntp,
                                  .servwait_ns = l->servwait_ns,
                                  .handshake_ns = l->handshake_ns,
                                  .max_timeout_ns = l->max_timeout_ns,
                                  .max_sessions = l->max_conn_sessions,
                                  .max_padding_bytes = l->max_padding_bytes,
                                  .local = c->local,
                                  .peer = c->peer,
                                  .secret = l->secret,
                                  .random = ctl_random,
                                  .ctx = l->secret_ctx };

    return ctl_server_new(&cfg, tw_now(), &c->server);
}

static bool local_address(int fd, struct tw_addr *ret)
{
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;

    return !getsockname(fd, (struct sockaddr *)&ss, &len) &&
           tw_addr_from_sockaddr((struct sockaddr *)&ss, ret) == TW_OK;
}

static struct ctl_conn *make(struct ctl_listener *l, int fd, const struct tw_addr *peer)
{
    struct ctl_conn *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    *c = (struct ctl_conn){ .l = l, .peer = *peer, .out = malloc(OUT_BYTES) };
    c->watch = (struct loop_watch){ .fn = on_event, .ctx = c, .fd = fd };
    c->timer = (struct loop_timer){ .fn = on_timer, .ctx = c };
    if (c->out && local_address(fd, &c->local) && make_server(c) == TW_OK &&
        loop_watch(l->cfg.loop, &c->watch, EPOLLIN) == TW_OK)
        return c;
    ctl_server_free(c->server);
    free(c->out);
    free(c);
    return NULL;
}

void ctl_conn_new(struct ctl_listener *l, int fd, const struct tw_addr *peer)
{
    struct ctl_conn *c = make(l, fd, peer);

    if (!c) {
        close(fd);
        l->n.refused_connections++;
        return;
    }
    set_options(fd);
    c->next = l->conns;
    c->link = &l->conns;
    if (c->next)
        c->next->link = &c->next;
    l->conns = c;
    l->n.connections++;
    l->n.accepted++;
    settle(c); /* the greeting */
}
