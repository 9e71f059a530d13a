#include "db/sqlite/cells.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PREFIX "rollup_"

/* How a level is cut into tables, and how those are named. */
static const struct {
    const char *format; /* strftime */
    unsigned digits;
} parts[STORE_LEVELS] = {
    [STORE_1MIN] = { PREFIX "1min_%Y%m%d", 8 },
    [STORE_10MIN] = { PREFIX "10min_%Y%m", 6 },
    [STORE_1H] = { PREFIX "1h_%Y%m", 6 },
    [STORE_1D] = { PREFIX "1d_%Y", 4 },
};

static int64_t to_day(int year, int month, int day)
{
    struct tm tm = { .tm_year = year, .tm_mon = month, .tm_mday = day };

    return timegm(&tm) / 86400;
}

struct cells_part cells_part_of(enum store_level level, int64_t day)
{
    time_t t = (time_t)(day * 86400);
    struct cells_part p = { .level = level, .first_day = day, .end_day = day + 1 };
    struct tm tm;

    gmtime_r(&t, &tm);
    if (parts[level].digits == 6) {
        p.first_day = to_day(tm.tm_year, tm.tm_mon, 1);
        p.end_day = to_day(tm.tm_year, tm.tm_mon + 1, 1);
    } else if (parts[level].digits == 4) {
        p.first_day = to_day(tm.tm_year, 0, 1);
        p.end_day = to_day(tm.tm_year + 1, 0, 1);
    }
    return p;
}

const char *cells_name(const struct cells_part *p, char buf[CELLS_NAME])
{
    time_t t = (time_t)(p->first_day * 86400);
    struct tm tm;

    gmtime_r(&t, &tm);
    /* The formats are the table's. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    strftime(buf, CELLS_NAME, parts[p->level].format, &tm);
#pragma GCC diagnostic pop
    return buf;
}

static bool parse_name(const char *name, struct cells_part *ret)
{
    const char *digits = strrchr(name, '_');
    char level[8], again[CELLS_NAME];
    int year = 0, month = 1, day = 1;
    enum store_level l;

    if (!digits || strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        (size_t)(digits - name) - strlen(PREFIX) >= sizeof level)
        return false;
    snprintf(level, sizeof level, "%.*s", (int)(digits - name) - (int)strlen(PREFIX), name + strlen(PREFIX));
    if (store_level_parse(level, &l) || l == STORE_RAW ||
        sscanf(digits, "_%4d%2d%2d", &year, &month, &day) * 2 + 2 != (int)parts[l].digits)
        return false;
    *ret = cells_part_of(l, to_day(year - 1900, month - 1, day));
    return !strcmp(cells_name(ret, again), name);
}

static int by_level_and_day(const void *pa, const void *pb)
{
    const struct cells_part *a = pa, *b = pb;

    if (a->level != b->level)
        return a->level < b->level ? -1 : 1;
    return (a->first_day > b->first_day) - (a->first_day < b->first_day);
}

enum tw_rc cells_list(struct sq *q, struct cells_part **ret, size_t *ret_n, struct tw_err *err)
{
    struct cells_part *list = NULL, part;
    size_t n = 0;
    sqlite3_stmt *st;
    enum tw_rc rc = sq_prepare(
        q, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB '" PREFIX "*'", &st, err);

    if (rc)
        return rc;
    while (!rc && sqlite3_step(st) == SQLITE_ROW) {
        struct cells_part *more;
        if (!parse_name((const char *)sqlite3_column_text(st, 0), &part))
            continue;
        more = realloc(list, (n + 1) * sizeof *list);
        if (more) {
            list = more;
            list[n++] = part;
        } else {
            rc = sq_no_memory(q, err);
        }
    }
    if (sqlite3_finalize(st) != SQLITE_OK && !rc)
        rc = sq_fail(q, err);
    if (rc) {
        free(list);
        return rc;
    }
    if (n)
        qsort(list, n, sizeof *list, by_level_and_day);
    *ret = list;
    *ret_n = n;
    return TW_OK;
}

/* ---- Writing ---- */

#define OWN_COLUMNS "cell_ns, n_rows, n_whole, longest_ns"
#define N_OWN 4

static bool is_key(const struct row_col *c)
{
    return !strcmp(c->name, "pair_id") || !strcmp(c->name, "flow");
}

static enum tw_rc make_table(struct sq *q, const char *name, struct tw_err *err)
{
    sqlite3_str *sql = sqlite3_str_new(q->db);

    sqlite3_str_appendf(sql,
                        "CREATE TABLE %s (cell_ns INTEGER NOT NULL, n_rows INTEGER NOT NULL, "
                        "n_whole INTEGER NOT NULL, longest_ns INTEGER NOT NULL",
                        name);
    for (size_t i = 0; i < row_cols_n; i++) {
        sqlite3_str_appendf(sql, ", ");
        row_column_sql(sql, &row_cols[i]);
    }
    sqlite3_str_appendf(sql, ") STRICT; CREATE UNIQUE INDEX %s_by_pair ON %s (pair_id, cell_ns, flow)", name,
                        name);
    return day_finish(q, sql, NULL, err);
}

static void put_columns(sqlite3_str *sql)
{
    for (size_t i = 0; i < row_cols_n; i++)
        sqlite3_str_appendf(sql, ", %s", row_cols[i].name);
}

static enum tw_rc prepare_find(struct sq *q, const char *name, sqlite3_stmt **ret, struct tw_err *err)
{
    sqlite3_str *sql = sqlite3_str_new(q->db);

    sqlite3_str_appendf(sql, "SELECT rowid, " OWN_COLUMNS);
    put_columns(sql);
    sqlite3_str_appendf(sql, " FROM %s WHERE pair_id = ? AND cell_ns = ? AND flow = ?", name);
    return day_finish(q, sql, ret, err);
}

static enum tw_rc prepare_insert(struct sq *q, const char *name, sqlite3_stmt **ret, struct tw_err *err)
{
    sqlite3_str *sql = sqlite3_str_new(q->db);

    sqlite3_str_appendf(sql, "INSERT INTO %s (" OWN_COLUMNS, name);
    put_columns(sql);
    sqlite3_str_appendf(sql, ") VALUES (?");
    for (size_t i = 1; i < row_cols_n + N_OWN; i++)
        sqlite3_str_appendf(sql, ", ?");
    sqlite3_str_appendf(sql, ")");
    return day_finish(q, sql, ret, err);
}

/* What the index has stays as it is, or SQLite would write that again, too. */
static enum tw_rc prepare_update(struct sq *q, const char *name, sqlite3_stmt **ret, struct tw_err *err)
{
    sqlite3_str *sql = sqlite3_str_new(q->db);

    sqlite3_str_appendf(sql, "UPDATE %s SET n_rows = ?2, n_whole = ?3, longest_ns = ?4", name);
    for (size_t i = 0; i < row_cols_n; i++)
        if (!is_key(&row_cols[i]))
            sqlite3_str_appendf(sql, ", %s = ?%d", row_cols[i].name, (int)i + N_OWN + 1);
    sqlite3_str_appendf(sql, " WHERE rowid = ?%d", (int)row_cols_n + N_OWN + 1);
    return day_finish(q, sql, ret, err);
}

enum tw_rc cells_open(struct sq *q, struct cells_writer *w, const struct cells_part *p, bool *ret_made,
                      struct tw_err *err)
{
    char name[CELLS_NAME];
    bool have[ROW_MAX], any;
    enum tw_rc rc = day_columns(q, cells_name(p, name), have, &any, err);

    *ret_made = false;
    if (!rc) {
        *ret_made = !any;
        rc = any ? day_widen(q, name, have, err) : make_table(q, name, err);
    }
    *w = (struct cells_writer){ .part = *p, .open = true };
    if (!rc)
        rc = prepare_find(q, name, &w->find, err);
    if (!rc)
        rc = prepare_insert(q, name, &w->insert, err);
    if (!rc)
        rc = prepare_update(q, name, &w->update, err);
    if (rc)
        cells_close(w);
    return rc;
}

void cells_close(struct cells_writer *w)
{
    sqlite3_finalize(w->find);
    sqlite3_finalize(w->insert);
    sqlite3_finalize(w->update);
    *w = (struct cells_writer){ .open = false };
}

static void take_own(struct sq_cur *c, struct cell_row *ret)
{
    ret->cell_ns = sq_take_i64(c);
    ret->rows = (uint64_t)sq_take_i64(c);
    ret->whole = (uint64_t)sq_take_i64(c);
    ret->longest_ns = sq_take_i64(c);
}

enum tw_rc cells_find(struct sq *q, struct cells_writer *w, uint64_t pair_id, int64_t cell_ns, uint32_t flow,
                      struct cell_row *ret, uint64_t *ret_octets, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    ret->rowid = 0;
    *ret_octets = 0;
    sq_start_stmt(q, w->find, &c);
    sq_put_i64(&c, (int64_t)pair_id);
    sq_put_i64(&c, cell_ns);
    sq_put_i64(&c, flow);
    rc = sq_next(&c, err);
    if (rc)
        return rc == TW_ENOENT ? TW_OK : rc;
    ret->rowid = sq_take_i64(&c);
    c.octets = 0;
    take_own(&c, ret);
    rc = row_take(&c, &ret->merged, 0, err);
    *ret_octets = c.octets;
    sq_end(&c);
    return rc;
}

enum tw_rc cells_put(struct sq *q, struct cells_writer *w, const struct cell_row *row, uint8_t *scratch,
                     uint64_t *ret_octets, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(q, row->rowid ? w->update : w->insert, &c);
    sq_put_i64(&c, row->cell_ns);
    sq_put_i64(&c, (int64_t)row->rows);
    sq_put_i64(&c, (int64_t)row->whole);
    sq_put_i64(&c, row->longest_ns);
    rc = row_put(&c, &row->merged, false, scratch);
    if (rc)
        return tw_err_set(err, rc, "pair %llu: histogram cannot be encoded",
                          (unsigned long long)row->merged.pair_id);
    *ret_octets = c.octets;
    if (row->rowid)
        sq_put_i64(&c, row->rowid);
    return sq_run(&c, err);
}

/* ---- Reading ---- */

enum tw_rc cells_select(struct sq *q, struct day_cache *c, const struct cells_part *p, unsigned without,
                        sqlite3_stmt **ret, struct tw_err *err)
{
    const int64_t key = cells_key(p) * STORE_PARTS + without;
    char name[CELLS_NAME];
    bool have[ROW_MAX], any;
    sqlite3_str *sql;
    enum tw_rc rc;

    if ((*ret = day_cache_find(c, key)))
        return TW_OK;
    rc = day_columns(q, cells_name(p, name), have, &any, err);
    if (rc)
        return rc;
    if (!any)
        return tw_err_set(err, TW_ENOENT, "%s %s: no table %s", q->spec->what, q->path, name);
    sql = sqlite3_str_new(q->db);
    sqlite3_str_appendf(sql, "SELECT " OWN_COLUMNS ", ");
    day_put_columns(sql, have, without, "");
    sqlite3_str_appendf(
        sql, " FROM %s WHERE pair_id = ? AND cell_ns >= ? AND cell_ns < ? ORDER BY cell_ns, flow", name);
    rc = day_finish(q, sql, ret, err);
    if (!rc)
        day_cache_put(c, key, *ret);
    return rc;
}

enum tw_rc cells_longest(struct sq *q, struct day_cache *c, const struct cells_part *p, sqlite3_stmt **ret,
                         struct tw_err *err)
{
    char name[CELLS_NAME], text[160];
    enum tw_rc rc;

    if ((*ret = day_cache_find(c, cells_key(p))))
        return TW_OK;
    snprintf(text, sizeof text, "SELECT ifnull(max(longest_ns), 0) FROM %s WHERE pair_id = ? AND cell_ns = ?",
             cells_name(p, name));
    rc = sq_prepare(q, text, ret, err);
    if (!rc)
        day_cache_put(c, cells_key(p), *ret);
    return rc;
}

enum tw_rc cells_take(struct sq_cur *c, struct cell_row *ret, unsigned without, struct tw_err *err)
{
    ret->rowid = 0;
    take_own(c, ret);
    return row_take(c, &ret->merged, without, err);
}
