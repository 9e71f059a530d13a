/* controller/outages.h - outages: loss runs of the history, those that went on over the ends of report periods joined; one function
 * behind the Admin service and the HTTP API. */
#ifndef TW_CONTROLLER_OUTAGES_H
#define TW_CONTROLLER_OUTAGES_H

#include "controller/report.h"

#define OUTAGES_LIMIT_DEFAULT 1000
#define OUTAGES_LIMIT_MAX 100000

struct outage {
    struct store_pair pair;
    bool scheduled;
    struct tw_loss_run run; /* joined; length up to now when it is ongoing */
    bool ongoing;           /* nothing has come back since, as far as summaries are stored; its pair is scheduled */
    bool start_known;       /* false: it began earlier, but the part before is not stored, or more than a week old */
};
struct outages {
    int64_t from_ns, to_ns;
    struct outage *v; /* newest first, then by pair and flow */
    size_t n;
    bool truncated;   /* there are older ones that match */
};

/* Which: f->mesh, class_name, source, target; those that overlap [from, to); f->min_probes, min_duration_ns, by_direction.
 * f->limit: 0 = OUTAGES_LIMIT_DEFAULT; OUTAGES_LIMIT_MAX at most. As report_run(): done is called on the loop thread and owns *o;
 * on an error o is NULL; TW_EBUSY, TW_ENOMEM, TW_EINVAL at once. */
enum tw_rc outages_run(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f, int64_t now_ns,
                       void (*done)(void *ctx, struct outages *o, const struct tw_err *err), void *ctx);
void outages_free(struct outages *o);

#endif
