#include "db/etcd/mirror_rows.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "db/digest.h"
#include "db/etcd/mirror_key.h"
#include "db/etcd/mirror_sql.h"

#define BEGIN_VALUE 7 /* of digests */

static enum tw_rc no_memory(struct mirror_rows *r, struct tw_err *err)
{
    return sq_no_memory(r->q, err);
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
static bool cut_key(const struct mirror_sql *t, const char *key, char buf[MIRROR_KEY_MAX], char **ret_parts)
{
    size_t skip = strlen(t->t->name) + 1;

    if (strlen(key) < skip || strlen(key) - skip >= MIRROR_KEY_MAX)
        return false;
    strcpy(buf, key + skip);
    return mirror_key_parse(buf, ret_parts, t->n_key);
}

static enum tw_rc read_value(struct mirror_rows *r, struct mirror_change *ch, struct tw_err *err)
{
    struct mirror_sql *t = &r->tables[ch->table];
    char buf[MIRROR_KEY_MAX], *parts[MIRROR_KEY_COLUMNS];
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
    return TW_GROW(&to->v, to->n, &to->cap, 16) ? TW_OK : no_memory(r, err);
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

static bool is_known(const struct mirror_sql *t, const struct mirror_change *ch)
{
    return t->t->bundle && ch->len > t->known.len && !memcmp(ch->value, t->known.p, t->known.len);
}

static enum tw_rc run_with(struct mirror_rows *r, const struct mirror_change *ch, bool put,
                           struct tw_err *err)
{
    struct mirror_sql *t = &r->tables[ch->table];
    char buf[MIRROR_KEY_MAX], *parts[MIRROR_KEY_COLUMNS];
    struct sq_cur c;
    enum tw_rc rc;

    if (!cut_key(t, ch->key, buf, parts))
        return tw_err_set(err, TW_ECORRUPT, "etcd: %.100s is no key of its table", ch->key);
    sq_start_stmt(r->q, !put ? t->remove : is_known(t, ch) ? t->put_known : t->put, &c);
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

static enum tw_rc wipe(struct mirror_rows *r, struct tw_err *err)
{
    enum tw_rc rc = sq_exec(r->q, "PRAGMA defer_foreign_keys = ON", err);

    for (size_t i = mirror_tables_n; i-- && !rc;) {
        char text[96];
        snprintf(text, sizeof text, "DELETE FROM %s", mirror_tables[i].name);
        rc = sq_exec(r->q, text, err);
    }
    return rc;
}

enum tw_rc mirror_rows_wipe(struct mirror_rows *r, struct tw_err *err)
{
    enum tw_rc rc;

    let_triggers(r, false);
    rc = wipe(r, err);
    let_triggers(r, true);
    return rc ? rc : sq_exec(r->q, "DELETE FROM mirror_known; DELETE FROM mirror_noted", err);
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
