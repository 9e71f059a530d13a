/* controller/notify_send.h - one try to bring a body to a receiver. Blocks, at most for the receiver's
 * timeout; any thread. */
#ifndef TW_CONTROLLER_NOTIFY_SEND_H
#define TW_CONTROLLER_NOTIFY_SEND_H

#include <stdatomic.h>
#include "controller/core/alert_rule.h"

/* Once, before threads are started. */
enum tw_rc notify_send_init(void);
/* TW_OK: it took it. TW_EINVAL: it will never take it. All else may pass; err says what it was. *stop ends
 * it: TW_ECLOSED. */
enum tw_rc notify_send(const struct alert_receiver *r, const char *key, const char *body,
                       const atomic_bool *stop, struct tw_err *err);

#endif
