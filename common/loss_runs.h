/* common/loss_runs.h - lists of loss runs: in order, bounded, and joined where one goes on over the end of a
 * report period. Pure. The list itself is in common/stats.h: a summary owns one.
 *
 * A session cuts its runs at the ends of report periods, so that each summary's runs are made of its own
 * probes. The parts say so (continues_after, continues_before), and whoever has both makes them one outage
 * again. */
#ifndef TW_COMMON_LOSS_RUNS_H
#define TW_COMMON_LOSS_RUNS_H

#include "common/stats.h"

void loss_runs_free(struct tw_loss_runs *l); /* empty afterwards */
/* Room for n in all; the list stays as it is. TW_ENOMEM. */
enum tw_rc loss_runs_reserve(struct tw_loss_runs *l, size_t n);
/* Puts *r into its place by (start, flow, number). A full list (TW_LOSS_RUNS_MAX), or one that gets no
 * memory, gives up its shortest run for a longer one. */
void loss_runs_add(struct tw_loss_runs *l, const struct tw_loss_run *r);
/* loss_runs_add(), but first *r is joined with the parts in the list that it goes on from or that go on from
 * it. Returns how many; *ret_whole (may be NULL) is what was put in. */
unsigned loss_runs_add_joined(struct tw_loss_runs *l, const struct tw_loss_run *r,
                              struct tw_loss_run *ret_whole);
/* Moves what sticks out into [start_ns, end_ns]: small corrections of the wall clock can make it so. */
void loss_runs_fit(struct tw_loss_runs *l, int64_t start_ns, int64_t end_ns);

/* Is `next` the part that follows `first`? Both of the same pair; flow, numbers and time decide. */
bool loss_run_continues(const struct tw_loss_run *first, const struct tw_loss_run *next);
/* *first becomes both. */
void loss_run_join(struct tw_loss_run *first, const struct tw_loss_run *next);

#endif
