/* A span of pairs, by whatever level serves it best. All of it is one read transaction: cells, and summaries
 * that are in no cell yet, are of the same moment. */
#include "db/sqlite/history_priv.h"
#include "common/grow.h"

#include <stdlib.h>
#include <string.h>

struct reading {
    struct sqlite_reader *r;
    const struct store_span *span;
    const struct history_keeper *keeper;
    struct tw_err *err;
    struct level_day *days; /* with summaries, by day */
    size_t n_days;
    struct cells_part *parts; /* by level, then day */
    size_t n_parts;
    int64_t first_ns, end_ns; /* nothing is stored outside */
    uint64_t pair_id;
    int64_t longest_day, longest_ns; /* of the pair, asked for last */
    enum tw_rc rc;
};

/* ---- What there is ------------------------------------------------------------------------------ */

static enum tw_rc no_memory(const struct reading *g)
{
    return sq_no_memory(&g->r->q, g->err);
}

static enum tw_rc load_days(struct reading *g)
{
    struct sq_cur c;
    size_t cap = 0;
    enum tw_rc rc = sq_start(&g->r->q, ST_READ_DAYS, &c, g->err);

    if (rc)
        return rc;
    sq_put_i64(&c, DAY_MIN);
    sq_put_i64(&c, DAY_MAX);
    while ((rc = sq_next(&c, g->err)) == TW_OK) {
        struct level_day d = { .day = sq_take_i64(&c) };
        d.last = sq_take_i64(&c);
        d.through = sq_take_i64(&c);
        d.until = sq_take_i64(&c);
        d.next_pair = sq_take_i64(&c);
        if (!TW_GROW(&g->days, g->n_days, &cap, 64)) {
            sq_end(&c);
            return no_memory(g);
        }
        g->days[g->n_days++] = d;
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static void note_bounds(struct reading *g)
{
    int64_t first = DAY_MAX, end = DAY_MIN;

    for (size_t i = 0; i < g->n_days; i++) {
        first = g->days[i].day < first ? g->days[i].day : first;
        end = g->days[i].day + 1 > end ? g->days[i].day + 1 : end;
    }
    for (size_t i = 0; i < g->n_parts; i++) {
        first = g->parts[i].first_day < first ? g->parts[i].first_day : first;
        end = g->parts[i].end_day > end ? g->parts[i].end_day : end;
    }
    g->first_ns = day_start(first);
    g->end_ns = day_start(end);
}

/* Rows of the day behind this one are in no cell of the pair. */
static int64_t rolled_through(const struct level_day *d, uint64_t pair_id)
{
    return d->until > d->through && (int64_t)pair_id < d->next_pair ? d->until : d->through;
}

/* ---- Summaries ---------------------------------------------------------------------------------- */

static enum tw_rc hand_on_summary(struct reading *g, const struct tw_summary *s)
{
    const struct store_cell c = { .merged = s,
                                  .level = STORE_RAW,
                                  .from_ns = s->start_ns,
                                  .until_ns = s->end_ns,
                                  .rows = 1,
                                  .whole = s->start_ns % (s->end_ns - s->start_ns) == 0 };

    return g->span->fn(g->span->ctx, &c);
}

/* By the index: its entries have the row's number. */
static enum tw_rc read_day(struct reading *g, int64_t day, int64_t from_ns, int64_t to_ns, int64_t behind_row)
{
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc =
        day_select(&g->r->q, &g->r->tail, day, g->span->without,
                   "WHERE pair_id = ? AND start_ns >= ? AND start_ns < ? AND +rowid > ?", &st, g->err);

    if (rc)
        return rc;
    sq_start_stmt(&g->r->q, st, &c);
    sq_put_i64(&c, (int64_t)g->pair_id);
    sq_put_i64(&c, from_ns);
    sq_put_i64(&c, to_ns);
    sq_put_i64(&c, behind_row);
    while ((rc = sq_next(&c, g->err)) == TW_OK) {
        rc = row_take(&c, &g->r->row, g->span->without, g->err);
        if (!rc)
            rc = hand_on_summary(g, &g->r->row);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* Of a tile of cells only what is in none of them yet. */
static enum tw_rc read_summaries(struct reading *g, const struct level_tile *t)
{
    int64_t first = day_of(t->from_ns), last = day_of(t->to_ns - 1);
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < g->n_days && !rc; i++) {
        const struct level_day *d = &g->days[i];
        int64_t behind = t->level == STORE_RAW ? 0 : rolled_through(d, g->pair_id);
        if (d->day >= first && d->day <= last && behind < d->last)
            rc = read_day(g, d->day, t->from_ns, t->to_ns, behind);
    }
    return rc;
}

/* ---- Cells -------------------------------------------------------------------------------------- */

static enum tw_rc hand_on_cell(struct reading *g, enum store_level l, const struct cell_row *row)
{
    const struct store_cell c = { .merged = &row->merged,
                                  .level = l,
                                  .from_ns = row->cell_ns,
                                  .until_ns = row->cell_ns + store_level_ns(l),
                                  .rows = row->rows,
                                  .whole = row->whole };

    return g->span->fn(g->span->ctx, &c);
}

static enum tw_rc read_part(struct reading *g, const struct cells_part *p, const struct level_tile *t)
{
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc = cells_select(&g->r->q, &g->r->cells, p, g->span->without, &st, g->err);

    if (rc)
        return rc;
    sq_start_stmt(&g->r->q, st, &c);
    sq_put_i64(&c, (int64_t)g->pair_id);
    sq_put_i64(&c, t->from_ns);
    sq_put_i64(&c, t->to_ns);
    while ((rc = sq_next(&c, g->err)) == TW_OK) {
        rc = cells_take(&c, &g->r->cell, g->span->without, g->err);
        if (!rc)
            rc = hand_on_cell(g, p->level, &g->r->cell);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc read_cells(struct reading *g, const struct level_tile *t)
{
    int64_t first = day_of(t->from_ns), last = day_of(t->to_ns - 1);
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < g->n_parts && !rc; i++) {
        const struct cells_part *p = &g->parts[i];
        if (p->level == t->level && p->first_day <= last && p->end_day > first)
            rc = read_part(g, p, t);
    }
    return rc;
}

/* The longest summary that is rolled up of the pair on that day: its cell of a day knows. */
static enum tw_rc find_longest(struct reading *g, int64_t day)
{
    struct cells_part p = cells_part_of(STORE_1D, day);
    sqlite3_stmt *st = NULL;
    struct sq_cur c;
    enum tw_rc rc = TW_OK;

    g->longest_day = day;
    g->longest_ns = 0;
    for (size_t i = 0; i < g->n_parts && !st && !rc; i++)
        if (g->parts[i].level == STORE_1D && g->parts[i].first_day == p.first_day)
            rc = cells_longest(&g->r->q, &g->r->longest, &p, &st, g->err);
    if (rc || !st)
        return rc;
    sq_start_stmt(&g->r->q, st, &c);
    sq_put_i64(&c, (int64_t)g->pair_id);
    sq_put_i64(&c, day * DAY_NS);
    rc = sq_next(&c, g->err);
    if (rc)
        return rc;
    g->longest_ns = sq_take_i64(&c);
    sq_end(&c);
    return TW_OK;
}

static bool holds_all(void *ctx, enum store_level l, int64_t day_ns)
{
    struct reading *g = ctx;

    if (g->longest_day != day_of(day_ns) && !g->rc)
        g->rc = find_longest(g, day_of(day_ns));
    return g->longest_ns < store_level_ns(l);
}

/* ---- Pairs -------------------------------------------------------------------------------------- */

/* Tests on demand are in no cell. */
static enum tw_rc find_kept(struct reading *g, struct level_span *s)
{
    struct history_kept kept = { .raw_only = false };
    enum tw_rc rc;

    for (int l = 0; l < STORE_LEVELS; l++)
        s->kept_from_ns[l] = INT64_MIN;
    if (!g->keeper->fn)
        return TW_OK;
    memcpy(kept.from_ns, s->kept_from_ns, sizeof kept.from_ns);
    rc = g->keeper->fn(g->keeper->ctx, g->pair_id, &kept, g->err);
    if (rc)
        return rc;
    memcpy(s->kept_from_ns, kept.from_ns, sizeof kept.from_ns);
    if (kept.raw_only)
        s->raw_from_ns = INT64_MIN;
    return TW_OK;
}

static enum tw_rc begin_span(struct reading *g, struct level_span *s)
{
    const struct store_span *span = g->span;

    *s = (struct level_span){ .at_ns = span->from_ns > g->first_ns ? span->from_ns : g->first_ns,
                              .to_ns = span->to_ns < g->end_ns ? span->to_ns : g->end_ns,
                              .step_ns = span->step_ns,
                              .raw_from_ns = span->raw_from_ns,
                              .holds_all = holds_all,
                              .ctx = g };
    g->longest_day = DAY_MIN - 1;
    return find_kept(g, s);
}

/* From the first tile to the last: what is stored nowhere is covered as well as what is. */
static enum tw_rc tell_cover(struct reading *g)
{
    struct level_span s;
    struct level_tile t;
    int64_t from = g->span->from_ns, to = g->span->to_ns;
    bool any = false;
    enum tw_rc rc = begin_span(g, &s);

    for (; !rc && level_next(&s, &t); any = true) {
        if (!any &&
            (t.from_ns < from || (s.kept_from_ns[STORE_1D] > from || s.kept_from_ns[STORE_RAW] > from)))
            from = t.from_ns;
        if (t.to_ns > to)
            to = t.to_ns;
    }
    if (rc || (rc = g->rc) != TW_OK)
        return rc;
    if (!any && s.kept_from_ns[STORE_1D] > from)
        from = s.kept_from_ns[STORE_1D];
    g->span->covers(g->span->ctx, g->pair_id, from, to);
    return TW_OK;
}

static enum tw_rc read_pair(struct reading *g)
{
    struct level_span s;
    struct level_tile t;
    enum tw_rc rc = g->span->covers ? tell_cover(g) : TW_OK;

    if (!rc)
        rc = begin_span(g, &s);
    while (!rc && level_next(&s, &t) && (rc = g->rc) == TW_OK) {
        if (t.level != STORE_RAW)
            rc = read_cells(g, &t);
        if (!rc)
            rc = read_summaries(g, &t);
    }
    return rc ? rc : g->rc;
}

/* A table may have got columns since a statement on it was prepared without them. */
static enum tw_rc check_statements(struct reading *g)
{
    int64_t version = 0;
    enum tw_rc rc = sq_get_int(&g->r->q, "PRAGMA schema_version", &version, g->err);

    if (rc || version == g->r->schema_version)
        return rc;
    g->r->schema_version = version;
    day_cache_clear(&g->r->tail);
    day_cache_clear(&g->r->cells);
    day_cache_clear(&g->r->longest);
    return TW_OK;
}

static enum tw_rc read_pairs(struct reading *g, const uint64_t *ids, size_t n)
{
    enum tw_rc rc = check_statements(g);

    if (!rc)
        rc = load_days(g);
    if (!rc)
        rc = cells_list(&g->r->q, &g->parts, &g->n_parts, g->err);
    if (!rc)
        note_bounds(g);
    for (size_t i = 0; i < n && !rc; i++) {
        if (i && ids[i] == ids[i - 1])
            continue;
        g->pair_id = ids[i];
        rc = read_pair(g);
    }
    return rc;
}

enum tw_rc sqlite_read_span(struct history_reader *h, const struct store_span *span,
                            const struct history_keeper *keeper, struct tw_err *err)
{
    struct sqlite_reader *r = sqlite_reader_of(h);
    struct reading g = { .r = r, .span = span, .keeper = keeper, .err = err };
    uint64_t *ids;
    enum tw_rc rc;

    if (!span->n_pairs || span->from_ns >= span->to_ns)
        return TW_OK;
    ids = history_sorted_ids(span->pair_ids, span->n_pairs);
    if (!ids)
        return no_memory(&g);
    rc = sq_exec(&r->q, "BEGIN", err);
    if (!rc)
        rc = read_pairs(&g, ids, span->n_pairs);
    sq_rollback(&r->q);
    free(g.days);
    free(g.parts);
    free(ids);
    return rc;
}
