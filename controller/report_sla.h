/* controller/report_sla.h - objectives judged for each pair over a span that is over, outside of maintenance.
 * What is stored and asked for is all that goes in, the documents of meshes as they were in force included, so the answer is the same
 * whenever it is asked for. */
#ifndef TW_CONTROLLER_REPORT_SLA_H
#define TW_CONTROLLER_REPORT_SLA_H

#include "controller/core/sla.h"
#include "controller/report.h"

#define SLA_PAIRS_MAX 1000   /* in one answer */
#define SLA_OUTAGES_MAX 1000 /* of one pair */

struct sla_pair {
    struct store_pair pair;
    uint32_t number;           /* among all that match */
    struct class_times *times; /* a reference of the loop thread's */
    struct sla_spans maintenance, counted;
    struct tw_summary merged; /* of what is counted; without histograms */
    struct stats_view view;
    uint64_t periods_expected, periods_stored;
    struct sla_result results[SLA_KINDS];
    size_t n_results;
    enum sla_verdict verdict;
    struct tw_unavail_run *outages; /* in order of start */
    size_t n_outages, cap_outages;
    uint64_t windows_unlisted;
    bool inexact; /* roll-ups that hold maintenance, too, or stick out of the span, are all that is left */
};
struct sla_report {
    int64_t from_ns, to_ns;
    struct sla_pair *pairs; /* sorted by mesh, class, source, target */
    size_t n_pairs;
    bool truncated;
    uint32_t next;        /* truncated: `skip` of the next part */
    uint64_t verdicts[3]; /* by enum sla_verdict */
};
/* The default of a span: the 30 days before today, UTC. TW_EINVAL: the span is not over, or is none. */
enum tw_rc sla_span(struct report_filter *f, int64_t now_ns, struct tw_err *err);
/* As report_run(), after sla_span(); takes *objectives only on TW_OK. `skip` of the first pairs are left out.
 */
enum tw_rc sla_run(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                   uint32_t skip, struct sla_objectives *objectives,
                   void (*done)(void *ctx, struct sla_report *rep, const struct tw_err *err), void *ctx);
void sla_report_free(struct sla_report *r);

#endif
