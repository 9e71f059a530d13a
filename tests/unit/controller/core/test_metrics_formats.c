/* The page in OpenMetrics and in protobuf against the page in text: the same series with the same values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "exposition.pb-c.h"
#include "tests/unit/controller/core/metrics_fixture.h"

typedef Io__Prometheus__Client__MetricFamily Family;
typedef Io__Prometheus__Client__Metric Metric;
typedef Io__Prometheus__Client__Histogram Histogram;

static char *render(const struct metrics_snapshot *s, const struct metrics_ops *format, unsigned levels,
                    size_t *ret_len)
{
    char *page;

    assert_int_equal(metrics_render(s, format, levels, NULL, &page, ret_len), TW_OK);
    page = realloc(page, *ret_len + 1);
    assert_non_null(page);
    page[*ret_len] = '\0';
    return page;
}

/* ---- Lines of text: one for each series, sorted ---- */

struct lines {
    char **v;
    size_t n;
};

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_line(struct lines *l, const char *text)
{
    if (!(l->n & (l->n - 1))) { /* full at each power of two; under ASan each growth is a copy */
        l->v = realloc(l->v, 2 * (l->n + 1) * sizeof *l->v);
        assert_non_null(l->v);
    }
    l->v[l->n++] = strdup(text);
}

static void free_lines(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i]);
    free(l->v);
}

/* Takes the page. Bounds as OpenMetrics writes them. */
static struct lines series_of(char *page)
{
    struct lines l = { 0 };
    char *rest;

    for (char *line = strtok_r(page, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        static const char *const whole[] = { "le=\"1\"", "le=\"2\"", "le=\"4\"", "le=\"8\"",
                                             "quantile=\"1\"" };
        char copy[1024];

        if (*line == '#')
            continue;
        assert_true(strlen(line) < sizeof copy - 8);
        strcpy(copy, line);
        for (size_t i = 0; i < TW_NELEM(whole); i++) {
            char *at = strstr(copy, whole[i]);

            if (!at)
                continue;
            at += strlen(whole[i]) - 1;
            memmove(at + 2, at, strlen(at) + 1);
            memcpy(at, ".0", 2);
        }
        add_line(&l, copy);
    }
    qsort(l.v, l.n, sizeof *l.v, compare);
    free(page);
    return l;
}

static void expect_same(const char *what, struct lines got, struct lines want)
{
    for (size_t i = 0; i < got.n && i < want.n; i++)
        if (strcmp(got.v[i], want.v[i]))
            fail_msg("%s: %s, expected %s", what, got.v[i], want.v[i]);
    assert_int_equal(got.n, want.n);
    free_lines(&got);
    free_lines(&want);
}

/* ---- OpenMetrics ---- */

static void open_metrics_has_the_same_series(void **state)
{
    size_t len;
    char *open = render(&snapshot, &metrics_openmetrics, METRICS_ALL, &len), *copy = strdup(open);

    (void)state;
    if (len < 6 || strcmp(open + len - 6, "# EOF\n") || strstr(open, "# EOF") != open + len - 6)
        fail_msg("no end mark, or not at the end");
    expect_same("OpenMetrics", series_of(copy),
                series_of(render(&snapshot, &metrics_text, METRICS_ALL, &len)));
    free(open);
}

static bool ends_with(const char *text, size_t len, const char *end)
{
    size_t n = strlen(end);

    return len >= n && !memcmp(text + len - n, end, n);
}

/* Names of families are unique, also against those of counters without their ending, and units are those of
 * names. */
static void open_metrics_heads(void **state)
{
    size_t len;
    char *page = render(&snapshot, &metrics_openmetrics, METRICS_ALL, &len), *rest;
    struct lines families = { 0 };

    (void)state;
    for (char *line = strtok_r(page, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[128] = "", word[64] = "";

        if (sscanf(line, "# TYPE %127s %63s", name, word) == 2) {
            if (!strcmp(word, "counter") && ends_with(name, strlen(name), "_total"))
                fail_msg("%s: the family of a counter has no ending", line);
            add_line(&families, name);
        } else if (sscanf(line, "# UNIT %127s %63s", name, word) == 2) {
            if (!ends_with(name, strlen(name), word))
                fail_msg("%s: the name must end in its unit", line);
        }
    }
    qsort(families.v, families.n, sizeof *families.v, compare);
    for (size_t i = 1; i < families.n; i++)
        if (!strcmp(families.v[i - 1], families.v[i]))
            fail_msg("family %s is there twice", families.v[i]);
    assert_true(families.n > 80);
    free_lines(&families);
    free(page);
}

/* ---- Protobuf ---- */

/* The next message; NULL: the end. */
static Family *next_family(const uint8_t **p, const uint8_t *end)
{
    uint64_t len = 0;
    unsigned shift = 0;
    Family *f;

    if (*p == end)
        return NULL;
    do {
        assert_true(*p < end && shift < 63);
        len |= (uint64_t)(**p & 0x7f) << shift;
        shift += 7;
    } while (*(*p)++ & 0x80);
    assert_true(len <= (uint64_t)(end - *p));
    f = io__prometheus__client__metric_family__unpack(NULL, len, *p);
    assert_non_null(f);
    *p += len;
    return f;
}

static void put_series(struct lines *l, const char *name, const char *suffix, const Metric *m, const char *le,
                       double value)
{
    struct mbuf b = { 0 };
    const char *sep = "{";

    mbuf_text(&b, name);
    mbuf_text(&b, suffix);
    for (size_t i = 0; i < m->n_label + (le != NULL); i++) {
        mbuf_text(&b, sep);
        mbuf_text(&b, i < m->n_label ? m->label[i]->name : "le");
        mbuf_text(&b, "=\"");
        mbuf_label(&b, i < m->n_label ? m->label[i]->value : le);
        mbuf_text(&b, "\"");
        sep = ",";
    }
    mbuf_text(&b, *sep == ',' ? "} " : " ");
    if (value >= 0x1p63) /* a counter as long as those of text, which no double holds */
        mbuf_text(&b, "18446744073709551615");
    else if (value > 1e9 && value != rint(value)) /* Unix time */
        mbuf_seconds(&b, llrint(value * 1e9));
    else
        mbuf_double(&b, value);
    mbuf_put(&b, "", 1);
    add_line(l, b.p);
    free(b.p);
}

static void put_histogram(struct lines *l, const char *name, const Metric *m)
{
    const Histogram *h = m->histogram;

    assert_int_equal(h->n_bucket, METRICS_LE_N);
    for (size_t i = 0; i < h->n_bucket; i++) {
        char le[32];

        snprintf(le, sizeof le, "%.17g", h->bucket[i]->upper_bound);
        if (h->bucket[i]->upper_bound >= 1)
            strcat(le, ".0");
        put_series(l, name, "_bucket", m, le, (double)h->bucket[i]->cumulative_count);
    }
    put_series(l, name, "_bucket", m, "+Inf", (double)h->sample_count);
    put_series(l, name, "_sum", m, NULL, h->sample_sum);
    put_series(l, name, "_count", m, NULL, (double)h->sample_count);
}

static void expect_same_in_protobuf(const struct metrics_snapshot *s)
{
    size_t len;
    char *page = render(s, &metrics_protobuf, METRICS_ALL, &len);
    const uint8_t *p = (const uint8_t *)page, *end = p + len;
    struct lines got = { 0 };
    Family *f;

    while ((f = next_family(&p, end))) {
        assert_true(f->n_metric > 0 && *f->help);
        assert_true(!*f->unit || strstr(f->name, f->unit));
        for (size_t i = 0; i < f->n_metric; i++) {
            const Metric *m = f->metric[i];

            assert_int_equal(!!m->counter, f->type == IO__PROMETHEUS__CLIENT__METRIC_TYPE__COUNTER);
            assert_int_equal(!!m->gauge, f->type == IO__PROMETHEUS__CLIENT__METRIC_TYPE__GAUGE);
            assert_int_equal(!!m->histogram, f->type == IO__PROMETHEUS__CLIENT__METRIC_TYPE__HISTOGRAM);
            if (m->histogram)
                put_histogram(&got, f->name, m);
            else
                put_series(&got, f->name, "", m, NULL, m->gauge ? m->gauge->value : m->counter->value);
        }
        io__prometheus__client__metric_family__free_unpacked(f, NULL);
    }
    qsort(got.v, got.n, sizeof *got.v, compare);
    free(page);
    expect_same("protobuf", got, series_of(render(s, &metrics_text, METRICS_ALL, &len)));
}

static void protobuf_has_the_same_series(void **state)
{
    (void)state;
    expect_same_in_protobuf(&snapshot);
}

/* ---- Pages that go out piece by piece ---- */

struct pieces {
    size_t n, longest;
};

static void count_piece(void *ctx, const char *p, size_t len)
{
    struct pieces *c = ctx;

    (void)p;
    c->n++;
    c->longest = len > c->longest ? len : c->longest;
}

static void hold_nothing(void *ctx)
{
    (void)ctx;
}

/* A family of these takes several pieces in every format. */
static void large_pages_are_the_same(void **state)
{
    enum { COUNT = 6000 };
    struct metrics_pair *v = calloc(COUNT, sizeof *v);
    char(*names)[24] = calloc(COUNT, sizeof *names);
    struct metrics_snapshot s = snapshot;
    size_t len;

    (void)state;
    assert_non_null(v);
    assert_non_null(names);
    for (size_t i = 0; i < COUNT; i++) {
        sprintf(names[i], "agent-%zu", i);
        v[i] = pairs[i % TW_NELEM(pairs)];
        v[i].source = names[i];
    }
    s.pairs = v;
    s.n_pairs = COUNT;
    expect_same_in_protobuf(&s);
    expect_same("OpenMetrics", series_of(render(&s, &metrics_openmetrics, METRICS_ALL, &len)),
                series_of(render(&s, &metrics_text, METRICS_ALL, &len)));
    for (size_t i = 0; i < 3; i++) {
        const struct metrics_ops *const formats[] = { &metrics_text, &metrics_openmetrics,
                                                      &metrics_protobuf };
        struct pieces c = { 0 };

        assert_int_equal(
            metrics_render_to(&s, formats[i], METRICS_ALL, NULL,
                              &(struct metrics_sink){ count_piece, hold_nothing, count_piece, &c }),
            TW_OK);
        if (c.n < 10 || c.longest > 2 * METRICS_PIECE)
            fail_msg("format %zu: %zu pieces, up to %zu octets", i, c.n, c.longest);
    }
    free(names);
    free(v);
}

/* ---- Native histograms ---- */

/* Bucket `index` of the format's, as its text says: (2^((index - 1) / 2^schema), 2^(index / 2^schema)]. */
static uint64_t count_between(const int64_t *values, size_t n, int schema, int sign, int64_t index)
{
    double lo = exp2(ldexp((double)(index - 1), -schema)), hi = exp2(ldexp((double)index, -schema));
    uint64_t count = 0;

    for (size_t i = 0; i < n; i++) {
        double v = sign * (double)values[i] / 1e9;

        count += v > lo && v <= hi;
    }
    return count;
}

static uint64_t check_side(Io__Prometheus__Client__BucketSpan **span, size_t n_span, const int64_t *delta,
                           size_t n_delta, const int64_t *values, size_t n, int schema, int sign)
{
    int64_t index = 0, count = 0;
    uint64_t sum = 0;
    size_t at = 0;

    for (size_t i = 0; i < n_span; i++) {
        index += span[i]->offset;
        assert_true(i == 0 || span[i]->offset > 0);
        for (uint32_t k = 0; k < span[i]->length; k++, index++) {
            assert_true(at < n_delta);
            count += delta[at++];
            if ((uint64_t)count != count_between(values, n, schema, sign, index))
                fail_msg("schema %d, bucket %lld of sign %d: %lld", schema, (long long)index, sign,
                         (long long)count);
            sum += (uint64_t)count;
        }
    }
    assert_int_equal(at, n_delta);
    return sum;
}

/* None of the values is a bound. */
static const int64_t delays[] = { 0,          0,          1,         3,         1700,      999999937,
                                  11800000,   11800001,   11800900,  12900077,  -11800000, -1700,
                                  -1,         5000000011, 77,        123456789, 11700013,  60000011,
                                  4000000009, -7000000,   -11790001, 900000007, 250003,    250007 };

static void native_histograms(void **state)
{
    struct metrics_pair p = { .mesh = "m", .class_name = "c", .source = "s", .target = "t", .state = "ok" };
    struct metrics_snapshot s = { .pairs = &p, .n_pairs = 1 };
    struct hist h, empty;
    unsigned seen = 0;

    (void)state;
    hist_init(&h);
    hist_init(&empty);
    for (size_t i = 0; i < TW_NELEM(delays); i++)
        hist_add(&h, delays[i]);
    p.delay[TW_ROUNDTRIP] = &h;
    p.delay[TW_FORWARD] = &empty;
    for (int scale = HIST_SCALE; scale >= HIST_SCALE_MIN; scale--) {
        size_t len;
        char *page;
        const uint8_t *at;
        Family *f;

        hist_downscale(&h, scale);
        page = render(&s, &metrics_protobuf, METRICS_PAIR, &len);
        at = (const uint8_t *)page;
        while ((f = next_family(&at, (const uint8_t *)page + len))) {
            if (!strcmp(f->name, "twamp_delay_seconds")) {
                const Histogram *e = f->metric[0]->histogram, *r = f->metric[1]->histogram;

                seen++;
                assert_int_equal(f->n_metric, 2); /* backward is not kept */
                assert_int_equal(e->sample_count, 0);
                assert_true(e->zero_threshold > 0); /* native, though empty */
                assert_int_equal(r->schema, scale);
                assert_true(r->zero_threshold > 0 && r->zero_threshold < 1e-9);
                assert_int_equal(r->zero_count, 2);
                assert_int_equal(r->sample_count, TW_NELEM(delays));
                assert_true(fabs(r->sample_sum - (double)h.sum_ns / 1e9) < 1e-9);
                assert_int_equal(2 +
                                     check_side(r->positive_span, r->n_positive_span, r->positive_delta,
                                                r->n_positive_delta, delays, TW_NELEM(delays), scale, 1) +
                                     check_side(r->negative_span, r->n_negative_span, r->negative_delta,
                                                r->n_negative_delta, delays, TW_NELEM(delays), scale, -1),
                                 TW_NELEM(delays));
            }
            io__prometheus__client__metric_family__free_unpacked(f, NULL);
        }
        free(page);
    }
    assert_int_equal(seen, HIST_SCALE - HIST_SCALE_MIN + 1);
    hist_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(open_metrics_has_the_same_series),
        cmocka_unit_test(open_metrics_heads),
        cmocka_unit_test(protobuf_has_the_same_series),
        cmocka_unit_test(large_pages_are_the_same),
        cmocka_unit_test(native_histograms),
    };
    return cmocka_run_group_tests(tests, fill, NULL);
}
