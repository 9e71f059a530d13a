/* db/etcd/etcd_answer.h - what etcd says through its JSON gateway (v3). Pure but for cJSON and OpenSSL's
 * base64; any thread. */
#ifndef TW_DB_ETCD_ANSWER_H
#define TW_DB_ETCD_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct etcd_kv {
    const char *key; /* NUL behind it; none in it */
    const char *value;
    size_t value_len;                             /* a NUL behind it, too */
    int64_t create_revision, mod_revision, lease; /* lease 0: none */
    bool deleted;                                 /* of a watch: since mod_revision; no value */
};

/* One answer, or one message of a stream; what it does not hold is 0. */
struct etcd_answer {
    int64_t revision; /* of the server when it answered */
    /* Of a range, of all ranges of a transaction in order, or the events of a watch. */
    struct etcd_kv *kv;
    size_t n;
    bool more;            /* of a range: others are behind these */
    bool succeeded;       /* of a transaction: its compares held */
    int64_t lease, ttl_s; /* of a lease; ttl_s 0: there is none any more */
    const char *token;    /* of an authentication; "": none */
    bool canceled;        /* of a watch: nothing comes any more */
    int64_t compacted;    /* of a watch: what it asked for is not known before this revision; 0: it is */
    const char *reason;   /* canceled, why; "" */
    void *tree;           /* what the texts are in */
};
/* TW_OK: *ret is ended with etcd_answer_free(). TW_ECORRUPT: it is no such answer; TW_ENOMEM; of a stream
 * that ends with an error, what that means. */
enum tw_rc etcd_answer_parse(const char *text, size_t len, struct etcd_answer *ret, struct tw_err *err);
void etcd_answer_free(struct etcd_answer *a); /* also of a zeroed one */

/* What a refusal means, by its text if that is etcd's, else by the HTTP status: never TW_OK. *ret_why: in one
 * line of printable ASCII. */
#define ETCD_WHY_MAX 160
struct etcd_refusal {
    enum tw_rc rc;
    bool elsewhere; /* another member may do it */
    bool token;     /* of the request is not, or no more, valid */
    bool too_large; /* the request, or the answer, is more than a message may be */
    char why[ETCD_WHY_MAX];
};
void etcd_refusal_parse(const char *text, size_t len, long status, struct etcd_refusal *ret);

#endif
