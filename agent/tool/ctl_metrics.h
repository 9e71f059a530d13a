/* agent/tool/ctl_metrics.h - Prometheus text about a TWAMP-Control server. Pure. */
#ifndef TW_AGENT_TOOL_CTL_METRICS_H
#define TW_AGENT_TOOL_CTL_METRICS_H

#include "agent/io/ctl_listener.h"
#include "common/metrics_buf.h"

/* address: where it listens, for the label. */
void ctl_metrics(struct mbuf *b, const char *address, const struct ctl_listener_counters *c);

#endif
