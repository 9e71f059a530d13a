/* Runs over loopback against a reflector of ours in the same process: counts, periods, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/io/worker.h"
#include "agent/tool/run.h"
#include "common/net/now.h"

struct rig {
    struct loop *loop;
    struct worker *reflector;
    struct tw_addr target;
    struct run *run;
    struct run_flow flows[4];
    struct run_cfg cfg;
    struct tw_summary total, flow_total[4];
    unsigned periods, samples[5];
    bool ended;
    int64_t last_start_ns;
    unsigned stop_after; /* samples; 0 = never */
    unsigned stall_after;
};

static void on_sample(void *ctx, unsigned flow, const struct session_sample *s)
{
    struct rig *r = ctx;

    assert_true(flow < r->cfg.n_flows && !r->ended);
    r->samples[s->kind]++;
    if (r->stall_after && !--r->stall_after)
        usleep(60000); /* the loop is held up */
    if (r->stop_after && !--r->stop_after)
        run_stop(r->run);
}

static void on_period(void *ctx, const struct run_period *p)
{
    struct rig *r = ctx;

    assert_false(r->ended);
    assert_true(p->total->start_ns >= r->last_start_ns); /* in order */
    r->last_start_ns = p->total->start_ns;
    r->periods++;
    summary_merge(&r->total, p->total);
    for (size_t i = 0; i < p->n_flows; i++)
        if (p->flows[i].end_ns)
            summary_merge(&r->flow_total[i], &p->flows[i]);
}

static void on_end(void *ctx)
{
    struct rig *r = ctx;

    assert_false(r->ended);
    r->ended = true;
}

static void open_flow(struct rig *r, size_t i)
{
    struct udp_conf conf = { .rcvbuf_bytes = 1 << 18 };
    struct tw_err err = { 0 };

    tw_addr_parse("127.0.0.1:0", 0, &conf.local);
    r->flows[i] = (struct run_flow){ .target = r->target };
    assert_int_equal(udp_open(&conf, &r->flows[i].sock, &err), TW_OK);
}

static void rig_open(struct rig *r, size_t flows, uint64_t count, bool reflector)
{
    struct worker_cfg wc = { .index = 0 };
    struct tw_err err = { 0 };

    *r = (struct rig){ .last_start_ns = 0 };
    assert_int_equal(loop_new(&r->loop), TW_OK);
    tw_addr_parse("127.0.0.1:0", 0, &wc.reflect[0]);
    assert_int_equal(worker_start(&wc, &r->reflector, &err), TW_OK);
    assert_int_equal(worker_reflector_addr(r->reflector, 0, &r->target), TW_OK);
    if (!reflector)
        worker_stop(r->reflector);
    summary_init(&r->total);
    for (size_t i = 0; i < 4; i++)
        summary_init(&r->flow_total[i]);
    r->cfg = (struct run_cfg){ .loop = r->loop,
                               .session = { .spacing_ns = 2 * TW_NS_PER_MS,
                                            .size_bytes = 41,
                                            .timeout_ns = 300 * TW_NS_PER_MS,
                                            .report_period_ns = RUN_ONE_PERIOD_NS,
                                            .count = count,
                                            .samples = 256 },
                               .flows = r->flows,
                               .n_flows = flows,
                               .tos = 0xb9,
                               .ttl = 64,
                               .on_sample = on_sample,
                               .on_period = on_period,
                               .on_end = on_end,
                               .ctx = r };
    for (size_t i = 0; i < flows; i++)
        open_flow(r, i);
}

static void rig_go(struct rig *r, int64_t limit_ns)
{
    struct tw_err err = { 0 };

    assert_int_equal(run_start(&r->cfg, &r->run, &err), TW_OK);
    for (size_t i = 0; i < r->cfg.n_flows; i++)
        assert_int_equal(r->flows[i].sock.fd, -1); /* the run's now */
    loop_run_until(r->loop, &r->ended, (struct tw_mono){ tw_mono_now().ns + limit_ns });
    assert_true(r->ended);
}

static void rig_close(struct rig *r)
{
    run_free(r->run);
    worker_stop(r->reflector);
    worker_free(r->reflector);
    summary_free(&r->total);
    for (size_t i = 0; i < 4; i++)
        summary_free(&r->flow_total[i]);
    loop_free(r->loop);
}

/* ---- Tests ---- */

static void counted_run(void **state)
{
    struct rig r;
    struct session_totals t;

    (void)state;
    rig_open(&r, 1, 50, true);
    rig_go(&r, 10 * TW_NS_PER_S);
    assert_int_equal(r.total.sent, 50);
    assert_int_equal(r.total.received, 50);
    assert_int_equal(r.samples[SAMPLE_RECEIVED], 50);
    assert_int_equal(r.periods, 1);
    assert_int_equal(r.total.tos_sent, 0xb9);
    assert_int_equal(r.total.ttl_forward.min, 64);
    assert_int_equal(r.total.tos_backward.max & 0xfc, 0xb8);
    assert_int_equal(r.total.rx_source, TW_TS_KERNEL);
    assert_int_equal(r.total.tx_source, TW_TS_KERNEL);
    assert_int_equal(r.total.tx_user_time, 0);
    assert_int_equal(r.total.status, TW_STATUS_OK);
    run_totals(r.run, &t);
    assert_int_equal(t.sent, 50);
    rig_close(&r);
}

/* Spinning ends within the time of one look at the clock; no thread is woken so exactly. */
static void precise_run(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, 2, 100, true);
    r.cfg.precise = true;
    rig_go(&r, 10 * TW_NS_PER_S);
    assert_int_equal(r.total.sent, 2 * 100);
    assert_int_equal(r.total.received, r.total.sent);
    assert_in_range(r.total.send_lateness.min_ns, 0, 5 * TW_NS_PER_US);
    rig_close(&r);
}

static void a_stall_is_told_with_the_result(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, 1, 40, true);
    r.stall_after = 5;
    rig_go(&r, 10 * TW_NS_PER_S);
    assert_int_equal(r.total.received, r.total.sent);
    assert_true(r.total.skipped > 0 && r.total.host_stalls >= 1);
    assert_true(r.total.host_stall_max_ns >= 50 * TW_NS_PER_MS);
    assert_int_not_equal(summary_trouble(&r.total), TW_TROUBLE_NONE);
    rig_close(&r);
}

static void flows_apart_and_together(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, 4, 25, true);
    r.cfg.session.report_period_ns = 400 * TW_NS_PER_MS; /* several of them, of all flows each */
    r.cfg.session.spacing_ns = 40 * TW_NS_PER_MS;
    rig_go(&r, 20 * TW_NS_PER_S);
    assert_int_equal(r.total.sent, 100);
    assert_int_equal(r.total.received, 100);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(r.flow_total[i].sent, 25);
    assert_in_range(r.periods, 3, 6);
    rig_close(&r);
}

static void nobody_answers(void **state)
{
    struct rig r;
    int64_t start = tw_mono_now().ns, took;

    (void)state;
    rig_open(&r, 1, 10, false);
    rig_go(&r, 10 * TW_NS_PER_S);
    took = tw_mono_now().ns - start;
    assert_int_equal(r.total.sent, 10);
    assert_int_equal(r.total.lost_unknown, 10);
    assert_int_equal(r.samples[SAMPLE_LOST], 10);
    assert_int_equal(r.total.status, TW_STATUS_ALL_LOST);
    assert_true(took >= 300 * TW_NS_PER_MS); /* the timeout */
    rig_close(&r);
}

static void stopped_half_way(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, 2, 0, true);
    r.stop_after = 20;
    rig_go(&r, 10 * TW_NS_PER_S);
    assert_in_range(r.total.sent, 20, 60);
    assert_int_equal(r.total.received, r.total.sent);
    rig_close(&r);
}

/* Unanswered probes are taken back when the run is stopped: nothing is known of them. */
static void stopped_without_answers(void **state)
{
    struct rig r;
    struct tw_err err = { 0 };
    int64_t start;
    bool never = false;

    (void)state;
    rig_open(&r, 1, 0, false);
    r.cfg.session.timeout_ns = 30 * TW_NS_PER_S;
    r.cfg.session.spacing_ns = 20 * TW_NS_PER_MS;
    assert_int_equal(run_start(&r.cfg, &r.run, &err), TW_OK);
    loop_run_until(r.loop, &never, (struct tw_mono){ tw_mono_now().ns + 100 * TW_NS_PER_MS });
    start = tw_mono_now().ns;
    run_stop(r.run);
    loop_run_until(r.loop, &r.ended, (struct tw_mono){ start + 5 * TW_NS_PER_S });
    assert_true(r.ended);
    assert_true(tw_mono_now().ns - start < 2 * TW_NS_PER_S);
    assert_int_equal(r.total.sent, 0);
    rig_close(&r);
}

/* Whoever asks twice is in a hurry. */
static void stopped_twice(void **state)
{
    struct rig r;
    struct tw_err err = { 0 };
    int64_t start;
    bool never = false;

    (void)state;
    rig_open(&r, 2, 0, false);
    r.cfg.session.timeout_ns = 30 * TW_NS_PER_S;
    assert_int_equal(run_start(&r.cfg, &r.run, &err), TW_OK);
    loop_run_until(r.loop, &never, (struct tw_mono){ tw_mono_now().ns + 20 * TW_NS_PER_MS });
    start = tw_mono_now().ns;
    run_stop(r.run);
    assert_false(r.ended);
    run_stop(r.run);
    assert_true(r.ended);
    run_stop(r.run); /* no effect */
    assert_true(tw_mono_now().ns - start < TW_NS_PER_S / 2);
    rig_close(&r);
}

/* Fault 7: only the right address and port, and a time that was sent. */
static void forged_answers(void **state)
{
    struct rig r;
    struct sockaddr_storage to;
    struct tw_err err = { 0 };
    uint8_t forged[41] = { 0 };
    bool never = false;
    socklen_t len;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    (void)state;
    rig_open(&r, 1, 20, true);
    len = tw_addr_to_sockaddr(&r.flows[0].sock.local, &to);
    forged[13] = 1; /* Error Estimate */
    assert_int_equal(run_start(&r.cfg, &r.run, &err), TW_OK);
    for (int i = 0; i < 30; i++) {
        forged[27] = (uint8_t)i; /* numbers that are on their way */
        assert_int_equal(sendto(fd, forged, sizeof forged, 0, (struct sockaddr *)&to, len), sizeof forged);
        loop_run_until(r.loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
    }
    loop_run_until(r.loop, &r.ended, (struct tw_mono){ tw_mono_now().ns + 5 * TW_NS_PER_S });
    assert_true(r.ended);
    assert_int_equal(r.total.received, 20);
    assert_int_equal(r.total.duplicates_unknown + r.total.duplicates_backward + r.total.duplicates_forward,
                     0);
    assert_in_range(r.total.rejected, 15, 30); /* those that came before the end */
    assert_true(r.total.delay[TW_ROUNDTRIP].max_ns < TW_NS_PER_S);
    close(fd);
    rig_close(&r);
}

static void probes_that_cannot_be_sent(void **state)
{
    struct rig r;

    (void)state;
    rig_open(&r, 1, 5, true);
    tw_addr_parse("255.255.255.255:20001", 0,
                  &r.flows[0].target); /* EACCES: broadcasting was not asked for */
    rig_go(&r, 10 * TW_NS_PER_S);
    assert_int_equal(r.total.sent, 0);
    assert_int_equal(r.total.send_errors, 5);
    assert_int_equal(r.samples[SAMPLE_SEND_ERROR], 5);
    assert_int_equal(r.total.status, TW_STATUS_SEND_ERROR);
    rig_close(&r);
}

static void too_much_in_flight(void **state)
{
    struct rig r;
    struct tw_err err = { 0 };

    (void)state;
    rig_open(&r, 2, 5, true);
    r.cfg.session.timeout_ns = 86400 * TW_NS_PER_S;
    r.cfg.session.spacing_ns = 1000;
    assert_int_equal(run_start(&r.cfg, &r.run, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "too many probes"));
    assert_null(r.run);
    for (int i = 0; i < 2; i++)
        udp_close(&r.flows[i].sock); /* still ours */
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counted_run),
        cmocka_unit_test(precise_run),
        cmocka_unit_test(a_stall_is_told_with_the_result),
        cmocka_unit_test(flows_apart_and_together),
        cmocka_unit_test(nobody_answers),
        cmocka_unit_test(stopped_half_way),
        cmocka_unit_test(forged_answers),
        cmocka_unit_test(stopped_without_answers),
        cmocka_unit_test(stopped_twice),
        cmocka_unit_test(too_much_in_flight),
        cmocka_unit_test(probes_that_cannot_be_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
