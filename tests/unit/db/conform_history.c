/* The suite's table, and what its tests share. */
#include "tests/unit/db/conform_fx.h"

const struct conform_backend *conform_under_test;
const uint8_t spool_a[STORE_ID_LEN] = "spool-a", spool_b[STORE_ID_LEN] = "spool-b";

static void open_history(struct fx *f)
{
    const struct history_conf conf = { .location = f->location, .cluster = f->cluster };

    CHECK_OK(f->ops->open(&conf, &f->h, &test_err));
}

int conform_setup(void **state)
{
    static uint64_t tests;
    struct fx *f = calloc(1, sizeof *f);

    *state = f;
    f->cluster = tests++ % 2; /* all of it must hold either way */
    f->ops = conform_under_test->ops;
    f->seed = 4711;
    for (int l = 0; l < STORE_LEVELS; l++)
        f->kept.from_ns[l] = INT64_MIN;
    conform_under_test->make(f->location);
    open_history(f);
    if (conform_under_test->know_agents)
        conform_under_test->know_agents(f->h);
    CHECK_OK(f->ops->reader_open(&(struct history_conf){ .location = f->location }, &f->r, &test_err));
    return 0;
}

int conform_teardown(void **state)
{
    struct fx *f = *state;

    f->ops->reader_close(f->r);
    f->ops->close(f->h);
    if (conform_under_test->drop)
        conform_under_test->drop(f->location);
    free(f);
    return 0;
}

void reopen(struct fx *f)
{
    f->ops->close(f->h);
    open_history(f);
}

/* ---- Writing ---- */

void begin(struct fx *f)
{
    CHECK_OK(f->ops->begin(f->h, &test_err));
}

void commit(struct fx *f)
{
    CHECK_OK(f->ops->commit(f->h, &test_err));
}

enum store_append_result append(struct fx *f, const uint8_t *spool, uint64_t first,
                                const struct tw_summary *rows, size_t n, bool ahead, uint64_t *ret_through)
{
    struct store_batch b = { .agent_id = 1,
                             .first_seq = first,
                             .rows = rows,
                             .n = rows ? n : 0,
                             .gap_last_seq = rows ? 0 : first + n - 1,
                             .gap_reason = "spool_age",
                             .received_ns = DAY0,
                             .ahead = ahead };
    enum store_append_result res = (enum store_append_result)99;

    b.received_ns = rows ? 0 : DAY0; /* rows: no clock says that they come early */
    memcpy(b.spool_id, spool, STORE_ID_LEN);
    CHECK_OK(f->ops->append(f->h, &b, &res, ret_through, &test_err));
    return res;
}

void add_rows(struct fx *f, const struct tw_summary *rows, size_t n)
{
    uint64_t through;

    begin(f);
    assert_int_equal(append(f, spool_a, f->seq + 1, rows, n, false, &through), STORE_APPENDED);
    commit(f);
    f->seq += n;
    assert_int_equal(through, f->seq);
}

/* Ten minutes later each time, so that whatever waits is due. */
void roll(struct fx *f, size_t max_rows)
{
    static int64_t now_ns = INT64_C(1) << 60;
    bool more = true;

    now_ns += 600 * SEC;
    while (more)
        CHECK_OK(f->ops->rollup(f->h, now_ns, max_rows, &more, &test_err));
}

static enum tw_rc no_group(void *ctx, size_t group, enum store_level level, struct tw_err *err)
{
    (void)group;
    (void)err;
    ++*(unsigned *)ctx;
    assert_true(level < STORE_LEVELS);
    return TW_OK;
}

void retain(struct fx *f, const int64_t from_ns[STORE_LEVELS], const struct history_group *groups,
            size_t n_groups)
{
    unsigned done = 0;
    struct history_retention r = {
        .now_ns = DAY0 + 1000 * DAY, .groups = groups, .n_groups = n_groups, .done = no_group, .ctx = &done
    };
    bool more = true;

    memcpy(r.from_ns, from_ns, sizeof r.from_ns);
    while (more) {
        begin(f);
        CHECK_OK(f->ops->retain(f->h, &r, &more, &test_err));
        commit(f);
    }
    if (!n_groups)
        assert_int_equal(done, 0);
}

/* ---- Looking ---- */

struct store_cursor cursor_of(struct fx *f, int64_t agent, const uint8_t *spool)
{
    struct store_cursor at = { 0 };
    enum tw_rc rc = f->ops->cursor(f->h, agent, spool, &at, &test_err);

    if (rc == TW_ENOENT)
        return (struct store_cursor){ 0 };
    CHECK_OK(rc);
    return at;
}

const char *cursor_text(const struct store_cursor *at)
{
    static char text[600];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)at->through);

    for (size_t i = 0; i < at->ahead.n; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " +%llu-%llu",
                      (unsigned long long)at->ahead.v[i].first, (unsigned long long)at->ahead.v[i].last);
    return text;
}

static enum tw_rc show(void *ctx, const struct tw_summary *s)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    snprintf(buf + n, 1024 - n, "%llu.%u@%lld#%u ", (unsigned long long)s->pair_id, s->flow,
             (long long)((s->start_ns - DAY0) / MINUTE), s->seq_first);
    return TW_OK;
}

static void check_text(const char *name, const char *text, const char *expected)
{
    if (strcmp(text, expected) != 0)
        fail_msg("%s: %s\nnot: %s", name, text, expected);
}

static const uint64_t pairs[] = { 2, 1, 1, 3 }; /* out of order, and one twice */

void check_rows(struct fx *f, const char *name, const char *expected)
{
    char text[1024] = "";

    CHECK_OK(f->ops->read_summaries(f->r, pairs, TW_NELEM(pairs), 0, INT64_MAX, show, text, &test_err));
    check_text(name, text, expected);
}

/* Pair by pair, in whatever order of pairs: asked one by one. */
void check_latest(struct fx *f, const char *name, const char *expected)
{
    char text[1024] = "";

    for (uint64_t pair = 1; pair <= 3; pair++)
        CHECK_OK(f->ops->read_latest(f->r, &pair, 1, 0, show, text, &test_err));
    check_text(name, text, expected);
}

static enum tw_rc count(void *ctx, const struct tw_summary *s)
{
    (void)s;
    ++*(uint64_t *)ctx;
    return TW_OK;
}

uint64_t count_rows(struct fx *f, uint64_t pair)
{
    uint64_t n = 0;

    CHECK_OK(f->ops->read_summaries(f->r, &pair, 1, INT64_MIN, INT64_MAX, count, &n, &test_err));
    return n;
}

static enum tw_rc count_gap(void *ctx, const struct history_gap *g)
{
    *(uint64_t *)ctx += g->last_seq - g->first_seq + 1;
    return TW_OK;
}

uint64_t count_gaps(struct fx *f, int64_t agent)
{
    uint64_t n = 0;

    CHECK_OK(f->ops->read_gaps(f->r, &agent, 1, HISTORY_RECEIVED, 0, INT64_MAX, count_gap, &n, &test_err));
    return n;
}

/* ---- Sums ---- */

static enum tw_rc kept_of(void *ctx, uint64_t pair_id, struct history_kept *ret, struct tw_err *err)
{
    (void)pair_id;
    (void)err;
    *ret = *(const struct history_kept *)ctx;
    return TW_OK;
}

void read_sum(struct fx *f, uint64_t pair, int64_t from, int64_t to, int64_t step, int64_t raw_from,
              struct sum *ret)
{
    const struct history_keeper keeper = { kept_of, &f->kept };

    sum_init(ret);
    ret->step_ns = step;
    CHECK_OK(f->ops->read_span(f->r,
                               &(struct store_span){ .pair_ids = &pair,
                                                     .n_pairs = 1,
                                                     .from_ns = from,
                                                     .to_ns = to,
                                                     .step_ns = step,
                                                     .raw_from_ns = raw_from,
                                                     .covers = sum_covered,
                                                     .fn = sum_cell,
                                                     .ctx = ret },
                               &keeper, &test_err));
}

/* ---- The table ---- */

static size_t add_tests(struct CMUnitTest *to, const struct conform_test *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (struct CMUnitTest){ from[i].name, from[i].fn, conform_setup, conform_teardown, NULL };
    return n;
}

int conform_history(const struct conform_backend *b)
{
    struct CMUnitTest tests[64];
    size_t n;

    conform_under_test = b;
    n = add_tests(tests, conform_append, conform_append_n);
    n += add_tests(tests + n, conform_read, conform_read_n);
    n += add_tests(tests + n, conform_span, conform_span_n);
    n += add_tests(tests + n, conform_carry, conform_carry_n);
    n += add_tests(tests + n, conform_random, conform_random_n);
    return _cmocka_run_group_tests(b->name, tests, n, NULL, NULL);
}
