#include "controller/pair_table.h"
#include <stdlib.h>
#include "controller/inventory.h"

struct pair *pair_table_at(const struct pair_table *t, size_t i)
{
    return &t->blocks[i / PAIR_BLOCK][i % PAIR_BLOCK];
}

/* Ids are hashes of 53 bits, but those of other databases may be small numbers: mixed once more. */
static size_t slot_of(uint64_t id, size_t cap)
{
    return (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (cap - 1);
}

/* Where it is, or where it would go. */
static uint32_t *find_slot(const struct pair_table *t, uint64_t id)
{
    size_t i = slot_of(id, t->index_cap);

    while (t->index[i] && pair_table_at(t, t->index[i] - 1)->row.id != id)
        i = (i + 1) & (t->index_cap - 1);
    return &t->index[i];
}

uint32_t pair_table_row(const struct pair_table *t, uint64_t id)
{
    return t->n ? *find_slot(t, id) - 1 : PAIR_NONE; /* 0 - 1 is PAIR_NONE */
}

struct pair *pair_table_find(const struct pair_table *t, uint64_t id)
{
    uint32_t row = pair_table_row(t, id);

    return row == PAIR_NONE ? NULL : pair_table_at(t, row);
}

static bool grow_index(struct pair_table *t)
{
    struct pair_table more = *t;

    if (2 * (t->n + 1) <= t->index_cap)
        return true;
    more.index_cap = t->index_cap ? 2 * t->index_cap : 2 * PAIR_BLOCK;
    more.index = calloc(more.index_cap, sizeof *more.index);
    if (!more.index)
        return false;
    for (size_t i = 0; i < t->n; i++)
        *find_slot(&more, pair_table_at(t, i)->row.id) = (uint32_t)i + 1;
    free(t->index);
    *t = more;
    return true;
}

static bool grow_blocks(struct pair_table *t)
{
    size_t used = t->n / PAIR_BLOCK;
    struct pair **more;

    if (t->n % PAIR_BLOCK)
        return true;
    more = realloc(t->blocks, (used + 1) * sizeof *more);
    if (!more)
        return false;
    t->blocks = more;
    more[used] = calloc(PAIR_BLOCK, sizeof(struct pair));
    return more[used] != NULL;
}

struct pair *pair_table_add(struct pair_table *t, uint64_t id)
{
    struct pair *p;

    if (t->n > INT32_MAX || !grow_index(t) || !grow_blocks(t))
        return NULL;
    p = pair_table_at(t, t->n);
    p->row.id = id;
    *find_slot(t, id) = (uint32_t)++t->n;
    return p;
}

void pair_table_free(struct pair_table *t)
{
    for (size_t i = 0; i < t->n; i++)
        class_times_unref(pair_table_at(t, i)->times);
    for (size_t i = 0; i < (t->n + PAIR_BLOCK - 1) / PAIR_BLOCK; i++)
        free(t->blocks[i]);
    free(t->blocks);
    free(t->index);
    *t = (struct pair_table){ 0 };
}
