#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/twamp_pkt.h"
#include "tests/unit/agent/core/golden.h"

#define T1 "eeae802c52877bff "
#define REPLY36 "00000007 eeae802c529567ff 0001 0000 eeae802c529567fe 00000009 " T1

static const struct {
    const char *name, *hex;
    enum tw_rc rc;
    uint32_t seq, sender_seq;
    uint16_t sender_err_est;
    bool ttl_known;
    uint8_t ttl;
} replies[] = {
    { "empty", "", TW_ETRUNC, 0, 0, 0, false, 0 },
    { "one octet short of the sender's time",
      "00000007 eeae802c529567ff 0001 0000 eeae802c529567fe 00000009 eeae802c52877b", TW_ETRUNC, 0, 0, 0,
      false, 0 },
    { "36 octets", REPLY36, TW_OK, 7, 9, 0, false, 0 },
    { "38 octets", REPLY36 "3fff", TW_OK, 7, 9, 0x3fff, false, 0 },
    { "40 octets", REPLY36 "3fff 0000", TW_OK, 7, 9, 0x3fff, false, 0 },
    { "41 octets", REPLY36 "8001 0000 3c", TW_OK, 7, 9, 0x8001, true, 60 },
    { "octet 40 is padding", REPLY36 "8001 0000 00", TW_OK, 7, 9, 0x8001, false, 0 },
    { "padding behind", REPLY36 "8001 0000 ff aabbcc", TW_OK, 7, 9, 0x8001, true, 255 },
    { "MBZ not zero", "00000007 eeae802c529567ff 0001 ffff eeae802c529567fe 00000009 " T1 "8001 ffff 01",
      TW_OK, 7, 9, 0x8001, true, 1 },
    { "sender's multiplier 0", REPLY36 "8000 0000 ff", TW_OK, 7, 9, 0x8000, true, 255 },
    { "reflector's multiplier 0",
      "00000007 eeae802c529567ff 8100 0000 eeae802c529567fe 00000009 " T1 "8001 0000 ff", TW_EINVAL, 0, 0, 0,
      false, 0 },
};

static void decode_reply(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(replies); i++) {
        struct test_reply r = { 0 };
        uint8_t buf[64];
        size_t len = test_unhex(replies[i].hex, buf, sizeof buf);
        enum tw_rc rc = twamp_decode_reply(buf, len, &r);
        if (rc != replies[i].rc || r.seq != replies[i].seq || r.sender_seq != replies[i].sender_seq ||
            r.sender_err_est != replies[i].sender_err_est || r.ttl_known != replies[i].ttl_known ||
            (r.ttl_known && r.sender_ttl != replies[i].ttl))
            fail_msg("%s: %s, seq %u of %u, error estimate %04x, ttl %d %u", replies[i].name, tw_rc_name(rc),
                     r.seq, r.sender_seq, r.sender_err_est, r.ttl_known, r.sender_ttl);
        if (rc == TW_OK &&
            (r.t3 != 0xeeae802c529567ff || r.t2 != 0xeeae802c529567fe || r.sender_t1 != 0xeeae802c52877bff))
            fail_msg("%s: times", replies[i].name);
    }
}

static void probe_there_and_back(void **state)
{
    struct test_probe p = { 0x01020304, 0x1122334455667788, 0x8c32, 0 }, q = { 0 };
    static const uint8_t wire[] = { 1, 2, 3, 4, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x8c, 0x32 };
    uint8_t buf[TWAMP_PROBE_MIN];

    (void)state;
    assert_int_equal(twamp_encode_probe(&p, buf, sizeof buf - 1), TW_ETRUNC);
    assert_int_equal(twamp_encode_probe(&p, buf, sizeof buf), TW_OK);
    assert_memory_equal(buf, wire, sizeof wire);
    assert_int_equal(twamp_decode_probe(buf, sizeof buf - 1, &q), TW_ETRUNC);
    assert_int_equal(q.seq, 0);
    assert_int_equal(twamp_decode_probe(buf, sizeof buf, &q), TW_OK);
    assert_int_equal(q.seq, p.seq);
    assert_int_equal(q.t1, p.t1);
    assert_int_equal(q.err_est, p.err_est);
}

static void reply_there_and_back(void **state)
{
    struct test_reply r = { .seq = 5,
                            .t3 = 6,
                            .err_est = 0x0107,
                            .t2 = 8,
                            .sender_seq = 9,
                            .sender_t1 = 10,
                            .sender_err_est = 0x0b01,
                            .ttl_known = true,
                            .sender_ttl = 12 },
                      q;
    uint8_t buf[TWAMP_REPLY_MIN];

    (void)state;
    assert_int_equal(twamp_encode_reply(&r, buf, sizeof buf - 1), TW_ETRUNC);
    assert_int_equal(twamp_encode_reply(&r, buf, sizeof buf), TW_OK);
    assert_int_equal(twamp_decode_reply(buf, sizeof buf, &q), TW_OK);
    assert_true(q.seq == 5 && q.t3 == 6 && q.err_est == 0x0107 && q.t2 == 8 && q.sender_seq == 9 &&
                q.sender_t1 == 10 && q.sender_err_est == 0x0b01 && q.ttl_known && q.sender_ttl == 12);
    r.ttl_known = false;
    twamp_encode_reply(&r, buf, sizeof buf);
    assert_int_equal(buf[40], 255);
}

/* ---- What others send ---- */

static void check_sender(const char *name, const cJSON *packet, const uint8_t *wire, size_t len)
{
    struct test_probe p;

    if (twamp_decode_probe(wire, len, &p) || p.seq != golden_number(packet, "seq") ||
        p.t1 != golden_hex(packet, "ts") || p.err_est != golden_hex(packet, "ee"))
        fail_msg("%s: probe %u is read wrongly", name, p.seq);
}

static void check_reflector(const char *name, const cJSON *packet, const uint8_t *wire, size_t len)
{
    const cJSON *ttl = cJSON_GetObjectItem(packet, "s_ttl");
    struct test_reply r;

    if (twamp_decode_reply(wire, len, &r) || r.seq != golden_number(packet, "seq") ||
        r.t3 != golden_hex(packet, "ts") || r.err_est != golden_hex(packet, "ee") ||
        r.t2 != golden_hex(packet, "rx_ts") || r.sender_seq != golden_number(packet, "s_seq") ||
        r.sender_t1 != golden_hex(packet, "s_ts") || r.sender_err_est != golden_hex(packet, "s_ee"))
        fail_msg("%s: reply %u is read wrongly", name, r.seq);
    if (r.ttl_known != (ttl && ttl->valueint) || (r.ttl_known && r.sender_ttl != ttl->valueint))
        fail_msg("%s: ttl %d %u", name, r.ttl_known, r.sender_ttl);
}

static void decode_captures(void **state)
{
    static const char *const names[] = { "open4", "open4-pad0", "open4-dscp-pad", "light-twampy-pad0",
                                         "light-twampy-pad27" };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++) {
        cJSON *doc = golden_load(names[i]);
        const cJSON *packet;
        uint8_t wire[512];
        cJSON_ArrayForEach(packet, golden_packets(doc))
        {
            size_t len = golden_wire(packet, wire, sizeof wire);
            if (!strcmp(golden_text(packet, "dir"), "sender"))
                check_sender(names[i], packet, wire, len);
            else
                check_reflector(names[i], packet, wire, len);
        }
        cJSON_Delete(doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_reply),
        cmocka_unit_test(probe_there_and_back),
        cmocka_unit_test(reply_there_and_back),
        cmocka_unit_test(decode_captures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
