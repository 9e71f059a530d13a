/* controller/core/fair_queue.h - what waits for a few workers, by who asked: clients take turns, however much
 * each of them asks, and what is quick goes before what is bulk. Pure: no clock, no threads.
 *
 * Each client's items leave in the order in which they came. Of FAIR_QUEUE_BULK_EVERY items that leave while
 * bulk waits one is bulk, so that it goes on under any load. Bounded twice: in all, and for each client, so
 * that one who asks for much leaves places to others. What is refused is counted. */
#ifndef TW_CONTROLLER_FAIR_QUEUE_H
#define TW_CONTROLLER_FAIR_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

#define FAIR_QUEUE_BULK_EVERY 8

struct fair_client;
struct fair_queue {
    struct fair_client *clients, *unused; /* as many as there may be items */
    struct fair_client *turn[2];          /* those that wait, next one first: quick, bulk */
    unsigned n, max, max_each;
    unsigned quick_since;             /* items since the last bulk one that left while bulk waited */
    uint64_t refused, refused_client; /* all; those for max_each */
};

/* Part of what waits; the caller's memory until it leaves. */
struct fair_item {
    struct fair_item *next; /* the queue's own */
    uint64_t client;        /* who asked: any number */
    bool bulk;
};

/* Both at least 1. TW_ENOMEM. */
enum tw_rc fair_queue_init(struct fair_queue *q, unsigned max, unsigned max_each);
void fair_queue_free(struct fair_queue *q); /* what still waits is the caller's */
/* False: it is not taken, and counted. */
bool fair_queue_put(struct fair_queue *q, struct fair_item *i);
/* NULL: nothing waits, or without `bulk` nothing quick. */
struct fair_item *fair_queue_take(struct fair_queue *q, bool bulk);

#endif
