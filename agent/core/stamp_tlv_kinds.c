/* agent/core/stamp_tlv_kinds.c - the types of TLVs; layouts: RFC 8972 sections 4.1 to 4.8. Functions of a row
 * may be missing: nothing to write, to fill in or to read. */
#include "agent/core/stamp_tlv_kinds.h"

#include "common/wire.h"

/* A value's octets, big-endian. */
static void put_at(uint8_t *v, uint64_t number, unsigned n)
{
    struct wire_wr w = { .p = v, .end = v + n };

    wire_put_be(&w, number, n);
}

static uint64_t get_at(const uint8_t *v, unsigned n)
{
    struct wire_rd r = { .p = v, .end = v + n };

    return wire_get_be(&r, n);
}

/* ---- 2 Location: UDP ports as received (destination 0, source 2), then sub-TLVs ----
 *
 * The sender asks in a general way (types 1, 4, 7), the reflector answers by what it has: all types of one
 * thing are of the same length, for that reason. */

enum { LOCATION_PORTS = 4 };
enum sub_thing {
    SUB_MAC = 1,
    SUB_TARGET = 4,
    SUB_SOURCE = 7
}; /* types that ask; 1 and 2 more: the answers */

static const struct sub_kind {
    enum sub_thing thing;
    uint8_t size; /* Length */
    uint8_t form; /* of answers: EUI-48 or 64 (6, 8), IPv4 or 6 (4, 6) */
} subs[] = {
    [1] = { SUB_MAC, 8, 0 },     [2] = { SUB_MAC, 8, 6 },     [3] = { SUB_MAC, 8, 8 },
    [4] = { SUB_TARGET, 16, 0 }, [5] = { SUB_TARGET, 16, 4 }, [6] = { SUB_TARGET, 16, 6 },
    [7] = { SUB_SOURCE, 16, 0 }, [8] = { SUB_SOURCE, 16, 4 }, [9] = { SUB_SOURCE, 16, 6 },
};

static const struct sub_kind *location_sub(uint8_t type)
{
    return type && type < TW_NELEM(subs) ? &subs[type] : NULL;
}

static const struct sub_kind *no_sub(uint8_t type)
{
    (void)type;
    return NULL;
}

/* What we know of a thing. */
struct sub_fact {
    const uint8_t *octets;
    size_t n;     /* 0 = not known */
    uint8_t form; /* 0 = not known */
};

static struct sub_fact address_fact(const struct tw_addr *a, const struct tw_addr *other)
{
    uint8_t form = a->family ? a->family : other->family; /* both ends speak the same */

    return (struct sub_fact){ a->ip, a->family == 4 ? 4 : a->family == 6 ? 16 : 0, form };
}

static struct sub_fact fact_of(const struct stamp_tlv_facts *f, enum sub_thing thing)
{
    switch (thing) {
    case SUB_TARGET:
        return address_fact(&f->to, &f->from);
    case SUB_SOURCE:
        return address_fact(&f->from, &f->to);
    case SUB_MAC:
        break;
    }
    if (f->mac_len == 6 || f->mac_len == 8)
        return (struct sub_fact){ f->source_mac, f->mac_len, f->mac_len };
    return (struct sub_fact){ NULL, 0, 8 }; /* section 4.2.1: no MAC address is an EUI-64 of zeros */
}

/* An answer's type that was sent as a question gets zeros when we have the other form. */
static void fill_sub(const struct stamp_tlv_facts *facts, const struct sub_kind *k, uint8_t *head)
{
    struct sub_fact f = fact_of(facts, k->thing);
    uint8_t *v = head + STAMP_TLV_HEAD;

    if (!k->form && f.form)
        head[1] = (uint8_t)(k->thing + (f.form == 4 || (k->thing == SUB_MAC && f.form == 6) ? 1 : 2));
    memset(v, 0, k->size);
    if (f.n && (!k->form || k->form == f.form))
        memcpy(v, f.octets, f.n);
}

/* Sub-TLVs have the flags U and M of their own; after M the rest of them is left as it is, but what follows
 * the TLV is not touched by that: its own Length is sound. */
static void fill_subs(const struct tlv_fill *f, const struct sub_kind *(*kind_of)(uint8_t), uint8_t *v,
                      size_t len)
{
    struct tlv t;

    for (size_t at = 0; at < len; at = t.next) {
        const struct sub_kind *k;
        if (!stamp_tlv_at(v, len, at, &t)) {
            f->outcome->malformed = true;
            return;
        }
        k = kind_of(t.type);
        v[at] = k ? 0 : STAMP_TLV_U;
        if (t.cut || (k && t.len != k->size)) {
            v[at] |= STAMP_TLV_M;
            f->outcome->malformed = true;
            return;
        }
        if (k)
            fill_sub(f->facts, k, v + at);
    }
}

static void put_location(const struct tlv_put *p, uint8_t *v)
{
    static const uint8_t ask[] = { SUB_MAC, SUB_TARGET, SUB_SOURCE };
    uint8_t *at = v + LOCATION_PORTS;

    (void)p;
    for (size_t i = 0; i < sizeof ask; i++) {
        at[0] = STAMP_TLV_U;
        at[1] = ask[i];
        put_at(at + 2, subs[ask[i]].size, 2);
        at += STAMP_TLV_HEAD + subs[ask[i]].size;
    }
}

static bool fill_location(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    put_at(v, f->facts->to.port, 2);
    put_at(v + 2, f->facts->from.port, 2);
    fill_subs(f, location_sub, v + LOCATION_PORTS, len - LOCATION_PORTS);
    return true;
}

/* Zeros: not told. */
static void read_address(const uint8_t *v, uint8_t form, struct tw_addr *ret)
{
    static const uint8_t zero[16];
    size_t n = form == 4 ? 4 : 16;

    if (!memcmp(v, zero, n))
        return;
    memset(ret->ip, 0, sizeof ret->ip);
    memcpy(ret->ip, v, n);
    ret->family = form;
}

static void read_sub(const uint8_t *v, const struct tlv *t, struct stamp_tlv_seen *seen)
{
    const struct sub_kind *k = location_sub(t->type);

    if (t->flags & STAMP_TLV_U || !k || t->len != k->size || !k->form || k->thing == SUB_MAC)
        return;
    read_address(v, k->form, k->thing == SUB_TARGET ? &seen->location_target : &seen->location_source);
}

static void read_subs(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen,
                      void (*read_one)(const uint8_t *, const struct tlv *, struct stamp_tlv_seen *))
{
    struct tlv t;

    for (size_t at = 0; at < len; at = t.next) {
        if (!stamp_tlv_at(v, len, at, &t) || t.cut || t.flags & STAMP_TLV_M) {
            seen->malformed = true;
            return;
        }
        if (read_one)
            read_one(v + t.value, &t, seen);
    }
}

static void read_location(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen)
{
    seen->location_target.port = (uint16_t)get_at(v, 2);
    seen->location_source.port = (uint16_t)get_at(v + 2, 2);
    read_subs(v + LOCATION_PORTS, len - LOCATION_PORTS, seen, read_sub);
}

/* ---- 3 Timestamp Information: source in, method in, source out, method out, sub-TLVs (none known) ---- */

enum { TIMESTAMP_FIELDS = 4 };

static bool fill_timestamp(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    v[0] = v[2] = f->facts->sync_source; /* one clock for both */
    v[1] = f->facts->method_in;
    v[3] = f->facts->method_out;
    fill_subs(f, no_sub, v + TIMESTAMP_FIELDS, len - TIMESTAMP_FIELDS);
    return true;
}

static void read_timestamp(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen)
{
    seen->sync_in = v[0];
    seen->method_in = v[1];
    seen->sync_out = v[2];
    seen->method_out = v[3];
    read_subs(v + TIMESTAMP_FIELDS, len - TIMESTAMP_FIELDS, seen, NULL);
}

/* ---- 4 Class of Service: DSCP1 6 bits (wished), DSCP2 6 and ECN 2 (received), RP 2, 16 reserved ---- */

enum { COS_DSCP1 = 26, COS_DSCP2 = 20, COS_ECN = 18, COS_RP = 16 };

static void put_cos(const struct tlv_put *p, uint8_t *v)
{
    put_at(v, (uint32_t)p->want->cos_dscp << COS_DSCP1, 4);
}

static bool fill_cos(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    uint32_t wished = (uint32_t)get_at(v, 4) >> COS_DSCP1, refuse = f->facts->refuse_dscp;
    int16_t received = f->facts->tos < 0 ? -1 : f->facts->tos >> 2 & 0x3f;
    uint32_t tos = f->facts->tos < 0 ? 0 : f->facts->tos & 0xff;

    (void)len;
    put_at(v, wished << COS_DSCP1 | tos >> 2 << COS_DSCP2 | (tos & 3) << COS_ECN | refuse << COS_RP, 4);
    f->outcome->reply_dscp = refuse ? received : (int16_t)wished;
    return true;
}

static void read_cos(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen)
{
    uint32_t word = (uint32_t)get_at(v, 4);

    (void)len;
    seen->cos_dscp = word >> COS_DSCP2 & 0x3f;
    seen->cos_ecn = word >> COS_ECN & 3;
    seen->cos_refused = word >> COS_RP & 3;
}

/* ---- 5 Direct Measurement: S_TxC, R_RxC, R_TxC ---- */

static void put_direct(const struct tlv_put *p, uint8_t *v)
{
    put_at(v, p->want->tx_count, 4);
}

static bool fill_direct(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    (void)len;
    put_at(v + 4, f->facts->rx_count, 4);
    put_at(v + 8, f->facts->tx_count, 4);
    return true;
}

static void read_direct(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen)
{
    (void)len;
    seen->direct_tx = (uint32_t)get_at(v, 4);
    seen->direct_rx = (uint32_t)get_at(v + 4, 4);
    seen->direct_reflected = (uint32_t)get_at(v + 8, 4);
}

/* ---- 6 Access Report: Access ID 4 bits, 4 reserved, Return Code, 16 reserved ---- */

enum { ACCESS_3GPP = 1, ACCESS_OTHER = 2 };

static void put_access(const struct tlv_put *p, uint8_t *v)
{
    v[0] = (uint8_t)(p->want->access_id << 4);
    v[1] = p->want->access_code;
}

/* Section 4.6 wants one with another id discarded, but every TLV must come back: flagged. */
static bool fill_access(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    (void)f;
    (void)len;
    return v[0] >> 4 == ACCESS_3GPP || v[0] >> 4 == ACCESS_OTHER;
}

static void read_access(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen)
{
    (void)len;
    seen->access_id = v[0] >> 4;
    seen->access_code = v[1];
}

/* ---- 7 Follow-Up Telemetry: number of the previous answer, when it left, method, 24 reserved ---- */

static bool fill_follow_up(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    f->outcome->want_follow_up = true;
    memset(v, 0, len);
    if (!f->facts->follow_up)
        return true;
    put_at(v, f->facts->follow_up_seq, 4);
    put_at(v + 4, f->facts->follow_up_time, 8);
    v[12] = f->facts->follow_up_method;
    return true;
}

static void read_follow_up(const uint8_t *v, size_t len, struct stamp_tlv_seen *seen)
{
    (void)len;
    seen->follow_up_seq = (uint32_t)get_at(v, 4);
    seen->follow_up_time = get_at(v + 4, 8);
    seen->follow_up_method = v[12];
    seen->follow_up = seen->follow_up_time; /* zeros: no answer before, or not known */
}

/* ---- 8 HMAC over the Sequence Number and all TLVs before ---- */

static void sign(struct crypto_hmac *hmac, uint32_t seq, const uint8_t *start, uint8_t *v)
{
    uint8_t seq_octets[4];

    put_at(seq_octets, seq, 4);
    crypto_hmac(hmac, seq_octets, sizeof seq_octets, start, (size_t)(v - STAMP_TLV_HEAD - start), v);
}

static void put_hmac(const struct tlv_put *p, uint8_t *v)
{
    sign(p->hmac, p->seq, p->start, v);
}

static bool fill_hmac(const struct tlv_fill *f, uint8_t *v, size_t len)
{
    (void)len;
    sign(f->facts->hmac, f->facts->reply_seq, f->start, v);
    return true;
}

/* ---- The table ---- */

enum { ANY = UINT16_MAX, LOCATION_SIZE = LOCATION_PORTS + 3 * STAMP_TLV_HEAD + 8 + 16 + 16 };

static const struct tlv_kind kinds[] = {
    /* valid Length, what we send, wrong = zeros */
    [STAMP_TLV_PADDING] = { 0, ANY, 0, false, NULL, NULL, NULL },
    [STAMP_TLV_LOCATION] = { LOCATION_PORTS, ANY, LOCATION_SIZE, false, put_location, fill_location,
                             read_location },
    [STAMP_TLV_TIMESTAMP_INFO] = { TIMESTAMP_FIELDS, ANY, 4, false, NULL, fill_timestamp, read_timestamp },
    [STAMP_TLV_COS] = { 4, 4, 4, false, put_cos, fill_cos, read_cos },
    [STAMP_TLV_DIRECT] = { 12, 12, 12, false, put_direct, fill_direct, read_direct },
    [STAMP_TLV_ACCESS] = { 4, 4, 4, false, put_access, fill_access, read_access },
    [STAMP_TLV_FOLLOW_UP] = { 16, 16, 16, true, NULL, fill_follow_up, read_follow_up },
    [STAMP_TLV_HMAC] = { CRYPTO_MAC, CRYPTO_MAC, CRYPTO_MAC, false, put_hmac, fill_hmac, NULL },
};

const struct tlv_kind *stamp_tlv_kind(uint8_t type)
{
    return type && type < TW_NELEM(kinds) ? &kinds[type] : NULL;
}
