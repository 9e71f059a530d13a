/* From a mesh to its pairs: sets of names, links between them, exclusions, classes. */
#include "controller/core/mesh_flatten.h"

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

static enum tw_rc links_full(struct flatten *f, struct sets *s, struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->members, "members", &s->a);

    return rc ? rc : link_sets(f, l, &s->a, &s->a);
}

static enum tw_rc links_hub_spoke(struct flatten *f, struct sets *s, struct links *l)
{
    enum tw_rc rc = flatten_names(f, &f->m->hubs, "hubs", &s->a);

    if (!rc)
        rc = flatten_names(f, &f->m->spokes, "spokes", &s->b);
    if (!rc)
        rc = link_sets(f, l, &s->a, &s->b);
    return rc ? rc : link_sets(f, l, &s->b, &s->a);
}

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

static enum tw_rc links_of_topology(struct flatten *f, struct sets *s, struct links *l)
{
    switch (f->m->topology) {
    case MESH_FULL:
        return links_full(f, s, l);
    case MESH_HUB_SPOKE:
        return links_hub_spoke(f, s, l);
    case MESH_LIST:
        return links_listed(f, "pairs", f->m->pairs, f->m->n_pairs, s, l);
    }
    return tw_err_set(f->err, TW_EINVAL, "unknown topology");
}

static enum tw_rc links_of_mesh(struct flatten *f, struct links *l)
{
    struct links gone = { 0 };
    struct sets s = { 0 };
    enum tw_rc rc = links_of_topology(f, &s, l);

    if (!rc)
        rc = links_listed(f, "exclude", f->m->exclude, f->m->n_exclude, &s, &gone);
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
