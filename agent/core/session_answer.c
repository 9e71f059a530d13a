/* agent/core/session_answer.c - what an answer means. */
#include "agent/core/session_priv.h"

static enum tw_rc reject(struct session *s, enum tw_rc rc)
{
    struct period *p = session_current(s);

    s->totals.rejected++;
    s->totals.auth_failed += rc == TW_EPERM;
    if (p)
        p->sum.rejected++;
    return rc;
}

/* ---- What else an answer carries ---- */

static void add_octet(struct tw_octet_range *o, uint8_t *last, int value)
{
    uint8_t v = (uint8_t)value;

    if (value < 0)
        return;
    if (!o->n || v < o->min)
        o->min = v;
    if (!o->n || v > o->max)
        o->max = v;
    if (o->n && v != *last)
        o->changes++;
    o->n++;
    *last = v;
}

static void add_remote_clock(struct tw_summary *sum, uint16_t err_est)
{
    struct tw_clock_state c = { .steps = sum->clock_remote.steps };
    bool ptp;

    if (tw_errest_decode(err_est, &c.max_error_ns, &c.synced, &ptp))
        return;
    if (sum->clock_remote_known) { /* the worst of the period */
        c.synced = c.synced && sum->clock_remote.synced;
        if (sum->clock_remote.max_error_ns > c.max_error_ns)
            c.max_error_ns = sum->clock_remote.max_error_ns;
    }
    sum->clock_remote_known = true;
    sum->clock_remote = c;
}

static void add_source(struct tw_summary *sum, enum tw_ts_source source)
{
    if (sum->rx_source == TW_TS_UNKNOWN)
        sum->rx_source = source;
    else if (sum->rx_source != source)
        sum->rx_source = TW_TS_MIXED;
    sum->rx_user_time += source == TW_TS_USER;
}

static void add_attributes(struct period *p, const struct session_rx *rx, const struct test_reply *a)
{
    add_octet(&p->sum.ttl_forward, &p->last_ttl_forward, a->ttl_known ? a->sender_ttl : -1);
    add_octet(&p->sum.ttl_backward, &p->last_ttl_backward, rx->ttl);
    add_octet(&p->sum.tos_forward, &p->last_tos_forward, a->tos_known ? a->sender_tos : -1);
    add_octet(&p->sum.tos_backward, &p->last_tos_backward, rx->tos);
    add_remote_clock(&p->sum, a->err_est);
    add_source(&p->sum, rx->source);
}

/* ---- Answers ---- */

static void keep_sample(struct session *s, enum sample_kind kind, uint32_t seq, const struct slot *p,
                        const struct answer *a)
{
    struct session_sample *m = session_add_sample(s, kind, seq, p);

    if (m)
        session_fill_sample(s, m, p, a);
}

/* For those who look at single probes. */
static void note_outcome(struct session *s, enum sample_kind kind, uint32_t seq, const struct slot *p,
                         const struct answer *a)
{
    keep_sample(s, kind, seq, p, a);
    if (!s->flight)
        return;
    if (kind == SAMPLE_DUPLICATE)
        flight_duplicate(s->flight, seq);
    else
        session_record_answer(s, kind == SAMPLE_LATE, seq, p, a);
}

static void on_first(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct period *period = session_period_of(s, p->period);
    enum lossdir_seen seen;

    p->state = SLOT_RECEIVED;
    p->answered = true;
    p->r = a->reply.seq;
    s->totals.received++;
    seen = lossdir_seen(s->lossdir, seq - s->cfg.seq_start, p->r, false);
    if (seen == LOSSDIR_RESTART) /* it does not know any more when it sent those before */
        session_settle_all(s);
    session_order(s, seq, p, period, seen);
    if (period) {
        period->sum.received++;
        add_attributes(period, a->rx, &a->reply);
    }
    session_take_times(s, seq, p, a);
}

static void on_late(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct period *period = session_period_for(s, p);

    p->answered = true;
    p->r = a->reply.seq;
    session_overtaken_late(s, seq, p);
    s->totals.late++;
    if (period)
        period->sum.late++;
}

/* RFC 5560. The reflector gives each copy of a probe its own number. */
static void on_duplicate(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct period *period = session_period_for(s, p);
    bool repeat = a->reply.seq == p->r;

    if (p->state == SLOT_RECEIVED &&
        lossdir_seen(s->lossdir, seq - s->cfg.seq_start, a->reply.seq, true) == LOSSDIR_REPEAT)
        repeat = true;
    s->totals.duplicates++;
    if (!period)
        return;
    if (!lossdir_is_stateful(s->lossdir))
        period->sum.duplicates_unknown++;
    else if (repeat)
        period->sum.duplicates_backward++;
    else
        period->sum.duplicates_forward++;
}

/* When the datagram arrived, by the monotonic clock: it may have waited in the socket buffer. */
static struct tw_mono arrival(struct tw_now now, const struct session_rx *rx, bool *ret_in_future)
{
    int64_t age;

    *ret_in_future = __builtin_sub_overflow(now.wall.ns, rx->time.ns, &age) || age < -STEP_NS;
    if (*ret_in_future || __builtin_sub_overflow(now.mono.ns, age, &age))
        return now.mono;
    return (struct tw_mono){ age };
}

static void on_answer(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    if (p->state == SLOT_SENT) {
        on_first(s, seq, p, a);
    } else if (!p->answered) {
        on_late(s, seq, p, a);
        note_outcome(s, SAMPLE_LATE, seq, p, a);
    } else {
        on_duplicate(s, seq, p, a);
        note_outcome(s, SAMPLE_DUPLICATE, seq, p, a);
    }
}

enum tw_rc session_on_reply(struct session *s, struct tw_now now, const struct session_rx *rx,
                            const uint8_t *data, size_t len)
{
    struct answer a;
    struct tw_mono at = arrival(now, rx, &a.in_future);
    struct slot *p;
    uint32_t seq;
    enum tw_rc rc;

    session_tick(s, now, at);
    rc = form_read_reply(s->form, data, len, &a.reply, &a.tlvs);
    if (rc)
        return reject(s, rc);
    seq = a.reply.sender_seq;
    if (!is_remembered(s, seq))
        return reject(s, TW_EINVAL);
    p = slot_at(s, seq);
    if (p->state == SLOT_EMPTY || tw_wall_to_ntp(p->t1_wall) != a.reply.sender_t1)
        return reject(s, TW_EINVAL);
    a.rx = rx;
    a.len = len;
    a.at = at;
    session_take_follow_up(s, &a);
    on_answer(s, seq, p, &a);
    session_advance(s, at);
    session_close_ready(s, at);
    return TW_OK;
}
