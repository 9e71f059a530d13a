/* From a mesh to its pairs: sets of names, links between them, exclusions, classes. */
#include "controller/core/mesh_flatten.h"
#include "common/grow.h"
#include "controller/core/mesh_links.h"
#include "controller/core/mesh_regular.h"

#include "common/splitmix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each of one set to each of another; of `one_way` both are the same set, and of two one leads to the other.
 */
struct product {
    struct id_set sources, targets;
    bool one_way;
};
struct product_list {
    struct product *v;
    size_t n, cap;
    size_t at, i, j; /* the next one, and where in it */
};

/* What is left to do: the sets are known. */
enum stage { EXCLUDE, ORDER_EXCLUDED, CHOOSE, LINK, ORDER, THIN, FILL };
struct mesh_expansion {
    struct flatten f;
    enum stage stage;
    struct links links, gone;
    struct product_list products, gone_products;
    struct links_sort sort, gone_sort;
    struct links_thin thin;
    struct id_set members;     /* k-regular */
    struct rings *rings;       /* of these, once they are begun */
    struct name_index classes; /* in order of name */
    size_t at_class, at_link;
    struct mesh_pair *pairs;
    size_t n_pairs;
};

static enum tw_rc no_memory(const struct flatten *f)
{
    return tw_err_set(f->err, TW_ENOMEM, "out of memory");
}

/* ---- Products ---- */

static bool id_set_copy(const struct id_set *s, struct id_set *ret)
{
    *ret = (struct id_set){ .v = malloc((s->n + 1) * sizeof *s->v), .n = s->n, .cap = s->n + 1 };
    if (ret->v && s->n)
        memcpy(ret->v, s->v, s->n * sizeof *s->v);
    return ret->v != NULL;
}

static enum tw_rc product_add(const struct flatten *f, struct product_list *l, const struct id_set *sources,
                              const struct id_set *targets, bool one_way)
{
    struct product *p;

    if (!TW_GROW(&l->v, l->n, &l->cap, 2))
        return no_memory(f);
    p = &l->v[l->n++];
    *p = (struct product){ .one_way = one_way };
    return id_set_copy(sources, &p->sources) && id_set_copy(targets, &p->targets) ? TW_OK : no_memory(f);
}

static void products_free(struct product_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        id_set_free(&l->v[i].sources);
        id_set_free(&l->v[i].targets);
    }
    free(l->v);
}

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

static enum tw_rc link_two(const struct flatten *f, struct links *l, uint32_t source, uint32_t target)
{
    if (source == target || f->nodes[source].end < 0)
        return TW_OK;
    return links_push(l, source, target) == TW_OK ? TW_OK : no_memory(f);
}

static enum tw_rc link_one(const struct flatten *f, const struct product *p, size_t i, size_t j,
                           struct links *l)
{
    uint32_t source = p->sources.v[i], target = p->targets.v[j];

    if (p->one_way && j <= i)
        return TW_OK;
    return p->one_way && !leads_up(f, source, target) ? link_two(f, l, target, source)
                                                      : link_two(f, l, source, target);
}

/* The rest of what the next source has to do. */
static enum tw_rc link_source(const struct flatten *f, struct product_list *p, struct links *l, size_t *left)
{
    const struct product *at = &p->v[p->at];

    for (; p->j < at->targets.n; p->j++, --*left) {
        enum tw_rc rc = *left ? link_one(f, at, p->i, p->j, l) : TW_EAGAIN;

        if (rc != TW_OK)
            return rc;
    }
    if (l->n > 2 * (size_t)MESH_PAIRS_MAX) /* duplicates among them may still go */
        return tw_err_set(f->err, TW_ENOSPC, "more than %d pairs", MESH_PAIRS_MAX);
    p->j = 0;
    p->i++;
    return TW_OK;
}

static enum tw_rc link_products(const struct flatten *f, struct product_list *p, struct links *l,
                                size_t *left)
{
    for (; p->at < p->n; p->at++, p->i = 0)
        while (p->i < p->v[p->at].sources.n) {
            enum tw_rc rc = link_source(f, p, l, left);

            if (rc != TW_OK)
                return rc;
        }
    return TW_OK;
}

/* ---- Topologies: which sets; the links come later ---- */

struct sets {
    struct id_set a, b;
};

static enum tw_rc sets_full(struct mesh_expansion *x, struct sets *s)
{
    enum tw_rc rc = flatten_names(&x->f, &x->f.m->members, "members", &s->a);

    return rc ? rc : product_add(&x->f, &x->products, &s->a, &s->a, x->f.m->one_way);
}

static enum tw_rc add_both(struct mesh_expansion *x, struct sets *s)
{
    enum tw_rc rc = product_add(&x->f, &x->products, &s->a, &s->b, false);

    return rc || x->f.m->one_way ? rc : product_add(&x->f, &x->products, &s->b, &s->a, false);
}

static enum tw_rc sets_hub_spoke(struct mesh_expansion *x, struct sets *s)
{
    enum tw_rc rc = flatten_names(&x->f, &x->f.m->hubs, "hubs", &s->a);

    if (!rc)
        rc = flatten_names(&x->f, &x->f.m->spokes, "spokes", &s->b);
    if (rc)
        return rc;
    id_set_subtract(&s->b, &s->a);
    return add_both(x, s);
}

static enum tw_rc sets_disjoint(struct mesh_expansion *x, struct sets *s)
{
    enum tw_rc rc = flatten_names(&x->f, &x->f.m->left, "left", &s->a);

    if (!rc)
        rc = flatten_names(&x->f, &x->f.m->right, "right", &s->b);
    return rc ? rc : add_both(x, s);
}

static enum tw_rc sets_ring(struct mesh_expansion *x, struct sets *s)
{
    enum tw_rc rc = flatten_names(&x->f, &x->f.m->members, "members", &s->a);

    for (size_t i = 0; !rc && i < s->a.n; i++) {
        uint32_t here = s->a.v[i], next = s->a.v[(i + 1) % s->a.n];

        rc = link_two(&x->f, &x->links, here, next);
        if (!rc && !x->f.m->one_way)
            rc = link_two(&x->f, &x->links, next, here);
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

static enum tw_rc begin_rings(struct mesh_expansion *x)
{
    const struct id_set *s = &x->members;
    const char **names = calloc(s->n + 1, sizeof *names);
    uint64_t *excluded = calloc(x->gone.n + 1, sizeof *excluded);
    enum tw_rc rc = TW_ENOMEM;

    for (size_t i = 0; names && i < s->n; i++)
        names[i] = x->f.nodes[s->v[i]].name;
    if (names && excluded)
        rc =
            mesh_rings_new(names, s->n, x->f.m->degree, excluded, localise(s, &x->gone, excluded), &x->rings);
    free(names);
    free(excluded);
    return rc ? no_memory(&x->f) : TW_OK;
}

static enum tw_rc make_rings(struct mesh_expansion *x, size_t *left)
{
    struct links *l = &x->links;
    const uint32_t *id = x->members.v;
    enum tw_rc rc = x->rings ? TW_OK : begin_rings(x);

    if (!rc)
        rc = mesh_rings_go_on(x->rings, left);
    if (rc)
        return rc;
    mesh_rings_take(x->rings, &l->v, &l->n);
    l->cap = l->n;
    for (size_t i = 0; i < l->n; i++)
        l->v[i] = (uint64_t)id[l->v[i] >> 32] << 32 | id[(uint32_t)l->v[i]];
    return TW_OK;
}

/* It is made when all that is excluded is known, for others take the places of those. */
static enum tw_rc sets_k_regular(struct mesh_expansion *x, struct sets *s)
{
    struct flatten *f = &x->f;
    enum tw_rc rc = flatten_names(f, &f->m->members, "members", &s->a);
    size_t most;

    if (rc)
        return rc;
    drop_targets(f, &s->a);
    most = s->a.n ? s->a.n - 1 : 0;
    if (s->a.n * (uint64_t)(f->m->degree < most ? f->m->degree : most) > MESH_PAIRS_MAX)
        return tw_err_set(f->err, TW_ENOSPC, "%zu members with %u targets each are more than %d pairs",
                          s->a.n, f->m->degree, MESH_PAIRS_MAX);
    return id_set_copy(&s->a, &x->members) ? TW_OK : no_memory(f);
}

/* ---- Lists, and all sets ---- */

/* A link of two names is no set. */
static enum tw_rc add_listed(const struct flatten *f, const struct sets *s, struct links *l,
                             struct product_list *p)
{
    if (s->a.n == 1 && s->b.n == 1)
        return link_two(f, l, s->a.v[0], s->b.v[0]);
    return product_add(f, p, &s->a, &s->b, false);
}

static enum tw_rc sets_listed(struct flatten *f, const char *field, const struct mesh_link *v, size_t n,
                              struct sets *s, struct links *l, struct product_list *p)
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
            rc = add_listed(f, s, l, p);
        if (rc)
            return rc;
    }
    return TW_OK;
}

static enum tw_rc sets_list(struct mesh_expansion *x, struct sets *s)
{
    return sets_listed(&x->f, "pairs", x->f.m->pairs, x->f.m->n_pairs, s, &x->links, &x->products);
}

static enum tw_rc (*const topologies[MESH_TOPOLOGIES])(struct mesh_expansion *x, struct sets *s) = {
    [MESH_FULL] = sets_full,         [MESH_HUB_SPOKE] = sets_hub_spoke, [MESH_LIST] = sets_list,
    [MESH_DISJOINT] = sets_disjoint, [MESH_RING] = sets_ring,           [MESH_K_REGULAR] = sets_k_regular,
};

static enum tw_rc find_sets(struct mesh_expansion *x)
{
    const struct mesh *m = x->f.m;
    struct sets s = { 0 };
    enum tw_rc rc = sets_listed(&x->f, "exclude", m->exclude, m->n_exclude, &s, &x->gone, &x->gone_products);

    if (!rc)
        rc = topologies[m->topology](x, &s);
    if (!rc && x->f.strict)
        rc = flatten_check_empty(&x->f, &s.a);
    id_set_free(&s.a);
    id_set_free(&s.b);
    return rc;
}

/* ---- Pairs ---- */

static enum tw_rc begin_pairs(struct mesh_expansion *x)
{
    const struct mesh *m = x->f.m;

    if (m->n_classes && x->links.n > MESH_PAIRS_MAX / m->n_classes)
        return tw_err_set(x->f.err, TW_ENOSPC, "%zu links in %zu classes are more than %d pairs", x->links.n,
                          m->n_classes, MESH_PAIRS_MAX);
    if (name_index_init(&x->classes, m->n_classes))
        return no_memory(&x->f);
    for (size_t i = 0; i < m->n_classes; i++)
        name_index_add(&x->classes, m->classes[i].name, (uint32_t)i);
    name_index_sort(&x->classes);
    x->pairs = calloc(x->links.n * m->n_classes + 1, sizeof *x->pairs);
    return x->pairs ? TW_OK : no_memory(&x->f);
}

static enum tw_rc fill_pairs(struct mesh_expansion *x, size_t *left)
{
    const struct flatten *f = &x->f;

    for (; x->at_class < f->m->n_classes; x->at_class++, x->at_link = 0)
        for (; x->at_link < x->links.n; x->at_link++, --*left) {
            uint64_t link = x->links.v[x->at_link];

            if (!*left)
                return TW_EAGAIN;
            x->pairs[x->n_pairs++] =
                (struct mesh_pair){ .source = (uint32_t)f->nodes[link >> 32].end,
                                    .target = f->nodes[(uint32_t)link].end,
                                    .class_index = (uint16_t)x->classes.v[x->at_class].value };
        }
    return TW_OK;
}

/* ---- All of it ---- */

static enum tw_rc no_room(const struct mesh_expansion *x, enum tw_rc rc)
{
    return rc == TW_ENOMEM ? no_memory(&x->f) : rc;
}

static enum tw_rc thin(struct mesh_expansion *x, size_t *left)
{
    enum tw_rc rc = links_thin_go_on(&x->thin, &x->links, &x->gone, left);

    return rc ? rc : begin_pairs(x);
}

static enum tw_rc go_on(struct mesh_expansion *x, size_t *left)
{
    switch (x->stage) {
    case EXCLUDE:
        return link_products(&x->f, &x->gone_products, &x->gone, left);
    case ORDER_EXCLUDED:
        return no_room(x, links_sort_go_on(&x->gone_sort, &x->gone, left));
    case CHOOSE:
        return x->f.m->topology == MESH_K_REGULAR ? make_rings(x, left) : TW_OK;
    case LINK:
        return link_products(&x->f, &x->products, &x->links, left);
    case ORDER:
        return no_room(x, links_sort_go_on(&x->sort, &x->links, left));
    case THIN:
        return thin(x, left);
    case FILL:
        break;
    }
    return fill_pairs(x, left);
}

enum tw_rc mesh_expansion_new(const struct mesh *m, const struct mesh_agents *agents, bool strict,
                              struct mesh_expansion **ret, struct tw_err *err)
{
    struct mesh_expansion *x = calloc(1, sizeof *x);
    enum tw_rc rc;

    if (!x)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rc = flatten_init(&x->f, m, agents, strict, err);
    if (!rc)
        rc = find_sets(x);
    if (rc) {
        mesh_expansion_free(x);
        return rc;
    }
    *ret = x;
    return TW_OK;
}

enum tw_rc mesh_expansion_go_on(struct mesh_expansion *x, size_t *left)
{
    enum tw_rc rc;

    while ((rc = go_on(x, left)) == TW_OK && x->stage < FILL)
        x->stage++;
    return rc;
}

void mesh_expansion_take(struct mesh_expansion *x, struct mesh_pair **ret, size_t *ret_n,
                         size_t *ret_unresolved)
{
    *ret = x->pairs;
    *ret_n = x->n_pairs;
    if (ret_unresolved)
        *ret_unresolved = x->f.unresolved;
    x->pairs = NULL;
}

void mesh_expansion_free(struct mesh_expansion *x)
{
    if (!x)
        return;
    links_free(&x->links);
    links_free(&x->gone);
    products_free(&x->products);
    products_free(&x->gone_products);
    links_sort_free(&x->sort);
    links_sort_free(&x->gone_sort);
    id_set_free(&x->members);
    mesh_rings_free(x->rings);
    name_index_free(&x->classes);
    free(x->pairs);
    flatten_free(&x->f);
    free(x);
}

enum tw_rc mesh_expand(const struct mesh *m, const struct mesh_agents *agents, bool strict,
                       struct mesh_pair **ret, size_t *ret_n, size_t *ret_unresolved, struct tw_err *err)
{
    struct mesh_expansion *x;
    size_t all = SIZE_MAX;
    enum tw_rc rc = mesh_expansion_new(m, agents, strict, &x, err);

    if (rc)
        return rc;
    rc = mesh_expansion_go_on(x, &all);
    if (!rc)
        mesh_expansion_take(x, ret, ret_n, ret_unresolved);
    mesh_expansion_free(x);
    return rc;
}

enum tw_rc mesh_count_unresolved(const struct mesh *m, const struct mesh_agents *agents, size_t *ret)
{
    struct mesh_expansion *x;
    enum tw_rc rc = mesh_expansion_new(m, agents, false, &x, NULL);

    if (rc)
        return rc;
    *ret = x->f.unresolved;
    mesh_expansion_free(x);
    return TW_OK;
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
