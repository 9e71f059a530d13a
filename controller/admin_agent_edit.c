/* Admin: what operators say of agents. */
#include <stdlib.h>
#include "controller/admin.h"
#include "controller/agent_edit.h"

struct edit_call {
    Tw__AgentChangeReply_Closure closure;
    void *closure_data;
};

static void edited(void *ctx, const struct agent_edit_result *r)
{
    struct edit_call *call = ctx;
    Tw__AgentChangeReply reply = TW__AGENT_CHANGE_REPLY__INIT;

    if (r->status != TW__STATUS__STATUS_OK) {
        rpc_fail(call->closure_data, r->status, "%s", r->err.text);
    } else {
        reply.agents = r->agents;
        reply.n_agents = r->n_agents;
        reply.changed = r->changed;
        reply.generation = r->generation;
        call->closure(&reply, call->closure_data);
    }
    free(call);
}

static void edit(Tw__Admin_Service *service, enum agent_edit_kind kind, const Tw__AgentRequest *rq,
                 Tw__AgentChangeReply_Closure closure, void *closure_data)
{
    struct edit_call *call = malloc(sizeof *call);

    if (!call) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
        return;
    }
    *call = (struct edit_call){ closure, closure_data };
    agent_edit(admin_controller(service), kind, rq, edited, call);
}

#define HANDLER(name, kind)                                                     \
    void admin_##name(Tw__Admin_Service *service, const Tw__AgentRequest *rq,   \
                      Tw__AgentChangeReply_Closure closure, void *closure_data) \
    {                                                                           \
        edit(service, kind, rq, closure, closure_data);                         \
    }
HANDLER(agent_label, EDIT_LABEL)
HANDLER(agent_drain, EDIT_DRAIN)
HANDLER(agent_undrain, EDIT_UNDRAIN)
HANDLER(agent_maintenance, EDIT_MAINTENANCE)
HANDLER(agent_revoke, EDIT_REVOKE)
HANDLER(agent_rename, EDIT_RENAME)
