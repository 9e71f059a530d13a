/* db/store_access.h - operators' tokens and the audit log in the controller's database. As db/store.h:
 * writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a non-OK result
 * of fn stops and is returned. */
#ifndef TW_DB_STORE_ACCESS_H
#define TW_DB_STORE_ACCESS_H

#include "db/store.h"

#define STORE_DIGEST_LEN 32

struct store_access_token {
    const char *id;
    uint8_t digest[STORE_DIGEST_LEN]; /* of its secret, which is kept nowhere */
    uint32_t role;                    /* number of controller/core/access.h */
    const char *name, *author;
    int64_t created_ns, expires_ns, revoked_ns, used_ns; /* 0: never */
};
/* Puts or replaces. */
enum tw_rc store_put_access_token(struct store *s, const struct store_access_token *t, struct tw_err *err);
/* It was used then, if that is later than is known; nothing else of it changes, nor anything if there is
 * none. */
enum tw_rc store_use_access_token(struct store *s, const char *id, int64_t used_ns, struct tw_err *err);
enum tw_rc store_remove_access_token(struct store *s, const char *id, struct tw_err *err);
enum tw_rc store_each_access_token(struct store *s,
                                   enum tw_rc (*fn)(void *ctx, const struct store_access_token *t), void *ctx,
                                   struct tw_err *err);

/* One change, or a try that was refused. Texts are never NULL. */
struct store_audit {
    uint64_t id;
    int64_t time_ns;
    const char *who, *role, *token_id, *way, *origin; /* token_id "": not by a token */
    const char *method, *subject;
    int32_t status; /* a Status of rpc.proto; -1: begun, and nobody knows how it ended */
    const char *detail, *request, *before, *after;
};
/* Puts or replaces. */
enum tw_rc store_put_audit(struct store *s, const struct store_audit *a, struct tw_err *err);
/* The highest id ever put; 0 = none. */
enum tw_rc store_last_audit(struct store *s, uint64_t *ret, struct tw_err *err);
/* Forgets what is from before. */
enum tw_rc store_retain_audit(struct store *s, int64_t before_ns, struct tw_err *err);
struct store_audit_query {
    int64_t from_ns, to_ns; /* [from, to); to 0: no end */
    const char *who;        /* exactly; "": all */
    const char *what;       /* part of the method or the subject; "": all */
    bool refused;           /* only what was refused or failed */
    uint64_t before, limit; /* only ids below it; 0: all */
};
/* Newest first. */
enum tw_rc store_read_audit(struct store_reader *r, const struct store_audit_query *q,
                            enum tw_rc (*fn)(void *ctx, const struct store_audit *a), void *ctx,
                            struct tw_err *err);

#endif
