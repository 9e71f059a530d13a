/* From version 1 of the schema, which knew one writer: its numbers up to the highest of a cursor were done,
 * but for those in `burnt`; cells had all up to their number; `progress` said up to which the roll-up was
 * done, and up to which a round was under way. It is writer 0 now, and what it called rounds are rounds of
 * the same numbers. */
#include "db/clickhouse/ch_rows.h"
#include "db/clickhouse/ch_schema.h"
#include "db/clickhouse/ch_view.h"

struct upgrade {
    struct ch_http *http;
    const char *database;
    struct ch_sql q;
    struct ch_commits burnt, done, rolled, round;
};

static enum tw_rc get_number(struct upgrade *u, const char *what, const char *from, int64_t *ret,
                             struct tw_err *err)
{
    ch_sql_begin(&u->q, "SELECT " CH_ROW_MARK ", toInt64(%s) FROM %s.%s FORMAT RowBinary", what, u->database,
                 from);
    return ch_get_numbers(u->http, &u->q, ret, 1, err);
}

static enum tw_rc take_burnt(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    int64_t number = ch_get_i64(row);
    enum tw_rc rc = ch_commits_add(ctx, 0, number, number);

    return rc ? tw_err_set(err, rc, "clickhouse: a row of table burnt: %s", tw_rc_name(rc)) : TW_OK;
}

static enum tw_rc load_burnt(struct upgrade *u, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_I64 };
    struct ch_rows r = { .types = types, .n_types = 1, .fn = take_burnt, .ctx = &u->burnt, .err = err };
    enum tw_rc rc;

    ch_sql_begin(&u->q,
                 "SELECT " CH_ROW_MARK ", toInt64(txn) FROM %s.burnt WHERE writer = 0 FORMAT RowBinary",
                 u->database);
    rc = ch_sql_text(&u->q) ? ch_http_select(u->http, ch_sql_text(&u->q), ch_rows_feed, &r, err)
                            : tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
    if (!rc)
        return ch_rows_end(&r);
    return ch_rows_fail(&r, rc);
}

/* *to: first..last, without what is burnt. */
static enum tw_rc fill(struct upgrade *u, struct ch_commits *to, int64_t first, int64_t last,
                       struct tw_err *err)
{
    struct ch_commits all = { 0 };
    enum tw_rc rc = first <= last ? ch_commits_add(&all, 0, first, last) : TW_OK;

    if (!rc)
        rc = ch_commits_add_rest(to, &all, &u->burnt);
    ch_commits_free(&all);
    return rc ? tw_err_set(err, rc, "clickhouse: out of memory") : TW_OK;
}

/* As a commit says it of itself. */
static enum tw_rc put_done(struct upgrade *u, struct tw_err *err)
{
    static const uint8_t no_spool[CH_ID_LEN];
    struct ch_buf b = { 0 };
    enum tw_rc rc;

    for (size_t i = 0; i < u->done.n; i++) {
        ch_put_i64(&b, 0);
        ch_put_octets(&b, no_spool, sizeof no_spool);
        ch_put_i64(&b, u->done.v[i].first);
        ch_put_i64(&b, u->done.v[i].last);
        ch_put_i64(&b, u->done.v[i].last);
        ch_put_i64(&b, 0);
    }
    ch_sql_begin(
        &u->q,
        "INSERT INTO %s.cursor (agent_id, spool_id, first_seq, last_seq, txn, writer) FORMAT RowBinary",
        u->database);
    rc = b.bad || !ch_sql_text(&u->q) ? tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory")
                                      : ch_http_insert(u->http, ch_sql_text(&u->q), b.p, b.len, err);
    ch_buf_free(&b);
    return rc;
}

static enum tw_rc load(struct upgrade *u, int64_t *ret_rolled, int64_t *ret_round, struct tw_err *err)
{
    int64_t done = 0;
    enum tw_rc rc = load_burnt(u, err);

    if (!rc)
        rc =
            get_number(u, "max(txn)", "cursor WHERE writer = 0", &done, err); /* what is burnt is taken out */
    if (!rc)
        rc = get_number(u, "max(txn)", "progress WHERE name = 'done'", ret_rolled, err);
    if (!rc)
        rc = get_number(u, "max(txn)", "progress WHERE name = 'round'", ret_round, err);
    if (!rc)
        rc = fill(u, &u->done, 1, done, err);
    if (!rc)
        rc = fill(u, &u->rolled, 1, *ret_rolled, err);
    return rc ? rc : fill(u, &u->round, *ret_rolled + 1, *ret_round, err);
}

enum tw_rc ch_upgrade_state(struct ch_http *h, const char *database, struct tw_err *err)
{
    struct upgrade u = { .http = h, .database = database };
    int64_t rolled = 0, round = 0;
    enum tw_rc rc = load(&u, &rolled, &round, err);

    if (!rc && u.rolled.n)
        rc = ch_round_put(h, database, CH_ROUND_DONE, &u.rolled, rolled, rolled, err);
    if (!rc && u.round.n)
        rc = ch_round_put(h, database, CH_ROUND_UNDERWAY, &u.round, round, ch_round_ver(1, round), err);
    if (!rc)
        rc = put_done(&u, err);
    ch_sql_free(&u.q);
    ch_commits_free(&u.burnt);
    ch_commits_free(&u.done);
    ch_commits_free(&u.rolled);
    ch_commits_free(&u.round);
    return rc;
}
