/* A page is rendered from a snapshot that owns everything it shows: pairs and agents may go while it is
 * written. */
#include "controller/publish_page.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/log.h"
#include "common/metrics_health.h"
#include "controller/publish_missing.h"

#define MAX_PAGES 64
#define MAX_SELF 256
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
    int64_t at_ns;             /* monotonic: when its snapshot was taken */
    bool rendering;
    struct waiter *waiters;
    struct page *prev, *next;
};

struct agent_names {
    char name[STORE_NAME_MAX], software[STORE_NAME_MAX];
};

struct page_job {
    struct reader_job job; /* first */
    struct publish *p;
    struct page *page;
    char mesh[STORE_NAME_MAX];
    unsigned levels;
    enum publish_format format;
    struct metrics_snapshot snap;
    struct metrics_pair *pairs;
    struct store_pair *pair_rows;  /* the strings of pairs[] */
    struct hist (*pair_delays)[3]; /* where the format has native histograms; else NULL */
    struct job_groups {
        struct metrics_group *v;
        struct group_key *keys;
        struct hist (*delays)[3];
        size_t n;
    } groups[GROUP_KINDS];
    struct lacking_list lacking;
    struct metrics_agent *fleet;
    struct agent_names *fleet_names;
    struct metrics_self self[MAX_SELF];
    enum tw_rc rc;
    struct http_blob *blob;
};

/* ---- Snapshot: loop thread ---- */

static void free_delays(struct hist (*v)[3], size_t n)
{
    for (size_t i = 0; v && i < n; i++)
        for (int d = 0; d < 3; d++)
            hist_free(&v[i][d]);
    free(v);
}

static void job_free(struct page_job *j)
{
    http_blob_unref(j->blob);
    free_delays(j->pair_delays, j->snap.n_pairs);
    publish_missing_free(&j->lacking);
    free(j->pairs);
    free(j->pair_rows);
    for (int by = 0; by < GROUP_KINDS; by++) {
        free_delays(j->groups[by].delays, j->groups[by].n);
        free(j->groups[by].v);
        free(j->groups[by].keys);
    }
    free(j->fleet);
    free(j->fleet_names);
    free(j);
}

static bool in_scope(const struct page_job *j, const char *mesh)
{
    return !j->mesh[0] || !strcmp(j->mesh, mesh);
}

static bool keeps_native(const struct page_job *j)
{
    return formats[j->format]->has_native && j->p->conf.native_buckets;
}

/* Histograms are copied on the loop, so that they may grow while the page is written. */
static enum tw_rc copy_delays(struct hist dst[3], const struct hist src[3])
{
    enum tw_rc rc = TW_OK;

    for (int d = 0; d < 3; d++)
        hist_init(&dst[d]);
    for (int d = 0; !rc && d < 3; d++)
        rc = hist_copy(&dst[d], &src[d]);
    return rc;
}

static enum tw_rc make_room(struct page_job *j)
{
    const struct inventory *inv = j->p->conf.inventory;
    size_t n_pairs = inv->pairs.n + 1, n_fleet = HASH_COUNT(inv->agents) + 1;

    j->pairs = malloc(n_pairs * sizeof j->pairs[0]);
    j->pair_rows = malloc(n_pairs * sizeof j->pair_rows[0]);
    if (keeps_native(j) && j->levels & METRICS_PAIR)
        j->pair_delays = calloc(n_pairs, sizeof j->pair_delays[0]);
    j->fleet = calloc(n_fleet, sizeof j->fleet[0]);
    j->fleet_names = malloc(n_fleet * sizeof j->fleet_names[0]);
    if (keeps_native(j) && j->levels & METRICS_PAIR && !j->pair_delays)
        return TW_ENOMEM;
    return j->pairs && j->pair_rows && j->fleet && j->fleet_names ? TW_OK : TW_ENOMEM;
}

static void take_live(struct metrics_pair *m, const struct pair *pair)
{
    const struct pair_live *l = pair->live;

    m->last_end_ns = l->last_end_ns;
    m->last = *publish_view(pair);
    metrics_show(m, &l->n);
}

static enum tw_rc take_delays(struct page_job *j, size_t i, const struct pair *pair)
{
    enum tw_rc rc = copy_delays(j->pair_delays[i], pair->live->delay);

    for (int d = 0; d < 3; d++)
        j->pairs[i].delay[d] = &j->pair_delays[i][d];
    return rc;
}

static enum tw_rc take_pair(struct page_job *j, const struct pair *pair, int64_t now_ns)
{
    size_t i = j->snap.n_pairs++;
    struct store_pair *row = &j->pair_rows[i];

    *row = pair->row;
    j->pairs[i] = (struct metrics_pair){
        .mesh = row->mesh,
        .class_name = row->class_name,
        .source = row->source,
        .target = row->target,
        .state = pair_state(pair, now_ns),
        .maintenance = pair_in_maintenance(pair, now_ns),
        .fresh = publish_is_fresh(pair, now_ns),
        .completeness_ratio = publish_completeness(j->p, pair, now_ns),
    };
    if (pair->live)
        take_live(&j->pairs[i], pair);
    return pair->live && j->pair_delays ? take_delays(j, i, pair) : TW_OK;
}

static enum tw_rc count_in_groups(struct publish *p, const struct pair *pair, bool fresh)
{
    for (enum group_by by = 0; by < GROUP_KINDS; by++) {
        struct group *g = publish_group(p, by, &pair->row);

        if (!g)
            return TW_ENOMEM;
        g->sum.pairs++;
        g->sum.pairs_fresh += fresh;
    }
    return TW_OK;
}

static void clear_counts(struct publish *p)
{
    for (int by = 0; by < GROUP_KINDS; by++)
        for (struct group *g = p->groups[by]; g; g = g->hh.next)
            g->sum.pairs = g->sum.pairs_fresh = 0;
}

static enum tw_rc take_pairs(struct page_job *j, int64_t now_ns)
{
    struct publish *p = j->p;
    enum tw_rc rc = TW_OK;

    clear_counts(p);
    for (size_t i = 0; !rc && i < p->conf.inventory->pairs.n; i++) {
        const struct pair *pair = pair_table_at(&p->conf.inventory->pairs, i);
        bool fresh = publish_is_fresh(pair, now_ns);
        if (!pair->scheduled || pair->paused || !in_scope(j, pair->row.mesh))
            continue;
        rc = take_pair(j, pair, now_ns);
        if (!rc)
            rc = count_in_groups(p, pair, fresh);
        if (!rc && j->levels & OF_GROUPS)
            rc = publish_missing_note(p, &j->lacking, pair, &j->pair_rows[j->snap.n_pairs - 1], now_ns);
    }
    return rc;
}

static enum tw_rc make_group_room(struct page_job *j, struct job_groups *t, size_t n)
{
    t->v = calloc(n + 1, sizeof t->v[0]);
    t->keys = malloc((n + 1) * sizeof t->keys[0]);
    if (keeps_native(j))
        t->delays = calloc(n + 1, sizeof t->delays[0]);
    return t->v && t->keys && (t->delays || !keeps_native(j)) ? TW_OK : TW_ENOMEM;
}

static enum tw_rc take_group(struct job_groups *t, enum group_by by, struct group *g)
{
    size_t i = g->at = t->n++;
    struct metrics_group *m = &t->v[i];
    struct group_key *key = &t->keys[i];
    enum tw_rc rc = TW_OK;

    *key = g->key;
    *m = g->sum;
    m->mesh = key->mesh;
    m->class_name = key->class_name;
    m->source = by == BY_AGENT ? key->source : NULL;
    m->source_site = by == BY_SITE ? key->source : NULL;
    m->target_site = by == BY_SITE ? key->target : NULL;
    if (t->delays)
        rc = copy_delays(t->delays[i], g->delay);
    for (int d = 0; t->delays && d < 3; d++)
        m->delay[d].native = &t->delays[i][d];
    return rc;
}

/* Copies the groups that have pairs, and lets go of those that have none left. */
static enum tw_rc take_groups(struct page_job *j, enum group_by by)
{
    struct job_groups *t = &j->groups[by];
    enum tw_rc rc = make_group_room(j, t, HASH_COUNT(j->p->groups[by]));
    struct group *g, *next;

    HASH_ITER(hh, j->p->groups[by], g, next)
    {
        if (rc)
            break;
        if (!in_scope(j, g->key.mesh))
            continue;
        if (g->sum.pairs)
            rc = take_group(t, by, g);
        else
            publish_free_group(j->p, by, g);
    }
    return rc;
}

/* Only what is known: whom the audit cannot judge has no figures. */
static void take_audit(struct metrics_agent *m, const struct agent_audit *f)
{
    enum clock_verdict v = f->host.verdict;
    bool judged = f->known && (v == CLOCK_OK || v == CLOCK_OFFSET);

    m->clock_offset_s = (struct tw_num){ judged, f->host.offset_s };
    m->clock_suspect = (struct tw_num){ judged, v == CLOCK_OFFSET };
}

static void take_fleet(struct page_job *j)
{
    struct tw_mono now = loop_now(j->p->conf.loop).mono;

    late_sweep(&j->p->late, now);
    for (const struct agent *a = j->p->conf.inventory->agents; a; a = a->hh.next) {
        size_t i = j->snap.n_fleet++;
        struct agent_names *names = &j->fleet_names[i];
        memcpy(names->name, a->row.name, sizeof names->name);
        memcpy(names->software, a->row.software, sizeof names->software);
        j->fleet[i] = (struct metrics_agent){
            .name = names->name,
            .software = names->software,
            .state = agent_state(a),
            .generation = agent_generation(j->p->conf.inventory, a),
        };
        if (a->health)
            metrics_take_health(&j->fleet[i], a->health);
        take_audit(&j->fleet[i], &a->audit);
        late_of(&j->p->late, names->name, now, &j->fleet[i].lateness_p99_s, &j->fleet[i].lateness_max_s);
    }
}

static enum tw_rc take_snapshot(struct page_job *j)
{
    struct publish *p = j->p;
    struct metrics_snapshot *s = &j->snap;
    enum tw_rc rc = make_room(j);

    if (!rc)
        rc = take_pairs(j, loop_now(p->conf.loop).wall.ns);
    for (enum group_by by = 0; !rc && by < GROUP_KINDS; by++)
        rc = take_groups(j, by);
    if (rc)
        return rc;
    publish_missing_place(&j->lacking);
    take_fleet(j);
    s->pairs = j->pairs;
    s->agents = j->groups[BY_AGENT].v;
    s->n_agents_groups = j->groups[BY_AGENT].n;
    s->sites = j->groups[BY_SITE].v;
    s->n_sites = j->groups[BY_SITE].n;
    s->meshes = j->groups[BY_MESH].v;
    s->n_meshes = j->groups[BY_MESH].n;
    s->fleet = j->fleet;
    s->generation = p->conf.inventory->generation;
    s->self = j->self;
    s->n_self = p->conf.self ? p->conf.self(p->conf.self_ctx, j->self, MAX_SELF) : 0;
    s->max_pair_series = p->conf.max_pair_series;
    return TW_OK;
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

    if (!(j->levels & OF_GROUPS))
        return;
    for (enum group_by by = 0; by < GROUP_KINDS; by++) {
        groups[by] = j->groups[by].v;
        n[by] = j->groups[by].n;
    }
    if (publish_missing_explain(&j->lacking, db, groups, n, &err) != TW_OK)
        log_warn("why results are missing cannot be read", LOG_S("error", err.text));
}

static void render(struct reader_job *job, struct store_reader *db)
{
    struct page_job *j = (struct page_job *)job;
    const struct metrics_ops *format = formats[j->format];
    struct http_maker *m;
    enum tw_rc made;

    explain_missing(j, db);
    j->rc = http_maker_new(format->content_type, &m);
    if (j->rc)
        return;
    j->rc = metrics_render_to(&j->snap, format, j->levels, j->mesh[0] ? j->mesh : NULL,
                              &(struct metrics_sink){ put_piece, hold, release, m });
    made = http_maker_end(m, &j->blob);
    if (!j->rc)
        j->rc = made;
    if (!j->rc)
        http_blob_header(j->blob, "Vary", "Accept, Accept-Encoding");
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

static void rendered(struct reader_job *job)
{
    struct page_job *j = (struct page_job *)job;
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

static enum tw_rc start_rendering(struct publish *p, struct page *page)
{
    struct page_job *j = calloc(1, sizeof *j);
    enum tw_rc rc;

    if (!j)
        return TW_ENOMEM;
    j->job = (struct reader_job){ .run = render, .done = rendered, .own = true };
    j->p = p;
    j->page = page;
    j->levels = page->levels;
    j->format = page->format;
    memcpy(j->mesh, page->mesh, sizeof j->mesh);
    rc = take_snapshot(j);
    if (!rc)
        rc = reader_submit(p->conf.readers, &j->job);
    if (rc) {
        job_free(j);
        return rc;
    }
    page->rendering = true;
    page->at_ns = loop_now(p->conf.loop).mono.ns;
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
    struct page *page, *next;

    DL_FOREACH_SAFE(p->pages, page, next)
    page_free(p, page);
}
