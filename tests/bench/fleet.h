/* tests/bench/fleet.h - simulated agents for fleet.c and tests/soak: they connect, enrol, take schedules, acknowledge, and send a
 * summary of each pair when asked; they send no probes. */
#ifndef TW_TESTS_BENCH_FLEET_H
#define TW_TESTS_BENCH_FLEET_H

#include <sys/types.h>
#include <time.h>
#include "admin.pb-c.h"
#include "common/net/rpc.h"
#include "fleet.pb-c.h"

struct fleet;

struct fleet_session {
    uint64_t pair_id;
    uint64_t sum[4]; /* of its message; see controller/schedule.h */
    uint32_t flow;
};

struct fleet_agent {
    struct fleet *f;
    const char *url; /* NULL: the fleet's */
    char name[40], address[64];
    uint8_t boot[RPC_ID_LEN], spool[RPC_ID_LEN];
    struct identity *key;
    struct rpc_client *client;
    struct rpc_peer *peer;
    struct rpc_service services[1];
    Tw__FleetAgent_Service service;
    struct fleet_session *sessions;
    size_t n_pairs, cap; /* one flow each */
    uint64_t sum[4];
    uint8_t digest[32]; /* as it was told; the sum must agree */
    unsigned unanswered; /* acknowledgements on their way */
    bool away;           /* has left, or is not there yet */
    uint64_t generation;
    uint64_t sent, acked, due; /* summaries, counted from the first */
    uint32_t window;
    int64_t *made; /* fleet_agent_offer(): when each round of summaries was; NULL: by the clock when they are
                      sent */
    size_t n_made, cap_made;
    bool rude;          /* has more under way than a controller takes, whatever window it is granted */
    bool paused;        /* a batch was refused, since the store's queue was full: `resume` goes on */
    struct loop_timer resume;
};

struct fleet {
    struct loop *loop;
    char dir[64], url[64], admin_url[128];
    pid_t controller;
    clockid_t cpu_clock;
    struct fleet_agent *agents;
    size_t n; /* that should be there */
    const char *topology;
    size_t degree;
    const char *every; /* runs of ten probes; NULL: continuous */
    struct rpc_client *admin;
    struct rpc_peer *admin_peer;
    bool answered, sending;
    bool patient; /* connections may be lost: they are made again */
    uint64_t pairs, schedules, deltas, refused;
    size_t n_away;
};

__attribute__((noreturn, format(printf, 1, 2))) void fleet_die(const char *fmt, ...);
void fleet_must(enum tw_rc rc, const char *what);
void fleet_run_for(struct fleet *f, int64_t ns);

void fleet_agent_start(struct fleet *f, size_t i);
/* Closes its connection, for good. */
void fleet_agent_leaves(struct fleet *f, size_t i);
/* A new host under the old name. */
void fleet_agent_joins(struct fleet *f, size_t i);
size_t fleet_connected(const struct fleet *f);
/* Agents that run all that they should, and whose acknowledgement was answered; those that are away count. */
size_t fleet_settled(const struct fleet *f);
/* Ends its connection; fleet_agent_returns() makes another, as the same host. */
void fleet_agent_drops(struct fleet *f, size_t i);
void fleet_agent_returns(struct fleet *f, size_t i);
/* One more summary of each pair; an agent that has not come to its end with the last ones is left out. Returns the
 * number of those. */
size_t fleet_send_summaries(struct fleet *f);
bool fleet_summaries_done(const struct fleet *f);
/* One more summary of each of its pairs at this moment, however many wait already: as of an agent whose spool
 * has no end. Its schedule must not change from the first call on. */
void fleet_agent_offer(struct fleet *f, size_t i);
/* A mesh of all; malloc'ed. */
char *fleet_document(const struct fleet *f);

#endif
