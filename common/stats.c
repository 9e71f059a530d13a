#include "common/stats.h"

#include <string.h>
#include "common/loss_runs.h"
#include "common/unavail.h"

static int find_name(const char *const *names, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(names[i], text))
            return (int)i;
    return -1;
}

static const char *const direction_names[TW_DIRECTION_COUNT] = {
    "forward", "backward", "roundtrip", "unknown", "mixed",
};

const char *tw_direction_name(enum tw_direction d)
{
    return (unsigned)d < TW_DIRECTION_COUNT ? direction_names[d] : "unknown";
}

enum tw_rc tw_direction_parse(const char *text, enum tw_direction *ret)
{
    int i = find_name(direction_names, TW_DIRECTION_COUNT, text);

    if (i < 0)
        return TW_EINVAL;
    *ret = (enum tw_direction)i;
    return TW_OK;
}

static const char *const status_names[TW_STATUS_COUNT] = {
    "ok", "partial", "all_lost", "send_error", "name_error", "refused", "not_run", "agent_down",
};

const char *tw_status_name(enum tw_status s)
{
    return (unsigned)s < TW_STATUS_COUNT ? status_names[s] : "invalid";
}

enum tw_rc tw_status_parse(const char *text, enum tw_status *ret)
{
    int i = find_name(status_names, TW_STATUS_COUNT, text);

    if (i < 0)
        return TW_EINVAL;
    *ret = (enum tw_status)i;
    return TW_OK;
}

const char *tw_ts_source_name(enum tw_ts_source s)
{
    static const char *const names[TW_TS_COUNT] = { "unknown", "user", "kernel", "hardware", "mixed" };

    return (unsigned)s < TW_TS_COUNT ? names[s] : "unknown";
}

const char *tw_trouble_name(enum tw_trouble t)
{
    static const char *const names[TW_TROUBLE_COUNT] = {
        "none", "drops", "send_errors", "loopback_loss", "starved", "stalled", "noise",
    };

    return (unsigned)t < TW_TROUBLE_COUNT ? names[t] : "unknown";
}

/* ---- Life ---- */

enum { N_HISTS = 4 };

static struct hist *hist_of(struct tw_summary *s, int i)
{
    return i < 3 ? &s->delay[i] : &s->send_lateness;
}

static const struct hist *hist_of_const(const struct tw_summary *s, int i)
{
    return i < 3 ? &s->delay[i] : &s->send_lateness;
}

/* *s becomes *value, except that it keeps its own histograms and lists. */
static void assign(struct tw_summary *s, const struct tw_summary *value)
{
    struct hist own[N_HISTS];
    struct tw_loss_runs runs = s->runs;
    struct tw_unavail unavailable = s->unavailable;

    for (int i = 0; i < N_HISTS; i++)
        own[i] = *hist_of(s, i);
    *s = *value;
    s->runs = runs;
    s->unavailable = unavailable;
    for (int i = 0; i < N_HISTS; i++)
        *hist_of(s, i) = own[i];
}

void summary_init(struct tw_summary *s)
{
    *s = (struct tw_summary){ .status = TW_STATUS_NOT_RUN };
    for (int i = 0; i < N_HISTS; i++)
        hist_init(hist_of(s, i));
}

void summary_free(struct tw_summary *s)
{
    for (int i = 0; i < N_HISTS; i++)
        hist_free(hist_of(s, i));
    loss_runs_free(&s->runs);
    unavail_free(&s->unavailable);
}

void summary_reset(struct tw_summary *s)
{
    loss_runs_free(&s->runs);
    unavail_free(&s->unavailable);
    assign(s, &(struct tw_summary){ .pair_id = s->pair_id,
                                    .flow = s->flow,
                                    .generation = s->generation,
                                    .test_id = s->test_id,
                                    .tos_sent = s->tos_sent,
                                    .status = TW_STATUS_NOT_RUN });
    for (int i = 0; i < N_HISTS; i++)
        hist_reset(hist_of(s, i));
}

enum tw_rc summary_copy(struct tw_summary *dst, const struct tw_summary *src)
{
    if (dst == src)
        return TW_OK;
    /* All the room first: afterwards nothing can fail half way. */
    for (int i = 0; i < N_HISTS; i++)
        if (hist_reserve_copy(hist_of(dst, i), hist_of_const(src, i)))
            return TW_ENOMEM;
    if (loss_runs_reserve(&dst->runs, src->runs.n) || unavail_reserve(&dst->unavailable, src->unavailable.n))
        return TW_ENOMEM;
    assign(dst, src);
    if (src->runs.n)
        memcpy(dst->runs.v, src->runs.v, src->runs.n * sizeof *src->runs.v);
    dst->runs.n = src->runs.n;
    if (src->unavailable.n)
        memcpy(dst->unavailable.v, src->unavailable.v, src->unavailable.n * sizeof *src->unavailable.v);
    dst->unavailable.n = src->unavailable.n;
    for (int i = 0; i < N_HISTS; i++)
        hist_copy(hist_of(dst, i), hist_of_const(src, i));
    return TW_OK;
}

/* ---- Merging ---- */

static void add_u64(uint64_t *to, uint64_t v)
{
    if (__builtin_add_overflow(*to, v, to))
        *to = UINT64_MAX;
}

static void add_i64(int64_t *to, int64_t v)
{
    int64_t sum;

    if (__builtin_add_overflow(*to, v, &sum))
        sum = v < 0 ? INT64_MIN : INT64_MAX;
    *to = sum;
}

#define TAKE_MAX(to, v) \
    do {                \
        if ((v) > (to)) \
            (to) = (v); \
    } while (0)

static void merge_octets(struct tw_octet_range *to, const struct tw_octet_range *v)
{
    if (!v->n)
        return;
    if (!to->n) {
        *to = *v;
        return;
    }
    if (v->min < to->min)
        to->min = v->min;
    TAKE_MAX(to->max, v->max);
    add_u64(&to->n, v->n);
    add_u64(&to->changes, v->changes);
}

static void merge_clock(struct tw_clock_state *to, const struct tw_clock_state *v)
{
    to->synced = to->synced && v->synced;
    TAKE_MAX(to->max_error_ns, v->max_error_ns);
    TAKE_MAX(to->steps, v->steps);
}

/* Called before the counters are added. */
static void merge_remote_clock(struct tw_summary *to, const struct tw_summary *v)
{
    uint32_t steps;

    if (!v->clock_remote_known && !v->received)
        return;
    if (!to->clock_remote_known && !to->received) {
        to->clock_remote_known = v->clock_remote_known;
        to->clock_remote = v->clock_remote;
        return;
    }
    steps = to->clock_remote.steps + v->clock_remote.steps;
    to->clock_remote_known = to->clock_remote_known && v->clock_remote_known;
    merge_clock(&to->clock_remote, &v->clock_remote);
    to->clock_remote.steps = steps < v->clock_remote.steps ? UINT32_MAX : steps;
}

static enum tw_ts_source merge_source(enum tw_ts_source a, enum tw_ts_source b)
{
    if (a == b || b == TW_TS_UNKNOWN)
        return a;
    return a == TW_TS_UNKNOWN ? b : TW_TS_MIXED;
}

static bool is_empty(const struct tw_summary *s)
{
    return !s->start_ns && !s->end_ns;
}

static void merge_identity(struct tw_summary *to, const struct tw_summary *v)
{
    if (v->pair_id != to->pair_id)
        to->pair_id = 0;
    if (v->flow != to->flow)
        to->flow = 0;
    if (v->generation != to->generation)
        to->generation = 0;
    if (v->test_id != to->test_id)
        to->test_id = 0;
    if (v->tos_sent != to->tos_sent)
        to->tos_sent = 0;
    if (v->start_ns < to->start_ns) {
        to->start_ns = v->start_ns;
        to->seq_first = v->seq_first;
    }
    TAKE_MAX(to->end_ns, v->end_ns);
}

static void merge_counters(struct tw_summary *to, const struct tw_summary *v)
{
#define X_ADD(name, help) add_u64(&to->name, v->name);
    TW_COUNTERS(X_ADD)
#undef X_ADD
    add_u64(&to->loss_runs, v->loss_runs);
    TAKE_MAX(to->loss_run_longest, v->loss_run_longest);
    TAKE_MAX(to->loss_run_longest_ns, v->loss_run_longest_ns);
    to->clock_steps =
        to->clock_steps + v->clock_steps < v->clock_steps ? UINT32_MAX : to->clock_steps + v->clock_steps;
}

/* Called before the delays are merged: a side without samples has no maximum. */
static void merge_residence(struct tw_summary *to, const struct tw_summary *v)
{
    if (!v->delay[TW_ROUNDTRIP].count)
        return;
    if (!to->delay[TW_ROUNDTRIP].count)
        to->residence_max_ns = v->residence_max_ns;
    TAKE_MAX(to->residence_max_ns, v->residence_max_ns);
    add_i64(&to->residence_sum_ns, v->residence_sum_ns);
}

static void merge_jitter(struct tw_jitter *to, const struct tw_jitter *v)
{
    add_i64(&to->ewma_sum_ns, v->ewma_sum_ns);
    add_u64(&to->ewma_n, v->ewma_n);
    add_i64(&to->ipdv_abs_sum_ns, v->ipdv_abs_sum_ns);
    add_u64(&to->ipdv_n, v->ipdv_n);
}

/* Percentiles cannot be merged: the higher one stays. A side that heard nothing has none. */
static void merge_noise(struct tw_noise *to, const struct tw_noise *v)
{
    bool to_has = to->sent > to->lost, v_has = v->sent > v->lost;

    if (v_has && !to_has) {
        to->p50_ns = v->p50_ns;
        to->p99_ns = v->p99_ns;
        to->max_ns = v->max_ns;
    } else if (v_has) {
        TAKE_MAX(to->p50_ns, v->p50_ns);
        TAKE_MAX(to->p99_ns, v->p99_ns);
        TAKE_MAX(to->max_ns, v->max_ns);
    }
    add_u64(&to->sent, v->sent);
    add_u64(&to->lost, v->lost);
}

static void merge_host(struct tw_summary *to, const struct tw_summary *v)
{
    TAKE_MAX(to->host_stall_max_ns, v->host_stall_max_ns);
    TAKE_MAX(to->host_cpu_wait_ppm, v->host_cpu_wait_ppm);
    merge_noise(&to->noise, &v->noise);
}

/* Called after identity and counters: what was two runs there is one. */
static void merge_runs(struct tw_summary *to, const struct tw_summary *v)
{
    if (!to->pair_id && v->pair_id) /* of several pairs */
        loss_runs_free(&to->runs);
    for (size_t i = 0; i < v->runs.n && (to->pair_id || !v->pair_id); i++) {
        struct tw_loss_run whole;
        unsigned joined = loss_runs_add_joined(&to->runs, &v->runs.v[i], &whole);
        to->loss_runs -= joined < to->loss_runs ? joined : 0;
        TAKE_MAX(to->loss_run_longest, whole.probes);
        TAKE_MAX(to->loss_run_longest_ns, whole.length_ns);
    }
}

/* Called after identity. */
static void merge_unavailable(struct tw_summary *to, const struct tw_summary *v)
{
    if (!to->pair_id && v->pair_id) /* of several pairs */
        unavail_free(&to->unavailable);
    for (size_t i = 0; i < v->unavailable.n && (to->pair_id || !v->pair_id); i++)
        unavail_add(&to->unavailable, &v->unavailable.v[i]);
}

/* What the counters cannot tell apart: a name error says more than a refusal, that more than nothing at all.
 */
static enum tw_status merge_status(const struct tw_summary *merged, enum tw_status a, enum tw_status b)
{
    enum tw_status implied = summary_status(merged);

    if (implied != TW_STATUS_NOT_RUN)
        return implied;
    if (a == TW_STATUS_NOT_RUN)
        return b;
    return b == TW_STATUS_NOT_RUN || a < b ? a : b;
}

static void take_all_but_hists(struct tw_summary *dst, const struct tw_summary *src)
{
    assign(dst, src);
    dst->runs.n = 0;
    dst->unavailable.n = 0;
    for (int i = 0; i < N_HISTS; i++) {
        /* Not hist_reset(): a target that was made coarser stays so. */
        hist_of(dst, i)->n = 0;
        hist_of(dst, i)->count = 0;
        hist_of(dst, i)->sum_ns = 0;
    }
}

void summary_merge(struct tw_summary *dst, const struct tw_summary *src)
{
    if (is_empty(src))
        return;
    if (is_empty(dst)) {
        take_all_but_hists(dst, src);
    } else {
        enum tw_status before = dst->status;
        merge_identity(dst, src);
        merge_remote_clock(dst, src);
        merge_clock(&dst->clock_local, &src->clock_local);
        merge_residence(dst, src);
        merge_counters(dst, src);
        merge_host(dst, src);
        merge_octets(&dst->ttl_forward, &src->ttl_forward);
        merge_octets(&dst->ttl_backward, &src->ttl_backward);
        merge_octets(&dst->tos_forward, &src->tos_forward);
        merge_octets(&dst->tos_backward, &src->tos_backward);
        dst->tx_source = merge_source(dst->tx_source, src->tx_source);
        dst->rx_source = merge_source(dst->rx_source, src->rx_source);
        for (int d = 0; d < 3; d++)
            merge_jitter(&dst->jitter[d], &src->jitter[d]);
        dst->status = merge_status(dst, before, src->status);
    }
    merge_runs(dst, src);
    merge_unavailable(dst, src);
    for (int i = 0; i < N_HISTS; i++)
        hist_merge(hist_of(dst, i), hist_of_const(src, i));
}

enum tw_status summary_status(const struct tw_summary *s)
{
    if (!s->sent)
        return s->send_errors ? TW_STATUS_SEND_ERROR : TW_STATUS_NOT_RUN;
    if (!s->received)
        return TW_STATUS_ALL_LOST;
    return s->received < s->sent ? TW_STATUS_PARTIAL : TW_STATUS_OK;
}

enum tw_trouble summary_trouble(const struct tw_summary *s)
{
    if (s->host_drops)
        return TW_TROUBLE_DROPS;
    if (s->send_errors)
        return TW_TROUBLE_SEND_ERRORS;
    if (s->noise.lost)
        return TW_TROUBLE_LOOPBACK_LOSS;
    if (s->host_cpu_wait_ppm >= STATS_STARVED_PPM)
        return TW_TROUBLE_STARVED;
    if (s->host_stall_max_ns >= STATS_STALL_LIMIT_NS)
        return TW_TROUBLE_STALLED;
    return s->noise.p99_ns > STATS_NOISE_LIMIT_NS ? TW_TROUBLE_NOISE : TW_TROUBLE_NONE;
}
