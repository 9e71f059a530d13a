/* controller/maintenance.h - what maintenance goes on: of agents, of meshes, and of pairs, which have that of their mesh and of
 * the agents at both ends. Loop thread only. */
#ifndef TW_CONTROLLER_MAINTENANCE_H
#define TW_CONTROLLER_MAINTENANCE_H

#include "controller/inventory.h"

struct maintenance_now {
    const char *agent;  /* whose it is; "" = the mesh's */
    const char *reason; /* perhaps "" */
    int64_t until_ns;   /* when nothing of it goes on any more; TIMES_NEVER: not in sight */
};

/* False: none goes on. The texts are valid until agents or meshes change. Where several go on, the one that lasts longest gives
 * agent and reason; until_ns is the end of all that overlap or follow without a break. */
bool maintenance_of_agent(const struct agent *a, int64_t now_ns, struct maintenance_now *ret);
bool maintenance_of_mesh(const struct mesh_state *m, int64_t now_ns, struct maintenance_now *ret);
bool maintenance_of_pair(const struct pair *p, int64_t now_ns, struct maintenance_now *ret);

/* A copy, for other threads. */
struct maintenance_note {
    char agent[AGENT_NAME_MAX], reason[AGENT_REASON_MAX];
    int64_t until_ns; /* 0: not in sight */
};
/* malloc'ed; NULL: none goes on, or no memory. */
struct maintenance_note *maintenance_note_pair(const struct pair *p, int64_t now_ns);

#endif
