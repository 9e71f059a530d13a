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

void report_flows_expect(struct report_pair *p, const struct expectations *e, int64_t from_ns, int64_t to_ns)
{
    for (size_t i = 0; i < p->n_flows; i++) {
        struct report_flow *f = &p->flows[i];

        f->periods_expected = expectations_count(e, f->flow, from_ns, to_ns);
        f->completeness_ratio = report_completeness(f->periods_stored, f->periods_expected);
    }
}
