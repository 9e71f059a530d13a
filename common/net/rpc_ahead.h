/* common/net/rpc_ahead.h - struct rpc_ahead to and from what is on the wire. Only rpc_*.c include this. Pure.
 */
#ifndef TW_NET_RPC_AHEAD_H
#define TW_NET_RPC_AHEAD_H

#include "common/net/rpc.h"

/* Room for a message, whose parts point into it. */
struct ahead_pb {
    Tw__Ahead m;
    Tw__SeqSpan span[SEQSET_MAX], *list[SEQSET_MAX];
};
Tw__Ahead *ahead_to_pb(const struct rpc_ahead *a, struct ahead_pb *room); /* returns &room->m */
/* NULL: the peer said nothing of it: all zero. TW_EINVAL: no such numbers, out of order, or more than
 * SEQSET_MAX. */
enum tw_rc ahead_from_pb(const Tw__Ahead *m, struct rpc_ahead *ret);
/* The body of an ACK. */
enum tw_rc ahead_unpack(const uint8_t *body, size_t len, struct rpc_ahead *ret);

#endif
