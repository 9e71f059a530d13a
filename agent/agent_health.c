/* agent/agent_health.c - what the agent tells of itself: health, and its threads. */
#include "agent/agent.h"
#include "agent/access_lists.h"
#include "agent/control.h"
#include "agent/diagnose.h"
#include "agent/keyring.h"
#include "agent/ondemand.h"
#include "agent/recorder.h"
#include "agent/resolver.h"
#include "agent/results.h"
#include "agent/schedule_run.h"
#include "agent/threads.h"
#include "agent/uplink.h"
#include "agent/xdp/xdp_reflect.h"
#include "common/net/now.h"
#include "common/net/process.h"
#include "db/spool.h"

#define HEALTH_FRESH_NS (60 * TW_NS_PER_S)
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* The worst of the workers, as long as it is of the last minute. */
static void add_host_health(Tw__HealthReport *h, const struct worker_counters *c, struct tw_mono now)
{
    struct tw_noise n = { c->self_test_sent, c->self_test_lost, (int64_t)c->noise_p50_ns,
                          (int64_t)c->noise_p99_ns, (int64_t)c->noise_max_ns };
    bool fresh = c->host_looked_ns && now.ns - (int64_t)c->host_looked_ns < HEALTH_FRESH_NS;

    h->host_stalls += c->host_stalls;
    h->send_errors += c->send_errors;
    h->sender_drops += c->sender_rxq_drops;
    h->noise->sent += n.sent;
    h->noise->lost += n.lost;
    if (!fresh)
        return;
    h->host_stall_max_ns = MAX_OF(h->host_stall_max_ns, (int64_t)c->host_stall_max_ns);
    h->host_cpu_wait_ppm = MAX_OF(h->host_cpu_wait_ppm, (uint32_t)c->host_cpu_wait_ppm);
    h->noise->p50_ns = MAX_OF(h->noise->p50_ns, n.p50_ns);
    h->noise->p99_ns = MAX_OF(h->noise->p99_ns, n.p99_ns);
    h->noise->max_ns = MAX_OF(h->noise->max_ns, n.max_ns);
}

static void fill_clock(const struct clkstate *c, Tw__HealthReport *h)
{
    h->clock->synced = c->state.synced;
    h->clock->max_error_ns = c->state.max_error_ns;
    h->clock->steps = c->state.steps;
    h->clock_leap = (char *)tw_leap_name(c->leap);
    h->clock_est_error_ns = c->est_error_ns;
    h->clock_frequency_ppb = c->frequency_ppb;
    h->clock_tai_offset_s = c->tai_offset_s;
}

static void fill_names(const struct agent *a, Tw__HealthReport *h)
{
    struct resolver_counters c;

    resolver_counters(a->resolver, &c);
    h->names = c.names;
    h->names_unresolved = c.unresolved;
    h->names_stale = c.stale;
    h->name_lookups = c.lookups;
    h->name_failures = c.failures;
    h->name_changes = schedule_run_moves(a->schedule);
}

void agent_fill_health(void *ctx, Tw__HealthReport *h)
{
    struct agent *a = ctx;
    struct xdp_reflect_counters xdp;
    struct spool_stats sp;
    struct tw_mono now = tw_mono_now();

    spool_stats(a->spool, &sp);
    h->time_ns = tw_wall_now().ns;
    h->started_ns = a->started_ns;
    fill_clock(clockwatch_look(&a->clock), h);
    h->spool_summaries = sp.waiting;
    h->spool_backlog = uplink_backlog(a->uplink);
    h->spool_bytes = sp.bytes;
    h->spool_dropped = sp.dropped;
    h->generation = schedule_run_generation(a->schedule);
    schedule_run_runs(a->schedule, &h->runs, &h->runs_missed);
    fill_names(a, h);
    h->results_refused = results_dropped(a->results);
    h->cpu_ns = (uint64_t)process_cpu_ns();
    h->rss_bytes = process_rss_bytes();
    control_fill_health(a->control, h);
    recorder_fill_health(a->recorder, h);
    diagnose_fill_health(a->diagnose, h);
    ondemand_fill_health(a->ondemand, h);
    if (a->keys)
        h->secrets_error = (char *)keyring_error(a->keys);
    xdp_reflect_counters(a->xdp, &xdp);
    h->reflected_xdp = h->reflected = xdp.reflected;
    h->reflected_stamp = xdp.reflected_stamp;
    h->reflector_rejected = h->reflector_rate_limited = xdp.rate_limited;
    h->access_error = (char *)access_lists_error(a->access);
    h->config_error = a->config_error;
    h->restart_needed = a->reload.restart;
    h->https_error = a->https_error.text;
    for (size_t i = 0; i < a->n_workers; i++) {
        struct worker_counters c;
        worker_counters(a->workers[i], &c);
        h->sessions += c.sessions;
        h->probes_sent += c.probes_sent;
        h->probes_received += c.probes_received;
        h->reflected += c.reflected;
        h->reflector_rejected += c.reflector_rejected;
        h->reflector_drops += c.rxq_drops;
        h->reflector_auth_failed += c.reflector_auth_failed + c.reflector_tlv_auth_failed;
        h->reflector_not_allowed += c.reflector_not_allowed;
        h->reflector_rate_limited += c.reflector_rate_limited;
        h->reflector_loops += c.reflector_loops;
        h->reflector_longer += c.reflector_longer;
        h->reflector_evicted += c.reflector_evicted;
        h->reflector_auth_demanded += c.reflector_auth_demanded;
        h->reflected_stamp += c.reflected_stamp;
        h->reflected_auth += c.reflected_auth;
        h->reflect_sessions += c.reflect_sessions;
        h->auth_failed += c.auth_failed;
        h->results_refused += c.summaries_lost;
        add_host_health(h, &c, now);
    }
    if (!h->noise->sent)
        h->noise = NULL;
}

void agent_fill_threads(void *ctx, struct thread_list *ret)
{
    const struct agent *a = ctx;

    agent_threads_tell(&(struct agent_threads){ .loop = a->loop,
                                                .workers = a->workers,
                                                .n_workers = a->n_workers,
                                                .resolver = a->resolver,
                                                .metrics = a->metrics },
                       ret);
}
