/* Agents, meshes, pairs, generations, and what was expected and dropped. */
#include "common/times.h"
#include "db/control.h"
#include "tests/unit/db/db_fixture.h"

struct fx {
    struct store *s;
    struct store_reader *r;
    char path[PATH_SIZE];
};

static int setup(void **state)
{
    static unsigned n;
    struct fx *f = calloc(1, sizeof *f);
    char name[32];
    struct tw_err err;

    snprintf(name, sizeof name, "control%u.db", n++);
    in_dir(f->path, name);
    *state = f;
    return store_open(f->path, &f->s, &err) || store_reader_open(f->path, &f->r, &err);
}

static int teardown(void **state)
{
    struct fx *f = *state;

    store_reader_close(f->r);
    store_close(f->s);
    free(f);
    return 0;
}

static void reopen(struct fx *f)
{
    store_close(f->s);
    CHECK_OK(store_open(f->path, &f->s, &test_err));
}

struct agents {
    struct store_agent a[8];
    char enrolment[8][64];
    size_t n;
};

static enum tw_rc collect_agent(void *ctx, const struct store_agent *a)
{
    struct agents *l = ctx;

    l->a[l->n] = *a;
    snprintf(l->enrolment[l->n], sizeof l->enrolment[0], "%s", a->enrolment ? a->enrolment : "(none)");
    l->n++;
    return TW_OK;
}

static void agents_survive_a_restart(void **state)
{
    struct fx *f = *state;
    struct store_agent a = { .name = "ams1", .public_key = { 1, 2, 3, 0, 5 }, .first_seen_ns = 7 };
    struct store_agent b = { .name = "fra1", .software = "0.1.0" };
    struct agents l = { 0 };

    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    CHECK_OK(store_put_agent(f->s, &b, &test_err));
    assert_int_not_equal(a.id, b.id);
    a.approved = true;
    a.approved_ns = 8;
    a.last_contact_ns = 9;
    a.enrolment = (char[]){ "{\"labels\":{\"site\":\"\xc3\xa9\"}}" };
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    reopen(f);
    CHECK_OK(store_each_agent(f->s, collect_agent, &l, &test_err));
    assert_int_equal(l.n, 2);
    assert_int_equal(l.a[0].id, a.id);
    assert_string_equal(l.a[0].name, "ams1");
    assert_memory_equal(l.a[0].public_key, a.public_key, STORE_KEY_LEN);
    assert_true(l.a[0].approved && !l.a[1].approved);
    assert_int_equal(l.a[0].first_seen_ns, 7);
    assert_int_equal(l.a[0].approved_ns, 8);
    assert_int_equal(l.a[0].last_contact_ns, 9);
    assert_string_equal(l.enrolment[0], a.enrolment);
    assert_string_equal(l.enrolment[1], "(none)");
    assert_string_equal(l.a[1].software, "0.1.0");
}

static void agents_keep_names_and_ids_apart(void **state)
{
    struct fx *f = *state;
    struct store_agent a = { .name = "ams1" }, same = { .name = "ams1" }, ghost = { .id = 99, .name = "x" };
    struct agents l = { 0 };
    struct tw_err err = { 0 };
    int64_t old;

    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    assert_int_equal(store_put_agent(f->s, &same, &err), TW_EEXIST);
    assert_non_null(strstr(err.text, "'ams1'"));
    assert_int_equal(same.id, 0);
    assert_int_equal(store_put_agent(f->s, &ghost, &err), TW_ENOENT);
    assert_int_equal(store_remove_agent(f->s, 99, &err), TW_ENOENT);
    CHECK_OK(store_remove_agent(f->s, a.id, &test_err));
    old = a.id;
    a.id = 0;
    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    assert_true(a.id > old); /* a removed agent's history is not another's */
    CHECK_OK(store_each_agent(f->s, collect_agent, &l, &test_err));
    assert_int_equal(l.n, 1);
}

static enum tw_rc stop_at_once(void *ctx, const struct store_agent *a)
{
    (void)a;
    ++*(int *)ctx;
    return TW_ECLOSED;
}

static void a_callback_can_stop(void **state)
{
    struct fx *f = *state;
    struct tw_err err;
    int n = 0;

    new_agent(f->s, "a");
    new_agent(f->s, "b");
    assert_int_equal(store_each_agent(f->s, stop_at_once, &n, &err), TW_ECLOSED);
    assert_int_equal(n, 1);
    CHECK_OK(store_begin(f->s, &test_err)); /* the statement that was left half-way holds nothing up */
    CHECK_OK(store_commit(f->s, &test_err));
}

static enum tw_rc show_mesh(void *ctx, const struct store_mesh *m)
{
    char *buf = ctx;
    size_t n = strlen(buf);

    snprintf(buf + n, 512 - n, "%s|%s|%d|%llu|%lld|%s\n", m->name, m->document, m->paused,
             (unsigned long long)m->generation, (long long)m->changed_ns, m->author);
    return TW_OK;
}

static void meshes(void **state)
{
    struct fx *f = *state;
    struct store_mesh m = {
        .name = "core", .document = "a: 1\n", .generation = 1, .changed_ns = 5, .author = "root"
    };
    char text[512] = "";
    struct tw_err err;

    CHECK_OK(store_put_mesh(f->s, &m, &test_err));
    m.document = "a: 2\n";
    m.paused = true;
    m.generation = 2;
    CHECK_OK(store_put_mesh(f->s, &m, &test_err));
    snprintf(m.name, sizeof m.name, "edge");
    CHECK_OK(store_put_mesh(f->s, &m, &test_err));
    CHECK_OK(store_remove_mesh(f->s, "edge", 3, &test_err));
    assert_int_equal(store_remove_mesh(f->s, "edge", 3, &err), TW_ENOENT);
    reopen(f);
    CHECK_OK(store_each_mesh(f->s, show_mesh, text, &test_err));
    assert_string_equal(text, "core|a: 2\n|1|2|5|root\n");
}

static enum tw_rc show_pair(void *ctx, const struct store_pair *p)
{
    uint64_t *ids = ctx;

    assert_string_equal(p->mesh, "m");
    assert_string_equal(p->class_name, "voice");
    assert_string_equal(p->source, "a");
    ids[strlen(p->target)] = p->id;
    return TW_OK;
}

static void a_pair_keeps_its_id(void **state)
{
    struct fx *f = *state;
    struct store_pair a = { .mesh = "m", .class_name = "voice", .source = "a", .target = "b" }, b = a,
                      again = a;
    uint64_t ids[4] = { 0 };

    b.target = "ccc";
    CHECK_OK(store_put_pair(f->s, &a, &test_err));
    CHECK_OK(store_put_pair(f->s, &b, &test_err));
    reopen(f);
    CHECK_OK(store_put_pair(f->s, &again, &test_err));
    assert_int_equal(again.id, a.id);
    assert_int_equal(store_pair_id(&b), b.id); /* the same in every database */
    assert_int_not_equal(b.id, a.id);
    CHECK_OK(store_each_pair(f->s, show_pair, ids, &test_err));
    assert_int_equal(ids[1], a.id);
    assert_int_equal(ids[3], b.id);
}

static enum tw_rc take_slot(void *ctx, const struct store_pair *p)
{
    ((unsigned *)ctx)[strlen(p->target)] = p->slot;
    return TW_OK;
}

static void a_pair_keeps_its_slot(void **state)
{
    struct fx *f = *state;
    struct store_pair a = { .mesh = "m", .class_name = "voice", .source = "a", .target = "b", .slot = 240 }, b = a;
    unsigned slots[4] = { 0 };
    struct tw_err err;

    b.target = "cc";
    b.slot = 0;
    CHECK_OK(store_put_pair(f->s, &a, &test_err));
    CHECK_OK(store_put_pair(f->s, &b, &test_err));
    a.slot = 0; /* nobody asks for one now */
    CHECK_OK(store_put_pair(f->s, &a, &test_err));
    reopen(f);
    CHECK_OK(store_each_pair(f->s, take_slot, slots, &test_err));
    assert_int_equal(slots[1], 240);
    assert_int_equal(slots[2], 0);
    a.slot = 3;
    CHECK_OK(store_put_pair(f->s, &a, &test_err));
    CHECK_OK(store_put_slot(f->s, b.id, 77, &test_err));
    assert_int_equal(store_put_slot(f->s, b.id + 1, 77, &err), TW_ENOENT);
    CHECK_OK(store_each_pair(f->s, take_slot, slots, &test_err));
    assert_int_equal(slots[1], 3);
    assert_int_equal(slots[2], 77);
}

/* "a" + "bc" and "ab" + "c" are two pairs; the number is pinned because databases and agents remember it. */
static void pair_ids_are_for_ever(void **state)
{
    struct store_pair p = { .mesh = "m", .class_name = "c", .source = "a", .target = "bc" };
    struct store_pair q = { .mesh = "m", .class_name = "c", .source = "ab", .target = "c" };

    (void)state;
    assert_int_not_equal(store_pair_id(&p), store_pair_id(&q));
    assert_true(store_pair_id(&p) < UINT64_C(1) << 53);
    assert_int_equal(store_pair_id(&p), UINT64_C(3777039936905210));
}

static void generations(void **state)
{
    struct fx *f = *state;
    struct store_generation g = { .number = 3, .time_ns = 1, .author = "root", .what = "apply core" };
    struct tw_err err = { 0 };
    uint64_t last = 77;

    CHECK_OK(store_last_generation(f->s, &last, &test_err));
    assert_int_equal(last, 0);
    CHECK_OK(store_put_generation(f->s, &g, &test_err));
    assert_int_equal(store_put_generation(f->s, &g, &err), TW_EEXIST);
    assert_non_null(strstr(err.text, "generation 3"));
    reopen(f);
    CHECK_OK(store_last_generation(f->s, &last, &test_err));
    assert_int_equal(last, 3);
}

/* ---- Expected ----------------------------------------------------------------------------------- */

/* Seconds after DAY0; period 60 s unless told. until 0: still scheduled. */
struct step {
    int from, until, flows, period;
};
static const struct {
    const char *name;
    struct step steps[3];
    int from, to;
    uint64_t expected;
} expectations[] = {
    { "never scheduled", { { 0 } }, 0, 600, 0 },
    { "open interval", { { 60, 0, 1, 60 } }, 0, 600, 9 },
    { "two flows", { { 60, 0, 2, 60 } }, 0, 600, 18 },
    { "closed", { { 60, 240, 1, 60 } }, 0, 600, 3 },
    { "first period cut", { { 61, 240, 1, 60 } }, 0, 600, 2 },
    { "last period cut", { { 60, 239, 1, 60 } }, 0, 600, 2 },
    { "within one period", { { 70, 110, 1, 60 } }, 0, 600, 0 },
    { "span cuts both", { { 0, 0, 1, 60 } }, 30, 570, 8 },
    { "before the span", { { 0, 300, 1, 60 } }, 300, 600, 0 },
    { "after the span", { { 600, 0, 1, 60 } }, 0, 600, 0 },
    { "empty span", { { 0, 0, 1, 60 } }, 600, 600, 0 },
    { "with a pause", { { 0, 120, 1, 60 }, { 300, 0, 1, 60 } }, 0, 600, 2 + 5 },
    { "again with the same: runs on", { { 0, 0, 1, 60 }, { 90, 0, 1, 60 } }, 0, 600, 10 },
    { "again with other flows: starts over", { { 0, 0, 1, 60 }, { 90, 0, 3, 60 } }, 0, 600, 1 + 3 * 8 },
    { "again with another period", { { 0, 0, 1, 60 }, { 300, 0, 1, 10 } }, 0, 600, 5 + 30 },
};

static enum tw_rc schedule(struct store *s, uint64_t pair_id, uint64_t generation, int64_t period_ns, uint32_t flows,
                           int64_t from_ns, struct tw_err *err)
{
    const struct store_expectation x = { .report_period_ns = period_ns, .flows = flows };

    return store_pair_scheduled(s, pair_id, generation, &x, from_ns, err);
}

#define ALL_FLOWS UINT32_MAX

struct sum {
    uint32_t flow;
    uint64_t n;
};

static enum tw_rc add_interval(void *ctx, const struct store_interval *i)
{
    struct sum *s = ctx;
    uint64_t flows = s->flow == ALL_FLOWS ? i->x.flows : s->flow < i->x.flows;

    assert_false(i->x.rule_unknown);
    s->n += flows * times_expected(NULL, NULL, i->x.report_period_ns, i->from_ns, i->until_ns);
    return TW_OK;
}

static enum tw_rc expected(struct store_reader *r, uint64_t pair_id, uint32_t flow, int64_t from_ns, int64_t to_ns, uint64_t *ret,
                           struct tw_err *err)
{
    struct sum s = { .flow = flow };
    enum tw_rc rc = store_read_intervals(r, pair_id, from_ns, to_ns, add_interval, &s, err);

    *ret = s.n;
    return rc;
}

/* What is expected of each flow makes up what is expected of all. */
static void expect_sum_of_flows(struct fx *f, uint64_t pair_id, size_t i)
{
    uint64_t sum = 0, n = 0;

    for (uint32_t flow = 0; flow < 32; flow++) {
        CHECK_OK(expected(f->r, pair_id, flow, DAY0 + expectations[i].from * TW_NS_PER_S,
                                     DAY0 + expectations[i].to * TW_NS_PER_S, &n, &test_err));
        sum += n;
    }
    if (sum != expectations[i].expected)
        fail_msg("%s: flows make up %llu", expectations[i].name, (unsigned long long)sum);
}

static void expected_periods(void **state)
{
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(expectations); i++) {
        char source[24];
        struct store_pair p = { .mesh = "m", .class_name = "", .source = source, .target = "" };
        uint64_t n = 77;

        snprintf(source, sizeof source, "%zu", i);
        CHECK_OK(store_put_pair(f->s, &p, &test_err));
        for (size_t k = 0; k < 3 && expectations[i].steps[k].flows; k++) {
            const struct step *st = &expectations[i].steps[k];
            CHECK_OK(schedule(f->s, p.id, k + 1, st->period * TW_NS_PER_S, (uint32_t)st->flows,
                              DAY0 + st->from * TW_NS_PER_S, &test_err));
            if (st->until)
                CHECK_OK(store_pair_unscheduled(f->s, p.id, DAY0 + st->until * TW_NS_PER_S, &test_err));
        }
        CHECK_OK(expected(f->r, p.id, ALL_FLOWS, DAY0 + expectations[i].from * TW_NS_PER_S,
                                     DAY0 + expectations[i].to * TW_NS_PER_S, &n, &test_err));
        if (n != expectations[i].expected)
            fail_msg("%s: %llu, not %llu", expectations[i].name, (unsigned long long)n,
                     (unsigned long long)expectations[i].expected);
        expect_sum_of_flows(f, p.id, i);
    }
}

static void odd_intervals(void **state)
{
    struct fx *f = *state;
    struct store_pair p = { .mesh = "m", .class_name = "", .source = "", .target = "" };
    struct tw_err err;
    uint64_t n = 77;

    CHECK_OK(store_put_pair(f->s, &p, &test_err));
    assert_int_equal(schedule(f->s, p.id, 1, 0, 1, DAY0, &err), TW_EINVAL);
    assert_int_equal(schedule(f->s, p.id, 1, MINUTE, 0, DAY0, &err), TW_EINVAL);
    assert_int_not_equal(schedule(f->s, 999, 1, MINUTE, 1, DAY0, &err), TW_OK); /* no such pair */
    CHECK_OK(store_pair_unscheduled(f->s, p.id, DAY0, &test_err));                          /* nothing open */
    CHECK_OK(schedule(f->s, p.id, 1, MINUTE, 1, DAY0, &test_err));
    CHECK_OK(store_pair_unscheduled(f->s, p.id, DAY0 - 5 * MINUTE, &test_err)); /* the clock went back */
    CHECK_OK(expected(f->r, p.id, ALL_FLOWS, 0, INT64_MAX, &n, &test_err));
    assert_int_equal(n, 0);
}

static void dropped_summaries_add_up(void **state)
{
    struct fx *f = *state;
    struct store_batch b = { .agent_id = new_agent(f->s, "ams1"), .gap_reason = "spool_full" };
    enum store_append_result res;
    uint64_t through, n = 0;
    static const struct {
        uint64_t first, last;
        int64_t at;
    } gaps[] = { { 1, 10, 100 }, { 11, 11, 200 }, { 5, 15, 300 /* overlaps: 4 new ones */ } };

    for (size_t i = 0; i < TW_NELEM(gaps); i++) {
        b.first_seq = gaps[i].first;
        b.gap_last_seq = gaps[i].last;
        b.received_ns = gaps[i].at;
        CHECK_OK(store_begin(f->s, &test_err));
        CHECK_OK(store_append(f->s, &b, &res, &through, &test_err));
        CHECK_OK(store_commit(f->s, &test_err));
        assert_int_equal(res, STORE_APPENDED);
    }
    CHECK_OK(store_read_dropped(f->r, "ams1", 0, 1000, &n, &test_err));
    assert_int_equal(n, 15);
    CHECK_OK(store_read_dropped(f->r, "ams1", 100, 300, &n, &test_err));
    assert_int_equal(n, 11);
    CHECK_OK(store_read_dropped(f->r, "fra1", 0, 1000, &n, &test_err));
    assert_int_equal(n, 0);
    CHECK_OK(store_remove_agent(f->s, b.agent_id, &test_err)); /* its history stays */
    CHECK_OK(store_read_dropped(f->r, "ams1", 0, 1000, &n, &test_err));
    assert_int_equal(n, 15);
}

static enum tw_rc show_time(void *ctx, const struct store_time *t)
{
    char *text = ctx;

    sprintf(text + strlen(text), "%lld-%lld ", (long long)t->from_ns, (long long)t->to_ns);
    return TW_OK;
}

static void expect_maintenance(struct fx *f, const char *agent, int64_t from_ns, int64_t to_ns, const char *expected)
{
    char text[256] = "";

    CHECK_OK(store_read_maintenance(f->r, agent, from_ns, to_ns, show_time, text, &test_err));
    assert_string_equal(text, expected);
}

/* What was, stays, whatever is said later: only what is to come changes. */
static void maintenance_is_what_was_said_then(void **state)
{
    static const struct {
        const char *agent;
        int64_t now_ns;
        struct store_time said[2];
        size_t n;
        const char *expected;
    } steps[] = {
        { "a", 100, { { 50, 120 }, { 150, 200 } }, 2, "100-120 150-200 " },
        { "a", 110, { { 0 } }, 0, "100-110 " },                /* all of it is called off */
        { "a", 160, { { 130, 170 } }, 1, "100-110 160-170 " }, /* said afterwards: not for what was */
        { "a", 165, { { 160, 180 } }, 1, "100-110 160-165 165-180 " },
        { "b", 166, { { 166, 300 } }, 1, "166-300 " },
        { "a", 175, { { 0 } }, 0, "100-110 160-165 165-175 " },
        { "a", 500, { { 0 } }, 0, "100-110 160-165 165-175 " },
    };
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        CHECK_OK(store_begin(f->s, &test_err));
        CHECK_OK(store_put_maintenance(f->s, steps[i].agent, steps[i].now_ns, steps[i].said, steps[i].n, &test_err));
        CHECK_OK(store_commit(f->s, &test_err));
        expect_maintenance(f, steps[i].agent, 0, INT64_MAX, steps[i].expected);
    }
    expect_maintenance(f, "a", 110, 165, "160-165 ");
    CHECK_OK(store_begin(f->s, &test_err));
    CHECK_OK(store_rename_source(f->s, "a", "c", &test_err));
    CHECK_OK(store_commit(f->s, &test_err));
    expect_maintenance(f, "a", 0, INT64_MAX, "");
    expect_maintenance(f, "c", 0, INT64_MAX, "100-110 160-165 165-175 ");
}

/* ---- What one controller notes of what another one decides ---- */

static void a_contact_changes_nothing_else(void **state)
{
    struct fx *f = *state;
    struct store_agent a = { .name = "ams1", .approved = true, .ops = (char[]){ "{\"drained\":1}" } };
    struct store_agent stale = {
        .name = "old", .software = "2", .last_contact_ns = 9, .enrolment = (char[]){ "{}" }
    };
    struct agents got = { .n = 0 };

    CHECK_OK(store_put_agent(f->s, &a, &test_err));
    stale.id = a.id;
    CHECK_OK(store_put_contact(f->s, &stale, &test_err));
    stale.id = a.id + 1; /* is no more */
    CHECK_OK(store_put_contact(f->s, &stale, &test_err));
    CHECK_OK(store_each_agent(f->s, collect_agent, &got, &test_err));
    assert_int_equal(got.n, 1);
    assert_string_equal(got.a[0].name, "ams1");
    assert_true(got.a[0].approved);
    assert_non_null(got.a[0].ops);
    assert_string_equal(got.a[0].software, "2");
    assert_int_equal(got.a[0].last_contact_ns, 9);
    assert_string_equal(got.enrolment[0], "{}");
}

static enum tw_rc collect_token(void *ctx, const struct store_access_token *t)
{
    struct store_access_token *got = ctx;

    got->revoked_ns = t->revoked_ns;
    got->used_ns = t->used_ns;
    return TW_OK;
}

static void a_use_does_not_take_back_a_revocation(void **state)
{
    struct fx *f = *state;
    struct store_access_token t = { .id = "0011223344556677",
                                    .role = 1,
                                    .name = "n",
                                    .author = "a",
                                    .revoked_ns = 5,
                                    .used_ns = 3 },
                              got = { 0 };

    CHECK_OK(store_put_access_token(f->s, &t, &test_err));
    CHECK_OK(store_use_access_token(f->s, t.id, 7, &test_err));
    CHECK_OK(store_use_access_token(f->s, t.id, 4, &test_err)); /* earlier */
    CHECK_OK(store_use_access_token(f->s, "none", 4, &test_err));
    CHECK_OK(store_each_access_token(f->s, collect_token, &got, &test_err));
    assert_int_equal(got.revoked_ns, 5);
    assert_int_equal(got.used_ns, 7);
}

struct some_pairs {
    uint64_t ids[16];
    size_t n;
};

static enum tw_rc collect_some(void *ctx, const struct store_pair *p)
{
    struct some_pairs *s = ctx;

    s->ids[s->n++] = p->id;
    return TW_OK;
}

static void pairs_in_parts(void **state)
{
    static const char *const sources[] = { "a", "b", "b", "c" }, *const targets[] = { "t", "t", "u", "t" };
    struct some_pairs all = { .n = 0 }, part = { .n = 0 };
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(sources); i++) {
        struct store_pair p = { .mesh = "m", .class_name = "x", .source = sources[i], .target = targets[i] };

        CHECK_OK(store_put_pair(f->s, &p, &test_err));
    }
    CHECK_OK(store_each_pair_of(f->s, "m", "x", "b", collect_some, &part, &test_err));
    assert_int_equal(part.n, 2);
    part.n = 0;
    CHECK_OK(store_each_pair_of(f->s, "m", "y", "b", collect_some, &part, &test_err));
    assert_int_equal(part.n, 0);
    CHECK_OK(store_each_pair(f->s, collect_some, &all, &test_err));
    CHECK_OK(store_each_pair_after(f->s, 0, 3, collect_some, &part, &test_err));
    assert_int_equal(part.n, 3);
    CHECK_OK(store_each_pair_after(f->s, part.ids[2], 3, collect_some, &part, &test_err));
    assert_int_equal(part.n, 4);
    assert_memory_equal(part.ids, all.ids, sizeof part.ids[0] * 4);
}

static enum tw_rc collect_body(void *ctx, const struct store_alert *a)
{
    snprintf(ctx, 16, "%s", a->body);
    return TW_OK;
}

static void an_alert_is_found(void **state)
{
    struct fx *f = *state;
    char body[16] = "";

    CHECK_OK(store_put_alert(f->s, &(struct store_alert){ 7, false, 1, "over" }, &test_err));
    CHECK_OK(store_find_alert(f->s, 7, collect_body, body, &test_err));
    assert_string_equal(body, "over");
    assert_int_equal(store_find_alert(f->s, 8, collect_body, body, &test_err), TW_ENOENT);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(a_contact_changes_nothing_else),
        WITH_STORE(a_use_does_not_take_back_a_revocation),
        WITH_STORE(pairs_in_parts),
        WITH_STORE(an_alert_is_found),
        WITH_STORE(agents_survive_a_restart),
        WITH_STORE(maintenance_is_what_was_said_then),
        WITH_STORE(agents_keep_names_and_ids_apart),
        WITH_STORE(a_callback_can_stop),
        WITH_STORE(meshes),
        WITH_STORE(a_pair_keeps_its_id),
        WITH_STORE(a_pair_keeps_its_slot),
        WITH_STORE(pair_ids_are_for_ever),
        WITH_STORE(generations),
        WITH_STORE(expected_periods),
        WITH_STORE(odd_intervals),
        WITH_STORE(dropped_summaries_add_up),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
