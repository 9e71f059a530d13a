/* Generations of the schedule, and the documents that meshes had in them. A document is stored once, however
 * many generations have it. */
#include "db/store_priv.h"

#include <limits.h>
#include <string.h>

/* ---- Documents ---------------------------------------------------------------------------------- */

/* FNV-1a; 0 is that of documents which a migration took over. */
static int64_t hash_text(const char *text)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *text; text++)
        h = (h ^ (uint8_t)*text) * 0x100000001b3u;
    return h ? (int64_t)h : 1;
}

static enum tw_rc document_row(struct store *s, enum store_stmt which, const char *text, int64_t *ret_id,
                               struct tw_err *err)
{
    struct sq_cur c;
    int64_t id;
    enum tw_rc rc = sq_start(s->q, which, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, hash_text(text));
    sq_put_text(&c, text);
    rc = sq_next(&c, err);
    if (rc)
        return rc;
    id = sq_take_i64(&c);
    rc = sq_run(&c, err);
    if (!rc)
        *ret_id = id;
    return rc;
}

enum tw_rc control_put_version(struct store *s, const char *mesh, uint64_t generation, const char *document,
                               bool paused, struct tw_err *err)
{
    struct sq_cur c;
    int64_t id = 0;
    enum tw_rc rc = document ? document_row(s, ST_DOCUMENT_FIND, document, &id, err) : TW_OK;

    if (rc == TW_ENOENT)
        rc = document_row(s, ST_DOCUMENT_PUT, document, &id, err);
    if (!rc)
        rc = sq_start(s->q, ST_VERSION_PUT, &c, err);
    if (rc)
        return rc;
    sq_put_text(&c, mesh);
    sq_put_i64(&c, (int64_t)generation);
    if (document)
        sq_put_i64(&c, id);
    else
        sq_put_null(&c);
    sq_put_i64(&c, paused);
    return sq_run(&c, err);
}

/* ---- Generations -------------------------------------------------------------------------------- */

static enum tw_rc merge_generations(struct store *s, uint64_t first, uint64_t number, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_GENERATION_MERGE, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)first);
    sq_put_i64(&c, (int64_t)number);
    return sq_run(&c, err);
}

enum tw_rc store_put_generation(struct store *s, const struct store_generation *g, struct tw_err *err)
{
    uint64_t first = g->first ? g->first : g->number;
    struct sq_cur c;
    enum tw_rc rc = first < g->number ? merge_generations(s, first, g->number, err) : TW_OK;

    if (!rc)
        rc = sq_start(s->q, ST_GENERATION_PUT, &c, err);
    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)g->number);
    sq_put_i64(&c, (int64_t)first);
    sq_put_i64(&c, g->time_ns);
    sq_put_text(&c, g->author ? g->author : "");
    sq_put_text(&c, g->what ? g->what : "");
    sq_put_text(&c, g->reason ? g->reason : "");
    sq_put_i64(&c, (int64_t)g->pairs);
    sq_put_i64(&c, (int64_t)g->added);
    sq_put_i64(&c, (int64_t)g->removed);
    sq_put_i64(&c, (int64_t)g->changed);
    rc = sq_run(&c, err);
    if (rc == TW_EEXIST)
        return tw_err_set(err, rc, "generation %llu is recorded already", (unsigned long long)g->number);
    return rc;
}

enum tw_rc store_last_generation(struct store *s, uint64_t *ret, struct tw_err *err)
{
    struct sq_cur c;
    uint64_t last;
    enum tw_rc rc = sq_start(s->q, ST_GENERATION_LAST, &c, err);

    if (!rc)
        rc = sq_next(&c, err);
    if (rc)
        return rc;
    last = (uint64_t)sq_take_i64(&c);
    rc = sq_run(&c, err);
    if (!rc)
        *ret = last;
    return rc;
}

/* ---- What is kept ------------------------------------------------------------------------------- */

static enum tw_rc retain(struct store *s, int64_t before_ns, struct tw_err *err)
{
    static const enum store_stmt then[] = { ST_RETAIN_VERSION, ST_RETAIN_DELETED, ST_RETAIN_DOCUMENT };
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_RETAIN_GENERATION, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, before_ns);
    rc = sq_run(&c, err);
    for (size_t i = 0; !rc && i < TW_NELEM(then); i++) {
        rc = sq_start(s->q, then[i], &c, err);
        if (!rc)
            rc = sq_run(&c, err);
    }
    return rc;
}

enum tw_rc store_retain_history(struct store *s, int64_t before_ns, struct tw_err *err)
{
    enum tw_rc rc;

    if (s->q->in_txn)
        return retain(s, before_ns, err);
    rc = store_begin(s, err);
    if (rc)
        return rc;
    rc = retain(s, before_ns, err);
    if (!rc)
        return store_commit(s, err);
    store_rollback(s);
    return rc;
}

/* ---- Reading ------------------------------------------------------------------------------------ */

typedef enum tw_rc (*generation_fn)(void *ctx, const struct store_generation *g);

static void take_generation(struct sq_cur *c, struct store_generation *g)
{
    int64_t pairs;

    g->number = (uint64_t)sq_take_i64(c);
    g->first = (uint64_t)sq_take_i64(c);
    g->time_ns = sq_take_i64(c);
    g->author = sq_take_text(c);
    g->what = sq_take_text(c);
    g->reason = sq_take_text(c);
    pairs = sq_take_i64(c);
    g->counted = pairs >= 0;
    g->pairs = pairs >= 0 ? (uint64_t)pairs : 0;
    g->added = (uint64_t)sq_take_i64(c);
    g->removed = (uint64_t)sq_take_i64(c);
    g->changed = (uint64_t)sq_take_i64(c);
    g->complete = sq_take_i64(c) != 0;
}

/* TW_ENOENT: there was no row at all. */
static enum tw_rc each_generation(struct sq_cur *c, generation_fn fn, void *ctx, struct tw_err *err)
{
    struct store_generation g;
    bool any = false;
    enum tw_rc rc;

    while ((rc = sq_next(c, err)) == TW_OK) {
        any = true;
        take_generation(c, &g);
        if ((rc = fn(ctx, &g)) != TW_OK) {
            sq_end(c);
            return rc;
        }
    }
    return rc == TW_ENOENT && any ? TW_OK : rc;
}

enum tw_rc store_read_generations(struct store_reader *r, uint64_t before, uint64_t limit, generation_fn fn,
                                  void *ctx, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_GENERATIONS, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, before && before < INT64_MAX ? (int64_t)before : INT64_MAX);
    sq_put_i64(&c, limit < INT64_MAX ? (int64_t)limit : INT64_MAX);
    rc = each_generation(&c, fn, ctx, err);
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_read_generation(struct store_reader *r, uint64_t number, generation_fn fn, void *ctx,
                                 struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_GENERATION, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, number < INT64_MAX ? (int64_t)number : INT64_MAX);
    rc = each_generation(&c, fn, ctx, err);
    if (rc == TW_ENOENT)
        return tw_err_set(err, rc, "generation %llu is not in the history", (unsigned long long)number);
    return rc;
}

static void take_change(struct sq_cur *c, struct store_mesh_change *m)
{
    bool any;

    m->mesh = sq_take_text(c);
    any = sq_take_i64(c) != 0;
    m->after = sq_take_text(c);
    m->after = any ? m->after : NULL;
    m->paused = sq_take_i64(c) != 0;
    any = sq_take_i64(c) != 0;
    m->before = sq_take_text(c);
    m->before = any ? m->before : NULL;
    m->was_paused = sq_take_i64(c) != 0;
}

enum tw_rc store_read_mesh_changes(struct store_reader *r, uint64_t generation,
                                   enum tw_rc (*fn)(void *ctx, const struct store_mesh_change *c), void *ctx,
                                   struct tw_err *err)
{
    struct store_mesh_change m;
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_MESH_CHANGES, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)generation);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        take_change(&c, &m);
        if ((rc = fn(ctx, &m)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_read_meshes_at(struct store_reader *r, uint64_t generation,
                                enum tw_rc (*fn)(void *ctx, const struct store_mesh *m), void *ctx,
                                struct tw_err *err)
{
    struct store_mesh m = { .author = "" };
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_MESHES_AT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)generation);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        sq_take_name(&c, m.name, sizeof m.name);
        m.document = sq_take_text(&c);
        m.paused = sq_take_i64(&c) != 0;
        m.generation = (uint64_t)sq_take_i64(&c);
        if ((rc = fn(ctx, &m)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
