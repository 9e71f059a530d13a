#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/core/hoststate.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define BASE (INT64_C(400000) * 4096 * S) /* on a border of cells of every width but the widest */
#define MONO (77 * S)

static struct tw_now at(int64_t ns)
{
    return (struct tw_now){ .mono = { MONO + ns }, .wall = { BASE + ns } };
}

static int setup(void **state)
{
    return hoststate_new((struct hoststate **)state);
}

static int teardown(void **state)
{
    hoststate_free(*state);
    return 0;
}

static struct host_figures ask(struct hoststate *h, int64_t from_ns, int64_t to_ns)
{
    struct host_figures f;

    hoststate_figures(h, (struct tw_wall){ BASE + from_ns }, (struct tw_wall){ BASE + to_ns }, &f);
    return f;
}

/* ---- Stalls: up to three things done late, then what each of three ten-second spans says ---- */

static const struct {
    const char *name;
    struct {
        int64_t now, late;
    } late[3];
    struct {
        uint64_t stalls;
        int64_t max;
    } span[3];
} stalls[] = {
    { "in time", { { 5 * S, 0 }, { 6 * S, -MS }, { 7 * S, MS } }, { { 0, 0 }, { 0, 0 }, { 0, 0 } } },
    { "just late", { { 5 * S, MS + 1 } }, { { 1, MS + 1 }, { 0, 0 }, { 0, 0 } } },
    { "two", { { 5 * S, 2 * MS }, { 5 * S + 3 * MS, 2 * MS } }, { { 2, 2 * MS }, { 0, 0 }, { 0, 0 } } },
    { "one, seen by three things",
      { { 5 * S, 2 * S }, { 5 * S, 1 * S }, { 5 * S + MS, 1 * S } },
      { { 1, 2 * S }, { 0, 0 }, { 0, 0 } } },
    { "a later thing waited longer",
      { { 5 * S, 1 * S }, { 5 * S + MS, 2 * S } },
      { { 1, 2 * S }, { 0, 0 }, { 0, 0 } } },
    { "across a border", { { 11 * S, 2 * S } }, { { 1, 2 * S }, { 1, 2 * S }, { 0, 0 } } },
    { "across a whole span", { { 25 * S, 20 * S } }, { { 1, 20 * S }, { 1, 20 * S }, { 1, 20 * S } } },
    { "one in each",
      { { 5 * S, 2 * MS }, { 15 * S, 3 * MS }, { 25 * S, 4 * MS } },
      { { 1, 2 * MS }, { 1, 3 * MS }, { 1, 4 * MS } } },
    { "in the last instant", { { 10 * S - 1, 2 * MS } }, { { 1, 2 * MS }, { 0, 0 }, { 0, 0 } } },
};

static void stalls_belong_to_their_spans(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(stalls); i++) {
        struct hoststate *h;
        assert_int_equal(hoststate_new(&h), TW_OK);
        for (size_t k = 0; k < 3 && stalls[i].late[k].now; k++)
            hoststate_on_late(h, at(stalls[i].late[k].now), stalls[i].late[k].late);
        for (int k = 0; k < 3; k++) {
            struct host_figures f = ask(h, k * 10 * S, (k + 1) * 10 * S);
            if (f.stalls != stalls[i].span[k].stalls || f.stall_max_ns != stalls[i].span[k].max)
                fail_msg("%s: span %d: %llu, %lld ns", stalls[i].name, k, (unsigned long long)f.stalls,
                         (long long)f.stall_max_ns);
        }
        hoststate_free(h);
    }
}

/* ---- Waiting for a CPU ---- */

static const struct {
    const char *name;
    struct {
        int64_t now;
        uint64_t total;
    } read[3];
    uint32_t ppm[2]; /* of [0, 10 s), [10 s, 20 s) */
} waits[] = {
    { "the first reading tells nothing", { { 1 * S, UINT64_C(999999999999) } }, { 0, 0 } },
    { "none", { { 1 * S, 500 }, { 2 * S, 500 } }, { 0, 0 } },
    { "a tenth", { { 1 * S, 500 }, { 2 * S, 500 + 100 * MS } }, { 100000, 0 } },
    { "a tenth of two seconds", { { 1 * S, 0 }, { 3 * S, 200 * MS } }, { 100000, 0 } },
    { "the worst counts", { { 1 * S, 0 }, { 2 * S, 300 * MS }, { 3 * S, 301 * MS } }, { 300000, 0 } },
    { "more than there was", { { 1 * S, 0 }, { 2 * S, 3 * S } }, { 1000000, 0 } },
    { "started anew", { { 1 * S, 800 * MS }, { 2 * S, 100 * MS }, { 3 * S, 150 * MS } }, { 50000, 0 } },
    { "no time between", { { 1 * S, 0 }, { 1 * S, 5 * MS } }, { 0, 0 } },
    { "across a border", { { 9 * S, 0 }, { 11 * S, 1 * S } }, { 500000, 500000 } },
    { "the second span", { { 12 * S, 0 }, { 13 * S, 20 * MS } }, { 0, 20000 } },
};

static void waiting_is_the_worst_second(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(waits); i++) {
        struct hoststate *h;
        assert_int_equal(hoststate_new(&h), TW_OK);
        for (size_t k = 0; k < 3 && waits[i].read[k].now; k++)
            hoststate_on_cpu_wait(h, at(waits[i].read[k].now), waits[i].read[k].total);
        for (int k = 0; k < 2; k++) {
            struct host_figures f = ask(h, k * 10 * S, (k + 1) * 10 * S);
            if (f.cpu_wait_ppm != waits[i].ppm[k] || f.stalls || f.noise.sent)
                fail_msg("%s: span %d: %u ppm", waits[i].name, k, f.cpu_wait_ppm);
        }
        hoststate_free(h);
    }
}

/* ---- Noise ---- */

static void noise_is_ranked_exactly(void **state)
{
    struct hoststate *h = *state;
    struct host_figures f;

    for (int i = 0; i < 100; i++) /* 1..100 us, in another order */
        hoststate_on_probe(h, at(i * 100 * MS), (1 + i * 37 % 100) * 1000);
    f = ask(h, 0, 10 * S);
    assert_true(f.noise.sent == 100 && f.noise.lost == 0);
    assert_true(f.noise.p50_ns == 50000 && f.noise.p99_ns == 99000 && f.noise.max_ns == 100000);
    f = ask(h, 0, 1 * S); /* the first ten: 1 38 75 12 49 86 23 60 97 34 */
    assert_true(f.noise.sent == 10 && f.noise.p50_ns == 38000 && f.noise.p99_ns == 97000 &&
                f.noise.max_ns == 97000);
    f = ask(h, 10 * S, 20 * S);
    assert_true(f.noise.sent == 0 && f.noise.max_ns == 0);
    hoststate_on_probe(h, at(15 * S), INT64_MAX);
    hoststate_on_probe(h, at(15 * S), -7);
    f = ask(h, 10 * S, 20 * S);
    assert_true(f.noise.sent == 2 && f.noise.p50_ns == -7 && f.noise.max_ns == INT32_MAX);
}

static void lost_probes_of_the_self_test_are_counted(void **state)
{
    struct hoststate *h = *state;
    struct host_figures f;

    hoststate_on_lost_probe(h, at(1 * S));
    f = ask(h, 0, 10 * S);
    assert_true(f.noise.sent == 1 && f.noise.lost == 1 && f.noise.max_ns == 0);
    hoststate_on_probe(h, at(2 * S), 5000);
    f = ask(h, 0, 10 * S);
    assert_true(f.noise.sent == 2 && f.noise.lost == 1 && f.noise.p50_ns == 5000);
}

/* An outcome ring that has gone round knows the newest; the counts know all. */
static void old_noise_gives_way(void **state)
{
    struct hoststate *h = *state;
    struct host_figures f;

    for (int i = 0; i < 2000; i++)
        hoststate_on_probe(h, at(i * 100 * MS), i < 976 ? 1000000 : 1000);
    f = ask(h, 0, 200 * S);
    assert_true(f.noise.sent == 2000 && f.noise.max_ns == 1000);
    f = ask(h, 0, 50 * S); /* forgotten */
    assert_true(f.noise.sent == 0 && f.noise.max_ns == 0);
}

/* ---- Spans of every length, and time that goes by ---- */

static void long_spans_are_read_from_coarser_cells(void **state)
{
    static const int64_t lengths[] = { 60 * S, 300 * S, 3600 * S, 86400 * S, 30 * 86400 * S };
    struct hoststate *h = *state;

    for (size_t i = 0; i < TW_NELEM(lengths); i++) {
        int64_t end = lengths[i];
        struct hoststate *one;
        struct host_figures f;
        assert_int_equal(hoststate_new(&one), TW_OK);
        hoststate_on_late(one, at(1 * S), 5 * MS);
        hoststate_on_late(one, at(end - 1 * S), 7 * MS);
        hoststate_on_late(one, at(end), MS + 1 + 65 * S); /* began in it */
        f = ask(one, 0, end);
        if (f.stalls < 2 || f.stall_max_ns < 65 * S)
            fail_msg("%lld s: %llu stalls", (long long)(end / S), (unsigned long long)f.stalls);
        hoststate_free(one);
    }
    /* Far behind: what the finest level has overwritten is not taken for something else. */
    hoststate_on_late(h, at(1 * S), 5 * MS);
    hoststate_on_probe(h, at(1001 * S), 1000);
    assert_int_equal(ask(h, 0, 10 * S).stalls, 1); /* by the cells of 64 s */
    assert_int_equal(ask(h, 1000 * S, 1010 * S).stalls, 0);
    assert_int_equal(ask(h, 257 * S, 258 * S).stalls, 0); /* the same place in the ring of seconds */
}

static void the_answer_follows_later_inputs(void **state)
{
    struct hoststate *h = *state;

    assert_int_equal(ask(h, 0, 10 * S).stalls, 0);
    hoststate_on_late(h, at(12 * S), 2 * MS); /* after it */
    assert_int_equal(ask(h, 0, 10 * S).stalls, 0);
    hoststate_on_late(h, at(20 * S), 11 * S); /* reaches back into it; it is one with the one before */
    assert_int_equal(ask(h, 0, 10 * S).stall_max_ns, 11 * S);
    hoststate_on_late(h, at(9 * S), 2 * MS); /* the clock was set back */
    assert_true(ask(h, 0, 10 * S).stalls >= 1);
    assert_int_equal(ask(h, 10 * S, 0).stalls, 0); /* no span */
}

static void summaries_get_their_span(void **state)
{
    struct hoststate *h = *state;
    struct tw_summary s;

    hoststate_on_cpu_wait(h, at(1 * S), 0);
    hoststate_on_cpu_wait(h, at(2 * S), 250 * MS);
    hoststate_on_late(h, at(3 * S), 40 * MS);
    hoststate_on_probe(h, at(4 * S), 30000);
    hoststate_on_lost_probe(h, at(14 * S));
    summary_init(&s);
    s.start_ns = BASE;
    s.end_ns = BASE + 10 * S;
    hoststate_fill(h, &s);
    assert_int_equal(summary_validate(&s, NULL), TW_OK);
    assert_true(s.host_stalls == 1 && s.host_stall_max_ns == 40 * MS && s.host_cpu_wait_ppm == 250000);
    assert_true(s.noise.sent == 1 && s.noise.lost == 0 && s.noise.p99_ns == 30000);
    assert_int_equal(summary_trouble(&s), TW_TROUBLE_STARVED);
    s.start_ns += 10 * S;
    s.end_ns += 10 * S;
    hoststate_fill(h, &s);
    assert_int_equal(summary_validate(&s, NULL), TW_OK);
    assert_true(s.host_stalls == 0 && s.noise.sent == 1 && s.noise.lost == 1);
    assert_int_equal(summary_trouble(&s), TW_TROUBLE_LOOPBACK_LOSS);
    summary_free(&s);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stalls_belong_to_their_spans),
        cmocka_unit_test(waiting_is_the_worst_second),
        T(noise_is_ranked_exactly),
        T(lost_probes_of_the_self_test_are_counted),
        T(old_noise_gives_way),
        T(long_spans_are_read_from_coarser_cells),
        T(the_answer_follows_later_inputs),
        T(summaries_get_their_span),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
