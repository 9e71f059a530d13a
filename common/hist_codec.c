/* Sparse encoding of histograms, the same on the wire and in the database. */
#include "common/hist.h"

#include <stdlib.h>

#include "common/wire.h"

enum { BLOB_VERSION = 1 };

size_t hist_encoded_max(const struct hist *h)
{
    /* 2 + varint n, per bucket a delta of at most 3 octets and a count of at most 10, three numbers. */
    return 2 + 5 + (size_t)h->n * 13 + 3 * 10;
}

enum tw_rc hist_encode(const struct hist *h, uint8_t *buf, size_t cap, size_t *ret_len)
{
    struct wire_wr w = { .p = buf, .end = buf + cap };
    int32_t key = 0;

    wire_put_u8(&w, BLOB_VERSION);
    wire_put_u8(&w, (uint8_t)h->scale);
    wire_put_varint(&w, h->n);
    for (uint32_t i = 0; i < h->n; i++) {
        struct hist_bucket b = hist_bucket(h, i);
        wire_put_zigzag(&w, b.key - key);
        wire_put_varint(&w, b.count);
        key = b.key;
    }
    wire_put_zigzag(&w, h->sum_ns);
    if (h->count) {
        wire_put_zigzag(&w, h->min_ns);
        wire_put_zigzag(&w, h->max_ns);
    }
    if (w.bad)
        return TW_ETRUNC;
    *ret_len = (size_t)(w.p - buf);
    return TW_OK;
}

/* Indexes at HIST_SCALE of 1 ns and of INT64_MAX ns: no value has one outside. */
enum { LEAST_INDEX = -1914, MOST_INDEX = 2118 };

static bool key_is_possible(int64_t key, int shift)
{
    int64_t i = (key < 0 ? -key : key) - HIST_KEY_BIAS;

    return key == 0 || (i >= LEAST_INDEX >> shift && i <= MOST_INDEX >> shift);
}

static enum tw_rc decode_header(struct wire_rd *r, struct hist *h, uint32_t *ret_n)
{
    uint8_t version = wire_get_u8(r);
    int8_t scale = (int8_t)wire_get_u8(r);
    uint64_t n = wire_get_varint(r);

    if (r->bad)
        return TW_ETRUNC;
    if (version != BLOB_VERSION)
        return TW_EVERSION;
    if (scale < HIST_SCALE_MIN || scale > HIST_SCALE)
        return TW_ECORRUPT;
    if (n > HIST_MAX_BUCKETS)
        return TW_ENOMEM;
    if (n > (size_t)(r->end - r->p) / 2)
        return TW_ETRUNC; /* before anything is allocated for it */
    h->scale = scale;
    *ret_n = (uint32_t)n;
    return TW_OK;
}

static enum tw_rc decode_buckets(struct wire_rd *r, struct hist *h, uint32_t n)
{
    const int shift = HIST_SCALE - h->scale;
    int64_t key = 0;

    while (h->n < n) {
        int64_t delta = wire_get_zigzag(r);
        uint64_t count = wire_get_varint(r);
        if (r->bad)
            return TW_ETRUNC;
        if (!count || (h->n && delta < 1) || __builtin_add_overflow(key, delta, &key) || key == INT64_MIN ||
            !key_is_possible(key, shift) || __builtin_add_overflow(h->count, count, &h->count))
            return TW_ECORRUPT;
        if (hist_append(h, (struct hist_bucket){ (int32_t)key, count }))
            return TW_ENOMEM;
    }
    return TW_OK;
}

/* The sum of count values within [min, max]; saturating sums stay within saturated bounds. */
static bool sum_is_possible(const struct hist *h)
{
    __int128 least = (__int128)h->min_ns * h->count, most = (__int128)h->max_ns * h->count;

    return (h->sum_ns >= least || h->sum_ns == INT64_MIN || least > INT64_MAX) &&
           (h->sum_ns <= most || h->sum_ns == INT64_MAX || most < INT64_MIN);
}

static enum tw_rc decode_totals(struct wire_rd *r, struct hist *h)
{
    h->sum_ns = wire_get_zigzag(r);
    if (h->count) {
        h->min_ns = wire_get_zigzag(r);
        h->max_ns = wire_get_zigzag(r);
    }
    if (r->bad)
        return TW_ETRUNC;
    if (r->p != r->end)
        return TW_ECORRUPT;
    if (!h->count)
        return h->sum_ns ? TW_ECORRUPT : TW_OK;
    if (h->min_ns > h->max_ns || hist_key(h->min_ns, h->scale) != hist_bucket(h, 0).key ||
        hist_key(h->max_ns, h->scale) != hist_bucket(h, h->n - 1u).key || !sum_is_possible(h))
        return TW_ECORRUPT;
    return TW_OK;
}

enum tw_rc hist_decode_over(struct hist *h, const uint8_t *data, size_t len)
{
    struct wire_rd r = { .p = data, .end = data + len };
    uint32_t n = 0;
    enum tw_rc rc;

    hist_reset(h);
    rc = decode_header(&r, h, &n);
    if (rc == TW_OK && n)
        rc = hist_reserve(h, n);
    if (rc == TW_OK)
        rc = decode_buckets(&r, h, n);
    if (rc == TW_OK)
        rc = decode_totals(&r, h);
    if (rc)
        hist_reset(h);
    return rc;
}

enum tw_rc hist_decode(struct hist *h, const uint8_t *data, size_t len)
{
    struct hist fresh;
    enum tw_rc rc;

    hist_init(&fresh);
    rc = hist_decode_over(&fresh, data, len);
    if (rc) {
        hist_free(&fresh);
        return rc;
    }
    hist_free(h);
    *h = fresh;
    return TW_OK;
}
