/* controller/doctor_facts.c - what the doctor is about, and what is known of it; see doctor.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "common/selector.h"
#include "common/version.h"
#include "controller/doctor_run.h"
#include "controller/fleet.h"
#include "controller/schedule.h"
#include "controller/writer.h"
#include "controller/near.h"
#include "controller/registry.h"

#define WAYS_MAX 20000u
#define PEERS_MAX 32u
#define DOWN_PROBED 50u /* agents that are down, whose reflectors are asked */
#define JUDGES 2u       /* each, by so many others */

/* ---- Agents ---- */

static bool matches_selector(const struct selector *s, const struct agent *a)
{
    return selector_match(s, a->labels, a->n_labels, a->row.name);
}

static bool is_in_mesh(const struct run *r, const struct agent *a)
{
    const char *name = names_find(&r->d->c->inv.names, a->row.name);
    struct member *m = NULL;

    if (name)
        HASH_FIND(hh, r->members, &name, sizeof name, m);
    return m != NULL;
}

static enum tw_rc add_member(struct run *r, const char *name)
{
    struct member *m;

    HASH_FIND(hh, r->members, &name, sizeof name, m);
    if (m)
        return TW_OK;
    m = calloc(1, sizeof *m);
    if (!m)
        return TW_ENOMEM;
    m->name = name;
    HASH_ADD(hh, r->members, name, sizeof m->name, m);
    return TW_OK;
}

bool run_wants_agent(const struct run *r, const struct agent *a)
{
    const struct doctor_query *q = &r->query;

    if (*q->source || *q->target)
        return !strcmp(a->row.name, q->source) || !strcmp(a->row.name, q->target);
    if ((q->selector && !matches_selector(q->selector, a)) || agent_is_revoked(a)) /* that is no fault */
        return false;
    return !*q->mesh || is_in_mesh(r, a);
}

/* Drained or in maintenance: an operator knows of it. Who asks for it by name is told all the same. Of one that
 * another controller has that one tells. */
static bool is_away(const struct run *r, const struct agent *a)
{
    if (a && !a->peer && a->elsewhere)
        return true;
    return a && !*r->query.source && (agent_is_drained(a) || agent_in_maintenance(a, loop_now(r->d->c->loop).wall.ns));
}

static enum doctor_state state_of(const struct agent *a)
{
    return !a->row.approved ? DOCTOR_PENDING : agent_is_up(a) ? DOCTOR_UP : DOCTOR_DOWN;
}

/* ---- Ways: made ---- */

static struct way *find_way(struct run *r, const char *source, const char *target)
{
    const void *key[2] = { source, target };
    struct way *w;

    HASH_FIND(hh, r->ways, key, sizeof key, w);
    return w;
}

static enum tw_rc enlist(struct run *r, struct way *w)
{
    if ((r->n_list & (r->n_list - 1)) == 0) {
        struct way **grown = realloc(r->list, (r->n_list ? 2 * r->n_list : 1) * sizeof *grown);
        if (!grown)
            return TW_ENOMEM;
        r->list = grown;
    }
    r->list[r->n_list++] = w;
    return TW_OK;
}

/* source and target are kept names. NULL: no memory. */
static struct way *get_way(struct run *r, const char *source, const char *target, const char *mesh)
{
    struct inventory *inv = &r->d->c->inv;
    struct way *w = find_way(r, source, target);
    const struct agent *s, *t;

    if (w)
        return w;
    w = calloc(1, sizeof *w);
    if (!w || enlist(r, w) != TW_OK) {
        free(w);
        return NULL;
    }
    s = inventory_agent(inv, source);
    t = inventory_agent(inv, target);
    w->key[0] = source;
    w->key[1] = target;
    w->facts = (struct doctor_way){ .source = source,
                                    .target = target,
                                    .mesh = mesh,
                                    .source_state = s ? state_of(s) : DOCTOR_DOWN,
                                    .target_state = t ? state_of(t) : DOCTOR_UP,
                                    .target_is_agent = t != NULL,
                                    .away = is_away(r, s) || is_away(r, t) };
    HASH_ADD(hh, r->ways, key, sizeof w->key, w);
    return w;
}

/* ---- Ways: what their pairs tell ---- */

static void take_spec(struct way *w, const Tw__SessionSpec *s)
{
    uint32_t size = s->size_bytes;

    for (size_t i = 0; i < s->n_imix_bytes; i++)
        size = s->imix_bytes[i] > size ? s->imix_bytes[i] : size;
    w->facts.auth |= s->auth != TW__AUTH__AUTH_NONE;
    if (s->protocol == TW__PROTOCOL__PROTOCOL_TWAMP)
        w->control_port = s->port;
    else
        w->port = s->port;
    w->stamp |= s->protocol == TW__PROTOCOL__PROTOCOL_STAMP;
    if (*s->host && !*w->host) {
        snprintf(w->host, sizeof w->host, "%s", s->host);
        w->family = (uint8_t)s->host_family;
    } else if (!*w->address && !*w->host) {
        snprintf(w->address, sizeof w->address, "%s", s->address);
    }
    if (size < w->size)
        return;
    w->size = w->facts.size = size;
    w->df = s->df;
    w->dscp = s->dscp;
    snprintf(w->bind, sizeof w->bind, "%s", s->bind);
}

static void add_losses(struct doctor_way *w, const struct tw_summary *s)
{
    w->sent += s->sent;
    w->not_sent += s->send_errors;
    w->received += s->received;
    w->lost_forward += s->lost_forward;
    w->lost_backward += s->lost_backward;
    w->lost_unknown += s->lost_unknown;
}

static void take_since(struct doctor_since *ret, const struct pair_trouble *t)
{
    if (t->since_ns && (!ret->ns || t->since_ns < ret->ns))
        *ret = (struct doctor_since){ .ns = t->since_ns, .or_before = t->or_before };
}

static uint32_t *counter_of(struct doctor_way *w, const char *state)
{
    const struct {
        const char *state;
        uint32_t *counter;
    } rows[] = {
        { "all_lost", &w->all_lost },     { "partial", &w->partial },
        { "no_data", &w->no_data },       { "name_error", &w->name_error },
        { "send_error", &w->send_error }, { "refused", &w->refused },
        { "paused", &w->idle },           { "idle", &w->idle },
    };

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        if (!strcmp(rows[i].state, state))
            return rows[i].counter;
    return NULL;
}

/* A new session has nothing to tell for two report periods, its timeout and the way here. */
static bool is_young(const struct pair *p, int64_t now_ns)
{
    return now_ns - p->scheduled_since_ns < 3 * p->report_period_ns + 5 * TW_NS_PER_S;
}

/* Reasons that begin so are about the way to a server, the others about the agent (agent/twamp_run.c). */
static bool is_of_control(const char *reason)
{
    static const char begin[] = "TWAMP-Control with ";

    return !strncmp(reason, begin, sizeof begin - 1);
}

static void take_refusal(struct way *w, const struct agent *a, uint64_t pair_id)
{
    for (size_t i = 0; a && a->ack && i < a->ack->n_refusals; i++) {
        if (a->ack->refusals[i]->pair_id != pair_id || !is_of_control(a->ack->refusals[i]->reason))
            continue;
        snprintf(w->refusal, sizeof w->refusal, "%s", a->ack->refusals[i]->reason);
        w->facts.refusal = w->refusal;
        return;
    }
}

static void add_pair(struct run *r, struct way *w, const struct pair *p, const char *state, int64_t now_ns)
{
    struct inventory *inv = &r->d->c->inv;
    uint32_t *counter = counter_of(&w->facts, state);
    const struct pair *back =
        inventory_pair_by_names(inv, p->row.mesh, p->row.class_name, p->row.target, p->row.source);
    struct spec_room room;
    Tw__SessionSpec spec;
    bool runs = schedule_session(inv, p, 0, &room, &spec);
    const char *back_state = back && back->scheduled ? pair_state(back, now_ns) : "";

    w->facts.pairs++;
    w->in_maintenance += pair_in_maintenance(p, now_ns);
    if (counter && !(counter == &w->facts.no_data && is_young(p, now_ns)))
        ++*counter;
    if (p->live && (!strcmp(state, "all_lost") || !strcmp(state, "partial") || !strcmp(state, "ok")))
        add_losses(&w->facts, &p->live->last);
    if (p->live && !strcmp(state, "all_lost"))
        take_since(&w->facts.silent, &p->live->silent);
    if (p->live && (!strcmp(state, "all_lost") || !strcmp(state, "partial")))
        take_since(&w->facts.lossy, &p->live->lossy);
    if (!strcmp(back_state, "ok") || !strcmp(back_state, "partial"))
        w->facts.back_known = w->facts.back_works = true;
    else if (!strcmp(back_state, "all_lost"))
        w->facts.back_known = true;
    if (runs)
        take_spec(w, &spec);
    if (counter == &w->facts.refused && runs && spec.protocol == TW__PROTOCOL__PROTOCOL_TWAMP)
        take_refusal(w, pair_source(p), p->row.id);
}

static bool is_wanted(const struct run *r, const struct pair *p)
{
    const struct doctor_query *q = &r->query;
    const struct agent *source, *target;

    if (!p->scheduled || (*q->mesh && strcmp(p->row.mesh, q->mesh) != 0))
        return false;
    if (*q->source && *q->target)
        return !strcmp(p->row.source, q->source) && !strcmp(p->row.target, q->target);
    if (*q->source)
        return !strcmp(p->row.source, q->source) || !strcmp(p->row.target, q->source);
    if (!q->selector)
        return true;
    source = pair_source(p);
    target = name_of(p->row.target)->agent;
    return (source && matches_selector(q->selector, source)) ||
           (target && matches_selector(q->selector, target));
}

/* What is lost is in the state, what was not sent is not. */
static bool looks_well(const struct pair *p, const char *state)
{
    return !strcmp(state, "ok") &&
           !(p->live && doctor_is_much_not_sent(p->live->last.send_errors, p->live->last.sent));
}

/* With `all` every way, else those that look bad. */
static enum tw_rc collect_ways(struct run *r, bool all)
{
    struct inventory *inv = &r->d->c->inv;
    int64_t now_ns = loop_now(r->d->c->loop).wall.ns;

    r->info.pairs = 0;
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);
        const char *state;
        struct way *w;

        if (!is_wanted(r, p))
            continue;
        r->info.pairs++;
        if (*r->query.mesh && (add_member(r, p->row.source) || add_member(r, p->row.target)))
            return TW_ENOMEM;
        state = pair_state(p, now_ns);
        if (HASH_COUNT(r->ways) >= WAYS_MAX || (!all && looks_well(p, state)))
            continue;
        w = get_way(r, p->row.source, p->row.target, p->row.mesh);
        if (!w)
            return TW_ENOMEM;
        add_pair(r, w, p, state, now_ns);
    }
    return TW_OK;
}

/* ---- Ways: where to ---- */

static void take_agent(struct way *w, const struct agent *t)
{
    struct tw_addr a;
    char text[TW_ADDR_TEXT];

    w->port = !t->enrolment ? AGENT_PORT : t->enrolment->reflector_port;
    if (*w->address || agent_address(t, 0, &a) != TW_OK)
        return;
    snprintf(w->address, sizeof w->address, "%s", tw_addr_format_ip(&a, text));
}

static bool take_mesh_target(struct run *r, struct way *w, const char *name)
{
    char text[TW_ADDR_TEXT];

    for (const struct mesh_state *m = r->d->c->inv.meshes; m; m = m->hh.next)
        for (size_t i = 0; m->mesh && i < m->mesh->n_targets; i++) {
            const struct mesh_target *t = &m->mesh->targets[i];
            if (strcmp(t->name, name) != 0)
                continue;
            w->port = t->addr.port;
            w->family = t->family;
            if (*t->host)
                snprintf(w->host, sizeof w->host, "%s", t->host);
            else
                snprintf(w->address, sizeof w->address, "%s", tw_addr_format_ip(&t->addr, text));
            return true;
        }
    return false;
}

/* "192.0.2.1", "[2001:db8::1]:862", "router.example.net:862" */
static bool take_text(struct way *w, const char *text)
{
    struct tw_addr a;
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : strlen(text);
    char *end;
    unsigned long port = colon ? strtoul(colon + 1, &end, 10) : AGENT_PORT;
    char ip[TW_ADDR_TEXT];

    if (tw_addr_parse(text, AGENT_PORT, &a) == TW_OK) {
        w->port = a.port;
        snprintf(w->address, sizeof w->address, "%s", tw_addr_format_ip(&a, ip));
        return true;
    }
    if (!len || len >= sizeof w->host || (colon && (*end || !port || port > UINT16_MAX)))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", text[i]))
            return false;
    memcpy(w->host, text, len);
    w->host[len] = 0;
    w->port = (uint32_t)port;
    return true;
}

static void locate(struct run *r, struct way *w)
{
    const struct agent *t = inventory_agent(&r->d->c->inv, w->facts.target);

    if (t)
        take_agent(w, t);
    else if (!*w->address && !*w->host)
        take_mesh_target(r, w, w->facts.target);
}

/* ---- Which ---- */

static enum tw_rc select_way(struct run *r, struct tw_err *err)
{
    struct inventory *inv = &r->d->c->inv;
    const struct doctor_query *q = &r->query;
    const struct agent *s = inventory_agent(inv, q->source), *t = inventory_agent(inv, q->target);
    const char *source = s ? names_keep(&inv->names, q->source) : NULL,
               *target = names_find(&inv->names, q->target);
    char mean[NEAR_TEXT];
    struct way *w;

    if (!s)
        return tw_err_set(err, TW_ENOENT, "no agent \"%.63s\"%s: twampctl agent list shows them", q->source,
                          near_agent(inv, q->source, mean));
    w = get_way(r, source, target ? target : r->query.target, "");
    if (!w || !source)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    w->asked_for = true;
    if (t || *w->address || *w->host || take_mesh_target(r, w, q->target) || take_text(w, q->target))
        return TW_OK;
    return tw_err_set(
        err, TW_ENOENT,
        "\"%.100s\" is no agent, no target of a mesh, and no address or name such as router.example.net:862",
        q->target);
}

/* Agents that are down: others find out whether their hosts are. */
static enum tw_rc add_judges(struct run *r)
{
    struct inventory *inv = &r->d->c->inv;
    unsigned probed = 0;

    for (const struct agent *a = inv->agents; a && probed < DOWN_PROBED; a = a->hh.next) {
        unsigned judges = 0;
        if (state_of(a) != DOCTOR_DOWN || !run_wants_agent(r, a) || is_away(r, a))
            continue;
        probed++;
        for (const struct agent *b = inv->agents; b && judges < JUDGES; b = b->hh.next) {
            struct way *w;
            if (state_of(b) != DOCTOR_UP || is_away(r, b))
                continue;
            w = get_way(r, names_keep(&inv->names, b->row.name), names_keep(&inv->names, a->row.name), "");
            if (!w)
                return TW_ENOMEM;
            w->only_for_agent = true;
            judges++;
        }
    }
    return TW_OK;
}

static void count(struct run *r)
{
    struct inventory *inv = &r->d->c->inv;

    for (const struct agent *a = inv->agents; a; a = a->hh.next) {
        bool wanted = run_wants_agent(r, a);

        r->info.agents += wanted;
        r->info.set_aside += wanted && is_away(r, a) && (a->peer || !a->elsewhere);
    }
    for (const struct mesh_state *m = inv->meshes; m; m = m->hh.next)
        r->info.meshes += !*r->query.mesh || !strcmp(m->row.name, r->query.mesh);
}

enum tw_rc run_select(struct run *r, struct tw_err *err)
{
    const struct doctor_query *q = &r->query;
    struct inventory *inv = &r->d->c->inv;
    char mean[NEAR_TEXT];
    size_t pairs = 0;
    enum tw_rc rc;

    if (*q->mesh && !inventory_mesh(inv, q->mesh))
        return tw_err_set(err, TW_ENOENT, "no mesh \"%.63s\"%s: twampctl schedule list shows them", q->mesh,
                          near_mesh(inv, q->mesh, mean));
    if (*q->source && !inventory_agent(inv, q->source))
        return tw_err_set(err, TW_ENOENT, "no agent \"%.63s\"%s: twampctl agent list shows them", q->source,
                          near_agent(inv, q->source, mean));
    for (size_t i = 0; i < inv->pairs.n; i++)
        pairs += is_wanted(r, pair_table_at(&inv->pairs, i));
    rc = collect_ways(r, pairs <= 4 * DOCTOR_PROBES_ALL || q->probe_all);
    if (rc == TW_OK && *q->target)
        rc = select_way(r, err);
    if (rc == TW_OK && !*q->target)
        rc = add_judges(r);
    if (rc == TW_ENOMEM)
        return tw_err_set(err, rc, "out of memory");
    for (size_t i = 0; rc == TW_OK && i < r->n_list; i++) {
        struct way *w = r->list[i];

        locate(r, w);
        w->facts.away |= !*q->source && w->facts.pairs && w->in_maintenance == w->facts.pairs;
        w->suspect = !w->facts.away && doctor_way_is_suspect(&w->facts);
    }
    r->n_all_ways = r->n_list;
    count(r);
    return rc;
}

/* ---- What is known ---- */

struct known {
    struct run *run;
    struct doctor_facts facts;
    struct doctor_agent *agents;
    struct doctor_mesh *meshes;
    struct doctor_way *ways;
    const char *problems[8];
    struct rpc_failure failures[RPC_FAILURES_KEPT];
    struct doctor_refusal refused[RPC_FAILURES_KEPT];
    struct doctor_peer peers[PEERS_MAX];
    char lacks[160]; /* replicas of the history */
};

static void fill_health(const Tw__HealthReport *m, struct doctor_health *ret)
{
    *ret = (struct doctor_health){ .time_ns = m->time_ns,
                                   .clock_synced = m->clock && m->clock->synced,
                                   .clock_error_ns = m->clock ? m->clock->max_error_ns : 0,
                                   .spool_summaries = m->spool_summaries,
                                   .spool_dropped = m->spool_dropped,
                                   .results_refused = m->results_refused,
                                   .host_stalls = m->host_stalls,
                                   .noise_sent = m->noise ? m->noise->sent : 0,
                                   .noise_lost = m->noise ? m->noise->lost : 0,
                                   .reflector_drops = m->reflector_drops,
                                   .sender_drops = m->sender_drops,
                                   .send_errors = m->send_errors,
                                   .host_stall_max_ns = m->host_stall_max_ns,
                                   .host_cpu_wait_ppm = m->host_cpu_wait_ppm,
                                   .not_allowed = m->reflector_not_allowed,
                                   .rate_limited = m->reflector_rate_limited,
                                   .loops = m->reflector_loops,
                                   .control_not_allowed = m->control_not_allowed,
                                   .control_rate_limited = m->control_rate_limited,
                                   .access_error = m->access_error,
                                   .config_error = m->config_error,
                                   .restart_needed = m->restart_needed,
                                   .https_error = m->https_error,
                                   .auth_failed = m->reflector_auth_failed,
                                   .auth_demanded = m->reflector_auth_demanded,
                                   .answers_auth_failed = m->auth_failed,
                                   .logins_failed = m->control_logins_failed,
                                   .names = m->names,
                                   .names_unresolved = m->names_unresolved,
                                   .names_stale = m->names_stale,
                                   .secrets_error = m->secrets_error };
}

static bool is_behind(const struct run *r, const struct agent *a)
{
    return state_of(a) == DOCTOR_UP && a->listed && r->d->c->inv.generation && !a->acked_current;
}

static void fill_reports(const struct agent *a, struct doctor_agent *ret)
{
    const Tw__HealthReport *base = a->health_base ? a->health_base : a->health_next_base;

    ret->has_health = a->health != NULL;
    if (a->health)
        fill_health(a->health, &ret->health);
    ret->has_base = a->health && base && base->started_ns == a->health->started_ns;
    if (ret->has_base)
        fill_health(base, &ret->base);
    for (size_t i = 0; a->ack && i < a->ack->n_refusals; i++) {
        if (is_of_control(a->ack->refusals[i]->reason))
            continue;
        if (!ret->refusals++)
            ret->first_refusal = a->ack->refusals[i]->reason;
    }
    ret->audited = a->audit.known;
    ret->clock = a->audit.host;
    ret->clock_ahead_ns = a->clock_ahead_ns;
}

static void fill_judges(const struct run *r, struct doctor_agent *ret)
{
    for (size_t i = 0; ret->state == DOCTOR_DOWN && i < r->n_list; i++) {
        const struct way *w = r->list[i];
        if (strcmp(w->facts.target, ret->name) != 0 || !w->probe || !w->probe->packets[DOCTOR_SMALL].sent)
            continue;
        ret->reflector_asked++;
        ret->reflector_answered += w->probe->packets[DOCTOR_SMALL].received > 0;
    }
}

static void fill_agent(const struct run *r, const struct agent *a, struct doctor_agent *ret)
{
    *ret = (struct doctor_agent){ .name = a->row.name,
                                  .software = a->row.software,
                                  .address = a->peer_address,
                                  .state = state_of(a),
                                  .away = is_away(r, a),
                                  .last_contact_ns = a->last_contact_ns,
                                  .first_seen_ns = a->row.first_seen_ns,
                                  .pairs = a->pairs,
                                  .behind = is_behind(r, a),
                                  .push_failures = a->link ? a->link->failures : 0,
                                  .generation = agent_generation(&r->d->c->inv, a),
                                  .generation_wanted = r->d->c->inv.generation,
                                  .other_keys = a->twins.other_keys,
                                  .other_key_ns = a->twins.other_key_ns,
                                  .other_key_address = a->twins.other_key_address,
                                  .takeovers = a->twins.takeovers };
    if (a->enrolment) {
        ret->capabilities = (const char *const *)a->enrolment->capabilities;
        ret->n_capabilities = a->enrolment->n_capabilities;
    }
    fill_reports(a, ret);
    for (size_t i = 0; i < r->n_cannot; i++)
        ret->cannot_diagnose |= !strcmp(r->cannot_diagnose[i], a->row.name);
    fill_judges(r, ret);
}

/* A lost connection is nobody's fault that could be named, and whose key is another one is told at the agent. */
static bool is_worth_telling(const struct rpc_failure *f)
{
    return f->status != TW__STATUS__STATUS_UNAVAILABLE && (!*f->name || strstr(f->reason, "certificate"));
}

static void fill_refused(struct known *k)
{
    struct controller *c = k->run->d->c;
    size_t n = c->fleet ? rpc_server_failures(c->fleet, k->failures, TW_NELEM(k->failures)) : 0;
    struct doctor_controller *ret = &k->facts.controller;

    ret->refused = k->refused;
    for (size_t i = 0; i < n; i++)
        if (is_worth_telling(&k->failures[i]))
            k->refused[ret->n_refused++] = (struct doctor_refusal){ .address = k->failures[i].address,
                                                                    .name = k->failures[i].name,
                                                                    .reason = k->failures[i].reason,
                                                                    .times = k->failures[i].times,
                                                                    .last_ns = k->failures[i].last_ns };
}

static uint64_t size_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void fill_peers(struct known *k)
{
    const struct registry_row *rows;
    size_t n = registry_rows(k->run->d->c->registry, &rows);

    k->facts.controller.peers = k->peers;
    for (size_t i = 0; i < n && i < PEERS_MAX; i++)
        k->peers[k->facts.controller.n_peers++] =
            (struct doctor_peer){ .name = rows[i].facts->name,
                                  .version = rows[i].facts->version,
                                  .host = rows[i].facts->host,
                                  .self = rows[i].self,
                                  .up = rows[i].state == REGISTRY_UP,
                                  .ended = rows[i].state == REGISTRY_ENDED,
                                  .twin = rows[i].twin,
                                  .gone_ns = rows[i].gone_ns };
}

static void fill_controller(struct known *k)
{
    struct controller *c = k->run->d->c;
    struct doctor_controller *ret = &k->facts.controller;
    struct writer_stats w;
    struct statvfs fs;

    writer_stats(c->writer, &w);
    ret->version = tw_version;
    ret->problems = k->problems;
    ret->n_problems = controller_problems(c, k->problems, TW_NELEM(k->problems));
    ret->control_problem = c->control_problem;
    ret->history_problem = c->history_problem;
    snprintf(k->lacks, sizeof k->lacks, "%s", w.history.lacks);
    ret->history_lacks = k->lacks;
    ret->n_problems -= (c->control_problem[0] != '\0') +
                       (c->history_problem[0] != '\0'); /* the last, with checks of their own */
    ret->reload_error = c->reload.error;
    ret->restart_needed = c->reload.restart;
    ret->database = w.history.apart ? size_of(c->db_path) : w.store.file_bytes + w.store.wal_bytes;
    ret->queued_rows = w.queued_rows;
    ret->max_rows = w.wanted_rows;
    doctor_too_much(k->run->d, &ret->too_much);
    ret->disk_known = !statvfs(c->data_dir, &fs);
    if (ret->disk_known) {
        ret->disk_free = (uint64_t)fs.f_bavail * fs.f_frsize;
        ret->disk_size = (uint64_t)fs.f_blocks * fs.f_frsize;
    }
    fill_refused(k);
    fill_peers(k);
}

static void fill_ways(struct known *k)
{
    struct run *r = k->run;

    for (size_t i = 0; i < r->n_list; i++) {
        struct way *w = r->list[i];
        const struct agent *s = inventory_agent(&r->d->c->inv, w->facts.source);
        struct doctor_way *ret = &k->ways[k->facts.n_ways++];

        w->facts.probe = w->probe;
        w->facts.not_probed = !w->probe && *w->why_not && (w->asked_for || w->suspect) ? w->why_not : NULL;
        w->facts.source_behind = s && (is_behind(r, s) || (s->ack && s->ack->n_refusals));
        *ret = w->facts;
    }
}

static bool is_about_mesh(const struct run *r, const struct mesh_state *m)
{
    const struct doctor_query *q = &r->query;

    return *q->mesh ? !strcmp(q->mesh, m->row.name) : !*q->source && !q->selector;
}

static void fill_meshes(struct known *k)
{
    for (const struct mesh_state *m = k->run->d->c->inv.meshes; m; m = m->hh.next)
        if (is_about_mesh(k->run, m))
            k->meshes[k->facts.n_meshes++] = (struct doctor_mesh){
                .name = m->row.name, .pairs = m->pairs, .unresolved = m->unresolved, .paused = m->row.paused
            };
}

enum tw_rc run_examine(struct run *r)
{
    struct inventory *inv = &r->d->c->inv;
    struct known k = { .run = r,
                       .agents = calloc(HASH_COUNT(inv->agents) + 1, sizeof *k.agents),
                       .meshes = calloc(HASH_COUNT(inv->meshes) + 1, sizeof *k.meshes),
                       .ways = calloc(r->n_list + 1, sizeof *k.ways) };
    enum tw_rc rc = k.agents && k.meshes && k.ways ? TW_OK : TW_ENOMEM;

    if (rc == TW_OK) {
        k.facts.now_ns = loop_now(r->d->c->loop).wall.ns;
        fill_controller(&k);
        fill_meshes(&k);
        for (const struct agent *a = inv->agents; a; a = a->hh.next)
            if (run_wants_agent(r, a))
                fill_agent(r, a, &k.agents[k.facts.n_agents++]);
        fill_ways(&k);
        k.facts.agents = k.agents;
        k.facts.meshes = k.meshes;
        k.facts.ways = k.ways;
        doctor_examine(&k.facts, &r->findings);
    }
    free(k.agents);
    free(k.meshes);
    free(k.ways);
    return rc;
}

bool run_is_unsettled(const struct run *r)
{
    for (const struct agent *a = r->d->c->inv.agents; a; a = a->hh.next)
        if (is_behind(r, a) && run_wants_agent(r, a) && !is_away(r, a))
            return true;
    return false;
}
