/* The Prometheus page: a golden copy, rules that hold for every page, and the reference in docs/metrics.md.
 * TW_UPDATE_GOLDEN=1 in the environment writes the golden copy and the reference anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/metrics_buf.h"
#include "tests/unit/controller/core/metrics_fixture.h"

#define ALL METRICS_ALL
#define GOLDEN TW_SOURCE_DIR "/tests/golden/metrics.prom"
#define REFERENCE TW_SOURCE_DIR "/docs/metrics.md"
/* Terminated. */
static char *render(const struct metrics_snapshot *s, unsigned levels, const char *mesh)
{
    char *text;
    size_t len;

    assert_int_equal(metrics_render(s, &metrics_text, levels, mesh, &text, &len), TW_OK);
    text = realloc(text, len + 1);
    assert_non_null(text);
    text[len] = '\0';
    assert_int_equal(strlen(text), len);
    return text;
}

/* ---- Files ---- */

static bool updating(void)
{
    return getenv("TW_UPDATE_GOLDEN") != NULL;
}

static char *read_file(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *f = fopen(path, "r");

    assert_non_null(text);
    if (!f)
        fail_msg("%s: cannot be read", path);
    assert_true(fread(text, 1, (1 << 20) - 1, f) < (1 << 20) - 1);
    fclose(f);
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void expect_same(const char *path, const char *text, const char *want)
{
    unsigned line = 1;
    size_t start = 0;

    for (size_t i = 0; text[i] || want[i]; i++) {
        if (text[i] != want[i])
            fail_msg("%s:%u: expected\n%.*s\ngot\n%.*s", path, line, (int)strcspn(want + start, "\n"),
                     want + start, (int)strcspn(text + start, "\n"), text + start);
        if (text[i] == '\n') {
            line++;
            start = i + 1;
        }
    }
}

static void golden(void **state)
{
    char *text = render(&snapshot, ALL, NULL), *want;

    (void)state;
    if (updating())
        write_file(GOLDEN, text);
    want = read_file(GOLDEN);
    expect_same(GOLDEN, text, want);
    free(want);
    free(text);
}

/* ---- Rules of every page ---- */

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t split(char *text, char ***ret)
{
    size_t n = 0, i = 0;

    for (const char *p = text; *p; p++)
        n += *p == '\n';
    *ret = calloc(n + 1, sizeof **ret);
    assert_non_null(*ret);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        (*ret)[i++] = line;
    assert_int_equal(i, n);
    return n;
}

/* The family of a series: its name without the endings of histograms. */
static size_t family_len(const char *line, const char *type_of, size_t type_len)
{
    static const char *const endings[] = { "_bucket", "_sum", "_count" };
    size_t len = strcspn(line, "{ ");

    if (type_len == 9 && !memcmp(type_of, "histogram", 9))
        for (size_t i = 0; i < TW_NELEM(endings); i++)
            if (len > strlen(endings[i]) &&
                !memcmp(line + len - strlen(endings[i]), endings[i], strlen(endings[i])))
                return len - strlen(endings[i]);
    return len;
}

/* Each family: HELP, TYPE, then its samples; never again after another has begun. */
static size_t check_families(char **line, size_t n)
{
    const char *name = "", *type = "";
    size_t name_len = 0, samples = 0;

    for (size_t i = 0; i < n; i++) {
        if (!strncmp(line[i], "# HELP ", 7)) {
            name = line[i] + 7;
            name_len = strcspn(name, " ");
            if (i + 2 >= n || strncmp(line[i + 1], "# TYPE ", 7) ||
                strncmp(line[i + 1] + 7, name, name_len + 1))
                fail_msg("no TYPE after %s", line[i]);
            type = line[++i] + 7 + name_len + 1;
            if (line[i + 1][0] == '#')
                fail_msg("no samples after %s", line[i]);
            continue;
        }
        if (family_len(line[i], type, strlen(type)) != name_len || strncmp(line[i], name, name_len))
            fail_msg("%s stands in family %.*s", line[i], (int)name_len, name);
        if (!strcmp(type, "counter") && strncmp(line[i] + name_len - 6, "_total", 6))
            fail_msg("%s: a counter's name ends in _total", line[i]);
        samples++;
    }
    return samples;
}

static void check_value(const char *line)
{
    const char *value = strrchr(line, ' ') + 1;
    char *end;
    double v = strtod(value, &end);

    if (*end || end == value || !isfinite(v))
        fail_msg("%s: no finite number", line);
}

/* Buckets stand in order and never fall; the last one is the count. */
static void check_buckets(char **line, size_t n)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const char *value = strrchr(line[i], ' ') + 1, *next = strrchr(line[i + 1], ' ') + 1;

        if (!strstr(line[i], ",le=\""))
            continue;
        if (strstr(line[i], "le=\"+Inf\"")) {
            if (i + 2 >= n || strcmp(value, strrchr(line[i + 2], ' ') + 1) || !strstr(line[i + 2], "_count{"))
                fail_msg("%s is not the count", line[i]);
        } else if (strtoull(value, NULL, 10) > strtoull(next, NULL, 10)) {
            fail_msg("%s is above %s", line[i], line[i + 1]);
        }
    }
}

static void check_duplicates(char **line, size_t n)
{
    qsort(line, n, sizeof *line, compare_text);
    for (size_t i = 0; i < n; i++) {
        size_t here =
            line[i][0] == '#' ? strcspn(line[i] + 7, " ") + 7 : (size_t)(strrchr(line[i], ' ') - line[i]);

        if (i && !strncmp(line[i - 1], line[i], here + 1))
            fail_msg("twice: %s", line[i]);
    }
}

/* Returns the number of samples. Takes the text. */
static size_t check_page(char *text)
{
    char **line;
    size_t n = split(text, &line), samples = check_families(line, n);

    for (size_t i = 0; i < n; i++)
        if (line[i][0] != '#')
            check_value(line[i]);
    check_buckets(line, n);
    check_duplicates(line, n);
    free(line);
    free(text);
    return samples;
}

static void every_page(void **state)
{
    static const char *const meshes[] = { NULL, "quickstart", "none" };

    (void)state;
    for (unsigned levels = 0; levels <= ALL; levels++)
        for (size_t i = 0; i < TW_NELEM(meshes); i++)
            check_page(render(&snapshot, levels, meshes[i]));
    check_page(render(&(struct metrics_snapshot){ 0 }, ALL, NULL));
}

static void mesh_alone(void **state)
{
    char *text = render(&snapshot, ALL, "other");

    (void)state;
    assert_non_null(strstr(text, "twamp_probes_sent_total{mesh=\"other\",class=\"bulk\",source="
                                 "\"a\\\\b\\\"c\\nd\",target=\"edge1\"} 0\n"));
    assert_null(strstr(text, "quickstart"));
    assert_null(strstr(text, "twamp_agent"));
    assert_null(strstr(text, "twamp_ingest"));
    assert_non_null(strstr(text, "twamp_build_info{"));
    free(text);
}

/* ---- Series: the numbers that plans count with ---- */

static void set_delay(struct stats_delay *d)
{
    d->min_s = d->p50_s = d->p95_s = d->p99_s = d->jitter_rfc3550_s = (struct tw_num)N(0.001);
}

static struct metrics_pair full_pair(const char *source)
{
    struct metrics_pair p = { .mesh = "m",
                              .class_name = "c",
                              .source = source,
                              .target = "t",
                              .fresh = true,
                              .state = "ok",
                              .last_end_ns = 1,
                              .completeness_ratio = N(1) };

    for (int d = 0; d < 3; d++)
        set_delay(&p.last.delay[d]);
    p.last.host_trouble = "none";
    p.last.loss_ratio = p.last.loss_forward_ratio = p.last.loss_backward_ratio = p.last.loss_unknown_ratio =
        p.last.ttl_forward_min = p.last.ttl_backward_min = p.last.tos_forward_min =
            p.last.tos_backward_min = p.last.availability_ratio = (struct tw_num)N(0);
    return p;
}

static void groups_have_a_budget(void **state)
{
    struct metrics_group g[5];
    char names[5][8], *text;
    struct metrics_snapshot s = { .sites = g, .n_sites = TW_NELEM(g) };

    (void)state;
    for (int i = 0; i < 5; i++) {
        sprintf(names[i], "s%d", i);
        g[i] = (struct metrics_group){
            .mesh = "m", .class_name = "c", .source_site = names[i], .target_site = "t", .sent = 100
        };
        g[i].received = i == 1 || i == 3 ? 50 : 100;
    }
    s.max_pair_series = 2 * metrics_series_per_group() + 1;
    text = render(&s, METRICS_SITE, NULL);
    assert_null(strstr(text, "source_site=\"s0\""));
    assert_non_null(strstr(text, "source_site=\"s1\""));
    assert_null(strstr(text, "source_site=\"s2\""));
    assert_non_null(strstr(text, "source_site=\"s3\""));
    sprintf(names[0], "%u", 3 * metrics_series_per_group());
    assert_non_null(strstr(strstr(text, "\ntwamp_series_suppressed{level=\"site\"} "), names[0]));
    check_page(text);
}

static void series_are_counted(void **state)
{
    struct metrics_pair p = full_pair("s");
    struct metrics_group g = { .mesh = "m", .class_name = "c", .source = "s", .has_missing = true };
    struct metrics_snapshot none = { 0 }, one = { .pairs = &p, .n_pairs = 1 },
                            group = { .agents = &g, .n_agents_groups = 1 };
    size_t base = check_page(render(&none, METRICS_DEFAULT, NULL));

    (void)state;
    assert_int_equal(check_page(render(&one, METRICS_DEFAULT, NULL)) - base, metrics_series_per_pair());
    assert_int_equal(check_page(render(&group, METRICS_DEFAULT, NULL)) - base, metrics_series_per_group());
}

static void budget_keeps_the_worst(void **state)
{
    static const struct {
        const char *source;
        double loss;
        bool fresh, kept;
    } rows[] = {
        { "p0", 0, true, false },    { "p1", 0.5, true, true }, { "p2", 0.1, true, false },
        { "p3", 0.9, false, false }, { "p4", 0.2, true, true }, { "p5", 0.1, true, false },
        { "p6", 1, true, true },
    };
    struct metrics_pair p[TW_NELEM(rows)];
    struct metrics_snapshot s = { .pairs = p, .n_pairs = TW_NELEM(rows) };
    char suppressed[64], *text;

    (void)state;
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        p[i] = full_pair(rows[i].source);
        p[i].fresh = rows[i].fresh;
        p[i].last.loss_ratio.value = rows[i].loss;
    }
    s.max_pair_series = 4 * metrics_series_per_pair() - 1;
    text = render(&s, METRICS_DEFAULT, NULL);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        char name[32];

        sprintf(name, "source=\"%s\"", rows[i].source);
        if (!!strstr(text, name) != rows[i].kept)
            fail_msg("%s: %s", rows[i].source, rows[i].kept ? "held back" : "kept");
    }
    assert_true(strstr(text, "source=\"p1\"") <
                strstr(text, "source=\"p4\"")); /* in the order in which they were */
    assert_true(strstr(text, "source=\"p4\"") < strstr(text, "source=\"p6\""));
    sprintf(suppressed, "\ntwamp_series_suppressed{level=\"pair\"} %u\n", 4 * metrics_series_per_pair());
    assert_non_null(strstr(text, suppressed));
    check_page(text);
    s.max_pair_series = 7 * metrics_series_per_pair();
    text = render(&s, METRICS_DEFAULT, NULL);
    assert_non_null(strstr(text, "\ntwamp_series_suppressed{level=\"pair\"} 0\n"));
    free(text);
}

/* ---- Numbers ---- */

static void bounds_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < METRICS_LE_N; i++) {
        int64_t below = (int64_t)floor(metrics_le_s[i] * 1e9); /* the last whole ns that is <= the bound */
        struct metrics_hist m = { 0 };
        char le[48], *text, *at;
        struct hist h;

        assert_true(metrics_le_s[i] == ldexp(1, (int)i - 15));
        hist_init(&h);
        hist_add(&h, below);
        hist_add(&h, below + 1);
        metrics_hist_add(&m, &h);
        hist_free(&h);
        if (m.bucket[i] != 1 || m.count != 2 || (i && m.bucket[i - 1]))
            fail_msg("bound %zu: %llu below", i, (unsigned long long)m.bucket[i]);
        /* and the text of the bound is the bound */
        text = render(&snapshot, METRICS_MESH, NULL);
        at = strstr(text, "direction=\"forward\",le=\"");
        for (size_t k = 0; k < i; k++)
            at = strchr(at, '\n') + 1;
        at = strstr(at, "le=\"") + 4;
        snprintf(le, sizeof le, "%.*s", (int)strcspn(at, "\""), at);
        assert_true(strtod(le, NULL) == metrics_le_s[i]);
        free(text);
    }
}

static void numbers(void **state)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        { 0, "0" },
        { -0.0, "0" },
        { 1, "1" },
        { -1, "-1" },
        { 0.5, "0.5" },
        { 1e-9, "0.000000001" },
        { -0.000000250, "-0.00000025" },
        { 1.0 / 3, "0.333333333" },
        { 1.0 / 3000, "0.000333333333" },
        { 1e-12, "1e-12" },
        { 123456.789, "123456.789" },
        { 999999.9999999999, "1000000" },
        { 12345678, "12345678" },
        { 123456789012, "123456789012" },
        { 1e300, "1e+300" },
        { 86400.25, "86400.25" },
    };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct mbuf b = { 0 };

        mbuf_double(&b, cases[i].v);
        if (b.len != strlen(cases[i].text) || memcmp(b.p, cases[i].text, b.len))
            fail_msg("%.17g: \"%.*s\", expected \"%s\"", cases[i].v, (int)b.len, b.p, cases[i].text);
        free(b.p);
    }
}

static void numbers_are_near(void **state)
{
    uint64_t r = 5;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        struct mbuf b = { 0 };
        double v, got;

        r = r * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        v = ldexp((double)(int64_t)r, (int)(r >> 40) % 120 - 120);
        mbuf_double(&b, v);
        mbuf_put(&b, "", 1);
        got = strtod(b.p, NULL);
        if (fabs(got - v) > fabs(v) * 5e-9)
            fail_msg("%.17g became %s", v, b.p);
        free(b.p);
    }
}

/* ---- Reference ---- */

#define BEGIN "<!-- metrics: begin -->\n"
#define END "<!-- metrics: end -->\n"

static void describe_all(char *text, size_t cap)
{
    struct metrics_description d;
    size_t len = (size_t)snprintf(text, cap, "| metric | type | labels | meaning |\n|---|---|---|---|\n");

    for (size_t i = 0; metrics_describe(i, &d) && len < cap; i++)
        len += (size_t)snprintf(text + len, cap - len, "| `%s` | %s | %s | %s |\n", d.name, d.type, d.labels,
                                d.help);
    assert_true(len < cap);
}

static void reference(void **state)
{
    static char table[32768], fresh[65536];
    char *doc = read_file(REFERENCE), *begin = strstr(doc, BEGIN), *end = strstr(doc, END);

    (void)state;
    if (!begin || !end || end < begin)
        fail_msg("%s: no marks of the table", REFERENCE);
    begin += strlen(BEGIN);
    describe_all(table, sizeof table);
    snprintf(fresh, sizeof fresh, "%.*s%s%s", (int)(begin - doc), doc, table, end);
    if (updating())
        write_file(REFERENCE, fresh);
    else
        expect_same(REFERENCE, doc, fresh);
    free(doc);
}

/* ---- Speed ---- */

static void ten_thousand_pairs(void **state)
{
    enum { COUNT = 10000 };
    struct metrics_pair *p = calloc(COUNT, sizeof *p);
    char(*names)[32] = calloc(COUNT, sizeof *names), *text;
    struct metrics_snapshot s = { .pairs = p, .n_pairs = COUNT };
    struct timespec a, b;
    double seconds;

    (void)state;
    assert_non_null(p);
    assert_non_null(names);
    for (int i = 0; i < COUNT; i++) {
        sprintf(names[i], "agent-%d.example.net", i);
        p[i] = full_pair(names[i]);
        p[i].last.delay[TW_ROUNDTRIP].p50_s.value = i * 1.234567e-6;
        p[i].last.loss_ratio.value = i / 30000.;
        p[i].sent = (uint64_t)i * 1000003;
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    text = render(&s, METRICS_DEFAULT, NULL);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    seconds = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
    printf("%zu octets in %.3f s\n", strlen(text), seconds);
    if (seconds > 2) /* a tenth of it on an idle machine */
        fail_msg("%.3f s of processor time", seconds);
    assert_true(check_page(text) > COUNT * metrics_series_per_pair());
    free(names);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden),
        cmocka_unit_test(every_page),
        cmocka_unit_test(mesh_alone),
        cmocka_unit_test(series_are_counted),
        cmocka_unit_test(groups_have_a_budget),
        cmocka_unit_test(budget_keeps_the_worst),
        cmocka_unit_test(bounds_are_exact),
        cmocka_unit_test(numbers),
        cmocka_unit_test(numbers_are_near),
        cmocka_unit_test(reference),
        cmocka_unit_test(ten_thousand_pairs),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
