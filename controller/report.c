#include "controller/report_flows.h"
#include "controller/report_group.h"
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "controller/pair_lists.h"

/* ---- Selection: loop thread ---- */

static int cmp_names(const struct store_pair *a, const struct store_pair *b)
{
    int d = strcmp(a->mesh, b->mesh);

    if (!d)
        d = strcmp(a->class_name, b->class_name);
    if (!d)
        d = strcmp(a->source, b->source);
    return d ? d : strcmp(a->target, b->target);
}

static int cmp_pairs(const void *a, const void *b)
{
    const struct pair *const *pa = a, *const *pb = b;

    return cmp_names(&(*pa)->row, &(*pb)->row);
}

enum tw_rc report_select(const struct inventory *inv, const struct report_filter *f, const struct pair ***ret,
                         size_t *ret_n)
{
    const struct pair **v = malloc((inv->pairs.n + 1) * sizeof(*v));
    struct report_match m;
    enum tw_rc rc = v ? report_match_begin(&m, inv, f) : TW_ENOMEM;
    size_t n = 0;

    if (rc != TW_OK) {
        free(v);
        return rc;
    }
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (report_matches(&m, &p->row))
            v[n++] = p;
    }
    report_match_end(&m);
    qsort(v, n, sizeof(*v), cmp_pairs);
    *ret = v;
    *ret_n = n;
    return TW_OK;
}

const struct pair *report_one(const struct pair *const *v, size_t n, size_t *ret_n)
{
    const struct pair *one = NULL;
    size_t scheduled = 0;

    for (size_t i = 0; i < n; i++)
        if (v[i]->scheduled) {
            one = v[i];
            scheduled++;
        }
    *ret_n = scheduled ? scheduled : n;
    return *ret_n != 1 ? NULL : one ? one : v[0];
}

/* ---- Reports ---- */

struct id_row {
    uint64_t id;
    size_t at; /* in report.pairs */
};

struct report_job {
    struct reader_job job; /* first */
    struct report_filter f;
    int64_t now_ns;
    struct report *rep;
    enum report_by by;
    const char *label;           /* in f.group_by */
    int64_t *due_ns;             /* by pair: a period that ends later is not due, or not in the span */
    int64_t *settled_ns;         /* by pair: a period that ends later may still be on the way */
    bool *backlog;               /* by pair: its source has more that is on the way */
    uint32_t *whole;             /* by pair: rows of its latest period that are whole report periods */
    size_t n_expect;
    struct expectations *expect; /* by pair: before its first row, with `latest` after the last one */
    struct id_row *rows;         /* sorted by id */
    struct report_pair *reading; /* rows come pair by pair: the one that is being merged */
    enum tw_rc rc;
    struct tw_err err;
    void (*done)(void *ctx, struct report *rep, const struct tw_err *err);
    void *ctx;
};

void report_pair_free(struct report_pair *p)
{
    class_times_unref(p->times);
    free(p->maintenance_note);
    summary_free(&p->merged);
    report_flows_free(p);
}

static void free_pairs(struct report *r, size_t from)
{
    for (size_t i = from; i < r->n_pairs; i++)
        report_pair_free(&r->pairs[i]);
}

void report_free(struct report *r)
{
    if (!r)
        return;
    free_pairs(r, 0);
    free(r->pairs);
    report_groups_free(r);
    report_free(r->before);
    free(r);
}

static void report_job_free(struct report_job *j)
{
    for (size_t i = 0; j->expect && i < j->n_expect; i++)
        expectations_free(&j->expect[i]);
    free(j->expect);
    free(j->backlog);
    free(j->whole);
    report_free(j->rep);
    free(j->due_ns);
    free(j->settled_ns);
    free(j->rows);
    free(j);
}

static int cmp_ids(const void *a, const void *b)
{
    uint64_t ia = ((const struct id_row *)a)->id, ib = ((const struct id_row *)b)->id;

    return ia < ib ? -1 : ia > ib;
}

static struct report_pair *find_pair(struct report_job *j, uint64_t id, size_t *ret_at)
{
    struct id_row key = { .id = id };
    const struct id_row *row = bsearch(&key, j->rows, j->rep->n_pairs, sizeof key, cmp_ids);

    if (!row)
        return NULL;
    *ret_at = row->at;
    return &j->rep->pairs[row->at];
}

/* No more rows of it will come. */
static void seal(const struct report_job *j, struct report_pair *p)
{
    bool views_only = j->f.views_only || j->by != REPORT_BY_PAIR;

    stats_view(&p->merged, &p->view);
    report_groups_add(j->rep, p);
    if (views_only)
        report_hists_free(&p->merged);
    report_flows_seal(p, views_only);
}

static struct report_pair *pair_of_row(struct report_job *j, const struct tw_summary *s, size_t *ret_at)
{
    struct report_pair *p = find_pair(j, s->pair_id, ret_at);

    if (j->reading && j->reading != p)
        seal(j, j->reading);
    j->reading = p;
    return p;
}

#define DAY_NS (86400 * TW_NS_PER_S)

/* Intervals of the pair: those of its latest period, or around the span by as much as cells can stick out of it. */
static enum tw_rc read_expected(struct report_job *j, struct store_reader *db, size_t at)
{
    const struct report_pair *p = &j->rep->pairs[at];
    int64_t from_ns = j->f.latest ? p->merged.start_ns : j->f.from_ns - DAY_NS;
    int64_t to_ns = j->f.latest ? p->merged.end_ns : j->f.to_ns + DAY_NS;

    return expectations_read(db, &p->pair, p->times, from_ns, to_ns, &j->expect[at], &j->err);
}

static enum tw_rc add_cell_to(const struct report_job *j, struct report_pair *p, const struct store_cell *c,
                              int64_t due_ns)
{
    const struct expectations *e = &j->expect[p - j->rep->pairs];
    uint64_t stored = c->until_ns > due_ns ? 0 : expectations_has_rule(e, c->from_ns) ? c->rows : c->whole;

    summary_merge(&p->merged, c->merged);
    p->periods_stored += stored;
    return j->f.flows ? report_flows_add(p, c->merged, stored) : TW_OK;
}

/* Before the pair's cells. Where they stick out of the span, or there are none, so is what is expected. */
static void note_cover(void *ctx, uint64_t pair_id, int64_t from_ns, int64_t to_ns)
{
    struct report_job *j = ctx;
    size_t at;
    struct report_pair *p = find_pair(j, pair_id, &at);

    if (!p)
        return;
    p->covers_from_ns = from_ns;
    p->covers_to_ns = to_ns;
    j->due_ns[at] = j->settled_ns[at] < to_ns ? j->settled_ns[at] : to_ns;
}

static enum tw_rc add_to_span(void *ctx, const struct store_cell *c)
{
    struct report_job *j = ctx;
    size_t at;
    struct report_pair *p;

    if (j->f.test_id && c->merged->test_id != j->f.test_id)
        return TW_OK;
    p = pair_of_row(j, c->merged, &at);
    return p ? add_cell_to(j, p, c, j->due_ns[at]) : TW_OK;
}

/* Is [start, end) a whole report period? */
static bool is_whole(const struct tw_summary *s)
{
    return s->start_ns % (s->end_ns - s->start_ns) == 0;
}

/* All rows count until it is known what was expected then: count_whole(). */
static enum tw_rc add_to_latest(void *ctx, const struct tw_summary *s)
{
    struct report_job *j = ctx;
    size_t at;
    struct report_pair *p = pair_of_row(j, s, &at);

    if (!p || s->end_ns < p->merged.end_ns)
        return TW_OK;
    if (s->end_ns > p->merged.end_ns) {
        summary_free(&p->merged);
        summary_init(&p->merged);
        p->periods_stored = j->whole[at] = 0;
        report_flows_clear(p);
    }
    summary_merge(&p->merged, s);
    p->periods_stored++;
    j->whole[at] += is_whole(s);
    return j->f.flows ? report_flows_add(p, s, 1) : TW_OK;
}

/* Of the latest period: where no rule said when to run, only whole report periods are expected, and count. */
static void count_whole(struct report_job *j, size_t at)
{
    struct report_pair *p = &j->rep->pairs[at];

    if (expectations_has_rule(&j->expect[at], p->merged.start_ns))
        return;
    p->periods_stored = j->whole[at];
    for (size_t i = 0; i < p->n_flows; i++)
        if (p->flows[i].periods_stored) /* one row */
            p->flows[i].periods_stored = is_whole(&p->flows[i].merged);
}

static enum tw_rc read_latest_expected(struct report_job *j, struct store_reader *db)
{
    enum tw_rc rc = TW_OK;

    for (; !rc && j->n_expect < j->rep->n_pairs; j->n_expect++) {
        rc = read_expected(j, db, j->n_expect);
        if (!rc && j->rep->pairs[j->n_expect].periods_stored)
            count_whole(j, j->n_expect);
    }
    return rc;
}

/* From where on it must be known of each summary whether it was due; what a test measured is in no cell. */
static int64_t raw_from(const struct report_job *j)
{
    int64_t first = j->f.test_id ? INT64_MIN : INT64_MAX;

    for (size_t i = 0; i < j->rep->n_pairs; i++)
        if (j->due_ns[i] < first)
            first = j->due_ns[i];
    return first;
}

static enum tw_rc read_rows(struct report_job *j, struct store_reader *db)
{
    size_t n = j->rep->n_pairs;
    uint64_t *ids = malloc((n + 1) * sizeof *ids);
    enum tw_rc rc;

    if (!ids)
        return tw_err_set(&j->err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        ids[i] = j->rows[i].id;
    if (j->f.latest)
        rc = store_read_latest(db, ids, n, 0, add_to_latest, j, &j->err);
    else
        rc = store_read_span(db,
                             &(struct store_span){ .pair_ids = ids,
                                                   .n_pairs = n,
                                                   .from_ns = j->f.from_ns,
                                                   .to_ns = j->f.to_ns,
                                                   .raw_from_ns = raw_from(j),
                                                   .covers = note_cover,
                                                   .fn = add_to_span,
                                                   .ctx = j },
                             &j->err);
    if (rc == TW_ENOMEM)
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
    if (j->reading)
        seal(j, j->reading);
    free(ids);
    return rc;
}

static enum tw_rc finish_pair(struct report_job *j, struct store_reader *db, size_t at)
{
    struct report_pair *p = &j->rep->pairs[at];
    int64_t from_ns, to_ns;
    enum tw_rc rc = TW_OK;

    if (j->f.latest) {
        p->covers_from_ns = p->merged.start_ns;
        p->covers_to_ns = j->due_ns[at] = p->merged.end_ns;
    }
    from_ns = p->covers_from_ns;
    to_ns = j->due_ns[at];

    if (from_ns < to_ns) {
        p->periods_expected = expectations_count(&j->expect[at], EXPECT_ALL_FLOWS, from_ns, to_ns);
        report_flows_expect(p, &j->expect[at], from_ns, to_ns);
    }
    p->completeness_ratio = report_completeness(p->periods_stored, p->periods_expected);
    if (p->periods_expected > p->periods_stored)
        rc = missing_explain(db, &j->expect[at], from_ns, to_ns, p->periods_expected - p->periods_stored, j->backlog[at],
                             &p->missing, &j->err);
    if (!p->merged.end_ns) /* without a row */
        seal(j, p);
    if (rc == TW_OK && !j->f.latest && !j->f.test_id) /* runs do not say whose test they are of */
        rc = report_runs_join(p, db, p->covers_from_ns, p->covers_to_ns, &j->err);
    return rc;
}

/* Sources stand together only within a mesh and class, so an answer is remembered for the next pair, not for
 * all. */
static enum tw_rc read_dropped(struct report_job *j, struct store_reader *db)
{
    struct report *r = j->rep;

    for (size_t i = 0; i < r->n_pairs; i++) {
        struct report_pair *p = &r->pairs[i];
        enum tw_rc rc = TW_OK;
        if (i && !strcmp(p->pair.source, p[-1].pair.source))
            p->summaries_dropped = p[-1].summaries_dropped;
        else
            rc = store_read_dropped(db, p->pair.source, r->from_ns, r->to_ns, &p->summaries_dropped, &j->err);
        if (rc)
            return rc;
    }
    return TW_OK;
}

static bool has_something(const struct report_pair *p, bool latest)
{
    if (p->scheduled || !strcmp(p->state, "paused") || !strcmp(p->state, "drained"))
        return true;
    return !latest && (p->periods_expected || p->merged.end_ns);
}

static void leave_out_empty(struct report *r, bool latest)
{
    size_t kept = 0;

    for (size_t i = 0; i < r->n_pairs; i++) {
        if (has_something(&r->pairs[i], latest))
            r->pairs[kept++] = r->pairs[i];
        else
            report_pair_free(&r->pairs[i]);
    }
    r->n_pairs = kept;
}

/* What the latest periods of all pairs span. */
static void set_span(struct report *r)
{
    int64_t from_ns = INT64_MAX, to_ns = 0;

    for (size_t i = 0; i < r->n_pairs; i++) {
        const struct tw_summary *m = &r->pairs[i].merged;
        if (m->end_ns && m->start_ns < from_ns)
            from_ns = m->start_ns;
        if (m->end_ns > to_ns)
            to_ns = m->end_ns;
    }
    if (!to_ns)
        return;
    r->from_ns = from_ns;
    r->to_ns = to_ns;
}

static enum tw_rc fill_report(struct report_job *j, struct store_reader *db)
{
    enum tw_rc rc = TW_OK;

    for (; !j->f.latest && !rc && j->n_expect < j->rep->n_pairs; j->n_expect++)
        rc = read_expected(j, db, j->n_expect);
    if (!rc)
        rc = read_rows(j, db);
    if (!rc && j->f.latest)
        rc = read_latest_expected(j, db);
    for (size_t i = 0; !rc && i < j->rep->n_pairs; i++)
        rc = finish_pair(j, db, i);
    if (rc)
        return rc;
    leave_out_empty(j->rep, j->f.latest);
    if (j->f.latest)
        set_span(j->rep);
    rc = read_dropped(j, db);
    report_groups_finish(j->rep);
    report_sort(j->rep, j->f.sort_by, j->f.top);
    return rc;
}

static void report_work(struct reader_job *job, struct store_reader *db)
{
    struct report_job *j = (struct report_job *)job;

    j->rc = fill_report(j, db);
}

static void report_done(struct reader_job *job)
{
    struct report_job *j = (struct report_job *)job;
    struct report *rep = j->rep;

    if (j->rc) {
        j->done(j->ctx, NULL, &j->err);
    } else {
        j->rep = NULL;
        j->done(j->ctx, rep, NULL);
    }
    report_job_free(j);
}

static enum tw_rc make_room(struct report_job *j, size_t n)
{
    j->rep = calloc(1, sizeof *j->rep);
    if (!j->rep)
        return TW_ENOMEM;
    j->rep->pairs = calloc(n + 1, sizeof j->rep->pairs[0]);
    j->due_ns = calloc(n + 1, sizeof j->due_ns[0]);
    j->settled_ns = calloc(n + 1, sizeof j->settled_ns[0]);
    j->rows = calloc(n + 1, sizeof j->rows[0]);
    j->backlog = calloc(n + 1, sizeof j->backlog[0]);
    j->whole = calloc(n + 1, sizeof j->whole[0]);
    j->expect = calloc(n + 1, sizeof j->expect[0]);
    return j->rep->pairs && j->due_ns && j->settled_ns && j->rows && j->backlog && j->whole && j->expect
               ? TW_OK
               : TW_ENOMEM;
}

static enum tw_rc take_pair(struct report_job *j, const struct inventory *inv, size_t number, size_t at,
                            const struct pair *p)
{
    struct report_pair *rp = &j->rep->pairs[at];
    int64_t due_ns = j->now_ns - 2 * p->report_period_ns;

    rp->pair = p->row;
    rp->number = (uint32_t)number;
    rp->scheduled = p->scheduled;
    rp->state = pair_state(p, j->now_ns);
    rp->maintenance = pair_in_maintenance(p, j->now_ns);
    rp->maintenance_note = maintenance_note_pair(p, j->now_ns);
    rp->times = class_times_ref(p->times);
    summary_init(&rp->merged);
    rp->covers_from_ns = j->f.from_ns;
    rp->covers_to_ns = j->f.to_ns;
    j->settled_ns[at] = due_ns;
    j->due_ns[at] = due_ns < j->f.to_ns ? due_ns : j->f.to_ns;
    j->backlog[at] = pair_has_backlog(p);
    j->rows[at] = (struct id_row){ p->row.id, at };
    j->rep->n_pairs++;
    if (report_groups_take(j->rep, inv, j->by, j->label, rp))
        return TW_ENOMEM;
    return j->f.flows ? report_flows_init(rp, p->scheduled ? p->flows : 0) : TW_OK;
}

/* v: from number `first` on of those that match. */
static enum tw_rc take_some(struct report_job *j, const struct inventory *inv, const struct pair *const *v, size_t first,
                            size_t n)
{
    enum tw_rc rc = make_room(j, n);

    for (size_t i = 0; !rc && i < n; i++)
        rc = take_pair(j, inv, first + i, i, v[i]);
    if (rc)
        return rc;
    qsort(j->rows, n, sizeof j->rows[0], cmp_ids);
    j->rep->from_ns = j->f.from_ns;
    j->rep->to_ns = j->f.to_ns;
    return TW_OK;
}

/* The pairs of a page, and how many there are in all. */
struct page {
    const struct pair **v; /* malloc'ed */
    size_t first, n, all;
};

static void cut(struct page *p, size_t skip, size_t limit, size_t all)
{
    p->all = all;
    p->first = skip < all ? skip : all;
    p->n = all - p->first < limit ? all - p->first : limit;
}

static enum tw_rc page_of_list(struct report_job *j, struct inventory *inv, struct pair_lists *lists,
                               struct page *p)
{
    const struct pair_list *list;
    enum tw_rc rc = pair_lists_get_from(lists, inv, &j->f, j->f.skip, tw_mono_now(), &list);

    if (rc)
        return rc;
    cut(p, j->f.skip, j->f.limit, list->n);
    p->v = malloc((p->n + 1) * sizeof(*p->v));
    if (!p->v)
        return TW_ENOMEM;
    for (size_t i = 0; i < p->n; i++)
        p->v[i] = inventory_pair(inv, list->ids[p->first + i]); /* pairs are never taken out */
    return TW_OK;
}

static enum tw_rc page_of_all(struct report_job *j, const struct inventory *inv, size_t skip, size_t limit,
                              struct page *p)
{
    size_t n;
    enum tw_rc rc = report_select(inv, &j->f, &p->v, &n);

    if (rc)
        return rc;
    cut(p, skip, limit, n);
    memmove(p->v, p->v + p->first, p->n * sizeof(*p->v));
    return TW_OK;
}

static enum tw_rc take_pairs(struct report_job *j, struct inventory *inv, struct pair_lists *lists)
{
    bool all = j->by != REPORT_BY_PAIR || *j->f.sort_by; /* the limit is for pairs that are shown */
    size_t limit = all ? REPORT_LIMIT_MAX : j->f.limit ? j->f.limit : REPORT_LIMIT_DEFAULT;
    struct page p = { .v = NULL };
    enum tw_rc rc = lists && j->f.limit && !all ? page_of_list(j, inv, lists, &p)
                                                : page_of_all(j, inv, all ? 0 : j->f.skip, limit, &p);

    if (!rc)
        rc = take_some(j, inv, p.v, p.first, p.n);
    if (!rc)
        j->rep->truncated = p.first + p.n < p.all;
    if (!rc && j->rep->truncated && !all)
        j->rep->next = (uint32_t)(p.first + p.n);
    free(p.v);
    return rc;
}

static struct report_job *new_job(const struct report_filter *f, int64_t now_ns,
                                  void (*done)(void *ctx, struct report *rep, const struct tw_err *err), void *ctx)
{
    struct report_job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->job = (struct reader_job){ .run = report_work, .done = report_done };
    j->f = *f;
    j->now_ns = now_ns;
    j->done = done;
    j->ctx = ctx;
    return j;
}

enum tw_rc report_run(struct inventory *inv, struct pair_lists *lists, struct reader_pool *readers,
                      const struct report_filter *f, int64_t now_ns,
                      void (*done)(void *ctx, struct report *rep, const struct tw_err *err), void *ctx)
{
    struct report_job *j = new_job(f, now_ns, done, ctx);
    enum tw_rc rc;

    if (!j)
        return TW_ENOMEM;
    rc = report_filter_resolve(&j->f, now_ns, NULL);
    if (!rc && j->f.before_to_ns) {
        struct report_filter both = j->f;
        report_job_free(j);
        return report_compare_run(inv, readers, &both, now_ns, done, ctx);
    }
    if (!rc)
        rc = report_by_parse(j->f.group_by, &j->by, &j->label, NULL);
    if (!rc)
        rc = take_pairs(j, inv, lists);
    if (!rc)
        rc = reader_submit(readers, &j->job);
    if (rc)
        report_job_free(j);
    return rc;
}

enum tw_rc report_run_some(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                           const struct pair *const *pairs, size_t n, int64_t now_ns,
                           void (*done)(void *ctx, struct report *rep, const struct tw_err *err), void *ctx)
{
    struct report_job *j = new_job(f, now_ns, done, ctx);
    enum tw_rc rc = j ? take_some(j, inv, pairs, 0, n) : TW_ENOMEM;

    if (!rc)
        rc = reader_submit(readers, &j->job);
    if (rc && j)
        report_job_free(j);
    return rc;
}
