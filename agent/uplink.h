/* agent/uplink.h - the agent's side of the connection to its controller, the best of its list that answers
 * (roam.h): delivers what is in the spool within the granted window, takes schedules, answers Live, reports
 * health. Loop thread only.
 *
 * Every number of the spool is delivered, as a record or as part of a gap, until the controller says that it
 * is durable: in order, but for fresh ones, which do not wait behind the backlog of an outage (core/lanes.h).
 * If the controller is ahead of the spool (which is then an old copy), the numbers in between are given up,
 * so that no new record is taken for a repetition.
 *
 * What is sent again to another controller says its welcome: what it has of the spool. Controllers that share
 * a history go on where the last one was; what was under way to that one is sent twice and stored once. One
 * that knows nothing of the spool gets all that is left in it. */
#ifndef TW_AGENT_UPLINK_H
#define TW_AGENT_UPLINK_H

#include "agent/roam.h"
#include "agent/schedule_run.h"
#include "common/net/rpc.h"
#include "db/spool.h"

struct diagnose;
struct recorder;
struct ondemand;
struct credentials;
struct thread_list;
struct uplink;

struct uplink_conf {
    struct loop *loop;
    const char *const *urls; /* of controllers, as roam_conf */
    size_t n_urls;
    const char *name;
    /* What to show and to believe on a tls+tcp:// url, as rpc_client_conf.tls. */
    enum tw_rc (*tls)(void *ctx, struct rpc_tls *ret, struct tw_err *err);
    void *tls_ctx;
    const struct identity *identity;
    struct credentials
        *credentials; /* a certificate in it is renewed over the connection; NULL: there is none */
    struct spool *spool;
    struct schedule_run *schedule;
    struct worker **workers;
    size_t n_workers;
    struct recorder *recorder; /* answers Flight, FlightFreeze, FlightList; NULL: they are unimplemented */
    struct diagnose *diagnose; /* answers Diagnose; NULL: it is unimplemented */
    struct ondemand *ondemand; /* answers TestStart, TestStop, TestProgress; NULL: they are unimplemented */
    const Tw__EnrolRequest *enrolment; /* all but what is said of the schedule */
    const int64_t *schedule_taken_ns;  /* when it was taken, by the wall clock; NULL or 0: not known */
    /* A new schedule to keep and to run, or how it differs, or a part of it; *err goes back to the
     * controller. TW_ENOENT: it is the difference to another list than the one that we have, or no part that
     * follows. */
    enum tw_rc (*on_schedule)(void *ctx, const Tw__ScheduleRequest *rq, struct tw_err *err);
    /* The controller does not want this agent any more: it was revoked or removed, and says so when it ends
     * the connection, or refuses one. Once, until on_wanted(): it lets the agent in again, if only to wait
     * for approval. Both may be NULL. */
    void (*on_unwanted)(void *ctx, const char *why);
    void (*on_wanted)(void *ctx);
    /* Fills a health report. */
    void (*fill_health)(void *ctx, Tw__HealthReport *ret);
    /* Tells what each thread does. NULL: Threads is unimplemented. */
    void (*fill_threads)(void *ctx, struct thread_list *ret);
    void *ctx;
};

enum tw_rc uplink_start(const struct uplink_conf *c, struct uplink **ret, struct tw_err *err);
void uplink_stop(struct uplink *u);
/* Connected to the controller, and let in? NULL: no. */
bool uplink_is_up(const struct uplink *u);
/* Its controllers, the best first, and how often it moved from one to another. */
size_t uplink_controllers(const struct uplink *u, struct roam_view ret[HOMING_MAX]);
uint64_t uplink_moves(const struct uplink *u);
/* Records in the spool that wait behind fresh ones; 0 while everything goes in order. */
uint64_t uplink_backlog(const struct uplink *u);
/* There is something new in the spool. */
void uplink_kick(struct uplink *u);
/* There is another certificate: does not wait any longer for the next dial. */
void uplink_dial_now(struct uplink *u);
/* The schedule has been taken over, or changed what it refuses: tell the controller. */
void uplink_send_ack(struct uplink *u);

#endif
