/* common/net/join_token.h - tokens by which agents join: their text, and whether one lets an agent in. Pure:
 * time and random octets are arguments.
 *
 * The text twj1.ID.SECRET.CAHASH is told once: ID (16 hexadecimal digits) names the token, SECRET is 256
 * random bits, CAHASH the SHA-256 of the SubjectPublicKeyInfo of the CA, by which an agent that knows nothing
 * yet knows its controller; both base64url. Only the SHA-256 of the secret is kept: a digest of so many
 * random bits cannot be searched, so no slow hash is needed. */
#ifndef TW_NET_JOIN_TOKEN_H
#define TW_NET_JOIN_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/rc.h"
#include "common/selector.h"

#define JOIN_ID_OCTETS 8
#define JOIN_ID_TEXT (2 * JOIN_ID_OCTETS + 1) /* with the NUL, as all of these */
#define JOIN_SECRET_OCTETS 32
#define JOIN_HASH_OCTETS 32
#define JOIN_RANDOM_OCTETS (JOIN_ID_OCTETS + JOIN_SECRET_OCTETS)
#define JOIN_TOKEN_TEXT 112 /* 4 + 1 + 16 + 1 + 43 + 1 + 43, and some */
#define JOIN_NAME_MAX 64
#define JOIN_LABELS_MAX 16
#define JOIN_LABELS_TEXT (JOIN_LABELS_MAX * 2 * TW_LABEL_MAX)
#define JOIN_USES_MAX 100000

/* What is kept of a token. */
struct join_token {
    char id[JOIN_ID_TEXT];
    uint8_t digest[JOIN_HASH_OCTETS];           /* SHA-256 of the secret */
    int64_t created_ns, expires_ns, revoked_ns; /* wall clock; revoked_ns 0: it is not */
    uint32_t uses, used;
    bool approve;                  /* agents are let in at once */
    char name_glob[JOIN_NAME_MAX]; /* fnmatch(3); "": any */
    char author[JOIN_NAME_MAX];
    size_t n_labels; /* that agents get */
    struct {
        char key[TW_LABEL_MAX], value[TW_LABEL_MAX];
    } labels[JOIN_LABELS_MAX];
};

/* Makes a token of octets that nobody else has: sets id and digest of *t and the text to hand over, once. */
void join_token_make(const uint8_t random[JOIN_RANDOM_OCTETS], const uint8_t ca_hash[JOIN_HASH_OCTETS],
                     struct join_token *t, char text[JOIN_TOKEN_TEXT]);

/* What its text says. */
struct join_token_parts {
    char id[JOIN_ID_TEXT];
    uint8_t digest[JOIN_HASH_OCTETS], ca_hash[JOIN_HASH_OCTETS];
};
/* TW_EINVAL with *err, which has nothing of the text. */
enum tw_rc join_token_parse(const char *text, struct join_token_parts *ret, struct tw_err *err);

enum join_state { JOIN_USABLE, JOIN_USED_UP, JOIN_EXPIRED, JOIN_REVOKED };
enum join_state join_token_state(const struct join_token *t, int64_t now_ns);
const char *join_state_name(enum join_state s); /* "usable", "used", "expired", "revoked" */
/* Has who says this secret's digest been told the token? In the same time whatever differs. */
bool join_token_is(const struct join_token *t, const uint8_t digest[JOIN_HASH_OCTETS]);
/* May an agent of this name join by it? */
bool join_token_admits(const struct join_token *t, const char *name);

/* "site=ams,role=edge", also into *t. TW_EINVAL: *err says what was expected. */
enum tw_rc join_token_add_label(struct join_token *t, const char *key, const char *value, struct tw_err *err);
const char *join_labels_format(const struct join_token *t, char ret[JOIN_LABELS_TEXT]);
enum tw_rc join_labels_parse(struct join_token *t, const char *text);

/* What an agent signs with its identity when it asks for a certificate (proto/join.proto); *ret_len octets in
 * buf. */
#define JOIN_PROOF_TEXT 320
void join_proof_text(const uint8_t *csr, size_t csr_len, const char *name, const char *token,
                     uint8_t buf[JOIN_PROOF_TEXT], size_t *ret_len);

#endif
