#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/reflect.h"
#include "agent/core/twamp_pkt.h"
#include "tests/unit/agent/core/golden.h"

#define S TW_NS_PER_S

static struct reflector *make(uint32_t max)
{
    struct reflect_cfg cfg = {
        .max_sessions = max, .refwait_ns = 900 * S, .restart_gap_ns = 3 * S, .port = 8620, .hash_seed = 42
    };
    struct reflector *r;

    assert_int_equal(reflector_new(&cfg, &r), TW_OK);
    return r;
}

static struct reflect_rx rx_from(uint32_t host, uint16_t port, int64_t at_ns)
{
    return (struct reflect_rx){
        .from = { .ip = { 10, (uint8_t)(host >> 16), (uint8_t)(host >> 8), (uint8_t)host },
                  .port = port,
                  .family = 4 },
        .to = { .ip = { 192, 0, 2, 1 }, .port = 8620, .family = 4 },
        .t2 = { 1795424684 * S + at_ns },
        .mono = { at_ns },
        .ttl = 61,
        .tos = 0,
    };
}

/* Answers probe `seq`; -1: refused, else the number of the answer. */
static int64_t ask(struct reflector *r, const struct reflect_rx *rx, uint32_t seq)
{
    struct test_probe p = { .seq = seq, .t1 = 0x1122334455667788, .err_est = 0x0001 };
    uint8_t probe[TWAMP_PROBE_MIN], answer[TWAMP_REPLY_MIN];
    struct test_reply a;
    struct reflect_tx tx;

    twamp_encode_probe(&p, probe, sizeof probe);
    if (reflect_answer(r, rx, probe, sizeof probe, answer, sizeof answer, &tx))
        return -1;
    assert_int_equal(tx.len, TWAMP_REPLY_MIN);
    reflect_stamp(r, &tx, answer, rx->t2);
    assert_int_equal(twamp_decode_reply(answer, tx.len, &a), TW_OK);
    assert_int_equal(a.sender_seq, seq);
    assert_int_equal(a.sender_t1, p.t1);
    return a.seq;
}

/* Of 10.0.0.x only those that are named are answered; the others are counted, and leave nothing behind. */
static void answers_whom_it_may(void **state)
{
    static const struct {
        uint32_t host;
        bool answered;
    } rows[] = { { 1, true }, { 3, true }, { 4, false }, { 8, true }, { 9, false } };
    struct acl_rules rules = { 0 };
    struct acl *acl;
    struct reflect_cfg cfg = { .max_sessions = 10, .refwait_ns = 900 * S };
    struct reflect_counters n;
    struct reflector *r;

    (void)state;
    assert_int_equal(acl_rules_add(&rules, true, "10.0.0.0/30", NULL), TW_OK);
    assert_int_equal(acl_rules_add(&rules, true, "10.0.0.8", NULL), TW_OK);
    assert_int_equal(acl_rules_add(&rules, true, "::/0", NULL), TW_OK);
    assert_int_equal(acl_new(&rules, &acl, NULL), TW_OK);
    acl_rules_free(&rules);
    cfg.acl = acl;
    assert_int_equal(reflector_new(&cfg, &r), TW_OK);
    acl_free(acl); /* it has its own hold */
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct reflect_rx rx = rx_from(rows[i].host, 5000, 0);
        if ((ask(r, &rx, 0) == 0) != rows[i].answered)
            fail_msg("10.0.0.%u", rows[i].host);
    }
    reflector_counters(r, &n);
    assert_int_equal(n.not_allowed, 2);
    assert_int_equal(n.answered, 3);
    assert_int_equal(n.sessions, 3);
    reflector_set_acl(r, NULL); /* others, while it runs */
    assert_int_equal(ask(r, &(struct reflect_rx){ .from = { .ip = { 10, 0, 0, 9 }, .port = 5000, .family = 4 } }, 0), 0);
    reflector_free(r);
}

/* A flood of one source, ten times what it may, and one that asks as it may: the second gets every answer. */
static void a_flood_keeps_nobody_out(void **state)
{
    struct source_limit_cfg lc = { .per_second = 1000, .burst = 100, .hash_seed = 7 };
    struct reflect_cfg cfg = { .max_sessions = 10, .refwait_ns = 900 * S };
    struct reflect_counters n;
    struct reflector *r;
    uint32_t flood = 0, polite = 0;

    (void)state;
    assert_int_equal(source_limit_new(&lc, &cfg.limit), TW_OK);
    assert_int_equal(reflector_new(&cfg, &r), TW_OK);
    for (int i = 0; i < 100000; i++) { /* 10 s */
        struct reflect_rx a = rx_from(1, (uint16_t)(2000 + i % 7), i * (S / 10000)), b = rx_from(2, 2000, a.mono.ns);
        flood += ask(r, &a, (uint32_t)i) >= 0;
        if (i % 20 == 0)
            polite += ask(r, &b, (uint32_t)i) >= 0;
    }
    reflector_counters(r, &n);
    assert_int_equal(polite, 5000);
    assert_in_range(flood, 10000, 10100);
    assert_int_equal(n.rate_limited, 100000 - flood);
    assert_int_equal(n.answered, flood + polite);
    reflector_free(r);
    source_limit_free(cfg.limit);
}

/* For probes of every length: the answer is no longer, or it is the least one, which can be switched off. */
static void never_amplifies(void **state)
{
    static uint8_t probe[TEST_DATAGRAM_MAX], answer[TEST_DATAGRAM_MAX];
    struct reflect_cfg cfg = { .max_sessions = 4, .refwait_ns = 900 * S };
    struct reflect_counters n;

    (void)state;
    for (int refuse = 0; refuse < 2; refuse++) {
        struct reflector *r;
        struct reflect_rx rx = rx_from(1, 5000, 0);
        uint64_t answered = 0;
        cfg.refuse_short = refuse;
        assert_int_equal(reflector_new(&cfg, &r), TW_OK);
        for (size_t len = TWAMP_PROBE_MIN; len <= sizeof probe; len++) {
            struct reflect_tx tx = { 0 };
            memset(probe, len % 3 ? 0 : 0x80, sizeof probe); /* STAMP with and without TLVs, TWAMP Light */
            probe[4] = 0xeb;
            probe[13] = 1;
            if (len % 3 == 1)
                memset(probe + STAMP_BASE, 0x80, sizeof probe - STAMP_BASE);
            if (reflect_answer(r, &rx, probe, len, answer, sizeof answer, &tx) == TW_OK) {
                answered++;
                assert_true(tx.len <= len || (!refuse && tx.len == TWAMP_REPLY_MIN));
            }
        }
        reflector_counters(r, &n);
        assert_int_equal(n.longer, refuse ? TWAMP_REPLY_MIN - TWAMP_PROBE_MIN : 0);
        assert_int_equal(answered + n.longer, sizeof probe - TWAMP_PROBE_MIN + 1);
        reflector_free(r);
    }
}

/* Two reflectors at any ports, and a forged first packet: the second one does not answer the first one's answer. */
static void no_ping_pong(void **state)
{
    static const struct {
        const char *name;
        size_t len;
        bool auth;
        int64_t turnaround_ns;
    } rows[] = { { "light", 14, false, 20000 },
                 { "light, padded", 300, false, 0 },
                 { "stamp", 44, false, 1000000 },
                 { "stamp with TLV", 60, false, 90000000 },
                 { "authenticated", 112, true, 30000 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct reflect_rx rx = rx_from(1, 40000 /* the port of the other one */, 0);
        uint8_t probe[300] = { [16] = 0xee, [4] = 0xeb, [13] = 1 }, answer[300], again[300];
        struct reflector *one = make(4), *other = make(4);
        struct reflect_counters n;
        struct reflect_tx tx;

        if (rows[i].auth) { /* both have the key, and the answer proves itself, too */
            const uint8_t key[16] = "of both";
            struct crypto_hmac *m;
            for (int k = 0; k < 2; k++) {
                struct stamp_keys keys = { 0 };
                assert_int_equal(stamp_keys_add(&keys, key, sizeof key), TW_OK);
                reflector_set_keys(k ? other : one, &keys);
            }
            memset(probe, 0, sizeof probe);
            probe[16] = 0xeb;
            probe[25] = 1;
            assert_int_equal(crypto_hmac_new(CRYPTO_SHA256, key, sizeof key, &m), TW_OK);
            crypto_hmac(m, probe, 96, NULL, 0, probe + 96);
            crypto_hmac_free(m);
        } else if (rows[i].len >= STAMP_BASE) {
            probe[16] = 0;
        }
        if (rows[i].len == 60)
            probe[STAMP_BASE] = 0x80, probe[STAMP_BASE + 1] = 1, probe[STAMP_BASE + 3] = 12;
        if (reflect_answer(one, &rx, probe, rows[i].len, answer, sizeof answer, &tx))
            fail_msg("%s: the first one does not answer", rows[i].name);
        reflect_stamp(one, &tx, answer, (struct tw_wall){ rx.t2.ns + rows[i].turnaround_ns });
        rx = rx_from(2, 50000, 1000);
        if (reflect_answer(other, &rx, answer, tx.len, again, sizeof again, &tx) == TW_OK)
            fail_msg("%s: ping-pong", rows[i].name);
        reflector_counters(other, &n);
        assert_int_equal(n.loops_refused, 1);
        reflector_free(one);
        reflector_free(other);
    }
}

/* More forged senders than are remembered; one that goes on keeps its count, and a new one gets one. */
static void forged_senders_make_room(void **state)
{
    struct reflector *r = make(100);
    struct reflect_rx real = rx_from(1, 5000, 0), fresh = rx_from(2, 5000, 60 * S);
    struct reflect_counters n;

    (void)state;
    for (uint32_t i = 0; i < 3000; i++) {
        struct reflect_rx forged = rx_from(1000 + i, 7, i * (S / 50));
        forged.from.port = (uint16_t)(1024 + i);
        ask(r, &forged, 0);
        real.mono = forged.mono;
        assert_int_equal(ask(r, &real, i), i);
    }
    assert_int_equal(ask(r, &fresh, 77), 0);
    assert_int_equal(ask(r, &fresh, 78), 1);
    reflector_counters(r, &n);
    assert_true(n.evicted > 2800 && n.sessions <= 100);
    reflector_free(r);
}

/* Our answer to the captured probe is the captured answer, but for what the reflector's own clock decides. */
static void answer_captures(void **state)
{
    static const char *const names[] = { "open4", "open4-pad0", "open4-dscp-pad" };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(names); i++) {
        cJSON *doc = golden_load(names[i]);
        const cJSON *packets = golden_packets(doc);
        struct reflector *r = make(4);
        for (int k = 0; k + 1 < cJSON_GetArraySize(packets); k += 2) {
            struct reflect_rx rx = rx_from(1, 5000, k * S / 10);
            uint8_t probe[512], want[512], got[512];
            size_t probe_len = golden_wire(cJSON_GetArrayItem(packets, k), probe, sizeof probe);
            size_t want_len = golden_wire(cJSON_GetArrayItem(packets, k + 1), want, sizeof want);
            struct reflect_tx tx;
            rx.ttl = 255;
            assert_int_equal(reflect_answer(r, &rx, probe, probe_len, got, sizeof got, &tx), TW_OK);
            assert_int_equal(tx.len, want_len);
            memcpy(got + 4, want + 4, 10);  /* T3, Error Estimate */
            memcpy(got + 16, want + 16, 8); /* T2 */
            if (memcmp(got, want, tx.len))
                fail_msg("%s: answer %d differs", names[i], k / 2);
        }
        reflector_free(r);
        cJSON_Delete(doc);
    }
}

static void padding_and_size(void **state)
{
    static const struct {
        size_t len, want;
    } rows[] = { { 14, 41 }, { 15, 41 }, { 40, 41 }, { 41, 41 }, { 42, 42 }, { 1400, 1400 }, { 9000, 9000 } };
    static uint8_t probe[TEST_DATAGRAM_MAX + 1], answer[TEST_DATAGRAM_MAX + 1];
    struct reflector *r = make(4);
    struct reflect_rx rx = rx_from(1, 5000, 0);
    struct reflect_counters n;
    struct reflect_tx tx;

    (void)state;
    for (size_t i = 0; i < sizeof probe; i++)
        probe[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        memset(answer, 0xee, sizeof answer);
        assert_int_equal(reflect_answer(r, &rx, probe, rows[i].len, answer, TEST_DATAGRAM_MAX, &tx), TW_OK);
        assert_int_equal(tx.len, rows[i].want);
        assert_memory_equal(answer + 41, probe + 14, tx.len - 41);
        assert_int_equal(answer[14] | answer[15] | answer[38] | answer[39], 0);
    }
    assert_int_equal(reflect_answer(r, &rx, probe, 13, answer, sizeof answer, &tx), TW_ETRUNC);
    assert_int_equal(reflect_answer(r, &rx, probe, 9001, answer, sizeof answer, &tx), TW_EINVAL);
    assert_int_equal(reflect_answer(r, &rx, probe, 14, answer, 40, &tx), TW_EINVAL);
    probe[13] = 0;
    assert_int_equal(reflect_answer(r, &rx, probe, 14, answer, sizeof answer, &tx), TW_EINVAL);
    reflector_counters(r, &n);
    assert_true(n.too_short == 1 && n.too_long == 2 && n.bad_error_estimate == 1 &&
                n.answered == TW_NELEM(rows));
    reflector_free(r);
}

static void ttl_and_clock(void **state)
{
    struct reflector *r = make(4);
    struct reflect_rx rx = rx_from(1, 5000, 0);
    struct tw_clock_state c = { .synced = true, .max_error_ns = 1000000 };
    uint8_t probe[14] = { [13] = 1 }, answer[41];
    struct test_reply a;
    struct reflect_tx tx;

    (void)state;
    rx.ttl = -1;
    reflect_answer(r, &rx, probe, sizeof probe, answer, sizeof answer, &tx);
    assert_int_equal(answer[40], 255);
    rx.ttl = 7;
    reflect_answer(r, &rx, probe, sizeof probe, answer, sizeof answer, &tx);
    assert_int_equal(answer[40], 7);
    reflector_set_clock(r, &c); /* between answer and stamp: the stamp has the newer */
    reflect_stamp(r, &tx, answer, (struct tw_wall){ 1795424684 * S + 5 });
    assert_int_equal(twamp_decode_reply(answer, tx.len, &a), TW_OK);
    assert_int_equal(a.t3, tw_wall_to_ntp((struct tw_wall){ 1795424684 * S + 5 }));
    assert_int_equal(a.t2, tw_wall_to_ntp(rx.t2));
    assert_int_equal(a.err_est, tw_errest_encode(1000000, true, false));
    reflector_free(r);
}

static void loops_are_refused(void **state)
{
    struct reflector *r = make(4);
    struct reflect_rx own = rx_from(1, 8620, 0), well_known = rx_from(1, 862, 0), dns = rx_from(1, 53, 0);
    struct reflect_rx group = rx_from(1, 5000, 0), none = rx_from(1, 5000, 0), group6 = { .from = { { 0xff, 2 }, 5000, 6, 0, 0 } };
    struct reflect_rx none6 = { .from = { { 0 }, 5000, 6, 0, 0 } }, all = rx_from(1, 5000, 0);
    struct reflect_counters n;

    (void)state;
    group.from.ip[0] = 239;
    none.from.ip[0] = 0;
    memset(all.from.ip, 255, 4);
    assert_int_equal(ask(r, &own, 0), -1);
    assert_int_equal(ask(r, &well_known, 0), -1);
    assert_int_equal(ask(r, &dns, 0), -1);
    assert_int_equal(ask(r, &group, 0), -1);
    assert_int_equal(ask(r, &none, 0), -1);
    assert_int_equal(ask(r, &all, 0), -1);
    assert_int_equal(ask(r, &group6, 0), -1);
    assert_int_equal(ask(r, &none6, 0), -1);
    reflector_counters(r, &n);
    assert_true(n.loops_refused == 8 && n.answered == 0 && n.sessions == 0);
    reflector_free(r);
}

static void counts_per_sender(void **state)
{
    struct reflector *r = make(8);
    struct reflect_rx a = rx_from(1, 5000, 0), b = rx_from(1, 5001, 0), c = rx_from(2, 5000, 0), d = a;

    (void)state;
    d.to.ip[3] = 9;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(r, &a, 100 + i), i);
        assert_int_equal(ask(r, &b, i), i);
    }
    assert_int_equal(ask(r, &c, 0), 0);
    assert_int_equal(ask(r, &d, 0), 0);
    reflector_free(r);
}

static void starts_again(void **state)
{
    static const struct {
        const char *name;
        int64_t gap;
        uint32_t seq;
        int64_t want;
    } rows[] = {
        { "goes on", S, 9, 2 },
        { "number 0 soon", 3 * S - 1, 0, 2 },
        { "number 0 after silence", 3 * S, 0, 0 },
        { "other number after silence", 3 * S, 1, 2 },
        { "just before refwait", 900 * S, 5, 2 },
        { "after refwait", 900 * S + 1, 5, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct reflector *r = make(4);
        struct reflect_rx rx = rx_from(1, 5000, 0);
        ask(r, &rx, 0);
        ask(r, &rx, 1);
        rx.mono.ns = rows[i].gap;
        if (ask(r, &rx, rows[i].seq) != rows[i].want)
            fail_msg("%s", rows[i].name);
        reflector_free(r);
    }
}

static void takes_back(void **state)
{
    struct reflector *r = make(4);
    struct reflect_rx rx = rx_from(1, 5000, 0);
    uint8_t probe[14] = { [13] = 1 }, first[41], second[41];
    struct reflect_counters n;
    struct reflect_tx tx, tx2;

    (void)state;
    reflect_answer(r, &rx, probe, sizeof probe, first, sizeof first, &tx);
    reflect_answer(r, &rx, probe, sizeof probe, second, sizeof second, &tx2);
    reflect_unsent(r, &tx); /* not the last: its number is gone */
    assert_int_equal(ask(r, &rx, 7), 2);
    reflect_answer(r, &rx, probe, sizeof probe, second, sizeof second, &tx2);
    reflect_unsent(r, &tx2);
    assert_int_equal(ask(r, &rx, 8), 3);
    reflector_counters(r, &n);
    assert_int_equal(n.send_errors, 2);
    reflector_free(r);
}

static void full_table_answers_without_state(void **state)
{
    struct reflector *r = make(3);
    struct reflect_counters n;
    struct reflect_rx rx;

    (void)state;
    for (uint32_t h = 0; h < 3; h++) {
        rx = rx_from(h, 5000, 0);
        assert_int_equal(ask(r, &rx, 77), 0);
    }
    rx = rx_from(9, 5000, S / 2);
    assert_int_equal(ask(r, &rx, 77), 77);
    reflector_counters(r, &n);
    assert_true(n.stateless == 1 && n.sessions == 3);
    /* The silent ones make room. */
    rx = rx_from(9, 5000, 1000 * S);
    assert_int_equal(ask(r, &rx, 78), 0);
    reflector_counters(r, &n);
    assert_true(n.stateless == 1 && n.sessions <= 3 && n.expired >= 1);
    reflector_free(r);
}

/* Thousands of senders that come and go: each keeps its own count, and the table does not fill with the dead.
 */
static void many_come_and_go(void **state)
{
    enum { ROUNDS = 20, SENDERS = 1000 };
    struct reflector *r = make(SENDERS);
    struct reflect_counters n;

    (void)state;
    for (int64_t round = 0; round < ROUNDS; round++)
        for (int64_t seq = 0; seq < 4; seq++)
            for (uint32_t h = 0; h < SENDERS; h++) {
                struct reflect_rx rx = rx_from((uint32_t)round * SENDERS + h, 5000, (round * 1000 + seq) * S);
                int64_t got = ask(r, &rx, (uint32_t)seq + 1000);
                if (got != seq)
                    fail_msg("round %d sender %u: answer %d is numbered %d", (int)round, h, (int)seq,
                             (int)got);
            }
    reflector_counters(r, &n);
    assert_int_equal(n.stateless, 0);
    assert_true(n.sessions <= SENDERS && n.expired >= (ROUNDS - 1) * SENDERS);
    reflector_free(r);
}

static void bad_configuration(void **state)
{
    static const struct reflect_cfg bad[] = {
        { .max_sessions = 1, .refwait_ns = 0 },
        { .max_sessions = 1, .refwait_ns = 1, .restart_gap_ns = -1 },
        { .max_sessions = UINT32_MAX, .refwait_ns = 1 },
    };
    struct reflector *r = NULL;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(bad); i++)
        assert_int_equal(reflector_new(&bad[i], &r), TW_EINVAL);
    assert_null(r);
    reflector_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_whom_it_may),
        cmocka_unit_test(answer_captures),   cmocka_unit_test(padding_and_size),
        cmocka_unit_test(ttl_and_clock),     cmocka_unit_test(loops_are_refused),
        cmocka_unit_test(a_flood_keeps_nobody_out),
        cmocka_unit_test(never_amplifies),
        cmocka_unit_test(no_ping_pong),
        cmocka_unit_test(forged_senders_make_room),
        cmocka_unit_test(counts_per_sender), cmocka_unit_test(starts_again),
        cmocka_unit_test(takes_back),        cmocka_unit_test(full_table_answers_without_state),
        cmocka_unit_test(many_come_and_go),  cmocka_unit_test(bad_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
