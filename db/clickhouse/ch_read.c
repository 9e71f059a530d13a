/* Reading what was stored: summaries, loss runs, gaps. */
#include "db/clickhouse/ch_priv.h"

#include <stdlib.h>
#include <string.h>

typedef enum tw_rc (*summary_fn)(void *ctx, const struct tw_summary *s);

static struct ch_reader *own(struct history_reader *base)
{
    return (struct ch_reader *)base;
}

/* ---- Readers ---- */

enum tw_rc ch_reader_open(const struct history_conf *conf, struct history_reader **ret, struct tw_err *err)
{
    struct ch_reader *r = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r)
        return ch_no_memory(err);
    summary_init(&r->row);
    r->base.ops = &clickhouse_history;
    rc = ch_db_open(&r->db, conf->location, err);
    if (rc) {
        ch_reader_close(&r->base);
        return rc;
    }
    ch_http_expect_tables(r->db.http);
    *ret = &r->base;
    return TW_OK;
}

void ch_reader_close(struct history_reader *base)
{
    struct ch_reader *r = own(base);

    if (!r)
        return;
    ch_db_close(&r->db);
    ch_view_free(&r->view);
    summary_free(&r->row);
    free(r);
}

void ch_reader_interrupt(struct history_reader *base)
{
    struct ch_reader *r = own(base);

    atomic_store(&r->stop, true);
    ch_http_interrupt(r->db.http);
}

static int by_number(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

    return (a > b) - (a < b);
}

enum tw_rc ch_reader_begin(struct ch_reader *r, const uint64_t *pair_ids, size_t *n, uint64_t **ret_ids,
                           struct tw_err *err)
{
    uint64_t *ids = malloc((*n + 1) * sizeof *ids);
    size_t kept = 0;

    if (!ids)
        return ch_no_memory(err);
    atomic_store(&r->stop, false);
    if (*n) {
        memcpy(ids, pair_ids, *n * sizeof *ids);
        qsort(ids, *n, sizeof *ids, by_number);
    }
    for (size_t i = 0; i < *n; i++)
        if (!i || ids[i] != ids[i - 1])
            ids[kept++] = ids[i];
    *n = kept;
    *ret_ids = ids;
    return TW_OK;
}

enum tw_rc ch_reader_look(struct ch_reader *r, unsigned tables, struct tw_err *err)
{
    enum tw_rc rc = ch_db_join(&r->db, err);

    return rc ? rc : ch_view_load(r->db.http, r->db.name, tables, &r->view, err);
}

enum tw_rc ch_reader_select(struct ch_reader *r, const enum ch_type *types, size_t n_types,
                            enum tw_rc (*fn)(void *ctx, struct wire_rd *row, struct tw_err *err), void *ctx,
                            struct tw_err *err)
{
    if (atomic_load(&r->stop))
        return tw_err_set(err, TW_ECLOSED, "clickhouse: interrupted");
    return ch_db_select(&r->db, types, n_types, fn, ctx, err);
}

/* ---- Summaries ---- */

struct summaries {
    struct ch_reader *r;
    summary_fn fn;
    void *ctx;
};

enum tw_rc ch_take_summary(struct ch_reader *r, struct wire_rd *row, struct tw_err *err)
{
    struct tw_err why = { 0 };
    enum tw_rc rc = ch_row_take(row, &r->row, &why);

    if (!rc)
        return TW_OK;
    return tw_err_set(err, rc, "clickhouse %s: damaged row of pair %llu at %lld: %.150s", r->db.name,
                      (unsigned long long)r->row.pair_id, (long long)r->row.start_ns, why.text);
}

static enum tw_rc take_summary(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct summaries *to = ctx;
    enum tw_rc rc = ch_take_summary(to->r, row, err);

    return rc ? rc : to->fn(to->ctx, &to->r->row);
}

/* Of ids[0..n) from `at`: as many as one statement names. */
static size_t some_of(size_t at, size_t n)
{
    return n - at < CH_PAIRS_MAX ? n - at : CH_PAIRS_MAX;
}

enum tw_rc ch_read_summaries(struct history_reader *base, const uint64_t *pair_ids, size_t n_pairs,
                             int64_t from_ns, int64_t to_ns, summary_fn fn, void *ctx, struct tw_err *err)
{
    struct ch_reader *r = own(base);
    struct ch_sql *q = &r->db.sql;
    struct summaries to = { r, fn, ctx };
    enum ch_type types[ROW_MAX];
    uint64_t *ids = NULL;
    enum tw_rc rc = ch_reader_begin(r, pair_ids, &n_pairs, &ids, err);

    if (!rc && n_pairs)
        rc = ch_reader_look(r, ch_http_bit(CH_SUMMARY), err);
    for (size_t at = 0; at < n_pairs && !rc; at += CH_PAIRS_MAX) {
        ch_sql_begin(q, "SELECT " CH_ROW_MARK ", %s FROM %s.summary FINAL WHERE pair_id IN ", ch_row_names(),
                     r->db.name);
        ch_sql_add_numbers(q, ids + at, some_of(at, n_pairs));
        ch_sql_add(q, " AND start_ns >= %lld AND start_ns < %lld", (long long)from_ns, (long long)to_ns);
        ch_commits_where(q, &r->view.done);
        ch_sql_add(q, " ORDER BY pair_id, start_ns, flow, received_ns, txn, agent_id, seq");
        if (ch_view_copies(&r->view))
            ch_sql_add(q, " LIMIT 1 BY " CH_SUMMARY_KEY);
        rc = ch_reader_select(r, types, ch_row_types(types, 0), take_summary, &to, err);
    }
    free(ids);
    return rc;
}

/* ---- Loss runs ---- */

struct runs {
    const struct ch_reader *r;
    enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run);
    enum tw_rc (*chain_fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts);
    void *ctx;
};
static const enum ch_type run_types[] = { CH_I64, CH_U32, CH_U32, CH_I64, CH_I64, CH_U8, CH_U8, CH_I64 };

/* What is in a database need not be what was put there. */
enum tw_rc ch_take_run(const struct ch_reader *reader, struct wire_rd *row, struct tw_loss_run *ret,
                       uint64_t *ret_parts, struct tw_err *err)
{
    struct tw_loss_run r = { .start_ns = ch_get_i64(row) };
    int64_t parts, probes;
    uint8_t direction, continues;

    r.flow = ch_get_u32(row);
    r.seq_first = ch_get_u32(row);
    r.length_ns = ch_get_i64(row);
    probes = ch_get_i64(row);
    direction = ch_get_u8(row);
    continues = ch_get_u8(row);
    parts = ch_get_i64(row);
    if (r.start_ns < 0 || r.length_ns < 0 || r.length_ns > INT64_MAX - r.start_ns || probes < 1 ||
        direction >= TW_DIRECTION_COUNT || parts < 1)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse %s: a loss run at %lld ns is not valid",
                          reader->db.name, (long long)r.start_ns);
    r.probes = (uint64_t)probes;
    r.direction = (enum tw_direction)direction;
    r.continues_before = continues & 1;
    r.continues_after = continues & 2;
    *ret = r;
    *ret_parts = (uint64_t)parts;
    return TW_OK;
}

static enum tw_rc take_run(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    const struct runs *to = ctx;
    struct tw_loss_run r;
    uint64_t parts;
    enum tw_rc rc = ch_take_run(to->r, row, &r, &parts, err);

    if (rc)
        return rc;
    return to->fn ? to->fn(to->ctx, &r) : to->chain_fn(to->ctx, &r, parts);
}

/* chains: of what is left of runs. */
static enum tw_rc read_runs(struct ch_reader *r, bool chains, uint64_t pair_id, int64_t from_ns,
                            int64_t to_ns, struct runs *to, struct tw_err *err)
{
    struct ch_sql *q = &r->db.sql;

    ch_sql_begin(q,
                 "SELECT " CH_ROW_MARK
                 ", start_ns, flow, seq_first, length_ns, probes, direction, continues, %s FROM %s.%s FINAL"
                 " WHERE pair_id = %llu AND start_ns >= %lld AND start_ns < %lld",
                 chains ? "parts" : "toInt64(1)", r->db.name, chains ? "loss_chain" : "loss_run",
                 (unsigned long long)pair_id, (long long)from_ns, (long long)to_ns);
    if (!chains)
        ch_commits_where(q, &r->view.done);
    ch_sql_add(q, " ORDER BY start_ns, flow, seq_first");
    if (!chains && ch_view_copies(&r->view))
        ch_sql_add(q, " LIMIT 1 BY start_ns, flow, seq_first");
    return ch_reader_select(r, run_types, TW_NELEM(run_types), take_run, to, err);
}

enum tw_rc ch_read_loss_runs(struct history_reader *base, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                             enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                             struct tw_err *err)
{
    struct ch_reader *r = own(base);
    struct runs to = { .r = r, .fn = fn, .ctx = ctx };
    enum tw_rc rc;

    atomic_store(&r->stop, false);
    rc = ch_reader_look(r, ch_http_bit(CH_LOSS_RUN), err);
    return rc ? rc : read_runs(r, false, pair_id, from_ns, to_ns, &to, err);
}

enum tw_rc ch_read_loss_chains(struct history_reader *base, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                               enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                               void *ctx, struct tw_err *err)
{
    struct ch_reader *r = own(base);
    struct runs to = { .r = r, .chain_fn = fn, .ctx = ctx };
    enum tw_rc rc;

    atomic_store(&r->stop, false);
    rc = ch_reader_look(r, ch_http_bit(CH_LOSS_RUN) | ch_http_bit(CH_LOSS_CHAIN), err);
    if (!rc)
        rc = read_runs(r, true, pair_id, from_ns, to_ns, &to, err);
    return rc ? rc : read_runs(r, false, pair_id, from_ns, to_ns, &to, err);
}

/* ---- Gaps ---- */

/* A gap that came by two commits is there twice, and one of them may go further: each number counts where it
 * was received first. They came within minutes of each other, so it is enough to look a day further. */
#define FURTHER_NS CH_DAY_NS

struct gaps {
    enum tw_rc (*fn)(void *ctx, const struct history_gap *g);
    void *ctx;
    enum history_gap_time by;
    int64_t from_ns, to_ns;
    char reason[256];
    int64_t agent_id;
    uint8_t spool_id[STORE_ID_LEN];
    struct ch_commits taken, all, rest; /* numbers of the spool, of no writer */
};

static bool is_asked_for(const struct gaps *to, const struct history_gap *g)
{
    if (to->by == HISTORY_RECEIVED)
        return g->received_ns >= to->from_ns && g->received_ns < to->to_ns;
    return g->until_ns > to->from_ns && g->from_ns < to->to_ns && g->until_ns != 0;
}

/* What of the gap no other one had. */
static enum tw_rc tell_gap(struct gaps *to, struct history_gap *g)
{
    int64_t first = (int64_t)g->first_seq, last = (int64_t)g->last_seq;
    enum tw_rc rc;

    ch_commits_clear(&to->all);
    ch_commits_clear(&to->rest);
    rc = ch_commits_add(&to->all, 0, first, last);
    if (!rc)
        rc = ch_commits_add_rest(&to->rest, &to->all, &to->taken);
    if (!rc)
        rc = ch_commits_add(&to->taken, 0, first, last);
    for (size_t i = 0; i < to->rest.n && !rc && is_asked_for(to, g); i++) {
        g->first_seq = (uint64_t)to->rest.v[i].first;
        g->last_seq = (uint64_t)to->rest.v[i].last;
        rc = to->fn(to->ctx, g);
    }
    return rc;
}

static enum tw_rc take_gap(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct gaps *to = ctx;
    struct history_gap g = { .agent_id = ch_get_i64(row), .reason = to->reason };
    const uint8_t *spool_id = wire_take(row, STORE_ID_LEN), *reason;
    size_t len;

    g.first_seq = (uint64_t)ch_get_i64(row);
    g.last_seq = (uint64_t)ch_get_i64(row);
    reason = ch_get_string(row, &len);
    len = len < sizeof to->reason ? len : sizeof to->reason - 1;
    if (reason)
        memcpy(to->reason, reason, len);
    to->reason[len] = '\0';
    g.received_ns = ch_get_i64(row);
    g.from_ns = ch_get_i64(row);
    g.until_ns = ch_get_i64(row);
    if (row->bad || g.first_seq > g.last_seq || g.last_seq > INT64_MAX)
        return tw_err_set(err, TW_ECORRUPT, "clickhouse: a row of table gap is damaged");
    if (g.agent_id != to->agent_id || memcmp(spool_id, to->spool_id, STORE_ID_LEN) != 0)
        ch_commits_clear(&to->taken);
    to->agent_id = g.agent_id;
    memcpy(to->spool_id, spool_id, STORE_ID_LEN);
    return tell_gap(to, &g);
}

/* t - FURTHER_NS or t + FURTHER_NS, of any t. */
static int64_t further(int64_t t, int64_t by)
{
    int64_t sum;

    return __builtin_add_overflow(t, by, &sum) ? t : sum;
}

static void gaps_statement(struct ch_reader *r, const uint64_t *ids, size_t n, const struct gaps *to)
{
    struct ch_sql *q = &r->db.sql;
    long long from = further(to->from_ns, -FURTHER_NS), until = further(to->to_ns, FURTHER_NS);

    ch_sql_begin(
        q,
        "SELECT " CH_ROW_MARK
        ", agent_id, spool_id, first_seq, last_seq, reason, received_ns, from_ns, until_ns FROM %s.gap FINAL"
        " WHERE agent_id IN ",
        r->db.name);
    ch_sql_add_numbers(q, ids, n);
    if (to->by == HISTORY_RECEIVED)
        ch_sql_add(q, " AND received_ns >= %lld AND received_ns < %lld", from, until);
    else
        ch_sql_add(q, " AND until_ns > %lld AND from_ns < %lld AND until_ns != 0", from, until);
    ch_commits_where(q, &r->view.done);
    ch_sql_add(q, " ORDER BY agent_id, spool_id, received_ns, first_seq, txn");
}

enum tw_rc ch_read_gaps(struct history_reader *base, const int64_t *agent_ids, size_t n_agents,
                        enum history_gap_time by, int64_t from_ns, int64_t to_ns,
                        enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                        struct tw_err *err)
{
    static const enum ch_type types[] = { CH_I64, CH_ID, CH_I64, CH_I64, CH_STRING, CH_I64, CH_I64, CH_I64 };
    struct ch_reader *r = own(base);
    struct gaps to = { .fn = fn, .ctx = ctx, .by = by, .from_ns = from_ns, .to_ns = to_ns };
    uint64_t *ids = NULL;
    enum tw_rc rc = ch_reader_begin(r, (const uint64_t *)agent_ids, &n_agents, &ids, err);

    if (!rc && n_agents)
        rc = ch_reader_look(r, ch_http_bit(CH_GAP), err);
    for (size_t at = 0; at < n_agents && !rc; at += CH_PAIRS_MAX) {
        gaps_statement(r, ids + at, some_of(at, n_agents), &to);
        rc = ch_reader_select(r, types, TW_NELEM(types), take_gap, &to, err);
    }
    ch_commits_free(&to.taken);
    ch_commits_free(&to.all);
    ch_commits_free(&to.rest);
    free(ids);
    return rc;
}
