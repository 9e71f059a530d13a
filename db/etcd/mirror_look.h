/* db/etcd/mirror_look.h - is etcd there? A thread that asks it, so that whoever has work for it need not wait
 * to find out. */
#ifndef TW_DB_MIRROR_LOOK_H
#define TW_DB_MIRROR_LOOK_H

#include "db/etcd/etcd.h"

struct mirror_look;

/* `e` becomes its own, also on an error; it is asked for `key` every_ns after it answered last. */
enum tw_rc mirror_look_start(struct etcd *e, const char *key, int64_t every_ns, struct mirror_look **ret,
                             struct tw_err *err);
void mirror_look_stop(struct mirror_look *l); /* also of NULL */
/* TW_OK: it answered when it was asked last, or was not asked yet. Else why it did not. Any thread. */
enum tw_rc mirror_look_last(struct mirror_look *l, struct tw_err *err);

#endif
