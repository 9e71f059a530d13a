#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/clk.h"
#include "common/hist.h"
#include "tests/unit/common/rng.h"

/* ---- Memory that runs out when told (linked with --wrap=realloc) ---- */

void *__real_realloc(void *p, size_t n);
void *__wrap_realloc(void *p, size_t n);
static bool no_memory;

void *__wrap_realloc(void *p, size_t n)
{
    return no_memory ? NULL : __real_realloc(p, n);
}

/* ---- Keys ---- */

/* By logarithm, for values that are not so near to a boundary that the logarithm's rounding matters. */
static bool expected_index(int64_t ns, int scale, int32_t *ret)
{
    long double place = log2l((long double)ns / 1e9L) * (long double)ldexp(1, scale);

    if (fabsl(place - roundl(place)) < 1e-9L)
        return false;
    *ret = (int32_t)ceill(place) - 1;
    return true;
}

static void check_key(int64_t ns, int scale)
{
    int32_t want, got = hist_key(ns, scale);
    double lo, hi;

    hist_key_bounds(got, scale, &lo, &hi);
    if ((double)ns < lo * (1 - 1e-12) || (double)ns > hi * (1 + 1e-12))
        fail_msg("%lld ns at scale %d: bounds %.17g..%.17g", (long long)ns, scale, lo, hi);
    if (expected_index(ns, scale, &want) && got != HIST_KEY_BIAS + want)
        fail_msg("%lld ns at scale %d: key %d, expected %d", (long long)ns, scale, got, HIST_KEY_BIAS + want);
    if (hist_key(-ns, scale) != -got)
        fail_msg("-%lld ns at scale %d: key %d", (long long)ns, scale, hist_key(-ns, scale));
    hist_key_bounds(-got, scale, &lo, &hi);
    if ((double)-ns > hi * (1 - 1e-12) || (double)-ns < lo * (1 + 1e-12))
        fail_msg("-%lld ns at scale %d: bounds %.17g..%.17g", (long long)ns, scale, lo, hi);
}

static void keys_follow_the_logarithm(void **state)
{
    uint64_t rng = 1;

    (void)state;
    for (int scale = HIST_SCALE_MIN; scale <= HIST_SCALE; scale++) {
        for (int64_t ns = 1; ns < 3000; ns++)
            check_key(ns, scale);
        for (int i = 0; i < 20000; i++)
            check_key((int64_t)(rng_next(&rng) >> (1 + rng_below(&rng, 62))) | 1, scale);
        check_key(INT64_MAX, scale);
        assert_int_equal(hist_key(0, scale), 0);
        assert_int_equal(hist_key(INT64_MIN, scale), -hist_key(INT64_MAX, scale));
    }
}

/* 2^k s are whole nanoseconds for k >= -9: they belong to the bucket below, the next nanosecond does not. */
static void powers_of_two_end_their_bucket(void **state)
{
    (void)state;
    for (int k = -9; k <= 20; k++) {
        int64_t ns = (int64_t)ldexp(1e9, k);
        for (int scale = 0; scale <= HIST_SCALE; scale++) {
            int32_t want = HIST_KEY_BIAS + k * (1 << scale) - 1;
            if (hist_key(ns, scale) != want || hist_key(ns + 1, scale) != want + 1)
                fail_msg("2^%d s at scale %d: %d then %d, expected %d", k, scale, hist_key(ns, scale),
                         hist_key(ns + 1, scale), want);
        }
    }
}

static void keys_rise_with_the_value(void **state)
{
    int32_t last = hist_key(1, HIST_SCALE);

    (void)state;
    for (int64_t ns = 2; ns < INT64_MAX / 1001 * 1000; ns += ns / 1000 + 1) {
        int32_t key = hist_key(ns, HIST_SCALE);
        if (key < last || key > last + 64)
            fail_msg("%lld ns: key %d after %d", (long long)ns, key, last);
        last = key;
    }
}

/* ---- Distributions ---- */

static int64_t log_normal(uint64_t *rng)
{
    return (int64_t)(20e6 * exp(0.6 * rng_normal(rng)));
}
static int64_t bimodal(uint64_t *rng)
{
    return (int64_t)((rng_below(rng, 10) < 7 ? 300e3 : 85e6) * (1 + 0.01 * rng_normal(rng)));
}
static int64_t constant(uint64_t *rng)
{
    (void)rng;
    return 12345678;
}
/* One-way delays with a clock that is off. */
static int64_t signed_offset(uint64_t *rng)
{
    return (int64_t)(4e6 * rng_normal(rng));
}
static int64_t all_magnitudes(uint64_t *rng)
{
    int64_t v = (int64_t)(rng_next(rng) >> (1 + rng_below(rng, 63)));

    return rng_below(rng, 2) ? v : -v;
}

static const struct {
    const char *name;
    int64_t (*draw)(uint64_t *rng);
} shapes[] = {
    { "log-normal", log_normal },
    { "bimodal", bimodal },
    { "constant", constant },
    { "signed", signed_offset },
    { "all magnitudes", all_magnitudes },
};

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void check_percentiles(const char *name, const struct hist *h, const int64_t *sorted, int n)
{
    static const struct {
        double p;
        int per_mille;
    } ps[] = { { 0, 0 },    { 1, 10 },   { 7, 70 },     { 50, 500 },  { 90, 900 },
               { 95, 950 }, { 99, 990 }, { 99.9, 999 }, { 100, 1000 } };

    for (size_t i = 0; i < TW_NELEM(ps); i++) {
        int rank = (n * ps[i].per_mille + 999) / 1000; /* in integers */
        int64_t exact = sorted[rank ? rank - 1 : 0], got = 0;
        double off;
        assert_int_equal(hist_percentile(h, ps[i].p, &got), TW_OK);
        off = fabs((double)got - (double)exact);
        /* All magnitudes of both signs are more than HIST_MAX_BUCKETS: then the buckets are twice as wide. */
        if (off > fabs((double)exact) * ldexp(0.0055, HIST_SCALE - h->scale) && off > 1)
            fail_msg("%s, %d values: p%g is %lld, exactly %lld", name, n, ps[i].p, (long long)got,
                     (long long)exact);
    }
}

static void percentiles_are_within_a_bucket(void **state)
{
    static const int sizes[] = { 1, 2, 3, 10, 99, 100, 101, 1000, 20000 };
    static int64_t v[20000];

    (void)state;
    for (size_t s = 0; s < TW_NELEM(shapes); s++)
        for (size_t z = 0; z < TW_NELEM(sizes); z++) {
            uint64_t rng = s * 100 + z;
            struct hist h;
            hist_init(&h);
            for (int i = 0; i < sizes[z]; i++)
                hist_add(&h, v[i] = shapes[s].draw(&rng));
            qsort(v, (size_t)sizes[z], sizeof *v, compare_i64);
            check_percentiles(shapes[s].name, &h, v, sizes[z]);
            assert_true(h.min_ns == v[0] && h.max_ns == v[sizes[z] - 1]);
            hist_free(&h);
        }
}

static void nothing_is_known_of_nothing(void **state)
{
    struct hist h = { .scale = HIST_SCALE };
    int64_t ns = 77;
    double mean = 77;

    (void)state;
    assert_int_equal(hist_percentile(&h, 50, &ns), TW_ENOENT);
    assert_int_equal(hist_mean(&h, &mean), TW_ENOENT);
    assert_int_equal(ns, 77);
    assert_int_equal(hist_count_le(&h, INT64_MAX), 0);
    hist_downscale(&h, 2);
    assert_int_equal(h.scale, 2);
    hist_reset(&h);
    assert_int_equal(h.scale, HIST_SCALE);
}

static void sums_saturate(void **state)
{
    struct hist h;
    double mean;

    (void)state;
    hist_init(&h);
    for (int i = 0; i < 3; i++)
        hist_add(&h, INT64_MAX);
    assert_int_equal(h.sum_ns, INT64_MAX);
    assert_int_equal(hist_mean(&h, &mean), TW_OK);
    hist_reset(&h);
    for (int i = 0; i < 3; i++)
        hist_add(&h, INT64_MIN);
    assert_int_equal(h.sum_ns, INT64_MIN);
    assert_int_equal(h.count, 3);
    hist_free(&h);
}

/* ---- Merging and scales ---- */

enum { PARTS = 60, PER_PART = 200 };

static void shuffle(int *order, uint64_t *rng)
{
    for (int i = PARTS - 1; i > 0; i--) {
        int j = (int)rng_below(rng, (uint64_t)i + 1), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
}

static void check_equal(const char *what, const struct hist *a, const struct hist *b)
{
    if (!hist_equal(a, b))
        fail_msg("%s: scale %d/%d, buckets %u/%u, count %llu/%llu", what, a->scale, b->scale, a->n, b->n,
                 (unsigned long long)a->count, (unsigned long long)b->count);
}

static void check_merge_orders(const char *name, struct hist *parts, const struct hist *whole, uint64_t *rng)
{
    int order[PARTS];

    for (int i = 0; i < PARTS; i++)
        order[i] = i;
    for (int round = 0; round < 5; round++) {
        struct hist sum;
        hist_init(&sum);
        for (int i = 0; i < PARTS; i++)
            hist_merge(&sum, &parts[order[i]]);
        check_equal(name, &sum, whole);
        hist_free(&sum);
        shuffle(order, rng);
    }
}

/* mixed: parts at scales 6, 5, 4, 3: the sum is at 3. */
static void check_parts(int64_t (*draw)(uint64_t *), const char *name, bool mixed)
{
    struct hist parts[PARTS], whole;
    uint64_t rng = 9;

    hist_init(&whole);
    for (int i = 0; i < PARTS; i++) {
        hist_init(&parts[i]);
        for (int n = 0; n < PER_PART; n++) {
            int64_t v = draw(&rng);
            hist_add(&parts[i], v);
            hist_add(&whole, v);
        }
        if (mixed)
            hist_downscale(&parts[i], HIST_SCALE - i % 4);
    }
    if (mixed)
        hist_downscale(&whole, HIST_SCALE - 3);
    /* Sums of all_magnitudes saturate, which depends on the order: leave that to sums_saturate(). */
    check_merge_orders(name, parts, &whole, &rng);
    for (int i = 0; i < PARTS; i++)
        hist_free(&parts[i]);
    hist_free(&whole);
}

static int64_t broad(uint64_t *rng)
{
    return all_magnitudes(rng) >> 20;
}

static void parts_merge_to_the_whole(void **state)
{
    (void)state;
    check_parts(log_normal, "log-normal", false);
    check_parts(bimodal, "bimodal", false);
    check_parts(constant, "constant", false);
    check_parts(signed_offset, "signed", false);
    check_parts(broad, "broad", false);
    check_parts(log_normal, "log-normal, mixed scales", true);
    check_parts(signed_offset, "signed, mixed scales", true);
    check_parts(broad, "broad, mixed scales", true);
}

static void merging_with_itself_and_with_nothing(void **state)
{
    struct hist h, empty;

    (void)state;
    hist_init(&h);
    hist_init(&empty);
    hist_downscale(&empty, 0);
    for (int i = -5; i < 5; i++)
        hist_add(&h, i * TW_NS_PER_MS);
    hist_merge(&h, &empty);
    assert_int_equal(h.scale, HIST_SCALE);
    assert_int_equal(h.count, 10);
    hist_merge(&h, &h);
    assert_int_equal(h.count, 20);
    assert_int_equal(h.n, 10);
    for (uint32_t i = 0; i < h.n; i++)
        assert_int_equal(hist_bucket(&h, i).count, 2);
    hist_merge(&empty, &h); /* stays as coarse as it was made */
    assert_int_equal(empty.scale, 0);
    assert_int_equal(empty.count, 20);
    hist_free(&h);
    hist_free(&empty);
}

static void downscaling_equals_adding_at_the_lower_scale(void **state)
{
    (void)state;
    for (int scale = HIST_SCALE_MIN - 1; scale <= HIST_SCALE; scale++) {
        struct hist fine, coarse;
        uint64_t rng = 4;
        hist_init(&fine);
        hist_init(&coarse);
        hist_downscale(&coarse, scale);
        for (int i = 0; i < 3000; i++) {
            int64_t v = broad(&rng);
            hist_add(&fine, v);
            hist_add(&coarse, v);
        }
        hist_downscale(&fine, (scale + HIST_SCALE) / 2); /* on the way */
        hist_downscale(&fine, scale);
        check_equal("downscaled", &fine, &coarse);
        hist_free(&fine);
        hist_free(&coarse);
    }
}

/* More keys than HIST_MAX_BUCKETS exist at scale 6 only with both signs over the whole range. */
static void too_many_buckets_lower_the_scale(void **state)
{
    struct hist h, half[2], sum;
    uint64_t n = 0;

    (void)state;
    hist_init(&h);
    hist_init(&sum);
    hist_init(&half[0]);
    hist_init(&half[1]);
    for (double v = 1; v < 9e18; v *= 1.0108, n += 2) {
        hist_add(&h, (int64_t)v);
        hist_add(&h, -(int64_t)v);
        hist_add(&half[0], (int64_t)v);
        hist_add(&half[1], -(int64_t)v);
    }
    assert_int_equal(h.count, n);
    assert_int_equal(h.scale, HIST_SCALE - 1);
    assert_true(h.n <= HIST_MAX_BUCKETS);
    hist_merge(&sum, &half[0]);
    assert_int_equal(sum.scale, HIST_SCALE);
    hist_merge(&sum, &half[1]);
    assert_int_equal(sum.scale, HIST_SCALE - 1);
    assert_int_equal(sum.count, n);
    assert_int_equal(sum.n, h.n);
    hist_free(&h);
    hist_free(&sum);
    hist_free(&half[0]);
    hist_free(&half[1]);
}

static uint64_t bucket_sum(const struct hist *h)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < h->n; i++)
        sum += hist_bucket(h, i).count;
    return sum;
}

static void no_value_is_lost_without_memory(void **state)
{
    struct hist h, other;
    uint64_t rng = 3;

    (void)state;
    hist_init(&h);
    hist_init(&other);
    for (int i = 0; i < 2000; i++)
        hist_add(&other, all_magnitudes(&rng));
    assert_int_equal(hist_reserve(&h, 1), TW_OK);
    no_memory = true;
    for (int i = 0; i < 2000; i++)
        hist_add(&h, all_magnitudes(&rng));
    assert_int_equal(h.count, 2000);
    assert_int_equal(bucket_sum(&h), 2000);
    hist_merge(&h, &other);
    no_memory = false;
    assert_int_equal(h.count, 4000);
    assert_int_equal(bucket_sum(&h), 4000);
    assert_true(h.n <= HIST_ROOM_MIN);
    hist_free(&h);
    hist_free(&other);
}

/* Buckets that count more than they can while they are stored in 4 octets, with and without memory to store
 * them in more. */
static void counts_grow_beyond_a_narrow_bucket(void **state)
{
    const int n = 3 * HIST_NARROW_MAX;

    (void)state;
    for (int memory = 0; memory < 2; memory++) {
        struct hist h, twice, coarse;
        hist_init(&h);
        hist_init(&twice);
        hist_init(&coarse);
        assert_int_equal(hist_reserve(&h, 1), TW_OK);
        for (int i = 0; i < 20; i++)
            hist_add(&h, TW_NS_PER_MS * (i + 1));
        hist_merge(&twice, &h);
        assert_int_equal(hist_copy(&coarse, &h), TW_OK);
        no_memory = !memory;
        for (int i = 0; i < n; i++)
            hist_add(&h, TW_NS_PER_MS * (i % 2 ? 3 : 7));
        hist_merge(&twice, &h);
        no_memory = false;
        assert_int_equal(h.count, n + 20);
        assert_int_equal(bucket_sum(&h), n + 20);
        assert_int_equal(h.scale, memory ? HIST_SCALE : HIST_SCALE_MIN);
        assert_int_equal(h.min_ns, TW_NS_PER_MS);
        assert_int_equal(twice.count, n + 40);
        assert_int_equal(bucket_sum(&twice), n + 40);
        assert_int_equal(twice.scale, h.scale);
        assert_int_equal(hist_copy(&coarse, &h), TW_OK);
        assert_true(hist_equal(&coarse, &h));
        hist_reset(&h);
        hist_add(&h, 5);
        assert_int_equal(hist_bucket(&h, 0).count, 1);
        hist_free(&h);
        hist_free(&twice);
        hist_free(&coarse);
    }
}

/* Buckets that become one when the scale is lowered: there is room to store two of them wide, not so many. */
static void lowering_the_scale_widens(void **state)
{
    static const struct {
        bool memory, many;
        int scale;
    } rows[] = {
        { true, false, 2 }, { false, false, 2 }, { true, true, 2 }, { false, true, HIST_SCALE_MIN }
    };

    (void)state;
    for (size_t r = 0; r < TW_NELEM(rows); r++) {
        struct hist h;
        uint64_t count = 2 * HIST_NARROW_MAX + (rows[r].many ? 20 : 0);
        hist_init(&h);
        for (int i = 0; i < 2 * HIST_NARROW_MAX; i++)
            hist_add(&h, TW_NS_PER_MS + (i % 2) * TW_NS_PER_MS / 50);
        for (int i = 0; i < 20 && rows[r].many; i++)
            hist_add(&h, (i + 2) * TW_NS_PER_MS);
        no_memory = !rows[r].memory;
        hist_downscale(&h, 2);
        no_memory = false;
        if (h.scale != rows[r].scale || h.count != count || bucket_sum(&h) != count)
            fail_msg("row %zu: scale %d, buckets %u with %llu of %llu", r, h.scale, h.n,
                     (unsigned long long)bucket_sum(&h), (unsigned long long)count);
        hist_free(&h);
    }
}

static void a_histogram_of_few_values_is_small(void **state)
{
    struct hist h;

    (void)state;
    hist_init(&h);
    for (int i = 0; i < HIST_ROOM_MIN; i++)
        hist_add(&h, (int64_t)(1e6 * pow(2, (double)i / 50)));
    assert_int_equal(h.n, HIST_ROOM_MIN);
    assert_int_equal(h.cap, HIST_ROOM_OCTETS);
    for (int i = 0; i < 50; i++)
        hist_add(&h, (int64_t)(1e6 * pow(2, (double)i / 50)));
    assert_int_equal(h.n, 50);
    assert_true(h.cap <= 50 * 4 * 3 / 2);
    hist_free(&h);
}

static void without_any_room_the_histogram_stays_in_order(void **state)
{
    struct hist h, other, copy;

    (void)state;
    hist_init(&h);
    hist_init(&other);
    hist_init(&copy);
    hist_add(&other, 5);
    no_memory = true;
    hist_add(&h, 5);
    hist_merge(&h, &other);
    assert_int_equal(hist_copy(&copy, &other), TW_ENOMEM);
    no_memory = false;
    assert_int_equal(h.count, bucket_sum(&h));
    assert_int_equal(copy.count, 0);
    hist_add(&h, 5);
    assert_int_equal(h.count, 1);
    hist_free(&h);
    hist_free(&other);
}

static void reserved_room_is_enough(void **state)
{
    struct hist h;

    (void)state;
    hist_init(&h);
    assert_int_equal(hist_reserve(&h, 200), TW_OK);
    assert_int_equal(hist_reserve(&h, HIST_MAX_BUCKETS + 1), TW_ENOMEM);
    no_memory = true;
    for (int round = 0; round < 2; round++) {
        for (int64_t i = 1; i <= 200; i++)
            hist_add(&h, (int64_t)(1e6 * pow(2, (double)i / 50)));
        assert_int_equal(h.scale, HIST_SCALE);
        assert_int_equal(h.count, 200);
        hist_reset(&h);
    }
    no_memory = false;
    hist_free(&h);
}

/* ---- Counting below a bound ---- */

static void counts_below_powers_of_two_are_exact(void **state)
{
    for (int scale = 0; scale <= HIST_SCALE; scale++) {
        struct hist h;
        uint64_t rng = 5;
        int64_t v[3000];
        hist_init(&h);
        hist_downscale(&h, scale);
        for (size_t i = 0; i < TW_NELEM(v); i++)
            hist_add(&h, v[i] = i % 3 ? signed_offset(&rng) : (int64_t)ldexp(1e9, (int)(i % 10) - 9));
        for (int k = -10; k <= 3; k++) {
            int64_t bound = k == -10 ? 0 : (int64_t)ldexp(1e9, k);
            uint64_t want = 0;
            for (size_t i = 0; i < TW_NELEM(v); i++)
                want += v[i] <= bound;
            if (hist_count_le(&h, bound) != want)
                fail_msg("scale %d, bound %lld: %llu, expected %llu", scale, (long long)bound,
                         (unsigned long long)hist_count_le(&h, bound), (unsigned long long)want);
        }
        hist_free(&h);
    }
    (void)state;
}

static void counts_within_a_bucket_are_of_those_below(void **state)
{
    struct hist h;

    (void)state;
    hist_init(&h);
    hist_add(&h, TW_NS_PER_MS);
    assert_int_equal(hist_count_le(&h, TW_NS_PER_MS), 0);
    assert_int_equal(hist_count_le(&h, TW_NS_PER_MS * 102 / 100), 1);
    hist_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_follow_the_logarithm),
        cmocka_unit_test(powers_of_two_end_their_bucket),
        cmocka_unit_test(keys_rise_with_the_value),
        cmocka_unit_test(percentiles_are_within_a_bucket),
        cmocka_unit_test(nothing_is_known_of_nothing),
        cmocka_unit_test(sums_saturate),
        cmocka_unit_test(parts_merge_to_the_whole),
        cmocka_unit_test(merging_with_itself_and_with_nothing),
        cmocka_unit_test(downscaling_equals_adding_at_the_lower_scale),
        cmocka_unit_test(too_many_buckets_lower_the_scale),
        cmocka_unit_test(no_value_is_lost_without_memory),
        cmocka_unit_test(counts_grow_beyond_a_narrow_bucket),
        cmocka_unit_test(lowering_the_scale_widens),
        cmocka_unit_test(a_histogram_of_few_values_is_small),
        cmocka_unit_test(without_any_room_the_histogram_stays_in_order),
        cmocka_unit_test(reserved_room_is_enough),
        cmocka_unit_test(counts_below_powers_of_two_are_exact),
        cmocka_unit_test(counts_within_a_bucket_are_of_those_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
