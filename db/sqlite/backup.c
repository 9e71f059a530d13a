/* Copies of the history database, and putting one in its place. */
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

#include "db/store_priv.h"

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
    rc = sq_copy(r->q, part, p, ret_bytes, err);
    store_reader_close(r);
    if (rc)
        return rc;
    if (link(part, to)) /* unlike rename(): never over another */
        rc = sq_path_fail(to, err);
    unlink(part);
    return rc ? rc : sq_settle_folder(to, err);
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

/* Of an older release: what must hold in it we know no more, but that SQLite can read it. The controller migrates it at its next start. */
static enum tw_rc check_source(struct sq *from, const struct store_progress *p, struct tw_err *err)
{
    struct bad bad = { .any = false };
    int64_t version = 0;
    enum tw_rc rc = sq_get_int(from, "PRAGMA user_version", &version, err);

    if (!rc && version < (int64_t)*store_spec.n_migrations)
        return sq_check_pages(from, err);
    if (!rc)
        rc = store_check(from->path, p, note_bad, &bad, err);
    if (rc || !bad.any)
        return rc;
    return tw_err_set(err, TW_ECORRUPT, "%s is damaged and not taken: %s", from->path, bad.text);
}

enum tw_rc store_lock(const char *path, int *ret_fd, struct tw_err *err)
{
    char name[PATH_MAX];

    snprintf(name, sizeof name, "%s.lock", path);
    *ret_fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (*ret_fd < 0)
        return sq_path_fail(name, err);
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
        return sq_path_fail(kept, err);
    if (*kept ? rename(wal, kept_wal) : unlink(wal)) /* without its database a log is worth nothing */
        if (errno != ENOENT)
            return sq_path_fail(*kept ? kept_wal : wal, err);
    unlink(shm);
    return rename(tmp, path) ? sq_path_fail(path, err) : sq_settle_folder(path, err);
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
    struct sq source = { .lock_fd = -1 };
    uint64_t bytes;
    int lock = -1;
    enum tw_rc rc;

    if (snprintf(tmp, sizeof tmp, "%s.restoring", path) >= (int)sizeof tmp)
        return tw_err_set(err, TW_EINVAL, "%s: path too long", path);
    if (access(from, R_OK)) /* before any word of a lock */
        return sq_path_fail(from, err);
    rc = store_lock(path, &lock, err);
    if (rc)
        return rc;
    rc = sq_open_source(&source, from, &store_spec, err);
    if (!rc)
        rc = check_source(&source, p, err);
    unlink(tmp); /* of one that was cut short: we have the lock */
    if (!rc)
        rc = sq_copy(&source, tmp, p, &bytes, err);
    sq_close(&source);
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
