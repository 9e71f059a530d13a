#include "controller/core/class_times.h"

#include <stdlib.h>
#include <string.h>
#include "controller/core/plan.h"
#include "controller/core/spread.h"

/* ---- Life ---- */

void mesh_maintenance_unref(struct mesh_maintenance *m)
{
    if (!m || --m->refs)
        return;
    for (size_t i = 0; i < m->n; i++)
        times_set_clear(&m->v[i].when);
    free(m->v);
    free(m);
}

struct class_times *class_times_ref(struct class_times *c)
{
    if (c)
        c->refs++;
    return c;
}

void class_times_unref(struct class_times *c)
{
    if (!c || --c->refs)
        return;
    times_unref(c->times);
    mesh_maintenance_unref(c->owner);
    free(c);
}

/* ---- Comparing ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * UINT64_C(0xff51afd7ed558ccd);
    return h ^ h >> 33;
}

static uint64_t mix_set(uint64_t h, const struct times_set *s)
{
    h = mix(mix(mix(h, s->n_week), s->n_spans), s->zone.n);
    for (size_t i = 0; i < s->n_week; i++)
        h = mix(h, (uint64_t)s->week[i].from << 16 | s->week[i].to);
    for (size_t i = 0; i < s->n_spans; i++)
        h = mix(mix(h, (uint64_t)s->spans[i].from_ns), (uint64_t)s->spans[i].to_ns);
    for (size_t i = 0; i < s->zone.n; i++)
        h = mix(mix(h, (uint64_t)s->zone.v[i].at_s), (uint64_t)(uint32_t)s->zone.v[i].offset_s);
    return mix(h, (uint64_t)(uint32_t)s->zone.offset_s);
}

uint64_t class_times_hash(const struct class_times *c)
{
    uint64_t h = 1;

    if (!c)
        return 0;
    h = mix(mix(h, c->id), c->n_maintenance);
    for (size_t i = 0; i < c->n_maintenance; i++) {
        h = mix_set(mix(h, c->maintenance[i].stop), &c->maintenance[i].when);
        for (const char *p = c->maintenance[i].reason; *p; p++)
            h = mix(h, (uint8_t)*p);
    }
    return h;
}

bool class_times_same(const struct class_times *a, const struct class_times *b)
{
    return class_times_hash(a) == class_times_hash(b);
}

/* ---- Asking ---- */

struct times_pace pair_pace(const struct times *t, int64_t spacing_ns, bool exponential,
                            const struct pair_key *k, uint32_t flow, uint32_t flows)
{
    int64_t phase_ns =
        k->slot ? spread_phase_ns(t->every_ns, k->slot, flow, flows, k->id)
                : plan_run_phase_ns(k->mesh, k->class_name, k->source, k->target, flow, t->every_ns);

    return (struct times_pace){ .phase_ns = phase_ns,
                                .spacing_ns = spacing_ns,
                                .probe_phase_ns = plan_phase_ns(k->mesh, k->class_name, k->source, k->target,
                                                                flow, spacing_ns),
                                .exponential = exponential };
}

struct times_pace class_times_pace(const struct class_times *c, const struct pair_key *k, uint32_t flow)
{
    return pair_pace(c->times, c->spacing_ns, c->exponential, k, flow, c->flows);
}

/* Is a flow of the pair in a run that goes on after `until`? */
static bool runs_beyond(const struct class_times *c, const struct pair_key *k, int64_t at_ns,
                        int64_t until_ns)
{
    for (uint32_t flow = 0; flow < c->flows; flow++) {
        struct times_pace pace = class_times_pace(c, k, flow);
        struct times_run run;

        times_look(c->times, &pace, at_ns, &run);
        if (run.in && run.end_ns > until_ns)
            return true;
        if (c->times->kind != TIMES_INTERVAL) /* all flows run together */
            return false;
    }
    return false;
}

bool class_times_is_idle(const struct class_times *c, const struct pair_key *k, int64_t now_ns)
{
    return c && c->id && !runs_beyond(c, k, now_ns, now_ns);
}

#define SEARCHES 16 /* of some hundred steps each */

static int64_t next_begin(const struct class_times *c, const struct times_pace *pace, int64_t now_ns)
{
    struct times_span next;
    int64_t from_ns = now_ns;

    for (unsigned i = 0; i < SEARCHES && from_ns != TIMES_NEVER; i++)
        if (times_next(c->times, pace, from_ns, &next, &from_ns))
            return next.from_ns;
    return TIMES_NEVER;
}

int64_t class_times_next(const struct class_times *c, const struct pair_key *k, int64_t now_ns)
{
    int64_t first_ns = TIMES_NEVER;

    for (uint32_t flow = 0; c && c->id && flow < c->flows; flow++) {
        struct times_pace pace = class_times_pace(c, k, flow);
        int64_t begin_ns = next_begin(c, &pace, now_ns);

        first_ns = begin_ns < first_ns ? begin_ns : first_ns;
        if (c->times->kind != TIMES_INTERVAL)
            break;
    }
    return first_ns;
}

int64_t class_times_silence(const struct class_times *c, const struct pair_key *k, int64_t since_ns,
                            int64_t now_ns)
{
    int64_t due_ns = since_ns;

    if (class_times_is_idle(c, k, now_ns))
        return -1;
    if (c && c->id && !runs_beyond(c, k, since_ns, since_ns + 2 * c->report_period_ns))
        due_ns = class_times_next(c, k, since_ns); /* the last of a run may be short, or on its way still */
    return now_ns > due_ns ? now_ns - due_ns : 0;
}

const struct maintenance *class_times_maintenance(const struct class_times *c, int64_t now_ns)
{
    struct times_span same;

    for (size_t i = 0; c && i < c->n_maintenance; i++)
        if (times_set_at(&c->maintenance[i].when, now_ns, &same))
            return &c->maintenance[i];
    return NULL;
}
