/* Whatever hist_decode() accepts must be a histogram in good order: later code relies on it without looking.
 */
#include <stdlib.h>

#include "common/hist.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(const struct hist *h)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < h->n; i++) {
        CHECK(hist_bucket(h, i).count > 0);
        CHECK(i == 0 || hist_bucket(h, i - 1).key < hist_bucket(h, i).key);
        count += hist_bucket(h, i).count;
    }
    CHECK(count == h->count);
    CHECK(h->n <= h->cap);
    CHECK((h->count == 0) == (h->n == 0));
    if (h->count) {
        CHECK(h->min_ns <= h->max_ns);
        CHECK(hist_key(h->min_ns, h->scale) == hist_bucket(h, 0).key);
        CHECK(hist_key(h->max_ns, h->scale) == hist_bucket(h, h->n - 1u).key);
    }
}

static void check_percentiles(const struct hist *h)
{
    static const double ps[] = { 0, 1, 50, 90, 99.9, 100 };
    int64_t last = h->min_ns, v = 0;

    for (size_t i = 0; i < TW_NELEM(ps); i++) {
        CHECK(hist_percentile(h, ps[i], &v) == (h->count ? TW_OK : TW_ENOENT));
        if (!h->count)
            return;
        CHECK(v >= last && v <= h->max_ns);
        last = v;
    }
}

static void check_round_trip(const struct hist *h)
{
    size_t cap = hist_encoded_max(h), len = 0;
    uint8_t *buf = malloc(cap);
    struct hist back;

    CHECK(buf);
    hist_init(&back);
    CHECK(cap <= HIST_MAX_BLOB);
    CHECK(hist_encode(h, buf, cap, &len) == TW_OK);
    CHECK(hist_decode(&back, buf, len) == TW_OK);
    CHECK(hist_equal(h, &back));
    hist_free(&back);
    free(buf);
}

static void check_merges(const struct hist *h)
{
    struct hist into, coarse;

    hist_init(&into);
    hist_init(&coarse);
    hist_merge(&into, h);
    CHECK(hist_equal(&into, h) || !h->count);
    hist_add(&into, 1);
    hist_add(&into, -1);
    hist_downscale(&coarse, HIST_SCALE_MIN);
    hist_merge(&coarse, h);
    CHECK(coarse.count == h->count);
    CHECK(coarse.scale == HIST_SCALE_MIN);
    if (into.count == h->count + 2 && h->count < UINT64_MAX - 2)
        check_order(&into);
    check_order(&coarse);
    check_percentiles(&coarse);
    hist_free(&coarse);
    hist_free(&into);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hist h;

    hist_init(&h);
    if (hist_decode(&h, data, size) == TW_OK) {
        check_order(&h);
        check_percentiles(&h);
        check_round_trip(&h);
        check_merges(&h);
        CHECK(hist_count_le(&h, INT64_MAX) <= h.count);
    }
    hist_free(&h);
    return 0;
}
