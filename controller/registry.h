/* controller/registry.h - which controllers share our control state: each says in etcd (db/etcd/presence.h)
 * who it is and how it does, as long as it lives, and sees the others. Loop thread. */
#ifndef TW_CONTROLLER_REGISTRY_H
#define TW_CONTROLLER_REGISTRY_H

#include "controller/controller.h"
#include "controller/registry_list.h"

#define REGISTRY_LEASE_NS (6 * TW_NS_PER_S) /* after so long one that was killed is missing */

struct registry;
/* Says that we are there, and where; after the servers run. */
enum tw_rc registry_start(struct controller *c, const struct controller_conf *conf, struct registry **ret,
                          struct tw_err *err);
/* Says that we go. Also of NULL. */
void registry_stop(struct registry *r);

/* Of NULL: none. By name; they are good until the loop goes on. */
size_t registry_rows(const struct registry *r, const struct registry_row **ret);
/* The one of that name that is there, the last if there are two; NULL: none is. r may be NULL. Good until the
 * loop goes on. */
const struct registry_row *registry_find_up(const struct registry *r, const char *name);
/* Is it there, and does it make calls for others (relay.h)? r may be NULL. */
bool registry_takes_calls(const struct registry *r, const char *name);
/* For relay.c: one more text beside what we say of ourselves, taken, NULL: none, and those of the others that
 * are there. */
void registry_put_relay(struct registry *r, char *text);
void registry_read_relay(struct registry *r, void (*fn)(void *ctx, const struct presence_text *t), void *ctx);
/* What somebody has to see to, with ours: "" if nothing. */
const char *registry_warning(const struct registry *r);

/* That an agent is connected to another controller (agent.elsewhere), which does not take calls for it, and
 * where that is asked. */
void registry_say_where(const struct registry *r, const struct agent *a, char *text, size_t cap);

struct registry_counts {
    size_t of[REGISTRY_STATES];
    size_t other_release, twins; /* of those that are up */
};
struct registry_counts registry_counts(const struct registry *r);

#endif
