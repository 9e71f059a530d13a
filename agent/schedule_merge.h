/* agent/schedule_merge.h - what the controller sends of a schedule, made whole again: parts are collected, and a difference is worked
 * into the list that it belongs to. Only whole lists are applied and kept, so a difference happens entirely or not at all. Loop
 * thread. */
#ifndef TW_AGENT_SCHEDULE_MERGE_H
#define TW_AGENT_SCHEDULE_MERGE_H

#include <stdbool.h>
#include "common/rc.h"
#include "fleet.pb-c.h"

#define SCHEDULE_TOTAL_MAX 1000000 /* sessions of a list, as --max-sessions */

/* `base` without what `rq` removes, with what it adds. TW_ENOENT: base is not the list that it belongs to (NULL: there is none), or
 * has not what it should remove. TW_EINVAL: the difference contradicts itself. The result belongs to the caller
 * (tw__schedule_request__free_unpacked(): all of it is a copy). */
enum tw_rc schedule_merge(const Tw__ScheduleRequest *base, const Tw__ScheduleRequest *rq, Tw__ScheduleRequest **ret,
                          struct tw_err *err);

struct schedule_parts {
    Tw__ScheduleRequest *list; /* NULL: none has come */
    uint32_t next;
};
/* Takes a part. TW_OK: it was the last one, and *ret is the whole list, the caller's. TW_EAGAIN: more will follow. TW_ENOENT: it is
 * not the one that follows; TW_EINVAL: it contradicts the ones before. Then what has come is dropped. */
enum tw_rc schedule_parts_take(struct schedule_parts *p, const Tw__ScheduleRequest *rq, Tw__ScheduleRequest **ret,
                               struct tw_err *err);
void schedule_parts_drop(struct schedule_parts *p);
/* Is it a part of a list? */
static inline bool schedule_is_part(const Tw__ScheduleRequest *rq)
{
    return rq->part || rq->more;
}

#endif
