/* tests/bench/history.c - a month of many pairs: what comes in with roll-ups beside bare SQLite, and how long
 * it takes to read while more comes in.
 *
 * usage: bench_history [stored rows] [folder [file [days]]]     1,000,000 rows unless said otherwise; the
 * goals are for 20,000,000. Fewer days than 30: as many pairs with fewer rows. The file in that folder is
 * left behind with the month, and if it is there already, it is read.
 *
 * 10,000 pairs (fewer with fewer rows, 720 rows each at least), 30 days, a summary each half hour: as many
 * cells of an hour, and of a day. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/bench/bare.h"
#include "tests/bench/history_api.h"

#define MONTH_PERIOD_NS (1800 * TW_NS_PER_S)
#define INGEST_PERIOD_NS (60 * TW_NS_PER_S)
#define PER_DAY 48
#define ROWS_PER_DAY (PER_DAY + 24 + 1) /* summaries, cells of an hour and of a day */
#define MAX_PAIRS 10000
#define COMMIT 1000
#define SHAPES 997
#define DAY_NS (86400 * TW_NS_PER_S)
#define DAY0 (INT64_C(20000) * DAY_NS)

static struct tw_summary shapes[SHAPES];
static char dir[256], path[320];
static unsigned pairs, days = 30;
static uint64_t ids[MAX_PAIRS];
static uint64_t seq;
static int64_t period_ns = INGEST_PERIOD_NS;

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_history: %s: %s\n", what, why);
    exit(1);
}

static double seconds_by(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double seconds(void)
{
    return seconds_by(CLOCK_MONOTONIC);
}

static double cpu_seconds(void)
{
    return seconds_by(CLOCK_THREAD_CPUTIME_ID);
}

/* 600 probes of one pair: three histograms of some ten buckets each. */
static void make_shape(struct tw_summary *s, unsigned i)
{
    unsigned seed = i;

    summary_init(s);
    s->generation = 12;
    s->status = TW_STATUS_OK;
    s->sent = s->received = 600;
    for (int k = 0; k < 600; k++) {
        int64_t delay = (10 + i % 20) * TW_NS_PER_MS + rand_r(&seed) % (TW_NS_PER_MS / 2 + (int)i * 1000);
        for (int d = 0; d < 3; d++)
            hist_add(&s->delay[d], d == TW_ROUNDTRIP ? 2 * delay : delay);
        hist_add(&s->send_lateness, 50000 + rand_r(&seed) % 20000);
    }
    for (int d = 0; d < 3; d++)
        s->jitter[d] = (struct tw_jitter){ 30000000, 599, 40000000, 599 };
    s->ttl_forward = s->ttl_backward = (struct tw_octet_range){ 57, 57, 600, 0 };
    s->residence_sum_ns = 600 * INT64_C(21000);
    s->residence_max_ns = 90000;
    s->tx_source = s->rx_source = TW_TS_KERNEL;
    s->clock_local = s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 150000 };
    s->clock_remote_known = true;
}

/* ---- Writing ---- */

/* Row number n: all pairs of a period, then of the next. */
static void next_row(uint64_t n, struct tw_summary *ret)
{
    *ret = shapes[n % SHAPES];
    ret->pair_id = ids[n % pairs];
    ret->start_ns = DAY0 + (int64_t)(n / pairs) * period_ns;
    ret->end_ns = ret->start_ns + period_ns;
}

/* What the store writer does: a commit, then a slice of the roll-up. A month comes faster than 10 min cells
 * end: rounds begin when they are full. */
static void write_commit(struct store *s, int64_t agent, uint64_t *n, bool roll)
{
    static struct tw_summary rows[COMMIT];
    struct store_batch b = { .agent_id = agent, .first_seq = seq + 1, .rows = rows, .n = COMMIT };
    enum store_append_result res;
    uint64_t through;
    struct tw_err err;
    bool more = false;

    for (unsigned i = 0; i < COMMIT; i++)
        next_row((*n)++, &rows[i]);
    if (store_begin(s, &err) || store_append(s, &b, &res, &through, &err) || store_commit(s, &err))
        die("store", err.text);
    seq += COMMIT;
    if (roll && store_rollup(s, period_ns == INGEST_PERIOD_NS ? rows[0].start_ns : DAY0, COMMIT, &more, &err))
        die("roll-up", err.text);
}

static void roll_all(struct store *s)
{
    struct tw_err err;
    bool more = true;

    while (more)
        if (store_rollup(s, INT64_C(1) << 61, COMMIT, &more, &err))
            die("roll-up", err.text);
}

static struct store *open_store(const char *name, int64_t *ret_agent)
{
    struct store_agent a = { .name = "bench" };
    struct tw_err err;
    struct store *s;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    if (store_open(path, &s, &err) || store_put_agent(s, &a, &err))
        die("store", err.text);
    *ret_agent = a.id;
    return s;
}

/* 100 sources, each with as many targets, scheduled for as long as it is measured. */
static void name_pairs(struct store *s)
{
    const struct store_expectation x = { .report_period_ns = MONTH_PERIOD_NS, .flows = 1 };
    struct tw_err err;

    if (store_begin(s, &err))
        die("store", err.text);
    for (unsigned i = 0; i < pairs; i++) {
        char source[16], target[16];
        struct store_pair p = { .mesh = "m", .class_name = "voice", .source = source, .target = target };
        snprintf(source, sizeof source, "a%02u", i / 100);
        snprintf(target, sizeof target, "t%02u", i % 100);
        if (store_put_pair(s, &p, &err) || store_pair_scheduled(s, p.id, 1, &x, DAY0, &err))
            die("store", err.text);
        ids[i] = p.id;
    }
    if (store_commit(s, &err))
        die("store", err.text);
}

/* ---- Reading while it is written ---- */

struct load {
    struct store *s;
    int64_t agent;
    uint64_t n;
    atomic_bool stop;
    uint64_t written;
};

static void *keep_writing(void *arg)
{
    struct load *l = arg;
    uint64_t from = l->n;

    while (!l->stop)
        write_commit(l->s, l->agent, &l->n, true);
    l->written = l->n - from;
    return NULL;
}

struct answer {
    struct tw_summary merged;
    uint64_t rows, cells, latest;
};

static enum tw_rc add_cell(void *ctx, const struct store_cell *c)
{
    struct answer *a = ctx;

    summary_merge(&a->merged, c->merged);
    a->rows += c->rows;
    a->cells++;
    return TW_OK;
}

static enum tw_rc add_latest(void *ctx, const struct tw_summary *s)
{
    struct answer *a = ctx;
    struct stats_view v;

    stats_view(s, &v);
    a->latest += v.sent == 600;
    return TW_OK;
}

static int by_value(const void *a, const void *b)
{
    return *(const double *)a < *(const double *)b ? -1 : *(const double *)a > *(const double *)b;
}

/* cpu_ms: of the reading thread; NULL: others do the work. */
static void print_times(const char *what, double *ms, double *cpu_ms, size_t n, double goal)
{
    qsort(ms, n, sizeof *ms, by_value);
    printf("  %-46s %8.1f ms p50 %8.1f ms p90 %8.1f ms max", what, ms[n / 2], ms[n * 9 / 10], ms[n - 1]);
    if (cpu_ms) {
        qsort(cpu_ms, n, sizeof *cpu_ms, by_value);
        printf(", %5.1f ms of CPU", cpu_ms[n / 2]);
    }
    if (goal > 0)
        printf("   (goal: %.0f ms)", goal);
    putchar('\n');
}

#define MONTHS 60
static void read_months(struct store_reader *r, double *ms, double *cpu_ms)
{
    unsigned seed = 7;
    struct tw_err err;

    for (int i = 0; i < MONTHS; i++) {
        uint64_t pair = ids[(unsigned)rand_r(&seed) % pairs];
        struct answer a = { .rows = 0 };
        double start = seconds(), cpu = cpu_seconds();
        summary_init(&a.merged);
        /* Not at midnight: with edges. */
        if (store_read_span(r,
                            &(struct store_span){ .pair_ids = &pair,
                                                  .n_pairs = 1,
                                                  .from_ns = DAY0 + 7 * 60 * TW_NS_PER_S,
                                                  .to_ns = DAY0 + days * DAY_NS,
                                                  .raw_from_ns = INT64_MAX,
                                                  .fn = add_cell,
                                                  .ctx = &a },
                            &err))
            die("span", err.text);
        ms[i] = 1e3 * (seconds() - start);
        cpu_ms[i] = 1e3 * (cpu_seconds() - cpu);
        if (a.rows != days * PER_DAY - 1 || a.merged.sent != 600 * a.rows)
            die("span", "is not what was written");
        summary_free(&a.merged);
    }
}

#define MATRICES 20
/* What a matrix of a metric needs (controller/matrix_past.c), and whole summaries. */
static const struct {
    const char *what;
    unsigned without;
    double goal;
} matrices[] = {
    { "of losses", STORE_REST | STORE_JITTER | STORE_DELAYS, 50 },
    { "of delays, with percentiles", STORE_REST | STORE_JITTER, 50 },
    { "of whole summaries", 0, 0 },
};
#define MATRIX_KINDS TW_NELEM(matrices)

static void read_matrices(struct store_reader *r, unsigned without, double *ms, double *cpu_ms)
{
    struct tw_err err;

    for (int i = 0; i < MATRICES; i++) {
        struct answer a = { .rows = 0 };
        double start = seconds(), cpu = cpu_seconds();
        if (store_read_latest(r, ids, pairs, without, add_latest, &a, &err))
            die("latest", err.text);
        ms[i] = 1e3 * (seconds() - start);
        cpu_ms[i] = 1e3 * (cpu_seconds() - cpu);
        if (a.latest != pairs)
            die("latest", "is not what was written");
    }
}

static void read_api(double *ms)
{
    struct history_api *a = history_api_start(path, ids, pairs, MONTH_PERIOD_NS);

    for (int i = 0; i < MATRICES; i++) {
        double start = seconds();
        if (history_api_get(a, "/api/v1/report?latest=true") < pairs)
            die("api", "is not what was written");
        ms[i] = 1e3 * (seconds() - start);
    }
    history_api_stop(a);
}

static void read_meanwhile(struct store *s, int64_t agent, uint64_t n)
{
    struct load load = { .s = s, .agent = agent, .n = n };
    struct store_reader *r;
    struct tw_err err;
    double month[MONTHS], month_cpu[MONTHS], matrix[MATRIX_KINDS][MATRICES],
        matrix_cpu[MATRIX_KINDS][MATRICES];
    double api[MATRICES], start;
    pthread_t thread;

    if (store_reader_open(path, &r, &err))
        die("reader", err.text);
    if (pthread_create(&thread, NULL, keep_writing, &load))
        die("thread", "cannot be started");
    start = seconds();
    read_months(r, month, month_cpu);
    for (size_t i = 0; i < MATRIX_KINDS; i++)
        read_matrices(r, matrices[i].without, matrix[i], matrix_cpu[i]);
    read_api(api);
    start = seconds() - start;
    load.stop = true;
    pthread_join(thread, NULL);
    print_times("30 days of one pair", month, month_cpu, MONTHS, 100);
    printf("  latest matrix of %u pairs\n", pairs);
    for (size_t i = 0; i < MATRIX_KINDS; i++)
        print_times(matrices[i].what, matrix[i], matrix_cpu[i], MATRICES, matrices[i].goal);
    print_times("all numbers, by /api/v1/report?latest", api, NULL, MATRICES, 0);
    printf("  written meanwhile                              %8.0f summaries/s\n",
           (double)load.written / start);
    store_reader_close(r);
}

/* ---- All of it, piece by piece ---- */

/* Of this process, MB. */
static double memory_mb(const char *what)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    double kb = 0;

    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, what, strlen(what)))
            kb = strtod(line + strlen(what) + 1, NULL);
    if (f)
        fclose(f);
    return kb / 1e3;
}

/* Without the pages of the database, which are mapped and the kernel's to keep or to drop. */
struct watch {
    atomic_bool stop;
    double most_mb;
};

static void *watch_memory(void *arg)
{
    struct watch *w = arg;

    while (!w->stop) {
        double now = memory_mb("RssAnon:");
        w->most_mb = now > w->most_mb ? now : w->most_mb;
        usleep(20000);
    }
    return NULL;
}

static void export_all(const char *format, uint64_t rows)
{
    struct history_api *a = history_api_start(path, ids, pairs, MONTH_PERIOD_NS);
    struct watch w = { .most_mb = 0 };
    char target[128];
    double before, start;
    pthread_t thread;
    unsigned n;

    snprintf(target, sizeof target, "/api/v1/summaries?format=%s&from=%lld&to=%lld", format,
             (long long)(DAY0 / TW_NS_PER_S), (long long)((DAY0 + (days + 1) * DAY_NS) / TW_NS_PER_S));
    before = memory_mb("RssAnon:");
    if (pthread_create(&thread, NULL, watch_memory, &w))
        die("thread", "cannot be started");
    start = seconds();
    n = history_api_get(a, target);
    start = seconds() - start;
    w.stop = true;
    pthread_join(thread, NULL);
    if (n < rows)
        die("export", "is not what was written");
    printf("an export of %u summaries as %s: %.0f s, %.0f /s; memory of its own %.1f MB before, %.1f MB at most\n", n,
           format, start, n / start, before, w.most_mb);
    history_api_stop(a);
}

/* ---- Ingest beside bare SQLite ---- */

#define ROUNDS 3
static void compare(uint64_t total)
{
    struct bench_rows source = { shapes, SHAPES, DAY0, INGEST_PERIOD_NS };
    double best = 0, bare = 0, cells_per_row = 0;
    char name[32], other[320];

    for (unsigned i = 0; i < SHAPES; i++)
        shapes[i].pair_id = i + 1;
    for (unsigned i = 0; i < pairs; i++)
        ids[i] = i + 1;
    for (int round = 0; round < ROUNDS; round++) {
        struct store_stats st;
        int64_t agent;
        uint64_t n = 0;
        double start;
        struct store *s;
        snprintf(name, sizeof name, "ours%d.db", round);
        s = open_store(name, &agent);
        seq = 0;
        start = seconds();
        while (n < total)
            write_commit(s, agent, &n, true);
        roll_all(s);
        start = (double)total / (seconds() - start);
        best = start > best ? start : best;
        store_stats(s, &st);
        cells_per_row = (double)st.rollup_cells / (double)total;
        store_close(s);
        snprintf(other, sizeof other, "%s/bare%d.db", dir, round);
        start = bench_bare_inserts_per_second(other, path, &source, total);
        bare = start > bare ? start : bare;
    }
    printf("ingest, %llu summaries of %u pairs, %d rows a commit, best of %d\n", (unsigned long long)total,
           pairs, COMMIT, ROUNDS);
    printf(
        "  with roll-ups                                  %8.0f summaries/s, %.2f cells written for each\n",
        best, cells_per_row);
    printf("  bare SQLite, summaries alone                   %8.0f /s\n", bare);
    printf("  bare SQLite, as many rows as were written      %8.0f /s\n", bare / (1 + cells_per_row));
    printf("  ratio to the same writes                       %8.2f   (goal: 0.4); to summaries alone %.2f\n",
           best * (1 + cells_per_row) / bare, best / bare);
}

static void clean_up(void)
{
    char cmd[300];

    snprintf(cmd, sizeof cmd, "rm -rf '%s'", dir);
    if (*dir && system(cmd))
        fprintf(stderr, "bench_history: %s is left behind\n", dir);
}

static struct store *make_month(uint64_t total, int64_t *ret_agent, uint64_t *ret_n)
{
    struct store *s = open_store("month.db", ret_agent);
    double start = seconds();
    struct store_stats st;

    name_pairs(s);
    while (*ret_n < total)
        write_commit(s, *ret_agent, ret_n, true);
    roll_all(s);
    start = seconds() - start;
    store_stats(s, &st);
    printf("a month of %u pairs: %llu summaries and %llu cells in %.0f s, %.1f GB\n", pairs,
           (unsigned long long)st.levels[STORE_RAW].rows,
           (unsigned long long)(st.levels[STORE_1MIN].rows + st.levels[STORE_10MIN].rows +
                                st.levels[STORE_1H].rows + st.levels[STORE_1D].rows),
           start, (double)st.file_bytes / 1e9);
    fflush(stdout);
    return s;
}

static enum tw_rc take_agent(void *ctx, const struct store_agent *a)
{
    *(int64_t *)ctx = a->id;
    return TW_OK;
}

/* One that an earlier run has left behind. */
static struct store *open_month(const char *file, int64_t *ret_agent, uint64_t *ret_n)
{
    static const uint8_t spool[STORE_ID_LEN];
    struct tw_err err;
    struct store *s;

    snprintf(path, sizeof path, "%s", file);
    if (store_open(path, &s, &err) || store_each_agent(s, take_agent, ret_agent, &err))
        die("store", err.text);
    name_pairs(s);
    if (store_cursor(s, *ret_agent, spool, &seq))
        die(file, "is not of this benchmark");
    *ret_n = seq; /* one for each row */
    return s;
}

int main(int argc, char **argv)
{
    uint64_t want = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000, total, n = 0;
    const char *folder = argc > 2 ? argv[2] : "/tmp";
    char kept[320] = "";
    int64_t agent;
    struct store *s;

    if (argc > 4)
        days = (unsigned)strtoul(argv[4], NULL, 10);
    if (!days || days > 30)
        die("days", "expected 1 to 30");
    pairs = want / (days * ROWS_PER_DAY) < MAX_PAIRS ? (unsigned)(want / (days * ROWS_PER_DAY)) : MAX_PAIRS;
    snprintf(dir, sizeof dir, "%s/twbench-XXXXXX", folder);
    if (!pairs || !mkdtemp(dir))
        die(dir, "give a number of rows from 2190 and a folder that can be written");
    atexit(clean_up);
    if (argc > 3)
        snprintf(kept, sizeof kept, "%s/%s", folder, argv[3]);
    for (unsigned i = 0; i < SHAPES; i++)
        make_shape(&shapes[i], i);
    total = (uint64_t)pairs * days * PER_DAY / COMMIT * COMMIT + COMMIT;
    if (access(kept, R_OK)) {
        compare(total < 200000 ? total : 200000);
        fflush(stdout);
    }
    period_ns = MONTH_PERIOD_NS;
    seq = 0;
    s = access(kept, R_OK) ? make_month(total, &agent, &n) : open_month(kept, &agent, &n);
    read_meanwhile(s, agent, n);
    export_all("ndjson", total);
    export_all("csv", total);
    store_close(s);
    if (*kept && rename(path, kept))
        die(kept, "cannot be written");
    return 0;
}
