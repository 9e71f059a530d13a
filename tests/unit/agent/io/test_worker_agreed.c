#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include "tests/unit/agent/io/worker_rig.h"

#define LONG_NS (600 * TW_NS_PER_S)

static const struct twamp_test_keys keys = { .aes = { 7, 8, 9 }, .hmac = { 1, 2, 3 } };

/* A session and its sender. */
struct peer_pair {
    struct udpsock sender;
    struct twamp_form *form;
    struct reflect_session_cfg cfg;
    struct tw_addr reflector;
    uint64_t id;
    uint32_t seq;
};

static void pair_prepare(struct peer_pair *p, const char *at, uint32_t mode)
{
    *p = (struct peer_pair){ .sender = rig_socket(at) };
    p->cfg = (struct reflect_session_cfg){ .form = { .mode = mode, .keys = keys },
                                           .sender = p->sender.local,
                                           .refwait_ns = LONG_NS,
                                           .timeout_ns = LONG_NS };
    assert_int_equal(twamp_form_new(&p->cfg.form, &p->form), TW_OK);
    p->reflector = rig_addr(at, 0);
}

static void pair_open(struct rig *r, struct peer_pair *p)
{
    struct tw_err err = { 0 };

    if (worker_reflect_open(r->w, &p->reflector, &p->cfg, &p->id, &p->reflector.port, &err))
        fail_msg("%s", err.text);
}

static void pair_end(struct peer_pair *p)
{
    udp_close(&p->sender);
    twamp_form_free(p->form);
}

static struct tw_wall pair_send(struct rig *r, struct peer_pair *p, struct udpsock *from)
{
    struct tw_wall t1 = tw_wall_now();
    struct test_probe probe = { .seq = p->seq++, .t1 = tw_wall_to_ntp(t1), .err_est = 1 };
    uint8_t buf[200];

    memset(buf, 0x5a, sizeof buf);
    assert_int_equal(twamp_form_write_probe(p->form, &probe, buf, sizeof buf), TW_OK);
    rig_send(r, from, &p->reflector, 0, buf, sizeof buf);
    return t1;
}

static struct udp_in pair_recv(struct rig *r, struct peer_pair *p, struct test_reply *ret)
{
    struct udp_in in = rig_recv(r, &p->sender);

    assert_int_equal(twamp_form_read_reply(p->form, in.data, in.len, ret), TW_OK);
    return in;
}

static bool is_silent(const struct udpsock *s, int ms)
{
    struct pollfd pfd = { .fd = s->fd, .events = POLLIN };

    return poll(&pfd, 1, ms) == 0;
}

/* ---- Answers ---- */

static const struct {
    const char *name, *at;
    uint32_t mode;
    uint8_t dscp;
} modes[] = {
    { "open, IPv4", "127.0.0.1", TWAMP_OPEN, 0 },
    { "open, IPv6, EF", "::1", TWAMP_OPEN, 46 },
    { "open, IPv4, EF", "127.0.0.1", TWAMP_OPEN, 46 },
    { "open, another address of this host", "127.0.0.77", TWAMP_OPEN, 8 },
    { "authenticated, IPv4", "127.0.0.1", TWAMP_AUTHENTICATED, 10 },
    { "encrypted, IPv6", "::1", TWAMP_ENCRYPTED, 10 },
    { "mixed, IPv4", "127.0.0.1", TWAMP_MIXED, 10 },
    { "symmetrical, DSCP and ECN", "::1", TWAMP_OPEN | TWAMP_SYMMETRICAL | TWAMP_DSCP_ECN, 10 },
};

static void answers_in_every_mode(void **state)
{
    enum { PROBES = 5 };
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(modes); i++) {
        struct peer_pair p;

        pair_prepare(&p, modes[i].at, modes[i].mode);
        p.cfg.dscp = modes[i].dscp;
        pair_open(&r, &p);
        assert_int_equal(worker_reflect_start(r.w, p.id), TW_OK);
        /* A command is carried out after the datagrams that are there: a probe must not overtake it. */
        RIG_SETTLE(&r);
        for (uint32_t k = 0; k < PROBES; k++) {
            struct tw_wall t1 = pair_send(&r, &p, &p.sender), t2, t3;
            struct test_reply a;
            struct udp_in in = pair_recv(&r, &p, &a);

            t2 = tw_wall_from_ntp(a.t2, t1);
            t3 = tw_wall_from_ntp(a.t3, t1);
            if (a.seq != k || a.sender_seq != k || in.tos != modes[i].dscp << 2 || in.ttl != 255 ||
                a.sender_ttl != 255 || t2.ns < t1.ns || t3.ns < t2.ns || in.time.ns < t3.ns)
                fail_msg("%s: %u, %u, TOS %d, TTL %d %u", modes[i].name, a.seq, a.sender_seq, in.tos, in.ttl,
                         a.sender_ttl);
            assert_memory_equal(&in.from, &p.reflector, sizeof in.from);
        }
        pair_end(&p);
    }
    RIG_WAIT(&r, rig_counters(&r).reflected == PROBES * TW_NELEM(modes));
    assert_int_equal(rig_counters(&r).reflect_sessions, TW_NELEM(modes));
    assert_int_equal(rig_counters(&r).reflector_rejected, 0);
    assert_int_equal(r.reflect_ended, 0);
    rig_end(&r);
}

static void carries_the_state_of_the_clock(void **state)
{
    const struct tw_clock_state good = { .synced = true, .max_error_ns = 2 * TW_NS_PER_MS };
    struct test_reply a;
    struct peer_pair p;
    struct rig r;

    (void)state;
    rig_start(&r);
    pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
    pair_open(&r, &p);
    worker_set_clock(r.w, &good);
    assert_int_equal(worker_reflect_start(r.w, p.id), TW_OK);
    RIG_SETTLE(&r);
    pair_send(&r, &p, &p.sender);
    pair_recv(&r, &p, &a);
    assert_int_equal(a.err_est, tw_errest_encode(good.max_error_ns, true, false));
    pair_end(&p);
    rig_end(&r);
}

static void answers_its_sender_between_start_and_stop(void **state)
{
    struct udpsock stranger;
    struct reflect_counters c;
    struct test_reply a;
    struct peer_pair p;
    struct rig r;

    (void)state;
    rig_start(&r);
    stranger = rig_socket("127.0.0.1");
    pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
    pair_open(&r, &p);
    pair_send(&r, &p, &p.sender);
    RIG_WAIT(&r, rig_counters(&r).reflector_rejected == 1);
    assert_int_equal(worker_reflect_start(r.w, p.id), TW_OK);
    RIG_SETTLE(&r);
    pair_send(&r, &p, &stranger);
    RIG_WAIT(&r, rig_counters(&r).reflector_rejected == 2);
    pair_send(&r, &p, &p.sender);
    pair_recv(&r, &p, &a);
    assert_int_equal(a.seq, 0);
    assert_int_equal(a.sender_seq, 2);
    assert_true(is_silent(&stranger, 0));
    assert_int_equal(worker_reflect_stop(r.w, p.id), TW_OK);
    RIG_SETTLE(&r);
    pair_send(&r, &p, &p.sender); /* its timeout is long: what is still on its way is answered */
    pair_recv(&r, &p, &a);
    assert_int_equal(a.seq, 1);
    assert_int_equal(worker_reflect_drop(r.w, p.id), TW_OK);
    RIG_WAIT(&r, r.reflect_ended == 1);
    c = r.last_reflect_end[p.id].counters;
    assert_int_equal(c.answered, 2);
    assert_int_equal(c.not_started, 1);
    assert_int_equal(c.foreign, 1);
    udp_close(&stranger);
    pair_end(&p);
    rig_end(&r);
}

/* Longer than what is received at all: dropped for its length like any other, and counted once. */
static void a_datagram_too_long_is_counted_as_such(void **state)
{
    enum { TOO_LONG = TEST_DATAGRAM_MAX + 1 };
    struct udp_tx *big;
    struct peer_pair p;
    struct rig r;

    (void)state;
    rig_start(&r);
    pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
    pair_open(&r, &p);
    assert_int_equal(worker_reflect_start(r.w, p.id), TW_OK);
    assert_int_equal(udp_tx_new(1, TOO_LONG, &big), TW_OK);
    memset(udp_tx_buf(big, 0), 0x5a, TOO_LONG);
    udp_tx_add(big, TOO_LONG, &(struct udp_dest){ .to = p.reflector });
    assert_int_equal(udp_tx_send(big, &p.sender), 0);
    RIG_WAIT(&r, rig_counters(&r).reflector_rejected);
    assert_int_equal(rig_counters(&r).reflector_rejected, 1);
    assert_int_equal(worker_reflect_drop(r.w, p.id), TW_OK);
    RIG_WAIT(&r, r.reflect_ended == 1);
    assert_int_equal(r.last_reflect_end[p.id].counters.too_long, 1);
    udp_tx_free(big);
    pair_end(&p);
    rig_end(&r);
}

/* ---- How it ends ---- */

enum ending_by { BY_DROP, BY_DROP_BEFORE_START, BY_STOP, BY_STOP_BEFORE_START, BY_SILENCE };
static const struct {
    const char *name;
    enum ending_by by;
    int64_t refwait_ns, timeout_ns, at_least_ns;
} endings[] = {
    { "dropped", BY_DROP, LONG_NS, LONG_NS, 0 },
    { "dropped before its start", BY_DROP_BEFORE_START, LONG_NS, LONG_NS, 0 },
    { "stopped", BY_STOP, LONG_NS, 300 * TW_NS_PER_MS, 300 * TW_NS_PER_MS },
    { "stopped, no timeout", BY_STOP, LONG_NS, 0, 0 },
    { "stopped before its start", BY_STOP_BEFORE_START, LONG_NS, 200 * TW_NS_PER_MS, 200 * TW_NS_PER_MS },
    { "REFWAIT", BY_SILENCE, 400 * TW_NS_PER_MS, LONG_NS, 400 * TW_NS_PER_MS },
};

static void give_cause(struct rig *r, struct peer_pair *p, enum ending_by by)
{
    struct test_reply a;

    if (by == BY_DROP || by == BY_STOP || by == BY_SILENCE) {
        assert_int_equal(worker_reflect_start(r->w, p->id), TW_OK);
        RIG_SETTLE(r);
        pair_send(r, p, &p->sender);
        pair_recv(r, p, &a);
    }
    if (by == BY_STOP || by == BY_STOP_BEFORE_START)
        assert_int_equal(worker_reflect_stop(r->w, p->id), TW_OK);
    if (by == BY_DROP || by == BY_DROP_BEFORE_START)
        assert_int_equal(worker_reflect_drop(r->w, p->id), TW_OK);
}

static void ends_once_and_holds_its_port_until_then(void **state)
{
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(endings); i++) {
        struct tw_mono began;
        struct peer_pair p;
        int64_t took_ns;

        pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
        p.cfg.refwait_ns = endings[i].refwait_ns;
        p.cfg.timeout_ns = endings[i].timeout_ns;
        pair_open(&r, &p);
        assert_int_equal(udp_check_free(&p.reflector, NULL), TW_EINUSE);
        began = tw_mono_now();
        give_cause(&r, &p, endings[i].by);
        if (endings[i].at_least_ns)
            assert_int_equal(udp_check_free(&p.reflector, NULL), TW_EINUSE);
        RIG_WAIT(&r, r.reflect_ended == i + 1);
        took_ns = tw_mono_now().ns - began.ns;
        if (r.reflect_ends[p.id] != 1 || took_ns < endings[i].at_least_ns)
            fail_msg("%s: ended %u times, after %lld ns", endings[i].name, r.reflect_ends[p.id],
                     (long long)took_ns);
        assert_int_equal(udp_check_free(&p.reflector, NULL), TW_OK);
        assert_int_equal(worker_reflect_drop(r.w, p.id), TW_ENOENT); /* its end has been taken */
        pair_end(&p);
    }
    RIG_WAIT(&r, rig_counters(&r).reflect_sessions == 0);
    rig_end(&r);
}

/* Every answer moves REFWAIT on. */
static void probes_keep_it_alive(void **state)
{
    struct tw_mono began;
    struct peer_pair p;
    struct rig r;

    (void)state;
    rig_start(&r);
    pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
    p.cfg.refwait_ns = 500 * TW_NS_PER_MS;
    pair_open(&r, &p);
    assert_int_equal(worker_reflect_start(r.w, p.id), TW_OK);
    RIG_SETTLE(&r);
    began = tw_mono_now();
    while (tw_mono_now().ns - began.ns < 1200 * TW_NS_PER_MS) {
        struct test_reply a;

        pair_send(&r, &p, &p.sender);
        pair_recv(&r, &p, &a);
        poll(NULL, 0, 20);
        rig_turn(&r);
    }
    assert_int_equal(r.reflect_ended, 0);
    RIG_WAIT(&r, r.reflect_ended == 1);
    pair_end(&p);
    rig_end(&r);
}

static void ends_with_the_worker(void **state)
{
    struct peer_pair p[3];
    struct test_reply a;
    struct tw_addr other = rig_addr("127.0.0.1", 0);
    uint64_t id;
    uint16_t port;
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(p); i++) {
        pair_prepare(&p[i], "127.0.0.1", TWAMP_OPEN);
        pair_open(&r, &p[i]);
    }
    assert_int_equal(worker_reflect_start(r.w, p[0].id), TW_OK);
    RIG_SETTLE(&r);
    pair_send(&r, &p[0], &p[0].sender);
    pair_recv(&r, &p[0], &a);
    worker_stop(r.w);
    assert_int_equal(worker_reflect_stop(r.w, p[1].id), TW_ECLOSED);
    assert_int_equal(worker_reflect_open(r.w, &other, &p[0].cfg, &id, &port, NULL), TW_ECLOSED);
    rig_collect(&r);
    for (size_t i = 0; i < TW_NELEM(p); i++) {
        assert_int_equal(r.reflect_ends[p[i].id], 1);
        assert_int_equal(udp_check_free(&p[i].reflector, NULL), TW_OK);
        pair_end(&p[i]);
    }
    assert_int_equal(r.last_reflect_end[p[0].id].counters.answered, 1);
    rig_end(&r);
}

/* ---- Refusals and bounds ---- */

static const struct {
    const char *name, *local;
    bool taken;
    uint32_t mode;
    enum tw_rc rc;
    const char *text;
} refusals[] = {
    { "port taken", "127.0.0.1", true, TWAMP_OPEN, TW_EINUSE, "is in use" },
    { "foreign address", "192.0.2.1", false, TWAMP_OPEN, TW_EINVAL, "no such address" },
    { "no mode", "127.0.0.1", false, 0, TW_EINVAL, "cannot set up" },
};

static void says_why_it_cannot_open_one(void **state)
{
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(refusals); i++) {
        struct tw_addr local = rig_addr(refusals[i].local, 0);
        struct udpsock taken = rig_socket("127.0.0.1");
        struct tw_err err = { 0 };
        struct peer_pair p;
        uint64_t id = 77;
        uint16_t port = 78;

        pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
        p.cfg.form.mode = refusals[i].mode;
        if (refusals[i].taken)
            local = taken.local;
        if (worker_reflect_open(r.w, &local, &p.cfg, &id, &port, &err) != refusals[i].rc ||
            !strstr(err.text, refusals[i].text))
            fail_msg("%s: %s", refusals[i].name, err.text);
        assert_int_equal(id, 77);
        assert_int_equal(port, 78);
        udp_close(&taken);
        pair_end(&p);
    }
    assert_int_equal(worker_reflect_start(r.w, 1), TW_ENOENT);
    assert_int_equal(worker_reflect_stop(r.w, 0), TW_ENOENT);
    rig_end(&r);
}

static void bounds_their_number(void **state)
{
    enum { MAX = 3 };
    struct peer_pair p[MAX + 1];
    struct tw_err err = { 0 };
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.max_reflect_sessions = MAX;
    rig_go(&r);
    for (size_t i = 0; i <= MAX; i++)
        pair_prepare(&p[i], "127.0.0.1", TWAMP_OPEN);
    for (size_t i = 0; i < MAX; i++)
        pair_open(&r, &p[i]);
    assert_int_equal(
        worker_reflect_open(r.w, &p[MAX].reflector, &p[MAX].cfg, &p[MAX].id, &p[MAX].reflector.port, &err),
        TW_ENOSPC);
    assert_non_null(strstr(err.text, "all the 3"));
    assert_int_equal(worker_reflect_drop(r.w, p[1].id), TW_OK);
    RIG_WAIT(&r, r.reflect_ended == 1);
    pair_open(&r, &p[MAX]);
    assert_true(sizeof(struct agreed) < 1024); /* there may be a thousand */
    for (size_t i = 0; i <= MAX; i++)
        pair_end(&p[i]);
    rig_end(&r);
}

static void a_full_command_ring_pushes_back(void **state)
{
    struct peer_pair p, more;
    struct rig r;
    enum tw_rc rc = TW_OK;
    uint64_t id;
    uint16_t port;

    (void)state;
    rig_prepare(&r);
    r.cfg.max_sessions = 4;
    r.cfg.max_reflect_sessions = 4;
    assert_int_equal(worker_open(&r.cfg, &r.w, NULL), TW_OK); /* nobody reads commands yet */
    pair_prepare(&p, "127.0.0.1", TWAMP_OPEN);
    pair_prepare(&more, "127.0.0.1", TWAMP_OPEN);
    pair_open(&r, &p);
    for (int i = 0; i < 1000 && !rc; i++)
        rc = worker_reflect_start(r.w, p.id);
    assert_int_equal(rc, TW_EBUSY);
    assert_int_equal(worker_reflect_open(r.w, &more.reflector, &more.cfg, &id, &port, NULL), TW_EBUSY);
    assert_int_equal(worker_reflect_drop(r.w, p.id), TW_EBUSY);
    assert_int_equal(worker_run(r.w, NULL), TW_OK);
    RIG_WAIT(&r, r.woken > 0);
    assert_int_equal(worker_reflect_drop(r.w, p.id), TW_OK);
    RIG_WAIT(&r, r.reflect_ended == 1);
    pair_end(&p);
    pair_end(&more);
    rig_end(&r);
}

/* ---- Coming and going while others are busy ---- */

static void come_and_go_under_load(void **state)
{
    enum { ROUNDS = 40, AT_A_TIME = 8, FLOWS = 8 };
    struct rig r;
    uint64_t opened = 0, answered = 0;

    (void)state;
    rig_start(&r);
    for (uint64_t i = 0; i < FLOWS; i++) {
        struct session_cfg cfg = rig_session(i, 0);
        struct tw_addr to = rig_reflector(&r, i % 2);
        assert_int_equal(rig_add(&r, &cfg, &to, 255), TW_OK);
    }
    for (int round = 0; round < ROUNDS; round++) {
        struct peer_pair p[AT_A_TIME];

        for (size_t i = 0; i < AT_A_TIME; i++) {
            pair_prepare(&p[i], i % 2 ? "::1" : "127.0.0.1", i % 3 ? TWAMP_OPEN : TWAMP_ENCRYPTED);
            p[i].cfg.timeout_ns = (int64_t)i % 4 * TW_NS_PER_MS;
            pair_open(&r, &p[i]);
            assert_int_equal(worker_reflect_start(r.w, p[i].id), TW_OK);
        }
        opened += AT_A_TIME;
        RIG_SETTLE(&r);
        for (size_t i = 0; i < AT_A_TIME; i++) {
            struct test_reply a;

            pair_send(&r, &p[i], &p[i].sender);
            pair_recv(&r, &p[i], &a);
            assert_int_equal(a.seq, 0);
            answered++;
            pair_send(&r, &p[i], &p[i].sender); /* whether this one is answered is left open */
            if (i % 2)
                assert_int_equal(worker_reflect_stop(r.w, p[i].id), TW_OK);
            else
                assert_int_equal(worker_reflect_drop(r.w, p[i].id), TW_OK);
        }
        RIG_WAIT(&r, r.reflect_ended == opened);
        for (size_t i = 0; i < AT_A_TIME; i++) {
            assert_in_range(r.last_reflect_end[p[i].id % RIG_PAIRS].counters.answered, 1, 2);
            pair_end(&p[i]);
        }
    }
    for (size_t i = 0; i < RIG_PAIRS; i++) /* ids of 1..320 */
        assert_int_equal(r.reflect_ends[i], ROUNDS * AT_A_TIME / RIG_PAIRS);
    for (uint64_t i = 0; i < FLOWS; i++)
        assert_int_equal(worker_remove(r.w, i, 0), TW_OK);
    RIG_WAIT(&r, r.ended == FLOWS);
    for (size_t i = 0; i < FLOWS; i++) {
        assert_true(r.sum[i].sent > 0);
        assert_int_equal(r.sum[i].sent, r.sum[i].received); /* the others have not suffered */
    }
    assert_int_equal(rig_counters(&r).reflect_sessions, 0);
    assert_true(rig_counters(&r).reflected >= answered + rig_counters(&r).probes_received);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_every_mode),
        cmocka_unit_test(carries_the_state_of_the_clock),
        cmocka_unit_test(answers_its_sender_between_start_and_stop),
        cmocka_unit_test(a_datagram_too_long_is_counted_as_such),
        cmocka_unit_test(ends_once_and_holds_its_port_until_then),
        cmocka_unit_test(probes_keep_it_alive),
        cmocka_unit_test(ends_with_the_worker),
        cmocka_unit_test(says_why_it_cannot_open_one),
        cmocka_unit_test(bounds_their_number),
        cmocka_unit_test(a_full_command_ring_pushes_back),
        cmocka_unit_test(come_and_go_under_load),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
