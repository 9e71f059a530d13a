/* agent/check.h - twamp-agent --check: looks at this host and at the way to the controller, says what is
 * wrong and what to do, and changes nothing. For when the agent cannot say it to its controller. */
#ifndef TW_AGENT_CHECK_H
#define TW_AGENT_CHECK_H

#include <stdio.h>
#include "agent/options.h"

/* Prints to `to`. Exit code: 0 no problems, 1 there are some. */
int check_run(const struct agent_options *o, FILE *to);

#endif
