/* What a session costs in memory: 10,000 of them are to fit into 40 MB, with all that the worker keeps for
 * each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/session.h"
#include "agent/core/twamp_pkt.h"
#include "agent/io/worker_priv.h"
#include "common/splitmix.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define WALL0 (INT64_C(1795424480) * S) /* a multiple of 10 s */

/* ---- Counting (linked with --wrap of these four) ---- */

enum { HEAD = 8 }; /* malloc()'s own, of each */

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static size_t octets;
static unsigned calls;

static void *count(void *p)
{
    if (!p)
        return p;
    calls++;
    octets += malloc_usable_size(p) + HEAD;
    return p;
}

static void uncount(void *p)
{
    if (p)
        octets -= malloc_usable_size(p) + HEAD;
}

void *__wrap_malloc(size_t n)
{
    return count(__real_malloc(n));
}

void *__wrap_calloc(size_t n, size_t size)
{
    return count(__real_calloc(n, size));
}

void *__wrap_realloc(void *p, size_t n)
{
    uncount(p);
    return count(__real_realloc(p, n));
}

void __wrap_free(void *p)
{
    uncount(p);
    __real_free(p);
}

/* ---- A session and its reflector ---- */

/* What the worker has of each: flow, peer, three places in the timer queue, two in each of two tables of
 * buckets. */
#define OF_WORKER \
    (sizeof(struct flow) + sizeof(struct peer) + 2 * HEAD + 3 * sizeof(void *) + 4 * 2 * sizeof(void *))
#define GOAL 4096

struct rig {
    struct session *s;
    struct tw_summary sum;
    uint64_t rng;
    int64_t ns;
    uint32_t reflected;
    uint8_t probe[64];
    size_t len;
    uint64_t summaries;
};

static struct tw_now now_of(const struct rig *r)
{
    return (struct tw_now){ { r->ns + 5 * S }, { WALL0 + r->ns } };
}

static void answer(struct rig *r, int64_t forward, int64_t backward)
{
    struct session_rx rx = {
        .time = { WALL0 + r->ns + forward + backward }, .source = TW_TS_KERNEL, .ttl = 60, .tos = 0
    };
    struct tw_wall t2 = { WALL0 + r->ns + forward };
    struct test_probe p;
    struct test_reply a;
    uint8_t buf[64];

    assert_int_equal(twamp_decode_probe(r->probe, r->len, &p), TW_OK);
    a = (struct test_reply){ .seq = r->reflected++,
                             .t3 = tw_wall_to_ntp(t2),
                             .t2 = tw_wall_to_ntp(t2),
                             .err_est = tw_errest_encode(MS, true, false),
                             .sender_seq = p.seq,
                             .sender_t1 = p.t1,
                             .sender_err_est = p.err_est,
                             .sender_ttl = 60,
                             .ttl_known = true };
    assert_int_equal(twamp_encode_reply(&a, buf, sizeof buf), TW_OK);
    r->ns += forward + backward;
    assert_int_equal(session_on_reply(r->s, now_of(r), &rx, buf, TWAMP_REPLY_MIN), TW_OK);
}

static void take(struct rig *r)
{
    while (session_next_summary(r->s, now_of(r), &r->sum) == TW_OK)
        r->summaries++;
    summary_free(&r->sum); /* is not the session's any more */
}

/* So many different delays that nearly each is a bucket of its own. */
static int64_t delay(struct rig *r)
{
    return 100000 + (int64_t)(tw_splitmix64(&r->rng) % (2 * MS));
}

static void one_probe(struct rig *r, unsigned lost_percent)
{
    enum tw_rc rc;

    r->ns = session_next_probe_due(r->s).ns - 5 * S + (int64_t)(tw_splitmix64(&r->rng) % 50000);
    rc = session_next_probe(r->s, now_of(r), r->probe, sizeof r->probe, &r->len);
    assert_int_equal(rc, TW_OK);
    if (tw_splitmix64(&r->rng) % 100 >= lost_percent) {
        int64_t forward = delay(r);
        answer(r, forward, delay(r));
    } else {
        r->reflected++;
    }
}

static const struct {
    const char *name;
    unsigned lost_percent;
    int64_t take_after_ns; /* into each period */
    size_t at_most;        /* octets, with what the worker has */
} rows[] = {
    { "all are answered", 0, 0, GOAL },
    { "some are lost", 5, 0, GOAL + GOAL / 2 }, /* their period waits for them beside the new one */
    { "results wait", 0, 3 * S, GOAL + GOAL / 2 },
};

static void fits_into_its_share(void **state)
{
    static const struct session_cfg cfg = {
        .pair_id = 9,
        .spacing_ns = 200 * MS,
        .size_bytes = 64,
        .timeout_ns = 2 * S,
        .report_period_ns = 10 * S,
        .seed = 1,
        .reflector_stateful = true,
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct rig r = { .rng = 7 };
        size_t before = octets, most = 0;

        summary_init(&r.sum);
        assert_int_equal(session_new(&cfg, NULL, now_of(&r), &r.s), TW_OK);
        for (int n = 0; n < 500; n++) {
            one_probe(&r, rows[i].lost_percent);
            if (r.ns % (10 * S) >= rows[i].take_after_ns)
                take(&r);
            /* Not in between: for the moment until its last summary is taken a session has two periods, but
             * one session at a time. */
            if (octets - before > most)
                most = octets - before;
        }
        assert_true(r.summaries >= 9);
        if (most + OF_WORKER > rows[i].at_most)
            fail_msg("%s: %zu octets and %zu of the worker's, at most %zu", rows[i].name, most, OF_WORKER,
                     rows[i].at_most);
        print_message("%s: %zu octets and %zu of the worker's\n", rows[i].name, most, OF_WORKER);
        session_free(r.s);
        summary_free(&r.sum);
        assert_int_equal(octets, before);
    }
}

/* A period is made and its histograms grow, but single probes need no memory. */
static void probes_do_not_allocate(void **state)
{
    static const struct session_cfg cfg = {
        .spacing_ns = 10 * MS, .size_bytes = 64, .timeout_ns = S, .report_period_ns = 10 * S, .seed = 1
    };
    struct rig r = { .rng = 7 };
    unsigned idle = 0;

    (void)state;
    summary_init(&r.sum);
    assert_int_equal(session_new(&cfg, NULL, now_of(&r), &r.s), TW_OK);
    for (int n = 0; n < 5000; n++) {
        unsigned before = calls;
        one_probe(&r, 1);
        take(&r);
        idle += n >= 1000 && calls == before;
    }
    assert_in_range(idle, 4000 - 4 * 40, 4000); /* four periods, each with its histograms growing */
    session_free(r.s);
    summary_free(&r.sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_into_its_share),
        cmocka_unit_test(probes_do_not_allocate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
