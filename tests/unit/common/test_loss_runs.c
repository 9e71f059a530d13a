#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/loss_runs.h"

#define MS TW_NS_PER_MS

/* Probes from..to-1 lost, one every 10 ms from 1 s on. */
static struct tw_loss_run run(uint32_t from, uint32_t to)
{
    return (struct tw_loss_run){ .start_ns = TW_NS_PER_S + from * 10 * MS,
                                 .length_ns = (to - from) * 10 * MS,
                                 .probes = to - from,
                                 .seq_first = from,
                                 .direction = TW_FORWARD };
}

static struct tw_loss_run part(uint32_t from, uint32_t to, bool before, bool after)
{
    struct tw_loss_run r = run(from, to);

    r.continues_before = before;
    r.continues_after = after;
    return r;
}

static void come_in_any_order(void **state)
{
    static const uint32_t at[] = { 50, 10, 90, 70, 30 };
    struct tw_loss_runs l = { 0 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(at); i++) {
        struct tw_loss_run r = run(at[i], at[i] + 2);
        loss_runs_add(&l, &r);
    }
    assert_int_equal(l.n, 5);
    for (uint32_t i = 0; i < l.n; i++)
        assert_int_equal(l.v[i].seq_first, 10 + 20 * i);
    loss_runs_free(&l);
    assert_true(!l.v && !l.n && !l.cap);
}

/* 200 runs of 1 to 200 probes: the longest stay, whatever order they come in. */
static void the_shortest_give_way(void **state)
{
    static const uint32_t steps[] = { 1, 199, 77 };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(steps); k++) {
        struct tw_loss_runs l = { 0 };
        for (uint32_t n = 0, i = 0; n < 200; n++, i = (i + steps[k]) % 200) {
            struct tw_loss_run r = run(i * 1000, i * 1000 + i + 1);
            loss_runs_add(&l, &r);
        }
        assert_int_equal(l.n, TW_LOSS_RUNS_MAX);
        for (uint32_t i = 0; i < l.n; i++)
            assert_int_equal(l.v[i].probes, 200 - TW_LOSS_RUNS_MAX + 1 + i);
        loss_runs_free(&l);
    }
}

static void of_equal_ones_the_first_stay(void **state)
{
    struct tw_loss_runs l = { 0 };

    (void)state;
    for (uint32_t i = 0; i < 100; i++) {
        struct tw_loss_run r = run(i * 10, i * 10 + 1);
        loss_runs_add(&l, &r);
    }
    assert_int_equal(l.n, TW_LOSS_RUNS_MAX);
    assert_int_equal(l.v[TW_LOSS_RUNS_MAX - 1].seq_first, 10 * (TW_LOSS_RUNS_MAX - 1));
    loss_runs_free(&l);
}

static void parts_become_one_in_any_order(void **state)
{
    static const int orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
                                     { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
    const struct tw_loss_run parts[3] = { part(95, 100, false, true), part(100, 200, true, true),
                                          part(200, 203, true, false) };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(orders); i++) {
        struct tw_loss_runs l = { 0 };
        struct tw_loss_run whole, other = run(10, 20);
        unsigned joined = loss_runs_add_joined(&l, &other, NULL);
        for (int k = 0; k < 3; k++)
            joined += loss_runs_add_joined(&l, &parts[orders[i][k]], &whole);
        assert_int_equal(joined, 2);
        assert_int_equal(l.n, 2);
        assert_memory_equal(&l.v[1], &whole, sizeof whole);
        assert_true(whole.start_ns == parts[0].start_ns && whole.length_ns == 108 * 10 * MS &&
                    whole.probes == 108 && whole.seq_first == 95 && !whole.continues_before &&
                    !whole.continues_after && whole.direction == TW_FORWARD);
        loss_runs_free(&l);
    }
}

static const struct {
    const char *name;
    int64_t later_ns;
    uint32_t flow;
    bool want;
} follows[] = {
    { "one spacing later", 0, 0, true },     { "host slept at the boundary", 9 * TW_NS_PER_S, 0, true },
    { "other flow", 0, 1, false },           { "another session, hours later", 7200 * TW_NS_PER_S, 0, false },
    { "before it", -TW_NS_PER_S, 0, false },
};

static void what_goes_on(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(follows); i++) {
        struct tw_loss_run first = part(90, 100, false, true), next = part(100, 110, true, false);
        next.start_ns += follows[i].later_ns;
        next.flow = follows[i].flow;
        if (loss_run_continues(&first, &next) != follows[i].want)
            fail_msg("%s", follows[i].name);
        if (loss_run_continues(&next, &first))
            fail_msg("%s: backwards", follows[i].name);
    }
}

static void numbers_and_marks_must_fit(void **state)
{
    struct tw_loss_run first = part(UINT32_MAX - 1, UINT32_MAX, false, true);
    struct tw_loss_run next = part(0, 10, true, false);

    (void)state;
    first.probes = 2; /* the number wraps */
    next.start_ns = first.start_ns + first.length_ns;
    assert_true(loss_run_continues(&first, &next));
    next.seq_first = 1;
    assert_false(loss_run_continues(&first, &next));
    next.seq_first = 0;
    next.continues_before = false;
    assert_false(loss_run_continues(&first, &next));
    next.continues_before = true;
    first.continues_after = false;
    assert_false(loss_run_continues(&first, &next));
}

static void directions_join(void **state)
{
    static const enum tw_direction rows[][3] = {
        { TW_FORWARD, TW_FORWARD, TW_FORWARD },   { TW_BACKWARD, TW_BACKWARD, TW_BACKWARD },
        { TW_FORWARD, TW_BACKWARD, TW_MIXED },    { TW_FORWARD, TW_UNKNOWN, TW_FORWARD },
        { TW_UNKNOWN, TW_BACKWARD, TW_BACKWARD }, { TW_UNKNOWN, TW_UNKNOWN, TW_UNKNOWN },
        { TW_MIXED, TW_UNKNOWN, TW_MIXED },       { TW_BACKWARD, TW_MIXED, TW_MIXED },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_loss_run a = part(90, 100, false, true), b = part(100, 110, true, false);
        a.direction = rows[i][0];
        b.direction = rows[i][1];
        loss_run_join(&a, &b);
        if (a.direction != rows[i][2])
            fail_msg("row %zu: %s", i, tw_direction_name(a.direction));
    }
}

static void fits_into_the_span(void **state)
{
    struct tw_loss_runs l = { 0 };
    struct tw_loss_run a = run(0, 10), b = run(20, 30), c = run(40, 41);

    (void)state;
    loss_runs_add(&l, &a);
    loss_runs_add(&l, &b);
    loss_runs_add(&l, &c);
    loss_runs_fit(&l, a.start_ns + 5 * MS, b.start_ns + 30 * MS);
    assert_int_equal(l.v[0].start_ns, a.start_ns + 5 * MS);
    assert_int_equal(l.v[0].length_ns, a.length_ns);
    assert_int_equal(l.v[1].length_ns, 30 * MS);
    assert_true(l.v[2].start_ns == b.start_ns + 30 * MS - 1 && l.v[2].length_ns == 1);
    loss_runs_free(&l);
}

/* ---- In summaries ---- */

static void period(struct tw_summary *s, int i, bool before, bool after)
{
    struct tw_loss_run r = part((uint32_t)i * 100 + 10, (uint32_t)i * 100 + 100, false, after);

    if (before)
        r = part((uint32_t)i * 100, (uint32_t)i * 100 + 90, true, after);
    summary_init(s);
    s->pair_id = 7;
    s->start_ns = TW_NS_PER_S + i * TW_NS_PER_S;
    s->end_ns = s->start_ns + TW_NS_PER_S;
    s->seq_first = (uint32_t)i * 100;
    s->sent = 100;
    s->received = 10;
    s->lost_forward = 90;
    s->loss_runs = 1;
    s->loss_run_longest = 90;
    s->loss_run_longest_ns = r.length_ns;
    s->status = TW_STATUS_PARTIAL;
    loss_runs_add(&s->runs, &r);
}

static void summaries_join_their_runs(void **state)
{
    struct tw_summary a, b, sum;

    (void)state;
    period(&a, 1, false, true);
    period(&b, 2, true, false);
    assert_int_equal(summary_validate(&a, NULL), TW_OK);
    assert_int_equal(summary_validate(&b, NULL), TW_OK);
    summary_init(&sum);
    summary_merge(&sum, &b);
    summary_merge(&sum, &a);
    assert_int_equal(summary_validate(&sum, NULL), TW_OK);
    assert_true(sum.loss_runs == 1 && sum.runs.n == 1 && sum.loss_run_longest == 180 &&
                sum.loss_run_longest_ns == 1800 * MS);
    summary_free(&a);
    summary_free(&b);
    summary_free(&sum);
}

static void summaries_of_two_pairs_list_none(void **state)
{
    struct tw_summary a, b, sum;

    (void)state;
    period(&a, 1, false, true);
    period(&b, 2, true, false);
    b.pair_id = 8;
    summary_init(&sum);
    summary_merge(&sum, &a);
    assert_int_equal(sum.runs.n, 1);
    summary_merge(&sum, &b);
    summary_merge(&sum, &a);
    assert_true(sum.loss_runs == 3 && sum.runs.n == 0 && sum.loss_run_longest == 90);
    assert_int_equal(summary_validate(&sum, NULL), TW_OK);
    summary_free(&a);
    summary_free(&b);
    summary_free(&sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_in_any_order),
        cmocka_unit_test(the_shortest_give_way),
        cmocka_unit_test(of_equal_ones_the_first_stay),
        cmocka_unit_test(parts_become_one_in_any_order),
        cmocka_unit_test(what_goes_on),
        cmocka_unit_test(numbers_and_marks_must_fit),
        cmocka_unit_test(directions_join),
        cmocka_unit_test(fits_into_the_span),
        cmocka_unit_test(summaries_join_their_runs),
        cmocka_unit_test(summaries_of_two_pairs_list_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
