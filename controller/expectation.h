/* controller/expectation.h - what should be there of a pair: from the intervals in which it was scheduled,
 * each by the rule of its time. */
#ifndef TW_CONTROLLER_EXPECTATION_H
#define TW_CONTROLLER_EXPECTATION_H

#include "controller/core/class_times.h"
#include "db/store.h"

/* When a pair with this slot runs, as a number: 0 without a rule. Equal numbers: the same is expected. */
uint64_t expectation_rule_key(const struct class_times *t, unsigned slot);

/* A pair's intervals in a span, ready to count by. */
struct expectation_span {
    int64_t from_ns, until_ns, period_ns;
    uint32_t flows;
    const struct times *times; /* NULL: always */
    struct times *own;         /* `times`, if it was read from the store */
    int64_t spacing_ns;
    bool exponential;
    unsigned slot;              /* see struct pair_key */
};
struct expectations {
    struct store_pair pair;     /* its names are the caller's */
    struct expectation_span *v; /* oldest first */
    size_t n;
};
/* As stored for [from, to). Intervals from before rules were kept go by `now`, the rule that the pair has at
 * present (NULL: none). End it with expectations_free(), also after an error. */
enum tw_rc expectations_read(struct store_reader *db, const struct store_pair *p,
                             const struct class_times *now, int64_t from_ns, int64_t to_ns,
                             struct expectations *ret, struct tw_err *err);
void expectations_free(struct expectations *e);
#define EXPECT_ALL_FLOWS UINT32_MAX
/* Summaries that should be there and lie wholly in [from, to): whole report periods, or those of runs. A
 * flow's number, or EXPECT_ALL_FLOWS. */
uint64_t expectations_count(const struct expectations *e, uint32_t flow, int64_t from_ns, int64_t to_ns);
/* Ran it by a rule then? Of runs all summaries count: they begin and end with their probes. Else only whole
 * report periods do: scheduling cuts first and last ones, which may be there or not. */
bool expectations_has_rule(const struct expectations *e, int64_t at_ns);

#endif
