/* tests/bench/databases.c - the same history in each database, in one run: what comes in a second, octets of
 * a summary, and the two queries of reports.
 *
 * usage: bench_databases LOCATION SQLITE-FILE [summaries]     LOCATION: HOST:PORT/DATABASE of ClickHouse,
 * which is to be empty; 200,000 summaries unless said otherwise: of 1,000 pairs, one a minute each, 600
 * probes. */
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
#define SHAPES 997
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

static double roll_up(struct history *h)
{
    double before = seconds();

    for (bool more = true; more;)
        if (h->ops->rollup(h, INT64_C(1) << 61, 5000, &more, &err))
            die("roll-up");
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

static void read_all(struct history_reader *r, uint64_t n)
{
    struct history_keeper all = { 0 };
    int64_t end = DAY0 + (int64_t)(n / PAIRS) * MINUTE;
    uint64_t ids[PAIRS], sent = 0;
    struct store_span span = { .pair_ids = ids,
                               .n_pairs = PAIRS,
                               .from_ns = DAY0,
                               .to_ns = end,
                               .raw_from_ns = INT64_MAX,
                               .fn = count_cell,
                               .ctx = &sent };
    double t[4];

    for (size_t i = 0; i < PAIRS; i++)
        ids[i] = i + 1;
    t[0] = seconds();
    if (r->ops->read_latest(r, ids, PAIRS, 0, count_summary, &sent, &err) || sent != UINT64_C(600) * PAIRS)
        die("latest");
    t[1] = seconds();
    sent = 0;
    if (r->ops->read_span(r, &span, &all, &err) || sent != 600 * n)
        die("report of all pairs");
    t[2] = seconds();
    if (r->ops->read_summaries(r, ids, 1, end - DAY_NS, end, count_summary, &sent, &err))
        die("a day of a pair");
    t[3] = seconds();
    printf("  latest of %d pairs %.1f ms, report of all %.1f ms, summaries of one pair %.1f ms\n", PAIRS,
           1e3 * (t[1] - t[0]), 1e3 * (t[2] - t[1]), 1e3 * (t[3] - t[2]));
}

static void run(const struct history_ops *ops, const char *location, uint64_t n)
{
    const struct history_conf conf = { .location = location };
    struct history_reader *r;
    struct store_stats stats = { 0 };
    struct history *h;
    double in, cells;

    if (ops->open(&conf, &h, &err) || ops->reader_open(&conf, &r, &err))
        die("open");
    if (ops == &sqlite_history &&
        sq_exec(sqlite_history_file(h), "PRAGMA foreign_keys = OFF", &err)) /* agents are control state */
        die("agents");
    in = write_all(h, n);
    ops->stats(h, &stats);
    cells = roll_up(h);
    printf("%s: %.0f summaries/s, %.0f octets each, rolled up at %.0f/s\n", ops->scheme, (double)n / in,
           (double)(ops == &sqlite_history ? stats.file_bytes + stats.wal_bytes
                                           : stats.levels[STORE_RAW].bytes) /
               (double)n,
           (double)n / cells);
    read_all(r, n);
    ops->reader_close(r);
    ops->close(h);
}

int main(int argc, char **argv)
{
    uint64_t n = argc > 3 ? strtoull(argv[3], NULL, 10) : 200000;

    if (argc < 3 || n < COMMIT || n % COMMIT) {
        fprintf(stderr,
                "usage: bench_databases HOST:PORT/DATABASE SQLITE-FILE [summaries, whole multiples of %d]\n",
                COMMIT);
        return 2;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    for (unsigned i = 0; i < SHAPES; i++)
        make_shape(&shapes[i], i);
    run(&sqlite_history, argv[2], n);
    run(&clickhouse_history, argv[1], n);
    for (unsigned i = 0; i < SHAPES; i++)
        summary_free(&shapes[i]);
    curl_global_cleanup();
    return 0;
}
