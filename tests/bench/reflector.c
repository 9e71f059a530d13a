/* tests/bench/reflector.c - what does our reflector cost, compared with the least that a reflector could do,
 * and how do both grow with the number of peers?
 *
 * One load generator (CPU 0) keeps a window of probes outstanding against, in turn, the worker's reflector
 * and a bare one (bare_reflector.h; CPU 1). All on loopback. The rounds alternate and neighbouring ones are
 * compared: they saw the same machine, so their ratios are steadier than the rates. Not part of ctest: it
 * wants the machine for itself.
 *
 * With --limits N our reflector with an access list of N ranges and a token bucket for each source is compared with
 * our reflector without.
 *
 *     bench_reflector [--seconds N] [--rounds N] [--peers N]... [--size OCTETS] [--limits N] */
#include <getopt.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>
#include "agent/core/twamp_pkt.h"
#include "agent/io/worker.h"
#include "common/net/now.h"
#include "tests/bench/bare_reflector.h"
#include "tests/bench/reflector_load.h"
#include "tests/bench/cpu.h"

enum { ROUNDS_MAX = 99, COUNTS_MAX = 16 };

static struct {
    double seconds; /* per round */
    int rounds, size, limits;
    int peers[COUNTS_MAX], n_peers;
} opt = { .seconds = 0.5, .rounds = 5, .size = 64 };

/* ---- Rounds ---- */

struct result {
    double rate, cpu_us,
        lost; /* replies/s, microseconds of the reflector's CPU per reply, share of the probes */
};

static struct result measure(uint16_t port, int peers)
{
    double all = bench_cpu_seconds(RUSAGE_SELF), own = bench_cpu_seconds(RUSAGE_THREAD);
    struct load_result l = load_run(&(struct load_cfg){
        .ip = INADDR_LOOPBACK, .port = port, .peers = peers, .size = opt.size, .seconds = opt.seconds });

    all = bench_cpu_seconds(RUSAGE_SELF) - all;
    own = bench_cpu_seconds(RUSAGE_THREAD) - own;
    return (struct result){ (double)l.answers / opt.seconds, (all - own) * 1e6 / (double)l.answers,
                            (double)l.lost / (double)(l.answers + l.lost) };
}

/* Each second /28 of 10.0.0.0/8 is kept out; nobody of the load is. */
static struct acl *list_of(int n)
{
    struct acl_rules rules = { 0 };
    struct acl *a = NULL;
    char text[40];

    for (int i = 0; i < n; i++) {
        snprintf(text, sizeof text, "10.%d.%d.%d/28", i >> 11 & 255, i >> 3 & 255, (i & 7) << 5);
        if (acl_rules_add(&rules, false, text, NULL))
            exit(1);
    }
    if (acl_new(&rules, &a, NULL))
        exit(1);
    acl_rules_free(&rules);
    return a;
}

static struct result round_worker(int peers, struct acl *acl, struct source_limit *limit)
{
    struct worker_cfg cfg = { .max_sessions = 16, .acl = acl, .limit = limit };
    struct worker *w;
    struct tw_addr at;
    struct tw_err err = { 0 };
    struct result r;

    tw_addr_parse("0.0.0.0", 0, &cfg.reflect[0]); /* as agents do: the dearer case, source address and all */
    bench_pin(1);                                 /* the thread inherits it */
    if (worker_start(&cfg, &w, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    bench_pin(0);
    worker_reflector_addr(w, 0, &at);
    r = measure(at.port, peers);
    worker_free(w);
    return r;
}

static struct result round_limited(int peers)
{
    const struct source_limit_cfg c = { .per_second = 10000000, .hash_seed = 1 }; /* the load comes from one source */
    struct source_limit *limit;
    struct acl *acl = list_of(opt.limits);
    struct result r;

    if (source_limit_new(&c, &limit))
        exit(1);
    r = round_worker(peers, acl, limit);
    source_limit_free(limit);
    acl_free(acl);
    return r;
}

static struct result round_bare(int peers)
{
    struct bare_reflector b;
    struct result r;

    bench_pin(1);
    bare_reflector_start(&b);
    bench_pin(0);
    r = measure(b.port, peers);
    bare_reflector_stop(&b);
    return r;
}

/* ---- Table ---- */

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

static void print_row(int peers, const struct result *bare, const struct result *ours)
{
    static double v[6][ROUNDS_MAX];
    double lost = 0;

    for (int i = 0; i < opt.rounds; i++) {
        v[0][i] = bare[i].rate;
        v[1][i] = ours[i].rate;
        v[2][i] = ours[i].rate / bare[i].rate;
        v[3][i] = bare[i].cpu_us;
        v[4][i] = ours[i].cpu_us;
        v[5][i] = ours[i].cpu_us / bare[i].cpu_us;
        lost += ours[i].lost / opt.rounds;
    }
    printf("%7d %10.0f %10.0f %7.3f %11.2f %11.2f %7.2f %9.6f\n", peers, median(v[0]), median(v[1]),
           median(v[2]), median(v[3]), median(v[4]), median(v[5]), lost);
    fflush(stdout);
}

static void parse(int argc, char **argv)
{
    static const struct option rows[] = { { "seconds", 1, NULL, 's' },
                                          { "rounds", 1, NULL, 'r' },
                                          { "peers", 1, NULL, 'p' },
                                          { "size", 1, NULL, 'z' },
                                          { "limits", 1, NULL, 'l' },
                                          { 0 } };
    bool ok = true;

    for (int c; (c = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        if (c == 's')
            opt.seconds = atof(optarg);
        else if (c == 'r')
            opt.rounds = atoi(optarg);
        else if (c == 'p' && opt.n_peers < COUNTS_MAX)
            ok = ok && (opt.peers[opt.n_peers++] = atoi(optarg)) >= 1 && atoi(optarg) <= LOAD_PEERS_MAX;
        else if (c == 'l')
            ok = ok && (opt.limits = atoi(optarg)) >= 1 && opt.limits <= ACL_RULES_MAX;
        else if (c == 'z')
            opt.size = atoi(optarg);
        else
            ok = false;
    }
    if (!ok || opt.seconds <= 0 || opt.rounds < 1 || opt.rounds > ROUNDS_MAX || opt.size < TWAMP_REPLY_MIN ||
        opt.size > LOAD_SIZE_MAX) {
        fprintf(stderr, "usage: bench_reflector [--seconds N] [--rounds N] [--peers N]... [--size OCTETS] "
                        "[--limits N]\n");
        exit(2);
    }
    if (opt.n_peers)
        return;
    for (int n = 1; n <= 10000; n *= 10)
        opt.peers[opt.n_peers++] = n;
}

int main(int argc, char **argv)
{
    static struct result ours[ROUNDS_MAX], bare[ROUNDS_MAX];

    parse(argc, argv);
    if (opt.limits)
        printf("bare: without limits; ours: with an access list of %d ranges, and a bucket per source\n", opt.limits);
    printf("%7s %10s %10s %7s %11s %11s %7s %9s\n", "peers", "bare 1/s", "ours 1/s", "ratio", "bare CPU us",
           "ours CPU us", "ratio", "lost");
    for (int p = 0; p < opt.n_peers; p++) {
        for (int i = 0; i < opt.rounds; i++) {
            bare[i] = opt.limits ? round_worker(opt.peers[p], NULL, NULL) : round_bare(opt.peers[p]);
            ours[i] = opt.limits ? round_limited(opt.peers[p]) : round_worker(opt.peers[p], NULL, NULL);
        }
        print_row(opt.peers[p], bare, ours);
    }
    printf("medians of %d rounds; goals: 0.90 of the replies/s, 1.15 of the CPU per reply\n", opt.rounds);
    return 0;
}
