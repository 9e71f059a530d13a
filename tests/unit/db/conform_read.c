/* The suite: summaries, the latest, loss runs; what goes, and what readers may do meanwhile. */
#include <pthread.h>
#include <stdatomic.h>

#include "common/loss_runs.h"
#include "tests/unit/db/conform_fx.h"

/* ---- Fields and order --------------------------------------------------------------------------- */

struct expected {
    const struct tw_summary *v[2];
    size_t n;
};

static enum tw_rc expect(void *ctx, const struct tw_summary *s)
{
    struct expected *l = ctx;

    assert_true(l->n < 2);
    assert_int_equal(l->v[l->n]->pair_id, s->pair_id);
    same(l->n ? "the second" : "the first", l->v[l->n], s);
    l->n++;
    return TW_OK;
}

static void every_field_comes_back(void **state)
{
    struct fx *f = *state;
    struct tw_summary full, empty = plain(1, 3, DAY0 + MINUTE, 0);
    struct expected l = { { &full, &empty }, 0 };
    const uint64_t one = 1;
    struct tw_err err = { 0 };

    fill_all(&full);
    if (summary_validate(&full, &err))
        fail_msg("%s: %s", err.field, err.text);
    add_rows(f, &full, 1);
    add_rows(f, &empty, 1);
    /* The empty one follows the full one: nothing of it may be left over. */
    CHECK_OK(f->ops->read_summaries(f->r, &one, 1, 0, INT64_MAX, expect, &l, &test_err));
    assert_int_equal(l.n, 2);
    summary_free(&full);
}

#define DAY_MINUTES 1440
static const struct {
    uint64_t pair;
    uint32_t flow;
    int minute;
} scattered[] = {
    { 1, 0, 0 },  { 2, 0, DAY_MINUTES - 1 }, { 1, 1, 0 }, { 1, 0, DAY_MINUTES }, { 3, 0, 2 * DAY_MINUTES },
    { 1, 0, -1 }, { 2, 0, 3 /* late */ },    { 9, 0, 0 },
};

static void add_scattered(struct fx *f)
{
    struct tw_summary rows[TW_NELEM(scattered)];

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        rows[i] =
            plain(scattered[i].pair, scattered[i].flow, DAY0 + scattered[i].minute * MINUTE, (uint32_t)i);
    add_rows(f, rows, TW_NELEM(rows));
}

static enum tw_rc show(void *ctx, const struct tw_summary *s)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    snprintf(buf + n, 1024 - n, "%llu#%u ", (unsigned long long)s->pair_id, s->seq_first);
    return TW_OK;
}

static void days_are_one_history(void **state)
{
    static const uint64_t ids[] = { 2, 1, 1, 3 };
    struct fx *f = *state;
    char text[1024] = "";

    add_scattered(f);
    check_rows(f, "all", "1.0@-1#5 1.0@0#0 1.1@0#2 1.0@1440#3 2.0@3#6 2.0@1439#1 3.0@2880#4 ");
    CHECK_OK(f->ops->read_summaries(f->r, ids, 4, DAY0, DAY0 + DAY, show, text, &test_err));
    assert_string_equal(text, "1#0 1#2 2#6 2#1 ");
    text[0] = '\0';
    CHECK_OK(f->ops->read_summaries(f->r, ids, 0, 0, INT64_MAX, show, text, &test_err));
    CHECK_OK(f->ops->read_summaries(f->r, NULL, 0, 0, INT64_MAX, show, text, &test_err));
    CHECK_OK(f->ops->read_summaries(f->r, ids, 4, DAY0 + 1, DAY0 + 1, show, text, &test_err));
    CHECK_OK(f->ops->read_summaries(f->r, ids, 4, DAY0 + 1, DAY0, show, text, &test_err));
    assert_string_equal(text, "");
}

/* ---- Latest ------------------------------------------------------------------------------------- */

static void latest_is_the_newest_not_the_last(void **state)
{
    struct fx *f = *state;
    struct tw_summary old = plain(2, 0, DAY0 + 4 * MINUTE, 77), newer = plain(2, 0, DAY0 + 5000 * MINUTE, 78);
    uint64_t through;

    add_scattered(f);
    check_latest(f, "in one transaction", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    add_rows(f, &old, 1);
    check_latest(f, "a late one in another", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    begin(f);
    append(f, spool_a, 10, &newer, 1, false, &through);
    f->ops->rollback(f->h);
    check_latest(f, "rolled back", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    add_rows(f, &newer, 1);
    check_latest(f, "again", "1.0@1440#3 1.1@0#2 2.0@5000#78 3.0@2880#4 ");
}

struct seen {
    uint64_t pair[400];
    uint32_t flow[400], tag[400];
    size_t n;
};

static enum tw_rc note_seen(void *ctx, const struct tw_summary *s)
{
    struct seen *v = ctx;

    assert_true(v->n < TW_NELEM(v->tag));
    v->pair[v->n] = s->pair_id;
    v->flow[v->n] = s->flow;
    v->tag[v->n++] = s->seq_first;
    return TW_OK;
}

enum { MANY = 150, ASKED = 100 };

/* Most on one day; each 7th pair on an older one, each 10th with one flow on an older one. */
static void add_many(struct fx *f)
{
    static struct tw_summary rows[2 * MANY];
    size_t n = 0;

    for (uint32_t i = 0; i < MANY; i++)
        for (uint32_t flow = 0; flow < 1 + i % 2; flow++, n++) {
            bool old = i % 7 == 3 || (i % 10 == 5 && flow == 1);
            rows[n] = plain(1000 - i, flow, DAY0 + (old ? 10 : 1440 + 10) * MINUTE, (uint32_t)n + 1);
        }
    add_rows(f, rows, n);
}

/* Flow by flow what looking up one pair says, and pairs in one piece each, whatever days they are on. */
static void many_latest(void **state)
{
    struct fx *f = *state;
    uint64_t ids[ASKED + 2];
    struct seen all = { .n = 0 };
    size_t n = 0;

    add_many(f);
    for (uint64_t i = 0; i < ASKED; i++)
        ids[i] = 1001 - i; /* the first of them is not known */
    ids[ASKED] = 990;      /* asked for twice */
    ids[ASKED + 1] = 5;
    CHECK_OK(f->ops->read_latest(f->r, ids, ASKED + 2, 0, note_seen, &all, &test_err));
    for (size_t i = 0; i < all.n; i++) {
        struct seen one = { .n = 0 };
        size_t k = i;
        for (size_t j = 0; j < i; j++)
            assert_true(all.pair[j] != all.pair[i]);
        CHECK_OK(f->ops->read_latest(f->r, &all.pair[i], 1, 0, note_seen, &one, &test_err));
        for (; k < all.n && all.pair[k] == all.pair[i]; k++)
            if (k - i >= one.n || all.flow[k] != one.flow[k - i] || all.tag[k] != one.tag[k - i])
                fail_msg("pair %llu, flow %u", (unsigned long long)all.pair[k], all.flow[k]);
        assert_int_equal(k - i, one.n);
        i = k - 1;
        n++;
    }
    assert_int_equal(n, ASKED - 1);
}

static void a_wrong_clock_does_not_stay_latest(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[] = { plain(1, 0, DAY0 + 1000 * MINUTE, 1), plain(1, 0, DAY0 + 5 * MINUTE, 2),
                                 plain(1, 0, DAY0 + 4 * MINUTE, 3) };
    struct store_batch b = { .agent_id = 1, .n = 1, .received_ns = DAY0 + 6 * MINUTE };
    enum store_append_result res;
    uint64_t through;

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        b.rows = &rows[i];
        b.first_seq = i + 1;
        begin(f);
        CHECK_OK(f->ops->append(f->h, &b, &res, &through, &test_err));
        commit(f);
    }
    check_latest(f, "the clock is right again", "1.0@5#2 ");
}

/* ---- Loss runs ---------------------------------------------------------------------------------- */

static enum tw_rc show_run(void *ctx, const struct tw_loss_run *r)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    assert_int_equal(r->length_ns, r->probes * 1000);
    snprintf(buf + n, 1024 - n, "%s%u@%lld:%llu#%u %s%s ", r->continues_before ? "<" : "", r->flow,
             (long long)((r->start_ns - DAY0) / SEC), (unsigned long long)r->probes, r->seq_first,
             tw_direction_name(r->direction), r->continues_after ? ">" : "");
    return TW_OK;
}

static enum tw_rc show_chain(void *ctx, const struct tw_loss_run *r, uint64_t parts)
{
    assert_int_equal(parts, 1);
    return show_run(ctx, r);
}

static void check_runs(struct fx *f, uint64_t pair, int64_t from_ns, int64_t to_ns, const char *want)
{
    char text[1024] = "", chains[1024] = "";

    CHECK_OK(f->ops->read_loss_runs(f->r, pair, from_ns, to_ns, show_run, text, &test_err));
    assert_string_equal(text, want);
    CHECK_OK(f->ops->read_loss_chains(f->r, pair, from_ns, to_ns, show_chain, chains, &test_err));
    assert_string_equal(chains, want); /* where summaries are kept, each run by itself */
}

#define ALL "0@5:2#50 mixed 1@5:9#51 forward> <0@30:1#300 backward "
#define NIGHT (DAY0 + DAY - MINUTE / 2)

static void put_lossy(struct fx *f, uint64_t first, enum store_append_result want)
{
    struct tw_loss_run two[] = { run(DAY0 + 5 * SEC, 50, 2, TW_MIXED),
                                 run(DAY0 + 30 * SEC, 300, 1, TW_BACKWARD) };
    struct tw_loss_run one = run(DAY0 + 5 * SEC, 51, 9, TW_FORWARD);
    struct tw_loss_run late = run(NIGHT + 31 * SEC, 7, 3, TW_UNKNOWN); /* begins on the next day */
    struct tw_summary rows[3];
    uint64_t through;

    two[1].continues_before = one.continues_after = true;
    rows[0] = lossy(1, 0, DAY0, two, 2);
    rows[1] = lossy(1, 1, DAY0, &one, 1);
    rows[2] = lossy(1, 0, NIGHT, &late, 1);
    assert_int_equal(append(f, spool_a, first, rows, 3, false, &through), want);
    free_rows(rows, 3);
}

static void loss_runs_come_back_in_order(void **state)
{
    struct fx *f = *state;

    check_runs(f, 1, 0, INT64_MAX, "");
    begin(f);
    put_lossy(f, 1, STORE_APPENDED);
    f->ops->rollback(f->h);
    check_runs(f, 1, 0, INT64_MAX, "");
    for (int i = 0; i < 2; i++) {
        begin(f);
        put_lossy(f, 1, i ? STORE_REPEATED : STORE_APPENDED);
        commit(f);
        check_runs(f, 1, 0, INT64_MAX, ALL "0@86401:3#7 unknown ");
    }
    check_runs(f, 2, 0, INT64_MAX, "");
    check_runs(f, 1, DAY0 + 5 * SEC, DAY0 + 30 * SEC, "0@5:2#50 mixed 1@5:9#51 forward> ");
    check_runs(f, 1, DAY0 + 5 * SEC + 1, DAY0 + DAY, "<0@30:1#300 backward ");
    check_runs(f, 1, 5, 5, "");
}

/* ---- Retention ---------------------------------------------------------------------------------- */

/* Only summaries go. */
static void retain_raw(struct fx *f, int64_t from_ns)
{
    retain(f, (const int64_t[STORE_LEVELS]){ from_ns, 0, 0, 0, 0 }, NULL, 0);
}

static void retention_drops_whole_days(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 1, DAY0 + 10 * MINUTE, 80);

    add_scattered(f);
    retain_raw(f, DAY0);
    check_rows(f, "one day less", "1.0@0#0 1.1@0#2 1.0@1440#3 2.0@3#6 2.0@1439#1 3.0@2880#4 ");
    check_latest(f, "one day less", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    retain_raw(f, DAY0 + DAY);
    check_rows(f, "two days less", "1.0@1440#3 3.0@2880#4 ");
    check_latest(f, "no rows that are gone", "1.0@1440#3 3.0@2880#4 ");
    reopen(f);
    add_rows(f, &row, 1); /* a late one brings its day back */
    check_rows(f, "late", "1.1@10#80 1.0@1440#3 3.0@2880#4 ");
    check_latest(f, "late", "1.0@1440#3 1.1@10#80 3.0@2880#4 ");
}

static void retention_can_be_rolled_back(void **state)
{
    struct fx *f = *state;
    const struct history_retention r = { .now_ns = DAY0 + 9 * DAY, .from_ns = { DAY0 + DAY, 0, 0, 0, 0 } };
    bool more = true;

    add_scattered(f);
    begin(f);
    while (more)
        CHECK_OK(f->ops->retain(f->h, &r, &more, &test_err));
    f->ops->rollback(f->h);
    check_latest(f, "rolled back", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    check_rows(f, "rolled back", "1.0@-1#5 1.0@0#0 1.1@0#2 1.0@1440#3 2.0@3#6 2.0@1439#1 3.0@2880#4 ");
    retain_raw(f, DAY0 + DAY); /* begins anew */
    check_rows(f, "done", "1.0@1440#3 3.0@2880#4 ");
}

static void retention_and_append_in_one_transaction(void **state)
{
    struct fx *f = *state;
    const struct history_retention r = { .now_ns = DAY0 + 9 * DAY, .from_ns = { DAY0 + DAY, 0, 0, 0, 0 } };
    struct tw_summary rows[] = { plain(1, 0, DAY0, 1), plain(1, 0, DAY0 + DAY, 2), plain(2, 0, DAY0, 3) };
    uint64_t through;
    bool more = true;

    begin(f);
    append(f, spool_a, 1, rows, 3, false, &through);
    while (more)
        CHECK_OK(f->ops->retain(f->h, &r, &more, &test_err));
    commit(f);
    check_rows(f, "rows", "1.0@1440#2 ");
    check_latest(f, "latest", "1.0@1440#2 ");
}

static void loss_runs_go_with_their_day(void **state)
{
    struct fx *f = *state;
    char text[1024] = "";

    begin(f);
    put_lossy(f, 1, STORE_APPENDED);
    commit(f);
    retain_raw(f, DAY0 + DAY);
    CHECK_OK(f->ops->read_loss_runs(f->r, 1, 0, INT64_MAX, show_run, text, &test_err));
    assert_string_equal(text, "0@86401:3#7 unknown ");
    text[0] = '\0'; /* what goes on over the end of a report period stays, in chains */
    CHECK_OK(f->ops->read_loss_chains(f->r, 1, 0, INT64_MAX, show_chain, text, &test_err));
    assert_string_equal(text, "1@5:9#51 forward> <0@30:1#300 backward 0@86401:3#7 unknown ");
    retain(f,
           (const int64_t[STORE_LEVELS]){ DAY0 + 2 * DAY, DAY0 + 2 * DAY, DAY0 + 2 * DAY, DAY0 + 2 * DAY,
                                          DAY0 + 400 * DAY },
           NULL, 0);
    check_runs(f, 1, 0, INT64_MAX, "");
}

struct done {
    unsigned n[2][STORE_LEVELS];
};

static enum tw_rc note_done(void *ctx, size_t group, enum store_level level, struct tw_err *err)
{
    (void)err;
    assert_true(group < 2);
    ((struct done *)ctx)->n[group][level]++;
    return TW_OK;
}

/* Pairs that keep less than others lose theirs alone, at the levels that they keep less of. */
static void groups_keep_less(void **state)
{
    static const uint64_t two[] = { 2, 5 }, nine[] = { 9 };
    struct fx *f = *state;
    struct done done = { { { 0 } } };
    const struct history_group groups[] = {
        { .pair_ids = two,
          .n_pairs = 2,
          .from_ns = { DAY0 + DAY, 0, 0, 0, 0 },
          .done_ns = { INT64_MIN, 0, 0, 0, 0 } },
        { .pair_ids = nine, .n_pairs = 1, .from_ns = { 0, 0, 0, 0, 0 }, .done_ns = { 0, 0, 0, 0, 0 } },
    };
    const struct history_retention r = { .now_ns = DAY0 + 9 * DAY,
                                         .from_ns = { DAY0, 0, 0, 0, 0 },
                                         .groups = groups,
                                         .n_groups = 2,
                                         .done = note_done,
                                         .ctx = &done };
    struct tw_summary last = plain(7, 0, DAY0 + 30 * MINUTE, 50);
    bool more = true;

    add_scattered(f);
    add_rows(f, &last, 1); /* another's is the last of the day */
    roll(f, 100);
    while (more) {
        begin(f);
        CHECK_OK(f->ops->retain(f->h, &r, &more, &test_err));
        commit(f);
    }
    check_rows(f, "pair 2 has none", "1.0@0#0 1.1@0#2 1.0@1440#3 3.0@2880#4 ");
    check_latest(f, "pair 2 has none", "1.0@1440#3 1.1@0#2 3.0@2880#4 ");
    assert_int_equal(count_rows(f, 9), 1);
    assert_int_equal(done.n[0][STORE_RAW], 1);
    assert_int_equal(done.n[0][STORE_1D] + done.n[1][STORE_RAW], 0);
    {
        struct sum got;
        f->kept.from_ns[STORE_RAW] = DAY0 + DAY;
        read_sum(f, 2, DAY0, DAY0 + DAY, 0, INT64_MAX, &got);
        assert_int_equal(got.rows, 2); /* in their cells */
        summary_free(&got.merged);
    }
}

static void gaps_go_with_the_last_level(void **state)
{
    struct fx *f = *state;
    uint64_t through;

    begin(f);
    append(f, spool_a, 1, NULL, 7, false, &through); /* received at DAY0 */
    commit(f);
    retain(f, (const int64_t[STORE_LEVELS]){ DAY0 + DAY, DAY0 + DAY, DAY0 + DAY, DAY0 + DAY, DAY0 }, NULL, 0);
    assert_int_equal(count_gaps(f, 1), 7);
    retain(f, (const int64_t[STORE_LEVELS]){ DAY0 + DAY, DAY0 + DAY, DAY0 + DAY, DAY0 + DAY, DAY0 + DAY },
           NULL, 0);
    assert_int_equal(count_gaps(f, 1), 0);
    assert_int_equal(cursor_of(f, 1, spool_a).through, 7);
}

/* ---- Readers ------------------------------------------------------------------------------------ */

static enum tw_rc stop(void *ctx, const struct tw_summary *s)
{
    (void)s;
    ++*(int *)ctx;
    return TW_ECLOSED;
}

static enum tw_rc stop_run(void *ctx, const struct tw_loss_run *r)
{
    (void)r;
    ++*(int *)ctx;
    return TW_ECLOSED;
}

static enum tw_rc stop_cell(void *ctx, const struct store_cell *c)
{
    (void)c;
    ++*(int *)ctx;
    return TW_ECLOSED;
}

static void a_reader_that_stops_holds_nothing_up(void **state)
{
    const uint64_t ids[] = { 1, 2, 3 };
    struct fx *f = *state;
    struct store_span span = {
        .pair_ids = ids, .n_pairs = 3, .to_ns = INT64_MAX, .raw_from_ns = INT64_MAX, .fn = stop_cell
    };
    struct tw_err err;
    int n = 0;

    begin(f);
    put_lossy(f, 1, STORE_APPENDED);
    commit(f);
    span.ctx = &n;
    assert_int_equal(f->ops->read_summaries(f->r, ids, 3, 0, INT64_MAX, stop, &n, &err), TW_ECLOSED);
    assert_int_equal(f->ops->read_latest(f->r, ids, 3, 0, stop, &n, &err), TW_ECLOSED);
    assert_int_equal(f->ops->read_loss_runs(f->r, 1, 0, INT64_MAX, stop_run, &n, &err), TW_ECLOSED);
    assert_int_equal(f->ops->read_span(f->r, &span, &(struct history_keeper){ 0 }, &err), TW_ECLOSED);
    assert_int_equal(n, 4);
    retain_raw(f, DAY0 + 10 * DAY);
    check_rows(f, "all gone", "");
    check_latest(f, "all gone", "");
}

struct interrupted {
    struct fx *f;
    unsigned n;
};

static enum tw_rc interrupt(void *ctx, const struct tw_summary *s)
{
    struct interrupted *i = ctx;

    (void)s;
    if (i->n++ == 0)
        i->f->ops->reader_interrupt(i->f->r);
    return TW_OK;
}

static void interrupted_readers_work_again(void **state)
{
    static struct tw_summary rows[2000];
    struct fx *f = *state;
    struct interrupted i = { f, 0 };
    const uint64_t one = 1;
    struct tw_err err = { 0 };

    /* Enough that the answer does not come in one piece */
    for (size_t k = 0; k < TW_NELEM(rows); k++)
        rows[k] = plain(1, 0, DAY0 + (int64_t)k * SEC, (uint32_t)k);
    add_rows(f, rows, TW_NELEM(rows));
    assert_int_not_equal(f->ops->read_summaries(f->r, &one, 1, 0, INT64_MAX, interrupt, &i, &err), TW_OK);
    assert_true(err.text[0] && i.n < TW_NELEM(rows));
    assert_int_equal(count_rows(f, 1), TW_NELEM(rows));
}

/* ---- A reader beside the writer ----------------------------------------------------------------- */

enum { BATCH = 20, BATCHES = 60 };

struct beside {
    struct fx *f;
    struct history_reader *r;
    atomic_bool stop;
    unsigned reads, torn;
    uint64_t last;
};

static enum tw_rc count_one(void *ctx, const struct tw_summary *s)
{
    (void)s;
    ++*(uint64_t *)ctx;
    return TW_OK;
}

static void *read_beside(void *arg)
{
    struct beside *b = arg;
    const uint64_t one = 1;
    struct tw_err err;

    while (!atomic_load(&b->stop) || !b->reads) {
        uint64_t n = 0;
        enum tw_rc rc = b->f->ops->read_summaries(b->r, &one, 1, 0, INT64_MAX, count_one, &n, &err);
        b->torn += rc || n % BATCH || n < b->last;
        b->last = n;
        b->reads++;
    }
    return NULL;
}

/* What it sees is whole commits, and no fewer than before. */
static void readers_see_whole_commits(void **state)
{
    static struct tw_summary rows[BATCH];
    struct beside b = { .f = *state };
    pthread_t thread;

    CHECK_OK(b.f->ops->reader_open(&(struct history_conf){ .location = b.f->location }, &b.r, &test_err));
    assert_int_equal(pthread_create(&thread, NULL, read_beside, &b), 0);
    for (unsigned i = 0; i < BATCHES; i++) {
        for (unsigned k = 0; k < BATCH; k++)
            rows[k] = plain(1, 0, DAY0 + (int64_t)(i * BATCH + k) * HOUR, i * BATCH + k); /* on many days */
        add_rows(b.f, rows, BATCH);
        if (i % 10 == 9)
            roll(b.f, 50);
    }
    atomic_store(&b.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    b.f->ops->reader_close(b.r);
    assert_int_equal(b.torn, 0);
    assert_true(b.reads > 0);
    assert_int_equal(count_rows(b.f, 1), BATCH * BATCHES);
}

#define ROW(fn) \
    {           \
#fn, fn \
    }
const struct conform_test conform_read[] = {
    ROW(every_field_comes_back),
    ROW(days_are_one_history),
    ROW(latest_is_the_newest_not_the_last),
    ROW(many_latest),
    ROW(a_wrong_clock_does_not_stay_latest),
    ROW(loss_runs_come_back_in_order),
    ROW(retention_drops_whole_days),
    ROW(retention_can_be_rolled_back),
    ROW(retention_and_append_in_one_transaction),
    ROW(loss_runs_go_with_their_day),
    ROW(groups_keep_less),
    ROW(gaps_go_with_the_last_level),
    ROW(a_reader_that_stops_holds_nothing_up),
    ROW(interrupted_readers_work_again),
    ROW(readers_see_whole_commits),
};
const size_t conform_read_n = TW_NELEM(conform_read);
