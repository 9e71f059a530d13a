/* tests/bench/flows.c - one worker, as an agent has it, with many sessions, each to an address of its own as
 * in a mesh, and what its flight recorder says of each probe: for tests/bench/accuracy.
 *
 *     bench_flows ADDRESS PORT FLOWS SPACING SECONDS
 *
 * ADDRESS is the first target's, IPv4; the others follow it. Prints a line for each answered probe:
 * target seq T1 forward backward residence (ns), sources of T1 and T4; then # lines with what was lost, late,
 * skipped. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/io/worker.h"
#include "common/net/now.h"
#include "common/splitmix.h"

#define TIMEOUT_NS TW_NS_PER_S
#define PATIENCE_NS (10 * TW_NS_PER_S)

struct flows {
    struct loop *loop;
    struct worker *worker;
    struct tw_addr first;
    unsigned n;
    int64_t spacing_ns, seconds;
    struct tw_summary scratch, sum;
};

_Noreturn static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_flows: %s: %s\n", what, why);
    exit(1);
}

static void run_for(struct flows *f, int64_t ns)
{
    static const bool never = false;

    loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
}

static void collect(void *ctx)
{
    struct flows *f = ctx;

    while (worker_next_summary(f->worker, &f->scratch) == TW_OK)
        summary_merge(&f->sum, &f->scratch);
}

static struct tw_addr target(const struct flows *f, unsigned i)
{
    struct tw_addr a = f->first;
    unsigned low = (unsigned)(a.ip[2] << 8 | a.ip[3]) + i;

    a.ip[2] = (uint8_t)(low >> 8);
    a.ip[3] = (uint8_t)low;
    return a;
}

static void add_flow(struct flows *f, unsigned i)
{
    uint64_t random = i;
    struct worker_session ws = { .target = target(f, i),
                                 .cfg = { .pair_id = i + 1,
                                          .spacing_ns = f->spacing_ns,
                                          .size_bytes = 100,
                                          .timeout_ns = TIMEOUT_NS,
                                          .report_period_ns = 10 * TW_NS_PER_S,
                                          .seed = i } };
    int64_t deadline = tw_mono_now().ns + PATIENCE_NS;
    enum tw_rc rc;

    ws.cfg.phase_ns = (int64_t)(tw_splitmix64(&random) % (uint64_t)f->spacing_ns);
    while ((rc = worker_add(f->worker, &ws)) == TW_EBUSY && tw_mono_now().ns < deadline)
        run_for(f, TW_NS_PER_MS);
    if (rc)
        die("worker_add", tw_rc_name(rc));
}

static void print_flow(struct flows *f, unsigned i)
{
    struct flight_span all = { 0, 0, INT64_MAX };
    struct worker_flight w;
    enum tw_rc rc = worker_flight(f->worker, i + 1, 0, &all, WORKER_FLIGHT_MAX, &w);
    struct tw_addr to = target(f, i);
    char text[TW_ADDR_TEXT];

    if (rc)
        die("worker_flight", tw_rc_name(rc));
    for (size_t k = 0; k < w.n; k++) {
        const struct flight_record *r = &w.records[k];
        if (r->fate != FLIGHT_RECEIVED || !(r->flags & FLIGHT_TIMED))
            continue;
        printf("%s %u %" PRId64 " %" PRId64 " %" PRId64 " %u %s %s\n", tw_addr_format_ip(&to, text), r->seq,
               r->t1_ns, r->forward_ns, r->backward_ns, r->residence_ns,
               tw_ts_source_name(flight_tx_source(r)), tw_ts_source_name(flight_rx_source(r)));
    }
}

static void start(struct flows *f)
{
    uint32_t probes = (uint32_t)(f->seconds * TW_NS_PER_S / f->spacing_ns) + 64;
    struct worker_cfg cfg = { .on_results = collect,
                              .ctx = f,
                              .max_sessions = f->n,
                              .flight_probes = probes,
                              .flight_bytes = 256u << 20 };
    struct tw_err err = { 0 };

    summary_init(&f->scratch);
    summary_init(&f->sum);
    if (loop_new(&f->loop))
        die("loop", "out of memory");
    cfg.loop = f->loop;
    if (worker_start(&cfg, &f->worker, &err))
        die("worker", err.text);
}

int main(int argc, char **argv)
{
    struct flows f = { 0 };
    struct worker_counters c;

    if (argc != 6 || tw_addr_parse(argv[1], (uint16_t)strtoul(argv[2], NULL, 10), &f.first) ||
        f.first.family != 4 || tw_duration_parse(argv[4], &f.spacing_ns) || f.spacing_ns <= 0)
        die("arguments", "expected ADDRESS PORT FLOWS SPACING SECONDS");
    f.n = (unsigned)strtoul(argv[3], NULL, 10);
    f.seconds = strtol(argv[5], NULL, 10);
    start(&f);
    for (unsigned i = 0; i < f.n; i++)
        add_flow(&f, i);
    run_for(&f, f.seconds * TW_NS_PER_S);
    worker_counters(f.worker, &c);
    for (unsigned i = 0; i < f.n; i++)
        print_flow(&f, i);
    worker_stop(f.worker);
    collect(&f);
    printf("# sent %" PRIu64 " received %" PRIu64 " skipped %" PRIu64 " host_drops %" PRIu64 "\n", f.sum.sent,
           f.sum.received, f.sum.skipped, c.sender_rxq_drops);
    worker_free(f.worker);
    loop_free(f.loop);
    summary_free(&f.scratch);
    summary_free(&f.sum);
    return 0;
}
