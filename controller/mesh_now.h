/* controller/mesh_now.h - what the sessions of a mesh are at, where they have times: how many pairs rest, and when the next run
 * begins. Loop thread. */
#ifndef TW_CONTROLLER_MESH_NOW_H
#define TW_CONTROLLER_MESH_NOW_H

#include "controller/inventory.h"

struct mesh_now {
    uint64_t idle;   /* scheduled pairs of which no session is in a run */
    int64_t next_ns; /* when the next run begins; 0: none is to come, or the sessions have no times */
};

/* Of every mesh, in the order of inv->meshes. Looks at each pair that has times once: pairs of a class share the answer, but
 * those of an interval, which have phases of their own. */
void mesh_now_all(const struct inventory *inv, int64_t now_ns, struct mesh_now *ret);
void mesh_now_one(const struct inventory *inv, const struct mesh_state *m, int64_t now_ns, struct mesh_now *ret);

#define MESH_NOW_RUNS 48
/* How its sessions run: "continuous", "interval,cron"; returns buf. */
const char *mesh_now_runs(const struct mesh *m, char buf[MESH_NOW_RUNS]);
/* Is there maintenance by its document? */
bool mesh_now_maintenance(const struct mesh *m, int64_t now_ns);

#endif
