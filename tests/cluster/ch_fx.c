#include "tests/cluster/ch_fx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/cluster/own_server.h"

_Thread_local struct tw_err err;
char location[128];

struct history *open_it(void)
{
    struct history *h = NULL;

    CHECK_OK(clickhouse_history.open(&(struct history_conf){ .location = location }, &h, &err));
    return h;
}

static struct history_reader *reader(void)
{
    struct history_reader *r = NULL;

    CHECK_OK(clickhouse_history.reader_open(&(struct history_conf){ .location = location }, &r, &err));
    return r;
}

/* Summaries of one flow of a pair, a minute each from DAY0 on: number seq starts at minute seq. */
struct batch {
    struct store_batch b;
    struct tw_summary rows[64];
};

static void fill(struct batch *b, int64_t agent, uint64_t first, size_t n)
{
    memset(b, 0, sizeof *b);
    b->b = (struct store_batch){
        .agent_id = agent, .spool_id = { 7 }, .first_seq = first, .rows = b->rows, .n = n, .received_ns = DAY0
    };
    for (size_t i = 0; i < n; i++) {
        struct tw_summary *s = &b->rows[i];
        summary_init(s);
        s->pair_id = (uint64_t)agent;
        s->start_ns = DAY0 + (int64_t)(first + i) * MINUTE;
        s->end_ns = s->start_ns + MINUTE / 2;
        s->seq_first = (uint32_t)(first + i);
        s->sent = s->received = 1;
        s->status = TW_STATUS_OK;
        hist_add(&s->delay[TW_ROUNDTRIP], (int64_t)(first + i) * 1000);
    }
}

static void drop(struct batch *b)
{
    for (size_t i = 0; i < b->b.n; i++)
        summary_free(&b->rows[i]);
}

enum tw_rc append(struct history *h, int64_t agent, uint64_t first, size_t n, enum store_append_result *ret)
{
    struct batch b;
    uint64_t through;
    enum tw_rc rc;

    fill(&b, agent, first, n);
    rc = clickhouse_history.append(h, &b.b, ret, &through, &err);
    drop(&b);
    return rc;
}

enum tw_rc commit_of(struct history *h, int64_t agent, uint64_t first, size_t n,
                     enum store_append_result *ret)
{
    enum tw_rc rc = clickhouse_history.begin(h, &err);

    if (rc)
        return rc;
    rc = append(h, agent, first, n, ret);
    if (!rc)
        return clickhouse_history.commit(h, &err);
    clickhouse_history.rollback(h);
    return rc;
}

static enum tw_rc add_summary(void *ctx, const struct tw_summary *s)
{
    struct sums *to = ctx;

    to->rows++;
    to->sent += s->sent;
    to->delays += s->delay[TW_ROUNDTRIP].count;
    to->delay_sum += s->delay[TW_ROUNDTRIP].sum_ns;
    return TW_OK;
}

static enum tw_rc add_cell(void *ctx, const struct store_cell *c)
{
    struct sums *to = ctx;

    to->cells += c->level != STORE_RAW;
    add_summary(ctx, c->merged);
    to->rows += c->rows - 1;
    return TW_OK;
}

struct sums read_raw(uint64_t pair)
{
    struct history_reader *r = reader();
    struct sums s = { 0 };

    CHECK_OK(
        clickhouse_history.read_summaries(r, &pair, 1, DAY0, DAY0 + 10 * CH_DAY_NS, add_summary, &s, &err));
    clickhouse_history.reader_close(r);
    return s;
}

static struct sums read_kept(uint64_t pair, const struct history_keeper *keeper)
{
    struct history_reader *r = reader();
    struct sums s = { 0 };
    struct store_span span = { .pair_ids = &pair,
                               .n_pairs = 1,
                               .from_ns = DAY0,
                               .to_ns = DAY0 + 10 * CH_DAY_NS,
                               .raw_from_ns = INT64_MAX,
                               .fn = add_cell,
                               .ctx = &s };

    CHECK_OK(clickhouse_history.read_span(r, &span, keeper, &err));
    clickhouse_history.reader_close(r);
    return s;
}

struct sums read_cells(uint64_t pair)
{
    return read_kept(pair, &(struct history_keeper){ 0 });
}

/* Where nothing finer than an hour is kept. */
static enum tw_rc only_hours(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *e)
{
    (void)ctx;
    (void)pair_id;
    (void)e;
    for (int l = 0; l < STORE_LEVELS; l++)
        ret->from_ns[l] = l < STORE_1H ? DAY0 + 30 * CH_DAY_NS : DAY0;
    return TW_OK;
}

struct sums read_hours(uint64_t pair)
{
    return read_kept(pair, &(struct history_keeper){ .fn = only_hours });
}

void expect(uint64_t pair, uint64_t n)
{
    struct sums want = { .rows = n, .sent = n, .delays = n, .delay_sum = (int64_t)(n * (n + 1) / 2 * 1000) };
    struct sums raw = read_raw(pair), cells = read_cells(pair);

    assert_int_equal(raw.rows, want.rows);
    assert_int_equal(raw.sent, want.sent);
    assert_int_equal(raw.delay_sum, want.delay_sum);
    assert_int_equal(cells.rows, want.rows);
    assert_int_equal(cells.sent, want.sent);
    assert_int_equal(cells.delays, want.delays);
    assert_int_equal(cells.delay_sum, want.delay_sum);
}

void roll_up(struct history *h)
{
    bool more = true;

    for (int64_t now = DAY0 + CH_DAY_NS; more; now += 600 * TW_NS_PER_S)
        CHECK_OK(clickhouse_history.rollup(h, now, 10, &more, &err));
}
