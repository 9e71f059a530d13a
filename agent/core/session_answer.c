/* agent/core/session_answer.c - what an answer means. */
#include "agent/core/session_priv.h"

#include <math.h>
#include <stdlib.h>

static enum tw_rc reject(struct session *s, enum tw_rc rc)
{
    struct period *p = session_current(s);

    s->totals.rejected++;
    s->totals.auth_failed += rc == TW_EPERM;
    if (p)
        p->sum.rejected++;
    return rc;
}

/* ---- Delays, RFC 7679, RFC 2681, RFC 3393, RFC 3550 ---- */

struct times {
    int64_t forward, backward, residence;
};

static bool read_stamp(uint64_t wire, bool ptp, struct tw_wall near, int64_t *ret_ns)
{
    struct tw_wall t = { 0 };

    if (!ptp)
        t = tw_wall_from_ntp(wire, near);
    else if (tw_wall_from_ptp(wire, near, &t))
        return false;
    *ret_ns = t.ns;
    return true;
}

static bool read_stamps(const struct test_reply *a, struct tw_wall near, int64_t *ret_t2, int64_t *ret_t3)
{
    bool synced, ptp = false;
    int64_t error;

    tw_errest_decode(a->err_est, &error, &synced, &ptp);
    return read_stamp(a->t2, ptp, near, ret_t2) && read_stamp(a->t3, ptp, near, ret_t3);
}

/* False when the times contradict each other. */
static bool compute_times(const struct session *s, const struct slot *p, const struct session_rx *rx,
                          bool in_future, const struct test_reply *a, struct times *ret)
{
    int64_t t2, t3;

    if (in_future || !read_stamps(a, rx->time, &t2, &t3))
        return false;
    *ret = (struct times){ t2 - p->t1_wall.ns, rx->time.ns - t3, t3 - t2 };
    if (llabs(p->t1_wall.ns - p->t1_mono.ns - s->offset_ns) > SKEW_NS)
        return false;
    return ret->residence >= 0 && ret->forward + ret->backward >= 0;
}

static void add_jitter(struct session *s, struct tw_summary *sum, const int64_t d[3])
{
    for (int i = 0; i < 3; i++) {
        if (s->jitter_ready) {
            s->jitter[i] += (fabs((double)(d[i] - s->jitter_last[i])) - s->jitter[i]) / 16;
            sum->jitter[i].ewma_n++;
            if (__builtin_add_overflow(sum->jitter[i].ewma_sum_ns, llrint(s->jitter[i]),
                                       &sum->jitter[i].ewma_sum_ns))
                sum->jitter[i].ewma_sum_ns = INT64_MAX;
        }
        s->jitter_last[i] = d[i];
    }
    s->jitter_ready = true;
}

/* The pair (seq - 1, seq) belongs to the period of the later one. */
static void add_ipdv(struct session *s, uint32_t seq)
{
    const struct slot *earlier = slot_at(s, seq - 1), *later = slot_at(s, seq);
    const struct delays *from = delays_at(s, seq - 1), *to = delays_at(s, seq);
    struct period *period = session_period_of(s, later->period);
    int64_t d[3] = { to->forward - from->forward, to->backward - from->backward };

    /* Across a step of the clock the one-way difference would be the step. */
    if (!period || llabs((later->t1_wall.ns - later->t1_mono.ns) -
                         (earlier->t1_wall.ns - earlier->t1_mono.ns)) > SKEW_NS)
        return;
    d[2] = d[0] + d[1];
    for (int i = 0; i < 3; i++) {
        struct tw_jitter *j = &period->sum.jitter[i];
        j->ipdv_n++;
        if (__builtin_add_overflow(j->ipdv_abs_sum_ns, llabs(d[i]), &j->ipdv_abs_sum_ns))
            j->ipdv_abs_sum_ns = INT64_MAX;
    }
}

static bool has_delay(const struct session *s, uint32_t seq)
{
    const struct slot *p;

    if (!is_remembered(s, seq) || s->next_seq - 1 - seq > s->delays_mask)
        return false;
    p = slot_at_const(s, seq);
    return p->state == SLOT_RECEIVED && p->timed;
}

static void pair_with_neighbours(struct session *s, uint32_t seq)
{
    if (has_delay(s, seq - 1))
        add_ipdv(s, seq);
    if (has_delay(s, seq + 1))
        add_ipdv(s, seq + 1);
}

static void add_delays(struct session *s, uint32_t seq, struct slot *p, struct tw_summary *sum,
                       const struct times *t)
{
    int64_t d[3] = { t->forward, t->backward, t->forward + t->backward };

    p->timed = true;
    *delays_at(s, seq) = (struct delays){ t->forward, t->backward };
    pair_with_neighbours(s, seq);
    if (!sum)
        return;
    for (int i = 0; i < 3; i++)
        hist_add(&sum->delay[i], d[i]);
    add_jitter(s, sum, d);
    if (__builtin_add_overflow(sum->residence_sum_ns, t->residence, &sum->residence_sum_ns))
        sum->residence_sum_ns = INT64_MAX;
    if (t->residence > sum->residence_max_ns)
        sum->residence_max_ns = t->residence;
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
    struct tw_clock_state c = { 0 };
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

struct answer {
    const struct session_rx *rx;
    size_t len;
    struct test_reply reply;
    struct stamp_tlv_seen tlvs;
    bool in_future;
};

static void keep_sample(struct session *s, enum sample_kind kind, uint32_t seq, const struct slot *p,
                        const struct answer *a)
{
    struct session_sample *m = session_add_sample(s, kind, seq, p);
    struct times t = { 0 };

    if (!m)
        return;
    m->timed = compute_times(s, p, a->rx, a->in_future, &a->reply, &t);
    m->forward_ns = t.forward;
    m->backward_ns = t.backward;
    read_stamps(&a->reply, a->rx->time, &m->t2.ns, &m->t3.ns);
    m->t4 = a->rx->time;
    m->reflector_seq = a->reply.seq;
    m->ttl_forward = a->reply.ttl_known ? a->reply.sender_ttl : -1;
    m->tos_forward = a->reply.tos_known ? a->reply.sender_tos : -1;
    m->ttl_backward = a->rx->ttl;
    m->tos_backward = a->rx->tos;
    m->reply_bytes = (uint16_t)a->len;
    m->err_est = a->reply.err_est;
    m->ssid = a->reply.ssid;
    m->tlvs = a->tlvs;
}

static void record_answer(struct session *s, enum sample_kind kind, uint32_t seq, const struct slot *p,
                          const struct answer *a)
{
    struct times t = { 0 };
    struct flight_answer f = { .timed = compute_times(s, p, a->rx, a->in_future, &a->reply, &t),
                               .forward_ns = t.forward,
                               .backward_ns = t.backward,
                               .residence_ns = t.residence,
                               .ttl_forward = a->reply.ttl_known ? a->reply.sender_ttl : -1,
                               .ttl_backward = a->rx->ttl,
                               .tos_forward = a->reply.tos_known ? a->reply.sender_tos : -1,
                               .tos_backward = a->rx->tos,
                               .tx_source = TW_TS_USER,
                               .rx_source = a->rx->source };

    flight_answered(s->flight, seq, kind == SAMPLE_LATE, &f);
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
        record_answer(s, kind, seq, p, a);
}

static void on_first(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct period *period = session_period_of(s, p->period);
    struct times t;

    p->state = SLOT_RECEIVED;
    p->answered = true;
    p->r = a->reply.seq;
    s->totals.received++;
    session_order(s, seq, p, period, lossdir_seen(s->lossdir, seq - s->cfg.seq_start, p->r, false));
    if (period) {
        period->sum.received++;
        add_attributes(period, a->rx, &a->reply);
    }
    if (compute_times(s, p, a->rx, a->in_future, &a->reply, &t))
        add_delays(s, seq, p, period ? &period->sum : NULL, &t);
    else if (period)
        period->sum.invalid_time++;
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
        note_outcome(s, SAMPLE_RECEIVED, seq, p, a);
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
    on_answer(s, seq, p, &a);
    session_advance(s, at);
    session_close_ready(s, at);
    return TW_OK;
}
