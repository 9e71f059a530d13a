/* db/row_cols.h - struct tw_summary as a row of a table: one table of columns, from which each database's
 * text, writing and reading follow. A counter added to TW_COUNTERS is a column here. Any thread. */
#ifndef TW_DB_ROW_COLS_H
#define TW_DB_ROW_COLS_H

#include "common/stats.h"
#include "common/unavail.h"
#include "db/store_history.h"

enum row_kind { ROW_64, ROW_32, ROW_8, ROW_BOOL, ROW_HIST, ROW_UNAVAIL, ROW_DIGEST };
struct row_col {
    const char *name;
    enum row_kind kind;
    unsigned part; /* enum store_part; 0: always read */
    size_t offset; /* in struct tw_summary; a digest is of all the others, and the last */
};
extern const struct row_col row_cols[];
extern const size_t row_cols_n;

#define ROW_MAX 160 /* columns, at most */
#define ROW_HISTS 4
#define ROW_SCRATCH (ROW_HISTS * (size_t)HIST_MAX_BLOB + UNAVAIL_MAX_BLOB)

/* A column of octets, empty for an empty histogram or list; else a number. */
static inline bool row_is_blob(const struct row_col *col)
{
    return col->kind == ROW_HIST || col->kind == ROW_UNAVAIL;
}

/* Is it of what is left out? The digest is of all columns. */
static inline bool row_is_left_out(const struct row_col *col, unsigned without)
{
    return col->part & without || (without && col->kind == ROW_DIGEST);
}
/* 0, or empty, in an initialised *s; the digest is no field of it. */
void row_leave_out(const struct row_col *col, struct tw_summary *s);

/* The number in a column that is neither octets nor the digest. */
int64_t row_number(const struct row_col *col, const struct tw_summary *s);
/* False: it does not fit the field, so it was not written by us. */
bool row_set_number(const struct row_col *col, int64_t v, struct tw_summary *s);

/* Of a column of octets, to `buf` with room for ROW_SCRATCH less what the columns before it took. */
enum tw_rc row_encode(const struct row_col *col, const struct tw_summary *s, uint8_t *buf, size_t *ret_len);
/* Into an initialised *s. */
enum tw_rc row_decode(const struct row_col *col, const uint8_t *data, size_t len, struct tw_summary *s);

/* The digest is the sum of what each column that is not 0 or empty adds by its name, so that columns which
 * one of two programs does not know make no difference. `i`: of row_cols. Stored is digest_stored() of the
 * sum, or 0: there is none. */
uint64_t row_share_of_number(size_t i, int64_t v);
uint64_t row_share_of_octets(size_t i, const uint8_t *p, size_t len);

#endif
