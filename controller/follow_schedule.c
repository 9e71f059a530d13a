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

#define FOLLOW_IN_A_PIECE 2000 /* pairs: 1 to 3 ms */

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
    bool begun;                         /* to be taken */
    struct follow_expansion *expansion; /* NULL: nothing is different, or it has come to its end */
};

static void free_rows(void *data)
{
    struct mesh_rows *r = data;

    follow_expansion_free(r->expansion); /* it borrows the meshes */
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

struct follow_expansion {
    struct mesh_rows *rows; /* NULL: the meshes are the same */
    struct overlay_mesh *meshes;
    struct overlay overlay;
    struct wanting *wanting; /* NULL: it is there */
    struct wanted wanted;
    struct tw_err err;
};

void follow_expansion_free(struct follow_expansion *x)
{
    if (!x)
        return;
    wanting_free(x->wanting);
    wanted_free(&x->wanted);
    free(x->meshes);
    free(x);
}

static bool fill_overlay(struct follow_expansion *x, const struct mesh_rows *r)
{
    struct overlay_mesh *v = x->meshes = calloc((r ? r->n : 0) + 1, sizeof *v);

    for (size_t i = 0; v && r && i < r->n; i++)
        v[i] = (struct overlay_mesh){
            .name = r->v[i].row.name, .put = r->v[i].mesh, .drop = r->v[i].drop, .paused = r->v[i].row.paused
        };
    x->overlay = (struct overlay){ .meshes = v, .n_meshes = r ? r->n : 0, .keep_slots = true };
    return v != NULL;
}

static enum tw_rc expansion_new(struct controller *c, struct mesh_rows *r, struct follow_expansion **ret)
{
    struct follow_expansion *x = calloc(1, sizeof *x);
    enum tw_rc rc = x && fill_overlay(x, r) ? TW_OK : TW_ENOMEM;

    if (rc == TW_OK) {
        x->rows = r;
        rc = wanting_new(&c->inv, &x->overlay, &x->wanting, &x->err);
    }
    if (rc != TW_OK) {
        follow_expansion_free(x);
        return rc;
    }
    *ret = x;
    return TW_OK;
}

enum tw_rc follow_now(struct controller *c, struct follow_expansion **ret)
{
    return expansion_new(c, NULL, ret);
}

/* Nobody has stored them. */
static size_t count_missing(const struct wanted *w)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n_changes; i++)
        n += w->changes[i].what == WANTED_ADDED && w->changes[i].row == PAIR_NEW;
    return n;
}

static enum tw_rc take_over(struct controller *c, struct follow_expansion *x)
{
    enum tw_rc rc = x->rows ? take_meshes(&c->inv, x->rows) : TW_OK;

    return rc == TW_OK ? adopt(c, &x->wanted, tw_wall_now().ns) : rc;
}

/* Digests are worked out ahead, so that to take it over is a short piece. */
enum tw_rc follow_expansion_go_on(struct controller *c, struct follow_expansion *x)
{
    size_t left = FOLLOW_IN_A_PIECE;

    if (x->wanting) {
        enum tw_rc rc = wanting_go_on(x->wanting, &left, &x->wanted);

        if (rc != TW_OK)
            return rc;
        wanting_free(x->wanting);
        x->wanting = NULL;
        follow_missing(c, count_missing(&x->wanted));
    }
    if (!left || wanted_sum(&c->inv, &x->wanted, (left + 1) / 2))
        return TW_EAGAIN;
    return take_over(c, x);
}

/* ---- After all parts ---- */

static enum tw_rc begin_to_take(struct controller *c, const struct follow_keys *keys, struct mesh_rows *r)
{
    enum tw_rc rc = add_dropped(&c->inv, keys, r);

    if (rc != TW_OK)
        return rc;
    r->begun = true;
    keep_different(&c->inv, r);
    return r->n || follow_must_expand(c) ? expansion_new(c, r, &r->expansion) : TW_OK;
}

static enum tw_rc take_rows(struct controller *c, struct follow_keys *keys, void *data)
{
    struct mesh_rows *r = data;
    enum tw_rc rc = r->begun ? TW_OK : begin_to_take(c, keys, r);

    if (rc == TW_OK && r->expansion)
        rc = follow_expansion_go_on(c, r->expansion);
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
