#include "tests/bench/bare_reflector.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "agent/core/twamp_pkt.h"
#include "common/net/now.h"

enum { BATCH = 64, ROOM = 2048, CONTROL = 128 };

_Noreturn void bench_die(const char *what)
{
    perror(what);
    exit(1);
}

int bench_udp_socket(uint32_t ip, uint16_t *ret_port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(ip) };
    socklen_t len = sizeof a;
    int buf = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        bench_die("udp socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof buf) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buf, sizeof buf);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

struct batch {
    struct sockaddr_in name[BATCH];
    _Alignas(struct cmsghdr) char control[BATCH][CONTROL];
    uint8_t data[BATCH][ROOM];
    struct iovec iov[BATCH];
    struct mmsghdr in[BATCH], out[BATCH];
    uint32_t seq;
};

static void ready(struct batch *b)
{
    for (int i = 0; i < BATCH; i++) {
        b->iov[i] = (struct iovec){ b->data[i], ROOM };
        b->in[i].msg_hdr = (struct msghdr){ .msg_name = &b->name[i],
                                            .msg_namelen = sizeof b->name[i],
                                            .msg_iov = &b->iov[i],
                                            .msg_iovlen = 1,
                                            .msg_control = b->control[i],
                                            .msg_controllen = CONTROL };
    }
}

static void read_facts(struct msghdr *h, struct tw_wall *ret_t2, uint8_t *ret_ttl)
{
    struct timespec ts;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&ts, CMSG_DATA(c), sizeof ts);
            ret_t2->ns = (int64_t)ts.tv_sec * TW_NS_PER_S + ts.tv_nsec;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
            *ret_ttl = *CMSG_DATA(c);
        }
    }
}

static void answer(struct batch *b, int i)
{
    struct test_probe p;
    struct test_reply a = { .ttl_known = true, .err_est = 1, .seq = b->seq++ };
    struct tw_wall t2 = { 0 };

    twamp_decode_probe(b->data[i], b->in[i].msg_len, &p);
    read_facts(&b->in[i].msg_hdr, &t2, &a.sender_ttl);
    a.t2 = tw_wall_to_ntp(t2);
    a.sender_seq = p.seq;
    a.sender_t1 = p.t1;
    a.sender_err_est = p.err_est;
    a.t3 = tw_wall_to_ntp(tw_wall_now());
    twamp_encode_reply(&a, b->data[i], ROOM);
    b->iov[i].iov_len = b->in[i].msg_len;
    b->out[i].msg_hdr = (struct msghdr){
        .msg_name = &b->name[i], .msg_namelen = sizeof b->name[i], .msg_iov = &b->iov[i], .msg_iovlen = 1
    };
}

static void *reflect(void *arg)
{
    static struct batch b;
    struct bare_reflector *r = arg;

    while (!atomic_load(&r->stop)) {
        int n, sent = 0;

        ready(&b);
        n = recvmmsg(r->fd, b.in, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++)
            answer(&b, i);
        while (sent < n) {
            int k = sendmmsg(r->fd, b.out + sent, (unsigned)(n - sent), 0);
            sent += k > 0 ? k : 1;
        }
    }
    return NULL;
}

void bare_reflector_start(struct bare_reflector *r)
{
    struct timeval tick = { .tv_usec = 100000 }; /* to look at `stop` */
    int on = 1;

    atomic_store(&r->stop, false);
    r->fd = bench_udp_socket(INADDR_LOOPBACK, &r->port);
    if (setsockopt(r->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        setsockopt(r->fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) < 0 ||
        setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) < 0)
        bench_die("reflector socket");
    if (pthread_create(&r->thread, NULL, reflect, r))
        bench_die("thread");
    pthread_setname_np(r->thread, "bare"); /* for profilers */
}

void bare_reflector_stop(struct bare_reflector *r)
{
    atomic_store(&r->stop, true);
    pthread_join(r->thread, NULL);
    close(r->fd);
}
