/* controller/publish_late.h - inside publish: how late each agent sent its probes, by the summaries of
 * lately. Loop thread. */
#ifndef TW_CONTROLLER_PUBLISH_LATE_H
#define TW_CONTROLLER_PUBLISH_LATE_H

#include <uthash.h>
#include "common/clk.h"
#include "common/stats.h"
#include "db/store.h"

struct late_agent {
    char name[STORE_NAME_MAX];
    int64_t start_ns, window_ns; /* of `now`; monotonic */
    struct hist now, before;
    UT_hash_handle hh;
};
/* Zeroes are an empty one. */
struct late_table {
    struct late_agent *agents; /* uthash by name */
};

/* A summary of that source has come. Without memory it is not in the figures. */
void late_add(struct late_table *t, const char *source, const struct hist *lateness, int64_t report_period_ns,
              struct tw_mono now);
/* Of the summaries that came in the last one to two windows, of a minute or of the agent's longest report
 * period; not known without any. */
void late_of(const struct late_table *t, const char *source, struct tw_mono now, struct tw_num *ret_p99_s,
             struct tw_num *ret_max_s);
/* Lets go of those that have had nothing to say for long. */
void late_sweep(struct late_table *t, struct tw_mono now);
void late_free(struct late_table *t);

#endif
