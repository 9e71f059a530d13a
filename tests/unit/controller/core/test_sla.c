/* Objectives: documents, verdicts and budgets, spans without maintenance, outages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <math.h>

#include "controller/sla_doc.h"

#define S TW_NS_PER_S
#define MS TW_NS_PER_MS

/* ---- Documents ---- */

static const struct {
    const char *text;
    enum sla_kind kind;
    double limit;        /* of class "voice" */
    const char *refused; /* part of the message, NULL: accepted */
} docs[] = {
    { "availability: 99.9%", SLA_AVAILABILITY, 0.999, NULL },
    { "{availability: 0.5, loss: 0}", SLA_LOSS, 0, NULL },
    { "{\"p99\": \"50ms\"}", SLA_P99, 0.05, NULL },
    { "p95: 1.5s\nclasses:\n  voice: { p95: 20ms }\n", SLA_P95, 0.02, NULL },
    { "loss: 100%\nclasses:\n  data: { loss: 1% }\n", SLA_LOSS, 1, NULL },
    { "classes: { voice: { loss: 0.25% } }", SLA_LOSS, 0.0025, NULL },
    { "availability: 101%", 0, 0, "expected a percentage" },
    { "availability: -1", 0, 0, "expected a percentage" },
    { "availability: 99,9%", 0, 0, "expected a percentage" },
    { "availability: .9", 0, 0, "expected a percentage" },
    { "p99: 50", 0, 0, "p99" },
    { "p98: 50ms", 0, 0, "p98" },
    { "{}", 0, 0, "at least one" },
    { "classes: { voice: { classes: {} } }", 0, 0, "classes" },
    { "[1]", 0, 0, "expected" },
    { "availability: 1\navailability: 1", 0, 0, "availability" },
};

static void documents(void **state)
{
    (void)state;
    for (size_t i = 0; i < TW_NELEM(docs); i++) {
        struct sla_objectives o = { 0 };
        struct tw_err err = { 0 };
        char text[512] = "";
        enum tw_rc rc = sla_doc_parse(docs[i].text, strlen(docs[i].text), &o, &err);

        if (rc)
            tw_err_format(&err, text, sizeof text);
        if ((rc != TW_OK) != (docs[i].refused != NULL) || (docs[i].refused && !strstr(text, docs[i].refused)))
            fail_msg("%s: %s", docs[i].text, text);
        if (!rc) {
            struct sla_goals g = sla_goals_of(&o, "voice");
            if (!g.set[docs[i].kind] || fabs(g.limit[docs[i].kind] - docs[i].limit) > 1e-12)
                fail_msg("%s: %.17g", docs[i].text, g.limit[docs[i].kind]);
            sla_objectives_free(&o);
        }
    }
}

/* ---- Verdicts ---- */

static void add_delays(struct tw_summary *s, int fast, int slow)
{
    for (int i = 0; i < fast + slow; i++)
        hist_add(&s->delay[TW_ROUNDTRIP], i < fast ? 10 * MS : 90 * MS);
    s->received = (uint64_t)(fast + slow);
}

static void verdicts_and_budgets(void **state)
{
    struct sla_goals g = { { true, true, true, true }, { 0.99, 0.01, 0.050, 0.050 } };
    struct sla_result r[SLA_KINDS];
    struct tw_summary s;
    struct stats_view v;

    (void)state;
    summary_init(&s);
    s.start_ns = 1;
    s.end_ns = 2;
    s.sent = 1000;
    add_delays(&s, 960, 30);
    s.lost_unknown = 10;
    s.windows_available = 199;
    s.windows_unavailable = 1;
    stats_view(&s, &v);
    assert_int_equal(sla_judge(&g, &s, &v, r), 4);
    assert_true(r[0].kind == SLA_AVAILABILITY && r[0].verdict == SLA_MET); /* 99.5 %, may be 2 of 200 */
    assert_true(fabs(r[0].budget - 2) < 1e-9 && r[0].used == 1 && fabs(r[0].left - 1) < 1e-9);
    assert_true(r[1].verdict == SLA_MET && fabs(r[1].budget - 10) < 1e-9 && r[1].used == 10); /* all of it used */
    assert_true(r[2].verdict == SLA_MET && fabs(r[2].budget - 49.5) < 1e-9 && r[2].used == 30);
    assert_true(r[3].verdict == SLA_MISSED && fabs(r[3].budget - 9.9) < 1e-9 && r[3].used == 30 && r[3].left < -20);
    assert_int_equal(sla_overall(r, 4), SLA_MISSED);
    assert_int_equal(sla_overall(r, 3), SLA_MET);
    summary_free(&s);
    /* Nothing was measured: nothing was kept, and nothing broken. */
    summary_init(&s);
    stats_view(&s, &v);
    assert_int_equal(sla_judge(&g, &s, &v, r), 4);
    for (int i = 0; i < 4; i++)
        assert_true(r[i].verdict == SLA_UNKNOWN && !r[i].achieved.known && r[i].budget == 0 && r[i].used == 0);
    assert_int_equal(sla_overall(r, 4), SLA_UNKNOWN);
    assert_int_equal(sla_overall(r, 0), SLA_UNKNOWN);
    summary_free(&s);
}

/* ---- Spans ---- */

static const struct {
    const char *name;
    int64_t add[4][2];
    const char *spans, *rest; /* of [0, 100) */
} rows[] = {
    { "none", { { 0 } }, "", "0-100 " },
    { "all", { { -5, 500 } }, "0-100 ", "" },
    { "in order", { { 10, 20 }, { 30, 40 } }, "10-20 30-40 ", "0-10 20-30 40-100 " },
    { "backwards", { { 30, 40 }, { 10, 20 } }, "10-20 30-40 ", "0-10 20-30 40-100 " },
    { "touching", { { 10, 20 }, { 20, 30 } }, "10-30 ", "0-10 30-100 " },
    { "over several", { { 10, 20 }, { 30, 40 }, { 50, 60 }, { 15, 55 } }, "10-60 ", "0-10 60-100 " },
    { "twice", { { 10, 20 }, { 10, 20 } }, "10-20 ", "0-10 20-100 " },
    { "outside", { { 100, 120 }, { -20, 0 } }, "", "0-100 " },
    { "at the ends", { { -5, 10 }, { 90, 200 } }, "0-10 90-100 ", "10-90 " },
};

static void show(const struct sla_spans *s, char *text)
{
    *text = '\0';
    for (size_t i = 0; i < s->n; i++)
        text += sprintf(text, "%lld-%lld ", (long long)s->v[i].from_ns, (long long)s->v[i].to_ns);
}

static void spans(void **state)
{
    const struct sla_span whole = { 0, 100 };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct sla_spans s = { 0 }, rest = { 0 };
        char text[2][256];

        for (int k = 0; k < 4; k++)
            assert_int_equal(sla_spans_add(&s, &whole, rows[i].add[k][0], rows[i].add[k][1]), TW_OK);
        assert_int_equal(sla_spans_rest(&s, &whole, &rest), TW_OK);
        show(&s, text[0]);
        show(&rest, text[1]);
        if (strcmp(text[0], rows[i].spans) != 0 || strcmp(text[1], rows[i].rest) != 0)
            fail_msg("%s: %s, rest %s", rows[i].name, text[0], text[1]);
        assert_int_equal(sla_spans_length(&s) + sla_spans_length(&rest), 100);
        sla_spans_free(&s);
        sla_spans_free(&rest);
    }
}

static void spans_are_bounded(void **state)
{
    const struct sla_span whole = { 0, INT64_MAX };
    struct sla_spans s = { 0 };

    (void)state;
    for (int64_t i = 0; i < SLA_SPANS_MAX; i++)
        assert_int_equal(sla_spans_add(&s, &whole, i * 10, i * 10 + 5), TW_OK);
    assert_int_equal(sla_spans_add(&s, &whole, INT64_MAX - 5, INT64_MAX), TW_ENOSPC);
    assert_int_equal(sla_spans_add(&s, &whole, 0, INT64_MAX), TW_OK); /* all of them are one now */
    assert_int_equal(s.n, 1);
    sla_spans_free(&s);
}

static void outages_are_joined_by_flow(void **state)
{
    struct tw_unavail_run v[] = { { 30, 40, 1, 0 }, { 10, 20, 1, 1 }, { 10, 20, 1, 0 }, { 20, 30, 2, 0 }, { 50, 60, 1, 1 } };
    const struct tw_unavail_run want[] = { { 10, 40, 4, 0 }, { 10, 20, 1, 1 }, { 50, 60, 1, 1 } };

    (void)state;
    assert_int_equal(sla_join_outages(v, 0), 0);
    assert_int_equal(sla_join_outages(v, TW_NELEM(v)), TW_NELEM(want));
    assert_memory_equal(v, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents),         cmocka_unit_test(verdicts_and_budgets),
        cmocka_unit_test(spans),             cmocka_unit_test(spans_are_bounded),
        cmocka_unit_test(outages_are_joined_by_flow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
