/* controller/reader.h - threads with read-only database handles, so that no query blocks the loop. A job is
 * decided and answered on the loop thread and runs in between on a reader. The queue is bounded, in all and
 * to three quarters of it for each client: TW_EBUSY says so to the user. Clients take turns, what is quick
 * goes before what is bulk, and of several readers one is never busy with bulk (core/fair_queue.h). What the
 * controller itself needs (metrics, alerts) comes before what people ask, and has READER_OWN_MAX places of
 * its own. */
#ifndef TW_CONTROLLER_READER_H
#define TW_CONTROLLER_READER_H

#include "common/net/loop.h"
#include "common/work.h"
#include "controller/core/fair_queue.h"
#include "db/where.h"

struct reader_pool;

/* For whom jobs are submitted. */
struct reader_client {
    uint64_t key; /* gate_client(); 0: of nobody who is known here */
    bool bulk;
};
struct reader_job {
    void (*run)(struct reader_job *j, struct store_reader *r); /* reader thread; touches only the job */
    void (*done)(struct reader_job *j);                        /* loop thread; owns and frees the job */
    struct reader_job *next;                                   /* reader_pool's own */
    bool own;                                                  /* the controller's: few, and short */
    bool bulk;             /* much is read; so is all of a client that is bulk */
    struct fair_item item; /* reader_pool's own */
};
#define READER_OWN_MAX 16
enum tw_rc reader_pool_start(struct loop *l, const struct store_where *where, unsigned threads,
                             unsigned max_jobs, struct reader_pool **ret, struct tw_err *err);
/* Queued jobs are run, but what they read is cut short with an error; every done() has been called when it
 * returns. Loop thread; the loop need not run. */
void reader_pool_stop(struct reader_pool *p);
enum tw_rc reader_submit(struct reader_pool *p,
                         struct reader_job *j); /* TW_EBUSY, TW_ECLOSED (stopping): not taken */
/* Whose jobs those are that are submitted from now on; who it was before. While a done() runs it is who asked
 * for that job, and what follows from it is theirs, too. Loop thread. */
struct reader_client reader_on_behalf(struct reader_pool *p, struct reader_client who);
struct reader_client reader_asks(const struct reader_pool *p); /* who it is now */
uint64_t reader_refused(const struct reader_pool *p);
uint64_t
reader_refused_client(const struct reader_pool *p); /* of those: the ones of a client with too many */
struct reader_stats {
    unsigned queued, max; /* jobs that wait, the controller's own among them */
    uint64_t refused;     /* reader_refused() */
    size_t threads;       /* that there are */
};
/* Also how each thread is doing, of at most cap of them. Any thread. */
void reader_stats(struct reader_pool *p, struct reader_stats *ret, struct work_stats *work, size_t cap);

#endif
