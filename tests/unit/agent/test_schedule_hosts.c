/* Sessions whose target is a name: on real workers on loopback, with lookups of the test. */
#include "tests/unit/agent/schedule_rig.h"
#include "common/times.h"
#include "tests/unit/agent/fake_dns.h"

#define SUMMARIES 64

/* Those that no worker made. */
static struct {
    size_t n;
    struct said {
        uint64_t pair_id, generation;
        uint32_t flow;
        int64_t start_ns, end_ns;
        char names[64];
    } v[SUMMARIES];
} said;

static void on_summary(void *ctx, const struct tw_summary *s)
{
    struct fx *f = ctx;
    struct said *x = &said.v[said.n % SUMMARIES];
    Tw__Summary m = TW__SUMMARY__INIT;
    struct tw_err err = { 0 };

    if (summary_validate(s, &err))
        fail_msg("%s %s", err.field, err.text);
    assert_int_equal(s->status, TW_STATUS_NAME_ERROR);
    assert_int_equal(s->sent, 0);
    m.pair_id = s->pair_id;
    schedule_run_name(f->run, &m);
    *x = (struct said){ s->pair_id, s->generation, s->flow, s->start_ns, s->end_ns, "" };
    snprintf(x->names, sizeof x->names, "%s/%s/%s", m.mesh, m.class_name, m.target);
    said.n++;
}

static int setup_hosts(void **state, bool resolver)
{
    struct schedule_run_conf c = { .n_workers = WORKERS,
                                   .limits = { SESSIONS_MAX, PPS_MAX, BPS_MAX },
                                   .on_applied = on_applied,
                                   .on_summary = on_summary };
    struct fx *f;

    dns_reset();
    said.n = 0;
    rig_reflects_at = "0.0.0.0";
    setup_with(state, true);
    f = *state;
    schedule_run_free(f->run);
    c.loop = f->loop;
    c.workers = f->workers;
    c.ctx = f;
    if (resolver)
        assert_int_equal(resolver_new(&(struct resolver_conf){ .loop = f->loop,
                                                               .lookup = dns_lookup,
                                                               .every_ns = 5 * TW_NS_PER_MS,
                                                               .retry_ns = 5 * TW_NS_PER_MS },
                                      &f->resolver),
                         TW_OK);
    c.resolver = f->resolver;
    assert_int_equal(schedule_run_new(&c, &f->run), TW_OK);
    return 0;
}

static int setup_named(void **state)
{
    return setup_hosts(state, true);
}

static int setup_nameless(void **state)
{
    return setup_hosts(state, false);
}

static int teardown_named(void **state)
{
    dns_hold(false);
    return teardown(state);
}

static Tw__SessionSpec *add_named(struct fx *f, uint64_t pair, uint32_t flow, const char *host)
{
    Tw__SessionSpec *p = add(f, pair, flow);

    p->address = (char *)"";
    p->host = (char *)host;
    p->timeout_ns = 5 * TW_NS_PER_S; /* a busy machine loses nothing */
    return p;
}

static struct resolver_counters names_now(struct fx *f)
{
    struct resolver_counters c;

    resolver_counters(f->resolver, &c);
    return c;
}

/* ---- Tests ---- */

/* Whoever has a name server in hand does not send an agent's probes to many hosts at once. */
static void a_name_leads_only_where_probes_may_go(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1.example", "224.0.0.1", "255.255.255.255");
    DNS_SET("r2.example", "239.1.1.1", "127.0.0.1");
    add_named(f, 1, 0, "r1.example");
    add_named(f, 2, 0, "r2.example");
    apply(f, 1);
    WAIT(f, totals_of(f, 2).received >= 5 && names_now(f).failures);
    assert_int_equal(sessions_in_workers(f), 1);
    assert_int_equal(sent_by(f, 1), 0);
    DNS_SET("r1.example", "127.0.0.1");
    WAIT(f, totals_of(f, 1).received >= 5);
}


static void sessions_start_when_the_name_resolves(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1.example", "127.0.0.1");
    dns_hold(true);
    add_named(f, 1, 0, "r1.example");
    add_named(f, 1, 1, "r1.example");
    add(f, 2, 0);
    apply(f, 1); /* acknowledged, and the other one runs */
    WAIT(f, sent_by(f, 2) >= 5);
    assert_int_equal(sessions_in_workers(f), 1);
    assert_int_equal(schedule_run_sessions(f->run), 3);
    dns_hold(false);
    WAIT(f, totals_of(f, 1).received >= 10);
    assert_int_equal(refusals(f), 0);
    assert_int_equal(sessions_in_workers(f), 3);
    assert_int_equal(names_now(f).names, 1);
    assert_int_equal(said.n, 0); /* no lookup failed, and no period ended */
}

/* Lookups that never end: sessions beside them go on, schedules are taken over. */
static void slow_lookups_delay_no_probe(void **state)
{
    static char host[8][16];
    struct fx *f = *state;
    uint64_t lost;

    dns_hold(true);
    for (uint64_t g = 1; g <= 5; g++) {
        add(f, 1, 0)->timeout_ns = 5 * TW_NS_PER_S;
        for (unsigned i = 0; i < TW_NELEM(host); i++) {
            snprintf(host[i], sizeof host[i], "silent%u", i + (unsigned)g);
            add_named(f, 10 + i, 0, host[i]);
        }
        apply(f, g);
        received_more(f, 1);
    }
    lost = totals_of(f, 1).lost;
    assert_int_equal(lost, 0);
    assert_int_equal(f->ended, 0); /* of one piece */
    assert_int_equal(names_now(f).names, TW_NELEM(host));
    assert_int_equal(names_now(f).unresolved, TW_NELEM(host));
}

static void another_address_is_no_loss(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "127.0.0.1");
    add_named(f, 1, 0, "r1");
    add_named(f, 2, 0, "r1");
    add(f, 3, 0)->timeout_ns = 5 * TW_NS_PER_S;
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 10 && totals_of(f, 2).received >= 10);
    DNS_SET("r1", "127.0.0.2");
    WAIT(f, f->ended == 2);
    assert_int_equal(schedule_run_moves(f->run), 2);
    for (unsigned i = 1; i <= 2; i++) {
        assert_int_equal(f->seen[i].n, 1);
        assert_int_equal(f->seen[i].sent, f->seen[i].received);
        received_more(f, i);
        assert_int_equal(totals_of(f, i).lost, 0);
    }
    assert_int_equal(f->seen[3].n, 0);
    assert_int_equal(f->applied, 1); /* nobody has to hear of it */
    assert_int_equal(said.n, 0);
}

static void a_failing_name_goes_on_where_it_was(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "127.0.0.1");
    add_named(f, 1, 0, "r1");
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 5);
    DNS_SET("r1", NULL);
    WAIT(f, names_now(f).stale == 1);
    received_more(f, 1);
    DNS_SET("r1", "127.0.0.1");
    WAIT(f, names_now(f).stale == 0);
    assert_int_equal(f->ended + said.n + schedule_run_moves(f->run), 0);
}

static void the_same_name_goes_on_in_the_next_schedule(void **state)
{
    struct fx *f = *state;

    DNS_SET("r1", "127.0.0.1");
    DNS_SET("r2", "127.0.0.1");
    for (uint64_t g = 1; g <= 3; g++) {
        add_named(f, 1, 0, "r1");
        apply(f, g);
        received_more(f, 1);
    }
    assert_int_equal(f->ended, 0);
    add_named(f, 1, 0, "r1")->dscp = 46;
    apply(f, 4);
    WAIT(f, f->ended == 1);
    add_named(f, 1, 0, "r2")->dscp = 46; /* another name, although of the same address */
    apply(f, 5);
    WAIT(f, f->ended == 2);
    received_more(f, 1); /* it may wait for the name at first, and what does not run cannot end */
    add(f, 1, 0)->dscp = 46;
    apply(f, 6);
    WAIT(f, f->ended == 3);
    assert_int_equal(names_now(f).names, 0);
    received_more(f, 1);
    add_named(f, 1, 0, "r1")->dscp = 46;
    apply(f, 7);
    WAIT(f, f->ended == 4);
    received_more(f, 1);
    assert_int_equal(schedule_run_moves(f->run), 0);
}

static size_t no_secret(void *ctx, const char *key_id, unsigned which, uint8_t *ret, size_t cap)
{
    (void)ctx;
    (void)key_id;
    (void)which;
    (void)ret;
    (void)cap;
    return 0;
}

/* Sessions that TWAMP-Control agrees: the connection goes to the name, and both flows move together. */
static void agreed_sessions_move_together(void **state)
{
    struct fx *f = *state;
    struct ctl_listener_cfg c = { .loop = f->loop,
                                  .workers = f->workers,
                                  .n_workers = WORKERS,
                                  .modes = TWAMP_SECURITY | TWAMP_FEATURES,
                                  .secret = no_secret,
                                  .count = 1024 };
    struct ctl_listener_counters counted;
    struct tw_addr a;
    struct tw_err err = { 0 };

    assert_int_equal(tw_addr_parse("0.0.0.0", 0, &c.listen[0]), TW_OK);
    assert_int_equal(ctl_listener_start(&c, &f->control, &err), TW_OK);
    assert_int_equal(ctl_listener_addr(f->control, 0, &a), TW_OK);
    DNS_SET("r1", "127.0.0.1");
    for (uint32_t flow = 0; flow < 2; flow++) {
        Tw__SessionSpec *p = add_named(f, 1, flow, "r1");
        p->protocol = TW__PROTOCOL__PROTOCOL_TWAMP;
        p->port = a.port;
        p->size_bytes = 100;
        p->timeout_ns = 200 * TW_NS_PER_MS; /* it redials when the last answers are in */
    }
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 20);
    DNS_SET("r1", "127.0.0.2");
    WAIT(f, f->ended == 2);
    assert_int_equal(schedule_run_moves(f->run), 2);
    WAIT(f, totals_of(f, 1).received >= 20);
    ctl_listener_counters(f->control, &counted);
    assert_int_equal(counted.accepted, 2);
    assert_int_equal(counted.connections, 1);
    assert_int_equal(refusals(f), 0);
}

/* ---- Without an address ---- */

static void without_an_address_each_period_says_so(void **state)
{
    struct fx *f = *state;
    int64_t resolved_ns;
    size_t n;

    add_named(f, 1, 3, "r1")->report_period_ns = TW_NS_PER_S;
    f->spec[0].timeout_ns = TW_NS_PER_S;
    apply(f, 1);
    WAIT(f, said.n == 2);
    DNS_SET("r1", "127.0.0.1");
    resolved_ns = tw_wall_now().ns;
    WAIT(f, sent_by(f, 1) >= 1);
    n = said.n;
    for (size_t i = 0; i < n; i++) {
        const struct said *x = &said.v[i];

        assert_int_equal(x->pair_id, 1);
        assert_int_equal(x->flow, 3);
        assert_int_equal(x->generation, 1);
        assert_string_equal(x->names, "mesh/class/target");
        assert_true(x->end_ns - x->start_ns <= TW_NS_PER_S);
        if (i)
            assert_true(x->start_ns == said.v[i - 1].end_ns && x->start_ns % TW_NS_PER_S == 0);
    }
    assert_true(n >= 3 && said.v[n - 1].end_ns >= resolved_ns); /* until there was one */
    WAIT(f, f->seen[1].n >= 1);
    assert_true(f->seen[1].start_ns >= said.v[n - 1].end_ns);
    assert_int_equal(said.n, n);
}

static void who_goes_while_it_waits(void **state)
{
    struct fx *f = *state;

    add_named(f, 1, 0, "r1");
    add_named(f, 2, 0, "r2");
    apply(f, 1);
    WAIT(f, names_now(f).failures >= 4);
    add_named(f, 2, 0, "r2");
    apply(f, 2); /* the first is gone: what it waited is said, by its name */
    assert_int_equal(said.n, 1);
    assert_int_equal(said.v[0].pair_id, 1);
    assert_string_equal(said.v[0].names, "mesh/class/target");
    add_named(f, 2, 0, "r2")->dscp = 46;
    apply(f, 3); /* and so of one that changes */
    assert_int_equal(said.n, 2);
    assert_int_equal(said.v[1].generation, 2);
    schedule_run_clock_set(f->run); /* begins a new part */
    assert_int_equal(said.n, 3);
    assert_int_equal(said.v[2].generation, 3);
}

/* ---- Times ---- */

static Tw__SessionSpec *add_once(struct fx *f, uint64_t pair, const char *host, int64_t at_ns, int64_t for_ns)
{
    static uint8_t room[TIMES_PACKED_MAX];
    static Tw__TimesRule rule;
    Tw__SessionSpec *p = add_named(f, pair, 0, host);
    struct times *t;

    assert_int_equal(times_new(&t), TW_OK);
    t->kind = TIMES_ONCE;
    t->at_ns = at_ns;
    t->for_ns = for_ns;
    tw__times_rule__init(&rule);
    assert_int_equal(times_pack(t, room, sizeof room, &rule.rule.len), TW_OK);
    rule.rule.data = room;
    rule.id = 7;
    times_unref(t);
    f->rules[0] = &rule;
    f->n_rules = 1;
    p->times_id = 7;
    return p;
}

static void a_run_without_address_is_missed(void **state)
{
    struct fx *f = *state;
    int64_t start_ns = (tw_wall_now().ns / TW_NS_PER_S + 1) * TW_NS_PER_S;
    uint64_t runs, missed = 0;

    add_once(f, 1, "r1", start_ns, TW_NS_PER_S / 2);
    apply(f, 1);
    WAIT(f, (schedule_run_runs(f->run, &runs, &missed), missed == 1));
    assert_int_equal(said.n, 1);
    assert_true(said.v[0].start_ns >= start_ns && said.v[0].end_ns == start_ns + TW_NS_PER_S / 2);
    DNS_SET("r1", "127.0.0.1"); /* too late */
    WAIT(f, names_now(f).unresolved == 0);
    assert_int_equal(sessions_in_workers(f), 0);
}

static void a_run_goes_on_at_the_next_address(void **state)
{
    struct fx *f = *state;
    int64_t start_ns = tw_wall_now().ns;
    uint64_t runs, missed;

    DNS_SET("r1", "127.0.0.1");
    add_once(f, 1, "r1", start_ns, 600 * TW_NS_PER_S);
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 5);
    DNS_SET("r1", "127.0.0.2");
    WAIT(f, f->ended == 1);
    received_more(f, 1);
    schedule_run_runs(f->run, &runs, &missed);
    assert_int_equal(runs, 1);
    assert_int_equal(missed, 0);
    assert_int_equal(f->seen[1].sent, f->seen[1].received);
}

/* ---- What is refused ---- */

static void hostile_names_are_refused(void **state)
{
    static const struct {
        const char *host, *address, *want;
        uint32_t family, port;
    } rows[] = {
        { "r1", "", "", 0, 9 },
        { "r1", "", "", 6, 9 },
        { "r1", "127.0.0.1", "an address and a host name", 0, 9 },
        { "r1", "", "neither 4 nor 6", 5, 9 },
        { "r1", "", "neither 4 nor 6", 260, 9 },
        { "r1", "", "port", 0, 0 },
        { "127.1", "", "host name is none", 0, 9 },
        { "a b", "", "host name is none", 0, 9 },
        { "a\n[secret]", "", "host name is none", 0, 9 },
        { "..", "", "host name is none", 0, 9 },
        { "%s%n", "", "host name is none", 0, 9 },
    };
    struct fx *f = *state;

    for (uint64_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__SessionSpec *p = add_named(f, i + 1, 0, rows[i].host);
        p->address = (char *)rows[i].address;
        p->host_family = rows[i].family;
        p->port = rows[i].port;
        p->spacing_ns = TW_NS_PER_S;
    }
    apply(f, 1);
    for (uint64_t i = 0; i < TW_NELEM(rows); i++) {
        const char *got = refusal_of(f, i + 1, 0);
        if (*rows[i].want ? !strstr(got, rows[i].want) : *got)
            fail_msg("\"%s\": refused with \"%s\"", rows[i].host, got);
    }
    assert_int_equal(names_now(f).names, 2);
}

static void a_bound_address_says_the_family(void **state)
{
    struct fx *f = *state;

    DNS_SET("both", "::1", "127.0.0.1");
    add_named(f, 1, 0, "both")->bind = (char *)"127.0.0.3";
    add_named(f, 2, 0, "both")->bind = (char *)"::1";
    f->spec[1].host_family = 4;
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 2, 0), "another family"));
    WAIT(f, totals_of(f, 1).received >= 5);
}

static void without_a_resolver(void **state)
{
    struct fx *f = *state;

    add_named(f, 1, 0, "r1");
    add(f, 2, 0);
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 1, 0), "does not look names up"));
    WAIT(f, sent_by(f, 2) >= 5);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup_named, teardown_named)
    const struct CMUnitTest tests[] = {
        ROW(sessions_start_when_the_name_resolves),
        ROW(slow_lookups_delay_no_probe),
        ROW(another_address_is_no_loss),
        ROW(agreed_sessions_move_together),
        ROW(a_failing_name_goes_on_where_it_was),
        ROW(the_same_name_goes_on_in_the_next_schedule),
        ROW(without_an_address_each_period_says_so),
        ROW(who_goes_while_it_waits),
        ROW(a_run_without_address_is_missed),
        ROW(a_run_goes_on_at_the_next_address),
        ROW(a_name_leads_only_where_probes_may_go),
        ROW(hostile_names_are_refused),
        ROW(a_bound_address_says_the_family),
        cmocka_unit_test_setup_teardown(without_a_resolver, setup_nameless, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
