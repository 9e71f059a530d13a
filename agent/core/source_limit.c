/* agent/core/source_limit.c - generic cell rate algorithm. Two threads that meet in a place may let through a
 * packet or two more than they should, never fewer; nothing worse comes of it. */
#include "agent/core/source_limit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { WAYS = 7, RATE_MAX = 10000000, TRIES = 4 };
/* Threads' clocks lie less apart than that: a bucket so far beyond its burst was emptied at another rate. */
#define CHANGED_NS TW_NS_PER_S

/* Two cache lines: who, and when its bucket is full. */
struct set {
    _Alignas(64) _Atomic uint64_t who[WAYS]; /* hash of the source; 0: nobody yet */
    _Atomic int64_t late;                    /* of all who found no place */
    _Alignas(64) _Atomic int64_t full[WAYS]; /* monotonic */
};

struct source_limit {
    _Atomic int64_t gap_ns, burst_ns; /* gap_ns 0: no limit */
    uint64_t seed, mask;
    struct set set[];
};

static bool is_rate(int64_t per_second, int64_t burst)
{
    return per_second >= 0 && per_second <= RATE_MAX && burst >= 0;
}

enum tw_rc source_limit_set(struct source_limit *l, int64_t per_second, int64_t burst)
{
    int64_t gap_ns;

    if (!is_rate(per_second, burst))
        return TW_EINVAL;
    gap_ns = per_second ? TW_NS_PER_S / per_second : 0;
    atomic_store_explicit(&l->burst_ns, (burst ? burst : per_second) * gap_ns, memory_order_relaxed);
    atomic_store_explicit(&l->gap_ns, gap_ns, memory_order_relaxed);
    return TW_OK;
}

enum tw_rc source_limit_new(const struct source_limit_cfg *cfg, struct source_limit **ret)
{
    uint64_t want = cfg->sources ? cfg->sources : SOURCE_LIMIT_SOURCES, sets = 1;
    struct source_limit *l;
    size_t size;

    if (!is_rate(cfg->per_second, cfg->burst))
        return TW_EINVAL;
    while (sets * WAYS < want)
        sets *= 2;
    size = (sizeof *l + sets * sizeof l->set[0] + 63) & ~(size_t)63;
    l = aligned_alloc(64, size);
    if (!l)
        return TW_ENOMEM;
    memset(l, 0, size);
    source_limit_set(l, cfg->per_second, cfg->burst);
    l->seed = cfg->hash_seed;
    l->mask = sets - 1;
    *ret = l;
    return TW_OK;
}

void source_limit_free(struct source_limit *l)
{
    free(l);
}

/* 64 x 64 -> 128 bit multiply, folded. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static bool is_link_local(const struct tw_addr *a)
{
    return a->family == 6 && a->ip[0] == 0xfe && (a->ip[1] & 0xc0) == 0x80;
}

/* An IPv6 host has as many addresses as it likes, in its /64. But a link has one /64 for all: fe80::. */
static uint64_t hash_of(const struct source_limit *l, const struct tw_addr *from)
{
    uint64_t word[2], h;

    memcpy(word, from->ip, sizeof word);
    h = mix(word[0] ^ l->seed ^ UINT64_C(0x9e3779b97f4a7c15), l->seed | 1);
    h = mix(h ^ (is_link_local(from) ? word[1] : from->family), UINT64_C(0xa0761d6478bd642f));
    return h ? h : 1;
}

static bool take_from(const struct source_limit *l, _Atomic int64_t *full, int64_t now)
{
    int64_t seen = atomic_load_explicit(full, memory_order_relaxed),
            gap_ns = atomic_load_explicit(&l->gap_ns, memory_order_relaxed),
            burst_ns = atomic_load_explicit(&l->burst_ns, memory_order_relaxed);

    for (int i = 0; i < TRIES; i++) {
        int64_t from = seen - now > burst_ns + CHANGED_NS ? now + burst_ns - gap_ns
                       : seen > now                       ? seen
                                                          : now,
                next = from + gap_ns;

        if (next - now > burst_ns)
            return false;
        if (atomic_compare_exchange_weak_explicit(full, &seen, next, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
    return true; /* others take from it at the same moment, and are counted */
}

/* Its place, or one whose bucket is full: the owner loses nothing. */
static int find_place(struct set *s, uint64_t who, int64_t now)
{
    int empty = -1;

    for (int i = 0; i < WAYS; i++) {
        if (atomic_load_explicit(&s->who[i], memory_order_relaxed) == who)
            return i;
        if (empty < 0 && atomic_load_explicit(&s->full[i], memory_order_relaxed) <= now)
            empty = i;
    }
    if (empty >= 0)
        atomic_store_explicit(&s->who[empty], who, memory_order_relaxed);
    return empty;
}

bool source_limit_take(struct source_limit *l, const struct tw_addr *from, struct tw_mono now)
{
    uint64_t who;
    struct set *s;
    int i;

    if (!l || !atomic_load_explicit(&l->gap_ns, memory_order_relaxed))
        return true;
    who = hash_of(l, from);
    s = &l->set[(who >> 20) & l->mask];
    i = find_place(s, who, now.ns);
    return take_from(l, i < 0 ? &s->late : &s->full[i], now.ns);
}

size_t source_limit_live(const struct source_limit *l, struct tw_mono now)
{
    size_t n = 0;

    for (uint64_t k = 0; k <= l->mask; k++)
        for (int i = 0; i < WAYS; i++)
            n += atomic_load_explicit(&l->set[k].full[i], memory_order_relaxed) > now.ns;
    return n;
}
