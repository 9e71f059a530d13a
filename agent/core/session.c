/* agent/core/session.c - life of a session, when a probe is due, and probes. */
#include "agent/core/session_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

#define RING_MIN 16
#define RING_MAX (UINT64_C(1) << 20)
/* Exponential spacing: behind by more than this many means, the rest is estimated. */
#define MAX_DRAWS 1024

/* ---- Random numbers: splitmix64, enough for spacing and padding ---- */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* RFC 2330 section 11.1.1: exponentially distributed intervals make a Poisson stream. */
static int64_t next_interval(struct session *s)
{
    double u;

    if (s->cfg.spacing_kind == SESSION_FIXED)
        return s->cfg.spacing_ns;
    u = ((double)(next_random(&s->rng) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    return (int64_t)(-log(u) * (double)s->cfg.spacing_ns) + 1;
}

/* ---- Life ---- */

static bool is_cfg_ok(const struct session_cfg *c)
{
    return c->spacing_ns > 0 && c->spacing_ns <= INT64_MAX / 64 && c->size_bytes <= TEST_DATAGRAM_MAX &&
           c->dscp < 64 && c->timeout_ns > 0 && c->timeout_ns <= c->report_period_ns &&
           c->report_period_ns <= 86400 * TW_NS_PER_S * 366 && c->phase_ns >= 0 &&
           c->phase_ns < c->spacing_ns &&
           (c->spacing_kind == SESSION_FIXED || c->spacing_kind == SESSION_EXPONENTIAL);
}

/* Twice what is in flight at most, so that answers are recognised for another timeout after they were due. */
static uint64_t ring_size(const struct session_cfg *c)
{
    uint64_t in_flight = (uint64_t)(c->timeout_ns / c->spacing_ns) + 2;
    uint64_t want = c->spacing_kind == SESSION_FIXED ? in_flight * 2 : in_flight * 4 + 64;
    uint64_t n = RING_MIN;

    while (n < want)
        n *= 2;
    return n;
}

static int64_t floor_mod(int64_t a, int64_t b)
{
    int64_t m = a % b;

    return m < 0 ? m + b : m;
}

static enum tw_rc reserve_histograms(struct session *s)
{
    for (unsigned i = 0; i < PERIODS; i++) {
        struct tw_summary *sum = &s->periods[i].sum;
        enum tw_rc rc = hist_reserve(&sum->send_lateness, HIST_ROOM_MIN);
        for (int d = 0; !rc && d < 3; d++)
            rc = hist_reserve(&sum->delay[d], HIST_ROOM_MIN);
        if (rc)
            return rc;
    }
    return TW_OK;
}

static enum tw_rc allocate(struct session *s, uint64_t ring)
{
    enum tw_rc rc;

    for (unsigned i = 0; i < PERIODS; i++)
        summary_init(&s->periods[i].sum);
    s->ring = calloc(ring, sizeof *s->ring);
    if (!s->ring)
        return TW_ENOMEM;
    rc = lossdir_new((uint32_t)ring, s->cfg.reflector_stateful, &s->lossdir);
    return rc ? rc : reserve_histograms(s);
}

enum tw_rc session_new(const struct session_cfg *cfg, struct form *form, struct tw_now now,
                       struct session **ret)
{
    struct session *s;
    uint64_t ring;
    enum tw_rc rc;

    if (form || !is_cfg_ok(cfg) || (ring = ring_size(cfg)) > RING_MAX)
        return TW_EINVAL;
    s = calloc(1, sizeof *s);
    if (!s)
        return TW_ENOMEM;
    s->cfg = *cfg;
    if (s->cfg.size_bytes < TWAMP_PROBE_MIN)
        s->cfg.size_bytes = TWAMP_PROBE_MIN;
    rc = allocate(s, ring);
    if (rc) {
        session_free(s);
        return rc;
    }
    s->mask = (uint32_t)(ring - 1);
    s->next_seq = s->head_seq = cfg->seq_start;
    s->rng = s->padding_seed = cfg->seed;
    s->err_est = tw_errest_encode(0, false, false);
    s->last = now;
    s->offset_ns = now.wall.ns - now.mono.ns;
    s->due.ns = now.mono.ns + floor_mod(cfg->phase_ns - now.wall.ns, cfg->spacing_ns);
    s->gap_ns = next_interval(s);
    session_open_first(s, now);
    *ret = s;
    return TW_OK;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < PERIODS; i++)
        summary_free(&s->periods[i].sum);
    lossdir_free(s->lossdir);
    free(s->ring);
    free(s);
}

const struct session_cfg *session_config(const struct session *s)
{
    return &s->cfg;
}

void session_set_generation(struct session *s, uint64_t generation)
{
    s->cfg.generation = generation;
    for (unsigned i = s->n_closed; i < s->n_periods; i++)
        s->periods[(s->first + i) % PERIODS].sum.generation = generation;
}

void session_set_clock(struct session *s, const struct tw_clock_state *c)
{
    if (s->clock_told && c->steps > s->clock.steps)
        s->steps_told += c->steps - s->clock.steps;
    s->clock_told = true;
    s->clock = *c;
    s->err_est = tw_errest_encode(c->max_error_ns, c->synced, false);
    session_count_steps(s);
}

void session_end_sending(struct session *s, struct tw_now now)
{
    struct period *p = session_current(s);
    int64_t end = now.wall.ns;

    s->stopped = true;
    s->finished = false;
    s->due = TW_MONO_NEVER;
    if (p && !p->ended) {
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
}

/* ---- Pacing ---- */

static void count_skipped(struct session *s, uint64_t n)
{
    struct period *p = session_current(s);

    s->totals.skipped += n;
    if (p)
        p->sum.skipped += n;
}

static void advance_due(struct session *s)
{
    s->due.ns += s->gap_ns;
    s->gap_ns = next_interval(s);
}

/* How many fixed sending times before `limit` are followed by another one that is not later than `now`. */
static uint64_t skip_fixed(struct session *s, struct tw_mono limit, struct tw_mono now)
{
    int64_t replaced = (now.ns - s->due.ns) / s->gap_ns;
    int64_t before = (limit.ns - s->due.ns - 1) / s->gap_ns + 1;
    int64_t n = replaced < before ? replaced : before;

    s->due.ns += n * s->gap_ns;
    return (uint64_t)n;
}

/* So far behind, drawing each of them would stall the thread. */
static uint64_t skip_by_mean(struct session *s, struct tw_mono to)
{
    int64_t n = (to.ns - s->due.ns) / s->cfg.spacing_ns;

    s->due.ns += n * s->cfg.spacing_ns;
    return (uint64_t)n;
}

static uint64_t skip_random(struct session *s, struct tw_mono limit, struct tw_mono now)
{
    uint64_t n = 0;

    for (; s->due.ns < limit.ns && s->gap_ns <= now.ns - s->due.ns; n++) {
        if (n == MAX_DRAWS) {
            n += skip_by_mean(s, limit.ns < now.ns ? limit : now);
            break;
        }
        advance_due(s);
    }
    return n;
}

/* Steps over the sending times before `limit` that another one, not later than now, has replaced. */
void session_skip_before(struct session *s, struct tw_mono limit, struct tw_mono now)
{
    if (s->stopped || s->due.ns >= limit.ns || now.ns - s->due.ns < s->gap_ns)
        return;
    count_skipped(s, s->cfg.spacing_kind == SESSION_FIXED ? skip_fixed(s, limit, now)
                                                          : skip_random(s, limit, now));
}

void session_settle_probe(struct session *s)
{
    const struct slot *p = slot_at_const(s, s->next_seq - 1);
    struct period *period = session_period_of(s, p->period);

    if (!s->lateness_open)
        return;
    s->lateness_open = false;
    if (period)
        hist_add(&period->sum.send_lateness, s->lateness_ns);
}

static void fill_padding(struct session *s, uint8_t *p, size_t n)
{
    uint64_t state = s->padding_seed, word;

    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        word = next_random(&state);
        memcpy(p, &word, sizeof word);
    }
    word = next_random(&state);
    memcpy(p, &word, n);
}

static void note_sent(struct session *s, struct tw_now now, struct period *p)
{
    if (!p->sum.sent)
        p->sum.seq_first = s->next_seq;
    p->sum.sent++;
    p->sum.tx_source = TW_TS_USER;
    p->last_sent = now.mono;
    *slot_at(s, s->next_seq) =
        (struct slot){ .t1_wall = now.wall, .t1_mono = now.mono, .period = p->id, .state = SLOT_SENT };
    s->next_seq++;
    s->totals.sent++;
    s->attempts++;
    s->finished = s->cfg.count && s->attempts >= s->cfg.count;
}

enum tw_rc session_next_probe(struct session *s, struct tw_now now, uint8_t *buf, size_t cap, size_t *ret_len)
{
    struct test_probe probe = { .seq = s->next_seq, .t1 = tw_wall_to_ntp(now.wall), .err_est = s->err_est };
    struct period *p;

    session_tick(s, now, now.mono);
    if (s->stopped || now.mono.ns < s->due.ns)
        return TW_EAGAIN;
    if (cap < s->cfg.size_bytes)
        return TW_ETRUNC;
    session_skip_before(s, (struct tw_mono){ INT64_MAX }, now.mono);
    if (now.mono.ns < s->due.ns)
        return TW_EAGAIN;
    s->lateness_ns = now.mono.ns - s->due.ns;
    advance_due(s);
    p = session_current(s);
    if (s->next_seq - s->head_seq > s->mask) { /* no room to remember it */
        count_skipped(s, 1);
        return TW_EAGAIN;
    }
    twamp_encode_probe(&probe, buf, cap);
    fill_padding(s, buf + TWAMP_PROBE_MIN, (size_t)s->cfg.size_bytes - TWAMP_PROBE_MIN);
    *ret_len = s->cfg.size_bytes;
    s->lateness_open = true;
    note_sent(s, now, p);
    return TW_OK;
}

void session_on_send_error(struct session *s)
{
    struct slot *newest = slot_at(s, s->next_seq - 1);
    struct period *p = session_period_of(s, newest->period);

    if (!s->lateness_open || newest->state != SLOT_SENT)
        return;
    s->lateness_open = false;
    newest->state = SLOT_EMPTY;
    s->next_seq--;
    s->totals.sent--;
    s->totals.send_errors++;
    if (p) {
        p->sum.sent--;
        p->sum.send_errors++;
    }
}

struct tw_mono session_next_due(const struct session *s)
{
    struct tw_mono close = session_close_due(s);

    if (s->n_closed || s->finished)
        return s->last.mono;
    return close.ns < s->due.ns ? close : s->due;
}

struct tw_mono session_next_probe_due(const struct session *s)
{
    return s->finished ? TW_MONO_NEVER : s->due;
}
