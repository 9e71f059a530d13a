/* agent/clockwatch.h - watches this host's clock once a second: its state by adjtimex, and steps of the wall
 * clock against the monotonic one. Tells the workers. Loop thread only. */
#ifndef TW_AGENT_CLOCKWATCH_H
#define TW_AGENT_CLOCKWATCH_H

#include "agent/io/worker.h"

struct clockwatch {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct loop_timer timer;
    int64_t offset_ns; /* wall minus monotonic, last look */
    struct tw_clock_state state;
};
void clockwatch_start(struct clockwatch *c, struct loop *loop, struct worker **workers, size_t n_workers);
void clockwatch_stop(struct clockwatch *c);

#endif
