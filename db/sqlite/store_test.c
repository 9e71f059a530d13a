/* Tests on demand: what was asked for, and what became of each pair. */
#include "db/store_priv.h"

enum tw_rc store_put_test(struct store *s, const struct store_test *t, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_TEST_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)t->id);
    sq_put_i64(&c, t->started_ns);
    sq_put_i64(&c, t->ended_ns);
    sq_put_text(&c, t->author);
    sq_put_text(&c, t->what);
    sq_put_text(&c, t->settings);
    sq_put_i64(&c, (int64_t)t->count);
    sq_put_i64(&c, t->duration_ns);
    sq_put_text(&c, t->state);
    return sq_run(&c, err);
}

enum tw_rc store_put_test_run(struct store *s, uint64_t test_id, const struct store_test_run *r,
                              struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_TEST_RUN_PUT, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)test_id);
    sq_put_i64(&c, (int64_t)r->pair.id);
    sq_put_text(&c, r->state);
    sq_put_text(&c, r->reason);
    sq_put_i64(&c, r->started_ns);
    sq_put_i64(&c, r->ended_ns);
    return sq_run(&c, err);
}

enum tw_rc store_last_test(struct store *s, uint64_t *ret, struct tw_err *err)
{
    struct sq_cur c;
    enum tw_rc rc = sq_start(s->q, ST_TEST_LAST, &c, err);

    if (rc)
        return rc;
    rc = sq_next(&c, err);
    if (rc)
        return rc;
    *ret = (uint64_t)sq_take_i64(&c);
    return sq_run(&c, err);
}

/* A row of a test that this database does not know: it was lost, and its agents bring back what they have. */
enum tw_rc control_note_test(struct store *s, const struct tw_summary *row, struct tw_err *err)
{
    static const enum store_stmt both[] = { ST_TEST_NOTE, ST_TEST_RUN_NOTE };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < TW_NELEM(both) && !rc; i++) {
        struct sq_cur c;
        rc = sq_start(s->q, both[i], &c, err);
        if (rc)
            return rc;
        sq_put_i64(&c, (int64_t)row->test_id);
        sq_put_i64(&c, i ? (int64_t)row->pair_id : row->start_ns);
        rc = sq_run(&c, err);
    }
    return rc;
}

enum tw_rc store_read_tests(struct store_reader *r, uint64_t id, size_t limit,
                            enum tw_rc (*fn)(void *ctx, const struct store_test *t), void *ctx,
                            struct tw_err *err)
{
    struct sq_cur c;
    struct store_test t;
    enum tw_rc rc = sq_start(r->q, ST_READ_TESTS, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    sq_put_i64(&c, (int64_t)limit);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        t.id = (uint64_t)sq_take_i64(&c);
        t.started_ns = sq_take_i64(&c);
        t.ended_ns = sq_take_i64(&c);
        t.author = sq_take_text(&c);
        t.what = sq_take_text(&c);
        t.settings = sq_take_text(&c);
        t.count = (uint64_t)sq_take_i64(&c);
        t.duration_ns = sq_take_i64(&c);
        t.state = sq_take_text(&c);
        t.runs = (uint32_t)sq_take_i64(&c);
        t.failed = (uint32_t)sq_take_i64(&c);
        if ((rc = fn(ctx, &t)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}

enum tw_rc store_read_test_runs(struct store_reader *r, uint64_t id,
                                enum tw_rc (*fn)(void *ctx, const struct store_test_run *run), void *ctx,
                                struct tw_err *err)
{
    struct sq_cur c;
    struct store_test_run run;
    enum tw_rc rc = sq_start(r->q, ST_READ_TEST_RUNS, &c, err);

    if (rc)
        return rc;
    sq_put_i64(&c, (int64_t)id);
    while ((rc = sq_next(&c, err)) == TW_OK) {
        run.pair.id = (uint64_t)sq_take_i64(&c);
        run.pair.mesh = sq_take_text(&c);
        run.pair.class_name = sq_take_text(&c);
        run.pair.source = sq_take_text(&c);
        run.pair.target = sq_take_text(&c);
        run.state = sq_take_text(&c);
        run.reason = sq_take_text(&c);
        run.started_ns = sq_take_i64(&c);
        run.ended_ns = sq_take_i64(&c);
        if ((rc = fn(ctx, &run)) != TW_OK) {
            sq_end(&c);
            return rc;
        }
    }
    return rc == TW_ENOENT ? TW_OK : rc;
}
