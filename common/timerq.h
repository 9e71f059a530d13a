/* common/timerq.h - deadlines in order: a heap of timers embedded in their owners. Pure; not thread-safe.
 * Insert, move and remove cost O(log n); the earliest deadline is O(1). Equal deadlines fire in the order in
 * which they were set. The heap has its own copies of the deadlines, and four children to a node: comparing
 * does not look into the owners, which are thousands, and cold. */
#ifndef TW_COMMON_TIMERQ_H
#define TW_COMMON_TIMERQ_H

#include "common/clk.h"

struct timerq_entry {
    struct tw_mono due;
    size_t slot; /* timerq's own; 0 = not queued, so zeroed memory is a valid idle entry */
};

struct timerq_node { /* timerq's own */
    struct tw_mono due;
    uint64_t order;
    struct timerq_entry *entry;
};

struct timerq {
    struct timerq_node *heap; /* from 1 */
    size_t len, cap;
    uint64_t next_order;
};

void timerq_init(struct timerq *q);
/* Frees the heap array, not the entries. */
void timerq_free(struct timerq *q);
/* Makes room for n entries, so that timerq_set() cannot fail while there are no more. */
enum tw_rc timerq_reserve(struct timerq *q, size_t n);
/* Queues *e, or moves it if it is queued. TW_ENOMEM only when growing fails: then *e is as it was. */
enum tw_rc timerq_set(struct timerq *q, struct timerq_entry *e, struct tw_mono due);
/* Unqueues; no effect on an idle entry. */
void timerq_cancel(struct timerq *q, struct timerq_entry *e);
/* Removes and returns the earliest entry with due <= now, else NULL. */
struct timerq_entry *timerq_pop(struct timerq *q, struct tw_mono now);
/* The earliest entry, which stays; NULL when empty. */
struct timerq_entry *timerq_first(const struct timerq *q);
/* TW_MONO_NEVER when empty. */
struct tw_mono timerq_next_due(const struct timerq *q);

#endif
