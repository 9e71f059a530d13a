/* Control state in a real etcd that an operator had to repair, under controllers that go on: one of which an
 * older snapshot was restored, and one whose quota was used up. */
#include <curl/curl.h>

#include "common/net/now.h"
#include "db/etcd/etcd.h"
#include "tests/cluster/etcd_server.h"
#include "tests/unit/db/etcd/mirror_fx.h"

#define SETTLE (15 * TW_NS_PER_S)
#define QUOTA "4194304"
#define JUNK (1 << 20)

static struct etcd_cluster cluster;
static struct http_location place;
static struct controller one, two;

static int start(void **state)
{
    static char location[600];
    char hosts[128];

    (void)state;
    etcd_cluster_start(&cluster, 1, false);
    etcd_cluster_hosts(&cluster, hosts, sizeof hosts);
    snprintf(location, sizeof location, "%s/c", hosts);
    CHECK_OK(http_location_parse(location, &etcd_location, &place, &test_err));
    controller_start(&one, &place, SETTLE);
    controller_start(&two, &place, SETTLE);
    return 0;
}

static int start_small(void **state)
{
    setenv("ETCD_QUOTA_BACKEND_BYTES", QUOTA, 1);
    start(state);
    unsetenv("ETCD_QUOTA_BACKEND_BYTES");
    return 0;
}

static int stop(void **state)
{
    (void)state;
    controller_stop(&one);
    controller_stop(&two);
    etcd_cluster_stop(&cluster);
    return 0;
}

static void ctl(const char *arguments, const char *said)
{
    char line[256];

    etcd_cluster_ctl(&cluster, arguments, line, sizeof line);
    if (!strstr(line, said))
        fail_msg("etcdctl %s: %s", arguments, line);
}

/* What etcd says of it. */
static enum tw_rc put(struct controller *c, const char *name)
{
    struct store_agent a = { .public_key = { 1 } };
    enum tw_rc rc = TW_EAGAIN;

    snprintf(a.name, sizeof a.name, "%s", name);
    for (int tries = 0; rc == TW_EAGAIN && tries < 50; tries++) {
        a.id = 0;
        rc = store_begin(c->s, &test_err);
        if (rc)
            return rc;
        CHECK_OK(store_put_agent(c->s, &a, &test_err));
        rc = store_commit(c->s, &test_err);
    }
    return rc;
}

/* Until the mirror has so many agents. */
static void await_agents(struct controller *c, int64_t n)
{
    int64_t have = -1;

    for (int i = 0; i < 3000 && have != n; i++) {
        (void)store_follow(c->s, &test_err); /* etcd may not answer yet */
        have = sql_int(c->file, "SELECT count(*) FROM agent");
        usleep(10000);
    }
    assert_int_equal(have, n);
}

static void restore(const char *file)
{
    char command[600];

    etcd_member_kill(&cluster, 0);
    snprintf(command, sizeof command, "rm -rf %s/data0", cluster.folder);
    assert_int_equal(system(command), 0);
    snprintf(command, sizeof command,
             "snapshot restore %s --name m0 --initial-cluster m0=http://127.0.0.1:%u "
             "--initial-advertise-peer-urls http://127.0.0.1:%u --data-dir %s/data0 && echo restored",
             file, cluster.member[0].peer_port, cluster.member[0].peer_port, cluster.folder);
    ctl(command, "restored");
    etcd_member_again(&cluster, 0);
}

static void a_restored_snapshot_is_read_anew(void **state)
{
    char file[100], command[120];

    (void)state;
    assert_int_equal(put(&one, "ams"), TW_OK);
    snprintf(file, sizeof file, "%s/snapshot", cluster.folder);
    snprintf(command, sizeof command, "snapshot save %s", file);
    ctl(command, "saved");
    for (char name[] = "a"; name[0] <= 'e'; name[0]++)
        assert_int_equal(put(&two, name), TW_OK);
    await_agents(&one, 6);
    restore(file);
    await_agents(&one, 1);
    await_agents(&two, 1);
    assert_int_equal(mirror_stats(one.s).revision, mirror_stats(two.s).revision);
    assert_int_equal(put(&two, "fra"), TW_OK);
    await_agents(&one, 2);
    for (char name[] = "p"; name[0] <= 'z'; name[0]++) /* past where it was before */
        assert_int_equal(put(&one, name), TW_OK);
    await_agents(&two, 13);
    assert_true(mirror_stats(one.s).loads == 2 && mirror_stats(two.s).loads <= 3);
}

static void use_up(void)
{
    char *junk = calloc(1, JUNK);
    const struct etcd_op op = { ETCD_PUT, "/junk", junk, JUNK, 0 };
    struct etcd *e = NULL;
    struct etcd_answer a;
    enum tw_rc rc = TW_OK;

    assert_non_null(junk);
    CHECK_OK(etcd_new(&place, SETTLE, &e, &test_err));
    for (int i = 0; i < 20 && !rc; i++)
        if ((rc = etcd_txn(e, &(struct etcd_txn){ .then = &op, .n_then = 1 }, &a, &test_err)) == TW_OK)
            etcd_answer_free(&a);
    assert_int_equal(rc, TW_ENOSPC);
    etcd_free(e);
    free(junk);
}

static int64_t revision(void)
{
    struct etcd *e = NULL;
    struct etcd_answer a;
    int64_t now;

    CHECK_OK(etcd_new(&place, SETTLE, &e, &test_err));
    CHECK_OK(etcd_get(e, "/junk", &a, &test_err));
    now = a.revision;
    etcd_answer_free(&a);
    etcd_free(e);
    return now;
}

static void a_quota_that_is_used_up_is_told_and_got_over(void **state)
{
    int64_t began_ns;
    char command[40];

    (void)state;
    assert_int_equal(put(&one, "ams"), TW_OK);
    use_up();
    began_ns = tw_mono_now().ns;
    assert_int_equal(put(&one, "fra"), TW_ENOSPC);
    assert_true(tw_mono_now().ns - began_ns < SETTLE / 2); /* nothing is waited for */
    assert_non_null(strstr(test_err.text, "quota"));
    assert_non_null(strstr(test_err.text, "alarm disarm"));
    await_agents(&two, 1); /* to read goes on */
    CHECK_OK(store_begin(two.s, &test_err));
    store_rollback(two.s);
    snprintf(command, sizeof command, "compact %lld", (long long)revision());
    ctl(command, "compacted");
    ctl("defrag", "Finished");
    ctl("alarm disarm", "NOSPACE");
    assert_int_equal(put(&one, "fra"), TW_OK);
    await_agents(&two, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_restored_snapshot_is_read_anew, start, stop),
        cmocka_unit_test_setup_teardown(a_quota_that_is_used_up_is_told_and_got_over, start_small, stop),
    };
    int failed;

    if (make_dir(NULL))
        return 1;
    mirror_folder = test_dir;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return remove_dir(NULL) || failed;
}
