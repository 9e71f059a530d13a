#include "controller/pair_groups.h"
#include <stdlib.h>
#include "controller/inventory.h"

static bool is_of(const struct pair_group *g, const char *mesh, const char *class_name)
{
    return g->mesh == mesh && g->class_name == class_name;
}

const struct pair_group *pair_groups_find(const struct pair_groups *g, const char *mesh,
                                          const char *class_name)
{
    for (size_t i = g->n; i-- > 0;)
        if (is_of(&g->v[i], mesh, class_name))
            return &g->v[i];
    return NULL;
}

static struct pair_group *add_group(struct pair_groups *g, const char *mesh, const char *class_name)
{
    if (g->n == g->cap) {
        size_t cap = 2 * g->cap + 16;
        struct pair_group *more = realloc(g->v, cap * sizeof *more);

        if (!more)
            return NULL;
        g->v = more;
        g->cap = cap;
    }
    g->v[g->n] = (struct pair_group){ .mesh = mesh, .class_name = class_name };
    return &g->v[g->n++];
}

static bool add_row(struct pair_group *g, uint32_t row)
{
    if (g->n == g->cap) {
        size_t cap = g->cap + g->cap / 2 + 64;
        uint32_t *more = realloc(g->rows, cap * sizeof *more);

        if (!more)
            return false;
        g->rows = more;
        g->cap = cap;
    }
    g->rows[g->n++] = row;
    return true;
}

/* Pairs of a mesh and class mostly come together. */
enum tw_rc pair_groups_update(struct pair_groups *g, const struct pair_table *t)
{
    struct pair_group *last = NULL;

    for (; g->seen < t->n; g->seen++) {
        const struct store_pair *row = &pair_table_at(t, g->seen)->row;

        if (!last || !is_of(last, row->mesh, row->class_name))
            last = (struct pair_group *)pair_groups_find(g, row->mesh, row->class_name);
        if (!last)
            last = add_group(g, row->mesh, row->class_name);
        if (!last || !add_row(last, (uint32_t)g->seen))
            return TW_ENOMEM;
    }
    return TW_OK;
}

void pair_groups_free(struct pair_groups *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->v[i].rows);
    free(g->v);
    *g = (struct pair_groups){ 0 };
}
