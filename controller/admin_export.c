/* What runs, as documents that can be applied again. */
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/doc_json.h"
#include "controller/doc_split.h"
#include "controller/near.h"

static int by_name(const void *a, const void *b)
{
    const struct mesh_state *const *x = a, *const *y = b;

    return strcmp((*x)->row.name, (*y)->row.name);
}

/* Sorted, NULL at the end; malloc'ed. */
static const struct mesh_state **sorted_meshes(const struct inventory *inv)
{
    const struct mesh_state **v = calloc(HASH_COUNT(inv->meshes) + 1, sizeof(struct mesh_state *));
    size_t n = 0;

    for (const struct mesh_state *m = inv->meshes; v && m; m = m->hh.next)
        v[n++] = m;
    if (n)
        qsort(v, n, sizeof *v, by_name);
    return v;
}

/* With what has to stand before it; malloc'ed. */
static char *export_text(const struct mesh_state *m, bool json, bool alone, bool first)
{
    struct tw_err err;
    char *text = NULL, *all;
    const char *separator;

    if (json && doc_to_json(m->document, &text, &err) != TW_OK)
        return NULL;
    if (!json)
        text = doc_normal(m->document);
    if (!text || alone)
        return text;
    separator = doc_separator(text, first);
    all = malloc(strlen(separator) + strlen(text) + 1);
    if (all)
        strcpy(stpcpy(all, separator), text);
    free(text);
    return all;
}

static Tw__ExportedMesh *export_mesh(const struct mesh_state *m, const Tw__ScheduleExportRequest *rq, bool first,
                                     struct arena *ar)
{
    Tw__ExportedMesh *e = arena_alloc(ar, sizeof *e);
    char *text = e ? export_text(m, rq->json, *rq->name, first) : NULL;

    if (!text)
        return NULL;
    tw__exported_mesh__init(e);
    e->mesh = (char *)m->row.name;
    e->paused = m->row.paused;
    e->text = arena_alloc(ar, strlen(text) + 1);
    if (e->text)
        strcpy(e->text, text);
    free(text);
    return e->text ? e : NULL;
}

static bool wanted(const struct mesh_state *m, const Tw__ScheduleExportRequest *rq)
{
    return *rq->name ? !strcmp(m->row.name, rq->name) : strcmp(m->row.name, rq->after) > 0;
}

/* A document has at most 512 KiB, so at least one fits. */
static void answer(const struct mesh_state **meshes, const Tw__ScheduleExportRequest *rq, struct arena *ar,
                   Tw__ScheduleExportReply *reply)
{
    size_t octets = 0;

    for (; *meshes; meshes++) {
        Tw__ExportedMesh *e;

        if (!wanted(*meshes, rq))
            continue;
        e = export_mesh(*meshes, rq, !*rq->after && !reply->n_meshes, ar);
        octets += e ? tw__exported_mesh__get_packed_size(e) + 8 : 0;
        reply->truncated = !e || (octets > ADMIN_REPLY_MAX && reply->n_meshes);
        if (reply->truncated)
            return;
        reply->meshes[reply->n_meshes++] = e;
    }
}

void admin_schedule_export(Tw__Admin_Service *service, const Tw__ScheduleExportRequest *rq,
                           Tw__ScheduleExportReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    struct arena *ar = admin_arena(c);
    const struct mesh_state **meshes = sorted_meshes(&c->inv);
    Tw__ScheduleExportReply reply = TW__SCHEDULE_EXPORT_REPLY__INIT;
    char mean[NEAR_TEXT];

    reply.generation = c->inv.generation;
    reply.meshes = meshes ? arena_alloc(ar, sizeof *reply.meshes * (HASH_COUNT(c->inv.meshes) + 1)) : NULL;
    if (reply.meshes)
        answer(meshes, rq, ar, &reply);
    free(meshes);
    if (!reply.meshes || (reply.truncated && !reply.n_meshes))
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "the document cannot be exported: out of memory, or too large for JSON");
    else if (*rq->name && !reply.n_meshes)
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "no mesh \"%.63s\"%s: twampctl schedule list shows them", rq->name, near_mesh(&c->inv, rq->name, mean));
    else
        closure(&reply, closure_data);
}
