#include "controller/expectation.h"

#include <stdlib.h>
#include <string.h>

uint64_t expectation_rule_key(const struct class_times *t, unsigned slot)
{
    uint64_t h;

    if (!t || !t->id)
        return 0;
    h = (t->id ^ (uint64_t)t->spacing_ns * 2) + t->exponential;
    h += class_times_every(t) ? slot * UINT64_C(0x9e3779b97f4a7c15) : 0;
    return h ? h : 1;
}

/* ---- Reading ------------------------------------------------------------------------------------ */

struct reading {
    struct expectations *e;
    const struct class_times *now;
    size_t cap;
};

static enum tw_rc rule_of(const struct reading *r, const struct store_expectation *x,
                          struct expectation_span *s)
{
    s->period_ns = x->report_period_ns;
    s->flows = x->flows;
    if (x->rule_unknown && r->now && r->now->id) {
        s->times = r->now->times;
        s->spacing_ns = r->now->spacing_ns;
        s->exponential = r->now->exponential;
        return TW_OK;
    }
    if (!x->rule_id || x->rule_unknown)
        return TW_OK;
    s->spacing_ns = x->spacing_ns;
    s->exponential = x->exponential;
    s->slot = x->slot;
    return times_unpack(x->rule, x->rule_len, &s->own);
}

static enum tw_rc take(void *ctx, const struct store_interval *i)
{
    struct reading *r = ctx;
    struct expectations *e = r->e;
    struct expectation_span s = { .from_ns = i->from_ns, .until_ns = i->until_ns };
    enum tw_rc rc;

    if (e->n == r->cap) {
        size_t cap = 2 * r->cap + 4;
        struct expectation_span *more = realloc(e->v, cap * sizeof *more);
        if (!more)
            return TW_ENOMEM;
        e->v = more;
        r->cap = cap;
    }
    rc = rule_of(r, &i->x, &s);
    if (rc)
        return rc;
    if (s.own)
        s.times = s.own;
    e->v[e->n++] = s;
    return TW_OK;
}

enum tw_rc expectations_read(struct store_reader *db, const struct store_pair *p,
                             const struct class_times *now, int64_t from_ns, int64_t to_ns,
                             struct expectations *ret, struct tw_err *err)
{
    struct reading r = { .e = ret, .now = now };
    enum tw_rc rc;

    *ret = (struct expectations){ .pair = *p };
    if (from_ns >= to_ns)
        return TW_OK;
    rc = store_read_intervals(db, p->id, from_ns, to_ns, take, &r, err);
    if (rc == TW_ENOMEM)
        return tw_err_set(err, rc, "out of memory");
    if (rc == TW_EINVAL || rc == TW_ETRUNC || rc == TW_EVERSION)
        return tw_err_set(err, rc, "the stored times of pair %llu cannot be read: %s",
                          (unsigned long long)p->id, tw_rc_name(rc));
    return rc;
}

void expectations_free(struct expectations *e)
{
    for (size_t i = 0; i < e->n; i++)
        times_unref(e->v[i].own);
    free(e->v);
    *e = (struct expectations){ 0 };
}

/* ---- Counting ----------------------------------------------------------------------------------- */

static uint64_t of_flow(const struct expectations *e, const struct expectation_span *s, uint32_t flow,
                        int64_t from_ns, int64_t to_ns)
{
    const struct store_pair *p = &e->pair;
    const struct pair_key key = { p->mesh, p->class_name, p->source, p->target, p->id, s->slot };
    struct times_pace pace = { 0 };

    if (s->times)
        pace = pair_pace(s->times, s->spacing_ns, s->exponential, &key, flow, s->flows);
    return times_expected(s->times, &pace, s->period_ns, from_ns, to_ns);
}

static uint64_t of_span(const struct expectations *e, const struct expectation_span *s, uint32_t flow,
                        int64_t from_ns, int64_t to_ns)
{
    uint64_t sum = 0;

    if (flow != EXPECT_ALL_FLOWS)
        return flow < s->flows ? of_flow(e, s, flow, from_ns, to_ns) : 0;
    if (!s->times)
        return s->flows * of_flow(e, s, 0, from_ns, to_ns);
    for (flow = 0; flow < s->flows; flow++)
        sum += of_flow(e, s, flow, from_ns, to_ns);
    return sum;
}

uint64_t expectations_count(const struct expectations *e, uint32_t flow, int64_t from_ns, int64_t to_ns)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < e->n; i++) {
        const struct expectation_span *s = &e->v[i];
        int64_t from = s->from_ns > from_ns ? s->from_ns : from_ns,
                to = s->until_ns < to_ns ? s->until_ns : to_ns;

        if (from < to)
            sum += of_span(e, s, flow, from, to);
    }
    return sum;
}

bool expectations_has_rule(const struct expectations *e, int64_t at_ns)
{
    for (size_t i = e->n; i-- > 0;)
        if (at_ns >= e->v[i].from_ns)
            return at_ns < e->v[i].until_ns && e->v[i].times;
    return false;
}
