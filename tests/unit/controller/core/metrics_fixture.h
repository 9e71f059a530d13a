/* A small installation, for tests of its page of metrics. */
#ifndef TW_TEST_METRICS_FIXTURE_H
#define TW_TEST_METRICS_FIXTURE_H

#include <math.h>
#include "common/metrics_page.h"

#define N(v)                      \
    {                             \
        .known = true, .value = v \
    }

/* ---- A small installation ---- */

static struct metrics_pair pairs[] = {
    { .mesh = "quickstart",
      .class_name = "voice",
      .source = "ams",
      .target = "fra",
      .fresh = true,
      .state = "partial",
      .last_end_ns = INT64_C(1795435200500000000),
      .completeness_ratio = N(1),
      .last = { .host_trouble = "none",
                .loss_ratio = N(1.0 / 3),
                .loss_forward_ratio = N(0.25),
                .loss_backward_ratio = N(1.0 / 12),
                .loss_unknown_ratio = N(0),
                .ttl_forward_min = N(60),
                .tos_sent = 184,
                .tos_forward_min = N(0),
                .tos_backward_min = N(184),
                .one_way_valid = true,
                .delay = { [TW_FORWARD] = { .min_s = N(-0.000000250),
                                            .p50_s = N(0.0051),
                                            .p95_s = N(0.0061),
                                            .p99_s = N(0.0071) },
                           [TW_ROUNDTRIP] = { .min_s = N(0.010000001),
                                              .p50_s = N(0.0102),
                                              .p95_s = N(0.0122),
                                              .p99_s = N(1.5),
                                              .jitter_rfc3550_s = N(0.0001234567) } } },
      .sent = 1200,
      .received = 800,
      .late = 3,
      .loss_runs = 2,
      .periods_answered = 11,
      .periods_unanswered = 1,
      .duplicates = 4,
      .lost = { 300, 100, 0, 0 },
      .reordered = { 7, 8, 9, 0 } },
    { .mesh = "quickstart", /* lost all: no delays, but loss */
      .class_name = "voice",
      .source = "ams",
      .target = "lon",
      .fresh = true,
      .state = "all_lost",
      .last_end_ns = INT64_C(1795435200000000000),
      .last = { .host_trouble = "stalled",
                .loss_ratio = N(1),
                .loss_forward_ratio = N(0),
                .loss_backward_ratio = N(0),
                .loss_unknown_ratio = N(1) },
      .sent = 500,
      .lost = { [TW_UNKNOWN] = 500 } },
    { .mesh = "quickstart", /* stale: what `last` holds must not show */
      .class_name = "voice",
      .source = "fra",
      .target = "ams",
      .state = "agent_down",
      .completeness_ratio = N(0.5),
      .last = { .loss_ratio = N(0.125) },
      .sent = UINT64_MAX },
    { .mesh = "other",
      .class_name = "bulk",
      .source = "a\\b\"c\nd",
      .target = "edge1",
      .fresh = true,
      .state = "ok",
      .last = { .host_trouble = "none",
                .loss_ratio = N(NAN),
                .delay = { [TW_FORWARD] = { .min_s = N(INFINITY) } } } },
};
static struct metrics_group by_agent[] = {
    { .mesh = "quickstart",
      .class_name = "voice",
      .source = "ams",
      .pairs = 2,
      .pairs_fresh = 2,
      .sent = 1700,
      .received = 800,
      .late = 3,
      .lost = { 300, 100, 0, 500 } },
    { .mesh = "quickstart", .class_name = "voice", .source = "fra", .pairs = 1 },
};
static struct metrics_group by_site[] = {
    { .mesh = "quickstart",
      .class_name = "voice",
      .source_site = "north",
      .target_site = "", /* no agent */
      .pairs = 3,
      .pairs_fresh = 2,
      .sent = 1700,
      .duplicates = 4 },
};
static struct metrics_group by_mesh[] = {
    { .mesh = "quickstart",
      .class_name = "voice",
      .pairs = 3,
      .pairs_fresh = 2,
      .sent = 1700,
      .duplicates = 4,
      .has_missing = true,
      .missing = { 1, 2, 3, 4, 5 } },
};
static const struct metrics_agent fleet[] = {
    { .name = "ams",
      .state = "up",
      .software = "0.1.0 \"dev\"",
      .has_health = true,
      .spool_summaries = 1,
      .spool_dropped = 2,
      .spool_backlog = 3,
      .generation = 3,
      .reflected = 4,
      .reflector_rejected = 5,
      .reflected_stamp = 31,
      .reflected_auth = 32,
      .reflector_auth_failed = 33,
      .reflector_auth_demanded = 34,
      .reflect_sessions = 35,
      .auth_failed = 36,
      .control_connections = 37,
      .control_logins_failed = 38,
      .control_refused = 39,
      .secrets_stale = true,
      .names = 51,
      .names_unresolved = 52,
      .names_stale = 53,
      .name_lookups = 54,
      .name_failures = 55,
      .name_changes = 56,
      .host_drops = 6,
      .host_stalls = 40,
      .host_stall_max_s = 0.032,
      .cpu_wait_ratio = 0.0125,
      .self_test_sent = 41,
      .self_test_lost = 42,
      .send_errors = 43,
      .sender_drops = 44,
      .noise_p50_s = { true, 21e-6 },
      .noise_p99_s = { true, 64e-6 },
      .noise_max_s = { true, 0.00125 },
      .clock_error_s = 0.000512,
      .cpu_s = 12.25,
      .rss_bytes = 12345678,
      .clock_offset_s = { true, -0.005 },
      .clock_suspect = { true, 1 },
      .lateness_p99_s = { true, 55e-6 },
      .lateness_max_s = { true, 0.0021 },
      .results_refused = 45,
      .runs = 57,
      .runs_missed = 46,
      .sessions = 58,
      .spool_bytes = 59,
      .tests = 60,
      .tests_started = 61,
      .tests_refused = 62,
      .tests_expired = 63,
      .diagnoses = 64,
      .diagnoses_refused = 65,
      .diagnose_packets = 66,
      .started_ns = INT64_C(1795435200500000000),
      .clock_steps = 67,
      .clock_est_error_s = 0.000031,
      .clock_frequency_ratio = -0.000012345,
      .clock_tai_offset_s = 37,
      .clock_leap = "insert",
      .flight_share = 60000,
      .flight_kept_s = { true, 600.5 },
      .flight_bytes = 47,
      .flight_frozen = 48,
      .flight_frozen_bytes = 49,
      .flight_gave_way = 50,
      .flight_unrecorded = 51,
      .flight_withheld = 52,
      .clock_synced = true },
    { .name = "fra", .state = "down", .software = "0.1.0" },
    { .name = "stranger", .state = "pending", .software = "9" },
};
static const struct metrics_self self[] = {
    { "twamp_ingest_summaries_total", "Summaries stored.", "counter", NULL, NULL, 123456789012 },
    { "twamp_store_errors_total", "Errors of the store.", "counter", "kind", "busy", 1 },
    { "twamp_store_commit_seconds", "Time of the last commit.", "gauge", NULL, NULL, 0.00125 },
    { "twamp_store_errors_total", "Errors of the store.", "counter", "kind", "full", 0 },
    { "twamp_store_errors_total", "Errors of the store.", "counter", "kind", "busy", 2 },
    { "twamp_store_errors_total", "Errors of the store.", "counter", "kind", "odd", NAN },
};
static const struct metrics_snapshot snapshot = {
    .pairs = pairs,
    .n_pairs = TW_NELEM(pairs),
    .agents = by_agent,
    .n_agents_groups = TW_NELEM(by_agent),
    .sites = by_site,
    .n_sites = TW_NELEM(by_site),
    .meshes = by_mesh,
    .n_meshes = TW_NELEM(by_mesh),
    .fleet = fleet,
    .n_fleet = TW_NELEM(fleet),
    .generation = 17,
    .self = self,
    .n_self = TW_NELEM(self),
};

static int fill(void **state)
{
    struct hist h;

    (void)state;
    hist_init(&h);
    for (int i = 0; i < 100; i++)
        hist_add(&h, i * 200 * TW_NS_PER_US);
    hist_add(&h, -5 * TW_NS_PER_MS);
    hist_add(&h, 100 * TW_NS_PER_S);
    metrics_hist_add(&by_agent[0].delay[TW_ROUNDTRIP], &h);
    metrics_hist_add(&by_site[0].delay[TW_ROUNDTRIP], &h);
    metrics_hist_add(&by_mesh[0].delay[TW_ROUNDTRIP], &h);
    metrics_hist_add(&by_mesh[0].delay[TW_ROUNDTRIP], &h);
    hist_free(&h);
    return 0;
}

#endif
