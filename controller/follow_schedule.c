/* Meshes and generations, and what is scheduled by them. Another controller has worked it out and stored it:
 * here it is expanded from the same documents and agents, so it comes out the same. */
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/change.h"
#include "controller/events.h"
#include "controller/fleet.h"
#include "controller/follow_priv.h"
#include "controller/schedule.h"

struct mesh_row {
    struct store_mesh row; /* its texts are ours */
    struct mesh
        *mesh; /* parsed, on the loop thread; NULL: the document is the same, or the inventory has it */
    bool drop;
};
struct mesh_rows {
    const struct follow_keys *keys;
    struct mesh_row *v;
    size_t n;
    uint64_t generation;
};

static void free_rows(void *data)
{
    struct mesh_rows *r = data;

    for (size_t i = 0; i < r->n; i++) {
        free((char *)r->v[i].row.document);
        free((char *)r->v[i].row.author);
        mesh_free(r->v[i].mesh);
    }
    free(r->v);
    free(r);
}

static struct mesh_row *more(struct mesh_rows *r)
{
    struct mesh_row *v = reallocarray(r->v, r->n + 1, sizeof *v);

    if (!v)
        return NULL;
    r->v = v;
    v[r->n] = (struct mesh_row){ 0 };
    return &v[r->n++];
}

static enum tw_rc add_row(void *ctx, const struct store_mesh *m)
{
    struct mesh_rows *r = ctx;
    struct mesh_row *row = follow_keys_have(r->keys, m->name) ? more(r) : NULL;

    if (!row)
        return follow_keys_have(r->keys, m->name) ? TW_ENOMEM : TW_OK;
    row->row = *m;
    row->row.document = strdup(m->document);
    row->row.author = strdup(m->author);
    return row->row.document && row->row.author ? TW_OK : TW_ENOMEM;
}

static enum tw_rc read_rows(const struct follow_keys *keys, struct store *s, void **ret, struct tw_err *err)
{
    struct mesh_rows *r = *ret = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r)
        return TW_ENOMEM;
    r->keys = keys;
    rc = store_last_generation(s, &r->generation, err);
    return rc == TW_OK ? store_each_mesh(s, add_row, r, err) : rc;
}

/* ---- What is different ---- */

static bool same_row(const struct mesh_state *m, const struct store_mesh *row)
{
    return m && m->row.paused == row->paused && m->row.generation == row->generation &&
           m->row.changed_ns == row->changed_ns && !strcmp(m->author, row->author) &&
           !strcmp(m->document, row->document);
}

/* One that cannot be read, of a newer release, stays as it was. */
static void parse(const struct inventory *inv, struct mesh_row *m)
{
    const struct mesh_state *known = inventory_mesh(inv, m->row.name);
    struct tw_err err = { 0 };

    if (known && !strcmp(known->document, m->row.document))
        return;
    if (mesh_doc_parse(m->row.name, m->row.document, strlen(m->row.document), &m->mesh, &err) != TW_OK)
        log_error("a mesh that another controller applied stays as it was: its document cannot be read",
                  LOG_S("mesh", m->row.name), LOG_S("error", err.text));
}

static void forget_row(struct mesh_rows *r, size_t i)
{
    free((char *)r->v[i].row.document);
    free((char *)r->v[i].row.author);
    r->v[i] = r->v[--r->n];
}

/* False: memory is as the row says, or cannot be. */
static bool is_different(const struct inventory *inv, struct mesh_row *m)
{
    const struct mesh_state *known = inventory_mesh(inv, m->row.name);

    if (m->drop)
        return true;
    if (same_row(known, &m->row))
        return false;
    parse(inv, m);
    return m->mesh || (known && !strcmp(known->document, m->row.document));
}

static void keep_different(const struct inventory *inv, struct mesh_rows *r)
{
    for (size_t i = r->n; i-- > 0;)
        if (!is_different(inv, &r->v[i]))
            forget_row(r, i);
}

static bool has_row(const struct mesh_rows *r, const char *name)
{
    for (size_t i = 0; i < r->n; i++)
        if (!strcmp(r->v[i].row.name, name))
            return true;
    return false;
}

/* Before the others are left out. */
static enum tw_rc add_dropped(const struct inventory *inv, const struct follow_keys *keys,
                              struct mesh_rows *r)
{
    for (const struct mesh_state *m = inv->meshes; m; m = m->hh.next) {
        struct mesh_row *row;

        if (!follow_keys_have(keys, m->row.name) || has_row(r, m->row.name))
            continue;
        row = more(r);
        if (!row)
            return TW_ENOMEM;
        row->drop = true;
        snprintf(row->row.name, sizeof row->row.name, "%s", m->row.name);
    }
    return TW_OK;
}

/* ---- Taken over ---- */

static void forget(void *ctx, struct pair *p)
{
    publish_forget(((struct controller *)ctx)->publish, p);
}

/* Who worked it out has closed the intervals that end by it. What is open now is known where each agent is
 * connected. */
static uint32_t *rows_that_change(struct inventory *inv, const struct wanted *w, size_t *ret_n)
{
    uint32_t *v = malloc((w->n_changes + 1) * sizeof *v);
    size_t n = 0;

    for (size_t i = 0; v && i < w->n_changes; i++) {
        const struct wanted_change *c = &w->changes[i];

        if (c->row >= PAIR_ABSENT)
            continue;
        schedule_set_interval(pair_table_at(&inv->pairs, c->row), INTERVAL_CLOSED);
        if (c->what != WANTED_REMOVED)
            v[n++] = c->row;
    }
    *ret_n = n;
    return v;
}

static void note_intervals(struct inventory *inv, const uint32_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pair *p = pair_table_at(&inv->pairs, v[i]);

        if (!p->scheduled)
            continue;
        schedule_set_interval(p, INTERVAL_MAYBE);
        pair_interval_set(p);
    }
}

static enum tw_rc adopt(struct controller *c, struct wanted *w, int64_t now_ns)
{
    size_t n = 0;
    uint32_t *rows = rows_that_change(&c->inv, w, &n);
    enum tw_rc rc = rows ? schedule_adopt(&c->inv, w, now_ns, forget, c) : TW_ENOMEM;

    if (rc == TW_OK)
        note_intervals(&c->inv, rows, n);
    free(rows);
    change_note_behind(&c->inv, now_ns);
    return rc;
}

/* The expansion has the new documents already, and knows the old ones only by name. */
static enum tw_rc take_meshes(struct inventory *inv, struct mesh_rows *r)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < r->n; i++) {
        struct mesh_row *m = &r->v[i];
        struct mesh_state *known = inventory_mesh(inv, m->row.name);

        if (m->drop) {
            inventory_drop_mesh(inv, known);
        } else if (m->mesh) {
            rc = inventory_put_mesh(inv, &m->row, m->mesh);
            if (rc == TW_OK)
                m->mesh = NULL;
        } else {
            rc = inventory_touch_mesh(known, &m->row);
        }
    }
    return rc;
}

static enum tw_rc overlay_of(const struct mesh_rows *r, struct overlay *ret, struct overlay_mesh **ret_meshes)
{
    struct overlay_mesh *v = calloc((r ? r->n : 0) + 1, sizeof *v);

    if (!v)
        return TW_ENOMEM;
    for (size_t i = 0; r && i < r->n; i++)
        v[i] = (struct overlay_mesh){
            .name = r->v[i].row.name, .put = r->v[i].mesh, .drop = r->v[i].drop, .paused = r->v[i].row.paused
        };
    *ret = (struct overlay){ .meshes = v, .n_meshes = r ? r->n : 0, .keep_slots = true };
    *ret_meshes = v;
    return TW_OK;
}

/* Nobody has stored them. */
static size_t count_missing(const struct wanted *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_changes; i++)
        n += w->changes[i].what == WANTED_ADDED && w->changes[i].row == PAIR_NEW;
    return n;
}

/* r NULL: the meshes are the same. */
static enum tw_rc expand(struct controller *c, struct mesh_rows *r)
{
    struct overlay_mesh *meshes;
    struct wanted w = { 0 };
    struct tw_err err = { 0 };
    struct overlay o;
    enum tw_rc rc = overlay_of(r, &o, &meshes);

    if (rc != TW_OK)
        return rc;
    rc = wanted_build(&c->inv, &o, &w, &err);
    free(meshes);
    if (rc == TW_OK)
        follow_missing(c, count_missing(&w));
    if (rc == TW_OK && r)
        rc = take_meshes(&c->inv, r);
    if (rc == TW_OK)
        rc = adopt(c, &w, tw_wall_now().ns);
    wanted_free(&w);
    return rc;
}

enum tw_rc follow_now(struct controller *c)
{
    return expand(c, NULL);
}

/* ---- After all parts ---- */

static enum tw_rc take_rows(struct controller *c, struct follow_keys *keys, void *data)
{
    struct mesh_rows *r = data;
    enum tw_rc rc = add_dropped(&c->inv, keys, r);

    if (rc != TW_OK)
        return rc;
    keep_different(&c->inv, r);
    if (r->n || follow_must_expand(c))
        rc = expand(c, r);
    if (rc != TW_OK)
        return rc;
    follow_expanded(c);
    if (c->inv.generation != r->generation)
        log_info("schedule followed", LOG_U("generation", r->generation));
    c->inv.generation = r->generation;
    events_note(c->events, EVENT_SCHEDULE);
    fleet_push_all(c);
    return TW_OK;
}

const struct follow_part follow_meshes = { "meshes", true, read_rows, take_rows, free_rows };
