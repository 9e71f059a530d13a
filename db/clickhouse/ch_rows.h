/* db/clickhouse/ch_rows.h - cuts an answer in RowBinary into rows, however the octets come, and tells the
 * exception that a server writes into an answer it had begun from a row (up to 25.10 the answer is complete
 * then; later ones put it between tags, and break the answer off behind it). For that each row begins with a
 * column that is always 1: "SELECT toUInt8(1), ...". Memory: one row and one piece of the answer. Pure. */
#ifndef TW_DB_CH_ROWS_H
#define TW_DB_CH_ROWS_H

#include "db/clickhouse/ch_wire.h"

#define CH_ROW_MARK "toUInt8(1)"
#define CH_ROW_OCTETS_MAX (1 << 20) /* a longer row is damaged */

struct ch_rows {
    const enum ch_type *types; /* behind the mark */
    size_t n_types;
    /* One row without its mark, exactly; must take all of it. What it returns if not TW_OK ends all. */
    enum tw_rc (*fn)(void *ctx, struct wire_rd *row, struct tw_err *err);
    void *ctx;
    struct tw_err *err;
    uint64_t rows;
    struct ch_buf rest; /* not cut yet; starts zeroed */
};
/* A ch_data_fn of the ch_rows in ctx. TW_ECORRUPT, TW_ENOMEM, what an exception means, or what fn says. */
enum tw_rc ch_rows_feed(void *ctx, const uint8_t *data, size_t len);
/* The answer is at its end. TW_ETRUNC: within a row; or what an exception means. Frees. */
enum tw_rc ch_rows_end(struct ch_rows *r);
/* Instead of that, when the answer broke off with rc, or fn ended it: rc, unless the server had said why.
 * Frees. */
enum tw_rc ch_rows_fail(struct ch_rows *r, enum tw_rc rc);

#endif
