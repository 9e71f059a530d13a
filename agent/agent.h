/* agent/agent.h - inside twamp-agent: the agent, its parts, and what the files that wire them have of each
 * other. All of it belongs to the loop thread.
 *
 * main.c            begin and end, in order; exit codes
 * agent_schedule.c  what the agent is to measure: what the controller sends, what is kept for a restart, and
 * what ends it all agent_health.c    what the agent tells of itself: health, and its threads agent_reload.c
 * SIGHUP: options, secrets, certificates and access lists are read anew agent_join.c      how the agent comes
 * to its controller: with its certificate, or first to one agent_confine.c   what the agent gives up of its
 * rights, and what it goes on to need agent_parts.c     the agent's parts: made one by one, each saying what
 * is wrong, and what they tell each other */
#ifndef TW_AGENT_AGENT_H
#define TW_AGENT_AGENT_H

#include "agent/cards.h"
#include "agent/clockwatch.h"
#include "agent/options.h"
#include "agent/schedule_merge.h"
#include "agent/schedule_run.h"
#include "common/conf_file.h"
#include "common/net/reload.h"
#include "db/spool.h"

#define REFLECT_MAX 8 /* as struct worker_cfg */

struct thread_list;

struct agent {
    struct agent_options opt;
    struct conf_daemon conf;
    struct loop *loop;
    struct identity *identity;
    struct credentials *credentials;
    struct join *join; /* NULL: it has a certificate, or needs none */
    struct spool *spool;
    struct worker **workers;
    size_t n_workers;
    struct tw_addr reflect[REFLECT_MAX];
    uint16_t reflector_port;
    Tw__EnrolRequest *enrolment;
    int64_t schedule_taken_ns; /* see uplink_conf */
    struct keyring *keys;    /* NULL: no file of secrets */
    struct control *control; /* NULL: no TWAMP-Control server */
    struct resolver *resolver;
    struct schedule_run *schedule;
    struct ondemand *ondemand;
    struct schedule_parts parts;
    struct results *results;
    struct frozen *frozen;
    struct recorder *recorder;
    struct diagnose *diagnose;
    struct metrics_server *metrics; /* NULL: not served */
    struct clockwatch clock;
    struct cards cards;
    struct uplink *uplink;
    struct loop_timer trim, xdp_tick;
    struct tw_prefix *probe_allow;
    struct access_lists *access;
    struct source_limit *limit;  /* of the reflectors */
    struct target_rules targets; /* points to probe_allow */
    struct xdp_reflect *xdp;     /* NULL: all by the sockets */
    int64_t started_ns;
    struct reload reload;
    char config_error[400];    /* why the configuration file as it is now is not in use; "": it is */
    struct tw_err https_error; /* the same of the certificate of --http */
    bool unwanted;             /* by the controller: revoked or removed */
    bool failed;               /* it cannot join, and said why */
};

/* agent_schedule.c. apply_kept: goes on with what ran before; without one, waits for the controller. The others are what those who are
 * named call. */
void agent_apply_kept(struct agent *a);
enum tw_rc agent_on_schedule(void *ctx, const Tw__ScheduleRequest *rq, struct tw_err *err);
void agent_on_unwanted(void *ctx, const char *why);
void agent_on_wanted(void *ctx);
void agent_on_applied(void *ctx);
void agent_on_keys(void *ctx);
void agent_on_clock_step(void *ctx);

/* agent_health.c */
void agent_fill_health(void *ctx, Tw__HealthReport *h);
void agent_fill_threads(void *ctx, struct thread_list *ret);

/* agent_reload.c. keep_acked: to the spool 0 is its default. */
struct schedule_limits agent_limits(const struct agent_options *o);
int64_t agent_keep_acked(const struct agent_options *o);
void agent_on_hangup(void *ctx, int signo);

/* agent_join.c. Joins first if a token was given, or TLS needs a certificate, and there is none. */
enum tw_rc agent_connect(struct agent *a, struct tw_err *err);

/* agent_confine.c. capabilities: what goes on to be needed when all ports are bound. */
uint64_t agent_capabilities(const struct agent_options *o);
enum tw_rc agent_begin_confined(const struct agent_options *o, struct tw_err *err);
enum tw_rc agent_confine_calls(const struct agent_options *o, struct tw_err *err);

/* agent_parts.c. In this order; each says in *err what is wrong. */
void agent_parse_reflect(struct agent *a);
enum tw_rc agent_open_data(struct agent *a, struct tw_err *err);
enum tw_rc agent_start_workers(struct agent *a, struct tw_err *err);
enum tw_rc agent_parse_targets(struct agent *a, struct tw_err *err);
enum tw_rc agent_open_access(struct agent *a, struct tw_err *err);
void agent_start_xdp(struct agent *a);
enum tw_rc agent_open_keys(struct agent *a, struct tw_err *err);
enum tw_rc agent_make_parts(struct agent *a, struct tw_err *err);
enum tw_rc agent_make_recorder(struct agent *a, struct tw_err *err);
enum tw_rc agent_make_diagnose(struct agent *a, struct tw_err *err);
enum tw_rc agent_start_metrics(struct agent *a, struct tw_err *err);

#endif
