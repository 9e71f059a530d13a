/* db/sqlite/sq.h - the little that store and spool share over SQLite: opening safely, prepared statements by
 * number, binding and reading in order, and errors as tw_rc with a text that says what to do. One thread per
 * struct sq. */
#ifndef TW_DB_SQ_H
#define TW_DB_SQ_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct store_progress;

struct sq_migration {
    const char *name, *sql;
    bool additive; /* programs that do not know it go on to read and write the file: its first line says "-- additive" */
};

/* One kind of file. Its schema version (PRAGMA user_version) is the number of migrations applied. Table schema_floor says which
 * version a program must know at least: that of the last migration that is not additive. */
struct sq_spec {
    const char *what;       /* for messages: "history database" */
    int32_t application_id; /* tells our files from those of other programs, and from each other */
    const struct sq_migration *migrations;
    const size_t *n_migrations;
    bool keep_copy;         /* of the file as it was before a migration that is not additive: sq_copy_name() */
    const char *bulk_glob;  /* tables too large to be checked in a big file */
    const char *pragmas;    /* of the writer, after the common ones */
    const char *const *sql; /* statements of sq_start() by number */
    unsigned n_sql;
};

struct sq {
    sqlite3 *db;
    const struct sq_spec *spec;
    sqlite3_stmt **stmt; /* spec->n_sql, prepared when first used */
    char *path;
    int lock_fd;
    int64_t busy_since_ns;    /* waiting for another program, by the monotonic clock */
    _Atomic int64_t hurry_ns; /* not beyond this moment; any thread sets it; 0: as always */
    bool touched;             /* a statement of the spec was started since sq_begin() */
    bool
        in_txn; /* the owner believes so: once SQLite has rolled back by itself, nothing may slip in behind */
};

/* Takes the lock, checks the file without changing an octet of it, and only then opens it for writing and
 * migrates. Check: SQLite header, our application id, a schema version that we know, quick_check: of
 * everything in files up to 64 MiB; in bigger ones of all but the bulk tables, so that a start never takes
 * minutes (WAL keeps a file whole through crashes; what is left are failing disks, which the reads report).
 * TW_ECORRUPT, TW_EVERSION, TW_EINUSE, TW_EPERM, TW_ENOENT (directory), TW_ENOSPC. */
enum tw_rc sq_open(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err);
/* Read-only, of a file that some writer has opened before. */
enum tw_rc sq_open_reader(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err);
/* The same of one that may be of an older release, to copy it: its tables may be others than the statements want. */
enum tw_rc sq_open_source(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err);
void sq_close(struct sq *q); /* also of a zeroed one */

/* sq_open()'s look at an existing file; sq_check.c. */
enum tw_rc sq_check_file(const char *path, const struct sq_spec *spec, struct tw_err *err);
/* The first problem that SQLite finds in all of the file: TW_ECORRUPT. */
enum tw_rc sq_check_pages(struct sq *q, struct tw_err *err);
/* Can this program work with the file, which may be of a newer one? sq_version.c. */
enum tw_rc sq_check_version(struct sq *q, int64_t version, struct tw_err *err);
/* The version that programs must know to work with a file of `version`. */
size_t sq_floor(const struct sq_spec *spec, size_t version);
/* PATH.before-vN: the file as it was before migration number N. */
void sq_copy_name(const char *path, size_t version, char *ret, size_t cap);
/* Makes that copy if a migration from `version` on needs one; a file that is empty needs none. */
enum tw_rc sq_keep_copy(struct sq *q, size_t version, struct tw_err *err);
/* A copy as one file that needs nothing beside it; TW_EEXIST: there is one of that name. sq_copy.c. */
enum tw_rc sq_copy(struct sq *from, const char *path, const struct store_progress *p, uint64_t *ret_bytes,
                   struct tw_err *err);
/* "PATH: what errno says". */
enum tw_rc sq_path_fail(const char *path, struct tw_err *err);
/* The entries of path's folder are on the disk. */
enum tw_rc sq_settle_folder(const char *path, struct tw_err *err);
/* One integer of a PRAGMA or SELECT. */
enum tw_rc sq_get_int(struct sq *q, const char *sql, int64_t *ret, struct tw_err *err);

/* The connection's last error. */
enum tw_rc sq_fail(struct sq *q, struct tw_err *err);
enum tw_rc sq_no_memory(const struct sq *q, struct tw_err *err);
enum tw_rc sq_exec(struct sq *q, const char *sql, struct tw_err *err);
enum tw_rc sq_prepare(struct sq *q, const char *sql, sqlite3_stmt **ret, struct tw_err *err);
/* By the statement `which`, after what was not committed is forgotten. */
enum tw_rc sq_begin(struct sq *q, unsigned which, struct tw_err *err);
/* Forgets what is not committed, if anything; also after SQLite itself rolled back. */
void sq_rollback(struct sq *q);
/* Gives part of the free pages back to the file system when more than half of the file is free. */
enum tw_rc sq_shrink(struct sq *q, struct tw_err *err);

/* A statement in use: parameters are put, columns taken, from left to right. The first error is kept, and
 * sq_run() and sq_next() report it. Texts and blobs put must stay until sq_end() (sq_run() and the last
 * sq_next() do it). */
struct sq_cur {
    struct sq *q;
    sqlite3_stmt *st;
    int at;
    int bad; /* SQLite code */
    uint64_t octets; /* that the values put or taken since the last row take in a record */
};
/* Statement number `which` of the spec. */
enum tw_rc sq_start(struct sq *q, unsigned which, struct sq_cur *ret, struct tw_err *err);
/* A statement of the caller's. */
void sq_start_stmt(struct sq *q, sqlite3_stmt *st, struct sq_cur *ret);
void sq_put_i64(struct sq_cur *c, int64_t v);
void sq_put_null(struct sq_cur *c);
void sq_put_text(struct sq_cur *c, const char *text); /* NULL: SQL NULL */
void sq_put_blob(struct sq_cur *c, const void *data, size_t len);
/* To the end; rows are ignored. */
enum tw_rc sq_run(struct sq_cur *c, struct tw_err *err);
/* TW_OK: there is a row. TW_ENOENT: no more. */
enum tw_rc sq_next(struct sq_cur *c, struct tw_err *err);
int64_t sq_take_i64(struct sq_cur *c);
/* Valid until the next sq_next(); a NULL is "" and an empty blob. */
const char *sq_take_text(struct sq_cur *c);
const uint8_t *sq_take_blob(struct sq_cur *c, size_t *ret_len);
void sq_take_name(struct sq_cur *c, char *buf, size_t cap);
void sq_end(struct sq_cur *c);

#endif
