/* A span of pairs, by whatever level serves it best: pairs whose tiles are the same in one statement, ordered
 * by pair. A summary of a commit that the roll-up has not finished is added to the cells, unless its cell has
 * that commit already: the roll-up goes on meanwhile, and a cell says itself what it has. Of copies
 * (ch_schema.h) one is added, and none if one of them is in a cell. */
#include "db/clickhouse/ch_priv.h"
#include "db/grow.h"

#include <stdlib.h>
#include <string.h>

#define TILES_MAX 64          /* of a pair; more go in another statement */
#define STATEMENT_ROWS 100000 /* that a statement may find: the server sorts them */
#define FRESH 9               /* column lvl: a summary where cells are read */
#define SPAN_PAIRS 1000
#define CELL_HAS(has)            \
    "toInt64(0) AS writer, " has \
    ", toInt64(0) AS agent_id, toFixedString('', 16) AS spool_id, toInt64(0) AS seq"

/* A day whose cells of the finer levels do not have everything. */
struct long_day {
    uint64_t pair_id;
    int64_t day_ns, longest_ns;
};
struct cell_seen {
    enum store_level level;
    int64_t cell_ns;
    uint32_t flow;
    size_t has; /* number of what it has */
};
/* What some cells have, as it is stored and as it means. */
struct has {
    struct ch_buf octets;
    struct ch_commits commits;
};
/* What copies of a summary have in common, but for its pair. */
struct copy_key {
    int64_t start_ns, agent_id, seq;
    uint32_t flow;
    uint8_t spool_id[STORE_ID_LEN];
};
struct reading {
    struct ch_reader *r;
    const struct store_span *span;
    const struct history_keeper *keeper;
    struct tw_err *err;
    int64_t first_ns, end_ns; /* nothing is stored outside */
    int64_t fresh_from_ns, fresh_to_ns; /* of the pairs at hand: summaries that no finished round took */
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
    struct has *has;
    size_t n_has, cap_has;
    struct copy_key key;    /* of the summary that came last */
    uint8_t key_level;      /* STORE_RAW or FRESH; else none did */
    struct tw_summary held; /* of that key, if is_held: no copy of it was in a cell so far */
    bool is_held;
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

static enum tw_rc take_fresh(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct reading *g = ctx;
    int64_t n = ch_get_i64(row), first = ch_get_i64(row), last = ch_get_i64(row);

    (void)err;
    if (n) {
        g->fresh_from_ns = first;
        g->fresh_to_ns = last + 1;
    }
    return TW_OK;
}

/* The last tile may stick out of the span. */
static int64_t fresh_end(const struct reading *g)
{
    int64_t day = level_cell(STORE_1D, g->span->to_ns), end;

    if (g->end_ns < g->span->to_ns || __builtin_add_overflow(day, CH_DAY_NS, &end))
        return g->end_ns;
    return end;
}

/* By narrow columns: when there are any they are of the last minutes, mostly. */
static enum tw_rc find_fresh(struct reading *g, const uint64_t *ids, size_t n)
{
    static const enum ch_type types[] = { CH_I64, CH_I64, CH_I64 };
    struct ch_db *db = &g->r->db;

    g->fresh_from_ns = g->fresh_to_ns = 0;
    if (!g->r->view.fresh.n || g->first_ns >= g->end_ns)
        return TW_OK;
    ch_sql_begin(
        &db->sql,
        "SELECT " CH_ROW_MARK ", toInt64(count()), min(start_ns), max(start_ns) FROM %s.summary WHERE "
        "start_ns >= %lld AND start_ns < %lld AND pair_id IN ",
        db->name,
        (long long)(g->first_ns > g->span->from_ns ? g->first_ns : level_cell(STORE_1D, g->span->from_ns)),
        (long long)fresh_end(g));
    ch_sql_add_numbers(&db->sql, ids, n);
    ch_commits_where(&db->sql, &g->r->view.fresh);
    return ch_reader_select(g->r, types, TW_NELEM(types), take_fresh, g, g->err);
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

static bool cell_has(const struct reading *g, enum store_level l, int64_t cell_ns, uint32_t flow,
                     int64_t writer, int64_t txn)
{
    size_t lo = 0, hi = g->n_seen;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare_seen(&g->seen[mid], l, cell_ns, flow) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < g->n_seen && !compare_seen(&g->seen[lo], l, cell_ns, flow) &&
           ch_commits_have(&g->has[g->seen[lo].has].commits, writer, txn);
}

struct row {
    uint8_t level;
    int64_t cell_ns, rows, whole, writer, txn;
    const uint8_t *has;
    size_t has_len;
    struct copy_key key;
};

/* One that is as long as its cell is in no such cell. */
static bool is_in_cell(const struct reading *g, const struct tw_summary *s, const struct row *row)
{
    const struct level_tile *t = tile_at(g, s->start_ns);

    return t && (t->level == STORE_1D || s->end_ns - s->start_ns < store_level_ns(t->level)) &&
           cell_has(g, t->level, level_cell(t->level, s->start_ns), s->flow, row->writer, row->txn);
}

/* ---- What cells have ---- */

/* Of a cell from before there were several writers: all up to its number. */
static enum tw_rc make_has(struct has *to, const struct row *row)
{
    ch_put_octets(&to->octets, row->has, row->has_len);
    if (to->octets.bad)
        return TW_ENOMEM;
    return row->has_len ? ch_commits_take(row->has, row->has_len, &to->commits)
                        : ch_commits_add(&to->commits, 0, 0, row->txn);
}

/* Cells of one round have the same. */
static enum tw_rc find_has(struct reading *g, const struct row *row, size_t *ret)
{
    for (size_t i = g->n_has; i > 0 && row->has_len; i--)
        if (g->has[i - 1].octets.len == row->has_len &&
            !memcmp(g->has[i - 1].octets.p, row->has, row->has_len)) {
            *ret = i - 1;
            return TW_OK;
        }
    if (!db_grow(&g->has, g->n_has, &g->cap_has, sizeof *g->has))
        return TW_ENOMEM;
    g->has[g->n_has] = (struct has){ .octets = { .len = 0 } };
    *ret = g->n_has++;
    return make_has(&g->has[*ret], row);
}

static void forget_has(struct reading *g)
{
    for (size_t i = 0; i < g->n_has; i++) {
        ch_buf_free(&g->has[i].octets);
        ch_commits_free(&g->has[i].commits);
    }
    g->n_has = 0;
}

static enum tw_rc note_cell(struct reading *g, const struct row *row)
{
    enum store_level level = (enum store_level)row->level;
    struct cell_seen seen = { level, row->cell_ns, g->r->row.flow, 0 };
    enum tw_rc rc;

    if (row->cell_ns >= g->fresh_to_ns || row->cell_ns + store_level_ns(level) <= g->fresh_from_ns)
        return TW_OK;
    rc = find_has(g, row, &seen.has);
    if (!rc && !db_grow(&g->seen, g->n_seen, &g->cap_seen, sizeof *g->seen))
        rc = TW_ENOMEM;
    if (rc)
        return tw_err_set(g->err, rc, "clickhouse %s: what a cell at %lld has: %s", g->r->db.name,
                          (long long)row->cell_ns, tw_rc_name(rc));
    g->seen[g->n_seen++] = seen;
    return TW_OK;
}

/* ---- Handing on ---- */

static enum tw_rc tell_summary(struct reading *g, const struct tw_summary *s)
{
    struct store_cell c = {
        .merged = s, .level = STORE_RAW, .from_ns = s->start_ns, .until_ns = s->end_ns, .rows = 1
    };

    c.whole = s->start_ns % (s->end_ns - s->start_ns) == 0;
    return g->span->fn(g->span->ctx, &c);
}

static enum tw_rc tell_held(struct reading *g)
{
    bool held = g->is_held;

    g->is_held = false;
    return held ? tell_summary(g, &g->held) : TW_OK;
}

/* Copies follow each other. One that may be in a cell is held until the last of them came. */
static enum tw_rc take_one(struct reading *g, const struct row *row)
{
    struct tw_summary *s = &g->r->row, swap;
    bool again = g->key_level == row->level && !memcmp(&g->key, &row->key, sizeof g->key);
    enum tw_rc rc = again ? TW_OK : tell_held(g);

    g->key = row->key;
    g->key_level = row->level;
    if (row->level == STORE_RAW)
        return rc || again ? rc : tell_summary(g, s);
    if (is_in_cell(g, s, row)) {
        g->is_held = false;
    } else if (!again) {
        swap = g->held;
        g->held = *s;
        *s = swap; /* its memory is used again */
        g->is_held = true;
    }
    return rc;
}

static enum tw_rc hand_on(struct reading *g, const struct row *row)
{
    const struct tw_summary *s = &g->r->row;
    struct store_cell c = { .merged = s,
                            .level = (enum store_level)row->level,
                            .from_ns = row->cell_ns,
                            .rows = (uint64_t)row->rows,
                            .whole = (uint64_t)row->whole };
    enum tw_rc rc;

    if (row->level == STORE_RAW || row->level == FRESH)
        return take_one(g, row);
    c.until_ns = row->cell_ns + store_level_ns(c.level);
    rc = note_cell(g, row);
    return rc ? rc : g->span->fn(g->span->ctx, &c);
}

static void get_row(struct wire_rd *wire, struct row *row)
{
    const uint8_t *spool_id;

    memset(row, 0, sizeof *row); /* keys are compared as octets */
    row->level = ch_get_u8(wire);
    row->cell_ns = ch_get_i64(wire);
    row->rows = ch_get_i64(wire);
    row->whole = ch_get_i64(wire);
    row->txn = ch_get_i64(wire);
    row->writer = ch_get_i64(wire);
    row->has = ch_get_string(wire, &row->has_len);
    row->key.agent_id = ch_get_i64(wire);
    spool_id = wire_take(wire, STORE_ID_LEN);
    if (spool_id)
        memcpy(row->key.spool_id, spool_id, STORE_ID_LEN);
    row->key.seq = ch_get_i64(wire);
    row->key.start_ns = row->cell_ns;
}

/* What was told of the pair before is complete. */
static enum tw_rc begin_pair(struct reading *g, uint64_t pair_id)
{
    enum tw_rc rc = tell_held(g);

    g->at_pair = pair_id;
    g->n_seen = 0;
    g->key_level = STORE_LEVELS;
    forget_has(g);
    return rc ? rc : tell_covers(g, pair_id);
}

static enum tw_rc take_row(void *ctx, struct wire_rd *wire, struct tw_err *err)
{
    struct reading *g = ctx;
    struct row row;
    struct tw_err why = { 0 };
    enum tw_rc rc;

    get_row(wire, &row);
    if (wire->bad || (row.level >= STORE_LEVELS && row.level != FRESH))
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: an answer has other columns");
    rc = ch_row_take(wire, &g->r->row, &why);
    if (rc)
        return tw_err_set(err, rc, "clickhouse %s: damaged row of pair %llu at %lld: %.150s", g->r->db.name,
                          (unsigned long long)g->r->row.pair_id, (long long)row.cell_ns, why.text);
    row.key.flow = g->r->row.flow;
    if (g->at_pair != g->r->row.pair_id)
        rc = begin_pair(g, g->r->row.pair_id);
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
        if (level == FRESH ? g->tiles[i].level != STORE_RAW && g->tiles[i].from_ns < g->fresh_to_ns &&
                                 g->tiles[i].to_ns > g->fresh_from_ns
                           : g->tiles[i].level == (enum store_level)level)
            return true;
    return false;
}

/* What no round took, and of which no copy is in a cell of a round that ended. */
static void add_fresh(struct reading *g, const uint64_t *ids, size_t n)
{
    struct ch_db *db = &g->r->db;
    const struct ch_view *v = &g->r->view;

    ch_sql_add(&db->sql, " AND start_ns >= %lld AND start_ns < %lld", (long long)g->fresh_from_ns,
               (long long)g->fresh_to_ns);
    ch_commits_where(&db->sql, &v->fresh);
    if (!ch_view_copies(v))
        return;
    ch_db_begin_no_copy(db, &v->rolled);
    ch_sql_add(&db->sql, " AND start_ns >= %lld AND start_ns < %lld AND pair_id IN ",
               (long long)g->fresh_from_ns, (long long)g->fresh_to_ns);
    ch_sql_add_numbers(&db->sql, ids, n);
    ch_sql_add(&db->sql, ")");
}

static void add_part(struct reading *g, int level, const uint64_t *ids, size_t n, bool first)
{
    struct ch_db *db = &g->r->db;
    bool raw = level == STORE_RAW || level == FRESH;

    ch_sql_add(
        &db->sql,
        "%sSELECT toUInt8(%d) AS lvl, %s, toInt64(txn) AS number, %s, %s FROM %s.%s FINAL WHERE pair_id IN ",
        first ? "" : " UNION ALL ", level,
        raw ? "start_ns AS cell_ns, toInt64(1) AS n_rows, toInt64(0) AS n_whole" : "cell_ns, n_rows, n_whole",
        raw                   ? "writer, '' AS has, agent_id, spool_id, seq"
        : g->fresh_to_ns != 0 ? CELL_HAS("has")
                              : CELL_HAS("'' AS has"),
        ch_row_names(), db->name, ch_level_tables[raw ? STORE_RAW : level]);
    ch_sql_add_numbers(&db->sql, ids, n);
    add_ranges(g, level, raw ? "start_ns" : "cell_ns");
    if (level == FRESH)
        add_fresh(g, ids, n);
    else if (raw)
        ch_commits_where(&db->sql, &g->r->view.done);
}

static enum tw_rc run_statement(struct reading *g, const uint64_t *ids, size_t n)
{
    static const int order[] = { STORE_RAW, STORE_1MIN, STORE_10MIN, STORE_1H, STORE_1D, FRESH };
    static const enum ch_type own[] = { CH_U8,  CH_I64,    CH_I64, CH_I64, CH_I64,
                                        CH_I64, CH_STRING, CH_I64, CH_ID,  CH_I64 };
    enum ch_type types[TW_NELEM(own) + ROW_MAX];
    struct ch_db *db = &g->r->db;
    bool any = false;
    enum tw_rc rc;

    memcpy(types, own, sizeof own);
    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK
                 ", lvl, cell_ns, n_rows, n_whole, number, writer, has, agent_id, spool_id, seq, %s FROM (",
                 ch_row_names());
    for (size_t i = 0; i < TW_NELEM(order); i++)
        if (has_tiles(g, order[i])) {
            add_part(g, order[i], ids, n, !any);
            any = true;
        }
    ch_sql_add(&db->sql, ") ORDER BY pair_id, lvl, cell_ns, flow, agent_id, spool_id, seq");
    g->at_pair = 0;
    rc = any ? ch_reader_select(g->r, types, ch_row_types(types, TW_NELEM(own)), take_row, g, g->err) : TW_OK;
    return rc ? rc : tell_held(g);
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

    if (!rc)
        rc = find_fresh(g, ids, n);
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
    summary_init(&g.held);
    rc = ch_reader_begin(g.r, span->pair_ids, &n, &ids, err);
    g.ids = ids;
    g.n_ids = n;
    if (!rc)
        rc = ch_reader_look(g.r, ch_http_bit(CH_SUMMARY) | CH_CELLS, err);
    if (!rc)
        rc = load_bounds(&g);
    for (size_t at = 0; at < n && !rc; at += SPAN_PAIRS)
        rc = read_pairs(&g, ids + at, n - at < SPAN_PAIRS ? n - at : SPAN_PAIRS);
    summary_free(&g.held);
    forget_has(&g);
    free(g.has);
    free(g.longs);
    free(g.seen);
    free(ids);
    return rc;
}
