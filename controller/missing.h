/* controller/missing.h - why summaries that should be there are not: what was expected while the source was
 * down, refused the session, and so on. */
#ifndef TW_CONTROLLER_MISSING_H
#define TW_CONTROLLER_MISSING_H

#include "controller/expectation.h"

/* How many are missing for which cause. Each is counted once, for the first cause, in the order of the enum,
 * that can be it. */
struct missing {
    uint64_t of[STORE_CAUSES];
};
/* Explains why `n` of those that e expects in [from, to) are not there. backlog: the source has more in its
 * spool that is on the way. */
enum tw_rc missing_explain(struct store_reader *db, const struct expectations *e, int64_t from_ns,
                           int64_t to_ns, uint64_t n, bool backlog, struct missing *ret, struct tw_err *err);
uint64_t missing_sum(const struct missing *m);

#endif
