/* agent/tool/reflector_metrics.h - Prometheus text about a reflector, for responder and server. Pure. */
#ifndef TW_AGENT_TOOL_REFLECTOR_METRICS_H
#define TW_AGENT_TOOL_REFLECTOR_METRICS_H

#include "agent/io/worker.h"
#include "common/metrics_buf.h"

/* address: where it listens, for the label. */
void reflector_metrics(struct mbuf *b, const char *address, const struct worker_counters *c);
/* twamp_build_info, on every page of the tool. */
void tool_build_info(struct mbuf *b);

#endif
