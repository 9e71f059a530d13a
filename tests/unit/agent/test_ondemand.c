/* Tests on demand on the agent: real workers on loopback, one of which reflects. */
#include "common/log.h"
#include "tests/unit/agent/fake_dns.h"
#include "tests/unit/agent/schedule_rig.h"

/* ---- Answers ---- */

static struct {
    unsigned n, failed;
    Tw__Status status;
    char text[256];
    Tw__TestPhase phase;
    Tw__TestEnd end;
    char detail[256];
    uint64_t sent, received, lost, in_flight, test_id, pair_id;
    bool total, last_known, valid;
    size_t records;
    uint32_t seq[64];
    unsigned fates[FLIGHT_FATE_COUNT];
} got;

void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...);
void __wrap_rpc_fail(void *closure_data, Tw__Status status, const char *fmt, ...)
{
    va_list ap;

    (void)closure_data;
    got.failed++;
    got.status = status;
    va_start(ap, fmt);
    vsnprintf(got.text, sizeof got.text, fmt, ap);
    va_end(ap);
}

static void on_start(const Tw__TestRunReply *reply, void *ctx)
{
    (void)ctx;
    got.n += reply->started_ns > 0;
}

static void on_stop(const Tw__TestRunStopReply *reply, void *ctx)
{
    (void)ctx;
    got.n += reply != NULL;
}

static void take_records(const Tw__FlightFlow *f)
{
    for (size_t i = 0; i < f->n_records; i++) {
        got.fates[f->records[i]->fate]++;
        if (got.records < TW_NELEM(got.seq))
            got.seq[got.records] = f->records[i]->seq;
        got.records++;
    }
}

static void on_progress(const Tw__TestRunProgress *p, void *ctx)
{
    const Tw__Summary *t = p->total;
    struct tw_summary s;
    struct tw_err err = { 0 };

    (void)ctx;
    got.n++;
    got.phase = p->phase;
    got.end = p->end;
    got.in_flight = p->in_flight;
    got.last_known = p->last_known;
    snprintf(got.detail, sizeof got.detail, "%s", p->detail);
    got.total = t != NULL;
    got.sent = t ? t->sent : 0;
    got.received = t ? t->received : 0;
    got.lost = t ? t->lost_forward + t->lost_backward + t->lost_unknown : 0;
    got.test_id = t ? t->test_id : 0;
    got.pair_id = t ? t->pair_id : 0;
    got.records = 0;
    memset(got.fates, 0, sizeof got.fates);
    for (size_t i = 0; i < p->n_packets; i++)
        take_records(p->packets[i]);
    if (!t)
        return;
    summary_init(&s);
    if (summary_from_pb(t, &s, &err)) /* it is one that the controller would take */
        fail_msg("%s: %s", err.field, err.text);
    got.valid = true;
    summary_free(&s);
}

/* ---- The rig ---- */

static void collect(void *ctx)
{
    on_results(ctx);
}

static int setup_tests(void **state)
{
    struct fx *f;

    log_init("test", LOG_ERROR_, LOG_TEXT);
    setup(state);
    f = *state;
    for (size_t i = 0; i < WORKERS; i++) { /* with a flight recorder, which the rig has not */
        struct worker_cfg wc = { .index = (unsigned)i,
                                 .loop = f->loop,
                                 .on_results = on_results,
                                 .ctx = f,
                                 .max_sessions = SESSIONS_MAX,
                                 .flight_probes = 256,
                                 .flight_bytes = 1u << 20 };
        struct tw_addr a;
        struct tw_err err = { 0 };
        worker_free(f->workers[i]);
        if (i == 0)
            assert_int_equal(tw_addr_parse("127.0.0.1", 0, &wc.reflect[0]), TW_OK);
        assert_int_equal(worker_start(&wc, &f->workers[i], &err), TW_OK);
        if (i == 0) {
            assert_int_equal(worker_reflector_addr(f->workers[0], 0, &a), TW_OK);
            f->port = a.port;
        }
    }
    dns_reset();
    assert_int_equal(
        resolver_new(&(struct resolver_conf){ .loop = f->loop, .lookup = dns_lookup }, &f->resolver), TW_OK);
    assert_int_equal(ondemand_new(&(struct ondemand_conf){ .loop = f->loop,
                                                           .workers = f->workers,
                                                           .n_workers = WORKERS,
                                                           .schedule = f->run,
                                                           .resolver = f->resolver,
                                                           .recording = true,
                                                           .collect = collect,
                                                           .ctx = f },
                                  &f->ondemand),
                     TW_OK);
    memset(&got, 0, sizeof got);
    return 0;
}

static Tw__TestRunRequest request(struct fx *f, uint64_t test_id, uint64_t pair)
{
    Tw__TestRunRequest rq = TW__TEST_RUN_REQUEST__INIT;

    f->n = test_id % SPECS;
    rq.spec = add(f, pair, 0);
    f->n = 0;
    rq.test_id = test_id;
    rq.flows = 1;
    rq.count = 20;
    rq.lease_ns = 10 * TW_NS_PER_S;
    return rq;
}

static void start(struct fx *f, const Tw__TestRunRequest *rq)
{
    unsigned n = got.n;

    ondemand_start(f->ondemand, rq, on_start, NULL);
    if (got.n != n + 1)
        fail_msg("refused: %s", got.text);
}

static bool look_with(struct fx *f, uint64_t test_id, uint64_t pair, bool packets)
{
    Tw__TestRunProgressRequest rq = TW__TEST_RUN_PROGRESS_REQUEST__INIT;
    unsigned n = got.n;

    rq.test_id = test_id;
    rq.pair_id = pair;
    rq.lease_ns = 10 * TW_NS_PER_S;
    rq.packets = packets;
    ondemand_progress(f->ondemand, &rq, on_progress, NULL);
    return got.n == n + 1;
}

static bool is_done(struct fx *f, uint64_t test_id, uint64_t pair)
{
    assert_true(look_with(f, test_id, pair, false));
    return got.phase == TW__TEST_PHASE__TEST_PHASE_DONE;
}

/* ---- Tests ---- */

static void count_is_exact(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1795749438, 5);
    uint64_t sent = 0;

    rq.flows = 3;
    start(f, &rq);
    for (;;) {
        bool done = is_done(f, 1795749438, 5);
        if (got.sent < sent || got.received + got.lost != got.sent || got.sent + got.in_flight > 60)
            fail_msg("%u sent after %u, %u received, %u lost, %u in flight", (unsigned)got.sent,
                     (unsigned)sent, (unsigned)got.received, (unsigned)got.lost, (unsigned)got.in_flight);
        sent = got.sent;
        if (done)
            break;
        turn(f);
    }
    assert_int_equal(got.sent, 60);
    assert_int_equal(got.end, TW__TEST_END__TEST_END_COMPLETE);
    assert_int_equal(got.test_id, 1795749438);
    assert_int_equal(got.pair_id, 5);
    assert_int_equal(f->seen[5].sent, 60); /* what goes to the spool is the same */
    assert_int_equal(f->seen[5].last_test_id, 1795749438);
    assert_string_equal(f->seen[5].names, "mesh/class/target");
}

/* ---- Targets by name ---- */

static Tw__TestRunRequest named(struct fx *f, uint64_t test_id, const char *host)
{
    Tw__TestRunRequest rq = request(f, test_id, 5);

    rq.spec->address = (char *)"";
    rq.spec->host = (char *)host;
    return rq;
}

static uint64_t lookups(struct fx *f)
{
    struct resolver_counters c;

    resolver_counters(f->resolver, &c);
    return c.lookups;
}

static void it_begins_when_the_name_has_an_address(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest counted = named(f, 1, "r1.example"), timed = named(f, 2, "r1.example");

    timed.count = 0;
    timed.duration_ns = 300 * TW_NS_PER_MS;
    DNS_SET("r1.example", "127.0.0.1");
    dns_hold(true);
    start(f, &counted);
    start(f, &timed);
    for (int64_t end_ns = tw_mono_now().ns + 400 * TW_NS_PER_MS; tw_mono_now().ns < end_ns;)
        turn(f);
    assert_false(is_done(f, 1, 5));
    assert_false(is_done(f, 2, 5)); /* its time has not begun */
    assert_int_equal(got.sent + got.in_flight, 0);
    dns_hold(false);
    WAIT(f, is_done(f, 1, 5));
    assert_int_equal(got.sent, 20);
    assert_int_equal(got.received, 20);
    WAIT(f, is_done(f, 2, 5));
    assert_true(got.sent > 0 && got.end == TW__TEST_END__TEST_END_COMPLETE);
    assert_int_equal(lookups(f), 1);
}

static void a_name_without_address_fails(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = named(f, 1, "nosuch.example");

    start(f, &rq);
    WAIT(f, is_done(f, 1, 5));
    assert_int_equal(got.end, TW__TEST_END__TEST_END_FAILED);
    assert_string_equal(got.detail, "the agent finds no address of \"nosuch.example\": no such name");
    assert_false(got.total);
    assert_int_equal(f->seen[5].n, 0);
}

/* While it waits for the name. */
static void a_stop_ends_the_waiting(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = named(f, 1, "r1.example");
    Tw__TestRunStopRequest stop = TW__TEST_RUN_STOP_REQUEST__INIT;

    DNS_SET("r1.example", "127.0.0.1");
    dns_hold(true);
    start(f, &rq);
    stop.test_id = 1;
    stop.pair_id = 5;
    ondemand_stop(f->ondemand, &stop, on_stop, NULL);
    assert_true(is_done(f, 1, 5));
    assert_int_equal(got.end, TW__TEST_END__TEST_END_STOPPED);
    dns_hold(false);
    for (int i = 0; i < 50; i++)
        turn(f);
    assert_int_equal(sessions_in_workers(f), 0);
}

static void hostile_names_are_refused(void **state)
{
    static const char *const rows[] = { "127.1", "a b", "..", "%n", "r1:862" };
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__TestRunRequest rq = named(f, i + 1, rows[i]);
        unsigned failed = got.failed;

        ondemand_start(f->ondemand, &rq, on_start, NULL);
        assert_int_equal(got.failed, failed + 1);
        assert_non_null(strstr(got.text, "host name is none"));
    }
}

static void two_of_the_same_pair_do_not_mix(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest one = request(f, 1, 5), two = request(f, 2, 5);

    add(f, 5, 0);
    apply(f, 1); /* and the schedule measures it, too */
    one.count = 30;
    two.count = 10;
    start(f, &one);
    start(f, &two);
    WAIT(f, is_done(f, 1, 5));
    assert_int_equal(got.sent, 30);
    assert_int_equal(got.test_id, 1);
    WAIT(f, is_done(f, 2, 5));
    assert_int_equal(got.sent, 10);
    assert_int_equal(got.test_id, 2);
    assert_int_equal(schedule_run_sessions(f->run), 1);
    assert_int_equal(sessions_in_workers(f), 1);
}

static void a_stop_stops(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1, 5);
    Tw__TestRunStopRequest stop = TW__TEST_RUN_STOP_REQUEST__INIT;
    uint64_t sent;

    rq.count = 0;
    rq.duration_ns = 3600 * TW_NS_PER_S;
    start(f, &rq);
    WAIT(f, !is_done(f, 1, 5) && got.received > 10);
    assert_true(got.last_known);
    stop.test_id = 1;
    stop.pair_id = 5;
    ondemand_stop(f->ondemand, &stop, on_stop, NULL);
    sent = got.sent + got.in_flight;
    WAIT(f, is_done(f, 1, 5));
    assert_int_equal(got.end, TW__TEST_END__TEST_END_STOPPED);
    assert_true(got.sent >= sent && got.sent <= sent + 10); /* what left before the worker heard of it */
    stop.pair_id = 6;
    ondemand_stop(f->ondemand, &stop, on_stop, NULL);
    assert_int_equal(got.status, TW__STATUS__STATUS_NOT_FOUND);
}

static void a_duration_ends(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1, 5);

    rq.count = 1000000;
    rq.duration_ns = 200 * TW_NS_PER_MS;
    start(f, &rq);
    WAIT(f, is_done(f, 1, 5));
    assert_int_equal(got.end, TW__TEST_END__TEST_END_COMPLETE);
    assert_true(got.sent > 0 && got.sent < 1000000);
}

static void a_lease_ends(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1, 5);
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;

    rq.count = 0;
    rq.duration_ns = 3600 * TW_NS_PER_S;
    rq.lease_ns = ONDEMAND_LEASE_MIN_NS;
    start(f, &rq);
    WAIT(f, (ondemand_fill_health(f->ondemand, &h), h.tests_expired == 1)); /* nobody asks */
    WAIT(f, is_done(f, 1, 5));
    assert_int_equal(got.end, TW__TEST_END__TEST_END_LEASE);
    assert_int_equal(sessions_in_workers(f), 0);
}

static void packets_are_told(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1, 5);

    rq.count = 12;
    rq.packets = true;
    start(f, &rq);
    WAIT(f, is_done(f, 1, 5));
    assert_true(look_with(f, 1, 5, true)); /* all of them, after the session has gone */
    assert_int_equal(got.records, 12);
    assert_int_equal(got.fates[FLIGHT_RECEIVED], got.received);
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(got.seq[i], i);
}

static void a_schedule_has_precedence(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest one = request(f, 1, 5), two = request(f, 2, 6);

    one.count = two.count = 0;
    one.duration_ns = two.duration_ns = 3600 * TW_NS_PER_S;
    one.flows = 6;
    two.flows = 8;
    start(f, &one);
    start(f, &two);
    for (uint32_t i = 0; i < 10; i++)
        add(f, 7, i);
    apply(f, 1); /* 16 are allowed: 10 and 6 */
    ondemand_on_schedule(f->ondemand);
    assert_int_equal(refusals(f), 0);
    WAIT(f, is_done(f, 2, 6));
    assert_int_equal(got.end, TW__TEST_END__TEST_END_NO_ROOM);
    assert_string_equal(got.detail, "over this agent's --max-sessions");
    assert_false(is_done(f, 1, 5));
}

struct spoiled {
    const char *name;
    uint64_t test_id, count;
    int64_t duration_ns, lease_ns, spacing_ns;
    uint32_t flows, port, size;
    const char *key_id;
    Tw__Status status;
    const char *text;
};

static void wrong_ones_are_refused(void **state)
{
    static const struct spoiled cases[] = {
        { "no test", 0, 1, 0, 0, 0, 1, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "numbers of test" },
        { "no end", 9, 0, 0, 0, 0, 1, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "expected a count" },
        { "too many", 9, 10000001, 0, 0, 0, 1, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "10000000" },
        { "too long", 9, 0, INT64_MAX, 0, 0, 1, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "24h" },
        { "negative", 9, 0, -1, 0, 0, 1, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "24h" },
        { "no lease", 9, 1, 0, 1, 0, 1, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "lease" },
        { "no flows", 9, 1, 0, 0, 0, 0, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "flows" },
        { "33 flows", 9, 1, 0, 0, 0, 33, 0, 0, "", TW__STATUS__STATUS_INVALID_ARGUMENT, "flows" },
        { "no port", 9, 1, 0, 0, 0, 1, 70000, 0, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "port" },
        { "size", 9, 1, 0, 0, 0, 1, 0, 9001, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "9000" },
        { "spacing", 9, 1, 0, 0, 1, 1, 0, 0, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "spacing" },
        { "a week", 9, 10000000, 0, 0, 60000000, 1, 0, 0, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "24h" },
        { "sessions", 9, 1, 0, 0, 0, 17, 0, 0, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "--max-sessions" },
        { "pps", 9, 1, 0, 0, 1000000, 6, 0, 0, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "--max-pps" },
        { "bps", 9, 1, 0, 0, 0, 1, 0, 9000, "", TW__STATUS__STATUS_FAILED_PRECONDITION, "--max-bps" },
        { "key", 9, 1, 0, 0, 0, 1, 0, 0, "site", TW__STATUS__STATUS_FAILED_PRECONDITION, "--secrets" },
    };
    struct fx *f = *state;
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;

    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        const struct spoiled *c = &cases[i];
        Tw__TestRunRequest rq = request(f, 9, 5);

        rq.test_id = c->test_id;
        rq.count = c->count;
        rq.duration_ns = c->duration_ns;
        rq.flows = c->flows;
        rq.lease_ns = c->lease_ns ? c->lease_ns : rq.lease_ns;
        rq.spec->port = c->port ? c->port : rq.spec->port;
        rq.spec->size_bytes = c->size ? c->size : rq.spec->size_bytes;
        rq.spec->spacing_ns = c->spacing_ns ? c->spacing_ns : rq.spec->spacing_ns;
        rq.spec->key_id = (char *)c->key_id;
        got.text[0] = '\0';
        ondemand_start(f->ondemand, &rq, on_start, NULL);
        if (got.n || got.status != c->status || !strstr(got.text, c->text))
            fail_msg("%s: %d \"%s\"", c->name, (int)got.status, got.text);
    }
    ondemand_fill_health(f->ondemand, &h);
    assert_int_equal(h.tests_refused, TW_NELEM(cases));
    assert_int_equal(h.tests_started, 0);
    assert_false(look_with(f, 9, 5, false));
    assert_int_equal(got.status, TW__STATUS__STATUS_NOT_FOUND);
}

static void no_probes_to_many_hosts_at_once(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1, 5);

    rq.spec->address = (char *)"224.0.0.1";
    ondemand_start(f->ondemand, &rq, on_start, NULL);
    assert_int_equal(got.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(got.text, "single host"));
    assert_int_equal(got.n, 0);
}

static void the_same_again_is_refused(void **state)
{
    struct fx *f = *state;
    Tw__TestRunRequest rq = request(f, 1, 5);

    start(f, &rq);
    ondemand_start(f->ondemand, &rq, on_start, NULL);
    assert_int_equal(got.status, TW__STATUS__STATUS_ALREADY_EXISTS);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup_tests, teardown)
    const struct CMUnitTest tests[] = {
        CASE(count_is_exact),
        CASE(it_begins_when_the_name_has_an_address),
        CASE(a_name_without_address_fails),
        CASE(a_stop_ends_the_waiting),
        CASE(hostile_names_are_refused),
        CASE(two_of_the_same_pair_do_not_mix),
        CASE(a_stop_stops),
        CASE(a_duration_ends),
        CASE(a_lease_ends),
        CASE(packets_are_told),
        CASE(a_schedule_has_precedence),
        CASE(wrong_ones_are_refused),
        CASE(no_probes_to_many_hosts_at_once),
        CASE(the_same_again_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
