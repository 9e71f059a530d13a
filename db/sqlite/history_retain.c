/* Retention, step by step: tables that nobody keeps go whole; then the rows of pairs that keep less than
 * others go from theirs. */
#include "db/sqlite/history_priv.h"
#include "common/grow.h"

#include <stdio.h>
#include <stdlib.h>

#define DELETE_ROWS 5000 /* a step */
#define DELETE_PAIRS 20000
#define SLICE_ROWS 1000

void retain_forget(struct sqlite_history *s)
{
    free(s->retain.todo);
    s->retain = (struct retain){ .active = false };
}

/* ---- What is to be done ------------------------------------------------------------------------- */

static enum tw_rc add_todo(struct sqlite_history *s, const struct retain_todo *todo, struct tw_err *err)
{
    struct retain *t = &s->retain;

    if (!TW_GROW(&t->todo, t->n_todo, &t->cap_todo, 16))
        return sq_no_memory(&s->q, err);
    t->todo[t->n_todo++] = *todo;
    return TW_OK;
}

/* Tables that are all older than anybody keeps. */
static enum tw_rc plan_tables(struct sqlite_history *s, const struct history_retention *r, struct tw_err *err)
{
    const struct rollup *u = &s->rollup;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < u->n_parts && !rc; i++) {
        const struct cells_part *p = &u->parts[i].part;
        if (u->parts[i].rows + u->parts[i].add_rows > 0 && day_start(p->end_day) <= r->from_ns[p->level])
            rc = add_todo(s, &(struct retain_todo){ .part = *p, .group = -1 }, err);
    }
    return rc;
}

/* Rows of a group, where what it does not keep has grown since the last time. */
static enum tw_rc plan_rows(struct sqlite_history *s, const struct history_retention *r, size_t group,
                            enum store_level level, struct tw_err *err)
{
    const struct rollup *u = &s->rollup;
    int64_t from_ns = r->groups[group].from_ns[level], done_ns = r->groups[group].done_ns[level];
    struct retain_todo todo = { .group = (int)group };
    enum tw_rc rc = TW_OK;

    if (from_ns <= r->from_ns[level] || from_ns <= done_ns)
        return TW_OK;
    for (size_t i = 0; i < u->n_parts && !rc; i++) {
        const struct cells_part *p = &u->parts[i].part;
        if (p->level != level || day_start(p->first_day) >= from_ns ||
            (done_ns > 0 && day_start(p->end_day) <= done_ns) || day_start(p->end_day) <= r->from_ns[level])
            continue;
        todo.part = *p;
        rc = add_todo(s, &todo, err);
    }
    todo.part = (struct cells_part){ .level = level };
    todo.last = true;
    return rc ? rc : add_todo(s, &todo, err);
}

/* What joins loss runs over the ends of periods is kept as long as any level, and so are gaps; loss runs
 * themselves as long as summaries. */
static enum tw_rc drop_others(struct sqlite_history *s, const struct history_retention *r, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = runs_drop_days(&s->q, &s->insert_runs, day_of(r->from_ns[STORE_RAW]), err);

    if (!rc)
        rc = runs_drop_chains(&s->q, day_of(r->from_ns[STORE_1D]), err);
    if (!rc)
        rc = sq_start(&s->q, ST_RETAIN_GAP, &c, err);
    if (rc)
        return rc;
    sq_put_i64(&c, r->from_ns[STORE_1D]);
    return sq_run(&c, err);
}

static enum tw_rc make_plan(struct sqlite_history *s, const struct history_retention *r, struct tw_err *err)
{
    enum tw_rc rc;

    retain_forget(s);
    rc = plan_tables(s, r, err);
    for (size_t i = 0; i < r->n_groups; i++)
        for (enum store_level l = STORE_RAW; l < STORE_LEVELS && !rc; l++)
            rc = plan_rows(s, r, i, l, err);
    if (!rc)
        rc = drop_others(s, r, err);
    s->retain.active = !rc;
    return rc;
}

/* ---- Doing it ----------------------------------------------------------------------------------- */

/* Rows of the open transaction in dropped days. */
static void forget_latest(struct sqlite_history *s, int64_t day)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->n_latest; i++)
        if (s->latest[i].day != day)
            s->latest[kept++] = s->latest[i];
    s->n_latest = kept;
}

static enum tw_rc drop_latest(struct sqlite_history *s, int64_t day, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_RETAIN_LATEST, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, day);
    return sq_run(&c, err);
}

static enum tw_rc drop_table(struct sqlite_history *s, const struct cells_part *p, struct tw_err *err)
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
        rc = drop_latest(s, p->first_day, err);
    } else {
        snprintf(text, sizeof text, "DROP TABLE IF EXISTS %s", cells_name(p, name));
    }
    return rc ? rc : sq_exec(&s->q, text, err);
}

/* Of one pair, at most *left rows, which it takes from it. The row with the highest number stays, whosever it
 * is: a number that is used again would be behind what is rolled up. */
static enum tw_rc delete_pair(struct sqlite_history *s, sqlite3_stmt *st, uint64_t pair_id, int64_t from_ns,
                              int *left, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(&s->q, st, &c);
    sq_put_i64(&c, (int64_t)pair_id);
    sq_put_i64(&c, from_ns);
    sq_put_i64(&c, *left);
    rc = sq_run(&c, err);
    if (!rc)
        *left -= sqlite3_changes(s->q.db);
    return rc;
}

static enum tw_rc delete_latest(struct sqlite_history *s, uint64_t pair_id, int64_t from_ns,
                                struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_RETAIN_PAIR_LATEST, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)pair_id);
    sq_put_i64(&c, day_of(from_ns));
    return sq_run(&c, err);
}

static enum tw_rc prepare_delete(struct sqlite_history *s, const struct cells_part *p, sqlite3_stmt **ret,
                                 struct tw_err *err)
{
    char cells[CELLS_NAME], day[DAY_NAME], text[300];
    bool raw = p->level == STORE_RAW;
    const char *name = raw ? day_name(p->first_day, day) : cells_name(p, cells);

    snprintf(text, sizeof text,
             "DELETE FROM %s WHERE rowid IN (SELECT rowid FROM %s WHERE pair_id = ? AND %s < ?"
             " AND rowid < (SELECT max(rowid) FROM %s) LIMIT ?)",
             name, name, raw ? "start_ns" : "cell_ns", name);
    return sq_prepare(&s->q, text, ret, err);
}

/* From pair todo->at_pair on, which it moves. */
static enum tw_rc delete_rows(struct sqlite_history *s, const struct history_group *g,
                              struct retain_todo *todo, int *ret_n, struct tw_err *err)
{
    int64_t from_ns = g->from_ns[todo->part.level];
    size_t end = g->n_pairs - todo->at_pair > DELETE_PAIRS ? todo->at_pair + DELETE_PAIRS : g->n_pairs;
    int left = DELETE_ROWS;
    sqlite3_stmt *st;
    enum tw_rc rc = prepare_delete(s, &todo->part, &st, err);

    if (rc)
        return rc;
    while (todo->at_pair < end && left && !rc) {
        uint64_t pair_id = g->pair_ids[todo->at_pair];
        rc = todo->part.level == STORE_RAW ? delete_latest(s, pair_id, from_ns, err) : TW_OK;
        if (!rc)
            rc = delete_pair(s, st, pair_id, from_ns, &left, err);
        todo->at_pair += !rc && left; /* without any left there may be more of this one */
    }
    sqlite3_finalize(st);
    *ret_n = DELETE_ROWS - left;
    return rc;
}

static int64_t octets_per_row(struct sqlite_history *s, const struct cells_part *p)
{
    for (size_t i = 0; i < s->rollup.n_parts; i++) {
        const struct part_state *st = &s->rollup.parts[i];
        if (st->part.level == p->level && st->part.first_day == p->first_day && st->rows > 0)
            return st->octets / st->rows;
    }
    return 0;
}

/* *ret_done false: more of it is left. */
static enum tw_rc work(struct sqlite_history *s, const struct history_retention *r, struct retain_todo *todo,
                       bool *ret_done, struct tw_err *err)
{
    int n = 0;
    enum tw_rc rc;

    *ret_done = true;
    if (todo->last)
        return r->done(r->ctx, (size_t)todo->group, todo->part.level, err);
    if (todo->part.level == STORE_RAW && rollup_waits(s, todo->part.first_day)) {
        *ret_done = false; /* not before it is rolled up */
        return rollup_now(s, todo->part.first_day, SLICE_ROWS, err);
    }
    if (todo->group < 0)
        return drop_table(s, &todo->part, err);
    rc = delete_rows(s, &r->groups[todo->group], todo, &n, err);
    *ret_done = todo->at_pair == r->groups[todo->group].n_pairs;
    return rc || !n ? rc : rollup_part_add(s, &todo->part, -n, -n * octets_per_row(s, &todo->part), err);
}

enum tw_rc sqlite_retain(struct history *h, const struct history_retention *r, bool *ret_more,
                         struct tw_err *err)
{
    struct sqlite_history *s = sqlite_of(h);
    struct retain *t = &s->retain;
    bool done = true;
    enum tw_rc rc;

    if (!s->q.in_txn)
        return tw_err_set(err, TW_EINVAL, "%s: retention without a transaction", s->q.spec->what);
    s->shrink = true;
    rc = t->active ? TW_OK : make_plan(s, r, err);
    if (!rc && t->at < t->n_todo) {
        rc = work(s, r, &t->todo[t->at], &done, err);
        t->at += !rc && done;
    }
    *ret_more = !rc && t->at < t->n_todo;
    if (!*ret_more)
        retain_forget(s);
    if (rc)
        s->broken = rc;
    return rc;
}
