/* db/sqlite/runs.h - the tables of loss runs, one per UTC day of their start: loss_run_YYYYMMDD. They are
 * made when the first run of a day arrives, and go with their day. */
#ifndef TW_DB_RUNS_H
#define TW_DB_RUNS_H

#include "db/sqlite/day.h"

/* Puts the runs of *s, in the open transaction. */
enum tw_rc runs_insert(struct sq *q, struct day_cache *c, const struct tw_summary *s, struct tw_err *err);
/* Drops the days before first_kept. */
enum tw_rc runs_drop_days(struct sq *q, struct day_cache *c, int64_t first_kept, struct tw_err *err);
/* A pair's runs with start in [from, to), in order of (start, flow). */
enum tw_rc runs_read(struct sq *q, struct day_cache *c, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                     enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *r), void *ctx, struct tw_err *err);

#endif
