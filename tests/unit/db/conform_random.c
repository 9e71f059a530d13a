/* The suite: batches, repeats, rollbacks, ends without a commit, roll-ups and retention as they come; after
 * each, all that can be read is what a plain table of numbers says. CONFORM_SEED=N in the environment:
 * another sequence than always the same. */
#include "common/splitmix.h"
#include "tests/unit/db/conform_fx.h"

enum { SPOOLS = 3, NUMBERS = 300, NONE = 0, ROW, GAP };

/* What should be stored. A row is known by its spool and number. */
struct model {
    uint8_t kind[SPOOLS][NUMBERS];
    bool gone[SPOOLS][NUMBERS]; /* of summaries, not of cells */
};

struct random {
    struct fx *f;
    uint64_t seed;
    struct model now, durable;
};

static uint64_t draw(struct random *r, uint64_t n)
{
    return tw_splitmix64(&r->seed) % n;
}

static uint64_t id_of(unsigned spool, uint64_t seq)
{
    return 1 + spool * NUMBERS + seq;
}

/* Always the same for a number; the caller frees it. */
static struct tw_summary row_of(unsigned spool, uint64_t seq)
{
    unsigned seed = (unsigned)id_of(spool, seq) * 2654435761u;
    struct tw_summary s = some_row(&seed);

    s.generation = id_of(spool, seq);
    return s;
}

static int64_t agent_of(unsigned spool)
{
    return spool < 2 ? 1 : 2;
}

static const uint8_t *spool_of(unsigned spool)
{
    return spool % 2 ? spool_b : spool_a;
}

static uint64_t through_of(const struct model *m, unsigned spool)
{
    uint64_t q = 0;

    while (q + 1 < NUMBERS && m->kind[spool][q + 1])
        q++;
    return q;
}

/* ---- What happens ------------------------------------------------------------------------------- */

static void note_result(struct random *r, unsigned spool, const struct store_batch *b, uint64_t last,
                        enum store_append_result res)
{
    uint64_t through = through_of(&r->now, spool);

    for (uint64_t q = b->first_seq; q <= last; q++) {
        if (res == STORE_REPEATED)
            assert_int_not_equal(r->now.kind[spool][q], NONE);
        if (res == STORE_APPENDED && !r->now.kind[spool][q])
            r->now.kind[spool][q] = b->n ? ROW : GAP;
    }
    if (res == STORE_OUT_OF_SEQ)
        assert_true(b->first_seq > through + 1);
}

static void do_batch(struct random *r)
{
    static struct tw_summary rows[32];
    unsigned spool = (unsigned)draw(r, SPOOLS);
    uint64_t through = through_of(&r->now, spool), n = 1 + draw(r, 24), ret;
    struct store_batch b = { .agent_id = agent_of(spool),
                             .first_seq = 1 + draw(r, NUMBERS - 32),
                             .ahead = draw(r, 2) };
    enum store_append_result res;

    if (draw(r, 2) || !through)
        b.first_seq = through < NUMBERS - 32 ? through + 1 : 1 + draw(r, NUMBERS - 32);
    if (!through)
        b.first_seq = 1;
    if (draw(r, 5)) {
        for (uint64_t i = 0; i < n; i++)
            rows[i] = row_of(spool, b.first_seq + i);
        b.rows = rows;
        b.n = n;
    } else {
        b.gap_last_seq = b.first_seq + n - 1;
        b.gap_reason = "spool_full";
        b.received_ns = DAY0;
    }
    memcpy(b.spool_id, spool_of(spool), STORE_ID_LEN);
    CHECK_OK(r->f->ops->append(r->f->h, &b, &res, &ret, &test_err));
    free_rows(rows, b.n);
    note_result(r, spool, &b, b.first_seq + n - 1, res);
    assert_int_equal(ret, through_of(&r->now, spool));
}

static void do_commit(struct random *r)
{
    commit(r->f);
    r->durable = r->now;
}

static void do_rollup(struct random *r)
{
    bool more = true;

    for (uint64_t slices = 1 + draw(r, 5); slices && more; slices--)
        CHECK_OK(r->f->ops->rollup(r->f->h, INT64_C(1) << 60, 1 + draw(r, 40), &more, &test_err));
}

/* Summaries alone: cells stay for ever. */
static void do_retain(struct random *r)
{
    int64_t from_ns = DAY0 + (int64_t)draw(r, 3) * DAY;
    int64_t *kept = &r->f->kept.from_ns[STORE_RAW];

    *kept = from_ns > *kept ? from_ns : *kept;
    retain(r->f, (const int64_t[STORE_LEVELS]){ *kept, 0, 0, 0, 0 }, NULL, 0);
    for (unsigned spool = 0; spool < SPOOLS; spool++)
        for (uint64_t q = 1; q < NUMBERS; q++)
            if (r->now.kind[spool][q] == ROW) {
                struct tw_summary s = row_of(spool, q);
                r->now.gone[spool][q] |= s.start_ns < *kept;
                summary_free(&s);
            }
    r->durable = r->now;
}

/* ---- What can be read --------------------------------------------------------------------------- */

struct reading {
    const struct model *m;
    uint8_t times[SPOOLS][NUMBERS];
    struct tw_summary last; /* numbers only */
    int64_t latest_ns[PAIRS + 1][2];
};

static enum tw_rc check_row(void *ctx, const struct tw_summary *s)
{
    struct reading *g = ctx;
    uint64_t id = s->generation - 1, spool = id / NUMBERS, seq = id % NUMBERS;
    struct tw_summary want;

    assert_true(spool < SPOOLS && g->m->kind[spool][seq] == ROW && !g->m->gone[spool][seq]);
    assert_int_equal(g->times[spool][seq]++, 0);
    assert_true(s->pair_id > g->last.pair_id || s->start_ns > g->last.start_ns ||
                (s->start_ns == g->last.start_ns && s->flow >= g->last.flow));
    want = row_of((unsigned)spool, seq);
    same("a summary", &want, s);
    summary_free(&want);
    g->last = *s;
    if (s->start_ns > g->latest_ns[s->pair_id][s->flow])
        g->latest_ns[s->pair_id][s->flow] = s->start_ns;
    return TW_OK;
}

static enum tw_rc check_latest_row(void *ctx, const struct tw_summary *s)
{
    struct reading *g = ctx;

    assert_int_equal(s->start_ns, g->latest_ns[s->pair_id][s->flow]);
    g->latest_ns[s->pair_id][s->flow] = 0; /* and not twice */
    return TW_OK;
}

static void check_summaries(struct random *r)
{
    static const uint64_t ids[PAIRS] = { 1, 2, 3, 4 };
    static struct reading g;

    g = (struct reading){ .m = &r->durable };
    CHECK_OK(r->f->ops->read_summaries(r->f->r, ids, PAIRS, INT64_MIN, INT64_MAX, check_row, &g, &test_err));
    for (unsigned spool = 0; spool < SPOOLS; spool++)
        for (uint64_t q = 1; q < NUMBERS; q++)
            assert_int_equal(g.times[spool][q],
                             r->durable.kind[spool][q] == ROW && !r->durable.gone[spool][q]);
    CHECK_OK(r->f->ops->read_latest(r->f->r, ids, PAIRS, 0, check_latest_row, &g, &test_err));
    for (unsigned pair = 1; pair <= PAIRS; pair++)
        assert_int_equal(g.latest_ns[pair][0] + g.latest_ns[pair][1], 0);
}

/* Also of summaries that are gone: their cells have them. */
static void check_sums(struct random *r)
{
    struct sum exact[PAIRS + 1], got;

    for (unsigned pair = 1; pair <= PAIRS; pair++)
        sum_init(&exact[pair]);
    for (unsigned spool = 0; spool < SPOOLS; spool++)
        for (uint64_t q = 1; q < NUMBERS; q++)
            if (r->durable.kind[spool][q] == ROW) {
                struct tw_summary s = row_of(spool, q);
                sum_summary(&exact[s.pair_id], &s);
                summary_free(&s);
            }
    for (unsigned pair = 1; pair <= PAIRS; pair++) {
        read_sum(r->f, pair, 0, INT64_MAX, 0, INT64_MAX, &got);
        assert_int_equal(got.rows, exact[pair].rows);
        assert_int_equal(got.whole, exact[pair].whole);
        same("a span", &exact[pair].merged, &got.merged);
        summary_free(&got.merged);
        summary_free(&exact[pair].merged);
    }
}

static void check_cursors(struct random *r)
{
    uint64_t gaps[2] = { 0, 0 };

    for (unsigned spool = 0; spool < SPOOLS; spool++) {
        struct store_cursor at = cursor_of(r->f, agent_of(spool), spool_of(spool));
        assert_int_equal(at.through, through_of(&r->durable, spool));
        for (uint64_t q = at.through + 1; q < NUMBERS; q++)
            assert_int_equal(seqset_has(&at.ahead, q), r->durable.kind[spool][q] != NONE);
        for (uint64_t q = 1; q < NUMBERS; q++)
            gaps[agent_of(spool) - 1] += r->durable.kind[spool][q] == GAP;
    }
    for (int64_t agent = 1; agent <= 2; agent++)
        assert_int_equal(count_gaps(r->f, agent), gaps[agent - 1]);
}

static void check_all(struct random *r)
{
    check_summaries(r);
    check_sums(r);
    check_cursors(r);
}

static void whatever_happens(void **state)
{
    const char *other = getenv("CONFORM_SEED");
    static struct random r;

    r = (struct random){ .f = *state, .seed = other ? strtoull(other, NULL, 10) : 20261128 };
    for (unsigned round = 0; round < (getenv("TW_TEST_LONG") ? 400 : 40); round++) {
        uint64_t end;
        begin(r.f);
        for (uint64_t batches = draw(&r, 8); batches; batches--)
            do_batch(&r);
        end = draw(&r, 8);
        if (end >= 2)
            do_commit(&r);
        else
            r.now = r.durable;
        if (end == 1)
            r.f->ops->rollback(r.f->h);
        if (!end || end == 7)
            reopen(r.f); /* end 0: without a commit */
        if (!draw(&r, 3))
            do_rollup(&r);
        if (!draw(&r, 8))
            do_retain(&r);
        check_all(&r);
    }
    roll(r.f, 1000);
    check_all(&r);
    assert_true(through_of(&r.durable, 0) > 100);
}

#define TEST(fn) \
    {            \
#fn, fn  \
    }
const struct conform_test conform_random[] = { TEST(whatever_happens) };
const size_t conform_random_n = TW_NELEM(conform_random);
