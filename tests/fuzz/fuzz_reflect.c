/* Datagrams from many senders into a small reflector: it never answers more than it was sent (or 41 octets),
 * never to a reflector's port, and each datagram is answered or counted exactly once. Input: u8
 * configuration, then records of { u8 sender, u8 seconds, u8 length, octets }; the sender's bit 7: it is
 * signed as authenticated STAMP, and a HMAC TLV that ends it, too. */
#include <string.h>

#include "agent/core/reflect.h"
#include "agent/core/twamp_pkt.h"
#include "common/wire.h"
#include "tests/fuzz/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CAP = 300, HMAC_TLV = 4 + CRYPTO_MAC };
enum { WITH_KEYS = 1, DEMAND_AUTH = 2, STATELESS = 4, REFUSE_DSCP = 8, LIMITED = 16, LISTED = 32, REFUSE_SHORT = 64 };       /* configuration */
enum { HOST = 15, NO_TTL = 16, OWN_PORT = 32, WELL_KNOWN = 64, SIGNED = 128 }; /* sender */

static const uint8_t key_octets[2][16] = { "first key", "second key" };

static void give_keys(struct reflector *r)
{
    struct stamp_keys keys = { 0 };

    for (int i = 0; i < 2; i++)
        CHECK(stamp_keys_add(&keys, key_octets[i], sizeof key_octets[i]) == TW_OK);
    reflector_set_keys(r, &keys);
}

/* ---- Signing, so that mutations come past the HMACs ---- */

static void sign_tlvs(struct crypto_hmac *m, uint8_t *p, size_t base, size_t len)
{
    uint8_t *tlv = p + len - HMAC_TLV;

    if (len < base + HMAC_TLV || tlv[1] != STAMP_TLV_HMAC)
        return;
    crypto_hmac(m, p, 4, p + base, (size_t)(tlv - p) - base, tlv + 4);
}

static void sign(uint8_t *p, size_t len, unsigned key)
{
    struct crypto_hmac *m;

    CHECK(crypto_hmac_new(CRYPTO_SHA256, key_octets[key], sizeof key_octets[key], &m) == TW_OK);
    if (stamp_looks_authenticated(p, len)) {
        crypto_hmac(m, p, 96, NULL, 0, p + 96);
        sign_tlvs(m, p, STAMP_BASE_AUTH, len);
    } else if (len >= STAMP_BASE) {
        sign_tlvs(m, p, STAMP_BASE, len);
    }
    crypto_hmac_free(m);
}

/* Of the sixteen hosts some are kept out, and each may ask once a second. */
static void limit(struct reflect_cfg *cfg, uint8_t how)
{
    struct source_limit_cfg lc = { .per_second = 1, .burst = 2, .sources = 7 };
    struct acl_rules rules = { 0 };

    if (how & LIMITED)
        CHECK(source_limit_new(&lc, &cfg->limit) == TW_OK);
    if (!(how & LISTED))
        return;
    CHECK(acl_rules_add(&rules, false, "1.0.0.0/29", NULL) == TW_OK);
    CHECK(acl_rules_add(&rules, true, "1.0.0.2/31", NULL) == TW_OK);
    CHECK(acl_rules_add(&rules, true, "1.0.0.8/29", NULL) == TW_OK);
    CHECK(acl_new(&rules, &cfg->acl, NULL) == TW_OK);
    acl_rules_free(&rules);
}

/* ---- One datagram ---- */

static uint64_t refusals(const struct reflect_counters *n)
{
    return n->rate_limited + n->not_allowed + n->longer + n->too_short + n->too_long + n->bad_error_estimate + n->loops_refused + n->auth_demanded +
           n->auth_failed;
}

/* Exactly one thing happened to it. */
static void check_counted(const struct reflect_counters *a, const struct reflect_counters *b, bool answered)
{
    uint64_t tlv_auth_failed = b->tlv_auth_failed - a->tlv_auth_failed;

    CHECK(b->answered - a->answered == answered);
    if (answered) /* TLVs that are not authentic are answered, and counted */
        CHECK(refusals(b) == refusals(a) && tlv_auth_failed <= 1);
    else
        CHECK(refusals(b) == refusals(a) + 1 && !tlv_auth_failed);
    CHECK(b->answered_auth <= b->answered_stamp && b->answered_stamp <= b->answered);
}

static void check_answer(const struct reflect_rx *rx, const uint8_t *data, size_t len, const uint8_t *answer,
                         const struct reflect_tx *tx)
{
    CHECK(rx->from.port != 862 && rx->from.port != 8620);
    CHECK(tx->len == (len < TWAMP_REPLY_MIN ? TWAMP_REPLY_MIN : len));
    CHECK(answer[tx->len] == 0xee);
    CHECK(!(tx->tos & 3));
    if (stamp_looks_authenticated(data, len)) {
        CHECK(!memcmp(answer + 48, data, 4) && !memcmp(answer + 64, data + 16, 10));
        CHECK(!memcmp(answer + 26, data + 26, 2));
    } else { /* the sender's number, time and error estimate */
        CHECK(!memcmp(answer + 24, data, 14));
    }
}

static bool step(struct reflector *r, struct reflect_rx *rx, const uint8_t *data, size_t len)
{
    struct reflect_counters before, after;
    uint8_t answer[CAP];
    struct reflect_tx tx = { 0 };
    enum tw_rc rc;

    memset(answer, 0xee, sizeof answer);
    reflector_counters(r, &before);
    rc = reflect_answer(r, rx, data, len, answer, sizeof answer - 1, &tx);
    reflector_counters(r, &after);
    check_counted(&before, &after, rc == TW_OK);
    if (rc)
        return false;
    check_answer(rx, data, len, answer, &tx);
    reflect_stamp(r, &tx, answer, rx->t2);
    check_answer(rx, data, len, answer, &tx);
    if (data[0] & 1)
        reflect_unsent(r, &tx);
    else if (tx.want_txstamp)
        reflect_on_txstamp(r, &tx, rx->t2, TW_TS_KERNEL);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_rd in = { .p = data, .end = data + size };
    uint8_t how = wire_get_u8(&in);
    struct reflect_cfg cfg = { .max_sessions = 5,
                               .refwait_ns = 60 * TW_NS_PER_S,
                               .restart_gap_ns = 3 * TW_NS_PER_S,
                               .port = 8620,
                               .stateless = how & STATELESS,
                               .demand_auth = how & DEMAND_AUTH,
                               .refuse_dscp = how & REFUSE_DSCP,
                               .refuse_short = how & REFUSE_SHORT };
    struct reflect_rx rx = { .from = { .ip = { 1 }, .family = 4 }, .t2 = { INT64_C(1795424480) * TW_NS_PER_S } };
    struct reflect_counters n;
    uint64_t answered = 0;
    struct reflector *r;

    limit(&cfg, how);
    CHECK(reflector_new(&cfg, &r) == TW_OK);
    if (how & WITH_KEYS)
        give_keys(r);
    while (in.p < in.end) {
        uint8_t sender = wire_get_u8(&in), packet[255];
        int64_t seconds = wire_get_u8(&in);
        size_t len = wire_get_u8(&in);
        const uint8_t *octets = wire_take(&in, len);
        if (!octets)
            break;
        memcpy(packet, octets, len);
        if (sender & SIGNED)
            sign(packet, len, sender & 1);
        rx.from.ip[3] = sender & HOST;
        rx.from.port = sender & WELL_KNOWN ? 862 : sender & OWN_PORT ? 8620 : 5000;
        rx.mono.ns += seconds * TW_NS_PER_S;
        rx.ttl = (int16_t)(sender & NO_TTL ? -1 : 64);
        rx.tos = (int16_t)(sender & NO_TTL ? -1 : seconds);
        answered += step(r, &rx, packet, len);
    }
    reflector_counters(r, &n);
    CHECK(n.answered == answered && n.sessions <= cfg.max_sessions);
    reflector_free(r);
    acl_free(cfg.acl);
    source_limit_free(cfg.limit);
    return 0;
}
