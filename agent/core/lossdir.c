/* agent/core/lossdir.c - see lossdir.h.
 *
 * Numbers of the reflector are widened to 64 bits (r64 = 2^32 + r at first, then nearest to the highest so
 * far), so that the place before the first one has a number too and nothing wraps. */
#include "agent/core/lossdir.h"

#include <stdlib.h>
#include <string.h>

/* Reordering on the way out further than this makes everything unknown: the look-ahead has to fit the ring.
 */
#define REACH_MAX 32
#define RING (2 * REACH_MAX) /* of those that wait: REACH_MAX + 1 at most */
/* Numbers remembered per probe of the window: room for the duplicates that the reflector saw. */
#define SEEN_PER_PROBE 4
#define R_BASE (UINT64_C(1) << 32)

enum { BUCKETS = 6, GAPS = 4 };

struct bucket {
    uint64_t n : 47;
    uint64_t decided : 1; /* verdict already given (unknown): counts in the gap, gets no other verdict */
    uint64_t period : 16;
};

/* As struct lossdir_verdict. Of 2^48 probes in one gap nobody will ever know. */
#define COUNT_MAX ((UINT64_C(1) << 48) - 1)
struct verdict {
    uint64_t forward : 48, period : 16;
    uint64_t backward : 48, : 16;
    uint64_t unknown : 48, : 16;
};

struct entry {
    uint32_t r;
    uint16_t period;
    bool received : 1, decided : 1;
};

struct lossdir {
    uint32_t seen_bits;
    bool stateful, any_seen, anchored, numbers_forgotten;
    bool restarting; /* a restart was seen at restart_s, which is not resolved yet */
    uint32_t restart_s;

    /* Numbers seen: bitmap of [r_floor, r_max]. */
    uint64_t r_floor, r_max;
    uint64_t dropped_unseen; /* numbers above the anchor that left the bitmap unseen */
    uint32_t s_max;

    uint32_t reach, reach_before, reach_left; /* G = the larger; reach_left resolves until they move on */

    /* Resolved probes [judged_s, next_s) are waiting for the look-ahead. */
    uint32_t next_s, judged_s;
    uint32_t received_before; /* bit i: probe judged_s - 1 - i was received */
    uint64_t r_top;           /* highest number among the judged since the anchor */
    uint64_t r_anchor;
    uint32_t s_anchor;

    struct bucket gap[BUCKETS]; /* lost probes since the anchor */
    unsigned n_gap;
    struct verdict out[BUCKETS];
    unsigned n_out;
    struct lossdir_gap decided[GAPS];
    unsigned n_decided;

    /* RING of them, when the reach is first not 0; until then each probe is judged at once, in `alone`. NULL
     * also when there was no memory for it. */
    struct entry *ring;
    struct entry alone;
    uint64_t seen[]; /* bit n % seen_bits */
};

static size_t bytes_of(uint32_t window)
{
    return sizeof(struct lossdir) + (size_t)window * SEEN_PER_PROBE / 8;
}

enum tw_rc lossdir_new(uint32_t window, bool stateful, struct lossdir **ret)
{
    struct lossdir *d;

    if (window < 16 || window & (window - 1) || window > 1u << 24)
        return TW_EINVAL;
    d = calloc(1, bytes_of(window));
    if (!d)
        return TW_ENOMEM;
    d->seen_bits = window * SEEN_PER_PROBE;
    d->stateful = stateful;
    d->r_anchor = d->r_top = R_BASE - 1;
    d->s_anchor = UINT32_MAX;
    d->reach_left = LOSSDIR_MEMORY;
    *ret = d;
    return TW_OK;
}

void lossdir_free(struct lossdir *d)
{
    if (d)
        free(d->ring);
    free(d);
}

bool lossdir_is_stateful(const struct lossdir *d)
{
    return d->stateful;
}

/* ---- Which numbers were seen ---- */

static bool is_seen(const struct lossdir *d, uint64_t r)
{
    uint64_t bit = r & (d->seen_bits - 1);

    return d->seen[bit / 64] >> (bit % 64) & 1;
}

static void mark(struct lossdir *d, uint64_t r)
{
    uint64_t bit = r & (d->seen_bits - 1);

    d->seen[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static void unmark(struct lossdir *d, uint64_t r)
{
    uint64_t bit = r & (d->seen_bits - 1);

    d->seen[bit / 64] &= ~(UINT64_C(1) << (bit % 64));
}

static uint64_t widen(const struct lossdir *d, uint32_t r)
{
    return d->r_max + (uint64_t)(int64_t)(int32_t)(r - (uint32_t)d->r_max);
}

static void start_numbers(struct lossdir *d, uint64_t r)
{
    memset(d->seen, 0, d->seen_bits / 8);
    d->r_max = r;
    d->r_floor = r;
    d->dropped_unseen = 0;
    d->numbers_forgotten = false;
}

/* Moves the bitmap up so that it ends at r > r_max; numbers that leave it are counted if they were never
 * seen. */
static void raise_to(struct lossdir *d, uint64_t r)
{
    uint64_t floor = r - d->r_floor < d->seen_bits ? d->r_floor : r - d->seen_bits + 1;
    uint64_t n = d->r_floor;

    for (; n < floor && n <= d->r_max; n++) {
        if (!is_seen(d, n) && n > d->r_anchor)
            d->dropped_unseen++;
        unmark(d, n);
    }
    if (n < floor)
        d->dropped_unseen += floor - n;
    d->r_floor = floor;
    d->r_max = r;
}

/* A new probe with an old number: unless it only overtook others, the reflector counts from the start again.
 * Numbers that run far ahead of the probes mean the same. */
static bool is_restart(const struct lossdir *d, uint32_t s, uint64_t r)
{
    uint32_t ahead = s - d->s_max;

    if ((int32_t)ahead <= 0)
        return false;
    if (r > d->r_max)
        return r - d->r_max > (uint64_t)ahead * 2 + d->seen_bits;
    return r < d->r_floor || is_seen(d, r) || d->r_max - r > REACH_MAX;
}

static void first_seen(struct lossdir *d, uint32_t s, uint32_t r)
{
    d->any_seen = true;
    start_numbers(d, R_BASE); /* as if 0 were the first, so that those before r count as unseen */
    d->s_max = s;
    if (r)
        raise_to(d, R_BASE + r);
    mark(d, R_BASE + r);
}

static enum lossdir_seen restart(struct lossdir *d, uint32_t s, uint64_t r)
{
    d->restarting = true;
    d->restart_s = s;
    d->s_max = s;
    start_numbers(d, R_BASE + (uint32_t)r);
    mark(d, d->r_max);
    return LOSSDIR_RESTART;
}

enum lossdir_seen lossdir_seen(struct lossdir *d, uint32_t s, uint32_t r, bool duplicate)
{
    uint64_t wide;

    if (r != s)
        d->stateful = true;
    if (!d->any_seen) {
        first_seen(d, s, r);
        return LOSSDIR_NEW;
    }
    if (d->restarting && (int32_t)(s - d->restart_s) < 0)
        return LOSSDIR_OLD;
    wide = widen(d, r);
    if (!duplicate && is_restart(d, s, wide))
        return restart(d, s, wide);
    if (!duplicate && (int32_t)(s - d->s_max) > 0)
        d->s_max = s;
    if (wide < d->r_floor)
        return LOSSDIR_OLD;
    if (wide > d->r_max)
        raise_to(d, wide);
    else if (is_seen(d, wide))
        return LOSSDIR_REPEAT;
    mark(d, wide);
    return LOSSDIR_NEW;
}

void lossdir_overtaken(struct lossdir *d, uint32_t extent)
{
    if (extent > d->reach)
        d->reach = extent;
}

static uint32_t reach_of(const struct lossdir *d)
{
    return d->reach > d->reach_before ? d->reach : d->reach_before;
}

/* ---- Verdicts ---- */

static void say(struct lossdir *d, uint16_t period, uint64_t forward, uint64_t backward, uint64_t unknown)
{
    struct verdict *v = d->out;

    while (v < d->out + d->n_out && v->period != period)
        v++;
    if (v ==
        d->out + BUCKETS) { /* the caller lets verdicts pile up; the oldest period is the one it has closed */
        memmove(d->out, d->out + 1, sizeof *v * --d->n_out);
        v--;
    }
    if (v == d->out + d->n_out) {
        *v = (struct verdict){ .period = period };
        d->n_out++;
    }
    v->forward = (v->forward + forward) & COUNT_MAX;
    v->backward = (v->backward + backward) & COUNT_MAX;
    v->unknown = (v->unknown + unknown) & COUNT_MAX;
}

enum tw_rc lossdir_next(struct lossdir *d, struct lossdir_verdict *ret)
{
    if (!d->n_out)
        return TW_EAGAIN;
    *ret = (struct lossdir_verdict){ .period = d->out[0].period,
                                     .forward = d->out[0].forward,
                                     .backward = d->out[0].backward,
                                     .unknown = d->out[0].unknown };
    memmove(d->out, d->out + 1, sizeof *d->out * --d->n_out);
    return TW_OK;
}

static void tell_gap(struct lossdir *d, uint32_t end, uint64_t forward, uint64_t backward)
{
    if (d->n_decided == GAPS)
        memmove(d->decided, d->decided + 1, sizeof *d->decided * --d->n_decided);
    d->decided[d->n_decided++] = (struct lossdir_gap){
        .first = d->s_anchor + 1, .end = end, .forward = (uint32_t)forward, .backward = (uint32_t)backward
    };
}

enum tw_rc lossdir_next_gap(struct lossdir *d, struct lossdir_gap *ret)
{
    if (!d->n_decided)
        return TW_EAGAIN;
    *ret = d->decided[0];
    memmove(d->decided, d->decided + 1, sizeof *d->decided * --d->n_decided);
    return TW_OK;
}

/* The bucket of this kind, made if there is room. */
static struct bucket *bucket_of(struct lossdir *d, uint16_t period, bool decided)
{
    for (unsigned i = 0; i < d->n_gap; i++)
        if (d->gap[i].decided == decided && (decided || d->gap[i].period == period))
            return &d->gap[i];
    if (d->n_gap >=
        (decided ? BUCKETS : BUCKETS - 1)) /* one is kept for the decided, and may be taken already */
        return NULL;
    d->gap[d->n_gap] = (struct bucket){ .period = period, .decided = decided };
    return &d->gap[d->n_gap++];
}

static void add_to_gap(struct lossdir *d, uint16_t period, bool decided)
{
    struct bucket *b = bucket_of(d, period, decided);

    if (!b) {
        say(d, period, 0, 0, 1);
        b = bucket_of(d, period, true);
    }
    b->n++;
}

static void decide_unknown(struct lossdir *d)
{
    for (unsigned i = 0; i < d->n_gap; i++)
        if (!d->gap[i].decided)
            say(d, d->gap[i].period, 0, 0, d->gap[i].n);
    d->n_gap = 0;
}

static uint64_t without(uint64_t n, uint64_t others)
{
    return n > others ? n - others : 0;
}

/* The gap has `backward` losses on the way back and `forward` on the way out; what of each is certainly a
 * period's own? */
static void decide(struct lossdir *d, uint32_t end, uint64_t forward, uint64_t backward)
{
    uint64_t total = forward + backward;

    tell_gap(d, end, forward, backward);
    for (unsigned i = 0; i < d->n_gap; i++) {
        const struct bucket *b = &d->gap[i];
        uint64_t f = without(forward, total - b->n), k = without(backward, total - b->n);
        if (!b->decided)
            say(d, b->period, f, k, b->n - f - k);
    }
    d->n_gap = 0;
}

static uint64_t gap_size(const struct lossdir *d)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < d->n_gap; i++)
        n += d->gap[i].n;
    return n;
}

/* Numbers between the anchor and r that nobody has seen. */
static uint64_t count_unseen(const struct lossdir *d, uint64_t r)
{
    uint64_t n = d->dropped_unseen;
    uint64_t from = d->r_anchor + 1 > d->r_floor ? d->r_anchor + 1 : d->r_floor;

    for (; from < r; from++)
        n += !is_seen(d, from);
    return n;
}

/* Before the first anchor the reflector is taken to have started from 0 with us, unless it has counted more
 * than we sent. */
static bool has_reference(const struct lossdir *d, uint32_t s, uint64_t r)
{
    return d->anchored || r - R_BASE <= s;
}

static void set_anchor(struct lossdir *d, uint32_t s, uint64_t r)
{
    d->anchored = true;
    d->s_anchor = s;
    d->r_anchor = d->r_top = r;
    d->dropped_unseen = 0;
    d->numbers_forgotten = r + 1 < d->r_floor;
}

static void cut(struct lossdir *d, uint32_t s, uint64_t r)
{
    uint64_t lost = gap_size(d), unseen;

    if (lost) {
        unseen = count_unseen(d, r);
        if (!d->stateful || !has_reference(d, s, r) || d->numbers_forgotten || r < d->r_floor ||
            unseen > lost + (uint32_t)(s - d->s_anchor) + REACH_MAX)
            decide_unknown(d);
        else /* more unseen than lost: second copies of probes, whose answers were lost */
            decide(d, s, unseen < lost ? lost - unseen : 0, unseen < lost ? unseen : lost);
    }
    set_anchor(d, s, r);
}

/* ---- Probes in order ---- */

static struct entry *entry_at(struct lossdir *d, uint32_t s)
{
    return d->ring ? &d->ring[s & (RING - 1)] : &d->alone;
}

static void pass(struct lossdir *d)
{
    d->received_before = d->received_before << 1 | entry_at(d, d->judged_s)->received;
    d->judged_s++;
}

/* Nothing near s can have changed places with it. */
static bool is_clear(struct lossdir *d, uint32_t s, uint64_t r, uint32_t reach)
{
    if (reach > REACH_MAX || (reach && !d->ring))
        return false;
    for (uint32_t i = 1; i <= reach; i++) {
        const struct entry *after = entry_at(d, s + i);
        bool before = d->received_before >> (i - 1) & 1;
        if ((i <= s && !before) || !after->received || widen(d, after->r) < r)
            return false;
    }
    return true;
}

static void judge(struct lossdir *d, uint32_t s, uint32_t reach)
{
    const struct entry *e = entry_at(d, s);
    uint64_t r;

    if (!e->received) {
        add_to_gap(d, e->period, e->decided);
        return;
    }
    r = widen(d, e->r);
    if (r <= d->r_top)
        return;
    d->r_top = r;
    if (is_clear(d, s, r, reach))
        cut(d, s, r);
}

static void judge_ready(struct lossdir *d)
{
    uint32_t reach = reach_of(d);
    uint32_t ahead = !d->ring ? 0 : reach < REACH_MAX ? reach : REACH_MAX;

    for (; d->next_s - d->judged_s > ahead; pass(d))
        judge(d, d->judged_s, reach);
}

/* Everything up to the first answer after a restart cannot be told. */
static void pass_restart(struct lossdir *d, uint32_t s)
{
    for (; d->judged_s != d->next_s; pass(d)) {
        const struct entry *e = entry_at(d, d->judged_s);
        if (!e->received)
            add_to_gap(d, e->period, e->decided);
    }
    decide_unknown(d);
    if (s == d->restart_s) {
        d->restarting = false;
        set_anchor(d, s, widen(d, entry_at(d, s)->r));
    }
}

static void age_reach(struct lossdir *d)
{
    if (--d->reach_left)
        return;
    d->reach_left = LOSSDIR_MEMORY;
    d->reach_before = d->reach;
    d->reach = 0;
}

/* While nothing has to wait is the time to get the ring, or to be rid of it. */
static void fit_ring(struct lossdir *d)
{
    bool wanted = reach_of(d) > 0;

    if (wanted == (d->ring != NULL) || d->judged_s != d->next_s)
        return;
    free(d->ring);
    d->ring = wanted ? calloc(RING, sizeof *d->ring) : NULL;
}

void lossdir_resolve(struct lossdir *d, uint32_t s, bool received, uint32_t r, uint16_t period)
{
    fit_ring(d);
    *entry_at(d, s) = (struct entry){ .r = r, .period = period, .received = received };
    d->next_s = s + 1;
    if (d->restarting)
        pass_restart(d, s);
    else
        judge_ready(d);
    age_reach(d);
}

void lossdir_close_period(struct lossdir *d, uint16_t period)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < d->n_gap; i++) {
        struct bucket b = d->gap[i];
        if (b.decided || b.period != period)
            continue;
        d->gap[i] = d->gap[--d->n_gap];
        bucket_of(d, period, true)->n += b.n;
        n += b.n;
        break;
    }
    for (uint32_t s = d->judged_s; s != d->next_s; s++) {
        struct entry *e = entry_at(d, s);
        if (e->received || e->decided || e->period != period)
            continue;
        e->decided = true;
        n++;
    }
    if (n)
        say(d, period, 0, 0, n);
}
