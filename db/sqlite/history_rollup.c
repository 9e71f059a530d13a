/* Roll-ups: summaries that no cell has yet, pair by pair, are added to their cells; cells and how far it has
 * come are one commit. Merging is addition, so it does not matter when a summary comes. */
#include "db/sqlite/history_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum tw_rc no_memory(struct sqlite_history *s, struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", s->q.spec->what, s->q.path);
}

/* Room for one more of `size` octets. False: no memory. */
static bool grow(void *list, size_t n, size_t *cap, size_t size)
{
    size_t want = *cap ? 2 * *cap : 16;
    void *more;

    if (n < *cap)
        return true;
    more = realloc(*(void **)list, want * size);
    if (!more)
        return false;
    *(void **)list = more;
    *cap = want;
    return true;
}

/* ---- Days and parts ----------------------------------------------------------------------------- */

/* Where the day is, or belongs. */
static size_t find_day(struct rollup *r, int64_t day)
{
    size_t lo = 0, hi = r->n_days;

    if (r->at_day < r->n_days && r->days[r->at_day].day == day)
        return r->at_day;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->days[mid].day < day)
            lo = mid + 1;
        else
            hi = mid;
    }
    return r->at_day = lo;
}

static enum tw_rc add_day(struct sqlite_history *s, const struct level_day *d, size_t *ret_at,
                          struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    size_t at = find_day(r, d->day), cap = r->cap_days;

    *ret_at = at;
    if (at < r->n_days && r->days[at].day == d->day)
        return TW_OK;
    if (!grow(&r->durable, r->n_days, &cap, sizeof *r->durable) ||
        !grow(&r->days, r->n_days, &r->cap_days, sizeof *r->days))
        return no_memory(s, err);
    memmove(r->days + at + 1, r->days + at, (r->n_days - at) * sizeof *r->days);
    memmove(r->durable + at + 1, r->durable + at, (r->n_days - at) * sizeof *r->durable);
    r->days[at] = r->durable[at] = *d;
    r->day += r->v && r->day >= at;
    r->n_days++;
    return TW_OK;
}

static bool same_part(const struct cells_part *a, const struct cells_part *b)
{
    return a->level == b->level && a->first_day == b->first_day;
}

static enum tw_rc find_part(struct sqlite_history *s, const struct cells_part *p, struct part_state **ret,
                            struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    size_t *at = &r->at_part[p->level];

    if (*at >= r->n_parts || !same_part(&r->parts[*at].part, p))
        for (*at = 0; *at < r->n_parts && !same_part(&r->parts[*at].part, p);)
            ++*at;
    if (*at == r->n_parts) {
        if (!grow(&r->parts, r->n_parts, &r->cap_parts, sizeof *r->parts))
            return no_memory(s, err);
        r->parts[r->n_parts++] = (struct part_state){ .part = *p };
    }
    *ret = &r->parts[*at];
    return TW_OK;
}

enum tw_rc rollup_part_add(struct sqlite_history *s, const struct cells_part *p, int64_t rows, int64_t octets,
                           struct tw_err *err)
{
    struct part_state *state;
    enum tw_rc rc = find_part(s, p, &state, err);

    if (rc)
        return rc;
    state->add_rows += rows;
    state->add_octets += octets;
    return TW_OK;
}

static struct cells_part raw_part(int64_t day)
{
    return (struct cells_part){ STORE_RAW, day, day + 1 };
}

#define INDEX_OCTETS 22 /* of an entry (pair, start or cell, flow, row) */

enum tw_rc rollup_note(struct sqlite_history *s, int64_t day, int64_t row, uint64_t octets,
                       int64_t received_ns, struct tw_err *err)
{
    struct cells_part part = raw_part(day);
    size_t at;
    enum tw_rc rc = add_day(s, &(struct level_day){ .day = day }, &at, err);

    if (rc)
        return rc;
    s->rollup.days[at].last = row;
    if (!s->rollup.fresh_since_ns)
        s->rollup.fresh_since_ns = received_ns;
    return rollup_part_add(s, &part, 1, (int64_t)octets + INDEX_OCTETS, err);
}

/* ---- Opening ------------------------------------------------------------------------------------ */

static enum tw_rc load_days(struct sqlite_history *s, struct tw_err *err)
{
    struct sq_cur c;
    size_t at;
    enum tw_rc rc = sq_start(&s->q, ST_DAY_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct level_day d = { .day = sq_take_i64(&c) };
        d.last = sq_take_i64(&c);
        d.through = sq_take_i64(&c);
        d.until = sq_take_i64(&c);
        d.next_pair = sq_take_i64(&c);
        rc = add_day(s, &d, &at, err);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc load_parts(struct sqlite_history *s, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_PART_EACH, &c, err);

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK) {
        int64_t level = sq_take_i64(&c), day = sq_take_i64(&c);
        struct cells_part p = raw_part(day);
        struct part_state *state;
        if (level < 0 || level >= STORE_LEVELS)
            continue;
        if (level != STORE_RAW)
            p = cells_part_of((enum store_level)level, day);
        rc = find_part(s, &p, &state, err);
        if (rc) {
            sq_end(&c);
            return rc;
        }
        state->rows = sq_take_i64(&c);
        state->octets = sq_take_i64(&c);
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* A day of before there were roll-ups. What its rows take is told by the first ones. */
static enum tw_rc adopt_day(struct sqlite_history *s, int64_t day, struct tw_err *err)
{
    char name[DAY_NAME], text[200];
    int64_t last = 0, octets = 0;
    struct cells_part part = raw_part(day);
    size_t at;
    enum tw_rc rc;

    snprintf(text, sizeof text, "SELECT ifnull(max(rowid), 0) FROM %s", day_name(day, name));
    rc = sq_get_int(&s->q, text, &last, err);
    snprintf(text, sizeof text,
             "SELECT ifnull(avg(length(delay_forward) + length(delay_backward) + length(delay_roundtrip)), "
             "0) + 200"
             " FROM (SELECT * FROM %s LIMIT 100)",
             name);
    if (!rc)
        rc = sq_get_int(&s->q, text, &octets, err);
    if (!rc)
        rc = add_day(s, &(struct level_day){ .day = day }, &at, err);
    if (rc)
        return rc;
    s->rollup.days[at].last = last;
    return rollup_part_add(s, &part, last, last * (octets + INDEX_OCTETS), err);
}

static bool is_known(struct rollup *r, int64_t day)
{
    size_t at = find_day(r, day);

    return at < r->n_days && r->days[at].day == day;
}

static enum tw_rc adopt_days(struct sqlite_history *s, struct tw_err *err)
{
    int64_t *days = NULL;
    size_t n = 0;
    enum tw_rc rc = day_list(&s->q, DAY_MIN, DAY_MAX, &days, &n, err);

    for (size_t i = 0; i < n && !rc; i++) {
        if (is_known(&s->rollup, days[i]))
            continue;
        if (!s->q.in_txn)
            rc = sqlite_begin(&s->base, err);
        if (!rc)
            rc = adopt_day(s, days[i], err);
    }
    free(days);
    if (!rc && s->q.in_txn)
        return sqlite_commit(&s->base, err);
    sqlite_rollback(&s->base);
    return rc;
}

enum tw_rc rollup_open(struct sqlite_history *s, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    enum tw_rc rc;

    summary_init(&r->row);
    summary_init(&r->stored.merged);
    for (int l = 0; l < STORE_LEVELS; l++)
        summary_init(&r->acc[l].cell.merged);
    rc = load_days(s, err);
    if (!rc)
        rc = load_parts(s, err);
    if (!rc)
        rc = adopt_days(s, err);
    return rc;
}

static void close_writers(struct rollup *r)
{
    for (int l = 0; l < STORE_LEVELS; l++)
        cells_close(&r->writers[l]);
}

static void end_round(struct rollup *r)
{
    free(r->v);
    r->v = NULL;
    r->n = r->at = 0;
}

void rollup_close(struct sqlite_history *s)
{
    struct rollup *r = &s->rollup;

    close_writers(r);
    day_cache_clear(&r->by_row);
    end_round(r);
    summary_free(&r->row);
    summary_free(&r->stored.merged);
    for (int l = 0; l < STORE_LEVELS; l++)
        summary_free(&r->acc[l].cell.merged);
    free(r->days);
    free(r->durable);
    free(r->parts);
}

/* ---- Transactions ------------------------------------------------------------------------------- */

/* Without a row the day is gone. */
static enum tw_rc put_day(struct sqlite_history *s, const struct level_day *d, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, d->last ? ST_DAY_PUT : ST_DAY_DELETE, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, d->day);
    if (!d->last)
        return sq_run(&c, err);
    sq_put_i64(&c, d->last);
    sq_put_i64(&c, d->through);
    sq_put_i64(&c, d->until);
    sq_put_i64(&c, d->next_pair);
    return sq_run(&c, err);
}

static enum tw_rc add_part(struct sqlite_history *s, const struct part_state *p, struct tw_err *err)
{
    bool gone = p->rows + p->add_rows <= 0;
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, gone ? ST_PART_DELETE : ST_PART_ADD, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, p->part.level);
    sq_put_i64(&c, p->part.first_day);
    if (gone)
        return sq_run(&c, err);
    sq_put_i64(&c, p->add_rows);
    sq_put_i64(&c, p->add_octets);
    return sq_run(&c, err);
}

static bool differs(const struct level_day *a, const struct level_day *b)
{
    return a->last != b->last || a->through != b->through || a->until != b->until ||
           a->next_pair != b->next_pair;
}

enum tw_rc rollup_flush(struct sqlite_history *s, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < r->n_days && !rc; i++)
        if (differs(&r->days[i], &r->durable[i]))
            rc = put_day(s, &r->days[i], err);
    for (size_t i = 0; i < r->n_parts && !rc; i++)
        if (r->parts[i].add_rows || r->parts[i].add_octets)
            rc = add_part(s, &r->parts[i], err);
    return rc;
}

void rollup_committed(struct sqlite_history *s)
{
    struct rollup *r = &s->rollup;

    if (r->n_days)
        memcpy(r->durable, r->days, r->n_days * sizeof *r->days);
    for (size_t i = 0; i < r->n_parts; i++) {
        struct part_state *p = &r->parts[i];
        p->rows += p->add_rows;
        p->octets += p->add_octets;
        p->add_rows = p->add_octets = 0;
    }
    s->stats.rollup_rows += r->add_rows;
    s->stats.rollup_cells += r->add_cells;
    r->add_rows = r->add_cells = 0;
}

void rollup_rolled_back(struct sqlite_history *s)
{
    struct rollup *r = &s->rollup;

    close_writers(r); /* tables that it made are gone, too */
    day_cache_clear(&r->by_row);
    for (size_t i = 0; i < r->n_days; i++) {
        int64_t looked = r->days[i].looked_ns;
        r->days[i] = r->durable[i];
        r->days[i].looked_ns = looked;
    }
    for (size_t i = 0; i < r->n_parts; i++)
        r->parts[i].add_rows = r->parts[i].add_octets = 0;
    for (int l = 0; l < STORE_LEVELS; l++)
        r->acc[l].active = false;
    r->add_rows = r->add_cells = 0;
    if (r->v)
        r->days[r->day].looked_ns = 0;
    end_round(r); /* begins again where it is durable */
}

enum tw_rc rollup_forget(struct sqlite_history *s, const struct cells_part *p, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    struct part_state *state;
    enum tw_rc rc = find_part(s, p, &state, err);
    size_t at;

    if (rc)
        return rc;
    state->add_rows = -state->rows;
    state->add_octets = -state->octets;
    if (p->level != STORE_RAW) {
        if (r->writers[p->level].open && r->writers[p->level].part.first_day == p->first_day)
            cells_close(&r->writers[p->level]);
        return TW_OK;
    }
    at = find_day(r, p->first_day);
    day_cache_drop(&r->by_row, p->first_day);
    if (r->v && r->day == at)
        end_round(r);
    if (at < r->n_days && r->days[at].day == p->first_day)
        r->days[at] = (struct level_day){ .day = p->first_day };
    return TW_OK;
}

void rollup_stats(const struct sqlite_history *s, struct store_stats *ret)
{
    const struct rollup *r = &s->rollup;

    for (size_t i = 0; i < r->n_parts; i++) {
        const struct part_state *p = &r->parts[i];
        struct store_level_stats *l = &ret->levels[p->part.level];
        int64_t first = p->part.first_day * DAY_NS;
        if (p->rows <= 0)
            continue;
        if (!l->rows || first < l->oldest_ns)
            l->oldest_ns = first;
        l->rows += (uint64_t)p->rows;
        l->bytes += p->octets > 0 ? (uint64_t)p->octets : 0;
    }
    for (size_t i = 0; i < r->n_days; i++)
        ret->rollup_waiting += (uint64_t)(r->durable[i].last - r->durable[i].through);
    if (ret->rollup_waiting)
        ret->rollup_since_ns = r->round_since_ns ? r->round_since_ns : r->fresh_since_ns;
}

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
        rc = no_memory(s, err);
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
        end_round(r);
        rc = load_rows(s, d, err);
    }
    if (rc) {
        end_round(r);
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
    const struct level_day *d = &s->rollup.days[find_day(&s->rollup, day)];

    return is_known(&s->rollup, day) && d->last > d->through;
}

enum tw_rc rollup_now(struct sqlite_history *s, int64_t day, size_t max_rows, struct tw_err *err)
{
    struct rollup *r = &s->rollup;
    size_t at = find_day(r, day);
    enum tw_rc rc = TW_OK;

    if (r->v && (r->day != at || r->at == r->n))
        end_round(r); /* goes on where it is committed */
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
        end_round(r);
        r->round_since_ns = 0;
    }
    *ret_more = r->v || level_pick(r->days, r->n_days, now_ns) >= 0;
    return TW_OK;
}
