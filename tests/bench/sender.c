/* tests/bench/sender.c - do many sessions leave on time from one core, and what does it cost?
 *
 * One worker (pinned to CPU 1) runs 500 sessions at 5,000 probes/s, then 5,000 at 50,000, to a worker's
 * reflector (CPU 0), each session to an address of its own on loopback, as in a mesh; with and without
 * --precise. Then the same rates are asked of irtt (Debian package), which has one session per process: as
 * many clients at an interval of a millisecond as make up the rate, its server on CPU 0, its clients on
 * CPU 1. The lateness is what each of them says itself: the time in the probe against the time it was due;
 * a probe that was left out is later than any bound. Not part of ctest: it wants the machine for itself.
 *
 *     bench_sender [--seconds N] [--no-irtt] */
#include "tests/bench/sender.h"

#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "agent/io/worker_priv.h"
#include "common/net/now.h"
#include "common/splitmix.h"
#include "tests/bench/cpu.h"

#define WARM_UP_NS (500 * TW_NS_PER_MS)
#define PERIOD_NS TW_NS_PER_S
#define TIMEOUT_NS TW_NS_PER_S
#define PATIENCE_NS (10 * TW_NS_PER_S)

static struct {
    double seconds;
    bool irtt;
} opt = { 3, true };

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_sender: %s: %s\n", what, why);
    exit(1);
}

/* ---- Our sender ---- */

struct bench {
    struct loop *loop;
    struct worker *sender, *reflector;
    struct tw_addr at; /* of the reflector */
    struct tw_summary scratch, sum;
    int64_t from_ns, to_ns; /* wall clock: what counts */
    unsigned ended;
};

static void collect(void *ctx)
{
    struct bench *b = ctx;
    struct worker_notice n;

    while (worker_next_notice(b->sender, &n) == TW_OK)
        b->ended++;
    while (worker_next_summary(b->sender, &b->scratch) == TW_OK)
        if (b->scratch.start_ns >= b->from_ns && b->scratch.end_ns <= b->to_ns)
            summary_merge(&b->sum, &b->scratch);
}

static struct worker *start(const struct worker_cfg *cfg, int cpu)
{
    struct tw_err err = { 0 };
    struct worker *w;

    bench_pin(cpu); /* the thread inherits it */
    if (worker_start(cfg, &w, &err))
        die("worker", err.text);
    bench_pin(OTHER_CPU);
    return w;
}

static void open_bench(struct bench *b, unsigned flows, bool precise)
{
    struct worker_cfg reflector = { .max_sessions = 1 }, sender = { .on_results = collect, .ctx = b };

    memset(b, 0, sizeof *b);
    summary_init(&b->scratch);
    summary_init(&b->sum);
    if (loop_new(&b->loop))
        die("loop", "out of memory");
    tw_addr_parse("0.0.0.0", 0, &reflector.reflect[0]);
    b->reflector = start(&reflector, OTHER_CPU);
    worker_reflector_addr(b->reflector, 0, &b->at);
    sender.loop = b->loop;
    sender.max_sessions = flows;
    sender.precise = precise;
    b->sender = start(&sender, SENDER_CPU);
}

static void close_bench(struct bench *b)
{
    worker_free(b->sender);
    worker_free(b->reflector);
    loop_free(b->loop);
    summary_free(&b->scratch);
    summary_free(&b->sum);
}

static void run_loop_to(struct bench *b, int64_t end_ns)
{
    static const bool never = false;

    loop_run_until(b->loop, &never, (struct tw_mono){ end_ns });
}

/* 127.1.0.0/16: loopback answers for all of it. */
static struct tw_addr target_of(const struct bench *b, unsigned i)
{
    struct tw_addr a = b->at;

    a.ip[0] = 127;
    a.ip[1] = 1;
    a.ip[2] = (uint8_t)(i >> 8);
    a.ip[3] = (uint8_t)i;
    return a;
}

static void add_flow(struct bench *b, const struct sender_load *load, unsigned i)
{
    uint64_t random = i;
    struct worker_session ws = { .target = target_of(b, i + 1),
                                 .cfg = { .pair_id = i + 1,
                                          .spacing_ns = load->spacing_ns,
                                          .size_bytes = 100,
                                          .timeout_ns = TIMEOUT_NS,
                                          .report_period_ns = PERIOD_NS,
                                          .seed = i,
                                          .reflector_stateful = true } };
    int64_t deadline = tw_mono_now().ns + PATIENCE_NS;
    enum tw_rc rc;

    ws.cfg.phase_ns = (int64_t)(tw_splitmix64(&random) % (uint64_t)load->spacing_ns);
    while ((rc = worker_add(b->sender, &ws)) == TW_EBUSY && tw_mono_now().ns < deadline)
        run_loop_to(b, tw_mono_now().ns + TW_NS_PER_MS);
    if (rc)
        die("worker_add", tw_rc_name(rc));
}

static struct worker_counters counters(const struct bench *b)
{
    struct worker_counters c;

    worker_counters(b->sender, &c);
    return c;
}

static double thread_cpu(const struct worker *w)
{
    struct timespec t;
    clockid_t id;

    if (pthread_getcpuclockid(w->thread, &id) || clock_gettime(id, &t))
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t drops(const struct bench *b)
{
    struct worker_counters c;

    worker_counters(b->reflector, &c);
    return c.rxq_drops + counters(b).sender_rxq_drops;
}

static double us_at(const struct hist *h, double percent)
{
    int64_t ns = 0;

    hist_percentile(h, percent, &ns);
    return (double)ns / 1e3;
}

/* What was not sent at all is later than any bound. */
static double share_later(const struct hist *h, int64_t bound_ns, uint64_t due)
{
    uint64_t in_time = hist_count_le(h, bound_ns);

    return due > in_time ? (double)(due - in_time) / (double)due : 0;
}

void sender_lateness(const struct hist *h, struct sender_result *ret)
{
    ret->later_100us = share_later(h, 100 * TW_NS_PER_US, ret->due);
    ret->later_1ms = share_later(h, TW_NS_PER_MS, ret->due);
    ret->p50_us = us_at(h, 50);
    ret->p99_us = us_at(h, 99);
    ret->max_us = us_at(h, 100);
}

static void fill_result(const struct bench *b, struct sender_result *ret)
{
    const struct tw_summary *s = &b->sum;

    ret->sent = s->sent;
    ret->skipped = s->skipped;
    ret->refused = s->send_errors;
    ret->due = s->sent + s->skipped + s->send_errors;
    ret->lost = s->lost_forward + s->lost_backward + s->lost_unknown;
    sender_lateness(&s->send_lateness, ret);
}

/* Whole seconds by the wall clock, so that whole report periods are what counts: neither the start of
 * thousands of sessions nor their end. */
static void run_flows(struct bench *b, const struct sender_load *load, struct sender_result *ret)
{
    int64_t offset = tw_wall_now().ns - tw_mono_now().ns, from, to;
    double cpu;

    from = (tw_wall_now().ns + WARM_UP_NS) / PERIOD_NS * PERIOD_NS + PERIOD_NS;
    to = from + (int64_t)load->seconds * PERIOD_NS;
    b->from_ns = from;
    b->to_ns = to;
    run_loop_to(b, from - offset);
    cpu = thread_cpu(b->sender);
    ret->drops = -drops(b);
    run_loop_to(b, to - offset);
    ret->drops += drops(b);
    ret->cpu = (thread_cpu(b->sender) - cpu) / (double)(int64_t)load->seconds;
    run_loop_to(b, to - offset + TIMEOUT_NS + PERIOD_NS);
}

static void end_flows(struct bench *b, unsigned n)
{
    int64_t deadline = tw_mono_now().ns + PATIENCE_NS;

    for (unsigned i = 0; i < n; i++)
        while (worker_remove(b->sender, i + 1, 0) == TW_EBUSY)
            run_loop_to(b, tw_mono_now().ns + TW_NS_PER_MS);
    while (b->ended < n && tw_mono_now().ns < deadline)
        run_loop_to(b, tw_mono_now().ns + 10 * TW_NS_PER_MS);
    collect(b);
    if (b->ended < n || counters(b).summaries_lost)
        die("sessions", "they did not end, or results were lost");
}

static int64_t due_in(const struct sender_load *load)
{
    return (int64_t)load->seconds * TW_NS_PER_S / load->spacing_ns * load->flows;
}

static void sender_ours(const struct sender_load *load, bool precise, struct sender_result *ret)
{
    struct bench b;

    open_bench(&b, load->flows, precise);
    for (unsigned i = 0; i < load->flows; i++)
        add_flow(&b, load, i);
    run_flows(&b, load, ret);
    end_flows(&b, load->flows);
    fill_result(&b, ret);
    close_bench(&b);
    if (llabs((int64_t)ret->due - due_in(load)) > load->flows) /* one that is late counts when it was sent */
        die("sessions", "the results are not of every probe that was due");
}

/* ---- Table ---- */

static void print(const struct sender_load *load, const struct sender_result *r)
{
    printf("%-22s %5u %7.0f %8llu %8.4f%% %8.4f%% %8.1f %8.1f %8.1f %6llu %5.0f%%\n", r->name, load->flows,
           (double)load->flows * 1e9 / (double)load->spacing_ns, (unsigned long long)r->sent,
           100 * r->later_100us, 100 * r->later_1ms, r->p50_us, r->p99_us, r->max_us,
           (unsigned long long)(r->lost + r->refused), 100 * r->cpu);
    if (r->skipped || r->refused || r->drops)
        printf("  of these: left out because too late %llu, refused by the kernel %llu, dropped by socket "
               "buffers %llu\n",
               (unsigned long long)r->skipped, (unsigned long long)r->refused, (unsigned long long)r->drops);
    fflush(stdout);
}

static void parse(int argc, char **argv)
{
    static const struct option rows[] = { { "seconds", 1, NULL, 's' }, { "no-irtt", 0, NULL, 'n' }, { 0 } };
    bool ok = true;

    for (int c; (c = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        if (c == 's')
            opt.seconds = atof(optarg);
        else if (c == 'n')
            opt.irtt = false;
        else
            ok = false;
    }
    if (!ok || opt.seconds < 1 || opt.seconds > 60) {
        fprintf(stderr, "usage: bench_sender [--seconds 1..60] [--no-irtt]\n");
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const unsigned flows[] = { 500, 5000 };

    parse(argc, argv);
    printf("%-22s %5s %7s %8s %9s %9s %8s %8s %8s %6s %6s\n", "sender", "flows", "rate/s", "sent", ">100us",
           ">1ms", "p50 us", "p99 us", "max us", "lost", "CPU");
    for (size_t i = 0; i < TW_NELEM(flows); i++) {
        const struct sender_load load = { flows[i], 100 * TW_NS_PER_MS, opt.seconds };
        const struct sender_load clients = { flows[i] / 100, TW_NS_PER_MS, opt.seconds };

        for (int precise = 0; precise < 2; precise++) {
            struct sender_result r = { .name = precise ? "worker --precise" : "worker" };
            sender_ours(&load, precise, &r);
            print(&load, &r);
        }
        if (opt.irtt) {
            struct sender_result r = { .name = "irtt" };
            if (sender_irtt(&clients, &r))
                print(&clients, &r);
        }
    }
    return 0;
}
