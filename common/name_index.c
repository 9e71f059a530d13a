#include "common/name_index.h"

#include <stdlib.h>
#include <string.h>

enum tw_rc name_index_init(struct name_index *x, size_t cap)
{
    *x = (struct name_index){ .v = calloc(cap ? cap : 1, sizeof *x->v) };
    return x->v ? TW_OK : TW_ENOMEM;
}

void name_index_free(struct name_index *x)
{
    free(x->v);
    *x = (struct name_index){ 0 };
}

void name_index_add(struct name_index *x, const char *name, uint32_t value)
{
    x->v[x->n++] = (struct name_ref){ .name = name, .value = value };
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct name_ref *)a)->name, ((const struct name_ref *)b)->name);
}

void name_index_sort(struct name_index *x)
{
    qsort(x->v, x->n, sizeof *x->v, compare);
}

void name_index_rank(struct name_index *x)
{
    size_t out = 0;

    name_index_sort(x);
    for (size_t i = 0; i < x->n; i++) {
        if (out && !strcmp(x->v[out - 1].name, x->v[i].name))
            continue;
        x->v[out] = (struct name_ref){ .name = x->v[i].name, .value = (uint32_t)out };
        out++;
    }
    x->n = out;
}

bool name_index_find(const struct name_index *x, const char *name, uint32_t *ret)
{
    struct name_ref key = { .name = name };
    const struct name_ref *r = x->n ? bsearch(&key, x->v, x->n, sizeof *x->v, compare) : NULL;

    if (!r)
        return false;
    *ret = r->value;
    return true;
}

#define DISTANCE_MAX 63

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

/* Levenshtein's distance, where two neighbours that have changed places are one edit, too; a row of the
 * matrix at a time, of which the two before are needed. */
unsigned name_distance(const char *a, const char *b)
{
    size_t na = strnlen(a, DISTANCE_MAX), nb = strnlen(b, DISTANCE_MAX);
    unsigned rows[3][DISTANCE_MAX + 1];

    for (unsigned j = 0; j <= nb; j++)
        rows[0][j] = j;
    for (unsigned i = 1; i <= na; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

        row[0] = i;
        for (unsigned j = 1; j <= nb; j++) {
            row[j] = least(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && above2[j - 2] + 1 < row[j])
                row[j] = above2[j - 2] + 1;
        }
    }
    return rows[na % 3][nb];
}

bool name_is_near(unsigned distance, const char *name)
{
    return distance <= (strlen(name) < 5 ? 1 : 2 + strlen(name) / 8); /* two of four would be another word */
}

void name_near_look(struct name_near *n, const char *name)
{
    unsigned d = name_distance(n->wanted, name);

    if (n->best && d >= n->distance)
        return;
    n->best = name;
    n->distance = d;
}

const char *name_near_get(const struct name_near *n)
{
    return n->best && name_is_near(n->distance, n->wanted) ? n->best : NULL;
}

const char *name_index_nearest(const struct name_index *x, const char *name)
{
    struct name_near near = { .wanted = name };

    for (size_t i = 0; i < x->n; i++)
        name_near_look(&near, x->v[i].name);
    return name_near_get(&near);
}
