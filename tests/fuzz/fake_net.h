/* tests/fuzz/fake_net.h - connections of the RPC layer without a network: in place of common/net/rpc_conn.c
 * and of nng. What comes in and when, is what a target says; what goes out it can look at. Listeners and
 * dialers are places, numbered as they are made. Loop thread only. */
#ifndef TESTS_FUZZ_FAKE_NET_H
#define TESTS_FUZZ_FAKE_NET_H

#include "common/net/rpc_conn.h"

#define FAKE_CONNS 8
#define FAKE_PLACES 4

/* Does somebody accept there, or dial? Lets it have a connection, or an error of nng. The loop has to run
 * then. */
bool fake_net_connect(size_t place, int error);
/* Connections of this place are ipc: they have no addresses. */
extern size_t fake_net_ipc;
/* The connections that are open, by number: a closed one makes room. NULL: none of that number. */
struct conn *fake_net_conn(size_t i);
/* A connection has this number from now on. */
extern void (*fake_net_opened)(size_t number, size_t place);
/* Everything that a connection is asked to send goes here, in whole pieces, whether the peer reads or not. */
extern void (*fake_net_out)(struct conn *c, size_t number, const uint8_t *data, size_t len);
/* Octets from the peer. They wait until somebody reads. */
void fake_net_feed(struct conn *c, const uint8_t *data, size_t len);
void fake_net_fail(struct conn *c, enum tw_rc rc);
/* The peer does not read any more: what is sent stays queued. Or it does again. */
void fake_net_clog(struct conn *c, bool clogged);
/* Everything has been freed? */
bool fake_net_clean(void);

#endif
