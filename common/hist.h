/* common/hist.h - signed exponential histogram of durations: the one distribution that goes from packet to
 * yearly report. Pure; not thread-safe.
 *
 * Buckets: at scale s there are 2^s buckets per octave; bucket i >= any integer covers durations d with
 *     2^(i / 2^s) s  <  |d|  <=  2^((i+1) / 2^s) s            (d in SECONDS, upper bound inclusive)
 * for each sign, plus one bucket for exactly 0. Prometheus native histograms (schema s) call our i "i + 1";
 * OpenTelemetry exponential histograms use our i. Scale s to s-1 is i >> 1: merging and downscaling are exact,
 * whatever the order. At HIST_SCALE (64 buckets per octave) the middle of a bucket is within 0.55 % of any value in it.
 *
 * Values are stored in a sorted array of non-empty buckets, so iteration is in order of value and memory is
 * proportional to what was seen: 4 octets a bucket until one has counted more than HIST_NARROW_MAX, 10 from then on.
 * Adding allocates only when a new bucket does not fit; hist_reset() keeps the
 * room. If memory is short or HIST_MAX_BUCKETS reached, the scale is lowered instead: no value is ever lost once the
 * histogram has its first room (cap > 0; any room is enough for every value at HIST_SCALE_MIN). Owners that must not
 * lose a value even when memory is exhausted from the start call hist_reserve() when they are made; without it, values
 * that find no memory for the very first bucket are not counted. */
#ifndef TW_COMMON_HIST_H
#define TW_COMMON_HIST_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

#define HIST_SCALE 6
#define HIST_SCALE_MIN (-4) /* as Prometheus schema -4 */
#define HIST_MAX_BUCKETS 4096
#define HIST_MAX_BLOB (16 + HIST_MAX_BUCKETS * 14 + 48) /* octets that hist_encode() can need */

/* Keys order by value: 0 is the zero bucket, HIST_KEY_BIAS + i a positive bucket, -(HIST_KEY_BIAS + i) a negative one. */
#define HIST_KEY_BIAS 4096
/* The least room that is ever allocated, in octets and in narrow buckets. At HIST_SCALE_MIN there are only 11 keys:
 * they fit even when they are wide. */
#define HIST_ROOM_OCTETS 120 /* with malloc()'s own 8 a whole number of its units */
#define HIST_ROOM_MIN (HIST_ROOM_OCTETS / 4)
#define HIST_NARROW_MAX UINT16_MAX

struct hist_bucket {
    int32_t key;
    uint64_t count;
};

struct hist {
    int8_t scale;
    bool wide;         /* hist.c's own: how buckets are stored */
    uint16_t n;        /* buckets in use */
    uint16_t cap;      /* octets allocated */
    uint16_t hot;      /* hist.c's own: where the last value went */
    uint64_t count;    /* = sum of the bucket counts */
    int64_t min_ns, max_ns; /* valid when count > 0; exact, not bucket bounds */
    int64_t sum_ns;    /* saturating */
    void *b;           /* hist.c's own: see hist_bucket() */
};

/* An empty histogram at HIST_SCALE; owns nothing yet. `(struct hist){ .scale = HIST_SCALE }` is the same. */
void hist_init(struct hist *h);
void hist_free(struct hist *h);
/* Empties it, back to HIST_SCALE, keeps the memory. */
void hist_reset(struct hist *h);
/* Room for n buckets as they are stored now, so that adding does not allocate while no more are needed. */
enum tw_rc hist_reserve(struct hist *h, uint32_t n);
/* Room for a copy of src: hist_copy() cannot fail after it. */
enum tw_rc hist_reserve_copy(struct hist *dst, const struct hist *src);
/* Bucket i < n: sorted by key, counts > 0. */
struct hist_bucket hist_bucket(const struct hist *h, uint32_t i);
/* For those that build one from its buckets, and see to count, min, max and sum themselves: one more behind the
 * last, with a higher key. TW_ENOMEM: nothing is changed. */
enum tw_rc hist_append(struct hist *h, struct hist_bucket b);

void hist_add(struct hist *h, int64_t value_ns);
/* dst += src, exactly, at the lower of the two scales. Cannot fail (lowers dst's scale if memory is short). */
void hist_merge(struct hist *dst, const struct hist *src);
/* Lowers to `scale` (no effect if already at or below; clamped to HIST_SCALE_MIN). */
void hist_downscale(struct hist *h, int scale);
/* Deep copy into an initialised dst. */
enum tw_rc hist_copy(struct hist *dst, const struct hist *src);
/* Same scale, buckets, count, min, max and sum. */
bool hist_equal(const struct hist *a, const struct hist *b);

/* Percentile by nearest rank: value number ceil(p/100 * count), p in [0, 100]; p = 0 is the minimum. The
 * answer is the bucket's harmonic middle, clamped to [min_ns, max_ns]; rank 1 and rank count are exact.
 * count == 0: TW_ENOENT, *ret_ns untouched. */
enum tw_rc hist_percentile(const struct hist *h, double p, int64_t *ret_ns);
/* TW_ENOENT when empty. */
enum tw_rc hist_mean(const struct hist *h, double *ret_ns);
/* Observations <= bound. Exact when bound is 0 or a positive bucket boundary (a power of two of seconds is one at any
 * scale >= 0); else all of the bucket that holds the bound count as above it. Never looks at min and max, so that the
 * figure of a growing histogram never falls. */
uint64_t hist_count_le(const struct hist *h, int64_t bound_ns);
/* Bucket key of a value at a scale, and the bounds of a key in ns (for writers of native histograms and heat maps). */
int32_t hist_key(int64_t value_ns, int scale);
void hist_key_bounds(int32_t key, int scale, double *ret_lo_ns, double *ret_hi_ns);

/* Sparse encoding, the same on the wire and in the database:
 *   u8 version (1) | u8 scale (two's complement) | varint n | n x { zigzag key delta, varint count }
 *   | zigzag sum_ns | if count > 0: zigzag min_ns, zigzag max_ns
 * the first delta is from 0, the others are >= 1. encode: TW_ETRUNC if cap is too small; *ret_len = octets. */
enum tw_rc hist_encode(const struct hist *h, uint8_t *buf, size_t cap, size_t *ret_len);
/* Octets that hist_encode() will write, at most. */
size_t hist_encoded_max(const struct hist *h);
/* Into an initialised h, which is replaced only on TW_OK. Hostile input: TW_ETRUNC, TW_ECORRUPT (order, zero
 * counts, overflow, min/max outside their buckets, trailing octets), TW_EVERSION, TW_ENOMEM (> HIST_MAX_BUCKETS). */
enum tw_rc hist_decode(struct hist *h, const uint8_t *data, size_t len);
/* The same for those who decode one after the other: in the room that h has, and after an error h is empty.
 */
enum tw_rc hist_decode_over(struct hist *h, const uint8_t *data, size_t len);

#endif
