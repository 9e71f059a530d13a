/* Which controller an agent is at: ranks, and a simulation of many agents whose controllers are killed,
 * stopped, restarted, cut off and flap. HOMING_SEED=N replays one, HOMING_RUNS=N makes more of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/homing.h"
#include "common/rc.h"
#include "common/splitmix.h"

static const char *const urls[HOMING_MAX] = { "tls+tcp://ctl-1.example.net:8620",
                                              "tls+tcp://ctl-2.example.net:8620",
                                              "tls+tcp://ctl-3.example.net:8620", "tls+tcp://192.0.2.4:8620",
                                              "tls+tcp://[2001:db8::5]:8620" };

static struct tw_mono at_ms(int64_t ms)
{
    return (struct tw_mono){ ms * TW_NS_PER_MS };
}

/* ---- Rank ---- */

#define AGENTS 1000

static size_t best_of(unsigned agent, const char *const *list, size_t n)
{
    size_t order[HOMING_MAX];
    char name[32];

    snprintf(name, sizeof name, "agent-%u", agent);
    homing_rank(name, list, n, order);
    return order[0];
}

static void agents_spread_evenly(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 5; n++) {
        unsigned count[HOMING_MAX] = { 0 };

        for (unsigned a = 0; a < AGENTS; a++)
            count[best_of(a, urls, n)]++;
        for (size_t i = 0; i < n; i++) /* three standard deviations are 4.7 % of all, of two controllers */
            if (count[i] < AGENTS / n - AGENTS * 4 / 100 || count[i] > AGENTS / n + AGENTS * 4 / 100)
                fail_msg("%zu controllers: %s has %u of %u agents", n, urls[i], count[i], AGENTS);
    }
}

static void the_order_of_the_list_does_not_matter(void **state)
{
    (void)state;
    for (unsigned a = 0; a < AGENTS; a++) {
        const char *turned[5];

        for (size_t i = 0; i < 5; i++)
            turned[i] = urls[(i + a) % 5];
        assert_string_equal(urls[best_of(a, urls, 5)], turned[best_of(a, turned, 5)]);
    }
}

/* Those that it had go to all the others, and nobody else moves. */
static void one_less_moves_only_its_agents(void **state)
{
    unsigned to[5] = { 0 }, moved = 0;

    (void)state;
    for (unsigned a = 0; a < AGENTS; a++) {
        size_t before = best_of(a, urls, 5), after = best_of(a, urls, 4);

        if (before != 4) {
            assert_int_equal(after, before);
        } else {
            to[after]++;
            moved++;
        }
    }
    for (size_t i = 0; i < 4; i++)
        if (to[i] < moved / 8 || to[i] > moved / 2)
            fail_msg("%u of %u agents went to %s", to[i], moved, urls[i]);
}

/* Agents of different releases must agree, or an upgrade moves everybody. */
static void the_hash_stays_what_it_is(void **state)
{
    struct homing h;

    (void)state;
    homing_init(&h, "ams-1", urls, 3, 1);
    assert_true(h.v[0].weight == UINT64_C(0xf2ba547d60aa0284));
    assert_string_equal(h.v[0].url, urls[2]);
}

/* ---- One agent, step by step ---- */

static void expect_dial(struct homing *h, int64_t ms, size_t which)
{
    struct homing_step s = homing_next(h, at_ms(ms));

    if (s.what != HOMING_DIAL || s.which != which)
        fail_msg("at %lld ms: %d of %zu, not to dial %zu", (long long)ms, s.what, s.which, which);
}

/* Returns when it is over. */
static int64_t expect_wait(struct homing *h, int64_t ms)
{
    struct homing_step s = homing_next(h, at_ms(ms));

    assert_int_equal(s.what, HOMING_WAIT);
    return s.due.ns == TW_MONO_NEVER.ns ? INT64_MAX : (s.due.ns + TW_NS_PER_MS - 1) / TW_NS_PER_MS;
}

static void one_controller_is_dialled_as_ever(void **state)
{
    struct homing h;
    int64_t ms = 0, bound = 200;

    (void)state;
    homing_init(&h, "a", urls, 1, 7);
    assert_int_equal(homing_dead_ms(&h), 0);
    for (int i = 0; i < 20; i++) {
        int64_t due;

        expect_dial(&h, ms, 0);
        assert_true(expect_wait(&h, ms + 3600000) == INT64_MAX); /* given up by nobody here */
        homing_ended(&h, 0, HOMING_BROKEN, 0, at_ms(ms));
        due = expect_wait(&h, ms);
        assert_in_range(due, ms, ms + bound);
        ms = due;
        bound = bound < 15000 ? 2 * bound : 30000;
    }
    expect_dial(&h, ms, 0);
    homing_ended(&h, 0, HOMING_REFUSED, 60 * TW_NS_PER_S, at_ms(ms));
    assert_in_range(expect_wait(&h, ms), ms + 60000, ms + 120000);
    homing_hurry(&h, at_ms(ms));
    expect_dial(&h, ms, 0);
    homing_up(&h, 0, at_ms(ms));
    assert_true(expect_wait(&h, ms) == INT64_MAX);
    homing_ended(&h, 0, HOMING_BROKEN, 0, at_ms(ms + 10000));
    assert_in_range(expect_wait(&h, ms + 10000), ms + 10000, ms + 10200);
    assert_int_equal(h.moves, 0);
}

static void it_goes_on_to_the_next_and_comes_back(void **state)
{
    struct homing h;
    int64_t due;

    (void)state;
    homing_init(&h, "a", urls, 3, 3);
    expect_dial(&h, 0, 0);
    homing_ended(&h, 0, HOMING_BROKEN, 0, at_ms(1));
    expect_dial(&h, 1, 1); /* at once */
    assert_int_equal(expect_wait(&h, 1), 3001);
    assert_int_equal(homing_next(&h, at_ms(3001)).what, HOMING_GIVE_UP);
    homing_ended(&h, 1, HOMING_SILENT, 0, at_ms(3001));
    expect_dial(&h, 3001, 2);
    homing_up(&h, 2, at_ms(3010));
    due = expect_wait(&h, 3010);
    assert_in_range(due, 3010, 33001); /* one of the better ones is tried then */
    expect_dial(&h, 40000, 0);
    homing_up(&h, 0, at_ms(40010));
    homing_ended(&h, 2, HOMING_BROKEN, 0, at_ms(40011)); /* closed by us: says nothing */
    assert_int_equal(h.at, 0);
    assert_int_equal(h.moves, 1);
    assert_true(expect_wait(&h, 50000) == INT64_MAX);
}

/* Silence: it is not tried again before the others. A connection that broke off after it had held: it is. */
static void who_was_silent_comes_last(void **state)
{
    struct homing h;

    (void)state;
    homing_init(&h, "a", urls, 2, 3);
    expect_dial(&h, 0, 0);
    homing_up(&h, 0, at_ms(0));
    homing_ended(&h, 0, HOMING_SILENT, 0, at_ms(20000));
    expect_dial(&h, 20200, 1);
    homing_up(&h, 1, at_ms(20201));
    homing_ended(&h, 1, HOMING_BROKEN, 0, at_ms(32000));
    expect_dial(&h, 32200, 1);
    homing_ended(&h, 1, HOMING_BROKEN, 0, at_ms(32200));
    expect_dial(&h, 32200, 0);
}

static void silence_upon_silence_is_the_line(void **state)
{
    static const uint32_t want[] = { 7000, 7000, 14000, 28000, 45000, 45000 };
    struct homing h;

    (void)state;
    homing_init(&h, "a", urls, 2, 3);
    for (size_t i = 0; i < TW_NELEM(want); i++) {
        int64_t ms = 100000 * (int64_t)i;

        assert_int_equal(homing_dead_ms(&h), want[i]);
        homing_up(&h, 0, at_ms(ms));
        homing_ended(&h, 0, HOMING_SILENT, 0, at_ms(ms + 1000));
    }
    homing_up(&h, 0, at_ms(1000000));
    homing_ended(&h, 0, HOMING_SILENT, 0, at_ms(1700000));
    assert_int_equal(homing_dead_ms(&h), 7000);
}

/* Revoked: no other controller is asked for a better answer, as long as this one is there. */
static void an_answer_is_no_failure(void **state)
{
    struct homing h;
    int64_t ms = 0;

    (void)state;
    homing_init(&h, "a", urls, 3, 3);
    for (int i = 0; i < 5; i++) {
        expect_dial(&h, ms, 0);
        homing_ended(&h, 0, HOMING_UNWANTED, 0, at_ms(ms));
        ms = expect_wait(&h, ms);
    }
    expect_dial(&h, ms, 0);
    homing_up(&h, 0, at_ms(ms));
    homing_ended(&h, 0, HOMING_AGAIN, 0, at_ms(ms + 1)); /* "approved: reconnect" */
    expect_dial(&h, expect_wait(&h, ms + 1), 0);
}

/* ---- A fleet ---- */

#define FLEET 300
#define MOST 4
#define TICK_MS 20

enum world { UP, DEAD, STOPPED, BLIND }; /* BLIND: it answers, and sends everybody away */

struct fleet {
    size_t n;
    int64_t now_ms;
    uint64_t random;
    enum world is[MOST];
    int64_t since_ms[MOST];
    struct homing h[FLEET];
    size_t index[FLEET][MOST]; /* of each rank: which controller */
    int64_t heard_ms[FLEET];   /* by the connection */
    int64_t dialed_ms[FLEET];
    int64_t served_ms[FLEET]; /* when results flowed at last */
    unsigned came[MOST];      /* connections in this second */
    unsigned most_came;
};

static void fleet_init(struct fleet *f, size_t n, uint64_t seed)
{
    *f = (struct fleet){ .n = n, .random = seed };
    for (unsigned a = 0; a < FLEET; a++) {
        char name[32];

        snprintf(name, sizeof name, "agent-%u", a);
        homing_rank(name, urls, n, f->index[a]);
        homing_init(&f->h[a], name, urls, n, tw_splitmix64(&f->random));
    }
}

static void set(struct fleet *f, size_t c, enum world is)
{
    if (f->is[c] == is)
        return;
    f->is[c] = is;
    f->since_ms[c] = f->now_ms;
}

static void live(struct fleet *f, unsigned a)
{
    struct homing *h = &f->h[a];
    enum world is = h->at == HOMING_NONE ? DEAD : f->is[f->index[a][h->at]];

    if (h->at == HOMING_NONE)
        return;
    if (is == UP) {
        f->heard_ms[a] = f->served_ms[a] = f->now_ms;
    } else if (is == STOPPED) {
        if (f->now_ms - f->heard_ms[a] >= homing_dead_ms(h))
            homing_ended(h, h->at, HOMING_SILENT, 0, at_ms(f->now_ms));
    } else {
        homing_ended(h, h->at, is == DEAD ? HOMING_BROKEN : HOMING_AWAY, 0, at_ms(f->now_ms));
    }
}

static void attempt(struct fleet *f, unsigned a)
{
    struct homing *h = &f->h[a];
    size_t which = h->dialing, c;

    if (which == HOMING_NONE || f->now_ms - f->dialed_ms[a] < 2 * TICK_MS)
        return;
    c = f->index[a][which];
    if (f->is[c] == UP) {
        homing_up(h, which, at_ms(f->now_ms));
        f->heard_ms[a] = f->now_ms;
        f->came[c]++;
    } else if (f->is[c] != STOPPED) {
        homing_ended(h, which, f->is[c] == DEAD ? HOMING_BROKEN : HOMING_REFUSED, 0, at_ms(f->now_ms));
    }
}

static void decide(struct fleet *f, unsigned a)
{
    struct homing_step s = homing_next(&f->h[a], at_ms(f->now_ms));

    if (s.what == HOMING_DIAL)
        f->dialed_ms[a] = f->now_ms;
    else if (s.what == HOMING_GIVE_UP)
        homing_ended(&f->h[a], s.which, HOMING_SILENT, 0, at_ms(f->now_ms));
}

/* Since when there is a controller that works. */
static int64_t served_since(const struct fleet *f)
{
    int64_t ms = INT64_MAX;

    for (size_t c = 0; c < f->n; c++)
        if (f->is[c] == UP && f->since_ms[c] < ms)
            ms = f->since_ms[c];
    return ms;
}

static void check(const struct fleet *f, unsigned a, int64_t most_ms)
{
    int64_t since = served_since(f), from = since > f->served_ms[a] ? since : f->served_ms[a];

    if (since != INT64_MAX && f->now_ms - from > most_ms)
        fail_msg("at %lld ms agent %u has had no controller for %lld ms, though one works since %lld ms",
                 (long long)f->now_ms, a, (long long)(f->now_ms - from), (long long)since);
}

/* most_ms: nobody is without for longer while there is a controller that works. */
static void run(struct fleet *f, int64_t ms, int64_t most_ms)
{
    for (int64_t end = f->now_ms + ms; f->now_ms < end; f->now_ms += TICK_MS) {
        if (f->now_ms % 1000 == 0)
            memset(f->came, 0, sizeof f->came);
        for (unsigned a = 0; a < FLEET; a++) {
            live(f, a);
            attempt(f, a);
            decide(f, a);
            check(f, a, most_ms);
        }
        for (size_t c = 0; c < f->n; c++)
            if (f->came[c] > f->most_came)
                f->most_came = f->came[c];
    }
}

static void all_at_home(const struct fleet *f)
{
    for (unsigned a = 0; a < FLEET; a++)
        if (f->h[a].at != 0)
            fail_msg("agent %u is not at its best controller", a);
}

static uint64_t all_moves(const struct fleet *f)
{
    uint64_t n = 0;

    for (unsigned a = 0; a < FLEET; a++)
        n += f->h[a].moves;
    return n;
}

static struct fleet *fleet; /* large for a stack */

/* Each way to be away: all move within 10 s, and come back, not all at once. */
static void one_goes_away_and_comes_back(void **state)
{
    static const enum world ways[] = { DEAD, STOPPED, BLIND };

    (void)state;
    for (size_t w = 0; w < TW_NELEM(ways); w++)
        for (size_t n = 2; n <= MOST; n++) {
            unsigned share;

            fleet_init(fleet, n, w * 10 + n);
            run(fleet, 30000, 10000);
            all_at_home(fleet);
            assert_int_equal(all_moves(fleet), 0);
            set(fleet, 0, ways[w]);
            run(fleet, 90000, 10000);
            share = (unsigned)all_moves(fleet);
            assert_in_range(share, FLEET / n - FLEET / 10, FLEET / n + FLEET / 10);
            fleet->most_came = 0;
            set(fleet, 0, UP);
            run(fleet, 60000, 10000);
            all_at_home(fleet);
            assert_int_equal(all_moves(fleet), 2 * share); /* there and back */
            if (fleet->most_came > share / 4)
                fail_msg("%u of %u agents came back within a second", fleet->most_came, share);
        }
}

/* A controller that ends again and again: its agents leave it alone for longer each time. */
static void one_that_flaps_is_left_alone(void **state)
{
    (void)state;
    fleet_init(fleet, 3, 5);
    run(fleet, 30000, 10000);
    for (int i = 0; i < 360; i++) { /* an hour */
        set(fleet, 0, i % 2 ? UP : DEAD);
        run(fleet, 5000, 10000);
    }
    for (unsigned a = 0; a < FLEET; a++)
        if (fleet->h[a].moves > 24)
            fail_msg("agent %u moved %u times", a, (unsigned)fleet->h[a].moves);
    set(fleet, 0, UP);
    run(fleet, HOMING_HOLD_MAX_NS / TW_NS_PER_MS * 3 / 2 + 1000, 10000);
    all_at_home(fleet);
}

/* Whatever happens: who can have a controller has one soon, and in the end all are at home. Of silent ones,
 * each costs its time. */
static void whatever_happens(uint64_t seed)
{
    uint64_t random = seed;
    size_t n = 2 + tw_splitmix64(&random) % (MOST - 1);

    fleet_init(fleet, n, seed);
    for (int i = 0; i < 60; i++) {
        size_t c = tw_splitmix64(&random) % n;

        set(fleet, c, tw_splitmix64(&random) % 3 ? UP : 1 + tw_splitmix64(&random) % 3);
        run(fleet, 500 + (int64_t)(tw_splitmix64(&random) % 20000), 30000 + 45000);
    }
    for (size_t c = 0; c < n; c++)
        set(fleet, c, UP);
    run(fleet, HOMING_HOLD_MAX_NS / TW_NS_PER_MS * 3 / 2 + 1000, 45000);
    all_at_home(fleet);
}

static void random_faults(void **state)
{
    const char *seed = getenv("HOMING_SEED"), *runs = getenv("HOMING_RUNS");
    uint64_t first = seed ? strtoull(seed, NULL, 0) : 1, n = runs ? strtoull(runs, NULL, 0) : 2;

    (void)state;
    for (uint64_t s = first; s < first + n; s++) {
        print_message("# HOMING_SEED=%llu\n", (unsigned long long)s);
        whatever_happens(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agents_spread_evenly),
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(one_less_moves_only_its_agents),
        cmocka_unit_test(the_hash_stays_what_it_is),
        cmocka_unit_test(one_controller_is_dialled_as_ever),
        cmocka_unit_test(it_goes_on_to_the_next_and_comes_back),
        cmocka_unit_test(who_was_silent_comes_last),
        cmocka_unit_test(silence_upon_silence_is_the_line),
        cmocka_unit_test(an_answer_is_no_failure),
        cmocka_unit_test(one_goes_away_and_comes_back),
        cmocka_unit_test(one_that_flaps_is_left_alone),
        cmocka_unit_test(random_faults),
    };
    int failed;

    fleet = calloc(1, sizeof *fleet);
    failed = fleet ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
    free(fleet);
    return failed;
}
