#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/core/session.h"
#include "agent/core/twamp_pkt.h"
#include "tests/unit/agent/core/golden.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S) /* a multiple of 10 s */

static const struct session_cfg base = {
    .pair_id = 9,
    .flow = 2,
    .generation = 4,
    .spacing_ns = 100 * MS,
    .size_bytes = 41,
    .dscp = 46,
    .timeout_ns = 1 * S,
    .report_period_ns = 10 * S,
    .seed = 1,
    .reflector_stateful = true,
};

/* A session at a time of our choosing, and its last probe. */
struct rig {
    struct session *s;
    int64_t ns, step_ns; /* since the start; how much the wall clock has been set forward */
    uint8_t probe[TEST_DATAGRAM_MAX];
    size_t len;
    struct tw_summary sum;
};

static struct tw_now now_of(const struct rig *r)
{
    return (struct tw_now){ { r->ns + 5 * S }, { WALL0 + r->ns + r->step_ns } };
}

static struct rig start(const struct session_cfg *cfg)
{
    struct rig r = { 0 };

    assert_int_equal(session_new(cfg, NULL, now_of(&r), &r.s), TW_OK);
    summary_init(&r.sum);
    return r;
}

static void finish(struct rig *r)
{
    summary_free(&r->sum);
    session_free(r->s);
}

static enum tw_rc probe_at(struct rig *r, int64_t ns)
{
    r->ns = ns;
    return session_next_probe(r->s, now_of(r), r->probe, sizeof r->probe, &r->len);
}

static uint32_t probe_seq(const struct rig *r)
{
    struct test_probe p;

    twamp_decode_probe(r->probe, r->len, &p);
    return p.seq;
}

/* The answer numbered `seq` to the last probe, sent at t1: forward and backward take that long, nothing
 * between. */
static struct test_reply answer(const struct rig *r, uint32_t seq, int64_t forward, int64_t t1_ns)
{
    struct tw_wall t2 = { WALL0 + t1_ns + r->step_ns + forward };
    struct test_probe p;

    twamp_decode_probe(r->probe, r->len, &p);
    return (struct test_reply){ .seq = seq,
                                .t3 = tw_wall_to_ntp(t2),
                                .t2 = tw_wall_to_ntp(t2),
                                .err_est = 0x8001,
                                .sender_seq = p.seq,
                                .sender_t1 = p.t1,
                                .sender_err_est = p.err_est,
                                .ttl_known = true,
                                .sender_ttl = 60 };
}

static enum tw_rc reply_at(struct rig *r, int64_t ns, const struct test_reply *a)
{
    struct session_rx rx = { { WALL0 + ns + r->step_ns }, TW_TS_KERNEL, 61, 184 };
    uint8_t wire[TWAMP_REPLY_MIN];

    r->ns = ns;
    twamp_encode_reply(a, wire, sizeof wire);
    return session_on_reply(r->s, now_of(r), &rx, wire, sizeof wire);
}

static enum tw_rc summary_at(struct rig *r, int64_t ns)
{
    struct tw_err err = { 0 };
    enum tw_rc rc;

    r->ns = ns;
    rc = session_next_summary(r->s, now_of(r), &r->sum);
    if (rc == TW_OK && summary_validate(&r->sum, &err))
        fail_msg("the summary is not valid: %s %s", err.field, err.text);
    return rc;
}

static struct session_totals totals(const struct rig *r)
{
    struct session_totals t;

    session_totals(r->s, &t);
    assert_int_equal(t.sent, t.received + t.lost + t.in_flight);
    return t;
}

/* ---- Configuration ---- */

static void bad_configurations(void **state)
{
    static const struct {
        const char *name;
        size_t offset;
        int64_t value;
    } rows[] = {
        { "spacing 0", offsetof(struct session_cfg, spacing_ns), 0 },
        { "timeout 0", offsetof(struct session_cfg, timeout_ns), 0 },
        { "timeout above the period", offsetof(struct session_cfg, timeout_ns), 10 * S + 1 },
        { "period 0", offsetof(struct session_cfg, report_period_ns), 0 },
        { "phase of a whole spacing", offsetof(struct session_cfg, phase_ns), 100 * MS },
        { "phase negative", offsetof(struct session_cfg, phase_ns), -1 },
        { "more in flight than can be remembered", offsetof(struct session_cfg, spacing_ns), 1 },
    };
    struct session *s = NULL;
    struct session_cfg cfg;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        cfg = base;
        memcpy((char *)&cfg + rows[i].offset, &rows[i].value, sizeof rows[i].value);
        if (session_new(&cfg, NULL, (struct tw_now){ { 0 }, { WALL0 } }, &s) != TW_EINVAL || s)
            fail_msg("%s", rows[i].name);
    }
    cfg = base;
    cfg.size_bytes = TEST_DATAGRAM_MAX + 1;
    assert_int_equal(session_new(&cfg, NULL, (struct tw_now){ { 0 }, { WALL0 } }, &s), TW_EINVAL);
    session_free(NULL);
}

static void too_small_is_raised_to_what_the_form_needs(void **state)
{
    struct session_cfg cfg = base;
    struct rig r;

    (void)state;
    cfg.size_bytes = 0;
    r = start(&cfg);
    assert_int_equal(probe_at(&r, 0), TW_OK);
    assert_int_equal(r.len, TWAMP_PROBE_MIN);
    finish(&r);
}

/* ---- Pacing ---- */

static void first_probe_keeps_the_phase(void **state)
{
    static const struct {
        int64_t start, phase, want;
    } rows[] = { { 0, 0, 0 },
                 { 0, 30 * MS, 30 * MS },
                 { 30 * MS, 30 * MS, 30 * MS },
                 { 31 * MS, 30 * MS, 130 * MS },
                 { 99 * MS, 0, 100 * MS } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct session_cfg cfg = base;
        struct session *s;
        cfg.phase_ns = rows[i].phase;
        session_new(&cfg, NULL, (struct tw_now){ { rows[i].start }, { WALL0 + rows[i].start } }, &s);
        if (session_next_due(s).ns != rows[i].want)
            fail_msg("row %d: due at %ld", (int)i, (long)session_next_due(s).ns);
        session_free(s);
    }
}

static void pacing_does_not_drift_or_burst(void **state)
{
    struct rig r = start(&base);

    (void)state;
    assert_int_equal(probe_at(&r, 0), TW_OK);
    assert_int_equal(probe_at(&r, 99 * MS), TW_EAGAIN);
    assert_int_equal(probe_at(&r, 130 * MS), TW_OK); /* 30 ms late */
    assert_int_equal(probe_at(&r, 199 * MS), TW_EAGAIN);
    assert_int_equal(probe_at(&r, 200 * MS), TW_OK); /* on the grid again */
    assert_int_equal(probe_at(&r, 750 * MS), TW_OK); /* stalled: 300..600 are missed, this one is 700's */
    assert_int_equal(probe_at(&r, 750 * MS), TW_EAGAIN);
    assert_int_equal(totals(&r).skipped, 4);
    assert_int_equal(probe_at(&r, 800 * MS), TW_OK);
    assert_int_equal(probe_seq(&r), 4);
    session_stop(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, 1800 * MS), TW_OK);
    assert_int_equal(r.sum.skipped, 4);
    assert_int_equal(r.sum.send_lateness.count, 5);
    assert_int_equal(r.sum.send_lateness.max_ns, 50 * MS);
    finish(&r);
}

static void exponential_spacing_has_its_mean(void **state)
{
    struct session_cfg cfg = base;
    int64_t last = 0, n = 0;
    struct rig r;

    (void)state;
    cfg.spacing_kind = SESSION_EXPONENTIAL;
    r = start(&cfg);
    while (n < 4000) {
        int64_t due = session_next_due(r.s).ns - 5 * S;
        if (probe_at(&r, due > r.ns ? due : r.ns) == TW_OK) {
            struct test_reply a = answer(&r, probe_seq(&r), MS, r.ns);
            last = r.ns;
            reply_at(&r, r.ns + 2 * MS, &a);
            n++;
        }
        summary_at(&r, r.ns);
    }
    if (last / n < 95 * MS || last / n > 105 * MS)
        fail_msg("mean spacing %ld ns", (long)(last / n));
    finish(&r);
}

static void full_ring_skips(void **state)
{
    struct session_cfg cfg = base;
    struct rig r;
    int ok = 0;

    (void)state;
    cfg.spacing_kind = SESSION_EXPONENTIAL;
    cfg.spacing_ns = S;
    cfg.timeout_ns = 10 * S;
    r = start(&cfg);
    /* The virtual host asks long before anything can time out, but the ring has 128 places. */
    for (int64_t ns = 0; ns < 9 * S; ns += MS)
        ok += probe_at(&r, ns) == TW_OK;
    assert_true(ok > 0 && ok <= 128);
    totals(&r);
    finish(&r);
}

static void padding_is_not_zero_and_repeats(void **state)
{
    struct session_cfg cfg = base;
    uint8_t first[200];
    struct rig r;
    int zeros = 0;

    (void)state;
    cfg.size_bytes = 200;
    r = start(&cfg);
    probe_at(&r, 0);
    assert_int_equal(r.len, 200);
    memcpy(first, r.probe, sizeof first);
    probe_at(&r, 100 * MS);
    assert_memory_equal(first + 14, r.probe + 14, 186);
    for (int i = 14; i < 200; i++)
        zeros += !first[i];
    assert_true(zeros < 10);
    r.ns = 200 * MS;
    assert_int_equal(session_next_probe(r.s, now_of(&r), r.probe, 199, &r.len), TW_ETRUNC);
    finish(&r);
}

static void count_ends_the_session(void **state)
{
    struct session_cfg cfg = base;
    struct test_reply a;
    struct rig r;

    (void)state;
    cfg.count = 2;
    r = start(&cfg);
    assert_int_equal(probe_at(&r, 0), TW_OK);
    session_on_send_error(r.s); /* an attempt all the same: an unreachable target must not run for ever */
    assert_int_equal(probe_at(&r, 100 * MS), TW_OK);
    assert_int_equal(probe_seq(&r), 0);
    assert_int_equal(probe_at(&r, 200 * MS), TW_EAGAIN);
    assert_false(session_done(r.s));
    a = answer(&r, 0, MS, 100 * MS);
    assert_int_equal(reply_at(&r, 250 * MS, &a), TW_OK);
    assert_int_equal(summary_at(&r, 250 * MS), TW_OK);
    assert_true(session_done(r.s));
    assert_true(session_next_due(r.s).ns == TW_MONO_NEVER.ns);
    assert_true(r.sum.sent == 1 && r.sum.received == 1 && r.sum.send_errors == 1 &&
                r.sum.status == TW_STATUS_OK);
    assert_int_equal(r.sum.send_lateness.count, 1);
    finish(&r);
}

/* ---- Answers ---- */

static void delays_and_attributes(void **state)
{
    struct tw_clock_state clock = { .synced = true, .max_error_ns = 5000 };
    struct rig r = start(&base);
    struct test_reply a;

    (void)state;
    session_set_clock(r.s, &clock);
    probe_at(&r, 0);
    a = answer(&r, 0, -3 * MS, 0); /* the reflector's clock is behind: negative, and shown so */
    a.t3 = tw_wall_to_ntp((struct tw_wall){ WALL0 - 3 * MS + 200000 });
    assert_int_equal(reply_at(&r, 20 * MS, &a), TW_OK);
    session_stop(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, 20 * MS), TW_OK);
    assert_int_equal(r.sum.delay[TW_FORWARD].min_ns, -3 * MS);
    assert_int_equal(r.sum.delay[TW_BACKWARD].min_ns, 23 * MS - 200000);
    assert_int_equal(r.sum.delay[TW_ROUNDTRIP].min_ns, 20 * MS - 200000);
    assert_int_equal(r.sum.residence_sum_ns, 200000);
    assert_true(r.sum.ttl_forward.min == 60 && r.sum.ttl_backward.max == 61 && r.sum.tos_backward.min == 184);
    assert_true(r.sum.tos_sent == 184 && r.sum.rx_source == TW_TS_KERNEL && r.sum.tx_source == TW_TS_USER);
    assert_true(r.sum.clock_local.synced && r.sum.clock_remote_known && r.sum.clock_remote.synced);
    assert_true(r.sum.pair_id == 9 && r.sum.flow == 2 && r.sum.generation == 4);
    finish(&r);
}

/* The example of the delays 10, 12, 11, 15 ms: IPDV mean 2.333 ms; J 0.125, 0.1797, 0.4185 ms. */
static void jitter_example(void **state)
{
    static const int64_t d[] = { 10 * MS, 12 * MS, 11 * MS, 15 * MS };
    struct rig r = start(&base);

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct test_reply a;
        assert_int_equal(probe_at(&r, i * 100 * MS), TW_OK);
        a = answer(&r, (uint32_t)i, d[i], i * 100 * MS);
        reply_at(&r, i * 100 * MS + d[i] + 5 * MS, &a);
    }
    session_stop(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, r.ns), TW_OK);
    assert_int_equal(r.sum.jitter[TW_FORWARD].ipdv_n, 3);
    assert_int_equal(r.sum.jitter[TW_FORWARD].ipdv_abs_sum_ns, 7 * MS);
    assert_int_equal(r.sum.jitter[TW_BACKWARD].ipdv_abs_sum_ns, 0);
    assert_int_equal(r.sum.jitter[TW_ROUNDTRIP].ipdv_abs_sum_ns, 7 * MS);
    assert_int_equal(r.sum.jitter[TW_FORWARD].ewma_n, 3);
    assert_int_equal(r.sum.jitter[TW_FORWARD].ewma_sum_ns, 125000 + 179688 + 418457);
    finish(&r);
}

/* The worked example of losses: (s, r) = (0,0) (1,1) (4,2) (5,3) (7,5) (9,7): 2 forward, 2 backward. */
static void loss_example(void **state)
{
    static const int number[10] = { 0, 1, -1, -1, 2, 3, -1, 5, -1, 7 };
    struct rig r = start(&base);

    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(probe_at(&r, i * 100 * MS), TW_OK);
        if (number[i] >= 0) {
            struct test_reply a = answer(&r, (uint32_t)number[i], 10 * MS, i * 100 * MS);
            reply_at(&r, i * 100 * MS + 20 * MS, &a);
        }
    }
    r.ns = 950 * MS;
    session_stop(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, 1799 * MS), TW_EAGAIN); /* 8 is awaited until 1800 */
    assert_int_equal(summary_at(&r, 1800 * MS), TW_OK);
    assert_true(r.sum.sent == 10 && r.sum.received == 6 && r.sum.lost_forward == 2 &&
                r.sum.lost_backward == 2 && r.sum.lost_unknown == 0);
    assert_true(r.sum.loss_runs == 3 && r.sum.loss_run_longest == 2 && r.sum.loss_run_longest_ns == 200 * MS);
    assert_int_equal(r.sum.runs.n, 3);
    for (int i = 0; i < 3; i++) {
        static const struct {
            uint32_t seq, probes;
            enum tw_direction direction;
        } want[] = { { 2, 2, TW_FORWARD }, { 6, 1, TW_BACKWARD }, { 8, 1, TW_BACKWARD } };
        const struct tw_loss_run *run = &r.sum.runs.v[i];
        assert_true(run->seq_first == want[i].seq && run->probes == want[i].probes &&
                    run->length_ns == want[i].probes * 100 * MS &&
                    run->start_ns == r.sum.start_ns + want[i].seq * 100 * MS && !run->continues_before &&
                    !run->continues_after);
        assert_int_equal(run->direction, want[i].direction);
    }
    assert_int_equal(r.sum.status, TW_STATUS_PARTIAL);
    finish(&r);
}

static void timeout_is_exact(void **state)
{
    static const struct {
        int64_t arrives, handed_over;
        bool late;
    } rows[] = { { S - 1, S - 1, false },
                 { S, S, true },
                 { S - 1, 3 * S, false } /* waited in the socket */,
                 { S, 3 * S, true } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = start(&base);
        struct session_rx rx = { { WALL0 + rows[i].arrives }, TW_TS_KERNEL, -1, -1 };
        uint8_t wire[TWAMP_REPLY_MIN];
        struct test_reply a;
        probe_at(&r, 0);
        a = answer(&r, 0, MS, 0);
        twamp_encode_reply(&a, wire, sizeof wire);
        r.ns = rows[i].handed_over;
        assert_int_equal(session_on_reply(r.s, now_of(&r), &rx, wire, sizeof wire), TW_OK);
        if (totals(&r).late != rows[i].late || totals(&r).received == rows[i].late)
            fail_msg("row %d: late %d received %d", (int)i, (int)totals(&r).late, (int)totals(&r).received);
        finish(&r);
    }
}

static void duplicates(void **state)
{
    static const struct {
        const char *name;
        bool stateful;
        uint32_t second;
        uint64_t forward, backward, unknown;
    } rows[] = {
        { "answer copied", true, 0, 0, 1, 0 },
        { "probe copied", true, 1, 1, 0, 0 },
        { "stateless", false, 0, 0, 0, 1 },
        { "shows that it counts", false, 1, 1, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct session_cfg cfg = base;
        struct test_reply a;
        struct rig r;
        cfg.reflector_stateful = rows[i].stateful;
        r = start(&cfg);
        probe_at(&r, 0);
        a = answer(&r, 0, MS, 0);
        reply_at(&r, 2 * MS, &a);
        a.seq = rows[i].second;
        assert_int_equal(reply_at(&r, 3 * MS, &a), TW_OK);
        session_stop(r.s, now_of(&r));
        assert_int_equal(summary_at(&r, r.ns), TW_OK);
        if (r.sum.duplicates_forward != rows[i].forward || r.sum.duplicates_backward != rows[i].backward ||
            r.sum.duplicates_unknown != rows[i].unknown || r.sum.received != 1 || r.sum.delay[2].count != 1)
            fail_msg("%s", rows[i].name);
        finish(&r);
    }
}

static void rejected(void **state)
{
    struct rig r = start(&base);
    struct session_rx rx = { { WALL0 }, TW_TS_KERNEL, -1, -1 };
    struct test_reply a;
    uint8_t wire[TWAMP_REPLY_MIN];

    (void)state;
    probe_at(&r, 0);
    a = answer(&r, 0, MS, 0);
    a.sender_seq = 1; /* not sent yet */
    assert_int_equal(reply_at(&r, MS, &a), TW_EINVAL);
    a.sender_seq = UINT32_MAX; /* before the first */
    assert_int_equal(reply_at(&r, MS, &a), TW_EINVAL);
    a = answer(&r, 0, MS, 0);
    a.sender_t1++; /* not what was sent */
    assert_int_equal(reply_at(&r, MS, &a), TW_EINVAL);
    a = answer(&r, 0, MS, 0);
    a.err_est = 0x8000;
    assert_int_equal(reply_at(&r, MS, &a), TW_EINVAL);
    twamp_encode_reply(&a, wire, sizeof wire);
    assert_int_equal(session_on_reply(r.s, now_of(&r), &rx, wire, 35), TW_ETRUNC);
    assert_int_equal(totals(&r).rejected, 5);
    assert_int_equal(totals(&r).in_flight, 1);
    finish(&r);
}

/* A reflector that returns T1 and T3 in each other's place: what it returns as T1 is not what was sent, which
 * rejected() covers. */
static void swapped_times_show_in_returned_t1(void **state)
{
    cJSON *doc = golden_load("light-domos");
    uint8_t probe[512], reply[512];
    struct test_reply a;
    struct test_probe p;
    size_t len;

    (void)state;
    len = golden_wire(cJSON_GetArrayItem(golden_packets(doc), 0), probe, sizeof probe);
    assert_int_equal(twamp_decode_probe(probe, len, &p), TW_OK);
    len = golden_wire(cJSON_GetArrayItem(golden_packets(doc), 1), reply, sizeof reply);
    assert_int_equal(twamp_decode_reply(reply, len, &a), TW_OK);
    assert_true(a.sender_t1 != p.t1);
    cJSON_Delete(doc);
}

static void contradicting_times(void **state)
{
    static const struct {
        const char *name;
        int64_t t2, t3, t4;
        bool valid;
    } rows[] = {
        { "good", MS, 2 * MS, 3 * MS, true },
        { "sent back before it came", 2 * MS, 2 * MS - 1, 3 * MS, false },
        { "more time there than passed here", MS, 9 * MS, 3 * MS, false },
        { "reflector a year away", 31536000 * S, 31536000 * S + MS, 3 * MS, true },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = start(&base);
        struct test_reply a;
        probe_at(&r, 0);
        a = answer(&r, 0, 0, 0);
        a.t2 = tw_wall_to_ntp((struct tw_wall){ WALL0 + rows[i].t2 });
        a.t3 = tw_wall_to_ntp((struct tw_wall){ WALL0 + rows[i].t3 });
        assert_int_equal(reply_at(&r, rows[i].t4, &a), TW_OK);
        session_stop(r.s, now_of(&r));
        assert_int_equal(summary_at(&r, r.ns), TW_OK);
        if (r.sum.received != 1 || r.sum.invalid_time == rows[i].valid ||
            r.sum.delay[2].count != rows[i].valid)
            fail_msg("%s", rows[i].name);
        finish(&r);
    }
}

/* The Z bit of the reflector says what T2 and T3 are; T1 stays as we sent it. RFC 8186. */
static void ptp_answers(void **state)
{
    struct rig r = start(&base);
    struct test_reply a;

    (void)state;
    probe_at(&r, 0);
    a = answer(&r, 0, 0, 0);
    a.err_est = 0x4001;
    a.t2 = tw_wall_to_ptp((struct tw_wall){ WALL0 + 4 * MS });
    a.t3 = tw_wall_to_ptp((struct tw_wall){ WALL0 + 5 * MS });
    assert_int_equal(reply_at(&r, 10 * MS, &a), TW_OK);
    probe_at(&r, 100 * MS);
    a = answer(&r, 1, 0, 0);
    a.err_est = 0x4001;
    a.t2 = a.t3 = UINT64_C(0x6b000000ffffffff); /* more than 10^9 ns */
    assert_int_equal(reply_at(&r, 110 * MS, &a), TW_OK);
    session_stop(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, r.ns), TW_OK);
    assert_int_equal(r.sum.invalid_time, 1);
    assert_int_equal(r.sum.delay[TW_FORWARD].min_ns, 4 * MS);
    assert_int_equal(r.sum.delay[TW_BACKWARD].min_ns, 5 * MS);
    finish(&r);
}

/* ---- Periods ---- */

static void periods_are_aligned_and_gapless(void **state)
{
    struct session_cfg cfg = base;
    int64_t end = WALL0 + 3 * S;
    struct rig r = { .ns = 3 * S };
    int n = 0;

    (void)state;
    cfg.spacing_ns = 700 * MS;
    session_new(&cfg, NULL, now_of(&r), &r.s);
    summary_init(&r.sum);
    while (n < 5) {
        int64_t due = session_next_due(r.s).ns - 5 * S;
        if (probe_at(&r, due > r.ns ? due : r.ns) == TW_OK) {
            struct test_reply a = answer(&r, probe_seq(&r), MS, r.ns);
            reply_at(&r, r.ns + 2 * MS, &a);
        }
        while (summary_at(&r, r.ns) == TW_OK) {
            assert_int_equal(r.sum.start_ns, end);
            assert_int_equal(r.sum.end_ns % (10 * S), 0);
            assert_true(r.sum.end_ns - r.sum.start_ns <= 10 * S);
            assert_int_equal(r.sum.status, TW_STATUS_OK);
            end = r.sum.end_ns;
            n++;
        }
    }
    finish(&r);
}

static void idle_periods_are_reported(void **state)
{
    static const enum tw_status want[] = { TW_STATUS_ALL_LOST, TW_STATUS_NOT_RUN, TW_STATUS_SEND_ERROR };
    struct session_cfg cfg = base;
    struct rig r;

    (void)state;
    cfg.spacing_ns = 20 * S;
    r = start(&cfg);
    assert_int_equal(probe_at(&r, 0), TW_OK);
    assert_int_equal(summary_at(&r, 10 * S),
                     TW_EAGAIN); /* the loss waits for an answer that tells its direction */
    assert_int_equal(summary_at(&r, 12 * S), TW_OK);
    assert_int_equal(r.sum.status, want[0]);
    assert_int_equal(r.sum.lost_unknown, 1);
    assert_int_equal(probe_at(&r, 20 * S), TW_OK);
    session_on_send_error(r.s);
    assert_int_equal(summary_at(&r, 20 * S), TW_OK);
    assert_int_equal(r.sum.status, want[1]);
    assert_int_equal(summary_at(&r, 30 * S), TW_OK);
    assert_int_equal(r.sum.status, want[2]);
    finish(&r);
}

static void long_stall_keeps_the_last_periods(void **state)
{
    struct rig r = start(&base);
    uint64_t n = 0, skipped = 0;
    int64_t start_ns = 0;

    (void)state;
    probe_at(&r, 0);
    assert_int_equal(probe_at(&r, 3600 * S), TW_OK);
    while (summary_at(&r, 3600 * S) == TW_OK) {
        assert_true(r.sum.start_ns > start_ns);
        start_ns = r.sum.start_ns;
        skipped += r.sum.skipped;
        n++;
    }
    assert_true(n >= 2);
    assert_int_equal(n + session_summaries_lost(r.s), 360);
    assert_int_equal(totals(&r).skipped, 35999);
    assert_true(skipped < 35999);
    finish(&r);
}

static void clock_step_splits_the_period(void **state)
{
    static const int64_t steps[] = { 7 * S, -7 * S, 60 * MS };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        struct rig r = start(&base);
        struct test_reply a;
        probe_at(&r, 0);
        a = answer(&r, 0, MS, 0);
        r.step_ns = steps[i]; /* while it is in flight */
        assert_int_equal(reply_at(&r, 2 * MS, &a), TW_OK);
        probe_at(&r, 100 * MS);
        a = answer(&r, 1, MS, 100 * MS);
        reply_at(&r, 102 * MS, &a);
        session_stop(r.s, now_of(&r));
        assert_int_equal(summary_at(&r, r.ns), TW_OK);
        assert_true(r.sum.sent == 1 && r.sum.received == 1 && r.sum.invalid_time == 1 &&
                    r.sum.clock_steps == 1);
        assert_true(r.sum.start_ns == WALL0 && r.sum.end_ns == WALL0 + 2 * MS);
        assert_int_equal(summary_at(&r, r.ns), TW_OK);
        if (r.sum.sent != 1 || r.sum.invalid_time || r.sum.clock_steps)
            fail_msg("step %d: sent %d invalid %d steps %d", (int)i, (int)r.sum.sent, (int)r.sum.invalid_time,
                     (int)r.sum.clock_steps);
        assert_int_equal(r.sum.start_ns, WALL0 + 2 * MS + steps[i]);
        assert_int_equal(r.sum.delay[TW_ROUNDTRIP].min_ns, 2 * MS);
        finish(&r);
    }
}

static void steps_told_are_counted_once(void **state)
{
    struct tw_clock_state c = { .steps = 3 };
    struct rig r = start(&base);

    (void)state;
    session_set_clock(r.s, &c); /* before our time */
    c.steps = 4;
    session_set_clock(r.s, &c);
    r.step_ns = 5 * S; /* found by ourselves a moment later: the same one */
    probe_at(&r, 100 * MS);
    session_flush(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, r.ns), TW_OK);
    assert_int_equal(r.sum.clock_steps, 1);
    assert_int_equal(summary_at(&r, r.ns), TW_OK);
    assert_int_equal(r.sum.clock_steps, 0);
    finish(&r);
}

/* A summary says the worst that was said of our clock in its span; the next one begins anew. */
static void the_worst_clock_of_the_span(void **state)
{
    struct tw_clock_state good = { .synced = true, .max_error_ns = 1000 }, lost = { .max_error_ns = 900000 };
    struct rig r = start(&base);

    (void)state;
    session_set_clock(r.s, &good);
    probe_at(&r, 0);
    session_set_clock(r.s, &lost);
    probe_at(&r, 100 * MS);
    session_set_clock(r.s, &good);
    probe_at(&r, 200 * MS);
    assert_int_equal(summary_at(&r, 12 * S), TW_OK);
    assert_true(!r.sum.clock_local.synced && r.sum.clock_local.max_error_ns == 900000);
    probe_at(&r, 12 * S);
    assert_int_equal(summary_at(&r, 22 * S), TW_OK);
    assert_true(r.sum.clock_local.synced && r.sum.clock_local.max_error_ns == 1000);
    finish(&r);
}

/* What is said before the first probe is not held against what was not known yet. */
static void the_first_word_of_the_clock(void **state)
{
    struct tw_clock_state good = { .synced = true, .max_error_ns = 1000, .steps = 7 };
    struct rig r = start(&base);

    (void)state;
    session_set_clock(r.s, &good);
    session_stop(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, 10 * S), TW_OK);
    assert_true(r.sum.clock_local.synced && r.sum.clock_local.steps == 7 && !r.sum.clock_steps);
    finish(&r);
}

/* Both ways together take 20 ms, so what the ways alone can look like ends at 20 ms. */
static void steps_of_the_other_clock(void **state)
{
    static const struct {
        const char *name;
        int64_t other_ns, ours_ns; /* steps before the third probe */
        unsigned steps;
    } cases[] = {
        { "ahead by 1 s", 1 * S, 0, 1 },
        { "back by 1 s", -1 * S, 0, 1 },
        { "ahead by 25 ms", 25 * MS, 0, 1 },
        { "15 ms may be the ways", 15 * MS, 0, 0 },
        { "none", 0, 0, 0 },
        { "ours was stepped, by too little to see", 0, 25 * MS, 0 },
        { "ours by an hour", 0, 3600 * S, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct rig r = start(&base);
        unsigned steps = 0;
        for (int64_t k = 0; k < 5; k++) {
            int64_t t = k * 100 * MS, other = k >= 2 ? cases[i].other_ns : 0;
            struct test_reply a;
            if (k == 2)
                r.step_ns = cases[i].ours_ns;
            assert_int_equal(probe_at(&r, t), TW_OK);
            a = answer(&r, (uint32_t)k, 10 * MS - r.step_ns + other, t);
            assert_int_equal(reply_at(&r, t + 20 * MS, &a), TW_OK);
        }
        session_stop(r.s, now_of(&r));
        while (summary_at(&r, r.ns) == TW_OK)
            steps += r.sum.clock_remote.steps;
        if (steps != cases[i].steps)
            fail_msg("%s: %u steps", cases[i].name, steps);
        finish(&r);
    }
}

static void flush_takes_back_what_is_in_flight(void **state)
{
    struct rig r = start(&base);
    struct test_reply a;

    (void)state;
    probe_at(&r, 0);
    a = answer(&r, 0, MS, 0);
    probe_at(&r, 100 * MS);
    reply_at(&r, 150 * MS, &a);
    session_flush(r.s, now_of(&r));
    assert_int_equal(summary_at(&r, r.ns), TW_OK);
    assert_true(r.sum.sent == 1 && r.sum.received == 1 && r.sum.status == TW_STATUS_OK);
    assert_true(session_done(r.s) && totals(&r).in_flight == 0 && totals(&r).sent == 1);
    a = answer(&r, 1, MS, 100 * MS);
    assert_int_equal(reply_at(&r, 160 * MS, &a), TW_EINVAL);
    finish(&r);
}

static void generation_goes_with_later_summaries(void **state)
{
    struct rig r = start(&base);

    (void)state;
    session_set_generation(r.s, 8);
    session_flush(r.s, (struct tw_now){ { 5 * S + 1 }, { WALL0 + 1 } });
    assert_int_equal(summary_at(&r, 1), TW_OK);
    assert_int_equal(r.sum.generation, 8);
    assert_int_equal(session_config(r.s)->generation, 8);
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_configurations),
        cmocka_unit_test(too_small_is_raised_to_what_the_form_needs),
        cmocka_unit_test(first_probe_keeps_the_phase),
        cmocka_unit_test(pacing_does_not_drift_or_burst),
        cmocka_unit_test(exponential_spacing_has_its_mean),
        cmocka_unit_test(full_ring_skips),
        cmocka_unit_test(padding_is_not_zero_and_repeats),
        cmocka_unit_test(count_ends_the_session),
        cmocka_unit_test(delays_and_attributes),
        cmocka_unit_test(jitter_example),
        cmocka_unit_test(loss_example),
        cmocka_unit_test(timeout_is_exact),
        cmocka_unit_test(duplicates),
        cmocka_unit_test(rejected),
        cmocka_unit_test(swapped_times_show_in_returned_t1),
        cmocka_unit_test(contradicting_times),
        cmocka_unit_test(ptp_answers),
        cmocka_unit_test(periods_are_aligned_and_gapless),
        cmocka_unit_test(idle_periods_are_reported),
        cmocka_unit_test(long_stall_keeps_the_last_periods),
        cmocka_unit_test(clock_step_splits_the_period),
        cmocka_unit_test(steps_told_are_counted_once),
        cmocka_unit_test(the_worst_clock_of_the_span),
        cmocka_unit_test(the_first_word_of_the_clock),
        cmocka_unit_test(steps_of_the_other_clock),
        cmocka_unit_test(flush_takes_back_what_is_in_flight),
        cmocka_unit_test(generation_goes_with_later_summaries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
