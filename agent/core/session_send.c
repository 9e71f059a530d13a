/* agent/core/session_send.c - when a probe is due, how long it is, and what is in it. */
#include "agent/core/session_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "common/splitmix.h"

/* Exponential spacing: behind by more than this many means, the rest is estimated. */
#define MAX_DRAWS 1024
/* So long after the end of a run its last probe is not sent any more. */
#define RUN_LATE_NS TW_NS_PER_S

/* ---- Pacing ---- */

/* RFC 2330 section 11.1.1: exponentially distributed intervals make a Poisson stream. */
static int64_t next_interval(struct session *s)
{
    double u;

    if (s->cfg.spacing_kind == SESSION_FIXED)
        return s->cfg.spacing_ns;
    u = ((double)(tw_splitmix64(&s->rng) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    return (int64_t)(-log(u) * (double)s->cfg.spacing_ns) + 1;
}

int64_t session_first_gap(struct session *s)
{
    return next_interval(s);
}

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

/* Steps over the sending times before `limit` that another one, not later than now, has replaced. The last one
 * of a run has none that could. */
void session_skip_before(struct session *s, struct tw_mono limit, struct tw_mono now)
{
    struct tw_mono from;
    uint64_t n;

    if (s->stop.ns < TW_MONO_NEVER.ns && s->stop.ns - s->gap_ns < limit.ns)
        limit.ns = s->stop.ns - s->gap_ns;
    if (s->stopped || s->due.ns >= limit.ns || now.ns - s->due.ns < s->gap_ns)
        return;
    from = s->due;
    n = s->cfg.spacing_kind == SESSION_FIXED ? skip_fixed(s, limit, now) : skip_random(s, limit, now);
    count_skipped(s, n);
    session_window_skipped(s, from, (struct tw_mono){ s->due.ns - s->cfg.spacing_ns }, n);
}

void session_settle_probe(struct session *s)
{
    const struct slot *p = slot_at_const(s, s->next_seq - 1);
    struct period *period = session_period_of(s, p->period);

    if (!s->lateness_open)
        return;
    s->lateness_open = false;
    session_window_sent(s, p->t1_wall.ns);
    if (period)
        hist_add(&period->sum.send_lateness, s->lateness_ns);
}

/* ---- Probes ---- */

/* session.h: imix_bytes */
static const uint8_t imix_order[12] = { 0, 1, 0, 0, 1, 0, 2, 0, 1, 0, 1, 0 };

uint16_t session_size_of(const struct session *s, uint32_t seq)
{
    return s->size[s->imix ? imix_order[(s->numbered - (s->next_seq - seq)) % TW_NELEM(imix_order)] : 0];
}

static void fill_padding(const struct session *s, uint8_t *p, size_t n)
{
    uint64_t state = s->padding_seed, word;

    if (s->cfg.zero_padding) {
        memset(p, 0, n);
        return;
    }
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        word = tw_splitmix64(&state);
        memcpy(p, &word, sizeof word);
    }
    word = tw_splitmix64(&state);
    memcpy(p, &word, n);
}

static enum tw_rc write_probe(struct session *s, struct tw_wall t1, uint8_t *buf, size_t len)
{
    struct test_probe p = { .seq = s->next_seq, .t1 = tw_wall_to_ntp(t1), .err_est = s->err_est };
    size_t at = form_padding_at(s->form);

    if (at < len)
        fill_padding(s, buf + at, len - at);
    return form_write_probe(s->form, &p, buf, len);
}

/* For one more in flight. Without memory for it, the answers that come far out of order are not compared with
 * their neighbours. */
static void fit_delays(struct session *s)
{
    uint32_t want = s->next_seq - session_oldest_awaited(s) + 1, n = s->delays_mask + 1;
    struct delays *d;

    while (n < want && n < s->delays_max)
        n *= 2;
    if (n == s->delays_mask + 1 || !(d = malloc(n * sizeof *d)))
        return;
    /* The newest has none yet: in its place are those of one more. */
    for (uint32_t i = 2; i <= s->delays_mask + 2; i++)
        d[(s->next_seq - i) & (n - 1)] = *delays_at(s, s->next_seq - i);
    for (uint32_t i = s->delays_mask + 3; i <= n && is_remembered(s, s->next_seq - i); i++)
        slot_at(s, s->next_seq - i)->timed = false; /* they are lost */
    free(s->delays);
    s->delays = d;
    s->delays_mask = n - 1;
}

static void note_sent(struct session *s, struct tw_now now, struct period *p)
{
    if (!p->sum.sent)
        p->sum.seq_first = s->next_seq;
    p->sum.sent++;
    p->last_sent = now.mono;
    session_settle_old(s);
    *slot_at(s, s->next_seq) =
        (struct slot){ .t1_wall = now.wall, .t1_mono = now.mono, .period = p->id, .state = SLOT_SENT };
    if (s->flight)
        flight_sent(s->flight, s->next_seq, now.wall);
    s->next_seq++;
    s->next_at = s->next_at + 1 < s->span ? s->next_at + 1 : 0;
    s->numbered++;
    fit_delays(s);
    s->totals.sent++;
    s->attempts++;
    s->finished = (s->cfg.count && s->attempts >= s->cfg.count) || s->due.ns >= s->stop.ns;
}

enum tw_rc session_next_probe(struct session *s, struct tw_now now, uint8_t *buf, size_t cap, size_t *ret_len)
{
    struct period *p;
    uint16_t size;
    enum tw_rc rc;

    session_tick(s, now, now.mono);
    if (s->stopped || now.mono.ns < s->due.ns)
        return TW_EAGAIN;
    size = session_size_of(s, s->next_seq);
    if (cap < size)
        return TW_ETRUNC;
    session_skip_before(s, (struct tw_mono){ INT64_MAX }, now.mono);
    if (now.mono.ns < s->due.ns)
        return TW_EAGAIN;
    s->lateness_ns = now.mono.ns - s->due.ns;
    advance_due(s);
    p = session_current(s);
    /* No room to remember it, or its run has long been over. */
    if (s->next_seq - s->head_seq >= s->span || now.mono.ns - RUN_LATE_NS >= s->stop.ns) {
        count_skipped(s, 1);
        session_window_failed(s, now.wall.ns);
        s->finished = s->due.ns >= s->stop.ns;
        return TW_EAGAIN;
    }
    rc = write_probe(s, now.wall, buf, size);
    s->lateness_open = true;
    note_sent(s, now, p);
    if (rc) { /* a fault of libcrypto */
        session_on_send_error(s);
        return TW_EAGAIN;
    }
    *ret_len = size;
    return TW_OK;
}

void session_on_send_error(struct session *s)
{
    struct slot *newest = slot_at(s, s->next_seq - 1);
    struct period *p = session_period_of(s, newest->period);

    if (!s->lateness_open || newest->state != SLOT_SENT)
        return;
    session_add_sample(s, SAMPLE_SEND_ERROR, s->next_seq - 1, newest);
    if (s->flight)
        flight_not_sent(s->flight);
    s->lateness_open = false;
    session_window_failed(s, newest->t1_wall.ns);
    newest->state = SLOT_EMPTY;
    s->next_seq--;
    s->next_at = (s->next_at ? s->next_at : s->span) - 1;
    s->numbered--;
    s->totals.sent--;
    s->totals.send_errors++;
    if (p) {
        p->sum.sent--;
        p->sum.send_errors++;
    }
}

struct tw_mono session_next_due(const struct session *s)
{
    struct tw_mono due = session_close_due(s), settle = session_settle_at(s);

    if (s->n_closed || s->finished)
        return s->last.mono;
    if (settle.ns < due.ns)
        due = settle;
    return due.ns < s->due.ns ? due : s->due;
}

struct tw_mono session_next_probe_due(const struct session *s)
{
    return s->finished ? TW_MONO_NEVER : s->due;
}
