/* agent/core/session_times.c - which times the delays are made of, and the delays: RFC 7679, RFC 2681,
 * RFC 3393, RFC 3550; Follow-Up Telemetry: RFC 8972 section 4.7. */
#include "agent/core/session_priv.h"

#include <math.h>
#include <stdlib.h>

/* So many answers later a follow-up is given up: the answer that would have told it may have been overtaken.
 */
#define FOLLOW_UP_PATIENCE 3

/* ---- The packet's times ---- */

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

static bool is_ptp(uint16_t err_est)
{
    bool synced, ptp = false;
    int64_t error;

    tw_errest_decode(err_est, &error, &synced, &ptp);
    return ptp;
}

static bool read_stamps(const struct answer *a, int64_t *ret_t2, int64_t *ret_t3)
{
    bool ptp = is_ptp(a->reply.err_est);

    return read_stamp(a->reply.t2, ptp, a->rx->time, ret_t2) &&
           read_stamp(a->reply.t3, ptp, a->rx->time, ret_t3);
}

/* False when the times contradict each other. */
static bool read_times(const struct session *s, const struct slot *p, const struct answer *a,
                       struct arrived *ret)
{
    ret->t4_ns = a->rx->time.ns;
    if (a->in_future || !read_stamps(a, &ret->t2_ns, &ret->t3_ns))
        return false;
    if (llabs(p->t1_wall.ns - p->t1_mono.ns - s->offset_ns) > SKEW_NS)
        return false;
    return ret->t3_ns >= ret->t2_ns && (ret->t2_ns - p->t1_wall.ns) + (ret->t4_ns - ret->t3_ns) >= 0;
}

/* ---- Better ones ---- */

struct times {
    int64_t forward, backward, residence;
    int64_t t1_used, t3_used;
    enum tw_ts_source tx_source;
    bool followed_up;
};

enum tw_ts_source session_tx_source(const struct slot *p)
{
    switch (p->tx) {
    case TX_KERNEL:
    case TX_KERNEL_FIRST:
        return TW_TS_KERNEL;
    case TX_HARDWARE:
        return TW_TS_HARDWARE;
    case TX_USER:
    case TX_AWAITED:
    case TX_HARDWARE_AWAITED:
        break;
    }
    return TW_TS_USER;
}

int64_t session_left_ns(const struct slot *p)
{
    return session_tx_source(p) == TW_TS_USER ? 0 : p->left_ns;
}

/* Each is used only if the round trip stays possible with it. */
static struct times choose_times(const struct slot *p, const struct arrived *w)
{
    struct times t = { .t1_used = p->t1_wall.ns, .t3_used = w->t3_ns, .tx_source = TW_TS_USER };
    int64_t rest = (w->t2_ns - t.t1_used) + (w->t4_ns - t.t3_used);
    enum tw_ts_source source = session_tx_source(p);

    if (source != TW_TS_USER && p->left_ns <= rest) {
        t.tx_source = source;
        t.t1_used += p->left_ns;
        rest -= p->left_ns;
    }
    if (w->followed_up && w->left_ns <= rest) {
        t.followed_up = true;
        t.t3_used += w->left_ns;
    }
    t.forward = w->t2_ns - t.t1_used;
    t.backward = w->t4_ns - t.t3_used;
    t.residence = t.t3_used - w->t2_ns;
    return t;
}

/* Did something leave at `left_ns` that was stamped before, at `ns`? */
static bool is_credible(int64_t ns, int64_t left_ns, int32_t *ret)
{
    int64_t d;

    if (__builtin_sub_overflow(left_ns, ns, &d) || d < 0 || d > SESSION_LEFT_MAX_NS)
        return false;
    *ret = (int32_t)d;
    return true;
}

/* ---- Into the summary ---- */

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

static void add_tx_source(struct tw_summary *sum, const struct times *t)
{
    if (sum->tx_source == TW_TS_UNKNOWN)
        sum->tx_source = t->tx_source;
    else if (sum->tx_source != t->tx_source)
        sum->tx_source = TW_TS_MIXED;
    sum->tx_user_time += t->tx_source == TW_TS_USER;
    sum->followed_up += t->followed_up;
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
    add_tx_source(sum, t);
    if (__builtin_add_overflow(sum->residence_sum_ns, t->residence, &sum->residence_sum_ns))
        sum->residence_sum_ns = INT64_MAX;
    if (t->residence > sum->residence_max_ns)
        sum->residence_max_ns = t->residence;
}

/* ---- Single probes ---- */

/* An answer, and its times if they do not contradict each other. */
static struct arrived arrived(const struct session *s, const struct slot *p, uint32_t seq,
                              const struct answer *a)
{
    struct arrived w = { .seq = seq,
                         .r = a->reply.seq,
                         .rx_source = (uint8_t)a->rx->source,
                         .until = { a->at.ns + SESSION_TX_GRACE_NS },
                         .ttl_forward = a->reply.ttl_known ? a->reply.sender_ttl : -1,
                         .ttl_backward = a->rx->ttl,
                         .tos_forward = a->reply.tos_known ? a->reply.sender_tos : -1,
                         .tos_backward = a->rx->tos };

    w.valid = read_times(s, p, a, &w);
    return w;
}

static void record(struct session *s, bool late, const struct arrived *w, const struct times *t)
{
    struct flight_answer f = { .timed = w->valid && t,
                               .ttl_forward = w->ttl_forward,
                               .ttl_backward = w->ttl_backward,
                               .tos_forward = w->tos_forward,
                               .tos_backward = w->tos_backward,
                               .rx_source = (enum tw_ts_source)w->rx_source };

    if (t) {
        f.forward_ns = t->forward;
        f.backward_ns = t->backward;
        f.residence_ns = t->residence;
        f.tx_source = t->tx_source;
    }
    flight_answered(s->flight, w->seq, late, &f);
}

void session_record_answer(struct session *s, bool late, uint32_t seq, const struct slot *p,
                           const struct answer *a)
{
    struct arrived w = arrived(s, p, seq, a);
    struct times t = choose_times(p, &w);

    record(s, late, &w, &t);
}

static void fill_times(struct session_sample *m, const struct arrived *w, const struct times *t)
{
    m->timed = w->valid;
    m->t2.ns = w->t2_ns;
    m->t3.ns = w->t3_ns;
    m->t4.ns = w->t4_ns;
    m->rx_source = (enum tw_ts_source)w->rx_source;
    m->t1_used.ns = t->t1_used;
    m->t3_used.ns = t->t3_used;
    m->tx_source = t->tx_source;
    m->followed_up = t->followed_up;
    m->forward_ns = w->valid ? t->forward : 0;
    m->backward_ns = w->valid ? t->backward : 0;
}

void session_fill_sample(struct session *s, struct session_sample *m, const struct slot *p,
                         const struct answer *a)
{
    struct arrived w = arrived(s, p, m->seq, a);
    struct times t = choose_times(p, &w);

    fill_times(m, &w, &t);
    m->reflector_seq = w.r;
    m->ttl_forward = w.ttl_forward;
    m->tos_forward = w.tos_forward;
    m->ttl_backward = w.ttl_backward;
    m->tos_backward = w.tos_backward;
    m->reply_bytes = (uint16_t)a->len;
    m->err_est = a->reply.err_est;
    m->ssid = a->reply.ssid;
    m->tlvs = a->tlvs;
}

/* ---- Settling ---- */

/* Returns the sample for the caller to complete; NULL: none are kept. */
static struct session_sample *settle(struct session *s, const struct arrived *w, struct times *ret)
{
    struct slot *p = slot_at(s, w->seq);
    struct period *period = session_period_of(s, p->period);

    *ret = choose_times(p, w);
    if (ret->tx_source == TW_TS_USER || p->tx == TX_KERNEL_FIRST) /* what comes now is too late */
        p->tx = ret->tx_source == TW_TS_USER ? TX_USER : TX_KERNEL;
    if (w->valid) {
        add_delays(s, w->seq, p, period ? &period->sum : NULL, ret);
        session_watch_remote(s, p, period ? &period->sum : NULL, ret->forward, ret->backward);
    } else if (period)
        period->sum.invalid_time++;
    if (s->flight)
        record(s, false, w, ret);
    return session_add_sample(s, SAMPLE_RECEIVED, w->seq, p);
}

static struct arrived *nth(struct waiting *q, unsigned i)
{
    return &q->at[(q->first + i) % ARRIVED_MAX];
}

static void settle_first(struct session *s)
{
    struct waiting *q = s->waiting;
    struct arrived *w = nth(q, 0);
    struct times t;
    struct session_sample *m = settle(s, w, &t);

    if (m && q->samples) {
        *m = q->samples[q->first];
        fill_times(m, w, &t);
    }
    q->first = (q->first + 1) % ARRIVED_MAX;
    q->n--;
}

static void settle_n(struct session *s, unsigned n)
{
    while (n--)
        settle_first(s);
}

static bool awaits_kernel(const struct session *s, const struct arrived *w)
{
    const struct slot *p = slot_at_const(s, w->seq);

    return w->valid && (p->tx == TX_AWAITED || p->tx == TX_HARDWARE_AWAITED || p->tx == TX_KERNEL_FIRST);
}

static bool is_ready(const struct session *s, const struct arrived *w)
{
    return !w->await_follow_up && !awaits_kernel(s, w);
}

static void settle_ready(struct session *s)
{
    while (s->waiting && s->waiting->n && is_ready(s, nth(s->waiting, 0)))
        settle_first(s);
}

void session_settle_all(struct session *s)
{
    if (s->waiting)
        settle_n(s, s->waiting->n);
}

uint32_t session_oldest_awaited(struct session *s)
{
    struct waiting *q = s->waiting;
    uint32_t oldest = s->head_seq;

    for (unsigned i = 0; q && i < q->n; i++)
        if (s->next_seq - nth(q, i)->seq > s->next_seq - oldest)
            oldest = nth(q, i)->seq;
    return oldest;
}

void session_settle_old(struct session *s)
{
    uint32_t room = (s->delays_max <= s->span ? s->delays_max : s->span) - 1;
    struct waiting *q = s->waiting;

    for (unsigned i = q ? q->n : 0; i > 0; i--)
        if (s->next_seq - nth(q, i - 1)->seq >= room) {
            settle_n(s, i);
            return;
        }
}

static unsigned count_upto(struct session *s, uint16_t id)
{
    struct waiting *q = s->waiting;
    unsigned n = q ? q->n : 0;

    while (n && slot_at(s, nth(q, n - 1)->seq)->period != id)
        n--;
    return n;
}

void session_settle_period(struct session *s, uint16_t id)
{
    settle_n(s, count_upto(s, id));
}

bool session_waits_in(struct session *s, uint16_t id)
{
    return count_upto(s, id);
}

/* Hosts that are held up read late: what `until` says is by when it was to be read, so all that has come by
 * then has been told before this is called. */
void session_settle_due(struct session *s, struct tw_mono at)
{
    struct waiting *q = s->waiting;

    for (unsigned i = 0; q && i < q->n; i++) {
        struct slot *p = slot_at(s, nth(q, i)->seq);
        if (awaits_kernel(s, nth(q, i)) && at.ns >= nth(q, i)->until.ns)
            p->tx = p->tx == TX_KERNEL_FIRST ? TX_KERNEL : TX_USER;
    }
    settle_ready(s);
}

struct tw_mono session_settle_at(const struct session *s)
{
    struct waiting *q = s->waiting;
    struct tw_mono t = TW_MONO_NEVER;

    for (unsigned i = 0; q && i < q->n; i++)
        if (awaits_kernel(s, nth(q, i)) && nth(q, i)->until.ns < t.ns)
            t = nth(q, i)->until;
    return t;
}

/* ---- Waiting ---- */

/* The first time that it is needed: most sessions never do. */
static struct waiting *queue_of(struct session *s)
{
    struct waiting *q = s->waiting;

    if (q)
        return q;
    q = calloc(1, sizeof *q);
    if (q && s->samples) {
        q->samples = calloc(ARRIVED_MAX, sizeof *q->samples);
        if (!q->samples) {
            free(q);
            return NULL;
        }
    }
    s->waiting = q;
    return q;
}

static void wait(struct session *s, const struct arrived *w, const struct slot *p, const struct answer *a)
{
    struct waiting *q = s->waiting;

    if (q->n == ARRIVED_MAX) {
        settle_first(s);
        settle_ready(s);
    }
    *nth(q, q->n) = *w;
    if (q->samples) {
        struct session_sample *m = &q->samples[(q->first + q->n) % ARRIVED_MAX];
        session_start_sample(s, m, SAMPLE_RECEIVED, w->seq, p);
        session_fill_sample(s, m, p, a);
    }
    if (s->flight) /* it has come, whatever its delays will be */
        record(s, false, w, NULL);
    q->n++;
}

/* An answer that this one overtook on the way may have told already. */
static void find_follow_up(struct session *s, struct arrived *w)
{
    struct waiting *q = s->waiting;

    for (unsigned i = 0; q && i < FOLLOW_UPS_KEPT; i++) {
        if (!q->follow_up[i].used || q->follow_up[i].r != w->r)
            continue;
        q->follow_up[i].used = false;
        w->followed_up = is_credible(w->t3_ns, q->follow_up[i].ns, &w->left_ns);
        w->await_follow_up = false;
    }
}

void session_take_times(struct session *s, uint32_t seq, struct slot *p, const struct answer *a)
{
    struct arrived w = arrived(s, p, seq, a);
    struct session_sample *m;
    struct times t;

    w.await_follow_up = w.valid && a->tlvs.answered & STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP);
    if (w.await_follow_up)
        find_follow_up(s, &w);
    if (((s->waiting && s->waiting->n) || !is_ready(s, &w)) && queue_of(s)) {
        wait(s, &w, p, a);
        return;
    }
    m = settle(s, &w, &t);
    if (m) {
        session_fill_sample(s, m, p, a);
        fill_times(m, &w, &t);
    }
}

/* ---- What comes later ---- */

uint32_t session_await_txstamp(struct session *s, enum tw_ts_source best)
{
    struct slot *p = slot_at(s, s->next_seq - 1);

    if (p->state == SLOT_SENT)
        p->tx = best == TW_TS_HARDWARE ? TX_HARDWARE_AWAITED : TX_AWAITED;
    return s->next_seq - 1;
}

static enum slot_tx tx_after(enum slot_tx tx, enum tw_ts_source source, bool credible)
{
    bool more = tx == TX_HARDWARE_AWAITED && source == TW_TS_KERNEL; /* the hardware's is still to come */

    if (credible)
        return source == TW_TS_HARDWARE ? TX_HARDWARE : more ? TX_KERNEL_FIRST : TX_KERNEL;
    if (tx == TX_KERNEL_FIRST)
        return TX_KERNEL;
    return more ? TX_HARDWARE_AWAITED : tx == TX_HARDWARE_AWAITED ? TX_AWAITED : TX_USER;
}

enum tw_rc session_on_txstamp(struct session *s, uint32_t seq, struct tw_wall time, enum tw_ts_source source)
{
    struct slot *p = is_remembered(s, seq) ? slot_at(s, seq) : NULL;
    bool credible;
    int32_t left;

    if (!p || p->state == SLOT_EMPTY)
        return TW_ENOENT;
    if (p->tx != TX_AWAITED && p->tx != TX_HARDWARE_AWAITED &&
        (p->tx != TX_KERNEL_FIRST || source != TW_TS_HARDWARE))
        return TW_ENOENT;
    credible = is_credible(p->t1_wall.ns, time.ns, &left);
    p->tx = tx_after(p->tx, source, credible);
    if (credible)
        p->left_ns = left;
    settle_ready(s);
    session_close_ready(s, s->last.mono);
    return credible ? TW_OK : TW_EINVAL;
}

static bool is_precise(uint8_t method)
{
    return method == STAMP_TS_HARDWARE || method == STAMP_TS_SOFTWARE;
}

static void keep_follow_up(struct waiting *q, uint32_t r, int64_t ns)
{
    unsigned i = q->next_follow_up++ % FOLLOW_UPS_KEPT;

    q->follow_up[i].used = true;
    q->follow_up[i].r = r;
    q->follow_up[i].ns = ns;
}

static void follow_up(struct waiting *q, const struct answer *a)
{
    const struct stamp_tlv_seen *t = &a->tlvs;
    bool found = false;
    int64_t ns;

    if (!is_precise(t->follow_up_method) ||
        !read_stamp(t->follow_up_time, is_ptp(a->reply.err_est), a->rx->time, &ns))
        return;
    for (unsigned i = 0; i < q->n; i++) {
        struct arrived *w = nth(q, i);
        if (w->r != t->follow_up_seq)
            continue;
        found = true;
        if (w->await_follow_up)
            w->followed_up = is_credible(w->t3_ns, ns, &w->left_ns);
        w->await_follow_up = false;
    }
    if (!found)
        keep_follow_up(q, t->follow_up_seq, ns);
}

/* A reflector whose times are late or missing tells of an answer before the last, or of none. */
void session_take_follow_up(struct session *s, const struct answer *a)
{
    uint32_t newest = a->tlvs.follow_up ? a->tlvs.follow_up_seq : a->reply.seq - 1;
    struct waiting *q = s->waiting;

    if (!(a->tlvs.answered & STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP)) || !q)
        return;
    if (a->tlvs.follow_up)
        follow_up(q, a);
    for (unsigned i = 0; i < q->n; i++)
        if ((int32_t)(newest - nth(q, i)->r) >= FOLLOW_UP_PATIENCE)
            nth(q, i)->await_follow_up = false;
    settle_ready(s);
}
