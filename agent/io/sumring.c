#include "agent/io/sumring.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { CACHE_LINE = 64 };

/* Indices run freely and wrap. */
struct sumring {
    _Alignas(CACHE_LINE) _Atomic size_t tail; /* producer: next slot to fill */
    size_t made; /* producer: slots that are initialised; an agent without sessions touches none of their
                    memory */
    _Alignas(CACHE_LINE) _Atomic size_t head; /* consumer: next slot to empty */
    _Alignas(CACHE_LINE) size_t mask;
    struct tw_summary *slots;
};

enum tw_rc sumring_new(size_t capacity, struct sumring **ret)
{
    size_t n = 1;
    struct sumring *r;

    while (n < capacity)
        n *= 2;
    r = aligned_alloc(CACHE_LINE, sizeof *r);
    if (!r)
        return TW_ENOMEM;
    *r = (struct sumring){ .mask = n - 1, .slots = calloc(n, sizeof *r->slots) };
    if (!r->slots) {
        free(r);
        return TW_ENOMEM;
    }
    *ret = r;
    return TW_OK;
}

void sumring_free(struct sumring *r)
{
    if (!r)
        return;
    for (size_t i = 0; i <= r->mask; i++)
        summary_free(&r->slots[i]);
    free(r->slots);
    free(r);
}

struct tw_summary *sumring_slot(struct sumring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (tail - atomic_load_explicit(&r->head, memory_order_acquire) > r->mask)
        return NULL;
    if (r->made <= r->mask && r->made == tail)
        summary_init(&r->slots[r->made++]);
    return &r->slots[tail & r->mask];
}

void sumring_push(struct sumring *r)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

enum tw_rc sumring_pop(struct sumring *r, struct tw_summary *ret)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    struct tw_summary *slot = &r->slots[head & r->mask], tmp;

    if (head == atomic_load_explicit(&r->tail, memory_order_acquire))
        return TW_EAGAIN;
    tmp = *slot;
    *slot = *ret;
    *ret = tmp;
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return TW_OK;
}
