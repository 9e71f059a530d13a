/* controller/learn.h - how far an agent's spool is stored, where other controllers store, too: it may have
 * been connected to another one a moment ago, so what memory has of it may be behind. The history is asked
 * when it says HELLO, and its answer waits for that (rpc_welcome.later): then it begins where it stood.
 *
 * Who comes while the history is being asked is in the next question, with all others that have come until
 * then: a thousand agents are a few questions. An agent waits for LEARN_WAIT_NS at most, or not at all while
 * the history is away. Then it is told what memory has, and sends some of it again, which is stored as well
 * and read once.
 *
 * Loop thread. */
#ifndef TW_CONTROLLER_LEARN_H
#define TW_CONTROLLER_LEARN_H

#include "controller/controller.h"

/* Less than an agent with other controllers has patience for. */
#define LEARN_WAIT_NS (1500 * TW_NS_PER_MS)

struct learn;
enum tw_rc learn_new(struct controller *c, struct learn **ret);
/* After the writer and the agents' listener have stopped. NULL: nothing. */
void learn_free(struct learn *l);

/* During on_hello() of an approved agent: has memory what is stored of its spool, as far as can be known?
 * False: put it off; rpc_server_ask_again() comes. Always true where the history is this controller's alone.
 */
bool learn_is_over(struct learn *l, struct agent *a, const struct rpc_hello *h);

struct learn_counters {
    uint64_t questions, spools; /* asked of the history; spools in them */
    size_t waiting;             /* now: whose question is not answered yet */
    uint64_t late;              /* agents that were not made to wait any longer */
};
void learn_counters(const struct learn *l, struct learn_counters *ret);

#endif
