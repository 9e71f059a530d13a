/* agent/tool/control.h - what controller and controlclient share: from the options of the group CONTROL to a
 * TWAMP-Control client that is connecting. */
#ifndef TW_AGENT_TOOL_CONTROL_H
#define TW_AGENT_TOOL_CONTROL_H

#include "agent/io/ctl_dialer.h"
#include "agent/secrets.h"
#include "agent/tool/options.h"

/* Contradictions among the options. TW_EINVAL. */
enum tw_rc control_check(const struct tool_options *o, struct tw_err *err);
/* Dials cfg->server at --control-port from cfg->bind's address; cfg has loop, server, bind, tos and
 * callbacks, the rest is filled in. `modes`: those that this sub-command can use. TW_EINVAL: the secrets do
 * not know the user. */
enum tw_rc control_dial(const struct tool_options *o, uint32_t modes, struct ctl_dialer_cfg *cfg,
                        struct ctl_dialer **ret, struct tw_err *err);
/* "the server refuses the session: some aspect of the request is not supported (Accept 3)". Returns buf. */
const char *control_refusal(const char *what, unsigned accept, char buf[160]);

#endif
