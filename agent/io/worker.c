/* agent/io/worker.c - life of a worker: sockets, thread, the rounds that the thread goes. */
#include "agent/io/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

enum {
    DEFAULT_MAX_SESSIONS = 10000,
    DEFAULT_MAX_AGREED = 1000,
    RESULTS_MIN = 64,
    RESULTS_MAX = 512, /* what does not fit waits in the sessions */
    COMMANDS_MAX = 4096,
    EVENTS_PER_ROUND = 64
};

/* ---- The thread ---- */

void worker_set_timer(struct worker *w, struct wtimer *t, struct tw_mono due)
{
    timerq_set(&w->timers, &t->entry, due); /* cannot fail: room was reserved for all there can be */
}

static void publish(struct worker *w)
{
    struct worker_counters c = w->count;
    uint64_t values[WORKER_COUNTERS_N];

    _Static_assert(sizeof values == sizeof c, "counters are uint64_t each");
    mirrors_count(w, &c);
    flight_count(w, &c);
    stamps_count(w, &c);
    memcpy(values, &c, sizeof values);
    for (size_t i = 0; i < WORKER_COUNTERS_N; i++)
        atomic_store_explicit(&w->published[i], values[i], memory_order_relaxed);
}

static void tell_loop(struct worker *w)
{
    uint64_t one = 1;
    ssize_t n;

    if (!w->news)
        return;
    w->news = false;
    n = write(w->news_fd, &one, sizeof one); /* fails only when it has not been read for ages */
    (void)n;
}

/* By timerfd, because a timeout of epoll_wait() or epoll_pwait2() may be exceeded by a thousandth of it, a
 * millisecond for a probe per second. */
static void arm(struct worker *w, struct tw_mono due)
{
    struct itimerspec at = { .it_value = { 0 } };

    if (due.ns == w->armed.ns)
        return;
    if (due.ns != TW_MONO_NEVER.ns)
        at.it_value = (struct timespec){ .tv_sec = due.ns / TW_NS_PER_S, .tv_nsec = due.ns % TW_NS_PER_S };
    timerfd_settime(w->alarm.sock.fd, TFD_TIMER_ABSTIME, &at, NULL); /* cannot fail with these arguments */
    w->armed = due;
}

static int sleep_until(struct worker *w, struct epoll_event *ev, struct tw_mono wake)
{
    int64_t late = tw_mono_now().ns - wake.ns;
    int n;

    if (late >= 0)
        return epoll_wait(w->epoll_fd, ev, EVENTS_PER_ROUND, 0);
    arm(w, wake);
    n = epoll_wait(w->epoll_fd, ev, EVENTS_PER_ROUND, -1);
    late = tw_mono_now().ns - wake.ns;
    if (late >= 0) /* not by an event before */
        wake_margin_add(&w->margin, late);
    return n;
}

static int wait_events(struct worker *w, struct epoll_event *ev)
{
    bool probe;
    struct tw_mono wake = worker_next_due(w, &probe);

    if (w->cfg.precise && probe)
        wake.ns -= wake_margin_ns(&w->margin);
    return sleep_until(w, ev, wake);
}

/* `precise`: what is left until a probe is due, if that is no more than the margin. */
static void spin(struct worker *w)
{
    bool probe;
    struct tw_mono due, began;

    if (!w->cfg.precise)
        return;
    due = worker_next_due(w, &probe);
    began = tw_mono_now();
    if (!probe || due.ns <= began.ns || due.ns - began.ns > wake_margin_ns(&w->margin))
        return;
    w->count.spun_ns += (uint64_t)(tw_spin_until(due).ns - began.ns);
    w->count.spins++;
    w->now = tw_now();
}

static void dispatch(struct worker *w, struct port *p, uint32_t events)
{
    switch (p->kind) {
    case PORT_REFLECTOR: /* errors first: when answers left may be told in the next ones */
        if (events & EPOLLERR)
            mirror_take_errors(w, (struct mirror *)p); /* port is their first member */
        if (events & EPOLLIN)
            mirror_receive(w, (struct mirror *)p);
        break;
    case PORT_LANE:
        if (events & EPOLLERR)
            lane_take_stamps(w, (struct lane *)p); /* before the answers */
        if (events & EPOLLIN)
            lane_receive(w, (struct lane *)p);
        break;
    case PORT_COMMANDS:
        w->commanded = true;
        break;
    case PORT_ALARM:
        break; /* timers run in every round */
    }
}

/* Sockets, then commands, then timers: lanes come and go only in the latter two, so no event names one that
 * has gone, and a probe is declared lost only after the answers that are here have been seen. */
static void one_round(struct worker *w)
{
    struct epoll_event ev[EVENTS_PER_ROUND];
    int n = wait_events(w, ev), all = n;

    w->now = tw_now();
    work_begin(&w->work, w->now.mono.ns);
    w->count.wakeups++;
    clock_apply(w);
    worker_apply_phcs(w);
    for (;;) {
        for (int i = 0; i < n; i++)
            dispatch(w, ev[i].data.ptr, ev[i].events);
        if (n < EVENTS_PER_ROUND || all > LANES_MAX)
            break;
        n = epoll_wait(w->epoll_fd, ev, EVENTS_PER_ROUND, 0); /* the kernel takes them in turn */
        all += n;
    }
    if (w->commanded)
        worker_take_commands(w);
    w->commanded = false;
    spin(w);
    host_on_timers(w);
    worker_send_due(w);
    host_look(w);
    publish(w);
    tell_loop(w);
    work_end(&w->work, tw_mono_now().ns);
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;

    if (w->cfg.on_thread)
        w->cfg.on_thread(w->cfg.ctx);
    sem_post(&w->begun);
    host_begin(w);
    while (!atomic_load(&w->stop))
        one_round(w);
    w->now = tw_now();
    for (struct flow *f = w->flows; f; f = f->next) {
        session_flush(f->session, w->now);
        flow_count(w, f);
    }
    host_end(w);
    publish(w);
    return NULL;
}

/* ---- Life ---- */

enum tw_rc worker_watch(struct worker *w, struct port *p, uint32_t flags)
{
    struct epoll_event ev = { .events = EPOLLIN | flags, .data.ptr = p };

    return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, p->sock.fd, &ev) < 0 ? tw_rc_errno(errno) : TW_OK;
}

static void on_news(struct loop_watch *watch, uint32_t events)
{
    struct worker *w = watch->ctx;
    uint64_t count;
    ssize_t n = read(watch->fd, &count, sizeof count);

    (void)events;
    if (n > 0 && w->cfg.on_results)
        w->cfg.on_results(w->cfg.ctx);
}

static enum tw_rc make_rings(struct worker *w)
{
    size_t results = w->max_sessions < RESULTS_MIN   ? RESULTS_MIN
                     : w->max_sessions > RESULTS_MAX ? RESULTS_MAX
                                                     : w->max_sessions;
    size_t things = w->max_sessions + w->max_agreed;
    size_t commands = 2 * things < COMMANDS_MAX ? 2 * things : COMMANDS_MAX;
    enum tw_rc rc = ring_new(sizeof(struct cmd), commands, &w->cmds);

    w->cmds_max = commands;
    if (!rc)
        rc = ring_new(sizeof(struct ending), 2 * w->max_sessions, &w->endings);
    if (!rc)
        rc = sumring_new(results, &w->results);
    return rc;
}

static enum tw_rc make_tables(struct worker *w)
{
    timerq_init(&w->timers);
    for (w->buckets = 16; w->buckets < 2 * w->max_sessions;)
        w->buckets *= 2;
    w->registry = calloc(w->buckets, sizeof *w->registry);
    w->peers = calloc(w->buckets, sizeof *w->peers);
    if (!w->registry || !w->peers)
        return TW_ENOMEM;
    /* Registered flows, resting peers, the retry, the self-test, agreed sessions. */
    return timerq_reserve(&w->timers, 3 * w->max_sessions + 3 + w->max_agreed);
}

static enum tw_rc make_buffers(struct worker *w)
{
    enum tw_rc rc = udp_rx_new(RX_BATCH, DATAGRAM_CAP, &w->rx);

    if (!rc)
        rc = udp_tx_new(PROBE_BATCH, DATAGRAM_CAP, &w->tx_probes);
    if (!rc)
        rc = udp_tx_new(ANSWER_BATCH, DATAGRAM_CAP, &w->tx_answers);
    return rc;
}

static enum tw_rc make_fds(struct worker *w)
{
    enum tw_rc rc;

    w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    w->commands.sock.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->alarm.sock.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    w->live_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    w->news_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->epoll_fd < 0 || w->commands.sock.fd < 0 || w->alarm.sock.fd < 0 || w->live_fd < 0 ||
        w->news_fd < 0)
        return tw_rc_errno(errno);
    w->commands.kind = PORT_COMMANDS;
    w->alarm.kind = PORT_ALARM;
    w->armed = TW_MONO_NEVER;
    rc = worker_watch(w, &w->commands, 0);
    return rc ? rc : worker_watch(w, &w->alarm, EPOLLET); /* by edge: it need not be read */
}

static enum tw_rc watch_news(struct worker *w)
{
    w->news_watch = (struct loop_watch){ .fn = on_news, .ctx = w, .fd = w->news_fd };
    return w->cfg.loop ? loop_watch(w->cfg.loop, &w->news_watch, EPOLLIN) : TW_OK;
}

enum tw_rc worker_open(const struct worker_cfg *cfg, struct worker **ret, struct tw_err *err)
{
    struct worker *w = calloc(1, sizeof *w);
    enum tw_rc rc;

    if (!w)
        return tw_err_set(err, TW_ENOMEM, "out of memory for a worker");
    w->cfg = *cfg;
    w->max_sessions = cfg->max_sessions ? cfg->max_sessions : DEFAULT_MAX_SESSIONS;
    w->retry.fn = flow_retry_results;
    work_init(&w->work, tw_mono_now().ns);
    w->self.mirror.port.sock.fd = -1;
    summary_init(&w->self.unused);
    w->epoll_fd = w->commands.sock.fd = w->alarm.sock.fd = w->live_fd = w->news_fd = -1;
    pthread_mutex_init(&w->clock_lock, NULL);
    rc = agreed_init(w, cfg->max_reflect_sessions ? cfg->max_reflect_sessions : DEFAULT_MAX_AGREED);
    if (!rc)
        rc = make_rings(w);
    if (!rc)
        rc = make_tables(w);
    if (!rc)
        rc = make_buffers(w);
    if (!rc)
        rc = flight_init(w);
    if (!rc)
        rc = hoststate_new(&w->host);
    if (!rc)
        rc = stamps_init(w);
    if (!rc)
        rc = make_fds(w);
    if (!rc)
        rc = watch_news(w);
    if (rc)
        tw_err_set(err, rc, "cannot set up a worker for %zu sessions: %s", w->max_sessions, tw_rc_name(rc));
    for (size_t i = 0; !rc && i < REFLECTORS_MAX && cfg->reflect[i].family; i++)
        rc = mirror_open(w, &cfg->reflect[i], err);
    if (rc) {
        worker_free(w);
        return rc;
    }
    *ret = w;
    return TW_OK;
}

enum tw_rc worker_run(struct worker *w, struct tw_err *err)
{
    sigset_t all, old;
    char name[16];
    int e;

    publish(w);
    sem_init(&w->begun, 0, 0);
    sigfillset(&all); /* signals are for the loop */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&w->thread, NULL, thread_main, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e)
        return tw_err_set(err, tw_rc_errno(e), "cannot start a thread: %s", strerror(e));
    w->started = true;
    snprintf(name, sizeof name, "worker-%u", w->cfg.index % 1000);
    pthread_setname_np(w->thread, name);
    while (sem_wait(&w->begun) < 0) /* what on_thread() gives up must be given up before the caller goes on */
        ;
    return TW_OK;
}

enum tw_rc worker_start(const struct worker_cfg *cfg, struct worker **ret, struct tw_err *err)
{
    struct worker *w;
    enum tw_rc rc = worker_open(cfg, &w, err);

    if (rc)
        return rc;
    rc = worker_run(w, err);
    if (rc) {
        worker_free(w);
        return rc;
    }
    *ret = w;
    return TW_OK;
}

void worker_stop(struct worker *w)
{
    uint64_t one = 1;
    ssize_t n;

    if (w->stopped)
        return;
    w->stopped = true;
    if (!w->started)
        return;
    atomic_store(&w->stop, true);
    n = write(w->commands.sock.fd, &one, sizeof one); /* fails only when it is readable anyway */
    (void)n;
    pthread_join(w->thread, NULL);
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    worker_stop(w);
    if (w->news_watch.fn && w->cfg.loop)
        loop_unwatch(w->cfg.loop, &w->news_watch);
    selftest_end(w);
    summary_free(&w->self.unused);
    if (w->peers)
        lanes_free(w);
    if (w->registry)
        worker_free_flows(w);
    flight_free_all(w);
    stamp_wait_free(w->stamps);
    if (w->cmds)
        worker_drop_commands(w);
    summary_free(&w->peek_question.sum);
    session_pool_clear(&w->periods); /* after the flows */
    agreed_free_all(w);
    mirrors_free(w);
    udp_rx_free(w->rx);
    udp_tx_free(w->tx_probes);
    udp_tx_free(w->tx_answers);
    timerq_free(&w->timers);
    hoststate_free(w->host);
    ring_free(w->cmds);
    ring_free(w->endings);
    sumring_free(w->results);
    free(w->registry);
    free(w->live_rows);
    free(w->peers);
    close_fd(w->epoll_fd);
    close_fd(w->commands.sock.fd);
    close_fd(w->alarm.sock.fd);
    close_fd(w->live_fd);
    close_fd(w->news_fd);
    pthread_mutex_destroy(&w->clock_lock);
    free(w);
}

/* ---- Any thread ---- */

void worker_counters(const struct worker *w, struct worker_counters *ret)
{
    uint64_t values[WORKER_COUNTERS_N];

    for (size_t i = 0; i < WORKER_COUNTERS_N; i++)
        values[i] = atomic_load_explicit(&w->published[i], memory_order_relaxed);
    memcpy(ret, values, sizeof values);
}

void worker_load(const struct worker *w, struct worker_load *ret)
{
    work_look(&w->work, tw_mono_now().ns, &ret->work);
    ret->commands = ring_len(w->cmds);
    ret->commands_max = w->cmds_max;
}

enum tw_rc worker_reflector_addr(const struct worker *w, size_t i, struct tw_addr *ret)
{
    if (i >= w->n_mirrors)
        return TW_ENOENT;
    *ret = w->mirrors[i].port.sock.local;
    return TW_OK;
}
