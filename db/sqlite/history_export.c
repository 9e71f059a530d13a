/* Everything that is stored, to be carried to another database. A part is a table, and a row's place its
 * number there, or its pair or agent where tables have no numbers. */
#include "db/sqlite/history_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum tw_rc (*part_fn)(void *ctx, const struct history_part *p);
typedef enum tw_rc (*row_fn)(void *ctx, const struct history_row *row);

/* ---- Parts -------------------------------------------------------------------------------------- */

struct listing {
    struct sqlite_reader *r;
    part_fn fn;
    void *ctx;
    struct tw_err *err;
};

static enum tw_rc tell(const struct listing *l, enum history_kind kind, enum store_level level,
                       int64_t first_day, int64_t end_day, int64_t rows)
{
    const struct history_part p = { kind, level, day_start(first_day), day_start(end_day),
                                    rows > 0 ? (uint64_t)rows : 0 };

    return l->fn(l->ctx, &p);
}

/* Rows behind `through` wait, but for those that a round under way has done. */
static enum tw_rc list_days(const struct listing *l)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&l->r->q, ST_READ_DAYS, &c, l->err), bad;

    if (rc)
        return rc;
    sq_put_i64(&c, DAY_MIN);
    sq_put_i64(&c, DAY_MAX);
    while ((rc = sq_next(&c, l->err)) == TW_OK) {
        int64_t day = sq_take_i64(&c), last = sq_take_i64(&c), through = sq_take_i64(&c),
                until = sq_take_i64(&c);
        bad = through || until ? tell(l, HISTORY_ROLLED, STORE_RAW, day, day + 1, through) : TW_OK;
        if (!bad && last > through)
            bad = tell(l, HISTORY_WAITING, STORE_RAW, day, day + 1, last - through);
        if (bad) {
            sq_end(&c);
            return bad;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc count(const struct listing *l, const char *table, int64_t *ret)
{
    char sql[96];

    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    return sq_get_int(&l->r->q, sql, ret, l->err);
}

static enum tw_rc list_cells(const struct listing *l)
{
    struct cells_part *parts = NULL;
    size_t n = 0;
    enum tw_rc rc = cells_list(&l->r->q, &parts, &n, l->err);

    for (size_t i = 0; i < n && !rc; i++) {
        int64_t rows = 0;
        char name[CELLS_NAME];
        rc = count(l, cells_name(&parts[i], name), &rows);
        if (!rc)
            rc = tell(l, HISTORY_CELL, parts[i].level, parts[i].first_day, parts[i].end_day, rows);
    }
    free(parts);
    return rc;
}

static enum tw_rc list_runs(const struct listing *l)
{
    int64_t *days = NULL;
    size_t n = 0;
    enum tw_rc rc = day_list_of(&l->r->q, RUNS_GLOB, DAY_MIN, DAY_MAX, &days, &n, l->err);

    for (size_t i = 0; i < n && !rc; i++) {
        int64_t rows = 0;
        char name[DAY_NAME];
        rc = count(l, runs_table(days[i], name), &rows);
        if (!rc)
            rc = tell(l, HISTORY_RUN, STORE_RAW, days[i], days[i] + 1, rows);
    }
    free(days);
    return rc;
}

static struct cells_part year_of(int year)
{
    return cells_part_of(STORE_1D, (int64_t)(year - 1970) * 36525 / 100 + 180);
}

static enum tw_rc list_chains(const struct listing *l)
{
    int years[RUNS_YEARS_MAX];
    size_t n = 0;
    enum tw_rc rc = runs_years(&l->r->q, years, &n, l->err);

    for (size_t i = 0; i < n && !rc; i++) {
        struct cells_part p = year_of(years[i]);
        int64_t rows = 0;
        char name[DAY_NAME];
        snprintf(name, sizeof name, "loss_chain_%04d", years[i]);
        rc = count(l, name, &rows);
        if (!rc)
            rc = tell(l, HISTORY_CHAIN, STORE_RAW, p.first_day, p.end_day, rows);
    }
    return rc;
}

static enum tw_rc list_table(const struct listing *l, enum history_kind kind, const char *table)
{
    int64_t rows = 0;
    enum tw_rc rc = count(l, table, &rows);

    return rc || !rows ? rc : tell(l, kind, STORE_RAW, DAY_MIN, DAY_MAX + 1, rows);
}

enum tw_rc sqlite_export_parts(struct history_reader *h, part_fn fn, void *ctx, struct tw_err *err)
{
    const struct listing l = { sqlite_reader_of(h), fn, ctx, err };
    enum tw_rc rc = sq_exec(&l.r->q, "BEGIN", err);

    if (!rc)
        rc = list_days(&l);
    if (!rc)
        rc = list_cells(&l);
    if (!rc)
        rc = list_runs(&l);
    if (!rc)
        rc = list_chains(&l);
    if (!rc)
        rc = list_table(&l, HISTORY_GAP, "gap");
    if (!rc)
        rc = list_table(&l, HISTORY_CURSOR, "cursor");
    sq_rollback(&l.r->q);
    return rc;
}

/* ---- Rows --------------------------------------------------------------------------------------- */

struct exporting {
    struct sqlite_reader *r;
    const struct history_part *p;
    row_fn fn;
    void *ctx;
    struct tw_err *err;
    struct level_day day; /* of summaries */
    struct history_row row;
    struct history_gap gap;
    struct tw_loss_run run;
};

/* Each row of `sql` from behind place `after` on, its only parameter, which `take` takes into e->row; false:
 * it is not wanted. */
static enum tw_rc run_export(struct exporting *e, sqlite3_stmt *st, uint64_t after,
                             enum tw_rc (*take)(struct exporting *e, struct sq_cur *c, bool *ret_wanted))
{
    struct sq_cur c;
    enum tw_rc rc, bad;

    sq_start_stmt(&e->r->q, st, &c);
    sq_put_i64(&c, after > INT64_MAX ? INT64_MAX : (int64_t)after);
    while ((rc = sq_next(&c, e->err)) == TW_OK) {
        bool wanted = true;
        bad = take(e, &c, &wanted);
        if (!bad && wanted)
            bad = e->fn(e->ctx, &e->row);
        if (bad) {
            sq_end(&c);
            return bad;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* What the columns of a table are: "SELECT own, a, b, 0, NULL". */
static enum tw_rc select_rows(struct exporting *e, const char *own, const char *table, const char *tail,
                              sqlite3_stmt **ret)
{
    bool have[ROW_MAX], any = false;
    sqlite3_str *sql;
    enum tw_rc rc = day_columns(&e->r->q, table, have, &any, e->err);

    if (rc || !any)
        return rc ? rc
                  : tw_err_set(e->err, TW_ENOENT, "%s %s: no table %s", e->r->q.spec->what, e->r->q.path,
                               table);
    rc = day_leave_out_foreign_digest(&e->r->q, table, have, e->err);
    if (rc)
        return rc;
    sql = sqlite3_str_new(e->r->q.db);
    sqlite3_str_appendf(sql, "SELECT %s, ", own);
    day_put_columns(sql, have, 0, "s.");
    sqlite3_str_appendf(sql, " FROM %s AS s %s", table, tail);
    return day_finish(&e->r->q, sql, ret, e->err);
}

static enum tw_rc take_summary(struct exporting *e, struct sq_cur *c, bool *ret_wanted)
{
    const struct level_day *d = &e->day;
    int64_t row = sq_take_i64(c);
    bool rolled;
    enum tw_rc rc;

    e->row.at = e->row.seq = (uint64_t)row;
    e->row.early = sq_take_i64(c);
    rc = row_take(c, &e->r->row, 0, e->err);
    rolled = row <= d->through || (row <= d->until && (int64_t)e->r->row.pair_id < d->next_pair);
    *ret_wanted = rolled == (e->p->kind == HISTORY_ROLLED);
    return rc;
}

static enum tw_rc find_day(struct exporting *e, int64_t day)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&e->r->q, ST_READ_DAYS, &c, e->err);

    if (rc)
        return rc;
    sq_put_i64(&c, day);
    sq_put_i64(&c, day);
    rc = sq_next(&c, e->err);
    if (rc)
        return rc;
    e->day.day = sq_take_i64(&c);
    e->day.last = sq_take_i64(&c);
    e->day.through = sq_take_i64(&c);
    e->day.until = sq_take_i64(&c);
    e->day.next_pair = sq_take_i64(&c);
    sq_end(&c);
    return TW_OK;
}

static enum tw_rc export_summaries(struct exporting *e, uint64_t after)
{
    int64_t day = day_of(e->p->from_ns);
    sqlite3_stmt *st = NULL;
    char name[DAY_NAME];
    enum tw_rc rc = find_day(e, day);

    if (e->p->kind == HISTORY_WAITING && after < (uint64_t)e->day.through)
        after = (uint64_t)e->day.through;
    if (!rc)
        rc = select_rows(e, "s.rowid, ifnull(s.start_ns > l.start_ns, 0)", day_name(day, name),
                         "LEFT JOIN latest AS l ON l.pair_id = s.pair_id AND l.flow = s.flow"
                         " WHERE s.rowid > ? ORDER BY s.rowid",
                         &st);
    if (rc)
        return rc;
    e->row.summary = &e->r->row;
    memcpy(e->row.spool_id, &day, sizeof day); /* numbers are a table's own */
    rc = run_export(e, st, after, take_summary);
    sqlite3_finalize(st);
    return rc;
}

static enum tw_rc take_cell(struct exporting *e, struct sq_cur *c, bool *ret_wanted)
{
    (void)ret_wanted;
    e->row.at = (uint64_t)sq_take_i64(c);
    e->row.cell_ns = sq_take_i64(c);
    e->row.n_rows = (uint64_t)sq_take_i64(c);
    e->row.n_whole = (uint64_t)sq_take_i64(c);
    e->row.longest_ns = sq_take_i64(c);
    return row_take(c, &e->r->row, 0, e->err);
}

static enum tw_rc export_cells(struct exporting *e, uint64_t after)
{
    struct cells_part p = cells_part_of(e->p->level, day_of(e->p->from_ns));
    sqlite3_stmt *st = NULL;
    char name[CELLS_NAME];
    enum tw_rc rc = select_rows(e, "s.rowid, cell_ns, n_rows, n_whole, longest_ns", cells_name(&p, name),
                                "WHERE s.rowid > ? ORDER BY s.rowid", &st);

    if (rc)
        return rc;
    e->row.summary = &e->r->row;
    rc = run_export(e, st, after, take_cell);
    sqlite3_finalize(st);
    return rc;
}

static enum tw_rc take_run(struct exporting *e, struct sq_cur *c, bool *ret_wanted)
{
    (void)ret_wanted;
    e->row.at = e->row.pair_id = (uint64_t)sq_take_i64(c);
    e->row.parts = (uint64_t)sq_take_i64(c);
    return runs_take(&e->r->q, c, &e->run, e->err);
}

static enum tw_rc export_runs(struct exporting *e, uint64_t after)
{
    bool chains = e->p->kind == HISTORY_CHAIN;
    char name[DAY_NAME], sql[300];
    sqlite3_stmt *st = NULL;
    enum tw_rc rc;

    if (chains)
        runs_chain_table(day_of(e->p->from_ns), name);
    else
        runs_table(day_of(e->p->from_ns), name);
    snprintf(sql, sizeof sql,
             "SELECT pair_id, %s, start_ns, flow, seq_first, length_ns, probes, direction, continues FROM %s"
             " WHERE pair_id > ? ORDER BY pair_id",
             chains ? "parts" : "1", name);
    rc = sq_prepare(&e->r->q, sql, &st, e->err);
    if (rc)
        return rc;
    e->row.run = &e->run;
    rc = run_export(e, st, after, take_run);
    sqlite3_finalize(st);
    return rc;
}

/* Of releases of before there were numbers of agents a spool's may be anything. */
static void take_spool(struct exporting *e, struct sq_cur *c)
{
    size_t len;
    const uint8_t *spool = sq_take_blob(c, &len);

    memset(e->row.spool_id, 0, STORE_ID_LEN);
    if (len)
        memcpy(e->row.spool_id, spool, len < STORE_ID_LEN ? len : STORE_ID_LEN);
}

static enum tw_rc take_gap(struct exporting *e, struct sq_cur *c, bool *ret_wanted)
{
    (void)ret_wanted;
    e->row.at = (uint64_t)sq_take_i64(c);
    take_spool(e, c);
    e->gap.agent_id = sq_take_i64(c);
    e->gap.first_seq = (uint64_t)sq_take_i64(c);
    e->gap.last_seq = (uint64_t)sq_take_i64(c);
    e->gap.reason = sq_take_text(c);
    e->gap.received_ns = sq_take_i64(c);
    e->gap.from_ns = sq_take_i64(c);
    e->gap.until_ns = sq_take_i64(c);
    return TW_OK;
}

static enum tw_rc load_ahead(struct exporting *e)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&e->r->q, ST_AHEAD_OF, &c, e->err);

    if (rc)
        return rc;
    sq_put_i64(&c, e->row.agent_id);
    sq_put_blob(&c, e->row.spool_id, STORE_ID_LEN);
    while ((rc = sq_next(&c, e->err)) == TW_OK) {
        uint64_t first = (uint64_t)sq_take_i64(&c), last = (uint64_t)sq_take_i64(&c);
        if (first <= e->row.cursor.through || seqset_add(&e->row.cursor.ahead, first, last)) {
            sq_end(&c);
            return tw_err_set(e->err, TW_ECORRUPT,
                              "%s %s: what is stored of agent %lld's spool beyond %llu makes no sense",
                              e->r->q.spec->what, e->r->q.path, (long long)e->row.agent_id,
                              (unsigned long long)e->row.cursor.through);
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc take_cursor(struct exporting *e, struct sq_cur *c, bool *ret_wanted)
{
    e->row.agent_id = sq_take_i64(c);
    e->row.at = (uint64_t)e->row.agent_id;
    take_spool(e, c);
    e->row.cursor = (struct store_cursor){ .through = (uint64_t)sq_take_i64(c) };
    *ret_wanted = e->row.cursor.through > 0;
    return load_ahead(e);
}

static enum tw_rc export_table(struct exporting *e, uint64_t after)
{
    bool gaps = e->p->kind == HISTORY_GAP;
    sqlite3_stmt *st = NULL;
    enum tw_rc rc = sq_prepare(
        &e->r->q,
        gaps ? "SELECT id, spool_id, agent_id, first_seq, last_seq, reason, received_ns, from_ns, until_ns"
               " FROM gap WHERE id > ? ORDER BY id"
             : "SELECT agent_id, spool_id, through_seq FROM cursor WHERE agent_id > ? ORDER BY agent_id",
        &st, e->err);

    if (rc)
        return rc;
    e->row.gap = gaps ? &e->gap : NULL;
    rc = run_export(e, st, after, gaps ? take_gap : take_cursor);
    sqlite3_finalize(st);
    return rc;
}

static enum tw_rc export_part(struct exporting *e, uint64_t after)
{
    switch (e->p->kind) {
    case HISTORY_ROLLED:
    case HISTORY_WAITING:
        return export_summaries(e, after);
    case HISTORY_CELL:
        return export_cells(e, after);
    case HISTORY_RUN:
    case HISTORY_CHAIN:
        return export_runs(e, after);
    case HISTORY_GAP:
    case HISTORY_CURSOR:
    case HISTORY_KINDS:
        break;
    }
    return export_table(e, after);
}

enum tw_rc sqlite_export_rows(struct history_reader *h, const struct history_part *p, uint64_t after,
                              row_fn fn, void *ctx, struct tw_err *err)
{
    struct exporting e = { .r = sqlite_reader_of(h),
                           .p = p,
                           .fn = fn,
                           .ctx = ctx,
                           .err = err,
                           .row = { .kind = p->kind, .level = p->level } };
    enum tw_rc rc = sq_exec(&e.r->q, "BEGIN", err);

    if (!rc)
        rc = export_part(&e, after);
    sq_rollback(&e.r->q);
    return rc;
}
