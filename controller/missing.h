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

/* The same for many pairs of one source, whose absences are read once: in the span and so long around it as
 * missing_around_ns() of the longest report period says. */
struct absences {
    struct absence {
        uint64_t pair_id; /* 0: of all */
        enum store_cause cause;
        int64_t from_ns, until_ns;
    } * v; /* by their begin */
    size_t n, cap;
};
int64_t missing_around_ns(int64_t period_ns);
/* End it with absences_free(), also after an error. */
enum tw_rc absences_read(struct store_reader *db, const char *source, int64_t from_ns, int64_t to_ns,
                         struct absences *ret, struct tw_err *err);
void absences_free(struct absences *a);
void missing_by(const struct absences *a, const struct expectations *e, int64_t from_ns, int64_t to_ns,
                uint64_t n, bool backlog, struct missing *ret);

#endif
