#include "db/etcd/mirror_sql.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/etcd/mirror_key.h"

static enum tw_rc no_memory(struct mirror_rows *r, struct tw_err *err)
{
    return sq_no_memory(r->q, err);
}

/* ---- Functions of SQL ---- */

static void sql_key(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    char key[MIRROR_KEY_MAX];
    size_t len = 0;

    for (int i = 0; i < n && len != SIZE_MAX; i++) {
        const char *part = (const char *)sqlite3_value_text(v[i]);
        len = mirror_key_add(key, sizeof key, len, i == 0, part ? part : "");
    }
    if (len == SIZE_MAX)
        sqlite3_result_error_toobig(ctx);
    else
        sqlite3_result_text(ctx, key, (int)len, SQLITE_TRANSIENT);
}

static int digit(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *at = c ? strchr(digits, c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* What hex() made; NULL stays NULL, and what is no such text becomes a text, which no column of octets takes.
 */
static void sql_unhex(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    const char *text = (const char *)sqlite3_value_text(v[0]);
    int len = sqlite3_value_bytes(v[0]) / 2;
    unsigned char *to;

    (void)n;
    if (!text)
        return;
    to = sqlite3_malloc(len + 1);
    if (!to) {
        sqlite3_result_error_nomem(ctx);
        return;
    }
    for (int i = 0; i < len; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            sqlite3_free(to);
            sqlite3_result_text(ctx, "no octets", -1, SQLITE_STATIC);
            return;
        }
        to[i] = (unsigned char)(high << 4 | low);
    }
    sqlite3_result_blob(ctx, to, len, sqlite3_free);
}

static enum tw_rc make_functions(struct mirror_rows *r, struct tw_err *err)
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC;

    if (sqlite3_create_function(r->q->db, "mirror_key", -1, flags, NULL, sql_key, NULL, NULL) ||
        sqlite3_create_function(r->q->db, "mirror_unhex", 1, flags, NULL, sql_unhex, NULL, NULL))
        return sq_fail(r->q, err);
    return TW_OK;
}

/* ---- Columns ---- */

static bool is_key(const struct mirror_table *t, const char *name)
{
    for (size_t i = 0; !t->of && i < MIRROR_KEY_COLUMNS && t->key[i]; i++)
        if (!strcmp(t->key[i], name))
            return true;
    return false;
}

/* "name, type, notnull, default" of a table, in order. */
static enum tw_rc take_columns(struct mirror_rows *r, struct mirror_sql *to, sqlite3_stmt *st,
                               struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(r->q, st, &c);
    sq_put_text(&c, to->t->name);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct mirror_column *col = &to->column[to->n];
        const char *fallback;
        if (to->n == MIRROR_COLUMNS_MAX) {
            sq_end(&c);
            return tw_err_set(err, TW_ERANGE, "table %s has more than %d columns", to->t->name,
                              MIRROR_COLUMNS_MAX);
        }
        to->n++;
        sq_take_name(&c, col->name, sizeof col->name);
        col->blob = !strcmp(sq_take_text(&c), "BLOB");
        fallback = sq_take_i64(&c) ? sq_take_text(&c) : "";
        if (*fallback && !(col->fallback = strdup(fallback))) {
            sq_end(&c);
            return no_memory(r, err);
        }
        col->key = is_key(to->t, col->name);
        col->local = to->t->local && !strcmp(to->t->local, col->name);
    }
    if (rc == TW_ENOENT && !to->n)
        return tw_err_set(err, TW_ECORRUPT, "there is no table %s", to->t->name);
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc read_columns(struct mirror_rows *r, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc = sq_prepare(
        r->q, "SELECT name, type, \"notnull\", dflt_value FROM pragma_table_info(?) ORDER BY cid", &st, err);

    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < mirror_tables_n; i++) {
        struct mirror_sql *t = &r->tables[i];
        t->t = &mirror_tables[i];
        while (t->n_key < MIRROR_KEY_COLUMNS && t->t->key[t->n_key])
            t->n_key++;
        rc = take_columns(r, t, st, err);
    }
    sqlite3_finalize(st);
    return rc;
}

/* ---- Statements ---- */

static void add(struct etcd_text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add(struct etcd_text *t, const char *fmt, ...)
{
    char *text = NULL;
    va_list ap;
    int len;

    va_start(ap, fmt);
    len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0) {
        t->bad = true;
        return;
    }
    etcd_text_add(t, text, (size_t)len);
    free(text);
}

static bool is_value(const struct mirror_sql *t, const struct mirror_column *c)
{
    return !c->local && !(t->t->bundle && c->key);
}

/* "name, name", of the values, or of all that is written. */
static void add_names(struct etcd_text *s, const struct mirror_sql *t, bool keys_too)
{
    const char *comma = "";

    for (size_t i = 0; i < t->n; i++)
        if (is_value(t, &t->column[i]) || (keys_too && t->column[i].key)) {
            add(s, "%s%s", comma, t->column[i].name);
            comma = ", ";
        }
}

static void add_where(struct etcd_text *s, const struct mirror_sql *t, size_t first_parameter)
{
    if (t->t->of)
        add(s, " WHERE %s IN (SELECT id FROM %s", t->t->of_id, t->t->of);
    for (size_t i = 0; i < t->n_key; i++)
        add(s, "%s %s = ?%zu", i ? " AND" : " WHERE", t->t->key[i], first_parameter + i);
    if (t->t->of)
        add(s, ")");
}

/* The value, and how many rows are in it. */
static void add_read(struct etcd_text *s, const struct mirror_sql *t)
{
    const char *comma = "";

    if (t->t->bundle) {
        add(s, "SELECT json_object('columns', json_array(");
        for (size_t i = 0; i < t->n; i++)
            if (is_value(t, &t->column[i])) {
                add(s, "%s'%s'", comma, t->column[i].name);
                comma = ", ";
            }
        add(s, "), 'rows', json_group_array(json_array(");
    } else {
        add(s, "SELECT json_object(");
    }
    comma = "";
    for (size_t i = 0; i < t->n; i++) {
        const char *name = t->column[i].name;
        if (!is_value(t, &t->column[i]))
            continue;
        add(s, "%s", comma);
        if (!t->t->bundle)
            add(s, "'%s', ", name);
        add(s, t->column[i].blob ? "CASE WHEN %s IS NOT NULL THEN hex(%s) END" : "%s", name, name);
        comma = ", ";
    }
    add(s, t->t->bundle ? "))), count(*) FROM (SELECT * FROM %s" : "), 1 FROM %s", t->t->name);
    add_where(s, t, 1);
    if (t->t->bundle) {
        add(s, " ORDER BY ");
        add_names(s, t, false);
        add(s, ")");
    }
}

/* Where the column is in r.value. */
static void add_place(struct etcd_text *s, const struct mirror_column *c, const size_t *at)
{
    if (at)
        add(s, "'$[%zu]'", *at);
    else
        add(s, "(SELECT '$[' || key || ']' FROM json_each(?1, '$.columns') WHERE value = '%s')", c->name);
}

/* A column that whoever wrote it did not know has its default. at: its place, if that is known. */
static void add_taken(struct etcd_text *s, const struct mirror_sql *t, const struct mirror_column *c,
                      const size_t *at)
{
    if (c->fallback)
        add(s, "ifnull(");
    if (c->blob)
        add(s, "mirror_unhex(");
    if (t->t->bundle) {
        add(s, "json_extract(r.value, ");
        add_place(s, c, at);
        add(s, ")");
    } else {
        add(s, "json_extract(?1, '$.%s')", c->name);
    }
    if (c->blob)
        add(s, ")");
    if (c->fallback)
        add(s, ", %s)", c->fallback);
}

/* ?1: the value; then the key's parts. */
static void add_put(struct etcd_text *s, const struct mirror_sql *t, bool known)
{
    const char *comma = "";
    size_t part = 2, at = 0;

    add(s, "INSERT INTO %s (", t->t->name);
    for (size_t i = 0; t->t->bundle && !t->t->of && i < t->n_key; i++)
        add(s, "%s, ", t->t->key[i]);
    add_names(s, t, false);
    add(s, ") SELECT ");
    for (size_t i = 0; t->t->bundle && !t->t->of && i < t->n_key; i++)
        add(s, "?%zu, ", part++);
    for (size_t i = 0; i < t->n; i++)
        if (is_value(t, &t->column[i])) {
            add(s, "%s", comma);
            add_taken(s, t, &t->column[i], known ? &at : NULL);
            at++;
            comma = ", ";
        }
    if (t->t->bundle)
        add(s, " FROM json_each(?1, '$.rows') AS r");
}

static void add_put_any(struct etcd_text *s, const struct mirror_sql *t)
{
    add_put(s, t, false);
}

static void add_put_known(struct etcd_text *s, const struct mirror_sql *t)
{
    add_put(s, t, t->t->bundle);
}

/* As add_read() begins it. */
static void make_known(struct mirror_sql *t)
{
    const char *comma = "";

    add(&t->known, "{\"columns\":[");
    for (size_t i = 0; i < t->n; i++)
        if (is_value(t, &t->column[i])) {
            add(&t->known, "%s\"%s\"", comma, t->column[i].name);
            comma = ",";
        }
    add(&t->known, "],");
}

static void add_remove(struct etcd_text *s, const struct mirror_sql *t)
{
    add(s, "DELETE FROM %s", t->t->name);
    add_where(s, t, 1);
}

/* A place where a row's key is noted: `row` is new or old. */
static void add_note(struct etcd_text *s, size_t at, const char *row, const char *id)
{
    const struct mirror_table *t = &mirror_tables[at];

    add(s, " INSERT OR IGNORE INTO mirror_noted (tbl, key) SELECT %zu, mirror_key(", at);
    for (size_t i = 0; i < MIRROR_KEY_COLUMNS && t->key[i]; i++)
        add(s, "%s%s%s%s", i ? ", " : "", id ? "" : row, id ? "" : ".", t->key[i]);
    add(s, ")");
    if (id)
        add(s, " FROM %s WHERE id = %s.%s", t->of, row, id);
    add(s, ";");
}

static void add_trigger(struct etcd_text *s, size_t at, const char *event, bool is_old, bool is_new)
{
    const struct mirror_table *t = &mirror_tables[at];

    add(s, "CREATE TEMP TRIGGER mirror_%s_%s AFTER %s ON main.%s BEGIN", event, t->name, event, t->name);
    if (is_old)
        add_note(s, at, "old", t->of_id);
    if (is_new)
        add_note(s, at, "new", t->of_id);
    /* Rows of other tables that are found by this one's names get other keys. */
    for (size_t i = 0; is_old && is_new && i < mirror_tables_n; i++)
        if (mirror_tables[i].of && !strcmp(mirror_tables[i].of, t->name)) {
            add_note(s, i, "old", NULL);
            add_note(s, i, "new", NULL);
        }
    add(s, " END;");
}

static enum tw_rc exec_text(struct mirror_rows *r, struct etcd_text *s, struct tw_err *err)
{
    enum tw_rc rc = s->bad ? no_memory(r, err) : sq_exec(r->q, s->p, err);

    etcd_text_free(s);
    return rc;
}

/* recursive_triggers: what a REPLACE takes away counts as deleted. */
static enum tw_rc make_triggers(struct mirror_rows *r, struct tw_err *err)
{
    struct etcd_text s = { .p = NULL };

    add(&s, "PRAGMA recursive_triggers = ON; PRAGMA synchronous = NORMAL;"
            "CREATE TEMP TABLE mirror_noted (tbl INTEGER, key TEXT, PRIMARY KEY (tbl, key)) WITHOUT ROWID;"
            "CREATE TEMP TABLE mirror_known (tbl INTEGER, key TEXT, digest INTEGER, PRIMARY KEY (tbl, key)) "
            "WITHOUT ROWID;");
    for (size_t i = 0; i < mirror_tables_n; i++) {
        add_trigger(&s, i, "INSERT", false, true);
        add_trigger(&s, i, "UPDATE", true, true);
        add_trigger(&s, i, "DELETE", true, false);
    }
    return exec_text(r, &s, err);
}

static enum tw_rc prepare_text(struct mirror_rows *r, struct etcd_text *s, sqlite3_stmt **ret,
                               struct tw_err *err)
{
    enum tw_rc rc = s->bad ? no_memory(r, err) : sq_prepare(r->q, s->p, ret, err);

    etcd_text_free(s);
    return rc;
}

static enum tw_rc make_statements(struct mirror_rows *r, struct tw_err *err)
{
    static void (*const makers[])(struct etcd_text * s, const struct mirror_sql *t) = { add_read, add_remove,
                                                                                        add_put_any,
                                                                                        add_put_known };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < mirror_tables_n; i++) {
        sqlite3_stmt **to[] = { &r->tables[i].read, &r->tables[i].remove, &r->tables[i].put,
                                &r->tables[i].put_known };
        for (size_t k = 0; !rc && k < TW_NELEM(makers); k++) {
            struct etcd_text s = { .p = NULL };
            makers[k](&s, &r->tables[i]);
            rc = prepare_text(r, &s, to[k], err);
        }
        make_known(&r->tables[i]);
        if (r->tables[i].known.bad)
            rc = no_memory(r, err);
    }
    if (!rc)
        rc = sq_prepare(r->q, "SELECT tbl, key FROM mirror_noted ORDER BY tbl, key", &r->noted, err);
    if (!rc)
        rc = sq_prepare(r->q, "SELECT digest FROM mirror_known WHERE tbl = ? AND key = ?", &r->known, err);
    if (!rc)
        rc = sq_prepare(r->q, "INSERT OR REPLACE INTO mirror_known (tbl, key, digest) VALUES (?, ?, ?)",
                        &r->know, err);
    if (!rc)
        rc = sq_prepare(r->q, "DELETE FROM mirror_known WHERE tbl = ? AND key = ?", &r->forget, err);
    return rc;
}

enum tw_rc mirror_rows_new(struct sq *q, struct mirror_rows **ret, struct tw_err *err)
{
    struct mirror_rows *r = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r || !(r->tables = calloc(mirror_tables_n, sizeof *r->tables))) {
        free(r);
        return sq_no_memory(q, err);
    }
    r->q = q;
    rc = make_functions(r, err);
    if (!rc)
        rc = read_columns(r, err);
    if (!rc)
        rc = make_triggers(r, err);
    if (!rc)
        rc = make_statements(r, err);
    if (rc) {
        mirror_rows_free(r);
        return rc;
    }
    *ret = r;
    return TW_OK;
}

void mirror_rows_free(struct mirror_rows *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < mirror_tables_n; i++) {
        struct mirror_sql *t = &r->tables[i];
        sqlite3_finalize(t->read);
        sqlite3_finalize(t->remove);
        sqlite3_finalize(t->put);
        sqlite3_finalize(t->put_known);
        etcd_text_free(&t->known);
        for (size_t k = 0; k < t->n; k++)
            free(t->column[k].fallback);
    }
    sqlite3_finalize(r->noted);
    sqlite3_finalize(r->known);
    sqlite3_finalize(r->know);
    sqlite3_finalize(r->forget);
    free(r->tables);
    free(r);
}
