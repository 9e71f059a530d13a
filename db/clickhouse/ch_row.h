/* db/clickhouse/ch_row.h - the columns of struct tw_summary (db/row_cols.h) in ClickHouse. */
#ifndef TW_DB_CH_ROW_H
#define TW_DB_CH_ROW_H

#include "db/clickhouse/ch_wire.h"
#include "db/row_cols.h"

/* Histograms and lists are texts of octets, as SQLite has them: merged by our code, so that every sum is exact. */
enum ch_type ch_row_type(const struct row_col *col);

/* Puts all columns in order, with the row's digest or 0. TW_ENOMEM; what was put is to be taken away again after an error. */
enum tw_rc ch_row_put(struct ch_buf *b, const struct tw_summary *s, bool digest);
/* Takes all columns in order into an initialised *s, and validates it. TW_ECORRUPT, also when it has a digest and that is not the row's;
 * TW_ETRUNC: it is not whole. */
enum tw_rc ch_row_take(struct wire_rd *r, struct tw_summary *s, struct tw_err *err);

/* "a, b, c" of all columns, and "a Int64, b UInt8, ..." for a table; in memory that stays. */
const char *ch_row_names(void);
const char *ch_row_definitions(void);

#endif
