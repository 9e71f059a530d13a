/* agent/core/session.c - life of a session. */
#include "agent/core/session_priv.h"

#include <stdlib.h>

#define RING_MIN 16
#define DELAYS_MIN 4
#define RING_MAX (UINT64_C(1) << 20)

static bool is_cfg_ok(const struct session_cfg *c)
{
    return c->spacing_ns > 0 && c->spacing_ns <= INT64_MAX / 64 && c->dscp < 64 && c->timeout_ns > 0 &&
           c->timeout_ns <= c->report_period_ns && c->report_period_ns <= 86400 * TW_NS_PER_S * 366 &&
           c->phase_ns >= 0 && c->phase_ns < c->spacing_ns && c->start_ns >= 0 && c->stop_ns >= 0 &&
           (c->spacing_kind == SESSION_FIXED || c->spacing_kind == SESSION_EXPONENTIAL);
}

static uint64_t in_flight_max(const struct session_cfg *c)
{
    uint64_t n = (uint64_t)(c->timeout_ns / c->spacing_ns) + 2;

    return c->spacing_kind == SESSION_FIXED ? n : n * 2 + 32;
}

/* Twice what is in flight at most, so that answers are recognised for another timeout after they were due. */
static uint64_t ring_size(const struct session_cfg *c)
{
    uint64_t want = in_flight_max(c) * 2;

    return want > RING_MIN ? want : RING_MIN;
}

static uint32_t power_of_two(uint64_t at_least)
{
    uint32_t n = RING_MIN;

    while (n < at_least)
        n *= 2;
    return n;
}

/* The smallest size that the form can have and that is not below `want`; 0: there is none. */
static uint16_t fit_size(const struct form *f, size_t want)
{
    size_t n = form_probe_min(f) > want ? form_probe_min(f) : want;

    while (n <= TEST_DATAGRAM_MAX && !form_size_ok(f, n))
        n++;
    return n <= TEST_DATAGRAM_MAX ? (uint16_t)n : 0;
}

static enum tw_rc set_sizes(struct session *s)
{
    const uint16_t *mix = s->cfg.imix_bytes;

    s->imix = mix[0] || mix[1] || mix[2];
    if (!s->imix) {
        s->size[0] = fit_size(s->form, s->cfg.size_bytes);
        return s->size[0] ? TW_OK : TW_EINVAL;
    }
    for (int i = 0; i < 3; i++) {
        s->size[i] = mix[i] ? fit_size(s->form, mix[i]) : 0;
        if (!s->size[i])
            return TW_EINVAL;
    }
    return TW_OK;
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;

    return m < 0 ? m + b : m;
}

static enum tw_rc allocate(struct session *s, uint64_t ring)
{
    /* Exponential spacing can have more in flight than is to be expected, up to the whole ring. */
    s->delays_max = power_of_two(s->cfg.spacing_kind == SESSION_FIXED ? in_flight_max(&s->cfg) + 1 : ring);
    s->span = (uint32_t)ring;
    s->ring = calloc(ring, sizeof *s->ring);
    s->delays_mask = DELAYS_MIN - 1;
    s->delays = calloc(DELAYS_MIN, sizeof *s->delays);
    if (s->cfg.samples)
        s->samples = calloc(s->cfg.samples, sizeof *s->samples);
    if (!s->ring || !s->delays || (s->cfg.samples && !s->samples))
        return TW_ENOMEM;
    return lossdir_new(power_of_two(ring), s->cfg.reflector_stateful, &s->lossdir);
}

static bool is_run(const struct session *s)
{
    return s->cfg.start_ns || s->cfg.stop_ns;
}

static enum tw_rc begin(struct session *s, struct tw_now now)
{
    int64_t from_ns = now.wall.ns;

    s->next_seq = s->head_seq = s->cfg.seq_start;
    s->rng = s->padding_seed = s->cfg.seed;
    s->err_est = tw_errest_encode(0, false, false);
    s->last = now;
    s->offset_ns = now.wall.ns - now.mono.ns;
    if (s->cfg.start_ns > now.wall.ns)
        from_ns = s->cfg.start_ns;
    from_ns += floor_mod(s->cfg.phase_ns - from_ns, s->cfg.spacing_ns);
    s->due.ns = from_ns - s->offset_ns;
    s->stop = s->cfg.stop_ns ? (struct tw_mono){ s->cfg.stop_ns - s->offset_ns } : TW_MONO_NEVER;
    if (s->due.ns >= s->stop.ns)
        return TW_ERANGE;
    s->gap_ns = session_first_gap(s);
    return session_open_first(s, is_run(s) ? (struct tw_now){ s->due, { from_ns } } : now);
}

enum tw_rc session_new(const struct session_cfg *cfg, struct form *form, struct tw_now now,
                       struct session **ret)
{
    struct session *s;
    uint64_t ring;
    enum tw_rc rc;

    if (!is_cfg_ok(cfg) || (ring = ring_size(cfg)) > RING_MAX)
        return TW_EINVAL;
    s = calloc(1, sizeof *s);
    if (!s)
        return TW_ENOMEM;
    s->cfg = *cfg;
    s->form = form;
    rc = form ? TW_OK : form_new(NULL, &s->form);
    if (!rc)
        rc = set_sizes(s);
    if (!rc)
        rc = allocate(s, ring);
    if (!rc)
        rc = begin(s, now);
    if (rc) {
        if (form) /* it stays the caller's */
            s->form = NULL;
        session_free(s);
        return rc;
    }
    *ret = s;
    return TW_OK;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n_periods; i++)
        session_free_period(s->periods[(s->first + i) % PERIODS]);
    lossdir_free(s->lossdir);
    form_free(s->form);
    if (s->waiting)
        free(s->waiting->samples);
    free(s->waiting);
    free(s->samples);
    free(s->delays);
    free(s->ring);
    free(s);
}

bool session_form_fits(const struct session *s, const struct form *form)
{
    for (int i = 0; i < (s->imix ? 3 : 1); i++)
        if (!form_size_ok(form, s->size[i]))
            return false;
    return true;
}

enum tw_rc session_set_form(struct session *s, struct form *form)
{
    if (!session_form_fits(s, form))
        return TW_EINVAL;
    form_free(s->form);
    s->form = form;
    return TW_OK;
}

const struct session_cfg *session_config(const struct session *s)
{
    return &s->cfg;
}

void session_set_generation(struct session *s, uint64_t generation)
{
    s->cfg.generation = generation;
    for (unsigned i = s->n_closed; i < s->n_periods; i++)
        s->periods[(s->first + i) % PERIODS]->sum.generation = generation;
}

void session_end_sending(struct session *s, struct tw_now now)
{
    struct period *p = session_current(s);
    int64_t end = now.wall.ns;

    s->stopped = true;
    s->finished = false;
    s->due = TW_MONO_NEVER;
    if (p && now.mono.ns < p->start.ns) { /* before its first probe: there is nothing to tell */
        session_drop_current(s);
    } else if (p && !p->ended) {
        if (p->sum.sent && p->last_sent.ns >= now.mono.ns) /* [start, end) holds the last probe too */
            end++;
        session_end_current(s, end, now.mono);
    }
}

void session_stop(struct session *s, struct tw_now now)
{
    if (s->stopped)
        return;
    session_tick(s, now, now.mono);
    if (!s->stopped)
        session_end_sending(s, now);
    session_close_ready(s, now.mono);
}

void session_flush(struct session *s, struct tw_now now)
{
    session_stop(s, now);
    for (uint32_t seq = s->head_seq; seq != s->next_seq; seq++) {
        struct slot *p = slot_at(s, seq);
        struct period *period = session_period_of(s, p->period);
        session_window_resolve(s, p);
        if (p->state != SLOT_SENT)
            continue;
        p->state = SLOT_EMPTY;
        s->totals.sent--;
        if (!period)
            continue;
        period->sum.sent--;
        hist_reset(&period->sum.send_lateness); /* which of the values were theirs is not known */
    }
    s->head_seq = s->next_seq;
    session_close_all(s);
}

bool session_done(const struct session *s)
{
    return s->stopped && !s->n_periods;
}

void session_totals(const struct session *s, struct session_totals *ret)
{
    *ret = s->totals;
    ret->in_flight = s->totals.sent - s->totals.received - s->totals.lost;
}

uint64_t session_summaries_lost(const struct session *s)
{
    return s->summaries_lost;
}

void session_on_host_drops(struct session *s, uint64_t n)
{
    struct period *p = session_current(s);

    if (p)
        p->sum.host_drops += n;
    s->windows.dropped = s->last.mono;
}
