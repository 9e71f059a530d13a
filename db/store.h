/* db/store.h - the controller's history and control state. Coarse on purpose, so that another database can stand behind it.
 *
 * One `struct store` (read-write) belongs to one thread, the store writer. Any number of `struct store_reader` (read-only), one thread
 * each at a time. All times are wall ns, UTC. */
#ifndef TW_DB_STORE_H
#define TW_DB_STORE_H

#include "common/seqset.h"
#include "common/stats.h"

struct store;
struct store_reader;

#define STORE_ID_LEN 16
#define STORE_KEY_LEN 32
#define STORE_NAME_MAX 64

/* Opens, creates or migrates (migrations are embedded, numbered, each in its own transaction; the schema version is PRAGMA user_version).
 * TW_ECORRUPT (quick_check fails or not a database; files over 64 MiB: the raw days are not checked, so that a start is quick),
 * TW_EVERSION (made by a newer program): the file is left untouched and *err says what to do. TW_EPERM, TW_ENOSPC, TW_ENOENT (no such
 * directory), TW_EINUSE (another controller has it open: an advisory lock on PATH.lock is held while open). */
enum tw_rc store_open(const char *path, struct store **ret, struct tw_err *err);
void store_close(struct store *s);
/* After store_open() of the same file. While a reader's fn runs, the same reader takes no other call. */
enum tw_rc store_reader_open(const char *path, struct store_reader **ret, struct tw_err *err);
void store_reader_close(struct store_reader *r);
/* Ends the statement that another thread runs by this reader, if one does, with an error. */
void store_reader_interrupt(struct store_reader *r);

/* ---- Transactions: the writer groups many changes in one commit ------------------------------------------- */
enum tw_rc store_begin(struct store *s, struct tw_err *err);
/* Durable on TW_OK (synchronous=FULL). On an error everything since store_begin() is gone; TW_ENOSPC: disk full. */
enum tw_rc store_commit(struct store *s, struct tw_err *err);
void store_rollback(struct store *s);

/* ---- Agents ------------------------------------------------------------------------------------------------ */
struct store_agent {
    int64_t id; /* 0 = new: store_put_agent() fills it */
    char name[STORE_NAME_MAX];
    uint8_t public_key[STORE_KEY_LEN];
    bool approved;
    int64_t first_seen_ns, approved_ns, last_contact_ns;
    char software[STORE_NAME_MAX];
    char *enrolment; /* JSON as enrolled (labels, addresses, ...); may be NULL */
    char *ops;       /* JSON: what operators said of it; may be NULL */
};
/* TW_EEXIST: another agent has the name. TW_ENOENT: no agent has the id. */
enum tw_rc store_put_agent(struct store *s, struct store_agent *a, struct tw_err *err);
/* Everything that has this name as source or target gets the other one: pairs keep their ids, and with them their history. In the open
 * transaction. TW_EEXIST: there is such a pair under the new name already. */
enum tw_rc store_rename_source(struct store *s, const char *from, const char *to, struct tw_err *err);
/* From now on the agent is in maintenance at these times, and at no others; what was before stays as it was. In the open
 * transaction. */
struct store_time {
    int64_t from_ns, to_ns; /* [from, to) */
};
enum tw_rc store_put_maintenance(struct store *s, const char *agent, int64_t now_ns, const struct store_time *v,
                                 size_t n, struct tw_err *err);
/* Its history stays; its cursor and key go. */
enum tw_rc store_remove_agent(struct store *s, int64_t id, struct tw_err *err);
/* Each row is valid during fn; a non-OK result of fn stops and is returned. */
enum tw_rc store_each_agent(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_agent *a), void *ctx,
                            struct tw_err *err);

/* ---- Meshes, pairs, generations ----------------------------------------------------------------------------- */
struct store_mesh {
    char name[STORE_NAME_MAX];
    const char *document; /* as applied */
    bool paused;
    uint64_t generation; /* in which it last changed */
    int64_t changed_ns;
    const char *author;
};
/* The history keeps what it was before; a generation changes a mesh once. */
enum tw_rc store_put_mesh(struct store *s, const struct store_mesh *m, struct tw_err *err);
enum tw_rc store_remove_mesh(struct store *s, const char *name, uint64_t generation, struct tw_err *err);
enum tw_rc store_each_mesh(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_mesh *m), void *ctx,
                           struct tw_err *err);

/* A pair keeps its id for ever, also when an agent of it gets another name: the same (mesh, class, source, target) always gets the same one. */
struct store_pair {
    uint64_t id;
    const char *mesh, *class_name, *source, *target; /* each shorter than STORE_NAME_MAX */
    uint8_t slot; /* of its interval, in which its runs begin (controller/core/spread.h); 0: it never ran by one */
};
/* The id that belongs to these names (p->id is not read): a hash, 1..2^53-1 (exact in JSON too), so that it is the same in every database and
 * an agent's spool can refill an empty one. */
uint64_t store_pair_id(const struct store_pair *p);
/* Finds or makes; fills p->id. It gets the slot, if that is not 0. Where another pair has the id that belongs to these names (it was made for a pair whose agent has another
 * name now, or, one in 10^4 for a million pairs, by chance) it gets the next one that is free. */
enum tw_rc store_put_pair(struct store *s, struct store_pair *p, struct tw_err *err);
/* Another slot. TW_ENOENT: there is no such pair. */
enum tw_rc store_put_slot(struct store *s, uint64_t pair_id, uint8_t slot, struct tw_err *err);
/* The names are valid during fn. */
enum tw_rc store_each_pair(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_pair *p), void *ctx,
                           struct tw_err *err);

/* When a pair was scheduled and what to do, so that what is missing can be told from what was never asked for. Opens an interval at
 * from_ns, or closes the open one at until_ns. Scheduling a pair again with the same expectation changes nothing (the session runs on; if it begins anew,
 * unschedule it first); with another it closes the open interval and opens one. Unscheduling without an open interval is no error. */
struct store_expectation {
    int64_t report_period_ns;
    uint32_t flows;
    /* When it runs (common/times.h). */
    bool rule_unknown;      /* reading: from before rules were kept; the next six are 0 */
    uint64_t rule_id;       /* by its octets; 0: it runs always */
    const uint8_t *rule;    /* packed */
    size_t rule_len;
    int64_t spacing_ns;     /* of its probes */
    bool exponential;
    uint8_t slot;           /* as the pair's at that time; 0: from before there were any */
};
enum tw_rc store_pair_scheduled(struct store *s, uint64_t pair_id, uint64_t generation, const struct store_expectation *x,
                                int64_t from_ns, struct tw_err *err);
enum tw_rc store_pair_unscheduled(struct store *s, uint64_t pair_id, int64_t until_ns, struct tw_err *err);

/* ---- Why something is missing ------------------------------------------------------------------------------- */

enum store_cause {
    STORE_REFUSED,    /* the agent did not take the session: its limits, what it cannot do */
    STORE_DROPPED,    /* its spool had to give it up */
    STORE_AGENT_DOWN, /* it did not run: between the last that was heard of it and its next start */
    STORE_AWAITED,    /* nothing is heard of it now: it may run, and its results may come yet */
    STORE_UNKNOWN,
    STORE_CAUSES
};
const char *store_cause_name(enum store_cause c); /* "refused", "dropped", "agent_down", "awaited", "unknown" */
/* The connection to an agent is gone; nothing has been heard of it since from_ns. Again before it is found: nothing. In the open transaction. */
enum tw_rc store_agent_lost(struct store *s, const char *source, int64_t from_ns, struct tw_err *err);
/* It is back, and runs since started_ns: if that is later than when it was lost, it was down between. */
enum tw_rc store_agent_found(struct store *s, const char *source, int64_t started_ns, struct tw_err *err);
struct store_refusal {
    uint64_t pair_id;
    const char *reason;
    bool known; /* the store's own */
};
/* What it refuses from at_ns on, all of it; sorts v. What it refused before and does not any more ends. */
enum tw_rc store_put_refusals(struct store *s, const char *source, struct store_refusal *v, size_t n, int64_t at_ns,
                              struct tw_err *err);

struct store_generation {
    uint64_t number;
    uint64_t first;       /* stands for first..number, none of which but the last touched a mesh; 0 = number */
    int64_t time_ns;
    const char *author;
    const char *what;     /* was done: "apply voice" */
    const char *reason;   /* as the author gave it; may be "" */
    uint64_t pairs, added, removed, changed; /* of all meshes; after it, and by it */
    bool counted;         /* reading: false: made before pairs were counted */
    bool complete;        /* reading: the documents of all meshes in it are known */
};
/* Takes the place of the rows from `first` on. */
enum tw_rc store_put_generation(struct store *s, const struct store_generation *g, struct tw_err *err);
enum tw_rc store_last_generation(struct store *s, uint64_t *ret, struct tw_err *err); /* 0 = none yet */
/* Forgets generations from before `before_ns`, but for the last one, and documents that only they had. In the open transaction, or else in
 * its own. */
enum tw_rc store_retain_history(struct store *s, int64_t before_ns, struct tw_err *err);

/* ---- Tests on demand ---------------------------------------------------------------------------------------- */
struct store_test {
    uint64_t id;
    int64_t started_ns, ended_ns; /* 0: it runs, or the controller ended first */
    const char *author, *what, *settings, *state;
    uint64_t count;
    int64_t duration_ns;
    uint32_t runs, failed; /* read only */
};
/* One pair of a test. */
struct store_test_run {
    struct store_pair pair; /* store_put_test_run() needs only its id */
    const char *state, *reason;
    int64_t started_ns, ended_ns;
};
/* Puts or replaces. */
enum tw_rc store_put_test(struct store *s, const struct store_test *t, struct tw_err *err);
enum tw_rc store_put_test_run(struct store *s, uint64_t test_id, const struct store_test_run *r, struct tw_err *err);
enum tw_rc store_last_test(struct store *s, uint64_t *ret, struct tw_err *err); /* the highest number; 0 = none yet */
/* The newest first, or only number `id`. A row is valid during fn; a non-OK result of fn stops and is returned. A test that the
 * database knows only by its results, because they came back from the agents' spools, has empty texts. */
enum tw_rc store_read_tests(struct store_reader *r, uint64_t id, size_t limit,
                            enum tw_rc (*fn)(void *ctx, const struct store_test *t), void *ctx, struct tw_err *err);
/* In order of class, source, target. */
enum tw_rc store_read_test_runs(struct store_reader *r, uint64_t id,
                                enum tw_rc (*fn)(void *ctx, const struct store_test_run *run), void *ctx, struct tw_err *err);

/* ---- Levels: summaries, and what they add up to ------------------------------------------------------------- */

/* A roll-up row is the merge (common/stats.h) of all scheduled summaries of a pair and flow that start in a cell of the level: cells begin at
 * whole multiples of its length, UTC. Summaries as long as a cell, or longer, are in no cell of that level; those of tests on demand in none at all. */
enum store_level { STORE_RAW, STORE_1MIN, STORE_10MIN, STORE_1H, STORE_1D, STORE_LEVELS };
const char *store_level_name(enum store_level l); /* "raw", "1min", "10min", "1h", "1d" */
enum tw_rc store_level_parse(const char *name, enum store_level *ret);
int64_t store_level_ns(enum store_level l); /* length of a cell; 0: raw */

/* ---- Summaries: exactly once -------------------------------------------------------------------------------- */

/* A batch of consecutive records of one agent's spool: n summaries, or one gap (n == 0, gap_last_seq != 0). */
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
    STORE_OUT_OF_SEQ /* first_seq > cursor + 1, and it is not ahead, or there is no room for one more stretch ahead: refuse */
};
/* What is stored of (agent, spool): all up to `through` (0: nothing), and stretches ahead of it. While there are any, only programs that
 * know of them may open the file. */
struct store_cursor {
    uint64_t through;
    struct seqset ahead;
};
/* Inside store_begin/commit. What of the batch is stored already is skipped. The first batch of a spool id not seen before may start at
 * any number, unless it is ahead. *ret_through: the cursor afterwards. Also keeps `latest`. TW_EINVAL (numbers that
 * cannot be) and TW_ENOENT (no such agent) refuse the batch and leave the transaction good; after any other error it can only be
 * rolled back. */
enum tw_rc store_append(struct store *s, const struct store_batch *b, enum store_append_result *ret, uint64_t *ret_through,
                        struct tw_err *err);
/* The cursor of (agent, spool); TW_ENOENT: nothing stored of it yet. */
enum tw_rc store_cursor(struct store *s, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN], uint64_t *ret_through);
/* And what is stored beyond it; all zero: nothing of it. */
struct store_cursor store_full_cursor(const struct store *s, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN]);
enum tw_rc store_each_cursor(struct store *s,
                             enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id, const struct store_cursor *at),
                             void *ctx, struct tw_err *err);
/* How long each level is kept; in a mesh's own 0 means the default. Each is kept at least as long as the finer ones, and whole days. */
struct store_keep {
    int64_t ns[STORE_LEVELS];
};
struct store_retention {
    int64_t now_ns;
    struct store_keep keep; /* none 0 */
    const struct store_mesh_keep {
        const char *mesh;
        struct store_keep keep;
    } *meshes; /* those that differ */
    size_t n_meshes;
};
/* One step: *ret_more: call again, with the same. Tables that nobody keeps go whole, rows of meshes that keep less than others by thousands;
 * readers look for neither from the first step on. A day goes only when it is rolled up. Loss runs and tests on demand are kept like
 * summaries, gaps and scheduled intervals as long as the coarsest level. In the open transaction, or else in its own. */
enum tw_rc store_retain(struct store *s, const struct store_retention *r, bool *ret_more, struct tw_err *err);

struct store_level_stats {
    uint64_t rows, bytes; /* bytes: of rows and index entries, without what pages leave empty */
    int64_t oldest_ns;    /* nothing in it is older, to the day (1min), month or year (1d) of its table; 0: it is empty */
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
    int64_t rollup_since_ns; /* when the first of those came; 0: none waits, or they are from before the start */
};
void store_stats(struct store *s, struct store_stats *ret);

/* One slice of the roll-up in a transaction of its own: all that waits of some pairs, max_rows summaries or a few more. *ret_more: there is
 * more to do now. Nothing is lost or twice whenever it ends: the slice and how far it came are one commit. A summary that cannot
 * be read is counted and left out. */
enum tw_rc store_rollup(struct store *s, int64_t now_ns, size_t max_rows, bool *ret_more, struct tw_err *err);

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* Summaries with start in [from, to), all flows, of the given pairs, in order of (pair, start, flow); each valid during fn. n_pairs == 0: none. */
enum tw_rc store_read_summaries(struct store_reader *r, const uint64_t *pair_ids, size_t n_pairs, int64_t from_ns,
                                int64_t to_ns, enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                                struct tw_err *err);
/* ---- Reading spans ------------------------------------------------------------------------------------------ */

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
    int64_t step_ns;     /* not 0: no cell goes over a multiple of it, while levels as fine are kept */
    int64_t raw_from_ns; /* from here on only summaries; INT64_MAX: cells wherever they fit, INT64_MIN: nowhere */
    /* May be NULL; before a pair's cells. What they stand for: more than [from, to) where retention has left only cells
     * that stick out, nothing at all (from >= to) where it has left none. */
    void (*covers)(void *ctx, uint64_t pair_id, int64_t from_ns, int64_t to_ns);
    enum tw_rc (*fn)(void *ctx, const struct store_cell *c); /* each valid during fn; a non-OK result stops and is returned */
    void *ctx;
};
/* All that is stored of [from, to), each summary exactly once, by itself or as part of a cell: the coarsest cells that fit, finer ones and
 * summaries at the edges and for what no roll-up has reached yet. Pair by pair in order of id, each once; in no order within a pair. */
enum tw_rc store_read_span(struct store_reader *r, const struct store_span *span, struct tw_err *err);

/* A pair's loss runs with start in [from, to), all flows, in order of (start, flow); each valid during fn. Parts of runs that go on
 * over the end of a report period are not joined (common/loss_runs.h). A summary lists its longest runs only. */
enum tw_rc store_read_loss_runs(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx, struct tw_err *err);
/* The same for reports, which join them. Of days whose summaries are gone only runs that go on over the end of a report period are left, as far
 * as they are joined within an hour (UTC): `parts` runs of summaries are in it. Where summaries are kept each run comes by itself, as one part. */
enum tw_rc store_read_loss_chains(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                  enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts), void *ctx,
                                  struct tw_err *err);
/* The latest summary of each flow of each given pair: pair by pair, each once. */
enum tw_rc store_read_latest(struct store_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                             enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx, struct tw_err *err);
/* When the pair was scheduled, cut to [from, to), oldest first; each valid during fn. */
struct store_interval {
    struct store_expectation x;
    int64_t from_ns, until_ns;
};
enum tw_rc store_read_intervals(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct store_interval *i), void *ctx, struct tw_err *err);
struct store_absence {
    const char *source;
    uint64_t pair_id; /* 0: all of the source's */
    enum store_cause cause;
    const char *reason; /* of a refusal */
    int64_t from_ns, until_ns; /* INT64_MAX: it goes on. Dropped: when the summaries had come into the spool */
};
/* Those that overlap [from, to), in no order; each valid during fn. */
enum tw_rc store_read_absences(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                               enum tw_rc (*fn)(void *ctx, const struct store_absence *a), void *ctx, struct tw_err *err);
/* Times in which the agent was in maintenance, by what had been said at each moment; those that overlap [from, to), oldest
 * first, perhaps overlapping. */
enum tw_rc store_read_maintenance(struct store_reader *r, const char *agent, int64_t from_ns, int64_t to_ns,
                                  enum tw_rc (*fn)(void *ctx, const struct store_time *t), void *ctx,
                                  struct tw_err *err);
/* Summaries that the pair's source reported as dropped by its spool with gap records received in [from, to); UINT64_MAX at most. */
enum tw_rc store_read_dropped(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns, uint64_t *ret,
                              struct tw_err *err);

/* Generations below `before` (0: all), newest first, at most `limit`; each valid during fn. */
enum tw_rc store_read_generations(struct store_reader *r, uint64_t before, uint64_t limit,
                                  enum tw_rc (*fn)(void *ctx, const struct store_generation *g), void *ctx, struct tw_err *err);
/* The one that stands for `number`. TW_ENOENT: it is not kept, or never was. */
enum tw_rc store_read_generation(struct store_reader *r, uint64_t number,
                                 enum tw_rc (*fn)(void *ctx, const struct store_generation *g), void *ctx, struct tw_err *err);
/* What a generation did to a mesh. */
struct store_mesh_change {
    const char *mesh;
    const char *before, *after; /* documents; NULL: there was, or is, none */
    bool was_paused, paused;
};
enum tw_rc store_read_mesh_changes(struct store_reader *r, uint64_t generation,
                                   enum tw_rc (*fn)(void *ctx, const struct store_mesh_change *c), void *ctx, struct tw_err *err);
/* All meshes as they were in a generation that is `complete`, in order of name. */
enum tw_rc store_read_meshes_at(struct store_reader *r, uint64_t generation,
                                enum tw_rc (*fn)(void *ctx, const struct store_mesh *m), void *ctx, struct tw_err *err);

#endif
