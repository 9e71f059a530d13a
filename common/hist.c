#include "common/hist.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/clk.h"
#include "common/hist_bounds.h"

/* ---- Keys ---- */

static uint64_t magnitude(int64_t v)
{
    return v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
}

/* Index at HIST_SCALE of seconds > 0. Works on the bits of the double: x = 1.f * 2^e, and the boundaries
 * below 1.f are counted by one look into a table and one comparison. */
static int32_t index_of(double seconds)
{
    uint64_t bits, frac_mask = (UINT64_C(1) << 52) - 1;
    int32_t exponent, below;
    double mantissa;

    memcpy(&bits, &seconds, sizeof bits);
    exponent = (int32_t)(bits >> 52) - 1023;
    below = hist_bound_guess[bits >> 45 & (HIST_GUESSES - 1)];
    bits = (bits & frac_mask) | UINT64_C(1023) << 52;
    memcpy(&mantissa, &bits, sizeof mantissa);
    if (hist_bound[below] < mantissa)
        below++;
    return exponent * HIST_OCTAVE + below - 1;
}

static int32_t key_of_index(int32_t i, bool negative)
{
    return negative ? -(HIST_KEY_BIAS + i) : HIST_KEY_BIAS + i;
}

static int32_t index_of_key(int32_t key)
{
    return (key < 0 ? -key : key) - HIST_KEY_BIAS;
}

/* The key `shift` scales lower. Needs >> of negative numbers to be arithmetic, as gcc and clang promise. */
static int32_t key_lower(int32_t key, int shift)
{
    return key ? key_of_index(index_of_key(key) >> shift, key < 0) : 0;
}

int32_t hist_key(int64_t value_ns, int scale)
{
    double seconds = (double)magnitude(value_ns) / (double)TW_NS_PER_S;

    if (!value_ns)
        return 0;
    return key_of_index(index_of(seconds) >> (HIST_SCALE - scale), value_ns < 0);
}

static double bound_ns(int32_t index, int scale)
{
    int32_t fine = index * (1 << (HIST_SCALE - scale));

    return scalbn(hist_bound[fine & (HIST_OCTAVE - 1)], fine >> HIST_SCALE) * (double)TW_NS_PER_S;
}

void hist_key_bounds(int32_t key, int scale, double *ret_lo_ns, double *ret_hi_ns)
{
    int32_t i = index_of_key(key);
    double near, far;

    if (!key) {
        *ret_lo_ns = *ret_hi_ns = 0;
        return;
    }
    near = bound_ns(i, scale);
    far = bound_ns(i + 1, scale);
    *ret_lo_ns = key < 0 ? -far : near;
    *ret_hi_ns = key < 0 ? -near : far;
}

/* ---- Buckets: two ways to store them, both with the key first ---- */

struct __attribute__((may_alias)) narrow {
    int16_t key;
    uint16_t count;
};
struct __attribute__((packed, may_alias)) wide {
    int16_t key;
    uint64_t count;
};
_Static_assert(sizeof(struct narrow) == 4 && sizeof(struct wide) == 10, "as hist.h says");
enum { KEYS_AT_MIN = 11 }; /* at HIST_SCALE_MIN: 5 of each sign, and 0 */
_Static_assert(KEYS_AT_MIN * sizeof(struct wide) <= HIST_ROOM_OCTETS, "the least room is enough for them");

static size_t stride(const struct hist *h)
{
    return h->wide ? sizeof(struct wide) : sizeof(struct narrow);
}

static int32_t key_at(const struct hist *h, uint32_t i)
{
    int16_t key;

    memcpy(&key, (const char *)h->b + i * stride(h), sizeof key);
    return key;
}

static uint64_t count_at(const struct hist *h, uint32_t i)
{
    return h->wide ? ((const struct wide *)h->b)[i].count : ((const struct narrow *)h->b)[i].count;
}

/* Narrow: the count is HIST_NARROW_MAX at most. */
static void put(struct hist *h, uint32_t i, int32_t key, uint64_t count)
{
    if (h->wide)
        ((struct wide *)h->b)[i] = (struct wide){ (int16_t)key, count };
    else
        ((struct narrow *)h->b)[i] = (struct narrow){ (int16_t)key, (uint16_t)count };
}

struct hist_bucket hist_bucket(const struct hist *h, uint32_t i)
{
    return (struct hist_bucket){ key_at(h, i), count_at(h, i) };
}

/* ---- Room ---- */

void hist_init(struct hist *h)
{
    *h = (struct hist){ .scale = HIST_SCALE };
}

void hist_free(struct hist *h)
{
    free(h->b);
    hist_init(h);
}

void hist_reset(struct hist *h)
{
    *h = (struct hist){ .scale = HIST_SCALE, .cap = h->cap, .b = h->b };
}

static enum tw_rc reserve_octets(struct hist *h, size_t octets)
{
    void *b;

    _Static_assert(HIST_MAX_BUCKETS * sizeof(struct wide) <= UINT16_MAX, "cap holds all there can be");
    if (octets <= h->cap)
        return TW_OK;
    if (octets < HIST_ROOM_OCTETS)
        octets = HIST_ROOM_OCTETS;
    octets = ((octets + 8 + 15) & ~(size_t)15) - 8; /* what malloc() would take in any case */
    b = realloc(h->b, octets);
    if (!b)
        return TW_ENOMEM;
    h->b = b;
    h->cap = (uint16_t)octets;
    return TW_OK;
}

enum tw_rc hist_reserve(struct hist *h, uint32_t n)
{
    return n > HIST_MAX_BUCKETS ? TW_ENOMEM : reserve_octets(h, n * stride(h));
}

enum tw_rc hist_reserve_copy(struct hist *dst, const struct hist *src)
{
    return reserve_octets(dst, src->n * stride(src));
}

/* By a quarter: most histograms of a period stay small, and there are many. */
static enum tw_rc grow(struct hist *h)
{
    uint32_t want = h->n + h->n / 4;

    if ((h->n + 1u) * stride(h) <= h->cap)
        return TW_OK;
    if (want > HIST_MAX_BUCKETS && h->n < HIST_MAX_BUCKETS)
        want = HIST_MAX_BUCKETS;
    return hist_reserve(h, want > h->n ? want : h->n + 1u);
}

static void spread(struct hist *h)
{
    const struct narrow *from = h->b;
    struct wide *to = h->b;

    for (uint32_t i = h->n;
         i-- > 0;) { /* from the back: what is written never reaches what is still to be read */
        struct narrow b = from[i];
        to[i] = (struct wide){ b.key, b.count };
    }
    h->wide = true;
}

static enum tw_rc try_widen(struct hist *h)
{
    enum tw_rc rc = h->wide ? TW_OK : reserve_octets(h, (h->n + h->n / 4u) * sizeof(struct wide));

    if (!rc && !h->wide)
        spread(h);
    return rc;
}

/* Without memory the buckets become so few that they fit in any case. */
static void collapse(struct hist *h)
{
    struct wide few[KEYS_AT_MIN];
    uint16_t n = 0;

    for (uint32_t i = 0; i < h->n; i++) {
        int32_t key = key_lower(key_at(h, i), h->scale - HIST_SCALE_MIN);
        if (n && few[n - 1].key == key)
            few[n - 1].count += count_at(h, i);
        else
            few[n++] = (struct wide){ (int16_t)key, count_at(h, i) };
    }
    if (n)
        memcpy(h->b, few, n * sizeof *few);
    h->n = n;
    h->hot = 0;
    h->scale = HIST_SCALE_MIN;
    h->wide = true;
}

static void widen(struct hist *h)
{
    if (try_widen(h))
        collapse(h);
}

/* Would two narrow buckets become one that counts too much? */
static bool needs_wide(const struct hist *h, int shift)
{
    uint64_t sum = 0;
    int32_t last = 0;

    if (h->wide || h->count <= HIST_NARROW_MAX)
        return false;
    for (uint32_t i = 0; i < h->n && sum <= HIST_NARROW_MAX; i++) {
        int32_t key = key_lower(key_at(h, i), shift);
        sum = (i && key == last ? sum : 0) + count_at(h, i);
        last = key;
    }
    return sum > HIST_NARROW_MAX;
}

void hist_downscale(struct hist *h, int scale)
{
    int shift;
    uint16_t n = 0;

    if (scale < HIST_SCALE_MIN)
        scale = HIST_SCALE_MIN;
    if (h->scale > scale && needs_wide(h, h->scale - scale))
        widen(h); /* may be coarser after it */
    shift = h->scale - scale;
    if (shift <= 0)
        return;
    for (uint32_t i = 0; i < h->n; i++) {
        int32_t key = key_lower(key_at(h, i), shift);
        if (n && key_at(h, n - 1u) == key)
            put(h, n - 1u, key, count_at(h, n - 1u) + count_at(h, i));
        else
            put(h, n++, key, count_at(h, i));
    }
    h->n = n;
    h->hot = 0;
    h->scale = (int8_t)scale;
}

enum tw_rc hist_append(struct hist *h, struct hist_bucket b)
{
    enum tw_rc rc = b.count > HIST_NARROW_MAX ? try_widen(h) : TW_OK;

    if (!rc)
        rc = grow(h);
    if (rc)
        return rc;
    put(h, h->n++, b.key, b.count);
    return TW_OK;
}

/* ---- Adding ---- */

/* Position of the first bucket whose key is not below `key`; may be n. Halves without branching: delays are
 * random enough that a processor would guess half of the branches wrong. */
static uint32_t find(const struct hist *h, int32_t key)
{
    uint32_t at = 0, left = h->n;

    while (left > 1) {
        uint32_t half = left / 2;
        at += (uint32_t)(key_at(h, at + half - 1) < key) * half;
        left -= half;
    }
    return at + (left && key_at(h, at) < key);
}

static bool holds(const struct hist *h, uint32_t at, int32_t key)
{
    return at < h->n && key_at(h, at) == key;
}

static void insert(struct hist *h, uint32_t at, int32_t key)
{
    char *p = (char *)h->b + at * stride(h);

    memmove(p + stride(h), p, (h->n - at) * stride(h));
    h->n++;
    put(h, at, key, 0);
}

/* The bucket of the value, made if need be; h->n if there is no memory for a first one. */
static uint32_t bucket_for(struct hist *h, int64_t value_ns)
{
    int32_t key = hist_key(value_ns, h->scale);
    uint32_t at = holds(h, h->hot, key) ? h->hot : find(h, key);

    while (!holds(h, at, key) && grow(h) != TW_OK) {
        if (h->scale == HIST_SCALE_MIN)
            return h->n;
        hist_downscale(h, h->scale - 1);
        key = hist_key(value_ns, h->scale);
        at = find(h, key);
    }
    if (!holds(h, at, key))
        insert(h, at, key);
    return at;
}

static int64_t add_saturating(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

/* Accounts for values that the buckets hold already or will at once. */
static void note(struct hist *h, uint64_t count, int64_t min_ns, int64_t max_ns, int64_t sum_ns)
{
    if (!h->count || min_ns < h->min_ns)
        h->min_ns = min_ns;
    if (!h->count || max_ns > h->max_ns)
        h->max_ns = max_ns;
    h->count += count;
    h->sum_ns = add_saturating(h->sum_ns, sum_ns);
}

void hist_add(struct hist *h, int64_t value_ns)
{
    uint32_t at = bucket_for(h, value_ns);

    if (at == h->n)
        return;
    if (!h->wide && count_at(h, at) == HIST_NARROW_MAX) {
        widen(h);
        at = find(h, hist_key(value_ns, h->scale));
    }
    if (h->wide)
        ((struct wide *)h->b)[at].count++;
    else
        ((struct narrow *)h->b)[at].count++;
    h->hot = (uint16_t)at;
    note(h, 1, value_ns, value_ns, value_ns);
}

/* ---- Merging ---- */

/* How many different keys dst and src have together at dst's scale. */
static uint32_t union_size(const struct hist *dst, const struct hist *src)
{
    int shift = src->scale - dst->scale;
    uint32_t d = 0, s = 0, n = 0;

    for (; d < dst->n || s < src->n; n++) {
        int32_t dk = d < dst->n ? key_at(dst, d) : INT32_MAX;
        int32_t sk = s < src->n ? key_lower(key_at(src, s), shift) : INT32_MAX;
        d += dk <= sk;
        while (sk <= dk && s < src->n && key_lower(key_at(src, s), shift) == sk)
            s++;
    }
    return n;
}

/* Merges from the back, in place: what is written never reaches what is still to be read. */
static void merge_buckets(struct hist *dst, const struct hist *src, uint32_t n)
{
    int shift = src->scale - dst->scale;
    uint32_t d = dst->n, s = src->n;

    for (uint32_t w = n; w-- > 0;) {
        int32_t dk = d ? key_at(dst, d - 1) : INT32_MIN;
        int32_t sk = s ? key_lower(key_at(src, s - 1), shift) : INT32_MIN;
        uint64_t count = 0;
        if (dk >= sk)
            count += count_at(dst, --d);
        for (; sk >= dk && s && key_lower(key_at(src, s - 1), shift) == sk; s--)
            count += count_at(src, s - 1);
        put(dst, w, dk > sk ? dk : sk, count);
    }
    dst->n = (uint16_t)n;
}

void hist_merge(struct hist *dst, const struct hist *src)
{
    uint32_t n;

    if (!src->count)
        return;
    hist_downscale(dst, src->scale);
    if (dst->count + src->count > HIST_NARROW_MAX || dst->count + src->count < src->count)
        widen(dst); /* may be coarser after it */
    while (hist_reserve(dst, n = union_size(dst, src)) != TW_OK) {
        if (dst->scale == HIST_SCALE_MIN)
            return; /* no memory for a first bucket */
        hist_downscale(dst, dst->scale - 1);
    }
    merge_buckets(dst, src, n);
    note(dst, src->count, src->min_ns, src->max_ns, src->sum_ns);
}

enum tw_rc hist_copy(struct hist *dst, const struct hist *src)
{
    enum tw_rc rc = hist_reserve_copy(dst, src);

    if (rc || dst == src)
        return rc;
    if (src->n)
        memcpy(dst->b, src->b, src->n * stride(src));
    *dst = (struct hist){ .scale = src->scale,
                          .wide = src->wide,
                          .n = src->n,
                          .cap = dst->cap,
                          .count = src->count,
                          .min_ns = src->min_ns,
                          .max_ns = src->max_ns,
                          .sum_ns = src->sum_ns,
                          .b = dst->b };
    return TW_OK;
}

bool hist_equal(const struct hist *a, const struct hist *b)
{
    if (a->scale != b->scale || a->n != b->n || a->count != b->count || a->sum_ns != b->sum_ns)
        return false;
    if (a->count && (a->min_ns != b->min_ns || a->max_ns != b->max_ns))
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (key_at(a, i) != key_at(b, i) || count_at(a, i) != count_at(b, i))
            return false;
    return true;
}

/* ---- Asking ---- */

/* The harmonic middle is equally far from both bounds in relative terms. */
static int64_t middle(const struct hist *h, int32_t key)
{
    double lo, hi, mid;

    if (!key)
        return 0;
    hist_key_bounds(key, h->scale, &lo, &hi);
    mid = 2 * lo * hi / (lo + hi);
    if (mid <= (double)h->min_ns)
        return h->min_ns;
    if (mid >= (double)h->max_ns)
        return h->max_ns;
    return (int64_t)(mid < 0 ? mid - 0.5 : mid + 0.5);
}

/* ceil(p/100 * count) within [1, count]. */
static uint64_t rank_of(double p, uint64_t count)
{
    double want = ceil(p / 100 * (double)count);

    /* p / 100 is rounded, so p = 7 of 100 values would be rank 8: take a rank that reaches p. */
    if (want > 1 && (want - 1) * 100 >= p * (double)count)
        want--;
    if (!(want > 1))
        return 1;
    return want >= (double)count ? count : (uint64_t)want;
}

enum tw_rc hist_percentile(const struct hist *h, double p, int64_t *ret_ns)
{
    uint64_t rank, seen = 0;

    if (!h->count)
        return TW_ENOENT;
    rank = rank_of(p, h->count);
    if (rank == 1 || rank == h->count) {
        *ret_ns = rank == 1 ? h->min_ns : h->max_ns;
        return TW_OK;
    }
    for (uint32_t i = 0; i < h->n; i++) {
        seen += count_at(h, i);
        if (seen >= rank) {
            *ret_ns = middle(h, key_at(h, i));
            return TW_OK;
        }
    }
    *ret_ns = h->max_ns;
    return TW_OK;
}

enum tw_rc hist_mean(const struct hist *h, double *ret_ns)
{
    if (!h->count)
        return TW_ENOENT;
    *ret_ns = (double)h->sum_ns / (double)h->count;
    return TW_OK;
}

/* Does the bucket of `bound_ns` end exactly there? Then the next value above it has another key. Negative
 * buckets end (towards zero) at a bound that they do not contain. */
static bool ends_bucket(int64_t bound, int32_t key, int scale)
{
    double seconds = (double)bound / (double)TW_NS_PER_S;

    if (bound <= 0)
        return bound == 0;
    return seconds ==
           scalbn(hist_bound[(index_of_key(key) + 1) * (1 << (HIST_SCALE - scale)) & (HIST_OCTAVE - 1)],
                  (index_of_key(key) + 1) * (1 << (HIST_SCALE - scale)) >> HIST_SCALE);
}

uint64_t hist_count_le(const struct hist *h, int64_t bound)
{
    int32_t key = hist_key(bound, h->scale);
    bool all_of_it = ends_bucket(bound, key, h->scale);
    uint64_t sum = 0;

    for (uint32_t i = 0; i < h->n && key_at(h, i) <= key; i++)
        if (key_at(h, i) < key || all_of_it)
            sum += count_at(h, i);
    return sum;
}
