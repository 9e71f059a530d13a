/* agent/tool/probe_out.h - prints what a probe of a reflector has found, for people and as JSON. Nothing here
 * knows the network. */
#ifndef TW_AGENT_TOOL_PROBE_OUT_H
#define TW_AGENT_TOOL_PROBE_OUT_H

#include <stdio.h>
#include "agent/core/probe_run.h"
#include "agent/tool/hosts.h"

struct probe_report {
    const struct host_pair *hosts;
    struct tw_addr source;
    struct tw_wall start, end;
    bool interrupted;
    const struct probe_run_cfg *cfg;
    const struct probe_findings *findings;
    struct probe_run_extra extra;
};

void probe_print_text(FILE *to, const struct probe_report *r);
/* One document of one line: docs/schema/probe-v1.json. */
void probe_print_json(FILE *to, const struct probe_report *r);

/* What to do, or not to do, because of what was found: note i, NULL behind the last. */
const char *probe_note(const struct probe_findings *f, size_t i);

#endif
