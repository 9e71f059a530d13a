/* tests/bench/metrics.c - the page /metrics of a large mesh in each format: what making and compressing it
 * costs in time of one processor, against writing the same octets of text with one snprintf a line, in the
 * same run.
 *
 * usage: metrics [AGENTS [CLASSES]]   a full mesh, 100 agents and one class unless told otherwise
 *        metrics scale                cost of a series from 1,000 to 100,000 pairs */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include "common/net/httpd.h"
#include "common/metrics_page.h"

#define ROUNDS 5
#define NAME_MAX_LEN 24
#define GZIP_LEVEL 2 /* as large pages are compressed */
#define FORMATS 3
#define NO_BUDGET 0

static const struct {
    const char *name;
    const struct metrics_ops *ops;
} formats[FORMATS] = { { "text", &metrics_text },
                       { "openmetrics", &metrics_openmetrics },
                       { "protobuf", &metrics_protobuf } };

static const char *const classes[] = { "voice", "video", "bulk", "signalling", "stamp-auth" };

struct page {
    char *text;
    size_t len;
};

/* A full mesh, and what the snapshot of it points to. */
struct install {
    struct metrics_snapshot s;
    struct metrics_pair *pairs;
    struct metrics_group *groups, all;
    struct hist (*delays)[3], (*group_delays)[3];
    char (*names)[NAME_MAX_LEN];
    size_t hosts, n, n_groups;
};

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "metrics: %s\n", what);
    exit(1);
}

static void *need(void *p)
{
    if (!p)
        die("out of memory");
    return p;
}

/* Of this thread: others may have the processor in between. */
static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- A full mesh with delays, losses and counters as they come from the network ---- */

/* delays: as many as 100 report periods have, but only the buckets of one. */
static void fill_last(struct stats_view *v, struct hist delays[3], unsigned salt)
{
    static const int64_t base_ns[3] = { 5 * TW_NS_PER_MS, 6 * TW_NS_PER_MS, 11 * TW_NS_PER_MS };
    struct tw_summary s;

    summary_init(&s);
    s.start_ns = 10 * TW_NS_PER_S;
    s.end_ns = 20 * TW_NS_PER_S;
    s.sent = 500;
    s.received = 500 - salt % 3;
    s.lost_forward = salt % 3;
    s.status = summary_status(&s);
    for (unsigned i = 0; i < s.received; i++)
        for (int d = 0; d < 3; d++)
            hist_add(&s.delay[d],
                     base_ns[d] + (int64_t)((i * 2654435761u + salt * 40503u) % 1000) * (700 + salt % 97));
    for (int d = 0; d < 3; d++) {
        s.jitter[d] = (struct tw_jitter){ 498 * (90000 + salt % 1009), 498, 496 * 120000, 496 };
        hist_init(&delays[d]);
        hist_merge(&delays[d], &s.delay[d]);
    }
    s.ttl_forward = s.ttl_backward = (struct tw_octet_range){ 251, 251, 498, 0 };
    s.clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 200000 };
    s.clock_remote_known = true;
    s.clock_remote = s.clock_local;
    stats_view(&s, v);
    summary_free(&s);
}

static void fill_pair(struct install *m, size_t i, size_t n_classes)
{
    struct metrics_pair *p = &m->pairs[i];
    size_t leg = i / n_classes, source = leg % m->hosts, hop = 1 + leg / m->hosts;

    p->mesh = "backbone";
    p->class_name = classes[i % n_classes];
    p->source = m->names[source];
    p->target = m->names[(source + hop) % m->hosts];
    p->fresh = true;
    p->state = "ok";
    p->last_end_ns = INT64_C(1795435200000000000) + (int64_t)i * 1000003;
    fill_last(&p->last, m->delays[i], (unsigned)i);
    for (int d = 0; d < 3; d++)
        p->delay[d] = &m->delays[i][d];
    p->completeness_ratio = (struct tw_num){ true, 1 };
    p->sent = 500 * (1000 + i);
    p->received = p->sent - i % 800;
    p->lost[TW_FORWARD] = i % 800;
}

static void add_to_group(struct metrics_group *g, struct hist delays[3], const struct metrics_pair *p)
{
    g->pairs++;
    g->pairs_fresh++;
    g->sent += p->sent;
    g->received += p->received;
    for (int d = 0; d < 3; d++) {
        metrics_hist_add(&g->delay[d], p->delay[d]);
        hist_merge(&delays[d], p->delay[d]);
        g->delay[d].native = &delays[d];
    }
}

static void fill_groups(struct install *m, size_t n_classes)
{
    for (size_t i = 0; i <= m->n_groups; i++)
        for (int d = 0; d < 3; d++)
            hist_init(&m->group_delays[i][d]);
    for (size_t i = 0; i < m->n; i++) {
        size_t k = (i / n_classes) % m->hosts * n_classes + i % n_classes;
        m->groups[k].mesh = m->all.mesh = m->pairs[i].mesh;
        m->groups[k].class_name = m->all.class_name = m->pairs[i].class_name;
        m->groups[k].source = m->pairs[i].source;
        add_to_group(&m->groups[k], m->group_delays[k], &m->pairs[i]);
        add_to_group(&m->all, m->group_delays[m->n_groups], &m->pairs[i]);
    }
}

static void install_make(struct install *m, size_t hosts, size_t n_classes)
{
    *m = (struct install){ .hosts = hosts,
                           .n = hosts * (hosts - 1) * n_classes,
                           .n_groups = hosts * n_classes };
    m->pairs = need(calloc(m->n, sizeof *m->pairs));
    m->delays = need(calloc(m->n, sizeof *m->delays));
    m->groups = need(calloc(m->n_groups, sizeof *m->groups));
    m->group_delays = need(calloc(m->n_groups + 1, sizeof *m->group_delays));
    m->names = need(calloc(hosts, sizeof *m->names));
    for (size_t i = 0; i < hosts; i++)
        snprintf(m->names[i], sizeof m->names[i], "edge%zu.example.net", i % 10000);
    for (size_t i = 0; i < m->n; i++)
        fill_pair(m, i, n_classes);
    fill_groups(m, n_classes);
    m->s = (struct metrics_snapshot){ .pairs = m->pairs,
                                      .n_pairs = m->n,
                                      .agents = m->groups,
                                      .n_agents_groups = m->n_groups,
                                      .meshes = &m->all,
                                      .n_meshes = 1,
                                      .generation = 1,
                                      .max_pair_series = NO_BUDGET };
}

static void free_delays(struct hist (*v)[3], size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (int d = 0; d < 3; d++)
            hist_free(&v[i][d]);
    free(v);
}

static void install_free(struct install *m)
{
    free_delays(m->delays, m->n);
    free_delays(m->group_delays, m->n_groups + 1);
    free(m->pairs);
    free(m->groups);
    free(m->names);
}

/* ---- The ways to make the page ---- */

static struct page render(const struct metrics_snapshot *s, const struct metrics_ops *format)
{
    struct page p;

    if (metrics_render(s, format, METRICS_DEFAULT, NULL, &p.text, &p.len) != TW_OK)
        die("the page cannot be made");
    return p;
}

static void count_octets(void *ctx, const char *p, size_t len)
{
    (void)p;
    *(size_t *)ctx += len;
}

static void hold_nothing(void *ctx)
{
    (void)ctx;
}

/* Made, and thrown away piece by piece. */
static double time_render(const struct metrics_snapshot *s, const struct metrics_ops *format)
{
    size_t len = 0;
    double start = now_ms();

    if (metrics_render_to(s, format, METRICS_DEFAULT, NULL,
                          &(struct metrics_sink){ count_octets, hold_nothing, count_octets, &len }) != TW_OK)
        die("the page cannot be made");
    start = now_ms() - start;
    if (!len)
        die("the page is empty");
    return start;
}

/* Copies of the histograms, which the loop makes for a page in protobuf. */
static double time_copies(const struct install *m)
{
    struct hist(*v)[3] = need(calloc(m->n, sizeof *v));
    double start = now_ms();

    for (size_t i = 0; i < m->n; i++)
        for (int d = 0; d < 3; d++) {
            hist_init(&v[i][d]);
            if (hist_copy(&v[i][d], &m->delays[i][d]) != TW_OK)
                die("out of memory");
        }
    start = now_ms() - start;
    free_delays(v, m->n);
    return start;
}

static void put_piece(void *ctx, const char *p, size_t len)
{
    http_maker_put(ctx, p, len);
}

static void hold(void *ctx)
{
    http_maker_hold(ctx);
}

static void release(void *ctx, const char *first, size_t len)
{
    http_maker_release(ctx, first, len);
}

/* Made, compressed and ready to be sent, as the controller does it for each scrape. */
static double time_scrape(const struct metrics_snapshot *s, const struct metrics_ops *format)
{
    struct http_maker *m;
    struct http_blob *b;
    double start = now_ms();

    if (http_maker_new("text/plain", &m) != TW_OK ||
        metrics_render_to(s, format, METRICS_DEFAULT, NULL,
                          &(struct metrics_sink){ put_piece, hold, release, m }) != TW_OK ||
        http_maker_end(m, &b) != TW_OK)
        die("the page cannot be made");
    start = now_ms() - start;
    http_blob_unref(b);
    return start;
}

/* What any writer of such a page pays that prints line by line: one call, two texts, one number. */
static double time_snprintf(const struct page *p)
{
    char *out = need(malloc(p->len + 1024));
    size_t at = 0;
    double start = now_ms();

    for (const char *line = p->text, *end = line + p->len, *nl; line < end; line = nl + 1) {
        const char *space;
        nl = need(memchr(line, '\n', (size_t)(end - line)));
        space = memchr(line, ' ', (size_t)(nl - line));
        at += (size_t)snprintf(out + at, p->len + 1024 - at, "%.*s %.9g\n", space ? (int)(space - line) : 0,
                               line, (double)at / 1024);
        if (at > p->len)
            at = 0;
    }
    start = now_ms() - start;
    free(out);
    return start;
}

static size_t gzip_len(const struct page *p)
{
    z_stream z = { 0 };
    unsigned char *out = need(malloc(p->len + 1024));
    size_t len;

    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
    z.next_in = (z_const Bytef *)p->text;
    z.avail_in = (uInt)p->len;
    z.next_out = out;
    z.avail_out = (uInt)p->len + 1024;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("the page cannot be compressed");
    len = z.total_out;
    deflateEnd(&z);
    free(out);
    return len;
}

/* Lines of text that are not comments: what Prometheus calls samples. */
static size_t count_series(const struct page *p)
{
    size_t n = 0;

    for (const char *line = p->text, *end = line + p->len; line < end;
         line = (const char *)need(memchr(line, '\n', (size_t)(end - line))) + 1)
        n += *line != '#';
    return n;
}

/* ---- Measuring: the median of some rounds ---- */

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

static double median_of(const struct metrics_snapshot *s, const struct metrics_ops *format, int rounds,
                        double (*time)(const struct metrics_snapshot *s, const struct metrics_ops *format))
{
    double t[ROUNDS];

    for (int r = 0; r < rounds; r++)
        t[r] = time(s, format);
    return median(t, (size_t)rounds);
}

static void print_budgets(struct install *m)
{
    static const uint64_t budgets[] = { NO_BUDGET, 100000 };

    for (size_t k = 0; k < TW_NELEM(budgets); k++) {
        m->s.max_pair_series = budgets[k];
        printf("  %s\n  %-12s %10s %10s %10s %10s %10s\n",
               k ? "budget of 100,000 series for each level, as by default:" : "without a budget:", "format",
               "MB", "MB gzip", "render ms", "gzip ms", "sum ms");
        for (size_t f = 0; f < FORMATS; f++) {
            struct page p = render(&m->s, formats[f].ops);
            double make = median_of(&m->s, formats[f].ops, ROUNDS, time_render),
                   all = median_of(&m->s, formats[f].ops, ROUNDS, time_scrape);

            printf("  %-12s %10.2f %10.2f %10.1f %10.1f %10.1f\n", formats[f].name, (double)p.len / 1e6,
                   (double)gzip_len(&p) / 1e6, make, all - make, all);
            free(p.text);
        }
    }
}

static void bench_mesh(size_t hosts, size_t n_classes)
{
    struct install m;
    struct page p;
    double t[ROUNDS], print;
    size_t series;

    install_make(&m, hosts, n_classes);
    p = render(&m.s, &metrics_text);
    series = count_series(&p);
    for (int r = 0; r < ROUNDS; r++)
        t[r] = time_snprintf(&p);
    print = median(t, ROUNDS);
    for (int r = 0; r < ROUNDS; r++)
        t[r] = time_copies(&m);
    printf("/metrics, full mesh of %zu agents, %zu pairs, %zu series of text; median of %d rounds, ms of one "
           "processor\n",
           hosts, m.n, series, ROUNDS);
    print_budgets(&m);
    printf("  copying the histograms of pairs for protobuf  %8.1f ms\n", median(t, ROUNDS));
    printf("  baseline: one snprintf() for each line        %8.1f ms\n", print);
    free(p.text);
    install_free(&m);
}

static void print_scale(const char *what, double (*time)(const struct metrics_snapshot *s,
                                                         const struct metrics_ops *format))
{
    static const size_t hosts[] = { 33, 100, 317 }; /* 1,056, 9,900 and 100,172 pairs */

    printf("/metrics, %s: ns of one processor for each series, without a budget, median of 3 rounds\n  %10s %12s",
           what, "pairs", "series");
    for (size_t f = 0; f < FORMATS; f++)
        printf(" %12s", formats[f].name);
    for (size_t i = 0; i < TW_NELEM(hosts); i++) {
        struct install m;
        struct page p;
        size_t series;

        install_make(&m, hosts[i], 1);
        p = render(&m.s, &metrics_text);
        series = count_series(&p);
        free(p.text);
        printf("\n  %10zu %12zu", m.n, series);
        for (size_t f = 0; f < FORMATS; f++)
            printf(" %12.0f", median_of(&m.s, formats[f].ops, 3, time) * 1e6 / (double)series);
        fflush(stdout);
        install_free(&m);
    }
    printf("\n");
}

static void bench_scale(void)
{
    print_scale("made", time_render);
    print_scale("made, compressed and ready to be sent", time_scrape);
}

int main(int argc, char **argv)
{
    size_t hosts = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 100,
           n_classes = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 1;

    if (argc == 2 && !strcmp(argv[1], "scale")) {
        bench_scale();
        return 0;
    }
    if (hosts < 2 || hosts > 400 || !n_classes || n_classes > TW_NELEM(classes))
        die("usage: metrics [AGENTS, 2 to 400 [CLASSES, 1 to 5]] | scale");
    bench_mesh(hosts, n_classes);
    return 0;
}
