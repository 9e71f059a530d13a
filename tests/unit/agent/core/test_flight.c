#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/flight.h"
#include "agent/core/session.h"
#include "agent/core/twamp_pkt.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S)
#define CHUNK_OCTETS (32 * sizeof(struct flight_record))

static const struct flight_span all = { 0, 0, INT64_MAX };

static struct flight_pool *pool_of(size_t chunks, uint32_t probes)
{
    struct flight_pool *p = NULL;

    assert_int_equal(flight_pool_new(chunks * CHUNK_OCTETS, probes, 3, &p), TW_OK);
    return p;
}

static struct flight *ring_of(struct flight_pool *p, uint32_t probes)
{
    struct flight *f = NULL;

    assert_int_equal(flight_new(probes, &f), TW_OK);
    flight_attach(f, p);
    return f;
}

static void drop(struct flight *f)
{
    flight_detach(f);
    flight_free(f);
}

/* Probe seq goes out at seq seconds. */
static void send_probes(struct flight *f, uint32_t from, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        flight_sent(f, from + i, (struct tw_wall){ (int64_t)(from + i) * S });
}

static struct flight_kept kept(const struct flight *f)
{
    struct flight_kept k;

    flight_kept(f, &k);
    return k;
}

static struct flight_stats stats(const struct flight_pool *p)
{
    struct flight_stats s;

    flight_pool_stats(p, &s);
    return s;
}

/* ---- Memory ---- */

static void sizes_are_checked(void **state)
{
    struct flight_pool *p = NULL;
    struct flight *f = NULL;

    (void)state;
    assert_int_equal(flight_pool_new(CHUNK_OCTETS - 1, 100, 3, &p), TW_EINVAL);
    assert_int_equal(flight_pool_new(CHUNK_OCTETS, 0, 3, &p), TW_EINVAL);
    assert_int_equal(flight_pool_new(CHUNK_OCTETS, FLIGHT_PROBES_MAX + 1, 3, &p), TW_EINVAL);
    assert_int_equal(flight_new(0, &f), TW_EINVAL);
    assert_int_equal(flight_new(FLIGHT_PROBES_MAX + 1, &f), TW_EINVAL);
    assert_true(!p && !f);
}

static void keeps_at_least_what_was_asked_for(void **state)
{
    struct flight_pool *p = pool_of(1000, 100);
    struct flight *f = ring_of(p, 100);

    (void)state;
    for (uint32_t i = 0; i < 5000; i++) {
        struct flight_kept k;
        send_probes(f, i, 1);
        k = kept(f);
        if (k.last_ns != i * S || k.n > 100 + 2 * 32 || k.n < (i < 99 ? i + 1 : 100))
            fail_msg("after %u: %llu kept", i, (unsigned long long)k.n);
    }
    assert_int_equal(stats(p).octets, 5 * CHUNK_OCTETS); /* not more than it needs */
    assert_true(stats(p).kept_min_ns >= 99 * S && stats(p).kept_min_ns <= 164 * S);
    drop(f);
    assert_int_equal(stats(p).octets, 0);
    flight_pool_free(p);
}

static void memory_is_shared(void **state)
{
    enum { N = 10, CHUNKS = 45 };
    struct flight_pool *p = pool_of(CHUNKS, 1024);
    struct flight *f[N];

    (void)state;
    f[0] = ring_of(p, 1024);
    send_probes(f[0], 0, 3000);
    assert_true(kept(f[0]).n >= 1024); /* alone it has all that it may have */
    for (int i = 1; i < N; i++)
        f[i] = ring_of(p, 1024);
    assert_int_equal(stats(p).share, CHUNKS / N * 32);
    for (uint32_t round = 0; round < 40; round++)
        for (int i = 0; i < N; i++)
            send_probes(f[i], 3000 + round * 7, 7);
    for (int i = 0; i < N; i++) /* 40 * 7 probes, of which a share less one chunk remains for sure */
        if (kept(f[i]).n < (CHUNKS / N - 1) * 32 || kept(f[i]).last_ns != (3000 + 279) * S)
            fail_msg("ring %d keeps %llu", i, (unsigned long long)kept(f[i]).n);
    assert_true(stats(p).octets <= CHUNKS * CHUNK_OCTETS && !stats(p).refused);
    for (int i = 0; i < N; i += 2)
        drop(f[i]);
    send_probes(f[1], 4000, 1000); /* what they had is there for the others */
    assert_true(kept(f[1]).n > CHUNKS / N * 32);
    for (int i = 1; i < N; i += 2)
        drop(f[i]);
    assert_true(!stats(p).octets && !stats(p).sessions);
    flight_pool_free(p);
}

static void more_sessions_than_chunks_are_counted(void **state)
{
    struct flight_pool *p = pool_of(2, 64);
    struct flight *f[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        f[i] = ring_of(p, 64);
    for (int i = 0; i < 3; i++)
        send_probes(f[i], 0, 20);
    assert_int_equal(stats(p).refused, 20);
    assert_int_equal(kept(f[2]).n, 0);
    flight_lost(f[2], 3, (struct tw_wall){ 3 * S });
    flight_decided(f[2], 1, 0, 0);
    for (int i = 0; i < 3; i++)
        drop(f[i]);
    flight_pool_free(p);
}

/* ---- Records ---- */

static void numbers_wrap_and_errors_share_them(void **state)
{
    struct flight_pool *p = pool_of(100, 200);
    struct flight *f = ring_of(p, 200);
    const struct flight_answer a = { .timed = true,
                                     .forward_ns = 7,
                                     .residence_ns = 1 + INT64_C(5) * S,
                                     .ttl_forward = -1,
                                     .ttl_backward = 60,
                                     .tos_forward = 0,
                                     .tos_backward = -1,
                                     .tx_source = TW_TS_USER,
                                     .rx_source = TW_TS_HARDWARE };
    struct flight_record r[200];
    uint64_t total;
    uint32_t seq = UINT32_MAX - 50;

    (void)state;
    for (int64_t i = 0; i < 100; i++) {
        flight_sent(f, seq, (struct tw_wall){ i });
        if (i % 10 == 5)
            flight_not_sent(f); /* 10 of them */
        else
            seq++;
    }
    for (uint32_t s = UINT32_MAX - 50; s != seq; s++)
        flight_answered(f, s, false, &a);
    flight_answered(f, seq, false, &a);             /* not sent yet */
    flight_answered(f, UINT32_MAX - 51, false, &a); /* never recorded */
    assert_int_equal(flight_read(f, &all, r, 200, &total), 100);
    assert_int_equal(total, 100);
    for (int i = 0; i < 100; i++) {
        bool error = i % 10 == 5;
        if (r[i].t1_ns != i || r[i].fate != (error ? FLIGHT_SEND_ERROR : FLIGHT_RECEIVED))
            fail_msg("record %d: seq %u fate %s", i, r[i].seq, flight_fate_name(r[i].fate));
    }
    assert_true(r[0].flags & FLIGHT_TIMED && r[0].forward_ns == 7 && r[0].residence_ns == UINT32_MAX);
    assert_true(r[0].ttl_forward == 0 && r[0].ttl_backward == 60);
    assert_true(r[0].flags & FLIGHT_TOS_FORWARD && !(r[0].flags & FLIGHT_TOS_BACKWARD));
    assert_int_equal(flight_tx_source(&r[0]), TW_TS_USER);
    assert_int_equal(flight_rx_source(&r[0]), TW_TS_HARDWARE);
    drop(f);
    flight_pool_free(p);
}

static void spans(void **state)
{
    static const struct {
        struct flight_span span; /* seconds */
        size_t cap;
        uint32_t n, first, total;
    } rows[] = {
        { { 0, 50, 100 }, 100, 100, 0, 100 }, { { 10, 15, 20 }, 100, 10, 10, 10 },
        { { 10, 15, 11 }, 100, 1, 10, 1 },    { { 100, 100, 200 }, 100, 0, 0, 0 },
        { { 0, 50, 100 }, 10, 10, 45, 100 },  { { 0, 2, 100 }, 10, 10, 0, 100 },
        { { 0, 99, 100 }, 10, 10, 90, 100 },  { { 0, 50, 100 }, 1, 1, 50, 100 },
        { { 0, 50, 100 }, 0, 0, 0, 100 },     { { 20, 0, 40 }, 5, 5, 20, 20 },
    };
    struct flight_pool *p = pool_of(100, 200);
    struct flight *f = ring_of(p, 200);

    (void)state;
    send_probes(f, 0, 100);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        const struct flight_span *s = &rows[i].span;
        struct flight_span span = { s->from_ns * S, s->at_ns * S, s->to_ns * S };
        struct flight_record r[100];
        uint64_t total;
        size_t n = flight_read(f, &span, r, rows[i].cap, &total);
        if (n != rows[i].n || total != rows[i].total || (n && r[0].seq != rows[i].first))
            fail_msg("row %zu: %zu of %llu from %u", i, n, (unsigned long long)total, n ? r[0].seq : 0);
    }
    drop(f);
    flight_pool_free(p);
}

static void nothing_is_recorded_when_detached(void **state)
{
    struct flight_record r[4];
    struct flight *f = NULL;
    uint64_t total = 1;

    (void)state;
    assert_int_equal(flight_new(10, &f), TW_OK);
    send_probes(f, 0, 40);
    flight_not_sent(f);
    flight_duplicate(f, 0);
    flight_lost(f, 0, (struct tw_wall){ 0 });
    flight_passed(f, (struct tw_wall){ 1 });
    flight_decided(f, 1, 0, 0);
    assert_true(!kept(f).n && !flight_read(f, &all, r, 4, &total) && !total);
    flight_free(f);
}

/* ---- Incidents ---- */

/* 'r' received, 'l' lost; one probe a second from `from_s` on. */
static void pass(struct flight *f, int64_t from_s, const char *fates)
{
    for (uint32_t i = 0; fates[i]; i++) {
        struct tw_wall t1 = { (from_s + i) * S };
        flight_sent(f, (uint32_t)from_s + i, t1);
        if (fates[i] == 'l')
            flight_lost(f, (uint32_t)from_s + i, t1);
        else
            flight_passed(f, t1);
    }
}

static void runs_are_incidents(void **state)
{
    struct flight_pool *p = pool_of(100, 500);
    struct flight *f = ring_of(p, 500);
    struct flight_incident c;

    (void)state;
    pass(f, 0, "rlrllrllr");
    assert_false(flight_next_incident(f, &c)); /* none is as long as 3 */
    pass(f, 10, "rllll");
    assert_true(flight_next_incident(f, &c));
    assert_true(c.start_ns == 11 * S && c.at_ns == 11 * S && c.probes == 3 && !c.ended);
    assert_false(flight_next_incident(f, &c));
    pass(f, 15, "r"); /* 4 s long: not worth a second one */
    assert_false(flight_next_incident(f, &c));
    pass(f, 20, "lllr");
    assert_false(flight_next_incident(f, &c)); /* so soon after the other */
    assert_int_equal(stats(p).withheld, 1);
    pass(f, 80, "lllllllr");
    assert_true(flight_next_incident(f, &c)); /* the end; the beginning was not taken in time */
    assert_true(c.start_ns == 80 * S && c.at_ns == 87 * S && c.probes == 7 && c.ended);
    drop(f);
    flight_pool_free(p);
}

/* ---- What a session feeds ---- */

struct flown {
    struct session *s;
    struct flight_pool *pool;
    struct flight *f;
    uint32_t reflected; /* the reflector's own number */
};

static struct tw_now at(int64_t ns)
{
    return (struct tw_now){ { ns + 5 * S }, { WALL0 + ns } };
}

static struct flown take_off(void)
{
    static const struct session_cfg cfg = { .pair_id = 9,
                                            .spacing_ns = 100 * MS,
                                            .size_bytes = 41,
                                            .timeout_ns = 1 * S,
                                            .report_period_ns = 10 * S,
                                            .reflector_stateful = true };
    struct flown n = { .pool = pool_of(100, 1000) };

    n.f = ring_of(n.pool, 1000);
    assert_int_equal(session_new(&cfg, NULL, at(0), &n.s), TW_OK);
    session_set_flight(n.s, n.f);
    return n;
}

static void land(struct flown *n)
{
    session_free(n->s);
    drop(n->f);
    flight_pool_free(n->pool);
}

static struct test_reply answer_to(struct flown *n, const uint8_t *probe, size_t len, int64_t sent_ns)
{
    struct test_probe p;
    uint64_t t2 = tw_wall_to_ntp((struct tw_wall){ WALL0 + sent_ns + 3 * MS });
    uint64_t t3 = tw_wall_to_ntp((struct tw_wall){ WALL0 + sent_ns + 4 * MS });

    twamp_decode_probe(probe, len, &p);
    return (struct test_reply){ .seq = n->reflected++,
                                .t2 = t2,
                                .t3 = t3,
                                .err_est = 0x8001,
                                .sender_seq = p.seq,
                                .sender_t1 = p.t1,
                                .sender_err_est = p.err_est,
                                .ttl_known = true,
                                .sender_ttl = 60 };
}

static void reply_at(struct flown *n, int64_t ns, const struct test_reply *a)
{
    struct session_rx rx = { { WALL0 + ns }, TW_TS_KERNEL, 61, 184 };
    uint8_t wire[TWAMP_REPLY_MIN];

    twamp_encode_reply(a, wire, sizeof wire);
    assert_int_equal(session_on_reply(n->s, at(ns), &rx, wire, sizeof wire), TW_OK);
}

/* One letter a probe: r received, d twice, f lost on the way out, b on the way back, e not sent. */
static void fly(struct flown *n, int64_t from_ns, const char *fates)
{
    for (int64_t i = 0; fates[i]; i++) {
        int64_t now = from_ns + i * 100 * MS;
        uint8_t probe[64];
        struct test_reply a;
        size_t len;
        assert_int_equal(session_next_probe(n->s, at(now), probe, sizeof probe, &len), TW_OK);
        if (fates[i] == 'e')
            session_on_send_error(n->s);
        if (strchr("rdb", fates[i]))
            a = answer_to(n, probe, len, now);
        if (strchr("rd", fates[i]))
            reply_at(n, now + 9 * MS, &a);
        if (fates[i] == 'd')
            reply_at(n, now + 10 * MS, &a);
    }
}

static char letter(const struct flight_record *r)
{
    switch (r->fate) {
    case FLIGHT_RECEIVED:
        return r->duplicates ? 'd' : 'r';
    case FLIGHT_LOST:
        return r->way == TW_FORWARD ? 'f' : r->way == TW_BACKWARD ? 'b' : 'u';
    case FLIGHT_LATE:
        return 'l';
    case FLIGHT_SEND_ERROR:
        return 'e';
    default:
        return '.';
    }
}

static void expect(struct flown *n, const char *want)
{
    struct flight_record r[200];
    uint64_t total;
    size_t k = flight_read(n->f, &all, r, 200, &total);
    char got[201] = "";

    for (size_t i = 0; i < k; i++)
        got[i] = letter(&r[i]);
    assert_string_equal(got, want);
}

static void a_session_records_every_fate(void **state)
{
    static const struct {
        const char *fly, *want; /* followed by more than a timeout of received ones */
    } rows[] = {
        { "rrrr", "rrrr" },       { "rdrffrbbbr", "rdrffrbbbr" },
        { "rfrbrfr", "rfrbrfr" }, { "rfbrr", "ruurr" }, /* a gap with both: which was which is not known */
        { "reerfer", "reerfer" }, { "fffr", "fffr" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct flown n = take_off();
        int64_t end = (int64_t)strlen(rows[i].fly) * 100 * MS;
        char want[100];
        fly(&n, 0, rows[i].fly);
        fly(&n, end, "rrrrrrrrrrrrrrrr");
        snprintf(want, sizeof want, "%srrrrrrrrrrrrrrrr", rows[i].want);
        expect(&n, want);
        land(&n);
    }
}

static void a_record_is_complete(void **state)
{
    struct flown n = take_off();
    struct flight_record r[2];
    uint64_t total;

    (void)state;
    fly(&n, 0, "r");
    assert_int_equal(flight_read(n.f, &all, r, 2, &total), 1);
    assert_true(r[0].t1_ns == WALL0 && r[0].seq == 0 && r[0].flags & FLIGHT_TIMED);
    assert_true(llabs(r[0].forward_ns - 3 * MS) <= 1 && llabs(r[0].backward_ns - 5 * MS) <= 1 &&
                llabs(r[0].residence_ns - 1 * MS) <= 1);
    assert_true(r[0].ttl_forward == 60 && r[0].ttl_backward == 61 && r[0].tos_backward == 184);
    assert_int_equal(flight_rx_source(&r[0]), TW_TS_KERNEL);
    land(&n);
}

/* What was counted as lost and came after all: with its delays, and still known as lost on the way back. */
static void a_late_answer_completes_its_record(void **state)
{
    struct flown n = take_off();
    struct flight_record r[100];
    uint8_t probe[64];
    struct test_reply late;
    uint64_t total;
    size_t len;

    (void)state;
    fly(&n, 0, "r");
    assert_int_equal(session_next_probe(n.s, at(100 * MS), probe, sizeof probe, &len), TW_OK);
    late = answer_to(&n, probe, len, 100 * MS);
    fly(&n, 200 * MS, "rrrrrrrrrrr");
    expect(&n, "rbrrrrrrrrrrr");
    reply_at(&n, 1250 * MS, &late);
    expect(&n, "rlrrrrrrrrrrr");
    flight_read(n.f, &all, r, 100, &total);
    assert_true(r[1].flags & FLIGHT_TIMED && r[1].way == TW_BACKWARD);
    assert_true(r[1].forward_ns + r[1].backward_ns > 1100 * MS);
    land(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_checked),
        cmocka_unit_test(keeps_at_least_what_was_asked_for),
        cmocka_unit_test(memory_is_shared),
        cmocka_unit_test(more_sessions_than_chunks_are_counted),
        cmocka_unit_test(numbers_wrap_and_errors_share_them),
        cmocka_unit_test(spans),
        cmocka_unit_test(nothing_is_recorded_when_detached),
        cmocka_unit_test(runs_are_incidents),
        cmocka_unit_test(a_session_records_every_fate),
        cmocka_unit_test(a_record_is_complete),
        cmocka_unit_test(a_late_answer_completes_its_record),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
