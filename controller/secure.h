/* controller/secure.h - TLS of the controller's RPC listeners, from its certificate authority. Loop thread. */
#ifndef TW_CONTROLLER_SECURE_H
#define TW_CONTROLLER_SECURE_H

#include "common/net/authority.h"
#include "common/net/rpc.h"
#include "controller/controller.h"

bool secure_is_tls(const char *url);
/* What a listener on `url` shows and believes; *ret is NULL for those without TLS, else it is *buf and valid until the authority
 * changes. TW_ENOENT with *err: there is no authority. */
enum tw_rc secure_tls(const struct controller *c, const char *url, struct rpc_tls *buf, const struct rpc_tls **ret,
                      struct tw_err *err);
/* The authority has another certificate for the controller: the next handshakes get it. Connections go on.
 * Also during the start, when there is no listener and c->joining not yet. */
void secure_renewed(struct controller *c, const struct authority *ca);

#endif
