/* tests/bench/reflector.c - what does our reflector cost, compared with the least that a reflector could do?
 *
 * One load generator (CPU 0) keeps a window of probes outstanding against, in turn, the worker's reflector
 * and a bare echo that does nothing but recvmmsg() and sendmmsg() with the same batch, kernel receive times
 * and TTL (CPU 1). All on 127.0.0.1. The generator sends with UDP segmentation offload, so that it is not
 * what limits the rate. The rounds alternate and neighbouring ones are compared. Not part of ctest: it
 * wants the machine for itself.
 *
 *     bench_reflector [--seconds N] [--rounds N] [--flows N] [--size OCTETS] */
#include <errno.h>
#include <getopt.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/core/twamp_pkt.h"
#include "agent/io/worker.h"
#include "common/net/now.h"

enum { BATCH = 64, WINDOW = 32, FLOWS_MAX = 1024, SIZE_MAX_OCTETS = 1400, ROUNDS_MAX = 99 };
#define STALL_NS (50 * TW_NS_PER_MS) /* no answer for so long: what is outstanding was lost */

static struct {
    double seconds; /* per round */
    int rounds, flows, size;
} opt = { 0.5, 21, 16, 64 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &set);
    pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

static int udp_socket(uint16_t *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    int buf = 4 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        die("udp socket");
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buf, sizeof buf) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buf, sizeof buf);
    *port = ntohs(a.sin_port);
    return fd;
}

/* ---- The bare echo ---- */

struct echo {
    pthread_t thread;
    int fd;
    uint16_t port;
    _Atomic bool stop;
};

static void *echo_main(void *arg)
{
    static struct sockaddr_in name[BATCH];
    static char control[BATCH][128], data[BATCH][2048];
    static struct iovec iov[BATCH];
    static struct mmsghdr in[BATCH], out[BATCH];
    struct echo *e = arg;

    for (int i = 0; i < BATCH; i++)
        iov[i].iov_base = data[i];
    while (!atomic_load(&e->stop)) {
        int n, sent = 0;

        for (int i = 0; i < BATCH; i++) {
            iov[i].iov_len = sizeof data[i];
            in[i].msg_hdr = (struct msghdr){ .msg_name = &name[i],
                                             .msg_namelen = sizeof name[i],
                                             .msg_iov = &iov[i],
                                             .msg_iovlen = 1,
                                             .msg_control = control[i],
                                             .msg_controllen = sizeof control[i] };
        }
        n = recvmmsg(e->fd, in, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++) {
            iov[i].iov_len = in[i].msg_len;
            out[i].msg_hdr = (struct msghdr){
                .msg_name = &name[i], .msg_namelen = sizeof name[i], .msg_iov = &iov[i], .msg_iovlen = 1
            };
        }
        while (sent < n) {
            int k = sendmmsg(e->fd, out + sent, (unsigned)(n - sent), 0);
            sent += k > 0 ? k : 1;
        }
    }
    return NULL;
}

static void echo_start(struct echo *e)
{
    struct timeval tick = { .tv_usec = 100000 }; /* to look at `stop` */
    int on = 1;

    atomic_store(&e->stop, false);
    e->fd = udp_socket(&e->port);
    if (setsockopt(e->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        setsockopt(e->fd, IPPROTO_IP, IP_RECVTTL, &on, sizeof on) < 0 ||
        setsockopt(e->fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof tick) < 0)
        die("echo socket");
    if (pthread_create(&e->thread, NULL, echo_main, e))
        die("thread");
}

static void echo_stop(struct echo *e)
{
    atomic_store(&e->stop, true);
    pthread_join(e->thread, NULL);
    close(e->fd);
}

/* ---- Load ---- */

struct load {
    struct pollfd fd[FLOWS_MAX];
    int outstanding[FLOWS_MAX];
    uint64_t answers, lost;
};

static void load_open(struct load *l, uint16_t port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
    uint16_t own;

    memset(l, 0, sizeof *l);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < opt.flows; i++) {
        l->fd[i] = (struct pollfd){ .fd = udp_socket(&own), .events = POLLIN };
        if (connect(l->fd[i].fd, (struct sockaddr *)&to, sizeof to) < 0 ||
            setsockopt(l->fd[i].fd, IPPROTO_UDP, UDP_SEGMENT, &opt.size, sizeof opt.size) < 0)
            die("load socket");
    }
}

static void load_close(struct load *l)
{
    for (int i = 0; i < opt.flows; i++)
        close(l->fd[i].fd);
}

static void send_probes(struct load *l, int flow, int n)
{
    static uint8_t burst[WINDOW * SIZE_MAX_OCTETS];
    const struct test_probe p = { .t1 = tw_wall_to_ntp(tw_wall_now()), .err_est = 1 };

    for (int i = 0; i < n; i++)
        twamp_encode_probe(&p, burst + i * opt.size, TWAMP_PROBE_MIN);
    if (send(l->fd[flow].fd, burst, (size_t)(n * opt.size), 0) > 0)
        l->outstanding[flow] += n;
}

static void take_answers(struct load *l, int flow)
{
    static char data[BATCH][SIZE_MAX_OCTETS];
    static struct iovec iov[BATCH];
    static struct mmsghdr hdr[BATCH];
    int n;

    for (int i = 0; i < BATCH; i++) {
        iov[i] = (struct iovec){ data[i], sizeof data[i] };
        hdr[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
    }
    n = recvmmsg(l->fd[flow].fd, hdr, BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return;
    l->answers += (unsigned)n;
    l->outstanding[flow] -= n < l->outstanding[flow] ? n : l->outstanding[flow];
}

/* A flow sends again when half of its window has come back, so that bursts stay bursts. */
static void one_turn(struct load *l)
{
    for (int i = 0; i < opt.flows; i++) {
        if (l->outstanding[i])
            take_answers(l, i);
        if (l->outstanding[i] <= WINDOW / 2)
            send_probes(l, i, WINDOW - l->outstanding[i]);
    }
}

static void write_off(struct load *l)
{
    for (int i = 0; i < opt.flows; i++) {
        l->lost += (unsigned)l->outstanding[i];
        l->outstanding[i] = 0;
    }
}

static void run_load(struct load *l)
{
    struct tw_mono now = tw_mono_now(), end = { now.ns + (int64_t)(opt.seconds * 1e9) }, last = now;

    while (now.ns < end.ns) {
        uint64_t before = l->answers;

        one_turn(l);
        now = tw_mono_now();
        if (l->answers != before) {
            last = now;
        } else if (now.ns - last.ns > STALL_NS) {
            write_off(l);
            last = now;
        }
    }
}

/* ---- Rounds ---- */

struct result {
    double rate, cpu_us, lost; /* replies/s, microseconds of the reflector's CPU per reply */
};

static double cpu_seconds(int who)
{
    struct rusage u;

    getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static struct result measure(uint16_t port)
{
    static struct load l;
    double all, own;

    load_open(&l, port);
    all = cpu_seconds(RUSAGE_SELF);
    own = cpu_seconds(RUSAGE_THREAD);
    run_load(&l);
    all = cpu_seconds(RUSAGE_SELF) - all;
    own = cpu_seconds(RUSAGE_THREAD) - own;
    load_close(&l);
    return (struct result){ (double)l.answers / opt.seconds, (all - own) * 1e6 / (double)l.answers,
                            (double)l.lost };
}

static struct result round_worker(void)
{
    struct worker_cfg cfg = { .max_sessions = 16 };
    struct worker *w;
    struct tw_addr at;
    struct tw_err err = { 0 };
    struct result r;

    tw_addr_parse("0.0.0.0", 0, &cfg.reflect[0]); /* as agents do: the dearer case, source address and all */
    pin(1);                                       /* the thread inherits it */
    if (worker_start(&cfg, &w, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    pin(0);
    worker_reflector_addr(w, 0, &at);
    r = measure(at.port);
    worker_free(w);
    return r;
}

static struct result round_echo(void)
{
    struct echo e;
    struct result r;

    pin(1);
    echo_start(&e);
    pin(0);
    r = measure(e.port);
    echo_stop(&e);
    return r;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static double median(double *v)
{
    qsort(v, (size_t)opt.rounds, sizeof *v, by_value);
    return v[opt.rounds / 2];
}

static void print(const char *name, const struct result *r)
{
    printf("%-16s %10.0f %14.2f %8.0f\n", name, r->rate, r->cpu_us, r->lost);
}

static void parse(int argc, char **argv)
{
    static const struct option rows[] = { { "seconds", 1, NULL, 's' },
                                          { "rounds", 1, NULL, 'r' },
                                          { "flows", 1, NULL, 'f' },
                                          { "size", 1, NULL, 'z' },
                                          { 0 } };
    bool ok = true;

    for (int c; (c = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        if (c == 's')
            opt.seconds = atof(optarg);
        else if (c == 'r')
            opt.rounds = atoi(optarg);
        else if (c == 'f')
            opt.flows = atoi(optarg);
        else if (c == 'z')
            opt.size = atoi(optarg);
        else
            ok = false;
    }
    if (!ok || opt.seconds <= 0 || opt.rounds < 1 || opt.rounds > ROUNDS_MAX || opt.flows < 1 ||
        opt.flows > FLOWS_MAX || opt.size < TWAMP_REPLY_MIN || opt.size > SIZE_MAX_OCTETS) {
        fprintf(stderr, "usage: bench_reflector [--seconds N] [--rounds N] [--flows N] [--size OCTETS]\n");
        exit(2);
    }
}

/* Neighbouring rounds saw the same machine: their ratios are steadier than the rates. */
static void compare(const struct result *bare, const struct result *ours)
{
    static double rate[2][ROUNDS_MAX], cpu[2][ROUNDS_MAX], ratio[ROUNDS_MAX], cpu_ratio[ROUNDS_MAX];

    for (int i = 0; i < opt.rounds; i++) {
        rate[0][i] = bare[i].rate;
        rate[1][i] = ours[i].rate;
        cpu[0][i] = bare[i].cpu_us;
        cpu[1][i] = ours[i].cpu_us;
        ratio[i] = ours[i].rate / bare[i].rate;
        cpu_ratio[i] = ours[i].cpu_us / bare[i].cpu_us;
    }
    print("median bare echo", &(struct result){ median(rate[0]), median(cpu[0]), 0 });
    print("median worker", &(struct result){ median(rate[1]), median(cpu[1]), 0 });
    printf("median ratio of rates %.3f (goal 0.80), of CPU per reply %.2f\n", median(ratio),
           median(cpu_ratio));
}

int main(int argc, char **argv)
{
    static struct result ours[ROUNDS_MAX], bare[ROUNDS_MAX];

    parse(argc, argv);
    printf("%-16s %10s %14s %8s\n", "round", "replies/s", "CPU us/reply", "lost");
    for (int i = 0; i < opt.rounds; i++) {
        bare[i] = round_echo();
        print("bare echo", &bare[i]);
        ours[i] = round_worker();
        print("worker", &ours[i]);
    }
    compare(bare, ours);
    return 0;
}
