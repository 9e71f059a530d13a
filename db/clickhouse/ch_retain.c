/* Retention: partitions that nobody keeps go whole, at the commit; then rows of pairs that keep less than
 * others, by ALTER TABLE ... DELETE, which the server does behind what else it does. (TTL came after 18.16.)
 */
#include "db/clickhouse/ch_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/grow.h"
#include "common/log.h"
#include "common/loss_runs.h"
#include "db/clickhouse/ch_settings.h"

#define SLICE_ROWS 1000
#define WAIT_US 20000 /* for the server */
#define HOUR_NS (3600 * TW_NS_PER_S)

/* What has partitions of its own, and goes with a level. */
static const struct {
    const char *table;
    int64_t days;
    enum store_level level;
} others[] = { { "loss_run", 1, STORE_RAW }, { "loss_chain", 365, STORE_1D }, { "gap", 1, STORE_1D } };
#define N_DROPPABLE (STORE_LEVELS + TW_NELEM(others))
#define LOSS_RUNS STORE_LEVELS /* number of the first of them */

static const char *table_of(size_t i)
{
    return i < STORE_LEVELS ? ch_level_tables[i] : others[i - STORE_LEVELS].table;
}

static int64_t partition_ns(size_t i)
{
    return i < STORE_LEVELS ? ch_level_partition_ns((int)i) : others[i - STORE_LEVELS].days * CH_DAY_NS;
}

static enum store_level level_of(size_t i)
{
    return i < STORE_LEVELS ? (enum store_level)i : others[i - STORE_LEVELS].level;
}

/* ---- Partitions ---- */

struct listing {
    struct ch_history *h;
    const struct history_retention *r;
};

static enum tw_rc add_drop(struct ch_history *h, size_t what, int64_t partition, struct tw_err *err)
{
    for (size_t i = 0; i < h->n_drops; i++)
        if (h->drops[i].what == what && h->drops[i].partition == partition)
            return TW_OK;
    if (!TW_GROW(&h->drops, h->n_drops, &h->cap_drops, 64))
        return ch_no_memory(err);
    h->drops[h->n_drops++] = (struct ch_drop){ what, partition };
    return TW_OK;
}

static enum tw_rc take_partition(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct listing *l = ctx;
    size_t len;
    const uint8_t *table = ch_get_string(row, &len);
    int64_t partition = ch_get_i64(row);

    for (size_t i = 0; table && i < N_DROPPABLE; i++)
        if (strlen(table_of(i)) == len && !memcmp(table_of(i), table, len) &&
            ch_partition_begin(partition + 1, partition_ns(i)) <= l->r->from_ns[level_of(i)])
            return add_drop(l->h, i, partition, err);
    return TW_OK;
}

static enum tw_rc list_partitions(struct ch_history *h, const struct history_retention *r, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_STRING, CH_I64 };
    struct listing l = { h, r };

    ch_sql_begin(&h->db.sql,
                 "SELECT DISTINCT " CH_ROW_MARK ", table, toInt64OrZero(partition) AS p FROM system.parts "
                                                "WHERE database = '%s' AND active ORDER BY p",
                 h->db.name);
    return ch_db_select(&h->db, types, TW_NELEM(types), take_partition, &l, err);
}

/* Of what the open transaction has there may be no partition yet. */
static enum tw_rc add_txn_day(struct ch_history *h, int64_t day, const struct history_retention *r,
                              struct tw_err *err)
{
    enum tw_rc rc;

    if ((day + 1) * CH_DAY_NS > r->from_ns[STORE_RAW])
        return TW_OK;
    rc = add_drop(h, STORE_RAW, day, err);
    return rc ? rc : add_drop(h, LOSS_RUNS, day, err);
}

/* Days that go are in their cells first. */
static bool waits_for_rollup(const struct ch_history *h)
{
    for (size_t i = 0; i < h->n_drops; i++)
        if (h->drops[i].what == STORE_RAW && ch_rollup_waits(h, h->drops[i].partition))
            return true;
    return false;
}

/* ---- Chains of loss runs ---- */

struct chains {
    struct ch_buf rows;
    struct tw_loss_run run;
    uint64_t pair_id, parts;
};
static const enum ch_type run_types[] = { CH_I64, CH_I64, CH_U32, CH_U32, CH_I64, CH_I64, CH_U8, CH_U8 };

static void end_chain(struct chains *c)
{
    struct ch_buf *b = &c->rows;

    if (!c->parts)
        return;
    ch_put_i64(b, (int64_t)c->pair_id);
    ch_put_i64(b, c->run.start_ns);
    ch_put_u32(b, c->run.flow);
    ch_put_u32(b, c->run.seq_first);
    ch_put_i64(b, c->run.length_ns);
    ch_put_i64(b, (int64_t)c->run.probes);
    ch_put_u8(b, (uint8_t)c->run.direction);
    ch_put_u8(b, (uint8_t)(c->run.continues_before | c->run.continues_after << 1));
    ch_put_i64(b, (int64_t)c->parts);
}

/* In order of pair, flow and time. One that cannot be is left out: it is about to go. */
static enum tw_rc take_part(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct chains *c = ctx;
    uint64_t pair_id = (uint64_t)ch_get_i64(row);
    struct tw_loss_run r = { .start_ns = ch_get_i64(row) };
    uint8_t direction, continues;

    (void)err;
    r.flow = ch_get_u32(row);
    r.seq_first = ch_get_u32(row);
    r.length_ns = ch_get_i64(row);
    r.probes = (uint64_t)ch_get_i64(row);
    direction = ch_get_u8(row);
    continues = ch_get_u8(row);
    if (r.start_ns < 0 || r.length_ns < 0 || !r.probes || direction >= TW_DIRECTION_COUNT)
        return TW_OK;
    r.direction = (enum tw_direction)direction;
    r.continues_before = continues & 1;
    r.continues_after = continues & 2;
    if (c->parts && c->pair_id == pair_id && c->run.start_ns / HOUR_NS == r.start_ns / HOUR_NS &&
        loss_run_continues(&c->run, &r)) {
        loss_run_join(&c->run, &r);
        c->parts++;
        return TW_OK;
    }
    end_chain(c);
    c->run = r;
    c->pair_id = pair_id;
    c->parts = 1;
    return TW_OK;
}

/* Of runs that go on over the ends of report periods. Again: the same rows. */
static enum tw_rc keep_chains(struct ch_history *h, int64_t day, struct tw_err *err)
{
    struct chains c = { .parts = 0 };
    struct ch_view now = { .round_no = 0 };
    enum tw_rc rc;

    ch_sql_begin(
        &h->db.sql,
        "SELECT " CH_ROW_MARK
        ", pair_id, start_ns, flow, seq_first, length_ns, probes, direction, continues FROM %s.loss_run FINAL"
        " WHERE start_ns >= %lld AND start_ns < %lld AND continues != 0",
        h->db.name, (long long)(day * CH_DAY_NS), (long long)((day + 1) * CH_DAY_NS));
    rc = ch_view_load(h->db.http, h->db.name, ch_http_bit(CH_LOSS_RUN), &now, err);
    ch_commits_where(&h->db.sql, &now.done);
    ch_sql_add(&h->db.sql,
               " ORDER BY pair_id, flow, start_ns, seq_first LIMIT 1 BY pair_id, flow, start_ns, seq_first");
    if (!rc)
        rc = ch_db_select(&h->db, run_types, TW_NELEM(run_types), take_part, &c, err);
    if (!rc) {
        end_chain(&c);
        ch_sql_begin(&h->db.sql,
                     "INSERT INTO %s.loss_chain (pair_id, start_ns, flow, seq_first, length_ns, probes, "
                     "direction, continues, parts)"
                     " FORMAT RowBinary",
                     h->db.name);
        rc = c.rows.bad || !ch_sql_text(&h->db.sql)
                 ? ch_no_memory(err)
                 : ch_http_insert(h->db.http, ch_sql_text(&h->db.sql), c.rows.p, c.rows.len, err);
    }
    ch_buf_free(&c.rows);
    ch_view_free(&now);
    return rc;
}

/* What the transaction itself brought of a day is in its cells before the day goes: with the round under way, or
 * with one behind it. */
static enum tw_rc roll_up_rest(struct ch_history *h, int64_t day, struct tw_err *err)
{
    bool more;
    enum tw_rc rc = TW_OK;

    while (!rc && ch_rollup_waits(h, day))
        rc = ch_rollup_slice(h, h->looked_ns, SLICE_ROWS, &more, err);
    return rc;
}

static enum tw_rc drop(struct ch_history *h, const struct ch_drop *d, struct tw_err *err)
{
    enum tw_rc rc = d->what == STORE_RAW ? roll_up_rest(h, d->partition, err) : TW_OK;

    if (!rc && d->what == LOSS_RUNS)
        rc = keep_chains(h, d->partition, err);
    if (rc)
        return rc;
    ch_sql_begin(&h->db.sql, "ALTER TABLE %s.%s DROP PARTITION %lld%s", h->db.name, table_of(d->what),
                 (long long)d->partition, ch_http_drops_any(h->db.http) ? CH_SETTINGS_DROP_ANY : "");
    return ch_run(h->db.http, &h->db.sql, err);
}

void ch_retain_drop(struct ch_history *h)
{
    const struct ch_drop *stays = NULL;
    struct tw_err first = { 0 };
    size_t n = 0;

    for (size_t i = 0; i < h->n_drops; i++) {
        struct tw_err err = { 0 };
        if (drop(h, &h->drops[i], &err) && !n++) {
            stays = &h->drops[i];
            first = err;
        }
    }
    if (stays)
        log_warn("history that is too old stays on the disk: its partitions cannot be dropped",
                 LOG_U("partitions", n), LOG_S("table", table_of(stays->what)),
                 LOG_I("partition", stays->partition), LOG_S("error", first.text));
    h->n_drops = 0;
}

/* ---- Rows of those who keep less ---- */

static enum tw_rc delete_rows(struct ch_history *h, const struct history_group *g, int level,
                              struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t at = 0; at < g->n_pairs && !rc; at += CH_PAIRS_MAX) {
        ch_sql_begin(&h->db.sql, "ALTER TABLE %s.%s DELETE WHERE %s < %lld AND pair_id IN ", h->db.name,
                     ch_level_tables[level], level ? "cell_ns" : "start_ns", (long long)g->from_ns[level]);
        ch_sql_add_numbers(&h->db.sql, g->pair_ids + at,
                           g->n_pairs - at < CH_PAIRS_MAX ? g->n_pairs - at : CH_PAIRS_MAX);
        if (level == STORE_RAW && h->cluster) /* what others commit meanwhile is rolled up first */
            ch_commits_where(&h->db.sql, &h->view.rolled);
        rc = ch_run(h->db.http, &h->db.sql, err);
    }
    h->mutating |= !rc;
    return rc;
}

static enum tw_rc is_mutating(struct ch_history *h, bool *ret, struct tw_err *err)
{
    int64_t n = 0;
    enum tw_rc rc;

    ch_sql_begin(
        &h->db.sql,
        "SELECT " CH_ROW_MARK
        ", toInt64(count()) FROM system.mutations WHERE database = '%s' AND NOT is_done FORMAT RowBinary",
        h->db.name);
    rc = ch_get_numbers(h->db.http, &h->db.sql, &n, 1, err);
    *ret = n > 0;
    return rc;
}

static bool is_wanted(const struct history_retention *r, const struct history_group *g, int level)
{
    return g->n_pairs && g->from_ns[level] > g->done_ns[level] && g->from_ns[level] > r->from_ns[level];
}

/* Summaries go when they are rolled up. */
static enum tw_rc delete_groups(struct ch_history *h, const struct history_retention *r, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < r->n_groups; i++)
        for (int l = 0; l < STORE_LEVELS && !rc; l++)
            if (is_wanted(r, &r->groups[i], l))
                rc = delete_rows(h, &r->groups[i], l, err);
    return rc;
}

static enum tw_rc tell_done(const struct history_retention *r, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < r->n_groups; i++)
        for (int l = 0; l < STORE_LEVELS && !rc && r->done; l++)
            if (is_wanted(r, &r->groups[i], l))
                rc = r->done(r->ctx, i, (enum store_level)l, err);
    return rc;
}

static bool any_wanted(const struct history_retention *r)
{
    for (size_t i = 0; i < r->n_groups; i++)
        for (int l = 0; l < STORE_LEVELS; l++)
            if (is_wanted(r, &r->groups[i], l))
                return true;
    return false;
}

static enum tw_rc wait_for_server(struct ch_history *h, const struct history_retention *r, bool *ret_more,
                                  struct tw_err *err)
{
    enum tw_rc rc = is_mutating(h, ret_more, err);

    if (rc || *ret_more) {
        usleep(WAIT_US);
        return rc;
    }
    h->mutating = false;
    return tell_done(r, err);
}

static enum tw_rc begin_retention(struct ch_history *h, const struct history_retention *r, struct tw_err *err)
{
    enum tw_rc rc = ch_rollup_look(h, err);

    if (!rc && h->retain_now_ns != r->now_ns) {
        h->retain_now_ns = r->now_ns;
        h->retain_rolled_no = h->view.rolled_no;
    }
    return rc;
}

/* Others may go on committing: what was there when the retention began is rolled up with the next round. */
static bool is_behind(const struct ch_history *h)
{
    return h->view.round_no || (h->view.fresh.n && (!h->cluster || h->view.rolled_no <= h->retain_rolled_no));
}

enum tw_rc ch_retain(struct history *base, const struct history_retention *r, bool *ret_more,
                     struct tw_err *err)
{
    struct ch_history *h = (struct ch_history *)base;
    enum tw_rc rc;

    *ret_more = false;
    if (!h->in_txn)
        return tw_err_set(err, TW_EINVAL, "clickhouse: no transaction is open");
    if (!ch_may_maintain(h))
        return TW_OK;
    if (h->mutating)
        return wait_for_server(h, r, ret_more, err);
    rc = begin_retention(h, r, err);
    if (!rc)
        rc = list_partitions(h, r, err);
    for (size_t i = 0; i < h->txn_days.n && !rc; i++)
        rc = add_txn_day(h, h->txn_days.v[i], r, err);
    if (rc)
        return rc;
    if (waits_for_rollup(h) || (any_wanted(r) && is_behind(h))) {
        *ret_more = true;
        h->n_drops = 0; /* not with this transaction, if it ends before the round does */
        return ch_rollup_slice(h, r->now_ns, SLICE_ROWS, &(bool){ false }, err);
    }
    rc = delete_groups(h, r, err);
    *ret_more = !rc && h->mutating;
    return rc;
}
