/* Starts of runs: never more than 3 % of 1,000 or more sessions within one second of a minute, of all agents
 * or of one, whatever they are called, in whatever order they come and go. */
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
    uint64_t id, source;
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

/* Pairs of so many agents, in any order. */
static struct set *set_new(uint64_t seed, int64_t every_ns, uint64_t agents)
{
    struct set *x = calloc(1, sizeof *x);

    assert_non_null(x);
    x->seed = x->rng = seed;
    x->every_ns = every_ns;
    for (size_t i = 0; i < PAIRS; i++) {
        x->m[i].id = rng_next(&x->rng) >> 11;
        x->m[i].source = 1 + rng_below(&x->rng, agents);
        x->m[i].flows = 1;
    }
    return x;
}

static void set_free(struct set *x)
{
    spread_free(&x->s);
    free(x);
}

static struct spread_runs runs_of(const struct set *x, size_t i)
{
    return (struct spread_runs){ x->every_ns, x->m[i].source, x->m[i].flows };
}

static void come(struct set *x, size_t i)
{
    struct member *m = &x->m[i];
    struct spread_runs r = runs_of(x, i);

    m->slot = spread_choose(&x->s, &r, m->slot, m->id);
    assert_in_range(m->slot, 1, SPREAD_SLOTS);
    assert_int_equal(spread_add(&x->s, &r, m->slot), TW_OK);
    m->in = true;
    x->sessions += m->flows;
}

static void go(struct set *x, size_t i)
{
    struct spread_runs r = runs_of(x, i);

    spread_remove(&x->s, &r, x->m[i].slot);
    x->m[i].in = false;
    x->sessions -= x->m[i].flows;
}

/* ---- Counting ---- */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static bool counts(const struct member *m, uint64_t source)
{
    return m->in && (!source || m->source == source);
}

static size_t all_phases(const struct set *x, uint64_t source, int64_t *v)
{
    size_t n = 0;

    for (size_t i = 0; i < PAIRS; i++)
        for (uint32_t flow = 0; counts(&x->m[i], source) && flow < x->m[i].flows; flow++) {
            v[n] = spread_phase_ns(x->every_ns, x->m[i].slot, flow, x->m[i].flows, x->m[i].id);
            assert_true(v[n] >= 0 && v[n] < x->every_ns);
            n++;
        }
    return n;
}

/* Of all moments: in any second, wherever it begins. Of one source, or (0) of all. */
static size_t most_in_a_second(const struct set *x, uint64_t source, size_t *ret_n)
{
    int64_t *v = malloc(2 * (x->sessions + 1) * sizeof *v);
    size_t n, most = 0, last = 0;

    assert_non_null(v);
    n = all_phases(x, source, v);
    assert_true(source || n == x->sessions);
    *ret_n = n;
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

static void expect_of(const struct set *x, uint64_t source, const char *when)
{
    size_t n, most = most_in_a_second(x, source, &n);

    if (n >= 1000 && most * 100 > 3 * n)
        fail_msg("seed %llu, %s: of source %llu %zu of %zu begin within a second",
                 (unsigned long long)x->seed, when, (unsigned long long)source, most, n);
}

static void expect_spread(const struct set *x, const char *when)
{
    expect_of(x, 0, when);
    for (size_t i = 0; i < x->s.n; i++)
        if (x->s.v[i]->sessions >= 1000)
            expect_of(x, x->s.v[i]->source, when);
}

static void expect_of_all(const struct set *x, size_t most)
{
    size_t n;

    assert_in_range(most_in_a_second(x, 0, &n), 0, most);
}

/* ---- Sets of names ---- */

/* One, and as many as 32. */
static uint64_t agents_of(uint64_t seed)
{
    return seed % 2 ? 1 : 1 + seed / 2 % 32;
}

static void whoever_comes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS; seed++) {
        struct set *x = set_new(seed, MINUTE, agents_of(seed));

        for (size_t i = 0; i < 1000; i++)
            come(x, i);
        expect_spread(x, "1,000 came");
        expect_of_all(x, 25); /* five slots, of which each has five at most */
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
        struct set *x = set_new(seed, every[seed % TW_NELEM(every)], agents_of(seed));
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
        struct set *x = set_new(seed, MINUTE, agents_of(seed));
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
        struct set *x = set_new(seed, MINUTE, agents_of(seed));

        for (size_t i = 0; i < 2000; i++)
            come(x, i);
        while (x->sessions > 1000) {
            size_t i = rng_below(&x->rng, 2000);

            if (x->m[i].in)
                go(x, i);
        }
        expect_of_all(x, 34);
        for (size_t i = 2000; i < 2250; i++) /* those that come fill the holes */
            come(x, i);
        expect_spread(x, "250 came after half of them had gone");
        set_free(x);
    }
}

/* ---- Agents ---- */

/* Of 32,000 sessions each agent has 1,000: what one begins is spread as what all begin. Beside it others are
 * there, full of holes. */
static void each_agent_of_a_large_fleet(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS / 8; seed++) {
        struct set *x = set_new(seed, MINUTE, 1);
        struct spread_runs other = { MINUTE, 0, 1 };

        for (unsigned i = 0; i < 31000; i++) {
            other.source = 2 + rng_below(&x->rng, 31);
            assert_int_equal(
                spread_add(&x->s, &other,
                           1 + (unsigned)(seed % 2 ? i % SPREAD_SLOTS : rng_below(&x->rng, SPREAD_SLOTS))),
                TW_OK);
        }
        for (size_t i = 0; i < 1000; i++)
            come(x, i);
        expect_of(x, 1, "1,000 came to a large fleet");
        set_free(x);
    }
}

/* A full mesh: pair i x AGENTS + k goes from agent i to k. */
#define AGENTS 63
#define FEWEST 33 /* 1,056 sessions */

static void join_mesh(struct set *x, bool *in, size_t agent)
{
    for (size_t k = 0; k < AGENTS; k++)
        if (in[k]) {
            come(x, agent * AGENTS + k);
            come(x, k * AGENTS + agent);
        }
    in[agent] = true;
}

static void leave_mesh(struct set *x, bool *in, size_t agent)
{
    in[agent] = false;
    for (size_t k = 0; k < AGENTS; k++)
        if (in[k]) {
            go(x, agent * AGENTS + k);
            go(x, k * AGENTS + agent);
        }
}

static void expect_same_groups(const struct spread *a, const struct spread *b)
{
    assert_int_equal(a->n, b->n);
    for (size_t i = 0; i < a->n; i++)
        assert_memory_equal(a->v[i], b->v[i], sizeof *a->v[i]);
}

/* A controller that starts counts them in another order. */
static void restart(struct set *x)
{
    struct spread again = { 0 };

    for (size_t i = PAIRS; i-- > 0;)
        if (x->m[i].in) {
            struct spread_runs r = runs_of(x, i);

            assert_int_equal(spread_add(&again, &r, x->m[i].slot), TW_OK);
        }
    expect_same_groups(&again, &x->s);
    spread_free(&x->s);
    x->s = again;
}

static void agents_join_and_leave(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SETS / 4; seed++) {
        struct set *x = set_new(seed, MINUTE, 1);
        bool in[AGENTS] = { false };
        size_t n = 0;

        for (size_t i = 0; i < AGENTS * AGENTS; i++)
            x->m[i].source = 1 + i / AGENTS;
        for (; n < FEWEST; n++) {
            join_mesh(x, in, n);
            expect_spread(x, "an agent joined");
        }
        for (unsigned step = 0; step < 40; step++) {
            size_t agent = rng_below(&x->rng, AGENTS);

            if (in[agent] && n > FEWEST) {
                leave_mesh(x, in, agent);
                n--;
            } else if (!in[agent]) {
                join_mesh(x, in, agent);
                n++;
            }
            expect_spread(x, "agents joined and left");
            if (step == 20)
                restart(x);
        }
        set_free(x);
    }
}

static void an_agent_is_renamed(void **state)
{
    struct set *x = set_new(3, MINUTE, 5);

    (void)state;
    for (size_t i = 0; i < 500; i++)
        come(x, i);
    spread_rename(&x->s, 1, 9);
    for (size_t i = 0; i < 500; i++)
        x->m[i].source = x->m[i].source == 1 ? 9 : x->m[i].source;
    restart(x);
    for (size_t i = 0; i < 500; i++)
        go(x, i);
    assert_int_equal(x->s.n, 0);
    set_free(x);
}

/* ---- One by one ---- */

static void nobody_moves_for_another(void **state)
{
    struct set *x = set_new(7, MINUTE, 1);
    struct spread_runs r = runs_of(x, 50), other = { 2 * MINUTE, r.source, 1 };

    (void)state;
    for (size_t i = 0; i < 100; i++)
        come(x, i);
    go(x, 50);
    assert_int_equal(spread_choose(&x->s, &r, x->m[50].slot, 1), x->m[50].slot); /* back where it was */
    assert_int_equal(spread_choose(&x->s, &other, x->m[50].slot, 1), x->m[50].slot);
    assert_int_equal(x->s.n, 2);
    set_free(x);
}

/* Nobody comes back to where it has become crowded. */
static void a_crowded_slot_is_left(void **state)
{
    static const struct spread_runs r = { MINUTE, 1, 1 };
    struct spread s = { 0 };

    (void)state;
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(spread_add(&s, &r, 9), TW_OK);
    for (uint64_t seed = 0; seed < 50; seed++)
        assert_int_not_equal(spread_choose(&s, &r, 9, seed), 9);
    for (unsigned i = 0; i < 10; i++)
        spread_remove(&s, &r, 9);
    assert_int_equal(s.n, 0);
    assert_int_equal(spread_choose(&s, &r, 9, 1), 9);
    spread_free(&s);
}

/* The fleet has as many everywhere, the agent has not. */
static void a_slot_crowded_by_its_own_agent_is_left(void **state)
{
    static const struct spread_runs own = { MINUTE, 1, 1 }, other = { MINUTE, 2, 1 };
    struct spread s = { 0 };

    (void)state;
    for (unsigned slot = 1; slot <= SPREAD_SLOTS; slot++)
        for (unsigned i = 0; i < 7; i++)
            assert_int_equal(spread_add(&s, slot <= 10 ? &own : &other, slot), TW_OK);
    for (uint64_t seed = 0; seed < 50; seed++) {
        assert_in_range(spread_choose(&s, &own, 0, seed), 11, SPREAD_SLOTS);
        assert_in_range(spread_choose(&s, &own, 5, seed), 11, SPREAD_SLOTS);
        assert_in_range(spread_choose(&s, &other, 0, seed), 1, 10);
    }
    spread_free(&s);
}

static void intervals_are_apart(void **state)
{
    struct spread s = { 0 }, copy;

    (void)state;
    for (int64_t every = 40; every > 0; every--)
        assert_int_equal(spread_add(&s, &(struct spread_runs){ every * S, 7, 1 }, (unsigned)every), TW_OK);
    assert_int_equal(s.n, 80);
    assert_int_equal(spread_copy(&s, &copy), TW_OK);
    for (int64_t every = 1; every <= 40; every += 2)
        spread_remove(&s, &(struct spread_runs){ every * S, 7, 1 }, (unsigned)every);
    assert_int_equal(s.n, 40);
    assert_int_equal(copy.n, 80);
    for (size_t i = 0; i < s.n; i++) { /* of all, then of the agent */
        size_t every = 2 * (i / 2 + 1);

        assert_int_equal(s.v[i]->every_ns, (int64_t)every * S);
        assert_int_equal(s.v[i]->source, i % 2 ? 7 : 0);
        assert_int_equal(s.v[i]->load[every - 1], 1);
        assert_int_equal(copy.v[i]->every_ns, (int64_t)(i / 2 + 1) * S);
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
        cmocka_unit_test(each_agent_of_a_large_fleet),
        cmocka_unit_test(agents_join_and_leave),
        cmocka_unit_test(an_agent_is_renamed),
        cmocka_unit_test(nobody_moves_for_another),
        cmocka_unit_test(a_crowded_slot_is_left),
        cmocka_unit_test(a_slot_crowded_by_its_own_agent_is_left),
        cmocka_unit_test(intervals_are_apart),
        cmocka_unit_test(phases_stay),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
