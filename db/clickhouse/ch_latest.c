/* The latest summary of each flow: first which those are, by narrow columns alone; then their rows, of as
 * many pairs as have theirs about the same time in one statement, so that the server reads little else. */
#include "db/clickhouse/ch_priv.h"
#include "common/grow.h"

#include <stdlib.h>

#define FAR (INT64_C(1) << 62) /* it comes behind every row whose clock was right */
#define TOGETHER_NS (600 * TW_NS_PER_S)

typedef enum tw_rc (*summary_fn)(void *ctx, const struct tw_summary *s);

struct flow {
    uint64_t pair_id;
    int64_t start_ns;
    uint32_t flow;
};
struct pair {
    uint64_t pair_id;
    size_t first, n; /* of flows */
    int64_t from_ns, to_ns;
};
struct latest {
    struct ch_reader *r;
    summary_fn fn;
    void *ctx;
    struct flow *flows; /* by pair and flow */
    size_t n, cap;
    struct pair *pairs; /* by the time of the newest */
    size_t n_pairs;
    bool held; /* r->row is of a flow, and may not be the last of it */
};

static enum tw_rc take_flow(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct latest *l = ctx;
    struct flow f = { .pair_id = (uint64_t)ch_get_i64(row) };

    f.flow = ch_get_u32(row);
    f.start_ns = ch_get_i64(row);
    if (f.start_ns < -FAR / 2)
        f.start_ns += FAR;
    if (!TW_GROW(&l->flows, l->n, &l->cap, 256))
        return ch_no_memory(err);
    l->flows[l->n++] = f;
    return TW_OK;
}

static enum tw_rc find_flows(struct latest *l, const uint64_t *ids, size_t n, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_I64, CH_U32, CH_I64 };
    struct ch_db *db = &l->r->db;

    ch_sql_begin(&db->sql,
                 "SELECT " CH_ROW_MARK ", pair_id, flow,"
                 " max(if(received_ns = 0 OR start_ns <= received_ns + %lld,"
                 " start_ns, start_ns - %lld)) FROM %s.summary WHERE pair_id IN ",
                 (long long)CH_EARLY_NS, (long long)FAR, db->name);
    ch_sql_add_numbers(&db->sql, ids, n);
    ch_commits_where(&db->sql, &l->r->view.done);
    ch_sql_add(&db->sql, " GROUP BY pair_id, flow ORDER BY pair_id, flow");
    return ch_reader_select(l->r, types, TW_NELEM(types), take_flow, l, err);
}

/* ---- Pairs ---- */

static int newest_first(const void *pa, const void *pb)
{
    const struct pair *a = pa, *b = pb;

    return (a->to_ns < b->to_ns) - (a->to_ns > b->to_ns);
}

static enum tw_rc make_pairs(struct latest *l, struct tw_err *err)
{
    l->pairs = malloc((l->n + 1) * sizeof *l->pairs);
    if (!l->pairs)
        return ch_no_memory(err);
    for (size_t i = 0; i < l->n; i++) {
        const struct flow *f = &l->flows[i];
        struct pair *p = l->n_pairs ? &l->pairs[l->n_pairs - 1] : NULL;
        if (!p || p->pair_id != f->pair_id) {
            p = &l->pairs[l->n_pairs++];
            *p = (struct pair){ f->pair_id, i, 0, f->start_ns, f->start_ns };
        }
        p->n++;
        p->from_ns = f->start_ns < p->from_ns ? f->start_ns : p->from_ns;
        p->to_ns = f->start_ns > p->to_ns ? f->start_ns : p->to_ns;
    }
    if (l->n_pairs)
        qsort(l->pairs, l->n_pairs, sizeof *l->pairs, newest_first);
    return TW_OK;
}

/* ---- Rows ---- */

static bool is_latest(const struct latest *l, const struct tw_summary *s)
{
    size_t lo = 0, hi = l->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        const struct flow *f = &l->flows[mid];
        if (f->pair_id < s->pair_id || (f->pair_id == s->pair_id && f->flow < s->flow))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < l->n && l->flows[lo].pair_id == s->pair_id && l->flows[lo].flow == s->flow &&
           l->flows[lo].start_ns == s->start_ns;
}

/* Of several that start at the same moment the one that came last: they follow each other. */
static enum tw_rc take_row(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct latest *l = ctx;
    struct wire_rd ahead = *row;
    struct tw_summary *s = &l->r->row;
    struct tw_summary next = { .pair_id = (uint64_t)ch_get_i64(&ahead) };
    enum tw_rc rc = TW_OK;

    next.start_ns = ch_get_i64(&ahead);
    next.flow = ch_get_u32(&ahead);
    if (!is_latest(l, &next)) {
        row->p = row->end;
        return TW_OK;
    }
    if (l->held && (s->pair_id != next.pair_id || s->flow != next.flow))
        rc = l->fn(l->ctx, s);
    l->held = false;
    if (!rc)
        rc = ch_take_summary(l->r, row, err);
    l->held = !rc;
    return rc;
}

static enum tw_rc read_some(struct latest *l, const struct pair *v, size_t n, struct tw_err *err)
{
    enum ch_type types[ROW_MAX];
    struct ch_db *db = &l->r->db;
    int64_t from = v[0].from_ns;
    enum tw_rc rc;

    ch_sql_begin(&db->sql, "SELECT " CH_ROW_MARK ", %s FROM %s.summary FINAL WHERE pair_id IN (",
                 ch_row_names(), db->name);
    for (size_t i = 0; i < n; i++) {
        ch_sql_add(&db->sql, "%s%lld", i ? ", " : "", (long long)v[i].pair_id);
        from = v[i].from_ns < from ? v[i].from_ns : from;
    }
    ch_sql_add(&db->sql, ") AND start_ns >= %lld AND start_ns <= %lld", (long long)from,
               (long long)v[0].to_ns);
    ch_commits_where(&db->sql, &l->r->view.done);
    ch_sql_add(&db->sql, " ORDER BY pair_id, flow, received_ns, txn, seq");
    l->held = false;
    rc = ch_reader_select(l->r, types, ch_row_types(types, 0), take_row, l, err);
    return !rc && l->held ? l->fn(l->ctx, &l->r->row) : rc;
}

static enum tw_rc read_rows(struct latest *l, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t at = 0, n; at < l->n_pairs && !rc; at += n) {
        for (n = 1; at + n < l->n_pairs && n < CH_PAIRS_MAX &&
                    l->pairs[at].to_ns - l->pairs[at + n].from_ns <= TOGETHER_NS;
             n++)
            ;
        rc = read_some(l, l->pairs + at, n, err);
    }
    return rc;
}

enum tw_rc ch_read_latest(struct history_reader *base, const uint64_t *pair_ids, size_t n_pairs, unsigned without,
                          summary_fn fn, void *ctx, struct tw_err *err)
{
    struct latest l = { .r = (struct ch_reader *)base, .fn = fn, .ctx = ctx };
    uint64_t *ids = NULL;
    enum tw_rc rc = ch_reader_begin(l.r, pair_ids, &n_pairs, &ids, err);

    (void)without; /* it reads whole rows */
    if (!rc && n_pairs)
        rc = ch_reader_look(l.r, ch_http_bit(CH_SUMMARY), err);
    for (size_t at = 0; at < n_pairs && !rc; at += CH_PAIRS_MAX)
        rc = find_flows(&l, ids + at, n_pairs - at < CH_PAIRS_MAX ? n_pairs - at : CH_PAIRS_MAX, err);
    if (!rc)
        rc = make_pairs(&l, err);
    if (!rc)
        rc = read_rows(&l, err);
    free(l.flows);
    free(l.pairs);
    free(ids);
    return rc;
}
