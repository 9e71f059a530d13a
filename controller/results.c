#include "controller/results.h"
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include "common/grow.h"
#include "common/net/now.h"
#include "controller/http/report_text.h"

struct results_job {
    struct reader_job job; /* first */
    struct report_filter f;
    struct store_pair *pairs; /* sorted by names */
    size_t n_pairs, at, cap, bytes;
    uint64_t more; /* the pair behind them; 0: none */
    struct text {
        FILE *to;
        int64_t start_ns;
        long whole; /* of it: whole starts */
        uint64_t rows, whole_rows;
        const struct store_pair *pair, *whole_pair; /* of the last line */
    } text;
    struct results *res;
    enum tw_rc rc;
    struct tw_err err;
    void (*done)(void *ctx, struct results *res, const struct tw_err *err);
    void *ctx;
};

void results_free(struct results *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_rows; i++)
        summary_free(&r->rows[i].summary);
    free(r->rows);
    free(r->text);
    free(r);
}

static void results_job_free(struct results_job *j)
{
    results_free(j->res);
    free(j->pairs);
    free(j);
}

static size_t row_bytes(const struct tw_summary *s)
{
    size_t n = s->send_lateness.n;

    for (int d = 0; d < 3; d++)
        n += s->delay[d].n;
    return sizeof(struct result_row) + n * sizeof(struct hist_bucket);
}

static bool is_full(const struct results_job *j)
{
    return j->res->n_rows == (j->f.limit ? j->f.limit : RESULTS_LIMIT_DEFAULT) ||
           j->bytes > RESULTS_MAX_BYTES;
}

/* TW_EAGAIN: that is enough. */
static enum tw_rc add_row(void *ctx, const struct tw_summary *s)
{
    struct results_job *j = ctx;
    struct results *r = j->res;
    struct result_row *row;

    if (j->f.test_id && s->test_id != j->f.test_id)
        return TW_OK;
    if (is_full(j)) {
        r->truncated = true;
        r->next_pair = j->pairs[j->at].id;
        r->next_ns = s->start_ns;
        return TW_EAGAIN;
    }
    if (!TW_GROW(&r->rows, r->n_rows, &j->cap, 64))
        return TW_ENOMEM;
    row = &r->rows[r->n_rows];
    row->pair = j->pairs[j->at];
    summary_init(&row->summary);
    if (summary_copy(&row->summary, s)) {
        summary_free(&row->summary);
        return TW_ENOMEM;
    }
    j->bytes += row_bytes(s);
    r->n_rows++;
    return TW_OK;
}

/* ---- As text ---- */

static void cut(struct results_job *j, int64_t next_ns)
{
    j->res->truncated = true;
    j->res->next_pair = j->text.whole ? j->pairs[j->at].id : 0;
    j->res->next_ns = next_ns;
}

/* What was written until here is whole. */
static void note_whole(struct results_job *j, long at)
{
    j->text.whole = at;
    j->text.whole_rows = j->text.rows;
    j->text.whole_pair = j->text.pair;
}

/* Flows of a pair have the same starts: a page ends between two of these. TW_EAGAIN: that is enough. */
static enum tw_rc add_line(void *ctx, const struct tw_summary *s)
{
    struct results_job *j = ctx;
    struct text *t = &j->text;
    long at = ftell(t->to);

    if (j->f.test_id && s->test_id != j->f.test_id)
        return TW_OK;
    if ((size_t)at > RESULTS_TEXT_MAX) {
        cut(j, t->start_ns);
        return TW_EAGAIN;
    }
    if (s->start_ns != t->start_ns) {
        note_whole(j, at);
        if ((size_t)at >= RESULTS_TEXT_FULL) {
            cut(j, s->start_ns);
            return TW_EAGAIN;
        }
    }
    t->start_ns = s->start_ns;
    t->rows++;
    t->pair = &j->pairs[j->at];
    if (j->f.form == RESULTS_AS_CSV)
        summary_csv_row(t->to, t->pair, s);
    else
        summary_line_row(t->to, t->pair, s);
    return TW_OK;
}

static void begin_text(struct results_job *j)
{
    j->text.start_ns = INT64_MIN;
    j->text.to = open_memstream(&j->res->text, &j->res->text_len);
    j->rc = j->text.to ? TW_OK : TW_ENOMEM;
    if (j->text.to)
        __fsetlocking(j->text.to, FSETLOCKING_BYCALLER); /* it is nobody else's */
}

/* The pair has no more: what is written of it is whole, if it is not too long. */
static void end_pair(struct results_job *j)
{
    long at = ftell(j->text.to);

    if ((size_t)at > RESULTS_TEXT_MAX) {
        cut(j, j->text.start_ns);
        j->rc = TW_EAGAIN;
        return;
    }
    note_whole(j, at);
    j->text.start_ns = INT64_MIN;
}

static void end_text(struct results_job *j)
{
    struct results *r = j->res;
    bool bad = ferror(j->text.to) != 0;

    if ((fclose(j->text.to) || bad) && (!j->rc || r->truncated)) {
        r->truncated = false;
        j->rc = TW_ENOMEM;
    }
    if (r->text_len > (size_t)j->text.whole)
        r->text_len = (size_t)j->text.whole;
    r->text_rows = j->text.whole_rows;
    if (j->text.whole_pair)
        r->last = *j->text.whole_pair;
}

/* ---- At work ---- */

/* Pair by pair, so that a limit cuts the list where its reader would. */
static void read_pairs(struct results_job *j, struct store_reader *db)
{
    while (!j->rc && j->at < j->n_pairs) {
        bool goes_on = j->f.page_pair && j->pairs[j->at].id == j->f.page_pair;

        j->rc = store_read_summaries(db, &j->pairs[j->at].id, 1, goes_on ? j->f.page_ns : j->f.from_ns,
                                     j->f.to_ns, j->text.to ? add_line : add_row, j, &j->err);
        if (!j->rc && j->text.to)
            end_pair(j);
        if (!j->rc)
            j->at++;
    }
}

static void results_work(struct reader_job *job, struct store_reader *db)
{
    struct results_job *j = (struct results_job *)job;

    if (j->f.paged && j->f.form)
        begin_text(j);
    read_pairs(j, db);
    if (j->text.to)
        end_text(j);
    if (j->res->truncated) {
        j->rc = TW_OK;
    } else if (!j->rc && j->more) {
        j->res->truncated = true;
        j->res->next_pair = j->more;
        j->res->next_ns = j->f.from_ns;
    } else if (j->rc == TW_ENOMEM) {
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
    }
}

static void results_done(struct reader_job *job)
{
    struct results_job *j = (struct results_job *)job;
    struct results *res = j->res;

    if (j->rc) {
        j->done(j->ctx, NULL, &j->err);
    } else {
        j->res = NULL;
        j->done(j->ctx, res, NULL);
    }
    results_job_free(j);
}

/* ---- Selection: loop thread ---- */

static enum tw_rc take_all(struct results_job *j, const struct inventory *inv)
{
    const struct pair **v;
    enum tw_rc rc = report_select(inv, &j->f, &v, &j->n_pairs);

    if (rc)
        return rc;
    j->pairs = calloc(j->n_pairs + 1, sizeof j->pairs[0]);
    for (size_t i = 0; j->pairs && i < j->n_pairs; i++)
        j->pairs[i] = v[i]->row;
    free(v);
    return j->pairs ? TW_OK : TW_ENOMEM;
}

/* Of the list, as far as they are still known. */
static enum tw_rc take_page(struct results_job *j, struct inventory *inv, struct pair_lists *lists)
{
    const struct pair_list *list;
    size_t at;
    enum tw_rc rc = pair_lists_get(lists, inv, &j->f, j->f.page_pair, tw_mono_now(), &list, &at);

    if (rc)
        return rc == TW_ENOENT ? TW_EINVAL : rc;
    j->pairs = calloc(RESULTS_PAGE_PAIRS, sizeof j->pairs[0]);
    if (!j->pairs)
        return TW_ENOMEM;
    for (; at < list->n && j->n_pairs < RESULTS_PAGE_PAIRS; at++) {
        const struct pair *p = inventory_pair(inv, list->ids[at]);

        if (p)
            j->pairs[j->n_pairs++] = p->row;
    }
    j->more = at < list->n ? list->ids[at] : 0;
    return TW_OK;
}

static enum tw_rc take_names(struct results_job *j, struct inventory *inv, struct pair_lists *lists)
{
    j->res = calloc(1, sizeof *j->res);
    if (!j->res)
        return TW_ENOMEM;
    return j->f.paged ? take_page(j, inv, lists) : take_all(j, inv);
}

enum tw_rc results_run(struct inventory *inv, struct pair_lists *lists, struct reader_pool *readers,
                       const struct report_filter *f, int64_t now_ns,
                       void (*done)(void *ctx, struct results *res, const struct tw_err *err), void *ctx)
{
    struct results_job *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = results_work, .done = results_done, .bulk = true };
    j->f = *f;
    j->done = done;
    j->ctx = ctx;
    rc = report_filter_resolve(&j->f, now_ns, NULL);
    if (!rc)
        rc = take_names(j, inv, lists);
    if (!rc)
        rc = reader_submit(readers, &j->job);
    if (rc)
        results_job_free(j);
    return rc;
}
