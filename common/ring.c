#include "common/ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_LINE = 64 };

/* Each side keeps a copy of the other's index and looks again only when the ring seems full or empty, so in a
 * steady flow the two cache lines rarely travel. Indices run freely and wrap. */
struct ring {
    _Alignas(CACHE_LINE) _Atomic size_t tail; /* producer: next slot to fill */
    size_t head_seen;
    _Atomic uint64_t refused;

    _Alignas(CACHE_LINE) _Atomic size_t head; /* consumer: next slot to empty */
    size_t tail_seen;

    _Alignas(CACHE_LINE) size_t item_bytes;
    size_t mask;
    unsigned char *items;
};

enum tw_rc ring_new(size_t item_bytes, size_t capacity, struct ring **ret)
{
    struct ring *r;
    size_t slots = 1;

    if (!item_bytes || !capacity || capacity > SIZE_MAX / 4 / item_bytes)
        return TW_EINVAL;
    while (slots < capacity)
        slots *= 2;
    r = aligned_alloc(CACHE_LINE, sizeof *r);
    if (!r)
        return TW_ENOMEM;
    memset(r, 0, sizeof *r);
    r->item_bytes = item_bytes;
    r->mask = slots - 1;
    r->items = malloc(slots * item_bytes);
    if (!r->items) {
        free(r);
        return TW_ENOMEM;
    }
    *ret = r;
    return TW_OK;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    free(r->items);
    free(r);
}

static unsigned char *slot(const struct ring *r, size_t index)
{
    return r->items + (index & r->mask) * r->item_bytes;
}

bool ring_push(struct ring *r, const void *item)
{
    size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

    if (tail - r->head_seen > r->mask) {
        r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
        if (tail - r->head_seen > r->mask) {
            atomic_fetch_add_explicit(&r->refused, 1, memory_order_relaxed);
            return false;
        }
    }
    memcpy(slot(r, tail), item, r->item_bytes);
    atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    return true;
}

bool ring_pop(struct ring *r, void *ret_item)
{
    size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

    if (head == r->tail_seen) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (head == r->tail_seen)
            return false;
    }
    memcpy(ret_item, slot(r, head), r->item_bytes);
    atomic_store_explicit(&r->head, head + 1, memory_order_release);
    return true;
}

size_t ring_len(const struct ring *r)
{
    /* head first: it can only be behind the tail that is read after it. */
    size_t head = atomic_load_explicit(&r->head, memory_order_acquire);
    size_t len = atomic_load_explicit(&r->tail, memory_order_acquire) - head;

    return len > r->mask + 1 ? r->mask + 1 : len;
}

uint64_t ring_refused(const struct ring *r)
{
    return atomic_load_explicit(&r->refused, memory_order_relaxed);
}
