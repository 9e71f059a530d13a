/* What the client does with real members of etcd: one, three of which the leader dies, one that asks for
 * passwords, one with TLS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/etcd.h"
#include "tests/cluster/etcd_server.h"
#include "tests/cluster/own_server.h"

#define STALL (2 * TW_NS_PER_S)

static struct etcd_cluster cluster;
static struct tw_err err;

static struct etcd *client(const char *options)
{
    char text[600], hosts[128];
    struct http_location l;
    struct etcd *e = NULL;

    etcd_cluster_hosts(&cluster, hosts, sizeof hosts);
    snprintf(text, sizeof text, "%s/c%s", hosts, options);
    CHECK_OK(http_location_parse(text, &etcd_location, &l, &err));
    CHECK_OK(etcd_new(&l, STALL, &e, &err));
    return e;
}

static int one_member(void **state)
{
    etcd_cluster_start(&cluster, 1, false);
    *state = client("");
    return 0;
}

static int three_members(void **state)
{
    etcd_cluster_start(&cluster, 3, false);
    *state = client("");
    return 0;
}

static int with_tls(void **state)
{
    etcd_cluster_start(&cluster, 1, true);
    *state = NULL;
    return 0;
}

static int teardown(void **state)
{
    etcd_free(*state);
    etcd_cluster_stop(&cluster);
    return 0;
}

/* If the key has that revision, it gets the value: the new revision, 0 if it had another. */
static int64_t put_if(struct etcd *e, const char *key, int64_t revision, const char *value, size_t len)
{
    const struct etcd_compare c = { key, revision, false };
    const struct etcd_op put = { ETCD_PUT, key, value, len, 0 }, get = { ETCD_GET, key, NULL, 0, 0 };
    const struct etcd_txn t = { &c, 1, &put, &get, 1, 1 };
    struct etcd_answer a;
    int64_t now;

    CHECK_OK(etcd_txn(e, &t, &a, &err));
    now = a.succeeded ? a.revision : 0;
    etcd_answer_free(&a);
    return now;
}

static void a_transaction_is_done_or_not(void **state)
{
    struct etcd *e = *state;
    struct etcd_answer a;
    int64_t first = put_if(e, "/t/a", 0, "one", 3), second;
    const struct etcd_compare compare[] = { { "/t/a", 0, false }, { "/t/b", 0, false } };
    struct etcd_op then[] = { { ETCD_PUT, "/t/b", "two\0three", 9, 0 }, { ETCD_DELETE, "/t/a", NULL, 0, 0 } };
    const struct etcd_txn t = { compare, 2, then, NULL, 2, 0 };

    assert_true(first > 0);
    assert_int_equal(put_if(e, "/t/a", 0, "other", 5), 0);
    CHECK_OK(etcd_txn(e, &t, &a, &err));
    assert_false(a.succeeded);
    etcd_answer_free(&a);
    CHECK_OK(etcd_get(e, "/t/a", &a, &err));
    assert_int_equal(a.n, 1);
    assert_string_equal(a.kv[0].value, "one");
    assert_int_equal(a.kv[0].mod_revision, first);
    etcd_answer_free(&a);
    second = put_if(e, "/t/b", 0, "two\0three", 9);
    assert_true(second > first);
    CHECK_OK(etcd_get(e, "/t/b", &a, &err));
    assert_int_equal(a.kv[0].value_len, 9);
    assert_memory_equal(a.kv[0].value, "two\0three", 9);
    etcd_answer_free(&a);
    then[1].key = "/t/b"; /* twice in one */
    assert_int_equal(etcd_txn(e, &t, &a, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "duplicate key"));
}

static void limits_are_errors(void **state)
{
    struct etcd *e = *state;
    struct etcd_op many[129];
    char keys[129][16], *large = calloc(1, 2 << 20);
    struct etcd_txn t = { NULL, 0, many, NULL, 128, 0 };
    struct etcd_answer a;

    for (unsigned i = 0; i < 129; i++) {
        snprintf(keys[i], sizeof keys[i], "/l/%u", i);
        many[i] = (struct etcd_op){ ETCD_PUT, keys[i], "v", 1, 0 };
    }
    CHECK_OK(etcd_txn(e, &t, &a, &err));
    etcd_answer_free(&a);
    t.n_then = 129;
    assert_int_equal(etcd_txn(e, &t, &a, &err), TW_EINVAL);
    many[0] = (struct etcd_op){ ETCD_PUT, "/l/0", large, 1500000, 0 };
    t.n_then = 1;
    CHECK_OK(etcd_txn(e, &t, &a, &err));
    etcd_answer_free(&a);
    many[0].value_len = 2 << 20;
    assert_int_equal(etcd_txn(e, &t, &a, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "larg"));
    free(large);
}

struct page {
    unsigned n;
    struct etcd *other; /* changes what is read, meanwhile */
    uint64_t sum;
};

static enum tw_rc take_page(void *ctx, const struct etcd_kv *kv)
{
    struct page *p = ctx;

    p->sum += strtoull(kv->value, NULL, 10);
    if (p->n++ == 100)
        assert_true(put_if(p->other, "/p/zzz", 0, "1000000", 7) > 0);
    return TW_OK;
}

/* Pages are of one revision, whatever is written meanwhile. */
static void a_range_in_pages_is_of_one_moment(void **state)
{
    struct etcd *e = *state;
    struct page p = { .other = client("") };
    int64_t revision = 0;

    for (unsigned i = 0; i < 300; i++) {
        char key[32], value[16];
        snprintf(key, sizeof key, "/p/%03u", i);
        snprintf(value, sizeof value, "%u", i);
        assert_true(put_if(e, key, 0, value, strlen(value)) > 0);
    }
    CHECK_OK(etcd_each(e, "/p/", 7, take_page, &p, &revision, &err));
    assert_int_equal(p.n, 300);
    assert_int_equal(p.sum, 300 * 299 / 2);
    p = (struct page){ .n = 1000, .other = p.other };
    CHECK_OK(etcd_each(e, "/p/", 1000, take_page, &p, &revision, &err));
    assert_int_equal(p.n, 1301);
    etcd_free(p.other);
}

static enum tw_rc add_length(void *ctx, const struct etcd_kv *kv)
{
    *(size_t *)ctx += kv->value_len;
    return TW_OK;
}

/* 20 MB of values in one page, if etcd lets it through, or in smaller ones. */
static void large_values_come(void **state)
{
    struct etcd *e = *state;
    char *value = calloc(1, 1 << 20);
    int64_t revision = 0;
    size_t sum = 0;

    for (unsigned i = 0; i < 20; i++) {
        char key[32];
        snprintf(key, sizeof key, "/big/%u", i);
        assert_true(put_if(e, key, 0, value, 1 << 20) > 0);
    }
    CHECK_OK(etcd_each(e, "/big/", 1000, add_length, &sum, &revision, &err));
    assert_int_equal(sum, 20 << 20);
    free(value);
}

/* ---- Watching ---- */

struct watching {
    struct etcd *e;
    int64_t revision; /* the next one */
    unsigned seen, restarts;
    uint64_t sum;
    unsigned until;
    enum tw_rc rc;
    struct tw_err err;
};

static enum tw_rc take_events(void *ctx, const struct etcd_answer *a)
{
    struct watching *w = ctx;

    for (size_t i = 0; i < a->n; i++) {
        assert_true(a->kv[i].mod_revision >= w->revision);
        w->sum += strtoull(a->kv[i].value, NULL, 10);
        w->seen++;
    }
    if (a->n)
        w->revision = a->kv[a->n - 1].mod_revision + 1;
    return w->seen >= w->until ? TW_EAGAIN : TW_OK;
}

static void *watch(void *ctx)
{
    struct watching *w = ctx;
    int64_t by_ns = tw_mono_now().ns + 60 * TW_NS_PER_S;

    do {
        w->rc = etcd_watch(w->e, "/w/", w->revision, take_events, w, &w->err);
        w->restarts++;
    } while ((w->rc == TW_EIO || w->rc == TW_ETIMEOUT) && tw_mono_now().ns < by_ns);
    return NULL;
}

static int64_t revision_now(struct etcd *e)
{
    struct etcd_answer a;
    int64_t revision;

    CHECK_OK(etcd_get(e, "/", &a, &err));
    revision = a.revision;
    etcd_answer_free(&a);
    return revision;
}

static void a_watch_tells_all(void **state)
{
    struct etcd *e = *state;
    struct watching w = { .e = client(""), .revision = revision_now(e) + 1, .until = 101 };
    const struct etcd_op gone = { ETCD_DELETE, "/w/7", NULL, 0, 0 };
    struct etcd_answer a;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
    for (unsigned i = 0; i < 100; i++) {
        char key[32], value[16];
        snprintf(key, sizeof key, "/w/%u", i);
        snprintf(value, sizeof value, "%u", i);
        assert_true(put_if(e, key, 0, value, strlen(value)) > 0);
        assert_true(put_if(e, "/other", i ? -1 : 0, "x", 1) >= 0); /* not its business */
    }
    CHECK_OK(etcd_txn(e, &(struct etcd_txn){ .then = &gone, .n_then = 1 }, &a, &err));
    etcd_answer_free(&a);
    pthread_join(thread, NULL);
    assert_int_equal(w.rc, TW_EAGAIN);
    assert_int_equal(w.sum, 100 * 99 / 2);
    etcd_free(w.e);
}

static void a_watch_of_what_is_compacted_says_so(void **state)
{
    struct etcd *e = *state;
    struct watching w = { .e = e, .revision = 1, .until = 1 };
    char line[64], command[64];

    assert_true(put_if(e, "/w/compact", 0, "1", 1) > 0);
    snprintf(command, sizeof command, "compact %lld", (long long)revision_now(e));
    etcd_cluster_ctl(&cluster, command, line, sizeof line);
    assert_non_null(strstr(line, "compacted"));
    assert_int_equal(etcd_watch(e, "/w/", 1, take_events, &w, &err), TW_ERANGE);
}

static void *interrupt_soon(void *ctx)
{
    usleep(200000);
    etcd_interrupt(ctx);
    return NULL;
}

static void a_watch_can_be_ended(void **state)
{
    struct watching w = { .e = client(""), .revision = revision_now(*state) + 1, .until = 1 };
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, interrupt_soon, w.e), 0);
    assert_int_equal(etcd_watch(w.e, "/w/", w.revision, take_events, &w, &err), TW_ECLOSED);
    pthread_join(thread, NULL);
    etcd_free(w.e);
}

/* ---- Leases ---- */

static void a_key_goes_with_its_lease(void **state)
{
    struct etcd *e = *state;
    int64_t id = 0, ttl = 0;
    struct etcd_op put = { ETCD_PUT, "/lease", "x", 1, 0 };
    struct etcd_answer a;

    CHECK_OK(etcd_grant(e, 5, &id, &ttl, &err));
    assert_int_equal(ttl, 5);
    put.lease = id;
    CHECK_OK(etcd_txn(e, &(struct etcd_txn){ .then = &put, .n_then = 1 }, &a, &err));
    etcd_answer_free(&a);
    CHECK_OK(etcd_keep(e, id, &ttl, &err));
    assert_int_equal(ttl, 5);
    CHECK_OK(etcd_get(e, "/lease", &a, &err));
    assert_true(a.n == 1 && a.kv[0].lease == id);
    etcd_answer_free(&a);
    CHECK_OK(etcd_revoke(e, id, &err));
    CHECK_OK(etcd_get(e, "/lease", &a, &err));
    assert_int_equal(a.n, 0);
    etcd_answer_free(&a);
    assert_int_equal(etcd_keep(e, id, &ttl, &err), TW_ENOENT);
    assert_int_equal(etcd_revoke(e, id, &err), TW_ENOENT);
    assert_int_equal(etcd_txn(e, &(struct etcd_txn){ .then = &put, .n_then = 1 }, &a, &err), TW_ENOENT);
}

static void what_was_answered_outlives_a_kill(void **state)
{
    struct etcd *e = *state;
    struct etcd_answer a;
    int64_t revision = put_if(e, "/kill", 0, "x", 1);

    assert_true(revision > 0);
    etcd_member_kill(&cluster, 0);
    assert_int_equal(etcd_get(e, "/kill", &a, &err), TW_EIO);
    etcd_member_again(&cluster, 0);
    CHECK_OK(etcd_get(e, "/kill", &a, &err));
    assert_true(a.n == 1 && a.kv[0].mod_revision == revision);
    etcd_answer_free(&a);
}

/* ---- Three members ---- */

/* Adds 1, each time to what is there, whatever happens to answers. How often it had to look. */
static unsigned add_one(struct etcd *e, unsigned to)
{
    const struct etcd_op get = { ETCD_GET, "/w/n", NULL, 0, 0 };
    unsigned looks = 0;
    char value[16];

    for (;;) {
        struct etcd_compare c = { "/w/n", 0, false };
        struct etcd_op put = { ETCD_PUT, "/w/n", value, 0, 0 };
        struct etcd_answer a;
        enum tw_rc rc;
        assert_true(looks++ < 1000);
        if (etcd_get(e, "/w/n", &a, &err))
            continue;
        c.revision = a.n ? a.kv[0].mod_revision : 0;
        if ((a.n ? strtoul(a.kv[0].value, NULL, 10) : 0) == to) {
            etcd_answer_free(&a);
            return looks;
        }
        etcd_answer_free(&a);
        put.value_len = (size_t)snprintf(value, sizeof value, "%u", to);
        rc = etcd_txn(e, &(struct etcd_txn){ &c, 1, &put, &get, 1, 1 }, &a, &err);
        if (!rc)
            etcd_answer_free(&a);
        else if (rc != TW_EIO && rc != TW_ETIMEOUT)
            fail_msg("%s", err.text);
    }
}

/* The leader is killed, and one that stands still is worse: every number is written once, in order, and a
 * watch sees them all. */
static void the_leader_dies(void **state)
{
    struct etcd *e = *state;
    struct watching w = { .e = client(""), .revision = revision_now(e) + 1, .until = 60 };
    unsigned leader = 0;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, watch, &w), 0);
    for (unsigned i = 1; i <= 60; i++) {
        if (i == 10 || i == 40)
            etcd_member_kill(&cluster, leader = etcd_cluster_leader(&cluster));
        if (i == 20 || i == 50)
            etcd_member_again(&cluster, leader);
        if (i == 25)
            etcd_member_pause(&cluster, leader = etcd_cluster_leader(&cluster), true);
        if (i == 35)
            etcd_member_pause(&cluster, leader, false);
        add_one(e, i);
    }
    pthread_join(thread, NULL);
    if (w.rc != TW_EAGAIN)
        fail_msg("%s", w.err.text);
    assert_int_equal(w.seen, 60);
    assert_int_equal(w.sum, 60 * 61 / 2);
    etcd_free(w.e);
}

static void without_a_majority_nothing_is_said(void **state)
{
    struct etcd *e = *state;
    struct etcd_answer a;
    enum tw_rc rc;

    etcd_member_kill(&cluster, 0);
    etcd_member_kill(&cluster, 2);
    rc = etcd_get(e, "/w/n", &a, &err);
    assert_true(rc == TW_EIO || rc == TW_ETIMEOUT);
    etcd_member_again(&cluster, 0);
    CHECK_OK(etcd_get(e, "/w/n", &a, &err));
    etcd_answer_free(&a);
}

/* ---- Passwords and certificates ---- */

static void write_password(char path[128], const char *text)
{
    FILE *f;

    snprintf(path, 128, "%s/password", cluster.folder);
    f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", text);
    assert_int_equal(fclose(f), 0);
}

static enum tw_rc try_as(const char *user, const char *password)
{
    char path[128], options[400];
    struct etcd_answer a;
    struct etcd *e;
    enum tw_rc rc;

    write_password(path, password);
    snprintf(options, sizeof options, "?tls=yes&ca-file=%s%s%s%s%s", cluster.ca_file, user ? "&user=" : "",
             user ? user : "", user ? "&password-file=" : "", user ? path : "");
    e = client(options);
    rc = etcd_get(e, "/c/x", &a, &err);
    if (!rc)
        etcd_answer_free(&a);
    etcd_free(e);
    return rc;
}

static void certificates_and_passwords_are_checked(void **state)
{
    static const char *const commands[] = {
        "user add root:'r\"o&t'", "user grant-role root root",
        "role add mesh",          "role grant-permission --prefix=true mesh readwrite /c/",
        "user add me:secret",     "user grant-role me mesh",
        "user add nobody:x",      "auth enable"
    };
    char line[128];

    (void)state;
    CHECK_OK(try_as(NULL, ""));
    etcd_free(client("?tls=yes"));
    for (size_t i = 0; i < TW_NELEM(commands); i++) {
        etcd_cluster_ctl(&cluster, commands[i], line, sizeof line);
        if (!line[0])
            fail_msg("etcdctl %s failed", commands[i]);
    }
    CHECK_OK(try_as("me", "secret"));
    CHECK_OK(try_as("root", "r\"o&t"));
    assert_int_equal(try_as("me", "wrong"), TW_EINVAL); /* etcd's code for it */
    assert_non_null(strstr(err.text, "authentication failed"));
    assert_int_equal(try_as("nobody", "x"), TW_EPERM);
    assert_non_null(strstr(err.text, "permission denied"));
    assert_true(try_as(NULL, "") != TW_OK);
}

static void a_stranger_s_certificate_is_refused(void **state)
{
    struct etcd *e = client("?tls=yes"); /* believed by nobody */
    struct etcd_answer a;

    (void)state;
    assert_int_equal(etcd_get(e, "/c/x", &a, &err), TW_EPERM);
    etcd_free(e);
    e = client("?tls=yes&ca-file=/nowhere");
    assert_int_equal(etcd_get(e, "/c/x", &a, &err), TW_EPERM);
    etcd_free(e);
}

int main(void)
{
    const struct CMUnitTest one[] = {
        cmocka_unit_test(a_transaction_is_done_or_not),
        cmocka_unit_test(limits_are_errors),
        cmocka_unit_test(a_range_in_pages_is_of_one_moment),
        cmocka_unit_test(large_values_come),
        cmocka_unit_test(a_watch_tells_all),
        cmocka_unit_test(a_watch_can_be_ended),
        cmocka_unit_test(a_key_goes_with_its_lease),
        cmocka_unit_test(what_was_answered_outlives_a_kill),
        cmocka_unit_test(a_watch_of_what_is_compacted_says_so),
    };
    const struct CMUnitTest three[] = {
        cmocka_unit_test(the_leader_dies),
        cmocka_unit_test(without_a_majority_nothing_is_said),
    };
    const struct CMUnitTest tls[] = {
        cmocka_unit_test(a_stranger_s_certificate_is_refused),
        cmocka_unit_test(certificates_and_passwords_are_checked),
    };
    int failed;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    failed = cmocka_run_group_tests(one, one_member, teardown);
    failed += cmocka_run_group_tests(three, three_members, teardown);
    failed += cmocka_run_group_tests(tls, with_tls, teardown);
    curl_global_cleanup();
    return failed;
}
