#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/schedule.h"
#include "controller/near.h"

#define REFUSALS_SHOWN 1000
#define REFUSALS_LISTED 5 /* in a list of all agents */

static void fill_enrolment(const struct agent *a, Tw__AgentInfo *ret)
{
    ret->n_own_labels = a->enrolment->n_labels;
    ret->own_labels = a->enrolment->labels;
    ret->n_addresses = a->enrolment->n_addresses;
    ret->addresses = a->enrolment->addresses;
    ret->reflector_port = a->enrolment->reflector_port;
    ret->control_port = a->enrolment->control_port;
    ret->n_capabilities = a->enrolment->n_capabilities;
    ret->capabilities = a->enrolment->capabilities;
}

/* ---- What operators said of it: from the arena; what it has no room for is left out. ---- */

static void fill_labels(const struct agent *a, struct arena *ar, Tw__AgentInfo *ret)
{
    ret->labels = arena_alloc(ar, sizeof *ret->labels * (a->n_labels + 1));
    for (size_t i = 0; ret->labels && i < a->n_labels; i++) {
        Tw__Label *l = arena_alloc(ar, sizeof *l);

        if (!l)
            return;
        tw__label__init(l);
        l->key = (char *)a->labels[i].key;
        l->value = (char *)a->labels[i].value;
        ret->labels[ret->n_labels++] = l;
    }
}

static Tw__AgentMark *mark(const struct agent_mark *m, struct arena *ar)
{
    Tw__AgentMark *ret = m->at_ns ? arena_alloc(ar, sizeof *ret) : NULL;

    if (!ret)
        return NULL;
    tw__agent_mark__init(ret);
    ret->time_ns = m->at_ns;
    ret->author = (char *)m->author;
    ret->reason = (char *)m->reason;
    return ret;
}

static void fill_said_labels(const struct agent_ops *o, struct arena *ar, Tw__AgentInfo *ret)
{
    ret->operator_labels = arena_alloc(ar, sizeof *ret->operator_labels * (o->n_labels + 1));
    ret->removed_labels = arena_alloc(ar, sizeof *ret->removed_labels * (o->n_labels + 1));
    for (size_t i = 0; ret->operator_labels && ret->removed_labels && i < o->n_labels; i++) {
        Tw__Label *l = arena_alloc(ar, sizeof *l);

        if (!l)
            return;
        tw__label__init(l);
        l->key = (char *)o->labels[i].key;
        l->value = (char *)o->labels[i].value;
        if (o->labels[i].removed)
            ret->removed_labels[ret->n_removed_labels++] = l->key;
        else
            ret->operator_labels[ret->n_operator_labels++] = l;
    }
}

static void fill_spans(const struct agent_ops *o, struct arena *ar, Tw__AgentInfo *ret)
{
    ret->maintenance = arena_alloc(ar, sizeof *ret->maintenance * (o->n_spans + 1));
    for (size_t i = 0; ret->maintenance && i < o->n_spans; i++) {
        Tw__AgentSpan *s = arena_alloc(ar, sizeof *s);

        if (!s)
            return;
        tw__agent_span__init(s);
        s->from_ns = o->spans[i].from_ns;
        s->to_ns = o->spans[i].to_ns;
        s->reason = (char *)o->spans[i].reason;
        s->author = (char *)o->spans[i].author;
        ret->maintenance[ret->n_maintenance++] = s;
    }
}

static void fill_ops(const struct agent_ops *o, struct arena *ar, Tw__AgentInfo *ret)
{
    fill_said_labels(o, ar, ret);
    fill_spans(o, ar, ret);
    ret->drained = mark(&o->drained, ar);
    ret->revoked = mark(&o->revoked, ar);
    ret->former_names = arena_alloc(ar, sizeof *ret->former_names * (o->n_former + 1));
    for (size_t i = 0; ret->former_names && i < o->n_former; i++)
        ret->former_names[ret->n_former_names++] = (char *)o->former[i];
}

static void fill_limits(const Tw__EnrolRequest *m, struct arena *ar, Tw__AgentInfo *ret)
{
    ret->limits = arena_alloc(ar, sizeof *ret->limits);
    if (!ret->limits)
        return;
    tw__agent_limits__init(ret->limits);
    ret->limits->max_sessions = m->max_sessions;
    ret->limits->max_pps = m->max_pps;
    ret->limits->max_bps = m->max_bps;
}

static void fill_certificate(const struct agent *a, struct arena *ar, Tw__AgentInfo *ret)
{
    const struct agent_cert *c = agent_certs_newest(a->certs);

    ret->certificate = c ? arena_alloc(ar, sizeof *ret->certificate) : NULL;
    if (!ret->certificate)
        return;
    tw__agent_certificate__init(ret->certificate);
    ret->certificate->serial = (char *)c->serial;
    ret->certificate->issued_ns = c->issued_ns;
    ret->certificate->not_after_ns = c->not_after_ns;
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
    ret->controller = (char *)(a->elsewhere && !a->peer ? a->elsewhere : a->peer && c->registry ? c->name : "");
    ret->generation = agent_generation(&c->inv, a);
    ret->generation_wanted = c->inv.generation;
    ret->peer_address = (char *)a->peer_address;
    ret->pairs = a->pairs;
    ret->health = a->health;
    if (a->enrolment) {
        fill_enrolment(a, ret);
        fill_limits(a->enrolment, ar, ret);
    }
    fill_labels(a, ar, ret);
    fill_certificate(a, ar, ret);
    if (a->ops)
        fill_ops(a->ops, ar, ret);
    ret->in_maintenance = agent_in_maintenance(a, loop_now(c->loop).wall.ns);
    ret->clock = admin_clock_finding(a, ar);
    if (a->ack) {
        ret->n_refusals = a->ack->n_refusals < REFUSALS_SHOWN ? a->ack->n_refusals : REFUSALS_SHOWN;
        ret->refusals = a->ack->refusals;
    }
}

/* ---- Lists: sorted by name, so that the next page goes on where one ends, whoever comes or goes meanwhile. ---- */

static size_t select_agents(const struct inventory *inv, const struct selector *sel, const char *after,
                            const struct agent **ret)
{
    size_t n = 0;

    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        if (strcmp(a->row.name, after) > 0 && selector_match(sel, a->labels, a->n_labels, a->row.name))
            ret[n++] = a;
    qsort(ret, n, sizeof *ret, agent_by_name);
    return n;
}

static void fill_list(const struct controller *c, const struct agent *const *v, size_t n, struct arena *ar,
                      Tw__AgentListReply *reply)
{
    size_t octets = 0;

    reply->agents = arena_alloc(ar, sizeof *reply->agents * (n + 1));
    for (size_t i = 0; reply->agents && i < n; i++) {
        Tw__AgentInfo *info = arena_alloc(ar, sizeof *info);

        if (!info)
            return;
        controller_fill_agent(c, v[i], ar, info);
        if (info->n_refusals > REFUSALS_LISTED)
            info->n_refusals = REFUSALS_LISTED;
        octets += tw__agent_info__get_packed_size(info) + 8;
        if (octets > ADMIN_REPLY_MAX)
            return;
        reply->agents[reply->n_agents++] = info;
    }
}

void admin_agent_list(Tw__Admin_Service *service, const Tw__AgentListRequest *rq,
                      Tw__AgentListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    const struct agent **v = arena_alloc(ar, sizeof *v * (HASH_COUNT(c->inv.agents) + 1));
    Tw__AgentListReply reply = TW__AGENT_LIST_REPLY__INIT;
    struct selector *sel = NULL;
    struct tw_err err = { 0 };
    size_t n;

    if (rq->select[0] && selector_parse(rq->select, &sel, &err) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", err.text);
        return;
    }
    n = v ? select_agents(&c->inv, sel, rq->after, v) : 0;
    selector_free(sel);
    fill_list(c, v, rq->limit && rq->limit < n ? rq->limit : n, ar, &reply);
    reply.truncated = reply.n_agents < n;
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
    char mean[NEAR_TEXT];

    if (a)
        answer_agent(c, a, closure, closure_data);
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no agent \"%.63s\"%s: twampctl agent list shows them", rq->name, near_agent(&c->inv, rq->name, mean));
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
