/* The TLVs of STAMP. Octet 0 chooses what the reflector knows, octet 1 whether the input is signed and how,
 * the rest is taken three times: as what follows a request, as what follows an answer, and as what a sender
 * wants. The answer must keep every boundary and type, all values that are unknown, unreadable or unverified,
 * and be readable by our own sender; what a sender writes, a reflector must recognise to the last octet. */
#include <stdlib.h>
#include <string.h>

#include "agent/core/stamp_tlv_kinds.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 4096, SEQ = 7, REPLY_SEQ = 9 };
enum { KEYED = 1, DEMAND = 2, REFUSE = 4, FOLLOW_UP = 8, V6 = 16, NO_ADDR = 32, NO_TOS = 64, MAC = 128 };

static struct crypto_hmac *the_key(void)
{
    static struct crypto_hmac *m;

    if (!m)
        CHECK(crypto_hmac_new(CRYPTO_SHA256, (const uint8_t *)"key", 3, &m) == TW_OK);
    return m;
}

static struct stamp_tlv_facts facts_of(uint8_t knows)
{
    struct stamp_tlv_facts f = {
        .from = { { 192, 0, 2, 1 }, 50862, 4, 0, 0 },
        .to = { { 198, 51, 100, 2 }, 862, 4, 0, 0 },
        .tos = knows & NO_TOS ? -1 : 0xa5,
        .sync_source = STAMP_SYNC_GNSS,
        .method_in = STAMP_TS_HARDWARE,
        .method_out = STAMP_TS_SOFTWARE,
        .mac_len = knows & MAC ? 6 : 0,
        .source_mac = { 1, 2, 3, 4, 5, 6 },
        .refuse_dscp = knows & REFUSE,
        .rx_count = 11,
        .tx_count = 10,
        .follow_up = knows & FOLLOW_UP,
        .follow_up_seq = 8,
        .follow_up_time = 0x1122334455667788,
        .follow_up_method = STAMP_TS_SOFTWARE,
        .seq = SEQ,
        .reply_seq = REPLY_SEQ,
        .hmac = knows & KEYED ? the_key() : NULL,
        .demand_hmac = (knows & KEYED) && (knows & DEMAND),
    };

    if (knows & V6)
        f.from.family = f.to.family = 6;
    if (knows & NO_ADDR)
        f.from.family = f.to.family = 0;
    return f;
}

/* Puts the right HMAC into every HMAC TLV that has room for it. */
static void sign(uint8_t *data, size_t len, uint32_t seq)
{
    uint8_t octets[4] = { 0, 0, 0, (uint8_t)seq };
    struct tlv t;

    for (size_t at = 0; at < len && stamp_tlv_at(data, len, at, &t); at = t.next)
        if (t.type == STAMP_TLV_HMAC && t.len >= CRYPTO_MAC && !t.cut)
            crypto_hmac(the_key(), octets, 4, data, t.head, data + t.value);
}

/* Where a TLV's value is not ours to change. */
static void check_one(const uint8_t *in, const uint8_t *out, const struct tlv *t, bool untouched)
{
    const struct tlv_kind *k = stamp_tlv_kind(t->type);
    uint8_t flags = out[t->head];

    CHECK(!memcmp(in + t->head + 1, out + t->head + 1, 3)); /* type, Length */
    if (untouched || !k || t->cut || flags & STAMP_TLV_U || t->type == STAMP_TLV_PADDING ||
        t->type == STAMP_TLV_ACCESS)
        CHECK(!memcmp(in + t->value, out + t->value, t->next - t->value));
    if (untouched)
        return;
    CHECK(!(flags & ~(STAMP_TLV_U | STAMP_TLV_M)));
    CHECK(!t->cut || flags & STAMP_TLV_M);
    CHECK(k || flags & STAMP_TLV_U);
}

static void check_answer(const uint8_t *in, const uint8_t *out, size_t len, const struct stamp_tlv_outcome *o)
{
    bool stopped = false;
    size_t at = 0;
    struct tlv t;

    for (; at < len && stamp_tlv_at(in, len, at, &t); at = t.next) {
        CHECK(!o->integrity_failed || out[at] == (in[at] | STAMP_TLV_I));
        CHECK(!stopped || out[at] == in[at]);
        check_one(in, out, &t, stopped || o->integrity_failed);
        stopped = stopped || (!o->integrity_failed && out[at] & STAMP_TLV_M);
    }
    CHECK(!memcmp(in + at, out + at, len - at));
    CHECK(!stopped || o->malformed);
    CHECK(!o->integrity_failed || (!o->types && !o->malformed && o->reply_dscp == -1 && !o->want_follow_up));
    CHECK(o->reply_dscp >= -1 && o->reply_dscp < 64);
}

/* Our own sender agrees with what the reflector did. */
static void check_understood(const uint8_t *out, size_t len, const struct stamp_tlv_facts *f,
                             const struct stamp_tlv_outcome *o)
{
    struct stamp_tlv_seen s;

    stamp_tlv_read(out, len, REPLY_SEQ, o->types & STAMP_TLV_BIT(STAMP_TLV_HMAC) ? f->hmac : NULL, &s);
    CHECK(s.integrity == (o->integrity_failed && len >= STAMP_TLV_HEAD));
    if (s.integrity)
        return;
    CHECK(s.malformed == o->malformed);
    CHECK(s.answered == o->types);
    if (s.answered & STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP))
        CHECK(s.follow_up == f->follow_up && s.follow_up_seq == (f->follow_up ? f->follow_up_seq : 0));
    if (s.answered & STAMP_TLV_BIT(STAMP_TLV_DIRECT))
        CHECK(s.direct_rx == f->rx_count && s.direct_reflected == f->tx_count);
    if (s.answered & STAMP_TLV_BIT(STAMP_TLV_COS))
        CHECK(s.cos_refused == f->refuse_dscp && s.cos_dscp == (f->tos < 0 ? 0 : f->tos >> 2));
    if (s.location_source.family)
        CHECK(!memcmp(s.location_source.ip, f->from.ip, f->from.family == 4 ? 4 : 16) && f->from.family);
}

static void as_request(const uint8_t *in, size_t len, const struct stamp_tlv_facts *f)
{
    uint8_t *out = malloc(len + 1);
    struct stamp_tlv_outcome o;

    CHECK(out);
    out[len] = 0xee;
    stamp_tlv_answer(in, len, f, out, &o);
    CHECK(out[len] == 0xee);
    check_answer(in, out, len, &o);
    check_understood(out, len, f, &o);
    free(out);
}

static void as_answer(const uint8_t *data, size_t len, struct crypto_hmac *hmac)
{
    struct stamp_tlv_seen s;

    stamp_tlv_read(data, len, REPLY_SEQ, hmac, &s);
    CHECK(!s.integrity || (!s.answered && !s.unrecognised && !s.follow_up));
    CHECK(!(s.answered & ~(uint32_t)0x1fe));
    CHECK(s.cos_dscp < 64 && s.cos_ecn < 4 && s.access_id < 16);
}

/* The first octets are wishes, the rest is the padding that is in the buffer. */
static void as_wish(const uint8_t *data, size_t len, const struct stamp_tlv_facts *f)
{
    struct stamp_tlv_want w = { 0 };
    struct stamp_tlv_outcome o;
    uint8_t *buf, *out;
    size_t size;

    if (len < 6)
        return;
    w = (struct stamp_tlv_want){ (uint32_t)(data[0] << 1), data[1] & 0x3f, data[2], data[3] & 15, data[4] };
    buf = malloc(len);
    out = malloc(len);
    CHECK(buf && out);
    memcpy(buf, data, len);
    size = stamp_tlv_size(&w);
    if (stamp_tlv_write(&w, SEQ, the_key(), buf, len)) {
        CHECK(len < size || (len - size > 0 && len - size < STAMP_TLV_HEAD));
    } else {
        size_t head = len > size ? STAMP_TLV_HEAD : 0;
        CHECK(!memcmp(buf + size + head, data + size + head, len - size - head));
        stamp_tlv_answer(buf, len, f, out, &o);
        check_answer(buf, out, len, &o);
        CHECK(!o.integrity_failed || f->demand_hmac);
        if (!o.integrity_failed && w.access_id - 1u < 2 && f->hmac)
            CHECK(o.types == ((w.types & ~2u) | (head ? 2u : 0)) && !o.malformed);
        check_understood(out, len, f, &o);
    }
    free(out);
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stamp_tlv_facts f;
    uint8_t *copy, how;

    if (size < 2 || size > INPUT_MAX)
        return 0;
    f = facts_of(data[0]);
    how = data[1];
    size -= 2;
    copy = malloc(size ? size : 1); /* of its own, so that ASan sees a step beyond */
    CHECK(copy);
    memcpy(copy, data + 2, size);
    if (how & 1)
        sign(copy, size, how & 2 ? REPLY_SEQ : SEQ);
    as_request(copy, size, &f);
    as_answer(copy, size, f.hmac);
    as_wish(copy, size, &f);
    free(copy);
    return 0;
}
