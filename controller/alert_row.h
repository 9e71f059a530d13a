/* controller/alert_row.h - alerts and silences as JSON: what the database keeps of them. Pure but for cJSON.
 */
#ifndef TW_CONTROLLER_ALERT_ROW_H
#define TW_CONTROLLER_ALERT_ROW_H

#include "controller/core/alert.h"

/* malloc'ed; NULL: no memory. */
char *alert_row_write(const struct alert *a);
/* TW_ECORRUPT: it is not what alert_row_write() writes. */
enum tw_rc alert_row_read(const char *json, struct alert *ret);
char *alert_silence_write(const struct alert_silence *s);
/* ret->match is the caller's. */
enum tw_rc alert_silence_read(const char *json, struct alert_silence *ret);

#endif
