#include "db/sqlite/sq.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* By primary result code. */
static const struct {
    int code;
    enum tw_rc rc;
    const char *advice;
} errors[] = {
    { SQLITE_FULL, TW_ENOSPC, "no space left: free some on its file system" },
    { SQLITE_NOTADB, TW_ECORRUPT, "not an SQLite database: move it away or restore it from a backup" },
    { SQLITE_CORRUPT, TW_ECORRUPT, "damaged: move it away or restore it from a backup" },
    { SQLITE_READONLY, TW_EPERM, "not writable: check owner and mode of the file and its directory" },
    { SQLITE_PERM, TW_EPERM, "access refused: check owner and mode of the file and its directory" },
    { SQLITE_AUTH, TW_EPERM, "access refused: check owner and mode of the file and its directory" },
    { SQLITE_CANTOPEN, TW_EIO, "cannot be opened: check the path, owner and mode" },
    { SQLITE_IOERR, TW_EIO, "read or write error: check the disk and the system log" },
    { SQLITE_BUSY, TW_EINUSE, "locked by another program: close it" },
    { SQLITE_LOCKED, TW_EINUSE, "locked by another statement" },
    { SQLITE_NOMEM, TW_ENOMEM, "out of memory" },
    { SQLITE_TOOBIG, TW_ERANGE, "a value is too large" },
    { SQLITE_CONSTRAINT, TW_EEXIST, "already there, or refers to something unknown" },
};

static bool is_full(int e)
{
    return e == ENOSPC || e == EDQUOT || e == EFBIG;
}

/* What the last failing call on the file or its WAL said; sqlite3_system_errno() may be of a later call
 * already. */
static bool file_full(sqlite3 *db)
{
    static const int files[] = { SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER };

    for (size_t i = 0; i < TW_NELEM(files); i++) {
        sqlite3_file *f = NULL;
        int e = 0;
        if (sqlite3_file_control(db, "main", files[i], &f) != SQLITE_OK || !f || !f->pMethods)
            continue;
        if (f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &e) == SQLITE_OK && is_full(e))
            return true;
    }
    return false;
}

/* A full quota or file size limit is an I/O error to SQLite but a full disk to its owner. */
static int code_of(sqlite3 *db, int code)
{
    int sys = db ? sqlite3_system_errno(db) : 0;

    if (code == SQLITE_IOERR && db && (is_full(sys) || file_full(db)))
        return SQLITE_FULL;
    if (code == SQLITE_CANTOPEN && is_full(sys))
        return SQLITE_FULL;
    if (code == SQLITE_CANTOPEN && (sys == EACCES || sys == EPERM || sys == EROFS))
        return SQLITE_PERM;
    return code;
}

static enum tw_rc fail_code(struct sq *q, int code, const char *text, struct tw_err *err)
{
    code = code_of(q->db, code & 0xff);
    for (size_t i = 0; i < TW_NELEM(errors); i++)
        if (errors[i].code == code)
            return tw_err_set(err, errors[i].rc, "%s %s: %s (SQLite: %s)", q->spec->what, q->path,
                              errors[i].advice, text);
    return tw_err_set(err, TW_EIO, "%s %s: SQLite error %d: %s", q->spec->what, q->path, code, text);
}

enum tw_rc sq_fail(struct sq *q, struct tw_err *err)
{
    if (!q->db)
        return fail_code(q, SQLITE_NOMEM, "no handle", err);
    return fail_code(q, sqlite3_errcode(q->db), sqlite3_errmsg(q->db), err);
}

/* On a full disk SQLite rolls back by itself; the next statement would then commit on its own. */
static enum tw_rc check_txn(struct sq *q, struct tw_err *err)
{
    if (!q->in_txn || !sqlite3_get_autocommit(q->db))
        return TW_OK;
    return tw_err_set(err, TW_EIO, "%s %s: the transaction was lost to an earlier error", q->spec->what,
                      q->path);
}

enum tw_rc sq_no_memory(const struct sq *q, struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", q->spec->what, q->path);
}

enum tw_rc sq_exec(struct sq *q, const char *sql, struct tw_err *err)
{
    enum tw_rc rc = check_txn(q, err);

    if (rc)
        return rc;
    return sqlite3_exec(q->db, sql, NULL, NULL, NULL) == SQLITE_OK ? TW_OK : sq_fail(q, err);
}

enum tw_rc sq_prepare(struct sq *q, const char *sql, sqlite3_stmt **ret, struct tw_err *err)
{
    return sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK
               ? TW_OK
               : sq_fail(q, err);
}

enum tw_rc sq_begin(struct sq *q, unsigned which, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    sq_rollback(q); /* one for whose rollback there was no memory is still open */
    rc = sq_start(q, which, &c, err);
    if (!rc)
        rc = sq_run(&c, err);
    q->in_txn = !rc;
    q->touched = false;
    return rc;
}

void sq_rollback(struct sq *q)
{
    q->in_txn = false;
    /* After a full disk SQLite has rolled back by itself, and then this would be an error. */
    if (!sqlite3_get_autocommit(q->db))
        sqlite3_exec(q->db, "ROLLBACK", NULL, NULL, NULL);
}

enum tw_rc sq_get_int(struct sq *q, const char *sql, int64_t *ret, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc = sq_prepare(q, sql, &st, err);

    if (rc)
        return rc;
    if (sqlite3_step(st) == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    else
        rc = sq_fail(q, err);
    sqlite3_finalize(st);
    return rc;
}

#define SHRINK_SQL "PRAGMA incremental_vacuum(4096)" /* 16 MiB, about 0.1 s */
#define SHRINK_MIN_PAGES 4096

enum tw_rc sq_shrink(struct sq *q, struct tw_err *err)
{
    int64_t pages = 0, unused = 0;
    enum tw_rc rc = sq_get_int(q, "PRAGMA page_count", &pages, err);

    if (!rc)
        rc = sq_get_int(q, "PRAGMA freelist_count", &unused, err);
    if (rc || unused < SHRINK_MIN_PAGES || unused < pages / 2)
        return rc;
    return sq_exec(q, SHRINK_SQL, err);
}

void sq_start_stmt(struct sq *q, sqlite3_stmt *st, struct sq_cur *ret)
{
    sqlite3_reset(st);
    *ret = (struct sq_cur){ .q = q, .st = st };
}

enum tw_rc sq_start(struct sq *q, unsigned which, struct sq_cur *ret, struct tw_err *err)
{
    sqlite3_stmt **st = &q->stmt[which];

    q->touched = true;
    if (!*st) {
        enum tw_rc rc = sq_prepare(q, q->spec->sql[which], st, err);
        if (rc)
            return rc;
    }
    sq_start_stmt(q, *st, ret);
    return TW_OK;
}

static void keep(struct sq_cur *c, int code)
{
    if (code != SQLITE_OK && !c->bad)
        c->bad = code;
}

/* By the file format: a type of one octet, and as many as the number needs. */
static uint64_t octets_of(int64_t v)
{
    uint64_t u = v < 0 ? ~(uint64_t)v : (uint64_t)v;

    if (u < 2)
        return v < 0 ? 2 : 1;
    return u < 1u << 7             ? 2
           : u < 1u << 15          ? 3
           : u < 1u << 23          ? 4
           : u < 1u << 31          ? 5
           : u < UINT64_C(1) << 47 ? 7
                                   : 9;
}

void sq_put_i64(struct sq_cur *c, int64_t v)
{
    c->octets += octets_of(v);
    keep(c, sqlite3_bind_int64(c->st, ++c->at, v));
}

void sq_put_null(struct sq_cur *c)
{
    c->octets += 2; /* as an empty blob */
    keep(c, sqlite3_bind_null(c->st, ++c->at));
}

void sq_put_text(struct sq_cur *c, const char *text)
{
    keep(c, sqlite3_bind_text(c->st, ++c->at, text, -1, SQLITE_STATIC));
}

void sq_put_blob(struct sq_cur *c, const void *data, size_t len)
{
    c->octets += len + 2;
    /* A null pointer would be SQL NULL. */
    keep(c, sqlite3_bind_blob64(c->st, ++c->at, len ? data : "", len, SQLITE_STATIC));
}

enum tw_rc sq_next(struct sq_cur *c, struct tw_err *err)
{
    enum tw_rc rc = check_txn(c->q, err);
    int code;

    if (rc) {
        sq_end(c);
        return rc;
    }
    code = c->bad ? c->bad : sqlite3_step(c->st);
    c->at = 0;
    c->octets = 0;
    if (code == SQLITE_ROW)
        return TW_OK;
    rc = TW_ENOENT;
    if (code != SQLITE_DONE)
        rc = fail_code(c->q, code, c->bad ? sqlite3_errstr(code) : sqlite3_errmsg(c->q->db), err);
    sq_end(c);
    return rc;
}

enum tw_rc sq_run(struct sq_cur *c, struct tw_err *err)
{
    enum tw_rc rc;

    while ((rc = sq_next(c, err)) == TW_OK)
        ;
    return rc == TW_ENOENT ? TW_OK : rc;
}

int64_t sq_take_i64(struct sq_cur *c)
{
    int64_t v = sqlite3_column_int64(c->st, c->at++);

    c->octets += octets_of(v);
    return v;
}

const char *sq_take_text(struct sq_cur *c)
{
    const unsigned char *t = sqlite3_column_text(c->st, c->at++);

    return t ? (const char *)t : "";
}

const uint8_t *sq_take_blob(struct sq_cur *c, size_t *ret_len)
{
    const uint8_t *p = sqlite3_column_blob(c->st, c->at);

    *ret_len = (size_t)sqlite3_column_bytes(c->st, c->at++);
    c->octets += *ret_len + 2;
    return p;
}

void sq_take_name(struct sq_cur *c, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s", sq_take_text(c));
}

void sq_end(struct sq_cur *c)
{
    sqlite3_reset(c->st);
    sqlite3_clear_bindings(c->st);
}
