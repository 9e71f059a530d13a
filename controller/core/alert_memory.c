/* What rules remember of pairs: baselines, sums over a longer time, routes; and how that is made again from
 * what is stored. */
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

#define STEPS_OF_CELL 12 /* a cell of a baseline is made of about so many parts at least */
#define ROUTE_STEP_NS (60 * TW_NS_PER_S)
#define AHEAD_NS (60 * TW_NS_PER_S) /* what is being stored just now */

void alert_past_of(const struct alert_rule *r, const struct alert_facts *f, uint64_t periods,
                   struct alert_past *ret)
{
    bool forward = r->direction == TW_FORWARD;

    *ret =
        (struct alert_past){ .start_ns = f->start_ns, .end_ns = f->end_ns, .periods = periods ? periods : 1 };
    ret->value = alert_rule_value(r, f);
    ret->has_parts = alert_rule_parts(r, f, &ret->part, &ret->whole);
    if (!f->view || r->metric != ALERT_ROUTE)
        return;
    ret->ttl_min = forward ? f->view->ttl_forward_min : f->view->ttl_backward_min;
    ret->ttl_max = forward ? f->view->ttl_forward_max : f->view->ttl_backward_max;
}

/* ---- Asking ---- */

/* The largest of those that the store keeps which is no longer. */
static int64_t step_for(int64_t ns)
{
    static const int64_t steps[] = { 86400, 3600, 600, 60, 10 };

    for (size_t i = 0; i < TW_NELEM(steps); i++)
        if (steps[i] * TW_NS_PER_S <= ns)
            return steps[i] * TW_NS_PER_S;
    return TW_NS_PER_S;
}

static void ask(struct alert_engine *e, const struct seen_pair *p, struct track *t,
                const struct alert_rule *r, int64_t from_ns, int64_t to_ns, int64_t step_ns)
{
    struct alert_want w = { .pair_id = p->id,
                            .number = e->last_want + 1,
                            .slot = t->slot,
                            .kind = t->kind,
                            .rule = *r,
                            .from_ns = from_ns > 0 ? from_ns : 1,
                            .to_ns = to_ns + AHEAD_NS,
                            .step_ns = step_ns };

    if (!e->conf.want) {
        t->past = PAST_KNOWN;
    } else if (e->conf.want(e->conf.ctx, &w)) {
        t->past = PAST_ASKED;
        t->asked = ++e->last_want;
    }
}

/* ---- Feeding ---- */

/* Seen now, so it is no part of the past that is asked for. */
static void note_fed(struct track *t, const struct alert_facts *f)
{
    if (!t->fed_ns)
        t->fed_ns = f->start_ns;
}

struct alert_baseline *alert_baseline_of(struct alert_engine *e, struct seen_pair *p,
                                         const struct alert_rule *r, unsigned slot,
                                         const struct alert_facts *f, int64_t now_ns)
{
    struct track *t = alert_track_of(e, p, slot, TRACK_BASELINE);
    struct alert_baseline *b = t ? &t->u.baseline : NULL;

    if (!t)
        return NULL;
    if (b->cell_ns != r->baseline_ns / ALERT_CELLS) {
        alert_baseline_init(b, r->baseline_ns, p->id ^ slot);
        t->past = PAST_UNKNOWN;
        t->fed_ns = 0;
    }
    if (!alert_is_late(f, now_ns))
        alert_baseline_trim(b, f->end_ns);
    note_fed(t, f);
    if (t->past == PAST_UNKNOWN)
        ask(e, p, t, r, alert_baseline_lacks(b, f->end_ns), f->end_ns, step_for(b->cell_ns / STEPS_OF_CELL));
    return b;
}

/* Nothing is judged by a window, or by a route, of which a restart has taken a part. */
static struct tw_num windowed(struct alert_engine *e, struct seen_pair *p, const struct alert_rule *r,
                              unsigned slot, const struct alert_facts *f, int64_t now_ns)
{
    struct track *t = alert_track_of(e, p, slot, TRACK_WINDOW);
    struct alert_window *w = t ? &t->u.window : NULL;
    double part, whole;

    if (!t)
        return (struct tw_num){ 0 };
    if (!w->cell_ns || w->cell_ns != r->over_ns / ALERT_PARTS) {
        alert_window_init(w, r->over_ns);
        t->past = PAST_UNKNOWN;
        t->fed_ns = 0;
    }
    if (!alert_is_late(f, now_ns))
        alert_window_trim(w, f->end_ns);
    note_fed(t, f);
    if (t->past == PAST_UNKNOWN)
        ask(e, p, t, r, f->end_ns - r->over_ns, f->end_ns, step_for(w->cell_ns));
    if (alert_rule_parts(r, f, &part, &whole))
        alert_window_add(w, f->end_ns, part, whole);
    return t->past == PAST_KNOWN ? alert_window_ratio(w, f->end_ns) : (struct tw_num){ 0 };
}

static struct tw_num hops(struct alert_engine *e, struct seen_pair *p, const struct alert_rule *r,
                          unsigned slot, const struct alert_facts *f)
{
    struct track *t = f->view ? alert_track_of(e, p, slot, TRACK_HOPS) : NULL;
    struct alert_past now;

    if (!t)
        return (struct tw_num){ 0 };
    alert_past_of(r, f, 1, &now);
    if (t->past == PAST_UNKNOWN)
        ask(e, p, t, r, f->end_ns - 2 * r->settle_ns, f->end_ns, ROUTE_STEP_NS);
    if (t->past != PAST_KNOWN)
        return (struct tw_num){ 0 };
    return alert_hops_feed(&t->u.hops, now.ttl_min, now.ttl_max, f->end_ns, r->settle_ns);
}

struct tw_num alert_value_of(struct alert_engine *e, struct seen_pair *p, const struct alert_rule *r,
                             unsigned slot, const struct alert_facts *f, int64_t now_ns)
{
    if (r->metric == ALERT_ROUTE)
        return hops(e, p, r, slot, f);
    return r->over_ns ? windowed(e, p, r, slot, f, now_ns) : alert_rule_value(r, f);
}

/* ---- Learning ---- */

static int by_end(const void *a, const void *b)
{
    int64_t ea = ((const struct alert_past *)a)->end_ns, eb = ((const struct alert_past *)b)->end_ns;

    return (ea > eb) - (ea < eb);
}

static bool is_past(const struct track *t, const struct alert_past *v)
{
    return !t->fed_ns || v->end_ns <= t->fed_ns;
}

static void learn_baseline(struct alert_engine *e, struct seen_pair *p, struct track *t,
                           const struct alert_past *v, size_t n)
{
    struct alert_baseline past;
    char text[ALERT_BASELINE_TEXT];

    alert_baseline_init(&past, t->u.baseline.cell_ns * ALERT_CELLS, p->id ^ t->slot);
    for (size_t i = 0; i < n; i++)
        for (uint64_t k = 0; v[i].value.known && is_past(t, &v[i]) && k < v[i].periods; k++)
            alert_baseline_add(&past, v[i].end_ns - (v[i].periods > 1),
                               v[i].value.value); /* may end where the next cell begins */
    if (alert_baseline_fill(&t->u.baseline, &past) && alert_baseline_save(&t->u.baseline, text))
        e->conf.baseline(e->conf.ctx, p->id, t->slot, text);
}

void alert_engine_learn(struct alert_engine *e, const struct alert_want *w, struct alert_past *v, size_t n)
{
    struct seen_pair *p = alert_pair_of(e, w->pair_id);
    struct track *t = p ? p->tracks : NULL;

    while (t && (t->slot != w->slot || t->kind != (enum track_kind)w->kind))
        t = t->next;
    if (!t || t->past != PAST_ASKED || t->asked != w->number)
        return; /* its rule has changed since */
    if (n)
        qsort(v, n, sizeof *v, by_end);
    t->past = PAST_KNOWN;
    if (t->kind == TRACK_BASELINE)
        learn_baseline(e, p, t, v, n);
    for (size_t i = 0; t->kind == TRACK_WINDOW && i < n; i++)
        if (v[i].has_parts && is_past(t, &v[i]))
            alert_window_add(&t->u.window, v[i].end_ns, v[i].part, v[i].whole);
    for (size_t i = 0; t->kind == TRACK_HOPS && i < n; i++)
        alert_hops_feed(&t->u.hops, v[i].ttl_min, v[i].ttl_max, v[i].end_ns, w->rule.settle_ns);
}
