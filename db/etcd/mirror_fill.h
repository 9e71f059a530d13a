/* db/etcd/mirror_fill.h - puts the control state of a SQLite file into an etcd that has none. It may end at
 * any moment, and goes on when it is begun again; until all is there and compared, /twampmesh/CLUSTER/filling
 * is there and nobody else opens it (mirror_open(): TW_EINUSE). */
#ifndef TW_DB_MIRROR_FILL_H
#define TW_DB_MIRROR_FILL_H

#include "db/etcd/mirror.h"

struct mirror_fill_conf {
    struct mirror_conf mirror; /* its file is removed in the end */
    const char *from;          /* nobody writes to it, and it stays as it is */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total); /* rows; false: TW_ECLOSED; may be NULL */
    void *ctx;
    int64_t patience_ns; /* how long etcd may be away; 0: a minute */
};
struct mirror_filled {
    uint64_t rows, added; /* in all tables; those of them that were not there yet */
    bool was_there;       /* all of it: it was only compared */
};
/* TW_EEXIST: another control state is there. TW_ECORRUPT: it is not the same on both sides. TW_ERANGE: a row
 * is more than etcd takes. */
enum tw_rc mirror_fill(const struct mirror_fill_conf *conf, struct mirror_filled *ret, struct tw_err *err);
/* How many rows of control state a file has. */
enum tw_rc mirror_fill_count(const char *from, uint64_t *ret, struct tw_err *err);

#endif
