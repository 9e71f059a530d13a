/* db/clickhouse/ch_schema.h - the tables of the history in a ClickHouse database. SQL that 18.16 and current
 * releases take.
 *
 * Every row has the commit that it came by: (writer, txn), the controller's number and one that it uses once.
 * A commit is one insert into each table that it has rows for, the one into `cursor` last, and that one only
 * when the others are confirmed: with it the commit is done. It has a row of agent 0 that says so: "of this
 * writer first_seq to last_seq are done". What no such row has is of a commit that is not done (yet): nobody
 * looks at it. So a commit counts as a whole or not at all, wherever a controller or server ends, and a
 * repeated insert of the same rows is one (ReplacingMergeTree).
 *
 * What is done stays done. A writer that does not know what became of a commit does not use the number again
 * and counts it as not done, but when its insert comes after all, however late, it is done: somebody may have
 * seen that. Its summaries may then be stored twice, by that commit and by one that came when their agent had
 * sent them again, to this writer or to another one. Both copies have the same pair, start, flow, agent,
 * spool and number, and the same content. Whoever reads summaries takes one of them; whoever adds them to
 * cells leaves out those of which a copy is in a cell (ch_rollup.c, ch_span.c).
 *
 *   summary     raw, by UTC day (partition = day since 1970)
 *   loss_run    likewise; loss_chain: what is left of them, by year of 365 days
 *   gap
 *   cursor      stretches of a spool that are stored; column txn is last_seq again: of those of a writer that
 * begin alike the longest stays burnt       numbers that a writer does not use (again) cell_1min, cell_10min,
 * cell_1h, cell_1d: a row has all summaries of its cell that came by the commits in `has`; txn is the number
 * of the round that wrote it round       which commits are in cells, and which the round under way adds
 * (ch_view.c) owner       the controllers whose it is schema_version, progress: of version 1 */
#ifndef TW_DB_CH_SCHEMA_H
#define TW_DB_CH_SCHEMA_H

#include "db/clickhouse/ch_http.h"
#include "db/clickhouse/ch_sql.h"

/* The tables, but for the last two; by enum store_level first. */
enum ch_table {
    CH_SUMMARY,
    CH_CELL_1MIN,
    CH_CELL_10MIN,
    CH_CELL_1H,
    CH_CELL_1D,
    CH_LOSS_RUN,
    CH_LOSS_CHAIN,
    CH_GAP,
    CH_CURSOR,
    CH_BURNT,
    CH_OWNER,
    CH_ROUND,
    CH_TABLES
};
const char *ch_table_name(size_t table);
/* Sets of tables: for ch_http_sync(). */
#define CH_CELLS                                                                        \
    (ch_http_bit(CH_CELL_1MIN) | ch_http_bit(CH_CELL_10MIN) | ch_http_bit(CH_CELL_1H) | \
     ch_http_bit(CH_CELL_1D))
#define CH_ALL ((1U << CH_TABLES) - 1)

/* In ZooKeeper, of a cluster, a database, a table. */
#define CH_ZK_PATH "/clickhouse/tables/%s/%s/%s"

/* Where they are. */
struct ch_place {
    const char *database, *cluster; /* cluster: NULL: they are one server's */
    int64_t hosts;                  /* of the cluster */
    bool again;                     /* ZooKeeper knows the tables of a replica that has them no more */
};
/* Makes what is not there, and adds columns of newer counters. TW_EVERSION: made by a newer program; nothing
 * is touched. TW_EINUSE: of version 1, and another owner's; nothing is touched. TW_EINVAL: tables are there
 * that are replicated and should not be, or the other way round. */
enum tw_rc ch_schema_open(struct ch_http *h, const struct ch_place *place, int64_t owner, struct tw_err *err);
/* Has the server in use any of the tables? */
enum tw_rc ch_schema_is_here(struct ch_http *h, const char *database, bool *ret, struct tw_err *err);
/* Has those replicas of the cluster make the tables that have none. They do it by themselves, later, and get
 * all of what the others have. Only while nobody takes them for active: a replica that starts anew says that
 * it has everything before it knows what it lacks. */
enum tw_rc ch_schema_again(struct ch_http *h, const struct ch_place *place, struct tw_err *err);
/* What says that the database is another's. */
enum tw_rc ch_refuse_owner(const char *database, struct tw_err *err);
/* ch_upgrade.c: what version 1 knew of commits and rounds, as this version says it. Can be repeated. */
enum tw_rc ch_upgrade_state(struct ch_http *h, const char *database, struct tw_err *err);

/* "summary", "cell_1min", ... by enum store_level. */
extern const char *const ch_level_tables[];
/* Length of a partition of that level's table, in ns. */
int64_t ch_level_partition_ns(int level);

/* Runs the statement in *s. */
enum tw_rc ch_run(struct ch_http *h, struct ch_sql *s, struct tw_err *err);
/* One row of n numbers (Int64). TW_ENOENT: there is none. */
enum tw_rc ch_get_numbers(struct ch_http *h, struct ch_sql *s, int64_t *ret, size_t n, struct tw_err *err);

#endif
