/* controller/intervals.h - from when on pairs are scheduled, for the store: an agent has acknowledged them. Loop thread.
 *
 * When an agent joins, all others acknowledge a pair more, one after the other within a moment: what comes of that goes to the store
 * together. */
#ifndef TW_CONTROLLER_INTERVALS_H
#define TW_CONTROLLER_INTERVALS_H

#include "controller/controller.h"

struct intervals;
enum tw_rc intervals_new(struct controller *c, struct intervals **ret);
/* After intervals_flush(), or what waits is lost. NULL is fine. */
void intervals_free(struct intervals *v);
/* The agent runs what it is to run: the intervals of its pairs that are not open yet. */
void intervals_open(struct controller *c, struct agent *a);
/* What waits goes to the writer now: before any job that closes intervals, and at the end. */
void intervals_flush(struct intervals *v);

#endif
