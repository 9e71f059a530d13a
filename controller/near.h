/* controller/near.h - what somebody may have meant by a name that nobody has: for messages. Loop thread. */
#ifndef TW_CONTROLLER_NEAR_H
#define TW_CONTROLLER_NEAR_H

#include "common/name_index.h"
#include "controller/inventory.h"

#define NEAR_TEXT (STORE_NAME_MAX + 24)

/* `; did you mean "ams"?`, or nothing. Returns buf. */
const char *near_text(const struct name_near *n, char buf[NEAR_TEXT]);
/* The same of all agents, and of all meshes. */
const char *near_agent(const struct inventory *inv, const char *wanted, char buf[NEAR_TEXT]);
const char *near_mesh(const struct inventory *inv, const char *wanted, char buf[NEAR_TEXT]);

#endif
