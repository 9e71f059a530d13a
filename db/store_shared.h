/* db/store_shared.h - of a store whose control state others change, too (db/control.h). Of the store's
 * thread. One whose control state is its own has nothing to say: all of it does nothing then. */
#ifndef TW_DB_STORE_SHARED_H
#define TW_DB_STORE_SHARED_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct store;

struct store_shared_info {
    bool shared;
    char address[160]; /* as an operator wrote it, without what may be a secret */
    bool away;         /* it did not answer when it was asked last; what needs it fails, the rest goes on */
    char why[256];
    int64_t revision; /* that is known here */
    uint64_t transactions;
    uint64_t conflicts; /* transactions that were refused since others came first */
    uint64_t loads;     /* times that all of it was read */
    uint64_t settled;   /* transactions whose answer was lost, and that were found out */
};
void store_shared_info(struct store *s, struct store_shared_info *ret);
/* Outside of a transaction: takes in what others changed, if anything came. */
enum tw_rc store_follow(struct store *s, struct tw_err *err);
/* fn is told of what others changed: "TABLE/KEY", or "": it may be anything. From within store_begin() and
 * store_follow(); the store is read after that. */
void store_listen(struct store *s, void (*fn)(void *ctx, const char *key), void *ctx);
/* Transactions from now on are done only while the holder of that role is the one with this number
 * (etcd/holder.h); 0: all are. Else store_commit() says TW_EPERM, and nothing of the control state is
 * changed. Outside of a transaction. */
void store_fence(struct store *s, const char *role, int64_t number);
/* Has the open transaction looked at what is shared, or changed it? Else it needs nothing of it. */
bool store_shared_touched(const struct store *s);
/* Did the last store_commit() fail because of what is shared? */
bool store_shared_failed(const struct store *s);

#endif
