/* controller/clocks.h - the mesh clock audit at work: keeps the least one-way delays between agents, from what is committed, and
 * audits them (core/clock_audit.h) every minute and on demand. Loop thread; the audit itself runs on a reader thread. Findings
 * stand in each agent's `audit`.
 *
 * Delays count for a minute or two, or for a report period more where that is longer: a clock without discipline drifts by
 * milliseconds a minute. Which summaries are that young is told by when they come, and, since the agent's clock may be the wrong
 * one, by its clock as its health reports show it. Summaries with a step of either clock in them say nothing, and what was known
 * before the step is forgotten. */
#ifndef TW_CONTROLLER_CLOCKS_H
#define TW_CONTROLLER_CLOCKS_H

#include "controller/inventory.h"
#include "controller/reader.h"

#define CLOCKS_EVERY_NS (60 * TW_NS_PER_S)
#define CLOCKS_WINDOW_NS (60 * TW_NS_PER_S)

/* Two agents between which the ways differ by more than clocks explain. */
struct clocks_crooked {
    char a[STORE_NAME_MAX], b[STORE_NAME_MAX];
    double longer_s, round_trip_s; /* as struct clock_crooked */
};
/* Of the last audit; what it found of each agent is in the inventory. */
struct clocks_result {
    int64_t time_ns; /* 0 = none yet */
    size_t agents, components, pairs, pairs_used;
    struct clocks_crooked crooked[CLOCK_AUDIT_CROOKED]; /* worst first */
    size_t n_crooked;
};

struct clocks;
enum tw_rc clocks_new(struct loop *loop, struct inventory *inv, struct reader_pool *readers, struct clocks **ret);
/* After reader_pool_stop(). Whoever still waits is told TW_ECLOSED. */
void clocks_free(struct clocks *k);
/* A committed summary of a scheduled pair. */
void clocks_note(struct clocks *k, const struct pair *p, const struct tw_summary *s);
/* Has an audit made, unless the last one is of the last two seconds, and calls done(ctx, rc, result): perhaps before it returns.
 * result is valid during the call; NULL unless rc is TW_OK. */
void clocks_ask(struct clocks *k, void (*done)(void *ctx, enum tw_rc rc, const struct clocks_result *r), void *ctx);

/* The approved agents, worst first: the wrong ones, those of whom one is, right ones by offset, those that nobody can tell of.
 * malloc'ed; NULL: no memory. */
const struct agent **clocks_sorted(const struct inventory *inv, size_t *ret_n);

#endif
