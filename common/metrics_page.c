#include "common/metrics_page.h"
#include "common/version.h"
#include "common/metrics_families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What the budget of a level lets through ---- */

struct pick {
    const void *p;
    double badness;
};

static int compare_badness(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;

    if (x->badness != y->badness)
        return x->badness < y->badness ? 1 : -1;
    return (x->p > y->p) - (x->p < y->p);
}

static int compare_place(const void *a, const void *b)
{
    const struct pick *x = a, *y = b;

    return (x->p > y->p) - (x->p < y->p);
}

/* Keeps the worst that the budget allows, in the order in which they were. Returns how many. */
static size_t keep_worst(struct pick *v, size_t n, uint64_t max_series, unsigned series_each)
{
    uint64_t keep = max_series / series_each;

    if (!max_series || n <= keep)
        return n;
    qsort(v, n, sizeof *v, compare_badness);
    qsort(v, (size_t)keep, sizeof *v, compare_place);
    return (size_t)keep;
}

/* ---- The page that is being made ---- */

#define LEVELS 6
struct page {
    struct metrics_out out;
    const struct metrics_snapshot *s;
    const char *mesh; /* the only one; NULL: all */
    bool native;
    struct {
        const char *level;
        uint64_t series;
    } suppressed[LEVELS];
    size_t n_suppressed;
};

static bool wanted(const struct page *p, const char *mesh)
{
    return !p->mesh || !strcmp(mesh, p->mesh);
}

static unsigned series_each(const struct page *p, const struct level *l)
{
    return metrics_series_of(l, p->native) - (l == &level_pair); /* as metrics_series_per_pair() */
}

static void note_suppressed(struct page *p, const char *level, size_t n, const struct level *l)
{
    p->suppressed[p->n_suppressed].level = level;
    p->suppressed[p->n_suppressed++].series = (uint64_t)n * series_each(p, l);
}

static void begin_single(struct page *p, enum single which)
{
    p->out.ops->begin(&p->out, "", singles[which].name, singles[which].help, singles[which].type);
}

/* label: ",version=\"", or "" without value. */
static void put_one(struct page *p, const char *label, const char *value, uint64_t v)
{
    p->out.ops->integer(&p->out, &(struct metrics_series){ "", 0, label, value }, v);
}

static void put_single(struct page *p, enum single which, const char *label, const char *value, uint64_t v)
{
    begin_single(p, which);
    put_one(p, label, value, v);
    p->out.ops->end(&p->out);
}

static void put_suppressed(struct page *p)
{
    begin_single(p, SINGLE_SUPPRESSED);
    for (size_t i = 0; i < p->n_suppressed; i++)
        put_one(p, ",level=\"", p->suppressed[i].level, p->suppressed[i].series);
    p->out.ops->end(&p->out);
}

/* ---- Pairs ---- */

static double pair_badness(const struct metrics_pair *m)
{
    return m->fresh && m->last.loss_ratio.known ? m->last.loss_ratio.value : -1;
}

/* Those that the budget lets through, in *ret, which the caller frees. */
static enum tw_rc pick_pairs(struct page *p, const char *name, const struct level *l, struct pick **ret,
                             size_t *ret_n)
{
    struct pick *v = calloc(p->s->n_pairs + 1, sizeof *v);
    size_t n = 0, kept;

    if (!v)
        return TW_ENOMEM;
    for (size_t i = 0; i < p->s->n_pairs; i++)
        if (wanted(p, p->s->pairs[i].mesh))
            v[n++] = (struct pick){ &p->s->pairs[i], pair_badness(&p->s->pairs[i]) };
    kept = keep_worst(v, n, p->s->max_pair_series, series_each(p, l));
    note_suppressed(p, name, n - kept, l);
    *ret = v;
    *ret_n = kept;
    return TW_OK;
}

static enum tw_rc render_pairs(struct page *p)
{
    struct pick *v;
    struct objects o;
    size_t n;
    enum tw_rc rc = pick_pairs(p, "pair", &level_pair, &v, &n);

    if (rc)
        return rc;
    rc = objects_init(&o, p->out.ops, n);
    for (size_t i = 0; !rc && i < n; i++) {
        const struct metrics_pair *m = v[i].p;
        const char *labels[] = { "mesh",    m->mesh,  "class",   m->class_name, "source",
                                 m->source, "target", m->target, NULL };
        objects_add(&o, m, labels);
    }
    if (!rc) {
        objects_put(&p->out, &level_pair, &o);
        objects_free(&o);
    }
    free(v);
    return rc;
}

static void add_twampy(struct objects *o, const struct twampy *t, bool edges)
{
    const struct metrics_pair *m = t->pair;
    const char *plain[] = { "mesh",    m->mesh,  "class",   m->class_name, "source",
                            m->source, "target", m->target, NULL };
    const char *edge[] = { "id",          t->id,       "mesh",          m->mesh,          "class",
                           m->class_name, "source",    m->source,       "target",         m->target,
                           "mainstat",    t->mainstat, "secondarystat", t->secondarystat, NULL };

    objects_add(o, t, edges ? edge : plain);
}

static enum tw_rc render_twampy(struct page *p, bool edges)
{
    const struct level *l = edges ? &level_edges : &level_twampy;
    struct twampy *t = NULL;
    struct pick *v;
    struct objects o;
    size_t n;
    enum tw_rc rc = pick_pairs(p, edges ? "edges" : "twampy", l, &v, &n);

    if (rc)
        return rc;
    rc = objects_init(&o, p->out.ops, n);
    if (!rc && !(t = calloc(n + 1, sizeof *t)))
        rc = TW_ENOMEM;
    for (size_t i = 0; !rc && i < n; i++) {
        metrics_twampy(v[i].p, &t[i]);
        add_twampy(&o, &t[i], edges);
    }
    if (!rc)
        objects_put(&p->out, l, &o);
    objects_free(&o);
    free(t);
    free(v);
    return rc;
}

/* ---- Aggregates, agents, ourselves ---- */

/* Since the start. */
static double group_badness(const struct metrics_group *g)
{
    return g->sent ? 1 - (double)g->received / (double)g->sent : -1;
}

static void add_group(struct objects *o, const struct metrics_group *g)
{
    const char *labels[] = { "mesh", g->mesh, "class", g->class_name, NULL, NULL, NULL, NULL, NULL };

    if (g->source) {
        labels[4] = "source";
        labels[5] = g->source;
    } else if (g->source_site) {
        labels[4] = "source_site";
        labels[5] = g->source_site;
        labels[6] = "target_site";
        labels[7] = g->target_site;
    }
    objects_add(o, g, labels);
}

static enum tw_rc render_groups(struct page *p, const char *name, const struct level *l,
                                const struct metrics_group *g, size_t n)
{
    struct pick *v = calloc(n + 1, sizeof *v);
    struct objects o;
    size_t m = 0, kept;

    if (!v || objects_init(&o, p->out.ops, n)) {
        free(v);
        return TW_ENOMEM;
    }
    for (size_t i = 0; i < n; i++)
        if (wanted(p, g[i].mesh))
            v[m++] = (struct pick){ &g[i], group_badness(&g[i]) };
    kept = keep_worst(v, m, p->s->max_pair_series, series_each(p, l));
    note_suppressed(p, name, m - kept, l);
    for (size_t i = 0; i < kept; i++)
        add_group(&o, v[i].p);
    objects_put(&p->out, l, &o);
    objects_free(&o);
    free(v);
    return TW_OK;
}

static void put_agent_states(struct page *p)
{
    static const char *const states[] = { "pending", "up", "down", "revoked" };

    begin_single(p, SINGLE_AGENTS);
    for (size_t k = 0; k < TW_NELEM(states); k++) {
        uint64_t n = 0;

        for (size_t i = 0; i < p->s->n_fleet; i++)
            n += !strcmp(p->s->fleet[i].state, states[k]);
        put_one(p, ",state=\"", states[k], n);
    }
    p->out.ops->end(&p->out);
}

/* Pending agents are only counted: anybody can name one. Of revoked ones nothing comes. */
static enum tw_rc render_fleet(struct page *p)
{
    const struct metrics_snapshot *s = p->s;
    struct objects o;

    if (objects_init(&o, p->out.ops, s->n_fleet))
        return TW_ENOMEM;
    for (size_t i = 0; i < s->n_fleet; i++) {
        const char *labels[] = { "agent", s->fleet[i].name, NULL };

        if (strcmp(s->fleet[i].state, "pending") && strcmp(s->fleet[i].state, "revoked"))
            objects_add(&o, &s->fleet[i], labels);
    }
    if (!s->of_agent)
        put_agent_states(p);
    objects_put(&p->out, &level_fleet, &o);
    if (!s->of_agent)
        put_single(p, SINGLE_GENERATION, "", NULL, s->generation);
    objects_free(&o);
    return TW_OK;
}

static void put_self(struct page *p, const struct metrics_self *r)
{
    char label[80] = "";

    if (!isfinite(r->value))
        return;
    if (r->label)
        snprintf(label, sizeof label, ",%.70s=\"", r->label);
    p->out.ops->number(&p->out, &(struct metrics_series){ "", 0, label, r->label ? r->label_value : NULL },
                       r->value);
}

static bool same_series(const struct metrics_self *a, const struct metrics_self *b)
{
    if (strcmp(a->name, b->name) || !a->label != !b->label)
        return false;
    return !a->label || (!strcmp(a->label, b->label) && !strcmp(a->label_value, b->label_value));
}

/* The first row of these that is the same series, or shares the name. */
static size_t first_like(const struct metrics_self *v, size_t i, bool series)
{
    for (size_t k = 0; k < i; k++)
        if (series ? same_series(&v[k], &v[i]) : !strcmp(v[k].name, v[i].name))
            return k;
    return i;
}

static void render_self(struct page *p)
{
    const struct metrics_self *v = p->s->self;

    for (size_t i = 0; i < p->s->n_self; i++) {
        if (first_like(v, i, false) != i)
            continue;
        p->out.ops->begin(&p->out, "", v[i].name, v[i].help, v[i].type);
        for (size_t k = i; k < p->s->n_self; k++)
            if (!strcmp(v[k].name, v[i].name) && first_like(v, k, true) == k)
                put_self(p, &v[k]);
        p->out.ops->end(&p->out);
    }
}

/* ---- The page ---- */

static enum tw_rc render(struct page *p, unsigned levels)
{
    const struct metrics_snapshot *s = p->s;
    enum tw_rc rc = TW_OK;

    put_single(p, SINGLE_BUILD, ",version=\"", tw_version, 1);
    if (!p->mesh)
        rc = render_fleet(p);
    if (!rc && levels & METRICS_MESH)
        rc = render_groups(p, "mesh", &level_mesh, s->meshes, s->n_meshes);
    if (!rc && levels & METRICS_SITE)
        rc = render_groups(p, "site", &level_site, s->sites, s->n_sites);
    if (!rc && levels & METRICS_AGENT)
        rc = render_groups(p, "agent", &level_agent, s->agents, s->n_agents_groups);
    if (!rc && levels & METRICS_PAIR)
        rc = render_pairs(p);
    if (!rc && levels & METRICS_TWAMPY)
        rc = render_twampy(p, false);
    if (!rc && levels & METRICS_EDGES)
        rc = render_twampy(p, true);
    if (!rc)
        put_suppressed(p);
    if (!rc && !p->mesh)
        render_self(p);
    p->out.ops->finish(&p->out);
    return !rc && p->out.b.bad ? TW_ENOMEM : rc;
}

enum tw_rc metrics_render_to(const struct metrics_snapshot *s, const struct metrics_ops *format, unsigned levels,
                             const char *mesh, const struct metrics_sink *sink)
{
    struct page p = { .s = s, .mesh = mesh, .native = format->has_native };
    enum tw_rc rc;

    metrics_out_init(&p.out, format);
    p.out.sink = sink;
    rc = render(&p, levels);
    metrics_out_done(&p.out);
    free(p.out.b.p);
    return rc;
}

/* ---- In one piece ---- */

struct collected {
    struct mbuf page;
    size_t held; /* where what is held begins */
};

static void collect(void *ctx, const char *p, size_t len)
{
    mbuf_put(&((struct collected *)ctx)->page, p, len);
}

static void collect_held(void *ctx)
{
    struct collected *c = ctx;

    c->held = c->page.len;
}

static void collect_first(void *ctx, const char *first, size_t len)
{
    struct collected *c = ctx;
    size_t behind = c->page.len - c->held;

    mbuf_put(&c->page, first, len); /* for the room */
    if (c->page.bad)
        return;
    memmove(c->page.p + c->held + len, c->page.p + c->held, behind);
    memcpy(c->page.p + c->held, first, len);
}

enum tw_rc metrics_render(const struct metrics_snapshot *s, const struct metrics_ops *format, unsigned levels,
                          const char *mesh, char **ret, size_t *ret_len)
{
    struct collected c = { 0 };
    const struct metrics_sink sink = { collect, collect_held, collect_first, &c };
    enum tw_rc rc = metrics_render_to(s, format, levels, mesh, &sink);

    if (!rc && c.page.bad)
        rc = TW_ENOMEM;
    if (rc) {
        free(c.page.p);
        return rc;
    }
    *ret = c.page.p;
    *ret_len = c.page.len;
    return TW_OK;
}
