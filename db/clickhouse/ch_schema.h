/* db/clickhouse/ch_schema.h - the tables of the history in a ClickHouse database. SQL that 18.16 and current
 * releases take.
 *
 * Every row has the number of the commit that it came by (txn). A commit is one insert into each table that
 * it has rows for, the one into `cursor` last: with that it is done. What has a higher number than any cursor
 * is of a commit that was not done, and numbers in `burnt` are of commits that never will be: nobody looks at
 * either, and each number is used once. So a commit counts as a whole or not at all, wherever a controller or
 * server ends, and a repeated insert of the same rows is one (ReplacingMergeTree).
 *
 *   summary     raw, by UTC day (partition = day since 1970)
 *   loss_run    likewise; loss_chain: what is left of them, by year of 365 days
 *   gap, cursor, burnt
 *   cell_1min, cell_10min, cell_1h, cell_1d: a row has all summaries of its cell with numbers up to its txn
 *   progress    the roll-up is done with all numbers up to its txn
 *   owner       the controller whose it is
 *   schema_version */
#ifndef TW_DB_CH_SCHEMA_H
#define TW_DB_CH_SCHEMA_H

#include "db/clickhouse/ch_http.h"
#include "db/clickhouse/ch_sql.h"

/* Makes what is not there, and adds columns of newer counters. TW_EVERSION: made by a newer program; nothing
 * is touched. */
enum tw_rc ch_schema_open(struct ch_http *h, const char *database, struct tw_err *err);

/* "summary", "cell_1min", ... by enum store_level. */
extern const char *const ch_level_tables[];
/* Length of a partition of that level's table, in ns. */
int64_t ch_level_partition_ns(int level);

/* Runs the statement in *s. */
enum tw_rc ch_run(struct ch_http *h, struct ch_sql *s, struct tw_err *err);
/* One row of n numbers (Int64). TW_ENOENT: there is none. */
enum tw_rc ch_get_numbers(struct ch_http *h, struct ch_sql *s, int64_t *ret, size_t n, struct tw_err *err);

#endif
