/* controller/fleet.h - the agents' side of the controller: who may come in, what they enrol with, pushing schedules until they are
 * acknowledged. Loop thread. */
#ifndef TW_CONTROLLER_FLEET_H
#define TW_CONTROLLER_FLEET_H

#include "controller/controller.h"
#include "controller/schedule.h"

#define FLEET_REASON_MAX 512   /* octets of an agent's reason to refuse a session, or keys */
#define FLEET_MAX_PENDING 1000 /* agents that wait for approval; more are sent away */

struct fleet;
struct ingest;
struct fleet_link;

/* Lists for a thousand agents at once would be a lot of memory: so many sessions are on their way at a time, then one waits. */
#define PUSH_SESSIONS 65536
struct push_queue {
    struct fleet_link *first;
    struct loop_task task; /* it is somebody's turn */
    size_t under_way;
    uint64_t lists, differences; /* sent: requests; of a list in parts each counts */
    uint64_t refused;            /* that an agent did not take, or that did not reach it */
};

/* What goes with one connection of an agent, from on_up to on_down: rpc_peer_ctx(). */
struct fleet_link {
    struct controller *c;
    struct rpc_peer *peer;
    struct agent *agent; /* NULL: removed, approved anew, or a newer connection took its place */
    struct loop_timer push;
    unsigned refs, failures;
    bool down, pushing, told_to_stop;
    bool queued;                 /* waits for its turn to be sent a list */
    bool whole;                  /* `pushed` goes as a list, not as a difference */
    bool more;                   /* further parts have to follow */
    uint32_t part;               /* of it, that is on its way */
    size_t from;                 /* the session that the next one begins with */
    size_t under_way;            /* sessions of it: see struct push_queue */
    struct fleet_link *prev, *next; /* in the queue */
    uint8_t pushed[AGENT_DIGEST_LEN];
    size_t unacked_rows; /* summaries taken and not yet answered; ingest.c */
    bool clock_known;      /* it has told its time on this connection */
    int64_t clock_base_ns; /* its wall clock minus our monotonic one, then: so that a step of ours shows at once */
};

/* Starts the agents' listener. */
enum tw_rc fleet_start(struct controller *c, const char *url, struct fleet **ret, struct tw_err *err);
void fleet_free(struct fleet *f);
/* A new agent in the inventory; the caller stores it. NULL: no memory. */
struct agent *fleet_new_agent(struct controller *c, const char *name, const char *software, const uint8_t *public_key,
                              const char *address);
/* A copy to give to the store, to be ended by fleet_agent_row_clear(). */
enum tw_rc fleet_agent_row(const struct agent *a, struct store_agent *ret);
void fleet_agent_row_clear(struct store_agent *row);
/* Queues its row for the store; several calls become one write. */
void fleet_save(struct controller *c, struct agent *a);
/* An approval or a removal is durable. fleet_removed() frees the agent. */
void fleet_approved(struct controller *c, struct agent *a, int64_t now_ns);
void fleet_removed(struct controller *c, struct agent *a);
/* It is stored that an agent is revoked: cuts it off. */
void fleet_revoked(struct agent *a);
/* What the meshes depend on of an agent: a difference means that they may come out otherwise. */
struct fleet_place {
    struct reach reach;
    uint64_t grouping; /* a hash of what decides which groups it is in */
    uint64_t approved;
};
void fleet_place_of(const struct agent *a, struct fleet_place *ret);
bool fleet_place_same(const struct fleet_place *a, const struct fleet_place *b); /* or neither counts */
/* Offers its schedule to every connected agent that does not run it yet. */
void fleet_push_all(struct controller *c);

#endif
