/* Summaries for the tests of databases: with something in every field, or that differ from each other in all
 * that merges. */
#ifndef TW_TESTS_SOME_ROWS_H
#define TW_TESTS_SOME_ROWS_H

#include <math.h>
#include "common/loss_runs.h"
#include "common/unavail.h"
#include "db/row_cols.h"
#include "tests/unit/db/db_fixture.h"

#define DAY (86400 * TW_NS_PER_S)
#define HOUR (3600 * TW_NS_PER_S)
#define SEC TW_NS_PER_S
#define PAIRS 4

/* ---- Loss runs ---- */

/* A minute of 600 probes with these runs lost. */
__attribute__((unused)) static struct tw_summary lossy(uint64_t pair, uint32_t flow, int64_t start_ns,
                                                       const struct tw_loss_run *runs, size_t n)
{
    struct tw_summary s = plain(pair, flow, start_ns, 0);

    s.sent = s.received = 600;
    s.loss_runs = n;
    for (size_t i = 0; i < n; i++) {
        s.received -= runs[i].probes;
        s.lost_forward += runs[i].probes;
        if (runs[i].probes > s.loss_run_longest)
            s.loss_run_longest = runs[i].probes;
        loss_runs_add(&s.runs, &runs[i]);
    }
    s.status = summary_status(&s);
    CHECK_OK(summary_validate(&s, &test_err));
    return s;
}

__attribute__((unused)) static struct tw_loss_run run(int64_t start_ns, uint32_t seq, uint64_t probes,
                                                      enum tw_direction d)
{
    return (struct tw_loss_run){ .start_ns = start_ns,
                                 .length_ns = (int64_t)probes * 1000,
                                 .probes = probes,
                                 .seq_first = seq,
                                 .direction = d };
}

/* ---- Something in every field ---- */

__attribute__((unused)) static void fill_all(struct tw_summary *s)
{
    uint64_t v = 1000;

    *s = plain(1, 3, DAY0, 0xffffffff);
#define X_SET(name, help) s->name = v++;
    TW_COUNTERS(X_SET)
#undef X_SET
    s->generation = UINT64_C(1) << 60;
    s->lost_forward = 3;
    s->lost_backward = 2;
    s->lost_unknown = 1;
    s->received = 94;
    s->sent = 100;
    s->status = TW_STATUS_PARTIAL;
    for (int d = 0; d < 3; d++) {
        for (int i = 0; i < 90; i++)
            hist_add(&s->delay[d], (i - 10) * INT64_C(12345678) * (d + 1));
        s->jitter[d] = (struct tw_jitter){ 10 + d, 20 + d, 30 + d, 40 + d };
    }
    hist_add(&s->send_lateness, -5);
    s->loss_runs = 4;
    s->loss_run_longest = 5;
    s->loss_run_longest_ns = INT64_C(6) << 40;
    s->ttl_forward = (struct tw_octet_range){ 1, 255, 90, 8 };
    s->ttl_backward = (struct tw_octet_range){ 2, 254, 91, 9 };
    s->tos_backward = (struct tw_octet_range){ 3, 253, 92, 10 };
    s->tos_forward = (struct tw_octet_range){ 4, 252, 93, 11 };
    s->tos_sent = 184;
    s->residence_sum_ns = 900;
    s->residence_max_ns = 77;
    s->tx_source = TW_TS_KERNEL;
    s->rx_source = TW_TS_MIXED;
    s->clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 11, .steps = 12 };
    s->clock_remote_known = true;
    s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 13, .steps = 14 };
    s->clock_steps = 15;
    s->host_stall_max_ns = INT64_C(16) << 40;
    s->host_cpu_wait_ppm = 17;
    s->noise = (struct tw_noise){ 18, 2, -20, 21, INT64_C(22) << 40 };
    s->windows_available = 5;
    s->windows_unavailable = 4;
    unavail_add(&s->unavailable, &(struct tw_unavail_run){ s->start_ns + 1, s->start_ns + 2, 1, 3 });
    unavail_add(&s->unavailable, &(struct tw_unavail_run){ s->start_ns + 4, s->start_ns + 9, 3, 3 });
}

/* ---- Summaries that differ ---- */

__attribute__((unused)) static int64_t pick(unsigned *seed, int64_t n)
{
    return (int64_t)(((uint64_t)rand_r(seed) << 31 | (uint64_t)rand_r(seed)) % (uint64_t)n);
}

/* About log-normal, in ns: e^N(16.5, 0.5), 15 ms in the middle. */
__attribute__((unused)) static int64_t delay_of(unsigned *seed)
{
    double sum = 0;

    for (int i = 0; i < 12; i++)
        sum += (double)rand_r(seed) / (double)RAND_MAX;
    return (int64_t)exp(16.5 + 0.5 * (sum - 6));
}

__attribute__((unused)) static void fill(struct tw_summary *s, unsigned *seed, unsigned probes)
{
    s->sent = probes;
    s->lost_forward = (uint64_t)pick(seed, 3);
    s->lost_unknown = (uint64_t)pick(seed, 2);
    s->received = probes - s->lost_forward - s->lost_unknown;
    s->duplicates_unknown = (uint64_t)pick(seed, 2);
    for (uint64_t i = 0; i < s->received; i++) {
        hist_add(&s->delay[TW_FORWARD], delay_of(seed));
        hist_add(&s->delay[TW_BACKWARD], -delay_of(seed) / 3);
        hist_add(&s->delay[TW_ROUNDTRIP], 2 * delay_of(seed));
        hist_add(&s->send_lateness, pick(seed, 90000));
    }
    for (int d = 0; d < 3; d++)
        s->jitter[d] =
            (struct tw_jitter){ pick(seed, 1000000), s->received, pick(seed, 1000000), s->received };
    s->loss_runs = s->loss_run_longest = s->lost_forward;
    s->loss_run_longest_ns = s->loss_run_longest ? pick(seed, SEC) : 0;
    s->ttl_forward = (struct tw_octet_range){ (uint8_t)(60 - pick(seed, 3)), 63, s->received, 0 };
    s->residence_max_ns = 100000;
    s->residence_sum_ns = (int64_t)s->received * 50000;
    s->clock_local = (struct tw_clock_state){ .synced = pick(seed, 9) != 0,
                                              .max_error_ns = pick(seed, 100000),
                                              .steps = 3 };
    s->clock_remote_known = true;
    s->clock_remote = (struct tw_clock_state){ .synced = true,
                                               .max_error_ns = pick(seed, 100000),
                                               .steps = (uint32_t)pick(seed, 2) };
    s->clock_steps = (uint32_t)pick(seed, 2);
    s->tx_source = TW_TS_KERNEL;
    s->rx_source = pick(seed, 50) ? TW_TS_KERNEL : TW_TS_USER;
    s->noise = (struct tw_noise){ 10, 1, 1000, 2000 + pick(seed, 100), 9000 };
    s->status = summary_status(s);
}

/* Of pair 1 to PAIRS, each with its own report period, some cut, on a few days, now and then far off. */
__attribute__((unused)) static struct tw_summary some_row(unsigned *seed)
{
    static const int64_t periods[PAIRS] = { 10 * SEC, 60 * SEC, 600 * SEC, HOUR };
    uint64_t pair = 1 + (uint64_t)pick(seed, PAIRS);
    int64_t period = periods[pair - 1], start = DAY0 + pick(seed, 3 * DAY) / period * period;
    struct tw_summary s;

    if (!pick(seed, 40))
        start = pick(seed, 2) ? 7 * DAY : 106700 * DAY; /* a clock that was far off: 1970, 2262 */
    s = plain(pair, (uint32_t)pick(seed, 2), start, (uint32_t)(start / SEC));
    s.end_ns =
        start + (pick(seed, 10) ? period : 1 + pick(seed, period - 1)); /* cut by a change of schedule */
    s.generation = 3;
    s.test_id = pick(seed, 50) ? 0 : 9;
    fill(&s, seed, 5 + (unsigned)pick(seed, 10));
    return s;
}

/* ---- Comparing ---- */

/* All that is stored of them. */
__attribute__((unused)) static void same(const char *what, const struct tw_summary *a,
                                         const struct tw_summary *b)
{
    for (size_t i = 0; i < row_cols_n; i++) {
        const char *pa = (const char *)a + row_cols[i].offset, *pb = (const char *)b + row_cols[i].offset;
        size_t size = row_cols[i].kind == ROW_64 ? 8 : row_cols[i].kind == ROW_32 ? 4 : 1;
        bool equal = row_cols[i].kind == ROW_HIST ? hist_equal((const struct hist *)(const void *)pa,
                                                               (const struct hist *)(const void *)pb)
                     : row_cols[i].kind == ROW_UNAVAIL
                         ? a->unavailable.n == b->unavailable.n &&
                               (!a->unavailable.n || !memcmp(a->unavailable.v, b->unavailable.v,
                                                             a->unavailable.n * sizeof *a->unavailable.v))
                         : !memcmp(pa, pb, size);
        if (!equal)
            fail_msg("%s: %s differs", what, row_cols[i].name);
    }
}

__attribute__((unused)) static void free_rows(struct tw_summary *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        summary_free(&rows[i]);
}

#endif
