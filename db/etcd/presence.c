#include "db/etcd/presence_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clk.h"
#include "common/log.h"
#include "common/net/now.h"
#include "db/etcd/mirror_key.h"

#define RETRY_NS (500 * TW_NS_PER_MS)
#define STOP_NS TW_NS_PER_S

/* ---- What it says: a thread ---- */

static bool key_of(const struct presence *p, const char *kind, const char *name, char ret[ETCD_KEY_MAX])
{
    size_t len = (size_t)snprintf(ret, ETCD_KEY_MAX, "%s%s/", p->prefix, kind);

    return mirror_key_add(ret, ETCD_KEY_MAX, len, true, name) != SIZE_MAX;
}

/* Texts that are to be written, each its own. */
struct says {
    char keys[PRESENCE_SLOTS + 1][ETCD_KEY_MAX];
    char *texts[PRESENCE_SLOTS + 1];
    struct etcd_op ops[PRESENCE_SLOTS + 1];
    size_t n;
};

/* False: no memory, and nothing is added. */
static bool add_op(struct says *s, const char *text, int64_t lease)
{
    s->texts[s->n] = text ? strdup(text) : NULL;
    if (text && !s->texts[s->n])
        return false;
    s->ops[s->n] = (struct etcd_op){ text ? ETCD_PUT : ETCD_DELETE, s->keys[s->n], s->texts[s->n],
                                     text ? strlen(text) : 0, text ? lease : 0 };
    s->n++;
    return true;
}

static bool add_slot(struct presence *p, struct says *s, const char *own, unsigned i)
{
    const char *text = p->own[i].text;

    snprintf(s->keys[s->n], ETCD_KEY_MAX, "%.900s/%lld/%u", own, (long long)p->lease, i);
    if (!add_op(s, text, p->lease))
        return false;
    return i || !text || !key_of(p, "controller-known", p->name, s->keys[s->n]) || add_op(s, text, 0);
}

/* Under the lock. What there is no memory for stays due. */
static void collect(struct presence *p, struct says *s)
{
    char own[ETCD_KEY_MAX];

    s->n = 0;
    if (!key_of(p, "controller", p->name, own))
        return;
    for (unsigned i = 0; i < p->slots; i++)
        if (p->own[i].due)
            p->own[i].due = !add_slot(p, s, own, i);
}

static void says_free(struct says *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->texts[i]);
    free(s);
}

/* Under the lock: all of it, since nobody knows what came. */
static void say_again(struct presence *p)
{
    for (unsigned i = 0; i < p->slots; i++)
        p->own[i].due = p->own[i].text != NULL;
}

static enum tw_rc grant(struct presence *p, int64_t *ret_lease, struct tw_err *err)
{
    int64_t ttl_s;

    return etcd_grant(p->says, p->ttl_ns / TW_NS_PER_S, ret_lease, &ttl_s, err);
}

/* Without the lock, which it has when it returns. */
static void say(struct presence *p, struct says *s, struct tw_err *err)
{
    struct etcd_answer got;
    enum tw_rc rc = etcd_txn(p->says, &(struct etcd_txn){ .then = s->ops, .n_then = s->n }, &got, err);

    if (!rc)
        etcd_answer_free(&got);
    says_free(s);
    pthread_mutex_lock(&p->lock);
    if (!rc)
        return;
    say_again(p);
    p->keep_ns = 0; /* the lease may have ended */
}

static bool any_due(const struct presence *p)
{
    for (unsigned i = 0; i < p->slots; i++)
        if (p->own[i].due)
            return true;
    return false;
}

/* Under the lock, which it lets go while it asks. TW_EAGAIN: there is nothing to do. */
static enum tw_rc step(struct presence *p, struct tw_err *err)
{
    int64_t now_ns = tw_mono_now().ns, lease = p->lease, ttl_s;
    enum tw_rc rc = TW_OK;

    if (lease && now_ns < p->keep_ns && !any_due(p))
        return TW_EAGAIN;
    if (lease && now_ns < p->keep_ns) {
        struct says *s = calloc(1, sizeof *s);

        if (s)
            collect(p, s);
        if (!s || !s->n) {
            free(s);
            return tw_err_set(err, TW_ENOMEM, "out of memory");
        }
        pthread_mutex_unlock(&p->lock);
        err->rc = TW_OK;
        say(p, s, err);
        return err->rc;
    }
    pthread_mutex_unlock(&p->lock);
    rc = lease ? etcd_keep(p->says, lease, &ttl_s, err) : grant(p, &lease, err);
    pthread_mutex_lock(&p->lock);
    if (rc == TW_ENOENT) { /* it has ended: others saw us go */
        p->lease = 0;
        return TW_OK;
    }
    if (rc)
        return rc;
    if (lease != p->lease)
        say_again(p);
    p->lease = lease;
    p->keep_ns = now_ns + p->ttl_ns / 3;
    return TW_OK;
}

/* Under the lock. */
static void rest(struct presence *p, int64_t wait_ns)
{
    struct timespec by;

    clock_gettime(CLOCK_MONOTONIC, &by);
    wait_ns = (wait_ns > 0 ? wait_ns : 0) + by.tv_nsec;
    by.tv_sec += wait_ns / TW_NS_PER_S;
    by.tv_nsec = wait_ns % TW_NS_PER_S;
    pthread_cond_timedwait(&p->moved, &p->lock, &by);
}

/* Under the lock. */
static void note_error(struct presence *p, enum tw_rc rc, const struct tw_err *err)
{
    if (rc && !p->error[0])
        log_warn("other controllers may not know of this one", LOG_S("error", err->text));
    snprintf(p->error, sizeof p->error, "%s", rc ? err->text : "");
}

/* Under the lock. */
static void go(struct presence *p)
{
    struct tw_err err = { 0 };
    enum tw_rc rc;

    etcd_hurry(p->says, tw_mono_now().ns + p->ttl_ns);
    rc = step(p, &err);
    if (rc != TW_EAGAIN)
        note_error(p, rc, &err);
    if (rc == TW_EAGAIN)
        rest(p, p->keep_ns - tw_mono_now().ns);
    else if (rc && !p->stop)
        rest(p, RETRY_NS);
}

/* Under the lock. */
static void leave(struct presence *p)
{
    char key[ETCD_KEY_MAX];
    const struct etcd_op op = { ETCD_PUT, key, p->last, p->last ? strlen(p->last) : 0, 0 };
    struct etcd_answer got;
    struct tw_err err;

    etcd_hurry(p->says, tw_mono_now().ns + STOP_NS);
    if (p->last && key_of(p, "controller-known", p->name, key) &&
        etcd_txn(p->says, &(struct etcd_txn){ .then = &op, .n_then = 1 }, &got, &err) == TW_OK)
        etcd_answer_free(&got);
    if (p->lease)
        etcd_revoke(p->says, p->lease, &err);
    p->lease = 0;
}

/* Under the lock, which it lets go while it asks. */
static void forget(struct presence *p)
{
    char key[ETCD_KEY_MAX];
    const struct etcd_op op = { .kind = ETCD_DELETE, .key = key };
    struct etcd_answer got;
    struct tw_err err;
    bool known = key_of(p, "controller-known", p->forget, key);

    p->forget[0] = '\0';
    pthread_mutex_unlock(&p->lock);
    etcd_hurry(p->says, tw_mono_now().ns + p->ttl_ns / 3);
    if (known && etcd_txn(p->says, &(struct etcd_txn){ .then = &op, .n_then = 1 }, &got, &err) == TW_OK)
        etcd_answer_free(&got);
    pthread_mutex_lock(&p->lock);
}

static void *run(void *ctx)
{
    struct presence *p = ctx;

    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        go(p);
        if (p->forget[0])
            forget(p);
    }
    leave(p);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* ---- Outside ---- */

void presence_put(struct presence *p, unsigned slot, char *text)
{
    pthread_mutex_lock(&p->lock);
    free(p->own[slot].text);
    p->own[slot] = (struct presence_own){ text, true };
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

void presence_forget(struct presence *p, const char *name)
{
    pthread_mutex_lock(&p->lock);
    snprintf(p->forget, sizeof p->forget, "%s", name);
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

struct presence_state presence_read(struct presence *p, void (*fn)(void *ctx, const struct presence_text *t),
                                    void *ctx)
{
    struct presence_state ret;

    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->n; i++)
        fn(ctx, &(struct presence_text){ p->v[i].name, p->v[i].lease, p->v[i].slot, p->v[i].revision,
                                         p->v[i].text });
    ret = (struct presence_state){ .heard = p->heard, .hears = p->hears, .lease = p->lease };
    memcpy(ret.error, p->error, sizeof ret.error);
    pthread_mutex_unlock(&p->lock);
    return ret;
}

static void presence_free(struct presence *p)
{
    for (unsigned i = 0; i < PRESENCE_SLOTS; i++)
        free(p->own[i].text);
    presence_drop_all(p);
    etcd_free(p->says);
    etcd_free(p->hears_by);
    pthread_cond_destroy(&p->moved);
    pthread_mutex_destroy(&p->lock);
    free(p->last);
    free(p);
}

static void init_lock(struct presence *p)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->moved, &attr);
    pthread_condattr_destroy(&attr);
}

static void end_threads(struct presence *p, bool said, bool hears)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
    etcd_hurry(p->says, tw_mono_now().ns + STOP_NS);
    etcd_interrupt(p->hears_by);
    if (said)
        pthread_join(p->sayer, NULL);
    if (hears)
        pthread_join(p->hearer, NULL);
}

static enum tw_rc start_threads(struct presence *p, struct tw_err *err)
{
    int failed = pthread_create(&p->sayer, NULL, run, p);
    bool said = !failed;

    if (!failed)
        failed = pthread_create(&p->hearer, NULL, presence_hear, p);
    if (!failed)
        return TW_OK;
    end_threads(p, said, false);
    return tw_err_set(err, tw_rc_errno(failed), "etcd: no thread to know other controllers by");
}

enum tw_rc presence_start(const struct presence_conf *conf, struct presence **ret, struct tw_err *err)
{
    struct presence *p = calloc(1, sizeof *p);
    enum tw_rc rc;

    if (!p)
        return tw_err_set(err, TW_ENOMEM, "etcd: out of memory");
    init_lock(p);
    snprintf(p->prefix, sizeof p->prefix, "/twampmesh/%s/", conf->at->name);
    snprintf(p->name, sizeof p->name, "%s", conf->name);
    p->ttl_ns = conf->ttl_ns;
    p->slots = conf->slots;
    p->changed = conf->changed;
    p->ctx = conf->ctx;
    rc = etcd_new(conf->at, conf->ttl_ns / 3, &p->says, err);
    if (!rc)
        rc = etcd_new(conf->at, PRESENCE_SILENCE_NS, &p->hears_by, err);
    if (!rc)
        rc = start_threads(p, err);
    if (rc) {
        presence_free(p);
        return rc;
    }
    *ret = p;
    return TW_OK;
}

void presence_stop(struct presence *p, const char *last)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->last = last ? strdup(last) : NULL;
    pthread_mutex_unlock(&p->lock);
    end_threads(p, true, true);
    presence_free(p);
}
