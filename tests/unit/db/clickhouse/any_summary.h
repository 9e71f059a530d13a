/* A summary with something in every column, valid, from a seed: 60 probes of a minute. */
#ifndef TW_TEST_ANY_SUMMARY_H
#define TW_TEST_ANY_SUMMARY_H

#include "common/unavail.h"

static inline uint64_t any_next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static inline void any_delays(struct tw_summary *s, uint64_t *seed)
{
    for (int d = 0; d < 3; d++) {
        for (uint64_t i = 0; i < s->received; i++)
            hist_add(&s->delay[d], (int64_t)(any_next(seed) % 50000000) - (d == TW_FORWARD ? 1000000 : 0));
        s->jitter[d] = (struct tw_jitter){ (int64_t)any_next(seed), s->received, (int64_t)any_next(seed), s->received };
    }
    for (uint64_t i = 0; i < s->sent; i++)
        hist_add(&s->send_lateness, (int64_t)(any_next(seed) % 100000));
    s->residence_max_ns = 50000;
    s->residence_sum_ns = 50000;
}

static inline void any_host(struct tw_summary *s, uint64_t *seed)
{
    s->tos_sent = 0xb8;
    s->ttl_forward = (struct tw_octet_range){ 61, 62, s->received, 1 };
    s->ttl_backward = (struct tw_octet_range){ 60, 60, s->received, 0 };
    s->tos_forward = (struct tw_octet_range){ 0, 0xb8, s->received, 2 };
    s->tos_backward = (struct tw_octet_range){ 0xb8, 0xb8, s->received, 0 };
    s->tx_source = TW_TS_KERNEL;
    s->rx_source = TW_TS_HARDWARE;
    s->clock_local = (struct tw_clock_state){ (int64_t)any_next(seed), 3, true };
    s->clock_remote = (struct tw_clock_state){ (int64_t)any_next(seed), 1, true };
    s->clock_remote_known = true;
    s->clock_steps = 2;
    s->host_stalls = 2;
    s->host_stall_max_ns = 1500000;
    s->host_cpu_wait_ppm = 1200;
    s->noise = (struct tw_noise){ 10, 1, 20000, 40000, 90000 };
    s->host_drops = s->rejected = s->skipped = 1;
}

/* The summary starts at seed minutes after 2024-10-04 00:00 UTC. */
static inline void any_summary(struct tw_summary *s, uint64_t seed)
{
    uint64_t r = seed;

    summary_init(s);
    s->pair_id = 1 + any_next(&r) % (UINT64_C(1) << 31);
    s->generation = 9;
    s->test_id = seed % 7 ? 0 : seed;
    s->start_ns = (INT64_C(20000) * 86400 + (int64_t)seed * 60) * TW_NS_PER_S;
    s->end_ns = s->start_ns + 60 * TW_NS_PER_S;
    s->flow = (uint32_t)seed % 3;
    s->seq_first = UINT32_MAX - 5;
    s->sent = 60;
    s->lost_forward = 3;
    s->lost_unknown = 12;
    s->received = 45;
    s->late = s->duplicates_unknown = s->reordered_backward = 1;
    s->status = TW_STATUS_PARTIAL;
    s->loss_runs = 2;
    s->loss_run_longest = 12;
    s->loss_run_longest_ns = 12 * TW_NS_PER_S;
    s->windows_available = 5;
    s->windows_unavailable = 1;
    unavail_add(&s->unavailable, &(struct tw_unavail_run){ s->start_ns + 10 * TW_NS_PER_S, s->start_ns + 20 * TW_NS_PER_S, 1, s->flow });
    any_delays(s, &r);
    any_host(s, &r);
}

#endif
