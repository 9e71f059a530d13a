#include "db/etcd/holder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/hold.h"

#define RETRY_NS (500 * TW_NS_PER_MS)
#define STOP_NS TW_NS_PER_S

struct holder {
    struct etcd *e;
    char key[256], value[160];
    int64_t ttl_ns;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    struct hold hold; /* under the lock */
    bool stop;        /* too */
};

/* It counts the time in which the machine sleeps, in which leases end. */
static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * TW_NS_PER_S + ts.tv_nsec;
}

/* ---- One request; without the lock ---- */

struct answer {
    enum tw_rc rc;
    int64_t lease, number, ttl_s;
};

static void take(struct holder *h, int64_t lease, struct answer *ret, struct tw_err *err)
{
    const struct etcd_compare free_key = { h->key, 0, true };
    const struct etcd_op put = { ETCD_PUT, h->key, h->value, strlen(h->value), lease },
                         get = { ETCD_GET, h->key, NULL, 0, 0 };
    struct etcd_answer a;

    ret->rc = etcd_txn(h->e, &(struct etcd_txn){ &free_key, 1, &put, &get, 1, 1 }, &a, err);
    if (ret->rc)
        return;
    ret->lease = a.succeeded ? lease : a.n ? a.kv[0].lease : 0;
    ret->number = a.succeeded ? a.revision : a.n ? a.kv[0].create_revision : 0;
    etcd_answer_free(&a);
}

static struct answer ask(struct holder *h, enum hold_what what, int64_t lease)
{
    struct answer got = { .lease = lease };
    struct tw_err err;

    switch (what) {
    case HOLD_GRANT:
        got.rc = etcd_grant(h->e, h->ttl_ns / TW_NS_PER_S, &got.lease, &got.ttl_s, &err);
        break;
    case HOLD_KEEP:
        got.rc = etcd_keep(h->e, lease, &got.ttl_s, &err);
        break;
    case HOLD_REVOKE:
        got.rc = etcd_revoke(h->e, lease, &err);
        break;
    default:
        take(h, lease, &got, &err);
        break;
    }
    return got;
}

/* Under the lock. */
static void tell(struct holder *h, enum hold_what what, const struct answer *got)
{
    int64_t now = now_ns();

    if (what == HOLD_KEEP && got->rc == TW_ENOENT)
        hold_kept(&h->hold, now, 0);
    else if (got->rc && !(what == HOLD_REVOKE && got->rc == TW_ENOENT))
        hold_failed(&h->hold, now);
    else if (what == HOLD_GRANT)
        hold_granted(&h->hold, now, got->lease, got->ttl_s * TW_NS_PER_S);
    else if (what == HOLD_KEEP)
        hold_kept(&h->hold, now, got->ttl_s * TW_NS_PER_S);
    else if (what == HOLD_TAKE)
        hold_taken(&h->hold, now, got->lease, got->number);
    else
        hold_revoked(&h->hold);
}

/* ---- The thread ---- */

/* Under the lock. */
static void rest(struct holder *h)
{
    int64_t wait = hold_due(&h->hold) - now_ns();
    struct timespec by;

    if (wait <= 0)
        return;
    wait = wait < TW_NS_PER_S ? wait : TW_NS_PER_S;
    clock_gettime(CLOCK_MONOTONIC, &by);
    wait += by.tv_nsec;
    by.tv_sec += wait / TW_NS_PER_S;
    by.tv_nsec = wait % TW_NS_PER_S;
    pthread_cond_timedwait(&h->moved, &h->lock, &by);
}

/* Under the lock, which it lets go while it asks. */
static bool step(struct holder *h)
{
    enum hold_what what = hold_next(&h->hold, now_ns());
    int64_t lease = h->hold.lease;
    struct answer got;

    if (!what)
        return false;
    pthread_mutex_unlock(&h->lock);
    etcd_hurry(h->e, tw_mono_now().ns + (what == HOLD_REVOKE ? STOP_NS : h->ttl_ns / 3));
    got = ask(h, what, lease);
    pthread_mutex_lock(&h->lock);
    tell(h, what, &got);
    return true;
}

static void *run(void *ctx)
{
    struct holder *h = ctx;

    pthread_mutex_lock(&h->lock);
    while (!h->stop)
        if (!step(h))
            rest(h);
    hold_resign(&h->hold);
    step(h);
    pthread_mutex_unlock(&h->lock);
    return NULL;
}

static enum tw_rc start_thread(struct holder *h, struct tw_err *err)
{
    pthread_condattr_t attr;
    int failed;

    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->moved, &attr);
    pthread_condattr_destroy(&attr);
    failed = pthread_create(&h->thread, NULL, run, h);
    if (!failed)
        return TW_OK;
    pthread_cond_destroy(&h->moved);
    pthread_mutex_destroy(&h->lock);
    return tw_err_set(err, tw_rc_errno(failed), "etcd: no thread to hold %.60s with", h->key);
}

enum tw_rc holder_start(const struct holder_conf *conf, struct holder **ret, struct tw_err *err)
{
    struct holder *h = calloc(1, sizeof *h);
    enum tw_rc rc;

    if (!h)
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    h->ttl_ns = conf->ttl_ns;
    snprintf(h->key, sizeof h->key, "/twampmesh/%s/holder/%s", conf->at->name, conf->role);
    snprintf(h->value, sizeof h->value, "{\"name\":\"%.100s\"}", conf->name);
    hold_init(&h->hold, &(struct hold_conf){ conf->ttl_ns, RETRY_NS });
    rc = etcd_new(conf->at, conf->ttl_ns / 4, &h->e, err);
    if (!rc)
        rc = start_thread(h, err);
    if (rc) {
        etcd_free(h->e);
        free(h);
        return rc;
    }
    *ret = h;
    return TW_OK;
}

void holder_stop(struct holder *h)
{
    if (!h)
        return;
    pthread_mutex_lock(&h->lock);
    h->stop = true;
    pthread_cond_broadcast(&h->moved);
    pthread_mutex_unlock(&h->lock);
    etcd_hurry(h->e, tw_mono_now().ns + STOP_NS);
    pthread_join(h->thread, NULL);
    etcd_free(h->e);
    pthread_cond_destroy(&h->moved);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

int64_t holder_number(struct holder *h)
{
    int64_t number;

    pthread_mutex_lock(&h->lock);
    number = hold_number(&h->hold, now_ns());
    pthread_mutex_unlock(&h->lock);
    return number;
}
