/* controller/cli/plan.h - what an apply or a rollback would do, and what came of it. */
#ifndef TW_CLI_PLAN_H
#define TW_CLI_PLAN_H

#include "controller/cli/cli.h"

#define PLAN_PAIRS 1000 /* that --pairs and JSON ask for */

/* How many pairs the answer shall tell one by one. */
uint32_t plan_max_pairs(const struct cli *c);
/* After ScheduleApply or ScheduleRollback: prints the plan, or waits for the agents and tells what came of it. `error` is not of a document. */
enum cli_exit plan_tell(struct cli *c, const Tw__ScheduleApplyReply *reply);
/* Why it costs too much, one reason after the other, on standard error. */
enum cli_exit plan_refused(struct cli *c, const Tw__ScheduleApplyReply *reply);

#endif
