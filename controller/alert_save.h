/* controller/alert_save.h - what alerting changes in the database: collected, and committed as one job of the
 * writer. Loop thread. */
#ifndef TW_CONTROLLER_ALERT_SAVE_H
#define TW_CONTROLLER_ALERT_SAVE_H

#include "controller/core/alert.h"
#include "controller/notify.h"
#include "controller/writer.h"

struct alert_save;
struct alert_save_conf {
    bool shared;            /* others may change alerts, too */
    struct writer **writer; /* NULL behind it: nothing is taken yet, or any more */
    /* A notice is committed. Takes it. */
    void (*send)(void *ctx, const char *receiver, struct notice *n);
    void *ctx;
};
enum tw_rc alert_save_new(const struct alert_save_conf *c, struct alert_save **ret);
void alert_save_free(struct alert_save *s);

/* All of these copy; what has no memory is counted. */
void alert_save_alert(struct alert_save *s, const struct alert *a, int64_t now_ns);
/* Of an alert that another controller judges: only that it is acknowledged. */
void alert_save_ack(struct alert_save *s, const struct alert *a);
void alert_save_drop(struct alert_save *s, uint64_t id);
void alert_save_baseline(struct alert_save *s, uint64_t pair_id, unsigned slot, const char *text);
void alert_save_silence(struct alert_save *s, const struct alert_silence *i);
void alert_save_notice(struct alert_save *s, uint64_t id, const char *receiver, const char *key,
                       const char *body, int64_t now_ns);
void alert_save_notice_gone(struct alert_save *s, uint64_t id);
/* decided: see writer_job. TW_EAGAIN: others changed something since. TW_EEXIST: there is one of that
 * version, or a later one. */
void alert_save_document(struct alert_save *s, uint64_t version, const char *text, const char *author,
                         const char *reason, int64_t now_ns, uint64_t decided,
                         void (*done)(void *ctx, enum tw_rc rc, const struct tw_err *err), void *ctx);
/* Gives all of it to the writer. */
void alert_save_flush(struct alert_save *s);
/* One is not committed yet. */
bool alert_save_has_silence(const struct alert_save *s);
uint64_t alert_save_lost(const struct alert_save *s);

#endif
