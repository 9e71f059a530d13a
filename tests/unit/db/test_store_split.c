/* A store whose history is in a database of its own: what is committed first, and what becomes of an end
 * between. The history is a second SQLite file here; what matters is that no transaction is over both. */
#include <sys/wait.h>

#include "db/sqlite/history.h"
#include "db/store_priv.h"
#include "tests/unit/db/some_rows.h"

/* ---- A history whose commit can go wrong -------------------------------------------------------- */

static enum { GOES_WELL, FAILS, ENDS_BEHIND, AWAY } how;
static struct history_ops ops;

static enum tw_rc commit_somehow(struct history *h, struct tw_err *err)
{
    enum tw_rc rc;

    if (how == FAILS) {
        sqlite_history.rollback(h);
        return tw_err_set(err, TW_EIO, "the history cannot be reached");
    }
    rc = sqlite_history.commit(h, err);
    if (how == ENDS_BEHIND)
        _exit(rc ? 1 : 9);
    return rc;
}

static enum tw_rc begin_somehow(struct history *h, struct tw_err *err)
{
    return how == AWAY ? tw_err_set(err, TW_ETIMEOUT, "the history is away") : sqlite_history.begin(h, err);
}

struct fx {
    char control[PATH_SIZE], history[PATH_SIZE];
    struct store *s;
    struct store_reader *r;
    int64_t agent;
};

static void open_store(struct fx *f)
{
    struct history *h;

    ops = sqlite_history;
    ops.commit = commit_somehow;
    ops.begin = begin_somehow;
    CHECK_OK(sqlite_history.open(&(struct history_conf){ .location = f->history }, &h, &test_err));
    h->ops = &ops;
    /* A spool's cursor refers to its agent in that file. */
    CHECK_OK(sq_exec(sqlite_history_file(h),
                     "INSERT OR IGNORE INTO agent (id, name, public_key, approved, first_seen_ns, "
                     "approved_ns, last_contact_ns,"
                     " software) VALUES (1, 'x', x'00', 1, 0, 0, 0, '')",
                     &test_err));
    CHECK_OK(store_open_with(f->control, h, &f->s, &test_err));
}

static int setup(void **state)
{
    static unsigned n;
    struct fx *f = calloc(1, sizeof *f);
    struct history_reader *r;
    char name[40];

    *state = f;
    how = GOES_WELL;
    snprintf(name, sizeof name, "control%u.db", n);
    in_dir(f->control, name);
    snprintf(name, sizeof name, "history%u.db", n++);
    in_dir(f->history, name);
    open_store(f);
    f->agent = new_agent(f->s, "ams");
    assert_int_equal(f->agent, 1);
    CHECK_OK(sqlite_history.reader_open(&(struct history_conf){ .location = f->history }, &r, &test_err));
    CHECK_OK(store_reader_open_with(f->control, r, &f->r, &test_err));
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

static enum store_append_result append(struct fx *f, uint64_t first, const struct tw_summary *rows, size_t n)
{
    struct store_batch b = { .agent_id = f->agent,
                             .first_seq = first,
                             .rows = rows,
                             .n = rows ? n : 0,
                             .gap_last_seq = rows ? 0 : first + n - 1,
                             .gap_reason = "spool_full",
                             .received_ns = DAY0,
                             .gap_from_ns = DAY0 - 9,
                             .gap_until_ns = DAY0 - 5,
                             .spool_id = "spool" };
    enum store_append_result res = (enum store_append_result)99;
    uint64_t through;

    CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
    return res;
}

static enum tw_rc count_row(void *ctx, const struct tw_summary *s)
{
    (void)s;
    ++*(unsigned *)ctx;
    return TW_OK;
}

static unsigned rows_of(struct fx *f, uint64_t pair)
{
    unsigned n = 0;

    CHECK_OK(store_read_summaries(f->r, &pair, 1, 0, INT64_MAX, count_row, &n, &test_err));
    return n;
}

static enum tw_rc count_test(void *ctx, const struct store_test *t)
{
    assert_int_equal(t->id, 7);
    assert_int_equal(t->runs, 1);
    ++*(unsigned *)ctx;
    return TW_OK;
}

static unsigned tests_of(struct fx *f)
{
    unsigned n = 0;

    CHECK_OK(store_read_tests(f->r, 0, 9, count_test, &n, &test_err));
    return n;
}

/* ---- Commits ------------------------------------------------------------------------------------ */

static struct tw_summary tested(void)
{
    struct tw_summary row = plain(1, 0, DAY0, 1);

    row.test_id = 7;
    return row;
}

static void both_are_committed(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = tested();

    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, 1, &row, 1), STORE_APPENDED);
    store_rollback(f->s);
    assert_int_equal(rows_of(f, 1) + tests_of(f), 0);
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, 1, &row, 1), STORE_APPENDED);
    assert_int_equal(rows_of(f, 1) + tests_of(f), 0);
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(rows_of(f, 1), 1);
    assert_int_equal(tests_of(f), 1);
    assert_int_equal(sql_int(f->control, "SELECT count(*) FROM cursor") +
                         sql_int(f->history, "SELECT count(*) FROM test"),
                     0);
}

/* Without the history nothing of the transaction is there. */
static void a_history_that_fails_takes_all_with_it(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = tested();
    struct tw_err err = { 0 };

    CHECK_OK(store_begin(f->s, &test_err));
    append(f, 1, &row, 1);
    new_agent(f->s, "fra");
    how = FAILS;
    assert_int_equal(store_commit(f->s, &err), TW_EIO);
    assert_string_equal(err.text, "the history cannot be reached");
    assert_int_equal(rows_of(f, 1) + tests_of(f), 0);
    assert_int_equal(sql_int(f->control, "SELECT count(*) FROM agent"), 1);
    how = GOES_WELL;
    CHECK_OK(store_begin(f->s, &test_err)); /* and the next one is a new one */
    assert_int_equal(append(f, 1, &row, 1), STORE_APPENDED);
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(rows_of(f, 1), 1);
}

/* The program ends when the history is committed and the control state is not: the agent sends it again, and
 * then both say the same. */
static void an_end_between_the_commits_loses_nothing(void **state)
{
    struct fx *f = *state;
    struct tw_summary row = tested();
    int status;
    pid_t child;

    store_close(f->s);
    child = fork();
    assert_true(child >= 0);
    if (!child) {
        open_store(f);
        how = ENDS_BEHIND;
        if (store_begin(f->s, &test_err))
            _exit(2);
        append(f, 1, &row, 1);
        store_commit(f->s, &test_err);
        _exit(3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    open_store(f);
    assert_int_equal(rows_of(f, 1), 1);
    assert_int_equal(tests_of(f), 0);
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, 1, &row, 1), STORE_REPEATED);
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(rows_of(f, 1), 1);
    assert_int_equal(tests_of(f), 1);
}

static void control_state_needs_no_history(void **state)
{
    static const uint8_t spool[STORE_ID_LEN] = "spool";
    struct fx *f = *state;
    struct tw_summary row = plain(1, 0, DAY0, 1);
    struct store_history_info info;
    struct tw_err err = { 0 };
    uint64_t through;

    store_history_info(f->s, &info);
    assert_true(info.apart);
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, 1, &row, 1), STORE_APPENDED);
    CHECK_OK(store_commit(f->s, &test_err));
    how = AWAY;
    CHECK_OK(store_begin(f->s, &test_err));
    new_agent(f->s, "fra");
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_remove_agent(f->s, f->agent, &test_err));
    store_rollback(f->s); /* it is not removed */
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_remove_agent(f->s, 2, &test_err));
    assert_int_equal(store_begin_history(f->s, &err), TW_ETIMEOUT);
    assert_string_equal(err.text, "the history is away");
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(sql_int(f->control, "SELECT count(*) FROM agent"), 1);
    how = GOES_WELL; /* and the history hears of it with what it takes part in next */
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_begin_history(f->s, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(store_cursor(f->s, f->agent, spool, &through));
    how = AWAY;
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_remove_agent(f->s, f->agent, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    how = GOES_WELL;
    CHECK_OK(store_cursor(f->s, f->agent, spool, &through));
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_begin_history(f->s, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(store_cursor(f->s, f->agent, spool, &through), TW_ENOENT);
    assert_int_equal(store_begin_history(f->s, &err), TW_EINVAL);
}

static void misuse_is_an_error(void **state)
{
    struct fx *f = *state;
    struct tw_err err;

    assert_int_equal(store_commit(f->s, &err), TW_EINVAL);
    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(store_begin(f->s, &err), TW_EINVAL);
    CHECK_OK(store_commit(f->s, &test_err));
}

/* ---- What the history is told of the control state ---------------------------------------------- */

static enum tw_rc show_absence(void *ctx, const struct store_absence *a)
{
    char *buf = ctx;

    snprintf(buf + strlen(buf), 200 - strlen(buf), "%s %s %lld-%lld; ", a->source, store_cause_name(a->cause),
             (long long)(a->from_ns - DAY0), (long long)(a->until_ns - DAY0));
    return TW_OK;
}

static void agents_have_names_in_the_control_state_alone(void **state)
{
    struct fx *f = *state;
    struct store_batch unknown = { .agent_id = 9, .first_seq = 1, .gap_last_seq = 1 };
    enum store_append_result res;
    uint64_t n = 0, through;
    char text[200] = "";
    struct tw_err err;

    CHECK_OK(store_begin(f->s, &test_err));
    assert_int_equal(append(f, 1, NULL, 5), STORE_APPENDED);
    assert_int_equal(store_append(f->s, &unknown, &res, &through, &err), TW_ENOENT);
    CHECK_OK(store_rename_source(f->s, "ams", "ber", &test_err));
    CHECK_OK(store_put_agent(f->s, &(struct store_agent){ .id = f->agent, .name = "ber" }, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(store_read_dropped(f->r, "ber", 0, INT64_MAX, &n, &test_err));
    assert_int_equal(n, 5);
    CHECK_OK(store_read_absences(f->r, "ber", 0, INT64_MAX, show_absence, text, &test_err));
    assert_string_equal(text, "ber dropped -9--5; ");
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_remove_agent(f->s, f->agent, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_begin_history(f->s, &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(store_read_dropped(f->r, "ber", 0, INT64_MAX, &n, &test_err));
    assert_int_equal(n, 5);
    CHECK_OK(store_read_dropped(f->r, "ams", 0, INT64_MAX, &n, &test_err));
    assert_int_equal(n, 0);
    assert_int_equal(store_cursor(f->s, 1, (const uint8_t *)"spool\0\0\0\0\0\0\0\0\0\0", &through),
                     TW_ENOENT);
}

static enum tw_rc add_rows(void *ctx, const struct store_cell *c)
{
    *(uint64_t *)ctx += c->rows;
    return TW_OK;
}

static uint64_t span_rows(struct fx *f, uint64_t pair)
{
    uint64_t n = 0;

    CHECK_OK(store_read_span(f->r,
                             &(struct store_span){ .pair_ids = &pair,
                                                   .n_pairs = 1,
                                                   .to_ns = INT64_MAX,
                                                   .raw_from_ns = INT64_MIN,
                                                   .fn = add_rows,
                                                   .ctx = &n },
                             &test_err));
    return n;
}

/* What is kept no more is said in a commit before the history lets it go. */
static void retention_is_said_first(void **state)
{
    static const struct store_mesh_keep own = { "brief", { { DAY, DAY, DAY, DAY, DAY } } };
    struct fx *f = *state;
    struct store_pair brief = { .mesh = "brief", .class_name = "c", .source = "a", .target = "b" },
                      usual = brief;
    const struct store_retention r = { .now_ns = DAY0 + 2 * DAY,
                                       .keep.ns = { 9 * DAY, 9 * DAY, 9 * DAY, 9 * DAY, 9 * DAY },
                                       .meshes = &own,
                                       .n_meshes = 1 };
    struct tw_summary rows[3];
    bool more = true;

    usual.mesh = "usual";
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_put_pair(f->s, &brief, &test_err));
    CHECK_OK(store_put_pair(f->s, &usual, &test_err));
    rows[0] = plain(brief.id, 0, DAY0, 1);
    rows[1] = plain(usual.id, 0, DAY0, 2);
    rows[2] = plain(usual.id, 0, DAY0 + MINUTE, 3);
    append(f, 1, rows, 3);
    CHECK_OK(store_commit(f->s, &test_err));
    assert_int_equal(span_rows(f, brief.id), 1);
    CHECK_OK(store_retain(f->s, &r, &more, &test_err));
    assert_true(more);
    assert_int_equal(span_rows(f, brief.id), 0); /* not looked for */
    assert_int_equal(rows_of(f, brief.id), 1);   /* but there */
    while (more)
        CHECK_OK(store_retain(f->s, &r, &more, &test_err));
    assert_int_equal(rows_of(f, brief.id), 0);
    assert_int_equal(rows_of(f, usual.id), 2);
    assert_int_equal(
        sql_int(f->control, "SELECT count(*) FROM level_kept WHERE done_ns = from_ns AND mesh = 'brief'"), 5);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(both_are_committed),
        WITH_STORE(a_history_that_fails_takes_all_with_it),
        WITH_STORE(an_end_between_the_commits_loses_nothing),
        WITH_STORE(control_state_needs_no_history),
        WITH_STORE(misuse_is_an_error),
        WITH_STORE(agents_have_names_in_the_control_state_alone),
        WITH_STORE(retention_is_said_first),
    };

    no_sync = true;
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
