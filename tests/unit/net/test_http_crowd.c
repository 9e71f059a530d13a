/* Who gets in, who has to go, and what is answered when everything is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/http_crowd.h"
#include "common/rc.h"
#include "tests/unit/common/rng.h"

static const uint8_t us[16] = { 1 }, them[16] = { 2 };

static struct http_crowd crowd(void)
{
    return (struct http_crowd){ .conf = { .connections = 4,
                                          .per_address = 3,
                                          .requests = 2,
                                          .reserve = 1,
                                          .content_bytes = 10000,
                                          .patience_ns = 100 } };
}

static enum http_crowd_verdict ask(struct http_crowd *c, struct http_crowd_conn *conn, bool vital,
                                   int64_t now_ns)
{
    struct http_crowd_conn *unused;

    return http_crowd_begin(c, conn, vital, now_ns, &unused);
}

static void the_oldest_idle_one_makes_room(void **state)
{
    struct http_crowd c = crowd();
    struct http_crowd_conn a, b, d, e, f;

    (void)state;
    assert_null(http_crowd_enter(&c, &a, us, 1));
    assert_null(http_crowd_enter(&c, &b, us, 2));
    assert_null(http_crowd_enter(&c, &d, them, 3));
    assert_int_equal(ask(&c, &a, false, 4), HTTP_CROWD_OK);
    http_crowd_end(&c, &a, 5); /* now b has been idle for longest */
    assert_null(http_crowd_enter(&c, &e, them, 6));
    assert_ptr_equal(http_crowd_enter(&c, &f, us, 7), &b);
    assert_int_equal(c.n_conns, 4);
    assert_int_equal(c.cut, 1);
    http_crowd_leave(&c, &b); /* its socket has ended: nothing more changes */
    assert_int_equal(c.n_conns, 4);
    for (size_t i = 0; i < 4; i++)
        http_crowd_leave(&c, (struct http_crowd_conn *[]){ &a, &d, &e, &f }[i]);
    assert_int_equal(c.n_conns, 0);
    assert_null(c.all);
    assert_null(c.idle);
}

static void an_address_makes_room_for_itself(void **state)
{
    struct http_crowd c = crowd();
    struct http_crowd_conn them1, v[4];

    (void)state;
    c.conf.connections = 100;
    http_crowd_enter(&c, &them1, them, 0);
    for (size_t i = 0; i < 3; i++)
        assert_null(http_crowd_enter(&c, &v[i], us, 1));
    assert_ptr_equal(http_crowd_enter(&c, &v[3], us, 2), &v[0]); /* not the other's, though that is older */
}

static void who_finds_all_busy_gets_only_what_is_vital(void **state)
{
    struct http_crowd c = crowd();
    struct http_crowd_conn v[4];

    (void)state;
    c.conf.requests = 10;
    c.conf.connections = 100;
    for (size_t i = 0; i < 3; i++) {
        http_crowd_enter(&c, &v[i], us, 1);
        assert_int_equal(ask(&c, &v[i], false, 1), HTTP_CROWD_OK);
    }
    assert_null(http_crowd_enter(&c, &v[3], us, 2));
    assert_int_equal(ask(&c, &v[3], false, 3), HTTP_CROWD_ADDRESS);
    assert_int_equal(ask(&c, &v[3], true, 3), HTTP_CROWD_OK);
    http_crowd_end(&c, &v[3], 4);
    c.conf.per_address = 100;
    c.conf.connections = 3;
    assert_int_equal(ask(&c, &v[3], false, 5), HTTP_CROWD_CONNECTIONS);
    assert_int_equal(ask(&c, &v[3], true, 5), HTTP_CROWD_OK);
    assert_int_equal(c.refused[HTTP_CROWD_ADDRESS], 1);
    assert_int_equal(c.refused[HTTP_CROWD_CONNECTIONS], 1);
}

static void requests_are_bounded_with_a_reserve(void **state)
{
    struct http_crowd c = crowd();
    struct http_crowd_conn v[4];

    (void)state;
    for (size_t i = 0; i < 4; i++)
        http_crowd_enter(&c, &v[i], i % 2 ? us : them, 1);
    assert_int_equal(ask(&c, &v[0], false, 2), HTTP_CROWD_OK);
    assert_int_equal(ask(&c, &v[1], false, 2), HTTP_CROWD_OK);
    assert_int_equal(ask(&c, &v[2], false, 2), HTTP_CROWD_REQUESTS);
    assert_int_equal(v[2].state, HTTP_IDLE);
    assert_int_equal(ask(&c, &v[2], true, 2), HTTP_CROWD_OK);
    assert_int_equal(ask(&c, &v[3], true, 2), HTTP_CROWD_REQUESTS); /* the reserve ends, too */
    http_crowd_answer(&c, &v[0], true, 3);                          /* a stream has bounds of its own */
    assert_int_equal(c.n_requests, 2);
    http_crowd_end(&c, &v[1], 4);
    assert_int_equal(ask(&c, &v[3], false, 5), HTTP_CROWD_OK);
    assert_int_equal(c.refused[HTTP_CROWD_REQUESTS], 2);
    for (size_t i = 0; i < 4; i++)
        http_crowd_leave(&c, &v[i]); /* in the midst of it */
    assert_int_equal(c.n_requests, 0);
    assert_int_equal(c.n_conns, 0);
}

static void whoever_takes_no_answer_makes_room(void **state)
{
    struct http_crowd c = crowd();
    struct http_crowd_conn v[3], *gone;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        http_crowd_enter(&c, &v[i], us, 0);
    assert_int_equal(ask(&c, &v[0], false, 0), HTTP_CROWD_OK);
    assert_int_equal(ask(&c, &v[1], false, 0), HTTP_CROWD_OK);
    http_crowd_answer(&c, &v[1], false, 10);
    http_crowd_answer(&c, &v[0], false, 20);
    assert_int_equal(http_crowd_begin(&c, &v[2], false, 109, &gone), HTTP_CROWD_REQUESTS);
    assert_null(gone);
    assert_int_equal(http_crowd_begin(&c, &v[2], false, 110, &gone), HTTP_CROWD_OK);
    assert_ptr_equal(gone, &v[1]);
    assert_int_equal(c.n_requests, 2);
    http_crowd_end(&c, &v[1], 111);
    http_crowd_leave(&c, &v[1]);
    assert_int_equal(c.n_requests, 2);
    assert_int_equal(c.n_conns, 2);
}

static void long_content_is_bounded_in_all(void **state)
{
    struct http_crowd c = crowd();
    struct http_crowd_conn a, b;

    (void)state;
    http_crowd_enter(&c, &a, us, 0);
    http_crowd_enter(&c, &b, us, 0);
    assert_int_equal(ask(&c, &a, false, 0), HTTP_CROWD_OK);
    assert_int_equal(ask(&c, &b, false, 0), HTTP_CROWD_OK);
    assert_int_equal(http_crowd_content(&c, &a, HTTP_CROWD_SMALL), HTTP_CROWD_OK);
    assert_int_equal(c.content, 0);
    assert_int_equal(http_crowd_content(&c, &a, 6000), HTTP_CROWD_OK);
    assert_int_equal(http_crowd_content(&c, &b, 4097), HTTP_CROWD_CONTENT);
    assert_int_equal(http_crowd_content(&c, &b, SIZE_MAX), HTTP_CROWD_CONTENT);
    http_crowd_end(&c, &a, 1);
    assert_int_equal(http_crowd_content(&c, &b, 10000), HTTP_CROWD_OK);
    http_crowd_leave(&c, &b);
    assert_int_equal(c.content, 0);
}

/* Whatever happens in whatever order: the counts are those of the connections. */
static void counts_hold_at_random(void **state)
{
    enum { N = 12 };
    static const uint8_t ips[3][16] = { { 1 }, { 2 }, { 3 } };
    struct http_crowd c = crowd();
    struct http_crowd_conn v[N], *gone;
    bool here[N] = { 0 };
    uint64_t seed = 20;

    (void)state;
    for (int64_t now = 0; now < 100000; now++) {
        size_t i = rng_next(&seed) % N;
        unsigned what = (unsigned)(rng_next(&seed) % 6), conns = 0, requests = 0;

        if (!here[i]) {
            http_crowd_enter(&c, &v[i], ips[i % 3], now);
            here[i] = true;
        } else if (what == 0) {
            http_crowd_leave(&c, &v[i]);
            here[i] = false;
        } else if (what == 1 && v[i].state == HTTP_IDLE) {
            http_crowd_begin(&c, &v[i], i & 1, now, &gone);
        } else if (what == 2) {
            http_crowd_answer(&c, &v[i], i & 2, now);
        } else if (what == 3 && v[i].state == HTTP_BUSY) {
            http_crowd_content(&c, &v[i], 5000);
        } else {
            http_crowd_end(&c, &v[i], now);
        }
        for (size_t k = 0; k < N; k++) {
            conns += here[k] && !v[k].cut;
            requests += here[k] && !v[k].cut && (v[k].state == HTTP_BUSY || v[k].state == HTTP_SENDING);
        }
        if (conns != c.n_conns || requests != c.n_requests || requests > 3 || c.content > 10000)
            fail_msg("step %lld: %u connections (%u), %u requests (%u)", (long long)now, c.n_conns, conns,
                     c.n_requests, requests);
    }
    assert_true(c.cut > 100 && c.refused[HTTP_CROWD_REQUESTS] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_idle_one_makes_room),
        cmocka_unit_test(an_address_makes_room_for_itself),
        cmocka_unit_test(who_finds_all_busy_gets_only_what_is_vital),
        cmocka_unit_test(requests_are_bounded_with_a_reserve),
        cmocka_unit_test(whoever_takes_no_answer_makes_room),
        cmocka_unit_test(long_content_is_bounded_in_all),
        cmocka_unit_test(counts_hold_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
