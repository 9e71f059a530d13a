#include "controller/core/sla.h"
#include "common/grow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *unit;
} kinds[SLA_KINDS] = {
    [SLA_AVAILABILITY] = { "availability", "windows" },
    [SLA_LOSS] = { "loss", "probes" },
    [SLA_P95] = { "p95", "probes" },
    [SLA_P99] = { "p99", "probes" },
};

const char *sla_kind_name(enum sla_kind k)
{
    return kinds[k].name;
}

const char *sla_budget_unit(enum sla_kind k)
{
    return kinds[k].unit;
}

const char *sla_verdict_name(enum sla_verdict v)
{
    static const char *const names[] = { "met", "missed", "unknown" };

    return names[v];
}

/* ---- Objectives ---- */

void sla_objectives_free(struct sla_objectives *o)
{
    free(o->classes);
    *o = (struct sla_objectives){ 0 };
}

struct sla_goals sla_goals_of(const struct sla_objectives *o, const char *class_name)
{
    struct sla_goals g = o->common;

    for (size_t i = 0; i < o->n_classes; i++) {
        const struct sla_goals *own = &o->classes[i].goals;
        if (strcmp(o->classes[i].name, class_name) != 0)
            continue;
        for (int k = 0; k < SLA_KINDS; k++)
            if (own->set[k]) {
                g.set[k] = true;
                g.limit[k] = own->limit[k];
            }
    }
    return g;
}

/* ---- Verdicts ---- */

static void spend(struct sla_result *r, double of, double share, double used)
{
    r->budget = of * share;
    r->used = used;
    r->left = r->budget - used;
}

static void judge_availability(struct sla_result *r, const struct stats_view *v)
{
    r->achieved = v->availability_ratio;
    spend(r, (double)(v->windows_available + v->windows_unavailable), 1 - r->limit,
          (double)v->windows_unavailable);
    if (r->achieved.known)
        r->verdict = r->achieved.value >= r->limit ? SLA_MET : SLA_MISSED;
}

static void judge_loss(struct sla_result *r, const struct stats_view *v)
{
    r->achieved = v->loss_ratio;
    spend(r, (double)v->sent, r->limit, (double)v->lost);
    if (r->achieved.known)
        r->verdict = r->achieved.value <= r->limit ? SLA_MET : SLA_MISSED;
}

static void judge_delay(struct sla_result *r, const struct tw_summary *s, struct tw_num achieved,
                        double share)
{
    const struct hist *h = &s->delay[TW_ROUNDTRIP];
    uint64_t fast = hist_count_le(h, llround(r->limit * (double)TW_NS_PER_S));

    r->achieved = achieved;
    spend(r, (double)h->count, share, (double)(h->count - fast));
    if (achieved.known)
        r->verdict = achieved.value <= r->limit ? SLA_MET : SLA_MISSED;
}

size_t sla_judge(const struct sla_goals *g, const struct tw_summary *s, const struct stats_view *v,
                 struct sla_result ret[SLA_KINDS])
{
    size_t n = 0;

    for (int k = 0; k < SLA_KINDS; k++) {
        struct sla_result r = { .kind = (enum sla_kind)k, .verdict = SLA_UNKNOWN, .limit = g->limit[k] };
        if (!g->set[k])
            continue;
        if (k == SLA_AVAILABILITY)
            judge_availability(&r, v);
        else if (k == SLA_LOSS)
            judge_loss(&r, v);
        else if (k == SLA_P95)
            judge_delay(&r, s, v->delay[TW_ROUNDTRIP].p95_s, 0.05);
        else
            judge_delay(&r, s, v->delay[TW_ROUNDTRIP].p99_s, 0.01);
        ret[n++] = r;
    }
    return n;
}

enum sla_verdict sla_overall(const struct sla_result *r, size_t n)
{
    enum sla_verdict v = n ? SLA_MET : SLA_UNKNOWN;

    for (size_t i = 0; i < n; i++) {
        if (r[i].verdict == SLA_MISSED)
            return SLA_MISSED;
        if (r[i].verdict == SLA_UNKNOWN)
            v = SLA_UNKNOWN;
    }
    return v;
}

/* ---- Spans ---- */

void sla_spans_free(struct sla_spans *s)
{
    free(s->v);
    *s = (struct sla_spans){ 0 };
}

static enum tw_rc insert(struct sla_spans *s, size_t at, struct sla_span span)
{
    if (s->n == SLA_SPANS_MAX)
        return TW_ENOSPC;
    if (!TW_GROW(&s->v, s->n, &s->cap, 4))
        return TW_ENOMEM;
    memmove(&s->v[at + 1], &s->v[at], (s->n - at) * sizeof *s->v);
    s->v[at] = span;
    s->n++;
    return TW_OK;
}

enum tw_rc sla_spans_add(struct sla_spans *s, const struct sla_span *in, int64_t from_ns, int64_t to_ns)
{
    struct sla_span a = { from_ns > in->from_ns ? from_ns : in->from_ns,
                          to_ns < in->to_ns ? to_ns : in->to_ns };
    size_t at = 0, end;

    if (a.from_ns >= a.to_ns)
        return TW_OK;
    while (at < s->n && s->v[at].to_ns < a.from_ns)
        at++;
    for (end = at; end < s->n && s->v[end].from_ns <= a.to_ns; end++) {
        if (s->v[end].from_ns < a.from_ns)
            a.from_ns = s->v[end].from_ns;
        if (s->v[end].to_ns > a.to_ns)
            a.to_ns = s->v[end].to_ns;
    }
    if (end == at)
        return insert(s, at, a);
    s->v[at] = a;
    memmove(&s->v[at + 1], &s->v[end], (s->n - end) * sizeof *s->v);
    s->n -= end - at - 1;
    return TW_OK;
}

enum tw_rc sla_spans_rest(const struct sla_spans *s, const struct sla_span *whole, struct sla_spans *ret)
{
    int64_t at = whole->from_ns;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < s->n && !rc; i++) {
        rc = sla_spans_add(ret, whole, at, s->v[i].from_ns);
        if (s->v[i].to_ns > at)
            at = s->v[i].to_ns;
    }
    return rc ? rc : sla_spans_add(ret, whole, at, whole->to_ns);
}

int64_t sla_spans_length(const struct sla_spans *s)
{
    int64_t sum = 0;

    for (size_t i = 0; i < s->n; i++)
        sum += s->v[i].to_ns - s->v[i].from_ns;
    return sum;
}

/* ---- Outages ---- */

static int by_flow_and_start(const void *pa, const void *pb)
{
    const struct tw_unavail_run *a = pa, *b = pb;

    if (a->flow != b->flow)
        return a->flow < b->flow ? -1 : 1;
    return (a->start_ns > b->start_ns) - (a->start_ns < b->start_ns);
}

static int by_start_and_flow(const void *pa, const void *pb)
{
    const struct tw_unavail_run *a = pa, *b = pb;

    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return (a->flow > b->flow) - (a->flow < b->flow);
}

size_t sla_join_outages(struct tw_unavail_run *v, size_t n)
{
    size_t kept = 0;

    if (!n)
        return 0;
    qsort(v, n, sizeof *v, by_flow_and_start);
    for (size_t i = 1; i < n; i++) {
        if (v[i].flow == v[kept].flow && v[i].start_ns == v[kept].end_ns) {
            v[kept].end_ns = v[i].end_ns;
            v[kept].windows += v[i].windows;
        } else {
            v[++kept] = v[i];
        }
    }
    qsort(v, kept + 1, sizeof *v, by_start_and_flow);
    return kept + 1;
}
