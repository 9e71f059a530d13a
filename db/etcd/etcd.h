/* db/etcd/etcd.h - a client of etcd (v3) through its JSON gateway: one request at a time, by the thread that
 * owns it; only etcd_interrupt() and etcd_hurry() are for others. A watch takes a client of its own.
 *
 * Of several members the next one is asked when one fails, and a request may so come twice: transactions must
 * be such that the second one changes nothing (a compare with what the first one changes). A transaction that
 * fails with TW_EIO or TW_ETIMEOUT may have come, or come yet.
 *
 * Errors of all: TW_EIO (no member can be reached, or none knows a leader), TW_ETIMEOUT, TW_ECLOSED
 * (interrupted), TW_EPERM (certificate, user, password, or what the user may), TW_ENOSPC (etcd's quota),
 * TW_EINVAL (too many operations, too large, ...), TW_ECORRUPT (this is no etcd), TW_ENOMEM. The text names
 * the member and is one line. */
#ifndef TW_DB_ETCD_H
#define TW_DB_ETCD_H

#include "db/etcd/etcd_answer.h"
#include "db/etcd/etcd_ask.h"
#include "db/http_location.h"

struct etcd;

extern const struct http_location_form etcd_location; /* HOST[:2379].../CLUSTER */
#define ETCD_KEY_MAX 1024 /* of a key or prefix, with its NUL */

/* Times as in http_client.h. `l`: copied. Reads the password. */
enum tw_rc etcd_new(const struct http_location *l, int64_t stall_ns, struct etcd **ret, struct tw_err *err);
void etcd_free(struct etcd *e); /* also of NULL */
/* What runs, and all that comes, ends with TW_ECLOSED. Any thread. */
void etcd_interrupt(struct etcd *e);
/* Nothing lasts beyond that moment (monotonic clock; INT64_MAX: as long as it takes). Any thread. */
void etcd_hurry(struct etcd *e, int64_t by_mono_ns);
struct http_client_stats etcd_stats(const struct etcd *e);

/* An answer is ended with etcd_answer_free(). The compares held or not: ret->succeeded says. */
enum tw_rc etcd_txn(struct etcd *e, const struct etcd_txn *t, struct etcd_answer *ret, struct tw_err *err);
/* ret->n is 0 or 1. Sees every transaction that was answered before. */
enum tw_rc etcd_get(struct etcd *e, const char *key, struct etcd_answer *ret, struct tw_err *err);
/* All keys that begin with `prefix`, in order, as they were at one revision, in pages of at most `page` keys.
 * An error of fn ends it. */
enum tw_rc etcd_each(struct etcd *e, const char *prefix, int64_t page,
                     enum tw_rc (*fn)(void *ctx, const struct etcd_kv *kv), void *ctx, int64_t *ret_revision,
                     struct tw_err *err);

enum tw_rc etcd_grant(struct etcd *e, int64_t ttl_s, int64_t *ret_id, int64_t *ret_ttl_s, struct tw_err *err);
/* TW_ENOENT: there is no such lease any more. */
enum tw_rc etcd_keep(struct etcd *e, int64_t id, int64_t *ret_ttl_s, struct tw_err *err);
enum tw_rc etcd_revoke(struct etcd *e, int64_t id, struct tw_err *err);

/* Changes of keys that begin with `prefix`, from `revision` on: fn is given those of one or more whole
 * revisions, in order; n may be 0 (nothing happened up to a->revision). Goes on until fn returns an error, it
 * is interrupted, or the connection ends: TW_EIO, TW_ETIMEOUT (nothing came for stall_ns); the next call asks
 * another member. TW_ERANGE: etcd does not know these changes any more. */
enum tw_rc etcd_watch(struct etcd *e, const char *prefix, int64_t revision,
                      enum tw_rc (*fn)(void *ctx, const struct etcd_answer *a), void *ctx,
                      struct tw_err *err);

#endif
