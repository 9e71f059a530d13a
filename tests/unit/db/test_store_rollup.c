/* Roll-ups in SQLite: what is in its tables, damage, a full disk, kill -9; what meshes keep. That spans say
 * what their summaries say is in conform_span.c. */
#include "tests/unit/db/sums.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include "db/level.h"

struct fx {
    struct store *s;
    struct store_reader *r;
    char path[PATH_SIZE];
    int64_t agent;
    uint64_t seq;
    unsigned seed;
};

static void open_both(struct fx *f)
{
    CHECK_OK(store_open(f->path, &f->s, &test_err));
    CHECK_OK(store_reader_open(f->path, &f->r, &test_err));
}

static void close_both(struct fx *f)
{
    store_reader_close(f->r);
    store_close(f->s);
}

static struct fx *begin(const char *name)
{
    struct fx *f = calloc(1, sizeof *f);

    in_dir(f->path, name);
    open_both(f);
    f->agent = new_agent(f->s, "ams1");
    f->seed = 4711;
    return f;
}

static void end(struct fx *f)
{
    close_both(f);
    free(f);
}

static enum tw_rc append_rows(struct fx *f, const struct tw_summary *rows, size_t n, struct tw_err *err)
{
    struct store_batch b = {
        .agent_id = f->agent, .first_seq = f->seq + 1, .rows = rows, .n = n, .spool_id = "spool"
    };
    enum store_append_result res;
    uint64_t through;
    enum tw_rc rc = store_begin(f->s, err);

    if (!rc)
        rc = store_append(f->s, &b, &res, &through, err);
    if (rc) {
        store_rollback(f->s);
        return rc;
    }
    rc = store_commit(f->s, err);
    f->seq += rc ? 0 : n;
    return rc;
}

/* Ten minutes later each time, so that whatever waits is due. */
static void roll(struct fx *f, size_t max_rows)
{
    static int64_t now_ns = INT64_C(1) << 60;
    bool more = true;

    now_ns += 600 * SEC;
    while (more)
        CHECK_OK(store_rollup(f->s, now_ns, max_rows, &more, &test_err));
}

static void read_span(struct fx *f, uint64_t pair, int64_t from, int64_t to, int64_t step, int64_t raw_from,
                      struct sum *ret)
{
    sum_init(ret);
    ret->step_ns = step;
    CHECK_OK(store_read_span(f->r,
                             &(struct store_span){ .pair_ids = &pair,
                                                   .n_pairs = 1,
                                                   .from_ns = from,
                                                   .to_ns = to,
                                                   .step_ns = step,
                                                   .raw_from_ns = raw_from,
                                                   .covers = sum_covered,
                                                   .fn = sum_cell,
                                                   .ctx = ret },
                             &test_err));
}

static void check_span(struct fx *f, const char *what, uint64_t pair, int64_t from, int64_t to, int64_t step,
                       int64_t raw_from)
{
    struct sum exact, got;

    sum_init(&exact);
    CHECK_OK(store_read_summaries(f->r, &pair, 1, from, to, sum_summary, &exact, &test_err));
    read_span(f, pair, from, to, step, raw_from, &got);
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

/* ---- Exactly what was measured ---- */

static void append_some(struct fx *f, size_t n)
{
    static struct tw_summary rows[400];

    for (size_t i = 0; i < n; i++)
        rows[i] = some_row(&f->seed);
    CHECK_OK(append_rows(f, rows, n, &test_err));
    free_rows(rows, n);
}

/* What a level says of itself is what is there. */
static void levels_are_counted(void **state)
{
    static const struct {
        enum store_level level;
        const char *tables;
    } rows[] = { { STORE_RAW, "summary_*" },
                 { STORE_1MIN, "rollup_1min_*" },
                 { STORE_10MIN, "rollup_10min_*" },
                 { STORE_1H, "rollup_1h_*" },
                 { STORE_1D, "rollup_1d_*" } };
    struct fx *f = begin("counted.db");
    struct store_stats st;

    (void)state;
    for (int i = 0; i < 5; i++) {
        append_some(f, 400);
        roll(f, 100);
    }
    store_stats(f->s, &st);
    for (int again = 0; again < 2; again++) { /* the same after a restart */
        for (size_t i = 0; i < TW_NELEM(rows); i++) {
            const struct store_level_stats *l = &st.levels[rows[i].level];
            char text[300];
            int64_t n, octets;
            snprintf(text, sizeof text,
                     "SELECT ifnull(sum(ncell), 0) FROM dbstat WHERE name GLOB '%s' AND name NOT GLOB "
                     "'*_by_pair' AND pagetype = 'leaf'",
                     rows[i].tables);
            n = sql_int(f->path, text);
            snprintf(text, sizeof text, "SELECT sum(payload) FROM dbstat WHERE name GLOB '%s'",
                     rows[i].tables);
            octets = sql_int(f->path, text);
            if ((int64_t)l->rows != n || (double)l->bytes < 0.8 * (double)octets ||
                (double)l->bytes > 1.2 * (double)octets)
                fail_msg("%s: %llu rows, %llu octets, not %lld, %lld", store_level_name(rows[i].level),
                         (unsigned long long)l->rows, (unsigned long long)l->bytes, (long long)n,
                         (long long)octets);
            assert_true(l->oldest_ns < DAY0);
        }
        close_both(f);
        open_both(f);
        store_stats(f->s, &st);
    }
    /* A summary of 10 s is in all levels, of an hour only in that of days. */
    assert_true(st.levels[STORE_1MIN].rows && st.levels[STORE_1H].rows);
    assert_int_equal(
        sql_int(f->path,
                "SELECT count(*) FROM rollup_1min_20241004 WHERE pair_id > 1 AND longest_ns >= 60000000000"),
        0);
    assert_int_equal(
        sql_int(f->path, "SELECT count(*) FROM rollup_1h_202410 WHERE longest_ns >= 3600000000000"), 0);
    assert_true(sql_int(f->path, "SELECT count(*) FROM rollup_1d_2024 WHERE pair_id = 4") > 0);
    end(f);
}

/* Years of a known distribution: any percentile of any month is that of all its probes. */
static void years(void **state)
{
    static struct tw_summary rows[288];
    struct fx *f = begin("years.db");
    bool is_long = getenv("TW_TEST_LONG");
    int64_t period = is_long ? 300 * SEC : HOUR, days = is_long ? 1100 : 70;
    struct hist exact[3];
    uint64_t sent = 0, n = 0;
    struct sum got;

    (void)state;
    for (int i = 0; i < 3; i++)
        hist_init(&exact[i]);
    for (int64_t day = DAY0; day < DAY0 + days * DAY; day += DAY) {
        bool november = day >= DAY0 + 28 * DAY && day < DAY0 + 59 * DAY;
        for (int64_t i = 0; i < DAY / period; i++) {
            rows[i] = plain(1, 0, day + i * period, (uint32_t)i);
            rows[i].end_ns = rows[i].start_ns + period;
            fill(&rows[i], &f->seed, 20);
            for (int d = 0; d < 3 && november; d++)
                hist_merge(&exact[d], &rows[i].delay[d]);
            sent += november ? rows[i].sent : 0;
            n += november;
        }
        CHECK_OK(append_rows(f, rows, (size_t)(DAY / period), &test_err));
        free_rows(rows, (size_t)(DAY / period));
    }
    roll(f, 10000);
    read_span(f, 1, DAY0 + 28 * DAY, DAY0 + 59 * DAY, 0, INT64_MAX, &got);
    assert_int_equal(got.cells, 31);
    assert_int_equal(got.raw_cells, 0);
    assert_int_equal(got.merged.sent, sent);
    assert_int_equal(got.rows, n);
    for (int d = 0; d < 3; d++) {
        int64_t a = 0, b = 1;
        assert_true(hist_equal(&exact[d], &got.merged.delay[d]));
        CHECK_OK(hist_percentile(&exact[d], 99, &a));
        CHECK_OK(hist_percentile(&got.merged.delay[d], 99, &b));
        assert_int_equal(a, b);
    }
    /* And near that of the distribution itself: e^(16.5 + 0.5 x 2.33) ns. */
    {
        int64_t p99 = 0;
        CHECK_OK(hist_percentile(&got.merged.delay[TW_FORWARD], 99, &p99));
        assert_true(fabs((double)p99 / exp(16.5 + 0.5 * 2.326) - 1) < 0.15);
    }
    summary_free(&got.merged);
    for (int i = 0; i < 3; i++)
        hist_free(&exact[i]);
    end(f);
}

/* ---- What may happen meanwhile ---- */

/* What cannot be read is left out and counted; the rest goes on. */
static void damaged_row(void **state)
{
    struct fx *f = begin("damaged.db");
    struct store_stats st;
    int64_t all;

    (void)state;
    append_some(f, 200);
    all = sql_int(f->path, "SELECT count(*) FROM summary_20241004 WHERE test_id = 0");
    sql(f->path, "UPDATE summary_20241004 SET received = received + 1 WHERE rowid IN (SELECT rowid FROM "
                 "summary_20241004 WHERE test_id = 0 LIMIT 3)");
    roll(f, 50);
    store_stats(f->s, &st);
    assert_int_equal(st.rollup_damaged, 3);
    assert_int_equal(st.rollup_waiting, 0);
    assert_int_equal(
        sql_int(f->path, "SELECT sum(n_rows) FROM rollup_1d_2024 WHERE cell_ns < 1728086400000000000"),
        all - 3);
    end(f);
}

/* A database from before there were roll-ups. */
static void older_database(void **state)
{
    struct fx *f = begin("older.db");

    (void)state;
    append_some(f, 400);
    close_both(f);
    sql(f->path, "DELETE FROM rollup_day; DELETE FROM level_part");
    open_both(f);
    check_spans(f, "not rolled up", 20);
    roll(f, 30);
    check_spans(f, "rolled up", 20);
    {
        struct store_stats st;
        store_stats(f->s, &st);
        assert_int_equal(st.levels[STORE_RAW].rows, 400);
        assert_true(st.levels[STORE_RAW].bytes > 400 * 100);
    }
    end(f);
}

/* A full disk in the middle of a roll-up: nothing of the slice is there, later it goes on. */
static void full_disk(void **state)
{
    struct fx *f = begin("full.db");
    struct tw_err err = { 0 };
    bool more;
    enum tw_rc rc = TW_OK;

    (void)state;
    for (int i = 0; i < 4; i++)
        append_some(f, 400);
    CHECK_OK(store_rollup(f->s, DAY0, 50, &more, &test_err));
    assert_true(more);
    {
        struct stat st;
        char wal[PATH_SIZE + 8];
        snprintf(wal, sizeof wal, "%s-wal", f->path);
        assert_int_equal(stat(wal, &st), 0);
        signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(
            setrlimit(RLIMIT_FSIZE, &(struct rlimit){ (rlim_t)st.st_size + 30000, RLIM_INFINITY }), 0);
    }
    for (int i = 0; i < 100 && !rc && more; i++)
        rc = store_rollup(f->s, DAY0, 50, &more, &err);
    if (rc != TW_ENOSPC || !strstr(err.text, "no space left"))
        fail_msg("%s: %s", tw_rc_name(rc), err.text);
    check_spans(f, "while the disk is full", 10);
    assert_int_equal(store_rollup(f->s, DAY0, 50, &more, &err), TW_ENOSPC);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }), 0);
    roll(f, 50);
    check_spans(f, "afterwards", 30);
    end(f);
}

__attribute__((noreturn)) static void roll_until_killed(struct fx *f, int told)
{
    bool more = true;

    store_reader_close(f->r);
    store_close(f->s);
    if (store_open(f->path, &f->s, &test_err))
        _exit(1);
    for (;;) {
        static struct tw_summary rows[8];
        for (size_t i = 0; i < TW_NELEM(rows); i++)
            rows[i] = some_row(&f->seed);
        if (append_rows(f, rows, TW_NELEM(rows), &test_err) || store_rollup(f->s, DAY0, 20, &more, &test_err))
            _exit(1);
        free_rows(rows, TW_NELEM(rows));
        if (write(told, "", 1) != 1)
            _exit(1);
    }
}

/* kill -9 at any point: what is committed is in its cells once, or will be. */
static void killed(void **state)
{
    struct fx *f = begin("killed.db");

    (void)state;
    append_some(f, 400);
    for (unsigned i = 0; i < 8; i++) {
        struct timespec t = { 0, pick(&f->seed, 3 * TW_NS_PER_MS) };
        int status, told[2];
        char c;
        pid_t child;
        close_both(f);
        assert_int_equal(pipe(told), 0);
        child = fork();
        assert_true(child >= 0);
        if (!child) {
            open_both(f);
            f->seed += i;
            roll_until_killed(f, told[1]);
        }
        for (int64_t slices = 1 + pick(&f->seed, 4); slices; slices--)
            assert_int_equal(read(told[0], &c, 1), 1);
        nanosleep(&t, NULL);
        kill(child, SIGKILL);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        close(told[0]);
        close(told[1]);
        open_both(f);
        CHECK_OK(store_cursor(f->s, f->agent, (const uint8_t *)"spool\0\0\0\0\0\0\0\0\0\0", &f->seq));
        f->seed += 77;
        check_spans(f, "after a kill", 5);
    }
    assert_true(f->seq > 400);
    roll(f, 100);
    check_spans(f, "after all kills", 50);
    assert_int_equal(sql_int(f->path, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    end(f);
}

/* ---- Retention ---- */

static uint64_t put_pair(struct fx *f, const char *mesh, const char *source)
{
    struct store_pair p = { .mesh = mesh, .class_name = "c", .source = source, .target = "t" };

    CHECK_OK(store_put_pair(f->s, &p, &test_err));
    return p.id;
}

/* n days from DAY0 on, every 10 minutes a summary of 10 s. */
static void append_days(struct fx *f, uint64_t pair, int64_t days)
{
    static struct tw_summary rows[144];

    for (int64_t day = DAY0; day < DAY0 + days * DAY; day += DAY) {
        for (int i = 0; i < 144; i++) {
            rows[i] = plain(pair, 0, day + i * 600 * SEC, (uint32_t)i);
            rows[i].end_ns = rows[i].start_ns + 10 * SEC;
            fill(&rows[i], &f->seed, 5);
        }
        CHECK_OK(append_rows(f, rows, 144, &test_err));
        free_rows(rows, 144);
    }
}

static void retain_all(struct fx *f, const struct store_retention *r)
{
    bool more = true;

    while (more)
        CHECK_OK(store_retain(f->s, r, &more, &test_err));
}

/* Meshes that keep less than others, or more, in the same tables. */
static void meshes_keep_their_own(void **state)
{
    static const struct store_mesh_keep own[] = {
        { "brief", { { DAY, 2 * DAY, 2 * DAY, 2 * DAY, 2 * DAY } } },
        { "long", { { 60 * DAY } } },
    };
    struct fx *f = begin("meshes.db");
    struct store_retention r = { .now_ns = DAY0 + 10 * DAY,
                                 .keep.ns = { 5 * DAY, 5 * DAY, 5 * DAY, 50 * DAY, 50 * DAY },
                                 .meshes = own,
                                 .n_meshes = 2 };
    uint64_t pairs[] = { put_pair(f, "brief", "a"), put_pair(f, "long", "a"), put_pair(f, "usual", "a") };
    /* Of 10 days: raw, hours kept. */
    static const uint64_t kept_raw[] = { 1, 10, 5 }, kept_hours[] = { 2, 10, 10 };
    struct sum got;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        append_days(f, pairs[i], 10);
    roll(f, 1000);
    for (int again = 0; again < 2; again++) {
        retain_all(f, &r);
        for (size_t i = 0; i < 3; i++) {
            char text[100];
            int64_t n = 0;
            for (int day = 4; day < 14; day++) {
                snprintf(text, sizeof text, "SELECT count(*) FROM summary_202410%02d WHERE pair_id = %llu",
                         day, (unsigned long long)pairs[i]);
                n += sql_int(f->path, text);
            }
            assert_in_range(n, 144 * kept_raw[i],
                            144 * kept_raw[i] + 9); /* and rows that hold the highest number */
            read_span(f, pairs[i], DAY0, DAY0 + 10 * DAY, DAY, INT64_MAX, &got);
            assert_int_equal(got.rows, 144 * kept_hours[i]);
            assert_int_equal(got.from_ns, DAY0 + (int64_t)(10 - kept_hours[i]) * DAY);
            summary_free(&got.merged);
            read_span(f, pairs[i], DAY0, DAY0 + 10 * DAY, 0, INT64_MIN, &got);
            assert_int_equal(got.rows, 144 * kept_raw[i]);
            summary_free(&got.merged);
        }
    }
    /* A late one of a day whose rows went is rolled up nevertheless: its number is a new one. */
    {
        struct tw_summary late = plain(pairs[2], 0, DAY0 + 5 * SEC, 7);
        struct store_stats before, after;
        late.end_ns = late.start_ns + 10 * SEC;
        store_stats(f->s, &before);
        CHECK_OK(append_rows(f, &late, 1, &test_err));
        roll(f, 1000);
        store_stats(f->s, &after);
        assert_int_equal(after.rollup_rows, before.rollup_rows + 1);
    }
    end(f);
}

/* Freed pages are used again: the file stays as large as what is kept. */
static void space_is_reused(void **state)
{
    struct fx *f = begin("reused.db");
    struct store_retention r = { .keep.ns = { DAY, DAY, DAY, DAY, DAY } };
    uint64_t pair = put_pair(f, "m", "a");
    int64_t first = 0, last;

    (void)state;
    for (int64_t day = 0; day < 12; day++) {
        static struct tw_summary rows[288];
        for (int i = 0; i < 288; i++) {
            rows[i] = plain(pair, 0, DAY0 + day * 40 * DAY + i * 300 * SEC, 0);
            rows[i].end_ns = rows[i].start_ns + 300 * SEC;
            fill(&rows[i], &f->seed, 10);
        }
        CHECK_OK(append_rows(f, rows, 288, &test_err));
        free_rows(rows, 288);
        roll(f, 1000);
        r.now_ns = DAY0 + (40 * day + 1) * DAY;
        retain_all(f, &r);
        last = sql_int(f->path, "PRAGMA page_count");
        first = day == 2 ? last : first;
    }
    assert_in_range(last, 1, 2 * first);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_are_counted),
        cmocka_unit_test(years),
        cmocka_unit_test(damaged_row),
        cmocka_unit_test(older_database),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(killed),
        cmocka_unit_test(meshes_keep_their_own),
        cmocka_unit_test(space_is_reused),
    };

    no_sync = true; /* whether commits wait for the disk is test_store_faults.c's */
    return cmocka_run_group_tests_name("roll-ups", tests, make_dir, remove_dir);
}
