/* Loss runs that go on over the ends of report periods: the numbers of a report say how long they really
 * were. */
#include "common/loss_runs.h"
#include "controller/report_flows.h"

#define FLOWS_MAX 256

struct joiner {
    struct report_pair *pair;
    int64_t to_ns;
    struct tw_loss_run open[FLOWS_MAX]; /* one per flow: that which the next part may continue */
    size_t n_open;
};

/* `fewer` of them were parts of this one. */
static void put_runs(struct tw_summary *s, struct stats_view *v, const struct tw_loss_run *whole, uint64_t fewer)
{
    s->loss_runs -= fewer < s->loss_runs ? fewer : s->loss_runs;
    if (whole->probes > s->loss_run_longest)
        s->loss_run_longest = whole->probes;
    if (whole->length_ns > s->loss_run_longest_ns)
        s->loss_run_longest_ns = whole->length_ns;
    v->loss_runs = s->loss_runs;
    v->loss_run_longest = s->loss_run_longest;
    v->loss_run_longest_s = (double)s->loss_run_longest_ns / (double)TW_NS_PER_S;
}

static void note_joined(struct report_pair *p, const struct tw_loss_run *whole, uint64_t fewer)
{
    put_runs(&p->merged, &p->view, whole, fewer);
    for (size_t i = 0; i < p->n_flows; i++)
        if (p->flows[i].flow == whole->flow)
            put_runs(&p->flows[i].merged, &p->flows[i].view, whole, fewer);
}

/* A chain of an hour that goes out of the span: its parts are about evenly long. */
static void cut_chain(struct tw_loss_run *r, uint64_t *parts, int64_t to_ns)
{
    double share;

    if (*parts == 1 || r->length_ns <= to_ns - r->start_ns)
        return;
    share = (double)(to_ns - r->start_ns) / (double)r->length_ns;
    *parts = 1 + (uint64_t)(share * (double)(*parts - 1));
    r->probes = 1 + (uint64_t)(share * (double)(r->probes - 1));
    r->length_ns = to_ns - r->start_ns;
    r->continues_after = false;
}

static enum tw_rc add_part(void *ctx, const struct tw_loss_run *run, uint64_t parts)
{
    struct joiner *j = ctx;
    struct tw_loss_run r = *run;
    size_t i = 0;

    cut_chain(&r, &parts, j->to_ns);
    while (i < j->n_open && j->open[i].flow != r.flow)
        i++;
    if (i == FLOWS_MAX) /* the schedule has none that are so many */
        return TW_OK;
    if (i < j->n_open && loss_run_continues(&j->open[i], &r)) {
        loss_run_join(&j->open[i], &r);
        note_joined(j->pair, &j->open[i], parts);
        return TW_OK;
    }
    j->open[i] = r;
    j->n_open += i == j->n_open;
    if (parts > 1)
        note_joined(j->pair, &r, parts - 1);
    return TW_OK;
}

enum tw_rc report_runs_join(struct report_pair *p, struct store_reader *db, int64_t from_ns, int64_t to_ns,
                            struct tw_err *err)
{
    struct joiner j = { .pair = p, .to_ns = to_ns };

    if (p->merged.loss_runs < 2)
        return TW_OK;
    return store_read_loss_chains(db, p->pair.id, from_ns, to_ns, add_part, &j, err);
}
