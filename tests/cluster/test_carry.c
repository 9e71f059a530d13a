/* A history is carried from SQLite to ClickHouse by a process that is killed, and to a server that is killed
 * and stopped, at moments of a seed (CARRY_SEED=N): in the end all of it is there, once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/carry.h"
#include "db/clickhouse/ch_history.h"
#include "db/sqlite/history.h"
#include "tests/cluster/ch_pair.h"
#include "tests/cluster/ch_server.h"
#include "tests/unit/db/conform_fx.h"

static struct ch_server server;
static char file[] = "/tmp/twtest-carry-XXXXXX", path[64], location[128];
static struct fx from;

static void know_agents(struct history *h)
{
    for (int i = 1; i <= CONFORM_AGENTS; i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "INSERT INTO agent (id, name, public_key, approved, first_seen_ns, approved_ns, "
                 "last_contact_ns, software)"
                 " VALUES (%d, 'agent%d', x'00', 1, 0, 0, 0, '')",
                 i, i);
        CHECK_OK(sq_exec(sqlite_history_file(h), text, &test_err));
    }
}

static int start(void **state)
{
    (void)state;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    ch_server_start(&server);
    assert_non_null(mkdtemp(file));
    snprintf(path, sizeof path, "%s/history.db", file);
    carry_open(&from, &sqlite_history, path);
    for (int l = 0; l < STORE_LEVELS; l++)
        from.kept.from_ns[l] = INT64_MIN;
    from.seed = 815;
    know_agents(from.h);
    carry_fill(&from);
    return 0;
}

static int stop(void **state)
{
    char command[96];

    (void)state;
    from.ops->reader_close(from.r);
    from.ops->close(from.h);
    snprintf(command, sizeof command, "rm -r %s", file);
    assert_int_equal(system(command), 0);
    ch_server_stop(&server);
    curl_global_cleanup();
    return 0;
}

static enum tw_rc carry(struct carry_report *ret)
{
    const struct carry_conf conf = { .from_ops = &sqlite_history,
                                     .to_ops = &clickhouse_history,
                                     .from = path,
                                     .to = location,
                                     .owner = 4711,
                                     .patience_ns = 20 * TW_NS_PER_S };

    return carry_history(&conf, ret, &test_err);
}

static pid_t carry_apart(void)
{
    struct carry_report report;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid)
        return pid;
    _exit(carry(&report) != TW_OK);
}

/* Within that time: 0, by itself; 1: it was killed. */
static int kill_after(pid_t pid, unsigned ms)
{
    int status;

    for (unsigned at = 0; at < ms; at += 5) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
            return 0;
        }
        usleep(5000);
    }
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return 1;
}

static void same_there(void)
{
    struct fx to;

    carry_open(&to, &clickhouse_history, location);
    to.kept = from.kept;
    carry_same(&from, &to);
    to.ops->reader_close(to.r);
    to.ops->close(to.h);
}

static void a_process_that_is_killed(void **state)
{
    const char *other = getenv("CARRY_SEED");
    unsigned seed = other ? (unsigned)atoi(other) : 28, kills = 0, longest = 300;
    struct carry_report report;

    (void)state;
    snprintf(location, sizeof location, "%s/killed", server.endpoint);
    while (kill_after(carry_apart(), 50 + (unsigned)rand_r(&seed) % longest)) {
        struct history *h;
        enum tw_rc rc =
            clickhouse_history.open(&(struct history_conf){ .location = location }, &h, &test_err);
        if (!rc) /* it had not begun */
            clickhouse_history.close(h);
        else
            assert_int_equal(rc, TW_EINUSE);
        kills++;
        longest += longest / 4; /* however slow the machine is */
    }
    print_message("killed %u times\n", kills);
    assert_true(kills > 3);
    CHECK_OK(carry(&report));
    assert_true(report.was_there && report.rows > 1000);
    same_there();
}

static void a_server_that_is_killed_and_stopped(void **state)
{
    struct carry_report report;
    unsigned seed = 7;
    int status;
    pid_t pid;

    (void)state;
    snprintf(location, sizeof location, "%s/away", server.endpoint);
    pid = carry_apart();
    for (int i = 0; i < 4; i++) {
        usleep(200000 + (unsigned)rand_r(&seed) % 400000);
        if (i % 2) {
            kill(server.pid, SIGSTOP);
            usleep(500000);
            kill(server.pid, SIGCONT);
        } else {
            ch_server_kill(&server);
            ch_server_again(&server);
        }
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status)) /* what is read back at the end is not asked for again */
        CHECK_OK(carry(&report));
    same_there();
}

/* Onto replicas, one of which is killed meanwhile; in the end it has all of it by itself. */
/* One that was killed gets what it has missed before it is asked. */
static void until_it_opens(void)
{
    const struct history_conf conf = { .location = location };
    struct history *h = NULL;
    enum tw_rc rc = TW_EAGAIN;

    for (int i = 0; i < 120 && rc; i++) {
        rc = clickhouse_history.open(&conf, &h, &test_err);
        if (rc)
            usleep(500000);
    }
    CHECK_OK(rc);
    clickhouse_history.close(h);
}

static void until_it_is_carried(void)
{
    struct carry_report report;
    enum tw_rc rc = TW_EAGAIN;

    for (int i = 0; i < 120 && rc; i++) {
        rc = carry(&report);
        if (rc)
            usleep(500000);
    }
    CHECK_OK(rc);
}

static void replicas_one_of_which_is_killed(void **state)
{
    struct ch_pair pair;
    struct history *h;
    int status;
    pid_t pid;

    (void)state;
    if (getenv(CH_CURRENT))
        skip(); /* it has no replicas */
    ch_pair_start(&pair);
    ch_pair_location(&pair, 0, "carried", 0, location, sizeof location);
    CHECK_OK(clickhouse_history.open(&(struct history_conf){ .location = location }, &h, &test_err));
    clickhouse_history.close(h); /* tables are there */
    pid = carry_apart();
    usleep(700000);
    ch_server_kill(&pair.r[0]);
    usleep(1000000);
    ch_server_again(&pair.r[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status))
        until_it_is_carried();
    for (int i = 0; i < 2; i++) {
        snprintf(location, sizeof location, "%s/carried?cluster=" CH_PAIR_CLUSTER "&quorum=1",
                 pair.r[i].endpoint);
        until_it_opens();
        same_there();
    }
    ch_pair_stop(&pair);
}

/* What is not the same is not said to be there. */
static void a_row_that_is_missing_is_found(void **state)
{
    struct carry_report report;
    struct history *h;
    char command[400];

    (void)state;
    snprintf(location, sizeof location, "%s/short", server.endpoint);
    CHECK_OK(carry(&report));
    snprintf(command, sizeof command,
             "curl -sf '%s/' -d \"ALTER TABLE short.cell_1h DELETE WHERE pair_id = 2\" >/dev/null",
             server.url);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < 100 && !carry(&report); i++)
        usleep(100000);
    assert_int_equal(carry(&report), TW_ECORRUPT);
    assert_non_null(strstr(test_err.text, "cells of 1h"));
    assert_int_equal(
        clickhouse_history.open(&(struct history_conf){ .location = location, .owner = 1 }, &h, &test_err),
        TW_EINUSE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_process_that_is_killed),
                                        cmocka_unit_test(a_server_that_is_killed_and_stopped),
                                        cmocka_unit_test(replicas_one_of_which_is_killed),
                                        cmocka_unit_test(a_row_that_is_missing_is_found) };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, start, stop);
}
