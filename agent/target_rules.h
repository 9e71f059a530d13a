/* agent/target_rules.h - to which addresses this agent sends probes at all, whoever asks. Pure. */
#ifndef TW_AGENT_TARGET_RULES_H
#define TW_AGENT_TARGET_RULES_H

#include <stddef.h>
#include "common/prefix.h"

/* Points to what its owner keeps. */
struct target_rules {
    const struct tw_prefix *allow; /* --probe-allow */
    size_t n_allow;                /* 0: all that are addresses of one host */
};

/* NULL: it may send there. Else why not, for the operator. For addresses that a name led to, too: the agent's
 * rules hold for where packets go, not for what somebody wrote. */
const char *target_rules_forbid(const struct target_rules *r, const struct tw_addr *a);

#endif
