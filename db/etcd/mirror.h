/* db/etcd/mirror.h - control state that several controllers share. It is in etcd; each has all of it in a
 * SQLite file, too, the mirror, which can be thrown away: what is read is read there, and a transaction is
 * done there and in etcd, or nowhere.
 *
 *     /twampmesh/CLUSTER/TABLE/...    the rows (mirror_tables.h)
 *     /twampmesh/CLUSTER/head         changed by each transaction (mirror_head.h)
 *     /twampmesh/CLUSTER/writer/ID    of each that writes: the number of its last transaction
 *     /twampmesh/CLUSTER/schema       which programs may work with it
 *
 * A transaction compares `head` with what the mirror is at: so it is done on exactly what it saw, or
 * store_commit() says TW_EAGAIN and the next store_begin() brings the mirror to where the others are. It
 * leaves its number at its writer's key, by which one whose answer was lost is found out; one that might come
 * yet is barred by another change of `head`. Where that cannot be done in time, since no member answers,
 * store_commit() fails (TW_EIO, TW_ETIMEOUT: "not known whether"), and the next store_begin() finds out
 * before anything else; if it had been stored it is then as if somebody else had done it.
 *
 * Where etcd has another history than before (an older snapshot was restored) all is read anew. Where it is
 * empty that is TW_ECORRUPT, and the mirror stays. TW_ENOSPC: its quota is used up, and nothing was changed.
 *
 * Each write is in a transaction; one outside makes the next store_begin() fail once (TW_EINVAL), and is
 * gone. */
#ifndef TW_DB_MIRROR_H
#define TW_DB_MIRROR_H

#include "db/etcd/etcd.h"
#include "db/store_priv.h"

struct mirror;

struct mirror_conf {
    const struct http_location *at; /* its name: CLUSTER */
    const char *file;  /* the mirror; nothing that is only there is lost with it but alerts' baselines */
    int64_t stall_ns;  /* how long a member may be silent; 0: 5 s */
    int64_t settle_ns; /* how long the outcome of a transaction is asked for; 0: 10 s */
    int64_t watch_ns;  /* silence after which another member is watched; 0: 60 s */
    /* How often a thread asks whether etcd is there; 0: never. With it, what needs no control state goes on
     * while it is not: store_begin() works, and store_commit() fails if something of it was looked at or
     * changed. */
    int64_t look_ns;
    bool filling; /* also of one that is being filled (mirror_fill.h), which else is TW_EINUSE */
    void (*changed)(void *ctx, const char *key); /* store_listen(); may be NULL */
    void *ctx;
};
/* Reads everything. The history becomes the store's, also on an error. TW_EVERSION: a newer release has been
 * at work on it. */
enum tw_rc mirror_open(const struct mirror_conf *conf, struct history *history, struct store **ret,
                       struct tw_err *err);
struct mirror_stats {
    int64_t revision; /* of etcd that the mirror is at */
    uint64_t transactions, conflicts, loads;
    uint64_t settled; /* transactions whose answer was lost and that were found out */
};
struct mirror_stats mirror_stats(const struct store *s);

#endif
