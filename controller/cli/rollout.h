/* controller/cli/rollout.h - which agents run the present schedule. */
#ifndef TW_CLI_ROLLOUT_H
#define TW_CLI_ROLLOUT_H

#include "controller/cli/cli.h"

/* ScheduleList, with meshes and agents sorted by name. */
enum cli_exit rollout_call(struct cli *c, ProtobufCMessage **ret);
/* On stderr, if the answer does not hold all. */
void rollout_warn_cut(const Tw__ScheduleListReply *reply);
/* How many run it. */
void rollout_print_count(const Tw__ScheduleListReply *reply);
/* The same, and a line for each agent that does not. */
void rollout_print(const Tw__ScheduleListReply *reply);
/* false: no memory. */
bool rollout_add_json(cJSON *root, const Tw__ScheduleListReply *reply);
/* Asks until every connected agent runs `generation`, for at most wait_ns. *ret_reply is the last answer,
 * also with CLI_BEHIND. */
enum cli_exit rollout_wait(struct cli *c, uint64_t generation, int64_t wait_ns, ProtobufCMessage **ret_reply);

#endif
