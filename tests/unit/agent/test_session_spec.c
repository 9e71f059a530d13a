/* Sessions as the controller asks for them: what is refused and why, what becomes of each field, and whether
 * the packets are those that were asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "agent/session_spec.h"
#include "controller/core/mesh.h"

static Tw__SessionSpec good(void)
{
    Tw__SessionSpec p = TW__SESSION_SPEC__INIT;

    p.pair_id = 77;
    p.flow = 3;
    p.address = (char *)"192.0.2.1";
    p.port = 862;
    p.spacing_ns = 20 * TW_NS_PER_MS;
    p.size_bytes = 200;
    p.dscp = 46;
    p.ttl = 64;
    p.timeout_ns = TW_NS_PER_S;
    p.report_period_ns = 10 * TW_NS_PER_S;
    p.phase_ns = 5;
    return p;
}

static const struct {
    const char *name;
    Tw__Protocol protocol;
    Tw__Auth auth;
    const char *key_id, *bind;
    uint32_t tlvs, size, imix[3];
    size_t n_imix;
    const char *says; /* NULL: fine */
} rows[] = {
    { "light", 0, 0, "", "", 0, 14, { 0 }, 0, NULL },
    { "light, too small", 0, 0, "", "", 0, 13, { 0 }, 0, "size above 9000" },
    { "too large", 0, 0, "", "", 0, 9001, { 0 }, 0, "size above 9000" },
    { "light, signed", 0, 1, "k", "", 0, 200, { 0 }, 0, "kind of authentication" },
    { "light with TLVs", 0, 0, "", "", 0x10, 200, { 0 }, 0, "TLVs" },
    { "stamp", 1, 0, "", "", 0, 44, { 0 }, 0, NULL },
    { "stamp, too small", 1, 0, "", "", 0, 43, { 0 }, 0, "less than the packets need" },
    { "stamp, no room for padding", 1, 0, "", "", 0, 47, { 0 }, 0, "less than the packets need" },
    { "stamp, padding", 1, 0, "", "", 0, 48, { 0 }, 0, NULL },
    { "stamp, encrypted", 1, 2, "k", "", 0, 200, { 0 }, 0, "kind of authentication" },
    { "stamp, signed", 1, 1, "k", "", 0, 112, { 0 }, 0, NULL },
    { "stamp, signed, no key", 1, 1, "", "", 0, 112, { 0 }, 0, "without the name of a key" },
    { "stamp, HMAC TLV, no key", 1, 0, "", "", 0x100, 112, { 0 }, 0, "without the name of a key" },
    { "stamp, signed TLV", 1, 1, "k", "", 0x10, 140, { 0 }, 0, NULL }, /* 8, and 20 of the HMAC TLV */
    { "stamp, signed TLV, too small", 1, 1, "k", "", 0x10, 139, { 0 }, 0, "less than" },
    { "unknown TLV", 1, 0, "", "", 0x200, 200, { 0 }, 0, "TLVs" },
    { "padding is no TLV to ask for", 1, 0, "", "", 2, 200, { 0 }, 0, "TLVs" },
    { "twamp, open", 2, 0, "", "", 0, 14, { 0 }, 0, NULL },
    { "twamp, mixed", 2, 3, "k", "", 0, 14, { 0 }, 0, NULL },
    { "twamp, encrypted", 2, 2, "k", "", 0, 48, { 0 }, 0, NULL },
    { "twamp, encrypted, too small", 2, 2, "k", "", 0, 47, { 0 }, 0, "less than" },
    { "protocol of tomorrow", 3, 0, "", "", 0, 200, { 0 }, 0, "does not know this protocol" },
    { "auth of tomorrow", 2, 4, "k", "", 0, 200, { 0 }, 0, "kind of authentication" },
    { "auth beyond all", 2, 40, "k", "", 0, 200, { 0 }, 0, "kind of authentication" },
    { "imix", 0, 0, "", "", 0, 0, { 22, 548, 1472 }, 3, NULL },
    { "imix of two", 0, 0, "", "", 0, 0, { 22, 548 }, 2, "three sizes" },
    { "imix, too small", 1, 0, "", "", 0, 1472, { 22, 548, 1472 }, 3, "less than" },
    { "interface", 0, 0, "", "lo", 0, 200, { 0 }, 0, NULL },
    { "no such interface", 0, 0, "", "nosuch0", 0, 200, { 0 }, 0, "no such interface" },
    { "a name that no interface has", 0, 0, "", "a-name-that-no-interface-has", 0, 200, { 0 }, 0, "no such" },
    { "address", 0, 0, "", "127.0.0.1", 0, 200, { 0 }, 0, NULL },
    { "address of another family", 0, 0, "", "::1", 0, 200, { 0 }, 0, "another family" },
    { "address with a port", 0, 0, "", "127.0.0.1:9", 0, 200, { 0 }, 0, "has a port" },
    { "long key",
      1,
      1,
      "123456789 123456789 123456789 123456789 123456789 123456789 123456789 123456789 1",
      "",
      0,
      200,
      { 0 },
      0,
      "more than 80" },
};

static void refuses_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__SessionSpec p = good();
        struct session_spec s;
        uint32_t imix[3];
        const char *why;

        memcpy(imix, rows[i].imix, sizeof imix);
        p.protocol = rows[i].protocol;
        p.auth = rows[i].auth;
        p.key_id = (char *)rows[i].key_id;
        p.bind = (char *)rows[i].bind;
        p.tlvs = rows[i].tlvs;
        p.size_bytes = rows[i].size;
        p.imix_bytes = imix;
        p.n_imix_bytes = rows[i].n_imix;
        why = session_spec_read(&p, 1, &s);
        if (rows[i].says ? !why || !strstr(why, rows[i].says) : why != NULL)
            fail_msg("%s: \"%s\"", rows[i].name, why ? why : "fine");
    }
}

/* Of a host name come the port, and the family, which an address to bind to says, too. */
static void targets_by_name(void **state)
{
    static const struct {
        const char *host, *bind;
        uint32_t family;
        uint8_t becomes;
        const char *says; /* NULL: fine */
    } cases[] = {
        { "r1.example", "", 0, 0, NULL },
        { "r1.example", "", 6, 6, NULL },
        { "r1.example", "lo", 4, 4, NULL },
        { "r1.example", "127.0.0.1", 0, 4, NULL },
        { "r1.example", "127.0.0.1", 4, 4, NULL },
        { "r1.example", "127.0.0.1", 6, 0, "another family" },
        { "r1.example", "", 7, 0, "neither 4 nor 6" },
        { "r1.example", "", 256 + 4, 0, "neither 4 nor 6" },
        { "192.0.2.1", "", 0, 0, "host name is none" },
        { "r1.example:862", "", 0, 0, "host name is none" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        Tw__SessionSpec p = good();
        struct session_spec s;
        const char *why;

        p.address = (char *)"";
        p.host = (char *)cases[i].host;
        p.host_family = cases[i].family;
        p.bind = (char *)cases[i].bind;
        why = session_spec_read(&p, 1, &s);
        if (cases[i].says ? !why || !strstr(why, cases[i].says)
                          : why || !s.by_name || s.target.family != cases[i].becomes || s.target.port != 862)
            fail_msg("%s, %s: \"%s\"", cases[i].host, cases[i].bind, why ? why : "fine");
    }
}

static void every_field_arrives(void **state)
{
    Tw__SessionSpec p = good();
    uint32_t imix[] = { 200, 548, 1472 };
    struct session_spec s;

    (void)state;
    p.protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    p.auth = TW__AUTH__AUTH_AUTHENTICATED;
    p.key_id = (char *)"site";
    p.bind = (char *)"lo";
    p.tlvs = STAMP_TLV_BIT(STAMP_TLV_COS);
    p.reply_dscp = 34;
    p.df = p.zero_padding = p.reflector_stateful = true;
    p.imix_bytes = imix;
    p.n_imix_bytes = 3;
    p.spacing_kind = TW__SPACING_KIND__SPACING_EXPONENTIAL;
    assert_null(session_spec_read(&p, 9, &s));
    assert_int_equal(s.cfg.pair_id, 77);
    assert_int_equal(s.cfg.flow, 3);
    assert_int_equal(s.cfg.generation, 9);
    assert_int_equal(s.cfg.spacing_ns, 20 * TW_NS_PER_MS);
    assert_int_equal(s.cfg.spacing_kind, SESSION_EXPONENTIAL);
    assert_int_equal(s.cfg.size_bytes, 200);
    assert_int_equal(s.cfg.imix_bytes[0], 200);
    assert_int_equal(s.cfg.imix_bytes[1], 548);
    assert_int_equal(s.cfg.imix_bytes[2], 1472);
    assert_true(s.cfg.zero_padding && s.cfg.reflector_stateful && s.df);
    assert_int_equal(s.cfg.dscp, 46);
    assert_int_equal(s.cfg.timeout_ns, TW_NS_PER_S);
    assert_int_equal(s.cfg.report_period_ns, 10 * TW_NS_PER_S);
    assert_int_equal(s.cfg.phase_ns, 5);
    assert_int_equal(s.cfg.count, 0);
    assert_int_equal(s.ttl, 64);
    assert_int_equal(s.target.port, 862);
    assert_int_equal(s.bind.family, 0);
    assert_string_equal(s.interface, "lo");
    assert_string_equal(s.key_id, "site");
    assert_int_equal(s.tlvs, STAMP_TLV_BIT(STAMP_TLV_COS));
    assert_int_equal(s.reply_dscp, 34);
    assert_int_not_equal(s.ssid, 0);
    p.bind = (char *)"127.0.0.9";
    assert_null(session_spec_read(&p, 9, &s));
    assert_int_equal(s.bind.family, 4);
    assert_int_equal(s.bind.ip[3], 9);
    assert_string_equal(s.interface, "");
}

/* Whatever makes other packets, or other pacing, is worth a restart; the generation is not. */
static void what_is_worth_a_restart(void **state)
{
    uint32_t imix[] = { 14, 548, 1472 };
    Tw__SessionSpec base = good(), v[18];
    struct session_spec a, b;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(v); i++)
        v[i] = base;
    v[0].df = v[1].zero_padding = v[2].reflector_stateful = true;
    v[3].protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    v[4].bind = (char *)"lo";
    v[5].bind = (char *)"127.0.0.1";
    v[6].imix_bytes = imix;
    v[6].n_imix_bytes = 3;
    v[7].size_bytes++;
    v[8].dscp++;
    v[9].ttl++;
    v[10].port++;
    v[11].address = (char *)"192.0.2.2";
    v[12].spacing_ns++;
    v[13].timeout_ns++;
    v[14].report_period_ns++;
    v[15].phase_ns++;
    v[16].spacing_kind = TW__SPACING_KIND__SPACING_EXPONENTIAL;
    v[17].protocol = TW__PROTOCOL__PROTOCOL_TWAMP;
    assert_null(session_spec_read(&base, 1, &a));
    for (size_t i = 0; i < TW_NELEM(v); i++) {
        assert_null(session_spec_read(&v[i], 1, &b));
        if (session_spec_same(&a, &b))
            fail_msg("change %zu is not seen", i);
    }
    assert_null(session_spec_read(&base, 2, &b));
    assert_true(session_spec_same(&a, &b));

    base.protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    base.auth = TW__AUTH__AUTH_AUTHENTICATED;
    base.key_id = (char *)"k";
    base.tlvs = STAMP_TLV_BIT(STAMP_TLV_COS);
    assert_null(session_spec_read(&base, 1, &a));
    for (size_t i = 0; i < 4; i++)
        v[i] = base;
    v[0].key_id = (char *)"l";
    v[1].tlvs |= STAMP_TLV_BIT(STAMP_TLV_LOCATION);
    v[2].reply_dscp = 1;
    v[3].auth = TW__AUTH__AUTH_NONE;
    for (size_t i = 0; i < 4; i++) {
        v[i].size_bytes = base.size_bytes = 300;
        assert_null(session_spec_read(&base, 1, &a));
        assert_null(session_spec_read(&v[i], 1, &b));
        if (session_spec_same(&a, &b))
            fail_msg("change %zu of STAMP is not seen", i);
    }
}

/* The same session keeps its number over restarts; different ones seldom share one. */
static void session_ids(void **state)
{
    static uint8_t seen[65536];
    Tw__SessionSpec p = good();
    unsigned shared = 0;

    (void)state;
    p.protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    for (p.pair_id = 1; p.pair_id <= 250; p.pair_id++)
        for (p.flow = 0; p.flow < 4; p.flow++) {
            struct session_spec a, b;

            assert_null(session_spec_read(&p, 1, &a));
            assert_null(session_spec_read(&p, 2, &b));
            assert_int_equal(a.ssid, b.ssid);
            assert_int_not_equal(a.ssid, 0);
            shared += seen[a.ssid]++ != 0;
        }
    if (shared > 30) /* of 1,000 in 65,535 some 8 do by chance */
        fail_msg("%u of 1000 sessions share an SSID", shared);
    p.protocol = TW__PROTOCOL__PROTOCOL_LIGHT;
    struct session_spec light;
    assert_null(session_spec_read(&p, 1, &light));
    assert_int_equal(light.ssid, 0);
}

/* Controller and engine count the octets of a packet each for itself: they must agree, for every set of TLVs.
 */
static void the_mesh_knows_the_least_size(void **state)
{
    const struct form_key key = { (const uint8_t *)"0123456789abcdef", 16 };

    (void)state;
    for (uint32_t tlvs = 0; tlvs < STAMP_TLV_BIT(MESH_TLVS); tlvs += STAMP_TLV_BIT(MESH_TLV_LOCATION))
        for (int auth = 0; auth < 2; auth++) {
            struct mesh_class c = { .protocol = MESH_STAMP,
                                    .auth = auth ? MESH_AUTHENTICATED : MESH_AUTH_NONE };
            struct session_spec s = { .protocol = TW__PROTOCOL__PROTOCOL_STAMP,
                                      .auth = auth ? TW__AUTH__AUTH_AUTHENTICATED : TW__AUTH__AUTH_NONE,
                                      .tlvs = tlvs,
                                      .ssid = 1 };
            struct form *f;

            c.tlvs = tlvs | (auth && tlvs ? MESH_TLV_BIT(MESH_TLV_HMAC) : 0); /* as mesh_doc_class() does */
            assert_int_equal(session_spec_form(&s, &key, 1, &f), TW_OK);
            if (form_probe_min(f) != mesh_class_min_bytes(&c))
                fail_msg("TLVs 0x%x, auth %d: %zu octets, the mesh says %u", tlvs, auth, form_probe_min(f),
                         mesh_class_min_bytes(&c));
            form_free(f);
        }
}

static void forms_are_as_asked(void **state)
{
    const struct form_key key = { (const uint8_t *)"0123456789abcdef", 16 };
    Tw__SessionSpec p = good();
    struct session_spec s;
    struct form *f = NULL;
    uint8_t buf[300] = { 0 };
    struct test_probe probe = { .seq = 5, .t1 = 6, .err_est = 7 };

    (void)state;
    assert_null(session_spec_read(&p, 1, &s));
    assert_int_equal(session_spec_form(&s, NULL, 0, &f), TW_OK);
    assert_int_equal(form_kind(f), FORM_TWAMP);
    assert_int_equal(form_probe_min(f), 14);
    form_free(f);
    p.protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    p.auth = TW__AUTH__AUTH_AUTHENTICATED;
    p.key_id = (char *)"k";
    p.tlvs = STAMP_TLV_BIT(STAMP_TLV_COS);
    p.reply_dscp = 34;
    assert_null(session_spec_read(&p, 1, &s));
    assert_int_equal(session_spec_form(&s, NULL, 0, &f), TW_EINVAL); /* without a key */
    assert_int_equal(session_spec_form(&s, &key, 1, &f), TW_OK);
    probe.ssid = s.ssid;
    assert_int_equal(form_write_probe(f, &probe, buf, 200), TW_OK);
    assert_int_equal(buf[26] << 8 | buf[27], s.ssid); /* RFC 8972 figure 3 */
    assert_int_equal(buf[112], STAMP_TLV_U);
    assert_int_equal(buf[113], STAMP_TLV_COS);
    assert_int_equal(buf[116] >> 2, 34);
    assert_int_equal(buf[121], STAMP_TLV_HMAC);
    form_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_with_a_reason),         cmocka_unit_test(targets_by_name), cmocka_unit_test(every_field_arrives),
        cmocka_unit_test(what_is_worth_a_restart),       cmocka_unit_test(session_ids),
        cmocka_unit_test(the_mesh_knows_the_least_size), cmocka_unit_test(forms_are_as_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
