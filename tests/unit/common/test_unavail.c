#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "tests/unit/common/summary_fixture.h"

#define S TW_NS_PER_S

static struct tw_unavail_run run(int64_t from_s, int64_t to_s, uint32_t flow)
{
    return (struct tw_unavail_run){ from_s * S, to_s * S, (uint32_t)((to_s - from_s) / 10), flow };
}

static void add(struct tw_unavail *l, int64_t from_s, int64_t to_s, uint32_t flow)
{
    struct tw_unavail_run r = run(from_s, to_s, flow);

    unavail_add(l, &r);
}

static void runs_that_touch_become_one_in_any_order(void **state)
{
    static const int order[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 0, 2, 1, 3 }, { 3, 0, 2, 1 } };
    const struct tw_unavail_run whole = run(100, 130, 2), other = run(110, 120, 3);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(order); i++) {
        const struct tw_unavail_run parts[] = { run(100, 110, 2), run(110, 120, 2), run(120, 130, 2), other };
        struct tw_unavail l = { 0 };
        for (int k = 0; k < 4; k++)
            unavail_add(&l, &parts[order[i][k]]);
        assert_int_equal(l.n, 2);
        assert_memory_equal(&l.v[0], &whole, sizeof whole);
        assert_memory_equal(&l.v[1], &other, sizeof other);
        assert_int_equal(unavail_windows(&l), 4);
        unavail_free(&l);
    }
}

static void a_full_list_keeps_the_longest(void **state)
{
    struct tw_unavail l = { 0 };

    (void)state;
    for (int i = 0; i < TW_UNAVAIL_MAX; i++)
        add(&l, i * 100, i * 100 + 20, 0);
    add(&l, 10000, 10010, 0); /* shorter than all: not listed */
    assert_int_equal(l.n, TW_UNAVAIL_MAX);
    assert_int_equal(l.v[TW_UNAVAIL_MAX - 1].start_ns, (TW_UNAVAIL_MAX - 1) * 100 * S);
    add(&l, 10000, 10060, 0);
    assert_int_equal(l.n, TW_UNAVAIL_MAX);
    assert_int_equal(l.v[TW_UNAVAIL_MAX - 1].windows, 6);
    unavail_free(&l);
}

static void octets_say_the_same(void **state)
{
    uint8_t buf[UNAVAIL_MAX_BLOB];
    struct tw_unavail l = { 0 }, back = { 0 };
    size_t len = 99;

    (void)state;
    assert_int_equal(unavail_encode(&l, buf, sizeof buf, &len), TW_OK);
    assert_int_equal(len, 0);
    for (int i = 0; i < TW_UNAVAIL_MAX; i++)
        unavail_add(
            &l, &(struct tw_unavail_run){ INT64_C(1800000000000000000) + i * 100 * S,
                                          INT64_C(1800000000000000000) + i * 100 * S + (i % 9 + 1) * 10 * S,
                                          UINT32_MAX - (uint32_t)i, (uint32_t)i });
    assert_int_equal(unavail_encode(&l, buf, sizeof buf, &len), TW_OK);
    assert_int_equal(unavail_decode(&back, buf, len), TW_OK);
    assert_true(same_unavailable(&l, &back));
    for (size_t cut = 1; cut < len; cut++) {
        assert_int_equal(unavail_decode(&back, buf, cut), TW_ECORRUPT);
        assert_int_equal(back.n, 0);
    }
    assert_int_equal(unavail_encode(&l, buf, len - 1, &len), TW_ETRUNC);
    buf[0] = 9;
    assert_int_equal(unavail_decode(&back, buf, len), TW_EVERSION);
    unavail_free(&l);
    unavail_free(&back);
}

static const struct {
    const char *name;
    uint8_t octets[16];
    size_t len;
} damaged[] = {
    { "no runs", { 1, 0 }, 2 },
    { "too many", { 1, 65 }, 2 },
    { "trailing octet", { 1, 1, 5, 5, 1, 0, 0 }, 7 },
    { "windows of more than 32 bits", { 1, 1, 5, 5, 0xff, 0xff, 0xff, 0xff, 0x1f, 0 }, 10 },
    { "start past the end of time",
      { 1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1, 0 },
      15 },
};

static void damaged_octets_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(damaged); i++) {
        struct tw_unavail l = { 0 };
        if (unavail_decode(&l, damaged[i].octets, damaged[i].len) != TW_ECORRUPT || l.n)
            fail_msg("%s", damaged[i].name);
        unavail_free(&l);
    }
}

static void what_sticks_out_is_moved_in(void **state)
{
    struct tw_unavail l = { 0 };

    (void)state;
    add(&l, 90, 110, 0);
    add(&l, 150, 170, 0);
    unavail_fit(&l, 100 * S, 160 * S);
    assert_int_equal(l.v[0].start_ns, 100 * S);
    assert_int_equal(l.v[0].end_ns, 110 * S);
    assert_int_equal(l.v[1].end_ns, 160 * S);
    unavail_fit(&l, 100 * S, 150 * S); /* the second is wholly outside: the shortest that can be */
    assert_int_equal(l.v[1].end_ns, 150 * S);
    assert_true(l.v[1].start_ns < l.v[1].end_ns);
    unavail_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_that_touch_become_one_in_any_order),
        cmocka_unit_test(a_full_list_keeps_the_longest),
        cmocka_unit_test(octets_say_the_same),
        cmocka_unit_test(damaged_octets_are_refused),
        cmocka_unit_test(what_sticks_out_is_moved_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
