/* Roll-ups. A round takes all commits that are done and that no round took, of all writers, day by day, pairs
 * in order: what it finds is added to the cells that there are, and each goes back with the round's number
 * and with what it has (column `has`: all that rounds took so far). A cell that has the number already is
 * left alone, so a round that broke off is done again, with the same commits (table `round`), and counts
 * nothing twice, whoever does it. Merging is addition: it does not matter when a summary comes, nor that
 * those before it are gone.
 *
 * What is done later, be its number below others of its writer, is taken by the next round. Of copies
 * (ch_schema.h) the round takes one, and none if an earlier round took one. All copies of a summary start on
 * the same day, so they are in one slice; which commits a round takes does not change, so a round that is
 * done again finds the same.
 *
 * One controller at a time rolls up (history_conf.maintainer). One that was that, and stood still, does no
 * harm when it goes on: what it writes of a round that another one ended is below the number of the cells
 * there are, or the same, and of a round that it wanted to begin it writes nothing before it has asked again
 * whether it may. */
#include "db/clickhouse/ch_priv.h"
#include "common/grow.h"

#include <stdlib.h>
#include <string.h>

#define FAR_COMMITS 100000 /* nothing is done so much later than others of its writer */

/* A cell in the making. */
struct cell {
    int64_t cell_ns;
    uint64_t rows, whole;
    int64_t longest_ns;
    bool done; /* it needs nothing of this round */
    struct tw_summary merged;
};
struct cells {
    struct cell *v; /* by pair, flow, time */
    size_t n, cap;
};
struct slice {
    struct ch_history *h;
    int64_t day;
    uint64_t first_pair, last_pair;
    struct cells levels[STORE_LEVELS];
    struct tw_summary row;
    uint64_t rows, damaged;
    enum store_level level; /* that is being read */
    size_t at;
};

/* ---- Days ---- */

static size_t find_day(const struct ch_days *d, int64_t day)
{
    size_t i = d->n;

    while (i && d->v[i - 1] >= day)
        i--;
    return i;
}

static bool has_day(const struct ch_days *d, int64_t day)
{
    size_t i = find_day(d, day);

    return i < d->n && d->v[i] == day;
}

static enum tw_rc add_day(struct ch_days *d, int64_t day, struct tw_err *err)
{
    size_t i = find_day(d, day);

    if (i < d->n && d->v[i] == day)
        return TW_OK;
    if (!TW_GROW(&d->v, d->n, &d->cap, 16))
        return ch_no_memory(err);
    memmove(d->v + i + 1, d->v + i, (d->n++ - i) * sizeof *d->v);
    d->v[i] = day;
    return TW_OK;
}

enum tw_rc ch_rollup_note(struct ch_history *h, int64_t start_ns, int64_t received_ns, struct tw_err *err)
{
    if (!h->fresh_since_ns)
        h->fresh_since_ns = received_ns;
    return add_day(&h->txn_days, start_ns / CH_DAY_NS, err);
}

bool ch_rollup_waits(const struct ch_history *h, int64_t day)
{
    return !h->days_known || has_day(&h->days, day) || (h->view.round_no && has_day(&h->round, day));
}

void ch_rollup_committed(struct ch_history *h)
{
    struct tw_err err = { 0 };

    if (ch_commits_add(&h->noted, h->writer, h->txn, h->txn))
        h->days_known = false;
    for (size_t i = 0; i < h->txn_days.n; i++)
        if (add_day(&h->days, h->txn_days.v[i], &err))
            h->days_known = false; /* it is looked for */
}

struct waiting {
    struct ch_days *days;
    uint64_t rows;
};

static enum tw_rc take_waiting(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct waiting *to = ctx;
    int64_t day = ch_get_i64(row);

    to->rows += (uint64_t)ch_get_i64(row);
    return add_day(to->days, day, err);
}

/* The days of what came by those commits, and how many summaries they have. */
static enum tw_rc load_days(struct ch_history *h, const struct ch_commits *c, struct ch_days *ret,
                            uint64_t *ret_rows, struct tw_err *err)
{
    static const enum ch_type types[] = { CH_I64, CH_I64 };
    struct waiting to = { .days = ret };
    enum tw_rc rc;

    if (!c->n)
        return TW_OK;
    ch_sql_begin(&h->db.sql,
                 "SELECT " CH_ROW_MARK
                 ", intDiv(start_ns, 86400000000000) AS day, toInt64(count()) FROM %s.summary WHERE 1",
                 h->db.name);
    ch_commits_where(&h->db.sql, c);
    ch_sql_add(&h->db.sql, " GROUP BY day ORDER BY day");
    rc = ch_db_select(&h->db, types, TW_NELEM(types), take_waiting, &to, err);
    *ret_rows = to.rows;
    return rc;
}

static enum tw_rc read_view(void *ctx, struct tw_err *err)
{
    struct ch_history *h = ctx;

    return ch_view_load(h->db.http, h->db.name, ch_http_bit(CH_SUMMARY) | CH_CELLS, &h->view, err);
}

/* What a round is built on. */
static enum tw_rc load_view(struct ch_history *h, struct tw_err *err)
{
    return ch_db_load_settled(&h->db, ch_http_bit(CH_ROUND) | ch_http_bit(CH_CURSOR), read_view, h, err);
}

/* Are the days of all of them in h->days? Not of what others wrote, nor of what was found not to be done, and
 * is after all. */
static enum tw_rc know_days(const struct ch_history *h, const struct ch_commits *c, bool *ret,
                            struct tw_err *err)
{
    struct ch_commits rest = { 0 };
    enum tw_rc rc = ch_commits_add_rest(&rest, c, &h->noted);

    *ret = h->days_known && !rest.n;
    ch_commits_free(&rest);
    return rc ? ch_no_memory(err) : TW_OK;
}

/* Those of what waits behind the round under way, if one is. */
static enum tw_rc find_days(struct ch_history *h, const struct ch_commits *waits, struct tw_err *err)
{
    uint64_t rows = 0;
    bool known;
    enum tw_rc rc = know_days(h, waits, &known, err);

    if (rc || known)
        return rc;
    h->days.n = 0;
    rc = load_days(h, waits, &h->days, &rows, err);
    h->days_known = !rc;
    h->stats.rollup_waiting = rows + (h->view.round_no ? h->round_rows : 0);
    return rc;
}

enum tw_rc ch_rollup_look(struct ch_history *h, struct tw_err *err)
{
    struct ch_view now = { .round_no = 0 };
    struct ch_commits behind = { 0 };
    enum tw_rc rc = ch_view_load(h->db.http, h->db.name, ch_http_bit(CH_SUMMARY), &now, err);

    if (!rc && h->view.round_no) {
        rc = ch_commits_add_rest(&behind, &now.fresh, &h->view.round) ? ch_no_memory(err)
                                                                      : find_days(h, &behind, err);
    } else if (!rc) {
        struct ch_view old = h->view;
        h->view = now;
        h->view.round_no = 0; /* none that we have under way */
        now = old;
        rc = find_days(h, &h->view.fresh, err);
    }
    ch_commits_free(&behind);
    ch_view_free(&now);
    return rc;
}

/* ---- Who does it ---- */

static int64_t lease(const struct ch_history *h)
{
    return h->maintainer ? h->maintainer(h->maintainer_ctx) : 1;
}

bool ch_may_maintain(const struct ch_history *h)
{
    return lease(h) != 0;
}

static enum tw_rc lost_lease(struct tw_err *err)
{
    return tw_err_set(err, TW_EBUSY, "clickhouse: another controller rolls up now");
}

/* A round may be under way that somebody else began: it is ours from now on. */
static enum tw_rc begin_term(struct ch_history *h, struct tw_err *err)
{
    int64_t now = lease(h), term;
    enum tw_rc rc;

    if (!now)
        return lost_lease(err);
    if (h->term && h->lease == now)
        return TW_OK;
    h->term = 0;
    term = h->view.term + 2;
    rc = ch_round_put(h->db.http, h->db.name, CH_ROUND_TERM, NULL, 0, ch_round_ver(term - 1, 0), err);
    if (!rc && lease(h) != now)
        rc = lost_lease(err);
    if (!rc && h->view.round_no)
        rc = ch_round_put(h->db.http, h->db.name, CH_ROUND_UNDERWAY, &h->view.round, h->view.round_no,
                          ch_round_ver(term, h->view.round_no), err);
    if (rc)
        return rc;
    h->term = term;
    h->lease = now;
    return TW_OK;
}

enum tw_rc ch_rollup_open(struct ch_history *h, struct tw_err *err)
{
    h->term = h->view.round_no = 0;
    h->days_known = false;
    return ch_rollup_look(h, err);
}

void ch_rollup_close(struct ch_history *h)
{
    free(h->days.v);
    free(h->txn_days.v);
    free(h->round.v);
    ch_view_free(&h->view);
    ch_commits_free(&h->noted);
    ch_buf_free(&h->has);
}

/* ---- What is carried in ---- */

enum tw_rc ch_rollup_reached(struct ch_history *h, struct tw_err *err)
{
    enum tw_rc rc = load_view(h, err);

    if (!rc)
        rc = ch_round_put(h->db.http, h->db.name, CH_ROUND_DONE, &h->view.done, h->view.last_no + 1,
                          h->view.last_no + 1, err);
    return rc ? rc : ch_rollup_look(h, err);
}

void ch_rollup_put_has(const struct ch_history *h, struct ch_buf *to)
{
    ch_commits_put(to, &h->view.rolled);
}

/* ---- Making cells ---- */

static enum tw_rc new_cell(struct cells *c, struct cell **ret, struct tw_err *err)
{
    if (!TW_GROW(&c->v, c->n, &c->cap, 64))
        return ch_no_memory(err);
    *ret = &c->v[c->n++];
    **ret = (struct cell){ .rows = 0 };
    summary_init(&(*ret)->merged);
    return TW_OK;
}

static void free_cells(struct slice *s)
{
    for (int l = 0; l < STORE_LEVELS; l++) {
        for (size_t i = 0; i < s->levels[l].n; i++)
            summary_free(&s->levels[l].v[i].merged);
        free(s->levels[l].v);
    }
    summary_free(&s->row);
}

static enum tw_rc add_to_level(struct slice *s, enum store_level l, struct tw_err *err)
{
    struct cells *c = &s->levels[l];
    struct cell *at = c->n ? &c->v[c->n - 1] : NULL;
    int64_t cell_ns = level_cell(l, s->row.start_ns), length = s->row.end_ns - s->row.start_ns;
    enum tw_rc rc = TW_OK;

    if (!at || at->cell_ns != cell_ns || at->merged.pair_id != s->row.pair_id ||
        at->merged.flow != s->row.flow)
        rc = new_cell(c, &at, err);
    if (rc)
        return rc;
    at->cell_ns = cell_ns;
    summary_merge(&at->merged, &s->row);
    at->rows++;
    at->whole += s->row.start_ns % length == 0;
    if (length > at->longest_ns)
        at->longest_ns = length;
    return TW_OK;
}

/* In order of pair, flow, time. One that cannot be read is left out. */
static enum tw_rc take_row(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct slice *s = ctx;
    struct tw_err why = { 0 };
    enum tw_rc rc = ch_row_take(row, &s->row, &why);

    if (rc == TW_ECORRUPT) {
        s->damaged++;
        row->p = row->end;
        return TW_OK;
    }
    if (rc)
        return tw_err_set(err, rc, "%.200s", why.text);
    s->rows++;
    for (enum store_level l = level_for(s->row.end_ns - s->row.start_ns); l < STORE_LEVELS && !rc; l++)
        rc = add_to_level(s, l, err);
    return rc;
}

static void add_day_and_pairs(struct ch_history *h, int64_t day)
{
    ch_sql_add(&h->db.sql, " AND start_ns >= %lld AND start_ns < %lld AND pair_id >= %lld",
               (long long)(day * CH_DAY_NS), (long long)((day + 1) * CH_DAY_NS), (long long)h->next_pair);
}

/* " FROM summary ..." of what the round has of the day. */
static void add_source(struct ch_history *h, int64_t day)
{
    ch_sql_add(&h->db.sql, " FROM %s.summary FINAL WHERE test_id = 0", h->db.name);
    add_day_and_pairs(h, day);
    ch_commits_where(&h->db.sql, &h->view.round);
}

/* Slices end between pairs. */
static enum tw_rc find_last_pair(struct slice *s, size_t max_rows, struct tw_err *err)
{
    struct ch_history *h = s->h;
    int64_t pair;
    enum tw_rc rc;

    ch_sql_begin(&h->db.sql, "SELECT " CH_ROW_MARK ", pair_id");
    add_source(h, s->day);
    ch_sql_add(&h->db.sql, " ORDER BY pair_id LIMIT %zu, 1 FORMAT RowBinary", max_rows);
    rc = ch_get_numbers(h->db.http, &h->db.sql, &pair, 1, err);
    if (rc && rc != TW_ENOENT)
        return rc;
    s->last_pair = rc ? INT64_MAX : (uint64_t)pair;
    return TW_OK;
}

static enum tw_rc read_rows(struct slice *s, struct tw_err *err)
{
    struct ch_history *h = s->h;
    enum ch_type types[ROW_MAX];

    ch_sql_begin(&h->db.sql, "SELECT " CH_ROW_MARK ", %s", ch_row_names());
    add_source(h, s->day);
    ch_sql_add(&h->db.sql, " AND pair_id <= %lld", (long long)s->last_pair);
    if (ch_view_copies(&h->view)) {
        ch_db_begin_no_copy(&h->db, &h->view.rolled);
        add_day_and_pairs(h, s->day);
        ch_sql_add(&h->db.sql, " AND pair_id <= %lld)", (long long)s->last_pair);
    }
    ch_sql_add(&h->db.sql, " ORDER BY pair_id, flow, start_ns");
    if (ch_view_copies(&h->view))
        ch_sql_add(&h->db.sql, " LIMIT 1 BY " CH_SUMMARY_KEY);
    return ch_db_select(&h->db, types, ch_row_types(types, 0), take_row, s, err);
}

/* ---- Cells that there are ---- */

static int compare(const struct cell *c, uint64_t pair_id, uint32_t flow, int64_t cell_ns)
{
    if (c->merged.pair_id != pair_id)
        return c->merged.pair_id < pair_id ? -1 : 1;
    if (c->merged.flow != flow)
        return c->merged.flow < flow ? -1 : 1;
    return (c->cell_ns > cell_ns) - (c->cell_ns < cell_ns);
}

static void join(struct cell *to, struct cell *stored, struct tw_summary *merged)
{
    struct tw_summary both = *merged;

    summary_merge(&both, &to->merged);
    *merged = to->merged; /* its memory is used again */
    to->merged = both;
    to->rows += stored->rows;
    to->whole += stored->whole;
    if (stored->longest_ns > to->longest_ns)
        to->longest_ns = stored->longest_ns;
}

/* A replica may have it and no other one, and lose it: it is written once more as it is. */
static void take_over(struct cell *to, const struct cell *stored, struct tw_summary *merged)
{
    struct tw_summary made = to->merged;

    to->merged = *merged;
    *merged = made; /* its memory is used again */
    to->rows = stored->rows;
    to->whole = stored->whole;
    to->longest_ns = stored->longest_ns;
}

/* In order, too. */
static enum tw_rc take_stored(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct slice *s = ctx;
    struct cells *c = &s->levels[s->level];
    struct cell stored = { .cell_ns = ch_get_i64(row) };
    struct tw_err why = { 0 };
    int64_t txn;
    enum tw_rc rc;

    stored.rows = (uint64_t)ch_get_i64(row);
    stored.whole = (uint64_t)ch_get_i64(row);
    stored.longest_ns = ch_get_i64(row);
    txn = ch_get_i64(row);
    rc = ch_row_take(row, &s->row, &why);
    if (rc && rc != TW_ECORRUPT)
        return tw_err_set(err, rc, "%.200s", why.text);
    row->p = row->end;
    while (s->at < c->n && compare(&c->v[s->at], s->row.pair_id, s->row.flow, stored.cell_ns) < 0)
        s->at++;
    if (s->at == c->n || compare(&c->v[s->at], s->row.pair_id, s->row.flow, stored.cell_ns))
        return TW_OK;
    s->damaged += rc != TW_OK;
    if (!rc && txn == s->h->view.round_no && s->h->db.hosts)
        take_over(&c->v[s->at], &stored, &s->row);
    else if (rc || txn >= s->h->view.round_no)
        c->v[s->at].done = true;
    else
        join(&c->v[s->at], &stored, &s->row);
    return TW_OK;
}

static enum tw_rc read_stored(struct slice *s, struct tw_err *err)
{
    static const enum ch_type own[] = { CH_I64, CH_I64, CH_I64, CH_I64, CH_I64 };
    struct ch_history *h = s->h;
    const struct cells *c = &s->levels[s->level];
    int64_t first = INT64_MAX, last = INT64_MIN;
    enum ch_type types[TW_NELEM(own) + ROW_MAX];

    for (size_t i = 0; i < c->n; i++) {
        first = c->v[i].cell_ns < first ? c->v[i].cell_ns : first;
        last = c->v[i].cell_ns > last ? c->v[i].cell_ns : last;
    }
    memcpy(types, own, sizeof own);
    s->at = 0;
    ch_sql_begin(&h->db.sql,
                 "SELECT " CH_ROW_MARK
                 ", cell_ns, n_rows, n_whole, longest_ns, toInt64(txn), %s FROM %s.%s FINAL",
                 ch_row_names(), h->db.name, ch_level_tables[s->level]);
    ch_sql_add(&h->db.sql,
               " WHERE pair_id >= %lld AND pair_id <= %lld AND cell_ns >= %lld AND cell_ns <= %lld ORDER BY "
               "pair_id, flow, cell_ns",
               (long long)c->v[0].merged.pair_id, (long long)c->v[c->n - 1].merged.pair_id, (long long)first,
               (long long)last);
    return ch_db_select(&h->db, types, ch_row_types(types, TW_NELEM(own)), take_stored, s, err);
}

/* ---- Writing them ---- */

static enum tw_rc put_cells(struct slice *s, struct ch_buf *b, uint64_t *ret_n, struct tw_err *err)
{
    const struct cells *c = &s->levels[s->level];
    enum tw_rc rc = TW_OK;

    *ret_n = 0;
    for (size_t i = 0; i < c->n && !rc; i++) {
        if (c->v[i].done)
            continue;
        ch_put_i64(b, c->v[i].cell_ns);
        ch_put_i64(b, (int64_t)c->v[i].rows);
        ch_put_i64(b, (int64_t)c->v[i].whole);
        ch_put_i64(b, c->v[i].longest_ns);
        ch_put_i64(b, s->h->view.round_no);
        ch_put_octets(b, s->h->has.p, s->h->has.len);
        rc = ch_row_put(b, &c->v[i].merged, false);
        ++*ret_n;
    }
    return rc ? tw_err_set(err, rc, "clickhouse: a cell cannot be encoded") : TW_OK;
}

static enum tw_rc write_level(struct slice *s, struct tw_err *err)
{
    struct ch_history *h = s->h;
    struct ch_buf b = { 0 };
    uint64_t n;
    enum tw_rc rc = read_stored(s, err);

    if (!rc)
        rc = put_cells(s, &b, &n, err);
    if (!rc) {
        ch_sql_begin(
            &h->db.sql,
            "INSERT INTO %s.%s (cell_ns, n_rows, n_whole, longest_ns, txn, has, %s) FORMAT RowBinary",
            h->db.name, ch_level_tables[s->level], ch_row_names());
        rc = ch_sql_text(&h->db.sql) ? ch_http_insert(h->db.http, ch_sql_text(&h->db.sql), b.p, b.len, err)
                                     : ch_no_memory(err);
    }
    if (!rc)
        h->stats.rollup_cells += n;
    ch_buf_free(&b);
    return rc;
}

static enum tw_rc write_cells(struct slice *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (s->level = STORE_1MIN; s->level < STORE_LEVELS && !rc; s->level++)
        if (s->levels[s->level].n)
            rc = write_level(s, err);
    return rc;
}

/* ---- Rounds ---- */

/* What cells have with the round: `view.rolled` and `view.round`. */
static enum tw_rc sum_up(struct ch_history *h, struct ch_commits *ret, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < h->view.rolled.n && !rc; i++)
        rc = ch_commits_add(ret, h->view.rolled.v[i].writer, h->view.rolled.v[i].first,
                            h->view.rolled.v[i].last);
    for (size_t i = 0; i < h->view.round.n && !rc; i++)
        rc =
            ch_commits_add(ret, h->view.round.v[i].writer, h->view.round.v[i].first, h->view.round.v[i].last);
    if (rc)
        return ch_no_memory(err);
    ch_commits_close_holes(ret, FAR_COMMITS);
    return TW_OK;
}

static enum tw_rc make_has(struct ch_history *h, struct tw_err *err)
{
    struct ch_commits all = { 0 };
    enum tw_rc rc = sum_up(h, &all, err);

    ch_buf_reset(&h->has);
    if (!rc) {
        ch_commits_put(&h->has, &all);
        rc = h->has.bad ? ch_no_memory(err) : TW_OK;
    }
    ch_commits_free(&all);
    return rc;
}

/* All that is fresh. */
static enum tw_rc new_round(struct ch_history *h, struct tw_err *err)
{
    struct ch_view *v = &h->view;
    enum tw_rc rc = find_days(h, &v->fresh, err);

    ch_commits_clear(&v->round);
    for (size_t i = 0; i < v->fresh.n && !rc; i++)
        rc = ch_commits_add(&v->round, v->fresh.v[i].writer, v->fresh.v[i].first, v->fresh.v[i].last);
    for (size_t i = 0; i < h->days.n && !rc; i++)
        rc = add_day(&h->round, h->days.v[i], err);
    if (!rc)
        rc = ch_round_put(h->db.http, h->db.name, CH_ROUND_UNDERWAY, &v->round, v->last_no + 1,
                          ch_round_ver(h->term, v->last_no + 1), err);
    if (rc)
        return rc;
    v->round_no = v->last_no + 1;
    h->days.n = 0;
    h->round_rows = h->stats.rollup_waiting;
    return TW_OK;
}

/* One that broke off. Days behind it are looked for when it ended. */
static enum tw_rc old_round(struct ch_history *h, struct tw_err *err)
{
    h->days_known = false;
    h->days.n = 0;
    h->looked_ns = 0;
    return load_days(h, &h->view.round, &h->round, &h->round_rows, err);
}

static enum tw_rc begin_round(struct ch_history *h, int64_t now_ns, struct tw_err *err)
{
    enum tw_rc rc = h->in_txn ? TW_OK : ch_be_certain(h, err);

    if (!rc)
        rc = load_view(h, err);
    if (!rc)
        rc = begin_term(h, err);
    if (rc)
        return rc;
    h->round.n = 0;
    h->next_pair = 0;
    h->looked_ns = now_ns;
    if (!h->view.round_no && !h->view.fresh.n) {
        h->stats.rollup_waiting = h->days.n = 0;
        h->days_known = true;
        return TW_OK;
    }
    rc = h->view.round_no ? old_round(h, err) : new_round(h, err);
    if (!rc)
        rc = make_has(h, err);
    if (!rc && lease(h) != h->lease)
        rc = lost_lease(err);
    h->fresh_since_ns = 0;
    return rc;
}

/* Begins anew where it is known to be. */
static void give_up_round(struct ch_history *h)
{
    h->view.round_no = h->looked_ns = 0;
    h->days_known = false;
}

static enum tw_rc end_round(struct ch_history *h, struct tw_err *err)
{
    struct ch_commits all = { 0 };
    uint64_t *waiting = &h->stats.rollup_waiting;
    enum tw_rc rc = sum_up(h, &all, err);

    if (!rc)
        rc = ch_round_put(h->db.http, h->db.name, CH_ROUND_DONE, &all, h->view.round_no, h->view.round_no,
                          err);
    ch_commits_free(&all);
    if (rc)
        return rc;
    h->view.rolled_no = h->view.round_no;
    h->view.round_no = 0;
    *waiting -= h->round_rows < *waiting ? h->round_rows : *waiting;
    if (h->days_known)
        return TW_OK;
    return ch_rollup_look(h, err);
}

static enum tw_rc run_slice(struct ch_history *h, size_t max_rows, struct tw_err *err)
{
    struct slice s = { .h = h, .day = h->round.v[0] };
    enum tw_rc rc;

    summary_init(&s.row);
    rc = find_last_pair(&s, max_rows, err);
    if (!rc)
        rc = read_rows(&s, err);
    if (!rc)
        rc = write_cells(&s, err);
    free_cells(&s);
    if (rc)
        return rc;
    h->stats.rollup_rows += s.rows;
    h->stats.rollup_damaged += s.damaged;
    h->stats.rollup_slices++;
    if (s.last_pair < INT64_MAX) {
        h->next_pair = (int64_t)s.last_pair + 1;
        return TW_OK;
    }
    h->next_pair = 0;
    memmove(h->round.v, h->round.v + 1, --h->round.n * sizeof *h->round.v);
    return TW_OK;
}

enum tw_rc ch_rollup_slice(struct ch_history *h, int64_t now_ns, size_t max_rows, bool *ret_more,
                           struct tw_err *err)
{
    enum tw_rc rc = h->view.round_no ? TW_OK : begin_round(h, now_ns, err);

    if (!rc && h->view.round_no && h->round.n)
        rc = run_slice(h, max_rows, err);
    if (!rc && h->view.round_no && !h->round.n)
        rc = end_round(h, err);
    if (rc)
        give_up_round(h);
    *ret_more = !rc && h->view.round_no;
    return rc;
}

/* What others wrote is not known before it is looked for. */
static bool is_due(const struct ch_history *h, int64_t now_ns)
{
    struct level_day d = { .last = (int64_t)h->stats.rollup_waiting, .looked_ns = h->looked_ns };

    if (!d.last && h->cluster)
        d.last = 1;
    return h->view.round_no || level_is_due(&d, now_ns);
}

enum tw_rc ch_rollup(struct history *base, int64_t now_ns, size_t max_rows, bool *ret_more,
                     struct tw_err *err)
{
    struct ch_history *h = (struct ch_history *)base;
    enum tw_rc rc;

    *ret_more = false;
    if (!ch_may_maintain(h)) {
        give_up_round(h);
        h->stats.rollup_waiting = 0; /* that is told by who does it */
        return TW_OK;
    }
    rc = h->in_txn ? TW_OK : ch_be_open(h, err);
    if (rc || !is_due(h, now_ns))
        return rc;
    rc = ch_rollup_slice(h, now_ns, max_rows, ret_more, err);
    if (rc == TW_EBUSY && lease(h) != h->lease)
        rc = TW_OK; /* it went to another one meanwhile */
    *ret_more = *ret_more || (!rc && is_due(h, now_ns));
    return rc;
}
