/* agent/renewal.h - the next certificate, asked for over the agent's own connection at two thirds of the life
 * of the one that it has. Loop thread. */
#ifndef TW_AGENT_RENEWAL_H
#define TW_AGENT_RENEWAL_H

#include "agent/credentials.h"
#include "common/net/rpc.h"

struct renewal;
enum tw_rc renewal_new(struct loop *l, struct credentials *credentials, const char *name,
                       struct renewal **ret);
void renewal_free(struct renewal *r); /* NULL is allowed; after the connection has ended */
/* The connection is up and approved, or (NULL) gone. */
void renewal_set_peer(struct renewal *r, struct rpc_peer *p);

#endif
