/* A controller with a bug, or in wrong hands: whatever it asks, the agent keeps its limits, says of each
 * session that it refuses why, once, and runs the rest. */
#include "tests/unit/agent/schedule_rig.h"
#include "agent/refusals.h"

#define GOOD 200
#define MANY 4000

/* ---- One forged session beside a good one ---- */

static char long_name[65];

static uint32_t forged_imix[] = { 64, 600, 70000 };

#define FORGE(name, change)                      \
    static void forge_##name(Tw__SessionSpec *p) \
    {                                            \
        change;                                  \
    }
FORGE(spacing_0, p->spacing_ns = 0)
FORGE(spacing_negative, p->spacing_ns = INT64_MIN)
FORGE(spacing_small, p->spacing_ns = 1)
FORGE(spacing_huge, p->spacing_ns = INT64_MAX)
FORGE(spacing_kind, p->spacing_kind = (Tw__SpacingKind)99)
FORGE(size_0, p->size_bytes = 0)
FORGE(size_jumbo, p->size_bytes = 9001)
FORGE(size_wraps, p->size_bytes = 65536 + 64)
FORGE(size_max, p->size_bytes = UINT32_MAX)
FORGE(imix, (p->imix_bytes = forged_imix, p->n_imix_bytes = 3))
FORGE(timeout_0, p->timeout_ns = 0)
FORGE(timeout_huge, p->timeout_ns = INT64_MAX)
FORGE(period_0, p->report_period_ns = 0)
FORGE(period_huge, p->report_period_ns = INT64_MAX)
FORGE(phase, p->phase_ns = -1)
FORGE(dscp, p->dscp = 64)
FORGE(ttl, p->ttl = 0)
FORGE(protocol, p->protocol = (Tw__Protocol)7)
FORGE(auth, p->auth = (Tw__Auth)-1)
FORGE(tlvs, p->tlvs = UINT32_MAX)
FORGE(port_0, p->port = 0)
FORGE(port_wraps, p->port = 65536 + 862)
FORGE(address, p->address = (char *)"router.example.net")
FORGE(no_address, p->address = (char *)"")
FORGE(multicast, p->address = (char *)"224.0.0.1")
FORGE(broadcast, p->address = (char *)"255.255.255.255")
FORGE(unspecified, p->address = (char *)"0.0.0.0")
FORGE(multicast6, p->address = (char *)"ff02::1")
FORGE(elsewhere, p->address = (char *)"203.0.113.9")
FORGE(elsewhere_mapped, p->address = (char *)"::ffff:203.0.113.9")
FORGE(mesh, p->mesh = long_name)
FORGE(class_name, p->class_name = long_name)
FORGE(target, p->target = long_name)
FORGE(interface, p->bind = (char *)"no-such-interface-at-all")
FORGE(pair_0, p->pair_id = 0)
FORGE(pair_reserved, p->pair_id = ONDEMAND_KEY | 5)
FORGE(times, p->times_id = 12345)
FORGE(in_flight, (p->spacing_ns = TW_NS_PER_MS, p->timeout_ns = p->report_period_ns = 3600 * TW_NS_PER_S))
FORGE(pps, p->spacing_ns = TW_NS_PER_MS) /* with the others of it */
FORGE(bps, p->size_bytes = 9000)

#define ROW(name, says)           \
    {                             \
#name, forge_##name, says \
    }
static const struct {
    const char *name;
    void (*forge)(Tw__SessionSpec *p);
    const char *says;
} forged[] = {
    ROW(spacing_0, "spacing outside"),
    ROW(spacing_negative, "spacing outside"),
    ROW(spacing_small, "spacing outside"),
    ROW(spacing_huge, "spacing outside"),
    ROW(spacing_kind, "kind of spacing"),
    ROW(size_0, "size"),
    ROW(size_jumbo, "size"),
    ROW(size_wraps, "size"),
    ROW(size_max, "size"),
    ROW(imix, "size"),
    ROW(timeout_0, "timeout"),
    ROW(timeout_huge, "timeout"),
    ROW(period_0, "report period"),
    ROW(period_huge, "report period"),
    ROW(phase, "phase"),
    ROW(dscp, "dscp"),
    ROW(ttl, "ttl"),
    ROW(protocol, "protocol"),
    ROW(auth, "authentication"),
    ROW(tlvs, "TLVs"),
    ROW(port_0, "port"),
    ROW(port_wraps, "port"),
    ROW(address, "not numeric"),
    ROW(no_address, "not numeric"),
    ROW(multicast, "single host"),
    ROW(broadcast, "single host"),
    ROW(unspecified, "single host"),
    ROW(multicast6, "single host"),
    ROW(elsewhere, "--probe-allow"),
    ROW(elsewhere_mapped, "--probe-allow"),
    ROW(mesh, "63 octets"),
    ROW(class_name, "63 octets"),
    ROW(target, "63 octets"),
    ROW(interface, "no such interface"),
    ROW(pair_0, "no pair"),
    ROW(pair_reserved, "2^53"),
    ROW(times, "did not come"),
    ROW(in_flight, "in flight"),
};

static struct tw_prefix loopback;

/* With --probe-allow 127.0.0.0/8. */
static int setup_fenced(void **state)
{
    struct schedule_run_conf c;
    struct fx *f;

    memset(long_name, 'x', sizeof long_name - 1);
    assert_int_equal(tw_prefix_parse("127.0.0.0/8", &loopback), TW_OK);
    setup(state);
    f = *state;
    c = (struct schedule_run_conf){ .loop = f->loop,
                                    .workers = f->workers,
                                    .n_workers = WORKERS,
                                    .limits = { SESSIONS_MAX, PPS_MAX, BPS_MAX },
                                    .targets = { &loopback, 1 },
                                    .on_applied = on_applied,
                                    .ctx = f };
    schedule_run_free(f->run);
    assert_int_equal(schedule_run_new(&c, &f->run), TW_OK);
    return 0;
}

static unsigned times_refused(struct fx *f, uint64_t pair)
{
    Tw__Refusal **list = NULL;
    uint64_t more;
    size_t n = schedule_run_refusals(f->run, &list, &more);
    unsigned found = 0;

    for (size_t i = 0; i < n; i++)
        found += list[i]->pair_id == pair;
    return found;
}

static void each_is_refused_alone(void **state)
{
    struct fx *f = *state;

    for (size_t i = 0; i < TW_NELEM(forged); i++) {
        Tw__SessionSpec *p = add(f, i + 1, 0);
        uint64_t pair;

        forged[i].forge(p);
        pair = p->pair_id;
        add(f, GOOD, 0);
        apply(f, i + 1);
        if (refusals(f) != 1 || !strstr(refusal_of(f, pair, 0), forged[i].says))
            fail_msg("%s: %zu refusals, \"%s\"", forged[i].name, refusals(f), refusal_of(f, pair, 0));
        assert_int_equal(schedule_run_sessions(f->run), 1);
    }
    WAIT(f, sent_by(f, GOOD) >= 20);
    assert_int_equal(sessions_in_workers(f), 1);
    assert_int_equal(f->ended + f->failed, 0); /* the good one went on through all of it */
}

static void all_at_once(void **state)
{
    struct fx *f = *state;
    uint64_t pair[SPECS];

    for (size_t i = 0; i < TW_NELEM(forged); i++) {
        Tw__SessionSpec *p = add(f, i + 1, 0);
        forged[i].forge(p);
        pair[i] = p->pair_id;
    }
    add(f, GOOD, 0);
    apply(f, 1);
    assert_int_equal(refusals(f), TW_NELEM(forged));
    for (size_t i = 0; i < TW_NELEM(forged); i++)
        if (times_refused(f, pair[i]) != 1 || !strstr(refusal_of(f, pair[i], 0), forged[i].says))
            fail_msg("%s: \"%s\"", forged[i].name, refusal_of(f, pair[i], 0));
    WAIT(f, sent_by(f, GOOD) >= 20);
    assert_int_equal(sessions_in_workers(f), 1);
}

static void duplicates_run_not_at_all(void **state)
{
    struct fx *f = *state;

    add(f, 1, 0);
    add(f, 2, 0);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 5 && sent_by(f, 2) >= 5);
    add(f, 1, 0)->size_bytes = 100; /* twice, and it ran before */
    add(f, 2, 0);
    add(f, 1, 0);
    add(f, 3, 7);
    add(f, 3, 7);
    add(f, 3, 7);
    add(f, 3, 8);
    apply(f, 2);
    assert_int_equal(refusals(f), 2);
    assert_string_equal(refusal_of(f, 1, 0), "this pair and flow stands more than once in the schedule");
    assert_string_equal(refusal_of(f, 3, 7), "this pair and flow stands more than once in the schedule");
    assert_int_equal(schedule_run_sessions(f->run), 2);
    WAIT(f, f->ended == 1 && sessions_in_workers(f) == 2 && sent_by(f, 3) >= 5);
    assert_int_equal(f->seen[2].n, 0); /* undisturbed */
}

/* ---- More than it may do ---- */

static const struct {
    const char *name;
    void (*forge)(Tw__SessionSpec *p);
    const char *says;
    size_t run;
} floods[] = {
    { "sessions", NULL, "over this agent's --max-sessions", SESSIONS_MAX },
    { "packets/s", forge_pps, "over this agent's --max-pps", 5 },
    { "bit/s", forge_bps, "over this agent's --max-bps", 0 },
};

/* Thousands are told up to a number, and counted beyond; the first ones run. */
static void a_flood_is_held_back(void **state)
{
    struct fx *f = *state;
    Tw__SessionSpec *spec = calloc(MANY, sizeof *spec), **list = calloc(MANY, sizeof *list);

    assert_non_null(spec);
    assert_non_null(list);
    for (size_t k = 0; k < TW_NELEM(floods); k++) {
        Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;
        Tw__Refusal **told = NULL;
        struct tw_err err = { 0 };
        uint64_t more = 0;
        size_t n;

        for (uint32_t i = 0; i < MANY; i++) {
            f->n = 0;
            spec[i] = *add(f, 1, i);
            if (floods[k].forge)
                floods[k].forge(&spec[i]);
            list[i] = &spec[i];
        }
        f->n = 0;
        rq.generation = k + 1;
        rq.digest = (ProtobufCBinaryData){ 1, &f->digest };
        rq.sessions = list;
        rq.n_sessions = MANY;
        assert_int_equal(schedule_run_apply(f->run, &rq, &err), TW_OK);
        n = schedule_run_refusals(f->run, &told, &more);
        assert_int_equal(n, REFUSALS_MAX);
        assert_int_equal(schedule_run_sessions(f->run) + n + more, MANY);
        for (size_t i = 0; i < n; i++)
            assert_string_equal(told[i]->reason, floods[k].says);
        if (floods[k].run)
            assert_int_equal(schedule_run_sessions(f->run), floods[k].run);
        else /* 200 a second of 9028 octets: 14.4 Mbit/s each, and 10 are allowed */
            assert_int_equal(schedule_run_sessions(f->run), 0);
        WAIT(f, f->applied_generation == k + 1 && sessions_in_workers(f) == floods[k].run);
    }
    free(spec);
    free(list);
}

/* The counts begin anew with each schedule: what was refused before takes nothing. */
static void limits_do_not_wear_out(void **state)
{
    struct fx *f = *state;

    for (uint64_t g = 1; g <= 20; g++) {
        for (uint32_t i = 0; i < 8; i++)
            add(f, 1, i)->spacing_ns = TW_NS_PER_MS;
        apply(f, g);
        assert_int_equal(schedule_run_sessions(f->run), 5);
        assert_int_equal(refusals(f), 3);
    }
    apply(f, 21);
    WAIT(f, sessions_in_workers(f) == 0);
}

/* What a controller gives as its own reason is a line, however long it is. */
static void a_long_reason_is_cut(void **state)
{
    struct fx *f = *state;
    char *text = malloc(100000);

    assert_non_null(text);
    memset(text, 'r', 99999);
    text[99999] = '\0';
    add(f, 1, 0)->refuse = text;
    apply(f, 1);
    assert_int_equal(strlen(refusal_of(f, 1, 0)), REFUSALS_REASON_MAX);
    free(text);
}

int main(void)
{
#undef ROW
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup_fenced, teardown)
    const struct CMUnitTest tests[] = {
        ROW(each_is_refused_alone),     ROW(all_at_once),
        ROW(duplicates_run_not_at_all), ROW(a_flood_is_held_back),
        ROW(limits_do_not_wear_out),    ROW(a_long_reason_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
