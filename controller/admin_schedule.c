#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/schedule.h"

#define AUTHOR_MAX 128

/* ---- Apply ---- */

static const struct plan_agent *find_plan_agent(const struct plan_cost *cost, const char *name)
{
    size_t lo = 0, hi = cost->n_agents;

    while (lo < hi) { /* sorted by name */
        size_t mid = lo + (hi - lo) / 2;
        int d = strcmp(cost->agents[mid].name, name);

        if (d == 0)
            return &cost->agents[mid];
        if (d < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static void add_plan_agent(Tw__Plan *plan, struct arena *ar, const struct plan_agent *before,
                           const struct plan_agent *after)
{
    Tw__PlanAgent *p = arena_alloc(ar, sizeof *p);

    if (!p)
        return;
    tw__plan_agent__init(p);
    p->agent = (char *)(after ? after->name : before->name);
    p->pairs_before = before ? before->pairs : 0;
    if (after) {
        p->pairs_after = after->pairs;
        p->packets_per_second = after->pps;
        p->bits_per_second = after->bps;
        p->reflected_packets_per_second = after->reflected_pps;
    }
    plan->agents[plan->n_agents++] = p;
}

static void fill_plan_agents(Tw__Plan *plan, struct arena *ar, const struct change_plan *p)
{
    plan->agents = arena_alloc(ar, sizeof *plan->agents * (p->before.n_agents + p->after.n_agents + 1));
    if (!plan->agents)
        return;
    for (size_t i = 0; i < p->after.n_agents; i++)
        add_plan_agent(plan, ar, find_plan_agent(&p->before, p->after.agents[i].name), &p->after.agents[i]);
    for (size_t i = 0; i < p->before.n_agents; i++)
        if (!find_plan_agent(&p->after, p->before.agents[i].name))
            add_plan_agent(plan, ar, &p->before.agents[i], NULL);
}

static void fill_plan(Tw__Plan *plan, struct arena *ar, const struct change_plan *p)
{
    tw__plan__init(plan);
    plan->mesh = (char *)p->mesh;
    plan->pairs = p->pairs;
    plan->added = p->diff.added;
    plan->removed = p->diff.removed;
    plan->changed = p->diff.changed;
    plan->series = p->after.series;
    plan->store_bytes_per_day = p->after.store_bytes_per_day;
    fill_plan_agents(plan, ar, p);
    for (; plan->n_agents && tw__plan__get_packed_size(plan) > ADMIN_REPLY_MAX; plan->truncated = true)
        plan->n_agents /= 2;
}

static void fill_field(Tw__Field *field, const struct tw_err *err)
{
    tw__field__init(field);
    field->line = err->line;
    field->column = err->column;
    field->path = (char *)err->field;
    field->text = (char *)err->text;
}

struct apply_call {
    struct controller *c;
    Tw__ScheduleApplyReply_Closure closure;
    void *closure_data;
};

static void applied(void *ctx, const struct change_result *r)
{
    struct apply_call *call = ctx;
    Tw__ScheduleApplyReply reply = TW__SCHEDULE_APPLY_REPLY__INIT;
    Tw__Plan plan;
    Tw__Field field;

    if (r->in_document) {
        fill_field(&field, &r->err);
        reply.error = &field;
        call->closure(&reply, call->closure_data);
    } else if (!admin_change_failed(r, call->closure_data)) {
        fill_plan(&plan, admin_arena(call->c), r->plan);
        reply.plan = &plan;
        reply.generation = r->generation;
        call->closure(&reply, call->closure_data);
    }
    free(call);
}

static bool author_ok(const char *author, void *closure_data)
{
    if (strlen(author) <= AUTHOR_MAX)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "the author has more than %d characters",
             AUTHOR_MAX);
    return false;
}

void admin_schedule_apply(Tw__Admin_Service *service, const Tw__ScheduleApplyRequest *rq,
                          Tw__ScheduleApplyReply_Closure closure, void *closure_data)
{
    struct apply_call *call;

    if (!author_ok(rq->author, closure_data))
        return;
    call = calloc(1, sizeof *call);
    if (call)
        *call = (struct apply_call){ admin_controller(service), closure, closure_data };
    admin_change(service,
                 &(struct change_request){ .kind = CHANGE_APPLY,
                                           .file = rq->file,
                                           .document = rq->document,
                                           .author = rq->author,
                                           .plan_only = rq->plan_only,
                                           .done = applied,
                                           .ctx = call },
                 closure_data);
}

/* ---- Show ---- */

static const char *const topologies[] = {
    [MESH_FULL] = "full", [MESH_HUB_SPOKE] = "hub-spoke", [MESH_LIST] = "list"
};

static uint64_t count_agents(const struct inventory *inv, const char *mesh)
{
    uint64_t n = 0;

    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        for (size_t i = 0; a->wanted && i < a->wanted->n; i++)
            if (!strcmp(a->wanted->specs[i].mesh, mesh)) {
                n++;
                break;
            }
    return n;
}

static void fill_mesh(const struct controller *c, const struct mesh_state *m, struct arena *ar,
                      Tw__MeshInfo *ret)
{
    tw__mesh_info__init(ret);
    ret->name = (char *)m->row.name;
    ret->description = m->mesh->description ? m->mesh->description : (char *)protobuf_c_empty_string;
    ret->topology = (char *)topologies[m->mesh->topology];
    ret->classes = arena_alloc(ar, sizeof *ret->classes * (m->mesh->n_classes + 1));
    for (size_t i = 0; ret->classes && i < m->mesh->n_classes; i++)
        ret->classes[ret->n_classes++] = m->mesh->classes[i].name;
    ret->pairs = m->pairs;
    ret->paused = m->row.paused;
    ret->generation = m->row.generation;
    ret->changed_ns = m->row.changed_ns;
    ret->author = m->author;
    ret->agents = count_agents(&c->inv, m->row.name);
}

static void list_meshes(const struct controller *c, struct arena *ar, Tw__ScheduleListReply *reply,
                        size_t *octets)
{
    reply->meshes = arena_alloc(ar, sizeof *reply->meshes * (HASH_COUNT(c->inv.meshes) + 1));
    for (const struct mesh_state *m = c->inv.meshes; m && reply->meshes; m = m->hh.next) {
        Tw__MeshInfo *info = arena_alloc(ar, sizeof *info);

        if (!info)
            break;
        fill_mesh(c, m, ar, info);
        *octets += tw__mesh_info__get_packed_size(info) + 8;
        if (*octets > ADMIN_REPLY_MAX)
            break;
        reply->meshes[reply->n_meshes++] = info;
    }
    reply->truncated |= reply->n_meshes < HASH_COUNT(c->inv.meshes);
}

static void list_rollout(const struct controller *c, struct arena *ar, Tw__ScheduleListReply *reply,
                         size_t *octets)
{
    size_t approved = HASH_COUNT(c->inv.agents) - c->inv.pending;

    reply->rollout = arena_alloc(ar, sizeof *reply->rollout * (approved + 1));
    for (const struct agent *a = c->inv.agents; a && reply->rollout; a = a->hh.next) {
        Tw__AgentRollout *r = a->row.approved ? arena_alloc(ar, sizeof *r) : NULL;

        if (!r)
            continue;
        tw__agent_rollout__init(r);
        r->agent = (char *)a->row.name;
        r->state = (char *)agent_state(a);
        r->generation = agent_generation(&c->inv, a);
        r->current = a->acked_current;
        r->refusals = a->ack ? (uint32_t)a->ack->n_refusals : 0;
        *octets += tw__agent_rollout__get_packed_size(r) + 8;
        if (*octets > ADMIN_REPLY_MAX)
            break;
        reply->rollout[reply->n_rollout++] = r;
    }
    reply->truncated |= reply->n_rollout < approved;
}

void admin_schedule_list(Tw__Admin_Service *service, const Tw__ScheduleListRequest *rq,
                         Tw__ScheduleListReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    Tw__ScheduleListReply reply = TW__SCHEDULE_LIST_REPLY__INIT;
    size_t octets = 0;

    (void)rq;
    reply.generation = c->inv.generation;
    list_meshes(c, ar, &reply, &octets);
    list_rollout(c, ar, &reply, &octets);
    closure(&reply, closure_data);
}

void admin_schedule_show(Tw__Admin_Service *service, const Tw__MeshRequest *rq,
                         Tw__ScheduleShowReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    const struct mesh_state *m = inventory_mesh(&c->inv, rq->name);
    Tw__ScheduleShowReply reply = TW__SCHEDULE_SHOW_REPLY__INIT;
    Tw__MeshInfo info;

    if (!m) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no mesh \"%.63s\": twampctl schedule list shows them", rq->name);
        return;
    }
    fill_mesh(c, m, admin_arena(c), &info);
    info.document = m->document;
    reply.mesh = &info;
    closure(&reply, closure_data);
}

/* ---- Pause, resume, delete ---- */

struct mesh_call {
    Tw__ScheduleChangeReply_Closure closure;
    void *closure_data;
};

static void mesh_changed(void *ctx, const struct change_result *r)
{
    struct mesh_call *call = ctx;
    Tw__ScheduleChangeReply reply = TW__SCHEDULE_CHANGE_REPLY__INIT;

    if (!admin_change_failed(r, call->closure_data)) {
        reply.generation = r->generation;
        call->closure(&reply, call->closure_data);
    }
    free(call);
}

static void change_mesh(Tw__Admin_Service *service, enum change_kind kind, const Tw__MeshRequest *rq,
                        Tw__ScheduleChangeReply_Closure closure, void *closure_data)
{
    struct mesh_call *call;

    if (!author_ok(rq->author, closure_data))
        return;
    call = calloc(1, sizeof *call);
    if (call)
        *call = (struct mesh_call){ closure, closure_data };
    admin_change(
        service,
        &(struct change_request){
            .kind = kind, .name = rq->name, .author = rq->author, .done = mesh_changed, .ctx = call },
        closure_data);
}

void admin_schedule_pause(Tw__Admin_Service *service, const Tw__MeshRequest *rq,
                          Tw__ScheduleChangeReply_Closure closure, void *closure_data)
{
    change_mesh(service, CHANGE_PAUSE, rq, closure, closure_data);
}

void admin_schedule_resume(Tw__Admin_Service *service, const Tw__MeshRequest *rq,
                           Tw__ScheduleChangeReply_Closure closure, void *closure_data)
{
    change_mesh(service, CHANGE_RESUME, rq, closure, closure_data);
}

void admin_schedule_delete(Tw__Admin_Service *service, const Tw__MeshRequest *rq,
                           Tw__ScheduleChangeReply_Closure closure, void *closure_data)
{
    change_mesh(service, CHANGE_DELETE, rq, closure, closure_data);
}
