#include "agent/tool/tool.h"
static enum tool_exit run(struct tool_options *o, const struct conf_strlist *args)
{
    (void)o;
    (void)args;
    return tool_fail(TOOL_FAILED, "not yet");
}
const struct tool_cmd cmd_sender = { .name = "sender",
                                     .usage_args = "[REMOTE-IP:PORT [LOCAL-IP:PORT]]",
                                     .summary = "send probes and print the result",
                                     .shares = TOOL_SHARES_MARK | TOOL_SHARES_LOG,
                                     .max_args = 2,
                                     .run = run };
