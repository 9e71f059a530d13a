/* Schedules taken over by real workers on loopback: what goes on, what restarts, what stops, what is refused.
 */
#include "tests/unit/agent/schedule_rig.h"
#include "common/times.h"
#include <sys/resource.h>

/* ---- Tests ---- */

static void the_same_sessions_go_on_under_a_new_generation(void **state)
{
    struct fx *f = *state;
    uint64_t before;

    add(f, 1, 0);
    add(f, 1, 1);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 20);
    before = sent_by(f, 1);
    add(f, 1, 0);
    add(f, 1, 1);
    apply(f, 2);
    assert_true(sent_by(f, 1) >= before);
    assert_int_equal(f->seen[1].n, 0);
    assert_int_equal(f->ended, 0);
    apply(f, 3); /* nothing any more: the last summaries come, each of one piece */
    WAIT(f, f->ended == 2 && f->seen[1].n == 2);
    assert_int_equal(f->seen[1].last_generation, 2);
    assert_true(f->seen[1].received >= before);
}

static void a_changed_session_restarts(void **state)
{
    struct fx *f = *state;

    add(f, 1, 0);
    add(f, 2, 0);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 5 && sent_by(f, 2) >= 5);
    add(f, 1, 0)->dscp = 46;
    add(f, 2, 0);
    apply(f, 2);
    WAIT(f, f->ended == 1 && f->seen[1].n == 1);
    assert_int_equal(f->seen[1].last_generation, 1);
    assert_int_equal(f->seen[2].n, 0);
    WAIT(f, sent_by(f, 1) >= 5);
    assert_int_equal(sessions_in_workers(f), 2);
}

static void a_removed_session_stops_and_its_last_summary_has_names(void **state)
{
    struct fx *f = *state;

    add(f, 1, 0)->timeout_ns = 400 * TW_NS_PER_MS;
    f->spec[0].port = 9; /* nobody answers: the last summary waits for the timeout */
    add(f, 2, 0);
    apply(f, 1);
    WAIT(f, sent_by(f, 1) >= 5);
    for (uint64_t g = 2; g <= 5; g++) { /* an operator who changes the mesh several times in a row */
        add(f, 2, 0);
        apply(f, g);
    }
    assert_int_equal(f->seen[1].n, 0);
    WAIT(f, f->seen[1].n == 1 && f->ended == 1);
    assert_string_equal(f->seen[1].names, "mesh/class/target");
    assert_true(f->seen[1].sent >= 5);
    WAIT(f, sessions_in_workers(f) == 1);
}

static void names_are_forgotten_at_last(void **state)
{
    struct fx *f = *state;
    Tw__Summary m = TW__SUMMARY__INIT;

    m.pair_id = 1;
    add(f, 1, 0);
    apply(f, 1);
    apply(f, 2);
    WAIT(f, f->ended == 1);
    schedule_run_name(f->run, &m);
    assert_string_equal(m.mesh, "mesh"); /* one more generation */
    apply(f, 3);
    m = (Tw__Summary)TW__SUMMARY__INIT;
    m.pair_id = 1;
    schedule_run_name(f->run, &m);
    assert_string_equal(m.mesh, "");
}

static void what_cannot_run_is_refused_with_a_reason(void **state)
{
    static const struct {
        const char *name, *want;
        int64_t spacing_ns, timeout_ns, period_ns;
        const char *address;
        uint32_t port, size, dscp, ttl;
    } rows[] = {
        { "fine", "", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 1 },
        { "name", "target address", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "localhost", 9, 64, 0, 1 },
        { "port", "port", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 65536, 64, 0, 1 },
        { "spacing", "spacing", TW_NS_PER_MS - 1, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 1 },
        { "size", "size", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 13, 0, 1 },
        { "dscp", "dscp", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 64, 1 },
        { "ttl", "ttl", TW_NS_PER_S, TW_NS_PER_S, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 256 },
        { "timeout", "timeout", TW_NS_PER_S, TW_NS_PER_S + 1, TW_NS_PER_S, "127.0.0.1", 9, 64, 0, 1 },
        { "in flight", "in flight", TW_NS_PER_MS, 3600 * TW_NS_PER_S, 3600 * TW_NS_PER_S, "127.0.0.1", 9, 64,
          0, 1 },
        { "period", "report period", TW_NS_PER_S, TW_NS_PER_S, INT64_MAX, "127.0.0.1", 9, 64, 0, 1 },
    };
    struct fx *f = *state;

    for (uint64_t i = 0; i < TW_NELEM(rows); i++) {
        Tw__SessionSpec *p = add(f, i + 1, 7);
        p->address = (char *)rows[i].address;
        p->spacing_ns = rows[i].spacing_ns;
        p->timeout_ns = rows[i].timeout_ns;
        p->report_period_ns = rows[i].period_ns;
        p->port = rows[i].port;
        p->size_bytes = rows[i].size;
        p->dscp = rows[i].dscp;
        p->ttl = rows[i].ttl;
    }
    apply(f, 1);
    for (uint64_t i = 0; i < TW_NELEM(rows); i++) {
        const char *got = refusal_of(f, i + 1, 7);
        if (*rows[i].want ? !strstr(got, rows[i].want) : *got)
            fail_msg("%s: refused with \"%s\"", rows[i].name, got);
    }
    assert_int_equal(schedule_run_sessions(f->run), 1);
    WAIT(f, sessions_in_workers(f) == 1);
}

/* The controller knew that it cannot run: the operator shall see it where all refusals are seen. */
static void what_the_controller_wants_refused_is_refused(void **state)
{
    struct fx *f = *state;
    Tw__SessionSpec *p = add(f, 1, 0);

    p->refuse = (char *)"the target agent has no TWAMP-Control server";
    p->port = 0;
    add(f, 2, 0);
    apply(f, 1);
    assert_string_equal(refusal_of(f, 1, 0), "the target agent has no TWAMP-Control server");
    assert_int_equal(schedule_run_sessions(f->run), 1);
}

/* ---- Keys ---- */

static void add_signed(struct fx *f, uint64_t pair, const char *key_id)
{
    Tw__SessionSpec *p = add(f, pair, 0);

    p->protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    p->auth = TW__AUTH__AUTH_AUTHENTICATED;
    p->key_id = (char *)key_id;
    p->size_bytes = 112;
    p->timeout_ns = 5 * TW_NS_PER_S; /* a host that holds us up loses nothing */
}

/* The passphrase changes step by step while a session runs: it goes on, and no probe or answer is turned
 * away. */
static void a_key_changes_without_a_gap(void **state)
{
    static const char *const steps[] = {
        "site old-passphrase\nsite new-passphrase\n", /* both taken, the old one signs */
        "site new-passphrase\nsite old-passphrase\n", /* the new one signs */
        "site new-passphrase\n",
    };
    struct fx *f = *state;
    struct session_totals t;

    add_signed(f, 1, "site");
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 20);
    for (size_t i = 0; i < TW_NELEM(steps); i++) {
        new_secrets(f, steps[i]);
        add_signed(f, 1, "site");
        apply(f, 1); /* the kept schedule, as main does */
        assert_int_equal(refusals(f), 0);
        answered_so_far(f, 1); /* as an operator does: the next step when this one is everywhere */
        received_more(f, 1);
    }
    t = totals_of(f, 1);
    assert_int_equal(f->ended + f->seen[1].n, 0); /* of one piece */
    assert_int_equal(t.rejected, 0);
    assert_int_equal(t.lost, 0);
    assert_int_equal(counters(f).reflector_auth_failed, 0);
    WAIT(f, counters(f).reflected_auth >= t.received); /* counted behind the answer */
}

static void keys_that_come_and_go(void **state)
{
    struct fx *f = *state;

    add_signed(f, 1, "site");
    add_signed(f, 2, "other");
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 2, 0), "not in the agent's file of secrets"));
    WAIT(f, totals_of(f, 1).received >= 5);
    new_secrets(f, "other passphrase of many words\n");
    add_signed(f, 1, "site");
    add_signed(f, 2, "other");
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 1, 0), "not in the agent's file of secrets"));
    assert_string_equal(refusal_of(f, 2, 0), "");
    WAIT(f, f->ended == 1 && totals_of(f, 2).received >= 5);
    assert_int_equal(totals_of(f, 2).rejected, 0);
}

/* A change that cannot be read leaves everything as it is, and says so. */
static void a_bad_file_changes_nothing(void **state)
{
    struct fx *f = *state;
    uint64_t version = keyring_version(f->keys);

    add_signed(f, 1, "site");
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 5);
    assert_string_equal(keyring_error(f->keys), "");
    write_secrets(f, "site\n");
    keyring_look(f->keys);
    assert_false(f->keys_changed);
    assert_true(*keyring_error(f->keys));
    assert_null(strstr(keyring_error(f->keys), "passphrase\n"));
    assert_int_equal(keyring_version(f->keys), version);
    received_more(f, 1);
    assert_int_equal(totals_of(f, 1).rejected, 0);
    new_secrets(f, "site old-passphrase\n");
    assert_string_equal(keyring_error(f->keys), "");
}

static void without_a_file_of_secrets(void **state)
{
    struct fx *f = *state;

    add_signed(f, 1, "site");
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 1, 0), "--secrets"));
}

/* STAMP without keys: plain, and with what the far end saw of our marking. */
static void stamp_tells_the_marking(void **state)
{
    struct fx *f = *state;
    Tw__SessionSpec *p = add(f, 1, 0);

    p->protocol = TW__PROTOCOL__PROTOCOL_STAMP;
    p->tlvs = STAMP_TLV_BIT(STAMP_TLV_COS);
    p->dscp = 46;
    p->reply_dscp = 34;
    apply(f, 1);
    WAIT(f, totals_of(f, 1).received >= 10);
    apply(f, 2);
    WAIT(f, f->seen[1].n == 1);
    assert_true(f->seen[1].tos_forward_min == 46 << 2 && f->seen[1].tos_forward_max == 46 << 2);
    assert_true(f->seen[1].tos_backward_min == 34 << 2);
    assert_true(counters(f).reflected_stamp >= 10);
}

static void the_agents_own_limits_hold(void **state)
{
    struct fx *f = *state;

    for (uint32_t i = 0; i < SESSIONS_MAX + 1; i++)
        add(f, 1, i)->spacing_ns = TW_NS_PER_S;
    apply(f, 1);
    assert_int_equal(refusals(f), 1);
    assert_non_null(strstr(refusal_of(f, 1, SESSIONS_MAX), "--max-sessions"));
    for (uint32_t i = 0; i < 6; i++) /* 6 * 1000 probes per second */
        add(f, 1, i)->spacing_ns = TW_NS_PER_MS;
    apply(f, 2);
    assert_int_equal(refusals(f), 1);
    assert_non_null(strstr(refusal_of(f, 1, 5), "--max-pps"));
    for (uint32_t i = 0; i < 6; i++) { /* of 1472 octets with headers, 200 a second: 2.4 Mbit/s each */
        add(f, 1, i)->size_bytes = 1444;
    }
    apply(f, 3);
    assert_int_equal(refusals(f), 2);
    assert_string_equal(refusal_of(f, 1, 4), "over this agent's --max-bps");
    assert_string_equal(refusal_of(f, 1, 5), "over this agent's --max-bps");
    for (uint32_t i = 0; i < 5; i++) { /* 500,000 probes in flight each */
        Tw__SessionSpec *p = add(f, 1, i);
        p->spacing_ns = TW_NS_PER_MS;
        p->timeout_ns = 500 * TW_NS_PER_S;
    }
    apply(f, 4);
    assert_int_equal(refusals(f), 1);
    assert_non_null(strstr(refusal_of(f, 1, 4), "in flight"));
    apply(f, 5);
    assert_int_equal(refusals(f), 0);
}

static void a_malformed_schedule_changes_nothing(void **state)
{
    struct fx *f = *state;
    struct tw_err err = { 0 };
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    add(f, 1, 0);
    apply(f, 1);
    assert_int_equal(schedule_run_apply(f->run, &rq, &err), TW_EINVAL); /* no digest */
    assert_int_equal(schedule_run_generation(f->run), 1);
    assert_int_equal(schedule_run_sessions(f->run), 1);
    assert_int_equal(f->applied, 1);
}

static void a_full_command_ring_is_tried_again(void **state)
{
    struct fx *f = *state;
    struct tw_err err = { 0 };

    for (uint64_t g = 1; g <= 8; g++) { /* more commands than two rings of 2 * (SESSIONS_MAX + 1) take */
        for (uint32_t i = 0; i < SESSIONS_MAX; i++)
            add(f, 1, i);
        assert_int_equal(try_apply(f, g, &err), TW_OK);
    }
    assert_true(f->applied_generation < 8);
    turn(f);
    assert_true(f->applied_generation < 8);
    for (size_t i = 0; i < WORKERS; i++)
        assert_int_equal(worker_run(f->workers[i], &err), TW_OK);
    WAIT(f, f->applied_generation == 8);
    WAIT(f, sent_by(f, 1) >= 1);
    apply(f, 9);
    WAIT(f, f->ended == SESSIONS_MAX && f->seen[1].n == SESSIONS_MAX);
    assert_int_equal(f->seen[1].last_generation, 8);
}

/* No more descriptors; the previous limit is returned. */
static struct rlimit forbid_sockets(void)
{
    struct rlimit old, low;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    low = old;
    low.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    return old;
}

static void a_session_that_cannot_start_is_reported(void **state)
{
    struct fx *f = *state;
    struct rlimit old = forbid_sockets();

    add(f, 1, 0);
    apply(f, 1);
    WAIT(f, f->failed == 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_non_null(strstr(refusal_of(f, 1, 0), "descriptors"));
    assert_int_equal(schedule_run_sessions(f->run), 0);
    assert_int_equal(f->applied, 2); /* it is acknowledged once more, with the refusal */
    add(f, 1, 0);
    apply(f, 2); /* the next schedule tries again */
    WAIT(f, sent_by(f, 1) >= 1);
    assert_int_equal(refusals(f), 0);
}

/* The failure of what ran before must not be taken for one of its successor. */
static void a_late_notice_does_not_hit_the_successor(void **state)
{
    struct fx *f = *state;
    struct rlimit old = forbid_sockets();
    struct tw_err err = { 0 };

    add(f, 1, 0);
    assert_int_equal(try_apply(f, 1, &err), TW_OK);
    assert_int_equal(sent_by(f, 1), 0); /* the worker has answered, so its notice is waiting */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    add(f, 1, 0)->dscp = 46;
    assert_int_equal(try_apply(f, 2, &err), TW_OK);
    WAIT(f, f->failed == 1);
    WAIT(f, sent_by(f, 1) >= 1);
    assert_string_equal(refusal_of(f, 1, 0), "");
    assert_int_equal(schedule_run_sessions(f->run), 1);
    apply(f, 3);
    WAIT(f, f->ended == 1 && sessions_in_workers(f) == 0);
}

/* ---- Times ---- */

static Tw__TimesRule *pack_rule(struct fx *f, struct times *t, uint64_t id)
{
    static uint8_t room[4][TIMES_PACKED_MAX];
    static Tw__TimesRule rules[4];
    Tw__TimesRule *r = &rules[f->n_rules];

    tw__times_rule__init(r);
    assert_int_equal(times_pack(t, room[f->n_rules], sizeof room[0], &r->rule.len), TW_OK);
    r->rule.data = room[f->n_rules];
    r->id = id;
    f->rules[f->n_rules++] = r;
    times_unref(t);
    return r;
}

static struct times *interval(int64_t start_ns, int64_t until_ns)
{
    struct times *t;

    assert_int_equal(times_new(&t), TW_OK);
    t->kind = TIMES_INTERVAL;
    t->every_ns = TW_NS_PER_S;
    t->count = 5;
    t->start_ns = start_ns;
    t->until_ns = until_ns;
    return t;
}

static Tw__SessionSpec *add_timed(struct fx *f, uint64_t pair, uint64_t rule)
{
    Tw__SessionSpec *p = add(f, pair, 0);

    p->spacing_ns = 50 * TW_NS_PER_MS;
    p->report_period_ns = 10 * TW_NS_PER_S;
    p->times_id = rule;
    return p;
}

/* Two runs and one, each with all its probes, none before and none after: a busy host may skip some, and says so. */
static void sessions_run_at_their_times(void **state)
{
    struct fx *f = *state;
    int64_t start_ns = (tw_wall_now().ns / TW_NS_PER_S + 3) * TW_NS_PER_S;
    struct times *once;
    uint64_t runs, missed;

    pack_rule(f, interval(start_ns, start_ns + 2 * TW_NS_PER_S), 7);
    assert_int_equal(times_new(&once), TW_OK);
    once->kind = TIMES_ONCE;
    once->at_ns = start_ns;
    once->for_ns = 225 * TW_NS_PER_MS; /* five spacings */
    pack_rule(f, once, 8);
    add_timed(f, 1, 7)->times_phase_ns = 300 * TW_NS_PER_MS;
    add_timed(f, 2, 8);
    apply(f, 1);
    assert_int_equal(sessions_in_workers(f), 0); /* it costs nothing yet */
    add_timed(f, 1, 7)->times_phase_ns = 300 * TW_NS_PER_MS; /* another generation in between changes nothing */
    add_timed(f, 2, 8);
    apply(f, 2);
    WAIT(f, tw_wall_now().ns > start_ns + 2 * TW_NS_PER_S && sessions_in_workers(f) == 0);
    schedule_run_runs(f->run, &runs, &missed);
    assert_int_equal(runs + missed, 3);
    assert_int_equal(f->seen[1].sent + f->seen[1].skipped + f->seen[2].sent + f->seen[2].skipped, runs * 5);
    for (unsigned i = 1; i <= 2 && !missed; i++) {
        assert_true(f->seen[i].start_ns >= start_ns && f->seen[i].sent >= 1);
        assert_true(f->seen[i].n >= (i == 1 ? 2 : 1));
    }
    assert_int_equal(schedule_run_sessions(f->run), 2); /* they are still accepted */
}

static void rules_that_cannot_be_used(void **state)
{
    struct fx *f = *state;
    Tw__TimesRule *broken = pack_rule(f, interval(1, 2 * TW_NS_PER_S), 2), *newer;

    broken->rule.len--;
    newer = pack_rule(f, interval(1, 2 * TW_NS_PER_S), 3);
    newer->rule.data[0] = 99;
    pack_rule(f, interval(1, 2 * TW_NS_PER_S), 4);
    add_timed(f, 1, 1);
    add_timed(f, 2, 2);
    add_timed(f, 3, 3);
    add_timed(f, 4, 4)->times_phase_ns = TW_NS_PER_S;
    add_timed(f, 5, 4)->spacing_ns = 300 * TW_NS_PER_MS;
    add_timed(f, 6, 4);
    apply(f, 1);
    assert_non_null(strstr(refusal_of(f, 1, 0), "did not come"));
    assert_non_null(strstr(refusal_of(f, 2, 0), "broken"));
    assert_non_null(strstr(refusal_of(f, 3, 0), "too old"));
    assert_non_null(strstr(refusal_of(f, 4, 0), "phase"));
    assert_non_null(strstr(refusal_of(f, 5, 0), "before the next one"));
    assert_string_equal(refusal_of(f, 6, 0), ""); /* it is over, and that is no fault */
    assert_int_equal(sessions_in_workers(f), 0);
}

int main(void)
{
#define ROW(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(the_same_sessions_go_on_under_a_new_generation),
        ROW(a_changed_session_restarts),
        ROW(a_removed_session_stops_and_its_last_summary_has_names),
        ROW(names_are_forgotten_at_last),
        ROW(what_cannot_run_is_refused_with_a_reason),
        ROW(what_the_controller_wants_refused_is_refused),
        cmocka_unit_test_setup_teardown(a_key_changes_without_a_gap, setup_with_keys, teardown),
        cmocka_unit_test_setup_teardown(keys_that_come_and_go, setup_with_keys, teardown),
        cmocka_unit_test_setup_teardown(a_bad_file_changes_nothing, setup_with_keys, teardown),
        ROW(without_a_file_of_secrets),
        ROW(stamp_tells_the_marking),
        ROW(the_agents_own_limits_hold),
        ROW(a_malformed_schedule_changes_nothing),
        cmocka_unit_test_setup_teardown(a_full_command_ring_is_tried_again, setup_without_threads, teardown),
        ROW(a_session_that_cannot_start_is_reported),
        ROW(a_late_notice_does_not_hit_the_successor),
        ROW(sessions_run_at_their_times),
        ROW(rules_that_cannot_be_used),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
