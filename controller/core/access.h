/* controller/core/access.h - who may do what: roles, and the tokens that operators and programs prove theirs
 * by. Pure: time and random octets are arguments. Not thread-safe.
 *
 * A token is the text twa1.ID.SECRET: ID names it (16 hexadecimal digits, no secret), SECRET is 256 random
 * bits (base64url). Only the SHA-256 of the secret is kept: a digest of so many random bits cannot be
 * searched, so no slow hash is needed. */
#ifndef TW_CONTROLLER_CORE_ACCESS_H
#define TW_CONTROLLER_CORE_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/clk.h"
#include "common/rc.h"

/* Each may all that those before it may. The numbers are stored. */
enum access_role { ACCESS_NOBODY, ACCESS_VIEWER, ACCESS_OPERATOR, ACCESS_ADMIN, ACCESS_ROLES };
const char *access_role_name(enum access_role r); /* "viewer"; "nobody" */
/* "viewer", "operator", "admin"; TW_EINVAL. */
enum tw_rc access_role_parse(const char *text, enum access_role *ret);

#define ACCESS_ID_OCTETS 8
#define ACCESS_ID_TEXT (2 * ACCESS_ID_OCTETS + 1) /* with the NUL, as all of these */
#define ACCESS_SECRET_OCTETS 32
#define ACCESS_DIGEST_OCTETS 32
#define ACCESS_RANDOM_OCTETS (ACCESS_ID_OCTETS + ACCESS_SECRET_OCTETS)
#define ACCESS_TOKEN_TEXT 66
#define ACCESS_NAME_MAX 64

/* Who somebody has proved to be. */
struct access_who {
    char name[ACCESS_NAME_MAX]; /* of the token */
    char id[ACCESS_ID_TEXT];    /* "": not by a token */
    enum access_role role;
};

/* What is kept of a token. */
struct access_token {
    char id[ACCESS_ID_TEXT];
    uint8_t digest[ACCESS_DIGEST_OCTETS]; /* SHA-256 of the secret */
    enum access_role role;
    char name[ACCESS_NAME_MAX], author[ACCESS_NAME_MAX];
    int64_t created_ns, expires_ns, revoked_ns, used_ns; /* wall clock; 0: never */
};

/* Makes a token of ACCESS_RANDOM_OCTETS octets that nobody else has: sets id and digest of *ret and the text
 * to hand over, once. */
void access_make(const uint8_t random[ACCESS_RANDOM_OCTETS], struct access_token *ret,
                 char text[ACCESS_TOKEN_TEXT]);
/* An operator's certificate in the place of a token, by the SHA-256 of all of it: sets id and digest of *ret.
 * Whoever came with it has proved by TLS that the key is theirs. No token's secret has such a digest. */
#define ACCESS_CERTIFICATE_OCTETS 32
void access_certificate(const uint8_t sha256[ACCESS_CERTIFICATE_OCTETS], struct access_token *ret);
/* Is it a token's text by its form? Nothing is said about whether it is anybody's. */
bool access_text_ok(const char *text);
/* 16 hexadecimal digits. */
bool access_id_ok(const char *id);

enum access_verdict {
    ACCESS_OK,
    ACCESS_MALFORMED, /* no token at all */
    ACCESS_UNKNOWN, /* no token has this ID, or another secret: the same to whoever asks, and in the same time
                     */
    ACCESS_EXPIRED, /* these two only for the right secret */
    ACCESS_REVOKED,
};
/* For people who tried: one line without anything of the token. */
const char *access_verdict_text(enum access_verdict v);

struct access; /* the tokens */
enum tw_rc access_new(size_t max_tokens, struct access **ret);
void access_free(struct access *a);
/* Adds it, or replaces that of the same ID. TW_ENOSPC: max_tokens; TW_ENOMEM. */
enum tw_rc access_put(struct access *a, const struct access_token *t);
/* False: there is none. */
bool access_remove(struct access *a, const char *id);
const struct access_token *access_get(const struct access *a,
                                      const char *id); /* NULL: none; valid until the next change */
size_t access_count(const struct access *a);
const struct access_token *access_at(const struct access *a, size_t i); /* in the order of IDs */
/* Has anybody a token that works? Without one there is nobody to tell from others. */
bool access_any(const struct access *a, struct tw_wall now);

/* Whose token is it? Fills *ret only with ACCESS_OK, and notes the use. */
enum access_verdict access_find(struct access *a, struct tw_wall now, const char *token_text,
                                struct access_who *ret);
/* The same of a certificate that was shown: never ACCESS_MALFORMED. */
enum access_verdict access_find_certificate(struct access *a, struct tw_wall now,
                                            const uint8_t sha256[ACCESS_CERTIFICATE_OCTETS],
                                            struct access_who *ret);
const char *access_certificate_text(enum access_verdict v);
/* Does the token of this ID still work, and with that role? For connections and sessions that began with it.
 */
enum access_verdict access_still(const struct access *a, struct tw_wall now, const char *id);

#endif
