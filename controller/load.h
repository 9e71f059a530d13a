/* controller/load.h - the inventory from the store, at start, before the store is the writer's. */
#ifndef TW_CONTROLLER_LOAD_H
#define TW_CONTROLLER_LOAD_H

#include "controller/controller.h"

/* Agents, meshes (their documents are parsed again), pairs, cursors, the last generation; then the schedule as it was. A mesh that
 * cannot be parsed any more stops the start: *err says which. */
enum tw_rc load_all(struct controller *c, struct tw_err *err);

#endif
