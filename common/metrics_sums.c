#include "common/metrics_sums.h"

#include <string.h>

/* Runs that began in this period. */
static uint64_t runs_begun(const struct tw_summary *s)
{
    uint64_t n = s->loss_runs;

    for (size_t i = 0; i < s->runs.n; i++)
        n -= s->runs.v[i].continues_before; /* they are no more than loss_runs */
    return n;
}

void metrics_count(struct metrics_counters *c, const struct tw_summary *s)
{
    c->loss_runs += runs_begun(s);
    c->periods_answered += s->received > 0;
    c->periods_unanswered += !s->received;
    c->sent += s->sent;
    c->received += s->received;
    c->late += s->late;
    c->duplicates += s->duplicates_forward + s->duplicates_backward + s->duplicates_unknown;
    c->lost[TW_FORWARD] += s->lost_forward;
    c->lost[TW_BACKWARD] += s->lost_backward;
    c->lost[TW_UNKNOWN] += s->lost_unknown;
    c->reordered[TW_FORWARD] += s->reordered_forward;
    c->reordered[TW_BACKWARD] += s->reordered_backward;
    c->reordered[TW_ROUNDTRIP] += s->reordered_roundtrip;
}

void metrics_show(struct metrics_pair *m, const struct metrics_counters *c)
{
    m->sent = c->sent;
    m->received = c->received;
    m->late = c->late;
    m->duplicates = c->duplicates;
    m->loss_runs = c->loss_runs;
    m->periods_answered = c->periods_answered;
    m->periods_unanswered = c->periods_unanswered;
    memcpy(m->lost, c->lost, sizeof m->lost);
    memcpy(m->reordered, c->reordered, sizeof m->reordered);
}

bool metrics_counts(const struct stats_view *view, int direction)
{
    return direction == TW_ROUNDTRIP || view->one_way_valid;
}

void metrics_add_native(struct hist *h, const struct hist *delays, uint32_t most)
{
    if (!most)
        return;
    hist_merge(h, delays);
    while (h->n > most && h->scale > HIST_SCALE_MIN)
        hist_downscale(h, h->scale - 1);
}

void metrics_group_add(struct metrics_group *g, struct hist native[3], uint32_t most, const struct tw_summary *s,
                       const struct stats_view *view)
{
    g->sent += s->sent;
    g->received += s->received;
    g->late += s->late;
    g->duplicates += view->duplicates;
    g->lost[TW_FORWARD] += s->lost_forward;
    g->lost[TW_BACKWARD] += s->lost_backward;
    g->lost[TW_UNKNOWN] += s->lost_unknown;
    for (int d = 0; d < 3; d++)
        if (metrics_counts(view, d)) {
            metrics_hist_add(&g->delay[d], &s->delay[d]);
            metrics_add_native(&native[d], &s->delay[d], most);
        }
}

void metrics_take_last(struct tw_summary *last, uint32_t *flows, struct stats_view *view, const struct tw_summary *s,
                       const struct stats_view *of_s)
{
    if (s->end_ns != last->end_ns) {
        summary_reset(last);
        *flows = 0;
    }
    summary_merge(last, s);
    if ((*flows)++)
        stats_view(last, view);
    else
        *view = *of_s;
}
