/* The HTTP client against servers that do what ClickHouse does when things go wrong. */
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
#include "db/clickhouse/ch_http.h"
#include "db/http_client.h"
#include "tests/unit/db/clickhouse/fake_http.h"

#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define OK_ABC "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
#define CUT_ABC "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
#define NO_TABLE                                       \
    "HTTP/1.1 404 Not Found\r\nContent-Length: 84\r\n\r\n" \
    "Code: 60, e.displayText() = DB::Exception: Table d.t doesn't exist., e.what() = DB::"
#define READ_ONLY                                                         \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 71\r\n\r\n" \
    "Code: 242, e.displayText() = DB::Exception: Table is in readonly mode.\n"
#define SYNTAX                                                            \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 60\r\n\r\n" \
    "Code: 62, e.displayText() = DB::Exception: Syntax error: no\n"

#define NOT_YOUR_TURN                                                  \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 64\r\n\r\n" \
    "Code: 286, e.displayText() = DB::Exception: Quorum for previous\n"

/* By a current release. */
#define TOO_LONG                                                  \
    "HTTP/1.1 408 Request Time-out\r\nContent-Length: 66\r\n\r\n" \
    "Code: 159. DB::Exception: Timeout: 3 s elapsed (TIMEOUT_EXCEEDED)\n"

#define COUNT_OF_ONE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1\n"
#define NO_DATABASE                                        \
    "HTTP/1.1 404 Not Found\r\nContent-Length: 67\r\n\r\n" \
    "Code: 81, e.displayText() = DB::Exception: Database d doesn't exist"

static struct fake_http one, two;

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

static struct ch_http *client(const struct ch_http_cfg *more)
{
    struct ch_http_cfg cfg = *more;
    struct ch_http *h = NULL;
    struct tw_err err = { 0 };

    if (!cfg.n_endpoints) {
        cfg.endpoints[0] = one.url;
        cfg.endpoints[1] = two.url;
        cfg.n_endpoints = 2;
    }
    if (ch_http_new(&cfg, &h, &err))
        fail_msg("%s", err.text);
    return h;
}

struct text {
    char at[64];
    size_t len;
    enum tw_rc rc; /* to give back */
};

static enum tw_rc keep(void *ctx, const uint8_t *data, size_t len)
{
    struct text *t = ctx;

    assert_true(t->len + len < sizeof t->at);
    memcpy(t->at + t->len, data, len);
    t->len += len;
    return t->rc;
}

static void streams_an_answer(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .database = "tw" });
    struct text t = { .len = 0 };
    struct tw_err err = { 0 };
    unsigned connections = one.connections;

    (void)state;
    fake_http_say(&one, OK_ABC, false);
    for (int i = 0; i < 3; i++) {
        t.len = 0;
        assert_int_equal(ch_http_select(h, "SELECT 1", keep, &t, &err), TW_OK);
        assert_int_equal(t.len, 6);
        assert_memory_equal(t.at, "abcdef", 6);
    }
    assert_true(fake_http_has(&one, "POST /?database=tw&max_read_buffer_size=65536 HTTP/1.1"));
    assert_true(fake_http_has(&one, "\r\n\r\nSELECT 1"));
    assert_int_equal(one.connections - connections, 1); /* kept */
    assert_int_equal(ch_http_stats(h).statements, 3);
    ch_http_free(h);
}

static void sends_rows_and_secrets_where_they_belong(void **state)
{
    char path[] = "/tmp/tw_ch_passXXXXXX";
    int fd = mkstemp(path);
    struct ch_http *h;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(write(fd, "s3cr&t\n", 7), 7);
    close(fd);
    h = client(&(struct ch_http_cfg){ .user = "me", .password_file = path, .insert_settings = "insert_quorum=2" });
    unlink(path);
    fake_http_say(&one, OK_EMPTY, false);
    assert_int_equal(ch_http_insert(h, "INSERT INTO t FORMAT RowBinary", "\x01\x02", 2, &err), TW_OK);
    assert_true(
        fake_http_has(&one, "POST /?insert_quorum=2&query=INSERT%20INTO%20t%20FORMAT%20RowBinary HTTP/1.1"));
    assert_true(fake_http_has(&one, "\r\nX-ClickHouse-User: me\r\n"));
    assert_true(fake_http_has(&one, "\r\nX-ClickHouse-Key: s3cr&t\r\n"));
    assert_true(fake_http_has(&one, "\r\n\r\n\x01\x02"));
    fake_http_say(&one, NO_TABLE, false);
    assert_int_equal(ch_http_run(h, "DROP TABLE t", &err), TW_ENOENT);
    assert_null(strstr(err.text, "s3cr"));
    fake_http_say(&one, OK_EMPTY, false);
    assert_int_equal(ch_http_insert(h, "INSERT", "", 0, &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 0); /* nothing to say */
    ch_http_free(h);
}

static void refuses_bad_configuration(void **state)
{
    struct ch_http *h = NULL;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(ch_http_new(&(struct ch_http_cfg){ .n_endpoints = 0 }, &h, &err), TW_EINVAL);
    assert_int_equal(ch_http_new(&(struct ch_http_cfg){ .endpoints = { "ftp://h" }, .n_endpoints = 1 }, &h, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "expected http://"));
    assert_int_equal(ch_http_new(&(struct ch_http_cfg){ .endpoints = { "http://h:1" }, .n_endpoints = 1, .password_file = "/nowhere" },
                                 &h, &err),
                     TW_ENOENT);
    assert_int_equal(ch_http_new(&(struct ch_http_cfg){ .endpoints = { "http://h:1" }, .n_endpoints = 1, .password_file = "/dev/null" },
                                 &h, &err),
                     TW_EINVAL);
    assert_null(h);
}

/* The next endpoint takes what the first cannot, and keeps it until the first had time to recover. */
static void moves_on_and_back(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .quiet_ns = 300 * TW_NS_PER_MS });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, READ_ONLY, false);
    fake_http_say(&two, OK_EMPTY, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 1);
    assert_int_equal(fake_http_requests(&two), 2);
    assert_int_equal(ch_http_stats(h).moves, 1);
    assert_int_equal(ch_http_changes(h), 1);
    fake_http_say(&one, OK_EMPTY, false);
    usleep(350000);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 1);
    assert_int_equal(fake_http_requests(&two), 2);
    assert_int_equal(ch_http_changes(h), 2); /* that it went back is one, too */
    ch_http_free(h);
}

static struct ch_http *synced; /* the client that two_questions() is of */

static enum tw_rc take_lack(void *ctx, const uint8_t *data, size_t len)
{
    *(bool *)ctx = len && *data == '1';
    return TW_OK;
}

/* A question for each of two tables. */
static enum tw_rc two_questions(void *ctx, unsigned which, int64_t until_ns, bool *ret_elsewhere,
                                struct tw_err *err)
{
    static const char *const questions[] = { "SYNC a", "SYNC b" };
    bool lacks = false;
    enum tw_rc rc = TW_OK;

    (void)ctx;
    for (unsigned i = 0; i < 2 && !rc; i++)
        if (which & ch_http_bit(i))
            rc = ch_http_ask(synced, questions[i], take_lack, &lacks, until_ns, ret_elsewhere, err);
    if (rc || !lacks)
        return rc;
    *ret_elsewhere = true;
    return tw_err_set(err, TW_ETIMEOUT, "not got yet");
}

static const struct ch_http_replicas replicas = { .change_settings = "insert_quorum=2",
                                                  .select_settings = "sequential=1",
                                                  .stuck = "SELECT stuck",
                                                  .sync = two_questions };

/* What a current release knows of ch_settings.h; it says so to any statement here. */
#define KNOWS_TWO                                   \
    "HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\n" \
    "deduplicate_insert\nmax_partition_size_to_drop\n"

/* Each server is told what it knows, also when one takes over in the middle. */
static void tells_servers_what_they_know(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .insert_settings = "insert_quorum=2" });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, KNOWS_TWO, false);
    fake_http_say(&two, OK_EMPTY, false);
    ch_http_ask_settings(h);
    assert_false(ch_http_drops_any(h));
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_true(
        fake_http_has(&one, "POST /?insert_quorum=2&query=INSERT&deduplicate_insert=disable HTTP/1.1"));
    assert_true(ch_http_drops_any(h));
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK);
    assert_true(fake_http_has(&one, "POST /?deduplicate_insert=disable HTTP/1.1"));
    assert_int_equal(fake_http_requests(&one), 3); /* it was asked once */
    fake_http_say(&one, READ_ONLY, false);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_true(fake_http_has(&two, "POST /?insert_quorum=2&query=INSERT HTTP/1.1"));
    assert_false(ch_http_drops_any(h));
    ch_http_free(h);
}

static void replicate(struct ch_http *h, const struct ch_http_replicas *r)
{
    struct tw_err err = { 0 };

    synced = h;
    assert_int_equal(ch_http_replicas(h, r, &err), TW_OK);
}

/* Syncs come before the first statement at each. */
static void syncs_a_replica_before_it_is_asked(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct text t = { .len = 0 };
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, OK_EMPTY, false);
    fake_http_say(&two, OK_EMPTY, false);
    assert_int_equal(ch_http_sync(h, 3, &err), TW_OK); /* nothing: there are no replicas yet */
    assert_int_equal(fake_http_requests(&one), 0);
    replicate(h, &replicas);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 3);
    assert_true(fake_http_has(&one, "insert_quorum=2"));
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 4);
    assert_int_equal(ch_http_sync(h, 2, &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 5);
    assert_true(fake_http_has(&one, "SYNC b"));
    fake_http_say(&one, READ_ONLY, false);
    assert_int_equal(ch_http_select(h, "SELECT x", keep, &t, &err), TW_OK);
    assert_int_equal(fake_http_requests(&two), 3);
    assert_true(fake_http_has(&two, "sequential=1"));
    ch_http_free(h);
}

static void passes_over_a_replica_that_is_behind(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, COUNT_OF_ONE, false);
    fake_http_say(&two, OK_EMPTY, false);
    replicate(h, &replicas);
    assert_int_equal(ch_http_sync(h, 3, &err),
                     TW_OK); /* by the second, which is synced as it comes into use */
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 2);
    assert_int_equal(fake_http_requests(&two), 3);
    ch_http_free(h);
    h = client(&(struct ch_http_cfg){ 0 });
    fake_http_say(&two, COUNT_OF_ONE, false);
    replicate(h, &replicas);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_ETIMEOUT);
    assert_non_null(strstr(err.text, "not got yet"));
    ch_http_free(h);
}

/* Of a current release, which says so by another status than 18.16. */
static void passes_over_a_server_that_takes_too_long(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, TOO_LONG, false);
    fake_http_say(&two, OK_EMPTY, false);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_int_equal(fake_http_requests(&two), 1);
    fake_http_say(&two, TOO_LONG, false);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_ETIMEOUT);
    ch_http_free(h);
}

static enum tw_rc take_any(void *ctx, const struct http_client_refusal *r, bool *ret_elsewhere,
                           struct tw_err *err)
{
    (void)ctx;
    (void)r;
    (void)ret_elsewhere;
    (void)err;
    return TW_OK;
}

static const struct http_client_request any = { .path = "/", .body = "x", .body_len = 1, .judge = take_any };

static enum tw_rc ask_thrice(void *ctx, int64_t until_ns, bool *ret_elsewhere, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (int i = 0; i < 3 && !rc; i++)
        rc = http_client_ask(*(struct http_client **)ctx, &any, until_ns, ret_elsewhere, err);
    return rc;
}

/* However many requests it takes to enter a server, and however patient each is. */
static void enters_within_its_time(void **state)
{
    struct http_client_cfg cfg = {
        .what = "test", .endpoints = { one.url }, .n_endpoints = 1, .stall_ns = 60 * TW_NS_PER_S
    };
    struct tw_mono before = tw_mono_now();
    struct http_client *c = NULL;
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, NULL, false);
    assert_int_equal(http_client_new(&cfg, &c, &err), TW_OK);
    http_client_enter(c, ask_thrice, &c, 200 * TW_NS_PER_MS);
    assert_int_equal(http_client_run(c, &any, &err), TW_ETIMEOUT);
    assert_true(tw_mono_now().ns - before.ns < 30 * TW_NS_PER_S);
    assert_int_equal(fake_http_requests(&one), 1);
    http_client_free(c);
}

static void *end_turn(void *ctx)
{
    (void)ctx;
    usleep(1300000);
    fake_http_say(&one, OK_EMPTY, false);
    return NULL;
}

/* The other's insert will not come to its end, and without a quorum there is none of this one: it is said at
 * once, and not when a turn should have come. */
static void does_not_wait_for_what_is_stuck(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .endpoints = { one.url }, .n_endpoints = 1 });
    struct tw_err err = { 0 };
    int64_t begun_ns;

    (void)state;
    fake_http_say(&one, OK_EMPTY, false);
    replicate(h, &replicas);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    fake_http_say_to(&one, "SELECT stuck", COUNT_OF_ONE);
    fake_http_say(&one, NOT_YOUR_TURN, false);
    begun_ns = tw_mono_now().ns;
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_EBUSY);
    assert_true(tw_mono_now().ns - begun_ns < 10 * TW_NS_PER_S);
    fake_http_say_to(&one, NULL, NULL);
    ch_http_free(h);
}

/* Another controller's insert has its turn: that is no reason to go without a quorum, nor to enter anew. */
static void waits_for_its_turn(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct ch_http_replicas with_alone = replicas;
    struct tw_err err = { 0 };
    pthread_t t;

    (void)state;
    with_alone.alone_settings = "alone=1";
    fake_http_say(&one, OK_EMPTY, false);
    fake_http_say(&two, OK_EMPTY, false);
    replicate(h, &with_alone);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    fake_http_say(&one, NOT_YOUR_TURN, false);
    assert_int_equal(pthread_create(&t, NULL, end_turn, NULL), 0);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    assert_true(fake_http_has(&one, "insert_quorum=2"));
    pthread_join(t, NULL);
    assert_in_range(fake_http_requests(&one), 1, 2); /* with the question that may have been under way */
    assert_int_equal(fake_http_requests(&two), 0);
    ch_http_free(h);
}

/* Tables are not there yet, or at one of them no more. */
static void passes_over_a_replica_without_tables(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, OK_EMPTY, false);
    fake_http_say(&two, OK_EMPTY, false);
    replicate(h, &replicas);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_OK);
    fake_http_say(&one, NO_DATABASE, false);
    assert_int_equal(ch_http_sync(h, 3, &err), TW_OK);
    assert_false(ch_http_saw_bare(h));
    ch_http_expect_tables(h);
    assert_int_equal(ch_http_sync(h, 3, &err), TW_OK);
    assert_true(ch_http_saw_bare(h));
    ch_http_forget_bare(h);
    assert_false(ch_http_saw_bare(h));
    assert_string_equal(ch_http_server(h), strstr(two.url, "://") + 3);
    ch_http_free(h);
}

static void does_not_repeat_what_fails_everywhere(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, SYNTAX, false);
    fake_http_say(&two, OK_EMPTY, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "code 62: Syntax error: no"));
    fake_http_say(&one, NO_TABLE, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_ENOENT);
    assert_int_equal(fake_http_requests(&two), 0);
    fake_http_say(&one, READ_ONLY, false);
    fake_http_say(&two, READ_ONLY, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_EIO);
    assert_non_null(strstr(err.text, "readonly mode"));
    assert_int_equal(fake_http_requests(&two), 1);
    assert_int_equal(ch_http_stats(h).failures, 3);
    ch_http_free(h);
}

static void notices_what_breaks_off(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct text t = { .len = 0 };
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&two, OK_ABC, false);
    fake_http_say(&one, CUT_ABC, true);
    assert_int_equal(ch_http_select(h, "SELECT", keep, &t, &err), TW_EIO);
    assert_int_equal(t.len, 3);
    assert_int_equal(fake_http_requests(&two), 0); /* part of an answer was handed out */
    fake_http_say(&one, "", true); /* before it said anything */
    t.len = 0;
    assert_int_equal(ch_http_select(h, "SELECT", keep, &t, &err), TW_OK);
    assert_int_equal(t.len, 6);
    ch_http_free(h);
}

/* 18.16 says 200 before it knows that it cannot. */
static void reads_an_exception_where_no_answer_belongs(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .endpoints = { one.url }, .n_endpoints = 1 });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, "HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\nCode: 243, e.displayText() = DB::Exception: no\n", false);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_ENOSPC);
    ch_http_free(h);
}

static void ends_when_the_reader_says_so(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct text t = { .rc = TW_ERANGE };
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, OK_ABC, false);
    assert_int_equal(ch_http_select(h, "SELECT", keep, &t, &err), TW_ERANGE);
    t = (struct text){ .rc = TW_OK };
    assert_int_equal(ch_http_select(h, "SELECT", keep, &t, &err), TW_OK);
    assert_int_equal(t.len, 6);
    ch_http_free(h);
}

static void gives_up_on_silence(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .endpoints = { one.url }, .n_endpoints = 1, .stall_ns = 200 * TW_NS_PER_MS });
    struct tw_err err = { 0 };

    (void)state;
    fake_http_say(&one, NULL, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_ETIMEOUT);
    assert_non_null(strstr(err.text, "no answer for 0.2 s"));
    ch_http_free(h);
}

static void *interrupt(void *ctx)
{
    while (!fake_http_requests(&one))
        usleep(1000);
    ch_http_interrupt(ctx);
    return NULL;
}

static void is_interrupted_at_once(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ 0 });
    struct tw_err err = { 0 };
    struct tw_mono before;
    pthread_t t;

    (void)state;
    fake_http_say(&one, NULL, false);
    fake_http_say(&two, OK_EMPTY, false);
    assert_int_equal(pthread_create(&t, NULL, interrupt, h), 0);
    before = tw_mono_now();
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_ECLOSED);
    assert_true(tw_mono_now().ns - before.ns < 30 * TW_NS_PER_S); /* not the 60 s of silence */
    pthread_join(t, NULL);
    assert_int_equal(fake_http_requests(&two), 0);
    fake_http_say(&one, OK_EMPTY, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK); /* only that statement */
    ch_http_free(h);
}

static void says_when_nobody_is_there(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .endpoints = { "http://127.0.0.1:1", "http://127.0.0.1:2" }, .n_endpoints = 2 });
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_EIO);
    assert_non_null(strstr(err.text, "clickhouse 127.0.0.1:2: "));
    ch_http_free(h);
}

/* A server that takes connections and says nothing costs a statement the time of a knock, and no more; one
 * that spoke just now is not asked. */
static void knocks_before_it_waits(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .knock_ns = 200 * TW_NS_PER_MS });
    struct tw_err err = { 0 };
    struct tw_mono before;

    (void)state;
    fake_http_say(&one, OK_EMPTY, false);
    fake_http_say(&two, OK_EMPTY, false);
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK);
    assert_int_equal(fake_http_requests(&one), 2);
    assert_int_equal(ch_http_stats(h).statements, 1);
    usleep(120000);
    fake_http_say(&one, NULL, false);
    before = tw_mono_now();
    assert_int_equal(ch_http_run(h, "CREATE", &err), TW_OK);
    assert_true(tw_mono_now().ns - before.ns < 30 * TW_NS_PER_S); /* not the 60 s of silence */
    assert_true(fake_http_has(&one, "SELECT 1"));
    assert_int_equal(fake_http_requests(&two), 2);
    assert_string_equal(ch_http_server(h), strstr(two.url, "://") + 3);
    fake_http_say(&two, NULL, false);
    assert_int_equal(ch_http_knock(h, &err), TW_ETIMEOUT);
    assert_non_null(strstr(err.text, "no answer for 0.2 s"));
    ch_http_free(h);
}

static void hurries_when_it_has_to(void **state)
{
    struct ch_http *h = client(&(struct ch_http_cfg){ .endpoints = { one.url }, .n_endpoints = 1 });
    struct tw_err err = { 0 };
    struct tw_mono before = tw_mono_now();

    (void)state;
    fake_http_say(&one, NULL, false);
    ch_http_hurry(h, before.ns + 100 * TW_NS_PER_MS);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_ETIMEOUT);
    assert_int_equal(ch_http_insert(h, "INSERT", "x", 1, &err), TW_ETIMEOUT);
    assert_true(tw_mono_now().ns - before.ns < 30 * TW_NS_PER_S);
    assert_int_equal(ch_http_stats(h).inserts, 0);
    ch_http_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_an_answer),
        cmocka_unit_test(sends_rows_and_secrets_where_they_belong),
        cmocka_unit_test(refuses_bad_configuration),
        cmocka_unit_test(moves_on_and_back),
        cmocka_unit_test(tells_servers_what_they_know),
        cmocka_unit_test(syncs_a_replica_before_it_is_asked),
        cmocka_unit_test(passes_over_a_replica_that_is_behind),
        cmocka_unit_test(passes_over_a_server_that_takes_too_long),
        cmocka_unit_test(does_not_wait_for_what_is_stuck),
        cmocka_unit_test(waits_for_its_turn),
        cmocka_unit_test(enters_within_its_time),
        cmocka_unit_test(passes_over_a_replica_without_tables),
        cmocka_unit_test(does_not_repeat_what_fails_everywhere),
        cmocka_unit_test(notices_what_breaks_off),
        cmocka_unit_test(reads_an_exception_where_no_answer_belongs),
        cmocka_unit_test(ends_when_the_reader_says_so),
        cmocka_unit_test(gives_up_on_silence),
        cmocka_unit_test(knocks_before_it_waits),
        cmocka_unit_test(hurries_when_it_has_to),
        cmocka_unit_test(is_interrupted_at_once),
        cmocka_unit_test(says_when_nobody_is_there),
    };
    int rc;

    curl_global_init(CURL_GLOBAL_DEFAULT);
    rc = cmocka_run_group_tests(tests, setup, teardown);
    curl_global_cleanup();
    return rc;
}
