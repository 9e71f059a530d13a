#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "tests/unit/common/summary_fixture.h"

static const struct stats_field *field(const char *name)
{
    for (size_t i = 0; i < stats_fields_n; i++)
        if (!strcmp(stats_fields[i].name, name))
            return &stats_fields[i];
    fail_msg("no field %s", name);
    return NULL;
}

static bool read_number(const struct stats_view *v, const struct stats_field *f, double *ret)
{
    const void *at = (const char *)v + f->offset;

    switch (f->kind) {
    case STATS_U64:
        *ret = (double)*(const uint64_t *)at;
        return true;
    case STATS_U32:
        *ret = *(const uint32_t *)at;
        return true;
    case STATS_U8:
        *ret = *(const uint8_t *)at;
        return true;
    case STATS_BOOL:
        *ret = *(const bool *)at;
        return true;
    case STATS_F64:
        *ret = *(const double *)at;
        return true;
    case STATS_NUM:
        *ret = ((const struct tw_num *)at)->value;
        return ((const struct tw_num *)at)->known;
    case STATS_TEXT:
        break;
    }
    return false;
}

static const struct {
    const char *name;
    double value, tolerance; /* relative */
} expected[] = {
    { "sent", 100, 0 },
    { "received", 97, 0 },
    { "lost", 3, 0 },
    { "duplicates", 3, 0 },
    { "loss_ratio", 0.03, 1e-12 },
    { "loss_forward_ratio", 0.01, 1e-12 },
    { "loss_unknown_ratio", 0.01, 1e-12 },
    { "delay_forward_count", 97, 0 },
    { "delay_forward_min_seconds", 0.010, 1e-12 },
    { "delay_forward_max_seconds", 0.01096, 1e-12 },
    { "delay_forward_mean_seconds", 0.01048, 1e-12 },
    { "delay_forward_p50_seconds", 0.01048, 0.006 },
    { "delay_backward_p50_seconds", 0.00548, 0.006 },
    { "delay_roundtrip_p50_seconds", 0.01596, 0.006 },
    { "delay_roundtrip_p95_seconds", 0.01684, 0.006 },
    { "delay_roundtrip_p99_seconds", 0.01692, 1e-12 }, /* rank 97 of 97: the maximum, exact */
    { "delay_roundtrip_p999_seconds", 0.01692, 1e-12 },
    { "delay_forward_jitter_rfc3550_seconds", 2e-6, 1e-12 },
    { "delay_forward_jitter_ipdv_seconds", 3e-6, 1e-12 },
    { "delay_roundtrip_jitter_p95_p50_seconds", 0.00088, 0.25 },
    { "loss_run_longest", 2, 0 },
    { "loss_run_longest_seconds", 0.020, 1e-12 },
    { "ttl_forward_min", 60, 0 },
    { "ttl_backward_max", 55, 0 },
    { "tos_sent", 184, 0 },
    { "tos_forward_min", 0, 0 },
    { "tos_forward_max", 184, 0 },
    { "residence_mean_seconds", 50e-6, 1e-12 },
    { "residence_max_seconds", 60e-6, 1e-12 },
    { "send_lateness_p99_seconds", 96e-6, 0.011 },
    { "send_lateness_max_seconds", 96e-6, 1e-12 },
    { "clock_local_error_seconds", 300e-6, 1e-12 },
    { "one_way_error_bound_seconds", 700e-6, 1e-12 },
    { "one_way_valid", 1, 0 },
    { "host_stalls", 2, 0 },
    { "host_stall_max_seconds", 0.003, 1e-12 },
    { "host_cpu_wait_ratio", 0.03, 1e-12 },
    { "noise_sent", 600, 0 },
    { "noise_lost", 0, 0 },
    { "noise_p50_seconds", 20e-6, 1e-12 },
    { "noise_p99_seconds", 60e-6, 1e-12 },
    { "noise_max_seconds", 200e-6, 1e-12 },
    { "windows_available", 4, 0 },
    { "windows_unavailable", 1, 0 },
    { "windows_unknown", 1, 0 },
    { "availability_ratio", 0.8, 1e-12 },
};

static void numbers_follow_from_the_summary(void **state)
{
    struct tw_summary s;
    struct stats_view v;

    (void)state;
    make_summary(&s, 0);
    stats_view(&s, &v);
    for (size_t i = 0; i < TW_NELEM(expected); i++) {
        double got = NAN;
        if (!read_number(&v, field(expected[i].name), &got) ||
            fabs(got - expected[i].value) > expected[i].tolerance * expected[i].value)
            fail_msg("%s: %.9g, expected %.9g", expected[i].name, got, expected[i].value);
    }
    assert_string_equal(*(const char **)((char *)&v + field("tx_source")->offset), "kernel");
    assert_string_equal(*(const char **)((char *)&v + field("host_trouble")->offset), "none");
    assert_int_equal(v.status, TW_STATUS_PARTIAL);
    assert_int_equal(v.start_ns, s.start_ns);
    s.noise.lost = s.noise.sent; /* nothing came back: no delays */
    s.noise.p50_ns = s.noise.p99_ns = s.noise.max_ns = 0;
    stats_view(&s, &v);
    assert_false(v.noise_p50_s.known || v.noise_p99_s.known || v.noise_max_s.known);
    assert_string_equal(v.host_trouble, "loopback_loss");
    summary_free(&s);
}

static void nothing_is_known_of_an_empty_summary(void **state)
{
    struct tw_summary s;
    struct stats_view v;

    (void)state;
    summary_init(&s);
    stats_view(&s, &v);
    for (size_t i = 0; i < stats_fields_n; i++) {
        double got = 0;
        bool known = read_number(&v, &stats_fields[i], &got);
        if (got != 0 || (stats_fields[i].kind == STATS_NUM && known))
            fail_msg("%s: known %d, %g", stats_fields[i].name, known, got);
    }
    assert_string_equal(v.tx_source, "unknown");
    assert_string_equal(v.rx_source, "unknown");
    assert_string_equal(v.host_trouble, "none");
}

static size_t size_of_kind(enum stats_kind k)
{
    static const size_t sizes[] = {
        [STATS_U64] = sizeof(uint64_t), [STATS_U8] = sizeof(uint8_t),        [STATS_U32] = sizeof(uint32_t),
        [STATS_F64] = sizeof(double),   [STATS_NUM] = sizeof(struct tw_num), [STATS_BOOL] = sizeof(bool),
        [STATS_TEXT] = sizeof(char *),
    };

    return sizes[k];
}

/* A member added to struct stats_view must get a row: apart from padding every octet belongs to exactly one.
 */
static void the_table_covers_the_struct(void **state)
{
    static unsigned char owners[sizeof(struct stats_view)];
    size_t gap = 0;

    (void)state;
    memset(owners, 0, sizeof owners);
    memset(owners, 1, offsetof(struct stats_view, status) + sizeof(enum tw_status)); /* start, end, status */
    for (size_t i = 0; i < stats_fields_n; i++)
        for (size_t b = 0; b < size_of_kind(stats_fields[i].kind); b++)
            if (owners[stats_fields[i].offset + b]++)
                fail_msg("%s overlaps another field", stats_fields[i].name);
    for (size_t at = 0; at < sizeof owners; at++) {
        gap = owners[at] ? 0 : gap + 1;
        if (gap > 7)
            fail_msg("octets up to %zu of struct stats_view have no row", at);
    }
}

static void names_are_distinct_and_plain(void **state)
{
    (void)state;
    for (size_t i = 0; i < stats_fields_n; i++) {
        if (stats_fields[i].name[strspn(stats_fields[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_")])
            fail_msg("%s", stats_fields[i].name);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(stats_fields[i].name, stats_fields[k].name);
    }
}

static const struct {
    const char *name;
    int64_t local_error, remote_error;
    bool local_synced, remote_known, remote_synced;
    uint32_t steps, remote_steps;
    bool bound_known, valid;
} clocks[] = {
    { "good", 300000, 400000, true, true, true, 0, 0, true, true },
    { "exactly the limit", 500000, 500000, true, true, true, 0, 0, true, true },
    /* The smaller median is 5.48 ms. */
    { "below half the smaller median", 1000000, 1700000, true, true, true, 0, 0, true, true },
    { "above half the smaller median", 1000000, 1800000, true, true, true, 0, 0, true, false },
    { "local not synced", 300000, 400000, false, true, true, 0, 0, false, false },
    { "remote not synced", 300000, 400000, true, true, false, 0, 0, false, false },
    { "remote not known", 300000, 400000, true, false, true, 0, 0, false, false },
    { "stepped", 300000, 400000, true, true, true, 1, 0, true, false },
    { "the other one stepped", 300000, 400000, true, true, true, 0, 1, true, false },
};

static void one_way_delays_are_valid_only_with_good_clocks(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(clocks); i++) {
        struct tw_summary s;
        struct stats_view v;
        make_summary(&s, 0);
        s.clock_local = (struct tw_clock_state){ .synced = clocks[i].local_synced,
                                                 .max_error_ns = clocks[i].local_error };
        s.clock_remote = (struct tw_clock_state){ .synced = clocks[i].remote_synced,
                                                  .max_error_ns = clocks[i].remote_error,
                                                  .steps = clocks[i].remote_steps };
        s.clock_remote_known = clocks[i].remote_known;
        s.clock_steps = clocks[i].steps;
        stats_view(&s, &v);
        if (v.one_way_error_bound_s.known != clocks[i].bound_known || v.one_way_valid != clocks[i].valid)
            fail_msg("%s: bound known %d, valid %d", clocks[i].name, v.one_way_error_bound_s.known,
                     v.one_way_valid);
        summary_free(&s);
    }
}

/* A clock that is off makes one direction negative: its size counts. */
static void negative_medians_count_by_size(void **state)
{
    struct tw_summary s;
    struct stats_view v;

    (void)state;
    summary_init(&s);
    s.clock_local = s.clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 2 * TW_NS_PER_MS };
    s.clock_remote_known = true;
    hist_add(&s.delay[TW_FORWARD], -20 * TW_NS_PER_MS);
    hist_add(&s.delay[TW_BACKWARD], 40 * TW_NS_PER_MS);
    stats_view(&s, &v);
    assert_true(v.one_way_valid);
    s.clock_remote.max_error_ns = 9 * TW_NS_PER_MS;
    stats_view(&s, &v);
    assert_false(v.one_way_valid);
    summary_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_from_the_summary),
        cmocka_unit_test(nothing_is_known_of_an_empty_summary),
        cmocka_unit_test(the_table_covers_the_struct),
        cmocka_unit_test(names_are_distinct_and_plain),
        cmocka_unit_test(one_way_delays_are_valid_only_with_good_clocks),
        cmocka_unit_test(negative_medians_count_by_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
