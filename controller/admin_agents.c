#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/schedule.h"

#define REFUSALS_SHOWN 1000
#define REFUSALS_LISTED 5 /* in a list of all agents */

static void fill_enrolment(const struct agent *a, Tw__AgentInfo *ret)
{
    ret->n_labels = a->enrolment->n_labels;
    ret->labels = a->enrolment->labels;
    ret->n_addresses = a->enrolment->n_addresses;
    ret->addresses = a->enrolment->addresses;
    ret->reflector_port = a->enrolment->reflector_port;
    ret->control_port = a->enrolment->control_port;
    ret->n_capabilities = a->enrolment->n_capabilities;
    ret->capabilities = a->enrolment->capabilities;
}

/* Refers to the agent where it can: the message is used up before the loop goes on. */
void controller_fill_agent(const struct controller *c, const struct agent *a, struct arena *ar,
                           Tw__AgentInfo *ret)
{
    char fingerprint[IDENTITY_FINGERPRINT_TEXT];

    tw__agent_info__init(ret);
    identity_fingerprint(a->row.public_key, fingerprint);
    ret->name = (char *)a->row.name;
    ret->state = (char *)agent_state(a);
    ret->fingerprint = admin_text(ar, fingerprint);
    ret->software = (char *)a->row.software;
    ret->approved_ns = a->row.approved_ns;
    ret->last_contact_ns = a->last_contact_ns;
    ret->generation = agent_generation(&c->inv, a);
    ret->generation_wanted = c->inv.generation;
    ret->peer_address = (char *)a->peer_address;
    ret->pairs = a->pairs;
    ret->health = a->health;
    if (a->enrolment)
        fill_enrolment(a, ret);
    ret->clock = admin_clock_finding(a, ar);
    if (a->ack) {
        ret->n_refusals = a->ack->n_refusals < REFUSALS_SHOWN ? a->ack->n_refusals : REFUSALS_SHOWN;
        ret->refusals = a->ack->refusals;
    }
}

void admin_agent_list(Tw__Admin_Service *service, const Tw__AgentListRequest *rq,
                      Tw__AgentListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    Tw__AgentListReply reply = TW__AGENT_LIST_REPLY__INIT;
    size_t octets = 0;

    (void)rq;
    reply.agents = arena_alloc(ar, sizeof *reply.agents * (HASH_COUNT(c->inv.agents) + 1));
    for (const struct agent *a = c->inv.agents; a && reply.agents; a = a->hh.next) {
        Tw__AgentInfo *info = arena_alloc(ar, sizeof *info);

        if (!info)
            break;
        controller_fill_agent(c, a, ar, info);
        if (info->n_refusals > REFUSALS_LISTED)
            info->n_refusals = REFUSALS_LISTED;
        octets += tw__agent_info__get_packed_size(info) + 8;
        if (octets > ADMIN_REPLY_MAX)
            break;
        reply.agents[reply.n_agents++] = info;
    }
    reply.truncated = reply.n_agents < HASH_COUNT(c->inv.agents);
    closure(&reply, closure_data);
}

static void answer_agent(struct controller *c, const struct agent *a, Tw__AgentReply_Closure closure,
                         void *closure_data)
{
    Tw__AgentReply reply = TW__AGENT_REPLY__INIT;
    Tw__AgentInfo info;

    controller_fill_agent(c, a, admin_arena(c), &info);
    reply.agent = &info;
    closure(&reply, closure_data);
}

void admin_agent_show(Tw__Admin_Service *service, const Tw__AgentRequest *rq, Tw__AgentReply_Closure closure,
                      void *closure_data)
{
    struct controller *c = admin_controller(service);
    const struct agent *a = inventory_agent(&c->inv, rq->name);

    if (a)
        answer_agent(c, a, closure, closure_data);
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no agent \"%.63s\": twampctl agent list shows them", rq->name);
}

/* ---- Changes ---- */

struct agent_call {
    struct controller *c;
    Tw__AgentReply_Closure closure;
    void *closure_data;
    char name[STORE_NAME_MAX];
};

static void agent_changed(void *ctx, const struct change_result *r)
{
    struct agent_call *call = ctx;
    const struct agent *a = inventory_agent(&call->c->inv, call->name);
    Tw__AgentReply reply = TW__AGENT_REPLY__INIT;

    if (!admin_change_failed(r, call->closure_data)) {
        if (a)
            answer_agent(call->c, a, call->closure, call->closure_data);
        else /* removed */
            call->closure(&reply, call->closure_data);
    }
    free(call);
}

static void change_agent(Tw__Admin_Service *service, enum change_kind kind, const Tw__AgentRequest *rq,
                         Tw__AgentReply_Closure closure, void *closure_data)
{
    struct agent_call *call = calloc(1, sizeof *call);
    struct change_request change = {
        .kind = kind, .name = rq->name, .fingerprint = rq->fingerprint, .done = agent_changed, .ctx = call
    };

    if (call) {
        call->c = admin_controller(service);
        call->closure = closure;
        call->closure_data = closure_data;
        snprintf(call->name, sizeof call->name, "%s", rq->name);
    }
    admin_change(service, &change, closure_data);
}

void admin_agent_approve(Tw__Admin_Service *service, const Tw__AgentRequest *rq,
                         Tw__AgentReply_Closure closure, void *closure_data)
{
    change_agent(service, CHANGE_APPROVE, rq, closure, closure_data);
}

void admin_agent_remove(Tw__Admin_Service *service, const Tw__AgentRequest *rq,
                        Tw__AgentReply_Closure closure, void *closure_data)
{
    change_agent(service, CHANGE_REMOVE, rq, closure, closure_data);
}
