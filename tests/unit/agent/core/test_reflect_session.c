#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include "agent/core/reflect_session.h"

#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S)
#define ANSWER_CAP 1500

static const struct twamp_test_keys keys = { .aes = { 1, 2, 3 }, .hmac = { 4, 5, 6 } };
static const struct tw_addr sender = { .ip = { 10, 0, 0, 1 }, .port = 19300, .family = 4 };

static struct reflect_session_cfg cfg_of(uint32_t mode)
{
    return (struct reflect_session_cfg){ .form = { .mode = mode, .keys = keys },
                                         .sender = sender,
                                         .dscp = 46,
                                         .refwait_ns = 900 * S,
                                         .timeout_ns = 2 * S };
}

/* A session that has been started at 0, the other end's form, and the last answer. */
struct rig {
    struct reflect_session *s;
    struct twamp_form *peer;
    struct reflect_rx rx;
    struct reflect_tx tx;
    uint8_t probe[ANSWER_CAP], answer[ANSWER_CAP];
    struct test_reply got;
};

static void open_rig(struct rig *r, const struct reflect_session_cfg *cfg)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(reflect_session_new(cfg, (struct tw_mono){ 0 }, &r->s), TW_OK);
    assert_int_equal(twamp_form_new(&cfg->form, &r->peer), TW_OK);
    r->rx = (struct reflect_rx){ .from = cfg->sender, .t2 = { WALL0 }, .ttl = 61, .tos = 0xba };
}

static void close_rig(struct rig *r)
{
    reflect_session_free(r->s);
    twamp_form_free(r->peer);
}

static void write_probe(struct rig *r, uint32_t seq, size_t len)
{
    const struct test_probe p = { .seq = seq, .t1 = 0x1122334455667788, .err_est = 0x0001 };

    for (size_t i = 0; i < len; i++)
        r->probe[i] = (uint8_t)(i * 7 + 1);
    assert_int_equal(twamp_form_write_probe(r->peer, &p, r->probe, len), TW_OK);
}

/* Hands in what is in r->probe at that time. */
static enum tw_rc ask(struct rig *r, int64_t at_ns, size_t len)
{
    r->rx.mono.ns = at_ns;
    memset(r->answer, 0xee, sizeof r->answer);
    return reflect_session_answer(r->s, &r->rx, r->probe, len, r->answer, sizeof r->answer, &r->tx);
}

/* -1: refused, else the number of the answer. */
static int64_t number(struct rig *r, int64_t at_ns, uint32_t seq)
{
    size_t len = twamp_form_reply_min(r->peer);

    write_probe(r, seq, len);
    if (ask(r, at_ns, len))
        return -1;
    reflect_session_stamp(r->s, &r->tx, r->answer, (struct tw_wall){ WALL0 + 7 });
    assert_int_equal(twamp_form_read_reply(r->peer, r->answer, r->tx.len, &r->got), TW_OK);
    return r->got.seq;
}

/* ---- In every mode ---- */

/* RFC 8186: the format that was agreed, and the Z bit says so. */
static void check_times(const struct rig *r, bool ptp)
{
    const struct tw_wall t3 = { WALL0 + 7 };

    assert_int_equal(r->got.t2, ptp ? UINT64_C(1795424480) << 32 : tw_wall_to_ntp(r->rx.t2));
    assert_int_equal(r->got.t3, ptp ? UINT64_C(1795424480) << 32 | 7 : tw_wall_to_ntp(t3));
    assert_int_equal(r->got.err_est, ptp ? 0x4001 : 0x0001);
}

static void answers_in_every_mode(void **state)
{
    static const uint32_t security[] = { TWAMP_OPEN, TWAMP_AUTHENTICATED, TWAMP_ENCRYPTED, TWAMP_MIXED };
    static const uint32_t features[] = { 0,         TWAMP_REFLECT, TWAMP_SYMMETRICAL, TWAMP_DSCP_ECN,
                                         TWAMP_PTP, TWAMP_FEATURES };
    struct rig r;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(security); i++)
        for (size_t k = 0; k < TW_NELEM(features); k++) {
            struct reflect_session_cfg cfg = cfg_of(security[i] | features[k]);
            size_t min, reply_min, len;
            open_rig(&r, &cfg);
            reflect_session_start(r.s, (struct tw_mono){ 0 });
            min = twamp_form_probe_min(r.peer);
            reply_min = twamp_form_reply_min(r.peer);
            assert_int_equal(number(&r, S, 100), 0);
            assert_int_equal(number(&r, S, 101), 1);
            assert_true(r.got.sender_seq == 101 && r.got.sender_t1 == 0x1122334455667788 &&
                        r.got.sender_err_est == 1 && r.got.ttl_known && r.got.sender_ttl == 61);
            check_times(&r, cfg.form.mode & TWAMP_PTP);
            assert_int_equal(r.got.tos_known, !!(features[k] & TWAMP_DSCP_ECN));
            assert_int_equal(r.got.sender_tos, r.got.tos_known ? 0xba : 0);
            assert_int_equal(r.tx.tos, 46 << 2);
            assert_false(r.tx.want_txstamp);
            /* As long as the request, its padding from the start; the shortest one, too. */
            for (len = min; len < 400; len += 177) {
                write_probe(&r, 7, len);
                assert_int_equal(ask(&r, S, len), TW_OK);
                assert_int_equal(r.tx.len, len < reply_min ? reply_min : len);
                if (r.tx.len > reply_min)
                    assert_memory_equal(r.answer + reply_min, r.probe + min, r.tx.len - reply_min);
                assert_int_equal(r.answer[r.tx.len], 0xee);
            }
            close_rig(&r);
        }
}

static void clock_goes_into_the_error_estimate(void **state)
{
    static const struct tw_clock_state clock = { .synced = true, .max_error_ns = 1000000 };
    static const uint32_t modes[] = { TWAMP_ENCRYPTED, TWAMP_ENCRYPTED | TWAMP_PTP };

    (void)state;
    for (int ptp = 0; ptp < 2; ptp++) {
        struct reflect_session_cfg cfg = cfg_of(modes[ptp]);
        struct rig r;
        open_rig(&r, &cfg);
        reflect_session_start(r.s, (struct tw_mono){ 0 });
        number(&r, 0, 0);
        assert_int_equal(r.got.err_est, tw_errest_encode(0, false, ptp));
        reflect_session_set_clock(r.s, &clock);
        number(&r, 0, 1);
        assert_int_equal(r.got.err_est, tw_errest_encode(1000000, true, ptp));
        close_rig(&r);
    }
}

/* ---- Who may ask, and when ---- */

static void only_its_sender(void **state)
{
    static const struct tw_addr rows[] = {
        { .ip = { 10, 0, 0, 2 }, .port = 19300, .family = 4 },
        { .ip = { 10, 0, 0, 1 }, .port = 19301, .family = 4 },
        { .ip = { 10, 0, 0, 1 }, .port = 19300, .family = 6 },
    };
    struct reflect_session_cfg cfg = cfg_of(TWAMP_OPEN);
    struct reflect_counters n;
    struct rig r;

    (void)state;
    open_rig(&r, &cfg);
    reflect_session_start(r.s, (struct tw_mono){ 0 });
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        r.rx.from = rows[i];
        assert_int_equal(number(&r, 0, 0), -1);
    }
    r.rx.from = sender;
    assert_int_equal(number(&r, 0, 0), 0);
    reflect_session_counters(r.s, &n);
    assert_true(n.foreign == TW_NELEM(rows) && n.answered == 1);
    close_rig(&r);
}

static void only_between_start_and_stop(void **state)
{
    struct reflect_session_cfg cfg = cfg_of(TWAMP_OPEN);
    struct reflect_counters n;
    struct rig r;

    (void)state;
    open_rig(&r, &cfg);
    assert_int_equal(number(&r, 5000 * S, 0), -1);
    assert_int_equal(reflect_session_ends(r.s).ns, TW_MONO_NEVER.ns); /* SERVWAIT ends those */
    reflect_session_start(r.s, (struct tw_mono){ 5000 * S });
    reflect_session_start(r.s, (struct tw_mono){ 5001 * S }); /* says nothing new */
    assert_int_equal(reflect_session_ends(r.s).ns, 5900 * S);
    assert_int_equal(number(&r, 5002 * S, 0), 0);
    assert_int_equal(reflect_session_ends(r.s).ns, 5902 * S);
    reflect_session_stop(r.s, (struct tw_mono){ 5010 * S });
    reflect_session_stop(r.s, (struct tw_mono){ 5011 * S });
    assert_int_equal(reflect_session_ends(r.s).ns, 5012 * S);
    assert_int_equal(number(&r, 5012 * S - 1, 1), 1);
    assert_int_equal(number(&r, 5012 * S, 2), -1);
    reflect_session_counters(r.s, &n);
    assert_true(n.not_started == 2 && n.answered == 2);
    close_rig(&r);
}

static void silence_ends_it(void **state)
{
    struct reflect_session_cfg cfg = cfg_of(TWAMP_AUTHENTICATED);
    struct rig r;

    (void)state;
    cfg.timeout_ns = INT64_MAX; /* as a hostile client may ask */
    open_rig(&r, &cfg);
    reflect_session_start(r.s, (struct tw_mono){ 0 });
    assert_int_equal(number(&r, 899 * S, 0), 0);
    write_probe(&r, 1, 112);
    r.probe[0] ^= 1; /* a forged one does not keep it alive */
    assert_int_equal(ask(&r, 1000 * S, 112), TW_EPERM);
    reflect_session_stop(r.s, (struct tw_mono){ 1001 * S });
    assert_int_equal(reflect_session_ends(r.s).ns, 1799 * S);
    assert_int_equal(number(&r, 1799 * S, 2), -1);
    close_rig(&r);
}

/* ---- Refused ---- */

static void refused_and_counted(void **state)
{
    static uint8_t big[TEST_DATAGRAM_MAX + 1];
    struct reflect_session_cfg cfg = cfg_of(TWAMP_ENCRYPTED);
    const struct test_probe corrupt = { .seq = 1, .t1 = 1, .err_est = 0x8000 };
    struct reflect_counters n;
    struct rig r;

    (void)state;
    open_rig(&r, &cfg);
    reflect_session_start(r.s, (struct tw_mono){ 0 });
    write_probe(&r, 0, 112);
    assert_int_equal(ask(&r, 0, 47), TW_ETRUNC);
    assert_int_equal(reflect_session_answer(r.s, &r.rx, big, sizeof big, r.answer, sizeof big, &r.tx),
                     TW_EINVAL);
    assert_int_equal(reflect_session_answer(r.s, &r.rx, r.probe, 48, r.answer, 111, &r.tx), TW_EINVAL);
    for (size_t i = 0; i < 48; i++) { /* encrypted, and under the HMAC, from the first octet to the last */
        r.probe[i] ^= 0x10;
        assert_int_equal(ask(&r, 0, 112), TW_EPERM);
        r.probe[i] ^= 0x10;
    }
    twamp_form_write_probe(r.peer, &corrupt, r.probe, 112);
    assert_int_equal(ask(&r, 0, 112), TW_EINVAL);
    reflect_session_counters(r.s, &n);
    assert_true(n.too_short == 1 && n.too_long == 2 && n.auth_failed == 48 && n.bad_error_estimate == 1 &&
                n.answered == 0);
    assert_int_equal(number(&r, 0, 9), 0); /* none of them took a number */
    close_rig(&r);
}

static void takes_back_what_was_not_sent(void **state)
{
    struct reflect_session_cfg cfg = cfg_of(TWAMP_MIXED);
    struct reflect_counters n;
    struct reflect_tx first;
    struct rig r;

    (void)state;
    open_rig(&r, &cfg);
    reflect_session_start(r.s, (struct tw_mono){ 0 });
    number(&r, 0, 0);
    first = r.tx;
    number(&r, 0, 1);
    reflect_session_unsent(r.s, &first); /* not the last: its number is gone */
    assert_int_equal(number(&r, 0, 2), 2);
    reflect_session_unsent(r.s, &r.tx);
    assert_int_equal(number(&r, 0, 3), 2);
    reflect_session_counters(r.s, &n);
    assert_int_equal(n.send_errors, 2);
    close_rig(&r);
}

static void unknown_ttl_and_tos(void **state)
{
    struct reflect_session_cfg cfg = cfg_of(TWAMP_OPEN | TWAMP_DSCP_ECN);
    struct rig r;

    (void)state;
    open_rig(&r, &cfg);
    reflect_session_start(r.s, (struct tw_mono){ 0 });
    r.rx.ttl = r.rx.tos = -1;
    assert_int_equal(number(&r, 0, 0), 0);
    assert_true(r.got.sender_ttl == 255 && r.got.sender_tos == 0);
    close_rig(&r);
}

static void bad_configuration(void **state)
{
    struct reflect_session_cfg bad[5];
    struct reflect_session *s = NULL;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        bad[i] = cfg_of(TWAMP_OPEN);
    bad[0].form.mode = TWAMP_OPEN | TWAMP_ENCRYPTED;
    bad[1].sender.family = 0;
    bad[2].dscp = 64;
    bad[3].refwait_ns = 0;
    bad[4].timeout_ns = -1;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        assert_int_equal(reflect_session_new(&bad[i], (struct tw_mono){ 0 }, &s), TW_EINVAL);
    assert_null(s);
    reflect_session_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_every_mode),
        cmocka_unit_test(clock_goes_into_the_error_estimate),
        cmocka_unit_test(only_its_sender),
        cmocka_unit_test(only_between_start_and_stop),
        cmocka_unit_test(silence_ends_it),
        cmocka_unit_test(refused_and_counted),
        cmocka_unit_test(takes_back_what_was_not_sent),
        cmocka_unit_test(unknown_ttl_and_tos),
        cmocka_unit_test(bad_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
