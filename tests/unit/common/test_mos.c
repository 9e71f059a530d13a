#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>

#include "common/mos.h"
#include "tests/unit/common/summary_fixture.h"

/* Worked out from the formulas of G.107 by hand and with a second implementation in Python. */
static const struct {
    const char *name;
    struct mos_path path;
    enum mos_codec codec;
    double r, mos;
} rows[] = {
    { "near, clean", { 0.001, 0, 0, 1 }, MOS_G711, 92.502, 4.3954 },
    { "near, clean", { 0.001, 0, 0, 1 }, MOS_G729A, 81.362, 4.0744 },
    { "100 ms", { 0.1, 0, 0, 1 }, MOS_G711, 90.264, 4.3454 },
    { "200 ms and jitter", { 0.2, 0.005, 0, 1 }, MOS_G711, 81.925, 4.0946 },
    { "400 ms", { 0.4, 0, 0, 1 }, MOS_G729A, 49.143, 2.5301 },
    { "1 % random loss", { 0.02, 0.001, 0.01, 1 }, MOS_G711, 88.309, 4.2954 },
    { "1 % random loss", { 0.02, 0.001, 0.01, 1 }, MOS_G729A, 76.628, 3.8904 },
    { "5 % in bursts", { 0.02, 0.001, 0.05, 2 }, MOS_G711, 74.739, 3.8106 },
    { "20 %", { 0.05, 0, 0.2, 1 }, MOS_G711, 49.171, 2.5315 },
    { "all lost", { 0.05, 0, 1, 1 }, MOS_G729A, 9.602, 1.0298 },
};

static void ratings_follow_the_formulas(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        double r = mos_r_factor(&rows[i].path, rows[i].codec), mos = mos_of_r(r);
        if (fabs(r - rows[i].r) > 0.05 || fabs(mos - rows[i].mos) > 0.005)
            fail_msg("%s: R %.3f, MOS %.4f", rows[i].name, r, mos);
    }
}

/* What users know from tables: the scale's ends, and the best that each codec can be. */
static void scale(void **state)
{
    (void)state;
    assert_true(fabs(mos_of_r(93.2) - 4.41) < 0.005); /* G.107 Annex B */
    assert_true(fabs(mos_of_r(70) - 3.60) < 0.01);
    assert_true(fabs(mos_of_r(50) - 2.58) < 0.01);
    assert_true(mos_of_r(0) == 1 && mos_of_r(-5) == 1 && mos_of_r(3) == 1 && mos_of_r(100) == 4.5);
}

static void worse_is_never_better(void **state)
{
    (void)state;
    for (int c = 0; c < MOS_CODEC_COUNT; c++)
        for (int i = 0; i < 200; i++) {
            struct mos_path a = { i * 0.005, i * 0.001, i * 0.005, 1 }, b = a;
            b.delay_s += 0.005;
            assert_true(mos_r_factor(&b, (enum mos_codec)c) <= mos_r_factor(&a, (enum mos_codec)c));
            b = a;
            b.loss_ratio = fmin(1, b.loss_ratio + 0.005);
            assert_true(mos_r_factor(&b, (enum mos_codec)c) <= mos_r_factor(&a, (enum mos_codec)c));
            b = a;
            b.burst_ratio = 2;
            assert_true(mos_r_factor(&b, (enum mos_codec)c) <= mos_r_factor(&a, (enum mos_codec)c));
        }
}

static void bursts(void **state)
{
    (void)state;
    assert_true(mos_burst_ratio(0, 100, 0) == 1);
    assert_true(mos_burst_ratio(100, 100, 1) == 1);            /* nothing to compare with */
    assert_true(fabs(mos_burst_ratio(20, 100, 2) - 8) < 1e-9); /* runs of 10; 1 / 0.8 at random */
    assert_true(mos_burst_ratio(10, 100, 10) == 1);
}

static void a_view_has_the_ratings(void **state)
{
    struct tw_summary s;
    struct stats_view v;

    (void)state;
    make_summary(&s, 0);
    stats_view(&s, &v);
    /* 3 lost of 100: of the worse way 1, unknown 1; runs of 1.5 */
    assert_true(
        v.r_factor_g711.known &&
        fabs(v.r_factor_g711.value -
             mos_r_factor(&(struct mos_path){ v.delay[TW_ROUNDTRIP].p50_s.value / 2, 2e-6, 0.02, 1.5 * 0.97 },
                          MOS_G711)) < 1e-9);
    assert_true(v.mos_g711.value > v.mos_g729a.value);
    summary_free(&s);
    make_all_lost(&s, 0);
    stats_view(&s, &v);
    assert_false(v.r_factor_g711.known || v.mos_g711.known || v.r_factor_g729a.known || v.mos_g729a.known);
    summary_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ratings_follow_the_formulas), cmocka_unit_test(scale),
        cmocka_unit_test(worse_is_never_better),       cmocka_unit_test(bursts),
        cmocka_unit_test(a_view_has_the_ratings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
