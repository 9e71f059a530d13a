#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/form.h"
#include "tests/unit/agent/core/golden.h"

enum { BUF = 512 };

static const uint8_t key_a[32] = { 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a,
                                   0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35,
                                   0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f };
static const uint8_t key_b[] = "another key", key_c[] = "a third";

#define KEY_A               \
    {                       \
        key_a, sizeof key_a \
    }
#define KEY_B               \
    {                       \
        key_b, sizeof key_b \
    }
#define KEY_C               \
    {                       \
        key_c, sizeof key_c \
    }
#define BIT(name) STAMP_TLV_BIT(STAMP_TLV_##name)
#define ALL_TLVS \
    (BIT(LOCATION) | BIT(TIMESTAMP_INFO) | BIT(COS) | BIT(DIRECT) | BIT(ACCESS) | BIT(FOLLOW_UP) | BIT(HMAC))

static struct form *make(const struct form_cfg *cfg)
{
    struct form *f;

    assert_int_equal(form_new(cfg, &f), TW_OK);
    return f;
}

/* ---- Configurations ---- */

static void contradictions(void **state)
{
    static const struct {
        const char *name;
        struct form_cfg cfg;
    } rows[] = {
        { "two security modes", { .twamp.mode = TWAMP_OPEN | TWAMP_ENCRYPTED } },
        { "features without a security mode", { .twamp.mode = TWAMP_SYMMETRICAL } },
        { "TWAMP with SSID", { .ssid = 1 } },
        { "TWAMP with STAMP's authentication", { .authenticated = true, .keys = { KEY_A }, .n_keys = 1 } },
        { "TWAMP with STAMP's keys", { .keys = { KEY_A }, .n_keys = 1 } },
        { "TWAMP with TLVs", { .tlvs.types = BIT(COS) } },
        { "authenticated without a key", { FORM_STAMP, .authenticated = true } },
        { "HMAC TLV without a key", { FORM_STAMP, .tlvs.types = BIT(HMAC) } },
        { "empty key", { FORM_STAMP, .authenticated = true, .keys = { { key_a, 0 } }, .n_keys = 1 } },
        { "too many keys", { FORM_STAMP, .authenticated = true, .n_keys = STAMP_KEYS_MAX + 1 } },
        { "TLV 0", { FORM_STAMP, .tlvs.types = 1 } },
        { "TLV 9", { FORM_STAMP, .tlvs.types = STAMP_TLV_BIT(9) } },
        { "DSCP 64", { FORM_STAMP, .tlvs = { .types = BIT(COS), .cos_dscp = 64 } } },
        { "Access ID 0", { FORM_STAMP, .tlvs = { .types = BIT(ACCESS), .access_code = 1 } } },
        { "Access ID 3", { FORM_STAMP, .tlvs = { .types = BIT(ACCESS), .access_id = 3, .access_code = 1 } } },
        { "Return Code 0", { FORM_STAMP, .tlvs = { .types = BIT(ACCESS), .access_id = 1 } } },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct form *f = NULL;
        enum tw_rc rc = form_new(&rows[i].cfg, &f);
        if (rc != TW_EINVAL || f)
            fail_msg("%s: %s", rows[i].name, tw_rc_name(rc));
    }
}

static void sizes(void **state)
{
    static const struct {
        const char *name;
        struct form_cfg cfg;
        size_t min, padding, next; /* next: the second smallest size */
    } rows[] = {
        { "open", { .twamp.mode = TWAMP_OPEN }, 14, 14, 15 },
        { "no mode is open", { .kind = FORM_TWAMP }, 14, 14, 15 },
        { "encrypted", { .twamp.mode = TWAMP_ENCRYPTED }, 48, 48, 49 },
        { "symmetrical", { .twamp.mode = TWAMP_AUTHENTICATED | TWAMP_SYMMETRICAL }, 112, 112, 113 },
        { "Server octets",
          { .twamp = { .mode = TWAMP_OPEN | TWAMP_REFLECT, .server_octets = 7 } },
          16,
          14,
          17 },
        { "no Server octets", { .twamp = { .mode = TWAMP_OPEN | TWAMP_REFLECT } }, 14, 14, 15 },
        { "octets that were not agreed",
          { .twamp = { .mode = TWAMP_OPEN, .server_octets = 7 } },
          14,
          14,
          15 },
        { "STAMP", { FORM_STAMP, .ssid = 7 }, 44, 48, 48 },
        { "padding is no size", { FORM_STAMP, .tlvs.types = BIT(PADDING) }, 44, 48, 48 },
        { "STAMP with TLVs", { FORM_STAMP, .tlvs.types = BIT(COS) | BIT(DIRECT) }, 68, 72, 72 },
        { "HMAC TLV", { FORM_STAMP, .tlvs.types = BIT(HMAC), .keys = { KEY_A }, .n_keys = 1 }, 64, 68, 68 },
        { "authenticated",
          { FORM_STAMP, .authenticated = true, .keys = { KEY_A }, .n_keys = 1 },
          112,
          116,
          116 },
        { "authenticated, with the HMAC TLV that must be",
          { FORM_STAMP, .authenticated = true, .keys = { KEY_A }, .n_keys = 1, .tlvs.types = BIT(COS) },
          140,
          144,
          144 },
        { "authenticated with padding: no HMAC TLV",
          { FORM_STAMP, .authenticated = true, .keys = { KEY_A }, .n_keys = 1, .tlvs.types = BIT(PADDING) },
          112,
          116,
          116 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        static uint8_t buf[TEST_DATAGRAM_MAX + 1];
        const struct test_probe p = { .seq = 1, .err_est = 1 };
        struct form *f = make(&rows[i].cfg);
        if (form_kind(f) != rows[i].cfg.kind || form_probe_min(f) != rows[i].min ||
            form_padding_at(f) != rows[i].padding)
            fail_msg("%s: from %zu, padding at %zu", rows[i].name, form_probe_min(f), form_padding_at(f));
        for (size_t len = rows[i].min - 1; len <= rows[i].next + 1; len++) {
            bool ok = len == rows[i].min || len >= rows[i].next;
            enum tw_rc rc = form_write_probe(f, &p, buf, len);
            if (form_size_ok(f, len) != ok || rc != (len < rows[i].min ? TW_ETRUNC : ok ? TW_OK : TW_EINVAL))
                fail_msg("%s, %zu octets: %s", rows[i].name, len, tw_rc_name(rc));
        }
        assert_true(form_size_ok(f, TEST_DATAGRAM_MAX));
        assert_int_equal(form_write_probe(f, &p, buf, TEST_DATAGRAM_MAX), TW_OK);
        assert_false(form_size_ok(f, TEST_DATAGRAM_MAX + 1));
        assert_int_equal(form_write_probe(f, &p, buf, sizeof buf), TW_EINVAL);
        form_free(f);
    }
}

/* ---- TWAMP ---- */

static void light_by_default(void **state)
{
    const struct test_probe p = { .seq = 0x01020304, .t1 = 0x1122334455667788, .err_est = 0x8c32, .ssid = 9 };
    static const uint8_t wire[] = { 1,    2,    3,    4,    0x11, 0x22, 0x33, 0x44,
                                    0x55, 0x66, 0x77, 0x88, 0x8c, 0x32, 0x5a, 0x5a };
    struct form *f = make(NULL);
    uint8_t buf[BUF];

    (void)state;
    memset(buf, 0x5a, sizeof buf);
    assert_int_equal(form_write_probe(f, &p, buf, sizeof wire), TW_OK);
    assert_memory_equal(buf, wire, sizeof wire);
    form_free(f);
}

/* One capture in each kind of protection; test_twamp_form.c reads them all. */
static void twamp_captures(void **state)
{
    static const char *const names[] = { "open4", "auth4", "enc4", "mixed4" };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++) {
        cJSON *doc = golden_load(names[i]);
        const cJSON *session = cJSON_GetArrayItem(cJSON_GetObjectItem(doc, "test_sessions"), 0), *packet;
        struct form_cfg cfg = { .kind = FORM_TWAMP };
        struct form *f;
        unsigned n = 0;
        cfg.twamp.mode = (uint32_t)golden_number(cJSON_GetObjectItem(doc, "set_up_response"), "mode");
        test_unhex(golden_text(session, "test_aes_key"), cfg.twamp.keys.aes, 16);
        test_unhex(golden_text(session, "test_hmac_key"), cfg.twamp.keys.hmac, 32);
        f = make(&cfg);
        cJSON_ArrayForEach(packet, golden_packets(doc))
        {
            uint8_t wire[BUF];
            size_t len = golden_wire(packet, wire, sizeof wire);
            struct stamp_tlv_seen tlvs = { .answered = 1 };
            struct test_reply r;
            if (strcmp(golden_text(packet, "dir"), "reflector"))
                continue;
            assert_int_equal(form_read_reply(f, wire, len, &r, &tlvs), TW_OK);
            assert_int_equal(r.sender_seq, n);
            assert_int_equal(r.t3, golden_hex(packet, "ts"));
            assert_int_equal(tlvs.answered, 0);
            assert_int_equal(form_read_reply(f, wire, 35, &r, &tlvs), TW_ETRUNC);
            n++;
        }
        assert_int_equal(n, 5);
        form_free(f);
        cJSON_Delete(doc);
    }
}

/* ---- STAMP ---- */

#define T1 "1122334455667788 "
#define REPLY(ssid) \
    "00000007 e8fe6f8000275254 8c32 " ssid " e8fe6f800020c49b 00000009 " T1 "9007 0000 fe 000000"

static void answers(void **state)
{
    static const struct {
        const char *name;
        uint16_t ssid;
        const char *hex;
        size_t len; /* so many octets of it; 0 = all */
        enum tw_rc rc;
        bool ttl_known;
        uint16_t reply_ssid;
    } rows[] = {
        { "ours", 0x1234, REPLY("1234"), 0, TW_OK, true, 0x1234 },
        { "a reflector of RFC 8762", 0x1234, REPLY("0000"), 0, TW_OK, true, 0 },
        { "somebody else's", 0x1234, REPLY("1235"), 0, TW_EINVAL, false, 0 },
        { "none", 0, REPLY("0000"), 0, TW_OK, true, 0 },
        { "one though none was sent", 0, REPLY("1234"), 0, TW_EINVAL, false, 0 },
        { "TWAMP Light", 0x1234, REPLY("0000"), 43, TW_OK, true, 0 },
        { "41 octets", 0x1234, REPLY("0000"), 41, TW_OK, true, 0 },
        { "38 octets", 0x1234, REPLY("0000"), 38, TW_OK, false, 0 },
        { "36 octets", 0x1234, REPLY("0000"), 36, TW_OK, false, 0 },
        { "35 octets", 0x1234, REPLY("0000"), 35, TW_ETRUNC, false, 0 },
        { "multiplier 0", 0,
          "00000007 e8fe6f8000275254 8c00 0000 e8fe6f800020c49b 00000009 " T1 "9007 0000 fe 000000", 0,
          TW_EINVAL, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct form *f = make(&(struct form_cfg){ .kind = FORM_STAMP, .ssid = rows[i].ssid });
        uint8_t buf[64];
        size_t len = test_unhex(rows[i].hex, buf, sizeof buf);
        struct test_reply r = { .seq = 1 };
        struct stamp_tlv_seen tlvs;
        enum tw_rc rc = form_read_reply(f, buf, rows[i].len ? rows[i].len : len, &r, &tlvs);
        if (rc != rows[i].rc || r.seq != (rc ? 1 : 7) || r.ttl_known != rows[i].ttl_known ||
            r.ssid != rows[i].reply_ssid)
            fail_msg("%s: %s, ssid %04x, ttl %d", rows[i].name, tw_rc_name(rc), r.ssid, r.ttl_known);
        if (!rc &&
            (r.t3 != 0xe8fe6f8000275254 || r.t2 != 0xe8fe6f800020c49b || r.sender_seq != 9 || r.tos_known))
            fail_msg("%s: values", rows[i].name);
        form_free(f);
    }
}

/* What others send: base packets. */
static void stamp_captures(void **state)
{
    static const struct {
        const char *name;
        unsigned packets;
    } rows[] = { { "stamp-unauth-ntp", 8 },
                 { "stamp-unauth-ptp", 8 },
                 { "stamp-unauth-ipv6", 6 },
                 { "stamp-unauth-sender-ntp-refl-ptp", 6 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        cJSON *doc = golden_load(rows[i].name);
        struct form *f = make(&(struct form_cfg){ .kind = FORM_STAMP });
        const cJSON *packet;
        unsigned n = 0;
        cJSON_ArrayForEach(packet, golden_packets(doc))
        {
            uint8_t wire[BUF], buf[BUF];
            size_t len = golden_wire(packet, wire, sizeof wire);
            struct stamp_tlv_seen tlvs;
            struct test_reply r;
            struct test_probe p = { .seq = (uint32_t)golden_number(packet, "seq") };
            p.t1 = golden_hex(packet, "ts");
            p.err_est = (uint16_t)golden_hex(packet, "ee");
            n++;
            memset(buf, 0xaa, sizeof buf);
            if (!strcmp(golden_text(packet, "dir"), "sender")) {
                assert_int_equal(form_write_probe(f, &p, buf, len), TW_OK);
                assert_memory_equal(buf, wire, len);
                continue;
            }
            assert_int_equal(form_read_reply(f, wire, len, &r, &tlvs), TW_OK);
            assert_true(r.seq == p.seq && r.t3 == p.t1 && r.err_est == p.err_est &&
                        r.t2 == golden_hex(packet, "rx_ts") && r.sender_t1 == golden_hex(packet, "s_ts") &&
                        r.sender_err_est == golden_hex(packet, "s_ee") && r.sender_ttl == 255);
        }
        assert_int_equal(n, rows[i].packets);
        form_free(f);
        cJSON_Delete(doc);
    }
}

/* The computed exchanges with TLVs. */
static const cJSON *packet_of(const cJSON *doc, unsigned exchange, bool reply)
{
    return cJSON_GetArrayItem(golden_packets(doc), (int)(2 * exchange + reply));
}

static void writes(const char *name, unsigned exchange, const struct form_cfg *cfg)
{
    cJSON *doc = golden_load(name);
    const cJSON *packet = packet_of(doc, exchange, false);
    struct form *f = make(cfg);
    uint8_t wire[BUF], buf[BUF];
    size_t len = golden_wire(packet, wire, sizeof wire), padding = form_padding_at(f);
    struct test_probe p = { .seq = (uint32_t)golden_number(packet, "seq") };

    p.t1 = golden_hex(packet, "ts");
    p.err_est = (uint16_t)golden_hex(packet, "ee");
    memset(buf, 0xaa, sizeof buf);
    if (len > padding)
        memcpy(buf + padding, wire + padding, len - padding);
    assert_int_equal(form_write_probe(f, &p, buf, len), TW_OK);
    if (memcmp(buf, wire, len))
        fail_msg("%s: probe %u is written in another way", name, p.seq);
    form_free(f);
    cJSON_Delete(doc);
}

static void write_tlvs(void **state)
{
    const struct form_cfg all = { FORM_STAMP, .ssid = 0x1234, .keys = { KEY_A, KEY_B }, .n_keys = 2,
                                  .tlvs = {
                                      .types = ALL_TLVS, .cos_dscp = 46, .access_id = 1, .access_code = 1 } };
    const struct form_cfg cos = { FORM_STAMP, .ssid = 0x1234, .tlvs = { .types = BIT(COS), .cos_dscp = 46 } };
    const struct form_cfg base = { FORM_STAMP, .ssid = 0x4321, .authenticated = true,
                                   .keys = { KEY_A, KEY_B }, .n_keys = 2 };
    struct form_cfg signed_cos = base;

    (void)state;
    signed_cos.tlvs = cos.tlvs; /* nobody asks for the HMAC TLV */
    writes("synth-stamp-unauth-tlv", 0, &all);
    writes("synth-stamp-unauth-tlv", 4, &cos);
    writes("synth-stamp-unauth-tlv", 5, &cos);
    writes("synth-stamp-auth", 0, &base);
    writes("synth-stamp-auth", 1, &signed_cos);
    writes("synth-stamp-auth", 2, &base);
}

static const struct reading {
    const char *name, *capture;
    unsigned exchange;
    struct form_cfg cfg;
    enum tw_rc rc;
    uint32_t answered, unrecognised;
    bool malformed, integrity;
    int tos; /* -1 = not known */
} readings[] = {
    { "all of them",
      "synth-stamp-unauth-tlv",
      0,
      { FORM_STAMP, .ssid = 0x1234, .keys = { KEY_A }, .n_keys = 1, .tlvs.types = BIT(HMAC) },
      TW_OK,
      ALL_TLVS | BIT(PADDING),
      0,
      false,
      false,
      0x29 },
    { "the second key is right",
      "synth-stamp-unauth-tlv",
      0,
      { FORM_STAMP, .ssid = 0x1234, .keys = { KEY_B, KEY_A, KEY_C }, .n_keys = 3, .tlvs.types = BIT(HMAC) },
      TW_OK,
      ALL_TLVS | BIT(PADDING),
      0,
      false,
      false,
      0x29 },
    { "no key is right",
      "synth-stamp-unauth-tlv",
      0,
      { FORM_STAMP, .ssid = 0x1234, .keys = { KEY_B, KEY_C }, .n_keys = 2, .tlvs.types = BIT(HMAC) },
      TW_OK,
      0,
      0,
      false,
      true,
      -1 },
    { "not checked: no HMAC TLV is wanted",
      "synth-stamp-unauth-tlv",
      0,
      { FORM_STAMP, .ssid = 0x1234 },
      TW_OK,
      ALL_TLVS | BIT(PADDING),
      0,
      false,
      false,
      0x29 },
    { "none was sent, but TLVs are wanted",
      "synth-stamp-unauth-tlv",
      4,
      { FORM_STAMP, .tlvs.types = BIT(COS) },
      TW_OK,
      0,
      BIT(COS),
      false,
      false,
      -1 },
    { "no SSID and no TLVs wanted: not read",
      "synth-stamp-unauth-tlv",
      4,
      { .kind = FORM_STAMP },
      TW_OK,
      0,
      0,
      false,
      false,
      -1 },
    { "unknown type",
      "synth-stamp-unauth-tlv",
      1,
      { FORM_STAMP, .ssid = 0x1234, .keys = { KEY_A }, .n_keys = 1, .tlvs.types = BIT(HMAC) },
      TW_OK,
      BIT(FOLLOW_UP) | BIT(HMAC),
      0,
      false,
      false,
      -1 },
    { "malformed",
      "synth-stamp-unauth-tlv",
      2,
      { FORM_STAMP, .ssid = 0x1234 },
      TW_OK,
      0,
      0,
      true,
      false,
      -1 },
    { "integrity",
      "synth-stamp-unauth-tlv",
      3,
      { FORM_STAMP, .ssid = 0x1234 },
      TW_OK,
      0,
      0,
      false,
      true,
      -1 },
    { "RFC 8762: the SSID did not come back, TLVs are not read",
      "synth-stamp-unauth-tlv",
      4,
      { FORM_STAMP, .ssid = 0x1234, .tlvs.types = BIT(COS) },
      TW_OK,
      0,
      0,
      false,
      false,
      -1 },
    { "DSCP refused",
      "synth-stamp-unauth-tlv",
      5,
      { FORM_STAMP, .ssid = 0x1234, .tlvs.types = BIT(COS) },
      TW_OK,
      BIT(COS),
      0,
      false,
      false,
      0x28 },
    { "authenticated, base only",
      "synth-stamp-auth",
      0,
      { FORM_STAMP, .ssid = 0x4321, .authenticated = true, .keys = { KEY_A }, .n_keys = 1 },
      TW_OK,
      0,
      0,
      false,
      false,
      -1 },
    { "authenticated, with the older of two keys",
      "synth-stamp-auth",
      1,
      { FORM_STAMP, .ssid = 0x4321, .authenticated = true, .keys = { KEY_B, KEY_A }, .n_keys = 2 },
      TW_OK,
      BIT(COS) | BIT(HMAC),
      0,
      false,
      false,
      0 },
    { "authenticated, padding alone needs no HMAC TLV",
      "synth-stamp-auth",
      2,
      { FORM_STAMP, .ssid = 0x4321, .authenticated = true, .keys = { KEY_A }, .n_keys = 1 },
      TW_OK,
      BIT(PADDING),
      0,
      false,
      false,
      -1 },
    { "authenticated with other keys",
      "synth-stamp-auth",
      0,
      { FORM_STAMP, .ssid = 0x4321, .authenticated = true, .keys = { KEY_B, KEY_C }, .n_keys = 2 },
      TW_EPERM,
      0,
      0,
      false,
      false,
      -1 },
    { "authenticated, the SSID of another",
      "synth-stamp-auth",
      0,
      { FORM_STAMP, .ssid = 0x4322, .authenticated = true, .keys = { KEY_A }, .n_keys = 1 },
      TW_EINVAL,
      0,
      0,
      false,
      false,
      -1 },
    { "not authenticated where that is expected",
      "synth-stamp-unauth-tlv",
      0,
      { FORM_STAMP, .ssid = 0x1234, .authenticated = true, .keys = { KEY_A }, .n_keys = 1 },
      TW_EPERM,
      0,
      0,
      false,
      false,
      -1 },
};

static void read_tlvs(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(readings); i++) {
        const struct reading *row = &readings[i];
        cJSON *doc = golden_load(row->capture);
        struct form *f = make(&row->cfg);
        uint8_t wire[BUF];
        size_t len = golden_wire(packet_of(doc, row->exchange, true), wire, sizeof wire);
        struct stamp_tlv_seen t = { 0 };
        struct test_reply r = { 0 };
        enum tw_rc rc = form_read_reply(f, wire, len, &r, &t);
        if (rc != row->rc || t.answered != row->answered || t.unrecognised != row->unrecognised ||
            t.malformed != row->malformed || t.integrity != row->integrity)
            fail_msg("%s: %s, answered %x, unrecognised %x, malformed %d, integrity %d", row->name,
                     tw_rc_name(rc), t.answered, t.unrecognised, t.malformed, t.integrity);
        if (r.tos_known != (row->tos >= 0) || (r.tos_known && r.sender_tos != row->tos))
            fail_msg("%s: tos %d %02x", row->name, r.tos_known, r.sender_tos);
        form_free(f);
        cJSON_Delete(doc);
    }
}

/* A signed answer in which any bit of the base packet or the TLVs is flipped is not taken for what it says.
 */
static void flipped_bits(void **state)
{
    cJSON *doc = golden_load("synth-stamp-auth");
    struct form *f = make(&(struct form_cfg){ FORM_STAMP, .ssid = 0x4321, .authenticated = true,
                                              .keys = { KEY_B, KEY_A }, .n_keys = 2 });
    uint8_t wire[BUF];
    size_t len = golden_wire(packet_of(doc, 1, true), wire, sizeof wire);

    (void)state;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct stamp_tlv_seen t;
        struct test_reply r;
        enum tw_rc rc;
        if (bit / 8 == STAMP_BASE_AUTH + 8)
            continue;
        wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rc = form_read_reply(f, wire, len, &r, &t);
        if (bit / 8 < STAMP_BASE_AUTH ? rc != TW_EPERM : rc || !t.integrity || t.answered)
            fail_msg("bit %zu of octet %zu: %s, answered %x", bit % 8, bit / 8, tw_rc_name(rc), t.answered);
        wire[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    form_free(f);
    cJSON_Delete(doc);
}

/* Direct Measurement counts the session's own probes. */
static void direct_measurement(void **state)
{
    struct form *f =
        make(&(struct form_cfg){ FORM_STAMP, .tlvs = { .types = BIT(DIRECT), .tx_count = 100 } });

    (void)state;
    for (uint32_t seq = 0; seq < 3; seq++) {
        const struct test_probe p = { .seq = seq, .err_est = 1 };
        uint8_t buf[60] = { 0 };
        assert_int_equal(form_write_probe(f, &p, buf, sizeof buf), TW_OK);
        assert_int_equal(buf[45], STAMP_TLV_DIRECT);
        assert_int_equal(buf[51], 101 + seq);
    }
    form_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(contradictions),     cmocka_unit_test(sizes),     cmocka_unit_test(light_by_default),
        cmocka_unit_test(twamp_captures),     cmocka_unit_test(answers),   cmocka_unit_test(stamp_captures),
        cmocka_unit_test(write_tlvs),         cmocka_unit_test(read_tlvs), cmocka_unit_test(flipped_bits),
        cmocka_unit_test(direct_measurement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
