/* Asking agents for what became of single probes, with agents that say what the test wants. */
#include "tests/unit/controller/fixture.h"
#include "controller/flight.h"

#define VOICE_AND_BULK                                                                                     \
    "mesh: lab\ntopology: full\nmembers: [a, b]\nclasses:\n  voice: { spacing: 20ms, report_period: 10s, " \
    "timeout: 1s }\n  bulk: { spacing: 100ms, report_period: 10s, timeout: 1s }\n"

struct got {
    struct op_result r;
    char source[STORE_NAME_MAX];
    size_t flows, records, frozen, rows, errors;
    char error[256], reason[FLIGHT_REASON_MAX + 1], agent[STORE_NAME_MAX];
    int64_t from_ns, at_ns, to_ns;
    uint32_t seq;
};

static void on_flight(const Tw__PairFlightReply *m, void *ctx)
{
    struct got *g = ctx;

    op_note(&g->r, m != NULL);
    if (!m)
        return;
    snprintf(g->source, sizeof g->source, "%s", m->pair->source);
    g->from_ns = m->from_ns;
    g->at_ns = m->at_ns;
    g->to_ns = m->to_ns;
    g->flows = m->flight->n_flows;
    g->frozen = m->flight->n_frozen;
    for (size_t i = 0; i < m->flight->n_flows; i++)
        g->records += m->flight->flows[i]->n_records;
    if (g->records)
        g->seq = m->flight->flows[0]->records[0]->seq;
}

static void on_rows(const Tw__FlightRowsReply *m, void *ctx)
{
    struct got *g = ctx;

    op_note(&g->r, m != NULL);
    for (size_t i = 0; m && i < m->n_rows; i++) {
        const Tw__FlightRow *row = m->rows[i];
        g->rows++;
        g->errors += row->error[0] != 0;
        assert_true(!row->error[0] == (row->frozen != NULL));
        if (row->error[0])
            snprintf(g->error, sizeof g->error, "%s", row->error);
        if (row->frozen)
            snprintf(g->reason, sizeof g->reason, "%s", row->frozen->reason);
        snprintf(g->agent, sizeof g->agent, "%s", row->agent);
        if (row->pair)
            snprintf(g->source, sizeof g->source, "%s", row->pair->source);
    }
}

/* What agents know: one flow with one lost probe, and a frozen part. */
struct knowledge {
    Tw__FlightReply reply;
    Tw__FlightFlow flow, *flows[1];
    Tw__FlightRecord record, *records[1];
    Tw__FlightFrozen part, *parts[1];
};

static void learn(struct knowledge *k, uint64_t pair_id)
{
    *k = (struct knowledge){ .reply = TW__FLIGHT_REPLY__INIT,
                             .flow = TW__FLIGHT_FLOW__INIT,
                             .record = TW__FLIGHT_RECORD__INIT,
                             .part = TW__FLIGHT_FROZEN__INIT };
    k->record.seq = 4711;
    k->record.fate = TW__FLIGHT_FATE__FLIGHT_FATE_LOST;
    k->records[0] = &k->record;
    k->flow.records = k->records;
    k->flow.n_records = 1;
    k->flows[0] = &k->flow;
    k->part.pair_id = pair_id;
    k->part.reason = (char *)"3 lost";
    k->part.cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN;
    k->parts[0] = &k->part;
    k->reply.flows = k->flows;
    k->reply.n_flows = 1;
    k->reply.frozen = k->parts;
    k->reply.n_frozen = 1;
    k->reply.recording = true;
}

static Tw__PairFilter filter_of(const char *class_name, const char *source, const char *target)
{
    Tw__PairFilter f = TW__PAIR_FILTER__INIT;

    f.class_name = (char *)class_name;
    f.source = (char *)source;
    f.target = (char *)target;
    return f;
}

static struct got fetch(struct fixture *f, const char *class_name, const char *source, const char *target,
                        uint64_t pair_id)
{
    Tw__PairFlightRequest rq = TW__PAIR_FLIGHT_REQUEST__INIT;
    Tw__PairFilter filter = filter_of(class_name, source, target);
    struct got g = { .rows = 0 };

    rq.pairs = &filter;
    rq.pair_id = pair_id;
    rq.at_ns = T0;
    rq.before_ns = 2 * TW_NS_PER_S;
    rq.after_ns = 3 * TW_NS_PER_S;
    rq.limit = 5;
    tw__admin__flight(admin_stub(f), &rq, on_flight, &g);
    WAIT(g.r.done);
    return g;
}

static struct got freeze(struct fixture *f, const char *source, const char *target)
{
    Tw__PairFlightRequest rq = TW__PAIR_FLIGHT_REQUEST__INIT;
    Tw__PairFilter filter = filter_of("", source, target);
    struct got g = { .rows = 0 };

    rq.pairs = &filter;
    rq.before_ns = rq.after_ns = TW_NS_PER_S;
    rq.cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_ALERT;
    rq.reason = (char *)"because";
    tw__admin__flight_freeze(admin_stub(f), &rq, on_rows, &g);
    WAIT(g.r.done);
    return g;
}

static struct got list(struct fixture *f, const char *source)
{
    Tw__PairFilter filter = filter_of("", source, "");
    struct got g = { .rows = 0 };

    tw__admin__flight_list(admin_stub(f), &filter, on_rows, &g);
    WAIT(g.r.done);
    return g;
}

static struct fake *bring_up_lab(struct fixture *f, const char *document, struct knowledge *k)
{
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");

    assert_true(apply(f, document, false).ok);
    WAIT(a->n_sessions && b->n_sessions && b->n_acked);
    learn(k, a->pair_ids[0]);
    a->flight = &k->reply;
    return a;
}

static void the_agent_of_the_pair_is_asked(void **state)
{
    struct fixture *f = *state;
    struct knowledge k;
    struct fake *a = bring_up_lab(f, MESH_AB, &k);
    struct got g = fetch(f, "", "a", "b", 0);

    assert_true(g.r.ok);
    assert_true(g.flows == 1 && g.records == 1 && g.frozen == 1 && g.seq == 4711);
    assert_string_equal(g.source, "a");
    assert_true(g.from_ns == T0 - 2 * TW_NS_PER_S && g.at_ns == T0 && g.to_ns == T0 + 3 * TW_NS_PER_S);
    assert_true(a->flight_asked.pair_id == a->pair_ids[0] && a->flight_asked.from_ns == g.from_ns &&
                a->flight_asked.at_ns == T0 && a->flight_asked.to_ns == g.to_ns &&
                a->flight_asked.limit == 5 && !a->flight_asked.one_flow);
    g = fetch(f, "", "", "", a->pair_ids[0]);
    assert_true(g.r.ok && g.seq == 4711);
}

static void what_cannot_be_asked_is_said(void **state)
{
    static const struct {
        const char *class_name, *source, *target;
        uint64_t id;
        Tw__Status status;
        const char *text;
    } cases[] = {
        { "", "a", "zz", 0, TW__STATUS__STATUS_NOT_FOUND, "no pair matches a:zz; \"twampctl watch\"" },
        { "x", "", "b", 0, TW__STATUS__STATUS_NOT_FOUND, "no pair matches */x/*:b;" },
        { "", "", "", 4711, TW__STATUS__STATUS_NOT_FOUND, "no pair has the id 4711" },
        { "", "a", "b", 0, TW__STATUS__STATUS_FAILED_PRECONDITION,
          "2 pairs match a:b; name one of them: lab/bulk/a:b, lab/voice/a:b" },
        { "voice", "b", "a", 0, TW__STATUS__STATUS_FAILED_PRECONDITION,
          "agent b has no flight recorder: it is older than this controller" },
    };
    struct fixture *f = *state;
    struct knowledge k;
    struct fake *a = bring_up_lab(f, VOICE_AND_BULK, &k);
    struct got g;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        g = fetch(f, cases[i].class_name, cases[i].source, cases[i].target, cases[i].id);
        if (g.r.ok || g.r.status != cases[i].status || !strstr(g.r.detail, cases[i].text))
            fail_msg("case %zu: %s: %s", i, rpc_status_name(g.r.status), g.r.detail);
    }
    assert_true(fetch(f, "voice", "a", "b", 0).r.ok);
    stop_fake(a);
    WAIT(!inventory_agent(&f->c->inv, "a")->peer);
    g = fetch(f, "voice", "a", "b", 0);
    assert_int_equal(g.r.status, TW__STATUS__STATUS_UNAVAILABLE);
    assert_non_null(strstr(g.r.detail, "agent a is not connected since 20"));
}

static void everyone_freezes_what_matches(void **state)
{
    struct fixture *f = *state;
    struct knowledge k;
    struct fake *a = bring_up_lab(f, VOICE_AND_BULK, &k), *b = f->fakes[1];
    struct got g = freeze(f, "", "");

    assert_true(g.r.ok && a->freezes == 1 && b->freezes == 1 && a->freeze_pairs == 2);
    assert_true(a->freeze_asked.cause == TW__FLIGHT_CAUSE__FLIGHT_CAUSE_ALERT);
    assert_string_equal(a->freeze_reason, "because");
    assert_true(a->freeze_asked.to_ns - a->freeze_asked.from_ns == 2 * TW_NS_PER_S);
    assert_true(g.rows == 2 && g.errors == 1); /* b records nothing */
    assert_non_null(strstr(g.error, "agent b records nothing: it was started with --flight-probes 0"));
    stop_fake(b);
    WAIT(!inventory_agent(&f->c->inv, "b")->peer);
    g = freeze(f, "", "");
    assert_true(g.r.ok && a->freezes == 2 && g.rows == 2 && g.errors == 1);
    assert_non_null(strstr(g.error, "agent b is not connected"));
    g = freeze(f, "a", "zz");
    assert_true(!g.r.ok && g.r.status == TW__STATUS__STATUS_NOT_FOUND);
    assert_int_equal(a->freezes, 2);
}

static void frozen_parts_are_listed(void **state)
{
    struct fixture *f = *state;
    struct knowledge k;
    struct got g;

    bring_up_lab(f, MESH_AB, &k);
    g = list(f, "a");
    assert_true(g.r.ok && g.rows == 1 && !g.errors);
    assert_string_equal(g.reason, "3 lost");
    assert_string_equal(g.agent, "a");
    assert_string_equal(g.source, "a");
    g = list(f, "");
    assert_true(g.rows == 2 && g.errors == 1);
    g = list(f, "nobody");
    assert_true(!g.r.ok && g.r.status == TW__STATUS__STATUS_NOT_FOUND);
    assert_non_null(strstr(g.r.detail, "no agent \"nobody\""));
}

/* The way an alert takes, without the RPC. */
static void frozen(void *ctx, const struct flight_rows *r)
{
    struct got *g = ctx;

    g->r.done = true;
    g->r.ok = !r->status;
    g->rows = r->n;
}

static void an_alert_freezes(void **state)
{
    struct fixture *f = *state;
    struct knowledge k;
    struct fake *a = bring_up_lab(f, MESH_AB, &k);
    struct flight_query q = { .pair_id = a->pair_ids[0],
                              .before_ns = 60 * TW_NS_PER_S,
                              .cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_ALERT,
                              .reason = "loss of 5%" };
    struct got g = { .rows = 0 };

    flight_freeze(f->c, &q, frozen, &g);
    WAIT(g.r.done);
    assert_true(g.r.ok && g.rows == 1 && a->freezes == 1 && a->freeze_pairs == 1);
    assert_string_equal(a->freeze_reason, "loss of 5%");
    q.before_ns = 0;
    g = (struct got){ .rows = 0 };
    flight_freeze(f->c, &q, frozen, &g);
    assert_true(g.r.done && !g.r.ok && a->freezes == 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_agent_of_the_pair_is_asked),
        TEST(what_cannot_be_asked_is_said),
        TEST(everyone_freezes_what_matches),
        TEST(frozen_parts_are_listed),
        TEST(an_alert_freezes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
