/* common/net/loop.h - the event loop of agent, controller and twampctl: epoll, one timer queue with nanosecond
 * deadlines, signals, and tasks posted by other threads. One thread runs it; everything but loop_post() and
 * loop_stop() belongs to that thread. An idle loop does not wake up. */
#ifndef TW_NET_LOOP_H
#define TW_NET_LOOP_H

#include "common/clk.h"
#include "common/timerq.h"
#include "common/work.h"

struct loop;

enum tw_rc loop_new(struct loop **ret);
void loop_free(struct loop *l);
/* Runs until loop_stop(); TW_OK then. */
enum tw_rc loop_run(struct loop *l);
/* Runs until *flag is true, or the deadline: TW_ETIMEOUT. For synchronous programs such as twampctl. */
enum tw_rc loop_run_until(struct loop *l, const bool *flag, struct tw_mono deadline);
void loop_stop(struct loop *l); /* any thread, and signal handlers */
/* Time at which the present round of callbacks began. */
struct tw_now loop_now(const struct loop *l);

/* How it is doing. */
struct loop_stats {
    struct work_stats work; /* a round: the callbacks of one time that it woke up */
    struct work_stats piece; /* one callback of these: as long as others may have to wait */
    size_t timers;          /* that are set */
};
void loop_stats(const struct loop *l, struct loop_stats *ret);

/* Descriptors. `events` are EPOLL* bits, level-triggered. One watch per descriptor. The watch memory is the
 * caller's and must live until loop_unwatch(). A watch removed inside a callback is not called again. */
struct loop_watch {
    void (*fn)(struct loop_watch *w, uint32_t events);
    void *ctx;
    int fd;
};
enum tw_rc loop_watch(struct loop *l, struct loop_watch *w, uint32_t events);
enum tw_rc loop_rewatch(struct loop *l, struct loop_watch *w, uint32_t events);
void loop_unwatch(struct loop *l, struct loop_watch *w);

/* One-shot timers; set again inside the callback for a period. */
struct loop_timer {
    struct timerq_entry entry; /* first */
    void (*fn)(struct loop_timer *t);
    void *ctx;
};
enum tw_rc loop_timer_set(struct loop *l, struct loop_timer *t, struct tw_mono due);
void loop_timer_cancel(struct loop *l, struct loop_timer *t);

/* Work from other threads. The task is embedded in what it is about, so posting cannot fail and needs no
 * memory; a task that is queued already is not queued twice. Tasks run in the order of posting, but urgent
 * ones before others. Tasks that are not urgent run for LOOP_SLICE_NS at a time: then descriptors and timers
 * have their turn. */
#define LOOP_SLICE_NS (5 * TW_NS_PER_MS)
struct loop_task {
    struct loop_task *next;
    void (*fn)(struct loop_task *t);
    void *ctx;
    bool urgent; /* somebody waits, and there are never many: set before it is posted */
    _Atomic bool queued;
};
void loop_post(struct loop *l, struct loop_task *t);
/* Takes a queued task out again, so that its memory may go; no effect on an idle one. Loop thread; whoever posts it
 * must have stopped before. */
void loop_unpost(struct loop *l, struct loop_task *t);

/* Blocks `signo` in the whole process (call before starting threads) and delivers it here. */
enum tw_rc loop_on_signal(struct loop *l, int signo, void (*fn)(void *ctx, int signo), void *ctx);
/* From now on SIGTERM and SIGINT end the process at once, as they do one that does not catch them: for whoever is asked a second time to
 * stop. The thread of the loop. */
void loop_release_signals(void);

#endif
