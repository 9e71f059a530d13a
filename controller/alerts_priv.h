/* controller/alerts_priv.h - what the files of alerts share: alerts.c, which has their state and whatever
 * changes it; alerts_round.c, which feeds the engine; alerts_tell.c, which tells receivers. Loop thread. */
#ifndef TW_CONTROLLER_ALERTS_PRIV_H
#define TW_CONTROLLER_ALERTS_PRIV_H

#include "controller/alert_past.h"
#include "controller/alert_save.h"
#include "controller/alerts.h"
#include "controller/alerts_adopt.h"

#define TICK_NS TW_NS_PER_S /* from one round to the next, if rounds are short */

struct alerts {
    struct controller *c;
    struct alert_engine *engine;
    struct alert_rules rules;
    struct alerts_document doc;
    struct alert_save *save;
    struct alert_pasts *pasts;
    struct notify *notify;
    struct alerts_adopt *adopt;
    struct loop_timer timer;
    size_t scan_at;
    struct {
        bool on, scanned;
        size_t left;                /* pairs to scan */
        int64_t began_ns, spent_ns; /* monotonic */
    } round;
    uint64_t last_notice, last_silence;
    int64_t minute_ns; /* mono, as resent_ns */
    unsigned freezes_of_minute;
    int64_t resent_ns[64]; /* by receiver */
    int64_t started_ns;    /* by the wall clock as it is now */
    int64_t ahead_ns;      /* of the wall clock before the monotonic one; 0: not looked yet */
    struct alerts_counters counters;
    struct {
        bool busy;
        struct alert_rules rules;
        struct alerts_document doc;
        alerts_done *done;
        void *ctx;
    } apply;
};

/* ---- alerts.c ---- */
/* The wall clock; notices when it was set. */
int64_t alerts_now(struct alerts *a);
/* Of this turn of the loop. */
int64_t alerts_mono(const struct alerts *a);
/* NULL: there is none. */
struct agent *alerts_agent(const struct alerts *a, const char *name);
/* Does it matter whether the agent is there? */
bool alerts_is_watched(const struct agent *ag);
/* Of a notice or silence; *last: of the last one. */
uint64_t alerts_next_number(struct alerts *a, uint64_t *last);

/* ---- alerts_round.c ---- */
/* A piece of a round, and when the next one is. */
void alerts_tick(struct loop_timer *t);

/* ---- alerts_tell.c ---- */
/* What the engine, alert_save and notify call; ctx is a struct alerts. */
void alerts_on_notice(void *ctx, const struct alert *al, enum alert_notice n);
void alerts_on_committed(void *ctx, const char *receiver, struct notice *n);
void alerts_on_ended(void *ctx, const struct notice *n, const char *receiver);
/* Alertmanagers that have not heard for long enough hear again. */
void alerts_resend_due(struct alerts *a);

#endif
