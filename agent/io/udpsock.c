/* agent/io/udpsock.c - opening sockets and their options; see udpsock.h. */
#include "agent/io/udpsock.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/io/udp_stamp.h"

enum { FIRST_UNPRIVILEGED_PORT = 1024 };

enum option_when { ALWAYS, IF_TO, IF_DF, IF_NOT_DF };

/* One option of a family. Those that only tell about datagrams may be missing: the value is "not known" then.
 */
struct option_row {
    uint8_t family; /* 0 = both */
    bool required;
    enum option_when when;
    int level, name, value;
    const char *text;
};

static const struct option_row options[] = {
    { 4, true, ALWAYS, IPPROTO_IP, IP_TTL, 255, "IP_TTL" },
    { 6, true, ALWAYS, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255, "IPV6_UNICAST_HOPS" },
    { 6, true, ALWAYS, IPPROTO_IPV6, IPV6_V6ONLY, 1, "IPV6_V6ONLY" },
    { 0, false, ALWAYS, SOL_SOCKET, SO_RXQ_OVFL, 1, "SO_RXQ_OVFL" },
    { 4, false, ALWAYS, IPPROTO_IP, IP_RECVTTL, 1, "IP_RECVTTL" },
    { 4, false, ALWAYS, IPPROTO_IP, IP_RECVTOS, 1, "IP_RECVTOS" },
    { 6, false, ALWAYS, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, "IPV6_RECVHOPLIMIT" },
    { 6, false, ALWAYS, IPPROTO_IPV6, IPV6_RECVTCLASS, 1, "IPV6_RECVTCLASS" },
    { 4, true, IF_TO, IPPROTO_IP, IP_PKTINFO, 1, "IP_PKTINFO" },
    { 6, true, IF_TO, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, "IPV6_RECVPKTINFO" },
    { 4, true, IF_DF, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO, "IP_MTU_DISCOVER" },
    { 4, true, IF_NOT_DF, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT, "IP_MTU_DISCOVER" },
    { 6, true, IF_DF, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO, "IPV6_MTU_DISCOVER" },
    { 6, true, IF_DF, IPPROTO_IPV6, IPV6_DONTFRAG, 1, "IPV6_DONTFRAG" },
    { 6, true, IF_NOT_DF, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT, "IPV6_MTU_DISCOVER" },
};

static bool applies(const struct option_row *o, const struct udp_conf *c)
{
    if (o->family && o->family != c->local.family)
        return false;
    switch (o->when) {
    case ALWAYS:
        return true;
    case IF_TO:
        return c->want_to;
    case IF_DF:
        return c->df;
    case IF_NOT_DF:
        return !c->df;
    }
    return false;
}

static enum tw_rc set_options(int fd, const struct udp_conf *c, struct tw_err *err)
{
    for (size_t i = 0; i < TW_NELEM(options); i++) {
        const struct option_row *o = &options[i];

        if (!applies(o, c))
            continue;
        if (setsockopt(fd, o->level, o->name, &o->value, sizeof o->value) < 0 && o->required)
            return tw_err_set(err, tw_rc_errno(errno), "cannot set %s on a UDP socket: %s", o->text,
                              strerror(errno));
    }
    return TW_OK;
}

static void set_rcvbuf(int fd, int bytes)
{
    /* FORCE goes beyond net.core.rmem_max but needs CAP_NET_ADMIN. Less is no error: drops are counted. */
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

static enum tw_rc set_interface(int fd, const char *name, struct tw_err *err)
{
    size_t len = strnlen(name, UDP_INTERFACE);

    if (len == 0)
        return TW_OK;
    if (len == UDP_INTERFACE)
        return tw_err_set(err, TW_EINVAL, "the name of an interface has at most %d octets",
                          UDP_INTERFACE - 1);
    if (setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)len + 1) == 0)
        return TW_OK;
    if (errno == ENODEV)
        return tw_err_set(err, TW_EINVAL, "cannot bind to interface %s: this host has no such interface",
                          name);
    if (errno == EPERM || errno == EACCES)
        return tw_err_set(err, TW_EPERM,
                          "not allowed to bind to interface %s: this kernel demands CAP_NET_RAW for it",
                          name);
    return tw_err_set(err, tw_rc_errno(errno), "cannot bind to interface %s: %s", name, strerror(errno));
}

static enum tw_rc bind_error(const struct tw_addr *a, int e, struct tw_err *err)
{
    char text[TW_ADDR_TEXT];

    tw_addr_format(a, text);
    if (e == EADDRINUSE)
        return tw_err_set(err, TW_EINUSE,
                          "UDP %s is in use: another reflector runs here? Stop it or choose another port",
                          text);
    if ((e == EACCES || e == EPERM) && a->port < FIRST_UNPRIVILEGED_PORT)
        return tw_err_set(err, TW_EPERM,
                          "not allowed to bind UDP %s: ports below 1024 need CAP_NET_BIND_SERVICE, or choose"
                          " another port",
                          text);
    if (e == EADDRNOTAVAIL)
        return tw_err_set(err, TW_EINVAL, "cannot bind UDP %s: this host has no such address", text);
    return tw_err_set(err, tw_rc_errno(e), "cannot bind UDP %s: %s", text, strerror(e));
}

static enum tw_rc bind_to(int fd, const struct tw_addr *a, struct tw_err *err)
{
    struct sockaddr_storage ss;
    socklen_t len = tw_addr_to_sockaddr(a, &ss);

    return bind(fd, (struct sockaddr *)&ss, len) < 0 ? bind_error(a, errno, err) : TW_OK;
}

static enum tw_rc make_socket(uint8_t family, int *ret, struct tw_err *err)
{
    int fd = socket(family == 6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return tw_err_set(err, tw_rc_errno(errno), "cannot open an IPv%u UDP socket: %s", family,
                          strerror(errno));
    *ret = fd;
    return TW_OK;
}

static enum tw_rc set_up(int fd, const struct udp_conf *conf, struct tw_addr *ret_local, struct tw_err *err)
{
    int on = 1;
    struct sockaddr_storage ss;
    socklen_t len = sizeof ss;
    enum tw_rc rc;

    if (conf->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "cannot set SO_REUSEPORT: %s", strerror(errno));
    rc = set_options(fd, conf, err);
    if (rc)
        return rc;
    if (conf->rcvbuf_bytes > 0)
        set_rcvbuf(fd, conf->rcvbuf_bytes);
    rc = set_interface(fd, conf->interface, err);
    if (!rc)
        rc = bind_to(fd, &conf->local, err);
    if (rc)
        return rc;
    if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
        return tw_err_set(err, tw_rc_errno(errno), "getsockname: %s", strerror(errno));
    return tw_addr_from_sockaddr((struct sockaddr *)&ss, ret_local);
}

static bool is_any(const struct tw_addr *a)
{
    static const uint8_t zero[16];

    return memcmp(a->ip, zero, sizeof zero) == 0;
}

enum tw_rc udp_open(const struct udp_conf *conf, struct udpsock *ret, struct tw_err *err)
{
    struct udpsock s = { .fd = -1 };
    enum tw_rc rc;

    if (conf->local.family != 4 && conf->local.family != 6)
        return tw_err_set(err, TW_EINVAL, "no address to bind a UDP socket to");
    rc = make_socket(conf->local.family, &s.fd, err);
    if (rc)
        return rc;
    rc = set_up(s.fd, conf, &s.local, err);
    if (rc) {
        close(s.fd);
        return rc;
    }
    s.any = is_any(&s.local);
    s.hw_times = conf->hw_times;
    udp_stamps_open(&s);
    *ret = s;
    return TW_OK;
}

enum tw_rc udp_check_free(const struct tw_addr *local, struct tw_err *err)
{
    int fd = -1, on = 1;
    enum tw_rc rc = make_socket(local->family, &fd, err);

    if (rc)
        return rc;
    if (local->family == 6) /* or the check would also ask for the IPv4 port */
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    rc = bind_to(fd, local, err);
    close(fd);
    return rc;
}

void udp_close(struct udpsock *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

uint64_t udp_take_drops(struct udpsock *s)
{
    uint64_t n = s->drops;

    s->drops = 0;
    return n;
}
