#include "controller/core/plan.h"
#include "controller/core/class_times.h"
#include "common/metrics_page.h"

#include <stdlib.h>
#include <string.h>

#define DAY_NS (INT64_C(86400) * TW_NS_PER_S)

/* ---- Phases and seeds ---- */

static uint64_t fnv1a(uint64_t h, const void *data, size_t len)
{
    const uint8_t *p = data;

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* FNV-1a mixes its last octets badly into the high bits; this is the 64 bit finaliser of MurmurHash3. */
static uint64_t finish(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

/* The NUL at the end of each text keeps "ab","c" and "a","bc" apart. */
static uint64_t hash_names(const char *purpose, const char *mesh, const char *class_name, const char *source,
                           const char *target, uint32_t flow)
{
    const char *texts[] = { purpose, mesh, class_name, source, target };
    const uint8_t number[4] = { (uint8_t)flow, (uint8_t)(flow >> 8), (uint8_t)(flow >> 16),
                                (uint8_t)(flow >> 24) };
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < TW_NELEM(texts); i++)
        h = fnv1a(h, texts[i], strlen(texts[i]) + 1);
    return finish(fnv1a(h, number, sizeof number));
}

/* Evenly in [0, range). */
static int64_t scale(uint64_t h, int64_t range)
{
    return range <= 0 ? 0 : (int64_t)((unsigned __int128)h * (uint64_t)range >> 64);
}

int64_t plan_phase_ns(const char *mesh, const char *class_name, const char *source, const char *target,
                      uint32_t flow, int64_t spacing_ns)
{
    return scale(hash_names("phase", mesh, class_name, source, target, flow), spacing_ns);
}

int64_t plan_run_phase_ns(const char *mesh, const char *class_name, const char *source, const char *target,
                          uint32_t flow, int64_t every_ns)
{
    return scale(hash_names("run", mesh, class_name, source, target, flow), every_ns);
}

uint64_t plan_seed(const char *mesh, const char *class_name, const char *source, const char *target,
                   uint32_t flow)
{
    return hash_names("seed", mesh, class_name, source, target, flow);
}

/* ---- Costs ---- */

/* Agents by name while a mesh is added: open addressing, at most half full. */
struct table {
    struct plan_agent *v; /* name[0] == 0: empty */
    size_t cap, n;
};

static struct plan_agent *probe(struct plan_agent *v, size_t cap, const char *name)
{
    size_t i = finish(fnv1a(UINT64_C(0xcbf29ce484222325), name, strlen(name))) & (cap - 1);

    while (v[i].name[0] && strcmp(v[i].name, name))
        i = (i + 1) & (cap - 1);
    return &v[i];
}

static enum tw_rc table_grow(struct table *t)
{
    size_t cap = t->cap ? 2 * t->cap : 64;
    struct plan_agent *v = calloc(cap, sizeof *v);

    if (!v)
        return TW_ENOMEM;
    for (size_t i = 0; i < t->cap; i++)
        if (t->v[i].name[0])
            *probe(v, cap, t->v[i].name) = t->v[i];
    free(t->v);
    t->v = v;
    t->cap = cap;
    return TW_OK;
}

/* The pointer is good until the next call. */
static struct plan_agent *table_get(struct table *t, const char *name)
{
    struct plan_agent *a;

    if (2 * (t->n + 1) > t->cap && table_grow(t))
        return NULL;
    a = probe(t->v, t->cap, name);
    if (!a->name[0]) {
        memcpy(a->name, name, strlen(name) + 1);
        t->n++;
    }
    return a;
}

/* A host name that may be either is reckoned as the agents are. */
static bool is_ipv6(const struct mesh_target *t, bool agents_are)
{
    uint8_t family = t->host[0] ? t->family : t->addr.family;

    return family ? family == 6 : agents_are;
}

/* Of one IP packet, in the mean. */
static double packet_bits(const struct mesh *m, const struct mesh_pair *p, bool ipv6)
{
    if (p->target < 0)
        ipv6 = is_ipv6(&m->targets[~p->target], ipv6);
    return 8 * (mesh_class_mean_bytes(&m->classes[p->class_index], ipv6) + (ipv6 ? 40 : 20) + 8);
}

/* Roll-ups: a flow has a cell of each level that is longer than its report period, and always of a day, if it has a summary in it.
 * What one takes in the file, with its part of the indexes: the longer, the more buckets its histograms have. */
static const struct {
    int64_t ns;
    double bytes;
} cells[] = {
    { 60 * TW_NS_PER_S, 500 },
    { 600 * TW_NS_PER_S, 650 },
    { 3600 * TW_NS_PER_S, 800 },
    { DAY_NS, 1200 },
};

static double rollup_bytes_per_day(const struct mesh_class *k, double summaries_per_day)
{
    double sum = 0;

    for (size_t i = 0; i < TW_NELEM(cells); i++) {
        double n = (double)DAY_NS / (double)cells[i].ns;
        if (cells[i].ns > k->report_period_ns || cells[i].ns == DAY_NS)
            sum += cells[i].bytes * (n < summaries_per_day ? n : summaries_per_day);
    }
    return sum;
}

static void add_class(struct plan_cost *c, const struct mesh_class *k)
{
    double summaries = k->times ? k->times->duty.summaries_per_day : (double)DAY_NS / (double)k->report_period_ns;
    double rate = k->flows / ((double)k->spacing_ns / (double)TW_NS_PER_S);

    c->pairs++;
    c->sessions += k->flows;
    c->pps += rate;
    c->mean_pps += rate * (k->times ? k->times->duty.share : 1);
    c->store_bytes_per_day += k->flows * (PLAN_ROW_BYTES * summaries + rollup_bytes_per_day(k, summaries));
}

static enum tw_rc add_pair(struct table *t, const struct mesh_pairs *pairs, const struct mesh_pair *p,
                           bool ipv6)
{
    const struct mesh_class *k = &pairs->mesh->classes[p->class_index];
    double rate = k->flows / ((double)k->spacing_ns / (double)TW_NS_PER_S);
    struct plan_agent *a = table_get(t, mesh_pair_source(pairs->agents, p));

    if (!a)
        return TW_ENOMEM;
    a->pairs++;
    a->sessions += k->flows;
    a->pps += rate;
    a->mean_pps += rate * (k->times ? k->times->duty.share : 1);
    a->bps += rate * packet_bits(pairs->mesh, p, ipv6);
    if (p->target < 0)
        return TW_OK;
    a = table_get(t, mesh_pair_target(pairs->mesh, pairs->agents, p));
    if (!a)
        return TW_ENOMEM;
    a->reflected_pps += rate;
    return TW_OK;
}

void plan_pair_cost(const struct mesh_pairs *pairs, const struct mesh_pair *p, bool ipv6,
                    struct plan_pair_cost *ret)
{
    const struct mesh_class *k = &pairs->mesh->classes[p->class_index];
    struct plan_cost c = { 0 };

    add_class(&c, k);
    ret->pps = c.pps;
    ret->bps = c.pps * packet_bits(pairs->mesh, p, ipv6);
    ret->store_bytes_per_day = c.store_bytes_per_day;
}

/* The pairs are in order, so a new group begins wherever the class or the source changes. */
static uint64_t series_of(const struct mesh_pair *p, size_t i)
{
    bool new_class = !i || p[i].class_index != p[i - 1].class_index;
    bool new_source = new_class || p[i].source != p[i - 1].source;

    return metrics_series_per_pair() + ((uint64_t)new_class + new_source) * metrics_series_per_group();
}

static int compare_agent(const void *a, const void *b)
{
    return strcmp(((const struct plan_agent *)a)->name, ((const struct plan_agent *)b)->name);
}

struct plan_costs {
    struct table t;
    struct plan_cost sum; /* without agents */
};

struct plan_costs *plan_costs_new(void)
{
    return calloc(1, sizeof(struct plan_costs));
}

struct plan_costs *plan_costs_copy(const struct plan_costs *from)
{
    struct plan_costs *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    *s = *from;
    s->t.v = malloc((from->t.cap + 1) * sizeof *s->t.v);
    if (!s->t.v) {
        free(s);
        return NULL;
    }
    if (from->t.cap)
        memcpy(s->t.v, from->t.v, from->t.cap * sizeof *s->t.v);
    return s;
}

enum tw_rc plan_costs_add(struct plan_costs *s, const struct mesh_pairs *pairs, bool ipv6, size_t *at,
                          size_t *left)
{
    for (; *at < pairs->n; ++*at, --*left) {
        const struct mesh_pair *p = &pairs->v[*at];

        if (!*left)
            return TW_EAGAIN;
        if (add_pair(&s->t, pairs, p, ipv6) != TW_OK)
            return TW_ENOMEM;
        add_class(&s->sum, &pairs->mesh->classes[p->class_index]);
        s->sum.series += series_of(pairs->v, *at);
    }
    return TW_OK;
}

/* The table itself becomes the sorted list. */
void plan_costs_take(struct plan_costs *s, struct plan_cost *ret)
{
    struct table *t = &s->t;
    size_t out = 0;

    for (size_t i = 0; i < t->cap; i++)
        if (t->v[i].name[0])
            t->v[out++] = t->v[i];
    if (out)
        qsort(t->v, out, sizeof *t->v, compare_agent);
    *ret = s->sum;
    ret->agents = t->v;
    ret->n_agents = out;
    free(s);
}

void plan_costs_free(struct plan_costs *s)
{
    if (s)
        free(s->t.v);
    free(s);
}

static enum tw_rc collect(const struct plan_cost *c, struct plan_costs *s)
{
    s->sum = *c;
    for (size_t i = 0; i < c->n_agents; i++) {
        struct plan_agent *a = table_get(&s->t, c->agents[i].name);
        if (!a)
            return TW_ENOMEM;
        *a = c->agents[i];
    }
    return TW_OK;
}

enum tw_rc plan_add(struct plan_cost *c, const struct mesh_pairs *pairs, bool ipv6)
{
    struct plan_costs *s = plan_costs_new();
    enum tw_rc rc = s ? collect(c, s) : TW_ENOMEM;
    size_t at = 0, all = SIZE_MAX;

    if (!rc)
        rc = plan_costs_add(s, pairs, ipv6, &at, &all);
    if (rc) {
        plan_costs_free(s);
        return rc;
    }
    free(c->agents);
    plan_costs_take(s, c);
    return TW_OK;
}

void plan_free(struct plan_cost *c)
{
    free(c->agents);
    *c = (struct plan_cost){ 0 };
}

/* ---- Changes ---- */

static int compare_pair(const struct mesh_pairs *x, const struct mesh_pair *a, const struct mesh_pairs *y,
                        const struct mesh_pair *b)
{
    int order = strcmp(x->mesh->classes[a->class_index].name, y->mesh->classes[b->class_index].name);

    if (!order)
        order = strcmp(mesh_pair_source(x->agents, a), mesh_pair_source(y->agents, b));
    return order ? order
                 : strcmp(mesh_pair_target(x->mesh, x->agents, a), mesh_pair_target(y->mesh, y->agents, b));
}

static bool same_target(const struct mesh *ma, const struct mesh_pair *a, const struct mesh *mb,
                        const struct mesh_pair *b)
{
    const struct mesh_target *x, *y;

    if (a->target >= 0 || b->target >= 0)
        return a->target >= 0 && b->target >= 0;
    x = &ma->targets[~a->target];
    y = &mb->targets[~b->target];
    return !memcmp(&x->addr, &y->addr, sizeof x->addr) && !strcmp(x->host, y->host) && x->family == y->family;
}

static bool same_settings(const struct mesh_pairs *x, const struct mesh_pair *a, const struct mesh_pairs *y,
                          const struct mesh_pair *b)
{
    return mesh_class_same(&x->mesh->classes[a->class_index], &y->mesh->classes[b->class_index]) &&
           same_target(x->mesh, a, y->mesh, b);
}

static void tell(struct plan_walk *w, const struct mesh_pair *before, const struct mesh_pair *after)
{
    if (w->fn && !w->fn(w->ctx, before, after))
        w->fn = NULL;
}

enum tw_rc plan_walk_go_on(struct plan_walk *w, size_t *left)
{
    size_t nb = w->before ? w->before->n : 0, na = w->after ? w->after->n : 0;

    for (; w->b < nb || w->a < na; --*left) {
        const struct mesh_pair *b = w->b < nb ? &w->before->v[w->b] : NULL;
        const struct mesh_pair *a = w->a < na ? &w->after->v[w->a] : NULL;
        int order = !b ? 1 : !a ? -1 : compare_pair(w->before, b, w->after, a);
        bool same = !order && same_settings(w->before, b, w->after, a);

        if (!*left)
            return TW_EAGAIN;
        if (!same)
            tell(w, order <= 0 ? b : NULL, order >= 0 ? a : NULL);
        w->diff.removed += order < 0;
        w->diff.added += order > 0;
        w->diff.kept += same;
        w->diff.changed += !order && !same;
        w->b += order <= 0;
        w->a += order >= 0;
    }
    return TW_OK;
}

void plan_compare(const struct mesh_pairs *before, const struct mesh_pairs *after, struct plan_diff *ret)
{
    struct plan_walk w = { .before = before, .after = after };
    size_t all = SIZE_MAX;

    plan_walk_go_on(&w, &all);
    *ret = w.diff;
}
