#include "controller/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIFF_OCTETS_MAX (128u << 10) /* of one mesh: some fit into a reply */

/* ---- Copies ---- */

/* The texts become ours, also when it fails. */
static enum tw_rc own_texts(struct store_generation *g)
{
    g->author = strdup(g->author);
    g->what = strdup(g->what);
    g->reason = strdup(g->reason);
    return g->author && g->what && g->reason ? TW_OK : TW_ENOMEM;
}

static void free_texts(struct store_generation *g)
{
    free((char *)g->author);
    free((char *)g->what);
    free((char *)g->reason);
}

/* ---- Generations ---- */

struct history_job {
    struct reader_job job; /* first */
    struct history_query q;
    struct history *h;
    size_t cap;
    struct tw_err err;
    enum tw_rc rc;
    void (*done)(void *ctx, struct history *h, const struct tw_err *err);
    void *ctx;
};

static enum tw_rc take_row(void *ctx, const struct store_generation *g)
{
    struct history_job *j = ctx;
    struct history *h = j->h;
    struct history_row *more;

    if (!j->q.number && h->n == j->q.limit) {
        h->more = true;
        return TW_OK;
    }
    if (h->n == j->cap) {
        j->cap = 2 * j->cap + 16;
        more = realloc(h->rows, j->cap * sizeof *more);
        if (!more)
            return TW_ENOMEM;
        h->rows = more;
    }
    h->rows[h->n] = (struct history_row){ .g = *g };
    return own_texts(&h->rows[h->n++].g);
}

struct changes_of {
    struct history_row *row;
    bool diffs;
};

static enum tw_rc take_change(void *ctx, const struct store_mesh_change *c)
{
    struct changes_of *of = ctx;
    struct history_mesh *m = realloc(of->row->meshes, (of->row->n_meshes + 1) * sizeof *m);

    if (!m)
        return TW_ENOMEM;
    of->row->meshes = m;
    m += of->row->n_meshes++;
    *m = (struct history_mesh){ .existed = c->before != NULL,
                                .exists = c->after != NULL,
                                .was_paused = c->was_paused,
                                .paused = c->paused };
    snprintf(m->name, sizeof m->name, "%s", c->mesh);
    m->same_document = c->before && c->after && !strcmp(c->before, c->after);
    if (!of->diffs || m->same_document)
        return TW_OK;
    return text_diff(c->before ? c->before : "", c->after ? c->after : "", DIFF_OCTETS_MAX, &m->diff);
}

static void run_history(struct reader_job *job, struct store_reader *r)
{
    struct history_job *j = (struct history_job *)job;

    if (j->q.number)
        j->rc = store_read_generation(r, j->q.number, take_row, j, &j->err);
    else
        j->rc = store_read_generations(r, j->q.before, (uint64_t)j->q.limit + 1, take_row, j, &j->err);
    for (size_t i = 0; j->rc == TW_OK && i < j->h->n; i++) {
        struct changes_of of = { &j->h->rows[i], j->q.diffs };

        j->rc = store_read_mesh_changes(r, of.row->g.number, take_change, &of, &j->err);
    }
    if (j->rc == TW_ENOMEM)
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
}

static void history_read(struct reader_job *job)
{
    struct history_job *j = (struct history_job *)job;

    j->err.rc = j->rc;
    if (j->rc != TW_OK) {
        history_free(j->h);
        j->h = NULL;
    }
    j->done(j->ctx, j->h, &j->err);
    free(j);
}

enum tw_rc history_run(struct reader_pool *readers, const struct history_query *q,
                       void (*done)(void *ctx, struct history *h, const struct tw_err *err), void *ctx)
{
    struct history_job *j = calloc(1, sizeof *j);
    enum tw_rc rc = TW_ENOMEM;

    if (!j)
        return rc;
    *j = (struct history_job){ .job = { .run = run_history, .done = history_read },
                               .q = *q,
                               .h = calloc(1, sizeof *j->h),
                               .done = done,
                               .ctx = ctx };
    if (j->h)
        rc = reader_submit(readers, &j->job);
    if (rc != TW_OK) {
        history_free(j->h);
        free(j);
    }
    return rc;
}

void history_free(struct history *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->n; i++) {
        free_texts(&h->rows[i].g);
        for (size_t k = 0; k < h->rows[i].n_meshes; k++)
            free(h->rows[i].meshes[k].diff.text);
        free(h->rows[i].meshes);
    }
    free(h->rows);
    free(h);
}

/* ---- All meshes of one generation ---- */

struct set_job {
    struct reader_job job; /* first */
    uint64_t number;
    struct history_set *set;
    struct tw_err err;
    enum tw_rc rc;
    void (*done)(void *ctx, struct history_set *set, const struct tw_err *err);
    void *ctx;
};

static enum tw_rc take_generation(void *ctx, const struct store_generation *g)
{
    struct history_set *set = ctx;

    set->g = *g;
    return own_texts(&set->g);
}

static enum tw_rc take_mesh(void *ctx, const struct store_mesh *m)
{
    struct history_set *set = ctx;
    struct store_mesh *more = realloc(set->meshes, (set->n + 1) * sizeof *more);

    if (!more)
        return TW_ENOMEM;
    set->meshes = more;
    more[set->n] = *m;
    more[set->n].document = strdup(m->document);
    return more[set->n++].document ? TW_OK : TW_ENOMEM;
}

static void run_set(struct reader_job *job, struct store_reader *r)
{
    struct set_job *j = (struct set_job *)job;

    j->rc = store_read_generation(r, j->number, take_generation, j->set, &j->err);
    if (j->rc == TW_OK && !j->set->g.complete)
        j->rc = tw_err_set(&j->err, TW_EINVAL,
                           "generation %llu was made by an older program, which kept no documents: "
                           "expected one that schedule history shows as kept",
                           (unsigned long long)j->number);
    if (j->rc == TW_OK)
        j->rc = store_read_meshes_at(r, j->number, take_mesh, j->set, &j->err);
    if (j->rc == TW_ENOMEM)
        tw_err_set(&j->err, TW_ENOMEM, "out of memory");
}

static void set_read(struct reader_job *job)
{
    struct set_job *j = (struct set_job *)job;

    j->err.rc = j->rc;
    if (j->rc != TW_OK) {
        history_set_free(j->set);
        j->set = NULL;
    }
    j->done(j->ctx, j->set, &j->err);
    free(j);
}

enum tw_rc history_run_set(struct reader_pool *readers, uint64_t number,
                           void (*done)(void *ctx, struct history_set *set, const struct tw_err *err),
                           void *ctx)
{
    struct set_job *j = calloc(1, sizeof *j);
    enum tw_rc rc = TW_ENOMEM;

    if (!j)
        return rc;
    *j = (struct set_job){ .job = { .run = run_set, .done = set_read },
                           .number = number,
                           .set = calloc(1, sizeof *j->set),
                           .done = done,
                           .ctx = ctx };
    if (j->set)
        rc = reader_submit(readers, &j->job);
    if (rc != TW_OK) {
        history_set_free(j->set);
        free(j);
    }
    return rc;
}

void history_set_free(struct history_set *set)
{
    if (!set)
        return;
    free_texts(&set->g);
    for (size_t i = 0; i < set->n; i++)
        free((char *)set->meshes[i].document);
    free(set->meshes);
    free(set);
}
