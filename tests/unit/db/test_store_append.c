/* Each summary exactly once, every field back as it was, latest, days that come and go. */
#include "common/splitmix.h"
#include "common/unavail.h"
#include "tests/unit/db/db_fixture.h"

static const uint8_t spool_a[STORE_ID_LEN] = "spool-a", spool_b[STORE_ID_LEN] = "spool-b";

struct fx {
    struct store *s;
    struct store_reader *r;
    char path[PATH_SIZE];
    int64_t agent;
};

static int setup(void **state)
{
    static unsigned n;
    struct fx *f = calloc(1, sizeof *f);
    char name[32];
    struct tw_err err;

    snprintf(name, sizeof name, "append%u.db", n++);
    in_dir(f->path, name);
    *state = f;
    if (store_open(f->path, &f->s, &err) || store_reader_open(f->path, &f->r, &err))
        return -1;
    f->agent = new_agent(f->s, "ams1");
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;

    store_reader_close(f->r);
    store_close(f->s);
    free(f);
    return 0;
}

static struct store_cursor cursor_of(struct fx *f)
{
    struct store_cursor at;

    CHECK_OK(store_full_cursor(f->s, f->agent, spool_a, &at, &test_err));
    return at;
}

static enum store_append_result append(struct fx *f, const uint8_t *spool, uint64_t first,
                                       const struct tw_summary *rows, size_t n, uint64_t *through)
{
    struct store_batch b = { .agent_id = f->agent, .first_seq = first, .rows = rows, .n = n };
    enum store_append_result res = (enum store_append_result)99;

    memcpy(b.spool_id, spool, STORE_ID_LEN);
    CHECK_OK(store_append(f->s, &b, &res, through, &test_err));
    return res;
}

static void append_one(struct fx *f, uint64_t seq, const struct tw_summary *row)
{
    uint64_t through;

    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, spool_a, seq, row, 1, &through), STORE_APPENDED);
    CHECK_OK(store_commit(f->s, &test_err));
}

/* "pair.flow@minute#seq_first " per row. */
static enum tw_rc show(void *ctx, const struct tw_summary *s)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    snprintf(buf + n, 1024 - n, "%llu.%u@%lld#%u ", (unsigned long long)s->pair_id, s->flow,
             (long long)((s->start_ns - DAY0) / MINUTE), s->seq_first);
    return TW_OK;
}

static const uint64_t pairs[] = { 2, 1, 1, 3 }; /* out of order, and one twice */

static void check_rows(struct fx *f, const char *name, const char *expected)
{
    char text[1024] = "";

    CHECK_OK(store_read_summaries(f->r, pairs, TW_NELEM(pairs), 0, INT64_MAX, show, text, &test_err));
    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s\nnot: %s", name, text, expected);
}

static void check_latest(struct fx *f, const char *name, const char *expected)
{
    static const uint64_t ids[] = { 1, 2, 3 };
    char text[1024] = "";

    CHECK_OK(store_read_latest(f->r, ids, TW_NELEM(ids), show, text, &test_err));
    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s\nnot: %s", name, text, expected);
}

/* ---- Exactly once ------------------------------------------------------------------------------- */

/* One after the other on one store. gap: no rows, a gap of n numbers. */
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

static void sequence_step(struct fx *f, size_t i, bool *in_txn)
{
    struct tw_summary rows[8];
    struct store_batch b = { .agent_id = f->agent, .first_seq = sequence[i].first, .rows = rows };
    enum store_append_result res = (enum store_append_result)99;
    uint64_t through = 0;

    for (size_t k = 0; k < TW_NELEM(rows); k++)
        rows[k] =
            plain(1, 0, DAY0 + (int64_t)(sequence[i].first + k) * MINUTE, (uint32_t)(sequence[i].first + k));
    memcpy(b.spool_id, sequence[i].spool, STORE_ID_LEN);
    b.n = sequence[i].gap ? 0 : sequence[i].n;
    b.gap_last_seq = sequence[i].gap ? sequence[i].first + sequence[i].n - 1 : 0;
    b.gap_reason = "spool_age";
    if (!*in_txn)
        CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
    if (res != sequence[i].res || through != sequence[i].through)
        fail_msg("%s: result %d through %llu", sequence[i].name, (int)res, (unsigned long long)through);
    *in_txn = sequence[i].end == STAY;
    if (sequence[i].end == COMMIT)
        CHECK_OK(store_commit(f->s, &test_err));
    else if (sequence[i].end == ROLLBACK)
        store_rollback(f->s);
}

static void exactly_once(void **state)
{
    struct fx *f = *state;
    bool in_txn = false;
    uint64_t through = 0;

    for (size_t i = 0; i < TW_NELEM(sequence); i++) {
        sequence_step(f, i, &in_txn);
        if (sequence[i].end == COMMIT) {
            int64_t n = sql_int(f->path, "SELECT count(*) FROM summary_20241004");
            if ((uint64_t)n != sequence[i].total)
                fail_msg("%s: %lld rows", sequence[i].name, (long long)n);
        }
        if (i % 3 == 0 && !in_txn) { /* a restart changes nothing */
            store_close(f->s);
            CHECK_OK(store_open(f->path, &f->s, &test_err));
        }
    }
    assert_int_equal(store_cursor(f->s, f->agent, spool_a, &through), TW_OK);
    assert_int_equal(through, 143);
    assert_int_equal(store_cursor(f->s, f->agent + 1, spool_a, &through), TW_ENOENT);
}

static const struct {
    const char *name;
    uint64_t first, n, gap_last;
    int64_t agent_plus;
    enum tw_rc rc;
} refused[] = {
    { "number 0", 0, 1, 0, 0, TW_EINVAL },
    { "beyond 63 bits", UINT64_MAX, 1, 0, 0, TW_EINVAL },
    { "runs beyond 63 bits", INT64_MAX, 2, 0, 0, TW_EINVAL },
    { "gap backwards", 5, 0, 4, 0, TW_EINVAL },
    { "gap beyond 63 bits", 5, 0, UINT64_MAX, 0, TW_EINVAL },
    { "neither rows nor gap", 5, 0, 0, 0, TW_EINVAL },
    { "both rows and gap", 5, 1, 9, 0, TW_EINVAL },
    { "unknown agent", 5, 1, 0, 7, TW_ENOENT },
};

/* One hostile or late batch must not take the rest of the transaction with it. */
static void refused_batches_leave_the_transaction_good(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[2] = { plain(1, 0, DAY0, 1), plain(1, 0, DAY0 + MINUTE, 2) };
    uint64_t through = 0;

    CHECK_OK(store_begin(f->s, &test_err));
    append(f, spool_a, 1, rows, 2, &through);
    for (size_t i = 0; i < TW_NELEM(refused); i++) {
        struct store_batch b = { .agent_id = f->agent + refused[i].agent_plus,
                                 .first_seq = refused[i].first,
                                 .rows = rows,
                                 .n = refused[i].n,
                                 .gap_last_seq = refused[i].gap_last };
        enum store_append_result res;
        struct tw_err err = { 0 };
        enum tw_rc rc = store_append(f->s, &b, &res, &through, &err);
        if (rc != refused[i].rc || !err.text[0])
            fail_msg("%s: %s %s", refused[i].name, tw_rc_name(rc), err.text);
    }
    CHECK_OK(store_commit(f->s, &test_err));
    check_rows(f, "the good ones", "1.0@0#1 1.0@1#2 ");
}

static void misuse_is_an_error(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    struct store_batch b = { .agent_id = f->agent, .first_seq = 1, .rows = &row, .n = 1 };
    enum store_append_result res;
    uint64_t through;
    struct tw_err err;

    assert_int_equal(store_append(f->s, &b, &res, &through, &err), TW_EINVAL);
    assert_int_equal(store_commit(f->s, &err), TW_EINVAL);
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(store_begin(f->s, &err), TW_EINVAL);
    CHECK_OK(store_commit(f->s, &test_err));
}

static enum tw_rc count_cursor(void *ctx, int64_t agent_id, const uint8_t *spool_id, const struct store_cursor *at)
{
    (void)agent_id;
    (void)spool_id;
    *(uint64_t *)ctx += at->through;
    return TW_OK;
}

static void a_removed_agent_has_no_cursor(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    struct store_batch b = { .agent_id = f->agent, .first_seq = 2, .rows = &row, .n = 1 };
    enum store_append_result res;
    uint64_t through, sum = 0;
    struct tw_err err;

    append_one(f, 1, &row);
    memcpy(b.spool_id, spool_a, STORE_ID_LEN);
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
    CHECK_OK(store_remove_agent(f->s, f->agent, &test_err));
    b.first_seq = 3;
    assert_int_equal(store_append(f->s, &b, &res, &through, &err), TW_ENOENT);
    store_rollback(f->s);
    assert_int_equal(store_cursor(f->s, f->agent, spool_a, &through), TW_OK);
    assert_int_equal(through, 1);

    CHECK_OK(store_begin(f->s, &test_err));
    b.first_seq = 2;
    CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
    CHECK_OK(store_remove_agent(f->s, f->agent, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(store_cursor(f->s, f->agent, spool_a, &through), TW_ENOENT);
    CHECK_OK(store_each_cursor(f->s, count_cursor, &sum, &test_err));
    assert_int_equal(sum, 0);
    check_rows(f, "its history stays", "1.0@0#1 1.0@0#1 ");
}

/* ---- Fresh results before a backlog -------------------------------------------------------------- */

/* "through +first-last +first-last" */
static const char *cursor_text(const struct store_cursor *at)
{
    static char text[512];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)at->through);

    for (size_t i = 0; i < at->ahead.n; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " +%llu-%llu", (unsigned long long)at->ahead.v[i].first,
                      (unsigned long long)at->ahead.v[i].last);
    return text;
}

/* One after the other; each is committed, and every second time the store is opened anew. */
static const struct {
    const char *name;
    uint64_t first;
    size_t n;
    bool gap, ahead;
    enum store_append_result res;
    const char *cursor;
    uint64_t rows, gaps, floor; /* in the file, then; floor: the oldest schema that a program must know */
} jumps[] = {
    { "ahead of a spool that is not known", 50, 5, false, true, STORE_OUT_OF_SEQ, "0", 0, 0, 11 },
    { "the beginning", 10, 5, false, false, STORE_APPENDED, "14", 5, 0, 11 },
    { "not said to be ahead", 50, 5, false, false, STORE_OUT_OF_SEQ, "14", 5, 0, 11 },
    { "ahead", 50, 5, false, true, STORE_APPENDED, "14 +50-54", 10, 0, 13 },
    { "ahead, goes on", 55, 5, false, true, STORE_APPENDED, "14 +50-59", 15, 0, 13 },
    { "ahead, again", 52, 6, false, true, STORE_REPEATED, "14 +50-59", 15, 0, 13 },
    { "ahead, and more", 58, 4, false, true, STORE_APPENDED, "14 +50-61", 17, 0, 13 },
    { "a second stretch, a gap", 70, 5, true, true, STORE_APPENDED, "14 +50-61 +70-74", 17, 5, 13 },
    { "in order beside it", 15, 5, false, false, STORE_APPENDED, "19 +50-61 +70-74", 22, 5, 13 },
    { "repeated in order", 15, 5, false, false, STORE_REPEATED, "19 +50-61 +70-74", 22, 5, 13 },
    { "what is ahead, from one who knows of nothing", 52, 5, false, false, STORE_REPEATED, "19 +50-61 +70-74", 22, 5, 13 },
    { "out of sequence all the same", 60, 5, false, false, STORE_OUT_OF_SEQ, "19 +50-61 +70-74", 22, 5, 13 },
    { "ahead, over both and between", 48, 30, true, true, STORE_APPENDED, "19 +48-77", 22, 18, 13 },
    { "a gap over what is stored ahead", 20, 70, true, false, STORE_APPENDED, "89", 22, 58, 11 },
    { "in order as ever", 90, 2, false, false, STORE_APPENDED, "91", 24, 58, 11 },
    { "flagged, but in order", 92, 2, false, true, STORE_APPENDED, "93", 26, 58, 11 },
    { "ahead", 96, 2, false, true, STORE_APPENDED, "93 +96-97", 28, 58, 13 },
    { "rows over what is stored ahead", 94, 6, false, false, STORE_APPENDED, "99", 32, 58, 11 },
};

static enum store_append_result jump(struct fx *f, uint64_t first, size_t n, bool gap, bool ahead)
{
    struct tw_summary rows[32];
    struct store_batch b = { .agent_id = f->agent, .first_seq = first, .rows = rows, .n = gap ? 0 : n,
                             .gap_last_seq = gap ? first + n - 1 : 0, .gap_reason = "spool_full", .ahead = ahead };
    enum store_append_result res = (enum store_append_result)99;
    uint64_t through;

    for (size_t k = 0; k < b.n; k++)
        rows[k] = plain(1, 0, DAY0 + (int64_t)(first + k) * MINUTE, (uint32_t)(first + k));
    memcpy(b.spool_id, spool_a, STORE_ID_LEN);
    CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
    assert_int_equal(through, cursor_of(f).through);
    return res;
}

static void reopen(struct fx *f)
{
    store_close(f->s);
    CHECK_OK(store_open(f->path, &f->s, &test_err));
}

static void fresh_ones_come_before_a_backlog(void **state)
{
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(jumps); i++) {
        const char *name = jumps[i].name;
        struct store_cursor at;
        enum store_append_result res;

        CHECK_OK(store_begin(f->s, &test_err));
        res = jump(f, jumps[i].first, jumps[i].n, jumps[i].gap, jumps[i].ahead);
        CHECK_OK(store_commit(f->s, &test_err));
        if (i % 2)
            reopen(f);
        at = cursor_of(f);
        if (res != jumps[i].res || strcmp(cursor_text(&at), jumps[i].cursor) != 0)
            fail_msg("%s: result %d, %s", name, (int)res, cursor_text(&at));
        if (sql_int(f->path, "SELECT oldest FROM schema_floor") != (int64_t)jumps[i].floor)
            fail_msg("%s: wrong floor", name);
        if (i && (sql_int(f->path, "SELECT count(*) FROM summary_20241004") != (int64_t)jumps[i].rows ||
                  sql_int(f->path, "SELECT ifnull(sum(last_seq - first_seq + 1), 0) FROM gap") != (int64_t)jumps[i].gaps))
            fail_msg("%s: not as many rows, or numbers in gaps", name);
    }
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM cursor_ahead"), 0);
}

static void stretches_ahead_are_bounded(void **state)
{
    struct fx *f = *state;

    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(jump(f, 1, 1, false, false), STORE_APPENDED);
    for (size_t i = 1; i <= SEQSET_MAX; i++)
        assert_int_equal(jump(f, 10 * i, 1, false, true), STORE_APPENDED);
    assert_int_equal(jump(f, 1000, 1, false, true), STORE_OUT_OF_SEQ);
    assert_int_equal(jump(f, 11, 1, false, true), STORE_APPENDED); /* no more of them */
    assert_int_equal(jump(f, 2, 8, false, false), STORE_APPENDED);
    assert_int_equal(jump(f, 1000, 1, false, true), STORE_APPENDED);
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(cursor_of(f).through, 11);
}

/* Who removes an agent lets programs in that know nothing of stretches ahead. */
static void an_agent_takes_its_stretches_with_it(void **state)
{
    struct fx *f = *state;

    CHECK_OK(store_begin(f->s, &test_err));
    jump(f, 1, 1, false, false);
    jump(f, 9, 1, false, true);
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(sql_int(f->path, "SELECT oldest FROM schema_floor"), 13);
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_remove_agent(f->s, f->agent, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM cursor_ahead"), 0);
    assert_int_equal(sql_int(f->path, "SELECT oldest FROM schema_floor"), 11);
}

#define NUMBERS 400

/* Batches of any kind, transactions that are lost, restarts: what is stored is what a table of numbers says. */
static void any_order_is_exactly_once(void **state)
{
    struct fx *f = *state;
    bool durable[NUMBERS] = { true }, now[NUMBERS] = { true }; /* number 0: nothing is before 1 */
    uint64_t seed = 20261127, through = 0;

    CHECK_OK(store_begin(f->s, &test_err));
    for (unsigned i = 0; i < 1200; i++) {
        uint64_t first = 1 + tw_splitmix64(&seed) % (NUMBERS - 32), n = 1 + tw_splitmix64(&seed) % 30, from = 0;
        bool ahead = tw_splitmix64(&seed) % 2;
        enum store_append_result res;

        while (from + 1 < NUMBERS && now[from + 1])
            from++;
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
            bool lost = tw_splitmix64(&seed) % 3 == 0;

            if (lost)
                store_rollback(f->s);
            else
                CHECK_OK(store_commit(f->s, &test_err));
            memcpy(lost ? now : durable, lost ? durable : now, sizeof now);
            if (tw_splitmix64(&seed) % 4 == 0)
                reopen(f);
            CHECK_OK(store_begin(f->s, &test_err));
        }
    }
    CHECK_OK(store_commit(f->s, &test_err));
    while (through + 1 < NUMBERS && now[through + 1])
        through++;
    assert_int_equal(cursor_of(f).through, through);
    assert_true(through > NUMBERS / 4);
    assert_int_equal(sql_int(f->path, "SELECT count(*) - count(DISTINCT seq_first) FROM summary_20241004"), 0);
    for (uint64_t q = 1, want = 0; q < NUMBERS; q++) {
        char text[256];

        want = now[q];
        snprintf(text, sizeof text,
                 "SELECT (SELECT count(*) FROM summary_20241004 WHERE seq_first = %u)"
                 " + (SELECT count(*) FROM gap WHERE %u BETWEEN first_seq AND last_seq)",
                 (unsigned)q, (unsigned)q);
        if (sql_int(f->path, text) != (int64_t)want)
            fail_msg("number %u is not stored %u times", (unsigned)q, (unsigned)want);
    }
}

/* ---- Every field -------------------------------------------------------------------------------- */

static void fill(struct tw_summary *s)
{
    uint64_t v = 1000;

    *s = plain(1, 3, DAY0, 0xffffffff);
#define X_SET(name, help) s->name = v++;
    TW_COUNTERS(X_SET)
#undef X_SET
    s->generation = UINT64_C(1) << 60;
    s->lost_forward = 3;
    s->lost_backward = 2;
    s->lost_unknown = 1;
    s->received = 94;
    s->sent = 100;
    s->status = TW_STATUS_PARTIAL;
    for (int d = 0; d < 3; d++) {
        for (int i = 0; i < 90; i++)
            hist_add(&s->delay[d], (i - 10) * INT64_C(12345678) * (d + 1));
        s->jitter[d] = (struct tw_jitter){ 10 + d, 20 + d, 30 + d, 40 + d };
    }
    hist_add(&s->send_lateness, -5);
    s->loss_runs = 4;
    s->loss_run_longest = 5;
    s->loss_run_longest_ns = INT64_C(6) << 40;
    s->ttl_forward = (struct tw_octet_range){ 1, 255, 90, 8 };
    s->ttl_backward = (struct tw_octet_range){ 2, 254, 91, 9 };
    s->tos_backward = (struct tw_octet_range){ 3, 253, 92, 10 };
    s->tos_forward = (struct tw_octet_range){ 4, 252, 93, 11 };
    s->tos_sent = 184;
    s->residence_sum_ns = 900;
    s->residence_max_ns = 77;
    s->tx_source = TW_TS_KERNEL;
    s->rx_source = TW_TS_MIXED;
    s->clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 11, .steps = 12 };
    s->clock_remote_known = true;
    s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 13, .steps = 14 };
    s->clock_steps = 15;
    s->host_stall_max_ns = INT64_C(16) << 40;
    s->host_cpu_wait_ppm = 17;
    s->noise = (struct tw_noise){ 18, 2, -20, 21, INT64_C(22) << 40 };
    s->windows_available = 5;
    s->windows_unavailable = 4;
    unavail_add(&s->unavailable, &(struct tw_unavail_run){ s->start_ns + 1, s->start_ns + 2, 1, 3 });
    unavail_add(&s->unavailable, &(struct tw_unavail_run){ s->start_ns + 4, s->start_ns + 9, 3, 3 });
}

/* clang-format off */
static void check_same_numbers(const struct tw_summary *a, const struct tw_summary *b)
{
#define X_SAME(name, help) assert_int_equal(a->name, b->name);
    TW_COUNTERS(X_SAME)
    X_SAME(pair_id, )
    X_SAME(flow, )
    X_SAME(generation, )
    X_SAME(start_ns, )
    X_SAME(end_ns, )
    X_SAME(seq_first, )
    X_SAME(status, )
    X_SAME(loss_runs, )
    X_SAME(loss_run_longest, )
    X_SAME(loss_run_longest_ns, )
    X_SAME(tos_sent, )
    X_SAME(residence_sum_ns, )
    X_SAME(residence_max_ns, )
    X_SAME(tx_source, )
    X_SAME(rx_source, )
    X_SAME(clock_local.synced, )
    X_SAME(clock_local.max_error_ns, )
    X_SAME(clock_local.steps, )
    X_SAME(clock_remote_known, )
    X_SAME(clock_remote.synced, )
    X_SAME(clock_remote.max_error_ns, )
    X_SAME(clock_remote.steps, )
    X_SAME(clock_steps, )
    X_SAME(host_stall_max_ns, )
    X_SAME(host_cpu_wait_ppm, )
    X_SAME(noise.sent, )
    X_SAME(noise.lost, )
    X_SAME(noise.p50_ns, )
    X_SAME(noise.p99_ns, )
    X_SAME(noise.max_ns, )
#undef X_SAME
}
/* clang-format on */

static void check_same_octets(const struct tw_octet_range *a, const struct tw_octet_range *b)
{
    assert_int_equal(a->min, b->min);
    assert_int_equal(a->max, b->max);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->changes, b->changes);
}

static void check_same(const struct tw_summary *a, const struct tw_summary *b)
{
    check_same_numbers(a, b);
    for (int d = 0; d < 3; d++) {
        assert_true(hist_equal(&a->delay[d], &b->delay[d]));
        assert_memory_equal(&a->jitter[d], &b->jitter[d], sizeof a->jitter[d]);
    }
    assert_true(hist_equal(&a->send_lateness, &b->send_lateness));
    check_same_octets(&a->ttl_forward, &b->ttl_forward);
    check_same_octets(&a->ttl_backward, &b->ttl_backward);
    check_same_octets(&a->tos_backward, &b->tos_backward);
    check_same_octets(&a->tos_forward, &b->tos_forward);
    assert_int_equal(a->unavailable.n, b->unavailable.n);
    for (size_t i = 0; i < a->unavailable.n; i++)
        assert_memory_equal(&a->unavailable.v[i], &b->unavailable.v[i], sizeof a->unavailable.v[i]);
}

struct same {
    const struct tw_summary *expected[2];
    size_t n;
};

static enum tw_rc expect(void *ctx, const struct tw_summary *s)
{
    struct same *l = ctx;

    check_same(l->expected[l->n++], s);
    return TW_OK;
}

static void every_field_comes_back(void **state)
{
    struct fx *f = *state;
    struct tw_summary full, empty = plain(1, 3, DAY0 + MINUTE, 0);
    struct same l = { { &full, &empty }, 0 };
    uint64_t one = 1;
    struct tw_err err = { 0 };

    fill(&full);
    if (summary_validate(&full, &err))
        fail_msg("%s: %s", err.field, err.text);
    append_one(f, 1, &full);
    append_one(f, 2, &empty);
    /* The empty one follows the full one: nothing of it may be left over. */
    CHECK_OK(store_read_summaries(f->r, &one, 1, 0, INT64_MAX, expect, &l, &test_err));
    assert_int_equal(l.n, 2);
    summary_free(&full);
}

static void a_damaged_row_is_named(void **state)
{
    static const char *const damage[] = { "received = 5", "status = 300", "delay_forward = x'010203'",
                                          "clock_remote_known = 2", "flow = -1",
                                          /* possible values, but not those that were written */
                                          "sent = sent + 1, received = received + 1", "start_ns = start_ns + 1, end_ns = end_ns + 1",
                                          "flow = flow + 1", "generation = 0", "delay_forward = delay_backward",
                                          "digest = digest + 1",
                                          "unavailable = x'0102'", "unavailable = x'0101000101'" };
    struct fx *f = *state;
    struct tw_summary full;
    uint64_t one = 1;

    fill(&full);
    append_one(f, 1, &full);
    for (size_t i = 0; i < TW_NELEM(damage); i++) {
        char set[160], shown[1024] = "";
        struct tw_err err = { 0 };
        enum tw_rc rc;

        snprintf(set, sizeof set,
                 "CREATE TABLE kept AS SELECT * FROM summary_20241004; UPDATE summary_20241004 SET %s;",
                 damage[i]);
        sql(f->path, set);
        rc = store_read_summaries(f->r, &one, 1, 0, INT64_MAX, show, shown, &err);
        if (rc != TW_ECORRUPT || !strstr(err.text, "pair 1") || shown[0])
            fail_msg("%s: %s: %s", damage[i], tw_rc_name(rc), err.text);
        sql(f->path, "DELETE FROM summary_20241004; INSERT INTO summary_20241004 SELECT * FROM kept; DROP "
                     "TABLE kept;");
    }
    CHECK_OK(store_read_summaries(f->r, &one, 1, 0, INT64_MAX, show, (char[1024]){ "" }, &test_err));
    summary_free(&full);
}

/* ---- Days and latest ---------------------------------------------------------------------------- */

#define DAY_MINUTES 1440
static const struct {
    uint64_t pair;
    uint32_t flow;
    int minute;
} scattered[] = {
    { 1, 0, 0 },  { 2, 0, DAY_MINUTES - 1 }, { 1, 1, 0 }, { 1, 0, DAY_MINUTES }, { 3, 0, 2 * DAY_MINUTES },
    { 1, 0, -1 }, { 2, 0, 3 /* late */ },    { 9, 0, 0 },
};

static void append_scattered(struct fx *f)
{
    struct tw_summary rows[TW_NELEM(scattered)];
    uint64_t through;

    for (size_t i = 0; i < TW_NELEM(rows); i++)
        rows[i] =
            plain(scattered[i].pair, scattered[i].flow, DAY0 + scattered[i].minute * MINUTE, (uint32_t)i);
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, spool_a, 1, rows, TW_NELEM(rows), &through), STORE_APPENDED);
    CHECK_OK(store_commit(f->s, &test_err));
}

static void days_are_one_history(void **state)
{
    struct fx *f = *state;
    char text[1024] = "";

    append_scattered(f);
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name GLOB "
                                      "'summary_2024100[3456]'"),
                     4);
    check_rows(f, "all", "1.0@-1#5 1.0@0#0 1.1@0#2 1.0@1440#3 2.0@3#6 2.0@1439#1 3.0@2880#4 ");
    CHECK_OK(store_read_summaries(f->r, pairs, 4, DAY0, DAY0 + DAY_MINUTES * MINUTE, show, text, &test_err));
    assert_string_equal(text, "1.0@0#0 1.1@0#2 2.0@3#6 2.0@1439#1 ");
    text[0] = '\0';
    CHECK_OK(store_read_summaries(f->r, pairs, 0, 0, INT64_MAX, show, text, &test_err));
    CHECK_OK(store_read_summaries(f->r, pairs, 4, DAY0 + 1, DAY0 + 1, show, text, &test_err));
    assert_string_equal(text, "");
}

static void latest_is_the_newest_not_the_last(void **state)
{
    struct fx *f = *state;
    struct tw_summary old = plain(2, 0, DAY0 + 4 * MINUTE, 77), newer = plain(2, 0, DAY0 + 5000 * MINUTE, 78);
    uint64_t through;

    append_scattered(f);
    check_latest(f, "in one transaction", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    append_one(f, 9, &old);
    check_latest(f, "a late one in another", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    CHECK_OK(store_begin(f->s, &test_err));
    append(f, spool_a, 10, &newer, 1, &through);
    store_rollback(f->s);
    check_latest(f, "rolled back, and the day's table with it", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    append_one(f, 10, &newer);
    check_latest(f, "again", "1.0@1440#3 1.1@0#2 2.0@5000#78 3.0@2880#4 ");
}

static void retention_drops_whole_days(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 1, DAY0 + 10 * MINUTE, 80);

    append_scattered(f);
    CHECK_OK(retain_before(f->s, DAY0 + DAY_MINUTES * MINUTE - 1, &test_err)); /* the day has not ended yet */
    check_rows(f, "one day less", "1.0@0#0 1.1@0#2 1.0@1440#3 2.0@3#6 2.0@1439#1 3.0@2880#4 ");
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(retain_before(f->s, DAY0 + DAY_MINUTES * MINUTE, &test_err));
    store_rollback(f->s);
    check_latest(f, "rolled back", "1.0@1440#3 1.1@0#2 2.0@1439#1 3.0@2880#4 ");
    CHECK_OK(retain_before(f->s, DAY0 + DAY_MINUTES * MINUTE, &test_err));
    check_rows(f, "two days less", "1.0@1440#3 3.0@2880#4 ");
    check_latest(f, "no rows that are gone", "1.0@1440#3 3.0@2880#4 ");
    append_one(f, 9, &row); /* a late one brings its day back */
    check_rows(f, "late", "1.1@10#80 1.0@1440#3 3.0@2880#4 ");
    check_latest(f, "late", "1.0@1440#3 1.1@10#80 3.0@2880#4 ");
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

/* Flow by flow what looking up one pair says, and pairs in one piece each, whatever days they are on. */
static void many_latest(void **state)
{
    enum { PAIRS = 150, ASKED = 100 };
    struct fx *f = *state;
    uint64_t through, ids[ASKED + 2];
    struct seen all = { .n = 0 };
    size_t n = 0;

    CHECK_OK(store_begin(f->s, &test_err));
    for (uint32_t i = 0, seq = 1; i < PAIRS; i++)
        for (uint32_t flow = 0; flow < 1 + i % 2; flow++, seq++) {
            /* Most on one day; each 7th pair on an older one, each 10th with one flow on an older one. */
            bool old = i % 7 == 3 || (i % 10 == 5 && flow == 1);
            struct tw_summary s = plain(1000 - i, flow, DAY0 + (old ? 10 : 1440 + 10) * MINUTE, seq);
            assert_int_equal(append(f, spool_a, seq, &s, 1, &through), STORE_APPENDED);
        }
    CHECK_OK(store_commit(f->s, &test_err));
    for (uint64_t i = 0; i < ASKED; i++)
        ids[i] = 1001 - i; /* the first of them is not known */
    ids[ASKED] = 990;      /* asked for twice */
    ids[ASKED + 1] = 5;
    CHECK_OK(store_read_latest(f->r, ids, ASKED + 2, note_seen, &all, &test_err));
    for (size_t i = 0; i < all.n; i++) {
        struct seen one = { .n = 0 };
        size_t k = i;
        for (size_t j = 0; j < i; j++)
            assert_true(all.pair[j] != all.pair[i]);
        CHECK_OK(store_read_latest(f->r, &all.pair[i], 1, note_seen, &one, &test_err));
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
    struct store_batch b = { .agent_id = f->agent, .n = 1, .received_ns = DAY0 + 6 * MINUTE };
    enum store_append_result res;
    uint64_t through;

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        b.rows = &rows[i];
        b.first_seq = i + 1;
        CHECK_OK(store_begin(f->s, &test_err));
        CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
        CHECK_OK(store_commit(f->s, &test_err));
    }
    check_latest(f, "the clock is right again", "1.0@5#2 ");
}

/* The store writer never leaves the transaction to retention. */
static void retention_gives_room_back(void **state)
{
    struct fx *f = *state;
    int64_t pages;

    sql(f->path,
        "CREATE TABLE filler (x); INSERT INTO filler VALUES (zeroblob(32 << 20)); DROP TABLE filler");
    pages = sql_int(f->path, "PRAGMA page_count");
    assert_true(pages > 8000);
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(retain_before(f->s, DAY0, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    if (sql_int(f->path, "PRAGMA page_count") > pages - 4000)
        fail_msg("%lld pages, %lld before", (long long)sql_int(f->path, "PRAGMA page_count"),
                 (long long)pages);
}

static void retention_and_append_in_one_transaction(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[] = { plain(1, 0, DAY0, 1), plain(1, 0, DAY0 + DAY_MINUTES * MINUTE, 2),
                                 plain(2, 0, DAY0, 3) };
    uint64_t through;

    CHECK_OK(store_begin(f->s, &test_err));
    append(f, spool_a, 1, rows, 3, &through);
    CHECK_OK(retain_before(f->s, DAY0 + DAY_MINUTES * MINUTE, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    check_rows(f, "rows", "1.0@1440#2 ");
    check_latest(f, "latest", "1.0@1440#2 ");
}

/* More days at once than statements are kept. */
static void refill_of_many_days(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[200];
    uint64_t through, one = 1;
    char text[8192] = "";

    for (size_t i = 0; i < 200; i++)
        rows[i] =
            plain(1, 0, DAY0 + (int64_t)(i % 40) * DAY_MINUTES * MINUTE + (int64_t)i * MINUTE, (uint32_t)i);
    CHECK_OK(store_begin(f->s, &test_err));
    append(f, spool_a, 1, rows, 200, &through);
    CHECK_OK(store_commit(f->s, &test_err));
    for (int pass = 0; pass < 2; pass++) {
        text[0] = '\0';
        CHECK_OK(store_read_summaries(f->r, &one, 1, DAY0, INT64_MAX, show, text, &test_err));
        assert_int_equal(strncmp(text, "1.0@0#0 1.0@40#40 ", 18), 0);
    }
    check_latest(f, "many days", "1.0@56359#199 ");
}

/* The release before and the one after write the same file: rows without a digest, and with one of more columns than ours. */
static void other_releases_rows_are_not_compared(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 3, DAY0 + MINUTE, 0);
    uint64_t one = 1;

    append_one(f, 1, &row);
    sql(f->path, "UPDATE summary_20241004 SET digest = 0, generation = generation + 1");
    CHECK_OK(store_read_summaries(f->r, &one, 1, 0, INT64_MAX, show, (char[1024]){ "" }, &test_err));
    sql(f->path, "ALTER TABLE summary_20241004 ADD COLUMN from_the_future INTEGER NOT NULL DEFAULT 5;"
                 "UPDATE summary_20241004 SET digest = 1");
    store_close(f->s);
    CHECK_OK(store_open(f->path, &f->s, &test_err));
    store_reader_close(f->r);
    CHECK_OK(store_reader_open(f->path, &f->r, &test_err));
    CHECK_OK(store_read_summaries(f->r, &one, 1, 0, INT64_MAX, show, (char[1024]){ "" }, &test_err));
}

/* A table made by a program that did not have all of today's counters. */
static void older_days_lack_columns(void **state)
{
    struct fx *f = *state;
    struct tw_summary full, next;
    uint64_t one = 1;
    struct same l = { { &full, &next }, 0 };

    fill(&full);
    append_one(f, 1, &full);
    sql(f->path, "ALTER TABLE summary_20241004 DROP COLUMN digest;"
                 "ALTER TABLE summary_20241004 DROP COLUMN host_drops;"
                 "ALTER TABLE summary_20241004 DROP COLUMN windows_available;"
                 "ALTER TABLE summary_20241004 DROP COLUMN windows_unavailable;"
                 "ALTER TABLE summary_20241004 DROP COLUMN windows_unknown;"
                 "ALTER TABLE summary_20241004 DROP COLUMN unavailable;"
                 "ALTER TABLE summary_20241004 DROP COLUMN send_lateness;"
                 "ALTER TABLE summary_20241004 DROP COLUMN tos_forward_min;"
                 "ALTER TABLE summary_20241004 DROP COLUMN tos_forward_max;"
                 "ALTER TABLE summary_20241004 DROP COLUMN tos_forward_n;"
                 "ALTER TABLE summary_20241004 DROP COLUMN tos_forward_changes;"
                 "ALTER TABLE summary_20241004 DROP COLUMN host_stalls;"
                 "ALTER TABLE summary_20241004 DROP COLUMN host_stall_max_ns;"
                 "ALTER TABLE summary_20241004 DROP COLUMN noise_sent;"
                 "ALTER TABLE summary_20241004 DROP COLUMN noise_lost;"
                 "ALTER TABLE summary_20241004 DROP COLUMN noise_p50_ns;"
                 "ALTER TABLE summary_20241004 DROP COLUMN noise_p99_ns;"
                 "ALTER TABLE summary_20241004 DROP COLUMN noise_max_ns;"
                 "ALTER TABLE summary_20241004 ADD COLUMN from_the_future INTEGER NOT NULL DEFAULT 5");
    full.host_drops = full.host_stalls = 0;
    full.host_stall_max_ns = 0;
    full.noise = (struct tw_noise){ 0 };
    full.windows_available = full.windows_unavailable = full.windows_unknown = 0;
    unavail_free(&full.unavailable);
    full.tos_forward = (struct tw_octet_range){ 0 }; /* as if never seen */
    hist_reset(&full.send_lateness);
    next = full;
    CHECK_OK(store_read_summaries(f->r, &one, 1, 0, INT64_MAX, expect, &l, &test_err)); /* not widened yet */
    assert_int_equal(l.n, 1);

    store_close(f->s);
    CHECK_OK(store_open(f->path, &f->s, &test_err));
    next.host_drops = next.host_stalls = 9;
    next.host_stall_max_ns = 99;
    next.noise = (struct tw_noise){ 10, 1, 2, 3, 4 };
    next.windows_available = 8;
    next.tos_forward = (struct tw_octet_range){ 0, 184, 5, 1 };
    next.start_ns += 1;
    append_one(f, 2, &next);
    l.n = 0;
    store_reader_close(f->r);
    CHECK_OK(store_reader_open(f->path, &f->r, &test_err));
    CHECK_OK(store_read_summaries(f->r, &one, 1, 0, INT64_MAX, expect, &l, &test_err));
    assert_int_equal(l.n, 2);
    summary_free(&full);
}

static enum tw_rc stop(void *ctx, const struct tw_summary *s)
{
    (void)s;
    ++*(int *)ctx;
    return TW_ECLOSED;
}

static void a_reader_that_stops_holds_nothing_up(void **state)
{
    struct fx *f = *state;
    struct tw_err err;
    int n = 0;

    append_scattered(f);
    assert_int_equal(store_read_summaries(f->r, pairs, 4, 0, INT64_MAX, stop, &n, &err), TW_ECLOSED);
    assert_int_equal(store_read_latest(f->r, pairs, 4, stop, &n, &err), TW_ECLOSED);
    assert_int_equal(n, 2);
    CHECK_OK(retain_before(f->s, DAY0 + 10 * DAY_MINUTES * MINUTE, &test_err));
    check_rows(f, "all gone", "");
    check_latest(f, "all gone", "");
}

static void counts(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    struct store_stats st;
    uint64_t through;

    append_one(f, 1, &row);
    CHECK_OK(store_begin(f->s, &test_err));
    append(f, spool_a, 1, &row, 1, &through);
    append(f, spool_a, 9, &row, 1, &through);
    append(f, spool_a, 2, &row, 1, &through);
    store_rollback(f->s);
    store_stats(f->s, &st);
    assert_int_equal(st.rows_written, 1);
    assert_int_equal(st.batches, 1);
    assert_int_equal(st.commits, 1);
    assert_int_equal(st.repeated_batches, 1);
    assert_int_equal(st.out_of_seq_batches, 1);
    assert_true(st.file_bytes + st.wal_bytes > 4096);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(exactly_once),
        WITH_STORE(fresh_ones_come_before_a_backlog),
        WITH_STORE(stretches_ahead_are_bounded),
        WITH_STORE(an_agent_takes_its_stretches_with_it),
        WITH_STORE(any_order_is_exactly_once),
        WITH_STORE(refused_batches_leave_the_transaction_good),
        WITH_STORE(misuse_is_an_error),
        WITH_STORE(a_removed_agent_has_no_cursor),
        WITH_STORE(every_field_comes_back),
        WITH_STORE(a_damaged_row_is_named),
        WITH_STORE(other_releases_rows_are_not_compared),
        WITH_STORE(days_are_one_history),
        WITH_STORE(latest_is_the_newest_not_the_last),
        WITH_STORE(retention_drops_whole_days),
        WITH_STORE(many_latest),
        WITH_STORE(a_wrong_clock_does_not_stay_latest),
        WITH_STORE(retention_gives_room_back),
        WITH_STORE(retention_and_append_in_one_transaction),
        WITH_STORE(refill_of_many_days),
        WITH_STORE(older_days_lack_columns),
        WITH_STORE(a_reader_that_stops_holds_nothing_up),
        WITH_STORE(counts),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
