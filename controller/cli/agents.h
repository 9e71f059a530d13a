/* controller/cli/agents.h - what the commands about agents share: lists of any size, an agent as a row. */
#ifndef TW_CLI_AGENTS_H
#define TW_CLI_AGENTS_H

#include "controller/cli/cli.h"

/* All agents that a selector (NULL or "": all) means, sorted by name, however many they are: asks until there
 * are no more; `truncated` only by a controller that is too old to go on. *ret is freed with tw__agent_list_reply__free_unpacked(r, NULL). */
enum cli_exit agents_fetch(struct ctl *c, const char *select, Tw__AgentListReply **ret,
                           struct ctl_error *err);

/* agent_row.c: a Tw__AgentInfo as a row. */
extern const struct out_listing agents_listing;

/* cmd_agent_show.c: for people its facts, else a list of one. */
enum cli_exit agent_print(struct cli *c, const Tw__AgentInfo *a);

#define AGENT_STATE_TEXT 48
#define AGENT_ADDRESS_TEXT 80
/* Each returns buf. */
const char *agent_state_text(const Tw__AgentInfo *a, char buf[AGENT_STATE_TEXT]); /* "up, drained" */
const char *agent_address_text(const Tw__AgentInfo *a, char buf[AGENT_ADDRESS_TEXT]);
const char *agent_signed_seconds(int64_t ns, char buf[OUT_NUM]);
enum out_style agent_state_style(const char *state);
bool agent_clock_is_wrong(const Tw__AgentInfo *a);

#endif
