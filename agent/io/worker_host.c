/* agent/io/worker_host.c - how its host treats the worker: what it comes late to, and how long it waits for a
 * CPU. None of it costs a system call per packet. */
#include "agent/io/schedstat.h"
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

#define LOOK_NS TW_NS_PER_S
#define FIGURES_NS (10 * TW_NS_PER_S)
#define FIGURES_SPAN_NS (60 * TW_NS_PER_S)

void host_begin(struct worker *w)
{
    w->schedstat_fd = schedstat_open();
}

void host_end(struct worker *w)
{
    schedstat_close(w->schedstat_fd);
}

void host_on_timers(struct worker *w)
{
    struct tw_mono due = timerq_next_due(&w->timers);
    struct tw_now now;

    if (due.ns > w->now.mono.ns)
        return;
    now = tw_now(); /* w->now may be of before a stall in this round */
    hoststate_on_late(w->host, now, now.mono.ns - due.ns);
}

void host_on_datagram(struct worker *w, const struct udp_in *in)
{
    if (in->source == TW_TS_KERNEL) /* the device's clock may be another one */
        hoststate_on_late(w->host, w->now, w->now.wall.ns - in->time.ns);
}

/* For health: the last minute. */
static void publish_figures(struct worker *w)
{
    struct host_figures f;
    struct tw_wall from = { w->now.wall.ns - FIGURES_SPAN_NS };

    if (w->now.mono.ns - w->host_published.ns < FIGURES_NS)
        return;
    w->host_published = w->now.mono;
    hoststate_figures(w->host, from, w->now.wall, &f);
    w->count.host_looked_ns = (uint64_t)w->now.mono.ns;
    w->count.host_stall_max_ns = (uint64_t)f.stall_max_ns;
    w->count.host_cpu_wait_ppm = f.cpu_wait_ppm;
    w->count.noise_p50_ns = (uint64_t)f.noise.p50_ns;
    w->count.noise_p99_ns = (uint64_t)f.noise.p99_ns;
    w->count.noise_max_ns = (uint64_t)f.noise.max_ns;
}

/* An idle worker is not woken for this, and one that has nothing to measure has nothing to tell. */
void host_look(struct worker *w)
{
    struct host_totals t;
    uint64_t wait_ns;

    hoststate_totals(w->host, &t);
    w->count.host_stalls = t.stalls;
    w->count.self_test_sent = t.sent;
    w->count.self_test_lost = t.lost;
    if (w->now.mono.ns - w->host_looked.ns < LOOK_NS || (!w->count.sessions && !w->reflecting))
        return;
    w->host_looked = w->now.mono;
    w->reflecting = false;
    if (schedstat_wait_ns(w->schedstat_fd, &wait_ns))
        hoststate_on_cpu_wait(w->host, w->now, wait_ns);
    publish_figures(w);
}
