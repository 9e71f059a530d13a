/* controller/core/clock_audit.c - from pairs to verdicts; the solution itself is clock_solve.c. */
#include "controller/core/clock_audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/clock_solve.h"

#define NOISE_FACTOR 7.4 /* from the median of |residual| to four sigma of a median, were they normal */
#define CROOKED_FACTOR 5 /* so many times the median residual is no noise */
#define NONE UINT32_MAX

const char *clock_verdict_name(enum clock_verdict v)
{
    static const char *const names[CLOCK_VERDICTS] = { "unknown", "ok", "offset", "either" };

    return v < CLOCK_VERDICTS ? names[v] : "unknown";
}

struct work {
    const struct clock_claim *claims;
    struct clock_host *hosts;
    size_t n;                 /* hosts */
    struct clock_edge *edges; /* all that are usable, then the chosen ones first */
    size_t n_edges, n_chosen;
    uint32_t *order;     /* edges, by round trip */
    bool *chosen;        /* by edge */
    uint32_t *root;      /* by host: union-find, then the number of its component */
    uint32_t *used;      /* by host: pairs chosen */
    double *offset;      /* by host */
    double *noise;       /* by component: median |residual| / scale beyond what the solution fits anyway */
    double *list;        /* room for sorting */
    uint32_t *redundant; /* by component: pairs beyond a spanning tree */
};

/* ---- Two hosts, one edge ---- */

struct merge {
    struct clock_pair *sorted; /* by a */
    size_t *begin;             /* by host, and one more */
    uint32_t *seen_by, *at;    /* by host: last a that met it, and where */
};

static bool is_usable(const struct clock_pair *p, size_t n)
{
    return p->a < n && p->b < n && p->a != p->b && !isnan(p->forward_s) && !isnan(p->backward_s) &&
           p->forward_s != -INFINITY && p->backward_s != -INFINITY;
}

static struct clock_pair in_order(const struct clock_pair *p)
{
    if (p->a < p->b)
        return *p;
    return (struct clock_pair){ p->b, p->a, p->backward_s, p->forward_s };
}

static enum tw_rc merge_init(struct merge *m, size_t n_hosts, size_t n_pairs)
{
    m->sorted = malloc((n_pairs + 1) * sizeof *m->sorted);
    m->begin = calloc(n_hosts + 2, sizeof *m->begin);
    m->seen_by = malloc((n_hosts + 1) * sizeof *m->seen_by);
    m->at = malloc((n_hosts + 1) * sizeof *m->at);
    return m->sorted && m->begin && m->seen_by && m->at ? TW_OK : TW_ENOMEM;
}

static void merge_free(struct merge *m)
{
    free(m->sorted);
    free(m->begin);
    free(m->seen_by);
    free(m->at);
}

/* Counting sort: a full mesh of 1,000 hosts has a million. */
static void sort_pairs(struct merge *m, size_t n_hosts, const struct clock_pair *pairs, size_t n_pairs)
{
    for (size_t i = 0; i < n_pairs; i++)
        if (is_usable(&pairs[i], n_hosts))
            m->begin[in_order(&pairs[i]).a + 2]++;
    for (size_t i = 2; i < n_hosts + 2; i++)
        m->begin[i] += m->begin[i - 1];
    for (size_t i = 0; i < n_pairs; i++)
        if (is_usable(&pairs[i], n_hosts)) {
            struct clock_pair p = in_order(&pairs[i]);
            m->sorted[m->begin[p.a + 1]++] = p;
        }
}

/* The pairs of one host, the least of each way; returns how many are left, at the beginning. */
static size_t merge_host(struct merge *m, uint32_t a)
{
    struct clock_pair *v = m->sorted + m->begin[a];
    size_t n = m->begin[a + 1] - m->begin[a], kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct clock_pair p = v[i];
        if (m->seen_by[p.b] != a) {
            m->seen_by[p.b] = a;
            m->at[p.b] = (uint32_t)kept;
            v[kept++] = p;
            continue;
        }
        v[m->at[p.b]].forward_s = fmin(v[m->at[p.b]].forward_s, p.forward_s);
        v[m->at[p.b]].backward_s = fmin(v[m->at[p.b]].backward_s, p.backward_s);
    }
    return kept;
}

static void add_edge(struct work *w, const struct clock_pair *p)
{
    double rtt = p->forward_s + p->backward_s;

    if (!isfinite(rtt) || rtt < 0)
        return;
    w->edges[w->n_edges++] = (struct clock_edge){ .a = p->a,
                                                  .b = p->b,
                                                  .difference_s = (p->forward_s - p->backward_s) / 2,
                                                  .round_trip_s = rtt,
                                                  .scale_s = rtt + CLOCK_AUDIT_FLOOR_S };
    w->hosts[p->a].pairs++;
    w->hosts[p->b].pairs++;
}

static enum tw_rc make_edges(struct work *w, const struct clock_pair *pairs, size_t n_pairs)
{
    struct merge m = { 0 };
    enum tw_rc rc = merge_init(&m, w->n, n_pairs);

    w->edges = malloc((n_pairs + 1) * sizeof *w->edges);
    if (rc || !w->edges) {
        merge_free(&m);
        return TW_ENOMEM;
    }
    memset(m.seen_by, 0xff, (w->n + 1) * sizeof *m.seen_by); /* NONE */
    sort_pairs(&m, w->n, pairs, n_pairs);
    for (uint32_t a = 0; a < w->n; a++) {
        size_t kept = merge_host(&m, a);
        for (size_t i = 0; i < kept; i++)
            add_edge(w, &m.sorted[m.begin[a] + i]);
    }
    merge_free(&m);
    return TW_OK;
}

/* ---- Which edges: a spanning tree of short ones, short ones, and others at random ---- */

struct by_length {
    float round_trip_s;
    uint32_t edge;
};

static int cmp_length(const void *a, const void *b)
{
    float x = ((const struct by_length *)a)->round_trip_s, y = ((const struct by_length *)b)->round_trip_s;

    return (x > y) - (x < y);
}

static enum tw_rc sort_edges(struct work *w)
{
    struct by_length *v = malloc((w->n_edges + 1) * sizeof *v);

    w->order = malloc((w->n_edges + 1) * sizeof *w->order);
    w->chosen = calloc(w->n_edges + 1, sizeof *w->chosen);
    if (!v || !w->order || !w->chosen) {
        free(v);
        return TW_ENOMEM;
    }
    for (size_t i = 0; i < w->n_edges; i++)
        v[i] = (struct by_length){ (float)w->edges[i].round_trip_s, (uint32_t)i };
    qsort(v, w->n_edges, sizeof *v, cmp_length);
    for (size_t i = 0; i < w->n_edges; i++)
        w->order[i] = v[i].edge;
    free(v);
    return TW_OK;
}

static uint32_t root_of(uint32_t *root, uint32_t i)
{
    while (root[i] != i)
        i = root[i] = root[root[i]];
    return i;
}

static void choose(struct work *w, size_t i)
{
    if (w->chosen[i])
        return;
    w->chosen[i] = true;
    w->used[w->edges[i].a]++;
    w->used[w->edges[i].b]++;
}

static void choose_if_below(struct work *w, size_t i, uint32_t most)
{
    if (w->used[w->edges[i].a] < most && w->used[w->edges[i].b] < most)
        choose(w, i);
}

static void choose_tree(struct work *w)
{
    for (uint32_t i = 0; i < w->n; i++)
        w->root[i] = i;
    for (size_t k = 0; k < w->n_edges; k++) {
        size_t i = w->order[k];
        uint32_t a = root_of(w->root, w->edges[i].a), b = root_of(w->root, w->edges[i].b);
        if (a == b)
            continue;
        w->root[a] = b;
        choose(w, i);
    }
    for (uint32_t i = 0; i < w->n; i++)
        w->root[i] = root_of(w->root, i);
}

/* Offsets along the spanning tree: there the later rounds are at home already, however wrong a clock is. Each
 * pass over the tree reaches at least one host more. */
static enum tw_rc walk_tree(struct work *w)
{
    bool *known = calloc(w->n + 1, sizeof *known);
    struct clock_edge *tree = malloc((w->n + 1) * sizeof *tree);
    size_t n = 0;
    bool more = known && tree;
    enum tw_rc rc = more ? TW_OK : TW_ENOMEM;

    for (size_t i = 0; !rc && i < w->n_edges; i++)
        if (w->chosen[i])
            tree[n++] = w->edges[i];
    for (uint32_t i = 0; !rc && i < w->n; i++)
        known[i] = w->root[i] == i;
    while (more) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            const struct clock_edge *e = &tree[i];
            if (known[e->a] == known[e->b])
                continue;
            if (known[e->a])
                w->offset[e->b] = w->offset[e->a] + e->difference_s;
            else
                w->offset[e->a] = w->offset[e->b] - e->difference_s;
            known[e->a] = known[e->b] = more = true;
        }
    }
    free(known);
    free(tree);
    return rc;
}

/* By strides of a prime: all of them are visited, in no order that the mesh knows. */
static void choose_others(struct work *w)
{
    size_t n = w->n_edges, i = 0, step = n % 7368787 ? 7368787 : 1;

    for (size_t k = 0; k < n; k++)
        choose_if_below(w, w->order[k], CLOCK_AUDIT_PAIRS / 2);
    for (size_t k = 0; k < n; k++) {
        choose_if_below(w, i, CLOCK_AUDIT_PAIRS);
        i = (i + step) % n;
    }
}

static void drop_others(struct work *w)
{
    for (size_t i = 0; i < w->n_edges; i++)
        if (w->chosen[i])
            w->edges[w->n_chosen++] = w->edges[i];
    for (uint32_t i = 0; i < w->n; i++)
        w->hosts[i].pairs_used = w->used[i];
}

static enum tw_rc choose_edges(struct work *w)
{
    enum tw_rc rc = sort_edges(w);

    if (rc)
        return rc;
    choose_tree(w);
    rc = walk_tree(w);
    if (rc)
        return rc;
    if (w->n_edges)
        choose_others(w);
    drop_others(w);
    return TW_OK;
}

/* ---- Components ---- */

static size_t number_components(struct work *w)
{
    uint32_t n = 0;
    size_t linked = 0;

    for (uint32_t i = 0; i < w->n; i++)
        if (w->root[i] == i)
            w->hosts[i].component = n++;
    for (uint32_t i = 0; i < w->n; i++)
        w->hosts[i].component = w->hosts[w->root[i]].component;
    for (uint32_t i = 0; i < w->n; i++)
        w->hosts[w->root[i]].component_hosts++;
    for (uint32_t i = 0; i < w->n; i++)
        w->hosts[i].component_hosts = w->hosts[w->root[i]].component_hosts;
    for (uint32_t i = 0; i < w->n; i++)
        linked += w->root[i] == i && w->hosts[i].component_hosts > 1;
    return linked;
}

static int cmp_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* A component at a time: members are hosts with its number, and this is called for few that are large. */
static size_t list_offsets(struct work *w, uint32_t component, bool synced_only)
{
    size_t n = 0;

    for (uint32_t i = 0; i < w->n; i++)
        if (w->hosts[i].component == component && (!synced_only || w->claims[i].synced))
            w->list[n++] = w->offset[i];
    qsort(w->list, n, sizeof *w->list, cmp_double);
    return n;
}

static bool by_synced_only(struct work *w, uint32_t component)
{
    return list_offsets(w, component, true) >= 3;
}

static void set_reference(struct work *w, uint32_t component)
{
    size_t n = list_offsets(w, component, by_synced_only(w, component));
    double reference = (w->list[(n - 1) / 2] + w->list[n / 2]) / 2;

    for (uint32_t i = 0; i < w->n; i++)
        if (w->hosts[i].component == component)
            w->offset[i] -= reference;
}

/* ---- Noise and uncertainty ---- */

/* The solution goes through as many edges as a tree has: only the others tell how well the rest fits. */
static void measure_noise(struct work *w, uint32_t component, uint32_t hosts)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_chosen; i++)
        if (w->hosts[w->edges[i].a].component == component)
            w->list[n++] = fabs(clock_residual(&w->edges[i], w->offset)) / w->edges[i].scale_s;
    w->redundant[component] = (uint32_t)(n - (hosts - 1));
    if (!w->redundant[component])
        return;
    qsort(w->list, n, sizeof *w->list, cmp_double);
    w->noise[component] = w->list[hosts - 1 + w->redundant[component] / 2];
}

/* Nothing but the tree: each step may be wrong by half of its round trip. From the middle of two, or from the
 * host nearest to the reference. */
static void bound_tree(struct work *w, uint32_t component)
{
    uint32_t from = NONE;
    bool more = true;

    for (uint32_t i = 0; i < w->n; i++) {
        if (w->hosts[i].component != component)
            continue;
        w->hosts[i].uncertainty_s = INFINITY;
        if (from == NONE || fabs(w->offset[i]) < fabs(w->offset[from]))
            from = i;
    }
    w->hosts[from].uncertainty_s = 0;
    while (more) {
        more = false;
        for (size_t i = 0; i < w->n_chosen; i++) {
            struct clock_host *a = &w->hosts[w->edges[i].a], *b = &w->hosts[w->edges[i].b];
            double half = w->edges[i].round_trip_s / 2;
            if (a->component != component)
                continue;
            if (a->uncertainty_s + half < b->uncertainty_s)
                b->uncertainty_s = a->uncertainty_s + half, more = true;
            if (b->uncertainty_s + half < a->uncertainty_s)
                a->uncertainty_s = b->uncertainty_s + half, more = true;
        }
    }
}

struct incident {
    double information; /* sum of 1 / scale^2 */
    double shortest_s;
};

static void take_incident(struct incident *v, const struct clock_edge *e)
{
    v->information += 1 / (e->scale_s * e->scale_s);
    if (v->shortest_s <= 0 || e->round_trip_s < v->shortest_s)
        v->shortest_s = e->round_trip_s;
}

static enum tw_rc set_uncertainty(struct work *w)
{
    struct incident *v = calloc(w->n + 1, sizeof *v);

    if (!v)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->n_chosen; i++) {
        take_incident(&v[w->edges[i].a], &w->edges[i]);
        take_incident(&v[w->edges[i].b], &w->edges[i]);
    }
    for (uint32_t i = 0; i < w->n; i++) {
        struct clock_host *h = &w->hosts[i];
        double spare = w->redundant[h->component];
        if (!(v[i].information > 0))
            continue;
        if (spare > 0)
            h->uncertainty_s =
                NOISE_FACTOR * w->noise[h->component] * (1 + 1 / spare) / sqrt(v[i].information);
        else if (h->component_hosts == 2)
            h->uncertainty_s = v[i].shortest_s / 2;
        h->uncertainty_s += CLOCK_AUDIT_SKEW * v[i].shortest_s;
    }
    free(v);
    return TW_OK;
}

/* ---- Verdicts ---- */

static double claim_of(const struct work *w, uint32_t i)
{
    return w->claims[i].synced ? w->claims[i].error_s : 0;
}

static void set_limit(struct work *w, uint32_t i)
{
    w->hosts[i].offset_s = w->offset[i];
    w->hosts[i].limit_s = claim_of(w, i) + w->hosts[i].uncertainty_s + CLOCK_AUDIT_FLOOR_S;
}

static bool is_beyond(const struct work *w, uint32_t i)
{
    return fabs(w->offset[i]) > w->hosts[i].limit_s;
}

/* Do more than half of those that count agree with the reference? */
static bool has_majority(struct work *w, uint32_t component)
{
    bool synced_only = by_synced_only(w, component);
    uint32_t count = 0, agree = 0;

    for (uint32_t i = 0; i < w->n; i++) {
        if (w->hosts[i].component != component || (synced_only && !w->claims[i].synced))
            continue;
        count++;
        agree += !is_beyond(w, i);
    }
    return 2 * agree > count;
}

/* Two of them differ by this, and both may be at fault: their claims and uncertainties add up. */
static bool two_disagree(const struct work *w, uint32_t component)
{
    double low = 0, high = 0, limit = CLOCK_AUDIT_FLOOR_S;

    for (uint32_t i = 0; i < w->n; i++) {
        if (w->hosts[i].component != component)
            continue;
        low = fmin(low, w->offset[i]);
        high = fmax(high, w->offset[i]);
        limit += claim_of(w, i) + w->hosts[i].uncertainty_s / 2; /* the same round trip, seen twice */
    }
    return high - low > limit;
}

static enum clock_verdict judge_one(const struct work *w, uint32_t i)
{
    const struct clock_host *h = &w->hosts[i];

    if (is_beyond(w, i))
        return CLOCK_OFFSET;
    /* Without loops, ways that differ could hide as much as the claim allows, or show it. */
    if (!w->redundant[h->component] && fabs(h->offset_s) > claim_of(w, i) + CLOCK_AUDIT_FLOOR_S)
        return CLOCK_UNKNOWN;
    return CLOCK_OK;
}

static void judge(struct work *w, uint32_t component, uint32_t hosts)
{
    bool either = hosts == 2 ? two_disagree(w, component) : !has_majority(w, component);

    for (uint32_t i = 0; i < w->n; i++) {
        struct clock_host *h = &w->hosts[i];
        if (h->component != component)
            continue;
        h->verdict = either ? CLOCK_EITHER : judge_one(w, i);
        if (hosts == 2 && h->verdict == CLOCK_OFFSET)
            h->verdict = CLOCK_UNKNOWN; /* the sum of both claims still covers it */
    }
}

/* A delay is never below zero: what the clocks measured bounds the offset, whatever the ways are like. */
static void note_certain(struct work *w, uint32_t i, uint32_t other, double least, double most)
{
    double slack = CLOCK_AUDIT_FLOOR_S + w->hosts[other].limit_s + claim_of(w, i);

    if (w->hosts[i].verdict == CLOCK_OFFSET && w->hosts[other].verdict == CLOCK_OK &&
        (w->offset[other] + least > slack || w->offset[other] + most < -slack))
        w->hosts[i].certain = true;
}

static void note_all_certain(struct work *w)
{
    for (size_t i = 0; i < w->n_chosen; i++) {
        const struct clock_edge *e = &w->edges[i];
        double half = e->round_trip_s / 2; /* b minus a is within this of the difference */
        note_certain(w, e->b, e->a, e->difference_s - half, e->difference_s + half);
        note_certain(w, e->a, e->b, -e->difference_s - half, -e->difference_s + half);
    }
}

/* ---- Crooked ways ---- */

static void list_crooked(struct clock_audit *ret, const struct clock_edge *e, double residual)
{
    struct clock_crooked c = { e->a, e->b, 2 * residual, e->round_trip_s };
    size_t i = ret->n_crooked < CLOCK_AUDIT_CROOKED ? ret->n_crooked++ : CLOCK_AUDIT_CROOKED;

    for (; i > 0 && fabs(ret->crooked[i - 1].longer_s) < fabs(c.longer_s); i--)
        if (i < CLOCK_AUDIT_CROOKED)
            ret->crooked[i] = ret->crooked[i - 1];
    if (i < CLOCK_AUDIT_CROOKED)
        ret->crooked[i] = c;
}

static void find_crooked(const struct work *w, struct clock_audit *ret)
{
    for (size_t i = 0; i < w->n_chosen; i++) {
        const struct clock_edge *e = &w->edges[i];
        double r = clock_residual(e, w->offset), noise = w->noise[w->hosts[e->a].component] * e->scale_s;
        if (fabs(r) > CROOKED_FACTOR * noise + CLOCK_AUDIT_SKEW * e->round_trip_s + CLOCK_AUDIT_FLOOR_S)
            list_crooked(ret, e, r);
    }
}

/* ---- All of it ---- */

static enum tw_rc work_init(struct work *w, const struct clock_claim *claims, size_t n)
{
    *w = (struct work){ .claims = claims, .n = n };
    w->hosts = calloc(n + 1, sizeof *w->hosts);
    w->root = calloc(n + 1, sizeof *w->root);
    w->used = calloc(n + 1, sizeof *w->used);
    w->offset = calloc(n + 1, sizeof *w->offset);
    w->noise = calloc(n + 1, sizeof *w->noise);
    w->redundant = calloc(n + 1, sizeof *w->redundant);
    return w->hosts && w->root && w->used && w->offset && w->noise && w->redundant ? TW_OK : TW_ENOMEM;
}

static void work_free(struct work *w)
{
    free(w->edges);
    free(w->order);
    free(w->chosen);
    free(w->root);
    free(w->used);
    free(w->offset);
    free(w->noise);
    free(w->redundant);
    free(w->list);
}

static enum tw_rc look_at_components(struct work *w)
{
    enum tw_rc rc;

    for (uint32_t i = 0; i < w->n; i++) {
        uint32_t c = w->hosts[i].component, hosts = w->hosts[i].component_hosts;
        if (w->root[i] != i || hosts < 2)
            continue;
        set_reference(w, c);
        measure_noise(w, c, hosts);
        if (!w->redundant[c] && hosts > 2)
            bound_tree(w, c);
    }
    rc = set_uncertainty(w);
    for (uint32_t i = 0; !rc && i < w->n; i++)
        if (w->hosts[i].pairs)
            set_limit(w, i);
    for (uint32_t i = 0; !rc && i < w->n; i++)
        if (w->root[i] == i && w->hosts[i].component_hosts > 1)
            judge(w, w->hosts[i].component, w->hosts[i].component_hosts);
    return rc;
}

static enum tw_rc solve(struct work *w, struct clock_audit *ret)
{
    enum tw_rc rc = choose_edges(w);

    if (!rc)
        rc = clock_solve(w->edges, w->n_chosen, w->n, w->offset);
    w->list = malloc((w->n_chosen + w->n + 1) * sizeof *w->list);
    if (rc || !w->list)
        return TW_ENOMEM;
    ret->components = number_components(w);
    rc = look_at_components(w);
    if (rc)
        return rc;
    note_all_certain(w);
    find_crooked(w, ret);
    return TW_OK;
}

enum tw_rc clock_audit_run(const struct clock_claim *claims, size_t n_hosts, const struct clock_pair *pairs,
                           size_t n_pairs, struct clock_audit *ret)
{
    struct clock_audit a = { .n_hosts = n_hosts };
    struct work w;
    enum tw_rc rc = work_init(&w, claims, n_hosts);

    if (!rc)
        rc = make_edges(&w, pairs, n_pairs);
    if (!rc)
        rc = solve(&w, &a);
    a.hosts = w.hosts;
    a.pairs = w.n_edges;
    a.pairs_used = w.n_chosen;
    work_free(&w);
    if (rc)
        free(a.hosts);
    else
        *ret = a;
    return rc;
}

void clock_audit_free(struct clock_audit *a)
{
    free(a->hosts);
    *a = (struct clock_audit){ 0 };
}
