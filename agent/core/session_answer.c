/* agent/core/session_answer.c - what an answer means. */
#include "agent/core/session_priv.h"

#include <math.h>
#include <stdlib.h>
#include "agent/core/twamp_pkt.h"

/* How far around an overtaken answer its neighbours are compared with it. */
#define ORDER_SCAN_MAX 1024

static enum tw_rc reject(struct session *s, enum tw_rc rc)
{
    struct period *p = session_current(s);

    s->totals.rejected++;
    if (p)
        p->sum.rejected++;
    return rc;
}

/* The probe's own period while it is open, else the current one. */
static struct period *period_for(struct session *s, const struct slot *p)
{
    struct period *period = session_period_of(s, p->period);

    return period ? period : session_current(s);
}

/* ---- Order, RFC 4737. Only first answers in time take part. ---- */

static void count_overtaken(struct session *s, struct slot *p)
{
    struct period *period = period_for(s, p);

    p->overtaken = true;
    if (period)
        period->sum.reordered_forward++;
}

static bool is_numbered(const struct session *s, uint32_t seq, const struct slot *p)
{
    return p->state == SLOT_RECEIVED && (int32_t)(seq - s->s_numbered_from) >= 0;
}

/* The answer came out of order, so probes on both sides of it are known whose order at the reflector its
 * number now tells: those sent later but numbered lower overtook it; those sent before and numbered higher
 * were overtaken by it. */
static void compare_neighbours(struct session *s, uint32_t seq, struct slot *p)
{
    uint32_t later = s->s_max_numbered - seq, earlier = s->mask - (s->next_seq - 1 - seq);

    if ((int32_t)later < 0)
        later = 0;
    for (uint32_t i = later < ORDER_SCAN_MAX ? later : ORDER_SCAN_MAX; i > 0; i--) {
        const struct slot *q = slot_at(s, seq + i);
        if (is_numbered(s, seq + i, q) && (int32_t)(q->r - p->r) < 0) {
            count_overtaken(s, p);
            lossdir_overtaken(s->lossdir, i);
            break;
        }
    }
    for (uint32_t i = 1; i <= earlier && i <= ORDER_SCAN_MAX; i++) {
        struct slot *q = slot_at(s, seq - i);
        if (!is_numbered(s, seq - i, q) || (int32_t)(q->r - p->r) <= 0)
            continue;
        if (!q->overtaken)
            count_overtaken(s, q);
        lossdir_overtaken(s->lossdir, i);
    }
}

/* A late answer takes no part in order, but its number may say that the probe was overtaken on the way out,
 * by so much that it counted as lost: the probes lose their order further than those in time show. */
static void tell_overtaken_late(struct session *s, uint32_t seq, const struct slot *p)
{
    uint32_t later = s->s_max_numbered - seq;

    if (!s->any_number || (int32_t)later <= 0 || (int32_t)(seq - s->s_numbered_from) < 0)
        return;
    for (uint32_t i = later < ORDER_SCAN_MAX ? later : ORDER_SCAN_MAX; i > 0; i--) {
        const struct slot *q = slot_at(s, seq + i);
        if (is_numbered(s, seq + i, q) && (int32_t)(q->r - p->r) < 0) {
            lossdir_overtaken(s->lossdir, i);
            return;
        }
    }
}

static void start_numbers(struct session *s, uint32_t seq, uint32_t r, uint32_t from)
{
    s->any_number = true;
    s->r_max = r;
    s->s_max_numbered = seq;
    s->s_numbered_from = from;
}

/* By the reflector's numbers: order on the way out, and of the answers on the way back. */
static void order_by_number(struct session *s, uint32_t seq, struct slot *p, struct period *period)
{
    if ((int32_t)(p->r - s->r_max) < 0) {
        if (period && lossdir_is_stateful(s->lossdir)) /* else the number is the probe's own */
            period->sum.reordered_backward++;
        compare_neighbours(s, seq, p);
    } else {
        s->r_max = p->r;
        if ((int32_t)(seq - s->s_max_numbered) < 0) {
            count_overtaken(s, p);
            lossdir_overtaken(s->lossdir, s->s_max_numbered - seq);
        }
    }
    if ((int32_t)(seq - s->s_max_numbered) > 0)
        s->s_max_numbered = seq;
}

static void order(struct session *s, uint32_t seq, struct slot *p, struct period *period,
                  enum lossdir_seen seen)
{
    if (!s->any_answer || (int32_t)(seq - s->s_max) > 0)
        s->s_max = seq;
    else if (period)
        period->sum.reordered_roundtrip++;
    s->any_answer = true;
    if ((int32_t)(seq - s->s_numbered_from) > INT32_MAX / 2) /* before it looks like one yet to come */
        s->s_numbered_from = seq - s->mask;

    if (!s->any_number || seen == LOSSDIR_RESTART) {
        start_numbers(s, seq, p->r, seen == LOSSDIR_RESTART ? seq : s->cfg.seq_start);
    } else if (seen == LOSSDIR_NEW) {
        order_by_number(s, seq, p, period);
    }
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

/* False when the times contradict each other. */
static bool compute_times(const struct session *s, const struct slot *p, const struct session_rx *rx,
                          bool in_future, const struct test_reply *a, struct times *ret)
{
    bool synced, ptp = false;
    int64_t error, t2, t3;

    tw_errest_decode(a->err_est, &error, &synced, &ptp);
    if (in_future || !read_stamp(a->t2, ptp, rx->time, &t2) || !read_stamp(a->t3, ptp, rx->time, &t3))
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

/* The pair (earlier, later) of consecutive numbers belongs to the period of the later one. */
static void add_ipdv(struct session *s, const struct slot *earlier, const struct slot *later)
{
    struct period *period = session_period_of(s, later->period);
    int64_t d[3] = { later->forward - earlier->forward, later->backward - earlier->backward };

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

static bool has_delay(const struct slot *p)
{
    return p->state == SLOT_RECEIVED && p->timed;
}

static void pair_with_neighbours(struct session *s, uint32_t seq, const struct slot *p)
{
    const struct slot *before = slot_at(s, seq - 1), *after = slot_at(s, seq + 1);

    /* The ring holds [next_seq - mask - 1, next_seq). */
    if (s->next_seq - seq <= s->mask && has_delay(before))
        add_ipdv(s, before, p);
    if (seq + 1 != s->next_seq && has_delay(after))
        add_ipdv(s, p, after);
}

static void add_delays(struct session *s, uint32_t seq, struct slot *p, struct tw_summary *sum,
                       const struct times *t)
{
    int64_t d[3] = { t->forward, t->backward, t->forward + t->backward };

    p->timed = true;
    p->forward = t->forward;
    p->backward = t->backward;
    pair_with_neighbours(s, seq, p);
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
    add_octet(&p->sum.tos_backward, &p->last_tos_backward, rx->tos);
    add_remote_clock(&p->sum, a->err_est);
    add_source(&p->sum, rx->source);
}

/* ---- Answers ---- */

struct answer {
    const struct session_rx *rx;
    struct test_reply reply;
    bool in_future;
};

static void on_first(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct period *period = session_period_of(s, p->period);
    struct times t;

    p->state = SLOT_RECEIVED;
    p->answered = true;
    p->r = a->reply.seq;
    s->totals.received++;
    order(s, seq, p, period, lossdir_seen(s->lossdir, seq - s->cfg.seq_start, p->r, false));
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
    struct period *period = period_for(s, p);

    p->answered = true;
    p->r = a->reply.seq;
    tell_overtaken_late(s, seq, p);
    s->totals.late++;
    if (period)
        period->sum.late++;
}

/* RFC 5560. The reflector gives each copy of a probe its own number. */
static void on_duplicate(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct period *period = period_for(s, p);
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

enum tw_rc session_on_reply(struct session *s, struct tw_now now, const struct session_rx *rx,
                            const uint8_t *data, size_t len)
{
    struct answer a = { .rx = rx };
    struct tw_mono at = arrival(now, rx, &a.in_future);
    struct slot *p;
    uint32_t seq;
    enum tw_rc rc;

    session_tick(s, now, at);
    rc = twamp_decode_reply(data, len, &a.reply);
    if (rc)
        return reject(s, rc);
    seq = a.reply.sender_seq;
    p = slot_at(s, seq);
    if (s->next_seq - 1 - seq > s->mask || p->state == SLOT_EMPTY ||
        tw_wall_to_ntp(p->t1_wall) != a.reply.sender_t1)
        return reject(s, TW_EINVAL);
    if (p->state == SLOT_SENT)
        on_first(s, seq, p, &a);
    else if (!p->answered)
        on_late(s, seq, p, &a);
    else
        on_duplicate(s, seq, p, &a);
    session_advance(s, at);
    session_close_ready(s, at);
    return TW_OK;
}
