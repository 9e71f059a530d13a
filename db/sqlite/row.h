/* db/sqlite/row.h - the columns of struct tw_summary (db/row_cols.h) in SQLite: their SQL text, binding and
 * reading. */
#ifndef TW_DB_ROW_H
#define TW_DB_ROW_H

#include "db/row_cols.h"
#include "db/sqlite/sq.h"

/* "name INTEGER NOT NULL DEFAULT 0" or "name BLOB" (NULL: an empty histogram or list). */
void row_column_sql(sqlite3_str *sql, const struct row_col *col);
/* Puts all columns in order. Histograms and lists are encoded into scratch (ROW_SCRATCH octets), which must stay until
 * the statement ran. `digest`: with the row's digest. Not for rows that are updated: the release before would
 * leave the old one there. */
enum tw_rc row_put(struct sq_cur *c, const struct tw_summary *s, bool digest, uint8_t *scratch);
/* Takes all columns in order, but for those that are left out (enum store_part), into an initialised *s, and
 * validates it: TW_ECORRUPT, also when it has a digest and that is not the row's. */
enum tw_rc row_take(struct sq_cur *c, struct tw_summary *s, unsigned without, struct tw_err *err);

#endif
