/* agent/tool/live.h - progress while a run runs: one line on the terminal, rewritten in place. Only where
 * standard error is a terminal; else nothing is printed and nothing wakes up. */
#ifndef TW_AGENT_TOOL_LIVE_H
#define TW_AGENT_TOOL_LIVE_H

#include "agent/tool/run.h"

struct live {
    bool on;
    struct loop *loop;
    const struct run *run;
    uint64_t count; /* probes of all flows together, 0 = no end */
    struct loop_timer timer;
    bool shown, timed;
    int64_t last_ns; /* latest round trip */
};

void live_start(struct live *l, struct loop *loop, const struct run *run, uint64_t count, bool on);
void live_sample(struct live *l, const struct session_sample *s);
/* Before anything else is printed. */
void live_clear(struct live *l);
void live_stop(struct live *l);

#endif
