/* agent/core/stamp_pkt.c - STAMP base packets; see stamp_pkt.h.
 *
 * RFC 8762 sections 4.2.1 (unauthenticated: A) and 4.2.2 (authenticated: B), 4.3.1 and 4.3.2 for the
 * reflector's; SSID: RFC 8972 section 3. What is not named is MBZ.
 *
 *     A    B                                  A    B
 *     0    0 Sequence Number                 24   48 Session-Sender Sequence Number
 *     4   16 Timestamp, T1 or T3             28   64 Session-Sender Timestamp
 *    12   24 Error Estimate                  36   72 Session-Sender Error Estimate
 *    14   26 SSID                            40   80 Session-Sender TTL
 *    16   32 Receive Timestamp, T2                96 HMAC
 *            (from here on only the          44  112 end: TLVs
 *            reflector's packets) */
#include "agent/core/stamp_pkt.h"

#include <assert.h>
#include <string.h>
#include "common/wire.h"

enum { SIGNED = 96, ERREST_MULTIPLIER = 0xff };

/* Where the fields are. `accept`: the shortest reply that tells enough. */
static const struct layout {
    size_t time, err_est, ssid, t2, sender_seq, sender_t1, sender_err_est, ttl, size, accept;
} layouts[] = {
    { 4, 12, 14, 16, 24, 28, 36, 40, STAMP_BASE, STAMP_REPLY_ACCEPT },
    { 16, 24, 26, 32, 48, 64, 72, 80, STAMP_BASE_AUTH, STAMP_BASE_AUTH },
};

static const struct layout *layout_of(bool authenticated)
{
    return &layouts[authenticated];
}

static void put(const struct layout *l, uint8_t *buf, size_t at, uint64_t v, unsigned n)
{
    struct wire_wr w = { .p = buf + at, .end = buf + l->size };

    wire_put_be(&w, v, n);
}

/* 0 where the packet has ended before. */
static uint64_t get(const uint8_t *data, size_t len, size_t at, unsigned n)
{
    struct wire_rd r = { .p = data, .end = data + len };

    wire_take(&r, at);
    return wire_get_be(&r, n);
}

static bool is_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;

    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return !any;
}

/* ---- Keys ---- */

enum tw_rc stamp_keys_add(struct stamp_keys *k, const uint8_t *key, size_t len)
{
    enum tw_rc rc;

    if (!len)
        return TW_EINVAL;
    if (k->n == STAMP_KEYS_MAX)
        return TW_ENOSPC;
    rc = crypto_hmac_new(CRYPTO_SHA256, key, len, &k->key[k->n]);
    if (rc == TW_OK)
        k->n++;
    return rc;
}

enum tw_rc stamp_keys_copy(const struct stamp_keys *k, struct stamp_keys *ret)
{
    struct stamp_keys c = { .n = 0 };
    enum tw_rc rc = TW_OK;

    for (unsigned i = 0; !rc && i < k->n; i++) {
        rc = crypto_hmac_copy(k->key[i], &c.key[i]);
        c.n += !rc;
    }
    if (rc)
        stamp_keys_clear(&c);
    *ret = c;
    return rc;
}

void stamp_keys_clear(struct stamp_keys *k)
{
    for (unsigned i = 0; i < k->n; i++)
        crypto_hmac_free(k->key[i]);
    *k = (struct stamp_keys){ 0 };
}

static void sign(struct stamp_keys *keys, unsigned use, uint8_t *buf)
{
    assert(use < keys->n);
    crypto_hmac(keys->key[use], buf, SIGNED, NULL, 0, buf + SIGNED);
}

static bool signed_by(struct stamp_keys *keys, unsigned i, const uint8_t *data)
{
    return crypto_hmac_ok(keys->key[i], data, SIGNED, NULL, 0, data + SIGNED);
}

/* *key: the one to try first, then the one that it was. */
static enum tw_rc find_signer(struct stamp_keys *keys, const uint8_t *data, unsigned *key)
{
    unsigned first = *key;

    if (first < keys->n && signed_by(keys, first, data))
        return TW_OK;
    for (unsigned i = 0; i < keys->n; i++) {
        if (i == first || !signed_by(keys, i, data))
            continue;
        *key = i;
        return TW_OK;
    }
    return TW_EPERM;
}

/* ---- Session-Sender's packet ---- */

enum tw_rc stamp_write_probe(struct stamp_keys *keys, unsigned use, const struct test_probe *p, uint8_t *buf,
                             size_t cap)
{
    const struct layout *l = layout_of(keys);

    if (cap < l->size)
        return TW_ETRUNC;
    memset(buf, 0, l->size);
    put(l, buf, 0, p->seq, 4);
    put(l, buf, l->time, p->t1, 8);
    put(l, buf, l->err_est, p->err_est, 2);
    put(l, buf, l->ssid, p->ssid, 2);
    if (keys)
        sign(keys, use, buf);
    return TW_OK;
}

enum tw_rc stamp_read_probe(struct stamp_keys *keys, const uint8_t *data, size_t len, struct test_probe *ret,
                            unsigned *ret_key)
{
    const struct layout *l = layout_of(keys);

    if (len < l->size)
        return TW_ETRUNC;
    if (keys && find_signer(keys, data, ret_key))
        return TW_EPERM;
    *ret = (struct test_probe){
        .seq = (uint32_t)get(data, len, 0, 4),
        .t1 = get(data, len, l->time, 8),
        .err_est = (uint16_t)get(data, len, l->err_est, 2),
        .ssid = (uint16_t)get(data, len, l->ssid, 2),
    };
    return TW_OK;
}

/* ---- Session-Reflector's packet ---- */

enum tw_rc stamp_write_reply(bool authenticated, const struct test_reply *r, uint8_t *buf, size_t cap)
{
    const struct layout *l = layout_of(authenticated);

    if (cap < l->size)
        return TW_ETRUNC;
    memset(buf, 0, l->size);
    put(l, buf, 0, r->seq, 4);
    put(l, buf, l->ssid, r->ssid, 2);
    put(l, buf, l->t2, r->t2, 8);
    put(l, buf, l->sender_seq, r->sender_seq, 4);
    put(l, buf, l->sender_t1, r->sender_t1, 8);
    put(l, buf, l->sender_err_est, r->sender_err_est, 2);
    put(l, buf, l->ttl, r->ttl_known ? r->sender_ttl : 255, 1);
    return TW_OK;
}

void stamp_seal_reply(struct stamp_keys *keys, unsigned use, uint8_t *buf, uint64_t t3, uint16_t err_est)
{
    const struct layout *l = layout_of(keys);

    put(l, buf, l->time, t3, 8);
    put(l, buf, l->err_est, err_est, 2);
    if (keys)
        sign(keys, use, buf);
}

enum tw_rc stamp_read_reply(struct stamp_keys *keys, const uint8_t *data, size_t len, struct test_reply *ret,
                            unsigned *ret_key)
{
    const struct layout *l = layout_of(keys);
    struct test_reply r;

    if (len < l->accept)
        return TW_ETRUNC;
    if (keys && find_signer(keys, data, ret_key))
        return TW_EPERM;
    r = (struct test_reply){
        .seq = (uint32_t)get(data, len, 0, 4),
        .t3 = get(data, len, l->time, 8),
        .err_est = (uint16_t)get(data, len, l->err_est, 2),
        .t2 = get(data, len, l->t2, 8),
        .sender_seq = (uint32_t)get(data, len, l->sender_seq, 4),
        .sender_t1 = get(data, len, l->sender_t1, 8),
        .sender_err_est = (uint16_t)get(data, len, l->sender_err_est, 2),
        .ssid = (uint16_t)get(data, len, l->ssid, 2),
        .sender_ttl = (uint8_t)get(data, len, l->ttl, 1),
    };
    if (!(r.err_est & ERREST_MULTIPLIER)) /* RFC 4656 section 4.1.2: corrupt */
        return TW_EINVAL;
    /* No datagram arrives with TTL 0: there it is the padding of a TWAMP Light reflector. */
    r.ttl_known = r.sender_ttl;
    *ret = r;
    return TW_OK;
}

/* ---- Which kind? ---- */

bool stamp_looks_authenticated(const uint8_t *data, size_t len)
{
    return len >= STAMP_BASE_AUTH && is_zero(data + 4, 12);
}

bool stamp_looks_like_stamp(const uint8_t *data, size_t len)
{
    return len >= STAMP_BASE && is_zero(data + 16, STAMP_BASE - 16);
}
