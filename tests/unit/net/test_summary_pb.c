#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/net/summary_pb.h"
#include "tests/unit/common/summary_fixture.h"

static struct arena *a;

static int setup(void **state)
{
    (void)state;
    return arena_new(1 << 20, &a) ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(a);
    return 0;
}

static void check_hists(const struct tw_summary *x, const struct tw_summary *y)
{
    for (int d = 0; d < 3; d++)
        assert_true(hist_equal(&x->delay[d], &y->delay[d]));
    assert_true(hist_equal(&x->send_lateness, &y->send_lateness));
}

/* Everything but histograms and runs must be equal octet for octet, so no field can be forgotten. */
static void check_equal(const struct tw_summary *x, const struct tw_summary *y, const char *name)
{
    struct tw_summary p = *x, q = *y;

    check_hists(x, y);
    memset(p.delay, 0, sizeof p.delay);
    memset(q.delay, 0, sizeof q.delay);
    if (!same_runs(&x->runs, &y->runs))
        fail_msg("%s: a loss run was changed on the way", name);
    memset(&p.runs, 0, sizeof p.runs);
    memset(&q.runs, 0, sizeof q.runs);
    if (!same_unavailable(&x->unavailable, &y->unavailable))
        fail_msg("%s: an unavailable window was changed on the way", name);
    memset(&p.unavailable, 0, sizeof p.unavailable);
    memset(&q.unavailable, 0, sizeof q.unavailable);
    memset(&p.send_lateness, 0, sizeof p.send_lateness);
    memset(&q.send_lateness, 0, sizeof q.send_lateness);
    if (memcmp(&p, &q, sizeof p) != 0)
        fail_msg("%s: a field was changed on the way", name);
}

/* Over the wire and back. `ret` is used before, to see that nothing of the old content stays. */
static enum tw_rc round_trip(const struct tw_summary *s, struct tw_summary *ret, struct tw_err *err)
{
    Tw__Summary *m = NULL, *back;
    uint8_t buf[65536];
    size_t n;

    assert_int_equal(summary_to_pb(s, a, &m), TW_OK);
    n = tw__summary__get_packed_size(m);
    assert_true(n <= sizeof buf);
    tw__summary__pack(m, buf);
    back = tw__summary__unpack(arena_allocator(a), n, buf);
    assert_non_null(back);
    return summary_from_pb(back, ret, err);
}

static void every_field_survives(void **state)
{
    struct tw_summary s, back;
    struct tw_err err = { 0 };

    (void)state;
    memset(&back, 0, sizeof back);
    memset(&s, 0, sizeof s); /* padding too, for the comparison */
    make_summary(&s, 3);
    summary_init(&back);
    if (round_trip(&s, &back, &err))
        fail_msg("%s: %s", err.field, err.text);
    check_equal(&s, &back, "full");
    summary_free(&s);
    make_all_lost(&s, 4); /* histograms, octets and the remote clock are absent now */
    if (round_trip(&s, &back, &err))
        fail_msg("%s: %s", err.field, err.text);
    check_hists(&s, &back);
    assert_int_equal(back.delay[TW_FORWARD].count, 0);
    assert_true(same_runs(&s.runs, &back.runs));
    assert_true(same_unavailable(&s.unavailable, &back.unavailable) && back.windows_unavailable == 6);
    assert_int_equal(back.ttl_forward.n, 0);
    assert_false(back.clock_remote_known);
    assert_int_equal(back.jitter[TW_FORWARD].ewma_n, 0);
    summary_free(&s);
    summary_free(&back);
}

static uint8_t not_a_histogram[] = { 1, 6, 0xff };

static void bad_status(Tw__Summary *m)
{
    m->status = TW_STATUS_COUNT;
}
static void wide_status(Tw__Summary *m)
{
    m->status = UINT32_MAX;
}
static void wide_tos(Tw__Summary *m)
{
    m->tos_sent = 256;
}
static void wide_ttl(Tw__Summary *m)
{
    m->ttl_backward->max = 300;
}
static void wide_min(Tw__Summary *m)
{
    m->ttl_forward->min = 256;
}
static void wide_tx(Tw__Summary *m)
{
    m->tx_source = TW_TS_COUNT;
}
static void wide_rx(Tw__Summary *m)
{
    m->rx_source = 1u << 31;
}
static void bad_hist(Tw__Summary *m)
{
    m->delay_backward = (ProtobufCBinaryData){ sizeof not_a_histogram, not_a_histogram };
}
static void bad_sum(Tw__Summary *m)
{
    m->lost_forward++;
}
static void bad_times(Tw__Summary *m)
{
    m->end_ns = m->start_ns - 1;
}
static void negative_error(Tw__Summary *m)
{
    m->clock_local->max_error_ns = -1;
}

static void bad_direction(Tw__Summary *m)
{
    m->runs[1]->direction = TW_DIRECTION_COUNT;
}
static void wide_direction(Tw__Summary *m)
{
    m->runs[0]->direction = UINT32_MAX;
}
static void too_many_runs(Tw__Summary *m)
{
    static Tw__LossRun *many[TW_LOSS_RUNS_MAX + 1];

    for (size_t i = 0; i <= TW_LOSS_RUNS_MAX; i++)
        many[i] = m->runs[0];
    m->runs = many;
    m->n_runs = TW_LOSS_RUNS_MAX + 1;
    m->loss_runs = 1000;
}
static void twice_the_same_run(Tw__Summary *m)
{
    m->runs[1] = m->runs[0]; /* 4 probes, 3 were lost */
}

static void too_many_windows(Tw__Summary *m)
{
    static Tw__UnavailableRun *many[TW_UNAVAIL_MAX + 1];

    for (size_t i = 0; i <= TW_UNAVAIL_MAX; i++)
        many[i] = m->unavailable[0];
    m->unavailable = many;
    m->n_unavailable = TW_UNAVAIL_MAX + 1;
    m->windows_unavailable = 1000;
}
static void window_outside(Tw__Summary *m)
{
    m->unavailable[0]->start_ns = -1;
}

static void contradictions_are_refused_by_name(void **state)
{
    static const struct {
        void (*spoil)(Tw__Summary *m);
        const char *field; /* NULL: whatever summary_validate() says */
    } rows[] = {
        { bad_status, "status" },     { wide_status, "status" },      { wide_tos, "tos_sent" },
        { wide_ttl, "ttl_backward" }, { wide_min, "ttl_forward" },    { wide_tx, "tx_source" },
        { wide_rx, "rx_source" },     { bad_hist, "delay_backward" }, { bad_sum, NULL },
        { bad_times, NULL },          { negative_error, NULL },       { bad_direction, "runs" },
        { wide_direction, "runs" },   { too_many_runs, "runs" },      { twice_the_same_run, "runs" },
        { too_many_windows, "unavailable" }, { window_outside, "unavailable" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_err err = { 0 };
        struct tw_summary s, back;
        Tw__Summary *m = NULL;

        make_summary(&s, 1);
        summary_init(&back);
        assert_int_equal(summary_to_pb(&s, a, &m), TW_OK);
        rows[i].spoil(m);
        if (summary_from_pb(m, &back, &err) == TW_OK)
            fail_msg("row %zu was accepted", i);
        if (rows[i].field ? strcmp(err.field, rows[i].field) != 0 : err.field[0] == '\0')
            fail_msg("row %zu: field \"%s\": %s", i, err.field, err.text);
        if (back.sent || back.received || back.delay[TW_FORWARD].count)
            fail_msg("row %zu: the result was not reset", i);
        summary_free(&s);
        summary_free(&back);
    }
}

static void a_full_arena_is_reported(void **state)
{
    struct tw_summary s;
    Tw__Summary *m = NULL;
    size_t cap = 0;
    enum tw_rc rc;

    (void)state;
    make_summary(&s, 0);
    do { /* it may run out anywhere */
        struct arena *small;

        cap += 16;
        assert_int_equal(arena_new(cap, &small), TW_OK);
        rc = summary_to_pb(&s, small, &m);
        assert_true(rc == TW_OK || rc == TW_ENOMEM);
        arena_free(small);
    } while (rc != TW_OK);
    assert_true(cap > sizeof *m);
    summary_free(&s);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_field_survives),
        T(contradictions_are_refused_by_name),
        T(a_full_arena_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
