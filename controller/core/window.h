/* controller/core/window.h - how many summaries an agent may have unacknowledged, and how fast its backlog may come. Pure.
 *
 * All agents together get half of the store writer's queue, in equal shares: after an outage all of them come
 * at once, with full spools. What the queue holds at a moment says too little for that, since what was granted
 * may still be in sockets and in the hands of the decoders. The other half is for shares that were granted
 * while the agents were fewer. */
#ifndef TW_CONTROLLER_CORE_WINDOW_H
#define TW_CONTROLLER_CORE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOW_MAX 2048
#define WINDOW_PRESSED 256 /* at most, while the queue is more than half full */
#define WINDOW_MIN 8       /* nobody stands still; what then finds the queue full is refused and comes again */

/* capacity: summaries that the queue can hold; agents: that are known. */
uint32_t window_grant(size_t capacity, size_t agents, bool pressed);

/* Summaries of its backlog that an agent may send each second, while its fresh ones come too. All agents together get a share of what
 * the store sustains (docs/benchmarks.md), so that fresh results find its queue short. */
#define BACKLOG_FLEET_PER_S 10000
#define BACKLOG_MAX_PER_S 2000
#define BACKLOG_MIN_PER_S 10
uint32_t window_backlog(size_t agents, bool pressed);

#endif
