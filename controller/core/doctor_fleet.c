/* controller/core/doctor_fleet.c - checks of the controller, the meshes and each agent; see doctor.h. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/numtext.h"
#include "controller/core/doctor_priv.h"

#define DISK_LOW (UINT64_C(256) << 20) /* commits of a busy minute and a checkpoint */
#define DISK_FILLING 0.05              /* of its size */
#define CLOCK_ROUGH_NS \
    (2 * TW_NS_PER_S) /* health reports come late by what the network and both loops take */
#define CLOCK_JUDGES 3u
#define LATELY_NS (600 * TW_NS_PER_S)
#define CPU_WAIT_PPM 250000u
#define STALL_NS (500 * TW_NS_PER_MS)
#define SPOOL_LEAST 100u

static double seconds(int64_t ns)
{
    return (double)ns / (double)TW_NS_PER_S;
}

/* ---- The controller ---- */

bool check_store(struct doctor_exam *e)
{
    const struct doctor_controller *c = &e->facts->controller;

    if (c->n_problems)
        doctor_find(e, "%.250s", c->problems[0]);
    return c->n_problems > 0;
}

static bool check_problem(struct doctor_exam *e, const char *problem)
{
    if (problem && *problem)
        doctor_find(e, "%.250s", problem);
    return problem && *problem;
}

bool check_control(struct doctor_exam *e)
{
    return check_problem(e, e->facts->controller.control_problem);
}

bool check_history(struct doctor_exam *e)
{
    return check_problem(e, e->facts->controller.history_problem);
}

/* While it cannot be used at all that is the finding. */
bool check_history_replicas(struct doctor_exam *e)
{
    const char *problem = e->facts->controller.history_problem;

    return !(problem && *problem) && check_problem(e, e->facts->controller.history_lacks);
}

/* Of the controllers that are there already is told what is so of them; each is one finding. */
static bool each_peer(struct doctor_exam *e, bool (*fn)(struct doctor_exam *e, const struct doctor_peer *p))
{
    const struct doctor_controller *c = &e->facts->controller;
    bool found = false;

    for (size_t i = 0; i < c->n_peers; i++)
        found |= fn(e, &c->peers[i]);
    return found;
}

static bool is_missing(struct doctor_exam *e, const struct doctor_peer *p)
{
    struct finding *f;

    if (p->up || p->ended)
        return false;
    f = doctor_find(e, "controller %.60s (on %.60s) is missing", p->name, p->host);
    if (f)
        f->since_ns = p->gone_ns;
    return true;
}

static bool is_twin(struct doctor_exam *e, const struct doctor_peer *p)
{
    if (p->twin)
        doctor_find(e, "one of several controllers with the name %.60s runs on %.60s", p->name, p->host);
    return p->twin;
}

static bool is_of_other_release(struct doctor_exam *e, const struct doctor_peer *p)
{
    if (!p->up || p->self || !strcmp(p->version, e->facts->controller.version))
        return false;
    doctor_find(e, "controller %.60s runs %.40s, this one %.40s", p->name, p->version,
                e->facts->controller.version);
    return true;
}

bool check_missing_controllers(struct doctor_exam *e)
{
    return each_peer(e, is_missing);
}

bool check_twin_controllers(struct doctor_exam *e)
{
    return each_peer(e, is_twin);
}

bool check_controller_releases(struct doctor_exam *e)
{
    return each_peer(e, is_of_other_release);
}

#define SIZE_TEXT 16

static const char *size_text(uint64_t octets, char buf[SIZE_TEXT])
{
    if (octets < 1000 * 1000 * 1000)
        snprintf(buf, SIZE_TEXT, "%.1f MB", (double)octets / 1e6);
    else
        snprintf(buf, SIZE_TEXT, "%.1f GB", (double)octets / 1e9);
    return buf;
}

static void say_disk(struct doctor_exam *e)
{
    const struct doctor_controller *c = &e->facts->controller;
    char left[SIZE_TEXT], all[SIZE_TEXT], database[SIZE_TEXT];

    doctor_find(e, "%s of %s free (%.1f %%), the database has %s", size_text(c->disk_free, left),
                size_text(c->disk_size, all), 100.0 * (double)c->disk_free / (double)c->disk_size,
                size_text(c->database, database));
}

bool check_disk(struct doctor_exam *e)
{
    const struct doctor_controller *c = &e->facts->controller;

    if (!c->disk_known || !c->disk_size || c->disk_free >= DISK_LOW)
        return false;
    say_disk(e);
    return true;
}

bool check_disk_filling(struct doctor_exam *e)
{
    const struct doctor_controller *c = &e->facts->controller;

    if (!c->disk_known || !c->disk_size || (double)c->disk_free >= DISK_FILLING * (double)c->disk_size)
        return false;
    say_disk(e);
    return true;
}

bool check_queue(struct doctor_exam *e)
{
    const struct doctor_controller *c = &e->facts->controller;

    if (!c->max_rows || c->queued_rows <= c->max_rows / 2)
        return false;
    doctor_find(e, "%" PRIu64 " summaries wait to be stored, at most %" PRIu64 " should", c->queued_rows,
                   c->max_rows);
    return true;
}

bool check_refused_connections(struct doctor_exam *e)
{
    const struct doctor_controller *c = &e->facts->controller;
    bool found = false;

    for (size_t i = 0; i < c->n_refused; i++) {
        const struct doctor_refusal *r = &c->refused[i];

        if (e->facts->now_ns - r->last_ns > LATELY_NS)
            continue;
        doctor_find(e, "%s%s%.63s%s: %.230s (%" PRIu64 " times, the last %.0f s ago)", r->address, *r->name ? " (" : "",
                    r->name, *r->name ? ")" : "", r->reason, r->times, seconds(e->facts->now_ns - r->last_ns));
        found = true;
    }
    return found;
}

bool check_too_much(struct doctor_exam *e)
{
    const struct doctor_too_much *t = &e->facts->controller.too_much;

    if (!t->requests && !t->queries && !t->calls && !t->batches)
        return false;
    doctor_find(e,
                "refused in the last ten minutes for being too many: %" PRIu64 " HTTP requests, %" PRIu64
                " queries, %" PRIu64 " calls of operators, %" PRIu64 " batches of results",
                t->requests, t->queries, t->calls, t->batches);
    return true;
}

/* Found if there is a text. */
static bool say_text(struct doctor_exam *e, const char *text)
{
    if (!text || !*text)
        return false;
    doctor_find(e, "%.300s", text);
    return true;
}

bool check_controller_reload(struct doctor_exam *e)
{
    return say_text(e, e->facts->controller.reload_error);
}

bool check_controller_restart(struct doctor_exam *e)
{
    return say_text(e, e->facts->controller.restart_needed);
}

/* ---- Clocks against the controller's ---- */

static int by_value(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

/* What the agents' clocks are ahead of ours, in the middle of them. 0 with fewer than CLOCK_JUDGES. */
static int64_t median_ahead(const struct doctor_facts *f, size_t *ret_n)
{
    int64_t *v = malloc((f->n_agents + 1) * sizeof *v), median = 0;
    size_t n = 0;

    for (size_t i = 0; v && i < f->n_agents; i++)
        if (f->agents[i].state == DOCTOR_UP && f->agents[i].has_health)
            v[n++] = f->agents[i].clock_ahead_ns;
    if (n >= CLOCK_JUDGES) {
        qsort(v, n, sizeof *v, by_value);
        median = v[n / 2];
    }
    free(v);
    *ret_n = n;
    return median;
}

bool check_controller_clock(struct doctor_exam *e)
{
    size_t n, alike = 0;
    int64_t median = median_ahead(e->facts, &n);

    if (llabs(median) < CLOCK_ROUGH_NS)
        return false;
    for (size_t i = 0; i < e->facts->n_agents; i++)
        alike += e->facts->agents[i].has_health &&
                 llabs(e->facts->agents[i].clock_ahead_ns - median) < CLOCK_ROUGH_NS;
    doctor_find(e, "%.1f s %s the clocks of %zu of %zu agents, which agree with each other",
                fabs(seconds(median)), median > 0 ? "behind" : "ahead of", alike, n);
    return true;
}

bool check_clock_ahead(struct doctor_exam *e)
{
    size_t n;
    int64_t off;

    if (!e->agent->has_health || e->agent->state != DOCTOR_UP ||
        (e->agent->audited && e->agent->clock.verdict == CLOCK_OFFSET))
        return false;
    off = e->agent->clock_ahead_ns - median_ahead(e->facts, &n);
    if (llabs(off) < CLOCK_ROUGH_NS)
        return false;
    doctor_find(e, "%.1f s %s %s", fabs(seconds(off)), off > 0 ? "ahead of" : "behind",
                n >= CLOCK_JUDGES ? "most agents" : "the controller");
    return true;
}

bool check_clock_offset(struct doctor_exam *e)
{
    const struct clock_host *h = &e->agent->clock;

    if (!e->agent->audited || h->verdict != CLOCK_OFFSET)
        return false;
    doctor_find(e, "%.2f ms %s the others (+- %.2f ms), by %u pairs%s", fabs(h->offset_s) * 1e3,
                h->offset_s > 0 ? "ahead of" : "behind", h->uncertainty_s * 1e3, h->pairs_used,
                h->certain ? "; no delays whatever explain that" : "");
    return true;
}

bool check_clock_either(struct doctor_exam *e)
{
    const struct clock_host *h = &e->agent->clock;

    if (!e->agent->audited || h->verdict != CLOCK_EITHER)
        return false;
    doctor_find(e, "%.2f ms from the middle of the %u agents that it is linked with", fabs(h->offset_s) * 1e3,
                h->component_hosts);
    return true;
}

bool check_clock_unsynced(struct doctor_exam *e)
{
    if (!e->agent->has_health || e->agent->health.clock_synced)
        return false;
    doctor_find(e, "its kernel says so; an error of up to %.3f s", seconds(e->agent->health.clock_error_ns));
    return true;
}

/* ---- Meshes ---- */

bool check_mesh_names(struct doctor_exam *e)
{
    if (!e->mesh->unresolved)
        return false;
    doctor_find(e, "%" PRIu64 " names in the document are no approved agent; %" PRIu64 " pairs run",
                e->mesh->unresolved, e->mesh->pairs);
    return true;
}

/* ---- Is it there? ---- */

bool check_key_taken(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;

    if (!a->other_keys || e->facts->now_ns - a->other_key_ns > LATELY_NS)
        return false;
    doctor_find(e, "%u connections from %s with this name and another key were refused, the last %.0f s ago",
                a->other_keys, a->other_key_address, seconds(e->facts->now_ns - a->other_key_ns));
    return true;
}

bool check_cloned(struct doctor_exam *e)
{
    if (e->agent->takeovers < 3)
        return false;
    doctor_find(e, "%u times in ten minutes another connection with its key took over", e->agent->takeovers);
    return true;
}

bool check_pending(struct doctor_exam *e)
{
    if (e->agent->state != DOCTOR_PENDING)
        return false;
    doctor_find(e, "it came %.0f s ago from %s", seconds(e->facts->now_ns - e->agent->first_seen_ns),
                *e->agent->address ? e->agent->address : "an unknown address");
    return true;
}

bool check_cut_off(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;

    if (a->state != DOCTOR_DOWN || !a->reflector_answered)
        return false;
    doctor_find(e, "not connected, but its reflector answers %u of %u agents that asked it",
                a->reflector_answered, a->reflector_asked);
    return true;
}

bool check_down(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    struct finding *f;

    if (a->state != DOCTOR_DOWN)
        return false;
    f = doctor_find(e, "not connected");
    if (f && a->reflector_asked)
        snprintf(f->observed + strlen(f->observed), sizeof f->observed - strlen(f->observed),
                 ", and its reflector answers none of %u agents that asked it", a->reflector_asked);
    return true;
}

/* ---- Version, schedule ---- */

static const char *digits(const char *text)
{
    while (*text && (*text < '0' || *text > '9'))
        text++;
    return text;
}

int doctor_compare_versions(const char *a, const char *b)
{
    a = digits(a);
    b = digits(b);
    while (*a && *b) {
        char *end_a, *end_b;
        unsigned long x = strtoul(a, &end_a, 10), y = strtoul(b, &end_b, 10);

        if (x != y)
            return x < y ? -1 : 1;
        if (*end_a != '.' || *end_b != '.')
            return (*end_a == '.') - (*end_b == '.');
        a = end_a + 1;
        b = end_b + 1;
    }
    return 0;
}

/* What every agent of this version has, however it is started. */
static size_t missing(const struct doctor_agent *a, char ret[FINDING_SUBJECT])
{
    static const char *const all[] = { "light", "rx-kernel-timestamps", "shapes", "stamp", "twamp", "test",
                                       "times", "schedule-delta", "hosts" };
    size_t n = 0, len = 0;

    *ret = 0;
    for (size_t i = 0; i < TW_NELEM(all); i++) {
        bool has = false;

        for (size_t k = 0; k < a->n_capabilities; k++)
            has |= !strcmp(a->capabilities[k], all[i]);
        if (!has && len < FINDING_SUBJECT)
            len += (size_t)snprintf(ret + len, FINDING_SUBJECT - len, "%s%s", n++ ? ", " : "", all[i]);
    }
    return n;
}

bool check_version(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    int order = doctor_compare_versions(a->software, e->facts->controller.version);
    char lacks[FINDING_SUBJECT];
    size_t n;

    if (!order || a->state != DOCTOR_UP)
        return false;
    n = missing(a, lacks);
    doctor_find(e, "%.60s, %s than the controller (%.40s)%s%s%s", a->software, order < 0 ? "older" : "newer",
                e->facts->controller.version, n ? "; lacks " : "", lacks,
                a->cannot_diagnose ? "; cannot look for faults itself" : "");
    return true;
}

bool check_capabilities(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    char lacks[FINDING_SUBJECT];

    if (a->state != DOCTOR_UP || doctor_compare_versions(a->software, e->facts->controller.version) ||
        !missing(a, lacks))
        return false;
    doctor_find(e, "%.60s lacks %s", a->software, lacks);
    return true;
}

bool check_behind(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;

    if (a->state != DOCTOR_UP || !a->behind)
        return false;
    doctor_find(e, "runs generation %" PRIu64 ", wanted is %" PRIu64 "; %u attempts to bring it there failed",
                a->generation, a->generation_wanted, a->push_failures);
    return true;
}

bool check_refusals(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;

    if (a->state != DOCTOR_UP || !a->refusals)
        return false;
    doctor_find(e, "%zu sessions refused, the first: %.200s", a->refusals,
                a->first_refusal ? a->first_refusal : "");
    return true;
}

/* What the agent says of its files. */
static bool tells(struct doctor_exam *e, const char *text)
{
    return e->agent->has_health && say_text(e, text);
}

bool check_secrets(struct doctor_exam *e)
{
    return tells(e, e->agent->health.secrets_error);
}

bool check_access_lists(struct doctor_exam *e)
{
    return tells(e, e->agent->health.access_error);
}

bool check_config(struct doctor_exam *e)
{
    return tells(e, e->agent->health.config_error);
}

bool check_restart(struct doctor_exam *e)
{
    return tells(e, e->agent->health.restart_needed);
}

bool check_https(struct doctor_exam *e)
{
    return tells(e, e->agent->health.https_error);
}

bool check_names(struct doctor_exam *e)
{
    const struct doctor_health *h = &e->agent->health;

    if (!e->agent->has_health || !h->names_unresolved)
        return false;
    doctor_find(e, "%" PRIu64 " of %" PRIu64 " host names of targets have no address: their sessions do not run",
                h->names_unresolved, h->names);
    return true;
}

bool check_names_stale(struct doctor_exam *e)
{
    const struct doctor_health *h = &e->agent->health;

    if (!e->agent->has_health || !h->names_stale)
        return false;
    doctor_find(e,
                "%" PRIu64 " of %" PRIu64 " host names of targets cannot be looked up again: their last "
                "addresses stay in use",
                h->names_stale, h->names);
    return true;
}

/* ---- What grows ---- */

/* By how much since the earlier report, or since the agent's start. */
#define GREW(a, field) ((a)->has_health ? (a)->health.field - ((a)->has_base ? (a)->base.field : 0) : 0)

static const char *since(const struct doctor_agent *a, char buf[48])
{
    if (a->has_base)
        snprintf(buf, 48, "in the last %.0f s", seconds(a->health.time_ns - a->base.time_ns));
    else
        snprintf(buf, 48, "since it was started");
    return buf;
}

bool check_spool_dropping(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    uint64_t dropped = GREW(a, spool_dropped), refused = GREW(a, results_refused);
    char text[48];

    if (!dropped && !refused)
        return false;
    doctor_find(e, "%" PRIu64 " summaries lost %s, of them %" PRIu64 " by a full spool; %" PRIu64 " wait",
                dropped + refused, since(a, text), dropped, a->health.spool_summaries);
    return true;
}

bool check_spool_growing(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    char text[48];

    if (!a->has_base || a->health.spool_summaries < SPOOL_LEAST + 2 * a->pairs ||
        a->health.spool_summaries <= a->base.spool_summaries + a->pairs)
        return false;
    doctor_find(e, "%" PRIu64 " summaries wait, %" PRIu64 " more %s", a->health.spool_summaries,
                a->health.spool_summaries - a->base.spool_summaries, since(a, text));
    return true;
}

bool check_host_drops(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    uint64_t reflector = GREW(a, reflector_drops), sender = GREW(a, sender_drops);
    char text[48];

    if (!reflector && !sender)
        return false;
    doctor_find(e,
                "%" PRIu64 " probes at its reflector and %" PRIu64
                " answers to its own probes dropped by the kernel %s",
                reflector, sender, since(a, text));
    return true;
}

bool check_host_starved(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;

    if (!a->has_health ||
        (a->health.host_cpu_wait_ppm < CPU_WAIT_PPM && a->health.host_stall_max_ns < STALL_NS))
        return false;
    doctor_find(e, "waited for a CPU up to %.0f %% of a second; longest stall %.0f ms in the last minute",
                (double)a->health.host_cpu_wait_ppm / 1e4, seconds(a->health.host_stall_max_ns) * 1e3);
    return true;
}

bool check_host_loopback(struct doctor_exam *e)
{
    const struct doctor_agent *a = e->agent;
    uint64_t lost = GREW(a, noise_lost), sent = GREW(a, noise_sent);
    char text[48];

    if (lost < 3 || lost * 100 < sent)
        return false;
    doctor_find(e, "%" PRIu64 " of %" PRIu64 " packets of the self-test lost %s", lost, sent, since(a, text));
    return true;
}

bool check_strangers(struct doctor_exam *e)
{
    uint64_t n = GREW(e->agent, not_allowed), connections = GREW(e->agent, control_not_allowed);
    char text[48];

    if (!n && !connections)
        return false;
    doctor_find(e, "%" PRIu64 " datagrams and %" PRIu64 " connections from addresses that its access lists keep out %s", n,
                connections, since(e->agent, text));
    return true;
}

bool check_floods(struct doctor_exam *e)
{
    uint64_t n = GREW(e->agent, rate_limited), connections = GREW(e->agent, control_rate_limited);
    char text[48];

    if (!n && !connections)
        return false;
    doctor_find(e, "%" PRIu64 " datagrams and %" PRIu64 " connections beyond what a single source may send %s", n,
                connections, since(e->agent, text));
    return true;
}

bool check_loops(struct doctor_exam *e)
{
    uint64_t n = GREW(e->agent, loops);
    char text[48];

    if (!n)
        return false;
    doctor_find(e, "%" PRIu64 " datagrams that were answers, or came from where only servers send %s", n,
                since(e->agent, text));
    return true;
}

bool check_bad_signatures(struct doctor_exam *e)
{
    uint64_t probes = GREW(e->agent, auth_failed), answers = GREW(e->agent, answers_auth_failed);
    char text[48];

    if (!probes && !answers)
        return false;
    doctor_find(e,
                "%" PRIu64 " probes that came to its reflector and %" PRIu64
                " answers to its own probes had a wrong signature %s",
                probes, answers, since(e->agent, text));
    return true;
}

bool check_bad_logins(struct doctor_exam *e)
{
    uint64_t n = GREW(e->agent, logins_failed);
    char text[48];

    if (!n)
        return false;
    doctor_find(e, "%" PRIu64 " logins failed %s", n, since(e->agent, text));
    return true;
}
