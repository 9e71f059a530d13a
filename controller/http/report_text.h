/* controller/http/report_text.h - a report as CSV, NDJSON and as a page for people. Any thread. Each is
 * malloc'ed text; NULL: no memory. */
#ifndef TW_CONTROLLER_HTTP_REPORT_TEXT_H
#define TW_CONTROLLER_HTTP_REPORT_TEXT_H

#include <cJSON.h>
#include <stdio.h>
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
/* The same, for those that write piece by piece: only the first one has a heading. */
void report_csv_heading(FILE *to, const struct report *r, bool flows);
void report_csv_rows(FILE *to, const struct report *r, bool flows);
void report_ndjson_rows(FILE *to, const struct report *r, bool flows);

/* A stored summary: a row as /api/v1/summaries has it, and of CSV as twampctl results -o csv. */
cJSON *summary_item(const struct store_pair *pair, const struct tw_summary *s);
void summary_ndjson_row(FILE *to, const struct store_pair *pair, const struct tw_summary *s);
void summary_csv_heading(FILE *to);
void summary_csv_row(FILE *to, const struct store_pair *pair, const struct tw_summary *s);
/* The same columns as one JSON object: as twampctl results -o ndjson. */
void summary_line_row(FILE *to, const struct store_pair *pair, const struct tw_summary *s);
/* A page that needs nothing from elsewhere: no script, no font, no image but inline ones; fit to print. latest: each
 * pair is of its own period. It is made as a whole, since all rows share a scale: more rows than these are left out, and
 * it says so. */
#define REPORT_HTML_ROWS 10000
char *report_html(const struct report *r, const char *group_by, bool latest, size_t *ret_len);

#endif
