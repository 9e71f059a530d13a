/* db/store_history.h - the history: summaries, what they add up to, and how far each spool is stored. As
 * db/store.h: writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a
 * non-OK result of fn stops and is returned. */
#ifndef TW_DB_STORE_HISTORY_H
#define TW_DB_STORE_HISTORY_H

#include "common/seqset.h"
#include "common/stats.h"
#include "db/store_base.h"

/* ---- Levels: summaries, and what they add up to
 * ------------------------------------------------------------- */

/* A roll-up row is the merge (common/stats.h) of all scheduled summaries of a pair and flow that start in a
 * cell of the level: cells begin at whole multiples of its length, UTC. Summaries as long as a cell, or
 * longer, are in no cell of that level; those of tests on demand in none at all. */
enum store_level { STORE_RAW, STORE_1MIN, STORE_10MIN, STORE_1H, STORE_1D, STORE_LEVELS };
const char *store_level_name(enum store_level l); /* "raw", "1min", "10min", "1h", "1d" */
enum tw_rc store_level_parse(const char *name, enum store_level *ret);
int64_t store_level_ns(enum store_level l); /* length of a cell; 0: raw */

/* ---- Summaries: exactly once
 * -------------------------------------------------------------------------------- */

/* A batch of consecutive records of one agent's spool: n summaries, or one gap (n == 0, gap_last_seq != 0).
 */
struct store_batch {
    int64_t agent_id;
    uint8_t spool_id[STORE_ID_LEN];
    uint64_t first_seq;
    const struct tw_summary *rows;
    size_t n;
    uint64_t gap_last_seq;
    const char *gap_reason;
    int64_t gap_from_ns, gap_until_ns; /* when what is gone had come into the spool; 0: not known */
    int64_t received_ns;
    bool ahead; /* fresh results: what is missing below them comes later */
};
enum store_append_result {
    STORE_APPENDED,  /* rows and cursor are in the open transaction */
    STORE_REPEATED,  /* all of it is stored already: acknowledge */
    STORE_OUT_OF_SEQ /* first_seq > cursor + 1, and it is not ahead, or there is no room for one more stretch
                        ahead: refuse */
};
/* What is stored of (agent, spool): all up to `through` (0: nothing), and stretches ahead of it. While there
 * are any, only programs that know of them may open the file. */
struct store_cursor {
    uint64_t through;
    struct seqset ahead;
};
/* Inside store_begin/commit. What of the batch is stored already is skipped. The first batch of a spool id
 * not seen before may start at any number, unless it is ahead. *ret_through: the cursor afterwards. Also
 * keeps `latest`. TW_EINVAL (numbers that cannot be) and TW_ENOENT (no such agent) refuse the batch and leave
 * the transaction good; after any other error it can only be rolled back. */
enum tw_rc store_append(struct store *s, const struct store_batch *b, enum store_append_result *ret,
                        uint64_t *ret_through, struct tw_err *err);
/* The cursor of (agent, spool); TW_ENOENT: nothing stored of it yet. */
enum tw_rc store_cursor(struct store *s, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                        uint64_t *ret_through);
/* And what is stored beyond it; all zero: nothing of it. */
enum tw_rc store_full_cursor(struct store *s, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                             struct store_cursor *ret, struct tw_err *err);
/* What other controllers have stored of these agents is known from now on; see history_ops.learn_cursors. */
enum tw_rc store_learn_cursors(struct store *s, const int64_t *agent_ids, size_t n, struct tw_err *err);
enum tw_rc store_each_cursor(struct store *s,
                             enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                              const struct store_cursor *at),
                             void *ctx, struct tw_err *err);
/* How long each level is kept; in a mesh's own 0 means the default. Each is kept at least as long as the
 * finer ones, and whole days. */
struct store_keep {
    int64_t ns[STORE_LEVELS];
};
struct store_retention {
    int64_t now_ns;
    struct store_keep keep; /* none 0 */
    const struct store_mesh_keep {
        const char *mesh;
        struct store_keep keep;
    } * meshes; /* those that differ */
    size_t n_meshes;
};
/* One step: *ret_more: call again, with the same. Tables that nobody keeps go whole, rows of meshes that keep
 * less than others by thousands; readers look for neither from the first step on. A day goes only when it is
 * rolled up. Loss runs and tests on demand are kept like summaries, gaps and scheduled intervals as long as
 * the coarsest level. In the open transaction, or else in its own. */
enum tw_rc store_retain(struct store *s, const struct store_retention *r, bool *ret_more, struct tw_err *err);

struct store_level_stats {
    uint64_t rows, bytes; /* bytes: of rows and index entries, without what pages leave empty */
    int64_t oldest_ns; /* nothing in it is older, to the day (1min), month or year (1d) of its table; 0: it is
                          empty */
};
struct store_stats {
    uint64_t rows_written, batches, commits, commit_errors, repeated_batches, out_of_seq_batches;
    uint64_t file_bytes, free_bytes, wal_bytes; /* free: in the file, for what comes next */
    struct store_level_stats levels[STORE_LEVELS];
    uint64_t rollup_rows;    /* summaries rolled up */
    uint64_t rollup_cells;   /* rows of roll-ups written or written again */
    uint64_t rollup_slices;  /* their commits */
    uint64_t rollup_damaged; /* summaries and cells that could not be read, and are left out */
    uint64_t rollup_waiting; /* summaries that are not rolled up yet: answers count them nevertheless */
    int64_t
        rollup_since_ns; /* when the first of those came; 0: none waits, or they are from before the start */
};
void store_stats(struct store *s, struct store_stats *ret);

/* A history in a database of its own, so far. */
struct store_history_info {
    bool apart;                     /* false: it is in the control state's file, and the rest is empty */
    char backend[16];               /* "clickhouse" */
    char address[160];              /* its servers and database; no secret is in it */
    char server[64];                /* the one of them that is used now */
    uint64_t inserts, insert_bytes; /* confirmed */
    uint64_t statements, failures;  /* that no server took */
    uint64_t moves;                 /* to another server */
    char lacks[160]; /* of what should be there though it goes on without: a replica; "": nothing */
    int64_t behind_s; /* of replicas: the age of the oldest change that one which is there has not got yet */
};
void store_history_info(struct store *s, struct store_history_info *ret);
/* Is the history there? Outside of transactions. Always of one that is not apart. May take some seconds. */
enum tw_rc store_look_history(struct store *s, struct tw_err *err);

/* One slice of the roll-up in a transaction of its own: all that waits of some pairs, max_rows summaries or a
 * few more. *ret_more: there is more to do now. Nothing is lost or twice whenever it ends: the slice and how
 * far it came are one commit. A summary that cannot be read is counted and left out. */
enum tw_rc store_rollup(struct store *s, int64_t now_ns, size_t max_rows, bool *ret_more, struct tw_err *err);

/* ---- Reading
 * ------------------------------------------------------------------------------------------------ */

/* What a reader of summaries can do without. It may be left out of them (0, empty), and each column that is
 * not read saves time: a matrix of losses comes in less than half of the time that whole summaries take.
 * Always there are pair, flow, start, end, status, test, probes sent, received and lost, and windows. The
 * digest is looked at of whole summaries alone. */
enum store_part {
    STORE_DELAYS = 1, /* histograms; residence; clocks, which say whether one-way delays are valid */
    STORE_JITTER = 2,
    STORE_HOST = 4, /* what this host may have caused: summary_trouble() */
    STORE_REST = 8, /* all else */
    STORE_PARTS = 16
};
/* Summaries with start in [from, to), all flows, of the given pairs, in order of (pair, start, flow); each
 * valid during fn. n_pairs == 0: none. */
enum tw_rc store_read_summaries(struct store_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                                int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                                struct tw_err *err);
/* ---- Reading spans
 * ------------------------------------------------------------------------------------------ */

struct store_cell {
    const struct tw_summary *merged; /* its runs are not listed */
    enum store_level level;
    int64_t from_ns, until_ns; /* of the cell; raw: of the summary */
    uint64_t rows;             /* summaries in it */
    uint64_t whole;            /* those of them that are whole report periods [k P, (k + 1) P) */
};
struct store_span {
    const uint64_t *pair_ids;
    size_t n_pairs;
    int64_t from_ns, to_ns;
    int64_t step_ns; /* not 0: no cell goes over a multiple of it, while levels as fine are kept */
    unsigned without; /* enum store_part, a bit each */
    int64_t
        raw_from_ns; /* from here on only summaries; INT64_MAX: cells wherever they fit, INT64_MIN: nowhere */
    /* May be NULL; before a pair's cells. What they stand for: more than [from, to) where retention has left
     * only cells that stick out, nothing at all (from >= to) where it has left none. */
    void (*covers)(void *ctx, uint64_t pair_id, int64_t from_ns, int64_t to_ns);
    enum tw_rc (*fn)(
        void *ctx,
        const struct store_cell *c); /* each valid during fn; a non-OK result stops and is returned */
    void *ctx;
};
/* All that is stored of [from, to), each summary exactly once, by itself or as part of a cell: the coarsest
 * cells that fit, finer ones and summaries at the edges and for what no roll-up has reached yet. Pair by pair
 * in order of id, each once; in no order within a pair. */
enum tw_rc store_read_span(struct store_reader *r, const struct store_span *span, struct tw_err *err);

/* A pair's loss runs with start in [from, to), all flows, in order of (start, flow); each valid during fn.
 * Parts of runs that go on over the end of a report period are not joined (common/loss_runs.h). A summary
 * lists its longest runs only. */
enum tw_rc store_read_loss_runs(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                                struct tw_err *err);
/* The same for reports, which join them. Of days whose summaries are gone only runs that go on over the end
 * of a report period are left, as far as they are joined within an hour (UTC): `parts` runs of summaries are
 * in it. Where summaries are kept each run comes by itself, as one part. */
enum tw_rc store_read_loss_chains(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                  enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                                  void *ctx, struct tw_err *err);
/* The latest summary of each flow of each given pair: pair by pair, each once. without: enum store_part, a
 * bit each. */
enum tw_rc store_read_latest(struct store_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                             unsigned without, enum tw_rc (*fn)(void *ctx, const struct tw_summary *s),
                             void *ctx, struct tw_err *err);

#endif
