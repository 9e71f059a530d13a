/* Apply and rollback: what they would do, and what came of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/admin.h"
#include "controller/history.h"

#define AUTHOR_MAX 128
#define REASON_MAX 1024

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
    if (before) {
        p->pairs_before = before->pairs;
        p->packets_per_second_before = before->pps;
        p->bits_per_second_before = before->bps;
    }
    if (after) {
        p->pairs_after = after->pairs;
        p->packets_per_second = after->pps;
        p->bits_per_second = after->bps;
        p->mean_packets_per_second = after->mean_pps;
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

static const char *const mesh_actions[] = { [MESH_UNCHANGED] = "unchanged",
                                            [MESH_ADDED] = "added",
                                            [MESH_CHANGED] = "changed",
                                            [MESH_DELETED] = "deleted" };

static void fill_plan_meshes(Tw__Plan *plan, struct arena *ar, const struct change_plan *p)
{
    plan->meshes = arena_alloc(ar, sizeof *plan->meshes * (p->n_meshes + 1));
    for (size_t i = 0; plan->meshes && i < p->n_meshes; i++) {
        Tw__PlanMesh *m = arena_alloc(ar, sizeof *m);

        if (!m)
            break;
        tw__plan_mesh__init(m);
        m->mesh = (char *)p->meshes[i].mesh;
        m->action = (char *)mesh_actions[p->meshes[i].action];
        m->paused = p->meshes[i].paused;
        m->pairs = p->meshes[i].pairs;
        m->added = p->meshes[i].diff.added;
        m->removed = p->meshes[i].diff.removed;
        m->changed = p->meshes[i].diff.changed;
        m->below_degree = p->meshes[i].below_degree;
        m->ended_classes = p->meshes[i].ended_classes;
        plan->meshes[plan->n_meshes++] = m;
    }
    plan->truncated |= plan->n_meshes < p->n_meshes;
}

static const char *pair_action(char c)
{
    return c == '+' ? "added" : c == '-' ? "removed" : "changed";
}

static void fill_plan_pairs(Tw__Plan *plan, struct arena *ar, const struct change_plan *p)
{
    size_t octets = 0;

    plan->changed_pairs = arena_alloc(ar, sizeof *plan->changed_pairs * (p->n_pairs + 1));
    for (size_t i = 0; plan->changed_pairs && i < p->n_pairs; i++) {
        Tw__PlanPair *pair = arena_alloc(ar, sizeof *pair);

        if (!pair)
            break;
        tw__plan_pair__init(pair);
        pair->action = (char *)pair_action(p->changed_pairs[i].action);
        pair->mesh = p->changed_pairs[i].mesh;
        pair->class_name = p->changed_pairs[i].class_name;
        pair->source = p->changed_pairs[i].source;
        pair->target = p->changed_pairs[i].target;
        pair->what = p->changed_pairs[i].what;
        octets += tw__plan_pair__get_packed_size(pair) + 8;
        if (octets > ADMIN_REPLY_MAX / 2)
            break;
        plan->changed_pairs[plan->n_changed_pairs++] = pair;
    }
    plan->changed_pairs_truncated = p->pairs_cut || plan->n_changed_pairs < p->n_pairs;
}

static void fill_shares(Tw__PlanExcess *x, struct arena *ar, const struct budget_excess *e)
{
    x->contributors = arena_alloc(ar, sizeof *x->contributors * (e->n_shares + 1));
    for (size_t i = 0; x->contributors && i < e->n_shares; i++) {
        Tw__PlanShare *s = arena_alloc(ar, sizeof *s);

        if (!s)
            return;
        tw__plan_share__init(s);
        s->mesh = (char *)e->shares[i].mesh;
        s->class_name = (char *)e->shares[i].class_name;
        s->value = e->shares[i].value;
        s->pairs = e->shares[i].pairs;
        x->contributors[x->n_contributors++] = s;
    }
}

static void fill_excesses(Tw__Plan *plan, struct arena *ar, const struct budget_report *r)
{
    plan->excesses_all = r->hard + r->soft;
    plan->excesses = arena_alloc(ar, sizeof *plan->excesses * (r->n + 1));
    for (size_t i = 0; plan->excesses && i < r->n; i++) {
        const struct budget_excess *e = &r->v[i];
        Tw__PlanExcess *x = arena_alloc(ar, sizeof *x);
        char text[BUDGET_TEXT];

        if (!x)
            return;
        tw__plan_excess__init(x);
        x->kind = (char *)budget_kind_name(e->kind);
        x->agent = e->agent ? (char *)e->agent : (char *)protobuf_c_empty_string;
        x->value = e->value;
        x->limit = e->limit;
        x->hard = e->hard;
        x->text = admin_text(ar, budget_text(e, text));
        x->fits = (char *)e->fits;
        fill_shares(x, ar, e);
        plan->excesses[plan->n_excesses++] = x;
    }
}

static void fill_plan(Tw__Plan *plan, struct arena *ar, const struct change_plan *p)
{
    tw__plan__init(plan);
    fill_excesses(plan, ar, &p->budget);
    fill_plan_meshes(plan, ar, p);
    fill_plan_pairs(plan, ar, p);
    plan->series_before = p->before.series;
    plan->store_bytes_per_day_before = p->before.store_bytes_per_day;
    plan->pairs_before = p->before.pairs;
    plan->pairs_after = p->after.pairs;
    plan->packets_per_second_before = p->before.pps;
    plan->packets_per_second = p->after.pps;
    plan->mean_packets_per_second = p->after.mean_pps;
    if (p->n_meshes)
        plan->mesh = (char *)p->meshes[0].mesh;
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
    field->file = (char *)err->file;
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

    if (r->in_document || r->over_budget) {
        fill_field(&field, &r->err);
        reply.error = &field;
        if (r->plan)
            fill_plan(&plan, admin_arena(call->c), r->plan);
        reply.plan = r->plan ? &plan : NULL;
        call->closure(&reply, call->closure_data);
    } else if (!admin_change_failed(r, call->closure_data)) {
        fill_plan(&plan, admin_arena(call->c), r->plan);
        reply.plan = &plan;
        reply.generation = r->generation;
        reply.unchanged = r->unchanged;
        call->closure(&reply, call->closure_data);
    }
    free(call);
}

static bool text_ok(const char *what, const char *text, size_t max, void *closure_data)
{
    if (strlen(text) <= max)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "the %s has more than %zu octets", what, max);
    return false;
}

bool admin_author_ok(const char *author, const char *reason, void *closure_data)
{
    return text_ok("author", author, AUTHOR_MAX, closure_data) &&
           text_ok("reason", reason, REASON_MAX, closure_data);
}

static struct apply_call *new_call(Tw__Admin_Service *service, Tw__ScheduleApplyReply_Closure closure,
                                   void *closure_data)
{
    struct apply_call *call = calloc(1, sizeof *call);

    if (call)
        *call = (struct apply_call){ admin_controller(service), closure, closure_data };
    return call;
}

/* What the request has as a list; malloc'ed; NULL: no memory. */
static struct change_document *list_documents(const Tw__ScheduleApplyRequest *rq, size_t *ret_n)
{
    size_t n = rq->n_files ? rq->n_files : 1;
    struct change_document *v = calloc(n, sizeof *v);

    if (!v)
        return NULL;
    if (!rq->n_files)
        v[0] = (struct change_document){ .file = rq->file, .text = rq->document };
    for (size_t i = 0; i < rq->n_files; i++)
        v[i] = (struct change_document){ .file = rq->files[i]->name, .text = rq->files[i]->text };
    *ret_n = n;
    return v;
}

void admin_schedule_apply(Tw__Admin_Service *service, const Tw__ScheduleApplyRequest *rq,
                          Tw__ScheduleApplyReply_Closure closure, void *closure_data)
{
    struct change_document *documents;
    size_t n = 0;

    if (!admin_author_ok(rq->author, rq->reason, closure_data))
        return;
    if (rq->n_files > CHANGE_DOCUMENTS_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%zu files: expected at most %d",
                 rq->n_files, CHANGE_DOCUMENTS_MAX);
        return;
    }
    documents = list_documents(rq, &n);
    admin_change(
        service,
        &(struct change_request){ .kind = CHANGE_APPLY,
                                  .documents = documents,
                                  .n_documents = n,
                                  .prune = rq->prune,
                                  .author = rq->author,
                                  .reason = rq->reason,
                                  .plan_only = rq->plan_only,
                                  .force = rq->force,
                                  .max_pairs = rq->max_pairs,
                                  .done = applied,
                                  .ctx = documents ? new_call(service, closure, closure_data) : NULL },
        closure_data);
    free(documents);
}

/* ---- Rollback ---- */

struct rollback_call {
    Tw__Admin_Service *service;
    uint64_t number;
    bool plan_only, force;
    uint32_t max_pairs;
    char author[AUTHOR_MAX + 1], reason[REASON_MAX + 1];
    Tw__ScheduleApplyReply_Closure closure;
    void *closure_data;
};

static void submit_rollback(const struct rollback_call *call, const struct history_set *set)
{
    struct change_document *documents = calloc(set->n + 1, sizeof *documents);
    void *ctx = documents ? new_call(call->service, call->closure, call->closure_data) : NULL;

    for (size_t i = 0; documents && i < set->n; i++)
        documents[i] = (struct change_document){ .file = set->meshes[i].name,
                                                 .text = set->meshes[i].document,
                                                 .set_paused = true,
                                                 .paused = set->meshes[i].paused };
    admin_change(call->service,
                 &(struct change_request){ .kind = CHANGE_ROLLBACK,
                                           .documents = documents,
                                           .n_documents = set->n,
                                           .prune = true,
                                           .number = call->number,
                                           .author = call->author,
                                           .reason = call->reason,
                                           .plan_only = call->plan_only,
                                           .force = call->force,
                                           .max_pairs = call->max_pairs,
                                           .done = applied,
                                           .ctx = ctx },
                 call->closure_data);
    free(documents);
}

static void rollback_read(void *ctx, struct history_set *set, const struct tw_err *err)
{
    struct rollback_call *call = ctx;

    if (set)
        submit_rollback(call, set);
    else
        admin_fail_history(err, call->closure_data);
    history_set_free(set);
    free(call);
}

void admin_schedule_rollback(Tw__Admin_Service *service, const Tw__ScheduleRollbackRequest *rq,
                             Tw__ScheduleApplyReply_Closure closure, void *closure_data)
{
    struct rollback_call *call;
    enum tw_rc rc;

    if (!admin_author_ok(rq->author, rq->reason, closure_data))
        return;
    call = calloc(1, sizeof *call);
    rc = call ? TW_OK : TW_ENOMEM;
    if (call) {
        *call = (struct rollback_call){ .service = service,
                                        .number = rq->generation,
                                        .plan_only = rq->plan_only,
                                        .force = rq->force,
                                        .max_pairs = rq->max_pairs,
                                        .closure = closure,
                                        .closure_data = closure_data };
        snprintf(call->author, sizeof call->author, "%s", rq->author);
        snprintf(call->reason, sizeof call->reason, "%s", rq->reason);
        rc = history_run_set(admin_controller(service)->readers, rq->generation, rollback_read, call);
    }
    if (rc == TW_OK)
        return;
    free(call);
    admin_fail_run(rc, "", closure_data);
}
