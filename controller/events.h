/* controller/events.h - tells those who look at the page what is new: server-sent events (HTML, section 9.2).
 * An event says that something changed, and which version it is now, not what it is: who was slow or away
 * misses nothing by asking once. Loop thread. */
#ifndef TW_CONTROLLER_EVENTS_H
#define TW_CONTROLLER_EVENTS_H

#include "common/net/httpd.h"

enum event_kind {
    EVENT_PUBLISHED, /* results, or what is to be thought of pairs without any */
    EVENT_ALERTS,
    EVENT_SCHEDULE,
    EVENT_AGENTS,
    EVENT_TESTS, /* on demand */
    EVENT_KINDS
};
const char *event_kind_name(enum event_kind k);

struct events;
struct events_conf {
    struct loop *loop;
    unsigned max_clients; /* 0: none are taken */
    int64_t interval_ns;  /* at most one event of a kind in such a time; 0 = 1 s */
    int64_t silence_ns;   /* a client that got nothing for so long gets a comment; 0 = 15 s */
    int64_t
        stale_ns; /* EVENT_PUBLISHED comes at least so often: states change by time alone, too; 0 = 10 s */
    /* Of the first event: */
    const char *name, *version;
    int64_t started_ns;
};
enum tw_rc events_new(const struct events_conf *c, struct events **ret);
/* After httpd_stop(). */
void events_free(struct events *e);
/* Another max_clients: those who listen go on, if there are more. */
void events_set_max(struct events *e, unsigned max_clients);
/* Something of it has changed; as often as you like. e NULL: nobody can listen. */
void events_note(struct events *e, enum event_kind k);
/* Rises with every change, from the start of the process on. */
uint64_t events_version(const struct events *e, enum event_kind k);
/* Is somebody listening? Then the version that listeners know, or are just told; else the present one. */
bool events_are_told(const struct events *e);
uint64_t events_told(const struct events *e, enum event_kind k);
/* Answers with a stream of events; 503 if there are too many listeners. The first one says whether who listens may change something. */
void events_join(struct events *e, struct http_req *rq, bool may_change);

struct events_counters {
    uint64_t clients; /* now */
    uint64_t sent;    /* events */
    uint64_t dropped; /* events that a client did not get by themselves: the one before was still on its way,
                         and the next says it, too */
    uint64_t refused; /* clients that were too many */
};
void events_counters(const struct events *e, struct events_counters *ret);

#endif
