/* Looks at an existing file without changing an octet of it: what is refused must still be there for whoever
 * can read it. */
#include "db/sqlite/sq.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FULL_CHECK_BYTES (64 << 20)

static int64_t size_of(const char *path, const char *suffix)
{
    char name[PATH_MAX];
    struct stat st;

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return stat(name, &st) ? 0 : st.st_size;
}

/* An empty WAL: immutable, so that SQLite leaves no -shm beside the file. Else it must read the WAL, which
 * may hold the newest schema version. */
static enum tw_rc open_untouched(struct sq *q, struct tw_err *err)
{
    bool immutable = size_of(q->path, "-wal") == 0;
    char uri[3 * PATH_MAX + 32];
    size_t n = (size_t)snprintf(uri, sizeof uri, "file:");

    for (const char *p = q->path; *p && n < sizeof uri - 32; p++)
        n += (size_t)snprintf(uri + n, sizeof uri - n,
                              isalnum((unsigned char)*p) || strchr("/._-", *p) ? "%c" : "%%%02X",
                              (unsigned char)*p);
    snprintf(uri + n, sizeof uri - n, "%s", immutable ? "?immutable=1" : "");
    if (sqlite3_open_v2(uri, &q->db, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL))
        return sq_fail(q, err);
    sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    return TW_OK;
}

static enum tw_rc check_kind(struct sq *q, bool *ret_empty, struct tw_err *err)
{
    int64_t id, version, objects;
    enum tw_rc rc = sq_get_int(q, "PRAGMA application_id", &id, err);

    if (!rc)
        rc = sq_get_int(q, "PRAGMA user_version", &version, err);
    if (!rc)
        rc = sq_get_int(q, "SELECT count(*) FROM sqlite_schema", &objects, err);
    if (rc)
        return rc;
    *ret_empty = objects == 0 && id == 0 && version == 0;
    if (*ret_empty)
        return TW_OK; /* a first start that did not get far */
    if (id != q->spec->application_id)
        return tw_err_set(err, TW_ECORRUPT, "%s: an SQLite database, but not a %s: give another path",
                          q->path, q->spec->what);
    return sq_check_version(q, version, err);
}

/* One row "ok", or one row per problem. */
static enum tw_rc quick_check(struct sq *q, const char *table, struct tw_err *err)
{
    char *sql =
        table ? sqlite3_mprintf("PRAGMA quick_check(%Q)", table) : sqlite3_mprintf("PRAGMA quick_check(1)");
    sqlite3_stmt *st = NULL;
    enum tw_rc rc = sql ? sq_prepare(q, sql, &st, err) : TW_ENOMEM;

    sqlite3_free(sql);
    if (rc)
        return rc;
    if (sqlite3_step(st) != SQLITE_ROW) {
        rc = sq_fail(q, err);
    } else {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (!text || strcmp(text, "ok") != 0)
            rc = tw_err_set(err, TW_ECORRUPT, "%s %s: damaged (%s): move it away or restore it from a backup",
                            q->spec->what, q->path, text ? text : "?");
    }
    sqlite3_finalize(st);
    return rc;
}

enum tw_rc sq_check_pages(struct sq *q, struct tw_err *err)
{
    return quick_check(q, NULL, err);
}

static enum tw_rc check_small_tables(struct sq *q, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc =
        sq_prepare(q, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB ?", &st, err);

    if (rc)
        return rc;
    sqlite3_bind_text(st, 1, q->spec->bulk_glob, -1, SQLITE_STATIC);
    while (!rc && sqlite3_step(st) == SQLITE_ROW)
        rc = quick_check(q, (const char *)sqlite3_column_text(st, 0), err);
    if (sqlite3_finalize(st) != SQLITE_OK && !rc)
        rc = sq_fail(q, err);
    return rc;
}

enum tw_rc sq_check_file(const char *path, const struct sq_spec *spec, struct tw_err *err)
{
    struct sq q = { .spec = spec, .path = (char *)path, .lock_fd = -1 };
    bool empty = false;
    enum tw_rc rc;

    if (size_of(path, "") == 0)
        return TW_OK;
    rc = open_untouched(&q, err);
    if (!rc)
        rc = check_kind(&q, &empty, err);
    if (!rc && !empty)
        rc = size_of(path, "") <= FULL_CHECK_BYTES ? quick_check(&q, NULL, err) : check_small_tables(&q, err);
    sqlite3_close(q.db);
    return rc;
}
