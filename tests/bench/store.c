/* Rows per second of store_append() beside a bare prepared INSERT of the same rows into the same table, in
 * one run. Prints one line per round and the ratio of the best rounds. Usage: bench_store [rows per round]
 * [folder] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "db/store.h"
#include "tests/bench/bare.h"

#define PAIRS 7000
#define BATCH 50
#define COMMIT 1000
#define ROUNDS 3
#define DAY0 (INT64_C(20000) * 86400 * TW_NS_PER_S)

static struct tw_summary rows[PAIRS];
static struct bench_rows source = { rows, PAIRS, DAY0, 60 * TW_NS_PER_S };
static char dir[256];

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_store: %s: %s\n", what, why);
    exit(1);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* A minute of one pair at 10 packets/s: three histograms of some ten buckets each. */
static void make_row(struct tw_summary *s, unsigned i)
{
    unsigned seed = i;

    summary_init(s);
    s->pair_id = i + 1;
    s->generation = 12;
    s->status = TW_STATUS_OK;
    s->sent = s->received = 600;
    for (int k = 0; k < 600; k++) {
        int64_t delay = 20 * TW_NS_PER_MS + rand_r(&seed) % TW_NS_PER_MS;
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

/* ---- The store ------------------------------------------------------------------------------------------
 */

static double run_store(const char *path, uint64_t total)
{
    static struct tw_summary batch[BATCH];
    struct store_agent a = { .name = "bench" };
    struct store_batch b = { .rows = batch, .n = BATCH };
    enum store_append_result res;
    uint64_t through;
    struct tw_err err;
    struct store *s;
    double start;

    if (store_open(path, &s, &err) || store_put_agent(s, &a, &err))
        die("store", err.text);
    b.agent_id = a.id;
    start = seconds();
    for (uint64_t n = 0; n < total; n += BATCH) {
        for (unsigned i = 0; i < BATCH; i++)
            batch[i] = *bench_next_row(&source, n + i);
        b.first_seq = n + 1;
        if ((n % COMMIT == 0 && store_begin(s, &err)) || store_append(s, &b, &res, &through, &err) ||
            ((n + BATCH) % COMMIT == 0 && store_commit(s, &err)))
            die("store", err.text);
    }
    start = seconds() - start;
    store_close(s);
    return (double)total / start;
}

static const char *file_name(char path[320], const char *name, int round)
{
    snprintf(path, 320, "%s/%s%d.db", dir, name, round);
    return path;
}

static void remove_file(const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-shm", ".lock" };
    char name[340];

    for (size_t i = 0; i < TW_NELEM(suffixes); i++) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    uint64_t total = argc > 1 ? strtoull(argv[1], NULL, 10) / COMMIT * COMMIT : 100000;
    double best_store = 0, best_bare = 0;

    snprintf(dir, sizeof dir, "%s/twbench-XXXXXX", argc > 2 ? argv[2] : "/tmp");
    if (total == 0 || !mkdtemp(dir))
        die(dir, "give a number of rows from 1000 and a folder that can be written");
    for (unsigned i = 0; i < PAIRS; i++)
        make_row(&rows[i], i);
    for (int round = 0; round < ROUNDS; round++) {
        char ours[320], theirs[320];
        double store = run_store(file_name(ours, "store", round), total);
        double bare = bench_bare_inserts_per_second(file_name(theirs, "bare", round), ours, &source, total);
        printf("rows=%llu store_rows_per_s=%.0f bare_rows_per_s=%.0f\n", (unsigned long long)total, store,
               bare);
        best_store = store > best_store ? store : best_store;
        best_bare = bare > best_bare ? bare : best_bare;
        remove_file(ours);
        remove_file(theirs);
    }
    rmdir(dir);
    printf("ratio=%.2f\n", best_store / best_bare);
    return 0;
}
