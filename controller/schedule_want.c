#include "controller/schedule_priv.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/fnv1a.h"
#include "controller/core/class_times.h"

struct view {
    struct inventory *inv;
    const struct overlay *o;
};

/* ---- Which meshes ---- */

static const struct overlay_mesh *find_overlay(const struct overlay *o, const char *name)
{
    for (size_t i = 0; i < o->n_meshes; i++)
        if (!strcmp(o->meshes[i].name, name))
            return &o->meshes[i];
    return NULL;
}

static void add_mesh(struct wanted *w, const struct mesh *m, bool paused)
{
    w->meshes[w->n_meshes++] = (struct wanted_mesh){ .mesh = m, .paused = paused, .pairs = { .mesh = m } };
}

static enum tw_rc list_meshes(const struct view *v, struct wanted *w)
{
    const struct overlay *o = v->o;

    w->meshes = calloc(HASH_COUNT(v->inv->meshes) + o->n_meshes + 1, sizeof *w->meshes);
    if (!w->meshes)
        return TW_ENOMEM;
    for (struct mesh_state *m = v->inv->meshes; m; m = m->hh.next) {
        const struct overlay_mesh *om = find_overlay(o, m->row.name);

        if (!om)
            add_mesh(w, m->mesh, m->row.paused);
        else if (!om->drop)
            add_mesh(w, om->put ? om->put : m->mesh, om->paused);
    }
    for (size_t i = 0; i < o->n_meshes; i++)
        if (o->meshes[i].put && !inventory_mesh(v->inv, o->meshes[i].name))
            add_mesh(w, o->meshes[i].put, o->meshes[i].paused);
    return TW_OK;
}

/* The line is that of the document, whoever reads it has the file. */
static enum tw_rc fail_in_file(const struct overlay_mesh *om, enum tw_rc rc, struct tw_err *err)
{
    if (!om || !err)
        return rc;
    snprintf(err->file, sizeof err->file, "%s", om->file ? om->file : "");
    if (err->line)
        err->line += om->lines_before;
    return rc;
}

static enum tw_rc expand_meshes(const struct view *v, struct wanted *w, struct tw_err *err)
{
    for (size_t i = 0; i < w->n_meshes; i++) {
        struct wanted_mesh *m = &w->meshes[i];
        const struct overlay_mesh *om = find_overlay(v->o, m->mesh->name);
        bool strict = om && om->put && om->strict;
        size_t unresolved = 0;
        enum tw_rc rc;

        m->pairs.agents = &w->roster->agents;
        rc = mesh_expand(m->mesh, m->pairs.agents, strict, &m->pairs.v, &m->pairs.n,
                         &unresolved, err);
        if (rc != TW_OK)
            return fail_in_file(om, rc, err);
        m->unresolved = unresolved;
    }
    return TW_OK;
}

/* ---- What cannot run ---- */

enum ability { HAS_SHAPES, HAS_STAMP, HAS_STAMP_AUTH, HAS_TWAMP, HAS_STATELESS, HAS_DEMAND_AUTH, HAS_HOSTS, HAS_TIMES };
static const char *const abilities[] = {
    [HAS_SHAPES] = "shapes", [HAS_STAMP] = "stamp",         [HAS_STAMP_AUTH] = "stamp-auth",
    [HAS_TWAMP] = "twamp",   [HAS_STATELESS] = "stateless", [HAS_DEMAND_AUTH] = "demand-auth",
    [HAS_HOSTS] = "hosts",   [HAS_TIMES] = "times",
};

uint32_t schedule_abilities(const struct agent *a)
{
    uint32_t bits = 0;

    for (unsigned i = 0; i < TW_NELEM(abilities); i++)
        bits |= (uint32_t)agent_can(a, abilities[i]) << i;
    return bits;
}

void reach_of(const struct agent *a, struct reach *ret)
{
    memset(ret, 0, sizeof *ret);
    agent_address(a, 0, &ret->any);
    agent_address(a, 4, &ret->v4);
    agent_address(a, 6, &ret->v6);
    ret->control_port = agent_control_port(a);
    ret->abilities = schedule_abilities(a);
    ret->drained = agent_is_drained(a);
    ret->name = tw_fnv1a_text(a->row.name);
}

static bool has(const struct reach *r, enum ability what)
{
    return r->abilities >> what & 1;
}

static const char *source_cannot(const struct reach *source, const struct mesh_class *c,
                                 const struct mesh_target *host)
{
    if (host && !has(source, HAS_HOSTS))
        return "the agent's program is too old for targets by host name";
    if (c->protocol == MESH_STAMP && !has(source, HAS_STAMP))
        return "the agent's program is too old for protocol stamp";
    if (c->protocol == MESH_TWAMP && !has(source, HAS_TWAMP))
        return "the agent's program is too old for protocol twamp";
    if ((c->imix || c->df || c->zero_padding || c->bind[0]) && !has(source, HAS_SHAPES))
        return "the agent's program is too old for imix, df, padding or bind";
    if (c->times && c->times->id && !has(source, HAS_TIMES)) /* it would run all the time */
        return "the agent's program is too old for a schedule: it would run all the time";
    return NULL;
}

/* target NULL: an address, of which nothing is known. */
static const char *target_cannot(const struct reach *target, const struct mesh_class *c)
{
    bool signs = c->protocol == MESH_STAMP && c->auth == MESH_AUTHENTICATED;

    if (!target)
        return NULL;
    if (c->protocol == MESH_TWAMP && !target->control_port)
        return "the target agent has no TWAMP-Control server: start it with --control";
    if (signs && !has(target, HAS_STAMP_AUTH))
        return "the target agent has no keys for authenticated STAMP: start it with --secrets";
    if (c->protocol != MESH_TWAMP && !signs && has(target, HAS_DEMAND_AUTH))
        return "the target agent answers only authenticated STAMP: it was started with --demand-auth";
    return NULL;
}

const char *schedule_cannot(const struct agent *source, const struct agent *target, const struct mesh_class *c)
{
    struct reach from, to;
    const char *why;

    reach_of(source, &from);
    why = source_cannot(&from, c, NULL);
    if (why || !target)
        return why;
    reach_of(target, &to);
    return target_cannot(&to, c);
}

/* An agent with both families sends to the target's address of the family that it prefers itself. target
 * NULL: one of the document's own. */
static bool target_address(const struct mesh *m, const struct mesh_pair *p, const struct reach *source,
                           const struct reach *target, struct tw_addr *ret)
{
    if (!target) {
        *ret = m->targets[~p->target].addr;
        return true;
    }
    *ret = source->any.family == 4 ? target->v4 : source->any.family == 6 ? target->v6 : target->any;
    if (m->classes[p->class_index].protocol == MESH_TWAMP)
        ret->port = (uint16_t)target->control_port;
    return ret->family != 0;
}

bool wanted_make_pair(const struct wanted *w, const struct wanted_mesh *m, const struct mesh_pair *p,
                      struct wanted_pair *ret)
{
    const struct mesh_class *c = &m->mesh->classes[p->class_index];
    const struct reach *source = &w->reach[p->source];
    const struct reach *target = p->target >= 0 ? &w->reach[p->target] : NULL;
    const struct mesh_target *host =
        p->target < 0 && m->mesh->targets[~p->target].host[0] ? &m->mesh->targets[~p->target] : NULL;
    struct tw_addr address;
    const char *refuse;
    bool drained;

    if (!target_address(m->mesh, p, source, target, &address))
        return false;
    drained = !m->paused && (source->drained || (target && target->drained));
    refuse = source_cannot(source, c, host);
    if (!refuse)
        refuse = target_cannot(target, c);
    *ret = (struct wanted_pair){ .mesh = m->mesh,
                                 .class_ = c,
                                 .source = w->names[p->source],
                                 .target = target ? w->names[p->target] : m->mesh->targets[~p->target].name,
                                 .agent = w->agents[p->source],
                                 .address = address,
                                 .host = host,
                                 .refuse = refuse,
                                 .stateful = target && !has(target, HAS_STATELESS),
                                 .paused = m->paused || drained,
                                 .drained = drained };
    return true;
}

bool wanted_pair(const struct wanted *w, const struct wanted_mesh *m, size_t at, struct wanted_pair *ret)
{
    return wanted_make_pair(w, m, &m->pairs.v[at], ret);
}

void wanted_change_pair(const struct wanted *w, const struct wanted_change *c, struct wanted_pair *ret)
{
    bool there = wanted_pair(w, &w->meshes[c->mesh], c->at, ret);

    assert(there && c->what != WANTED_REMOVED);
    (void)there;
}

bool wanted_has_ipv6(const struct wanted *w, const struct wanted_mesh *m)
{
    struct tw_addr address;

    for (size_t i = 0; i < m->pairs.n; i++) {
        const struct mesh_pair *p = &m->pairs.v[i];

        if (p->target >= 0 &&
            target_address(m->mesh, p, &w->reach[p->source], &w->reach[p->target], &address) &&
            address.family == 6)
            return true;
    }
    return false;
}

/* ---- All of it ---- */

/* What outlives the roster, whose texts are the agents' own. */
static enum tw_rc list_agents(struct inventory *inv, struct wanted *w)
{
    size_t n = w->roster->agents.n;

    w->agents = calloc(n + 1, sizeof *w->agents);
    w->names = calloc(n + 1, sizeof *w->names);
    w->reach = calloc(n + 1, sizeof *w->reach);
    if (!w->agents || !w->names || !w->reach)
        return TW_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        w->agents[i] = w->roster->of[i];
        w->names[i] = names_keep(&inv->names, w->agents[i]->row.name);
        if (!w->names[i])
            return TW_ENOMEM;
        reach_of(w->agents[i], &w->reach[i]);
        w->any_drained |= w->reach[i].drained != 0;
    }
    w->n_agents = n;
    return TW_OK;
}

/* What outlives the document. */
static enum tw_rc keep_names(struct inventory *inv, struct wanted_mesh *m)
{
    m->name = names_keep(&inv->names, m->mesh->name);
    m->classes = calloc(m->mesh->n_classes + 1, sizeof *m->classes);
    m->targets = calloc(m->mesh->n_targets + 1, sizeof *m->targets);
    if (!m->name || !m->classes || !m->targets)
        return TW_ENOMEM;
    for (size_t i = 0; i < m->mesh->n_classes; i++)
        if (!(m->classes[i] = names_keep(&inv->names, m->mesh->classes[i].name)))
            return TW_ENOMEM;
    for (size_t i = 0; i < m->mesh->n_targets; i++)
        if (!(m->targets[i] = names_keep(&inv->names, m->mesh->targets[i].name)))
            return TW_ENOMEM;
    return TW_OK;
}

static enum tw_rc keep_all_names(struct inventory *inv, struct wanted *w)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < w->n_meshes; i++)
        rc = keep_names(inv, &w->meshes[i]);
    return rc;
}

enum tw_rc wanted_build(struct inventory *inv, const struct overlay *o, struct wanted *ret,
                        struct tw_err *err)
{
    struct wanted w = { .roster = roster_new(inv, o->approve, o->remove) };
    struct view v = { inv, o };
    enum tw_rc rc = w.roster ? list_meshes(&v, &w) : TW_ENOMEM;

    if (rc == TW_OK)
        rc = expand_meshes(&v, &w, err);
    if (rc == TW_OK)
        rc = list_agents(inv, &w);
    if (rc == TW_OK)
        rc = keep_all_names(inv, &w);
    if (rc == TW_OK)
        rc = wanted_find_changes(inv, &w);
    if (rc == TW_OK)
        rc = wanted_choose_slots(inv, &w, o->keep_slots);
    if (rc == TW_ENOMEM)
        tw_err_set(err, rc, "out of memory");
    if (rc != TW_OK) {
        wanted_free(&w);
        return rc;
    }
    *ret = w;
    return TW_OK;
}

void wanted_free(struct wanted *w)
{
    for (size_t i = 0; i < w->n_meshes; i++) {
        free(w->meshes[i].pairs.v);
        free(w->meshes[i].rows);
        free(w->meshes[i].classes);
        free(w->meshes[i].targets);
    }
    free(w->meshes);
    free(w->changes);
    free(w->sums);
    free(w->agents);
    free(w->names);
    free(w->reach);
    spread_free(&w->spread);
    roster_free(w->roster);
    *w = (struct wanted){ 0 };
}

const struct wanted_mesh *wanted_find_mesh(const struct wanted *w, const char *name)
{
    for (size_t i = 0; i < w->n_meshes; i++)
        if (!strcmp(w->meshes[i].mesh->name, name))
            return &w->meshes[i];
    return NULL;
}

/* Of a mesh that is not paused. */
static uint64_t count_drained(const struct wanted *w, const struct wanted_mesh *m)
{
    uint64_t n = 0;

    for (size_t i = 0; w->any_drained && i < m->pairs.n; i++) {
        const struct mesh_pair *p = &m->pairs.v[i];

        n += m->rows[i] != PAIR_ABSENT &&
             (w->reach[p->source].drained || (p->target >= 0 && w->reach[p->target].drained));
    }
    return n;
}

static bool will_run(const struct wanted *w, const struct wanted_change *c)
{
    struct wanted_pair p;

    if (c->what == WANTED_REMOVED || w->meshes[c->mesh].paused)
        return false;
    if (!w->any_drained)
        return true;
    wanted_change_pair(w, c, &p);
    return !p.paused;
}

void wanted_compare(const struct inventory *inv, const struct wanted *w, struct wanted_diff *ret)
{
    struct wanted_diff d = { .differs = w->n_changes > 0 };

    for (size_t i = 0; i < w->n_meshes; i++)
        if (!w->meshes[i].paused)
            d.pairs += w->meshes[i].pairs.n - w->meshes[i].unreachable - count_drained(w, &w->meshes[i]);
    for (size_t i = 0; i < w->n_changes; i++) {
        const struct wanted_change *c = &w->changes[i];
        bool was = c->row != PAIR_NEW && pair_table_at(&inv->pairs, c->row)->scheduled;
        bool will = will_run(w, c);

        d.added += will && !was;
        d.changed += will && was;
        d.removed += was && !will;
    }
    *ret = d;
}
