#include "controller/missing.h"

/* A report period that begins before an agent ends is lost with it, as is the one before, whose last probes
 * it still waited for. */
#define PERIODS_BEFORE 2
#define PERIODS_AFTER 1

struct explaining {
    const struct expectations *e;
    int64_t from_ns, to_ns, period_ns; /* the longest of e */
    uint64_t could_be[STORE_CAUSES];
};

static int64_t longest_period(const struct expectations *e)
{
    int64_t ns = 0;

    for (size_t i = 0; i < e->n; i++)
        ns = e->v[i].period_ns > ns ? e->v[i].period_ns : ns;
    return ns;
}

static enum tw_rc add(void *ctx, const struct store_absence *a)
{
    struct explaining *x = ctx;
    int64_t period_ns = x->period_ns;
    int64_t from_ns = a->from_ns - PERIODS_BEFORE * period_ns;
    int64_t to_ns = a->until_ns < INT64_MAX - period_ns ? a->until_ns + PERIODS_AFTER * period_ns : INT64_MAX;

    if (a->pair_id && a->pair_id != x->e->pair.id)
        return TW_OK;
    from_ns = from_ns > x->from_ns ? from_ns : x->from_ns;
    to_ns = to_ns < x->to_ns ? to_ns : x->to_ns;
    if (from_ns < to_ns)
        x->could_be[a->cause] += expectations_count(x->e, EXPECT_ALL_FLOWS, from_ns, to_ns);
    return TW_OK;
}

enum tw_rc missing_explain(struct store_reader *db, const struct expectations *e, int64_t from_ns,
                           int64_t to_ns, uint64_t n, bool backlog, struct missing *ret, struct tw_err *err)
{
    struct explaining x = { .e = e, .from_ns = from_ns, .to_ns = to_ns, .period_ns = longest_period(e) };
    int64_t around_ns = PERIODS_BEFORE * x.period_ns;
    enum tw_rc rc;

    *ret = (struct missing){ 0 };
    if (!n)
        return TW_OK;
    rc = store_read_absences(db, e->pair.source, from_ns - around_ns, to_ns + around_ns, add, &x, err);
    if (rc)
        return rc;
    for (int c = 0; c < STORE_UNKNOWN; c++) {
        ret->of[c] = x.could_be[c] < n ? x.could_be[c] : n;
        n -= ret->of[c];
    }
    ret->of[backlog ? STORE_AWAITED : STORE_UNKNOWN] += n;
    return TW_OK;
}

uint64_t missing_sum(const struct missing *m)
{
    uint64_t sum = 0;

    for (int c = 0; c < STORE_CAUSES; c++)
        sum += m->of[c];
    return sum;
}
