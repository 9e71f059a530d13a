/* agent/io/ctl_listener.c - see ctl_listener.h. */
#include "agent/io/ctl_listener_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/core/test_pkt.h"
#include "common/net/now.h"

enum { ACCEPT_BATCH = 16, BACKLOG = 128, PROBE_HEAD = 14 };
#define PAUSE_NS (100 * TW_NS_PER_MS)

/* ---- Taking connections ---- */

/* An IPv6 host has as many addresses as it likes, in its /64; link-local ones are of many hosts. */
bool ctl_is_same_host(const struct tw_addr *a, const struct tw_addr *b)
{
    bool link_local = a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
    size_t len = a->family == 6 && !link_local ? 8 : sizeof a->ip;

    return a->family == b->family && !memcmp(a->ip, b->ip, len);
}

/* The counter of the limit that one more from this peer would break; NULL: none. */
static uint64_t *limit_of(struct ctl_listener *l, const struct tw_addr *peer)
{
    uint32_t same = 0, handshakes = 0;

    if (!acl_allows(l->cfg.acl, peer))
        return &l->n.refused_acl;
    if (!source_limit_take(l->connects, peer, tw_mono_now()))
        return &l->n.refused_rate;
    for (const struct ctl_conn *c = l->conns; c; c = c->next) {
        same += ctl_is_same_host(&c->peer, peer);
        handshakes += ctl_conn_is_handshaking(c);
    }
    if (l->n.connections >= l->cfg.max_connections)
        return &l->n.refused_connections;
    if (same >= l->cfg.max_per_peer)
        return &l->n.refused_peer;
    return handshakes >= l->cfg.max_handshakes ? &l->n.refused_handshakes : NULL;
}

static void log_refused(struct ctl_listener *l, const struct tw_addr *peer, const uint64_t *counter)
{
    char text[TW_ADDR_TEXT];
    unsigned held;

    if (log_limit_ok(&l->refused, tw_mono_now().ns, &held))
        log_warn("control connection refused", LOG_S("peer", tw_addr_format(peer, text)),
                 LOG_S("limit", counter == &l->n.refused_acl          ? "access list"
                                : counter == &l->n.refused_rate       ? "connections per second"
                                : counter == &l->n.refused_peer       ? "connections per address"
                                : counter == &l->n.refused_handshakes ? "handshakes"
                                                                      : "connections"),
                 LOG_U("held_back", held));
}

static void take_one(struct ctl_listener *l, int fd, const struct sockaddr *sa)
{
    struct tw_addr peer;
    uint64_t *limit;

    if (tw_addr_from_sockaddr(sa, &peer) != TW_OK) {
        close(fd);
        return;
    }
    limit = limit_of(l, &peer);
    if (!limit) {
        ctl_conn_new(l, fd, &peer);
        return;
    }
    close(fd);
    ++*limit;
    log_refused(l, &peer, limit);
}

static void watch_all(struct ctl_listener *l, uint32_t events)
{
    for (size_t i = 0; i < l->n_sockets; i++)
        loop_rewatch(l->cfg.loop, &l->sockets[i].watch, events);
}

static void on_pause_over(struct loop_timer *t)
{
    watch_all(t->ctx, EPOLLIN);
}

/* Out of descriptors or memory: what waits would wake us at once again. */
static void pause_accepting(struct ctl_listener *l, int error)
{
    unsigned held;

    watch_all(l, 0);
    loop_timer_set(l->cfg.loop, &l->pause, (struct tw_mono){ tw_mono_now().ns + PAUSE_NS });
    if (log_limit_ok(&l->refused, tw_mono_now().ns, &held))
        log_error("cannot take a control connection", LOG_S("reason", strerror(error)),
                  LOG_U("held_back", held));
}

static void on_incoming(struct loop_watch *w, uint32_t events)
{
    struct ctl_socket *s = w->ctx;

    (void)events;
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        struct sockaddr_storage ss;
        socklen_t len = sizeof ss;
        int fd = accept4(w->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_one(s->l, fd, (struct sockaddr *)&ss);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
            pause_accepting(s->l, errno);
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

/* ---- Listening ---- */

static enum tw_rc fail_listen(struct tw_err *err, const struct tw_addr *a, const char *what)
{
    char text[TW_ADDR_TEXT];
    enum tw_rc rc = tw_rc_errno(errno);
    const char *hint = rc == TW_EPERM    ? " (ports below 1024 need CAP_NET_BIND_SERVICE)"
                       : rc == TW_EINUSE ? " (another TWAMP server?)"
                                         : "";

    return tw_err_set(err, rc, "cannot %s TCP %s: %s%s", what, tw_addr_format(a, text), strerror(errno),
                      hint);
}

static enum tw_rc open_socket(const struct tw_addr *a, int *ret, struct tw_err *err)
{
    static const int one = 1;
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(a, &ss);
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    enum tw_rc rc;

    if (fd < 0)
        return fail_listen(err, a, "open");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_SAVE_SYN, &one, sizeof one);
    if (a->family == 6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, BACKLOG)) {
        rc = fail_listen(err, a, "listen on");
        close(fd);
        return rc;
    }
    *ret = fd;
    return TW_OK;
}

static enum tw_rc add_socket(struct ctl_listener *l, const struct tw_addr *a, struct tw_err *err)
{
    struct ctl_socket *s = &l->sockets[l->n_sockets];
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    int fd = -1;
    enum tw_rc rc = open_socket(a, &fd, err);

    if (rc)
        return rc;
    *s = (struct ctl_socket){ .l = l, .watch = { .fn = on_incoming, .ctx = s, .fd = fd } };
    if (getsockname(fd, (struct sockaddr *)&ss, &len) ||
        tw_addr_from_sockaddr((struct sockaddr *)&ss, &s->local) ||
        loop_watch(l->cfg.loop, &s->watch, EPOLLIN)) {
        rc = fail_listen(err, a, "watch");
        close(fd);
        return rc;
    }
    l->n_sockets++;
    return TW_OK;
}

/* ---- Life ---- */

#define DEFAULT(field, value)       \
    do {                            \
        if (!l->cfg.field)          \
            l->cfg.field = (value); \
    } while (0)

static void set_defaults(struct ctl_listener *l)
{
    DEFAULT(count, 2048);
    DEFAULT(max_connections, 1000);
    DEFAULT(max_per_peer, 32);
    DEFAULT(max_handshakes, 100);
    DEFAULT(max_sessions, 1000);
    DEFAULT(max_conn_sessions, 100);
    DEFAULT(max_peer_sessions, l->cfg.max_sessions / 4 > l->cfg.max_conn_sessions ? l->cfg.max_sessions / 4
                                                                                  : l->cfg.max_conn_sessions);
    DEFAULT(max_padding_bytes, TEST_DATAGRAM_MAX - PROBE_HEAD);
    DEFAULT(servwait_ns, 900 * TW_NS_PER_S);
    DEFAULT(refwait_ns, 900 * TW_NS_PER_S);
    DEFAULT(handshake_ns, 10 * TW_NS_PER_S);
    DEFAULT(max_timeout_ns, 60 * TW_NS_PER_S);
}

enum tw_rc ctl_listener_start(const struct ctl_listener_cfg *cfg, struct ctl_listener **ret,
                              struct tw_err *err)
{
    struct source_limit_cfg lc = { .per_second = cfg->connects_per_second,
                                   .burst = cfg->connects_burst,
                                   .sources = 4096 };
    struct ctl_listener *l;
    enum tw_rc rc = TW_OK;

    if (!cfg->n_workers || !cfg->listen[0].family || cfg->port_low > cfg->port_high)
        return tw_err_set(err, TW_EINVAL,
                          "a control server needs an address, a reflector and a range of test ports "
                          "whose ends are in order");
    l = calloc(1, sizeof *l);
    if (!l)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    l->cfg = *cfg;
    set_defaults(l);
    l->start_ntp = tw_wall_to_ntp(tw_wall_now());
    l->pause = (struct loop_timer){ .fn = on_pause_over, .ctx = l };
    l->retry = (struct loop_timer){ .fn = ctl_reflectors_retry, .ctx = l };
    acl_hold(l->cfg.acl);
    ctl_random(NULL, (uint8_t *)&lc.hash_seed, sizeof lc.hash_seed);
    if (source_limit_new(&lc, &l->connects))
        rc = tw_err_set(err, TW_ENOMEM, "out of memory");
    l->refused.burst = l->logins.burst = l->sessions.burst = l->ends.burst = 10;
    for (size_t i = 0; !rc && i < CTL_LISTEN_MAX && cfg->listen[i].family; i++)
        rc = add_socket(l, &cfg->listen[i], err);
    if (rc) {
        ctl_listener_stop(l);
        return rc;
    }
    *ret = l;
    return TW_OK;
}

void ctl_listener_stop(struct ctl_listener *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n_sockets; i++) {
        loop_unwatch(l->cfg.loop, &l->sockets[i].watch);
        close(l->sockets[i].watch.fd);
    }
    while (l->conns)
        ctl_conn_free(l->conns);
    ctl_reflectors_free(l);
    loop_timer_cancel(l->cfg.loop, &l->pause);
    loop_timer_cancel(l->cfg.loop, &l->retry);
    acl_free(l->cfg.acl);
    source_limit_free(l->connects);
    free(l);
}

void ctl_listener_set_acl(struct ctl_listener *l, struct acl *acl)
{
    acl_hold(acl);
    acl_free(l->cfg.acl);
    l->cfg.acl = acl;
}

void ctl_listener_set_rate(struct ctl_listener *l, uint32_t connects_per_second)
{
    source_limit_set(l->connects, connects_per_second, l->cfg.connects_burst);
}

enum tw_rc ctl_listener_addr(const struct ctl_listener *l, size_t i, struct tw_addr *ret)
{
    if (i >= l->n_sockets)
        return TW_ENOENT;
    *ret = l->sockets[i].local;
    return TW_OK;
}

void ctl_listener_on_results(struct ctl_listener *l)
{
    ctl_reflectors_take_ends(l);
}

void ctl_listener_counters(const struct ctl_listener *l, struct ctl_listener_counters *ret)
{
    *ret = l->n;
    ret->handshakes = 0;
    for (const struct ctl_conn *c = l->conns; c; c = c->next)
        ret->handshakes += ctl_conn_is_handshaking(c);
}
