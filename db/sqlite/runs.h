/* db/sqlite/runs.h - the tables of loss runs, one per UTC day of their start: loss_run_YYYYMMDD. They are
 * made when the first run of a day arrives, and go with their day. */
#ifndef TW_DB_RUNS_H
#define TW_DB_RUNS_H

#include "db/sqlite/day.h"

/* Puts the runs of *s, in the open transaction. */
enum tw_rc runs_insert(struct sq *q, struct day_cache *c, const struct tw_summary *s, struct tw_err *err);
/* Drops the days before first_kept; of runs that go on over the ends of report periods chains stay: their parts of an hour (UTC) of start
 * joined to one row, in loss_chain_YYYY. */
enum tw_rc runs_drop_days(struct sq *q, struct day_cache *c, int64_t first_kept, struct tw_err *err);
/* A pair's runs with start in [from, to), in order of (start, flow). */
enum tw_rc runs_read(struct sq *q, struct day_cache *c, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                     enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *r), void *ctx, struct tw_err *err);

/* Drops years of chains that end before first_kept. */
enum tw_rc runs_drop_chains(struct sq *q, int64_t first_kept, struct tw_err *err);
/* runs_read(), and before them the chains; parts: so many runs of summaries are joined in it. */
enum tw_rc runs_read_chains(struct sq *q, struct day_cache *c, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                            enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *r, uint64_t parts), void *ctx,
                            struct tw_err *err);

#define RUNS_GLOB "loss_run_[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]"
#define RUNS_YEARS_MAX 600 /* that there are tables of: 1677 to 2262 */
/* The tables' names by a day, and the years that there are chains of. */
const char *runs_table(int64_t day, char buf[DAY_NAME]);
const char *runs_chain_table(int64_t day, char buf[DAY_NAME]);
enum tw_rc runs_years(struct sq *q, int *years, size_t *ret_n, struct tw_err *err);
/* A row of either as it is read: (start, flow, seq_first, length, probes, direction, continues). TW_ECORRUPT
 */
enum tw_rc runs_take(struct sq *q, struct sq_cur *cur, struct tw_loss_run *ret, struct tw_err *err);

#endif
