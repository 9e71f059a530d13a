/* controller/listen.h - checks of the addresses that the controller listens on. */
#ifndef TW_CONTROLLER_LISTEN_H
#define TW_CONTROLLER_LISTEN_H

#include <stdbool.h>
#include "common/rc.h"

/* Plain TCP on an address that others can reach is refused unless allow_plaintext: whoever is in between could read and change
 * results. TW_EINVAL, TW_EPERM with *err saying what to do. */
enum tw_rc listen_check(const char *url, bool allow_plaintext, struct tw_err *err);
/* Makes the directory of an ipc:// socket if it is missing. */
enum tw_rc listen_prepare(const char *url, struct tw_err *err);

#endif
