#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/mesh_now.h"
#include "controller/schedule.h"
#include "controller/near.h"

/* ---- Show ---- */

static uint64_t count_agents(const struct inventory *inv, const char *mesh)
{
    uint64_t n = 0;

    for (const struct agent *a = inv->agents; a; a = a->hh.next)
        n += schedule_runs_mesh(inv, a, mesh);
    return n;
}

static void fill_times(const struct controller *c, const struct mesh_state *m, const struct mesh_now *now,
                       struct arena *ar, Tw__MeshInfo *ret)
{
    char runs[MESH_NOW_RUNS];

    ret->runs = admin_text(ar, mesh_now_runs(m->mesh, runs));
    ret->in_maintenance = mesh_now_maintenance(m->mesh, loop_now(c->loop).wall.ns);
    if (!now)
        return;
    ret->next_run_ns = now->next_ns;
    ret->pairs_idle = now->idle;
}

static void fill_mesh(const struct controller *c, const struct mesh_state *m, const struct mesh_now *now,
                      struct arena *ar, Tw__MeshInfo *ret)
{
    tw__mesh_info__init(ret);
    ret->name = (char *)m->row.name;
    ret->description = m->mesh->description ? m->mesh->description : (char *)protobuf_c_empty_string;
    ret->topology = (char *)mesh_topology_name(m->mesh->topology);
    ret->classes = arena_alloc(ar, sizeof *ret->classes * (m->mesh->n_classes + 1));
    for (size_t i = 0; ret->classes && i < m->mesh->n_classes; i++)
        ret->classes[ret->n_classes++] = m->mesh->classes[i].name;
    ret->pairs = m->pairs;
    ret->paused = m->row.paused;
    ret->generation = m->row.generation;
    ret->changed_ns = m->row.changed_ns;
    ret->author = m->author;
    ret->agents = count_agents(&c->inv, m->row.name);
    fill_times(c, m, now, ar, ret);
}

static void list_meshes(const struct controller *c, struct arena *ar, Tw__ScheduleListReply *reply,
                        size_t *octets)
{
    struct mesh_now *now = arena_alloc(ar, sizeof *now * (HASH_COUNT(c->inv.meshes) + 1));
    size_t i = 0;

    if (now)
        mesh_now_all(&c->inv, loop_now(c->loop).wall.ns, now);
    reply->meshes = arena_alloc(ar, sizeof *reply->meshes * (HASH_COUNT(c->inv.meshes) + 1));
    for (const struct mesh_state *m = c->inv.meshes; m && reply->meshes; m = m->hh.next, i++) {
        Tw__MeshInfo *info = arena_alloc(ar, sizeof *info);

        if (!info)
            break;
        fill_mesh(c, m, now ? &now[i] : NULL, ar, info);
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
        r->state = (char *)agent_state_here(a);
        r->generation = agent_generation(&c->inv, a);
        r->current = a->acked_current;
        r->refusals = agent_refusals(a);
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
    char mean[NEAR_TEXT];
    Tw__MeshInfo info;
    struct mesh_now now;

    if (!m) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no mesh \"%.63s\"%s: twampctl schedule list shows them", rq->name, near_mesh(&c->inv, rq->name, mean));
        return;
    }
    mesh_now_one(&c->inv, m, loop_now(c->loop).wall.ns, &now);
    fill_mesh(c, m, &now, admin_arena(c), &info);
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

    if (!admin_author_ok(rq->author, rq->reason, closure_data))
        return;
    call = calloc(1, sizeof *call);
    if (call)
        *call = (struct mesh_call){ closure, closure_data };
    admin_change(service,
                 &(struct change_request){ .kind = kind,
                                           .name = rq->name,
                                           .author = rq->author,
                                           .reason = rq->reason,
                                           .done = mesh_changed,
                                           .ctx = call },
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
