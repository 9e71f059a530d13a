/* agent/resolver.c - see resolver.h. The names belong to the loop thread. A thread gets a copy of a name in a
 * job, and the job comes back with the answer by loop_post(): the two share nothing but the pool. There is at
 * most one job for each name, so the queue is bounded by RESOLVER_NAMES_MAX. */
#include "agent/resolver.h"

#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>
#include "common/log.h"
#include "common/net/identity.h"
#include "common/net/now.h"

#define ANSWERS_MAX 16
#define RETRY_NS (2 * TW_NS_PER_S)

struct key {
    char name[HOSTNAME_MAX]; /* lower case, zeros behind it */
    uint8_t family;
};
struct resolver_entry {
    struct key key;
    struct resolver *r;
    struct resolver_use *uses;
    bool asked, stale;      /* asked: a job is under way */
    struct tw_addr address; /* family 0: none yet */
    unsigned failures;      /* in a row */
    char why[RESOLVER_WHY];
    struct tw_mono due;
    UT_hash_handle hh;
};

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_BACK };
struct job {
    struct loop_task task; /* brings it back */
    struct resolver *r;
    enum job_state state;    /* under the pool's lock */
    struct job *qnext;       /* in the queue */
    struct job *prev, *next; /* of all that have not come back: loop thread */
    struct key key;
    enum tw_rc rc;
    struct tw_addr found[ANSWERS_MAX];
    size_t n;
    char why[RESOLVER_WHY];
};

/* What threads see of it. It goes with the last of them, which may be after the resolver: who is asked to
 * stop does not wait for a name server. */
struct pool {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct job *queue, **queue_end;
    size_t n_queued, n_begun; /* jobs; threads */
    struct work thread_work[RESOLVER_THREADS];
    bool stop;
    unsigned refs;
    struct loop *loop;
    enum tw_rc (*lookup)(const char *name, uint8_t family, struct tw_addr *ret, size_t cap, size_t *ret_n,
                         char why[RESOLVER_WHY]);
};
struct resolver {
    struct resolver_conf conf;
    struct resolver_entry *entries;
    struct loop_timer timer;
    struct resolver_counters counters;
    struct log_limit log, log_address;
    struct job *jobs;
    struct pool *pool;
    unsigned n_threads;
};

/* ---- The system's way ---- */

/* Read anew each time, so that a change of /etc/resolv.conf counts although we have settings of our own; they
 * belong to the thread. */
static void be_quick(void)
{
    if (res_init())
        return; /* its defaults then: it takes longer */
    _res.retrans = 2;
    _res.retry = 2;
}

static enum tw_rc system_lookup(const char *name, uint8_t family, struct tw_addr *ret, size_t cap,
                                size_t *ret_n, char why[RESOLVER_WHY])
{
    struct addrinfo hints = { .ai_family = family == 4   ? AF_INET
                                           : family == 6 ? AF_INET6
                                                         : AF_UNSPEC,
                              .ai_socktype = SOCK_DGRAM };
    struct addrinfo *list = NULL;
    size_t n = 0;
    int e;

    be_quick();
    e = getaddrinfo(name, NULL, &hints, &list);
    if (e) {
        snprintf(why, RESOLVER_WHY, "%s", e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
        return TW_ENOENT;
    }
    for (struct addrinfo *i = list; i && n < cap; i = i->ai_next)
        n += tw_addr_from_sockaddr(i->ai_addr, &ret[n]) == TW_OK;
    freeaddrinfo(list);
    *ret_n = n;
    return TW_OK;
}

/* ---- The threads ---- */

/* With the lock, which it gives back. */
static void pool_unref(struct pool *p)
{
    bool last = --p->refs == 0;

    pthread_mutex_unlock(&p->lock);
    if (!last)
        return;
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static struct job *take_job(struct pool *p)
{
    struct job *j;

    while (!p->queue && !p->stop)
        pthread_cond_wait(&p->work, &p->lock);
    if (p->stop)
        return NULL;
    j = p->queue;
    p->queue = j->qnext;
    if (!p->queue)
        p->queue_end = &p->queue;
    p->n_queued--;
    j->state = JOB_RUNNING;
    return j;
}

static void *run(void *arg)
{
    struct pool *p = arg;
    struct work *w;
    struct job *j;

    pthread_mutex_lock(&p->lock);
    w = &p->thread_work[p->n_begun++];
    work_init(w, tw_mono_now().ns);
    while ((j = take_job(p))) {
        pthread_mutex_unlock(&p->lock);
        work_begin(w, tw_mono_now().ns);
        j->rc = p->lookup(j->key.name, j->key.family, j->found, ANSWERS_MAX, &j->n, j->why);
        work_end(w, tw_mono_now().ns);
        pthread_mutex_lock(&p->lock);
        if (p->stop) {
            free(j);
            continue;
        }
        j->state = JOB_BACK;
        loop_post(p->loop, &j->task);
    }
    pool_unref(p);
    return NULL;
}

static void start_threads(struct resolver *r)
{
    pthread_attr_t attr;
    pthread_t t;

    if (pthread_attr_init(&attr))
        return;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&r->pool->lock);
    while (r->n_threads < RESOLVER_THREADS && !pthread_create(&t, &attr, run, r->pool)) {
        r->pool->refs++;
        r->n_threads++;
    }
    pthread_mutex_unlock(&r->pool->lock);
    pthread_attr_destroy(&attr);
}

/* ---- Names ---- */

static bool make_key(const char *name, uint8_t family, struct key *ret)
{
    struct key k = { .family = family };

    if (!hostname_ok(name))
        return false;
    for (size_t i = 0; name[i]; i++)
        k.name[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] | 0x20) : name[i];
    *ret = k;
    return true;
}

static struct resolver_entry *find(const struct resolver *r, const struct key *k)
{
    struct resolver_entry *e;

    HASH_FIND(hh, r->entries, k, sizeof *k, e);
    return e;
}

/* One whose job is under way waits for it, so that a name has never two. */
static void forget_if_idle(struct resolver_entry *e)
{
    if (e->uses || e->asked)
        return;
    HASH_DEL(e->r->entries, e);
    free(e);
}

static void tell(struct resolver_entry *e)
{
    struct resolver_use *u, *next;

    DL_FOREACH_SAFE(e->uses, u, next)
    u->on_news(u);
}

/* ---- When ---- */

/* Up to a tenth earlier or later. */
static int64_t jittered(int64_t ns)
{
    uint64_t random = 0;

    identity_random((uint8_t *)&random, sizeof random); /* failing means no jitter but no harm */
    return ns - ns / 10 + (int64_t)(random % (uint64_t)(ns / 5 + 1));
}

static void wait_for_next(struct resolver *r, struct resolver_entry *e)
{
    int64_t wait = r->conf.every_ns;

    if (e->failures) {
        int64_t longest = wait > r->conf.retry_ns ? wait : r->conf.retry_ns;

        wait = r->conf.retry_ns << (e->failures > 16 ? 16 : e->failures - 1);
        wait = wait > longest ? longest : wait;
    }
    e->due.ns = tw_mono_now().ns + jittered(wait);
}

static void arm(struct resolver *r)
{
    struct tw_mono next = TW_MONO_NEVER;

    for (const struct resolver_entry *e = r->entries; e; e = e->hh.next)
        if (!e->asked && e->due.ns < next.ns)
            next = e->due;
    if (next.ns == TW_MONO_NEVER.ns)
        loop_timer_cancel(r->conf.loop, &r->timer);
    else if (loop_timer_set(r->conf.loop, &r->timer, next))
        log_error("out of memory: names of targets are not looked up again");
}

/* ---- Answers ---- */

static bool same_ip(const struct tw_addr *a, const struct tw_addr *b)
{
    return a->family == b->family && a->scope == b->scope && !memcmp(a->ip, b->ip, sizeof a->ip);
}

/* The one in use if it still counts, else the first of the family; NULL: none, and why if that is known. */
static const struct tw_addr *choose(const struct resolver_entry *e, const struct job *j, const char **ret_why)
{
    const struct tw_addr *first = NULL;

    *ret_why = j->why;
    for (size_t i = 0; j->rc == TW_OK && i < j->n; i++) {
        const char *forbidden;

        if (e->key.family && j->found[i].family != e->key.family)
            continue;
        forbidden = target_rules_forbid(&e->r->conf.targets, &j->found[i]);
        if (forbidden) {
            *ret_why = forbidden;
            continue;
        }
        if (same_ip(&j->found[i], &e->address))
            return &j->found[i];
        if (!first)
            first = &j->found[i];
    }
    return first;
}

static void note_failure(struct resolver *r, struct resolver_entry *e, const char *why)
{
    unsigned held;

    r->counters.failures++;
    e->failures++;
    e->stale = e->address.family;
    snprintf(e->why, sizeof e->why, "%s", *why ? why : "it has no address of the family that is wanted");
    if (log_limit_ok(&r->log, tw_mono_now().ns, &held))
        log_warn(e->stale ? "a target's name finds no address now: the last one stays in use"
                          : "a target's name finds no address",
                 LOG_S("name", e->key.name), LOG_S("reason", e->why), LOG_U("times", e->failures),
                 LOG_U("held_back", held));
}

static void note_address(struct resolver_entry *e, const struct tw_addr *a)
{
    char before[TW_ADDR_TEXT] = "none", now[TW_ADDR_TEXT];
    bool had = e->address.family;
    unsigned held;

    if (had)
        tw_addr_format_ip(&e->address, before);
    e->address = *a;
    e->address.port = 0;
    tw_addr_format_ip(&e->address, now);
    if (log_limit_ok(&e->r->log_address, tw_mono_now().ns, &held))
        log_info(had ? "a target's name has another address" : "a target's name has an address",
                 LOG_S("name", e->key.name), LOG_S("before", before), LOG_S("now", now),
                 LOG_U("held_back", held));
}

static void take_answer(struct resolver *r, struct resolver_entry *e, const struct job *j)
{
    const char *why;
    const struct tw_addr *a = choose(e, j, &why);
    bool news = a ? !same_ip(a, &e->address) : !e->address.family;

    e->asked = false;
    if (a) {
        e->failures = 0;
        e->why[0] = '\0';
        e->stale = false;
    } else {
        note_failure(r, e, why);
    }
    if (a && news)
        note_address(e, a);
    wait_for_next(r, e);
    if (!e->uses)
        forget_if_idle(e);
    else if (news)
        tell(e);
}

static void job_back(struct loop_task *t)
{
    struct job *j = t->ctx;
    struct resolver *r = j->r;
    struct resolver_entry *e = find(r, &j->key);

    DL_DELETE(r->jobs, j);
    if (e)
        take_answer(r, e, j);
    free(j);
    arm(r);
}

/* ---- Questions ---- */

static void ask(struct resolver *r, struct resolver_entry *e)
{
    struct job *j = calloc(1, sizeof *j);
    struct pool *p = r->pool;

    if (!r->n_threads)
        start_threads(r);
    if (!j || !r->n_threads) {
        free(j);
        note_failure(r, e, "the agent has no memory, or no thread, to look it up");
        wait_for_next(r, e);
        return;
    }
    j->task = (struct loop_task){ .fn = job_back, .ctx = j };
    j->r = r;
    j->key = e->key;
    DL_APPEND(r->jobs, j);
    e->asked = true;
    r->counters.lookups++;
    pthread_mutex_lock(&p->lock);
    p->n_queued++;
    *p->queue_end = j;
    p->queue_end = &j->qnext;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

static void on_timer(struct loop_timer *t)
{
    struct resolver *r = t->ctx;
    int64_t now = tw_mono_now().ns;

    for (struct resolver_entry *e = r->entries; e; e = e->hh.next)
        if (!e->asked && e->due.ns <= now)
            ask(r, e);
    arm(r);
}

static struct resolver_entry *make_entry(struct resolver *r, const struct key *k)
{
    struct resolver_entry *e = calloc(1, sizeof *e);

    if (!e)
        return NULL;
    e->key = *k;
    e->r = r;
    HASH_ADD(hh, r->entries, key, sizeof e->key, e);
    return e;
}

enum tw_rc resolver_begin(struct resolver *r, const char *name, uint8_t family, struct resolver_use *u)
{
    struct resolver_entry *e;
    struct key k;

    if (!make_key(name, family, &k))
        return TW_EINVAL;
    e = find(r, &k);
    if (!e && HASH_COUNT(r->entries) >= RESOLVER_NAMES_MAX)
        return TW_ENOSPC;
    if (!e && !(e = make_entry(r, &k)))
        return TW_ENOMEM;
    DL_APPEND(e->uses, u);
    u->entry = e;
    if (!e->asked && !e->address.family) { /* who has waited for long is helped, too */
        e->due = tw_mono_now();
        loop_timer_set(r->conf.loop, &r->timer, e->due);
    }
    return TW_OK;
}

void resolver_end(struct resolver_use *u)
{
    struct resolver_entry *e = u->entry;

    if (!e)
        return;
    DL_DELETE(e->uses, u);
    u->entry = NULL;
    forget_if_idle(e);
}

const struct tw_addr *resolver_address(const struct resolver_use *u)
{
    return u->entry->address.family ? &u->entry->address : NULL;
}

const char *resolver_why(const struct resolver_use *u)
{
    return u->entry->why;
}

const char *resolver_name(const struct resolver_use *u)
{
    return u->entry->key.name;
}

bool resolver_is(const struct resolver_use *u, const char *name, uint8_t family)
{
    struct key k;

    return u->entry && make_key(name, family, &k) && !memcmp(&k, &u->entry->key, sizeof k);
}

void resolver_set_every(struct resolver *r, int64_t every_ns)
{
    r->conf.every_ns = every_ns;
}

void resolver_counters(const struct resolver *r, struct resolver_counters *ret)
{
    *ret = r->counters;
    for (const struct resolver_entry *e = r->entries; e; e = e->hh.next) {
        if (!e->uses)
            continue;
        ret->names++;
        ret->unresolved += !e->address.family;
        ret->stale += e->stale;
    }
}

/* ---- Life ---- */

static struct pool *pool_new(const struct resolver_conf *c)
{
    struct pool *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    p->queue_end = &p->queue;
    p->refs = 1;
    p->loop = c->loop;
    p->lookup = c->lookup ? c->lookup : system_lookup;
    return p;
}

void resolver_load(const struct resolver *r, struct resolver_load *ret)
{
    struct pool *p = r->pool;
    int64_t now_ns = tw_mono_now().ns;

    pthread_mutex_lock(&p->lock);
    ret->threads = p->n_begun;
    ret->queued = p->n_queued;
    for (size_t i = 0; i < p->n_begun; i++)
        work_look(&p->thread_work[i], now_ns, &ret->work[i]);
    pthread_mutex_unlock(&p->lock);
}

enum tw_rc resolver_new(const struct resolver_conf *c, struct resolver **ret)
{
    struct resolver *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->conf = *c;
    r->conf.every_ns = c->every_ns ? c->every_ns : RESOLVER_EVERY_NS;
    r->conf.retry_ns = c->retry_ns ? c->retry_ns : RETRY_NS;
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    r->log.burst = r->log_address.burst = 10;
    r->pool = pool_new(&r->conf);
    if (!r->pool) {
        free(r);
        return TW_ENOMEM;
    }
    *ret = r;
    return TW_OK;
}

void resolver_free(struct resolver *r)
{
    struct resolver_entry *e, *next_entry;
    struct job *j, *next;

    if (!r)
        return;
    loop_timer_cancel(r->conf.loop, &r->timer);
    pthread_mutex_lock(&r->pool->lock);
    r->pool->stop = true;
    pthread_cond_broadcast(&r->pool->work);
    DL_FOREACH_SAFE(r->jobs, j, next)
    {
        if (j->state == JOB_RUNNING) /* its thread frees it */
            continue;
        loop_unpost(r->conf.loop, &j->task);
        free(j);
    }
    pool_unref(r->pool);
    HASH_ITER(hh, r->entries, e, next_entry)
    {
        HASH_DEL(r->entries, e);
        free(e);
    }
    free(r);
}
