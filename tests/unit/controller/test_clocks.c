/* The mesh clock audit in the controller: which summaries count, who is found, and what is forgotten. */
#include <math.h>
#include "tests/unit/controller/api_fixture.h"
#include "controller/clocks.h"

#define AGENTS 6
#define MS TW_NS_PER_MS

struct rig {
    struct fx *f;
    struct clocks *clocks;
    struct agent agents[AGENTS];
    struct pair pairs[AGENTS][AGENTS];
    int64_t offset_ns[AGENTS];
    Tw__HealthReport health;
    Tw__ClockState claim;
};

static const char *const names[AGENTS] = { "ams", "ber", "cdg", "dub", "fra", "lon" };

static struct rig *rig_new(void)
{
    struct rig *r = calloc(1, sizeof *r);

    r->f = fx_new(1, 4);
    tw__health_report__init(&r->health);
    tw__clock_state__init(&r->claim);
    r->claim.synced = true;
    r->claim.max_error_ns = 300000;
    r->health.clock = &r->claim;
    for (int i = 0; i < AGENTS; i++) {
        struct agent *a = &r->agents[i];
        a->row = (struct store_agent){ .id = 100 - i, .approved = true }; /* not in order of the names */
        strcpy(a->row.name, names[i]);
        a->health = &r->health;
        HASH_ADD_STR(r->f->inv.agents, row.name, a);
        name_of(names_keep(&r->f->inv.names, names[i]))->agent = a;
        for (int j = 0; j < AGENTS; j++) {
            struct pair *p = &r->pairs[i][j];
            p->row.source = names_keep(&r->f->inv.names, names[i]);
            p->report_period_ns = FX_PERIOD;
            p->row.target = names[j];
        }
    }
    FX_OK(clocks_new(r->f->loop, &r->f->inv, r->f->readers, &r->clocks));
    return r;
}

static void rig_free(struct rig *r)
{
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    clocks_free(r->clocks);
    HASH_CLEAR(hh, r->f->inv.agents);
    fx_free(r->f);
    free(r);
}

/* 3 ms out, 2 ms back, as the two clocks have them; ended `age` ago by the source's clock. */
static struct tw_summary summary(const struct rig *r, int i, int j, int64_t age_ns)
{
    int64_t diff = r->offset_ns[j] - r->offset_ns[i];
    struct tw_summary s;

    summary_init(&s);
    s.end_ns = tw_wall_now().ns + r->offset_ns[i] - age_ns;
    s.start_ns = s.end_ns - FX_PERIOD;
    for (int k = 0; k < 5; k++) {
        hist_add(&s.delay[TW_FORWARD], 3 * MS + diff + k * 100000);
        hist_add(&s.delay[TW_BACKWARD], 2 * MS - diff + k * 100000);
    }
    return s;
}

static void note(struct rig *r, int i, int j, int64_t age_ns)
{
    struct tw_summary s = summary(r, i, j, age_ns);

    clocks_note(r->clocks, &r->pairs[i][j], &s);
    summary_free(&s);
}

static void note_all(struct rig *r, int64_t age_ns)
{
    for (int i = 0; i < AGENTS; i++)
        for (int j = 0; j < AGENTS; j++)
            if (i != j)
                note(r, i, j, age_ns);
}

struct asked {
    struct rig *r;
    unsigned times;
    bool done;
    enum tw_rc rc;
    struct clocks_result result;
};

static void audited(void *ctx, enum tw_rc rc, const struct clocks_result *result)
{
    struct asked *a = ctx;

    a->times++;
    a->done = true;
    a->rc = rc;
    if (result)
        a->result = *result;
    else
        assert_int_not_equal(rc, TW_OK);
}

static struct asked ask(struct rig *r)
{
    struct asked a = { .r = r };

    clocks_ask(r->clocks, audited, &a);
    fx_run_until(r->f, &a.done, "an audit");
    assert_int_equal(a.rc, TW_OK);
    assert_int_equal(a.times, 1);
    return a;
}

static void expect(const struct rig *r, int i, enum clock_verdict v, int64_t offset_ns)
{
    const struct agent_audit *a = &r->agents[i].audit;

    assert_true(a->known);
    if (a->host.verdict != v)
        fail_msg("%s is %s, expected %s", names[i], clock_verdict_name(a->host.verdict),
                 clock_verdict_name(v));
    if (v != CLOCK_UNKNOWN && fabs(a->host.offset_s * 1e9 - (double)offset_ns) > 5e4)
        fail_msg("%s is off by %.0f ns, expected %lld", names[i], a->host.offset_s * 1e9,
                 (long long)offset_ns);
}

/* ---- Tests ---- */

static void finds_the_wrong_one(void **state)
{
    struct rig *r = rig_new();
    const struct agent **v;
    struct asked a;
    size_t n;

    (void)state;
    r->offset_ns[4] = -5 * MS;
    note_all(r, FX_PERIOD);
    a = ask(r);
    for (int i = 0; i < AGENTS; i++)
        expect(r, i, i == 4 ? CLOCK_OFFSET : CLOCK_OK, r->offset_ns[i]);
    assert_int_equal(a.result.agents, AGENTS);
    assert_int_equal(a.result.pairs, 15);
    assert_int_equal(a.result.components, 1);
    assert_int_equal(a.result.n_crooked, 0);
    v = clocks_sorted(&r->f->inv, &n);
    assert_int_equal(n, AGENTS);
    assert_string_equal(v[0]->row.name, "fra"); /* worst first */
    free(v);
    rig_free(r);
}

/* An hour wrong: its summaries look an hour old (or are not yet). Its health reports tell why. */
static void a_clock_that_is_an_hour_wrong_counts(void **state)
{
    static const int64_t hours[] = { -3600 * TW_NS_PER_S, 3600 * TW_NS_PER_S };

    (void)state;
    for (size_t k = 0; k < TW_NELEM(hours); k++) {
        struct rig *r = rig_new();
        r->offset_ns[2] = r->agents[2].clock_ahead_ns = hours[k];
        note_all(r, FX_PERIOD);
        ask(r);
        for (int i = 0; i < AGENTS; i++)
            expect(r, i, i == 2 ? CLOCK_OFFSET : CLOCK_OK, r->offset_ns[i]);
        assert_int_equal(r->agents[2].audit.host.pairs, 5);
        assert_true(r->agents[2].audit.host.certain);
        rig_free(r);
    }
}

/* Of a spool that is being caught up with: they tell of a clock that was. */
static void old_summaries_do_not_count(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    note_all(r, 600 * TW_NS_PER_S);
    ask(r);
    for (int i = 0; i < AGENTS; i++)
        expect(r, i, CLOCK_UNKNOWN, 0);
    rig_free(r);
}

/* Fra was wrong and has been set right: what was measured before the step is not held against it. */
static void a_step_forgets(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    r->offset_ns[4] = 5 * MS;
    note_all(r, FX_PERIOD);
    for (int j = 0; j < AGENTS; j++)
        if (j != 4) {
            struct tw_summary s = summary(r, 4, j, 0);
            s.clock_steps = 1;
            clocks_note(r->clocks, &r->pairs[4][j], &s);
            summary_free(&s);
        }
    r->offset_ns[4] = 0;
    note_all(r, 0);
    ask(r);
    for (int i = 0; i < AGENTS; i++)
        expect(r, i, CLOCK_OK, 0);
    rig_free(r);
}

/* Targets that are no agents, and those that nobody approved, are nothing to the audit. */
static void only_approved_agents(void **state)
{
    struct rig *r = rig_new();
    struct asked a;

    (void)state;
    r->pairs[0][1].row.target = "router";
    r->agents[5].row.approved = false;
    note_all(r, 0);
    a = ask(r);
    assert_int_equal(a.result.agents, AGENTS - 1);
    assert_int_equal(a.result.pairs, 10);
    assert_int_equal(r->agents[0].audit.host.pairs, 4); /* ber still probes it */
    assert_false(r->agents[5].audit.known);
    rig_free(r);
}

/* Two ask at once and get one audit; who asks right after gets the same. */
static void one_audit_for_all_who_ask(void **state)
{
    struct rig *r = rig_new();
    struct asked first = { .r = r }, second = { .r = r }, third = { .r = r };

    (void)state;
    note_all(r, 0);
    clocks_ask(r->clocks, audited, &first);
    clocks_ask(r->clocks, audited, &second);
    assert_false(first.done);
    fx_run_until(r->f, &first.done, "the first");
    fx_run_until(r->f, &second.done, "the second");
    clocks_ask(r->clocks, audited, &third);
    assert_true(third.done);
    assert_true(first.result.time_ns == second.result.time_ns &&
                first.result.time_ns == third.result.time_ns);
    rig_free(r);
}

/* The controller stops while somebody waits: the audit that runs is finished, and he is answered once. */
static void stopping(void **state)
{
    struct rig *r = rig_new();
    struct asked a = { .r = r };

    (void)state;
    clocks_ask(r->clocks, audited, &a);
    reader_pool_stop(r->f->readers);
    r->f->readers = NULL;
    assert_int_equal(a.times, 1);
    assert_int_equal(a.rc, TW_OK);
    rig_free(r);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_wrong_one),
        cmocka_unit_test(a_clock_that_is_an_hour_wrong_counts),
        cmocka_unit_test(old_summaries_do_not_count),
        cmocka_unit_test(a_step_forgets),
        cmocka_unit_test(only_approved_agents),
        cmocka_unit_test(one_audit_for_all_who_ask),
        cmocka_unit_test(stopping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
