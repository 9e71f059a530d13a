/* Summaries in SQLite: what is in its file, which programs may open it, damage; and what the store adds to
 * the history. What must hold of every database is in conform_history.c. */
#include "tests/unit/db/some_rows.h"

static const uint8_t spool_a[STORE_ID_LEN] = "spool-a";

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

    CHECK_OK(store_read_latest(f->r, ids, TW_NELEM(ids), 0, show, text, &test_err));
    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s\nnot: %s", name, text, expected);
}

/* ---- Agents ------------------------------------------------------------------------------------- */

/* Such a batch must not take the rest of the transaction with it. */
static void unknown_agents_are_refused(void **state)
{
    struct fx *f = *state;
    struct tw_summary rows[2] = { plain(1, 0, DAY0, 1), plain(1, 0, DAY0 + MINUTE, 2) };
    struct store_batch b = { .agent_id = f->agent + 7, .first_seq = 5, .rows = rows, .n = 1 };
    enum store_append_result res;
    struct tw_err err = { 0 };
    uint64_t through = 0;

    CHECK_OK(store_begin(f->s, &test_err));
    append(f, spool_a, 1, rows, 2, &through);
    assert_int_equal(store_append(f->s, &b, &res, &through, &err), TW_ENOENT);
    assert_non_null(strstr(err.text, "no agent has id"));
    CHECK_OK(store_commit(f->s, &test_err));
    check_rows(f, "the good ones", "1.0@0#1 1.0@1#2 ");
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

/* ---- Stretches ahead --------------------------------------------------------------------------- */

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

/* Programs that know nothing of stretches ahead are kept out while there are any. */
static void stretches_ahead_raise_the_floor(void **state)
{
    static const struct {
        uint64_t first;
        size_t n;
        bool ahead;
        int64_t floor;
    } rows[] = { { 10, 5, false, 11 },
                 { 50, 5, true, 13 },
                 { 15, 5, false, 13 },
                 { 20, 30, false, 11 },
                 { 96, 2, true, 13 } };
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        CHECK_OK(store_begin(f->s, &test_err));
        assert_int_equal(jump(f, rows[i].first, rows[i].n, false, rows[i].ahead), STORE_APPENDED);
        CHECK_OK(store_commit(f->s, &test_err));
        if (i % 2)
            reopen(f);
        assert_int_equal(sql_int(f->path, "SELECT oldest FROM schema_floor"), rows[i].floor);
    }
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM cursor_ahead"), 1);
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

/* ---- Fields ------------------------------------------------------------------------------------- */

struct same {
    const struct tw_summary *expected[2];
    size_t n;
};

static enum tw_rc expect(void *ctx, const struct tw_summary *s)
{
    struct same *l = ctx;

    same("a row", l->expected[l->n++], s);
    return TW_OK;
}

/* By hand what store_history.h says of each part. */
static void blank(struct tw_summary *s, unsigned without)
{
    const struct tw_summary full = *s;

    if (without & STORE_DELAYS) {
        for (int d = 0; d < 3; d++)
            hist_reset(&s->delay[d]);
        s->residence_sum_ns = s->residence_max_ns = 0;
        s->clock_local = s->clock_remote = (struct tw_clock_state){ 0 };
        s->clock_remote_known = false;
        s->clock_steps = 0;
    }
    if (without & STORE_JITTER)
        memset(s->jitter, 0, sizeof s->jitter);
    if (without & STORE_HOST) {
        s->host_drops = s->host_stalls = 0;
        s->host_stall_max_ns = 0;
        s->host_cpu_wait_ppm = 0;
        s->noise = (struct tw_noise){ 0 };
    }
    if (!(without & STORE_REST))
        return;
    hist_reset(&s->send_lateness);
    s->unavailable.n = 0;
    s->generation = s->loss_runs = s->loss_run_longest = 0;
    s->seq_first = 0;
    s->loss_run_longest_ns = 0;
    s->ttl_forward = s->ttl_backward = s->tos_forward = s->tos_backward = (struct tw_octet_range){ 0 };
    s->tos_sent = 0;
    s->tx_source = s->rx_source = (enum tw_ts_source)0;
#define X_BLANK(name, help) s->name = 0;
    TW_COUNTERS(X_BLANK)
#undef X_BLANK
    s->sent = full.sent;
    s->received = full.received;
    s->lost_forward = full.lost_forward;
    s->lost_backward = full.lost_backward;
    s->lost_unknown = full.lost_unknown;
    s->send_errors = full.send_errors;
    s->skipped = full.skipped;
    s->windows_available = full.windows_available;
    s->windows_unavailable = full.windows_unavailable;
    s->windows_unknown = full.windows_unknown;
    s->host_drops = without & STORE_HOST ? 0 : full.host_drops;
    s->host_stalls = without & STORE_HOST ? 0 : full.host_stalls;
}

static enum tw_rc expect_cell(void *ctx, const struct store_cell *c)
{
    return expect(ctx, c->merged);
}

static enum tw_rc keep_cell(void *ctx, const struct store_cell *c)
{
    return summary_copy(ctx, c->merged);
}

static void read_span_without(struct fx *f, unsigned without, int64_t raw_from_ns,
                              enum tw_rc (*fn)(void *ctx, const struct store_cell *c), void *ctx)
{
    const uint64_t one = 1;
    const struct store_span span = { .pair_ids = &one,
                                     .n_pairs = 1,
                                     .from_ns = DAY0,
                                     .to_ns = DAY0 + 1440 * MINUTE,
                                     .without = without,
                                     .raw_from_ns = raw_from_ns,
                                     .fn = fn,
                                     .ctx = ctx };

    CHECK_OK(store_read_span(f->r, &span, &test_err));
}

/* Each combination on the same reader; the whole ones before, so that something would be left over. */
static void parts_are_left_out(void **state)
{
    struct fx *f = *state;
    struct tw_summary full, cell;
    const uint64_t one = 1;
    bool more = true;

    fill_all(&full);
    append_one(f, 1, &full);
    while (more)
        CHECK_OK(store_rollup(f->s, DAY0 + 9 * 1440 * MINUTE, 100, &more, &test_err));
    summary_init(&cell);
    read_span_without(f, 0, INT64_MAX, keep_cell, &cell);
    for (unsigned without = 0; without < STORE_PARTS; without++) {
        struct tw_summary want, want_cell;
        struct same latest = { { &want, NULL }, 0 }, raw = latest, cells = { { &want_cell, NULL }, 0 };

        fill_all(&want);
        blank(&want, without);
        summary_init(&want_cell);
        CHECK_OK(summary_copy(&want_cell, &cell));
        blank(&want_cell, without);
        CHECK_OK(
            store_read_latest(f->r, &one, 1, 0, expect, &(struct same){ { &full, NULL }, 0 }, &test_err));
        CHECK_OK(store_read_latest(f->r, &one, 1, without, expect, &latest, &test_err));
        read_span_without(f, without, INT64_MIN, expect_cell, &raw);
        read_span_without(f, without, INT64_MAX, expect_cell, &cells);
        if (latest.n != 1 || raw.n != 1 || cells.n != 1)
            fail_msg("without %u: %zu, %zu, %zu", without, latest.n, raw.n, cells.n);
        summary_free(&want);
        summary_free(&want_cell);
    }
    summary_free(&cell);
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

    fill_all(&full);
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

    fill_all(&full);
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
        WITH_STORE(stretches_ahead_raise_the_floor), WITH_STORE(an_agent_takes_its_stretches_with_it),
        WITH_STORE(unknown_agents_are_refused),      WITH_STORE(a_removed_agent_has_no_cursor),
        WITH_STORE(parts_are_left_out),          WITH_STORE(other_releases_rows_are_not_compared),
        WITH_STORE(a_damaged_row_is_named),          WITH_STORE(other_releases_rows_are_not_compared),
        WITH_STORE(retention_gives_room_back),       WITH_STORE(refill_of_many_days),
        WITH_STORE(older_days_lack_columns),         WITH_STORE(counts),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
