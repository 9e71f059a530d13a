/* tests/bench/metrics.c - the page /metrics of a large mesh: what making and compressing it costs, against
 * writing the same octets with one snprintf a line and against copying them, in the same run. Prints a table.
 *
 * usage: metrics [pairs] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#include "common/net/httpd.h"
#include "controller/core/metrics_text.h"

#define ALL (METRICS_PAIR | METRICS_AGENT | METRICS_MESH)
#define ROUNDS 7
#define CLASSES 5
#define NAME_MAX_LEN 24
#define GZIP_LEVEL 4 /* as pages are compressed */

struct page {
    char *text;
    size_t len;
};

struct lines {
    const char **at;
    size_t *len;
    size_t n, series;
};

static const char *const classes[CLASSES] = { "voice", "video", "bulk", "signalling", "stamp-auth" };

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

static double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* ---- A full mesh with delays, losses and counters as they come from the network ---- */

static void fill_last(struct stats_view *v, unsigned salt)
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
    for (int d = 0; d < 3; d++)
        s.jitter[d] = (struct tw_jitter){ 498 * (90000 + salt % 1009), 498, 496 * 120000, 496 };
    s.ttl_forward = s.ttl_backward = (struct tw_octet_range){ 251, 251, 498, 0 };
    s.clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 200000 };
    s.clock_remote_known = true;
    s.clock_remote = s.clock_local;
    stats_view(&s, v);
    summary_free(&s);
}

static void fill_pair(struct metrics_pair *p, size_t i, size_t hosts, char (*names)[NAME_MAX_LEN])
{
    size_t leg = i / CLASSES, source = leg % hosts, hop = 1 + leg / hosts;

    p->mesh = "backbone";
    p->class_name = classes[i % CLASSES];
    p->source = names[source];
    p->target = names[(source + hop) % hosts];
    p->fresh = true;
    p->state = "ok";
    p->last_end_ns = INT64_C(1795435200000000000) + (int64_t)i * 1000003;
    fill_last(&p->last, (unsigned)i);
    p->completeness_ratio = (struct tw_num){ true, 1 };
    p->sent = 500 * (1000 + i);
    p->received = p->sent - i % 800;
    p->lost[TW_FORWARD] = i % 800;
}

static struct metrics_snapshot make_snapshot(size_t n)
{
    struct metrics_pair *pairs = need(calloc(n, sizeof *pairs));
    size_t hosts = 2;
    char(*names)[NAME_MAX_LEN];

    while (hosts * (hosts - 1) * CLASSES < n)
        hosts++;
    names = need(calloc(hosts, sizeof *names));
    for (size_t i = 0; i < hosts; i++)
        snprintf(names[i], sizeof names[i], "edge%zu.example.net", i % 1000);
    for (size_t i = 0; i < n; i++)
        fill_pair(&pairs[i], i, hosts, names);
    return (struct metrics_snapshot){ .pairs = pairs, .n_pairs = n, .generation = 1 };
}

/* ---- The ways to make the page ---- */

static struct page render(const struct metrics_snapshot *s)
{
    struct page p;

    if (metrics_render(s, &metrics_text, ALL, NULL, &p.text, &p.len) != TW_OK)
        die("the page cannot be made");
    return p;
}

static double time_render(const struct metrics_snapshot *s)
{
    double start = now_ms();
    struct page p = render(s);

    start = now_ms() - start;
    free(p.text);
    return start;
}

/* Compression and response as the controller makes them, from text that is there. */
static double time_blob(const struct page *p)
{
    char *copy = memcpy(need(malloc(p->len)), p->text, p->len);
    struct http_blob *b;
    double start = now_ms();

    if (http_blob_new(copy, p->len, "text/plain", true, &b) != TW_OK)
        die("the page cannot be compressed");
    start = now_ms() - start;
    http_blob_unref(b);
    return start;
}

/* What any writer of such a page pays that prints line by line: one call, two texts, one number. */
static double time_snprintf(const struct page *p, const struct lines *l)
{
    char *out = need(malloc(p->len + 64));
    size_t at = 0;
    double start = now_ms();

    for (size_t i = 0; i < l->n; i++) {
        const char *space = memchr(l->at[i], ' ', l->len[i]);
        size_t name = space ? (size_t)(space - l->at[i]) : 0;
        double value = (double)i / 1024;
        at += (size_t)snprintf(out + at, p->len + 64 - at, "%.*s %.9g\n", (int)name, l->at[i], value);
        if (at > p->len)
            at = 0;
    }
    start = now_ms() - start;
    free(out);
    return start;
}

static double time_copy(const struct page *p)
{
    char *out = need(malloc(p->len));
    double start = now_ms();

    memcpy(out, p->text, p->len);
    __asm__ volatile("" : : "r"(out) : "memory");
    start = now_ms() - start;
    free(out);
    return start;
}

static size_t gzip_len(const struct page *p)
{
    z_stream z = { 0 };
    unsigned char *out = need(malloc(p->len));
    size_t len;

    if (deflateInit2(&z, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        die("zlib");
    z.next_in = (z_const Bytef *)p->text;
    z.avail_in = (uInt)p->len;
    z.next_out = out;
    z.avail_out = (uInt)p->len;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        die("the page cannot be compressed");
    len = z.total_out;
    deflateEnd(&z);
    free(out);
    return len;
}

static struct lines split(const struct page *p)
{
    struct lines l = { need(calloc(p->len / 2 + 1, sizeof *l.at)),
                       need(calloc(p->len / 2 + 1, sizeof *l.len)), 0, 0 };

    for (const char *at = p->text, *end = at + p->len, *nl; at < end; at = nl + 1) {
        nl = memchr(at, '\n', (size_t)(end - at));
        if (!nl)
            die("the page does not end with a line");
        l.at[l.n] = at;
        l.len[l.n++] = (size_t)(nl - at);
        l.series += *at != '#';
    }
    return l;
}

/* ---- Measuring: the median of some rounds, all ways in each round ---- */

enum way { RENDER, BLOB, PRINT, COPY, WAYS };

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;

    return (a > b) - (a < b);
}

static void measure(const struct metrics_snapshot *s, const struct page *p, const struct lines *l,
                    double ret[WAYS])
{
    double t[WAYS][ROUNDS];

    for (int r = 0; r < ROUNDS; r++) {
        t[RENDER][r] = time_render(s);
        t[BLOB][r] = time_blob(p);
        t[PRINT][r] = time_snprintf(p, l);
        t[COPY][r] = time_copy(p);
    }
    for (int w = 0; w < WAYS; w++) {
        qsort(t[w], ROUNDS, sizeof t[w][0], by_value);
        ret[w] = t[w][ROUNDS / 2];
    }
}

static void print_way(const char *what, double ms, const struct page *p)
{
    printf("  %-44s %10.1f ms %10.0f MB/s\n", what, ms, (double)p->len / 1e3 / ms);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 10000;
    struct metrics_snapshot s;
    struct page p;
    struct lines l;
    double ms[WAYS];

    if (!n || n > 200000)
        die("usage: metrics [pairs, at most 200000]");
    s = make_snapshot(n);
    p = render(&s);
    l = split(&p);
    measure(&s, &p, &l, ms);
    printf("/metrics, %zu pairs, median of %d rounds\n", n, ROUNDS);
    printf("  %-44s %10zu\n", "series", l.series);
    printf("  %-44s %10.2f MB\n", "page", (double)p.len / 1e6);
    printf("  %-44s %10.2f MB\n", "page, gzipped", (double)gzip_len(&p) / 1e6);
    print_way("metrics_render() from the snapshot", ms[RENDER], &p);
    print_way("compressing it besides", ms[BLOB], &p);
    print_way("baseline: one snprintf() for each line", ms[PRINT], &p);
    print_way("floor: memcpy() of the page", ms[COPY], &p);
    printf("  %-44s %10.2f\n", "render / snprintf baseline", ms[RENDER] / ms[PRINT]);
    free(l.at);
    free(l.len);
    free(p.text);
    free((void *)s.pairs[0].source); /* the names are one block, and this is its first */
    free((void *)s.pairs);
    return 0;
}
