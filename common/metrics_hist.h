/* common/metrics_hist.h - classic Prometheus histograms of delays, counted from ours. Pure. */
#ifndef TW_COMMON_METRICS_HIST_H
#define TW_COMMON_METRICS_HIST_H

#include "common/hist.h"

/* Bounds of the classic histograms: powers of two of seconds from 2^-15 (30.5 us) to 2^3 (8 s), so that
 * counts are exact. */
#define METRICS_LE_N 19
extern const double metrics_le_s[METRICS_LE_N];

/* Monotonic: delays are only added. */
struct metrics_hist {
    uint64_t bucket[METRICS_LE_N]; /* cumulative: <= metrics_le_s[i] */
    uint64_t count;
    double sum_s;
    const struct hist *native; /* the same delays bucket by bucket; NULL: not kept. Not touched here. */
};
void metrics_hist_add(struct metrics_hist *h, const struct hist *delays);

#endif
