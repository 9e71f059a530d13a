/* controller/change_compare.c - the plan of an apply: what becomes of the pairs of each mesh that it touches,
 * and what all cost before and after. In pieces: *left is how many pairs may be looked at.
 *
 * Meshes that it leaves as they are have the same pairs before and after, so they are looked at once; of the
 * others what they are now is expanded for the agents that the change knows. */
#include <stdlib.h>
#include <string.h>
#include "controller/change_priv.h"

/* A mesh of the change as it is in the inventory. */
struct before {
    struct mesh_pairs pairs; /* mesh NULL: it is not there */
    struct mesh_pair *own;   /* pairs.v, unless they are those of after */
    bool paused, ipv6;
};
enum stage { EXPAND, ALIKE, BEFORE, AFTER, COMPARE };
struct change_compare {
    struct change *ch;
    enum stage stage;
    struct before *v; /* as ch->meshes */
    size_t n;
    bool *touched;               /* by number in ch->wanted */
    size_t at, pair;             /* the next mesh, and of its pairs */
    struct mesh_expansion *mesh; /* of the one at hand; NULL: it has not begun */
    struct plan_costs *before, *after;
    struct plan_walk walk; /* fn stays NULL when enough has been told */
};

void change_compare_free(struct change_compare *g)
{
    if (!g)
        return;
    for (size_t i = 0; g->v && i < g->n; i++)
        free(g->v[i].own);
    free(g->v);
    free(g->touched);
    mesh_expansion_free(g->mesh);
    plan_costs_free(g->before);
    plan_costs_free(g->after);
    free(g);
}

/* ---- What is there now ---- */

static enum tw_rc expand(struct change_compare *g, struct before *b, size_t *left)
{
    enum tw_rc rc =
        g->mesh ? TW_OK
                : mesh_expansion_new(b->pairs.mesh, b->pairs.agents, false, &g->mesh, &g->ch->result.err);

    if (rc == TW_OK)
        rc = mesh_expansion_go_on(g->mesh, left);
    if (rc != TW_OK)
        return rc;
    mesh_expansion_take(g->mesh, &b->own, &b->pairs.n, NULL);
    b->pairs.v = b->own;
    mesh_expansion_free(g->mesh);
    g->mesh = NULL;
    g->pair = 0;
    return TW_OK;
}

static enum tw_rc find_ipv6(struct change_compare *g, struct before *b, size_t *left)
{
    const struct wanted *w = &g->ch->wanted;

    for (; w->any_ipv6 && !b->ipv6 && g->pair < b->pairs.n; g->pair++, --*left) {
        if (!*left)
            return TW_EAGAIN;
        b->ipv6 = wanted_goes_over_ipv6(w, b->pairs.mesh, &b->pairs.v[g->pair]);
    }
    return TW_OK;
}

static void begin_before(struct change_compare *g, struct before *b, const struct change_mesh *cm)
{
    const struct mesh_state *m = inventory_mesh(&g->ch->owner->c->inv, cm->row.name);
    const struct wanted_mesh *after = wanted_find_mesh(&g->ch->wanted, cm->row.name);

    if (!m)
        return;
    b->paused = m->row.paused;
    b->pairs = (struct mesh_pairs){ .mesh = m->mesh, .agents = &g->ch->wanted.roster->agents };
    if (!after || after->mesh != m->mesh)
        return;
    b->pairs = after->pairs;
    b->ipv6 = after->ipv6;
}

static enum tw_rc expand_all(struct change_compare *g, size_t *left)
{
    for (; g->at < g->n; g->at++) {
        struct before *b = &g->v[g->at];
        enum tw_rc rc = TW_OK;

        if (!b->pairs.mesh)
            begin_before(g, b, &g->ch->meshes[g->at]);
        if (b->pairs.mesh && !b->pairs.v)
            rc = *left ? expand(g, b, left) : TW_EAGAIN;
        if (rc == TW_OK && b->own)
            rc = find_ipv6(g, b, left);
        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

/* ---- Costs ---- */

static enum tw_rc add_wanted(struct change_compare *g, struct plan_costs *to, bool touched, size_t *left)
{
    const struct wanted *w = &g->ch->wanted;

    for (; g->at < w->n_meshes; g->at++, g->pair = 0) {
        const struct wanted_mesh *m = &w->meshes[g->at];
        enum tw_rc rc = TW_OK;

        if (g->touched[g->at] == touched && !m->paused)
            rc = plan_costs_add(to, &m->pairs, m->ipv6, &g->pair, left);
        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

static enum tw_rc add_alike(struct change_compare *g, size_t *left)
{
    enum tw_rc rc = add_wanted(g, g->before, false, left);

    if (rc != TW_OK)
        return rc;
    g->after = plan_costs_copy(g->before);
    return g->after ? TW_OK : TW_ENOMEM;
}

static enum tw_rc add_before(struct change_compare *g, size_t *left)
{
    for (; g->at < g->n; g->at++, g->pair = 0) {
        const struct before *b = &g->v[g->at];
        enum tw_rc rc = TW_OK;

        if (b->pairs.mesh && !b->paused)
            rc = plan_costs_add(g->before, &b->pairs, b->ipv6, &g->pair, left);
        if (rc != TW_OK)
            return rc;
    }
    plan_costs_take(g->before, &g->ch->plan.before);
    g->before = NULL;
    return TW_OK;
}

static enum tw_rc add_after(struct change_compare *g, size_t *left)
{
    enum tw_rc rc = add_wanted(g, g->after, true, left);

    if (rc != TW_OK)
        return rc;
    plan_costs_take(g->after, &g->ch->plan.after);
    g->after = NULL;
    return TW_OK;
}

/* ---- Which pairs ---- */

static const char *address_of(const struct mesh_pairs *m, const struct mesh_pair *p, char buf[TW_ADDR_TEXT])
{
    return p->target < 0 ? tw_addr_format(&m->mesh->targets[~p->target].addr, buf) : "agent";
}

static void describe(const struct plan_walk *l, const struct mesh_pair *b, const struct mesh_pair *a,
                     char what[CLASS_DIFF_MAX])
{
    char from[TW_ADDR_TEXT], to[TW_ADDR_TEXT];
    const char *x = address_of(l->before, b, from), *y = address_of(l->after, a, to);

    class_diff(&l->before->mesh->classes[b->class_index], &l->after->mesh->classes[a->class_index], what);
    if (!what[0])
        snprintf(what, CLASS_DIFF_MAX, "address %s -> %s", x, y);
}

static bool list_pair(void *ctx, const struct mesh_pair *b, const struct mesh_pair *a)
{
    const struct change_compare *g = ctx;
    const struct plan_walk *l = &g->walk;
    struct change_plan *plan = &g->ch->plan;
    const struct mesh_pairs *m = a ? l->after : l->before;
    const struct mesh_pair *p = a ? a : b;
    struct change_pair *row;

    if (plan->n_pairs == g->ch->rq.max_pairs) {
        plan->pairs_cut = true;
        return false;
    }
    row = &plan->changed_pairs[plan->n_pairs++];
    row->action = !b ? '+' : !a ? '-' : '~';
    snprintf(row->mesh, sizeof row->mesh, "%s", m->mesh->name);
    snprintf(row->class_name, sizeof row->class_name, "%s", m->mesh->classes[p->class_index].name);
    snprintf(row->source, sizeof row->source, "%s", mesh_pair_source(m->agents, p));
    snprintf(row->target, sizeof row->target, "%s", mesh_pair_target(m->mesh, m->agents, p));
    if (a && b)
        describe(l, b, a, row->what);
    return true;
}

/* Times are the same for all pairs of a class, but for their phases. */
static size_t count_ended(const struct mesh *m, int64_t now_ns)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_classes; i++) {
        const struct class_times *t = m->classes[i].times;
        const struct pair_key any = { m->name, m->classes[i].name, "", "", 0, class_times_every(t) ? 1 : 0 };

        n += t && t->id && class_times_is_idle(t, &any, now_ns) &&
             class_times_next(t, &any, now_ns) == TIMES_NEVER;
    }
    return n;
}

/* A mesh has been walked through. */
static enum tw_rc plan_mesh(struct change_compare *g, const struct change_mesh *cm,
                            const struct wanted_mesh *after)
{
    struct change_plan *plan = &g->ch->plan;
    struct change_mesh_plan *p = &plan->meshes[plan->n_meshes++];

    *p = (struct change_mesh_plan){ .mesh = cm->row.name,
                                    .paused = cm->row.paused,
                                    .pairs = after ? after->pairs.n : 0,
                                    .diff = g->walk.diff };
    p->action = cm->drop              ? MESH_DELETED
                : !g->walk.before     ? MESH_ADDED
                : cm->put || cm->mesh ? MESH_CHANGED
                                      : MESH_UNCHANGED;
    p->ended_classes = after ? count_ended(after->mesh, g->ch->now_ns) : 0;
    plan->pairs += p->pairs;
    plan->diff.added += p->diff.added;
    plan->diff.removed += p->diff.removed;
    plan->diff.changed += p->diff.changed;
    plan->diff.kept += p->diff.kept;
    return after ? mesh_below_degree(&after->pairs, &p->below_degree) : TW_OK;
}

static enum tw_rc compare_mesh(struct change_compare *g, const struct change_mesh *cm, size_t *left)
{
    const struct wanted_mesh *after = wanted_find_mesh(&g->ch->wanted, cm->row.name);
    struct plan_walk *w = &g->walk;
    enum tw_rc rc;

    w->before = g->v[g->at].pairs.mesh ? &g->v[g->at].pairs : NULL;
    w->after = after ? &after->pairs : NULL;
    rc = plan_walk_go_on(w, left);
    if (rc == TW_OK)
        rc = plan_mesh(g, cm, after);
    if (rc == TW_OK)
        *w = (struct plan_walk){ .fn = w->fn, .ctx = g };
    return rc;
}

static enum tw_rc compare_all(struct change_compare *g, size_t *left)
{
    for (; g->at < g->n; g->at++) {
        enum tw_rc rc = *left ? compare_mesh(g, &g->ch->meshes[g->at], left) : TW_EAGAIN;

        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

/* ---- All of it ---- */

static bool is_touched(const struct change *ch, const char *name)
{
    for (size_t i = 0; i < ch->n_meshes; i++)
        if (!strcmp(ch->meshes[i].row.name, name))
            return true;
    return false;
}

static enum tw_rc begin_list(struct change_compare *g)
{
    struct change *ch = g->ch;

    if (ch->rq.max_pairs > CHANGE_PAIRS_MAX)
        ch->rq.max_pairs = CHANGE_PAIRS_MAX;
    if (!ch->rq.max_pairs)
        return TW_OK;
    ch->plan.changed_pairs = calloc(ch->rq.max_pairs, sizeof *ch->plan.changed_pairs);
    g->walk = (struct plan_walk){ .fn = list_pair, .ctx = g };
    return ch->plan.changed_pairs ? TW_OK : TW_ENOMEM;
}

enum tw_rc change_compare_new(struct change *ch, struct change_compare **ret)
{
    const struct wanted *w = &ch->wanted;
    struct change_compare *g = calloc(1, sizeof *g);

    if (!g)
        return TW_ENOMEM;
    g->ch = ch;
    g->n = ch->n_meshes;
    g->v = calloc(g->n + 1, sizeof *g->v);
    g->touched = calloc(w->n_meshes + 1, sizeof *g->touched);
    g->before = plan_costs_new();
    ch->plan.meshes = calloc(g->n + 1, sizeof *ch->plan.meshes);
    if (!g->v || !g->touched || !g->before || !ch->plan.meshes || begin_list(g) != TW_OK) {
        change_compare_free(g);
        return TW_ENOMEM;
    }
    for (size_t i = 0; i < w->n_meshes; i++)
        g->touched[i] = is_touched(ch, w->meshes[i].mesh->name);
    *ret = g;
    return TW_OK;
}

static enum tw_rc (*const stages[])(struct change_compare *g, size_t *left) = { [EXPAND] = expand_all,
                                                                                [ALIKE] = add_alike,
                                                                                [BEFORE] = add_before,
                                                                                [AFTER] = add_after,
                                                                                [COMPARE] = compare_all };

enum tw_rc change_compare_go_on(struct change_compare *g, size_t *left)
{
    enum tw_rc rc;

    while ((rc = stages[g->stage](g, left)) == TW_OK && g->stage < COMPARE) {
        g->stage++;
        g->at = g->pair = 0;
    }
    return rc;
}
