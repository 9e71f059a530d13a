/* db/sqlite/history_priv.h - what the files of the SQLite history share. */
#ifndef TW_DB_HISTORY_PRIV_H
#define TW_DB_HISTORY_PRIV_H

#include "db/sqlite/cells.h"
#include "db/cursors.h"
#include "db/sqlite/history.h"
#include "db/sqlite/runs.h"
#include "db/sqlite/statements.h"

/* A row of the open transaction that may become its flow's latest. */
struct latest_row {
    uint64_t pair_id;
    uint32_t flow;
    int64_t start_ns, day, row;
    int64_t ahead_ns; /* a latest that starts after this is none */
};

/* What one table of a level holds. */
struct part_state {
    struct cells_part part;                     /* raw: a day */
    int64_t rows, octets, add_rows, add_octets; /* add_: in the open transaction */
};
/* A summary of the round under way. */
struct round_row {
    uint64_t pair_id;
    int64_t start_ns, row;
    uint32_t flow;
};
struct level_acc {
    bool active;
    struct cell_row cell;
    int64_t schema_version; /* of the statements of spans */
};
struct rollup {
    struct level_day *days,
        *durable;                    /* by day; as the open transaction has them, and as they are committed */
    size_t n_days, cap_days, at_day; /* at_day: looked up last */
    struct part_state *parts;
    size_t n_parts, cap_parts, at_part[STORE_LEVELS];
    /* The round under way; v NULL: none. */
    size_t day, n, at; /* day: in days */
    struct round_row *v;
    int64_t round_since_ns, fresh_since_ns; /* when the first of its rows came, and of those behind it */
    struct level_acc acc[STORE_LEVELS];
    struct cells_writer writers[STORE_LEVELS];
    struct cell_row stored;
    struct tw_summary row;
    struct day_cache by_row;
    uint64_t add_rows, add_cells; /* of the open transaction */
    bool slicing;                 /* that is a slice */
};

/* What retain() is at. */
struct retain_todo {
    struct cells_part part;
    int group;      /* its rows only; -1: the whole table */
    bool last;      /* of the group and level: it is done */
    size_t at_pair; /* of the group: next */
};
struct retain {
    bool active;
    struct retain_todo *todo;
    size_t n_todo, cap_todo, at;
};

struct sqlite_history {
    struct history base;
    struct sq q;
    enum tw_rc broken; /* a write of the open transaction failed half-way: it cannot be committed */
    struct cursors cursors;
    struct day_cache insert, insert_runs;
    struct latest_row *latest;
    size_t n_latest, cap_latest;
    uint8_t *scratch; /* ROW_SCRATCH, encoded histograms of the row being inserted */
    struct store_stats stats;
    uint64_t pending_rows, pending_batches;
    bool
        floor_raised; /* as committed: schema_floor keeps programs out that know nothing of stretches ahead */
    bool floor_now;   /* with the open transaction */
    struct rollup rollup;
    struct retain retain;
    bool shrink; /* the open transaction drops days: give room back after it */
};

struct sqlite_reader {
    struct history_reader base;
    struct sq q;
    struct day_cache range, by_row, latest, runs, tail, cells, longest;
    struct tw_summary row;
    struct cell_row cell;
    int64_t schema_version; /* of the statements of spans */
};

/* Of the table's arguments. */
static inline struct sqlite_history *sqlite_of(struct history *h)
{
    return (struct sqlite_history *)h;
}
static inline struct sqlite_reader *sqlite_reader_of(struct history_reader *r)
{
    return (struct sqlite_reader *)r;
}

/* history_read.c: a sorted copy of ids, malloc'ed. */
uint64_t *history_sorted_ids(const uint64_t *ids, size_t n);

/* rollup_txn.c, rollup_days.c, history_rollup.c */
enum tw_rc rollup_open(struct sqlite_history *s, struct tw_err *err);
void rollup_close(struct sqlite_history *s);
/* A row came into a day's table. */
enum tw_rc rollup_note(struct sqlite_history *s, int64_t day, int64_t row, uint64_t octets,
                       int64_t received_ns, struct tw_err *err);
enum tw_rc rollup_flush(struct sqlite_history *s, struct tw_err *err); /* before a commit */
void rollup_committed(struct sqlite_history *s);
void rollup_rolled_back(struct sqlite_history *s);
/* Are there summaries of the day that are in no cell yet? */
bool rollup_waits(struct sqlite_history *s, int64_t day);
/* A slice of that day in the open transaction. */
enum tw_rc rollup_now(struct sqlite_history *s, int64_t day, size_t max_rows, struct tw_err *err);
void rollup_stats(const struct sqlite_history *s, struct store_stats *ret);
/* The table is gone, in the open transaction. */
enum tw_rc rollup_forget(struct sqlite_history *s, const struct cells_part *p, struct tw_err *err);
/* Something of it was deleted, in the open transaction. */
enum tw_rc rollup_part_add(struct sqlite_history *s, const struct cells_part *p, int64_t rows, int64_t octets,
                           struct tw_err *err);

/* history_retain.c: begins anew. */
void retain_forget(struct sqlite_history *s);

/* history_append.c: writes what a transaction collected; at its end. */
enum tw_rc history_flush_pending(struct sqlite_history *s, struct tw_err *err);

/* ---- Operations of the table (db/history.h) ---- */

/* history.c */
enum tw_rc sqlite_begin(struct history *h, struct tw_err *err);
enum tw_rc sqlite_commit(struct history *h, struct tw_err *err);
void sqlite_rollback(struct history *h);

/* history_append.c */
enum tw_rc sqlite_append(struct history *h, const struct store_batch *b, enum store_append_result *ret,
                         uint64_t *ret_through, struct tw_err *err);
enum tw_rc sqlite_cursor(struct history *h, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                         struct store_cursor *ret, struct tw_err *err);
enum tw_rc sqlite_learn_cursors(struct history *h, const int64_t *agent_ids, size_t n, struct tw_err *err);
enum tw_rc sqlite_each_cursor(struct history *h,
                              enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                               const struct store_cursor *at),
                              void *ctx, struct tw_err *err);
enum tw_rc sqlite_forget_agent(struct history *h, int64_t agent_id, struct tw_err *err);

/* history_retain.c, history_rollup.c */
enum tw_rc sqlite_retain(struct history *h, const struct history_retention *r, bool *ret_more,
                         struct tw_err *err);
enum tw_rc sqlite_rollup(struct history *h, int64_t now_ns, size_t max_rows, bool *ret_more,
                         struct tw_err *err);

/* history_read.c, history_span.c */
enum tw_rc sqlite_reader_open(const struct history_conf *conf, struct history_reader **ret,
                              struct tw_err *err);
void sqlite_reader_close(struct history_reader *r);
void sqlite_reader_interrupt(struct history_reader *r);
enum tw_rc sqlite_read_summaries(struct history_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                                 int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                                 struct tw_err *err);
enum tw_rc sqlite_read_span(struct history_reader *r, const struct store_span *span,
                            const struct history_keeper *keeper, struct tw_err *err);
enum tw_rc sqlite_read_loss_runs(struct history_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                                 struct tw_err *err);
enum tw_rc sqlite_read_loss_chains(struct history_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                   enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                                   void *ctx, struct tw_err *err);
enum tw_rc sqlite_read_latest(struct history_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                              unsigned without, enum tw_rc (*fn)(void *ctx, const struct tw_summary *s),
                              void *ctx, struct tw_err *err);
enum tw_rc sqlite_read_gaps(struct history_reader *r, const int64_t *agent_ids, size_t n_agents,
                            enum history_gap_time by, int64_t from_ns, int64_t to_ns,
                            enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                            struct tw_err *err);

/* history_export.c */
enum tw_rc sqlite_export_parts(struct history_reader *r,
                               enum tw_rc (*fn)(void *ctx, const struct history_part *p), void *ctx,
                               struct tw_err *err);
enum tw_rc sqlite_export_rows(struct history_reader *r, const struct history_part *p, uint64_t after,
                              enum tw_rc (*fn)(void *ctx, const struct history_row *row), void *ctx,
                              struct tw_err *err);

#endif
