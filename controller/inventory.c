#include "controller/inventory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/expectation.h"
#include "controller/schedule.h"

#define RETURN_NS                                                                             \
    (45 * TW_NS_PER_S) /* the longest reconnect backoff, 30 s, and a connection's time to die \
                        */

/* ---- Agents ---- */

struct agent *inventory_agent(struct inventory *inv, const char *name)
{
    struct agent *a;

    HASH_FIND_STR(inv->agents, name, a);
    return a;
}

struct agent *inventory_agent_by_id(struct inventory *inv, int64_t id)
{
    for (struct agent *a = inv->agents; a; a = a->hh.next)
        if (a->row.id == id)
            return a;
    return NULL;
}

struct agent *inventory_add_agent(struct inventory *inv, const struct store_agent *row)
{
    struct agent *a = calloc(1, sizeof *a);
    const char *kept;

    if (!a)
        return NULL;
    a->row = *row;
    a->row.enrolment = a->row.ops = NULL;
    a->last_contact_ns = row->last_contact_ns;
    a->sum = (struct digest_sum){ { 1, 1, 1, 1 } };
    digest_sum_bytes(&a->sum, a->digest);
    kept = names_keep(&inv->names, row->name);
    if (!kept) {
        free(a);
        return NULL;
    }
    name_of(kept)->agent = a; /* it may come back under a name that has a history */
    HASH_ADD_STR(inv->agents, row.name, a);
    inv->pending += !row->approved;
    return a;
}

static void free_health(Tw__HealthReport **m)
{
    if (*m)
        tw__health_report__free_unpacked(*m, NULL);
    *m = NULL;
}

static void free_agent(struct agent *a)
{
    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    free_health(&a->health);
    free_health(&a->health_base);
    free_health(&a->health_next_base);
    if (a->ack)
        tw__ack_request__free_unpacked(a->ack, NULL);
    journal_free(&a->journal);
    agent_certs_free(a->certs);
    free(a->ops);
    free(a->labels);
    free(a);
}

static bool is_pending(const struct agent *a)
{
    return !a->row.approved && !agent_is_revoked(a);
}

void inventory_drop_agent(struct inventory *inv, struct agent *a)
{
    name_of(names_find(&inv->names, a->row.name))->agent = NULL;
    inv->pending -= is_pending(a);
    inv->revoked -= agent_is_revoked(a);
    HASH_DEL(inv->agents, a);
    free_agent(a);
}

enum tw_rc agent_address(const struct agent *a, uint8_t family, struct tw_addr *ret)
{
    uint16_t port =
        a->enrolment && a->enrolment->reflector_port ? (uint16_t)a->enrolment->reflector_port : AGENT_PORT;
    size_t n = a->enrolment ? a->enrolment->n_addresses : 0;
    struct tw_addr first = { 0 }, addr;

    for (size_t i = 0; i < n; i++) {
        if (tw_addr_parse(a->enrolment->addresses[i], port, &addr) != TW_OK)
            continue;
        if (!first.family)
            first = addr;
        if (addr.family == family) {
            *ret = addr;
            return TW_OK;
        }
    }
    if (!first.family && (!a->peer_address[0] || tw_addr_parse(a->peer_address, port, &first) != TW_OK))
        return TW_ENOENT;
    first.port = port;
    *ret = first;
    return TW_OK;
}

int agent_by_name(const void *a, const void *b)
{
    const struct agent *const *x = a, *const *y = b;

    return strcmp((*x)->row.name, (*y)->row.name);
}

bool agent_can(const struct agent *a, const char *capability)
{
    for (size_t i = 0; a->enrolment && i < a->enrolment->n_capabilities; i++)
        if (!strcmp(a->enrolment->capabilities[i], capability))
            return true;
    return false;
}

uint16_t agent_control_port(const struct agent *a)
{
    return a->enrolment ? (uint16_t)a->enrolment->control_port : 0;
}

enum tw_rc agent_refresh(struct agent *a)
{
    size_t n_own = a->enrolment ? a->enrolment->n_labels : 0, cap = n_own + (a->ops ? a->ops->n_labels : 0);
    struct tw_label *own = calloc(n_own + 1, sizeof *own), *all = calloc(cap + 1, sizeof *all);

    free(a->labels);
    a->labels = NULL;
    a->n_labels = 0;
    if (own && all) {
        for (size_t i = 0; i < n_own; i++)
            own[i] = (struct tw_label){ a->enrolment->labels[i]->key, a->enrolment->labels[i]->value };
        a->n_labels = agent_ops_labels(a->ops, own, n_own, all, cap);
        a->labels = all;
        all = NULL;
    }
    free(own);
    free(all);
    return a->labels ? TW_OK : TW_ENOMEM;
}

enum tw_rc agent_set_ops(struct inventory *inv, struct agent *a, struct agent_ops *ops)
{
    struct agent_ops *old = a->ops;
    enum tw_rc rc;

    inv->pending -= is_pending(a);
    inv->revoked -= agent_is_revoked(a);
    a->ops = ops;
    inv->pending += is_pending(a);
    inv->revoked += agent_is_revoked(a);
    rc = agent_refresh(a);
    free(old); /* the labels before pointed to it */
    return rc;
}

const char *agent_state(const struct agent *a)
{
    if (agent_is_revoked(a))
        return "revoked";
    if (!a->row.approved)
        return "pending";
    return agent_is_up(a) ? "up" : "down";
}

uint64_t agent_generation(const struct inventory *inv, const struct agent *a)
{
    return a->acked_current ? inv->generation : a->acked_generation;
}

/* ---- Meshes ---- */

struct mesh_state *inventory_mesh(const struct inventory *inv, const char *name)
{
    struct mesh_state *m;

    HASH_FIND_STR(inv->meshes, name, m);
    return m;
}

static void free_mesh(struct mesh_state *m)
{
    free(m->document);
    free(m->author);
    mesh_free(m->mesh);
    free(m);
}

enum tw_rc inventory_put_mesh(struct inventory *inv, const struct store_mesh *row, struct mesh *mesh)
{
    struct mesh_state *m = calloc(1, sizeof *m), *old = inventory_mesh(inv, row->name);

    if (!m)
        return TW_ENOMEM;
    m->document = strdup(row->document);
    m->author = strdup(row->author ? row->author : "");
    if (!m->document || !m->author) {
        free_mesh(m);
        return TW_ENOMEM;
    }
    m->row = *row;
    m->row.document = m->document;
    m->row.author = m->author;
    m->mesh = mesh;
    if (old)
        inventory_drop_mesh(inv, old);
    HASH_ADD_STR(inv->meshes, row.name, m);
    return TW_OK;
}

enum tw_rc inventory_touch_mesh(struct mesh_state *m, const struct store_mesh *row)
{
    char *author = strdup(row->author ? row->author : "");

    if (!author)
        return TW_ENOMEM;
    free(m->author);
    m->author = author;
    m->row = *row;
    m->row.document = m->document;
    m->row.author = m->author;
    return TW_OK;
}

void inventory_drop_mesh(struct inventory *inv, struct mesh_state *m)
{
    HASH_DEL(inv->meshes, m);
    free_mesh(m);
}

/* ---- Pairs ---- */

struct pair *inventory_pair(struct inventory *inv, uint64_t id)
{
    return pair_table_find(&inv->pairs, id);
}

/* A pair whose id does not belong to its names: they were others when it was made, or another pair has that id. */
struct pair_alias {
    uint64_t id; /* that belongs to its names */
    uint32_t row;
    UT_hash_handle hh;
};

static void alias_drop(struct inventory *inv, uint32_t row)
{
    uint64_t id = store_pair_id(&pair_table_at(&inv->pairs, row)->row);
    struct pair_alias *a;

    HASH_FIND(hh, inv->aliases, &id, sizeof id, a);
    if (!a || a->row != row)
        return;
    HASH_DEL(inv->aliases, a);
    free(a);
}

/* Without memory it is found again when the store is asked for it. */
static void alias_put(struct inventory *inv, uint32_t row)
{
    const struct pair *p = pair_table_at(&inv->pairs, row);
    uint64_t id = store_pair_id(&p->row);
    struct pair_alias *a = id == p->row.id ? NULL : calloc(1, sizeof *a);

    if (!a)
        return;
    a->id = id;
    a->row = row;
    HASH_ADD(hh, inv->aliases, id, sizeof a->id, a);
}

static bool has_names(const struct inventory *inv, uint32_t row, const struct store_pair *key)
{
    const struct store_pair *p = row == PAIR_NONE ? NULL : &pair_table_at(&inv->pairs, row)->row;

    return p && !strcmp(p->source, key->source) && !strcmp(p->target, key->target) &&
           !strcmp(p->class_name, key->class_name) && !strcmp(p->mesh, key->mesh);
}

uint32_t inventory_pair_row(const struct inventory *inv, const struct store_pair *names)
{
    uint64_t id = store_pair_id(names);
    uint32_t row = pair_table_row(&inv->pairs, id);
    const struct pair_alias *a = NULL;

    if (has_names(inv, row, names))
        return row;
    if (inv->aliases)
        HASH_FIND(hh, inv->aliases, &id, sizeof id, a);
    return a && has_names(inv, a->row, names) ? a->row : PAIR_NONE;
}

struct pair *inventory_pair_by_names(const struct inventory *inv, const char *mesh, const char *class_name,
                                     const char *source, const char *target)
{
    uint32_t row = inventory_pair_row(inv, &(struct store_pair){ 0, mesh, class_name, source, target, 0 });

    return row == PAIR_NONE ? NULL : pair_table_at(&inv->pairs, row);
}

struct pair *inventory_add_pair(struct inventory *inv, const struct store_pair *row)
{
    struct names *n = &inv->names;
    struct store_pair kept = { row->id, names_keep(n, row->mesh), names_keep(n, row->class_name),
                               names_keep(n, row->source), names_keep(n, row->target), row->slot };
    struct pair *p;

    if (!kept.mesh || !kept.class_name || !kept.source || !kept.target)
        return NULL;
    p = pair_table_add(&inv->pairs, row->id);
    if (!p)
        return NULL;
    p->row = kept;
    alias_put(inv, (uint32_t)(inv->pairs.n - 1));
    return p;
}

void inventory_rename_pairs(struct inventory *inv, const char *old, const char *kept)
{
    for (size_t i = 0; i < inv->pairs.n; i++) {
        struct pair *p = pair_table_at(&inv->pairs, i);

        if (p->row.source != old && p->row.target != old) /* equal names are one */
            continue;
        alias_drop(inv, (uint32_t)i);
        p->row.source = p->row.source == old ? kept : p->row.source;
        p->row.target = p->row.target == old ? kept : p->row.target;
        alias_put(inv, (uint32_t)i);
    }
}

void inventory_rename_agent(struct inventory *inv, struct agent *a, const char *name)
{
    const char *old = names_find(&inv->names, a->row.name), *kept = names_find(&inv->names, name);

    name_of(old)->agent = NULL;
    name_of(kept)->agent = a;
    HASH_DEL(inv->agents, a);
    snprintf(a->row.name, sizeof a->row.name, "%s", name);
    HASH_ADD_STR(inv->agents, row.name, a);
    inventory_rename_pairs(inv, old, kept);
    spread_rename(&inv->spread, spread_source(old), spread_source(kept));
    schedule_rename(inv, a, kept);
}

/* A period's summary comes a timeout after its end, and timeouts are as long as a period at most. */
static bool is_fresh(const struct pair *p, int64_t now_ns)
{
    int64_t bound = 2 * p->report_period_ns + TW_NS_PER_S;

    return p->live && p->live->last_end_ns && now_ns - p->live->last_end_ns < bound &&
           p->live->last_end_ns - now_ns < bound;
}

/* After a restart of the controller agents come back within their reconnect backoff: not yet a reason for
 * alarm. One that has been here since then and went is down at once. */
static bool may_still_come(const struct pair *p, int64_t now_ns)
{
    const struct agent *source = pair_source(p);

    return source && !source->peer_address[0] && now_ns - p->scheduled_since_ns < RETURN_NS;
}

#define BASE_NS (60 * TW_NS_PER_S)

void inventory_take_health(struct agent *a, Tw__HealthReport *m)
{
    Tw__HealthReport *old = a->health;

    a->health = m;
    if (!old || old->started_ns != m->started_ns) { /* its counters began anew */
        free_health(&old);
        free_health(&a->health_base);
        free_health(&a->health_next_base);
    } else if (!a->health_next_base) {
        a->health_next_base = old;
    } else if (old->time_ns - a->health_next_base->time_ns >= BASE_NS) {
        free_health(&a->health_base);
        a->health_base = a->health_next_base;
        a->health_next_base = old;
    } else {
        free_health(&old);
    }
}

void inventory_forget_ack(struct inventory *inv, struct agent *a)
{
    if (a->ack)
        tw__ack_request__free_unpacked(a->ack, NULL);
    a->ack = NULL;
    a->ack_serial = ++inv->acks;
}

void inventory_take_ack(struct inventory *inv, struct agent *a, Tw__AckRequest *ack)
{
    if (a->ack)
        tw__ack_request__free_unpacked(a->ack, NULL);
    a->ack = ack;
    a->ack_serial = ++inv->acks;
    for (size_t i = 0; i < ack->n_refusals; i++) {
        struct pair *p = inventory_pair(inv, ack->refusals[i]->pair_id);

        if (p && pair_source(p) == a)
            p->refused_in = a->ack_serial;
    }
}

bool pair_is_idle(const struct pair *p, int64_t now_ns)
{
    const struct pair_key key = pair_key_of(p);

    return p->scheduled && class_times_is_idle(p->times, &key, now_ns);
}

bool pair_in_maintenance(const struct pair *p, int64_t now_ns)
{
    const struct agent *source = pair_source(p), *target = pair_target(p);

    return (p->scheduled || p->paused) &&
           (class_times_maintenance(p->times, now_ns) || (source && agent_in_maintenance(source, now_ns)) ||
            (target && agent_in_maintenance(target, now_ns)));
}

bool pair_interval_fits(const struct pair *p, int64_t report_period_ns, uint32_t flows, const struct class_times *times,
                        unsigned slot)
{
    return p->interval_period_ns == report_period_ns && p->interval_flows == flows &&
           p->interval_rule == expectation_rule_key(times, slot);
}

void pair_interval_set(struct pair *p)
{
    p->interval_period_ns = p->report_period_ns;
    p->interval_flows = p->flows;
    p->interval_rule = expectation_rule_key(p->times, p->row.slot);
    p->interval_sum = p->sum[0];
}

void inventory_stepped(struct inventory *inv, int64_t by_ns)
{
    for (size_t i = 0; i < inv->pairs.n; i++) {
        struct pair *p = pair_table_at(&inv->pairs, i);

        if (p->scheduled_since_ns)
            p->scheduled_since_ns += by_ns;
    }
    for (struct agent *a = inv->agents; a; a = a->hh.next)
        if (!a->peer && a->last_contact_ns)
            a->last_contact_ns += by_ns;
}

#define BACKLOG_MIN 64 /* summaries: a batch may be under way */

bool pair_has_backlog(const struct pair *p)
{
    const struct agent *a = pair_source(p);

    return a && a->health && a->health->spool_summaries > BACKLOG_MIN + 2 * a->sessions;
}

const char *pair_state(const struct pair *p, int64_t now_ns)
{
    const struct agent *source = pair_source(p);

    if (p->drained)
        return "drained";
    if (p->paused)
        return "paused";
    if (!p->scheduled)
        return "not_scheduled";
    if (pair_is_idle(p, now_ns))
        return "idle";
    if (is_fresh(p, now_ns))
        return tw_status_name(p->live->last.status);
    if (source && !source->peer && source->elsewhere)
        return "elsewhere";
    if (source && source->peer && p->refused_in && p->refused_in == source->ack_serial)
        return tw_status_name(TW_STATUS_REFUSED);
    return (source && source->peer) || may_still_come(p, now_ns) ? "no_data" : "agent_down";
}

void inventory_free(struct inventory *inv)
{
    struct agent *a, *next_agent;
    struct mesh_state *m, *next_mesh;
    struct pair_alias *alias, *next_alias;

    schedule_free(inv);
    spread_free(&inv->spread);
    free(inv->strays);
    free(inv->drained);
    HASH_ITER(hh, inv->aliases, alias, next_alias)
    {
        HASH_DEL(inv->aliases, alias);
        free(alias);
    }
    pair_table_free(&inv->pairs);
    pair_groups_free(&inv->groups);
    HASH_ITER(hh, inv->meshes, m, next_mesh)
    inventory_drop_mesh(inv, m);
    HASH_ITER(hh, inv->agents, a, next_agent)
    {
        HASH_DEL(inv->agents, a);
        free_agent(a);
    }
    names_free(&inv->names);
    *inv = (struct inventory){ 0 };
}
