#include "agent/io/stamp_wait.h"

#include <stdlib.h>

struct entry {
    struct stamp_waiter *w; /* NULL: free */
    uint32_t socket, id, seq;
};

struct stamp_wait {
    unsigned bits;
    uint64_t missing;
    struct entry at[];
};

enum tw_rc stamp_wait_new(unsigned bits, struct stamp_wait **ret)
{
    struct stamp_wait *t = calloc(1, sizeof *t + (sizeof *t->at << bits));

    if (!t)
        return TW_ENOMEM;
    t->bits = bits;
    *ret = t;
    return TW_OK;
}

void stamp_wait_free(struct stamp_wait *t)
{
    free(t);
}

/* Those of one socket in a row, and the sockets apart from each other: what is under way at one time is a
 * short stretch of each. */
static struct entry *place(struct stamp_wait *t, uint32_t socket, uint32_t id)
{
    uint32_t start = socket * UINT32_C(2654435769); /* 2^32 / golden ratio */

    return &t->at[((start >> (32 - t->bits)) + id) & ((UINT32_C(1) << t->bits) - 1)];
}

static void give_up(struct stamp_wait *t, struct entry *e)
{
    if (!e->w)
        return;
    e->w->n--;
    e->w = NULL;
    t->missing++;
}

void stamp_wait_add(struct stamp_wait *t, uint32_t socket, uint32_t id, struct stamp_waiter *w, uint32_t seq)
{
    struct entry *e = place(t, socket, id);

    give_up(t, e);
    *e = (struct entry){ w, socket, id, seq };
    w->n++;
}

struct stamp_waiter *stamp_wait_look(struct stamp_wait *t, uint32_t socket, uint32_t id, uint32_t *ret_seq)
{
    struct entry *e = place(t, socket, id);

    if (!e->w || e->socket != socket || e->id != id)
        return NULL;
    *ret_seq = e->seq;
    return e->w;
}

struct stamp_waiter *stamp_wait_take(struct stamp_wait *t, uint32_t socket, uint32_t id, uint32_t *ret_seq)
{
    struct stamp_waiter *w = stamp_wait_look(t, socket, id, ret_seq);

    if (!w)
        return NULL;
    w->n--;
    place(t, socket, id)->w = NULL;
    return w;
}

void stamp_wait_forget(struct stamp_wait *t, struct stamp_waiter *w)
{
    for (size_t i = 0; w->n && i < (size_t)1 << t->bits; i++)
        if (t->at[i].w == w)
            give_up(t, &t->at[i]);
}

uint64_t stamp_wait_missing(const struct stamp_wait *t)
{
    return t->missing;
}
