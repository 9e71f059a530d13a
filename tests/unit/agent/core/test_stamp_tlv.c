#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/stamp_pkt.h"
#include "agent/core/stamp_tlv_kinds.h"
#include "tests/unit/agent/core/golden.h"

#define BIT(name) STAMP_TLV_BIT(STAMP_TLV_##name)
#define Z4 "00000000"
#define Z6 Z4 "0000"
#define Z8 Z4 Z4
#define Z12 Z4 Z4 Z4
#define Z16 Z8 Z8

enum { WIRE_MAX = 512 };

static struct tw_addr addr(const char *text)
{
    struct tw_addr a;

    assert_int_equal(tw_addr_parse(text, 0, &a), TW_OK);
    return a;
}

static struct crypto_hmac *new_hmac(const uint8_t *key, size_t len)
{
    struct crypto_hmac *m;

    assert_int_equal(crypto_hmac_new(CRYPTO_SHA256, key, len, &m), TW_OK);
    return m;
}

static struct crypto_hmac *hmac_of(const cJSON *doc)
{
    uint8_t key[32];

    return new_hmac(key, test_unhex(golden_text(doc, "hmac_key"), key, sizeof key));
}

/* Of its own, so that ASan sees a step beyond. */
static uint8_t *copy_of(const uint8_t *data, size_t len)
{
    uint8_t *p = malloc(len ? len : 1);

    assert_non_null(p);
    if (len)
        memcpy(p, data, len);
    return p;
}

/* ---- The computed exchanges of all TLVs ---- */

/* What the reflector of an exchange knew, and what a sender learns. */
static const struct exchange {
    const char *capture;
    unsigned number;
    int16_t tos;
    bool refuse_dscp, follow_up, other; /* other: a reflector without RFC 8972, not ours */
    int16_t reply_dscp;
    bool integrity_failed, malformed, want_follow_up;
    uint32_t types, unrecognised;
    bool canonical; /* stamp_tlv_write() makes the sender's packet */
} exchanges[] = {
    { "synth-stamp-unauth-tlv", 0, 0x29, false, false, false, 46, false, false, true, 0x1fe, 0, true },
    { "synth-stamp-unauth-tlv", 1, 0, false, true, false, -1, false, false, true, BIT(FOLLOW_UP) | BIT(HMAC),
      0, false },
    { "synth-stamp-unauth-tlv", 2, 0, false, false, false, -1, false, true, false, 0, 0, false },
    { "synth-stamp-unauth-tlv", 3, 0, false, false, false, -1, true, false, false, 0, 0, false },
    { "synth-stamp-unauth-tlv", 4, 0, false, false, true, 46, false, false, false, 0, BIT(COS), true },
    { "synth-stamp-unauth-tlv", 5, 40, true, false, false, 10, false, false, false, BIT(COS), 0, true },
    { "synth-stamp-auth", 0, 0, false, false, false, -1, false, false, false, 0, 0, true },
    { "synth-stamp-auth", 1, 0, false, false, false, 46, false, false, false, BIT(COS) | BIT(HMAC), 0, true },
    { "synth-stamp-auth", 2, 0, false, false, false, -1, false, false, false, BIT(PADDING), 0, true },
};

/* One exchange, loaded: what follows the base packets. */
struct loaded {
    const struct exchange *x;
    cJSON *doc;
    const cJSON *sent, *answered;
    bool authenticated;
    struct crypto_hmac *hmac;
    uint8_t sent_wire[WIRE_MAX], answered_wire[WIRE_MAX];
    const uint8_t *request, *answer;
    size_t len;
};

static void load(const struct exchange *x, struct loaded *ret)
{
    size_t base, n;

    memset(ret, 0, sizeof *ret);
    ret->x = x;
    ret->doc = golden_load(x->capture);
    ret->sent = cJSON_GetArrayItem(golden_packets(ret->doc), (int)x->number * 2);
    ret->answered = cJSON_GetArrayItem(golden_packets(ret->doc), (int)x->number * 2 + 1);
    ret->authenticated = !strcmp(x->capture, "synth-stamp-auth");
    ret->hmac = hmac_of(ret->doc);
    base = stamp_base(ret->authenticated);
    n = golden_wire(ret->sent, ret->sent_wire, WIRE_MAX);
    assert_int_equal(golden_wire(ret->answered, ret->answered_wire, WIRE_MAX), n);
    ret->request = ret->sent_wire + base;
    ret->answer = ret->answered_wire + base;
    ret->len = n - base;
}

static void unload(struct loaded *l)
{
    crypto_hmac_free(l->hmac);
    cJSON_Delete(l->doc);
}

static struct stamp_tlv_facts facts_of(const struct loaded *l)
{
    return (struct stamp_tlv_facts){
        .from = addr("192.0.2.1:50862"),
        .to = addr("198.51.100.2:862"),
        .tos = l->x->tos,
        .sync_source = STAMP_SYNC_NTP,
        .method_in = STAMP_TS_SOFTWARE,
        .method_out = STAMP_TS_SOFTWARE,
        .mac_len = 6,
        .source_mac = { 2, 0, 0, 0, 0, 1 },
        .refuse_dscp = l->x->refuse_dscp,
        .rx_count = 1,
        .tx_count = 1,
        .follow_up = l->x->follow_up,
        .follow_up_seq = 0,
        .follow_up_time = 0xe8fe6f800027fa1a,
        .follow_up_method = STAMP_TS_HARDWARE,
        .seq = (uint32_t)golden_number(l->sent, "seq"),
        .reply_seq = (uint32_t)golden_number(l->answered, "seq"),
        .hmac = l->hmac,
        .demand_hmac = l->authenticated,
    };
}

/* Type by type as the JSON says. */
static void check_framing(const cJSON *packet, const uint8_t *data, size_t len)
{
    const cJSON *want;
    size_t at = 0;

    cJSON_ArrayForEach(want, cJSON_GetObjectItem(packet, "tlvs"))
    {
        uint8_t value[WIRE_MAX];
        size_t n = test_unhex(golden_text(want, "value"), value, sizeof value);
        struct tlv t;
        assert_true(stamp_tlv_at(data, len, at, &t));
        assert_int_equal(t.flags, strtoul(golden_text(want, "flags"), NULL, 16));
        assert_int_equal(t.type, golden_number(want, "type"));
        assert_int_equal(t.len, golden_number(want, "length"));
        assert_int_equal(t.cut, cJSON_IsTrue(cJSON_GetObjectItem(want, "overruns_packet")));
        assert_int_equal(t.next - t.value, n);
        assert_memory_equal(data + t.value, value, n);
        at = t.next;
    }
    assert_int_equal(at, len);
}

/* What the JSON says must be sent, by the values that a sender of ours would have. */
static void check_write(const struct loaded *l)
{
    struct stamp_tlv_want w = { .cos_dscp = 46, .tx_count = 1, .access_id = 1, .access_code = 1 };
    uint8_t *buf = copy_of(l->request, l->len); /* has the padding */
    const cJSON *t;
    size_t padding = 0;

    cJSON_ArrayForEach(t, cJSON_GetObjectItem(l->sent, "tlvs"))
    {
        if (golden_number(t, "type") == STAMP_TLV_PADDING)
            padding = 4 + golden_number(t, "length");
        else
            w.types |= STAMP_TLV_BIT(golden_number(t, "type"));
    }
    assert_int_equal(stamp_tlv_size(&w), l->len - padding);
    memset(buf, 0xee, l->len - padding);
    assert_int_equal(stamp_tlv_write(&w, (uint32_t)golden_number(l->sent, "seq"), l->hmac, buf, l->len),
                     TW_OK);
    assert_memory_equal(buf, l->request, l->len);
    free(buf);
}

static void check_answer(const struct loaded *l)
{
    const struct exchange *x = l->x;
    struct stamp_tlv_facts facts = facts_of(l);
    struct stamp_tlv_outcome o;
    uint8_t *in = copy_of(l->request, l->len), *out = copy_of(l->request, l->len);

    stamp_tlv_answer(in, l->len, &facts, out, &o);
    if (!x->other) {
        assert_memory_equal(out, l->answer, l->len);
        assert_int_equal(o.types, x->types);
    }
    assert_memory_equal(in, l->request, l->len);
    assert_int_equal(o.reply_dscp, x->reply_dscp);
    assert_int_equal(o.integrity_failed, x->integrity_failed);
    assert_int_equal(o.malformed, x->malformed);
    assert_int_equal(o.want_follow_up, x->want_follow_up);
    free(in);
    free(out);
}

static void read_answer(const struct loaded *l, struct stamp_tlv_seen *ret)
{
    uint8_t *data = copy_of(l->answer, l->len);
    bool check = l->authenticated || (l->x->types & BIT(HMAC));

    stamp_tlv_read(data, l->len, (uint32_t)golden_number(l->answered, "seq"), check ? l->hmac : NULL, ret);
    free(data);
}

static void check_read(const struct loaded *l)
{
    struct stamp_tlv_seen s;

    read_answer(l, &s);
    assert_int_equal(s.answered, l->x->types);
    assert_int_equal(s.unrecognised, l->x->unrecognised);
    assert_int_equal(s.integrity, l->x->integrity_failed);
    assert_int_equal(s.malformed, l->x->malformed);
}

static void computed_exchanges(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(exchanges); i++) {
        struct loaded l;
        load(&exchanges[i], &l);
        check_framing(l.sent, l.request, l.len);
        check_framing(l.answered, l.answer, l.len);
        check_answer(&l);
        check_read(&l);
        if (exchanges[i].canonical)
            check_write(&l);
        unload(&l);
    }
}

/* The values of the first exchange, which has them all, of the second's follow-up, of the last's refusal. */
static void values_read(void **state)
{
    struct stamp_tlv_seen s;
    struct tw_addr source = addr("192.0.2.1:50862"), target = addr("198.51.100.2:862");
    struct loaded l;

    (void)state;
    load(&exchanges[0], &l);
    read_answer(&l, &s);
    assert_memory_equal(&s.location_source, &source, sizeof source);
    assert_memory_equal(&s.location_target, &target, sizeof target);
    assert_true(s.sync_in == STAMP_SYNC_NTP && s.method_in == STAMP_TS_SOFTWARE &&
                s.sync_out == STAMP_SYNC_NTP && s.method_out == STAMP_TS_SOFTWARE);
    assert_true(s.cos_dscp == 10 && s.cos_ecn == 1 && !s.cos_refused);
    assert_true(s.direct_tx == 1 && s.direct_rx == 1 && s.direct_reflected == 1);
    assert_true(s.access_id == 1 && s.access_code == 1);
    assert_false(s.follow_up);
    unload(&l);
    load(&exchanges[1], &l);
    read_answer(&l, &s);
    assert_true(s.follow_up && s.follow_up_seq == 0 && s.follow_up_time == 0xe8fe6f800027fa1a &&
                s.follow_up_method == STAMP_TS_HARDWARE);
    unload(&l);
    load(&exchanges[5], &l);
    read_answer(&l, &s);
    assert_true(s.cos_dscp == 10 && s.cos_ecn == 0 && s.cos_refused);
    unload(&l);
}

/* ---- Cut and changed ---- */

/* What holds for every answer. */
static void check_any_answer(const uint8_t *data, size_t len, const struct stamp_tlv_facts *facts,
                             struct stamp_tlv_outcome *o)
{
    uint8_t *in = copy_of(data, len), *out = malloc(len ? len : 1);
    struct tlv a, b;

    assert_non_null(out);
    stamp_tlv_answer(in, len, facts, out, o);
    for (size_t at = 0; at < len && stamp_tlv_at(in, len, at, &a); at = a.next) {
        assert_true(stamp_tlv_at(out, len, at, &b));
        assert_true(a.type == b.type && a.len == b.len && a.next == b.next);
        assert_int_equal(!!(b.flags & STAMP_TLV_I), o->integrity_failed);
    }
    free(in);
    free(out);
}

static void every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(exchanges); i++) {
        struct loaded l;
        struct stamp_tlv_facts facts;
        load(&exchanges[i], &l);
        facts = facts_of(&l);
        for (size_t n = 0; n < l.len; n++) {
            struct stamp_tlv_outcome o;
            struct stamp_tlv_seen s;
            uint8_t *answer = copy_of(l.answer, n);
            facts.hmac = l.hmac;
            check_any_answer(l.request, n, &facts, &o);
            facts.hmac = NULL;
            check_any_answer(l.request, n, &facts, &o);
            assert_false(o.integrity_failed);
            stamp_tlv_read(answer, n, facts.reply_seq, NULL, &s);
            assert_int_equal(s.answered & ~exchanges[i].types, 0);
            stamp_tlv_read(answer, n, facts.reply_seq, l.hmac, &s);
            free(answer);
        }
        unload(&l);
    }
}

/* The last octet that an HMAC TLV protects, its own included, + 1; 0: there is none. */
static size_t signed_end(const uint8_t *data, size_t len, size_t *ret_head)
{
    struct tlv t;

    for (size_t at = 0; at < len && stamp_tlv_at(data, len, at, &t); at = t.next) {
        *ret_head = t.head;
        if (t.type == STAMP_TLV_HMAC)
            return t.next;
    }
    return 0;
}

static void flip_request(const struct loaded *l, size_t bit, struct stamp_tlv_facts *facts)
{
    uint8_t copy[WIRE_MAX];
    struct stamp_tlv_outcome o;

    memcpy(copy, l->request, l->len);
    copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    check_any_answer(copy, l->len, facts, &o);
    if (!o.integrity_failed || o.types || o.reply_dscp != -1 || o.want_follow_up)
        fail_msg("%s %u: bit %zu of the request can be changed", l->x->capture, l->x->number, bit);
}

static void flip_answer(const struct loaded *l, size_t bit, uint32_t seq)
{
    uint8_t copy[WIRE_MAX];
    struct stamp_tlv_seen s;

    memcpy(copy, l->answer, l->len);
    copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
    stamp_tlv_read(copy, l->len, seq, l->hmac, &s);
    if (!s.integrity || s.answered || s.unrecognised || s.access_id || s.follow_up)
        fail_msg("%s %u: bit %zu of the answer can be changed", l->x->capture, l->x->number, bit);
}

/* Every bit before the HMAC and in it. The flags of the HMAC TLV itself are not covered. */
static void flipped_bits(void **state)
{
    unsigned flipped = 0;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(exchanges); i++) {
        struct loaded l;
        struct stamp_tlv_facts facts;
        size_t head = 0, end;
        load(&exchanges[i], &l);
        facts = facts_of(&l);
        facts.demand_hmac = true;
        end = exchanges[i].integrity_failed ? 0 : signed_end(l.request, l.len, &head);
        for (size_t bit = 0; bit < end * 8; bit++) {
            if (bit / 8 == head)
                continue;
            flip_request(&l, bit, &facts);
            flip_answer(&l, bit, facts.reply_seq);
            flipped++;
        }
        unload(&l);
    }
    assert_int_equal(flipped, (140 - 1 + 48 - 1 + 28 - 1) * 8);
}

/* The Sequence Number is signed, and the key matters. */
static void other_number_or_key(void **state)
{
    struct loaded l;
    struct stamp_tlv_facts facts;
    struct stamp_tlv_outcome o;
    struct stamp_tlv_seen s;
    struct crypto_hmac *other = new_hmac((const uint8_t *)"x", 1);

    (void)state;
    load(&exchanges[0], &l);
    facts = facts_of(&l);
    facts.seq++;
    check_any_answer(l.request, l.len, &facts, &o);
    assert_true(o.integrity_failed);
    facts = facts_of(&l);
    facts.hmac = other;
    check_any_answer(l.request, l.len, &facts, &o);
    assert_true(o.integrity_failed);
    facts.hmac = l.hmac;
    check_any_answer(l.request, l.len, &facts, &o);
    assert_false(o.integrity_failed);
    stamp_tlv_read(l.answer, l.len, facts.reply_seq + 1, l.hmac, &s);
    assert_true(s.integrity);
    stamp_tlv_read(l.answer, l.len, facts.reply_seq, other, &s);
    assert_true(s.integrity);
    stamp_tlv_read(l.answer, l.len, facts.reply_seq, l.hmac, &s);
    assert_false(s.integrity);
    crypto_hmac_free(other);
    unload(&l);
}

/* ---- Odd requests ---- */

#define COS "80040004b8000000"
#define COS_OK "00040004b8a40000"
#define PAD4 "80010004cafecafe"
#define PAD4_OK "00010004cafecafe"
#define HMAC_WRONG "80080010" Z16
/* HMACs computed elsewhere, key 20 21 ... 3f, request 7, answer 9 */
#define HMAC_COS "80080010 bf6c579c85f73da7a09f3ad940efcc6a"
#define HMAC_COS_OK "00080010 cd1bb60ba1a34b8d42bfa110908bb549"
#define HMAC_ALONE "80080010 be4707ba5ae2c6b8e073e4d22c3f376d"
#define HMAC_ALONE_OK "00080010 064a5c9b1893591fa9b34b859012f151"
#define HMAC_SHORT_COS "80080010 fc86a227157219d4899d1cd51d19396f"
#define HMAC_UNKNOWN "80080010 982d633a066493c295ed42901865c29b"
#define HMAC_UNKNOWN_OK "00080010 86cfce8cb0920998bb8d8103a71a70d3"

enum kind { PLAIN, KEYED, DEMAND, V6, NOTHING, REFUSE, REFUSE_NOTHING, EUI64 };

static const struct odd {
    const char *name;
    enum kind kind;
    const char *in, *out;
    bool integrity_failed, malformed;
    int16_t dscp;
    uint32_t types;
} odds[] = {
    { "none", DEMAND, "", "", false, false, -1, 0 },
    { "one octet", PLAIN, "80", "80", false, true, -1, 0 },
    { "three octets", DEMAND, "800400", "800400", false, true, -1, 0 },
    { "three octets behind", PLAIN, COS "800400", COS_OK "800400", false, true, 46, BIT(COS) },
    { "empty padding", PLAIN, "80010000", "00010000", false, false, -1, BIT(PADDING) },
    { "padding twice", PLAIN, PAD4 PAD4, PAD4_OK PAD4_OK, false, false, -1, BIT(PADDING) },
    { "padding cut", PLAIN, "80010005cafecafe", "40010005cafecafe", false, true, -1, 0 },
    { "padding is 65535", PLAIN, "8001ffffcafecafe", "4001ffffcafecafe", false, true, -1, 0 },
    { "zeros", PLAIN, Z12, "80000000 80000000 80000000", false, false, -1, 0 },
    { "reserved types", PLAIN, "80000001aa 80ff0001bb" COS, "80000001aa 80ff0001bb" COS_OK, false, false, 46,
      BIT(COS) },
    { "Destination Node Address, Return Path, Micro-session ID", PLAIN,
      "80090004c6336402 800a0008 800200047f000001 800b000400010000",
      "80090004c6336402 800a0008 800200047f000001 800b000400010000", false, false, -1, 0 },
    { "unknown, flags not set", PLAIN, "00c80002aabb", "80c80002aabb", false, false, -1, 0 },
    { "unknown, all flags set", PLAIN, "ffc80002aabb", "80c80002aabb", false, false, -1, 0 },
    { "unknown and cut", PLAIN, "80c8000501020304", "c0c8000501020304", false, true, -1, 0 },
    { "known, flags not set", PLAIN, "00040004b8000000", COS_OK, false, false, 46, BIT(COS) },
    { "known, all flags set", PLAIN, "ff040004b8000000", COS_OK, false, false, 46, BIT(COS) },
    { "nothing behind a malformed one is touched", PLAIN, PAD4 "80040003b80000" COS,
      PAD4_OK "40040003b80000" COS, false, true, -1, BIT(PADDING) },
    /* Location */
    { "Location too short", PLAIN, "80020003000000", "40020003000000", false, true, -1, 0 },
    { "Location without sub-TLVs", PLAIN, "80020004" Z4, "00020004035ec6ae", false, false, -1,
      BIT(LOCATION) },
    { "Location, IPv6", V6, "80020038" Z4 "80010008" Z8 "80040010" Z16 "80070010" Z16,
      "00020038035ec6ae 00030008" Z8 "0006001020010db8000000000000000000000002"
      "0009001020010db8000000000000000000000001",
      false, false, -1, BIT(LOCATION) },
    { "Location, nothing known", NOTHING, "80020038" Z4 "80010008" Z8 "80040010" Z16 "80070010" Z16,
      "00020038" Z4 "00030008" Z8 "00040010" Z16 "00070010" Z16, false, false, -1, BIT(LOCATION) },
    { "Location, EUI-64", EUI64, "80020010" Z4 "80010008" Z8, "0002001000000000 000300080102030405060708",
      false, false, -1, BIT(LOCATION) },
    { "Location, asked by the types of answers", PLAIN,
      "80020058" Z4 "80020008" Z8 "80030008aaaaaaaaaaaaaaaa 80050010" Z16 "80060010aaaaaaaa" Z12
      "80080010" Z16,
      "00020058035ec6ae 000200080200000000010000 00030008" Z8 "00050010c6336402" Z12 "00060010" Z16
      "00080010c0000201" Z12,
      false, false, -1, BIT(LOCATION) },
    { "Location, unknown sub-TLV", PLAIN, "80020012" Z4 "00c80002aabb 80010004aabbccdd",
      "00020012035ec6ae 80c80002aabb 40010004aabbccdd", false, true, -1, BIT(LOCATION) },
    { "Location, a wrong sub-TLV ends it but not the others", PLAIN,
      "80020020" Z4 "80040004" Z4 "80070010" Z16 COS, "00020020035ec6ae 40040004" Z4 "80070010" Z16 COS_OK,
      false, true, 46, BIT(LOCATION) | BIT(COS) },
    { "Location, sub-TLV cut", PLAIN, "8002000c" Z4 "80040010" Z4 COS, "0002000c035ec6ae 40040010" Z4 COS_OK,
      false, true, 46, BIT(LOCATION) | BIT(COS) },
    { "Location, two octets at its end", PLAIN, "80020006" Z6 COS, "00020006035ec6ae0000" COS_OK, false, true,
      46, BIT(LOCATION) | BIT(COS) },
    /* Timestamp Information */
    { "Timestamp Information too short", PLAIN, "80030003000000", "40030003000000", false, true, -1, 0 },
    { "Timestamp Information with a sub-TLV", PLAIN, "8003000a" Z4 "00010002aabb",
      "0003000a01020102 80010002aabb", false, false, -1, BIT(TIMESTAMP_INFO) },
    /* Class of Service */
    { "Class of Service, one octet more", PLAIN, "80040005b800000000", "40040005b800000000", false, true, -1,
      0 },
    { "Class of Service, the rest is not ours", PLAIN, "80040004bbffffff", COS_OK, false, false, 46,
      BIT(COS) },
    { "Class of Service 0", PLAIN, "80040004" Z4, "0004000400a40000", false, false, 0, BIT(COS) },
    { "Class of Service, TOS not known", NOTHING, COS, "00040004b8000000", false, false, 46, BIT(COS) },
    { "Class of Service refused", REFUSE, COS, "00040004b8a50000", false, false, 10, BIT(COS) },
    { "Class of Service refused, TOS not known", REFUSE_NOTHING, COS, "00040004b8010000", false, false, -1,
      BIT(COS) },
    /* the others */
    { "Direct Measurement", PLAIN, "8005000c 00000005 ffffffff ffffffff",
      "0005000c 00000005 00000003 00000004", false, false, -1, BIT(DIRECT) },
    { "Direct Measurement too long", PLAIN, "80050010" Z16, "40050010" Z16, false, true, -1, 0 },
    { "Access Report, not 3GPP", PLAIN, "8006000420020000", "0006000420020000", false, false, -1,
      BIT(ACCESS) },
    { "Access Report 0", PLAIN, "80060004" Z4 COS, "40060004" Z4 COS, false, true, -1, 0 },
    { "Access Report 3", PLAIN, "8006000430010000", "4006000430010000", false, true, -1, 0 },
    { "Follow-Up, what was in it is not kept", PLAIN, "80070010ffffffffffffffffffffffffffffffff",
      "00070010" Z16, false, false, -1, BIT(FOLLOW_UP) },
    { "Follow-Up too short", PLAIN, "80070004ffffffff" COS, "40070004" Z4 COS, false, true, -1, 0 },
    { "Follow-Up cut", PLAIN, "80070010ffffffff", "40070010ffffffff", false, true, -1, 0 },
    /* HMAC */
    { "HMAC is not known here", PLAIN, COS HMAC_WRONG, COS_OK HMAC_WRONG, false, false, 46, BIT(COS) },
    { "HMAC is not there and not demanded", KEYED, COS, COS_OK, false, false, 46, BIT(COS) },
    { "HMAC is demanded", DEMAND, COS, "a0040004b8000000", true, false, -1, 0 },
    { "HMAC right", DEMAND, COS HMAC_COS, COS_OK HMAC_COS_OK, false, false, 46, BIT(COS) | BIT(HMAC) },
    { "HMAC alone", DEMAND, HMAC_ALONE, HMAC_ALONE_OK, false, false, -1, BIT(HMAC) },
    { "HMAC wrong", KEYED, COS HMAC_WRONG PAD4, "a0040004b8000000 a0080010" Z16 "a0010004cafecafe", true,
      false, -1, 0 },
    { "HMAC, padding behind", DEMAND, COS HMAC_COS PAD4 PAD4, COS_OK HMAC_COS_OK PAD4_OK PAD4_OK, false,
      false, 46, BIT(COS) | BIT(HMAC) | BIT(PADDING) },
    { "HMAC not last", KEYED, HMAC_ALONE "80050000", "I", true, false, -1, 0 },
    { "HMAC twice", KEYED, HMAC_ALONE HMAC_ALONE, "I", true, false, -1, 0 },
    { "HMAC too short", KEYED, COS "8008000f" Z12 "000000", "I", true, false, -1, 0 },
    { "HMAC cut", KEYED, COS "80080010" Z12, "I", true, false, -1, 0 },
    { "HMAC over an unknown one", DEMAND, "800900047f000001" HMAC_UNKNOWN, "800900047f000001" HMAC_UNKNOWN_OK,
      false, false, -1, BIT(HMAC) },
    { "HMAC right, malformed before it: copied", DEMAND, "80040003b80000" HMAC_SHORT_COS,
      "40040003b80000" HMAC_SHORT_COS, false, true, -1, 0 },
    { "HMAC hidden in one that is cut", KEYED, "800200ff" HMAC_ALONE, "400200ff" HMAC_ALONE, false, true, -1,
      0 },
    { "HMAC hidden, and demanded", DEMAND, "800200ff" HMAC_ALONE, "a00200ff" HMAC_ALONE, true, false, -1, 0 },
    { "HMAC not needed for one padding", DEMAND, PAD4, PAD4_OK, false, false, -1, BIT(PADDING) },
    { "HMAC needed for two", DEMAND, PAD4 PAD4, "I", true, false, -1, 0 },
    { "HMAC not needed for one padding, cut", DEMAND, "80010005cafecafe", "40010005cafecafe", false, true, -1,
      0 },
};

static struct stamp_tlv_facts odd_facts(enum kind kind, struct crypto_hmac *hmac)
{
    bool v6 = kind == V6;
    struct stamp_tlv_facts f = {
        .from = addr(v6 ? "[2001:db8::1]:50862" : "192.0.2.1:50862"),
        .to = addr(v6 ? "[2001:db8::2]:862" : "198.51.100.2:862"),
        .tos = 0x29,
        .sync_source = STAMP_SYNC_NTP,
        .method_in = STAMP_TS_SOFTWARE,
        .method_out = STAMP_TS_SOFTWARE,
        .mac_len = v6 ? 0 : 6,
        .source_mac = { 2, 0, 0, 0, 0, 1 },
        .refuse_dscp = kind == REFUSE || kind == REFUSE_NOTHING,
        .rx_count = 3,
        .tx_count = 4,
        .seq = 7,
        .reply_seq = 9,
        .hmac = kind == KEYED || kind == DEMAND ? hmac : NULL,
        .demand_hmac = kind == DEMAND,
    };

    if (kind == NOTHING || kind == REFUSE_NOTHING || kind == EUI64) {
        memset(&f.from, 0, sizeof f.from);
        memset(&f.to, 0, sizeof f.to);
        f.tos = -1;
        f.mac_len = 0;
    }
    if (kind == EUI64) {
        f.mac_len = 8;
        memcpy(f.source_mac, "\1\2\3\4\5\6\7\10", 8);
    }
    return f;
}

/* "I": as it came, but each TLV flagged. */
static void expected(const struct odd *o, const uint8_t *in, size_t len, uint8_t *ret)
{
    struct tlv t;

    if (strcmp(o->out, "I")) {
        size_t n = test_unhex(o->out, ret, WIRE_MAX);
        if (n != len)
            fail_msg("%s: %zu octets in the row, %zu in the request", o->name, n, len);
        return;
    }
    memcpy(ret, in, len);
    for (size_t at = 0; at < len && stamp_tlv_at(in, len, at, &t); at = t.next)
        ret[at] |= STAMP_TLV_I;
}

static void odd_requests(void **state)
{
    uint8_t key[32];
    struct crypto_hmac *hmac;

    (void)state;
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(0x20 + i);
    hmac = new_hmac(key, sizeof key);
    for (size_t i = 0; i < TW_NELEM(odds); i++) {
        const struct odd *o = &odds[i];
        struct stamp_tlv_facts facts = odd_facts(o->kind, hmac);
        struct stamp_tlv_outcome got;
        uint8_t in[WIRE_MAX], out[WIRE_MAX], want[WIRE_MAX];
        size_t len = test_unhex(o->in, in, sizeof in);
        expected(o, in, len, want);
        memset(out, 0xee, sizeof out);
        stamp_tlv_answer(in, len, &facts, out, &got);
        for (size_t n = 0; n < len; n++)
            if (out[n] != want[n])
                fail_msg("%s: octet %zu is %02x, not %02x", o->name, n, out[n], want[n]);
        assert_int_equal(out[len], 0xee);
        if (got.integrity_failed != o->integrity_failed || got.malformed != o->malformed ||
            got.reply_dscp != o->dscp || got.types != o->types)
            fail_msg("%s: integrity %d, malformed %d, dscp %d, types %x", o->name, got.integrity_failed,
                     got.malformed, got.reply_dscp, got.types);
    }
    crypto_hmac_free(hmac);
}

/* ---- Odd answers ---- */

static const struct {
    const char *name, *hex;
    bool check; /* the HMAC, answer 9 */
    bool integrity, malformed;
    uint32_t answered, unrecognised;
    uint8_t dscp;
} answers[] = {
    { "none", "", false, false, false, 0, 0, 0 },
    { "none, signed session", "", true, false, false, 0, 0, 0 },
    { "three octets", "000400", false, false, true, 0, 0, 0 },
    { "good", COS_OK, false, false, false, BIT(COS), 0, 10 },
    { "not signed", COS_OK, true, true, false, 0, 0, 0 },
    { "signed", COS_OK HMAC_COS_OK, true, false, false, BIT(COS) | BIT(HMAC), 0, 10 },
    { "signed, not checked", COS_OK HMAC_COS_OK, false, false, false, BIT(COS) | BIT(HMAC), 0, 10 },
    { "signed, not recognised there", COS_OK "80080010" Z16, true, true, false, 0, 0, 0 },
    { "padding need not be signed", PAD4_OK, true, false, false, BIT(PADDING), 0, 0 },
    { "two of it need to", PAD4_OK PAD4_OK, true, true, false, 0, 0, 0 },
    { "not recognised", COS, false, false, false, 0, BIT(COS), 0 },
    { "not recognised, high type", "80c80000" COS_OK, false, false, false, BIT(COS), 0, 10 },
    { "not sent by us", "00c80000" COS_OK, false, false, false, BIT(COS), 0, 10 },
    { "type 0", Z4 COS_OK, false, false, false, BIT(COS), 0, 10 },
    { "M: stop", "40050000" COS_OK, false, false, true, 0, 0, 0 },
    { "M behind", COS_OK "40050000", false, false, true, BIT(COS), 0, 10 },
    { "I: nothing", COS_OK "20010000", false, true, false, 0, 0, 0 },
    { "I behind M is not seen", "40050000 20010000", false, false, true, 0, 0, 0 },
    { "M, and so the HMAC is the request's", "40040003b80000" HMAC_SHORT_COS, true, true, true, 0, 0, 0 },
    { "wrong Length without M", "00040003b8a400" COS_OK, false, false, true, 0, 0, 0 },
    { "Location too short", "0002000200000000", false, false, true, 0, 0, 0 },
    { "cut without M", "00040004b8a4", false, false, true, 0, 0, 0 },
    { "Timestamp Information, sub-TLV M", "0003000801020304 40010009" COS_OK, false, false, true,
      BIT(TIMESTAMP_INFO) | BIT(COS), 0, 10 },
    { "Location, sub-TLV M", "00020008035ec6ae 40050010" COS_OK, false, false, true, BIT(LOCATION) | BIT(COS),
      0, 10 },
};

static void odd_answers(void **state)
{
    uint8_t key[32];
    struct crypto_hmac *hmac;

    (void)state;
    for (unsigned i = 0; i < sizeof key; i++)
        key[i] = (uint8_t)(0x20 + i);
    hmac = new_hmac(key, sizeof key);
    for (size_t i = 0; i < TW_NELEM(answers); i++) {
        struct stamp_tlv_seen s;
        uint8_t wire[WIRE_MAX], *copy;
        size_t len = test_unhex(answers[i].hex, wire, sizeof wire);
        copy = copy_of(wire, len);
        memset(&s, 0xee, sizeof s);
        stamp_tlv_read(copy, len, 9, answers[i].check ? hmac : NULL, &s);
        free(copy);
        if (s.integrity != answers[i].integrity || s.malformed != answers[i].malformed ||
            s.answered != answers[i].answered || s.unrecognised != answers[i].unrecognised ||
            s.cos_dscp != answers[i].dscp || s.follow_up)
            fail_msg("%s: integrity %d, malformed %d, answered %x, unrecognised %x, dscp %u", answers[i].name,
                     s.integrity, s.malformed, s.answered, s.unrecognised, s.cos_dscp);
    }
    crypto_hmac_free(hmac);
}

/* Addresses in an answer: which sub-TLVs count. */
static void location_read(void **state)
{
    static const struct {
        const char *name, *hex, *source, *target;
    } rows[] = {
        { "IPv6",
          "0002002c 035ec6ae 00060010 20010db8000000000000000000000002 00090010"
          " 20010db8000000000000000000000001",
          "[2001:db8::1]:50862", "[2001:db8::2]:862" },
        { "zeros", "0002002c 035ec6ae 00050010" Z16 "00090010" Z16, "", "" },
        { "not recognised",
          "0002002c 035ec6ae 80050010 c6336402" Z12 "80090010 20010db8000000000000000000000001", "", "" },
        { "still the question", "00020018 035ec6ae 00040010 c6336402" Z12, "", "" },
        { "only one", "00020018 035ec6ae 00080010 c0000201" Z12, "192.0.2.1:50862", "" },
        { "of another length", "0002000c 035ec6ae 00050004 c6336402", "", "" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct stamp_tlv_seen s;
        char text[TW_ADDR_TEXT];
        uint8_t wire[WIRE_MAX];
        stamp_tlv_read(wire, test_unhex(rows[i].hex, wire, sizeof wire), 0, NULL, &s);
        assert_false(s.malformed);
        tw_addr_format(&s.location_source, text);
        if (s.location_source.family ? strcmp(text, rows[i].source) != 0 : *rows[i].source)
            fail_msg("%s: source %s", rows[i].name, text);
        tw_addr_format(&s.location_target, text);
        if (s.location_target.family ? strcmp(text, rows[i].target) != 0 : *rows[i].target)
            fail_msg("%s: target %s", rows[i].name, text);
        assert_int_equal(s.location_source.port, 50862);
        assert_int_equal(s.location_target.port, 862);
    }
}

/* ---- What cannot be written ---- */

static void impossible_wishes(void **state)
{
    static const struct {
        const char *name;
        struct stamp_tlv_want w;
        bool keyed;
        size_t len;
        enum tw_rc rc;
    } rows[] = {
        { "nothing", { .types = 0 }, false, 0, TW_OK },
        { "padding only", { .types = 0 }, false, 4, TW_OK },
        { "no room for the padding's head", { .types = 0 }, false, 3, TW_EINVAL },
        { "padding wished, no room for it", { .types = BIT(PADDING) | BIT(COS) }, false, 8, TW_OK },
        { "exact", { .types = BIT(COS) }, false, 8, TW_OK },
        { "one octet short", { .types = BIT(COS) }, false, 7, TW_EINVAL },
        { "one octet more", { .types = BIT(COS) }, false, 9, TW_EINVAL },
        { "four octets more", { .types = BIT(COS) }, false, 12, TW_OK },
        { "HMAC without a key", { .types = BIT(HMAC) }, false, 20, TW_EINVAL },
        { "HMAC", { .types = BIT(HMAC) }, true, 20, TW_OK },
        { "type 0", { .types = 1 }, false, 4, TW_EINVAL },
        { "type 9", { .types = STAMP_TLV_BIT(9) }, false, 4, TW_EINVAL },
        { "DSCP 64", { .types = BIT(COS), .cos_dscp = 64 }, false, 8, TW_EINVAL },
        { "Access ID 16", { .types = BIT(ACCESS), .access_id = 16 }, false, 8, TW_EINVAL },
        { "all", { .types = 0x1fe }, true, 60 + 8 + 8 + 16 + 8 + 20 + 20 + 4, TW_OK },
    };
    struct crypto_hmac *hmac = new_hmac((const uint8_t *)"x", 1);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        uint8_t *buf = malloc(rows[i].len + 1);
        enum tw_rc rc;
        assert_non_null(buf);
        memset(buf, 0xee, rows[i].len + 1);
        rc = stamp_tlv_write(&rows[i].w, 1, rows[i].keyed ? hmac : NULL, buf, rows[i].len);
        if (rc != rows[i].rc || buf[rows[i].len] != 0xee)
            fail_msg("%s: %s", rows[i].name, tw_rc_name(rc));
        free(buf);
    }
    crypto_hmac_free(hmac);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computed_exchanges),  cmocka_unit_test(values_read),
        cmocka_unit_test(every_truncation),    cmocka_unit_test(flipped_bits),
        cmocka_unit_test(other_number_or_key), cmocka_unit_test(odd_requests),
        cmocka_unit_test(odd_answers),         cmocka_unit_test(location_read),
        cmocka_unit_test(impossible_wishes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
