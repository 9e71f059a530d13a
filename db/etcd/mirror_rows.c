#include "db/etcd/mirror_rows.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/digest.h"
#include "db/etcd/etcd_ask.h"
#include "db/etcd/mirror_key.h"
#include "db/etcd/mirror_tables.h"

#define KEY_MAX 1024
#define COLUMNS_MAX 32
#define BEGIN_VALUE 7 /* of digests */

struct column {
    char name[64];
    bool blob, key, local;
    char *fallback; /* SQL of its default, where it may not be NULL; NULL: none */
};

struct table {
    const struct mirror_table *t;
    struct column column[COLUMNS_MAX];
    size_t n, n_key;
    sqlite3_stmt *read, *remove, *put;
};

struct mirror_rows {
    struct sq *q;
    struct table *tables;
    sqlite3_stmt *noted, *known, *know, *forget;
};

static enum tw_rc no_memory(struct mirror_rows *r, struct tw_err *err)
{
    return sq_no_memory(r->q, err);
}

/* ---- Functions of SQL ---- */

static void sql_key(sqlite3_context *ctx, int n, sqlite3_value **v)
{
    char key[KEY_MAX];
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
static enum tw_rc take_columns(struct mirror_rows *r, struct table *to, sqlite3_stmt *st, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(r->q, st, &c);
    sq_put_text(&c, to->t->name);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct column *col = &to->column[to->n];
        const char *fallback;
        if (to->n == COLUMNS_MAX) {
            sq_end(&c);
            return tw_err_set(err, TW_ERANGE, "table %s has more than %d columns", to->t->name, COLUMNS_MAX);
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
        struct table *t = &r->tables[i];
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

static bool is_value(const struct table *t, const struct column *c)
{
    return !c->local && !(t->t->bundle && c->key);
}

/* "name, name", of the values, or of all that is written. */
static void add_names(struct etcd_text *s, const struct table *t, bool keys_too)
{
    const char *comma = "";

    for (size_t i = 0; i < t->n; i++)
        if (is_value(t, &t->column[i]) || (keys_too && t->column[i].key)) {
            add(s, "%s%s", comma, t->column[i].name);
            comma = ", ";
        }
}

static void add_where(struct etcd_text *s, const struct table *t, size_t first_parameter)
{
    if (t->t->of)
        add(s, " WHERE %s IN (SELECT id FROM %s", t->t->of_id, t->t->of);
    for (size_t i = 0; i < t->n_key; i++)
        add(s, "%s %s = ?%zu", i ? " AND" : " WHERE", t->t->key[i], first_parameter + i);
    if (t->t->of)
        add(s, ")");
}

/* The value, and how many rows are in it. */
static void add_read(struct etcd_text *s, const struct table *t)
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

/* A column that whoever wrote it did not know has its default. */
static void add_taken(struct etcd_text *s, const struct table *t, const struct column *c)
{
    const char *begin = c->blob ? "mirror_unhex(" : "", *end = c->blob ? ")" : "";

    if (c->fallback)
        add(s, "ifnull(");
    if (t->t->bundle)
        add(s,
            "%sjson_extract(r.value, (SELECT '$[' || key || ']' FROM json_each(?1, '$.columns') WHERE value "
            "= '%s'))%s",
            begin, c->name, end);
    else
        add(s, "%sjson_extract(?1, '$.%s')%s", begin, c->name, end);
    if (c->fallback)
        add(s, ", %s)", c->fallback);
}

/* ?1: the value; then the key's parts. */
static void add_put(struct etcd_text *s, const struct table *t)
{
    const char *comma = "";
    size_t part = 2;

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
            add_taken(s, t, &t->column[i]);
            comma = ", ";
        }
    if (t->t->bundle)
        add(s, " FROM json_each(?1, '$.rows') AS r");
}

static void add_remove(struct etcd_text *s, const struct table *t)
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
    static void (*const makers[])(struct etcd_text * s, const struct table *t) = { add_read, add_remove,
                                                                                   add_put };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < mirror_tables_n; i++) {
        sqlite3_stmt **to[] = { &r->tables[i].read, &r->tables[i].remove, &r->tables[i].put };
        for (size_t k = 0; !rc && k < TW_NELEM(makers); k++) {
            struct etcd_text s = { .p = NULL };
            makers[k](&s, &r->tables[i]);
            rc = prepare_text(r, &s, to[k], err);
        }
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
        struct table *t = &r->tables[i];
        sqlite3_finalize(t->read);
        sqlite3_finalize(t->remove);
        sqlite3_finalize(t->put);
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

/* ---- What is known ---- */

static enum tw_rc find_known(struct mirror_rows *r, unsigned table, const char *key, int64_t *ret_digest,
                             struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(r->q, r->known, &c);
    sq_put_i64(&c, table);
    sq_put_text(&c, key);
    rc = sq_next(&c, err);
    *ret_digest = rc ? 0 : sq_take_i64(&c);
    sq_end(&c);
    return rc == TW_ENOENT ? TW_OK : rc;
}

static int64_t digest(const char *value, size_t len)
{
    return digest_stored(digest_of(BEGIN_VALUE, value, len));
}

static enum tw_rc know(struct mirror_rows *r, const struct mirror_change *ch, struct tw_err *err)
{
    struct sq_cur c;

    sq_start_stmt(r->q, ch->value ? r->know : r->forget, &c);
    sq_put_i64(&c, ch->table);
    sq_put_text(&c, ch->key);
    if (ch->value)
        sq_put_i64(&c, digest(ch->value, ch->len));
    return sq_run(&c, err);
}

/* ---- What was changed ---- */

void mirror_changes_free(struct mirror_changes *c)
{
    for (size_t i = 0; i < c->n; i++) {
        free(c->v[i].key);
        free(c->v[i].value);
    }
    free(c->v);
    *c = (struct mirror_changes){ .n = 0 };
}

static void put_parts(struct sq_cur *c, char *const *parts, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sq_put_text(c, parts[i]);
}

/* The parts of "TABLE/...", in `buf`. */
static bool cut_key(const struct table *t, const char *key, char buf[KEY_MAX], char **ret_parts)
{
    size_t skip = strlen(t->t->name) + 1;

    if (strlen(key) < skip || strlen(key) - skip >= KEY_MAX)
        return false;
    strcpy(buf, key + skip);
    return mirror_key_parse(buf, ret_parts, t->n_key);
}

static enum tw_rc read_value(struct mirror_rows *r, struct mirror_change *ch, struct tw_err *err)
{
    struct table *t = &r->tables[ch->table];
    char buf[KEY_MAX], *parts[MIRROR_KEY_COLUMNS];
    struct sq_cur c;
    const char *text;
    enum tw_rc rc;

    if (!cut_key(t, ch->key, buf, parts))
        return tw_err_set(err, TW_ERANGE, "%.100s: too long a key", ch->key);
    sq_start_stmt(r->q, t->read, &c);
    put_parts(&c, parts, t->n_key);
    rc = sq_next(&c, err);
    if (!rc) {
        text = sq_take_text(&c);
        if (sq_take_i64(&c)) {
            ch->len = strlen(text);
            ch->value = strdup(text);
            rc = ch->value ? TW_OK : no_memory(r, err);
        }
    }
    sq_end(&c);
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc grow(struct mirror_rows *r, struct mirror_changes *to, struct tw_err *err)
{
    struct mirror_change *more;

    if (to->n < to->cap)
        return TW_OK;
    more = reallocarray(to->v, to->cap ? 2 * to->cap : 16, sizeof *more);
    if (!more)
        return no_memory(r, err);
    to->v = more;
    to->cap = to->cap ? 2 * to->cap : 16;
    return TW_OK;
}

/* If it is other than what is known. */
static enum tw_rc take_change(struct mirror_rows *r, unsigned table, const char *key,
                              struct mirror_changes *to, struct tw_err *err)
{
    struct mirror_change ch = { .table = table };
    int64_t known = 0;
    enum tw_rc rc = grow(r, to, err);

    if (!rc && asprintf(&ch.key, "%s/%s", mirror_tables[table].name, key) < 0) {
        ch.key = NULL;
        rc = no_memory(r, err);
    }
    if (!rc)
        rc = read_value(r, &ch, err);
    if (!rc)
        rc = find_known(r, table, ch.key, &known, err);
    if (!rc && known != (ch.value ? digest(ch.value, ch.len) : 0)) {
        to->v[to->n++] = ch;
        return TW_OK;
    }
    free(ch.key);
    free(ch.value);
    return rc;
}

enum tw_rc mirror_rows_changes(struct mirror_rows *r, struct mirror_changes *ret, struct tw_err *err)
{
    struct mirror_changes found = { .n = 0 };
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(r->q, r->noted, &c);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        unsigned table = (unsigned)sq_take_i64(&c);
        rc = take_change(r, table, sq_take_text(&c), &found, err);
        if (rc)
            break;
    }
    sq_end(&c);
    if (rc != TW_ENOENT) {
        mirror_changes_free(&found);
        return rc;
    }
    *ret = found;
    return TW_OK;
}

static enum tw_rc forget_noted(struct mirror_rows *r, struct tw_err *err)
{
    return sq_exec(r->q, "DELETE FROM mirror_noted", err);
}

enum tw_rc mirror_rows_settle(struct mirror_rows *r, const struct mirror_changes *c, struct tw_err *err)
{
    enum tw_rc rc = forget_noted(r, err);

    for (size_t i = 0; !rc && i < c->n; i++)
        rc = know(r, &c->v[i], err);
    return rc;
}

enum tw_rc mirror_rows_untold(struct mirror_rows *r, bool *ret, struct tw_err *err)
{
    int64_t any = 0;
    enum tw_rc rc = sq_get_int(r->q, "SELECT EXISTS (SELECT 1 FROM mirror_noted)", &any, err);

    if (!rc)
        *ret = any != 0;
    return rc;
}

/* ---- What others changed ---- */

unsigned mirror_rows_table(const char *key)
{
    size_t len = strcspn(key, "/");

    for (size_t i = 0; i < mirror_tables_n; i++)
        if (strlen(mirror_tables[i].name) == len && !strncmp(mirror_tables[i].name, key, len) && key[len])
            return (unsigned)i;
    return UINT_MAX;
}

/* The triggers of the tables themselves rest: what they did where it was changed is among what comes. */
static void let_triggers(struct mirror_rows *r, bool run)
{
    sqlite3_db_config(r->q->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, run ? 1 : 0, NULL);
}

/* No JSON is an error of SQL, too. */
static enum tw_rc bad_row(struct mirror_rows *r, const char *key, enum tw_rc rc, struct tw_err *err)
{
    struct tw_err why = *err;
    int code = sqlite3_errcode(r->q->db) & 0xff;

    if (code != SQLITE_ERROR && code != SQLITE_CONSTRAINT && code != SQLITE_MISMATCH)
        return rc;
    return tw_err_set(err, TW_ECORRUPT, "etcd: %.80s is nothing that can be in a table: %.120s", key,
                      why.text);
}

static enum tw_rc run_with(struct mirror_rows *r, const struct mirror_change *ch, bool put,
                           struct tw_err *err)
{
    struct table *t = &r->tables[ch->table];
    char buf[KEY_MAX], *parts[MIRROR_KEY_COLUMNS];
    struct sq_cur c;
    enum tw_rc rc;

    if (!cut_key(t, ch->key, buf, parts))
        return tw_err_set(err, TW_ECORRUPT, "etcd: %.100s is no key of its table", ch->key);
    sq_start_stmt(r->q, put ? t->put : t->remove, &c);
    if (put)
        sq_put_text(&c, ch->value);
    if (!put || (t->t->bundle && !t->t->of))
        put_parts(&c, parts, t->n_key);
    rc = sq_run(&c, err);
    return rc ? bad_row(r, ch->key, rc, err) : TW_OK;
}

/* All that is replaced goes first, since names may have changed places; what refers to others before those.
 */
static enum tw_rc apply(struct mirror_rows *r, const struct mirror_change *v, size_t n, struct tw_err *err)
{
    enum tw_rc rc = sq_exec(r->q, "PRAGMA defer_foreign_keys = ON", err);

    for (size_t t = mirror_tables_n; t-- && !rc;)
        for (size_t i = 0; i < n && !rc; i++)
            if (v[i].table == t)
                rc = run_with(r, &v[i], false, err);
    for (size_t t = 0; t < mirror_tables_n && !rc; t++)
        for (size_t i = 0; i < n && !rc; i++) {
            if (v[i].table != t)
                continue;
            rc = v[i].value ? run_with(r, &v[i], true, err) : TW_OK;
            if (!rc)
                rc = know(r, &v[i], err);
        }
    return rc;
}

enum tw_rc mirror_rows_apply(struct mirror_rows *r, const struct mirror_change *v, size_t n,
                             struct tw_err *err)
{
    enum tw_rc rc;

    let_triggers(r, false);
    rc = apply(r, v, n, err);
    let_triggers(r, true);
    return rc ? rc : forget_noted(r, err);
}

enum tw_rc mirror_rows_wipe(struct mirror_rows *r, struct tw_err *err)
{
    struct etcd_text s = { .p = NULL };
    enum tw_rc rc;

    add(&s, "PRAGMA defer_foreign_keys = ON;");
    for (size_t i = mirror_tables_n; i--;)
        add(&s, "DELETE FROM %s;", mirror_tables[i].name);
    add(&s, "DELETE FROM mirror_known; DELETE FROM mirror_noted;");
    let_triggers(r, false);
    rc = exec_text(r, &s, err);
    let_triggers(r, true);
    return rc;
}

enum tw_rc mirror_rows_end(struct mirror_rows *r, struct tw_err *err)
{
    return sq_exec(r->q,
                   "INSERT INTO sqlite_sequence (name, seq) SELECT 'agent', 0 WHERE NOT EXISTS (SELECT 1 "
                   "FROM sqlite_sequence"
                   " WHERE name = 'agent');"
                   "UPDATE sqlite_sequence SET seq = max(seq, ifnull((SELECT max(id) FROM agent_former), 0)) "
                   "WHERE name = 'agent'",
                   err);
}
