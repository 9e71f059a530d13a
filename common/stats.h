/* common/stats.h - what a summary is, how summaries merge, and every number that people are shown. Pure.
 *
 * `struct tw_summary` is the aggregate of the probes that one session SENT in one report period, closed when
 * none of them is in flight any more. Merging summaries gives a summary of the longer span (or of the group);
 * `stats_view()` derives every printed number from it. Text, JSON, CSV, metrics and the page all go through
 * stats_view(), so the same pair and interval gives the same number everywhere. */
#ifndef TW_COMMON_STATS_H
#define TW_COMMON_STATS_H

#include "common/clk.h"
#include "common/hist.h"

/* TW_MIXED is only for what has several losses: some went one way, some the other. */
enum tw_direction { TW_FORWARD, TW_BACKWARD, TW_ROUNDTRIP, TW_UNKNOWN, TW_MIXED, TW_DIRECTION_COUNT };
const char *tw_direction_name(enum tw_direction d); /* "forward", ... */
enum tw_rc tw_direction_parse(const char *text, enum tw_direction *ret);

/* Order matters: stored as numbers. */
enum tw_status {
    TW_STATUS_OK,         /* every probe of the period came back */
    TW_STATUS_PARTIAL,    /* some did */
    TW_STATUS_ALL_LOST,   /* probes were sent, none came back */
    TW_STATUS_SEND_ERROR, /* none could be sent */
    TW_STATUS_NAME_ERROR, /* the target's name could not be resolved */
    TW_STATUS_REFUSED,    /* the agent refused the session (limits) */
    TW_STATUS_NOT_RUN,    /* scheduled but nothing was attempted */
    TW_STATUS_AGENT_DOWN, /* made by the controller, never sent by agents */
    TW_STATUS_COUNT
};
const char *tw_status_name(enum tw_status s);
enum tw_rc tw_status_parse(const char *text, enum tw_status *ret);

enum tw_ts_source { TW_TS_UNKNOWN, TW_TS_USER, TW_TS_KERNEL, TW_TS_HARDWARE, TW_TS_MIXED, TW_TS_COUNT };
const char *tw_ts_source_name(enum tw_ts_source s);

/* Counters: uint64_t each, merged by addition. One row here is one field in struct tw_summary, in the proto
 * message (same name), in the SQL table (same name), and in JSON. X(name, what it counts). */
#define TW_COUNTERS(X)                                                                                             \
    X(sent, "probes handed to the network")                                                                       \
    X(received, "probes answered in time, first answer only")                                                     \
    X(lost_forward, "lost between sender and reflector")                                                          \
    X(lost_backward, "lost between reflector and sender")                                                         \
    X(lost_unknown, "lost, direction cannot be told")                                                             \
    X(late, "answers after the timeout; the probe stays lost")                                                    \
    X(duplicates_forward, "second answers that the reflector made from a second copy of the probe")               \
    X(duplicates_backward, "second copies of the same answer")                                                    \
    X(duplicates_unknown, "second answers of a stateless reflector")                                              \
    X(reordered_forward, "received probes overtaken on the way out (RFC 4737)")                                   \
    X(reordered_backward, "answers overtaken on the way back")                                                    \
    X(reordered_roundtrip, "answers out of order of sending, as the sender sees them")                            \
    X(rejected, "datagrams that are no answer to a probe: wrong length, unknown number, T1 never sent")           \
    X(invalid_time, "answers whose timestamps contradict themselves: counted as received, not in the delays")     \
    X(send_errors, "probes that the operating system refused to send")                                            \
    X(skipped, "probes not attempted: the host was too late or too many were in flight")                          \
    X(host_drops, "datagrams dropped by this host's socket buffer (SO_RXQ_OVFL), an upper bound for this session") \
    X(rx_user_time, "answers timed in user space because the kernel gave no receive time")                         \
    X(tx_user_time, "delays from a sending time taken in user space: the kernel told none in time")                \
    X(followed_up, "delays whose T3 is when the answer really left: the next answer told (RFC 8972 section 4.7)")  \
    X(host_stalls, "times that the measuring thread came more than 1 ms late to a timer or to a datagram")       \
    X(windows_available, "windows in which a probe was received in time")                                        \
    X(windows_unavailable, "windows in which none of the probes sent was received in time")                      \
    X(windows_unknown, "windows not judged: this host sent nothing, or dropped answers")

/* Jitter accumulators of one direction. All mergeable: sums are added. */
struct tw_jitter {
    int64_t ewma_sum_ns; /* sum over samples of the RFC 3550 estimate J after that sample */
    uint64_t ewma_n;
    int64_t ipdv_abs_sum_ns; /* sum of |D(i) - D(i-1)| over consecutive sequence numbers both received */
    uint64_t ipdv_n;
};

/* An octet (TTL, TOS) as seen over the span. n = 0: not known. */
struct tw_octet_range {
    uint8_t min, max;
    uint64_t n;       /* packets in which it was seen */
    uint64_t changes; /* times it differed from the packet before */
};

/* The loopback self-test of the measuring thread during the span: what this host adds by itself. sent = 0: there was
 * none. The delays are round trips; all 0 when nothing came back. */
struct tw_noise {
    uint64_t sent, lost;
    int64_t p50_ns, p99_ns, max_ns;
};

/* Consecutive probes that were lost, all of one report period: a run that goes on over its end is cut there, and the
 * parts say so. common/loss_runs.h joins them. */
struct tw_loss_run {
    int64_t start_ns;            /* wall time of the first lost probe's sending */
    int64_t length_ns;           /* to the sending of the next probe that came back, or the end of the period */
    uint64_t probes;
    uint32_t seq_first;          /* Sequence Number of the first lost probe */
    uint32_t flow;
    enum tw_direction direction; /* TW_FORWARD, TW_BACKWARD: of all, those of the other parts, too; TW_MIXED: both
                                  * ways; else TW_UNKNOWN */
    bool continues_before;       /* the last probe of the period before was lost, too */
    bool continues_after;        /* when the period closed, no later probe had come back */
};

/* In order of start; the longest TW_LOSS_RUNS_MAX. Memory is there only where something was lost. */
#define TW_LOSS_RUNS_MAX 64
struct tw_loss_runs {
    struct tw_loss_run *v;
    uint16_t n, cap;
};

/* Availability. Probes are counted in windows of 10 s, aligned in UTC, by the time at which they were sent; where report
 * periods are shorter, a period is the window, and one that crosses the end of a period is cut there into two. A window
 * with probes is unavailable when none of them was received in time (late is lost), else available. It is not judged
 * (unknown) when this host could send none of its probes, or when nothing was received while this host dropped
 * datagrams. A window in which no probe was due is none. availability = available / (available + unavailable). Flows of
 * a pair have windows of their own. */
#define STATS_WINDOW_NS (10 * TW_NS_PER_S)

/* Unavailable windows that touch each other. */
struct tw_unavail_run {
    int64_t start_ns, end_ns; /* of the first, of the last */
    uint32_t windows, flow;
};
/* In order of start; the longest TW_UNAVAIL_MAX (common/unavail.h). Memory is there only where something was unavailable. */
#define TW_UNAVAIL_MAX 64
struct tw_unavail {
    struct tw_unavail_run *v;
    uint16_t n, cap;
};

struct tw_summary {
    /* Identity and span. */
    uint64_t pair_id, generation;
    uint64_t test_id;         /* of a test on demand; 0 = scheduled */
    int64_t start_ns, end_ns; /* wall clock, [start, end) of the sending times; 0,0 = empty merge target */
    uint32_t flow;
    uint32_t seq_first;       /* Sequence Number of the first probe of the span */
    enum tw_status status;
    uint8_t tos_sent;
    bool clock_remote_known;  /* the reflector's Error Estimate was seen */

#define TW_X_FIELD(name, help) uint64_t name;
    TW_COUNTERS(TW_X_FIELD)
#undef TW_X_FIELD

    /* Delays in ns, signed, of received probes with valid times; RFC 8.1 formulas: roundtrip = (T4-T1)-(T3-T2). */
    struct hist delay[3];        /* by enum tw_direction: forward, backward, roundtrip */
    struct hist send_lateness;   /* actual minus scheduled sending time */
    struct tw_jitter jitter[3];  /* by enum tw_direction */

    /* Loss runs: consecutive sequence numbers lost. */
    uint64_t loss_runs;
    uint64_t loss_run_longest;    /* probes */
    int64_t loss_run_longest_ns;  /* from the first lost probe's sending to the first received one after it */
    struct tw_loss_runs runs;     /* of one pair; loss_runs - runs.n are not listed */
    struct tw_unavail unavailable; /* of one pair; windows_unavailable - unavail_windows() are not listed */

    struct tw_octet_range ttl_forward;  /* TTL of our probe as the reflector received it */
    struct tw_octet_range ttl_backward; /* TTL of the answer as we received it */
    struct tw_octet_range tos_forward;  /* TOS / Traffic Class of our probe as the reflector received it */
    struct tw_octet_range tos_backward; /* TOS / Traffic Class of the answer as we received it */

    int64_t residence_sum_ns, residence_max_ns; /* T3 - T2, over delay[TW_ROUNDTRIP].count samples */

    enum tw_ts_source tx_source, rx_source; /* T1, T4; TW_TS_MIXED after merging different ones */
    struct tw_clock_state clock_local;   /* worst of the span; steps: at its end */
    struct tw_clock_state clock_remote;  /* from the Error Estimate of its answers: the worst; steps: of it in the
                                          * span, as delays show them */

    int64_t host_stall_max_ns;  /* the longest of host_stalls */
    uint32_t clock_steps;       /* steps of the local clock during the span */
    uint32_t host_cpu_wait_ppm; /* highest share, in any second of the span, of time that the measuring thread was
                                 * ready but waited for a CPU; 0 also where the kernel does not tell */
    struct tw_noise noise;
};

void summary_init(struct tw_summary *s);
void summary_free(struct tw_summary *s); /* frees the histograms and the lists */
/* Empties all but pair_id, flow, generation, test_id and tos_sent; keeps histogram memory, frees the lists. */
void summary_reset(struct tw_summary *s);
enum tw_rc summary_copy(struct tw_summary *dst, const struct tw_summary *src);

/* dst becomes the summary of both: counters add, histograms merge, span is the union, worst clock, status by
 * the merged counters (summary_status()); where those only say NOT_RUN, the more telling of the two statuses stays.
 * An empty dst (start_ns == end_ns == 0) takes src's identity; later merges keep pair_id/flow/generation/test_id/tos_sent if
 * equal, else 0. Loss runs that go on from one summary to the other become one, and so do unavailable windows that touch;
 * a summary of more than one pair lists none. RFC 3550 jitter merges as the mean over samples. A side that received nothing has no say about the
 * reflector's clock. Of what the host did to us the worst stays: the longest stall, the highest share, the highest
 * noise; what the self-test sent and lost adds. */
void summary_merge(struct tw_summary *dst, const struct tw_summary *src);

/* Status that the counters imply (NAME_ERROR, REFUSED and AGENT_DOWN are set by whoever knows, and look like NOT_RUN
 * here): sent == 0 && send_errors > 0: SEND_ERROR; sent == 0: NOT_RUN; received == 0: ALL_LOST;
 * received < sent: PARTIAL; else OK. */
enum tw_status summary_status(const struct tw_summary *s);

/* Contradictions that no honest program can produce; every receiver and reader of summaries calls it.
 * lost_* + received == sent; the listed runs are not more than loss_runs, in order, within the span, and have no more
 * probes than were lost; windows have probes, and those listed are in the span, in order and not more than there are;
 * delay counts <= received; times sane and in order; octet ranges; status matches (for
 * NOT_RUN also NAME_ERROR, REFUSED, AGENT_DOWN). No counter exceeds STATS_COUNTER_MAX, so sums of many cannot wrap. */
#define STATS_COUNTER_MAX (UINT64_C(1) << 48)
enum tw_rc summary_validate(const struct tw_summary *s, struct tw_err *err);

/* What about this host may have made a loss or a delay that looks like the network's. The first that holds, in this
 * order. */
enum tw_trouble {
    TW_TROUBLE_NONE,
    TW_TROUBLE_DROPS,         /* host_drops: a socket buffer was full, so some "lost" answers were here */
    TW_TROUBLE_SEND_ERRORS,   /* send_errors: the operating system refused probes */
    TW_TROUBLE_LOOPBACK_LOSS, /* the self-test lost probes that never left the host */
    TW_TROUBLE_STARVED,       /* host_cpu_wait_ppm is at least STATS_STARVED_PPM */
    TW_TROUBLE_STALLED,       /* the longest stall is at least STATS_STALL_LIMIT_NS */
    TW_TROUBLE_NOISE,         /* p99 of the self-test is above STATS_NOISE_LIMIT_NS */
    TW_TROUBLE_COUNT
};
#define STATS_STARVED_PPM 200000 /* of any second: every fifth probe finds the thread waiting */
#define STATS_STALL_LIMIT_NS (20 * TW_NS_PER_MS) /* shorter ones are daily life and shown as numbers only */
#define STATS_NOISE_LIMIT_NS (1 * TW_NS_PER_MS)
const char *tw_trouble_name(enum tw_trouble t); /* "none", "drops", "send_errors", ... */
enum tw_trouble summary_trouble(const struct tw_summary *s);

/* ---- The numbers people see ---------------------------------------------------------------------------- */

/* A number that may be absent: no samples, or withheld. */
struct tw_num {
    bool known;
    double value;
};

struct stats_delay {
    uint64_t count;
    struct tw_num min_s, mean_s, p50_s, p90_s, p95_s, p99_s, p999_s, max_s; /* seconds, signed */
    struct tw_num jitter_rfc3550_s, jitter_ipdv_s /* mean absolute IPDV */, jitter_p95_p50_s;
};

struct stats_view {
    int64_t start_ns, end_ns;
    enum tw_status status;
    uint64_t sent, received, lost, lost_forward, lost_backward, lost_unknown;
    uint64_t late, duplicates, reordered_forward, reordered_backward, reordered_roundtrip;
    uint64_t rejected, invalid_time, send_errors, skipped, host_drops;
    struct tw_num loss_ratio, loss_forward_ratio, loss_backward_ratio, loss_unknown_ratio; /* of sent */
    struct stats_delay delay[3]; /* by enum tw_direction */
    uint64_t loss_runs, loss_run_longest;
    double loss_run_longest_s;
    struct tw_num ttl_forward_min, ttl_forward_max, ttl_backward_min, ttl_backward_max;
    struct tw_num tos_forward_min, tos_forward_max, tos_backward_min, tos_backward_max;
    uint8_t tos_sent;
    struct tw_num residence_mean_s, residence_max_s;
    struct tw_num send_lateness_p50_s, send_lateness_p99_s, send_lateness_max_s;
    const char *tx_source, *rx_source;
    bool clock_local_synced, clock_remote_known, clock_remote_synced;
    double clock_local_error_s, clock_remote_error_s;
    uint32_t clock_steps, clock_remote_steps;
    struct tw_num one_way_error_bound_s; /* sum of both ends' errors; unknown unless both are synced:
                                          * else the figure means nothing */
    bool one_way_valid; /* both clocks synced, no step, and the bound is at most STATS_ONE_WAY_LIMIT_NS
                         * or at most half the smaller |median| of the one-way delays */
    const char *host_trouble; /* tw_trouble_name(): not "none" = this host may have caused it */
    uint64_t host_stalls;
    double host_stall_max_s, host_cpu_wait_ratio;
    uint64_t noise_sent, noise_lost;
    struct tw_num noise_p50_s, noise_p99_s, noise_max_s;
    uint64_t windows_available, windows_unavailable, windows_unknown;
    struct tw_num availability_ratio; /* unknown without a window that was judged: also of agents that do not count them */
    /* E-model (common/mos.h), of half the median round trip, the greater one-way jitter, and the losses of the worse way. */
    struct tw_num r_factor_g711, mos_g711, r_factor_g729a, mos_g729a;
};
#define STATS_ONE_WAY_LIMIT_NS (1 * TW_NS_PER_MS)

/* Derives everything from s. Cheap enough for every pair of every scrape (a few microseconds). */
void stats_view(const struct tw_summary *s, struct stats_view *ret);

/* One row per number of struct stats_view that tables, CSV and JSON print; the writers are loops over this. Span and
 * status are not in it. STATS_TEXT is a const char *. */
enum stats_kind { STATS_U64, STATS_U8, STATS_U32, STATS_F64, STATS_NUM, STATS_BOOL, STATS_TEXT };
struct stats_field {
    const char *name; /* as in JSON and CSV: "loss_forward_ratio", "delay_roundtrip_p95_seconds" */
    enum stats_kind kind;
    size_t offset; /* in struct stats_view */
};
extern const struct stats_field stats_fields[];
extern const size_t stats_fields_n;

#endif
