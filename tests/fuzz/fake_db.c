/* tests/fuzz/fake_db.c - the controller's threads without threads: in place of controller/writer.c and
 * reader.c, jobs run at once, on the real store, and are done when the loop runs next. Nobody is told of
 * alerts (notify.c). */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "controller/notify.h"
#include "controller/reader.h"
#include "controller/writer.h"
#include "tests/fuzz/check.h"

#define ROLLUP_EVERY 8 /* commits */

/* ---- Writer ---- */

struct writer {
    struct writer_conf conf;
    struct writer_job *first, **end; /* that have run */
    struct loop_task deliver;
    uint64_t commits;
};

static void deliver(struct loop_task *t)
{
    struct writer *w = t->ctx;

    while (w->first) {
        struct writer_job *j = w->first;

        w->first = j->next;
        if (!w->first)
            w->end = &w->first;
        j->done(j);
    }
}

enum tw_rc writer_start(const struct writer_conf *c, struct writer **ret, struct tw_err *err)
{
    struct writer *w = calloc(1, sizeof *w);

    (void)err;
    CHECK(w);
    w->conf = *c;
    w->end = &w->first;
    w->deliver = (struct loop_task){ .fn = deliver, .ctx = w };
    *ret = w;
    return TW_OK;
}

static void roll_up(struct writer *w)
{
    struct tw_err err = { 0 };
    bool more = true;

    for (unsigned n = 0; more && n < 10; n++)
        if (store_rollup(w->conf.store, tw_wall_now().ns, 1000, &more, &err) != TW_OK)
            return;
}

enum tw_rc writer_submit(struct writer *w, struct writer_job *j)
{
    struct tw_err err = { 0 };

    CHECK(store_begin(w->conf.store, &err) == TW_OK);
    j->err = (struct tw_err){ 0 };
    j->rc = j->run(j, w->conf.store, &j->err);
    if (j->rc == TW_OK)
        j->rc = store_commit(w->conf.store, &j->err);
    else
        store_rollback(w->conf.store);
    CHECK(j->rc == TW_OK || j->err.text[0]); /* whoever fails says why */
    if (w->commits++ % ROLLUP_EVERY == 0)
        roll_up(w);
    j->next = NULL;
    *w->end = j;
    w->end = &j->next;
    loop_post(w->conf.loop, &w->deliver);
    return TW_OK;
}

bool writer_pressed(struct writer *w)
{
    (void)w;
    return false;
}

size_t writer_capacity(struct writer *w)
{
    (void)w;
    return 32768;
}

void writer_stop(struct writer *w)
{
    loop_unpost(w->conf.loop, &w->deliver);
    deliver(&w->deliver);
    free(w);
}

void writer_stats(struct writer *w, struct writer_stats *ret)
{
    *ret = (struct writer_stats){ .max_rows = 32768 };
    store_stats(w->conf.store, &ret->store);
}

/* ---- Reader ---- */

struct reader_pool {
    struct loop *loop;
    struct store_reader *db;
    struct reader_job *first, **end; /* that have run */
    struct loop_task deliver;
};

static void deliver_read(struct loop_task *t)
{
    struct reader_pool *p = t->ctx;

    while (p->first) {
        struct reader_job *j = p->first;

        p->first = j->next;
        if (!p->first)
            p->end = &p->first;
        j->done(j);
    }
}

enum tw_rc reader_pool_start(struct loop *l, const struct store_where *where, unsigned threads,
                             unsigned max_jobs, struct reader_pool **ret, struct tw_err *err)
{
    struct reader_pool *p = calloc(1, sizeof *p);
    enum tw_rc rc;

    (void)threads;
    (void)max_jobs;
    CHECK(p);
    p->loop = l;
    p->end = &p->first;
    p->deliver = (struct loop_task){ .fn = deliver_read, .ctx = p };
    rc = store_reader_open(where->control, &p->db, err);
    if (rc == TW_OK)
        *ret = p;
    else
        free(p);
    return rc;
}

enum tw_rc reader_submit(struct reader_pool *p, struct reader_job *j)
{
    j->run(j, p->db);
    j->next = NULL;
    *p->end = j;
    p->end = &j->next;
    loop_post(p->loop, &p->deliver);
    return TW_OK;
}

void reader_pool_stop(struct reader_pool *p)
{
    while (p->first) {
        loop_unpost(p->loop, &p->deliver);
        deliver_read(&p->deliver);
    }
    store_reader_close(p->db);
    free(p);
}

struct reader_client reader_on_behalf(struct reader_pool *p, struct reader_client who)
{
    (void)p;
    return who;
}

struct reader_client reader_asks(const struct reader_pool *p)
{
    (void)p;
    return (struct reader_client){ 0 };
}

uint64_t reader_refused_client(const struct reader_pool *p)
{
    (void)p;
    return 0;
}

void reader_stats(struct reader_pool *p, struct reader_stats *ret, struct work_stats *work, size_t cap)
{
    (void)p;
    (void)work;
    (void)cap;
    *ret = (struct reader_stats){ .threads = 0 };
}

uint64_t reader_refused(const struct reader_pool *p)
{
    (void)p;
    return 0;
}

/* ---- Notices ---- */

struct notify {
    struct notify_conf conf;
};

struct notice *notice_new(uint64_t id, const char *key, const char *body)
{
    struct notice *n = calloc(1, sizeof *n);

    CHECK(n);
    n->id = id;
    n->key = strdup(key);
    n->body = strdup(body);
    return n;
}

void notice_free(struct notice *n)
{
    if (!n)
        return;
    free(n->key);
    free(n->body);
    free(n);
}

enum tw_rc notify_new(const struct notify_conf *c, struct notify **ret)
{
    *ret = calloc(1, sizeof **ret);
    CHECK(*ret);
    (*ret)->conf = *c;
    return TW_OK;
}

void notify_free(struct notify *n)
{
    free(n);
}

enum tw_rc notify_set_receivers(struct notify *n, const struct alert_rules *rules)
{
    (void)n;
    (void)rules;
    return TW_OK;
}

enum tw_rc notify_submit(struct notify *n, const char *receiver, struct notice *notice)
{
    notice->end = NOTICE_SENT;
    if (n->conf.ended && notice->id)
        n->conf.ended(n->conf.ctx, notice, receiver);
    notice_free(notice);
    return TW_OK;
}

enum tw_rc notify_refresh(struct notify *n, const char *receiver, struct notice *notice)
{
    return notify_submit(n, receiver, notice);
}

void notify_forget(struct notify *n, bool (*gone)(void *ctx, uint64_t id), void *ctx)
{
    (void)n;
    (void)gone;
    (void)ctx;
}

size_t notify_states(struct notify *n, struct notify_state *ret, size_t cap)
{
    (void)n;
    (void)ret;
    (void)cap;
    return 0;
}

void notify_totals(struct notify *n, uint64_t *ret_sent, uint64_t *ret_failed, uint64_t *ret_refused,
                   uint64_t *ret_dropped, uint64_t *ret_queued)
{
    (void)n;
    *ret_sent = *ret_failed = *ret_refused = *ret_dropped = *ret_queued = 0;
}

/* ---- Copies and checks of the database run to their end ---- */

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_join(pthread_t t, void **ret);

int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    (void)attr;
    *t = pthread_self();
    fn(arg);
    return 0;
}

int __wrap_pthread_join(pthread_t t, void **ret)
{
    (void)t;
    (void)ret;
    return 0;
}
