#include "controller/schedule_priv.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/fnv1a.h"
#include "controller/core/class_times.h"

/* An expansion under way. */
struct wanting {
    struct inventory *inv;
    const struct overlay *o;
    struct tw_err *err;
    struct wanted w;
    enum { EXPAND, COMPARE, CHOOSE, LOOK } stage;
    struct mesh_expansion *mesh; /* of the one at hand; NULL: it has not begun */
    struct merge *merge;
    struct choosing *choosing;
    size_t at, pair; /* the next mesh, and of its pairs */
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

static enum tw_rc list_meshes(const struct wanting *v, struct wanted *w)
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

static enum tw_rc list_mesh(const struct mesh_state *m, struct wanted *w)
{
    w->meshes = calloc(2, sizeof *w->meshes);
    if (!w->meshes)
        return TW_ENOMEM;
    add_mesh(w, m->mesh, m->row.paused);
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

/* To look up the names costs about as much as a pair for each agent. */
static enum tw_rc begin_mesh(struct wanting *g, struct wanted_mesh *m, bool strict, size_t *left)
{
    size_t n = g->w.roster->agents.n;

    m->pairs.agents = &g->w.roster->agents;
    *left -= n < *left ? n : *left;
    return mesh_expansion_new(m->mesh, m->pairs.agents, strict, &g->mesh, g->err);
}

static enum tw_rc expand_mesh(struct wanting *g, struct wanted_mesh *m, size_t *left)
{
    const struct overlay_mesh *om = find_overlay(g->o, m->mesh->name);
    size_t unresolved = 0;
    enum tw_rc rc = g->mesh ? TW_OK : begin_mesh(g, m, om && om->put && om->strict, left);

    if (rc == TW_OK)
        rc = mesh_expansion_go_on(g->mesh, left);
    if (rc == TW_EAGAIN)
        return rc;
    if (rc != TW_OK)
        return fail_in_file(om, rc, g->err);
    mesh_expansion_take(g->mesh, &m->pairs.v, &m->pairs.n, &unresolved);
    m->unresolved = unresolved;
    mesh_expansion_free(g->mesh);
    g->mesh = NULL;
    return TW_OK;
}

static enum tw_rc expand_meshes(struct wanting *g, size_t *left)
{
    for (; g->at < g->w.n_meshes; g->at++) {
        enum tw_rc rc = *left ? expand_mesh(g, &g->w.meshes[g->at], left) : TW_EAGAIN;

        if (rc != TW_OK)
            return rc;
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

bool wanted_goes_over_ipv6(const struct wanted *w, const struct mesh *m, const struct mesh_pair *p)
{
    struct tw_addr address;

    return p->target >= 0 && target_address(m, p, &w->reach[p->source], &w->reach[p->target], &address) &&
           address.family == 6;
}

static bool has_drained_end(const struct wanted *w, const struct mesh_pair *p)
{
    return w->reach[p->source].drained || (p->target >= 0 && w->reach[p->target].drained);
}

static enum tw_rc look_at_mesh(struct wanting *g, struct wanted_mesh *m, size_t *left)
{
    const struct wanted *w = &g->w;

    for (; g->pair < m->pairs.n && (w->any_drained || (w->any_ipv6 && !m->ipv6)); g->pair++, --*left) {
        const struct mesh_pair *p = &m->pairs.v[g->pair];

        if (!*left)
            return TW_EAGAIN;
        m->ipv6 = m->ipv6 || (w->any_ipv6 && wanted_goes_over_ipv6(w, m->mesh, p));
        m->drained += w->any_drained && m->rows[g->pair] != PAIR_ABSENT && has_drained_end(w, p);
    }
    return TW_OK;
}

static enum tw_rc look_at_meshes(struct wanting *g, size_t *left)
{
    for (; g->at < g->w.n_meshes; g->at++, g->pair = 0) {
        enum tw_rc rc = look_at_mesh(g, &g->w.meshes[g->at], left);

        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
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
        w->any_ipv6 |= w->reach[i].any.family == 6 || w->reach[i].v6.family;
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

/* only: this mesh alone; NULL: all. */
static enum tw_rc begin(struct wanting *g, const struct mesh_state *only)
{
    struct wanted *w = &g->w;
    enum tw_rc rc;

    w->roster = roster_new(g->inv, g->o->approve, g->o->remove);
    if (!w->roster)
        return TW_ENOMEM;
    rc = only ? list_mesh(only, w) : list_meshes(g, w);
    if (rc == TW_OK)
        rc = list_agents(g->inv, w);
    return rc == TW_OK ? keep_all_names(g->inv, w) : rc;
}

enum tw_rc wanted_of_mesh(struct inventory *inv, const struct mesh_state *m, struct wanted *ret,
                          struct tw_err *err)
{
    struct wanting g = { .inv = inv, .o = &(struct overlay){ 0 }, .err = err };
    size_t all = SIZE_MAX;
    enum tw_rc rc = begin(&g, m);

    if (rc == TW_OK)
        rc = expand_meshes(&g, &all);
    if (rc == TW_ENOMEM)
        tw_err_set(err, rc, "out of memory");
    if (rc == TW_OK)
        *ret = g.w;
    else
        wanted_free(&g.w);
    mesh_expansion_free(g.mesh);
    return rc;
}

enum tw_rc wanting_new(struct inventory *inv, const struct overlay *o, struct wanting **ret,
                       struct tw_err *err)
{
    struct wanting *g = calloc(1, sizeof *g);
    enum tw_rc rc = TW_ENOMEM;

    if (g) {
        g->inv = inv;
        g->o = o;
        g->err = err;
        rc = begin(g, NULL);
    }
    if (rc != TW_OK) {
        wanting_free(g);
        return tw_err_set(err, rc, "out of memory");
    }
    *ret = g;
    return TW_OK;
}

static enum tw_rc compare(struct wanting *g, size_t *left)
{
    enum tw_rc rc = g->merge ? TW_OK : wanted_merge_new(g->inv, &g->w, &g->merge);

    return rc == TW_OK ? wanted_merge_go_on(g->merge, left) : rc;
}

static enum tw_rc choose(struct wanting *g, size_t *left)
{
    enum tw_rc rc = g->choosing ? TW_OK : wanted_choice_new(g->inv, &g->w, g->o->keep_slots, &g->choosing);

    return rc == TW_OK ? wanted_choice_go_on(g->choosing, left) : rc;
}

static enum tw_rc (*const stages[])(struct wanting *g, size_t *left) = {
    [EXPAND] = expand_meshes, [COMPARE] = compare, [CHOOSE] = choose, [LOOK] = look_at_meshes
};

enum tw_rc wanting_go_on(struct wanting *g, size_t *left, struct wanted *ret)
{
    enum tw_rc rc;

    while ((rc = stages[g->stage](g, left)) == TW_OK && g->stage < LOOK) {
        g->stage++;
        g->at = 0;
    }
    if (rc == TW_ENOMEM)
        tw_err_set(g->err, rc, "out of memory");
    if (rc != TW_OK)
        return rc;
    *ret = g->w;
    g->w = (struct wanted){ 0 };
    return TW_OK;
}

void wanting_free(struct wanting *g)
{
    if (!g)
        return;
    mesh_expansion_free(g->mesh);
    wanted_merge_free(g->merge);
    wanted_choice_free(g->choosing);
    wanted_free(&g->w);
    free(g);
}

enum tw_rc wanted_build(struct inventory *inv, const struct overlay *o, struct wanted *ret,
                        struct tw_err *err)
{
    struct wanting *g;
    size_t all = SIZE_MAX;
    enum tw_rc rc = wanting_new(inv, o, &g, err);

    if (rc != TW_OK)
        return rc;
    rc = wanting_go_on(g, &all, ret);
    wanting_free(g);
    return rc;
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

void wanted_compare_begin(const struct wanted *w, struct wanted_diff *ret)
{
    *ret = (struct wanted_diff){ .differs = w->n_changes > 0 };
    for (size_t i = 0; i < w->n_meshes; i++)
        if (!w->meshes[i].paused)
            ret->pairs += w->meshes[i].pairs.n - w->meshes[i].unreachable - w->meshes[i].drained;
}

void wanted_compare_change(const struct inventory *inv, const struct wanted *w, const struct wanted_change *c,
                           struct wanted_diff *d)
{
    bool was = c->row != PAIR_NEW && pair_table_at(&inv->pairs, c->row)->scheduled;
    bool will = will_run(w, c);

    d->added += will && !was;
    d->changed += will && was;
    d->removed += was && !will;
}
