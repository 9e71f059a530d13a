/* controller/core/alert.h - the alert engine: what is known of pairs and agents goes in, alerts and what is
 * to be told of them come out. Pure: time is an argument, so the controller and simulated years drive the
 * same code. Not thread-safe.
 *
 * An alert is of one pair's number, of an agent (it is not connected, or nearly all its pairs are bad), or of
 * a site. Alerts of pairs that a firing alert of an agent or a site explains have it as their `cause`: they
 * are shown, and nobody is told of them.
 *
 * Nobody is told before wait_ns after firing, so that what belongs together can come together; nor of what is
 * explained, silenced, in maintenance or acknowledged by then. Whoever was told of a begin is told of the
 * end, whatever holds then. An alert that fires again, or nearly ended and did not, waits for its end twice
 * as long each time within an hour, up to an hour. */
#ifndef TW_CONTROLLER_CORE_ALERT_H
#define TW_CONTROLLER_CORE_ALERT_H

#ifndef HASH_NONFATAL_OOM
#define HASH_NONFATAL_OOM 1 /* before anybody includes uthash.h */
#endif
#include <uthash.h>
#include "controller/core/alert_cond.h"
#include "controller/core/alert_rule.h"

#define ALERT_AUTHOR_MAX 64
#define ALERT_REASON_MAX 256
#define ALERT_DONE_MAX 1000 /* resolved ones that are kept at hand */
#define ALERT_LABELS_MAX 80 /* of one alert, for matching */
#define ALERT_SUMMARY_MAX 512
#define ALERT_SILENCES_MAX 1000          /* that go on, or are to come */
#define ALERT_SILENCE_OVER_NS (24 * 3600 * TW_NS_PER_S) /* one that is over is at hand so long */

enum alert_kind { ALERT_PAIR, ALERT_AGENT, ALERT_SITE };
const char *alert_kind_name(enum alert_kind k); /* "pair", "agent", "site" */

/* Why nobody is told. */
enum alert_quiet {
    ALERT_HEARD,
    ALERT_WAITS,
    ALERT_EXPLAINED,
    ALERT_SILENCED,
    ALERT_MAINTENANCE,
    ALERT_ACKED
};
const char *alert_quiet_name(
    enum alert_quiet q); /* "", "waiting", "explained", "silenced", "maintenance", "acknowledged" */

struct alert {
    uint64_t id; /* counts up, never used twice */
    struct alert_key {
        char subject[ALERT_NAME_MAX]; /* agent, site; "" for pairs */
        uint64_t pair_id;
        uint32_t kind, slot; /* slot ALERT_SLOTS: of many pairs */
    } key;
    char mesh[ALERT_NAME_MAX], class_name[ALERT_NAME_MAX], source[ALERT_NAME_MAX], target[ALERT_NAME_MAX];
    char rule[ALERT_NAME_MAX];
    enum alert_state state; /* PENDING, FIRING, RESOLVED */
    enum alert_severity severity;
    struct alert_cond cond;
    int64_t pending_ns, fired_ns, ended_ns; /* 0: not (yet) */
    struct tw_num value, worst, level, baseline;
    uint32_t bad, total; /* pairs, of an agent or a site */
    uint64_t cause;      /* id of the alert that explains it; 0: none */
    char end_reason[ALERT_NAME_MAX];
    int64_t acked_ns;
    char ack_author[ALERT_AUTHOR_MAX], ack_reason[ALERT_REASON_MAX];
    bool told;
    enum alert_severity told_severity;
    enum alert_severity told_worst; /* of all that was told of it: who was told is told of the end */
    int64_t due_ns, told_ns;
    uint32_t notices; /* so many were made of it */
    enum alert_quiet quiet;
    char quiet_text[128];
    bool lost_sight; /* restored, and nothing was heard of it since */
    bool elsewhere;  /* another controller judges it */
    struct alert *next_of_pair; /* the engine's */
    UT_hash_handle hh, hh_id;
};
static inline enum alert_metric alert_metric_of(const struct alert *a)
{
    return (enum alert_metric)(a->key.slot / 4);
}
static inline enum tw_direction alert_direction_of(const struct alert *a)
{
    return (enum tw_direction)(a->key.slot % 4);
}
/* One line for people: "loss forward 12% (raised at 5%) from ams to fra, mesh voice, class ef"; returns buf.
 */
const char *alert_summary(const struct alert *a, char buf[ALERT_SUMMARY_MAX]);

enum alert_notice { ALERT_NOTICE_FIRING, ALERT_NOTICE_SEVERITY, ALERT_NOTICE_REPEAT, ALERT_NOTICE_RESOLVED };
const char *alert_notice_name(enum alert_notice n);

struct alert_silence {
    uint64_t id;
    struct selector *match; /* of an alert's labels; owned by the engine once put */
    char match_text[SELECTOR_TEXT_MAX];
    int64_t start_ns, end_ns; /* [start, end) */
    char author[ALERT_AUTHOR_MAX], reason[ALERT_REASON_MAX];
    int64_t made_ns;
};

/* What was stored of a pair, by which a rule's memory of it can be made again. */
struct alert_want {
    uint64_t pair_id, number;
    unsigned slot, kind;    /* the engine's own */
    struct alert_rule rule; /* a copy; what it points to is not the receiver's */
    int64_t from_ns, to_ns; /* of interest */
    int64_t step_ns;        /* so long parts are fine enough */
};
/* A part of it: one or more report periods together. */
struct alert_past {
    int64_t start_ns, end_ns;
    uint64_t periods;
    struct tw_num value; /* alert_rule_value() */
    bool has_parts;
    double part, whole; /* alert_rule_parts() */
    struct tw_num ttl_min, ttl_max;
};
/* Pure, for any thread. */
void alert_past_of(const struct alert_rule *r, const struct alert_facts *f, uint64_t periods, struct alert_past *ret);

struct alert_conf {
    void *ctx;
    /* Is to be stored: it is new, or something that lasts has changed. */
    void (*changed)(void *ctx, const struct alert *a);
    /* It was pending, and is no alert. */
    void (*dropped)(void *ctx, const struct alert *a);
    void (*notice)(void *ctx, const struct alert *a, enum alert_notice n);
    /* Is the pair, or agent, still measured? Else the alert ends. */
    bool (*alive)(void *ctx, const struct alert *a);
    /* The reason of a maintenance that is going on, perhaps "": true, there is one. */
    bool (*maintenance)(void *ctx, const struct alert *a, int64_t now_ns, char *buf, size_t cap);
    /* The labels of one end, as its agent has them: `end` 0: source, or the agent itself; 1: target. */
    size_t (*end_labels)(void *ctx, const struct alert *a, unsigned end, const struct tw_label **ret);
    /* A baseline has changed and may be stored. */
    void (*baseline)(void *ctx, uint64_t pair_id, unsigned slot, const char *text);
    /* What a rule remembers of a pair is not known: after a start, or it is a new rule. True: it will be told by
     * alert_engine_learn(), even if there is nothing. False: not now; it is asked again. NULL: there is no history. */
    bool (*want)(void *ctx, const struct alert_want *w);
    uint64_t last_id; /* of alerts, used before */
};

struct alert_engine;
enum tw_rc alert_engine_new(const struct alert_conf *c, struct alert_engine **ret);
void alert_engine_free(struct alert_engine *e);
/* The rules stay the caller's, in use until the next call. Alerts of rules that are no more end at the next
 * tick. */
void alert_engine_set_rules(struct alert_engine *e, const struct alert_rules *rules);

/* A report period of a pair is closed. Of one that is long over (it came out of a spool) only baselines take
 * note. */
enum tw_rc alert_engine_feed(struct alert_engine *e, const struct alert_subject *s,
                             const struct alert_facts *f, int64_t now_ns);
/* Nothing has come of it for so long; unknown: it cannot be told, or nothing should come. Also makes the pair
 * known, for correlation. */
enum tw_rc alert_engine_absent(struct alert_engine *e, const struct alert_subject *s, struct tw_num seconds,
                               int64_t now_ns);
/* s: of an agent. 0 s: it is connected. */
enum tw_rc alert_engine_agent(struct alert_engine *e, const struct alert_subject *s,
                              struct tw_num seconds_down, int64_t now_ns);
/* A pair that is measured no more. */
void alert_engine_forget(struct alert_engine *e, uint64_t pair_id);
/* Once a second or so: correlates, tells, ends what is no longer looked at. */
enum tw_rc alert_engine_tick(struct alert_engine *e, int64_t now_ns);
/* The same in pieces of about `looks` looks at a pair, node or alert, for who must not be held up by a
 * million pairs. Feeding goes on in between; what fires meanwhile is told in the next round. *ret_more: that
 * was not all. */
enum tw_rc alert_engine_work(struct alert_engine *e, int64_t now_ns, size_t looks, bool *ret_more);

/* Answers a want: sorts v by time. What the engine has seen itself meanwhile is not counted twice. */
void alert_engine_learn(struct alert_engine *e, const struct alert_want *w, struct alert_past *v, size_t n);
/* The wall clock that now_ns is of was set by so much since the last call of anything: what has begun goes on as long
 * as if it had not been. */
void alert_engine_stepped(struct alert_engine *e, int64_t by_ns);

/* What was stored. Before anything is fed. */
enum tw_rc alert_engine_restore(struct alert_engine *e, const struct alert *row);
void alert_engine_restore_baseline(struct alert_engine *e, uint64_t pair_id, unsigned slot, const char *text);

/* An alert that another controller judges, as that one stored it: it is among all, and can be acknowledged,
 * but nobody is told of it and nothing looks at it. One that we judge only takes over that it was
 * acknowledged. TW_ENOMEM. */
enum tw_rc alert_engine_show(struct alert_engine *e, const struct alert *row);
/* It was nothing. */
void alert_engine_hide(struct alert_engine *e, uint64_t id);
/* An agent has gone to another controller: so have the alerts of what it measures, and that it is down. */
void alert_engine_give(struct alert_engine *e, const char *source);
/* It has come to us. */
void alert_engine_claim(struct alert_engine *e, const char *source, int64_t now_ns);

/* TW_ENOENT: no such alert that goes on. */
enum tw_rc alert_engine_ack(struct alert_engine *e, uint64_t id, const char *author, const char *reason,
                            int64_t now_ns);
/* Takes s->match, also on an error. Replaces one of the same id. TW_ENOSPC: there are ALERT_SILENCES_MAX that
 * go on at s->made_ns, or are to come. */
enum tw_rc alert_engine_silence(struct alert_engine *e, const struct alert_silence *s);
/* It ends now: false: there is none that goes on, or is to come. */
bool alert_engine_unsilence(struct alert_engine *e, uint64_t id, int64_t now_ns, struct alert_silence *ret);
/* The store does not have it any more. */
void alert_engine_forget_silence(struct alert_engine *e, uint64_t id);
const struct alert_silence *alert_engine_silences(const struct alert_engine *e, size_t *ret_n);

const struct alert *alert_engine_find(const struct alert_engine *e, uint64_t id);
/* All: those that go on, and the last resolved ones; in no order. A non-OK result of fn stops. */
enum tw_rc alert_engine_each(const struct alert_engine *e, enum tw_rc (*fn)(void *ctx, const struct alert *a),
                             void *ctx);
/* Labels to match by: kind, metric, direction, severity, rule, mesh, class, source, target, agent, site, and
 * each label of the ends as source.KEY and target.KEY. Valid until the next call. */
size_t alert_engine_labels(const struct alert_engine *e, const struct alert *a, const struct tw_label **ret);
/* What a rule over the pair's own baseline knows by now. */
struct tw_num alert_engine_baseline(const struct alert_engine *e, uint64_t pair_id, unsigned slot,
                                    int64_t now_ns, int64_t *ret_known_ns);

/* The rules of a pair, as alert_rules_pick() has them, and as they were last looked at: its labels may be others for a minute. NULL: it is not known, or not
 * with these rules. */
const uint16_t *alert_engine_picked(const struct alert_engine *e, uint64_t pair_id);
/* Does an alert of the pair itself fire? */
bool alert_engine_fires(const struct alert_engine *e, uint64_t pair_id);

struct alert_counts {
    uint32_t active[ALERT_STATE_COUNT][ALERT_SEVERITY_COUNT]; /* by state PENDING, FIRING */
    uint64_t fired, resolved, explained, no_memory;
    size_t pairs;
};
void alert_engine_counts(const struct alert_engine *e, struct alert_counts *ret);

#endif
