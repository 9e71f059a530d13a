/* controller/agent_edit.h - what operators say of agents (agent_ops.h), one or all that a selector means: made durable in one
 * transaction, then taken over, then the meshes expanded again. Loop thread.
 *
 * A crash after the transaction loses nothing: the start expands by what is stored. */
#ifndef TW_CONTROLLER_AGENT_EDIT_H
#define TW_CONTROLLER_AGENT_EDIT_H

#include "admin.pb-c.h"
#include "controller/controller.h"

enum agent_edit_kind { EDIT_LABEL, EDIT_DRAIN, EDIT_UNDRAIN, EDIT_MAINTENANCE, EDIT_REVOKE, EDIT_RENAME };

/* A few at a time; more are sent away. */
#define AGENT_EDITS_MAX 16

struct agent_edit_result {
    Tw__Status status;
    struct tw_err err; /* status != 0 */
    char **agents;     /* names of those that were meant, sorted */
    size_t n_agents;
    uint32_t changed;
    uint64_t generation;
};
/* done() may run before this returns; *r is valid during it. */
void agent_edit(struct controller *c, enum agent_edit_kind kind, const Tw__AgentRequest *rq,
                void (*done)(void *ctx, const struct agent_edit_result *r), void *ctx);

#endif
