/* Outages against a store of known loss runs. */
#include "tests/unit/controller/api_fixture.h"
#include "common/loss_runs.h"
#include "controller/outages.h"

#define T0 (INT64_C(1700000000) * TW_NS_PER_S) /* a multiple of the period */
#define AT(n) (T0 + (n)*FX_PERIOD)
#define NOW AT(100000)
#define SPACING (FX_PERIOD / 100)

struct got {
    bool done;
    struct outages *o;
    struct tw_err err;
};

static void on_outages(void *ctx, struct outages *o, const struct tw_err *err)
{
    struct got *g = ctx;

    g->done = true;
    g->o = o;
    if (err)
        g->err = *err;
}

static struct outages *query(struct fx *f, const struct report_filter *filter)
{
    struct got g = { 0 };

    FX_OK(outages_run(&f->inv, f->readers, filter, NOW, on_outages, &g));
    fx_run_until(f, &g.done, "outages");
    if (!g.o)
        fail_msg("outages: %s", g.err.text);
    return g.o;
}

/* Period n of a flow, of 100 probes, of which [from, to) were lost. */
static struct tw_summary period(const struct pair *p, uint32_t flow, int64_t n, uint32_t from, uint32_t to,
                                enum tw_direction d)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = p->row.id;
    s.flow = flow;
    s.generation = 1;
    s.start_ns = AT(n);
    s.end_ns = AT(n + 1);
    s.seq_first = (uint32_t)n * 100;
    s.sent = 100;
    s.lost_unknown = to - from;
    s.received = 100 - s.lost_unknown;
    s.status = summary_status(&s);
    if (to > from) {
        struct tw_loss_run r = { .start_ns = AT(n) + from * SPACING,
                                 .length_ns = (to - from) * SPACING,
                                 .probes = to - from,
                                 .seq_first = s.seq_first + from,
                                 .flow = flow,
                                 .direction = d,
                                 .continues_before = from == 0,
                                 .continues_after = to == 100 };
        s.loss_runs = 1;
        s.loss_run_longest = to - from;
        s.loss_run_longest_ns = r.length_ns;
        loss_runs_add(&s.runs, &r);
    }
    FX_OK(summary_validate(&s, &err));
    return s;
}

static void store(struct fx *f, const struct pair *p, uint32_t flow, int64_t n, uint32_t from, uint32_t to,
                  enum tw_direction d)
{
    struct tw_summary s = period(p, flow, n, from, to, d);

    fx_store(f, &s);
    summary_free(&s);
}

/* Periods [first, end), all lost, in one transaction. */
static void store_lost(struct fx *f, const struct pair *p, int64_t first, int64_t end)
{
    size_t n = (size_t)(end - first);
    struct tw_summary *rows = calloc(n, sizeof *rows);
    struct store_batch b = {
        .agent_id = f->agent_id, .spool_id = "spool", .first_seq = f->seq + 1, .rows = rows, .n = n
    };
    enum store_append_result res;
    uint64_t through;

    for (size_t i = 0; i < n; i++)
        rows[i] = period(p, 0, first + (int64_t)i, 0, 100, TW_UNKNOWN);
    FX_OK(store_begin(f->store, &err));
    FX_OK(store_append(f->store, &b, &res, &through, &err));
    FX_OK(store_commit(f->store, &err));
    assert_int_equal(res, STORE_APPENDED);
    f->seq += n;
    for (size_t i = 0; i < n; i++)
        summary_free(&rows[i]);
    free(rows);
}

static const char *show(const struct outages *o, char *buf)
{
    *buf = 0;
    for (size_t i = 0; i < o->n; i++) {
        const struct outage *g = &o->v[i];
        sprintf(buf + strlen(buf), "%s%s.%u@%lld+%lld:%llu %s%s; ", g->start_known ? "" : "<", g->pair.target,
                g->run.flow, (long long)((g->run.start_ns - T0) / SPACING),
                (long long)(g->run.length_ns / SPACING), (unsigned long long)g->run.probes,
                tw_direction_name(g->run.direction), g->ongoing ? " ongoing" : "");
    }
    if (o->truncated)
        strcat(buf, "more");
    return buf;
}

static void fill(struct fx *f)
{
    struct pair *fra = fx_pair(f, "m", "voice", "ams", "fra", 2, AT(0)),
                *ber = fx_pair(f, "m", "voice", "ams", "ber", 1, AT(0)),
                *old = fx_pair(f, "m", "voice", "ams", "old", 1, 0);

    store(f, fra, 0, 0, 10, 12, TW_BACKWARD);
    store(f, fra, 0, 1, 90, 100, TW_UNKNOWN); /* over two boundaries */
    store(f, fra, 0, 2, 0, 100, TW_UNKNOWN);
    store(f, fra, 0, 3, 0, 5, TW_FORWARD);
    store(f, fra, 1, 1, 95, 100, TW_MIXED); /* the other flow at the same time, for itself */
    store(f, fra, 1, 2, 0, 1, TW_MIXED);
    store(f, fra, 0, 4, 50, 100, TW_UNKNOWN); /* ends at the boundary: nothing is lost after it */
    store(f, fra, 0, 5, 0, 0, TW_UNKNOWN);
    store(f, ber, 0, 5, 20, 100, TW_UNKNOWN); /* goes on */
    store(f, ber, 0, 6, 0, 100, TW_UNKNOWN);
    store(f, old, 0, 6, 30, 100, TW_UNKNOWN); /* not scheduled any more */
}

static const struct {
    const char *name;
    struct report_filter filter;
    const char *want;
} rows[] = {
    { "all",
      { .from_ns = AT(0), .to_ns = AT(10) },
      "old.0@630+70:70 unknown; ber.0@520+180:180 unknown ongoing; fra.0@450+50:50 unknown; "
      "fra.1@195+6:6 mixed; fra.0@190+115:115 forward; fra.0@10+2:2 backward; " },
    { "whole, though the span cuts them",
      { .from_ns = AT(2) + 10 * SPACING, .to_ns = AT(2) + 20 * SPACING },
      "fra.0@190+115:115 forward; " },
    { "those that reach in from before, and out of it",
      { .from_ns = AT(3), .to_ns = AT(5) + 50 * SPACING },
      "ber.0@520+180:180 unknown ongoing; fra.0@450+50:50 unknown; fra.0@190+115:115 forward; " },
    { "of a target",
      { .from_ns = AT(0), .to_ns = AT(10), .target = "ber" },
      "ber.0@520+180:180 unknown ongoing; " },
    { "of a direction",
      { .from_ns = AT(0), .to_ns = AT(10), .by_direction = true, .direction = TW_FORWARD },
      "fra.0@190+115:115 forward; " },
    { "long ones",
      { .from_ns = AT(0), .to_ns = AT(10), .min_duration_ns = 115 * SPACING },
      "ber.0@520+180:180 unknown ongoing; fra.0@190+115:115 forward; " },
    { "of many probes",
      { .from_ns = AT(0), .to_ns = AT(10), .min_probes = 116 },
      "ber.0@520+180:180 unknown ongoing; " },
    { "the newest three",
      { .from_ns = AT(0), .to_ns = AT(10), .limit = 3 },
      "old.0@630+70:70 unknown; ber.0@520+180:180 unknown ongoing; fra.0@450+50:50 unknown; more" },
    { "the next page",
      { .from_ns = AT(0), .to_ns = AT(0) + 450 * SPACING, .limit = 3 },
      "fra.1@195+6:6 mixed; fra.0@190+115:115 forward; fra.0@10+2:2 backward; " },
    { "before all", { .from_ns = AT(-10), .to_ns = AT(0) }, "" },
};

static void parts_are_joined_and_filtered(void **state)
{
    struct fx *f = fx_new(2, 10);

    (void)state;
    fill(f);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct outages *o = query(f, &rows[i].filter);
        char text[2048];
        if (strcmp(show(o, text), rows[i].want) != 0)
            fail_msg("%s: %s\nexpected: %s", rows[i].name, text, rows[i].want);
        assert_true(o->from_ns == rows[i].filter.from_ns && o->to_ns == rows[i].filter.to_ns);
        outages_free(o);
    }
    fx_free(f);
}

/* Hours of nothing: the begin is looked for, and the end. */
static void long_ones_are_whole(void **state)
{
    struct report_filter filter = { .from_ns = AT(1500), .to_ns = AT(1501) };
    struct fx *f = fx_new(2, 10);
    struct pair *p = fx_pair(f, "m", "voice", "ams", "fra", 1, AT(0));
    struct outages *o;
    char text[2048];

    (void)state;
    store(f, p, 0, 0, 50, 100, TW_UNKNOWN);
    store_lost(f, p, 1, 3000);
    store(f, p, 0, 3000, 0, 1, TW_BACKWARD);
    o = query(f, &filter);
    assert_string_equal(show(o, text), "fra.0@50+299951:299951 backward; ");
    outages_free(o);
    fx_free(f);
}

static void a_begin_that_is_gone_is_told(void **state)
{
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(10) };
    struct fx *f = fx_new(2, 10);
    struct pair *p = fx_pair(f, "m", "voice", "ams", "fra", 1, AT(0));
    struct outages *o;
    char text[2048];

    (void)state;
    store(f, p, 0, 5, 0, 7, TW_FORWARD); /* the period before was dropped */
    o = query(f, &filter);
    assert_string_equal(show(o, text), "<fra.0@500+7:7 forward; ");
    outages_free(o);
    fx_free(f);
}

static void wrong_filters_are_refused(void **state)
{
    struct report_filter wrong = { .from_ns = AT(2), .to_ns = AT(1) };
    struct fx *f = fx_new(2, 10);
    struct got g = { 0 };

    (void)state;
    assert_int_equal(outages_run(&f->inv, f->readers, &wrong, NOW, on_outages, &g), TW_EINVAL);
    assert_false(g.done);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_are_joined_and_filtered),
        cmocka_unit_test(long_ones_are_whole),
        cmocka_unit_test(a_begin_that_is_gone_is_told),
        cmocka_unit_test(wrong_filters_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
