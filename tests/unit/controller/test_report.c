/* Reports and results against a store of known summaries. */
#include "tests/unit/controller/api_fixture.h"
#include <pthread.h>
#include "common/loss_runs.h"
#include "controller/http/report_text.h"
#include "controller/results.h"

#define T0 (INT64_C(1700000000) * TW_NS_PER_S) /* a multiple of the period */
#define AT(n) (T0 + (n)*FX_PERIOD)
#define NOW AT(1000)

struct got {
    bool done;
    struct report *rep;
    struct results *res;
    struct tw_err err;
};

static void on_report(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct got *g = ctx;

    g->done = true;
    g->rep = rep;
    if (err)
        g->err = *err;
}

static void on_results(void *ctx, struct results *res, const struct tw_err *err)
{
    struct got *g = ctx;

    g->done = true;
    g->res = res;
    if (err)
        g->err = *err;
}

static struct report *run_report(struct fx *f, const struct report_filter *filter)
{
    struct got g = { 0 };

    FX_OK(report_run(&f->inv, NULL, f->readers, filter, NOW, on_report, &g));
    fx_run_until(f, &g.done, "report");
    if (!g.rep)
        fail_msg("report: %s", g.err.text);
    return g.rep;
}

static struct results *run_results(struct fx *f, const struct report_filter *filter)
{
    struct got g = { 0 };

    FX_OK(results_run(&f->inv, NULL, f->readers, filter, NOW, on_results, &g));
    fx_run_until(f, &g.done, "results");
    if (!g.res)
        fail_msg("results: %s", g.err.text);
    return g.res;
}

/* ---- Reports ---- */

static void equals_a_direct_merge(void **state)
{
    struct fx *f = fx_new(2, 10);
    struct pair *a = fx_pair(f, "m", "voice", "ams", "fra", 2, AT(0)),
                *b = fx_pair(f, "m", "voice", "ams", "ber", 1, AT(0));
    struct report_filter filter = { .from_ns = AT(2), .to_ns = AT(6) };
    struct tw_summary direct;
    struct stats_view view;
    struct report *rep;

    (void)state;
    summary_init(&direct);
    for (int64_t n = 0; n < 8; n++)
        for (uint32_t flow = 0; flow < 2; flow++) {
            struct tw_summary s = fx_summary(f, a, flow, AT(n));
            fx_store(f, &s);
            if (n >= 2 && n < 6)
                summary_merge(&direct, &s);
            summary_free(&s);
        }
    stats_view(&direct, &view);
    rep = run_report(f, &filter);
    assert_int_equal(rep->n_pairs, 2);
    assert_string_equal(rep->pairs[0].pair.target, "ber"); /* sorted */
    assert_true(rep->pairs[1].pair.id == a->row.id && rep->pairs[0].pair.id == b->row.id);
    fx_same_view("two flows", &rep->pairs[1].view, &view);
    for (int d = 0; d < 3; d++)
        assert_true(hist_equal(&rep->pairs[1].merged.delay[d], &direct.delay[d]));
    assert_int_equal(rep->pairs[1].view.sent, 800);
    assert_true(rep->from_ns == AT(2) && rep->to_ns == AT(6) && !rep->truncated);
    /* Nothing stored: nothing known, rather than zeros that look measured. */
    assert_int_equal(rep->pairs[0].merged.end_ns, 0);
    assert_false(rep->pairs[0].view.loss_ratio.known);
    report_free(rep);
    summary_free(&direct);
    fx_free(f);
}

/* Each flow for itself, and the pair as their merge: in a span and in the latest period, with flows that are
 * not scheduled any more and with some that have nothing. */
static void flows_and_their_merge(void **state)
{
    static const struct {
        const char *name;
        bool latest;
        uint32_t n; /* flows that are listed */
        uint32_t flow[5];
        uint64_t expected[5], stored[5];
    } rows[] = {
        { "span", false, 5, { 0, 1, 2, 3, 7 }, { 4, 4, 4, 4, 0 }, { 4, 4, 3, 0, 4 } },
        { "latest", true, 5, { 0, 1, 2, 3, 7 }, { 1, 1, 1, 1, 0 }, { 1, 1, 0, 0, 1 } },
    };
    struct fx *f = fx_new(2, 10);
    struct pair *p = fx_pair(f, "m", "paths", "ams", "fra", 4, AT(0));

    (void)state;
    for (int64_t n = 0; n < 4; n++)
        for (uint32_t flow = 0; flow < 8; flow++) {
            struct tw_summary s = fx_summary(f, p, flow, AT(n));
            if (flow < 2 || flow == 7 || (flow == 2 && n < 3)) /* 3 has nothing, 2 stops, 7 is of old */
                fx_store(f, &s);
            summary_free(&s);
        }
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct report_filter filter = { .from_ns = AT(0),
                                        .to_ns = AT(4),
                                        .flows = true,
                                        .latest = rows[i].latest },
                             whole = filter;
        struct report *rep = run_report(f, &filter), *together;
        const struct report_pair *r = &rep->pairs[0];
        struct tw_summary sum;
        struct stats_view view;

        whole.flows = false;
        together = run_report(f, &whole);
        summary_init(&sum);
        assert_int_equal(rep->n_pairs, 1);
        assert_int_equal(r->n_flows, rows[i].n);
        for (size_t k = 0; k < r->n_flows; k++) {
            const struct report_flow *fl = &r->flows[k];

            if (fl->flow != rows[i].flow[k] || fl->periods_expected != rows[i].expected[k] ||
                fl->periods_stored != rows[i].stored[k] || fl->view.sent != 100 * rows[i].stored[k] ||
                fl->completeness_ratio.known != (rows[i].expected[k] != 0))
                fail_msg("%s, flow %u: sent %llu, stored %llu of %llu", rows[i].name, fl->flow,
                         (unsigned long long)fl->view.sent, (unsigned long long)fl->periods_stored,
                         (unsigned long long)fl->periods_expected);
            summary_merge(&sum, &fl->merged);
        }
        stats_view(&sum, &view);
        fx_same_view(rows[i].name, &view, &r->view);
        fx_same_view(rows[i].name, &view, &together->pairs[0].view);
        assert_int_equal(together->pairs[0].n_flows, 0);
        assert_int_equal(r->periods_stored, together->pairs[0].periods_stored);
        summary_free(&sum);
        report_free(rep);
        report_free(together);
    }
    fx_free(f);
}

/* The numbers stay the same when the histograms do not. */
static void views_need_no_histograms(void **state)
{
    struct fx *f = fx_new(1, 10);
    struct pair *pairs[] = { fx_pair(f, "m", "c", "ams", "ber", 2, AT(0)),
                             fx_pair(f, "m", "c", "ams", "fra", 1, AT(0)),
                             fx_pair(f, "m", "c", "ams", "lon", 1, AT(0)) };

    (void)state;
    for (int64_t n = 0; n < 3; n++)
        for (uint32_t i = 0; i < 3; i++) { /* the last pair has nothing */
            struct tw_summary s = fx_summary(f, pairs[i / 2], i % 2, AT(n));
            fx_store(f, &s);
            summary_free(&s);
        }
    for (int latest = 0; latest < 2; latest++) {
        struct report_filter full = { .from_ns = AT(0), .to_ns = AT(9), .latest = latest, .flows = true },
                             bare = full;
        struct report *a, *b;

        bare.views_only = true;
        a = run_report(f, &full);
        b = run_report(f, &bare);
        assert_true(a->n_pairs == 3 && b->n_pairs == 3);
        for (size_t i = 0; i < 3; i++) {
            fx_same_view(a->pairs[i].pair.target, &a->pairs[i].view, &b->pairs[i].view);
            assert_int_equal(a->pairs[i].merged.delay[TW_ROUNDTRIP].count == 0, i == 2);
            assert_int_equal(b->pairs[i].merged.delay[TW_ROUNDTRIP].cap, 0);
            assert_int_equal(b->pairs[i].n_flows, i ? 1 : 2);
            fx_same_view("flow 0", &a->pairs[i].flows[0].view, &b->pairs[i].flows[0].view);
            assert_int_equal(b->pairs[i].flows[0].merged.delay[TW_ROUNDTRIP].cap, 0);
            assert_int_equal(b->pairs[i].merged.end_ns, a->pairs[i].merged.end_ns);
        }
        report_free(a);
        report_free(b);
    }
    fx_free(f);
}

static void completeness(void **state)
{
    static const struct {
        const char *name;
        int64_t from, to; /* periods */
        uint64_t expected, stored;
        bool known;
        double ratio;
    } cases[] = {
        { "all there", 0, 4, 8, 8, true, 1 },
        { "one of two flows missing in one period", 0, 5, 10, 9, true, 0.9 },
        { "a whole period missing", 6, 8, 4, 2, true, 0.5 },
        { "before it was scheduled", -10, 0, 0, 0, false, 0 },
        { "after the last", 20, 30, 20, 0, true, 0 },
        { "not due yet", 997, 1001, 2, 1, true, 0.5 }, /* of 997: due at 1000; 998 is there early */
        { "nothing due", 999, 1001, 0, 0, false, 0 },
    };
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 2, AT(0));
    static const int16_t stored[][2] = { { 0, 0 }, { 0, 1 },   { 1, 0 },   { 1, 1 },  { 2, 0 },
                                         { 2, 1 }, { 3, 0 },   { 3, 1 },   { 4, 1 },  { 7, 0 },
                                         { 7, 1 }, { 997, 0 }, { 998, 0 }, { 998, 1 } };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(stored); i++) {
        struct tw_summary s = fx_summary(f, p, (uint32_t)stored[i][1], AT(stored[i][0]));
        fx_store(f, &s);
        summary_free(&s);
    }
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct report_filter filter = { .from_ns = AT(cases[i].from), .to_ns = AT(cases[i].to) };
        struct report *rep = run_report(f, &filter);
        const struct report_pair *r = &rep->pairs[0];
        if (r->periods_expected != cases[i].expected || r->periods_stored != cases[i].stored ||
            r->completeness_ratio.known != cases[i].known ||
            (cases[i].known && r->completeness_ratio.value != cases[i].ratio))
            fail_msg("%s: expected %llu, stored %llu, ratio %d %g", cases[i].name,
                     (unsigned long long)r->periods_expected, (unsigned long long)r->periods_stored,
                     r->completeness_ratio.known, r->completeness_ratio.value);
        report_free(rep);
    }
    fx_free(f);
}

static void latest_takes_the_newest_end(void **state)
{
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 3, AT(0)),
                *off = fx_pair(f, "m", "c", "ams", "old", 1, 0);
    struct report_filter filter = { .latest = true };
    struct tw_summary s[4], direct;
    struct stats_view view;
    struct report *rep;

    (void)state;
    s[0] = fx_summary(f, p, 0, AT(5));
    s[1] = fx_summary(f, p, 1, AT(4)); /* behind: not of the latest period */
    s[2] = fx_summary(f, p, 2, AT(5));
    s[3] = fx_summary(f, off, 0, AT(9)); /* not scheduled: not how things are now */
    for (size_t i = 0; i < 4; i++)
        fx_store(f, &s[i]);
    summary_init(&direct);
    summary_merge(&direct, &s[0]);
    summary_merge(&direct, &s[2]);
    stats_view(&direct, &view);
    rep = run_report(f, &filter);
    assert_int_equal(rep->n_pairs, 1);
    fx_same_view("latest", &rep->pairs[0].view, &view);
    assert_true(rep->from_ns == AT(5) && rep->to_ns == AT(6));
    assert_int_equal(rep->pairs[0].periods_expected, 3);
    assert_int_equal(rep->pairs[0].periods_stored, 2);
    report_free(rep);
    for (size_t i = 0; i < 4; i++)
        summary_free(&s[i]);
    summary_free(&direct);
    fx_free(f);
}

/* However often a pair has been scheduled anew: what counts is what was expected when its latest period was.
 */
static void latest_is_judged_by_its_time(void **state)
{
    enum { CHANGES = 200 };
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, AT(0));
    struct report_filter filter = { .latest = true, .flows = true };
    struct tw_summary s[2];
    struct report *rep;

    (void)state;
    FX_OK(store_begin(f->store, &err));
    for (int64_t n = 1; n <= CHANGES; n++) /* 2, 3, 1, 2, ... flows */
        FX_OK(store_pair_scheduled(
            f->store, p->row.id, 1,
            &(struct store_expectation){ .report_period_ns = FX_PERIOD, .flows = 1 + (uint32_t)(n % 3) },
            AT(n), &err));
    FX_OK(store_commit(f->store, &err));
    for (int64_t n = 3; n < CHANGES; n += 61) {
        uint32_t flows = 1 + (uint32_t)(n % 3);
        s[0] = fx_summary(f, p, 0, AT(n));
        s[1] = fx_summary(f, p, 1, AT(n));
        s[1].start_ns++; /* begun a little late: no whole period */
        for (size_t i = 0; i < 2; i++) {
            fx_store(f, &s[i]);
            summary_free(&s[i]);
        }
        rep = run_report(f, &filter);
        assert_int_equal(rep->n_pairs, 1);
        if (rep->pairs[0].periods_expected != flows || rep->pairs[0].periods_stored != 1)
            fail_msg("period %d: expected %llu of %u, stored %llu", (int)n,
                     (unsigned long long)rep->pairs[0].periods_expected, flows,
                     (unsigned long long)rep->pairs[0].periods_stored);
        assert_int_equal(rep->pairs[0].flows[0].periods_stored, 1);
        assert_int_equal(rep->pairs[0].flows[1].periods_stored, 0);
        report_free(rep);
    }
    fx_free(f);
}

/* Of old spans roll-ups are left, of older ones nothing: what a report says then it says of which span. */
static void what_is_left_is_said(void **state)
{
    enum { DAYS = 86400 / 10 }; /* in periods; AT(10) is 22:15, AT(-20) 22:10 */
    static const struct {
        const char *name;
        int64_t days; /* since */
        int64_t from, to, covers_from, covers_to;
        uint64_t expected, stored;
    } cases[] = {
        { "all there", 0, 10, 50, 10, 50, 40, 39 },
        { "ten minutes are left", 3, 10, 50, -20, 100, 100, 98 },
        { "and they fit", 3, -20, 100, -20, 100, 100, 98 },
        { "a day is left", 60, 10, 50, -8000, 640, 640, 318 },
        { "nothing is left", 500, 10, 50, 0, 0, 0, 0 },
    };
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, AT(0));
    struct store_retention r = { .keep.ns = { DAYS * FX_PERIOD, DAYS * FX_PERIOD, 40 * DAYS * FX_PERIOD,
                                              40 * DAYS * FX_PERIOD, 400 * DAYS * FX_PERIOD } };

    (void)state;
    for (int64_t n = 0; n < 320; n++) {
        struct tw_summary s = fx_summary(f, p, 0, AT(n));
        if (n != 30 && n != 77)
            fx_store(f, &s);
        summary_free(&s);
    }
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct report_filter filter = { .from_ns = AT(cases[i].from),
                                        .to_ns = AT(cases[i].to),
                                        .flows = true };
        struct report *rep;
        const struct report_pair *got;
        bool more = cases[i].days > 0;
        r.now_ns = AT(cases[i].days * DAYS);
        while (more)
            FX_OK(store_retain(f->store, &r, &more, &err));
        rep = run_report(f, &filter);
        assert_int_equal(rep->n_pairs, 1);
        got = &rep->pairs[0];
        if (got->periods_expected != cases[i].expected || got->periods_stored != cases[i].stored ||
            got->flows[0].periods_expected != cases[i].expected ||
            got->flows[0].periods_stored != cases[i].stored)
            fail_msg("%s: %llu of %llu", cases[i].name, (unsigned long long)got->periods_stored,
                     (unsigned long long)got->periods_expected);
        if (cases[i].expected ? got->covers_from_ns != AT(cases[i].covers_from) ||
                                    got->covers_to_ns != AT(cases[i].covers_to)
                              : got->covers_from_ns < got->covers_to_ns)
            fail_msg("%s: covers [%lld, %lld)", cases[i].name,
                     (long long)((got->covers_from_ns - T0) / FX_PERIOD),
                     (long long)((got->covers_to_ns - T0) / FX_PERIOD));
        report_free(rep);
    }
    fx_free(f);
}

static void selects_sorts_and_cuts(void **state)
{
    static const struct {
        const char *name;
        struct report_filter f;
        const char *expect; /* mesh/class/source/target of each */
        bool truncated;
    } cases[] = {
        { "all",
          { .from_ns = AT(0), .to_ns = AT(9) },
          "a/c/ams/ber a/c/ams/fra a/c/fra/old b/c/ams/fra b/d/ams/fra ",
          false },
        { "mesh", { .from_ns = AT(0), .to_ns = AT(9), .mesh = "b" }, "b/c/ams/fra b/d/ams/fra ", false },
        { "class and target",
          { .from_ns = AT(0), .to_ns = AT(9), .class_name = "c", .target = "fra" },
          "a/c/ams/fra b/c/ams/fra ",
          false },
        { "source", { .from_ns = AT(0), .to_ns = AT(9), .source = "fra" }, "a/c/fra/old ", false },
        { "source, outside its data", { .from_ns = AT(5), .to_ns = AT(9), .source = "fra" }, "", false },
        { "nobody", { .from_ns = AT(0), .to_ns = AT(9), .mesh = "nobody" }, "", false },
        { "limit", { .from_ns = AT(0), .to_ns = AT(9), .limit = 2 }, "a/c/ams/ber a/c/ams/fra ", true },
        { "limit not reached",
          { .from_ns = AT(0), .to_ns = AT(9), .mesh = "b", .limit = 2 },
          "b/c/ams/fra b/d/ams/fra ",
          false },
    };
    struct fx *f = fx_new(1, 10);
    struct pair *old;
    struct tw_summary s;

    (void)state;
    fx_pair(f, "b", "d", "ams", "fra", 1, AT(0));
    fx_pair(f, "b", "c", "ams", "fra", 1, AT(0));
    fx_pair(f, "a", "c", "ams", "fra", 1, AT(0));
    fx_pair(f, "a", "c", "ams", "ber", 1, AT(0));
    old = fx_pair(f, "a", "c", "fra", "old", 1, 0); /* not scheduled, but has data */
    s = fx_summary(f, old, 0, AT(1));
    fx_store(f, &s);
    summary_free(&s);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct report *rep = run_report(f, &cases[i].f);
        char text[512] = "";
        for (size_t k = 0; k < rep->n_pairs; k++) {
            const struct store_pair *p = &rep->pairs[k].pair;
            size_t len = strlen(text);
            snprintf(text + len, sizeof text - len, "%.9s/%.9s/%.9s/%.9s ", p->mesh, p->class_name, p->source,
                     p->target);
        }
        if (strcmp(text, cases[i].expect) != 0 || rep->truncated != cases[i].truncated)
            fail_msg("%s: %s%s", cases[i].name, text, rep->truncated ? "(truncated)" : "");
        report_free(rep);
    }
    fx_free(f);
}

static void dropped_by_the_source(void **state)
{
    struct fx *f = fx_new(1, 10);
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(9) };
    struct store_batch gap = { .agent_id = f->agent_id,
                               .spool_id = "spool",
                               .first_seq = 1,
                               .gap_last_seq = 7,
                               .gap_reason = "spool_full",
                               .received_ns = AT(3) };
    enum store_append_result res;
    uint64_t through;
    struct report *rep;

    (void)state;
    fx_pair(f, "m", "c", "ams", "fra", 1, AT(0));
    fx_pair(f, "m", "c", "ams", "ber", 1, AT(0));
    fx_pair(f, "m", "c", "fra", "ams", 1, AT(0));
    FX_OK(store_begin(f->store, &err));
    FX_OK(store_append(f->store, &gap, &res, &through, &err));
    FX_OK(store_commit(f->store, &err));
    rep = run_report(f, &filter);
    assert_int_equal(rep->pairs[0].summaries_dropped, 7);
    assert_int_equal(rep->pairs[1].summaries_dropped, 7);
    assert_int_equal(rep->pairs[2].summaries_dropped, 0);
    report_free(rep);
    fx_free(f);
}

/* ---- Results ---- */

static void results_in_order_up_to_the_limit(void **state)
{
    static const struct {
        const char *name;
        struct report_filter f;
        const char *expect; /* target:period.flow */
        bool truncated;
    } cases[] = {
        { "all",
          { .from_ns = AT(0), .to_ns = AT(9) },
          "ber:0.0 ber:1.0 fra:0.0 fra:0.1 fra:1.0 fra:1.1 ",
          false },
        { "span", { .from_ns = AT(1), .to_ns = AT(2) }, "ber:1.0 fra:1.0 fra:1.1 ", false },
        { "limit", { .from_ns = AT(0), .to_ns = AT(9), .limit = 3 }, "ber:0.0 ber:1.0 fra:0.0 ", true },
        { "limit just reached",
          { .from_ns = AT(0), .to_ns = AT(9), .limit = 6 },
          "ber:0.0 ber:1.0 fra:0.0 fra:0.1 fra:1.0 fra:1.1 ",
          false },
        { "one pair", { .from_ns = AT(0), .to_ns = AT(9), .target = "ber" }, "ber:0.0 ber:1.0 ", false },
    };
    struct fx *f = fx_new(1, 10);
    struct pair *fra = fx_pair(f, "m", "c", "ams", "fra", 2, AT(0)),
                *ber = fx_pair(f, "m", "c", "ams", "ber", 1, AT(0));

    (void)state;
    for (int64_t n = 0; n < 2; n++)
        for (uint32_t flow = 0; flow < 3; flow++) {
            struct tw_summary s = fx_summary(f, flow < 2 ? fra : ber, flow % 2, AT(n));
            fx_store(f, &s);
            summary_free(&s);
        }
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct results *res = run_results(f, &cases[i].f);
        char text[512] = "";
        for (size_t k = 0; k < res->n_rows; k++) {
            size_t len = strlen(text);
            snprintf(text + len, sizeof text - len, "%.9s:%lld.%u ", res->rows[k].pair.target,
                     (long long)((res->rows[k].summary.start_ns - T0) / FX_PERIOD),
                     res->rows[k].summary.flow);
        }
        if (strcmp(text, cases[i].expect) != 0 || res->truncated != cases[i].truncated)
            fail_msg("%s: %s%s", cases[i].name, text, res->truncated ? "(truncated)" : "");
        results_free(res);
    }
    fx_free(f);
}

/* Pages of a report are of the pairs that the first one found, though others are scheduled meanwhile. */
static void pages_of_a_report_are_of_one_list(void **state)
{
    struct fx *f = fx_new(1, 10);
    struct pair_lists lists = { 0 };
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(900), .limit = 2 };
    char text[256] = "";
    bool more = true;

    (void)state;
    for (char name[] = "d"; *name < 'i'; ++*name)
        fx_pair(f, "m", "c", "ams", name, 1, AT(0));
    while (more) {
        struct got g = { 0 };

        FX_OK(report_run(&f->inv, &lists, f->readers, &filter, NOW, on_report, &g));
        fx_run_until(f, &g.done, "a page");
        for (size_t i = 0; i < g.rep->n_pairs; i++)
            strcat(strcat(text, g.rep->pairs[i].pair.target), " ");
        strcat(text, "| ");
        more = g.rep->truncated;
        filter.skip = g.rep->next;
        report_free(g.rep);
        if (more)
            fx_pair(f, "m", "c", "ams", filter.skip == 2 ? "a" : "b", 1, AT(0));
    }
    assert_string_equal(text, "d e | f g | h | ");
    filter = (struct report_filter){ .from_ns = AT(0), .to_ns = AT(900), .limit = 1, .skip = 3 };
    pair_lists_clear(&lists); /* or it was kept for too long: what matches now */
    for (int i = 0; i < 2; i++) {
        struct got g = { 0 };

        FX_OK(report_run(&f->inv, i ? NULL : &lists, f->readers, &filter, NOW, on_report, &g));
        fx_run_until(f, &g.done, "a page");
        assert_string_equal(g.rep->pairs[0].pair.target, "e");
        assert_int_equal(g.rep->next, 4);
        report_free(g.rep);
    }
    pair_lists_clear(&lists);
    fx_free(f);
}

/* Every bucket of thirty octaves on both sides of zero: no honest period is so wide. */
static void widen(struct hist *h)
{
    for (int octave = 10; octave < 40; octave++)
        for (int i = 0; i < 64; i++) {
            int64_t v = ((int64_t)1 << octave) + ((int64_t)1 << octave) * i / 64;
            hist_add(h, v);
            hist_add(h, -v);
        }
}

struct all_pages {
    char *text;
    size_t len;
    uint64_t rows;
    unsigned pages, empty;
};

static struct all_pages read_pages(struct fx *f, struct report_filter filter, enum results_form form)
{
    struct pair_lists lists = { 0 };
    struct all_pages all = { 0 };
    FILE *to = open_memstream(&all.text, &all.len);
    bool more = true;

    filter.paged = true;
    filter.form = form;
    while (more) {
        struct got g = { 0 };

        FX_OK(results_run(&f->inv, &lists, f->readers, &filter, NOW, on_results, &g));
        fx_run_until(f, &g.done, "a page");
        if (!g.res)
            fail_msg("page: %s", g.err.text);
        assert_in_range(g.res->text_len, 0, RESULTS_TEXT_MAX);
        fwrite(g.res->text, 1, g.res->text_len, to);
        all.rows += g.res->text_rows;
        all.pages++;
        all.empty += !g.res->text_rows;
        more = g.res->truncated;
        filter.page_pair = g.res->next_pair;
        filter.page_ns = g.res->next_ns;
        assert_true(!more || filter.page_pair);
        results_free(g.res);
    }
    fclose(to);
    pair_lists_clear(&lists);
    return all;
}

/* What all pages are together. */
static char *rows_as_text(struct fx *f, struct report_filter filter, enum results_form form)
{
    struct results *res;
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    filter.limit = 100000;
    res = run_results(f, &filter);
    assert_false(res->truncated);
    for (size_t i = 0; i < res->n_rows; i++) {
        if (form == RESULTS_AS_CSV)
            summary_csv_row(to, &res->rows[i].pair, &res->rows[i].summary);
        else
            summary_line_row(to, &res->rows[i].pair, &res->rows[i].summary);
    }
    fclose(to);
    results_free(res);
    return text;
}

/* Whatever page they come in, all rows come once: of a pair whose flows have the same starts, and behind more
 * pairs without rows than one page looks at. */
static void pages_of_text_are_all_rows_once(void **state)
{
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "c", "ams", "zrh", 2, AT(0)), *q;
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(900) };
    char name[16];

    (void)state;
    for (unsigned i = 0; i < RESULTS_PAGE_PAIRS; i++) {
        snprintf(name, sizeof name, "h%04u", i);
        fx_pair(f, "m", "c", "ams", name, 1, 0);
    }
    q = fx_pair(f, "m", "c", "zrh", "say \"a\\b\"", 1, AT(0));
    for (int64_t n = 0; n < 260; n++)
        for (uint32_t flow = 0; flow < 3; flow++) {
            struct tw_summary s = fx_summary(f, flow < 2 ? p : q, flow % 2, AT(n));
            fx_store(f, &s);
            summary_free(&s);
        }
    for (enum results_form form = RESULTS_AS_CSV; form <= RESULTS_AS_LINES; form++) {
        char *whole = rows_as_text(f, filter, form);
        struct all_pages all = read_pages(f, filter, form);

        assert_int_equal(all.rows, 3 * 260);
        assert_true(all.pages > (form == RESULTS_AS_CSV ? 1 : 3) && all.empty == 1);
        if (strlen(whole) != all.len || memcmp(whole, all.text, all.len) != 0)
            fail_msg("form %d: %zu octets in pages, %zu together", form, all.len, strlen(whole));
        free(whole);
        free(all.text);
    }
    fx_free(f);
}

static void results_are_bounded_in_memory(void **state)
{
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "c", "ams", "fra", 1, AT(0));
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(400), .limit = 100000 };
    struct tw_summary s = fx_summary(f, p, 0, AT(0));
    struct results *res;
    size_t bytes = 0, one;

    (void)state;
    for (int d = 0; d < 3; d++)
        widen(&s.delay[d]);
    s.received = s.delay[TW_ROUNDTRIP].count;
    s.sent = s.received + s.lost_forward;
    one = sizeof *res->rows + (s.delay[0].n + s.delay[1].n + s.delay[2].n) * sizeof(struct hist_bucket);
    for (int64_t n = 0; n < 300; n++) {
        s.start_ns = AT(n);
        s.end_ns = AT(n + 1);
        fx_store(f, &s);
    }
    summary_free(&s);
    res = run_results(f, &filter);
    bytes = res->n_rows * one;
    if (!res->truncated || bytes < RESULTS_MAX_BYTES || bytes > RESULTS_MAX_BYTES + one)
        fail_msg("%zu rows of %zu octets%s", res->n_rows, one, res->truncated ? " (truncated)" : "");
    results_free(res);
    fx_free(f);
}

/* ---- The readers ---- */

struct blocker {
    struct reader_job job; /* first */
    pthread_mutex_t lock;  /* held while it is to run on */
    _Atomic bool running;
    bool done;
};

static void block(struct reader_job *j, struct store_reader *r)
{
    struct blocker *b = (struct blocker *)j;

    (void)r;
    b->running = true;
    pthread_mutex_lock(&b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void unblocked(struct reader_job *j)
{
    ((struct blocker *)j)->done = true;
}

static void busy_is_said_and_stopping_loses_nothing(void **state)
{
    struct fx *f = fx_new(1, 2);
    struct blocker b = { .job = { .run = block, .done = unblocked }, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(9) },
                         wrong = { .from_ns = AT(9), .to_ns = AT(9) }, hostile = { .to_ns = INT64_MIN };
    struct got first = { 0 }, second = { 0 }, third = { 0 };

    (void)state;
    fx_pair(f, "m", "c", "ams", "fra", 1, AT(0));
    pthread_mutex_lock(&b.lock);
    FX_OK(reader_submit(f->readers, &b.job));
    while (!b.running)
        usleep(1000);
    FX_OK(report_run(&f->inv, NULL, f->readers, &filter, NOW, on_report, &first));
    FX_OK(results_run(&f->inv, NULL, f->readers, &filter, NOW, on_results, &second));
    assert_int_equal(report_run(&f->inv, NULL, f->readers, &filter, NOW, on_report, &third), TW_EBUSY);
    assert_int_equal(report_run(&f->inv, NULL, f->readers, &wrong, NOW, on_report, &third), TW_EINVAL);
    assert_int_equal(report_run(&f->inv, NULL, f->readers, &hostile, NOW, on_report, &third), TW_EINVAL);
    assert_int_equal(reader_refused(f->readers), 1);
    pthread_mutex_unlock(&b.lock);
    reader_pool_stop(f->readers); /* the loop does not run */
    f->readers = NULL;
    /* Each is answered, with what it asked for or, cut short, with why not. */
    assert_true(b.done && first.done && second.done);
    assert_true(first.rep || first.err.rc);
    assert_true(second.res || second.err.rc);
    assert_false(third.done);
    report_free(first.rep);
    results_free(second.res);
    fx_free(f);
}

/* Two flows: one run over three periods, and at the same time one in a single period. A report is of whole
 * runs. */
static void loss_runs_are_joined(void **state)
{
    struct fx *f = fx_new(2, 10);
    struct pair *p = fx_pair(f, "m", "voice", "ams", "fra", 2, AT(0));
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(4), .flows = true };
    struct report *rep;

    (void)state;
    for (int64_t n = 0; n < 3; n++)
        for (uint32_t flow = 0; flow < 2; flow++) {
            struct tw_summary s = fx_summary(f, p, flow, AT(n));
            uint32_t first = n == 0 ? 90 : 0, lost = n == 1 ? 100 : 10;
            struct tw_loss_run r = { .start_ns = AT(n) + first * FX_PERIOD / 100,
                                     .length_ns = lost * FX_PERIOD / 100,
                                     .probes = lost,
                                     .seq_first = (uint32_t)n * 100 + first,
                                     .flow = flow,
                                     .direction = TW_FORWARD,
                                     .continues_before = n > 0,
                                     .continues_after = n < 2 };
            if (flow == 0 || n == 1) {
                summary_free(&s); /* its delays: of more answers than there are now */
                summary_init(&s);
                s.pair_id = p->row.id;
                s.flow = flow;
                s.start_ns = AT(n);
                s.end_ns = AT(n + 1);
                s.sent = 100;
                s.lost_forward = lost;
                s.received = 100 - lost;
                s.status = summary_status(&s);
                s.seq_first = (uint32_t)n * 100;
                s.loss_runs = 1;
                s.loss_run_longest = lost;
                s.loss_run_longest_ns = r.length_ns;
                loss_runs_add(&s.runs, &r);
            }
            fx_store(f, &s);
            summary_free(&s);
        }
    rep = run_report(f, &filter);
    assert_int_equal(rep->n_pairs, 1);
    assert_true(rep->pairs[0].view.loss_runs == 2 && rep->pairs[0].view.loss_run_longest == 120);
    assert_true(rep->pairs[0].view.loss_run_longest_s == 12 &&
                rep->pairs[0].merged.loss_run_longest_ns == 12 * TW_NS_PER_S);
    assert_true(rep->pairs[0].flows[0].view.loss_runs == 1 &&
                rep->pairs[0].flows[0].view.loss_run_longest == 120);
    assert_true(rep->pairs[0].flows[1].view.loss_runs == 1 &&
                rep->pairs[0].flows[1].view.loss_run_longest == 100);
    report_free(rep);
    filter.to_ns = AT(2); /* the span cuts it */
    rep = run_report(f, &filter);
    assert_true(rep->pairs[0].view.loss_runs == 2 && rep->pairs[0].view.loss_run_longest == 110);
    report_free(rep);
    fx_free(f);
}

/* An outage of hours, over the ends of periods and of a day, and one within an hour: a report says of it the
 * same when only roll-ups are left. */
static void loss_runs_stay_joined(void **state)
{
    static const int64_t outages[][2] = { { 5, 900 }, { 950, 953 } }; /* in periods; the day ends at 640 */
    enum { DAY = 8640, END = 1000 };
    struct fx *f = fx_new(1, 10);
    struct pair *p = fx_pair(f, "m", "voice", "ams", "fra", 1, AT(0));
    struct store_retention r = { .now_ns = AT(5 * DAY),
                                 .keep.ns = { DAY * FX_PERIOD, DAY * FX_PERIOD, DAY * FX_PERIOD,
                                              40 * DAY * FX_PERIOD, 40 * DAY * FX_PERIOD } };
    struct report_filter filter = { .from_ns = AT(-80),
                                    .to_ns = AT(END),
                                    .flows = true }; /* 22:00 to 01:00 */
    bool more = true;

    (void)state;
    filter.to_ns = AT(END) - AT(END) % (3600 * TW_NS_PER_S) + 3600 * TW_NS_PER_S;
    for (size_t k = 0; k < TW_NELEM(outages); k++)
        for (int64_t n = outages[k][0]; n < outages[k][1]; n++) {
            struct tw_summary s;
            struct tw_loss_run run = { .start_ns = AT(n),
                                       .length_ns = FX_PERIOD,
                                       .probes = 100,
                                       .seq_first = (uint32_t)n * 100,
                                       .direction = TW_UNKNOWN,
                                       .continues_before = n > outages[k][0],
                                       .continues_after = n + 1 < outages[k][1] };
            summary_init(&s);
            s.pair_id = p->row.id;
            s.start_ns = AT(n);
            s.end_ns = AT(n + 1);
            s.sent = s.lost_unknown = 100;
            s.status = summary_status(&s);
            s.loss_runs = 1;
            s.loss_run_longest = 100;
            s.loss_run_longest_ns = FX_PERIOD;
            loss_runs_add(&s.runs, &run);
            fx_store(f, &s);
            summary_free(&s);
        }
    for (int step = 0; step < 2; step++) {
        struct report *rep;
        while (step && more)
            FX_OK(store_retain(f->store, &r, &more, &err));
        rep = run_report(f, &filter);
        assert_int_equal(rep->n_pairs, 1);
        if (rep->pairs[0].view.loss_runs != 2 || rep->pairs[0].view.loss_run_longest != 89500 ||
            rep->pairs[0].flows[0].view.loss_runs != 2 || rep->pairs[0].view.loss_run_longest_s != 8950)
            fail_msg("%s: %llu runs, the longest of %llu probes and %g s", step ? "roll-ups" : "summaries",
                     (unsigned long long)rep->pairs[0].view.loss_runs,
                     (unsigned long long)rep->pairs[0].view.loss_run_longest,
                     rep->pairs[0].view.loss_run_longest_s);
        report_free(rep);
    }
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_direct_merge),
        cmocka_unit_test(flows_and_their_merge),
        cmocka_unit_test(loss_runs_are_joined),
        cmocka_unit_test(loss_runs_stay_joined),
        cmocka_unit_test(views_need_no_histograms),
        cmocka_unit_test(completeness),
        cmocka_unit_test(latest_takes_the_newest_end),
        cmocka_unit_test(latest_is_judged_by_its_time),
        cmocka_unit_test(what_is_left_is_said),
        cmocka_unit_test(selects_sorts_and_cuts),
        cmocka_unit_test(dropped_by_the_source),
        cmocka_unit_test(results_in_order_up_to_the_limit),
        cmocka_unit_test(results_are_bounded_in_memory),
        cmocka_unit_test(pages_of_text_are_all_rows_once),
        cmocka_unit_test(pages_of_a_report_are_of_one_list),
        cmocka_unit_test(busy_is_said_and_stopping_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
