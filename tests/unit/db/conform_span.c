/* The suite: spans count each summary exactly once, over all levels, whatever comes in whatever order; every
 * field equals the merge of all of them. */
#include "tests/unit/db/conform_fx.h"

static void check_span(struct fx *f, const char *what, uint64_t pair, int64_t from, int64_t to, int64_t step,
                       int64_t raw_from)
{
    struct sum exact, got;

    sum_init(&exact);
    CHECK_OK(f->ops->read_summaries(f->r, &pair, 1, from, to, sum_summary, &exact, &test_err));
    read_sum(f, pair, from, to, step, raw_from, &got);
    same_sums(what, pair, from, to, step, &exact, &got);
}

static void check_spans(struct fx *f, const char *what, unsigned n)
{
    struct random_span s;

    for (unsigned i = 0; i < n + 2 * PAIRS; i++) {
        s = random_span(&f->seed, i);
        check_span(f, what, s.pair, s.from, s.to, s.step, s.raw_from);
    }
}

static void add_some(struct fx *f, size_t n)
{
    static struct tw_summary rows[400];

    for (size_t i = 0; i < n; i++)
        rows[i] = some_row(&f->seed);
    add_rows(f, rows, n);
    free_rows(rows, n);
}

/* Late ones, far off ones, cut ones; slices of all sizes; restarts in the middle of a round. */
static void whatever_comes(void **state)
{
    struct fx *f = *state;
    struct sum all;

    for (unsigned round = 0; round < 8; round++) {
        bool more = true;
        add_some(f, 50 + (size_t)pick(&f->seed, 350));
        for (int64_t slices = pick(&f->seed, 6); slices && more; slices--)
            CHECK_OK(f->ops->rollup(f->h, DAY0 + (int64_t)round * HOUR, 1 + (size_t)pick(&f->seed, 60), &more,
                                    &test_err));
        if (!pick(&f->seed, 4))
            reopen(f);
        check_spans(f, "on the way", 4);
    }
    roll(f, 1000);
    check_spans(f, "at the end", 20);
    read_sum(f, 1, DAY0, DAY0 + 3 * DAY, 0, INT64_MAX, &all);
    assert_int_equal(all.raw_cells, 0);
    assert_in_range(all.cells, 1, 6); /* 3 days, 2 flows */
    summary_free(&all.merged);
}

struct racing {
    struct fx *f;
    struct sum sum;
    unsigned n;
};

static enum tw_rc roll_meanwhile(void *ctx, const struct store_cell *c)
{
    struct racing *r = ctx;

    if (r->n++ == 3) {
        add_some(r->f, 100);
        roll(r->f, 10);
    }
    return sum_cell(&r->sum, c);
}

/* A reader that is in the middle of its answer neither stops the writer nor sees what it does. */
static void one_moment(void **state)
{
    struct fx *f = *state;
    const uint64_t pair = 1;

    add_some(f, 400);
    for (unsigned i = 0; i < 12; i++) {
        struct racing r = { .f = f };
        struct sum exact;
        bool more;
        add_some(f, 30);
        CHECK_OK(f->ops->rollup(f->h, DAY0, 5, &more, &test_err));
        sum_init(&exact);
        sum_init(&r.sum);
        CHECK_OK(f->ops->read_summaries(f->r, &pair, 1, DAY0 + SEC, DAY0 + 3 * DAY, sum_summary, &exact,
                                        &test_err));
        CHECK_OK(f->ops->read_span(f->r,
                                   &(struct store_span){ .pair_ids = &pair,
                                                         .n_pairs = 1,
                                                         .from_ns = DAY0 + SEC,
                                                         .to_ns = DAY0 + 3 * DAY,
                                                         .raw_from_ns = INT64_MAX,
                                                         .fn = roll_meanwhile,
                                                         .ctx = &r },
                                   &(struct history_keeper){ 0 }, &test_err));
        assert_int_equal(r.sum.rows, exact.rows);
        same("while it rolls up", &exact.merged, &r.sum.merged);
        summary_free(&exact.merged);
        summary_free(&r.sum.merged);
    }
}

/* ---- Several pairs ------------------------------------------------------------------------------ */

struct order {
    uint64_t covered, last_pair, rows;
};

static void note_cover(void *ctx, uint64_t pair_id, int64_t from_ns, int64_t to_ns)
{
    struct order *o = ctx;

    assert_true(from_ns <= to_ns);
    assert_true(pair_id > o->covered); /* in order of id, each once */
    o->covered = pair_id;
}

static enum tw_rc note_order(void *ctx, const struct store_cell *c)
{
    struct order *o = ctx;

    assert_int_equal(c->merged->pair_id, o->covered); /* behind its cover */
    o->last_pair = c->merged->pair_id;
    o->rows += c->rows;
    return TW_OK;
}

static void pairs_come_one_by_one(void **state)
{
    static const uint64_t ids[] = { 3, 1, 77, 3, 2 };
    struct fx *f = *state;
    struct order o = { 0 };
    uint64_t rows = 0;

    add_some(f, 300);
    roll(f, 100);
    add_some(f, 100);
    CHECK_OK(f->ops->read_span(f->r,
                               &(struct store_span){ .pair_ids = ids,
                                                     .n_pairs = TW_NELEM(ids),
                                                     .from_ns = 0,
                                                     .to_ns = INT64_MAX,
                                                     .raw_from_ns = INT64_MIN,
                                                     .covers = note_cover,
                                                     .fn = note_order,
                                                     .ctx = &o },
                               &(struct history_keeper){ 0 }, &test_err));
    for (uint64_t pair = 1; pair <= 3; pair++)
        rows += count_rows(f, pair);
    assert_int_equal(o.rows, rows);
    assert_int_equal(o.last_pair, 3);
    assert_int_equal(o.covered, 77);
}

/* ---- Levels that go ----------------------------------------------------------------------------- */

/* n days from DAY0 on, every 10 minutes a summary of 10 s of pair 1. */
static void add_days(struct fx *f, int64_t days)
{
    static struct tw_summary rows[144];

    for (int64_t day = DAY0; day < DAY0 + days * DAY; day += DAY) {
        for (int i = 0; i < 144; i++) {
            rows[i] = plain(1, 0, day + i * 600 * SEC, (uint32_t)i);
            rows[i].end_ns = rows[i].start_ns + 10 * SEC;
            fill(&rows[i], &f->seed, 5);
        }
        add_rows(f, rows, 144);
        free_rows(rows, 144);
    }
}

/* What is left is what the coarser level has, and an answer says what it is about. */
static void levels_go_one_by_one(void **state)
{
    static const int64_t keep[STORE_LEVELS] = { 4 * DAY, 6 * DAY, 8 * DAY, 40 * DAY, 400 * DAY };
    static const struct {
        const char *name;
        int64_t days;                                           /* since DAY0 */
        int64_t from_ns, to_ns, covered_from_ns, covered_to_ns; /* of the first day, since DAY0 */
        uint64_t rows;
    } rows[] = {
        { "all there", 3, 30 * SEC, 2 * HOUR + 30 * SEC, 30 * SEC, 2 * HOUR + 30 * SEC, 12 },
        { "minutes are left", 5, 30 * SEC, 2 * HOUR + 30 * SEC, 0, 2 * HOUR + 60 * SEC, 13 },
        { "ten minutes are left", 7, 30 * SEC, 2 * HOUR + 30 * SEC, 0, 2 * HOUR + 600 * SEC, 13 },
        { "hours are left", 9, 30 * SEC, 2 * HOUR + 30 * SEC, 0, 3 * HOUR, 18 },
        { "the day is left", 45, 30 * SEC, 2 * HOUR + 30 * SEC, 0, DAY, 144 },
        { "nothing is left", 900, 30 * SEC, 2 * HOUR + 30 * SEC, 900 * DAY - 400 * DAY, 2 * HOUR + 30 * SEC,
          0 },
    };
    struct fx *f = *state;

    add_days(f, 2);
    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        struct sum got;
        for (int l = 0; l < STORE_LEVELS; l++)
            f->kept.from_ns[l] = DAY0 + rows[i].days * DAY - keep[l];
        retain(f, f->kept.from_ns, NULL, 0); /* also rolls up what is about to go */
        read_sum(f, 1, DAY0 + rows[i].from_ns, DAY0 + rows[i].to_ns, 0, INT64_MAX, &got);
        if (got.rows != rows[i].rows || got.from_ns != DAY0 + rows[i].covered_from_ns ||
            got.to_ns != DAY0 + rows[i].covered_to_ns)
            fail_msg("%s: %llu summaries of [%lld, %lld)", rows[i].name, (unsigned long long)got.rows,
                     (long long)((got.from_ns - DAY0) / SEC), (long long)((got.to_ns - DAY0) / SEC));
        summary_free(&got.merged);
    }
}

/* Of what is kept no more nothing is looked for, though it is still there: retention has time. */
static void what_is_not_kept_is_not_read(void **state)
{
    struct fx *f = *state;
    struct sum got;

    add_days(f, 2);
    roll(f, 1000);
    f->kept.from_ns[STORE_RAW] = f->kept.from_ns[STORE_1MIN] = DAY0 + DAY;
    read_sum(f, 1, DAY0 + 30 * SEC, DAY0 + 2 * HOUR + 30 * SEC, 0, INT64_MAX, &got);
    assert_int_equal(got.rows, 13);
    assert_int_equal(got.to_ns, DAY0 + 2 * HOUR + 600 * SEC);
    summary_free(&got.merged);
    for (int l = 0; l < STORE_LEVELS; l++)
        f->kept.from_ns[l] = DAY0 + DAY;
    read_sum(f, 1, DAY0, DAY0 + 2 * DAY, 0, INT64_MAX, &got);
    assert_int_equal(got.rows, 144);
    assert_int_equal(got.from_ns, DAY0 + DAY);
    summary_free(&got.merged);
}

/* Tests on demand are in no cell: their pairs are read as summaries. */
static void tests_on_demand_are_in_no_cell(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    struct order o = { .covered = 1 };
    struct history_kept *kept = &f->kept;
    const uint64_t one = 1;
    struct sum got;

    row.test_id = 9;
    add_rows(f, &row, 1);
    roll(f, 10);
    kept->raw_only = true;
    read_sum(f, 1, DAY0, DAY0 + DAY, 0, INT64_MAX, &got);
    assert_int_equal(got.cells, 0);
    summary_free(&got.merged);
    CHECK_OK(f->ops->read_span(f->r,
                               &(struct store_span){ .pair_ids = &one,
                                                     .n_pairs = 1,
                                                     .from_ns = DAY0,
                                                     .to_ns = DAY0 + DAY,
                                                     .raw_from_ns = INT64_MIN,
                                                     .fn = note_order,
                                                     .ctx = &o },
                               &(struct history_keeper){ 0 }, &test_err));
    assert_int_equal(o.rows, 1);
}

#define ROW(fn) \
    {           \
#fn, fn \
    }
const struct conform_test conform_span[] = {
    ROW(whatever_comes),
    ROW(one_moment),
    ROW(pairs_come_one_by_one),
    ROW(levels_go_one_by_one),
    ROW(what_is_not_kept_is_not_read),
    ROW(tests_on_demand_are_in_no_cell),
};
const size_t conform_span_n = TW_NELEM(conform_span);
