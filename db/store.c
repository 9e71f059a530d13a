/* The store: history and control state behind one front. */
#include "db/store_priv.h"

#include <stdlib.h>
#include <string.h>

#include "common/grow.h"
#include "db/sqlite/history.h"

/* ---- Opening ------------------------------------------------------------------------------------ */

/* A path, or SCHEME:PATH with the scheme of something that can hold all of a store. A scheme with "//" behind
 * it is a server's. What is behind that is not told: there may be a password in it. */
static enum tw_rc find_path(const char *location, const char **ret, struct tw_err *err)
{
    size_t len = strlen(sqlite_history.scheme);
    const char *server = strstr(location, "://");

    if (!strncmp(location, sqlite_history.scheme, len) && location[len] == ':' && !server) {
        *ret = location + len + 1;
        return TW_OK;
    }
    if (server && !memchr(location, '/', (size_t)(server - location)))
        return tw_err_set(err, TW_EINVAL,
                          "database at %.*s://: this program knows none but %s: give PATH or %s:PATH",
                          (int)(server - location), location, sqlite_history.scheme, sqlite_history.scheme);
    *ret = location;
    return TW_OK;
}

static enum tw_rc no_memory(struct tw_err *err)
{
    return tw_err_set(err, TW_ENOMEM, "%s: out of memory", store_spec.what);
}

enum tw_rc store_open(const char *location, struct store **ret, struct tw_err *err)
{
    struct history_conf conf;
    struct store *s;
    enum tw_rc rc = find_path(location, &conf.location, err);

    if (rc)
        return rc;
    s = calloc(1, sizeof *s);
    if (!s)
        return no_memory(err);
    rc = sqlite_history.open(&conf, &s->history, err);
    if (rc) {
        free(s);
        return rc;
    }
    s->q = sqlite_history_file(s->history);
    *ret = s;
    return TW_OK;
}

enum tw_rc store_open_with(const char *control, struct history *history, struct store **ret,
                           struct tw_err *err)
{
    struct store *s = calloc(1, sizeof *s);
    enum tw_rc rc;

    if (!s) {
        history->ops->close(history);
        return no_memory(err);
    }
    s->history = history;
    s->q = &s->own;
    rc = sq_open(s->q, control, &store_spec, err);
    if (rc) {
        store_close(s);
        return rc;
    }
    *ret = s;
    return TW_OK;
}

/* Is the control state in the history's file, and so in its transactions? */
static bool is_joint(const struct store *s)
{
    return s->q != &s->own;
}

void store_hurry(struct store *s, int64_t by_mono_ns)
{
    atomic_store(&s->q->hurry_ns, by_mono_ns);
    if (s->shared)
        s->shared->hurry(s->shared, by_mono_ns);
    if (s->history->ops->hurry)
        s->history->ops->hurry(s->history, by_mono_ns);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    kept_forget(s);
    free(s->forgotten.v);
    s->history->ops->close(s->history);
    if (s->shared)
        s->shared->close(s->shared);
    sq_close(&s->own);
    free(s);
}

enum tw_rc store_reader_open(const char *location, struct store_reader **ret, struct tw_err *err)
{
    struct history_conf conf;
    struct store_reader *r;
    enum tw_rc rc = find_path(location, &conf.location, err);

    if (rc)
        return rc;
    r = calloc(1, sizeof *r);
    if (!r)
        return no_memory(err);
    rc = sqlite_history.reader_open(&conf, &r->history, err);
    if (rc) {
        free(r);
        return rc;
    }
    r->q = sqlite_reader_file(r->history);
    *ret = r;
    return TW_OK;
}

enum tw_rc store_reader_open_with(const char *control, struct history_reader *history,
                                  struct store_reader **ret, struct tw_err *err)
{
    struct store_reader *r = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r) {
        history->ops->reader_close(history);
        return no_memory(err);
    }
    r->history = history;
    r->q = &r->own;
    rc = sq_open_reader(r->q, control, &store_spec, err);
    if (rc) {
        store_reader_close(r);
        return rc;
    }
    *ret = r;
    return TW_OK;
}

void store_reader_close(struct store_reader *r)
{
    if (!r)
        return;
    r->history->ops->reader_close(r->history);
    sq_close(&r->own);
    free(r);
}

void store_reader_interrupt(struct store_reader *r)
{
    r->history->ops->reader_interrupt(r->history);
    if (r->own.db)
        sqlite3_interrupt(r->own.db);
}

/* ---- Transactions ------------------------------------------------------------------------------- */

enum tw_rc store_begin(struct store *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    if (is_joint(s))
        return s->history->ops->begin(s->history, err);
    if (s->q->in_txn)
        return tw_err_set(err, TW_EINVAL, "%s: a transaction is open already", store_spec.what);
    if (s->shared)
        rc = s->shared->follow(s->shared, err);
    return rc ? rc : sq_begin(s->q, ST_BEGIN, err);
}

/* Those of the open transaction may yet be rolled back. */
static enum tw_rc forget_agents(struct store *s, struct tw_err *err)
{
    const struct forgotten *f = &s->forgotten;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < f->n && !rc; i++)
        rc = s->history->ops->forget_agent(s->history, f->v[i], err);
    return rc;
}

enum tw_rc store_begin_history(struct store *s, struct tw_err *err)
{
    enum tw_rc rc;

    if (is_joint(s) || s->history_begun)
        return TW_OK;
    if (!s->q->in_txn)
        return tw_err_set(err, TW_EINVAL, "%s: no transaction is open", store_spec.what);
    rc = s->history->ops->begin(s->history, err);
    s->history_begun = !rc;
    if (!rc && (rc = forget_agents(s, err)) != TW_OK)
        s->broken = rc;
    return rc;
}

enum tw_rc store_forget_history(struct store *s, int64_t agent_id, struct tw_err *err)
{
    struct forgotten *f = &s->forgotten;

    if (is_joint(s))
        return s->history->ops->forget_agent(s->history, agent_id, err);
    if (!TW_GROW(&f->v, f->n + f->n_new, &f->cap, 8))
        return no_memory(err);
    f->v[f->n + f->n_new++] = agent_id;
    return TW_OK;
}

enum tw_rc store_glance(struct store *s, enum tw_rc (*fn)(void *ctx, struct store *s, struct tw_err *err),
                        void *ctx, struct tw_err *err)
{
    bool touched = s->q->touched;
    enum tw_rc rc = fn(ctx, s, err);

    s->q->touched = touched;
    return rc;
}

static enum tw_rc commit_file(struct store *s, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_COMMIT, &c, err);

    if (!rc)
        rc = sq_run(&c, err);
    s->q->in_txn = rc != TW_OK;
    return rc;
}

/* What all agreed on is done, whatever becomes of the file, which is then made anew. */
static enum tw_rc commit_control(struct store *s, struct tw_err *err)
{
    enum tw_rc rc = s->shared ? s->shared->agree(s->shared, err) : TW_OK;
    bool committed;

    s->shared_failed = rc != TW_OK;
    if (rc)
        return rc;
    rc = commit_file(s, err);
    if (!s->shared)
        return rc;
    committed = rc == TW_OK;
    if (!committed)
        sq_rollback(s->q);
    s->shared->done(s->shared, committed);
    return TW_OK;
}

static enum tw_rc commit_apart(struct store *s, struct tw_err *err)
{
    struct forgotten *f = &s->forgotten;
    enum tw_rc rc = TW_OK;

    if (!s->q->in_txn)
        return tw_err_set(err, TW_EINVAL, "%s: no transaction is open", store_spec.what);
    if (s->history_begun)
        rc = s->history->ops->commit(s->history, err);
    if (!rc && s->history_begun) {
        if (f->n)
            memmove(f->v, f->v + f->n, f->n_new * sizeof *f->v);
        f->n = 0;
        s->history_begun = false;
    }
    if (!rc)
        rc = commit_control(s, err);
    if (rc)
        return rc;
    f->n += f->n_new;
    f->n_new = 0;
    return TW_OK;
}

/* The history first: a store that ends between the two has summaries of which the control state says nothing
 * yet. Their agents were not told, and send them again: then they are known as stored, and what the control
 * state says of them is said again. */
enum tw_rc store_commit(struct store *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    s->shared_failed = false;
    if (s->broken)
        rc = tw_err_set(err, s->broken, "%s %s: a write of this transaction failed (%s)", s->q->spec->what,
                        s->q->path, tw_rc_name(s->broken));
    else if (is_joint(s))
        rc = s->history->ops->commit(s->history, err);
    else
        rc = commit_apart(s, err);
    if (rc)
        store_rollback(s);
    return rc;
}

void store_rollback(struct store *s)
{
    if (s->q->in_txn)
        kept_forget(s);
    s->broken = TW_OK;
    if (is_joint(s) || s->history_begun)
        s->history->ops->rollback(s->history);
    s->history_begun = false;
    s->forgotten.n_new = 0;
    if (!is_joint(s))
        sq_rollback(s->q);
}

/* ---- History ------------------------------------------------------------------------------------ */

/* Only new spools need to look whether their agent is known. */
static enum tw_rc check_agent(struct store *s, const struct store_batch *b, struct tw_err *err)
{
    struct store_cursor at;
    enum tw_rc rc = s->history->ops->cursor(s->history, b->agent_id, b->spool_id, &at, err);

    return rc == TW_ENOENT ? control_find_agent(s, b->agent_id, err) : rc;
}

/* Also of what was stored before: perhaps the control state was not committed then. */
static enum tw_rc note_tests(struct store *s, const struct store_batch *b, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < b->n && !rc; i++)
        if (b->rows[i].test_id)
            rc = control_note_test(s, &b->rows[i], err);
    if (rc)
        s->broken = rc;
    return rc;
}

enum tw_rc store_append(struct store *s, const struct store_batch *b, enum store_append_result *ret,
                        uint64_t *ret_through, struct tw_err *err)
{
    enum tw_rc rc = store_begin_history(s, err);

    if (!rc)
        rc = check_agent(s, b, err);
    if (!rc)
        rc = s->history->ops->append(s->history, b, ret, ret_through, err);
    return rc || *ret == STORE_OUT_OF_SEQ ? rc : note_tests(s, b, err);
}

enum tw_rc store_cursor(struct store *s, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                        uint64_t *ret_through)
{
    struct store_cursor at;
    struct tw_err ignored;
    enum tw_rc rc = s->history->ops->cursor(s->history, agent_id, spool_id, &at, &ignored);

    if (!rc)
        *ret_through = at.through;
    return rc;
}

enum tw_rc store_full_cursor(struct store *s, int64_t agent_id, const uint8_t spool_id[STORE_ID_LEN],
                             struct store_cursor *ret, struct tw_err *err)
{
    enum tw_rc rc = s->history->ops->cursor(s->history, agent_id, spool_id, ret, err);

    if (rc == TW_ENOENT)
        *ret = (struct store_cursor){ 0 };
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_learn_cursors(struct store *s, const int64_t *agent_ids, size_t n, struct tw_err *err)
{
    return s->history->ops->learn_cursors(s->history, agent_ids, n, err);
}

enum tw_rc store_each_cursor(struct store *s,
                             enum tw_rc (*fn)(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                                              const struct store_cursor *at),
                             void *ctx, struct tw_err *err)
{
    return s->history->ops->each_cursor(s->history, fn, ctx, err);
}

/* The first step says what is kept no more, and nothing else: readers know it before anything goes. */
static enum tw_rc retain_step(struct store *s, const struct store_retention *r, bool *ret_more,
                              struct tw_err *err)
{
    enum tw_rc rc;

    if (!s->kept.planned) {
        *ret_more = true;
        return kept_plan(s, r, err);
    }
    rc = store_begin_history(s, err);
    if (!rc)
        rc = s->history->ops->retain(s->history, &s->kept.asked, ret_more, err);
    if (!rc && !*ret_more)
        kept_forget(s);
    return rc;
}

enum tw_rc store_retain(struct store *s, const struct store_retention *r, bool *ret_more, struct tw_err *err)
{
    bool own = !s->q->in_txn;
    enum tw_rc rc = own ? store_begin(s, err) : TW_OK;

    if (rc)
        return rc;
    rc = retain_step(s, r, ret_more, err);
    if (rc && own)
        store_rollback(s);
    else if (rc)
        s->broken = rc;
    return rc || !own ? rc : store_commit(s, err);
}

void store_stats(struct store *s, struct store_stats *ret)
{
    s->history->ops->stats(s->history, ret);
}

void store_history_info(struct store *s, struct store_history_info *ret)
{
    *ret = (struct store_history_info){ .apart = !is_joint(s) };
    if (!is_joint(s) && s->history->ops->info)
        s->history->ops->info(s->history, ret);
}

enum tw_rc store_look_history(struct store *s, struct tw_err *err)
{
    return !is_joint(s) && s->history->ops->look ? s->history->ops->look(s->history, err) : TW_OK;
}

enum tw_rc store_rollup(struct store *s, int64_t now_ns, size_t max_rows, bool *ret_more, struct tw_err *err)
{
    return s->history->ops->rollup(s->history, now_ns, max_rows, ret_more, err);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

enum tw_rc store_read_summaries(struct store_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                                int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct tw_summary *s), void *ctx,
                                struct tw_err *err)
{
    return r->history->ops->read_summaries(r->history, pair_ids, n_pairs, from_ns, to_ns, fn, ctx, err);
}

enum tw_rc store_read_span(struct store_reader *r, const struct store_span *span, struct tw_err *err)
{
    return r->history->ops->read_span(r->history, span, &(struct history_keeper){ kept_read, r }, err);
}

enum tw_rc store_read_loss_runs(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run), void *ctx,
                                struct tw_err *err)
{
    return r->history->ops->read_loss_runs(r->history, pair_id, from_ns, to_ns, fn, ctx, err);
}

enum tw_rc store_read_loss_chains(struct store_reader *r, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                                  enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *run, uint64_t parts),
                                  void *ctx, struct tw_err *err)
{
    return r->history->ops->read_loss_chains(r->history, pair_id, from_ns, to_ns, fn, ctx, err);
}

enum tw_rc store_read_latest(struct store_reader *r, const uint64_t *pair_ids, size_t n_pairs,
                             unsigned without, enum tw_rc (*fn)(void *ctx, const struct tw_summary *s),
                             void *ctx, struct tw_err *err)
{
    return r->history->ops->read_latest(r->history, pair_ids, n_pairs, without, fn, ctx, err);
}

/* ---- Gaps: by name ------------------------------------------------------------------------------ */

static enum tw_rc read_gaps(struct store_reader *r, const char *source, enum history_gap_time by,
                            const struct store_time *span,
                            enum tw_rc (*fn)(void *ctx, const struct history_gap *g), void *ctx,
                            struct tw_err *err)
{
    int64_t *ids = NULL;
    size_t n = 0;
    enum tw_rc rc = control_agents_named(r, source, &ids, &n, err);

    if (!rc)
        rc = r->history->ops->read_gaps(r->history, ids, n, by, span->from_ns, span->to_ns, fn, ctx, err);
    free(ids);
    return rc;
}

/* An agent says how much it lost: any number. */
static enum tw_rc add_dropped(void *ctx, const struct history_gap *g)
{
    uint64_t *sum = ctx, n = g->last_seq - g->first_seq + 1;

    *sum = *sum + n < *sum ? UINT64_MAX : *sum + n;
    return TW_OK;
}

enum tw_rc store_read_dropped(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                              uint64_t *ret, struct tw_err *err)
{
    uint64_t sum = 0;
    enum tw_rc rc = read_gaps(r, source, HISTORY_RECEIVED, &(struct store_time){ from_ns, to_ns },
                              add_dropped, &sum, err);

    if (!rc)
        *ret = sum;
    return rc;
}

struct absences {
    const char *source;
    enum tw_rc (*fn)(void *ctx, const struct store_absence *a);
    void *ctx;
};

static enum tw_rc tell_dropped(void *ctx, const struct history_gap *g)
{
    const struct absences *to = ctx;

    return to->fn(to->ctx, &(struct store_absence){ .source = to->source,
                                                    .cause = STORE_DROPPED,
                                                    .reason = "",
                                                    .from_ns = g->from_ns,
                                                    .until_ns = g->until_ns });
}

enum tw_rc store_read_absences(struct store_reader *r, const char *source, int64_t from_ns, int64_t to_ns,
                               enum tw_rc (*fn)(void *ctx, const struct store_absence *a), void *ctx,
                               struct tw_err *err)
{
    struct absences to = { source, fn, ctx };
    enum tw_rc rc = control_read_absences(r, source, from_ns, to_ns, fn, ctx, err);

    return rc ? rc
              : read_gaps(r, source, HISTORY_SPOOLED, &(struct store_time){ from_ns, to_ns }, tell_dropped,
                          &to, err);
}
