/* What a history in ClickHouse must do when a server, or the controller, ends in the middle. What any history
 * must do is in tests/unit/db/conform_history.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "tests/cluster/ch_fx.h"
#include "tests/cluster/own_server.h"

static struct ch_server server;
static unsigned databases;

static int start(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    /* Retention goes on whatever a current release is told of accidents; 18.16 would keep what is larger. */
    ch_server_start_with(
        &server, getenv(CH_CURRENT) ? "<max_partition_size_to_drop>10</max_partition_size_to_drop>" : "");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    ch_server_stop(&server);
    curl_global_cleanup();
    return 0;
}

static int fresh_database(void **state)
{
    (void)state;
    if (!server.pid)
        ch_server_again(&server);
    snprintf(location, sizeof location, "%s/tw%u", server.endpoint, databases++);
    return 0;
}

static void each_once_whatever_is_repeated(void **state)
{
    struct history *h = open_it();
    enum store_append_result res;

    (void)state;
    CHECK_OK(commit_of(h, 1, 1, 40, &res));
    CHECK_OK(commit_of(h, 1, 21, 40, &res));
    CHECK_OK(commit_of(h, 1, 1, 60, &res));
    assert_int_equal(res, STORE_REPEATED);
    expect(1, 60);
    roll_up(h);
    assert_true(read_cells(1).cells > 0);
    expect(1, 60);
    CHECK_OK(commit_of(h, 1, 61, 3, &res)); /* not in a cell yet, beside what is */
    expect(1, 63);
    clickhouse_history.close(h);
    h = open_it();
    CHECK_OK(commit_of(h, 1, 50, 20, &res));
    roll_up(h);
    expect(1, 69);
    clickhouse_history.close(h);
}

/* As a controller that is killed leaves it: a part of a commit is at the server, the rest never comes. */
static void leave_half(uint64_t first, size_t n)
{
    struct history *h = open_it();
    struct ch_history *own = (struct ch_history *)h;
    enum store_append_result res;

    CHECK_OK(clickhouse_history.begin(h, &err));
    CHECK_OK(append(h, 1, first, n, &res));
    own->marks.table = "nowhere"; /* the last insert, with which it would be done */
    assert_int_equal(clickhouse_history.commit(h, &err), TW_ENOENT);
    clickhouse_history.close(h);
}

static void half_a_commit_is_none(void **state)
{
    struct history *h;
    enum store_append_result res;

    (void)state;
    h = open_it();
    CHECK_OK(commit_of(h, 1, 1, 10, &res));
    clickhouse_history.close(h);
    leave_half(11, 10);
    expect(1, 10); /* of the half nothing is to be seen */
    h = open_it();
    CHECK_OK(commit_of(h, 2, 1, 5, &res)); /* another commit does not make it whole */
    roll_up(h);
    expect(1, 10);
    CHECK_OK(commit_of(h, 1, 11, 10, &res)); /* its agent sends it again */
    assert_int_equal(res, STORE_APPENDED);
    expect(1, 20);
    roll_up(h);
    expect(1, 20);
    expect(2, 5);
    clickhouse_history.close(h);
}

/* ---- A server that is killed ---- */

struct killer {
    pthread_t thread;
    useconds_t after_us;
};

static void *kill_later(void *ctx)
{
    usleep(((struct killer *)ctx)->after_us);
    kill(server.pid, SIGKILL);
    return NULL;
}

/* Numbers first..first+4 of pair 1, again until it is confirmed. Returns how often it failed. */
static unsigned store_for_sure(struct history *h, uint64_t first)
{
    enum store_append_result res;
    unsigned failed = 0;
    enum tw_rc rc;

    while ((rc = commit_of(h, 1, first, 5, &res)) != TW_OK) {
        failed++;
        if (rc != TW_EIO && rc != TW_ETIMEOUT && rc != TW_ECLOSED)
            fail_msg("%s", err.text);
        ch_server_kill(&server); /* reaps it */
        ch_server_again(&server);
    }
    return failed;
}

/* At any moment of commits and roll-ups: whatever was not confirmed is sent again. A commit takes some
 * milliseconds. */
static void a_killed_server_loses_and_doubles_nothing(void **state)
{
    struct history *h = open_it();
    unsigned kills = getenv("TW_TEST_LONG") ? 100 : 5, failed = 0;
    uint64_t seq = 1;

    (void)state;
    for (unsigned i = 0; i < kills; i++) {
        struct killer k = { .after_us = (useconds_t)(i * 997 % 12000) };
        unsigned before = failed;
        bool more;
        assert_int_equal(pthread_create(&k.thread, NULL, kill_later, &k), 0);
        for (; failed == before; seq += 5) {
            failed += store_for_sure(h, seq);
            if (failed == before && seq % 3 == 0 &&
                clickhouse_history.rollup(h, DAY0 + (int64_t)seq * 3600 * TW_NS_PER_S, 10, &more, &err))
                failed++;
        }
        pthread_join(k.thread, NULL);
        ch_server_kill(&server);
        ch_server_again(&server);
        expect(1, seq - 1);
    }
    assert_true(failed >= kills);
    roll_up(h);
    expect(1, seq - 1);
    clickhouse_history.close(h);
}

/* The controller ends in the middle of a roll-up. */
static void a_round_that_broke_off_counts_nothing_twice(void **state)
{
    struct history *h = open_it();
    struct ch_history *own = (struct ch_history *)h;
    enum store_append_result res;
    bool more = true;

    (void)state;
    CHECK_OK(commit_of(h, 1, 1, 30, &res));
    CHECK_OK(commit_of(h, 2, 1, 30, &res));
    CHECK_OK(clickhouse_history.rollup(h, DAY0 + CH_DAY_NS, 10, &more, &err)); /* pair 1 */
    assert_true(more);
    assert_int_equal(own->view.rolled_no, 0);
    expect(1, 30); /* in cells of a round that is not done */
    expect(2, 30);
    clickhouse_history.close(h);
    h = open_it();
    CHECK_OK(commit_of(h, 1, 31, 30, &res));
    expect(1, 60);
    roll_up(h);
    expect(1, 60);
    expect(2, 30);
    roll_up(h);
    expect(1, 60);
    clickhouse_history.close(h);
}

/* ---- Retention ---- */

static enum tw_rc note_done(void *ctx, size_t group, enum store_level level, struct tw_err *e)
{
    (void)group;
    (void)e;
    ((unsigned *)ctx)[level]++;
    return TW_OK;
}

static void retain(struct history *h, const struct history_retention *r)
{
    CHECK_OK(clickhouse_history.begin(h, &err));
    for (bool more = true; more;)
        CHECK_OK(clickhouse_history.retain(h, r, &more, &err));
    CHECK_OK(clickhouse_history.commit(h, &err));
}

/* What goes is in its cells before, and what comes after that is added to them. */
static void days_go_and_their_cells_stay(void **state)
{
    struct history *h = open_it();
    struct history_retention r = { .now_ns = DAY0 + 40 * CH_DAY_NS };
    enum store_append_result res;

    (void)state;
    for (int l = 0; l < STORE_LEVELS; l++)
        r.from_ns[l] = l < STORE_1H ? DAY0 + 30 * CH_DAY_NS : DAY0;
    CHECK_OK(commit_of(h, 1, 1, 64, &res));
    CHECK_OK(commit_of(h, 1, 65, 64, &res));
    retain(h, &r);
    assert_int_equal(read_raw(1).rows, 0);
    assert_int_equal(read_hours(1).rows, 128);
    clickhouse_history.close(h);
    h = open_it();
    CHECK_OK(commit_of(h, 1, 129, 10, &res)); /* late, of a day that is gone */
    assert_int_equal(read_hours(1).rows, 138);
    roll_up(h);
    retain(h, &r);
    assert_int_equal(read_raw(1).rows, 0);
    assert_int_equal(read_hours(1).rows, 138);
    assert_int_equal(read_hours(1).delay_sum, INT64_C(138) * 139 / 2 * 1000);
    clickhouse_history.close(h);
}

static void rename_table(struct history *base, const char *from, const char *to)
{
    struct ch_history *h = (struct ch_history *)base;

    ch_sql_begin(&h->db.sql, "RENAME TABLE %s.%s TO %s.%s", h->db.name, from, h->db.name, to);
    CHECK_OK(ch_run(h->db.http, &h->db.sql, &err));
}

/* What is logged from now on. */
static FILE *listen_to_log(void)
{
    FILE *f = tmpfile();

    assert_non_null(f);
    log_init("test", LOG_WARN_, LOG_TEXT);
    log_to(fileno(f));
    return f;
}
static void assert_logged(FILE *f, const char *what)
{
    char text[4096];
    size_t n;

    rewind(f);
    n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    assert_non_null(strstr(text, what));
    log_to(2);
    fclose(f);
}

/* A disk that fills up for that is not a riddle then. */
static void what_cannot_be_dropped_is_told_and_dropped_later(void **state)
{
    struct history *h = open_it();
    struct history_retention r = { .now_ns = DAY0 + 400 * CH_DAY_NS };
    enum store_append_result res;
    bool more = true;
    FILE *log;

    (void)state;
    for (int l = 0; l < STORE_LEVELS; l++)
        r.from_ns[l] = l < STORE_1H ? DAY0 + 390 * CH_DAY_NS : DAY0;
    CHECK_OK(commit_of(h, 1, 1, 64, &res));
    roll_up(h);
    CHECK_OK(clickhouse_history.begin(h, &err));
    while (more)
        CHECK_OK(clickhouse_history.retain(h, &r, &more, &err));
    rename_table(h, ch_level_tables[1], "away");
    log = listen_to_log();
    CHECK_OK(clickhouse_history.commit(h, &err));
    rename_table(h, "away", ch_level_tables[1]);
    assert_logged(log, "history that is too old stays on the disk");
    assert_int_not_equal(read_cells(1).rows, 0);
    retain(h, &r);
    assert_int_equal(read_raw(1).rows, 0);
    assert_int_equal(read_hours(1).rows, 64);
    clickhouse_history.close(h);
}

static void pairs_that_keep_less_lose_their_rows(void **state)
{
    struct history *h = open_it();
    const uint64_t pair = 1;
    struct history_group g = { .pair_ids = &pair, .n_pairs = 1 };
    unsigned done[STORE_LEVELS] = { 0 };
    struct history_retention r = {
        .now_ns = DAY0 + 2 * CH_DAY_NS, .groups = &g, .n_groups = 1, .done = note_done, .ctx = done
    };
    enum store_append_result res;

    (void)state;
    for (int l = 0; l < STORE_LEVELS; l++) {
        g.done_ns[l] = INT64_MIN;
        g.from_ns[l] = l < STORE_1H ? DAY0 + CH_DAY_NS : DAY0;
        r.from_ns[l] = DAY0;
    }
    CHECK_OK(commit_of(h, 1, 1, 20, &res));
    CHECK_OK(commit_of(h, 2, 1, 20, &res));
    retain(h, &r);
    assert_int_equal(done[STORE_RAW], 1);
    assert_int_equal(done[STORE_10MIN], 1);
    assert_int_equal(done[STORE_1H], 0);
    assert_int_equal(read_raw(1).rows, 0);
    assert_int_equal(read_hours(1).rows, 20);
    expect(2, 20);
    clickhouse_history.close(h);
}

/* The question is understood by servers of all releases. */
static void an_unknown_cluster_is_named(void **state)
{
    struct history *h = NULL;
    char in_cluster[160];

    (void)state;
    snprintf(in_cluster, sizeof in_cluster, "%s?cluster=nowhere", location);
    assert_int_equal(clickhouse_history.open(&(struct history_conf){ .location = in_cluster }, &h, &err),
                     TW_ENOENT);
    assert_non_null(strstr(err.text, "it knows no cluster nowhere"));
}

static void a_newer_database_is_left_alone(void **state)
{
    struct history *h = open_it();
    struct ch_history *own = (struct ch_history *)h;

    (void)state;
    ch_sql_begin(&own->db.sql, "INSERT INTO %s.schema_version (version) VALUES (99)", own->db.name);
    CHECK_OK(ch_run(own->db.http, &own->db.sql, &err));
    clickhouse_history.close(h);
    assert_int_equal(clickhouse_history.open(&(struct history_conf){ .location = location }, &h, &err),
                     TW_EVERSION);
    assert_non_null(strstr(err.text, "newer release"));
}

static void columns_of_newer_counters_are_added(void **state)
{
    struct history *h = open_it();
    struct ch_history *own = (struct ch_history *)h;
    enum store_append_result res;

    (void)state;
    CHECK_OK(commit_of(h, 1, 1, 3, &res));
    ch_sql_begin(&own->db.sql, "ALTER TABLE %s.summary DROP COLUMN windows_unknown", own->db.name);
    CHECK_OK(ch_run(own->db.http, &own->db.sql, &err));
    clickhouse_history.close(h);
    h = open_it();
    CHECK_OK(commit_of(h, 1, 4, 3, &res));
    expect(1, 6);
    clickhouse_history.close(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_once_whatever_is_repeated, fresh_database),
        cmocka_unit_test_setup(half_a_commit_is_none, fresh_database),
        cmocka_unit_test_setup(a_killed_server_loses_and_doubles_nothing, fresh_database),
        cmocka_unit_test_setup(a_round_that_broke_off_counts_nothing_twice, fresh_database),
        cmocka_unit_test_setup(days_go_and_their_cells_stay, fresh_database),
        cmocka_unit_test_setup(what_cannot_be_dropped_is_told_and_dropped_later, fresh_database),
        cmocka_unit_test_setup(pairs_that_keep_less_lose_their_rows, fresh_database),
        cmocka_unit_test_setup(an_unknown_cluster_is_named, fresh_database),
        cmocka_unit_test_setup(a_newer_database_is_left_alone, fresh_database),
        cmocka_unit_test_setup(columns_of_newer_counters_are_added, fresh_database),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
