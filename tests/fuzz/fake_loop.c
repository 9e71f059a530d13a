#include "tests/fuzz/fake_loop.h"
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include "common/net/now.h"
#include "tests/fuzz/check.h"

#define MONO_START_NS (1000 * TW_NS_PER_S)
#define ROUNDS_MAX 200000
#define WATCHES_MAX 16

struct loop {
    struct timerq timers;
    struct loop_watch *watches[WATCHES_MAX];
    size_t n_watches;
    pthread_mutex_t lock; /* the next two */
    struct loop_task *first, **end;
    bool stop;
};

static int64_t passed_ns;

/* ---- Clocks ---- */

void fake_loop_reset_clock(void)
{
    passed_ns = 0;
}

struct tw_mono tw_mono_now(void)
{
    return (struct tw_mono){ MONO_START_NS + passed_ns };
}

struct tw_wall tw_wall_now(void)
{
    return (struct tw_wall){ FAKE_LOOP_START_NS + passed_ns };
}

struct tw_now tw_now(void)
{
    return (struct tw_now){ .mono = tw_mono_now(), .wall = tw_wall_now() };
}

struct tw_mono tw_spin_until(struct tw_mono due)
{
    if (due.ns > tw_mono_now().ns)
        passed_ns = due.ns - MONO_START_NS;
    return tw_mono_now();
}

void tw_clock_read(struct clkstate *ret)
{
    *ret = (struct clkstate){ 0 };
}

void loop_stats(const struct loop *l, struct loop_stats *ret)
{
    (void)l;
    *ret = (struct loop_stats){ 0 };
}

struct tw_now loop_now(const struct loop *l)
{
    (void)l;
    return tw_now();
}

/* ---- Tasks ---- */

void loop_post(struct loop *l, struct loop_task *t)
{
    pthread_mutex_lock(&l->lock);
    if (!t->queued) {
        t->queued = true;
        t->next = NULL;
        *l->end = t;
        l->end = &t->next;
    }
    pthread_mutex_unlock(&l->lock);
}

void loop_unpost(struct loop *l, struct loop_task *t)
{
    pthread_mutex_lock(&l->lock);
    for (struct loop_task **at = &l->first; *at; at = &(*at)->next)
        if (*at == t) {
            *at = t->next;
            if (l->end == &t->next)
                l->end = at;
            t->queued = false;
            break;
        }
    pthread_mutex_unlock(&l->lock);
}

static struct loop_task *take(struct loop *l)
{
    struct loop_task *t;

    pthread_mutex_lock(&l->lock);
    t = l->first;
    if (t) {
        l->first = t->next;
        if (!l->first)
            l->end = &l->first;
        t->queued = false;
    }
    pthread_mutex_unlock(&l->lock);
    return t;
}

/* ---- Timers and descriptors ---- */

enum tw_rc loop_timer_set(struct loop *l, struct loop_timer *t, struct tw_mono due)
{
    return timerq_set(&l->timers, &t->entry, due);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    timerq_cancel(&l->timers, &t->entry);
}

size_t fake_loop_timers(const struct loop *l)
{
    return l->timers.len;
}

/* Of those within this process: reading only. */
enum tw_rc loop_watch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    (void)events;
    CHECK(l->n_watches < WATCHES_MAX);
    l->watches[l->n_watches++] = w;
    return TW_OK;
}

enum tw_rc loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    (void)l;
    (void)w;
    (void)events;
    return TW_OK;
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
    for (size_t i = 0; i < l->n_watches; i++)
        if (l->watches[i] == w) {
            l->watches[i--] = l->watches[l->n_watches - 1];
            l->n_watches--;
        }
}

static bool run_watch(struct loop *l)
{
    for (size_t i = 0; i < l->n_watches; i++) {
        struct pollfd p = { .fd = l->watches[i]->fd, .events = POLLIN };

        if (poll(&p, 1, 0) > 0) {
            l->watches[i]->fn(l->watches[i], POLLIN);
            return true;
        }
    }
    return false;
}

enum tw_rc loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
    (void)l;
    (void)signo;
    (void)fn;
    (void)ctx;
    return TW_OK;
}

/* ---- The loop ---- */

void fake_loop_run(struct loop *l)
{
    struct loop_task *t;
    struct timerq_entry *e;

    for (unsigned n = 0;; n++) {
        CHECK(n < ROUNDS_MAX);
        if ((t = take(l)))
            t->fn(t);
        else if ((e = timerq_pop(&l->timers, tw_mono_now())))
            ((struct loop_timer *)e)->fn((struct loop_timer *)e);
        else if (!run_watch(l))
            return;
    }
}

void fake_loop_advance(struct loop *l, int64_t ns)
{
    int64_t until = passed_ns + ns, next;

    for (unsigned n = 0; passed_ns < until; n++) {
        CHECK(n < ROUNDS_MAX);
        fake_loop_run(l);
        next = timerq_next_due(&l->timers).ns;
        next = next == TW_MONO_NEVER.ns ? until : next - MONO_START_NS;
        passed_ns = next > until ? until : next;
    }
    fake_loop_run(l);
}

enum tw_rc loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof *l);

    if (!l)
        return TW_ENOMEM;
    timerq_init(&l->timers);
    pthread_mutex_init(&l->lock, NULL);
    l->end = &l->first;
    *ret = l;
    return TW_OK;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    timerq_free(&l->timers);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void loop_stop(struct loop *l)
{
    l->stop = true;
}

enum tw_rc loop_run(struct loop *l)
{
    fake_loop_run(l);
    return TW_OK;
}

/* Nobody waits: without the flag the deadline has come. */
enum tw_rc loop_run_until(struct loop *l, const bool *flag, struct tw_mono deadline)
{
    int64_t left_ns = deadline.ns - tw_mono_now().ns;

    fake_loop_run(l);
    if (!*flag && left_ns > 0)
        fake_loop_advance(l, left_ns);
    return *flag ? TW_OK : TW_ETIMEOUT;
}
