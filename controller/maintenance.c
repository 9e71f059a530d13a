#include "controller/maintenance.h"
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 64 /* spans in a row: beyond that the end is not in sight */

/* What it may be of. */
struct sources {
    const struct class_times *times;
    const struct agent *agents[2];
};

/* Of pieces that touch, one after the other; a piece of the week ends at the week's end. */
static int64_t end_of_set(const struct times_set *s, int64_t at_ns)
{
    struct times_span same;

    for (int i = 0; i < STEPS_MAX; i++) {
        if (!times_set_at(s, at_ns, &same))
            return at_ns;
        if (same.to_ns == TIMES_NEVER || same.to_ns <= at_ns)
            return TIMES_NEVER;
        at_ns = same.to_ns;
    }
    return TIMES_NEVER;
}

static void take(struct maintenance_now *best, bool *any, const char *agent, const char *reason, int64_t until_ns)
{
    if (*any && best->until_ns >= until_ns)
        return;
    *best = (struct maintenance_now){ agent, reason, until_ns };
    *any = true;
}

/* Of those that go on at that moment the one that ends last. */
static bool last_at(const struct sources *s, int64_t at_ns, struct maintenance_now *ret)
{
    const struct maintenance *m = class_times_maintenance(s->times, at_ns);
    bool any = false;

    if (m)
        take(ret, &any, "", m->reason, end_of_set(&m->when, at_ns));
    for (size_t i = 0; i < TW_NELEM(s->agents); i++) {
        const struct agent_ops *o = s->agents[i] ? s->agents[i]->ops : NULL;

        for (size_t k = 0; o && k < o->n_spans; k++)
            if (o->spans[k].from_ns <= at_ns && at_ns < o->spans[k].to_ns)
                take(ret, &any, s->agents[i]->row.name, o->spans[k].reason, o->spans[k].to_ns);
    }
    return any;
}

static bool look(const struct sources *s, int64_t now_ns, struct maintenance_now *ret)
{
    struct maintenance_now next;

    if (!last_at(s, now_ns, ret))
        return false;
    for (int i = 0; ret->until_ns != TIMES_NEVER && last_at(s, ret->until_ns, &next); i++)
        ret->until_ns = i < STEPS_MAX ? next.until_ns : TIMES_NEVER;
    return true;
}

bool maintenance_of_agent(const struct agent *a, int64_t now_ns, struct maintenance_now *ret)
{
    return look(&(struct sources){ NULL, { a, NULL } }, now_ns, ret);
}

bool maintenance_of_mesh(const struct mesh_state *m, int64_t now_ns, struct maintenance_now *ret)
{
    /* Its classes share it; one without has no times at all. */
    for (size_t i = 0; m->mesh && i < m->mesh->n_classes; i++)
        if (look(&(struct sources){ m->mesh->classes[i].times, { NULL, NULL } }, now_ns, ret))
            return true;
    return false;
}

bool maintenance_of_pair(const struct pair *p, int64_t now_ns, struct maintenance_now *ret)
{
    struct sources s = { p->times, { pair_source(p), pair_target(p) } };

    return pair_in_maintenance(p, now_ns) && look(&s, now_ns, ret);
}

struct maintenance_note *maintenance_note_pair(const struct pair *p, int64_t now_ns)
{
    struct maintenance_now m;
    struct maintenance_note *n = maintenance_of_pair(p, now_ns, &m) ? malloc(sizeof *n) : NULL;

    if (!n)
        return NULL;
    snprintf(n->agent, sizeof n->agent, "%s", m.agent);
    snprintf(n->reason, sizeof n->reason, "%s", m.reason);
    n->until_ns = m.until_ns == TIMES_NEVER ? 0 : m.until_ns;
    return n;
}
