/* The Python tool's numbers: right where it was wrong. */
#include "tests/unit/agent/tool/tool_fixture.h"
#include "agent/tool/compat.h"

static void view_of(uint64_t received, uint64_t forward, uint64_t backward, uint64_t unknown,
                    struct compat_view *ret)
{
    struct tw_summary s;
    struct stats_view v;

    fixture_summary(&s, received);
    if (forward + backward + unknown)
        fixture_lose(&s, forward, backward, unknown);
    stats_view(&s, &v);
    compat_view(&v, ret);
    summary_free(&s);
}

/* Faults 2, 3, 9: loss is of what was sent, the tail has a place, and all is 100. */
static void loss_in_percent_of_sent(void **state)
{
    static const struct {
        uint64_t received, forward, backward, unknown;
        double outbound, inbound, roundtrip, of_unknown;
        bool ok;
    } rows[] = {
        { 10, 0, 0, 0, 0, 0, 0, 0, true },    { 5, 5, 0, 0, 50, 0, 50, 0, true },
        { 5, 0, 5, 0, 0, 50, 50, 0, true },   { 5, 0, 0, 5, 0, 0, 50, 50, true },
        { 4, 2, 3, 1, 20, 30, 60, 10, true }, { 0, 0, 0, 10, 100, 100, 100, 100, false },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct compat_view c;
        view_of(rows[i].received, rows[i].forward, rows[i].backward, rows[i].unknown, &c);
        if (c.ok != rows[i].ok || c.row[TW_FORWARD].loss_percent != rows[i].outbound ||
            c.row[TW_BACKWARD].loss_percent != rows[i].inbound ||
            c.row[TW_ROUNDTRIP].loss_percent != rows[i].roundtrip || c.unknown_percent != rows[i].of_unknown)
            fail_msg("row %zu: %g %g %g %g", i, c.row[0].loss_percent, c.row[1].loss_percent,
                     c.row[2].loss_percent, c.unknown_percent);
        assert_int_equal(c.row[TW_ROUNDTRIP].known, rows[i].ok);
    }
}

/* Fault 6: an offset of clocks shows, and does not touch the round trip. */
static void delays_are_signed(void **state)
{
    struct compat_view c;

    (void)state;
    view_of(10, 0, 0, 0, &c);
    assert_true(fabs(c.row[TW_FORWARD].min_ms - 50.1) < 1e-6 &&
                fabs(c.row[TW_FORWARD].max_ms - 50.109) < 1e-6);
    assert_true(fabs(c.row[TW_BACKWARD].max_ms + 49.9) < 1e-6 && c.row[TW_BACKWARD].avg_ms < -49);
    assert_true(fabs(c.row[TW_ROUNDTRIP].min_ms - 0.2) < 1e-6);
    assert_true(fabs(c.row[TW_ROUNDTRIP].jitter_ms - 0.0015) < 1e-9);
    assert_string_equal(c.row[TW_FORWARD].name, "outbound");
}

static void nothing_sent_is_no_loss(void **state)
{
    struct compat_view c;

    (void)state;
    view_of(0, 0, 0, 0, &c);
    assert_false(c.ok || c.loss_known || c.row[TW_ROUNDTRIP].known);
}

static void histogram_buckets(void **state)
{
    struct compat_hist h = { .count = 0 };
    uint64_t below = 0;

    (void)state;
    for (size_t i = 0; i < COMPAT_LE_N; i++) {
        assert_true(strtod(compat_le_text[i], NULL) == compat_le_ms[i]);
        assert_true(!i || compat_le_ms[i] > compat_le_ms[i - 1]);
    }
    compat_observe(&h, -50);
    compat_observe(&h, 0.005);
    compat_observe(&h, 0.0051);
    compat_observe(&h, 10);
    compat_observe(&h, 1e6);
    for (size_t i = 0; i < COMPAT_LE_N; i++)
        below += h.bucket[i];
    assert_int_equal(h.bucket[0], 2); /* less than nothing is less than 5 us */
    assert_int_equal(h.bucket[1], 1);
    assert_int_equal(below, 4);
    assert_int_equal(h.count, 5);
    assert_true(fabs(h.sum_ms - (1e6 - 40 + 0.0101)) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loss_in_percent_of_sent),
        cmocka_unit_test(delays_are_signed),
        cmocka_unit_test(nothing_sent_is_no_loss),
        cmocka_unit_test(histogram_buckets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
