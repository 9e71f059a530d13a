/* controller/cli/alerts.h - how alerts are shown. */
#ifndef TW_CLI_ALERTS_H
#define TW_CLI_ALERTS_H

#include "controller/cli/cli.h"

extern const struct out_listing alerts_listing;
/* "5.2%", "31 ms", "3 hops", as the metric has it. Returns buf. */
const char *alerts_value(const char *metric, const Tw__AlertNumber *v, char buf[OUT_NUM]);
/* What alerts, rules and explanations have alike: metric and direction, as one column for people; mesh and class, too; a number in the
 * metric's unit. */
void alerts_put_metric(struct out_records *r, const char *metric, const char *direction);
void alerts_put_class(struct out_records *r, const char *mesh, const char *class_name);
void alerts_put_number(struct out_records *r, const char *name, const char *metric, const Tw__AlertNumber *v);
/* An id from the command line; says what is wrong with it. */
enum cli_exit alerts_read_id(const char *text, const char *what, uint64_t *ret);

#endif
