/* tests/sim/truth_runs.c - loss runs as the simulated network knows them, against those of the summaries. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/loss_runs.h"
#include "tests/sim/truth.h"

/* Probes [from, to), all lost, all of one period. */
struct part {
    size_t from, to, period;
    bool before, after, after_free; /* after_free: the period may have closed before the answer was there */
    bool certain; /* the answers on both sides tell its direction while the period is open */
    bool step;    /* it goes on over a step of the clock before it */
};

static bool is_lost(const struct truth *t, size_t i)
{
    return i < t->n && !t->probe[i].received;
}

static bool begins_with_step(const struct truth *t, size_t period)
{
    return period && t->period[period].start_ns != t->period[period - 1].end_ns;
}

static struct part part_at(const struct truth *t, size_t from)
{
    struct part p = { .from = from, .to = from, .period = t->probe[from].period };
    bool boundary;

    while (is_lost(t, p.to) && t->probe[p.to].period == p.period)
        p.to++;
    boundary = p.to == t->n || t->probe[p.to].period != p.period;
    p.step = from && is_lost(t, from - 1) && begins_with_step(t, p.period);
    p.before = from && is_lost(t, from - 1) && !p.step;
    p.after = boundary && (p.to == t->n || is_lost(t, p.to));
    p.after_free = boundary && p.to < t->n && !is_lost(t, p.to);
    p.certain = !boundary && !(from && is_lost(t, from - 1));
    return p;
}

static int64_t end_mono(const struct truth *t, const struct part *p)
{
    return p->to < t->n && t->probe[p->to].period == p->period ? t->probe[p->to].t1_mono
                                                               : t->period[p->period].end_mono;
}

static enum tw_direction direction(const struct truth *t, const struct part *p)
{
    size_t reached = 0;

    for (size_t i = p->from; i < p->to; i++)
        reached += t->probe[i].reached;
    return !reached ? TW_FORWARD : reached == p->to - p->from ? TW_BACKWARD : TW_MIXED;
}

static bool is_direction_ok(const struct truth *t, const struct part *p, enum tw_direction got,
                            const struct truth_checks *c)
{
    if (c->never_known)
        return got == TW_UNKNOWN;
    if (!c->direction)
        return true;
    return got == direction(t, p) || (got == TW_UNKNOWN && !p->certain);
}

static unsigned compare_part(const struct truth *t, const struct part *p, const struct tw_loss_run *r,
                             const struct truth_checks *c)
{
    const struct truth_probe *first = &t->probe[p->from];

    if (r->start_ns == first->t1_wall && r->probes == p->to - p->from &&
        r->length_ns == end_mono(t, p) - first->t1_mono &&
        r->seq_first == t->cfg->seq_start + (uint32_t)p->from && r->continues_before == p->before &&
        (r->continues_after == p->after || p->after_free) && is_direction_ok(t, p, r->direction, c))
        return 0;
    printf("  summary %zu: a loss run at %" PRId64 " of %" PRIu64 " probes from %" PRIu32 ", %" PRId64
           " ns, %s, continues %d %d; truth is %" PRId64 ", %zu from %zu, %" PRId64 " ns, %s, %d %d\n",
           p->period, r->start_ns, r->probes, r->seq_first, r->length_ns, tw_direction_name(r->direction),
           r->continues_before, r->continues_after, first->t1_wall, p->to - p->from, p->from,
           end_mono(t, p) - first->t1_mono, tw_direction_name(direction(t, p)), p->before, p->after);
    return 1;
}

/* ---- Outages ---- */

struct outage {
    int64_t start_ns, length_ns;
    uint64_t probes;
    enum tw_direction direction;
    bool certain; /* the answers on both sides tell the direction, if it was only one */
};
struct outages {
    struct outage *v;
    size_t n, cap;
};

static void add_outage(struct outages *o, struct outage one)
{
    if (o->n == o->cap) {
        o->cap = o->cap ? 2 * o->cap : 256;
        o->v = realloc(o->v, o->cap * sizeof *o->v);
        if (!o->v)
            abort();
    }
    o->v[o->n++] = one;
}

static bool is_cut_by_step(const struct truth *t, const struct part *p)
{
    return is_lost(t, p->to) && begins_with_step(t, t->probe[p->to].period);
}

static void expect_outage(const struct truth *t, struct outages *o, const struct part *p)
{
    const struct truth_probe *first = &t->probe[p->from];
    struct outage one = { first->t1_wall, end_mono(t, p) - first->t1_mono, p->to - p->from, direction(t, p),
                          p->to < t->n && !p->after_free && !p->step && !is_cut_by_step(t, p) };
    struct outage *last = o->n ? &o->v[o->n - 1] : NULL;

    if (!p->before) {
        add_outage(o, one);
        return;
    }
    last->length_ns = one.start_ns + one.length_ns - last->start_ns;
    last->probes += one.probes;
    last->direction = last->direction == one.direction ? one.direction : TW_MIXED;
    last->certain = last->certain && one.certain;
}

static struct outage outage_of(const struct tw_loss_run *r)
{
    return (struct outage){ r->start_ns, r->length_ns, r->probes, r->direction, false };
}

static void take_outages(struct outages *o, const struct tw_summary *sum, size_t n)
{
    struct tw_loss_run whole = { 0 };

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sum[i].runs.n; k++) {
            const struct tw_loss_run *r = &sum[i].runs.v[k];
            if (whole.probes && loss_run_continues(&whole, r)) {
                loss_run_join(&whole, r);
                continue;
            }
            if (whole.probes)
                add_outage(o, outage_of(&whole));
            whole = *r;
        }
    if (whole.probes)
        add_outage(o, outage_of(&whole));
}

static bool is_outage_ok(const struct outage *want, const struct outage *got, const struct truth_checks *c)
{
    bool unknown = got->direction == TW_UNKNOWN;

    if (want->start_ns != got->start_ns || want->length_ns != got->length_ns || want->probes != got->probes)
        return false;
    if (c->never_known)
        return unknown;
    return !c->direction || got->direction == want->direction ||
           (unknown && (!want->certain || want->direction == TW_MIXED));
}

static unsigned compare_outages(const struct outages *want, const struct outages *got,
                                const struct truth_checks *c)
{
    unsigned bad = 0;

    if (want->n != got->n)
        printf("  %zu outages, truth is %zu\n", got->n, want->n);
    for (size_t i = 0; i < want->n && i < got->n && !bad; i++) {
        const struct outage *w = &want->v[i], *g = &got->v[i];
        if (is_outage_ok(w, g, c))
            continue;
        printf("  outage %zu: at %" PRId64 ", %" PRId64 " ns, %" PRIu64 " probes, %s; truth is %" PRId64
               ", %" PRId64 " ns, %" PRIu64 ", %s\n",
               i, g->start_ns, g->length_ns, g->probes, tw_direction_name(g->direction), w->start_ns,
               w->length_ns, w->probes, tw_direction_name(w->direction));
        bad++;
    }
    return bad + (want->n != got->n);
}

unsigned truth_compare_runs(const struct truth *t, const struct tw_summary *sum, size_t n,
                            const struct truth_checks *c)
{
    struct outages want = { 0 }, got = { 0 };
    size_t *next = calloc(n + 1, sizeof *next);
    unsigned bad = 0;
    bool all = true;

    if (!next)
        abort();
    for (size_t i = 0; i < t->n && bad < 5;) {
        struct part p = { .to = i + 1 };
        if (is_lost(t, i)) {
            const struct tw_loss_runs *l;
            p = part_at(t, i);
            l = p.period < n ? &sum[p.period].runs : &(struct tw_loss_runs){ 0 };
            expect_outage(t, &want, &p);
            if (p.period < n && sum[p.period].loss_runs > TW_LOSS_RUNS_MAX) {
                all = false;
            } else if (p.period >= n || next[p.period] == l->n) {
                printf("  summary %zu: the loss run from %zu is not listed\n", p.period, p.from);
                bad++;
            } else {
                bad += compare_part(t, &p, &l->v[next[p.period]++], c);
            }
        }
        i = p.to;
    }
    for (size_t i = 0; i < n && !bad && all; i++)
        if (next[i] != sum[i].runs.n) {
            printf("  summary %zu: lists %u loss runs, truth is %zu\n", i, sum[i].runs.n, next[i]);
            bad++;
        }
    take_outages(&got, sum, n);
    bad += !bad && all ? compare_outages(&want, &got, c) : 0;
    free(want.v);
    free(got.v);
    free(next);
    return bad;
}
