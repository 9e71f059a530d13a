#include "common/timerq.h"

#include <stdlib.h>

enum { FIRST_CAP = 16 };

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
    struct timerq_entry **heap;

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

static bool is_before(const struct timerq_entry *a, const struct timerq_entry *b)
{
    return a->due.ns != b->due.ns ? a->due.ns < b->due.ns : a->order < b->order;
}

static void put(struct timerq *q, size_t slot, struct timerq_entry *e)
{
    q->heap[slot] = e;
    e->slot = slot;
}

static void sift_up(struct timerq *q, struct timerq_entry *e, size_t slot)
{
    for (; slot > 1 && is_before(e, q->heap[slot / 2]); slot /= 2)
        put(q, slot, q->heap[slot / 2]);
    put(q, slot, e);
}

static void sift_down(struct timerq *q, struct timerq_entry *e, size_t slot)
{
    for (size_t child = slot * 2; child <= q->len; slot = child, child *= 2) {
        if (child < q->len && is_before(q->heap[child + 1], q->heap[child]))
            child++;
        if (!is_before(q->heap[child], e))
            break;
        put(q, slot, q->heap[child]);
    }
    put(q, slot, e);
}

/* Finds the place of e, which may have to move either way from slot. */
static void settle(struct timerq *q, struct timerq_entry *e, size_t slot)
{
    if (slot > 1 && is_before(e, q->heap[slot / 2]))
        sift_up(q, e, slot);
    else
        sift_down(q, e, slot);
}

enum tw_rc timerq_set(struct timerq *q, struct timerq_entry *e, struct tw_mono due)
{
    if (!e->slot && q->len == q->cap) {
        enum tw_rc rc = timerq_reserve(q, q->cap ? q->cap * 2 : FIRST_CAP);
        if (rc)
            return rc;
    }
    e->due = due;
    e->order = q->next_order++;
    settle(q, e, e->slot ? e->slot : ++q->len);
    return TW_OK;
}

void timerq_cancel(struct timerq *q, struct timerq_entry *e)
{
    size_t slot = e->slot;
    struct timerq_entry *last;

    if (!slot)
        return;
    last = q->heap[q->len--];
    e->slot = 0;
    if (last != e)
        settle(q, last, slot);
}

struct timerq_entry *timerq_pop(struct timerq *q, struct tw_mono now)
{
    struct timerq_entry *e;

    if (!q->len || q->heap[1]->due.ns > now.ns)
        return NULL;
    e = q->heap[1];
    timerq_cancel(q, e);
    return e;
}

struct timerq_entry *timerq_first(const struct timerq *q)
{
    return q->len ? q->heap[1] : NULL;
}

struct tw_mono timerq_next_due(const struct timerq *q)
{
    return q->len ? q->heap[1]->due : TW_MONO_NEVER;
}
