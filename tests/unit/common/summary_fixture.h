/* tests/unit/common/summary_fixture.h - a summary as an honest session would report it. */
#ifndef TW_TESTS_UNIT_COMMON_SUMMARY_FIXTURE_H
#define TW_TESTS_UNIT_COMMON_SUMMARY_FIXTURE_H

#include "common/loss_runs.h"
#include "common/unavail.h"

#define MINUTE_NS (60 * TW_NS_PER_S)

static inline bool same_runs(const struct tw_loss_runs *a, const struct tw_loss_runs *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        const struct tw_loss_run *x = &a->v[i], *y = &b->v[i];
        if (x->start_ns != y->start_ns || x->length_ns != y->length_ns || x->probes != y->probes ||
            x->seq_first != y->seq_first || x->flow != y->flow || x->direction != y->direction ||
            x->continues_before != y->continues_before || x->continues_after != y->continues_after)
            return false;
    }
    return a->n == b->n;
}

static inline bool same_unavailable(const struct tw_unavail *a, const struct tw_unavail *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        const struct tw_unavail_run *x = &a->v[i], *y = &b->v[i];
        if (x->start_ns != y->start_ns || x->end_ns != y->end_ns || x->windows != y->windows || x->flow != y->flow)
            return false;
    }
    return a->n == b->n;
}

static inline void add_fixture_run(struct tw_summary *s, int64_t at_ns, int64_t length_ns, uint32_t seq, uint64_t probes,
                                   enum tw_direction d)
{
    loss_runs_add(&s->runs, &(struct tw_loss_run){ .start_ns = s->start_ns + at_ns,
                                                   .length_ns = length_ns,
                                                   .probes = probes,
                                                   .seq_first = s->seq_first + seq,
                                                   .flow = s->flow,
                                                   .direction = d });
}

/* Minute number i of a session: 100 sent, 3 lost (one each way, one unknown), delays 10 ms + up to 1 ms; the
 * reflector took 50 us for each. */
static inline void make_summary(struct tw_summary *s, int i)
{
    summary_init(s);
    s->pair_id = 7;
    s->flow = 1;
    s->generation = 3;
    s->start_ns = (1000 + i) * MINUTE_NS;
    s->end_ns = s->start_ns + MINUTE_NS;
    s->seq_first = (uint32_t)i * 100;
    s->sent = 100;
    s->received = 97;
    s->lost_forward = s->lost_backward = s->lost_unknown = 1;
    s->duplicates_forward = 1;
    s->duplicates_unknown = 2;
    s->loss_runs = 2;
    s->loss_run_longest = 2;
    s->loss_run_longest_ns = (20 + i) * TW_NS_PER_MS;
    add_fixture_run(s, 20 * TW_NS_PER_S, (20 + i) * TW_NS_PER_MS, 33, 2, TW_MIXED);
    add_fixture_run(s, 40 * TW_NS_PER_S, 10 * TW_NS_PER_MS, 66, 1, TW_UNKNOWN);
    for (int n = 0; n < 97; n++) {
        hist_add(&s->delay[TW_FORWARD], 10 * TW_NS_PER_MS + n * 10000);
        hist_add(&s->delay[TW_BACKWARD], 5 * TW_NS_PER_MS + n * 10000);
        hist_add(&s->delay[TW_ROUNDTRIP], 15 * TW_NS_PER_MS + n * 20000);
        hist_add(&s->send_lateness, 1000 * n);
    }
    for (int d = 0; d < 3; d++)
        s->jitter[d] = (struct tw_jitter){ 97 * 2000, 97, 90 * (3000 + i), 90 };
    s->ttl_forward = (struct tw_octet_range){ 60, 60, 97, 0 };
    s->ttl_backward = (struct tw_octet_range){ (uint8_t)(50 + i), (uint8_t)(55 + i), 97, 2 };
    s->tos_forward = (struct tw_octet_range){ 0, 184, 96, 1 };
    s->tos_sent = 184;
    s->residence_sum_ns = 97 * 50000;
    s->residence_max_ns = 60000 + i;
    s->tx_source = s->rx_source = TW_TS_KERNEL;
    s->clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 300000 + i };
    s->clock_remote_known = true;
    s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 400000 };
    s->host_stalls = 2;
    s->host_stall_max_ns = 3 * TW_NS_PER_MS + i;
    s->host_cpu_wait_ppm = 30000 + (uint32_t)i;
    s->noise = (struct tw_noise){ 600, 0, 20000 + i, 60000 + i, 200000 + i };
    s->windows_available = 4;
    s->windows_unavailable = 1;
    s->windows_unknown = 1;
    unavail_add(&s->unavailable,
                &(struct tw_unavail_run){ s->start_ns + 20 * TW_NS_PER_S, s->start_ns + 30 * TW_NS_PER_S, 1, 1 });
    s->status = TW_STATUS_PARTIAL;
}

/* Minute number i in which nothing came back. */
static inline void make_all_lost(struct tw_summary *s, int i)
{
    summary_init(s);
    s->pair_id = 7;
    s->flow = 1;
    s->generation = 3;
    s->start_ns = (1000 + i) * MINUTE_NS;
    s->end_ns = s->start_ns + MINUTE_NS;
    s->seq_first = (uint32_t)i * 100;
    s->sent = s->lost_unknown = 100;
    s->loss_runs = 1;
    s->loss_run_longest = 100;
    s->loss_run_longest_ns = MINUTE_NS;
    add_fixture_run(s, 0, MINUTE_NS, 0, 100, TW_UNKNOWN);
    s->runs.v[0].continues_before = s->runs.v[0].continues_after = true;
    s->windows_unavailable = 6;
    unavail_add(&s->unavailable, &(struct tw_unavail_run){ s->start_ns, s->end_ns, 6, 1 });
    s->tos_sent = 184;
    s->tx_source = TW_TS_KERNEL;
    s->clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 300000 };
    s->status = TW_STATUS_ALL_LOST;
}

#endif
