#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "agent/core/session.h"
#include "common/wire.h"

#define US TW_NS_PER_US
#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S) /* a multiple of 10 s */
#define FOLLOW_UP_TLV 20

/* A session of STAMP with the Follow-Up Telemetry TLV. Probe i goes out at 100 ms * i; an answer takes 10 ms
 * each way, 1 ms between, unless a test says otherwise. */
struct rig {
    struct session *s;
    int64_t ns, step_ns; /* since the start; how much the wall clock has been set forward */
    uint64_t t1[128];
    struct tw_summary sum;
};

static struct tw_now now_of(const struct rig *r)
{
    return (struct tw_now){ { r->ns + 5 * S }, { WALL0 + r->ns + r->step_ns } };
}

static struct rig start_counted(uint64_t count, uint32_t seq_start)
{
    const struct session_cfg cfg = { .spacing_ns = 100 * MS,
                                     .timeout_ns = 1 * S,
                                     .report_period_ns = 10 * S,
                                     .reflector_stateful = true,
                                     .count = count,
                                     .seq_start = seq_start,
                                     .samples = 64 };
    const struct form_cfg fc = { .kind = FORM_STAMP, .tlvs.types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct form *form;
    struct rig r = { 0 };

    assert_int_equal(form_new(&fc, &form), TW_OK);
    assert_int_equal(session_new(&cfg, form, now_of(&r), &r.s), TW_OK);
    summary_init(&r.sum);
    return r;
}

static struct rig start(void)
{
    return start_counted(0, 0);
}

static void finish(struct rig *r)
{
    summary_free(&r->sum);
    session_free(r->s);
}

static int64_t sent_at(uint32_t i)
{
    return i * 100 * MS;
}

/* Sends probe i, and says that its time of leaving will be told, unless best is TW_TS_USER. */
static uint32_t send_probe(struct rig *r, uint32_t i, enum tw_ts_source best)
{
    uint8_t buf[TEST_DATAGRAM_MAX];
    struct test_probe p;
    size_t len;

    r->ns = sent_at(i);
    assert_int_equal(session_next_probe(r->s, now_of(r), buf, sizeof buf, &len), TW_OK);
    assert_int_equal(stamp_read_probe(NULL, buf, len, &p, NULL), TW_OK);
    r->t1[i] = p.t1;
    if (best == TW_TS_USER)
        return p.seq;
    assert_int_equal(session_await_txstamp(r->s, best), p.seq);
    return p.seq;
}

static enum tw_rc left_after(struct rig *r, uint32_t i, int64_t ns, enum tw_ts_source source)
{
    return session_on_txstamp(r->s, i, (struct tw_wall){ WALL0 + sent_at(i) + r->step_ns + ns }, source);
}

/* An answer, and what its Follow-Up Telemetry says: of_seq left left_ns after its T3. */
struct reply {
    uint32_t i, r;
    int64_t at;      /* ms after the start it arrives; 0 = 21 ms after the probe */
    bool told, bare; /* a follow-up is told; there is no TLV at all */
    uint32_t of_seq;
    int64_t left;   /* wall, ns since WALL0 */
    uint8_t method; /* 0 = software */
    bool ptp;
};

static int64_t t3_of(uint32_t i)
{
    return sent_at(i) + 11 * MS;
}

static uint64_t on_wire(int64_t ns, bool ptp)
{
    return ptp ? tw_wall_to_ptp((struct tw_wall){ WALL0 + ns })
               : tw_wall_to_ntp((struct tw_wall){ WALL0 + ns });
}

static enum tw_rc reply_to(struct rig *r, const struct reply *a, uint64_t t1)
{
    uint8_t wire[STAMP_BASE + FOLLOW_UP_TLV] = { 0 };
    struct wire_wr w = { .p = wire + STAMP_BASE, .end = wire + sizeof wire };
    struct test_reply p = { .seq = a->r,
                            .t2 = on_wire(t3_of(a->i) - MS + r->step_ns, a->ptp),
                            .sender_seq = a->i,
                            .sender_t1 = t1,
                            .sender_err_est = 1 };
    struct session_rx rx = { .source = TW_TS_KERNEL, .ttl = 61, .tos = 0 };

    r->ns = a->at ? a->at * MS : t3_of(a->i) + 10 * MS;
    rx.time = now_of(r).wall;
    assert_int_equal(stamp_write_reply(false, &p, wire, sizeof wire), TW_OK);
    stamp_seal_reply(NULL, 0, wire, on_wire(t3_of(a->i) + r->step_ns, a->ptp), a->ptp ? 0xc001 : 0x8001);
    wire_put_u8(&w, 0);
    wire_put_u8(&w, STAMP_TLV_FOLLOW_UP);
    wire_put_u16(&w, FOLLOW_UP_TLV - 4);
    wire_put_u32(&w, a->told ? a->of_seq : 0);
    wire_put_u64(&w, a->told ? on_wire(a->left, a->ptp) : 0);
    wire_put_u8(&w, a->told ? a->method ? a->method : STAMP_TS_SOFTWARE : 0);
    return session_on_reply(r->s, now_of(r), &rx, wire, a->bare ? STAMP_BASE : sizeof wire);
}

static void reply(struct rig *r, struct reply a)
{
    assert_int_equal(reply_to(r, &a, r->t1[a.i]), TW_OK);
}

/* No TLVs: nothing to follow up. */
static void plain_reply(struct rig *r, uint32_t i)
{
    reply(r, (struct reply){ .i = i, .r = i, .bare = true });
}

static bool take_sample(struct rig *r, struct session_sample *m)
{
    while (session_next_sample(r->s, m) == TW_OK)
        if (m->kind == SAMPLE_RECEIVED)
            return true;
    return false;
}

/* The delays of the next sample. */
static void expect_sample(struct rig *r, uint32_t seq, int64_t forward, int64_t backward,
                          enum tw_ts_source tx, bool followed_up)
{
    struct session_sample m;

    if (!take_sample(r, &m))
        fail_msg("there is no sample of probe %u", seq);
    if (m.seq != seq || !m.timed || m.forward_ns != forward || m.backward_ns != backward ||
        m.tx_source != tx || m.followed_up != followed_up || m.rx_source != TW_TS_KERNEL)
        fail_msg("probe %u (not %u): forward %lld, backward %lld, %s, followed up %d", m.seq, seq,
                 (long long)m.forward_ns, (long long)m.backward_ns, tw_ts_source_name(m.tx_source),
                 m.followed_up);
    assert_int_equal(m.t1_used.ns, m.t2.ns - forward);
    assert_int_equal(m.t3_used.ns, m.t4.ns - backward);
    assert_true(m.followed_up || m.t3_used.ns == m.t3.ns);
    assert_true(m.tx_source != TW_TS_USER || m.t1_used.ns == m.t1.ns);
}

static void expect_none(struct rig *r)
{
    struct session_sample m;
    struct session_totals t;

    if (take_sample(r, &m))
        fail_msg("a sample of probe %u comes too early", m.seq);
    session_totals(r->s, &t);
    assert_int_equal(t.sent, t.received + t.lost + t.in_flight);
}

static void tick(struct rig *r, int64_t ns)
{
    r->ns = ns;
    assert_int_equal(session_next_summary(r->s, now_of(r), &r->sum), TW_EAGAIN);
}

static const struct tw_summary *end(struct rig *r)
{
    struct tw_err err = { 0 };

    session_flush(r->s, now_of(r));
    assert_int_equal(session_next_summary(r->s, now_of(r), &r->sum), TW_OK);
    if (summary_validate(&r->sum, &err))
        fail_msg("the summary is not valid: %s %s", err.field, err.text);
    assert_true(r->sum.delay[TW_ROUNDTRIP].count + r->sum.invalid_time == r->sum.received);
    return &r->sum;
}

/* ---- When probes left ---- */

static void the_kernels_time_takes_the_place_of_t1(void **state)
{
    struct rig r = start();
    const struct tw_summary *sum;

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    assert_int_equal(left_after(&r, 0, 40 * US, TW_TS_KERNEL), TW_OK);
    assert_int_equal(left_after(&r, 0, 50 * US, TW_TS_KERNEL), TW_ENOENT); /* told already */
    plain_reply(&r, 0);
    expect_sample(&r, 0, 10 * MS - 40 * US, 10 * MS, TW_TS_KERNEL, false);
    sum = end(&r);
    assert_int_equal(sum->tx_source, TW_TS_KERNEL);
    assert_int_equal(sum->tx_user_time, 0);
    assert_int_equal(sum->delay[TW_ROUNDTRIP].max_ns, 20 * MS - 40 * US);
    finish(&r);
}

static void without_it_t1_counts_at_once(void **state)
{
    struct rig r = start();
    const struct tw_summary *sum;

    (void)state;
    send_probe(&r, 0, TW_TS_USER);
    assert_int_equal(left_after(&r, 0, 40 * US, TW_TS_KERNEL), TW_ENOENT); /* nobody asked */
    plain_reply(&r, 0);
    expect_sample(&r, 0, 10 * MS, 10 * MS, TW_TS_USER, false);
    sum = end(&r);
    assert_true(sum->tx_source == TW_TS_USER && sum->tx_user_time == 1);
    finish(&r);
}

static void a_late_one_is_awaited_for_a_moment(void **state)
{
    struct rig r = start();
    struct session_totals t;

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    plain_reply(&r, 0);
    expect_none(&r);
    session_totals(r.s, &t);
    assert_int_equal(t.received, 1); /* counted at once */
    tick(&r, 21 * MS + SESSION_TX_GRACE_NS - 1);
    expect_none(&r);
    assert_int_equal(left_after(&r, 0, 40 * US, TW_TS_KERNEL), TW_OK);
    expect_sample(&r, 0, 10 * MS - 40 * US, 10 * MS, TW_TS_KERNEL, false);
    assert_int_equal(end(&r)->tx_source, TW_TS_KERNEL);
    finish(&r);
}

static void a_missing_one_is_given_up(void **state)
{
    struct rig r = start();
    const struct tw_summary *sum;

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    plain_reply(&r, 0);
    assert_int_equal(session_next_due(r.s).ns, 5 * S + 21 * MS + SESSION_TX_GRACE_NS);
    tick(&r, 21 * MS + SESSION_TX_GRACE_NS);
    expect_sample(&r, 0, 10 * MS, 10 * MS, TW_TS_USER, false);
    assert_int_equal(left_after(&r, 0, 40 * US, TW_TS_KERNEL), TW_ENOENT);
    send_probe(&r, 1, TW_TS_KERNEL);
    assert_int_equal(left_after(&r, 1, 30 * US, TW_TS_KERNEL), TW_OK);
    plain_reply(&r, 1);
    expect_sample(&r, 1, 10 * MS - 30 * US, 10 * MS, TW_TS_KERNEL, false);
    sum = end(&r);
    assert_true(sum->tx_source == TW_TS_MIXED && sum->tx_user_time == 1);
    finish(&r);
}

static void what_cannot_be_is_not_believed(void **state)
{
    static const struct {
        const char *name;
        int64_t after;
        enum tw_rc rc;
    } rows[] = {
        { "before T1", -1, TW_EINVAL },
        { "long after T1", SESSION_LEFT_MAX_NS + 1, TW_EINVAL },
        { "another century", INT64_MIN / 2, TW_EINVAL },
        { "after the answer came", 20 * MS + 1, TW_OK }, /* only the answer shows it */
    };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(rows); k++) {
        struct rig r = start();
        send_probe(&r, 0, TW_TS_KERNEL);
        if (left_after(&r, 0, rows[k].after, TW_TS_KERNEL) != rows[k].rc)
            fail_msg("%s", rows[k].name);
        plain_reply(&r, 0);
        expect_sample(&r, 0, 10 * MS, 10 * MS, TW_TS_USER, false);
        assert_int_equal(end(&r)->tx_user_time, 1);
        finish(&r);
    }
}

/* Jitter is computed in order of arrival, so who waits holds up those behind him, who may have their times.
 */
static void answers_wait_in_order(void **state)
{
    struct rig r = start();

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    send_probe(&r, 1, TW_TS_KERNEL);
    assert_int_equal(left_after(&r, 1, 20 * US, TW_TS_KERNEL), TW_OK);
    reply(&r, (struct reply){ .i = 0, .r = 0, .at = 121, .bare = true });
    reply(&r, (struct reply){ .i = 1, .r = 1, .at = 121, .bare = true });
    expect_none(&r);
    assert_int_equal(left_after(&r, 0, 10 * US, TW_TS_KERNEL), TW_OK);
    expect_sample(&r, 0, 10 * MS - 10 * US, 110 * MS, TW_TS_KERNEL, false);
    expect_sample(&r, 1, 10 * MS - 20 * US, 10 * MS, TW_TS_KERNEL, false);
    assert_int_equal(end(&r)->jitter[TW_FORWARD].ipdv_abs_sum_ns, 10 * US);
    finish(&r);
}

static void hardware_is_better_and_may_come_second(void **state)
{
    static const struct {
        const char *name;
        int64_t kernel, hardware; /* 0: does not come */
        enum tw_ts_source source;
        int64_t used;
    } rows[] = {
        { "both", 40 * US, 45 * US, TW_TS_HARDWARE, 45 * US },
        { "hardware alone", 0, 45 * US, TW_TS_HARDWARE, 45 * US },
        { "kernel alone", 40 * US, 0, TW_TS_KERNEL, 40 * US },
        { "hardware not credible", 40 * US, -5, TW_TS_KERNEL, 40 * US },
        { "kernel not credible", -5, 45 * US, TW_TS_HARDWARE, 45 * US },
        { "none credible", -5, -5, TW_TS_USER, 0 },
        { "none", 0, 0, TW_TS_USER, 0 },
    };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(rows); k++) {
        struct rig r = start();
        send_probe(&r, 0, TW_TS_HARDWARE);
        if (rows[k].kernel)
            left_after(&r, 0, rows[k].kernel, TW_TS_KERNEL);
        plain_reply(&r, 0);
        if (rows[k].kernel > 0)
            expect_none(&r); /* a better one is awaited */
        if (rows[k].hardware)
            left_after(&r, 0, rows[k].hardware, TW_TS_HARDWARE);
        tick(&r, 21 * MS + SESSION_TX_GRACE_NS);
        expect_sample(&r, 0, 10 * MS - rows[k].used, 10 * MS, rows[k].source, false);
        assert_int_equal(left_after(&r, 0, 50 * US, TW_TS_HARDWARE), TW_ENOENT);
        assert_int_equal(end(&r)->tx_source, rows[k].source);
        finish(&r);
    }
}

/* A jump of the wall clock between T1 and the kernel's time: neither is the delay right nor the period mixed.
 */
static void the_clock_steps_before_it_left(void **state)
{
    static const int64_t steps[] = { 2 * S, -2 * S, 300 * MS };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(steps); k++) {
        struct rig r = start();
        send_probe(&r, 0, TW_TS_KERNEL);
        r.step_ns = steps[k];
        left_after(&r, 0, 40 * US, TW_TS_KERNEL);
        plain_reply(&r, 0);
        r.ns = 60 * MS;
        session_flush(r.s, now_of(&r));
        assert_int_equal(session_next_summary(r.s, now_of(&r), &r.sum), TW_OK);
        assert_true(r.sum.received == 1 && r.sum.invalid_time == 1 && !r.sum.delay[TW_FORWARD].count);
        finish(&r);
    }
}

/* The clock steps while an answer waits: its delays are of the time before. */
static void the_clock_steps_while_an_answer_waits(void **state)
{
    struct rig r = start();

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    plain_reply(&r, 0);
    r.step_ns = 3 * S;
    r.ns = 40 * MS;
    session_next_summary(r.s, now_of(&r), &r.sum);
    expect_sample(&r, 0, 10 * MS, 10 * MS, TW_TS_USER, false);
    assert_int_equal(left_after(&r, 0, 40 * US, TW_TS_KERNEL), TW_ENOENT);
    finish(&r);
}

static void of_other_probes(void **state)
{
    struct rig r = start_counted(0, UINT32_MAX);

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    session_on_send_error(r.s);
    assert_int_equal(left_after(&r, UINT32_MAX, 0, TW_TS_KERNEL), TW_ENOENT); /* taken back */
    assert_int_equal(send_probe(&r, 1, TW_TS_KERNEL), UINT32_MAX);
    assert_int_equal(send_probe(&r, 2, TW_TS_KERNEL), 0);            /* wraps */
    assert_int_equal(left_after(&r, 1, 0, TW_TS_KERNEL), TW_ENOENT); /* not sent yet */
    assert_int_equal(left_after(&r, UINT32_MAX - 1, 0, TW_TS_KERNEL), TW_ENOENT);
    assert_int_equal(
        session_on_txstamp(r.s, UINT32_MAX, (struct tw_wall){ WALL0 + sent_at(1) + US }, TW_TS_KERNEL),
        TW_OK);
    finish(&r);
}

/* The last answers of a session: no one is awaited for longer than the grace. */
static void a_stopped_session_waits_no_longer(void **state)
{
    struct rig r = start_counted(1, 0);

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    reply(&r, (struct reply){ .i = 0, .r = 0 }); /* nor is the follow-up awaited, which no answer will tell */
    assert_false(session_done(r.s));
    r.ns = session_next_due(r.s).ns - 5 * S;
    assert_int_equal(r.ns, 21 * MS + SESSION_TX_GRACE_NS);
    assert_int_equal(session_next_summary(r.s, now_of(&r), &r.sum), TW_OK);
    assert_int_equal(r.sum.delay[TW_ROUNDTRIP].count, 1);
    assert_true(session_done(r.s));
    expect_sample(&r, 0, 10 * MS, 10 * MS, TW_TS_USER, false);
    finish(&r);
}

/* ---- When answers left ---- */

static void send_all(struct rig *r, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        send_probe(r, i, TW_TS_USER);
}

static struct reply followed(uint32_t i, uint32_t of, int64_t left)
{
    return (struct reply){ .i = i, .r = i, .told = true, .of_seq = of, .left = t3_of(of) + left };
}

static void a_follow_up_takes_the_place_of_t3(void **state)
{
    struct rig r = start();
    const struct tw_summary *sum;

    (void)state;
    send_probe(&r, 0, TW_TS_USER);
    reply(&r, (struct reply){ .i = 0, .r = 0 });
    expect_none(&r);
    send_probe(&r, 1, TW_TS_USER);
    reply(&r, followed(1, 0, 70 * US));
    expect_sample(&r, 0, 10 * MS, 10 * MS - 70 * US, TW_TS_USER, true);
    expect_none(&r);
    sum = end(&r);
    assert_int_equal(sum->followed_up, 1);
    assert_int_equal(sum->delay[TW_BACKWARD].count, 2);
    assert_int_equal(sum->delay[TW_BACKWARD].min_ns, 10 * MS - 70 * US);
    assert_int_equal(sum->residence_sum_ns, 2 * MS + 70 * US);
    expect_sample(&r, 1, 10 * MS, 10 * MS, TW_TS_USER, false);
    finish(&r);
}

static void both_ends_tell(void **state)
{
    struct rig r = start();

    (void)state;
    send_probe(&r, 0, TW_TS_KERNEL);
    reply(&r, (struct reply){ .i = 0, .r = 0 });
    assert_int_equal(left_after(&r, 0, 40 * US, TW_TS_KERNEL), TW_OK);
    expect_none(&r);
    send_probe(&r, 1, TW_TS_USER);
    reply(&r, followed(1, 0, 70 * US));
    expect_sample(&r, 0, 10 * MS - 40 * US, 10 * MS - 70 * US, TW_TS_KERNEL, true);
    finish(&r);
}

static void follow_ups_that_are_not_believed(void **state)
{
    const struct {
        const char *name;
        struct reply a;
    } rows[] = {
        { "before T3", followed(1, 0, -1) },
        { "long after T3", followed(1, 0, SESSION_LEFT_MAX_NS + 1) },
        { "after the answer came", followed(1, 0, 120 * MS + 1) },
        { "by a method that is none", { 1, 1, 0, true, false, 0, t3_of(0) + 70 * US, 9, false } },
        { "by the control plane", { 1, 1, 0, true, false, 0, t3_of(0) + 70 * US, STAMP_TS_CONTROL, false } },
    };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(rows); k++) {
        struct rig r = start();
        send_all(&r, 2);
        reply(&r, (struct reply){ .i = 0, .r = 0, .at = 121 });
        reply(&r, rows[k].a);
        if (end(&r)->followed_up)
            fail_msg("%s", rows[k].name);
        expect_sample(&r, 0, 10 * MS, 110 * MS, TW_TS_USER, false);
        finish(&r);
    }
}

static void follow_ups_in_ptp_format(void **state)
{
    struct rig r = start();

    (void)state;
    send_all(&r, 2);
    reply(&r, (struct reply){ .i = 0, .r = 0, .ptp = true, .at = 121 });
    reply(&r, (struct reply){
                  .i = 1, .r = 1, .ptp = true, .told = true, .of_seq = 0, .left = t3_of(0) + 70 * US });
    expect_sample(&r, 0, 10 * MS, 110 * MS - 70 * US, TW_TS_USER, true);
    finish(&r);
}

/* The answer that would have told is lost: later ones show it. */
static void a_lost_follow_up_is_given_up(void **state)
{
    struct rig r = start();

    (void)state;
    send_all(&r, 6);
    reply(&r, (struct reply){ .i = 0, .r = 0, .at = 521 });
    reply(&r, (struct reply){ .i = 2, .r = 2, .at = 522, .told = true, .of_seq = 1, .left = t3_of(1) });
    reply(&r, (struct reply){ .i = 3, .r = 3, .at = 523, .told = true, .of_seq = 2, .left = t3_of(2) + US });
    expect_none(&r);
    reply(&r, (struct reply){ .i = 4, .r = 4, .at = 524, .told = true, .of_seq = 3, .left = t3_of(3) + US });
    expect_sample(&r, 0, 10 * MS, 510 * MS, TW_TS_USER, false);
    expect_sample(&r, 2, 10 * MS, 311 * MS - US, TW_TS_USER, true); /* had waited behind it */
    expect_sample(&r, 3, 10 * MS, 212 * MS - US, TW_TS_USER, true);
    expect_none(&r);
    finish(&r);
}

/* Answer 1 is overtaken by 2, which tells of it before it is here. */
static void an_overtaken_answer_is_followed_up(void **state)
{
    struct rig r = start();

    (void)state;
    send_all(&r, 3);
    reply(&r, (struct reply){ .i = 0, .r = 0, .at = 221 });
    reply(&r, (struct reply){ .i = 2, .r = 2, .at = 222, .told = true, .of_seq = 1, .left = t3_of(1) + US });
    reply(&r, (struct reply){ .i = 1, .r = 1, .at = 223, .told = true, .of_seq = 0, .left = t3_of(0) + US });
    expect_sample(&r, 0, 10 * MS, 210 * MS - US, TW_TS_USER, true);
    expect_none(&r); /* 2 waits, and 1 behind it has all there is */
    assert_int_equal(end(&r)->followed_up, 2);
    expect_sample(&r, 2, 10 * MS, 11 * MS, TW_TS_USER, false);
    expect_sample(&r, 1, 10 * MS, 112 * MS - US, TW_TS_USER, true);
    finish(&r);
}

static void a_second_copy_tells_as_well_and_only_once(void **state)
{
    struct rig r = start();

    (void)state;
    send_all(&r, 2);
    reply(&r, (struct reply){ .i = 0, .r = 0, .at = 121 });
    reply(&r, (struct reply){ .i = 1, .r = 1, .at = 122, .told = true, .of_seq = 0, .left = t3_of(0) + US });
    reply(&r, (struct reply){ .i = 1, .r = 1, .at = 123, .told = true, .of_seq = 0, .left = t3_of(0) + 9 });
    expect_sample(&r, 0, 10 * MS, 110 * MS - US, TW_TS_USER, true);
    assert_int_equal(end(&r)->followed_up, 1);
    finish(&r);
}

static void a_reflector_that_never_knows(void **state)
{
    struct rig r = start();

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        send_probe(&r, i, TW_TS_USER);
        reply(&r, (struct reply){ .i = i, .r = i });
    }
    for (uint32_t i = 0; i < 16; i++)
        expect_sample(&r, i, 10 * MS, 10 * MS, TW_TS_USER, false);
    assert_true(end(&r)->followed_up == 0 && r.sum.delay[TW_BACKWARD].count == 20);
    finish(&r);
}

/* It tells of another session, or has lost its count: no memory but a bounded one is spent on that. */
static void the_queue_is_bounded(void **state)
{
    struct rig r = start();

    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        send_probe(&r, i, TW_TS_USER);
        reply(&r, (struct reply){ .i = i, .r = i, .told = true, .of_seq = i + 1000000000, .left = t3_of(i) });
    }
    assert_true(end(&r)->delay[TW_BACKWARD].count == 40 && !r.sum.followed_up);
    finish(&r);
}

static void a_restarted_reflector_settles_what_waits(void **state)
{
    struct rig r = start();

    (void)state;
    send_all(&r, 2);
    reply(&r, (struct reply){ .i = 0, .r = 5000, .at = 121 });
    expect_none(&r);
    reply(&r, (struct reply){ .i = 1, .r = 0, .at = 122 });
    expect_sample(&r, 0, 10 * MS, 110 * MS, TW_TS_USER, false);
    finish(&r);
}

/* No answer ever tells: the period closes at the time at which it would have closed with losses undecided. */
static void a_period_closes_without_follow_up(void **state)
{
    struct rig r = start();

    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        send_probe(&r, i, TW_TS_USER);
    reply(&r, (struct reply){ .i = 99, .r = 0 });
    r.ns = 11 * S + 499 * MS;
    assert_int_equal(session_next_summary(r.s, now_of(&r), &r.sum), TW_EAGAIN);
    r.ns = 11 * S + 500 * MS;
    assert_int_equal(session_next_summary(r.s, now_of(&r), &r.sum), TW_OK);
    assert_true(r.sum.received == 1 && r.sum.delay[TW_BACKWARD].count == 1 && !r.sum.followed_up);
    expect_sample(&r, 99, 10 * MS, 10 * MS, TW_TS_USER, false);
    finish(&r);
}

/* What is remembered of a probe is overwritten after a while; its delays are in by then. */
static void the_memory_comes_round(void **state)
{
    struct rig r = start();

    (void)state;
    send_probe(&r, 0, TW_TS_USER);
    reply(&r, (struct reply){ .i = 0, .r = 0 });
    for (uint32_t i = 1; i < 15; i++)
        send_probe(&r, i, TW_TS_USER);
    expect_none(&r);
    send_probe(&r, 15, TW_TS_USER);
    expect_sample(&r, 0, 10 * MS, 10 * MS, TW_TS_USER, false);
    assert_int_equal(end(&r)->delay[TW_ROUNDTRIP].count, 1);
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernels_time_takes_the_place_of_t1),
        cmocka_unit_test(without_it_t1_counts_at_once),
        cmocka_unit_test(a_late_one_is_awaited_for_a_moment),
        cmocka_unit_test(a_missing_one_is_given_up),
        cmocka_unit_test(what_cannot_be_is_not_believed),
        cmocka_unit_test(answers_wait_in_order),
        cmocka_unit_test(hardware_is_better_and_may_come_second),
        cmocka_unit_test(the_clock_steps_before_it_left),
        cmocka_unit_test(the_clock_steps_while_an_answer_waits),
        cmocka_unit_test(of_other_probes),
        cmocka_unit_test(a_stopped_session_waits_no_longer),
        cmocka_unit_test(a_follow_up_takes_the_place_of_t3),
        cmocka_unit_test(both_ends_tell),
        cmocka_unit_test(follow_ups_that_are_not_believed),
        cmocka_unit_test(follow_ups_in_ptp_format),
        cmocka_unit_test(a_lost_follow_up_is_given_up),
        cmocka_unit_test(an_overtaken_answer_is_followed_up),
        cmocka_unit_test(a_second_copy_tells_as_well_and_only_once),
        cmocka_unit_test(a_reflector_that_never_knows),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(a_restarted_reflector_settles_what_waits),
        cmocka_unit_test(a_period_closes_without_follow_up),
        cmocka_unit_test(the_memory_comes_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
