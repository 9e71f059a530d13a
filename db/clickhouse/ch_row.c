#include "db/clickhouse/ch_row.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "db/digest.h"

enum ch_type ch_row_type(const struct row_col *col)
{
    switch (col->kind) {
    case ROW_64:
    case ROW_DIGEST:
        break;
    case ROW_32:
        return CH_U32;
    case ROW_8:
    case ROW_BOOL:
        return CH_U8;
    case ROW_HIST:
    case ROW_UNAVAIL:
        return CH_STRING;
    }
    return CH_I64;
}

/* ---- Putting ---- */

static void put_number(struct ch_buf *b, enum ch_type t, int64_t v)
{
    if (t == CH_I64)
        ch_put_i64(b, v);
    else if (t == CH_U32)
        ch_put_u32(b, (uint32_t)v);
    else
        ch_put_u8(b, (uint8_t)v);
}

static enum tw_rc put_blob(struct ch_buf *b, size_t i, const struct tw_summary *s, uint8_t *scratch, uint64_t *sum)
{
    size_t len;
    enum tw_rc rc = row_encode(&row_cols[i], s, scratch, &len);

    if (rc)
        return rc;
    *sum += row_share_of_octets(i, scratch, len);
    ch_put_string(b, scratch, len);
    return TW_OK;
}

enum tw_rc ch_row_put(struct ch_buf *b, const struct tw_summary *s, bool digest)
{
    uint8_t scratch[HIST_MAX_BLOB > UNAVAIL_MAX_BLOB ? HIST_MAX_BLOB : UNAVAIL_MAX_BLOB];
    uint64_t sum = 0;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        const struct row_col *col = &row_cols[i];
        int64_t v;

        if (row_is_blob(col)) {
            rc = put_blob(b, i, s, scratch, &sum);
            continue;
        }
        v = col->kind != ROW_DIGEST ? row_number(col, s) : digest ? digest_stored(sum) : 0;
        sum += row_share_of_number(i, v);
        put_number(b, ch_row_type(col), v);
    }
    return rc ? rc : b->bad ? TW_ENOMEM : TW_OK;
}

/* ---- Taking ---- */

static int64_t get_number(struct wire_rd *r, enum ch_type t)
{
    return t == CH_I64 ? ch_get_i64(r) : t == CH_U32 ? ch_get_u32(r) : ch_get_u8(r);
}

static enum tw_rc take_blob(struct wire_rd *r, size_t i, struct tw_summary *s, uint64_t *sum, struct tw_err *err)
{
    size_t len;
    const uint8_t *data = ch_get_string(r, &len);

    if (r->bad)
        return tw_err_set(err, TW_ETRUNC, "it ends within %s", row_cols[i].name);
    *sum += row_share_of_octets(i, data, len);
    if (row_decode(&row_cols[i], data, len, s))
        return tw_err_set(err, TW_ECORRUPT, "%s is damaged", row_cols[i].name);
    return TW_OK;
}

static enum tw_rc take_number(struct wire_rd *r, size_t i, struct tw_summary *s, uint64_t *sum, struct tw_err *err)
{
    const struct row_col *col = &row_cols[i];
    int64_t v = get_number(r, ch_row_type(col));

    if (r->bad)
        return tw_err_set(err, TW_ETRUNC, "it ends within %s", col->name);
    if (col->kind == ROW_DIGEST) {
        if (v && v != digest_stored(*sum))
            return tw_err_set(err, TW_ECORRUPT, "something in it was altered (its digest is of another content)");
        return TW_OK;
    }
    *sum += row_share_of_number(i, v);
    if (!row_set_number(col, v, s))
        return tw_err_set(err, TW_ECORRUPT, "%s is out of range", col->name);
    return TW_OK;
}

enum tw_rc ch_row_take(struct wire_rd *r, struct tw_summary *s, struct tw_err *err)
{
    uint64_t sum = 0;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n && !rc; i++)
        rc = row_is_blob(&row_cols[i]) ? take_blob(r, i, s, &sum, err) : take_number(r, i, s, &sum, err);
    return rc ? rc : summary_validate(s, err);
}

/* ---- Texts ---- */

#define TEXT_MAX (ROW_MAX * 64)
static char names[TEXT_MAX], definitions[TEXT_MAX];

static void make_texts(void)
{
    size_t a = 0, b = 0;

    for (size_t i = 0; i < row_cols_n; i++) {
        const char *comma = i ? ", " : "";
        a += (size_t)snprintf(names + a, TEXT_MAX - a, "%s%s", comma, row_cols[i].name);
        b += (size_t)snprintf(definitions + b, TEXT_MAX - b, "%s%s %s", comma, row_cols[i].name,
                              ch_type_name(ch_row_type(&row_cols[i])));
    }
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

const char *ch_row_names(void)
{
    pthread_once(&once, make_texts);
    return names;
}

const char *ch_row_definitions(void)
{
    pthread_once(&once, make_texts);
    return definitions;
}
