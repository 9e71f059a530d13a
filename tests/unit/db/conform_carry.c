/* The suite: a history is carried to another database with all that is in it, however often that is
 * interrupted, and goes on there as it would have gone on here. */
#include "db/carry_sums.h"
#include "tests/unit/db/conform_fx.h"

#define LOSSY (PAIRS + 1) /* the pair with loss runs */
#define ALL_PAIRS (PAIRS + 1)

/* ---- Something of everything ---- */

static void add_lossy(struct fx *f)
{
    struct tw_summary rows[40];

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        int64_t start = DAY0 + (int64_t)i * 2 * HOUR + 59 * MINUTE;
        struct tw_loss_run runs[2] = { run(start + SEC, 10, 3, TW_FORWARD),
                                       run(start + 59 * SEC, 590, 10, TW_FORWARD) };
        runs[1].continues_after = true;
        rows[i] = lossy(LOSSY, (uint32_t)(i % 2), start, runs, 2);
    }
    add_rows(f, rows, TW_NELEM(rows));
    free_rows(rows, TW_NELEM(rows));
}

void carry_more(struct fx *f, size_t n)
{
    struct tw_summary rows[100];

    for (; n; n -= TW_NELEM(rows)) {
        for (size_t i = 0; i < TW_NELEM(rows); i++)
            rows[i] = some_row(&f->seed);
        add_rows(f, rows, TW_NELEM(rows));
        free_rows(rows, TW_NELEM(rows));
    }
}

static void add_gaps(struct fx *f)
{
    struct tw_summary ahead = plain(1, 0, DAY0 + DAY, 77);
    uint64_t through;

    begin(f);
    assert_int_equal(append(f, spool_b, 1, NULL, 20, false, &through), STORE_APPENDED);
    assert_int_equal(append(f, spool_b, 31, &ahead, 1, true, &through), STORE_APPENDED);
    assert_int_equal(append(f, spool_b, 41, NULL, 5, true, &through), STORE_APPENDED);
    commit(f);
}

/* Of a clock that was an hour ahead: it is not the latest once another has come. */
static void add_early(struct fx *f)
{
    struct tw_summary rows[2] = { plain(2, 7, DAY0 + 2 * DAY + HOUR, 1), plain(2, 7, DAY0 + 2 * DAY, 2) };

    for (size_t i = 0; i < 2; i++) {
        struct store_batch b = {
            .agent_id = 2, .first_seq = 1 + i, .rows = &rows[i], .n = 1, .received_ns = DAY0 + 2 * DAY
        };
        enum store_append_result res;
        uint64_t through;
        memcpy(b.spool_id, spool_a, STORE_ID_LEN);
        begin(f);
        CHECK_OK(f->ops->append(f->h, &b, &res, &through, &test_err));
        commit(f);
    }
}

void carry_fill(struct fx *f)
{
    const int64_t kept[STORE_LEVELS] = { DAY0 + DAY, DAY0 + DAY, 0, 0, 0 };

    carry_more(f, 300);
    add_lossy(f);
    roll(f, 50);
    retain(f, kept, NULL, 0);
    memcpy(f->kept.from_ns, kept, sizeof kept);
    carry_more(f, 300);
    add_gaps(f);
    add_early(f);
    roll(f, 50);
    carry_more(f, 200); /* waits to be rolled up */
}

/* ---- All that readers tell ---- */

struct told {
    struct carry_days days;
    uint64_t pair;
};

static void add(struct told *t, const struct history_row *row)
{
    CHECK_OK(carry_days_add(&t->days, row, &test_err));
}

static enum tw_rc take_summary(void *ctx, const struct tw_summary *s)
{
    add(ctx, &(struct history_row){ .kind = HISTORY_ROLLED, .summary = s });
    return TW_OK;
}

static enum tw_rc take_latest(void *ctx, const struct tw_summary *s)
{
    add(ctx, &(struct history_row){ .kind = HISTORY_WAITING, .summary = s });
    return TW_OK;
}

static enum tw_rc take_cell(void *ctx, const struct store_cell *c)
{
    add(ctx, &(struct history_row){ .kind = HISTORY_CELL,
                                    .level = c->level,
                                    .summary = c->merged,
                                    .cell_ns = c->from_ns,
                                    .n_rows = c->rows,
                                    .n_whole = c->whole });
    return TW_OK;
}

static enum tw_rc take_run(void *ctx, const struct tw_loss_run *r)
{
    struct told *t = ctx;

    add(t, &(struct history_row){ .kind = HISTORY_RUN, .pair_id = t->pair, .run = r });
    return TW_OK;
}

static enum tw_rc take_chain(void *ctx, const struct tw_loss_run *r, uint64_t parts)
{
    struct told *t = ctx;

    add(t, &(struct history_row){ .kind = HISTORY_CHAIN, .pair_id = t->pair, .run = r, .parts = parts });
    return TW_OK;
}

static enum tw_rc take_gap(void *ctx, const struct history_gap *g)
{
    add(ctx, &(struct history_row){ .kind = HISTORY_GAP, .gap = g });
    return TW_OK;
}

static enum tw_rc take_cursor(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                              const struct store_cursor *at)
{
    struct history_row row = { .kind = HISTORY_CURSOR, .agent_id = agent_id, .cursor = *at };

    memcpy(row.spool_id, spool_id, STORE_ID_LEN);
    if (agent_id > 0)
        add(ctx, &row);
    return TW_OK;
}

static enum tw_rc keep(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *err)
{
    (void)pair_id;
    (void)err;
    *ret = *(const struct history_kept *)ctx;
    return TW_OK;
}

static void tell_pairs(struct fx *f, struct told *t)
{
    const struct history_ops *ops = f->ops;

    for (t->pair = 1; t->pair <= ALL_PAIRS; t->pair++) {
        CHECK_OK(ops->read_loss_runs(f->r, t->pair, 0, INT64_MAX, take_run, t, &test_err));
        CHECK_OK(ops->read_loss_chains(f->r, t->pair, 0, INT64_MAX, take_chain, t, &test_err));
    }
}

static void tell_all(struct fx *f, int64_t step_ns, struct told *ret)
{
    static const uint64_t ids[ALL_PAIRS] = { 1, 2, 3, 4, 5 };
    static const int64_t agents[] = { 1, 2, 3 };
    const struct history_ops *ops = f->ops;
    const struct history_keeper keeper = { keep, &f->kept };
    const struct store_span span = { .pair_ids = ids,
                                     .n_pairs = ALL_PAIRS,
                                     .from_ns = DAY0 - DAY,
                                     .to_ns = DAY0 + 5 * DAY,
                                     .step_ns = step_ns,
                                     .raw_from_ns = INT64_MAX,
                                     .fn = take_cell,
                                     .ctx = ret };

    *ret = (struct told){ .pair = 0 };
    CHECK_OK(ops->read_summaries(f->r, ids, ALL_PAIRS, f->kept.from_ns[STORE_RAW], INT64_MAX, take_summary,
                                 ret, &test_err));
    CHECK_OK(ops->read_latest(f->r, ids, ALL_PAIRS, 0, take_latest, ret, &test_err));
    CHECK_OK(ops->read_span(f->r, &span, &keeper, &test_err));
    CHECK_OK(ops->read_gaps(f->r, agents, TW_NELEM(agents), HISTORY_RECEIVED, 0, INT64_MAX, take_gap, ret,
                            &test_err));
    CHECK_OK(ops->each_cursor(f->h, take_cursor, ret, &test_err));
    tell_pairs(f, ret);
}

void carry_same(struct fx *a, struct fx *b)
{
    static const int64_t steps[] = { 0, MINUTE, 10 * MINUTE, HOUR, DAY };

    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        struct told here, there;
        tell_all(a, steps[i], &here);
        tell_all(b, steps[i], &there);
        assert_true(here.days.n > 10);
        CHECK_OK(carry_days_compare(&here.days, &there.days, &test_err));
        carry_days_free(&here.days);
        carry_days_free(&there.days);
    }
}

/* ---- Parts and places ---- */

/* What tells a summary from all others. */
struct identity {
    int64_t agent_id;
    uint64_t seq;
    uint8_t spool_id[STORE_ID_LEN];
};
struct places {
    uint64_t last, n;
    struct identity *all; /* of all parts; NULL: not noted */
    size_t *n_all;
};
#define IDENTITIES 2000

static void note_identity(struct places *p, const struct history_row *row)
{
    struct identity *to = p->all ? &p->all[(*p->n_all)++] : NULL;

    if (!to)
        return;
    assert_true(*p->n_all <= IDENTITIES);
    memset(to, 0, sizeof *to);
    to->agent_id = row->agent_id;
    to->seq = row->seq;
    memcpy(to->spool_id, row->spool_id, STORE_ID_LEN);
}

static int compare_identities(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct identity));
}

static enum tw_rc note_place(void *ctx, const struct history_row *row)
{
    struct places *p = ctx;

    assert_true(row->at >= p->last && row->at >= 1);
    if (row->kind == HISTORY_ROLLED || row->kind == HISTORY_WAITING)
        note_identity(p, row);
    p->last = row->at;
    p->n++;
    return TW_OK;
}

static void look_at_part(struct fx *f, const struct history_part *part, struct identity *ids, size_t *n_ids)
{
    struct places all = { .all = ids, .n_all = n_ids }, rest = { 0 };
    uint64_t middle;

    CHECK_OK(f->ops->export_rows(f->r, part, 0, note_place, &all, &test_err));
    middle = all.last / 2;
    CHECK_OK(f->ops->export_rows(f->r, part, middle, note_place, &rest, &test_err));
    assert_true(rest.n <= all.n && rest.last == (rest.n ? all.last : 0));
    if (rest.n)
        assert_true(rest.last > middle);
}

struct some_parts {
    struct history_part v[200];
    size_t n;
};

static enum tw_rc keep_part(void *ctx, const struct history_part *part)
{
    struct some_parts *to = ctx;

    assert_true(to->n < TW_NELEM(to->v) && part->from_ns < part->to_ns);
    to->v[to->n++] = *part;
    return TW_OK;
}

static void parts_can_be_gone_on_with(void **state)
{
    static struct some_parts parts;
    static struct identity ids[IDENTITIES];
    size_t n_ids = 0;
    struct fx *f = *state;

    if (!f->ops->export_parts)
        skip();
    carry_fill(f);
    parts.n = 0;
    CHECK_OK(f->ops->export_parts(f->r, keep_part, &parts, &test_err));
    assert_true(parts.n > 10);
    for (size_t i = 0; i < parts.n; i++)
        look_at_part(f, &parts.v[i], ids, &n_ids);
    assert_true(n_ids > 500);
    qsort(ids, n_ids, sizeof *ids, compare_identities);
    for (size_t i = 1; i < n_ids; i++)
        assert_int_not_equal(compare_identities(&ids[i - 1], &ids[i]), 0);
}

/* ---- Carried ---- */

void carry_open(struct fx *to, const struct history_ops *ops, const char *location)
{
    const struct history_conf conf = { .location = location };

    *to = (struct fx){ .ops = ops };
    snprintf(to->location, sizeof to->location, "%s", location);
    CHECK_OK(ops->open(&conf, &to->h, &test_err));
    CHECK_OK(ops->reader_open(&conf, &to->r, &test_err));
}

static bool stop_at(void *ctx, enum carry_phase phase, uint64_t done, uint64_t total)
{
    unsigned *left = ctx;

    (void)phase;
    assert_true(done <= 2 * total);
    return (*left)-- > 0;
}

/* Each try gets some steps farther than the one before. */
static void is_carried(void **state)
{
    struct fx *f = *state, to;
    struct carry_conf conf = {
        .from_ops = f->ops, .to_ops = f->ops, .from = f->location, .progress = stop_at
    };
    struct carry_report report;
    char location[CONFORM_LOCATION];
    unsigned left, tries = 0;
    enum tw_rc rc;

    if (!f->ops->import)
        skip();
    carry_fill(f);
    conform_under_test->make(location);
    conf.to = location;
    conf.ctx = &left;
    do {
        left = 6 + 12 * tries++;
        rc = carry_history(&conf, &report, &test_err);
        if (rc) {
            struct history *h;
            assert_int_equal(rc, TW_ECLOSED);
            assert_int_equal(f->ops->open(&(struct history_conf){ .location = location }, &h, &test_err),
                             TW_EINUSE);
        }
    } while (rc);
    assert_true(tries > 2 && report.rows > 500 && report.n > 8);
    carry_open(&to, f->ops, location);
    to.kept = f->kept;
    to.seq = f->seq;
    to.seed = f->seed;
    carry_same(f, &to);
    for (int i = 0; i < 2; i++) { /* and it goes on alike */
        struct fx *one = i ? &to : f;
        carry_more(one, 100);
        roll(one, 1000);
    }
    carry_same(f, &to);
    to.ops->reader_close(to.r);
    to.ops->close(to.h);
    rc = carry_history(&conf, &report, &test_err);
    assert_int_equal(rc, TW_EEXIST); /* another one is there */
}

#define TEST(fn) \
    {            \
#fn, fn  \
    }
const struct conform_test conform_carry[] = { TEST(parts_can_be_gone_on_with), TEST(is_carried) };
const size_t conform_carry_n = TW_NELEM(conform_carry);
