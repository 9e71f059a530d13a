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
            meshes[q.n_meshes++] = (struct budget_mesh){ .pairs = &m->pairs, .ipv6 = m->ipv6 };
    }
    budget_check(&q, r);
    free(meshes);
    return r->hard || (r->soft && !ch->rq.force) ? refuse(ch, r) : TW_OK;
}
