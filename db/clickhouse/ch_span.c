/* A span of pairs, by whatever level serves it best: pairs whose tiles are the same in one statement, ordered
 * by pair. A summary of a commit that the roll-up has not finished is added to the cells, unless its cell has
 * that commit already. */
#include "db/clickhouse/ch_priv.h"
#include "db/grow.h"

#include <stdlib.h>
#include <string.h>

#define TILES_MAX 64          /* of a pair; more go in another statement */
#define STATEMENT_ROWS 100000 /* that a statement may find: the server sorts them */
#define FRESH 9               /* column lvl: a summary where cells are read */
#define SPAN_PAIRS 1000

/* A day whose cells of the finer levels do not have everything. */
struct long_day {
    uint64_t pair_id;
    int64_t day_ns, longest_ns;
};
struct cell_seen {
    enum store_level level;
    int64_t cell_ns, txn;
    uint32_t flow;
};
struct reading {
    struct ch_reader *r;
    const struct store_span *span;
    const struct history_keeper *keeper;
    struct tw_err *err;
    int64_t first_ns, end_ns; /* nothing is stored outside */
    int64_t done_txn, rolled_txn;
    struct long_day *longs; /* of the pairs at hand, by pair and day */
    size_t n_longs, cap_longs;
    uint64_t pair_id; /* whose tiles are made */
    /* The statement at hand: n_pairs of ids from first_pair on. */
    const uint64_t *ids;
    size_t n_ids, told; /* told: so many were told what is covered */
    struct level_tile tiles[TILES_MAX];
    size_t n_tiles;
    /* While its rows come. */
    uint64_t at_pair;
    struct cell_seen *seen; /* cells of at_pair, by level, time, flow */
    size_t n_seen, cap_seen;
};

/* ---- What there is ---- */

static enum tw_rc take_partition(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct reading *g = ctx;
    size_t len;
    const uint8_t *table = ch_get_string(row, &len);
    int64_t first = ch_get_i64(row), last = ch_get_i64(row);

    (void)err;
    for (int l = 0; table && l < STORE_LEVELS; l++) {
        int64_t ns = ch_level_partition_ns(l), begin = ch_partition_begin(first, ns),
                end = ch_partition_begin(last + 1, ns);
        if (strlen(ch_level_tables[l]) != len || memcmp(ch_level_tables[l], table, len) != 0)
            continue;
        /* Partition 0 has what is before 1970, too. */
        g->first_ns = begin < g->first_ns ? begin : g->first_ns;
        g->end_ns = end > g->end_ns ? end : g->end_ns;
    }
    return TW_OK;
}

static enum tw_rc load_bounds(struct reading *g)
{
    static const enum ch_type types[] = { CH_STRING, CH_I64, CH_I64 };
    struct ch_db *db = &g->r->db;

    g->first_ns = INT64_MAX;
    g->end_ns = INT64_MIN;
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", table, min(toInt64OrZero(partition)), max(toInt64OrZero(partition))"
                 " FROM system.parts WHERE database = '%s' AND active GROUP BY table",
                 db->name);
    return ch_reader_select(g->r, types, TW_NELEM(types), take_partition, g, g->err);
}

static enum tw_rc load_txns(struct reading *g)
{
    struct ch_db *db = &g->r->db;
    enum tw_rc rc = ch_db_done_txn(db, &g->done_txn, g->err);

    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK
                 ", toInt64(max(txn)) FROM %s.progress WHERE name = 'done' FORMAT RowBinary",
                 db->name);
    return rc ? rc : ch_get_numbers(db->http, &db->sql, &g->rolled_txn, 1, g->err);
}

static enum tw_rc take_long(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct reading *g = ctx;
    struct long_day d = { .pair_id = (uint64_t)ch_get_i64(row) };

    d.day_ns = ch_get_i64(row);
    d.longest_ns = ch_get_i64(row);
    if (!db_grow(&g->longs, g->n_longs, &g->cap_longs, sizeof *g->longs))
        return ch_no_memory(err);
    g->longs[g->n_longs++] = d;
    return TW_OK;
}

/* Cells of a day know the longest summary that is rolled up of it. */
static enum tw_rc load_longs(struct reading *g, const uint64_t *ids, size_t n)
{
    static const enum ch_type types[] = { CH_I64, CH_I64, CH_I64 };
    struct ch_db *db = &g->r->db;

    g->n_longs = 0;
    if (g->first_ns >= g->end_ns)
        return TW_OK; /* nothing is stored */
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK
                 ", pair_id, cell_ns, max(longest_ns) AS longest FROM %s.cell_1d WHERE pair_id IN ",
                 db->name);
    ch_sql_add_numbers(&db->sql, ids, n);
    ch_sql_add(
        &db->sql,
        " AND cell_ns >= %lld AND cell_ns < %lld GROUP BY pair_id, cell_ns HAVING longest >= %lld ORDER BY "
        "pair_id, cell_ns",
        (long long)(g->first_ns > g->span->from_ns ? g->first_ns : level_cell(STORE_1D, g->span->from_ns)),
        (long long)(g->end_ns < g->span->to_ns ? g->end_ns : g->span->to_ns),
        (long long)store_level_ns(STORE_1MIN));
    return ch_reader_select(g->r, types, TW_NELEM(types), take_long, g, g->err);
}

static bool holds_all(void *ctx, enum store_level l, int64_t day_ns)
{
    const struct reading *g = ctx;
    size_t lo = 0, hi = g->n_longs;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct long_day *d = &g->longs[mid];
        if (d->pair_id < g->pair_id || (d->pair_id == g->pair_id && d->day_ns < day_ns))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == g->n_longs || g->longs[lo].pair_id != g->pair_id || g->longs[lo].day_ns != day_ns ||
           g->longs[lo].longest_ns < store_level_ns(l);
}

/* ---- Tiles ---- */

static enum tw_rc begin_span(struct reading *g, uint64_t pair_id, struct level_span *s)
{
    const struct store_span *span = g->span;
    struct history_kept kept = { .raw_only = false };
    enum tw_rc rc = TW_OK;

    for (int l = 0; l < STORE_LEVELS; l++)
        kept.from_ns[l] = INT64_MIN;
    if (g->keeper && g->keeper->fn)
        rc = g->keeper->fn(g->keeper->ctx, pair_id, &kept, g->err);
    *s = (struct level_span){ .at_ns = span->from_ns > g->first_ns ? span->from_ns : g->first_ns,
                              .to_ns = span->to_ns < g->end_ns ? span->to_ns : g->end_ns,
                              .step_ns = span->step_ns,
                              .raw_from_ns = kept.raw_only ? INT64_MIN : span->raw_from_ns,
                              .holds_all = holds_all,
                              .ctx = g };
    memcpy(s->kept_from_ns, kept.from_ns, sizeof s->kept_from_ns);
    g->pair_id = pair_id;
    return rc;
}

/* From the first tile to the last: what is stored nowhere is covered as well as what is. */
static enum tw_rc tell_cover(struct reading *g, uint64_t pair_id)
{
    struct level_span s;
    struct level_tile t;
    int64_t from = g->span->from_ns, to = g->span->to_ns;
    bool any = false;
    enum tw_rc rc = begin_span(g, pair_id, &s);

    for (; !rc && level_next(&s, &t); any = true) {
        if (!any &&
            (t.from_ns < from || (s.kept_from_ns[STORE_1D] > from || s.kept_from_ns[STORE_RAW] > from)))
            from = t.from_ns;
        if (t.to_ns > to)
            to = t.to_ns;
    }
    if (rc)
        return rc;
    if (!any && s.kept_from_ns[STORE_1D] > from)
        from = s.kept_from_ns[STORE_1D];
    g->span->covers(g->span->ctx, pair_id, from, to);
    return TW_OK;
}

/* Those from number `told` on whose turn has come. */
static enum tw_rc tell_covers(struct reading *g, uint64_t through_pair)
{
    enum tw_rc rc = TW_OK;

    for (; !rc && g->told < g->n_ids && g->ids[g->told] <= through_pair; g->told++)
        if (g->span->covers)
            rc = tell_cover(g, g->ids[g->told]);
    return rc;
}

/* ---- Rows ---- */

static const struct level_tile *tile_at(const struct reading *g, int64_t t)
{
    for (size_t i = 0; i < g->n_tiles; i++)
        if (t >= g->tiles[i].from_ns && t < g->tiles[i].to_ns)
            return &g->tiles[i];
    return NULL;
}

static int compare_seen(const struct cell_seen *c, enum store_level l, int64_t cell_ns, uint32_t flow)
{
    if (c->level != l)
        return c->level < l ? -1 : 1;
    if (c->cell_ns != cell_ns)
        return c->cell_ns < cell_ns ? -1 : 1;
    return (c->flow > flow) - (c->flow < flow);
}

static bool cell_has(const struct reading *g, enum store_level l, int64_t cell_ns, uint32_t flow, int64_t txn)
{
    size_t lo = 0, hi = g->n_seen;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare_seen(&g->seen[mid], l, cell_ns, flow) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < g->n_seen && !compare_seen(&g->seen[lo], l, cell_ns, flow) && g->seen[lo].txn >= txn;
}

/* One that is as long as its cell is in no such cell. */
static bool is_in_cell(const struct reading *g, const struct tw_summary *s, int64_t txn)
{
    const struct level_tile *t = tile_at(g, s->start_ns);

    return t && (t->level == STORE_1D || s->end_ns - s->start_ns < store_level_ns(t->level)) &&
           cell_has(g, t->level, level_cell(t->level, s->start_ns), s->flow, txn);
}

struct row {
    uint8_t level;
    int64_t cell_ns, rows, whole, txn;
};

static enum tw_rc hand_on(struct reading *g, const struct row *row)
{
    const struct tw_summary *s = &g->r->row;
    struct store_cell c = {
        .merged = s, .level = STORE_RAW, .from_ns = s->start_ns, .until_ns = s->end_ns, .rows = 1
    };

    if (row->level == STORE_RAW || row->level == FRESH) {
        if (row->level == FRESH && is_in_cell(g, s, row->txn))
            return TW_OK;
        c.whole = s->start_ns % (s->end_ns - s->start_ns) == 0;
        return g->span->fn(g->span->ctx, &c);
    }
    if (!db_grow(&g->seen, g->n_seen, &g->cap_seen, sizeof *g->seen))
        return ch_no_memory(g->err);
    c.level = (enum store_level)row->level;
    g->seen[g->n_seen++] = (struct cell_seen){ c.level, row->cell_ns, row->txn, s->flow };
    c.from_ns = row->cell_ns;
    c.until_ns = row->cell_ns + store_level_ns(c.level);
    c.rows = (uint64_t)row->rows;
    c.whole = (uint64_t)row->whole;
    return g->span->fn(g->span->ctx, &c);
}

static enum tw_rc take_row(void *ctx, struct wire_rd *wire, struct tw_err *err)
{
    struct reading *g = ctx;
    struct row row = { .level = ch_get_u8(wire) };
    struct tw_err why = { 0 };
    enum tw_rc rc;

    row.cell_ns = ch_get_i64(wire);
    row.rows = ch_get_i64(wire);
    row.whole = ch_get_i64(wire);
    row.txn = ch_get_i64(wire);
    if (wire->bad || (row.level >= STORE_LEVELS && row.level != FRESH))
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: an answer has other columns");
    rc = ch_row_take(wire, &g->r->row, &why);
    if (rc)
        return tw_err_set(err, rc, "clickhouse %s: damaged row of pair %llu at %lld: %.150s", g->r->db.name,
                          (unsigned long long)g->r->row.pair_id, (long long)row.cell_ns, why.text);
    if (g->at_pair != g->r->row.pair_id) {
        g->at_pair = g->r->row.pair_id;
        g->n_seen = 0;
        rc = tell_covers(g, g->at_pair);
    }
    return rc ? rc : hand_on(g, &row);
}

/* ---- Statements ---- */

/* "(t >= a AND t < b OR ...)" of the tiles of that level; of all but raw ones: FRESH. Nothing if there are
 * none. */
static bool add_ranges(struct reading *g, int level, const char *column)
{
    struct ch_sql *q = &g->r->db.sql;
    bool any = false;

    for (size_t i = 0; i < g->n_tiles; i++) {
        const struct level_tile *t = &g->tiles[i];
        if (level == FRESH ? t->level == STORE_RAW : t->level != (enum store_level)level)
            continue;
        ch_sql_add(q, "%s(%s >= %lld AND %s < %lld)", any ? " OR " : " AND (", column, (long long)t->from_ns,
                   column, (long long)t->to_ns);
        any = true;
    }
    if (any)
        ch_sql_add(q, ")");
    return any;
}

static bool has_tiles(const struct reading *g, int level)
{
    for (size_t i = 0; i < g->n_tiles; i++)
        if (level == FRESH ? g->tiles[i].level != STORE_RAW : g->tiles[i].level == (enum store_level)level)
            return true;
    return false;
}

static void add_part(struct reading *g, int level, const uint64_t *ids, size_t n, bool first)
{
    struct ch_db *db = &g->r->db;
    bool raw = level == STORE_RAW || level == FRESH;

    ch_sql_add(
        &db->sql,
        "%sSELECT toUInt8(%d) AS lvl, %s, toInt64(txn) AS number, %s FROM %s.%s FINAL WHERE pair_id IN ",
        first ? "" : " UNION ALL ", level,
        raw ? "start_ns AS cell_ns, toInt64(1) AS n_rows, toInt64(0) AS n_whole" : "cell_ns, n_rows, n_whole",
        ch_row_names(), db->name, ch_level_tables[raw ? STORE_RAW : level]);
    ch_sql_add_numbers(&db->sql, ids, n);
    add_ranges(g, level, raw ? "start_ns" : "cell_ns");
    if (level == FRESH)
        ch_sql_add(&db->sql, " AND txn > %lld", (long long)g->rolled_txn);
    if (raw)
        ch_db_add_visible(db, g->done_txn);
}

static enum tw_rc run_statement(struct reading *g, const uint64_t *ids, size_t n)
{
    static const int order[] = { STORE_RAW, STORE_1MIN, STORE_10MIN, STORE_1H, STORE_1D, FRESH };
    static const enum ch_type own[] = { CH_U8, CH_I64, CH_I64, CH_I64, CH_I64 };
    enum ch_type types[TW_NELEM(own) + ROW_MAX];
    struct ch_db *db = &g->r->db;
    bool any = false;

    memcpy(types, own, sizeof own);
    ch_sql_begin(&db->sql, "SELECT " CH_ROW_MARK ", lvl, cell_ns, n_rows, n_whole, number, %s FROM (",
                 ch_row_names());
    for (size_t i = 0; i < TW_NELEM(order); i++)
        if (has_tiles(g, order[i])) {
            add_part(g, order[i], ids, n, !any);
            any = true;
        }
    ch_sql_add(&db->sql, ") ORDER BY pair_id, lvl, cell_ns, flow");
    g->at_pair = 0;
    g->n_seen = 0;
    return any ? ch_reader_select(g->r, types, ch_row_types(types, TW_NELEM(own)), take_row, g, g->err)
               : TW_OK;
}

/* ---- Pairs ---- */

struct plan {
    struct level_tile tiles[TILES_MAX];
    size_t n;
    bool more; /* *rest goes on */
    struct level_span rest;
};

static void next_tiles(struct plan *p)
{
    p->n = 0;
    while (p->n < TILES_MAX && level_next(&p->rest, &p->tiles[p->n]))
        p->n++;
    p->more = p->n == TILES_MAX;
}

static enum tw_rc make_plan(struct reading *g, uint64_t pair_id, struct plan *p)
{
    enum tw_rc rc = begin_span(g, pair_id, &p->rest);

    if (!rc)
        next_tiles(p);
    return rc;
}

static bool same_tiles(const struct plan *a, const struct plan *b)
{
    if (a->n != b->n || a->more || b->more)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->tiles[i].level != b->tiles[i].level || a->tiles[i].from_ns != b->tiles[i].from_ns ||
            a->tiles[i].to_ns != b->tiles[i].to_ns)
            return false;
    return true;
}

/* Rows that a pair can have, at one flow and a summary a minute. */
static int64_t rows_of(const struct plan *p)
{
    int64_t n = 1;

    for (size_t i = 0; i < p->n; i++) {
        int64_t ns = store_level_ns(p->tiles[i].level == STORE_RAW ? STORE_1MIN : p->tiles[i].level);
        n += (p->tiles[i].to_ns - p->tiles[i].from_ns) / ns + 1;
    }
    return n;
}

static enum tw_rc read_group(struct reading *g, const uint64_t *ids, size_t n, struct plan *p)
{
    enum tw_rc rc = TW_OK;

    for (bool more = true; more && !rc;) {
        memcpy(g->tiles, p->tiles, sizeof g->tiles);
        g->n_tiles = p->n;
        more = p->more;
        rc = run_statement(g, ids, n);
        g->pair_id = ids[0];
        if (more)
            next_tiles(p);
    }
    return rc ? rc : tell_covers(g, ids[n - 1]);
}

/* Of at most SPAN_PAIRS. */
static enum tw_rc read_pairs(struct reading *g, const uint64_t *ids, size_t n)
{
    struct plan *plans = malloc(2 * sizeof *plans);
    enum tw_rc rc = plans ? load_longs(g, ids, n) : ch_no_memory(g->err);

    for (size_t at = 0; at < n && !rc;) {
        size_t k = 1, most;
        rc = make_plan(g, ids[at], &plans[0]);
        if (rc)
            break;
        most = (size_t)(STATEMENT_ROWS / rows_of(&plans[0])) + 1;
        for (; at + k < n && k < most && !(rc = make_plan(g, ids[at + k], &plans[1])) &&
               same_tiles(&plans[0], &plans[1]);
             k++)
            ;
        if (!rc)
            rc = read_group(g, ids + at, k, &plans[0]);
        at += k;
    }
    free(plans);
    return rc;
}

enum tw_rc ch_read_span(struct history_reader *base, const struct store_span *span,
                        const struct history_keeper *keeper, struct tw_err *err)
{
    struct reading g = { .r = (struct ch_reader *)base, .span = span, .keeper = keeper, .err = err };
    size_t n = span->n_pairs;
    uint64_t *ids = NULL;
    enum tw_rc rc;

    if (!n || span->from_ns >= span->to_ns)
        return TW_OK;
    rc = ch_reader_begin(g.r, span->pair_ids, &n, &ids, err);
    g.ids = ids;
    g.n_ids = n;
    if (!rc)
        rc = load_txns(&g);
    if (!rc)
        rc = load_bounds(&g);
    for (size_t at = 0; at < n && !rc; at += SPAN_PAIRS)
        rc = read_pairs(&g, ids + at, n - at < SPAN_PAIRS ? n - at : SPAN_PAIRS);
    free(g.longs);
    free(g.seen);
    free(ids);
    return rc;
}
