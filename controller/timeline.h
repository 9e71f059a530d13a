/* controller/timeline.h - what happened, for time axes: alerts and maintenance from memory, the rest from the
 * store. */
#ifndef TW_CONTROLLER_TIMELINE_H
#define TW_CONTROLLER_TIMELINE_H

#include "controller/controller.h"
#include "controller/report.h"

#define TIMELINE_MAX 1000 /* the newest */

enum timeline_kind {
    TIMELINE_GENERATION,
    TIMELINE_ALERT,
    TIMELINE_AGENT_RESTART,
    TIMELINE_AGENT_DOWN,
    TIMELINE_CLOCK_STEP,
    TIMELINE_MAINTENANCE,
    TIMELINE_TTL_CHANGE,
    TIMELINE_DSCP_CHANGE,
    TIMELINE_REFUSED, /* an agent did not take a session */
    TIMELINE_DROPPED, /* a spool was full: results were given up */
    TIMELINE_TEST,
    TIMELINE_KINDS
};
const char *timeline_kind_name(enum timeline_kind k); /* "generation", ... */

struct timeline_event {
    enum timeline_kind kind;
    int64_t at_ns, until_ns; /* until 0: a moment; INT64_MAX: it goes on */
    const char *severity;    /* static: "info", "warning", "critical" */
    uint64_t number;         /* of the generation, alert or test; 0 */
    char title[192], detail[384];
    char mesh[STORE_NAME_MAX], class_name[STORE_NAME_MAX], source[STORE_NAME_MAX], target[STORE_NAME_MAX],
        agent[STORE_NAME_MAX]; /* "": not of one */
};
struct timeline {
    int64_t from_ns, to_ns;
    struct timeline_event *v; /* oldest first */
    size_t n, cap;
    bool truncated;
    /* For the reader: */
    struct store_pair pair; /* id 0: not of one pair */
    int64_t period_ns;
    char (*agents)[STORE_NAME_MAX];
    size_t n_agents;
    bool all; /* of no pair and no agent in particular */
};

/* What is in memory, and what to look for. one: the only pair that the filter means; NULL: there are several.
 * TW_ENOMEM. Loop thread. */
enum tw_rc timeline_take(struct controller *c, const struct report_filter *f, const struct pair *one,
                         struct timeline *ret);
/* What is in the store; then it is complete. Reader thread. */
enum tw_rc timeline_read(struct timeline *t, struct store_reader *db, struct tw_err *err);
void timeline_free(struct timeline *t);

/* A part of a pair's time, for looking at what changes. */
struct timeline_part {
    int64_t from_ns;
    uint32_t flow, clock_steps, remote_steps;
    struct tw_octet_range octet[4]; /* ttl forward, backward, tos forward, backward */
};
/* Parts in any order; adds an event for each change. TW_ENOMEM. */
enum tw_rc timeline_changes(struct timeline *t, struct timeline_part *v, size_t n);

#endif
