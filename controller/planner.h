/* controller/planner.h - whether this controller does what only one may do: whoever holds a key of the shared
 * control state's database (db/etcd/holder.h). Who shares it with nobody always does. */
#ifndef TW_CONTROLLER_PLANNER_H
#define TW_CONTROLLER_PLANNER_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct planner;

#define PLANNER_ROLE "planner"
/* shared: store_where.shared; NULL: it is shared with nobody. name: of this controller. */
enum tw_rc planner_start(const char *shared, const char *name, struct planner **ret, struct tw_err *err);
void planner_stop(struct planner *p); /* gives it up; also of NULL */
/* Is it this one now? Any thread; NULL: alone. */
bool planner_is(const struct planner *p);
/* history_conf.maintainer */
int64_t planner_number(void *planner);
/* The same, with what is writer_job.fence of what it does then; 0: nobody else could do it. */
bool planner_take(const struct planner *p, int64_t *ret_fence);

#endif
