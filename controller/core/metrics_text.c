#include "controller/core/metrics_text.h"
#include "common/version.h"
#include "controller/core/metrics_families.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pairs and their budget ---- */

static double badness(const struct metrics_pair *p)
{
    return p->fresh && p->last.loss_ratio.known ? p->last.loss_ratio.value : -1;
}

static int compare_badness(const void *a, const void *b)
{
    const struct metrics_pair *x = *(const struct metrics_pair *const *)a,
                              *y = *(const struct metrics_pair *const *)b;
    double bx = badness(x), by = badness(y);

    if (bx != by)
        return bx < by ? 1 : -1;
    return (x > y) - (x < y);
}

static int compare_place(const void *a, const void *b)
{
    const struct metrics_pair *x = *(const struct metrics_pair *const *)a,
                              *y = *(const struct metrics_pair *const *)b;

    return (x > y) - (x < y);
}

/* Keeps the worst that the budget allows, in the order in which they were. Returns how many. */
static size_t keep_worst(const struct metrics_pair **v, size_t n, uint64_t max_series)
{
    uint64_t keep = max_series / metrics_series_per_pair();

    if (!max_series || n <= keep)
        return n;
    qsort(v, n, sizeof *v, compare_badness);
    qsort(v, (size_t)keep, sizeof *v, compare_place);
    return (size_t)keep;
}

static void put_single(struct mbuf *b, enum single which, const char *label, uint64_t value)
{
    const struct family *f = &singles[which];

    metrics_put_head(b, "", f->name, f->help, f->type);
    mbuf_text(b, f->name);
    if (label) {
        mbuf_text(b, "{");
        mbuf_text(b, f->labels);
        mbuf_text(b, "=\"");
        mbuf_label(b, label);
        mbuf_text(b, "\"}");
    }
    mbuf_text(b, " ");
    mbuf_u64(b, value);
    mbuf_text(b, "\n");
}

static bool wanted(const char *mesh, const char *filter)
{
    return !filter || !strcmp(mesh, filter);
}

static size_t filter_pairs(const struct metrics_snapshot *s, const char *mesh, const struct metrics_pair **v)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_pairs; i++)
        if (wanted(s->pairs[i].mesh, mesh))
            v[n++] = &s->pairs[i];
    return n;
}

static enum tw_rc render_pairs(struct mbuf *b, const struct metrics_snapshot *s, const char *mesh)
{
    const struct metrics_pair **v = calloc(s->n_pairs + 1, sizeof *v);
    struct objects o;
    size_t n, kept;

    if (!v || objects_init(&o, s->n_pairs)) {
        free(v);
        return TW_ENOMEM;
    }
    n = filter_pairs(s, mesh, v);
    kept = keep_worst(v, n, s->max_pair_series);
    for (size_t i = 0; i < kept; i++) {
        const struct metrics_pair *p = v[i];
        const char *labels[] = { "mesh",    p->mesh,  "class",   p->class_name, "source",
                                 p->source, "target", p->target, NULL };
        objects_add(&o, p, labels);
    }
    objects_put(b, &level_pair, &o);
    put_single(b, SINGLE_SUPPRESSED, NULL, (n - kept) * metrics_series_per_pair());
    objects_free(&o);
    free(v);
    return TW_OK;
}

/* ---- Aggregates, agents, ourselves ---- */

static enum tw_rc render_groups(struct mbuf *b, const struct level *l, const struct metrics_group *g,
                                size_t n, const char *mesh)
{
    struct objects o;

    if (objects_init(&o, n))
        return TW_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *labels[] = {
            "mesh", g[i].mesh, "class", g[i].class_name, g[i].source ? "source" : NULL, g[i].source, NULL
        };
        if (wanted(g[i].mesh, mesh))
            objects_add(&o, &g[i], labels);
    }
    objects_put(b, l, &o);
    objects_free(&o);
    return TW_OK;
}

static void put_agent_states(struct mbuf *b, const struct metrics_snapshot *s)
{
    static const char *const states[] = { "pending", "up", "down", "revoked" };
    const struct family *f = &singles[SINGLE_AGENTS];

    metrics_put_head(b, "", f->name, f->help, f->type);
    for (size_t k = 0; k < TW_NELEM(states); k++) {
        uint64_t n = 0;

        for (size_t i = 0; i < s->n_fleet; i++)
            n += !strcmp(s->fleet[i].state, states[k]);
        mbuf_text(b, "twamp_agents{state=\"");
        mbuf_text(b, states[k]);
        mbuf_text(b, "\"");
        metrics_put_integer(b, n);
    }
}

/* Pending agents are only counted: anybody can name one. Of revoked ones nothing comes. */
static enum tw_rc render_fleet(struct mbuf *b, const struct metrics_snapshot *s)
{
    struct objects o;

    if (objects_init(&o, s->n_fleet))
        return TW_ENOMEM;
    for (size_t i = 0; i < s->n_fleet; i++) {
        const char *labels[] = { "agent", s->fleet[i].name, NULL };

        if (strcmp(s->fleet[i].state, "pending") && strcmp(s->fleet[i].state, "revoked"))
            objects_add(&o, &s->fleet[i], labels);
    }
    put_agent_states(b, s);
    objects_put(b, &level_fleet, &o);
    put_single(b, SINGLE_GENERATION, NULL, s->generation);
    objects_free(&o);
    return TW_OK;
}

static void put_self(struct mbuf *b, const struct metrics_self *r)
{
    if (!isfinite(r->value))
        return;
    mbuf_text(b, r->name);
    if (r->label) {
        mbuf_text(b, "{");
        mbuf_text(b, r->label);
        mbuf_text(b, "=\"");
        mbuf_label(b, r->label_value);
        mbuf_text(b, "\"}");
    }
    mbuf_text(b, " ");
    mbuf_double(b, r->value);
    mbuf_text(b, "\n");
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

static void render_self(struct mbuf *b, const struct metrics_self *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (first_like(v, i, false) != i)
            continue;
        metrics_put_head(b, "", v[i].name, v[i].help, v[i].type);
        for (size_t k = i; k < n; k++)
            if (!strcmp(v[k].name, v[i].name) && first_like(v, k, true) == k)
                put_self(b, &v[k]);
    }
}

/* ---- The page ---- */

static enum tw_rc render(struct mbuf *b, const struct metrics_snapshot *s, unsigned levels, const char *mesh)
{
    enum tw_rc rc = TW_OK;

    put_single(b, SINGLE_BUILD, TW_VERSION, 1);
    if (!mesh)
        rc = render_fleet(b, s);
    if (!rc && levels & METRICS_MESH)
        rc = render_groups(b, &level_mesh, s->meshes, s->n_meshes, mesh);
    if (!rc && levels & METRICS_AGENT)
        rc = render_groups(b, &level_agent, s->agents, s->n_agents_groups, mesh);
    if (!rc && levels & METRICS_PAIR)
        rc = render_pairs(b, s, mesh);
    if (!rc && !mesh)
        render_self(b, s->self, s->n_self);
    return !rc && b->bad ? TW_ENOMEM : rc;
}

enum tw_rc metrics_render(const struct metrics_snapshot *s, unsigned levels, const char *mesh, char **ret,
                          size_t *ret_len)
{
    struct mbuf b = { 0 };
    enum tw_rc rc = render(&b, s, levels, mesh);

    if (rc) {
        free(b.p);
        return rc;
    }
    *ret = b.p;
    *ret_len = b.len;
    return TW_OK;
}
