/* /api/v1/matrix: one mesh and class as a grid. Taken on the loop, written and compressed on a reader, and
 * kept for all who look at the same: it is made anew once listeners to events were told that something
 * changed, so once a second at most while somebody listens. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/fnv1a.h"
#include "controller/events.h"
#include "controller/http/api.h"
#include "controller/matrix.h"

#define PAGES_MAX 16
#define BYTES_MAX ((size_t)64 << 20)
#define AGE_MAX_NS (10 * TW_NS_PER_S) /* states change by time alone */
#define AGE_MIN_NS TW_NS_PER_S        /* without listeners */

static const enum event_kind kinds[] = { EVENT_PUBLISHED, EVENT_ALERTS, EVENT_SCHEDULE, EVENT_AGENTS };

struct waiting {
    struct http_req *rq;
    bool late; /* it was told of more than what was being made when it came */
    struct waiting *next;
};
struct page {
    struct report_filter f; /* the key: names, selectors, metric */
    uint64_t version[TW_NELEM(kinds)],
        next_version[TW_NELEM(kinds)]; /* of what is kept; of what is being made */
    int64_t made_ns, next_made_ns;     /* monotonic */
    struct http_blob *blob;
    bool making;
    struct waiting *waiting;
    struct page *prev, *next;
};
struct matrix_pages {
    struct controller *c;
    struct page *pages; /* the last one used first */
    size_t n, bytes;
    struct matrix_counters counters;
};

struct matrix_job {
    struct reader_job job; /* first */
    struct matrix_pages *owner;
    struct page *page;
    struct matrix *m;
    struct http_blob *blob;
};

/* ---- Making ---- */

static struct http_blob *make_blob(const struct matrix *m)
{
    struct http_blob *b = NULL;
    size_t len = 0, same = 0;
    char *text = matrix_json(m, &len, &same), tag[24];

    if (!text)
        return NULL;
    snprintf(tag, sizeof tag, "%016llx", (unsigned long long)tw_fnv1a(TW_FNV1A_INIT, text + same, len - same));
    if (http_blob_new(text, len, "application/json", true, &b) != TW_OK)
        return NULL;
    http_blob_header(b, "Cache-Control", "no-cache");
    if (http_blob_tag(b, tag) == TW_OK)
        return b;
    http_blob_unref(b);
    return NULL;
}

static void job_work(struct reader_job *job, struct store_reader *db)
{
    struct matrix_job *j = (struct matrix_job *)job;

    (void)db;
    j->blob = make_blob(j->m);
}

/* Those who are late wait for the next one, if there is one. */
static void answer_waiting(struct page *p, struct http_blob *b, enum tw_rc rc)
{
    struct waiting *w, *next;

    LL_FOREACH_SAFE(p->waiting, w, next)
    {
        if (b && w->late)
            continue;
        if (b)
            http_answer_blob(w->rq, 200, b);
        else
            api_refuse(w->rq, rc, NULL);
        LL_DELETE(p->waiting, w);
        free(w);
    }
}

static void drop_blob(struct matrix_pages *s, struct page *p)
{
    if (p->blob)
        s->bytes -= http_blob_len(p->blob);
    http_blob_unref(p->blob);
    p->blob = NULL;
}

static void drop_page(struct matrix_pages *s, struct page *p)
{
    answer_waiting(p, NULL, TW_ECLOSED);
    drop_blob(s, p);
    DL_DELETE(s->pages, p);
    s->n--;
    free(p);
}

/* The one used longest ago goes first. False: all are being made. */
static bool drop_oldest(struct matrix_pages *s, const struct page *but)
{
    for (struct page *p = s->pages ? s->pages->prev : NULL; p; p = p == s->pages ? NULL : p->prev)
        if (!p->making && p != but) {
            drop_page(s, p);
            return true;
        }
    return false;
}

static enum tw_rc begin(struct matrix_pages *s, struct page *p);

static void begin_for_late(struct matrix_pages *s, struct page *p)
{
    enum tw_rc rc = p->waiting ? begin(s, p) : TW_OK;

    for (struct waiting *w = p->waiting; w; w = w->next)
        w->late = false;
    if (rc != TW_OK)
        answer_waiting(p, NULL, rc);
}

static void job_done(struct reader_job *job)
{
    struct matrix_job *j = (struct matrix_job *)job;
    struct matrix_pages *s = j->owner;
    struct page *p = j->page;

    p->making = false;
    drop_blob(s, p);
    p->blob = j->blob;
    p->made_ns = p->next_made_ns;
    memcpy(p->version, p->next_version, sizeof p->version);
    if (p->blob) {
        s->bytes += http_blob_len(p->blob);
        s->counters.built++;
    }
    answer_waiting(p, p->blob, TW_ENOMEM);
    begin_for_late(s, p);
    while (s->bytes > BYTES_MAX && drop_oldest(s, p))
        ;
    matrix_free(j->m);
    free(j);
}

static enum tw_rc begin(struct matrix_pages *s, struct page *p)
{
    struct tw_now now = loop_now(s->c->loop);
    struct matrix_job *j = calloc(1, sizeof *j);
    enum tw_rc rc = j ? matrix_take(s->c, &p->f, now.wall.ns, &j->m) : TW_ENOMEM;

    if (rc == TW_OK) {
        j->job = (struct reader_job){ .run = job_work, .done = job_done };
        j->owner = s;
        j->page = p;
        rc = reader_submit(s->c->readers, &j->job);
    }
    if (rc != TW_OK) {
        matrix_free(j ? j->m : NULL);
        free(j);
        return rc;
    }
    p->making = true;
    p->next_made_ns = now.mono.ns;
    for (size_t i = 0; i < TW_NELEM(kinds); i++)
        p->next_version[i] = events_version(s->c->events, kinds[i]);
    return TW_OK;
}

/* ---- Keeping ---- */

/* Whoever was told of something sees it. */
static bool has_what_was_told(const struct matrix_pages *s, const uint64_t version[TW_NELEM(kinds)])
{
    for (size_t i = 0; i < TW_NELEM(kinds); i++)
        if (version[i] < events_told(s->c->events, kinds[i]))
            return false;
    return true;
}

static bool is_good(const struct matrix_pages *s, const struct page *p)
{
    int64_t age_ns = loop_now(s->c->loop).mono.ns - p->made_ns;

    if (!p->blob || age_ns >= AGE_MAX_NS)
        return false;
    return (!events_are_told(s->c->events) && age_ns < AGE_MIN_NS) || has_what_was_told(s, p->version);
}

static bool is_same(const struct report_filter *a, const struct report_filter *b)
{
    return a->metric == b->metric && !strcmp(a->mesh, b->mesh) && !strcmp(a->class_name, b->class_name) &&
           !strcmp(a->select, b->select) && !strcmp(a->target_select, b->target_select);
}

/* NULL: no room, or no memory. */
static struct page *page_of(struct matrix_pages *s, const struct report_filter *f)
{
    struct page *p;

    DL_FOREACH(s->pages, p)
    {
        if (is_same(&p->f, f))
            break;
    }
    if (p) {
        DL_DELETE(s->pages, p);
        DL_PREPEND(s->pages, p);
        return p;
    }
    if (s->n == PAGES_MAX && !drop_oldest(s, NULL))
        return NULL;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->f = *f;
    DL_PREPEND(s->pages, p);
    s->n++;
    return p;
}

void matrix_pages_answer(struct matrix_pages *s, const struct report_filter *f, struct http_req *rq)
{
    struct page *p = page_of(s, f);
    struct waiting *w;
    enum tw_rc rc;

    if (p && is_good(s, p)) {
        s->counters.kept++;
        http_answer_blob(rq, 200, p->blob);
        return;
    }
    rc = !p ? TW_EBUSY : p->making ? TW_OK : begin(s, p);
    w = rc == TW_OK ? malloc(sizeof *w) : NULL;
    if (!w) {
        api_refuse(rq, rc == TW_OK ? TW_ENOMEM : rc, NULL);
        return;
    }
    *w = (struct waiting){ .rq = rq, .late = !has_what_was_told(s, p->next_version) };
    LL_APPEND(p->waiting, w);
}

enum tw_rc matrix_pages_new(struct controller *c, struct matrix_pages **ret)
{
    struct matrix_pages *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->c = c;
    *ret = s;
    return TW_OK;
}

void matrix_pages_free(struct matrix_pages *s)
{
    if (!s)
        return;
    while (s->pages)
        drop_page(s, s->pages);
    free(s);
}

void matrix_pages_counters(const struct matrix_pages *s, struct matrix_counters *ret)
{
    *ret = s ? s->counters : (struct matrix_counters){ 0 };
    if (s)
        ret->bytes = s->bytes;
}

/* ---- The past: not kept, since nobody else looks at just that moment ---- */

struct past_job {
    struct reader_job job; /* first */
    struct http_req *rq;
    struct matrix *m;
    enum tw_rc rc;
    struct tw_err err;
    struct http_blob *blob;
};

static void past_work(struct reader_job *job, struct store_reader *db)
{
    struct past_job *j = (struct past_job *)job;

    j->rc = matrix_fill_past(j->m, db, &j->err);
    if (j->rc == TW_OK && !(j->blob = make_blob(j->m)))
        j->rc = TW_ENOMEM;
}

static void past_free(struct past_job *j)
{
    http_blob_unref(j->blob);
    matrix_free(j->m);
    free(j);
}

static void past_done(struct reader_job *job)
{
    struct past_job *j = (struct past_job *)job;

    if (j->rc == TW_OK)
        http_answer_blob(j->rq, 200, j->blob);
    else
        api_refuse(j->rq, j->rc, &j->err);
    past_free(j);
}

static void answer_past(struct controller *c, const struct report_filter *f, struct http_req *rq)
{
    struct past_job *j = calloc(1, sizeof *j);
    enum tw_rc rc = j ? matrix_take(c, f, loop_now(c->loop).wall.ns, &j->m) : TW_ENOMEM;

    if (rc == TW_OK) {
        j->job = (struct reader_job){ .run = past_work, .done = past_done };
        j->rq = rq;
        rc = reader_submit(c->readers, &j->job);
    }
    if (rc == TW_OK)
        return;
    if (j)
        past_free(j);
    api_refuse(rq, rc, NULL);
}

void http_matrix(void *ctx, struct http_req *rq)
{
    struct controller *c = ctx;
    struct report_filter f;

    if (!api_filter(c, rq, QUERY_MATRIX, &f))
        return;
    if (f.at_ns)
        answer_past(c, &f, rq);
    else
        matrix_pages_answer(c->matrix_pages, &f, rq);
}
