/* From a mesh to its pairs: sets of names, links between them, exclusions, classes. */
#include "controller/core/mesh_flatten.h"
#include "controller/core/mesh_regular.h"

#include "common/splitmix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A link is source << 32 | target, so order by number is order by (source, target). */
struct links {
    uint64_t *v;
    size_t n, cap;
};

static enum tw_rc link_push(const struct flatten *f, struct links *l, uint32_t source, uint32_t target)
{
    if (source == target || f->nodes[source].end < 0)
        return TW_OK;
    if (l->n == l->cap) {
        size_t cap = l->cap ? 2 * l->cap : 64;
        uint64_t *v = reallocarray(l->v, cap, sizeof *v);

        if (!v)
            return tw_err_set(f->err, TW_ENOMEM, "out of memory");
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = (uint64_t)source << 32 | target;
    return TW_OK;
}

static enum tw_rc link_sets(const struct flatten *f, struct links *l, const struct id_set *sources,
                            const struct id_set *targets)
{
    for (size_t i = 0; i < sources->n; i++) {
        for (size_t j = 0; j < targets->n; j++) {
            enum tw_rc rc = link_push(f, l, sources->v[i], targets->v[j]);
            if (rc)
                return rc;
        }
        if (l->n > 2 * (size_t)MESH_PAIRS_MAX) /* duplicates among them may still go */
            return tw_err_set(f->err, TW_ENOSPC, "more than %d pairs", MESH_PAIRS_MAX);
    }
    return TW_OK;
}

static int compare_link(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool is_sorted(const struct links *l)
{
    for (size_t i = 1; i < l->n; i++)
        if (l->v[i - 1] >= l->v[i])
            return false;
    return true;
}

static void links_sort(struct links *l)
{
    size_t out = 0;

    if (is_sorted(l)) /* a full mesh comes so */
        return;
    qsort(l->v, l->n, sizeof *l->v, compare_link);
    for (size_t i = 0; i < l->n; i++)
        if (!out || l->v[out - 1] != l->v[i])
            l->v[out++] = l->v[i];
    l->n = out;
}

/* Both sorted. */
static void links_subtract(struct links *l, const struct links *gone)
{
    size_t out = 0, g = 0;

    for (size_t i = 0; i < l->n; i++) {
        while (g < gone->n && gone->v[g] < l->v[i])
            g++;
        if (g == gone->n || gone->v[g] != l->v[i])
            l->v[out++] = l->v[i];
    }
    l->n = out;
}

struct sets {
    struct id_set a, b;
};

/* One direction of each pair of agents, by a hash of both names: whoever comes later changes nobody's. To a
 * target there is but one. */
static bool leads_up(const struct flatten *f, uint32_t lower, uint32_t upper)
{
    const char *names[] = { f->nodes[lower].name, f->nodes[upper].name };
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    if (f->nodes[lower].end < 0 || f->nodes[upper].end < 0)
        return f->nodes[upper].end < 0;
    for (size_t i = 0; i < 2; i++)
        for (const char *c = names[i]; c; c = *c ? c + 1 : NULL)
            h = (h ^ (uint8_t)*c) * UINT64_C(0x100000001b3); /* FNV-1a, with the NUL */
    return tw_splitmix64(&h) & 1;
}

static enum tw_rc links_full_one_way(struct flatten *f, struct sets *s, struct links *l)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < s->a.n; i++) {
        for (size_t j = i + 1; !rc && j < s->a.n; j++) {
            bool up = leads_up(f, s->a.v[i], s->a.v[j]);
            rc = link_push(f, l, s->a.v[up ? i : j], s->a.v[up ? j : i]);
        }
        if (l->n > 2 * (size_t)MESH_PAIRS_MAX)
            return tw_err_set(f->err, TW_ENOSPC, "more than %d pairs", MESH_PAIRS_MAX);
    }
    return rc;
}

static enum tw_rc links_full(struct flatten *f, struct sets *s, const struct links *gone, struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->members, "members", &s->a);

    (void)gone;
    if (rc)
        return rc;
    return f->m->one_way ? links_full_one_way(f, s, l) : link_sets(f, l, &s->a, &s->a);
}

static enum tw_rc links_both(struct flatten *f, struct sets *s, struct links *l)
{
    enum tw_rc rc = link_sets(f, l, &s->a, &s->b);

    return rc || f->m->one_way ? rc : link_sets(f, l, &s->b, &s->a);
}

static enum tw_rc links_hub_spoke(struct flatten *f, struct sets *s, const struct links *gone,
                                  struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->hubs, "hubs", &s->a);

    (void)gone;
    if (!rc)
        rc = flatten_names(f, &f->m->spokes, "spokes", &s->b);
    if (rc)
        return rc;
    id_set_subtract(&s->b, &s->a);
    return links_both(f, s, l);
}

static enum tw_rc links_disjoint(struct flatten *f, struct sets *s, const struct links *gone, struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->left, "left", &s->a);

    (void)gone;
    if (!rc)
        rc = flatten_names(f, &f->m->right, "right", &s->b);
    return rc ? rc : links_both(f, s, l);
}

static enum tw_rc links_ring(struct flatten *f, struct sets *s, const struct links *gone, struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->members, "members", &s->a);

    (void)gone;
    for (size_t i = 0; !rc && i < s->a.n; i++) {
        uint32_t here = s->a.v[i], next = s->a.v[(i + 1) % s->a.n];

        rc = link_push(f, l, here, next);
        if (!rc && !f->m->one_way)
            rc = link_push(f, l, next, here);
    }
    return rc;
}

/* ---- k-regular ---- */

/* A target that took the name of a member cannot be one. */
static void drop_targets(const struct flatten *f, struct id_set *s)
{
    size_t out = 0;

    for (size_t i = 0; i < s->n; i++)
        if (f->nodes[s->v[i]].end >= 0)
            s->v[out++] = s->v[i];
    s->n = out;
}

static uint32_t place_in(const struct id_set *s, uint64_t id)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (s->v[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < s->n && s->v[low] == id ? (uint32_t)low : UINT32_MAX;
}

/* The exclusions between members, by their places; still sorted. */
static size_t localise(const struct id_set *s, const struct links *gone, uint64_t *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < gone->n; i++) {
        uint32_t source = place_in(s, gone->v[i] >> 32), target = place_in(s, (uint32_t)gone->v[i]);

        if (source != UINT32_MAX && target != UINT32_MAX)
            ret[n++] = (uint64_t)source << 32 | target;
    }
    return n;
}

static enum tw_rc make_regular(struct flatten *f, const struct id_set *s, const struct links *gone,
                               struct links *l)
{
    const char **names = calloc(s->n + 1, sizeof *names);
    uint64_t *excluded = calloc(gone->n + 1, sizeof *excluded);
    enum tw_rc rc = TW_ENOMEM;

    for (size_t i = 0; names && i < s->n; i++)
        names[i] = f->nodes[s->v[i]].name;
    if (names && excluded)
        rc = mesh_regular(names, s->n, f->m->degree, excluded, localise(s, gone, excluded), &l->v, &l->n);
    for (size_t i = 0; !rc && i < l->n; i++)
        l->v[i] = (uint64_t)s->v[l->v[i] >> 32] << 32 | s->v[(uint32_t)l->v[i]];
    free(names);
    free(excluded);
    return rc ? tw_err_set(f->err, rc, "out of memory") : TW_OK;
}

static enum tw_rc links_k_regular(struct flatten *f, struct sets *s, const struct links *gone,
                                  struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->members, "members", &s->a);
    size_t most;

    if (rc)
        return rc;
    drop_targets(f, &s->a);
    most = s->a.n ? s->a.n - 1 : 0;
    if (s->a.n * (uint64_t)(f->m->degree < most ? f->m->degree : most) > MESH_PAIRS_MAX)
        return tw_err_set(f->err, TW_ENOSPC, "%zu members with %u targets each are more than %d pairs",
                          s->a.n, f->m->degree, MESH_PAIRS_MAX);
    return make_regular(f, &s->a, gone, l);
}

/* ---- Lists, and all of it ---- */

static enum tw_rc links_listed(struct flatten *f, const char *field, const struct mesh_link *v, size_t n,
                               struct sets *s, struct links *l)
{
    for (size_t i = 0; i < n; i++) {
        struct mesh_name names[2] = { v[i].source, v[i].target };
        char path[MESH_PATH];
        enum tw_rc rc;

        mesh_path(path, "%s[%zu]", field, i);
        rc = flatten_names(f, &(struct mesh_names){ &names[0], 1 }, path, &s->a);
        if (!rc)
            rc = flatten_names(f, &(struct mesh_names){ &names[1], 1 }, path, &s->b);
        if (!rc)
            rc = link_sets(f, l, &s->a, &s->b);
        if (rc)
            return rc;
    }
    links_sort(l);
    return TW_OK;
}

static enum tw_rc links_list(struct flatten *f, struct sets *s, const struct links *gone, struct links *l)
{
    (void)gone;
    return links_listed(f, "pairs", f->m->pairs, f->m->n_pairs, s, l);
}

/* gone: the exclusions, which the caller takes out; k-regular looks for others instead. */
static enum tw_rc (*const topologies[MESH_TOPOLOGIES])(struct flatten *f, struct sets *s,
                                                       const struct links *gone, struct links *l) = {
    [MESH_FULL] = links_full,         [MESH_HUB_SPOKE] = links_hub_spoke, [MESH_LIST] = links_list,
    [MESH_DISJOINT] = links_disjoint, [MESH_RING] = links_ring,           [MESH_K_REGULAR] = links_k_regular,
};

static enum tw_rc links_of_mesh(struct flatten *f, struct links *l)
{
    struct links gone = { 0 };
    struct sets s = { 0 };
    enum tw_rc rc = links_listed(f, "exclude", f->m->exclude, f->m->n_exclude, &s, &gone);

    if (!rc)
        rc = topologies[f->m->topology](f, &s, &gone, l);
    if (!rc && f->strict)
        rc = flatten_check_empty(f, &s.a);
    if (!rc) {
        links_sort(l);
        links_subtract(l, &gone);
    }
    id_set_free(&s.a);
    id_set_free(&s.b);
    free(gone.v);
    return rc;
}

static struct mesh_pair *fill_class(const struct flatten *f, const struct links *l, uint32_t class_index,
                                    struct mesh_pair *out)
{
    for (size_t i = 0; i < l->n; i++)
        *out++ = (struct mesh_pair){ .source = (uint32_t)f->nodes[l->v[i] >> 32].end,
                                     .target = f->nodes[(uint32_t)l->v[i]].end,
                                     .class_index = (uint16_t)class_index };
    return out;
}

static enum tw_rc fill_pairs(const struct flatten *f, const struct links *l, struct mesh_pair **ret,
                             size_t *ret_n)
{
    const struct mesh *m = f->m;
    struct name_index classes;
    struct mesh_pair *pairs, *end;

    if (m->n_classes && l->n > MESH_PAIRS_MAX / m->n_classes)
        return tw_err_set(f->err, TW_ENOSPC, "%zu links in %zu classes are more than %d pairs", l->n,
                          m->n_classes, MESH_PAIRS_MAX);
    if (name_index_init(&classes, m->n_classes))
        return tw_err_set(f->err, TW_ENOMEM, "out of memory");
    end = pairs = calloc(l->n * m->n_classes + 1, sizeof *pairs);
    if (!pairs) {
        name_index_free(&classes);
        return tw_err_set(f->err, TW_ENOMEM, "out of memory");
    }
    for (size_t i = 0; i < m->n_classes; i++)
        name_index_add(&classes, m->classes[i].name, (uint32_t)i);
    name_index_sort(&classes);
    for (size_t i = 0; i < m->n_classes; i++)
        end = fill_class(f, l, classes.v[i].value, end);
    name_index_free(&classes);
    *ret = pairs;
    *ret_n = (size_t)(end - pairs);
    return TW_OK;
}

enum tw_rc mesh_expand(const struct mesh *m, const struct mesh_agents *agents, bool strict,
                       struct mesh_pair **ret, size_t *ret_n, size_t *ret_unresolved, struct tw_err *err)
{
    struct links l = { 0 };
    struct flatten f;
    enum tw_rc rc = flatten_init(&f, m, agents, strict, err);

    if (rc)
        return rc;
    rc = links_of_mesh(&f, &l);
    if (!rc)
        rc = fill_pairs(&f, &l, ret, ret_n);
    if (!rc && ret_unresolved)
        *ret_unresolved = f.unresolved;
    free(l.v);
    flatten_free(&f);
    return rc;
}

/* ---- Degrees ---- */

enum tw_rc mesh_below_degree(const struct mesh_pairs *pairs, size_t *ret)
{
    size_t n = pairs->agents->n, members = 0, below = 0;
    uint32_t *out, *in, degree = pairs->mesh->degree;

    *ret = 0;
    if (pairs->mesh->topology != MESH_K_REGULAR)
        return TW_OK;
    out = calloc(2 * n + 1, sizeof *out);
    if (!out)
        return TW_ENOMEM;
    in = out + n;
    for (size_t i = 0; i < pairs->n && pairs->v[i].class_index == pairs->v[0].class_index; i++) {
        out[pairs->v[i].source]++;
        in[pairs->v[i].target]++;
    }
    for (size_t i = 0; i < n; i++)
        members += out[i] || in[i];
    if (members && degree >= members)
        degree = (uint32_t)members - 1;
    for (size_t i = 0; i < n; i++)
        below += (out[i] || in[i]) && (out[i] < degree || in[i] < degree);
    free(out);
    *ret = below;
    return TW_OK;
}
