/* What schedules cost, against sums by hand; phases that stay and spread; changes told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/metrics_page.h"
#include "controller/core/plan.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S

/* ---- Phases ---- */

static void phases_stay(void **state)
{
    /* From a second implementation, written down: a new release must not move running sessions. */
    static const struct {
        const char *mesh, *class_name, *source, *target;
        uint32_t flow;
        int64_t spacing_ns, phase_ns;
        uint64_t seed;
    } cases[] = {
        { "quickstart", "voice", "ams", "fra", 0, 20 * MS, 3101822, UINT64_C(0xa05b8b47e5e97df0) },
        { "quickstart", "voice", "fra", "ams", 0, 20 * MS, 1202842, UINT64_C(0xe138ff5c95ccdff8) },
        { "quickstart", "voice", "ams", "fra", 1, 20 * MS, 11187180, UINT64_C(0xf9166b621d0159ab) },
        { "quickstart", "voice", "ams", "fra", 0, 3600 * S, 558328071901, UINT64_C(0xa05b8b47e5e97df0) },
        { "quickstartv", "oice", "ams", "fra", 0, 20 * MS, 11577922, UINT64_C(0xb6001c71ed8c96b0) },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        int64_t phase = plan_phase_ns(cases[i].mesh, cases[i].class_name, cases[i].source, cases[i].target,
                                      cases[i].flow, cases[i].spacing_ns);
        uint64_t seed =
            plan_seed(cases[i].mesh, cases[i].class_name, cases[i].source, cases[i].target, cases[i].flow);

        if (phase != cases[i].phase_ns || seed != cases[i].seed)
            fail_msg("row %zu: phase %lld, seed 0x%llx", i, (long long)phase, (unsigned long long)seed);
    }
}

/* Chi-squared over 64 slots with 63 degrees of freedom: above 118 once in 30,000 times by chance. */
static void phases_spread(void **state)
{
    static const int64_t spacings[] = { 1 * MS, 20 * MS, 1 * S, 3600 * S };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(spacings); k++) {
        unsigned slot[64] = { 0 };
        double chi = 0;

        for (unsigned i = 0; i < 100; i++)
            for (unsigned j = 0; j < 100; j++) {
                char source[16], target[16];
                int64_t phase;

                sprintf(source, "agent%u", i);
                sprintf(target, "agent%u", j);
                phase = plan_phase_ns("m", "c", source, target, 0, spacings[k]);
                assert_in_range(phase, 0, spacings[k] - 1);
                slot[phase * 64 / spacings[k]]++;
            }
        for (unsigned i = 0; i < 64; i++)
            chi += (slot[i] - 156.25) * (slot[i] - 156.25) / 156.25;
        if (chi > 118)
            fail_msg("spacing %lld: chi squared %.1f", (long long)spacings[k], chi);
    }
}

/* By this runs are judged that were before slots (spread.h). */
static void phases_of_earlier_runs_stay(void **state)
{
    (void)state;
    assert_int_equal(plan_run_phase_ns("quickstart", "voice", "ams", "fra", 0, 60 * S), INT64_C(58653884636));
    assert_int_equal(plan_run_phase_ns("quickstart", "voice", "ams", "fra", 1, 3600 * S), INT64_C(451559366875));
}

/* ---- Costs ---- */

static struct mesh_class classes[] = {
    { .name = "bulk", .size_bytes = 1400, .spacing_ns = 100 * MS, .report_period_ns = 60 * S, .flows = 1 },
    { .name = "voice", .size_bytes = 200, .spacing_ns = 20 * MS, .report_period_ns = 10 * S, .flows = 2 },
};
static struct mesh_target targets[] = {
    { .name = "e4", .addr = { .family = 4, .port = 862 } },
    { .name = "e6", .addr = { .family = 6, .port = 862 } },
};
static const struct mesh mesh = {
    .name = "m", .classes = classes, .n_classes = 2, .targets = targets, .n_targets = 2
};
static const struct mesh_agent agent[] = {
    { .name = "_" }, { .name = "a" }, { .name = "b" }, { .name = "c" }, { .name = "e6" }
};
static const struct mesh_agents agents = { agent, TW_NELEM(agent) };
enum { AGENT_, A, B, C, E6 };
static struct mesh_pair pair[] = {
    { A, B, 0 }, { B, A, 0 }, { A, B, 1 }, { A, ~0, 1 }, { A, ~1, 1 },
};
static const struct mesh_pairs pairs = { &mesh, &agents, pair, TW_NELEM(pair) };
static const struct mesh_pairs no_pairs = { &mesh, &agents, NULL, 0 };

static void expect_agent(const struct plan_agent *a, const char *name, uint64_t n_pairs, uint64_t sessions,
                         double pps, double bps, double reflected_pps)
{
    if (strcmp(a->name, name) || a->pairs != n_pairs || a->sessions != sessions ||
        fabs(a->pps - pps) > 1e-6 || fabs(a->bps - bps) > 1e-3 ||
        fabs(a->reflected_pps - reflected_pps) > 1e-6)
        fail_msg("%s: %llu pairs, %llu sessions, %.3f pps, %.3f bit/s, reflects %.3f pps", a->name,
                 (unsigned long long)a->pairs, (unsigned long long)a->sessions, a->pps, a->bps,
                 a->reflected_pps);
}

static void costs_add_up(void **state)
{
    struct plan_cost c = { 0 };

    (void)state;
    assert_int_equal(plan_add(&c, &pairs, false), TW_OK);
    assert_int_equal(c.n_agents, 2);
    /* a: bulk 10/s of 1428 octets; voice 3 x 100/s of 228, one of them to IPv6: 248 */
    expect_agent(&c.agents[0], "a", 4, 7, 310, 8 * (10 * 1428. + 200 * 228. + 100 * 248.), 10);
    expect_agent(&c.agents[1], "b", 1, 1, 10, 8 * 10 * 1428., 110);
    assert_int_equal(c.pairs, 5);
    assert_int_equal(c.sessions, 8);
    assert_true(fabs(c.pps - 320) < 1e-6);
    /* 2 flows of bulk a minute, 6 of voice each 10 s; cells of 10 minutes, an hour and a day, those of voice of a minute, too */
    assert_true(fabs(c.store_bytes_per_day - PLAN_ROW_BYTES * (2 * 1440. + 6 * 8640.) - 6 * 1440 * 500. -
                     8 * (144 * 650. + 24 * 800. + 1200.)) < 1e-3);
    /* sources: bulk a, bulk b, voice a; meshes: bulk, voice */
    assert_int_equal(c.series, 5 * metrics_series_per_pair() + 5 * metrics_series_per_group());

    /* A second mesh over IPv6 adds to the same agents, and brings a new one. */
    assert_int_equal(
        plan_add(&c, &(struct mesh_pairs){ &mesh, &agents, (struct mesh_pair[]){ { AGENT_, A, 0 } }, 1 },
                 true),
        TW_OK);
    assert_int_equal(c.n_agents, 3);
    expect_agent(&c.agents[0], "_", 1, 1, 10, 8 * 10 * 1448., 0);
    expect_agent(&c.agents[1], "a", 4, 7, 310, 8 * (10 * 1428. + 200 * 228. + 100 * 248.), 20);
    assert_int_equal(c.pairs, 6);
    plan_free(&c);
    assert_null(c.agents);
}

/* 7 of 50 octets (62 with IPv6), 4 of 576, 1 of 1500, by the dozen. */
static void imix_costs_its_mean(void **state)
{
    static struct mesh_class imix[] = {
        { .name = "a", .imix = true, .spacing_ns = 12 * MS, .report_period_ns = 10 * S, .flows = 1 },
        { .name = "b",
          .imix = true,
          .spacing_ns = 12 * MS,
          .report_period_ns = 10 * S,
          .flows = 1,
          .protocol = MESH_STAMP,
          .auth = MESH_AUTHENTICATED },
    };
    static const struct {
        uint16_t class_index;
        int32_t target;
        bool ipv6;
        double small_bytes; /* IP packet */
    } rows[] = {
        { 0, B, false, 50 },        { 0, B, true, 62 }, { 0, ~0, true, 50 }, /* the target's family counts */
        { 1, B, false, 112 + 28 }, /* as small as the packets can be */
        { 1, ~1, false, 112 + 48 },
    };
    const struct mesh m = { .classes = imix, .n_classes = 2, .targets = targets, .n_targets = 2 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct mesh_pair p = { A, rows[i].target, rows[i].class_index };
        double bps = 8 * (1000. / 144) * (7 * rows[i].small_bytes + 4 * 576 + 1500);
        struct plan_cost c = { 0 };

        assert_int_equal(plan_add(&c, &(struct mesh_pairs){ &m, &agents, &p, 1 }, rows[i].ipv6), TW_OK);
        if (fabs(c.agents[0].bps - bps) > 1e-6)
            fail_msg("row %zu: %.6f bit/s, expected %.6f", i, c.agents[0].bps, bps);
        plan_free(&c);
    }
}

/* Whatever an agent must do otherwise counts as a change. */
static void every_setting_is_a_change(void **state)
{
    const struct mesh_class base = classes[1];
    struct mesh_class v[15];

    (void)state;
    for (size_t i = 0; i < TW_NELEM(v); i++)
        v[i] = base;
    v[0].imix = v[1].df = v[2].zero_padding = true;
    v[3].protocol = MESH_STAMP;
    v[4].auth = MESH_AUTHENTICATED;
    strcpy(v[5].key_id, "k");
    strcpy(v[6].bind, "eth0");
    v[7].tlvs = MESH_TLV_BIT(MESH_TLV_COS);
    v[8].reply_dscp = 1;
    v[9].ttl = 7;
    v[10].dscp = 1;
    v[11].flows = 3;
    v[12].spacing_ns++;
    v[13].timeout_ns++;
    v[14].size_bytes++;
    for (size_t i = 0; i < TW_NELEM(v); i++)
        if (mesh_class_same(&base, &v[i]))
            fail_msg("change %zu is not seen", i);
    v[0] = base;
    strcpy(v[0].name, "other");
    assert_true(mesh_class_same(&base, &v[0]));
}

static void nothing_costs_nothing(void **state)
{
    struct plan_cost c = { 0 };

    (void)state;
    assert_int_equal(plan_add(&c, &no_pairs, false), TW_OK);
    assert_int_equal(c.n_agents, 0);
    assert_int_equal(c.series, 0);
    plan_free(&c);
}

static void many_agents(void **state)
{
    static char names[300][8];
    static struct mesh_agent many[300];
    struct mesh_agents all = { many, 300 };
    struct mesh_pair *p = calloc(300 * 299, sizeof *p);
    struct plan_cost c = { 0 };
    size_t n = 0;

    (void)state;
    assert_non_null(p);
    for (unsigned i = 0; i < 300; i++)
        for (unsigned j = 0; j < 300; j++)
            if (i != j)
                p[n++] = (struct mesh_pair){ i, (int32_t)j, 0 };
    for (unsigned i = 0; i < 300; i++) {
        sprintf(names[i], "n%03u", i);
        many[i].name = names[i];
    }
    assert_int_equal(plan_add(&c, &(struct mesh_pairs){ &mesh, &all, p, n }, false), TW_OK);
    assert_int_equal(c.n_agents, 300);
    for (unsigned i = 0; i < 300; i++) {
        char name[8];

        sprintf(name, "n%03u", i);
        expect_agent(&c.agents[i], name, 299, 299, 2990, 8 * 2990 * 1428., 2990);
    }
    plan_free(&c);
    free(p);
}

/* ---- Changes ---- */

static void changes_are_told_apart(void **state)
{
    struct mesh_class other[] = { classes[1], classes[0] }; /* another order in the document */
    struct mesh_target moved[] = { targets[0], targets[1] };
    struct mesh after = { .classes = other, .n_classes = 2, .targets = moved, .n_targets = 2 };
    const struct mesh_agents others = { agent + 1, TW_NELEM(agent) - 1 }; /* "_" has gone: other numbers */
    struct mesh_pair p[] = {
        { A - 1, B - 1, 1 },  /* bulk: kept */
        { C - 1, A - 1, 1 },  /* added, for b to a */
        { A - 1, B - 1, 0 },  /* voice: kept */
        { A - 1, ~0, 0 },     /* another address: changed */
        { A - 1, E6 - 1, 0 }, /* an agent now: changed */
    };
    const struct mesh_pairs then = { &after, &others, p, TW_NELEM(p) };
    struct plan_diff d;

    (void)state;
    moved[0].addr.ip[3] = 1;
    plan_compare(&pairs, &then, &d);
    if (d.added != 1 || d.removed != 1 || d.changed != 2 || d.kept != 2)
        fail_msg("added %llu, removed %llu, changed %llu, kept %llu", (unsigned long long)d.added,
                 (unsigned long long)d.removed, (unsigned long long)d.changed, (unsigned long long)d.kept);
    other[0].dscp = 46;
    plan_compare(&pairs, &then, &d);
    assert_int_equal(d.changed, 3);
    assert_int_equal(d.kept, 1);
    plan_compare(NULL, &then, &d);
    assert_int_equal(d.added, 5);
    assert_int_equal(d.removed + d.changed + d.kept, 0);
    plan_compare(&pairs, NULL, &d);
    assert_int_equal(d.removed, 5);
    assert_int_equal(d.added, 0);
}

struct told {
    unsigned n, stop_after; /* 0: never */
};

static bool hear(void *ctx, const struct mesh_pair *before, const struct mesh_pair *after)
{
    struct told *t = ctx;

    assert_true(before || after);
    return ++t->n != t->stop_after;
}

/* However small they are, and if whoever is told has heard enough. */
static void changes_come_in_pieces(void **state)
{
    struct mesh_pair fewer[] = { pair[0], pair[2], pair[3] };
    const struct mesh_pairs then = { &mesh, &agents, fewer, TW_NELEM(fewer) };

    (void)state;
    for (size_t piece = 1; piece < 8; piece++) {
        struct told t = { .stop_after = piece % 2 };
        struct plan_walk w = { .before = &pairs, .after = &then, .fn = hear, .ctx = &t };
        size_t left = piece, pieces = 1;

        for (; plan_walk_go_on(&w, &left) == TW_EAGAIN; pieces++) {
            assert_int_equal(left, 0);
            left = piece;
        }
        assert_int_equal(w.diff.removed, pairs.n - 3);
        assert_int_equal(w.diff.kept, 3);
        assert_int_equal(w.diff.added + w.diff.changed, 0);
        assert_int_equal(t.n, piece % 2 ? 1 : pairs.n - 3);
        assert_int_equal(pieces, (pairs.n + piece - 1) / piece);
    }
}

static void expect_same_cost(const struct plan_cost *a, const struct plan_cost *b)
{
    assert_int_equal(a->pairs, b->pairs);
    assert_int_equal(a->series, b->series);
    assert_true(a->pps == b->pps && a->store_bytes_per_day == b->store_bytes_per_day);
    assert_int_equal(a->n_agents, b->n_agents);
    for (size_t i = 0; i < a->n_agents; i++) {
        assert_string_equal(a->agents[i].name, b->agents[i].name);
        assert_true(a->agents[i].bps == b->agents[i].bps && a->agents[i].pairs == b->agents[i].pairs);
    }
}

static void costs_come_in_pieces(void **state)
{
    struct plan_cost once = { 0 }, twice = { 0 }, c;
    struct plan_costs *s = plan_costs_new(), *more;
    size_t at = 0;

    (void)state;
    assert_int_equal(plan_add(&once, &pairs, false), TW_OK);
    assert_int_equal(plan_add(&twice, &pairs, false), TW_OK);
    assert_int_equal(plan_add(&twice, &pairs, true), TW_OK);
    for (size_t left = 2; plan_costs_add(s, &pairs, false, &at, &left) == TW_EAGAIN; left = 1)
        assert_int_equal(left, 0);
    assert_int_equal(at, pairs.n);
    more = plan_costs_copy(s);
    at = 0;
    for (size_t left = 1; plan_costs_add(more, &pairs, true, &at, &left) == TW_EAGAIN; left = 3)
        assert_int_equal(left, 0);
    plan_costs_take(s, &c);
    expect_same_cost(&c, &once);
    plan_free(&c);
    plan_costs_take(more, &c);
    expect_same_cost(&c, &twice);
    plan_free(&c);
    plan_free(&once);
    plan_free(&twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_come_in_pieces),
        cmocka_unit_test(costs_come_in_pieces),
        cmocka_unit_test(phases_stay),
        cmocka_unit_test(phases_spread),
        cmocka_unit_test(phases_of_earlier_runs_stay),
        cmocka_unit_test(costs_add_up),
        cmocka_unit_test(nothing_costs_nothing),
        cmocka_unit_test(imix_costs_its_mean),
        cmocka_unit_test(every_setting_is_a_change),
        cmocka_unit_test(many_agents),
        cmocka_unit_test(changes_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
