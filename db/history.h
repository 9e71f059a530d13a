/* db/history.h - what a database must do to hold the history: one table of operations. SQLite is one
 * (db/sqlite/history.h); tests/unit/db/conform_history.c says what must hold of each.
 *
 * The history knows pairs and agents by their numbers alone; names, meshes and who may be in them are control
 * state, which may be in another database. What it needs of that comes as arguments: agents' numbers
 * (read_gaps), what is kept of a pair (history_kept), and the pairs of those who keep less than others
 * (history_retention). It never asks by itself, and refuses nothing for want of it: pairs and agents need not
 * be known.
 *
 * Threads: a `struct history` belongs to one thread. A `struct history_reader` to one at a time, but for
 * reader_interrupt(). Times are wall ns, UTC. Errors: one line in *err that names the database and says what
 * to do; TW_ENOSPC: no room left; TW_EIO, TW_ETIMEOUT, TW_ECLOSED: it cannot be reached, or failed: the same
 * again may succeed. Texts and rows given to callbacks are valid during the call; a result of theirs that is
 * not TW_OK ends the operation and is returned. */
#ifndef TW_DB_HISTORY_H
#define TW_DB_HISTORY_H

#include "db/store_history.h"

struct history_ops;

/* What every implementation's own begins with: the operations' table is set by open(), nothing else is
 * shared. */
struct history {
    const struct history_ops *ops;
};
struct history_reader {
    const struct history_ops *ops;
};

/* Where the history is; copied by open() and reader_open(). */
struct history_conf {
    const char *location; /* without the scheme: a path */
    bool may_be_away; /* open(): a server that cannot be reached is no error; look() and begin() open it then
                       */
    uint64_t owner; /* whose it is: one that is another's is not opened, and what is nobody's is from then on;
                       0: nobody asks. Those who write it at the same time have different numbers */
    uint64_t cluster; /* not 0: it is owned by all whose control state has this number, too */
    /* May this one roll up and delete now? A number that is higher whenever it becomes so again; 0: no. The
     * history's thread. NULL: it always may. */
    int64_t (*maintainer)(void *ctx);
    void *maintainer_ctx;
    bool carrying;  /* open(): also one that another history is being carried into (below), which else is
                       TW_EINUSE until all of that is there */
};

/* ---- Retention
 * ---------------------------------------------------------------------------------------------- */

/* What is kept of a pair: nothing that starts before from_ns at that level (INT64_MIN: everything). Whole
 * days, none later than that of the finer level before it. */
struct history_kept {
    int64_t from_ns[STORE_LEVELS];
    bool raw_only; /* it is of a test on demand: none of it is in cells */
};
/* What is kept of a pair, for read_span(): asked once or more for each pair of the span, in its thread. fn
 * NULL: everything. */
struct history_keeper {
    enum tw_rc (*fn)(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *err);
    void *ctx;
};

/* Pairs that keep less than others, or have kept less: nothing of theirs from before from_ns is wanted at
 * that level; before done_ns there is none any more (INT64_MIN: not known). */
struct history_group {
    const uint64_t *pair_ids; /* sorted, each once */
    size_t n_pairs;
    int64_t from_ns[STORE_LEVELS], done_ns[STORE_LEVELS];
};
struct history_retention {
    int64_t now_ns;
    int64_t from_ns[STORE_LEVELS]; /* from before it nobody keeps anything; whole days */
    const struct history_group *groups;
    size_t n_groups;
    /* In retain(): all of a group at that level from before its from_ns is gone, with the open transaction.
     */
    enum tw_rc (*done)(void *ctx, size_t group, enum store_level level, struct tw_err *err);
    void *ctx;
};

/* ---- Gaps
 * --------------------------------------------------------------------------------------------------- */

/* By which of its times a gap is looked for. */
enum history_gap_time {
    HISTORY_RECEIVED, /* it was received in [from, to) */
    HISTORY_SPOOLED /* what is gone had come into the spool in a time that is known and overlaps [from, to) */
};
/* Summaries that an agent's spool had to give up before they could be stored. */
struct history_gap {
    int64_t agent_id;
    uint64_t first_seq, last_seq; /* of its spool; any numbers: an agent says how much it lost */
    const char *reason;
    int64_t received_ns;
    int64_t from_ns, until_ns; /* when they had come into the spool; 0: not known */
};

/* ---- Carrying a history from one database to another (db/carry.h)
 * ------------------------------------------------------------------------------------------ */

/* In the order in which they are carried. */
enum history_kind {
    HISTORY_ROLLED, /* summaries that are in the cells there are, or in none ever */
    HISTORY_CELL,
    HISTORY_WAITING, /* summaries that are yet to be rolled up */
    HISTORY_RUN,
    HISTORY_CHAIN, /* of loss runs */
    HISTORY_GAP,
    HISTORY_CURSOR,
    HISTORY_KINDS
};
/* Rows of one kind and, of cells, level, of some time. */
struct history_part {
    enum history_kind kind;
    enum store_level level; /* of cells; else STORE_RAW */
    int64_t from_ns, to_ns; /* rows begin in it */
    uint64_t rows;          /* about so many */
};
/* Only what its kind has is set. */
struct history_row {
    enum history_kind kind;
    enum store_level level;
    uint64_t at;                      /* its place in the part, from 1 on; several may have the same */
    const struct tw_summary *summary; /* also what is merged in a cell; its runs are rows of their own */
    bool early; /* of a clock that was ahead: it is not the latest of its flow while there is another */
    int64_t cell_ns, longest_ns;
    uint64_t n_rows, n_whole;
    uint64_t pair_id, parts; /* of a run or chain */
    const struct tw_loss_run *run;
    const struct history_gap *gap;
    int64_t agent_id; /* of a cursor; of a summary, with spool and number what tells it from all others */
    uint8_t spool_id[STORE_ID_LEN]; /* of a cursor, gap or summary */
    uint64_t seq;
    struct store_cursor cursor;
};
/* Whose cursors say how far it has come: no agent has that number. Of one that is under way, and of what is
 * all there. */
#define HISTORY_CARRYING (-INT64_MAX)
#define HISTORY_CARRIED (-INT64_MAX + 1)

/* ---- The operations
 * ----------------------------------------------------------------------------------------- */

struct history_ops {
    const char *scheme; /* of its locations: "sqlite" */

    /* Opens, makes or migrates what is at the location. TW_ECORRUPT, TW_EVERSION: nothing is touched.
     * TW_EINUSE: it belongs to another controller. On TW_OK the caller ends *ret with close(), which gives up
     * what is not committed. */
    enum tw_rc (*open)(const struct history_conf *conf, struct history **ret, struct tw_err *err);
    void (*close)(struct history *h);

    /* Transactions. Between begin() and commit() what is written is seen by cursor() and each_cursor(), but
     * by no reader. TW_EINVAL: one is open already, or none is. commit(): all of it is durable on TW_OK, and
     * every reader that begins to read later sees it. On an error none of it is to be seen, now or later,
     * though a connection that was lost may leave that open: the same batches again, after a new open() if
     * need be, are then stored once all the same. On an error of commit() the transaction is over (rolled
     * back). */
    enum tw_rc (*begin)(struct history *h, struct tw_err *err);
    enum tw_rc (*commit)(struct history *h, struct tw_err *err);
    void (*rollback)(struct history *h); /* without one: nothing */

    /* As store_append(), but any agent will do. Each (agent, spool, number) is stored once, whatever is
     * repeated and however batches overlap: that, and what of it is missing, is judged by the cursor of the
     * moment. A gap stores one history_gap for each stretch that was missing. TW_EINVAL (numbers that cannot
     * be; no open transaction) and STORE_REPEATED, STORE_OUT_OF_SEQ leave the transaction as it was; after
     * any other error it can only be rolled back: commit() fails. */
    enum tw_rc (*append)(struct history *h, const struct store_batch *b, enum store_append_result *ret,
                         uint64_t *ret_through, struct tw_err *err);
    /* What is stored of (agent, spool), with the open transaction. TW_ENOENT: nothing. */
    enum tw_rc (*cursor)(struct history *h, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                         struct store_cursor *ret, struct tw_err *err);
    /* All of them that store something. */
    enum tw_rc (*each_cursor)(struct history *h,
                              enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                               const struct store_cursor *at),
                              void *ctx, struct tw_err *err);
    /* What others that write the same database have stored of these agents: cursor() knows it from now on,
     * also in and behind the open transaction. Of a database that nobody else writes there is nothing to do.
     */
    enum tw_rc (*learn_cursors)(struct history *h, const int64_t *agent_ids, size_t n, struct tw_err *err);
    /* Forgets the cursors of an agent, whose number will not be used again; what it measured stays. In the
     * open transaction, or else in its own. */
    enum tw_rc (*forget_agent)(struct history *h, int64_t agent_id, struct tw_err *err);

    /* One step of retention in the open transaction, of a bounded amount of work; *ret_more: call again, with
     * the same until it is false or the transaction is rolled back. First what nobody keeps goes, then what
     * groups keep no more. A summary that is in no cell yet is rolled up before it goes. Loss runs go with
     * the summaries, gaps and chains of loss runs as the coarsest level. Latest summaries that go are the
     * latest no more. Readers do not look for what history_kept says is gone, so it does not matter how much
     * later it goes. */
    enum tw_rc (*retain)(struct history *h, const struct history_retention *r, bool *ret_more,
                         struct tw_err *err);
    /* As store_rollup(); a database that rolls up by itself has nothing to do. In a transaction of its own:
     * none is open. */
    enum tw_rc (*rollup)(struct history *h, int64_t now_ns, size_t max_rows, bool *ret_more,
                         struct tw_err *err);
    /* What it does not know is 0. */
    void (*stats)(struct history *h, struct store_stats *ret);

    /* These three may be NULL of a database that is in this process.
     * look(): is it there? Outside of transactions. One that was away is opened as by open(). An error says
     * why not, within seconds. */
    enum tw_rc (*look)(struct history *h, struct tw_err *err);
    void (*info)(struct history *h, struct store_history_info *ret);
    /* From now on nothing is waited for beyond that moment (monotonic clock). Any thread. */
    void (*hurry)(struct history *h, int64_t by_mono_ns);

    /* After an open() of the same location by any process. */
    enum tw_rc (*reader_open)(const struct history_conf *conf, struct history_reader **ret,
                              struct tw_err *err);
    void (*reader_close)(struct history_reader *r);
    /* Of any thread: the operation that runs by the reader, if one does, ends with an error soon. */
    void (*reader_interrupt)(struct history_reader *r);

    /* Reading: as the function of db/store_history.h with the name, which says order and bounds. Each call
     * sees one moment: a commit counts as a whole or not at all. Numbers of pairs may be in any order,
     * several times, and of pairs that nothing is stored of. */
    enum tw_rc (*read_summaries)(struct history_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                                 int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                                 struct tw_err *err);
    enum tw_rc (*read_span)(struct history_reader *r, const struct store_span *span,
                            const struct history_keeper *keeper, struct tw_err *err);
    enum tw_rc (*read_loss_runs)(struct history_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                                 struct tw_err *err);
    enum tw_rc (*read_loss_chains)(struct history_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                   enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                                   void *ctx, struct tw_err *err);
    enum tw_rc (*read_latest)(struct history_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                              unsigned without, enum tw_rc (*fn)(void *ctx, const struct tw_summary *s),
                              void *ctx, struct tw_err *err);
    /* Gaps of these agents, each number once. In no order. */
    enum tw_rc (*read_gaps)(struct history_reader *r, const int64_t *agent_ids, size_t n_agents,
                            enum history_gap_time by, int64_t from_ns, int64_t to_ns,
                            enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                            struct tw_err *err);

    /* Carrying. These may be NULL: nothing is taken from that database, or put into it.
     * export_parts(): everything that is stored, in parts of which none overlap; no order. Nobody writes
     * meanwhile. export_rows(): a part's rows from behind place `after` on, in order of places. A row that
     * cannot be read is an error. */
    enum tw_rc (*export_parts)(struct history_reader *r,
                               enum tw_rc (*fn)(void *ctx, const struct history_part *p), void *ctx,
                               struct tw_err *err);
    enum tw_rc (*export_rows)(struct history_reader *r, const struct history_part *p, uint64_t after,
                              enum tw_rc (*fn)(void *ctx, const struct history_row *row), void *ctx,
                              struct tw_err *err);
    /* In the open transaction of a history opened as `carrying`, kinds in their order; at least one row of a
     * cursor in each transaction, which moves on. The same row again, in this or a later transaction, is one.
     * After an error the transaction can only be rolled back. */
    enum tw_rc (*import)(struct history *h, const struct history_row *row, struct tw_err *err);
};

#endif
