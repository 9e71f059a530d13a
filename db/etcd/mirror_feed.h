/* db/etcd/mirror_feed.h - what changes in etcd, as it comes: a thread that watches, and a queue that the
 * owner empties. Keys are without the prefix. */
#ifndef TW_DB_MIRROR_FEED_H
#define TW_DB_MIRROR_FEED_H

#include "db/etcd/etcd.h"
#include "db/etcd/mirror_head.h"

struct mirror_feed;

/* Changes from `revision` on, behind that of *head. `e` becomes the feed's, also on an error; it must not
 * wait for long (its stall_ns), since silence is how a member that is gone is known. */
enum tw_rc mirror_feed_start(struct etcd *e, const char *prefix, int64_t revision,
                             const struct mirror_head *head, struct mirror_feed **ret, struct tw_err *err);
void mirror_feed_stop(struct mirror_feed *f); /* also of NULL */

struct mirror_event {
    struct mirror_event *next;
    int64_t revision;
    char *key, *value; /* value NULL: it is gone */
    size_t len;
};
/* All that came, in order; the owner's. *ret_lost: others came and were lost (etcd did not know them any
 * more, they were too many, or it has another history now, as of an older snapshot): all is to be read anew,
 * now. */
struct mirror_event *mirror_feed_take(struct mirror_feed *f, bool *ret_lost);
void mirror_event_free(struct mirror_event *e);
/* Until one of that revision has come, or some were lost; false: not in this time. */
bool mirror_feed_wait(struct mirror_feed *f, int64_t revision, int64_t wait_ns);

#endif
