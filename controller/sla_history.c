#include "controller/sla_history.h"
#include <stdlib.h>
#include <string.h>
#include "common/grow.h"
#include "controller/core/class_times.h"
#include "controller/core/mesh.h"

#define LOOKS_MAX 100000 /* at a rule of maintenance */

/* From then on the mesh had that document; NULL: it was not there. */
struct epoch {
    int64_t from_ns;
    struct mesh *document;
};
struct mesh_epochs {
    char mesh[STORE_NAME_MAX];
    struct epoch *v; /* ascending */
    size_t n, cap;
    struct mesh_epochs *next;
};
/* A generation of the span, or the last one before it. */
struct moment {
    uint64_t number;
    int64_t from_ns;
    bool complete;
};
struct sla_history {
    struct sla_span span;
    struct moment *moments; /* ascending */
    size_t n, cap;
    bool loaded;
    struct mesh_epochs *meshes;
};

enum tw_rc sla_history_new(const struct sla_span *span, struct sla_history **ret)
{
    struct sla_history *h = calloc(1, sizeof *h);

    if (!h)
        return TW_ENOMEM;
    h->span = *span;
    *ret = h;
    return TW_OK;
}

void sla_history_free(struct sla_history *h)
{
    struct mesh_epochs *m, *next;

    for (m = h ? h->meshes : NULL; m; m = next) {
        next = m->next;
        for (size_t i = 0; i < m->n; i++)
            mesh_free(m->v[i].document);
        free(m->v);
        free(m);
    }
    if (h)
        free(h->moments);
    free(h);
}

/* ---- Generations ---- */

/* Newest first; TW_EAGAIN: no older one is needed. */
static enum tw_rc take_moment(void *ctx, const struct store_generation *g)
{
    struct sla_history *h = ctx;

    if (g->time_ns >= h->span.to_ns)
        return TW_OK;
    if (!TW_GROW(&h->moments, h->n, &h->cap, 16))
        return TW_ENOMEM;
    h->moments[h->n++] = (struct moment){ g->number, g->time_ns, g->complete };
    return g->time_ns <= h->span.from_ns ? TW_EAGAIN : TW_OK;
}

static enum tw_rc load_moments(struct sla_history *h, struct store_reader *db, struct tw_err *err)
{
    enum tw_rc rc = h->loaded ? TW_OK : store_read_generations(db, 0, UINT64_MAX, take_moment, h, err);

    if (rc == TW_EAGAIN)
        rc = TW_OK;
    for (size_t i = 0, k = h->n; !h->loaded && i + 1 < k; i++) {
        struct moment swap = h->moments[i];
        h->moments[i] = h->moments[--k];
        h->moments[k] = swap;
    }
    h->loaded = !rc;
    return rc;
}

/* ---- The documents of one mesh ---- */

struct look {
    struct mesh_epochs *m;
    int64_t at_ns;
    bool found;
    enum tw_rc rc;
};

/* Takes `document`. */
static enum tw_rc add_epoch(struct mesh_epochs *m, int64_t from_ns, struct mesh *document)
{
    if (!TW_GROW(&m->v, m->n, &m->cap, 4)) {
        mesh_free(document);
        return TW_ENOMEM;
    }
    m->v[m->n++] = (struct epoch){ from_ns, document };
    return TW_OK;
}

/* One that cannot be read by this program any more has no maintenance that could be told. */
static enum tw_rc add_document(struct look *l, const char *text)
{
    struct mesh *document = NULL;

    if (text && mesh_doc_parse(l->m->mesh, text, strlen(text), &document, NULL) == TW_ENOMEM)
        return TW_ENOMEM;
    l->found = true;
    return add_epoch(l->m, l->at_ns, document);
}

static enum tw_rc take_mesh(void *ctx, const struct store_mesh *m)
{
    struct look *l = ctx;

    return strcmp(m->name, l->m->mesh) != 0 ? TW_OK : add_document(l, m->document);
}

static enum tw_rc take_change(void *ctx, const struct store_mesh_change *c)
{
    struct look *l = ctx;

    return strcmp(c->mesh, l->m->mesh) != 0 ? TW_OK : add_document(l, c->after);
}

/* Of generations whose documents are not all known, from before there was a history, nothing is asked. */
static enum tw_rc load_mesh(struct sla_history *h, struct store_reader *db, struct mesh_epochs *m,
                            struct tw_err *err)
{
    bool first = true;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < h->n && !rc; i++) {
        const struct moment *t = &h->moments[i];
        struct look l = { .m = m, .at_ns = first ? h->span.from_ns : t->from_ns };
        if (!t->complete)
            continue;
        rc = first ? store_read_meshes_at(db, t->number, take_mesh, &l, err)
                   : store_read_mesh_changes(db, t->number, take_change, &l, err);
        if (!rc && first && !l.found)
            rc = add_epoch(m, l.at_ns, NULL);
        first = false;
    }
    if (rc == TW_ENOMEM)
        tw_err_set(err, rc, "out of memory");
    return rc;
}

static enum tw_rc epochs_of(struct sla_history *h, struct store_reader *db, const char *mesh,
                            struct mesh_epochs **ret, struct tw_err *err)
{
    struct mesh_epochs *m = h->meshes;
    enum tw_rc rc = load_moments(h, db, err);

    if (rc)
        return rc;
    while (m && strcmp(m->mesh, mesh) != 0)
        m = m->next;
    *ret = m;
    if (m)
        return TW_OK;
    m = calloc(1, sizeof *m);
    if (!m)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    strncpy(m->mesh, mesh, sizeof m->mesh - 1);
    m->next = h->meshes;
    h->meshes = *ret = m;
    return load_mesh(h, db, m, err);
}

/* ---- Maintenance ---- */

enum tw_rc sla_add_rule(struct sla_spans *s, const struct sla_span *in, const struct times_set *when)
{
    int64_t at = in->from_ns;
    enum tw_rc rc = TW_OK;

    for (unsigned n = 0; !rc && at < in->to_ns && n < LOOKS_MAX; n++) {
        struct times_span same;
        bool inside = times_set_at(when, at, &same);
        if (inside)
            rc = sla_spans_add(s, in, at, same.to_ns);
        if (same.to_ns <= at)
            break;
        at = same.to_ns;
    }
    return rc;
}

static const struct class_times *times_of(const struct mesh *document, const char *class_name)
{
    for (size_t i = 0; document && i < document->n_classes; i++)
        if (!strcmp(document->classes[i].name, class_name))
            return document->classes[i].times;
    return NULL;
}

enum tw_rc sla_history_add(struct sla_history *h, struct store_reader *db, const char *mesh,
                           const char *class_name, struct sla_spans *ret, bool *ret_known, struct tw_err *err)
{
    struct mesh_epochs *m = NULL;
    enum tw_rc rc = epochs_of(h, db, mesh, &m, err);

    *ret_known = !rc && m->n;
    for (size_t i = 0; !rc && i < m->n; i++) {
        struct sla_span in = { m->v[i].from_ns, i + 1 < m->n ? m->v[i + 1].from_ns : h->span.to_ns };
        const struct class_times *t = times_of(m->v[i].document, class_name);
        for (size_t k = 0; !rc && t && k < t->n_maintenance; k++)
            rc = sla_add_rule(ret, &in, &t->maintenance[k].when);
    }
    if (rc == TW_ENOSPC)
        tw_err_set(err, rc, "mesh %s: more than %d spans of maintenance", mesh, SLA_SPANS_MAX);
    return rc;
}
