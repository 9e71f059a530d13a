#include "db/clickhouse/ch_schema.h"

#include <string.h>
#include "common/clk.h"
#include "db/clickhouse/ch_row.h"
#include "db/clickhouse/ch_rows.h"

#define VERSION 1 /* of what is below, but for columns of a summary, which are added as they come */
#define DAY "86400000000000"
#define GRANULE_ROWS 1024 /* of some 400 octets: a pair has 1440 a day, and is what is mostly asked for */

/* By enum store_level; `partition`: days. A partition goes as a whole. */
static const struct {
    const char *table;
    int64_t partition;
} levels[] = {
    { "summary", 1 }, { "cell_1min", 1 }, { "cell_10min", 30 }, { "cell_1h", 30 }, { "cell_1d", 365 }
};
const char *const ch_level_tables[] = { "summary", "cell_1min", "cell_10min", "cell_1h", "cell_1d" };

int64_t ch_level_partition_ns(int level)
{
    return levels[level].partition * 86400 * TW_NS_PER_S;
}

/* But for summaries and cells, whose columns are those of a summary. */
static const struct {
    const char *table, *columns, *engine;
} tables[] = {
    { "loss_run",
      "pair_id Int64, start_ns Int64, flow UInt32, seq_first UInt32, length_ns Int64, probes Int64, "
      "direction UInt8, continues UInt8, "
      "txn UInt64",
      "ReplacingMergeTree(txn) PARTITION BY intDiv(start_ns, " DAY
      ") ORDER BY (pair_id, start_ns, flow, seq_first)" },
    { "loss_chain",
      "pair_id Int64, start_ns Int64, flow UInt32, seq_first UInt32, length_ns Int64, probes Int64, "
      "direction UInt8, continues UInt8, "
      "parts Int64",
      "ReplacingMergeTree() PARTITION BY intDiv(start_ns, 365 * " DAY
      ") ORDER BY (pair_id, start_ns, flow, seq_first)" },
    { "gap",
      "agent_id Int64, spool_id FixedString(16), first_seq Int64, last_seq Int64, reason String, received_ns "
      "Int64, from_ns Int64, "
      "until_ns Int64, txn UInt64",
      "ReplacingMergeTree(txn) PARTITION BY intDiv(received_ns, " DAY
      ") ORDER BY (agent_id, spool_id, first_seq)" },
    { "cursor", "agent_id Int64, spool_id FixedString(16), first_seq Int64, last_seq Int64, txn UInt64",
      "ReplacingMergeTree(txn) PARTITION BY tuple() ORDER BY (agent_id, spool_id, first_seq)" },
    { "burnt", "txn UInt64", "ReplacingMergeTree() PARTITION BY tuple() ORDER BY txn" },
    { "owner", "id Int64", "MergeTree() PARTITION BY tuple() ORDER BY id" },
    { "progress", "name String, txn UInt64", "ReplacingMergeTree(txn) PARTITION BY tuple() ORDER BY name" },
};

enum tw_rc ch_run(struct ch_http *h, struct ch_sql *s, struct tw_err *err)
{
    const char *text = ch_sql_text(s);

    return text ? ch_http_run(h, text, err) : tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");
}

/* ---- One row of numbers ---- */

struct numbers {
    int64_t *v;
    size_t n;
};

static enum tw_rc take_numbers(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct numbers *to = ctx;

    (void)err;
    for (size_t i = 0; i < to->n; i++)
        to->v[i] = ch_get_i64(row);
    return TW_OK;
}

#define NUMBERS_MAX 4
enum tw_rc ch_get_numbers(struct ch_http *h, struct ch_sql *s, int64_t *ret, size_t n, struct tw_err *err)
{
    static const enum ch_type types[NUMBERS_MAX] = { CH_I64, CH_I64, CH_I64, CH_I64 };
    struct numbers to = { ret, n };
    struct ch_rows r = { .types = types, .n_types = n, .fn = take_numbers, .ctx = &to, .err = err };
    const char *text = ch_sql_text(s);
    enum tw_rc rc = text ? ch_http_select(h, text, ch_rows_feed, &r, err)
                         : tw_err_set(err, TW_ENOMEM, "clickhouse: out of memory");

    if (rc) {
        ch_rows_free(&r);
        return rc;
    }
    rc = ch_rows_end(&r);
    return rc ? rc : r.rows ? TW_OK : tw_err_set(err, TW_ENOENT, "clickhouse: no row");
}

/* ---- Version ---- */

static enum tw_rc check_version(struct ch_http *h, struct ch_sql *s, const char *db, int64_t *ret,
                                struct tw_err *err)
{
    enum tw_rc rc;

    ch_sql_begin(s, "SELECT " CH_ROW_MARK ", toInt64(max(version)) FROM %s.schema_version FORMAT RowBinary",
                 db);
    rc = ch_get_numbers(h, s, ret, 1, err);
    if (rc == TW_ENOENT) { /* no such database, or no such table */
        *ret = 0;
        return TW_OK;
    }
    if (!rc && *ret > VERSION)
        return tw_err_set(
            err, TW_EVERSION,
            "clickhouse database %s is of a newer release (schema %lld, this program knows %d): run that one",
            db, (long long)*ret, VERSION);
    return rc;
}

static enum tw_rc note_version(struct ch_http *h, struct ch_sql *s, const char *db, struct tw_err *err)
{
    ch_sql_begin(s, "INSERT INTO %s.schema_version (version) VALUES (%d)", db, VERSION);
    return ch_run(h, s, err);
}

/* ---- Tables ---- */

static enum tw_rc make_database(struct ch_http *h, struct ch_sql *s, const char *db, struct tw_err *err)
{
    enum tw_rc rc;

    ch_sql_begin(s, "CREATE DATABASE IF NOT EXISTS %s", db);
    rc = ch_run(h, s, err);
    ch_sql_begin(s,
                 "CREATE TABLE IF NOT EXISTS %s.schema_version (version UInt32) ENGINE = MergeTree() "
                 "PARTITION BY tuple() ORDER BY version",
                 db);
    return rc ? rc : ch_run(h, s, err);
}

static enum tw_rc make_level(struct ch_http *h, struct ch_sql *s, const char *db, size_t level,
                             struct tw_err *err)
{
    const char *own = level ? "cell_ns Int64, n_rows Int64, n_whole Int64, longest_ns Int64"
                            : "agent_id Int64, spool_id FixedString(16), seq Int64, received_ns Int64";
    const char *time = level ? "cell_ns" : "start_ns",
               *key = level ? "flow" : "flow, agent_id, spool_id, seq";

    ch_sql_begin(s, "CREATE TABLE IF NOT EXISTS %s.%s (%s, txn UInt64, %s) ENGINE = ReplacingMergeTree(txn)",
                 db, levels[level].table, own, ch_row_definitions());
    ch_sql_add(s,
               " PARTITION BY intDiv(%s, %lld * " DAY
               ") ORDER BY (pair_id, %s, %s) SETTINGS index_granularity = %d",
               time, (long long)levels[level].partition, time, key, GRANULE_ROWS);
    return ch_run(h, s, err);
}

static enum tw_rc make_tables(struct ch_http *h, struct ch_sql *s, const char *db, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(levels) && !rc; i++)
        rc = make_level(h, s, db, i, err);
    for (size_t i = 0; i < TW_NELEM(tables) && !rc; i++) {
        ch_sql_begin(s, "CREATE TABLE IF NOT EXISTS %s.%s (%s) ENGINE = %s", db, tables[i].table,
                     tables[i].columns, tables[i].engine);
        rc = ch_run(h, s, err);
    }
    return rc;
}

/* ---- Columns of newer counters ---- */

struct columns {
    bool have[ROW_MAX];
};

static enum tw_rc take_column(void *ctx, struct wire_rd *row, struct tw_err *err)
{
    struct columns *c = ctx;
    size_t len;
    const uint8_t *name = ch_get_string(row, &len);

    (void)err;
    for (size_t i = 0; name && i < row_cols_n; i++)
        c->have[i] |= strlen(row_cols[i].name) == len && !memcmp(row_cols[i].name, name, len);
    return TW_OK;
}

static enum tw_rc widen(struct ch_http *h, struct ch_sql *s, const char *db, const char *table,
                        struct tw_err *err)
{
    static const enum ch_type types[] = { CH_STRING };
    struct columns c = { { false } };
    struct ch_rows r = { .types = types, .n_types = 1, .fn = take_column, .ctx = &c, .err = err };
    enum tw_rc rc;

    ch_sql_begin(s,
                 "SELECT " CH_ROW_MARK
                 ", name FROM system.columns WHERE database = '%s' AND table = '%s' FORMAT RowBinary",
                 db, table);
    rc = ch_http_select(h, ch_sql_text(s) ? ch_sql_text(s) : "", ch_rows_feed, &r, err);
    if (!rc)
        rc = ch_rows_end(&r);
    else
        ch_rows_free(&r);
    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        if (c.have[i])
            continue;
        ch_sql_begin(s, "ALTER TABLE %s.%s ADD COLUMN %s %s", db, table, row_cols[i].name,
                     ch_type_name(ch_row_type(&row_cols[i])));
        rc = ch_run(h, s, err);
    }
    return rc;
}

enum tw_rc ch_schema_open(struct ch_http *h, const char *database, struct tw_err *err)
{
    struct ch_sql s = { { 0 } };
    int64_t version = 0;
    enum tw_rc rc = check_version(h, &s, database, &version, err);

    if (!rc && !version)
        rc = make_database(h, &s, database, err);
    if (!rc)
        rc = make_tables(h, &s, database, err);
    for (size_t i = 0; i < TW_NELEM(levels) && !rc; i++)
        rc = widen(h, &s, database, levels[i].table, err);
    if (!rc && !version)
        rc = note_version(h, &s, database, err);
    ch_sql_free(&s);
    return rc;
}
