/* controller/notify.h - brings notices to receivers: one thread each, so that one that hangs keeps nobody
 * waiting. A notice is tried until the receiver takes it or says that it never will; pauses grow from 1 s to
 * 5 min, with jitter. At least once: a receiver that takes it but does not say so in time gets it again,
 * under the same key. Loop thread but where said. */
#ifndef TW_CONTROLLER_NOTIFY_H
#define TW_CONTROLLER_NOTIFY_H

#include "common/net/loop.h"
#include "controller/core/alert_rule.h"

#define NOTIFY_QUEUE_MAX 1000 /* of one receiver; then the oldest is dropped */

struct notice {
    struct notice *next; /* notify's own */
    uint64_t id;         /* of its row; 0: it has none, and nobody is told what became of it */
    char *key;           /* stable: the same in every try, and after a restart */
    char *body;          /* JSON of an object, notify_format.h */
    enum notice_end { NOTICE_SENT, NOTICE_REFUSED, NOTICE_DROPPED } end;
    bool gone; /* notify's own: nobody waits for it any more */
};
/* NULL: no memory. Copies. */
struct notice *notice_new(uint64_t id, const char *key, const char *body);
void notice_free(struct notice *n);

struct notify_conf {
    struct loop *loop;
    const char *controller;                                                 /* its name, for texts */
    void (*ended)(void *ctx, const struct notice *n, const char *receiver); /* loop thread */
    void *ctx;
    int64_t retry_ns, retry_max_ns; /* 0 = 1 s, 5 min */
};
struct notify;
enum tw_rc notify_new(const struct notify_conf *c, struct notify **ret);
/* Stops what is being sent; what is queued stays in the database. The loop may have been stopped. */
void notify_free(struct notify *n);
/* Receivers as in the rules, which are copied. Of those that stay the queues stay, of those that go all is
 * dropped. */
enum tw_rc notify_set_receivers(struct notify *n, const struct alert_rules *rules);
/* Takes the notice. TW_ENOENT: there is no such receiver; it has ended, dropped. */
enum tw_rc notify_submit(struct notify *n, const char *receiver, struct notice *notice);
/* For what is only worth while fresh: replaces what waits under the same key. */
enum tw_rc notify_refresh(struct notify *n, const char *receiver, struct notice *notice);

/* Of what `gone` says is gone nothing is tried any more, and ended() is not called: somebody else has brought it. */
void notify_forget(struct notify *n, bool (*gone)(void *ctx, uint64_t id), void *ctx);

struct notify_state {
    char name[ALERT_NAME_MAX];
    enum alert_receiver_kind kind;
    enum alert_format format;
    bool sending;
    uint32_t queued;
    uint64_t sent, failed, refused, dropped;
    int64_t last_sent_ns, last_failed_ns, next_try_ns;
    char last_error[160];
    struct work_stats work; /* of its thread: a try is a round */
};
/* At most cap; how many there are. Both take NULL: there is nothing. */
size_t notify_states(struct notify *n, struct notify_state *ret, size_t cap);
void notify_totals(struct notify *n, uint64_t *ret_sent, uint64_t *ret_failed, uint64_t *ret_refused,
                   uint64_t *ret_dropped, uint64_t *ret_queued);

#endif
