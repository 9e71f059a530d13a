/* The history of the schedule. */
#include <stdio.h>
#include <stdlib.h>
#include "controller/admin.h"
#include "controller/history.h"

#define LIMIT_STANDARD 100
#define LIMIT_MAX 10000

void admin_fail_history(const struct tw_err *err, void *closure_data)
{
    Tw__Status status = err->rc == TW_ENOENT   ? TW__STATUS__STATUS_NOT_FOUND
                        : err->rc == TW_EINVAL ? TW__STATUS__STATUS_FAILED_PRECONDITION
                                               : TW__STATUS__STATUS_INTERNAL;

    if (err->rc == TW_ENOENT)
        rpc_fail(closure_data, status, "%s: twampctl schedule history shows them", err->text);
    else
        rpc_fail(closure_data, status, "%s", err->text);
}

/* ---- The answer ---- */

static const char *action_of(const struct history_mesh *m)
{
    bool state = m->was_paused != m->paused;

    if (!m->exists)
        return "deleted";
    if (!m->existed)
        return m->paused ? "added,paused" : "added";
    if (!state)
        return "changed";
    if (m->same_document)
        return m->paused ? "paused" : "resumed";
    return m->paused ? "changed,paused" : "changed,resumed";
}

static Tw__MeshChange *mesh_change(const struct history_mesh *m, struct arena *ar)
{
    Tw__MeshChange *ret = arena_alloc(ar, sizeof *ret);

    if (!ret)
        return NULL;
    tw__mesh_change__init(ret);
    ret->mesh = (char *)m->name;
    ret->action = (char *)action_of(m);
    ret->diff = m->diff.text ? m->diff.text : (char *)protobuf_c_empty_string;
    ret->diff_truncated = m->diff.truncated;
    ret->lines_added = m->diff.added;
    ret->lines_removed = m->diff.removed;
    return ret;
}

/* NULL: there is no room. A mesh too many is left out. */
static Tw__GenerationInfo *generation_info(const struct history_row *row, struct arena *ar, size_t *octets)
{
    Tw__GenerationInfo *g = arena_alloc(ar, sizeof *g);

    if (!g)
        return NULL;
    tw__generation_info__init(g);
    g->generation = row->g.number;
    g->first_generation = row->g.first;
    g->time_ns = row->g.time_ns;
    g->author = (char *)row->g.author;
    g->what = (char *)row->g.what;
    g->reason = (char *)row->g.reason;
    g->counted = row->g.counted;
    g->pairs = row->g.pairs;
    g->added = row->g.added;
    g->removed = row->g.removed;
    g->changed = row->g.changed;
    g->kept = row->g.complete;
    *octets += tw__generation_info__get_packed_size(g) + 8;
    g->meshes = arena_alloc(ar, sizeof *g->meshes * (row->n_meshes + 1));
    for (size_t i = 0; g->meshes && i < row->n_meshes; i++) {
        Tw__MeshChange *m = mesh_change(&row->meshes[i], ar);

        *octets += m ? tw__mesh_change__get_packed_size(m) + 8 : 0;
        if (!m || *octets > ADMIN_REPLY_MAX)
            break;
        g->meshes[g->n_meshes++] = m;
    }
    return *octets > ADMIN_REPLY_MAX && !g->n_meshes ? NULL : g;
}

struct history_call {
    struct controller *c;
    Tw__ScheduleHistoryReply_Closure closure;
    void *closure_data;
};

static void answer(const struct history_call *call, const struct history *h)
{
    struct arena *ar = admin_arena(call->c);
    Tw__ScheduleHistoryReply reply = TW__SCHEDULE_HISTORY_REPLY__INIT;
    size_t octets = 0;

    reply.generation = call->c->inv.generation;
    reply.truncated = h->more;
    reply.generations = arena_alloc(ar, sizeof *reply.generations * (h->n + 1));
    for (size_t i = 0; i < h->n; i++) {
        Tw__GenerationInfo *g = reply.generations ? generation_info(&h->rows[i], ar, &octets) : NULL;

        reply.truncated |= !g || g->n_meshes < h->rows[i].n_meshes;
        if (!g)
            break;
        reply.generations[reply.n_generations++] = g;
    }
    call->closure(&reply, call->closure_data);
}

static void history_done(void *ctx, struct history *h, const struct tw_err *err)
{
    struct history_call *call = ctx;

    if (h)
        answer(call, h);
    else
        admin_fail_history(err, call->closure_data);
    history_free(h);
    free(call);
}

void admin_schedule_history(Tw__Admin_Service *service, const Tw__ScheduleHistoryRequest *rq,
                            Tw__ScheduleHistoryReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct history_call *call = malloc(sizeof *call);
    struct history_query q = { .number = rq->generation,
                               .before = rq->before,
                               .limit = rq->limit ? rq->limit : LIMIT_STANDARD,
                               .diffs = rq->generation != 0 };
    enum tw_rc rc = TW_ENOMEM;

    if (q.limit > LIMIT_MAX)
        q.limit = LIMIT_MAX;
    if (call) {
        *call = (struct history_call){ c, closure, closure_data };
        rc = history_run(c->readers, &q, history_done, call);
    }
    if (rc == TW_OK)
        return;
    free(call);
    admin_fail_run(rc, "", closure_data);
}
