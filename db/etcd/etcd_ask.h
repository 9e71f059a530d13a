/* db/etcd/etcd_ask.h - what is asked of etcd through its JSON gateway (v3). Pure but for OpenSSL's base64;
 * any thread. */
#ifndef TW_DB_ETCD_ASK_H
#define TW_DB_ETCD_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A text that grows. */
struct etcd_text {
    char *p;
    size_t len, cap;
    bool bad; /* no memory: p is not to be used */
};
void etcd_text_free(struct etcd_text *t); /* also of a zeroed one */
/* Octets as they are, behind what is there. */
void etcd_text_add(struct etcd_text *t, const char *p, size_t len);

enum etcd_op_kind { ETCD_PUT, ETCD_DELETE, ETCD_GET };
struct etcd_op {
    enum etcd_op_kind kind;
    const char *key;
    const char *value; /* of a put */
    size_t value_len;
    int64_t lease; /* of a put; 0: none */
};
/* Is the key's revision this? 0: there is no such key. */
struct etcd_compare {
    const char *key;
    int64_t revision;
    bool created; /* that of its creation, not that of its last change */
};
/* Of at most 128 compares and 128 operations either way, by etcd's default. */
struct etcd_txn {
    const struct etcd_compare *compare;
    size_t n_compare;
    const struct etcd_op *then, *otherwise;
    size_t n_then, n_otherwise;
};

/* Each replaces what the text held. */
void etcd_ask_txn(struct etcd_text *t, const struct etcd_txn *txn);
/* Keys from `from` on, below the end of those that begin with `prefix`, in order, at most `limit` (0: all),
 * as they were at `revision` (0: now). */
void etcd_ask_range(struct etcd_text *t, const char *from, const char *prefix, int64_t limit,
                    int64_t revision);
void etcd_ask_get(struct etcd_text *t, const char *key);
/* All changes of keys that begin with `prefix`, from the revision on. */
void etcd_ask_watch(struct etcd_text *t, const char *prefix, int64_t revision);
void etcd_ask_grant(struct etcd_text *t, int64_t ttl_s);
void etcd_ask_lease(struct etcd_text *t, int64_t id); /* to keep it, or to end it */
void etcd_ask_token(struct etcd_text *t, const char *user, const char *password);

#endif
