/* db/etcd/presence.h - who is there: each member keeps keys of etcd as long as it lives, in which it says
 * what it likes of itself, and sees those of all.
 *
 *     /twampmesh/CLUSTER/controller/NAME/LEASE/SLOT    with a lease: gone when the member is
 *     /twampmesh/CLUSTER/controller-known/NAME         its slot 0 as it was last: stays
 *
 * LEASE tells members of one name apart, and a member from what it was before it was away for too long. NAME
 * as in keys of rows (mirror_key.h). Two threads of its own: one says, one hears. While etcd is away it is
 * tried again, and what was heard last stays. */
#ifndef TW_DB_PRESENCE_H
#define TW_DB_PRESENCE_H

#include "db/etcd/etcd.h"

#define PRESENCE_NAME_MAX 256
#define PRESENCE_SLOTS 64u /* at most */

struct presence;

struct presence_conf {
    const struct http_location *at; /* its name: CLUSTER */
    const char *name;               /* of this member; others may have it, too */
    int64_t ttl_ns;                 /* how long it is there after its end; whole seconds, 2 s at least */
    unsigned slots;                 /* texts of its own */
    void (*changed)(void *ctx);     /* there is something new to read; a thread of its own; not NULL */
    void *ctx;
};
/* Copies *conf. Nothing is asked yet. */
enum tw_rc presence_start(const struct presence_conf *conf, struct presence **ret, struct tw_err *err);
/* The member goes: all see it at once if etcd answers within a second. last: what the key that stays says
 * then; NULL: as before. Also of NULL. */
void presence_stop(struct presence *p, const char *last);

/* Any thread. */
/* What this member says: takes the text, from malloc(); NULL: nothing. It is written soon, with all else that
 * is different. */
void presence_put(struct presence *p, unsigned slot, char *text);

struct presence_text {
    const char *name;
    int64_t lease; /* 0: this is the key that stays; slot 0 then */
    unsigned slot;
    int64_t revision; /* rises with each change */
    const char *text;
};
struct presence_state {
    bool heard;      /* all was read once */
    bool hears;      /* and etcd tells what changes: what is not there is gone */
    int64_t lease;   /* of this member; 0: it is not there for others */
    char error[256]; /* why not; "": nothing is wrong */
};
/* All that is there, in no order; fn must not call us, and what it is given goes when it returns. */
struct presence_state presence_read(struct presence *p, void (*fn)(void *ctx, const struct presence_text *t),
                                    void *ctx);
/* Takes the key that stays of a name away, if etcd answers: nobody misses that member any more. */
void presence_forget(struct presence *p, const char *name);

#endif
