/* From summary to the numbers that people see, and the table of their names. */
#include "common/stats.h"

#include "common/mos.h"

static double seconds(int64_t ns)
{
    return (double)ns / (double)TW_NS_PER_S;
}

static struct tw_num num(double v)
{
    return (struct tw_num){ .known = true, .value = v };
}

static struct tw_num ratio(double part, uint64_t of)
{
    return of ? num(part / (double)of) : (struct tw_num){ 0 };
}

/* ---- Derivation ---- */

static struct tw_num percentile(const struct hist *h, double p)
{
    int64_t ns;

    return hist_percentile(h, p, &ns) == TW_OK ? num(seconds(ns)) : (struct tw_num){ 0 };
}

static void view_delay(const struct hist *h, const struct tw_jitter *j, struct stats_delay *v)
{
    double mean_ns;

    v->count = h->count;
    v->jitter_rfc3550_s = ratio(seconds(j->ewma_sum_ns), j->ewma_n);
    v->jitter_ipdv_s = ratio(seconds(j->ipdv_abs_sum_ns), j->ipdv_n);
    if (hist_mean(h, &mean_ns))
        return;
    v->min_s = num(seconds(h->min_ns));
    v->mean_s = num(mean_ns / (double)TW_NS_PER_S);
    v->max_s = num(seconds(h->max_ns));
    v->p50_s = percentile(h, 50);
    v->p90_s = percentile(h, 90);
    v->p95_s = percentile(h, 95);
    v->p99_s = percentile(h, 99);
    v->p999_s = percentile(h, 99.9);
    v->jitter_p95_p50_s = num(v->p95_s.value - v->p50_s.value);
}

static void view_counters(const struct tw_summary *s, struct stats_view *v)
{
    v->sent = s->sent;
    v->received = s->received;
    v->lost_forward = s->lost_forward;
    v->lost_backward = s->lost_backward;
    v->lost_unknown = s->lost_unknown;
    v->lost = s->lost_forward + s->lost_backward + s->lost_unknown;
    v->late = s->late;
    v->duplicates = s->duplicates_forward + s->duplicates_backward + s->duplicates_unknown;
    v->reordered_forward = s->reordered_forward;
    v->reordered_backward = s->reordered_backward;
    v->reordered_roundtrip = s->reordered_roundtrip;
    v->rejected = s->rejected;
    v->invalid_time = s->invalid_time;
    v->send_errors = s->send_errors;
    v->skipped = s->skipped;
    v->host_drops = s->host_drops;
}

static void view_loss(const struct tw_summary *s, struct stats_view *v)
{
    v->loss_ratio = ratio((double)v->lost, v->sent);
    v->loss_forward_ratio = ratio((double)v->lost_forward, v->sent);
    v->loss_backward_ratio = ratio((double)v->lost_backward, v->sent);
    v->loss_unknown_ratio = ratio((double)v->lost_unknown, v->sent);
    v->loss_runs = s->loss_runs;
    v->loss_run_longest = s->loss_run_longest;
    v->loss_run_longest_s = seconds(s->loss_run_longest_ns);
}

static void view_octets(const struct tw_octet_range *o, struct tw_num *ret_min, struct tw_num *ret_max)
{
    if (!o->n)
        return;
    *ret_min = num(o->min);
    *ret_max = num(o->max);
}

/* The smaller |median| of the directions that have one; 0 if neither has. */
static double smaller_median(const struct stats_view *v)
{
    double least = 0;

    for (int d = TW_FORWARD; d <= TW_BACKWARD; d++) {
        double m = v->delay[d].p50_s.value;
        if (m < 0)
            m = -m;
        if (v->delay[d].p50_s.known && (least == 0 || m < least))
            least = m;
    }
    return least;
}

static void view_clocks(const struct tw_summary *s, struct stats_view *v)
{
    double bound;

    v->clock_local_synced = s->clock_local.synced;
    v->clock_remote_known = s->clock_remote_known;
    v->clock_remote_synced = s->clock_remote_known && s->clock_remote.synced;
    v->clock_local_error_s = seconds(s->clock_local.max_error_ns);
    v->clock_remote_error_s = s->clock_remote_known ? seconds(s->clock_remote.max_error_ns) : 0;
    v->clock_steps = s->clock_steps;
    v->clock_remote_steps = s->clock_remote_known ? s->clock_remote.steps : 0;
    if (!v->clock_local_synced || !v->clock_remote_synced)
        return;
    bound = v->clock_local_error_s + v->clock_remote_error_s;
    v->one_way_error_bound_s = num(bound);
    v->one_way_valid =
        !s->clock_steps && !v->clock_remote_steps && (bound <= seconds(STATS_ONE_WAY_LIMIT_NS) || bound <= smaller_median(v) / 2);
}

static void view_host(const struct tw_summary *s, struct stats_view *v)
{
    v->host_trouble = tw_trouble_name(summary_trouble(s));
    v->host_stalls = s->host_stalls;
    v->host_stall_max_s = seconds(s->host_stall_max_ns);
    v->host_cpu_wait_ratio = s->host_cpu_wait_ppm / 1e6;
    v->noise_sent = s->noise.sent;
    v->noise_lost = s->noise.lost;
    if (s->noise.sent <= s->noise.lost)
        return;
    v->noise_p50_s = num(seconds(s->noise.p50_ns));
    v->noise_p99_s = num(seconds(s->noise.p99_ns));
    v->noise_max_s = num(seconds(s->noise.max_ns));
}

static void view_windows(const struct tw_summary *s, struct stats_view *v)
{
    v->windows_available = s->windows_available;
    v->windows_unavailable = s->windows_unavailable;
    v->windows_unknown = s->windows_unknown;
    v->availability_ratio =
        ratio((double)s->windows_available, s->windows_available + s->windows_unavailable);
}

static double greater(struct tw_num a, struct tw_num b)
{
    double va = a.known ? a.value : 0, vb = b.known ? b.value : 0;

    return va > vb ? va : vb;
}

/* A call has two ways; its rating is that of the worse one. Losses whose way cannot be told are taken to be of it. */
static void view_calls(struct stats_view *v)
{
    struct mos_path path;

    if (!v->delay[TW_ROUNDTRIP].p50_s.known || !v->sent)
        return;
    path.delay_s = v->delay[TW_ROUNDTRIP].p50_s.value / 2;
    path.jitter_s = greater(v->delay[TW_FORWARD].jitter_rfc3550_s, v->delay[TW_BACKWARD].jitter_rfc3550_s);
    path.loss_ratio = greater(v->loss_forward_ratio, v->loss_backward_ratio) + v->loss_unknown_ratio.value;
    path.burst_ratio = mos_burst_ratio((double)v->lost, (double)v->sent, (double)v->loss_runs);
    v->r_factor_g711 = num(mos_r_factor(&path, MOS_G711));
    v->r_factor_g729a = num(mos_r_factor(&path, MOS_G729A));
    v->mos_g711 = num(mos_of_r(v->r_factor_g711.value));
    v->mos_g729a = num(mos_of_r(v->r_factor_g729a.value));
}

void stats_view(const struct tw_summary *s, struct stats_view *ret)
{
    struct stats_view v = { .start_ns = s->start_ns, .end_ns = s->end_ns, .status = s->status };

    view_counters(s, &v);
    view_loss(s, &v);
    for (int d = 0; d < 3; d++)
        view_delay(&s->delay[d], &s->jitter[d], &v.delay[d]);
    view_octets(&s->ttl_forward, &v.ttl_forward_min, &v.ttl_forward_max);
    view_octets(&s->ttl_backward, &v.ttl_backward_min, &v.ttl_backward_max);
    view_octets(&s->tos_forward, &v.tos_forward_min, &v.tos_forward_max);
    view_octets(&s->tos_backward, &v.tos_backward_min, &v.tos_backward_max);
    v.tos_sent = s->tos_sent;
    v.residence_mean_s = ratio(seconds(s->residence_sum_ns), s->delay[TW_ROUNDTRIP].count);
    if (s->delay[TW_ROUNDTRIP].count)
        v.residence_max_s = num(seconds(s->residence_max_ns));
    v.send_lateness_p50_s = percentile(&s->send_lateness, 50);
    v.send_lateness_p99_s = percentile(&s->send_lateness, 99);
    v.send_lateness_max_s = percentile(&s->send_lateness, 100);
    v.tx_source = tw_ts_source_name(s->tx_source);
    v.rx_source = tw_ts_source_name(s->rx_source);
    view_clocks(s, &v);
    view_host(s, &v);
    view_windows(s, &v);
    view_calls(&v);
    *ret = v;
}

/* ---- Names ---- */

#define ROW(member, kind)                                  \
    {                                                      \
#member, kind, offsetof(struct stats_view, member) \
    }
/* Members ending in _s are seconds, and say so in full outside. */
#define ROW_S(member, kind)                                         \
    {                                                               \
#member "econds", kind, offsetof(struct stats_view, member) \
    }

#define DELAY(d, dir, member, name, kind)                                           \
    {                                                                               \
        "delay_" dir "_" name, kind,                                                \
            offsetof(struct stats_view, delay) + (d) * sizeof(struct stats_delay) + \
                offsetof(struct stats_delay, member)                                \
    }
#define DELAY_S(d, dir, member) DELAY(d, dir, member, #member "econds", STATS_NUM)
#define DELAYS(d, dir)                                                                                  \
    DELAY(d, dir, count, "count", STATS_U64), DELAY_S(d, dir, min_s), DELAY_S(d, dir, mean_s),          \
        DELAY_S(d, dir, p50_s), DELAY_S(d, dir, p90_s), DELAY_S(d, dir, p95_s), DELAY_S(d, dir, p99_s), \
        DELAY_S(d, dir, p999_s), DELAY_S(d, dir, max_s), DELAY_S(d, dir, jitter_rfc3550_s),             \
        DELAY_S(d, dir, jitter_ipdv_s), DELAY_S(d, dir, jitter_p95_p50_s)

const struct stats_field stats_fields[] = {
    ROW(sent, STATS_U64),
    ROW(received, STATS_U64),
    ROW(lost, STATS_U64),
    ROW(lost_forward, STATS_U64),
    ROW(lost_backward, STATS_U64),
    ROW(lost_unknown, STATS_U64),
    ROW(late, STATS_U64),
    ROW(duplicates, STATS_U64),
    ROW(reordered_forward, STATS_U64),
    ROW(reordered_backward, STATS_U64),
    ROW(reordered_roundtrip, STATS_U64),
    ROW(rejected, STATS_U64),
    ROW(invalid_time, STATS_U64),
    ROW(send_errors, STATS_U64),
    ROW(skipped, STATS_U64),
    ROW(host_drops, STATS_U64),
    ROW(loss_ratio, STATS_NUM),
    ROW(loss_forward_ratio, STATS_NUM),
    ROW(loss_backward_ratio, STATS_NUM),
    ROW(loss_unknown_ratio, STATS_NUM),
    DELAYS(TW_FORWARD, "forward"),
    DELAYS(TW_BACKWARD, "backward"),
    DELAYS(TW_ROUNDTRIP, "roundtrip"),
    ROW(loss_runs, STATS_U64),
    ROW(loss_run_longest, STATS_U64),
    ROW_S(loss_run_longest_s, STATS_F64),
    ROW(ttl_forward_min, STATS_NUM),
    ROW(ttl_forward_max, STATS_NUM),
    ROW(ttl_backward_min, STATS_NUM),
    ROW(ttl_backward_max, STATS_NUM),
    ROW(tos_backward_min, STATS_NUM),
    ROW(tos_backward_max, STATS_NUM),
    ROW(tos_sent, STATS_U8),
    ROW_S(residence_mean_s, STATS_NUM),
    ROW_S(residence_max_s, STATS_NUM),
    ROW_S(send_lateness_p50_s, STATS_NUM),
    ROW_S(send_lateness_p99_s, STATS_NUM),
    ROW_S(send_lateness_max_s, STATS_NUM),
    ROW(tx_source, STATS_TEXT),
    ROW(rx_source, STATS_TEXT),
    ROW(clock_local_synced, STATS_BOOL),
    ROW(clock_remote_known, STATS_BOOL),
    ROW(clock_remote_synced, STATS_BOOL),
    ROW_S(clock_local_error_s, STATS_F64),
    ROW_S(clock_remote_error_s, STATS_F64),
    ROW(clock_steps, STATS_U32),
    ROW_S(one_way_error_bound_s, STATS_NUM),
    ROW(one_way_valid, STATS_BOOL),
    ROW(tos_forward_min, STATS_NUM), /* newer numbers come last: columns of CSV keep their places */
    ROW(tos_forward_max, STATS_NUM),
    ROW(host_trouble, STATS_TEXT),
    ROW(host_stalls, STATS_U64),
    ROW_S(host_stall_max_s, STATS_F64),
    ROW(host_cpu_wait_ratio, STATS_F64),
    ROW(noise_sent, STATS_U64),
    ROW(noise_lost, STATS_U64),
    ROW_S(noise_p50_s, STATS_NUM),
    ROW_S(noise_p99_s, STATS_NUM),
    ROW_S(noise_max_s, STATS_NUM),
    ROW(clock_remote_steps, STATS_U32),
    ROW(windows_available, STATS_U64),
    ROW(windows_unavailable, STATS_U64),
    ROW(windows_unknown, STATS_U64),
    ROW(availability_ratio, STATS_NUM),
    ROW(r_factor_g711, STATS_NUM),
    ROW(mos_g711, STATS_NUM),
    ROW(r_factor_g729a, STATS_NUM),
    ROW(mos_g729a, STATS_NUM),
};
const size_t stats_fields_n = TW_NELEM(stats_fields);
