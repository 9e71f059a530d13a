#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "tests/unit/agent/io/worker_rig.h"

static size_t make_probe(uint8_t *buf, uint32_t seq, size_t len)
{
    struct test_probe p = { .seq = seq, .t1 = tw_wall_to_ntp(tw_wall_now()), .err_est = 1 };

    for (size_t i = 0; i < len; i++)
        buf[i] = (uint8_t)i;
    assert_int_equal(twamp_encode_probe(&p, buf, len), TW_OK);
    return len;
}

static const struct {
    const char *name, *from;
    size_t reflector;
    size_t len, reply_len;
    uint8_t tos, reply_tos;
} replies[] = {
    { "shortest", "127.0.0.1", 0, 14, 41, 0, 0 },
    { "one octet short of the answer", "127.0.0.1", 0, 40, 41, 0, 0 },
    { "as long as the answer", "127.0.0.1", 0, 41, 41, 0, 0 },
    { "100 octets", "127.0.0.1", 0, 100, 100, 0, 0 },
    { "largest", "127.0.0.1", 0, 9000, 9000, 0, 0 },
    { "EF", "127.0.0.1", 0, 100, 100, 0xb8, 0xb8 },
    { "EF with ECT(0)", "127.0.0.1", 0, 100, 100, 0xba, 0xb8 },
    { "IPv6, EF with ECT(1)", "::1", 1, 100, 100, 0xb9, 0xb8 },
    { "IPv6, largest", "::1", 1, 9000, 9000, 0, 0 },
};

static void answers_as_asked(void **state)
{
    struct rig r;
    uint8_t probe[9000];

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(replies); i++) {
        struct udpsock s = rig_socket(replies[i].from);
        struct tw_addr to = rig_reflector(&r, replies[i].reflector);
        struct tw_wall before = tw_wall_now(), t2, t3;
        struct test_reply a;
        struct udp_in in;

        rig_send(&r, &s, &to, replies[i].tos, probe, make_probe(probe, 77, replies[i].len));
        in = rig_recv(&r, &s);
        if (in.len != replies[i].reply_len || in.tos != replies[i].reply_tos || in.ttl != 255)
            fail_msg("%s: %zu octets, TOS 0x%02x, TTL %d", replies[i].name, in.len, (unsigned)in.tos, in.ttl);
        assert_int_equal(twamp_decode_reply(in.data, in.len, &a), TW_OK);
        t2 = tw_wall_from_ntp(a.t2, before);
        t3 = tw_wall_from_ntp(a.t3, before);
        if (a.seq != 0 || a.sender_seq != 77 || a.sender_ttl != 255 || t2.ns < before.ns || t3.ns <= t2.ns ||
            in.time.ns < t3.ns)
            fail_msg("%s: number %u of %u, TTL %u, T2 - sent %lld, T3 - T2 %lld, T4 - T3 %lld",
                     replies[i].name, a.seq, a.sender_seq, a.sender_ttl, (long long)(t2.ns - before.ns),
                     (long long)(t3.ns - t2.ns), (long long)(in.time.ns - t3.ns));
        udp_close(&s);
    }
    rig_end(&r);
}

static void answers_from_the_address_that_was_asked(void **state)
{
    static const char *const asked[] = { "127.0.0.1", "127.0.0.42", "127.1.2.3" };
    struct tw_err err = { 0 };
    uint8_t probe[64];
    struct udpsock s;
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.reflect[0] = rig_addr("0.0.0.0", 0);
    if (worker_start(&r.cfg, &r.w, &err))
        fail_msg("%s", err.text);
    s = rig_socket("127.0.0.1");
    for (size_t i = 0; i < TW_NELEM(asked); i++) {
        struct tw_addr to = rig_addr(asked[i], rig_reflector(&r, 0).port);
        struct test_reply a;
        struct udp_in in;

        rig_send(&r, &s, &to, 0, probe, make_probe(probe, 5, sizeof probe));
        in = rig_recv(&r, &s);
        assert_memory_equal(&in.from, &to, sizeof to);
        assert_int_equal(twamp_decode_reply(in.data, in.len, &a), TW_OK);
        assert_int_equal(a.seq, 0); /* each address is counted by itself */
    }
    udp_close(&s);
    rig_end(&r);
}

/* The times of a batch of answers are told ahead, by their place in it: each leaves after it came, in order,
 * and does not arrive long before it is said to leave. */
static void answers_of_a_burst_tell_their_own_time(void **state)
{
    enum { BURST = 256, EARLY_NS = 200000, BACK_NS = 50000 };
    struct tw_wall began = tw_wall_now(), last = began;
    uint8_t probe[64];
    struct tw_addr to;
    struct udpsock s;
    struct rig r;

    (void)state;
    rig_start(&r);
    s = rig_socket("127.0.0.1");
    to = rig_reflector(&r, 0);
    for (uint32_t i = 0; i < BURST; i++)
        rig_send(&r, &s, &to, 0, probe, make_probe(probe, i, sizeof probe));
    for (uint32_t i = 0; i < BURST; i++) {
        struct udp_in in = rig_recv(&r, &s);
        struct test_reply a;
        struct tw_wall t2, t3;

        assert_int_equal(twamp_decode_reply(in.data, in.len, &a), TW_OK);
        t2 = tw_wall_from_ntp(a.t2, began);
        t3 = tw_wall_from_ntp(a.t3, began);
        if (a.seq != i || t3.ns < t2.ns || t3.ns + BACK_NS < last.ns || in.time.ns + EARLY_NS < t3.ns)
            fail_msg("answer %u of %u: T3 - T2 %lld, T3 - T3 before %lld, T4 - T3 %lld", a.seq, i,
                     (long long)(t3.ns - t2.ns), (long long)(t3.ns - last.ns),
                     (long long)(in.time.ns - t3.ns));
        last = t3;
    }
    udp_close(&s);
    rig_end(&r);
}

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static uint64_t handled(const struct rig *r)
{
    struct worker_counters c = rig_counters(r);

    return c.reflected + c.reflector_rejected;
}

static void junk_is_counted_and_survived(void **state)
{
    enum { JUNK = 20000, LONGEST = 2000, BURST = 50 };
    uint64_t seed = UINT64_C(0x2545f4914f6cdd1d), rejected = 0;
    uint8_t data[LONGEST], probe[100];
    struct test_reply a;
    struct tw_addr to;
    struct udpsock s, clean;
    struct udp_in in;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    s = rig_socket("127.0.0.1");
    for (unsigned i = 1; i <= JUNK; i++) {
        size_t len = next_random(&seed) % (LONGEST + 1);
        for (size_t k = 0; k < len; k++)
            data[k] = (uint8_t)next_random(&seed);
        rejected += len < TWAMP_PROBE_MIN;
        rig_send(&r, &s, &to, (uint8_t)next_random(&seed), data, len);
        if (i % BURST == 0) /* keeps within the socket buffer: every single one is to be accounted for */
            RIG_WAIT(&r, handled(&r) == i);
    }
    assert_true(rig_counters(&r).reflector_rejected >= rejected);
    assert_int_equal(rig_counters(&r).rxq_drops, 0);
    assert_int_equal(rig_counters(&r).reflector_send_errors, 0);
    clean = rig_socket("127.0.0.1");
    rig_send(&r, &clean, &to, 0, probe, make_probe(probe, 9, sizeof probe));
    in = rig_recv(&r, &clean);
    assert_int_equal(twamp_decode_reply(in.data, in.len, &a), TW_OK);
    assert_int_equal(a.sender_seq, 9);
    udp_close(&s);
    udp_close(&clean);
    rig_end(&r);
}

static void a_datagram_too_long_is_rejected(void **state)
{
    enum { TOO_LONG = TEST_DATAGRAM_MAX + 1 };
    static uint8_t probe[TOO_LONG];
    struct tw_addr to;
    struct udpsock s;
    struct udp_tx *big;
    struct rig r;

    (void)state;
    rig_start(&r);
    to = rig_reflector(&r, 0);
    s = rig_socket("127.0.0.1");
    assert_int_equal(udp_tx_new(1, TOO_LONG, &big), TW_OK);
    make_probe(probe, 0, TOO_LONG);
    memcpy(udp_tx_buf(big, 0), probe, TOO_LONG);
    udp_tx_add(big, TOO_LONG, &(struct udp_dest){ .to = to });
    assert_int_equal(udp_tx_send(big, &s), 0);
    RIG_WAIT(&r, handled(&r) == 1);
    assert_int_equal(rig_counters(&r).reflector_rejected, 1);
    udp_tx_free(big);
    udp_close(&s);
    rig_end(&r);
}

static void senders_beyond_the_bound_are_answered_statelessly(void **state)
{
    struct tw_err err = { 0 };
    uint8_t probe[64];
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.reflect[0] = rig_addr("127.0.0.1", 0);
    r.cfg.reflect_max_sessions = 2;
    if (worker_start(&r.cfg, &r.w, &err))
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < 4; i++) {
        struct udpsock s = rig_socket("127.0.0.1");
        struct tw_addr to = rig_reflector(&r, 0);
        struct test_reply a;
        struct udp_in in;

        rig_send(&r, &s, &to, 0, probe, make_probe(probe, 1000 + i, sizeof probe));
        in = rig_recv(&r, &s);
        assert_int_equal(twamp_decode_reply(in.data, in.len, &a), TW_OK);
        assert_int_equal(a.seq, i < 2 ? 0 : 1000 + i);
        udp_close(&s);
    }
    RIG_WAIT(&r, handled(&r) == 4);
    assert_int_equal(rig_counters(&r).reflector_sessions, 2);
    assert_int_equal(rig_counters(&r).reflector_stateless, 2);
    rig_end(&r);
}

/* ---- STAMP ---- */

/* A probe with these TLVs; keys NULL: unauthenticated. */
static size_t make_stamp(uint8_t *buf, uint32_t seq, struct stamp_keys *keys,
                         const struct stamp_tlv_want *want)
{
    struct test_probe p = { .seq = seq, .t1 = tw_wall_to_ntp(tw_wall_now()), .err_est = 1, .ssid = 9 };
    size_t base = stamp_base(keys != NULL), len = want ? stamp_tlv_size(want) : 0;

    memset(buf, 0, base + len);
    assert_int_equal(stamp_write_probe(keys, 0, &p, buf, base), TW_OK);
    if (len)
        assert_int_equal(stamp_tlv_write(want, seq, NULL, buf + base, len), TW_OK);
    return base + len;
}

static bool is_answered(struct rig *r, struct udpsock *s, const struct tw_addr *to, const uint8_t *probe,
                        size_t len)
{
    struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
    uint64_t before = handled(r);

    rig_send(r, s, to, 0, probe, len);
    RIG_WAIT(r, handled(r) > before);
    return poll(&pfd, 1, 0) == 1 && udp_rx_recv(r->rx, s) == 1;
}

static void a_stateless_reflector_returns_the_senders_number(void **state)
{
    struct test_reply a;
    struct udpsock s;
    struct tw_addr to;
    struct udp_in in;
    uint8_t probe[64];
    unsigned key = 0;
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.stateless = true;
    rig_go(&r);
    s = rig_socket("127.0.0.1");
    to = rig_reflector(&r, 0);
    for (uint32_t seq = 700; seq < 703; seq++) {
        rig_send(&r, &s, &to, 0, probe, make_stamp(probe, seq, NULL, NULL));
        in = rig_recv(&r, &s);
        assert_int_equal(stamp_read_reply(NULL, in.data, in.len, &a, &key), TW_OK);
        assert_int_equal(a.seq, seq);
        assert_int_equal(a.ssid, 9);
    }
    RIG_WAIT(&r, rig_counters(&r).reflected_stamp == 3);
    assert_int_equal(rig_counters(&r).reflected_auth, 0);
    udp_close(&s);
    rig_end(&r);
}

static void demands_authentication_where_it_is_told_to(void **state)
{
    static const char *const at[] = { "127.0.0.1", "::1" };
    struct stamp_keys right, wrong;
    struct worker_counters c;
    uint8_t probe[200];
    struct rig r;

    (void)state;
    rig_prepare(&r);
    r.cfg.demand_auth = true;
    rig_go(&r);
    rig_keys(&right, "right", NULL);
    rig_keys(&wrong, "wrong", NULL);
    rig_set_keys(&r, "some other key", "right");
    for (size_t i = 0; i < TW_NELEM(at); i++) { /* each reflector has the keys */
        struct udpsock s = rig_socket(at[i]);
        struct tw_addr to = rig_reflector(&r, i);

        assert_false(is_answered(&r, &s, &to, probe, make_probe(probe, 1, 100)));
        assert_false(is_answered(&r, &s, &to, probe, make_stamp(probe, 2, NULL, NULL)));
        assert_false(is_answered(&r, &s, &to, probe, make_stamp(probe, 3, &wrong, NULL)));
        assert_true(is_answered(&r, &s, &to, probe, make_stamp(probe, 4, &right, NULL)));
        udp_close(&s);
    }
    c = rig_counters(&r);
    assert_int_equal(c.reflector_auth_demanded, 4);
    assert_int_equal(c.reflector_auth_failed, 2);
    assert_int_equal(c.reflector_rejected, 6);
    assert_int_equal(c.reflected, 2);
    assert_int_equal(c.reflected_auth, 2);
    stamp_keys_clear(&right);
    stamp_keys_clear(&wrong);
    rig_end(&r);
}

static void keys_change_while_it_runs(void **state)
{
    struct stamp_keys old, new;
    struct udpsock s;
    struct tw_addr to;
    uint8_t probe[200];
    struct rig r;

    (void)state;
    rig_start(&r);
    s = rig_socket("127.0.0.1");
    to = rig_reflector(&r, 0);
    rig_keys(&old, "old", NULL);
    rig_keys(&new, "new", NULL);
    rig_set_keys(&r, "old", NULL);
    assert_true(is_answered(&r, &s, &to, probe, make_stamp(probe, 0, &old, NULL)));
    assert_false(is_answered(&r, &s, &to, probe, make_stamp(probe, 1, &new, NULL)));
    rig_set_keys(&r, "new", "old");
    assert_true(is_answered(&r, &s, &to, probe, make_stamp(probe, 2, &old, NULL)));
    assert_true(is_answered(&r, &s, &to, probe, make_stamp(probe, 3, &new, NULL)));
    rig_set_keys(&r, "new", NULL);
    assert_false(is_answered(&r, &s, &to, probe, make_stamp(probe, 4, &old, NULL)));
    assert_true(is_answered(&r, &s, &to, probe, make_stamp(probe, 5, &new, NULL)));
    stamp_keys_clear(&old);
    stamp_keys_clear(&new);
    udp_close(&s);
    rig_end(&r);
}

static const struct {
    const char *name, *at;
    size_t reflector;
    bool refuse;
    uint8_t tos, wish, reply_tos;
} cos_rows[] = {
    { "IPv4", "127.0.0.1", 0, false, 0x28, 46, 0xb8 },
    { "IPv6", "::1", 1, false, 0x28, 46, 0xb8 },
    { "IPv4, refused", "127.0.0.1", 0, true, 0x28, 46, 0x28 },
    { "IPv6, refused", "::1", 1, true, 0x28, 46, 0x28 },
};

static void answers_in_the_class_of_service_that_is_wished(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(cos_rows); i++) {
        struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_COS), .cos_dscp = cos_rows[i].wish };
        struct stamp_tlv_seen seen;
        struct tw_addr to;
        struct udpsock s;
        struct udp_in in;
        uint8_t probe[200];
        struct rig r;

        rig_prepare(&r);
        r.cfg.refuse_dscp = cos_rows[i].refuse;
        rig_go(&r);
        s = rig_socket(cos_rows[i].at);
        to = rig_reflector(&r, cos_rows[i].reflector);
        rig_send(&r, &s, &to, cos_rows[i].tos, probe, make_stamp(probe, 0, NULL, &want));
        in = rig_recv(&r, &s);
        stamp_tlv_read(in.data + STAMP_BASE, in.len - STAMP_BASE, 0, NULL, &seen);
        if (in.tos != cos_rows[i].reply_tos || seen.cos_dscp != cos_rows[i].tos >> 2 ||
            seen.cos_refused != cos_rows[i].refuse)
            fail_msg("%s: TOS 0x%02x, DSCP seen %u", cos_rows[i].name, (unsigned)in.tos, seen.cos_dscp);
        udp_close(&s);
        rig_end(&r);
    }
}

/* Answer n says when answer n - 1 left: between its T3 and its arrival. */
static void tells_when_its_last_answer_left(void **state)
{
    enum { PROBES = 20 };
    static const char *const at[] = { "127.0.0.1", "::1" };
    const struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct rig r;

    (void)state;
    rig_start(&r);
    for (size_t i = 0; i < TW_NELEM(at); i++) {
        struct udpsock s = rig_socket(at[i]);
        struct tw_addr to = rig_reflector(&r, i);
        struct tw_wall t3 = { 0 }, t4 = { 0 }, left;

        for (uint32_t n = 0; n < PROBES; n++) {
            struct stamp_tlv_seen seen;
            struct test_reply a;
            struct udp_in in;
            uint8_t probe[100];
            unsigned key = 0;

            rig_send(&r, &s, &to, 0, probe, make_stamp(probe, n, NULL, &want));
            in = rig_recv(&r, &s);
            assert_int_equal(stamp_read_reply(NULL, in.data, in.len, &a, &key), TW_OK);
            assert_int_equal(a.seq, n);
            stamp_tlv_read(in.data + STAMP_BASE, in.len - STAMP_BASE, n, NULL, &seen);
            assert_true(seen.answered & STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP));
            if (n > 0) {
                left = tw_wall_from_ntp(seen.follow_up_time, in.time);
                if (!seen.follow_up || seen.follow_up_seq != n - 1 ||
                    seen.follow_up_method != STAMP_TS_SOFTWARE || left.ns < t3.ns || left.ns > t4.ns)
                    fail_msg("%s, answer %u: left %lld ns after its T3, %lld ns before its T4, number %u",
                             at[i], n, (long long)(left.ns - t3.ns), (long long)(t4.ns - left.ns),
                             seen.follow_up_seq);
            }
            assert_int_equal(in.source, TW_TS_KERNEL);
            t3 = tw_wall_from_ntp(a.t3, in.time);
            t4 = in.time;
        }
        udp_close(&s);
    }
    RIG_WAIT(&r, rig_counters(&r).reflected_stamp == 2 * PROBES);
    assert_int_equal(rig_counters(&r).rx_user_time, 0); /* T2 still come from the kernel */
    rig_end(&r);
}

/* By a raw socket, with a UDP header that no other can write: the answer to it cannot be sent. false: not
 * allowed to. */
static bool send_from_port_0(const struct tw_addr *to, const uint8_t *data, size_t len)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    uint8_t packet[200] = { 0, 0, (uint8_t)(to->port >> 8), (uint8_t)to->port, 0, (uint8_t)(8 + len) };
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_UDP);
    bool sent;

    if (fd < 0)
        return false;
    memcpy(&a.sin_addr, to->ip, 4);
    memcpy(packet + 8, data, len); /* checksum 0: none */
    sent = sendto(fd, packet, 8 + len, 0, (struct sockaddr *)&a, sizeof a) == (ssize_t)(8 + len);
    close(fd);
    return sent;
}

static struct stamp_tlv_seen ask_follow_up(struct rig *r, struct udpsock *s, uint32_t n)
{
    const struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct tw_addr to = rig_reflector(r, 0);
    struct stamp_tlv_seen seen;
    uint8_t probe[100];
    struct udp_in in;

    rig_send(r, s, &to, 0, probe, make_stamp(probe, n, NULL, &want));
    in = rig_recv(r, s);
    stamp_tlv_read(in.data + STAMP_BASE, in.len - STAMP_BASE, n, NULL, &seen);
    return seen;
}

/* More answers wait for their times than are remembered, from one sender that never looks. */
static void a_burst_of_send_times_is_survived(void **state)
{
    enum { BURST = 3000 };
    const struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct udpsock s, calm;
    struct stamp_tlv_seen seen;
    uint64_t wakeups;
    struct tw_addr to;
    uint8_t probe[100];
    struct rig r;

    (void)state;
    rig_start(&r);
    s = rig_socket("127.0.0.1");
    calm = rig_socket("127.0.0.1");
    to = rig_reflector(&r, 0);
    for (uint32_t n = 0; n < BURST; n++)
        rig_send(&r, &s, &to, 0, probe, make_stamp(probe, n, NULL, &want));
    RIG_WAIT(&r, handled(&r) + rig_counters(&r).rxq_drops == BURST);
    ask_follow_up(&r, &calm, 0);
    seen = ask_follow_up(&r, &calm, 1);
    assert_true(seen.follow_up);
    assert_int_equal(seen.follow_up_seq, 0);
    RIG_WAIT(&r,
             (wakeups = rig_counters(&r).wakeups, poll(NULL, 0, 200), rig_counters(&r).wakeups == wakeups));
    udp_close(&s);
    udp_close(&calm);
    rig_end(&r);
}

/* What cannot be sent makes the numbers of send times uncertain: nothing is told for a while, nothing wrong
 * either, and then all goes on. */
static void a_failed_answer_interrupts_send_times(void **state)
{
    const struct stamp_tlv_want want = { .types = STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP) };
    struct udpsock s;
    struct stamp_tlv_seen seen;
    struct tw_addr to;
    uint8_t probe[100];
    uint32_t n = 0;
    struct rig r;

    (void)state;
    rig_start(&r);
    s = rig_socket("127.0.0.1");
    to = rig_reflector(&r, 0);
    ask_follow_up(&r, &s, n++);
    if (!send_from_port_0(&to, probe, make_stamp(probe, 0, NULL, &want))) {
        udp_close(&s);
        rig_end(&r);
        skip();
    }
    RIG_WAIT(&r, rig_counters(&r).reflector_send_errors == 1);
    ask_follow_up(&r, &s, n++);
    seen = ask_follow_up(&r, &s, n++);
    assert_false(seen.follow_up && seen.follow_up_seq == n - 2);
    poll(NULL, 0, 1100);
    ask_follow_up(&r, &s, n++);
    seen = ask_follow_up(&r, &s, n++);
    assert_true(seen.follow_up);
    assert_int_equal(seen.follow_up_seq, n - 2);
    udp_close(&s);
    rig_end(&r);
}

static void a_second_program_is_told_that_the_port_is_taken(void **state)
{
    struct worker_cfg cfg = { .max_sessions = 4 };
    struct tw_err err = { 0 };
    struct worker *second;
    struct rig r;

    (void)state;
    rig_start(&r);
    cfg.reflect[0] = rig_reflector(&r, 0);
    assert_int_equal(worker_start(&cfg, &second, &err), TW_EINUSE);
    assert_non_null(strstr(err.text, "choose another port"));
    cfg.index = 1; /* a further worker of the same program shares it */
    assert_int_equal(worker_start(&cfg, &second, &err), TW_OK);
    worker_free(second);
    rig_end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_as_asked),
        cmocka_unit_test(answers_from_the_address_that_was_asked),
        cmocka_unit_test(answers_of_a_burst_tell_their_own_time),
        cmocka_unit_test(junk_is_counted_and_survived),
        cmocka_unit_test(a_datagram_too_long_is_rejected),
        cmocka_unit_test(senders_beyond_the_bound_are_answered_statelessly),
        cmocka_unit_test(a_stateless_reflector_returns_the_senders_number),
        cmocka_unit_test(demands_authentication_where_it_is_told_to),
        cmocka_unit_test(keys_change_while_it_runs),
        cmocka_unit_test(answers_in_the_class_of_service_that_is_wished),
        cmocka_unit_test(tells_when_its_last_answer_left),
        cmocka_unit_test(a_burst_of_send_times_is_survived),
        cmocka_unit_test(a_failed_answer_interrupts_send_times),
        cmocka_unit_test(a_second_program_is_told_that_the_port_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
