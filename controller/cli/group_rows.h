/* controller/cli/group_rows.h - a report by groups of pairs: all pairs of a source, a site, ... */
#ifndef TW_CLI_GROUP_ROWS_H
#define TW_CLI_GROUP_ROWS_H

#include "controller/cli/cli.h"

struct group_row {
    const Tw__GroupReport *report;
    bool measured;
    struct stats_view view;
};
/* Decodes and prints reply->groups. */
enum cli_exit group_rows_print(struct cli *c, const Tw__ReportReply *reply);
/* One call of Report. CLI_FAILED also if the controller does not know groups, sorting or the other span that
 * the filter asks for. */
enum cli_exit report_call(struct cli *c, const Tw__PairFilter *filter, Tw__ReportReply **ret);
/* min(1, stored / expected); unknown when nothing was expected. */
struct tw_num report_complete(uint64_t stored, uint64_t expected);

#endif
