/* db/sqlite/row.h - struct tw_summary as a row: one table of columns from which the SQL text, binding and
 * reading follow. A counter added to TW_COUNTERS is a column here. */
#ifndef TW_DB_ROW_H
#define TW_DB_ROW_H

#include "common/unavail.h"
#include "db/sqlite/sq.h"

enum row_kind { ROW_64, ROW_32, ROW_8, ROW_BOOL, ROW_HIST, ROW_UNAVAIL, ROW_DIGEST };
struct row_col {
    const char *name;
    enum row_kind kind;
    size_t offset; /* in struct tw_summary; a digest is of all the others, and the last */
};
extern const struct row_col row_cols[];
extern const size_t row_cols_n;

#define ROW_MAX 160 /* columns, at most */
#define ROW_HISTS 4
#define ROW_SCRATCH (ROW_HISTS * (size_t)HIST_MAX_BLOB + UNAVAIL_MAX_BLOB)

/* A column of octets, NULL when empty; else a number. */
static inline bool row_is_blob(const struct row_col *col)
{
    return col->kind == ROW_HIST || col->kind == ROW_UNAVAIL;
}
/* "name INTEGER NOT NULL DEFAULT 0" or "name BLOB" (NULL: an empty histogram or list). */
void row_column_sql(sqlite3_str *sql, const struct row_col *col);
/* Puts all columns in order. Histograms and lists are encoded into scratch (ROW_SCRATCH octets), which must stay until
 * the statement ran. `digest`: with the row's digest. Not for rows that are updated: the release before would
 * leave the old one there. */
enum tw_rc row_put(struct sq_cur *c, const struct tw_summary *s, bool digest, uint8_t *scratch);
/* Takes all columns in order into an initialised *s, and validates it: TW_ECORRUPT, also when it has a digest and that is not the row's. */
enum tw_rc row_take(struct sq_cur *c, struct tw_summary *s, struct tw_err *err);

#endif
