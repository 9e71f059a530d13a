/* common/ring.h - bounded queue of fixed-size items between exactly one producer thread and one consumer
 * thread; lock-free, no allocation after ring_new(). A full ring refuses and counts: the producer decides
 * whether to push back or to drop, and ring_refused() makes every refusal visible. */
#ifndef TW_COMMON_RING_H
#define TW_COMMON_RING_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct ring;

/* capacity is rounded up to a power of two. */
enum tw_rc ring_new(size_t item_bytes, size_t capacity, struct ring **ret);
void ring_free(struct ring *r);
/* Producer: copies the item in. false: full, counted. */
bool ring_push(struct ring *r, const void *item);
/* Consumer: copies the oldest item out. false: empty. */
bool ring_pop(struct ring *r, void *ret_item);
/* Any thread; a momentary figure. */
size_t ring_len(const struct ring *r);
uint64_t ring_refused(const struct ring *r);

#endif
