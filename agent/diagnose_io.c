/* agent/diagnose_io.c - sockets that are watched by the loop; see diagnose_io.h. */
#include "agent/diagnose_io.h"
#include <errno.h>
#include <ifaddrs.h>
#include <linux/errqueue.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/core/test_pkt.h"
#include "agent/io/udpsock.h"
#include "common/net/now.h"

#define ERRORS_AT_A_TIME 32
#define CONNECT_NS (2 * TW_NS_PER_S)
#define SPEAK_NS (500 * TW_NS_PER_MS)

/* ---- Answers ---- */

static bool is_same(const struct tw_addr *a, const struct tw_addr *b)
{
    return a->family == b->family && a->port == b->port && !memcmp(a->ip, b->ip, sizeof a->ip);
}

static void take_answer(struct diag_sock *s, const struct tw_addr *from, const uint8_t *data, size_t len)
{
    uint32_t seq = 0, i;
    uint64_t token = diag_returned(data, len, &seq);
    struct diag_set *set = s->set;
    int64_t rtt;

    if ((token & ~DIAG_KIND_MASK) != s->token || !set)
        return;
    i = seq - set->first_seq;
    if (i >= set->tried || set->answered[i])
        return; /* of an earlier set, or the second copy */
    set->answered[i] = true;
    if (!is_same(from, &s->to)) {
        set->elsewhere++;
        set->elsewhere_from = *from;
        return;
    }
    set->received++;
    rtt = tw_mono_now().ns - set->sent_ns[i];
    if (!set->rtt_min_ns || rtt < set->rtt_min_ns)
        set->rtt_min_ns = rtt;
}

static bool receive_one(struct diag_sock *s)
{
    static uint8_t data[TEST_DATAGRAM_MAX]; /* one loop, one thread */
    struct sockaddr_storage ss;
    socklen_t ss_len = sizeof ss;
    struct tw_addr from;
    ssize_t n = recvfrom(s->fd, data, sizeof data, 0, (struct sockaddr *)&ss, &ss_len);

    if (n < 0)
        return errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH;
    if (tw_addr_from_sockaddr((struct sockaddr *)&ss, &from) == TW_OK)
        take_answer(s, &from, data, (size_t)n);
    return true;
}

/* ---- ICMP ---- */

static void take_icmp(struct diag_sock *s, const struct sock_extended_err *e)
{
    struct diag_set *set = s->set;
    struct diag_icmp icmp = { .six = e->ee_origin == SO_EE_ORIGIN_ICMP6,
                              .type = e->ee_type,
                              .code = e->ee_code };

    if (!set || (e->ee_origin != SO_EE_ORIGIN_ICMP && e->ee_origin != SO_EE_ORIGIN_ICMP6))
        return;
    if (icmp.six ? icmp.type == ICMP6_PACKET_TOO_BIG
                 : icmp.type == ICMP_DEST_UNREACH && icmp.code == ICMP_FRAG_NEEDED)
        icmp.mtu = e->ee_info;
    if (tw_addr_from_sockaddr(SO_EE_OFFENDER(e), &icmp.from) != TW_OK)
        memset(&icmp.from, 0, sizeof icmp.from);
    set->icmp = icmp;
    set->icmp_count++;
}

/* The head of the packet comes with the error: one of an earlier set is old news. */
static bool is_of_set(const struct diag_set *set, const uint8_t *head, size_t len)
{
    uint32_t seq;

    if (!set || len < sizeof seq)
        return set != NULL; /* the router quoted less */
    seq = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    return seq - set->first_seq < set->tried;
}

static bool take_error(struct diag_sock *s)
{
    uint8_t head[64];
    _Alignas(struct cmsghdr) char control[512];
    struct iovec iov = { head, sizeof head };
    struct msghdr h = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
    };
    ssize_t n = recvmsg(s->fd, &h, MSG_ERRQUEUE | MSG_DONTWAIT);

    if (n < 0)
        return errno == EINTR;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
             (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR)) &&
            is_of_set(s->set, head, (size_t)n))
            take_icmp(s, (const struct sock_extended_err *)CMSG_DATA(c));
    return true;
}

static void on_udp(struct loop_watch *w, uint32_t events)
{
    struct diag_sock *s = w->ctx;

    if (events & EPOLLERR)
        for (int i = 0; i < ERRORS_AT_A_TIME && take_error(s); i++)
            ;
    if (events & EPOLLIN)
        for (int i = 0; i < DIAG_SET_MAX && receive_one(s); i++)
            ;
    s->news(s->ctx);
}

/* ---- UDP sockets ---- */

static enum tw_rc where_from(const struct tw_addr *to, const char *bind, struct udp_conf *ret,
                             struct tw_err *err)
{
    ret->local = (struct tw_addr){ .family = to->family };
    if (!*bind)
        return TW_OK;
    if (tw_addr_parse(bind, 0, &ret->local) == TW_OK)
        return ret->local.family == to->family
                   ? TW_OK
                   : tw_err_set(err, TW_EINVAL, "the source address %.64s and the target are of two families",
                                bind);
    ret->local = (struct tw_addr){ .family = to->family };
    if (strlen(bind) >= sizeof ret->interface)
        return tw_err_set(err, TW_EINVAL, "\"%.64s\" is no address and no interface", bind);
    strcpy(ret->interface, bind);
    return TW_OK;
}

/* Which address routing chooses. */
static void find_local(struct diag_sock *s)
{
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(&s->to, &ss);
    int fd = socket(s->to.family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (!connect(fd, (struct sockaddr *)&ss, len) &&
        (len = sizeof ss, !getsockname(fd, (struct sockaddr *)&ss, &len)))
        tw_addr_from_sockaddr((struct sockaddr *)&ss, &s->local);
    close(fd);
}

static bool is_any(const struct tw_addr *a)
{
    static const uint8_t zero[16];

    return !memcmp(a->ip, zero, sizeof zero);
}

enum tw_rc diag_sock_open(struct diag_sock *s, struct loop *loop, const struct tw_addr *to, const char *bind,
                          uint8_t dscp, struct tw_err *err)
{
    struct udp_conf conf = { .rcvbuf_bytes = 256 << 10 };
    struct udpsock sock;
    bool six = to->family == 6;
    int on = 1, tos = dscp << 2;
    enum tw_rc rc = where_from(to, bind, &conf, err);

    if (!rc)
        rc = udp_open(&conf, &sock, err);
    if (rc)
        return rc;
    s->loop = loop;
    s->fd = sock.fd;
    s->to = *to;
    s->local = sock.local;
    s->watch = (struct loop_watch){ .fn = on_udp, .ctx = s, .fd = s->fd };
    setsockopt(s->fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_RECVERR : IP_RECVERR, &on, sizeof on);
    setsockopt(s->fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_TCLASS : IP_TOS, &tos, sizeof tos);
    rc = loop_watch(loop, &s->watch, EPOLLIN);
    if (rc) {
        close(s->fd);
        s->fd = -1;
        return tw_err_set(err, rc, "cannot watch a socket: %s", tw_rc_name(rc));
    }
    if (is_any(&s->local))
        find_local(s);
    return TW_OK;
}

void diag_sock_close(struct diag_sock *s)
{
    if (s->fd < 0)
        return;
    loop_unwatch(s->loop, &s->watch);
    close(s->fd);
    s->fd = -1;
}

/* PROBE sets Don't Fragment and lets packets go that are longer than what routers have told before: the
 * question is what they say now. */
static void set_fragment(const struct diag_sock *s, bool fragment)
{
    bool six = s->to.family == 6;
    int mode = six ? (fragment ? IPV6_PMTUDISC_DONT : IPV6_PMTUDISC_PROBE)
                   : (fragment ? IP_PMTUDISC_DONT : IP_PMTUDISC_PROBE);
    int no_fragment = !fragment;

    setsockopt(s->fd, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &mode,
               sizeof mode);
    if (six)
        setsockopt(s->fd, IPPROTO_IPV6, IPV6_DONTFRAG, &no_fragment, sizeof no_fragment);
}

void diag_set_begin(struct diag_sock *s, struct diag_set *set, enum diag_kind kind, uint32_t size,
                    unsigned wanted, bool fragment)
{
    uint32_t next = s->set ? s->set->first_seq + s->set->tried : 0;

    *set = (struct diag_set){ .kind = kind, .size = size, .first_seq = next, .wanted = wanted };
    s->set = set;
    set_fragment(s, fragment);
}

bool diag_send(struct diag_sock *s)
{
    static uint8_t packet[TEST_DATAGRAM_MAX];
    struct diag_set *set = s->set;
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(&s->to, &ss);
    unsigned i = set->tried++;
    ssize_t n = -1;

    diag_write(packet, set->size, set->first_seq + i, s->token, set->kind, s->stamp);
    set->sent_ns[i] = tw_mono_now().ns;
    for (int attempt = 0; n < 0 && attempt < 2;
         attempt++) { /* the first may be told of an earlier packet's ICMP error */
        n = sendto(s->fd, packet, set->size, 0, (struct sockaddr *)&ss, len);
        if (n < 0 && errno != ECONNREFUSED && errno != EHOSTUNREACH && errno != EINTR)
            break;
    }
    if (n < 0) {
        set->send_errno = errno;
        set->too_long |= errno == EMSGSIZE;
        return false;
    }
    set->sent++;
    return true;
}

static bool is_of_interface(const struct ifaddrs *i, const struct tw_addr *local)
{
    struct tw_addr a;

    return i->ifa_addr && tw_addr_from_sockaddr(i->ifa_addr, &a) == TW_OK && a.family == local->family &&
           !memcmp(a.ip, local->ip, sizeof a.ip);
}

uint32_t diag_local_mtu(const struct diag_sock *s)
{
    struct ifaddrs *list;
    struct ifreq rq = { .ifr_mtu = 0 };

    if (getifaddrs(&list))
        return 0;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next)
        if (is_of_interface(i, &s->local)) {
            snprintf(rq.ifr_name, sizeof rq.ifr_name, "%s", i->ifa_name);
            if (ioctl(s->fd, SIOCGIFMTU, &rq))
                rq.ifr_mtu = 0;
            break;
        }
    freeifaddrs(list);
    return rq.ifr_mtu > 0 ? (uint32_t)rq.ifr_mtu : 0;
}

/* ---- TCP ---- */

static void settle(struct diag_connect *c, enum diag_connected state, int e)
{
    c->state = state;
    if (e)
        snprintf(c->why, sizeof c->why, "%s", strerror(e));
    diag_connect_close(c);
    c->done(c->ctx);
}

static enum diag_connected state_of(int e)
{
    return e == ECONNREFUSED ? DIAG_REFUSED : e == ETIMEDOUT ? DIAG_TIMEOUT : DIAG_UNREACHABLE;
}

static void on_connected(struct diag_connect *c)
{
    int e = 0;
    socklen_t len = sizeof e;

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
        e = errno;
    if (e) {
        settle(c, state_of(e), e);
        return;
    }
    c->took_ns = tw_mono_now().ns - c->began_ns + 1; /* 0 is: not yet */
    loop_rewatch(c->loop, &c->watch, EPOLLIN);
    loop_timer_set(c->loop, &c->timer, (struct tw_mono){ tw_mono_now().ns + SPEAK_NS });
}

static void on_tcp(struct loop_watch *w, uint32_t events)
{
    struct diag_connect *c = w->ctx;
    ssize_t n;

    (void)events;
    if (!c->took_ns) {
        on_connected(c);
        return;
    }
    n = recv(c->fd, c->heard, sizeof c->heard, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->n_heard = n > 0 ? (size_t)n : 0;
    if (n < 0)
        settle(c, DIAG_MUTE, errno);
    else if (n == 0) {
        snprintf(c->why, sizeof c->why, "it was closed at once");
        settle(c, DIAG_MUTE, 0);
    } else
        settle(c, DIAG_SPOKEN, 0);
}

static void on_tcp_time(struct loop_timer *t)
{
    struct diag_connect *c = t->ctx;

    if (c->took_ns)
        settle(c, DIAG_MUTE, 0);
    else
        settle(c, DIAG_TIMEOUT, ETIMEDOUT);
}

/* What fails at once is told by the timer, too: done() comes from the loop. */
static void on_tcp_failed(struct loop_timer *t)
{
    struct diag_connect *c = t->ctx;

    diag_connect_close(c);
    c->done(c->ctx);
}

enum tw_rc diag_connect_start(struct diag_connect *c, struct loop *loop, const struct tw_addr *to)
{
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(to, &ss);

    c->loop = loop;
    c->state = DIAG_TRYING;
    c->began_ns = tw_mono_now().ns;
    c->timer = (struct loop_timer){ .fn = on_tcp_time, .ctx = c };
    c->fd = socket(to->family == 6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return tw_rc_errno(errno);
    c->watch = (struct loop_watch){ .fn = on_tcp, .ctx = c, .fd = c->fd };
    if (connect(c->fd, (struct sockaddr *)&ss, len) && errno != EINPROGRESS) {
        c->state = state_of(errno);
        snprintf(c->why, sizeof c->why, "%s", strerror(errno));
        close(c->fd);
        c->fd = -1;
        c->timer.fn = on_tcp_failed;
        return loop_timer_set(loop, &c->timer, tw_mono_now());
    }
    if (loop_watch(loop, &c->watch, EPOLLOUT)) {
        close(c->fd);
        c->fd = -1;
        return TW_ENOMEM;
    }
    return loop_timer_set(loop, &c->timer, (struct tw_mono){ c->began_ns + CONNECT_NS });
}

void diag_connect_close(struct diag_connect *c)
{
    if (!c->loop)
        return;
    loop_timer_cancel(c->loop, &c->timer);
    if (c->fd < 0)
        return;
    loop_unwatch(c->loop, &c->watch);
    close(c->fd);
    c->fd = -1;
}
