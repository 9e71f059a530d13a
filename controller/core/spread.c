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

/* Where it is, or where it would go. */
static size_t place_of(const struct spread *s, int64_t every_ns)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (s->v[middle].every_ns < every_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct spread_group *find(const struct spread *s, int64_t every_ns)
{
    size_t i = place_of(s, every_ns);

    return i < s->n && s->v[i].every_ns == every_ns ? &s->v[i] : NULL;
}

static struct spread_group *make(struct spread *s, int64_t every_ns)
{
    size_t i = place_of(s, every_ns);
    struct spread_group *more = reallocarray(s->v, s->n + 1, sizeof *more);

    if (!more)
        return NULL;
    s->v = more;
    memmove(more + i + 1, more + i, (s->n - i) * sizeof *more);
    s->n++;
    more[i] = (struct spread_group){ .every_ns = every_ns };
    return &more[i];
}

enum tw_rc spread_copy(const struct spread *s, struct spread *ret)
{
    struct spread_group *v = NULL;

    if (s->n) {
        v = malloc(s->n * sizeof *v);
        if (!v)
            return TW_ENOMEM;
        memcpy(v, s->v, s->n * sizeof *v);
    }
    *ret = (struct spread){ v, s->n };
    return TW_OK;
}

void spread_free(struct spread *s)
{
    free(s->v);
    *s = (struct spread){ 0 };
}

enum tw_rc spread_add(struct spread *s, int64_t every_ns, unsigned slot, uint32_t flows)
{
    struct spread_group *g = find(s, every_ns);

    if (!g)
        g = make(s, every_ns);
    if (!g)
        return TW_ENOMEM;
    for (uint32_t flow = 0; flow < flows; flow++)
        g->load[slot_of_flow(slot - 1, flow, flows)]++;
    g->sessions += flows;
    return TW_OK;
}

void spread_remove(struct spread *s, int64_t every_ns, unsigned slot, uint32_t flows)
{
    struct spread_group *g = find(s, every_ns);

    if (!g)
        return;
    for (uint32_t flow = 0; flow < flows; flow++)
        g->load[slot_of_flow(slot - 1, flow, flows)]--;
    g->sessions -= flows;
    if (g->sessions)
        return;
    s->n--;
    memmove(g, g + 1, (size_t)(s->v + s->n - g) * sizeof *g);
}

/* ---- Choosing ---- */

/* How full it would be there: the fullest of the slots counts, then all of them. */
static uint64_t fullness(uint64_t most, uint64_t sum)
{
    return most << 32 | (sum < UINT32_MAX ? sum : UINT32_MAX);
}

static uint64_t fullness_at(const struct spread_group *g, unsigned first, uint32_t flows)
{
    uint64_t most = 0, sum = 0;

    if (flows == 1)
        return fullness(g->load[first], g->load[first]);
    for (uint32_t flow = 0; flow < flows; flow++) {
        uint64_t load = g->load[slot_of_flow(first, flow, flows)];

        most = load > most ? load : most;
        sum += load;
    }
    return fullness(most, sum);
}

/* A fifth more than the average, and one: with 1,000 sessions and five slots in a second that is 3 % at most.
 */
static bool has_room(const struct spread_group *g, unsigned first, uint32_t flows)
{
    uint64_t after = (fullness_at(g, first, flows) >> 32) + 1;

    return 5 * SPREAD_SLOTS * after <= 6 * (g->sessions + flows) + 5 * SPREAD_SLOTS;
}

static uint32_t least_load(const struct spread_group *g)
{
    uint32_t least = g->load[0];

    for (unsigned i = 1; i < SPREAD_SLOTS; i++)
        least = g->load[i] < least ? g->load[i] : least;
    return least;
}

/* A million pairs may come at once: the search ends where none can be better. */
static unsigned emptiest(const struct spread_group *g, uint32_t flows, unsigned from)
{
    uint64_t bound = least_load(g), least = UINT64_MAX;
    unsigned found = from;

    bound = fullness(bound, bound * flows);
    for (unsigned i = 0; i < SPREAD_SLOTS && least != bound; i++) {
        unsigned at = from + i < SPREAD_SLOTS ? from + i : from + i - SPREAD_SLOTS;
        uint64_t full = fullness_at(g, at, flows);

        if (full >= least)
            continue;
        least = full;
        found = at;
    }
    return found;
}

unsigned spread_choose(const struct spread *s, int64_t every_ns, uint32_t flows, unsigned had, uint64_t seed)
{
    const struct spread_group *g = find(s, every_ns);
    unsigned from = (unsigned)(mix(seed) % SPREAD_SLOTS);

    if (!g)
        return had ? had : from + 1;
    if (had && has_room(g, had - 1, flows))
        return had;
    return emptiest(g, flows, from) + 1;
}
