/* The flight recorder in a worker: what its thread records, and how the loop gets at it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/io/worker_priv.h"
#include "tests/unit/agent/io/worker_rig.h"

static const struct flight_span all = { 0, 0, INT64_MAX };

static void begin(struct rig *r, uint32_t loss_run)
{
    rig_prepare(r);
    r->cfg.flight_probes = 200;
    r->cfg.flight_bytes = 1 << 20;
    r->cfg.flight_loss_run = loss_run;
    rig_go(r);
}

static struct worker_flight ask(struct rig *r, uint64_t pair, const struct flight_span *span, size_t limit)
{
    struct worker_flight a = { .n = 0 };

    assert_int_equal(worker_flight(r->w, pair, 0, span, limit, &a), TW_OK);
    return a;
}

static void the_loop_gets_a_copy(void **state)
{
    enum { COUNT = 60 };
    struct rig r;
    struct tw_addr to;
    struct session_cfg cfg = rig_session(5, 0);
    struct worker_flight a;
    struct flight_span span;
    int64_t middle;

    (void)state;
    begin(&r, 3);
    to = rig_reflector(&r, 0);
    cfg.dscp = 46;
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, rig_counters(&r).probes_received >= COUNT);
    a = ask(&r, 5, &all, 50);
    assert_true(a.n == 50 && a.total >= COUNT && a.kept.n == a.total);
    for (size_t i = 0; i < a.n; i++) { /* the first ones: `at` is long ago */
        const struct flight_record *f = &a.records[i];
        if (f->seq != i || f->fate != FLIGHT_RECEIVED || !(f->flags & FLIGHT_TIMED) ||
            f->ttl_forward != 255 || f->tos_backward != 0xb8 || flight_rx_source(f) != TW_TS_KERNEL)
            fail_msg("record %zu: seq %u %s ttl %u tos %u", i, f->seq, flight_fate_name(f->fate),
                     f->ttl_forward, f->tos_backward);
    }
    middle = a.records[30].t1_ns;
    span = (struct flight_span){ middle, middle, middle + 1 };
    a = ask(&r, 5, &span, 50);
    assert_true(a.n == 1 && a.total == 1 && a.records[0].seq == 30);
    assert_int_equal(rig_counters(&r).flight_share, 200);
    assert_true(rig_counters(&r).flight_octets > 0);
    rig_end(&r);
}

static void who_runs_is_known(void **state)
{
    struct rig r;
    struct tw_addr to;
    struct worker_flight a;
    uint32_t flows[2] = { 99, 99 };

    (void)state;
    begin(&r, 3);
    to = rig_reflector(&r, 0);
    assert_int_equal(worker_flight(r.w, 7, 0, &all, 10, &a), TW_ENOENT);
    for (uint32_t flow = 0; flow < 3; flow++) {
        struct session_cfg cfg = rig_session(7, 0);
        cfg.flow = flow;
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    assert_int_equal(worker_flows(r.w, 7, flows, 2), 3);
    assert_true(flows[0] < 3 && flows[1] < 3 && flows[0] != flows[1]);
    assert_int_equal(worker_flows(r.w, 8, flows, 2), 0);
    assert_int_equal(worker_remove(r.w, 7, 0), TW_OK);
    assert_int_equal(worker_flows(r.w, 7, flows, 2), 2);
    assert_int_equal(worker_flight(r.w, 7, 0, &all, 10, &a), TW_ENOENT);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(worker_flight(r.w, 7, 1, &all, 10, &a), TW_OK);
    rig_end(&r);
}

/* Memory comes back when sessions go. */
static void an_ended_session_records_nothing(void **state)
{
    struct rig r;
    struct tw_addr to;
    struct session_cfg cfg = rig_session(3, 20);

    (void)state;
    begin(&r, 3);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    RIG_WAIT(&r, rig_counters(&r).flight_octets == 0);
    rig_end(&r);
}

static void lost_probes_are_an_incident(void **state)
{
    struct rig r;
    struct udpsock silent = rig_socket("127.0.0.1");
    struct session_cfg cfg = rig_session(9, 0);
    struct worker_incident c;
    struct worker_flight a;

    (void)state;
    begin(&r, 5);
    cfg.timeout_ns = 50 * TW_NS_PER_MS;
    assert_int_equal(rig_add(&r, &cfg, &silent.local, 255), TW_OK);
    RIG_WAIT(&r, worker_next_incident(r.w, &c) == TW_OK);
    assert_true(c.pair_id == 9 && c.flow == 0 && c.what.probes == 5 && !c.what.ended);
    assert_true(c.timeout_ns == cfg.timeout_ns && c.holds_ns == 200 * cfg.spacing_ns);
    a = ask(&r, 9, &all, 5);
    assert_true(a.n == 5 && a.records[0].t1_ns == c.what.start_ns);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(a.records[i].fate, FLIGHT_LOST);
    assert_int_equal(worker_next_incident(r.w, &c), TW_EAGAIN);
    rig_end(&r);
    udp_close(&silent);
}

static void off_means_off(void **state)
{
    struct rig r;
    struct tw_addr to;
    struct session_cfg cfg = rig_session(1, 0);
    struct worker_flight a;
    struct worker_incident c;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, rig_counters(&r).probes_received >= 5);
    assert_int_equal(worker_flight(r.w, 1, 0, &all, 10, &a), TW_ENOENT);
    assert_int_equal(worker_next_incident(r.w, &c), TW_EAGAIN);
    assert_int_equal(rig_counters(&r).flight_share, 0);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_loop_gets_a_copy),
        cmocka_unit_test(who_runs_is_known),
        cmocka_unit_test(an_ended_session_records_nothing),
        cmocka_unit_test(lost_probes_are_an_incident),
        cmocka_unit_test(off_means_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
