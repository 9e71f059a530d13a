#include "db/sqlite/day.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t day_of(int64_t ns)
{
    return ns / DAY_NS - (ns % DAY_NS < 0);
}

const char *day_name(int64_t day, char buf[DAY_NAME])
{
    time_t t = (time_t)(day * 86400);
    struct tm tm;

    gmtime_r(&t, &tm);
    strftime(buf, DAY_NAME, "summary_%Y%m%d", &tm);
    return buf;
}

static int64_t day_parse(const char *name)
{
    const char *digits = strrchr(name, '_');
    struct tm tm = { 0 };

    if (!digits || sscanf(digits, "_%4d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3)
        return DAY_MIN - 1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return timegm(&tm) / 86400;
}

/* ---- Cache -------------------------------------------------------------------------------------- */

void day_cache_clear(struct day_cache *c)
{
    for (size_t i = 0; i < DAY_CACHE; i++)
        sqlite3_finalize(c->e[i].st);
    *c = (struct day_cache){ 0 };
}

void day_cache_drop(struct day_cache *c, int64_t day)
{
    for (size_t i = 0; i < DAY_CACHE; i++)
        if (c->e[i].st && c->e[i].day == day) {
            sqlite3_finalize(c->e[i].st);
            c->e[i].st = NULL;
        }
}

sqlite3_stmt *day_cache_find(struct day_cache *c, int64_t day)
{
    for (size_t i = 0; i < DAY_CACHE; i++)
        if (c->e[i].st && c->e[i].day == day) {
            c->e[i].used = ++c->clock;
            return c->e[i].st;
        }
    return NULL;
}

void day_cache_put(struct day_cache *c, int64_t day, sqlite3_stmt *st)
{
    size_t at = 0;

    for (size_t i = 0; i < DAY_CACHE; i++) {
        if (!c->e[i].st) {
            at = i;
            break;
        }
        if (c->e[i].used < c->e[at].used)
            at = i;
    }
    sqlite3_finalize(c->e[at].st);
    c->e[at].day = day;
    c->e[at].st = st;
    c->e[at].used = ++c->clock;
}

/* ---- Tables ------------------------------------------------------------------------------------- */

enum tw_rc day_finish(struct sq *q, sqlite3_str *sql, sqlite3_stmt **ret, struct tw_err *err)
{
    char *text = sqlite3_str_finish(sql);
    enum tw_rc rc;

    if (!text)
        return sq_no_memory(q, err);
    rc = ret ? sq_prepare(q, text, ret, err) : sq_exec(q, text, err);
    sqlite3_free(text);
    return rc;
}

static enum tw_rc create(struct sq *q, const char *name, struct tw_err *err)
{
    sqlite3_str *sql = sqlite3_str_new(q->db);

    sqlite3_str_appendf(sql, "CREATE TABLE %s (", name);
    for (size_t i = 0; i < row_cols_n; i++) {
        sqlite3_str_appendf(sql, "%s", i ? ", " : "");
        row_column_sql(sql, &row_cols[i]);
    }
    sqlite3_str_appendf(sql, ") STRICT; CREATE INDEX %s_by_pair ON %s (pair_id, start_ns, flow)", name, name);
    return day_finish(q, sql, NULL, err);
}

enum tw_rc day_columns(struct sq *q, const char *name, bool *have, bool *ret_any, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc = sq_prepare(q, "SELECT name FROM pragma_table_info(?)", &st, err);

    if (rc)
        return rc;
    memset(have, 0, row_cols_n * sizeof *have);
    *ret_any = false;
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *col = (const char *)sqlite3_column_text(st, 0);
        *ret_any = true;
        for (size_t i = 0; col && i < row_cols_n; i++)
            have[i] = have[i] || strcmp(col, row_cols[i].name) == 0;
    }
    return sqlite3_finalize(st) == SQLITE_OK ? TW_OK : sq_fail(q, err);
}

enum tw_rc day_widen(struct sq *q, const char *name, const bool *have, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        sqlite3_str *sql;
        if (have[i])
            continue;
        sql = sqlite3_str_new(q->db);
        sqlite3_str_appendf(sql, "ALTER TABLE %s ADD COLUMN ", name);
        row_column_sql(sql, &row_cols[i]);
        rc = day_finish(q, sql, NULL, err);
    }
    return rc;
}

static enum tw_rc prepare_insert(struct sq *q, const char *name, sqlite3_stmt **ret, struct tw_err *err)
{
    sqlite3_str *sql = sqlite3_str_new(q->db);

    sqlite3_str_appendf(sql, "INSERT INTO %s (", name);
    for (size_t i = 0; i < row_cols_n; i++)
        sqlite3_str_appendf(sql, "%s%s", i ? ", " : "", row_cols[i].name);
    sqlite3_str_appendf(sql, ") VALUES (");
    for (size_t i = 0; i < row_cols_n; i++)
        sqlite3_str_appendf(sql, "%s", i ? ", ?" : "?");
    sqlite3_str_appendf(sql, ")");
    return day_finish(q, sql, ret, err);
}

enum tw_rc day_insert(struct sq *q, struct day_cache *c, int64_t day, sqlite3_stmt **ret, struct tw_err *err)
{
    char name[DAY_NAME];
    bool have[ROW_MAX], any;
    enum tw_rc rc;

    if ((*ret = day_cache_find(c, day)))
        return TW_OK;
    rc = day_columns(q, day_name(day, name), have, &any, err);
    if (!rc)
        rc = any ? day_widen(q, name, have, err) : create(q, name, err);
    if (!rc)
        rc = prepare_insert(q, name, ret, err);
    if (!rc)
        day_cache_put(c, day, *ret);
    return rc;
}

enum tw_rc day_select(struct sq *q, struct day_cache *c, int64_t day, unsigned without, const char *tail,
                      sqlite3_stmt **ret, struct tw_err *err)
{
    return day_select_behind(q, c, day, without, "", tail, ret, err);
}

void day_put_columns(sqlite3_str *sql, const bool *have, unsigned without, const char *prefix)
{
    const char *comma = "";

    for (size_t i = 0; i < row_cols_n; i++) {
        if (row_is_left_out(&row_cols[i], without))
            continue;
        if (have[i])
            sqlite3_str_appendf(sql, "%s%s%s", comma, prefix, row_cols[i].name);
        else
            sqlite3_str_appendf(sql, "%s%s", comma, row_is_blob(&row_cols[i]) ? "NULL" : "0");
        comma = ", ";
    }
}

/* Of the writer, which leaves nothing out, it is the day. */
static int64_t key_of(int64_t day, unsigned without)
{
    return day + (int64_t)without * (DAY_MAX - DAY_MIN + 1);
}

enum tw_rc day_leave_out_foreign_digest(struct sq *q, const char *name, bool *have, struct tw_err *err)
{
    char text[96];
    int64_t n = 0, known = 0;
    enum tw_rc rc;

    snprintf(text, sizeof text, "SELECT count(*) FROM pragma_table_info('%s')", name);
    rc = sq_get_int(q, text, &n, err);
    for (size_t i = 0; i < row_cols_n; i++)
        known += have[i];
    for (size_t i = 0; i < row_cols_n && !rc; i++)
        if (row_cols[i].kind == ROW_DIGEST && n > known)
            have[i] = false;
    return rc;
}

enum tw_rc day_select_behind(struct sq *q, struct day_cache *c, int64_t day, unsigned without,
                             const char *join, const char *tail, sqlite3_stmt **ret, struct tw_err *err)
{
    char name[DAY_NAME];
    bool have[ROW_MAX], any;
    sqlite3_str *sql;
    enum tw_rc rc;

    if ((*ret = day_cache_find(c, key_of(day, without))))
        return TW_OK;
    rc = day_columns(q, day_name(day, name), have, &any, err);
    if (!rc && !any)
        return tw_err_set(err, TW_ENOENT, "%s %s: no table %s", q->spec->what, q->path, name);
    if (!rc)
        rc = day_leave_out_foreign_digest(q, name, have, err);
    if (rc)
        return rc;
    sql = sqlite3_str_new(q->db);
    sqlite3_str_appendf(sql, "SELECT ");
    day_put_columns(sql, have, without, "s.");
    sqlite3_str_appendf(sql, " FROM %s %s AS s %s", join, name, tail);
    rc = day_finish(q, sql, ret, err);
    if (!rc)
        day_cache_put(c, key_of(day, without), *ret);
    return rc;
}

enum tw_rc day_list(struct sq *q, int64_t first, int64_t last, int64_t **ret, size_t *ret_n,
                    struct tw_err *err)
{
    return day_list_of(q, DAY_GLOB, first, last, ret, ret_n, err);
}

enum tw_rc day_list_of(struct sq *q, const char *glob, int64_t first, int64_t last, int64_t **ret, size_t *ret_n,
                       struct tw_err *err)
{
    sqlite3_stmt *st;
    int64_t *list = NULL;
    size_t n = 0;
    enum tw_rc rc = sq_prepare(
        q, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB ? ORDER BY name", &st, err);

    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, glob, -1, SQLITE_STATIC);
    while (!rc && sqlite3_step(st) == SQLITE_ROW) {
        int64_t day = day_parse((const char *)sqlite3_column_text(st, 0));
        int64_t *more;
        if (day < first || day > last)
            continue;
        more = realloc(list, (n + 1) * sizeof *list);
        if (!more) {
            rc = sq_no_memory(q, err);
            break;
        }
        list = more;
        list[n++] = day;
    }
    if (sqlite3_finalize(st) != SQLITE_OK && !rc)
        rc = sq_fail(q, err);
    if (rc) {
        free(list);
        return rc;
    }
    *ret = list;
    *ret_n = n;
    return TW_OK;
}
