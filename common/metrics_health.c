#include "common/metrics_health.h"

#include <string.h>
#include "common/clk.h"

static void take_host(struct metrics_agent *m, const Tw__HealthReport *h)
{
    const Tw__Noise *n = h->noise;
    bool heard = n && n->max_ns; /* in the last minute */

    m->host_stalls = h->host_stalls;
    m->send_errors = h->send_errors;
    m->sender_drops = h->sender_drops;
    m->host_stall_max_s = (double)h->host_stall_max_ns / (double)TW_NS_PER_S;
    m->cpu_wait_ratio = h->host_cpu_wait_ppm / 1e6;
    m->self_test_sent = n ? n->sent : 0;
    m->self_test_lost = n ? n->lost : 0;
    if (!heard)
        return;
    m->noise_p50_s = (struct tw_num){ true, (double)n->p50_ns / (double)TW_NS_PER_S };
    m->noise_p99_s = (struct tw_num){ true, (double)n->p99_ns / (double)TW_NS_PER_S };
    m->noise_max_s = (struct tw_num){ true, (double)n->max_ns / (double)TW_NS_PER_S };
}

static void take_flight(struct metrics_agent *m, const Tw__HealthReport *h)
{
    m->flight_share = h->flight_share;
    m->flight_kept_s =
        (struct tw_num){ h->flight_kept_ns > 0, (double)h->flight_kept_ns / (double)TW_NS_PER_S };
    m->flight_bytes = h->flight_bytes;
    m->flight_frozen = h->flight_frozen;
    m->flight_frozen_bytes = h->flight_frozen_bytes;
    m->flight_gave_way = h->flight_gave_way;
    m->flight_unrecorded = h->flight_unrecorded;
    m->flight_withheld = h->flight_withheld;
}

static void take_tests(struct metrics_agent *m, const Tw__HealthReport *h)
{
    m->tests = h->tests;
    m->tests_started = h->tests_started;
    m->tests_refused = h->tests_refused;
    m->tests_expired = h->tests_expired;
    m->diagnoses = h->diagnoses;
    m->diagnoses_refused = h->diagnoses_refused;
    m->diagnose_packets = h->diagnose_packets;
}

/* The report may go while the page is written: of its texts only what is known stays. */
static const char *leap_of(const char *text)
{
    static const char *const known[] = { "none", "insert", "delete", "now", "done" };

    for (size_t i = 0; i < TW_NELEM(known); i++)
        if (!strcmp(text, known[i]))
            return known[i];
    return NULL;
}

static void take_clock(struct metrics_agent *m, const Tw__HealthReport *h)
{
    if (!h->clock)
        return;
    m->clock_error_s = (double)h->clock->max_error_ns / (double)TW_NS_PER_S;
    m->clock_synced = h->clock->synced;
    m->clock_steps = h->clock->steps;
    m->clock_est_error_s = (double)h->clock_est_error_ns / (double)TW_NS_PER_S;
    m->clock_frequency_ratio = (double)h->clock_frequency_ppb / 1e9;
    m->clock_tai_offset_s = h->clock_tai_offset_s;
    m->clock_leap = leap_of(h->clock_leap);
}

static void take_limits(struct metrics_agent *m, const Tw__HealthReport *h)
{
    m->reflector_rate_limited = h->reflector_rate_limited;
    m->reflector_loops = h->reflector_loops;
    m->reflector_longer = h->reflector_longer;
    m->reflector_evicted = h->reflector_evicted;
    m->control_not_allowed = h->control_not_allowed;
    m->control_rate_limited = h->control_rate_limited;
    m->access_stale = h->access_error[0];
}

void metrics_take_health(struct metrics_agent *m, const Tw__HealthReport *h)
{
    m->has_health = true;
    m->sessions = h->sessions;
    m->spool_summaries = h->spool_summaries;
    m->spool_backlog = h->spool_backlog;
    m->spool_bytes = h->spool_bytes;
    m->spool_dropped = h->spool_dropped;
    m->reflected = h->reflected;
    m->reflector_rejected = h->reflector_rejected;
    m->host_drops = h->reflector_drops;
    m->reflected_stamp = h->reflected_stamp;
    m->reflected_auth = h->reflected_auth;
    m->reflector_auth_failed = h->reflector_auth_failed;
    m->reflector_auth_demanded = h->reflector_auth_demanded;
    m->reflect_sessions = h->reflect_sessions;
    m->auth_failed = h->auth_failed;
    m->control_connections = h->control_connections;
    m->control_logins_failed = h->control_logins_failed;
    m->control_refused = h->control_refused;
    m->reflected_xdp = h->reflected_xdp;
    m->reflector_not_allowed = h->reflector_not_allowed;
    m->secrets_stale = h->secrets_error[0];
    take_limits(m, h);
    m->results_refused = h->results_refused;
    m->runs = h->runs;
    m->runs_missed = h->runs_missed;
    take_tests(m, h);
    take_flight(m, h);
    m->names = h->names;
    m->names_unresolved = h->names_unresolved;
    m->names_stale = h->names_stale;
    m->name_lookups = h->name_lookups;
    m->name_failures = h->name_failures;
    m->name_changes = h->name_changes;
    m->cpu_s = (double)h->cpu_ns / (double)TW_NS_PER_S;
    m->rss_bytes = (double)h->rss_bytes;
    m->started_ns = h->started_ns;
    take_host(m, h);
    take_clock(m, h);
}
