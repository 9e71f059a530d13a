/* A session in other clothes than TWAMP Light, sizes by mix, and outcomes of single probes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "agent/core/reflect.h"
#include "agent/core/reflect_session.h"
#include "agent/core/session.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S) /* a multiple of 10 s */

enum { CAP = 1600 };

static const struct session_cfg base = {
    .pair_id = 9,
    .spacing_ns = 100 * MS,
    .timeout_ns = 1 * S,
    .report_period_ns = 10 * S,
    .seed = 1,
};
static const struct twamp_test_keys keys = { .aes = { 1, 2, 3 }, .hmac = { 4, 5, 6 } };
static const struct twamp_test_keys other_keys = { .aes = { 1, 2, 3 }, .hmac = { 4, 5, 7 } };
static const uint8_t old_key[] = "0123456789abcdef", new_key[] = "fedcba9876543210";

/* A session with its last probe, and the answer to it. */
struct rig {
    struct session *s;
    int64_t ns; /* since the start */
    uint8_t probe[CAP], answer[CAP];
    size_t len;
    struct reflect_tx tx;
};

static struct tw_now now_of(const struct rig *g)
{
    return (struct tw_now){ { g->ns + 5 * S }, { WALL0 + g->ns } };
}

static void open_rig(struct rig *g, const struct session_cfg *cfg, struct form *f)
{
    memset(g, 0, sizeof *g);
    assert_int_equal(session_new(cfg, f, now_of(g), &g->s), TW_OK);
}

static enum tw_rc probe_at(struct rig *g, int64_t ns)
{
    g->ns = ns;
    return session_next_probe(g->s, now_of(g), g->probe, sizeof g->probe, &g->len);
}

static struct reflect_rx asked_at(int64_t ns)
{
    return (struct reflect_rx){ .from = { .ip = { 10, 0, 0, 1 }, .port = 50862, .family = 4 },
                                .to = { .ip = { 10, 0, 0, 2 }, .port = 862, .family = 4 },
                                .t2 = { WALL0 + ns },
                                .source = TW_TS_KERNEL,
                                .mono = { ns },
                                .ttl = 61,
                                .tos = 0xba };
}

/* The answer of that reflector to the last probe. */
static void reflect(struct rig *g, struct reflector *r)
{
    struct reflect_rx rx = asked_at(g->ns + 2 * MS);

    assert_int_equal(reflect_answer(r, &rx, g->probe, g->len, g->answer, CAP, &g->tx), TW_OK);
    reflect_stamp(r, &g->tx, g->answer, (struct tw_wall){ WALL0 + g->ns + 3 * MS });
}

static enum tw_rc reply_at(struct rig *g, int64_t ns)
{
    struct session_rx rx = { { WALL0 + ns }, TW_TS_KERNEL, 60, 0xb8 };

    g->ns = ns;
    return session_on_reply(g->s, now_of(g), &rx, g->answer, g->tx.len);
}

static struct session_totals totals(const struct rig *g)
{
    struct session_totals t;

    session_totals(g->s, &t);
    assert_int_equal(t.sent, t.received + t.lost + t.in_flight);
    return t;
}

static struct reflector *make_reflector(void)
{
    struct reflect_cfg cfg = { .max_sessions = 4, .refwait_ns = 900 * S, .port = 862 };
    struct reflector *r;

    assert_int_equal(reflector_new(&cfg, &r), TW_OK);
    return r;
}

static void give_keys(struct reflector *r, const uint8_t *a, const uint8_t *b)
{
    struct stamp_keys k = { 0 };

    stamp_keys_add(&k, a, 16);
    if (b)
        stamp_keys_add(&k, b, 16);
    reflector_set_keys(r, &k);
}

static struct form *twamp(uint32_t mode, uint16_t server_octets)
{
    struct form_cfg cfg = { .twamp = { .mode = mode, .keys = keys, .server_octets = server_octets } };
    struct form *f;

    assert_int_equal(form_new(&cfg, &f), TW_OK);
    return f;
}

static struct form *stamp(bool auth, const uint8_t *first, const uint8_t *second, uint32_t types)
{
    struct form_cfg cfg = { .kind = FORM_STAMP,
                            .ssid = 77,
                            .authenticated = auth,
                            .keys = { { first, 16 }, { second, 16 } },
                            .n_keys = !!first + !!second,
                            .tlvs = { .types = types, .cos_dscp = 10 } };
    struct form *f;

    assert_int_equal(form_new(&cfg, &f), TW_OK);
    return f;
}

/* ---- Sizes ---- */

static void a_probe_is_as_long_as_the_form_needs(void **state)
{
    const struct {
        const char *name;
        struct form *form;
        uint16_t size, want;
    } rows[] = {
        { "light", NULL, 0, 14 },
        { "light, larger", NULL, 100, 100 },
        { "authenticated", twamp(TWAMP_AUTHENTICATED, 0), 41, 48 },
        { "symmetrical", twamp(TWAMP_OPEN | TWAMP_SYMMETRICAL, 0), 14, 41 },
        { "server octets", twamp(TWAMP_OPEN | TWAMP_REFLECT, 0xbeef), 14, 16 },
        { "stamp", stamp(false, NULL, NULL, 0), 14, 44 },
        { "stamp, too little for a TLV", stamp(false, NULL, NULL, 0), 45, 48 },
        { "stamp, padded", stamp(false, NULL, NULL, 0), 1400, 1400 },
        { "stamp authenticated", stamp(true, old_key, NULL, 0), 44, 112 },
        { "with a TLV and its HMAC", stamp(true, old_key, NULL, STAMP_TLV_BIT(STAMP_TLV_COS)), 44, 140 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct session_cfg cfg = base;
        struct rig g;
        cfg.size_bytes = rows[i].size;
        open_rig(&g, &cfg, rows[i].form);
        assert_int_equal(probe_at(&g, 0), TW_OK);
        if (g.len != rows[i].want)
            fail_msg("%s: %zu octets", rows[i].name, g.len);
        session_free(g.s);
    }
}

static void what_cannot_be_leaves_the_form_alone(void **state)
{
    struct form *f = stamp(false, NULL, NULL, 0);
    struct session_cfg cfg = base;
    struct tw_now now = { { 0 }, { WALL0 } };
    struct session *s = NULL;

    (void)state;
    cfg.size_bytes = TEST_DATAGRAM_MAX + 1;
    assert_int_equal(session_new(&cfg, f, now, &s), TW_EINVAL);
    assert_int_equal(session_new(&cfg, NULL, now, &s), TW_EINVAL);
    cfg = base;
    cfg.imix_bytes[0] = 64; /* and nothing else */
    assert_int_equal(session_new(&cfg, f, now, &s), TW_EINVAL);
    cfg = base;
    cfg.timeout_ns = 0;
    assert_int_equal(session_new(&cfg, f, now, &s), TW_EINVAL);
    assert_null(s);
    form_free(f); /* still ours */
}

/* ---- IMIX ---- */

static void a_mix_is_exact_in_any_twelve(void **state)
{
    static const uint16_t want[12] = { 64, 570, 64, 64, 570, 64, 1500, 64, 570, 64, 570, 64 };
    struct session_cfg cfg = base;
    struct rig g;

    (void)state;
    cfg.imix_bytes[0] = 64;
    cfg.imix_bytes[1] = 570;
    cfg.imix_bytes[2] = 1500;
    cfg.seq_start = UINT32_MAX - 5; /* the number wraps in between */
    open_rig(&g, &cfg, NULL);
    for (int i = 0; i < 36; i++) {
        assert_int_equal(probe_at(&g, i * 100 * MS), TW_OK);
        assert_int_equal(g.len, want[i % 12]);
    }
    session_free(g.s);
}

static void a_mix_leaves_out_what_was_not_sent(void **state)
{
    struct session_cfg cfg = base;
    unsigned small = 0, middle = 0, large = 0;
    struct rig g;

    (void)state;
    cfg.imix_bytes[0] = 64;
    cfg.imix_bytes[1] = 570;
    cfg.imix_bytes[2] = 1500;
    open_rig(&g, &cfg, stamp(false, NULL, NULL, 0));
    for (int i = 0; small + middle + large < 120; i++) {
        assert_int_equal(probe_at(&g, i * 100 * MS), TW_OK);
        if (i % 7 == 3) {
            session_on_send_error(g.s);
            continue;
        }
        small += g.len == 64;
        middle += g.len == 570;
        large += g.len == 1500;
    }
    assert_true(small == 70 && middle == 40 && large == 10);
    session_free(g.s);
}

static void padding_by_choice(void **state)
{
    struct session_cfg cfg = base;
    struct rig g;

    (void)state;
    for (int zero = 0; zero < 2; zero++) {
        unsigned any = 0;
        cfg.size_bytes = 200;
        cfg.zero_padding = zero;
        open_rig(&g, &cfg, stamp(false, NULL, NULL, 0));
        assert_int_equal(probe_at(&g, 0), TW_OK);
        assert_int_equal(g.probe[44], STAMP_TLV_U);
        assert_int_equal(g.probe[45], STAMP_TLV_PADDING);
        for (size_t i = 48; i < 200; i++)
            any |= g.probe[i];
        assert_int_equal(any != 0, !zero);
        session_free(g.s);
    }
}

/* ---- Answers ---- */

static void the_tos_on_the_way_out_is_told(void **state)
{
    struct reflector *r = make_reflector();
    struct tw_summary sum;
    struct rig g;

    (void)state;
    open_rig(&g, &base, stamp(false, NULL, NULL, STAMP_TLV_BIT(STAMP_TLV_COS)));
    summary_init(&sum);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(probe_at(&g, i * 100 * MS), TW_OK);
        reflect(&g, r);
        assert_int_equal(reply_at(&g, i * 100 * MS + 5 * MS), TW_OK);
    }
    session_stop(g.s, now_of(&g));
    assert_int_equal(session_next_summary(g.s, now_of(&g), &sum), TW_OK);
    assert_true(sum.tos_forward.n == 3 && sum.tos_forward.min == 0xba && sum.tos_forward.max == 0xba &&
                !sum.tos_forward.changes);
    assert_int_equal(summary_validate(&sum, NULL), TW_OK);
    summary_free(&sum);
    session_free(g.s);
    reflector_free(r);
}

static void light_tells_no_tos(void **state)
{
    struct reflector *r = make_reflector();
    struct tw_summary sum;
    struct rig g;

    (void)state;
    open_rig(&g, &base, NULL);
    summary_init(&sum);
    probe_at(&g, 0);
    reflect(&g, r);
    assert_int_equal(reply_at(&g, 5 * MS), TW_OK);
    session_stop(g.s, now_of(&g));
    assert_int_equal(session_next_summary(g.s, now_of(&g), &sum), TW_OK);
    assert_true(sum.received == 1 && !sum.tos_forward.n);
    summary_free(&sum);
    session_free(g.s);
    reflector_free(r);
}

static void what_is_not_authentic_is_rejected(void **state)
{
    struct reflect_session_cfg cfg = { .form = { .mode = TWAMP_ENCRYPTED, .keys = keys },
                                       .sender = asked_at(0).from,
                                       .refwait_ns = S };
    struct reflect_session *right, *wrong;
    struct reflect_rx rx = asked_at(0);
    struct rig g;

    (void)state;
    reflect_session_new(&cfg, (struct tw_mono){ 0 }, &right);
    cfg.form.keys = other_keys;
    reflect_session_new(&cfg, (struct tw_mono){ 0 }, &wrong);
    reflect_session_start(right, (struct tw_mono){ 0 });
    reflect_session_start(wrong, (struct tw_mono){ 0 });
    open_rig(&g, &base, twamp(TWAMP_ENCRYPTED, 0));
    probe_at(&g, 0);
    assert_int_equal(reflect_session_answer(wrong, &rx, g.probe, g.len, g.answer, CAP, &g.tx), TW_EPERM);
    assert_int_equal(reflect_session_answer(right, &rx, g.probe, g.len, g.answer, CAP, &g.tx), TW_OK);
    reflect_session_stamp(right, &g.tx, g.answer, rx.t2);
    g.answer[95] ^= 1;
    assert_int_equal(reply_at(&g, 5 * MS), TW_EPERM);
    assert_true(totals(&g).rejected == 1 && totals(&g).auth_failed == 1 && totals(&g).in_flight == 1);
    g.answer[95] ^= 1;
    assert_int_equal(reply_at(&g, 6 * MS), TW_OK);
    g.tx.len = 111;
    assert_int_equal(reply_at(&g, 7 * MS), TW_ETRUNC);
    assert_true(totals(&g).rejected == 2 && totals(&g).auth_failed == 1 && totals(&g).received == 1);
    session_free(g.s);
    reflect_session_free(right);
    reflect_session_free(wrong);
}

static void another_session_is_rejected(void **state)
{
    struct reflector *r = make_reflector();
    struct rig g;

    (void)state;
    open_rig(&g, &base, stamp(false, NULL, NULL, 0));
    probe_at(&g, 0);
    reflect(&g, r);
    g.answer[15] ^= 1; /* SSID */
    assert_int_equal(reply_at(&g, 5 * MS), TW_EINVAL);
    g.answer[14] = g.answer[15] = 0; /* a reflector that knows none */
    assert_int_equal(reply_at(&g, 6 * MS), TW_OK);
    assert_true(totals(&g).rejected == 1 && totals(&g).auth_failed == 0);
    session_free(g.s);
    reflector_free(r);
}

/* ---- Keys ---- */

/* The reflector learns the new key, then the sender uses it; answers to the old one are still under way. */
static void keys_change_without_a_loss(void **state)
{
    struct reflector *r = make_reflector();
    struct rig g;

    (void)state;
    give_keys(r, old_key, NULL);
    open_rig(&g, &base, stamp(true, old_key, NULL, 0));
    probe_at(&g, 0);
    reflect(&g, r);
    assert_int_equal(reply_at(&g, 50 * MS), TW_OK);
    give_keys(r, old_key, new_key);
    probe_at(&g, 100 * MS);
    reflect(&g, r);
    assert_int_equal(session_set_form(g.s, stamp(true, new_key, old_key, 0)), TW_OK);
    assert_int_equal(reply_at(&g, 150 * MS), TW_OK);
    probe_at(&g, 200 * MS);
    give_keys(r, new_key, NULL);
    reflect(&g, r);
    assert_int_equal(reply_at(&g, 250 * MS), TW_OK);
    assert_true(totals(&g).received == 3 && totals(&g).rejected == 0);
    session_free(g.s);
    reflector_free(r);
}

static void another_size_cannot_be_taken(void **state)
{
    struct form *f = stamp(true, old_key, NULL, STAMP_TLV_BIT(STAMP_TLV_COS));
    struct rig g;

    (void)state;
    open_rig(&g, &base, stamp(true, old_key, NULL, 0));
    assert_int_equal(session_set_form(g.s, f), TW_EINVAL);
    probe_at(&g, 0);
    assert_int_equal(g.len, 112);
    form_free(f); /* still ours */
    session_free(g.s);
}

/* ---- Samples ---- */

static void every_outcome_is_a_sample(void **state)
{
    static const struct {
        enum sample_kind kind;
        uint32_t seq;
    } want[] = { { SAMPLE_RECEIVED, 0 }, { SAMPLE_DUPLICATE, 0 }, { SAMPLE_SEND_ERROR, 2 },
                 { SAMPLE_LOST, 1 },     { SAMPLE_LATE, 1 },      { SAMPLE_LOST, 2 } };
    struct reflector *r = make_reflector();
    struct session_cfg cfg = base;
    struct session_sample m;
    struct tw_summary sum;
    struct rig g, late;

    (void)state;
    cfg.samples = 10;
    cfg.size_bytes = 60;
    open_rig(&g, &cfg, stamp(false, NULL, NULL, STAMP_TLV_BIT(STAMP_TLV_COS)));
    assert_int_equal(session_next_sample(g.s, &m), TW_EAGAIN);
    probe_at(&g, 0);
    reflect(&g, r);
    reply_at(&g, 10 * MS);
    reply_at(&g, 11 * MS);
    probe_at(&g, 100 * MS);
    reflect(&g, r);
    late = g;
    probe_at(&g, 200 * MS);
    session_on_send_error(g.s);
    probe_at(&g, 300 * MS);
    memcpy(g.answer, late.answer, CAP);
    g.tx = late.tx;
    session_stop(g.s, (struct tw_now){ { 5 * S + 301 * MS }, { WALL0 + 301 * MS } });
    assert_int_equal(reply_at(&g, 1200 * MS), TW_OK);
    g.ns = 1300 * MS;
    summary_init(&sum);
    session_next_summary(g.s, now_of(&g), &sum);
    summary_free(&sum);
    for (size_t i = 0; i < TW_NELEM(want); i++) {
        assert_int_equal(session_next_sample(g.s, &m), TW_OK);
        if (m.kind != want[i].kind || m.seq != want[i].seq || m.size_bytes != 60)
            fail_msg("sample %zu: kind %d of probe %u, %u octets", i, (int)m.kind, m.seq, m.size_bytes);
        assert_int_equal(m.t4.ns != 0, m.kind != SAMPLE_LOST && m.kind != SAMPLE_SEND_ERROR);
        assert_int_equal(m.timed, m.t4.ns != 0);
    }
    assert_int_equal(session_next_sample(g.s, &m), TW_EAGAIN);
    assert_int_equal(session_samples_lost(g.s), 0);
    session_free(g.s);
    reflector_free(r);
}

static void a_sample_tells_everything(void **state)
{
    struct reflector *r = make_reflector();
    struct session_cfg cfg = base;
    struct session_sample m;
    struct rig g;

    (void)state;
    cfg.samples = 1;
    open_rig(&g, &cfg, stamp(false, NULL, NULL, STAMP_TLV_BIT(STAMP_TLV_COS)));
    probe_at(&g, 0);
    reflect(&g, r);
    reply_at(&g, 10 * MS);
    assert_int_equal(session_next_sample(g.s, &m), TW_OK);
    assert_true(m.t1.ns == WALL0 && m.t2.ns == WALL0 + 2 * MS && m.t3.ns == WALL0 + 3 * MS &&
                m.t4.ns == WALL0 + 10 * MS);
    assert_true(m.timed && m.forward_ns == 2 * MS && m.backward_ns == 7 * MS);
    assert_true(m.ttl_forward == 61 && m.ttl_backward == 60 && m.tos_forward == 0xba &&
                m.tos_backward == 0xb8);
    assert_true(m.size_bytes == 52 && m.reply_bytes == 52 && m.ssid == 77 && m.reflector_seq == 0 &&
                m.err_est == 1);
    assert_int_equal(m.tlvs.answered, STAMP_TLV_BIT(STAMP_TLV_COS));
    session_free(g.s);
    reflector_free(r);
}

static void samples_that_nobody_takes(void **state)
{
    struct session_cfg cfg = base;
    struct session_sample m;
    struct rig g;

    (void)state;
    cfg.samples = 3;
    open_rig(&g, &cfg, NULL);
    for (int i = 0; i < 8; i++) {
        probe_at(&g, i * 100 * MS);
        session_on_send_error(g.s);
        if (i == 1)
            assert_int_equal(session_next_sample(g.s, &m), TW_OK);
    }
    assert_int_equal(session_samples_lost(g.s), 4);
    for (int i = 5; i < 8; i++) {
        assert_int_equal(session_next_sample(g.s, &m), TW_OK);
        assert_int_equal(m.t1.ns, WALL0 + i * 100 * MS);
    }
    assert_int_equal(session_next_sample(g.s, &m), TW_EAGAIN);
    session_free(g.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_is_as_long_as_the_form_needs),
        cmocka_unit_test(what_cannot_be_leaves_the_form_alone),
        cmocka_unit_test(a_mix_is_exact_in_any_twelve),
        cmocka_unit_test(a_mix_leaves_out_what_was_not_sent),
        cmocka_unit_test(padding_by_choice),
        cmocka_unit_test(the_tos_on_the_way_out_is_told),
        cmocka_unit_test(light_tells_no_tos),
        cmocka_unit_test(what_is_not_authentic_is_rejected),
        cmocka_unit_test(another_session_is_rejected),
        cmocka_unit_test(keys_change_without_a_loss),
        cmocka_unit_test(another_size_cannot_be_taken),
        cmocka_unit_test(every_outcome_is_a_sample),
        cmocka_unit_test(a_sample_tells_everything),
        cmocka_unit_test(samples_that_nobody_takes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
