/* controller/writer.h - the one thread that changes the database. Jobs are queued in order and many share one
 * commit; a job is done only when what it wrote is durable.
 *
 * There are two queues: what people and the controller itself want (rows 0, or urgent) goes with the next
 * commit, however many results wait. How many of those should wait depends on how fast they are written, so
 * that a slow disk does not make the fresh ones old.
 *
 * Between commits it rolls up (store_rollup()): what comes in goes first, but a slice follows each full
 * commit, and any other if there was none for a second.
 *
 * A history in a database of its own (db/where.h) has commits of its own, too: what only control state needs
 * does not wait for it. While it is away, or fails, the group that was to be written stays and is tried
 * again, and it is looked for, also when nothing waits.
 *
 * Control state that others change, too (db/store_shared.h), is followed, within WRITER_FOLLOW_S also while
 * nothing is to be written; what they did is told on the loop's thread, in order with the jobs that are done.
 * A commit that another one's was before is run again at once. While that database is away what is to be
 * changed waits, and is tried again; results are still stored.
 *
 * A disk that is full or fails loses nothing: the transaction is rolled back, the jobs stay, and all of it is
 * tried again until it works; meanwhile writer_stats() says what is wrong. A job that fails for a reason of
 * its own (TW_EINVAL, TW_ENOENT, ...) ends alone, the others go on. */
#ifndef TW_CONTROLLER_WRITER_H
#define TW_CONTROLLER_WRITER_H

#include "common/net/loop.h"
#include "db/store.h"
#include "db/store_shared.h"

struct writer;
#define WRITER_FOLLOW_S 1
#define WRITER_MEMORY_START 1 /* what memory is at before others did anything */
struct writer_job {
    /* Writer thread, inside a transaction; touches only the job and the store. It may run again after a rollback, so it must not
     * build on what an earlier run found. */
    enum tw_rc (*run)(struct writer_job *j, struct store *s, struct tw_err *err);
    void (*done)(struct writer_job *j); /* loop thread; owns and frees the job; see rc */
    size_t rows;                        /* what it counts in the queue; 0 = always taken, for jobs whose number is bounded elsewhere */
    bool urgent;                        /* somebody waits: do not wait for company */
    bool history; /* rows 0: it writes to the history, too. Urgent ones with rows do not */
    /* 0: a fact, which is true whatever others did. Else it was decided by what memory had: the number of the
     * last news that memory had followed before it was looked at (writer_conf.news; WRITER_MEMORY_START). If
     * others have changed something since, it ends alone with TW_EAGAIN: nothing of it is stored, and what
     * was wanted is to be decided anew. */
    uint64_t decided;
    /* Not 0: it is only done while the planner is the one with this number (planner.h), in a commit of its own; else it ends with
     * TW_EPERM. */
    int64_t fence;
    enum tw_rc rc;                      /* TW_OK: committed. TW_ECLOSED: the writer was stopped before it could be */
    struct tw_err err;
    struct writer_job *next;            /* writer's own */
};

struct writer_conf {
    struct loop *loop;
    struct store *store;  /* this thread's until writer_stop() */
    size_t max_rows;      /* bound of the queue; 0 = 32768 */
    size_t group_rows;    /* about so many in one commit; 0 = 1000 */
    int64_t linger_ns;    /* how long the first job of a group waits for others; 0 = 200 ms */
    int64_t retry_ns;     /* pause before a failed commit is tried again; 0 = 1 s */
    int64_t turn_ns;      /* so long results wait behind changes of control state, at most; 0 = 500 ms */
    /* Loop thread: others changed these keys of control state, "TABLE/KEY"; "": anything. When memory has
     * followed, it is at that number. May be NULL. */
    void (*news)(void *ctx, const char *const *keys, size_t n, uint64_t number);
    void *ctx;
};
enum tw_rc writer_start(const struct writer_conf *c, struct writer **ret, struct tw_err *err);
/* Loop thread. TW_EBUSY: the queue is full and the job was not taken. */
enum tw_rc writer_submit(struct writer *w, struct writer_job *j);
/* More than half as many wait as should at most: grant less. */
bool writer_pressed(struct writer *w);
/* Rows that should wait at most: what is written in WRITER_WAIT_S at the pace of the last commits, and four
 * groups at least, since small ones are slow; as many as the queue can hold at most, and before the first
 * commits. */
#define WRITER_WAIT_S 2
size_t writer_capacity(struct writer *w);
/* Writes what is queued (given up after 1.5 s, also if another program has the database locked, or when the
 * disk fails), calls every done(), says in the log what could not be written, frees. The loop may have been
 * stopped. */
void writer_stop(struct writer *w);

struct writer_stats {
    struct store_stats store;
    size_t queued_rows, max_rows, wanted_rows; /* wanted_rows: writer_capacity() */
    double commit_last_s, commit_p99_s; /* begin to durable */
    uint64_t retries;
    uint64_t refused;       /* jobs that were not taken: TW_EBUSY */
    struct work_stats work; /* of its thread: commits and slices of roll-ups */
    char problem[256]; /* "" = none */
    /* Of a history that is apart. */
    struct store_history_info history;
    char history_problem[256]; /* "" = none */
    char history_error[256];   /* the last one; "" = none yet */
    int64_t history_error_ns;  /* when that was; wall */
    uint64_t history_retries;
    double inserts_per_s; /* in the last ten seconds or so */
    /* Of control state that others change, too. */
    struct store_shared_info control;
    char control_problem[256], control_error[256];
    int64_t control_error_ns;
    uint64_t control_retries;
    uint64_t again;   /* groups that were run again since others came first */
    uint64_t decided; /* jobs that ended with TW_EAGAIN */
};
void writer_stats(struct writer *w, struct writer_stats *ret); /* any thread */

#endif
