#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <time.h>
#include <linux/errqueue.h>
#include "agent/io/phc.h"
#include "agent/io/udp_stamp.h"
#include "agent/io/udpsock.h"
#include "common/net/now.h"
#include "tests/unit/agent/io/own_network.h"

enum { BATCH = 16, BYTES = 2048, DEADLINE_MS = 5000 };

struct pair {
    struct udpsock from, to;
    struct udp_rx *rx;
    struct udp_tx *tx;
};

static struct tw_addr addr(const char *text)
{
    struct tw_addr a;

    assert_int_equal(tw_addr_parse(text, 0, &a), TW_OK);
    return a;
}

static void open_at(const char *text, int rcvbuf, struct udpsock *ret)
{
    struct udp_conf c = { .local = addr(text), .want_to = true, .rcvbuf_bytes = rcvbuf };
    struct tw_err err = { 0 };

    if (udp_open(&c, ret, &err))
        fail_msg("%s: %s", text, err.text);
}

static void pair_open(struct pair *p, const char *from, const char *to)
{
    open_at(from, 0, &p->from);
    open_at(to, 0, &p->to);
    assert_int_equal(udp_rx_new(BATCH, BYTES, &p->rx), TW_OK);
    assert_int_equal(udp_tx_new(BATCH, BYTES, &p->tx), TW_OK);
}

static void pair_close(struct pair *p)
{
    udp_close(&p->from);
    udp_close(&p->to);
    udp_rx_free(p->rx);
    udp_tx_free(p->tx);
}

static void put(struct udp_tx *tx, size_t len, const struct udp_dest *d)
{
    memset(udp_tx_buf(tx, udp_tx_len(tx)), 0x40 + (int)udp_tx_len(tx), len);
    udp_tx_add(tx, len, d);
}

/* Loopback delivers before sendmmsg() returns, but another network namespace set-up may not: wait. */
static unsigned recv_some(struct pair *p, struct udpsock *s)
{
    struct pollfd pfd = { .fd = s->fd, .events = POLLIN };

    assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
    return udp_rx_recv(p->rx, s);
}

static const struct {
    const char *name, *from, *to;
    uint8_t tos, ttl;
    int want_ttl;
} wire_cases[] = {
    { "EF, IPv4", "127.0.0.1", "127.0.0.1", 0xb8, 0, 255 },
    { "EF, IPv6", "::1", "[::1]:0", 0xb8, 0, 255 },
    { "default, IPv4", "127.0.0.1", "127.0.0.1", 0, 255, 255 },
    { "default, IPv6", "::1", "::1", 0, 255, 255 },
    { "TTL 7, IPv4", "127.0.0.1", "127.0.0.1", 0x28, 7, 7 },
    { "hop limit 7, IPv6", "::1", "::1", 0x28, 7, 7 },
    { "any to second loopback address", "0.0.0.0", "127.0.0.2", 0x20, 1, 1 },
};

static void the_kernel_tells_about_each_datagram(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(wire_cases); i++) {
        struct pair p;
        struct udp_in in;
        struct tw_wall before = tw_wall_now();

        pair_open(&p, wire_cases[i].from, wire_cases[i].to);
        put(p.tx, 100,
            &(struct udp_dest){ .to = p.to.local, .tos = wire_cases[i].tos, .ttl = wire_cases[i].ttl });
        assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
        assert_int_equal(recv_some(&p, &p.to), 1);
        udp_rx_get(p.rx, 0, &in);
        if (in.tos != wire_cases[i].tos || in.ttl != wire_cases[i].want_ttl || in.len != 100 ||
            in.truncated || in.source != TW_TS_KERNEL || in.time.ns < before.ns ||
            in.time.ns > tw_wall_now().ns || in.from.port != p.from.local.port ||
            memcmp(in.to.ip, p.to.local.ip, 16) != 0)
            fail_msg("%s: tos %d ttl %d len %zu source %s", wire_cases[i].name, in.tos, in.ttl, in.len,
                     tw_ts_source_name(in.source));
        pair_close(&p);
    }
}

static void answers_from_the_address_that_was_asked(void **state)
{
    static const char *const asked[] = { "127.0.0.1", "127.0.0.77" };
    struct pair p;
    struct udp_in in;

    (void)state;
    pair_open(&p, "127.0.0.1", "0.0.0.0");
    for (size_t i = 0; i < TW_NELEM(asked); i++) {
        struct tw_addr to = addr(asked[i]);
        to.port = p.to.local.port;
        put(p.tx, 50, &(struct udp_dest){ .to = to });
        assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
        udp_tx_clear(p.tx);
        assert_int_equal(recv_some(&p, &p.to), 1);
        udp_rx_get(p.rx, 0, &in);
        put(p.tx, 50, &(struct udp_dest){ .to = in.from, .from = in.to });
        assert_int_equal(udp_tx_send(p.tx, &p.to), 0);
        udp_tx_clear(p.tx);
        assert_int_equal(recv_some(&p, &p.from), 1);
        udp_rx_get(p.rx, 0, &in);
        assert_memory_equal(&in.from, &to, sizeof to);
    }
    pair_close(&p);
}

static void one_refused_message_does_not_hold_up_the_rest(void **state)
{
    static const bool bad[] = { false, true, false, true, true, false }; /* port 0 is refused */
    struct pair p;
    struct udp_in in;

    (void)state;
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct udp_dest d = { .to = p.to.local };
        if (bad[i])
            d.to.port = 0;
        put(p.tx, 20 + i, &d);
    }
    assert_int_equal(udp_tx_send(p.tx, &p.from), 3);
    for (unsigned i = 0; i < TW_NELEM(bad); i++)
        assert_int_equal(udp_tx_error(p.tx, i), bad[i] ? EINVAL : 0);
    assert_int_equal(recv_some(&p, &p.to), 3);
    for (unsigned i = 0, k = 0; i < TW_NELEM(bad); i++) {
        if (bad[i])
            continue;
        udp_rx_get(p.rx, k++, &in);
        assert_int_equal(in.len, 20 + i);
        assert_int_equal(in.data[0], 0x40 + i);
    }
    pair_close(&p);
}

static void a_long_datagram_is_flagged(void **state)
{
    struct pair p;
    struct udp_tx *big;
    struct udp_in in;

    (void)state;
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    assert_int_equal(udp_tx_new(2, BYTES + 1, &big), TW_OK);
    put(big, BYTES, &(struct udp_dest){ .to = p.to.local });
    put(big, BYTES + 1, &(struct udp_dest){ .to = p.to.local });
    assert_true(udp_tx_full(big));
    assert_int_equal(udp_tx_send(big, &p.from), 0);
    assert_int_equal(recv_some(&p, &p.to), 2);
    udp_rx_get(p.rx, 0, &in);
    assert_false(in.truncated);
    udp_rx_get(p.rx, 1, &in);
    assert_true(in.truncated);
    udp_tx_free(big);
    pair_close(&p);
}

/* What an ICMP error left behind is reported by the next call, and must not be taken for its failure. */
static void a_stale_icmp_error_fails_nothing(void **state)
{
    struct pair p;
    struct sockaddr_storage ss;
    struct udpsock gone;
    socklen_t len;

    (void)state;
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    open_at("127.0.0.1", 0, &gone);
    len = tw_addr_to_sockaddr(&gone.local, &ss);
    assert_int_equal(connect(p.from.fd, (struct sockaddr *)&ss, len),
                     0); /* only then are such errors reported */
    udp_close(&gone);
    assert_int_equal(send(p.from.fd, "x", 1, 0), 1);
    put(p.tx, 20, &(struct udp_dest){ .to = p.to.local });
    assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
    assert_int_equal(recv_some(&p, &p.to), 1);
    pair_close(&p);
}

static void drops_of_a_full_buffer_are_counted(void **state)
{
    enum { SENT = 2000 };
    struct pair p;
    uint64_t got = 0, drops = 0;

    (void)state;
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    udp_close(&p.to);
    open_at("127.0.0.1", 4096, &p.to);
    for (int i = 0; i < SENT; i++) {
        put(p.tx, 200, &(struct udp_dest){ .to = p.to.local });
        udp_tx_send(p.tx, &p.from);
        udp_tx_clear(p.tx);
    }
    for (unsigned n; (n = udp_rx_recv(p.rx, &p.to)) > 0;)
        got += n;
    put(p.tx, 200, &(struct udp_dest){ .to = p.to.local }); /* brings the news of the last drops */
    udp_tx_send(p.tx, &p.from);
    got += recv_some(&p, &p.to);
    drops = udp_take_drops(&p.to);
    assert_true(drops > 0);
    assert_int_equal(got + drops, SENT + 1);
    assert_int_equal(udp_take_drops(&p.to), 0);
    pair_close(&p);
}

static void says_what_to_do_when_the_port_is_taken(void **state)
{
    struct udpsock first, other;
    struct udp_conf c = { .reuse_port = true };
    struct tw_err err = { 0 };

    (void)state;
    open_at("127.0.0.1", 0, &first);
    c.local = first.local;
    assert_int_equal(udp_open(&c, &other, &err), TW_EINUSE);
    assert_non_null(strstr(err.text, "choose another port"));
    assert_int_equal(udp_check_free(&first.local, &err), TW_EINUSE);
    udp_close(&first);
    assert_int_equal(udp_check_free(&c.local, &err), TW_OK);
    assert_int_equal(udp_open(&c, &first, &err), TW_OK);
    assert_int_equal(udp_open(&c, &other, &err), TW_OK); /* both want to share */
    assert_int_equal(udp_check_free(&c.local, &err), TW_EINUSE);
    udp_close(&first);
    udp_close(&other);
}

static void says_what_to_do_about_a_foreign_address(void **state)
{
    struct udp_conf c = { .local = addr("192.0.2.1:40000") };
    struct udpsock s;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(udp_open(&c, &s, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "no such address"));
    c.local = (struct tw_addr){ 0 };
    assert_int_equal(udp_open(&c, &s, &err), TW_EINVAL);
}

static int first_unprivileged_port(void)
{
    FILE *f = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
    int port = 1024;

    if (f && fscanf(f, "%d", &port) != 1)
        port = 1024;
    if (f)
        fclose(f);
    return port;
}

static void says_what_to_do_about_a_privileged_port(void **state)
{
    struct udp_conf c = { .local = addr("127.0.0.1:863") };
    int status;
    pid_t pid;

    (void)state;
    if (first_unprivileged_port() <= 863)
        skip();
    pid = fork();
    if (pid == 0) {
        struct udpsock s;
        struct tw_err err = { 0 };
        bool ok = (geteuid() || setuid(65534) == 0) && udp_open(&c, &s, &err) == TW_EPERM &&
                  strstr(err.text, "CAP_NET_BIND_SERVICE");
        _exit(ok ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- Don't Fragment, interfaces ---- */

/* A socket that sees what goes over loopback, from the IP header on. */
static int open_tap(void)
{
    struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(0x0800) };
    int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(0x0800));

    a.sll_ifindex = (int)if_nametoindex("lo");
    if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* The first octets of the next IPv4 packet to that UDP port. */
static void tap_read(int fd, uint16_t port, uint8_t ret[28])
{
    uint8_t buf[64];

    for (;;) {
        struct pollfd pfd = { .fd = fd, .events = POLLIN };
        assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
        if (recv(fd, buf, sizeof buf, 0) >= 28 && buf[0] == 0x45 && buf[9] == IPPROTO_UDP &&
            (buf[22] << 8 | buf[23]) == port)
            break;
    }
    memcpy(ret, buf, 28);
}

static void the_dont_fragment_bit_is_as_asked(void **state)
{
    int back = enter_own_network(65536), tap; /* where nobody else's traffic can fill the tap */

    (void)state;
    if (back < 0)
        skip();
    tap = open_tap();
    assert_true(tap >= 0);
    for (int df = 0; df < 2; df++) {
        struct udp_conf c = { .local = addr("127.0.0.1"), .df = df };
        struct tw_err err = { 0 };
        uint8_t ip[28];
        struct pair p;

        pair_open(&p, "127.0.0.1", "127.0.0.1");
        udp_close(&p.from);
        if (udp_open(&c, &p.from, &err))
            fail_msg("%s", err.text);
        put(p.tx, 100, &(struct udp_dest){ .to = p.to.local, .tos = 0xb8 });
        assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
        tap_read(tap, p.to.local.port, ip);
        assert_int_equal((ip[6] << 8 | ip[7]) & IP_DF, df ? IP_DF : 0);
        assert_int_equal(ip[1], 0xb8);
        pair_close(&p);
    }
    close(tap);
    leave_own_network(back);
}

static const struct {
    const char *name, *at;
    bool df;
    size_t len;
    int error;
} mtu_cases[] = {
    { "IPv4, DF, fits", "127.0.0.1", true, 1472, 0 },
    { "IPv4, DF, one octet too many", "127.0.0.1", true, 1473, EMSGSIZE },
    { "IPv4, may be fragmented", "127.0.0.1", false, 1473, 0 },
    { "IPv4, may be fragmented, large", "127.0.0.1", false, 9000, 0 },
    { "IPv6, DF, fits", "::1", true, 1452, 0 },
    { "IPv6, DF, one octet too many", "::1", true, 1453, EMSGSIZE },
    { "IPv6, may be fragmented", "::1", false, 1453, 0 },
    { "IPv6, may be fragmented, large", "::1", false, 9000, 0 },
};

static void what_must_not_be_fragmented_and_is_too_long_is_refused(void **state)
{
    int back = enter_own_network(1500);

    (void)state;
    if (back < 0)
        skip();
    for (size_t i = 0; i < TW_NELEM(mtu_cases); i++) {
        struct udp_conf c = { .local = addr(mtu_cases[i].at), .df = mtu_cases[i].df };
        struct tw_err err = { 0 };
        struct udp_tx *tx;
        struct udp_rx *rx;
        struct udpsock s, to;
        struct udp_in in;

        open_at(mtu_cases[i].at, 1 << 20, &to);
        if (udp_open(&c, &s, &err))
            fail_msg("%s: %s", mtu_cases[i].name, err.text);
        assert_int_equal(udp_tx_new(1, 9000, &tx), TW_OK);
        assert_int_equal(udp_rx_new(1, 9000, &rx), TW_OK);
        put(tx, mtu_cases[i].len, &(struct udp_dest){ .to = to.local });
        udp_tx_send(tx, &s);
        if (udp_tx_error(tx, 0) != mtu_cases[i].error)
            fail_msg("%s: %s", mtu_cases[i].name, strerror(udp_tx_error(tx, 0)));
        if (!mtu_cases[i].error) {
            struct pollfd pfd = { .fd = to.fd, .events = POLLIN };
            assert_int_equal(poll(&pfd, 1, DEADLINE_MS), 1);
            assert_int_equal(udp_rx_recv(rx, &to), 1);
            udp_rx_get(rx, 0, &in);
            assert_int_equal(in.len, mtu_cases[i].len);
        }
        udp_tx_free(tx);
        udp_rx_free(rx);
        udp_close(&s);
        udp_close(&to);
    }
    leave_own_network(back);
}

static bool deny_interfaces;
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    if (deny_interfaces && level == SOL_SOCKET && name == SO_BINDTODEVICE) {
        errno = EPERM;
        return -1;
    }
    return __real_setsockopt(fd, level, name, value, len);
}

static const struct {
    const char *interface;
    bool denied;
    enum tw_rc rc;
    const char *text;
} interface_cases[] = {
    { "lo", false, TW_OK, "" },
    { "nosuch0", false, TW_EINVAL, "no such interface" },
    { "sixteen-octets-x", false, TW_EINVAL, "at most 15 octets" },
    { "lo", true, TW_EPERM, "CAP_NET_RAW" },
};

static void binds_to_an_interface_or_says_why_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(interface_cases); i++) {
        struct udp_conf c = { .local = addr("127.0.0.1") };
        struct udpsock s = { .fd = -1 };
        struct tw_err err = { 0 };
        char name[UDP_INTERFACE] = "";
        socklen_t len = sizeof name;

        memcpy(c.interface, interface_cases[i].interface,
               strnlen(interface_cases[i].interface, sizeof c.interface));
        deny_interfaces = interface_cases[i].denied;
        if (udp_open(&c, &s, &err) != interface_cases[i].rc || !strstr(err.text, interface_cases[i].text))
            fail_msg("%s: %s", interface_cases[i].interface, err.text);
        deny_interfaces = false;
        if (interface_cases[i].rc)
            continue;
        assert_int_equal(getsockopt(s.fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len), 0);
        assert_string_equal(name, interface_cases[i].interface);
        udp_close(&s);
    }
}

/* ---- Times of network cards ---- */

static bool has_errors(const struct udpsock *s, int wait_ms)
{
    struct pollfd pfd = { .fd = s->fd };

    return poll(&pfd, 1, wait_ms) == 1 && pfd.revents & POLLERR;
}

struct control {
    _Alignas(struct cmsghdr) char room[512];
    size_t len;
};

static void add_cmsg(struct control *c, int level, int type, const void *data, size_t len)
{
    struct cmsghdr *h = (struct cmsghdr *)(void *)(c->room + c->len);

    *h = (struct cmsghdr){ .cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len) };
    memcpy(CMSG_DATA(h), data, len);
    c->len += CMSG_SPACE(len);
}

static struct msghdr with_control(struct control *c)
{
    return (struct msghdr){ .msg_control = c->room, .msg_controllen = c->len };
}

/* What kernels say that have stamps of both kinds, by their documentation: there is no such card here. */
static void a_card_tells_when_a_datagram_came(void **state)
{
    const struct scm_timestamping both = { { { 1795424480, 5 }, { 0, 0 }, { 37, 999999999 } } };
    const struct scm_timestamping raw = { { { 0, 0 }, { 0, 0 }, { 0, 7 } } };
    const struct scm_ts_pktinfo info = { .if_index = 3, .pkt_length = 83 };
    struct control c = { 0 }, d = { 0 };
    struct udp_in in = { .source = TW_TS_USER, .time = { 42 } };
    struct msghdr h;

    (void)state;
    add_cmsg(&c, SOL_SOCKET, SCM_TIMESTAMPING, &both, sizeof both);
    add_cmsg(&c, SOL_SOCKET, SCM_TIMESTAMPING_PKTINFO, &info, sizeof info);
    h = with_control(&c);
    udp_read_control(&h, &in);
    assert_true(in.source == TW_TS_KERNEL && in.time.ns == 1795424480 * TW_NS_PER_S + 5);
    assert_true(in.phc_ns == 37 * TW_NS_PER_S + 999999999 && in.phc_interface == 3);
    in = (struct udp_in){ .source = TW_TS_USER, .time = { 42 } };
    add_cmsg(&d, SOL_SOCKET, SCM_TIMESTAMPING, &raw, sizeof raw);
    h = with_control(&d);
    udp_read_control(&h, &in);
    assert_true(in.source == TW_TS_USER && in.time.ns == 42 && in.phc_ns == 7 && in.phc_interface == 0);
}

static void a_card_tells_when_a_datagram_left(void **state)
{
    static const struct {
        const char *name;
        struct scm_timestamping ts;
        struct sock_extended_err e;
        bool told, hardware;
        int64_t ns;
    } rows[] = {
        { "by software",
          { { { 5, 6 }, { 0, 0 }, { 0, 0 } } },
          { .ee_origin = SO_EE_ORIGIN_TIMESTAMPING, .ee_info = SCM_TSTAMP_SND, .ee_data = 9 },
          true,
          false,
          5 * TW_NS_PER_S + 6 },
        { "by the card",
          { { { 0, 0 }, { 0, 0 }, { 7, 8 } } },
          { .ee_origin = SO_EE_ORIGIN_TIMESTAMPING, .ee_info = SCM_TSTAMP_SND, .ee_data = 9 },
          true,
          true,
          7 * TW_NS_PER_S + 8 },
        { "no time",
          { { { 0, 0 }, { 0, 0 }, { 0, 0 } } },
          { .ee_origin = SO_EE_ORIGIN_TIMESTAMPING, .ee_info = SCM_TSTAMP_SND, .ee_data = 9 },
          false,
          false,
          0 },
        { "when it was queued",
          { { { 5, 6 }, { 0, 0 }, { 0, 0 } } },
          { .ee_origin = SO_EE_ORIGIN_TIMESTAMPING, .ee_info = SCM_TSTAMP_SCHED },
          false,
          false,
          0 },
        { "an ICMP error",
          { { { 5, 6 }, { 0, 0 }, { 0, 0 } } },
          { .ee_origin = SO_EE_ORIGIN_ICMP },
          false,
          false,
          0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct control c = { 0 };
        struct udp_txstamp t = { 0 };
        struct msghdr h;
        add_cmsg(&c, SOL_SOCKET, SCM_TIMESTAMPING, &rows[i].ts, sizeof rows[i].ts);
        add_cmsg(&c, IPPROTO_IP, IP_RECVERR, &rows[i].e, sizeof rows[i].e);
        h = with_control(&c);
        if (udp_read_stamp(&h, &t) != rows[i].told ||
            (rows[i].told && (t.id != 9 || t.hardware != rows[i].hardware || t.time.ns != rows[i].ns)))
            fail_msg("%s: id %u, hardware %d, %lld", rows[i].name, t.id, t.hardware, (long long)t.time.ns);
    }
}

/* On a device without a clock of its own the flags change nothing. */
static void sockets_that_want_a_card_still_have_the_kernel(void **state)
{
    struct udp_conf conf = { .local = addr("127.0.0.1"), .hw_times = true };
    struct udpsock s = { .fd = -1 };
    struct udp_txstamp t[4];
    struct tw_err err = { 0 };
    struct udp_in in;
    struct pair p;
    unsigned n = 0;

    (void)state;
    assert_int_equal(udp_open(&conf, &s, &err), TW_OK);
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    put(p.tx, 50, &(struct udp_dest){ .to = s.local, .want_txstamp = true, .want_hw_time = true });
    assert_int_equal(udp_tx_send(p.tx, &s), 0); /* to itself */
    udp_tx_clear(p.tx);
    while (!n) {
        assert_true(has_errors(&s, DEADLINE_MS));
        n = udp_take_errors(&s, t, TW_NELEM(t));
    }
    assert_true(n == 1 && !t[0].hardware && t[0].id == 0);
    while (!udp_rx_recv(p.rx, &s))
        ;
    udp_rx_get(p.rx, 0, &in);
    assert_true(in.source == TW_TS_KERNEL && !in.phc_ns && in.len == 50);
    udp_close(&s);
    pair_close(&p);
}

static void cards_that_there_are_not(void **state)
{
    static const struct {
        const char *interface, *text;
    } rows[] = {
        { "nosuch0", "no interface \"nosuch0\"" },
        { "a-name-that-is-far-too-long", "no interface" },
        { "lo", "interface lo cannot stamp all packets" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct phc p = { .fd = -7 };
        struct tw_err err = { 0 };
        if (phc_open(rows[i].interface, &p, &err) != TW_EINVAL || !strstr(err.text, rows[i].text))
            fail_msg("%s: %s", rows[i].interface, err.text);
        assert_int_equal(p.fd, -7);
    }
}

/* ---- Send times and the error queue ---- */

static void send_times_come_for_those_that_ask(void **state)
{
    static const char *const at[] = { "127.0.0.1", "::1" };
    static const bool asks[] = { false, true, true, false, true };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(at); k++) {
        struct udp_txstamp t[8];
        struct tw_wall before;
        struct udp_in in;
        struct pair p;

        pair_open(&p, at[k], at[k]);
        for (int round = 0; round < 3; round++) {
            unsigned n = 0, next = 0;

            assert_true(udp_txstamp_ready(&p.from, tw_mono_now()));
            before = tw_wall_now();
            for (size_t i = 0; i < TW_NELEM(asks); i++)
                put(p.tx, 50, &(struct udp_dest){ .to = p.to.local, .tos = 0x20, .want_txstamp = asks[i] });
            assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
            while (n < 3) {
                assert_true(has_errors(&p.from, DEADLINE_MS));
                n += udp_take_errors(&p.from, t + n, TW_NELEM(t) - n);
            }
            assert_false(has_errors(&p.from, 0));
            for (unsigned i = 0; i < TW_NELEM(asks); i++) {
                uint32_t id;
                if (!asks[i]) {
                    assert_false(udp_tx_stamp_id(p.tx, i, &id));
                    continue;
                }
                assert_true(udp_tx_stamp_id(p.tx, i, &id));
                assert_int_equal(t[next].id, id);
                assert_in_range(t[next].time.ns, before.ns, tw_wall_now().ns);
                next++;
            }
            udp_tx_clear(p.tx);
            while (udp_rx_recv(p.rx, &p.to))
                ;
        }
        /* Receive times still come from the kernel, and everything else with them. */
        before = tw_wall_now();
        put(p.tx, 50, &(struct udp_dest){ .to = p.from.local, .tos = 0xb8 });
        assert_int_equal(udp_tx_send(p.tx, &p.to), 0);
        assert_int_equal(recv_some(&p, &p.from), 1);
        udp_rx_get(p.rx, 0, &in);
        assert_int_equal(in.source, TW_TS_KERNEL);
        assert_in_range(in.time.ns, before.ns, tw_wall_now().ns);
        assert_int_equal(in.tos, 0xb8);
        assert_int_equal(in.ttl, 255);
        assert_int_equal(in.to.family, p.from.local.family);
        pair_close(&p);
    }
}

static void a_failure_among_those_that_ask_makes_a_pause(void **state)
{
    struct udp_txstamp t;
    struct tw_mono later;
    struct udp_dest d;
    struct pair p;
    uint32_t id;

    (void)state;
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    d = (struct udp_dest){ .to = p.to.local, .want_txstamp = true };
    assert_true(udp_txstamp_ready(&p.from, tw_mono_now()));
    put(p.tx, 50, &d);
    d.to.port = 0; /* is refused */
    put(p.tx, 50, &d);
    d.to.port = p.to.local.port;
    put(p.tx, 50, &d);
    assert_int_equal(udp_tx_send(p.tx, &p.from), 1);
    assert_true(udp_tx_stamp_id(p.tx, 0, &id));
    assert_int_equal(id, 0);
    assert_false(udp_tx_stamp_id(p.tx, 1, &id));
    assert_false(udp_tx_stamp_id(p.tx, 2, &id)); /* was sent, its number is not certain */
    udp_tx_clear(p.tx);
    assert_false(udp_txstamp_ready(&p.from, tw_mono_now()));
    while (has_errors(&p.from, 0))
        udp_take_errors(&p.from, NULL, 0);
    later.ns = tw_mono_now().ns + 2 * TW_NS_PER_S;
    assert_true(udp_txstamp_ready(&p.from, later));
    put(p.tx, 50, &d);
    assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
    assert_true(udp_tx_stamp_id(p.tx, 0, &id));
    assert_true(has_errors(&p.from, DEADLINE_MS));
    assert_int_equal(udp_take_errors(&p.from, &t, 1), 1);
    assert_int_equal(t.id, id);
    pair_close(&p);
}

static void send_times_that_nobody_takes_are_bounded(void **state)
{
    enum { SENT = 2000 };
    struct udp_txstamp t[64];
    unsigned told = 0, n;
    struct pair p;
    uint32_t id = 0;

    (void)state;
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    udp_close(&p.from);
    open_at("127.0.0.1", 4096, &p.from);
    assert_true(udp_txstamp_ready(&p.from, tw_mono_now()));
    for (int i = 0; i < SENT; i++) {
        put(p.tx, 20, &(struct udp_dest){ .to = p.to.local, .want_txstamp = true });
        assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
        udp_tx_clear(p.tx);
    }
    while ((n = udp_take_errors(&p.from, t, TW_NELEM(t))) > 0)
        told += n;
    assert_in_range(told, 1, SENT / 2);
    put(p.tx, 20, &(struct udp_dest){ .to = p.to.local, .want_txstamp = true });
    assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
    assert_true(udp_tx_stamp_id(p.tx, 0, &id));
    assert_true(has_errors(&p.from, DEADLINE_MS));
    assert_int_equal(udp_take_errors(&p.from, t, TW_NELEM(t)), 1);
    assert_int_equal(t[0].id, id);
    assert_int_equal(id, SENT);
    pair_close(&p);
}

/* Or a socket with an error would keep its owner awake for ever. */
static void errors_can_be_used_up(void **state)
{
    static const struct {
        const char *at;
        int level, name;
    } rows[] = { { "127.0.0.1", IPPROTO_IP, IP_RECVERR }, { "::1", IPPROTO_IPV6, IPV6_RECVERR } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct udp_txstamp t[4];
        struct udpsock gone;
        struct pair p;
        int on = 1;

        pair_open(&p, rows[i].at, rows[i].at);
        assert_int_equal(setsockopt(p.from.fd, rows[i].level, rows[i].name, &on, sizeof on), 0);
        open_at(rows[i].at, 0, &gone);
        udp_close(&gone);
        put(p.tx, 20, &(struct udp_dest){ .to = gone.local });
        assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
        assert_true(has_errors(&p.from, DEADLINE_MS));
        assert_int_equal(udp_take_errors(&p.from, i ? t : NULL, i ? TW_NELEM(t) : 0), 0);
        assert_false(has_errors(&p.from, 0));
        pair_close(&p);
    }
}

/* The kernel begins to stamp what it receives a moment after the first socket of the host has asked for it, and ends with the last
 * one: this one stays open meanwhile. */
static struct udpsock stamping = { .fd = -1 };

static int wait_until_the_kernel_stamps(void **state)
{
    struct tw_mono from = tw_mono_now();
    struct udp_in in = { .source = TW_TS_USER };
    struct pair p;

    (void)state;
    open_at("127.0.0.1", 0, &stamping);
    pair_open(&p, "127.0.0.1", "127.0.0.1");
    while (in.source != TW_TS_KERNEL && tw_mono_now().ns - from.ns < DEADLINE_MS * TW_NS_PER_MS) {
        put(p.tx, 50, &(struct udp_dest){ .to = p.to.local });
        assert_int_equal(udp_tx_send(p.tx, &p.from), 0);
        udp_tx_clear(p.tx);
        assert_int_equal(recv_some(&p, &p.to), 1);
        udp_rx_get(p.rx, 0, &in);
    }
    pair_close(&p);
    return in.source != TW_TS_KERNEL;
}

static int stop_stamping(void **state)
{
    (void)state;
    udp_close(&stamping);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_tells_about_each_datagram),
        cmocka_unit_test(answers_from_the_address_that_was_asked),
        cmocka_unit_test(one_refused_message_does_not_hold_up_the_rest),
        cmocka_unit_test(a_long_datagram_is_flagged),
        cmocka_unit_test(a_stale_icmp_error_fails_nothing),
        cmocka_unit_test(drops_of_a_full_buffer_are_counted),
        cmocka_unit_test(says_what_to_do_when_the_port_is_taken),
        cmocka_unit_test(says_what_to_do_about_a_foreign_address),
        cmocka_unit_test(says_what_to_do_about_a_privileged_port),
        cmocka_unit_test(the_dont_fragment_bit_is_as_asked),
        cmocka_unit_test(what_must_not_be_fragmented_and_is_too_long_is_refused),
        cmocka_unit_test(binds_to_an_interface_or_says_why_not),
        cmocka_unit_test(a_card_tells_when_a_datagram_came),
        cmocka_unit_test(a_card_tells_when_a_datagram_left),
        cmocka_unit_test(sockets_that_want_a_card_still_have_the_kernel),
        cmocka_unit_test(cards_that_there_are_not),
        cmocka_unit_test(send_times_come_for_those_that_ask),
        cmocka_unit_test(a_failure_among_those_that_ask_makes_a_pause),
        cmocka_unit_test(send_times_that_nobody_takes_are_bounded),
        cmocka_unit_test(errors_can_be_used_up),
    };

    return cmocka_run_group_tests(tests, wait_until_the_kernel_stamps, stop_stamping);
}
