/* What a sender shows to Prometheus: golden pages, and that nothing stale or doubled stands on them. */
#include "tests/unit/agent/tool/tool_fixture.h"
#include "agent/tool/metrics.h"
#include "agent/tool/reflector_metrics.h"

static struct tool_metrics *begin(bool histogram, bool nodegraph)
{
    struct tool_metrics *m = calloc(1, sizeof *m);
    struct tool_metrics_opt o = { .on = true, .histogram = histogram };

    assert_non_null(m);
    tool_metrics_init(m, &o, nodegraph, "192.0.2.1", "ber:20001", "EF");
    return m;
}

static char *page(const struct tool_metrics *m)
{
    struct mbuf b = { 0 };

    tool_metrics_render(m, &b);
    mbuf_put(&b, "", 1);
    assert_false(b.bad);
    return b.p;
}

static void period(struct tool_metrics *m, uint64_t received, uint64_t forward, uint64_t unknown)
{
    struct tw_summary s;

    fixture_summary(&s, received);
    if (forward + unknown)
        fixture_lose(&s, forward, 0, unknown);
    s.duplicates_unknown = 1;
    for (uint64_t i = 0; i < received; i++) {
        struct session_sample one = { .kind = SAMPLE_RECEIVED,
                                      .timed = true,
                                      .forward_ns = 50100000 + (int64_t)(i % 10) * 1000,
                                      .backward_ns = -49900000 };
        tool_metrics_sample(m, 0, &one);
    }
    tool_metrics_sample(m, 0, &(struct session_sample){ .kind = SAMPLE_LOST });
    tool_metrics_period(m, &s);
    summary_free(&s);
}

static void expect(const char *text, const char *line, bool there)
{
    const char *at = strstr(text, line);

    if ((at != NULL) != there)
        fail_msg("%s \"%s\" in:\n%s", there ? "lacks" : "should not have", line, text);
}

static unsigned count(const char *text, const char *what)
{
    unsigned n = 0;

    for (const char *p = strstr(text, what); p; p = strstr(p + 1, what))
        n++;
    return n;
}

/* Every series once; every family with one head and its samples below it. */
static void check_page(const char *text)
{
    char *copy = strdup(text), *save = NULL, *lines[2000];
    size_t n = 0;

    for (char *l = strtok_r(copy, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (l[0] != '#')
            *strrchr(l, ' ') = '\0';
        lines[n++] = l;
        assert_true(n < TW_NELEM(lines));
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(lines[i], lines[k]))
                fail_msg("twice: %s", lines[i]);
    assert_null(strstr(text, " nan"));
    free(copy);
}

/* ---- Golden pages ---- */

static void golden(void **state)
{
    static const struct {
        const char *file;
        bool histogram, nodegraph;
        uint64_t received, forward, unknown;
    } cases[] = {
        { "metrics.prom", false, true, 95, 3, 2 },
        { "metrics-histogram.prom", true, false, 95, 3, 2 },
        { "metrics-all-lost.prom", false, true, 0, 0, 100 },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct tool_metrics *m = begin(cases[i].histogram, cases[i].nodegraph);
        char *text;

        period(m, cases[i].received, cases[i].forward, cases[i].unknown);
        text = page(m);
        check_page(text);
        fixture_golden(cases[i].file, text);
        free(text);
        free(m);
    }
}

static void golden_of_a_reflector(void **state)
{
    struct worker_counters c = {
        .reflected = 100, .reflector_rejected = 3, .reflector_sessions = 2, .rxq_drops = 1
    };
    struct mbuf b = { 0 };

    (void)state;
    reflector_metrics(&b, "0.0.0.0:20001, [::]:20001", &c);
    mbuf_put(&b, "", 1);
    check_page(b.p);
    fixture_golden("metrics-reflector.prom", b.p);
    free(b.p);
}

/* ---- Rules ---- */

/* Fault 9: at total loss there is no delay, loss is 100, and it comes back afterwards. */
static void nothing_stale_after_total_loss(void **state)
{
    struct tool_metrics *m = begin(false, true);
    char *text = page(m);

    (void)state;
    expect(text, "twampy_latency", false); /* before the first result */
    expect(text, "twampy_loss", false);
    expect(text, "twampy_result_total{result=\"ok\"} 0\n", true);
    free(text);
    period(m, 100, 0, 0);
    text = page(m);
    expect(text, "twampy_latency_avg{direction=\"roundtrip\"} 0.2045\n", true);
    expect(text, "twampy_latency_min{direction=\"inbound\"} -49.9\n", true);
    expect(text, "twampy_loss{direction=\"roundtrip\"} 0\n", true);
    free(text);
    period(m, 0, 0, 100);
    text = page(m);
    check_page(text);
    expect(text, "twampy_latency", false);
    expect(text, "twampy_jitter", false);
    expect(text, "delay_quantile_seconds{", false);
    expect(text, "twampy_loss{direction=\"outbound\"} 100\n", true);
    expect(text, "twampy_loss{direction=\"inbound\"} 100\n", true);
    expect(text, "twampy_loss{direction=\"roundtrip\"} 100\n", true);
    expect(text, "twampy_result_total{result=\"ok\"} 1\n", true);
    expect(text, "twampy_result_total{result=\"err\"} 1\n", true);
    expect(
        text,
        "twamp_loss_ratio{class=\"EF\",source=\"192.0.2.1\",target=\"ber:20001\",direction=\"unknown\"} 1\n",
        true);
    free(text);
    period(m, 50, 50, 0);
    text = page(m);
    expect(text, "twampy_latency_avg{direction=\"roundtrip\"}", true);
    expect(text, "twampy_loss{direction=\"outbound\"} 50\n", true); /* fault 2: of those sent */
    expect(text, "twampy_loss{direction=\"inbound\"} 0\n", true);
    free(text);
    free(m);
}

/* Fault 10: one edge, whatever values it had before; and the labels are not swapped. */
static void one_edge_for_ever(void **state)
{
    struct tool_metrics *m = begin(false, true);
    char *text;

    (void)state;
    for (uint64_t lost = 0; lost <= 100; lost += 5) {
        period(m, 100 - lost, lost < 100 ? lost : 0, lost < 100 ? 0 : 100);
        text = page(m);
        if (count(text, "twampy_edge{") != 1)
            fail_msg("%u edges:\n%s", count(text, "twampy_edge{"), text);
        if (lost == 5)
            expect(
                text,
                "twampy_edge{id=\"192.0.2.1-ber:20001\",source=\"192.0.2.1\",target=\"ber:20001\",mainstat="
                "\"0.204\",secondarystat=\"5.00\"} 1\n",
                true);
        free(text);
    }
    text = page(m);
    expect(text, "mainstat=\"NaN\",secondarystat=\"100.00\"} 0\n", true);
    free(text);
    free(m);
    m = begin(false, false);
    period(m, 10, 0, 0);
    text = page(m);
    expect(text, "twampy_edge", false); /* only when asked for */
    free(text);
    free(m);
}

/* Latency into twampy_latency and jitter into twampy_jitter; cumulative; only growing. */
static void histograms(void **state)
{
    struct tool_metrics *m = begin(true, false);
    char *text;

    (void)state;
    period(m, 100, 0, 0);
    text = page(m);
    check_page(text);
    expect(text, "# TYPE twampy_latency histogram\n", true);
    expect(text, "# TYPE twampy_jitter histogram\n", true);
    expect(text, "# TYPE twampy_jitter gauge\n", false);
    expect(text, "twampy_latency_bucket{direction=\"roundtrip\",le=\"0.1\"} 0\n", true);
    expect(text, "twampy_latency_bucket{direction=\"roundtrip\",le=\"0.25\"} 100\n", true);
    expect(text, "twampy_latency_bucket{direction=\"outbound\",le=\"50.0\"} 0\n", true);
    expect(text, "twampy_latency_bucket{direction=\"outbound\",le=\"75.0\"} 100\n", true);
    expect(text, "twampy_latency_bucket{direction=\"inbound\",le=\"0.005\"} 100\n", true);
    expect(text, "twampy_latency_count{direction=\"roundtrip\"} 100\n", true);
    expect(text, "twampy_latency_sum{direction=\"roundtrip\"} 20.45\n", true);
    expect(text, "twampy_jitter_count{direction=\"roundtrip\"} 99\n", true);
    expect(text, "twampy_jitter_bucket{direction=\"inbound\",le=\"0.005\"} 99\n", true);
    free(text);
    period(m, 0, 0, 100);
    text = page(m);
    expect(text, "twampy_latency_count{direction=\"roundtrip\"} 100\n", true); /* counters stay */
    expect(text, "twampy_latency_avg", false);
    free(text);
    free(m);
}

/* The mean of what went into twampy_jitter is the jitter that tables show: same estimate, same samples. */
static void jitter_is_the_session_s(void **state)
{
    struct tool_metrics *m = begin(true, false);
    const int64_t delays[] = { 100000, 116000, 100000, 100000, 164000 };
    double j = 0, sum = 0;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(delays); i++) {
        tool_metrics_sample(
            m, 3,
            &(struct session_sample){ .kind = SAMPLE_RECEIVED, .timed = true, .forward_ns = delays[i] });
        if (i) {
            j += (fabs((double)(delays[i] - delays[i - 1])) - j) / 16;
            sum += j / 1e6;
        }
    }
    tool_metrics_sample(m, 3,
                        &(struct session_sample){ .kind = SAMPLE_DUPLICATE, .timed = true, .forward_ns = 5 });
    tool_metrics_sample(m, 3, &(struct session_sample){ .kind = SAMPLE_RECEIVED, .forward_ns = 5 });
    assert_int_equal(m->compat_jitter[TW_FORWARD].count, 4);
    assert_true(fabs(m->compat_jitter[TW_FORWARD].sum_ms - sum) < 1e-12 && sum > 0);
    free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(golden_of_a_reflector),
        cmocka_unit_test(nothing_stale_after_total_loss),
        cmocka_unit_test(one_edge_for_ever),
        cmocka_unit_test(histograms),
        cmocka_unit_test(jitter_is_the_session_s),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
