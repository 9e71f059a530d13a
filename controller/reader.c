#include "controller/reader.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "common/net/now.h"

#define LOOK_US 2000

struct queue {
    struct reader_job *first, **end;
};

struct worker {
    struct reader_pool *pool;
    struct store_reader *db;
    pthread_t thread;
    struct work work; /* queries */
    bool running;
    _Atomic bool ended;
};

struct reader_pool {
    struct loop *loop;
    struct loop_watch wake;   /* the loop: something is finished */
    struct reader_client who; /* the loop's */
    pthread_mutex_t lock;     /* everything below */
    pthread_cond_t work;
    struct queue own, finished;
    struct fair_queue waiting;
    unsigned n_own, n_bulk; /* that wait; that run */
    bool stopping;
    _Atomic uint64_t refused, refused_client;
    unsigned n_workers;
    struct worker workers[];
};

/* ---- Queues ---- */

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void queue_put(struct queue *q, struct reader_job *j)
{
    j->next = NULL;
    *q->end = j;
    q->end = &j->next;
}

static struct reader_job *queue_take(struct queue *q)
{
    struct reader_job *j = q->first;

    if (!j)
        return NULL;
    q->first = j->next;
    if (!q->first)
        q->end = &q->first;
    return j;
}

/* With the lock. NULL: nothing waits, or only bulk, for a reader that is busy with it. */
static struct reader_job *take_next(struct reader_pool *p)
{
    struct reader_job *j = queue_take(&p->own);
    struct fair_item *i;

    if (j) {
        p->n_own--;
        return j;
    }
    i = fair_queue_take(&p->waiting, p->n_bulk + 1 < p->n_workers || !p->n_bulk);
    return i ? (struct reader_job *)((char *)i - offsetof(struct reader_job, item)) : NULL;
}

static bool enqueue_own(struct reader_pool *p, struct reader_job *j)
{
    if (p->n_own >= READER_OWN_MAX) {
        atomic_fetch_add(&p->refused, 1);
        return false;
    }
    p->n_own++;
    queue_put(&p->own, j);
    return true;
}

/* With the lock. False: there is no place. */
static bool enqueue(struct reader_pool *p, struct reader_job *j)
{
    uint64_t before = p->waiting.refused_client;

    if (j->own)
        return enqueue_own(p, j);
    if (fair_queue_put(&p->waiting, &j->item))
        return true;
    atomic_fetch_add(&p->refused, 1);
    atomic_fetch_add(&p->refused_client, p->waiting.refused_client - before);
    return false;
}

/* ---- Reader threads ---- */

static void run_one(struct worker *w, struct reader_job *j)
{
    struct reader_pool *p = w->pool;
    uint64_t one = 1;
    ssize_t n = 0;
    bool first, bulk = !j->own && j->item.bulk;

    p->n_bulk += bulk;
    pthread_mutex_unlock(&p->lock);
    work_begin(&w->work, tw_mono_now().ns);
    j->run(j, w->db);
    work_end(&w->work, tw_mono_now().ns);
    pthread_mutex_lock(&p->lock);
    p->n_bulk -= bulk;
    if (bulk)
        pthread_cond_signal(&p->work); /* another reader may have left some waiting */
    first = !p->finished.first;
    queue_put(&p->finished, j);
    if (first)
        n = write(p->wake.fd, &one, sizeof one); /* fails only when the loop is about to wake anyway */
    (void)n;
}

static void *worker_main(void *ctx)
{
    struct worker *w = ctx;
    struct reader_pool *p = w->pool;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct reader_job *j = take_next(p);
        if (j) {
            run_one(w, j);
        } else if (p->stopping) {
            break;
        } else {
            pthread_cond_wait(&p->work, &p->lock);
        }
    }
    pthread_mutex_unlock(&p->lock);
    atomic_store(&w->ended, true);
    return NULL;
}

/* ---- Loop thread ---- */

static void call_done(struct reader_pool *p)
{
    struct reader_job *j, *next;

    pthread_mutex_lock(&p->lock);
    j = p->finished.first;
    queue_init(&p->finished);
    pthread_mutex_unlock(&p->lock);
    for (; j; j = next) {
        next = j->next; /* done() frees the job */
        p->who = (struct reader_client){ j->item.client, j->item.bulk };
        j->done(j);
    }
    p->who = (struct reader_client){ 0 };
}

static void on_wake(struct loop_watch *w, uint32_t events)
{
    uint64_t count;
    ssize_t n = read(w->fd, &count, sizeof count);

    (void)events;
    (void)n;
    call_done(w->ctx);
}

enum tw_rc reader_submit(struct reader_pool *p, struct reader_job *j)
{
    enum tw_rc rc = TW_OK;

    j->item.client = p->who.key;
    j->item.bulk = j->bulk || p->who.bulk;
    pthread_mutex_lock(&p->lock);
    if (p->stopping) {
        rc = TW_ECLOSED;
    } else if (!enqueue(p, j)) {
        rc = TW_EBUSY;
    } else {
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

struct reader_client reader_on_behalf(struct reader_pool *p, struct reader_client who)
{
    struct reader_client before = p->who;

    p->who = who;
    return before;
}

struct reader_client reader_asks(const struct reader_pool *p)
{
    return p->who;
}

uint64_t reader_refused(const struct reader_pool *p)
{
    return atomic_load(&p->refused);
}

uint64_t reader_refused_client(const struct reader_pool *p)
{
    return atomic_load(&p->refused_client);
}

void reader_stats(struct reader_pool *p, struct reader_stats *ret, struct work_stats *work, size_t cap)
{
    int64_t now_ns = tw_mono_now().ns;

    pthread_mutex_lock(&p->lock);
    ret->queued = p->n_own + p->waiting.n;
    ret->max = READER_OWN_MAX + p->waiting.max;
    pthread_mutex_unlock(&p->lock);
    ret->refused = reader_refused(p);
    ret->threads = p->n_workers;
    for (size_t i = 0; i < p->n_workers && i < cap; i++)
        work_look(&p->workers[i].work, now_ns, &work[i]);
}

/* ---- Life ---- */

static enum tw_rc watch_finished(struct reader_pool *p)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    enum tw_rc rc;

    if (fd < 0)
        return tw_rc_errno(errno);
    p->wake = (struct loop_watch){ .fn = on_wake, .ctx = p, .fd = fd };
    rc = loop_watch(p->loop, &p->wake, EPOLLIN);
    if (rc) {
        close(fd);
        p->wake.fd = -1;
    }
    return rc;
}

/* Signals are the loop's. */
static int start_thread(struct worker *w)
{
    sigset_t all, before;
    int e;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    e = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->running = !e;
    return e;
}

static enum tw_rc start_workers(struct reader_pool *p, const struct store_where *where, struct tw_err *err)
{
    for (unsigned i = 0; i < p->n_workers; i++) {
        struct worker *w = &p->workers[i];
        enum tw_rc rc = store_reader_open_at(where, &w->db, err);
        int e;
        if (rc)
            return rc;
        w->pool = p;
        work_init(&w->work, tw_mono_now().ns);
        e = start_thread(w);
        if (e)
            return tw_err_set(err, tw_rc_errno(e), "cannot start a reader thread");
    }
    return TW_OK;
}

enum tw_rc reader_pool_start(struct loop *l, const struct store_where *where, unsigned threads,
                             unsigned max_jobs, struct reader_pool **ret, struct tw_err *err)
{
    struct reader_pool *p = calloc(1, sizeof *p + threads * sizeof p->workers[0]);
    enum tw_rc rc;

    if (!p)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    p->loop = l;
    p->wake.fd = -1;
    p->n_workers = threads;
    queue_init(&p->own);
    queue_init(&p->finished);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    rc = fair_queue_init(&p->waiting, max_jobs, max_jobs - max_jobs / 4);
    if (!rc)
        rc = watch_finished(p);
    if (rc)
        tw_err_set(err, rc, "cannot start the readers: %s", tw_rc_name(rc));
    else
        rc = start_workers(p, where, err);
    if (rc)
        reader_pool_stop(p);
    else
        *ret = p;
    return rc;
}

/* Nobody waits for answers any more, and a report over a year would take its time: whatever it reads is cut
 * short, statement by statement. */
static void end_thread(struct worker *w)
{
    while (!atomic_load(&w->ended)) {
        store_reader_interrupt(w->db);
        usleep(LOOK_US);
    }
    pthread_join(w->thread, NULL);
}

void reader_pool_stop(struct reader_pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n_workers; i++) {
        if (p->workers[i].running)
            end_thread(&p->workers[i]);
        if (p->workers[i].db)
            store_reader_close(p->workers[i].db);
    }
    call_done(p);
    if (p->wake.fd >= 0) {
        loop_unwatch(p->loop, &p->wake);
        close(p->wake.fd);
    }
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    fair_queue_free(&p->waiting);
    free(p);
}
