#include "db/sqlite/row.h"

#include "db/digest.h"

void row_column_sql(sqlite3_str *sql, const struct row_col *col)
{
    sqlite3_str_appendf(sql, "%s %s", col->name,
                        row_is_blob(col) ? "BLOB" : "INTEGER NOT NULL DEFAULT 0");
}

/* ---- Putting ---- */

static enum tw_rc put_blob(struct sq_cur *c, size_t i, const struct tw_summary *s, uint8_t **scratch,
                           uint64_t *sum)
{
    size_t len;
    enum tw_rc rc = row_encode(&row_cols[i], s, *scratch, &len);

    if (rc)
        return rc;
    if (len)
        sq_put_blob(c, *scratch, len);
    else
        sq_put_null(c);
    *sum += row_share_of_octets(i, *scratch, len);
    *scratch += len;
    return TW_OK;
}

enum tw_rc row_put(struct sq_cur *c, const struct tw_summary *s, bool digest, uint8_t *scratch)
{
    uint64_t sum = 0;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        int64_t v;

        if (row_is_blob(&row_cols[i])) {
            rc = put_blob(c, i, s, &scratch, &sum);
            continue;
        }
        v = row_cols[i].kind != ROW_DIGEST ? row_number(&row_cols[i], s) : digest ? digest_stored(sum) : 0;
        sum += row_share_of_number(i, v);
        sq_put_i64(c, v);
    }
    return rc;
}

/* ---- Taking ---- */

/* sum: NULL where the digest is not looked at. */
static enum tw_rc take_blob(struct sq_cur *c, size_t i, struct tw_summary *s, uint64_t *sum,
                            struct tw_err *err)
{
    size_t len;
    const uint8_t *data = sq_take_blob(c, &len);

    if (sum)
        *sum += row_share_of_octets(i, data, len);
    return row_decode(&row_cols[i], data, len, s)
               ? tw_err_set(err, TW_ECORRUPT, "%s is damaged", row_cols[i].name)
               : TW_OK;
}

static enum tw_rc take_number(struct sq_cur *c, size_t i, struct tw_summary *s, uint64_t *sum,
                              struct tw_err *err)
{
    int64_t v = sq_take_i64(c);

    if (row_cols[i].kind == ROW_DIGEST)
        return !v || v == digest_stored(*sum)
                   ? TW_OK
                   : tw_err_set(err, TW_ECORRUPT,
                                "something in it was altered (its digest is of another content)");
    if (sum)
        *sum += row_share_of_number(i, v);
    return row_set_number(&row_cols[i], v, s)
               ? TW_OK
               : tw_err_set(err, TW_ECORRUPT, "%s is out of range", row_cols[i].name);
}

static enum tw_rc take_columns(struct sq_cur *c, struct tw_summary *s, unsigned without, struct tw_err *err)
{
    uint64_t all = 0, *sum = without ? NULL : &all;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        if (row_is_left_out(&row_cols[i], without))
            row_leave_out(&row_cols[i], s);
        else if (row_is_blob(&row_cols[i]))
            rc = take_blob(c, i, s, sum, err);
        else
            rc = take_number(c, i, s, sum, err);
    }
    return rc ? rc : summary_validate(s, err);
}

enum tw_rc row_take(struct sq_cur *c, struct tw_summary *s, unsigned without, struct tw_err *err)
{
    struct tw_err why = { 0 };

    if (take_columns(c, s, without, &why) == TW_OK)
        return TW_OK;
    return tw_err_set(
        err, TW_ECORRUPT, "%s %s: damaged row of pair %llu at %lld: %s: restore the file from a backup",
        c->q->spec->what, c->q->path, (unsigned long long)s->pair_id, (long long)s->start_ns, why.text);
}
