/* What scheduled summaries add up to, one by one and by a span's cells, for the tests of databases. */
#ifndef TW_TESTS_SUMS_H
#define TW_TESTS_SUMS_H

#include "db/store_history.h"
#include "tests/unit/db/some_rows.h"

struct sum {
    struct tw_summary merged;
    uint64_t rows, whole, raw_cells, cells;
    int64_t from_ns, to_ns; /* covered */
    int64_t step_ns;
};

__attribute__((unused)) static void sum_init(struct sum *s)
{
    *s = (struct sum){ .rows = 0 };
    summary_init(&s->merged);
}

/* The next three: ctx is a sum. */
__attribute__((unused)) static enum tw_rc sum_summary(void *ctx, const struct tw_summary *row)
{
    struct sum *s = ctx;

    if (row->test_id)
        return TW_OK;
    summary_merge(&s->merged, row);
    s->rows++;
    s->whole += row->start_ns % (row->end_ns - row->start_ns) == 0;
    return TW_OK;
}

__attribute__((unused)) static enum tw_rc sum_cell(void *ctx, const struct store_cell *c)
{
    struct sum *s = ctx;

    if (c->merged->test_id)
        return TW_OK;
    assert_int_equal(summary_validate(c->merged, &test_err), TW_OK);
    if (s->step_ns && c->level != STORE_RAW)
        assert_int_equal(c->from_ns / s->step_ns, (c->until_ns - 1) / s->step_ns);
    summary_merge(&s->merged, c->merged);
    s->rows += c->rows;
    s->whole += c->whole;
    s->raw_cells += c->level == STORE_RAW;
    s->cells += c->level != STORE_RAW;
    return TW_OK;
}

__attribute__((unused)) static void sum_covered(void *ctx, uint64_t pair_id, int64_t from_ns, int64_t to_ns)
{
    struct sum *s = ctx;

    (void)pair_id;
    s->from_ns = from_ns;
    s->to_ns = to_ns;
}

/* Of the same span, and frees both. */
__attribute__((unused)) static void same_sums(const char *what, uint64_t pair, int64_t from, int64_t to,
                                              int64_t step, struct sum *exact, struct sum *got)
{
    if (exact->rows != got->rows || exact->whole != got->whole)
        fail_msg("%s, pair %llu, [%lld, %lld) by %lld: %llu summaries (%llu whole), not %llu (%llu)", what,
                 (unsigned long long)pair, (long long)((from - DAY0) / SEC), (long long)((to - DAY0) / SEC),
                 (long long)(step / SEC), (unsigned long long)got->rows, (unsigned long long)got->whole,
                 (unsigned long long)exact->rows, (unsigned long long)exact->whole);
    assert_int_equal(got->from_ns, from);
    assert_int_equal(got->to_ns, to);
    same(what, &exact->merged, &got->merged);
    summary_free(&exact->merged);
    summary_free(&got->merged);
}

struct random_span {
    uint64_t pair;
    int64_t from, to, step, raw_from;
};
/* The first 2 * PAIRS are all of each pair, and its first three days. */
__attribute__((unused)) static struct random_span random_span(unsigned *seed, unsigned i)
{
    static const int64_t steps[] = { 0, 0, 10 * SEC, 60 * SEC, 600 * SEC, HOUR, DAY };
    struct random_span s = { .pair = 1 + i / 2, .to = INT64_MAX, .raw_from = INT64_MAX };

    if (i < 2 * PAIRS) {
        if (i % 2) {
            s.from = DAY0;
            s.to = DAY0 + 3 * DAY;
        }
        return s;
    }
    s.from = DAY0 + pick(seed, 3 * DAY) / SEC * SEC;
    s.to = s.from + SEC + pick(seed, 3 * DAY) / SEC * SEC;
    s.pair = 1 + (uint64_t)pick(seed, PAIRS);
    s.step = steps[pick(seed, TW_NELEM(steps))];
    if (!pick(seed, 3))
        s.raw_from = s.from + pick(seed, 2 * DAY);
    return s;
}

#endif
