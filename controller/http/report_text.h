/* controller/http/report_text.h - a report as CSV, NDJSON and as a page for people. Any thread. Each is
 * malloc'ed text; NULL: no memory. */
#ifndef TW_CONTROLLER_HTTP_REPORT_TEXT_H
#define TW_CONTROLLER_HTTP_REPORT_TEXT_H

#include <cJSON.h>
#include "controller/report.h"

/* A row as /api/v1/report has it: a group, a pair, or a flow of it. */
cJSON *report_group_item(const struct report_group *g);
cJSON *report_pair_item(const struct report_pair *p);
cJSON *report_flow_item(const struct report_pair *p, const struct report_flow *f);

/* Each row as in JSON, on a line of its own. */
char *report_ndjson(const struct report *r, bool flows, size_t *ret_len);
/* RFC 4180 with LF; the same columns, in the same order and with the same digits, as twampctl report -o csv;
 * groups begin with key and pairs. */
char *report_csv(const struct report *r, bool flows, size_t *ret_len);
/* A page that needs nothing from elsewhere: no script, no font, no image but inline ones; fit to print. latest: each
 * pair is of its own period. */
char *report_html(const struct report *r, const char *group_by, bool latest, size_t *ret_len);

#endif
