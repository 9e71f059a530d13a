/* Retention, step by step: what is kept no more is told first, so that readers look for it no more; then
 * tables go whole, and the rows of meshes that keep less than others go from theirs. */
#include "db/sqlite/store_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DELETE_ROWS 5000 /* a step */
#define SLICE_ROWS 1000

static enum tw_rc no_memory(struct store *s, struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", s->q.spec->what, s->q.path);
}

void retain_forget(struct store *s)
{
    free(s->retain.meshes);
    free(s->retain.todo);
    s->retain = (struct retain){ .active = false };
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
    struct retain *t = &s->retain;
    struct retain_mesh *m;

    if (t->n_meshes == *cap) {
        struct retain_mesh *more = realloc(t->meshes, (*cap = *cap ? 2 * *cap : 16) * sizeof *more);
        if (!more)
            return no_memory(s, err);
        t->meshes = more;
    }
    m = &t->meshes[t->n_meshes++];
    *m = (struct retain_mesh){ .level = { { 0 } } };
    snprintf(m->name, sizeof m->name, "%s", name);
    for (int l = 0; l < STORE_LEVELS; l++)
        m->level[l].from_ns = m->level[l].done_ns = INT64_MIN;
    kept_of(r, name, t->from_ns);
    for (int l = 0; l < STORE_LEVELS; l++)
        m->level[l].wanted_ns = t->from_ns[l];
    return TW_OK;
}

static enum tw_rc load_meshes(struct store *s, const struct store_retention *r, struct tw_err *err)
{
    struct sq_cur c;
    size_t cap = 0;
    enum tw_rc rc = sq_start(&s->q, ST_KEPT_MESHES, &c, err);

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
    struct retain *t = &s->retain;
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_KEPT_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        const char *mesh = sq_take_text(&c);
        int64_t level = sq_take_i64(&c), from = sq_take_i64(&c), done = sq_take_i64(&c);
        for (size_t i = 0; i < t->n_meshes && level >= 0 && level < STORE_LEVELS; i++)
            if (!strcmp(t->meshes[i].name, mesh)) {
                t->meshes[i].level[level].from_ns = from;
                t->meshes[i].level[level].done_ns = done;
            }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc put_kept(struct store *s, const char *mesh, int level, int64_t from, int64_t done,
                           struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_KEPT_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, mesh);
    sq_put_i64(&c, level);
    sq_put_i64(&c, from);
    sq_put_i64(&c, done);
    return sq_run(&c, err);
}

/* What was gone stays gone, though it would be kept longer from now on. The least that all keep is in
 * t->from_ns afterwards. */
static enum tw_rc put_all_kept(struct store *s, const struct store_retention *r, struct tw_err *err)
{
    struct retain *t = &s->retain;
    enum tw_rc rc = TW_OK;

    kept_of(r, NULL, t->from_ns);
    for (size_t i = 0; i < t->n_meshes; i++)
        for (int l = 0; l < STORE_LEVELS && !rc; l++) {
            struct retain_level *k = &t->meshes[i].level[l];
            if (k->wanted_ns > k->from_ns) {
                k->from_ns = k->wanted_ns;
                rc = put_kept(s, t->meshes[i].name, l, k->from_ns, k->done_ns, err);
            }
            if (k->wanted_ns < t->from_ns[l])
                t->from_ns[l] = k->wanted_ns;
        }
    return rc;
}

/* ---- What is to be done ------------------------------------------------------------------------- */

static enum tw_rc add_todo(struct store *s, const struct retain_todo *todo, struct tw_err *err)
{
    struct retain *t = &s->retain;

    if (t->n_todo == t->cap_todo) {
        size_t cap = t->cap_todo ? 2 * t->cap_todo : 16;
        struct retain_todo *more = realloc(t->todo, cap * sizeof *more);
        if (!more)
            return no_memory(s, err);
        t->todo = more;
        t->cap_todo = cap;
    }
    t->todo[t->n_todo++] = *todo;
    return TW_OK;
}

/* Tables that are all older than anybody keeps. */
static enum tw_rc plan_tables(struct store *s, struct tw_err *err)
{
    const struct rollup *r = &s->rollup;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < r->n_parts && !rc; i++) {
        const struct cells_part *p = &r->parts[i].part;
        if (r->parts[i].rows + r->parts[i].add_rows > 0 &&
            day_start(p->end_day) <= s->retain.from_ns[p->level])
            rc = add_todo(s, &(struct retain_todo){ .part = *p, .mesh = -1 }, err);
    }
    return rc;
}

/* Rows of a mesh that keeps less than others, where that has grown more since the last time. */
static enum tw_rc plan_rows(struct store *s, size_t mesh, int level, struct tw_err *err)
{
    const struct rollup *r = &s->rollup;
    const struct retain_level *k = &s->retain.meshes[mesh].level[level];
    struct retain_todo todo = { .mesh = (int)mesh };
    enum tw_rc rc = TW_OK;

    if (k->from_ns <= s->retain.from_ns[level] || k->from_ns <= k->done_ns)
        return TW_OK;
    for (size_t i = 0; i < r->n_parts && !rc; i++) {
        const struct cells_part *p = &r->parts[i].part;
        if ((int)p->level != level || day_start(p->first_day) >= k->from_ns ||
            (k->done_ns > 0 && day_start(p->end_day) <= k->done_ns) ||
            day_start(p->end_day) <= s->retain.from_ns[level])
            continue;
        todo.part = *p;
        rc = add_todo(s, &todo, err);
    }
    todo.part = (struct cells_part){ .level = (enum store_level)level };
    todo.last = true;
    return rc ? rc : add_todo(s, &todo, err);
}

static enum tw_rc run_plain(struct store *s, enum store_stmt which, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, which, &c, err);

    return rc ? rc : sq_run(&c, err);
}

static enum tw_rc run_i64(struct store *s, enum store_stmt which, int64_t v, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, which, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, v);
    return sq_run(&c, err);
}

/* What completeness needs is kept as long as any level, and so is what joins loss runs over the ends of periods; loss runs themselves and tests as
 * long as summaries. */
static enum tw_rc retain_others(struct store *s, struct tw_err *err)
{
    int64_t raw_ns = s->retain.from_ns[STORE_RAW], last_ns = s->retain.from_ns[STORE_1D];
    enum tw_rc rc = runs_drop_days(&s->q, &s->insert_runs, day_of(raw_ns), err);

    if (!rc)
        rc = runs_drop_chains(&s->q, day_of(last_ns), err);
    if (!rc)
        rc = run_i64(s, ST_RETAIN_GAP, last_ns, err);
    if (!rc)
        rc = run_i64(s, ST_RETAIN_INTERVAL, last_ns, err);
    if (!rc)
        rc = run_i64(s, ST_RETAIN_ABSENCE, last_ns, err);
    if (!rc)
        rc = run_i64(s, ST_RETAIN_MAINTENANCE, last_ns, err);
    if (!rc)
        rc = run_plain(s, ST_RETAIN_RULE, err);
    if (!rc)
        rc = run_i64(s, ST_RETAIN_TEST_RUN, raw_ns, err);
    return rc ? rc : run_i64(s, ST_RETAIN_TEST, raw_ns, err);
}

static enum tw_rc make_plan(struct store *s, const struct store_retention *r, struct tw_err *err)
{
    enum tw_rc rc;

    retain_forget(s);
    rc = load_meshes(s, r, err);
    if (!rc)
        rc = load_kept(s, err);
    if (!rc)
        rc = put_all_kept(s, r, err);
    if (!rc)
        rc = plan_tables(s, err);
    for (size_t i = 0; i < s->retain.n_meshes; i++)
        for (int l = 0; l < STORE_LEVELS && !rc; l++)
            rc = plan_rows(s, i, l, err);
    if (!rc)
        rc = retain_others(s, err);
    s->retain.active = !rc;
    return rc;
}

/* ---- Doing it ----------------------------------------------------------------------------------- */

/* Rows of the open transaction in dropped days. */
static void forget_latest(struct store *s, int64_t day)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n_latest; i++)
        if (s->latest[i].day != day)
            s->latest[kept++] = s->latest[i];
    s->n_latest = kept;
}

static enum tw_rc drop_table(struct store *s, const struct cells_part *p, struct tw_err *err)
{
    char name[CELLS_NAME], text[CELLS_NAME + 24];
    enum tw_rc rc = rollup_forget(s, p, err);

    if (rc)
        return rc;
    if (p->level == STORE_RAW) {
        char day[DAY_NAME];
        day_cache_drop(&s->insert, p->first_day);
        forget_latest(s, p->first_day);
        snprintf(text, sizeof text, "DROP TABLE IF EXISTS %s", day_name(p->first_day, day));
        rc = run_i64(s, ST_RETAIN_LATEST, p->first_day, err);
    } else {
        snprintf(text, sizeof text, "DROP TABLE IF EXISTS %s", cells_name(p, name));
    }
    return rc ? rc : sq_exec(&s->q, text, err);
}

/* The row with the highest number stays, whosever it is: a number that is used again would be behind what is
 * rolled up. */
static enum tw_rc delete_rows(struct store *s, const struct retain_todo *todo, int *ret_n, struct tw_err *err)
{
    const struct retain_mesh *m = &s->retain.meshes[todo->mesh];
    const char *time = todo->part.level == STORE_RAW ? "start_ns" : "cell_ns";
    char cells[CELLS_NAME], day[DAY_NAME], text[400];
    const char *name =
        todo->part.level == STORE_RAW ? day_name(todo->part.first_day, day) : cells_name(&todo->part, cells);
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc;

    snprintf(
        text, sizeof text,
        "DELETE FROM %s WHERE rowid IN (SELECT t.rowid FROM pair AS p CROSS JOIN %s AS t ON t.pair_id = p.id"
        " WHERE p.mesh = ? AND t.%s < ? AND t.rowid < (SELECT max(rowid) FROM %s) LIMIT %d)",
        name, name, time, name, DELETE_ROWS);
    rc = sq_prepare(&s->q, text, &st, err);
    if (rc)
        return rc;
    sq_start_stmt(&s->q, st, &c);
    sq_put_text(&c, m->name);
    sq_put_i64(&c, m->level[todo->part.level].from_ns);
    rc = sq_run(&c, err);
    *ret_n = sqlite3_changes(s->q.db);
    sqlite3_finalize(st);
    return rc;
}

static enum tw_rc delete_latest(struct store *s, const struct retain_mesh *m, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_RETAIN_MESH_LATEST, &c, err);

    if (rc)
        return rc;
    sq_put_text(&c, m->name);
    sq_put_i64(&c, day_of(m->level[STORE_RAW].from_ns));
    return sq_run(&c, err);
}

static int64_t octets_per_row(struct store *s, const struct cells_part *p)
{
    for (size_t i = 0; i < s->rollup.n_parts; i++) {
        const struct part_state *st = &s->rollup.parts[i];
        if (st->part.level == p->level && st->part.first_day == p->first_day && st->rows > 0)
            return st->octets / st->rows;
    }
    return 0;
}

/* *ret_done false: more of it is left. */
static enum tw_rc work(struct store *s, const struct retain_todo *todo, bool *ret_done, struct tw_err *err)
{
    struct retain_mesh *m = todo->mesh < 0 ? NULL : &s->retain.meshes[todo->mesh];
    int n = 0;
    enum tw_rc rc;

    *ret_done = true;
    if (todo->last) {
        struct retain_level *k = &m->level[todo->part.level];
        k->done_ns = k->from_ns;
        return put_kept(s, m->name, todo->part.level, k->from_ns, k->done_ns, err);
    }
    if (todo->part.level == STORE_RAW && rollup_waits(s, todo->part.first_day)) {
        *ret_done = false; /* not before it is rolled up */
        return rollup_now(s, todo->part.first_day, SLICE_ROWS, err);
    }
    if (!m)
        return drop_table(s, &todo->part, err);
    rc = todo->part.level == STORE_RAW ? delete_latest(s, m, err) : TW_OK;
    if (!rc)
        rc = delete_rows(s, todo, &n, err);
    *ret_done = n < DELETE_ROWS;
    return rc || !n ? rc : rollup_part_add(s, &todo->part, -n, -n * octets_per_row(s, &todo->part), err);
}

static enum tw_rc step(struct store *s, const struct store_retention *r, bool *ret_more, struct tw_err *err)
{
    struct retain *t = &s->retain;
    bool done = true;
    enum tw_rc rc = t->active ? TW_OK : make_plan(s, r, err);

    if (!rc && t->at < t->n_todo) {
        rc = work(s, &t->todo[t->at], &done, err);
        t->at += !rc && done;
    }
    *ret_more = !rc && t->at < t->n_todo;
    if (!*ret_more)
        retain_forget(s);
    return rc;
}

enum tw_rc store_retain(struct store *s, const struct store_retention *r, bool *ret_more, struct tw_err *err)
{
    bool own = !s->q.in_txn;
    enum tw_rc rc = own ? store_begin(s, err) : TW_OK;

    if (rc)
        return rc;
    s->shrink = true;
    rc = step(s, r, ret_more, err);
    if (rc && own)
        store_rollback(s);
    else if (rc)
        s->broken = rc;
    return rc || !own ? rc : store_commit(s, err);
}
