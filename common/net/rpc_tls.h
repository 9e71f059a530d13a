/* common/net/rpc_tls.h - TLS 1.3 for connections of the RPC layer (OpenSSL libssl). It works on octets alone:
 * what the network brought goes in, what the network shall take comes out; sockets and threads are its
 * user's.
 *
 * nng has TLS of its own (mbedTLS 2.28), and it was tried: every failure is "Cryptographic error" at both
 * ends, the peer's name cannot be read, TLS 1.2 is the newest, and a handshake costs 20 ms. Hence nng carries
 * the octets and this what is in them.
 *
 * Functions belong to no thread; a session is used by one at a time. No resumption, no tickets: certificates
 * are looked at for every connection. */
#ifndef TW_NET_RPC_TLS_H
#define TW_NET_RPC_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"

/* What one end shows and believes. Texts in PEM; whoever takes this copies what it needs. */
struct rpc_tls {
    const char *ca;          /* certificates of the authorities that are believed */
    const char *certificate; /* own, then those that lead to the authority; a client may have none: NULL */
    const char *key;         /* of that certificate, not encrypted */
    const char *server_name; /* client: whom the server's certificate must name; NULL: the host of the URL */
    bool unverified; /* client: any server will do. Only to fetch a CA's certificate that is known by its
                        digest */
};

/* What a certificate says that has been verified: signed by an authority that we believe, for this purpose,
 * now valid, and the peer has its key. */
#define RPC_CERTIFICATE_NAME 64
#define RPC_CERTIFICATE_SERIAL 41
struct rpc_certificate {
    char name[RPC_CERTIFICATE_NAME];     /* the common name; "" if there is not exactly one that fits */
    char serial[RPC_CERTIFICATE_SERIAL]; /* hexadecimal, lower case, whole octets */
    int64_t not_before_s, not_after_s;   /* Unix time */
    uint8_t sha256[32];                  /* of the whole certificate */
};

/* ---- One end's part of all its handshakes ---- */
struct rpc_tls_end;
/* TW_EINVAL: *err says which of the texts is wrong and why. */
enum tw_rc rpc_tls_end_new(const struct rpc_tls *conf, bool server, struct rpc_tls_end **ret,
                           struct tw_err *err);
/* Sessions made of it go on. NULL is fine. */
void rpc_tls_end_free(struct rpc_tls_end *e);

/* ---- One connection ---- */
struct rpc_tls_session;
/* `host`: client: whom the server's certificate must name, as in struct rpc_tls; a name or a numeric address.
 */
enum tw_rc rpc_tls_session_new(struct rpc_tls_end *e, const char *host, struct rpc_tls_session **ret);
void rpc_tls_session_free(struct rpc_tls_session *s);

/* Octets from the network. */
enum tw_rc rpc_tls_feed(struct rpc_tls_session *s, const uint8_t *data, size_t len);
/* What the peer said: 1 to cap octets. TW_EAGAIN: feed more. Else the connection has ended: TW_ECLOSED in
 * order, TW_EPERM a certificate was not believed, TW_ECORRUPT all else; rpc_tls_why() says what. Makes the
 * handshake, too. */
enum tw_rc rpc_tls_read(struct rpc_tls_session *s, uint8_t *buf, size_t cap, size_t *ret_len);
/* All of it or nothing. TW_EAGAIN: the handshake is not over. */
enum tw_rc rpc_tls_write(struct rpc_tls_session *s, const uint8_t *data, size_t len);
/* Octets for the network; take all of them (rpc_tls_pending() octets) and send them, after a failure, too:
 * they tell the peer why. */
size_t rpc_tls_pending(const struct rpc_tls_session *s);
void rpc_tls_take(struct rpc_tls_session *s, uint8_t *buf, size_t len);
/* One line; "" while all is well. */
const char *rpc_tls_why(const struct rpc_tls_session *s);

/* The handshake is over. */
bool rpc_tls_ready(const struct rpc_tls_session *s);
/* False: the peer has shown none, which only clients may. */
bool rpc_tls_certificate(const struct rpc_tls_session *s, struct rpc_certificate *ret);
/* What only the two ends of this connection know (RFC 9266). */
#define RPC_TLS_BINDING 32
enum tw_rc rpc_tls_binding(const struct rpc_tls_session *s, uint8_t ret[RPC_TLS_BINDING]);

#endif
