/* What goes next: fresh records first, a backlog beside them, each number once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include "agent/core/lanes.h"
#include "common/splitmix.h"

static struct tw_mono at(int64_t ms)
{
    return (struct tw_mono){ ms * TW_NS_PER_MS };
}

static struct lanes_grant grant(uint64_t through, uint32_t max, uint32_t window)
{
    return (struct lanes_grant){
        .through = through, .anchored = through != 0, .max = max, .window = window, .backlog_per_s = 1000
    };
}

/* "12-20 backlog ahead", or "nothing" */
static const char *next_of(const struct lanes *l, uint64_t last_seq, int64_t ms, struct lanes_pick *p)
{
    static char text[96];

    if (!lanes_next(l, last_seq, at(ms), p))
        return "nothing";
    snprintf(text, sizeof text, "%llu-%llu%s%s", (unsigned long long)p->first, (unsigned long long)p->last,
             p->backlog ? " backlog" : "", p->ahead ? " ahead" : "");
    return text;
}

static void expect(struct lanes *l, uint64_t last_seq, int64_t ms, const char *want, uint64_t take)
{
    struct lanes_pick p;
    const char *got = next_of(l, last_seq, ms, &p);

    if (strcmp(got, want) != 0)
        fail_msg("got %s, not %s", got, want);
    if (take)
        lanes_sent(l, &p, p.first + take - 1, take, at(ms));
}

static void acked(struct lanes *l, uint64_t through, uint64_t first, uint64_t last)
{
    struct lanes_grant g = grant(through, 0, l->grant.window);

    if (first)
        seqset_add(&g.ahead, first, last);
    lanes_ack(l, &g);
}

static void without_a_backlog_all_goes_in_order(void **state)
{
    struct lanes l = { 0 };
    const struct lanes_grant g = grant(10, 16, 100);

    (void)state;
    lanes_reset(&l, &g);
    expect(&l, 10, 0, "nothing", 0);
    expect(&l, 500, 0, "11-110", 60);
    expect(&l, 500, 0, "71-110", 40);
    expect(&l, 500, 0, "nothing", 0);
    acked(&l, 70, 0, 0);
    expect(&l, 500, 0, "111-170", 0);
    assert_int_equal(lanes_backlog(&l, 1), 0);
    assert_true(lanes_due(&l, at(0)).ns == TW_MONO_NEVER.ns);
}

static void who_knows_nothing_gets_one_batch_at_a_time(void **state)
{
    struct lanes l = { 0 };
    struct lanes_grant g = grant(0, 16, 100);

    (void)state;
    g.through = 40; /* what was before is nobody's concern */
    lanes_reset(&l, &g);
    assert_false(lanes_lags(&l, 100000));
    expect(&l, 100000, 0, "41-140", 5);
    expect(&l, 100000, 0, "nothing", 0);
    acked(&l, 45, 0, 0);
    assert_true(lanes_lags(&l, 100000));
    expect(&l, 100000, 0, "46-145", 0);
}

static void fresh_ones_go_first(void **state)
{
    struct lanes l = { 0 };
    const struct lanes_grant g = grant(1000, 16, 100);

    (void)state;
    lanes_reset(&l, &g);
    assert_true(lanes_lags(&l, 5000));
    lanes_jump(&l, 5000, 4951);
    assert_int_equal(lanes_backlog(&l, 1), 3950);
    assert_int_equal(lanes_backlog(&l, 4000), 951); /* the rest was dropped */
    assert_int_equal(lanes_backlog(&l, 6000), 0);
    expect(&l, 5000, 0, "4951-5000 ahead", 50);
    expect(&l, 5000, 0, "1001-1010 backlog",
           10); /* half of the window is for fresh ones, a tenth for the backlog */
    expect(&l, 5000, 10, "nothing", 0);
    expect(&l, 5010, 10, "5001-5010 ahead", 10);
    acked(&l, 1010, 4951, 5000);
    expect(&l, 5010, 10, "1011-1050 backlog", 40); /* 10 are under way */
    expect(&l, 5010, 10, "nothing", 0);
    expect(&l, 5012, 10, "5011-5012 ahead", 2); /* though the backlog waits for its time */
    acked(&l, 1050, 4951, 5012);
    expect(&l, 5012, 49, "nothing", 0);
    assert_int_equal(lanes_due(&l, at(49)).ns, at(50).ns);     /* 40 at 1000 a second */
    assert_true(lanes_due(&l, at(50)).ns == TW_MONO_NEVER.ns); /* it may go: nothing to wait for */
    expect(&l, 5012, 50, "1051-1100 backlog", 0);
    assert_int_equal(lanes_backlog(&l, 1), 3900);
}

/* A line that takes no more than what is fresh: of a window that is always full a tenth is the backlog's. */
static void the_backlog_moves_however_much_is_fresh(void **state)
{
    struct lanes l = { 0 };
    const struct lanes_grant g = grant(1000, 16, 100);
    struct lanes_pick p;

    (void)state;
    lanes_reset(&l, &g);
    lanes_jump(&l, 90000, 80001);
    expect(&l, 90000, 0, "80001-80090 ahead", 90);
    expect(&l, 90000, 0, "1001-1010 backlog", 10);
    expect(&l, 90000, 100, "nothing", 0);
    acked(&l, 1000, 80001, 80004);
    expect(&l, 90000, 100, "80091-80094 ahead", 4); /* what the backlog has not used is not for it alone */
    acked(&l, 1004, 80001, 80004);
    expect(&l, 90000, 200, "nothing", 0); /* 4 of its 10: not in small pieces */
    acked(&l, 1005, 80001, 80004);
    expect(&l, 90000, 200, "1011-1015 backlog", 5);
    acked(&l, 1015, 80001, 80094);
    expect(&l, 90000, 300, "80095-80184 ahead", 90);
    assert_true(lanes_next(&l, 90000, at(300), &p));
    assert_true(p.backlog && p.first == 1016 && p.last == 1025 && p.gap_last == 80000);
}

/* The smallest window that is granted, and the smallest that there can be. */
static void small_windows_stand_still_for_nobody(void **state)
{
    struct lanes l = { 0 };
    struct lanes_grant g = grant(1000, 16, 8);

    (void)state;
    lanes_reset(&l, &g);
    lanes_jump(&l, 90000, 80001);
    expect(&l, 90000, 0, "80001-80007 ahead", 7);
    expect(&l, 90000, 0, "1001-1001 backlog", 1);
    expect(&l, 90000, 0, "nothing", 0);
    g = grant(1000, 16, 1);
    lanes_reset(&l, &g);
    lanes_jump(&l, 90000, 80001);
    expect(&l, 90000, 0, "80001-80001 ahead", 1);
}

static void the_last_of_a_backlog_joins_both(void **state)
{
    struct lanes l = { 0 };
    const struct lanes_grant g = grant(100, 16, 2048);

    (void)state;
    lanes_reset(&l, &g);
    lanes_jump(&l, 1000, 500);
    expect(&l, 1000, 0, "500-1000 ahead", 501);
    acked(&l, 100, 500, 1000);
    expect(&l, 1000, 0, "101-499 backlog", 399);
    expect(&l, 1005, 0, "1001-1005", 5); /* behind it on the same connection: nothing is missing any more */
    assert_int_equal(lanes_backlog(&l, 1), 0);
    acked(&l, 1000, 0, 0);
    acked(&l, 1005, 0, 0);
    expect(&l, 1005, 9000, "nothing", 0);
}

/* A stretch of numbers that the spool had to drop is one record, however long. */
static void a_gap_is_one_record(void **state)
{
    struct lanes l = { 0 };
    struct lanes_pick p;
    const struct lanes_grant g = grant(1000, 16, 100);

    (void)state;
    lanes_reset(&l, &g);
    lanes_jump(&l, 900000, 899991);
    expect(&l, 900000, 0, "899991-900000 ahead", 10);
    acked(&l, 1000, 899991, 900000);
    assert_true(lanes_next(&l, 900000, at(0), &p));
    assert_int_equal(p.last, 1050);
    assert_int_equal(p.gap_last, 899990);
    lanes_sent(&l, &p, 600000, 1, at(0));
    assert_false(lanes_next(&l, 900000, at(0), &p));
    acked(&l, 600000, 899991, 900000);
    expect(&l, 900000, 1, "600001-600050 backlog", 0); /* it cost a millisecond */
}

static void a_controller_that_takes_nothing_ahead_gets_all_in_order(void **state)
{
    struct lanes l = { 0 };
    const struct lanes_grant g = grant(1000, 0, 100);

    (void)state;
    lanes_reset(&l, &g);
    assert_false(lanes_lags(&l, 5000));
    lanes_jump(&l, 5000, 4951);
    expect(&l, 5000, 0, "1001-1100", 0);
}

/* What was under way is sent again; what is durable is not. */
static void a_refusal_begins_anew(void **state)
{
    struct lanes l = { 0 };
    struct lanes_grant g = grant(1000, 16, 1000);

    (void)state;
    lanes_reset(&l, &g);
    lanes_jump(&l, 5000, 4501);
    expect(&l, 5000, 0, "4501-5000 ahead", 500);
    acked(&l, 1000, 4501, 4700);
    seqset_add(&g.ahead, 4501, 4700);
    lanes_reset(&l, &g);
    expect(&l, 5000, 0, "4701-5000 ahead", 300); /* few: not worth a jump */
    expect(&l, 5000, 0, "1001-1100 backlog", 0); /* a tenth: more than half of its share is under way */
    acked(&l, 1000, 4501, 5000);
    acked(&l, 900, 0, 0); /* less than before: late */
    expect(&l, 5000, 0, "1001-1500 backlog", 0);
}

/* Each jump is a hole more; when there are as many as the controller takes, all goes in order. */
static void jumps_are_bounded(void **state)
{
    struct lanes l = { 0 };
    const struct lanes_grant g = grant(1, 4, 64);
    uint64_t last = 1, fresh = 0;

    (void)state;
    lanes_reset(&l, &g);
    for (unsigned i = 0; i < 10; i++) {
        struct lanes_pick p;

        last += 10000;
        lanes_jump(&l, last, last - 10);
        if (l.fresh != fresh) {
            assert_true(i < 4);
            assert_int_equal(l.fresh, last - 10);
        }
        fresh = l.fresh;
        assert_true(lanes_next(&l, last, at(0), &p));
        lanes_sent(&l, &p, p.last, 1, at(0));
        l.grant.window += 64;
    }
    assert_int_equal(l.sent.n, 5);
    assert_int_equal(fresh, 40001 - 10);
}

static uint64_t below(uint64_t *seed, uint64_t n)
{
    return tw_splitmix64(seed) % n;
}

static struct lanes_grant any_grant(uint64_t *seed)
{
    struct lanes_grant g = grant(below(seed, 3) ? 0 : below(seed, 50), (uint32_t)below(seed, 20),
                                 1 + (uint32_t)below(seed, 200));
    uint64_t seq = g.through + 1, n = below(seed, SEQSET_MAX + 1);

    g.anchored = below(seed, 4) != 0;
    g.backlog_per_s = (uint32_t)below(seed, 2) * 1000;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t first = seq + 1 + below(seed, 20);

        seq = first + below(seed, 400);
        seqset_add(&g.ahead, first, seq);
    }
    return g;
}

/* Sends what may be sent now: that ends. */
static void send_all(struct lanes *l, uint64_t last_seq, int64_t ms, uint64_t *seed)
{
    struct lanes_pick p;
    unsigned n = 0;

    for (; lanes_next(l, last_seq, at(ms), &p); n++) {
        uint64_t take = 1 + below(seed, p.last - p.first + 1);

        assert_true(p.first > 0 && p.first <= p.last && p.last <= last_seq);
        if (n > l->grant.window + 2 * last_seq) /* what was forgotten and is durable is in no window */
            fail_msg("%llu-%llu is sent for ever", (unsigned long long)p.first, (unsigned long long)p.last);
        lanes_sent(l, &p, p.first + take - 1, take, at(ms));
    }
}

/* Also as many stretches as a set holds, none of which begins at the first number. */
static void whatever_a_controller_has_sending_ends(void **state)
{
    uint64_t seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct lanes l = { 0 };
        struct lanes_grant g = any_grant(&seed);
        uint64_t last_seq = seqset_end(&g.ahead) + below(&seed, 2000);

        lanes_reset(&l, &g);
        for (int64_t ms = 0; ms < 4000; ms += 1000) {
            send_all(&l, last_seq, ms, &seed);
            last_seq += below(&seed, 1000);
            lanes_jump(&l, last_seq, last_seq - below(&seed, last_seq + 1));
            g = any_grant(&seed);
            lanes_ack(&l, &g);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_backlog_all_goes_in_order),
        cmocka_unit_test(who_knows_nothing_gets_one_batch_at_a_time),
        cmocka_unit_test(fresh_ones_go_first),
        cmocka_unit_test(the_backlog_moves_however_much_is_fresh),
        cmocka_unit_test(small_windows_stand_still_for_nobody),
        cmocka_unit_test(the_last_of_a_backlog_joins_both),
        cmocka_unit_test(a_gap_is_one_record),
        cmocka_unit_test(a_controller_that_takes_nothing_ahead_gets_all_in_order),
        cmocka_unit_test(a_refusal_begins_anew),
        cmocka_unit_test(jumps_are_bounded),
        cmocka_unit_test(whatever_a_controller_has_sending_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
