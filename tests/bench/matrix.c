/* The matrix of N x N pairs: how long the loop is held, how long a reader works, and how much goes out.
 *   bench_matrix [N [METRIC]]
 *   bench_matrix page [N]     the copy of all of them for a metrics page, at once and in slices */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/net/now.h"
#include "controller/matrix.h"
#include "controller/publish_copy.h"

#define PERIOD (60 * TW_NS_PER_S)
#define ROUNDS 9

static double ms(int64_t since_ns)
{
    return (double)(tw_mono_now().ns - since_ns) / 1e6;
}

static void publish(struct controller *c, struct pair *p, unsigned *seed)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = p->row.id;
    s.start_ns = (tw_wall_now().ns / PERIOD - 1) * PERIOD;
    s.end_ns = s.start_ns + PERIOD;
    s.sent = 600;
    s.lost_forward = (uint64_t)(rand_r(seed) % 20 ? 0 : rand_r(seed) % 30);
    s.received = s.sent - s.lost_forward;
    s.status = summary_status(&s);
    s.clock_local = s.clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 100000 };
    s.clock_remote_known = true;
    for (int i = 0; i < 20; i++) {
        int64_t there = 5000000 + rand_r(seed) % 3000000, back = 5000000 + rand_r(seed) % 3000000;

        hist_add(&s.delay[TW_FORWARD], there);
        hist_add(&s.delay[TW_BACKWARD], back);
        hist_add(&s.delay[TW_ROUNDTRIP], there + back);
    }
    publish_summary(c->publish, p, &s);
    summary_free(&s);
}

static void fill(struct controller *c, size_t n)
{
    unsigned seed = 1;

    for (size_t i = 0; i < n * n; i++) {
        char source[STORE_NAME_MAX], target[STORE_NAME_MAX];
        struct store_pair row = {
            .id = i + 1, .mesh = "full", .class_name = "voice", .source = source, .target = target
        };
        struct pair *p;

        if (i / n == i % n)
            continue;
        snprintf(source, sizeof source, "agent-%03zu", i / n);
        snprintf(target, sizeof target, "agent-%03zu", i % n);
        p = inventory_add_pair(&c->inv, &row);
        if (!p)
            abort();
        p->flows = 1;
        p->scheduled = true;
        p->report_period_ns = PERIOD;
        publish(c, p, &seed);
    }
}

static int cmp(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double v[ROUNDS])
{
    qsort(v, ROUNDS, sizeof *v, cmp);
    return v[ROUNDS / 2];
}

static double cpu_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* The longest piece of a copy, and all of them. */
static double time_copy(struct publish *p, bool native, size_t budget, double *ret_sum)
{
    struct page_copy *c = calloc(1, sizeof *c);
    double longest = 0;
    enum tw_rc rc = TW_EAGAIN;

    if (!c)
        abort();
    *c = (struct page_copy){ .p = p, .levels = METRICS_DEFAULT | METRICS_SITE, .native = native };
    for (*ret_sum = 0; rc == TW_EAGAIN;) {
        double t = cpu_ms();

        rc = publish_copy_go_on(c, budget);
        t = cpu_ms() - t;
        longest = t > longest ? t : longest;
        *ret_sum += t;
    }
    if (rc)
        abort();
    publish_copy_free(c);
    free(c);
    return longest;
}

static void copies(struct controller *c, size_t n, bool native)
{
    double at_once[ROUNDS], longest[ROUNDS], all[ROUNDS], most = 0, sum;

    for (size_t i = 0; i < ROUNDS; i++) {
        at_once[i] = time_copy(c->publish, native, SIZE_MAX, &sum);
        longest[i] = time_copy(c->publish, native, COPY_SLICE, &all[i]);
        most = longest[i] > most ? longest[i] : most;
    }
    printf("%zu pairs, %zu agents, %s native histograms: %.1f ms at once; %.1f ms in slices, the longest "
           "%.2f ms (of all rounds %.2f)\n",
           n * (n - 1), n, native ? "with" : "without", median(at_once), median(all), median(longest), most);
}

/* The agents, each of a site of ten. */
static void fill_agents(struct controller *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct store_agent row = { .id = (int64_t)i + 1 };
        char site[32];
        struct agent *a;

        snprintf(row.name, sizeof row.name, "agent-%03zu", i);
        snprintf(site, sizeof site, "site-%02zu", i / 10);
        a = inventory_add_agent(&c->inv, &row);
        if (!a || !(a->labels = calloc(1, sizeof *a->labels)) || !(a->labels[0].key = strdup("site")) ||
            !(a->labels[0].value = strdup(site)))
            abort();
        a->n_labels = 1;
    }
}

static int bench_page(size_t n)
{
    struct controller c = { 0 };

    if (loop_new(&c.loop) != TW_OK ||
        publish_new(&(struct publish_conf){ .loop = c.loop, .inventory = &c.inv, .native_buckets = 160 },
                    &c.publish) != TW_OK)
        return 1;
    fill_agents(&c, n);
    fill(&c, n);
    copies(&c, n, false);
    copies(&c, n, true);
    return 0;
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 200, len = 0, same;
    struct report_filter f = { .mesh = "full", .class_name = "voice" };
    double take[ROUNDS], write[ROUNDS], pack[ROUNDS];
    struct controller c = { 0 };

    if (argc > 1 && !strcmp(argv[1], "page"))
        return bench_page(argc > 2 ? strtoul(argv[2], NULL, 10) : 90);
    if (argc > 2 && !cell_metric_parse(argv[2], &f.metric))
        return 2;
    if (loop_new(&c.loop) != TW_OK ||
        publish_new(&(struct publish_conf){ .loop = c.loop, .inventory = &c.inv }, &c.publish) != TW_OK)
        return 1;
    fill(&c, n);
    for (size_t i = 0; i < ROUNDS; i++) {
        struct matrix *m = NULL;
        struct http_blob *b = NULL;
        int64_t t = tw_mono_now().ns;
        char *text;

        if (matrix_take(&c, &f, tw_wall_now().ns, &m) != TW_OK)
            return 1;
        take[i] = ms(t);
        t = tw_mono_now().ns;
        text = matrix_json(m, &len, &same);
        write[i] = ms(t);
        t = tw_mono_now().ns;
        if (!text || http_blob_new(text, len, "application/json", true, &b) != TW_OK)
            return 1;
        pack[i] = ms(t);
        http_blob_unref(b);
        matrix_free(m);
    }
    printf("%zu x %zu, %s: taken on the loop in %.1f ms, written in %.1f ms, packed in %.1f ms; %zu octets\n",
           n, n, cell_metric_name(f.metric), median(take), median(write), median(pack), len);
    return 0;
}
