/* twampctl agent show: one agent, fact by fact. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/agents.h"

static void put_labels(struct out_table *t, const Tw__AgentInfo *a)
{
    char text[512] = "";
    size_t len = 0;

    for (size_t i = 0; i < a->n_labels && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", i ? " " : "", a->labels[i]->key,
                                a->labels[i]->value);
    out_cell(t, OUT_PLAIN, "%s", len ? text : "-");
}

static void put_generation(struct out_table *t, const Tw__AgentInfo *a)
{
    if (a->generation == a->generation_wanted)
        out_cell(t, OUT_PLAIN, "%" PRIu64, a->generation);
    else
        out_cell(t, OUT_DOUBT, "%" PRIu64 " of %" PRIu64, a->generation, a->generation_wanted);
}

static void put_claim(struct out_table *t, const Tw__HealthReport *h)
{
    char text[OUT_NUM];

    if (!h || !h->clock)
        out_cell(t, OUT_PLAIN, "-");
    else if (!h->clock->synced)
        out_cell(t, OUT_DOUBT, "not synced");
    else
        out_cell(t, OUT_PLAIN, "%s",
                 out_seconds((struct tw_num){ true, out_ns_to_s(h->clock->max_error_ns) }, text));
}

/* What the mesh clock audit says. */
static void put_audit(struct out_table *t, const Tw__ClockFinding *f)
{
    char offset[OUT_NUM], uncertainty[OUT_NUM];

    if (!f->measured)
        out_cell(t, OUT_PLAIN, "no pairs to tell by");
    else
        out_cell(t, strcmp(f->verdict, "offset") ? OUT_PLAIN : OUT_BAD, "%s, %s +- %s", f->verdict,
                 agent_signed_seconds(f->offset_ns, offset),
                 out_seconds((struct tw_num){ true, out_ns_to_s(f->uncertainty_ns) }, uncertainty));
}

static void put_fact(struct out_table *t, const char *what, const char *value)
{
    out_cell(t, OUT_PLAIN, "%s", what);
    out_cell(t, OUT_PLAIN, "%s", *value ? value : "-");
}

static void put_fact_u64(struct out_table *t, const char *what, uint64_t v, bool bad)
{
    out_cell(t, OUT_PLAIN, "%s", what);
    out_cell(t, bad && v ? OUT_BAD : OUT_PLAIN, "%" PRIu64, v);
}

static void put_capabilities(struct out_table *t, const Tw__AgentInfo *a)
{
    char text[256] = "";
    size_t len = 0;

    for (size_t i = 0; i < a->n_capabilities && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", a->capabilities[i]);
    put_fact(t, "Capabilities", text);
}

/* ---- What operators said of it ---- */

static void put_label_list(struct out_table *t, const char *what, Tw__Label *const *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out_cell(t, OUT_PLAIN, "%s", i ? "" : what);
        out_cell(t, OUT_PLAIN, "%s=%s", v[i]->key, v[i]->value);
    }
}

/* Whose are the labels? Nobody asks as long as all are the agent's own. */
static void put_origins(struct out_table *t, const Tw__AgentInfo *a)
{
    if (!a->n_operator_labels && !a->n_removed_labels)
        return;
    put_label_list(t, "  said by the agent", a->own_labels, a->n_own_labels);
    put_label_list(t, "  set by operators", a->operator_labels, a->n_operator_labels);
    for (size_t i = 0; i < a->n_removed_labels; i++)
        put_fact(t, i ? "" : "  removed by operators", a->removed_labels[i]);
}

static void put_mark(struct out_table *t, const char *what, const Tw__AgentMark *m)
{
    char when[OUT_NUM];

    if (!m)
        return;
    out_cell(t, OUT_PLAIN, "%s", what);
    out_cell(t, OUT_DOUBT, "since %s by %s%s%s", out_time(m->time_ns, when), *m->author ? m->author : "?",
             *m->reason ? ": " : "", m->reason);
}

static void put_spans(struct out_table *t, const Tw__AgentInfo *a, int64_t now_ns)
{
    char from[OUT_NUM], to[OUT_NUM];
    bool first = true;

    for (size_t i = 0; i < a->n_maintenance; i++) {
        const Tw__AgentSpan *s = a->maintenance[i];

        if (s->to_ns <= now_ns)
            continue;
        out_cell(t, OUT_PLAIN, "%s", first ? "Maintenance" : "");
        out_cell(t, s->from_ns <= now_ns ? OUT_DOUBT : OUT_PLAIN, "%s to %s by %s%s%s",
                 out_time(s->from_ns, from), out_time(s->to_ns, to), *s->author ? s->author : "?",
                 *s->reason ? ": " : "", s->reason);
        first = false;
    }
}

static void put_limits(struct out_table *t, const Tw__AgentLimits *l)
{
    char bps[OUT_NUM];

    if (!l)
        return;
    out_cell(t, OUT_PLAIN, "Its limits");
    out_cell(t, OUT_PLAIN, "%" PRIu32 " sessions, %" PRIu32 " packets/s%s%s", l->max_sessions, l->max_pps,
             l->max_bps ? ", " : "", l->max_bps ? out_si((double)l->max_bps, "bit/s", bps) : "");
}

static void put_operators(struct cli *c, struct out_table *t, const Tw__AgentInfo *a)
{
    put_mark(t, "Drained", a->drained);
    put_mark(t, "Revoked", a->revoked);
    put_spans(t, a, c->wall_ns());
    for (size_t i = 0; i < a->n_former_names; i++)
        put_fact(t, i ? "" : "Was called", a->former_names[i]);
}

/* ---- The facts ---- */

static void put_identity(struct cli *c, struct out_table *t, const Tw__AgentInfo *a)
{
    char when[OUT_NUM], ago[OUT_NUM], state[AGENT_STATE_TEXT], address[AGENT_ADDRESS_TEXT];

    put_fact(t, "Name", a->name);
    out_cell(t, OUT_PLAIN, "State");
    out_cell(t, agent_state_style(a->state), "%s", agent_state_text(a, state));
    put_fact(t, "Fingerprint", a->fingerprint);
    put_fact(t, "Approved", out_time(a->approved_ns, when));
    out_cell(t, OUT_PLAIN, "Last contact");
    out_cell(t, OUT_PLAIN, "%s (%s ago)", out_time(a->last_contact_ns, when),
             out_ago(a->last_contact_ns, c->wall_ns(), ago));
    put_fact(t, "Software", a->software);
    put_fact(t, "Connects from", a->peer_address);
    put_fact(t, "Reflector", agent_address_text(a, address));
    for (size_t i = 1; i < a->n_addresses; i++)
        put_fact(t, "", a->addresses[i]);
    if (a->control_port)
        put_fact_u64(t, "TWAMP-Control port", a->control_port, false);
    put_capabilities(t, a);
    out_cell(t, OUT_PLAIN, "Labels");
    put_labels(t, a);
    put_origins(t, a);
    put_operators(c, t, a);
    put_limits(t, a->limits);
    out_cell(t, OUT_PLAIN, "Generation");
    put_generation(t, a);
    put_fact_u64(t, "Pairs as source", a->pairs, false);
}

/* What the host does to its measurements. */
static void put_trouble(struct out_table *t, const Tw__HealthReport *h)
{
    char p50[OUT_NUM], p99[OUT_NUM], max[OUT_NUM];
    const Tw__Noise *n = h->noise;

    put_fact_u64(t, "Answers dropped", h->sender_drops, true);
    put_fact_u64(t, "Not sent", h->send_errors, true);
    out_cell(t, OUT_PLAIN, "Stalls");
    out_cell(
        t, h->host_stall_max_ns >= STATS_STALL_LIMIT_NS ? OUT_BAD : OUT_PLAIN,
        "%" PRIu64 ", longest lately %s", h->host_stalls,
        out_seconds((struct tw_num){ h->host_stall_max_ns > 0, out_ns_to_s(h->host_stall_max_ns) }, max));
    out_cell(t, OUT_PLAIN, "Waits for a CPU");
    out_cell(t, h->host_cpu_wait_ppm >= STATS_STARVED_PPM ? OUT_BAD : OUT_PLAIN, "%s of a second at worst",
             out_percent((struct tw_num){ true, h->host_cpu_wait_ppm / 1e6 }, max));
    if (!n)
        return;
    out_cell(t, OUT_PLAIN, "Noise floor");
    out_cell(t, n->p99_ns > STATS_NOISE_LIMIT_NS ? OUT_BAD : OUT_PLAIN, "p50 %s, p99 %s, max %s",
             out_seconds((struct tw_num){ n->max_ns != 0, out_ns_to_s(n->p50_ns) }, p50),
             out_seconds((struct tw_num){ n->max_ns != 0, out_ns_to_s(n->p99_ns) }, p99),
             out_seconds((struct tw_num){ n->max_ns != 0, out_ns_to_s(n->max_ns) }, max));
    put_fact_u64(t, "Lost on loopback", n->lost, true);
}

/* How far back the flight recorder goes, and what it keeps. */
static void put_flight(struct out_table *t, const Tw__HealthReport *h)
{
    char text[OUT_NUM];

    out_cell(t, OUT_PLAIN, "Flight recorder");
    if (!h->flight_share) {
        out_cell(t, OUT_PLAIN, "off");
        return;
    }
    if (h->flight_kept_ns)
        out_cell(t, OUT_PLAIN, "%" PRIu64 " probes of each session, %s back or more", h->flight_share,
                 out_seconds((struct tw_num){ true, out_ns_to_s(h->flight_kept_ns) }, text));
    else
        out_cell(t, OUT_PLAIN, "%" PRIu64 " probes of each session", h->flight_share);
    out_cell(t, OUT_PLAIN, "Flight recorder keeps");
    out_cell(t, OUT_PLAIN, "%" PRIu64 " frozen parts, %s", h->flight_frozen,
             out_si((double)h->flight_frozen_bytes, "B", text));
    put_fact_u64(t, "Frozen parts given up", h->flight_gave_way, false);
    put_fact_u64(t, "Probes not recorded", h->flight_unrecorded, true);
}

/* Where its targets by host name are; of an agent that has none nobody asks. */
static void put_names(struct out_table *t, const Tw__HealthReport *h)
{
    if (!h->names && !h->name_lookups)
        return;
    out_cell(t, OUT_PLAIN, "Host names of targets");
    out_cell(t, h->names_unresolved ? OUT_BAD : h->names_stale ? OUT_DOUBT : OUT_PLAIN,
             "%" PRIu64 ", %" PRIu64 " without address, %" PRIu64 " by their last one", h->names,
             h->names_unresolved, h->names_stale);
    out_cell(t, OUT_PLAIN, "Name lookups");
    out_cell(t, OUT_PLAIN, "%" PRIu64 ", %" PRIu64 " failed; sessions moved %" PRIu64, h->name_lookups,
             h->name_failures, h->name_changes);
}

static void put_vitals(struct out_table *t, const Tw__HealthReport *h)
{
    char text[OUT_NUM], more[OUT_NUM];

    put_fact_u64(t, "Sessions", h->sessions, false);
    put_fact_u64(t, "Probes sent", h->probes_sent, false);
    put_fact_u64(t, "Probes answered", h->probes_received, false);
    put_fact_u64(t, "Reflected", h->reflected, false);
    put_fact_u64(t, "Reflected, STAMP", h->reflected_stamp, false);
    put_fact_u64(t, "Reflected, signed", h->reflected_auth, false);
    put_fact_u64(t, "Reflected by XDP", h->reflected_xdp, false);
    put_fact_u64(t, "Not reflected", h->reflector_rejected, false);
    put_fact_u64(t, "Probes, not allowed", h->reflector_not_allowed, false);
    put_fact_u64(t, "Probes, wrong HMAC", h->reflector_auth_failed, true);
    put_fact_u64(t, "Probes, not signed", h->reflector_auth_demanded, false);
    put_fact_u64(t, "Answers, wrong HMAC", h->auth_failed, true);
    put_fact_u64(t, "Agreed sessions", h->reflect_sessions, false);
    put_fact_u64(t, "Control connections", h->control_connections, false);
    put_fact_u64(t, "Logins failed", h->control_logins_failed, true);
    put_fact_u64(t, "Refused by limits", h->control_refused, true);
    if (h->secrets_error[0]) {
        out_cell(t, OUT_PLAIN, "Secrets");
        out_cell(t, OUT_BAD, "%s", h->secrets_error);
    }
    put_names(t, h);
    put_fact_u64(t, "Dropped by the host", h->reflector_drops, true);
    put_trouble(t, h);
    out_cell(t, OUT_PLAIN, "Spool");
    out_cell(t, OUT_PLAIN, "%" PRIu64 " summaries, %s", h->spool_summaries,
             out_si((double)h->spool_bytes, "B", text));
    put_fact_u64(t, "Dropped by the spool", h->spool_dropped, true);
    put_fact_u64(t, "Lost before the spool", h->results_refused, true);
    out_cell(t, OUT_PLAIN, "Clock error");
    put_claim(t, h);
    put_fact_u64(t, "Clock steps", h->clock ? h->clock->steps : 0, true);
    if (h->clock_leap[0] && strcmp(h->clock_leap, "none") != 0) {
        out_cell(t, OUT_PLAIN, "Leap second");
        out_cell(t, OUT_DOUBT, "%s", h->clock_leap);
    }
    out_cell(t, OUT_PLAIN, "CPU, memory");
    out_cell(t, OUT_PLAIN, "%s, %s",
             out_seconds((struct tw_num){ true, out_ns_to_s((int64_t)h->cpu_ns) }, text),
             out_si((double)h->rss_bytes, "B", more));
    put_flight(t, h);
}

#define REFUSALS_SHOWN 20

static void put_refusals(struct out_table *t, const Tw__AgentInfo *a)
{
    for (size_t i = 0; i < a->n_refusals && i < REFUSALS_SHOWN; i++) {
        const Tw__Refusal *r = a->refusals[i];
        out_cell(t, OUT_BAD, "Refused");
        out_cell(t, OUT_BAD, "pair %" PRIu64 " flow %u: %s", r->pair_id, r->flow, r->reason);
    }
    if (a->n_refusals > REFUSALS_SHOWN) {
        out_cell(t, OUT_BAD, "Refused");
        out_cell(t, OUT_BAD, "and %zu more", a->n_refusals - REFUSALS_SHOWN);
    }
}

static enum cli_exit print_facts(struct cli *c, const Tw__AgentInfo *a)
{
    static const struct out_column facts[] = { { NULL, false, 0 }, { NULL, false, 0 } };
    struct out_table t;

    out_table_init(&t, facts, TW_NELEM(facts));
    put_identity(c, &t, a);
    if (a->health)
        put_vitals(&t, a->health);
    if (a->clock) {
        out_cell(&t, OUT_PLAIN, "Clock by its pairs");
        put_audit(&t, a->clock);
    }
    put_refusals(&t, a);
    return cli_print_table(c, &t);
}

enum cli_exit agent_print(struct cli *c, Tw__AgentInfo *a)
{
    return cli_for_people(c) ? print_facts(c, a) : cli_print_list(c, &agents_listing, OUT_ROWS(&a, 1), NULL);
}
