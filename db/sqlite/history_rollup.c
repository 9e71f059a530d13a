/* Roll-ups: summaries that no cell has yet, pair by pair, are added to their cells; cells and how far it has
 * come are one commit. Merging is addition, so it does not matter when a summary comes. */
#include "db/sqlite/rollup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A round ------------------------------------------------------------------------------------ */

static int by_pair_and_time(const void *pa, const void *pb)
{
    const struct round_row *a = pa, *b = pb;

    if (a->pair_id != b->pair_id)
        return a->pair_id < b->pair_id ? -1 : 1;
    if (a->flow != b->flow)
        return a->flow < b->flow ? -1 : 1;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static enum tw_rc collect(struct sqlite_history *s, struct sq_cur *c, size_t cap, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    enum tw_rc rc;

    while ((rc = sq_next(c, err)) == TW_OK && r->n < cap) {
        struct round_row *row = &r->v[r->n++];
        row->row = sq_take_i64(c);
        row->pair_id = (uint64_t)sq_take_i64(c);
        row->flow = (uint32_t)sq_take_i64(c);
        row->start_ns = sq_take_i64(c);
    }
    if (rc == TW_OK)
        sq_end(c);
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* The rows of (through, until] of pairs from next_pair on. */
static enum tw_rc load_rows(struct sqlite_history *s, const struct level_day *d, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    char name[DAY_NAME], text[200];
    bool have[ROW_MAX], any, tests = false;
    size_t cap = (size_t)(d->until - d->through);
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc = day_columns(&s->q, day_name(d->day, name), have, &any, err);

    for (size_t i = 0; i < row_cols_n; i++)
        tests |= have[i] && !strcmp(row_cols[i].name, "test_id");
    snprintf(
        text, sizeof text,
        "SELECT rowid, pair_id, flow, start_ns FROM %s WHERE rowid > ? AND rowid <= ? AND pair_id >= ?%s",
        name, tests ? " AND test_id = 0" : "");
    r->n = r->at = 0;
    r->v = malloc(cap * sizeof *r->v + 1);
    if (!rc && !r->v)
        rc = sq_no_memory(&s->q, err);
    if (!rc)
        rc = sq_prepare(&s->q, text, &st, err);
    if (rc)
        return rc;
    sq_start_stmt(&s->q, st, &c);
    sq_put_i64(&c, d->through);
    sq_put_i64(&c, d->until);
    sq_put_i64(&c, d->next_pair);
    rc = collect(s, &c, cap, err);
    sqlite3_finalize(st);
    if (!rc && r->n)
        qsort(r->v, r->n, sizeof *r->v, by_pair_and_time);
    return rc;
}

static size_t count_pairs(const struct rollup *r)
{
    size_t n = 0;

    for (size_t i = 0; i < r->n; i++)
        n += !i || r->v[i].pair_id != r->v[i - 1].pair_id;
    return n;
}

static enum tw_rc begin_round(struct sqlite_history *s, size_t day, int64_t now_ns, size_t max_rows,
                              struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct level_day *d = &r->days[day];
    bool fresh = d->until <= d->through;
    enum tw_rc rc;

    r->day = day;
    if (fresh) {
        d->until = d->last - d->through > LEVEL_ROUND_ROWS ? d->through + LEVEL_ROUND_ROWS : d->last;
        d->next_pair = 0;
        d->looked_ns = now_ns;
        r->round_since_ns = r->fresh_since_ns ? r->fresh_since_ns : now_ns;
        r->fresh_since_ns = 0;
    }
    rc = load_rows(s, d, err);
    /* Slices end between pairs: with few of them the round must be short instead. */
    if (!rc && fresh && r->n > max_rows && r->n / count_pairs(r) > max_rows) {
        d->until = d->through + (int64_t)max_rows;
        rollup_end_round(r);
        rc = load_rows(s, d, err);
    }
    if (rc) {
        rollup_end_round(r);
        d->until = r->durable[day].until;
        d->looked_ns = 0;
    }
    return rc;
}

/* ---- Cells -------------------------------------------------------------------------------------- */

static void begin_cell(struct level_acc *a, enum store_level l, int64_t t_ns)
{
    if (a->active)
        return;
    a->active = true;
    summary_reset(&a->cell.merged);
    a->cell.rowid = 0;
    a->cell.cell_ns = level_cell(l, t_ns);
    a->cell.rows = a->cell.whole = 0;
    a->cell.longest_ns = 0;
}

static void add_to_cell(struct cell_row *to, const struct cell_row *from)
{
    summary_merge(&to->merged, &from->merged);
    to->rows += from->rows;
    to->whole += from->whole;
    if (from->longest_ns > to->longest_ns)
        to->longest_ns = from->longest_ns;
}

static enum tw_rc writer_of(struct sqlite_history *s, enum store_level l, int64_t day,
                            struct cells_writer **ret, struct tw_err *err)
{
    struct cells_writer *w = &s->rollup.writers[l];
    struct cells_part p = cells_part_of(l, day);
    bool made;

    *ret = w;
    if (w->open && w->part.first_day == p.first_day)
        return TW_OK;
    cells_close(w);
    return cells_open(&s->q, w, &p, &made, err);
}

static enum tw_rc write_cell(struct sqlite_history *s, enum store_level l, struct cell_row *add,
                             struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct cells_writer *w;
    struct tw_err why = { 0 };
    uint64_t before = 0, after = 0;
    enum tw_rc rc = writer_of(s, l, r->days[r->day].day, &w, err);

    if (rc)
        return rc;
    rc = cells_find(&s->q, w, add->merged.pair_id, add->cell_ns, add->merged.flow, &r->stored, &before, &why);
    if (rc == TW_ECORRUPT) {
        s->stats.rollup_damaged++;
        return TW_OK;
    }
    if (rc) {
        *err = why;
        return rc;
    }
    if (r->stored.rowid)
        add_to_cell(&r->stored, add);
    rc = cells_put(&s->q, w, r->stored.rowid ? &r->stored : add, s->scratch, &after, err);
    if (rc)
        return rc;
    r->add_cells++;
    return rollup_part_add(s, &w->part, r->stored.rowid ? 0 : 1,
                           (int64_t)after - (int64_t)before + (r->stored.rowid ? 0 : INDEX_OCTETS), err);
}

/* What is in it goes to the next level's cell, too. */
static enum tw_rc end_cell(struct sqlite_history *s, enum store_level l, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct level_acc *a = &r->acc[l];

    if (!a->active)
        return TW_OK;
    a->active = false;
    if (l < STORE_1D) {
        begin_cell(&r->acc[l + 1], l + 1, a->cell.cell_ns);
        add_to_cell(&r->acc[l + 1].cell, &a->cell);
    }
    return write_cell(s, l, &a->cell, err);
}

static enum tw_rc end_cells(struct sqlite_history *s, const struct round_row *next, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    enum tw_rc rc = TW_OK;

    for (enum store_level l = STORE_1MIN; l < STORE_LEVELS && !rc; l++) {
        const struct level_acc *a = &r->acc[l];
        if (a->active &&
            (!next || a->cell.merged.pair_id != next->pair_id || a->cell.merged.flow != next->flow ||
             a->cell.cell_ns != level_cell(l, next->start_ns)))
            rc = end_cell(s, l, err);
    }
    return rc;
}

/* TW_ENOENT: it is not there any more, or cannot be read. */
static enum tw_rc read_row(struct sqlite_history *s, const struct round_row *row, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct tw_err why = { 0 };
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc = day_select(&s->q, &r->by_row, r->days[r->day].day, 0, "WHERE rowid = ?", &st, err);

    if (rc)
        return rc;
    sq_start_stmt(&s->q, st, &c);
    sq_put_i64(&c, row->row);
    rc = sq_next(&c, err);
    if (rc)
        return rc;
    rc = row_take(&c, &r->row, 0, &why);
    sq_end(&c);
    if (rc != TW_ECORRUPT)
        return rc;
    s->stats.rollup_damaged++;
    return TW_ENOENT;
}

static enum tw_rc add_row(struct sqlite_history *s, const struct round_row *row, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct level_acc *a;
    int64_t length;
    enum tw_rc rc = end_cells(s, row, err);

    if (!rc)
        rc = read_row(s, row, err);
    if (rc)
        return rc == TW_ENOENT ? TW_OK : rc;
    length = r->row.end_ns - r->row.start_ns;
    a = &r->acc[level_for(length)];
    begin_cell(a, level_for(length), row->start_ns);
    summary_merge(&a->cell.merged, &r->row);
    a->cell.rows++;
    a->cell.whole += r->row.start_ns % length == 0;
    if (length > a->cell.longest_ns)
        a->cell.longest_ns = length;
    r->add_rows++;
    return TW_OK;
}

/* Whole pairs, until that are max_rows. */
static enum tw_rc run_slice(struct sqlite_history *s, size_t max_rows, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct level_day *d = &r->days[r->day];
    size_t at = r->at;
    enum tw_rc rc = TW_OK;

    for (; at < r->n && !rc; at++) {
        if (at - r->at >= max_rows && r->v[at].pair_id != r->v[at - 1].pair_id)
            break;
        rc = add_row(s, &r->v[at], err);
    }
    if (!rc)
        rc = end_cells(s, NULL, err);
    if (rc)
        return rc;
    r->at = at;
    if (at < r->n) {
        d->next_pair = (int64_t)r->v[at].pair_id;
    } else {
        d->through = d->until;
        d->next_pair = 0;
    }
    return TW_OK;
}

bool rollup_waits(struct sqlite_history *s, int64_t day)
{
    const struct level_day *d = &s->rollup.days[rollup_find_day(&s->rollup, day)];

    return rollup_knows(&s->rollup, day) && d->last > d->through;
}

enum tw_rc rollup_now(struct sqlite_history *s, int64_t day, size_t max_rows, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    size_t at = rollup_find_day(r, day);
    enum tw_rc rc = TW_OK;

    if (r->v && (r->day != at || r->at == r->n))
        rollup_end_round(r); /* goes on where it is committed */
    if (!r->v)
        rc = begin_round(s, at, r->days[at].looked_ns, max_rows, err);
    return rc ? rc : run_slice(s, max_rows, err);
}

enum tw_rc sqlite_rollup(struct history *h, int64_t now_ns, size_t max_rows, bool *ret_more,
                         struct tw_err *err)
{
    struct sqlite_history *s = sqlite_of(h);
    struct rollup *r = &s->rollup;
    enum tw_rc rc = TW_OK;

    *ret_more = false;
    if (!r->v) {
        int day = level_pick(r->days, r->n_days, now_ns);
        if (day < 0)
            return TW_OK;
        rc = begin_round(s, (size_t)day, now_ns, max_rows, err);
    }
    if (!rc)
        rc = sqlite_begin(h, err);
    if (rc)
        return rc;
    rc = run_slice(s, max_rows, err);
    if (rc) {
        sqlite_rollback(h);
        return rc;
    }
    r->slicing = true;
    rc = sqlite_commit(h, err);
    r->slicing = false;
    if (rc)
        return rc;
    if (r->at == r->n) {
        rollup_end_round(r);
        r->round_since_ns = 0;
    }
    *ret_more = r->v || level_pick(r->days, r->n_days, now_ns) >= 0;
    return TW_OK;
}
