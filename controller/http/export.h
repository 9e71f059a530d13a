/* controller/http/export.h - answers of any length at constant memory: CSV and NDJSON of summaries and
 * reports. A reader makes a piece, in a read transaction of its own, when the client has taken the one
 * before; so a client that is slow holds neither a reader nor the database, and one that takes nothing for 30
 * s is cut off. What comes in meanwhile may be in later pieces. Loop thread. */
#ifndef TW_CONTROLLER_HTTP_EXPORT_H
#define TW_CONTROLLER_HTTP_EXPORT_H

#include "controller/controller.h"
#include "controller/report.h"

enum export_kind { EXPORT_SUMMARIES, EXPORT_REPORT };
#define EXPORTS_MAX 16 /* at a time; then 503 */

/* *f is resolved, its format REPORT_CSV or REPORT_NDJSON, that of a report plain (report_filter_is_plain()).
 * limit 0: all. If something cannot be read on the way, the answer ends without its last chunk, so that the
 * client sees it. */
void export_start(struct controller *c, struct http_req *rq, enum export_kind kind,
                  const struct report_filter *f);
/* Cuts all off; before the readers stop. */
void exports_stop(struct controller *c);

#endif
