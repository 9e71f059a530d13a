/* Loss runs in SQLite: none twice when a spool is sent anew, tables that go, damage. The rest is in
 * conform_read.c. */
#include "common/loss_runs.h"
#include "tests/unit/db/some_rows.h"

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

    snprintf(name, sizeof name, "runs%u.db", n++);
    in_dir(f->path, name);
    *state = f;
    if (store_open(f->path, &f->s, &test_err) || store_reader_open(f->path, &f->r, &test_err))
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

static enum store_append_result append(struct fx *f, const uint8_t *spool, uint64_t first,
                                       const struct tw_summary *rows, size_t n)
{
    struct store_batch b = { .agent_id = f->agent, .first_seq = first, .rows = rows, .n = n };
    enum store_append_result res = (enum store_append_result)99;
    uint64_t through;

    memcpy(b.spool_id, spool, STORE_ID_LEN);
    CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
    return res;
}

/* "flow@second:probes direction[<][>] " per run. */
static enum tw_rc show(void *ctx, const struct tw_loss_run *r)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    assert_int_equal(r->length_ns, r->probes * 1000);
    snprintf(buf + n, 1024 - n, "%s%u@%lld:%llu#%u %s%s ", r->continues_before ? "<" : "", r->flow,
             (long long)((r->start_ns - DAY0) / TW_NS_PER_S), (unsigned long long)r->probes, r->seq_first,
             tw_direction_name(r->direction), r->continues_after ? ">" : "");
    return TW_OK;
}

static void check_runs(struct fx *f, uint64_t pair, int64_t from_ns, int64_t to_ns, const char *want)
{
    char text[1024] = "";

    CHECK_OK(store_read_loss_runs(f->r, pair, from_ns, to_ns, show, text, &test_err));
    assert_string_equal(text, want);
}

#define ALL "0@5:2#50 mixed 1@5:9#51 forward> <0@30:1#300 backward "
#define NIGHT (DAY0 + 86400 * TW_NS_PER_S - MINUTE / 2)

static void put_all(struct fx *f, const uint8_t *spool)
{
    struct tw_loss_run two[] = { run(DAY0 + 5 * TW_NS_PER_S, 50, 2, TW_MIXED),
                                 run(DAY0 + 30 * TW_NS_PER_S, 300, 1, TW_BACKWARD) };
    struct tw_loss_run one = run(DAY0 + 5 * TW_NS_PER_S, 51, 9, TW_FORWARD);
    struct tw_loss_run late = run(NIGHT + 31 * TW_NS_PER_S, 7, 3, TW_UNKNOWN); /* begins on the next day */
    struct tw_summary rows[3];

    two[1].continues_before = one.continues_after = true;
    rows[0] = lossy(1, 0, DAY0, two, 2);
    rows[1] = lossy(1, 1, DAY0, &one, 1);
    rows[2] = lossy(1, 0, NIGHT, &late, 1);
    append(f, spool, 1, rows, 3);
    for (int i = 0; i < 3; i++)
        summary_free(&rows[i]);
}

/* Neither when a batch is repeated, nor when a spool is sent anew. */
static void each_exactly_once(void **state)
{
    struct fx *f = *state;

    for (int i = 0; i < 3; i++) {
        CHECK_OK(store_begin(f->s, &test_err));
        put_all(f, i < 2 ? spool_a : spool_b);
        CHECK_OK(store_commit(f->s, &test_err));
        check_runs(f, 1, 0, INT64_MAX, ALL "0@86401:3#7 unknown ");
    }
}

static void go_with_their_day(void **state)
{
    struct fx *f = *state;

    CHECK_OK(store_begin(f->s, &test_err));
    put_all(f, spool_a);
    CHECK_OK(store_commit(f->s, &test_err));
    CHECK_OK(retain_before(f->s, DAY0 + 86400 * TW_NS_PER_S, &test_err));
    check_runs(f, 1, 0, INT64_MAX, "0@86401:3#7 unknown ");
    CHECK_OK(retain_before(f->s, DAY0 + 2 * 86400 * TW_NS_PER_S, &test_err));
    check_runs(f, 1, 0, INT64_MAX, "");
    assert_int_equal(sql_int(f->path, "SELECT count(*) FROM sqlite_schema WHERE name GLOB 'loss_run_*'"), 0);
    CHECK_OK(store_begin(f->s, &test_err));
    put_all(f, spool_b); /* the days come back */
    CHECK_OK(store_commit(f->s, &test_err));
    check_runs(f, 1, 0, INT64_MAX, ALL "0@86401:3#7 unknown ");
}

static void a_damaged_one_is_named(void **state)
{
    static const char *const damages[] = { "length_ns = -1", "direction = 5",
                                           "direction = -1", "probes = 0",
                                           "seq_first = -1", "length_ns = 9223372036854775807" };
    struct fx *f = *state;
    char text[1024] = "", update[128];

    CHECK_OK(store_begin(f->s, &test_err));
    put_all(f, spool_a);
    CHECK_OK(store_commit(f->s, &test_err));
    for (size_t i = 0; i < TW_NELEM(damages); i++) {
        snprintf(update, sizeof update, "UPDATE loss_run_20241004 SET %s WHERE flow = 1", damages[i]);
        sql(f->path, update);
        assert_int_equal(store_read_loss_runs(f->r, 1, 0, INT64_MAX, show, text, &test_err), TW_ECORRUPT);
        assert_non_null(strstr(test_err.text, "loss run"));
        sql(f->path, "UPDATE loss_run_20241004 SET length_ns = 9000, direction = 0, probes = 9, seq_first = "
                     "51 WHERE flow = 1");
    }
    check_runs(f, 1, 0, INT64_MAX, ALL "0@86401:3#7 unknown ");
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(each_exactly_once),
        WITH_STORE(go_with_their_day),
        WITH_STORE(a_damaged_one_is_named),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
