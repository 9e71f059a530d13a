/* agent/core/flight.c - see flight.h. A record has a position, counted from the session's start; chunk k of a
 * ring holds the positions from k * CHUNK on. A ring holds the chunks from `tail` to `head` without gaps. */
#include "agent/core/flight.h"

#include <stdlib.h>

enum { CHUNK = 32 };
#define KEPT_WINDOW_NS (60 * TW_NS_PER_S)

struct flight_pool {
    uint32_t probes, loss_run;
    uint32_t n_chunks, fresh; /* those from `fresh` on have never been used */
    uint32_t *spare, n_spare;
    struct flight_record *records;
    struct flight *rings, *hand; /* hand: where the search for one that has more than its share goes on */
    uint64_t n_rings, refused, withheld;
    int64_t kept_now_ns, kept_before_ns, kept_since_ns; /* the least of two windows of time */
};

struct flight {
    struct flight_pool *pool; /* NULL: not attached */
    struct flight *prev, *next;
    uint32_t max_chunks, mask;
    uint64_t tail, head; /* positions; tail is that of a whole chunk */
    uint32_t newest;     /* seq at head - 1 */
    uint64_t undecided;  /* no lost record before this waits for its verdict */
    uint64_t gone;       /* lost ones that left the ring without a verdict */
    uint64_t run;        /* lost without one received in between */
    int64_t run_ns, told_ns;
    bool told, ever_told, waiting;
    struct flight_incident incident;
    uint32_t chunk[]; /* number in the pool, by position / CHUNK & mask */
};

const char *flight_fate_name(enum flight_fate f)
{
    static const char *const names[FLIGHT_FATE_COUNT] = { "in_flight", "received", "lost", "late",
                                                          "send_error" };

    return (unsigned)f < FLIGHT_FATE_COUNT ? names[f] : "unknown";
}

/* ---- The pool ---- */

/* One more than fit exactly: the newest chunk is not full. */
static uint32_t chunks_for(uint32_t probes)
{
    return (probes + CHUNK - 1) / CHUNK + 1;
}

enum tw_rc flight_pool_new(size_t bytes, uint32_t probes, uint32_t loss_run, struct flight_pool **ret)
{
    size_t n = bytes / (CHUNK * sizeof(struct flight_record));
    struct flight_pool *p;

    if (!probes || probes > FLIGHT_PROBES_MAX || !n || n > UINT32_MAX)
        return TW_EINVAL;
    p = calloc(1, sizeof *p);
    if (!p)
        return TW_ENOMEM;
    p->probes = probes;
    p->loss_run = loss_run;
    p->n_chunks = (uint32_t)n;
    p->kept_now_ns = p->kept_before_ns = INT64_MAX;
    p->spare = calloc(n, sizeof *p->spare);
    p->records =
        calloc(n, CHUNK * sizeof *p->records); /* so large that the kernel gives pages as they are touched */
    if (!p->spare || !p->records) {
        flight_pool_free(p);
        return TW_ENOMEM;
    }
    *ret = p;
    return TW_OK;
}

void flight_pool_free(struct flight_pool *p)
{
    if (!p)
        return;
    free(p->records);
    free(p->spare);
    free(p);
}

static uint32_t share_of(const struct flight_pool *p)
{
    uint64_t n = p->n_rings ? p->n_chunks / p->n_rings : p->n_chunks;

    return n ? (uint32_t)n : 1;
}

void flight_pool_stats(const struct flight_pool *p, struct flight_stats *ret)
{
    int64_t kept = p->kept_now_ns < p->kept_before_ns ? p->kept_now_ns : p->kept_before_ns;
    uint64_t share = (uint64_t)share_of(p) * CHUNK;

    *ret = (struct flight_stats){ .sessions = p->n_rings,
                                  .octets = (uint64_t)(p->fresh - p->n_spare) * CHUNK *
                                            sizeof(struct flight_record),
                                  .share = share < p->probes ? share : p->probes,
                                  .kept_min_ns = kept == INT64_MAX ? 0 : kept,
                                  .refused = p->refused,
                                  .withheld = p->withheld };
}

static void note_kept(struct flight_pool *p, int64_t now_ns, int64_t kept_ns)
{
    int64_t age;

    if (__builtin_sub_overflow(now_ns, p->kept_since_ns, &age) || llabs(age) > KEPT_WINDOW_NS) {
        p->kept_before_ns = p->kept_now_ns;
        p->kept_now_ns = INT64_MAX;
        p->kept_since_ns = now_ns;
    }
    if (kept_ns >= 0 && kept_ns < p->kept_now_ns)
        p->kept_now_ns = kept_ns;
}

/* ---- Rings ---- */

enum tw_rc flight_new(uint32_t probes, struct flight **ret)
{
    uint32_t chunks = chunks_for(probes), n = 2;
    struct flight *f;

    if (!probes || probes > FLIGHT_PROBES_MAX)
        return TW_EINVAL;
    while (n < chunks)
        n *= 2;
    f = calloc(1, sizeof *f + n * sizeof f->chunk[0]);
    if (!f)
        return TW_ENOMEM;
    f->max_chunks = chunks;
    f->mask = n - 1;
    *ret = f;
    return TW_OK;
}

void flight_free(struct flight *f)
{
    free(f);
}

void flight_attach(struct flight *f, struct flight_pool *p)
{
    f->pool = p;
    f->next = p->rings;
    if (f->next)
        f->next->prev = f;
    p->rings = f;
    p->n_rings++;
}

static uint32_t *chunk_at(struct flight *f, uint64_t pos)
{
    return &f->chunk[pos / CHUNK & f->mask];
}

static struct flight_record *record_at(const struct flight *f, uint64_t pos)
{
    return &f->pool->records[(size_t)f->chunk[pos / CHUNK & f->mask] * CHUNK + pos % CHUNK];
}

static uint32_t chunks_of(const struct flight *f)
{
    return (uint32_t)((f->head + CHUNK - 1) / CHUNK - f->tail / CHUNK);
}

static bool is_waiting(const struct flight_record *r)
{
    return (r->fate == FLIGHT_LOST || r->fate == FLIGHT_LATE) && !(r->flags & FLIGHT_DECIDED);
}

/* Takes the oldest chunk, which is full, out of the ring. */
static uint32_t drop_oldest(struct flight *f)
{
    uint32_t chunk = *chunk_at(f, f->tail);
    int64_t newest_ns = record_at(f, f->head - 1)->t1_ns, kept_ns;

    for (; f->undecided < f->tail + CHUNK; f->undecided++)
        f->gone += is_waiting(record_at(f, f->undecided));
    f->tail += CHUNK;
    kept_ns = f->tail < f->head ? newest_ns - record_at(f, f->tail)->t1_ns : 0;
    note_kept(f->pool, newest_ns, kept_ns ? kept_ns : 1);
    return chunk;
}

void flight_detach(struct flight *f)
{
    struct flight_pool *p = f->pool;

    if (!p)
        return;
    for (; f->tail < f->head; f->tail += CHUNK)
        p->spare[p->n_spare++] = *chunk_at(f, f->tail);
    if (p->hand == f)
        p->hand = f->next;
    *(f->prev ? &f->prev->next : &p->rings) = f->next;
    if (f->next)
        f->next->prev = f->prev;
    f->prev = f->next = NULL;
    f->head = f->tail = f->undecided = 0;
    f->pool = NULL;
    p->n_rings--;
}

/* Another ring that has more than its share; there is one if this one has less and no chunk is free. */
static struct flight *find_rich(struct flight_pool *p, uint32_t share)
{
    for (uint64_t i = 0; i < p->n_rings; i++) {
        struct flight *f = p->hand ? p->hand : p->rings;
        p->hand = f->next;
        if (chunks_of(f) > share)
            return f;
    }
    return NULL;
}

static bool grow(struct flight *f)
{
    struct flight_pool *p = f->pool;
    uint32_t own = chunks_of(f), share = share_of(p), chunk;
    struct flight *rich;

    if (own >= f->max_chunks)
        chunk = drop_oldest(f);
    else if (p->n_spare)
        chunk = p->spare[--p->n_spare];
    else if (p->fresh < p->n_chunks)
        chunk = p->fresh++;
    else if (own >= share)
        chunk = drop_oldest(f);
    else if ((rich = find_rich(p, share)))
        chunk = drop_oldest(rich);
    else
        return false;
    *chunk_at(f, f->head) = chunk;
    return true;
}

/* ---- Feeding ---- */

/* The record of probe `seq`. Without send errors it is as far from the newest as its number; each error has a
 * place of its own, under the number of the probe that follows it. */
static struct flight_record *find(const struct flight *f, uint32_t seq)
{
    uint32_t back = f->newest - seq;
    uint64_t low = f->tail, high = f->head;
    struct flight_record *r;

    if (!f->pool)
        return NULL;
    r = back < high - low ? record_at(f, high - 1 - back) : NULL;
    if (r && r->seq == seq && r->fate != FLIGHT_SEND_ERROR)
        return r;
    while (low < high) { /* the first one with a higher number */
        uint64_t mid = low + (high - low) / 2;
        if ((int32_t)(record_at(f, mid)->seq - seq) > 0)
            high = mid;
        else
            low = mid + 1;
    }
    if (low == f->tail)
        return NULL;
    r = record_at(f, low - 1);
    return r->seq == seq && r->fate != FLIGHT_SEND_ERROR ? r : NULL;
}

void flight_sent(struct flight *f, uint32_t seq, struct tw_wall t1)
{
    if (!f->pool)
        return;
    if (f->head % CHUNK == 0 && !grow(f)) {
        f->pool->refused++;
        return;
    }
    f->newest = seq;
    *record_at(f, f->head++) = (struct flight_record){ .t1_ns = t1.ns, .seq = seq, .way = TW_UNKNOWN };
}

void flight_not_sent(struct flight *f)
{
    if (f->pool && f->head > f->tail && record_at(f, f->head - 1)->fate == FLIGHT_IN_FLIGHT)
        record_at(f, f->head - 1)->fate = FLIGHT_SEND_ERROR;
}

static uint8_t known(int16_t v)
{
    return v < 0 ? 0 : (uint8_t)v;
}

static unsigned source(enum tw_ts_source s)
{
    return s <= TW_TS_HARDWARE ? (unsigned)s : TW_TS_UNKNOWN;
}

uint8_t flight_flags(unsigned flags, enum tw_ts_source tx, enum tw_ts_source rx)
{
    return (uint8_t)(flags | source(tx) << 4 | source(rx) << 6);
}

static unsigned flags_of(const struct flight_answer *a)
{
    return (a->timed ? FLIGHT_TIMED : 0) | (a->tos_forward >= 0 ? FLIGHT_TOS_FORWARD : 0) |
           (a->tos_backward >= 0 ? FLIGHT_TOS_BACKWARD : 0);
}

void flight_answered(struct flight *f, uint32_t seq, bool late, const struct flight_answer *a)
{
    struct flight_record *r = find(f, seq);

    if (!r)
        return;
    r->fate = late ? FLIGHT_LATE : FLIGHT_RECEIVED;
    r->flags = flight_flags(flags_of(a) | (r->flags & FLIGHT_DECIDED), a->tx_source, a->rx_source);
    if (a->timed) {
        r->forward_ns = a->forward_ns;
        r->backward_ns = a->backward_ns;
        r->residence_ns = a->residence_ns < UINT32_MAX ? (uint32_t)a->residence_ns : UINT32_MAX;
    }
    r->ttl_forward = known(a->ttl_forward);
    r->ttl_backward = known(a->ttl_backward);
    r->tos_forward = known(a->tos_forward);
    r->tos_backward = known(a->tos_backward);
}

void flight_duplicate(struct flight *f, uint32_t seq)
{
    struct flight_record *r = find(f, seq);

    if (r && r->duplicates < UINT8_MAX)
        r->duplicates++;
}

/* ---- Incidents ---- */

static void tell(struct flight *f, int64_t at_ns, bool ended)
{
    f->incident = (struct flight_incident){ f->run_ns, at_ns, f->run, ended };
    f->waiting = true;
}

static void begin_incident(struct flight *f)
{
    int64_t age;

    if (f->ever_told && !__builtin_sub_overflow(f->run_ns, f->told_ns, &age) &&
        llabs(age) < FLIGHT_INCIDENT_GAP_NS) {
        f->pool->withheld++;
        return;
    }
    f->told = f->ever_told = true;
    f->told_ns = f->run_ns;
    tell(f, f->run_ns, false);
}

void flight_lost(struct flight *f, uint32_t seq, struct tw_wall t1)
{
    struct flight_record *r = find(f, seq);

    if (!f->pool)
        return;
    if (r)
        r->fate = FLIGHT_LOST;
    else
        f->gone++;
    if (!f->run++)
        f->run_ns = t1.ns;
    if (f->run == f->pool->loss_run)
        begin_incident(f);
}

void flight_passed(struct flight *f, struct tw_wall t1)
{
    if (!f->run)
        return;
    if (f->told && t1.ns - f->run_ns >= FLIGHT_LONG_RUN_NS)
        tell(f, t1.ns, true);
    f->run = 0;
    f->told = false;
}

bool flight_next_incident(struct flight *f, struct flight_incident *ret)
{
    if (!f->waiting)
        return false;
    f->waiting = false;
    *ret = f->incident;
    return true;
}

/* ---- Verdicts ---- */

void flight_decided(struct flight *f, uint64_t forward, uint64_t backward, uint64_t unknown)
{
    uint64_t n = forward + backward + unknown, gone = n < f->gone ? n : f->gone;
    uint8_t way = forward == n ? TW_FORWARD : backward == n ? TW_BACKWARD : TW_UNKNOWN;

    f->gone -= gone;
    for (n -= gone; f->pool && n && f->undecided < f->head; f->undecided++) {
        struct flight_record *r = record_at(f, f->undecided);
        if (r->fate == FLIGHT_IN_FLIGHT)
            break;
        if (!is_waiting(r))
            continue;
        r->flags |= FLIGHT_DECIDED;
        r->way = way;
        n--;
    }
}

/* ---- Reading ---- */

void flight_kept(const struct flight *f, struct flight_kept *ret)
{
    *ret = (struct flight_kept){ 0 };
    if (!f->pool || f->head == f->tail)
        return;
    ret->first_ns = record_at(f, f->tail)->t1_ns;
    ret->last_ns = record_at(f, f->head - 1)->t1_ns;
    ret->n = f->head - f->tail;
}

static bool is_within(const struct flight_record *r, const struct flight_span *s)
{
    return r->t1_ns >= s->from_ns && r->t1_ns < s->to_ns;
}

/* By looking at each: after a step of the wall clock they are not in order of T1. */
size_t flight_read(const struct flight *f, const struct flight_span *span, struct flight_record *ret,
                   size_t cap, uint64_t *ret_total)
{
    uint64_t total = 0, before = 0, skip = 0;
    size_t n = 0;

    for (uint64_t i = f->tail; f->pool && i < f->head; i++) {
        const struct flight_record *r = record_at(f, i);
        if (!is_within(r, span))
            continue;
        total++;
        before += r->t1_ns < span->at_ns;
    }
    if (total > cap)
        skip = before > cap / 2 ? before - cap / 2 : 0;
    if (total > cap && skip > total - cap)
        skip = total - cap;
    for (uint64_t i = f->tail; f->pool && i < f->head && n < cap; i++) {
        const struct flight_record *r = record_at(f, i);
        if (!is_within(r, span) || (skip && skip--))
            continue;
        ret[n++] = *r;
    }
    *ret_total = total;
    return n;
}
