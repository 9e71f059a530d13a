#include "db/clickhouse/ch_rows.h"

#include <string.h>
#include "db/clickhouse/ch_error.h"

#define MARK 1
#define EXCEPTION_MAX 1000 /* octets of its text that we wait for */

static bool is_exception(const uint8_t *p, size_t len)
{
    return len && *p != MARK;
}

static enum tw_rc tell_exception(const struct ch_rows *r, const uint8_t *p, size_t len)
{
    char why[CH_WHY_MAX];
    int code;

    ch_error_parse((const char *)p, len, &code, why);
    if (!code)
        return tw_err_set(r->err, TW_ECORRUPT, "clickhouse: row %llu of the answer is none", (unsigned long long)r->rows + 1);
    return tw_err_set(r->err, ch_error_rc(code), "clickhouse: code %d after %llu rows: %s", code, (unsigned long long)r->rows, why);
}

/* How long the row at p is, with its mark; 0: it is not whole yet. */
static size_t row_length(const struct ch_rows *r, const uint8_t *p, size_t len)
{
    struct wire_rd w = { .p = p, .end = p + len };

    wire_take(&w, 1);
    for (size_t i = 0; i < r->n_types && !w.bad; i++)
        ch_skip(&w, r->types[i]);
    return w.bad ? 0 : (size_t)(w.p - p);
}

static enum tw_rc give_row(struct ch_rows *r, const uint8_t *p, size_t len)
{
    struct wire_rd w = { .p = p + 1, .end = p + len };
    enum tw_rc rc = r->fn(r->ctx, &w, r->err);

    if (rc)
        return rc;
    r->rows++;
    if (w.bad || w.p != w.end)
        return tw_err_set(r->err, TW_ECORRUPT, "clickhouse: row %llu of the answer has other columns", (unsigned long long)r->rows);
    return TW_OK;
}

/* *ret: octets of whole rows. */
static enum tw_rc cut(struct ch_rows *r, const uint8_t *p, size_t len, size_t *ret)
{
    size_t at = 0, n;
    enum tw_rc rc;

    *ret = 0;
    while (at < len && !is_exception(p + at, len - at) && (n = row_length(r, p + at, len - at))) {
        rc = give_row(r, p + at, n);
        if (rc)
            return rc;
        *ret = at += n;
    }
    if (is_exception(p + at, len - at) && len - at >= EXCEPTION_MAX)
        return tell_exception(r, p + at, len - at);
    if (len - at > CH_ROW_OCTETS_MAX)
        return tw_err_set(r->err, TW_ECORRUPT, "clickhouse: row %llu of the answer is longer than any", (unsigned long long)r->rows + 1);
    return TW_OK;
}

static void keep_from(struct ch_buf *b, size_t at)
{
    b->len -= at;
    memmove(b->p, b->p + at, b->len);
}

enum tw_rc ch_rows_feed(void *ctx, const uint8_t *data, size_t len)
{
    struct ch_rows *r = ctx;
    size_t done = 0;
    enum tw_rc rc;

    if (!r->rest.len) { /* mostly: without a copy of what is whole */
        rc = cut(r, data, len, &done);
        if (rc)
            return rc;
        ch_put_octets(&r->rest, data + done, len - done);
        return r->rest.bad ? tw_err_set(r->err, TW_ENOMEM, "clickhouse: out of memory") : TW_OK;
    }
    ch_put_octets(&r->rest, data, len);
    if (r->rest.bad)
        return tw_err_set(r->err, TW_ENOMEM, "clickhouse: out of memory");
    rc = cut(r, r->rest.p, r->rest.len, &done);
    if (!rc && done)
        keep_from(&r->rest, done);
    return rc;
}

enum tw_rc ch_rows_end(struct ch_rows *r)
{
    enum tw_rc rc = TW_OK;

    if (is_exception(r->rest.p, r->rest.len))
        rc = tell_exception(r, r->rest.p, r->rest.len);
    else if (r->rest.len)
        rc = tw_err_set(r->err, TW_ETRUNC, "clickhouse: the answer ends within row %llu", (unsigned long long)r->rows + 1);
    ch_buf_free(&r->rest);
    return rc;
}

enum tw_rc ch_rows_fail(struct ch_rows *r, enum tw_rc rc)
{
    int code = 0;
    char why[CH_WHY_MAX];

    if (is_exception(r->rest.p, r->rest.len))
        ch_error_parse((const char *)r->rest.p, r->rest.len, &code, why);
    if (code)
        rc = tell_exception(r, r->rest.p, r->rest.len);
    ch_buf_free(&r->rest);
    return rc;
}
