#include "controller/notify.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/splitmix.h"
#include "controller/notify_send.h"

#define RETRY_NS TW_NS_PER_S
#define RETRY_MAX_NS (300 * TW_NS_PER_S)

struct list {
    struct notice *first, **end;
    uint32_t n;
};
/* A receiver's conf, which a send uses while the next one comes. */
struct conf {
    struct alert_receiver r;
    unsigned refs;
};
struct receiver {
    struct notify *owner;
    char name[ALERT_NAME_MAX];
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t wake;
    struct conf *conf;
    struct list queue;
    struct notice *current; /* being sent, or waiting to be tried again */
    atomic_bool stop;
    bool keep; /* what is queued is no loss: the database has it */
    struct notify_state state;
    int64_t next_try_ns; /* mono */
    uint64_t random;
    struct list ended;
    struct loop_task deliver;
    bool marked;
    struct work work; /* tries */
};
struct notify {
    struct notify_conf conf;
    struct receiver **v;
    size_t n;
    uint64_t gone_sent, gone_failed, gone_refused, gone_dropped; /* of receivers that are no more */
};

/* ---- Notices ---- */

struct notice *notice_new(uint64_t id, const char *key, const char *body)
{
    struct notice *n = calloc(1, sizeof *n);

    if (!n)
        return NULL;
    n->id = id;
    n->key = strdup(key);
    n->body = strdup(body);
    if (n->key && n->body)
        return n;
    notice_free(n);
    return NULL;
}

void notice_free(struct notice *n)
{
    if (!n)
        return;
    free(n->key);
    free(n->body);
    free(n);
}

static void list_init(struct list *l)
{
    *l = (struct list){ .end = &l->first };
}

static void list_add(struct list *l, struct notice *n)
{
    n->next = NULL;
    *l->end = n;
    l->end = &n->next;
    l->n++;
}

static struct notice *list_take(struct list *l)
{
    struct notice *n = l->first;

    if (!n)
        return NULL;
    l->first = n->next;
    if (!l->first)
        l->end = &l->first;
    l->n--;
    return n;
}

/* ---- Conf ---- */

static char *copy(const char *text, bool *ok)
{
    char *ret = text ? strdup(text) : NULL;

    *ok = *ok && (ret || !text);
    return ret;
}

static void conf_clear(struct alert_receiver *r)
{
    struct alert_rules all = { .receivers = calloc(1, sizeof *r), .n_receivers = 1 };

    if (!all.receivers) /* then it is lost, but nothing breaks */
        return;
    *all.receivers = *r;
    alert_rules_clear(&all);
}

static struct conf *conf_new(const struct alert_receiver *r)
{
    struct conf *c = calloc(1, sizeof *c);
    bool ok = true;

    if (!c)
        return NULL;
    c->refs = 1;
    c->r = *r;
    c->r.url = copy(r->url, &ok);
    c->r.token_file = copy(r->token_file, &ok);
    c->r.from = copy(r->from, &ok);
    c->r.sendmail = copy(r->sendmail, &ok);
    memset(c->r.argv, 0, sizeof c->r.argv);
    for (size_t i = 0; i < r->n_args; i++)
        c->r.argv[i] = copy(r->argv[i], &ok);
    if (ok)
        return c;
    conf_clear(&c->r);
    free(c);
    return NULL;
}

/* Under the receiver's lock. */
static void conf_unref(struct conf *c)
{
    if (!c || --c->refs)
        return;
    conf_clear(&c->r);
    free(c);
}

/* ---- A receiver's thread ---- */

/* Under the lock: with it ends what was begun. */
static void end_notice(struct receiver *r, struct notice *n, enum notice_end end)
{
    n->end = end;
    r->state.dropped += end == NOTICE_DROPPED && n->id;
    r->state.refused += end == NOTICE_REFUSED;
    list_add(&r->ended, n);
    loop_post(r->owner->conf.loop, &r->deliver);
}

static int64_t pause_ns(struct receiver *r, unsigned tries)
{
    const struct notify_conf *c = &r->owner->conf;
    int64_t ns = c->retry_ns;

    while (--tries && ns < c->retry_max_ns)
        ns *= 2;
    ns = ns < c->retry_max_ns ? ns : c->retry_max_ns;
    return ns / 2 + (int64_t)(tw_splitmix64(&r->random) % (uint64_t)(ns / 2 + 1));
}

static void wait_until(struct receiver *r, const struct notice *n, int64_t mono_ns)
{
    struct timespec ts = { mono_ns / TW_NS_PER_S, mono_ns % TW_NS_PER_S };

    while (!r->stop && !n->gone && pthread_cond_timedwait(&r->wake, &r->lock, &ts) != ETIMEDOUT)
        ;
}

static void note_failure(struct receiver *r, const struct tw_err *err, unsigned tries)
{
    int64_t wait = pause_ns(r, tries);

    r->state.failed++;
    r->state.last_failed_ns = tw_wall_now().ns;
    snprintf(r->state.last_error, sizeof r->state.last_error, "%.159s", err->text);
    if (tries == 1)
        log_warn("a receiver of alerts does not take them; they are kept and tried again",
                 LOG_S("receiver", r->name), LOG_S("error", err->text));
    r->state.next_try_ns = r->state.last_failed_ns + wait;
    r->next_try_ns = tw_mono_now().ns + wait;
}

/* Under the lock, which it gives up meanwhile. */
static enum tw_rc try_once(struct receiver *r, const struct notice *n, struct tw_err *err)
{
    struct conf *c = r->conf;
    enum tw_rc rc;

    c->refs++;
    r->state.sending = true;
    pthread_mutex_unlock(&r->lock);
    work_begin(&r->work, tw_mono_now().ns);
    rc = notify_send(&c->r, n->key, n->body, &r->stop, err);
    work_end(&r->work, tw_mono_now().ns);
    pthread_mutex_lock(&r->lock);
    r->state.sending = false;
    conf_unref(c);
    return rc;
}

/* Until it is taken, refused for good or gone, or we stop. */
static void bring(struct receiver *r, struct notice *n)
{
    struct tw_err err;
    enum tw_rc rc = TW_ECLOSED;

    for (unsigned tries = 1; !r->stop && !n->gone; tries++) {
        err = (struct tw_err){ 0 };
        rc = try_once(r, n, &err);
        if (rc == TW_OK || rc == TW_ECLOSED)
            break;
        note_failure(r, &err, tries < 32 ? tries : 32);
        if (rc == TW_EINVAL || !n->id)
            break;
        wait_until(r, n, r->next_try_ns);
    }
    r->state.next_try_ns = 0;
    if (rc == TW_OK) {
        r->state.sent++;
        r->state.last_sent_ns = tw_wall_now().ns;
        end_notice(r, n, NOTICE_SENT);
    } else if (rc == TW_EINVAL) {
        end_notice(r, n, NOTICE_REFUSED);
    } else if (r->keep || n->gone) {
        notice_free(n);
    } else {
        end_notice(r, n, NOTICE_DROPPED);
    }
}

static void *receiver_main(void *arg)
{
    struct receiver *r = arg;

    pthread_mutex_lock(&r->lock);
    for (;;) {
        while (!r->stop && !r->queue.first)
            pthread_cond_wait(&r->wake, &r->lock);
        if (r->stop)
            break;
        r->current = list_take(&r->queue);
        bring(r, r->current);
        r->current = NULL;
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- Loop thread ---- */

static void deliver(struct loop_task *t)
{
    struct receiver *r = t->ctx;
    struct list done;
    struct notice *n;

    pthread_mutex_lock(&r->lock);
    done = r->ended;
    if (!done.first)
        done.end = &done.first;
    list_init(&r->ended);
    pthread_mutex_unlock(&r->lock);
    while ((n = list_take(&done))) {
        if (n->id)
            r->owner->conf.ended(r->owner->conf.ctx, n, r->name);
        notice_free(n);
    }
}

/* Waits are by the monotonic clock; signals are the loop's. */
static int start_thread(struct receiver *r)
{
    pthread_condattr_t attr;
    sigset_t all, before;
    int e;

    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &attr);
    pthread_condattr_destroy(&attr);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    e = pthread_create(&r->thread, NULL, receiver_main, r);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e) {
        pthread_cond_destroy(&r->wake);
        pthread_mutex_destroy(&r->lock);
    }
    return e;
}

static enum tw_rc add_receiver(struct notify *n, const struct alert_receiver *conf)
{
    struct receiver *r = calloc(1, sizeof *r), **v = realloc(n->v, (n->n + 1) * sizeof(*v));

    if (v)
        n->v = v;
    if (!r || !v || !(r->conf = conf_new(conf))) {
        free(r);
        return TW_ENOMEM;
    }
    r->owner = n;
    r->marked = true;
    memcpy(r->name, conf->name, sizeof r->name);
    list_init(&r->queue);
    list_init(&r->ended);
    r->random = (uint64_t)tw_mono_now().ns;
    work_init(&r->work, tw_mono_now().ns);
    r->deliver = (struct loop_task){ .fn = deliver, .ctx = r };
    if (start_thread(r)) {
        conf_unref(r->conf);
        free(r);
        return TW_EIO;
    }
    n->v[n->n++] = r;
    return TW_OK;
}

static void end_receiver(struct notify *n, struct receiver *r, bool keep)
{
    struct notice *left;

    pthread_mutex_lock(&r->lock);
    r->keep = keep;
    r->stop = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    while ((left = list_take(&r->queue))) {
        if (keep)
            notice_free(left);
        else
            end_notice(r, left, NOTICE_DROPPED);
    }
    loop_unpost(n->conf.loop, &r->deliver);
    deliver(&r->deliver);
    n->gone_sent += r->state.sent;
    n->gone_failed += r->state.failed;
    n->gone_refused += r->state.refused;
    n->gone_dropped += r->state.dropped;
    conf_unref(r->conf);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

enum tw_rc notify_new(const struct notify_conf *c, struct notify **ret)
{
    struct notify *n = calloc(1, sizeof *n);

    if (!n || notify_send_init() != TW_OK) {
        free(n);
        return TW_ENOMEM;
    }
    n->conf = *c;
    n->conf.retry_ns = c->retry_ns ? c->retry_ns : RETRY_NS;
    n->conf.retry_max_ns = c->retry_max_ns ? c->retry_max_ns : RETRY_MAX_NS;
    *ret = n;
    return TW_OK;
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++) { /* all at once, so that one that hangs costs its time only once */
        pthread_mutex_lock(&n->v[i]->lock);
        n->v[i]->keep = true;
        n->v[i]->stop = true;
        pthread_cond_signal(&n->v[i]->wake);
        pthread_mutex_unlock(&n->v[i]->lock);
    }
    for (size_t i = 0; i < n->n; i++)
        end_receiver(n, n->v[i], true);
    free(n->v);
    free(n);
}

static struct receiver *find(const struct notify *n, const char *name)
{
    for (size_t i = 0; i < n->n; i++)
        if (!strcmp(n->v[i]->name, name))
            return n->v[i];
    return NULL;
}

static enum tw_rc change_conf(struct receiver *r, const struct alert_receiver *conf)
{
    struct conf *c = conf_new(conf);

    if (!c)
        return TW_ENOMEM;
    pthread_mutex_lock(&r->lock);
    conf_unref(r->conf);
    r->conf = c;
    pthread_mutex_unlock(&r->lock);
    return TW_OK;
}

enum tw_rc notify_set_receivers(struct notify *n, const struct alert_rules *rules)
{
    enum tw_rc rc = TW_OK;
    size_t kept = 0;

    for (size_t i = 0; i < n->n; i++)
        n->v[i]->marked = false;
    for (size_t i = 0; i < rules->n_receivers && rc == TW_OK; i++) {
        struct receiver *r = find(n, rules->receivers[i].name);

        if (r)
            r->marked = true;
        rc = r ? change_conf(r, &rules->receivers[i]) : add_receiver(n, &rules->receivers[i]);
    }
    if (rc)
        return rc;
    for (size_t i = 0; i < n->n; i++) {
        if (n->v[i]->marked)
            n->v[kept++] = n->v[i];
        else
            end_receiver(n, n->v[i], false);
    }
    n->n = kept;
    return TW_OK;
}

enum tw_rc notify_submit(struct notify *n, const char *receiver, struct notice *notice)
{
    struct receiver *r = find(n, receiver);

    if (!r) {
        notice->end = NOTICE_DROPPED;
        n->gone_dropped++;
        n->conf.ended(n->conf.ctx, notice, receiver);
        notice_free(notice);
        return TW_ENOENT;
    }
    pthread_mutex_lock(&r->lock);
    if (r->queue.n >= NOTIFY_QUEUE_MAX)
        end_notice(r, list_take(&r->queue), NOTICE_DROPPED);
    list_add(&r->queue, notice);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    return TW_OK;
}

static struct notice *waiting(const struct receiver *r, const char *key)
{
    for (struct notice *q = r->queue.first; q; q = q->next)
        if (!strcmp(q->key, key))
            return q;
    return NULL;
}

enum tw_rc notify_refresh(struct notify *n, const char *receiver, struct notice *notice)
{
    struct receiver *r = find(n, receiver);
    struct notice *old;

    if (!r) {
        notice_free(notice);
        return TW_ENOENT;
    }
    pthread_mutex_lock(&r->lock);
    old = waiting(r, notice->key);
    if (old) {
        char *body = old->body;
        old->body = notice->body;
        notice->body = body;
    } else if (r->queue.n < NOTIFY_QUEUE_MAX) {
        list_add(&r->queue, notice);
        pthread_cond_signal(&r->wake);
    } else {
        old = notice; /* no room for what is not worth it */
    }
    pthread_mutex_unlock(&r->lock);
    if (old)
        notice_free(notice);
    return TW_OK;
}

static void forget_of(struct receiver *r, bool (*gone)(void *ctx, uint64_t id), void *ctx)
{
    struct list all;
    struct notice *n;

    pthread_mutex_lock(&r->lock);
    all = r->queue;
    if (!all.first)
        all.end = &all.first;
    list_init(&r->queue);
    while ((n = list_take(&all))) {
        if (n->id && gone(ctx, n->id))
            notice_free(n);
        else
            list_add(&r->queue, n);
    }
    if (r->current && r->current->id && gone(ctx, r->current->id))
        r->current->gone = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

void notify_forget(struct notify *n, bool (*gone)(void *ctx, uint64_t id), void *ctx)
{
    for (size_t i = 0; n && i < n->n; i++)
        forget_of(n->v[i], gone, ctx);
}

/* ---- Looking ---- */

static void read_state(struct receiver *r, struct notify_state *ret)
{
    pthread_mutex_lock(&r->lock);
    *ret = r->state;
    memcpy(ret->name, r->name, sizeof ret->name);
    ret->kind = r->conf->r.kind;
    ret->format = r->conf->r.format;
    ret->queued = r->queue.n + (r->current != NULL);
    pthread_mutex_unlock(&r->lock);
    work_look(&r->work, tw_mono_now().ns, &ret->work);
}

size_t notify_states(struct notify *n, struct notify_state *ret, size_t cap)
{
    for (size_t i = 0; n && i < n->n && i < cap; i++)
        read_state(n->v[i], &ret[i]);
    return n ? n->n : 0;
}

void notify_totals(struct notify *n, uint64_t *ret_sent, uint64_t *ret_failed, uint64_t *ret_refused,
                   uint64_t *ret_dropped, uint64_t *ret_queued)
{
    struct notify_state s;

    *ret_sent = n ? n->gone_sent : 0;
    *ret_failed = n ? n->gone_failed : 0;
    *ret_refused = n ? n->gone_refused : 0;
    *ret_dropped = n ? n->gone_dropped : 0;
    *ret_queued = 0;
    if (!n)
        return;
    for (size_t i = 0; i < n->n; i++) {
        read_state(n->v[i], &s);
        *ret_sent += s.sent;
        *ret_failed += s.failed;
        *ret_refused += s.refused;
        *ret_dropped += s.dropped;
        *ret_queued += s.queued;
    }
}
