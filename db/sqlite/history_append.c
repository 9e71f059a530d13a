/* Summaries in, each exactly once. */
#include "db/batch.h"
#include "common/grow.h"
#include "db/sqlite/history_priv.h"

#include <stdlib.h>
#include <string.h>

/* ---- Cursors ------------------------------------------------------------------------------------ */

#define AHEAD_SCHEMA 13 /* the migration that made table cursor_ahead */

enum tw_rc sqlite_cursor(struct history *h, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                         struct store_cursor *ret, struct tw_err *err)
{
    const struct cursor *c = cursors_find(&sqlite_of(h)->cursors, agent_id, spool_id);

    (void)err; /* all in memory */
    if (!c)
        return TW_ENOENT;
    *ret = c->now;
    return TW_OK;
}

enum tw_rc sqlite_learn_cursors(struct history *h, const int64_t *agent_ids, size_t n, struct tw_err *err)
{
    (void)h; /* nobody else writes it */
    (void)agent_ids;
    (void)n;
    (void)err;
    return TW_OK;
}

enum tw_rc sqlite_each_cursor(struct history *h,
                              enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                               const struct store_cursor *at),
                              void *ctx, struct tw_err *err)
{
    const struct cursors *all = &sqlite_of(h)->cursors;
    enum tw_rc rc;

    (void)err; /* nothing can fail but fn */
    for (size_t i = 0; i < all->n; i++) {
        const struct cursor *c = &all->e[i];
        if (c->now.through && (rc = fn(ctx, c->agent_id, c->spool_id, &c->now)) != TW_OK)
            return rc;
    }
    return TW_OK;
}

enum tw_rc sqlite_forget_agent(struct history *h, int64_t agent_id, struct tw_err *err)
{
    static const enum store_stmt both[] = { ST_CURSOR_FORGET, ST_AHEAD_FORGET };
    struct sqlite_history *s = sqlite_of(h);
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(both) && !rc; i++) {
        struct sq_cur c;
        rc = sq_start(&s->q, both[i], &c, err);
        if (rc)
            return rc;
        sq_put_i64(&c, agent_id);
        rc = sq_run(&c, err);
    }
    if (rc)
        return rc;
    cursors_drop_agent(&s->cursors, agent_id);
    if (!s->q.in_txn)
        cursors_commit(&s->cursors);
    return TW_OK;
}

static enum tw_rc write_through(struct sqlite_history *s, const struct cursor *e, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_CURSOR_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, e->agent_id);
    sq_put_blob(&c, e->spool_id, STORE_ID_LEN);
    sq_put_i64(&c, (int64_t)e->now.through);
    return sq_run(&c, err);
}

static enum tw_rc delete_ahead(struct sqlite_history *s, const struct cursor *e, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_AHEAD_DELETE, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, e->agent_id);
    sq_put_blob(&c, e->spool_id, STORE_ID_LEN);
    return sq_run(&c, err);
}

static enum tw_rc write_span(struct sqlite_history *s, const struct cursor *e, const struct seq_span *v,
                             struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_AHEAD_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, e->agent_id);
    sq_put_blob(&c, e->spool_id, STORE_ID_LEN);
    sq_put_i64(&c, (int64_t)v->first);
    sq_put_i64(&c, (int64_t)v->last);
    return sq_run(&c, err);
}

static enum tw_rc write_cursor(struct sqlite_history *s, const struct cursor *e, struct tw_err *err)
{
    enum tw_rc rc = e->now.through != e->durable.through ? write_through(s, e, err) : TW_OK;

    if (rc || seqset_equal(&e->now.ahead, &e->durable.ahead))
        return rc;
    rc = delete_ahead(s, e, err);
    for (size_t i = 0; i < e->now.ahead.n && !rc; i++)
        rc = write_span(s, e, &e->now.ahead.v[i], err);
    return rc;
}

/* A program that knows nothing of stretches ahead would take them from their agents once more. */
static enum tw_rc write_floor(struct sqlite_history *s, struct tw_err *err)
{
    bool raise = cursors_any_ahead(&s->cursors);
    size_t floor = sq_floor(s->q.spec, *s->q.spec->n_migrations);
    struct sq_cur c;
    enum tw_rc rc;

    if (raise == s->floor_now)
        return TW_OK;
    rc = sq_start(&s->q, ST_FLOOR_PUT, &c, err);
    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)(raise && floor < AHEAD_SCHEMA ? AHEAD_SCHEMA : floor));
    rc = sq_run(&c, err);
    if (!rc)
        s->floor_now = raise;
    return rc;
}

/* ---- Latest ------------------------------------------------------------------------------------- */

/* A row that starts later than now came of a clock that was ahead: it must not hide those that come after it.
 */
#define AHEAD_NS (60 * TW_NS_PER_S)

static enum tw_rc note_latest(struct sqlite_history *s, const struct tw_summary *row, int64_t day,
                              int64_t received_ns)
{
    if (!TW_GROW(&s->latest, s->n_latest, &s->cap_latest, 1024))
        return TW_ENOMEM;
    s->latest[s->n_latest++] = (struct latest_row){
        .pair_id = row->pair_id,
        .flow = row->flow,
        .start_ns = row->start_ns,
        .day = day,
        .row = sqlite3_last_insert_rowid(s->q.db),
        .ahead_ns = received_ns ? received_ns + AHEAD_NS : INT64_MAX,
    };
    return TW_OK;
}

static bool same_flow(const struct latest_row *a, const struct latest_row *b)
{
    return a->pair_id == b->pair_id && a->flow == b->flow;
}

static int by_flow_and_start(const void *pa, const void *pb)
{
    const struct latest_row *a = pa, *b = pb;

    if (a->pair_id != b->pair_id)
        return a->pair_id < b->pair_id ? -1 : 1;
    if (a->flow != b->flow)
        return a->flow < b->flow ? -1 : 1;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static enum tw_rc write_latest(struct sqlite_history *s, const struct latest_row *l, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_LATEST_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)l->pair_id);
    sq_put_i64(&c, l->flow);
    sq_put_i64(&c, l->start_ns);
    sq_put_i64(&c, l->day);
    sq_put_i64(&c, l->row);
    sq_put_i64(&c, l->ahead_ns);
    return sq_run(&c, err);
}

/* Once per flow and cursor, however many rows the transaction has of them. */
enum tw_rc history_flush_pending(struct sqlite_history *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    if (s->n_latest)
        qsort(s->latest, s->n_latest, sizeof *s->latest, by_flow_and_start);
    for (size_t i = 0; i < s->n_latest && !rc; i++)
        if (i + 1 == s->n_latest || !same_flow(&s->latest[i], &s->latest[i + 1]))
            rc = write_latest(s, &s->latest[i], err);
    for (size_t i = 0; i < s->cursors.n && !rc; i++)
        if (s->cursors.e[i].now.through)
            rc = write_cursor(s, &s->cursors.e[i], err);
    return rc ? rc : write_floor(s, err);
}

/* ---- Append ------------------------------------------------------------------------------------- */

static enum tw_rc insert_row(struct sqlite_history *s, const struct tw_summary *row, int64_t received_ns,
                             struct tw_err *err)
{
    int64_t day = day_of(row->start_ns);
    sqlite3_stmt *st;
    struct sq_cur c;
    uint64_t octets;
    enum tw_rc rc = day_insert(&s->q, &s->insert, day, &st, err);

    if (rc)
        return rc;
    sq_start_stmt(&s->q, st, &c);
    rc = row_put(&c, row, true, s->scratch);
    if (rc)
        return tw_err_set(err, rc, "pair %llu: histogram cannot be encoded",
                          (unsigned long long)row->pair_id);
    octets = c.octets;
    rc = sq_run(&c, err);
    if (rc)
        return rc;
    if (note_latest(s, row, day, received_ns)) /* before another row has the last number */
        return sq_no_memory(&s->q, err);
    rc = rollup_note(s, day, sqlite3_last_insert_rowid(s->q.db), octets, received_ns, err);
    if (rc)
        return rc;
    return runs_insert(&s->q, &s->insert_runs, row, err);
}

static enum tw_rc insert_gap(struct sqlite_history *s, const struct store_batch *b,
                             const struct seq_span *part, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, ST_GAP_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, b->agent_id);
    sq_put_blob(&c, b->spool_id, STORE_ID_LEN);
    sq_put_i64(&c, (int64_t)part->first);
    sq_put_i64(&c, (int64_t)part->last);
    sq_put_text(&c, b->gap_reason ? b->gap_reason : "");
    sq_put_i64(&c, b->received_ns);
    sq_put_i64(&c, b->gap_from_ns);
    sq_put_i64(&c, b->gap_until_ns);
    return sq_run(&c, err);
}

static enum tw_rc insert_part(struct sqlite_history *s, const struct store_batch *b,
                              const struct seq_span *part, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    if (b->n == 0)
        return insert_gap(s, b, part, err);
    for (uint64_t seq = part->first; seq <= part->last && !rc; seq++)
        rc = insert_row(s, &b->rows[seq - b->first_seq], b->received_ns, err);
    if (!rc)
        s->pending_rows += part->last - part->first + 1;
    return rc;
}

/* What is not stored yet: from the cursor on in one piece, unless fresh results came before. */
static enum tw_rc insert_missing(struct sqlite_history *s, const struct store_batch *b, uint64_t last,
                                 struct store_cursor *at, struct tw_err *err)
{
    uint64_t from = b->first_seq;
    struct seq_span part;
    enum tw_rc rc = TW_OK;

    while (!rc && batch_next(&from, last, at, &part))
        rc = insert_part(s, b, &part, err);
    if (!rc)
        rc = batch_advance(b, last, at);
    if (!rc && cursors_set(&s->cursors, b->agent_id, b->spool_id, at))
        rc = sq_no_memory(&s->q, err);
    if (rc)
        s->broken = rc; /* some rows are in, the cursor is not: committing would store them twice */
    return rc;
}

enum tw_rc sqlite_append(struct history *h, const struct store_batch *b, enum store_append_result *ret,
                         uint64_t *ret_through, struct tw_err *err)
{
    struct sqlite_history *s = sqlite_of(h);
    const struct cursor *known;
    struct store_cursor at;
    uint64_t last = 0;
    enum tw_rc rc = batch_check(b, &last, err);

    if (!rc && (!s->q.in_txn || s->broken))
        rc = tw_err_set(err, TW_EINVAL, "%s: append without a good transaction", s->q.spec->what);
    if (rc)
        return rc;
    known = cursors_find(&s->cursors, b->agent_id, b->spool_id);
    at = known ? known->now : batch_start(b);
    *ret = batch_judge(b, last, &at, known != NULL || !b->ahead);
    *ret_through = at.through;
    if (*ret == STORE_REPEATED)
        s->stats.repeated_batches++;
    else if (*ret == STORE_OUT_OF_SEQ)
        s->stats.out_of_seq_batches++;
    else if ((rc = insert_missing(s, b, last, &at, err)) != TW_OK)
        return rc;
    if (*ret == STORE_APPENDED) {
        s->pending_batches++;
        *ret_through = at.through;
    }
    return TW_OK;
}
