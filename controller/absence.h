/* controller/absence.h - notes in the store why nothing comes of agents and pairs, so that what is missing in
 * the history can be explained later. Loop thread. */
#ifndef TW_CONTROLLER_ABSENCE_H
#define TW_CONTROLLER_ABSENCE_H

#include "controller/controller.h"

/* The connection to it is gone. */
void absence_lost(struct controller *c, struct agent *a);
/* It says since when it runs: with each health report. */
void absence_found(struct controller *c, struct agent *a, int64_t started_ns);
/* It has acknowledged: a->ack says which pairs it refuses. */
void absence_acked(struct controller *c, struct agent *a);
/* At the start, in a transaction of its own: nothing is heard of any agent yet. */
enum tw_rc absence_begin(struct controller *c, struct tw_err *err);

#endif
