/* common/net/rpc_conn.h - a connection as the RPC layer needs it: bytes in, bytes out, an orderly end. This
 * is all that knows nng's streams, so that the transport can change.
 *
 * Threads: functions and hooks belong to the loop thread, but for cut(), which runs on a thread of nng, or on
 * the loop thread inside conn_resume(); never on both at once. Nothing is received between readable() and
 * conn_resume(). */
#ifndef TW_NET_RPC_CONN_H
#define TW_NET_RPC_CONN_H

#include <nng/nng.h>
#include "common/net/loop.h"
#include "common/net/rpc_tls.h"

struct conn;

/* What cut() made of the octets received so far. */
struct conn_cut {
    size_t used;  /* octets dealt with */
    size_t need;  /* octets that the next unit needs in all, as far as it is known */
    bool deliver; /* call readable(); else receive more */
};

struct conn_hooks {
    struct conn_cut (*cut)(void *ctx, const uint8_t *data, size_t len);
    void (*readable)(void *ctx);
    void (*failed)(void *ctx, enum tw_rc rc, const char *why); /* may come twice: receiving and sending */
    void (*gone)(void *ctx); /* after conn_close(); the connection has been freed */
};

/* Takes the stream and the session, also on failure. Receives as soon as conn_resume() is called. With a session
 * (NULL: none) what cut() gets and conn_append() takes goes through it, and its handshake is made on nng's threads. */
enum tw_rc conn_new(struct loop *l, nng_stream *stream, struct rpc_tls_session *tls, const struct conn_hooks *hooks,
                    void *ctx, struct conn **ret);
/* Octets that a receive may bring in one piece, and how long it may wait for the first (0 = for ever). From
 * the next conn_resume() on. */
enum tw_rc conn_set_receive(struct conn *c, size_t buffer, uint32_t timeout_ms);
/* A receive takes no more octets than that, 0: what the buffer has room for. Before
 * conn_resume(). */
void conn_set_most(struct conn *c, size_t octets);
/* What comes and goes by it is dealt with before other connections of the loop. */
void conn_set_urgent(struct conn *c);
/* First deals with what has been received already. */
void conn_resume(struct conn *c);

/* Octets not yet taken by the network. */
size_t conn_queued(const struct conn *c);
/* Room for n octets at the end of the queue; NULL without memory. conn_flush() starts sending. Everything
 * appended while a write is under way goes out with the next one. */
uint8_t *conn_append(struct conn *c, size_t n);
void conn_flush(struct conn *c);

/* Stops both directions now; gone() follows from the loop, no other hook does. */
void conn_close(struct conn *c);
/* The same at once, waiting for nng's callbacks; gone() is not called. */
void conn_free(struct conn *c);

/* Has anything come from the peer at all? Any thread. */
bool conn_heard(const struct conn *c);

/* Of the TLS session; from the first cut() on, on any thread while cut() or the loop has the connection. */
bool conn_is_tls(const struct conn *c);
bool conn_certificate(struct conn *c, struct rpc_certificate *ret);
enum tw_rc conn_binding(struct conn *c, uint8_t ret[RPC_TLS_BINDING]);

/* Numeric addresses without port, "" if there is none (ipc). */
#define CONN_ADDRESS_TEXT 64
void conn_peer_address(const struct conn *c, char ret[CONN_ADDRESS_TEXT]);
void conn_local_address(const struct conn *c, char ret[CONN_ADDRESS_TEXT]);
/* Who is at the other end of an ipc connection; -1: not known. */
void conn_peer_ids(const struct conn *c, int64_t *ret_uid, int64_t *ret_pid);

/* nng's error as ours. */
enum tw_rc conn_rc(int nng_error);

#endif
