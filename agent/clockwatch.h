/* agent/clockwatch.h - watches this host's clock. Steps are noticed at once, by a timer that the kernel cancels when the wall
 * clock is set; the workers are told, and look at its state themselves when they need it (worker_watch_clock()). So nothing wakes
 * up for the clock but one look a minute, which finds changes for the log. Where the kernel has no such timer, a look a second
 * finds the steps. Loop thread only. */
#ifndef TW_AGENT_CLOCKWATCH_H
#define TW_AGENT_CLOCKWATCH_H

#include "agent/io/worker.h"
#include "common/clkstate.h"

struct clockwatch {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct loop_timer timer;
    struct loop_watch set; /* fd -1: the kernel does not tell */
    int64_t offset_ns;     /* wall minus monotonic, last look: slewing moves both, so only steps change it */
    struct tw_mono settled;
    struct clkstate last;
    uint32_t steps;
    void (*on_step)(void *ctx); /* the owner's, set after the start; NULL: nobody else wants to know */
    void *ctx;
};
void clockwatch_start(struct clockwatch *c, struct loop *loop, struct worker **workers, size_t n_workers);
void clockwatch_stop(struct clockwatch *c);
/* A fresh look; steps since the start, and not synchronised for CLKSTATE_SETTLE_NS after one. */
const struct clkstate *clockwatch_look(struct clockwatch *c);

#endif
