/* Summaries in, each exactly once: batches of many agents are gathered, and go in one insert into each table
 * at the commit. */
#include "db/clickhouse/ch_priv.h"

#include <stdio.h>
#include <string.h>

#define INSERT_OCTETS (32 << 20) /* go early, where nobody sees them */

static struct ch_history *own(struct history *base)
{
    return (struct ch_history *)base;
}

/* ---- Inserts ---- */

enum tw_rc ch_insert_send(struct ch_history *h, struct ch_insert *to, struct tw_err *err)
{
    enum tw_rc rc;

    if (!to->n)
        return TW_OK;
    if (to->rows.bad)
        return ch_no_memory(err);
    ch_sql_begin(&h->db.sql, "INSERT INTO %s.%s (%s) FORMAT RowBinary", h->db.name, to->table, to->columns);
    if (!ch_sql_text(&h->db.sql))
        return ch_no_memory(err);
    h->uncertain = true;
    rc = ch_http_insert(h->db.http, ch_sql_text(&h->db.sql), to->rows.p, to->rows.len, err);
    if (rc)
        return rc;
    ch_buf_reset(&to->rows);
    to->n = to->n_days = 0;
    return TW_OK;
}

/* Before a row of that day. */
enum tw_rc ch_insert_room(struct ch_history *h, struct ch_insert *to, int64_t day, struct tw_err *err)
{
    size_t i = 0;
    enum tw_rc rc = TW_OK;

    while (i < to->n_days && to->days[i] != day)
        i++;
    if ((i == to->n_days && i == TW_NELEM(to->days)) || to->rows.len > INSERT_OCTETS)
        rc = ch_insert_send(h, to, err);
    if (!rc && (i == to->n_days || !to->n_days))
        to->days[to->n_days++] = day;
    to->n++;
    return rc;
}

void ch_insert_forget(struct ch_insert *to)
{
    ch_buf_reset(&to->rows);
    to->n = to->n_days = 0;
}

static void forget_all(struct ch_history *h)
{
    ch_insert_forget(&h->summaries);
    ch_insert_forget(&h->runs);
    ch_insert_forget(&h->gaps);
    ch_insert_forget(&h->marks);
    ch_import_forget(h);
    h->txn_rows = h->txn_batches = 0;
    h->n_drops = h->txn_days.n = 0;
}

/* ---- Rows ---- */

void ch_put_commit(const struct ch_history *h, struct ch_buf *b)
{
    ch_put_i64(b, h->txn);
    ch_put_i64(b, h->writer);
    ch_put_i64(b, h->txn);
}

static enum tw_rc put_runs(struct ch_history *h, const struct tw_summary *s, struct tw_err *err)
{
    struct ch_buf *b = &h->runs.rows;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < s->runs.n && !rc; i++) {
        const struct tw_loss_run *r = &s->runs.v[i];
        rc = ch_insert_room(h, &h->runs, r->start_ns / CH_DAY_NS, err);
        ch_put_i64(b, (int64_t)s->pair_id);
        ch_put_i64(b, r->start_ns);
        ch_put_u32(b, s->flow);
        ch_put_u32(b, r->seq_first);
        ch_put_i64(b, r->length_ns);
        ch_put_i64(b, (int64_t)r->probes);
        ch_put_u8(b, (uint8_t)r->direction);
        ch_put_u8(b, (uint8_t)(r->continues_before | r->continues_after << 1));
        ch_put_commit(h, b);
    }
    return rc;
}

static enum tw_rc put_summary(struct ch_history *h, const struct store_batch *b, uint64_t seq,
                              struct tw_err *err)
{
    const struct tw_summary *s = &b->rows[seq - b->first_seq];
    struct ch_buf *to = &h->summaries.rows;
    enum tw_rc rc = ch_insert_room(h, &h->summaries, s->start_ns / CH_DAY_NS, err);

    if (rc)
        return rc;
    ch_put_i64(to, b->agent_id);
    ch_put_octets(to, b->spool_id, STORE_ID_LEN);
    ch_put_i64(to, (int64_t)seq);
    ch_put_i64(to, b->received_ns);
    ch_put_commit(h, to);
    rc = ch_row_put(to, s, true);
    if (rc)
        return tw_err_set(err, rc, "pair %llu: histogram cannot be encoded", (unsigned long long)s->pair_id);
    rc = ch_rollup_note(h, s->start_ns, b->received_ns, err);
    return rc ? rc : put_runs(h, s, err);
}

static enum tw_rc put_gap(struct ch_history *h, const struct store_batch *b, const struct seq_span *part,
                          struct tw_err *err)
{
    struct ch_buf *to = &h->gaps.rows;
    const char *reason = b->gap_reason ? b->gap_reason : "";
    enum tw_rc rc = ch_insert_room(h, &h->gaps, b->received_ns / CH_DAY_NS, err);

    ch_put_i64(to, b->agent_id);
    ch_put_octets(to, b->spool_id, STORE_ID_LEN);
    ch_put_i64(to, (int64_t)part->first);
    ch_put_i64(to, (int64_t)part->last);
    ch_put_string(to, reason, strlen(reason));
    ch_put_i64(to, b->received_ns);
    ch_put_i64(to, b->gap_from_ns);
    ch_put_i64(to, b->gap_until_ns);
    ch_put_commit(h, to);
    return rc;
}

/* A stretch that is stored; those that it has grown from are in it. 0..0 of no spool: of this agent there is
 * nothing. Of agent 0: commits of ours that are done, with this one. */
static void put_mark(struct ch_history *h, int64_t agent_id, const uint8_t *spool_id, uint64_t first,
                     uint64_t last)
{
    struct ch_buf *to = &h->marks.rows;

    ch_put_i64(to, agent_id);
    ch_put_octets(to, spool_id, STORE_ID_LEN);
    ch_put_i64(to, (int64_t)first);
    ch_put_i64(to, (int64_t)last);
    ch_put_i64(to, (int64_t)last); /* txn: of rows that begin alike the longest stays, whatever comes late */
    ch_put_i64(to, h->writer);
    h->marks.n++;
}

static void put_marks(struct ch_history *h)
{
    static const uint8_t no_spool[STORE_ID_LEN];

    for (size_t i = 0; i < h->cursors.n; i++) {
        const struct cursor *c = &h->cursors.e[i];
        if (!c->now.through || cursors_same(&c->now, &c->durable))
            continue;
        put_mark(h, c->agent_id, c->spool_id, 1, c->now.through);
        for (size_t k = 0; k < c->now.ahead.n; k++)
            put_mark(h, c->agent_id, c->spool_id, c->now.ahead.v[k].first, c->now.ahead.v[k].last);
    }
    if (h->marks.n)
        put_mark(h, 0, no_spool, (uint64_t)h->run_first, (uint64_t)h->txn);
}

/* ---- What is stored ---- */

/* How far spools are stored, of some agents (NULL: of all). */
struct reading {
    struct ch_db *db;
    const int64_t *agents;
    size_t n;
    struct cursors fresh;
};

static enum tw_rc read_cursors(void *ctx, struct tw_err *err)
{
    struct reading *r = ctx;

    cursors_free(&r->fresh);
    return ch_load_cursors(r->db, r->agents, r->n, &r->fresh, err);
}

static enum tw_rc load_cursors(struct ch_history *h, struct tw_err *err)
{
    struct reading r = { .db = &h->db };
    enum tw_rc rc = ch_db_load_settled(&h->db, ch_http_bit(CH_CURSOR), read_cursors, &r, err);

    if (rc) {
        cursors_free(&r.fresh);
        return rc;
    }
    cursors_free(&h->cursors);
    h->cursors = r.fresh;
    return TW_OK;
}

/* The largest number of ours that was used; 0: none. */
static enum tw_rc last_txn(struct ch_history *h, int64_t *ret, struct tw_err *err)
{
    int64_t done, burnt;
    enum tw_rc rc = ch_http_sync(h->db.http, ch_http_bit(CH_CURSOR) | ch_http_bit(CH_BURNT), err);

    if (rc)
        return rc;
    ch_sql_begin(&h->db.sql,
                 "SELECT " CH_ROW_MARK
                 ", max(last_seq) FROM %s.cursor WHERE agent_id = 0 AND writer = %lld FORMAT RowBinary",
                 h->db.name, (long long)h->writer);
    rc = ch_get_numbers(h->db.http, &h->db.sql, &done, 1, err);
    ch_sql_begin(&h->db.sql,
                 "SELECT " CH_ROW_MARK
                 ", toInt64(max(txn)) FROM %s.burnt WHERE writer = %lld FORMAT RowBinary",
                 h->db.name, (long long)h->writer);
    if (!rc)
        rc = ch_get_numbers(h->db.http, &h->db.sql, &burnt, 1, err);
    if (!rc)
        *ret = done > burnt ? done : burnt;
    return rc;
}

/* An earlier process of ours, or we, may have left something of the next number, or it may be on its way yet:
 * it is not used again. If it becomes done it is, and what its agents send again meanwhile is there twice. */
static enum tw_rc make_certain(struct ch_history *h, struct tw_err *err)
{
    int64_t last;
    enum tw_rc rc = last_txn(h, &last, err);

    if (rc)
        return rc;
    ch_sql_begin(&h->db.sql, "INSERT INTO %s.burnt (txn, writer) VALUES (%lld, %lld)", h->db.name,
                 (long long)last + 1, (long long)h->writer);
    rc = ch_run(h->db.http, &h->db.sql, err);
    if (!rc)
        rc = load_cursors(h, err);
    if (rc)
        return rc;
    h->txn = h->run_first = last + 2;
    h->uncertain = false;
    return TW_OK;
}

void ch_write_init(struct ch_history *h)
{
    static char columns[ROW_MAX * 64];

    snprintf(columns, sizeof columns, "agent_id, spool_id, seq, received_ns, txn, writer, nr, %s",
             ch_row_names());
    h->summaries.table = "summary";
    h->summaries.columns = columns;
    h->runs.table = "loss_run";
    h->runs.columns =
        "pair_id, start_ns, flow, seq_first, length_ns, probes, direction, continues, txn, writer, nr";
    h->gaps.table = "gap";
    h->gaps.columns =
        "agent_id, spool_id, first_seq, last_seq, reason, received_ns, from_ns, until_ns, txn, writer, nr";
    h->marks.table = "cursor";
    h->marks.columns = "agent_id, spool_id, first_seq, last_seq, txn, writer";
    h->uncertain = true;
}

void ch_write_close(struct ch_history *h)
{
    ch_buf_free(&h->summaries.rows);
    ch_buf_free(&h->runs.rows);
    ch_buf_free(&h->gaps.rows);
    ch_buf_free(&h->marks.rows);
    cursors_free(&h->cursors);
}

/* ---- Transactions ---- */

enum tw_rc ch_be_certain(struct ch_history *h, struct tw_err *err)
{
    enum tw_rc rc = ch_be_open(h, err);

    return rc || !h->uncertain ? rc : make_certain(h, err);
}

enum tw_rc ch_begin(struct history *base, struct tw_err *err)
{
    struct ch_history *h = own(base);
    enum tw_rc rc;

    if (h->in_txn)
        return tw_err_set(err, TW_EINVAL, "clickhouse: a transaction is open already");
    rc = ch_be_certain(h, err);
    h->in_txn = !rc;
    h->broken = false;
    return rc;
}

void ch_rollback(struct history *base)
{
    struct ch_history *h = own(base);

    forget_all(h);
    cursors_rollback(&h->cursors);
    h->in_txn = h->broken = false;
}

static void note_commit(struct ch_history *h)
{
    h->uncertain = false;
    cursors_commit(&h->cursors);
    ch_rollup_committed(h);
    h->txn++;
    h->stats.rows_written += h->txn_rows;
    h->stats.batches += h->txn_batches;
    h->stats.rollup_waiting += h->txn_rows;
}

/* The marks last: with them it is done. */
static enum tw_rc write_all(struct ch_history *h, struct tw_err *err)
{
    enum tw_rc rc = ch_insert_send(h, &h->summaries, err);

    if (!rc)
        rc = ch_insert_send(h, &h->runs, err);
    if (!rc)
        rc = ch_insert_send(h, &h->gaps, err);
    if (!rc)
        rc = ch_import_send(h, err);
    put_marks(h);
    if (rc || !h->marks.n)
        return rc;
    rc = ch_insert_send(h, &h->marks, err);
    if (!rc)
        note_commit(h);
    return rc;
}

enum tw_rc ch_commit(struct history *base, struct tw_err *err)
{
    struct ch_history *h = own(base);
    enum tw_rc rc;

    if (!h->in_txn)
        return tw_err_set(err, TW_EINVAL, "clickhouse: no transaction is open");
    rc =
        h->broken ? tw_err_set(err, TW_EIO, "clickhouse: part of the transaction failed") : write_all(h, err);
    if (!rc)
        ch_retain_drop(h);
    h->stats.commits += !rc;
    h->stats.commit_errors += rc != TW_OK;
    ch_rollback(base); /* after a commit there is nothing left to roll back */
    return rc;
}

/* ---- Append ---- */

static enum tw_rc put_missing(struct ch_history *h, const struct store_batch *b, uint64_t last,
                              struct store_cursor *at, struct tw_err *err)
{
    uint64_t from = b->first_seq;
    struct seq_span part;
    enum tw_rc rc = TW_OK;

    while (!rc && batch_next(&from, last, at, &part)) {
        if (!b->n)
            rc = put_gap(h, b, &part, err);
        for (uint64_t seq = part.first; b->n && seq <= part.last && !rc; seq++)
            rc = put_summary(h, b, seq, err);
        h->txn_rows += b->n ? part.last - part.first + 1 : 0;
    }
    if (!rc)
        rc = batch_advance(b, last, at);
    if (!rc && cursors_set(&h->cursors, b->agent_id, b->spool_id, at))
        rc = ch_no_memory(err);
    h->broken |= rc != TW_OK;
    return rc;
}

enum tw_rc ch_append(struct history *base, const struct store_batch *b, enum store_append_result *ret,
                     uint64_t *ret_through, struct tw_err *err)
{
    struct ch_history *h = own(base);
    const struct cursor *known;
    struct store_cursor at;
    uint64_t last;
    enum tw_rc rc = batch_check(b, &last, err);

    if (!rc && (!h->in_txn || h->broken))
        rc = tw_err_set(err, TW_EINVAL, "clickhouse: append without a good transaction");
    if (rc)
        return rc;
    known = cursors_find(&h->cursors, b->agent_id, b->spool_id);
    at = known ? known->now : batch_start(b);
    *ret = batch_judge(b, last, &at, known || !b->ahead);
    if (*ret == STORE_APPENDED) {
        rc = put_missing(h, b, last, &at, err);
        h->txn_batches += !rc;
    }
    h->stats.repeated_batches += *ret == STORE_REPEATED;
    h->stats.out_of_seq_batches += *ret == STORE_OUT_OF_SEQ;
    *ret_through = at.through;
    return rc;
}

/* ---- Cursors ---- */

enum tw_rc ch_cursor(struct history *base, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                     struct store_cursor *ret, struct tw_err *err)
{
    const struct cursor *c = cursors_find(&own(base)->cursors, agent_id, spool_id);

    (void)err;
    if (!c)
        return TW_ENOENT;
    *ret = c->now;
    return TW_OK;
}

enum tw_rc ch_each_cursor(struct history *base,
                          enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                           const struct store_cursor *at),
                          void *ctx, struct tw_err *err)
{
    struct ch_history *h = own(base);
    enum tw_rc rc = TW_OK;

    (void)err; /* all in memory */
    for (size_t i = 0; i < h->cursors.n && !rc; i++) {
        const struct cursor *c = &h->cursors.e[i];
        if (c->now.through)
            rc = fn(ctx, c->agent_id, c->spool_id, &c->now);
    }
    return rc;
}

static enum tw_rc learn_some(struct ch_history *h, const int64_t *agent_ids, size_t n, struct tw_err *err)
{
    struct reading r = { .db = &h->db, .agents = agent_ids, .n = n };
    enum tw_rc rc = ch_db_load_settled(&h->db, ch_http_bit(CH_CURSOR), read_cursors, &r, err);

    for (size_t i = 0; i < r.fresh.n && !rc; i++) {
        const struct cursor *c = &r.fresh.e[i];
        if (cursors_learn(&h->cursors, c->agent_id, c->spool_id, &c->now))
            rc = ch_no_memory(err);
    }
    cursors_free(&r.fresh);
    return rc;
}

enum tw_rc ch_learn_cursors(struct history *base, const int64_t *agent_ids, size_t n, struct tw_err *err)
{
    struct ch_history *h = own(base);
    enum tw_rc rc = TW_OK;

    if (!h->cluster)
        return TW_OK; /* nobody else writes it */
    if (!h->in_txn)
        rc = ch_be_certain(h, err);
    for (size_t at = 0; at < n && !rc; at += CH_PAIRS_MAX)
        rc = learn_some(h, agent_ids + at, n - at < CH_PAIRS_MAX ? n - at : CH_PAIRS_MAX, err);
    return rc;
}

enum tw_rc ch_forget_agent(struct history *base, int64_t agent_id, struct tw_err *err)
{
    static const uint8_t no_spool[STORE_ID_LEN];
    struct ch_history *h = own(base);
    bool alone = !h->in_txn;
    enum tw_rc rc = alone ? ch_begin(base, err) : TW_OK;

    if (rc)
        return rc;
    cursors_drop_agent(&h->cursors, agent_id);
    put_mark(h, agent_id, no_spool, 0, 0);
    return alone ? ch_commit(base, err) : TW_OK;
}
