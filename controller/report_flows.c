#include "controller/report_flows.h"
#include <stdlib.h>
#include <string.h>

enum tw_rc report_flows_init(struct report_pair *p, uint32_t n)
{
    p->flows = calloc(n ? n : 1, sizeof *p->flows);
    if (!p->flows)
        return TW_ENOMEM;
    for (; p->n_flows < n; p->n_flows++) {
        p->flows[p->n_flows].flow = (uint32_t)p->n_flows;
        summary_init(&p->flows[p->n_flows].merged);
    }
    return TW_OK;
}

void report_flows_free(struct report_pair *p)
{
    for (size_t i = 0; i < p->n_flows; i++)
        summary_free(&p->flows[i].merged);
    free(p->flows);
    p->flows = NULL;
    p->n_flows = 0;
}

/* A flow that is not scheduled any more, in its place by number. */
static enum tw_rc insert(struct report_pair *p, size_t at, uint32_t flow)
{
    struct report_flow *more = realloc(p->flows, (p->n_flows + 1) * sizeof *more);

    if (!more)
        return TW_ENOMEM;
    p->flows = more;
    memmove(more + at + 1, more + at, (p->n_flows - at) * sizeof *more);
    more[at] = (struct report_flow){ .flow = flow };
    summary_init(&more[at].merged);
    p->n_flows++;
    return TW_OK;
}

enum tw_rc report_flows_add(struct report_pair *p, const struct tw_summary *s, uint64_t stored)
{
    size_t low = 0, high = p->n_flows;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (p->flows[mid].flow < s->flow)
            low = mid + 1;
        else
            high = mid;
    }
    if ((low == p->n_flows || p->flows[low].flow != s->flow) && insert(p, low, s->flow))
        return TW_ENOMEM;
    summary_merge(&p->flows[low].merged, s);
    p->flows[low].periods_stored += stored;
    return TW_OK;
}

void report_flows_clear(struct report_pair *p)
{
    for (size_t i = 0; i < p->n_flows; i++) {
        summary_free(&p->flows[i].merged);
        summary_init(&p->flows[i].merged);
        p->flows[i].periods_stored = 0;
    }
}

void report_hists_free(struct tw_summary *s)
{
    for (int d = 0; d < 3; d++)
        hist_free(&s->delay[d]);
    hist_free(&s->send_lateness);
}

void report_flows_seal(struct report_pair *p, bool views_only)
{
    for (size_t i = 0; i < p->n_flows; i++) {
        stats_view(&p->flows[i].merged, &p->flows[i].view);
        if (views_only)
            report_hists_free(&p->flows[i].merged);
    }
}

struct tw_num report_completeness(uint64_t stored, uint64_t expected)
{
    double ratio = expected ? (double)stored / (double)expected : 0;

    return (struct tw_num){ expected != 0, ratio < 1 ? ratio : 1 };
}

/* ---- What should be there ---- */

struct expectation {
    const struct report_pair *pair;
    uint32_t flow;
    uint64_t sum;
};

static void add_flow(struct expectation *e, const struct store_interval *i, uint32_t flow)
{
    const struct store_pair *p = &e->pair->pair;
    const struct pair_key key = { p->mesh, p->class_name, p->source, p->target };
    const struct class_times *t = e->pair->times;
    struct times_pace pace = class_times_pace(t, &key, flow);

    e->sum += times_expected(t->times, &pace, i->period_ns, i->from_ns, i->until_ns);
}

static void add_interval(void *ctx, const struct store_interval *i)
{
    struct expectation *e = ctx;

    for (uint32_t flow = 0; flow < i->flows; flow++)
        if (e->flow == STORE_ALL_FLOWS || e->flow == flow)
            add_flow(e, i, flow);
}

enum tw_rc report_expect(const struct report_pair *p, struct store_reader *db, uint32_t flow, int64_t from_ns,
                         int64_t to_ns, uint64_t *ret, struct tw_err *err)
{
    struct expectation e = { .pair = p, .flow = flow };
    enum tw_rc rc;

    if (!report_has_times(p))
        return store_read_expected(db, p->pair.id, flow, from_ns, to_ns, ret, err);
    rc = store_read_intervals(db, p->pair.id, from_ns, to_ns, add_interval, &e, err);
    if (!rc)
        *ret = e.sum;
    return rc;
}

enum tw_rc report_flows_expect(struct report_pair *p, struct store_reader *db, int64_t from_ns, int64_t to_ns,
                               struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < p->n_flows; i++) {
        struct report_flow *f = &p->flows[i];

        rc = report_expect(p, db, f->flow, from_ns, to_ns, &f->periods_expected, err);
        f->completeness_ratio = report_completeness(f->periods_stored, f->periods_expected);
    }
    return rc;
}
