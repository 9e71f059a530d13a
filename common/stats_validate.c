/* What no honest program can report. */
#include "common/stats.h"

#include <stdio.h>
#include "common/unavail.h"

static enum tw_rc refuse(struct tw_err *err, const char *field, const char *why)
{
    if (err)
        snprintf(err->field, sizeof err->field, "%s", field);
    return tw_err_set(err, TW_ECORRUPT, "%s", why);
}

static enum tw_rc check_counters(const struct tw_summary *s, struct tw_err *err)
{
#define X_CHECK(name, help)          \
    if (s->name > STATS_COUNTER_MAX) \
        return refuse(err, #name, "is larger than any count can be");
    TW_COUNTERS(X_CHECK)
#undef X_CHECK
    if (s->lost_forward + s->lost_backward + s->lost_unknown + s->received != s->sent)
        return refuse(err, "sent", "must be received plus lost");
    if (s->loss_runs > STATS_COUNTER_MAX || s->loss_run_longest > STATS_COUNTER_MAX ||
        s->loss_run_longest_ns < 0)
        return refuse(err, "loss_runs", "are larger than any count can be, or negative");
    return TW_OK;
}

static bool is_run_ok(const struct tw_loss_run *r, const struct tw_summary *s)
{
    return r->start_ns >= s->start_ns && r->start_ns < s->end_ns && r->length_ns >= 0 &&
           r->length_ns <= s->end_ns - r->start_ns && r->probes && r->probes <= s->loss_run_longest &&
           (unsigned)r->direction < TW_DIRECTION_COUNT && r->direction != TW_ROUNDTRIP;
}

/* Directions are not compared with the counters: a run of a merged gap may be known where its period's part of the gap
 * is not. */
static enum tw_rc check_runs(const struct tw_summary *s, struct tw_err *err)
{
    uint64_t lost = s->lost_forward + s->lost_backward + s->lost_unknown, probes = 0;

    if (s->runs.n > s->loss_runs || s->runs.n > TW_LOSS_RUNS_MAX)
        return refuse(err, "runs", "are more than loss_runs says, or than a summary can list");
    for (size_t i = 0; i < s->runs.n; i++) {
        const struct tw_loss_run *r = &s->runs.v[i];
        if (!is_run_ok(r, s))
            return refuse(err, "runs", "have one that is not in the span, or longer than the longest, or of no direction");
        if (i && r->start_ns < r[-1].start_ns)
            return refuse(err, "runs", "are not in order of start");
        probes += r->probes;
    }
    return probes <= lost ? TW_OK : refuse(err, "runs", "have more probes than were lost");
}

/* Every window that was judged has a probe. */
static enum tw_rc check_windows(const struct tw_summary *s, struct tw_err *err)
{
    const struct tw_unavail *l = &s->unavailable;

    if (s->windows_available > s->received || s->windows_unavailable > s->sent - s->received)
        return refuse(err, "windows_available", "or windows_unavailable are more than the probes that make them");
    if (l->n > TW_UNAVAIL_MAX || unavail_windows(l) > s->windows_unavailable)
        return refuse(err, "unavailable", "has more windows than windows_unavailable says, or than a summary can list");
    for (size_t i = 0; i < l->n; i++) {
        const struct tw_unavail_run *r = &l->v[i];
        if (r->start_ns < s->start_ns || r->end_ns <= r->start_ns || r->end_ns > s->end_ns || !r->windows ||
            (i && r->start_ns < r[-1].start_ns))
            return refuse(err, "unavailable", "has a run that is empty, not in the span, or not in order of start");
    }
    return TW_OK;
}

static enum tw_rc check_jitter(const struct tw_jitter *j, uint64_t received, struct tw_err *err)
{
    if (j->ewma_n > received || j->ewma_sum_ns < 0 || (!j->ewma_n && j->ewma_sum_ns))
        return refuse(err, "jitter.ewma",
                      "has more samples than were received, or a sum that they cannot have");
    if (j->ipdv_n > received || j->ipdv_abs_sum_ns < 0 || (!j->ipdv_n && j->ipdv_abs_sum_ns))
        return refuse(err, "jitter.ipdv",
                      "has more samples than were received, or a sum that they cannot have");
    return TW_OK;
}

static enum tw_rc check_delays(const struct tw_summary *s, struct tw_err *err)
{
    const struct hist *rt = &s->delay[TW_ROUNDTRIP];

    for (int d = 0; d < 3; d++) {
        enum tw_rc rc;
        if (s->delay[d].count > s->received)
            return refuse(err, "delay", "has more samples than were received");
        rc = check_jitter(&s->jitter[d], s->received, err);
        if (rc)
            return rc;
    }
    if (s->send_lateness.count > s->sent + s->send_errors + s->skipped)
        return refuse(err, "send_lateness", "has more samples than were sent");
    if ((!rt->count && s->residence_sum_ns) ||
        (__int128)s->residence_max_ns * rt->count < s->residence_sum_ns)
        return refuse(err, "residence_sum_ns", "is more than the samples can have");
    return TW_OK;
}

static enum tw_rc check_octets(const struct tw_octet_range *o, const char *field, struct tw_err *err)
{
    if (o->n > STATS_COUNTER_MAX || (o->n && o->min > o->max) || (o->n ? o->changes >= o->n : o->changes > 0))
        return refuse(err, field, "has its minimum above its maximum, or more changes than packets");
    return TW_OK;
}

static enum tw_rc check_status(const struct tw_summary *s, struct tw_err *err)
{
    enum tw_status implied = summary_status(s);

    if ((unsigned)s->status >= TW_STATUS_COUNT)
        return refuse(err, "status", "is not a known status");
    if (s->status == implied)
        return TW_OK;
    if (implied == TW_STATUS_NOT_RUN && s->status >= TW_STATUS_NAME_ERROR)
        return TW_OK;
    return refuse(err, "status", "does not match the counters");
}

static enum tw_rc check_clocks(const struct tw_summary *s, struct tw_err *err)
{
    if (s->clock_local.max_error_ns < 0 || s->clock_remote.max_error_ns < 0)
        return refuse(err, "clock", "has a negative error");
    if ((unsigned)s->tx_source >= TW_TS_COUNT || (unsigned)s->rx_source >= TW_TS_COUNT)
        return refuse(err, "tx_source", "or rx_source is not a known source of time");
    return TW_OK;
}

static enum tw_rc check_host(const struct tw_summary *s, struct tw_err *err)
{
    const struct tw_noise *n = &s->noise;

    if (s->host_stall_max_ns < 0 || (s->host_stalls == 0) != (s->host_stall_max_ns == 0))
        return refuse(err, "host_stall_max_ns", "must be 0 without host_stalls, and more than 0 with them");
    if (s->host_cpu_wait_ppm > 1000000)
        return refuse(err, "host_cpu_wait_ppm", "must be at most 1000000");
    if (n->sent > STATS_COUNTER_MAX || n->lost > n->sent)
        return refuse(err, "noise.lost", "must be at most noise.sent");
    if (n->p50_ns > n->p99_ns || n->p99_ns > n->max_ns || (n->sent == n->lost && (n->p50_ns || n->max_ns)))
        return refuse(err, "noise.p50_ns",
                      "must be at most p99, that at most the maximum, and 0 without answers");
    return TW_OK;
}

enum tw_rc summary_validate(const struct tw_summary *s, struct tw_err *err)
{
    enum tw_rc rc;

    if (s->start_ns < 0 || s->end_ns <= s->start_ns)
        return refuse(err, "end_ns", "must be after start_ns, and both after 1970");
    if ((rc = check_counters(s, err)) || (rc = check_runs(s, err)) || (rc = check_windows(s, err)) ||
        (rc = check_delays(s, err)) ||
        (rc = check_octets(&s->ttl_forward, "ttl_forward", err)) ||
        (rc = check_octets(&s->ttl_backward, "ttl_backward", err)) ||
        (rc = check_octets(&s->tos_forward, "tos_forward", err)) ||
        (rc = check_octets(&s->tos_backward, "tos_backward", err)) || (rc = check_clocks(s, err)) ||
        (rc = check_host(s, err)))
        return rc;
    return check_status(s, err);
}
