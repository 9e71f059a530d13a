/* Copies while it is written, putting one back, and finding what is wrong. */
#include "tests/unit/db/db_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include "db/backup.h"
#include "db/level.h"

#define HOUR (3600 * TW_NS_PER_S)

struct fx {
    struct store *s;
    char path[PATH_SIZE], copy[PATH_SIZE + 8];
    int64_t agent;
    uint64_t seq, pair;
};

/* n minutes of one pair, with numbers to add up; rolled up but for the last ten. */
static void append(struct fx *f, unsigned n)
{
    struct store_batch b = { .agent_id = f->agent, .n = 1, .spool_id = "spool" };
    enum store_append_result res;
    uint64_t through;
    bool more = true;

    for (unsigned i = 0; i < n; i++) {
        struct tw_summary row = plain(f->pair, 0, DAY0 + (int64_t)f->seq * MINUTE, (uint32_t)f->seq);
        row.end_ns = row.start_ns + 30 * TW_NS_PER_S;
        row.sent = row.received = 10;
        for (int k = 0; k < 10; k++)
            hist_add(&row.delay[TW_ROUNDTRIP], 1000000 + (int64_t)f->seq * 1000 + k);
        row.status = TW_STATUS_OK;
        b.rows = &row;
        b.first_seq = ++f->seq;
        CHECK_OK(store_begin(f->s, &test_err));
        CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
        CHECK_OK(store_commit(f->s, &test_err));
        summary_free(&row);
        while (i + 10 == n && more)
            CHECK_OK(store_rollup(f->s, DAY0 + (int64_t)f->seq * HOUR, 50, &more, &test_err));
    }
}

static struct fx *begin(const char *name)
{
    struct fx *f = calloc(1, sizeof *f);
    struct store_pair p = { .mesh = "m", .class_name = "c", .source = "ams1", .target = "fra1" };

    in_dir(f->path, name);
    snprintf(f->copy, sizeof f->copy, "%s.copy", f->path);
    CHECK_OK(store_open(f->path, &f->s, &test_err));
    f->agent = new_agent(f->s, "ams1");
    CHECK_OK(store_put_pair(f->s, &p, &test_err));
    f->pair = p.id;
    append(f, 100);
    return f;
}

static void end(struct fx *f)
{
    store_close(f->s);
    free(f);
}

static void note(void *ctx, const struct store_checked *c)
{
    char *text = ctx;
    size_t n = strlen(text);

    if (!c->ok)
        snprintf(text + n, 2048 - n, "%s: %s\n", c->name, c->text);
}

/* "" or what is wrong. */
static const char *check(const char *path)
{
    static char text[2048];

    *text = '\0';
    CHECK_OK(store_check(path, NULL, note, text, &test_err));
    return text;
}

struct meanwhile {
    struct fx *f;
    unsigned n;
};

static bool write_meanwhile(void *ctx, uint64_t done, uint64_t total)
{
    struct meanwhile *m = ctx;

    assert_true(done <= total);
    if (m->n++ < 3)
        append(m->f, 15);
    return true;
}

static void a_copy_is_of_one_moment(void **state)
{
    struct fx *f = begin("moment.db");
    struct meanwhile m = { .f = f };
    uint64_t bytes = 0;
    struct stat st;
    char wal[PATH_SIZE + 16];

    (void)state;
    sql(f->path,
        "CREATE TABLE ballast (x BLOB); INSERT INTO ballast VALUES (zeroblob(20000000))"); /* several steps */
    CHECK_OK(
        store_backup(f->path, f->copy, &(struct store_progress){ write_meanwhile, &m }, &bytes, &test_err));
    assert_true(f->seq > 100);
    assert_int_equal(stat(f->copy, &st), 0);
    assert_int_equal(st.st_size, bytes);
    assert_int_equal(st.st_mode & 07, 0);
    assert_int_equal(sql_int(f->copy, "SELECT count(*) FROM summary_20241004"), 100);
    assert_int_equal(sql_int(f->copy, "SELECT through_seq FROM cursor"), 100);
    snprintf(wal, sizeof wal, "%s-wal", f->copy);
    assert_int_equal(access(wal, F_OK), -1);
    assert_string_equal(check(f->copy), "");
    assert_string_equal(check(f->path), "");
    /* Never over another file. */
    assert_int_equal(store_backup(f->path, f->copy, NULL, &bytes, &test_err), TW_EEXIST);
    end(f);
}

static bool stop_at_once(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    (void)done;
    (void)total;
    return false;
}

static void a_copy_that_is_stopped_leaves_nothing(void **state)
{
    struct fx *f = begin("stopped.db");
    struct store_progress p = { stop_at_once, NULL };
    char part[PATH_SIZE + 24], text[2048] = "";
    uint64_t bytes;

    (void)state;
    sql(f->path, "CREATE TABLE ballast (x BLOB); INSERT INTO ballast VALUES (zeroblob(20000000))");
    assert_int_equal(store_backup(f->path, f->copy, &p, &bytes, &test_err), TW_ECLOSED);
    snprintf(part, sizeof part, "%s.part", f->copy);
    assert_int_equal(access(f->copy, F_OK), -1);
    assert_int_equal(access(part, F_OK), -1);
    assert_int_equal(store_check(f->path, &p, note, text, &test_err), TW_ECLOSED);
    end(f);
}

#define AHEAD(spans) \
    "INSERT INTO cursor_ahead SELECT agent_id, spool_id, column1, column2 FROM cursor, (VALUES " spans ")"
static const struct {
    const char *name, *sql, *finding;
} damages[] = {
    { "a cell that is short",
      "UPDATE rollup_1h_202410 SET received = received - 1, lost_unknown = lost_unknown + 1 WHERE rowid = 1",
      "rollups: level 1h" },
    { "a cell that is gone", "DELETE FROM rollup_1d_2024", "rollups: level 1d" },
    { "rolled up twice", "UPDATE rollup_10min_202410 SET n_rows = 2 * n_rows WHERE rowid = 2",
      "rollups: level 10min" },
    { "a summary that was altered", "UPDATE summary_20241004 SET generation = generation + 1 WHERE rowid = 7",
      "summaries: " },
    { "a summary that is gone", "DELETE FROM summary_20241004 WHERE rowid = 5", "rollups: level 1min" },
    { "the newest one is gone", "DELETE FROM summary_20241004 WHERE rowid = 100", "latest: 1 flows" },
    { "no progress", "DELETE FROM rollup_day", "progress: " },
    { "progress too far", "UPDATE rollup_day SET through = 101", "progress: " },
    { "a pair without names", "PRAGMA foreign_keys = OFF; DELETE FROM pair", "pairs: 1 pairs" },
    { "an index that lacks an entry",
      "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'start_ns, flow', 'flow, "
      "start_ns') WHERE name = 'summary_20241004_by_pair'",
      "integrity: " },
    { "a cursor at nothing", "UPDATE cursor SET through_seq = 0", "cursors: 1 spools" },
    { "a stretch without a hole", AHEAD("(101, 110)"), "cursors: 1 stretches" },
    { "a stretch that is stored in order", AHEAD("(50, 60)"), "cursors: 1 stretches" },
    { "a stretch that ends before it begins", AHEAD("(120, 119)"), "cursors: 1 stretches" },
    { "stretches that touch", AHEAD("(120, 129), (130, 139)"), "cursors: 1 stretches" },
    { "a stretch of another spool",
      "INSERT INTO cursor_ahead SELECT agent_id, zeroblob(16), 120, 130 FROM cursor",
      "cursors: 1 stretches" },
    { "too many stretches",
      "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 17) INSERT INTO cursor_ahead SELECT "
      "agent_id, spool_id, 100 + 10 * i, 105 + 10 * i FROM cursor, n",
      "cursors: 17 stretches" },
    { "a cursor of nobody", "PRAGMA foreign_keys = OFF; DELETE FROM agent", "references: 1 rows" },
};

static void what_is_wrong_is_found(void **state)
{
    struct fx *f = begin("wrong.db");
    size_t len;
    uint8_t *whole;
    uint64_t bytes;

    (void)state;
    CHECK_OK(store_backup(f->path, f->copy, NULL, &bytes, &test_err));
    whole = slurp(f->copy, &len);
    for (size_t i = 0; i < TW_NELEM(damages); i++) {
        const char *found;
        spew(f->copy, whole, len);
        sql(f->copy, damages[i].sql);
        found = check(f->copy);
        if (!strstr(found, damages[i].finding))
            fail_msg("%s: \"%s\"", damages[i].name, found);
    }
    free(whole);
    end(f);
}

static void fresh_ones_before_a_backlog_are_no_damage(void **state)
{
    struct fx *f = begin("ahead.db");

    (void)state;
    sql(f->path, AHEAD("(102, 110), (112, 112)"));
    assert_string_equal(check(f->path), "");
    end(f);
}

static void restored(void **state)
{
    struct fx *f = begin("restored.db");
    char kept[PATH_SIZE], again[PATH_SIZE + 16];
    uint64_t bytes, through = 0;
    size_t len;
    uint8_t *data;

    (void)state;
    CHECK_OK(store_backup(f->path, f->copy, NULL, &bytes, &test_err));
    append(f, 20);
    assert_int_equal(store_restore(f->copy, f->path, DAY0, NULL, kept, sizeof kept, &test_err), TW_EINUSE);
    assert_non_null(strstr(test_err.text, "stop the controller"));
    store_close(f->s);
    /* One that is damaged changes nothing. */
    snprintf(again, sizeof again, "%s2", f->copy);
    data = slurp(f->copy, &len);
    spew(again, data, len);
    free(data);
    sql(again, "DELETE FROM rollup_1d_2024");
    assert_int_equal(store_restore(again, f->path, DAY0, NULL, kept, sizeof kept, &test_err), TW_ECORRUPT);
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM summary_20241004"), 120);
    assert_true(store_restore("/nonexistent/x.db", f->path, DAY0, NULL, kept, sizeof kept, &test_err) !=
                TW_OK);
    /* A whole one takes its place, and the old one is kept. */
    CHECK_OK(store_restore(f->copy, f->path, DAY0, NULL, kept, sizeof kept, &test_err));
    assert_non_null(strstr(kept, "restored.db.before-20241004T000000Z"));
    assert_int_equal(sql_int(kept, "SELECT count(*) FROM summary_20241004"), 120);
    CHECK_OK(store_open(f->path, &f->s, &test_err));
    assert_int_equal(store_cursor(f->s, f->agent, (const uint8_t *)"spool\0\0\0\0\0\0\0\0\0\0", &through),
                     TW_OK);
    assert_int_equal(through, 100);
    f->seq = through;
    append(f, 30); /* goes on, and is rolled up */
    assert_string_equal(check(f->path), "");
    /* Where there is none yet. */
    in_dir(again, "new.db");
    CHECK_OK(store_restore(f->copy, again, DAY0, NULL, kept, sizeof kept, &test_err));
    assert_string_equal(kept, "");
    assert_int_equal(sql_int(again, "SELECT count(*) FROM summary_20241004"), 100);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_of_one_moment),
        cmocka_unit_test(a_copy_that_is_stopped_leaves_nothing),
        cmocka_unit_test(what_is_wrong_is_found),
        cmocka_unit_test(fresh_ones_before_a_backlog_are_no_damage),
        cmocka_unit_test(restored),
    };

    no_sync = true;
    return cmocka_run_group_tests_name("copies", tests, make_dir, remove_dir);
}
