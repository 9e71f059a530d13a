/* The client of etcd against a server that says what etcd says when things go wrong, or what it never says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/clk.h"
#include "common/net/now.h"
#include "db/etcd/etcd.h"
#include "tests/unit/db/clickhouse/fake_http.h"

#define HEAD "\"header\":{\"revision\":\"7\"}"
/* base64: /a = L2E=, /b = L2I=, one = b25l */
#define KV_A                                                                                          \
    "{\"key\":\"L2E=\",\"create_revision\":\"3\",\"mod_revision\":\"5\",\"version\":\"2\",\"value\":" \
    "\"b25l\",\"lease\":\"9223372036854775807\"}"
#define STALL (300 * TW_NS_PER_MS)

static struct fake_http one, two;
static char answer_one[4096], answer_two[4096];

static int setup(void **state)
{
    (void)state;
    fake_http_start(&one);
    fake_http_start(&two);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_http_stop(&one);
    fake_http_stop(&two);
    return 0;
}

static void say(struct fake_http *f, int status, const char *body)
{
    char *to = f == &one ? answer_one : answer_two;

    fake_http_say(f, NULL, false);
    snprintf(to, sizeof answer_one, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status, strlen(body),
             body);
    fake_http_say(f, to, false);
}

static struct etcd *client_of(const char *options, size_t servers)
{
    char text[512];
    struct http_location l;
    struct etcd *e = NULL;
    struct tw_err err = { 0 };

    snprintf(text, sizeof text, "%.60s%s%.60s/c%.200s", one.url + 7, servers > 1 ? "," : "",
             servers > 1 ? two.url + 7 : "", options);
    if (http_location_parse(text, &etcd_location, &l, &err) || etcd_new(&l, STALL, &e, &err))
        fail_msg("%s", err.text);
    return e;
}

static void reads_a_key(void **state)
{
    struct etcd *e = client_of("", 1);
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    say(&one, 200, "{" HEAD ",\"kvs\":[" KV_A "],\"count\":\"1\"}");
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK);
    assert_true(fake_http_has(&one, "POST /v3/kv/range HTTP/1.1"));
    assert_true(fake_http_has(&one, "\r\n\r\n{\"key\":\"L2E=\"}"));
    assert_true(fake_http_has(&one, "\r\nGrpc-Metadata-hasleader: true\r\n"));
    assert_int_equal(a.revision, 7);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.kv[0].key, "/a");
    assert_string_equal(a.kv[0].value, "one");
    assert_int_equal(a.kv[0].value_len, 3);
    assert_int_equal(a.kv[0].create_revision, 3);
    assert_int_equal(a.kv[0].mod_revision, 5);
    assert_true(a.kv[0].lease == INT64_MAX);
    etcd_answer_free(&a);
    assert_int_equal(etcd_get(e, "/b", &a, &err), TW_ECORRUPT); /* another than was asked for */
    say(&one, 200, "{" HEAD "}");
    assert_int_equal(etcd_get(e, "/b", &a, &err), TW_OK);
    assert_int_equal(a.n, 0);
    etcd_answer_free(&a);
    etcd_free(e);
}

static void asks_for_a_transaction(void **state)
{
    static const struct etcd_compare compare[] = { { "/a", 5, false }, { "/b", 3, true } };
    static const struct etcd_op then[] = { { ETCD_PUT, "/a", "one", 3, 12 },
                                           { ETCD_DELETE, "/b", NULL, 0, 0 } };
    static const struct etcd_op otherwise[] = { { ETCD_GET, "/a", NULL, 0, 0 } };
    const struct etcd_txn t = { compare, 2, then, otherwise, 2, 1 };
    struct etcd *e = client_of("", 1);
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    say(&one, 200,
        "{" HEAD ",\"responses\":[{\"response_put\":{}},{\"response_range\":{\"kvs\":[" KV_A "]}}]}");
    assert_int_equal(etcd_txn(e, &t, &a, &err), TW_OK);
    assert_true(fake_http_has(
        &one, "{\"compare\":[{\"target\":\"MOD\",\"key\":\"L2E=\",\"mod_revision\":\"5\"},"
              "{\"target\":\"CREATE\",\"key\":\"L2I=\",\"create_revision\":\"3\"}],"
              "\"success\":[{\"request_put\":{\"key\":\"L2E=\",\"value\":\"b25l\",\"lease\":\"12\"}},"
              "{\"request_delete_range\":{\"key\":\"L2I=\"}}],"
              "\"failure\":[{\"request_range\":{\"key\":\"L2E=\"}}]}"));
    assert_false(a.succeeded);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.kv[0].key, "/a");
    etcd_answer_free(&a);
    say(&one, 200, "{" HEAD ",\"succeeded\":true}");
    assert_int_equal(etcd_txn(e, &t, &a, &err), TW_OK);
    assert_true(a.succeeded);
    etcd_answer_free(&a);
    etcd_free(e);
}

static void refuses_what_no_etcd_says(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "[]",
        "{}",
        "{\"header\":{}",
        "{\"header\":{\"revision\":\"x\"}}",
        "{\"header\":{\"revision\":\" 7\"}}",
        "{\"header\":{\"revision\":\"-1\"}}",
        "{\"header\":{\"revision\":\"9223372036854775808\"}}",
        "{" HEAD ",\"kvs\":{}}",
        "{" HEAD ",\"kvs\":[1]}",
        "{" HEAD ",\"kvs\":[{}]}",
        "{" HEAD ",\"kvs\":[{\"key\":\"L2E=\"}]}",
        "{" HEAD ",\"kvs\":[{\"key\":\"L2E\",\"mod_revision\":\"5\"}]}",
        "{" HEAD ",\"kvs\":[{\"key\":\" L2E=\",\"mod_revision\":\"5\"}]}",
        "{" HEAD ",\"kvs\":[{\"key\":\"====\",\"mod_revision\":\"5\"}]}",
        "{" HEAD ",\"kvs\":[{\"key\":\"L2E=L2E=\",\"mod_revision\":\"5\"}]}",
        "{" HEAD ",\"kvs\":[{\"key\":\"AAAA\",\"mod_revision\":\"5\"}]}", /* NULs */
        "{" HEAD ",\"kvs\":[{\"key\":\"L2E=\",\"mod_revision\":5}]}",
        "{" HEAD ",\"more\":\"yes\"}",
        "{" HEAD ",\"responses\":1}",
        "{" HEAD ",\"kvs\":[" KV_A "," KV_A "]}",
    };
    struct etcd *e = client_of("", 1);
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        say(&one, 200, bad[i]);
        if (etcd_get(e, "/a", &a, &err) != TW_ECORRUPT || strncmp(err.text, "etcd: its answer", 16) != 0)
            fail_msg("%s: %s", bad[i], err.text);
    }
    etcd_free(e);
}

static void says_why_it_is_refused(void **state)
{
    static const struct {
        int status;
        const char *body, *text;
        enum tw_rc rc;
    } rows[] = {
        { 503, "{\"error\":\"etcdserver: no leader\",\"code\":14,\"message\":\"etcdserver: no leader\"}",
          "etcdserver: no leader", TW_EIO },
        { 400, "{\"error\":\"etcdserver: too many operations in txn request\",\"code\":3}",
          "too many operations", TW_EINVAL },
        { 429, "{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":8}", "alarm disarm",
          TW_ENOSPC },
        { 429, "{\"error\":\"etcdserver: too many requests\",\"code\":8}", "too many requests", TW_EIO },
        { 429, "<html>slow down</html>", "slow down", TW_EIO },
        { 403, "{\"error\":\"etcdserver: permission denied\",\"code\":7}", "permission denied", TW_EPERM },
        { 504, "gateway\ntimeout", "gateway timeout", TW_ETIMEOUT },
        { 404, "", "refused without a reason", TW_ENOENT },
        { 200, "{\"error\":{\"grpc_code\":14,\"message\":\"lost\\nit\"}}", "etcd: lost it", TW_EIO },
    };
    struct etcd *e = client_of("", 1);
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        say(&one, rows[i].status, rows[i].body);
        if (etcd_get(e, "/a", &a, &err) != rows[i].rc || !strstr(err.text, rows[i].text))
            fail_msg("%s: %s", rows[i].body, err.text);
    }
    etcd_free(e);
}

/* Another member is asked where that can help, and stays the one that is asked. */
static void moves_to_another_member(void **state)
{
    struct etcd *e = client_of("", 2);
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    say(&one, 503, "{\"error\":\"etcdserver: no leader\",\"code\":14}");
    say(&two, 200, "{" HEAD "}");
    for (int i = 0; i < 3; i++) {
        assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK);
        etcd_answer_free(&a);
    }
    assert_int_equal(fake_http_requests(&one), 1);
    assert_int_equal(fake_http_requests(&two), 3);
    say(&two, 400, "{\"error\":\"etcdserver: duplicate key given in txn request\",\"code\":3}");
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_EINVAL);
    assert_int_equal(fake_http_requests(&one), 1);
    say(&one, 200, "{" HEAD "}");
    fake_http_say(&two, NULL, false); /* stands still */
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK);
    etcd_answer_free(&a);
    fake_http_say(&one, NULL, false);
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_ETIMEOUT);
    assert_int_equal(etcd_stats(e).failures, 2);
    etcd_free(e);
}

static void waits_no_longer_than_it_may(void **state)
{
    struct etcd *e = client_of("", 2);
    int64_t from = tw_mono_now().ns;
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, NULL, false);
    fake_http_say(&two, NULL, false);
    etcd_hurry(e, from + 50 * TW_NS_PER_MS);
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_ETIMEOUT);
    assert_true(tw_mono_now().ns - from < STALL);
    assert_int_equal(fake_http_requests(&two), 0);
    etcd_interrupt(e);
    etcd_hurry(e, INT64_MAX);
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_ECLOSED);
    etcd_free(e);
}

static enum tw_rc never(void *ctx, const struct etcd_kv *kv)
{
    (void)kv;
    ++*(int *)ctx;
    return TW_OK;
}

/* A server that never comes to an end, or sends what nobody wanted. */
static void ends_a_range_that_has_no_end(void **state)
{
    struct etcd *e = client_of("", 1);
    struct tw_err err = { 0 };
    int64_t revision = 0;
    int n = 0;

    (void)state;
    say(&one, 200, "{" HEAD ",\"kvs\":[" KV_A "],\"more\":true}");
    assert_int_equal(etcd_each(e, "/", 1, never, &n, &revision, &err), TW_ECORRUPT);
    assert_int_equal(n, 1);
    say(&one, 200, "{" HEAD ",\"more\":true}");
    assert_int_equal(etcd_each(e, "/", 1, never, &n, &revision, &err), TW_ECORRUPT);
    say(&one, 200, "{" HEAD ",\"kvs\":[" KV_A "]}");
    assert_int_equal(etcd_each(e, "/b", 1, never, &n, &revision, &err), TW_ECORRUPT);
    assert_int_equal(n, 1);
    assert_int_equal(revision, 0);
    /* Pages that are too large are halved until they are not. */
    say(&one, 500, "{\"error\":\"grpc: received message larger than max\",\"code\":8}");
    assert_int_equal(etcd_each(e, "/", 8, never, &n, &revision, &err), TW_EINVAL);
    assert_int_equal(fake_http_requests(&one), 4);
    assert_true(fake_http_has(&one, "\"limit\":\"1\""));
    etcd_free(e);
}

static struct etcd *client_with_password(void)
{
    char path[] = "/tmp/tw_etcd_passXXXXXX", options[64];
    int fd = mkstemp(path);
    struct etcd *e;

    assert_int_equal(write(fd, "s3\"r\\t\n", 7), 7);
    close(fd);
    snprintf(options, sizeof options, "?user=me&password-file=%s", path);
    e = client_of(options, 1);
    unlink(path);
    return e;
}

static void logs_in_and_keeps_secrets(void **state)
{
    struct etcd *e = client_with_password();
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    say(&one, 200, "{" HEAD ",\"token\":\"abc.1\"}");
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK);
    etcd_answer_free(&a);
    assert_int_equal(fake_http_requests(&one), 2);
    assert_true(fake_http_has(&one, "\r\nAuthorization: abc.1\r\n"));
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK); /* once */
    etcd_answer_free(&a);
    assert_int_equal(fake_http_requests(&one), 3);
    say(&one, 401, "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}");
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_EPERM); /* and again, in vain */
    assert_int_equal(fake_http_requests(&one), 2);
    assert_true(fake_http_has(&one, "{\"name\":\"me\",\"password\":\"s3\\\"r\\\\t\"}"));
    assert_false(fake_http_has(&one, "Authorization")); /* or etcd would refuse that for the old token */
    assert_null(strstr(err.text, "s3"));
    etcd_free(e);
}

static enum tw_rc until_seven(void *ctx, const struct etcd_answer *a)
{
    char *seen = ctx;
    size_t len = strlen(seen);

    for (size_t i = 0; i < a->n; i++)
        len += (size_t)snprintf(seen + len, 100 - len, "%s%s@%d ", a->kv[i].deleted ? "-" : "+", a->kv[i].key,
                                (int)a->kv[i].mod_revision);
    return strstr(seen, "@7") ? TW_EAGAIN : TW_OK;
}

#define EVENTS(list) "{\"result\":{" HEAD ",\"events\":[" list "]}}\n"
static void watches(void **state)
{
    struct etcd *e = client_of("", 1);
    struct tw_err err = { 0 };
    char seen[100] = "";

    (void)state;
    say(&one, 200,
        "{\"result\":{" HEAD ",\"created\":true}}\n\n" EVENTS("{\"kv\":" KV_A "}")
            EVENTS("{\"type\":\"DELETE\",\"kv\":{\"key\":\"L2I=\",\"mod_revision\":\"7\"}}"));
    assert_int_equal(etcd_watch(e, "/x/", 5, until_seven, seen, &err), TW_EAGAIN);
    assert_string_equal(seen, "+/a@5 -/b@7 ");
    assert_true(fake_http_has(
        &one,
        "{\"create_request\":{\"key\":\"L3gv\",\"range_end\":\"L3gw\",\"start_revision\":\"5\"")); /* /x/ to
                                                                                                      /x0 */
    say(&one, 200, EVENTS("{\"kv\":" KV_A "}"));
    assert_int_equal(etcd_watch(e, "/", 5, until_seven, (char[100]){ 0 }, &err),
                     TW_EIO); /* it ends by itself */
    say(&one, 200, "{\"result\":{" HEAD ",\"canceled\":true,\"compact_revision\":\"9\"}}\n");
    assert_int_equal(etcd_watch(e, "/", 5, until_seven, seen, &err), TW_ERANGE);
    say(&one, 200, "{\"result\":{" HEAD ",\"canceled\":true,\"cancel_reason\":\"etcdserver: no leader\"}}\n");
    assert_int_equal(etcd_watch(e, "/", 5, until_seven, seen, &err), TW_EIO);
    assert_non_null(strstr(err.text, "no leader"));
    say(&one, 200,
        "{\"error\":{\"grpc_code\":11,\"message\":\"etcdserver: mvcc: required revision has been "
        "compacted\"}}\n");
    assert_int_equal(etcd_watch(e, "/", 5, until_seven, seen, &err), TW_ERANGE);
    say(&one, 200, "no JSON\n");
    assert_int_equal(etcd_watch(e, "/", 5, until_seven, seen, &err), TW_ECORRUPT);
    etcd_free(e);
}

/* Each tells in another way that a token is no more valid: it logs in again, and asks once more. */
static void a_token_that_ended_is_got_anew(void **state)
{
    static const char *const told[] = {
        "{\"result\":{" HEAD
        ",\"watch_id\":\"-1\",\"created\":true,\"canceled\":true,\"cancel_reason\":\"rpc error: code = "
        "Unauthenticated desc = etcdserver: invalid auth token\"}}\n",
        "{\"result\":{" HEAD ",\"created\":true,\"canceled\":true,\"cancel_reason\":\"rpc error: code = "
        "InvalidArgument desc = etcdserver: revision of auth store is old\"}}\n",
    };
    struct etcd *e = client_with_password();
    struct etcd_answer a;
    struct tw_err err = { 0 };

    (void)state;
    say(&one, 200, "{" HEAD ",\"token\":\"abc.1\"}");
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK);
    etcd_answer_free(&a);
    say(&one, 400, "{\"error\":\"etcdserver: revision of auth store is old\",\"code\":3}");
    assert_int_equal(etcd_get(e, "/a", &a, &err), TW_EPERM);
    assert_int_equal(fake_http_requests(&one), 2); /* the second is for a token */
    for (size_t i = 0; i < TW_NELEM(told); i++) {
        say(&one, 200, "{" HEAD ",\"token\":\"abc.2\"}");
        assert_int_equal(etcd_get(e, "/a", &a, &err), TW_OK);
        etcd_answer_free(&a);
        say(&one, 200, told[i]);
        assert_int_equal(etcd_watch(e, "/", 5, until_seven, (char[100]){ 0 }, &err), TW_ECORRUPT);
        assert_int_equal(fake_http_requests(&one), 2);
        assert_true(fake_http_has(&one, "\"password\"")); /* what it said is no token */
    }
    etcd_free(e);
}

static void leases(void **state)
{
    struct etcd *e = client_of("", 1);
    struct tw_err err = { 0 };
    int64_t id = 0, ttl = 0;

    (void)state;
    say(&one, 200, "{" HEAD ",\"ID\":\"7587848390133224452\",\"TTL\":\"10\"}");
    assert_int_equal(etcd_grant(e, 10, &id, &ttl, &err), TW_OK);
    assert_true(id == INT64_C(7587848390133224452) && ttl == 10);
    say(&one, 200, "{\"result\":{" HEAD ",\"ID\":\"7\",\"TTL\":\"9\"}}\n");
    assert_int_equal(etcd_keep(e, id, &ttl, &err), TW_OK);
    assert_int_equal(ttl, 9);
    assert_true(fake_http_has(&one, "{\"ID\":\"7587848390133224452\"}"));
    say(&one, 200, "{\"result\":{" HEAD ",\"ID\":\"7\"}}\n");
    assert_int_equal(etcd_keep(e, id, &ttl, &err), TW_ENOENT);
    say(&one, 200, "{" HEAD "}");
    assert_int_equal(etcd_grant(e, 10, &id, &ttl, &err), TW_ECORRUPT);
    etcd_free(e);
}

static void locations(void **state)
{
    static const char *const bad[] = { "h",          "/c",     "h/",       "h/c/d",     "h:x/c",
                                       "h:123456/c", "a b/c",  "h/c?user", "h/c?user=", "h/c?tls=maybe",
                                       "h/c?x=1",    "h,,g/c", "[::1/c",   "h?user=a/c" };
    struct http_location l;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(
        http_location_parse("e1,[::1]:1,e3:2380/prod-1?tls=yes&ca-file=/a/b&user=u", &etcd_location, &l, &err),
        TW_OK);
    assert_string_equal(l.name, "prod-1");
    assert_int_equal(l.n_endpoints, 3);
    assert_string_equal(l.endpoints[0], "https://e1:2379");
    assert_string_equal(l.endpoints[1], "https://[::1]:1");
    assert_string_equal(l.endpoints[2], "https://e3:2380");
    assert_string_equal(l.ca_file, "/a/b");
    assert_string_equal(l.user, "u");
    assert_null(l.password_file);
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        if (http_location_parse(bad[i], &etcd_location, &l, &err) != TW_EINVAL || !strstr(err.text, "expected"))
            fail_msg("%s: %s", bad[i], err.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_a_key, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_for_a_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_no_etcd_says, setup, teardown),
        cmocka_unit_test_setup_teardown(says_why_it_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(moves_to_another_member, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_no_longer_than_it_may, setup, teardown),
        cmocka_unit_test_setup_teardown(ends_a_range_that_has_no_end, setup, teardown),
        cmocka_unit_test_setup_teardown(logs_in_and_keeps_secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(watches, setup, teardown),
        cmocka_unit_test_setup_teardown(a_token_that_ended_is_got_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(leases, setup, teardown),
        cmocka_unit_test(locations),
    };
    int failed;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
