#include "db/sqlite/sq.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "common/clk.h"

/* Common to all writers. FULL: a commit survives power loss. */
static const char pragmas[] = "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA secure_delete = OFF;"
                              "PRAGMA foreign_keys = ON;";
static const char reader_pragmas[] = "PRAGMA query_only = ON;"
                                     "PRAGMA cache_size = -8192;"
                                     "PRAGMA mmap_size = 1073741824;";
#define BUSY_NS (5 * TW_NS_PER_S)
#define CHECKPOINT_NS (500 * TW_NS_PER_MS) /* so much time must be left for it at the end */
#define BUSY_PAUSE_NS (25 * TW_NS_PER_MS)

static enum tw_rc sys_fail(struct sq *q, const char *name, struct tw_err *err)
{
    int e = errno;

    if (e == ENOENT || e == ENOTDIR)
        return tw_err_set(err, TW_ENOENT, "%s %s: its directory does not exist: create it", q->spec->what,
                          name);
    if (e == EACCES || e == EPERM || e == EROFS)
        return tw_err_set(err, TW_EPERM, "%s %s: %s: check owner and mode of the file and its directory",
                          q->spec->what, name, strerror(e));
    return tw_err_set(err, tw_rc_errno(e), "%s %s: %s", q->spec->what, name, strerror(e));
}

/* The lock file stays: deleting it would let two openers hold locks on two files. */
static enum tw_rc take_lock(struct sq *q, struct tw_err *err)
{
    char name[PATH_MAX];

    if ((size_t)snprintf(name, sizeof name, "%s.lock", q->path) >= sizeof name)
        return tw_err_set(err, TW_EINVAL, "%s: path too long", q->spec->what);
    q->lock_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (q->lock_fd < 0)
        return sys_fail(q, name, err);
    if (flock(q->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return TW_OK;
    if (errno == EWOULDBLOCK)
        return tw_err_set(err, TW_EINUSE, "%s %s: in use by another process: stop it, or give another path",
                          q->spec->what, q->path);
    return sys_fail(q, name, err);
}

/* By us and not by SQLite, for the mode; -wal and -shm get the same. */
static enum tw_rc make_file(struct sq *q, struct tw_err *err)
{
    int fd = open(q->path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);

    if (fd < 0)
        return sys_fail(q, q->path, err);
    close(fd);
    return TW_OK;
}

static int64_t mono_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * TW_NS_PER_S + ts.tv_nsec;
}

/* As sqlite3_busy_timeout(), but for whoever has to end. */
static int wait_for_others(void *ctx, int tries)
{
    struct sq *q = ctx;
    int64_t now = mono_ns(), hurry = atomic_load(&q->hurry_ns),
            pause = tries < 10 ? TW_NS_PER_MS * (1 + tries) : BUSY_PAUSE_NS;
    struct timespec ts = { .tv_nsec = pause };

    if (!tries)
        q->busy_since_ns = now;
    if (now - q->busy_since_ns >= BUSY_NS || (hurry && now >= hurry))
        return 0;
    nanosleep(&ts, NULL);
    return 1;
}

static enum tw_rc connect_db(struct sq *q, int flags, struct tw_err *err)
{
    if (sqlite3_open_v2(q->path, &q->db, flags | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return sq_fail(q, err);
    sqlite3_busy_handler(q->db, wait_for_others, q);
    return TW_OK;
}

/* All of it or nothing: what it changes, its number, and who may work with the file from now on. */
static enum tw_rc migrate_one(struct sq *q, size_t i, struct tw_err *err)
{
    char tail[400];
    struct tw_err why = { 0 };
    enum tw_rc rc;

    snprintf(tail, sizeof tail,
             "CREATE TABLE IF NOT EXISTS schema_floor (one INTEGER PRIMARY KEY CHECK (one = 1), oldest INTEGER NOT NULL) STRICT;"
             "INSERT INTO schema_floor (one, oldest) VALUES (1, %zu)"
             " ON CONFLICT DO UPDATE SET oldest = max(oldest, excluded.oldest);"
             "PRAGMA application_id = %d; PRAGMA user_version = %zu; COMMIT",
             sq_floor(q->spec, i + 1), (int)q->spec->application_id, i + 1);
    rc = sq_exec(q, "BEGIN IMMEDIATE", &why);
    if (!rc)
        rc = sq_exec(q, q->spec->migrations[i].sql, &why);
    if (!rc)
        rc = sq_exec(q, tail, &why);
    if (!rc)
        return TW_OK;
    sq_rollback(q);
    return tw_err_set(err, rc, "%s: migration %s failed and is undone: %s", q->path, q->spec->migrations[i].name,
                      why.text);
}

static enum tw_rc migrate(struct sq *q, struct tw_err *err)
{
    int64_t version;
    enum tw_rc rc = sq_get_int(q, "PRAGMA user_version", &version, err);

    if (!rc)
        rc = sq_keep_copy(q, (size_t)version, err);
    for (size_t i = (size_t)version; !rc && i < *q->spec->n_migrations; i++)
        rc = migrate_one(q, i, err);
    return rc;
}

/* Takes effect only before the first table, and writes to the file each time. */
static enum tw_rc set_vacuum(struct sq *q, struct tw_err *err)
{
    int64_t version;
    enum tw_rc rc = sq_get_int(q, "PRAGMA user_version", &version, err);

    return rc || version ? rc : sq_exec(q, "PRAGMA auto_vacuum = INCREMENTAL", err);
}

static enum tw_rc init(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err)
{
    *q = (struct sq){ .spec = spec, .lock_fd = -1 };
    q->path = strdup(path);
    q->stmt = calloc(spec->n_sql, sizeof *q->stmt);
    if (q->path && q->stmt)
        return TW_OK;
    return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", spec->what, path);
}

enum tw_rc sq_open(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err)
{
    enum tw_rc rc = init(q, path, spec, err);

    if (!rc)
        rc = take_lock(q, err);
    if (!rc)
        rc = make_file(q, err);
    if (!rc)
        rc = sq_check_file(path, spec, err);
    if (!rc)
        rc = connect_db(q, SQLITE_OPEN_READWRITE, err);
    if (!rc)
        rc = set_vacuum(q, err);
    if (!rc)
        rc = sq_exec(q, pragmas, err);
    if (!rc)
        rc = sq_exec(q, spec->pragmas, err);
    if (!rc)
        rc = migrate(q, err);
    if (rc)
        sq_close(q);
    return rc;
}

static enum tw_rc check_version(struct sq *q, bool older_too, struct tw_err *err)
{
    int64_t id = 0, version = 0;
    enum tw_rc rc = sq_get_int(q, "PRAGMA application_id", &id, err);

    if (!rc)
        rc = sq_get_int(q, "PRAGMA user_version", &version, err);
    if (rc)
        return rc;
    if (id != q->spec->application_id)
        return tw_err_set(err, TW_ECORRUPT, "%s: not a %s: give another path", q->path, q->spec->what);
    if ((uint64_t)version < *q->spec->n_migrations && !older_too)
        return tw_err_set(err, TW_EVERSION,
                          "%s %s: of an older release (schema %lld, this one reads %zu): start the controller on it once",
                          q->spec->what, q->path, (long long)version, *q->spec->n_migrations);
    return sq_check_version(q, version, err);
}

static enum tw_rc open_reader(struct sq *q, const char *path, const struct sq_spec *spec, bool older_too,
                              struct tw_err *err)
{
    enum tw_rc rc = init(q, path, spec, err);

    if (!rc)
        rc = connect_db(q, SQLITE_OPEN_READONLY, err);
    if (!rc) {
        sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
        rc = sq_exec(q, reader_pragmas, err);
    }
    if (!rc)
        rc = check_version(q, older_too, err);
    if (rc)
        sq_close(q);
    return rc;
}

enum tw_rc sq_open_reader(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err)
{
    return open_reader(q, path, spec, false, err);
}

enum tw_rc sq_open_source(struct sq *q, const char *path, const struct sq_spec *spec, struct tw_err *err)
{
    return open_reader(q, path, spec, true, err);
}

static bool is_hurried(const struct sq *q)
{
    int64_t by_ns = atomic_load(&q->hurry_ns);

    return by_ns && mono_ns() > by_ns - CHECKPOINT_NS;
}

void sq_close(struct sq *q)
{
    if (q->db && is_hurried(q)) /* whoever opens the file next does it */
        sqlite3_db_config(q->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    for (unsigned i = 0; q->stmt && i < q->spec->n_sql; i++)
        sqlite3_finalize(q->stmt[i]);
    free(q->stmt);
    sqlite3_close(q->db);
    /* Only now: the close may still write the WAL back. */
    if (q->spec && q->lock_fd >= 0)
        close(q->lock_fd);
    free(q->path);
    *q = (struct sq){ .lock_fd = -1 };
}
