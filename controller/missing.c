#include "controller/missing.h"

#include <stdlib.h>

/* Report periods before and after an absence of which summaries may be missing because of it: one that begins
 * before an agent ends is lost with it, as is the one before, whose last probes it still waited for, and one
 * that has begun when it starts. What a spool has dropped had ended when it was put there. */
#define PERIODS_BEFORE 2
static const int periods_after[STORE_CAUSES] = {
    [STORE_REFUSED] = 1, [STORE_DROPPED] = 0, [STORE_AGENT_DOWN] = 1, [STORE_AWAITED] = 1, [STORE_UNKNOWN] = 1
};

static int64_t longest_period(const struct expectations *e)
{
    int64_t ns = 0;

    for (size_t i = 0; i < e->n; i++)
        ns = e->v[i].period_ns > ns ? e->v[i].period_ns : ns;
    return ns;
}

int64_t missing_around_ns(int64_t period_ns)
{
    return PERIODS_BEFORE * period_ns;
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static enum tw_rc take(void *ctx, const struct store_absence *a)
{
    struct absences *x = ctx;

    if (x->n == x->cap) {
        size_t cap = 2 * x->cap + 8;
        struct absence *more = realloc(x->v, cap * sizeof *more);
        if (!more)
            return TW_ENOMEM;
        x->v = more;
        x->cap = cap;
    }
    x->v[x->n++] = (struct absence){ a->pair_id, a->cause, a->from_ns, a->until_ns };
    return TW_OK;
}

static int by_begin(const void *a, const void *b)
{
    int64_t fa = ((const struct absence *)a)->from_ns, fb = ((const struct absence *)b)->from_ns;

    return (fa > fb) - (fa < fb);
}

enum tw_rc absences_read(struct store_reader *db, const char *source, int64_t from_ns, int64_t to_ns,
                         struct absences *ret, struct tw_err *err)
{
    enum tw_rc rc;

    *ret = (struct absences){ 0 };
    rc = store_read_absences(db, source, from_ns, to_ns, take, ret, err);
    if (ret->n)
        qsort(ret->v, ret->n, sizeof *ret->v, by_begin);
    return rc == TW_ENOMEM ? tw_err_set(err, rc, "out of memory") : rc;
}

void absences_free(struct absences *a)
{
    free(a->v);
    *a = (struct absences){ 0 };
}

/* ---- Counting ----------------------------------------------------------------------------------- */

/* When summaries of a pair may be missing for one cause: absences that touch each other are one. */
struct stretch {
    int64_t from_ns, to_ns; /* equal: none yet */
};
struct counting {
    const struct expectations *e;
    int64_t from_ns, to_ns, period_ns; /* the longest of e */
    struct stretch open[STORE_CAUSES];
    uint64_t most[STORE_CAUSES];
};

static void close_stretch(struct counting *k, enum store_cause cause)
{
    struct stretch *s = &k->open[cause];

    if (s->from_ns < s->to_ns)
        k->most[cause] += expectations_count(k->e, EXPECT_ALL_FLOWS, s->from_ns, s->to_ns);
    *s = (struct stretch){ 0 };
}

/* Absences come in order of their begin. */
static void count(struct counting *k, const struct absence *a)
{
    int64_t after_ns = periods_after[a->cause] * k->period_ns;
    struct stretch s = { a->from_ns - PERIODS_BEFORE * k->period_ns,
                         a->until_ns < INT64_MAX - after_ns ? a->until_ns + after_ns : INT64_MAX },
                   *open = &k->open[a->cause];

    if (a->pair_id && a->pair_id != k->e->pair.id)
        return;
    s.from_ns = s.from_ns > k->from_ns ? s.from_ns : k->from_ns;
    s.to_ns = s.to_ns < k->to_ns ? s.to_ns : k->to_ns;
    if (s.from_ns >= s.to_ns)
        return;
    if (open->from_ns < open->to_ns && s.from_ns <= open->to_ns) {
        open->to_ns = s.to_ns > open->to_ns ? s.to_ns : open->to_ns;
        return;
    }
    close_stretch(k, a->cause);
    *open = s;
}

void missing_by(const struct absences *a, const struct expectations *e, int64_t from_ns, int64_t to_ns,
                uint64_t n, bool backlog, struct missing *ret)
{
    struct counting k = { .e = e, .from_ns = from_ns, .to_ns = to_ns, .period_ns = longest_period(e) };

    for (size_t i = 0; i < a->n; i++)
        count(&k, &a->v[i]);
    *ret = (struct missing){ 0 };
    for (int c = 0; c < STORE_UNKNOWN; c++) {
        close_stretch(&k, (enum store_cause)c);
        ret->of[c] = k.most[c] < n ? k.most[c] : n;
        n -= ret->of[c];
    }
    ret->of[backlog ? STORE_AWAITED : STORE_UNKNOWN] += n;
}

enum tw_rc missing_explain(struct store_reader *db, const struct expectations *e, int64_t from_ns,
                           int64_t to_ns, uint64_t n, bool backlog, struct missing *ret, struct tw_err *err)
{
    int64_t around_ns = missing_around_ns(longest_period(e));
    struct absences a = { 0 };
    enum tw_rc rc = TW_OK;

    *ret = (struct missing){ 0 };
    if (!n)
        return TW_OK;
    rc = absences_read(db, e->pair.source, from_ns - around_ns, to_ns + around_ns, &a, err);
    if (rc == TW_OK)
        missing_by(&a, e, from_ns, to_ns, n, backlog, ret);
    absences_free(&a);
    return rc;
}

uint64_t missing_sum(const struct missing *m)
{
    uint64_t sum = 0;

    for (int c = 0; c < STORE_CAUSES; c++)
        sum += m->of[c];
    return sum;
}
