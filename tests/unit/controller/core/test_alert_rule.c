/* Which alert rule is whose, levels with hysteresis and for-times, baselines, and which site is to blame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_cond.h"
#include "controller/core/alert_correlate.h"
#include "controller/core/alert_rule.h"
#include "controller/core/alert_track.h"
#include "tests/unit/common/rng.h"

#define S TW_NS_PER_S
#define DAY (86400 * S)

/* Printed, so that TW_SEED can bring it back. */
static uint64_t test_seed(void)
{
    const char *text = getenv("TW_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 10) : 20261127;

    printf("seed %llu\n", (unsigned long long)seed);
    return seed;
}

/* ---- Lookup ---- */

static struct selector *sel(const char *text)
{
    struct selector *s = NULL;
    struct tw_err err = { 0 };

    assert_int_equal(selector_parse(text, &s, &err), TW_OK);
    return s;
}

static void lookup(void **state)
{
    struct alert_rule rules[] = {
        { .name = "default", .metric = ALERT_LOSS, .direction = TW_UNKNOWN },
        { .name = "voice",
          .metric = ALERT_LOSS,
          .direction = TW_UNKNOWN,
          .scope = ALERT_SCOPE_CLASS,
          .class_name = "voice" },
        { .name = "ams", .metric = ALERT_LOSS, .direction = TW_UNKNOWN, .scope = ALERT_SCOPE_GROUP },
        { .name = "ams-too", .metric = ALERT_LOSS, .direction = TW_UNKNOWN, .scope = ALERT_SCOPE_GROUP },
        { .name = "pair",
          .metric = ALERT_LOSS,
          .direction = TW_UNKNOWN,
          .scope = ALERT_SCOPE_PAIR,
          .source = "a",
          .target = "b" },
        { .name = "pair-of-mesh",
          .metric = ALERT_LOSS,
          .direction = TW_UNKNOWN,
          .scope = ALERT_SCOPE_PAIR,
          .mesh = "m",
          .source = "a",
          .target = "b" },
        { .name = "one-way", .metric = ALERT_LOSS, .direction = TW_FORWARD },
        { .name = "agents", .metric = ALERT_AGENT_DOWN, .direction = TW_UNKNOWN },
    };
    struct alert_rules r = { .rules = rules, .n_rules = TW_NELEM(rules) };
    static const struct tw_label ams[] = { { "site", "ams" } }, fra[] = { { "site", "fra" } };
    static const struct {
        const char *mesh, *class_name, *source, *target, *rule;
        bool at_ams;
    } cases[] = {
        { "m", "data", "x", "y", "default", false },      { "m", "voice", "x", "y", "voice", false },
        { "m", "voice", "x", "y", "ams", true },          { "n", "voice", "a", "b", "pair", true },
        { "m", "voice", "a", "b", "pair-of-mesh", true }, { "m", "voice", "b", "a", "ams", true },
    };
    uint16_t picked[ALERT_SLOTS];
    size_t other;

    (void)state;
    rules[2].group = sel("site=ams");
    rules[3].group = sel("site in (ams)");
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct alert_subject s = { .pair_id = 1,
                                   .mesh = cases[i].mesh,
                                   .class_name = cases[i].class_name,
                                   .source = cases[i].source,
                                   .target = cases[i].target,
                                   .source_labels = fra,
                                   .target_labels = cases[i].at_ams ? ams : fra,
                                   .n_source_labels = 1,
                                   .n_target_labels = 1 };
        alert_rules_pick(&r, &s, picked);
        assert_string_equal(rules[picked[alert_slot(ALERT_LOSS, TW_UNKNOWN)] - 1].name, cases[i].rule);
        assert_int_equal(picked[alert_slot(ALERT_LOSS, TW_FORWARD)], 7);
        assert_int_equal(picked[alert_slot(ALERT_AGENT_DOWN, TW_UNKNOWN)], 0);
        if (!strcmp(cases[i].rule, "ams")) {
            assert_int_equal(alert_rules_explain(&r, &s, 0, &other), ALERT_LESS_SPECIFIC);
            assert_int_equal(other, 2);
            assert_int_equal(alert_rules_explain(&r, &s, 3, &other), ALERT_LATER);
            assert_int_equal(alert_rules_explain(&r, &s, 2, &other), ALERT_APPLIES);
            assert_int_equal(alert_rules_explain(&r, &s, 7, &other), ALERT_OTHER_KIND);
            assert_int_equal(alert_rules_explain(&r, &s, 6, &other), ALERT_APPLIES);
        }
    }
    selector_free(rules[2].group);
    selector_free(rules[3].group);
}

/* ---- Levels ---- */

/* A letter is a period of 10 s: its value by the table below. Expected: what each step says. */
static void levels(void **state)
{
    static const struct {
        const char *name, *values, *steps;
        int64_t for_s, clear_s;
    } cases[] = {
        /* a 0, b between clear and raise, c warning, d critical, ? unknown, _ nothing came */
        { "at once", "aca", ".FR", 0, 0 },
        { "hysteresis holds", "cbbba", "F...R", 0, 0 },
        { "between does not raise", "bbbb", "....", 0, 0 },
        { "for-time", "cccc", "P.F.", 30, 0 },
        { "for-time broken", "ccacc", "P.DP.", 30, 0 },
        { "for-time broken by what is between", "ccbcc", "P.DP.", 30, 0 },
        { "unknown does not break", "cc?c", "P..F", 40, 0 },
        { "a gap does", "cc_____cc", "P.......", 50, 0 },
        { "clear-time", "caacaaaa", "F.....R.", 0, 30 },
        { "up", "ccdd", "F.S.", 0, 0 },
        { "up waits for its own time", "ccddda", "PF.S.R", 20, 0 },
        { "straight to critical and down by steps", "dba", "FSR", 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct alert_cond_rule r = { .for_ns = cases[i].for_s * S,
                                     .clear_for_ns = cases[i].clear_s * S,
                                     .gap_ns = 30 * S };
        struct alert_cond c = { 0 };
        char got[32] = "";
        size_t n = 0;

        r.level[ALERT_WARNING] = (struct alert_level){ true, 0.05, 0.02 };
        r.level[ALERT_CRITICAL] = (struct alert_level){ true, 0.5, 0.1 };
        for (size_t k = 0; cases[i].values[k]; k++) {
            static const char letters[] = "abcd";
            static const double value[] = { 0, 0.03, 0.06, 0.7 };
            const char *at = strchr(letters, cases[i].values[k]);
            struct tw_num v = { at != NULL, at ? value[at - letters] : 0 };

            if (cases[i].values[k] == '_')
                continue;
            got[n++] =
                ".PDFSR"[alert_cond_feed(&c, &r, v, (int64_t)(k + 1) * 10 * S, (int64_t)(k + 2) * 10 * S)];
        }
        if (strncmp(got, cases[i].steps, n) != 0)
            fail_msg("%s: got \"%s\", expected \"%s\"", cases[i].name, got, cases[i].steps);
    }
}

static void low_is_bad(void **state)
{
    struct alert_cond_rule r = { .low_is_bad = true, .gap_ns = DAY };
    struct alert_cond c = { 0 };
    static const double v[] = { 1, 0.992, 0.98, 0.992, 0.995 };
    static const enum alert_step step[] = { ALERT_STEP_NONE, ALERT_STEP_NONE, ALERT_STEP_FIRED,
                                            ALERT_STEP_NONE, ALERT_STEP_RESOLVED };

    (void)state;
    r.level[ALERT_WARNING] = (struct alert_level){ true, 0.99, 0.995 };
    for (int i = 0; i < 5; i++)
        assert_int_equal(alert_cond_feed(&c, &r, (struct tw_num){ true, v[i] }, (i + 1) * S, (i + 2) * S),
                         step[i]);
}

/* Ten days of random values against a plain statement of the rule: it fires at i when all of the last `up`
 * were raised and it does not, ends when all of the last `down` since were clear. */
static void random_values(void **state)
{
    uint64_t seed = test_seed();
    enum { N = 86400, UP = 3, DOWN = 4 };
    double *v = malloc(N * sizeof *v);
    struct alert_cond_rule r = { .for_ns = UP * 10 * S, .clear_for_ns = DOWN * 10 * S, .gap_ns = 30 * S };
    struct alert_cond c = { 0 };
    bool firing = false;
    int up = 0, down = 0, fired = 0;

    (void)state;
    assert_non_null(v);
    r.level[ALERT_WARNING] = (struct alert_level){ true, 0.6, 0.4 };
    for (int i = 0; i < N; i++)
        v[i] = i && tw_splitmix64(&seed) % 4 ? v[i - 1] : (double)(tw_splitmix64(&seed) % 1000) / 1000;
    for (int i = 0; i < N; i++) {
        enum alert_step s =
            alert_cond_feed(&c, &r, (struct tw_num){ true, v[i] }, (i + 1) * 10 * S, (i + 2) * 10 * S);

        up = v[i] >= 0.6 ? up + 1 : 0;
        down = firing && v[i] < 0.4 ? down + 1 : 0;
        if (!firing && up >= UP) {
            assert_int_equal(s, ALERT_STEP_FIRED);
            firing = true;
            fired++;
        } else if (firing && down >= DOWN) {
            assert_int_equal(s, ALERT_STEP_RESOLVED);
            firing = false;
            down = 0;
        } else {
            assert_true(s == ALERT_STEP_NONE || s == ALERT_STEP_PENDING || s == ALERT_STEP_DROPPED);
        }
    }
    assert_true(fired > 100);
    free(v);
}

/* ---- Memory ---- */

static void baselines(void **state)
{
    uint64_t seed = test_seed();
    struct alert_baseline b, copy;
    char text[ALERT_BASELINE_TEXT];
    struct tw_num v;
    int64_t known, t = 1700000000 * S;
    int stored = 0;

    (void)state;
    alert_baseline_init(&b, 7 * DAY, 1);
    assert_false(alert_baseline_value(&b, t, DAY, &known).known);
    for (int i = 0; i < 7 * 1440; i++, t += 60 * S) { /* 20 ms +- 2, at night for two hours 100 ms more */
        double ms = 20 + (double)(tw_splitmix64(&seed) % 400) / 100 - 2 + (i % 1440 < 120 ? 100 : 0);

        stored += alert_baseline_add(&b, t, ms / 1000);
        v = alert_baseline_value(&b, t, DAY, &known);
        if (known < DAY)
            assert_false(v.known);
        else
            assert_true(v.known && v.value > 0.019 && v.value < 0.022);
    }
    assert_in_range(stored, 47, 49);
    assert_true(alert_baseline_save(&b, text));
    alert_baseline_init(&copy, 7 * DAY, 2);
    assert_true(alert_baseline_load(&copy, text));
    assert_true(fabs(alert_baseline_value(&copy, t, DAY, &known).value - v.value) < 1e-6);
    alert_baseline_init(&copy, 6 * DAY, 2);
    assert_false(alert_baseline_load(&copy, text)); /* of another span */
    assert_false(alert_baseline_load(&b, "12 nonsense"));
    for (int i = 0; i < 4 * 1440; i++, t += 60 * S) /* what stays is the new normal */
        alert_baseline_add(&b, t, 0.08);
    v = alert_baseline_value(&b, t, DAY, &known);
    assert_true(v.known && v.value > 0.079);
    assert_false(alert_baseline_value(&b, t + 8 * DAY, DAY, &known).known); /* all too old */
}

static void windows(void **state)
{
    struct alert_window w;
    int64_t t = 3600 * S;

    (void)state;
    alert_window_init(&w, 3600 * S);
    assert_false(alert_window_ratio(&w, t).known);
    for (int i = 1; i <= 360; i++) /* the last 36 of an hour's 360 windows are bad */
        alert_window_add(&w, t + i * 10 * S, i <= 324, 1);
    assert_true(fabs(alert_window_ratio(&w, t + 3600 * S).value - 0.9) < 1e-9);
    for (int i = 361; i <= 720; i++)
        alert_window_add(&w, t + i * 10 * S, 1, 1);
    assert_true(fabs(alert_window_ratio(&w, t + 7200 * S).value - 1) < 1e-9);
}

static void hops(void **state)
{
    struct alert_hops h = { 0 };
    int64_t t = 1;
    static const struct {
        int min, max, hops;
    } rows[] = { { 60, 60, 0 }, { 60, 60, 0 }, { 58, 60, 2 }, { 57, 57, 3 },
                 { 57, 57, 3 }, { 60, 60, 0 }, { 57, 57, 3 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++, t += 60 * S)
        assert_int_equal((int)alert_hops_feed(&h, (struct tw_num){ true, rows[i].min },
                                              (struct tw_num){ true, rows[i].max }, t, 3600 * S)
                             .value,
                         rows[i].hops);
    for (int i = 0; i < 59; i++, t += 60 * S)
        assert_int_equal(
            (int)alert_hops_feed(&h, (struct tw_num){ true, 57 }, (struct tw_num){ true, 57 }, t, 3600 * S)
                .value,
            3);
    assert_int_equal(
        (int)alert_hops_feed(&h, (struct tw_num){ true, 57 }, (struct tw_num){ true, 57 }, t, 3600 * S).value,
        0);
    assert_false(alert_hops_feed(&h, (struct tw_num){ 0 }, (struct tw_num){ 0 }, t, 0).known);
}

/* ---- Blame ---- */

static void full_mesh(struct alert_link *v, int n)
{
    for (int s = 0, k = 0; s < n; s++)
        for (int t = 0; t < n; t++)
            if (s != t)
                v[k++] = (struct alert_link){ .source = s, .target = t, .cause = -1 };
}

static void blame(void **state)
{
    static const struct {
        const char *name;
        int n, dead[3], blamed[3]; /* -1 ends */
    } cases[] = {
        { "one of ten", 10, { 4, -1, -1 }, { 4, -1, -1 } },
        { "two of ten", 10, { 0, 9, -1 }, { 0, 9, -1 } },
        { "one of three", 3, { 1, -1, -1 }, { 1, -1, -1 } },
        { "of two nobody can tell", 2, { 0, -1, -1 }, { -1, -1, -1 } },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        int n = cases[i].n, links = n * (n - 1);
        struct alert_link v[90];
        struct alert_node nodes[10] = { 0 };

        full_mesh(v, n);
        for (int k = 0; k < links; k++)
            for (int d = 0; d < 3 && cases[i].dead[d] >= 0; d++)
                if (v[k].source == cases[i].dead[d] || v[k].target == cases[i].dead[d])
                    v[k].bad = v[k].firing = true;
        assert_int_equal(alert_correlate(v, (size_t)links, nodes, (size_t)n, 0.8, 2), TW_OK);
        for (int k = 0; k < n; k++) {
            bool expected = k == cases[i].blamed[0] || k == cases[i].blamed[1];
            if (nodes[k].blamed != expected)
                fail_msg("%s: node %d", cases[i].name, k);
        }
        for (int k = 0; k < links; k++)
            if (cases[i].blamed[0] >= 0)
                assert_true((v[k].cause >= 0) == v[k].bad);
    }
}

/* One way only, parts, and what stays blamed until less than half is bad. */
static void blame_in_part(void **state)
{
    struct alert_link v[90];
    struct alert_node nodes[10] = { 0 };
    int in = 0;

    (void)state;
    full_mesh(v, 10);
    for (int k = 0; k < 90; k++)
        if (v[k].target == 3 && in++ < 7)
            v[k].bad = v[k].firing = true;
    assert_int_equal(alert_correlate(v, 90, nodes, 10, 0.8, 2), TW_OK);
    assert_false(nodes[3].blamed); /* 7 of 9 */
    full_mesh(v, 10);
    for (int k = 0; k < 90; k++)
        v[k].bad = v[k].target == 3;
    assert_int_equal(alert_correlate(v, 90, nodes, 10, 0.8, 2), TW_OK);
    assert_false(nodes[3].blamed); /* all pending: not yet */
    for (int k = 0; k < 90; k++)
        v[k].firing = v[k].target == 3;
    assert_int_equal(alert_correlate(v, 90, nodes, 10, 0.8, 2), TW_OK);
    assert_true(nodes[3].blamed);
    assert_int_equal(nodes[3].bad, 9);
    assert_int_equal(nodes[3].total, 18);
    full_mesh(v, 10);
    in = 0;
    for (int k = 0; k < 90; k++)
        v[k].bad = v[k].target == 3 && in++ < 4;
    assert_int_equal(alert_correlate(v, 90, nodes, 10, 0.8, 2), TW_OK);
    assert_true(nodes[3].blamed); /* it was; 4 of 9 is not below half of 80% */
    full_mesh(v, 10);
    in = 0;
    for (int k = 0; k < 90; k++)
        v[k].bad = v[k].target == 3 && in++ < 3;
    assert_int_equal(alert_correlate(v, 90, nodes, 10, 0.8, 2), TW_OK);
    assert_false(nodes[3].blamed);
}

/* As the definition says it, link by link and again and again. */
static void blame_slowly(struct alert_link *v, size_t n, struct alert_node *nodes, size_t n_nodes,
                         double share, uint32_t least)
{
    bool taken[64] = { false }, was[64];

    for (size_t i = 0; i < n_nodes; i++) {
        was[i] = nodes[i].blamed;
        nodes[i] = (struct alert_node){ 0 };
    }
    for (;;) {
        size_t best = n_nodes;
        uint32_t most = 0;
        bool deserves = false;

        for (size_t i = 0; i < n_nodes; i++) {
            uint32_t bad_all = 0;
            bool enough = false, peers_enough = false;
            for (int way = 0; way < 2; way++) {
                uint32_t total = 0, bad = 0, firing = 0, peers = 0;
                bool seen[64] = { false };
                for (size_t k = 0; k < n; k++) {
                    int32_t own = way ? v[k].source : v[k].target, peer = way ? v[k].target : v[k].source;
                    if (v[k].cause >= 0 || v[k].source == v[k].target || own != (int32_t)i)
                        continue;
                    total++;
                    bad += v[k].bad;
                    firing += v[k].firing;
                    if (!v[k].bad)
                        continue;
                    peers += peer < 0 || !seen[peer];
                    if (peer >= 0)
                        seen[peer] = true;
                }
                bad_all += bad;
                if (bad && (firing || was[i]) && bad >= (was[i] ? share / 2 : share) * total) {
                    enough = true;
                    peers_enough |= peers >= (was[i] ? 1 : least);
                }
            }
            if (taken[i] || bad_all <= most || !enough)
                continue;
            most = bad_all;
            best = i;
            deserves = peers_enough;
        }
        if (best == n_nodes)
            return;
        taken[best] = true;
        nodes[best].blamed = deserves;
        for (size_t k = 0; deserves && k < n; k++) {
            if (v[k].cause >= 0 || v[k].source == v[k].target ||
                (v[k].source != (int32_t)best && v[k].target != (int32_t)best))
                continue;
            nodes[best].total++;
            nodes[best].bad += v[k].bad;
            v[k].cause = (int32_t)best;
        }
    }
}

static void blame_at_random(void **state)
{
    uint64_t seed = 3;

    (void)state;
    for (int round = 0; round < 500; round++) {
        struct alert_link v[400], slow[400];
        struct alert_node nodes[40] = { 0 }, expected[40];
        size_t n_nodes = 1 + rng_next(&seed) % 40, n = rng_next(&seed) % 400, looks,
               pieces = 1 + rng_next(&seed) % 50;
        uint64_t sick = rng_next(&seed) & rng_next(&seed);
        struct alert_correlator *c;

        for (size_t i = 0; i < n; i++) {
            int32_t a = (int32_t)(rng_next(&seed) % (n_nodes + 1)) - 1,
                    b = (int32_t)(rng_next(&seed) % (n_nodes + 1)) - 1;
            bool bad = (((a >= 0 && sick >> a & 1) || (b >= 0 && sick >> b & 1)) && rng_next(&seed) % 8) ||
                       !(rng_next(&seed) % 20);

            v[i] = (struct alert_link){ a, b, bad, bad && rng_next(&seed) % 2,
                                        rng_next(&seed) % 30 ? -1 : INT32_MAX };
        }
        for (size_t i = 0; i < n_nodes; i++)
            nodes[i].blamed = !(rng_next(&seed) % 6);
        memcpy(slow, v, sizeof slow);
        memcpy(expected, nodes, sizeof expected);
        blame_slowly(slow, n, expected, n_nodes, 0.8, 2);
        assert_int_equal(alert_correlator_new(v, n, nodes, n_nodes, 0.8, 2, &c), TW_OK);
        do
            looks = pieces;
        while (!alert_correlator_go(c, &looks));
        alert_correlator_free(c);
        for (size_t i = 0; i < n_nodes; i++)
            if (nodes[i].blamed != expected[i].blamed || nodes[i].bad != expected[i].bad ||
                nodes[i].total != expected[i].total)
                fail_msg("round %d: node %zu is different", round, i);
        for (size_t i = 0; i < n; i++)
            if (v[i].cause != (slow[i].bad ? slow[i].cause : -1))
                fail_msg("round %d: link %zu is different", round, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup),        cmocka_unit_test(levels),
        cmocka_unit_test(low_is_bad),    cmocka_unit_test(random_values),
        cmocka_unit_test(baselines),     cmocka_unit_test(windows),
        cmocka_unit_test(hops),          cmocka_unit_test(blame),
        cmocka_unit_test(blame_in_part), cmocka_unit_test(blame_at_random),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
