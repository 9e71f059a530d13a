#include "db/sqlite/runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/loss_runs.h"

#define PREFIX "loss_run_"

enum { BEFORE = 1, AFTER = 2 }; /* column continues */

const char *runs_table(int64_t day, char buf[DAY_NAME])
{
    char summary[DAY_NAME];

    snprintf(buf, DAY_NAME, PREFIX "%.8s", strchr(day_name(day, summary), '_') + 1);
    return buf;
}

/* ---- Writing ---- */

/* The same run again, from an agent that sends what it has sent before, changes nothing. */
static enum tw_rc prepare_insert(struct sq *q, struct day_cache *c, int64_t day, sqlite3_stmt **ret,
                                 struct tw_err *err)
{
    char name[DAY_NAME], sql[400];
    enum tw_rc rc;

    if ((*ret = day_cache_find(c, day)))
        return TW_OK;
    snprintf(sql, sizeof sql,
             "CREATE TABLE IF NOT EXISTS %s (pair_id INTEGER NOT NULL, start_ns INTEGER NOT NULL, flow "
             "INTEGER NOT NULL,"
             " seq_first INTEGER NOT NULL, length_ns INTEGER NOT NULL, probes INTEGER NOT NULL,"
             " direction INTEGER NOT NULL, continues INTEGER NOT NULL,"
             " PRIMARY KEY (pair_id, start_ns, flow, seq_first)) STRICT, WITHOUT ROWID",
             runs_table(day, name));
    rc = sq_exec(q, sql, err);
    if (rc)
        return rc;
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO %s (pair_id, start_ns, flow, seq_first, length_ns, probes, direction, "
             "continues)"
             " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
             name);
    rc = sq_prepare(q, sql, ret, err);
    if (!rc)
        day_cache_put(c, day, *ret);
    return rc;
}

static enum tw_rc insert(struct sq *q, struct day_cache *c, const struct tw_summary *s,
                         const struct tw_loss_run *r, struct tw_err *err)
{
    sqlite3_stmt *st;
    struct sq_cur cur;
    enum tw_rc rc = prepare_insert(q, c, day_of(r->start_ns), &st, err);

    if (rc)
        return rc;
    sq_start_stmt(q, st, &cur);
    sq_put_i64(&cur, (int64_t)s->pair_id);
    sq_put_i64(&cur, r->start_ns);
    sq_put_i64(&cur, s->flow);
    sq_put_i64(&cur, r->seq_first);
    sq_put_i64(&cur, r->length_ns);
    sq_put_i64(&cur, (int64_t)r->probes);
    sq_put_i64(&cur, r->direction);
    sq_put_i64(&cur, (r->continues_before ? BEFORE : 0) | (r->continues_after ? AFTER : 0));
    return sq_run(&cur, err);
}

enum tw_rc runs_insert(struct sq *q, struct day_cache *c, const struct tw_summary *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < s->runs.n && !rc; i++)
        rc = insert(q, c, s, &s->runs.v[i], err);
    return rc;
}

/* What is in the file need not be what was put there. */
enum tw_rc runs_take(struct sq *q, struct sq_cur *cur, struct tw_loss_run *ret, struct tw_err *err)
{
    int64_t start = sq_take_i64(cur), flow = sq_take_i64(cur), seq = sq_take_i64(cur),
            length = sq_take_i64(cur);
    int64_t probes = sq_take_i64(cur), direction = sq_take_i64(cur), continues = sq_take_i64(cur);

    if (start < 0 || length < 0 || length > INT64_MAX - start || probes < 1 || flow < 0 ||
        flow > UINT32_MAX || seq < 0 || seq > UINT32_MAX || direction < 0 || direction >= TW_DIRECTION_COUNT)
        return tw_err_set(err, TW_ECORRUPT, "%s %s: a loss run at %lld ns is not valid", q->spec->what,
                          q->path, (long long)start);
    *ret = (struct tw_loss_run){ .start_ns = start,
                                 .length_ns = length,
                                 .probes = (uint64_t)probes,
                                 .seq_first = (uint32_t)seq,
                                 .flow = (uint32_t)flow,
                                 .direction = (enum tw_direction)direction,
                                 .continues_before = continues & BEFORE,
                                 .continues_after = continues & AFTER };
    return TW_OK;
}

/* ---- Chains ---- */

#define HOUR_NS (3600 * TW_NS_PER_S)
#define CHAIN_COLUMNS \
    "pair_id INTEGER NOT NULL, start_ns INTEGER NOT NULL, flow INTEGER NOT NULL, seq_first INTEGER NOT NULL," \
    " length_ns INTEGER NOT NULL, probes INTEGER NOT NULL, direction INTEGER NOT NULL, continues INTEGER NOT NULL," \
    " parts INTEGER NOT NULL, PRIMARY KEY (pair_id, start_ns, flow, seq_first)"

struct chain {
    struct tw_loss_run run;
    uint64_t pair_id, parts;
};

static int year_of_day(int64_t day)
{
    char name[DAY_NAME];
    int year = 1970;

    sscanf(day_name(day, name), "summary_%4d", &year);
    return year;
}

const char *runs_chain_table(int64_t day, char buf[DAY_NAME])
{
    snprintf(buf, DAY_NAME, "loss_chain_%04d", year_of_day(day));
    return buf;
}

static enum tw_rc put_chain(struct sq *q, sqlite3_stmt *st, const struct chain *c, struct tw_err *err)
{
    struct sq_cur cur;

    if (!c->parts)
        return TW_OK;
    sq_start_stmt(q, st, &cur);
    sq_put_i64(&cur, (int64_t)c->pair_id);
    sq_put_i64(&cur, c->run.start_ns);
    sq_put_i64(&cur, c->run.flow);
    sq_put_i64(&cur, c->run.seq_first);
    sq_put_i64(&cur, c->run.length_ns);
    sq_put_i64(&cur, (int64_t)c->run.probes);
    sq_put_i64(&cur, c->run.direction);
    sq_put_i64(&cur, (c->run.continues_before ? BEFORE : 0) | (c->run.continues_after ? AFTER : 0));
    sq_put_i64(&cur, (int64_t)c->parts);
    return sq_run(&cur, err);
}

/* One that cannot be read is left out: it is about to go. */
static enum tw_rc join_parts(struct sq *q, sqlite3_stmt *from, sqlite3_stmt *to, struct tw_err *err)
{
    struct chain c = { .parts = 0 };
    struct sq_cur cur;
    enum tw_rc rc;

    sq_start_stmt(q, from, &cur);
    while ((rc = sq_next(&cur, err)) == TW_OK) {
        uint64_t pair_id = (uint64_t)sq_take_i64(&cur);
        struct tw_err why = { 0 };
        struct tw_loss_run r;
        if (runs_take(q, &cur, &r, &why))
            continue;
        if (c.parts && c.pair_id == pair_id && c.run.start_ns / HOUR_NS == r.start_ns / HOUR_NS &&
            loss_run_continues(&c.run, &r)) {
            loss_run_join(&c.run, &r);
            c.parts++;
            continue;
        }
        rc = put_chain(q, to, &c, err);
        c = (struct chain){ r, pair_id, 1 };
        if (rc) {
            sq_end(&cur);
            return rc;
        }
    }
    return rc == TW_ENOENT ? put_chain(q, to, &c, err) : rc;
}

static enum tw_rc keep_chains(struct sq *q, int64_t day, struct tw_err *err)
{
    sqlite3_stmt *from = NULL, *to = NULL;
    int year = year_of_day(day);
    char name[DAY_NAME], sql[600];
    enum tw_rc rc;

    snprintf(sql, sizeof sql, "CREATE TABLE IF NOT EXISTS loss_chain_%04d (" CHAIN_COLUMNS ") STRICT, WITHOUT ROWID", year);
    rc = sq_exec(q, sql, err);
    snprintf(sql, sizeof sql,
             "SELECT pair_id, start_ns, flow, seq_first, length_ns, probes, direction, continues FROM %s"
             " WHERE continues != 0 ORDER BY pair_id, flow, start_ns, seq_first",
             runs_table(day, name));
    if (!rc)
        rc = sq_prepare(q, sql, &from, err);
    snprintf(sql, sizeof sql,
             "INSERT OR REPLACE INTO loss_chain_%04d (pair_id, start_ns, flow, seq_first, length_ns, probes,"
             " direction, continues, parts) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
             year);
    if (!rc)
        rc = sq_prepare(q, sql, &to, err);
    if (!rc)
        rc = join_parts(q, from, to, err);
    sqlite3_finalize(from);
    sqlite3_finalize(to);
    return rc;
}

enum tw_rc runs_drop_days(struct sq *q, struct day_cache *c, int64_t first_kept, struct tw_err *err)
{
    int64_t *days = NULL;
    size_t n = 0;
    enum tw_rc rc = day_list_of(q, RUNS_GLOB, DAY_MIN, first_kept - 1, &days, &n, err);

    for (size_t i = 0; i < n && !rc; i++) {
        char name[DAY_NAME], sql[DAY_NAME + 16] = "DROP TABLE ";
        day_cache_drop(c, days[i]);
        rc = keep_chains(q, days[i], err);
        if (!rc)
            rc = sq_exec(q, strcat(sql, runs_table(days[i], name)), err);
    }
    free(days);
    return rc;
}

enum tw_rc runs_years(struct sq *q, int *years, size_t *ret_n, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc = sq_prepare(
        q, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'loss_chain_[0-9][0-9][0-9][0-9]' ORDER BY name",
        &st, err);

    *ret_n = 0;
    if (rc)
        return rc;
    while (sqlite3_step(st) == SQLITE_ROW && *ret_n < RUNS_YEARS_MAX)
        *ret_n += sscanf((const char *)sqlite3_column_text(st, 0), "loss_chain_%4d", &years[*ret_n]) == 1;
    return sqlite3_finalize(st) == SQLITE_OK ? TW_OK : sq_fail(q, err);
}

enum tw_rc runs_drop_chains(struct sq *q, int64_t first_kept, struct tw_err *err)
{
    int years[RUNS_YEARS_MAX];
    size_t n = 0;
    enum tw_rc rc = runs_years(q, years, &n, err);

    for (size_t i = 0; i < n && !rc; i++) {
        char sql[40];
        if (years[i] >= year_of_day(first_kept))
            continue;
        snprintf(sql, sizeof sql, "DROP TABLE loss_chain_%04d", years[i]);
        rc = sq_exec(q, sql, err);
    }
    return rc;
}

/* ---- Reading ---- */

static enum tw_rc prepare_select(struct sq *q, struct day_cache *c, int64_t day, sqlite3_stmt **ret,
                                 struct tw_err *err)
{
    char name[DAY_NAME], sql[300];
    enum tw_rc rc;

    if ((*ret = day_cache_find(c, day)))
        return TW_OK;
    snprintf(sql, sizeof sql,
             "SELECT start_ns, flow, seq_first, length_ns, probes, direction, continues FROM %s"
             " WHERE pair_id = ? AND start_ns >= ? AND start_ns < ? ORDER BY start_ns, flow, seq_first",
             runs_table(day, name));
    rc = sq_prepare(q, sql, ret, err);
    if (!rc)
        day_cache_put(c, day, *ret);
    return rc;
}

enum tw_rc runs_read(struct sq *q, struct day_cache *c, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                     enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *r), void *ctx, struct tw_err *err)
{
    int64_t *days = NULL;
    size_t n = 0;
    enum tw_rc rc = day_list_of(q, RUNS_GLOB, day_of(from_ns), day_of(to_ns - 1), &days, &n, err);

    for (size_t i = 0; i < n && !rc; i++) {
        sqlite3_stmt *st;
        struct sq_cur cur;
        struct tw_loss_run r;
        rc = prepare_select(q, c, days[i], &st, err);
        if (rc)
            break;
        sq_start_stmt(q, st, &cur);
        sq_put_i64(&cur, (int64_t)pair_id);
        sq_put_i64(&cur, from_ns);
        sq_put_i64(&cur, to_ns);
        while ((rc = sq_next(&cur, err)) == TW_OK) {
            rc = runs_take(q, &cur, &r, err);
            if (!rc)
                rc = fn(ctx, &r);
            if (rc) {
                sq_end(&cur);
                break;
            }
        }
        rc = rc == TW_ENOENT ? TW_OK : rc;
    }
    free(days);
    return rc;
}

struct plain {
    enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *r, uint64_t parts);
    void *ctx;
};

static enum tw_rc hand_on(void *ctx, const struct tw_loss_run *r)
{
    const struct plain *p = ctx;

    return p->fn(p->ctx, r, 1);
}

static enum tw_rc read_year(struct sq *q, int year, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                            const struct plain *p, struct tw_err *err)
{
    sqlite3_stmt *st;
    struct sq_cur cur;
    char sql[300];
    enum tw_rc rc;

    snprintf(sql, sizeof sql,
             "SELECT start_ns, flow, seq_first, length_ns, probes, direction, continues, parts FROM loss_chain_%04d"
             " WHERE pair_id = ? AND start_ns >= ? AND start_ns < ? ORDER BY start_ns, flow, seq_first",
             year);
    rc = sq_prepare(q, sql, &st, err);
    if (rc)
        return rc;
    sq_start_stmt(q, st, &cur);
    sq_put_i64(&cur, (int64_t)pair_id);
    sq_put_i64(&cur, from_ns);
    sq_put_i64(&cur, to_ns);
    while ((rc = sq_next(&cur, err)) == TW_OK) {
        struct tw_loss_run r;
        rc = runs_take(q, &cur, &r, err);
        if (!rc)
            rc = p->fn(p->ctx, &r, (uint64_t)sq_take_i64(&cur));
        if (rc) {
            sq_end(&cur);
            break;
        }
    }
    sqlite3_finalize(st);
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc runs_read_chains(struct sq *q, struct day_cache *c, uint64_t pair_id, int64_t from_ns, int64_t to_ns,
                            enum tw_rc (*fn)(void *ctx, const struct tw_loss_run *r, uint64_t parts), void *ctx,
                            struct tw_err *err)
{
    struct plain p = { fn, ctx };
    int years[RUNS_YEARS_MAX], first = year_of_day(day_of(from_ns)), last = year_of_day(day_of(to_ns - 1));
    size_t n = 0;
    enum tw_rc rc = runs_years(q, years, &n, err);

    for (size_t i = 0; i < n && !rc; i++)
        if (years[i] >= first && years[i] <= last)
            rc = read_year(q, years[i], pair_id, from_ns, to_ns, &p, err);
    return rc ? rc : runs_read(q, c, pair_id, from_ns, to_ns, hand_on, &p, err);
}
