#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/stamp_pkt.h"
#include "tests/unit/agent/core/golden.h"

#define Z12 "000000000000000000000000 "
#define Z28 "00000000000000000000000000000000000000000000000000000000 "
#define Z68 Z28 Z28 Z12

/* ---- Captures ---- */

static const struct {
    const char *name;
    unsigned packets;
} captures[] = {
    { "stamp-unauth-ntp", 8 },        { "stamp-unauth-ptp", 8 },
    { "stamp-unauth-ipv6", 6 },       { "stamp-unauth-sender-ntp-refl-ptp", 6 },
    { "synth-stamp-unauth-tlv", 12 }, { "synth-stamp-auth", 6 },
};

/* NULL: the capture is of unauthenticated mode. */
static struct stamp_keys *keys_of(const cJSON *doc, struct stamp_keys *k)
{
    uint8_t key[32];
    size_t len = test_unhex(golden_text(doc, "hmac_key"), key, sizeof key);

    *k = (struct stamp_keys){ 0 };
    if (strcmp(golden_text(doc, "capture"), "synth-stamp-auth.pcap"))
        return NULL;
    assert_int_equal(stamp_keys_add(k, key, len), TW_OK);
    return k;
}

/* Nothing shorter than the base packet is read, and nothing is written for it. */
static void check_cut(struct stamp_keys *keys, bool reply, const uint8_t *wire, size_t len)
{
    size_t need = reply && !keys ? STAMP_REPLY_ACCEPT : stamp_base(keys);

    for (size_t n = 0; n <= len; n++) {
        struct test_probe p = { .seq = 77 };
        struct test_reply r = { .seq = 77 };
        unsigned key = 0;
        uint8_t *copy = malloc(n ? n : 1); /* of its own, so that ASan sees a step beyond */
        enum tw_rc rc;
        memcpy(copy, wire, n);
        rc = reply ? stamp_read_reply(keys, copy, n, &r, &key) : stamp_read_probe(keys, copy, n, &p, &key);
        free(copy);
        if (rc != (n < need ? TW_ETRUNC : TW_OK))
            fail_msg("%zu octets: %s", n, tw_rc_name(rc));
        if (rc && (p.seq != 77 || r.seq != 77))
            fail_msg("%zu octets: something was written", n);
    }
}

/* Every bit of what is signed, and of the HMAC. */
static void check_flips(struct stamp_keys *keys, bool reply, const uint8_t *wire)
{
    for (size_t bit = 0; bit < STAMP_BASE_AUTH * 8; bit++) {
        uint8_t copy[STAMP_BASE_AUTH];
        struct test_probe p;
        struct test_reply r;
        unsigned key = 0;
        memcpy(copy, wire, sizeof copy);
        copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if ((reply ? stamp_read_reply(keys, copy, sizeof copy, &r, &key)
                   : stamp_read_probe(keys, copy, sizeof copy, &p, &key)) != TW_EPERM)
            fail_msg("bit %zu can be changed", bit);
    }
}

static void check_sender(struct stamp_keys *keys, const cJSON *packet, const uint8_t *wire, size_t len)
{
    struct test_probe p;
    unsigned key = 0;
    uint8_t again[STAMP_BASE_AUTH];

    assert_int_equal(stamp_read_probe(keys, wire, len, &p, &key), TW_OK);
    assert_true(p.seq == golden_number(packet, "seq") && p.t1 == golden_hex(packet, "ts") &&
                p.err_est == golden_hex(packet, "ee") && p.ssid == golden_number(packet, "ssid"));
    memset(again, 0xee, sizeof again);
    assert_int_equal(stamp_write_probe(keys, key, &p, again, stamp_base(keys)), TW_OK);
    assert_memory_equal(again, wire, stamp_base(keys));
    assert_int_equal(stamp_write_probe(keys, key, &p, again, stamp_base(keys) - 1), TW_ETRUNC);
    assert_int_equal(stamp_looks_authenticated(wire, len), keys != NULL);
    assert_true(keys || stamp_looks_like_stamp(wire, len));
}

static void check_reflector(struct stamp_keys *keys, const cJSON *packet, const uint8_t *wire, size_t len)
{
    struct test_reply r;
    unsigned key = 0;
    uint8_t again[STAMP_BASE_AUTH];

    assert_int_equal(stamp_read_reply(keys, wire, len, &r, &key), TW_OK);
    assert_true(r.seq == golden_number(packet, "seq") && r.t3 == golden_hex(packet, "ts") &&
                r.err_est == golden_hex(packet, "ee") && r.t2 == golden_hex(packet, "rx_ts") &&
                r.sender_seq == golden_number(packet, "s_seq") && r.sender_t1 == golden_hex(packet, "s_ts") &&
                r.sender_err_est == golden_hex(packet, "s_ee") && r.ssid == golden_number(packet, "ssid") &&
                r.ttl_known && r.sender_ttl == golden_number(packet, "s_ttl") && !r.tos_known);
    memset(again, 0xee, sizeof again);
    assert_int_equal(stamp_write_reply(keys, &r, again, stamp_base(keys)), TW_OK);
    stamp_seal_reply(keys, key, again, r.t3, r.err_est);
    assert_memory_equal(again, wire, stamp_base(keys));
    assert_int_equal(stamp_write_reply(keys, &r, again, stamp_base(keys) - 1), TW_ETRUNC);
}

static void decode_captures(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(captures); i++) {
        cJSON *doc = golden_load(captures[i].name);
        struct stamp_keys own, *keys = keys_of(doc, &own);
        const cJSON *packet;
        unsigned seen = 0;
        cJSON_ArrayForEach(packet, golden_packets(doc))
        {
            uint8_t wire[512];
            size_t len = golden_wire(packet, wire, sizeof wire);
            bool reply = strcmp(golden_text(packet, "dir"), "sender") != 0;
            (reply ? check_reflector : check_sender)(keys, packet, wire, len);
            check_cut(keys, reply, wire, len);
            if (keys)
                check_flips(keys, reply, wire);
            seen++;
        }
        if (seen != captures[i].packets)
            fail_msg("%s: %u packets", captures[i].name, seen);
        stamp_keys_clear(&own);
        cJSON_Delete(doc);
    }
}

/* A TWAMP Light reflector that answers a STAMP sender: 38 octets. */
static void short_answers(void **state)
{
    static const struct {
        const char *capture;
        size_t len;
        bool ttl_known;
    } peers[] = { { "light-twampy-pad0", 38, false }, { "light-twampy-pad27", 41, false } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(peers); i++) {
        cJSON *doc = golden_load(peers[i].capture);
        const cJSON *packet = cJSON_GetArrayItem(golden_packets(doc), 1);
        struct test_reply r;
        uint8_t wire[64];
        unsigned key = 0;
        assert_int_equal(golden_wire(packet, wire, sizeof wire), peers[i].len);
        assert_int_equal(stamp_read_reply(NULL, wire, peers[i].len, &r, &key), TW_OK);
        assert_int_equal(r.sender_t1, golden_hex(packet, "s_ts"));
        assert_int_equal(r.sender_err_est, golden_hex(packet, "s_ee"));
        assert_int_equal(r.ttl_known, peers[i].ttl_known);
        assert_int_equal(r.ssid, 0);
        cJSON_Delete(doc);
    }
}

/* ---- Odd inputs ---- */

#define REPLY(ee, ttl) \
    "00000007 eeae802c529567ff " ee " 0000 eeae802c529567fe 00000009 eeae802c52877bff 8001 0000 " ttl " "

static const struct {
    const char *name, *hex;
    enum tw_rc rc;
    bool ttl_known;
} replies[] = {
    { "empty", "", TW_ETRUNC, false },
    { "plain", REPLY("0001", "3c") "000000", TW_OK, true },
    { "longer", REPLY("0001", "3c") "000000 80000000", TW_OK, true },
    { "MBZ not zero", REPLY("0001", "ff") "ffffff", TW_OK, true },
    { "octet 40 is padding", REPLY("0001", "00") "000000", TW_OK, false },
    { "without the octets behind the TTL", REPLY("0001", "01"), TW_OK, true },
    { "multiplier 0", REPLY("9000", "3c") "000000", TW_EINVAL, false },
};

static void odd_replies(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(replies); i++) {
        struct test_reply r = { 0 };
        uint8_t buf[64];
        unsigned key = 3;
        size_t len = test_unhex(replies[i].hex, buf, sizeof buf);
        enum tw_rc rc = stamp_read_reply(NULL, buf, len, &r, &key);
        if (rc != replies[i].rc || r.ttl_known != replies[i].ttl_known || key != 3)
            fail_msg("%s: %s, ttl %d", replies[i].name, tw_rc_name(rc), r.ttl_known);
    }
}

static const struct {
    const char *name, *hex;
    bool authenticated, stamp;
} kinds[] = {
    { "empty", "", false, false },
    { "Light without padding", "00000007 eeae802c52877bff 0001", false, false },
    { "Light, padding zero, 41", "00000007 eeae802c52877bff 0001 " Z12 Z12 "000000", false, false },
    { "Light, padding zero, 44", "00000007 eeae802c52877bff 0001 0000" Z28, false, true },
    { "Light, padding not zero",
      "00000007 eeae802c52877bff 0001 aaaa" Z12 "00000000 01 0000000000 000000000000", false, false },
    { "STAMP", "00000007 eeae802c52877bff 0001 1234" Z28, false, true },
    { "STAMP with a TLV", "00000007 eeae802c52877bff 0001 1234" Z28 "80040004b8000000", false, true },
    { "last octet of MBZ", "00000007 eeae802c52877bff 0001 1234 " Z12 Z12 "00000001", false, false },
    { "authenticated", "00000007" Z12 "eeae802c52877bff 0001 1234" Z68 "0102030405060708090a0b0c0d0e0f10",
      true, false },
    { "authenticated, one octet short",
      "00000007" Z12 "eeae802c52877bff 0001 1234" Z68 "0102030405060708090a0b0c0d0e0f", false, false },
    { "112 octets, not authenticated",
      "00000007 eeae802c52877bff 0001 1234" Z28 "80010040" Z28 Z28 "0000000000000000", false, true },
    { "all zero", Z28 Z28 Z28 Z28, true, true },
};

static void tell_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(kinds); i++) {
        uint8_t buf[128];
        size_t len = test_unhex(kinds[i].hex, buf, sizeof buf);
        if (stamp_looks_authenticated(buf, len) != kinds[i].authenticated ||
            stamp_looks_like_stamp(buf, len) != kinds[i].stamp)
            fail_msg("%s (%zu octets)", kinds[i].name, len);
    }
}

/* ---- Keys ---- */

static void add_key(struct stamp_keys *k, const char *text)
{
    assert_int_equal(stamp_keys_add(k, (const uint8_t *)text, strlen(text)), TW_OK);
}

static void bounds_of_keys(void **state)
{
    struct stamp_keys k = { 0 };

    (void)state;
    assert_int_equal(stamp_keys_add(&k, (const uint8_t *)"", 0), TW_EINVAL);
    for (unsigned i = 0; i < STAMP_KEYS_MAX; i++)
        add_key(&k, "a");
    assert_int_equal(stamp_keys_add(&k, (const uint8_t *)"a", 1), TW_ENOSPC);
    assert_int_equal(k.n, STAMP_KEYS_MAX);
    stamp_keys_clear(&k);
    assert_int_equal(k.n, 0);
    assert_null(k.key[0]);
    stamp_keys_clear(&k); /* nothing to free twice */
}

/* During a rotation: whichever of the keys signed is found, wherever the search begins; a key that is not
 * ours is refused; no keys at all take nothing. */
static void several_keys(void **state)
{
    static const char *const names[] = { "new", "old", "oldest" };
    struct test_probe p = { 1, 2, 3, 4 }, q;
    struct stamp_keys all = { 0 }, foreign = { 0 }, none = { 0 };
    uint8_t buf[STAMP_BASE_AUTH];
    unsigned key = 0;

    (void)state;
    add_key(&foreign, "other");
    for (size_t i = 0; i < TW_NELEM(names); i++)
        add_key(&all, names[i]);
    for (unsigned use = 0; use < TW_NELEM(names); use++) {
        assert_int_equal(stamp_write_probe(&all, use, &p, buf, sizeof buf), TW_OK);
        for (unsigned first = 0; first < 5; first++) {
            key = first == 4 ? UINT32_MAX : first;
            assert_int_equal(stamp_read_probe(&all, buf, sizeof buf, &q, &key), TW_OK);
            assert_int_equal(key, use);
            assert_true(q.seq == 1 && q.t1 == 2 && q.err_est == 3 && q.ssid == 4);
        }
        key = 1;
        assert_int_equal(stamp_read_probe(&foreign, buf, sizeof buf, &q, &key), TW_EPERM);
        assert_int_equal(stamp_read_probe(&none, buf, sizeof buf, &q, &key), TW_EPERM);
        assert_int_equal(key, 1);
    }
    stamp_keys_clear(&all);
    stamp_keys_clear(&foreign);
}

/* Known answer of another implementation (Python's hmac): the answer is signed over T3 and Error Estimate. */
static void seal(void **state)
{
    static const uint8_t want[16] = { 0x25, 0x86, 0x80, 0xc7, 0x93, 0x06, 0xed, 0x7e,
                                      0x1b, 0xf8, 0x74, 0xac, 0x5d, 0x7d, 0xe2, 0xf2 };
    struct test_reply r = {
        .seq = 5, .t2 = 6, .sender_seq = 7, .sender_t1 = 8, .sender_err_est = 9, .ssid = 10
    };
    struct stamp_keys k = { 0 };
    uint8_t buf[STAMP_BASE_AUTH], plain[STAMP_BASE];

    (void)state;
    add_key(&k, "correct horse battery");
    assert_int_equal(stamp_write_reply(true, &r, buf, sizeof buf), TW_OK);
    stamp_seal_reply(&k, 0, buf, 11, 0x0c01);
    assert_memory_equal(buf + 96, want, 16);
    assert_int_equal(buf[80], 255); /* TTL not known */
    assert_int_equal(stamp_write_reply(false, &r, plain, sizeof plain), TW_OK);
    stamp_seal_reply(NULL, 0, plain, 11, 0x0c01);
    assert_int_equal(plain[11], 11);
    assert_int_equal(plain[12], 0x0c);
    assert_int_equal(plain[40], 255);
    stamp_keys_clear(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_captures),
        cmocka_unit_test(short_answers),
        cmocka_unit_test(odd_replies),
        cmocka_unit_test(tell_kinds),
        cmocka_unit_test(bounds_of_keys),
        cmocka_unit_test(several_keys),
        cmocka_unit_test(seal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
