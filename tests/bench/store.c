/* Rows per second of store_append() beside a bare prepared INSERT of the same rows into the same table, in
 * one run. Prints one line per round and the ratio of the best rounds. Usage: bench_store [rows per round]
 * [folder] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sqlite3.h>
#include "db/sqlite/row.h"
#include "db/store.h"

#define PAIRS 7000
#define BATCH 50
#define COMMIT 1000
#define ROUNDS 3
#define DAY0 (INT64_C(20000) * 86400 * TW_NS_PER_S)

static struct tw_summary rows[PAIRS];
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
    s->clock_local = s->clock_remote = (struct tw_clock_state){ true, 150000, 0 };
    s->clock_remote_known = true;
}

static const struct tw_summary *next_row(uint64_t n)
{
    struct tw_summary *s = &rows[n % PAIRS];

    s->start_ns = DAY0 + (int64_t)(n / PAIRS) * 60 * TW_NS_PER_S;
    s->end_ns = s->start_ns + 60 * TW_NS_PER_S;
    s->seq_first = (uint32_t)n;
    return s;
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
            batch[i] = *next_row(n + i);
        b.first_seq = n + 1;
        if ((n % COMMIT == 0 && store_begin(s, &err)) || store_append(s, &b, &res, &through, &err) ||
            ((n + BATCH) % COMMIT == 0 && store_commit(s, &err)))
            die("store", err.text);
    }
    start = seconds() - start;
    store_close(s);
    return (double)total / start;
}

/* ---- SQLite alone ---------------------------------------------------------------------------------------
 */

static void exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(db));
}

/* The day's table as the store made it, without its rows. */
static sqlite3_stmt *copy_schema(sqlite3 *db, const char *from)
{
    char sql[512];
    sqlite3_stmt *st;
    sqlite3_str *text = sqlite3_str_new(db);
    char *insert;

    snprintf(sql, sizeof sql, "ATTACH '%s' AS f", from);
    exec(db, sql);
    for (;;) {
        char *create;
        if (sqlite3_prepare_v2(db,
                               "SELECT sql FROM f.sqlite_schema WHERE name GLOB 'summary_*' AND name NOT IN"
                               " (SELECT name FROM main.sqlite_schema) ORDER BY type DESC",
                               -1, &st, NULL) ||
            sqlite3_step(st) != SQLITE_ROW)
            break;
        create = strdup((const char *)sqlite3_column_text(st, 0));
        sqlite3_finalize(st);
        exec(db, create);
        free(create);
    }
    sqlite3_finalize(st);
    exec(db, "DETACH f");
    sqlite3_str_appendf(text, "INSERT INTO summary_20241004 VALUES (?");
    for (size_t i = 1; i < row_cols_n; i++)
        sqlite3_str_appendf(text, ", ?");
    sqlite3_str_appendf(text, ")");
    insert = sqlite3_str_finish(text);
    if (sqlite3_prepare_v3(db, insert, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL))
        die(insert, sqlite3_errmsg(db));
    sqlite3_free(insert);
    return st;
}

/* Values of the same size, bound by hand: nothing of ours is in the loop but the encoded histograms made
 * before. */
static void bind_row(sqlite3_stmt *st, const struct tw_summary *s, const uint8_t *blob, const size_t *len)
{
    size_t h = 0;

    for (size_t i = 0; i < row_cols_n; i++) {
        const void *p = (const uint8_t *)s + row_cols[i].offset;
        int at = (int)i + 1;
        if (row_cols[i].kind == ROW_HIST) {
            sqlite3_bind_blob(st, at, blob, (int)len[h], SQLITE_STATIC);
            blob += len[h++];
        } else if (row_cols[i].kind == ROW_64) {
            sqlite3_bind_int64(st, at, *(const int64_t *)p);
        } else if (row_cols[i].kind == ROW_32) {
            sqlite3_bind_int64(st, at, *(const uint32_t *)p);
        } else {
            sqlite3_bind_int64(st, at, *(const uint8_t *)p);
        }
    }
}

static size_t encode_all(uint8_t *blob, size_t *len)
{
    size_t at = 0;

    for (size_t i = 0; i < PAIRS; i++)
        for (size_t h = 0; h < ROW_HISTS; h++) {
            const struct hist *src = h < 3 ? &rows[i].delay[h] : &rows[i].send_lateness;
            if (blob && hist_encode(src, blob + at, hist_encoded_max(src), &len[i * ROW_HISTS + h]))
                die("histogram", "cannot be encoded");
            at += blob ? len[i * ROW_HISTS + h] : hist_encoded_max(src);
        }
    return at;
}

static double run_bare(const char *path, const char *schema_of, uint64_t total)
{
    static size_t len[PAIRS * ROW_HISTS];
    uint8_t *blob = malloc(encode_all(NULL, NULL)), *at = blob;
    sqlite3 *db;
    sqlite3_stmt *st;
    double start;

    encode_all(blob, len);
    if (sqlite3_open(path, &db))
        die(path, sqlite3_errmsg(db));
    exec(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
             "PRAGMA wal_autocheckpoint = 20000; PRAGMA cache_size = -65536; PRAGMA secure_delete = OFF");
    st = copy_schema(db, schema_of);
    start = seconds();
    for (uint64_t n = 0; n < total; n++) {
        const size_t *l = &len[n % PAIRS * ROW_HISTS];
        if (n % PAIRS == 0)
            at = blob;
        if (n % COMMIT == 0)
            exec(db, "BEGIN");
        bind_row(st, next_row(n), at, l);
        if (sqlite3_step(st) != SQLITE_DONE)
            die("insert", sqlite3_errmsg(db));
        sqlite3_reset(st);
        at += l[0] + l[1] + l[2] + l[3];
        if ((n + 1) % COMMIT == 0)
            exec(db, "COMMIT");
    }
    start = seconds() - start;
    sqlite3_finalize(st);
    sqlite3_close(db);
    free(blob);
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
        double bare = run_bare(file_name(theirs, "bare", round), ours, total);
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
