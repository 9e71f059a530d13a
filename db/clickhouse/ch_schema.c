#include "db/clickhouse/ch_schema.h"

#include <string.h>
#include <unistd.h>
#include "common/clk.h"
#include "common/net/now.h"
#include "db/clickhouse/ch_row.h"
#include "db/clickhouse/ch_rows.h"

#define VERSION 2 /* of what is below, but for columns of a summary, which are added as they come */
#define DAY "86400000000000"
#define VERSION_TABLE "schema_version"
#define TABLES_NS (20 * TW_NS_PER_S) /* for this server to make its tables; and for the others */
#define PEERS_NS (3 * TW_NS_PER_S)
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

/* But for summaries and cells, whose columns are those of a summary. What version 1 had, which knew one
 * writer and no column of `added`, is made to be the same. */
static const struct {
    const char *table, *columns, *added;
    const char *version; /* of a ReplacingMergeTree; NULL: a MergeTree */
    const char *partition, *key, *key_added;
} tables[] = {
    { "loss_run",
      "pair_id Int64, start_ns Int64, flow UInt32, seq_first UInt32, length_ns Int64, probes Int64, "
      "direction UInt8, continues UInt8, "
      "txn UInt64",
      "writer Int64, nr UInt64", "txn", "intDiv(start_ns, " DAY ")", "pair_id, start_ns, flow, seq_first",
      "writer, nr" },
    { "loss_chain",
      "pair_id Int64, start_ns Int64, flow UInt32, seq_first UInt32, length_ns Int64, probes Int64, "
      "direction UInt8, continues UInt8, "
      "parts Int64",
      NULL, "", "intDiv(start_ns, 365 * " DAY ")", "pair_id, start_ns, flow, seq_first", NULL },
    { "gap",
      "agent_id Int64, spool_id FixedString(16), first_seq Int64, last_seq Int64, reason String, received_ns "
      "Int64, from_ns Int64, "
      "until_ns Int64, txn UInt64",
      "writer Int64, nr UInt64", "txn", "intDiv(received_ns, " DAY ")", "agent_id, spool_id, first_seq",
      "writer, nr" },
    { "cursor", "agent_id Int64, spool_id FixedString(16), first_seq Int64, last_seq Int64, txn UInt64",
      "writer Int64", "txn", "tuple()", "agent_id, spool_id, first_seq", "writer" },
    { "burnt", "txn UInt64", "writer Int64", "", "tuple()", "txn", "writer" },
    { "owner", "id Int64", "cluster Int64", NULL, "tuple()", "id", NULL },
    { "round", "state UInt8, writer Int64, nr Int64, first Int64, last Int64, number Int64, ver UInt64", NULL,
      "ver", "tuple()", "state, writer, nr", NULL },
};
_Static_assert(CH_LOSS_RUN == TW_NELEM(levels) && CH_TABLES == TW_NELEM(levels) + TW_NELEM(tables),
               "each is one");

const char *ch_table_name(size_t table)
{
    return table < TW_NELEM(levels) ? levels[table].table : tables[table - TW_NELEM(levels)].table;
}

#define LEVEL_ADDED(level) ((level) ? "has String" : "writer Int64, nr UInt64")
#define LEVEL_KEY_ADDED "writer, nr"

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

    rc = rc ? ch_rows_fail(&r, rc) : ch_rows_end(&r);
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

/* "CREATE ... IF NOT EXISTS db.table ON CLUSTER c (". ATTACH makes one of which ZooKeeper knows the replica.
 */
static void begin_table(struct ch_sql *s, const struct ch_place *p, const char *table)
{
    ch_sql_begin(s, "%s TABLE IF NOT EXISTS %s.%s%s%s (", p->again ? "ATTACH" : "CREATE", p->database, table,
                 p->cluster ? " ON CLUSTER " : "", p->cluster ? p->cluster : "");
}

/* ") ENGINE = ReplacingMergeTree(version)", or that of a replicated one. */
static void add_engine(struct ch_sql *s, const struct ch_place *p, const char *table, const char *version)
{
    const char *kind = version ? "Replacing" : "";

    if (!version)
        version = "";
    if (p->cluster)
        ch_sql_add(s, ") ENGINE = Replicated%sMergeTree('" CH_ZK_PATH "', '{replica}'%s%s)", kind, p->cluster,
                   p->database, table, *version ? ", " : "", version);
    else
        ch_sql_add(s, ") ENGINE = %sMergeTree(%s)", kind, version);
}

static enum tw_rc make_version_table(struct ch_http *h, struct ch_sql *s, const struct ch_place *p,
                                     struct tw_err *err)
{
    begin_table(s, p, VERSION_TABLE);
    ch_sql_add(s, "version UInt32");
    add_engine(s, p, VERSION_TABLE, NULL);
    ch_sql_add(s, " PARTITION BY tuple() ORDER BY version");
    return ch_run(h, s, err);
}

static enum tw_rc make_database(struct ch_http *h, struct ch_sql *s, const struct ch_place *p,
                                struct tw_err *err)
{
    ch_sql_begin(s, "CREATE DATABASE IF NOT EXISTS %s%s%s", p->database, p->cluster ? " ON CLUSTER " : "",
                 p->cluster ? p->cluster : "");
    return ch_run(h, s, err);
}

static const char *level_key(size_t level)
{
    return level ? "pair_id, cell_ns, flow" : "pair_id, start_ns, flow, agent_id, spool_id, seq";
}

static enum tw_rc make_level(struct ch_http *h, struct ch_sql *s, const struct ch_place *p, size_t level,
                             struct tw_err *err)
{
    const char *own = level ? "cell_ns Int64, n_rows Int64, n_whole Int64, longest_ns Int64"
                            : "agent_id Int64, spool_id FixedString(16), seq Int64, received_ns Int64";

    begin_table(s, p, levels[level].table);
    ch_sql_add(s, "%s, txn UInt64, %s, %s", own, ch_row_definitions(), LEVEL_ADDED(level));
    add_engine(s, p, levels[level].table, "txn");
    ch_sql_add(s, " PARTITION BY intDiv(%s, %lld * " DAY ") ORDER BY (%s%s) SETTINGS index_granularity = %d",
               level ? "cell_ns" : "start_ns", (long long)levels[level].partition, level_key(level),
               level ? "" : ", " LEVEL_KEY_ADDED, GRANULE_ROWS);
    return ch_run(h, s, err);
}

static enum tw_rc make_table(struct ch_http *h, struct ch_sql *s, const struct ch_place *p, size_t i,
                             struct tw_err *err)
{
    const char *added = tables[i].added, *key = tables[i].key_added;

    begin_table(s, p, tables[i].table);
    ch_sql_add(s, "%s%s%s", tables[i].columns, added ? ", " : "", added ? added : "");
    add_engine(s, p, tables[i].table, tables[i].version);
    ch_sql_add(s, " PARTITION BY %s ORDER BY (%s%s%s)", tables[i].partition, tables[i].key, key ? ", " : "",
               key ? key : "");
    return ch_run(h, s, err);
}

static enum tw_rc make_tables(struct ch_http *h, struct ch_sql *s, const struct ch_place *p,
                              struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(levels) && !rc; i++)
        rc = make_level(h, s, p, i, err);
    for (size_t i = 0; i < TW_NELEM(tables) && !rc; i++)
        rc = make_table(h, s, p, i, err);
    return rc;
}

/* ---- On replicas ---- */

/* How many of the tables are there, of those how many are replicated, and at how many servers at least. */
struct there {
    int64_t tables, replicated, replicas;
};

static enum tw_rc count_tables(struct ch_http *h, struct ch_sql *s, const struct ch_place *p,
                               struct there *ret, struct tw_err *err)
{
    int64_t n[2];
    enum tw_rc rc;

    *ret = (struct there){ .tables = 0 };
    ch_sql_begin(s,
                 "SELECT " CH_ROW_MARK
                 ", toInt64(count()), toInt64(countIf(engine LIKE 'Replicated%%')) FROM system.tables WHERE "
                 "database = '%s' AND name IN ('" VERSION_TABLE "'",
                 p->database);
    for (size_t i = 0; i < CH_TABLES; i++)
        ch_sql_add(s, ", '%s'", ch_table_name(i));
    ch_sql_add(s, ") FORMAT RowBinary");
    rc = ch_get_numbers(h, s, n, 2, err);
    if (rc)
        return rc;
    ret->tables = n[0];
    ret->replicated = n[1];
    if (!n[1])
        return TW_OK;
    ch_sql_begin(s,
                 "SELECT " CH_ROW_MARK
                 ", toInt64(min(total_replicas)) FROM system.replicas WHERE database = '%s' FORMAT RowBinary",
                 p->database);
    return ch_get_numbers(h, s, &ret->replicas, 1, err);
}

static enum tw_rc check_kind(const struct ch_place *p, const struct there *t, struct tw_err *err)
{
    if (p->cluster && t->replicated < t->tables)
        return tw_err_set(
            err, TW_EINVAL,
            "clickhouse database %.63s has tables that are not replicated: for cluster=%.63s give "
            "another database",
            p->database, p->cluster);
    if (!p->cluster && t->replicated)
        return tw_err_set(err, TW_EINVAL,
                          "clickhouse database %.63s has replicated tables: expected ?cluster=NAME behind it",
                          p->database);
    return TW_OK;
}

static bool all_there(const struct ch_place *p, const struct there *t)
{
    return t->tables == CH_TABLES + 1 && t->replicas >= p->hosts;
}

/* Servers make them by themselves, one behind the other; those that are away when they are back. */
static enum tw_rc await_tables(struct ch_http *h, struct ch_sql *s, const struct ch_place *p,
                               struct tw_err *err)
{
    int64_t begun_ns = tw_mono_now().ns;
    struct there t = { .tables = 0 };
    enum tw_rc rc = TW_OK;

    for (int64_t waited_ns = 0;
         !rc && !all_there(p, &t) && waited_ns < (t.tables == CH_TABLES + 1 ? PEERS_NS : TABLES_NS);
         waited_ns = tw_mono_now().ns - begun_ns) {
        usleep(50000);
        rc = count_tables(h, s, p, &t, err);
    }
    if (rc || t.tables == CH_TABLES + 1)
        return rc;
    return tw_err_set(
        err, TW_ETIMEOUT,
        "clickhouse %.60s: of %d tables ON CLUSTER %.63s it has made %lld so far: see its log for DDLWorker",
        ch_http_server(h), CH_TABLES + 1, p->cluster, (long long)t.tables);
}

/* ---- From version 1 ---- */

/* Of a database of that version nothing is touched by who does not own it. */
static enum tw_rc check_old_owner(struct ch_http *h, struct ch_sql *s, const char *db, int64_t owner,
                                  struct tw_err *err)
{
    int64_t others = 0;
    enum tw_rc rc;

    ch_sql_begin(s, "SELECT " CH_ROW_MARK ", toInt64(countIf(id != %lld)) FROM %s.owner FORMAT RowBinary",
                 (long long)owner, db);
    rc = owner ? ch_get_numbers(h, s, &others, 1, err) : TW_OK;
    return rc || !others ? rc : ch_refuse_owner(db, err);
}

/* "a Int64, b UInt64" as " ADD COLUMN a Int64, ADD COLUMN b UInt64". */
static void add_columns(struct ch_sql *s, const char *columns)
{
    const char *before = "";

    for (size_t len; *columns; columns += len + (columns[len] ? 2 : 0)) {
        len = strcspn(columns, ",");
        ch_sql_add(s, "%s ADD COLUMN %.*s", before, (int)len, columns);
        before = ",";
    }
}

/* Both in one statement: a key takes new columns at its end, where all rows that there are have the same. */
static enum tw_rc add_to_table(struct ch_http *h, struct ch_sql *s, const char *db, const char *table,
                               const char *added, const char *key, const char *key_added, struct tw_err *err)
{
    int64_t have = 0;
    enum tw_rc rc;

    ch_sql_begin(s,
                 "SELECT " CH_ROW_MARK
                 ", toInt64(count()) FROM system.columns WHERE database = '%s' AND table = '%s' "
                 "AND name = '%.*s' FORMAT RowBinary",
                 db, table, (int)strcspn(added, " "), added);
    rc = ch_get_numbers(h, s, &have, 1, err);
    if (rc || have)
        return rc;
    ch_sql_begin(s, "ALTER TABLE %s.%s", db, table);
    add_columns(s, added);
    if (key_added)
        ch_sql_add(s, ", MODIFY ORDER BY (%s, %s)", key, key_added);
    return ch_run(h, s, err);
}

static enum tw_rc from_version_1(struct ch_http *h, struct ch_sql *s, const struct ch_place *p,
                                 struct tw_err *err)
{
    const char *db = p->database;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(levels) && !rc; i++)
        rc = add_to_table(h, s, db, levels[i].table, LEVEL_ADDED(i), level_key(i), i ? NULL : LEVEL_KEY_ADDED,
                          err);
    for (size_t i = 0; i < TW_NELEM(tables) && !rc; i++)
        if (tables[i].added)
            rc = add_to_table(h, s, db, tables[i].table, tables[i].added, tables[i].key, tables[i].key_added,
                              err);
    if (!rc)
        rc = make_tables(h, s, p, err);
    return rc ? rc : ch_upgrade_state(h, db, err);
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
    rc = rc ? ch_rows_fail(&r, rc) : ch_rows_end(&r);
    for (size_t i = 0; i < row_cols_n && !rc; i++) {
        if (c.have[i])
            continue;
        ch_sql_begin(s, "ALTER TABLE %s.%s ADD COLUMN %s %s", db, table, row_cols[i].name,
                     ch_type_name(ch_row_type(&row_cols[i])));
        rc = ch_run(h, s, err);
        if (rc == TW_EAGAIN) /* a replica that is away does it when it is back */
            rc = TW_OK;
    }
    return rc;
}

enum tw_rc ch_refuse_owner(const char *database, struct tw_err *err)
{
    return tw_err_set(err, TW_EINUSE,
                      "clickhouse database %.63s is another controller's: give this one a database of its "
                      "own; if that one is no "
                      "more: TRUNCATE TABLE %.63s.owner",
                      database, database);
}

/* What is there already of a cluster's is not asked for once more: each of these takes its time. */
static enum tw_rc make_all(struct ch_http *h, struct ch_sql *s, const struct ch_place *p, int64_t version,
                           struct tw_err *err)
{
    struct there t;
    enum tw_rc rc = count_tables(h, s, p, &t, err);

    if (!rc)
        rc = check_kind(p, &t, err);
    if (rc || (p->cluster && all_there(p, &t)))
        return rc;
    if (!version || p->cluster)
        rc = make_database(h, s, p, err);
    if (!rc && (!version || p->cluster))
        rc = make_version_table(h, s, p, err);
    if (!rc)
        rc = version == 1 ? from_version_1(h, s, p, err) : make_tables(h, s, p, err);
    return rc || !p->cluster ? rc : await_tables(h, s, p, err);
}

enum tw_rc ch_schema_is_here(struct ch_http *h, const char *database, bool *ret, struct tw_err *err)
{
    struct ch_sql s = { { 0 } };
    struct there t;
    enum tw_rc rc = count_tables(h, &s, &(struct ch_place){ .database = database }, &t, err);

    ch_sql_free(&s);
    *ret = !rc && t.tables;
    return rc;
}

/* A replica that is new makes them by the first pass. One whose disk was lost, and which ZooKeeper knows,
 * cannot: it takes the second one. */
enum tw_rc ch_schema_again(struct ch_http *h, const struct ch_place *place, struct tw_err *err)
{
    struct ch_place p = *place;
    struct ch_sql s = { { 0 } };
    enum tw_rc rc = make_database(h, &s, &p, err);

    for (int pass = 0; pass < 2 && !rc; pass++) {
        p.again = pass == 1;
        rc = make_tables(h, &s, &p, err);
        if (!rc)
            rc = make_version_table(h, &s, &p, err);
    }
    ch_sql_free(&s);
    return rc;
}

enum tw_rc ch_schema_open(struct ch_http *h, const struct ch_place *place, int64_t owner, struct tw_err *err)
{
    const char *database = place->database;
    struct ch_sql s = { { 0 } };
    int64_t version = 0;
    enum tw_rc rc = check_version(h, &s, database, &version, err);

    if (!rc && version == 1)
        rc = check_old_owner(h, &s, database, owner, err);
    if (!rc)
        rc = make_all(h, &s, place, version, err);
    for (size_t i = 0; i < TW_NELEM(levels) && !rc; i++)
        rc = widen(h, &s, database, levels[i].table, err);
    if (!rc && version < VERSION)
        rc = note_version(h, &s, database, err);
    ch_sql_free(&s);
    return rc;
}
