/* Opening, transactions and counters of the history in SQLite. */
#include "db/sqlite/history_priv.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static enum tw_rc load_cursor(struct sqlite_history *s, int64_t agent, const uint8_t *spool,
                              const struct store_cursor *at, struct tw_err *err)
{
    if (cursors_set(&s->cursors, agent, spool, at))
        return sq_no_memory(&s->q, err);
    return TW_OK;
}

static enum tw_rc load_through(struct sqlite_history *s, struct sq_cur *c, struct tw_err *err)
{
    int64_t agent = sq_take_i64(c);
    size_t len;
    const uint8_t *spool = sq_take_blob(c, &len);
    struct store_cursor at = { .through = (uint64_t)sq_take_i64(c) };

    return len == STORE_ID_LEN ? load_cursor(s, agent, spool, &at, err) : TW_OK;
}

static enum tw_rc load_ahead(struct sqlite_history *s, struct sq_cur *c, struct tw_err *err)
{
    int64_t agent = sq_take_i64(c);
    size_t len;
    const uint8_t *spool = sq_take_blob(c, &len);
    const struct cursor *known = len == STORE_ID_LEN ? cursors_find(&s->cursors, agent, spool) : NULL;
    uint64_t first = (uint64_t)sq_take_i64(c), last = (uint64_t)sq_take_i64(c);
    struct store_cursor at;

    if (!known)
        return TW_OK;
    at = known->now;
    if (first <= at.through || seqset_add(&at.ahead, first, last))
        return tw_err_set(err, TW_ECORRUPT,
                          "%s %s: what is stored of agent %lld's spool beyond %llu makes no sense",
                          s->q.spec->what, s->q.path, (long long)agent, (unsigned long long)at.through);
    return load_cursor(s, agent, spool, &at, err);
}

static enum tw_rc load_each(struct sqlite_history *s, enum store_stmt which,
                            enum tw_rc (*fn)(struct sqlite_history *s, struct sq_cur *c, struct tw_err *err),
                            struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, which, &c, err), bad;

    if (rc)
        return rc;
    while ((rc = sq_next(&c, err)) == TW_OK)
        if ((bad = fn(s, &c, err)) != TW_OK) {
            sq_end(&c);
            return bad;
        }
    return rc == TW_ENOENT ? TW_OK : rc;
}

/* A later migration may have set the floor anew: then the next commit raises it again. */
static enum tw_rc load_cursors(struct sqlite_history *s, struct tw_err *err)
{
    int64_t floor = 0;
    enum tw_rc rc = sq_get_int(&s->q, "SELECT oldest FROM schema_floor WHERE one = 1", &floor, err);

    s->floor_raised = s->floor_now = floor > (int64_t)sq_floor(s->q.spec, *s->q.spec->n_migrations);
    if (!rc)
        rc = load_each(s, ST_CURSOR_EACH, load_through, err);
    if (!rc)
        rc = load_each(s, ST_AHEAD_EACH, load_ahead, err);
    cursors_commit(&s->cursors);
    return rc;
}

static void sqlite_close(struct history *h)
{
    struct sqlite_history *s = sqlite_of(h);

    if (!s)
        return;
    if (s->q.db)
        sqlite_rollback(h);
    day_cache_clear(&s->insert);
    day_cache_clear(&s->insert_runs);
    rollup_close(s);
    retain_forget(s);
    sq_close(&s->q);
    cursors_free(&s->cursors);
    free(s->latest);
    free(s->scratch);
    free(s);
}

static enum tw_rc sqlite_open(const struct history_conf *conf, struct history **ret, struct tw_err *err)
{
    struct sqlite_history *s = calloc(1, sizeof *s);
    enum tw_rc rc;

    if (!s || !(s->scratch = malloc(ROW_SCRATCH))) {
        free(s);
        return tw_err_set(err, TW_ENOMEM, "%s %s: out of memory", store_spec.what, conf->location);
    }
    s->base.ops = &sqlite_history;
    rc = sq_open(&s->q, conf->location, &store_spec, err);
    if (!rc)
        rc = load_cursors(s, err);
    if (!rc)
        rc = rollup_open(s, err);
    if (rc) {
        sqlite_close(&s->base);
        return rc;
    }
    *ret = &s->base;
    return TW_OK;
}

struct sq *sqlite_history_file(struct history *h)
{
    return &sqlite_of(h)->q;
}

/* ---- Transactions ------------------------------------------------------------------------------- */

static enum tw_rc run(struct sqlite_history *s, enum store_stmt which, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(&s->q, which, &c, err);

    return rc ? rc : sq_run(&c, err);
}

enum tw_rc sqlite_begin(struct history *h, struct tw_err *err)
{
    struct sqlite_history *s = sqlite_of(h);

    if (s->q.in_txn)
        return tw_err_set(err, TW_EINVAL, "%s: a transaction is open already", s->q.spec->what);
    return sq_begin(&s->q, ST_BEGIN, err);
}

static void forget_pending(struct sqlite_history *s)
{
    s->q.in_txn = false;
    s->broken = TW_OK;
    s->n_latest = 0;
    s->pending_rows = s->pending_batches = 0;
    s->shrink = false;
}

static enum tw_rc try_commit(struct sqlite_history *s, struct tw_err *err)
{
    enum tw_rc rc;

    if (!s->q.in_txn)
        return tw_err_set(err, TW_EINVAL, "%s: no transaction is open", s->q.spec->what);
    if (s->broken)
        return tw_err_set(err, s->broken, "%s %s: a write of this transaction failed (%s)", s->q.spec->what,
                          s->q.path, tw_rc_name(s->broken));
    rc = history_flush_pending(s, err);
    if (!rc)
        rc = rollup_flush(s, err);
    return rc ? rc : run(s, ST_COMMIT, err);
}

enum tw_rc sqlite_commit(struct history *h, struct tw_err *err)
{
    struct sqlite_history *s = sqlite_of(h);
    enum tw_rc rc = try_commit(s, err);
    bool shrink = s->shrink;
    struct tw_err ignored;

    if (rc) {
        s->stats.commit_errors++;
        sqlite_rollback(h);
        return rc;
    }
    if (s->rollup.slicing)
        s->stats.rollup_slices++;
    else
        s->stats.commits++;
    s->stats.rows_written += s->pending_rows;
    s->stats.batches += s->pending_batches;
    cursors_commit(&s->cursors);
    s->floor_raised = s->floor_now;
    rollup_committed(s);
    forget_pending(s);
    if (shrink)
        sq_shrink(&s->q, &ignored); /* what was asked for is durable; the next retention tries again */
    return TW_OK;
}

void sqlite_rollback(struct history *h)
{
    struct sqlite_history *s = sqlite_of(h);

    if (s->q.in_txn) {
        /* The tables of new days go too, and with them what was prepared on them. */
        day_cache_clear(&s->insert);
        day_cache_clear(&s->insert_runs);
        cursors_rollback(&s->cursors);
        s->floor_now = s->floor_raised;
        rollup_rolled_back(s);
        retain_forget(s);
    }
    sq_rollback(&s->q);
    forget_pending(s);
}

static uint64_t free_bytes(struct sqlite_history *s)
{
    struct tw_err ignored;
    int64_t pages = 0, size = 0;

    if (sq_get_int(&s->q, "PRAGMA freelist_count", &pages, &ignored) ||
        sq_get_int(&s->q, "PRAGMA page_size", &size, &ignored))
        return 0;
    return (uint64_t)(pages * size);
}

static void sqlite_stats(struct history *h, struct store_stats *ret)
{
    struct sqlite_history *s = sqlite_of(h);
    char wal[PATH_MAX];
    struct stat st;

    *ret = s->stats;
    rollup_stats(s, ret);
    if (stat(s->q.path, &st) == 0)
        ret->file_bytes = (uint64_t)st.st_size;
    ret->free_bytes = free_bytes(s);
    snprintf(wal, sizeof wal, "%s-wal", s->q.path);
    if (stat(wal, &st) == 0)
        ret->wal_bytes = (uint64_t)st.st_size;
}

const struct history_ops sqlite_history = {
    .scheme = "sqlite",
    .open = sqlite_open,
    .close = sqlite_close,
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .append = sqlite_append,
    .cursor = sqlite_cursor,
    .each_cursor = sqlite_each_cursor,
    .learn_cursors = sqlite_learn_cursors,
    .forget_agent = sqlite_forget_agent,
    .retain = sqlite_retain,
    .rollup = sqlite_rollup,
    .stats = sqlite_stats,
    .reader_open = sqlite_reader_open,
    .reader_close = sqlite_reader_close,
    .reader_interrupt = sqlite_reader_interrupt,
    .read_summaries = sqlite_read_summaries,
    .read_span = sqlite_read_span,
    .read_loss_runs = sqlite_read_loss_runs,
    .read_loss_chains = sqlite_read_loss_chains,
    .read_latest = sqlite_read_latest,
    .read_gaps = sqlite_read_gaps,
    .export_parts = sqlite_export_parts,
    .export_rows = sqlite_export_rows,
};
