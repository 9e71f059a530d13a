/* agent/core/run_clock.h - decides when a session that has times begins its next run. Pure: the wall clock is
 * an argument, and may be set.
 *
 * A run is named by its begin (common/times.h). One that has begun is done: setting the clock back does not
 * repeat it. One that is over before it could begin, since the clock was set forward or the host stood still,
 * is counted as missed. */
#ifndef TW_AGENT_RUN_CLOCK_H
#define TW_AGENT_RUN_CLOCK_H

#include "common/times.h"

/* Of a session that has not run yet. */
#define RUN_CLOCK_INIT(t, p)                     \
    {                                            \
        .times = (t), .pace = (p), .done_ns = -1 \
    }
struct run_clock {
    struct times *times; /* the caller's reference */
    struct times_pace pace;
    int64_t done_ns;    /* begin of the last run that has begun; -1 = none */
    int64_t awaited_ns; /* begin of the one that comes next; 0 = none */
};

struct run_order {
    bool begin;                /* make a session now, that sends in... */
    int64_t start_ns, stop_ns; /* ...this: as struct session_cfg has it */
    int64_t wake_ns;           /* judge again at that wall time; TIMES_NEVER: no run comes any more */
    uint64_t missed;           /* runs that could not begin since the last time */
};

/* lead_ns: a session is made so long before its run begins. */
void run_clock_judge(struct run_clock *c, int64_t now_ns, int64_t lead_ns, struct run_order *ret);
/* The clock was set during the run that has begun: may it go on? Not where nothing may run now, nor in the
 * middle of another run. A run that ends with its allowed stretch has to begin anew: then it is not done any
 * more. */
bool run_clock_goes_on(struct run_clock *c, int64_t now_ns);

#endif
