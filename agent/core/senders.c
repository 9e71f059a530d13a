/* agent/core/senders.c - open addressing with linear probing over indices into a pool. The table is never
 * more than half full. Deletion moves entries back instead of leaving tombstones, so that years of coming and
 * going senders do not slow it down. */
#include "agent/core/senders.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Pool entries looked at per answer: a table of n senders is swept every n/2 answers. When a new sender finds
 * the pool full, more are looked at. */
#define SWEEP 2
#define SWEEP_WHEN_FULL 32
#define PROBATION_NS TW_NS_PER_S

enum { NONE = UINT32_MAX };
#define AUTHENTICATED 0x80 /* in the family of an address */

struct senders {
    struct senders_cfg cfg;
    struct sender *pool;
    void *pool_memory;   /* pool, not aligned */
    uint32_t high_water; /* pool entries that were ever used */
    uint32_t free_list, sweep_at, n;
    uint32_t *table; /* index into pool + 1; 0 = empty */
    uint32_t mask;
    uint64_t last_id, forgotten, evicted;
};

/* By calloc(), which leaves a large piece untouched: what is never used costs nothing. */
static bool make_pool(struct senders *t)
{
    size_t align = _Alignof(struct sender);

    t->pool_memory = calloc(t->cfg.max + 1, sizeof *t->pool);
    t->pool = (void *)(((uintptr_t)t->pool_memory + align - 1) & ~(uintptr_t)(align - 1));
    return t->pool_memory;
}

enum tw_rc senders_new(const struct senders_cfg *cfg, struct senders **ret)
{
    struct senders *t;
    uint64_t slots = 16;

    if (cfg->refwait_ns <= 0 || cfg->max > UINT32_MAX / 4)
        return TW_EINVAL;
    while (slots < (uint64_t)cfg->max * 2)
        slots *= 2;
    t = calloc(1, sizeof *t);
    if (!t)
        return TW_ENOMEM;
    t->cfg = *cfg;
    t->mask = (uint32_t)(slots - 1);
    t->free_list = NONE;
    t->table = calloc(slots, sizeof *t->table);
    if (!t->table || !make_pool(t)) {
        senders_free(t);
        return TW_ENOMEM;
    }
    *ret = t;
    return TW_OK;
}

void senders_free(struct senders *t)
{
    if (!t)
        return;
    free(t->table);
    free(t->pool_memory);
    free(t);
}

uint32_t senders_count(const struct senders *t)
{
    return t->n;
}

uint64_t senders_evicted(const struct senders *t)
{
    return t->evicted;
}

uint64_t senders_forgotten(const struct senders *t)
{
    return t->forgotten;
}

/* ---- Keys ---- */

struct sender_key sender_key(const struct tw_addr *from, const struct tw_addr *to, uint16_t ssid,
                             bool authenticated)
{
    struct sender_key k = { *from, *to };

    k.from.zero = (uint8_t)(ssid >> 8);
    k.to.zero = (uint8_t)ssid;
    if (authenticated)
        k.from.family |= AUTHENTICATED;
    return k;
}

/* 64 x 64 -> 128 bit multiply, folded: each half of the product depends on all bits of both factors. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint32_t hash_key(uint64_t seed, const struct sender_key *k)
{
    uint64_t word[sizeof *k / 8], h = seed ^ UINT64_C(0x9e3779b97f4a7c15);

    static_assert(sizeof *k % 16 == 0, "whole pairs of words, no padding");
    memcpy(word, k, sizeof *k);
    for (size_t i = 0; i < TW_NELEM(word); i += 2)
        h = mix(word[i] ^ h, word[i + 1] ^ seed ^ UINT64_C(0xa0761d6478bd642f));
    return (uint32_t)h;
}

/* ---- Table ---- */

/* The table slot that holds the key, or the empty one where it would go. */
static uint32_t find_slot(const struct senders *t, const struct sender_key *k, uint32_t hash)
{
    uint32_t at = hash & t->mask;

    for (; t->table[at]; at = (at + 1) & t->mask) {
        const struct sender *s = &t->pool[t->table[at] - 1];
        if (s->hash == hash && !memcmp(&s->key, k, sizeof *k))
            break;
    }
    return at;
}

/* Empties a slot and moves back what had to step over it. */
static void erase_slot(struct senders *t, uint32_t hole)
{
    for (uint32_t at = (hole + 1) & t->mask; t->table[at]; at = (at + 1) & t->mask) {
        uint32_t home = t->pool[t->table[at] - 1].hash & t->mask;
        if (((at - home) & t->mask) >= ((at - hole) & t->mask)) {
            t->table[hole] = t->table[at];
            hole = at;
        }
    }
    t->table[hole] = 0;
}

static void forget(struct senders *t, uint32_t index)
{
    struct sender *s = &t->pool[index];

    erase_slot(t, find_slot(t, &s->key, s->hash));
    s->used = false;
    s->next_free = t->free_list;
    t->free_list = index;
    t->n--;
}

bool senders_is_expired(const struct senders *t, const struct sender *s, struct tw_mono now)
{
    return now.ns - s->last.ns > t->cfg.refwait_ns;
}

static void sweep(struct senders *t, struct tw_mono now, unsigned n)
{
    for (; n && t->high_water; n--) {
        if (t->sweep_at >= t->high_water)
            t->sweep_at = 0;
        if (t->pool[t->sweep_at].used && senders_is_expired(t, &t->pool[t->sweep_at], now)) {
            forget(t, t->sweep_at);
            t->forgotten++;
        }
        t->sweep_at++;
    }
}

/* Looks at a few, and forgets the first that did not come back. */
static void evict(struct senders *t, struct tw_mono now)
{
    for (unsigned n = SWEEP_WHEN_FULL; n && t->high_water; n--) {
        struct sender *s;

        if (t->sweep_at >= t->high_water)
            t->sweep_at = 0;
        s = &t->pool[t->sweep_at++];
        if (!s->used || s->rx > 1 || now.ns - s->last.ns < PROBATION_NS)
            continue;
        forget(t, (uint32_t)(s - t->pool));
        t->evicted++;
        return;
    }
}

void senders_sweep(struct senders *t, struct tw_mono now)
{
    sweep(t, now, SWEEP);
}

/* An unused pool entry, or NONE. */
static uint32_t take_entry(struct senders *t)
{
    uint32_t index = t->free_list;

    if (index != NONE) {
        t->free_list = t->pool[index].next_free;
        return index;
    }
    return t->high_water < t->cfg.max ? t->high_water++ : NONE;
}

static struct sender *add(struct senders *t, const struct sender_key *k, uint32_t hash, struct tw_mono now)
{
    uint32_t index = take_entry(t);
    struct sender *s;

    if (index == NONE) {
        sweep(t, now, SWEEP_WHEN_FULL);
        index = take_entry(t);
    }
    if (index == NONE) {
        evict(t, now);
        index = take_entry(t);
    }
    if (index == NONE)
        return NULL;
    s = &t->pool[index];
    *s = (struct sender){ .key = *k, .hash = hash, .used = true, .last = now, .id = ++t->last_id };
    t->table[find_slot(t, k, hash)] = index + 1; /* sweeping may have moved the slot */
    t->n++;
    return s;
}

struct sender *senders_find(struct senders *t, const struct sender_key *k)
{
    uint32_t at = find_slot(t, k, hash_key(t->cfg.hash_seed, k));

    return t->table[at] ? &t->pool[t->table[at] - 1] : NULL;
}

struct sender *senders_get(struct senders *t, const struct sender_key *k, struct tw_mono now, bool *ret_new)
{
    uint32_t hash = hash_key(t->cfg.hash_seed, k);
    uint32_t at = find_slot(t, k, hash);

    *ret_new = !t->table[at];
    return *ret_new ? add(t, k, hash, now) : &t->pool[t->table[at] - 1];
}

uint32_t senders_handle(const struct senders *t, const struct sender *s)
{
    return (uint32_t)(s - t->pool) + 1;
}

struct sender *senders_by_handle(struct senders *t, uint32_t handle, uint64_t id)
{
    struct sender *s = handle && handle <= t->high_water ? &t->pool[handle - 1] : NULL;

    return s && s->used && s->id == id ? s : NULL;
}

void senders_restart(struct senders *t, struct sender *s)
{
    s->id = ++t->last_id;
    s->next_seq = s->rx = s->tx = 0;
    s->follow_up = false;
}
