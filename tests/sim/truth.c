#include "tests/sim/truth.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return array;
    *cap = *cap ? *cap * 2 : 256;
    array = realloc(array, *cap * size);
    if (!array)
        abort();
    return array;
}

/* ---- While the simulation runs ---- */

static struct truth_period *now_period(struct truth *t)
{
    return &t->period[t->n_period - 1];
}

static void open_period(struct truth *t, int64_t start, int64_t end, int64_t start_mono)
{
    t->period = grow(t->period, &t->cap_period, t->n_period, sizeof *t->period);
    t->period[t->n_period] =
        (struct truth_period){ .start_ns = start, .end_ns = end, .start_mono = start_mono };
    hist_init(&t->period[t->n_period].lateness);
    t->n_period++;
}

static int64_t boundary_after(const struct truth *t, int64_t wall)
{
    return (wall / t->cfg->report_period_ns + 1) * t->cfg->report_period_ns;
}

void truth_init(struct truth *t, const struct session_cfg *cfg, struct tw_now now)
{
    *t = (struct truth){ .cfg = cfg, .offset_ns = now.wall.ns - now.mono.ns, .last_slot = -1 };
    t->first_due_ns =
        now.mono.ns + ((cfg->phase_ns - now.wall.ns) % cfg->spacing_ns + cfg->spacing_ns) % cfg->spacing_ns;
    open_period(t, now.wall.ns, boundary_after(t, now.wall.ns), now.mono.ns);
}

void truth_free(struct truth *t)
{
    for (size_t i = 0; i < t->n_period; i++)
        hist_free(&t->period[i].lateness);
    free(t->period);
    free(t->probe);
    free(t->arrival);
}

static void roll(struct truth *t, int64_t wall_old)
{
    while (wall_old >= now_period(t)->end_ns) {
        int64_t end = now_period(t)->end_ns;
        now_period(t)->end_mono = end - t->offset_ns;
        open_period(t, end, end + t->cfg->report_period_ns, end - t->offset_ns);
    }
}

void truth_clock(struct truth *t, struct tw_now now)
{
    int64_t offset = now.wall.ns - now.mono.ns;

    if (t->stopped)
        return;
    roll(t, now.mono.ns + t->offset_ns);
    if (offset == t->offset_ns)
        return;
    now_period(t)->end_ns = now.mono.ns + t->offset_ns;
    now_period(t)->end_mono = now.mono.ns;
    t->offset_ns = offset;
    open_period(t, now.wall.ns, boundary_after(t, now.wall.ns), now.mono.ns);
}

static int64_t use_slot(struct truth *t, struct tw_now now)
{
    int64_t since = now.mono.ns - t->first_due_ns, slot = since / t->cfg->spacing_ns;

    t->last_attempt_ns = now.mono.ns;
    if (t->cfg->spacing_kind != SESSION_FIXED)
        return 0;
    t->slot_errors += slot <= t->last_slot || since < 0;
    t->last_slot = slot;
    return since % t->cfg->spacing_ns;
}

void truth_sent(struct truth *t, struct tw_now now)
{
    size_t cap = t->cap;

    t->probe = grow(t->probe, &t->cap, t->n, sizeof *t->probe);
    if (t->cap != cap && !(t->arrival = realloc(t->arrival, t->cap * sizeof *t->arrival)))
        abort();
    t->probe[t->n++] =
        (struct truth_probe){ .t1_wall = now.wall.ns, .t1_mono = now.mono.ns, .period = t->n_period - 1 };
    hist_add(&now_period(t)->lateness, use_slot(t, now));
}

bool truth_times(struct truth *t, size_t i, bool left_used, bool followed_up)
{
    struct truth_probe *p = &t->probe[i];
    int64_t t1 = left_used ? p->left_wall : p->t1_wall, t3 = followed_up ? p->t3_left : p->t3;

    p->left_used = left_used;
    p->followed_up = followed_up;
    p->d[TW_FORWARD] = p->t2 - t1;
    p->d[TW_BACKWARD] = p->t4 - t3;
    p->d[TW_ROUNDTRIP] = p->d[TW_FORWARD] + p->d[TW_BACKWARD];
    return (!left_used || p->told_ns) && (!followed_up || p->t3_left);
}

void truth_unsent(struct truth *t, struct tw_now now)
{
    use_slot(t, now);
    now_period(t)->send_errors++;
}

void truth_stop(struct truth *t, struct tw_now now)
{
    truth_clock(t, now);
    now_period(t)->end_ns = now.wall.ns + (t->last_attempt_ns == now.mono.ns); /* the end is outside */
    if (now_period(t)->end_ns == now_period(t)->start_ns) /* stopped in the instant of a step */
        now_period(t)->end_ns++;
    now_period(t)->end_mono = now.mono.ns;
    t->stopped = true;
}

/* ---- What follows ---- */

struct expected {
    uint64_t sent, received, lost_forward, lost_backward, forward_certain, backward_certain, timed;
    uint64_t left_used, followed_up;
    uint64_t order_roundtrip, order_forward, order_backward, ipdv_n, ewma_n, runs, run_longest;
    int64_t run_longest_ns, ipdv[3], ewma[3];
    struct hist delay[3];
};

static void count_probes(const struct truth *t, struct expected *e)
{
    for (size_t i = 0; i < t->n; i++) {
        const struct truth_probe *p = &t->probe[i];
        struct expected *x = &e[p->period];
        x->sent++;
        x->received += p->received;
        x->lost_forward += !p->received && !p->reached;
        x->lost_backward += !p->received && p->reached;
        x->timed += p->received && p->timed;
        x->left_used += p->received && p->timed && p->left_used;
        x->followed_up += p->received && p->timed && p->followed_up;
        for (int k = 0; k < 3 && p->received && p->timed; k++)
            hist_add(&x->delay[k], p->d[k]);
    }
}

struct truth_lost truth_lost_in(const struct truth *t, size_t period)
{
    struct truth_lost n = { 0 };

    for (size_t i = 0; i < t->n; i++) {
        const struct truth_probe *p = &t->probe[i];
        n.forward += p->period == period && !p->received && !p->reached;
        n.backward += p->period == period && !p->received && p->reached;
    }
    return n;
}

static void count_pairs(const struct truth *t, struct expected *e)
{
    for (size_t i = 1; i < t->n; i++) {
        const struct truth_probe *p = &t->probe[i], *q = p - 1;
        if (!p->timed || !q->timed || p->t1_wall - p->t1_mono != q->t1_wall - q->t1_mono)
            continue;
        e[p->period].ipdv_n++;
        for (int k = 0; k < 3; k++)
            e[p->period].ipdv[k] += llabs(p->d[k] - q->d[k]);
    }
}

/* RFC 3550 section 6.4.1 in order of arrival; a step of the clock starts it afresh. */
static void count_jitter(const struct truth *t, struct expected *e)
{
    const struct truth_probe *last = NULL;
    double j[3] = { 0 };

    for (size_t i = 0; i < t->n_arrival; i++) {
        const struct truth_probe *p = &t->probe[t->arrival[i]];
        if (!p->timed)
            continue;
        if (last && last->t1_wall - last->t1_mono == p->t1_wall - p->t1_mono) {
            e[p->period].ewma_n++;
            for (int k = 0; k < 3; k++) {
                j[k] += (fabs((double)(p->d[k] - last->d[k])) - j[k]) / 16;
                e[p->period].ewma[k] += llrint(j[k]);
            }
        }
        last = p;
    }
}

/* RFC 4737 section 4. Probes further apart than this cannot meet in the simulated network. */
#define ORDER_WINDOW 600

static void count_order(const struct truth *t, struct expected *e)
{
    int64_t s_max = -1, r_max = -1;

    for (size_t i = 0; i < t->n_arrival; i++) {
        const struct truth_probe *p = &t->probe[t->arrival[i]];
        int64_t s = (int64_t)t->arrival[i];
        e[p->period].order_roundtrip += s < s_max;
        e[p->period].order_backward += (int64_t)p->r < r_max;
        s_max = s > s_max ? s : s_max;
        r_max = (int64_t)p->r > r_max ? (int64_t)p->r : r_max;
    }
    for (size_t i = 0; i < t->n; i++) {
        const struct truth_probe *p = &t->probe[i];
        for (size_t j = i + 1; p->received && j < t->n && j < i + ORDER_WINDOW; j++)
            if (t->probe[j].received && t->probe[j].r < p->r) {
                e[p->period].order_forward++;
                break;
            }
    }
}

/* Lost probes in a row, within one period. */
static void count_run(const struct truth *t, struct expected *e, size_t from, size_t to)
{
    size_t period = t->probe[from].period;
    int64_t end =
        to < t->n && t->probe[to].period == period ? t->probe[to].t1_mono : t->period[period].end_mono;

    e[period].runs++;
    if (to - from > e[period].run_longest)
        e[period].run_longest = to - from;
    if (end - t->probe[from].t1_mono > e[period].run_longest_ns)
        e[period].run_longest_ns = end - t->probe[from].t1_mono;
}

static void count_runs(const struct truth *t, struct expected *e)
{
    for (size_t i = 0; i < t->n;) {
        size_t to = i;
        while (to < t->n && !t->probe[to].received && t->probe[to].period == t->probe[i].period)
            to++;
        if (to > i)
            count_run(t, e, i, to);
        i = to > i ? to : i + 1;
    }
}

/* A gap is losses in a row whatever the period. When it lies within one period and the answer after it
 * belongs to that period too, its directions must be known. */
static void count_certain(const struct truth *t, struct expected *e)
{
    for (size_t i = 0; i < t->n; i++) {
        size_t to = i;
        while (to < t->n && !t->probe[to].received)
            to++;
        if (to == t->n)
            return;
        for (size_t j = i; j < to && t->probe[i].period == t->probe[to].period; j++) {
            e[t->probe[j].period].forward_certain += !t->probe[j].reached;
            e[t->probe[j].period].backward_certain += t->probe[j].reached;
        }
        i = to;
    }
}

static struct expected *expect(const struct truth *t)
{
    struct expected *e = calloc(t->n_period, sizeof *e);

    if (!e)
        abort();
    for (size_t i = 0; i < t->n_period; i++)
        for (int k = 0; k < 3; k++)
            hist_init(&e[i].delay[k]);
    count_probes(t, e);
    count_pairs(t, e);
    count_jitter(t, e);
    count_order(t, e);
    count_runs(t, e);
    count_certain(t, e);
    return e;
}

/* ---- Comparing ---- */

static unsigned differ(size_t i, const char *what, int64_t want, int64_t got)
{
    if (want == got)
        return 0;
    printf("  summary %zu: %s is %" PRId64 ", truth is %" PRId64 "\n", i, what, got, want);
    return 1;
}

static unsigned between(size_t i, const char *what, uint64_t lo, uint64_t got, uint64_t hi)
{
    if (lo <= got && got <= hi)
        return 0;
    printf("  summary %zu: %s is %" PRIu64 ", truth allows %" PRIu64 "..%" PRIu64 "\n", i, what, got, lo, hi);
    return 1;
}

static unsigned compare_counts(const struct truth_period *p, const struct expected *e,
                               const struct tw_summary *s, size_t i)
{
    return differ(i, "start", p->start_ns, s->start_ns) + differ(i, "end", p->end_ns, s->end_ns) +
           differ(i, "sent", (int64_t)e->sent, (int64_t)s->sent) +
           differ(i, "received", (int64_t)e->received, (int64_t)s->received) +
           differ(i, "lost", (int64_t)(e->lost_forward + e->lost_backward),
                  (int64_t)(s->lost_forward + s->lost_backward + s->lost_unknown)) +
           differ(i, "invalid_time", (int64_t)(e->received - e->timed), (int64_t)s->invalid_time) +
           differ(i, "send_errors", (int64_t)p->send_errors, (int64_t)s->send_errors) +
           differ(i, "loss_runs", (int64_t)e->runs, (int64_t)s->loss_runs) +
           differ(i, "loss_run_longest", (int64_t)e->run_longest, (int64_t)s->loss_run_longest) +
           differ(i, "loss_run_longest_ns", e->run_longest_ns, s->loss_run_longest_ns);
}

static unsigned compare_delays(const struct truth_period *p, const struct expected *e,
                               const struct tw_summary *s, size_t i, bool fixed)
{
    unsigned bad = 0;

    for (int k = 0; k < 3; k++) {
        if (!hist_equal(&e->delay[k], &s->delay[k])) {
            printf("  summary %zu: the histogram %s differs\n", i, tw_direction_name((enum tw_direction)k));
            bad++;
        }
        bad += differ(i, "ipdv_n", (int64_t)e->ipdv_n, (int64_t)s->jitter[k].ipdv_n);
        bad += differ(i, "ipdv_abs_sum_ns", e->ipdv[k], s->jitter[k].ipdv_abs_sum_ns);
        bad += differ(i, "ewma_n", (int64_t)e->ewma_n, (int64_t)s->jitter[k].ewma_n);
        bad += differ(i, "ewma_sum_ns", e->ewma[k], s->jitter[k].ewma_sum_ns);
    }
    if (fixed && !hist_equal(&p->lateness, &s->send_lateness)) {
        printf("  summary %zu: the histogram send_lateness differs\n", i);
        bad++;
    }
    return bad;
}

static enum tw_ts_source source_of(const struct expected *e)
{
    if (!e->timed)
        return TW_TS_UNKNOWN;
    if (!e->left_used)
        return TW_TS_USER;
    return e->left_used == e->timed ? TW_TS_KERNEL : TW_TS_MIXED;
}

static unsigned compare_times(const struct expected *e, const struct tw_summary *s, size_t i)
{
    return differ(i, "tx_source", source_of(e), s->tx_source) +
           differ(i, "tx_user_time", (int64_t)(e->timed - e->left_used), (int64_t)s->tx_user_time) +
           differ(i, "followed_up", (int64_t)e->followed_up, (int64_t)s->followed_up);
}

/* Answers tell of the last one before them whose time is known. */
static bool is_followed(const struct truth *t, size_t i)
{
    size_t next = i;

    if (!t->probe[i].t3_left)
        return false;
    do
        next++;
    while (next < t->n && !t->probe[next].received && !t->probe[next].t3_left);
    return next < t->n && t->probe[next].received;
}

/* Which times the session should have known. */
static unsigned compare_used(const struct truth *t, const struct truth_checks *c)
{
    unsigned bad = 0;

    for (size_t i = 0; i < t->n && bad < 10; i++) {
        const struct truth_probe *p = &t->probe[i];
        bool told = p->told_ns && p->told_ns < p->arrived + SESSION_TX_GRACE_NS;

        if (!p->received || !p->timed)
            continue;
        if (c->left)
            bad += differ(i, "of a probe, use of the time it left", told, p->left_used);
        if (c->follow_up)
            bad += differ(i, "of a probe, use of the follow-up", is_followed(t, i), p->followed_up);
    }
    return bad;
}

static unsigned compare_checked(const struct expected *e, const struct tw_summary *s, size_t i,
                                const struct truth_checks *c)
{
    unsigned bad = 0;

    if (c->order) {
        bad += differ(i, "reordered_roundtrip", (int64_t)e->order_roundtrip, (int64_t)s->reordered_roundtrip);
        bad += differ(i, "reordered_backward", (int64_t)e->order_backward, (int64_t)s->reordered_backward);
    }
    if (c->direction) {
        bad += between(i, "lost_forward", e->forward_certain, s->lost_forward, e->lost_forward);
        bad += between(i, "lost_backward", e->backward_certain, s->lost_backward, e->lost_backward);
    }
    if (c->never_known)
        bad += differ(i, "lost_forward + lost_backward", 0, (int64_t)(s->lost_forward + s->lost_backward));
    return bad;
}

/* A probe's period may have closed before the answer came that shows that it was overtaken: only the sum is
 * fixed. */
static unsigned compare_forward_order(const struct truth *t, const struct expected *e,
                                      const struct tw_summary *sum, size_t n)
{
    uint64_t want = 0, got = 0;

    for (size_t i = 0; i < t->n_period; i++)
        want += e[i].order_forward;
    for (size_t i = 0; i < n; i++)
        got += sum[i].reordered_forward;
    return differ(n, "sum of reordered_forward", (int64_t)want, (int64_t)got);
}

static unsigned compare_sums(const struct truth *t, const struct tw_summary *sum, size_t n, bool way)
{
    uint64_t late = 0, forward = 0, backward = 0, unknown = 0, rejected = 0, slots = 0;
    int64_t end = t->period[t->n_period - 1].end_mono;
    unsigned bad = 0;

    for (size_t i = 0; i < n; i++) {
        late += sum[i].late;
        forward += sum[i].duplicates_forward;
        backward += sum[i].duplicates_backward;
        unknown += sum[i].duplicates_unknown;
        rejected += sum[i].rejected;
        slots += sum[i].sent + sum[i].send_errors + sum[i].skipped;
    }
    bad += differ(n, "sum of late", (int64_t)t->late, (int64_t)late);
    bad += differ(n, "sum of rejected", (int64_t)t->rejected, (int64_t)rejected);
    bad += differ(n, "sum of duplicates", (int64_t)(t->duplicates_forward + t->duplicates_backward),
                  (int64_t)(forward + backward + unknown));
    bad += differ(n, "slots used twice", 0, t->slot_errors);
    if (t->cfg->spacing_kind == SESSION_FIXED)
        bad += between(n, "sum of sent, send_errors and skipped", (uint64_t)(t->last_slot + 1), slots,
                       (uint64_t)((end - t->first_due_ns) / t->cfg->spacing_ns + 1));
    if (way) {
        bad += differ(n, "sum of duplicates_forward", (int64_t)t->duplicates_forward, (int64_t)forward);
        bad += differ(n, "sum of duplicates_backward", (int64_t)t->duplicates_backward, (int64_t)backward);
    }
    return bad;
}

unsigned truth_compare(const struct truth *t, const struct tw_summary *sum, size_t n,
                       const struct truth_checks *checks)
{
    unsigned bad = differ(n, "number of summaries", (int64_t)t->n_period, (int64_t)n);
    struct expected *e = expect(t);

    for (size_t i = 0; i < n && i < t->n_period && bad < 20; i++) {
        struct tw_err err = { 0 };
        char text[512];
        if (summary_validate(&sum[i], &err)) {
            printf("  summary %zu: not valid: %s\n", i, tw_err_format(&err, text, sizeof text));
            bad++;
        }
        bad += compare_counts(&t->period[i], &e[i], &sum[i], i);
        bad += compare_delays(&t->period[i], &e[i], &sum[i], i, t->cfg->spacing_kind == SESSION_FIXED);
        bad += compare_times(&e[i], &sum[i], i);
        bad += compare_checked(&e[i], &sum[i], i, checks);
    }
    bad += compare_used(t, checks);
    bad += compare_sums(t, sum, n, checks->duplicates_way);
    bad += truth_compare_runs(t, sum, n, checks);
    if (checks->order)
        bad += compare_forward_order(t, e, sum, n);
    for (size_t i = 0; i < t->n_period; i++)
        for (int k = 0; k < 3; k++)
            hist_free(&e[i].delay[k]);
    free(e);
    return bad;
}
