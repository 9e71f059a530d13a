/* agent/core/hoststate.c - see hoststate.h. */
#include "agent/core/hoststate.h"

#include <stdlib.h>

enum {
    LEVELS = 4,
    CELLS = 256,
    STEP = 64
}; /* STEP: how many cells of a level one of the next is as long as */

struct cell {
    int64_t index; /* time / width: what else is at this place is of another round of the ring */
    int64_t stall_max_ns;
    uint32_t stalls, wait_ppm, sent, lost;
};

struct outcome {
    struct tw_wall at;
    int32_t roundtrip_ns; /* saturated: the self-test gives up sooner */
};

struct hoststate {
    struct cell cells[LEVELS][CELLS];
    struct outcome outcomes[HOST_NOISE_MAX]; /* ring; those that came back */
    uint64_t n_outcomes;
    int32_t sorted[HOST_NOISE_MAX]; /* scratch */
    struct tw_wall last;            /* of the last input */
    struct host_totals totals;

    struct tw_mono stalled_until;
    bool stalled_once;

    struct tw_now wait_read;
    uint64_t wait_ns;
    bool wait_known;

    /* The last answer: sessions ask for the same span one after another. */
    int64_t cached_from, cached_to;
    bool cached;
    struct host_figures answer;
};

enum tw_rc hoststate_new(struct hoststate **ret)
{
    struct hoststate *h = calloc(1, sizeof *h);

    if (!h)
        return TW_ENOMEM;
    *ret = h;
    return TW_OK;
}

void hoststate_free(struct hoststate *h)
{
    free(h);
}

/* ---- Cells ---- */

static int64_t width_of(int level)
{
    int64_t w = TW_NS_PER_S;

    while (level-- > 0)
        w *= STEP;
    return w;
}

static int64_t index_of(int64_t wall_ns, int64_t width)
{
    return wall_ns < 0 ? 0 : wall_ns / width; /* a clock before 1970 has all its time in one cell */
}

static struct cell *cell_at(struct hoststate *h, int level, int64_t index)
{
    struct cell *c = &h->cells[level][index & (CELLS - 1)];

    if (c->index != index)
        *c = (struct cell){ .index = index };
    return c;
}

/* Something is about to change at that time. */
static void touch(struct hoststate *h, int64_t from_ns, struct tw_now now)
{
    if (from_ns < h->cached_to)
        h->cached = false;
    h->last = now.wall;
}

static void raise_cells(struct hoststate *h, int64_t from_ns, int64_t to_ns, int64_t stall_ns,
                        uint32_t wait_ppm)
{
    for (int level = 0; level < LEVELS; level++) {
        int64_t w = width_of(level), first = index_of(from_ns, w), last = index_of(to_ns, w);

        if (last - first >= CELLS)
            first = last - CELLS + 1;
        for (int64_t i = first; i <= last; i++) {
            struct cell *c = cell_at(h, level, i);
            if (c->stall_max_ns < stall_ns)
                c->stall_max_ns = stall_ns;
            if (c->wait_ppm < wait_ppm)
                c->wait_ppm = wait_ppm;
        }
    }
}

/* ---- Inputs ---- */

void hoststate_on_late(struct hoststate *h, struct tw_now now, int64_t late_ns)
{
    int64_t from_ns = now.wall.ns - late_ns;

    if (late_ns <= HOST_LATE_NS)
        return;
    touch(h, from_ns, now);
    if (!h->stalled_once || now.mono.ns - late_ns > h->stalled_until.ns) {
        h->totals.stalls++;
        for (int level = 0; level < LEVELS; level++)
            cell_at(h, level, index_of(from_ns, width_of(level)))->stalls++;
    }
    h->stalled_once = true;
    h->stalled_until = now.mono;
    raise_cells(h, from_ns, now.wall.ns, late_ns, 0);
}

void hoststate_on_cpu_wait(struct hoststate *h, struct tw_now now, uint64_t total_ns)
{
    int64_t elapsed_ns = now.mono.ns - h->wait_read.mono.ns;
    uint64_t waited_ns = total_ns - h->wait_ns;
    bool usable = h->wait_known && elapsed_ns > 0 && total_ns >= h->wait_ns;

    h->wait_read = now;
    h->wait_ns = total_ns;
    h->wait_known = true;
    if (!usable || !waited_ns)
        return;
    touch(h, now.wall.ns - elapsed_ns, now);
    if (waited_ns > (uint64_t)elapsed_ns) /* the kernel books it when the wait is over */
        waited_ns = (uint64_t)elapsed_ns;
    raise_cells(h, now.wall.ns - elapsed_ns, now.wall.ns, 0,
                (uint32_t)((double)waited_ns / (double)elapsed_ns * 1e6));
}

static void count_probe(struct hoststate *h, struct tw_now now, bool lost)
{
    touch(h, now.wall.ns, now);
    h->totals.sent++;
    h->totals.lost += lost;
    for (int level = 0; level < LEVELS; level++) {
        struct cell *c = cell_at(h, level, index_of(now.wall.ns, width_of(level)));
        c->sent++;
        c->lost += lost;
    }
}

void hoststate_on_probe(struct hoststate *h, struct tw_now now, int64_t roundtrip_ns)
{
    int32_t v = roundtrip_ns > INT32_MAX   ? INT32_MAX
                : roundtrip_ns < INT32_MIN ? INT32_MIN
                                           : (int32_t)roundtrip_ns;

    count_probe(h, now, false);
    h->outcomes[h->n_outcomes++ % HOST_NOISE_MAX] = (struct outcome){ now.wall, v };
}

void hoststate_on_lost_probe(struct hoststate *h, struct tw_now now)
{
    count_probe(h, now, true);
}

/* ---- Figures ---- */

/* Shell's: in place, without allocation, and a thousand values are few. */
static void sort(int32_t *v, size_t n)
{
    for (size_t gap = n / 2; gap > 0; gap = gap == 2 ? 1 : gap * 5 / 11)
        for (size_t i = gap; i < n; i++) {
            int32_t x = v[i];
            size_t k = i;
            for (; k >= gap && v[k - gap] > x; k -= gap)
                v[k] = v[k - gap];
            v[k] = x;
        }
}

/* By nearest rank, as everywhere. */
static int64_t rank(const int32_t *sorted, size_t n, unsigned percent)
{
    return sorted[(n * percent + 99) / 100 - 1];
}

/* The cells count whole seconds: in a span that ends within one, more probes may have come back than lie in
 * the span itself, or none at all. */
static void put_delays(struct hoststate *h, int64_t from_ns, int64_t to_ns, struct tw_noise *noise)
{
    uint64_t oldest = h->n_outcomes < HOST_NOISE_MAX ? 0 : h->n_outcomes - HOST_NOISE_MAX;
    int64_t cell_from = index_of(from_ns, TW_NS_PER_S) * TW_NS_PER_S;
    int64_t cell_to = (index_of(to_ns - 1, TW_NS_PER_S) + 1) * TW_NS_PER_S;
    size_t n = 0;

    for (uint64_t i = oldest; i < h->n_outcomes; i++) {
        const struct outcome *o = &h->outcomes[i % HOST_NOISE_MAX];
        if (o->at.ns >= cell_from && o->at.ns < cell_to)
            h->sorted[n++] = o->roundtrip_ns;
    }
    if (!n) { /* their delays have been forgotten: so are they */
        noise->sent = noise->lost;
        return;
    }
    sort(h->sorted, n);
    noise->p50_ns = rank(h->sorted, n, 50);
    noise->p99_ns = rank(h->sorted, n, 99);
    noise->max_ns = h->sorted[n - 1];
}

static int level_for(const struct hoststate *h, int64_t from_ns)
{
    for (int level = 0; level < LEVELS - 1; level++) {
        int64_t w = width_of(level);
        if (index_of(h->last.ns, w) - index_of(from_ns, w) < CELLS)
            return level;
    }
    return LEVELS - 1;
}

static void add_up(struct hoststate *h, int64_t from_ns, int64_t to_ns, struct host_figures *f)
{
    int level = level_for(h, from_ns);
    int64_t w = width_of(level), first = index_of(from_ns, w), last = index_of(to_ns - 1, w);

    if (last - first >= CELLS)
        first = last - CELLS + 1;
    for (int64_t i = first; i <= last; i++) {
        const struct cell *c = &h->cells[level][i & (CELLS - 1)];
        if (c->index != i)
            continue;
        f->stalls += c->stalls;
        f->noise.sent += c->sent;
        f->noise.lost += c->lost;
        if (f->stall_max_ns < c->stall_max_ns)
            f->stall_max_ns = c->stall_max_ns;
        if (f->cpu_wait_ppm < c->wait_ppm)
            f->cpu_wait_ppm = c->wait_ppm;
    }
    if (f->stall_max_ns && !f->stalls)
        f->stalls = 1;
}

void hoststate_figures(struct hoststate *h, struct tw_wall from, struct tw_wall to, struct host_figures *ret)
{
    struct host_figures f = { 0 };

    if (!h->cached || h->cached_from != from.ns || h->cached_to != to.ns) {
        if (from.ns < to.ns)
            add_up(h, from.ns, to.ns, &f);
        if (f.noise.sent > f.noise.lost)
            put_delays(h, from.ns, to.ns, &f.noise);
        h->answer = f;
        h->cached_from = from.ns;
        h->cached_to = to.ns;
        h->cached = true;
    }
    *ret = h->answer;
}

void hoststate_totals(const struct hoststate *h, struct host_totals *ret)
{
    *ret = h->totals;
}

void hoststate_fill(struct hoststate *h, struct tw_summary *s)
{
    struct host_figures f;

    hoststate_figures(h, (struct tw_wall){ s->start_ns }, (struct tw_wall){ s->end_ns }, &f);
    s->host_stalls = f.stalls;
    s->host_stall_max_ns = f.stall_max_ns;
    s->host_cpu_wait_ppm = f.cpu_wait_ppm;
    s->noise = f.noise;
}
