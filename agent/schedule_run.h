/* agent/schedule_run.h - makes the workers run what the schedule says. Loop thread only.
 *
 * A schedule replaces the one before as a whole: sessions that are the same go on undisturbed under the new
 * generation number, the others stop or start. The agent's own limits (sessions, probes and bits per
 * second, probes in flight, where probes may go) hold whatever it is asked; what it refuses is reported, the rest
 * runs. The schedule is kept with the spool, so
 * a restarted agent goes on without the controller.
 *
 * A session that has times (common/times.h) is made shortly before each of its runs and ends with it; between
 * runs it is a timer. Limits count it as if it ran all the time.
 *
 * A session whose target is a name starts when the name has an address, and goes on to another one as with any change: what is
 * in flight to the old one is awaited. Until then its report periods are summaries of status name_error. */
#ifndef TW_AGENT_SCHEDULE_RUN_H
#define TW_AGENT_SCHEDULE_RUN_H

#include "agent/resolver.h"
#include "agent/session_spec.h"
#include "agent/target_rules.h"
#include "fleet.pb-c.h"

struct schedule_run;
struct keyring;

struct schedule_limits {
    uint32_t max_sessions;
    uint32_t max_pps; /* probes sent per second, all sessions */
    uint64_t max_bps; /* bits of their IP packets */
};
struct schedule_run_conf {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct schedule_limits limits;
    struct target_rules targets;
    struct keyring *keys; /* NULL: none, and sessions that need a key are refused */
    struct resolver *resolver; /* NULL: none, and targets by name are refused; outlives it */
    /* A summary that no worker has made; its names are those of schedule_run_name(). */
    void (*on_summary)(void *ctx, const struct tw_summary *s);
    /* The whole schedule has been handed to the workers: time to acknowledge. */
    void (*on_applied)(void *ctx);
    void *ctx;
};

enum tw_rc schedule_run_new(const struct schedule_run_conf *c, struct schedule_run **ret);
void schedule_run_free(struct schedule_run *r);

/* Takes over a schedule; copies what it needs. TW_EINVAL with *err: malformed as a whole (no digest),
 * nothing changed. A single session that cannot run, or that stands there twice, is refused, not the schedule. After a
 * change of the keyring the same schedule is to be applied again: sessions get the new keys without stopping,
 * and what was refused for want of a key starts. */
enum tw_rc schedule_run_apply(struct schedule_run *r, const Tw__ScheduleRequest *rq, struct tw_err *err);
/* A worker says that a session ended or could not start. Its summaries must have been taken before: their
 * names may be forgotten after the next schedule. What could not start is refused: on_applied() runs again.
 */
void schedule_run_notice(struct schedule_run *r, const struct worker_notice *n);
/* The wall clock was set: the times of sessions are judged anew. A run that has begun goes on for its length, if
 * the new time allows it; it is not repeated. */
void schedule_run_clock_set(struct schedule_run *r);
/* Since the start, of sessions that have times: runs begun, and those that were over before they could. */
void schedule_run_runs(const struct schedule_run *r, uint64_t *ret_begun, uint64_t *ret_missed);
/* Since the start: sessions that went on to another address of their target's name. */
uint64_t schedule_run_moves(const struct schedule_run *r);

/* Writes the names of the summary's pair into it (pointers valid until the next apply): also of sessions that
 * ended with the last schedule, whose final summaries are still to come. */
void schedule_run_name(const struct schedule_run *r, Tw__Summary *m);

/* What a pair of the present schedule is; NULL: it is in none, or in an earlier one only. Valid until the next apply. */
struct pair_name;
const struct pair_name *schedule_run_pair(const struct schedule_run *r, uint64_t pair_id);

uint64_t schedule_run_generation(const struct schedule_run *r);
ProtobufCBinaryData schedule_run_digest(const struct schedule_run *r);
size_t schedule_run_sessions(const struct schedule_run *r);
/* What sessions take of the agent's limits. */
struct schedule_load {
    size_t sessions;
    double pps, bps, in_flight;
};
void schedule_load_add(struct schedule_load *l, const struct session_spec *s, uint32_t flows);
/* For what comes from now on: sessions that run go on. */
void schedule_run_set_limits(struct schedule_run *r, const struct schedule_limits *limits);
/* Would so much more than the schedule still be within the limits? NULL: yes; else which one not. */
const char *schedule_run_room(const struct schedule_run *r, const struct schedule_load *more);
/* May probes go there? NULL: yes; else why not. */
const char *schedule_run_forbids(const struct schedule_run *r, const struct tw_addr *target);
/* The refusals of the present schedule; valid until the next apply. *ret_more: there were more than refusals.h
 * keeps, by so many. */
size_t schedule_run_refusals(const struct schedule_run *r, Tw__Refusal ***ret, uint64_t *ret_more);

#endif
