/* A database, and what is to be seen of it. */
#include "db/clickhouse/ch_priv.h"

#define KNOCK_NS (3 * TW_NS_PER_S)
#define INSERT_STALL_NS (10 * TW_NS_PER_S)
#define STALL_NS (30 * TW_NS_PER_S) /* a statement may sort much before its first octet comes */

enum tw_rc ch_no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
}

enum tw_rc ch_db_open(struct ch_db *db, const char *location, struct tw_err *err)
{
    enum tw_rc rc = ch_location_parse(location, &db->where, err);

    if (rc)
        return rc;
    db->name = db->where.database;
    db->where.http.knock_ns = KNOCK_NS;
    db->where.http.stall_ns = STALL_NS;
    db->where.http.insert_stall_ns = INSERT_STALL_NS;
    return ch_http_new(&db->where.http, &db->http, err);
}

void ch_db_close(struct ch_db *db)
{
    ch_http_free(db->http);
    ch_sql_free(&db->sql);
    ch_sync_free(&db->sync);
}

enum tw_rc ch_db_select(struct ch_db *db, const enum ch_type *types, size_t n_types,
                        enum tw_rc (*fn)(void *ctx, struct wire_rd *row, struct tw_err *err), void *ctx,
                        struct tw_err *err)
{
    struct ch_rows r = { .types = types, .n_types = n_types, .fn = fn, .ctx = ctx, .err = err };
    const char *text;
    enum tw_rc rc;

    ch_sql_add(&db->sql, " FORMAT RowBinary");
    text = ch_sql_text(&db->sql);
    rc = text ? ch_http_select(db->http, text, ch_rows_feed, &r, err) : ch_no_memory(err);
    if (!rc)
        return ch_rows_end(&r);
    return ch_rows_fail(&r, rc);
}

void ch_db_begin_no_copy(struct ch_db *db, const struct ch_commits *rolled)
{
    ch_sql_add(
        &db->sql,
        " AND (agent_id, spool_id, seq) NOT IN (SELECT agent_id, spool_id, seq FROM %s.summary WHERE 1",
        db->name);
    ch_commits_where(&db->sql, rolled);
}

size_t ch_row_types(enum ch_type *types, size_t n_own)
{
    for (size_t i = 0; i < row_cols_n; i++)
        types[n_own + i] = ch_row_type(&row_cols[i]);
    return n_own + row_cols_n;
}
