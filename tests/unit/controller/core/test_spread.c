/* Starts of runs: never more than 3 % of 1,000 or more sessions within one second of a minute, whatever they
 * are called, in whatever order they come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "common/clk.h"
#include "controller/core/spread.h"
#include "tests/unit/common/rng.h"

#define S TW_NS_PER_S
#define MINUTE (60 * S)
#define SETS 400 /* of names */
#define PAIRS 4000

struct member {
    uint64_t id;
    uint32_t flows;
    unsigned slot; /* 0: never chosen */
    bool in;
};
struct set {
    struct spread s;
    struct member m[PAIRS];
    int64_t every_ns;
    uint64_t seed, rng;
    uint64_t sessions;
};

static struct set *set_new(uint64_t seed, int64_t every_ns)
{
    struct set *x = calloc(1, sizeof *x);

    assert_non_null(x);
    x->seed = x->rng = seed;
    x->every_ns = every_ns;
    for (size_t i = 0; i < PAIRS; i++) {
        x->m[i].id = rng_next(&x->rng) >> 11;
        x->m[i].flows = 1;
    }
    return x;
}

static void set_free(struct set *x)
{
    spread_free(&x->s);
    free(x);
}

static void come(struct set *x, size_t i)
{
    struct member *m = &x->m[i];

    m->slot = spread_choose(&x->s, x->every_ns, m->flows, m->slot, m->id);
    assert_in_range(m->slot, 1, SPREAD_SLOTS);
    assert_int_equal(spread_add(&x->s, x->every_ns, m->slot, m->flows), TW_OK);
    m->in = true;
    x->sessions += m->flows;
}

static void go(struct set *x, size_t i)
{
    spread_remove(&x->s, x->every_ns, x->m[i].slot, x->m[i].flows);
    x->m[i].in = false;
    x->sessions -= x->m[i].flows;
}

/* ---- Counting ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static size_t all_phases(const struct set *x, int64_t *v)
{
    size_t n = 0;

    for (size_t i = 0; i < PAIRS; i++)
        for (uint32_t flow = 0; x->m[i].in && flow < x->m[i].flows; flow++) {
            v[n] = spread_phase_ns(x->every_ns, x->m[i].slot, flow, x->m[i].flows, x->m[i].id);
            assert_true(v[n] >= 0 && v[n] < x->every_ns);
            n++;
        }
    return n;
}

/* Of all moments: in any second, wherever it begins. */
static size_t most_in_a_second(const struct set *x)
{
    int64_t *v = malloc(2 * (x->sessions + 1) * sizeof *v);
    size_t n, most = 0, last = 0;

    assert_non_null(v);
    n = all_phases(x, v);
    assert_int_equal(n, x->sessions);
    qsort(v, n, sizeof *v, by_value);
    for (size_t i = 0; i < n; i++) /* the next interval follows */
        v[n + i] = v[i] + x->every_ns;
    for (size_t i = 0; i < n; i++) {
        while (last < 2 * n && v[last] < v[i] + S)
            last++;
        most = last - i > most ? last - i : most;
    }
    free(v);
    return most;
}

static void expect_spread(const struct set *x, const char *when)
{
    size_t most = most_in_a_second(x);

    if (x->sessions >= 1000 && most * 100 > 3 * x->sessions)
        fail_msg("seed %llu, %s: %zu of %llu begin within a second", (unsigned long long)x->seed, when, most,
                 (unsigned long long)x->sessions);
}

/* ---- Sets of names ---- */

static void whoever_comes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        struct set *x = set_new(seed, MINUTE);

        for (size_t i = 0; i < 1000; i++)
            come(x, i);
        expect_spread(x, "1,000 came");
        assert_true(most_in_a_second(x) <= 25); /* five slots, of which each has five at most */
        for (size_t i = 1000; i < 1000 + rng_below(&x->rng, 1000); i++)
            come(x, i);
        expect_spread(x, "more came");
        set_free(x);
    }
}

static void with_flows_and_other_intervals(void **state)
{
    static const int64_t every[] = {
        MINUTE, 61 * S, 90 * S, 5 * MINUTE, 60 * MINUTE, 366 * 24 * 60 * MINUTE
    };

    (void)state;
    for (uint64_t seed = 1; seed <= SETS / 4; seed++) {
        struct set *x = set_new(seed, every[seed % TW_NELEM(every)]);
        uint64_t most_flows = 1 + seed % 32;

        for (size_t i = 0; i < PAIRS && x->sessions < 1000; i++) {
            x->m[i].flows = (uint32_t)(1 + rng_below(&x->rng, most_flows));
            come(x, i);
        }
        expect_spread(x, "pairs of several flows came");
        set_free(x);
    }
}

/* At random, and all pairs of an agent at once; some come back. Never fewer than 1,000. */
static void come_and_go(struct set *x)
{
    for (unsigned step = 0; step < 6000; step++) {
        size_t i = rng_below(&x->rng, PAIRS), n = rng_below(&x->rng, 100) ? 1 : 1 + rng_below(&x->rng, 100);
        bool goes = rng_below(&x->rng, 100) < 50;

        for (; n-- && i < PAIRS; i++)
            if (goes && x->m[i].in && x->sessions > 1000)
                go(x, i);
            else if (!goes && !x->m[i].in)
                come(x, i);
    }
}

static void whoever_comes_and_goes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS / 4; seed++) {
        struct set *x = set_new(seed, MINUTE);
        size_t first = 1000 + rng_below(&x->rng, 500);

        for (size_t i = 0; i < first; i++)
            come(x, i);
        for (unsigned i = 0; i < 4; i++) {
            come_and_go(x);
            expect_spread(x, "after many came and went");
        }
        for (size_t i = 0; i < PAIRS; i++) /* all that ever were */
            if (!x->m[i].in)
                come(x, i);
        expect_spread(x, "all came back");
        set_free(x);
    }
}

/* Half of 2,000 go at once, by chance: nobody can choose who stays, so a second may have a few more than 30.
 */
static void a_half_goes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        struct set *x = set_new(seed, MINUTE);
        size_t most;

        for (size_t i = 0; i < 2000; i++)
            come(x, i);
        while (x->sessions > 1000) {
            size_t i = rng_below(&x->rng, 2000);

            if (x->m[i].in)
                go(x, i);
        }
        most = most_in_a_second(x);
        if (most > 34)
            fail_msg("seed %llu: %zu of 1,000 begin within a second", (unsigned long long)seed, most);
        for (size_t i = 2000; i < 2250; i++) /* those that come fill the holes */
            come(x, i);
        expect_spread(x, "250 came after half of them had gone");
        set_free(x);
    }
}

/* ---- One by one ---- */

static void nobody_moves_for_another(void **state)
{
    struct set *x = set_new(7, MINUTE);

    (void)state;
    for (size_t i = 0; i < 100; i++)
        come(x, i);
    go(x, 50);
    assert_int_equal(spread_choose(&x->s, MINUTE, 1, x->m[50].slot, 1),
                     x->m[50].slot); /* back where it was */
    assert_int_equal(spread_choose(&x->s, 2 * MINUTE, 1, x->m[50].slot, 1), x->m[50].slot);
    assert_int_equal(x->s.n, 1);
    set_free(x);
}

/* Nobody comes back to where it has become crowded. */
static void a_crowded_slot_is_left(void **state)
{
    struct spread s = { 0 };

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(spread_add(&s, MINUTE, 9, 1), TW_OK);
    for (uint64_t seed = 0; seed < 50; seed++)
        assert_int_not_equal(spread_choose(&s, MINUTE, 1, 9, seed), 9);
    for (unsigned i = 0; i < 10; i++)
        spread_remove(&s, MINUTE, 9, 1);
    assert_int_equal(s.n, 0);
    assert_int_equal(spread_choose(&s, MINUTE, 1, 9, 1), 9);
    spread_free(&s);
}

static void intervals_are_apart(void **state)
{
    struct spread s = { 0 }, copy;

    (void)state;
    for (int64_t every = 40; every > 0; every--)
        assert_int_equal(spread_add(&s, every * S, (unsigned)every, 1), TW_OK);
    assert_int_equal(s.n, 40);
    assert_int_equal(spread_copy(&s, &copy), TW_OK);
    for (int64_t every = 1; every <= 40; every += 2)
        spread_remove(&s, every * S, (unsigned)every, 1);
    assert_int_equal(s.n, 20);
    assert_int_equal(copy.n, 40);
    for (size_t i = 0; i < s.n; i++) {
        assert_int_equal(s.v[i].every_ns, 2 * (int64_t)(i + 1) * S);
        assert_int_equal(s.v[i].load[2 * (i + 1) - 1], 1);
        assert_int_equal(copy.v[2 * i].every_ns, (int64_t)(2 * i + 1) * S);
    }
    spread_free(&s);
    spread_free(&copy);
}

/* From a second implementation, written down: a new release must not move what runs. */
static void phases_stay(void **state)
{
    static const struct {
        int64_t every_ns;
        unsigned slot;
        uint32_t flow, flows;
        uint64_t id;
        int64_t phase_ns;
    } rows[] = {
        { MINUTE, 1, 0, 1, 3777039936905210, 110838140 },
        { MINUTE, 240, 0, 1, 3777039936905210, 59860838140 },
        { MINUTE, 240, 1, 2, 3777039936905210, 29931187241 },
        { MINUTE, 100, 5, 7, 1, 7609448310 },
        { S, 17, 0, 1, 1, 68708183 },
        { 366 * 24 * 60 * MINUTE, 240, 31, 32, 9007199254740991, 30512846501473189 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        int64_t phase =
            spread_phase_ns(rows[i].every_ns, rows[i].slot, rows[i].flow, rows[i].flows, rows[i].id);

        if (phase != rows[i].phase_ns)
            fail_msg("row %zu: phase %lld", i, (long long)phase);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_comes),
        cmocka_unit_test(with_flows_and_other_intervals),
        cmocka_unit_test(whoever_comes_and_goes),
        cmocka_unit_test(a_half_goes),
        cmocka_unit_test(nobody_moves_for_another),
        cmocka_unit_test(a_crowded_slot_is_left),
        cmocka_unit_test(intervals_are_apart),
        cmocka_unit_test(phases_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
