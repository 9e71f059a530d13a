/* controller/cli/controllers.h - the controllers of one control state, as a list. */
#ifndef TW_CLI_CONTROLLERS_H
#define TW_CLI_CONTROLLERS_H

#include "controller/cli/cli.h"

extern const struct out_listing controllers_listing; /* of Tw__ControllerInfo */
/* For people; nothing if there are none. */
void controllers_print(struct cli *c, const Tw__StatusReply *s);

#endif
