#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/common/summary_fixture.h"

enum { MINUTES = 60 };

static void names_go_both_ways(void **state)
{
    (void)state;
    for (int i = 0; i < TW_STATUS_COUNT; i++) {
        enum tw_status s = TW_STATUS_COUNT;
        assert_int_equal(tw_status_parse(tw_status_name((enum tw_status)i), &s), TW_OK);
        assert_int_equal(s, i);
    }
    assert_string_equal(tw_status_name(TW_STATUS_ALL_LOST), "all_lost");
    assert_int_equal(tw_status_parse("OK", &(enum tw_status){ TW_STATUS_OK }), TW_EINVAL);
    assert_string_equal(tw_direction_name(TW_ROUNDTRIP), "roundtrip");
    for (int i = 0; i < TW_DIRECTION_COUNT; i++) {
        enum tw_direction d = TW_DIRECTION_COUNT;
        assert_int_equal(tw_direction_parse(tw_direction_name((enum tw_direction)i), &d), TW_OK);
        assert_int_equal(d, i);
    }
    assert_int_equal(tw_direction_parse("both", &(enum tw_direction){ TW_FORWARD }), TW_EINVAL);
    assert_string_equal(tw_ts_source_name(TW_TS_HARDWARE), "hardware");
    /* Numbers from files and peers. */
    assert_non_null(tw_status_name((enum tw_status)99));
    assert_non_null(tw_direction_name((enum tw_direction)99));
    assert_non_null(tw_ts_source_name((enum tw_ts_source)99));
}

static void check_same(const struct tw_summary *a, const struct tw_summary *b)
{
#define X_SAME(name, help)  \
    if (a->name != b->name) \
        fail_msg(#name ": %llu and %llu", (unsigned long long)a->name, (unsigned long long)b->name);
    TW_COUNTERS(X_SAME)
#undef X_SAME
    for (int d = 0; d < 3; d++) {
        assert_true(hist_equal(&a->delay[d], &b->delay[d]));
        assert_memory_equal(&a->jitter[d], &b->jitter[d], sizeof a->jitter[d]);
    }
    assert_true(hist_equal(&a->send_lateness, &b->send_lateness));
    assert_int_equal(a->start_ns, b->start_ns);
    assert_int_equal(a->end_ns, b->end_ns);
    assert_int_equal(a->seq_first, b->seq_first);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->pair_id, b->pair_id);
    assert_int_equal(a->loss_runs, b->loss_runs);
    assert_int_equal(a->loss_run_longest, b->loss_run_longest);
    assert_int_equal(a->loss_run_longest_ns, b->loss_run_longest_ns);
    assert_true(same_runs(&a->runs, &b->runs));
    assert_true(same_unavailable(&a->unavailable, &b->unavailable));
    assert_int_equal(a->residence_sum_ns, b->residence_sum_ns);
    assert_int_equal(a->residence_max_ns, b->residence_max_ns);
    assert_int_equal(a->ttl_backward.min, b->ttl_backward.min);
    assert_int_equal(a->ttl_backward.max, b->ttl_backward.max);
    assert_int_equal(a->ttl_backward.n, b->ttl_backward.n);
    assert_memory_equal(&a->tos_forward, &b->tos_forward, sizeof a->tos_forward);
    assert_int_equal(a->tx_source, b->tx_source);
    assert_int_equal(a->rx_source, b->rx_source);
    assert_int_equal(a->clock_local.max_error_ns, b->clock_local.max_error_ns);
    assert_int_equal(a->clock_local.synced, b->clock_local.synced);
    assert_int_equal(a->clock_remote_known, b->clock_remote_known);
    assert_int_equal(a->clock_remote.max_error_ns, b->clock_remote.max_error_ns);
    assert_int_equal(a->clock_steps, b->clock_steps);
    assert_int_equal(a->host_stall_max_ns, b->host_stall_max_ns);
    assert_int_equal(a->host_cpu_wait_ppm, b->host_cpu_wait_ppm);
    assert_memory_equal(&a->noise, &b->noise, sizeof a->noise);
}

/* Every fifth minute is lost entirely. */
static void make_minute(struct tw_summary *s, int i)
{
    if (i % 5 == 3)
        make_all_lost(s, i);
    else
        make_summary(s, i);
    if (s->received)
        s->tos_forward = (struct tw_octet_range){ (uint8_t)(184 - i), 185, s->received, 1 };
}

static void merge_minutes(struct tw_summary *sum, int first, int step)
{
    summary_init(sum);
    for (int n = 0, i = first; n < MINUTES; n++, i = (i + step) % MINUTES) {
        struct tw_summary s;
        make_minute(&s, i);
        summary_merge(sum, &s);
        summary_free(&s);
    }
}

static void an_hour_is_the_same_in_any_order(void **state)
{
    static const int steps[][2] = { { 59, 59 }, { 0, 7 }, { 3, 13 }, { 31, 29 } };
    struct tw_summary hour, other;

    (void)state;
    merge_minutes(&hour, 0, 1);
    assert_int_equal(hour.sent, 6000);
    assert_int_equal(hour.received, 48 * 97);
    assert_int_equal(hour.delay[TW_ROUNDTRIP].count, 48 * 97);
    assert_int_equal(hour.start_ns, 1000 * MINUTE_NS);
    assert_int_equal(hour.end_ns, 1060 * MINUTE_NS);
    assert_int_equal(hour.seq_first, 0);
    assert_int_equal(hour.ttl_backward.min, 50);
    assert_int_equal(hour.ttl_backward.max, 55 + 59);
    assert_true(hour.tos_forward.min == 184 - 59 && hour.tos_forward.max == 185 &&
                hour.tos_forward.n == 48 * 97 && hour.tos_forward.changes == 48);
    assert_int_equal(hour.residence_max_ns, 60059);
    assert_int_equal(hour.clock_local.max_error_ns, 300059);
    assert_true(hour.clock_remote_known); /* minutes without answers have no say */
    assert_int_equal(hour.loss_run_longest, 100);
    assert_int_equal(hour.rx_source, TW_TS_KERNEL);
    assert_int_equal(hour.host_stalls, 48 * 2);
    assert_int_equal(hour.windows_available, 48 * 4);
    assert_int_equal(hour.windows_unavailable, 48 + 12 * 6);
    assert_int_equal(hour.windows_unknown, 48);
    assert_int_equal(hour.unavailable.n, 60);
    assert_int_equal(unavail_windows(&hour.unavailable), 48 + 12 * 6);
    assert_int_equal(hour.host_stall_max_ns, 3000059);
    assert_int_equal(hour.host_cpu_wait_ppm, 30059);
    assert_true(hour.noise.sent == 48 * 600 && hour.noise.p50_ns == 20059 && hour.noise.p99_ns == 60059 &&
                hour.noise.max_ns == 200059);
    assert_int_equal(hour.status, TW_STATUS_PARTIAL);
    assert_int_equal(summary_validate(&hour, NULL), TW_OK);
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        merge_minutes(&other, steps[i][0], steps[i][1]);
        check_same(&hour, &other);
        summary_free(&other);
    }
    summary_free(&hour);
}

static void merging_by_levels_equals_merging_at_once(void **state)
{
    struct tw_summary flat, levels, ten;

    (void)state;
    merge_minutes(&flat, 0, 1);
    summary_init(&levels);
    summary_init(&ten);
    for (int i = 0; i < MINUTES; i++) {
        struct tw_summary s;
        make_minute(&s, i);
        summary_merge(&ten, &s);
        summary_free(&s);
        if (i % 10 == 9) {
            summary_merge(&levels, &ten);
            summary_reset(&ten);
        }
    }
    check_same(&flat, &levels);
    summary_free(&flat);
    summary_free(&levels);
    summary_free(&ten);
}

static void different_things_merge_to_no_identity(void **state)
{
    struct tw_summary a, b;

    (void)state;
    make_summary(&a, 0);
    make_summary(&b, 1);
    b.pair_id = 8;
    b.flow = 2;
    b.generation = 4;
    b.tos_sent = 0x28;
    b.tx_source = TW_TS_USER;
    b.rx_source = TW_TS_UNKNOWN;
    b.clock_remote_known = false;
    b.clock_local.synced = false;
    b.clock_steps = 2;
    summary_merge(&a, &b);
    assert_int_equal(a.pair_id, 0);
    assert_int_equal(a.flow, 0);
    assert_int_equal(a.generation, 0);
    assert_int_equal(a.tos_sent, 0);
    assert_int_equal(a.tx_source, TW_TS_MIXED);
    assert_int_equal(a.rx_source, TW_TS_KERNEL);
    assert_false(a.clock_remote_known);
    assert_false(a.clock_local.synced);
    assert_int_equal(a.clock_steps, 2);
    summary_free(&a);
    summary_free(&b);
}

/* Steps of the other clock are counted per span, so they add up; those of ours are a running number. */
static void remote_steps_add_up(void **state)
{
    struct tw_summary a, b;

    (void)state;
    make_summary(&a, 0);
    make_summary(&b, 1);
    a.clock_remote.steps = 2;
    b.clock_remote.steps = 3;
    summary_merge(&a, &b);
    assert_int_equal(a.clock_remote.steps, 5);
    b.clock_remote.steps = UINT32_MAX;
    summary_merge(&a, &b);
    assert_int_equal(a.clock_remote.steps, UINT32_MAX);
    summary_free(&a);
    summary_free(&b);
}

static void statuses_merge_to_the_most_telling(void **state)
{
    static const struct {
        enum tw_status a, b, want;
    } cases[] = {
        { TW_STATUS_NOT_RUN, TW_STATUS_AGENT_DOWN, TW_STATUS_AGENT_DOWN },
        { TW_STATUS_REFUSED, TW_STATUS_NOT_RUN, TW_STATUS_REFUSED },
        { TW_STATUS_NAME_ERROR, TW_STATUS_AGENT_DOWN, TW_STATUS_NAME_ERROR },
        { TW_STATUS_AGENT_DOWN, TW_STATUS_NAME_ERROR, TW_STATUS_NAME_ERROR },
        { TW_STATUS_REFUSED, TW_STATUS_REFUSED, TW_STATUS_REFUSED },
        { TW_STATUS_AGENT_DOWN, TW_STATUS_PARTIAL, TW_STATUS_PARTIAL },
        { TW_STATUS_PARTIAL, TW_STATUS_REFUSED, TW_STATUS_PARTIAL },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tw_summary s[2];
        for (int k = 0; k < 2; k++) {
            enum tw_status status = k ? cases[i].b : cases[i].a;
            make_summary(&s[k], k);
            if (status != TW_STATUS_PARTIAL) {
                summary_free(&s[k]);
                summary_init(&s[k]);
                s[k].start_ns = 1 + k;
                s[k].end_ns = 3;
                s[k].status = status;
            }
        }
        summary_merge(&s[0], &s[1]);
        if (s[0].status != cases[i].want)
            fail_msg("row %zu: %s", i, tw_status_name(s[0].status));
        summary_free(&s[0]);
        summary_free(&s[1]);
    }
}

static void copies_and_resets_are_whole(void **state)
{
    struct tw_summary a, b;

    (void)state;
    make_summary(&a, 4);
    make_summary(&b, 5);
    assert_int_equal(summary_copy(&b, &a), TW_OK);
    check_same(&a, &b);
    assert_ptr_not_equal(a.delay[0].b, b.delay[0].b);
    assert_ptr_not_equal(a.runs.v, b.runs.v);
    summary_reset(&b);
    assert_int_equal(b.pair_id, 7);
    assert_int_equal(b.tos_sent, 184);
    assert_int_equal(b.sent, 0);
    assert_true(!b.runs.v && !b.runs.n);
    assert_int_equal(b.start_ns, 0);
    assert_int_equal(b.delay[TW_ROUNDTRIP].count, 0);
    assert_true(b.delay[TW_ROUNDTRIP].cap > 0);
    assert_int_equal(b.status, summary_status(&b));
    summary_merge(&b, &a);
    check_same(&a, &b);
    summary_reset(&a);
    summary_merge(&b, &a); /* nothing */
    assert_int_equal(b.sent, 100);
    summary_free(&a);
    summary_free(&b);
}

/* ---- Validation ---- */

static void spoil_sent(struct tw_summary *s)
{
    s->sent++;
}
static void spoil_wrap(struct tw_summary *s)
{
    s->lost_forward = UINT64_MAX;
    s->lost_backward = 2;
}
static void spoil_huge(struct tw_summary *s)
{
    s->late = STATS_COUNTER_MAX + 1;
}
static void spoil_delay(struct tw_summary *s)
{
    hist_add(&s->delay[TW_BACKWARD], 1);
}
static void spoil_lateness(struct tw_summary *s)
{
    for (int i = 0; i < 4; i++)
        hist_add(&s->send_lateness, 1);
}
static void spoil_no_span(struct tw_summary *s)
{
    s->start_ns = s->end_ns = 0;
}
static void spoil_order(struct tw_summary *s)
{
    s->end_ns = s->start_ns;
}
static void spoil_start(struct tw_summary *s)
{
    s->start_ns = -1;
}
static void spoil_octets(struct tw_summary *s)
{
    s->ttl_forward.min = 61;
}
static void spoil_octet_n(struct tw_summary *s)
{
    s->tos_backward.changes = 1;
}
static void spoil_tos_forward(struct tw_summary *s)
{
    s->tos_forward = (struct tw_octet_range){ 185, 184, 1, 0 };
}
static void spoil_changes(struct tw_summary *s)
{
    s->ttl_backward.changes = 97;
}
static void spoil_status(struct tw_summary *s)
{
    s->status = TW_STATUS_OK;
}
static void spoil_unknown_status(struct tw_summary *s)
{
    s->status = TW_STATUS_COUNT;
}
static void spoil_refused(struct tw_summary *s)
{
    s->status = TW_STATUS_REFUSED;
}
static void spoil_jitter_n(struct tw_summary *s)
{
    s->jitter[1].ewma_n = 98;
}
static void spoil_jitter_sum(struct tw_summary *s)
{
    s->jitter[2].ewma_sum_ns = -1;
}
static void spoil_ipdv(struct tw_summary *s)
{
    s->jitter[0].ipdv_n = 0;
}
static void spoil_residence(struct tw_summary *s)
{
    s->residence_sum_ns = 97 * 60001 + 1;
}
static void spoil_clock(struct tw_summary *s)
{
    s->clock_remote.max_error_ns = -1;
}
static void spoil_source(struct tw_summary *s)
{
    s->rx_source = TW_TS_COUNT;
}
static void spoil_run(struct tw_summary *s)
{
    s->loss_run_longest_ns = -1;
}

static void spoil_stalls(struct tw_summary *s)
{
    s->host_stalls = 0;
}
static void spoil_stall_max(struct tw_summary *s)
{
    s->host_stall_max_ns = 0;
}
static void spoil_stall_sign(struct tw_summary *s)
{
    s->host_stall_max_ns = -1;
}
static void spoil_cpu_wait(struct tw_summary *s)
{
    s->host_cpu_wait_ppm = 1000001;
}
static void spoil_noise_lost(struct tw_summary *s)
{
    s->noise.lost = s->noise.sent + 1;
}
static void spoil_noise_order(struct tw_summary *s)
{
    s->noise.p50_ns = s->noise.p99_ns + 1;
}
static void spoil_noise_max(struct tw_summary *s)
{
    s->noise.max_ns = s->noise.p99_ns - 1;
}
static void spoil_noise_silent(struct tw_summary *s)
{
    s->noise.lost = s->noise.sent;
}

static void spoil_runs_n(struct tw_summary *s)
{
    s->loss_runs = 1;
}

static void spoil_runs_start(struct tw_summary *s)
{
    s->runs.v[0].start_ns = s->start_ns - 1;
}

static void spoil_runs_end(struct tw_summary *s)
{
    s->runs.v[1].length_ns = 20 * TW_NS_PER_S + 1;
}

static void spoil_runs_length(struct tw_summary *s)
{
    s->runs.v[1].length_ns = -1;
}

static void spoil_runs_order(struct tw_summary *s)
{
    s->runs.v[0].start_ns = s->runs.v[1].start_ns + 1;
}

static void spoil_runs_empty(struct tw_summary *s)
{
    s->runs.v[0].probes = 0;
}

static void spoil_runs_probes(struct tw_summary *s)
{
    s->runs.v[1].probes = 2; /* 4 in all, 3 were lost */
}

static void spoil_runs_longest(struct tw_summary *s)
{
    s->runs.v[0].probes = 3;
}

static void spoil_runs_direction(struct tw_summary *s)
{
    s->runs.v[0].direction = TW_ROUNDTRIP;
}

static void spoil_runs_no_direction(struct tw_summary *s)
{
    s->runs.v[0].direction = TW_DIRECTION_COUNT;
}

static void spoil_windows_available(struct tw_summary *s)
{
    s->windows_available = 98;
}

static void spoil_windows_unavailable(struct tw_summary *s)
{
    s->windows_unavailable = 4;
}

static void spoil_unavailable_windows(struct tw_summary *s)
{
    s->unavailable.v[0].windows = 2;
}

static void spoil_unavailable_none(struct tw_summary *s)
{
    s->unavailable.v[0].windows = 0;
}

static void spoil_unavailable_start(struct tw_summary *s)
{
    s->unavailable.v[0].start_ns = s->start_ns - 1;
}

static void spoil_unavailable_end(struct tw_summary *s)
{
    s->unavailable.v[0].end_ns = s->end_ns + 1;
}

static void spoil_unavailable_empty(struct tw_summary *s)
{
    s->unavailable.v[0].end_ns = s->unavailable.v[0].start_ns;
}

static const struct {
    const char *field;
    void (*spoil)(struct tw_summary *s);
} contradictions[] = {
    { "windows_available", spoil_windows_available },
    { "windows_available", spoil_windows_unavailable },
    { "unavailable", spoil_unavailable_windows },
    { "unavailable", spoil_unavailable_none },
    { "unavailable", spoil_unavailable_start },
    { "unavailable", spoil_unavailable_end },
    { "unavailable", spoil_unavailable_empty },
    { "runs", spoil_runs_n },
    { "runs", spoil_runs_start },
    { "runs", spoil_runs_end },
    { "runs", spoil_runs_length },
    { "runs", spoil_runs_order },
    { "runs", spoil_runs_empty },
    { "runs", spoil_runs_probes },
    { "runs", spoil_runs_longest },
    { "runs", spoil_runs_direction },
    { "runs", spoil_runs_no_direction },
    { "sent", spoil_sent },
    { "lost_forward", spoil_wrap },
    { "late", spoil_huge },
    { "delay", spoil_delay },
    { "send_lateness", spoil_lateness },
    { "end_ns", spoil_no_span },
    { "end_ns", spoil_order },
    { "end_ns", spoil_start },
    { "ttl_forward", spoil_octets },
    { "tos_backward", spoil_octet_n },
    { "tos_forward", spoil_tos_forward },
    { "ttl_backward", spoil_changes },
    { "status", spoil_status },
    { "status", spoil_unknown_status },
    { "status", spoil_refused },
    { "jitter.ewma", spoil_jitter_n },
    { "jitter.ewma", spoil_jitter_sum },
    { "jitter.ipdv", spoil_ipdv },
    { "residence_sum_ns", spoil_residence },
    { "clock", spoil_clock },
    { "tx_source", spoil_source },
    { "loss_runs", spoil_run },
    { "host_stall_max_ns", spoil_stalls },
    { "host_stall_max_ns", spoil_stall_max },
    { "host_stall_max_ns", spoil_stall_sign },
    { "host_cpu_wait_ppm", spoil_cpu_wait },
    { "noise.lost", spoil_noise_lost },
    { "noise.p50_ns", spoil_noise_order },
    { "noise.p50_ns", spoil_noise_max },
    { "noise.p50_ns", spoil_noise_silent },
};

static void contradictions_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(contradictions); i++) {
        struct tw_summary s;
        struct tw_err err = { 0 };
        make_summary(&s, 1);
        assert_int_equal(summary_validate(&s, &err), TW_OK);
        contradictions[i].spoil(&s);
        if (summary_validate(&s, &err) != TW_ECORRUPT || strcmp(err.field, contradictions[i].field) ||
            !err.text[0])
            fail_msg("row %zu (%s): rc %d field \"%s\"", i, contradictions[i].field, err.rc, err.field);
        assert_int_equal(summary_validate(&s, NULL), TW_ECORRUPT);
        summary_free(&s);
    }
}

static void honest_summaries_are_accepted(void **state)
{
    static const enum tw_status idle[] = { TW_STATUS_NAME_ERROR, TW_STATUS_REFUSED, TW_STATUS_NOT_RUN,
                                           TW_STATUS_AGENT_DOWN };
    struct tw_summary s;

    (void)state;
    make_all_lost(&s, 0);
    assert_int_equal(summary_validate(&s, NULL), TW_OK);
    summary_free(&s);
    summary_init(&s);
    s.end_ns = 1;
    for (size_t i = 0; i < TW_NELEM(idle); i++) {
        s.status = idle[i];
        assert_int_equal(summary_validate(&s, NULL), TW_OK);
    }
    s.send_errors = 5;
    s.status = TW_STATUS_SEND_ERROR;
    assert_int_equal(summary_validate(&s, NULL), TW_OK);
}

/* ---- Host trouble ---- */

static const struct {
    const char *verdict;
    uint64_t drops, send_errors, noise_lost;
    uint32_t wait_ppm;
    int64_t stall_ns, p99_ns;
} troubles[] = {
    { "none", 0, 0, 0, 0, 0, 0 },
    { "none", 0, 0, 0, STATS_STARVED_PPM - 1, STATS_STALL_LIMIT_NS - 1, STATS_NOISE_LIMIT_NS },
    { "noise", 0, 0, 0, STATS_STARVED_PPM - 1, STATS_STALL_LIMIT_NS - 1, STATS_NOISE_LIMIT_NS + 1 },
    { "stalled", 0, 0, 0, STATS_STARVED_PPM - 1, STATS_STALL_LIMIT_NS, STATS_NOISE_LIMIT_NS + 1 },
    { "starved", 0, 0, 0, STATS_STARVED_PPM, STATS_STALL_LIMIT_NS, STATS_NOISE_LIMIT_NS + 1 },
    { "loopback_loss", 0, 0, 1, STATS_STARVED_PPM, STATS_STALL_LIMIT_NS, STATS_NOISE_LIMIT_NS + 1 },
    { "send_errors", 0, 1, 1, STATS_STARVED_PPM, STATS_STALL_LIMIT_NS, STATS_NOISE_LIMIT_NS + 1 },
    { "drops", 1, 1, 1, STATS_STARVED_PPM, STATS_STALL_LIMIT_NS, STATS_NOISE_LIMIT_NS + 1 },
    { "drops", 1, 0, 0, 0, 0, 0 },
    { "send_errors", 0, 1, 0, 0, 0, 0 },
    { "loopback_loss", 0, 0, 1, 0, 0, 0 },
    { "starved", 0, 0, 0, 1000000, 0, 0 },
};

static void the_first_trouble_of_the_host_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(troubles); i++) {
        struct tw_summary s;
        make_summary(&s, 0);
        s.host_drops = troubles[i].drops;
        s.send_errors = troubles[i].send_errors;
        s.host_cpu_wait_ppm = troubles[i].wait_ppm;
        s.host_stalls = troubles[i].stall_ns > 0;
        s.host_stall_max_ns = troubles[i].stall_ns;
        s.noise = (struct tw_noise){ 10, troubles[i].noise_lost, 0, troubles[i].p99_ns, troubles[i].p99_ns };
        if (strcmp(tw_trouble_name(summary_trouble(&s)), troubles[i].verdict) != 0)
            fail_msg("row %zu: %s, expected %s", i, tw_trouble_name(summary_trouble(&s)),
                     troubles[i].verdict);
        summary_free(&s);
    }
    assert_string_equal(tw_trouble_name(TW_TROUBLE_COUNT), "unknown");
}

static void noise_of_a_span_is_its_worst(void **state)
{
    static const struct {
        const char *name;
        struct tw_noise a, b, sum;
    } rows[] = {
        { "none at all", { 0 }, { 0 }, { 0 } },
        { "only before", { 10, 1, -2, 3, 4 }, { 0 }, { 10, 1, -2, 3, 4 } },
        { "only after", { 0 }, { 10, 1, -2, 3, 4 }, { 10, 1, -2, 3, 4 } },
        { "nothing came back before", { 5, 5, 0, 0, 0 }, { 10, 0, -4, -3, -2 }, { 15, 5, -4, -3, -2 } },
        { "nothing came back after", { 10, 0, -4, -3, -2 }, { 5, 5, 0, 0, 0 }, { 15, 5, -4, -3, -2 } },
        { "each the higher", { 10, 0, 1, 9, 10 }, { 10, 2, 2, 3, 11 }, { 20, 2, 2, 9, 11 } },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct tw_summary a, b;
        make_summary(&a, 0);
        make_summary(&b, 1);
        a.noise = rows[i].a;
        b.noise = rows[i].b;
        summary_merge(&a, &b);
        if (memcmp(&a.noise, &rows[i].sum, sizeof a.noise) != 0 || summary_validate(&a, NULL))
            fail_msg("%s", rows[i].name);
        summary_free(&a);
        summary_free(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(an_hour_is_the_same_in_any_order),
        cmocka_unit_test(merging_by_levels_equals_merging_at_once),
        cmocka_unit_test(different_things_merge_to_no_identity),
        cmocka_unit_test(remote_steps_add_up),
        cmocka_unit_test(statuses_merge_to_the_most_telling),
        cmocka_unit_test(copies_and_resets_are_whole),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(honest_summaries_are_accepted),
        cmocka_unit_test(the_first_trouble_of_the_host_is_named),
        cmocka_unit_test(noise_of_a_span_is_its_worst),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
