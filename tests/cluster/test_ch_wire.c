/* What the client and the rows do with a real server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>

#include "common/clk.h"
#include "db/clickhouse/ch_http.h"
#include "db/clickhouse/ch_row.h"
#include "db/clickhouse/ch_rows.h"
#include "db/clickhouse/ch_sync.h"
#include "tests/cluster/ch_server.h"
#include "tests/cluster/own_server.h"
#include "tests/unit/db/clickhouse/any_summary.h"

static struct ch_server server;
static struct ch_http *http;
static struct tw_err err;

static int setup(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ch_server_start(&server);
    CHECK_OK(
        ch_http_new(&(struct ch_http_cfg){ .endpoints = { server.url }, .n_endpoints = 1 }, &http, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ch_http_free(http);
    ch_server_stop(&server);
    curl_global_cleanup();
    return 0;
}

static enum tw_rc keep_number(void *ctx, struct wire_rd *row, struct tw_err *e)
{
    (void)e;
    *(int64_t *)ctx += ch_get_i64(row);
    return TW_OK;
}

static enum tw_rc sum_of(const char *query, int64_t *ret, uint64_t *ret_rows)
{
    static const enum ch_type types[] = { CH_I64 };
    struct ch_rows r = { .types = types, .n_types = 1, .fn = keep_number, .ctx = ret, .err = &err };
    enum tw_rc rc;

    *ret = 0;
    rc = ch_http_select(http, query, ch_rows_feed, &r, &err);
    *ret_rows = r.rows;
    return rc ? ch_rows_fail(&r, rc) : ch_rows_end(&r);
}

static void many_rows_come(void **state)
{
    int64_t sum;
    uint64_t rows;

    (void)state;
    CHECK_OK(sum_of("SELECT toUInt8(1), toInt64(number) FROM system.numbers LIMIT 1000000 FORMAT RowBinary",
                    &sum, &rows));
    assert_int_equal(rows, 1000000);
    assert_int_equal(sum, INT64_C(499999500000));
}

static void an_exception_in_the_middle_is_told(void **state)
{
    int64_t sum;
    uint64_t rows;

    (void)state;
    assert_int_equal(sum_of("SELECT toUInt8(1), toInt64(number) + throwIf(number = 3000000) FROM "
                            "system.numbers LIMIT 5000000 "
                            "FORMAT RowBinary",
                            &sum, &rows),
                     TW_EIO);
    assert_true(rows > 0); /* 200 had been said */
    assert_non_null(strstr(err.text, "throwIf"));
    assert_int_equal(sum_of("SELECT toUInt8(1), toInt64(1) FROM nowhere FORMAT RowBinary", &sum, &rows),
                     TW_ENOENT);
    assert_int_equal(sum_of("SELECT", &sum, &rows), TW_EINVAL);
}

#define N 200
struct back {
    size_t n;
    struct ch_buf want[N + 1];
};

static enum tw_rc compare(void *ctx, struct wire_rd *row, struct tw_err *e)
{
    struct back *b = ctx;
    struct ch_buf *want = &b->want[++b->n];
    struct ch_buf got = { 0 };
    struct tw_summary s;

    summary_init(&s);
    assert_int_equal(ch_row_take(row, &s, e), TW_OK);
    assert_int_equal(ch_row_put(&got, &s, true), TW_OK);
    assert_int_equal(got.len, want->len);
    assert_memory_equal(got.p, want->p, got.len);
    ch_buf_free(&got);
    summary_free(&s);
    return TW_OK;
}

/* All columns of all types go in and come out as they were, and a repetition changes nothing. */
static void summaries_are_stored_as_they_are(void **state)
{
    enum ch_type types[ROW_MAX];
    struct back b = { 0 };
    struct ch_rows r = { .types = types, .n_types = row_cols_n, .fn = compare, .ctx = &b, .err = &err };
    struct ch_buf rows = { 0 };
    char text[16384];

    (void)state;
    snprintf(text, sizeof text,
             "CREATE TABLE s (%s) ENGINE = ReplacingMergeTree() PARTITION BY intDiv(start_ns, "
             "86400000000000) ORDER BY (start_ns)",
             ch_row_definitions());
    CHECK_OK(ch_http_run(http, text, &err));
    for (size_t i = 0; i < row_cols_n; i++)
        types[i] = ch_row_type(&row_cols[i]);
    for (uint64_t i = 1; i <= N; i++) {
        struct tw_summary s;
        any_summary(&s, i);
        assert_int_equal(ch_row_put(&b.want[i], &s, true), TW_OK);
        ch_put_octets(&rows, b.want[i].p, b.want[i].len);
        summary_free(&s);
    }
    snprintf(text, sizeof text, "INSERT INTO s (%s) FORMAT RowBinary", ch_row_names());
    CHECK_OK(ch_http_insert(http, text, rows.p, rows.len, &err));
    CHECK_OK(ch_http_insert(http, text, rows.p, rows.len, &err));
    snprintf(text, sizeof text, "SELECT " CH_ROW_MARK ", %s FROM s FINAL ORDER BY start_ns FORMAT RowBinary",
             ch_row_names());
    CHECK_OK(ch_http_select(http, text, ch_rows_feed, &r, &err));
    CHECK_OK(ch_rows_end(&r));
    assert_int_equal(b.n, N);
    assert_int_equal(ch_http_insert(http, "INSERT INTO s (start_ns) FORMAT RowBinary", rows.p, 7, &err),
                     TW_EINVAL); /* cut */
    ch_buf_free(&rows);
    for (size_t i = 0; i <= N; i++)
        ch_buf_free(&b.want[i]);
}

static enum tw_rc try_with(const struct ch_http_cfg *more, const char *password)
{
    char path[160];
    struct ch_http_cfg cfg = *more;
    struct ch_http *h = NULL;
    FILE *f;
    enum tw_rc rc;

    snprintf(path, sizeof path, "%s/password", server.folder);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", password);
    assert_int_equal(fclose(f), 0);
    cfg.n_endpoints = 1;
    cfg.password_file = cfg.user ? path : NULL;
    CHECK_OK(ch_http_new(&cfg, &h, &err));
    rc = ch_http_run(h, "CREATE DATABASE IF NOT EXISTS x", &err);
    ch_http_free(h);
    return rc;
}

static void certificates_are_checked(void **state)
{
    (void)state;
    CHECK_OK(
        try_with(&(struct ch_http_cfg){ .endpoints = { server.tls_url }, .ca_file = server.ca_file }, ""));
    assert_int_equal(try_with(&(struct ch_http_cfg){ .endpoints = { server.tls_url } }, ""),
                     TW_EPERM); /* nobody knows it */
    assert_int_equal(
        try_with(&(struct ch_http_cfg){ .endpoints = { server.tls_url }, .ca_file = "/nowhere" }, ""),
        TW_EPERM);
}

static void passwords_are_checked(void **state)
{
    (void)state;
    CHECK_OK(try_with(
        &(struct ch_http_cfg){ .endpoints = { server.tls_url }, .ca_file = server.ca_file, .user = CH_USER },
        CH_PASSWORD));
    assert_int_equal(try_with(&(struct ch_http_cfg){ .endpoints = { server.url }, .user = CH_USER }, "wrong"),
                     TW_EPERM);
    assert_null(strstr(err.text, "wrong"));
    assert_int_equal(try_with(&(struct ch_http_cfg){ .endpoints = { server.url }, .user = "nobody" }, "x"),
                     TW_EPERM);
}

/* Keys tell what is there already. A server that leaves out what it had before would confirm, of replicas,
 * what has no quorum yet; from 26.2 on insert_deduplicate=0 does not keep it from that. */
static void a_repetition_is_stored(void **state)
{
    const struct ch_http_cfg cfg = { .endpoints = { server.url },
                                     .n_endpoints = 1,
                                     .insert_settings = "insert_deduplicate=0" };
    static const char insert[] = "INSERT INTO r (v) FORMAT RowBinary",
                      window[] = "non_replicated_deduplication_window";
    struct ch_http *h = NULL;
    char text[200];
    int64_t v = 1, sum;
    uint64_t rows;

    (void)state;
    snprintf(text, sizeof text, "CREATE TABLE r (v Int64) ENGINE = MergeTree() ORDER BY v SETTINGS %s = 100",
             window);
    if (ch_http_run(http, text, &err)) {
        assert_non_null(strstr(err.text, window)); /* 18.16 does so of replicas only */
        return;
    }
    CHECK_OK(ch_http_new(&cfg, &h, &err));
    ch_http_ask_settings(h);
    for (int i = 0; i < 3; i++)
        CHECK_OK(ch_http_insert(h, insert, &v, sizeof v, &err));
    CHECK_OK(ch_http_run(h, "INSERT INTO r VALUES (2)", &err));
    CHECK_OK(ch_http_run(h, "INSERT INTO r VALUES (2)", &err));
    CHECK_OK(ch_http_run(h, "INSERT INTO r SELECT v FROM r ORDER BY v", &err));
    CHECK_OK(ch_http_run(h, "INSERT INTO r SELECT v FROM r WHERE v = 1 ORDER BY v LIMIT 3", &err));
    CHECK_OK(sum_of("SELECT toUInt8(1), v FROM r FORMAT RowBinary", &sum, &rows));
    assert_int_equal(rows, 13);
    assert_int_equal(sum, 17);
    ch_http_free(h);
}

/* Of a replica's queue, in the forms of old and current releases. */
static void entries_that_bring_rows_are_told(void **state)
{
#define HEAD "format version: 4\\ncreate_time: 2026-01-01 00:00:00\\nsource replica: r1\\nblock_id: "
    static const struct {
        const char *entry;
        bool brings;
    } rows[] = { { HEAD "20000_1_2\\nget\\n20000_0_0_0", true },
                 { HEAD "\\nattach\\n20000_0_0_0\\npart_checksum: 0A", true },
                 { HEAD "\\nmerge\\n1_0_0_0\\n1_1_1_0\\ninto\\n1_0_1_1\\ndeduplicate: 0", false },
                 { HEAD "\\nlog_entry_id: x\\nmerge\\n1_0_0_0\\ninto\\n1_0_0_1\\n", false },
                 { HEAD "\\nlog_entry_id: x\\nget\\n1_0_0_0", true },
                 { HEAD "\\nmutate\\n1_0_0_0\\nto\\n1_0_0_0_1\\n", false },
                 { HEAD "\\ndrop\\n20000_0_5_999999999\\n", false },
                 { HEAD "\\nreplace_range\\ndrop_range_name: x\\n", true } };
    char text[600];
    int64_t brings;
    uint64_t n;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        snprintf(text, sizeof text,
                 "SELECT toUInt8(1), toInt64(" CH_SYNC_BRINGS
                 ") FROM (SELECT '%s' AS value) FORMAT RowBinary",
                 rows[i].entry);
        CHECK_OK(sum_of(text, &brings, &n));
        if (brings != rows[i].brings)
            fail_msg("%s", rows[i].entry);
    }
}

/* What was confirmed is there after the server was killed at once. */
static void what_is_confirmed_outlives_a_kill(void **state)
{
    int64_t sum;
    uint64_t rows;

    (void)state;
    CHECK_OK(ch_http_run(
        http, "CREATE TABLE k (v Int64) ENGINE = MergeTree() PARTITION BY tuple() ORDER BY v", &err));
    for (int64_t i = 0; i < 5; i++)
        CHECK_OK(ch_http_insert(http, "INSERT INTO k (v) FORMAT RowBinary", &i, sizeof i, &err));
    ch_server_kill(&server);
    assert_int_equal(sum_of("SELECT toUInt8(1), v FROM k FORMAT RowBinary", &sum, &rows), TW_EIO);
    ch_server_again(&server);
    CHECK_OK(sum_of("SELECT toUInt8(1), v FROM k FORMAT RowBinary", &sum, &rows));
    assert_int_equal(rows, 5);
    assert_int_equal(sum, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_rows_come),
        cmocka_unit_test(an_exception_in_the_middle_is_told),
        cmocka_unit_test(summaries_are_stored_as_they_are),
        cmocka_unit_test(certificates_are_checked),
        cmocka_unit_test(passwords_are_checked),
        cmocka_unit_test(a_repetition_is_stored),
        cmocka_unit_test(entries_that_bring_rows_are_told),
        cmocka_unit_test(what_is_confirmed_outlives_a_kill),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
