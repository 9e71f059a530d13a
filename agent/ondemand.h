/* agent/ondemand.h - tests on demand: sessions beside the schedule, in the same workers, with the same
 * packets, statistics and flight recorder. Loop thread only.
 *
 * A run is one pair of a test. It ends by itself: when its probes are sent or its time is over, or when
 * nobody has asked for its progress for as long as the lease says, so it never outlives whoever wanted it.
 * The agent's limits hold for schedule and tests together; a new schedule has precedence, and tests that it
 * leaves no room for end, the youngest first.
 *
 * A run to a target by name begins when the name has an address, and stays at that one; if there is none it fails.
 *
 * To the workers a run has a number of its own in place of its pair's, so two tests of the same pair do not
 * mix, nor with the schedule. ondemand_name() gives its summaries the pair's number back, and the test's. */
#ifndef TW_AGENT_ONDEMAND_H
#define TW_AGENT_ONDEMAND_H

#include "agent/schedule_run.h"
#include "common/net/rpc.h"

#define ONDEMAND_RUNS_MAX 64 /* at once */
#define ONDEMAND_FLOWS_MAX 32
#define ONDEMAND_COUNT_MAX 10000000u /* probes of a flow */
#define ONDEMAND_LASTS_MAX_NS (24 * 3600 * TW_NS_PER_S)
#define ONDEMAND_LEASE_MIN_NS TW_NS_PER_S
#define ONDEMAND_LEASE_MAX_NS (60 * TW_NS_PER_S)
#define ONDEMAND_KEPT_NS (60 * TW_NS_PER_S) /* an ended run can be asked for its result so long */
#define ONDEMAND_REPLY_PROBES 4000
#define ONDEMAND_KEY (UINT64_C(1) << 63) /* is set in the numbers that runs have in the workers */

struct ondemand;
struct ondemand_conf {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct schedule_run *schedule;
    struct keyring *keys; /* NULL: none */
    struct resolver *resolver; /* NULL: none, and tests to targets by name are refused; outlives it */
    bool recording;       /* the workers have a flight recorder */
    /* Takes what the workers have ready, as when they say so themselves. */
    void (*collect)(void *ctx);
    void *ctx;
};
enum tw_rc ondemand_new(const struct ondemand_conf *c, struct ondemand **ret);
void ondemand_free(struct ondemand *o);

/* FleetAgent.TestStart, .TestStop, .TestProgress; each answers before it returns. */
void ondemand_start(struct ondemand *o, const Tw__TestRunRequest *rq, Tw__TestRunReply_Closure closure,
                    void *closure_data);
void ondemand_stop(struct ondemand *o, const Tw__TestRunStopRequest *rq, Tw__TestRunStopReply_Closure closure,
                   void *closure_data);
void ondemand_progress(struct ondemand *o, const Tw__TestRunProgressRequest *rq,
                       Tw__TestRunProgress_Closure closure, void *closure_data);

/* A summary of any session has come from a worker. */
void ondemand_note(struct ondemand *o, const struct tw_summary *s);
/* True: it is of a run, and now has its names, the numbers of pair and test (texts are valid until the next
 * call). */
bool ondemand_name(const struct ondemand *o, Tw__Summary *m);
/* True: it was of a run. Its summaries must have been taken before. */
bool ondemand_notice(struct ondemand *o, const struct worker_notice *n);
/* All that run end now. */
void ondemand_end_all(struct ondemand *o, const char *why);
/* There is another schedule. */
void ondemand_on_schedule(struct ondemand *o);

void ondemand_fill_health(const struct ondemand *o, Tw__HealthReport *h);

#endif
