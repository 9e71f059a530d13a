/* agent/recorder.h - the loop's side of the flight recorder: freezes what is around an incident, and answers
 * the controller's questions. Loop thread only.
 *
 * After a run of lost probes it waits until the probes that follow have met their fate, but never so long
 * that the ring would have forgotten the ones before; then it freezes RECORDER_AROUND_NS on either side. */
#ifndef TW_AGENT_RECORDER_H
#define TW_AGENT_RECORDER_H

#include "agent/frozen.h"
#include "agent/io/worker.h"
#include "common/net/rpc.h"
#include "fleet.pb-c.h"

#define RECORDER_AROUND_NS (5 * TW_NS_PER_S)
#define RECORDER_REPLY_PROBES 12000 /* in all: less than 900 KiB */

struct recorder;
struct recorder_conf {
    struct loop *loop;
    struct worker **workers;
    size_t n_workers;
    struct frozen *frozen;
    bool recording; /* the workers have a flight recorder */
};
enum tw_rc recorder_new(const struct recorder_conf *c, struct recorder **ret);
void recorder_free(struct recorder *r);
/* The workers have news. */
void recorder_on_results(struct recorder *r);
void recorder_fill_health(const struct recorder *r, Tw__HealthReport *h);

/* FleetAgent.Flight, .FlightFreeze, .FlightList; each answers before it returns. */
void recorder_flight(struct recorder *r, const Tw__FlightRequest *rq, Tw__FlightReply_Closure closure,
                     void *closure_data);
void recorder_freeze(struct recorder *r, const Tw__FlightFreezeRequest *rq,
                     Tw__FlightFreezeReply_Closure closure, void *closure_data);
void recorder_list(struct recorder *r, Tw__FlightListReply_Closure closure, void *closure_data);

#endif
