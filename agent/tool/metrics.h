/* agent/tool/metrics.h - the Prometheus text of a sender: twamp_* as everywhere, and the names of the Python
 * tool. Pure: samples and periods in, bytes out. Gauges are of the last closed report period and vanish with
 * what they describe: at total loss there is no delay. Nothing is kept per value, so no series is left
 * behind. */
#ifndef TW_AGENT_TOOL_METRICS_H
#define TW_AGENT_TOOL_METRICS_H

#include "agent/core/session.h"
#include "agent/tool/compat.h"
#include "agent/tool/options.h"
#include "common/metrics_buf.h"
#include "common/metrics_hist.h"

#define TOOL_METRICS_FLOWS 64

/* The estimate of RFC 3550, as the session makes it: per flow and direction, over answers in order of
 * arrival. */
struct metrics_jitter {
    bool ready;
    int64_t last_ns[3];
    double j_ns[3];
};

struct tool_metrics {
    bool histogram, nodegraph;
    char source[80], target[300], class_name[40];
    /* Since the start. */
    uint64_t sent, received, late, duplicates, rejected, send_errors, lost[TW_DIRECTION_COUNT],
        reordered[TW_DIRECTION_COUNT];
    struct metrics_hist delay[3];
    uint64_t runs_ok, runs_err;
    struct compat_hist compat_delay[3], compat_jitter[3];
    struct metrics_jitter jitter[TOOL_METRICS_FLOWS];
    /* The last report period. */
    bool fresh;
    struct stats_view last;
};

/* class_name: the DSCP by name, say. */
void tool_metrics_init(struct tool_metrics *m, const struct tool_metrics_opt *o, bool nodegraph,
                       const char *source, const char *target, const char *class_name);
void tool_metrics_sample(struct tool_metrics *m, unsigned flow, const struct session_sample *s);
void tool_metrics_period(struct tool_metrics *m, const struct tw_summary *total);
void tool_metrics_render(const struct tool_metrics *m, struct mbuf *b);

#endif
