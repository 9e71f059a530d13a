/* A database of version 1 of the schema, which knew one writer, goes on as one of today. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <curl/curl.h>

#include "tests/cluster/ch_fx.h"
#include "tests/cluster/own_server.h"

#define OWNER 77

static struct ch_server server;
static struct ch_http *http;
static struct ch_sql q;

static void run(const char *text)
{
    ch_sql_begin(&q, "%s", text);
    CHECK_OK(ch_run(http, &q, &err));
}

static int64_t number(const char *text)
{
    int64_t n = -1;

    ch_sql_begin(&q, "SELECT " CH_ROW_MARK ", toInt64(assumeNotNull(%s)) FORMAT RowBinary", text);
    CHECK_OK(ch_get_numbers(http, &q, &n, 1, &err));
    return n;
}

/* What version 1 made, but for summaries and cells. Never to be changed. */
static const char *const tables[] = {
    "CREATE DATABASE old",
    "CREATE TABLE old.schema_version (version UInt32) ENGINE = MergeTree() PARTITION BY tuple() ORDER BY "
    "version",
    "CREATE TABLE old.loss_run (pair_id Int64, start_ns Int64, flow UInt32, seq_first UInt32, length_ns "
    "Int64, probes "
    "Int64, direction UInt8, continues UInt8, txn UInt64) ENGINE = ReplacingMergeTree(txn) PARTITION BY "
    "intDiv(start_ns, 86400000000000) ORDER BY (pair_id, start_ns, flow, seq_first)",
    "CREATE TABLE old.loss_chain (pair_id Int64, start_ns Int64, flow UInt32, seq_first UInt32, length_ns "
    "Int64, probes "
    "Int64, direction UInt8, continues UInt8, parts Int64) ENGINE = ReplacingMergeTree() PARTITION BY "
    "intDiv(start_ns, 365 * 86400000000000) ORDER BY (pair_id, start_ns, flow, seq_first)",
    "CREATE TABLE old.gap (agent_id Int64, spool_id FixedString(16), first_seq Int64, last_seq Int64, reason "
    "String, "
    "received_ns Int64, from_ns Int64, until_ns Int64, txn UInt64) ENGINE = ReplacingMergeTree(txn) "
    "PARTITION BY "
    "intDiv(received_ns, 86400000000000) ORDER BY (agent_id, spool_id, first_seq)",
    "CREATE TABLE old.cursor (agent_id Int64, spool_id FixedString(16), first_seq Int64, last_seq Int64, txn "
    "UInt64) "
    "ENGINE = ReplacingMergeTree(txn) PARTITION BY tuple() ORDER BY (agent_id, spool_id, first_seq)",
    "CREATE TABLE old.burnt (txn UInt64) ENGINE = ReplacingMergeTree() PARTITION BY tuple() ORDER BY txn",
    "CREATE TABLE old.owner (id Int64) ENGINE = MergeTree() PARTITION BY tuple() ORDER BY id",
    "CREATE TABLE old.progress (name String, txn UInt64) ENGINE = ReplacingMergeTree(txn) PARTITION BY "
    "tuple() ORDER BY "
    "name",
};

static void make_level(const char *table, const char *own, const char *time, const char *key, int days)
{
    ch_sql_begin(&q, "CREATE TABLE old.%s (%s, txn UInt64, %s) ENGINE = ReplacingMergeTree(txn)", table, own,
                 ch_row_definitions());
    ch_sql_add(&q,
               " PARTITION BY intDiv(%s, %d * 86400000000000) ORDER BY (pair_id, %s, %s) SETTINGS "
               "index_granularity = 1024",
               time, days, time, key);
    CHECK_OK(ch_run(http, &q, &err));
}

#define CELL "cell_ns Int64, n_rows Int64, n_whole Int64, longest_ns Int64"
static void make_tables(void)
{
    for (size_t i = 0; i < TW_NELEM(tables); i++)
        run(tables[i]);
    make_level("summary", "agent_id Int64, spool_id FixedString(16), seq Int64, received_ns Int64",
               "start_ns", "flow, agent_id, spool_id, seq", 1);
    make_level("cell_1min", CELL, "cell_ns", "flow", 1);
    make_level("cell_10min", CELL, "cell_ns", "flow", 30);
    make_level("cell_1h", CELL, "cell_ns", "flow", 30);
    make_level("cell_1d", CELL, "cell_ns", "flow", 365);
}

/* Commits 2 and 3 in round 1, and 4 and 5 in no round. */
static void make_content(void)
{
    struct history *h;
    enum store_append_result res;

    snprintf(location, sizeof location, "%s/new", server.endpoint);
    h = open_it();
    CHECK_OK(commit_of(h, 1, 1, 20, &res));
    CHECK_OK(commit_of(h, 1, 21, 20, &res));
    roll_up(h);
    CHECK_OK(commit_of(h, 1, 41, 20, &res));
    CHECK_OK(commit_of(h, 1, 61, 10, &res));
    expect(1, 70);
    clickhouse_history.close(h);
}

/* As version 1 would have had it: round 3 was up to commit 3; of commit 5 nothing came but summaries, and it
 * is burnt. */
static void copy_content(void)
{
    static const char *const cells[] = { "cell_1min", "cell_10min", "cell_1h", "cell_1d" };

    ch_sql_begin(&q,
                 "INSERT INTO old.summary (agent_id, spool_id, seq, received_ns, txn, %s) SELECT agent_id, "
                 "spool_id, seq, "
                 "received_ns, txn, %s FROM new.summary",
                 ch_row_names(), ch_row_names());
    CHECK_OK(ch_run(http, &q, &err));
    for (size_t i = 0; i < TW_NELEM(cells); i++) {
        ch_sql_begin(&q,
                     "INSERT INTO old.%s (cell_ns, n_rows, n_whole, longest_ns, txn, %s) SELECT cell_ns, "
                     "n_rows, n_whole, "
                     "longest_ns, toUInt64(3), %s FROM new.%s",
                     cells[i], ch_row_names(), ch_row_names(), cells[i]);
        CHECK_OK(ch_run(http, &q, &err));
    }
    run("INSERT INTO old.cursor SELECT agent_id, spool_id, toInt64(1), toInt64(60), toUInt64(4) FROM "
        "new.cursor WHERE "
        "agent_id = 1 LIMIT 1");
    run("INSERT INTO old.burnt VALUES (1), (5)");
    run("INSERT INTO old.owner VALUES (77)");
    run("INSERT INTO old.schema_version VALUES (1)");
}

static int start(void **state)
{
    struct ch_http_cfg cfg = { .n_endpoints = 1 };

    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ch_server_start(&server);
    cfg.endpoints[0] = server.url;
    CHECK_OK(ch_http_new(&cfg, &http, &err));
    make_content();
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ch_http_free(http);
    ch_sql_free(&q);
    ch_server_stop(&server);
    curl_global_cleanup();
    return 0;
}

static int make_old(void **state)
{
    (void)state;
    run("DROP DATABASE IF EXISTS old");
    make_tables();
    copy_content();
    snprintf(location, sizeof location, "%s/old", server.endpoint);
    return 0;
}

static struct history *open_as(uint64_t owner, enum tw_rc want)
{
    struct history *h = NULL;

    assert_int_equal(
        clickhouse_history.open(&(struct history_conf){ .location = location, .owner = owner }, &h, &err),
        want);
    return h;
}

static void who_does_not_own_it_touches_nothing(void **state)
{
    (void)state;
    run("INSERT INTO old.progress VALUES ('done', 3), ('round', 3)");
    open_as(OWNER + 1, TW_EINUSE);
    assert_int_equal(number("(SELECT max(version) FROM old.schema_version)"), 1);
    assert_int_equal(
        number("(SELECT count() FROM system.columns WHERE database = 'old' AND name = 'writer')"), 0);
}

static void what_was_stored_and_rolled_up_still_is(void **state)
{
    struct history *h;
    struct ch_history *own;
    enum store_append_result res;

    (void)state;
    run("INSERT INTO old.progress VALUES ('done', 3), ('round', 3)");
    h = open_as(OWNER, TW_OK);
    own = (struct ch_history *)h;
    assert_int_equal(own->view.rolled_no, 3);
    assert_int_equal(own->stats.rollup_waiting, 20);
    expect(1, 60); /* nothing of the burnt one */
    assert_true(read_cells(1).cells > 0);
    CHECK_OK(commit_of(h, 1, 51, 20, &res)); /* its agent sends it again, and some of before */
    assert_int_equal(res, STORE_APPENDED);
    expect(1, 70);
    roll_up(h);
    expect(1, 70);
    clickhouse_history.close(h);
    h = open_as(OWNER, TW_OK);
    roll_up(h);
    expect(1, 70);
    clickhouse_history.close(h);
    assert_int_equal(number("(SELECT max(version) FROM old.schema_version)"), 2);
}

/* The controller ended behind any step of it. */
static void it_can_be_done_again(void **state)
{
    struct history *h;

    (void)state;
    run("INSERT INTO old.progress VALUES ('done', 3), ('round', 3)");
    run("ALTER TABLE old.gap ADD COLUMN writer Int64, ADD COLUMN nr UInt64, MODIFY ORDER BY (agent_id, "
        "spool_id, "
        "first_seq, writer, nr)");
    clickhouse_history.close(open_as(OWNER, TW_OK));
    run("TRUNCATE TABLE old.schema_version");
    run("INSERT INTO old.schema_version VALUES (1)");
    h = open_as(OWNER, TW_OK);
    expect(1, 60);
    roll_up(h);
    expect(1, 60);
    clickhouse_history.close(h);
}

/* Some of its cells are there: those of hours and days. */
static void a_round_that_broke_off_is_ended(void **state)
{
    struct history *h;

    (void)state;
    run("INSERT INTO old.progress VALUES ('done', 0), ('round', 3)");
    run("TRUNCATE TABLE old.cell_1min");
    run("TRUNCATE TABLE old.cell_10min");
    h = open_as(OWNER, TW_OK);
    assert_int_equal(read_raw(1).rows, 60);
    roll_up(h);
    expect(1, 60);
    assert_int_equal(read_hours(1).rows, 60);
    assert_int_equal(number("(SELECT sum(n_rows) FROM old.cell_1min FINAL)"), 60);
    assert_int_equal(number("(SELECT sum(n_rows) FROM old.cell_1d FINAL)"), 60);
    clickhouse_history.close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_does_not_own_it_touches_nothing, make_old),
        cmocka_unit_test_setup(what_was_stored_and_rolled_up_still_is, make_old),
        cmocka_unit_test_setup(it_can_be_done_again, make_old),
        cmocka_unit_test_setup(a_round_that_broke_off_is_ended, make_old),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
