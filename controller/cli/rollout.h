/* controller/cli/rollout.h - who runs what of the schedule, and waiting for it. */
#ifndef TW_CLI_ROLLOUT_H
#define TW_CLI_ROLLOUT_H

#include "controller/cli/cli.h"

/* A ScheduleRolloutReply with the agents that --select matches, in order of name; says if not all fit. */
enum cli_exit rollout_call(struct cli *c, ProtobufCMessage **ret);
/* "Generation 5 runs on 2 of 3 agents" */
void rollout_print_count(const Tw__ScheduleRolloutReply *reply);
/* Adds "rollout": [...]. */
bool rollout_add_json(cJSON *root, const Tw__ScheduleRolloutReply *reply);
/* Tells on standard error who has not taken a generation, and why. */
void rollout_tell(const Tw__ScheduleRolloutReply *reply, uint64_t generation);
/* Until every connected agent runs the generation, or a later one; CLI_BEHIND: not in time. *ret_reply is the last look, or NULL. On a terminal
 * it shows how far it is. */
enum cli_exit rollout_wait(struct cli *c, uint64_t generation, int64_t wait_ns, ProtobufCMessage **ret_reply);

#endif
