/* db/clickhouse/ch_error.h - what ClickHouse says when it cannot. Pure. */
#ifndef TW_DB_CH_ERROR_H
#define TW_DB_CH_ERROR_H

#include <stdbool.h>
#include "common/rc.h"

/* Reads "Code: N, e.displayText() = DB::Exception: WHY, e.what() = ..." (up to 20.3) and "Code: N. DB::Exception: WHY (NAME)
 * (version ...)". `text` need not end in NUL. *ret_why: WHY, cut and in one line of printable ASCII; of other texts their beginning.
 * *ret_code: 0 if it is none. */
#define CH_WHY_MAX 160
void ch_error_parse(const char *text, size_t len, int *ret_code, char ret_why[CH_WHY_MAX]);
/* TW_EIO for codes that we have nothing to say about. */
enum tw_rc ch_error_rc(int code);
/* May another server of the same data do what this one refused with a 5xx status? */
bool ch_error_elsewhere(int code);

#endif
