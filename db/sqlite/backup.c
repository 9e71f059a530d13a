/* Copies: by SQLite's own way, page by page, from one read transaction, so that writing goes on and the copy
 * is of one moment. */
#include "db/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "db/sqlite/store_priv.h"

#define STEP_PAGES 1024 /* 4 MiB */

static enum tw_rc sys_fail(const char *path, struct tw_err *err)
{
    int e = errno;

    return tw_err_set(err, tw_rc_errno(e), "%s: %s", path, strerror(e));
}

/* ---- Copying ------------------------------------------------------------------------------------ */

/* Only we may read it; no journal, since a copy that was cut short is thrown away. */
static enum tw_rc open_target(struct sq *to, const char *path, struct tw_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

    if (fd < 0 && errno == EEXIST)
        return tw_err_set(err, TW_EEXIST, "%s: a copy is being made there, or was cut short: remove it",
                          path);
    if (fd < 0)
        return sys_fail(path, err);
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
        rc = sys_fail(path, err);
    else
        *ret_bytes = (uint64_t)st.st_size;
    if (fd >= 0)
        close(fd);
    return rc;
}

static enum tw_rc settle_folder(const char *path, struct tw_err *err)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int fd;
    enum tw_rc rc = TW_OK;

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        rc = sys_fail(folder, err);
    if (fd >= 0)
        close(fd);
    return rc;
}

/* The journal mode stands in the file: with WAL it would want two files beside it. */
static enum tw_rc copy_to(struct sq *from, const char *path, const struct store_progress *p,
                          uint64_t *ret_bytes, struct tw_err *err)
{
    struct sq to = { .spec = &store_spec, .path = (char *)path, .lock_fd = -1 };
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

enum tw_rc store_backup(const char *from, const char *to, const struct store_progress *p, uint64_t *ret_bytes,
                        struct tw_err *err)
{
    char part[PATH_MAX];
    struct store_reader *r;
    enum tw_rc rc;

    if (access(to, F_OK) == 0)
        return tw_err_set(err, TW_EEXIST, "%s: there is such a file already: give another name", to);
    if (snprintf(part, sizeof part, "%s.part", to) >= (int)sizeof part)
        return tw_err_set(err, TW_EINVAL, "%s: path too long", to);
    rc = store_reader_open(from, &r, err);
    if (rc)
        return rc;
    rc = copy_to(&r->q, part, p, ret_bytes, err);
    store_reader_close(r);
    if (rc)
        return rc;
    if (link(part, to)) /* unlike rename(): never over another */
        rc = sys_fail(to, err);
    unlink(part);
    return rc ? rc : settle_folder(to, err);
}

/* ---- Restoring ---------------------------------------------------------------------------------- */

struct bad {
    char text[300];
    bool any;
};

static void note_bad(void *ctx, const struct store_checked *c)
{
    struct bad *b = ctx;

    if (c->ok || b->any)
        return;
    b->any = true;
    snprintf(b->text, sizeof b->text, "%s: %s", c->name, c->text);
}

static enum tw_rc check_source(const char *from, const struct store_progress *p, struct tw_err *err)
{
    struct bad bad = { .any = false };
    enum tw_rc rc = store_check(from, p, note_bad, &bad, err);

    if (rc || !bad.any)
        return rc;
    return tw_err_set(err, TW_ECORRUPT, "%s is damaged and not taken: %s", from, bad.text);
}

static enum tw_rc lock_path(const char *path, int *ret_fd, struct tw_err *err)
{
    char name[PATH_MAX];

    snprintf(name, sizeof name, "%s.lock", path);
    *ret_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (*ret_fd < 0)
        return sys_fail(name, err);
    if (flock(*ret_fd, LOCK_EX | LOCK_NB) == 0)
        return TW_OK;
    close(*ret_fd);
    return tw_err_set(err, TW_EINUSE, "%s is in use: stop the controller first", path);
}

/* A new file belongs to whom the old one, or else its folder, belongs to. As far as we may. */
static void give_away(const char *tmp, const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    struct stat st;

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    if ((stat(path, &st) == 0 || stat(folder, &st) == 0) && chown(tmp, st.st_uid, st.st_gid))
        return;
}

/* The old one gets another name first, and its log with it; only then is the new one put there, in one move.
 */
static enum tw_rc swap(const char *tmp, const char *path, const char *kept, struct tw_err *err)
{
    char wal[PATH_MAX + 8], kept_wal[PATH_MAX + 8], shm[PATH_MAX + 8];

    snprintf(wal, sizeof wal, "%s-wal", path);
    snprintf(shm, sizeof shm, "%s-shm", path);
    snprintf(kept_wal, sizeof kept_wal, "%s-wal", kept);
    if (*kept && link(path, kept))
        return sys_fail(kept, err);
    if (rename(wal, kept_wal) && errno != ENOENT)
        return sys_fail(kept_wal, err);
    unlink(shm);
    return rename(tmp, path) ? sys_fail(path, err) : settle_folder(path, err);
}

static void name_kept(const char *path, int64_t now_ns, char *ret, size_t cap)
{
    time_t t = (time_t)(now_ns / TW_NS_PER_S);
    struct tm tm;
    char when[32];

    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm);
    *ret = '\0';
    if (access(path, F_OK) == 0)
        snprintf(ret, cap, "%s.before-%s", path, when);
}

enum tw_rc store_restore(const char *from, const char *path, int64_t now_ns, const struct store_progress *p,
                         char *ret_kept, size_t cap, struct tw_err *err)
{
    char tmp[PATH_MAX];
    struct store_reader *r = NULL;
    uint64_t bytes;
    int lock = -1;
    enum tw_rc rc;

    if (snprintf(tmp, sizeof tmp, "%s.restoring", path) >= (int)sizeof tmp)
        return tw_err_set(err, TW_EINVAL, "%s: path too long", path);
    if (access(from, R_OK)) /* before any word of a lock */
        return tw_err_set(err, tw_rc_errno(errno), "%s: %s", from, strerror(errno));
    rc = lock_path(path, &lock, err);
    if (rc)
        return rc;
    rc = check_source(from, p, err);
    if (!rc)
        rc = store_reader_open(from, &r, err);
    unlink(tmp); /* of one that was cut short: we have the lock */
    if (!rc)
        rc = copy_to(&r->q, tmp, p, &bytes, err);
    store_reader_close(r);
    name_kept(path, now_ns, ret_kept, cap);
    if (!rc) {
        give_away(tmp, path);
        rc = swap(tmp, path, ret_kept, err);
    }
    if (rc)
        unlink(tmp);
    close(lock);
    return rc;
}
