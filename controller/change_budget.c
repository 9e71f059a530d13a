/* May the schedule of an apply cost what it costs? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/change_priv.h"

static void agent_limits(void *ctx, const char *name, struct budget_agent *ret)
{
    const struct agent *a = inventory_agent(&((struct change *)ctx)->owner->c->inv, name);

    *ret = (struct budget_agent){ .sessions = SCHEDULE_MAX_SESSIONS };
    if (!a || !a->enrolment)
        return;
    if (a->enrolment->max_sessions && a->enrolment->max_sessions < SCHEDULE_MAX_SESSIONS)
        ret->sessions = a->enrolment->max_sessions;
    ret->pps = a->enrolment->max_pps;
    ret->bps = (double)a->enrolment->max_bps;
}

static enum tw_rc refuse(struct change *ch, const struct budget_report *r)
{
    uint64_t more = r->hard + r->soft - 1;
    char text[BUDGET_TEXT], rest[48] = "";

    if (more)
        snprintf(rest, sizeof rest, ", and %llu more reason%s", (unsigned long long)more, more == 1 ? "" : "s");
    ch->result.over_budget = true;
    ch->result.err = (struct tw_err){ 0 }; /* it is about no line of a file */
    return tw_err_set(&ch->result.err, TW_EINVAL, "%s%s", budget_text(&r->v[0], text), rest);
}

enum tw_rc change_check_budgets(struct change *ch)
{
    struct budget_mesh *meshes = calloc(ch->wanted.n_meshes + 1, sizeof *meshes);
    struct budget_question q = { .limits = &ch->owner->c->budgets,
                                 .agent = agent_limits,
                                 .ctx = ch,
                                 .before = &ch->plan.before,
                                 .after = &ch->plan.after,
                                 .meshes = meshes };
    struct budget_report *r = &ch->plan.budget;

    if (!meshes)
        return tw_err_set(&ch->result.err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < ch->wanted.n_meshes; i++) {
        const struct wanted_mesh *m = &ch->wanted.meshes[i];

        if (!m->paused)
            meshes[q.n_meshes++] =
                (struct budget_mesh){ .pairs = &m->pairs, .ipv6 = wanted_has_ipv6(&ch->wanted, m) };
    }
    budget_check(&q, r);
    free(meshes);
    return r->hard || (r->soft && !ch->rq.force) ? refuse(ch, r) : TW_OK;
}

/* ---- Which pairs ---- */

struct lister {
    struct change *ch;
    const struct mesh_pairs *before, *after;
};

static const char *address_of(const struct mesh_pairs *m, const struct mesh_pair *p, char buf[TW_ADDR_TEXT])
{
    return p->target < 0 ? tw_addr_format(&m->mesh->targets[~p->target].addr, buf) : "agent";
}

static void describe(const struct lister *l, const struct mesh_pair *b, const struct mesh_pair *a,
                     char what[CLASS_DIFF_MAX])
{
    char from[TW_ADDR_TEXT], to[TW_ADDR_TEXT];
    const char *x = address_of(l->before, b, from), *y = address_of(l->after, a, to);

    class_diff(&l->before->mesh->classes[b->class_index], &l->after->mesh->classes[a->class_index], what);
    if (!what[0])
        snprintf(what, CLASS_DIFF_MAX, "address %s -> %s", x, y);
}

static bool list_pair(void *ctx, const struct mesh_pair *b, const struct mesh_pair *a)
{
    const struct lister *l = ctx;
    struct change_plan *plan = &l->ch->plan;
    const struct mesh_pairs *m = a ? l->after : l->before;
    const struct mesh_pair *p = a ? a : b;
    struct change_pair *row;

    if (plan->n_pairs == l->ch->rq.max_pairs) {
        plan->pairs_cut = true;
        return false;
    }
    row = &plan->changed_pairs[plan->n_pairs++];
    row->action = !b ? '+' : !a ? '-' : '~';
    snprintf(row->mesh, sizeof row->mesh, "%s", m->mesh->name);
    snprintf(row->class_name, sizeof row->class_name, "%s", m->mesh->classes[p->class_index].name);
    snprintf(row->source, sizeof row->source, "%s", mesh_pair_source(m->agents, p));
    snprintf(row->target, sizeof row->target, "%s", mesh_pair_target(m->mesh, m->agents, p));
    if (a && b)
        describe(l, b, a, row->what);
    return true;
}

enum tw_rc change_list_pairs(struct change *ch, const struct wanted *now)
{
    struct change_plan *plan = &ch->plan;

    if (ch->rq.max_pairs > CHANGE_PAIRS_MAX)
        ch->rq.max_pairs = CHANGE_PAIRS_MAX;
    if (!ch->rq.max_pairs)
        return TW_OK;
    plan->changed_pairs = calloc(ch->rq.max_pairs, sizeof *plan->changed_pairs);
    if (!plan->changed_pairs)
        return TW_ENOMEM;
    for (size_t i = 0; i < ch->n_meshes && !plan->pairs_cut; i++) {
        const struct wanted_mesh *b = wanted_find_mesh(now, ch->meshes[i].row.name);
        const struct wanted_mesh *a = wanted_find_mesh(&ch->wanted, ch->meshes[i].row.name);
        struct lister l = { ch, b ? &b->pairs : NULL, a ? &a->pairs : NULL };

        plan_each_change(l.before, l.after, list_pair, &l);
    }
    return TW_OK;
}
