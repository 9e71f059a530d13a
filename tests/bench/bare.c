/* tests/bench/bare.c - see bare.h. */
#include "tests/bench/bare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sqlite3.h>
#include "db/sqlite/row.h"

__attribute__((noreturn)) static void die(const char *what, const char *why)
{
    fprintf(stderr, "bench: %s: %s\n", what, why);
    exit(1);
}

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

const struct tw_summary *bench_next_row(struct bench_rows *r, uint64_t number)
{
    struct tw_summary *s = &r->rows[number % r->n];

    s->start_ns = r->base_ns + (int64_t)(number / r->n) * r->period_ns;
    s->end_ns = s->start_ns + r->period_ns;
    s->seq_first = (uint32_t)number;
    return s;
}

static void exec(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        die(sql, sqlite3_errmsg(db));
}

static char *first_table(sqlite3 *db)
{
    sqlite3_stmt *st;
    char *name = NULL;

    if (!sqlite3_prepare_v2(
            db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'summary_*' ORDER BY name",
            -1, &st, NULL) &&
        sqlite3_step(st) == SQLITE_ROW)
        name = strdup((const char *)sqlite3_column_text(st, 0));
    sqlite3_finalize(st);
    if (!name)
        die("no day table", sqlite3_errmsg(db));
    return name;
}

/* The day's table as the store made it, without its rows. */
static sqlite3_stmt *copy_schema(sqlite3 *db, const char *from)
{
    char sql[512];
    sqlite3_stmt *st;
    sqlite3_str *text = sqlite3_str_new(db);
    char *insert, *table;

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
    table = first_table(db);
    sqlite3_str_appendf(text, "INSERT INTO %s VALUES (?", table);
    free(table);
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
        } else if (row_cols[i].kind == ROW_UNAVAIL) { /* nothing was */
            sqlite3_bind_null(st, at);
        } else if (row_cols[i].kind == ROW_DIGEST) { /* as large as one */
            sqlite3_bind_int64(st, at, INT64_MIN + at);
        } else if (row_cols[i].kind == ROW_64) {
            sqlite3_bind_int64(st, at, *(const int64_t *)p);
        } else if (row_cols[i].kind == ROW_32) {
            sqlite3_bind_int64(st, at, *(const uint32_t *)p);
        } else {
            sqlite3_bind_int64(st, at, *(const uint8_t *)p);
        }
    }
}

static size_t encode_all(const struct bench_rows *r, uint8_t *blob, size_t *len)
{
    size_t at = 0;

    for (size_t i = 0; i < r->n; i++)
        for (size_t h = 0; h < ROW_HISTS; h++) {
            const struct hist *src = h < 3 ? &r->rows[i].delay[h] : &r->rows[i].send_lateness;
            if (blob && hist_encode(src, blob + at, hist_encoded_max(src), &len[i * ROW_HISTS + h]))
                die("histogram", "cannot be encoded");
            at += blob ? len[i * ROW_HISTS + h] : hist_encoded_max(src);
        }
    return at;
}

double bench_bare_inserts_per_second(const char *path, const char *schema_of, struct bench_rows *r,
                                     uint64_t total)
{
    size_t *len = calloc(r->n * ROW_HISTS, sizeof *len);
    uint8_t *blob = malloc(encode_all(r, NULL, NULL)), *at = blob;
    sqlite3 *db;
    sqlite3_stmt *st;
    double start;

    encode_all(r, blob, len);
    if (sqlite3_open(path, &db))
        die(path, sqlite3_errmsg(db));
    exec(db, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
             "PRAGMA wal_autocheckpoint = 20000; PRAGMA cache_size = -65536; PRAGMA secure_delete = OFF");
    st = copy_schema(db, schema_of);
    start = seconds();
    for (uint64_t n = 0; n < total; n++) {
        const size_t *l = &len[n % r->n * ROW_HISTS];
        if (n % r->n == 0)
            at = blob;
        if (n % BENCH_COMMIT == 0)
            exec(db, "BEGIN");
        bind_row(st, bench_next_row(r, n), at, l);
        if (sqlite3_step(st) != SQLITE_DONE)
            die("insert", sqlite3_errmsg(db));
        sqlite3_reset(st);
        at += l[0] + l[1] + l[2] + l[3];
        if ((n + 1) % BENCH_COMMIT == 0)
            exec(db, "COMMIT");
    }
    start = seconds() - start;
    sqlite3_finalize(st);
    sqlite3_close(db);
    free(blob);
    free(len);
    return (double)total / start;
}
