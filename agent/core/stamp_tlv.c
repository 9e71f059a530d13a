/* agent/core/stamp_tlv.c - TLVs one after the other: see stamp_tlv.h; what each type holds is in
 * stamp_tlv_kinds.c. RFC 8972 section 4; where it is silent:
 *  - an HMAC TLV that cannot be verified (length, place, a second one) counts as wrong;
 *  - integrity failed: I is added to the flags as they came, values and HMAC come back as they came;
 *  - malformed: U tells whether the type is known, all behind comes back as it came, an HMAC TLV, too;
 *  - one to three octets at the end are no TLV: copied, with nothing to mark. */
#include "agent/core/stamp_tlv.h"

#include "agent/core/stamp_tlv_kinds.h"
#include "common/wire.h"

bool stamp_tlv_at(const uint8_t *data, size_t len, size_t at, struct tlv *ret)
{
    struct wire_rd r = { .p = data + at, .end = data + len };
    struct tlv t = { .head = at, .value = at + STAMP_TLV_HEAD };

    t.flags = wire_get_u8(&r);
    t.type = wire_get_u8(&r);
    t.len = wire_get_u16(&r);
    if (r.bad)
        return false;
    t.cut = t.len > len - t.value;
    t.next = t.cut ? len : t.value + t.len;
    *ret = t;
    return true;
}

/* ---- Integrity ---- */

static bool hmac_right(const uint8_t *data, const struct tlv *t, uint32_t seq, struct crypto_hmac *hmac)
{
    uint8_t seq_octets[4];
    struct wire_wr w = { .p = seq_octets, .end = seq_octets + sizeof seq_octets };

    if (t->cut || t->len != CRYPTO_MAC)
        return false;
    wire_put_u32(&w, seq);
    return crypto_hmac_ok(hmac, seq_octets, sizeof seq_octets, data, t->head, data + t->value);
}

/* An HMAC TLV that is there is right and only padding follows it; where it is demanded it is there, unless
 * there is nothing but one Extra Padding. */
static bool is_intact(const uint8_t *data, size_t len, uint32_t seq, struct crypto_hmac *hmac, bool demand)
{
    bool is_signed = false, is_padding = true;
    unsigned n = 0;
    struct tlv t;

    for (size_t at = 0; at < len && stamp_tlv_at(data, len, at, &t); at = t.next) {
        if (is_signed && t.type != STAMP_TLV_PADDING)
            return false;
        if (t.type == STAMP_TLV_HMAC) {
            if (!hmac_right(data, &t, seq, hmac))
                return false;
            is_signed = true;
        }
        if (t.type != STAMP_TLV_PADDING)
            is_padding = false;
        n++;
    }
    return is_signed || !demand || !n || (n == 1 && is_padding);
}

/* ---- Session-Sender: write ---- */

enum { FIRST = STAMP_TLV_LOCATION, LAST = STAMP_TLV_HMAC, SIX_BITS = 63, FOUR_BITS = 15 };

static bool wants(const struct stamp_tlv_want *w, unsigned type)
{
    return w->types & STAMP_TLV_BIT(type);
}

size_t stamp_tlv_size(const struct stamp_tlv_want *w)
{
    size_t n = 0;

    for (unsigned type = FIRST; type <= LAST; type++)
        if (wants(w, type))
            n += STAMP_TLV_HEAD + stamp_tlv_kind((uint8_t)type)->size;
    return n;
}

static void put_head(uint8_t *at, unsigned type, size_t len)
{
    struct wire_wr w = { .p = at, .end = at + STAMP_TLV_HEAD };

    wire_put_u8(&w, STAMP_TLV_U);
    wire_put_u8(&w, (uint8_t)type);
    wire_put_u16(&w, (uint16_t)len);
}

/* Does what is wanted exist, and do its values fit their fields? */
static bool is_possible(const struct stamp_tlv_want *w, const struct crypto_hmac *hmac)
{
    return w->types < STAMP_TLV_BIT(LAST + 1) && !(w->types & 1) && (hmac || !wants(w, STAMP_TLV_HMAC)) &&
           w->cos_dscp <= SIX_BITS && w->access_id <= FOUR_BITS;
}

enum tw_rc stamp_tlv_write(const struct stamp_tlv_want *w, uint32_t seq, struct crypto_hmac *hmac,
                           uint8_t *buf, size_t len)
{
    struct tlv_put p = { w, seq, hmac, buf };
    size_t size = stamp_tlv_size(w), spare = len - size;
    uint8_t *at = buf;

    if (!is_possible(w, hmac) || len < size || (spare && spare < STAMP_TLV_HEAD) ||
        spare > STAMP_TLV_HEAD + UINT16_MAX)
        return TW_EINVAL;
    for (unsigned type = FIRST; type <= LAST; type++) {
        const struct tlv_kind *k = stamp_tlv_kind((uint8_t)type);
        if (!wants(w, type))
            continue;
        put_head(at, type, k->size);
        memset(at + STAMP_TLV_HEAD, 0, k->size);
        if (k->put)
            k->put(&p, at + STAMP_TLV_HEAD);
        at += STAMP_TLV_HEAD + k->size;
    }
    if (spare)
        put_head(at, STAMP_TLV_PADDING, spare - STAMP_TLV_HEAD);
    return TW_OK;
}

/* ---- Session-Sender: read ---- */

/* Does the reflector say that it found the integrity broken? Nobody looks behind an M. */
static bool says_broken(const uint8_t *data, size_t len, bool *ret_malformed)
{
    struct tlv t;

    for (size_t at = 0; at < len && stamp_tlv_at(data, len, at, &t); at = t.next) {
        if (t.flags & STAMP_TLV_I)
            return true;
        if (t.flags & STAMP_TLV_M) {
            *ret_malformed = true;
            return false;
        }
    }
    return false;
}

/* False: stop here. */
static bool read_one(const uint8_t *data, const struct tlv *t, struct stamp_tlv_seen *seen)
{
    const struct tlv_kind *k = stamp_tlv_kind(t->type);

    if (t->flags & STAMP_TLV_M || t->cut)
        return false;
    if (t->flags & STAMP_TLV_U) {
        seen->unrecognised |= t->type < 32 ? STAMP_TLV_BIT(t->type) : 0;
        return true;
    }
    if (!k)
        return true; /* not one that we sent */
    if (t->len < k->min || t->len > k->max)
        return false;
    seen->answered |= STAMP_TLV_BIT(t->type);
    if (k->read)
        k->read(data + t->value, t->len, seen);
    return true;
}

void stamp_tlv_read(const uint8_t *data, size_t len, uint32_t seq, struct crypto_hmac *hmac,
                    struct stamp_tlv_seen *ret)
{
    struct tlv t;

    memset(ret, 0, sizeof *ret);
    ret->integrity =
        says_broken(data, len, &ret->malformed) || (hmac && !is_intact(data, len, seq, hmac, true));
    if (ret->integrity)
        return;
    for (size_t at = 0; at < len; at = t.next) {
        if (!stamp_tlv_at(data, len, at, &t) || !read_one(data, &t, ret)) {
            ret->malformed = true;
            return;
        }
    }
}

/* ---- Session-Reflector ---- */

static void flag_all(uint8_t *data, size_t len, uint8_t flag)
{
    struct tlv t;

    for (size_t at = 0; at < len && stamp_tlv_at(data, len, at, &t); at = t.next)
        data[at] |= flag;
}

/* False: malformed. */
static bool answer_one(const struct tlv_fill *f, uint8_t *data, const struct tlv *t)
{
    const struct tlv_kind *k = stamp_tlv_kind(t->type);

    if (t->type == STAMP_TLV_HMAC && !f->facts->hmac)
        k = NULL;
    data[t->head] = k ? 0 : STAMP_TLV_U;
    if (t->cut)
        return false;
    if (!k)
        return true;
    if (t->len < k->min || t->len > k->max) {
        if (k->zero_wrong)
            memset(data + t->value, 0, t->len);
        return false;
    }
    if (k->fill && !k->fill(f, data + t->value, t->len))
        return false;
    f->outcome->types |= STAMP_TLV_BIT(t->type);
    return true;
}

void stamp_tlv_answer(const uint8_t *in, size_t len, const struct stamp_tlv_facts *facts, uint8_t *out,
                      struct stamp_tlv_outcome *ret)
{
    struct tlv_fill f = { facts, ret, out };
    struct tlv t;

    *ret = (struct stamp_tlv_outcome){ .reply_dscp = -1 };
    if (!len)
        return;
    memcpy(out, in, len);
    if (facts->hmac && !is_intact(in, len, facts->seq, facts->hmac, facts->demand_hmac)) {
        flag_all(out, len, STAMP_TLV_I);
        ret->integrity_failed = true;
        return;
    }
    for (size_t at = 0; at < len; at = t.next) {
        if (!stamp_tlv_at(out, len, at, &t)) {
            ret->malformed = true;
            return;
        }
        if (!answer_one(&f, out, &t)) {
            out[at] |= STAMP_TLV_M;
            ret->malformed = true;
            return;
        }
    }
}
