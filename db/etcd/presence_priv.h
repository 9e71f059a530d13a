/* db/etcd/presence_priv.h - what the two threads of presence.h share. */
#ifndef TW_DB_PRESENCE_PRIV_H
#define TW_DB_PRESENCE_PRIV_H

#include <pthread.h>

#include "db/etcd/presence.h"

#define PRESENCE_SILENCE_NS (10 * TW_NS_PER_S) /* then another member of etcd is watched */

struct presence_own {
    char *text;
    bool due; /* etcd does not have it yet */
};
struct presence_entry {
    char name[PRESENCE_NAME_MAX];
    int64_t lease, revision;
    unsigned slot;
    char *text;
    bool seen; /* while all is read anew */
};

struct presence {
    char prefix[ETCD_KEY_MAX / 2], name[PRESENCE_NAME_MAX];
    int64_t ttl_ns;
    unsigned slots;
    void (*changed)(void *ctx);
    void *ctx;
    struct etcd *says, *hears_by;
    pthread_t sayer, hearer;
    pthread_mutex_t lock;
    pthread_cond_t moved;
    /* Under the lock. */
    bool stop, heard, hears;
    struct presence_own own[PRESENCE_SLOTS];
    int64_t lease, keep_ns;
    char error[256], *last, forget[PRESENCE_NAME_MAX];
    struct presence_entry *v;
    size_t n, cap;
    /* The hearing thread's own. */
    int64_t next; /* revision to be watched from */
    struct tw_err err;
};

/* presence_hear.c: a thread; ctx is the presence. */
void *presence_hear(void *ctx);
void presence_drop_all(struct presence *p);

#endif
