/* common/net/loop_metrics.h - how the loop of a daemon is doing, for its metrics and status. Loop thread. */
#ifndef TW_NET_LOOP_METRICS_H
#define TW_NET_LOOP_METRICS_H

#include "common/metrics_page.h"
#include "common/net/loop.h"

#define LOOP_METRICS 5
/* *ret has room for them; returns how many. */
size_t loop_metrics(const struct loop *l, struct metrics_self *ret);

#endif
