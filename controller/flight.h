/* controller/flight.h - the flight recorders of the fleet: finds the agent that measures a pair, asks it what became of
 * single probes, and lets agents freeze parts. One set of functions behind the Admin service, the HTTP API and, with
 * TW__FLIGHT_CAUSE__FLIGHT_CAUSE_ALERT, whatever raises alerts. Loop thread. */
#ifndef TW_CONTROLLER_FLIGHT_H
#define TW_CONTROLLER_FLIGHT_H

#include "controller/controller.h"
#include "controller/report.h"

#define FLIGHT_DEADLINE_MS 8000u /* of a call to an agent: less than twampctl waits */
#define FLIGHT_SPAN_MAX_NS (24 * 3600 * TW_NS_PER_S)
#define FLIGHT_REASON_MAX 200u
#define FLIGHT_PAIRS_MAX 10000u /* that one freeze can name */

struct flight_query {
    struct report_filter pairs; /* its names; times and limit do not count */
    uint64_t pair_id;           /* not 0: this one, whatever the names say */
    bool one_flow;              /* flight_fetch() */
    uint32_t flow;
    int64_t at_ns, before_ns, after_ns; /* probes sent in [at - before, at + after); at 0 = now */
    uint32_t limit;                     /* flight_fetch(): records of each flow; 0 = what fits */
    Tw__FlightCause cause;              /* flight_freeze() */
    char reason[FLIGHT_REASON_MAX + 1];
};

/* What one pair's agent says. `text` is a line for the operator when status is not OK, and then reply is NULL. All is
 * valid during done() only. */
struct flight_result {
    Tw__Status status;
    const char *text;
    const struct pair *pair;
    int64_t from_ns, at_ns, to_ns;
    const Tw__FlightReply *reply;
};
/* done() runs exactly once, maybe before this returns. NOT_FOUND: no such pair; FAILED_PRECONDITION: several;
 * UNAVAILABLE: its agent is not connected, or did not answer. */
void flight_fetch(struct controller *c, const struct flight_query *q,
                  void (*done)(void *ctx, const struct flight_result *r), void *ctx);

/* A frozen part, or why there is none. */
struct flight_row {
    char agent[STORE_NAME_MAX];
    uint64_t pair_id; /* 0: this is about the agent as a whole */
    uint64_t id;
    uint32_t flow;
    Tw__FlightCause cause;
    char reason[FLIGHT_REASON_MAX + 1];
    int64_t at_ns, frozen_ns, first_ns, last_ns;
    uint64_t probes, lost;
    char error[256]; /* "": there is one */
};
struct flight_rows {
    Tw__Status status; /* not OK: nothing was asked, for the reason in text */
    const char *text;
    struct flight_row *rows;
    size_t n;
    bool truncated;
};
/* Freezes all flows of every scheduled pair that matches. Agents that are not connected, or fail, are rows with an
 * error: the others freeze all the same. done() as above. */
void flight_freeze(struct controller *c, const struct flight_query *q,
                   void (*done)(void *ctx, const struct flight_rows *r), void *ctx);
/* Every frozen part of the pairs that match, on all agents that are connected; agents that are not are rows with an
 * error, too, when `f` asks for theirs. */
void flight_list(struct controller *c, const struct report_filter *f,
                 void (*done)(void *ctx, const struct flight_rows *r), void *ctx);

/* All but the agent. */
void flight_row_of(const Tw__FlightFrozen *m, struct flight_row *ret);
const char *flight_cause_name(Tw__FlightCause c); /* "command", "alert", "loss_run" */

#endif
