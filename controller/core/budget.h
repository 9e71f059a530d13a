/* controller/core/budget.h - does a schedule cost more than it may? What exceeds a limit is told with its biggest contributors, and with what
 * would fit. Pure. */
#ifndef TW_CONTROLLER_BUDGET_H
#define TW_CONTROLLER_BUDGET_H

#include "controller/core/plan.h"

/* The operator's limits; 0: none. They are soft: who insists goes past them. */
struct budget_limits {
    double pairs, series;       /* of all meshes */
    double store_bytes_per_day;
    double agent_pps, agent_bps; /* of each agent, as source */
};
/* An agent's own limits, which nobody goes past; 0: none. */
struct budget_agent {
    uint32_t sessions;
    double pps, bps;
};
struct budget_mesh { /* a mesh of the schedule that is looked at */
    const struct mesh_pairs *pairs;
    bool ipv6;
};
struct budget_question {
    const struct budget_limits *limits;
    /* What the agent itself allows. */
    void (*agent)(void *ctx, const char *name, struct budget_agent *ret);
    void *ctx;
    const struct plan_cost *before, *after; /* what is not more than before is let pass */
    const struct budget_mesh *meshes;       /* after */
    size_t n_meshes;
};

enum budget_kind { BUDGET_PAIRS, BUDGET_SERIES, BUDGET_STORE, BUDGET_SESSIONS, BUDGET_PPS, BUDGET_BPS };
#define BUDGET_SHARES 3
struct budget_share {
    const char *mesh, *class_name; /* the meshes' own */
    double value;
    uint64_t pairs;
};
struct budget_excess {
    enum budget_kind kind;
    bool hard;
    const char *agent; /* of the plan; NULL: all together */
    double value, limit;
    struct budget_share shares[BUDGET_SHARES]; /* most first */
    size_t n_shares;
    char fits[160];    /* "a spacing of 40ms instead of 20ms in core/voice"; "" if nothing simple does */
};
#define BUDGET_EXCESSES 20
struct budget_report {
    struct budget_excess v[BUDGET_EXCESSES]; /* hard ones first */
    size_t n;
    uint64_t hard, soft; /* all there are */
};
/* An empty report: all is within the limits. */
void budget_check(const struct budget_question *q, struct budget_report *ret);

#define BUDGET_TEXT 200
/* "agent ams would send 2000 packets/s: its own limit is 1000". Returns buf. */
const char *budget_text(const struct budget_excess *e, char buf[BUDGET_TEXT]);
const char *budget_kind_name(enum budget_kind k); /* "packets_per_second" */

#endif
