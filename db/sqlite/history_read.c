/* Readers: every call is one read transaction, so days that the writer drops meanwhile stay until it ends. */
#include "db/sqlite/history_priv.h"

#include <stdlib.h>
#include <string.h>

typedef enum tw_rc (*summary_fn)(void *ctx, const struct tw_summary *s);

enum tw_rc sqlite_reader_open(const struct history_conf *conf, struct history_reader **ret,
                              struct tw_err *err)
{
    struct sqlite_reader *r = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r)
        return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", store_spec.what, conf->location);
    r->base.ops = &sqlite_history;
    summary_init(&r->row);
    summary_init(&r->cell.merged);
    rc = sq_open_reader(&r->q, conf->location, &store_spec, err);
    if (rc) {
        sqlite_reader_close(&r->base);
        return rc;
    }
    *ret = &r->base;
    return TW_OK;
}

void sqlite_reader_interrupt(struct history_reader *h)
{
    sqlite3_interrupt(sqlite_reader_of(h)->q.db);
}

struct sq *sqlite_reader_file(struct history_reader *h)
{
    return &sqlite_reader_of(h)->q;
}

void sqlite_reader_close(struct history_reader *h)
{
    struct sqlite_reader *r = sqlite_reader_of(h);

    if (!r)
        return;
    day_cache_clear(&r->range);
    day_cache_clear(&r->by_row);
    day_cache_clear(&r->latest);
    day_cache_clear(&r->runs);
    day_cache_clear(&r->tail);
    day_cache_clear(&r->cells);
    day_cache_clear(&r->longest);
    sq_close(&r->q);
    summary_free(&r->row);
    summary_free(&r->cell.merged);
    free(r);
}

static int by_value(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

    return (a > b) - (a < b);
}

uint64_t *history_sorted_ids(const uint64_t *ids, size_t n)
{
    uint64_t *copy = malloc((n ? n : 1) * sizeof *copy);

    if (copy && n) {
        memcpy(copy, ids, n * sizeof *copy);
        qsort(copy, n, sizeof *copy, by_value);
    }
    return copy;
}

/* Hands on each row of a statement on a day table that is bound already. */
static enum tw_rc each_row(struct sqlite_reader *r, struct sq_cur *c, unsigned without, summary_fn fn,
                           void *ctx, struct tw_err *err)
{
    enum tw_rc rc;

    while ((rc = sq_next(c, err)) == TW_OK) {
        rc = row_take(c, &r->row, without, err);
        if (!rc)
            rc = fn(ctx, &r->row);
        if (rc) {
            sq_end(c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* ---- A span of time ----------------------------------------------------------------------------- */

struct span {
    const int64_t *days;
    size_t n_days;
    int64_t from_ns, to_ns;
};

static enum tw_rc read_pair(struct sqlite_reader *r, uint64_t pair_id, const struct span *span, summary_fn fn,
                            void *ctx, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < span->n_days && !rc; i++) {
        sqlite3_stmt *st;
        struct sq_cur c;
        rc = day_select(&r->q, &r->range, span->days[i], 0,
                        "WHERE pair_id = ? AND start_ns >= ? AND start_ns < ? ORDER BY start_ns, flow, rowid",
                        &st, err);
        if (rc)
            break;
        sq_start_stmt(&r->q, st, &c);
        sq_put_i64(&c, (int64_t)pair_id);
        sq_put_i64(&c, span->from_ns);
        sq_put_i64(&c, span->to_ns);
        rc = each_row(r, &c, 0, fn, ctx, err);
    }
    return rc;
}

static enum tw_rc read_pairs(struct sqlite_reader *r, const uint64_t *ids, size_t n, int64_t from_ns,
                             int64_t to_ns, summary_fn fn, void *ctx, struct tw_err *err)
{
    int64_t *days = NULL;
    struct span span = { .from_ns = from_ns, .to_ns = to_ns };
    enum tw_rc rc = day_list(&r->q, day_of(from_ns), day_of(to_ns - 1), &days, &span.n_days, err);

    span.days = days;
    for (size_t i = 0; i < n && !rc; i++)
        if (i == 0 || ids[i] != ids[i - 1])
            rc = read_pair(r, ids[i], &span, fn, ctx, err);
    free(days);
    return rc;
}

enum tw_rc sqlite_read_summaries(struct history_reader *h, const uint64_t *pair_ids, size_t n_pairs,
                                 int64_t from_ns, int64_t to_ns, summary_fn fn, void *ctx, struct tw_err *err)
{
    struct sqlite_reader *r = sqlite_reader_of(h);
    uint64_t *ids;
    enum tw_rc rc;

    if (n_pairs == 0 || from_ns >= to_ns)
        return TW_OK;
    ids = history_sorted_ids(pair_ids, n_pairs);
    if (!ids)
        return sq_no_memory(&r->q, err);
    rc = sq_exec(&r->q, "BEGIN", err);
    if (!rc)
        rc = read_pairs(r, ids, n_pairs, from_ns, to_ns, fn, ctx, err);
    sq_rollback(&r->q);
    free(ids);
    return rc;
}

enum tw_rc sqlite_read_loss_runs(struct history_reader *h, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                 enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                                 struct tw_err *err)
{
    struct sqlite_reader *r = sqlite_reader_of(h);
    enum tw_rc rc;

    if (from_ns >= to_ns)
        return TW_OK;
    rc = sq_exec(&r->q, "BEGIN", err);
    if (!rc)
        rc = runs_read(&r->q, &r->runs, pair_id, from_ns, to_ns, fn, ctx, err);
    sq_rollback(&r->q);
    return rc;
}

enum tw_rc sqlite_read_loss_chains(struct history_reader *h, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                   enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                                   void *ctx, struct tw_err *err)
{
    struct sqlite_reader *r = sqlite_reader_of(h);
    enum tw_rc rc;

    if (from_ns >= to_ns)
        return TW_OK;
    rc = sq_exec(&r->q, "BEGIN", err);
    if (!rc)
        rc = runs_read_chains(&r->q, &r->runs, pair_id, from_ns, to_ns, fn, ctx, err);
    sq_rollback(&r->q);
    return rc;
}

/* ---- Latest ------------------------------------------------------------------------------------- */

/* The latest summaries of most pairs are on one day. Where many are asked for, those of that day are read by
 * one statement, at half the cost of looking each of them up. */
#define MANY_PAIRS 64
struct latest {
    struct sqlite_reader *r;
    unsigned without;
    summary_fn fn;
    void *ctx;
    struct tw_err *err;

    const uint64_t *ids; /* sorted */
    size_t n, at;
    bool many;
    int64_t day;
    uint8_t *where; /* by pair */
};
enum { THAT_DAY = 1, ELSEWHERE = 2 };

static enum tw_rc read_latest_row(struct latest *m, int64_t day, int64_t row)
{
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc = day_select(&m->r->q, &m->r->by_row, day, m->without, "WHERE rowid = ?", &st, m->err);

    if (rc)
        return rc;
    sq_start_stmt(&m->r->q, st, &c);
    sq_put_i64(&c, row);
    return each_row(m->r, &c, m->without, m->fn, m->ctx, m->err);
}

static enum tw_rc read_latest(struct latest *m, uint64_t pair_id)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&m->r->q, ST_READ_LATEST, &c, m->err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)pair_id);
    while ((rc = sq_next(&c, m->err)) == TW_OK) {
        int64_t day = sq_take_i64(&c);
        rc = read_latest_row(m, day, sq_take_i64(&c));
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static bool find_id(struct latest *m, uint64_t id)
{
    while (m->at < m->n && m->ids[m->at] < id)
        m->at++;
    return m->at < m->n && m->ids[m->at] == id;
}

/* Where each of them is, unless there are so many others that looking up is cheaper. */
static enum tw_rc look_around(struct latest *m)
{
    struct sq *q = &m->r->q;
    struct sq_cur c;
    int64_t rows = 0;
    enum tw_rc rc = sq_get_int(q, "SELECT count(*) FROM latest", &rows, m->err);

    m->many = !rc && m->n >= MANY_PAIRS && rows / 4 <= (int64_t)m->n;
    if (!rc && m->many)
        rc = sq_get_int(q,
                        "SELECT ifnull((SELECT day FROM (SELECT day FROM latest LIMIT 64) GROUP BY day"
                        " ORDER BY count(*) DESC LIMIT 1), 0)",
                        &m->day, m->err);
    if (rc || !m->many)
        return rc;
    rc = sq_start(q, ST_READ_LATEST_DAYS, &c, m->err);
    if (rc)
        return rc;
    while ((rc = sq_next(&c, m->err)) == TW_OK)
        if (find_id(m, (uint64_t)sq_take_i64(&c)))
            m->where[m->at] |= sq_take_i64(&c) == m->day ? THAT_DAY : ELSEWHERE;
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc read_that_day(struct latest *m)
{
    struct sqlite_reader *r = m->r;
    sqlite3_stmt *st;
    struct sq_cur c;
    enum tw_rc rc =
        day_select_behind(&r->q, &r->latest, m->day, m->without, "latest AS l CROSS JOIN",
                          "ON s.rowid = l.row WHERE l.day = ? ORDER BY l.pair_id, l.flow", &st, m->err);

    if (rc)
        return rc == TW_ENOENT ? TW_OK : rc; /* none has a latest summary */
    sq_start_stmt(&r->q, st, &c);
    sq_put_i64(&c, m->day);
    m->at = 0;
    while ((rc = sq_next(&c, m->err)) == TW_OK) {
        if (!find_id(m, (uint64_t)sqlite3_column_int64(st, 0)) || m->where[m->at] != THAT_DAY)
            continue;
        rc = row_take(&c, &r->row, m->without, m->err);
        if (!rc)
            rc = m->fn(m->ctx, &r->row);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc read_all_latest(struct latest *m)
{
    enum tw_rc rc = look_around(m);

    if (!rc && m->many)
        rc = read_that_day(m);
    for (size_t i = 0; i < m->n && !rc; i++)
        if ((!i || m->ids[i] != m->ids[i - 1]) && (!m->many || m->where[i] & ELSEWHERE))
            rc = read_latest(m, m->ids[i]);
    return rc;
}

enum tw_rc sqlite_read_latest(struct history_reader *h, const uint64_t *pair_ids, size_t n_pairs,
                              unsigned without, summary_fn fn, void *ctx, struct tw_err *err)
{
    struct sqlite_reader *r = sqlite_reader_of(h);
    uint64_t *ids = history_sorted_ids(pair_ids, n_pairs);
    struct latest m = { .r = r,
                        .without = without,
                        .fn = fn,
                        .ctx = ctx,
                        .err = err,
                        .ids = ids,
                        .n = n_pairs,
                        .where = calloc(n_pairs + 1, 1) };
    enum tw_rc rc = ids && m.where
                        ? sq_exec(&r->q, "BEGIN", err)
                        : sq_no_memory(&r->q, err);

    if (!rc)
        rc = read_all_latest(&m);
    sq_rollback(&r->q);
    free(m.where);
    free(ids);
    return rc;
}

/* ---- Gaps --------------------------------------------------------------------------------------- */

static enum tw_rc read_gaps_of(struct sqlite_reader *r, enum store_stmt which, const int64_t key[3],
                               enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                               struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&r->q, which, &c, err);

    if (rc)
        return rc;
    for (int i = 0; i < 3; i++)
        sq_put_i64(&c, key[i]);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        struct history_gap g = { .agent_id = sq_take_i64(&c) };
        g.first_seq = (uint64_t)sq_take_i64(&c);
        g.last_seq = (uint64_t)sq_take_i64(&c);
        g.reason = sq_take_text(&c);
        g.received_ns = sq_take_i64(&c);
        g.from_ns = sq_take_i64(&c);
        g.until_ns = sq_take_i64(&c);
        rc = fn(ctx, &g);
        if (rc) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc sqlite_read_gaps(struct history_reader *h, const int64_t *agent_ids, size_t n_agents,
                            enum history_gap_time by, int64_t from_ns, int64_t to_ns,
                            enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                            struct tw_err *err)
{
    struct sqlite_reader *r = sqlite_reader_of(h);
    enum tw_rc rc = sq_exec(&r->q, "BEGIN", err);

    for (size_t i = 0; i < n_agents && !rc; i++)
        rc = read_gaps_of(r, by == HISTORY_RECEIVED ? ST_READ_GAPS : ST_READ_GAPS_SPOOLED,
                          (const int64_t[3]){ agent_ids[i], from_ns, to_ns }, fn, ctx, err);
    sq_rollback(&r->q);
    return rc;
}
