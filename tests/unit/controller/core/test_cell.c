/* What a cell of the matrix shows, and how it is judged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "controller/core/cell.h"

static struct tw_num known(double v)
{
    return (struct tw_num){ true, v };
}

static struct stats_view view_of(bool valid)
{
    struct stats_view v = { .sent = 100,
                            .received = 90,
                            .lost = 10,
                            .loss_ratio = known(0.1),
                            .loss_forward_ratio = known(0.06),
                            .loss_backward_ratio = known(0.03),
                            .loss_unknown_ratio = known(0.01),
                            .one_way_valid = valid,
                            .host_trouble = "none" };

    for (int d = 0; d < 3; d++)
        v.delay[d] = (struct stats_delay){ .count = 90,
                                           .p50_s = known(d + 0.5),
                                           .p95_s = known(d + 0.95),
                                           .p99_s = known(d + 0.99),
                                           .jitter_rfc3550_s = known(d + 0.01) };
    return v;
}

static void names(void **state)
{
    static const char *const all[] = { "loss", "p50", "p95", "p99", "jitter" };

    (void)state;
    for (unsigned i = 0; i < CELL_METRICS; i++) {
        enum cell_metric m = CELL_METRICS;

        assert_string_equal(cell_metric_name((enum cell_metric)i), all[i]);
        assert_true(cell_metric_parse(all[i], &m) && m == i);
        assert_string_equal(cell_metric_unit(m), m == CELL_LOSS ? "ratio" : "s");
    }
    assert_false(cell_metric_parse("p90", &(enum cell_metric){ 0 }));
    assert_false(cell_metric_parse("", &(enum cell_metric){ 0 }));
}

static void numbers(void **state)
{
    static const struct {
        enum cell_metric m;
        bool valid;
        double v[CELL_DIRECTIONS]; /* negative: not known */
        bool withheld;
    } cases[] = {
        { CELL_LOSS, true, { 0.06, 0.03, 0.1, 0.01 }, false },
        { CELL_LOSS, false, { 0.06, 0.03, 0.1, 0.01 }, false },
        { CELL_P50, true, { 0.5, 1.5, 2.5, -1 }, false },
        { CELL_P95, true, { 0.95, 1.95, 2.95, -1 }, false },
        { CELL_P99, true, { 0.99, 1.99, 2.99, -1 }, false },
        { CELL_P95, false, { -1, -1, 2.95, -1 }, true },
        { CELL_JITTER, true, { 0.01, 1.01, 2.01, -1 }, false },
        { CELL_JITTER, false, { 0.01, 1.01, 2.01, -1 }, false }, /* of differences: clocks do not matter */
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct stats_view v = view_of(cases[i].valid);

        assert_int_equal(cell_is_withheld(cases[i].m, &v), cases[i].withheld);
        for (enum tw_direction d = 0; d < CELL_DIRECTIONS; d++) {
            struct tw_num n = cell_number(cases[i].m, &v, d);
            double want = cases[i].v[d];

            if (n.known != (want >= 0) || (n.known && (n.value < want - 1e-9 || n.value > want + 1e-9)))
                fail_msg("case %zu, %s: %d %g", i, tw_direction_name(d), n.known, n.value);
        }
    }
}

static void nothing_to_withhold(void **state)
{
    struct stats_view v = view_of(false);

    (void)state;
    v.delay[TW_FORWARD].count = v.delay[TW_BACKWARD].count = 0; /* nothing came back */
    assert_false(cell_is_withheld(CELL_P95, &v));
}

#define SLOT(m, d) (ALERT_##m * 4 + TW_##d)

static void which_rule(void **state)
{
    static const struct {
        const char *name;
        unsigned has[3]; /* slots with a rule, plus 1 */
        enum cell_metric m;
        unsigned slot[3]; /* forward, backward, round trip */
    } cases[] = {
        { "none", { 0 }, CELL_LOSS, { ALERT_SLOTS, ALERT_SLOTS, ALERT_SLOTS } },
        { "all loss",
          { SLOT(LOSS, UNKNOWN) + 1 },
          CELL_LOSS,
          { SLOT(LOSS, UNKNOWN), SLOT(LOSS, UNKNOWN), SLOT(LOSS, UNKNOWN) } },
        { "forward has its own",
          { SLOT(LOSS, UNKNOWN) + 1, SLOT(LOSS, FORWARD) + 1 },
          CELL_LOSS,
          { SLOT(LOSS, FORWARD), SLOT(LOSS, UNKNOWN), SLOT(LOSS, UNKNOWN) } },
        { "forward only",
          { SLOT(LOSS, FORWARD) + 1 },
          CELL_LOSS,
          { SLOT(LOSS, FORWARD), ALERT_SLOTS, ALERT_SLOTS } },
        { "round trip is of both ways",
          { SLOT(P95, ROUNDTRIP) + 1 },
          CELL_P95,
          { ALERT_SLOTS, ALERT_SLOTS, SLOT(P95, ROUNDTRIP) } },
        { "each way",
          { SLOT(P95, FORWARD) + 1, SLOT(P95, BACKWARD) + 1 },
          CELL_P95,
          { SLOT(P95, FORWARD), SLOT(P95, BACKWARD), ALERT_SLOTS } },
        { "no rules of p50",
          { SLOT(P95, ROUNDTRIP) + 1 },
          CELL_P50,
          { ALERT_SLOTS, ALERT_SLOTS, ALERT_SLOTS } },
        { "jitter",
          { SLOT(JITTER, ROUNDTRIP) + 1, SLOT(P95, FORWARD) + 1 },
          CELL_JITTER,
          { ALERT_SLOTS, ALERT_SLOTS, SLOT(JITTER, ROUNDTRIP) } },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        uint16_t picked[ALERT_SLOTS] = { 0 };

        for (size_t k = 0; k < 3; k++)
            if (cases[i].has[k])
                picked[cases[i].has[k] - 1] = 7;
        for (enum tw_direction d = TW_FORWARD; d <= TW_ROUNDTRIP; d++)
            if (cell_slot(cases[i].m, d, picked) != cases[i].slot[d])
                fail_msg("%s, %s: slot %u", cases[i].name, tw_direction_name(d),
                         cell_slot(cases[i].m, d, picked));
        assert_int_equal(cell_slot(cases[i].m, TW_UNKNOWN, picked), ALERT_SLOTS);
    }
}

static void how_bad(void **state)
{
    static const struct {
        const char *name;
        double value, baseline; /* negative: not known */
        bool off, relative;
        uint64_t min_probes;
        const char *trouble;
        int severity;
    } cases[] = {
        { "good", 0.009, -1, false, false, 0, "none", 0 },
        { "at the level", 0.01, -1, false, false, 0, "none", 2 },
        { "worse", 0.05, -1, false, false, 0, "none", 3 },
        { "not known", -1, -1, false, false, 0, "none", CELL_NOT_JUDGED },
        { "off", 0.5, -1, true, false, 0, "none", CELL_NOT_JUDGED },
        { "too few probes", 0.5, -1, false, false, 101, "none", CELL_NOT_JUDGED },
        { "the host had trouble", 0.5, -1, false, false, 0, "drops", CELL_NOT_JUDGED },
        { "no baseline yet", 0.5, -1, false, true, 0, "none", CELL_NOT_JUDGED },
        { "near the baseline", 0.5, 0.3, false, true, 0, "none", 0 },
        { "above the baseline", 0.61, 0.3, false, true, 0, "none", 2 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct alert_rule r = {
            .metric = ALERT_LOSS,
            .direction = TW_UNKNOWN,
            .off = cases[i].off,
            .relative = cases[i].relative,
            .skip_trouble = true,
            .min_probes = cases[i].min_probes,
            .level = { [ALERT_WARNING] = { true, 0.01, 0.005 }, [ALERT_CRITICAL] = { true, 0.05, 0.02 } }
        };
        struct stats_view v = view_of(true);
        struct tw_num number = { cases[i].value >= 0, cases[i].value },
                      baseline = { cases[i].baseline >= 0, cases[i].baseline };

        if (r.relative) {
            r.level[ALERT_WARNING].raise = 2;
            r.level[ALERT_CRITICAL].raise = 4;
        }
        v.host_trouble = cases[i].trouble;
        if (cell_severity(&r, baseline, &v, number) != cases[i].severity)
            fail_msg("%s: %d", cases[i].name, cell_severity(&r, baseline, &v, number));
    }
}

static void raise_of_baselines(void **state)
{
    struct alert_rule r = { .relative = true,
                            .at_least = 0.002,
                            .level = { [ALERT_WARNING] = { true, 2, 1.5 } } };

    (void)state;
    assert_true(alert_rule_raise(&r, ALERT_WARNING, 0.1) == 0.2);
    assert_true(alert_rule_raise(&r, ALERT_WARNING, 0.001) ==
                0.003); /* twice next to nothing is next to nothing */
    r.relative = false;
    assert_true(alert_rule_raise(&r, ALERT_WARNING, 0.1) == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),      cmocka_unit_test(numbers), cmocka_unit_test(nothing_to_withhold),
        cmocka_unit_test(which_rule), cmocka_unit_test(how_bad), cmocka_unit_test(raise_of_baselines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
