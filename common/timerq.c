#include "common/timerq.h"

#include <stdlib.h>

enum { FIRST_CAP = 16, CHILDREN = 4 };

void timerq_init(struct timerq *q)
{
    *q = (struct timerq){ 0 };
}

void timerq_free(struct timerq *q)
{
    free(q->heap);
    *q = (struct timerq){ 0 };
}

enum tw_rc timerq_reserve(struct timerq *q, size_t n)
{
    struct timerq_node *heap;

    if (n <= q->cap)
        return TW_OK;
    if (n >= SIZE_MAX / sizeof *heap)
        return TW_ENOMEM;
    heap = realloc(q->heap, (n + 1) * sizeof *heap); /* slot 0 is not used */
    if (!heap)
        return TW_ENOMEM;
    q->heap = heap;
    q->cap = n;
    return TW_OK;
}

static bool is_before(const struct timerq_node *a, const struct timerq_node *b)
{
    return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->order < b->order;
}

static void put(struct timerq *q, size_t slot, const struct timerq_node *n)
{
    q->heap[slot] = *n;
    n->entry->slot = slot;
}

static size_t parent_of(size_t slot)
{
    return (slot - 2) / CHILDREN + 1;
}

static size_t first_child_of(size_t slot)
{
    return (slot - 1) * CHILDREN + 2;
}

static void sift_up(struct timerq *q, const struct timerq_node *n, size_t slot)
{
    for (; slot > 1 && is_before(n, &q->heap[parent_of(slot)]); slot = parent_of(slot))
        put(q, slot, &q->heap[parent_of(slot)]);
    put(q, slot, n);
}

static size_t earliest_child(const struct timerq *q, size_t first)
{
    size_t end = first + CHILDREN < q->len + 1 ? first + CHILDREN : q->len + 1, best = first;

    for (size_t i = first + 1; i < end; i++)
        if (is_before(&q->heap[i], &q->heap[best]))
            best = i;
    return best;
}

static void sift_down(struct timerq *q, const struct timerq_node *n, size_t slot)
{
    for (size_t child = first_child_of(slot); child <= q->len; child = first_child_of(slot)) {
        child = earliest_child(q, child);
        if (!is_before(&q->heap[child], n))
            break;
        put(q, slot, &q->heap[child]);
        slot = child;
    }
    put(q, slot, n);
}

/* Finds the place of n, which may have to move either way from slot. */
static void settle(struct timerq *q, const struct timerq_node *n, size_t slot)
{
    if (slot > 1 && is_before(n, &q->heap[parent_of(slot)]))
        sift_up(q, n, slot);
    else
        sift_down(q, n, slot);
}

enum tw_rc timerq_set(struct timerq *q, struct timerq_entry *e, struct tw_mono due)
{
    struct timerq_node n;

    if (!e->slot && q->len == q->cap) {
        enum tw_rc rc = timerq_reserve(q, q->cap ? q->cap * 2 : FIRST_CAP);
        if (rc)
            return rc;
    }
    e->due = due;
    n = (struct timerq_node){ .due = due, .order = q->next_order++, .entry = e };
    settle(q, &n, e->slot ? e->slot : ++q->len);
    return TW_OK;
}

void timerq_cancel(struct timerq *q, struct timerq_entry *e)
{
    size_t slot = e->slot;
    struct timerq_node last;

    if (!slot)
        return;
    last = q->heap[q->len--];
    e->slot = 0;
    if (last.entry != e)
        settle(q, &last, slot);
}

struct timerq_entry *timerq_pop(struct timerq *q, struct tw_mono now)
{
    struct timerq_entry *e;

    if (!q->len || q->heap[1].due.ns > now.ns)
        return NULL;
    e = q->heap[1].entry;
    timerq_cancel(q, e);
    return e;
}

struct timerq_entry *timerq_first(const struct timerq *q)
{
    return q->len ? q->heap[1].entry : NULL;
}

struct tw_mono timerq_next_due(const struct timerq *q)
{
    return q->len ? q->heap[1].due : TW_MONO_NEVER;
}
