#include "db/etcd/mirror_feed.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clk.h"
#include "common/log.h"

#define QUEUE_MAX (256 << 20) /* octets */
#define PAUSE_NS (200 * TW_NS_PER_MS)

struct mirror_feed {
    struct etcd *e;
    char prefix[ETCD_KEY_MAX];
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* Under the lock. */
    struct mirror_event *first, **last;
    size_t octets;
    int64_t seen; /* revision of the last that came */
    bool lost, stop;
    /* The thread's own. */
    int64_t next; /* to be watched from */
    struct tw_err err;
};

void mirror_event_free(struct mirror_event *e)
{
    free(e->key);
    free(e->value);
    free(e);
}

static void free_all(struct mirror_event *e)
{
    while (e) {
        struct mirror_event *next = e->next;
        mirror_event_free(e);
        e = next;
    }
}

/* Under the lock. */
static void lose(struct mirror_feed *f)
{
    free_all(f->first);
    f->first = NULL;
    f->last = &f->first;
    f->octets = 0;
    f->lost = true;
}

static struct mirror_event *copy(const struct mirror_feed *f, const struct etcd_kv *kv)
{
    struct mirror_event *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->revision = kv->mod_revision;
    e->key = strdup(kv->key + strlen(f->prefix));
    e->len = kv->value_len;
    e->value = kv->deleted ? NULL : malloc(kv->value_len + 1);
    if (!e->key || (!kv->deleted && !e->value)) {
        mirror_event_free(e);
        return NULL;
    }
    if (e->value)
        memcpy(e->value, kv->value, kv->value_len + 1);
    return e;
}

/* Under the lock. */
static void add(struct mirror_feed *f, const struct etcd_kv *kv)
{
    struct mirror_event *e = copy(f, kv);

    if (!e || f->octets + kv->value_len > QUEUE_MAX) {
        if (e)
            mirror_event_free(e);
        lose(f);
        return;
    }
    f->octets += e->len;
    *f->last = e;
    f->last = &e->next;
}

/* Thread. */
static enum tw_rc take(void *ctx, const struct etcd_answer *a)
{
    struct mirror_feed *f = ctx;

    for (size_t i = 0; i < a->n; i++)
        if (strncmp(a->kv[i].key, f->prefix, strlen(f->prefix)) != 0 || a->kv[i].mod_revision < f->next)
            return tw_err_set(&f->err, TW_ECORRUPT,
                              "etcd: its watch tells of %.100s, which was not asked for", a->kv[i].key);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < a->n; i++)
        add(f, &a->kv[i]);
    if (a->n) {
        f->seen = a->kv[a->n - 1].mod_revision;
        f->next = f->seen + 1;
    }
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
    return TW_OK;
}

/* What etcd knows no more is read anew by the owner, later than now: so it is enough to go on from now. */
static enum tw_rc skip(struct mirror_feed *f)
{
    struct etcd_answer a;
    enum tw_rc rc = etcd_get(f->e, f->prefix, &a, &f->err);

    if (rc)
        return rc;
    pthread_mutex_lock(&f->lock);
    lose(f);
    f->seen = a.revision;
    f->next = a.revision + 1;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
    etcd_answer_free(&a);
    return TW_OK;
}

static struct timespec in(int64_t wait_ns)
{
    struct timespec ts;
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ns = ts.tv_nsec + wait_ns;
    ts.tv_sec += ns / TW_NS_PER_S;
    ts.tv_nsec = ns % TW_NS_PER_S;
    return ts;
}

/* False: it is to end. */
static bool rest(struct mirror_feed *f, int64_t wait_ns)
{
    struct timespec by = in(wait_ns);
    bool stop;

    pthread_mutex_lock(&f->lock);
    while (!f->stop && wait_ns && pthread_cond_timedwait(&f->moved, &f->lock, &by) == 0)
        ;
    stop = f->stop;
    pthread_mutex_unlock(&f->lock);
    return !stop;
}

static void *run(void *ctx)
{
    struct mirror_feed *f = ctx;
    bool well = true;

    while (rest(f, well ? 0 : PAUSE_NS)) {
        enum tw_rc rc = etcd_watch(f->e, f->prefix, f->next, take, f, &f->err);
        if (rc == TW_ERANGE)
            rc = skip(f);
        if (rc && rc != TW_ECLOSED && rc != TW_ETIMEOUT && well)
            log_warn("control state is not watched", LOG_S("error", f->err.text));
        well = !rc || rc == TW_ETIMEOUT;
    }
    return NULL;
}

enum tw_rc mirror_feed_start(struct etcd *e, const char *prefix, int64_t revision, struct mirror_feed **ret,
                             struct tw_err *err)
{
    struct mirror_feed *f = calloc(1, sizeof *f);
    pthread_condattr_t attr;
    int failed;

    if (!f) {
        etcd_free(e);
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    }
    f->e = e;
    f->next = revision;
    f->last = &f->first;
    snprintf(f->prefix, sizeof f->prefix, "%s", prefix);
    pthread_mutex_init(&f->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->moved, &attr);
    pthread_condattr_destroy(&attr);
    failed = pthread_create(&f->thread, NULL, run, f);
    if (failed) {
        f->thread = pthread_self();
        mirror_feed_stop(f);
        return tw_err_set(err, tw_rc_errno(failed), "etcd: no thread to watch with");
    }
    *ret = f;
    return TW_OK;
}

void mirror_feed_stop(struct mirror_feed *f)
{
    if (!f)
        return;
    pthread_mutex_lock(&f->lock);
    f->stop = true;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
    etcd_interrupt(f->e);
    if (!pthread_equal(f->thread, pthread_self()))
        pthread_join(f->thread, NULL);
    free_all(f->first);
    etcd_free(f->e);
    pthread_cond_destroy(&f->moved);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

struct mirror_event *mirror_feed_take(struct mirror_feed *f, bool *ret_lost)
{
    struct mirror_event *all;

    pthread_mutex_lock(&f->lock);
    all = f->first;
    *ret_lost = f->lost;
    f->first = NULL;
    f->last = &f->first;
    f->octets = 0;
    f->lost = false;
    pthread_mutex_unlock(&f->lock);
    return all;
}

bool mirror_feed_wait(struct mirror_feed *f, int64_t revision, int64_t wait_ns)
{
    struct timespec by = in(wait_ns);
    bool came;

    pthread_mutex_lock(&f->lock);
    while (f->seen < revision && !f->lost && pthread_cond_timedwait(&f->moved, &f->lock, &by) == 0)
        ;
    came = f->seen >= revision || f->lost;
    pthread_mutex_unlock(&f->lock);
    return came;
}
