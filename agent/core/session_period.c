/* agent/core/session_period.c - probes in order of sending, report periods, and summaries. */
#include "agent/core/session_priv.h"

#include <stdlib.h>
#include "common/dscp.h"

/* How long after the last timeout of a period its undecided losses wait for an answer that decides them. */
#define GRACE_MAX_NS TW_NS_PER_S
/* Periods that a pool keeps: sessions give one and take one in turn; more when many waited for room. */
#define POOL_MAX 64

static struct period *nth(struct session *s, unsigned i)
{
    return s->periods[(s->first + i) % PERIODS];
}

static const struct period *nth_const(const struct session *s, unsigned i)
{
    return s->periods[(s->first + i) % PERIODS];
}

struct period *session_period_of(struct session *s, uint16_t id)
{
    for (unsigned i = s->n_periods; i-- > s->n_closed;)
        if (nth(s, i)->id == id)
            return nth(s, i);
    return NULL;
}

struct period *session_period_for(struct session *s, const struct slot *p)
{
    struct period *period = session_period_of(s, p->period);

    return period ? period : session_current(s);
}

struct period *session_current(struct session *s)
{
    return s->n_periods > s->n_closed ? nth(s, s->n_periods - 1) : NULL;
}

void session_count_steps(struct session *s)
{
    uint32_t steps = s->steps_found > s->steps_told ? s->steps_found : s->steps_told;
    struct period *p = session_current(s);

    if (p)
        p->sum.clock_steps += steps - s->steps_counted;
    s->steps_counted = steps;
}

/* ---- Probes in order of sending ---- */

static void take_verdicts(struct session *s)
{
    struct lossdir_verdict v;

    while (lossdir_next(s->lossdir, &v) == TW_OK) {
        struct period *p = session_period_of(s, v.period);
        if (s->flight)
            flight_decided(s->flight, v.forward, v.backward, v.unknown);
        if (!p)
            continue;
        p->sum.lost_forward += v.forward;
        p->sum.lost_backward += v.backward;
        p->sum.lost_unknown += v.unknown;
    }
    session_run_directions(s);
}

static void resolve(struct session *s, uint32_t seq, const struct slot *p)
{
    session_run_resolve(s, seq, p);
    session_window_resolve(s, p);
    if (s->flight && p->state == SLOT_RECEIVED)
        flight_passed(s->flight, p->t1_wall);
    lossdir_resolve(s->lossdir, seq - s->cfg.seq_start, p->state == SLOT_RECEIVED, p->r, p->period);
    take_verdicts(s);
}

static void lose(struct session *s, uint32_t seq, struct slot *p)
{
    struct period *period = session_period_of(s, p->period);

    p->state = SLOT_LOST;
    s->totals.lost++;
    if (period)
        period->lost++;
    session_add_sample(s, SAMPLE_LOST, seq, p);
    if (s->flight)
        flight_lost(s->flight, seq, p->t1_wall);
}

void session_advance(struct session *s, struct tw_mono at)
{
    for (; s->head_seq != s->next_seq; s->head_seq++) {
        struct slot *p = slot_at(s, s->head_seq);
        if (p->state == SLOT_SENT) {
            if (at.ns - p->t1_mono.ns < s->cfg.timeout_ns)
                return; /* all others are younger */
            lose(s, s->head_seq, p);
        }
        resolve(s, s->head_seq, p);
    }
}

/* ---- Periods ---- */

static enum tw_rc reserve_histograms(struct tw_summary *sum)
{
    enum tw_rc rc = hist_reserve(&sum->send_lateness, HIST_ROOM_MIN);

    for (int d = 0; !rc && d < 3; d++)
        rc = hist_reserve(&sum->delay[d], HIST_ROOM_MIN);
    return rc;
}

void session_free_period(struct period *p)
{
    summary_free(&p->sum);
    free(p);
}

static void give_back(struct session *s, struct period *p)
{
    if (!s->pool || s->pool->n == POOL_MAX) {
        session_free_period(p);
        return;
    }
    p->next = s->pool->free;
    s->pool->free = p;
    s->pool->n++;
}

static struct period *from_pool(struct session_pool *pool)
{
    struct period *p = pool ? pool->free : NULL;

    if (!p)
        return NULL;
    pool->free = p->next;
    pool->n--;
    summary_reset(&p->sum);
    return p;
}

void session_set_pool(struct session *s, struct session_pool *p)
{
    s->pool = p;
}

void session_pool_clear(struct session_pool *pool)
{
    struct period *p;

    while ((p = from_pool(pool)))
        session_free_period(p);
}

/* With room for the first values, so that none is lost when memory is short later. */
static struct period *new_period(struct session *s)
{
    struct period *p = from_pool(s->pool);

    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p)
            return NULL;
        summary_init(&p->sum);
    }
    if (reserve_histograms(&p->sum) == TW_OK)
        return p;
    session_free_period(p);
    return NULL;
}

static struct period *take_oldest(struct session *s)
{
    struct period *p = nth(s, 0);

    s->first = (s->first + 1) % PERIODS;
    s->n_periods--;
    if (s->n_closed)
        s->n_closed--;
    return p;
}

static struct period *drop_oldest(struct session *s)
{
    struct period *p = take_oldest(s);

    s->summaries_lost++;
    summary_reset(&p->sum);
    return p;
}

static void open_period(struct session *s, struct period *p, int64_t start_ns, struct tw_mono start)
{
    s->periods[(s->first + s->n_periods++) % PERIODS] = p;
    p->sum.pair_id = s->cfg.pair_id;
    p->sum.flow = s->cfg.flow;
    p->sum.generation = s->cfg.generation;
    p->sum.tos_sent = dscp_to_tos(s->cfg.dscp, 0);
    p->sum.seq_first = s->next_seq;
    p->sum.start_ns = start_ns;
    p->sum.clock_local = s->clock;
    p->id = s->next_period++;
    p->ended = p->after_step = false;
    p->start = start;
    p->lost = 0;
}

/* The end is where the wall clock says; from here on the monotonic clock keeps it. */
static void aim_end(struct session *s, struct period *p, int64_t end_ns)
{
    p->sum.end_ns = end_ns;
    p->end.ns = end_ns - s->offset_ns;
    if (p->end.ns <= p->start.ns)
        p->end.ns = p->start.ns + 1;
}

static int64_t next_boundary(const struct session *s, int64_t wall_ns)
{
    int64_t into = wall_ns % s->cfg.report_period_ns;

    return wall_ns - into + (into < 0 ? 0 : s->cfg.report_period_ns);
}

enum tw_rc session_open_first(struct session *s, struct tw_now now)
{
    struct period *p = s->n_periods < PERIODS ? new_period(s) : NULL;

    if (!p && !s->n_periods)
        return TW_ENOMEM;
    if (!p)
        p = drop_oldest(s);
    open_period(s, p, now.wall.ns, now.mono);
    aim_end(s, p, next_boundary(s, now.wall.ns));
    return TW_OK;
}

void session_drop_current(struct session *s)
{
    s->n_periods--;
    give_back(s, s->periods[(s->first + s->n_periods) % PERIODS]);
}

void session_end_current(struct session *s, int64_t end_wall_ns, struct tw_mono end)
{
    struct period *p = session_current(s);

    if (end_wall_ns <= p->sum.start_ns)
        end_wall_ns = p->sum.start_ns + 1;
    p->sum.end_ns = end_wall_ns;
    p->end = end;
    p->ended = true;
}

/* After a long stall only the last periods are kept: the others held nothing, and would only push each other
 * out. */
static void pass_stall(struct session *s, struct period *p, struct tw_mono at)
{
    int64_t behind = (at.ns - p->end.ns) / s->cfg.report_period_ns - PERIODS;

    if (behind <= 0)
        return;
    p->sum.start_ns += behind * s->cfg.report_period_ns;
    p->sum.end_ns += behind * s->cfg.report_period_ns;
    p->start.ns += behind * s->cfg.report_period_ns;
    p->end.ns += behind * s->cfg.report_period_ns;
    s->summaries_lost += (uint64_t)behind;
}

static void roll(struct session *s, struct tw_mono at)
{
    struct period *p = session_current(s);

    while (!s->stopped && at.ns >= p->end.ns) {
        int64_t next_ns = p->sum.end_ns;
        struct tw_mono end = p->end;
        struct period *next = s->n_periods < PERIODS ? new_period(s) : NULL;

        if (!next &&
            s->n_periods < PERIODS) { /* no memory: the present one goes on, so that nothing is lost */
            aim_end(s, p, next_ns + s->cfg.report_period_ns);
            continue;
        }
        session_skip_before(s, end, at);
        session_end_current(s, next_ns, end);
        session_close_ready(s, at);
        p = next ? next : drop_oldest(s);
        open_period(s, p, next_ns, end);
        aim_end(s, p, next_ns + s->cfg.report_period_ns);
        pass_stall(s, p, at);
    }
}

static void on_step(struct session *s, struct tw_now now)
{
    struct period *p = session_current(s);

    s->steps_found++;
    session_settle_all(s); /* jitter does not go on across it */
    session_count_steps(s);
    s->jitter_ready = false;
    if (s->stopped)
        return;
    if (now.mono.ns < p->start.ns) { /* it begins later, when the first probe is due */
        p->sum.start_ns = now.wall.ns + (p->start.ns - now.mono.ns);
        aim_end(s, p, next_boundary(s, p->sum.start_ns));
        return;
    }
    session_end_current(s, p->sum.start_ns + (now.mono.ns - p->start.ns), now.mono);
    session_open_first(s, now); /* cannot fail: there is one whose memory it could take */
    session_current(s)->after_step = true;
}

static void watch_clock(struct session *s, struct tw_now now)
{
    int64_t offset = now.wall.ns - now.mono.ns, jump;
    bool far = __builtin_sub_overflow(offset, s->offset_ns, &jump) || llabs(jump) > STEP_NS;

    if (far) /* the boundaries before the step are those of the old time */
        roll(s, now.mono);
    s->offset_ns = offset;
    s->last = now;
    if (far)
        on_step(s, now);
}

void session_tick(struct session *s, struct tw_now now, struct tw_mono at)
{
    session_settle_probe(s);
    if (s->finished) /* with its last probe, whatever came after it */
        session_end_sending(s, s->last);
    session_settle_due(s, at);
    session_advance(s, at);
    watch_clock(s, now);
    roll(s, at);
    session_close_ready(s, at);
}

/* ---- Closing ---- */

static uint64_t undecided(const struct period *p)
{
    return p->lost - p->sum.lost_forward - p->sum.lost_backward - p->sum.lost_unknown;
}

static uint64_t in_flight(const struct period *p)
{
    return p->sum.sent - p->sum.received - p->lost;
}

static struct tw_mono due_of(const struct session *s, const struct period *p)
{
    int64_t grace = s->cfg.timeout_ns / 2 < GRACE_MAX_NS ? s->cfg.timeout_ns / 2 : GRACE_MAX_NS;

    if (!p->ended)
        return p->end;
    if (in_flight(p))
        return (struct tw_mono){ p->last_sent.ns + s->cfg.timeout_ns };
    return (struct tw_mono){ p->end.ns + s->cfg.timeout_ns + grace };
}

struct tw_mono session_close_due(const struct session *s)
{
    struct tw_mono oldest, newest;

    if (s->n_periods == s->n_closed)
        return TW_MONO_NEVER;
    /* The oldest can be waiting for its answers while the boundary of the newest comes. */
    oldest = due_of(s, nth_const(s, s->n_closed));
    newest = due_of(s, nth_const(s, s->n_periods - 1));
    return oldest.ns < newest.ns ? oldest : newest;
}

static bool is_closable(struct session *s, const struct period *p, struct tw_mono at)
{
    if (!p->ended || in_flight(p))
        return false;
    if (at.ns >= due_of(s, p).ns)
        return true;
    if (s->stopped && s->head_seq == s->next_seq) /* no answer will come any more */
        return session_settle_at(s).ns == TW_MONO_NEVER.ns;
    return !undecided(p) && !session_waits_in(s, p->id);
}

static void close_oldest(struct session *s)
{
    struct period *p = nth(s, s->n_closed);

    session_settle_period(s, p->id);
    session_run_close(s, p);
    session_window_close(s, p);
    lossdir_close_period(s->lossdir, p->id);
    take_verdicts(s);
    p->sum.lost_unknown += undecided(p);
    p->sum.status = summary_status(&p->sum);
    s->n_closed++;
}

void session_close_ready(struct session *s, struct tw_mono at)
{
    while (s->n_periods > s->n_closed && is_closable(s, nth(s, s->n_closed), at))
        close_oldest(s);
}

void session_close_all(struct session *s)
{
    while (s->n_periods > s->n_closed)
        close_oldest(s);
    session_settle_all(s);
}

/* ---- A look at what is not fetched yet ---- */

/* As if the period closed now. */
static enum tw_rc peek_period(const struct period *p, int64_t now_ns, bool closed, struct tw_summary *copy)
{
    enum tw_rc rc = summary_copy(copy, &p->sum);

    if (rc || closed)
        return rc;
    copy->sent -= in_flight(p);
    copy->lost_unknown += undecided(p);
    if (!p->ended)
        copy->end_ns = now_ns > copy->start_ns ? now_ns : copy->start_ns + 1;
    if (in_flight(p))
        hist_reset(&copy->send_lateness); /* which of the values are theirs is not known */
    copy->status = summary_status(copy);
    return TW_OK;
}

enum tw_rc session_peek(const struct session *s, struct tw_wall now, struct tw_summary *sum,
                        struct session_peek *ret)
{
    struct tw_summary copy;
    enum tw_rc rc = TW_OK;

    summary_init(&copy);
    for (unsigned i = 0; !rc && i < s->n_periods; i++) {
        rc = peek_period(nth_const(s, i), now.ns, i < s->n_closed, &copy);
        if (!rc)
            summary_merge(sum, &copy);
    }
    summary_free(&copy);
    *ret = (struct session_peek){ .in_flight = s->totals.sent - s->totals.received - s->totals.lost,
                                  .last_known = s->jitter_ready,
                                  .last_rtt_ns = s->jitter_last[TW_ROUNDTRIP] };
    return rc;
}

enum tw_rc session_next_summary(struct session *s, struct tw_now now, struct tw_summary *ret)
{
    struct period *p;
    struct tw_summary t;

    session_tick(s, now, now.mono);
    if (!s->n_closed)
        return TW_EAGAIN;
    p = take_oldest(s);
    t = *ret;
    *ret = p->sum;
    p->sum = t;
    give_back(s, p);
    return TW_OK;
}
