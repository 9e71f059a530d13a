#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/hist.h"
#include "common/wire.h"
#include "tests/unit/common/rng.h"

static uint8_t blob[HIST_MAX_BLOB];

static size_t encode(const struct hist *h)
{
    size_t len = 0;

    assert_int_equal(hist_encode(h, blob, sizeof blob, &len), TW_OK);
    assert_true(len <= hist_encoded_max(h));
    return len;
}

/* What decoding accepts must be in good order. */
static void check_order(const struct hist *h, const char *what, size_t at)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < h->n; i++) {
        struct hist_bucket b = hist_bucket(h, i);
        if (!b.count || (i && b.key <= hist_bucket(h, i - 1).key))
            fail_msg("%s at %zu: bucket %u has key %d count %llu", what, at, i, b.key,
                     (unsigned long long)b.count);
        count += b.count;
    }
    if (count != h->count || (count && h->min_ns > h->max_ns))
        fail_msg("%s at %zu: count %llu of %llu, min %lld max %lld", what, at, (unsigned long long)h->count,
                 (unsigned long long)count, (long long)h->min_ns, (long long)h->max_ns);
}

static void fill(struct hist *h, unsigned seed)
{
    uint64_t rng = seed;

    hist_init(h);
    for (uint64_t n = seed * 13; n; n--) {
        int64_t v = (int64_t)(rng_next(&rng) >> (20 + rng_below(&rng, 44)));
        hist_add(h, rng_below(&rng, 3) ? v : -v);
    }
    hist_downscale(h, HIST_SCALE - (int)(seed % 11));
}

/* Both ways, which must agree. */
static enum tw_rc decode(struct hist *h, const uint8_t *data, size_t len)
{
    struct hist over;
    enum tw_rc rc;

    hist_init(&over);
    for (int i = 0; i < 50; i++)
        hist_add(&over, i * INT64_C(100000000)); /* is replaced, too */
    rc = hist_decode_over(&over, data, len);
    if (hist_decode(h, data, len) != rc || (rc ? over.count != 0 || over.n != 0 : !hist_equal(h, &over)))
        fail_msg("decoded over another: %s", tw_rc_name(rc));
    hist_free(&over);
    return rc;
}

static void what_is_encoded_comes_back(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 60; seed++) {
        struct hist h, back;
        size_t len, ignored;
        fill(&h, seed);
        hist_init(&back);
        hist_add(&back, 42); /* is replaced */
        len = encode(&h);
        assert_int_equal(decode(&back, blob, len), TW_OK);
        assert_true(hist_equal(&h, &back));
        for (size_t cap = 0; cap < len; cap++)
            assert_int_equal(hist_encode(&h, blob, cap, &ignored), TW_ETRUNC);
        hist_free(&h);
        hist_free(&back);
    }
}

static void the_largest_fits_the_promised_room(void **state)
{
    struct hist h;

    (void)state;
    hist_init(&h);
    for (int32_t i = 0; i < HIST_MAX_BUCKETS; i++)
        assert_int_equal(hist_append(&h, (struct hist_bucket){ i * 3 - 6200, UINT64_MAX }), TW_OK);
    assert_int_equal(hist_append(&h, (struct hist_bucket){ HIST_MAX_BUCKETS * 3 - 6200, 1 }), TW_ENOMEM);
    h.count = 1;
    h.sum_ns = h.min_ns = h.max_ns = INT64_MIN;
    assert_true(hist_encoded_max(&h) <= HIST_MAX_BLOB);
    encode(&h);
    hist_free(&h);
}

static void every_truncation_is_refused(void **state)
{
    struct hist h, back;
    size_t len;

    (void)state;
    fill(&h, 12);
    hist_init(&back);
    hist_add(&back, 42);
    len = encode(&h);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1);
        assert_non_null(exact);
        memcpy(exact, blob, cut);
        if (decode(&back, exact, cut) != TW_ETRUNC)
            fail_msg("cut at %zu of %zu", cut, len);
        free(exact);
    }
    assert_int_equal(back.count, 1); /* untouched by failures */
    assert_int_equal(back.min_ns, 42);
    hist_free(&h);
    hist_free(&back);
}

static void every_changed_octet_is_refused_or_harmless(void **state)
{
    struct hist h, back;
    size_t len, refused = 0;

    (void)state;
    fill(&h, 9);
    hist_init(&back);
    len = encode(&h);
    for (size_t at = 0; at < len; at++)
        for (unsigned delta = 1; delta < 256; delta++) {
            blob[at] = (uint8_t)(blob[at] + delta);
            if (decode(&back, blob, len) == TW_OK)
                check_order(&back, "changed octet", at);
            else
                refused++;
            blob[at] = (uint8_t)(blob[at] - delta);
        }
    assert_true(refused > len * 100);
    hist_free(&h);
    hist_free(&back);
}

/* A blob field by field, to build what an encoder never would. Key 4096 + 63 is (2^(63/64) s, 2 s]. */
static const struct {
    const char *name;
    enum tw_rc rc;
    int version, scale;
    uint64_t n;
    struct {
        int64_t delta;
        uint64_t count;
    } b[2];
    int64_t sum, min, max;
    unsigned extra;
} cases[] = {
    { "good", TW_OK, 1, 6, 1, { { 4159, 1 } }, 2000000000, 2000000000, 2000000000, 0 },
    { "zero bucket", TW_OK, 1, 6, 1, { { 0, 3 } }, 0, 0, 0, 0 },
    { "next version", TW_EVERSION, 2, 6, 1, { { 4159, 1 } }, 2000000000, 2000000000, 2000000000, 0 },
    { "scale 7", TW_ECORRUPT, 1, 7, 1, { { 4159, 1 } }, 2000000000, 2000000000, 2000000000, 0 },
    { "scale -5", TW_ECORRUPT, 1, -5, 1, { { 4095, 1 } }, 2000000000, 2000000000, 2000000000, 0 },
    { "too many buckets", TW_ENOMEM, 1, 6, 4097, { { 4159, 1 } }, 0, 0, 0, 0 },
    { "buckets that are not there", TW_ETRUNC, 1, 6, 4096, { { 4159, 1 } }, 0, 0, 0, 0 },
    { "zero count", TW_ECORRUPT, 1, 6, 1, { { 4159, 0 } }, 0, 0, 0, 0 },
    { "same key twice",
      TW_ECORRUPT,
      1,
      6,
      2,
      { { 4159, 1 }, { 0, 1 } },
      4000000000,
      2000000000,
      2000000000,
      0 },
    { "falling keys",
      TW_ECORRUPT,
      1,
      6,
      2,
      { { 4159, 1 }, { -1, 1 } },
      4000000000,
      2000000000,
      2000000000,
      0 },
    { "count overflow", TW_ECORRUPT, 1, 6, 2, { { 4158, UINT64_MAX }, { 1, 1 } }, 0, 0, 2000000000, 0 },
    { "key of no duration", TW_ECORRUPT, 1, 6, 1, { { 100, 1 } }, 1, 1, 1, 0 },
    { "key overflow", TW_ECORRUPT, 1, 6, 2, { { 4159, 1 }, { INT64_MAX, 1 } }, 1, 1, 1, 0 },
    { "lowest key", TW_ECORRUPT, 1, 6, 1, { { INT64_MIN, 1 } }, 1, 1, 1, 0 },
    { "min in another bucket", TW_ECORRUPT, 1, 6, 1, { { 4159, 1 } }, 2000000000, 1900000000, 2000000000, 0 },
    { "max in another bucket", TW_ECORRUPT, 1, 6, 1, { { 4159, 1 } }, 2000000000, 2000000000, 2000000001, 0 },
    { "min above max", TW_ECORRUPT, 1, 6, 1, { { 4159, 2 } }, 4000000000, 2000000000, 1999999999, 0 },
    { "sum too large", TW_ECORRUPT, 1, 6, 1, { { 4159, 1 } }, 2000000001, 2000000000, 2000000000, 0 },
    { "sum of nothing", TW_ECORRUPT, 1, 6, 0, { { 0, 0 } }, 1, 0, 0, 0 },
    { "trailing octet", TW_ECORRUPT, 1, 6, 1, { { 4159, 1 } }, 2000000000, 2000000000, 2000000000, 1 },
};

static void hostile_fields_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct wire_wr w = { .p = blob, .end = blob + sizeof blob };
        struct hist h;
        enum tw_rc rc;
        hist_init(&h);
        wire_put_u8(&w, (uint8_t)cases[i].version);
        wire_put_u8(&w, (uint8_t)cases[i].scale);
        wire_put_varint(&w, cases[i].n);
        for (uint64_t b = 0; b < cases[i].n && b < 2; b++) {
            wire_put_zigzag(&w, cases[i].b[b].delta);
            wire_put_varint(&w, cases[i].b[b].count);
        }
        wire_put_zigzag(&w, cases[i].sum);
        if (cases[i].n) {
            wire_put_zigzag(&w, cases[i].min);
            wire_put_zigzag(&w, cases[i].max);
        }
        wire_put_zero(&w, cases[i].extra);
        rc = decode(&h, blob, (size_t)(w.p - blob));
        if (rc != cases[i].rc)
            fail_msg("%s: %s, expected %s", cases[i].name, tw_rc_name(rc), tw_rc_name(cases[i].rc));
        hist_free(&h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_comes_back),
        cmocka_unit_test(the_largest_fits_the_promised_room),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_octet_is_refused_or_harmless),
        cmocka_unit_test(hostile_fields_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
