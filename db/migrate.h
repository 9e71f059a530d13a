/* db/migrate.h - what a controller has in SQLite, carried to where several controllers share it
 * (docs/scaling.md). The controller must not run; its file stays as it is. */
#ifndef TW_DB_MIGRATE_H
#define TW_DB_MIGRATE_H

#include "db/carry.h"

struct migrate_conf {
    const char *path;    /* controller.db */
    const char *history; /* SCHEME://..., as the controller's option */
    bool (*progress)(void *ctx, enum carry_phase phase, uint64_t done, uint64_t total); /* as in carry_conf */
    void *ctx;
};
/* As carry_history(); the database belongs then to the controller of that path. TW_EINUSE: that controller
 * runs. TW_EVERSION: its file is of an older release. Once in a process. */
enum tw_rc migrate_history(const struct migrate_conf *conf, struct carry_report *ret, struct tw_err *err);
/* As carry_look(). */
enum tw_rc migrate_look(const struct migrate_conf *conf, struct carry_report *ret, double *ret_rate,
                        struct tw_err *err);

#endif
