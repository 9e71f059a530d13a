/* tests/bench/databases.c - the same history in each database, in one run: what comes in a second, octets of
 * a summary, and the two queries of reports.
 *
 * usage: bench_databases LOCATION SQLITE-FILE [summaries [read]]     LOCATION: HOST:PORT/DATABASE of
 * ClickHouse; that and the file are to be empty; 200,000 summaries unless said otherwise: of 1,000 pairs, one
 * a minute each, 600 probes, of SHAPES shapes, so that a column has none twice where it is compressed. read:
 * only asks what a run before has written. A "-" instead of either leaves that one out. Each query is asked six times: the first, and the median of the
 * others. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "db/clickhouse/ch_history.h"
#include "db/sqlite/history.h"

#define PAIRS 1000
#define BATCH 50    /* of an agent */
#define COMMIT 5000 /* summaries: a group commit of a busy controller */
#define SLICE 100000/* summaries rolled up at once */
#define SHAPES 49999
#define MINUTE (60 * TW_NS_PER_S)
#define DAY_NS (1440 * MINUTE)
#define DAY0 (INT64_C(20000) * DAY_NS)
#define AGENTS (COMMIT / BATCH)

static struct tw_summary shapes[SHAPES];
static struct tw_err err;

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "bench_databases: %s: %s\n", what, err.text);
    exit(1);
}

static double seconds(void)
{
    return (double)tw_mono_now().ns / 1e9;
}

/* Three histograms of some ten buckets each. */
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
    s->ttl_forward = s->ttl_backward = (struct tw_octet_range){ 57, 57, 600, 0 };
    s->tx_source = s->rx_source = TW_TS_KERNEL;
    s->clock_local = s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 150000 };
    s->clock_remote_known = true;
}

/* ---- Writing ---- */

/* Each agent measures PAIRS / AGENTS pairs; number n of it: minute by minute, pair by pair. */
static void append_batch(struct history *h, unsigned agent, uint64_t first)
{
    static struct tw_summary rows[BATCH];
    struct store_batch b = { .agent_id = agent + 1,
                             .spool_id = { (uint8_t)agent },
                             .first_seq = first + 1,
                             .rows = rows,
                             .n = BATCH };
    enum store_append_result res;
    uint64_t through;

    for (uint64_t i = 0; i < BATCH; i++) {
        uint64_t n = first + i, own = PAIRS / AGENTS;
        rows[i] = shapes[(n * AGENTS + agent) % SHAPES];
        rows[i].pair_id = 1 + agent * own + n % own;
        rows[i].start_ns = DAY0 + (int64_t)(n / own) * MINUTE;
        rows[i].end_ns = rows[i].start_ns + MINUTE;
    }
    b.received_ns = rows[BATCH - 1].end_ns;
    if (h->ops->append(h, &b, &res, &through, &err) || res != STORE_APPENDED)
        die("append");
}

static double write_all(struct history *h, uint64_t n)
{
    double before = seconds();

    for (uint64_t at = 0; at < n; at += COMMIT) {
        if (h->ops->begin(h, &err))
            die("begin");
        for (unsigned agent = 0; agent < AGENTS; agent++)
            append_batch(h, agent, at / AGENTS);
        if (h->ops->commit(h, &err))
            die("commit");
    }
    return seconds() - before;
}

/* What is left of a day is due when its next ten minutes are over: until nothing waits. */
static double roll_up(struct history *h)
{
    double before = seconds();
    struct store_stats stats = { 0 };
    int64_t now_ns = INT64_C(1) << 61;

    do {
        for (bool more = true; more;)
            if (h->ops->rollup(h, now_ns, SLICE, &more, &err))
                die("roll-up");
        h->ops->stats(h, &stats);
        now_ns += 10 * MINUTE;
    } while (stats.rollup_waiting);
    return seconds() - before;
}

/* ---- Reading ---- */

static enum tw_rc count_summary(void *ctx, const struct tw_summary *s)
{
    *(uint64_t *)ctx += s->sent;
    return TW_OK;
}

static enum tw_rc count_cell(void *ctx, const struct store_cell *c)
{
    return count_summary(ctx, c->merged);
}

struct reading {
    struct history_reader *r;
    uint64_t ids[PAIRS], sent;
    int64_t end_ns;
};

static enum tw_rc ask_latest(struct reading *g)
{
    return g->r->ops->read_latest(g->r, g->ids, PAIRS, 0, count_summary, &g->sent, &err);
}

static enum tw_rc report(struct reading *g, size_t n_pairs)
{
    struct history_keeper all = { 0 };
    struct store_span span = { .pair_ids = g->ids,
                               .n_pairs = n_pairs,
                               .from_ns = DAY0,
                               .to_ns = g->end_ns,
                               .raw_from_ns = INT64_MAX,
                               .fn = count_cell,
                               .ctx = &g->sent };

    return g->r->ops->read_span(g->r, &span, &all, &err);
}

static enum tw_rc ask_all(struct reading *g)
{
    return report(g, PAIRS);
}

static enum tw_rc ask_one(struct reading *g)
{
    return report(g, 1);
}

static enum tw_rc ask_day(struct reading *g)
{
    return g->r->ops->read_summaries(g->r, g->ids, 1, g->end_ns - DAY_NS, g->end_ns, count_summary, &g->sent,
                                     &err);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

#define TIMES 5
static void ask(struct reading *g, const char *what, enum tw_rc (*fn)(struct reading *g), uint64_t want)
{
    double first = 0, took[TIMES];

    for (int i = -1; i < TIMES; i++) {
        double before = seconds();
        g->sent = 0;
        if (fn(g))
            die(what);
        if (g->sent != 600 * want)
            die("that is not what was written");
        *(i < 0 ? &first : &took[i]) = 1e3 * (seconds() - before);
    }
    qsort(took, TIMES, sizeof *took, by_size);
    printf("  %-32s %9.1f ms, first %9.1f ms\n", what, took[TIMES / 2], first);
    fflush(stdout);
}

static void read_all(struct history_reader *r, uint64_t n)
{
    struct reading g = { .r = r, .end_ns = DAY0 + (int64_t)(n / PAIRS) * MINUTE };
    uint64_t minutes = n / PAIRS;

    for (size_t i = 0; i < PAIRS; i++)
        g.ids[i] = i + 1;
    ask(&g, "latest of all pairs", ask_latest, PAIRS);
    ask(&g, "report of all pairs", ask_all, n);
    ask(&g, "report of one pair", ask_one, minutes);
    ask(&g, "summaries of one pair, a day", ask_day, minutes < 1440 ? minutes : 1440);
}

static void write_history(struct history *h, uint64_t n)
{
    const struct history_ops *ops = h->ops;
    struct store_stats stats = { 0 };
    double in, cells;

    if (ops == &sqlite_history &&
        sq_exec(sqlite_history_file(h), "PRAGMA foreign_keys = OFF", &err)) /* agents are control state */
        die("agents");
    in = write_all(h, n);
    ops->stats(h, &stats);
    printf("%s: %.0f summaries/s\n", ops->scheme, (double)n / in);
    fflush(stdout);
    cells = roll_up(h);
    printf("  %.0f octets each, rolled up at %.0f/s\n",
           (double)(ops == &sqlite_history ? stats.file_bytes + stats.wal_bytes
                                           : stats.levels[STORE_RAW].bytes) /
               (double)n,
           (double)n / cells);
    fflush(stdout);
}

static void run(const struct history_ops *ops, const char *location, uint64_t n, bool only_read)
{
    const struct history_conf conf = { .location = location };
    struct history_reader *r;
    struct history *h;

    if (ops->open(&conf, &h, &err) || ops->reader_open(&conf, &r, &err))
        die("open");
    if (only_read)
        printf("%s: the rest was rolled up in %.1f s\n", ops->scheme, roll_up(h));
    else
        write_history(h, n);
    read_all(r, n);
    ops->reader_close(r);
    ops->close(h);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 200000;

    bool only_read = argc > 4 && !strcmp(argv[4], "read");

    if (argc < 3 || argc > 5 || n < COMMIT || n % COMMIT || only_read != (argc == 5)) {
        fprintf(stderr,
                "usage: bench_databases HOST:PORT/DATABASE SQLITE-FILE [summaries, whole multiples of %d "
                "[read]]\n",
                COMMIT);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (unsigned i = 0; i < SHAPES; i++)
        make_shape(&shapes[i], i);
    if (strcmp(argv[2], "-") != 0)
        run(&sqlite_history, argv[2], n, only_read);
    if (strcmp(argv[1], "-") != 0)
        run(&clickhouse_history, argv[1], n, only_read);
    for (unsigned i = 0; i < SHAPES; i++)
        summary_free(&shapes[i]);
    curl_global_cleanup();
    return 0;
}
