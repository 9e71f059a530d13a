/* agent/io/stamp_wait.h - which datagrams the kernel is to tell the sending time of, and who wants to know:
 * by socket and the kernel's number (udpsock.h). Of fixed size, so what is never told gives way to what comes
 * later, and is counted. Not thread-safe. Private to agent. */
#ifndef TW_AGENT_STAMP_WAIT_H
#define TW_AGENT_STAMP_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct stamp_wait;

/* Part of whoever waits; zeroed. */
struct stamp_waiter {
    uint32_t n; /* stamp_wait.c's own: datagrams it waits for */
};

/* Room for 2^bits datagrams. */
enum tw_rc stamp_wait_new(unsigned bits, struct stamp_wait **ret);
void stamp_wait_free(struct stamp_wait *t);
/* socket: a number that no two open sockets of this table share. seq: what the waiter calls the datagram. */
void stamp_wait_add(struct stamp_wait *t, uint32_t socket, uint32_t id, struct stamp_waiter *w, uint32_t seq);
/* NULL: nobody waits for it, or not any more. look: goes on waiting; take: has been told all. */
struct stamp_waiter *stamp_wait_look(struct stamp_wait *t, uint32_t socket, uint32_t id, uint32_t *ret_seq);
struct stamp_waiter *stamp_wait_take(struct stamp_wait *t, uint32_t socket, uint32_t id, uint32_t *ret_seq);
/* Before *w goes. */
void stamp_wait_forget(struct stamp_wait *t, struct stamp_waiter *w);
/* Datagrams that the kernel has not told of. */
uint64_t stamp_wait_missing(const struct stamp_wait *t);

#endif
