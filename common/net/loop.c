#include "common/net/loop.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "common/net/now.h"

#define EVENTS_PER_ROUND 64
#define URGENT_IN_A_ROW 16

struct signal_row {
    void (*fn)(void *ctx, int signo);
    void *ctx;
};

struct task_list {
    struct loop_task *first, **end;
};

struct loop {
    int epoll_fd;
    struct loop_watch wake, alarm, signals; /* eventfd, timerfd, signalfd (-1 until needed) */
    struct timerq timers;
    struct tw_mono armed, until; /* what the timerfd is set to; deadline of loop_run_until() */
    struct tw_now now;
    _Atomic bool stop;
    _Atomic(struct loop_task *) posted; /* newest first; pushed by any thread, taken as a whole */
    struct task_list tasks, urgent;     /* taken, oldest first; the loop thread's own */
    struct epoll_event ev[EVENTS_PER_ROUND];
    int ev_next, ev_n; /* events of this round that are still to be dispatched */
    sigset_t mask;
    struct signal_row rows[_NSIG];
    struct work work, piece;
};

/* ---- Descriptors ---- */

static enum tw_rc control(struct loop *l, int op, struct loop_watch *w, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = w };

    return epoll_ctl(l->epoll_fd, op, w->fd, &ev) < 0 ? tw_rc_errno(errno) : TW_OK;
}

enum tw_rc loop_watch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    return control(l, EPOLL_CTL_ADD, w, events);
}

enum tw_rc loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events)
{
    return control(l, EPOLL_CTL_MOD, w, events);
}

void loop_unwatch(struct loop *l, struct loop_watch *w)
{
    control(l, EPOLL_CTL_DEL, w, 0);
    for (int i = l->ev_next; i < l->ev_n; i++) /* its memory may be gone when its event comes up */
        if (l->ev[i].data.ptr == w)
            l->ev[i].data.ptr = NULL;
}

/* ---- How long single callbacks take ---- */

static void begin_piece(struct loop *l)
{
    work_begin(&l->piece, tw_mono_now().ns);
}

static void end_piece(struct loop *l)
{
    work_end(&l->piece, tw_mono_now().ns);
}

static void dispatch_events(struct loop *l)
{
    while (l->ev_next < l->ev_n) {
        const struct epoll_event *ev = &l->ev[l->ev_next++];
        struct loop_watch *w = ev->data.ptr;

        if (w && w != &l->wake)
            begin_piece(l);
        if (w)
            w->fn(w, ev->events);
        if (w && w != &l->wake)
            end_piece(l);
    }
}

/* Resets an eventfd or timerfd; EAGAIN only means that it was reset already. */
static void drain(int fd)
{
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);

    (void)n;
}

/* ---- Tasks ---- */

static void wake_up(struct loop *l)
{
    uint64_t one = 1;
    ssize_t n = write(l->wake.fd, &one, sizeof one); /* fails only when it is about to wake up anyway */

    (void)n;
}

void loop_post(struct loop *l, struct loop_task *t)
{
    struct loop_task *head;

    if (atomic_exchange(&t->queued, true))
        return;
    head = atomic_load(&l->posted);
    do
        t->next = head;
    while (!atomic_compare_exchange_weak(&l->posted, &head, t));
    if (!head)
        wake_up(l);
}

static void add_task(struct task_list *list, struct loop_task *t)
{
    t->next = NULL;
    *list->end = t;
    list->end = &t->next;
}

/* Moves what was posted to the end of the lists, in the order of posting. */
static void take_tasks(struct loop *l)
{
    struct loop_task *t = atomic_exchange(&l->posted, NULL), *oldest = NULL, *next;

    for (; t; t = next) {
        next = t->next;
        t->next = oldest;
        oldest = t;
    }
    for (t = oldest; t; t = next) {
        next = t->next;
        add_task(t->urgent ? &l->urgent : &l->tasks, t);
    }
}

static void run_first(struct loop *l, struct task_list *list)
{
    struct loop_task *t = list->first;

    list->first = t->next;
    if (!list->first)
        list->end = &list->first;
    atomic_store(&t->queued, false); /* first: it may be posted again, or freed, while it runs */
    begin_piece(l);
    t->fn(t);
    end_piece(l);
}

/* Nobody may hold up the rest by being urgent again and again: between two others there are so many at most.
 */
static void run_urgent(struct loop *l)
{
    for (unsigned n = 0; l->urgent.first && n < URGENT_IN_A_ROW; n++) {
        run_first(l, &l->urgent);
        take_tasks(l);
    }
}

static bool has_tasks(const struct loop *l)
{
    return l->urgent.first || l->tasks.first;
}

static void on_wake(struct loop_watch *w, uint32_t events)
{
    struct loop *l = w->ctx;
    int64_t until_ns = tw_mono_now().ns + LOOP_SLICE_NS;

    (void)events;
    drain(w->fd); /* before the list is taken, so that no wake-up gets lost */
    take_tasks(l);
    while (has_tasks(l)) {
        run_urgent(l);
        if (l->tasks.first)
            run_first(l, &l->tasks);
        take_tasks(l);
        if (tw_mono_now().ns >= until_ns)
            break;
    }
    if (has_tasks(l))
        wake_up(l);
}

static void take_out(struct task_list *list, const struct loop_task *t)
{
    struct loop_task **at = &list->first;

    while (*at && *at != t)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = t->next;
    if (!*at)
        list->end = at;
}

void loop_unpost(struct loop *l, struct loop_task *t)
{
    if (!atomic_load(&t->queued))
        return;
    take_tasks(l);
    take_out(t->urgent ? &l->urgent : &l->tasks, t);
    atomic_store(&t->queued, false);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stop, true);
    wake_up(l);
}

/* ---- Timers ---- */

enum tw_rc loop_timer_set(struct loop *l, struct loop_timer *t, struct tw_mono due)
{
    return timerq_set(&l->timers, &t->entry, due);
}

void loop_timer_cancel(struct loop *l, struct loop_timer *t)
{
    timerq_cancel(&l->timers, &t->entry);
}

static void on_alarm(struct loop_watch *w, uint32_t events)
{
    struct loop *l = w->ctx;

    (void)events;
    drain(w->fd);
    l->armed = TW_MONO_NEVER;
}

/* At most as many as there are now: a timer that sets itself to the present cannot hold up the rest. */
static void run_timers(struct loop *l)
{
    for (size_t n = l->timers.len; n > 0; n--) {
        struct timerq_entry *e = timerq_pop(&l->timers, l->now.mono);
        struct loop_timer *t = (struct loop_timer *)e; /* entry is the first member */

        if (!e)
            return;
        begin_piece(l);
        t->fn(t);
        end_piece(l);
    }
}

static enum tw_rc arm(struct loop *l)
{
    struct tw_mono due = timerq_next_due(&l->timers);
    struct itimerspec at = { .it_value = { 0 } };

    if (l->until.ns < due.ns)
        due = l->until;
    if (due.ns == l->armed.ns)
        return TW_OK;
    if (due.ns != TW_MONO_NEVER.ns) {
        int64_t ns = due.ns > 0 ? due.ns : 1; /* 0 would disarm it */
        at.it_value.tv_sec = ns / TW_NS_PER_S;
        at.it_value.tv_nsec = ns % TW_NS_PER_S;
    }
    if (timerfd_settime(l->alarm.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        return tw_rc_errno(errno);
    l->armed = due;
    return TW_OK;
}

/* ---- Signals ---- */

static void on_signal(struct loop_watch *w, uint32_t events)
{
    struct loop *l = w->ctx;
    struct signalfd_siginfo si;

    (void)events;
    while (read(w->fd, &si, sizeof si) == (ssize_t)sizeof si) {
        const struct signal_row *row = &l->rows[si.ssi_signo < _NSIG ? si.ssi_signo : 0];

        if (row->fn)
            row->fn(row->ctx, (int)si.ssi_signo);
    }
}

enum tw_rc loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx)
{
    bool first = l->signals.fd < 0;
    sigset_t one;
    int fd, err;

    if (signo < 1 || signo >= _NSIG)
        return TW_EINVAL;
    sigemptyset(&one);
    sigaddset(&one, signo);
    sigaddset(&l->mask, signo);
    err = pthread_sigmask(SIG_BLOCK, &one, NULL);
    if (err)
        return tw_rc_errno(err);
    fd = signalfd(l->signals.fd, &l->mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0)
        return tw_rc_errno(errno);
    l->signals.fd = fd;
    l->rows[signo] = (struct signal_row){ fn, ctx };
    return first ? loop_watch(l, &l->signals, EPOLLIN) : TW_OK;
}

void loop_release_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* ---- The loop ---- */

static enum tw_rc one_round(struct loop *l)
{
    enum tw_rc rc = arm(l);
    int n;

    if (rc)
        return rc;
    n = epoll_wait(l->epoll_fd, l->ev, EVENTS_PER_ROUND, -1);
    if (n < 0 && errno != EINTR)
        return tw_rc_errno(errno);
    l->now = tw_now();
    work_begin(&l->work, l->now.mono.ns);
    l->ev_next = 0;
    l->ev_n = n > 0 ? n : 0;
    dispatch_events(l);
    run_timers(l);
    work_end(&l->work, tw_mono_now().ns);
    return TW_OK;
}

void loop_stats(const struct loop *l, struct loop_stats *ret)
{
    work_look(&l->work, tw_mono_now().ns, &ret->work);
    work_look(&l->piece, tw_mono_now().ns, &ret->piece);
    ret->timers = l->timers.len;
}

enum tw_rc loop_run(struct loop *l)
{
    static const bool never = false;

    /* A stop is what loop_run() was asked to wait for. */
    enum tw_rc rc = loop_run_until(l, &never, TW_MONO_NEVER);
    return rc == TW_ECLOSED ? TW_OK : rc;
}

enum tw_rc loop_run_until(struct loop *l, const bool *flag, struct tw_mono deadline)
{
    enum tw_rc rc = TW_OK;

    l->now = tw_now();
    l->until = deadline;
    while (!rc && !*flag) {
        if (atomic_exchange(&l->stop, false))
            rc = TW_ECLOSED;
        else if (l->now.mono.ns >= deadline.ns)
            rc = TW_ETIMEOUT;
        else
            rc = one_round(l);
    }
    l->until = TW_MONO_NEVER;
    return rc;
}

struct tw_now loop_now(const struct loop *l)
{
    return l->now;
}

static enum tw_rc open_fds(struct loop *l)
{
    enum tw_rc rc;

    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->alarm.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->epoll_fd < 0 || l->wake.fd < 0 || l->alarm.fd < 0)
        return tw_rc_errno(errno);
    rc = loop_watch(l, &l->wake, EPOLLIN);
    return rc ? rc : loop_watch(l, &l->alarm, EPOLLIN);
}

enum tw_rc loop_new(struct loop **ret)
{
    struct loop *l = calloc(1, sizeof *l);
    enum tw_rc rc;

    if (!l)
        return TW_ENOMEM;
    l->tasks.end = &l->tasks.first;
    l->urgent.end = &l->urgent.first;
    timerq_init(&l->timers);
    l->now = tw_now();
    work_init(&l->work, l->now.mono.ns);
    work_init(&l->piece, l->now.mono.ns);
    l->armed = l->until = TW_MONO_NEVER;
    sigemptyset(&l->mask);
    l->wake = (struct loop_watch){ .fn = on_wake, .ctx = l, .fd = -1 };
    l->alarm = (struct loop_watch){ .fn = on_alarm, .ctx = l, .fd = -1 };
    l->signals = (struct loop_watch){ .fn = on_signal, .ctx = l, .fd = -1 };
    rc = open_fds(l);
    if (rc) {
        loop_free(l);
        return rc;
    }
    *ret = l;
    return TW_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    close_fd(l->signals.fd);
    close_fd(l->alarm.fd);
    close_fd(l->wake.fd);
    close_fd(l->epoll_fd);
    timerq_free(&l->timers);
    free(l);
}
