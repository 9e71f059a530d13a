/* Meshes, pairs, when pairs were scheduled. */
#include "db/store_priv.h"

#include <stdio.h>

enum tw_rc store_put_mesh(struct store *s, const struct store_mesh *m, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_MESH_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, m->name);
    sq_put_text(&c, m->document ? m->document : "");
    sq_put_i64(&c, m->paused);
    sq_put_i64(&c, (int64_t)m->generation);
    sq_put_i64(&c, m->changed_ns);
    sq_put_text(&c, m->author ? m->author : "");
    rc = sq_run(&c, err);
    return rc ? rc
              : control_put_version(s, m->name, m->generation, m->document ? m->document : "", m->paused,
                                    err);
}

enum tw_rc store_remove_mesh(struct store *s, const char *name, uint64_t generation, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_MESH_DELETE, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, name);
    rc = sq_next(&c, err);
    if (rc == TW_ENOENT)
        return tw_err_set(err, rc, "no mesh is named '%s'", name);
    if (!rc)
        rc = sq_run(&c, err);
    return rc ? rc : control_put_version(s, name, generation, NULL, false, err);
}

enum tw_rc store_each_mesh(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_mesh *m),
                           void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    struct store_mesh m;
    enum tw_rc rc = sq_start(s->q, ST_MESH_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        sq_take_name(&c, m.name, sizeof m.name);
        m.document = sq_take_text(&c);
        m.paused = sq_take_i64(&c) != 0;
        m.generation = (uint64_t)sq_take_i64(&c);
        m.changed_ns = sq_take_i64(&c);
        m.author = sq_take_text(&c);
        if ((rc = fn(ctx, &m)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* ---- Pairs -------------------------------------------------------------------------------------- */

/* FNV-1a over the names with their terminators, which no name contains. */
uint64_t store_pair_id(const struct store_pair *p)
{
    const char *const names[] = { p->mesh, p->class_name, p->source, p->target };
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < TW_NELEM(names); i++) {
        const char *c = names[i];
        do
            h = (h ^ (uint8_t)*c) * 0x100000001b3u;
        while (*c++);
    }
    h ^= h >> 32; /* the low bits of FNV depend on the low bits of the input only */
    h = (h * 0x9e3779b97f4a7c15u) >> 11;
    return h ? h : 1;
}

#define ID_TRIES 16

/* The multiplication is one to one in 53 bits: it never comes to 0. */
static uint64_t next_id(uint64_t id)
{
    return id * 0x9e3779b97f4a7c15u & ((UINT64_C(1) << 53) - 1);
}

/* Runs the statement with the pair's four names; fills p->id from its row. */
static enum tw_rc pair_id(struct store *s, enum store_stmt which, struct store_pair *p, struct tw_err *err)
{
    struct sq_cur c;
    uint64_t id;
    enum tw_rc rc = sq_start(s->q, which, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, p->mesh);
    sq_put_text(&c, p->class_name);
    sq_put_text(&c, p->source);
    sq_put_text(&c, p->target);
    if (which == ST_PAIR_INSERT) {
        sq_put_i64(&c, (int64_t)p->id);
        sq_put_i64(&c, p->slot);
    }
    rc = sq_next(&c, err);
    if (rc)
        return rc;
    id = (uint64_t)sq_take_i64(&c);
    rc = sq_run(&c, err);
    if (!rc)
        p->id = id;
    return rc;
}

enum tw_rc store_put_slot(struct store *s, uint64_t id, uint8_t slot, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_PAIR_SLOT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    sq_put_i64(&c, slot);
    rc = sq_next(&c, err);
    if (rc == TW_ENOENT)
        return tw_err_set(err, rc, "there is no pair %llu", (unsigned long long)id);
    return rc ? rc : sq_run(&c, err);
}

enum tw_rc store_put_pair(struct store *s, struct store_pair *p, struct tw_err *err)
{
    struct store_pair row = *p;
    enum tw_rc rc = pair_id(s, ST_PAIR_FIND, &row, err);

    if (rc == TW_OK && p->slot)
        rc = store_put_slot(s, row.id, p->slot, err);
    else if (rc == TW_ENOENT)
        row.id = store_pair_id(p);
    for (unsigned i = 0; rc == TW_ENOENT && i < ID_TRIES; i++) {
        rc = pair_id(s, ST_PAIR_INSERT, &row, err);
        if (rc == TW_ENOENT)
            row.id = next_id(row.id);
    }
    if (rc == TW_OK)
        p->id = row.id;
    return rc != TW_ENOENT
               ? rc
               : tw_err_set(err, TW_EEXIST,
                            "the pair %s to %s, class %s of mesh %s, finds no number that no other pair has; "
                            "rename the class or the mesh",
                            p->source, p->target, p->class_name, p->mesh);
}

static enum tw_rc each_pair(struct sq_cur *c, enum tw_rc (*fn)(void *ctx, const struct store_pair *p),
                            void *ctx, struct tw_err *err)
{
    struct store_pair p;
    enum tw_rc rc;

    while ((rc = sq_next(c, err)) == TW_OK) {
        p.id = (uint64_t)sq_take_i64(c);
        p.mesh = sq_take_text(c);
        p.class_name = sq_take_text(c);
        p.source = sq_take_text(c);
        p.target = sq_take_text(c);
        p.slot = (uint8_t)sq_take_i64(c);
        if ((rc = fn(ctx, &p)) != TW_OK) {
            sq_end(c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_each_pair(struct store *s, enum tw_rc (*fn)(void *ctx, const struct store_pair *p),
                           void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_PAIR_EACH, &c, err);

    return rc ? rc : each_pair(&c, fn, ctx, err);
}

enum tw_rc store_each_pair_after(struct store *s, uint64_t id, size_t limit,
                                 enum tw_rc (*fn)(void *ctx, const struct store_pair *p), void *ctx,
                                 struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_PAIR_AFTER, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    sq_put_i64(&c, (int64_t)limit);
    return each_pair(&c, fn, ctx, err);
}

enum tw_rc store_each_pair_of(struct store *s, const char *mesh, const char *class_name, const char *source,
                              enum tw_rc (*fn)(void *ctx, const struct store_pair *p), void *ctx,
                              struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_PAIR_OF, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, mesh);
    sq_put_text(&c, class_name);
    sq_put_text(&c, source);
    return each_pair(&c, fn, ctx, err);
}
