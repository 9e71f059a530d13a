/* agent/core/session_runs.c - loss runs: never across a boundary, so that a summary's runs are made of its
 * own probes; the parts of a run that goes on say so. */
#include "agent/core/session_priv.h"
#include "common/loss_runs.h"

static void list_run(const struct session *s, struct tw_summary *sum, int64_t length_ns, bool continues_after)
{
    loss_runs_add(&sum->runs, &(struct tw_loss_run){ .start_ns = s->run.start_wall.ns,
                                                     .length_ns = length_ns,
                                                     .probes = s->run.n,
                                                     .seq_first = s->run.seq_first,
                                                     .flow = s->cfg.flow,
                                                     .direction = TW_UNKNOWN,
                                                     .continues_before = s->run.continues_before,
                                                     .continues_after = continues_after });
}

static void end_run(struct session *s, struct tw_mono end, bool continues_after)
{
    struct period *p = session_period_of(s, s->run.period);
    int64_t ns = end.ns > s->run.start.ns ? end.ns - s->run.start.ns : 0;

    if (p) {
        if (s->run.n > p->sum.loss_run_longest)
            p->sum.loss_run_longest = s->run.n;
        if (ns > p->sum.loss_run_longest_ns)
            p->sum.loss_run_longest_ns = ns;
        list_run(s, &p->sum, ns, continues_after);
    }
    s->run.n = 0;
}

static void begin_run(struct session *s, uint32_t seq, const struct slot *p)
{
    struct period *period = session_period_of(s, p->period);

    s->run.period = p->period;
    s->run.seq_first = seq;
    s->run.start = p->t1_mono;
    s->run.start_wall = p->t1_wall;
    s->run.continues_before = s->run.last_lost && period && !period->after_step;
    if (period)
        period->sum.loss_runs++;
}

/* The first probe of another period has its fate. */
static void cut_run(struct session *s, bool next_lost)
{
    const struct period *p = session_period_of(s, s->run.period);

    end_run(s, p ? p->end : s->run.start, next_lost);
}

void session_run_resolve(struct session *s, uint32_t seq, const struct slot *p)
{
    bool lost = p->state == SLOT_LOST;

    if (s->run.n && s->run.period != p->period)
        cut_run(s, lost);
    else if (s->run.n && !lost)
        end_run(s, p->t1_mono, false);
    if (lost && !s->run.n)
        begin_run(s, seq, p);
    s->run.n += lost;
    s->run.last_lost = lost;
}

void session_run_close(struct session *s, struct period *p)
{
    if (s->run.n && s->run.period == p->id)
        end_run(s, p->end, true);
    loss_runs_fit(&p->sum.runs, p->sum.start_ns, p->sum.end_ns);
}

/* ---- Directions ---- */

static uint64_t without(uint64_t n, uint64_t others)
{
    return n > others ? n - others : 0;
}

/* What is certain of `n` lost probes of the gap. */
static enum tw_direction direction_of(const struct lossdir_gap *g, uint64_t n)
{
    uint64_t total = (uint64_t)g->forward + g->backward, others = without(total, n);

    if (!g->backward)
        return TW_FORWARD;
    if (!g->forward)
        return TW_BACKWARD;
    return without(g->forward, others) && without(g->backward, others) ? TW_MIXED : TW_UNKNOWN;
}

static void take_gap(const struct session *s, struct tw_loss_runs *l, const struct lossdir_gap *g)
{
    for (size_t i = l->n; i--;) {
        struct tw_loss_run *r = &l->v[i];
        uint32_t at = r->seq_first - s->cfg.seq_start;
        if ((int32_t)(at - g->first) < 0)
            return;
        if ((int32_t)(at - g->end) < 0)
            r->direction = direction_of(g, r->probes);
    }
}

void session_run_directions(struct session *s)
{
    struct lossdir_gap g;

    while (lossdir_next_gap(s->lossdir, &g) == TW_OK)
        for (unsigned i = s->n_closed; i < s->n_periods; i++)
            take_gap(s, &s->periods[(s->first + i) % PERIODS]->sum.runs, &g);
}
