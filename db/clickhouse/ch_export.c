/* Everything that is stored, to be carried to another database, or compared with one. A part is a partition,
 * and a row's place its pair; statements are about some pairs at a time, so that a server need not sort a
 * whole partition in memory. */
#include "db/clickhouse/ch_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "db/grow.h"

#define STATEMENT_ROWS 100000

typedef enum tw_rc (*part_fn)(void *ctx, const struct history_part *p);
typedef enum tw_rc (*row_fn)(void *ctx, const struct history_row *row);

/* ---- Tables ---- */

/* Which columns a kind has before those of a summary. */
static const struct source {
    const char *table; /* NULL: of the level */
    const char *time, *own;
    enum ch_type types[16];
    size_t n_types;
    bool summary;
    int64_t partition; /* days; 0: of the level */
} sources[HISTORY_KINDS] = {
    [HISTORY_ROLLED] = { NULL,
                         "start_ns",
                         "agent_id, spool_id, seq, received_ns",
                         { CH_I64, CH_ID, CH_I64, CH_I64 },
                         4,
                         true,
                         0 },
    [HISTORY_CELL] = { NULL,
                       "cell_ns",
                       "cell_ns, n_rows, n_whole, longest_ns",
                       { CH_I64, CH_I64, CH_I64, CH_I64 },
                       4,
                       true,
                       0 },
    [HISTORY_WAITING] = { NULL,
                          "start_ns",
                          "agent_id, spool_id, seq, received_ns",
                          { CH_I64, CH_ID, CH_I64, CH_I64 },
                          4,
                          true,
                          0 },
    [HISTORY_RUN] = { "loss_run",
                      "start_ns",
                      "pair_id, start_ns, flow, seq_first, length_ns, probes, direction, continues, "
                      "toInt64(1)",
                      { CH_I64, CH_I64, CH_U32, CH_U32, CH_I64, CH_I64, CH_U8, CH_U8, CH_I64 },
                      9,
                      false,
                      1 },
    [HISTORY_CHAIN] = { "loss_chain",
                        "start_ns",
                        "pair_id, start_ns, flow, seq_first, length_ns, probes, direction, continues, parts",
                        { CH_I64, CH_I64, CH_U32, CH_U32, CH_I64, CH_I64, CH_U8, CH_U8, CH_I64 },
                        9,
                        false,
                        365 },
    [HISTORY_GAP] = { "gap",
                      "received_ns",
                      "agent_id, spool_id, first_seq, last_seq, reason, received_ns, from_ns, until_ns",
                      { CH_I64, CH_ID, CH_I64, CH_I64, CH_STRING, CH_I64, CH_I64, CH_I64 },
                      8,
                      false,
                      1 },
    [HISTORY_CURSOR] = { .table = "cursor" },
};

static const char *table_of(enum history_kind kind, enum store_level level)
{
    return sources[kind].table ? sources[kind].table : ch_level_tables[level];
}

static int64_t partition_ns(enum history_kind kind, enum store_level level)
{
    return sources[kind].table ? sources[kind].partition * CH_DAY_NS : ch_level_partition_ns((int)level);
}

/* ---- Parts ---- */

struct listing {
    struct history_part *v;
    size_t n, cap;
};

static enum tw_rc add(struct listing *l, const struct history_part *p, struct tw_err *err)
{
    if (!db_grow(&l->v, l->n, &l->cap, sizeof *l->v))
        return ch_no_memory(err);
    l->v[l->n++] = *p;
    return TW_OK;
}

/* Partition 0 has what is before 1970, too. Every kind and level of that table. */
static enum tw_rc take_partition(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    size_t len;
    const uint8_t *table = ch_get_string(row, &len);
    int64_t number = ch_get_i64(row), rows = ch_get_i64(row);
    enum tw_rc rc = TW_OK;

    for (int k = 0; table && k < HISTORY_CURSOR && !rc; k++)
        for (int l = 0; l < STORE_LEVELS && !rc; l++) {
            const char *name = table_of((enum history_kind)k, (enum store_level)l);
            int64_t ns = partition_ns((enum history_kind)k, (enum store_level)l);
            struct history_part p = { .kind = (enum history_kind)k,
                                      .level = (enum store_level)l,
                                      .from_ns = number ? ch_partition_begin(number, ns) : -ns,
                                      .to_ns = ch_partition_begin(number + 1, ns),
                                      .rows = (uint64_t)rows };
            if ((k == HISTORY_CELL) == (l > STORE_RAW) && strlen(name) == len && !memcmp(name, table, len))
                rc = add(ctx, &p, err);
        }
    return rc;
}

enum tw_rc ch_export_parts(struct history_reader *base, part_fn fn, void *ctx, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_STRING, CH_I64, CH_I64 };
    const struct history_part cursors = { HISTORY_CURSOR, STORE_RAW, INT64_MIN, INT64_MAX, 1 };
    struct ch_reader *r = (struct ch_reader *)base;
    struct listing l = { .n = 0 };
    enum tw_rc rc;

    atomic_store(&r->stop, false);
    rc = ch_db_join(&r->db, err);
    if (!rc)
        rc = ch_http_sync(r->db.http, CH_ALL, err);
    if (rc)
        return rc;
    ch_sql_begin(&r->db.sql,
                 "SELECT " CH_ROW_MARK ", table, toInt64OrZero(partition) AS number, toInt64(sum(rows))"
                 " FROM system.parts WHERE database = '%s' AND active GROUP BY table, number",
                 r->db.name);
    rc = ch_reader_select(r, types, TW_NELEM(types), take_partition, &l, err);
    if (!rc)
        rc = add(&l, &cursors, err);
    for (size_t i = 0; i < l.n && !rc; i++)
        rc = fn(ctx, &l.v[i]);
    free(l.v);
    return rc;
}

/* ---- Rows ---- */

struct exporting {
    struct ch_reader *r;
    const struct history_part *p;
    row_fn fn;
    void *ctx;
    struct history_row row;
    struct history_gap gap;
    struct tw_loss_run run;
    char reason[256];
};

static void take_spool(struct exporting *e, struct wire_rd *w)
{
    const uint8_t *spool = wire_take(w, STORE_ID_LEN);

    if (spool)
        memcpy(e->row.spool_id, spool, STORE_ID_LEN);
}

static enum tw_rc take_summary(struct exporting *e, struct wire_rd *w, struct tw_err *err)
{
    int64_t received_ns;
    enum tw_rc rc;

    e->row.agent_id = ch_get_i64(w);
    take_spool(e, w);
    e->row.seq = (uint64_t)ch_get_i64(w);
    received_ns = ch_get_i64(w);
    rc = ch_take_summary(e->r, w, err);
    e->row.at = e->r->row.pair_id;
    e->row.early = received_ns && e->r->row.start_ns > received_ns + CH_EARLY_NS;
    return rc;
}

static enum tw_rc take_cell(struct exporting *e, struct wire_rd *w, struct tw_err *err)
{
    enum tw_rc rc;

    e->row.cell_ns = ch_get_i64(w);
    e->row.n_rows = (uint64_t)ch_get_i64(w);
    e->row.n_whole = (uint64_t)ch_get_i64(w);
    e->row.longest_ns = ch_get_i64(w);
    rc = ch_take_summary(e->r, w, err);
    e->row.at = e->r->row.pair_id;
    return rc;
}

static enum tw_rc take_run(struct exporting *e, struct wire_rd *w, struct tw_err *err)
{
    e->row.at = e->row.pair_id = (uint64_t)ch_get_i64(w);
    return ch_take_run(e->r, w, &e->run, &e->row.parts, err);
}

static enum tw_rc take_gap(struct exporting *e, struct wire_rd *w, struct tw_err *err)
{
    const uint8_t *reason;
    size_t len;

    (void)err;
    e->gap.agent_id = ch_get_i64(w);
    e->row.at = 1; /* agents' numbers may be below 0: there is no going on within a part */
    take_spool(e, w);
    e->gap.first_seq = (uint64_t)ch_get_i64(w);
    e->gap.last_seq = (uint64_t)ch_get_i64(w);
    reason = ch_get_string(w, &len);
    len = len < sizeof e->reason ? len : sizeof e->reason - 1;
    if (reason)
        memcpy(e->reason, reason, len);
    e->reason[len] = '\0';
    e->gap.received_ns = ch_get_i64(w);
    e->gap.from_ns = ch_get_i64(w);
    e->gap.until_ns = ch_get_i64(w);
    return TW_OK;
}

static enum tw_rc take_row(void *ctx, struct wire_rd *w, struct tw_err *err)
{
    struct exporting *e = ctx;
    enum tw_rc rc;

    switch (e->p->kind) {
    case HISTORY_CELL:
        rc = take_cell(e, w, err);
        break;
    case HISTORY_RUN:
    case HISTORY_CHAIN:
        rc = take_run(e, w, err);
        break;
    case HISTORY_GAP:
        rc = take_gap(e, w, err);
        break;
    default:
        rc = take_summary(e, w, err);
    }
    return rc ? rc : e->fn(e->ctx, &e->row);
}

/* " FROM table FINAL WHERE ..." of the part; FINAL costs, and pairs are found as well without it. */
static void add_source(struct exporting *e, const char *final, uint64_t after)
{
    const struct history_part *p = e->p;
    struct ch_db *db = &e->r->db;
    const char *time = sources[p->kind].time;
    const struct ch_view *v = &e->r->view;

    ch_sql_add(&db->sql, " FROM %s.%s%s WHERE %s >= %lld AND %s < %lld", db->name,
               table_of(p->kind, p->level), final, time, (long long)p->from_ns, time, (long long)p->to_ns);
    if (p->kind != HISTORY_GAP)
        ch_sql_add(&db->sql, " AND pair_id > %lld",
                   (long long)(after > INT64_MAX ? INT64_MAX : (int64_t)after));
    if (p->kind == HISTORY_ROLLED)
        ch_commits_where(&db->sql, &v->rolled);
    if (p->kind == HISTORY_WAITING)
        ch_commits_where(&db->sql, &v->fresh);
    if (p->kind != HISTORY_CELL && p->kind != HISTORY_CHAIN)
        ch_commits_where(&db->sql, &v->done);
}

/* Statements end between pairs. */
static enum tw_rc find_last_pair(struct exporting *e, uint64_t after, int64_t *ret, struct tw_err *err)
{
    struct ch_db *db = &e->r->db;
    enum tw_rc rc;

    *ret = INT64_MAX;
    if (e->p->kind == HISTORY_GAP)
        return TW_OK;
    ch_sql_begin(&db->sql, "SELECT " CH_ROW_MARK ", pair_id");
    add_source(e, "", after);
    ch_sql_add(&db->sql, " ORDER BY pair_id LIMIT %d, 1 FORMAT RowBinary", STATEMENT_ROWS);
    rc = ch_get_numbers(db->http, &db->sql, ret, 1, err);
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* One of each that is stored twice. */
static void add_once(struct exporting *e, uint64_t after, int64_t last)
{
    const struct history_part *p = e->p;
    struct ch_db *db = &e->r->db;
    bool copies = ch_view_copies(&e->r->view);

    if (p->kind == HISTORY_WAITING && copies) {
        ch_db_begin_no_copy(db, &e->r->view.rolled);
        ch_sql_add(&db->sql,
                   " AND start_ns >= %lld AND start_ns < %lld AND pair_id > %lld AND pair_id <= %lld)",
                   (long long)p->from_ns, (long long)p->to_ns, (long long)after, (long long)last);
    }
    if (p->kind != HISTORY_GAP)
        ch_sql_add(&db->sql, " ORDER BY pair_id");
    if (copies && (p->kind == HISTORY_ROLLED || p->kind == HISTORY_WAITING))
        ch_sql_add(&db->sql, " LIMIT 1 BY " CH_SUMMARY_KEY);
    if (copies && p->kind == HISTORY_RUN)
        ch_sql_add(&db->sql, " LIMIT 1 BY pair_id, start_ns, flow, seq_first");
}

static enum tw_rc read_rows(struct exporting *e, uint64_t after, int64_t last, struct tw_err *err)
{
    const struct source *s = &sources[e->p->kind];
    struct ch_db *db = &e->r->db;
    enum ch_type types[TW_NELEM(s->types) + ROW_MAX];
    size_t n = s->n_types;

    memcpy(types, s->types, sizeof s->types);
    if (s->summary)
        n = ch_row_types(types, n);
    ch_sql_begin(&db->sql, "SELECT " CH_ROW_MARK ", %s%s%s", s->own, s->summary ? ", " : "",
                 s->summary ? ch_row_names() : "");
    add_source(e, " FINAL", after);
    if (e->p->kind != HISTORY_GAP)
        ch_sql_add(&db->sql, " AND pair_id <= %lld", (long long)last);
    add_once(e, after, last);
    return ch_reader_select(e->r, types, n, take_row, e, err);
}

static enum tw_rc export_cursors(struct exporting *e, uint64_t after, struct tw_err *err)
{
    struct cursors all = { 0 };
    enum tw_rc rc = ch_load_cursors(&e->r->db, NULL, 0, &all, err);

    for (size_t i = 0; i < all.n && !rc; i++) {
        const struct cursor *c = &all.e[i];
        if (c->agent_id <= 0 || (uint64_t)c->agent_id <= after)
            continue;
        e->row.agent_id = c->agent_id;
        e->row.at = (uint64_t)c->agent_id;
        memcpy(e->row.spool_id, c->spool_id, STORE_ID_LEN);
        e->row.cursor = c->now;
        rc = e->fn(e->ctx, &e->row);
    }
    cursors_free(&all);
    return rc;
}

/* Cells of a round that broke off have what the end of it knows nothing of. */
static enum tw_rc load_progress(struct exporting *e, struct tw_err *err)
{
    enum tw_rc rc = ch_reader_look(e->r, CH_ALL, err);

    if (rc || !e->r->view.round_no)
        return rc;
    return tw_err_set(
        err, TW_EAGAIN,
        "clickhouse %s: a roll-up broke off: start the controller on it, until there is none under way",
        e->r->db.name);
}

enum tw_rc ch_export_rows(struct history_reader *base, const struct history_part *p, uint64_t after,
                          row_fn fn, void *ctx, struct tw_err *err)
{
    struct exporting e = { .r = (struct ch_reader *)base,
                           .p = p,
                           .fn = fn,
                           .ctx = ctx,
                           .row = { .kind = p->kind, .level = p->level } };
    bool summary = p->kind == HISTORY_ROLLED || p->kind == HISTORY_WAITING || p->kind == HISTORY_CELL;
    int64_t last = 0;
    enum tw_rc rc;

    atomic_store(&e.r->stop, false);
    if (p->kind == HISTORY_CURSOR)
        return export_cursors(&e, after, err);
    e.row.summary = summary ? &e.r->row : NULL;
    e.row.run = p->kind == HISTORY_RUN || p->kind == HISTORY_CHAIN ? &e.run : NULL;
    e.row.gap = p->kind == HISTORY_GAP ? &e.gap : NULL;
    e.gap.reason = e.reason;
    rc = load_progress(&e, err);
    for (; !rc && last < INT64_MAX; after = (uint64_t)last) {
        rc = find_last_pair(&e, after, &last, err);
        if (!rc)
            rc = read_rows(&e, after, last, err);
    }
    return rc;
}
