/* Control state in etcd and its mirrors, against an etcd in memory that goes wrong in every way that a real
 * one can. */
#include "tests/unit/db/db_fixture.h"

#include "db/etcd/mirror_key.h"
#include "db/sqlite/history.h"
#include "tests/unit/db/etcd/fake_etcd.h"
#include "tests/unit/db/etcd/mirror_fx.h"

#define SETTLE (300 * TW_NS_PER_MS)

static const struct http_location place = { .endpoints = { "http://e1:2379" },
                                            .n_endpoints = 1,
                                            .name = "c" };

/* ---- The suite of control state ---- */

static struct controller alone;

static void make(char name[CONTROL_PLACE])
{
    fake_etcd_reset();
    strcpy(name, "");
    alone.file[0] = '\0';
}

static void open_mirror(const char *name, struct store **ret, struct store_reader **ret_reader)
{
    (void)name;
    if (alone.file[0])
        controller_restart(&alone, &place, SETTLE);
    else
        controller_start(&alone, &place, SETTLE);
    *ret = alone.s;
    *ret_reader = alone.r;
}

static void close_mirror(struct store *s, struct store_reader *r)
{
    (void)s;
    (void)r;
    controller_stop(&alone);
}

/* ---- Two controllers ---- */

static struct controller one, two;

static int setup(void **state)
{
    (void)state;
    fake_etcd_reset();
    controller_start(&one, &place, SETTLE);
    controller_start(&two, &place, SETTLE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_etcd_down(false);
    fake_etcd_faults(0, 0);
    controller_stop(&one);
    controller_stop(&two);
    return 0;
}

static void put_named(struct controller *c, int64_t *id, const char *name)
{
    struct store_agent a = { .id = *id,
                             .public_key = { 1, 0xab },
                             .enrolment = (char[]){ "{\"x\":\"\xc3\xa9\"}" } };

    snprintf(a.name, sizeof a.name, "%s", name);
    CHECK_OK(store_begin(c->s, &test_err));
    CHECK_OK(store_put_agent(c->s, &a, &test_err));
    *id = a.id;
}

static enum tw_rc commit(struct controller *c)
{
    return store_commit(c->s, &test_err);
}

/* Waits until it comes, after so many tries that etcd was in the way of. */
static void await_after(struct controller *c, const char *key, unsigned failures)
{
    unsigned failed = 0;

    for (int i = 0; i < 500 && strcmp(c->last, key) != 0; i++) {
        enum tw_rc rc = store_follow(c->s, &test_err);

        assert_true(rc == TW_OK || rc == TW_EIO);
        failed += rc != TW_OK;
        usleep(10000);
    }
    assert_string_equal(c->last, key);
    assert_int_equal(failed, failures);
}

static void await(struct controller *c, const char *key)
{
    await_after(c, key, 0);
}

static void rows_can_be_read_in_etcd(void **state)
{
    struct store_pair p[] = {
        { .mesh = "core", .class_name = "v", .source = "a/b", .target = "x", .slot = 7 },
        { .mesh = "core", .class_name = "v", .source = "a/b", .target = "y" }
    };
    const struct store_expectation x = { .report_period_ns = INT64_MAX, .flows = 2 };
    char want[200];
    int64_t id = 0;

    (void)state;
    put_named(&one, &id, "ams");
    for (int i = 0; i < 2; i++)
        CHECK_OK(store_put_pair(one.s, &p[i], &test_err));
    CHECK_OK(store_pair_scheduled(one.s, p[1].id, 3, &x, 99, &test_err));
    assert_int_equal(commit(&one), TW_OK);
    assert_string_equal(
        fake_etcd_value("/twampmesh/c/agent/1"),
        "{\"id\":1,\"name\":\"ams\",\"public_key\":"
        "\"01AB000000000000000000000000000000000000000000000000000000000000\","
        "\"approved\":0,\"first_seen_ns\":0,\"approved_ns\":0,\"last_contact_ns\":0,\"software\":\"\","
        "\"enrolment\":\"{\\\"x\\\":\\\"\xc3\xa9\\\"}\",\"ops\":null}");
    snprintf(want, sizeof want,
             "{\"columns\":[\"id\",\"target\",\"slot\"],\"rows\":[[%llu,\"x\",7],[%llu,\"y\",0]]}",
             (unsigned long long)p[0].id, (unsigned long long)p[1].id);
    if (p[0].id > p[1].id)
        snprintf(want, sizeof want,
                 "{\"columns\":[\"id\",\"target\",\"slot\"],\"rows\":[[%llu,\"y\",0],[%llu,\"x\",7]]}",
                 (unsigned long long)p[1].id, (unsigned long long)p[0].id);
    assert_string_equal(fake_etcd_value("/twampmesh/c/pair/core/v/a%2Fb"), want);
    assert_non_null(
        strstr(fake_etcd_value("/twampmesh/c/pair_interval/core/v/a%2Fb"), "9223372036854775807"));
    assert_non_null(strstr(fake_etcd_value("/twampmesh/c/head"), "\"txn\":1"));
    assert_non_null(strstr(fake_etcd_value("/twampmesh/c/schema"), "\"version\":"));
}

static void what_one_does_the_other_gets(void **state)
{
    struct store_agent a = { .id = 1 };
    int64_t id = 0;

    (void)state;
    put_named(&one, &id, "ams");
    assert_int_equal(commit(&one), TW_OK);
    await(&two, "agent/1");
    CHECK_OK(store_begin(two.s, &test_err));
    strcpy(a.name, "fra");
    CHECK_OK(store_put_agent(two.s, &a, &test_err));
    assert_int_equal(commit(&two), TW_OK);
    await(&one, "agent/1");
    assert_int_equal(mirror_stats(one.s).revision, mirror_stats(two.s).revision);
    assert_int_equal(mirror_stats(one.s).loads, 1); /* only at first */
}

/* Names are still free, and numbers the highest, when a transaction is done. */
static void who_comes_second_decides_anew(void **state)
{
    int64_t a = 0, b = 0, c = 0;

    (void)state;
    put_named(&one, &a, "ams");
    put_named(&two, &b, "ams");
    assert_int_equal(a, b);
    assert_int_equal(commit(&two), TW_OK);
    assert_int_equal(commit(&one), TW_EAGAIN);
    assert_non_null(strstr(test_err.text, "another controller"));
    CHECK_OK(store_begin(one.s, &test_err));
    assert_int_equal(store_put_agent(one.s, &(struct store_agent){ .name = "ams" }, &test_err), TW_EEXIST);
    store_rollback(one.s);
    put_named(&one, &c, "fra"); /* at once */
    assert_true(c > b);
    assert_int_equal(commit(&one), TW_OK);
    assert_int_equal(mirror_stats(one.s).conflicts, 1);
}

/* Whoever finds nothing to do must have seen what is true; who asks nothing needs no etcd. */
static void nothing_to_do_is_a_decision_too(void **state)
{
    (void)state;
    CHECK_OK(store_begin(two.s, &test_err));
    CHECK_OK(store_begin(one.s, &test_err));
    CHECK_OK(store_agent_lost(one.s, "ams", 5, &test_err));
    assert_int_equal(commit(&one), TW_OK);
    CHECK_OK(store_agent_found(two.s, "ams", 7, &test_err)); /* it was not away, for all it knows */
    assert_int_equal(commit(&two), TW_EAGAIN);
    CHECK_OK(store_begin(two.s, &test_err));
    CHECK_OK(store_agent_found(two.s, "ams", 7, &test_err));
    assert_int_equal(commit(&two), TW_OK);
    assert_non_null(strstr(fake_etcd_value("/twampmesh/c/absence/ams"), "\"agent_down\""));
    fake_etcd_down(true);
    CHECK_OK(store_begin(two.s, &test_err));
    assert_int_equal(commit(&two), TW_OK);
}

static void who_holds_it_no_more_does_nothing(void **state)
{
    struct etcd_answer a;
    int64_t id = 0, number;

    (void)state;
    fake_etcd_put("/twampmesh/c/holder/planner", "one");
    CHECK_OK(etcd_get(NULL, "/twampmesh/c/holder/planner", &a, &test_err));
    number = a.kv[0].create_revision;
    etcd_answer_free(&a);
    store_fence(one.s, "planner", number);
    put_named(&one, &id, "ams");
    assert_int_equal(commit(&one), TW_OK);
    id = 0;
    put_named(&one, &id, "fra");
    fake_etcd_put("/twampmesh/c/holder/planner", NULL);
    assert_int_equal(commit(&one), TW_EPERM);
    assert_non_null(strstr(test_err.text, "does not hold"));
    fake_etcd_put("/twampmesh/c/holder/planner", "two"); /* with another number */
    id = 0;
    put_named(&one, &id, "fra");
    assert_int_equal(commit(&one), TW_EPERM);
    fake_etcd_down(true); /* and what is in doubt is settled by whoever */
    id = 0;
    put_named(&one, &id, "fra");
    assert_int_equal(commit(&one), TW_ETIMEOUT);
    fake_etcd_down(false);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/agent/"), 1);
    store_fence(one.s, "", 0);
    id = 0;
    put_named(&one, &id, "fra");
    assert_int_equal(commit(&one), TW_OK);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/agent/"), 2);
}

static void an_answer_may_get_lost(void **state)
{
    int64_t id = 0;
    enum tw_rc rc;

    (void)state;
    fake_etcd_down(true);
    put_named(&one, &id, "ams");
    rc = commit(&one);
    assert_int_equal(rc, TW_ETIMEOUT);
    assert_non_null(strstr(test_err.text, "it is not known whether"));
    assert_int_equal(store_begin(one.s, &test_err), TW_ETIMEOUT); /* and still not */
    fake_etcd_down(false);
    CHECK_OK(store_begin(one.s, &test_err));
    rc = store_put_agent(one.s, &(struct store_agent){ .name = "ams" }, &test_err);
    assert_true(rc == TW_EEXIST || rc == TW_OK); /* it is known */
    assert_int_equal(rc == TW_EEXIST, fake_etcd_keys("/twampmesh/c/agent/") == 1);
    store_rollback(one.s);
    rc = fake_etcd_keys("/twampmesh/c/agent/");
    fake_etcd_flush(true); /* what comes now comes too late */
    assert_int_equal(fake_etcd_keys("/twampmesh/c/agent/"), rc);
}

static void what_is_large_goes_in_parts(void **state)
{
    struct store_pair p = { .mesh = "core", .class_name = "v" };
    const struct store_expectation x = { .report_period_ns = 1, .flows = 2 };
    char source[16], target[16];
    unsigned n = 0, before = fake_etcd_transactions();

    (void)state;
    CHECK_OK(store_begin(one.s, &test_err));
    for (unsigned i = 0; i < 300; i++)
        for (unsigned k = 0; k < 20; k++) {
            snprintf(source, sizeof source, "s%u", i);
            snprintf(target, sizeof target, "t%u", k);
            p.source = source;
            p.target = target;
            CHECK_OK(store_put_pair(one.s, &p, &test_err));
            CHECK_OK(store_pair_scheduled(one.s, p.id, 1, &x, 5, &test_err));
        }
    CHECK_OK(store_put_generation(one.s, &(struct store_generation){ .number = 1, .time_ns = 1 }, &test_err));
    assert_int_equal(commit(&one), TW_OK);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/pair/"), 300);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/pair_interval/"), 300);
    assert_int_equal(fake_etcd_transactions() - before, 6); /* 5 of 120 and the generation */
    await(&two, "generation/1");
    for (unsigned i = 0; i < 2; i++)
        n += (unsigned)sql_int(i ? two.file : one.file,
                               "SELECT count(*) FROM pair_interval JOIN pair ON pair.id = pair_id");
    assert_int_equal(n, 12000);
}

static void put_alerts(struct controller *c, unsigned n)
{
    CHECK_OK(store_begin(c->s, &test_err));
    for (uint64_t i = 1; i <= n; i++)
        CHECK_OK(store_put_alert(c->s, &(struct store_alert){ .id = i, .changed_ns = 1, .body = "{}" },
                                 &test_err));
}

static void what_must_be_whole_is_or_is_refused(void **state)
{
    (void)state;
    put_alerts(&one, 121);
    assert_int_equal(commit(&one), TW_ERANGE);
    assert_non_null(strstr(test_err.text, "121 keys"));
    assert_int_equal(fake_etcd_keys("/twampmesh/c/alert/"), 0);
    put_alerts(&two, 119);
    put_alerts(&one, 120);
    assert_int_equal(commit(&one), TW_OK);
    assert_int_equal(commit(&two), TW_EAGAIN);
    for (unsigned i = 0; i < 3; i++) { /* 360 that are closed */
        CHECK_OK(store_begin(two.s, &test_err));
        for (uint64_t k = 0; k < 120; k++)
            CHECK_OK(store_put_alert(
                two.s, &(struct store_alert){ .id = 1000 + 120 * i + k, .changed_ns = 1, .body = "{}" },
                &test_err));
        assert_int_equal(commit(&two), TW_OK);
    }
    CHECK_OK(store_begin(two.s, &test_err));
    CHECK_OK(store_retain_alerts(two.s, 5, &test_err)); /* all of them, and no need that it is at once */
    assert_int_equal(commit(&two), TW_OK);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/alert/"), 0);
}

static void changes_that_etcd_forgot_are_read_anew(void **state)
{
    struct model nothing;
    int64_t id = 0;

    (void)state;
    model_start(&nothing);
    put_named(&one, &id, "ams");
    assert_int_equal(commit(&one), TW_OK);
    await(&two, "agent/1");
    CHECK_OK(store_begin(one.s, &test_err));
    CHECK_OK(store_remove_agent(one.s, id, &test_err));
    fake_etcd_break();
    usleep(50000); /* nobody watches for some time */
    assert_int_equal(commit(&one), TW_OK);
    fake_etcd_compact();
    fake_etcd_compact_in_reads(2);
    await_after(&two, "", 2);
    check_model(&nothing, two.s, two.r, "after a compaction");
    id = 0;
    put_named(&two, &id, "ams");
    assert_int_equal(id, 2); /* 1 was another's */
    assert_int_equal(commit(&two), TW_OK);
}

static void what_is_no_row_is_told(void **state)
{
    static const char *const bad[][2] = {
        { "agent/5", "{" },
        { "agent/5", "{\"id\":5,\"name\":7}" },
        { "agent/5", "{}" },
        { "agent/a/b", "{}" },
        { "pair/a", "{}" },
        { "agent/%zz", "{}" },
        { "access_token/x",
          "{\"id\":\"x\",\"digest\":\"0G\",\"role\":1,\"name\":\"\",\"author\":\"\",\"created_ns\":0,"
          "\"expires_ns\":0,\"revoked_ns\":0,\"used_ns\":0}" }
    };
    char key[100];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        enum tw_rc rc = TW_OK;
        snprintf(key, sizeof key, "/twampmesh/c/%s", bad[i][0]);
        fake_etcd_put(key, bad[i][1]);
        for (int k = 0; k < 500 && !rc; k++) {
            rc = store_follow(one.s, &test_err);
            usleep(10000);
        }
        if (rc != TW_ECORRUPT || !strstr(test_err.text, bad[i][0]))
            fail_msg("%s: %s: %s", key, tw_rc_name(rc), test_err.text);
        fake_etcd_put(key, NULL); /* as an operator would */
        CHECK_OK(store_follow(one.s, &test_err));
    }
    fake_etcd_put("/twampmesh/c/unknown/x", "whatever"); /* of a newer release */
    fake_etcd_put("/twampmesh/c/agent/5",
                  "{\"id\":5,\"name\":\"by "
                  "hand\",\"public_key\":\"00\",\"approved\":1,\"first_seen_ns\":1,\"approved_ns\":2,"
                  "\"last_contact_ns\":3,\"software\":\"\",\"color\":\"red\"}");
    fake_etcd_put(
        "/twampmesh/c/pair/m/v/a",
        "{ \"rows\": [[\"x\", 1, 9], [\"y\", 2]], \"columns\": [\"target\", \"id\", \"slot\", \"new\"]}");
    await(&one, "pair/m/v/a"); /* of another release, or by hand: in another order */
    assert_int_equal(
        sql_int(one.file, "SELECT sum(id * 100 + slot) FROM pair WHERE mesh = 'm' AND target >= 'x'"), 309);
    assert_int_equal(sql_int(one.file, "SELECT ops IS NULL AND approved FROM agent WHERE id = 5"), 1);
}

static void an_older_release_stays_away(void **state)
{
    struct tw_err err = { 0 };
    struct history *h = NULL;
    struct store *s = NULL;
    char path[PATH_SIZE];
    enum tw_rc rc = TW_OK;

    (void)state;
    fake_etcd_put("/twampmesh/c/schema", "{\"version\":1000,\"floor\":2}"); /* it can go on */
    await(&one, "");
    fake_etcd_put("/twampmesh/c/schema", "{\"version\":1000,\"floor\":1000}");
    for (int i = 0; i < 500 && !rc; i++) {
        rc = store_follow(one.s, &test_err);
        usleep(10000);
    }
    assert_int_equal(rc, TW_EVERSION);
    CHECK_OK(
        sqlite_history.open(&(struct history_conf){ .location = in_dir(path, "older.db") }, &h, &test_err));
    assert_int_equal(
        mirror_open(&(struct mirror_conf){ .at = &place, .file = in_dir(path, "older_mirror.db") }, h, &s,
                    &err),
        TW_EVERSION);
    assert_non_null(strstr(err.text, "newer release"));
    fake_etcd_put("/twampmesh/c/schema", "{\"version\":14,\"floor\":1}");
}

static void writing_needs_a_transaction(void **state)
{
    struct model nothing;

    (void)state;
    model_start(&nothing);
    CHECK_OK(store_put_agent(one.s, &(struct store_agent){ .name = "x" }, &test_err));
    assert_int_equal(store_begin(one.s, &test_err), TW_EINVAL);
    assert_non_null(strstr(test_err.text, "outside of a transaction"));
    CHECK_OK(store_begin(one.s, &test_err));
    store_rollback(one.s);
    check_model(&nothing, one.s, one.r, "undone");
}

static bool is_away(struct store *s)
{
    struct store_shared_info info;

    store_shared_info(s, &info);
    assert_string_equal(info.address, "e1:2379/c");
    assert_int_equal(info.away, *info.why != '\0');
    return info.away;
}

static void await_away(struct controller *c, bool away)
{
    for (int i = 0; i < 500 && is_away(c->s) != away; i++) {
        CHECK_OK(store_follow(c->s, &test_err)); /* also while nobody answers */
        usleep(10000);
    }
    assert_int_equal(is_away(c->s), away);
}

static void commit_nothing(struct controller *c)
{
    CHECK_OK(store_begin(c->s, &test_err));
    CHECK_OK(commit(c));
}

static void what_needs_no_control_state_goes_on(void **state)
{
    struct controller three = { .changed = 0 };
    int64_t id = 0;

    (void)state;
    in_dir(three.file, "look.db");
    in_dir(three.history, "look_history.db");
    three.look_ns = 10 * TW_NS_PER_MS;
    controller_restart(&three, &place, 100 * TW_NS_PER_MS);
    for (int doubt = 0; doubt < 2; doubt++) {
        fake_etcd_down(true);
        if (doubt) { /* it comes, or not, and nobody says so */
            put_named(&three, &id, "in doubt");
            assert_int_equal(commit(&three), TW_ETIMEOUT);
            assert_true(store_shared_failed(three.s));
        }
        fake_etcd_silent(true);
        await_away(&three, true);
        commit_nothing(&three);
        assert_false(store_shared_failed(three.s));
        id = 0;
        put_named(&three, &id, doubt ? "a" : "b");
        assert_int_equal(commit(&three), TW_EIO);
        assert_non_null(strstr(test_err.text, "nobody answers"));
        assert_true(store_shared_failed(three.s));
        commit_nothing(&three);
        fake_etcd_silent(false);
        fake_etcd_down(false);
        await_away(&three, false);
        id = 0;
        put_named(&three, &id, doubt ? "a" : "b");
        CHECK_OK(commit(&three));
    }
    controller_stop(&three);
}

static void writers_that_are_gone_are_forgotten(void **state)
{
    int64_t id = 0;

    (void)state;
    fake_etcd_put("/twampmesh/c/writer/old", "{\"time_s\":1}");
    fake_etcd_put("/twampmesh/c/writer/new", "{\"time_s\":99999999999}");
    fake_etcd_put("/twampmesh/c/writer/odd", "x");
    put_named(&one, &id, "ams");
    assert_int_equal(commit(&one), TW_OK);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/writer/"), 4);
    controller_stop(&one); /* its own goes */
    controller_restart(&one, &place, SETTLE);
    assert_int_equal(fake_etcd_keys("/twampmesh/c/writer/"), 2);
    assert_string_equal(fake_etcd_value("/twampmesh/c/writer/old"), "");
}

/* ---- An etcd that is not what it was ---- */

static void put_agents(struct controller *c, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t id = 0;
        put_named(c, &id, names[i]);
        assert_int_equal(commit(c), TW_OK);
    }
}

static void await_loads(struct controller *c, unsigned n)
{
    for (int i = 0; i < 500 && mirror_stats(c->s).loads < n; i++) {
        CHECK_OK(store_follow(c->s, &test_err));
        usleep(10000);
    }
    assert_int_equal(mirror_stats(c->s).loads, n);
}

static int64_t agents_in(const struct controller *c)
{
    return sql_int(c->file, "SELECT count(*) FROM agent");
}

/* Another history begins where the snapshot ends: none of what was behind it stays, and what comes is taken.
 */
static void an_older_snapshot_is_read_anew(void **state)
{
    static const char *const before[] = { "ams" }, *const after[] = { "fra", "par", "rom" };

    (void)state;
    put_agents(&one, before, 1);
    fake_etcd_save();
    put_agents(&one, after, 3);
    await(&two, "agent/4");
    fake_etcd_restore();
    await_loads(&one, 2);
    await_loads(&two, 2);
    assert_string_equal(two.last, ""); /* memory is told that anything may be different */
    assert_true(agents_in(&one) == 1 && agents_in(&two) == 1);
    assert_int_equal(mirror_stats(one.s).revision, mirror_stats(two.s).revision);
    put_agents(&two, (const char *const[]){ "oslo" }, 1);
    await(&one, "agent/5"); /* no number comes twice here, though etcd knows nothing of 2 to 4 any more */
    put_agents(&one, after, 3);
    await(&two, "agent/8");
    assert_int_equal(agents_in(&two), 5);
    assert_int_equal(mirror_stats(one.s).loads, 2);
}

/* Whoever commits before it hears of it finds that nothing fits, and reads it anew at once. */
static void a_commit_sees_that_etcd_went_back(void **state)
{
    static const char *const names[] = { "ams", "fra", "par" };
    int64_t id = 0;

    (void)state;
    put_agents(&one, names, 1);
    fake_etcd_save();
    put_agents(&one, names + 1, 2);
    fake_etcd_cut_watchers(true);
    fake_etcd_restore();
    put_named(&one, &id, "oslo");
    assert_int_equal(commit(&one), TW_EAGAIN);
    put_agents(&one, (const char *const[]){ "oslo" }, 1);
    assert_int_equal(agents_in(&one), 2);
    CHECK_OK(store_begin(one.s, &test_err)); /* nothing to do, by what is true */
    CHECK_OK(store_agent_found(one.s, "ams", 7, &test_err));
    assert_int_equal(commit(&one), TW_OK);
    fake_etcd_cut_watchers(false);
}

/* Who was cut off meanwhile, and comes back when the other history is longer than its own. */
static void a_history_that_went_on_is_not_mixed(void **state)
{
    static const char *const lost[] = { "fra", "par" }, *const others[] = { "a", "b", "c", "d", "e", "f" };

    (void)state;
    put_agents(&one, (const char *const[]){ "ams" }, 1);
    fake_etcd_save();
    put_agents(&one, lost, 2);
    await(&two, "agent/3");
    fake_etcd_cut_watchers(true);
    usleep(50000);
    fake_etcd_restore();
    assert_int_equal(store_begin(one.s, &test_err), TW_OK);
    CHECK_OK(store_put_agent(one.s, &(struct store_agent){ .name = "x" }, &test_err));
    assert_int_equal(commit(&one), TW_EAGAIN);
    put_agents(&one, others, 6);
    assert_true(mirror_stats(one.s).revision > mirror_stats(two.s).revision);
    fake_etcd_cut_watchers(false);
    await_loads(&two, 2);
    assert_int_equal(agents_in(&two), 7);
    assert_int_equal(sql_int(two.file, "SELECT count(*) FROM agent WHERE name IN ('fra', 'par', 'x')"), 0);
}

/* An etcd that is empty is a new one, but not to who has what was in it. */
static void what_is_gone_as_a_whole_is_not_followed(void **state)
{
    enum tw_rc rc = TW_OK;

    (void)state;
    fake_etcd_save();
    put_agents(&one, (const char *const[]){ "ams" }, 1);
    await(&two, "agent/1");
    for (int how = 0; how < 2; how++) {
        if (how)
            fake_etcd_put("/twampmesh/c/head", NULL);
        else
            fake_etcd_restore();
        for (int i = 0; i < 500 && (rc = store_follow(two.s, &test_err)) == TW_OK; i++)
            usleep(10000);
        assert_int_equal(rc, TW_ECORRUPT);
        assert_non_null(strstr(test_err.text, "snapshot"));
        assert_int_equal(store_begin(two.s, &test_err), TW_ECORRUPT);
        assert_int_equal(agents_in(&two), 1);
        fake_etcd_put("/twampmesh/c/head", "{}"); /* as if all of it came back */
        CHECK_OK(store_follow(two.s, &test_err));
        assert_int_equal(agents_in(&two), how);
        put_agents(&two, (const char *const[]){ how ? "par" : "fra" }, 1);
    }
}

/* Its quota is used up, or a user may not any more: it is known that nothing was done, and nobody asks again
 * and again. */
static void a_refusal_is_known_and_got_over(enum tw_rc refusal)
{
    int64_t id = 0;

    fake_etcd_refuse(refusal);
    put_named(&one, &id, "fra");
    assert_int_equal(commit(&one), refusal);
    assert_null(strstr(test_err.text, "not known"));
    CHECK_OK(store_begin(one.s, &test_err)); /* nothing is in doubt */
    store_rollback(one.s);
    fake_etcd_refuse(TW_OK);
    put_agents(&one, (const char *const[]){ "fra" }, 1);
    fake_etcd_down(true); /* in doubt when it began to refuse: known when it does not */
    id = 0;
    put_named(&one, &id, "par");
    assert_int_equal(commit(&one), TW_ETIMEOUT);
    fake_etcd_refuse(refusal);
    assert_int_equal(store_begin(one.s, &test_err), refusal);
    assert_non_null(strstr(test_err.text, "not known"));
    fake_etcd_refuse(TW_OK);
    fake_etcd_down(false);
    CHECK_OK(store_begin(one.s, &test_err));
    store_rollback(one.s);
}

static void an_etcd_that_is_full_is_used_again(void **state)
{
    (void)state;
    a_refusal_is_known_and_got_over(TW_ENOSPC);
}

static void an_etcd_that_does_not_want_us_is_used_again(void **state)
{
    (void)state;
    a_refusal_is_known_and_got_over(TW_EPERM);
}

/* ---- Three of them, and everything goes wrong ---- */

static void compact_at_times(void *ctx, unsigned round)
{
    (void)ctx;
    if (round % 50 == 49)
        fake_etcd_compact();
}

static void crowd(unsigned one_in, uint64_t seed, unsigned rounds)
{
    struct controller c[3];
    struct crowd w = { .c = c,
                       .n = 3,
                       .at = &place,
                       .settle_ns = SETTLE,
                       .now = malloc(sizeof *w.now),
                       .seed = seed,
                       .before = compact_at_times };

    assert_non_null(w.now);
    fake_etcd_reset();
    model_start(w.now);
    for (unsigned i = 0; i < w.n; i++)
        controller_start(&c[i], &place, SETTLE);
    fake_etcd_faults(one_in, seed);
    crowd_run(&w, rounds);
    fake_etcd_faults(0, 0);
    fake_etcd_flush(true);
    crowd_check(&w, "at the end");
    print_message("seed %llu: %u done, %u conflicts, %u not known, %u ended then\n", (unsigned long long)seed,
                  w.done, w.conflicts, w.doubts, w.kills);
    assert_true(w.done > rounds / 4);
    assert_true(w.conflicts > 0);
    for (unsigned i = 0; i < w.n; i++)
        controller_stop(&c[i]);
    free(w.now);
}

static uint64_t seed_of(void)
{
    const char *given = getenv("CONFORM_SEED");

    return given ? strtoull(given, NULL, 10) : 20261128;
}

static void three_work_at_once(void **state)
{
    (void)state;
    crowd(0, seed_of(), 150);
}

static void three_work_and_much_goes_wrong(void **state)
{
    (void)state;
    crowd(4, seed_of() + 1, 150);
}

static void keys_are_cut_where_they_were_joined(void **state)
{
    static const char *const parts[] = { "", "a/b", "%", "\xc3\xa9 x" };
    char key[100], *got[4];
    size_t len = 0;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        len = mirror_key_add(key, sizeof key, len, !i, parts[i]);
    assert_string_equal(key, "/a%2Fb/%25/%C3%A9%20x");
    assert_true(mirror_key_parse(key, got, 4));
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(got[i], parts[i]);
    assert_int_equal(mirror_key_add(key, 8, 0, true, "a/b/c"), SIZE_MAX);
    assert_int_equal(mirror_key_add(key, 3, 0, true, "abc"), SIZE_MAX);
    assert_false(mirror_key_parse(strcpy(key, "a"), got, 2));
    assert_false(mirror_key_parse(strcpy(key, "a/b/c"), got, 2));
    assert_false(mirror_key_parse(strcpy(key, "a%2"), got, 1));
    assert_false(mirror_key_parse(strcpy(key, "a%00"), got, 1));
}

int main(void)
{
    const struct control_backend mirror = {
        .name = "control state in etcd", .make = make, .open = open_mirror, .close = close_mirror
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_cut_where_they_were_joined),
        cmocka_unit_test_setup_teardown(rows_can_be_read_in_etcd, setup, teardown),
        cmocka_unit_test_setup_teardown(what_one_does_the_other_gets, setup, teardown),
        cmocka_unit_test_setup_teardown(who_comes_second_decides_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_do_is_a_decision_too, setup, teardown),
        cmocka_unit_test_setup_teardown(who_holds_it_no_more_does_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(an_answer_may_get_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_large_goes_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(what_must_be_whole_is_or_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(changes_that_etcd_forgot_are_read_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_row_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_release_stays_away, setup, teardown),
        cmocka_unit_test_setup_teardown(writing_needs_a_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(what_needs_no_control_state_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(writers_that_are_gone_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_snapshot_is_read_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_commit_sees_that_etcd_went_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_history_that_went_on_is_not_mixed, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_gone_as_a_whole_is_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_etcd_that_is_full_is_used_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_etcd_that_does_not_want_us_is_used_again, setup, teardown),
        cmocka_unit_test(three_work_at_once),
        cmocka_unit_test(three_work_and_much_goes_wrong),
    };
    int failed;

    no_sync = true;
    if (make_dir(NULL))
        return 1;
    mirror_folder = test_dir;
    failed = conform_control(&mirror);
    failed += cmocka_run_group_tests(tests, NULL, NULL);
    fake_etcd_reset();
    return remove_dir(NULL) || failed;
}
