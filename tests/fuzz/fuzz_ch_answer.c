/* What a server says to a SELECT of summaries, in pieces: rows, an exception among them, or anything. */
#include <string.h>

#include "db/clickhouse/ch_error.h"
#include "db/clickhouse/ch_row.h"
#include "db/clickhouse/ch_rows.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t rows;
    bool bad;
};

/* A row that is taken is written the same again. */
static enum tw_rc take(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct seen *seen = ctx;
    const uint8_t *from = row->p;
    struct ch_buf again = { 0 };
    struct tw_summary s;
    enum tw_rc rc;

    summary_init(&s);
    rc = ch_row_take(row, &s, err);
    CHECK(rc == TW_OK || rc == TW_ECORRUPT);
    if (!rc) {
        bool digest = false;
        for (size_t i = 1; i <= 8; i++)
            digest |= row->p[-(ptrdiff_t)i] != 0;
        CHECK(ch_row_put(&again, &s, digest) == TW_OK);
        CHECK(again.len <= CH_ROW_OCTETS_MAX);
        if (again.len == (size_t)(row->p - from))
            CHECK(!memcmp(again.p, from, again.len));
        seen->rows++;
    }
    seen->bad |= rc != TW_OK;
    ch_buf_free(&again);
    summary_free(&s);
    return rc;
}

static void check_error(const uint8_t *data, size_t size)
{
    char why[CH_WHY_MAX];
    int code;

    ch_error_parse((const char *)data, size, &code, why);
    CHECK(code >= 0 && strlen(why) < CH_WHY_MAX);
    for (const char *p = why; *p; p++)
        CHECK(*p >= ' ' && *p <= '~');
    CHECK(ch_error_rc(code) != TW_OK);
}

/* The first octet says in what pieces the rest comes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum ch_type types[ROW_MAX];
    struct seen seen = { 0 };
    struct tw_err err = { 0 };
    struct ch_rows r = { .types = types, .n_types = row_cols_n, .fn = take, .ctx = &seen, .err = &err };
    size_t piece = size ? 1 + data[0] * (size_t)16 : 1;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n; i++)
        types[i] = ch_row_type(&row_cols[i]);
    for (size_t at = 1; at < size && !rc; at += piece)
        rc = ch_rows_feed(&r, data + at, size - at < piece ? size - at : piece);
    rc = rc ? ch_rows_fail(&r, rc) : ch_rows_end(&r);
    CHECK(!rc || err.text[0]);
    CHECK(!seen.bad || rc);
    CHECK(seen.rows == r.rows || seen.rows + 1 == r.rows || rc);
    check_error(data, size);
    return 0;
}
