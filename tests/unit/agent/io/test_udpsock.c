#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/io/udpsock.h"
#include "common/net/now.h"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
