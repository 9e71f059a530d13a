#include "db/etcd/mirror_fill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/net/now.h"
#include "db/etcd/mirror_tables.h"

#define FILLING "filling"
#define EARLY_ROWS 2000 /* of a commit, that go to etcd in as many transactions as it takes */
#define ROWS 100
#define COLUMNS_MAX 1024

struct fill {
    const struct mirror_fill_conf *conf;
    struct etcd *e;
    struct store *s;
    char head[128], filling[128];
    int64_t filling_revision;
    struct mirror_filled *to;
    uint64_t done, total;
    struct tw_err *err;
};

/* A store wants a history; nothing is asked of this one. */
static void close_none(struct history *h)
{
    (void)h;
}
static const struct history_ops none_ops = { .scheme = "none", .close = close_none };
static struct history none = { .ops = &none_ops };

/* ---- Whose turn it is ---- */

static enum tw_rc revision_of(struct fill *f, const char *key, int64_t *ret)
{
    struct etcd_answer a;
    enum tw_rc rc = etcd_get(f->e, key, &a, f->err);

    if (rc)
        return rc;
    *ret = a.n ? a.kv[0].mod_revision : 0;
    etcd_answer_free(&a);
    return TW_OK;
}

static enum tw_rc put_filling(struct fill *f)
{
    const struct etcd_compare nothing[] = { { f->head, 0, false }, { f->filling, 0, false } };
    const struct etcd_op then = { ETCD_PUT, f->filling, "1", 1, 0 };
    struct etcd_answer a;
    enum tw_rc rc = etcd_txn(f->e, &(struct etcd_txn){ nothing, 2, &then, NULL, 1, 0 }, &a, f->err);

    if (rc)
        return rc;
    if (!a.succeeded)
        rc = tw_err_set(f->err, TW_EAGAIN, "etcd: somebody else began to write there");
    etcd_answer_free(&a);
    return rc ? rc : revision_of(f, f->filling, &f->filling_revision);
}

/* Begins it, goes on with it, or finds that something is there. */
static enum tw_rc begin(struct fill *f)
{
    int64_t head = 0;
    enum tw_rc rc = revision_of(f, f->head, &head);

    if (!rc)
        rc = revision_of(f, f->filling, &f->filling_revision);
    f->to->was_there = head && !f->filling_revision;
    return rc || head || f->filling_revision ? rc : put_filling(f);
}

static enum tw_rc end(struct fill *f)
{
    const struct etcd_compare ours = { f->filling, f->filling_revision, false };
    const struct etcd_op then = { ETCD_DELETE, f->filling, NULL, 0, 0 };
    struct etcd_answer a;
    enum tw_rc rc;

    if (f->to->was_there)
        return TW_OK;
    rc = etcd_txn(f->e, &(struct etcd_txn){ &ours, 1, &then, NULL, 1, 0 }, &a, f->err);
    if (!rc)
        etcd_answer_free(&a);
    return rc;
}

/* ---- Both sides in one connection ---- */

static void remove_mirror(const struct fill *f)
{
    static const char *const more[] = { "", "-wal", "-shm", ".lock" };
    char path[4200];

    for (size_t i = 0; i < TW_NELEM(more); i++) {
        snprintf(path, sizeof path, "%s%s", f->conf->mirror.file, more[i]);
        unlink(path);
    }
}

/* Reads everything that etcd has. */
static enum tw_rc open_mirror(struct fill *f)
{
    struct mirror_conf conf = f->conf->mirror;
    sqlite3_stmt *st = NULL;
    struct sq_cur c;
    enum tw_rc rc;

    if (f->s)
        store_close(f->s);
    f->s = NULL;
    remove_mirror(f);
    conf.filling = true;
    rc = mirror_open(&conf, &none, &f->s, f->err);
    if (rc)
        return rc;
    /* The other file stays as it is, its log, too. */
    sqlite3_db_config(f->s->q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    rc = sq_prepare(f->s->q, "ATTACH DATABASE ? AS old", &st, f->err);
    if (rc)
        return rc;
    sq_start_stmt(f->s->q, st, &c);
    sq_put_text(&c, f->conf->from);
    rc = sq_run(&c, f->err);
    sqlite3_finalize(st);
    return rc;
}

/* "a, b, c" of a table's columns, but for one that numbers rows in a file alone. */
static enum tw_rc list_columns(struct fill *f, const struct mirror_table *t, char ret[COLUMNS_MAX])
{
    char sql[128];
    sqlite3_stmt *st;
    struct sq_cur c;
    size_t n = 0;
    enum tw_rc rc;

    snprintf(sql, sizeof sql, "SELECT name FROM old.pragma_table_info('%s')", t->name);
    rc = sq_prepare(f->s->q, sql, &st, f->err);
    if (rc)
        return rc;
    *ret = '\0';
    sq_start_stmt(f->s->q, st, &c);
    while ((rc = sq_next(&c, f->err)) == TW_OK) {
        const char *name = sq_take_text(&c);
        if ((!t->local || strcmp(name, t->local) != 0) && n < COLUMNS_MAX)
            n += (size_t)snprintf(ret + n, COLUMNS_MAX - n, "%s%s", n ? ", " : "", name);
    }
    sqlite3_finalize(st);
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* ---- Rows ---- */

static enum tw_rc tell(struct fill *f)
{
    const struct mirror_fill_conf *conf = f->conf;

    if (!conf->progress || conf->progress(conf->ctx, f->done, f->total))
        return TW_OK;
    return tw_err_set(f->err, TW_ECLOSED, "interrupted: the same command goes on where it was");
}

static enum tw_rc put_rows(struct fill *f, const struct mirror_table *t, const char *columns, int64_t behind,
                           int64_t n)
{
    char sql[3 * COLUMNS_MAX];
    enum tw_rc rc = store_begin(f->s, f->err);

    snprintf(
        sql, sizeof sql,
        "INSERT OR REPLACE INTO main.%s (%s) SELECT %s FROM temp.todo WHERE rowid > %lld AND rowid <= %lld",
        t->name, columns, columns, (long long)behind, (long long)(behind + n));
    if (rc)
        return rc;
    rc = sq_exec(f->s->q, sql, f->err);
    if (!rc)
        return store_commit(f->s, f->err);
    store_rollback(f->s);
    return rc;
}

/* Fewer if those are too many for etcd, and again if it is away. */
static enum tw_rc put_some(struct fill *f, const struct mirror_table *t, const char *columns, int64_t behind,
                           int64_t *n)
{
    const struct timespec pause = { .tv_sec = 1 };
    int64_t patience_ns = f->conf->patience_ns ? f->conf->patience_ns : 60 * TW_NS_PER_S,
            began_ns = tw_mono_now().ns;

    for (;;) {
        enum tw_rc rc = put_rows(f, t, columns, behind, *n);
        if (rc == TW_ERANGE && *n > 1) {
            *n /= 2;
            continue;
        }
        if (!rc || (rc != TW_EAGAIN && rc != TW_EIO && rc != TW_ETIMEOUT && rc != TW_ECLOSED) ||
            tw_mono_now().ns - began_ns > patience_ns)
            return rc;
        rc = tell(f);
        if (rc)
            return rc;
        nanosleep(&pause, NULL);
    }
}

static enum tw_rc fill_table(struct fill *f, const struct mirror_table *t)
{
    char columns[COLUMNS_MAX], sql[3 * COLUMNS_MAX];
    int64_t all = 0, want = t->early ? EARLY_ROWS : ROWS;
    enum tw_rc rc = list_columns(f, t, columns);

    if (rc)
        return rc;
    snprintf(sql, sizeof sql,
             "DROP TABLE IF EXISTS temp.todo; CREATE TEMP TABLE todo AS SELECT %s FROM old.%s EXCEPT SELECT "
             "%s FROM main.%s",
             columns, t->name, columns, t->name);
    rc = sq_exec(f->s->q, sql, f->err);
    if (!rc)
        rc = sq_get_int(f->s->q, "SELECT count(*) FROM temp.todo", &all, f->err);
    for (int64_t at = 0; at < all && !rc;) {
        int64_t n = want;
        rc = put_some(f, t, columns, at, &n);
        at += n;
        f->done += (uint64_t)n;
        if (!rc)
            rc = tell(f);
    }
    f->to->added += (uint64_t)all;
    return rc;
}

/* A row twice, where nothing numbers them, means what it means once. */
static enum tw_rc compare_table(struct fill *f, const struct mirror_table *t)
{
    char columns[COLUMNS_MAX], sql[5 * COLUMNS_MAX];
    int64_t differ = 0, rows = 0;
    enum tw_rc rc = list_columns(f, t, columns);

    snprintf(sql, sizeof sql,
             "SELECT (SELECT count(*) FROM (SELECT %s FROM old.%s EXCEPT SELECT %s FROM main.%s))"
             " + (SELECT count(*) FROM (SELECT %s FROM main.%s EXCEPT SELECT %s FROM old.%s))",
             columns, t->name, columns, t->name, columns, t->name, columns, t->name);
    if (!rc)
        rc = sq_get_int(f->s->q, sql, &differ, f->err);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM old.%s", t->name);
    if (!rc)
        rc = sq_get_int(f->s->q, sql, &rows, f->err);
    f->to->rows += (uint64_t)rows;
    if (rc || !differ)
        return rc;
    return f->to->was_there
               ? tw_err_set(f->err, TW_EEXIST,
                            "etcd: another control state is there, or this one went on after it was put "
                            "there (table %s): give another CLUSTER",
                            t->name)
               : tw_err_set(f->err, TW_ECORRUPT, "etcd: %lld rows of table %s are not the same on both sides",
                            (long long)differ, t->name);
}

static enum tw_rc each_table(struct fill *f, enum tw_rc (*fn)(struct fill *f, const struct mirror_table *t))
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < mirror_tables_n && !rc; i++)
        rc = fn(f, &mirror_tables[i]);
    return rc;
}

static enum tw_rc fill_all(struct fill *f)
{
    enum tw_rc rc = begin(f);

    if (!rc)
        rc = open_mirror(f);
    if (!rc && !f->to->was_there) {
        rc = each_table(f, fill_table);
        if (!rc)
            rc = open_mirror(f); /* all of it anew: as whoever comes next sees it */
    }
    if (!rc)
        rc = each_table(f, compare_table);
    return rc ? rc : end(f);
}

enum tw_rc mirror_fill(const struct mirror_fill_conf *conf, struct mirror_filled *ret, struct tw_err *err)
{
    struct fill f = { .conf = conf, .to = ret, .err = err };
    enum tw_rc rc = mirror_fill_count(conf->from, &f.total, err);

    *ret = (struct mirror_filled){ .rows = 0 };
    snprintf(f.head, sizeof f.head, "/twampmesh/%s/head", conf->mirror.at->name);
    snprintf(f.filling, sizeof f.filling, "/twampmesh/%s/" FILLING, conf->mirror.at->name);
    if (!rc)
        rc = etcd_new(conf->mirror.at, conf->mirror.stall_ns, &f.e, err);
    if (!rc)
        rc = fill_all(&f);
    if (f.s)
        store_close(f.s);
    etcd_free(f.e);
    remove_mirror(&f);
    return rc;
}

enum tw_rc mirror_fill_count(const char *from, uint64_t *ret, struct tw_err *err)
{
    struct sq q;
    enum tw_rc rc = sq_open_reader(&q, from, &store_spec, err);

    *ret = 0;
    if (rc)
        return rc;
    for (size_t i = 0; i < mirror_tables_n && !rc; i++) {
        char sql[96];
        int64_t n = 0;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", mirror_tables[i].name);
        rc = sq_get_int(&q, sql, &n, err);
        *ret += (uint64_t)n;
    }
    sq_close(&q);
    return rc;
}
