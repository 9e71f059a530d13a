/* agent/threads.h - what the agent's threads do (Threads of fleet.proto). Those of nng are not in it: they
 * only move octets. */
#ifndef TW_AGENT_THREADS_H
#define TW_AGENT_THREADS_H

#include "agent/io/worker.h"
#include "common/net/thread_list.h"

struct resolver;
struct metrics_server;
struct agent_threads {
    const struct loop *loop;
    struct worker *const *workers;
    size_t n_workers;
    const struct resolver *resolver;
    const struct metrics_server *metrics; /* NULL: there is none */
};
void agent_threads_tell(const struct agent_threads *t, struct thread_list *ret);

#endif
