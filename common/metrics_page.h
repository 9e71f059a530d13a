/* common/metrics_page.h - the page /metrics from a snapshot, in any format of common/metrics_out.h. Pure: snapshot in,
 * bytes out. A new metric is one more row in a table (metrics_families.c). Base units: seconds and ratios. Names: docs/metrics.md. */
#ifndef TW_COMMON_METRICS_PAGE_H
#define TW_COMMON_METRICS_PAGE_H

#include "common/metrics_out.h"
#include "common/stats.h"

/* One pair; strings live as long as the snapshot. */
struct metrics_pair {
    const char *mesh, *class_name, *source, *target;
    bool fresh;              /* a summary ended less than two report periods ago: gauges are shown */
    const char *state;       /* as PairReport.state */
    bool maintenance;        /* going on */
    int64_t last_end_ns;     /* 0 = never */
    struct stats_view last;  /* of the latest closed report period, all flows merged; valid when fresh */
    struct tw_num completeness_ratio; /* of the last hour */
    /* Counters since the controller started. */
    uint64_t sent, received, late, duplicates, lost[TW_DIRECTION_COUNT], reordered[TW_DIRECTION_COUNT];
    uint64_t loss_runs;
    uint64_t periods_answered, periods_unanswered; /* report periods in which something, or nothing, came back */
    const struct hist *delay[3]; /* every delay of these; by enum tw_direction. NULL: not kept */
};
/* Why a summary is missing; the numbers are those of the store's causes. */
enum metrics_cause {
    METRICS_REFUSED,
    METRICS_DROPPED,
    METRICS_AGENT_DOWN,
    METRICS_AWAITED,
    METRICS_UNKNOWN,
    METRICS_CAUSES
};
/* An aggregate: per (mesh, class, source) at level agent, per (mesh, class, sites of both ends) at level site, per (mesh, class)
 * at level mesh. */
struct metrics_group {
    const char *mesh, *class_name, *source; /* source: at level agent, else NULL */
    const char *source_site, *target_site;  /* at level site, else NULL; "" = an end without the label, or no agent */
    uint64_t pairs, pairs_fresh;
    uint64_t sent, received, late, duplicates, lost[TW_DIRECTION_COUNT];
    bool has_missing;
    uint64_t missing[METRICS_CAUSES]; /* of the last hour */
    struct metrics_hist delay[3]; /* by enum tw_direction */
};
struct metrics_agent {
    const char *name, *state, *software;
    bool has_health;
    uint64_t spool_summaries, spool_dropped, generation, reflected, reflector_rejected, host_drops;
    uint64_t reflected_stamp, reflected_auth, reflector_auth_failed, reflector_auth_demanded, reflect_sessions, auth_failed;
    uint64_t control_connections, control_logins_failed, control_refused, reflected_xdp, reflector_not_allowed;
    uint64_t reflector_rate_limited, reflector_loops, reflector_longer, reflector_evicted;
    uint64_t control_not_allowed, control_rate_limited;
    double clock_error_s, cpu_s, rss_bytes;
    uint64_t host_stalls, self_test_sent, self_test_lost, send_errors, sender_drops;
    double host_stall_max_s, cpu_wait_ratio;
    struct tw_num noise_p50_s, noise_p99_s, noise_max_s;
    uint64_t names, names_unresolved, names_stale, name_lookups, name_failures, name_changes;
    bool clock_synced, secrets_stale, access_stale;
    struct tw_num lateness_p99_s, lateness_max_s; /* of sending, in the latest report periods of its pairs that are fresh */
    uint64_t results_refused, runs, runs_missed;
    uint64_t sessions, spool_backlog, spool_bytes, tests, tests_started, tests_refused, tests_expired;
    uint64_t diagnoses, diagnoses_refused, diagnose_packets, clock_steps;
    int64_t started_ns;
    double clock_est_error_s, clock_frequency_ratio, clock_tai_offset_s;
    const char *clock_leap; /* NULL: it has not said */
    uint64_t flight_share, flight_bytes, flight_frozen, flight_frozen_bytes;
    uint64_t flight_gave_way, flight_unrecorded, flight_withheld;
    struct tw_num flight_kept_s;
    struct tw_num clock_offset_s, clock_suspect; /* by the mesh clock audit */
};
/* Everything about ourselves: ingest, store, rpc, http. */
struct metrics_self {
    const char *name, *help, *type; /* "twamp_ingest_summaries_total", ..., "counter" */
    const char *label, *label_value; /* or NULL */
    double value;
};
struct metrics_snapshot {
    const struct metrics_pair *pairs;
    size_t n_pairs;
    const struct metrics_group *agents, *sites, *meshes;
    size_t n_agents_groups, n_sites, n_meshes;
    const struct metrics_agent *fleet;
    size_t n_fleet;
    uint64_t generation;
    const struct metrics_self *self;
    size_t n_self;
    bool of_agent; /* the page is an agent's own: the fleet is that agent, and not counted by state */
    uint64_t max_pair_series; /* budget of each level of a page, 0 = none; pairs and groups beyond it are held back, worst loss first
                               * kept, and counted */
};
/* TWAMPY: the names of the Python tool, for pairs; EDGES: its node graph. */
enum metrics_level {
    METRICS_PAIR = 1,
    METRICS_AGENT = 2,
    METRICS_MESH = 4,
    METRICS_SITE = 8,
    METRICS_TWAMPY = 16,
    METRICS_EDGES = 32,
    METRICS_DEFAULT = METRICS_PAIR | METRICS_AGENT | METRICS_MESH,
    METRICS_ALL = 63
};

/* Whole page in a malloc'ed buffer (not terminated). levels: bits. mesh: only this one's pairs and aggregates, without fleet and self, so
 * that scrapes can be split by mesh without showing those twice; NULL for all. Fleet states are "pending", "up", "down",
 * "revoked". */
enum tw_rc metrics_render(const struct metrics_snapshot *s, const struct metrics_ops *format, unsigned levels, const char *mesh, char **ret,
                          size_t *ret_len);
/* The same, piece by piece as it is made: for pages that are too large to stand in memory. */
enum tw_rc metrics_render_to(const struct metrics_snapshot *s, const struct metrics_ops *format, unsigned levels, const char *mesh,
                             const struct metrics_sink *sink);
/* Series that one pair, one agent group, one mesh group add to a text page: for plans. A native histogram is one more. */
unsigned metrics_series_per_pair(void);
unsigned metrics_series_per_group(void);

/* Family number i of the tables, for the reference; false past the last. */
struct metrics_description {
    char name[80], labels[160];
    const char *type, *help;
};
bool metrics_describe(size_t i, struct metrics_description *ret);

#endif
