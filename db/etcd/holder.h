/* db/etcd/holder.h - hold.h with a real etcd: a thread that holds a key, or waits for it. */
#ifndef TW_DB_HOLDER_H
#define TW_DB_HOLDER_H

#include "db/etcd/etcd.h"

struct holder;

struct holder_conf {
    const struct http_location *at; /* its name: CLUSTER */
    const char *role;               /* /twampmesh/CLUSTER/holder/ROLE */
    const char
        *name;      /* of this controller: the key's value, for people; printable ASCII without '"' and '\' */
    int64_t ttl_ns; /* of the lease: after so long another one holds it; whole seconds, 2 s at least */
};
/* Copies *conf. */
enum tw_rc holder_start(const struct holder_conf *conf, struct holder **ret, struct tw_err *err);
/* Gives it up, if etcd answers within a second. Also of NULL. */
void holder_stop(struct holder *h);
/* As hold_number(), now. Any thread. */
int64_t holder_number(struct holder *h);

#endif
