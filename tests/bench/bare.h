/* tests/bench/bare.h - the baseline of the store's and the ingest's benchmarks: SQLite alone, a prepared
 * INSERT of the same rows into the same table, 1,000 rows a commit, the same settings. */
#ifndef TW_TESTS_BENCH_BARE_H
#define TW_TESTS_BENCH_BARE_H

#include "common/stats.h"

#define BENCH_COMMIT 1000

/* Rows to insert: n pairs round-robin, each time one period later. */
struct bench_rows {
    struct tw_summary *rows;
    size_t n;
    int64_t base_ns, period_ns;
};
const struct tw_summary *bench_next_row(struct bench_rows *r, uint64_t number);

/* Makes the database `path` with the day tables of the store's database `schema_of` and inserts `total` rows
 * into the first one. */
double bench_bare_inserts_per_second(const char *path, const char *schema_of, struct bench_rows *r,
                                     uint64_t total);

#endif
