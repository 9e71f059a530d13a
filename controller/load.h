/* controller/load.h - the inventory from the store, at start, before the store is the writer's. */
#ifndef TW_CONTROLLER_LOAD_H
#define TW_CONTROLLER_LOAD_H

#include "controller/controller.h"

/* Agents, meshes (their documents are parsed again), pairs, cursors, the last generation; then the schedule as it was. A mesh that
 * cannot be parsed any more stops the start: *err says which. */
enum tw_rc load_all(struct controller *c, struct tw_err *err);
/* One agent more. TW_ENOMEM; TW_ECORRUPT. */
enum tw_rc load_agent(struct inventory *inv, const struct store_agent *row, struct tw_err *err);
/* What operators said of it, or it enrolled with, is as in the row: its labels are the ones that count after
 * the first. TW_ENOMEM; the first: TW_ECORRUPT, and nothing has changed. */
enum tw_rc load_agent_ops(struct inventory *inv, struct agent *a, const struct store_agent *row,
                          struct tw_err *err);
enum tw_rc load_agent_enrolment(struct agent *a, const struct store_agent *row);

#endif
