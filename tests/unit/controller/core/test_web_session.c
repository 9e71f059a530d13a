/* Sessions of the page in simulated time, and the headers that they are known by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "controller/core/web_cookie.h"
#include "controller/core/web_session.h"

#define MINUTE_NS (60 * TW_NS_PER_S)
#define HOUR_NS (60 * MINUTE_NS)

struct rig {
    struct access *access;
    struct web_sessions *sessions;
    struct tw_now now;
    uint32_t made; /* sessions, so that each has other octets */
};

static void rig_start(struct rig *r, uint32_t max, uint32_t max_of_token)
{
    struct web_sessions_conf c = { .max = max, .max_of_token = max_of_token };

    *r = (struct rig){ 0 };
    r->now.wall.ns = 1000 * HOUR_NS;
    r->now.mono.ns = 5 * HOUR_NS;
    assert_int_equal(access_new(100, &r->access), TW_OK);
    assert_int_equal(web_sessions_new(&c, &r->sessions), TW_OK);
}

static void rig_stop(struct rig *r)
{
    web_sessions_free(r->sessions);
    access_free(r->access);
}

static void pass(struct rig *r, int64_t ns)
{
    r->now.wall.ns += ns;
    r->now.mono.ns += ns;
}

/* Somebody with a token of their own. */
static struct access_who person(struct rig *r, const char *name, enum access_role role, int64_t expires_ns)
{
    struct access_token t = { .role = role, .expires_ns = expires_ns };
    uint8_t octets[ACCESS_RANDOM_OCTETS] = { 0 };
    struct access_who who = { .role = role };
    char text[ACCESS_TOKEN_TEXT];

    snprintf((char *)octets, sizeof octets, "%s", name);
    access_make(octets, &t, text);
    snprintf(t.name, sizeof t.name, "%s", name);
    assert_int_equal(access_put(r->access, &t), TW_OK);
    snprintf(who.name, sizeof who.name, "%s", name);
    snprintf(who.id, sizeof who.id, "%s", t.id);
    return who;
}

static void revoke(struct rig *r, const struct access_who *who)
{
    struct access_token t = *access_get(r->access, who->id);

    t.revoked_ns = r->now.wall.ns;
    assert_int_equal(access_put(r->access, &t), TW_OK);
}

static enum tw_rc login(struct rig *r, const struct access_who *who, struct web_session_key *ret,
                        char id[WEB_SESSION_TEXT])
{
    uint8_t octets[WEB_SESSION_OCTETS] = { 0 };
    char own[WEB_SESSION_TEXT];
    enum tw_rc rc;

    r->made++;
    memcpy(octets, &r->made, sizeof r->made);
    rc = web_session_open(r->sessions, r->now, who, octets, id ? id : own);
    if (rc == TW_OK)
        assert_true(web_session_key_of(id ? id : own, ret));
    return rc;
}

static bool alive(struct rig *r, const struct web_session_key *key)
{
    struct access_who who;

    return web_session_find(r->sessions, r->now, r->access, key, &who);
}

static uint64_t ended(struct rig *r, enum web_end why)
{
    struct web_sessions_counts n;

    web_sessions_count(r->sessions, r->now, &n);
    return n.ended[why];
}

static uint64_t open_now(struct rig *r)
{
    struct web_sessions_counts n;

    web_sessions_count(r->sessions, r->now, &n);
    return n.now;
}

static void knows_who_it_is(void **state)
{
    struct web_session_key key, other;
    char id[WEB_SESSION_TEXT];
    struct access_who who, found;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 0);
    who = person(&r, "ann", ACCESS_OPERATOR, 0);
    assert_int_equal(login(&r, &who, &key, id), TW_OK);
    assert_true(web_session_find(r.sessions, r.now, r.access, &key, &found));
    assert_string_equal(found.name, "ann");
    assert_int_equal(found.role, ACCESS_OPERATOR);
    id[0] = id[0] == '0' ? '1' : '0';
    assert_true(web_session_key_of(id, &other));
    assert_false(alive(&r, &other));
    assert_true(alive(&r, &key));
    assert_true(web_session_close(r.sessions, &key));
    assert_false(web_session_close(r.sessions, &key));
    assert_false(alive(&r, &key));
    assert_int_equal(ended(&r, WEB_END_LOGOUT), 1);
    rig_stop(&r);
}

static void ends_with_time(void **state)
{
    struct web_session_key used, idle;
    struct access_who who;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 0);
    who = person(&r, "ann", ACCESS_VIEWER, 0);
    assert_int_equal(login(&r, &who, &used, NULL), TW_OK);
    assert_int_equal(login(&r, &who, &idle, NULL), TW_OK);
    for (int i = 1; i < 24; i++) { /* 11.5 h */
        pass(&r, 30 * MINUTE_NS);
        assert_true(alive(&r, &used));
    }
    assert_false(alive(&r, &idle));
    assert_int_equal(web_session_left_ns(r.sessions, r.now, &used), 30 * MINUTE_NS);
    pass(&r, 30 * MINUTE_NS - 1);
    assert_true(alive(&r, &used));
    pass(&r, 1);
    assert_false(alive(&r, &used));
    assert_int_equal(web_session_left_ns(r.sessions, r.now, &used), 0);
    assert_int_equal(ended(&r, WEB_END_LIFE), 1);
    assert_int_equal(ended(&r, WEB_END_IDLE), 1);
    assert_int_equal(open_now(&r), 0);
    rig_stop(&r);
}

static void idle_time_counts_from_the_last_use(void **state)
{
    struct web_session_key key;
    struct access_who who;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 0);
    who = person(&r, "ann", ACCESS_VIEWER, 0);
    assert_int_equal(login(&r, &who, &key, NULL), TW_OK);
    pass(&r, 2 * HOUR_NS - 1);
    assert_true(alive(&r, &key));
    pass(&r, 2 * HOUR_NS - 1);
    assert_true(alive(&r, &key));
    pass(&r, 2 * HOUR_NS);
    assert_false(alive(&r, &key));
    rig_stop(&r);
}

/* A step of the wall clock neither ends sessions nor lets them live longer. */
static void wall_clock_does_not_matter(void **state)
{
    struct web_session_key key;
    struct access_who who;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 0);
    who = person(&r, "ann", ACCESS_VIEWER, 0);
    assert_int_equal(login(&r, &who, &key, NULL), TW_OK);
    r.now.wall.ns += 1000 * HOUR_NS;
    assert_true(alive(&r, &key));
    r.now.wall.ns -= 1500 * HOUR_NS;
    r.now.mono.ns += 12 * HOUR_NS;
    assert_false(alive(&r, &key));
    rig_stop(&r);
}

static void ends_with_its_token(void **state)
{
    struct web_session_key ann[2], bob;
    struct access_who a, b;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 0);
    a = person(&r, "ann", ACCESS_ADMIN, 0);
    b = person(&r, "bob", ACCESS_VIEWER, r.now.wall.ns + HOUR_NS);
    assert_int_equal(login(&r, &a, &ann[0], NULL), TW_OK);
    assert_int_equal(login(&r, &a, &ann[1], NULL), TW_OK);
    assert_int_equal(login(&r, &b, &bob, NULL), TW_OK);
    revoke(&r, &a);
    assert_false(alive(&r, &ann[0]));
    assert_int_equal(open_now(&r), 1); /* the other one of that token went with it */
    assert_false(alive(&r, &ann[1]));
    pass(&r, HOUR_NS - 1);
    assert_true(alive(&r, &bob));
    pass(&r, 1);
    assert_false(alive(&r, &bob));
    assert_int_equal(ended(&r, WEB_END_TOKEN), 3);
    /* A token that is gone altogether does not leave sessions either. */
    a = person(&r, "cid", ACCESS_ADMIN, 0);
    assert_int_equal(login(&r, &a, &bob, NULL), TW_OK);
    assert_true(access_remove(r.access, a.id));
    assert_false(alive(&r, &bob));
    rig_stop(&r);
}

/* Whoever logs in again and again loses sessions of their own, the least recently used first. */
static void own_logins_replace_own_sessions(void **state)
{
    struct web_session_key mallory[10], ann;
    struct access_who a, m;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 3);
    a = person(&r, "ann", ACCESS_VIEWER, 0);
    m = person(&r, "mallory", ACCESS_VIEWER, 0);
    assert_int_equal(login(&r, &a, &ann, NULL), TW_OK);
    for (int i = 0; i < 3; i++) {
        pass(&r, TW_NS_PER_S);
        assert_int_equal(login(&r, &m, &mallory[i], NULL), TW_OK);
    }
    pass(&r, TW_NS_PER_S);
    assert_true(alive(&r, &mallory[0]));
    assert_int_equal(login(&r, &m, &mallory[3], NULL), TW_OK);
    assert_true(alive(&r, &mallory[0]));
    assert_false(alive(&r, &mallory[1]));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(login(&r, &m, &mallory[4], NULL), TW_OK);
    assert_true(alive(&r, &ann));
    assert_int_equal(open_now(&r), 4);
    assert_int_equal(ended(&r, WEB_END_REPLACED), 1001);
    rig_stop(&r);
}

/* With as many tokens as one likes nobody else is logged out: who comes is refused. */
static void full_table_refuses_who_comes(void **state)
{
    struct web_session_key ann, key;
    struct web_sessions_counts n;
    struct access_who a, b;
    struct rig r;

    (void)state;
    rig_start(&r, 10, 3);
    a = person(&r, "ann", ACCESS_VIEWER, 0);
    assert_int_equal(login(&r, &a, &ann, NULL), TW_OK);
    for (int i = 0; i < 20; i++) {
        char name[32];

        snprintf(name, sizeof name, "mallory%d", i);
        b = person(&r, name, ACCESS_VIEWER, 0);
        assert_int_equal(login(&r, &b, &key, NULL), i < 9 ? TW_OK : TW_ENOSPC);
    }
    assert_true(alive(&r, &ann));
    web_sessions_count(r.sessions, r.now, &n);
    assert_int_equal(n.full, 11);
    assert_int_equal(n.now, 10);
    /* Those whose time is over make room. */
    pass(&r, 90 * MINUTE_NS);
    assert_true(alive(&r, &ann));
    pass(&r, 31 * MINUTE_NS);
    assert_int_equal(login(&r, &b, &key, NULL), TW_OK);
    assert_int_equal(open_now(&r), 2);
    rig_stop(&r);
}

static void csrf(void **state)
{
    struct web_session_key key;
    char id[WEB_SESSION_TEXT], other[WEB_SESSION_TEXT], text[WEB_SESSION_TEXT];
    struct access_who who;
    struct rig r;

    (void)state;
    rig_start(&r, 0, 0);
    who = person(&r, "ann", ACCESS_ADMIN, 0);
    assert_int_equal(login(&r, &who, &key, id), TW_OK);
    assert_int_equal(login(&r, &who, &key, other), TW_OK);
    web_session_csrf(id, text);
    assert_true(web_session_csrf_ok(id, text));
    assert_false(web_session_csrf_ok(other, text));
    assert_false(web_session_csrf_ok(id, id));
    assert_false(web_session_csrf_ok(id, ""));
    assert_false(web_session_csrf_ok(id, NULL));
    text[3] = text[3] == '0' ? '1' : '0';
    assert_false(web_session_csrf_ok(id, text));
    text[10] = '\0';
    assert_false(web_session_csrf_ok(id, text));
    rig_stop(&r);
}

static void ids(void **state)
{
    static const char *const bad[] = {
        "",
        "0",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdeF",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde ",
    };
    struct web_session_key key;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        if (web_session_key_of(bad[i], &key))
            fail_msg("\"%s\" is taken for an id", bad[i]);
    assert_true(web_session_key_of("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &key));
}

static void cookies(void **state)
{
    static const struct {
        const char *header, *value; /* NULL: none */
    } cases[] = {
        { "s=abc", "abc" },
        { "a=b; s=abc", "abc" },
        { "a=b;s=abc;c=d", "abc" },
        { "a=b ;  s = abc\t; c=d", "abc" },
        { "s=\"abc\"", "abc" },
        { "s=a=b", "a=b" },
        { "xs=abc; sx=abc", NULL },
        { "S=abc", NULL },
        { "s", NULL },
        { "s=", NULL },
        { "s=\"\"", NULL },
        { "", NULL },
        { ";;;", NULL },
        { "=abc", NULL },
        { "s=abc; s=abc", NULL },
        { "s=abc; t=1; s=def", NULL },
        { "s=1234567", "1234567" },
        { "s=12345678", NULL }, /* too long for us */
    };
    char value[8];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        bool found = web_cookie_get(cases[i].header, "s", value, sizeof value);

        if (found != !!cases[i].value || (found && strcmp(value, cases[i].value) != 0))
            fail_msg("\"%s\": %s", cases[i].header, found ? value : "none");
    }
    assert_false(web_cookie_get(NULL, "s", value, sizeof value));
}

static void origins(void **state)
{
    static const struct {
        const char *origin, *host;
        bool secure, own;
    } cases[] = {
        { NULL, "x:8080", true, true },
        { "https://x:8080", "x:8080", true, true },
        { "HTTPS://X:8080", "x:8080", true, true },
        { "http://x:8080", "x:8080", true, false }, /* a page that anybody in between may have made */
        { "http://x:8080", "x:8080", false, true },
        { "https://x:8080", "x:8080", false, true }, /* a proxy */
        { "https://y:8080", "x:8080", true, false },
        { "https://x", "x:8080", true, false },
        { "https://x:8080.evil.example", "x:8080", true, false },
        { "https://evil.example/x:8080", "x:8080", true, false },
        { "null", "x:8080", false, false },
        { "", "x:8080", false, false },
        { "https://", "", true, false },
        { "https://x", NULL, true, false },
        { "x:8080", "x:8080", false, false },
        { "ftp://x:8080", "x:8080", false, false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++)
        if (web_origin_is_own(cases[i].origin, cases[i].host, cases[i].secure) != cases[i].own)
            fail_msg("%s at %s", cases[i].origin ? cases[i].origin : "-",
                     cases[i].host ? cases[i].host : "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_who_it_is),
        cmocka_unit_test(ends_with_time),
        cmocka_unit_test(idle_time_counts_from_the_last_use),
        cmocka_unit_test(wall_clock_does_not_matter),
        cmocka_unit_test(ends_with_its_token),
        cmocka_unit_test(own_logins_replace_own_sessions),
        cmocka_unit_test(full_table_refuses_who_comes),
        cmocka_unit_test(csrf),
        cmocka_unit_test(ids),
        cmocka_unit_test(cookies),
        cmocka_unit_test(origins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
