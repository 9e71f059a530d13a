#include "controller/completeness.h"

#include <stdlib.h>
#include <string.h>

#define HOUR_NS (3600 * TW_NS_PER_S)
#define DEFAULT_SPAN_NS (24 * HOUR_NS)
#define HOURS_MAX (10 * 366 * 24) /* of one query */

struct wanted {
    struct store_pair pair;
    struct class_times *times; /* a reference of the loop thread's */
    int64_t due_ns;            /* what ends later is not due */
    bool backlog;
};
struct completeness_job {
    struct reader_job job; /* first */
    struct report_filter f;
    struct wanted *pairs; /* sorted by names */
    size_t n_pairs, limit, cap;
    struct completeness *out;
    /* The pair that is being read. */
    const struct wanted *at;
    struct expectations expect;
    uint64_t *stored; /* by hour of the span */
    size_t n_hours;
    enum tw_rc rc;
    struct tw_err err;
    void (*done)(void *ctx, struct completeness *c, const struct tw_err *err);
    void *ctx;
};

void completeness_free(struct completeness *c)
{
    if (!c)
        return;
    free(c->v);
    free(c);
}

static void free_job(struct completeness_job *j)
{
    for (size_t i = 0; j->pairs && i < j->n_pairs; i++)
        class_times_unref(j->pairs[i].times);
    free(j->pairs);
    free(j->stored);
    completeness_free(j->out);
    free(j);
}

/* ---- Reading: reader thread --------------------------------------------------------------------- */

static enum tw_rc add_cell(void *ctx, const struct store_cell *c)
{
    struct completeness_job *j = ctx;
    int64_t hour = (c->from_ns - j->out->from_ns) / HOUR_NS;

    if (c->until_ns > j->at->due_ns || c->from_ns < j->out->from_ns || (size_t)hour >= j->n_hours)
        return TW_OK;
    j->stored[hour] += expectations_has_rule(&j->expect, c->from_ns) ? c->rows : c->whole;
    return TW_OK;
}

static struct completeness_hour *new_row(struct completeness_job *j)
{
    struct completeness *c = j->out;

    if (c->n == j->cap) {
        size_t cap = 2 * j->cap + 64;
        struct completeness_hour *more = realloc(c->v, cap * sizeof *more);
        if (!more)
            return NULL;
        c->v = more;
        j->cap = cap;
    }
    return &c->v[c->n];
}

static enum tw_rc add_hour(struct completeness_job *j, struct store_reader *db, size_t i)
{
    int64_t from_ns = j->out->from_ns + (int64_t)i * HOUR_NS, to_ns = from_ns + HOUR_NS;
    uint64_t expected, stored = j->stored[i];
    struct completeness_hour *row;
    enum tw_rc rc = TW_OK;

    to_ns = to_ns < j->at->due_ns ? to_ns : j->at->due_ns;
    expected = from_ns < to_ns ? expectations_count(&j->expect, EXPECT_ALL_FLOWS, from_ns, to_ns) : 0;
    if (!(expected || stored) || (j->f.incomplete && stored >= expected))
        return TW_OK;
    if (j->out->n == j->limit) {
        j->out->truncated = true;
        return TW_EAGAIN;
    }
    row = new_row(j);
    if (!row)
        return TW_ENOMEM;
    *row = (struct completeness_hour){
        .pair = j->at->pair, .start_ns = from_ns, .expected = expected, .stored = stored
    };
    if (expected > stored)
        rc = missing_explain(db, &j->expect, from_ns, to_ns, expected - stored, j->at->backlog, &row->missing,
                             &j->err);
    j->out->n += rc == TW_OK;
    return rc;
}

static enum tw_rc read_pair(struct completeness_job *j, struct store_reader *db)
{
    const struct completeness *c = j->out;
    const struct store_span span = { .pair_ids = &j->at->pair.id,
                                     .n_pairs = 1,
                                     .from_ns = c->from_ns,
                                     .to_ns = c->to_ns,
                                     .step_ns = HOUR_NS,
                                     .raw_from_ns = j->at->due_ns - HOUR_NS,
                                     .fn = add_cell,
                                     .ctx = j };
    enum tw_rc rc =
        expectations_read(db, &j->at->pair, j->at->times, c->from_ns, c->to_ns, &j->expect, &j->err);

    memset(j->stored, 0, j->n_hours * sizeof j->stored[0]);
    if (!rc)
        rc = store_read_span(db, &span, &j->err);
    for (size_t i = 0; !rc && i < j->n_hours; i++)
        rc = add_hour(j, db, i);
    expectations_free(&j->expect);
    return rc;
}

static void completeness_work(struct reader_job *job, struct store_reader *db)
{
    struct completeness_job *j = (struct completeness_job *)job;

    for (size_t i = 0; !j->rc && i < j->n_pairs; i++) {
        j->at = &j->pairs[i];
        j->rc = read_pair(j, db);
    }
    if (j->out->truncated)
        j->rc = TW_OK;
    else if (j->rc == TW_ENOMEM)
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
}

/* ---- The job: loop thread ----------------------------------------------------------------------- */

static void completeness_done(struct reader_job *job)
{
    struct completeness_job *j = (struct completeness_job *)job;
    struct completeness *out = j->out;

    if (j->rc) {
        j->done(j->ctx, NULL, &j->err);
    } else {
        j->out = NULL;
        j->done(j->ctx, out, NULL);
    }
    free_job(j);
}

static enum tw_rc take_pairs(struct completeness_job *j, const struct inventory *inv, int64_t now_ns)
{
    const struct pair **v;
    size_t n;
    enum tw_rc rc = report_select(inv, &j->f, &v, &n);

    if (rc)
        return rc;
    j->pairs = calloc(n + 1, sizeof *j->pairs);
    for (; j->pairs && j->n_pairs < n; j->n_pairs++) {
        const struct pair *p = v[j->n_pairs];
        int64_t due_ns = now_ns - 2 * p->report_period_ns;

        j->pairs[j->n_pairs] =
            (struct wanted){ p->row, class_times_ref(p->times),
                             due_ns < j->out->to_ns ? due_ns : j->out->to_ns, pair_has_backlog(p) };
    }
    free(v);
    return j->pairs ? TW_OK : TW_ENOMEM;
}

static enum tw_rc prepare(struct completeness_job *j, const struct inventory *inv, int64_t now_ns)
{
    struct completeness *c = calloc(1, sizeof *c);
    int64_t to_ns = j->f.to_ns ? j->f.to_ns : now_ns;
    enum tw_rc rc;

    j->out = c;
    if (!c)
        return TW_ENOMEM;
    if (!j->f.from_ns)
        j->f.from_ns = to_ns > DEFAULT_SPAN_NS ? to_ns - DEFAULT_SPAN_NS : 1;
    rc = report_filter_resolve(&j->f, now_ns, NULL);
    if (rc)
        return rc;
    c->from_ns = j->f.from_ns / HOUR_NS * HOUR_NS;
    c->to_ns = (j->f.to_ns + HOUR_NS - 1) / HOUR_NS * HOUR_NS;
    if ((c->to_ns - c->from_ns) / HOUR_NS > HOURS_MAX)
        c->to_ns = c->from_ns + HOURS_MAX * HOUR_NS;
    j->n_hours = (size_t)((c->to_ns - c->from_ns) / HOUR_NS);
    j->stored = calloc(j->n_hours + 1, sizeof *j->stored);
    return j->stored ? take_pairs(j, inv, now_ns) : TW_ENOMEM;
}

enum tw_rc completeness_run(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                            int64_t now_ns,
                            void (*done)(void *ctx, struct completeness *c, const struct tw_err *err),
                            void *ctx)
{
    struct completeness_job *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = completeness_work, .done = completeness_done };
    j->f = *f;
    j->limit = !f->limit                           ? COMPLETENESS_LIMIT_DEFAULT
               : f->limit < COMPLETENESS_LIMIT_MAX ? f->limit
                                                   : COMPLETENESS_LIMIT_MAX;
    j->done = done;
    j->ctx = ctx;
    rc = prepare(j, inv, now_ns);
    if (!rc)
        rc = reader_submit(readers, &j->job);
    if (rc)
        free_job(j);
    return rc;
}
