/* tests/bench/ping.c - the least that a sender of TWAMP Light can do, but with both clocks' readings of each
 * packet: for tests/bench/accuracy, which compares what a round trip is by times of user space and by those
 * of the kernel.
 *
 *     bench_ping ADDRESS:PORT COUNT INTERVAL SIZE
 *
 * Prints a line for each answered probe: seq, T1 of user space (last thing before sending), T1 of the kernel
 * (0: none), T2, T3 as the reflector says, T4 of the kernel, T4 of user space (first thing after receiving).
 */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/twamp_pkt.h"
#include "agent/io/udpsock.h"
#include "common/net/now.h"

#define PATIENCE_NS (300 * TW_NS_PER_MS)

struct ping {
    int64_t t1_user, t1_kernel, t2, t3, t4_kernel, t4_user;
};

struct pinger {
    struct udpsock sock;
    struct udp_rx *rx;
    struct udp_tx *tx;
    struct tw_addr to;
    size_t size;
    struct ping *pings;
    uint32_t count, *asked; /* by id of the send time: seq */
};

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_ping: %s: %s\n", what, why);
    exit(1);
}

static void take_answers(struct pinger *p)
{
    unsigned n = udp_rx_recv(p->rx, &p->sock);
    struct tw_wall now = tw_wall_now();

    for (unsigned i = 0; i < n; i++) {
        struct test_reply a;
        struct udp_in in;
        udp_rx_get(p->rx, i, &in);
        if (twamp_decode_reply(in.data, in.len, &a) || a.sender_seq >= p->count ||
            p->pings[a.sender_seq].t4_user)
            continue;
        p->pings[a.sender_seq].t2 = tw_wall_from_ntp(a.t2, now).ns;
        p->pings[a.sender_seq].t3 = tw_wall_from_ntp(a.t3, now).ns;
        p->pings[a.sender_seq].t4_kernel = in.source == TW_TS_KERNEL ? in.time.ns : 0;
        p->pings[a.sender_seq].t4_user = now.ns;
    }
}

static void take_send_times(struct pinger *p)
{
    struct udp_txstamp s[16];
    unsigned n = udp_take_errors(&p->sock, s, TW_NELEM(s));

    for (unsigned i = 0; i < n; i++)
        p->pings[p->asked[s[i].id % p->count]].t1_kernel = s[i].time.ns;
}

static void listen_until(struct pinger *p, struct tw_mono end)
{
    struct pollfd fd = { .fd = p->sock.fd, .events = POLLIN };

    for (int64_t left; (left = end.ns - tw_mono_now().ns) > 0;) {
        struct timespec t = { left / TW_NS_PER_S, left % TW_NS_PER_S };
        if (ppoll(&fd, 1, &t, NULL) <= 0)
            return;
        if (fd.revents & POLLIN)
            take_answers(p);
        if (fd.revents & POLLERR)
            take_send_times(p);
    }
}

static void send_one(struct pinger *p, uint32_t seq)
{
    struct udp_dest d = { .to = p->to, .want_txstamp = udp_txstamp_ready(&p->sock, tw_mono_now()) };
    struct test_probe probe = { .seq = seq, .err_est = 1 };
    uint8_t *buf = udp_tx_buf(p->tx, 0);
    struct tw_wall now = tw_wall_now();
    uint32_t id;

    probe.t1 = tw_wall_to_ntp(now);
    twamp_encode_probe(&probe, buf, p->size);
    udp_tx_add(p->tx, p->size, &d);
    p->pings[seq].t1_user = now.ns;
    if (udp_tx_send(p->tx, &p->sock))
        die("sending", strerror(udp_tx_error(p->tx, 0)));
    if (udp_tx_stamp_id(p->tx, 0, &id))
        p->asked[id % p->count] = seq;
    udp_tx_clear(p->tx);
}

static void set_up(struct pinger *p, char **argv)
{
    struct udp_conf conf = { .local.family = 4 };
    struct tw_err err = { 0 };

    p->count = (uint32_t)strtoul(argv[2], NULL, 10);
    p->size = strtoul(argv[4], NULL, 10);
    if (tw_addr_parse(argv[1], 0, &p->to) || !p->to.port || !p->count || p->size < TWAMP_REPLY_MIN ||
        p->size > 1400)
        die("arguments", "expected ADDRESS:PORT COUNT INTERVAL SIZE, with a size from 41 to 1400");
    if (udp_open(&conf, &p->sock, &err))
        die("socket", err.text);
    p->pings = calloc(p->count, sizeof *p->pings);
    p->asked = calloc(p->count, sizeof *p->asked);
    if (!p->pings || !p->asked || udp_rx_new(16, 2048, &p->rx) || udp_tx_new(1, p->size, &p->tx))
        die("memory", "there is none");
}

int main(int argc, char **argv)
{
    struct pinger p = { 0 };
    struct tw_mono due;
    int64_t interval;

    if (argc != 5 || tw_duration_parse(argv[3], &interval) || interval <= 0)
        die("arguments", "expected ADDRESS:PORT COUNT INTERVAL SIZE");
    set_up(&p, argv);
    due = tw_mono_now();
    for (uint32_t i = 0; i < p.count; i++) {
        send_one(&p, i);
        due.ns += interval;
        listen_until(&p, due);
    }
    listen_until(&p, (struct tw_mono){ due.ns + PATIENCE_NS });
    for (uint32_t i = 0; i < p.count; i++) {
        const struct ping *g = &p.pings[i];
        if (g->t4_user)
            printf("%u %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 "\n", i,
                   g->t1_user, g->t1_kernel, g->t2, g->t3, g->t4_kernel, g->t4_user);
    }
    udp_rx_free(p.rx);
    udp_tx_free(p.tx);
    udp_close(&p.sock);
    free(p.pings);
    free(p.asked);
    return 0;
}
