/* common/stats_compare.h - numbers of struct stats_view by their names: which of two is worse, and how a span
 * differs from another. Pure. */
#ifndef TW_COMMON_STATS_COMPARE_H
#define TW_COMMON_STATS_COMPARE_H

#include "common/stats.h"

/* NULL: there is no such field. */
const struct stats_field *stats_field_find(const char *name);
/* Its value as a number; unknown: it has none, or it is no number. */
struct tw_num stats_number(const struct stats_view *v, const struct stats_field *f);
/* Is a smaller value the worse one, as of availability and MOS? */
bool stats_low_is_worse(const char *name);

/* What comparisons show. X(name of the field or "completeness_ratio") */
#define STATS_COMPARED(X)                                                                                 \
    X(loss_ratio)                                                                                         \
    X(loss_forward_ratio) X(loss_backward_ratio) X(delay_roundtrip_p50_seconds)                           \
        X(delay_roundtrip_p95_seconds) X(delay_roundtrip_p99_seconds) X(delay_forward_p50_seconds)        \
            X(delay_backward_p50_seconds) X(delay_roundtrip_jitter_rfc3550_seconds) X(availability_ratio) \
                X(loss_runs) X(mos_g711) X(completeness_ratio)
extern const char *const stats_compared[]; /* ends with NULL */

struct stats_change {
    struct tw_num now, before, delta /* now - before */, ratio /* now / before; unknown where before is 0 */;
};
struct stats_change stats_change_of(struct tw_num now, struct tw_num before);

#endif
