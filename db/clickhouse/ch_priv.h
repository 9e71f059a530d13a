/* db/clickhouse/ch_priv.h - what the files of the history in ClickHouse share. */
#ifndef TW_DB_CH_PRIV_H
#define TW_DB_CH_PRIV_H

#include <stdatomic.h>
#include "db/batch.h"
#include "db/clickhouse/ch_history.h"
#include "db/clickhouse/ch_location.h"
#include "db/clickhouse/ch_row.h"
#include "db/clickhouse/ch_rows.h"
#include "db/clickhouse/ch_schema.h"
#include "db/clickhouse/ch_sync.h"
#include "db/clickhouse/ch_view.h"
#include "db/cursors.h"
#include "db/level.h"

#define CH_DAY_NS (86400 * TW_NS_PER_S)
/* A row that starts so much later than it was received came of a clock that was ahead: it must not hide those
 * that come after it. */
#define CH_EARLY_NS (60 * TW_NS_PER_S)
/* Where a partition of that length begins: as far as there are numbers. */
static inline int64_t ch_partition_begin(int64_t number, int64_t length_ns)
{
    int64_t at;

    return __builtin_mul_overflow(number, length_ns, &at) ? (number < 0 ? INT64_MIN : INT64_MAX) : at;
}

/* Pairs that one statement names: their numbers must fit max_query_size, 256 KiB by default. */
#define CH_PAIRS_MAX 5000

struct ch_db {
    struct ch_location where;
    struct ch_http *http;
    const char *name;  /* of the database */
    int64_t hosts;     /* of the cluster: replicas; 0: no cluster, or not known yet */
    struct ch_sql sql; /* the statement being put together */
    struct ch_sync sync;
};
enum tw_rc ch_db_open(struct ch_db *db, const char *location, struct tw_err *err);
void ch_db_close(struct ch_db *db);
enum tw_rc ch_no_memory(struct tw_err *err);

/* ch_replica.c: learns what cluster= of the location means; before any other statement. Nothing if that is
 * done, or there is none. TW_ENOENT, TW_EINVAL: the servers know no such cluster, or it is none of replicas.
 */
enum tw_rc ch_db_join(struct ch_db *db, struct tw_err *err);
/* Of replicas one is used that has the tables, if any has. */
enum tw_rc ch_db_find_tables(struct ch_db *db, struct tw_err *err);
/* Has a replica make its tables that was found without any, once ZooKeeper no longer takes it for what it
 * was. */
enum tw_rc ch_db_mend(struct ch_db *db, struct tw_err *err);
/* ch_peers.c: what replicas are not as they should be. */
struct ch_lacks {
    char text[160];        /* "": nothing */
    int64_t behind_s;      /* the worst of those that are there; as of looked_ns */
    char who[CH_NAME_MAX]; /* that one */
    int64_t looked_ns;     /* monotonic; 0: never */
};
enum tw_rc ch_db_lacks(struct ch_db *db, struct ch_lacks *l, struct tw_err *err);
/* Reads, from the beginning, what it then leaves to its ctx. */
typedef enum tw_rc (*ch_load_fn)(void *ctx, struct tw_err *err);
/* load(), and what it read of the tables (ch_http_bit()) is confirmed. It is called again if another server
 * came into use before that; what it left counts once this is TW_OK. TW_ETIMEOUT: servers come and go. */
enum tw_rc ch_db_load_settled(struct ch_db *db, unsigned tables, ch_load_fn load, void *ctx,
                              struct tw_err *err);

/* The statement in db->sql, row by row. */
enum tw_rc ch_db_select(struct ch_db *db, const enum ch_type *types, size_t n_types,
                        enum tw_rc (*fn)(void *ctx, struct wire_rd *row, struct tw_err *err), void *ctx,
                        struct tw_err *err);
/* " AND no copy of the row is among those of `rolled`", to db->sql; the caller adds what else is asked of
 * copies, and ")". */
void ch_db_begin_no_copy(struct ch_db *db, const struct ch_commits *rolled);
/* What copies of a summary have in common. */
#define CH_SUMMARY_KEY "pair_id, start_ns, flow, agent_id, spool_id, seq"

/* ---- Writing ---- */

/* Rows on their way into a table. */
struct ch_insert {
    const char *table, *columns;
    struct ch_buf rows;
    size_t n;
    int64_t days[64]; /* that they are of: a server takes rows of 100 partitions at most */
    size_t n_days;
};

struct ch_history {
    struct history base;
    struct ch_db db;
    struct cursors cursors;
    int64_t writer, txn;    /* of the next transaction, or the open one */
    int64_t run_first;      /* all of ours from this number on were done, but for txn */
    bool opened;            /* its tables are known to be there, and what is in them */
    int64_t owner, cluster; /* as in history_conf */
    int64_t (*maintainer)(void *ctx);
    void *maintainer_ctx;
    bool in_txn, broken;
    bool uncertain; /* something of txn may be at the server: the number is not to be used again */
    struct ch_insert summaries, runs, gaps, marks;
    struct ch_import *import; /* ch_import.c; NULL: nothing was */
    bool carrying;            /* as in history_conf */
    uint64_t txn_rows, txn_batches;
    struct store_stats stats; /* file_bytes and levels: of the moment stats_ns */
    int64_t stats_ns;         /* monotonic; 0: never */
    struct ch_lacks lacks;    /* as of then */

    /* Roll-up: ch_rollup.c. */
    struct ch_view view;     /* of when the round began; round_no: 0: none is under way */
    struct ch_buf has;       /* what cells have with this round, as a column's octets */
    int64_t lease, term;     /* maintainer()'s number when the term began; 0: none has */
    bool days_known;         /* days has all that have something of `noted` that no round has taken */
    struct ch_commits noted; /* of ours, since the start */
    struct ch_days {
        int64_t *v; /* sorted */
        size_t n, cap;
    } days, txn_days, round; /* txn_days: of the open transaction; round: those that are left of it */
    int64_t next_pair, looked_ns, fresh_since_ns;
    uint64_t round_rows; /* that waited when it began */
    bool mutating;       /* ch_retain.c: rows are being deleted */
    int64_t retain_now_ns, retain_rolled_no; /* the retention at hand, and the last round when it began */
    /* Partitions that go when the transaction is committed. */
    struct ch_drop {
        size_t what; /* ch_retain.c's own */
        int64_t partition;
    } * drops;
    size_t n_drops, cap_drops;
};

/* ch_write.c. txn, writer, nr of the open transaction: nr is txn, as a part of the key. */
void ch_put_commit(const struct ch_history *h, struct ch_buf *b);
/* Before a row of that partition; what was put before it may go to the server. */
enum tw_rc ch_insert_room(struct ch_history *h, struct ch_insert *to, int64_t partition, struct tw_err *err);
enum tw_rc ch_insert_send(struct ch_history *h, struct ch_insert *to, struct tw_err *err);
void ch_insert_forget(struct ch_insert *to);

/* ch_history.c: opens it, if that could not be done before. Outside of transactions. */
enum tw_rc ch_be_open(struct ch_history *h, struct tw_err *err);

/* ch_write.c */
/* Decides what is done and what is not, if that is uncertain. */
enum tw_rc ch_be_certain(struct ch_history *h, struct tw_err *err);
/* What needs no server. */
void ch_write_init(struct ch_history *h);
void ch_write_close(struct ch_history *h);
enum tw_rc ch_begin(struct history *base, struct tw_err *err);
enum tw_rc ch_commit(struct history *base, struct tw_err *err);
void ch_rollback(struct history *base);
enum tw_rc ch_append(struct history *base, const struct store_batch *b, enum store_append_result *ret,
                     uint64_t *ret_through, struct tw_err *err);
enum tw_rc ch_cursor(struct history *base, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                     struct store_cursor *ret, struct tw_err *err);
enum tw_rc ch_each_cursor(struct history *base,
                          enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                           const struct store_cursor *at),
                          void *ctx, struct tw_err *err);
enum tw_rc ch_learn_cursors(struct history *base, const int64_t *agent_ids, size_t n, struct tw_err *err);
enum tw_rc ch_forget_agent(struct history *base, int64_t agent_id, struct tw_err *err);

/* ch_rollup.c */
enum tw_rc ch_rollup_open(struct ch_history *h, struct tw_err *err);
void ch_rollup_close(struct ch_history *h);
enum tw_rc ch_rollup_note(struct ch_history *h, int64_t start_ns, int64_t received_ns, struct tw_err *err);
/* All that is done by now is in cells, as of a round that has ended. */
enum tw_rc ch_rollup_reached(struct ch_history *h, struct tw_err *err);
/* What cells have with that round, as octets of the column; empty: no memory. */
void ch_rollup_put_has(const struct ch_history *h, struct ch_buf *to);
/* One slice, whether it is time or not; more: the round is not at its end. */
enum tw_rc ch_rollup_slice(struct ch_history *h, int64_t now_ns, size_t max_rows, bool *ret_more,
                           struct tw_err *err);
/* What others have committed by now waits, too. */
enum tw_rc ch_rollup_look(struct ch_history *h, struct tw_err *err);
/* May this controller roll up and delete now? */
bool ch_may_maintain(const struct ch_history *h);
/* The open transaction is committed. */
void ch_rollup_committed(struct ch_history *h);
/* May something of the day that is committed be in no cell yet? */
bool ch_rollup_waits(const struct ch_history *h, int64_t day);
enum tw_rc ch_rollup(struct history *base, int64_t now_ns, size_t max_rows, bool *ret_more,
                     struct tw_err *err);
/* ch_import.c */
enum tw_rc ch_import(struct history *base, const struct history_row *row, struct tw_err *err);
enum tw_rc ch_import_send(struct ch_history *h, struct tw_err *err); /* before the marks */
void ch_import_forget(struct ch_history *h);
void ch_import_close(struct ch_history *h);
bool ch_import_is_under_way(const struct ch_history *h);
/* ch_stats.c */
void ch_stats(struct history *base, struct store_stats *ret);

/* ch_retain.c */
enum tw_rc ch_retain(struct history *base, const struct history_retention *r, bool *ret_more,
                     struct tw_err *err);
/* After the commit. What cannot be dropped now is said, and found again by the next retention. */
void ch_retain_drop(struct ch_history *h);

/* ---- Reading ---- */

struct ch_reader {
    struct history_reader base;
    struct ch_db db;
    atomic_bool stop; /* the operation that runs */
    struct ch_view view;
    struct tw_summary row;
};
/* Begins an operation of n pairs: *ret_ids sorted, each once, to be freed. */
enum tw_rc ch_reader_begin(struct ch_reader *r, const uint64_t *pair_ids, size_t *n, uint64_t **ret_ids,
                           struct tw_err *err);
/* r->view, for the operation, which will read those tables (ch_http_bit()). */
enum tw_rc ch_reader_look(struct ch_reader *r, unsigned tables, struct tw_err *err);
/* ch_db_select(), unless somebody wants no more. */
enum tw_rc ch_reader_select(struct ch_reader *r, const enum ch_type *types, size_t n_types,
                            enum tw_rc (*fn)(void *ctx, struct wire_rd *row, struct tw_err *err), void *ctx,
                            struct tw_err *err);
/* The types of `n_own` columns of the caller's and then those of a summary: types has room for n_own +
 * ROW_MAX. Returns how many. */
size_t ch_row_types(enum ch_type *types, size_t n_own);

/* The columns of a summary, into r->row. */
enum tw_rc ch_take_summary(struct ch_reader *r, struct wire_rd *row, struct tw_err *err);

enum tw_rc ch_reader_open(const struct history_conf *conf, struct history_reader **ret, struct tw_err *err);
void ch_reader_close(struct history_reader *base);
void ch_reader_interrupt(struct history_reader *base);
enum tw_rc ch_read_summaries(struct history_reader *base, const uint64_t *pair_ids, size_t n_pairs,
                             int64_t from_ns, int64_t to_ns,
                             enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                             struct tw_err *err);
enum tw_rc ch_read_loss_runs(struct history_reader *base, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                             enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                             struct tw_err *err);
enum tw_rc ch_read_loss_chains(struct history_reader *base, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                               enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                               void *ctx, struct tw_err *err);
enum tw_rc ch_read_gaps(struct history_reader *base, const int64_t *agent_ids, size_t n_agents,
                        enum history_gap_time by, int64_t from_ns, int64_t to_ns,
                        enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                        struct tw_err *err);
/* ch_latest.c */
enum tw_rc ch_read_latest(struct history_reader *base, const uint64_t *pair_ids, size_t n_pairs, unsigned without,
                          enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                          struct tw_err *err);
/* ch_export.c */
enum tw_rc ch_export_parts(struct history_reader *base,
                           enum tw_rc (*fn)(void *ctx, const struct history_part *p), void *ctx,
                           struct tw_err *err);
enum tw_rc ch_export_rows(struct history_reader *base, const struct history_part *p, uint64_t after,
                          enum tw_rc (*fn)(void *ctx, const struct history_row *row), void *ctx,
                          struct tw_err *err);
/* A row of runs or chains; ch_read.c. TW_ECORRUPT */
enum tw_rc ch_take_run(const struct ch_reader *r, struct wire_rd *row, struct tw_loss_run *ret,
                       uint64_t *ret_parts, struct tw_err *err);
/* The stretches of table cursor, spool by spool, into *ret, which is empty; ch_cursors.c. agents: NULL: all.
 */
enum tw_rc ch_load_cursors(struct ch_db *db, const int64_t *agents, size_t n, struct cursors *ret,
                           struct tw_err *err);
/* ch_span.c */
enum tw_rc ch_read_span(struct history_reader *base, const struct store_span *span,
                        const struct history_keeper *keeper, struct tw_err *err);

#endif
