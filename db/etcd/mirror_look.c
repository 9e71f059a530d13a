#include "db/etcd/mirror_look.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/clk.h"

struct mirror_look {
    struct etcd *e;
    char key[ETCD_KEY_MAX];
    int64_t every_ns;
    pthread_t thread;
    pthread_mutex_t lock; /* those below */
    pthread_cond_t ending;
    bool stop;
    struct tw_err last; /* rc: of the last answer */
};

/* Under the lock. */
static void rest(struct mirror_look *l)
{
    struct timespec by;
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &by);
    ns = by.tv_nsec + l->every_ns;
    by.tv_sec += ns / TW_NS_PER_S;
    by.tv_nsec = ns % TW_NS_PER_S;
    while (!l->stop && pthread_cond_timedwait(&l->ending, &l->lock, &by) == 0)
        ;
}

static void *run(void *ctx)
{
    struct mirror_look *l = ctx;

    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct tw_err now = { 0 };
        struct etcd_answer a;
        pthread_mutex_unlock(&l->lock);
        now.rc = etcd_get(l->e, l->key, &a, &now);
        if (!now.rc)
            etcd_answer_free(&a);
        pthread_mutex_lock(&l->lock);
        l->last = now;
        rest(l);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void free_look(struct mirror_look *l)
{
    etcd_free(l->e);
    pthread_cond_destroy(&l->ending);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

enum tw_rc mirror_look_start(struct etcd *e, const char *key, int64_t every_ns, struct mirror_look **ret,
                             struct tw_err *err)
{
    struct mirror_look *l = calloc(1, sizeof *l);
    pthread_condattr_t attr;
    int failed;

    if (!l) {
        etcd_free(e);
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    }
    l->e = e;
    l->every_ns = every_ns;
    snprintf(l->key, sizeof l->key, "%s", key);
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->ending, &attr);
    pthread_condattr_destroy(&attr);
    failed = pthread_create(&l->thread, NULL, run, l);
    if (failed) {
        free_look(l);
        return tw_err_set(err, tw_rc_errno(failed), "etcd: no thread to look for it with");
    }
    *ret = l;
    return TW_OK;
}

void mirror_look_stop(struct mirror_look *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->ending);
    pthread_mutex_unlock(&l->lock);
    etcd_interrupt(l->e);
    pthread_join(l->thread, NULL);
    free_look(l);
}

enum tw_rc mirror_look_last(struct mirror_look *l, struct tw_err *err)
{
    enum tw_rc rc;

    pthread_mutex_lock(&l->lock);
    rc = l->last.rc;
    if (rc)
        *err = l->last;
    pthread_mutex_unlock(&l->lock);
    return rc;
}
