/* What must hold in a database, beyond what SQLite itself looks after. All of it is of one moment. */
#include "db/backup.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/sqlite/cells.h"
#include "db/store_priv.h"

struct checking {
    struct sq *q;
    const struct store_progress *progress;
    void (*fn)(void *ctx, const struct store_checked *c);
    void *ctx;
    struct store_checked now;
    uint64_t problems;    /* of the check at hand: only the first is told */
    uint64_t done, total; /* tables, some of them several times */
    bool stopped;
    int64_t *days;
    size_t n_days;
    struct cells_part *parts;
    size_t n_parts;
    int64_t kept_ns[STORE_LEVELS]; /* from here on all meshes have all of the level */
};

__attribute__((format(printf, 2, 3))) static void problem(struct checking *k, const char *fmt, ...)
{
    va_list ap;

    k->now.ok = false;
    if (k->problems++)
        return;
    va_start(ap, fmt);
    vsnprintf(k->now.text, sizeof k->now.text, fmt, ap);
    va_end(ap);
}

static enum tw_rc get(struct checking *k, int64_t *ret, struct tw_err *err, const char *sql)
{
    return sq_get_int(k->q, sql, ret, err);
}

/* ---- SQLite's own ------------------------------------------------------------------------------- */

static enum tw_rc check_integrity(struct checking *k, struct tw_err *err)
{
    sqlite3_stmt *st;
    int64_t pages = 0;
    int code;
    enum tw_rc rc = get(k, &pages, err, "PRAGMA page_count");

    if (!rc)
        rc = sq_prepare(k->q, "PRAGMA integrity_check(20)", &st, err);
    if (rc)
        return rc;
    k->now.looked_at = (uint64_t)pages;
    while ((code = sqlite3_step(st)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(st, 0);
        if (text && strcmp(text, "ok") != 0)
            problem(k, "%.200s", text);
    }
    if (sqlite3_finalize(st) != SQLITE_OK && code != SQLITE_INTERRUPT)
        problem(k, "%.200s", sqlite3_errmsg(k->q->db));
    return TW_OK;
}

static enum tw_rc check_references(struct checking *k, struct tw_err *err)
{
    int64_t n = 0;
    enum tw_rc rc = get(k, &n, err, "SELECT count(*) FROM pragma_foreign_key_check");

    k->now.looked_at = 1;
    if (!rc && n)
        problem(k, "%lld rows refer to something that is not there", (long long)n);
    return rc;
}

/* ---- Ours --------------------------------------------------------------------------------------- */

static enum tw_rc check_latest_day(struct checking *k, int64_t day, struct tw_err *err)
{
    char name[DAY_NAME], sql[400];
    int64_t n = 0;
    enum tw_rc rc;

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM latest AS l LEFT JOIN %s AS s ON s.rowid = l.row WHERE l.day = %lld AND "
             "(s.pair_id IS"
             " NOT l.pair_id OR s.flow IS NOT l.flow OR s.start_ns IS NOT l.start_ns)",
             day_name(day, name), (long long)day);
    rc = get(k, &n, err, sql);
    if (!rc && n)
        problem(k, "%lld flows have no summary, or a wrong one, in %s", (long long)n, name);
    return rc;
}

static enum tw_rc check_latest(struct checking *k, struct tw_err *err)
{
    int64_t n = 0, known = 0;
    enum tw_rc rc = get(k, &n, err, "SELECT count(*) FROM latest");

    for (size_t i = 0; i < k->n_days && !rc && !k->stopped; i++) {
        char sql[100];
        int64_t of_day = 0;
        snprintf(sql, sizeof sql, "SELECT count(*) FROM latest WHERE day = %lld", (long long)k->days[i]);
        rc = get(k, &of_day, err, sql);
        known += of_day;
        if (!rc && of_day)
            rc = check_latest_day(k, k->days[i], err);
    }
    k->now.looked_at = (uint64_t)n;
    if (!rc && !k->stopped && known != n)
        problem(k, "%lld flows have their newest summary in a day that is not there", (long long)(n - known));
    return rc;
}

static enum tw_rc check_pairs(struct checking *k, struct tw_err *err)
{
    int64_t n = 0, all = 0;
    enum tw_rc rc = get(k, &all, err, "SELECT count(*) FROM pair");

    if (!rc)
        rc = get(k, &n, err,
                 "SELECT count(DISTINCT pair_id) FROM latest WHERE pair_id NOT IN (SELECT id FROM pair)");
    k->now.looked_at = (uint64_t)all;
    if (!rc && n)
        problem(k, "%lld pairs have summaries, but no names", (long long)n);
    return rc;
}

/* Stretches of a spool that are stored beyond its cursor: each after a hole, apart from each other. */
#define ODD_STRETCHES                                                                              \
    "SELECT count(*) FROM cursor_ahead AS a LEFT JOIN cursor AS c USING (agent_id, spool_id)"      \
    " WHERE c.through_seq IS NULL OR a.first_seq <= c.through_seq + 1 OR a.last_seq < a.first_seq" \
    " OR EXISTS (SELECT 1 FROM cursor_ahead AS b WHERE b.agent_id = a.agent_id AND b.spool_id ="   \
    " a.spool_id AND b.first_seq > a.first_seq AND b.first_seq <= a.last_seq + 1)"
#define MOST_STRETCHES \
    "SELECT ifnull(max(n), 0) FROM (SELECT count(*) AS n FROM cursor_ahead GROUP BY agent_id, spool_id)"

static enum tw_rc check_cursors(struct checking *k, struct tw_err *err)
{
    int64_t all = 0, none = 0, odd = 0, most = 0;
    enum tw_rc rc = get(k, &all, err, "SELECT count(*) FROM cursor");

    if (!rc)
        rc =
            get(k, &none, err, "SELECT count(*) FROM cursor WHERE through_seq < 1 OR length(spool_id) <> 16");
    if (!rc)
        rc = get(k, &odd, err, ODD_STRETCHES);
    if (!rc)
        rc = get(k, &most, err, MOST_STRETCHES);
    k->now.looked_at = (uint64_t)all;
    if (!rc && none)
        problem(k, "%lld spools are stored up to no number", (long long)none);
    if (!rc && odd)
        problem(k, "%lld stretches beyond a cursor belong to no hole after it", (long long)odd);
    if (!rc && most > SEQSET_MAX)
        problem(k, "%lld stretches beyond one cursor, where %d is the most", (long long)most, SEQSET_MAX);
    return rc;
}

static enum tw_rc check_day_state(struct checking *k, int64_t day, struct tw_err *err)
{
    char name[DAY_NAME], sql[300];
    int64_t n = 0;
    enum tw_rc rc;

    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM rollup_day WHERE day = %lld AND through >= 0 AND through <= until AND "
             "until <= last"
             " AND last = (SELECT ifnull(max(rowid), 0) FROM %s)",
             (long long)day, day_name(day, name));
    rc = get(k, &n, err, sql);
    if (!rc && n != 1)
        problem(k, "how far %s is rolled up is not known", name);
    return rc;
}

static enum tw_rc check_progress(struct checking *k, struct tw_err *err)
{
    int64_t n = 0;
    enum tw_rc rc = get(k, &n, err, "SELECT count(*) FROM rollup_day");

    for (size_t i = 0; i < k->n_days && !rc && !k->stopped; i++)
        rc = check_day_state(k, k->days[i], err);
    k->now.looked_at = k->n_days;
    if (!rc && !k->stopped && (size_t)n != k->n_days)
        problem(k, "%lld days are noted as rolled up, %zu are there", (long long)n, k->n_days);
    return rc;
}

static enum tw_rc check_rows_of(struct checking *k, sqlite3_stmt *st, struct tw_summary *scratch,
                                struct tw_err *err)
{
    struct tw_err why = { 0 };
    struct sq_cur c;
    enum tw_rc rc;

    sq_start_stmt(k->q, st, &c);
    while (!k->stopped && (rc = sq_next(&c, err)) == TW_OK) {
        k->now.looked_at++;
        if (row_take(&c, scratch, 0, &why))
            problem(k, "%.200s", why.text);
    }
    if (!k->stopped && rc != TW_ENOENT)
        return rc;
    sq_end(&c);
    return TW_OK;
}

/* Octet for octet what was written: each has a digest. */
static enum tw_rc check_rows(struct checking *k, struct tw_err *err)
{
    struct day_cache cache = { 0 };
    struct tw_summary scratch;
    enum tw_rc rc = TW_OK;

    summary_init(&scratch);
    for (size_t i = 0; i < k->n_days && !rc && !k->stopped; i++) {
        sqlite3_stmt *st;
        rc = day_select(k->q, &cache, k->days[i], 0, "", &st, err);
        if (!rc)
            rc = check_rows_of(k, st, &scratch, err);
        if (k->stopped)
            rc = TW_OK;
    }
    day_cache_clear(&cache);
    summary_free(&scratch);
    return rc;
}

/* ---- Cells against summaries: sums of a day, level by level ---- */

#define SUMS 5
#define SUM_COLUMNS "sent), sum(received), sum(lost_forward + lost_backward + lost_unknown), sum(late"

struct sums {
    int64_t v[SUMS];
};

static enum tw_rc take_sums(struct checking *k, char *sql, struct sums *into, size_t n, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc = sql ? sq_prepare(k->q, sql, &st, err) : TW_ENOMEM;

    sqlite3_free(sql);
    if (rc)
        return rc;
    if (sqlite3_step(st) == SQLITE_ROW)
        for (size_t i = 0; i < n * SUMS; i++)
            into[i / SUMS].v[i % SUMS] += sqlite3_column_int64(st, (int)i);
    return sqlite3_finalize(st) == SQLITE_OK || k->stopped ? TW_OK : sq_fail(k->q, err);
}

/* Of what is rolled up, for each level that which is short enough for it. */
static enum tw_rc sum_day(struct checking *k, int64_t day, struct sums ret[STORE_LEVELS], struct tw_err *err)
{
    char name[DAY_NAME];
    bool have[ROW_MAX], any, tests = false;
    sqlite3_str *sql = sqlite3_str_new(k->q->db);
    enum tw_rc rc = day_columns(k->q, day_name(day, name), have, &any, err);

    for (size_t i = 0; i < row_cols_n; i++)
        tests |= have[i] && !strcmp(row_cols[i].name, "test_id");
    sqlite3_str_appendf(sql, "SELECT ");
    for (int l = STORE_1MIN; l < STORE_LEVELS; l++) {
        char fits[80];
        snprintf(fits, sizeof fits, "(%s end_ns - start_ns < %lld)", l == STORE_1D ? "1 OR" : "",
                 (long long)store_level_ns((enum store_level)l));
        sqlite3_str_appendf(sql,
                            "%stotal(%s), total(%s * sent), total(%s * received), total(%s * (lost_forward +"
                            " lost_backward + lost_unknown)), total(%s * late)",
                            l > STORE_1MIN ? ", " : "", fits, fits, fits, fits, fits);
    }
    sqlite3_str_appendf(
        sql,
        " FROM %s AS s, rollup_day AS d WHERE d.day = %lld AND (s.rowid <= d.through OR (s.rowid <="
        " d.until AND s.pair_id < d.next_pair))%s",
        name, (long long)day, tests ? " AND test_id = 0" : "");
    if (rc) {
        sqlite3_free(sqlite3_str_finish(sql));
        return rc;
    }
    return take_sums(k, sqlite3_str_finish(sql), &ret[STORE_1MIN], STORE_LEVELS - 1, err);
}

static enum tw_rc sum_cells(struct checking *k, enum store_level l, int64_t day, struct sums *ret,
                            struct tw_err *err)
{
    struct cells_part want = cells_part_of(l, day);
    char name[CELLS_NAME];

    for (size_t i = 0; i < k->n_parts; i++)
        if (k->parts[i].level == l && k->parts[i].first_day == want.first_day)
            return take_sums(k,
                             sqlite3_mprintf("SELECT sum(n_rows), sum(" SUM_COLUMNS
                                             ") FROM %s WHERE cell_ns >= %lld AND"
                                             " cell_ns < %lld",
                                             cells_name(&want, name), (long long)(day * DAY_NS),
                                             (long long)((day + 1) * DAY_NS)),
                             ret, 1, err);
    return TW_OK;
}

static bool tell(struct checking *k)
{
    k->done++;
    if (k->progress && k->progress->fn && !k->progress->fn(k->progress->ctx, k->done, k->total))
        k->stopped = true;
    return !k->stopped;
}

static enum tw_rc compare_day(struct checking *k, int64_t day, struct tw_err *err)
{
    struct sums raw[STORE_LEVELS] = { { { 0 } } };
    enum tw_rc rc = sum_day(k, day, raw, err);

    for (int l = STORE_1MIN; l < STORE_LEVELS && !rc && tell(k); l++) {
        static const char *const names[SUMS] = { "summaries", "probes sent", "received", "lost", "late" };
        struct sums cells = { { 0 } };
        char name[DAY_NAME];
        if (day * DAY_NS < k->kept_ns[l])
            continue;
        rc = sum_cells(k, (enum store_level)l, day, &cells, err);
        for (int i = 0; i < SUMS && !rc && !k->stopped; i++)
            if (cells.v[i] != raw[l].v[i])
                problem(k, "level %s: %s has %lld %s, its cells %lld", store_level_name((enum store_level)l),
                        day_name(day, name), (long long)raw[l].v[i], names[i], (long long)cells.v[i]);
    }
    return rc;
}

static enum tw_rc check_cells(struct checking *k, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < k->n_days && !rc && !k->stopped; i++) {
        if (k->days[i] * DAY_NS < k->kept_ns[STORE_RAW])
            continue;
        rc = compare_day(k, k->days[i], err);
        k->now.looked_at++;
    }
    return rc;
}

static enum tw_rc check_counts(struct checking *k, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < k->n_days + k->n_parts && !rc && !k->stopped; i++) {
        bool raw = i < k->n_days;
        struct cells_part part =
            raw ? (struct cells_part){ STORE_RAW, k->days[i], k->days[i] + 1 } : k->parts[i - k->n_days];
        char day[DAY_NAME], cells[CELLS_NAME], sql[300];
        const char *name = raw ? day_name(part.first_day, day) : cells_name(&part, cells);
        int64_t n = 0;
        snprintf(
            sql, sizeof sql,
            "SELECT (SELECT count(*) FROM %s) = ifnull((SELECT n_rows FROM level_part WHERE level = %d AND"
            " first_day = %lld), 0)",
            name, (int)part.level, (long long)part.first_day);
        rc = get(k, &n, err, sql);
        if (!rc && !n)
            problem(k, "%s has another number of rows than is noted", name);
        k->now.looked_at++;
        tell(k);
    }
    return rc;
}

/* ---- All ---------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *what;
    enum tw_rc (*run)(struct checking *k, struct tw_err *err);
} checks[] = {
    { "integrity", "pages, tables and indexes are whole", check_integrity },
    { "references", "rows refer to rows that are there", check_references },
    { "summaries", "each summary is what was written", check_rows },
    { "pairs", "what has results has names", check_pairs },
    { "cursors", "how far each spool is stored, in order and beyond a hole, makes sense", check_cursors },
    { "latest", "the newest summary of each flow is where it should be", check_latest },
    { "progress", "how far each day is rolled up is known", check_progress },
    { "rollups", "roll-ups add up to their summaries", check_cells },
    { "counts", "each table has the rows that are noted", check_counts },
};

static enum tw_rc load(struct checking *k, struct tw_err *err)
{
    sqlite3_stmt *st;
    enum tw_rc rc = day_list(k->q, DAY_MIN, DAY_MAX, &k->days, &k->n_days, err);

    if (!rc)
        rc = cells_list(k->q, &k->parts, &k->n_parts, err);
    if (!rc)
        rc = sq_prepare(k->q, "SELECT level, max(from_ns) FROM level_kept GROUP BY level", &st, err);
    if (rc)
        return rc;
    for (int l = 0; l < STORE_LEVELS; l++)
        k->kept_ns[l] = INT64_MIN;
    while (sqlite3_step(st) == SQLITE_ROW) {
        int64_t level = sqlite3_column_int64(st, 0);
        if (level >= 0 && level < STORE_LEVELS)
            k->kept_ns[level] = sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    k->total = TW_NELEM(checks) + k->n_days * STORE_LEVELS + k->n_parts;
    return TW_OK;
}

/* SQLite asks now and then; true ends what it is doing. */
static int keep_going(void *ctx)
{
    struct checking *k = ctx;

    if (k->progress && k->progress->fn && !k->progress->fn(k->progress->ctx, k->done, k->total))
        k->stopped = true;
    return k->stopped;
}

static enum tw_rc run_all(struct checking *k, struct tw_err *err)
{
    enum tw_rc rc = load(k, err);

    sqlite3_progress_handler(k->q->db, 1 << 20, keep_going, k);
    for (size_t i = 0; i < TW_NELEM(checks) && !rc && !k->stopped; i++) {
        struct tw_err why = { 0 };
        k->now = (struct store_checked){ .name = checks[i].name, .what = checks[i].what, .ok = true };
        k->problems = 0;
        rc = checks[i].run(k, &why);
        if (rc == TW_ECORRUPT) { /* that is an answer, too */
            problem(k, "%.200s", why.text);
            rc = TW_OK;
        } else if (rc) {
            *err = why;
        }
        if (k->problems > 1)
            snprintf(k->now.text + strlen(k->now.text), sizeof k->now.text - strlen(k->now.text),
                     "; and %llu more", (unsigned long long)k->problems - 1);
        if (!k->stopped && !rc)
            k->fn(k->ctx, &k->now);
        tell(k);
    }
    sqlite3_progress_handler(k->q->db, 0, NULL, NULL);
    if (k->stopped)
        return tw_err_set(err, TW_ECLOSED, "stopped");
    return rc;
}

enum tw_rc store_check(const char *path, const struct store_progress *p,
                       void (*fn)(void *ctx, const struct store_checked *c), void *ctx, struct tw_err *err)
{
    struct store_reader *r;
    struct checking k = { .progress = p, .fn = fn, .ctx = ctx };
    enum tw_rc rc = store_reader_open(path, &r, err);

    if (rc)
        return rc;
    k.q = r->q;
    rc = sq_exec(k.q, "BEGIN", err);
    if (!rc)
        rc = run_all(&k, err);
    sq_rollback(k.q);
    free(k.days);
    free(k.parts);
    store_reader_close(r);
    return rc;
}
