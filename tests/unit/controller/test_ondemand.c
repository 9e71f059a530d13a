/* Tests on demand through the Admin service, with agents that do what the test wants. */
#include "tests/unit/controller/fixture.h"
#include "controller/ondemand_class.h"

#define LAB                                                                                                  \
    "mesh: lab\ntopology: full\nmembers: [a, b]\ntargets: { edge: '192.0.2.9:863' }\nclasses:\n"             \
    "  voice: { spacing: 20ms, dscp: EF, size: 200, report_period: 10s, timeout: 1s }\n"                     \
    "  bulk: { spacing: 100ms, report_period: 10s, timeout: 1s }\n"

struct got {
    struct op_result r;
    uint64_t id;
    uint32_t runs, done, failed;
    bool ended;
    char state[32], run_state[32], reason[256], author[64], what[128];
    uint64_t sent, test_id;
    size_t n;
};

static void take_info(struct got *g, const Tw__TestInfo *i)
{
    g->id = i->test_id;
    g->runs = i->runs;
    g->done = i->done;
    g->failed = i->failed;
    g->ended = i->ended_ns != 0;
    snprintf(g->state, sizeof g->state, "%s", i->state);
    snprintf(g->author, sizeof g->author, "%s", i->author);
    snprintf(g->what, sizeof g->what, "%s", i->what);
}

static void take_runs(struct got *g, Tw__TestRun **runs, size_t n)
{
    g->n = n;
    g->sent = 0;
    for (size_t i = 0; i < n; i++) {
        snprintf(g->run_state, sizeof g->run_state, "%s", runs[i]->state);
        if (*runs[i]->reason)
            snprintf(g->reason, sizeof g->reason, "%s", runs[i]->reason);
        g->sent += runs[i]->total ? runs[i]->total->sent : 0;
        g->test_id = runs[i]->total ? runs[i]->total->test_id : 0;
    }
}

static void on_start(const Tw__TestStartReply *m, void *ctx)
{
    struct got *g = ctx;

    op_note(&g->r, m != NULL);
    if (m)
        take_info(g, m->info);
}

static void on_progress(const Tw__TestProgressReply *m, void *ctx)
{
    struct got *g = ctx;

    op_note(&g->r, m != NULL);
    if (!m)
        return;
    take_info(g, m->info);
    take_runs(g, m->runs, m->n_runs);
}

static void on_stop(const Tw__TestStopReply *m, void *ctx)
{
    struct got *g = ctx;

    op_note(&g->r, m != NULL);
    if (m)
        take_info(g, m->info);
}

static void on_list(const Tw__TestListReply *m, void *ctx)
{
    struct got *g = ctx;

    op_note(&g->r, m != NULL);
    if (!m)
        return;
    if (m->n_tests)
        take_info(g, m->tests[0]);
    take_runs(g, m->runs, m->n_runs);
}

static struct got start(struct fixture *f, Tw__TestStartRequest *rq)
{
    struct got g = { .id = 0 };

    rq->author = (char *)"tester";
    tw__admin__test_start(admin_stub(f), rq, on_start, &g);
    WAIT(g.r.done);
    return g;
}

static Tw__TestStartRequest pair(const char *source, const char *target)
{
    Tw__TestStartRequest rq = TW__TEST_START_REQUEST__INIT;

    rq.source = (char *)source;
    rq.target = (char *)target;
    rq.count = 40;
    return rq;
}

static struct got progress(struct fixture *f, uint64_t id)
{
    Tw__TestProgressRequest rq = TW__TEST_PROGRESS_REQUEST__INIT;
    struct got g = { .id = 0 };

    rq.test_id = id;
    rq.runs = true;
    tw__admin__test_progress(admin_stub(f), &rq, on_progress, &g);
    WAIT(g.r.done);
    return g;
}

static struct got until_ended(struct fixture *f, uint64_t id)
{
    struct got g;

    WAIT((g = progress(f, id)).ended || !g.r.ok);
    return g;
}

static struct got stored(struct fixture *f, uint64_t id)
{
    Tw__TestListRequest rq = TW__TEST_LIST_REQUEST__INIT;
    struct got g = { .id = 0 };

    rq.test_id = id;
    tw__admin__test_list(admin_stub(f), &rq, on_list, &g);
    WAIT(g.r.done);
    return g;
}

static void let_in(struct fake *a)
{
    struct fixture *f = a->f;

    connect_fake(a);
    WAIT(a->n_enrolled);
    WAIT(inventory_agent(&f->c->inv, a->name)->row.id);
    assert_true(approve(f, a->name, "").ok);
    WAIT(a->n_enrolled == 2 && inventory_agent(&f->c->inv, a->name)->peer);
}

static struct fake *tester(struct fixture *f, const char *name, const char *address)
{
    struct fake *a = new_fake(f, name, name, address);

    a->tests = true;
    a->test_polls = 3;
    let_in(a);
    return a;
}

/* ---- Tests ---- */

static void one_pair(void **state)
{
    struct fixture *f = *state;
    struct fake *a = tester(f, "a", "192.0.2.1");
    Tw__TestStartRequest rq = pair("a", "192.0.2.7:900");
    Tw__TestSetting s = TW__TEST_SETTING__INIT, *list[] = { &s };
    struct got g;

    s.key = (char *)"spacing";
    s.value = (char *)"7ms";
    rq.settings = list;
    rq.n_settings = 1;
    g = start(f, &rq);
    assert_true(g.r.ok && g.id > 1000000000);
    g = until_ended(f, g.id);
    assert_string_equal(g.state, "complete");
    assert_string_equal(g.what, "a > 192.0.2.7-900");
    assert_int_equal(g.sent, 40);
    assert_int_equal(g.test_id, g.id);
    assert_true(a->runs[0].spacing_ns == 7 * TW_NS_PER_MS && a->runs[0].port == 900 && a->runs[0].count == 40);
    WAIT(!strcmp(stored(f, g.id).run_state, "complete"));
    g = stored(f, g.id);
    assert_string_equal(g.author, "tester");
    assert_true(g.n == 1 && !strcmp(g.run_state, "complete"));
    assert_int_equal(start(f, &rq).id > g.id, true); /* never the same number */
}

/* Targets by host name, of a document or as they are: the agent looks them up. */
static void to_host_names(void **state)
{
    static const char lab[] =
        "mesh: named\ntopology: list\npairs: [[a, r1]]\ntargets:\n  r1: { address: 'r1.example:863', family: 6 }\n"
        "  r2: r2.example\nclasses:\n  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n";
    static const char longest[] =
        "a-name-of-a-host.that-is-so-long-that-no-pair-can-have-all-of-it.in-a-domain.example";
    static const struct {
        const char *target, *host, *name; /* name NULL: only of this beginning */
        uint32_t port, family;
    } cases[] = {
        { "r1", "r1.example", "r1", 863, 6 },
        { "named/r2", "r2.example", "r2", 862, 0 },
        { "Router.Example.NET", "router.example.net", "router.example.net", 862, 0 },
        { "router:8620", "router", "router-8620", 8620, 0 },
        { "r_1.example", "r_1.example", NULL, 862, 0 },
        { longest, longest, NULL, 862, 0 },
    };
    struct fixture *f = *state;
    struct fake *a = new_fake(f, "a", "a", "192.0.2.1"), *old = tester(f, "old", "192.0.2.9");
    Tw__TestStartRequest rq;
    struct got g;

    a->tests = a->looks_up = true;
    a->test_polls = 3;
    let_in(a);
    assert_true(apply(f, lab, false).ok);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        const struct fake_run *r = &a->runs[i];

        rq = pair("a", cases[i].target);
        g = start(f, &rq);
        if (!g.r.ok)
            fail_msg("%s: %s", cases[i].target, g.r.detail);
        g = until_ended(f, g.id);
        assert_string_equal(g.state, "complete");
        if (strcmp(r->host, cases[i].host) || *r->address || r->port != cases[i].port ||
            r->family != cases[i].family || (cases[i].name && strcmp(r->target, cases[i].name)))
            fail_msg("%s: host \"%s\" \"%s\", port %u, family %u, as %s", cases[i].target, r->host, r->address,
                     r->port, r->family, r->target);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(a->runs[k].target, r->target);
    }
    rq = pair("", "");
    rq.mesh = (char *)"named";
    g = start(f, &rq);
    assert_string_equal(until_ended(f, g.id).state, "complete");
    assert_string_equal(a->runs[TW_NELEM(cases)].host, "r1.example");
    rq = pair("old", "router.example");
    assert_non_null(strstr(start(f, &rq).r.detail, "too old for targets by host name"));
    assert_int_equal(old->n_runs, 0);
}

static void what_cannot_start(void **state)
{
    struct fixture *f = *state;
    struct fake *old = new_fake(f, "old", "old", "192.0.2.3");
    static const struct {
        const char *source, *target, *class_name, *says;
    } cases[] = {
        { "aa", "b", "", "did you mean \"a\"" },
        { "a", "bb", "", "did you mean \"b\"" },
        { "a", "edgy", "", "did you mean \"edge\"" },
        { "a", "a", "", "cannot test to itself" },
        { "a", "router", "", "no host name with a dot or port" },
        { "a", "127.1", "", "no host name" },
        { "a", "a..b", "", "no host name" },
        { "a", "r1.example:0", "", "no host name" },
        { "a", "r1.example/x", "", "no host name" },
        { "old", "b", "", "older than this controller" },
        { "a", "b", "vioce", "did you mean \"voice\"" },
        { "a", "b", "nope/voice", "no mesh \"nope\"" },
        { "a", "", "", "expected source and target" },
    };

    tester(f, "a", "192.0.2.1");
    tester(f, "b", "192.0.2.2");
    let_in(old);
    assert_true(apply(f, LAB, false).ok);
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        Tw__TestStartRequest rq = pair(cases[i].source, cases[i].target);
        struct got g;

        rq.class_name = (char *)cases[i].class_name;
        g = start(f, &rq);
        if (g.r.ok || !strstr(g.r.detail, cases[i].says))
            fail_msg("%s > %s: \"%s\"", cases[i].source, cases[i].target, g.r.detail);
    }
}

static void a_refusal_is_told(void **state)
{
    struct fixture *f = *state;
    struct fake *a = tester(f, "a", "192.0.2.1");
    Tw__TestStartRequest rq = pair("a", "192.0.2.7");
    struct got g;

    a->test_refusal = "over this agent's --max-pps";
    g = start(f, &rq);
    g = until_ended(f, g.id);
    assert_string_equal(g.state, "failed");
    assert_string_equal(g.run_state, "refused");
    assert_string_equal(g.reason, "over this agent's --max-pps");
}

static void nonsense_is_not_believed(void **state)
{
    struct fixture *f = *state;
    struct fake *a = tester(f, "a", "192.0.2.1");
    Tw__TestStartRequest rq = pair("a", "192.0.2.7");
    struct got g;

    a->test_nonsense = true;
    g = start(f, &rq);
    g = until_ended(f, g.id);
    assert_string_equal(g.run_state, "failed");
    assert_string_equal(g.reason, "its agent's answer contradicts itself");
    assert_int_equal(g.sent, 0);
}

static void a_mesh_few_at_a_time(void **state)
{
    struct fixture *f = *state;
    struct fake *a = tester(f, "a", "192.0.2.1"), *b = tester(f, "b", "192.0.2.2");
    Tw__TestStartRequest rq = pair("", "");
    struct got g;

    assert_true(apply(f, LAB, false).ok);
    rq.mesh = (char *)"lab";
    rq.parallel = 1;
    g = start(f, &rq);
    assert_int_equal(g.runs, 4);
    g = until_ended(f, g.id);
    assert_string_equal(g.state, "complete");
    assert_int_equal(g.done, 4);
    assert_int_equal(g.sent, 160);
    assert_true(a->n_runs == 2 && b->n_runs == 2);
    assert_true(a->tests_most == 1 && b->tests_most == 1);
    assert_true(a->runs[0].dscp == 46 || a->runs[1].dscp == 46); /* each with its own class */
    rq.class_name = (char *)"voice";
    assert_int_equal(start(f, &rq).runs, 2);
    rq.select = (char *)"name=a";
    assert_int_equal(start(f, &rq).runs, 1);
    rq.target_select = (char *)"name!=b";
    g = start(f, &rq);
    assert_int_equal(g.r.status, TW__STATUS__STATUS_NOT_FOUND);
    assert_non_null(strstr(g.r.detail, "no pair of class voice between agents with such labels"));
    rq.target_select = (char *)"name=";
    assert_non_null(strstr(start(f, &rq).r.detail, "at character 6"));
    rq = pair("a", "b");
    rq.select = (char *)"name=a";
    assert_non_null(strstr(start(f, &rq).r.detail, "expected it with a mesh"));
}

static void a_stop_stops_all(void **state)
{
    struct fixture *f = *state;
    struct fake *a = tester(f, "a", "192.0.2.1");
    Tw__TestStartRequest rq = pair("a", "192.0.2.7");
    Tw__TestStopRequest stop = TW__TEST_STOP_REQUEST__INIT;
    struct got g, s = { .id = 0 };

    a->test_polls = 0;
    g = start(f, &rq);
    WAIT(progress(f, g.id).sent);
    stop.test_id = g.id;
    tw__admin__test_stop(admin_stub(f), &stop, on_stop, &s);
    WAIT(s.r.done);
    assert_true(s.r.ok);
    g = until_ended(f, g.id);
    assert_string_equal(g.state, "stopped");
    assert_int_equal(a->tests_stopped, 1);
    stop.test_id = 5;
    s.r.done = false;
    tw__admin__test_stop(admin_stub(f), &stop, on_stop, &s);
    WAIT(s.r.done);
    assert_int_equal(s.r.status, TW__STATUS__STATUS_NOT_FOUND);
}

static void whoever_goes_away_stops_it(void **state)
{
    struct fixture *f = *state;
    struct fake *a = tester(f, "a", "192.0.2.1");
    Tw__TestStartRequest rq = pair("a", "192.0.2.7");
    struct got g;

    a->test_polls = 0;
    g = start(f, &rq);
    WAIT(a->tests_stopped); /* nobody asks */
    WAIT(!strcmp(stored(f, g.id).state, "abandoned"));
}

static void classes_read_and_write(void **state)
{
    static const struct {
        const char *key, *value, *want; /* "": refused */
    } cases[] = {
        { "dscp", "AF41", "protocol stamp, spacing 20ms, size 200, dscp AF41, tlvs timestamp-info" },
        { "protocol", "light", "protocol light, spacing 20ms, size 200, dscp EF" },
        { "size", "300", "protocol stamp, spacing 20ms, size 300, dscp EF, tlvs timestamp-info" },
        { "spacing", "1us", "" },
        { "colour", "red", "" },
        { "dscp", "\"", "" },
    };
    struct mesh_class base = { .dscp = 46,
                               .ttl = 255,
                               .flows = 1,
                               .size_bytes = 200,
                               .protocol = MESH_STAMP,
                               .tlvs = MESH_TLV_BIT(MESH_TLV_TIMESTAMP_INFO),
                               .spacing_ns = 20 * TW_NS_PER_MS,
                               .timeout_ns = TW_NS_PER_S,
                               .report_period_ns = 10 * TW_NS_PER_S };

    (void)state;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        Tw__TestSetting s = TW__TEST_SETTING__INIT, *list[] = { &s };
        struct mesh_class c = { .ttl = 0 };
        struct tw_err err = { 0 };
        char text[ONDEMAND_SETTINGS_TEXT] = "";
        enum tw_rc rc;

        s.key = (char *)cases[i].key;
        s.value = (char *)cases[i].value;
        rc = ondemand_class(&base, list, 1, &c, &err);
        if (!rc)
            ondemand_class_text(&c, text);
        if (strcmp(text, cases[i].want) != 0 || (rc && !err.text[0]))
            fail_msg("%s %s: \"%s\" %s: %s", s.key, s.value, text, err.field, err.text);
    }
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        CASE(one_pair),
        CASE(to_host_names),
        CASE(what_cannot_start),
        CASE(a_refusal_is_told),
        CASE(nonsense_is_not_believed),
        CASE(a_mesh_few_at_a_time),
        CASE(a_stop_stops_all),
        CASE(whoever_goes_away_stops_it),
        cmocka_unit_test(classes_read_and_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
