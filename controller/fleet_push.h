/* controller/fleet_push.h - gets one agent's part of the schedule acknowledged. Loop thread. */
#ifndef TW_CONTROLLER_FLEET_PUSH_H
#define TW_CONTROLLER_FLEET_PUSH_H

#include "controller/fleet.h"

void fleet_push_init(struct fleet_link *l);
/* No effect if the agent runs what is wanted, or is being told. */
void fleet_push(struct fleet_link *l);
/* The same when it is its turn, for many at once: they are not told in one piece of the loop. */
void fleet_push_soon(struct fleet_link *l);
void fleet_push_start(struct push_queue *q);
void fleet_push_stop(struct push_queue *q, struct loop *loop);
/* A stranger that runs sessions which this controller once gave it was removed: it is told to stop them, once. (One that
 * comes to a controller without its history goes on, so that a lost database leaves no hole.) */
void fleet_push_nothing(struct fleet_link *l);
/* What the agent says that it runs. Opens the intervals of its pairs when that is what is wanted, else offers
 * it again soon. age_ns: so long ago it took that, if it says so; counts where the controller does not know
 * since when it runs it. */
void fleet_acked(struct fleet_link *l, uint64_t generation, const ProtobufCBinaryData *digest,
                 int64_t age_ns);
/* A link with a reference (l->refs++) outlives its connection. */
void fleet_link_unref(struct fleet_link *l);
/* The connection has ended: frees the link, at once or when nothing refers to it any more. */
void fleet_link_down(struct fleet_link *l);

#endif
