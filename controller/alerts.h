/* controller/alerts.h - alerting at work: feeds the engine (core/alert.h) with what is committed, keeps what
 * it says in the database, and hands notices to receivers (notify.h). A notice is stored with the state that
 * it tells of, and only then sent. Loop thread. */
#ifndef TW_CONTROLLER_ALERTS_H
#define TW_CONTROLLER_ALERTS_H

#include "controller/controller.h"
#include "controller/core/alert.h"
#include "controller/notify.h"

#define ALERT_DOCUMENT_MAX (900u << 10)

struct alerts;
/* Reads what is stored; before the writer runs, after everything else is loaded. */
enum tw_rc alerts_new(struct controller *c, struct alerts **ret, struct tw_err *err);
/* From then on it looks and tells; after the writer and publish run. */
enum tw_rc alerts_start(struct alerts *a, struct tw_err *err);
/* Looks no more, and gives what is to be stored to the writer; before the writer stops. */
void alerts_stop(struct alerts *a);
void alerts_free(struct alerts *a); /* after the writer has stopped */
/* A summary of it is committed and published. a NULL: nobody looks. */
void alerts_note(struct alerts *a, struct pair *p);

struct alert_engine *alerts_engine(struct alerts *a);
/* Of the document in force; version 0: there is none, and no rules. */
struct alerts_document {
    uint64_t version;
    int64_t time_ns;
    char author[ALERT_AUTHOR_MAX * 2], reason[1025];
    char *text; /* NULL: none */
};
const struct alerts_document *alerts_document(const struct alerts *a);
const struct alert_rules *alerts_rules(const struct alerts *a);
struct notify *alerts_notify(struct alerts *a);

/* done() runs once it is stored, on the loop. TW_EAGAIN: it is not, since another controller changed
 * something meanwhile. */
typedef void alerts_done(void *ctx, enum tw_rc rc, const struct tw_err *err);
/* Takes the rules, which are what `text` says, on TW_OK; done() is not called otherwise. TW_EBUSY: another
 * one is on its way. */
enum tw_rc alerts_apply(struct alerts *a, const char *text, struct alert_rules *rules, const char *author,
                        const char *reason, alerts_done *done, void *ctx);
/* TW_ENOENT: no such alert that goes on. */
enum tw_rc alerts_ack(struct alerts *a, uint64_t id, const char *author, const char *reason);
/* Takes s->match; fills s->id. */
enum tw_rc alerts_silence(struct alerts *a, struct alert_silence *s);
enum tw_rc alerts_unsilence(struct alerts *a, uint64_t id, const char *author, struct alert_silence *ret);
/* What other controllers stored. The document in force is another one; TW_EINVAL: it cannot be read here. */
struct store_alert_document;
enum tw_rc alerts_follow_document(struct alerts *a, const struct store_alert_document *row,
                                  struct tw_err *err);
enum tw_rc alerts_follow_no_document(struct alerts *a);                      /* there is none any more */
enum tw_rc alerts_follow_silence(struct alerts *a, struct alert_silence *s); /* takes s->match */
/* Those that are gone from the store; while one that was just made is not there yet all stay. */
void alerts_follow_silences(struct alerts *a, bool (*is_gone)(const void *ctx, const struct alert_silence *s),
                            const void *ctx);
enum tw_rc alerts_follow(struct alerts *a, const struct alert *row);
void alerts_follow_gone(struct alerts *a, uint64_t id);
/* The agent is connected here, or nobody that is there had it last, and it is for us to judge: what it measures is judged here, too, until another controller says that it
 * has it. a NULL: only the first. */
void alerts_agent_came(struct alerts *a, struct agent *ag);
void alerts_agent_went(struct alerts *a, struct agent *ag);

/* Names of receivers that are told of an alert, by the routes; at most cap, how many. They stay the rules'.
 */
size_t alerts_receivers_of(struct alerts *a, const struct alert *al, const char **ret, size_t cap);
/* The subject of a pair or an agent, for the engine; its texts and labels are the inventory's. */
struct alert_subject alerts_subject(struct alerts *a, const struct pair *p);
struct alert_subject alerts_agent_subject(const struct agent *ag);

struct alerts_counters {
    uint64_t lost; /* changes that could not be kept for want of memory */
    uint64_t freezes;
};
void alerts_counters(const struct alerts *a, struct alerts_counters *ret);

#endif
