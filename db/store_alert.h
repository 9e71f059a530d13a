/* db/store_alert.h - what alerting keeps in the controller's database: the rules' documents, alerts,
 * silences, baselines, and what is on its way to receivers. Bodies are texts of the caller's. As db/store.h:
 * writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a non-OK result
 * of fn stops and is returned. */
#ifndef TW_DB_STORE_ALERT_H
#define TW_DB_STORE_ALERT_H

#include "db/store.h"

struct store_alert {
    uint64_t id;
    bool open; /* it goes on */
    int64_t changed_ns;
    const char *body;
};
/* Puts or replaces. */
enum tw_rc store_put_alert(struct store *s, const struct store_alert *a, struct tw_err *err);
/* TW_ENOENT: there is none. */
enum tw_rc store_find_alert(struct store *s, uint64_t id,
                            enum tw_rc (*fn)(void *ctx, const struct store_alert *a), void *ctx,
                            struct tw_err *err);
/* It was nothing. */
enum tw_rc store_remove_alert(struct store *s, uint64_t id, struct tw_err *err);
/* Those that go on, and the newest `closed` others, in order of id. */
enum tw_rc store_each_alert(struct store *s, uint64_t closed,
                            enum tw_rc (*fn)(void *ctx, const struct store_alert *a), void *ctx,
                            struct tw_err *err);
/* The highest id ever put; 0 = none. */
enum tw_rc store_last_alert(struct store *s, uint64_t *ret, struct tw_err *err);

struct store_alert_document {
    uint64_t version;
    int64_t time_ns;
    const char *author, *reason, *text;
};
enum tw_rc store_put_alert_document(struct store *s, const struct store_alert_document *d,
                                    struct tw_err *err);
/* The newest; TW_ENOENT: there is none. */
enum tw_rc store_last_alert_document(struct store *s,
                                     enum tw_rc (*fn)(void *ctx, const struct store_alert_document *d),
                                     void *ctx, struct tw_err *err);
/* Newest first; version 0: all, at most `limit`. */
enum tw_rc store_read_alert_documents(struct store_reader *r, uint64_t version, uint64_t limit,
                                      enum tw_rc (*fn)(void *ctx, const struct store_alert_document *d),
                                      void *ctx, struct tw_err *err);

struct store_alert_silence {
    uint64_t id;
    int64_t end_ns;
    const char *body;
};
enum tw_rc store_put_alert_silence(struct store *s, const struct store_alert_silence *i, struct tw_err *err);
/* Those that end after `after_ns`. */
enum tw_rc store_each_alert_silence(struct store *s, int64_t after_ns,
                                    enum tw_rc (*fn)(void *ctx, const struct store_alert_silence *i),
                                    void *ctx, struct tw_err *err);
enum tw_rc store_last_alert_silence(struct store *s, uint64_t *ret, struct tw_err *err);

struct store_alert_baseline {
    uint64_t pair_id;
    uint32_t slot;
    const char *body;
};
enum tw_rc store_put_alert_baseline(struct store *s, const struct store_alert_baseline *b,
                                    struct tw_err *err);
enum tw_rc store_each_alert_baseline(struct store *s,
                                     enum tw_rc (*fn)(void *ctx, const struct store_alert_baseline *b),
                                     void *ctx, struct tw_err *err);

/* On its way to a receiver. */
struct store_alert_notice {
    uint64_t id;
    int64_t made_ns;
    const char *receiver, *key, *body;
};
enum tw_rc store_put_alert_notice(struct store *s, const struct store_alert_notice *n, struct tw_err *err);
enum tw_rc store_remove_alert_notice(struct store *s, uint64_t id, struct tw_err *err);
/* The oldest first. */
enum tw_rc store_each_alert_notice(struct store *s,
                                   enum tw_rc (*fn)(void *ctx, const struct store_alert_notice *n), void *ctx,
                                   struct tw_err *err);
enum tw_rc store_last_alert_notice(struct store *s, uint64_t *ret, struct tw_err *err);
/* Forgets alerts and silences that ended before `before_ns`, and documents from before it but for the newest.
 */
enum tw_rc store_retain_alerts(struct store *s, int64_t before_ns, struct tw_err *err);

#endif
