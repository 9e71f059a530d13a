#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "controller/cli/cli.h"

static const struct out_column columns[] = {
    { "NAME", false, 0 },        { "STATE", false, 0 }, { "ADDRESS", false, 3 },
    { "LABELS", false, 4 },      { "PAIRS", true, 2 },  { "SESSIONS", true, 1 },
    { "GENERATION", true, 0 },   { "SPOOL", true, 0 },  { "CLOCK ERROR", true, 5 },
    { "LAST CONTACT", true, 0 },
};

/* ---- Cells ---- */

static enum out_style state_style(const char *state)
{
    if (!strcmp(state, "down"))
        return OUT_BAD;
    return strcmp(state, "pending") ? OUT_PLAIN : OUT_DOUBT;
}

static void put_labels(struct out_table *t, const Tw__AgentInfo *a)
{
    char text[512] = "";
    size_t len = 0;

    for (size_t i = 0; i < a->n_labels && len < sizeof text; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s=%s", i ? " " : "", a->labels[i]->key,
                                a->labels[i]->value);
    out_cell(t, OUT_PLAIN, "%s", len ? text : "-");
}

static void put_address(struct out_table *t, const Tw__AgentInfo *a)
{
    const char *address = a->n_addresses ? a->addresses[0] : a->peer_address;

    if (!*address)
        out_cell(t, OUT_PLAIN, "-");
    else if (!a->reflector_port)
        out_cell(t, OUT_PLAIN, "%s", address);
    else
        out_cell(t, OUT_PLAIN, strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, a->reflector_port);
}

static void put_generation(struct out_table *t, const Tw__AgentInfo *a)
{
    if (a->generation == a->generation_wanted)
        out_cell(t, OUT_PLAIN, "%" PRIu64, a->generation);
    else
        out_cell(t, OUT_DOUBT, "%" PRIu64 " of %" PRIu64, a->generation, a->generation_wanted);
}

static void put_count(struct out_table *t, bool known, uint64_t n, enum out_style style)
{
    if (known)
        out_cell(t, style, "%" PRIu64, n);
    else
        out_cell(t, OUT_PLAIN, "-");
}

static bool is_clock_wrong(const Tw__AgentInfo *a)
{
    return a->clock && !strcmp(a->clock->verdict, "offset");
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

static const char *signed_seconds(int64_t ns, char buf[OUT_NUM])
{
    char text[OUT_NUM];

    snprintf(buf, OUT_NUM, "%s%.20s", ns > 0 ? "+" : "",
             out_seconds((struct tw_num){ true, out_ns_to_s(ns) }, text));
    return buf;
}

static void put_clock(struct out_table *t, const Tw__AgentInfo *a)
{
    char text[OUT_NUM];

    if (is_clock_wrong(a)) /* whatever it claims */
        out_cell(t, OUT_BAD, "off %s", signed_seconds(a->clock->offset_ns, text));
    else
        put_claim(t, a->health);
}

/* What the mesh clock audit says. */
static void put_audit(struct out_table *t, const Tw__ClockFinding *f)
{
    char offset[OUT_NUM], uncertainty[OUT_NUM];

    if (!f->measured)
        out_cell(t, OUT_PLAIN, "no pairs to tell by");
    else
        out_cell(t, strcmp(f->verdict, "offset") ? OUT_PLAIN : OUT_BAD, "%s, %s +- %s", f->verdict,
                 signed_seconds(f->offset_ns, offset),
                 out_seconds((struct tw_num){ true, out_ns_to_s(f->uncertainty_ns) }, uncertainty));
}

/* ---- List ---- */

static void put_row(struct cli *c, struct out_table *t, const Tw__AgentInfo *a)
{
    const Tw__HealthReport *h = a->health;
    char text[OUT_NUM];

    out_cell(t, OUT_PLAIN, "%s", a->name);
    out_cell(t, state_style(a->state), "%s", a->state);
    put_address(t, a);
    put_labels(t, a);
    out_cell(t, OUT_PLAIN, "%" PRIu64, a->pairs);
    put_count(t, h, h ? h->sessions : 0, OUT_PLAIN);
    put_generation(t, a);
    put_count(t, h, h ? h->spool_summaries : 0, h && h->spool_dropped ? OUT_BAD : OUT_PLAIN);
    put_clock(t, a);
    out_cell(t, OUT_PLAIN, "%s", out_ago(a->last_contact_ns, c->wall_ns(), text));
}

static void print_hints(const Tw__AgentListReply *reply)
{
    size_t pending = 0, refusing = 0, wrong = 0;

    for (size_t i = 0; i < reply->n_agents; i++) {
        pending += !strcmp(reply->agents[i]->state, "pending");
        refusing += reply->agents[i]->n_refusals > 0;
        wrong += is_clock_wrong(reply->agents[i]);
    }
    if (pending || refusing || wrong)
        putchar('\n');
    if (pending)
        printf("%zu pending: compare the fingerprint (twampctl agent show NAME), then twampctl agent approve "
               "NAME\n",
               pending);
    if (refusing)
        printf("%zu with refused sessions: twampctl agent show NAME says why\n", refusing);
    if (wrong)
        printf("%zu with a wrong clock: twampctl clock says more\n", wrong);
}

static enum cli_exit print_list(struct cli *c, const Tw__AgentListReply *reply)
{
    struct out_table t;
    enum cli_exit code;

    if (!reply->n_agents) {
        printf("No agents yet. On a host: twamp-agent --controller tcp://THIS-HOST:8620 --name NAME\n");
        return CLI_OK;
    }
    out_table_init(&t, columns, TW_NELEM(columns));
    for (size_t i = 0; i < reply->n_agents; i++)
        put_row(c, &t, reply->agents[i]);
    code = cli_print_table(c, &t);
    if (!code)
        print_hints(reply);
    return code;
}

/* ---- Records ---- */

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

static void put_finding(struct out_records *r, const Tw__ClockFinding *f)
{
    bool measured = f && f->measured;

    out_text(r, "clock_verdict", f ? f->verdict : NULL);
    out_num(r, "clock_offset_seconds", (struct tw_num){ measured, measured ? out_ns_to_s(f->offset_ns) : 0 });
    out_num(r, "clock_uncertainty_seconds",
            (struct tw_num){ measured, measured ? out_ns_to_s(f->uncertainty_ns) : 0 });
}

static void put_record(struct out_records *r, const Tw__AgentInfo *a)
{
    out_record(r);
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

/* Frees *r. */
static enum cli_exit print_json(struct cli *c, Tw__AgentInfo *const *agents, size_t n, struct out_records *r)
{
    cJSON *root = cJSON_CreateObject(), *list = out_json_array(r);
    cJSON *item = list ? list->child : NULL;

    out_records_free(r);
    for (size_t i = 0; item && i < n; i++, item = item->next)
        cJSON_AddItemToObject(item, "refused", refused(agents[i]));
    if (cJSON_AddItemToObject(root, "agents", list))
        return cli_print_tree(c, root);
    cJSON_Delete(list);
    cJSON_Delete(root);
    return cli_no_memory();
}

static enum cli_exit print_records(struct cli *c, Tw__AgentInfo *const *agents, size_t n)
{
    static const Tw__AgentInfo no_agent = TW__AGENT_INFO__INIT;
    struct out_records r = { .skip = n ? 0 : 1 };

    if (!n)
        put_record(&r, &no_agent);
    for (size_t i = 0; i < n; i++)
        put_record(&r, agents[i]);
    return cli_for_tree(c) ? print_json(c, agents, n, &r) : cli_print_records(c, "agents", &r);
}

static int by_name(const void *a, const void *b)
{
    const Tw__AgentInfo *const *aa = a, *const *ab = b;

    return strcmp((*aa)->name, (*ab)->name);
}

enum cli_exit cmd_agent_list(struct cli *c)
{
    Tw__AgentListRequest rq = TW__AGENT_LIST_REQUEST__INIT;
    ProtobufCMessage *m = NULL;
    enum cli_exit code = cli_call(c, "AgentList", &rq.base, &m);
    const Tw__AgentListReply *reply = (const Tw__AgentListReply *)m;

    if (!code && reply->n_agents)
        qsort(reply->agents, reply->n_agents, sizeof(Tw__AgentInfo *), by_name);
    if (!code)
        code = cli_for_people(c) ? print_list(c, reply)
                                          : print_records(c, reply->agents, reply->n_agents);
    if (!code && reply->truncated)
        cli_fail(CLI_OK, "there are more agents than these %zu: the answer is full", reply->n_agents);
    cli_free_reply(m);
    return code;
}

/* ---- One ---- */

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

static void put_identity(struct cli *c, struct out_table *t, const Tw__AgentInfo *a)
{
    char when[OUT_NUM], ago[OUT_NUM];

    put_fact(t, "Name", a->name);
    out_cell(t, OUT_PLAIN, "State");
    out_cell(t, state_style(a->state), "%s", a->state);
    put_fact(t, "Fingerprint", a->fingerprint);
    put_fact(t, "Approved", out_time(a->approved_ns, when));
    out_cell(t, OUT_PLAIN, "Last contact");
    out_cell(t, OUT_PLAIN, "%s (%s ago)", out_time(a->last_contact_ns, when),
             out_ago(a->last_contact_ns, c->wall_ns(), ago));
    put_fact(t, "Software", a->software);
    put_fact(t, "Connects from", a->peer_address);
    out_cell(t, OUT_PLAIN, "Reflector");
    put_address(t, a);
    for (size_t i = 1; i < a->n_addresses; i++)
        put_fact(t, "", a->addresses[i]);
    if (a->control_port)
        put_fact_u64(t, "TWAMP-Control port", a->control_port, false);
    put_capabilities(t, a);
    out_cell(t, OUT_PLAIN, "Labels");
    put_labels(t, a);
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

static enum cli_exit print_agent(struct cli *c, const Tw__AgentInfo *a)
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

/* Calls a method that takes an AgentRequest and gives the agent. */
static enum cli_exit call(struct cli *c, const char *method, ProtobufCMessage **ret)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;
    enum cli_exit code;

    rq.name = c->args.v[0];
    if (c->opt.fingerprint)
        rq.fingerprint = c->opt.fingerprint;
    code = cli_call(c, method, &rq.base, ret);
    if (!code && !((const Tw__AgentReply *)*ret)->agent && strcmp(method, "AgentRemove") != 0) {
        cli_free_reply(*ret);
        return cli_fail(CLI_FAILED, "the controller's answer lacks the agent");
    }
    return code;
}

enum cli_exit cmd_agent_show(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = call(c, "AgentShow", &m);

    if (code)
        return code;
    if (cli_for_people(c))
        code = print_agent(c, ((Tw__AgentReply *)m)->agent);
    else
        code = print_records(c, &((Tw__AgentReply *)m)->agent, 1);
    cli_free_reply(m);
    return code;
}

/* ---- Changes ---- */

enum cli_exit cmd_agent_approve(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    enum cli_exit code = call(c, "AgentApprove", &m);

    if (code)
        return code;
    if (cli_for_people(c)) {
        const Tw__AgentInfo *a = ((const Tw__AgentReply *)m)->agent;
        printf("Approved %s with the key %s\n", a->name, a->fingerprint);
    } else {
        code = print_records(c, &((Tw__AgentReply *)m)->agent, 1);
    }
    cli_free_reply(m);
    return code;
}

static bool confirmed(const char *name)
{
    char answer[16] = "";

    fprintf(stderr, "Forget agent ");
    out_safe(stderr, name, false);
    fprintf(stderr, " and cut it off? Its results stay. [y/N] ");
    return fgets(answer, sizeof answer, stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

enum cli_exit cmd_agent_remove(struct cli *c)
{
    ProtobufCMessage *m = NULL;
    struct out_records r = { 0 };
    enum cli_exit code;

    if (!c->opt.yes && !isatty(STDIN_FILENO))
        return cli_fail(CLI_USAGE, "nobody can be asked here: give --yes to remove %.64s", c->args.v[0]);
    if (!c->opt.yes && !confirmed(c->args.v[0]))
        return cli_fail(CLI_FAILED, "nothing was removed");
    code = call(c, "AgentRemove", &m);
    cli_free_reply(m);
    if (code)
        return code;
    if (cli_for_people(c)) {
        printf("Removed %s\n", c->args.v[0]);
        return CLI_OK;
    }
    out_record(&r);
    out_text(&r, "name", c->args.v[0]);
    out_text(&r, "state", "removed");
    return cli_print_records(c, "agents", &r);
}
