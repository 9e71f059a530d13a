/* tests/unit/controller/follow_fx.h - a controller of which others change the control state: another one's is
 * copied into its store behind its back, as a mirror does it, and it is told which rows are different. And
 * what a controller answers, as text. */
#ifndef TW_TESTS_CONTROLLER_FOLLOW_FX_H
#define TW_TESTS_CONTROLLER_FOLLOW_FX_H

#include <sqlite3.h>
#include "controller/follow.h"
#include "controller/http/pb_json.h"
#include "db/etcd/mirror_key.h"
#include "db/etcd/mirror_tables.h"
#include "db/store_priv.h"
#include "tests/unit/controller/fixture.h"

/* ---- Rows of two files ---- */

struct copy_key {
    char *key, *rows; /* all rows with this key, as text */
};
struct copy_table {
    struct copy_key *v;
    size_t n;
};
struct copy_job {
    struct writer_job job; /* first */
    const char *from;      /* a file */
    char **keys;           /* that are different */
    size_t n_keys;
    bool done;
};

static inline void copy_sql(sqlite3 *db, const char *sql)
{
    char *text = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &text) != SQLITE_OK)
        fail_msg("%s: %s", sql, text);
}

static inline char *append_text(char *old, const char *more)
{
    size_t len = old ? strlen(old) : 0;
    char *s = realloc(old, len + strlen(more) + 1);

    assert_non_null(s);
    strcpy(s + len, more);
    return s;
}

/* A table's rows by key; the key's columns come first. */
static inline struct copy_table copy_read(sqlite3 *db, const struct mirror_table *t)
{
    struct copy_table r = { 0 };
    char sql[512], key[512];
    sqlite3_stmt *st;
    size_t n_key = 0, len;

    while (n_key < MIRROR_KEY_COLUMNS && t->key[n_key])
        n_key++;
    snprintf(sql, sizeof sql, "SELECT %s%s%s%s%s, * FROM %s ORDER BY 1, 2, 3, 4", t->key[0],
             n_key > 1 ? ", " : "", n_key > 1 ? t->key[1] : "", n_key > 2 ? ", " : ", 1",
             n_key > 2 ? t->key[2] : "", t->name);
    if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(st) == SQLITE_ROW) {
        len = (size_t)snprintf(key, sizeof key, "%s/", t->name);
        for (size_t i = 0; i < n_key; i++)
            len = mirror_key_add(key, sizeof key, len, i == 0, (const char *)sqlite3_column_text(st, (int)i));
        if (!r.n || strcmp(r.v[r.n - 1].key, key) != 0) {
            r.v = realloc(r.v, (r.n + 1) * sizeof *r.v);
            r.v[r.n++] = (struct copy_key){ strdup(key), strdup("") };
        }
        for (int i = (int)n_key + (n_key < 3); i < sqlite3_column_count(st); i++) {
            const unsigned char *octets = sqlite3_column_blob(st, i);
            char hex[3];

            r.v[r.n - 1].rows = append_text(r.v[r.n - 1].rows, "|");
            for (int k = 0; k < sqlite3_column_bytes(st, i); k++) {
                snprintf(hex, sizeof hex, "%02x", octets[k]);
                r.v[r.n - 1].rows = append_text(r.v[r.n - 1].rows, hex);
            }
        }
    }
    sqlite3_finalize(st);
    return r;
}

static inline void copy_free(struct copy_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].key);
        free(t->v[i].rows);
    }
    free(t->v);
}

static inline const char *copy_find(const struct copy_table *t, const char *key)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->v[i].key, key))
            return t->v[i].rows;
    return NULL;
}

static inline void copy_note(struct copy_job *j, const struct copy_table *a, const struct copy_table *b,
                             bool both)
{
    for (size_t i = 0; i < a->n; i++) {
        const char *other = copy_find(b, a->v[i].key);

        if (other ? !both || !strcmp(other, a->v[i].rows) : false)
            continue;
        j->keys = realloc(j->keys, (j->n_keys + 1) * sizeof(char *));
        j->keys[j->n_keys++] = strdup(a->v[i].key);
    }
}

static inline void copy_rows(sqlite3 *from, sqlite3 *to, const char *table)
{
    char sql[512];
    sqlite3_stmt *in, *out;
    int n;

    snprintf(sql, sizeof sql, "SELECT * FROM %s", table);
    assert_int_equal(sqlite3_prepare_v2(from, sql, -1, &in, NULL), SQLITE_OK);
    n = sqlite3_column_count(in);
    snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (?1", table);
    for (int i = 2; i <= n; i++)
        snprintf(sql + strlen(sql), sizeof sql - strlen(sql), ", ?%d", i);
    strcat(sql, ")");
    assert_int_equal(sqlite3_prepare_v2(to, sql, -1, &out, NULL), SQLITE_OK);
    while (sqlite3_step(in) == SQLITE_ROW) {
        for (int i = 0; i < n; i++)
            sqlite3_bind_value(out, i + 1, sqlite3_column_value(in, i));
        if (sqlite3_step(out) != SQLITE_DONE)
            fail_msg("%s: %s", sql, sqlite3_errmsg(to));
        sqlite3_reset(out);
    }
    sqlite3_finalize(in);
    sqlite3_finalize(out);
}

static inline void copy_table(struct copy_job *j, sqlite3 *from, sqlite3 *to, const struct mirror_table *t)
{
    char sql[128];

    if (!t->of) { /* whose keys are another table's: memory has nothing of it */
        struct copy_table a = copy_read(from, t), b = copy_read(to, t);

        copy_note(j, &a, &b, true);
        copy_note(j, &b, &a, false);
        copy_free(&a);
        copy_free(&b);
    }
    snprintf(sql, sizeof sql, "DELETE FROM %s", t->name);
    copy_sql(to, sql);
}

static inline enum tw_rc run_copy(struct writer_job *job, struct store *s, struct tw_err *err)
{
    struct copy_job *j = (struct copy_job *)job;
    sqlite3 *from;

    (void)err;
    assert_int_equal(sqlite3_open_v2(j->from, &from, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    copy_sql(s->q->db, "PRAGMA defer_foreign_keys = ON");
    for (size_t i = 0; i < mirror_tables_n; i++)
        copy_table(j, from, s->q->db, &mirror_tables[i]);
    copy_sql(s->q->db, "DELETE FROM agent_former"); /* a trigger's */
    for (size_t i = 0; i < mirror_tables_n; i++)
        copy_rows(from, s->q->db, mirror_tables[i].name);
    sqlite3_close(from);
    return TW_OK;
}

static inline void copy_done(struct writer_job *job)
{
    ((struct copy_job *)job)->done = true;
}

/* all: only that something is different, not what. */
static inline void follow_file(struct fixture *f, const char *path, bool all)
{
    struct copy_job j = { .job = { .run = run_copy, .done = copy_done, .urgent = true }, .from = path };
    const char *any = "";

    assert_int_equal(writer_submit(f->c->writer, &j.job), TW_OK);
    WAIT(j.done);
    assert_int_equal(j.job.rc, TW_OK);
    if (all)
        follow_changed(f->c, &any, 1);
    else
        follow_changed(f->c, (const char *const *)j.keys, j.n_keys);
    for (size_t i = 0; i < j.n_keys; i++)
        free(j.keys[i]);
    free(j.keys);
    WAIT(follow_is_even(f->c));
}

static inline void follow_other(struct fixture *f, const struct fixture *other, bool all)
{
    follow_file(f, other->c->db_path, all);
}

/* ---- Any method, by JSON ---- */

struct call {
    struct fixture *f;
    bool done;
    Tw__Status status;
    char *text; /* the answer; or why not */
};

static inline void call_done(const ProtobufCMessage *m, void *data)
{
    struct call *c = data;
    cJSON *o = m ? cJSON_CreateObject() : NULL;

    if (o)
        pb_json_add(o, m);
    c->status = rpc_result().status;
    c->text = o ? cJSON_Print(o) : strdup(rpc_result().detail ? rpc_result().detail : "");
    cJSON_Delete(o);
    c->done = true;
}

/* The answer is the caller's. */
static inline char *call_admin(struct fixture *f, const char *method, const char *json, Tw__Status *ret)
{
    const ProtobufCServiceDescriptor *d = &tw__admin__descriptor;
    cJSON *o = cJSON_Parse(json);
    ProtobufCMessage *rq = NULL;
    struct tw_err err = { 0 };
    struct call c = { .f = f };
    unsigned at = 0;
    ProtobufCService *stub = admin_stub(f);

    assert_non_null(o);
    while (at < d->n_methods && strcmp(d->methods[at].name, method) != 0)
        at++;
    assert_true(at < d->n_methods);
    if (pb_json_parse(d->methods[at].input, o, false, tw_wall_now().ns, &rq, &err) != TW_OK)
        fail_msg("%s %s: %s", method, json, err.text);
    cJSON_Delete(o);
    stub->invoke(stub, at, rq, (ProtobufCClosure)call_done, &c);
    protobuf_c_message_free_unpacked(rq, NULL);
    WAIT(c.done);
    if (ret)
        *ret = c.status;
    return c.text;
}

static inline void must(struct fixture *f, const char *method, const char *json)
{
    Tw__Status status;
    char *text = call_admin(f, method, json, &status);

    if (status != TW__STATUS__STATUS_OK)
        fail_msg("%s %s: %s", method, json, text);
    free(text);
}

#endif
