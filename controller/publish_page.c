/* A page is rendered on a reader thread, from a copy that the loop takes in slices: one page after the other.
 */
#include "controller/publish_page.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/log.h"
#include "controller/publish_copy.h"

#define MAX_PAGES 64
#define OF_GROUPS (METRICS_AGENT | METRICS_SITE | METRICS_MESH)

static const struct metrics_ops *const formats[PUBLISH_FORMATS] = {
    [PUBLISH_TEXT] = &metrics_text,
    [PUBLISH_OPENMETRICS] = &metrics_openmetrics,
    [PUBLISH_PROTOBUF] = &metrics_protobuf,
};

struct waiter {
    struct http_req *rq;
    struct waiter *next;
};

struct page {
    unsigned levels;
    enum publish_format format;
    char mesh[STORE_NAME_MAX]; /* "" = all */
    struct http_blob *blob;    /* NULL = never rendered, or failed */
    int64_t at_ns;             /* monotonic: when it was asked for: its copy was begun then or later */
    bool rendering;            /* or its copy is being taken, or waits for others */
    struct waiter *waiters;
    struct page *prev, *next;
};

struct page_job {
    struct reader_job job; /* first */
    struct page *page;
    enum publish_format format;
    struct page_copy copy;
    enum tw_rc rc;
    struct http_blob *blob;
    struct page_job *next;
};

static void job_free(struct page_job *j)
{
    http_blob_unref(j->blob);
    publish_copy_free(&j->copy);
    free(j);
}

/* ---- Rendering: reader thread ---- */

static void put_piece(void *ctx, const char *p, size_t len)
{
    http_maker_put(ctx, p, len);
}

static void hold(void *ctx)
{
    http_maker_hold(ctx);
}

static void release(void *ctx, const char *first, size_t len)
{
    http_maker_release(ctx, first, len);
}

/* Without the store the page says nothing about it. */
static void explain_missing(struct page_job *j, struct store_reader *db)
{
    struct metrics_group *groups[GROUP_KINDS];
    size_t n[GROUP_KINDS];
    struct tw_err err = { 0 };

    if (!(j->copy.levels & OF_GROUPS))
        return;
    for (enum group_by by = 0; by < GROUP_KINDS; by++) {
        groups[by] = j->copy.groups[by].v;
        n[by] = j->copy.groups[by].n;
    }
    if (publish_missing_explain(&j->copy.lacking, db, groups, n, &err) != TW_OK)
        log_warn("why results are missing cannot be read", LOG_S("error", err.text));
}

static void render(struct page_job *j, struct store_reader *db)
{
    const struct metrics_ops *format = formats[j->format];
    struct http_maker *m;
    enum tw_rc made;

    explain_missing(j, db);
    j->rc = http_maker_new(format->content_type, &m);
    if (j->rc)
        return;
    j->rc = metrics_render_to(&j->copy.snap, format, j->copy.levels, j->copy.mesh[0] ? j->copy.mesh : NULL,
                              &(struct metrics_sink){ put_piece, hold, release, m });
    made = http_maker_end(m, &j->blob);
    if (!j->rc)
        j->rc = made;
    if (!j->rc)
        http_blob_header(j->blob, "Vary", "Accept, Accept-Encoding");
}

/* Thousands of blocks are given back here, not on the loop. */
static void run(struct reader_job *job, struct store_reader *db)
{
    struct page_job *j = (struct page_job *)job;

    render(j, db);
    publish_copy_free_shown(&j->copy);
}

/* ---- Pages: loop thread ---- */

static void answer_waiters(struct page *page, enum tw_rc rc)
{
    struct waiter *w, *next;

    LL_FOREACH_SAFE(page->waiters, w, next)
    {
        if (!rc)
            http_answer_blob(w->rq, 200, page->blob);
        else
            http_answer_error(w->rq, 503, "the page cannot be made now: %s", tw_rc_name(rc));
        free(w);
    }
    page->waiters = NULL;
}

static void page_made(struct page_job *j)
{
    struct page *page = j->page;

    page->rendering = false;
    if (!j->rc) {
        http_blob_unref(page->blob);
        page->blob = http_blob_ref(j->blob);
    } else {
        page->at_ns = INT64_MIN / 2;
        log_warn("metrics page failed", LOG_S("reason", tw_rc_name(j->rc)));
    }
    answer_waiters(page, j->rc);
    job_free(j);
}

static void rendered(struct reader_job *job)
{
    page_made((struct page_job *)job);
}

/* A slice, with whatever else the loop has to do in between. What was submitted is the reader's. */
static void copy_slice(struct loop_task *t)
{
    struct publish *p = t->ctx;
    struct page_job *j = p->copying;
    enum tw_rc rc = publish_copy_go_on(&j->copy, COPY_SLICE);

    if (rc != TW_EAGAIN) {
        LL_DELETE(p->copying, j);
        if (!rc)
            rc = reader_submit(p->conf.readers, &j->job);
        if (rc) {
            j->rc = rc;
            page_made(j);
        }
    }
    if (p->copying)
        loop_post(p->conf.loop, t);
}

static enum tw_rc start_rendering(struct publish *p, struct page *page)
{
    struct page_job *j = calloc(1, sizeof *j);

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = run, .done = rendered, .own = true };
    j->page = page;
    j->format = page->format;
    j->copy.p = p;
    j->copy.levels = page->levels;
    j->copy.native = formats[page->format]->has_native;
    memcpy(j->copy.mesh, page->mesh, sizeof j->copy.mesh);
    page->rendering = true;
    page->at_ns = loop_now(p->conf.loop).mono.ns;
    LL_APPEND(p->copying, j);
    p->copy_task.fn = copy_slice;
    p->copy_task.ctx = p;
    loop_post(p->conf.loop, &p->copy_task);
    return TW_OK;
}

static void page_free(struct publish *p, struct page *page)
{
    DL_DELETE(p->pages, page);
    http_blob_unref(page->blob);
    free(page);
}

/* Whoever asks for many different pages pushes out those that were not asked for the longest. */
static void make_place(struct publish *p)
{
    struct page *page, *oldest = NULL;
    unsigned n = 0;

    DL_FOREACH(p->pages, page)
    {
        n++;
        if (!page->rendering)
            oldest = page;
    }
    if (n >= MAX_PAGES && oldest)
        page_free(p, oldest);
}

static struct page *find_page(struct publish *p, unsigned levels, const char *mesh,
                              enum publish_format format)
{
    struct page *page;

    DL_FOREACH(p->pages, page)
    if (page->levels == levels && page->format == format && !strcmp(page->mesh, mesh))
        break;
    if (page) {
        DL_DELETE(p->pages, page);
    } else {
        make_place(p);
        page = calloc(1, sizeof *page);
        if (!page)
            return NULL;
        page->levels = levels;
        page->format = format;
        memcpy(page->mesh, mesh, strnlen(mesh, sizeof page->mesh - 1));
    }
    DL_PREPEND(p->pages, page);
    return page;
}

static enum tw_rc wait_for(struct page *page, struct http_req *rq)
{
    struct waiter *w = malloc(sizeof *w);

    if (!w)
        return TW_ENOMEM;
    w->rq = rq;
    LL_PREPEND(page->waiters, w);
    return TW_OK;
}

const char *publish_content_type(enum publish_format f)
{
    return formats[f]->content_type;
}

void publish_answer(struct publish *p, struct http_req *rq, unsigned levels, const char *mesh,
                    enum publish_format format)
{
    struct page *page = find_page(p, levels, mesh ? mesh : "", format);
    int64_t now_ns = loop_now(p->conf.loop).mono.ns;
    enum tw_rc rc;

    if (page && !page->rendering && page->blob && now_ns - page->at_ns < p->conf.page_interval_ns) {
        http_answer_blob(rq, 200, page->blob);
        return;
    }
    rc = page ? wait_for(page, rq) : TW_ENOMEM;
    if (rc) {
        http_answer_error(rq, 503, "the page cannot be made now: %s", tw_rc_name(rc));
        return;
    }
    if (!page->rendering && (rc = start_rendering(p, page)))
        answer_waiters(page, rc);
}

void publish_free_pages(struct publish *p)
{
    struct page_job *j, *next_job;
    struct page *page, *next;

    loop_unpost(p->conf.loop, &p->copy_task);
    LL_FOREACH_SAFE(p->copying, j, next_job)
    {
        j->rc = TW_ECLOSED;
        page_made(j);
    }
    p->copying = NULL;
    DL_FOREACH_SAFE(p->pages, page, next)
    page_free(p, page);
}
