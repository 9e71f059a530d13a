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
    char prefix[ETCD_KEY_MAX], head_key[ETCD_KEY_MAX + 4];
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
    struct mirror_head head; /* before that */
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

static void tell_other(const struct mirror_feed *f, int64_t revision)
{
    log_error(
        "etcd has another history of the control state than before, as after a snapshot was restored: all is "
        "read anew, and what was changed since then is gone",
        LOG_S("prefix", f->prefix), LOG_I("revision_before", f->next - 1), LOG_I("revision", revision));
}

/* Is what came behind what was here? Else what is here is not what etcd has. */
static bool follows(struct mirror_feed *f, const struct etcd_answer *a)
{
    bool follows = true;

    for (size_t i = 0; i < a->n; i++) {
        const struct etcd_kv *kv = &a->kv[i];
        if (strcmp(kv->key, f->head_key) != 0)
            continue;
        follows &= kv->deleted || mirror_head_follows(&f->head, kv->value);
        f->head = kv->deleted ? (struct mirror_head){ 0 }
                              : mirror_head_of(kv->mod_revision, kv->value, kv->value_len);
    }
    return follows;
}

/* Thread. */
static enum tw_rc take(void *ctx, const struct etcd_answer *a)
{
    struct mirror_feed *f = ctx;
    bool well;

    for (size_t i = 0; i < a->n; i++)
        if (strncmp(a->kv[i].key, f->prefix, strlen(f->prefix)) != 0 || a->kv[i].mod_revision < f->next)
            return tw_err_set(&f->err, TW_ECORRUPT,
                              "etcd: its watch tells of %.100s, which was not asked for", a->kv[i].key);
    well = follows(f, a);
    if (!well)
        tell_other(f, a->revision);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < a->n; i++)
        add(f, &a->kv[i]);
    if (!well)
        lose(f);
    if (a->n) {
        f->seen = a->kv[a->n - 1].mod_revision;
        f->next = f->seen + 1;
    }
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
    return TW_OK;
}

/* All is read anew by the owner, later than now: so it is enough to go on from now. */
static void skip_to(struct mirror_feed *f, int64_t revision, const struct mirror_head *head)
{
    pthread_mutex_lock(&f->lock);
    lose(f);
    f->seen = revision;
    f->next = revision + 1;
    f->head = *head;
    pthread_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

/* Before it is watched: is etcd what it was? Where a snapshot was restored revisions begin again at that
 * one's. A watch from ours on would be silent until there are as many, and then go on in a history that is
 * not ours. `forgot`: it does not know what is next. */
static enum tw_rc look(struct mirror_feed *f, bool forgot)
{
    struct etcd_answer a;
    struct mirror_head now = { 0 };
    bool other;
    enum tw_rc rc = etcd_get(f->e, f->head_key, &a, &f->err);

    if (rc)
        return rc;
    if (a.n)
        now = mirror_head_of(a.kv[0].mod_revision, a.kv[0].value, a.kv[0].value_len);
    other = a.revision < f->next - 1 || mirror_head_is_of_another(&f->head, f->next - 1, &now);
    if (other)
        tell_other(f, a.revision);
    if (other || forgot)
        skip_to(f, a.revision, &now);
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
        enum tw_rc rc = look(f, false);
        if (!rc)
            rc = etcd_watch(f->e, f->prefix, f->next, take, f, &f->err);
        if (rc == TW_ERANGE)
            rc = look(f, true);
        if (rc && rc != TW_ECLOSED && rc != TW_ETIMEOUT && well)
            log_warn("control state is not watched", LOG_S("error", f->err.text));
        well = !rc || rc == TW_ETIMEOUT;
    }
    return NULL;
}

enum tw_rc mirror_feed_start(struct etcd *e, const char *prefix, int64_t revision,
                             const struct mirror_head *head, struct mirror_feed **ret, struct tw_err *err)
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
    f->head = *head;
    snprintf(f->prefix, sizeof f->prefix, "%s", prefix);
    snprintf(f->head_key, sizeof f->head_key, "%shead", f->prefix);
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
