#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/twamp_form.h"
#include "tests/unit/agent/core/golden.h"

enum { BUF = 512 };

static struct twamp_form *make(uint32_t mode, uint16_t server_octets)
{
    struct twamp_form_cfg cfg = { .mode = mode, .server_octets = server_octets };
    struct twamp_form *f;

    for (size_t i = 0; i < sizeof cfg.keys.hmac; i++) {
        cfg.keys.aes[i % 16] = (uint8_t)(0x10 + i);
        cfg.keys.hmac[i] = (uint8_t)(0x80 + i);
    }
    if (twamp_form_new(&cfg, &f))
        fail_msg("mode %03x is refused", mode);
    return f;
}

/* ---- What others send: every test packet of every capture ---- */

/* What we would write is what they wrote, but for these: so many octets are the same, then it differs. */
static const struct {
    const char *name;
    size_t same;
    const char *reason;
} deviations[] = {
    { "light-twampy-pad0", 38, "no MBZ and no TTL, length without regard to the request" },
    { "light-twampy-pad27", 40, "no TTL: padding stands there" },
    { "light-darox", 40, "no TTL: padding stands there" },
    { "control-tcaine-twampd", 56, "cuts the answer at the length announced, not received" },
    { "emirica-reflectoctets", 41, "does not return the padding, though it agreed to" },
};

static size_t deviates_at(const char *name)
{
    for (size_t i = 0; i < TW_NELEM(deviations); i++)
        if (!strcmp(name, deviations[i].name))
            return deviations[i].same;
    return 0;
}

static void check_sender(const char *name, struct twamp_form *f, const cJSON *packet, const uint8_t *wire,
                         size_t len)
{
    struct test_probe p = { 0 };
    uint8_t buf[BUF];
    size_t padding = twamp_form_probe_min(f);
    enum tw_rc rc = twamp_form_read_probe(f, wire, len, &p);

    if (rc || p.seq != golden_number(packet, "seq") || p.t1 != golden_hex(packet, "ts") ||
        p.err_est != golden_hex(packet, "ee") || p.ssid)
        fail_msg("%s: probe %u: %s", name, p.seq, tw_rc_name(rc));
    memset(buf, 0xaa, sizeof buf);
    if (len > padding)
        memcpy(buf + padding, wire + padding, len - padding);
    assert_int_equal(twamp_form_write_probe(f, &p, buf, len), TW_OK);
    if (memcmp(buf, wire, len))
        fail_msg("%s: probe %u is written in another way", name, p.seq);
}

static void check_reply_values(const char *name, const cJSON *packet, const struct test_reply *r)
{
    const cJSON *ttl = cJSON_GetObjectItem(packet, "s_ttl");
    const char *tos = golden_text(packet, "s_dscp_ecn");

    if (r->seq != golden_number(packet, "seq") || r->t3 != golden_hex(packet, "ts") ||
        r->err_est != golden_hex(packet, "ee") || r->t2 != golden_hex(packet, "rx_ts") ||
        r->sender_seq != golden_number(packet, "s_seq") || r->sender_t1 != golden_hex(packet, "s_ts") ||
        r->sender_err_est != golden_hex(packet, "s_ee") || r->ssid)
        fail_msg("%s: reply %u is read wrongly", name, r->seq);
    if (r->ttl_known != (ttl && ttl->valueint) || (r->ttl_known && r->sender_ttl != ttl->valueint))
        fail_msg("%s: reply %u: ttl %d %u", name, r->seq, r->ttl_known, r->sender_ttl);
    if (r->tos_known != (*tos != '\0') || (*tos && r->sender_tos != strtoul(tos, NULL, 16)))
        fail_msg("%s: reply %u: tos %d %02x", name, r->seq, r->tos_known, r->sender_tos);
}

static void check_reflector(const char *name, struct twamp_form *f, const cJSON *packet, const uint8_t *wire,
                            size_t len, const uint8_t *request, size_t request_len)
{
    struct test_reply r = { 0 };
    uint8_t buf[BUF];
    size_t our_len = twamp_form_reply_len(f, request_len), same = 0, least = len < our_len ? len : our_len;
    enum tw_rc rc = twamp_form_read_reply(f, wire, len, &r);

    if (rc)
        fail_msg("%s: a reply: %s", name, tw_rc_name(rc));
    check_reply_values(name, packet, &r);
    memset(buf, 0xaa, sizeof buf);
    assert_int_equal(twamp_form_write_reply(f, &r, request, request_len, buf), TW_OK);
    assert_int_equal(twamp_form_reply_seq(f, buf), r.seq);
    assert_int_equal(twamp_form_seal_reply(f, buf, r.t3, r.err_est), TW_OK);
    while (same < least && buf[same] == wire[same])
        same++;
    if (deviates_at(name) ? same != deviates_at(name) : same != len || our_len != len)
        fail_msg("%s: reply %u: %zu octets of %zu are the same, ours has %zu", name, r.seq, same, len,
                 our_len);
}

/* Requests and replies alternate in all captures. */
static unsigned check_packets(const char *name, struct twamp_form *f, const cJSON *packets)
{
    const cJSON *packet;
    uint8_t wire[BUF], before[BUF], request[BUF];
    size_t request_len = 0;
    unsigned n = 0;

    cJSON_ArrayForEach(packet, packets)
    {
        size_t len = golden_wire(packet, wire, sizeof wire);
        memcpy(before, wire, len);
        n++;
        if (!strcmp(golden_text(packet, "dir"), "sender")) {
            check_sender(name, f, packet, wire, len);
            memcpy(request, wire, len);
            request_len = len;
        } else {
            check_reflector(name, f, packet, wire, len, request, request_len);
        }
        assert_memory_equal(wire, before, len); /* the input stays as it was */
    }
    return n;
}

static uint16_t server_octets_of(const cJSON *doc)
{
    const cJSON *m;

    cJSON_ArrayForEach(m, cJSON_GetObjectItem(doc, "control"))
    {
        if (*golden_text(m, "server_octets"))
            return (uint16_t)strtoul(golden_text(m, "server_octets"), NULL, 16);
    }
    return 0;
}

static unsigned check_controlled(const char *name, const cJSON *doc)
{
    struct twamp_form_cfg cfg = { .server_octets = server_octets_of(doc) };
    struct twamp_form *f;
    const cJSON *s;
    unsigned n = 0;

    cfg.mode = (uint32_t)golden_number(cJSON_GetObjectItem(doc, "set_up_response"), "mode");
    cJSON_ArrayForEach(s, cJSON_GetObjectItem(doc, "test_sessions"))
    {
        test_unhex(golden_text(s, "test_aes_key"), cfg.keys.aes, sizeof cfg.keys.aes);
        test_unhex(golden_text(s, "test_hmac_key"), cfg.keys.hmac, sizeof cfg.keys.hmac);
        assert_int_equal(twamp_form_new(&cfg, &f), TW_OK);
        n += check_packets(name, f, cJSON_GetObjectItem(s, "packets"));
        twamp_form_free(f);
    }
    return n;
}

static void captures(void **state)
{
    static const struct {
        const char *name;
        unsigned packets;
    } rows[] = {
        { "auth4", 10 },
        { "auth4-zeroaddr-pad100", 6 },
        { "auth4-badsecret", 0 },
        { "enc4", 10 },
        { "enc4-pad0", 6 },
        { "enc4-unknownuser", 0 },
        { "mixed4", 10 },
        { "open4", 10 },
        { "open4-dscp-pad", 10 },
        { "open4-pad0", 6 },
        { "open6", 10 },
        { "emirica-open2", 12 },
        { "emirica-reflectoctets", 6 },
        { "emirica-symm-dscpecn", 6 },
        { "control-twampy-twampd", 10 },
        { "control-tcaine-rejected", 0 },
        { "control-tcaine-twampd", 6 },
        { "control-tcaine-twampd-size0", 6 },
        { "light-darox", 10 },
        { "light-domos", 10 },
        { "light-twampy-domos", 6 },
        { "light-twampy-pad0", 10 },
        { "light-twampy-pad27", 10 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        cJSON *doc = golden_load(rows[i].name);
        unsigned n;
        if (strcmp(golden_text(doc, "kind"), "control")) {
            struct twamp_form *f = make(TWAMP_OPEN, 0);
            n = check_packets(rows[i].name, f, golden_packets(doc));
            twamp_form_free(f);
        } else {
            n = check_controlled(rows[i].name, doc);
        }
        if (n != rows[i].packets)
            fail_msg("%s: %u packets", rows[i].name, n);
        cJSON_Delete(doc);
    }
}

/* ---- Sizes ---- */

static void sizes(void **state)
{
    static const struct {
        uint32_t mode;
        size_t probe, reply; /* 0: the mode is refused */
    } rows[] = {
        { TWAMP_OPEN, 14, 41 },
        { TWAMP_MIXED, 14, 41 },
        { TWAMP_AUTHENTICATED, 48, 112 },
        { TWAMP_ENCRYPTED, 48, 112 },
        { TWAMP_OPEN | TWAMP_REFLECT | TWAMP_INDIVIDUAL | TWAMP_PTP, 14, 41 },
        { TWAMP_OPEN | TWAMP_SYMMETRICAL, 41, 41 },
        { TWAMP_MIXED | TWAMP_DSCP_ECN, 14, 44 },
        { TWAMP_OPEN | TWAMP_DSCP_ECN | TWAMP_SYMMETRICAL, 44, 44 },
        { TWAMP_AUTHENTICATED | TWAMP_SYMMETRICAL, 112, 112 },
        { TWAMP_ENCRYPTED | TWAMP_SYMMETRICAL | TWAMP_DSCP_ECN, 112, 112 },
        { TWAMP_ENCRYPTED | TWAMP_DSCP_ECN, 48, 112 },
        { 0, 0, 0 },
        { TWAMP_FEATURES, 0, 0 },
        { TWAMP_OPEN | TWAMP_MIXED, 0, 0 },
        { TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED, 0, 0 },
        { TWAMP_OPEN | 0x080, 0, 0 },
        { TWAMP_OPEN | 0x400, 0, 0 },
        { TWAMP_OPEN | 0x80000000, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct twamp_form_cfg cfg = { .mode = rows[i].mode };
        struct twamp_form *f = NULL;
        enum tw_rc rc = twamp_form_new(&cfg, &f);
        if (rc != (rows[i].probe ? TW_OK : TW_EINVAL))
            fail_msg("mode %03x: %s", rows[i].mode, tw_rc_name(rc));
        if (rc)
            continue;
        if (twamp_form_probe_min(f) != rows[i].probe || twamp_form_reply_min(f) != rows[i].reply ||
            twamp_form_reply_len(f, 0) != rows[i].reply ||
            twamp_form_reply_len(f, rows[i].reply - 1) != rows[i].reply ||
            twamp_form_reply_len(f, rows[i].reply + 1) != rows[i].reply + 1)
            fail_msg("mode %03x: probe from %zu, reply from %zu octets", rows[i].mode,
                     twamp_form_probe_min(f), twamp_form_reply_min(f));
        twamp_form_free(f);
    }
}

static const uint32_t securities[] = { TWAMP_OPEN, TWAMP_AUTHENTICATED, TWAMP_ENCRYPTED, TWAMP_MIXED };
static const struct test_probe a_probe = { 0x01020304, 0x1122334455667788, 0x8c32, 0 };
static const struct test_reply a_reply = { .seq = 0x05060708,
                                           .t3 = 0x99aabbccddeeff00,
                                           .err_est = 0x4107,
                                           .t2 = 0x99aabbccddeefe00,
                                           .sender_seq = 0x01020304,
                                           .sender_t1 = 0x1122334455667788,
                                           .sender_err_est = 0x8c32,
                                           .ttl_known = true,
                                           .sender_ttl = 61,
                                           .tos_known = true,
                                           .sender_tos = 0xba };

static bool is_secure(uint32_t mode)
{
    return mode & (TWAMP_AUTHENTICATED | TWAMP_ENCRYPTED);
}

/* Exact allocations, so that a sanitizer sees one octet too many. */
static uint8_t *written_probe(struct twamp_form *f, size_t len)
{
    uint8_t *buf = malloc(len);

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(twamp_form_write_probe(f, &a_probe, buf, len), TW_OK);
    return buf;
}

static uint8_t *written_reply(struct twamp_form *f, const uint8_t *request, size_t len)
{
    uint8_t *buf = malloc(twamp_form_reply_len(f, len));

    memset(buf, 0xaa, twamp_form_reply_len(f, len));
    assert_int_equal(twamp_form_write_reply(f, &a_reply, request, len, buf), TW_OK);
    assert_int_equal(twamp_form_reply_seq(f, buf), a_reply.seq);
    assert_int_equal(twamp_form_seal_reply(f, buf, a_reply.t3, a_reply.err_est), TW_OK);
    return buf;
}

static void one_octet_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(securities); i++) {
        struct twamp_form *f = make(securities[i], 0);
        bool secure = is_secure(securities[i]);
        size_t probe = twamp_form_probe_min(f), reply = secure ? 112 : 36;
        uint8_t *request = written_probe(f, probe), *answer = written_reply(f, request, probe);
        struct test_probe p = { .seq = 77 };
        struct test_reply r = { .seq = 77 };
        assert_int_equal(twamp_form_write_probe(f, &a_probe, request, probe - 1), TW_ETRUNC);
        assert_int_equal(twamp_form_read_probe(f, request, probe - 1, &p), TW_ETRUNC);
        assert_int_equal(twamp_form_read_reply(f, answer, reply - 1, &r), TW_ETRUNC);
        assert_int_equal(twamp_form_read_probe(f, request, 0, &p), TW_ETRUNC);
        assert_int_equal(twamp_form_read_reply(f, answer, 0, &r), TW_ETRUNC);
        assert_true(p.seq == 77 && r.seq == 77);
        assert_int_equal(twamp_form_read_probe(f, request, probe, &p), TW_OK);
        assert_int_equal(twamp_form_read_reply(f, answer, reply, &r), TW_OK);
        free(request);
        free(answer);
        twamp_form_free(f);
    }
}

/* Room for the Server octets is part of the size. */
static void server_octets_need_room(void **state)
{
    struct twamp_form *f = make(TWAMP_OPEN | TWAMP_REFLECT, 0xbeef);
    uint8_t buf[16] = { 0 };

    (void)state;
    assert_int_equal(twamp_form_write_probe(f, &a_probe, buf, 15), TW_ETRUNC);
    assert_int_equal(twamp_form_write_probe(f, &a_probe, buf, 16), TW_OK);
    assert_true(buf[14] == 0xbe && buf[15] == 0xef);
    twamp_form_free(f);
    f = make(TWAMP_OPEN, 0xbeef); /* not agreed: not written */
    memset(buf, 0x55, sizeof buf);
    assert_int_equal(twamp_form_write_probe(f, &a_probe, buf, 16), TW_OK);
    assert_true(buf[14] == 0x55 && buf[15] == 0x55);
    twamp_form_free(f);
}

/* ---- There and back with every combination of features ---- */

static void check_padding(uint32_t mode, struct twamp_form *f, const uint8_t *request, size_t len,
                          const uint8_t *answer)
{
    size_t from = twamp_form_probe_min(f), to = twamp_form_reply_min(f);
    size_t head = is_secure(mode) ? 48 : 14;

    for (size_t i = head; mode & TWAMP_SYMMETRICAL && i < from; i++)
        if (request[i])
            fail_msg("mode %03x, %zu octets: MBZ at %zu is %02x", mode, len, i, request[i]);
    for (size_t i = 0; to + i < len; i++)
        if (answer[to + i] != request[from + i])
            fail_msg("mode %03x, %zu octets: padding %zu is not returned", mode, len, i);
    if (mode & TWAMP_REFLECT)
        assert_true(request[from] == 0xbe && request[from + 1] == 0xef);
}

static void there_and_back(uint32_t mode, struct twamp_form *f, size_t len)
{
    uint8_t *request = written_probe(f, len), *answer = written_reply(f, request, len);
    size_t reply_len = twamp_form_reply_len(f, len);
    struct test_probe p;
    struct test_reply r;

    assert_int_equal(twamp_form_read_probe(f, request, len, &p), TW_OK);
    assert_true(p.seq == a_probe.seq && p.t1 == a_probe.t1 && p.err_est == a_probe.err_est && !p.ssid);
    assert_int_equal(twamp_form_read_reply(f, answer, reply_len, &r), TW_OK);
    if (r.seq != a_reply.seq || r.t3 != a_reply.t3 || r.err_est != a_reply.err_est || r.t2 != a_reply.t2 ||
        r.sender_seq != a_reply.sender_seq || r.sender_t1 != a_reply.sender_t1 ||
        r.sender_err_est != a_reply.sender_err_est || r.ssid || !r.ttl_known || r.sender_ttl != 61)
        fail_msg("mode %03x, %zu octets: the reply comes back in another way", mode, len);
    if (r.tos_known != !!(mode & TWAMP_DSCP_ECN) || r.sender_tos != (r.tos_known ? 0xba : 0))
        fail_msg("mode %03x: tos %d %02x", mode, r.tos_known, r.sender_tos);
    check_padding(mode, f, request, len, answer);
    free(request);
    free(answer);
}

static void feature_combinations(void **state)
{
    static const uint32_t features[] = { TWAMP_INDIVIDUAL, TWAMP_REFLECT, TWAMP_SYMMETRICAL, TWAMP_DSCP_ECN,
                                         TWAMP_PTP };
    static const size_t more[] = { 2, 3, 26, 27, 28, 29, 30, 31, 63, 64, 65, 300 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(securities) << TW_NELEM(features); i++) {
        uint32_t mode = securities[i % TW_NELEM(securities)];
        struct twamp_form *f;
        for (size_t b = 0; b < TW_NELEM(features); b++)
            if (i / TW_NELEM(securities) & (size_t)1 << b)
                mode |= features[b];
        f = make(mode, 0xbeef);
        for (size_t k = 0; k < TW_NELEM(more); k++)
            there_and_back(mode, f, twamp_form_probe_min(f) + more[k]);
        twamp_form_free(f);
    }
}

/* ---- Protection ---- */

/* Flips each bit of a packet in turn: covered ones are found out, the others change nothing but themselves.
 */
static void flip_all(struct twamp_form *f, uint8_t *buf, size_t len, size_t text, size_t mac, bool reply)
{
    for (size_t bit = 0; bit < len * 8; bit++) {
        bool covered = bit / 8 < text || (bit / 8 >= mac && bit / 8 < mac + 16);
        struct test_probe p;
        struct test_reply r;
        enum tw_rc rc;
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
        rc = reply ? twamp_form_read_reply(f, buf, len, &r) : twamp_form_read_probe(f, buf, len, &p);
        buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (rc != (covered ? TW_EPERM : TW_OK))
            fail_msg("%s, bit %zu of octet %zu: %s", reply ? "reply" : "probe", bit % 8, bit / 8,
                     tw_rc_name(rc));
    }
}

static void flipped_bits(void **state)
{
    static const struct {
        uint32_t mode;
        size_t probe_text, reply_text;
    } rows[] = { { TWAMP_AUTHENTICATED, 16, 16 }, { TWAMP_ENCRYPTED, 32, 96 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct twamp_form *f = make(rows[i].mode, 0);
        uint8_t *request = written_probe(f, 130), *answer = written_reply(f, request, 130);
        flip_all(f, request, 130, rows[i].probe_text, 32, false);
        flip_all(f, answer, 130, rows[i].reply_text, 96, true);
        free(request);
        free(answer);
        twamp_form_free(f);
    }
}

static void other_keys(void **state)
{
    static const uint32_t modes[] = { TWAMP_AUTHENTICATED, TWAMP_ENCRYPTED };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct twamp_form_cfg cfg = { .mode = modes[i / 2] };
        struct twamp_form *f = make(modes[i / 2], 0), *g;
        uint8_t *request = written_probe(f, 48), *answer = written_reply(f, request, 48);
        struct test_probe p;
        struct test_reply r;
        for (size_t k = 0; k < 32; k++) { /* as in make(), but for one bit of one of the keys */
            cfg.keys.aes[k % 16] = (uint8_t)(0x10 + k);
            cfg.keys.hmac[k] = (uint8_t)(0x80 + k);
        }
        *(i % 2 ? &cfg.keys.aes[15] : &cfg.keys.hmac[31]) ^= 1;
        assert_int_equal(twamp_form_new(&cfg, &g), TW_OK);
        assert_int_equal(twamp_form_read_probe(g, request, 48, &p), TW_EPERM);
        assert_int_equal(twamp_form_read_reply(g, answer, 112, &r), TW_EPERM);
        free(request);
        free(answer);
        twamp_form_free(f);
        twamp_form_free(g);
    }
}

/* Multiplier 0 in the reflector's Error Estimate: corrupt. In the sender's, which is only returned: taken. */
static void multiplier_0(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(securities); i++) {
        struct twamp_form *f = make(securities[i], 0);
        struct test_reply r = a_reply;
        uint8_t request[48] = { 0 }, answer[112];
        r.sender_err_est = 0x8c00;
        assert_int_equal(twamp_form_write_reply(f, &r, request, sizeof request, answer), TW_OK);
        assert_int_equal(twamp_form_seal_reply(f, answer, 1, 0x8c00), TW_OK);
        assert_int_equal(twamp_form_read_reply(f, answer, sizeof answer, &r), TW_EINVAL);
        assert_int_equal(twamp_form_write_reply(f, &r, request, sizeof request, answer), TW_OK);
        assert_int_equal(twamp_form_seal_reply(f, answer, 1, 0x8c01), TW_OK);
        assert_int_equal(twamp_form_read_reply(f, answer, sizeof answer, &r), TW_OK);
        assert_int_equal(r.sender_err_est, 0x8c00);
        twamp_form_free(f);
    }
}

/* A TTL that the reflector's system did not tell is 255; 0 is none. TOS: unknown is 0, RFC 7750. */
static void unknown_ttl_and_tos(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(securities); i++) {
        struct twamp_form *f = make(securities[i] | TWAMP_DSCP_ECN, 0);
        struct test_reply r = a_reply;
        uint8_t request[48] = { 0 }, answer[112];
        r.ttl_known = r.tos_known = false;
        assert_int_equal(twamp_form_write_reply(f, &r, request, sizeof request, answer), TW_OK);
        assert_int_equal(twamp_form_seal_reply(f, answer, 1, 1), TW_OK);
        assert_int_equal(twamp_form_read_reply(f, answer, sizeof answer, &r), TW_OK);
        assert_true(r.ttl_known && r.sender_ttl == 255 && r.tos_known && r.sender_tos == 0);
        r.sender_ttl = 0;
        assert_int_equal(twamp_form_write_reply(f, &r, request, sizeof request, answer), TW_OK);
        assert_int_equal(twamp_form_seal_reply(f, answer, 1, 1), TW_OK);
        assert_int_equal(twamp_form_read_reply(f, answer, sizeof answer, &r), TW_OK);
        assert_false(r.ttl_known);
        twamp_form_free(f);
    }
}

/* Answers of peers that make RFC 7750's field one octet are long enough with it. */
static void short_open_answers(void **state)
{
    static const struct {
        size_t len;
        bool ttl, tos;
    } rows[] = { { 36, false, false }, { 38, false, false }, { 40, false, false },
                 { 41, true, false },  { 42, true, true },   { 44, true, true } };
    struct twamp_form *f = make(TWAMP_OPEN | TWAMP_DSCP_ECN, 0);
    uint8_t *request = written_probe(f, 14), *answer = written_reply(f, request, 14);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct test_reply r;
        assert_int_equal(twamp_form_read_reply(f, answer, rows[i].len, &r), TW_OK);
        if (r.ttl_known != rows[i].ttl || r.tos_known != rows[i].tos)
            fail_msg("%zu octets: ttl %d, tos %d", rows[i].len, r.ttl_known, r.tos_known);
    }
    free(request);
    free(answer);
    twamp_form_free(f);
}

/* RFC 5357 section 4.2.1 in authenticated mode: equal numbers give equal first blocks and HMACs both ways;
 * one packet says nothing about the next, as each begins its own chain. */
static void packets_are_independent(void **state)
{
    (void)state;
    for (size_t i = 1; i < 3; i++) {
        struct twamp_form *f = make(securities[i], 0);
        uint8_t *first = written_probe(f, 48), *second = written_probe(f, 48);
        struct test_probe p;
        assert_memory_equal(first, second, 48);
        for (int n = 0; n < 3; n++)
            assert_int_equal(twamp_form_read_probe(f, first, 48, &p), TW_OK);
        free(first);
        free(second);
        twamp_form_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captures),
        cmocka_unit_test(sizes),
        cmocka_unit_test(one_octet_short),
        cmocka_unit_test(server_octets_need_room),
        cmocka_unit_test(feature_combinations),
        cmocka_unit_test(flipped_bits),
        cmocka_unit_test(other_keys),
        cmocka_unit_test(multiplier_0),
        cmocka_unit_test(unknown_ttl_and_tos),
        cmocka_unit_test(short_open_answers),
        cmocka_unit_test(packets_are_independent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
