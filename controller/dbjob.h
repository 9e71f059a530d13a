/* controller/dbjob.h - copies and checks of the database while it is in use, on a thread of their own. One at
 * a time. Loop thread. */
#ifndef TW_CONTROLLER_DBJOB_H
#define TW_CONTROLLER_DBJOB_H

#include <limits.h>
#include "common/work.h"
#include "db/backup.h"

struct dbjob;

#define DBJOB_CHECKS 16
#define DBJOB_NAME_MAX 100
enum dbjob_kind { DBJOB_NONE, DBJOB_BACKUP, DBJOB_CHECK };
const char *dbjob_kind_name(enum dbjob_kind k); /* "", "backup", "check" */
enum tw_rc dbjob_kind_parse(const char *name, enum dbjob_kind *ret);

struct dbjob_state {
    enum dbjob_kind kind; /* of the last one */
    bool over;
    uint64_t done, total, bytes;
    int64_t started_ns, ended_ns;
    char file[PATH_MAX];
    char error[512];
    struct store_checked checks[DBJOB_CHECKS];
    size_t n_checks;
};

/* folder: where copies go; made when the first is. The strings are used until dbjob_free(). */
enum tw_rc dbjob_new(const char *database, const char *folder, struct dbjob **ret);
/* Stops what is under way, and waits for that. */
void dbjob_free(struct dbjob *j);
/* name: of the copy, a plain file name; "" by the time. TW_EBUSY: one is under way. TW_EINVAL: no such name.
 * TW_EEXIST: there is such a copy. */
enum tw_rc dbjob_start(struct dbjob *j, enum dbjob_kind kind, const char *name, int64_t now_ns,
                       struct tw_err *err);
void dbjob_look(struct dbjob *j, struct dbjob_state *ret);
/* Of its threads, one after another. Any thread. */
void dbjob_work(const struct dbjob *j, struct work_stats *ret);
void dbjob_stop(struct dbjob *j);

#endif
