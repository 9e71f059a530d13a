/* controller/schedule_spread.c - which slot of their interval (spread.h) pairs get that come into the
 * schedule. */
#include <stdlib.h>
#include "controller/schedule_priv.h"

struct choosing {
    const struct inventory *inv;
    struct wanted *w;
    bool keeps; /* who has a slot keeps it: nothing is scheduled yet, or others chose it */
    bool settled; /* the others are, and those that come choose */
    size_t at;
};

static const struct pair *row_of(const struct choosing *g, const struct wanted_change *c)
{
    return c->row == PAIR_NEW ? NULL : pair_table_at(&g->inv->pairs, c->row);
}

static const struct mesh_class *class_of(const struct choosing *g, const struct wanted_change *c)
{
    const struct wanted_mesh *m = &g->w->meshes[c->mesh];

    return &m->mesh->classes[m->pairs.v[c->at].class_index];
}

static bool has_interval(const struct choosing *g, const struct wanted_change *c)
{
    return c->what != WANTED_REMOVED && class_times_every(class_of(g, c)->times);
}

/* 0: it never had one. */
static uint8_t had_slot(const struct choosing *g, const struct wanted_change *c)
{
    const struct pair *p = row_of(g, c);

    return p ? p->row.slot : 0;
}

/* 0: it has no part in the spread now. */
static int64_t present_every(const struct pair *p)
{
    return p && (p->scheduled || p->paused) && p->row.slot ? class_times_every(p->times) : 0;
}

/* A pair whose runs go on as before is left where it is. */
static bool stays(const struct choosing *g, const struct wanted_change *c)
{
    const struct pair *p = row_of(g, c);
    const struct mesh_class *k = c->what == WANTED_REMOVED ? NULL : class_of(g, c);

    return k && present_every(p) && present_every(p) == class_times_every(k->times) && p->flows == k->flows;
}

static void leave(struct choosing *g, const struct wanted_change *c)
{
    const struct pair *p = row_of(g, c);

    if (present_every(p)) {
        struct spread_runs r = { present_every(p), spread_source(p->row.source), p->flows };

        spread_remove(&g->w->spread, &r, p->row.slot);
    }
}

static uint64_t seed_of(const struct wanted_pair *w)
{
    return store_pair_id(&(struct store_pair){
        .mesh = w->mesh->name, .class_name = w->class_->name, .source = w->source, .target = w->target });
}

struct spread_runs wanted_runs(const struct wanted_pair *w)
{
    return (struct spread_runs){ class_times_every(w->class_->times), spread_source(w->source),
                                 w->class_->flows };
}

static enum tw_rc join(struct choosing *g, struct wanted_change *c, unsigned slot)
{
    struct wanted_pair w;
    struct spread_runs r;

    wanted_change_pair(g->w, c, &w);
    r = wanted_runs(&w);
    if (!slot)
        slot = spread_choose(&g->w->spread, &r, had_slot(g, c), seed_of(&w));
    c->slot = (uint8_t)slot;
    return spread_add(&g->w->spread, &r, slot);
}

/* All of these first, so that who chooses sees what is free. */
static enum tw_rc settle_one(struct choosing *g, struct wanted_change *c)
{
    if (stays(g, c)) {
        c->slot = had_slot(g, c);
        return TW_OK;
    }
    leave(g, c);
    return g->keeps && has_interval(g, c) && had_slot(g, c) ? join(g, c, had_slot(g, c)) : TW_OK;
}

static enum tw_rc choose_one(struct choosing *g, struct wanted_change *c)
{
    return !c->slot && has_interval(g, c) ? join(g, c, 0) : TW_OK;
}

static enum tw_rc each_change(struct choosing *g,
                              enum tw_rc (*fn)(struct choosing *g, struct wanted_change *c), size_t *left)
{
    for (; g->at < g->w->n_changes; g->at++, --*left) {
        enum tw_rc rc = *left ? fn(g, &g->w->changes[g->at]) : TW_EAGAIN;

        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

enum tw_rc wanted_choice_new(const struct inventory *inv, struct wanted *w, bool keep, struct choosing **ret)
{
    struct choosing *g = malloc(sizeof *g);

    if (!g || spread_copy(&inv->spread, &w->spread) != TW_OK) {
        free(g);
        return TW_ENOMEM;
    }
    *g = (struct choosing){ .inv = inv, .w = w, .keeps = keep || !inv->scheduled };
    *ret = g;
    return TW_OK;
}

enum tw_rc wanted_choice_go_on(struct choosing *g, size_t *left)
{
    enum tw_rc rc = g->settled ? TW_OK : each_change(g, settle_one, left);

    if (rc != TW_OK)
        return rc;
    if (!g->settled)
        g->at = 0;
    g->settled = true;
    return each_change(g, choose_one, left);
}

void wanted_choice_free(struct choosing *g)
{
    free(g);
}

/* What runs by an interval is in the spread; the next comparison has to look at it, which looks at the pairs
 * of agents of which something is different. */
enum tw_rc schedule_move(struct inventory *inv, struct pair *p, uint8_t slot)
{
    struct spread_runs r = { present_every(p), spread_source(p->row.source), p->flows };
    struct wanted *w = inv->scheduled;
    enum tw_rc rc = r.every_ns && slot ? spread_add(&inv->spread, &r, slot) : TW_OK;

    if (rc != TW_OK)
        return rc;
    if (r.every_ns)
        spread_remove(&inv->spread, &r, p->row.slot);
    p->row.slot = slot;
    for (size_t i = 0; w && i < w->n_agents; i++)
        if (w->names[i] == p->row.source)
            w->reach[i].name = 0; /* no name's hash */
    return TW_OK;
}
