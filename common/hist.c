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

enum tw_rc hist_reserve(struct hist *h, uint32_t n)
{
    struct hist_bucket *b;

    if (n <= h->cap)
        return TW_OK;
    if (n > HIST_MAX_BUCKETS)
        return TW_ENOMEM;
    if (n < HIST_ROOM_MIN)
        n = HIST_ROOM_MIN;
    b = realloc(h->b, n * sizeof *b);
    if (!b)
        return TW_ENOMEM;
    h->b = b;
    h->cap = n;
    return TW_OK;
}

static enum tw_rc grow(struct hist *h)
{
    uint32_t want = h->cap * 2;

    if (h->n < h->cap)
        return TW_OK;
    if (want > HIST_MAX_BUCKETS && h->cap < HIST_MAX_BUCKETS)
        want = HIST_MAX_BUCKETS;
    return hist_reserve(h, want ? want : HIST_ROOM_MIN);
}

void hist_downscale(struct hist *h, int scale)
{
    int shift;
    uint32_t n = 0;

    if (scale < HIST_SCALE_MIN)
        scale = HIST_SCALE_MIN;
    shift = h->scale - scale;
    if (shift <= 0)
        return;
    for (uint32_t i = 0; i < h->n; i++) {
        int32_t key = key_lower(h->b[i].key, shift);
        if (n && h->b[n - 1].key == key)
            h->b[n - 1].count += h->b[i].count;
        else
            h->b[n++] = (struct hist_bucket){ key, h->b[i].count };
    }
    h->n = n;
    h->hot = 0;
    h->scale = (int8_t)scale;
}

/* ---- Adding ---- */

/* Position of the first bucket whose key is not below `key`; may be n. Halves without branching: delays are
 * random enough that a processor would guess half of the branches wrong. */
static uint32_t find(const struct hist *h, int32_t key)
{
    const struct hist_bucket *at = h->b;
    uint32_t left = h->n;

    while (left > 1) {
        uint32_t half = left / 2;
        at += (size_t)(at[half - 1].key < key) * half;
        left -= half;
    }
    return (uint32_t)(at - h->b) + (left && at->key < key);
}

static bool holds(const struct hist *h, uint32_t at, int32_t key)
{
    return at < h->n && h->b[at].key == key;
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
    if (!holds(h, at, key)) {
        memmove(h->b + at + 1, h->b + at, (h->n - at) * sizeof *h->b);
        h->b[at] = (struct hist_bucket){ .key = key };
        h->n++;
    }
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
    h->b[at].count++;
    h->hot = at;
    note(h, 1, value_ns, value_ns, value_ns);
}

/* ---- Merging ---- */

/* How many different keys dst and src have together at dst's scale. */
static uint32_t union_size(const struct hist *dst, const struct hist *src)
{
    int shift = src->scale - dst->scale;
    uint32_t d = 0, s = 0, n = 0;

    for (; d < dst->n || s < src->n; n++) {
        int32_t dk = d < dst->n ? dst->b[d].key : INT32_MAX;
        int32_t sk = s < src->n ? key_lower(src->b[s].key, shift) : INT32_MAX;
        d += dk <= sk;
        while (sk <= dk && s < src->n && key_lower(src->b[s].key, shift) == sk)
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
        int32_t dk = d ? dst->b[d - 1].key : INT32_MIN;
        int32_t sk = s ? key_lower(src->b[s - 1].key, shift) : INT32_MIN;
        struct hist_bucket out = { .key = dk > sk ? dk : sk };
        if (dk >= sk)
            out.count += dst->b[--d].count;
        for (; sk >= dk && s && key_lower(src->b[s - 1].key, shift) == sk; s--)
            out.count += src->b[s - 1].count;
        dst->b[w] = out;
    }
    dst->n = n;
}

void hist_merge(struct hist *dst, const struct hist *src)
{
    uint32_t n;

    if (!src->count)
        return;
    hist_downscale(dst, src->scale);
    while ((n = union_size(dst, src)) > dst->cap && hist_reserve(dst, n) != TW_OK) {
        if (dst->scale == HIST_SCALE_MIN)
            return; /* no memory for a first bucket */
        hist_downscale(dst, dst->scale - 1);
    }
    merge_buckets(dst, src, n);
    note(dst, src->count, src->min_ns, src->max_ns, src->sum_ns);
}

enum tw_rc hist_copy(struct hist *dst, const struct hist *src)
{
    enum tw_rc rc = hist_reserve(dst, src->n);

    if (rc || dst == src)
        return rc;
    if (src->n)
        memcpy(dst->b, src->b, src->n * sizeof *src->b);
    *dst = (struct hist){ .scale = src->scale,
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
        if (a->b[i].key != b->b[i].key || a->b[i].count != b->b[i].count)
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
        seen += h->b[i].count;
        if (seen >= rank) {
            *ret_ns = middle(h, h->b[i].key);
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

    for (uint32_t i = 0; i < h->n && h->b[i].key <= key; i++)
        if (h->b[i].key < key || all_of_it)
            sum += h->b[i].count;
    return sum;
}
