/* db/backup.h - copies of the history database, and what is wrong in one. Each call has connections of its
 * own: any thread, also while the controller runs, but for store_restore(). */
#ifndef TW_DB_BACKUP_H
#define TW_DB_BACKUP_H

#include "common/rc.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How far it is: fn(done, total), in whatever unit; false ends it with TW_ECLOSED and leaves nothing behind.
 * May be NULL. */
struct store_progress {
    bool (*fn)(void *ctx, uint64_t done, uint64_t total);
    void *ctx;
};

/* The database at `from` as it is at this moment, in one file `to` that needs nothing beside it. TW_EEXIST:
 * there is such a file. What is written meanwhile stays in the write-ahead log until it is done. *ret_bytes:
 * its size. */
enum tw_rc store_backup(const char *from, const char *to, const struct store_progress *p, uint64_t *ret_bytes,
                        struct tw_err *err);

/* Puts a copy of `from` in the place of the database `path`, whose controller must not run (TW_EINUSE).
 * `from` is checked first, all of it, and nothing is touched unless it is whole. What was there is kept as
 * ret_kept ("" : there was none). */
enum tw_rc store_restore(const char *from, const char *path, int64_t now_ns, const struct store_progress *p,
                         char *ret_kept, size_t cap, struct tw_err *err);

/* One thing that was looked at. */
struct store_checked {
    const char *name; /* "integrity" */
    const char *what; /* must hold: "pages and indexes are whole" */
    bool ok;
    uint64_t looked_at; /* so many */
    char text[256];     /* not ok: what is wrong */
};
/* Looks at all of a database, a running controller's, too. TW_OK also when something is wrong: fn() hears of
 * each thing. */
enum tw_rc store_check(const char *path, const struct store_progress *p,
                       void (*fn)(void *ctx, const struct store_checked *c), void *ctx, struct tw_err *err);

#endif
