#include "controller/outages.h"
#include <stdlib.h>
#include <string.h>
#include "common/grow.h"
#include "common/loss_runs.h"

/* How far around the span the other parts of its outages are looked for: at first, and at most. */
#define LOOK_NS (3600 * TW_NS_PER_S)
#define LOOK_MAX_NS (7 * 24 * LOOK_NS)
/* Beyond so many flows of a pair parts are not joined any more: the schedule has none that are so many. */
#define FLOWS_MAX 256

struct wanted {
    struct store_pair pair;
    bool scheduled;
};

/* A run as far as it is joined: the last of its flow, or one that was found. */
struct found {
    struct tw_loss_run run;
    int64_t last_start_ns; /* of its last part */
    size_t pair;           /* index in job.pairs */
};

struct outages_job {
    struct reader_job job; /* first */
    struct report_filter f;
    struct wanted *pairs; /* sorted by names */
    size_t n_pairs, at;
    struct found open[FLOWS_MAX]; /* of pair `at`, one per flow */
    size_t n_open;
    bool keep;          /* what ends is an answer, if it matches */
    struct found *heap; /* the newest so far, the oldest of them first */
    size_t n, cap, limit;
    bool truncated;
    struct outages *out;
    enum tw_rc rc;
    struct tw_err err;
    void (*done)(void *ctx, struct outages *o, const struct tw_err *err);
    void *ctx;
};

void outages_free(struct outages *o)
{
    if (!o)
        return;
    free(o->v);
    free(o);
}

static void free_job(struct outages_job *j)
{
    outages_free(j->out);
    free(j->heap);
    free(j->pairs);
    free(j);
}

/* ---- The newest ones ---- */

/* Negative: a is to be shown before b. */
static int cmp_found(const struct found *a, const struct found *b)
{
    if (a->run.start_ns != b->run.start_ns)
        return a->run.start_ns > b->run.start_ns ? -1 : 1;
    if (a->pair != b->pair)
        return a->pair < b->pair ? -1 : 1;
    return (a->run.flow > b->run.flow) - (a->run.flow < b->run.flow);
}

static int by_newest(const void *a, const void *b)
{
    return cmp_found(a, b);
}

static void swap(struct found *a, struct found *b)
{
    struct found t = *a;

    *a = *b;
    *b = t;
}

static void sift_up(struct found *v, size_t i)
{
    for (; i && cmp_found(&v[i], &v[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        swap(&v[i], &v[(i - 1) / 2]);
}

static void sift_down(struct found *v, size_t n)
{
    for (size_t i = 0, child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && cmp_found(&v[child + 1], &v[child]) > 0)
            child++;
        if (cmp_found(&v[child], &v[i]) <= 0)
            return;
        swap(&v[child], &v[i]);
    }
}

static enum tw_rc keep(struct outages_job *j, const struct found *f)
{
    if (j->n == j->limit) {
        j->truncated = true;
        if (cmp_found(f, &j->heap[0]) > 0)
            return TW_OK;
        j->heap[0] = *f;
        sift_down(j->heap, j->n);
        return TW_OK;
    }
    if (!TW_GROW(&j->heap, j->n, &j->cap, 64))
        return TW_ENOMEM;
    j->heap[j->n] = *f;
    sift_up(j->heap, j->n++);
    return TW_OK;
}

/* ---- From parts to outages ---- */

static bool overlaps(const struct report_filter *f, const struct tw_loss_run *r)
{
    return r->start_ns < f->to_ns && r->start_ns + r->length_ns >= f->from_ns;
}

static bool matches(const struct report_filter *f, const struct tw_loss_run *r)
{
    return overlaps(f, r) && r->probes >= f->min_probes && r->length_ns >= f->min_duration_ns &&
           (!f->by_direction || r->direction == f->direction);
}

static enum tw_rc end(struct outages_job *j, const struct found *f)
{
    return j->keep && matches(&j->f, &f->run) ? keep(j, f) : TW_OK;
}

static enum tw_rc add_part(void *ctx, const struct tw_loss_run *r)
{
    struct outages_job *j = ctx;
    struct found one = { .run = *r, .last_start_ns = r->start_ns, .pair = j->at };
    size_t i = 0;
    enum tw_rc rc;

    while (i < j->n_open && j->open[i].run.flow != r->flow)
        i++;
    if (i == FLOWS_MAX)
        return end(j, &one);
    if (i < j->n_open && loss_run_continues(&j->open[i].run, r)) {
        loss_run_join(&j->open[i].run, r);
        j->open[i].last_start_ns = r->start_ns;
        return TW_OK;
    }
    rc = i < j->n_open ? end(j, &j->open[i]) : TW_OK;
    j->open[i] = one;
    j->n_open += i == j->n_open;
    return rc;
}

/* Is one open that began before the span, and goes on into it, in a part that is not read yet? */
static bool began_earlier(const struct outages_job *j)
{
    for (size_t i = 0; i < j->n_open; i++) {
        const struct tw_loss_run *r = &j->open[i].run;
        if (r->continues_before && (r->continues_after || overlaps(&j->f, r)))
            return true;
    }
    return false;
}

static bool goes_on(const struct outages_job *j, int64_t read_to_ns)
{
    for (size_t i = 0; i < j->n_open; i++) {
        const struct tw_loss_run *r = &j->open[i].run;
        if (r->continues_after && overlaps(&j->f, r) && read_to_ns - r->start_ns - r->length_ns < LOOK_NS)
            return true;
    }
    return false;
}

/* From where parts must be read, so that none of an outage that goes on into the span is missed. */
static enum tw_rc find_begin(struct outages_job *j, struct store_reader *db, int64_t *ret_ns)
{
    const uint64_t id = j->pairs[j->at].pair.id;
    int64_t look = LOOK_NS;
    enum tw_rc rc;

    j->keep = false;
    for (;; look *= 2) {
        *ret_ns = j->f.from_ns > look ? j->f.from_ns - look : 0;
        j->n_open = 0;
        rc = store_read_loss_runs(db, id, *ret_ns, j->f.from_ns, add_part, j, &j->err);
        if (rc || !began_earlier(j) || look >= LOOK_MAX_NS || !*ret_ns)
            return rc;
    }
}

static enum tw_rc read_pair(struct outages_job *j, struct store_reader *db)
{
    const uint64_t id = j->pairs[j->at].pair.id;
    int64_t from_ns, to_ns = j->f.to_ns;
    enum tw_rc rc = find_begin(j, db, &from_ns);

    j->keep = true;
    j->n_open = 0;
    if (!rc)
        rc = store_read_loss_runs(db, id, from_ns, to_ns, add_part, j, &j->err);
    while (!rc && goes_on(j, to_ns) && to_ns - j->f.to_ns < LOOK_MAX_NS && to_ns < INT64_MAX - LOOK_NS) {
        rc = store_read_loss_runs(db, id, to_ns, to_ns + LOOK_NS, add_part, j, &j->err);
        to_ns += LOOK_NS;
    }
    for (size_t i = 0; i < j->n_open && !rc; i++)
        rc = end(j, &j->open[i]);
    return rc;
}

/* ---- Which have not ended ---- */

struct latest {
    uint32_t flow;
    int64_t start_ns;
};

static enum tw_rc note_latest(void *ctx, const struct tw_summary *s)
{
    struct latest *l = ctx;

    if (s->flow == l->flow)
        l->start_ns = s->start_ns;
    return TW_OK;
}

/* No summary came after that of its last part. */
static enum tw_rc is_last(struct outages_job *j, struct store_reader *db, const struct found *f, bool *ret)
{
    struct latest l = { .flow = f->run.flow, .start_ns = INT64_MAX };
    enum tw_rc rc =
        store_read_latest(db, &j->pairs[f->pair].pair.id, 1, STORE_PARTS - 1, note_latest, &l, &j->err);

    *ret = l.start_ns <= f->last_start_ns;
    return rc;
}

static enum tw_rc finish(struct outages_job *j, struct store_reader *db)
{
    enum tw_rc rc = TW_OK;

    j->out->v = calloc(j->n + 1, sizeof *j->out->v);
    if (!j->out->v)
        return TW_ENOMEM;
    if (j->n)
        qsort(j->heap, j->n, sizeof *j->heap, by_newest);
    for (size_t i = 0; i < j->n && !rc; i++) {
        const struct found *f = &j->heap[i];
        const struct wanted *w = &j->pairs[f->pair];
        struct outage *o = &j->out->v[j->out->n++];
        *o = (struct outage){
            .pair = w->pair, .scheduled = w->scheduled, .run = f->run, .start_known = !f->run.continues_before
        };
        if (f->run.continues_after && w->scheduled)
            rc = is_last(j, db, f, &o->ongoing);
    }
    j->out->truncated = j->truncated;
    return rc;
}

/* ---- The job ---- */

static void outages_work(struct reader_job *job, struct store_reader *db)
{
    struct outages_job *j = (struct outages_job *)job;

    for (j->at = 0; !j->rc && j->at < j->n_pairs; j->at++)
        j->rc = read_pair(j, db);
    if (!j->rc)
        j->rc = finish(j, db);
    if (j->rc == TW_ENOMEM)
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
}

static void outages_done(struct reader_job *job)
{
    struct outages_job *j = (struct outages_job *)job;
    struct outages *out = j->out;

    if (j->rc) {
        j->done(j->ctx, NULL, &j->err);
    } else {
        j->out = NULL;
        j->done(j->ctx, out, NULL);
    }
    free_job(j);
}

static enum tw_rc take_pairs(struct outages_job *j, const struct inventory *inv)
{
    const struct pair **v;
    enum tw_rc rc = report_select(inv, &j->f, &v, &j->n_pairs);

    if (rc)
        return rc;
    j->pairs = calloc(j->n_pairs + 1, sizeof *j->pairs);
    j->out = calloc(1, sizeof *j->out);
    for (size_t i = 0; j->pairs && i < j->n_pairs; i++)
        j->pairs[i] = (struct wanted){ v[i]->row, v[i]->scheduled };
    free(v);
    return j->pairs && j->out ? TW_OK : TW_ENOMEM;
}

enum tw_rc outages_run(struct inventory *inv, struct reader_pool *readers, const struct report_filter *f,
                       int64_t now_ns, void (*done)(void *ctx, struct outages *o, const struct tw_err *err),
                       void *ctx)
{
    struct outages_job *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = outages_work, .done = outages_done };
    j->f = *f;
    j->limit = !f->limit                      ? OUTAGES_LIMIT_DEFAULT
               : f->limit < OUTAGES_LIMIT_MAX ? f->limit
                                              : OUTAGES_LIMIT_MAX;
    j->done = done;
    j->ctx = ctx;
    rc = report_filter_resolve(&j->f, now_ns, NULL);
    if (!rc)
        rc = take_pairs(j, inv);
    if (!rc) {
        j->out->from_ns = j->f.from_ns;
        j->out->to_ns = j->f.to_ns;
        rc = reader_submit(readers, &j->job);
    }
    if (rc)
        free_job(j);
    return rc;
}
