#include "controller/report_sla.h"

#include <stdlib.h>
#include <string.h>
#include "common/grow.h"
#include "controller/report_flows.h"
#include "controller/sla_history.h"

#define DAY (86400 * TW_NS_PER_S)

struct sla_job {
    struct reader_job job; /* first */
    struct sla_report *rep;
    struct sla_objectives objectives;
    struct sla_history *history;
    struct sla_pair *reading;
    struct expectations expect;  /* of it */
    struct sla_span covers; /* of the part that is being read */
    int64_t taken_ns;       /* until where the ones before it have been */
    enum tw_rc rc;
    struct tw_err err;
    void (*done)(void *ctx, struct sla_report *rep, const struct tw_err *err);
    void *ctx;
};

enum tw_rc sla_span(struct report_filter *f, int64_t now_ns, struct tw_err *err)
{
    if (!f->to_ns)
        f->to_ns = now_ns - now_ns % DAY;
    if (!f->from_ns)
        f->from_ns = f->to_ns > 30 * DAY ? f->to_ns - 30 * DAY : 1;
    if (f->to_ns > now_ns)
        return tw_err_set(err, TW_EINVAL, "the span is not over: objectives are judged of the past");
    return report_filter_resolve(f, now_ns, err);
}

static void free_pair(struct sla_pair *p)
{
    class_times_unref(p->times);
    sla_spans_free(&p->maintenance);
    sla_spans_free(&p->counted);
    summary_free(&p->merged);
    free(p->outages);
}

void sla_report_free(struct sla_report *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_pairs; i++)
        free_pair(&r->pairs[i]);
    free(r->pairs);
    free(r);
}

static void job_free(struct sla_job *j)
{
    sla_report_free(j->rep);
    sla_objectives_free(&j->objectives);
    sla_history_free(j->history);
    free(j);
}

/* ---- Maintenance ---- */

struct adding {
    struct sla_spans *to;
    const struct sla_span *whole;
};

static enum tw_rc add_time(void *ctx, const struct store_time *t)
{
    const struct adding *a = ctx;

    return sla_spans_add(a->to, a->whole, t->from_ns, t->to_ns);
}

/* Of the agents at both ends, by what had been said at each moment: what they are now is not asked. */
static enum tw_rc find_agents_maintenance(struct sla_job *j, struct store_reader *db, struct sla_pair *p,
                                          const struct sla_span *whole)
{
    const char *const ends[] = { p->pair.source, p->pair.target };
    struct adding a = { &p->maintenance, whole };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < TW_NELEM(ends); i++) {
        rc = store_read_maintenance(db, ends[i], whole->from_ns, whole->to_ns, add_time, &a, &j->err);
        if (rc == TW_ENOSPC)
            tw_err_set(&j->err, rc, "agent %s: more than %d spans of maintenance", ends[i], SLA_SPANS_MAX);
    }
    return rc;
}

/* The mesh's: by the documents of their time, or by the present one where there is no history. On a reader. */
static enum tw_rc find_maintenance(struct sla_job *j, struct store_reader *db, struct sla_pair *p)
{
    const struct sla_span whole = { j->rep->from_ns, j->rep->to_ns };
    bool known = false;
    enum tw_rc rc = find_agents_maintenance(j, db, p, &whole);

    if (!rc)
        rc = sla_history_add(j->history, db, p->pair.mesh, p->pair.class_name, &p->maintenance, &known, &j->err);

    for (size_t i = 0; !rc && !known && p->times && i < p->times->n_maintenance; i++)
        rc = sla_add_rule(&p->maintenance, &whole, &p->times->maintenance[i].when);
    return rc ? rc : sla_spans_rest(&p->maintenance, &whole, &p->counted);
}

/* ---- Reading ---- */

static enum tw_rc note_outage(struct sla_pair *p, const struct tw_unavail_run *r)
{
    if (p->n_outages == p->cap_outages) {
        p->n_outages = p->cap_outages = sla_join_outages(p->outages, p->n_outages);
        if (p->n_outages >= SLA_OUTAGES_MAX)
            return TW_OK; /* counted as unlisted */
        if (!TW_GROW(&p->outages, p->n_outages, &p->cap_outages, 16))
            return TW_ENOMEM;
    }
    p->outages[p->n_outages++] = *r;
    return TW_OK;
}

static bool overlaps(const struct sla_spans *s, int64_t from_ns, int64_t until_ns)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].from_ns < until_ns && s->v[i].to_ns > from_ns)
            return true;
    return false;
}

/* A summary that maintenance reaches into does not count; of a roll-up that is all that is left there is no
 * part. */
static enum tw_rc add_cell(void *ctx, const struct store_cell *c)
{
    struct sla_job *j = ctx;
    struct sla_pair *p = j->reading;
    enum tw_rc rc = TW_OK;

    if (c->merged->test_id || c->from_ns < j->taken_ns)
        return TW_OK;
    if (overlaps(&p->maintenance, c->from_ns, c->until_ns)) {
        if (c->level == STORE_RAW)
            return TW_OK;
        p->inexact = true;
    }
    summary_merge(&p->merged, c->merged);
    p->periods_stored += expectations_has_rule(&j->expect, c->from_ns) ? c->rows : c->whole;
    for (size_t i = 0; !rc && i < c->merged->unavailable.n; i++)
        rc = note_outage(p, &c->merged->unavailable.v[i]);
    return rc;
}

static void note_cover(void *ctx, uint64_t pair_id, int64_t from_ns, int64_t to_ns)
{
    struct sla_job *j = ctx;

    (void)pair_id;
    j->covers = (struct sla_span){ from_ns, to_ns };
}

/* What is left of it may stick out, or be less; what the part before has taken already does not count again. */
static void expect_part(struct sla_job *j, const struct sla_span *part)
{
    struct sla_span is = j->covers;

    if (is.from_ns < j->taken_ns)
        is.from_ns = j->taken_ns;
    if (is.from_ns < part->from_ns || is.to_ns > part->to_ns)
        j->reading->inexact = true;
    if (is.from_ns < is.to_ns)
        j->reading->periods_expected += expectations_count(&j->expect, EXPECT_ALL_FLOWS, is.from_ns, is.to_ns);
    j->taken_ns = is.to_ns > part->to_ns ? is.to_ns : part->to_ns;
}

static enum tw_rc read_part(struct sla_job *j, struct store_reader *db, const struct sla_span *part)
{
    enum tw_rc rc;

    j->covers = *part;
    rc = store_read_span(db,
                         &(struct store_span){ .pair_ids = &j->reading->pair.id,
                                               .n_pairs = 1,
                                               .from_ns = part->from_ns,
                                               .to_ns = part->to_ns,
                                               .raw_from_ns = INT64_MAX,
                                               .covers = note_cover,
                                               .fn = add_cell,
                                               .ctx = j },
                         &j->err);
    expect_part(j, part);
    return rc;
}

static void judge(struct sla_job *j, struct sla_pair *p)
{
    struct sla_goals g = sla_goals_of(&j->objectives, p->pair.class_name);
    uint64_t listed = 0;

    stats_view(&p->merged, &p->view);
    p->n_results = sla_judge(&g, &p->merged, &p->view, p->results);
    p->verdict = sla_overall(p->results, p->n_results);
    report_hists_free(&p->merged);
    p->n_outages = sla_join_outages(p->outages, p->n_outages);
    for (size_t i = 0; i < p->n_outages; i++)
        listed += p->outages[i].windows;
    p->windows_unlisted = p->view.windows_unavailable > listed ? p->view.windows_unavailable - listed : 0;
}

static enum tw_rc read_pair(struct sla_job *j, struct store_reader *db, struct sla_pair *p)
{
    enum tw_rc rc = expectations_read(db, &p->pair, p->times, j->rep->from_ns - DAY, j->rep->to_ns + DAY, &j->expect,
                                      &j->err);

    j->reading = p;
    j->taken_ns = INT64_MIN;
    if (!rc)
        rc = find_maintenance(j, db, p);
    for (size_t i = 0; !rc && i < p->counted.n; i++)
        rc = read_part(j, db, &p->counted.v[i]);
    if (rc == TW_ENOMEM)
        tw_err_set(&j->err, rc, "out of memory");
    if (!rc)
        judge(j, p);
    expectations_free(&j->expect);
    return rc;
}

/* A pair of which nothing was expected and nothing is stored has no objectives. */
static void leave_out_empty(struct sla_report *r)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->n_pairs; i++) {
        struct sla_pair *p = &r->pairs[i];
        if (!p->periods_expected && !p->merged.end_ns) {
            free_pair(p);
            continue;
        }
        r->verdicts[p->verdict]++;
        r->pairs[kept++] = *p;
    }
    r->n_pairs = kept;
}

static void work(struct reader_job *job, struct store_reader *db)
{
    struct sla_job *j = (struct sla_job *)job;

    for (size_t i = 0; !j->rc && i < j->rep->n_pairs; i++)
        j->rc = read_pair(j, db, &j->rep->pairs[i]);
}

static void work_done(struct reader_job *job)
{
    struct sla_job *j = (struct sla_job *)job;
    struct sla_report *rep = j->rep;

    if (j->rc) {
        j->done(j->ctx, NULL, &j->err);
    } else {
        leave_out_empty(rep); /* here, since references to times are this thread's */
        j->rep = NULL;
        j->done(j->ctx, rep, NULL);
    }
    job_free(j);
}

/* ---- Selection: loop thread ---- */

static enum tw_rc take_pairs(struct sla_job *j, const struct inventory *inv, const struct report_filter *f,
                             size_t skip)
{
    size_t n, limit = f->limit && f->limit < SLA_PAIRS_MAX ? f->limit : SLA_PAIRS_MAX;
    const struct pair **v;
    enum tw_rc rc = report_select(inv, f, &v, &n);

    if (rc)
        return rc;
    skip = skip < n ? skip : n;
    j->rep->truncated = n - skip > limit;
    j->rep->next = (uint32_t)(skip + limit);
    limit = n - skip < limit ? n - skip : limit;
    j->rep->pairs = calloc(limit + 1, sizeof *j->rep->pairs);
    rc = j->rep->pairs ? TW_OK : TW_ENOMEM;
    for (size_t i = 0; !rc && i < limit; i++) {
        struct sla_pair *p = &j->rep->pairs[j->rep->n_pairs++];
        p->pair = v[skip + i]->row;
        p->number = (uint32_t)(skip + i);
        p->times = class_times_ref(v[skip + i]->times);
        summary_init(&p->merged);
    }
    free(v);
    return rc;
}

enum tw_rc sla_run(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                   uint32_t skip, struct sla_objectives *objectives,
                   void (*done)(void *ctx, struct sla_report *rep, const struct tw_err *err), void *ctx)
{
    struct sla_job *j = calloc(1, sizeof *j);
    enum tw_rc rc = TW_ENOMEM;

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = work, .done = work_done };
    j->done = done;
    j->ctx = ctx;
    j->rep = calloc(1, sizeof *j->rep);
    if (j->rep) {
        j->rep->from_ns = f->from_ns;
        j->rep->to_ns = f->to_ns;
        rc = sla_history_new(&(struct sla_span){ f->from_ns, f->to_ns }, &j->history);
    }
    if (!rc)
        rc = take_pairs(j, inv, f, skip);
    j->objectives = *objectives;
    if (!rc)
        rc = reader_submit(readers, &j->job);
    if (rc) {
        j->objectives = (struct sla_objectives){ 0 }; /* the caller's still */
        job_free(j);
    }
    return rc;
}
