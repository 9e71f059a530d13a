/* agent/tool/out.h - how results are printed: one writer per form, all fed with the same reports, all numbers
 * from common/stats. A new form is a file out_NAME.c and a row in out.c. Nothing here knows the network. */
#ifndef TW_AGENT_TOOL_OUT_H
#define TW_AGENT_TOOL_OUT_H

#include <stdio.h>
#include "agent/tool/plan.h"

/* A report period, or everything since the start. */
struct report {
    const struct plan *plan;
    bool whole;       /* the run; else one report period */
    bool interrupted; /* whole: a signal ended it */
    const struct tw_summary *flows;
    size_t n_flows;
    const struct tw_summary *total;
};

struct out_writer {
    const char *name;
    /* Any may be NULL. metrics_port: 0 = no metrics. */
    void (*begin)(FILE *to, const struct plan *p, uint16_t metrics_port);
    void (*report)(FILE *to, const struct report *r);
    void (*sample)(FILE *to, const struct plan *p, unsigned flow, const struct session_sample *s);
    bool periods; /* --forever: print each report period, and the whole at the end; else only the periods */
};

extern const struct out_writer out_text, out_json, out_json_raw, out_compat, out_csv, out_raw;

/* By --json, --csv and --raw. TW_EINVAL: they contradict each other. */
enum tw_rc out_choose(const struct tool_options *o, const struct out_writer **ret, struct tw_err *err);

/* "216us", "12.30ms", "1.20sec", "12.0sec", "1.5min" as columns of the table, ten octets. */
const char *out_delay(double ms, char buf[24]);
/* The words of an outcome. */
const char *out_sample_kind(enum sample_kind k);

#endif
