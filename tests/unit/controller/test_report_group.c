/* Groups, the worst, another span beside, and objectives, against a store of known summaries. */
#include "tests/unit/controller/api_fixture.h"
#include <locale.h>
#include <time.h>
#include "common/unavail.h"
#include "controller/http/report_text.h"
#include "controller/report_sla.h"

#define T0 (INT64_C(1700000000) * TW_NS_PER_S) /* a multiple of the period */
#define AT(n) (T0 + (n)*FX_PERIOD)
#define NOW AT(1000)

struct got {
    bool done;
    struct report *rep;
    struct sla_report *sla;
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

static struct report *run_report(struct fx *f, const struct report_filter *filter)
{
    struct got g = { 0 };

    FX_OK(report_run(&f->inv, NULL, f->readers, filter, NOW, on_report, &g));
    fx_run_until(f, &g.done, "report");
    if (!g.rep)
        fail_msg("report: %s", g.err.text);
    return g.rep;
}

/* Of 100 probes so many are lost; one window, unavailable if all of them are. */
static void put(struct fx *f, const struct pair *p, int64_t n, uint64_t lost)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = p->row.id;
    s.start_ns = AT(n);
    s.end_ns = AT(n + 1);
    s.sent = 100;
    s.lost_forward = lost;
    s.received = 100 - lost;
    s.status = summary_status(&s);
    for (uint64_t i = 0; i < s.received; i++)
        hist_add(&s.delay[TW_ROUNDTRIP], (int64_t)(10 + i % 10) * TW_NS_PER_MS);
    s.windows_available = lost < 100;
    s.windows_unavailable = lost == 100;
    if (lost == 100)
        unavail_add(&s.unavailable, &(struct tw_unavail_run){ s.start_ns, s.end_ns, 1, 0 });
    fx_store(f, &s);
    summary_free(&s);
}

struct rig {
    struct fx *f;
    struct pair *af, *ab, *fb;
    struct agent ams, fra;
};

static struct tw_label site_a = { "site", "north" }, site_f = { "site", "south" };

static void add_agent(struct fx *f, struct agent *a, const char *name, struct tw_label *label)
{
    strcpy(a->row.name, name);
    a->labels = label;
    a->n_labels = 1;
    HASH_ADD_STR(f->inv.agents, row.name, a);
}

/* ams > fra (voice), ams > ber (data), fra > ber (voice): 1, 20 and 5 of 100 lost in each of ten periods. */
static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);

    r->f = fx_new(2, 10);
    r->af = fx_pair(r->f, "m", "voice", "ams", "fra", 1, AT(0));
    r->ab = fx_pair(r->f, "m", "data", "ams", "ber", 1, AT(0));
    r->fb = fx_pair(r->f, "n", "voice", "fra", "ber", 1, AT(0));
    add_agent(r->f, &r->ams, "ams", &site_a);
    add_agent(r->f, &r->fra, "fra", &site_f);
    for (int64_t n = 0; n < 10; n++) {
        put(r->f, r->af, n, 1);
        put(r->f, r->ab, n, 20);
        put(r->f, r->fb, n, 5);
    }
    return r;
}

static void rig_free(struct rig *r)
{
    HASH_CLEAR(hh, r->f->inv.agents);
    fx_free(r->f);
    free(r);
}

/* ---- Groups ---- */

static const struct {
    const char *by, *shown; /* key:pairs:sent:lost */
} groups[] = {
    { "source", "ams:2:2000:210 fra:1:1000:50 " },
    { "target", "ber:2:2000:250 fra:1:1000:10 " },
    { "agent", "ams:2:2000:210 fra:2:2000:60 " }, /* ams > fra is of both; ber is none */
    { "mesh", "m:2:2000:210 n:1:1000:50 " },
    { "class", "data:1:1000:200 voice:2:2000:60 " },
    { "label:site", "north:2:2000:210 south:1:1000:50 " },
    { "label:none", ":3:3000:260 " },
};

static void groups_have_the_numbers_of_their_pairs(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (size_t i = 0; i < TW_NELEM(groups); i++) {
        struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(10) };
        struct report *rep;
        char text[512] = "";

        strcpy(filter.group_by, groups[i].by);
        rep = run_report(r->f, &filter);
        for (size_t k = 0; k < rep->n_groups; k++) {
            const struct report_group *g = &rep->groups[k];
            sprintf(text + strlen(text), "%s:%llu:%llu:%llu ", g->key, (unsigned long long)g->pairs,
                    (unsigned long long)g->view.sent, (unsigned long long)g->view.lost);
            assert_int_equal(g->view.delay[TW_ROUNDTRIP].count, g->view.received);
            assert_int_equal(g->periods_stored, 10 * g->pairs);
            assert_true(g->completeness_ratio.known && g->completeness_ratio.value == 1);
            assert_true(g->view.availability_ratio.value == 1);
        }
        if (strcmp(text, groups[i].shown) != 0)
            fail_msg("%s: %s", groups[i].by, text);
        report_free(rep);
    }
    rig_free(r);
}

static void many_groups(void **state)
{
    struct fx *f = fx_new(2, 10);
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(1), .group_by = "source" };
    struct report *rep;
    char name[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        struct pair *p;
        sprintf(name, "a%02d", i * 37 % 100);
        p = fx_pair(f, "m", "c", name, "t", 1, AT(0));
        put(f, p, 0, (uint64_t)(i * 37 % 100));
    }
    rep = run_report(f, &filter);
    assert_int_equal(rep->n_groups, 100);
    for (uint64_t i = 0; i < 100; i++) {
        sprintf(name, "a%02d", (int)i);
        assert_string_equal(rep->groups[i].key, name);
        assert_int_equal(rep->groups[i].view.lost, i);
    }
    report_free(rep);
    fx_free(f);
}

/* ---- The worst ---- */

static const struct {
    const char *sort, *by;
    uint32_t top;
    const char *shown;
} tops[] = {
    { "loss_ratio", "", 0, "data>ber voice>ber voice>fra " },
    { "loss_ratio", "", 2, "data>ber voice>ber " },
    { "received", "", 1, "data>ber " }, /* the fewest */
    { "mos_g711", "", 1, "data>ber " },
    { "loss_ratio", "mesh", 1, "m " },
    { "availability_ratio", "class", 0, "data voice " }, /* equal: by name */
};

static void the_worst_come_first(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (size_t i = 0; i < TW_NELEM(tops); i++) {
        struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(10), .top = tops[i].top };
        struct report *rep;
        char text[512] = "";

        strcpy(filter.sort_by, tops[i].sort);
        strcpy(filter.group_by, tops[i].by);
        rep = run_report(r->f, &filter);
        for (size_t k = 0; k < rep->n_groups; k++)
            sprintf(text + strlen(text), "%s ", rep->groups[k].key);
        for (size_t k = 0; !rep->groups && k < rep->n_pairs; k++)
            sprintf(text + strlen(text), "%s>%s ", rep->pairs[k].pair.class_name, rep->pairs[k].pair.target);
        if (strcmp(text, tops[i].shown) != 0)
            fail_msg("%s %s: %s", tops[i].sort, tops[i].by, text);
        report_free(rep);
    }
    rig_free(r);
}

static void nonsense_is_refused_by_name(void **state)
{
    static const struct {
        struct report_filter f;
        const char *why;
    } rows[] = {
        { { .group_by = "colour" }, "expected pair, source" },
        { { .group_by = "label:" }, "expected pair, source" },
        { { .sort_by = "speed" }, "\"speed\" is no number" },
        { { .sort_by = "tx_source" }, "is no number" },
        { { .group_by = "mesh", .flows = true }, "flows are of pairs" },
        { { .before_from_ns = 5, .before_to_ns = 5 }, "before_from" },
        { { .before_from_ns = 5 }, "before_from" },
        { { .latest = true, .before_from_ns = 5, .before_to_ns = 6 }, "no other span" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct report_filter f = rows[i].f;
        struct tw_err err = { 0 };
        if (report_filter_resolve(&f, NOW, &err) != TW_EINVAL || !strstr(err.text, rows[i].why))
            fail_msg("row %zu: %s", i, err.text);
    }
}

/* ---- Two spans ---- */

static void another_span_stands_beside(void **state)
{
    struct rig *r = rig_new();
    struct report_filter filter = { .from_ns = AT(10), .to_ns = AT(12), .before_from_ns = AT(0), .before_to_ns = AT(10) };
    struct report *rep;

    (void)state;
    put(r->f, r->af, 10, 50);
    put(r->f, r->af, 11, 50);
    rep = run_report(r->f, &filter);
    assert_int_equal(rep->n_pairs, 3);
    for (size_t i = 0; i < 3; i++) { /* in order: data ams > ber, voice ams > fra, n voice fra > ber */
        const struct report_pair *p = &rep->pairs[i];
        assert_non_null(p->before);
        assert_int_equal(p->before->pair.id, p->pair.id);
        assert_int_equal(p->before->view.sent, 1000);
        assert_int_equal(p->view.sent, p->pair.id == r->af->row.id ? 200 : 0);
        if (p->pair.id == r->af->row.id)
            assert_true(p->view.loss_ratio.value == 0.5 && p->before->view.loss_ratio.value == 0.01);
    }
    assert_true(rep->before->from_ns == AT(0) && rep->before->to_ns == AT(10));
    report_free(rep);

    strcpy(filter.group_by, "source");
    strcpy(filter.sort_by, "loss_ratio");
    filter.top = 1;
    rep = run_report(r->f, &filter);
    assert_int_equal(rep->n_groups, 1);
    assert_string_equal(rep->groups[0].key, "ams");
    assert_int_equal(rep->groups[0].before->view.lost, 210);
    report_free(rep);
    rig_free(r);
}

/* ---- Texts ---- */

static bool ends_line_with(const char *text, const char *end)
{
    const char *nl = strchr(text, '\n');

    return nl && (size_t)(nl - text) >= strlen(end) && !strncmp(nl - strlen(end), end, strlen(end));
}

/* A name that is a tag, a cell's end, and a formula of quotes and commas. */
static void hostile_names(void **state)
{
    static const char name[] = "<script>alert('x')</script>&\",\n=1";
    struct fx *f = fx_new(2, 10);
    struct report_filter filter = { .from_ns = AT(0), .to_ns = AT(1) };
    struct report *rep;
    char *html, *csv, *lines;
    size_t len;

    (void)state;
    put(f, fx_pair(f, "m", "c", name, "t", 1, AT(0)), 0, 0);
    rep = run_report(f, &filter);
    html = report_html(rep, "", false, &len);
    assert_true(html && strlen(html) == len);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http:"));
    assert_null(strstr(html, "https:"));
    assert_null(strstr(html, " src="));
    assert_non_null(strstr(html, "&#60;script&#62;alert(&#39;x&#39;)&#60;/script&#62;&#38;&#34;,?=1"));
    csv = report_csv(rep, false, &len);
    assert_non_null(strstr(csv, "\nm,c,\"<script>alert('x')</script>&\"\",\n=1\",t,"));
    lines = report_ndjson(rep, false, &len);
    assert_true(strchr(lines, '\n') == lines + len - 1); /* one row, one line */
    free(html);
    free(csv);
    free(lines);
    report_free(rep);

    strcpy(filter.group_by, "source");
    rep = run_report(f, &filter);
    html = report_html(rep, "source", false, &len);
    assert_null(strstr(html, "<script"));
    csv = report_csv(rep, false, &len);
    assert_true(!strncmp(csv, "key,pairs,status,", 17) && ends_line_with(csv, ",mos_g729a"));
    free(html);
    free(csv);
    report_free(rep);
    fx_free(f);
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

/* A page is made as a whole: it has an end, and says what to do about it. */
static void html_is_bounded(void **state)
{
    struct report rep = { .n_pairs = REPORT_HTML_ROWS + 1 };
    char *html;
    size_t len;

    (void)state;
    rep.pairs = calloc(rep.n_pairs, sizeof *rep.pairs);
    assert_non_null(rep.pairs);
    for (size_t i = 0; i < rep.n_pairs; i++)
        rep.pairs[i].pair =
            (struct store_pair){ .mesh = "m", .class_name = "c", .source = "s", .target = "t" };
    html = report_html(&rep, "", false, &len);
    assert_int_equal(count_of(html, "<tr><td>m / c: s"), REPORT_HTML_ROWS);
    assert_non_null(strstr(html, "narrow it with mesh, class, source or target"));
    free(html);
    rep.n_pairs = REPORT_HTML_ROWS;
    html = report_html(&rep, "", false, &len);
    assert_int_equal(count_of(html, "<tr><td>m / c: s"), REPORT_HTML_ROWS);
    assert_null(strstr(html, "narrow it"));
    free(html);
    free(rep.pairs);
}

/* ---- Objectives ---- */

static void on_sla(void *ctx, struct sla_report *rep, const struct tw_err *err)
{
    struct got *g = ctx;

    g->done = true;
    g->sla = rep;
    if (err)
        g->err = *err;
}

static struct sla_report *run_sla(struct fx *f, int64_t from, int64_t to, uint32_t limit, uint32_t skip)
{
    struct report_filter filter = { .from_ns = AT(from), .to_ns = AT(to), .limit = limit };
    struct sla_objectives o = { .common = { { true, true, false, true }, { 0.9, 0.1, 0, 0.1 } } };
    struct got g = { 0 };

    FX_OK(sla_span(&filter, NOW, &err));
    FX_OK(sla_run(&f->inv, f->readers, &filter, skip, &o, on_sla, &g));
    fx_run_until(f, &g.done, "sla");
    if (!g.sla)
        fail_msg("sla: %s", g.err.text);
    return g.sla;
}

/* All of it that anybody sees, in one text. */
static void show_sla(const struct sla_report *r, int digits, char *text)
{
    *text = '\0';
    for (size_t i = 0; i < r->n_pairs; i++) {
        const struct sla_pair *p = &r->pairs[i];
        text += sprintf(text, "%s/%s %s>%s %s %llu/%llu", p->pair.mesh, p->pair.class_name, p->pair.source, p->pair.target,
                        sla_verdict_name(p->verdict), (unsigned long long)p->periods_stored,
                        (unsigned long long)p->periods_expected);
        for (size_t k = 0; k < p->n_results; k++)
            text += sprintf(text, " %s=%.*g:%s:%.*g", sla_kind_name(p->results[k].kind), digits,
                            p->results[k].achieved.value, sla_verdict_name(p->results[k].verdict), digits + 1,
                            p->results[k].left);
        for (size_t k = 0; k < p->n_outages; k++)
            text += sprintf(text, " [%lld+%lld]", (long long)((p->outages[k].start_ns - T0) / FX_PERIOD),
                            (long long)((p->outages[k].end_ns - p->outages[k].start_ns) / FX_PERIOD));
        for (size_t k = 0; k < p->maintenance.n; k++)
            text += sprintf(text, " {%lld-%lld}", (long long)((p->maintenance.v[k].from_ns - T0) / FX_PERIOD),
                            (long long)((p->maintenance.v[k].to_ns - T0) / FX_PERIOD));
        text += sprintf(text, "%s\n", p->inexact ? " inexact" : "");
    }
}

/* ams > fra is down in periods 10 to 14 and 17, of which 12 and 13, and a part of 14, are maintenance of fra. */
static void maintenance_is_left_out(void **state)
{
    struct rig *r = rig_new();
    const struct store_time said = { AT(12), AT(14) + 1 };
    struct sla_report *rep;
    char text[4096];

    (void)state;
    for (int64_t n = 10; n < 20; n++)
        put(r->f, r->af, n, n < 15 || n == 17 ? 100 : 0);
    rep = run_sla(r->f, 0, 20, 1, 1);
    show_sla(rep, 2, text);
    assert_string_equal(text, "m/voice ams>fra missed 20/20 availability=0.7:missed:-4 loss=0.3:missed:-410 "
                              "p99=0.019:met:13.9 [10+5] [17+1]\n");
    assert_true(rep->truncated && rep->next == 2);
    sla_report_free(rep);

    FX_OK(store_put_maintenance(r->f->store, "fra", AT(2), &said, 1, &err));
    rep = run_sla(r->f, 0, 20, 1, 1);
    show_sla(rep, 2, text);
    /* Periods 12 to 14 do not count: 14 of 17 windows. */
    assert_non_null(strstr(text, "missed 17/17 "));
    assert_non_null(strstr(text, " [10+2] [17+1] {12-14}\n"));
    assert_int_equal(rep->pairs[0].view.windows_available, 14);
    assert_int_equal(rep->pairs[0].view.windows_unavailable, 3);
    sla_report_free(rep);
    rig_free(r);
}

static void the_same_again_and_elsewhere(void **state)
{
    static const char *const zones[] = { "UTC", "Asia/Kathmandu", "America/St_Johns" };
    struct rig *r = rig_new();
    char first[4096], text[4096];
    struct sla_report *rep;

    (void)state;
    put(r->f, r->ab, 11, 100);
    rep = run_sla(r->f, 0, 20, 0, 0);
    assert_int_equal(rep->n_pairs, 3);
    assert_int_equal(rep->verdicts[SLA_MET] + rep->verdicts[SLA_MISSED] + rep->verdicts[SLA_UNKNOWN], 3);
    show_sla(rep, 17, first);
    sla_report_free(rep);
    for (size_t i = 0; i < TW_NELEM(zones); i++) {
        struct tw_err err = { 0 };
        setenv("TZ", zones[i], 1);
        tzset();
        setlocale(LC_ALL, "C.UTF-8");
        /* After a restart of the controller: other readers, the store opened anew. */
        reader_pool_stop(r->f->readers);
        store_close(r->f->store);
        if (store_open(r->f->path, &r->f->store, &err) ||
            reader_pool_start(r->f->loop, &(struct store_where){ .control = r->f->path }, 2, 10,
                              &r->f->readers, &err))
            fail_msg("%s", err.text);
        rep = run_sla(r->f, 0, 20, 0, 0);
        show_sla(rep, 17, text);
        assert_string_equal(text, first);
        sla_report_free(rep);
    }
    rig_free(r);
}

static void put_generation(struct fx *f, uint64_t number, int64_t n, const char *maintenance)
{
    char document[512];
    struct store_mesh m = { .name = "m", .document = document, .generation = number, .author = "eve" };
    struct store_generation g = {
        .number = number, .time_ns = AT(n), .author = "eve", .what = "apply m", .reason = ""
    };

    snprintf(document, sizeof document, "mesh: m\ntopology: full\nmembers: [ams, fra]\nclasses: { voice: {} }\n%s", maintenance);
    FX_OK(store_begin(f->store, &err));
    FX_OK(store_put_mesh(f->store, &m, &err));
    FX_OK(store_put_generation(f->store, &g, &err));
    FX_OK(store_commit(f->store, &err));
}

/* The document said for a while that 22:14 to 22:16 (periods 4 to 16) is maintenance: from period 6 to 12. What it says now does not count. */
static void maintenance_is_that_of_its_time(void **state)
{
    static const char dated[] = "maintenance:\n  - { from: \"2023-11-14 22:14\", to: \"2023-11-14 22:16\", reason: x }\n";
    struct rig *r = rig_new();
    struct sla_report *rep;
    char first[4096], text[4096];

    (void)state;
    for (int64_t n = 10; n < 20; n++)
        put(r->f, r->af, n, 0);
    put_generation(r->f, 1, -100, "");
    put_generation(r->f, 2, 6, dated);
    put_generation(r->f, 3, 12, "");
    rep = run_sla(r->f, 0, 20, 1, 1);
    show_sla(rep, 17, first);
    if (!strstr(first, " 14/14 ") || !strstr(first, " {6-12}\n"))
        fail_msg("%s", first);
    sla_report_free(rep);
    put_generation(r->f, 4, 30, dated); /* later: nothing of the span */
    rep = run_sla(r->f, 0, 20, 1, 1);
    show_sla(rep, 17, text);
    assert_string_equal(text, first);
    sla_report_free(rep);
    rep = run_sla(r->f, 7, 11, 1, 1); /* all of it */
    assert_int_equal(rep->pairs[0].counted.n, 0);
    sla_report_free(rep);
    rig_free(r);
}

/* The same octets before summaries are rolled up, after it, and once only roll-ups are left. */
static void the_same_of_rollups(void **state)
{
    struct rig *r = rig_new();
    struct store_retention keep = { .now_ns = AT(5 * 8640),
                                    .keep.ns = { 8640 * FX_PERIOD, 40 * 8640 * FX_PERIOD, 40 * 8640 * FX_PERIOD,
                                                 40 * 8640 * FX_PERIOD, 40 * 8640 * FX_PERIOD } };
    char first[4096], text[4096];
    struct sla_report *rep;
    bool more = true;

    (void)state;
    for (int64_t n = 10; n < 22; n++) /* 22:13:20 to 22:17 */
        put(r->f, r->af, n, n == 11 || n == 12 ? 100 : 0);
    for (int step = 0; step < 3; step++) {
        while (step == 1 && more)
            FX_OK(store_rollup(r->f->store, AT(100000), 1000, &more, &err));
        for (more = true; step == 2 && more;)
            FX_OK(store_retain(r->f->store, &keep, &more, &err));
        rep = run_sla(r->f, -2, 22, 1, 1); /* whole minutes: 22:13 to 22:17 */
        show_sla(rep, 17, step ? text : first);
        if (step)
            assert_string_equal(text, first);
        sla_report_free(rep);
    }
    assert_non_null(strstr(first, " 22/22 "));
    assert_null(strstr(first, "inexact"));
    rig_free(r);
}

static void a_span_must_be_over(void **state)
{
    struct report_filter f = { .from_ns = AT(0), .to_ns = NOW + 1 }, dflt = { 0 };
    struct tw_err err = { 0 };

    (void)state;
    assert_int_equal(sla_span(&f, NOW, &err), TW_EINVAL);
    assert_non_null(strstr(err.text, "not over"));
    assert_int_equal(sla_span(&dflt, NOW, &err), TW_OK);
    assert_true(dflt.to_ns % (86400 * TW_NS_PER_S) == 0 && dflt.to_ns <= NOW);
    assert_true(dflt.to_ns - dflt.from_ns == 30 * 86400 * TW_NS_PER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(groups_have_the_numbers_of_their_pairs),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(the_worst_come_first),
        cmocka_unit_test(nonsense_is_refused_by_name),
        cmocka_unit_test(another_span_stands_beside),
        cmocka_unit_test(hostile_names),
        cmocka_unit_test(html_is_bounded),
        cmocka_unit_test(maintenance_is_left_out),
        cmocka_unit_test(the_same_again_and_elsewhere),
        cmocka_unit_test(maintenance_is_that_of_its_time),
        cmocka_unit_test(the_same_of_rollups),
        cmocka_unit_test(a_span_must_be_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
