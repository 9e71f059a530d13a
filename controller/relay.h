/* controller/relay.h - calls to agents that are connected to another controller of the same control state.
 * The call stands in etcd, in a text of this controller beside what it says of itself
 * (controller/registry.h); the one that has the agent makes it and puts the answer into its own. So nobody
 * needs more than etcd for it: no credentials, no way from controller to controller. Loop thread.
 *
 * Numbers: a controller writes its text at once, and then each RELAY_PACE_NS at most, and no more than some
 * 128 KB each second. A call that is not answered within RELAY_CALL_NS has failed; it may have been made, so
 * agents are asked only for what changes nothing, or ends by itself when nobody asks on (tests on demand). */
#ifndef TW_CONTROLLER_RELAY_H
#define TW_CONTROLLER_RELAY_H

#include "controller/controller.h"

#define RELAY_PACE_NS (250 * TW_NS_PER_MS)
#define RELAY_CALL_NS (6 * TW_NS_PER_S)

struct relay;
enum tw_rc relay_new(struct controller *c, struct relay **ret);
/* What waits ends with UNAVAILABLE. After the servers, since calls of theirs are answered here. Also of NULL.
 */
void relay_free(struct relay *r);

/* Is it connected to another controller which is there and takes calls? r may be NULL. */
bool relay_reaches(const struct relay *r, const struct agent *a);
/* For generated stubs of FleetAgent, as rpc_peer_service(), of an agent that relay_reaches(); NULL: it does
 * not. Only those methods that relay_serve.c lists are made at the other end. Good until the next call. */
ProtobufCService *relay_agent(struct relay *r, const struct agent *a);

/* For generated stubs of Admin, of the controller that runs that test on demand: TestStop and TestProgress.
 * NULL: none that is there does. */
ProtobufCService *relay_test_owner(struct relay *r, uint64_t test_id);
/* How that test goes at another controller: fills in state and numbers. False: none runs it. r may be NULL.
 */
bool relay_test_info(const struct relay *r, uint64_t test_id, Tw__TestInfo *ret);
#define RELAY_PAGE_MAX (96u << 10) /* octets of a reply that may be cut into pages */

/* For registry.c: something is different, or half a second is over. r may be NULL. */
void relay_look(struct relay *r);

struct relay_counts {
    uint64_t asked, failed;   /* calls of ours; failed: without an answer of the agent's */
    uint64_t made;            /* for others */
    uint64_t unread, ignored; /* texts that are none; calls beyond what we serve */
};
struct relay_counts relay_counts(const struct relay *r);

#endif
