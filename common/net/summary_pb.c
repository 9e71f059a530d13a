#include "common/net/summary_pb.h"
#include <stdio.h>
#include <string.h>
#include "common/loss_runs.h"
#include "common/unavail.h"

/* ---- To the message ---- */

/* An empty histogram stays absent. */
static enum tw_rc put_hist(const struct hist *h, struct arena *a, ProtobufCBinaryData *ret)
{
    uint8_t blob[HIST_MAX_BLOB];
    size_t len;
    enum tw_rc rc;

    if (h->count == 0)
        return TW_OK;
    rc = hist_encode(h, blob, sizeof blob, &len);
    if (rc)
        return rc;
    ret->data = arena_alloc(a, len);
    if (!ret->data)
        return TW_ENOMEM;
    memcpy(ret->data, blob, len);
    ret->len = len;
    return TW_OK;
}

static enum tw_rc put_jitter(const struct tw_jitter *j, struct arena *a, Tw__Jitter **ret)
{
    Tw__Jitter *m;

    if (j->ewma_n == 0 && j->ipdv_n == 0)
        return TW_OK;
    m = arena_alloc(a, sizeof *m);
    if (!m)
        return TW_ENOMEM;
    tw__jitter__init(m);
    m->ewma_sum_ns = j->ewma_sum_ns;
    m->ewma_n = j->ewma_n;
    m->ipdv_abs_sum_ns = j->ipdv_abs_sum_ns;
    m->ipdv_n = j->ipdv_n;
    *ret = m;
    return TW_OK;
}

static enum tw_rc put_range(const struct tw_octet_range *r, struct arena *a, Tw__OctetRange **ret)
{
    Tw__OctetRange *m;

    if (r->n == 0)
        return TW_OK;
    m = arena_alloc(a, sizeof *m);
    if (!m)
        return TW_ENOMEM;
    tw__octet_range__init(m);
    m->min = r->min;
    m->max = r->max;
    m->n = r->n;
    m->changes = r->changes;
    *ret = m;
    return TW_OK;
}

static enum tw_rc put_clock(const struct tw_clock_state *c, struct arena *a, Tw__ClockState **ret)
{
    Tw__ClockState *m = arena_alloc(a, sizeof *m);

    if (!m)
        return TW_ENOMEM;
    tw__clock_state__init(m);
    m->synced = c->synced;
    m->max_error_ns = c->max_error_ns;
    m->steps = c->steps;
    *ret = m;
    return TW_OK;
}

static enum tw_rc put_noise(const struct tw_noise *n, struct arena *a, Tw__Noise **ret)
{
    Tw__Noise *m;

    if (n->sent == 0)
        return TW_OK;
    m = arena_alloc(a, sizeof *m);
    if (!m)
        return TW_ENOMEM;
    tw__noise__init(m);
    m->sent = n->sent;
    m->lost = n->lost;
    m->p50_ns = n->p50_ns;
    m->p99_ns = n->p99_ns;
    m->max_ns = n->max_ns;
    *ret = m;
    return TW_OK;
}

static void put_run(const struct tw_loss_run *r, Tw__LossRun *m)
{
    tw__loss_run__init(m);
    m->start_ns = r->start_ns;
    m->length_ns = r->length_ns;
    m->probes = r->probes;
    m->direction = (uint32_t)r->direction;
    m->continues_before = r->continues_before;
    m->continues_after = r->continues_after;
    m->seq_first = r->seq_first;
    m->flow = r->flow;
}

static enum tw_rc put_runs(const struct tw_loss_runs *l, struct arena *a, Tw__Summary *m)
{
    Tw__LossRun *v;

    if (!l->n)
        return TW_OK;
    m->runs = arena_alloc(a, l->n * sizeof *m->runs);
    v = arena_alloc(a, l->n * sizeof *v);
    if (!m->runs || !v)
        return TW_ENOMEM;
    for (size_t i = 0; i < l->n; i++) {
        put_run(&l->v[i], &v[i]);
        m->runs[i] = &v[i];
    }
    m->n_runs = l->n;
    return TW_OK;
}

static enum tw_rc put_unavailable(const struct tw_unavail *l, struct arena *a, Tw__Summary *m)
{
    Tw__UnavailableRun *v;

    if (!l->n)
        return TW_OK;
    m->unavailable = arena_alloc(a, l->n * sizeof *m->unavailable);
    v = arena_alloc(a, l->n * sizeof *v);
    if (!m->unavailable || !v)
        return TW_ENOMEM;
    for (size_t i = 0; i < l->n; i++) {
        tw__unavailable_run__init(&v[i]);
        v[i].start_ns = l->v[i].start_ns;
        v[i].end_ns = l->v[i].end_ns;
        v[i].windows = l->v[i].windows;
        v[i].flow = l->v[i].flow;
        m->unavailable[i] = &v[i];
    }
    m->n_unavailable = l->n;
    return TW_OK;
}

static void put_numbers(const struct tw_summary *s, Tw__Summary *m)
{
    m->pair_id = s->pair_id;
    m->flow = s->flow;
    m->generation = s->generation;
    m->test_id = s->test_id;
    m->start_ns = s->start_ns;
    m->end_ns = s->end_ns;
    m->seq_first = s->seq_first;
    m->status = (uint32_t)s->status;
#define X(name, help) m->name = s->name;
    TW_COUNTERS(X)
#undef X
    m->loss_runs = s->loss_runs;
    m->loss_run_longest = s->loss_run_longest;
    m->loss_run_longest_ns = s->loss_run_longest_ns;
    m->tos_sent = s->tos_sent;
    m->residence_sum_ns = s->residence_sum_ns;
    m->residence_max_ns = s->residence_max_ns;
    m->tx_source = (uint32_t)s->tx_source;
    m->rx_source = (uint32_t)s->rx_source;
    m->clock_steps = s->clock_steps;
    m->host_stall_max_ns = s->host_stall_max_ns;
    m->host_cpu_wait_ppm = s->host_cpu_wait_ppm;
}

static enum tw_rc put_parts(const struct tw_summary *s, struct arena *a, Tw__Summary *m)
{
    enum tw_rc rc;

    if ((rc = put_hist(&s->delay[TW_FORWARD], a, &m->delay_forward)) ||
        (rc = put_hist(&s->delay[TW_BACKWARD], a, &m->delay_backward)) ||
        (rc = put_hist(&s->delay[TW_ROUNDTRIP], a, &m->delay_roundtrip)) ||
        (rc = put_hist(&s->send_lateness, a, &m->send_lateness)) ||
        (rc = put_jitter(&s->jitter[TW_FORWARD], a, &m->jitter_forward)) ||
        (rc = put_jitter(&s->jitter[TW_BACKWARD], a, &m->jitter_backward)) ||
        (rc = put_jitter(&s->jitter[TW_ROUNDTRIP], a, &m->jitter_roundtrip)) ||
        (rc = put_range(&s->ttl_forward, a, &m->ttl_forward)) ||
        (rc = put_range(&s->ttl_backward, a, &m->ttl_backward)) ||
        (rc = put_range(&s->tos_forward, a, &m->tos_forward)) ||
        (rc = put_range(&s->tos_backward, a, &m->tos_backward)) ||
        (rc = put_noise(&s->noise, a, &m->noise)) || (rc = put_runs(&s->runs, a, m)) ||
        (rc = put_unavailable(&s->unavailable, a, m)) ||
        (rc = put_clock(&s->clock_local, a, &m->clock_local)))
        return rc;
    return s->clock_remote_known ? put_clock(&s->clock_remote, a, &m->clock_remote) : TW_OK;
}

enum tw_rc summary_to_pb(const struct tw_summary *s, struct arena *a, Tw__Summary **ret)
{
    Tw__Summary *m = arena_alloc(a, sizeof *m);
    enum tw_rc rc;

    if (!m)
        return TW_ENOMEM;
    tw__summary__init(m);
    put_numbers(s, m);
    rc = put_parts(s, a, m);
    if (rc)
        return rc;
    *ret = m;
    return TW_OK;
}

/* ---- From the message ---- */

static enum tw_rc wrong(struct tw_err *err, enum tw_rc rc, const char *field, const char *text)
{
    if (err)
        snprintf(err->field, sizeof err->field, "%s", field);
    return tw_err_set(err, rc, "%s", text);
}

static enum tw_rc get_hist(const ProtobufCBinaryData *b, const char *field, struct hist *ret,
                           struct tw_err *err)
{
    enum tw_rc rc;

    if (b->len == 0) {
        hist_reset(ret);
        return TW_OK;
    }
    rc = hist_decode(ret, b->data, b->len);
    return rc ? wrong(err, rc, field, "not a valid histogram") : TW_OK;
}

static struct tw_jitter get_jitter(const Tw__Jitter *m)
{
    if (!m)
        return (struct tw_jitter){ 0 };
    return (struct tw_jitter){ m->ewma_sum_ns, m->ewma_n, m->ipdv_abs_sum_ns, m->ipdv_n };
}

static enum tw_rc get_range(const Tw__OctetRange *m, const char *field, struct tw_octet_range *ret,
                            struct tw_err *err)
{
    *ret = (struct tw_octet_range){ 0 };
    if (!m)
        return TW_OK;
    if (m->min > UINT8_MAX || m->max > UINT8_MAX)
        return wrong(err, TW_EINVAL, field, "octets are at most 255");
    *ret = (struct tw_octet_range){ (uint8_t)m->min, (uint8_t)m->max, m->n, m->changes };
    return TW_OK;
}

static enum tw_rc get_runs(const Tw__Summary *m, struct tw_loss_runs *ret, struct tw_err *err)
{
    ret->n = 0;
    if (m->n_runs > TW_LOSS_RUNS_MAX)
        return wrong(err, TW_EINVAL, "runs", "more than a summary can list");
    if (loss_runs_reserve(ret, m->n_runs))
        return wrong(err, TW_ENOMEM, "runs", "out of memory");
    for (size_t i = 0; i < m->n_runs; i++) {
        const Tw__LossRun *r = m->runs[i];
        if (r->direction >= TW_DIRECTION_COUNT)
            return wrong(err, TW_EINVAL, "runs", "unknown direction");
        ret->v[ret->n++] = (struct tw_loss_run){ .start_ns = r->start_ns,
                                                 .length_ns = r->length_ns,
                                                 .probes = r->probes,
                                                 .seq_first = r->seq_first,
                                                 .flow = r->flow,
                                                 .direction = (enum tw_direction)r->direction,
                                                 .continues_before = r->continues_before,
                                                 .continues_after = r->continues_after };
    }
    return TW_OK;
}

static enum tw_rc get_unavailable(const Tw__Summary *m, struct tw_unavail *ret, struct tw_err *err)
{
    ret->n = 0;
    if (m->n_unavailable > TW_UNAVAIL_MAX)
        return wrong(err, TW_EINVAL, "unavailable", "more than a summary can list");
    if (unavail_reserve(ret, m->n_unavailable))
        return wrong(err, TW_ENOMEM, "unavailable", "out of memory");
    for (size_t i = 0; i < m->n_unavailable; i++) {
        const Tw__UnavailableRun *r = m->unavailable[i];
        ret->v[ret->n++] = (struct tw_unavail_run){ r->start_ns, r->end_ns, r->windows, r->flow };
    }
    return TW_OK;
}

static struct tw_clock_state get_clock(const Tw__ClockState *m)
{
    if (!m)
        return (struct tw_clock_state){ 0 };
    return (struct tw_clock_state){ .synced = m->synced, .max_error_ns = m->max_error_ns, .steps = m->steps };
}

static struct tw_noise get_noise(const Tw__Noise *m)
{
    if (!m)
        return (struct tw_noise){ 0 };
    return (struct tw_noise){ m->sent, m->lost, m->p50_ns, m->p99_ns, m->max_ns };
}

/* What does not fit its narrower field in struct tw_summary must be refused before it is narrowed. */
static enum tw_rc check_narrow(const Tw__Summary *m, struct tw_err *err)
{
    if (m->status >= TW_STATUS_COUNT)
        return wrong(err, TW_EINVAL, "status", "unknown status");
    if (m->tos_sent > UINT8_MAX)
        return wrong(err, TW_EINVAL, "tos_sent", "octets are at most 255");
    if (m->tx_source >= TW_TS_COUNT)
        return wrong(err, TW_EINVAL, "tx_source", "unknown timestamp source");
    if (m->rx_source >= TW_TS_COUNT)
        return wrong(err, TW_EINVAL, "rx_source", "unknown timestamp source");
    return TW_OK;
}

static void get_numbers(const Tw__Summary *m, struct tw_summary *s)
{
    s->pair_id = m->pair_id;
    s->flow = m->flow;
    s->generation = m->generation;
    s->test_id = m->test_id;
    s->start_ns = m->start_ns;
    s->end_ns = m->end_ns;
    s->seq_first = m->seq_first;
    s->status = (enum tw_status)m->status;
#define X(name, help) s->name = m->name;
    TW_COUNTERS(X)
#undef X
    s->loss_runs = m->loss_runs;
    s->loss_run_longest = m->loss_run_longest;
    s->loss_run_longest_ns = m->loss_run_longest_ns;
    s->tos_sent = (uint8_t)m->tos_sent;
    s->residence_sum_ns = m->residence_sum_ns;
    s->residence_max_ns = m->residence_max_ns;
    s->tx_source = (enum tw_ts_source)m->tx_source;
    s->rx_source = (enum tw_ts_source)m->rx_source;
    s->clock_steps = m->clock_steps;
    s->jitter[TW_FORWARD] = get_jitter(m->jitter_forward);
    s->jitter[TW_BACKWARD] = get_jitter(m->jitter_backward);
    s->jitter[TW_ROUNDTRIP] = get_jitter(m->jitter_roundtrip);
    s->clock_local = get_clock(m->clock_local);
    s->clock_remote_known = m->clock_remote != NULL;
    s->clock_remote = get_clock(m->clock_remote);
    s->host_stall_max_ns = m->host_stall_max_ns;
    s->host_cpu_wait_ppm = m->host_cpu_wait_ppm;
    s->noise = get_noise(m->noise);
}

static enum tw_rc get_parts(const Tw__Summary *m, struct tw_summary *s, struct tw_err *err)
{
    enum tw_rc rc;

    if ((rc = get_hist(&m->delay_forward, "delay_forward", &s->delay[TW_FORWARD], err)) ||
        (rc = get_hist(&m->delay_backward, "delay_backward", &s->delay[TW_BACKWARD], err)) ||
        (rc = get_hist(&m->delay_roundtrip, "delay_roundtrip", &s->delay[TW_ROUNDTRIP], err)) ||
        (rc = get_hist(&m->send_lateness, "send_lateness", &s->send_lateness, err)) ||
        (rc = get_range(m->ttl_forward, "ttl_forward", &s->ttl_forward, err)) ||
        (rc = get_range(m->ttl_backward, "ttl_backward", &s->ttl_backward, err)) ||
        (rc = get_range(m->tos_forward, "tos_forward", &s->tos_forward, err)) ||
        (rc = get_runs(m, &s->runs, err)) || (rc = get_unavailable(m, &s->unavailable, err)))
        return rc;
    return get_range(m->tos_backward, "tos_backward", &s->tos_backward, err);
}

enum tw_rc summary_from_pb(const Tw__Summary *m, struct tw_summary *ret, struct tw_err *err)
{
    enum tw_rc rc = check_narrow(m, err);

    if (!rc) {
        get_numbers(m, ret);
        rc = get_parts(m, ret, err);
    }
    if (!rc)
        rc = summary_validate(ret, err);
    if (rc)
        summary_reset(ret);
    return rc;
}
