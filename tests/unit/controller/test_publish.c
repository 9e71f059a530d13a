/* Live state and the metrics pages made of it. */
#include "tests/unit/controller/http_get.h"
#include <stdatomic.h>
#include "common/loss_runs.h"
#include "controller/publish_copy.h"
#include "controller/report.h"

struct rig {
    struct fx *f;
    struct publish *publish;
    struct httpd *httpd;
    unsigned snapshots; /* taken: self() is called once for each */
    int64_t start_ns;   /* of the latest whole period that has ended */
};

static size_t self(void *ctx, struct metrics_self *rows, size_t cap)
{
    struct rig *r = ctx;

    assert_true(cap >= 1);
    r->snapshots++;
    rows[0] = (struct metrics_self){
        .name = "twamp_test_snapshots_total", .help = "Snapshots.", .type = "counter", .value = r->snapshots
    };
    return 1;
}

static void serve(void *ctx, struct http_req *rq)
{
    struct rig *r = ctx;

    publish_answer(r->publish, rq, METRICS_DEFAULT | METRICS_SITE, http_query(rq, "mesh"),
                   http_query(rq, "pb") ? PUBLISH_PROTOBUF : PUBLISH_TEXT);
}

/* All ends after the first slice of the copy. */
static void serve_and_end(void *ctx, struct http_req *rq)
{
    struct publish *p = ((struct rig *)ctx)->publish;

    publish_answer(p, rq, METRICS_DEFAULT, NULL, PUBLISH_TEXT);
    assert_non_null(p->copying);
    p->copy_task.fn(&p->copy_task);
    assert_non_null(p->copying);
    publish_free_pages(p);
    assert_null(p->copying);
}

static const struct http_route routes[] = { { .path = "/metrics", .help = "", .fn = serve },
                                            { .path = "/end", .help = "", .fn = serve_and_end } };

static struct rig *rig_new(int64_t page_interval_ns)
{
    struct rig *r = calloc(1, sizeof *r);
    struct publish_conf pc = {
        .self = self, .self_ctx = r, .page_interval_ns = page_interval_ns, .native_buckets = 160
    };
    struct httpd_conf hc = {
        .address = "127.0.0.1:0", .routes = routes, .n_routes = TW_NELEM(routes), .ctx = r
    };

    r->f = fx_new(1, 20);
    pc.loop = hc.loop = r->f->loop;
    pc.inventory = &r->f->inv;
    pc.readers = r->f->readers;
    r->start_ns = (tw_wall_now().ns / FX_PERIOD - 1) * FX_PERIOD;
    FX_OK(publish_new(&pc, &r->publish));
    FX_OK(httpd_start(&hc, &r->httpd, &err));
    return r;
}

static void rig_free(struct rig *r)
{
    httpd_stop(r->httpd);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    publish_free(r->publish);
    fx_free(r->f);
    free(r);
}

static char *page(struct rig *r, const char *target)
{
    struct get g;

    get_start(&g, r->f->loop, httpd_port(r->httpd), target);
    get_await(&g, r->f);
    if (g.status != 200)
        fail_msg("%s: %.300s", target, g.text);
    return g.text;
}

/* The value behind "NAME{LABELS} "; NAN without such a line. */
static double sample(const char *text, const char *name_and_labels)
{
    const char *at = strstr(text, name_and_labels);

    return at ? strtod(at + strlen(name_and_labels), NULL) : __builtin_nan("");
}

static void expect(const char *text, const char *name_and_labels, double value)
{
    double is = sample(text, name_and_labels);

    if (!(is == value))
        fail_msg("%s is %.17g, expected %.17g in:\n%.4000s", name_and_labels, is, value, text);
}

static void absent(const char *text, const char *what)
{
    const char *at = strstr(text, what);

    if (at)
        fail_msg("%s is there: %.200s", what, at);
}

static void publish_period(struct rig *r, struct pair *p, uint32_t flow, int64_t start_ns,
                           struct tw_summary *direct)
{
    struct tw_summary s = fx_summary(r->f, p, flow, start_ns);

    fx_store(r->f, &s);
    publish_summary(r->publish, p, &s);
    if (direct)
        summary_merge(direct, &s);
    summary_free(&s);
}

struct got {
    bool done;
    struct report *rep;
};

static void on_report(void *ctx, struct report *rep, const struct tw_err *err)
{
    struct got *g = ctx;

    if (err)
        fail_msg("report: %s", err->text);
    g->done = true;
    g->rep = rep;
}

static uint64_t count_of(const struct hist *h)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < h->n; i++)
        n += hist_bucket(h, i).count;
    return n;
}

/* ---- Tests ---- */

static void native_histograms_have_a_cap(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "voice", "ams", "fra", 1, r->start_ns - 100 * FX_PERIOD);
    uint64_t delays = 0;

    (void)state;
    r->publish->conf.native_buckets = 8;
    for (int i = 0; i < 20; i++) {
        struct tw_summary s = fx_summary(r->f, p, 0, r->start_ns);

        for (int k = 0; k < 1000; k++)
            hist_add(&s.delay[TW_ROUNDTRIP], (1 + k) * TW_NS_PER_MS / (1 + i));
        delays += s.delay[TW_ROUNDTRIP].count;
        publish_summary(r->publish, p, &s);
        summary_free(&s);
    }
    assert_true(p->live->delay[TW_ROUNDTRIP].n <= 8 && p->live->delay[TW_ROUNDTRIP].n > 3);
    assert_int_equal(count_of(&p->live->delay[TW_ROUNDTRIP]), delays);
    for (enum group_by by = 0; by < GROUP_KINDS; by++)
        assert_int_equal(count_of(&r->publish->groups[by]->delay[TW_ROUNDTRIP]), delays);
    publish_set_native_buckets(r->publish, 0); /* nothing is kept, and nothing is left to go on from */
    publish_period(r, p, 0, r->start_ns + FX_PERIOD, NULL);
    assert_int_equal(count_of(&p->live->delay[TW_ROUNDTRIP]), 0);
    for (enum group_by by = 0; by < GROUP_KINDS; by++)
        assert_int_equal(count_of(&r->publish->groups[by]->delay[TW_ROUNDTRIP]), 0);
    publish_set_native_buckets(r->publish, 4);
    publish_period(r, p, 0, r->start_ns + 2 * FX_PERIOD, NULL);
    assert_true(count_of(&p->live->delay[TW_ROUNDTRIP]) > 0 && p->live->delay[TW_ROUNDTRIP].n <= 4);
    rig_free(r);
}

static void sites_are_groups(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "voice", "ams", "fra", 1, r->start_ns - 100 * FX_PERIOD);
    char *text;

    (void)state;
    publish_period(r, p, 0, r->start_ns, NULL);
    text = page(r, "/metrics");
    /* neither is an agent with the label */
#define SITES "{mesh=\"m\",class=\"voice\",source_site=\"\",target_site=\"\"} "
    expect(text, "twamp_site_pairs" SITES, 1);
    expect(text, "twamp_site_probes_sent_total" SITES, (double)p->live->n.sent);
    free(text);
    rig_free(r);
}

/* Both ways between two agents, of which the first is here; the caller frees it. */
static char *page_of_two(bool shared)
{
    struct rig *r = rig_new(1);
    struct store_agent rows[] = { { .id = 1, .name = "ams", .approved = true },
                                  { .id = 2, .name = "fra", .approved = true } };
    struct pair *p;
    char *text;

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        assert_non_null(inventory_add_agent(&r->f->inv, &rows[i]));
    inventory_agent(&r->f->inv, "ams")->ours = true;
    p = fx_pair(r->f, "m", "voice", "ams", "fra", 1, r->start_ns - 100 * FX_PERIOD);
    fx_pair(r->f, "m", "voice", "fra", "ams", 1, r->start_ns - 100 * FX_PERIOD);
    publish_period(r, p, 0, r->start_ns, NULL);
    r->publish->conf.shared = shared;
    text = page(r, "/metrics?level=pair,agent,fleet");
    rig_free(r);
    return text;
}

/* Of several controllers each shows what its own agents measure, and no two the same. */
static void each_controller_shows_its_own(void **state)
{
    static const char *const here[] = { "source=\"ams\",target=\"fra\"", "twamp_agent_up{agent=\"ams\"}" };
    static const char *const there[] = { "source=\"fra\",target=\"ams\"", "twamp_agent_up{agent=\"fra\"}" };
    char *alone = page_of_two(false), *shared = page_of_two(true);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(here); i++) {
        assert_non_null(strstr(alone, here[i]));
        assert_non_null(strstr(alone, there[i])); /* also what nothing comes of */
        assert_non_null(strstr(shared, here[i]));
        assert_null(strstr(shared, there[i]));
    }
    free(alone);
    free(shared);
}

static void lateness(void **state)
{
    struct late_table t = { 0 };
    struct hist early, late;
    struct tw_num p99, max;
    const struct tw_mono start = { 1000 * TW_NS_PER_S };
    const struct {
        int64_t at_s;
        double max_s; /* 0: not known */
    } cases[] = { { 1, 0.002 },
                  { 59, 0.002 },
                  { 61, 0.002 }, /* kept, though nothing has turned the window */
                  { 119, 0.002 },
                  { 121, 0 } };

    (void)state;
    hist_init(&early);
    hist_init(&late);
    hist_add(&early, 50 * TW_NS_PER_US);
    hist_add(&late, 2 * TW_NS_PER_MS);
    late_of(&t, "a", start, &p99, &max);
    assert_false(p99.known || max.known);
    for (int i = 0; i < 1000; i++)
        late_add(&t, "a", &early, TW_NS_PER_S, start);
    late_add(&t, "a", &late, TW_NS_PER_S, start);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        late_of(&t, "a", (struct tw_mono){ start.ns + cases[i].at_s * TW_NS_PER_S }, &p99, &max);
        assert_int_equal(max.known, cases[i].max_s > 0);
        assert_true(!max.known || (max.value == cases[i].max_s && p99.value < 60e-6 && p99.value > 40e-6));
    }
    late_add(&t, "a", &early, TW_NS_PER_S, (struct tw_mono){ start.ns + 70 * TW_NS_PER_S });
    late_of(&t, "a", (struct tw_mono){ start.ns + 80 * TW_NS_PER_S }, &p99, &max);
    assert_true(max.known && max.value == 0.002);
    late_of(&t, "a", (struct tw_mono){ start.ns + 131 * TW_NS_PER_S }, &p99, &max);
    assert_true(max.known && max.value == 50e-6);        /* what was two windows ago is forgotten */
    late_add(&t, "b", &early, 300 * TW_NS_PER_S, start); /* a long report period makes a long window */
    late_of(&t, "b", (struct tw_mono){ start.ns + 500 * TW_NS_PER_S }, &p99, &max);
    assert_true(max.known);
    late_sweep(&t, (struct tw_mono){ start.ns + 1000 * TW_NS_PER_S });
    assert_int_equal(HASH_COUNT(t.agents), 1);
    late_free(&t);
    hist_free(&early);
    hist_free(&late);
}

static void shows_what_the_report_says(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "voice", "ams", "fra", 2, r->start_ns - 100 * FX_PERIOD);
    struct report_filter filter = { .from_ns = r->start_ns, .to_ns = r->start_ns + FX_PERIOD };
    struct got g = { 0 };
    char *text;

    (void)state;
    publish_period(r, p, 0, r->start_ns - FX_PERIOD, NULL);
    publish_period(r, p, 1, r->start_ns - FX_PERIOD, NULL);
    publish_period(r, p, 0, r->start_ns, NULL);
    publish_period(r, p, 1, r->start_ns, NULL);
    FX_OK(report_run(&r->f->inv, NULL, r->f->readers, &filter, tw_wall_now().ns, on_report, &g));
    fx_run_until(r->f, &g.done, "report");
    fx_same_view("live and stored", publish_view(p), &g.rep->pairs[0].view);
    text = page(r, "/metrics");
#define PAIR "{mesh=\"m\",class=\"voice\",source=\"ams\",target=\"fra\""
    expect(text, "twamp_delay_quantile_seconds" PAIR ",direction=\"roundtrip\",quantile=\"0.95\"} ",
           g.rep->pairs[0].view.delay[TW_ROUNDTRIP].p95_s.value);
    expect(text, "twamp_loss_ratio" PAIR ",direction=\"forward\"} ",
           g.rep->pairs[0].view.loss_forward_ratio.value);
    expect(text, "twamp_probes_sent_total" PAIR "} ", 400);
    expect(text, "twamp_agent_probes_sent_total{mesh=\"m\",class=\"voice\",source=\"ams\"} ", 400);
    expect(text, "twamp_mesh_delay_seconds_count{mesh=\"m\",class=\"voice\",direction=\"roundtrip\"} ",
           (double)p->live->n.received);
    expect(text, "twamp_mesh_pairs_fresh{mesh=\"m\",class=\"voice\"} ", 1);
    free(text);
    report_free(g.rep);
    rig_free(r);
}

static void last_period_and_counters(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 2, 1);
    struct tw_summary direct;
    struct stats_view view;

    (void)state;
    summary_init(&direct);
    publish_period(r, p, 0, r->start_ns, &direct);
    publish_period(r, p, 0, r->start_ns - FX_PERIOD,
                   NULL); /* late out of a spool: counted, but not the last */
    publish_period(r, p, 1, r->start_ns, &direct);
    stats_view(&direct, &view);
    fx_same_view("merged flows", publish_view(p), &view);
    assert_int_equal(p->live->n.sent, 300);
    assert_int_equal(p->live->last_flows, 2);
    assert_true(p->live->last_start_ns == r->start_ns && p->live->last_end_ns == r->start_ns + FX_PERIOD);
    summary_free(&direct);
    rig_free(r);
}

/* A period of a flow of which so many of 100 came back. */
static void publish_received(struct rig *r, struct pair *p, uint32_t flow, int64_t start_ns,
                             uint64_t received)
{
    struct tw_summary s = fx_summary(r->f, p, flow, start_ns);

    s.sent = 100;
    s.received = received;
    s.lost_forward = 100 - received;
    publish_summary(r->publish, p, &s);
    summary_free(&s);
}

/* Of two flows; silent and lossy: in periods from the first on, -1: it is not. */
static void trouble_has_a_beginning(void **state)
{
    static const struct {
        uint64_t received[2];
        int silent, lossy;
        bool or_before;
    } periods[] = {
        { { 0, 0 }, 0, 0, true },    { { 0, 0 }, 0, 0, true }, /* nobody saw it begin */
        { { 100, 0 }, -1, 0, true }, { { 100, 100 }, -1, -1, false }, { { 100, 97 }, -1, 4, false },
        { { 0, 0 }, 5, 4, false },   { { 0, 0 }, 5, 4, false },       { { 0, 100 }, -1, 4, false },
    };
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 2, 1);

    (void)state;
    for (size_t i = 0; i < TW_NELEM(periods); i++) {
        int64_t start_ns = r->start_ns + (int64_t)i * FX_PERIOD;

        publish_received(r, p, 0, start_ns, periods[i].received[0]);
        publish_received(r, p, 1, start_ns, periods[i].received[1]);
        if (p->live->silent.since_ns !=
                (periods[i].silent < 0 ? 0 : r->start_ns + periods[i].silent * FX_PERIOD) ||
            p->live->lossy.since_ns !=
                (periods[i].lossy < 0 ? 0 : r->start_ns + periods[i].lossy * FX_PERIOD) ||
            p->live->lossy.or_before != periods[i].or_before)
            fail_msg("period %zu: silent %lld, lossy %lld", i,
                     (long long)(p->live->silent.since_ns - r->start_ns),
                     (long long)(p->live->lossy.since_ns - r->start_ns));
    }
    rig_free(r);
}

static void a_run_over_two_periods_counts_once(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 1, 1);

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct tw_summary s = fx_summary(r->f, p, 0, r->start_ns - (1 - i) * FX_PERIOD);
        s.loss_runs = 3;
        loss_runs_add(&s.runs, &(struct tw_loss_run){
                                   .start_ns = s.start_ns, .probes = 1, .continues_before = i == 1 });
        publish_summary(r->publish, p, &s);
        summary_free(&s);
    }
    assert_int_equal(p->live->n.loss_runs, 5);
    rig_free(r);
}

/* An agent started 20 hours ahead, until its time daemon set the clock right. */
static void a_wrong_clock_does_not_hide_the_present(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 1, 1);
    int64_t ahead_ns = 20 * 3600 * TW_NS_PER_S;

    (void)state;
    publish_period(r, p, 0, r->start_ns + ahead_ns, NULL);
    assert_false(publish_is_fresh(p, r->start_ns + 2 * FX_PERIOD));
    publish_period(r, p, 0, r->start_ns, NULL);
    assert_true(p->live->last_end_ns == r->start_ns + FX_PERIOD && p->live->last_flows == 1);
    assert_true(publish_is_fresh(p, r->start_ns + 2 * FX_PERIOD));
    assert_int_equal(p->live->n.sent, 200);
    rig_free(r);
}

static void stale_pairs_leave(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *fresh = fx_pair(r->f, "m", "c", "ams", "fra", 1, 1),
                *stale = fx_pair(r->f, "m", "c", "ams", "ber", 1, 1);
    struct pair *gone = fx_pair(r->f, "n", "c", "ams", "rom", 1, 1);
    char *text;

    (void)state;
    publish_period(r, fresh, 0, r->start_ns, NULL);
    publish_period(r, stale, 0, r->start_ns - 3 * FX_PERIOD, NULL);
    publish_period(r, gone, 0, r->start_ns, NULL);
    text = page(r, "/metrics");
#define OF(target) "{mesh=\"m\",class=\"c\",source=\"ams\",target=\"" target "\""
    assert_non_null(strstr(text, "twamp_delay_min_seconds" OF("fra")));
    absent(text, "twamp_delay_min_seconds" OF("ber"));
    expect(text, "twamp_probes_sent_total" OF("ber") "} ", 100);
    expect(text, "twamp_pair_status" OF("ber") ",status=\"agent_down\"} ", 1);
    expect(text, "twamp_mesh_pairs{mesh=\"m\",class=\"c\"} ", 2);
    expect(text, "twamp_mesh_pairs_fresh{mesh=\"m\",class=\"c\"} ", 1);
    assert_non_null(strstr(text, "target=\"rom\""));
    free(text);
    gone->scheduled = false;
    publish_forget(r->publish, gone);
    publish_period(r, gone, 0, r->start_ns, NULL); /* the rest of a session that was taken off */
    assert_null(gone->live);
    text = page(r, "/metrics");
    absent(text, "target=\"rom\"");
    absent(text, "mesh=\"n\"");
    free(text);
    text = page(r, "/metrics?mesh=m");
    assert_non_null(strstr(text, "target=\"fra\""));
    free(text);
    rig_free(r);
}

static void pages_are_kept_for_an_interval(void **state)
{
    struct rig *r = rig_new(3600 * TW_NS_PER_S);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 1, 1);
    char *first, *second, *other;

    (void)state;
    publish_period(r, p, 0, r->start_ns - FX_PERIOD, NULL);
    first = page(r, "/metrics");
    publish_period(r, p, 0, r->start_ns, NULL);
    second = page(r, "/metrics");
    assert_string_equal(strstr(first, "\r\n\r\n"), strstr(second, "\r\n\r\n"));
    assert_int_equal(r->snapshots, 1);
    other = page(r, "/metrics?mesh=m"); /* another page, made now */
    expect(other, "twamp_probes_sent_total" OF("fra") "} ", 200);
    assert_int_equal(r->snapshots, 2);
    free(first);
    free(second);
    free(other);
    rig_free(r);
}

struct blocker {
    struct reader_job job; /* first */
    pthread_mutex_t lock;
};

static void block(struct reader_job *j, struct store_reader *db)
{
    struct blocker *b = (struct blocker *)j;

    (void)db;
    pthread_mutex_lock(&b->lock);
    pthread_mutex_unlock(&b->lock);
}

static void unblocked(struct reader_job *j)
{
    (void)j;
}

/* Many ask while a page is being made, and what it shows is deleted meanwhile. */
static void requests_share_a_page_of_deleted_pairs(void **state)
{
    enum { N = 10 };
    struct rig *r = rig_new(3600 * TW_NS_PER_S);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 1, 1);
    struct blocker b = { .job = { .run = block, .done = unblocked }, .lock = PTHREAD_MUTEX_INITIALIZER };
    struct httpd_counters c = { 0 };
    static const bool never;
    struct get g[N];

    (void)state;
    publish_period(r, p, 0, r->start_ns, NULL);
    pthread_mutex_lock(&b.lock);
    FX_OK(reader_submit(r->f->readers, &b.job));
    for (size_t i = 0; i < N; i++)
        get_start(&g[i], r->f->loop, httpd_port(r->httpd), "/metrics");
    for (int64_t until = tw_mono_now().ns + FX_DEADLINE_S * TW_NS_PER_S; c.requests < N || !r->snapshots;) {
        loop_run_until(r->f->loop, &never, (struct tw_mono){ tw_mono_now().ns + TW_NS_PER_MS });
        httpd_counters(r->httpd, &c);
        assert_true(tw_mono_now().ns < until);
    }
    publish_forget(r->publish, p);
    memset(p, 0x55, sizeof *p);
    p->live = NULL;
    p->times = NULL;
    pthread_mutex_unlock(&b.lock);
    for (size_t i = 0; i < N; i++) {
        get_await(&g[i], r->f);
        expect(g[i].text, "twamp_probes_sent_total" OF("fra") "} ", 100);
        free(g[i].text);
    }
    assert_int_equal(r->snapshots, 1);
    rig_free(r);
}

enum { MANY = 40, SLICE = 4 };

/* Without the store. */
static void publish_live(struct rig *r, struct pair *p, int64_t start_ns)
{
    struct tw_summary s = fx_summary(r->f, p, 0, start_ns);

    publish_summary(r->publish, p, &s);
    summary_free(&s);
}

/* The store does not know them. */
static struct pair *many_pairs(struct rig *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char target[STORE_NAME_MAX];
        struct store_pair row = { .mesh = "m", .class_name = "c", .source = "ams", .target = target };
        struct pair *p;

        snprintf(target, sizeof target, "t%03zu", i);
        row.id = store_pair_id(&row);
        p = inventory_add_pair(&r->f->inv, &row);
        assert_non_null(p);
        p->flows = 1;
        p->report_period_ns = FX_PERIOD;
        p->scheduled = true;
        p->scheduled_since_ns = 1;
        publish_live(r, p, r->start_ns);
    }
    return pair_table_at(&r->f->inv.pairs, 0);
}

/* Goes on for one slice, and sees that it was none too long. */
static enum tw_rc slice(struct page_copy *c)
{
    size_t was = c->snap.n_pairs, at = c->at;
    enum tw_rc rc = publish_copy_go_on(c, SLICE);

    assert_true(c->snap.n_pairs - was <= SLICE && c->at - at <= SLICE);
    return rc;
}

static uint64_t shown_sent(const struct page_copy *c, const char *target, bool *ret_shown)
{
    *ret_shown = false;
    for (size_t i = 0; i < c->snap.n_pairs; i++)
        if (!strcmp(c->pairs[i].target, target)) {
            *ret_shown = true;
            return c->pairs[i].sent;
        }
    return 0;
}

static void copy_to_the_end(struct page_copy *c)
{
    while (publish_copy_go_on(c, SLICE) == TW_EAGAIN)
        ;
    assert_int_equal(c->stage, COPY_DONE);
}

/* Between two slices of a copy summaries come, pairs leave, and pairs and groups are added. */
static void a_copy_is_taken_in_slices(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *first = many_pairs(r, MANY), *last = pair_table_at(&r->f->inv.pairs, MANY - 1), *added;
    struct page_copy c = { .p = r->publish, .levels = METRICS_DEFAULT | METRICS_SITE, .native = true },
                     next = { .p = r->publish, .levels = METRICS_DEFAULT };
    unsigned slices = 1;
    bool shown;

    (void)state;
    assert_int_equal(slice(&c), TW_EAGAIN);
    publish_live(r, first, r->start_ns + FX_PERIOD); /* is copied already */
    publish_live(r, last, r->start_ns + FX_PERIOD);  /* is not */
    pair_table_at(&r->f->inv.pairs, 0)->scheduled = false;
    publish_forget(r->publish, first);
    pair_table_at(&r->f->inv.pairs, MANY / 2)->scheduled = false;
    publish_forget(r->publish, pair_table_at(&r->f->inv.pairs, MANY / 2));
    added = fx_pair(r->f, "n", "c", "ams", "new", 1, 1); /* a mesh that has no group yet */
    publish_period(r, added, 0, r->start_ns, NULL);
    for (enum tw_rc rc = TW_EAGAIN; rc; slices++) {
        rc = slice(&c);
        assert_true(!rc || rc == TW_EAGAIN);
    }
    assert_true(slices >= MANY / SLICE);
    assert_int_equal(c.snap.n_pairs, MANY - 1);
    assert_int_equal(c.snap.meshes[0].pairs, MANY - 1);
    assert_int_equal(c.snap.n_meshes, 1);
    assert_int_equal(c.snap.meshes[0].sent, 100 * (MANY + 2));
    assert_int_equal(shown_sent(&c, "t000", &shown), 100);
    assert_true(shown);
    assert_int_equal(shown_sent(&c, last->row.target, &shown), 200);
    assert_int_equal(shown_sent(&c, "new", &shown), 0);
    assert_false(shown);
    publish_copy_free(&c);
    publish_period(r, added, 0, r->start_ns + FX_PERIOD, NULL);
    copy_to_the_end(&next); /* its group was not thrown away with what had been counted */
    assert_int_equal(shown_sent(&next, "new", &shown), 200);
    assert_int_equal(next.snap.n_meshes, 2);
    assert_int_equal(next.snap.meshes[1].sent, 200);
    publish_copy_free(&next);
    rig_free(r);
}

/* A group is gone with its last pair; and without histograms none are shown, also if they are turned on
 * meanwhile. */
static void slices_let_go_of_empty_groups(void **state)
{
    struct rig *r = rig_new(1);
    struct pair *p = many_pairs(r, MANY);
    struct page_copy c = { .p = r->publish, .levels = METRICS_DEFAULT, .native = true };

    (void)state;
    p->scheduled = false;
    publish_forget(r->publish, p);
    for (size_t i = 0; i < MANY; i++)
        pair_table_at(&r->f->inv.pairs, i)->scheduled = false;
    publish_set_native_buckets(r->publish, 0);
    assert_int_equal(slice(&c), TW_EAGAIN);
    publish_set_native_buckets(r->publish, 160);
    copy_to_the_end(&c);
    assert_int_equal(c.snap.n_pairs, 0);
    assert_null(c.pair_delays);
    assert_null(c.groups[BY_MESH].delays);
    for (enum group_by by = 0; by < GROUP_KINDS; by++)
        assert_null(r->publish->groups[by]);
    publish_copy_free(&c);
    rig_free(r);
}

/* More pairs than one slice has, three pages at once: one is copied after the other, and each is whole. */
static void pages_are_copied_one_after_the_other(void **state)
{
    static const char *const targets[] = { "/metrics", "/metrics?mesh=m", "/metrics?mesh=n" };
    struct rig *r = rig_new(3600 * TW_NS_PER_S);
    struct get g[TW_NELEM(targets)];

    (void)state;
    many_pairs(r, 2 * COPY_SLICE + 10);
    publish_period(r, fx_pair(r->f, "n", "c", "ams", "fra", 1, 1), 0, r->start_ns, NULL);
    for (size_t i = 0; i < TW_NELEM(targets); i++)
        get_start(&g[i], r->f->loop, httpd_port(r->httpd), targets[i]);
    for (size_t i = 0; i < TW_NELEM(targets); i++) {
        get_await(&g[i], r->f);
        if (i < 2)
            expect(g[i].text, "twamp_mesh_pairs{mesh=\"m\",class=\"c\"} ", 2 * COPY_SLICE + 10);
        else
            absent(g[i].text, "mesh=\"m\"");
        if (i != 1)
            expect(g[i].text, "twamp_mesh_pairs{mesh=\"n\",class=\"c\"} ", 1);
        free(g[i].text);
    }
    assert_int_equal(r->snapshots, TW_NELEM(targets));
    rig_free(r);
}

/* The process ends while a page is copied: who asked is answered, and nothing is kept. */
static void an_end_in_between_slices(void **state)
{
    struct rig *r = rig_new(1);
    struct get g;

    (void)state;
    many_pairs(r, 2 * COPY_SLICE);
    get_start(&g, r->f->loop, httpd_port(r->httpd), "/end");
    get_await(&g, r->f);
    assert_int_equal(g.status, 503);
    assert_int_equal(r->snapshots, 0);
    free(g.text);
    rig_free(r);
}

static void completeness_of_the_last_hour(void **state)
{
    static const struct {
        const char *name;
        int64_t started_min, scheduled_min; /* minutes before now */
        int64_t skip_from, skip_to;         /* seconds before now without summaries */
        bool known;
        double ratio;
    } cases[] = {
        { "all there", 120, 120, 0, 0, true, 1 },
        { "ten minutes missing of the 59 that are over", 120, 120, 1200, 600, true, 294.0 / 354 },
        { "scheduled after the gap", 120, 5, 1200, 600, true, 1 },
        { "started after the gap", 5, 120, 1200, 600, true, 1 },
        { "just scheduled", 120, 0, 0, 0, false, 0 },
        { "nothing at all", 120, 120, 7200, 0, true, 0 },
    };
    const int64_t now_ns = INT64_C(1700000040) * TW_NS_PER_S; /* a whole minute */

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct rig *r = rig_new(1);
        struct pair *p =
            fx_pair(r->f, "m", "c", "ams", "fra", 1, now_ns - cases[i].scheduled_min * 60 * TW_NS_PER_S);
        struct tw_num is;

        r->publish->started_ns = now_ns - cases[i].started_min * 60 * TW_NS_PER_S;
        for (int64_t ago = 7200; ago > 0; ago -= 10) {
            struct tw_summary s = fx_summary(r->f, p, 0, now_ns - ago * TW_NS_PER_S);
            if (ago > cases[i].skip_from || ago <= cases[i].skip_to)
                publish_summary(r->publish, p, &s);
            summary_free(&s);
        }
        is = publish_completeness(r->publish, p, now_ns);
        if (is.known != cases[i].known ||
            (is.known && (is.value > cases[i].ratio + 1e-9 || is.value < cases[i].ratio - 1e-9)))
            fail_msg("%s: %d %g, expected %g", cases[i].name, is.known, is.value, cases[i].ratio);
        rig_free(r);
    }
}

/* The clock was an hour ahead when all began: what is expected begins when it did, by the clock as it is now. */
static void a_step_back_moves_the_start(void **state)
{
    const int64_t now_ns = INT64_C(1700000040) * TW_NS_PER_S, hour_ns = 3600 * TW_NS_PER_S;
    int64_t began_ns = now_ns - 600 * TW_NS_PER_S;
    struct rig *r = rig_new(1);
    struct pair *p = fx_pair(r->f, "m", "c", "ams", "fra", 1, began_ns + hour_ns);
    struct publish_periods n;

    (void)state;
    r->publish->started_ns = began_ns + hour_ns;
    for (int64_t at_ns = began_ns; at_ns < now_ns; at_ns += FX_PERIOD) {
        struct tw_summary s = fx_summary(r->f, p, 0, at_ns);
        publish_summary(r->publish, p, &s);
        summary_free(&s);
    }
    assert_false(publish_periods(r->publish, p, now_ns, &n));
    publish_stepped(r->publish, -hour_ns);
    inventory_stepped(&r->f->inv, -hour_ns);
    assert_true(publish_periods(r->publish, p, now_ns, &n));
    assert_int_equal(n.from_ns, began_ns);
    assert_true(n.expected >= 48 && n.stored == n.expected);
    rig_free(r);
}

static void publish_hours(struct rig *r, struct pair *p, int64_t hole_from, int64_t hole_to)
{
    for (int64_t at = r->start_ns - 720 * FX_PERIOD; at <= r->start_ns; at += FX_PERIOD) {
        struct tw_summary s = fx_summary(r->f, p, 0, at);
        if (at < hole_from || at >= hole_to)
            publish_summary(r->publish, p, &s);
        summary_free(&s);
    }
}

/* Of two sources that lack 60 periods each one was down for the first half, and for one does nobody know. */
static void why_summaries_are_missing(void **state)
{
    struct rig *r = rig_new(1);
    int64_t from_ns = r->start_ns - 120 * FX_PERIOD, to_ns = from_ns + 60 * FX_PERIOD;
    struct pair *p = fx_pair(r->f, "m", "voice", "ams", "fra", 1, r->start_ns - 800 * FX_PERIOD),
                *q = fx_pair(r->f, "m", "voice", "fra", "ams", 1, r->start_ns - 800 * FX_PERIOD);
    char *text;

    (void)state;
    r->publish->started_ns = r->start_ns - 800 * FX_PERIOD;
    FX_OK(store_agent_lost(r->f->store, "ams", from_ns, &err));
    FX_OK(store_agent_found(r->f->store, "ams", from_ns + 30 * FX_PERIOD, &err));
    publish_hours(r, p, from_ns, to_ns);
    publish_hours(r, q, from_ns, to_ns);
    text = page(r, "/metrics");
    /* Two periods before it ended and the one in which it began may be missing for it, too. */
    expect(text, "twamp_agent_summaries_missing{mesh=\"m\",class=\"voice\",source=\"ams\",cause=\"agent_down\"} ", 33);
    expect(text, "twamp_agent_summaries_missing{mesh=\"m\",class=\"voice\",source=\"ams\",cause=\"unknown\"} ", 27);
    expect(text, "twamp_agent_summaries_missing{mesh=\"m\",class=\"voice\",source=\"fra\",cause=\"agent_down\"} ", 0);
    expect(text, "twamp_agent_summaries_missing{mesh=\"m\",class=\"voice\",source=\"fra\",cause=\"unknown\"} ", 60);
    expect(text, "twamp_mesh_summaries_missing{mesh=\"m\",class=\"voice\",cause=\"agent_down\"} ", 33);
    expect(text, "twamp_mesh_summaries_missing{mesh=\"m\",class=\"voice\",cause=\"unknown\"} ", 87);
    expect(text, "twamp_mesh_summaries_missing{mesh=\"m\",class=\"voice\",cause=\"refused\"} ", 0);
    expect(text, "twamp_site_summaries_missing{mesh=\"m\",class=\"voice\",source_site=\"\",target_site=\"\",cause=\"unknown\"} ", 87);
    free(text);
    text = page(r, "/metrics?mesh=other");
    absent(text, "summaries_missing");
    free(text);
    rig_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_the_report_says),
        cmocka_unit_test(last_period_and_counters),
        cmocka_unit_test(trouble_has_a_beginning),
        cmocka_unit_test(a_run_over_two_periods_counts_once),
        cmocka_unit_test(a_wrong_clock_does_not_hide_the_present),
        cmocka_unit_test(a_step_back_moves_the_start),
        cmocka_unit_test(stale_pairs_leave),
        cmocka_unit_test(native_histograms_have_a_cap),
        cmocka_unit_test(sites_are_groups),
        cmocka_unit_test(each_controller_shows_its_own),
        cmocka_unit_test(lateness),
        cmocka_unit_test(pages_are_kept_for_an_interval),
        cmocka_unit_test(requests_share_a_page_of_deleted_pairs),
        cmocka_unit_test(a_copy_is_taken_in_slices),
        cmocka_unit_test(slices_let_go_of_empty_groups),
        cmocka_unit_test(pages_are_copied_one_after_the_other),
        cmocka_unit_test(an_end_in_between_slices),
        cmocka_unit_test(completeness_of_the_last_hour),
        cmocka_unit_test(why_summaries_are_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
