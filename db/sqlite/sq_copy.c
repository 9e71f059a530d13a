/* Copies: by SQLite's own way, page by page, from one read transaction, so that writing goes on and the copy
 * is of one moment. */
#include "db/sqlite/sq.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/folder.h"
#include "db/backup.h"

#define STEP_PAGES 1024 /* 4 MiB */

enum tw_rc sq_path_fail(const char *path, struct tw_err *err)
{
    int e = errno;

    return tw_err_set(err, tw_rc_errno(e), "%s: %s", path, strerror(e));
}

/* Only we may read it; no journal, since a copy that was cut short is thrown away. */
static enum tw_rc open_target(struct sq *to, const char *path, struct tw_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    if (fd < 0 && errno == EEXIST)
        return tw_err_set(err, TW_EEXIST, "%s: a copy is being made there, or was cut short: remove it",
                          path);
    if (fd < 0)
        return sq_path_fail(path, err);
    close(fd);
    if (sqlite3_open_v2(path, &to->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL))
        return sq_fail(to, err);
    return sq_exec(to, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", err);
}

static enum tw_rc copy_pages(struct sq *from, struct sq *to, const struct store_progress *p,
                             struct tw_err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to->db, "main", from->db, "main");
    enum tw_rc rc = TW_OK;
    int code = SQLITE_OK;

    if (!b)
        return sq_fail(to, err);
    while (!rc && (code = sqlite3_backup_step(b, STEP_PAGES)) == SQLITE_OK) {
        int total = sqlite3_backup_pagecount(b);
        if (p && p->fn && !p->fn(p->ctx, (uint64_t)(total - sqlite3_backup_remaining(b)), (uint64_t)total))
            rc = tw_err_set(err, TW_ECLOSED, "stopped");
    }
    if (sqlite3_backup_finish(b) != SQLITE_OK && !rc)
        rc = sq_fail(to, err);
    if (!rc && code != SQLITE_DONE)
        rc = tw_err_set(err, TW_EIO, "%s: copying stopped: %s", to->path, sqlite3_errstr(code));
    return rc;
}

/* To the disk, and its size. */
static enum tw_rc settle_file(const char *path, uint64_t *ret_bytes, struct tw_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    enum tw_rc rc = TW_OK;

    if (fd < 0 || fsync(fd) || fstat(fd, &st))
        rc = sq_path_fail(path, err);
    else
        *ret_bytes = (uint64_t)st.st_size;
    if (fd >= 0)
        close(fd);
    return rc;
}

enum tw_rc sq_settle_folder(const char *path, struct tw_err *err)
{
    return folder_sync(path) ? sq_path_fail(path, err) : TW_OK;
}

/* The journal mode stands in the file: with WAL it would want two files beside it. */
enum tw_rc sq_copy(struct sq *from, const char *path, const struct store_progress *p, uint64_t *ret_bytes,
                   struct tw_err *err)
{
    struct sq to = { .spec = from->spec, .path = (char *)path, .lock_fd = -1 };
    enum tw_rc rc = open_target(&to, path, err);

    if (rc == TW_EEXIST)
        return rc;
    if (!rc)
        rc = sq_exec(from, "BEGIN", err);
    if (!rc) {
        int64_t version;
        rc = sq_get_int(from, "PRAGMA user_version", &version, err); /* the moment is now */
        if (!rc)
            rc = copy_pages(from, &to, p, err);
        sq_rollback(from);
    }
    if (!rc)
        rc = sq_exec(&to, "PRAGMA journal_mode = DELETE", err);
    if (sqlite3_close(to.db) != SQLITE_OK && !rc)
        rc = tw_err_set(err, TW_EIO, "%s: cannot be closed", path);
    if (!rc)
        rc = settle_file(path, ret_bytes, err);
    if (rc)
        unlink(path);
    return rc;
}
