/* db/store_test.h - tests on demand: what was asked for, and what became of each pair. Control state; their
 * results are summaries. As db/store.h:
 * writing inside store_begin/commit, by the store's thread; each row is valid during fn, and a non-OK result
 * of fn stops and is returned. */
#ifndef TW_DB_STORE_TEST_H
#define TW_DB_STORE_TEST_H

#include "db/store_mesh.h"

struct store_test {
    uint64_t id;
    int64_t started_ns, ended_ns; /* 0: it runs, or the controller ended first */
    const char *author, *what, *settings, *state;
    uint64_t count;
    int64_t duration_ns;
    uint32_t runs, failed; /* read only */
};
/* One pair of a test. */
struct store_test_run {
    struct store_pair pair; /* store_put_test_run() needs only its id */
    const char *state, *reason;
    int64_t started_ns, ended_ns;
};
/* Puts or replaces. */
enum tw_rc store_put_test(struct store *s, const struct store_test *t, struct tw_err *err);
enum tw_rc store_put_test_run(struct store *s, uint64_t test_id, const struct store_test_run *r,
                              struct tw_err *err);
enum tw_rc store_last_test(struct store *s, uint64_t *ret,
                           struct tw_err *err); /* the highest number; 0 = none yet */
/* The newest first, or only number `id`. A row is valid during fn; a non-OK result of fn stops and is
 * returned. A test that the database knows only by its results, because they came back from the agents'
 * spools, has empty texts. */
enum tw_rc store_read_tests(struct store_reader *r, uint64_t id, size_t limit,
                            enum tw_rc (*fn)(void *ctx, const struct store_test *t), void *ctx,
                            struct tw_err *err);
/* In order of class, source, target. */
enum tw_rc store_read_test_runs(struct store_reader *r, uint64_t id,
                                enum tw_rc (*fn)(void *ctx, const struct store_test_run *run), void *ctx,
                                struct tw_err *err);

#endif
