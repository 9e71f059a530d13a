/* Tiles: whatever is asked for and kept, every summary's start is in exactly one of them. When it is time to
 * roll up. */
#include "tests/unit/db/db_fixture.h"
#include "db/level.h"

#define DAY (86400 * TW_NS_PER_S)
#define HOUR (3600 * TW_NS_PER_S)
#define SEC TW_NS_PER_S

/* Levels that hold all, by day: bit l. */
static unsigned holds[64];

static bool holds_all(void *ctx, enum store_level l, int64_t day_ns)
{
    int64_t day = (day_ns - DAY0) / DAY;

    (void)ctx;
    assert_int_equal((day_ns - DAY0) % DAY, 0);
    return day < 0 || day >= 64 || holds[day] & 1u << l;
}

static const struct {
    const char *name;
    int64_t from_ns, to_ns, step_ns, raw_from_ns, raw_kept_ns, min_kept_ns, hour_kept_ns, day_kept_ns;
    const char *tiles;
} tile_cases[] = {
#define ALL INT64_MAX, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN
    { "a day", 0, DAY, 0, ALL, "1d@0+86400 " },
    { "a month", 0, 30 * DAY, 0, ALL, "1d@0+2592000 " },
    { "less than a minute", 5 * SEC, 45 * SEC, 0, ALL, "raw@5+40 " },
    { "edges", HOUR - 61 * SEC, DAY + 1 * SEC, 0, ALL, "raw@3539+1 1min@3540+60 1h@3600+82800 raw@86400+1 " },
    { "by ten minutes", 0, HOUR, 600 * SEC, ALL, "10min@0+3600 " },
    { "by five minutes", 0, HOUR, 300 * SEC, ALL, "1min@0+3600 " },
    { "by ten seconds", 0, HOUR, 10 * SEC, ALL, "raw@0+3600 " },
    { "by days", HOUR, 3 * DAY, DAY, ALL, "1h@3600+82800 1d@86400+172800 " },
    { "summaries from there on", 0, DAY, 0, HOUR + 30 * SEC, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN,
      "1h@0+3600 raw@3600+82800 " },
    { "summaries only", 0, 2 * DAY, 0, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN, INT64_MIN,
      "raw@0+172800 " },
    { "raw is gone: a minute sticks out", 5 * SEC, DAY, 0, INT64_MAX, DAY, INT64_MIN, INT64_MIN, INT64_MIN,
      "1min@0+60 1min@60+540 10min@600+3000 1h@3600+82800 " },
    { "hours are left", HOUR + 5 * SEC, 2 * HOUR + 5 * SEC, 0, INT64_MAX, DAY, DAY, INT64_MIN, INT64_MIN,
      "1h@3600+3600 1h@7200+3600 " },
    { "days are left", 5 * HOUR, 6 * HOUR, 0, INT64_MAX, DAY, DAY, DAY, INT64_MIN, "1d@0+86400 " },
    { "nothing is left", 5 * HOUR, 6 * HOUR, 0, INT64_MAX, DAY, DAY, DAY, DAY, "" },
    { "nothing is left at first", 5 * HOUR, DAY + HOUR, 0, INT64_MAX, DAY, DAY, DAY, DAY, "1h@86400+3600 " },
    { "only summaries, and they are gone at first", 5 * HOUR, DAY + HOUR, 0, INT64_MIN, DAY, INT64_MIN,
      INT64_MIN, INT64_MIN, "raw@86400+3600 " },
#undef ALL
};

static void tiles(void **state)
{
    (void)state;
    memset(holds, 0xff, sizeof holds);
    for (size_t i = 0; i < TW_NELEM(tile_cases); i++) {
        char text[512] = "";
        struct level_tile t;
        struct level_span s = { .at_ns = DAY0 + tile_cases[i].from_ns,
                                .to_ns = DAY0 + tile_cases[i].to_ns,
                                .step_ns = tile_cases[i].step_ns,
                                .raw_from_ns = tile_cases[i].raw_from_ns,
                                .holds_all = holds_all };
        const int64_t kept[] = { tile_cases[i].raw_kept_ns, tile_cases[i].min_kept_ns,
                                 tile_cases[i].min_kept_ns, tile_cases[i].hour_kept_ns,
                                 tile_cases[i].day_kept_ns };
        for (int l = 0; l < STORE_LEVELS; l++)
            s.kept_from_ns[l] = kept[l] == INT64_MIN ? kept[l] : DAY0 + kept[l];
        if (s.raw_from_ns != INT64_MIN && s.raw_from_ns != INT64_MAX)
            s.raw_from_ns += DAY0;
        while (level_next(&s, &t)) {
            size_t n = strlen(text);
            snprintf(text + n, sizeof text - n, "%s@%lld+%lld ", store_level_name(t.level),
                     (long long)((t.from_ns - DAY0) / SEC), (long long)((t.to_ns - t.from_ns) / SEC));
        }
        if (strcmp(text, tile_cases[i].tiles) != 0)
            fail_msg("%s: %s", tile_cases[i].name, text);
    }
}

static int64_t pick(unsigned *seed, int64_t n)
{
    return (int64_t)(((uint64_t)rand_r(seed) << 31 | (uint64_t)rand_r(seed)) % (uint64_t)n);
}

/* Random spans, retentions and levels that are not complete: in order, without holes where something is kept,
 * and never a level that is gone. */
static void any_span(void **state)
{
    static const int64_t steps[] = { 0, 10 * SEC, 60 * SEC, 300 * SEC, 600 * SEC, HOUR, DAY };
    unsigned seed = 20261127;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        struct level_span s = { .holds_all = holds_all }, asked;
        struct level_tile t;
        int64_t kept = DAY0 + pick(&seed, 12) * DAY, at;

        for (size_t i = 0; i < 64; i++)
            holds[i] = (unsigned)rand_r(&seed);
        s.at_ns = DAY0 + pick(&seed, 10 * DAY) / SEC * SEC;
        s.to_ns = s.at_ns + 1 + pick(&seed, round % 2 ? 10 * DAY : HOUR) / SEC * SEC;
        s.step_ns = steps[pick(&seed, TW_NELEM(steps))];
        s.raw_from_ns = pick(&seed, 3) ? INT64_MAX : s.at_ns + pick(&seed, 10 * DAY);
        for (int l = STORE_RAW; l < STORE_LEVELS; l++) {
            s.kept_from_ns[l] = kept;
            kept -= pick(&seed, 4) * DAY;
        }
        asked = s;
        for (at = s.at_ns; level_next(&s, &t); at = t.to_ns) {
            bool first = at == asked.at_ns;
            int64_t ns = store_level_ns(t.level);
            if (t.from_ns < at && !first)
                fail_msg("round %u: tiles overlap", round);
            if (t.from_ns > at && at >= asked.kept_from_ns[at < asked.raw_from_ns ? STORE_1D : STORE_RAW])
                fail_msg("round %u: a hole", round);
            if (t.to_ns <= t.from_ns || t.from_ns < asked.kept_from_ns[t.level])
                fail_msg("round %u: a level that is not kept", round);
            if (ns && (t.from_ns % ns || t.to_ns % ns))
                fail_msg("round %u: half a cell", round);
            for (int64_t day = t.from_ns - t.from_ns % DAY; ns && ns < DAY && day < t.to_ns; day += DAY)
                assert_true(holds_all(NULL, t.level, day));
            if (ns && asked.step_ns && asked.step_ns % ns && t.from_ns >= asked.kept_from_ns[STORE_RAW])
                fail_msg("round %u: a cell longer than the step", round);
            if (ns && t.to_ns > asked.raw_from_ns && t.from_ns >= asked.kept_from_ns[STORE_RAW])
                fail_msg("round %u: a cell where summaries were asked for", round);
            if (t.to_ns > asked.to_ns && (!ns || asked.to_ns <= t.to_ns - ns))
                fail_msg("round %u: too far", round);
        }
        if (at < asked.to_ns && at >= asked.kept_from_ns[STORE_RAW])
            fail_msg("round %u: ends too early", round);
    }
}

/* All of time is no more work than its days. */
static void all_of_time(void **state)
{
    struct level_span s = {
        .at_ns = 0, .to_ns = INT64_MAX, .step_ns = 60 * SEC, .raw_from_ns = INT64_MAX, .holds_all = holds_all
    };
    struct level_tile t;
    unsigned n = 0;

    (void)state;
    memset(holds, 0xff, sizeof holds);
    for (int l = 0; l < STORE_LEVELS; l++)
        s.kept_from_ns[l] = INT64_MIN;
    while (level_next(&s, &t))
        n++;
    assert_in_range(n, 1, 10);
}

static const struct {
    const char *name;
    struct level_day day;
    int64_t now_ns;
    bool due;
} due_cases[] = {
    { "nothing came", { .last = 7, .through = 7, .until = 7 }, DAY0, false },
    { "first look", { .last = 8, .through = 7, .until = 7 }, DAY0, true },
    { "looked a minute ago",
      { .last = 8, .through = 7, .until = 7, .looked_ns = DAY0 + 120 * SEC },
      DAY0 + 180 * SEC,
      false },
    { "cells have ended, but some may be late",
      { .last = 8, .looked_ns = DAY0 + 120 * SEC },
      DAY0 + 659 * SEC,
      false },
    { "and a minute later", { .last = 8, .looked_ns = DAY0 + 120 * SEC }, DAY0 + 660 * SEC, true },
    { "the clock was put back", { .last = 8, .looked_ns = DAY0 + 120 * SEC }, DAY0 - HOUR, true },
    { "a round is under way", { .last = 8, .through = 2, .until = 7, .looked_ns = DAY0 }, DAY0, true },
    { "as much waits as a round takes", { .last = LEVEL_ROUND_ROWS, .looked_ns = DAY0 }, DAY0, true },
    { "less", { .last = LEVEL_ROUND_ROWS - 1, .looked_ns = DAY0 }, DAY0, false },
};

static void due(void **state)
{
    const struct level_day days[] = { { .day = 5, .last = 9, .through = 9, .until = 9 },
                                      { .day = 6, .last = 9 },
                                      { .day = 7, .last = 9, .through = 3, .until = 8 },
                                      { .day = 4, .last = 9 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(due_cases); i++)
        if (level_is_due(&due_cases[i].day, due_cases[i].now_ns) != due_cases[i].due)
            fail_msg("%s", due_cases[i].name);
    assert_int_equal(level_pick(days, 4, DAY0), 2);
    assert_int_equal(level_pick(days, 2, DAY0), 1);
    assert_int_equal(level_pick(days, 1, DAY0), -1);
    assert_int_equal(level_pick(days + 3, 1, DAY0), 0);
}

static void names(void **state)
{
    enum store_level l;

    (void)state;
    for (unsigned i = 0; i < STORE_LEVELS; i++) {
        assert_int_equal(store_level_parse(store_level_name((enum store_level)i), &l), TW_OK);
        assert_int_equal(l, i);
    }
    assert_int_equal(store_level_parse("2h", &l), TW_EINVAL);
    assert_int_equal(level_for(10 * SEC), STORE_1MIN);
    assert_int_equal(level_for(60 * SEC), STORE_10MIN);
    assert_int_equal(level_for(HOUR), STORE_1D);
    assert_int_equal(level_for(9 * DAY), STORE_1D);
    assert_int_equal(level_cell(STORE_1H, -1), -HOUR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles), cmocka_unit_test(any_span), cmocka_unit_test(all_of_time),
        cmocka_unit_test(due),   cmocka_unit_test(names),
    };

    return cmocka_run_group_tests_name("level", tests, NULL, NULL);
}
