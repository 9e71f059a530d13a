/* controller/completeness.h - of each pair and hour how many summaries should be there, how many are, and why
 * the others are not. One function behind the Admin service and the HTTP API. Nothing of it is kept: it
 * follows from what is stored of schedules, results and absences, so results that come late complete their
 * hour. */
#ifndef TW_CONTROLLER_COMPLETENESS_H
#define TW_CONTROLLER_COMPLETENESS_H

#include "controller/report.h"

#define COMPLETENESS_LIMIT_DEFAULT 1000
#define COMPLETENESS_LIMIT_MAX 10000

struct completeness_hour {
    struct store_pair pair;
    int64_t start_ns; /* UTC */
    uint64_t expected, stored;
    struct missing missing;
};
struct completeness {
    int64_t from_ns, to_ns; /* whole hours */
    struct completeness_hour
        *v; /* by mesh, class, source, target, then hour; those in which something was expected or stored */
    size_t n;
    bool truncated;
};

/* f: names, selectors; [from, to), widened to whole hours, from 0 = 24 h before to; limit in rows, 0 =
 * COMPLETENESS_LIMIT_DEFAULT; incomplete: only hours that lack something. As report_run(). */
enum tw_rc completeness_run(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                            int64_t now_ns,
                            void (*done)(void *ctx, struct completeness *c, const struct tw_err *err),
                            void *ctx);
void completeness_free(struct completeness *c);

#endif
