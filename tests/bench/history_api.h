/* tests/bench/history_api.h - the controller's reports over HTTP, of a database and pairs that are given: one loop
 * thread, two readers, no agents. */
#ifndef TW_BENCH_HISTORY_API_H
#define TW_BENCH_HISTORY_API_H

#include <stddef.h>
#include <stdint.h>
#include "db/store.h"

struct history_api;
/* Ends the process when it cannot be started. */
struct history_api *history_api_start(const char *path, const uint64_t *ids, unsigned pairs, int64_t period_ns);
/* How many pairs are in the answer. */
unsigned history_api_get(struct history_api *a, const char *target);
void history_api_stop(struct history_api *a);

#endif
