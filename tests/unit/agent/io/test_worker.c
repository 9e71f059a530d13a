#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "agent/io/worker_priv.h"
#include "tests/unit/agent/io/own_network.h"
#include "tests/unit/agent/io/worker_rig.h"

/* ---- Measuring ---- */

static void measures_a_reflector(void **state)
{
    enum { COUNT = 50 };
    struct rig r;
    struct worker_counters c;

    (void)state;
    rig_start(&r);
    for (uint64_t pair = 0; pair < 2; pair++) { /* IPv4, IPv6 */
        struct session_cfg cfg = rig_session(pair, COUNT);
        struct tw_addr to = rig_reflector(&r, pair);
        cfg.dscp = 46;
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, r.ended == 2);
    for (size_t pair = 0; pair < 2; pair++) {
        const struct tw_summary *s = &r.sum[pair];
        if (r.last_end[pair].rc || s->sent != COUNT || s->received != COUNT || s->status != TW_STATUS_OK ||
            s->rx_source != TW_TS_KERNEL || s->tx_source != TW_TS_KERNEL || s->tx_user_time ||
            s->tos_sent != 0xb8 || s->tos_backward.min != 0xb8 || s->tos_backward.max != 0xb8 ||
            s->ttl_forward.min != 255 || s->ttl_backward.min != 255 ||
            s->delay[TW_ROUNDTRIP].count != COUNT || s->delay[TW_ROUNDTRIP].min_ns <= 0)
            fail_msg("pair %zu: sent %llu received %llu invalid %llu tx %s rx %s tos %u ttl %u %u", pair,
                     (unsigned long long)s->sent, (unsigned long long)s->received,
                     (unsigned long long)s->invalid_time, tw_ts_source_name(s->tx_source),
                     tw_ts_source_name(s->rx_source), s->tos_backward.min, s->ttl_forward.min,
                     s->ttl_backward.min);
    }
    RIG_WAIT(&r, rig_counters(&r).sessions == 0);
    c = rig_counters(&r);
    assert_int_equal(c.probes_sent, 2 * COUNT);
    assert_int_equal(c.probes_received, 2 * COUNT);
    assert_int_equal(c.reflected, 2 * COUNT);
    assert_int_equal(c.reflector_sessions, 2);
    assert_int_equal(c.probes_lost + c.send_errors + c.unmatched + c.reflector_rejected + c.rx_user_time, 0);
    assert_int_equal(c.tx_stamps, 2 * COUNT);
    assert_int_equal(c.tx_stamps_late + c.tx_stamps_refused + c.tx_stamps_missing, 0);
    rig_end(&r);
}

/* Loopback has no card: the sessions wait for one until it is clear that none tells, and then no more. */
static void without_a_card_the_kernel_does(void **state)
{
    struct session_cfg cfg = rig_session(0, 100);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.hw_times = true;
    rig_go(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[0].received, 100);
    assert_int_equal(r.sum[0].tx_source, TW_TS_KERNEL);
    assert_int_equal(r.sum[0].rx_source, TW_TS_KERNEL);
    assert_int_equal(r.sum[0].delay[TW_ROUNDTRIP].count + r.sum[0].invalid_time, 100);
    rig_end(&r);
}

/* A card whose clock is 37 s ahead (TAI) and agrees with the kernel's stamps, or not. */
static void what_a_card_says_is_held_against_the_kernel(void **state)
{
    static const struct {
        const char *name;
        uint32_t interface;
        int64_t before_ns; /* of the kernel's stamp */
        bool believed;
    } rows[] = {
        { "a little before", 3, 4000, true },
        { "interface not told", 0, 4000, true },
        { "at the same time", 3, 0, true },
        { "held back", 3, 40 * TW_NS_PER_MS, true },
        { "too long before", 3, 60 * TW_NS_PER_MS, false },
        { "after it", 3, -TW_NS_PER_MS, false },
        { "of another card", 4, 4000, false },
    };
    const int64_t tai = 37 * TW_NS_PER_S;
    struct worker_phc phc = { .interface = 3 };
    struct tw_wall now = tw_wall_now();
    struct rig r;

    (void)state;
    rig_prepare(&r);
    assert_int_equal(worker_open(&r.cfg, &r.w, NULL), TW_OK); /* no thread */
    for (int i = 3; i >= 0; i--) {
        int64_t at = now.ns - i * TW_NS_PER_S;
        phc_map_add(&phc.map, (struct tw_wall){ at }, at + tai, (struct tw_wall){ at + 1000 });
    }
    worker_set_phcs(r.w, &phc, 1);
    worker_apply_phcs(r.w);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct udp_in in = { .time = now,
                             .source = TW_TS_KERNEL,
                             .phc_ns = now.ns - rows[i].before_ns + tai,
                             .phc_interface = rows[i].interface };
        enum tw_ts_source source;
        struct tw_wall t;
        worker_rx_time(r.w, &in, &t, &source);
        if ((source == TW_TS_HARDWARE) != rows[i].believed ||
            llabs(t.ns - now.ns + (rows[i].believed ? rows[i].before_ns : 0)) > 2000)
            fail_msg("%s: %s, %lld ns before", rows[i].name, tw_ts_source_name(source),
                     (long long)(now.ns - t.ns));
    }
    rig_end(&r);
}

static void the_kernel_is_not_asked_if_so_told(void **state)
{
    struct session_cfg cfg = rig_session(0, 20);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.user_tx_times = true;
    rig_go(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[0].received, 20);
    assert_int_equal(r.sum[0].tx_source, TW_TS_USER);
    assert_int_equal(r.sum[0].tx_user_time, 20);
    assert_int_equal(rig_counters(&r).tx_stamps, 0);
    rig_end(&r);
}

/* Both ends of STAMP with Follow-Up Telemetry: every time but the last T3 is the kernel's. */
static void answers_tell_when_those_before_them_left(void **state)
{
    const struct form_cfg fc = { .kind = FORM_STAMP,
                                 .ssid = 7,
                                 .tlvs.types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct worker_session ws = { .cfg = rig_session(0, 50), .ttl = 255 };
    const struct tw_summary *s;
    struct rig r;

    (void)state;
    rig_start(&r);
    s = &r.sum[0];
    ws.target = rig_reflector(&r, 0);
    assert_int_equal(form_new(&fc, &ws.form), TW_OK);
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    if (s->received != 50 || s->delay[TW_ROUNDTRIP].count + s->invalid_time != 50 ||
        s->tx_source != TW_TS_KERNEL || s->followed_up < 40 || s->followed_up > 49)
        fail_msg("received %llu, timed %llu, tx %s, followed up %llu", (unsigned long long)s->received,
                 (unsigned long long)s->delay[TW_ROUNDTRIP].count, tw_ts_source_name(s->tx_source),
                 (unsigned long long)s->followed_up);
    rig_end(&r);
}

static const struct {
    const char *name;
    uint16_t size;
} sizes[] = { { "least", TWAMP_PROBE_MIN },
              { "as the answer", TWAMP_REPLY_MIN },
              { "most", TEST_DATAGRAM_MAX } };

static void probes_of_all_sizes_come_back(void **state)
{
    struct rig r;
    struct tw_addr to;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    for (uint64_t i = 0; i < TW_NELEM(sizes); i++) {
        struct session_cfg cfg = rig_session(i, 5);
        cfg.size_bytes = sizes[i].size;
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, r.ended == TW_NELEM(sizes));
    for (size_t i = 0; i < TW_NELEM(sizes); i++) {
        if (r.sum[i].sent != 5 || r.sum[i].received != 5)
            fail_msg("%s: received %llu of %llu", sizes[i].name, (unsigned long long)r.sum[i].received,
                     (unsigned long long)r.sum[i].sent);
    }
    rig_end(&r);
}

static void clock_state_reaches_summaries_and_answers(void **state)
{
    const struct tw_clock_state good = { .synced = true, .max_error_ns = 2 * TW_NS_PER_MS };
    struct session_cfg cfg = rig_session(1, 10);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    worker_set_clock(r.w, &good);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_true(r.sum[1].clock_local.synced);
    assert_int_equal(r.sum[1].clock_local.max_error_ns, good.max_error_ns);
    assert_true(r.sum[1].clock_remote_known);
    assert_true(r.sum[1].clock_remote.synced);
    assert_in_range(r.sum[1].clock_remote.max_error_ns, good.max_error_ns, good.max_error_ns * 102 / 100);
    rig_end(&r);
}

/* From the first step on the worker looks itself, and for a while calls no clock synchronised; what the kernel says then
 * does not matter here. The probes' own error estimates say it, too, and the reflector's answers. */
static void a_step_shows_at_both_ends(void **state)
{
    struct tw_clock_state c = { .synced = true, .max_error_ns = 2 * TW_NS_PER_MS };
    struct session_cfg cfg = rig_session(1, 10), later = rig_session(2, 10);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    worker_watch_clock(r.w, &c);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    c.steps++;
    worker_watch_clock(r.w, &c);
    assert_int_equal(rig_add(&r, &later, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 2);
    assert_true(r.sum[1].clock_remote_known && r.sum[1].received == 10);
    assert_true(r.sum[2].clock_remote_known && r.sum[2].received == 10);
    assert_false(r.sum[2].clock_local.synced || r.sum[2].clock_remote.synced);
    rig_end(&r);
}

/* ---- On the wire ---- */

static const struct {
    const char *name, *at;
    uint8_t dscp, ttl, tos;
    int got_ttl;
} wire_cases[] = {
    { "EF, IPv4", "127.0.0.1", 46, 255, 0xb8, 255 },
    { "EF, IPv6", "::1", 46, 255, 0xb8, 255 },
    { "CS1, TTL 64, IPv4", "127.0.0.1", 8, 64, 0x20, 64 },
    { "CS1, TTL 64, IPv6", "::1", 8, 64, 0x20, 64 },
    { "best effort, TTL not given", "127.0.0.1", 0, 0, 0, 255 },
};

static void probes_carry_dscp_and_ttl(void **state)
{
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(wire_cases); i++) {
        struct session_cfg cfg = rig_session(i, 1);
        struct udpsock s = rig_socket(wire_cases[i].at);
        struct udp_in in;

        cfg.dscp = wire_cases[i].dscp;
        assert_int_equal(rig_add(&r, &cfg, &s.local, wire_cases[i].ttl), TW_OK);
        in = rig_recv(&r, &s);
        if (in.tos != wire_cases[i].tos || in.ttl != wire_cases[i].got_ttl || in.len != cfg.size_bytes)
            fail_msg("%s: TOS 0x%02x TTL %d, %zu octets", wire_cases[i].name, (unsigned)in.tos, in.ttl,
                     in.len);
        udp_close(&s);
    }
    rig_end(&r);
}

/* A stateful reflector counts per pair of addresses and ports. */
static void sessions_to_one_target_differ_in_source_port(void **state)
{
    enum { SESSIONS = 5 };
    struct udpsock one, other;
    struct udp_in in;
    uint16_t port_of[256] = { 0 };
    struct rig r;

    (void)state;
    rig_start(&r);
    one = rig_socket("127.0.0.1");
    other = rig_socket("127.0.0.1");
    for (uint32_t i = 0; i < SESSIONS; i++) {
        struct session_cfg cfg = rig_session(i, 0);
        cfg.dscp = (uint8_t)(i + 1);
        cfg.flow = i;
        assert_int_equal(rig_add(&r, &cfg, &one.local, 255), TW_OK);
    }
    for (int i = 0; i < 20 * SESSIONS; i++) {
        in = rig_recv(&r, &one);
        assert_in_range(in.tos >> 2, 1, SESSIONS);
        if (!port_of[in.tos])
            port_of[in.tos] = in.from.port;
        assert_int_equal(port_of[in.tos], in.from.port);
    }
    for (unsigned i = 1; i <= SESSIONS; i++)
        for (unsigned k = 1; k < i; k++)
            assert_int_not_equal(port_of[i << 2], port_of[k << 2]);

    /* Another target needs no further socket. */
    struct session_cfg cfg = rig_session(20, 1);
    bool shared = false;
    assert_int_equal(rig_add(&r, &cfg, &other.local, 255), TW_OK);
    in = rig_recv(&r, &other);
    for (unsigned i = 1; i <= SESSIONS; i++)
        shared |= port_of[i << 2] == in.from.port;
    assert_true(shared);
    udp_close(&one);
    udp_close(&other);
    rig_end(&r);
}

static void a_restarted_session_gets_another_source_port(void **state)
{
    struct udpsock target, second;
    struct session_cfg cfg = rig_session(1, 0), other = rig_session(2, 0);
    struct rig r;
    uint16_t before;

    (void)state;
    rig_start(&r);
    cfg.timeout_ns = 10 * TW_NS_PER_MS;
    target = rig_socket("127.0.0.1");
    second = rig_socket("127.0.0.1");
    assert_int_equal(rig_add(&r, &other, &second.local, 255), TW_OK); /* keeps the shared socket open */
    assert_int_equal(rig_add(&r, &cfg, &target.local, 255), TW_OK);
    before = rig_recv(&r, &target).from.port;
    assert_int_equal(rig_recv(&r, &second).from.port, before);
    assert_int_equal(worker_remove(r.w, 1, 0), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    while (udp_rx_recv(r.rx, &target))
        ; /* what the first one sent */
    assert_int_equal(rig_add(&r, &cfg, &target.local, 255), TW_OK);
    assert_int_not_equal(rig_recv(&r, &target).from.port, before);
    udp_close(&target);
    udp_close(&second);
    rig_end(&r);
}

/* ---- Where a session sends from ---- */

static struct worker_session session_to(const struct udpsock *target, uint64_t pair)
{
    return (struct worker_session){ .cfg = rig_session(pair, 0), .target = target->local };
}

/* Each row: a session of its own to a target of its own. Which of them may share a socket? */
static const struct {
    const char *name, *bind, *interface;
    bool df;
    size_t shares; /* with this row */
} source_rows[] = {
    { "plain", NULL, "", false, 0 },
    { "plain again", NULL, "", false, 0 },
    { "DF", NULL, "", true, 2 },
    { "DF again", NULL, "", true, 2 },
    { "source address", "127.0.0.9", "", false, 4 },
    { "source address again", "127.0.0.9", "", false, 4 },
    { "other source address", "127.0.0.10", "", false, 6 },
    { "interface", NULL, "lo", false, 7 },
    { "interface again", NULL, "lo", false, 7 },
    { "all of it", "127.0.0.9", "lo", true, 9 },
    { "all of it again", "127.0.0.9", "lo", true, 9 },
};

static void only_like_sessions_share_a_socket(void **state)
{
    struct udpsock to[TW_NELEM(source_rows)];
    uint16_t port[TW_NELEM(source_rows)];
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(source_rows); i++) {
        struct worker_session ws;
        struct tw_addr want = rig_addr(source_rows[i].bind ? source_rows[i].bind : "127.0.0.1", 0);
        struct udp_in in;

        to[i] = rig_socket("127.0.0.1");
        ws = session_to(&to[i], i);
        ws.df = source_rows[i].df;
        if (source_rows[i].bind)
            ws.bind = want;
        memcpy(ws.interface, source_rows[i].interface, strlen(source_rows[i].interface));
        assert_int_equal(worker_add(r.w, &ws), TW_OK);
        in = rig_recv(&r, &to[i]);
        assert_memory_equal(in.from.ip, want.ip, sizeof want.ip);
        port[i] = in.from.port;
        for (size_t k = 0; k < i; k++) {
            if ((port[k] == port[i]) != (source_rows[k].shares == source_rows[i].shares))
                fail_msg("%s, %s: ports %u, %u", source_rows[k].name, source_rows[i].name, port[k], port[i]);
        }
    }
    for (size_t i = 0; i < TW_NELEM(source_rows); i++)
        udp_close(&to[i]);
    rig_end(&r);
}

static uint16_t unused_port(const char *at)
{
    struct udpsock s = rig_socket(at);

    udp_close(&s);
    return s.local.port;
}

static void a_session_sends_from_the_port_it_names(void **state)
{
    struct udpsock first = rig_socket("127.0.0.1"), second = rig_socket("127.0.0.1");
    struct worker_session ws = session_to(&first, 1), other = session_to(&second, 2);
    struct rig r;

    (void)state;
    rig_start(&r);
    ws.bind.port = unused_port("127.0.0.1");
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    assert_int_equal(rig_recv(&r, &first).from.port, ws.bind.port);
    assert_int_equal(worker_add(r.w, &other), TW_OK); /* does not move in with it */
    assert_int_not_equal(rig_recv(&r, &second).from.port, ws.bind.port);
    ws.cfg.flow = 1; /* the port is taken now */
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.last_end[1].rc, TW_EINUSE);
    assert_int_equal(r.last_end[1].flow, 1);
    assert_non_null(strstr(r.last_end[1].why, "is in use"));
    udp_close(&first);
    udp_close(&second);
    rig_end(&r);
}

static void a_session_sends_from_the_socket_it_brings(void **state)
{
    struct udpsock first = rig_socket("::1"), second = rig_socket("::1"), own = rig_socket("::1");
    struct worker_session ws = session_to(&first, 1), other = session_to(&second, 2);
    uint16_t port = own.local.port;
    struct rig r;

    (void)state;
    rig_start(&r);
    ws.sock = &own;
    ws.cfg.spacing_ns = 0;
    assert_int_equal(worker_add(r.w, &ws), TW_EINVAL);
    assert_true(own.fd >= 0); /* still ours */
    ws.cfg.spacing_ns = TW_NS_PER_MS;
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    assert_int_equal(own.fd, -1);
    assert_int_equal(rig_recv(&r, &first).from.port, port);
    assert_int_equal(worker_add(r.w, &other), TW_OK);
    assert_int_not_equal(rig_recv(&r, &second).from.port, port);
    assert_int_equal(worker_remove(r.w, 1, 0), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    ws.sock = NULL; /* it has been closed: the port is free */
    ws.bind.port = port;
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    while (udp_rx_recv(r.rx, &first))
        ;
    assert_int_equal(rig_recv(&r, &first).from.port, port);
    udp_close(&first);
    udp_close(&second);
    rig_end(&r);
}

static const struct {
    const char *bind, *interface;
    enum tw_rc add, end;
    const char *why;
} bad_sources[] = {
    { "::1", "", TW_EINVAL, TW_OK, "" },
    { "192.0.2.7", "", TW_OK, TW_EINVAL, "no such address" },
    { NULL, "nosuch0", TW_OK, TW_EINVAL, "no such interface" },
};

static void says_why_it_cannot_send_from_there(void **state)
{
    struct udpsock to = rig_socket("127.0.0.1");
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(bad_sources); i++) {
        struct worker_session ws = session_to(&to, i);

        if (bad_sources[i].bind)
            ws.bind = rig_addr(bad_sources[i].bind, 0);
        memcpy(ws.interface, bad_sources[i].interface, strlen(bad_sources[i].interface));
        r.ended = 0;
        assert_int_equal(worker_add(r.w, &ws), bad_sources[i].add);
        if (bad_sources[i].add)
            continue;
        RIG_WAIT(&r, r.ended == 1);
        assert_int_equal(r.last_end[i].rc, bad_sources[i].end);
        if (!strstr(r.last_end[i].why, bad_sources[i].why))
            fail_msg("row %zu: %s", i, r.last_end[i].why);
    }
    udp_close(&to);
    rig_end(&r);
}

static const struct {
    const char *name;
    size_t reflector;
    uint16_t size;
    bool df;
    uint64_t send_errors;
} mtu_rows[] = {
    { "IPv4, fits", 0, 1472, true, 0 },        { "IPv4, too long", 0, 1473, true, 10 },
    { "IPv4, fragmented", 0, 9000, false, 0 }, { "IPv6, fits", 1, 1452, true, 0 },
    { "IPv6, too long", 1, 1453, true, 10 },   { "IPv6, fragmented", 1, 9000, false, 0 },
};

static void a_probe_too_long_for_the_path_is_a_send_error(void **state)
{
    int back = enter_own_network(1500);
    struct rig r;

    (void)state;
    if (back < 0)
        skip();
    rig_start(&r);
    for (uint64_t i = 0; i < TW_NELEM(mtu_rows); i++) {
        struct worker_session ws = { .cfg = rig_session(i, 10), .df = mtu_rows[i].df };

        ws.cfg.size_bytes = mtu_rows[i].size;
        ws.target = rig_reflector(&r, mtu_rows[i].reflector);
        assert_int_equal(worker_add(r.w, &ws), TW_OK);
    }
    RIG_WAIT(&r, r.ended == TW_NELEM(mtu_rows));
    for (size_t i = 0; i < TW_NELEM(mtu_rows); i++) {
        if (r.sum[i].send_errors != mtu_rows[i].send_errors ||
            r.sum[i].received != 10 - mtu_rows[i].send_errors)
            fail_msg(
                "%s: %s; sent %llu, errors %llu, received %llu; reflected %llu, rejected %llu, not sent %llu",
                mtu_rows[i].name, tw_rc_name(r.last_end[i].rc), (unsigned long long)r.sum[i].sent,
                (unsigned long long)r.sum[i].send_errors, (unsigned long long)r.sum[i].received,
                (unsigned long long)rig_counters(&r).reflected,
                (unsigned long long)rig_counters(&r).reflector_rejected,
                (unsigned long long)rig_counters(&r).reflector_send_errors);
    }
    rig_end(&r);
    leave_own_network(back);
}

/* ---- Forms ---- */

static struct form *stamp_form(const char *key, uint32_t tlvs)
{
    struct form_cfg c = { .kind = FORM_STAMP, .ssid = 5, .authenticated = key != NULL, .tlvs.types = tlvs };
    struct form *f;

    if (key) {
        c.keys[0] = (struct form_key){ (const uint8_t *)key, strlen(key) };
        c.n_keys = 1;
    }
    assert_int_equal(form_new(&c, &f), TW_OK);
    return f;
}

static struct form *both_keys(const char *first, const char *second)
{
    struct form_cfg c = { .kind = FORM_STAMP, .ssid = 5, .authenticated = true, .n_keys = 2 };
    struct form *f;

    c.keys[0] = (struct form_key){ (const uint8_t *)first, strlen(first) };
    c.keys[1] = (struct form_key){ (const uint8_t *)second, strlen(second) };
    assert_int_equal(form_new(&c, &f), TW_OK);
    return f;
}

static void measures_with_stamp(void **state)
{
    enum { COUNT = 20, ROWS = 4 };
    struct worker_counters c;
    struct rig r;

    (void)state;
    rig_start(&r);
    rig_set_keys(&r, "secret", NULL);
    for (uint64_t i = 0; i < ROWS; i++) { /* IPv4, IPv6; unauthenticated, authenticated */
        struct worker_session ws = { .cfg = rig_session(i, COUNT), .target = rig_reflector(&r, i % 2) };

        ws.cfg.size_bytes = 300;
        ws.form = i < 2 ? stamp_form(NULL, STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP)) : stamp_form("secret", 0);
        assert_int_equal(worker_add(r.w, &ws), TW_OK);
    }
    RIG_WAIT(&r, r.ended == ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        if (r.sum[i].sent != COUNT || r.sum[i].received != COUNT || r.sum[i].ttl_forward.min != 255)
            fail_msg("row %zu: %llu of %llu", i, (unsigned long long)r.sum[i].received,
                     (unsigned long long)r.sum[i].sent);
    }
    RIG_WAIT(&r, rig_counters(&r).sessions == 0);
    c = rig_counters(&r);
    assert_int_equal(c.reflected_stamp, ROWS * COUNT);
    assert_int_equal(c.reflected_auth, 2 * COUNT);
    assert_int_equal(c.auth_failed + c.reflector_auth_failed, 0);
    rig_end(&r);
}

/* Reflector first, then the sender, then the reflector again. */
static void a_key_changes_without_a_lost_interval(void **state)
{
    struct worker_session ws = { .cfg = rig_session(1, 0) };
    struct worker_counters c;
    uint64_t sent;
    struct rig r;

    (void)state;
    rig_start(&r);
    rig_set_keys(&r, "old", NULL);
    ws.target = rig_reflector(&r, 0);
    ws.cfg.size_bytes = 200;
    ws.form = stamp_form("old", 0);
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    RIG_WAIT(&r, rig_counters(&r).probes_received > 20);
    rig_set_keys(&r, "new", "old");
    sent = rig_counters(&r).probes_sent;
    RIG_WAIT(&r, rig_counters(&r).probes_received > sent + 20);
    assert_int_equal(worker_set_form(r.w, 1, 0, both_keys("new", "old")), TW_OK);
    sent = rig_counters(&r).probes_sent;
    RIG_WAIT(&r, rig_counters(&r).probes_received > sent + 20);
    rig_set_keys(&r, "new", NULL);
    sent = rig_counters(&r).probes_sent;
    RIG_WAIT(&r, rig_counters(&r).probes_received > sent + 20);
    assert_int_equal(worker_remove(r.w, 1, 0), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[1].sent, r.sum[1].received);
    c = rig_counters(&r);
    assert_int_equal(c.auth_failed + c.reflector_auth_failed, 0);
    assert_int_equal(c.reflected_auth, c.reflected);
    rig_end(&r);
}

static void refuses_a_form_that_does_not_fit(void **state)
{
    struct udpsock to = rig_socket("127.0.0.1");
    struct worker_session ws = session_to(&to, 1);
    struct form *big, *fits;
    struct rig r;

    (void)state;
    rig_start(&r);
    big = stamp_form("secret", 0); /* 112 octets */
    fits = stamp_form(NULL, 0);
    ws.cfg.size_bytes = 100;
    ws.form = stamp_form(NULL, 0);
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    assert_int_equal(worker_set_form(r.w, 1, 0, big), TW_EINVAL);
    assert_int_equal(worker_set_form(r.w, 1, 9, fits), TW_ENOENT);
    assert_int_equal(worker_set_form(r.w, 1, 0, fits), TW_OK);
    ws.cfg.flow = 1;
    ws.cfg.size_bytes = 14; /* raised to what the form needs */
    ws.form = stamp_form("secret", 0);
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    assert_int_equal(worker_set_form(r.w, 1, 1, stamp_form("other", 0)), TW_OK);
    assert_int_equal(worker_remove(r.w, 1, 0), TW_OK);
    assert_int_equal(worker_set_form(r.w, 1, 0, big), TW_ENOENT);
    form_free(big);
    worker_stop(r.w);
    udp_close(&to);
    rig_end(&r);
}

static void answers_signed_with_another_key_are_counted(void **state)
{
    enum { COUNT = 5 };
    struct udpsock to = rig_socket("127.0.0.1");
    struct worker_session ws = session_to(&to, 1);
    struct stamp_keys wrong;
    struct rig r;

    (void)state;
    rig_start(&r);
    rig_keys(&wrong, "wrong", NULL);
    ws.cfg.size_bytes = STAMP_BASE_AUTH;
    ws.cfg.count = COUNT;
    ws.cfg.timeout_ns = 300 * TW_NS_PER_MS;
    ws.form = stamp_form("right", 0);
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        struct udp_in in = rig_recv(&r, &to);
        struct test_reply a = { .seq = i, .sender_seq = i, .t2 = tw_wall_to_ntp(in.time) };
        uint8_t buf[STAMP_BASE_AUTH];

        a.sender_err_est = 1;
        assert_int_equal(stamp_write_reply(true, &a, buf, sizeof buf), TW_OK);
        stamp_seal_reply(&wrong, 0, buf, tw_wall_to_ntp(tw_wall_now()), 1);
        rig_send(&r, &to, &in.from, 0, buf, sizeof buf);
    }
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[1].received, 0);
    assert_int_equal(rig_counters(&r).auth_failed, COUNT);
    stamp_keys_clear(&wrong);
    udp_close(&to);
    rig_end(&r);
}

/* As TWAMP-Control will: the sender's port is known first, then the reflector opens, then both run. */
static void measures_a_session_that_was_agreed(void **state)
{
    enum { COUNT = 20 };
    struct twamp_test_keys keys = { .aes = { 1 }, .hmac = { 2 } };
    struct form_cfg fc = { .kind = FORM_TWAMP, .twamp = { .mode = TWAMP_ENCRYPTED, .keys = keys } };
    struct reflect_session_cfg rc = { .form = fc.twamp, .refwait_ns = 60 * TW_NS_PER_S, .dscp = 46 };
    struct worker_session ws = { .cfg = rig_session(1, COUNT), .target = rig_addr("127.0.0.1", 0) };
    struct udpsock own = rig_socket("127.0.0.1");
    uint64_t id;
    struct rig r;

    (void)state;
    rig_start(&r);
    rc.sender = own.local;
    assert_int_equal(worker_reflect_open(r.w, &ws.target, &rc, &id, &ws.target.port, NULL), TW_OK);
    assert_int_equal(worker_reflect_start(r.w, id), TW_OK);
    assert_int_equal(form_new(&fc, &ws.form), TW_OK);
    ws.sock = &own;
    ws.cfg.dscp = 46;
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(worker_reflect_stop(r.w, id), TW_OK);
    RIG_WAIT(&r, r.reflect_ended == 1);
    assert_int_equal(r.sum[1].sent, COUNT);
    assert_int_equal(r.sum[1].received, COUNT);
    assert_int_equal(r.sum[1].tos_backward.min, 0xb8);
    assert_int_equal(r.last_reflect_end[id].counters.answered, COUNT);
    rig_end(&r);
}

/* ---- Strangers ---- */

static void make_reply(uint8_t buf[100], uint32_t sender_seq)
{
    struct test_reply a = { .sender_seq = sender_seq, .err_est = 1, .sender_err_est = 1, .ttl_known = true };

    a.t2 = a.t3 = a.sender_t1 = tw_wall_to_ntp(tw_wall_now());
    memset(buf, 0, 100);
    assert_int_equal(twamp_encode_reply(&a, buf, 100), TW_OK);
}

static void answers_from_strangers_change_nothing(void **state)
{
    struct udpsock target, stranger, other_address;
    struct session_cfg cfg = rig_session(1, 20);
    struct tw_addr sender;
    struct rig r;
    uint8_t reply[100];

    (void)state;
    rig_start(&r);
    target = rig_socket("127.0.0.1");
    stranger = rig_socket("127.0.0.1");
    other_address = rig_socket("127.0.0.9");
    cfg.timeout_ns = 500 * TW_NS_PER_MS;
    assert_int_equal(rig_add(&r, &cfg, &target.local, 255), TW_OK);
    sender = rig_recv(&r, &target).from;
    make_reply(reply, 0);
    rig_send(&r, &stranger, &sender, 0, reply, sizeof reply);
    rig_send(&r, &other_address, &sender, 0, reply, sizeof reply);
    RIG_WAIT(&r, rig_counters(&r).unmatched == 2);
    make_reply(reply, 123456); /* right address, a number that was never sent */
    rig_send(&r, &target, &sender, 0, reply, sizeof reply);
    rig_send(&r, &target, &sender, 0, reply, 5);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[1].sent, 20);
    assert_int_equal(r.sum[1].received, 0);
    assert_int_equal(r.sum[1].rejected, 2);
    assert_int_equal(r.sum[1].status, TW_STATUS_ALL_LOST);
    assert_int_equal(rig_counters(&r).probes_received, 0);
    assert_int_equal(rig_counters(&r).probes_lost, 20);
    udp_close(&target);
    udp_close(&stranger);
    udp_close(&other_address);
    rig_end(&r);
}

/* ---- Commands ---- */

static void refuses_what_contradicts_itself(void **state)
{
    struct session_cfg cfg = rig_session(1, 0), bad = rig_session(2, 0);
    struct tw_addr to, none = { 0 };
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    bad.spacing_ns = 0;
    assert_int_equal(worker_remove(r.w, 1, 0), TW_ENOENT);
    assert_int_equal(worker_set_generation(r.w, 1, 0, 2), TW_ENOENT);
    assert_int_equal(rig_add(&r, &cfg, &none, 255), TW_EINVAL);
    assert_int_equal(rig_add(&r, &bad, &to, 255), TW_EINVAL);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_EEXIST);
    cfg.flow = 1;
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    assert_int_equal(worker_remove(r.w, 1, 1), TW_OK);
    assert_int_equal(worker_remove(r.w, 1, 1), TW_ENOENT);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK); /* while the old one waits for its answers */
    RIG_WAIT(&r, r.ended == 1);
    worker_stop(r.w);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_EEXIST);
    assert_int_equal(worker_remove(r.w, 1, 1), TW_ECLOSED);
    rig_end(&r);
}

static void bounds_the_number_of_sessions(void **state)
{
    struct session_cfg cfg = rig_session(0, 0);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 1);
    for (cfg.flow = 0; cfg.flow < r.cfg.max_sessions; cfg.flow++)
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_ENOSPC);
    assert_int_equal(worker_remove(r.w, 0, 3), TW_OK);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1 && rig_counters(&r).sessions == r.cfg.max_sessions);
    rig_end(&r);
}

static void a_full_command_ring_pushes_back(void **state)
{
    struct session_cfg cfg = rig_session(0, 0);
    struct tw_addr to;
    struct rig r;
    enum tw_rc rc = TW_OK;

    (void)state;
    rig_prepare(&r);
    r.cfg.max_sessions = 4;
    r.cfg.max_reflect_sessions = 4;
    r.cfg.reflect[0] = rig_addr("127.0.0.1", 0);
    assert_int_equal(worker_open(&r.cfg, &r.w, NULL), TW_OK); /* nobody reads commands yet */
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    for (int i = 0; i < 1000 && !rc; i++)
        rc = worker_set_generation(r.w, 0, 0, 7);
    assert_int_equal(rc, TW_EBUSY);
    assert_int_equal(worker_remove(r.w, 0, 0), TW_EBUSY);
    cfg.flow = 1;
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_EBUSY);
    assert_int_equal(r.woken, 0);
    assert_int_equal(worker_run(r.w, NULL), TW_OK);
    RIG_WAIT(&r, r.woken > 0);
    assert_int_equal(worker_remove(r.w, 0, 0), TW_OK); /* the refused attempt has not marked it removed */
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[0].generation, 7);
    rig_end(&r);
}

/* A host that was held up finds many answers in its socket buffer: those that came in time count as such,
 * however late they are read. Takes the clock's lock to hold the thread up. */
static void answers_that_waited_in_the_buffer_are_in_time(void **state)
{
    enum { N = 300 }; /* fits the smallest buffer that the kernel gives */
    static uint8_t probe[N][100];
    static struct tw_addr from[N];
    struct rig r;
    struct session_cfg c = rig_session(1, N);
    struct udpsock s;

    (void)state;
    rig_start(&r);
    s = rig_socket("127.0.0.1");
    c.spacing_ns = TW_NS_PER_MS;
    assert_int_equal(rig_add(&r, &c, &s.local, 0), TW_OK);
    for (int i = 0; i < N; i++) {
        struct udp_in in = rig_recv(&r, &s);
        memcpy(probe[i], in.data, sizeof probe[i]);
        from[i] = in.from;
    }
    pthread_mutex_lock(&r.w->clock_lock);
    atomic_fetch_add(&r.w->clock_version, 1);
    for (int i = 0; i < N; i++) {
        uint8_t reply[100];
        uint32_t seq = (uint32_t)probe[i][0] << 24 | (uint32_t)probe[i][1] << 16 |
                       (uint32_t)probe[i][2] << 8 | probe[i][3];
        make_reply(reply, seq);
        memcpy(reply + 28, probe[i] + 4, 8); /* Sender Timestamp, RFC 5357 section 4.2.1 */
        rig_send(&r, &s, &from[i], 0, reply, sizeof reply);
    }
    for (int64_t end_ns = tw_mono_now().ns + c.timeout_ns; tw_mono_now().ns < end_ns;)
        poll(NULL, 0, 50); /* past all timeouts */
    pthread_mutex_unlock(&r.w->clock_lock);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(rig_counters(&r).sender_rxq_drops, 0);
    assert_int_equal(r.sum[1].sent, N);
    assert_int_equal(r.sum[1].late, 0);
    assert_int_equal(r.sum[1].received, N);
    udp_close(&s);
    rig_end(&r);
}

static void tells_totals_of_the_moment(void **state)
{
    struct worker_live rows[4];
    struct tw_addr to;
    struct rig r;
    size_t n = 0;

    (void)state;
    rig_start(&r);
    assert_int_equal(worker_live(r.w, rows, TW_NELEM(rows), &n), TW_OK);
    assert_int_equal(n, 0);
    to = rig_reflector(&r, 0);
    for (uint64_t pair = 0; pair < 3; pair++) {
        struct session_cfg cfg = rig_session(pair, 0);
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, worker_live(r.w, rows, TW_NELEM(rows), &n) == TW_OK && rows[0].totals.received > 3 &&
                     rows[1].totals.received > 3 && rows[2].totals.received > 3);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i].totals.sent,
                         rows[i].totals.received + rows[i].totals.lost + rows[i].totals.in_flight);
    assert_int_equal(worker_live(r.w, rows, 1, &n), TW_OK); /* says how many there are, fills what fits */
    assert_int_equal(n, 3);
    rig_end(&r);
}

/* ---- Failure and the end ---- */

static void what_cannot_be_sent_is_a_send_error(void **state)
{
    struct session_cfg cfg = rig_session(1, 10);
    struct tw_addr nowhere = rig_addr("127.0.0.1", 0); /* the kernel refuses port 0 */
    struct rig r;

    (void)state;
    rig_start(&r);
    assert_int_equal(rig_add(&r, &cfg, &nowhere, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[1].sent, 0);
    assert_int_equal(r.sum[1].send_errors, 10);
    assert_int_equal(r.sum[1].status, TW_STATUS_SEND_ERROR);
    assert_int_equal(rig_counters(&r).send_errors, 10);
    rig_end(&r);
}

static void a_closed_port_loses_every_probe(void **state)
{
    struct session_cfg cfg = rig_session(1, 10);
    struct udpsock gone = rig_socket("127.0.0.1");
    struct rig r;

    (void)state;
    rig_start(&r);
    cfg.timeout_ns = 50 * TW_NS_PER_MS;
    udp_close(&gone);
    assert_int_equal(rig_add(&r, &cfg, &gone.local, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(r.sum[1].sent, 10);
    assert_int_equal(r.sum[1].send_errors, 0);
    assert_int_equal(r.sum[1].status, TW_STATUS_ALL_LOST);
    rig_end(&r);
}

static uint64_t wakeups_in(struct rig *r, int64_t ns)
{
    static const bool never = false;
    uint64_t before = rig_counters(r).wakeups;

    loop_run_until(r->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
    return rig_counters(r).wakeups - before;
}

/* On a socket that asks for them, ICMP errors stay until somebody takes them. */
static void icmp_errors_do_not_keep_it_awake(void **state)
{
    struct udpsock gone = rig_socket("127.0.0.1"), own = rig_socket("127.0.0.1");
    struct worker_session ws = session_to(&gone, 1);
    int on = 1;
    struct rig r;

    (void)state;
    rig_start(&r);
    udp_close(&gone);
    assert_int_equal(setsockopt(own.fd, IPPROTO_IP, IP_RECVERR, &on, sizeof on), 0);
    ws.sock = &own;
    ws.cfg.spacing_ns = 50 * TW_NS_PER_MS;
    assert_int_equal(worker_add(r.w, &ws), TW_OK);
    RIG_WAIT(&r, rig_counters(&r).probes_sent >= 2);
    assert_in_range(wakeups_in(&r, 500 * TW_NS_PER_MS), 2, 100);
    rig_end(&r);
}

static void stopping_hands_over_the_open_periods(void **state)
{
    struct rig r;
    struct tw_addr to;
    uint64_t sent = 0;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    for (uint64_t pair = 0; pair < r.cfg.max_sessions; pair++) {
        struct session_cfg cfg = rig_session(pair, 0);
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, rig_counters(&r).probes_received > 1000);
    worker_stop(r.w);
    worker_stop(r.w); /* harmless */
    rig_collect(&r);
    for (uint64_t pair = 0; pair < r.cfg.max_sessions; pair++) {
        sent += r.sum[pair].sent;
        assert_int_equal(r.sum[pair].sent, r.sum[pair].received);
        assert_true(r.sum[pair].sent > 0);
    }
    assert_int_equal(sent, rig_counters(&r).probes_sent);
    rig_end(&r);
}

static void stopping_forgets_probes_in_flight(void **state)
{
    struct session_cfg cfg = rig_session(1, 0);
    struct udpsock silent = rig_socket("127.0.0.1");
    struct rig r;

    (void)state;
    rig_start(&r);
    assert_int_equal(rig_add(&r, &cfg, &silent.local, 255), TW_OK);
    for (int i = 0; i < 10; i++)
        rig_recv(&r, &silent);
    worker_stop(r.w);
    rig_collect(&r); /* finds them valid */
    assert_true(r.summaries > 0);
    assert_int_equal(r.sum[1].sent, 0);
    assert_int_equal(r.sum[1].lost_forward + r.sum[1].lost_backward + r.sum[1].lost_unknown, 0);
    udp_close(&silent);
    rig_end(&r);
}

/* Nobody takes results for a while: probing goes on, what cannot be kept is counted, then all continues. */
static void survives_a_consumer_that_pauses(void **state)
{
    enum { PAIRS = 8 };
    struct tw_addr to;
    struct rig r;
    unsigned before;
    uint64_t sent;

    (void)state;
    rig_start(&r);
    r.hold = true;
    to = rig_reflector(&r, 0);
    for (uint64_t pair = 0; pair < PAIRS; pair++) {
        struct session_cfg cfg = rig_session(pair, 0);
        cfg.timeout_ns = cfg.report_period_ns = 10 * TW_NS_PER_MS;
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, rig_counters(&r).summaries_lost > 20);
    sent = rig_counters(&r).probes_sent;
    RIG_WAIT(&r, rig_counters(&r).probes_sent > sent + 100);
    r.hold = false;
    rig_collect(&r);
    before = r.summaries;
    RIG_WAIT(&r, r.summaries > before + 64);
    for (uint64_t pair = 0; pair < PAIRS; pair++)
        assert_int_equal(worker_remove(r.w, pair, 0), TW_OK);
    RIG_WAIT(&r, r.ended == PAIRS);
    rig_end(&r);
}

static void a_full_result_ring_does_not_keep_it_awake(void **state)
{
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    r.hold = true;
    to = rig_reflector(&r, 0);
    for (uint64_t pair = 0; pair < 8; pair++) {
        struct session_cfg cfg = rig_session(pair, 0);
        cfg.spacing_ns = 3600 * TW_NS_PER_S; /* no probe is near */
        cfg.timeout_ns = cfg.report_period_ns = 10 * TW_NS_PER_MS;
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    RIG_WAIT(&r, wakeups_in(&r, 300 * TW_NS_PER_MS) < 20); /* hundreds while there is room */
    r.hold = false;
    RIG_WAIT(&r, r.summaries > 200); /* it has gone on */
    rig_end(&r);
}

static void an_idle_worker_sleeps(void **state)
{
    struct rig r;
    struct session_cfg cfg = rig_session(1, 1);
    struct tw_addr to;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1 && rig_counters(&r).sessions == 0);
    assert_int_equal(wakeups_in(&r, 300 * TW_NS_PER_MS), 0);
    rig_end(&r);
}

/* ---- Precise ---- */

/* Sends probes until one left within 5 us of its time, which no thread that was woken for it does: among many there is
 * one even where others take the processor away all the time. */
static void send_until_exact(struct rig *r, const struct tw_addr *to)
{
    enum { COUNT = 100, TRIES = 100 };
    struct session_cfg cfg = rig_session(1, COUNT);

    for (unsigned tries = 1;; tries++) {
        assert_int_equal(rig_add(r, &cfg, to, 255), TW_OK);
        RIG_WAIT(r, r->ended == tries);
        assert_int_equal(r->sum[1].sent, tries * COUNT);
        assert_int_equal(r->sum[1].received, r->sum[1].sent);
        if (r->sum[1].send_lateness.min_ns <= 5 * TW_NS_PER_US)
            return;
        if (tries == TRIES)
            fail_msg("of %d probes none was exact", TRIES * COUNT);
    }
}

static void precise_spins_for_probes_only(void **state)
{
    struct session_cfg idle = rig_session(2, 0);
    struct worker_counters c, before;
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.precise = true;
    rig_go(&r);
    to = rig_reflector(&r, 0);
    send_until_exact(&r, &to);
    c = rig_counters(&r);
    assert_in_range(c.spins, 1, r.sum[1].sent); /* at most once for each */
    assert_true(c.spun_ns > 0);

    /* Periods end all the time, but no probe is near. */
    idle.spacing_ns = 3600 * TW_NS_PER_S;
    idle.timeout_ns = idle.report_period_ns = 10 * TW_NS_PER_MS;
    before = rig_counters(&r);
    assert_int_equal(rig_add(&r, &idle, &to, 255), TW_OK);
    RIG_WAIT(&r, rig_counters(&r).wakeups > before.wakeups + 20);
    assert_int_equal(rig_counters(&r).spins, before.spins);
    rig_end(&r);
}

static void without_precise_nothing_spins(void **state)
{
    struct session_cfg cfg = rig_session(1, 20);
    struct tw_addr to;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    RIG_WAIT(&r, r.ended == 1);
    assert_int_equal(rig_counters(&r).spins, 0);
    assert_int_equal(rig_counters(&r).spun_ns, 0);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_a_reflector),
        cmocka_unit_test(probes_of_all_sizes_come_back),
        cmocka_unit_test(clock_state_reaches_summaries_and_answers),
        cmocka_unit_test(a_step_shows_at_both_ends),
        cmocka_unit_test(probes_carry_dscp_and_ttl),
        cmocka_unit_test(sessions_to_one_target_differ_in_source_port),
        cmocka_unit_test(a_restarted_session_gets_another_source_port),
        cmocka_unit_test(only_like_sessions_share_a_socket),
        cmocka_unit_test(a_session_sends_from_the_port_it_names),
        cmocka_unit_test(a_session_sends_from_the_socket_it_brings),
        cmocka_unit_test(says_why_it_cannot_send_from_there),
        cmocka_unit_test(a_probe_too_long_for_the_path_is_a_send_error),
        cmocka_unit_test(measures_with_stamp),
        cmocka_unit_test(a_key_changes_without_a_lost_interval),
        cmocka_unit_test(refuses_a_form_that_does_not_fit),
        cmocka_unit_test(answers_signed_with_another_key_are_counted),
        cmocka_unit_test(measures_a_session_that_was_agreed),
        cmocka_unit_test(answers_from_strangers_change_nothing),
        cmocka_unit_test(refuses_what_contradicts_itself),
        cmocka_unit_test(bounds_the_number_of_sessions),
        cmocka_unit_test(a_full_command_ring_pushes_back),
        cmocka_unit_test(answers_that_waited_in_the_buffer_are_in_time),
        cmocka_unit_test(tells_totals_of_the_moment),
        cmocka_unit_test(what_cannot_be_sent_is_a_send_error),
        cmocka_unit_test(a_closed_port_loses_every_probe),
        cmocka_unit_test(icmp_errors_do_not_keep_it_awake),
        cmocka_unit_test(stopping_hands_over_the_open_periods),
        cmocka_unit_test(stopping_forgets_probes_in_flight),
        cmocka_unit_test(survives_a_consumer_that_pauses),
        cmocka_unit_test(a_full_result_ring_does_not_keep_it_awake),
        cmocka_unit_test(an_idle_worker_sleeps),
        cmocka_unit_test(precise_spins_for_probes_only),
        cmocka_unit_test(without_a_card_the_kernel_does),
        cmocka_unit_test(what_a_card_says_is_held_against_the_kernel),
        cmocka_unit_test(the_kernel_is_not_asked_if_so_told),
        cmocka_unit_test(answers_tell_when_those_before_them_left),
        cmocka_unit_test(without_precise_nothing_spins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
