/* db/store_join.h - what joining keeps in the controller's database: tokens and issued certificates. As
 * db/store.h: writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a
 * non-OK result of fn stops and is returned. */
#ifndef TW_DB_STORE_JOIN_H
#define TW_DB_STORE_JOIN_H

#include "db/store.h"

#define STORE_DIGEST_LEN 32

struct store_join_token {
    const char *id;
    uint8_t digest[STORE_DIGEST_LEN]; /* SHA-256 of the secret */
    int64_t created_ns, expires_ns, revoked_ns;
    uint32_t uses, used;
    bool approve;
    const char *name_glob, *labels, *author;
};
/* Puts or replaces. */
enum tw_rc store_put_join_token(struct store *s, const struct store_join_token *t, struct tw_err *err);
/* Oldest first. */
enum tw_rc store_each_join_token(struct store *s,
                                 enum tw_rc (*fn)(void *ctx, const struct store_join_token *t), void *ctx,
                                 struct tw_err *err);
/* Forgets those that expired, or were revoked, before before_ns. */
enum tw_rc store_retain_join_tokens(struct store *s, int64_t before_ns, struct tw_err *err);

struct store_certificate {
    const char *serial;
    uint8_t public_key[STORE_KEY_LEN]; /* the agent's identity */
    int64_t issued_ns, not_after_ns;
    const uint8_t *der;
    size_t der_len;
};
/* Of an agent's the newest `keep` stay. */
enum tw_rc store_put_certificate(struct store *s, const struct store_certificate *c, unsigned keep,
                                 struct tw_err *err);
/* An agent's from the oldest to the newest. */
enum tw_rc store_each_certificate(struct store *s,
                                  enum tw_rc (*fn)(void *ctx, const struct store_certificate *c), void *ctx,
                                  struct tw_err *err);
/* All of an agent. */
enum tw_rc store_remove_certificates(struct store *s, const uint8_t public_key[STORE_KEY_LEN],
                                     struct tw_err *err);

#endif
