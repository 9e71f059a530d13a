#include "controller/publish_missing.h"
#include <stdlib.h>
#include <string.h>
#include "controller/missing.h"

_Static_assert((int)METRICS_REFUSED == (int)STORE_REFUSED && (int)METRICS_DROPPED == (int)STORE_DROPPED &&
                   (int)METRICS_AGENT_DOWN == (int)STORE_AGENT_DOWN &&
                   (int)METRICS_AWAITED == (int)STORE_AWAITED && (int)METRICS_UNKNOWN == (int)STORE_UNKNOWN &&
                   (int)METRICS_CAUSES == (int)STORE_CAUSES,
               "metrics number causes as the store does");

/* ---- Loop thread -------------------------------------------------------------------------------- */

static bool is_lacking(const struct publish_periods *t)
{
    return t->expected > t->stored;
}

static struct lacking *new_row(struct lacking_list *l)
{
    if (l->n == l->cap) {
        size_t cap = 2 * l->cap + 16;
        struct lacking *more = realloc(l->v, cap * sizeof *more);
        if (!more)
            return NULL;
        l->v = more;
        l->cap = cap;
    }
    return &l->v[l->n];
}

enum tw_rc publish_missing_note(struct publish *p, struct lacking_list *l, const struct pair *pair,
                                const struct store_pair *row, int64_t now_ns)
{
    struct publish_periods periods;
    struct lacking *x;

    if (!publish_periods(p, pair, now_ns, &periods) || !is_lacking(&periods))
        return TW_OK;
    x = new_row(l);
    if (!x)
        return TW_ENOMEM;
    *x = (struct lacking){ .pair = row,
                           .periods = periods,
                           .period_ns = pair->report_period_ns,
                           .flows = pair->flows,
                           .slot = pair->row.slot,
                           .backlog = pair_has_backlog(pair) };
    for (enum group_by by = 0; by < GROUP_KINDS; by++) {
        x->group[by] = publish_group(p, by, row);
        if (!x->group[by])
            return TW_ENOMEM;
    }
    x->times = class_times_ref(pair->times);
    l->n++;
    return TW_OK;
}

void publish_missing_place(struct lacking_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        for (enum group_by by = 0; by < GROUP_KINDS; by++)
            l->v[i].at[by] = l->v[i].group[by]->at;
}

void publish_missing_free(struct lacking_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        class_times_unref(l->v[i].times);
    free(l->v);
    *l = (struct lacking_list){ 0 };
}

/* ---- Reader thread ------------------------------------------------------------------------------ */

static int by_source(const void *a, const void *b)
{
    return strcmp(((const struct lacking *)a)->pair->source, ((const struct lacking *)b)->pair->source);
}

/* The span begins after the pair was scheduled, so what is in force now has been all the time. */
static void explain(const struct lacking *x, const struct absences *a, struct missing *ret)
{
    bool rule = x->times && x->times->id;
    struct expectation_span span = { .from_ns = x->periods.from_ns,
                                     .until_ns = x->periods.to_ns,
                                     .period_ns = x->period_ns,
                                     .flows = x->flows,
                                     .times = rule ? x->times->times : NULL,
                                     .spacing_ns = rule ? x->times->spacing_ns : 0,
                                     .exponential = rule && x->times->exponential,
                                     .slot = x->slot };
    const struct expectations e = { .pair = *x->pair, .v = &span, .n = 1 };

    missing_by(a, &e, span.from_ns, span.until_ns, x->periods.expected - x->periods.stored, x->backlog, ret);
}

static void add(const struct lacking *x, const struct missing *m,
                struct metrics_group *const groups[GROUP_KINDS])
{
    for (enum group_by by = 0; by < GROUP_KINDS; by++)
        for (int c = 0; c < STORE_CAUSES; c++)
            groups[by][x->at[by]].missing[c] += m->of[c];
}

/* Those of one source, from l->v[i] on: returns where the next one begins. */
static enum tw_rc of_source(const struct lacking_list *l, size_t i, struct store_reader *db,
                            struct metrics_group *const groups[GROUP_KINDS], size_t *ret_next,
                            struct tw_err *err)
{
    struct absences a = { 0 };
    size_t end = i;
    int64_t from_ns = INT64_MAX, to_ns = 0;
    enum tw_rc rc;

    for (; end < l->n && !strcmp(l->v[end].pair->source, l->v[i].pair->source); end++) {
        const struct lacking *x = &l->v[end];
        int64_t around_ns = missing_around_ns(x->period_ns);

        from_ns = x->periods.from_ns - around_ns < from_ns ? x->periods.from_ns - around_ns : from_ns;
        to_ns = x->periods.to_ns + around_ns > to_ns ? x->periods.to_ns + around_ns : to_ns;
    }
    *ret_next = end;
    rc = absences_read(db, l->v[i].pair->source, from_ns, to_ns, &a, err);
    for (; !rc && i < end; i++) {
        struct missing m;

        explain(&l->v[i], &a, &m);
        add(&l->v[i], &m, groups);
    }
    absences_free(&a);
    return rc;
}

enum tw_rc publish_missing_explain(struct lacking_list *l, struct store_reader *db,
                                   struct metrics_group *const groups[GROUP_KINDS],
                                   const size_t n[GROUP_KINDS], struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    if (l->n)
        qsort(l->v, l->n, sizeof *l->v, by_source);
    for (size_t i = 0; !rc && i < l->n;)
        rc = of_source(l, i, db, groups, &i, err);
    for (enum group_by by = 0; !rc && by < GROUP_KINDS; by++)
        for (size_t i = 0; i < n[by]; i++)
            groups[by][i].has_missing = true;
    return rc;
}
