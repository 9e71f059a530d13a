/* tests/fuzz/fake_worker.h - a worker of the agent that sends nothing: in place of agent/io/worker*.c and
 * ctl_dialer.c. It holds sessions as a real one does, checks that it is asked for nothing impossible, and
 * ends them, closes periods and loses probes when told to. */
#ifndef TESTS_FUZZ_FAKE_WORKER_H
#define TESTS_FUZZ_FAKE_WORKER_H

#include "agent/io/worker.h"

#define FAKE_SESSIONS 64

/* `fence`: no session may go anywhere else. */
struct worker *fake_worker_new(struct loop *l, void (*on_results)(void *ctx), void *ctx,
                               const struct tw_prefix *fence);
void fake_worker_free(struct worker *w);
size_t fake_worker_sessions(const struct worker *w); /* that run and were not removed */
/* One that runs comes to its end, or fails, by itself. */
void fake_worker_end_one(struct worker *w, size_t which, enum tw_rc rc);
/* One that runs closes a period, or has lost probes in a row. */
void fake_worker_summary(struct worker *w, size_t which, unsigned how);
void fake_worker_incident(struct worker *w, size_t which, unsigned how);

#endif
