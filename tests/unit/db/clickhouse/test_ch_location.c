/* Where ClickHouse is, as operators write it, and statements as they are put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include "db/clickhouse/ch_location.h"
#include "db/clickhouse/ch_sql.h"

static const struct {
    const char *text, *database, *first, *second, *user;
    size_t n;
} good[] = {
    { "ch1/tw", "tw", "http://ch1:8123", NULL, NULL, 1 },
    { "ch1:8124,ch2/tw_1", "tw_1", "http://ch1:8124", "http://ch2:8123", NULL, 2 },
    { "[::1]:18123,[fe80::1]/tw?user=me", "tw", "http://[::1]:18123", "http://[fe80::1]:8123", "me", 2 },
    { "ch1,ch2:1/tw?tls=yes&user=a", "tw", "https://ch1:8443", "https://ch2:1", "a", 2 },
    { "10.0.0.1/_x?tls=no", "_x", "http://10.0.0.1:8123", NULL, NULL, 1 },
};

static void takes_locations(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(good); i++) {
        struct ch_location l;
        struct tw_err err = { 0 };
        if (ch_location_parse(good[i].text, &l, &err))
            fail_msg("%s: %s", good[i].text, err.text);
        assert_string_equal(l.database, good[i].database);
        assert_int_equal(l.http.n_endpoints, good[i].n);
        assert_string_equal(l.http.endpoints[0], good[i].first);
        if (good[i].second)
            assert_string_equal(l.http.endpoints[1], good[i].second);
        if (good[i].user)
            assert_string_equal(l.http.user, good[i].user);
        else
            assert_null(l.http.user);
    }
}

static void takes_files(void **state)
{
    struct ch_location l;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(
        ch_location_parse("h/d?password-file=/p&ca-file=/c&cert-file=/x.pem&key-file=/k", &l, &err), TW_OK);
    assert_string_equal(l.http.password_file, "/p");
    assert_string_equal(l.http.ca_file, "/c");
    assert_string_equal(l.http.cert_file, "/x.pem");
    assert_string_equal(l.http.key_file, "/k");
    assert_null(l.cluster);
}

static void takes_clusters(void **state)
{
    struct ch_location l;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(ch_location_parse("a,b/d?cluster=pair_1", &l, &err), TW_OK);
    assert_string_equal(l.cluster, "pair_1");
    assert_int_equal(l.quorum, 0);
    assert_int_equal(ch_location_parse("a,b/d?quorum=2&cluster=c&user=u", &l, &err), TW_OK);
    assert_string_equal(l.cluster, "c");
    assert_int_equal(l.quorum, 2);
}

static const struct {
    const char *text, *why;
} bad[] = {
    { "", "expected HOST:PORT/DATABASE" },
    { "host", "expected HOST:PORT/DATABASE" },
    { "host/", "expected HOST:PORT/DATABASE" },
    { "host/a-b", "expected HOST:PORT/DATABASE" },
    { "host/1a", "expected HOST:PORT/DATABASE" },
    { "host/a;DROP", "expected HOST:PORT/DATABASE" },
    { "host?x=/a", "expected HOST:PORT/DATABASE" },
    { "/db", "expected HOST or HOST:PORT" },
    { "a,/db", "expected HOST or HOST:PORT" },
    { "a:/db", "expected HOST or HOST:PORT" },
    { "a:123456/db", "expected HOST or HOST:PORT" },
    { "a:b/db", "expected HOST or HOST:PORT" },
    { "u@h/db", "expected HOST or HOST:PORT" },
    { "[::1/db", "expected HOST or HOST:PORT" },
    { "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a/db", "at most 16 hosts" },
    { "h/d?tls=1", "expected yes or no" },
    { "h/d?user=", "expected user=" },
    { "h/d?password=secret", "expected user=" },
    { "h/d?user", "expected user=" },
    { "h/d?x=1", "key-file=, cluster=, quorum= or tls=" },
    { "h/d?cluster=a-b", "letters, digits and _" },
    { "h/d?cluster=1a", "letters, digits and _" },
    { "h/d?quorum=2", "and cluster= with it" },
    { "h/d?cluster=c&quorum=0", "a number of replicas" },
    { "h/d?cluster=c&quorum=2x", "a number of replicas" },
};

static void says_what_it_expected(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++) {
        struct ch_location l;
        struct tw_err err = { 0 };
        if (ch_location_parse(bad[i].text, &l, &err) != TW_EINVAL || !strstr(err.text, bad[i].why))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
}

static void bounds_the_length(void **state)
{
    char text[HTTP_LOCATION_MAX + 2];
    struct ch_location l;
    struct tw_err err = { 0 };

    (void)state;
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(ch_location_parse(text, &l, &err), TW_EINVAL);
    text[HTTP_LOCATION_MAX - 1] = '\0'; /* the longest: one host */
    memcpy(text + HTTP_LOCATION_MAX - 3, "/d", 3);
    assert_int_equal(ch_location_parse(text, &l, &err), TW_OK);
}

static void puts_statements_together(void **state)
{
    struct ch_sql s = { { 0 } };
    uint64_t v[] = { 1, 2, 1000 };

    (void)state;
    ch_sql_begin(&s, "SELECT %d", 1);
    ch_sql_add(&s, " FROM %s WHERE a IN ", "t");
    ch_sql_add_numbers(&s, v, 3);
    assert_string_equal(ch_sql_text(&s), "SELECT 1 FROM t WHERE a IN (1, 2, 1000)");
    ch_sql_begin(&s, "x");
    assert_string_equal(ch_sql_text(&s), "x");
    ch_sql_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_locations),   cmocka_unit_test(takes_files),
        cmocka_unit_test(takes_clusters),    cmocka_unit_test(says_what_it_expected),
        cmocka_unit_test(bounds_the_length), cmocka_unit_test(puts_statements_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
