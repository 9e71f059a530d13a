/* db/migrate.h - what a controller has in SQLite, carried to where several controllers share it
 * (docs/scaling.md). The controller must not run; its file stays as it is. */
#ifndef TW_DB_MIGRATE_H
#define TW_DB_MIGRATE_H

#include "db/carry.h"
#include "db/etcd/mirror_fill.h"

struct migrate_conf {
    const char *path;    /* controller.db */
    const char *history; /* SCHEME://..., as the controller's option */
    bool (*progress)(void *ctx, enum carry_phase phase, uint64_t done, uint64_t total); /* as in carry_conf */
    void *ctx;
};
/* As carry_history(); the database belongs then to the controller of that path. TW_EINUSE: that controller
 * runs. TW_EVERSION: its file is of an older release. Once in a process. */
enum tw_rc migrate_history(const struct migrate_conf *conf, struct carry_report *ret, struct tw_err *err);
/* The control state of `path`, as mirror_fill(), to `control`, as the controller's option. `mirror` is where
 * the controller has its mirror then; the number by which the history's database knows the controller is put
 * beside it. */
enum tw_rc migrate_control(const char *path, const char *control, const char *mirror,
                           bool (*progress)(void *ctx, uint64_t done, uint64_t total), void *ctx,
                           struct mirror_filled *ret, struct tw_err *err);
/* As carry_look(). */
enum tw_rc migrate_look(const struct migrate_conf *conf, struct carry_report *ret, double *ret_rate,
                        struct tw_err *err);

#endif
