#include "db/clickhouse/ch_view.h"

#include "db/clickhouse/ch_rows.h"
#include "db/clickhouse/ch_schema.h"

#define COMMITS 9 /* column `state` of a row of table `cursor` */

struct loading {
    struct ch_view *v;
    int64_t ver;
};

static enum tw_rc take_underway(struct loading *l, const struct ch_stretch *s, int64_t number, int64_t ver)
{
    if (ver < l->ver)
        return TW_OK;
    if (ver > l->ver)
        ch_commits_clear(&l->v->round);
    l->ver = ver;
    l->v->round_no = number;
    return ch_commits_add(&l->v->round, s->writer, s->first, s->last);
}

static enum tw_rc take_row(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct loading *l = ctx;
    struct ch_view *v = l->v;
    uint8_t state = ch_get_u8(row);
    struct ch_stretch s = { .writer = ch_get_i64(row) };
    int64_t number, ver;
    enum tw_rc rc = TW_OK;

    s.first = ch_get_i64(row);
    s.last = ch_get_i64(row);
    number = ch_get_i64(row);
    ver = ch_get_i64(row);
    v->last_no = number > v->last_no ? number : v->last_no;
    if (state != CH_ROUND_DONE)
        v->term = ver >> 32 > v->term ? ver >> 32 : v->term;
    if (state == COMMITS) {
        rc = ch_commits_add(&v->done, s.writer, s.first, s.last);
    } else if (state == CH_ROUND_DONE) {
        v->rolled_no = number > v->rolled_no ? number : v->rolled_no;
        rc = ch_commits_add(&v->rolled, s.writer, s.first, s.last);
    } else if (state == CH_ROUND_UNDERWAY) {
        rc = take_underway(l, &s, number, ver);
    }
    return rc ? tw_err_set(err, rc, "clickhouse: commits %lld to %lld of a table: %s", (long long)s.first,
                           (long long)s.last, tw_rc_name(rc))
              : TW_OK;
}

static enum tw_rc select_rows(struct ch_http *h, const char *database, struct loading *l, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_U8, CH_I64, CH_I64, CH_I64, CH_I64, CH_I64 };
    struct ch_rows r = { .types = types, .n_types = TW_NELEM(types), .fn = take_row, .ctx = l, .err = err };
    struct ch_sql q = { { 0 } };
    enum tw_rc rc;

    ch_sql_begin(
        &q,
        "SELECT " CH_ROW_MARK
        ", state, writer, a, b, number, v FROM (SELECT toUInt8(%d) AS state, writer, first_seq AS a, "
        "last_seq AS b, toInt64(0) AS number, toInt64(0) AS v FROM %s.cursor WHERE agent_id = 0",
        COMMITS, database);
    ch_sql_add(
        &q,
        " UNION ALL SELECT state, writer, first AS a, last AS b, number, toInt64(ver) AS v FROM %s.round)"
        " FORMAT RowBinary",
        database);
    rc = ch_sql_text(&q) ? ch_http_select(h, ch_sql_text(&q), ch_rows_feed, &r, err)
                         : tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
    ch_sql_free(&q);
    if (!rc)
        return ch_rows_end(&r);
    return ch_rows_fail(&r, rc);
}

enum tw_rc ch_view_load(struct ch_http *h, const char *database, unsigned tables, struct ch_view *ret,
                        struct tw_err *err)
{
    struct loading l = { .v = ret };
    enum tw_rc rc;

    ch_commits_clear(&ret->done);
    ch_commits_clear(&ret->rolled);
    ch_commits_clear(&ret->fresh);
    ch_commits_clear(&ret->round);
    ret->round_no = ret->rolled_no = ret->last_no = ret->term = 0;
    rc = ch_http_sync(h, ch_http_bit(CH_CURSOR) | ch_http_bit(CH_ROUND), err);
    if (!rc)
        rc = select_rows(h, database, &l, err);
    if (!rc)
        rc = ch_http_sync(h, tables, err);
    if (rc)
        return rc;
    if (ret->round_no <= ret->rolled_no) {
        ch_commits_clear(&ret->round);
        ret->round_no = 0;
    }
    rc = ch_commits_add_rest(&ret->fresh, &ret->done, &ret->rolled);
    return rc ? tw_err_set(err, rc, "clickhouse: out of memory") : TW_OK;
}

void ch_view_free(struct ch_view *v)
{
    ch_commits_free(&v->done);
    ch_commits_free(&v->rolled);
    ch_commits_free(&v->fresh);
    ch_commits_free(&v->round);
    *v = (struct ch_view){ .round_no = 0 };
}

static void put_row(struct ch_buf *b, enum ch_round_state state, const struct ch_stretch *s, int64_t nr,
                    int64_t number, int64_t ver)
{
    ch_put_u8(b, (uint8_t)state);
    ch_put_i64(b, s->writer);
    ch_put_i64(b, nr);
    ch_put_i64(b, s->first);
    ch_put_i64(b, s->last);
    ch_put_i64(b, number);
    ch_put_i64(b, ver);
}

enum tw_rc ch_round_put(struct ch_http *h, const char *database, enum ch_round_state state,
                        const struct ch_commits *c, int64_t number, int64_t ver, struct tw_err *err)
{
    struct ch_buf b = { 0 };
    struct ch_sql q = { { 0 } };
    enum tw_rc rc;

    for (size_t i = 0; c && i < c->n; i++)
        put_row(&b, state, &c->v[i], state == CH_ROUND_DONE ? c->v[i].first : (int64_t)i, number, ver);
    if (!c)
        put_row(&b, state, &(struct ch_stretch){ 0, 0, 0 }, 0, number, ver);
    ch_sql_begin(&q, "INSERT INTO %s.round (state, writer, nr, first, last, number, ver) FORMAT RowBinary",
                 database);
    rc = ch_sql_text(&q) && !b.bad ? ch_http_insert(h, ch_sql_text(&q), b.p, b.len, err)
                                   : tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
    ch_sql_free(&q);
    ch_buf_free(&b);
    return rc;
}
