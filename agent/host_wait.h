/* agent/host_wait.h - a session whose target's name has no address yet: it sends nothing, and each of its
 * report periods says so, by a summary of status name_error. Loop thread.
 *
 * The first lookup of a name takes a moment: nothing is said of that, unless it fails, or the report period
 * ends before it. */
#ifndef TW_AGENT_HOST_WAIT_H
#define TW_AGENT_HOST_WAIT_H

#include "agent/core/session.h"
#include "common/net/loop.h"

struct host_wait_conf {
    struct loop *loop;
    const struct session_cfg *cfg; /* of the session: read whenever it is time to say something */
    void (*report)(void *ctx, const struct tw_summary *s);
    void (*on_over)(void *ctx); /* its run has ended without an address: it waits no more */
    void *ctx;
};
struct host_wait {
    struct host_wait_conf conf;
    struct loop_timer tick;
    int64_t since_ns; /* what has not been reported begins there (wall clock); 0: it does not wait */
    int64_t stop_ns;  /* of the run; 0: it has no end */
    bool failed;      /* it is known that there is no address */
};

void host_wait_init(struct host_wait *w, const struct host_wait_conf *c);
/* From now on, or from start_ns if that comes later, until stop_ns (0: no end). No effect if it waits
 * already. */
void host_wait_begin(struct host_wait *w, int64_t start_ns, int64_t stop_ns, bool failed);
void host_wait_failed(struct host_wait *w);
/* There is an address, or nobody wants it any more: says what is left to say. No effect if it does not wait.
 */
void host_wait_end(struct host_wait *w);
/* Without a word. */
void host_wait_cancel(struct host_wait *w);

#endif
