#include "common/metrics_hist.h"

#include <math.h>
#include "common/clk.h"

const double metrics_le_s[METRICS_LE_N] = { 0x1p-15, 0x1p-14, 0x1p-13, 0x1p-12, 0x1p-11, 0x1p-10, 0x1p-9,
                                            0x1p-8,  0x1p-7,  0x1p-6,  0x1p-5,  0x1p-4,  0x1p-3,  0x1p-2,
                                            0x1p-1,  1,       2,       4,       8 };
/* Bounds that are no whole number of ns lie inside a bucket whose upper end they round to; rounding up puts
 * them into the next one, and all of the bucket below counts. */
void metrics_hist_add(struct metrics_hist *h, const struct hist *delays)
{
    for (size_t i = 0; i < METRICS_LE_N; i++)
        h->bucket[i] += hist_count_le(delays, (int64_t)ceil(metrics_le_s[i] * (double)TW_NS_PER_S));
    h->count += delays->count;
    h->sum_s += (double)delays->sum_ns / (double)TW_NS_PER_S;
}
