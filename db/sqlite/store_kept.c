/* What meshes keep: what is kept no more is told first, so that readers look for it no more; then the history
 * lets it go. */
#include "db/store_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "db/level.h"

#define TEST_MESH "on-demand" /* what tests on demand measure is in no cell */

static enum tw_rc no_memory(struct store *s, struct tw_err *err)
{
    return sq_no_memory(s->q, err);
}

void kept_forget(struct store *s)
{
    struct kept *k = &s->kept;

    for (size_t i = 0; i < k->n_groups; i++)
        free((void *)k->groups[i].pair_ids);
    free(k->groups);
    free(k->mesh_of);
    free(k->meshes);
    *k = (struct kept){ .planned = false };
}

/* ---- What is kept ------------------------------------------------------------------------------- */

/* Whole days; a level is kept at least as long as the finer ones. */
static void kept_of(const struct store_retention *r, const char *mesh, int64_t ret_from_ns[STORE_LEVELS])
{
    const struct store_keep *own = NULL;
    int64_t keep = 0;

    for (size_t i = 0; i < r->n_meshes && mesh && !own; i++)
        if (!strcmp(r->meshes[i].mesh, mesh))
            own = &r->meshes[i].keep;
    for (int l = 0; l < STORE_LEVELS; l++) {
        int64_t ns = own && own->ns[l] ? own->ns[l] : r->keep.ns[l];
        keep = ns > keep ? ns : keep;
        ret_from_ns[l] = level_cell(STORE_1D, r->now_ns > keep ? r->now_ns - keep : 0);
    }
}

static enum tw_rc add_mesh(struct store *s, const char *name, const struct store_retention *r, size_t *cap,
                           struct tw_err *err)
{
    struct kept *k = &s->kept;
    int64_t wanted[STORE_LEVELS];
    struct kept_mesh *m;

    if (!TW_GROW(&k->meshes, k->n_meshes, cap, 16))
        return no_memory(s, err);
    m = &k->meshes[k->n_meshes++];
    *m = (struct kept_mesh){ .name = "" };
    snprintf(m->name, sizeof m->name, "%s", name);
    kept_of(r, name, wanted);
    for (int l = 0; l < STORE_LEVELS; l++)
        m->level[l] =
            (struct kept_level){ .from_ns = INT64_MIN, .done_ns = INT64_MIN, .wanted_ns = wanted[l] };
    return TW_OK;
}

static enum tw_rc load_meshes(struct store *s, const struct store_retention *r, struct tw_err *err)
{
    struct sq_cur c;
    size_t cap = 0;
    enum tw_rc rc = sq_start(s->q, ST_KEPT_MESHES, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        rc = add_mesh(s, sq_take_text(&c), r, &cap, err);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc load_kept(struct store *s, struct tw_err *err)
{
    struct kept *k = &s->kept;
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_KEPT_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        const char *mesh = sq_take_text(&c);
        int64_t level = sq_take_i64(&c), from = sq_take_i64(&c), done = sq_take_i64(&c);
        for (size_t i = 0; i < k->n_meshes && level >= 0 && level < STORE_LEVELS; i++)
            if (!strcmp(k->meshes[i].name, mesh)) {
                k->meshes[i].level[level].from_ns = from;
                k->meshes[i].level[level].done_ns = done;
            }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc put_kept(struct store *s, const char *mesh, int level, int64_t from, int64_t done,
                           struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_KEPT_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, mesh);
    sq_put_i64(&c, level);
    sq_put_i64(&c, from);
    sq_put_i64(&c, done);
    return sq_run(&c, err);
}

/* What was gone stays gone, though it would be kept longer from now on. The least that all keep is in
 * k->asked.from_ns afterwards. */
static enum tw_rc put_all_kept(struct store *s, const struct store_retention *r, struct tw_err *err)
{
    struct kept *k = &s->kept;
    enum tw_rc rc = TW_OK;

    kept_of(r, NULL, k->asked.from_ns);
    for (size_t i = 0; i < k->n_meshes; i++)
        for (int l = 0; l < STORE_LEVELS && !rc; l++) {
            struct kept_level *v = &k->meshes[i].level[l];
            if (v->wanted_ns > v->from_ns) {
                v->from_ns = v->wanted_ns;
                rc = put_kept(s, k->meshes[i].name, l, v->from_ns, v->done_ns, err);
            }
            if (v->wanted_ns < k->asked.from_ns[l])
                k->asked.from_ns[l] = v->wanted_ns;
        }
    return rc;
}

/* ---- Those that keep less ----------------------------------------------------------------------- */

static bool keeps_less(const struct kept *k, const struct kept_mesh *m)
{
    for (int l = 0; l < STORE_LEVELS; l++)
        if (m->level[l].from_ns > k->asked.from_ns[l] && m->level[l].from_ns > m->level[l].done_ns)
            return true;
    return false;
}

static enum tw_rc load_pairs(struct store *s, const char *mesh, uint64_t **ret, size_t *ret_n,
                             struct tw_err *err)
{
    struct sq_cur c;
    size_t cap = 0;
    enum tw_rc rc = sq_start(s->q, ST_KEPT_PAIRS, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, mesh);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        if (!TW_GROW(ret, *ret_n, &cap, 256)) {
            sq_end(&c);
            return no_memory(s, err);
        }
        (*ret)[(*ret_n)++] = (uint64_t)sq_take_i64(&c);
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc add_group(struct store *s, size_t mesh, struct tw_err *err)
{
    struct kept *k = &s->kept;
    const struct kept_mesh *m = &k->meshes[mesh];
    struct history_group *g = &k->groups[k->n_groups];
    uint64_t *ids = NULL;
    enum tw_rc rc;

    *g = (struct history_group){ .n_pairs = 0 };
    for (int l = 0; l < STORE_LEVELS; l++) {
        g->from_ns[l] = m->level[l].from_ns;
        g->done_ns[l] = m->level[l].done_ns;
    }
    k->mesh_of[k->n_groups++] = mesh;
    rc = load_pairs(s, m->name, &ids, &g->n_pairs, err);
    g->pair_ids = ids;
    return rc;
}

static enum tw_rc make_groups(struct store *s, struct tw_err *err)
{
    struct kept *k = &s->kept;
    enum tw_rc rc = TW_OK;

    k->groups = calloc(k->n_meshes + 1, sizeof *k->groups);
    k->mesh_of = calloc(k->n_meshes + 1, sizeof *k->mesh_of);
    if (!k->groups || !k->mesh_of)
        return no_memory(s, err);
    for (size_t i = 0; i < k->n_meshes && !rc; i++)
        if (keeps_less(k, &k->meshes[i]))
            rc = add_group(s, i, err);
    return rc;
}

static enum tw_rc group_done(void *ctx, size_t group, enum store_level level, struct tw_err *err)
{
    struct store *s = ctx;
    const struct kept_mesh *m = &s->kept.meshes[s->kept.mesh_of[group]];

    return put_kept(s, m->name, (int)level, m->level[level].from_ns, m->level[level].from_ns, err);
}

/* ---- Control state of the past ------------------------------------------------------------------ */

static enum tw_rc run_i64(struct store *s, enum store_stmt which, int64_t v, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, which, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, v);
    return sq_run(&c, err);
}

/* What completeness needs is kept as long as any level; tests as long as summaries. */
static enum tw_rc retain_control(struct store *s, struct tw_err *err)
{
    static const enum store_stmt by_last[] = { ST_RETAIN_INTERVAL, ST_RETAIN_ABSENCE, ST_RETAIN_MAINTENANCE };
    static const enum store_stmt by_raw[] = { ST_RETAIN_TEST_RUN, ST_RETAIN_TEST };
    struct sq_cur c;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(by_last) && !rc; i++)
        rc = run_i64(s, by_last[i], s->kept.asked.from_ns[STORE_1D], err);
    for (size_t i = 0; i < TW_NELEM(by_raw) && !rc; i++)
        rc = run_i64(s, by_raw[i], s->kept.asked.from_ns[STORE_RAW], err);
    if (!rc)
        rc = sq_start(s->q, ST_RETAIN_RULE, &c, err);
    return rc ? rc : sq_run(&c, err);
}

/* ---- Retention ---------------------------------------------------------------------------------- */

enum tw_rc kept_plan(struct store *s, const struct store_retention *r, struct tw_err *err)
{
    struct kept *k = &s->kept;
    enum tw_rc rc;

    kept_forget(s);
    rc = load_meshes(s, r, err);
    if (!rc)
        rc = load_kept(s, err);
    if (!rc)
        rc = put_all_kept(s, r, err);
    if (!rc)
        rc = make_groups(s, err);
    if (!rc)
        rc = retain_control(s, err);
    k->asked.now_ns = r->now_ns;
    k->asked.groups = k->groups;
    k->asked.n_groups = k->n_groups;
    k->asked.done = group_done;
    k->asked.ctx = s;
    k->planned = !rc;
    return rc;
}

enum tw_rc kept_read(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *err)
{
    struct store_reader *r = ctx;
    struct sq_cur c;
    enum tw_rc rc = sq_start(r->q, ST_READ_KEPT, &c, err);

    for (int l = 0; l < STORE_LEVELS; l++)
        ret->from_ns[l] = INT64_MIN;
    ret->raw_only = false;
    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)pair_id);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        bool test = !strcmp(sq_take_text(&c), TEST_MESH);
        int64_t level = sq_take_i64(&c), from = sq_take_i64(&c);
        if (level >= 0 && level < STORE_LEVELS)
            ret->from_ns[level] = from;
        ret->raw_only |= test;
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
