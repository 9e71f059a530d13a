#include "controller/series.h"
#include <stdlib.h>
#include <string.h>

#define SECOND TW_NS_PER_S
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define FLOWS_MAX 256u

/* ---- Steps ---- */

static const int64_t lengths[] = { SECOND,      2 * SECOND,  5 * SECOND,  10 * SECOND, 15 * SECOND,
                                   20 * SECOND, 30 * SECOND, MINUTE,      2 * MINUTE,  5 * MINUTE,
                                   10 * MINUTE, 15 * MINUTE, 20 * MINUTE, 30 * MINUTE, HOUR,
                                   2 * HOUR,    3 * HOUR,    4 * HOUR,    6 * HOUR,    8 * HOUR,
                                   12 * HOUR,   DAY,         2 * DAY,     7 * DAY,     14 * DAY };

static int64_t floor_to(int64_t ns, int64_t step_ns)
{
    return ns - ns % step_ns; /* times are after 1970 */
}

static uint64_t steps_in(int64_t from_ns, int64_t to_ns, int64_t step_ns)
{
    return (uint64_t)((to_ns - 1) / step_ns - from_ns / step_ns + 1);
}

/* The least whole number of periods that does. */
static int64_t least_step_ns(int64_t from_ns, int64_t to_ns, int64_t period_ns, uint32_t points)
{
    int64_t n = (to_ns - from_ns) / period_ns / points;

    for (n = n ? n : 1; steps_in(from_ns, to_ns, n * period_ns) > points;)
        n += n / 100 + 1; /* with few points much may depend on where the steps begin */
    return n * period_ns;
}

#define TOO_LONG 4 /* a round number is worth that much */

int64_t series_step_ns(int64_t from_ns, int64_t to_ns, int64_t period_ns, uint32_t points)
{
    int64_t least_ns = least_step_ns(from_ns, to_ns, period_ns, points);

    for (size_t i = 0; least_ns > period_ns && i < TW_NELEM(lengths); i++)
        if (lengths[i] >= least_ns && lengths[i] <= TOO_LONG * least_ns && lengths[i] % period_ns == 0 &&
            steps_in(from_ns, to_ns, lengths[i]) <= points)
            return lengths[i];
    return least_ns;
}

/* ---- Reading ---- */

struct reading {
    struct series *s;
    size_t bytes;
    bool with_flows;
};

static enum tw_rc add_interval(void *ctx, const struct store_interval *i)
{
    struct series *s = ctx;
    struct series_interval *more = realloc(s->scheduled, (s->n_scheduled + 1) * sizeof *more);

    if (!more)
        return TW_ENOMEM;
    s->scheduled = more;
    s->scheduled[s->n_scheduled++] =
        (struct series_interval){ i->from_ns, i->until_ns, i->x.report_period_ns };
    return TW_OK;
}

static size_t hist_bytes(const struct tw_summary *s)
{
    size_t n = 0;

    for (int d = 0; d < 3; d++)
        n += s->delay[d].cap;
    return n + s->send_lateness.cap;
}

static size_t index_of(const struct series *s, int64_t ns)
{
    int64_t i = ns < s->first_ns
                    ? 0
                    : (ns - s->first_ns) / s->step_ns; /* a coarse cell may begin before what was asked for */

    return (size_t)i < s->n_steps ? (size_t)i : s->n_steps - 1;
}

static int cmp_flows(const void *a, const void *b)
{
    uint32_t x = ((const struct series_flow *)a)->flow, y = ((const struct series_flow *)b)->flow;

    return x < y ? -1 : x > y;
}

static struct series_flow *flow_of(struct series *s, uint32_t flow)
{
    struct series_flow *more;

    for (size_t i = 0; i < s->n_flows; i++)
        if (s->flows[i].flow == flow)
            return &s->flows[i];
    if (s->n_flows == FLOWS_MAX || (s->n_flows + 1) * s->n_steps > SERIES_FLOW_STEPS_MAX + s->n_steps) {
        s->truncated = true;
        return NULL;
    }
    more = realloc(s->flows, (s->n_flows + 1) * sizeof *more);
    if (!more)
        return NULL;
    s->flows = more;
    more = &s->flows[s->n_flows];
    *more = (struct series_flow){ .flow = flow, .steps = calloc(s->n_steps, sizeof *more->steps) };
    if (!more->steps)
        return NULL;
    for (size_t i = 0; i < s->n_steps; i++)
        summary_init(&more->steps[i]);
    s->n_flows++;
    return more;
}

/* Few numbers are shown of a flow: its one-way delays would only take memory. */
static enum tw_rc add_to_flow(struct reading *r, const struct tw_summary *from, size_t at)
{
    struct series_flow *f = flow_of(r->s, from->flow);
    struct tw_summary few = *from;
    size_t before;

    if (!f)
        return r->s->truncated ? TW_OK : TW_ENOMEM;
    hist_init(&few.delay[TW_FORWARD]);
    hist_init(&few.delay[TW_BACKWARD]);
    hist_init(&few.send_lateness);
    before = hist_bytes(&f->steps[at]);
    summary_merge(&f->steps[at], &few);
    r->bytes += hist_bytes(&f->steps[at]) - before;
    return TW_OK;
}

static enum tw_rc add_cell(void *ctx, const struct store_cell *c)
{
    struct reading *r = ctx;
    size_t at = index_of(r->s, c->from_ns), before;
    struct series_step *step = &r->s->steps[at];

    if (r->bytes > SERIES_MAX_BYTES) {
        r->s->truncated = true;
        return TW_OK;
    }
    before = hist_bytes(&step->merged);
    summary_merge(&step->merged, c->merged);
    r->bytes += hist_bytes(&step->merged) - before;
    step->rows += c->rows;
    if (c->level > step->level)
        step->level = c->level;
    return r->with_flows ? add_to_flow(r, c->merged, at) : TW_OK;
}

static uint32_t points_of(const struct report_filter *f, uint32_t flows)
{
    uint32_t points = f->points ? f->points : SERIES_POINTS_DEFAULT;

    if (f->flows && flows > 1 && points > SERIES_FLOW_STEPS_MAX / flows)
        points = SERIES_FLOW_STEPS_MAX / flows;
    return points ? points : 1;
}

static enum tw_rc make_steps(struct series *s, const struct report_filter *f, int64_t period_ns,
                             uint32_t flows)
{
    for (size_t i = s->n_scheduled; period_ns <= 0 && i-- > 0;)
        period_ns = s->scheduled[i].report_period_ns;
    if (period_ns <= 0)
        period_ns = MINUTE; /* never scheduled: whatever is stored */
    s->step_ns = series_step_ns(s->from_ns, s->to_ns, period_ns, points_of(f, flows));
    s->first_ns = floor_to(s->from_ns, s->step_ns);
    s->n_steps = (size_t)steps_in(s->from_ns, s->to_ns, s->step_ns);
    s->steps = calloc(s->n_steps, sizeof *s->steps);
    if (!s->steps)
        return TW_ENOMEM;
    for (size_t i = 0; i < s->n_steps; i++)
        summary_init(&s->steps[i].merged);
    return TW_OK;
}

enum tw_rc series_read(struct store_reader *db, const struct store_pair *pair, const struct report_filter *f,
                       int64_t period_ns, uint32_t flows, struct series *ret, struct tw_err *err)
{
    struct series s = { .pair = *pair, .from_ns = f->from_ns, .to_ns = f->to_ns };
    struct reading r = { .s = &s, .with_flows = f->flows };
    enum tw_rc rc = store_read_intervals(db, pair->id, f->from_ns, f->to_ns, add_interval, &s, err);

    if (rc == TW_OK)
        rc = make_steps(&s, f, period_ns, flows);
    if (rc == TW_OK)
        rc = store_read_span(db,
                             &(struct store_span){ .pair_ids = &pair->id,
                                                   .n_pairs = 1,
                                                   .from_ns = f->from_ns,
                                                   .to_ns = f->to_ns,
                                                   .step_ns = s.step_ns,
                                                   .raw_from_ns = INT64_MAX,
                                                   .fn = add_cell,
                                                   .ctx = &r },
                             err);
    if (rc == TW_ENOMEM)
        tw_err_set(err, TW_ENOMEM, "out of memory");
    if (rc != TW_OK) {
        series_free(&s);
        return rc;
    }
    if (s.n_flows)
        qsort(s.flows, s.n_flows, sizeof *s.flows, cmp_flows);
    *ret = s;
    return TW_OK;
}

void series_free(struct series *s)
{
    for (size_t i = 0; s->steps && i < s->n_steps; i++)
        summary_free(&s->steps[i].merged);
    for (size_t k = 0; k < s->n_flows; k++) {
        for (size_t i = 0; i < s->n_steps; i++)
            summary_free(&s->flows[k].steps[i]);
        free(s->flows[k].steps);
    }
    free(s->steps);
    free(s->flows);
    free(s->scheduled);
    *s = (struct series){ 0 };
}

/* ---- Heat ---- */

/* Of each sign all buckets between the least and the greatest, so that rows are as far apart as their values.
 */
struct key_range {
    int32_t least, most;
    bool any;
};

static void widen(struct key_range *r, int32_t key)
{
    r->least = !r->any || key < r->least ? key : r->least;
    r->most = !r->any || key > r->most ? key : r->most;
    r->any = true;
}

static size_t list_range(const struct key_range *r, struct series_heat *h, size_t n)
{
    for (int32_t key = r->least; r->any && key <= r->most; key++, n++)
        if (n < SERIES_HEAT_ROWS)
            h->rows[n] = key;
    return n;
}

static size_t list_rows(const struct hist *all, struct series_heat *h)
{
    struct key_range below = { 0 }, zero = { 0 }, above = { 0 };

    for (uint32_t i = 0; i < all->n; i++) {
        int32_t key = hist_bucket(all, i).key;

        widen(key < 0 ? &below : key ? &above : &zero, key);
    }
    return list_range(&above, h, list_range(&zero, h, list_range(&below, h, 0)));
}

void series_heat(const struct series *s, enum tw_direction d, struct series_heat *ret)
{
    struct hist all;
    size_t n;

    *ret = (struct series_heat){ 0 };
    hist_init(&all);
    for (size_t i = 0; i < s->n_steps; i++)
        hist_merge(&all, &s->steps[i].merged.delay[d]);
    while ((n = list_rows(&all, ret)) > SERIES_HEAT_ROWS && all.scale > HIST_SCALE_MIN)
        hist_downscale(&all, all.scale - 1);
    ret->scale = all.scale;
    ret->n_rows = n < SERIES_HEAT_ROWS ? n : SERIES_HEAT_ROWS; /* at the lowest scale there are 11 */
    hist_free(&all);
}

int series_heat_row(const struct series_heat *h, int32_t key)
{
    size_t low = 0, high = h->n_rows;

    while (low < high) {
        size_t mid = (low + high) / 2;

        if (h->rows[mid] == key)
            return (int)mid;
        if (h->rows[mid] < key)
            low = mid + 1;
        else
            high = mid;
    }
    return -1;
}
