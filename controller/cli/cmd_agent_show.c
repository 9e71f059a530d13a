/* twampctl agent show: one agent, fact by fact. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "controller/cli/agents.h"

/* ---- What operators said of it ---- */

static void show_mark(struct out_records *r, const char *title, const Tw__AgentMark *m)
{
    char when[OUT_NUM];

    if (m)
        out_show(r, title, OUT_DOUBT, "since %s by %s%s%s", out_time(m->time_ns, when),
                 *m->author ? m->author : "?", *m->reason ? ": " : "", m->reason);
}

/* What is over says nothing any more; the next one, and how many follow. */
static void show_spans(struct out_records *r, const Tw__AgentInfo *a, int64_t now_ns)
{
    const Tw__AgentSpan *next = NULL;
    char from[OUT_NUM], to[OUT_NUM], more[48] = "";
    size_t n = 0;

    for (size_t i = 0; i < a->n_maintenance; i++) {
        if (a->maintenance[i]->to_ns <= now_ns)
            continue;
        next = next ? next : a->maintenance[i];
        n++;
    }
    if (!next)
        return;
    if (n > 1)
        snprintf(more, sizeof more, "; %zu more to come", n - 1);
    out_show(r, "Maintenance", next->from_ns <= now_ns ? OUT_DOUBT : OUT_PLAIN, "%s to %s by %s%s%s%s",
             out_time(next->from_ns, from), out_time(next->to_ns, to), *next->author ? next->author : "?",
             *next->reason ? ": " : "", next->reason, more);
}

static void show_limits(struct out_records *r, const Tw__AgentLimits *l)
{
    char bps[OUT_NUM];

    if (l)
        out_show(r, "Its limits", OUT_PLAIN, "%" PRIu32 " sessions, %" PRIu32 " packets/s%s%s",
                 l->max_sessions, l->max_pps, l->max_bps ? ", " : "",
                 l->max_bps ? out_si((double)l->max_bps, "bit/s", bps) : "");
}

static void show_labels(struct out_records *r, const char *title, Tw__Label *const *v, size_t n)
{
    char text[512] = "";
    size_t len = 0;

    for (size_t i = 0; i < n && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", i ? " " : "", v[i]->key, v[i]->value);
    if (n)
        out_show(r, title, OUT_PLAIN, "%s", text);
}

/* Whose are the labels? Nobody asks as long as all are the agent's own. */
static void show_operators(struct out_records *r, const Tw__AgentInfo *a, int64_t now_ns)
{
    if (a->n_operator_labels || a->n_removed_labels)
        show_labels(r, "  said by the agent", a->own_labels, a->n_own_labels);
    show_mark(r, "Drained", a->drained);
    show_mark(r, "Revoked", a->revoked);
    show_spans(r, a, now_ns);
    show_limits(r, a->limits);
}

/* Red when nobody renews it. */
static void show_certificate(struct out_records *r, const Tw__AgentCertificate *m, int64_t now_ns)
{
    char until[OUT_NUM], issued[OUT_NUM];
    int64_t life;

    if (!m)
        return;
    if (__builtin_sub_overflow(m->not_after_ns, m->issued_ns, &life) || life < 0)
        life = 0; /* no such certificate is issued */
    out_show(r, "Certificate", now_ns > m->not_after_ns ? OUT_BAD : now_ns > (m->not_after_ns > life / 4 ? m->not_after_ns - life / 4 : 0) ? OUT_DOUBT : OUT_PLAIN,
             "until %s, issued %s, serial %s", out_time(m->not_after_ns, until), out_time(m->issued_ns, issued), m->serial);
}

/* ---- Its clock ---- */

static void show_claim(struct out_records *r, const Tw__HealthReport *h)
{
    char text[OUT_NUM];

    if (h->clock && h->clock->synced)
        out_show(r, "clock_error_seconds", OUT_PLAIN, "%s",
                 out_seconds((struct tw_num){ true, out_ns_to_s(h->clock->max_error_ns) }, text));
    else
        out_show(r, "clock_error_seconds", h->clock ? OUT_DOUBT : OUT_PLAIN, "%s", h->clock ? "not synced" : "-");
    if (h->clock_leap[0] && strcmp(h->clock_leap, "none") != 0)
        out_show(r, "Leap second", OUT_DOUBT, "%s", h->clock_leap);
}

/* What the mesh clock audit says. */
static void show_audit(struct out_records *r, const Tw__ClockFinding *f)
{
    static const char title[] = "Clock by its pairs";
    char offset[OUT_NUM], uncertainty[OUT_NUM];

    if (!f)
        return;
    if (!f->measured)
        out_show(r, title, OUT_PLAIN, "no pairs to tell by");
    else
        out_show(r, title, strcmp(f->verdict, "offset") ? OUT_PLAIN : OUT_BAD, "%s, %s +- %s", f->verdict,
                 agent_signed_seconds(f->offset_ns, offset),
                 out_seconds((struct tw_num){ true, out_ns_to_s(f->uncertainty_ns) }, uncertainty));
}

/* ---- Its health ---- */

/* What the host does to its measurements. */
static void show_trouble(struct out_records *r, const Tw__HealthReport *h)
{
    char p50[OUT_NUM], p99[OUT_NUM], max[OUT_NUM];
    const Tw__Noise *n = h->noise;

    out_show(r, "host_stalls", h->host_stall_max_ns >= STATS_STALL_LIMIT_NS ? OUT_BAD : OUT_PLAIN,
             "%" PRIu64 ", longest lately %s", h->host_stalls,
             out_seconds((struct tw_num){ h->host_stall_max_ns > 0, out_ns_to_s(h->host_stall_max_ns) }, max));
    out_show(r, "host_cpu_wait_ratio", h->host_cpu_wait_ppm >= STATS_STARVED_PPM ? OUT_BAD : OUT_PLAIN,
             "%s of a second at worst", out_percent((struct tw_num){ true, h->host_cpu_wait_ppm / 1e6 }, max));
    if (n)
        out_show(r, "Noise floor", n->p99_ns > STATS_NOISE_LIMIT_NS ? OUT_BAD : OUT_PLAIN,
                 "p50 %s, p99 %s, max %s",
                 out_seconds((struct tw_num){ n->max_ns != 0, out_ns_to_s(n->p50_ns) }, p50),
                 out_seconds((struct tw_num){ n->max_ns != 0, out_ns_to_s(n->p99_ns) }, p99),
                 out_seconds((struct tw_num){ n->max_ns != 0, out_ns_to_s(n->max_ns) }, max));
}

/* How far back the flight recorder goes, and what it keeps. */
static void show_flight(struct out_records *r, const Tw__HealthReport *h)
{
    char text[OUT_NUM];

    if (!h->flight_share)
        out_show(r, "flight_share", OUT_PLAIN, "off");
    else if (h->flight_kept_ns)
        out_show(r, "flight_share", OUT_PLAIN, "%" PRIu64 " probes of each session, %s back or more", h->flight_share,
                 out_seconds((struct tw_num){ true, out_ns_to_s(h->flight_kept_ns) }, text));
    else
        out_show(r, "flight_share", OUT_PLAIN, "%" PRIu64 " probes of each session", h->flight_share);
    if (h->flight_share)
        out_show(r, "Flight recorder keeps", OUT_PLAIN, "%" PRIu64 " frozen parts, %s", h->flight_frozen,
                 out_si((double)h->flight_frozen_bytes, "B", text));
}

/* X(field): what should be 0. */
#define TROUBLES(X)           \
    X(reflector_auth_failed)  \
    X(auth_failed)            \
    X(control_logins_failed)  \
    X(control_refused)        \
    X(reflector_drops)        \
    X(sender_drops)           \
    X(send_errors)            \
    X(spool_dropped)          \
    X(results_refused)        \
    X(names_unresolved)       \
    X(flight_unrecorded)
#define MARK(field)   \
    if (h->field)     \
        out_style(r, #field, OUT_BAD);

static void show_health(struct out_records *r, const Tw__HealthReport *h)
{
    char text[OUT_NUM], more[OUT_NUM];

    TROUBLES(MARK)
    out_style(r, "secrets_error", OUT_BAD);
    out_style(r, "access_error", OUT_BAD);
    out_style(r, "config_error", OUT_BAD);
    out_style(r, "https_error", OUT_BAD);
    if (h->noise && h->noise->lost)
        out_style(r, "noise_lost", OUT_BAD);
    if (h->clock && h->clock->steps)
        out_style(r, "clock_steps", OUT_BAD);
    if (h->names_stale)
        out_style(r, "names_stale", OUT_DOUBT);
    show_trouble(r, h);
    out_show(r, "spool_summaries", OUT_PLAIN, "%" PRIu64 " summaries, %s", h->spool_summaries,
             out_si((double)h->spool_bytes, "B", text));
    show_claim(r, h);
    out_show(r, "CPU, memory", OUT_PLAIN, "%s, %s",
             out_seconds((struct tw_num){ true, out_ns_to_s((int64_t)h->cpu_ns) }, text),
             out_si((double)h->rss_bytes, "B", more));
    show_flight(r, h);
}

/* ---- The facts: the values of the list, and how people see them ---- */

static void show_addresses(struct out_records *r, const Tw__AgentInfo *a)
{
    char text[512], first[AGENT_ADDRESS_TEXT];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", agent_address_text(a, first));

    for (size_t i = 1; i < a->n_addresses && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, ", %s", a->addresses[i]);
    out_show(r, "Reflector", OUT_PLAIN, "%s", text);
}

static void put_facts(struct out_records *r, const void *row, const void *ctx)
{
    const Tw__AgentInfo *a = row;
    const struct cli *c = ctx;
    char when[OUT_NUM], ago[OUT_NUM];

    agents_listing.put(r, row, ctx);
    if (!r->for_people)
        return;
    if (a->last_contact_ns)
        out_show(r, "last_contact_ns", OUT_PLAIN, "%s (%s ago)", out_time(a->last_contact_ns, when),
                 out_ago(a->last_contact_ns, c->wall_ns(), ago));
    show_addresses(r, a);
    show_operators(r, a, c->wall_ns());
    show_certificate(r, a->certificate, c->wall_ns());
    if (a->health)
        show_health(r, a->health);
    show_audit(r, a->clock);
}

#define KNOWN .when = OUT_IF_KNOWN
#define SET .when = OUT_IF_SET
#define COUNT .as = OUT_AS_COUNT
static const struct out_col columns[] = {
    { .title = "Name", .name = "name" },
    { .title = "State", .name = "state" },
    { .title = "Fingerprint", .name = "fingerprint" },
    { .title = "Approved", .name = "approved_ns", .as = OUT_AS_TIME },
    { .title = "Last contact", .name = "last_contact_ns", .as = OUT_AS_TIME },
    { .title = "Certificate", SET },
    { .title = "Software", .name = "software" },
    { .title = "Connects from", .name = "peer_address" },
    { .title = "Controller", .name = "controller", SET },
    { .title = "Reflector" },
    { .title = "TWAMP-Control port", .name = "control_port", COUNT, SET },
    { .title = "Capabilities", .name = "capabilities" },
    { .title = "Labels", .name = "labels" },
    { .title = "  said by the agent", SET },
    { .title = "  set by operators", .name = "operator_labels", SET },
    { .title = "  removed by operators", .name = "removed_labels", SET },
    { .title = "Drained", SET },
    { .title = "Revoked", SET },
    { .title = "Maintenance", SET },
    { .title = "Was called", .name = "former_names", SET },
    { .title = "Its limits", SET },
    { .title = "Generation", .name = "generation", COUNT },
    { .title = "Pairs as source", .name = "pairs", COUNT },
    { .title = "Sessions", .name = "sessions", COUNT, KNOWN },
    { .title = "Probes sent", .name = "probes_sent", COUNT, KNOWN },
    { .title = "Probes answered", .name = "probes_received", COUNT, KNOWN },
    { .title = "Reflected", .name = "reflected", COUNT, KNOWN },
    { .title = "Reflected, STAMP", .name = "reflected_stamp", COUNT, KNOWN },
    { .title = "Reflected, signed", .name = "reflected_auth", COUNT, KNOWN },
    { .title = "Reflected by XDP", .name = "reflected_xdp", COUNT, KNOWN },
    { .title = "Not reflected", .name = "reflector_rejected", COUNT, KNOWN },
    { .title = "Probes, not allowed", .name = "reflector_not_allowed", COUNT, KNOWN },
    { .title = "Probes, too many", .name = "reflector_rate_limited", COUNT, KNOWN },
    { .title = "Probes, loops", .name = "reflector_loops", COUNT, KNOWN },
    { .title = "Probes, too short", .name = "reflector_longer", COUNT, KNOWN },
    { .title = "Senders evicted", .name = "reflector_evicted", COUNT, KNOWN },
    { .title = "Probes, wrong HMAC", .name = "reflector_auth_failed", COUNT, KNOWN },
    { .title = "Probes, not signed", .name = "reflector_auth_demanded", COUNT, KNOWN },
    { .title = "Answers, wrong HMAC", .name = "auth_failed", COUNT, KNOWN },
    { .title = "Agreed sessions", .name = "reflect_sessions", COUNT, KNOWN },
    { .title = "Control connections", .name = "control_connections", COUNT, KNOWN },
    { .title = "Logins failed", .name = "control_logins_failed", COUNT, KNOWN },
    { .title = "Refused by limits", .name = "control_refused", COUNT, KNOWN },
    { .title = "Control, not allowed", .name = "control_not_allowed", COUNT, KNOWN },
    { .title = "Control, too many", .name = "control_rate_limited", COUNT, KNOWN },
    { .title = "Access lists", .name = "access_error", SET },
    { .title = "Configuration", .name = "config_error", SET },
    { .title = "Restart needed for", .name = "restart_needed", SET },
    { .title = "Secrets", .name = "secrets_error", SET },
    { .title = "HTTPS certificate", .name = "https_error", SET },
    { .title = "Dropped by the host", .name = "reflector_drops", COUNT, KNOWN },
    { .title = "Answers dropped", .name = "sender_drops", COUNT, KNOWN },
    { .title = "Not sent", .name = "send_errors", COUNT, KNOWN },
    { .title = "Stalls", .name = "host_stalls", COUNT, KNOWN },
    { .title = "Waits for a CPU", .name = "host_cpu_wait_ratio", .as = OUT_AS_RATIO, KNOWN },
    { .title = "Noise floor", SET },
    { .title = "Lost on loopback", .name = "noise_lost", COUNT, KNOWN },
    { .title = "Spool", .name = "spool_summaries", COUNT, KNOWN },
    { .title = "Backlog of the spool", .name = "spool_backlog", COUNT, SET },
    { .title = "Dropped by the spool", .name = "spool_dropped", COUNT, KNOWN },
    { .title = "Lost before the spool", .name = "results_refused", COUNT, KNOWN },
    { .title = "Clock error", .name = "clock_error_seconds", .as = OUT_AS_SECONDS },
    { .title = "Clock steps", .name = "clock_steps", COUNT, KNOWN },
    { .title = "Leap second", SET },
    { .title = "CPU, memory", SET },
    { .title = "Flight recorder", .name = "flight_share", COUNT, KNOWN },
    { .title = "Flight recorder keeps", SET },
    { .title = "Frozen parts given up", .name = "flight_gave_way", COUNT, KNOWN },
    { .title = "Probes not recorded", .name = "flight_unrecorded", COUNT, KNOWN },
    { .title = "Targets by name", .name = "names", COUNT, SET },
    { .title = "  without address", .name = "names_unresolved", COUNT, SET },
    { .title = "  by their last one", .name = "names_stale", COUNT, SET },
    { .title = "Name lookups failed", .name = "name_failures", COUNT, SET },
    { .title = "Sessions moved", .name = "name_changes", COUNT, SET },
    { .title = "Runs begun", .name = "runs", COUNT, SET },
    { .title = "Runs missed", .name = "runs_missed", COUNT, SET },
    { .title = "Tests running", .name = "tests", COUNT, SET },
    { .title = "Clock by its pairs", SET },
};
static const Tw__AgentInfo no_agent = TW__AGENT_INFO__INIT;
static const struct out_listing agent_facts = {
    .key = "agents", .columns = columns, .n_columns = TW_NELEM(columns), .put = put_facts, .none = &no_agent
};

#define REFUSALS_SHOWN 20

static void print_refusals(const Tw__AgentInfo *a)
{
    for (size_t i = 0; i < a->n_refusals && i < REFUSALS_SHOWN; i++) {
        printf("%sRefuses pair %" PRIu64 " flow %u: ", i ? "" : "\n", a->refusals[i]->pair_id, a->refusals[i]->flow);
        out_safe(stdout, a->refusals[i]->reason, false);
        putchar('\n');
    }
    if (a->n_refusals > REFUSALS_SHOWN)
        printf("and %zu more\n", a->n_refusals - REFUSALS_SHOWN);
}

enum cli_exit agent_print(struct cli *c, const Tw__AgentInfo *a)
{
    enum cli_exit code = cli_print_facts(c, &agent_facts, a, c);

    if (!code && cli_for_people(c))
        print_refusals(a);
    return code;
}
