/* controller/cli/fetch.h - a report of any size. */
#ifndef TW_CLI_FETCH_H
#define TW_CLI_FETCH_H

#include "admin.pb-c.h"
#include "controller/cli/ctl.h"
#include "controller/cli/progress.h"

/* Report. An answer holds at most 1 MiB: when it was cut and neither a source nor a limit was given, asks
 * again for each agent as source and puts the parts together, sorted by mesh, class, source, target; how far it is
 * is said as the progress of "report". *ret is freed with tw__report_reply__free_unpacked(r, NULL). */
enum cli_exit fetch_report(struct ctl *c, const Tw__PairFilter *filter, enum progress_mode progress,
                           Tw__ReportReply **ret, struct ctl_error *err);

#endif
