/* What a worker knows about its own host: stalls, waiting for a CPU, full socket buffers, the loopback
 * self-test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <stdlib.h>
#include <unistd.h>
#include "agent/io/schedstat.h"
#include "agent/io/worker_priv.h"
#include "tests/unit/agent/io/own_network.h"
#include "tests/unit/agent/io/worker_rig.h"

static struct session_cfg short_periods(uint64_t pair)
{
    struct session_cfg cfg = rig_session(pair, 0);

    cfg.report_period_ns = 300 * TW_NS_PER_MS;
    cfg.timeout_ns = 100 * TW_NS_PER_MS;
    return cfg;
}

static uint64_t wakeups_in(struct rig *r, int64_t ns)
{
    uint64_t before = rig_counters(r).wakeups;

    for (int64_t end_ns = tw_mono_now().ns + ns; tw_mono_now().ns < end_ns;)
        rig_turn(r);
    return rig_counters(r).wakeups - before;
}

/* ---- The self-test ---- */

static void the_self_test_is_seen_only_by_its_results(void **state)
{
    struct session_cfg cfg = short_periods(5);
    struct worker_live live[4];
    struct worker_counters c;
    const struct tw_noise *noise;
    struct tw_addr to;
    size_t n = 0;
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.self_test = true;
    rig_go(&r);
    assert_int_equal(wakeups_in(&r, 100 * TW_NS_PER_MS), 0); /* nothing to measure: nothing to test */
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.sum[5].noise.sent >= 5);
    assert_int_equal(worker_live(r.w, live, TW_NELEM(live), &n), TW_OK);
    assert_int_equal(n, 1);
    assert_int_equal(rig_counters(&r).sessions, 1);
    assert_int_equal(worker_remove(r.w, 5, 0), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    noise = &r.sum[5].noise;
    assert_int_equal(noise->lost, 0);
    assert_true(noise->p50_ns > 0 && noise->p50_ns <= noise->p99_ns && noise->p99_ns <= noise->max_ns);
    assert_int_equal(r.sum[0].sent, 0); /* the pair of no name */
    RIG_WAIT(&r, wakeups_in(&r, 300 * TW_NS_PER_MS) == 0);
    c = rig_counters(&r);
    assert_int_equal(c.probes_sent, r.sum[5].sent);
    assert_int_equal(c.probes_received, r.sum[5].received);
    assert_int_equal(c.reflected, r.sum[5].received);
    assert_int_equal(c.reflector_sessions, 1);
    assert_int_equal(c.unmatched + c.send_errors + c.probes_lost, 0);
    assert_true(c.self_test_sent > 0 && c.self_test_lost == 0);

    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK); /* and again */
    RIG_WAIT(&r, rig_counters(&r).self_test_sent > c.self_test_sent);
    rig_end(&r);
}

static void without_a_self_test_there_is_no_noise_floor(void **state)
{
    struct session_cfg cfg = short_periods(5);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.summaries >= 2);
    assert_int_equal(r.sum[5].noise.sent, 0);
    assert_int_equal(rig_counters(&r).self_test_sent, 0);
    rig_end(&r);
}

static void set_lo(unsigned long request, struct ifreq *rq)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    memcpy(rq->ifr_name, "lo", 3);
    assert_int_equal(ioctl(fd, request, rq), 0);
    close(fd);
}

static void start_v6(struct rig *r)
{
    struct tw_err err = { 0 };

    rig_prepare(r);
    r->cfg.self_test = true;
    r->cfg.reflect[0] = rig_addr("::1", 0);
    if (worker_start(&r->cfg, &r->w, &err))
        fail_msg("%s", err.text);
}

static void a_host_without_ipv4_tests_itself_too(void **state)
{
    struct ifreq rq = { .ifr_addr = { .sa_family = AF_INET } }; /* 0.0.0.0: takes the address away */
    int back = enter_own_network(65536);
    struct session_cfg cfg = short_periods(5);
    struct tw_addr to;
    struct rig r;

    (void)state;
    if (back < 0)
        skip();
    set_lo(SIOCSIFADDR, &rq);
    start_v6(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.sum[5].noise.sent > r.sum[5].noise.lost);
    rig_end(&r);
    leave_own_network(back);
}

/* The loopback device goes down while it runs. */
static void what_the_self_test_loses_is_counted(void **state)
{
    struct ifreq up = { .ifr_flags = IFF_UP }, down = { 0 };
    int back = enter_own_network(65536);
    struct session_cfg cfg = short_periods(5);
    struct tw_addr to;
    struct rig r;

    (void)state;
    if (back < 0)
        skip();
    rig_prepare(&r);
    r.cfg.self_test = true;
    rig_go(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.sum[5].noise.sent > 5);
    set_lo(SIOCSIFFLAGS, &down);
    RIG_WAIT(&r, r.sum[5].noise.lost > 0);
    assert_true(rig_counters(&r).self_test_lost > 0);
    assert_int_not_equal(summary_trouble(&r.sum[5]), TW_TROUBLE_NONE);
    set_lo(SIOCSIFFLAGS, &up);
    RIG_WAIT(&r, rig_counters(&r).self_test_sent > rig_counters(&r).self_test_lost + 3);
    rig_end(&r);
    leave_own_network(back);
}

/* ---- Held up: the clock's lock keeps the thread from its work ---- */

static void hold_up(struct rig *r, int ms)
{
    pthread_mutex_lock(&r->w->clock_lock);
    atomic_fetch_add(&r->w->clock_version, 1);
    poll(NULL, 0, ms);
    pthread_mutex_unlock(&r->w->clock_lock);
}

static void a_stall_is_told_with_the_result(void **state)
{
    struct session_cfg cfg = short_periods(5);
    struct tw_addr to;
    struct rig r;

    (void)state;
    cfg.report_period_ns = cfg.timeout_ns = TW_NS_PER_S; /* the reflector is held up, too */
    rig_start(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.summaries >= 1);
    hold_up(&r, 150);
    RIG_WAIT(&r, r.sum[5].host_stall_max_ns >= 140 * TW_NS_PER_MS);
    assert_int_equal(worker_remove(r.w, 5, 0), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_true(r.sum[5].host_stalls >= 1 && r.sum[5].skipped > 0);
    assert_int_equal(r.sum[5].received, r.sum[5].sent);
    assert_int_equal(r.sum[5].status, TW_STATUS_OK);
    assert_int_not_equal(summary_trouble(&r.sum[5]), TW_TROUBLE_NONE);
    assert_true(rig_counters(&r).host_stalls >= 1);
    rig_end(&r);
}

/* No timer is due, but a probe to be reflected waits. */
static void a_datagram_that_waits_is_a_stall(void **state)
{
    static const uint8_t probe[TWAMP_PROBE_MIN] = { [12] = 0x80, [13] = 1 };
    struct udpsock s;
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    s = rig_socket("127.0.0.1");
    to = rig_reflector(&r, 0);
    pthread_mutex_lock(&r.w->clock_lock);
    atomic_fetch_add(&r.w->clock_version, 1);
    rig_send(&r, &s, &to, 0, probe, sizeof probe); /* wakes it, and it waits for the lock */
    poll(NULL, 0, 20);
    pthread_mutex_unlock(&r.w->clock_lock);
    rig_recv(&r, &s);
    RIG_WAIT(&r, rig_counters(&r).host_stalls >= 1);
    udp_close(&s);
    rig_end(&r);
}

/* ---- A full socket buffer ---- */

struct probe_copy {
    uint8_t data[100];
    struct tw_addr from;
};

static void take_probe(struct rig *r, struct udpsock *s, struct probe_copy *ret)
{
    struct udp_in in = rig_recv(r, s);

    memcpy(ret->data, in.data, sizeof ret->data);
    ret->from = in.from;
}

/* As a TWAMP Light reflector that copies the number, RFC 5357 section 4.2.1. */
static void answer(struct rig *r, struct udpsock *s, const struct probe_copy *p)
{
    uint64_t now = tw_wall_to_ntp(tw_wall_now());
    uint8_t reply[100] = { 0 };

    memcpy(reply, p->data, 4);
    for (int i = 0; i < 8; i++)
        reply[4 + i] = reply[16 + i] = (uint8_t)(now >> (56 - 8 * i));
    reply[12] = 0x80;
    reply[13] = 1;
    memcpy(reply + 24, p->data, 14);
    reply[40] = 255;
    rig_send(r, s, &p->from, 0, reply, sizeof reply);
}

static void what_the_buffer_dropped_is_told_from_loss(void **state)
{
    enum { BEFORE = 60, COUNT = 120 };
    static struct probe_copy probes[COUNT];
    struct udp_conf small = { .local = rig_addr("127.0.0.1", 0), .rcvbuf_bytes = 1 };
    struct udpsock own = { .fd = -1 }, reflector;
    struct worker_session ws = { .cfg = rig_session(5, COUNT), .ttl = 255, .sock = &own };
    struct tw_err err = { 0 };
    const struct tw_summary *sum;
    struct stats_view v;
    struct rig r;

    (void)state;
    rig_start(&r);
    reflector = rig_socket("127.0.0.1");
    assert_int_equal(udp_open(&small, &own, &err), TW_OK);
    ws.target = reflector.local;
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    for (int i = 0; i < BEFORE; i++)
        take_probe(&r, &reflector, &probes[i]);
    pthread_mutex_lock(&r.w->clock_lock);
    atomic_fetch_add(&r.w->clock_version, 1);
    for (int i = 0; i < BEFORE; i++)
        answer(&r, &reflector, &probes[i]);
    pthread_mutex_unlock(&r.w->clock_lock);
    for (int i = BEFORE; i < COUNT; i++) {
        take_probe(&r, &reflector, &probes[i]);
        answer(&r, &reflector, &probes[i]);
    }
    RIG_WAIT(&r, r.ended == 1);
    sum = &r.sum[5];
    stats_view(sum, &v);
    assert_int_equal(sum->sent, COUNT);
    assert_true(sum->host_drops > 0 && sum->received > 0);
    assert_int_equal(v.lost, sum->host_drops); /* all of it is ours, and it says so */
    assert_string_equal(v.host_trouble, "drops");
    udp_close(&reflector);
    rig_end(&r);
}

/* ---- Waiting for a CPU ---- */

static _Atomic bool hogs_stop;

static void *hog(void *unused)
{
    (void)unused;
    while (!atomic_load(&hogs_stop))
        ;
    return NULL;
}

static int first_cpu(cpu_set_t *ret)
{
    cpu_set_t all;

    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    for (int i = 0; i < CPU_SETSIZE; i++) {
        if (!CPU_ISSET(i, &all))
            continue;
        CPU_ZERO(ret);
        CPU_SET(i, ret);
        return i;
    }
    return -1;
}

/* Four hogs on the worker's CPU: it gets its turn, but not at once. */
static void waiting_for_a_cpu_is_told_with_the_result(void **state)
{
    enum { HOGS = 4 };
    struct session_cfg cfg = short_periods(5);
    pthread_t t[HOGS];
    struct tw_addr to;
    cpu_set_t one;
    uint64_t ns;
    int fd = schedstat_open();
    struct rig r;

    (void)state;
    if (!schedstat_wait_ns(fd, &ns))
        skip(); /* this kernel does not tell */
    schedstat_close(fd);
    assert_true(first_cpu(&one) >= 0);
    rig_start(&r);
    assert_int_equal(pthread_setaffinity_np(r.w->thread, sizeof one, &one), 0);
    atomic_store(&hogs_stop, false);
    for (int i = 0; i < HOGS; i++) {
        assert_int_equal(pthread_create(&t[i], NULL, hog, NULL), 0);
        assert_int_equal(pthread_setaffinity_np(t[i], sizeof one, &one), 0);
    }
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.sum[5].host_cpu_wait_ppm > 0);
    atomic_store(&hogs_stop, true);
    for (int i = 0; i < HOGS; i++)
        pthread_join(t[i], NULL);
    rig_end(&r);
}

static void an_unknown_waiting_time_is_none(void **state)
{
    uint64_t ns = 7;

    (void)state;
    assert_false(schedstat_wait_ns(-1, &ns));
    assert_int_equal(ns, 7);
    schedstat_close(-1);
}

/* ---- Its thread ---- */

static void slow_beginning(void *ctx)
{
    usleep(50000);
    *(bool *)ctx = true;
}

/* The agent gives up capabilities there, and then filters system calls: capset(), late, would end the
 * process. */
static void its_thread_has_begun_when_it_is_started(void **state)
{
    bool begun = false;
    struct worker_cfg cfg = { .on_thread = slow_beginning, .ctx = &begun };
    struct worker *w = NULL;
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(worker_start(&cfg, &w, &err), TW_OK);
    assert_true(begun);
    worker_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_self_test_is_seen_only_by_its_results),
        cmocka_unit_test(without_a_self_test_there_is_no_noise_floor),
        cmocka_unit_test(a_host_without_ipv4_tests_itself_too),
        cmocka_unit_test(what_the_self_test_loses_is_counted),
        cmocka_unit_test(a_stall_is_told_with_the_result),
        cmocka_unit_test(a_datagram_that_waits_is_a_stall),
        cmocka_unit_test(what_the_buffer_dropped_is_told_from_loss),
        cmocka_unit_test(waiting_for_a_cpu_is_told_with_the_result),
        cmocka_unit_test(an_unknown_waiting_time_is_none),
        cmocka_unit_test(its_thread_has_begun_when_it_is_started),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
