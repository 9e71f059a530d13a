/* The reflector for everybody, asked by STAMP senders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "agent/core/form.h"
#include "agent/core/reflect.h"

#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424684) * S)

enum { CAP = 512 };

static const uint8_t key_a[] = "0123456789abcdef", key_b[] = "another key", key_c[] = "nobody's";

/* A reflector, and the last exchange with it. */
struct rig {
    struct reflector *r;
    struct reflect_rx rx;
    struct reflect_tx tx;
    uint8_t probe[CAP], answer[CAP];
    struct test_reply got;
    struct stamp_tlv_seen seen;
};

static void set_keys(struct rig *g, const uint8_t *first, const uint8_t *second)
{
    struct stamp_keys keys = { 0 };

    assert_int_equal(stamp_keys_add(&keys, first, strlen((const char *)first)), TW_OK);
    if (second)
        assert_int_equal(stamp_keys_add(&keys, second, strlen((const char *)second)), TW_OK);
    reflector_set_keys(g->r, &keys);
    assert_int_equal(keys.n, 0);
}

static void open_rig(struct rig *g, const struct reflect_cfg *more)
{
    struct reflect_cfg cfg = {
        .max_sessions = 8, .refwait_ns = 900 * S, .restart_gap_ns = 3 * S, .port = 862
    };

    memset(g, 0, sizeof *g);
    if (more) {
        cfg.stateless = more->stateless;
        cfg.demand_auth = more->demand_auth;
        cfg.refuse_dscp = more->refuse_dscp;
        if (more->max_sessions)
            cfg.max_sessions = more->max_sessions;
    }
    assert_int_equal(reflector_new(&cfg, &g->r), TW_OK);
    g->rx = (struct reflect_rx){ .from = { .ip = { 10, 0, 0, 1 }, .port = 50862, .family = 4 },
                                 .to = { .ip = { 10, 0, 0, 2 }, .port = 862, .family = 4 },
                                 .t2 = { WALL0 },
                                 .source = TW_TS_KERNEL,
                                 .ttl = 61,
                                 .tos = 0xba };
}

static struct reflect_counters counters(const struct rig *g)
{
    struct reflect_counters n;

    reflector_counters(g->r, &n);
    return n;
}

static struct form *stamp_form(uint16_t ssid, bool auth, const uint8_t *key, struct stamp_tlv_want tlvs)
{
    struct form_cfg cfg = { .kind = FORM_STAMP, .ssid = ssid, .authenticated = auth, .tlvs = tlvs };
    struct form *f;

    if (key) {
        cfg.keys[0] = (struct form_key){ key, strlen((const char *)key) };
        cfg.n_keys = 1;
    }
    assert_int_equal(form_new(&cfg, &f), TW_OK);
    return f;
}

/* Hands in what is in g->probe; on TW_OK the answer is stamped. */
static enum tw_rc ask(struct rig *g, size_t len)
{
    enum tw_rc rc;

    memset(g->answer, 0xee, sizeof g->answer);
    rc = reflect_answer(g->r, &g->rx, g->probe, len, g->answer, sizeof g->answer, &g->tx);
    if (rc)
        return rc;
    assert_int_equal(g->tx.len, len < 41 ? 41 : len);
    reflect_stamp(g->r, &g->tx, g->answer, (struct tw_wall){ WALL0 + 7 });
    assert_int_equal(g->answer[g->tx.len], 0xee);
    return TW_OK;
}

/* A probe of that form, and its answer read by it. */
static enum tw_rc ask_form(struct rig *g, struct form *f, uint32_t seq, size_t len)
{
    const struct test_probe p = { .seq = seq, .t1 = 0x1122334455667788, .err_est = 1 };
    enum tw_rc rc;

    memset(g->probe, 0x5a, sizeof g->probe);
    assert_int_equal(form_write_probe(f, &p, g->probe, len), TW_OK);
    rc = ask(g, len);
    if (rc)
        return rc;
    assert_int_equal(form_read_reply(f, g->answer, g->tx.len, &g->got, &g->seen), TW_OK);
    assert_true(g->got.sender_seq == seq && g->got.sender_t1 == p.t1 && g->got.sender_err_est == 1 &&
                g->got.ttl_known && g->got.sender_ttl == 61);
    assert_int_equal(g->got.t2, tw_wall_to_ntp(g->rx.t2));
    assert_int_equal(g->got.t3, tw_wall_to_ntp((struct tw_wall){ WALL0 + 7 }));
    return TW_OK;
}

/* ---- Which rule ---- */

static void light_and_stamp_share_the_port(void **state)
{
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    memset(g.probe, 0x77, 100); /* padding from 14 on: TWAMP Light */
    assert_int_equal(ask(&g, 100), TW_OK);
    assert_int_equal(g.answer[14] | g.answer[15], 0);
    assert_memory_equal(g.answer + 41, g.probe + 14, 100 - 41);
    memset(g.probe + 16, 0, 28); /* STAMP: SSID copied, what follows stays where it is */
    assert_int_equal(ask(&g, 100), TW_OK);
    assert_int_equal(g.answer[14], 0x77);
    assert_int_equal(g.answer[41] | g.answer[42] | g.answer[43], 0);
    assert_true(counters(&g).answered == 2 && counters(&g).answered_stamp == 1);
    reflector_free(g.r);
}

/* TWAMP Light with zeros as padding cannot be told from STAMP, and need not be. */
static void zero_padding_is_both(void **state)
{
    static const size_t rows[] = { 44, 45, 47, 48, 100 };
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        memset(g.probe, 0, sizeof g.probe);
        g.probe[7] = g.probe[13] = 1;
        assert_int_equal(ask(&g, rows[i]), TW_OK);
        for (size_t at = 41; at < rows[i]; at++)
            assert_int_equal(g.answer[at], 0);
        assert_int_equal(g.answer[14] | g.answer[15], 0);
    }
    assert_int_equal(counters(&g).auth_failed, 0);
    reflector_free(g.r);
}

static void what_is_no_tlv_is_copied(void **state)
{
    struct form *f = stamp_form(0, false, NULL, (struct stamp_tlv_want){ 0 });
    const struct test_probe p = { .seq = 1, .t1 = 2, .err_est = 3 };
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    assert_int_equal(form_write_probe(f, &p, g.probe, 44), TW_OK);
    for (size_t i = 0; i < 100; i++)
        g.probe[44 + i] = (uint8_t)i; /* 0 first */
    g.probe[45] = 0;
    assert_int_equal(ask(&g, 144), TW_OK);
    assert_memory_equal(g.answer + 44, g.probe + 44, 100);
    assert_int_equal(ask(&g, 46), TW_OK); /* too short for a TLV */
    assert_memory_equal(g.answer + 44, g.probe + 44, 2);
    form_free(f);
    reflector_free(g.r);
}

/* ---- Sessions ---- */

static void ssid_is_part_of_the_session(void **state)
{
    struct form *one = stamp_form(0x1201, false, NULL, (struct stamp_tlv_want){ 0 });
    struct form *two = stamp_form(0x1202, false, NULL, (struct stamp_tlv_want){ 0 });
    struct form *none = stamp_form(0, false, NULL, (struct stamp_tlv_want){ 0 });
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    for (uint32_t i = 0; i < 3; i++) {
        ask_form(&g, one, 50 + i, 44);
        assert_true(g.got.seq == i && g.got.ssid == 0x1201);
        ask_form(&g, two, 60 + i, 44);
        assert_true(g.got.seq == i && g.got.ssid == 0x1202);
        ask_form(&g, none, 70 + i, 44);
        assert_true(g.got.seq == i && g.got.ssid == 0);
    }
    assert_int_equal(counters(&g).sessions, 3);
    form_free(one);
    form_free(two);
    form_free(none);
    reflector_free(g.r);
}

static void stateless_answers_carry_the_senders_number(void **state)
{
    struct form *f = stamp_form(7, false, NULL,
                                (struct stamp_tlv_want){ .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) |
                                                                  STAMP_TLV_BIT(STAMP_TLV_DIRECT) });
    struct rig g;

    (void)state;
    open_rig(&g, &(struct reflect_cfg){ .stateless = true });
    ask_form(&g, f, 50, form_probe_min(f));
    assert_int_equal(g.got.seq, 50);
    assert_false(g.tx.want_txstamp);
    reflect_on_txstamp(g.r, &g.tx, (struct tw_wall){ WALL0 }, TW_TS_KERNEL);
    reflect_unsent(g.r, &g.tx);
    ask_form(&g, f, 77, form_probe_min(f));
    assert_int_equal(g.got.seq, 77);
    assert_false(g.seen.follow_up); /* RFC 8972 section 4.7: zeros */
    assert_true(g.seen.direct_rx == 2 && g.seen.direct_reflected == 1);
    form_free(f);
    reflector_free(g.r);
}

/* ---- Authentication ---- */

static void answered_with_the_key_that_it_was_asked_with(void **state)
{
    struct form *a = stamp_form(1, true, key_a, (struct stamp_tlv_want){ 0 });
    struct form *b = stamp_form(2, true, key_b, (struct stamp_tlv_want){ 0 });
    struct form *c = stamp_form(3, true, key_c, (struct stamp_tlv_want){ 0 });
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    assert_int_equal(ask_form(&g, a, 0, 112), TW_EPERM); /* there are no keys */
    set_keys(&g, key_a, key_b);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(ask_form(&g, a, i, 112), TW_OK);
        assert_int_equal(g.got.seq, i);
        assert_int_equal(ask_form(&g, b, i, 112), TW_OK);
        assert_int_equal(g.got.seq, i);
    }
    assert_int_equal(ask_form(&g, c, 0, 112), TW_EPERM);
    assert_true(counters(&g).auth_failed == 2 && counters(&g).answered_auth == 6 &&
                counters(&g).answered_stamp == 6);
    assert_int_equal(counters(&g).sessions, 2); /* nobody is remembered who has not proved himself */
    form_free(a);
    form_free(b);
    form_free(c);
    reflector_free(g.r);
}

/* A packet without proof in the name of a session that has proved itself does not take its numbers. */
static void nobody_counts_in_its_name(void **state)
{
    struct form *a = stamp_form(1, true, key_a, (struct stamp_tlv_want){ 0 });
    struct form *open = stamp_form(1, false, NULL, (struct stamp_tlv_want){ 0 });
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    set_keys(&g, key_a, NULL);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(ask_form(&g, a, i, 112), TW_OK);
        assert_int_equal(g.got.seq, i);
        assert_int_equal(ask_form(&g, open, i, 44), TW_OK);
        assert_int_equal(g.got.seq, i);
    }
    form_free(a);
    form_free(open);
    reflector_free(g.r);
}

/* Keys change places, and sessions go on. */
static void keys_may_change(void **state)
{
    struct form *a = stamp_form(1, true, key_a, (struct stamp_tlv_want){ 0 });
    struct form *b = stamp_form(1, true, key_b, (struct stamp_tlv_want){ 0 });
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    set_keys(&g, key_a, NULL);
    assert_int_equal(ask_form(&g, a, 0, 112), TW_OK);
    set_keys(&g, key_b, key_a);
    assert_int_equal(ask_form(&g, a, 1, 112), TW_OK);
    assert_int_equal(ask_form(&g, b, 2, 112), TW_OK);
    set_keys(&g, key_b, NULL);
    assert_int_equal(ask_form(&g, b, 3, 112), TW_OK);
    assert_int_equal(g.got.seq, 3);
    assert_int_equal(ask_form(&g, a, 4, 112), TW_EPERM);
    form_free(a);
    form_free(b);
    reflector_free(g.r);
}

/* Every octet of the base packet is protected; who demands authentication answers nothing that has been
 * touched, even where the change makes it look like another kind of packet. */
static void nothing_forged_is_answered(void **state)
{
    struct form *a = stamp_form(1, true, key_a, (struct stamp_tlv_want){ 0 });
    struct form *open = stamp_form(1, false, NULL, (struct stamp_tlv_want){ 0 });
    struct reflect_counters n;
    struct rig g;

    (void)state;
    open_rig(&g, &(struct reflect_cfg){ .demand_auth = true });
    set_keys(&g, key_a, NULL);
    assert_int_equal(ask_form(&g, a, 5, 112), TW_OK);
    for (size_t i = 0; i < 112; i++) {
        g.probe[i] ^= 1;
        assert_int_equal(ask(&g, 112), TW_EPERM);
        g.probe[i] ^= 1;
    }
    assert_int_equal(ask(&g, 111), TW_EPERM);
    assert_int_equal(ask_form(&g, open, 5, 44), TW_EPERM);
    n = counters(&g);
    assert_true(n.auth_demanded == 12 + 2 && n.auth_failed == 100 && n.answered == 1 && n.sessions == 1);
    form_free(a);
    form_free(open);
    reflector_free(g.r);
}

static void corrupt_error_estimate(void **state)
{
    struct form *forms[] = { stamp_form(1, false, NULL, (struct stamp_tlv_want){ 0 }),
                             stamp_form(1, true, key_a, (struct stamp_tlv_want){ 0 }) };
    const struct test_probe p = { .seq = 1, .t1 = 2, .err_est = 0x8000 };
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    set_keys(&g, key_a, NULL);
    for (size_t i = 0; i < TW_NELEM(forms); i++) {
        form_write_probe(forms[i], &p, g.probe, form_probe_min(forms[i]));
        assert_int_equal(ask(&g, form_probe_min(forms[i])), TW_EINVAL);
        form_free(forms[i]);
    }
    assert_int_equal(counters(&g).bad_error_estimate, TW_NELEM(forms));
    reflector_free(g.r);
}

/* ---- TLVs ---- */

#define ALL_TLVS (STAMP_TLV_BIT(STAMP_TLV_HMAC + 1) - STAMP_TLV_BIT(STAMP_TLV_LOCATION))
static const struct stamp_tlv_want everything = {
    .types = ALL_TLVS, .cos_dscp = 10, .access_id = 1, .access_code = 2
};

static void every_tlv_is_answered(void **state)
{
    static const struct tw_clock_state synced = { .synced = true };
    struct rig g;

    (void)state;
    for (int auth = 0; auth < 2; auth++) {
        struct form *f = stamp_form(9, auth, key_a, everything);
        size_t len = form_probe_min(f) + 60;
        open_rig(&g, NULL);
        set_keys(&g, key_b, key_a);
        reflector_set_clock(g.r, &synced);
        assert_int_equal(ask_form(&g, f, 20, len), TW_OK);
        assert_int_equal(g.seen.answered, ALL_TLVS | STAMP_TLV_BIT(STAMP_TLV_PADDING));
        assert_false(g.seen.malformed || g.seen.integrity || g.seen.unrecognised);
        assert_memory_equal(&g.seen.location_source, &g.rx.from, sizeof g.rx.from);
        assert_memory_equal(&g.seen.location_target, &g.rx.to, sizeof g.rx.to);
        assert_true(g.seen.sync_in == STAMP_SYNC_NTP && g.seen.method_in == STAMP_TS_SOFTWARE &&
                    g.seen.method_out == STAMP_TS_SOFTWARE);
        assert_true(g.seen.cos_dscp == 0xba >> 2 && g.seen.cos_ecn == 2 && !g.seen.cos_refused);
        assert_int_equal(g.tx.tos, 10 << 2);
        assert_true(g.got.tos_known && g.got.sender_tos == 0xba);
        assert_true(g.seen.direct_rx == 1 && g.seen.direct_reflected == 1);
        assert_true(g.seen.access_id == 1 && g.seen.access_code == 2);
        assert_true(g.tx.want_txstamp && !g.seen.follow_up);
        assert_memory_equal(g.answer + len - 50, g.probe + len - 50, 50);
        form_free(f);
        reflector_free(g.r);
    }
}

static void wished_dscp_may_be_refused(void **state)
{
    struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_COS), .cos_dscp = 10 };
    struct form *f = stamp_form(9, false, NULL, want);
    struct rig g;

    (void)state;
    open_rig(&g, &(struct reflect_cfg){ .refuse_dscp = true });
    ask_form(&g, f, 0, form_probe_min(f));
    assert_true(g.seen.cos_refused);
    assert_int_equal(g.tx.tos, 0xb8); /* as received, ECN 0 */
    form_free(f);
    reflector_free(g.r);
}

static void direct_measurement_counts(void **state)
{
    struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_DIRECT) };
    struct form *f = stamp_form(9, false, NULL, want);
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    ask_form(&g, f, 0, form_probe_min(f));
    ask_form(&g, f, 3, form_probe_min(f)); /* two were lost on the way */
    assert_true(g.seen.direct_tx == 4 && g.seen.direct_rx == 2 && g.seen.direct_reflected == 2);
    reflect_unsent(g.r, &g.tx);
    ask_form(&g, f, 4, form_probe_min(f));
    assert_true(g.seen.direct_tx == 5 && g.seen.direct_rx == 3 && g.seen.direct_reflected == 2);
    assert_int_equal(g.got.seq, 1);
    g.rx.mono.ns += 901 * S; /* forgotten: all begins anew */
    ask_form(&g, f, 5, form_probe_min(f));
    assert_true(g.seen.direct_rx == 1 && g.seen.direct_reflected == 1 && g.got.seq == 0);
    form_free(f);
    reflector_free(g.r);
}

static void follow_up_tells_when_the_last_answer_left(void **state)
{
    struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct form *f = stamp_form(9, false, NULL, want);
    size_t len = form_probe_min(f);
    struct reflect_tx first, second;
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    ask_form(&g, f, 0, len);
    assert_true(g.tx.want_txstamp && !g.seen.follow_up);
    first = g.tx;
    ask_form(&g, f, 1, len); /* the kernel has not told yet */
    assert_false(g.seen.follow_up);
    second = g.tx;
    reflect_on_txstamp(g.r, &second, (struct tw_wall){ WALL0 + 20 }, TW_TS_HARDWARE);
    reflect_on_txstamp(g.r, &first, (struct tw_wall){ WALL0 + 10 }, TW_TS_KERNEL); /* overtaken */
    ask_form(&g, f, 2, len);
    assert_true(g.seen.follow_up && g.seen.follow_up_seq == 1 &&
                g.seen.follow_up_method == STAMP_TS_HARDWARE);
    assert_int_equal(g.seen.follow_up_time, tw_wall_to_ntp((struct tw_wall){ WALL0 + 20 }));
    g.rx.mono.ns += 901 * S; /* the count begins anew: what came before is no more known */
    ask_form(&g, f, 3, len);
    assert_false(g.seen.follow_up);
    reflect_on_txstamp(g.r, &second, (struct tw_wall){ WALL0 + 30 }, TW_TS_KERNEL);
    ask_form(&g, f, 4, len);
    assert_false(g.seen.follow_up);
    form_free(f);
    reflector_free(g.r);
}

/* The entry has another owner when the news comes. */
static void news_of_a_forgotten_sender(void **state)
{
    struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct form *f = stamp_form(9, false, NULL, want);
    struct reflect_tx old;
    struct rig g;

    (void)state;
    open_rig(&g, &(struct reflect_cfg){ .max_sessions = 1 });
    ask_form(&g, f, 0, form_probe_min(f));
    old = g.tx;
    g.rx.mono.ns += 901 * S;
    g.rx.from.port++;
    ask_form(&g, f, 0, form_probe_min(f));
    assert_int_equal(g.tx.session, old.session);
    reflect_on_txstamp(g.r, &old, (struct tw_wall){ WALL0 }, TW_TS_KERNEL);
    reflect_unsent(g.r, &old);
    ask_form(&g, f, 1, form_probe_min(f));
    assert_true(!g.seen.follow_up && g.got.seq == 1);
    g.rx.from.port++; /* no room for this one: answered without state */
    ask_form(&g, f, 44, form_probe_min(f));
    assert_true(g.got.seq == 44 && !g.tx.want_txstamp && !g.tx.session);
    assert_int_equal(counters(&g).stateless, 1);
    form_free(f);
    reflector_free(g.r);
}

static void hmac_tlv_of_an_open_packet(void **state)
{
    struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_DIRECT) | STAMP_TLV_BIT(STAMP_TLV_HMAC) };
    struct form *a = stamp_form(9, false, key_a, want), *c = stamp_form(8, false, key_c, want);
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    ask_form(&g, a, 0, form_probe_min(a)); /* a reflector without keys does not know of HMAC TLVs */
    assert_true(g.seen.integrity);         /* says the sender, who asked for one */
    set_keys(&g, key_b, key_a);
    for (uint32_t i = 1; i < 4; i++) { /* the key that was right is tried first from then on */
        ask_form(&g, a, i, form_probe_min(a));
        assert_false(g.seen.integrity);
        assert_int_equal(g.seen.answered, want.types);
    }
    assert_int_equal(counters(&g).tlv_auth_failed, 0);
    ask_form(&g, c, 0, form_probe_min(c)); /* answered, flagged and counted */
    assert_true(g.seen.integrity);
    assert_true(g.answer[44] & STAMP_TLV_I);
    assert_true(counters(&g).tlv_auth_failed == 1 && counters(&g).auth_failed == 0);
    form_free(a);
    form_free(c);
    reflector_free(g.r);
}

static void authenticated_tlvs_need_an_hmac(void **state)
{
    struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_DIRECT) };
    struct form *f = stamp_form(9, true, key_a, want); /* adds one */
    struct rig g;

    (void)state;
    open_rig(&g, NULL);
    set_keys(&g, key_a, NULL);
    ask_form(&g, f, 0, form_probe_min(f));
    assert_false(g.seen.integrity);
    assert_int_equal(ask(&g, 112 + 16), TW_OK); /* cut off */
    assert_int_equal(g.answer[112], STAMP_TLV_U | STAMP_TLV_I);
    assert_true(counters(&g).tlv_auth_failed == 1 && counters(&g).auth_failed == 0 &&
                counters(&g).answered == 2);
    form_free(f);
    reflector_free(g.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(light_and_stamp_share_the_port),
        cmocka_unit_test(zero_padding_is_both),
        cmocka_unit_test(what_is_no_tlv_is_copied),
        cmocka_unit_test(ssid_is_part_of_the_session),
        cmocka_unit_test(stateless_answers_carry_the_senders_number),
        cmocka_unit_test(answered_with_the_key_that_it_was_asked_with),
        cmocka_unit_test(nobody_counts_in_its_name),
        cmocka_unit_test(keys_may_change),
        cmocka_unit_test(nothing_forged_is_answered),
        cmocka_unit_test(corrupt_error_estimate),
        cmocka_unit_test(every_tlv_is_answered),
        cmocka_unit_test(wished_dscp_may_be_refused),
        cmocka_unit_test(direct_measurement_counts),
        cmocka_unit_test(follow_up_tells_when_the_last_answer_left),
        cmocka_unit_test(news_of_a_forgotten_sender),
        cmocka_unit_test(hmac_tlv_of_an_open_packet),
        cmocka_unit_test(authenticated_tlvs_need_an_hmac),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
