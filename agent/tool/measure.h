/* agent/tool/measure.h - a measurement as users see it: the run, its outputs, its metrics, its progress.
 * sender and controller make the plan, this does the rest. Loop thread only. */
#ifndef TW_AGENT_TOOL_MEASURE_H
#define TW_AGENT_TOOL_MEASURE_H

#include "agent/tool/live.h"
#include "agent/tool/metrics.h"
#include "agent/tool/out.h"
#include "agent/tool/page.h"

struct measure {
    const struct tool_options *o;
    struct plan *plan;
    struct loop *loop;
    const struct out_writer *out;
    struct run *run;
    struct live live;
    struct tool_metrics metrics;
    struct page page;
    bool interrupted, done;
    struct tw_summary whole, flows[RUN_FLOWS_MAX];
    void (*on_end)(void *ctx); /* the run is over and printed */
    void *ctx;
};

/* Opens the metrics page and prints what stands before results; starts to send. What is wrong is in *err; the
 * caller ends it with measure_close() in any case. *m must be zeroed but for o, plan, loop, on_end, ctx. */
enum tw_rc measure_start(struct measure *m, struct tw_err *err);
/* A signal: ends soon, with the partial result. */
void measure_interrupt(struct measure *m);
/* TW_OK; TW_EIO: nothing could be sent, or the output could not be written. */
enum tw_rc measure_verdict(const struct measure *m, struct tw_err *err);
void measure_close(struct measure *m);

#endif
