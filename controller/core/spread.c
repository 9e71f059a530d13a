#include "controller/core/spread.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* ---- Slots of a pair ---- */

/* Counted from 0. */
static unsigned slot_of_flow(unsigned first, uint32_t flow, uint32_t flows)
{
    return (first + (unsigned)((uint64_t)flow * SPREAD_SLOTS / flows)) % SPREAD_SLOTS;
}

/* The finaliser of MurmurHash3. */
static uint64_t mix(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

static int64_t slot_begin(int64_t every_ns, unsigned slot)
{
    return (int64_t)((__int128)every_ns * slot / SPREAD_SLOTS);
}

int64_t spread_phase_ns(int64_t every_ns, unsigned slot, uint32_t flow, uint32_t flows, uint64_t pair_id)
{
    unsigned at = slot_of_flow(slot - 1, flow, flows);
    int64_t begin = slot_begin(every_ns, at), width = slot_begin(every_ns, at + 1) - begin;

    return begin + (int64_t)((unsigned __int128)mix(mix(pair_id) + flow) * (uint64_t)width >> 64);
}

/* ---- Groups ---- */

static bool is_before(const struct spread_group *g, int64_t every_ns, uint64_t source)
{
    return g->every_ns != every_ns ? g->every_ns < every_ns : g->source < source;
}

/* Where it is, or where it would go. */
static size_t place_of(const struct spread *s, int64_t every_ns, uint64_t source)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (is_before(s->v[middle], every_ns, source))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct spread_group *find(const struct spread *s, int64_t every_ns, uint64_t source)
{
    size_t i = place_of(s, every_ns, source);

    return i < s->n && s->v[i]->every_ns == every_ns && s->v[i]->source == source ? s->v[i] : NULL;
}

static struct spread_group *make(struct spread *s, int64_t every_ns, uint64_t source)
{
    size_t i = place_of(s, every_ns, source);
    struct spread_group **more = reallocarray(s->v, s->n + 1, sizeof *more), *g;

    if (!more)
        return NULL;
    s->v = more;
    g = calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->every_ns = every_ns;
    g->source = source;
    memmove(more + i + 1, more + i, (s->n - i) * sizeof(struct spread_group *));
    s->n++;
    return more[i] = g;
}

static void drop(struct spread *s, struct spread_group *g)
{
    size_t i = place_of(s, g->every_ns, g->source);

    s->n--;
    memmove(s->v + i, s->v + i + 1, (s->n - i) * sizeof(struct spread_group *));
    free(g);
}

enum tw_rc spread_copy(const struct spread *s, struct spread *ret)
{
    struct spread copy = { 0 };

    copy.v = s->n ? calloc(s->n, sizeof *copy.v) : NULL;
    if (s->n && !copy.v)
        return TW_ENOMEM;
    for (; copy.n < s->n; copy.n++) {
        struct spread_group *g = malloc(sizeof *g);

        if (!g) {
            spread_free(&copy);
            return TW_ENOMEM;
        }
        *g = *s->v[copy.n];
        copy.v[copy.n] = g;
    }
    *ret = copy;
    return TW_OK;
}

void spread_free(struct spread *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i]);
    free(s->v);
    *s = (struct spread){ 0 };
}

static struct spread_group *find_or_make(struct spread *s, int64_t every_ns, uint64_t source)
{
    struct spread_group *g = find(s, every_ns, source);

    return g ? g : make(s, every_ns, source);
}

static void count(struct spread_group *g, unsigned slot, uint32_t flows)
{
    for (uint32_t flow = 0; flow < flows; flow++)
        g->load[slot_of_flow(slot - 1, flow, flows)]++;
    g->sessions += flows;
}

enum tw_rc spread_add(struct spread *s, const struct spread_runs *r, unsigned slot)
{
    struct spread_group *all = find_or_make(s, r->every_ns, 0);
    struct spread_group *own = all ? find_or_make(s, r->every_ns, r->source) : NULL;

    if (own) {
        count(all, slot, r->flows);
        count(own, slot, r->flows);
        return TW_OK;
    }
    if (all && !all->sessions)
        drop(s, all);
    return TW_ENOMEM;
}

static void uncount(struct spread *s, struct spread_group *g, unsigned slot, uint32_t flows)
{
    if (!g)
        return;
    for (uint32_t flow = 0; flow < flows; flow++)
        g->load[slot_of_flow(slot - 1, flow, flows)]--;
    g->sessions -= flows;
    if (!g->sessions)
        drop(s, g);
}

void spread_remove(struct spread *s, const struct spread_runs *r, unsigned slot)
{
    uncount(s, find(s, r->every_ns, r->source), slot, r->flows);
    uncount(s, find(s, r->every_ns, 0), slot, r->flows);
}

static int by_place(const void *a, const void *b)
{
    const struct spread_group *x = *(struct spread_group *const *)a, *y = *(struct spread_group *const *)b;

    return is_before(y, x->every_ns, x->source) - is_before(x, y->every_ns, y->source);
}

void spread_rename(struct spread *s, uint64_t source, uint64_t now)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i]->source == source)
            s->v[i]->source = now;
    if (s->n)
        qsort(s->v, s->n, sizeof(struct spread_group *), by_place);
}

/* ---- Choosing ---- */

/* How full it is there, to be compared: the fullest of the slots counts, then all of them. */
#define LEVEL 64 /* between two that differ by one in the fullest */

static uint32_t level_of_flows(const struct spread_group *g, unsigned first, uint32_t flows)
{
    uint64_t most = 0, sum = 0, free;

    for (uint32_t flow = 0; flow < flows; flow++) {
        uint64_t load = g->load[slot_of_flow(first, flow, flows)];

        most = load > most ? load : most;
        sum += load;
    }
    free = most * flows - sum;
    return (uint32_t)(most * LEVEL + LEVEL - 1 - (free < LEVEL ? free : LEVEL - 1));
}

/* g NULL: nothing is there. A million pairs may come at once: so this and what follows has loops that the
 * compiler makes several turns of at a time. */
static void levels_of(const struct spread_group *g, uint32_t flows, uint32_t *restrict ret)
{
    static const struct spread_group nothing;
    const uint32_t *load = g ? g->load : nothing.load;

    for (unsigned i = 0; i < SPREAD_SLOTS; i++)
        ret[i] = load[i] * LEVEL + LEVEL - 1;
    for (unsigned i = 0; g && flows != 1 && i < SPREAD_SLOTS; i++)
        ret[i] = level_of_flows(g, i, flows);
}

/* A fifth more than the average, and one: with 1,000 sessions and five slots in a second that is 3 % at most.
 */
static bool has_room(const struct spread_group *g, unsigned first, uint32_t flows)
{
    uint64_t after = level_of_flows(g, first, flows) / LEVEL + 1;

    return 5 * SPREAD_SLOTS * after <= 6 * (g->sessions + flows) + 5 * SPREAD_SLOTS;
}

/* An agent may have a few anywhere: of one with 1,000 that is 3 %, too. So one that went comes back to where
 * it was. */
static bool own_has_room(const struct spread_group *g, unsigned first, uint32_t flows)
{
    return level_of_flows(g, first, flows) / LEVEL + 1 <= 6 || has_room(g, first, flows);
}

/* One more than the average: 2.5 % in a second with 1,000 sessions. In larger fleets a fifth, so that agents
 * have a choice. */
static uint32_t most_allowed(const struct spread_group *all, uint32_t flows)
{
    uint64_t sessions = all->sessions + flows;
    uint64_t one_more = (sessions + SPREAD_SLOTS) / SPREAD_SLOTS,
             fifth_more = 6 * sessions / (5 * SPREAD_SLOTS);

    return (uint32_t)(one_more > fifth_more ? one_more : fifth_more);
}

static inline uint32_t least_of(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* What is less is better: where the fleet leaves room, and there first what the agent has, then what the
 * fleet has. */
static void rank(const uint32_t *restrict all, const uint32_t *restrict own, uint32_t most,
                 uint32_t *restrict ret)
{
    uint32_t limit = most * LEVEL;

    for (unsigned i = 0; i < SPREAD_SLOTS; i++) {
        uint32_t crowded = 0xffff0000 | least_of(all[i] - limit, 0xffff);
        uint32_t room = least_of(own[i], 0xfffe) << 16 | (0xffff - least_of(limit - all[i], 0xffff));

        ret[i] = all[i] < limit ? room : crowded;
    }
}

static unsigned best_from(const uint32_t v[SPREAD_SLOTS], unsigned from)
{
    uint32_t least = UINT32_MAX;
    unsigned at = from;

    for (unsigned i = 0; i < SPREAD_SLOTS; i++)
        least = least_of(least, v[i]);
    while (v[at] != least)
        at = at + 1 < SPREAD_SLOTS ? at + 1 : 0;
    return at;
}

unsigned spread_choose(const struct spread *s, const struct spread_runs *r, unsigned had, uint64_t seed)
{
    const struct spread_group *all = find(s, r->every_ns, 0), *own = find(s, r->every_ns, r->source);
    uint32_t of_all[SPREAD_SLOTS], of_own[SPREAD_SLOTS], ranks[SPREAD_SLOTS];
    unsigned from = (unsigned)(mix(seed) % SPREAD_SLOTS);

    if (!all)
        return had ? had : from + 1;
    if (had && has_room(all, had - 1, r->flows) && (!own || own_has_room(own, had - 1, r->flows)))
        return had;
    levels_of(all, r->flows, of_all);
    levels_of(own, r->flows, of_own);
    rank(of_all, of_own, most_allowed(all, r->flows), ranks);
    return best_from(ranks, from) + 1;
}
