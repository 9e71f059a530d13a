/* agent/clockwatch.c - see clockwatch.h. */
#include "agent/clockwatch.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "common/log.h"
#include "common/net/now.h"

#define RARELY_NS (60 * TW_NS_PER_S)
#define OFTEN_NS (1 * TW_NS_PER_S) /* to find steps without the kernel's help */
#define STEP_NS \
    TW_NS_PER_MS /* less is not worth a report period's one-way delays; see SKEW_NS of the sessions */
#define NEVER_S 4102444800 /* 2100: only the cancelling is wanted */
#define READS 3

/* The two clocks cannot be read in one moment: of a few readings, that with the least between its ends. */
static int64_t read_offset(void)
{
    int64_t best = INT64_MAX, offset = 0;

    for (int i = 0; i < READS; i++) {
        int64_t before = tw_mono_now().ns;
        struct tw_now now = tw_now();
        int64_t took = tw_mono_now().ns - before;
        if (took < best) {
            best = took;
            offset = now.wall.ns - now.mono.ns;
        }
    }
    return offset;
}

static void tell_workers(struct clockwatch *c)
{
    for (size_t i = 0; i < c->n_workers; i++)
        worker_watch_clock(c->workers[i], &c->last.state);
}

static void find_step(struct clockwatch *c)
{
    int64_t offset = read_offset(), jump = offset - c->offset_ns;

    c->offset_ns = offset;
    if (llabs(jump) <= STEP_NS)
        return;
    c->steps++;
    c->settled.ns = tw_mono_now().ns + CLKSTATE_SETTLE_NS;
    log_warn("the wall clock was stepped", LOG_F("seconds", (double)jump / 1e9), LOG_U("steps", c->steps));
}

static void read_state(struct clockwatch *c)
{
    tw_clock_read(&c->last);
    c->last.state.steps = c->steps;
    if (tw_mono_now().ns < c->settled.ns)
        c->last.state.synced = false;
}

static void say_changes(const struct clkstate *was, const struct clkstate *is)
{
    double error_s = (double)is->state.max_error_ns / 1e9;

    if (was->state.synced && !is->state.synced)
        log_warn("the clock is not synchronised any more", LOG_F("max_error_seconds", error_s),
                 LOG_S("leap", tw_leap_name(is->leap)));
    else if (!was->state.synced && is->state.synced)
        log_info("the clock is synchronised", LOG_F("max_error_seconds", error_s));
    if (was->leap != is->leap)
        log_info("leap second", LOG_S("state", tw_leap_name(is->leap)));
}

const struct clkstate *clockwatch_look(struct clockwatch *c)
{
    struct clkstate was = c->last;
    uint32_t steps = c->steps;

    find_step(c);
    read_state(c);
    if (c->steps != steps)
        tell_workers(c);
    say_changes(&was, &c->last);
    if (c->steps != steps && c->on_step)
        c->on_step(c->ctx);
    return &c->last;
}

static void on_timer(struct loop_timer *t)
{
    struct clockwatch *c = t->ctx;

    clockwatch_look(c);
    loop_timer_set(c->loop, t, (struct tw_mono){ tw_mono_now().ns + (c->set.fd < 0 ? OFTEN_NS : RARELY_NS) });
}

/* ---- The kernel tells ---- */

static bool arm(int fd)
{
    struct itimerspec at = { .it_value.tv_sec = NEVER_S };

    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) == 0;
}

static void unwatch(struct clockwatch *c)
{
    if (c->set.fd < 0)
        return;
    loop_unwatch(c->loop, &c->set);
    close(c->set.fd);
    c->set.fd = -1;
}

/* Read, or it stays readable: ECANCELED is the news. A clock beyond 2100 has no such timer. */
static void on_set(struct loop_watch *w, uint32_t events)
{
    struct clockwatch *c = w->ctx;
    uint64_t count;
    ssize_t n = read(w->fd, &count, sizeof count);

    (void)events;
    (void)n;
    clockwatch_look(c);
    if (arm(w->fd) && tw_wall_now().ns / TW_NS_PER_S < NEVER_S)
        return;
    unwatch(c);
    loop_timer_set(c->loop, &c->timer, (struct tw_mono){ tw_mono_now().ns + OFTEN_NS });
}

static void watch_set(struct clockwatch *c)
{
    c->set = (struct loop_watch){ .fn = on_set, .ctx = c };
    c->set.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->set.fd < 0)
        return;
    if (arm(c->set.fd) && tw_wall_now().ns / TW_NS_PER_S < NEVER_S &&
        loop_watch(c->loop, &c->set, EPOLLIN) == TW_OK)
        return;
    close(c->set.fd);
    c->set.fd = -1;
}

/* ---- Life ---- */

void clockwatch_start(struct clockwatch *c, struct loop *loop, struct worker **workers, size_t n_workers)
{
    *c = (struct clockwatch){ .loop = loop,
                              .workers = workers,
                              .n_workers = n_workers,
                              .timer = { .fn = on_timer, .ctx = c },
                              .offset_ns = read_offset() };
    watch_set(c); /* before the state is read: nothing is missed in between */
    read_state(c);
    tell_workers(c);
    loop_timer_set(loop, &c->timer,
                   (struct tw_mono){ tw_mono_now().ns + (c->set.fd < 0 ? OFTEN_NS : RARELY_NS) });
}

void clockwatch_stop(struct clockwatch *c)
{
    if (!c->loop)
        return;
    loop_timer_cancel(c->loop, &c->timer);
    unwatch(c);
}
