/* controller/report_flows.h - private to report.c: the flows of a pair beside the whole. */
#ifndef TW_CONTROLLER_REPORT_FLOWS_H
#define TW_CONTROLLER_REPORT_FLOWS_H

#include "controller/report.h"

/* Flows 0 to n-1, empty. TW_ENOMEM. */
enum tw_rc report_flows_init(struct report_pair *p, uint32_t n);
void report_flows_free(struct report_pair *p);
/* Merges a row into its flow; stored: the periods that it counts as. TW_ENOMEM. */
enum tw_rc report_flows_add(struct report_pair *p, const struct tw_summary *s, uint64_t stored);
/* Forgets what was merged. */
void report_flows_clear(struct report_pair *p);
/* Derives the views; views_only: frees the histograms. */
void report_flows_seal(struct report_pair *p, bool views_only);
/* How many periods of each there should be in [from, to). */
void report_flows_expect(struct report_pair *p, const struct expectations *e, int64_t from_ns, int64_t to_ns);
/* min(1, stored / expected), unknown when nothing was expected. */
struct tw_num report_completeness(uint64_t stored, uint64_t expected);
void report_hists_free(struct tw_summary *s);

/* report_runs.c: joins the loss runs of pair and flows that go on over the ends of report periods. After sealing. */
enum tw_rc report_runs_join(struct report_pair *p, struct store_reader *db, int64_t from_ns, int64_t to_ns,
                            struct tw_err *err);

#endif
