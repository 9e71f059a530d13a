/* The suite: each number of each spool is stored exactly once. */
#include "common/splitmix.h"
#include "tests/unit/db/conform_fx.h"

/* ---- One after the other ------------------------------------------------------------------------ */

/* gap: no rows, a gap of n numbers. */
static const struct {
    const char *name;
    const uint8_t *spool;
    uint64_t first;
    size_t n;
    bool gap;
    enum { COMMIT, ROLLBACK, STAY } end; /* STAY: the next one is in the same transaction */
    enum store_append_result res;
    uint64_t through, total; /* rows then stored or pending */
} sequence[] = {
    { "a new spool starts anywhere", spool_a, 100, 5, false, COMMIT, STORE_APPENDED, 104, 5 },
    { "goes on", spool_a, 105, 2, false, COMMIT, STORE_APPENDED, 106, 7 },
    { "repeated", spool_a, 105, 2, false, COMMIT, STORE_REPEATED, 106, 7 },
    { "older still", spool_a, 1, 3, false, COMMIT, STORE_REPEATED, 106, 7 },
    { "overlap: only the new ones", spool_a, 104, 5, false, COMMIT, STORE_APPENDED, 108, 9 },
    { "one is missing", spool_a, 110, 3, false, COMMIT, STORE_OUT_OF_SEQ, 108, 9 },
    { "gap", spool_a, 109, 20, true, COMMIT, STORE_APPENDED, 128, 9 },
    { "gap repeated", spool_a, 109, 20, true, COMMIT, STORE_REPEATED, 128, 9 },
    { "gap out of sequence", spool_a, 130, 2, true, COMMIT, STORE_OUT_OF_SEQ, 128, 9 },
    { "gap overlaps", spool_a, 120, 20, true, COMMIT, STORE_APPENDED, 139, 9 },
    { "rolled back", spool_a, 140, 4, false, ROLLBACK, STORE_APPENDED, 143, 13 },
    { "as if it had never been", spool_a, 140, 2, false, STAY, STORE_APPENDED, 141, 11 },
    { "pending ones count: goes on", spool_a, 142, 1, false, STAY, STORE_APPENDED, 142, 12 },
    { "pending ones count: repeated", spool_a, 140, 3, false, COMMIT, STORE_REPEATED, 142, 12 },
    { "a second spool", spool_b, 1, 1, false, ROLLBACK, STORE_APPENDED, 1, 13 },
    { "new again after the rollback", spool_b, 7, 1, false, COMMIT, STORE_APPENDED, 7, 13 },
    { "the first one is where it was", spool_a, 143, 1, false, COMMIT, STORE_APPENDED, 143, 14 },
};

static void fill_numbers(struct tw_summary *rows, size_t n, uint64_t first)
{
    for (size_t k = 0; k < n; k++)
        rows[k] = plain(1, 0, DAY0 + (int64_t)(first + k) * MINUTE, (uint32_t)(first + k));
}

static void sequence_step(struct fx *f, size_t i, bool *in_txn)
{
    struct tw_summary rows[8];
    enum store_append_result res;
    uint64_t through = 0;

    fill_numbers(rows, TW_NELEM(rows), sequence[i].first);
    if (!*in_txn)
        begin(f);
    res = append(f, sequence[i].spool, sequence[i].first, sequence[i].gap ? NULL : rows, sequence[i].n, false,
                 &through);
    if (res != sequence[i].res || through != sequence[i].through ||
        cursor_of(f, 1, sequence[i].spool).through != sequence[i].through)
        fail_msg("%s: result %d through %llu", sequence[i].name, (int)res, (unsigned long long)through);
    *in_txn = sequence[i].end == STAY;
    if (sequence[i].end == COMMIT)
        commit(f);
    else if (sequence[i].end == ROLLBACK)
        f->ops->rollback(f->h);
}

static enum tw_rc sum_cursors(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                              const struct store_cursor *at)
{
    assert_int_equal(agent_id, 1);
    assert_true(!memcmp(spool_id, spool_a, STORE_ID_LEN) || !memcmp(spool_id, spool_b, STORE_ID_LEN));
    *(uint64_t *)ctx += at->through;
    return TW_OK;
}

static void exactly_once(void **state)
{
    struct fx *f = *state;
    bool in_txn = false;
    uint64_t sum = 0;

    for (size_t i = 0; i < TW_NELEM(sequence); i++) {
        sequence_step(f, i, &in_txn);
        if (sequence[i].end == COMMIT && count_rows(f, 1) != sequence[i].total)
            fail_msg("%s: %llu rows", sequence[i].name, (unsigned long long)count_rows(f, 1));
        if (i % 3 == 0 && !in_txn) /* a restart changes nothing */
            reopen(f);
    }
    assert_int_equal(count_gaps(f, 1), 31);
    assert_int_equal(cursor_of(f, 1, spool_a).through, 143);
    assert_int_equal(cursor_of(f, 2, spool_a).through, 0);
    CHECK_OK(f->ops->each_cursor(f->h, sum_cursors, &sum, &test_err));
    assert_int_equal(sum, 143 + 7);
}

/* ---- Ahead of a backlog ------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t first;
    size_t n;
    bool gap, ahead;
    enum store_append_result res;
    const char *cursor;
    uint64_t rows, gaps;
} jumps[] = {
    { "ahead of a spool that is not known", 50, 5, false, true, STORE_OUT_OF_SEQ, "0", 0, 0 },
    { "the beginning", 10, 5, false, false, STORE_APPENDED, "14", 5, 0 },
    { "not said to be ahead", 50, 5, false, false, STORE_OUT_OF_SEQ, "14", 5, 0 },
    { "ahead", 50, 5, false, true, STORE_APPENDED, "14 +50-54", 10, 0 },
    { "ahead, goes on", 55, 5, false, true, STORE_APPENDED, "14 +50-59", 15, 0 },
    { "ahead, again", 52, 6, false, true, STORE_REPEATED, "14 +50-59", 15, 0 },
    { "ahead, and more", 58, 4, false, true, STORE_APPENDED, "14 +50-61", 17, 0 },
    { "a second stretch, a gap", 70, 5, true, true, STORE_APPENDED, "14 +50-61 +70-74", 17, 5 },
    { "in order beside it", 15, 5, false, false, STORE_APPENDED, "19 +50-61 +70-74", 22, 5 },
    { "repeated in order", 15, 5, false, false, STORE_REPEATED, "19 +50-61 +70-74", 22, 5 },
    { "what is ahead, from one who knows of nothing", 52, 5, false, false, STORE_REPEATED, "19 +50-61 +70-74",
      22, 5 },
    { "out of sequence all the same", 60, 5, false, false, STORE_OUT_OF_SEQ, "19 +50-61 +70-74", 22, 5 },
    { "ahead, over both and between", 48, 30, true, true, STORE_APPENDED, "19 +48-77", 22, 18 },
    { "a gap over what is stored ahead", 20, 70, true, false, STORE_APPENDED, "89", 22, 58 },
    { "in order as ever", 90, 2, false, false, STORE_APPENDED, "91", 24, 58 },
    { "flagged, but in order", 92, 2, false, true, STORE_APPENDED, "93", 26, 58 },
    { "ahead", 96, 2, false, true, STORE_APPENDED, "93 +96-97", 28, 58 },
    { "rows over what is stored ahead", 94, 6, false, false, STORE_APPENDED, "99", 32, 58 },
};

static enum store_append_result jump(struct fx *f, uint64_t first, size_t n, bool gap, bool ahead)
{
    struct tw_summary rows[32];
    enum store_append_result res;
    uint64_t through;

    fill_numbers(rows, gap ? 0 : n, first);
    res = append(f, spool_a, first, gap ? NULL : rows, n, ahead, &through);
    assert_int_equal(through, cursor_of(f, 1, spool_a).through);
    return res;
}

static void fresh_ones_come_before_a_backlog(void **state)
{
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(jumps); i++) {
        struct store_cursor at;
        enum store_append_result res;

        begin(f);
        res = jump(f, jumps[i].first, jumps[i].n, jumps[i].gap, jumps[i].ahead);
        commit(f);
        if (i % 2)
            reopen(f);
        at = cursor_of(f, 1, spool_a);
        if (res != jumps[i].res || strcmp(cursor_text(&at), jumps[i].cursor) != 0)
            fail_msg("%s: result %d, %s", jumps[i].name, (int)res, cursor_text(&at));
        if (count_rows(f, 1) != jumps[i].rows || count_gaps(f, 1) != jumps[i].gaps)
            fail_msg("%s: not as many rows, or numbers in gaps", jumps[i].name);
    }
}

static void stretches_ahead_are_bounded(void **state)
{
    struct fx *f = *state;

    begin(f);
    assert_int_equal(jump(f, 1, 1, false, false), STORE_APPENDED);
    for (size_t i = 1; i <= SEQSET_MAX; i++)
        assert_int_equal(jump(f, 10 * i, 1, false, true), STORE_APPENDED);
    assert_int_equal(jump(f, 1000, 1, false, true), STORE_OUT_OF_SEQ);
    assert_int_equal(jump(f, 11, 1, false, true), STORE_APPENDED); /* no more of them */
    assert_int_equal(jump(f, 2, 8, false, false), STORE_APPENDED);
    assert_int_equal(jump(f, 1000, 1, false, true), STORE_APPENDED);
    commit(f);
    assert_int_equal(cursor_of(f, 1, spool_a).through, 11);
}

/* ---- Any order ---------------------------------------------------------------------------------- */

#define NUMBERS 400

struct stored {
    unsigned times[NUMBERS];
};

static enum tw_rc note_row(void *ctx, const struct tw_summary *s)
{
    assert_true(s->seq_first < NUMBERS);
    ((struct stored *)ctx)->times[s->seq_first]++;
    return TW_OK;
}

static enum tw_rc note_gap(void *ctx, const struct history_gap *g)
{
    assert_true(g->last_seq < NUMBERS);
    for (uint64_t q = g->first_seq; q <= g->last_seq; q++)
        ((struct stored *)ctx)->times[q]++;
    return TW_OK;
}

static void check_stored(struct fx *f, const bool *want)
{
    static struct stored got;
    const uint64_t pair = 1;
    const int64_t agent = 1;

    got = (struct stored){ { 0 } };
    CHECK_OK(f->ops->read_summaries(f->r, &pair, 1, 0, INT64_MAX, note_row, &got, &test_err));
    CHECK_OK(f->ops->read_gaps(f->r, &agent, 1, HISTORY_RECEIVED, 0, INT64_MAX, note_gap, &got, &test_err));
    for (unsigned q = 1; q < NUMBERS; q++)
        if (got.times[q] != want[q])
            fail_msg("number %u is stored %u times", q, got.times[q]);
}

static uint64_t through_of(const bool *v)
{
    uint64_t q = 0;

    while (q + 1 < NUMBERS && v[q + 1])
        q++;
    return q;
}

/* Batches of any kind, transactions that are lost, restarts: what is stored is what a table of numbers says.
 */
static void any_order_is_exactly_once(void **state)
{
    struct fx *f = *state;
    bool durable[NUMBERS] = { true }, now[NUMBERS] = { true }; /* number 0: nothing is before 1 */
    uint64_t seed = 20261127;

    begin(f);
    for (unsigned i = 0; i < 800; i++) {
        uint64_t first = 1 + tw_splitmix64(&seed) % (NUMBERS - 32), n = 1 + tw_splitmix64(&seed) % 30,
                 from = through_of(now);
        bool ahead = tw_splitmix64(&seed) % 2;
        enum store_append_result res;

        if (tw_splitmix64(&seed) % 3 == 0)
            first = from + 1 < NUMBERS - 32 ? from + 1 : NUMBERS - 32;
        if (!from)
            first = 1;
        res = jump(f, first, n, tw_splitmix64(&seed) % 4 == 0, ahead);
        if (res == STORE_OUT_OF_SEQ && first <= from + 1)
            fail_msg("step %u: %u was refused", i, (unsigned)first);
        for (uint64_t q = first; q < first + n && res == STORE_APPENDED; q++)
            now[q] = true;
        for (uint64_t q = first; q < first + n && res == STORE_REPEATED; q++)
            assert_true(now[q]);
        if (tw_splitmix64(&seed) % 8 == 0) {
            unsigned how =
                (unsigned)(tw_splitmix64(&seed) % 6); /* 0: rolled back, 1: lost with the program */
            if (how > 1)
                commit(f);
            else if (how == 0)
                f->ops->rollback(f->h);
            memcpy(how > 1 ? durable : now, how > 1 ? now : durable, sizeof now);
            if (how == 1 || how == 5)
                reopen(f);
            check_stored(f, now);
            begin(f);
        }
    }
    commit(f);
    assert_int_equal(cursor_of(f, 1, spool_a).through, through_of(now));
    assert_true(through_of(now) > NUMBERS / 4);
    check_stored(f, now);
}

/* ---- What is refused ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t first, n, gap_last;
} refused[] = {
    { "number 0", 0, 1, 0 },
    { "beyond 63 bits", UINT64_MAX, 1, 0 },
    { "runs beyond 63 bits", INT64_MAX, 2, 0 },
    { "gap backwards", 5, 0, 4 },
    { "gap beyond 63 bits", 5, 0, UINT64_MAX },
    { "neither rows nor gap", 5, 0, 0 },
    { "both rows and gap", 5, 1, 9 },
};

/* One hostile or late batch must not take the rest of the transaction with it. */
static void refused_batches_leave_the_transaction_good(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[2] = { plain(1, 0, DAY0, 1), plain(1, 0, DAY0 + MINUTE, 2) };
    uint64_t through = 0;

    begin(f);
    append(f, spool_a, 1, rows, 2, false, &through);
    for (size_t i = 0; i < TW_NELEM(refused); i++) {
        struct store_batch b = { .agent_id = 1,
                                 .first_seq = refused[i].first,
                                 .rows = rows,
                                 .n = refused[i].n,
                                 .gap_last_seq = refused[i].gap_last };
        enum store_append_result res;
        struct tw_err err = { 0 };
        enum tw_rc rc = f->ops->append(f->h, &b, &res, &through, &err);
        if (rc != TW_EINVAL || !err.text[0])
            fail_msg("%s: %s %s", refused[i].name, tw_rc_name(rc), err.text);
    }
    commit(f);
    check_rows(f, "the good ones", "1.0@0#1 1.0@1#2 ");
}

static void misuse_is_an_error(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    struct store_batch b = { .agent_id = 1, .first_seq = 1, .rows = &row, .n = 1 };
    enum store_append_result res;
    uint64_t through;
    struct tw_err err;

    assert_int_equal(f->ops->append(f->h, &b, &res, &through, &err), TW_EINVAL);
    assert_int_equal(f->ops->commit(f->h, &err), TW_EINVAL);
    f->ops->rollback(f->h); /* nothing to do */
    begin(f);
    assert_int_equal(f->ops->begin(f->h, &err), TW_EINVAL);
    commit(f);
}

static void readers_see_what_is_committed(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    uint64_t through;

    begin(f);
    append(f, spool_a, 1, &row, 1, false, &through);
    check_rows(f, "not committed", "");
    check_latest(f, "not committed", "");
    commit(f);
    check_rows(f, "committed", "1.0@0#1 ");
    check_latest(f, "committed", "1.0@0#1 ");
    begin(f);
    row.seq_first = 2;
    row.start_ns += MINUTE;
    row.end_ns += MINUTE;
    append(f, spool_a, 2, &row, 1, false, &through);
    reopen(f); /* never committed */
    check_rows(f, "lost", "1.0@0#1 ");
    assert_int_equal(cursor_of(f, 1, spool_a).through, 1);
}

/* ---- Agents ------------------------------------------------------------------------------------- */

static void forgotten_agents_have_no_cursor(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    uint64_t through;

    add_rows(f, &row, 1);
    begin(f);
    append(f, spool_a, 9, &row, 1, true, &through);
    CHECK_OK(f->ops->forget_agent(f->h, 1, &test_err));
    assert_int_equal(cursor_of(f, 1, spool_a).through, 0);
    f->ops->rollback(f->h);
    assert_int_equal(cursor_of(f, 1, spool_a).through, 1);
    begin(f);
    CHECK_OK(f->ops->forget_agent(f->h, 2, &test_err)); /* of whom there is nothing */
    CHECK_OK(f->ops->forget_agent(f->h, 1, &test_err));
    commit(f);
    reopen(f);
    assert_int_equal(cursor_of(f, 1, spool_a).through, 0);
    check_rows(f, "what it measured stays", "1.0@0#1 ");
}

/* Where nobody else writes, there is nothing to learn, and nothing to be lost by it. */
static void what_is_known_is_learnt_again(void **state)
{
    static const int64_t agents[] = { 1, 2, 77 };
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    uint64_t through;

    CHECK_OK(f->ops->learn_cursors(f->h, agents, TW_NELEM(agents), &test_err));
    add_rows(f, &row, 1);
    CHECK_OK(f->ops->learn_cursors(f->h, agents, 0, &test_err));
    CHECK_OK(f->ops->learn_cursors(f->h, agents, TW_NELEM(agents), &test_err));
    assert_int_equal(cursor_of(f, 1, spool_a).through, 1);
    begin(f);
    append(f, spool_a, 2, &row, 1, false, &through);
    append(f, spool_a, 9, &row, 1, true, &through);
    CHECK_OK(f->ops->learn_cursors(f->h, agents, TW_NELEM(agents), &test_err));
    assert_int_equal(cursor_of(f, 1, spool_a).through, 2);
    assert_int_equal(cursor_of(f, 1, spool_a).ahead.n, 1);
    f->ops->rollback(f->h);
    assert_int_equal(cursor_of(f, 1, spool_a).through, 1);
    assert_int_equal(cursor_of(f, 1, spool_a).ahead.n, 0);
    assert_int_equal(cursor_of(f, 77, spool_a).through, 0);
}

/* Numbers of one agent say nothing of another's, with the same spool id or another. */
static void agents_do_not_meet(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[3] = { plain(1, 0, DAY0, 1), plain(2, 0, DAY0, 2), plain(3, 0, DAY0, 3) };

    begin(f);
    for (int64_t agent = 1; agent <= CONFORM_AGENTS; agent++) {
        struct store_batch b = {
            .agent_id = agent, .first_seq = 5, .rows = &rows[agent - 1], .n = 1, .spool_id = "same"
        };
        enum store_append_result res;
        uint64_t through;
        CHECK_OK(f->ops->append(f->h, &b, &res, &through, &test_err));
        assert_int_equal(res, STORE_APPENDED);
        assert_int_equal(through, 5);
    }
    commit(f);
    check_rows(f, "of three agents", "1.0@0#1 2.0@0#2 3.0@0#3 ");
}

/* ---- Gaps --------------------------------------------------------------------------------------- */

static enum tw_rc show_gap(void *ctx, const struct history_gap *g)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    snprintf(buf + n, 1024 - n, "%lld:%llu-%llu %s at %lld of %lld-%lld; ", (long long)g->agent_id,
             (unsigned long long)g->first_seq, (unsigned long long)g->last_seq, g->reason,
             (long long)g->received_ns, (long long)g->from_ns, (long long)g->until_ns);
    return TW_OK;
}

static void check_gaps(struct fx *f, enum history_gap_time by, int64_t from, int64_t to, const char *want)
{
    const int64_t agents[] = { 3, 1 };
    char text[1024] = "";

    CHECK_OK(f->ops->read_gaps(f->r, agents, 2, by, from, to, show_gap, text, &test_err));
    assert_string_equal(text, want);
}

static void gaps_are_found_by_either_time(void **state)
{
    struct fx *f = *state;
    struct store_batch b = {
        .agent_id = 1, .first_seq = 1, .gap_last_seq = 4, .gap_reason = "spool_full", .received_ns = 100
    };
    enum store_append_result res;
    uint64_t through;

    begin(f);
    CHECK_OK(f->ops->append(f->h, &b, &res, &through, &test_err));
    b = (struct store_batch){ .agent_id = 1,
                              .first_seq = 5,
                              .gap_last_seq = UINT64_C(1) << 60,
                              .gap_reason = "spool_age",
                              .received_ns = 200,
                              .gap_from_ns = 40,
                              .gap_until_ns = 60 };
    CHECK_OK(f->ops->append(f->h, &b, &res, &through, &test_err));
    b.agent_id = 2;
    CHECK_OK(f->ops->append(f->h, &b, &res, &through, &test_err));
    commit(f);
#define OLD "1:1-4 spool_full at 100 of 0-0; "
#define NEW "1:5-1152921504606846976 spool_age at 200 of 40-60; "
    check_gaps(f, HISTORY_RECEIVED, 0, 101, OLD);
    check_gaps(f, HISTORY_RECEIVED, 101, 200, "");
    check_gaps(f, HISTORY_RECEIVED, 101, 201, NEW);
    check_gaps(f, HISTORY_SPOOLED, 0, 40, "");
    check_gaps(f, HISTORY_SPOOLED, 0, 41, NEW);
    check_gaps(f, HISTORY_SPOOLED, 59, 500, NEW);
    check_gaps(f, HISTORY_SPOOLED, 60, 500, "");
    CHECK_OK(f->ops->read_gaps(f->r, NULL, 0, HISTORY_RECEIVED, 0, 500, show_gap, NULL, &test_err));
}

#define ROW(fn) \
    {           \
#fn, fn \
    }
const struct conform_test conform_append[] = {
    ROW(exactly_once),
    ROW(fresh_ones_come_before_a_backlog),
    ROW(stretches_ahead_are_bounded),
    ROW(any_order_is_exactly_once),
    ROW(refused_batches_leave_the_transaction_good),
    ROW(misuse_is_an_error),
    ROW(readers_see_what_is_committed),
    ROW(forgotten_agents_have_no_cursor),
    ROW(what_is_known_is_learnt_again),
    ROW(agents_do_not_meet),
    ROW(gaps_are_found_by_either_time),
};
const size_t conform_append_n = TW_NELEM(conform_append);
