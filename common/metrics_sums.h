/* common/metrics_sums.h - what metrics keep of a pair's and of many pairs' summaries: one piece for the controller
 * and for agents, so that both count alike. Pure. */
#ifndef TW_COMMON_METRICS_SUMS_H
#define TW_COMMON_METRICS_SUMS_H

#include "common/metrics_page.h"

/* Of a pair, since the start of the program. */
struct metrics_counters {
    uint64_t sent, received, late, duplicates, lost[TW_DIRECTION_COUNT], reordered[TW_DIRECTION_COUNT];
    uint64_t loss_runs; /* one that goes on over report periods counts once */
    uint64_t periods_answered, periods_unanswered;
};
void metrics_count(struct metrics_counters *c, const struct tw_summary *s);
void metrics_show(struct metrics_pair *m, const struct metrics_counters *c);

/* Do delays of this way count in histograms? What the clocks do not bear out could not be marked among other
 * delays, and would spoil them. */
bool metrics_counts(const struct stats_view *view, int direction);
/* With more than `most` buckets two neighbours become one until they fit; the counts stay exact. 0: nothing is kept. */
void metrics_add_native(struct hist *h, const struct hist *delays, uint32_t most);
/* view: of s. native: the same delays; see metrics_add_native(). */
void metrics_group_add(struct metrics_group *g, struct hist native[3], uint32_t most, const struct tw_summary *s,
                       const struct stats_view *view);
/* Merges s into *last if it is of the same report period, and begins anew if not; *view is then that of *last. */
void metrics_take_last(struct tw_summary *last, uint32_t *flows, struct stats_view *view, const struct tw_summary *s,
                       const struct stats_view *of_s);

#endif
