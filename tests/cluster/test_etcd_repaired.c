/* Control state in a real etcd that an operator had to repair, under controllers that go on: one of which an
 * older snapshot was restored, one whose quota was used up, and one that takes a token no more. */
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

static void find_place(const char *options)
{
    static char location[600];
    char hosts[128];

    etcd_cluster_hosts(&cluster, hosts, sizeof hosts);
    snprintf(location, sizeof location, "%s/c%s", hosts, options);
    CHECK_OK(http_location_parse(location, &etcd_location, &place, &test_err));
}

static void start_controllers(void)
{
    controller_start(&one, &place, SETTLE);
    controller_start(&two, &place, SETTLE);
}

static int start(void **state)
{
    (void)state;
    etcd_cluster_start(&cluster, 1, false);
    find_place("");
    start_controllers();
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
    unsetenv("ETCDCTL_USER");
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

/* ---- Passwords ---- */

/* Tokens that are checked by their signature, and last for long. */
static void make_keys(char options[300])
{
    char folder[] = "/tmp/twtest-jwt-XXXXXX", command[400];

    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
             "cd %s && openssl genrsa -out key.pem 2048 2>/dev/null && openssl rsa -in key.pem -pubout -out "
             "pub.pem "
             "2>/dev/null",
             folder);
    assert_int_equal(system(command), 0);
    snprintf(options, 300, "jwt,pub-key=%s/pub.pem,priv-key=%s/key.pem,sign-method=RS256,ttl=1h", folder,
             folder);
}

static void remove_keys(const char *options)
{
    char command[100];
    const char *at = strchr(options, '=') + 1;

    snprintf(command, sizeof command, "rm -r %.*s", (int)(strstr(at, "/pub.pem") - at), at);
    assert_int_equal(system(command), 0);
}

static int start_with_password(void **state)
{
    static const char *const commands[][2] = { { "user add root:pw", "created" },
                                               { "user grant-role root root", "granted" },
                                               { "auth enable", "Enabled" } };
    char jwt[300], path[100], options[200];
    FILE *f;

    if (*state) {
        make_keys(jwt);
        setenv("ETCD_AUTH_TOKEN", jwt, 1);
    }
    etcd_cluster_start(&cluster, 1, false);
    unsetenv("ETCD_AUTH_TOKEN");
    for (size_t i = 0; i < TW_NELEM(commands); i++)
        ctl(commands[i][0], commands[i][1]);
    setenv("ETCDCTL_USER", "root:pw", 1);
    snprintf(path, sizeof path, "%s/password", cluster.folder);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "pw\n");
    assert_int_equal(fclose(f), 0);
    snprintf(options, sizeof options, "?user=root&password-file=%s", path);
    find_place(options);
    start_controllers();
    if (*state)
        remove_keys(jwt);
    return 0;
}

static void both_go_on(const char *const *names, int64_t before)
{
    CHECK_OK(put(&one, names[0]));
    await_agents(&two, before + 1);
    CHECK_OK(put(&two, names[1]));
    await_agents(&one, before + 2);
    assert_true(mirror_stats(one.s).loads == 1 && mirror_stats(two.s).loads == 1);
}

/* Etcd's simple tokens are in the memory of a member. */
static void a_token_ends_with_its_member(void **state)
{
    (void)state;
    both_go_on((const char *const[]){ "a", "b" }, 0);
    etcd_member_kill(&cluster, 0);
    etcd_member_again(&cluster, 0);
    both_go_on((const char *const[]){ "c", "d" }, 2);
}

/* Those with a signature when a user or a role is changed. */
static void a_token_ends_when_users_change(void **state)
{
    (void)state;
    both_go_on((const char *const[]){ "a", "b" }, 0);
    ctl("user add other:x", "created");
    both_go_on((const char *const[]){ "c", "d" }, 2);
    etcd_member_pause(&cluster, 0, true); /* until nothing was heard for 3 s, and the watch begins anew */
    usleep(4000000);
    etcd_member_pause(&cluster, 0, false);
    both_go_on((const char *const[]){ "e", "f" }, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_restored_snapshot_is_read_anew, start, stop),
        cmocka_unit_test_setup_teardown(a_quota_that_is_used_up_is_told_and_got_over, start_small, stop),
        cmocka_unit_test_setup_teardown(a_token_ends_with_its_member, start_with_password, stop),
        cmocka_unit_test_prestate_setup_teardown(a_token_ends_when_users_change, start_with_password, stop,
                                                 (void *)"jwt"),
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
