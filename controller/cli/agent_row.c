/* One agent as a row: everything known of it, and how a table shows it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/agents.h"

/* One row of a list of counts, of the record r and the health h; null without a report. */
#define PUT_COUNT(name) put_health_count(r, #name, h, h ? (uint64_t)h->name : 0);

static void put_health_count(struct out_records *r, const char *name, const Tw__HealthReport *h,
                             uint64_t value)
{
    if (h)
        out_u64(r, name, value);
    else
        out_null(r, name);
}

/* X(name): counts of the health report under their own names. */
#define HEALTH_COUNTS(X) \
    X(sessions)          \
    X(spool_summaries)   \
    X(spool_bytes)       \
    X(spool_dropped)     \
    X(probes_sent)       \
    X(probes_received) X(reflected) X(reflector_rejected) X(reflector_drops) X(results_refused) X(rss_bytes)

static void put_health(struct out_records *r, const Tw__HealthReport *h)
{
    const Tw__ClockState *clock = h ? h->clock : NULL;

    HEALTH_COUNTS(PUT_COUNT)
    out_num(r, "cpu_seconds", (struct tw_num){ h != NULL, out_ns_to_s(h ? (int64_t)h->cpu_ns : 0) });
    out_ns(r, "health_time_ns", h ? h->time_ns : 0);
    out_ns(r, "started_ns", h ? h->started_ns : 0);
    if (clock)
        out_bool(r, "clock_synced", clock->synced);
    else
        out_null(r, "clock_synced");
    out_num(r, "clock_error_seconds",
            (struct tw_num){ clock && clock->synced, out_ns_to_s(clock ? clock->max_error_ns : 0) });
    if (clock)
        out_u64(r, "clock_steps", clock->steps);
    else
        out_null(r, "clock_steps");
}

/* Newer ones come last: columns of CSV keep their places. */
#define MORE_HEALTH_COUNTS(X)  \
    X(reflected_stamp)         \
    X(reflected_auth)          \
    X(reflector_auth_failed)   \
    X(reflector_auth_demanded) \
    X(reflect_sessions) X(auth_failed) X(control_connections) X(control_logins_failed) X(control_refused)

static void put_more_health(struct out_records *r, const Tw__HealthReport *h)
{
    MORE_HEALTH_COUNTS(PUT_COUNT)
    out_text(r, "secrets_error", h && h->secrets_error[0] ? h->secrets_error : NULL);
}

static void put_noise(struct out_records *r, const Tw__HealthReport *h)
{
    static const Tw__Noise none = TW__NOISE__INIT;
    const Tw__Noise *n = h && h->noise ? h->noise : &none;
    bool heard = n->max_ns != 0; /* in the last minute */

    out_num(r, "host_stall_max_seconds",
            (struct tw_num){ h != NULL, h ? out_ns_to_s(h->host_stall_max_ns) : 0 });
    out_num(r, "host_cpu_wait_ratio", (struct tw_num){ h != NULL, h ? h->host_cpu_wait_ppm / 1e6 : 0 });
    out_num(r, "noise_p50_seconds", (struct tw_num){ heard, out_ns_to_s(n->p50_ns) });
    out_num(r, "noise_p99_seconds", (struct tw_num){ heard, out_ns_to_s(n->p99_ns) });
    out_num(r, "noise_max_seconds", (struct tw_num){ heard, out_ns_to_s(n->max_ns) });
    if (n == &none) {
        out_null(r, "noise_sent");
        out_null(r, "noise_lost");
    } else {
        out_u64(r, "noise_sent", n->sent);
        out_u64(r, "noise_lost", n->lost);
    }
}

#define HOST_COUNTS(X) X(send_errors) X(sender_drops) X(host_stalls)

static void put_host(struct out_records *r, const Tw__HealthReport *h)
{
    HOST_COUNTS(PUT_COUNT)
    put_noise(r, h);
}

#define FLIGHT_COUNTS(X)   \
    X(flight_share)        \
    X(flight_kept_ns)      \
    X(flight_bytes)        \
    X(flight_frozen)       \
    X(flight_frozen_bytes) \
    X(flight_gave_way)     \
    X(flight_unrecorded)   \
    X(flight_withheld)

static void put_flight_records(struct out_records *r, const Tw__HealthReport *h)
{
    FLIGHT_COUNTS(PUT_COUNT)
}

#define REFLECTOR_COUNTS(X) X(reflected_xdp) X(reflector_not_allowed)

static void put_reflector(struct out_records *r, const Tw__HealthReport *h)
{
    REFLECTOR_COUNTS(PUT_COUNT)
}

#define NEW_COUNTS(X)   \
    X(names)            \
    X(names_unresolved) \
    X(names_stale)      \
    X(name_lookups)     \
    X(name_failures)    \
    X(name_changes)     \
    X(runs)             \
    X(runs_missed)      \
    X(tests)            \
    X(tests_started)    \
    X(tests_refused)    \
    X(tests_expired)    \
    X(diagnoses)        \
    X(diagnoses_refused) X(diagnose_packets)     \
    X(reflector_rate_limited)                    \
    X(reflector_loops)                           \
    X(reflector_longer)                          \
    X(reflector_evicted)                         \
    X(control_not_allowed)                       \
    X(control_rate_limited)

static void put_newer_counts(struct out_records *r, const Tw__HealthReport *h)
{
    NEW_COUNTS(PUT_COUNT)
    out_text(r, "access_error", h && h->access_error[0] ? h->access_error : NULL);
    out_text(r, "config_error", h && h->config_error[0] ? h->config_error : NULL);
    out_text(r, "restart_needed", h && h->restart_needed[0] ? h->restart_needed : NULL);
    out_text(r, "https_error", h && h->https_error[0] ? h->https_error : NULL);
    PUT_COUNT(spool_backlog)
}

static void put_finding(struct out_records *r, const Tw__ClockFinding *f)
{
    bool measured = f && f->measured;

    out_text(r, "clock_verdict", f ? f->verdict : NULL);
    out_num(r, "clock_offset_seconds", (struct tw_num){ measured, measured ? out_ns_to_s(f->offset_ns) : 0 });
    out_num(r, "clock_uncertainty_seconds",
            (struct tw_num){ measured, measured ? out_ns_to_s(f->uncertainty_ns) : 0 });
}

/* ---- What operators said of it ---- */

static void put_mark(struct out_records *r, const char *const names[3], const Tw__AgentMark *m)
{
    out_ns(r, names[0], m ? m->time_ns : 0);
    out_text(r, names[1], m ? m->author : NULL);
    out_text(r, names[2], m ? m->reason : NULL);
}

static cJSON *spans(const Tw__AgentInfo *a)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < a->n_maintenance; i++) {
        out_record(&r);
        out_ns(&r, "from_ns", a->maintenance[i]->from_ns);
        out_ns(&r, "to_ns", a->maintenance[i]->to_ns);
        out_text(&r, "reason", a->maintenance[i]->reason);
        out_text(&r, "author", a->maintenance[i]->author);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    return list;
}

static void put_certificate(struct out_records *r, const Tw__AgentCertificate *m)
{
    out_text(r, "certificate_serial", m ? m->serial : NULL);
    out_ns(r, "certificate_issued_ns", m ? m->issued_ns : 0);
    out_ns(r, "certificate_not_after_ns", m ? m->not_after_ns : 0);
}

static void put_limits(struct out_records *r, const Tw__AgentLimits *l)
{
    if (l) {
        out_u64(r, "max_sessions", l->max_sessions);
        out_u64(r, "max_pps", l->max_pps);
        out_u64(r, "max_bps", l->max_bps);
    } else {
        out_null(r, "max_sessions");
        out_null(r, "max_pps");
        out_null(r, "max_bps");
    }
}

static void put_operators(struct out_records *r, const Tw__AgentInfo *a)
{
    static const char *const drained[] = { "drained_ns", "drained_author", "drained_reason" };
    static const char *const revoked[] = { "revoked_ns", "revoked_author", "revoked_reason" };

    put_mark(r, drained, a->drained);
    put_mark(r, revoked, a->revoked);
    out_bool(r, "in_maintenance", a->in_maintenance);
    out_labels(r, "own_labels", a->own_labels, a->n_own_labels);
    out_labels(r, "operator_labels", a->operator_labels, a->n_operator_labels);
    out_list(r, "removed_labels", a->removed_labels, a->n_removed_labels);
    out_list(r, "former_names", a->former_names, a->n_former_names);
    put_limits(r, a->limits);
    put_certificate(r, a->certificate);
    out_tree(r, "maintenance", spans(a));
}


/* Which sessions an agent refuses is a list of its own, which only JSON can hold. */
static cJSON *refused(const Tw__AgentInfo *a)
{
    struct out_records r = { 0 };
    cJSON *list;

    for (size_t i = 0; i < a->n_refusals; i++) {
        out_record(&r);
        out_u64(&r, "pair_id", a->refusals[i]->pair_id);
        out_u64(&r, "flow", a->refusals[i]->flow);
        out_text(&r, "reason", a->refusals[i]->reason);
    }
    list = out_json_array(&r);
    out_records_free(&r);
    return list;
}

static void put_values(struct out_records *r, const Tw__AgentInfo *a)
{
    out_text(r, "name", a->name);
    out_text(r, "state", a->state);
    out_u64(r, "generation", a->generation);
    out_u64(r, "generation_wanted", a->generation_wanted);
    out_u64(r, "pairs", a->pairs);
    out_u64(r, "refusals", a->n_refusals);
    put_health(r, a->health);
    out_ns(r, "last_contact_ns", a->last_contact_ns);
    out_ns(r, "approved_ns", a->approved_ns);
    out_text(r, "fingerprint", a->fingerprint);
    out_text(r, "software", a->software);
    out_text(r, "peer_address", a->peer_address);
    out_u64(r, "reflector_port", a->reflector_port);
    out_list(r, "addresses", a->addresses, a->n_addresses);
    out_labels(r, "labels", a->labels, a->n_labels);
    out_u64(r, "control_port", a->control_port);
    out_list(r, "capabilities", a->capabilities, a->n_capabilities);
    put_more_health(r, a->health);
    put_finding(r, a->clock);
    put_host(r, a->health);
    put_flight_records(r, a->health);
    put_reflector(r, a->health);
    put_operators(r, a);
    put_newer_counts(r, a->health);
    out_text(r, "controller", a->controller);
    out_tree(r, "refused", refused(a));
}

/* ---- How a table shows it ---- */

enum out_style agent_state_style(const char *state)
{
    if (!strcmp(state, "down"))
        return OUT_BAD;
    return strcmp(state, "up") ? OUT_DOUBT : OUT_PLAIN;
}

const char *agent_state_text(const Tw__AgentInfo *a, char buf[AGENT_STATE_TEXT])
{
    snprintf(buf, AGENT_STATE_TEXT, "%.20s%s%s", a->state, a->drained ? ", drained" : "",
             a->in_maintenance ? ", maintenance" : "");
    return buf;
}

const char *agent_address_text(const Tw__AgentInfo *a, char buf[AGENT_ADDRESS_TEXT])
{
    const char *address = a->n_addresses ? a->addresses[0] : a->peer_address;

    if (!*address)
        snprintf(buf, AGENT_ADDRESS_TEXT, "-");
    else if (!a->reflector_port)
        snprintf(buf, AGENT_ADDRESS_TEXT, "%.64s", address);
    else
        snprintf(buf, AGENT_ADDRESS_TEXT, strchr(address, ':') ? "[%.64s]:%u" : "%.64s:%u", address,
                 a->reflector_port);
    return buf;
}

const char *agent_signed_seconds(int64_t ns, char buf[OUT_NUM])
{
    char text[OUT_NUM];

    snprintf(buf, OUT_NUM, "%s%.20s", ns > 0 ? "+" : "",
             out_seconds((struct tw_num){ true, out_ns_to_s(ns) }, text));
    return buf;
}

bool agent_clock_is_wrong(const Tw__AgentInfo *a)
{
    return a->clock && !strcmp(a->clock->verdict, "offset");
}

static void show_clock(struct out_records *r, const Tw__AgentInfo *a)
{
    const Tw__HealthReport *h = a->health;
    char text[OUT_NUM];

    if (agent_clock_is_wrong(a)) /* whatever it claims */
        out_show(r, "clock_error_seconds", OUT_BAD, "off %s",
                 agent_signed_seconds(a->clock->offset_ns, text));
    else if (h && h->clock && !h->clock->synced)
        out_show(r, "clock_error_seconds", OUT_DOUBT, "not synced");
}

static void put_row(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AgentInfo *a = row;
    char state[AGENT_STATE_TEXT], address[AGENT_ADDRESS_TEXT];

    (void)ctx;
    put_values(r, a);
    out_show(r, "state", agent_state_style(a->state), "%s", agent_state_text(a, state));
    out_show(r, "ADDRESS", OUT_PLAIN, "%s", agent_address_text(a, address));
    if (a->generation != a->generation_wanted)
        out_show(r, "generation", OUT_DOUBT, "%" PRIu64 " of %" PRIu64, a->generation, a->generation_wanted);
    if (a->health && a->health->spool_dropped)
        out_style(r, "spool_summaries", OUT_BAD);
    show_clock(r, a);
}

static const struct out_col columns[] = {
    { .title = "NAME", .name = "name" },
    { .title = "STATE", .name = "state" },
    { .title = "ADDRESS", .drop = 3 },
    { .title = "LABELS", .name = "labels", .drop = 4 },
    { .title = "PAIRS", .name = "pairs", .as = OUT_AS_COUNT, .drop = 2 },
    { .title = "SESSIONS", .name = "sessions", .as = OUT_AS_COUNT, .drop = 1 },
    { .title = "GENERATION", .name = "generation", .as = OUT_AS_COUNT },
    { .title = "SPOOL", .name = "spool_summaries", .as = OUT_AS_COUNT },
    { .title = "CLOCK ERROR", .name = "clock_error_seconds", .as = OUT_AS_SECONDS, .drop = 5 },
    { .title = "LAST CONTACT", .name = "last_contact_ns", .as = OUT_AS_AGO },
    { .title = "BACKLOG", .name = "spool_backlog", .as = OUT_AS_COUNT, .wide = true },
    { .title = "DRAINED BECAUSE", .name = "drained_reason", .wide = true },
    { .title = "CAPABILITIES", .name = "capabilities", .wide = true },
    { .title = "SOFTWARE", .name = "software", .wide = true },
    { .title = "CONTROLLER", .name = "controller", .wide = true },
};
static const Tw__AgentInfo no_agent = TW__AGENT_INFO__INIT;
const struct out_listing agents_listing = {
    .key = "agents",
    .columns = columns,
    .n_columns = TW_NELEM(columns),
    .put = put_row,
    .none = &no_agent,
    .empty = "No agents yet. Here: twampctl token create; on a host: twamp-agent --controller tls+tcp://THIS-HOST:8620 "
             "--join-token-file FILE --name NAME",
};
