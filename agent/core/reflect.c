/* agent/core/reflect.c - answers, and the table of senders whose answers are numbered.
 *
 * A sender is (source, destination) address and port. Open addressing with linear probing over indices into a
 * pool, both made once: a packet never allocates, and the table is never more than half full. Deletion moves
 * entries back instead of leaving tombstones, so that years of coming and going senders do not slow it down.
 */
#include "agent/core/reflect.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"

#define WELL_KNOWN_PORT 862
#define TOS_DSCP 0xfc /* the other two bits are ECN: what the path did to the probe is not for the answer */
/* Pool entries looked at per answer: a table of n senders is swept every n/2 answers. When a new sender
 * finds the pool full, more are looked at. */
#define SWEEP 2
#define SWEEP_WHEN_FULL 32

enum { NONE = UINT32_MAX };

struct key {
    struct tw_addr from, to;
};

struct sender {
    struct key key;
    uint64_t hash;
    struct tw_mono last;
    uint64_t id; /* of this use of the entry */
    uint32_t next_seq;
    bool used;
    uint32_t next_free;
};

struct reflector {
    struct reflect_cfg cfg;
    struct reflect_counters n;
    uint16_t err_est;
    struct sender *pool;
    uint32_t high_water; /* pool entries that were ever used */
    uint32_t free_list, sweep_at;
    uint32_t *table; /* index into pool + 1; 0 = empty */
    uint64_t mask;
    uint64_t last_id;
};

enum tw_rc reflector_new(const struct reflect_cfg *cfg, struct reflector **ret)
{
    struct reflector *r;
    uint64_t slots = 16;

    if (cfg->refwait_ns <= 0 || cfg->restart_gap_ns < 0 || cfg->max_sessions > UINT32_MAX / 4)
        return TW_EINVAL;
    while (slots < (uint64_t)cfg->max_sessions * 2)
        slots *= 2;
    r = calloc(1, sizeof *r);
    if (!r)
        return TW_ENOMEM;
    r->cfg = *cfg;
    r->mask = slots - 1;
    r->free_list = NONE;
    r->err_est = tw_errest_encode(0, false, false);
    r->pool = calloc(cfg->max_sessions ? cfg->max_sessions : 1, sizeof *r->pool);
    r->table = calloc(slots, sizeof *r->table);
    if (!r->pool || !r->table) {
        reflector_free(r);
        return TW_ENOMEM;
    }
    *ret = r;
    return TW_OK;
}

void reflector_free(struct reflector *r)
{
    if (!r)
        return;
    free(r->table);
    free(r->pool);
    free(r);
}

void reflector_set_clock(struct reflector *r, const struct tw_clock_state *c)
{
    r->err_est = tw_errest_encode(c->max_error_ns, c->synced, false);
}

void reflector_counters(const struct reflector *r, struct reflect_counters *ret)
{
    *ret = r->n;
}

/* ---- Table of senders ---- */

/* 64 x 64 -> 128 bit multiply, folded: each half of the product depends on all bits of both factors. */
static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;

    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static uint64_t hash_key(uint64_t seed, const struct key *k)
{
    uint64_t word[sizeof *k / 8], h = seed ^ UINT64_C(0x9e3779b97f4a7c15);

    static_assert(sizeof *k % 16 == 0, "whole pairs of words, no padding");
    memcpy(word, k, sizeof *k);
    for (size_t i = 0; i < TW_NELEM(word); i += 2)
        h = mix(word[i] ^ h, word[i + 1] ^ seed ^ UINT64_C(0xa0761d6478bd642f));
    return h;
}

/* The table slot that holds the key, or the empty one where it would go. */
static uint64_t find_slot(const struct reflector *r, const struct key *k, uint64_t hash)
{
    uint64_t at = hash & r->mask;

    for (; r->table[at]; at = (at + 1) & r->mask) {
        const struct sender *s = &r->pool[r->table[at] - 1];
        if (s->hash == hash && !memcmp(&s->key, k, sizeof *k))
            break;
    }
    return at;
}

/* Empties a slot and moves back what had to step over it. */
static void erase_slot(struct reflector *r, uint64_t hole)
{
    for (uint64_t at = (hole + 1) & r->mask; r->table[at]; at = (at + 1) & r->mask) {
        uint64_t home = r->pool[r->table[at] - 1].hash & r->mask;
        if (((at - home) & r->mask) >= ((at - hole) & r->mask)) {
            r->table[hole] = r->table[at];
            hole = at;
        }
    }
    r->table[hole] = 0;
}

static bool is_expired(const struct reflector *r, const struct sender *s, struct tw_mono now)
{
    return now.ns - s->last.ns > r->cfg.refwait_ns;
}

static void forget(struct reflector *r, uint32_t index)
{
    struct sender *s = &r->pool[index];

    erase_slot(r, find_slot(r, &s->key, s->hash));
    s->used = false;
    s->next_free = r->free_list;
    r->free_list = index;
    r->n.sessions--;
    r->n.expired++;
}

/* Forgets the silent ones a few at a time, so that no packet waits for a sweep of the whole table. */
static void sweep(struct reflector *r, struct tw_mono now, unsigned n)
{
    for (; n && r->high_water; n--) {
        if (r->sweep_at >= r->high_water)
            r->sweep_at = 0;
        if (r->pool[r->sweep_at].used && is_expired(r, &r->pool[r->sweep_at], now))
            forget(r, r->sweep_at);
        r->sweep_at++;
    }
}

/* An unused pool entry, or NONE. */
static uint32_t take_entry(struct reflector *r)
{
    uint32_t index = r->free_list;

    if (index != NONE) {
        r->free_list = r->pool[index].next_free;
        return index;
    }
    return r->high_water < r->cfg.max_sessions ? r->high_water++ : NONE;
}

static struct sender *find_sender(struct reflector *r, const struct reflect_rx *rx)
{
    struct key k = { rx->from, rx->to };
    uint64_t at = find_slot(r, &k, hash_key(r->cfg.hash_seed, &k));

    return r->table[at] ? &r->pool[r->table[at] - 1] : NULL;
}

/* NULL: no room, answer without state. */
static struct sender *add_sender(struct reflector *r, const struct reflect_rx *rx)
{
    struct key k = { rx->from, rx->to };
    uint64_t hash = hash_key(r->cfg.hash_seed, &k);
    uint32_t index = take_entry(r);
    struct sender *s;

    if (index == NONE) {
        sweep(r, rx->mono, SWEEP_WHEN_FULL);
        index = take_entry(r);
    }
    if (index == NONE)
        return NULL;
    s = &r->pool[index];
    *s = (struct sender){ .key = k, .hash = hash, .id = ++r->last_id, .used = true };
    r->table[find_slot(r, &k, hash)] = index + 1;
    r->n.sessions++;
    return s;
}

/* Gives the answer to probe `seq` of this sender its number. */
static void number_answer(struct reflector *r, const struct reflect_rx *rx, uint32_t seq,
                          struct reflect_tx *tx)
{
    struct sender *s = find_sender(r, rx);

    if (s && is_expired(r, s, rx->mono)) {
        s->next_seq = 0;
        r->n.expired++;
    } else if (s && !seq && s->next_seq && rx->mono.ns - s->last.ns >= r->cfg.restart_gap_ns) {
        s->next_seq = 0;
        r->n.restarted++;
    } else if (!s) {
        s = add_sender(r, rx);
    }
    if (!s) {
        r->n.stateless++;
        tx->seq = seq;
        return;
    }
    s->last = rx->mono;
    tx->session = (uint32_t)(s - r->pool) + 1;
    tx->session_id = s->id;
    tx->seq = s->next_seq++;
}

/* ---- Answers ---- */

static enum tw_rc refuse(uint64_t *counter, enum tw_rc rc)
{
    ++*counter;
    return rc;
}

/* RFC 4656 section 4.1.2: a multiplier of 0 marks the packet as corrupt. */
static bool is_error_estimate_ok(uint16_t err_est)
{
    return err_est & 0xff;
}

enum tw_rc reflect_answer(struct reflector *r, const struct reflect_rx *rx, const uint8_t *data, size_t len,
                          uint8_t *ret, size_t cap, struct reflect_tx *ret_tx)
{
    size_t need = len < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : len;
    struct test_probe p;
    struct test_reply a;
    struct reflect_tx tx = { .len = need, .tos = rx->tos < 0 ? 0 : (uint8_t)(rx->tos & TOS_DSCP) };

    if (twamp_decode_probe(data, len, &p))
        return refuse(&r->n.too_short, TW_ETRUNC);
    if (len > TEST_DATAGRAM_MAX || need > cap)
        return refuse(&r->n.too_long, TW_EINVAL);
    if (!is_error_estimate_ok(p.err_est))
        return refuse(&r->n.bad_error_estimate, TW_EINVAL);
    /* Only reflectors send from there; two of them would answer each other's answers for ever. */
    if (rx->from.port == r->cfg.port || rx->from.port == WELL_KNOWN_PORT)
        return refuse(&r->n.loops_refused, TW_EPERM);

    sweep(r, rx->mono, SWEEP);
    number_answer(r, rx, p.seq, &tx);
    a = (struct test_reply){
        .seq = tx.seq,
        .err_est = r->err_est,
        .t2 = tw_wall_to_ntp(rx->t2),
        .sender_seq = p.seq,
        .sender_t1 = p.t1,
        .sender_err_est = p.err_est,
        .ttl_known = rx->ttl >= 0,
        .sender_ttl = (uint8_t)rx->ttl,
    };
    twamp_encode_reply(&a, ret, cap);
    /* RFC 5357 section 4.2.1: the sender's padding, cut at its end. */
    memcpy(ret + TWAMP_REPLY_MIN, data + TWAMP_PROBE_MIN, need - TWAMP_REPLY_MIN);
    *ret_tx = tx;
    r->n.answered++;
    return TW_OK;
}

void reflect_stamp(struct reflector *r, const struct reflect_tx *tx, uint8_t *answer, struct tw_wall t3)
{
    struct wire_wr w = { .p = answer + 4, .end = answer + TWAMP_PROBE_MIN };

    (void)tx;
    wire_put_u64(&w, tw_wall_to_ntp(t3));
    wire_put_u16(&w, r->err_est);
}

void reflect_unsent(struct reflector *r, const struct reflect_tx *tx)
{
    struct sender *s = tx->session ? &r->pool[tx->session - 1] : NULL;

    r->n.send_errors++;
    if (s && s->used && s->id == tx->session_id && s->next_seq == tx->seq + 1)
        s->next_seq--;
}
