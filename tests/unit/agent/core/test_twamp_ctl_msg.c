#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/twamp_ctl_crypt.h"
#include "tests/unit/agent/core/ctl_rig.h"

/* ---- Every message of every capture: read to the values of its JSON, written to the same octets ---- */

static void same(const char *name, const char *what, const uint8_t *got, const uint8_t *want, size_t len)
{
    if (memcmp(got, want, len))
        fail_msg("%s: %s is not written as it was read", name, what);
}

static void is_number(const char *name, const cJSON *m, const char *field, uint64_t got)
{
    if (golden_number(m, field) != got)
        fail_msg("%s: %s is %llu, expected %llu", name, field, (unsigned long long)got,
                 (unsigned long long)golden_number(m, field));
}

static void is_octets(const char *name, const cJSON *m, const char *field, const uint8_t *got, size_t len)
{
    uint8_t want[96];

    if (test_unhex(golden_text(m, field), want, sizeof want) != len || memcmp(want, got, len))
        fail_msg("%s: %s differs", name, field);
}

static void is_hex(const char *name, const cJSON *m, const char *field, uint64_t got)
{
    if (strtoull(golden_text(m, field), NULL, 16) != got)
        fail_msg("%s: %s is %llx", name, field, (unsigned long long)got);
}

static void check_greeting(const char *name, const cJSON *m, const uint8_t *wire)
{
    uint8_t again[CTL_GREETING_BYTES];
    struct ctl_greeting g;

    ctl_read_greeting(wire, &g);
    is_number(name, m, "modes", g.modes);
    is_number(name, m, "count", g.count);
    is_octets(name, m, "challenge", g.challenge, 16);
    is_octets(name, m, "salt", g.salt, 16);
    ctl_write_greeting(&g, again);
    same(name, "Server-Greeting", again, wire, sizeof again);
}

static void check_set_up(const char *name, const cJSON *m, const uint8_t *wire)
{
    uint8_t again[CTL_SET_UP_BYTES];
    struct ctl_set_up u;

    ctl_read_set_up(wire, &u);
    is_number(name, m, "mode", u.mode);
    is_octets(name, m, "token", u.token, 64);
    is_octets(name, m, "client_iv", u.iv, 16);
    if (strcmp(golden_text(m, "keyid"), u.key_id))
        fail_msg("%s: KeyID %s", name, u.key_id);
    ctl_write_set_up(&u, again);
    same(name, "Set-Up-Response", again, wire, sizeof again);
}

static void check_server_start(const char *name, const cJSON *m, const uint8_t *wire)
{
    uint8_t clear[CTL_SERVER_START_BYTES], again[CTL_SERVER_START_BYTES];
    struct ctl_server_start s;

    memcpy(clear, wire, 32);
    test_unhex(golden_text(m, "last_block_plain"), clear + 32, 16);
    ctl_read_server_start(clear, &s);
    is_number(name, m, "accept", s.accept);
    is_octets(name, m, "server_iv", s.iv, 16);
    assert_int_equal(golden_hex(m, "start_time"), s.start_time);
    ctl_write_server_start(&s, again);
    same(name, "Server-Start", again, clear, sizeof again);
}

static void is_address(const char *name, const cJSON *m, const char *field, const uint8_t *ip)
{
    struct tw_addr a;

    assert_int_equal(tw_addr_parse(golden_text(m, field), 0, &a), TW_OK);
    if (memcmp(a.ip, ip, 16))
        fail_msg("%s: %s differs", name, field);
}

static void check_request(const char *name, const cJSON *m, const uint8_t *clear)
{
    uint8_t again[CTL_REQUEST_BYTES];
    struct ctl_request r;

    ctl_read_request(clear, &r);
    is_number(name, m, "ipvn", r.ipvn);
    is_number(name, m, "conf_sender", r.conf_sender);
    is_number(name, m, "conf_receiver", r.conf_receiver);
    is_number(name, m, "slots", r.slots);
    is_number(name, m, "packets", r.packets);
    is_number(name, m, "sender_port", r.sender_port);
    is_number(name, m, "receiver_port", r.receiver_port);
    is_number(name, m, "padding_length", r.padding_bytes);
    is_number(name, m, "timeout_sec", r.timeout >> 32);
    is_number(name, m, "timeout_frac", r.timeout & UINT32_MAX);
    is_number(name, m, "length_to_reflect", r.reflect_bytes);
    is_hex(name, m, "type_p", r.type_p);
    is_hex(name, m, "octets_to_be_reflected", r.reflect_octets);
    is_address(name, m, "sender_address", r.sender);
    is_address(name, m, "receiver_address", r.receiver);
    assert_int_equal(golden_hex(m, "start_time"), r.start_ntp);
    ctl_write_request(&r, again);
    same(name, "Request-TW-Session", again, clear, sizeof again - CTL_HMAC);
}

static void check_accept(const char *name, const cJSON *m, const uint8_t *clear)
{
    uint8_t again[CTL_ACCEPT_BYTES];
    struct ctl_accept_session a;

    ctl_read_accept(clear, &a);
    is_number(name, m, "accept", a.accept);
    is_number(name, m, "port", a.port);
    is_octets(name, m, "sid", a.sid, CTL_SID);
    is_hex(name, m, "reflected_octets", a.reflect_octets);
    is_hex(name, m, "server_octets", a.server_octets);
    ctl_write_accept(&a, again);
    same(name, "Accept-Session", again, clear, sizeof again - CTL_HMAC);
}

static void check_start(const char *name, const cJSON *m, const uint8_t *clear)
{
    uint8_t again[CTL_SIMPLE_BYTES];

    (void)m;
    ctl_write_start(again);
    same(name, "Start-Sessions", again, clear, CTL_HEAD);
}

static void check_start_ack(const char *name, const cJSON *m, const uint8_t *clear)
{
    uint8_t again[CTL_SIMPLE_BYTES];

    is_number(name, m, "accept", ctl_read_start_ack(clear));
    ctl_write_start_ack(ctl_read_start_ack(clear), again);
    same(name, "Start-Ack", again, clear, CTL_HEAD);
}

static void check_stop(const char *name, const cJSON *m, const uint8_t *clear)
{
    uint8_t again[CTL_SIMPLE_BYTES];
    struct ctl_stop s;

    ctl_read_stop(clear, &s);
    is_number(name, m, "accept", s.accept);
    is_number(name, m, "sessions", s.sessions);
    ctl_write_stop(&s, again);
    same(name, "Stop-Sessions", again, clear, CTL_HEAD);
}

static const struct {
    const char *name;
    void (*check)(const char *name, const cJSON *m, const uint8_t *clear);
} messages[] = {
    { "Request-TW-Session", check_request }, { "Accept-Session", check_accept },
    { "Start-Sessions", check_start },       { "Start-Ack", check_start_ack },
    { "Stop-Sessions", check_stop },
};

static unsigned check_message(const char *name, const cJSON *m)
{
    uint8_t clear[256];

    test_unhex(golden_text(m, "plain"), clear, sizeof clear);
    for (size_t i = 0; i < TW_NELEM(messages); i++)
        if (!strcmp(golden_text(m, "message"), messages[i].name)) {
            messages[i].check(name, m, clear);
            return 1;
        }
    fail_msg("%s: %s is not known", name, golden_text(m, "message"));
    return 0;
}

static void captures(void **state)
{
    static const char *const names[] = { RIG_CAPTURES, RIG_REFUSED };
    unsigned seen = 0;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++) {
        struct rig_capture c;
        const cJSON *m;
        rig_load(names[i], &c);
        check_greeting(names[i], cJSON_GetObjectItem(c.doc, "server_greeting"), c.s2c.v);
        check_set_up(names[i], cJSON_GetObjectItem(c.doc, "set_up_response"), c.c2s.v);
        check_server_start(names[i], cJSON_GetObjectItem(c.doc, "server_start"), c.s2c.v + 64);
        cJSON_ArrayForEach(m, cJSON_GetObjectItem(c.doc, "control")) seen += check_message(names[i], m);
        cJSON_Delete(c.doc);
    }
    assert_true(seen >= 5 * 15);
}

/* ---- RFC 5938, by the computed vector: messages, ciphertext and HMACs ---- */

static void unhex_item(const cJSON *m, const char *field, struct rig_bytes *ret)
{
    ret->len = 0;
    rig_add_hex(ret, golden_text(m, field));
}

static void check_many(const cJSON *m, struct ctl_rx *rx, struct ctl_tx *tx)
{
    struct rig_bytes plain, wire;
    uint8_t again[128];
    struct ctl_many h;

    unhex_item(m, "plain", &plain);
    unhex_item(m, "wire", &wire);
    if (plain.len == CRYPTO_BLOCK) { /* the end of Server-Start */
        ctl_rx_put(rx, wire.v, wire.len);
        assert_memory_equal(ctl_rx_peek(rx, wire.len), plain.v, plain.len);
        ctl_rx_carry(rx); /* the next HMAC covers it */
        assert_int_equal(ctl_tx_carry(tx, plain.v), TW_OK);
        assert_memory_equal(plain.v, wire.v, wire.len);
        return;
    }
    ctl_rx_put(rx, wire.v, wire.len);
    assert_int_equal(ctl_command_bytes(ctl_rx_peek(rx, CTL_HEAD), 2), wire.len);
    assert_memory_equal(ctl_rx_peek(rx, wire.len), plain.v, plain.len);
    assert_true(ctl_rx_verify(rx, wire.len));
    ctl_rx_drop(rx, wire.len);
    ctl_read_many(plain.v, &h);
    assert_int_equal(ctl_many_bytes(h.n), wire.len);
    assert_string_not_equal(ctl_command_name(h.command), "unknown command");
    memcpy(again, plain.v, plain.len);
    ctl_write_many(&h, again);
    memset(again + plain.len - CTL_HMAC, 0, CTL_HMAC);
    assert_int_equal(ctl_tx_seal(tx, again, plain.len), TW_OK);
    assert_memory_equal(again, wire.v, wire.len);
}

static void individual(void **state)
{
    static const char *const ways[][2] = { { "client_to_server", "client_iv" },
                                           { "server_to_client", "server_iv" } };
    cJSON *doc = golden_load("synth-control-individual");
    struct ctl_keys keys;

    (void)state;
    test_unhex(golden_text(doc, "aes_session_key"), keys.aes, sizeof keys.aes);
    test_unhex(golden_text(doc, "hmac_session_key"), keys.hmac, sizeof keys.hmac);
    for (size_t i = 0; i < TW_NELEM(ways); i++) {
        struct ctl_tx tx = { 0 };
        struct ctl_rx rx;
        const cJSON *m;
        uint8_t iv[16];
        test_unhex(golden_text(doc, ways[i][1]), iv, sizeof iv);
        assert_int_equal(ctl_rx_init(&rx, 256), TW_OK);
        assert_int_equal(ctl_rx_set_keys(&rx, &keys, iv), TW_OK);
        assert_int_equal(ctl_tx_set_keys(&tx, &keys, iv), TW_OK);
        assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(doc, ways[i][0])) >= 2);
        cJSON_ArrayForEach(m, cJSON_GetObjectItem(doc, ways[i][0])) check_many(m, &rx, &tx);
        ctl_rx_free(&rx);
        ctl_tx_free(&tx);
    }
    cJSON_Delete(doc);
}

/* ---- Bounds ---- */

static void lengths(void **state)
{
    static const struct {
        uint8_t command;
        uint32_t n, max_n;
        size_t len;
    } rows[] = {
        { 0, 0, 9, 0 },  { 1, 0, 9, 0 },          { 2, 0, 9, 32 },         { 2, 77, 9, 32 }, /* MBZ */
        { 3, 0, 9, 32 }, { 4, 0, 9, 0 },          { 5, 0, 9, 112 },        { 6, 0, 9, 0 },
        { 7, 0, 9, 0 },  { 7, 1, 9, 48 },         { 7, 9, 9, 176 },        { 7, 10, 9, 0 },
        { 8, 2, 2, 64 }, { 9, UINT32_MAX, 9, 0 }, { 9, 0x10000000, 9, 0 }, /* 16 N overflows 32 bits */
        { 10, 1, 0, 0 }, { 11, 1, 9, 0 },         { 255, 1, 9, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct ctl_many m = { rows[i].command, 0, rows[i].n };
        uint8_t head[CTL_HEAD];
        ctl_write_many(&m, head);
        if (ctl_command_bytes(head, rows[i].max_n) != rows[i].len)
            fail_msg("command %u with N %u of %u: %zu octets", rows[i].command, rows[i].n, rows[i].max_n,
                     ctl_command_bytes(head, rows[i].max_n));
    }
}

static void intervals(void **state)
{
    static const struct {
        int64_t ns;
        uint64_t wire;
    } rows[] = {
        { 0, 0 },
        { TW_NS_PER_S, UINT64_C(1) << 32 },
        { 3 * TW_NS_PER_S / 2, 0x0000000180000000 },
        { 900 * TW_NS_PER_S, UINT64_C(900) << 32 },
        { 1, 4 },
        { 999999999, 0xfffffffc },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        assert_int_equal(ctl_interval_to_wire(rows[i].ns), rows[i].wire);
        assert_int_equal(ctl_interval_from_wire(rows[i].wire), rows[i].ns);
    }
    assert_int_equal(ctl_interval_to_wire(-5), 0);
    assert_int_equal(ctl_interval_to_wire(INT64_MAX), UINT64_MAX);
    assert_true(ctl_interval_from_wire(UINT64_MAX) > 0);
}

/* A KeyID of 80 octets has no terminator on the wire. */
static void long_key_id(void **state)
{
    struct ctl_set_up u = { .mode = 4 }, v;
    uint8_t wire[CTL_SET_UP_BYTES];

    (void)state;
    memset(u.key_id, 'k', CTL_KEYID_MAX);
    memset(u.token, 0xff, sizeof u.token);
    ctl_write_set_up(&u, wire);
    assert_int_equal(wire[83], 'k');
    assert_int_equal(wire[84], 0xff);
    ctl_read_set_up(wire, &v);
    assert_string_equal(v.key_id, u.key_id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures),  cmocka_unit_test(individual),  cmocka_unit_test(lengths),
        cmocka_unit_test(intervals), cmocka_unit_test(long_key_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
