/* common/net/rpc_hello.h - making and judging the two HELLO messages of proto/rpc.proto. Pure but for the
 * signature. */
#ifndef TW_NET_RPC_HELLO_H
#define TW_NET_RPC_HELLO_H

#include "common/net/arena.h"
#include "common/net/identity.h"
#include "common/net/rpc_tls.h"
#include "rpc.pb-c.h"

#define HELLO_NONCE_LEN 32
#define HELLO_ID_LEN 16
#define HELLO_NAME_TEXT 64 /* with the NUL */
#define HELLO_SOFTWARE_TEXT 128
#define HELLO_TOKEN_TEXT 128

/* The connection that a proof is made for: one of another connection, or of another kind of transport, proves nothing. */
struct hello_channel {
    uint8_t nonce[HELLO_NONCE_LEN];
    bool tls;
    uint8_t binding[RPC_TLS_BINDING]; /* tls only */
};

/* Who a client is. An operator and who joins have no key and perhaps no ids: zero. */
struct hello_id {
    Tw__Role role;
    uint32_t version; /* of the protocol, in which the client goes on */
    char name[HELLO_NAME_TEXT], software[HELLO_SOFTWARE_TEXT];
    uint8_t boot_id[HELLO_ID_LEN], spool_id[HELLO_ID_LEN];
    uint8_t public_key[IDENTITY_KEY_LEN];
    char token[HELLO_TOKEN_TEXT]; /* of operators; "": none */
    bool others;                  /* of agents: see ClientHello */
};

/* Which roles may come in. */
struct hello_policy {
    bool agents, operators, joiners;
};

/* Octets that the proof signs; *ret_len of them in buf (HELLO_PROOF_TEXT is always enough). */
#define HELLO_PROOF_TEXT 256
void hello_proof_text(const struct hello_id *id, const struct hello_channel *ch,
                      uint8_t buf[HELLO_PROOF_TEXT], size_t *ret_len);

/* Server: judges the body of a client's HELLO, proof included. Not STATUS_OK: *err says why; *ret is
 * untouched. */
Tw__Status hello_check_client(const uint8_t *body, size_t len, struct hello_policy policy,
                              const struct hello_channel *ch, struct arena *a, struct hello_id *ret,
                              struct tw_err *err);

struct hello_server {
    uint32_t version; /* the highest that both sides speak */
    uint8_t nonce[HELLO_NONCE_LEN];
    char controller[HELLO_NAME_TEXT];
};
/* Client: judges the body of the server's HELLO. */
Tw__Status hello_check_server(const uint8_t *body, size_t len, struct arena *a, struct hello_server *ret,
                              struct tw_err *err);

/* Client: fills *ret, which points into *id and sig, with a proof if `key` is not NULL. `ch` but for its nonce, which
 * is the server's; NULL: a connection without TLS. */
enum tw_rc hello_make_client(const struct hello_id *id, const struct identity *key,
                             const struct hello_server *server, const struct hello_channel *ch,
                             uint8_t sig[IDENTITY_SIG_LEN], Tw__ClientHello *ret);

/* [a-z0-9.-]{1,63} */
bool hello_agent_name_ok(const char *name);

#endif
