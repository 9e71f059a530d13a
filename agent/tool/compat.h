/* agent/tool/compat.h - the numbers as the Python tool twampy named them: outbound, inbound and roundtrip, in
 * milliseconds and percent of probes sent. Pure. */
#ifndef TW_AGENT_TOOL_COMPAT_H
#define TW_AGENT_TOOL_COMPAT_H

#include "common/stats.h"

struct compat_row {
    const char *name;                         /* "outbound", ... */
    bool known;                               /* there are delays */
    double min_ms, max_ms, avg_ms, jitter_ms; /* signed but for jitter; jitter as RFC 3550 has it */
    double loss_percent;                      /* valid if the view's loss_known */
};

struct compat_view {
    bool ok;         /* something came back */
    bool loss_known; /* something was sent */
    /* Loss that no direction can be given: what outbound and inbound lack to make roundtrip. When nothing
     * came back every direction reads 100, and so does this. */
    double unknown_percent;
    struct compat_row row[3]; /* by enum tw_direction */
};

void compat_view(const struct stats_view *v, struct compat_view *ret);

/* Histograms of single observations, in milliseconds: the bounds of twampy's (made for seconds, 0.005 to 10)
 * and decades above, so that they serve for wide areas, too. */
#define COMPAT_LE_N 24
extern const double compat_le_ms[COMPAT_LE_N];
extern const char *const compat_le_text[COMPAT_LE_N];
struct compat_hist {
    uint64_t bucket[COMPAT_LE_N]; /* not cumulative */
    uint64_t count;
    double sum_ms;
};
void compat_observe(struct compat_hist *h, double ms);

#endif
