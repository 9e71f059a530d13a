#include "tests/bench/reflector_load.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/core/twamp_pkt.h"
#include "common/net/now.h"
#include "tests/bench/bare_reflector.h"

enum { BATCH = 64, WINDOW = 32 };
#define STALL_NS (50 * TW_NS_PER_MS) /* no answer for so long: what is outstanding was lost */

struct load {
    struct sockaddr_in to;
    int peers, sockets, size;
    bool singles, own_addresses;
    double rate;
    struct tw_mono began;
    int fd[LOAD_SOCKETS], outstanding[LOAD_SOCKETS], next_peer[LOAD_SOCKETS];
    struct load_result sum;
};

static void open_sockets(struct load *l)
{
    uint16_t own;

    for (int i = 0; i < l->sockets; i++) {
        l->fd[i] = bench_udp_socket(INADDR_ANY, &own);
        if (!l->singles && setsockopt(l->fd[i], IPPROTO_UDP, UDP_SEGMENT, &l->size, sizeof l->size) < 0)
            bench_die("load socket");
    }
}

static void encode(const struct load *l, uint8_t *at)
{
    const struct test_probe p = { .t1 = tw_wall_to_ntp(tw_wall_now()), .err_est = 1 };

    twamp_encode_probe(&p, at, (size_t)l->size);
}

/* All from one peer, in one piece. */
static void send_burst(struct load *l, int s, int n)
{
    static uint8_t burst[WINDOW * LOAD_SIZE_MAX];

    for (int i = 0; i < n; i++)
        encode(l, burst + i * l->size);
    if (sendto(l->fd[s], burst, (size_t)(n * l->size), 0, (struct sockaddr *)&l->to, sizeof l->to) > 0)
        l->outstanding[s] += n, l->sum.sent += (unsigned)n;
}

struct from {
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* From 127.1.0.0 on: the peers of a socket in turn. */
static void put_from(struct from *f, struct msghdr *h, int number)
{
    struct in_pktinfo info = { .ipi_spec_dst.s_addr = htonl(0x7f010001 + (uint32_t)number) };
    struct cmsghdr *c;

    h->msg_control = f->control;
    h->msg_controllen = sizeof f->control;
    c = CMSG_FIRSTHDR(h);
    c->cmsg_level = IPPROTO_IP;
    c->cmsg_type = IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
}

static void send_singles(struct load *l, int s, int n)
{
    static uint8_t data[WINDOW][LOAD_SIZE_MAX];
    static struct mmsghdr hdr[WINDOW];
    static struct iovec iov[WINDOW];
    static struct from from[WINDOW];
    int per_socket = l->peers / l->sockets, sent;

    for (int i = 0; i < n; i++) {
        encode(l, data[i]);
        iov[i] = (struct iovec){ data[i], (size_t)l->size };
        hdr[i].msg_hdr = (struct msghdr){
            .msg_name = &l->to, .msg_namelen = sizeof l->to, .msg_iov = &iov[i], .msg_iovlen = 1
        };
        if (l->own_addresses)
            put_from(&from[i], &hdr[i].msg_hdr, l->next_peer[s]);
        l->next_peer[s] = (l->next_peer[s] + 1) % per_socket;
    }
    sent = sendmmsg(l->fd[s], hdr, (unsigned)n, 0);
    if (sent > 0)
        l->outstanding[s] += sent, l->sum.sent += (unsigned)sent;
}

static void take_answers(struct load *l, int s)
{
    static char data[BATCH][LOAD_SIZE_MAX];
    static struct iovec iov[BATCH];
    static struct mmsghdr hdr[BATCH];
    int n;

    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){ data[i], sizeof data[i] };
        hdr[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
    }
    n = recvmmsg(l->fd[s], hdr, BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return;
    l->sum.answers += (unsigned)n;
    l->outstanding[s] -= n < l->outstanding[s] ? n : l->outstanding[s];
}

static bool is_ahead(const struct load *l)
{
    return l->rate > 0 && (double)l->sum.sent > (double)(tw_mono_now().ns - l->began.ns) / 1e9 * l->rate;
}

/* How many probes socket s is to send now. With a rate nothing waits for answers. */
static int turn(const struct load *l, int s)
{
    if (l->rate > 0)
        return is_ahead(l) ? 0 : WINDOW / 2;
    return l->outstanding[s] > WINDOW / 2 ? 0 : WINDOW - l->outstanding[s];
}

/* A socket sends again when half of its window has come back, so that bursts stay bursts. */
static void one_turn(struct load *l)
{
    for (int s = 0; s < l->sockets; s++) {
        int n;

        if (l->outstanding[s])
            take_answers(l, s);
        n = turn(l, s);
        if (n && l->singles)
            send_singles(l, s, n);
        else if (n)
            send_burst(l, s, n);
    }
}

static void write_off(struct load *l)
{
    for (int s = 0; s < l->sockets; s++) {
        l->sum.lost += (unsigned)l->outstanding[s];
        l->outstanding[s] = 0;
    }
}

struct load_result load_run(const struct load_cfg *c)
{
    struct load l = {
        .to = { .sin_family = AF_INET, .sin_port = htons(c->port), .sin_addr.s_addr = htonl(c->ip) },
        .peers = c->peers,
        .sockets = c->peers < LOAD_SOCKETS ? c->peers : LOAD_SOCKETS,
        .size = c->size,
        .singles = c->singles || c->peers > LOAD_SOCKETS,
        .own_addresses = c->peers > LOAD_SOCKETS,
        .rate = c->rate,
        .began = tw_mono_now()
    };
    struct tw_mono now = l.began, end = { now.ns + (int64_t)(c->seconds * 1e9) }, last = now;

    open_sockets(&l);
    while (now.ns < end.ns) {
        uint64_t before = l.sum.answers;

        one_turn(&l);
        now = tw_mono_now();
        if (l.sum.answers != before) {
            last = now;
        } else if (now.ns - last.ns > STALL_NS) {
            write_off(&l);
            last = now;
        }
    }
    for (int s = 0; s < l.sockets; s++)
        close(l.fd[s]);
    return l.sum;
}
