/* controller/roster.h - the approved agents as documents see them: sorted, with labels and addresses, as they
 * are when it is made. Loop thread. */
#ifndef TW_CONTROLLER_ROSTER_H
#define TW_CONTROLLER_ROSTER_H

#include "controller/inventory.h"

/* Names are the agents' own: valid as long as they stay, and none is renamed. */
struct roster {
    struct mesh_agents agents;
    struct agent **of; /* by number in agents */
    struct mesh_agent *room;
    struct tw_addr *addresses;
    struct tw_label *labels;
    char *texts; /* of these */
};

/* approve, remove: agents that count as approved, or as gone; NULL: none. The caller ends it with
 * roster_free(). NULL: no memory. */
struct roster *roster_new(const struct inventory *inv, const struct agent *approve,
                          const struct agent *remove);
void roster_free(struct roster *r); /* NULL is allowed */

#endif
