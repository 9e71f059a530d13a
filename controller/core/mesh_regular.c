#include "controller/core/mesh_regular.h"
#include "common/splitmix.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX
/* Members whose targets are looked through for one place, at most: enough to find it wherever there is room.
 */
#define SEARCH_MAX 64

/* ---- Pairs as a set: open addressing, at most half full; 0 would be a pair of one with itself ---- */

struct pair_set {
    uint64_t *v;
    size_t cap; /* a power of 2 */
};

static enum tw_rc pair_set_init(struct pair_set *s, size_t n)
{
    for (s->cap = 16; s->cap < 2 * n; s->cap *= 2)
        ;
    s->v = calloc(s->cap, sizeof *s->v);
    return s->v ? TW_OK : TW_ENOMEM;
}

static uint64_t *pair_set_place(const struct pair_set *s, uint64_t pair)
{
    uint64_t state = pair;
    size_t i = tw_splitmix64(&state) & (s->cap - 1);

    while (s->v[i] && s->v[i] != pair)
        i = (i + 1) & (s->cap - 1);
    return &s->v[i];
}

/* ---- */

struct place {
    uint64_t key;
    uint32_t member;
};

struct rings {
    size_t n;
    uint64_t *hash;         /* by member */
    struct place *order;    /* of the ring at hand */
    uint32_t *next, *last;  /* by member: its target, its source in the ring at hand; NOBODY */
    uint32_t *queue, *from; /* of search() */
    struct pair_set used;   /* pairs that cannot be taken any more */
    bool dense;             /* the rings say what is left out */
    uint32_t n_rings, ring; /* that there will be; the next one */
    uint32_t row;           /* then, of what is not left out: the next member */
    uint64_t *v;            /* what comes of it */
    size_t out;
};

static uint64_t pair_of(uint32_t source, uint32_t target)
{
    return (uint64_t)source << 32 | target;
}

static bool is_free(const struct rings *r, uint32_t source, uint32_t target)
{
    return source != target && !*pair_set_place(&r->used, pair_of(source, target));
}

static void lead(struct rings *r, uint32_t source, uint32_t target)
{
    r->next[source] = target;
    r->last[target] = source;
}

/* ---- One ring ---- */

static int compare_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->member < y->member ? -1 : x->member > y->member;
}

static void order_ring(struct rings *r, uint32_t ring)
{
    for (uint32_t i = 0; i < r->n; i++) {
        uint64_t state = r->hash[i] + ring * UINT64_C(0x9e3779b97f4a7c15);

        r->order[i] = (struct place){ tw_splitmix64(&state), i };
    }
    qsort(r->order, r->n, sizeof *r->order, compare_place);
    for (size_t i = 0; i < r->n; i++)
        lead(r, r->order[i].member, r->order[(i + 1) % r->n].member);
}

/* The next one in the ring with which it can swap targets. */
static bool swap_forward(struct rings *r, size_t at)
{
    uint32_t u = r->order[at].member, v = r->next[u];

    for (size_t i = 1; i < r->n; i++) {
        uint32_t w = r->order[(at + i) % r->n].member, x = r->next[w];

        if (x == NOBODY || !is_free(r, u, x) || !is_free(r, w, v))
            continue;
        lead(r, u, x);
        lead(r, w, v);
        return true;
    }
    return false;
}

/* Breadth first: gives u, which has no target, one by a chain of others that change theirs. */
static bool search(struct rings *r, uint32_t u)
{
    size_t head = 0, tail = 0;

    for (size_t i = 0; i < r->n; i++)
        r->from[i] = NOBODY;
    for (r->queue[tail++] = u; head < tail && head < SEARCH_MAX; head++) {
        uint32_t x = r->queue[head];

        for (uint32_t v = 0; v < r->n; v++) {
            if (r->from[v] != NOBODY || !is_free(r, x, v))
                continue;
            r->from[v] = x;
            if (r->last[v] != NOBODY) {
                r->queue[tail++] = r->last[v];
                continue;
            }
            for (uint32_t target = v, before; target != NOBODY; target = before) {
                uint32_t source = r->from[target];

                before = r->next[source];
                lead(r, source, target);
            }
            return true;
        }
    }
    return false;
}

static void repair_ring(struct rings *r)
{
    size_t left = 0;

    for (size_t i = 0; i < r->n; i++) {
        uint32_t u = r->order[i].member, v = r->next[u];

        if (is_free(r, u, v) || swap_forward(r, i))
            continue;
        r->next[u] = r->last[v] = NOBODY;
        left++;
    }
    for (size_t i = 0; left && i < r->n; i++)
        if (r->next[r->order[i].member] == NOBODY)
            search(r, r->order[i].member);
}

static void make_ring(struct rings *r)
{
    order_ring(r, r->ring);
    repair_ring(r);
    for (uint32_t i = 0; i < r->n; i++) {
        uint64_t pair = pair_of(i, r->next[i]);

        if (r->next[i] == NOBODY)
            continue;
        *pair_set_place(&r->used, pair) = pair;
        if (!r->dense)
            r->v[r->out++] = pair;
    }
}

static void fill_row(struct rings *r)
{
    for (uint32_t t = 0; t < r->n; t++)
        if (is_free(r, r->row, t))
            r->v[r->out++] = pair_of(r->row, t);
}

/* ---- All of it ---- */

/* FNV-1a: order_ring() mixes it once more. */
static uint64_t name_hash(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return h;
}

void mesh_rings_free(struct rings *r)
{
    if (!r)
        return;
    free(r->hash);
    free(r->order);
    free(r->next);
    free(r->last);
    free(r->queue);
    free(r->from);
    free(r->used.v);
    free(r->v);
    free(r);
}

static enum tw_rc rings_init(struct rings *r, const char *const *names, size_t n, size_t used, size_t pairs)
{
    r->n = n;
    r->hash = calloc(n + 1, sizeof *r->hash);
    r->order = calloc(n + 1, sizeof *r->order);
    r->next = calloc(n + 1, sizeof *r->next);
    r->last = calloc(n + 1, sizeof *r->last);
    r->queue = calloc(n + 1, sizeof *r->queue);
    r->from = calloc(n + 1, sizeof *r->from);
    r->v = calloc(pairs + 1, sizeof *r->v);
    if (!r->hash || !r->order || !r->next || !r->last || !r->queue || !r->from || !r->v ||
        pair_set_init(&r->used, used))
        return TW_ENOMEM;
    for (size_t i = 0; i < n; i++)
        r->hash[i] = name_hash(names[i]);
    return TW_OK;
}

enum tw_rc mesh_rings_new(const char *const *names, size_t n, uint32_t degree, const uint64_t *excluded,
                          size_t n_excluded, struct rings **ret)
{
    uint32_t most = n ? (uint32_t)(n - 1) : 0;
    struct rings *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->dense = degree > most - most / 4;
    degree = degree < most ? degree : most;
    r->n_rings = r->dense ? most - degree : degree;
    if (rings_init(r, names, n, n * r->n_rings + n_excluded, n * (r->dense ? n : degree)) != TW_OK) {
        mesh_rings_free(r);
        return TW_ENOMEM;
    }
    /* What is left out is chosen first: the same, whatever is excluded besides. */
    for (size_t i = 0; !r->dense && i < n_excluded; i++)
        *pair_set_place(&r->used, excluded[i]) = excluded[i];
    *ret = r;
    return TW_OK;
}

static void spend(size_t *left, size_t n)
{
    *left -= n < *left ? n : *left;
}

enum tw_rc mesh_rings_go_on(struct rings *r, size_t *left)
{
    for (; r->ring < r->n_rings; r->ring++) {
        if (!*left)
            return TW_EAGAIN;
        make_ring(r);
        spend(left, r->n);
    }
    for (; r->dense && r->row < r->n; r->row++) {
        if (!*left)
            return TW_EAGAIN;
        fill_row(r);
        spend(left, r->n);
    }
    return TW_OK;
}

void mesh_rings_take(struct rings *r, uint64_t **ret, size_t *ret_n)
{
    *ret = r->v;
    *ret_n = r->out;
    r->v = NULL;
}

static int compare_pair(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

enum tw_rc mesh_regular(const char *const *names, size_t n, uint32_t degree, const uint64_t *excluded,
                        size_t n_excluded, uint64_t **ret, size_t *ret_n)
{
    size_t all = SIZE_MAX;
    struct rings *r;
    enum tw_rc rc = mesh_rings_new(names, n, degree, excluded, n_excluded, &r);

    if (rc)
        return rc;
    mesh_rings_go_on(r, &all);
    mesh_rings_take(r, ret, ret_n);
    mesh_rings_free(r);
    qsort(*ret, *ret_n, sizeof **ret, compare_pair);
    return TW_OK;
}
