/* agent/diagnose.h - what the controller's `doctor` asks of an agent: send a few packets to a target and tell
 * what became of them, or count those that come from another agent. Loop thread only; the workers are not
 * disturbed: it has sockets and timers of its own, and names are looked up by a thread.
 *
 * A stranger who gets hold of the controller must not make a flood of it: at most DIAGNOSE_RUNS at a time,
 * DIAGNOSE_A_MINUTE a minute, and DIAGNOSE_PACKETS packets each, 20 ms apart. What is beyond is refused with
 * RESOURCE_EXHAUSTED and counted. Nothing goes where the agent may not send probes. */
#ifndef TW_AGENT_DIAGNOSE_H
#define TW_AGENT_DIAGNOSE_H

#include "agent/diagnose_call.h"
#include "agent/io/worker.h"
#include "common/net/rpc.h"
#include "fleet.pb-c.h"

#define DIAGNOSE_RUNS 4u
#define DIAGNOSE_A_MINUTE 120u

struct diagnose;
struct diagnose_conf {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct target_rules targets;
    bool driver_answers; /* packets of 41 octets and more may never come to the workers (--xdp) */
};
enum tw_rc diagnose_new(const struct diagnose_conf *c, struct diagnose **ret);
/* Answers what is still open with UNAVAILABLE. Waits for names that are being looked up: a few seconds at
 * worst. */
void diagnose_free(struct diagnose *d);
void diagnose_fill_health(const struct diagnose *d, Tw__HealthReport *h);
/* FleetAgent.Diagnose */
void diagnose_serve(struct diagnose *d, const Tw__DiagnoseRequest *rq, Tw__DiagnoseReply_Closure closure,
                    void *closure_data);

#endif
