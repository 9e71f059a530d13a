/* controller/doctor_run.h - what the files of the doctor share. */
#ifndef TW_CONTROLLER_DOCTOR_RUN_H
#define TW_CONTROLLER_DOCTOR_RUN_H

#include "controller/core/doctor.h"
#include "controller/core/lately.h"
#include "controller/doctor.h"

enum { TOO_MANY_REQUESTS, TOO_MANY_QUERIES, TOO_MANY_CALLS, TOO_MANY_BATCHES, TOO_MUCH_KINDS };

/* A way and what is needed to probe it. Names of agents are asked for anew each time: agents may go. */
struct way {
    struct doctor_way facts; /* its texts: kept names, or the query */
    bool suspect, asked_for; /* by its results; by name */
    uint32_t in_maintenance; /* of its pairs */
    bool only_for_agent;     /* to see whether the reflector of an agent that is down answers */
    /* Of its session with the largest packets, or by what is known of the target. */
    char address[TW_ADDR_TEXT], host[256], bind[64];
    uint8_t family;
    uint32_t port, control_port, size, dscp;
    bool df, stamp;
    enum { WAY_IDLE, WAY_WAITS, WAY_RUNS, WAY_DONE } state;
    uint64_t token;
    bool watched, driver;
    struct doctor_probe *probe;
    char why_not[200], refusal[256];
    UT_hash_handle hh; /* by source and target, which are kept names */
    const void *key[2];
};

/* An agent of the mesh that was asked for. */
struct member {
    const char *name; /* kept */
    UT_hash_handle hh;
};

struct run {
    struct run *next;
    struct member *members;
    struct doctor *d;
    struct doctor_query query;
    struct doctor_run_info info;
    int64_t began_ns, ended_ns; /* monotonic */
    struct way *ways;           /* uthash */
    struct way **list;          /* of those that are looked at, in the order of probing */
    size_t n_list, n_all_ways;
    struct way *active[DOCTOR_PROBES_AT_A_TIME]; /* those that run */
    size_t running;
    unsigned open; /* calls that will come back */
    bool audited, settled;
    struct findings findings;
    const char **cannot_diagnose; /* kept names of agents */
    size_t n_cannot, cap_cannot;
};

struct doctor {
    struct controller *c;
    struct run *runs;
    uint64_t last_id;
    unsigned running; /* probes */
    bool stopped;
    struct loop_timer timer;
    struct loop_timer minute; /* marks what has been refused */
    struct lately too_much[TOO_MUCH_KINDS];
};
enum tw_rc doctor_count_start(struct doctor *d);
/* In the last ten minutes. */
void doctor_too_much(struct doctor *d, struct doctor_too_much *ret);

/* doctor_facts.c */
/* Finds agents and ways that the query means. */
enum tw_rc run_select(struct run *r, struct tw_err *err);
bool run_wants_agent(const struct run *r, const struct agent *a);
/* Says what all of it means: fills r->findings. */
enum tw_rc run_examine(struct run *r);
/* Is any agent that it is about not yet where it should be? */
bool run_is_unsettled(const struct run *r);

/* doctor_probe.c */
/* Which ways to probe, and in which order; the others are told why not. */
enum tw_rc run_choose(struct run *r);
/* Starts as many as may run now. */
void run_probe_more(struct run *r);

/* doctor.c: something has come back */
void run_advance(struct run *r);

#endif
