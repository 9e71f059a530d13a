/* Agents come, are approved, get schedules; operators change what they run. */
#include "tests/unit/controller/fixture.h"
#include <semaphore.h>
#include "controller/expectation.h"
#include "controller/fleet_push.h"

static void approval_needs_the_right_fingerprint(void **state)
{
    struct fixture *f = *state;
    struct fake *a = new_fake(f, "a", "a", "127.0.0.1");
    uint8_t key[IDENTITY_KEY_LEN];
    char fingerprint[IDENTITY_FINGERPRINT_TEXT];
    struct op_result r;

    connect_fake(a);
    WAIT(a->n_enrolled && inventory_agent(&f->c->inv, "a")->row.id);
    r = approve(f, "a", "0123");
    assert_false(r.ok);
    assert_int_equal(r.status, TW__STATUS__STATUS_FAILED_PRECONDITION);
    assert_string_equal(agent_state(inventory_agent(&f->c->inv, "a")), "pending");
    identity_public(a->id, key);
    identity_fingerprint(key, fingerprint);
    r = approve(f, "a", fingerprint);
    assert_true(r.ok);
    WAIT(a->n_up == 2);
    assert_true(rpc_client_welcome(a->client).approved);
    assert_int_equal(rpc_client_welcome(a->client).window, INGEST_WINDOW);
    assert_string_equal(agent_state(inventory_agent(&f->c->inv, "a")), "up");
    r = approve(f, "nobody", "");
    assert_int_equal(r.status, TW__STATUS__STATUS_NOT_FOUND);
}

/* Keeps the writer busy. */
struct plug {
    struct writer_job job; /* first */
    sem_t pull;
    bool done;
};

static enum tw_rc run_plug(struct writer_job *j, struct store *s, struct tw_err *err)
{
    (void)s;
    (void)err;
    sem_wait(&((struct plug *)j)->pull);
    return TW_OK;
}

static void plug_done(struct writer_job *j)
{
    ((struct plug *)j)->done = true;
}

static void plug_in(struct fixture *f, struct plug *p)
{
    *p = (struct plug){ .job = { .run = run_plug, .done = plug_done, .urgent = true } };
    sem_init(&p->pull, 0, 0);
    assert_int_equal(writer_submit(f->c->writer, &p->job), TW_OK);
}

static void change_answered(void *ctx, const struct change_result *r)
{
    struct op_result *op = ctx;

    op->done = true;
    op->ok = !r->status;
    snprintf(op->detail, sizeof op->detail, "%s", r->err.text);
}

/* Operators are quick, and scripts are quicker. */
static void a_new_agent_can_be_approved_or_removed_at_once(void **state)
{
    static const enum change_kind kinds[] = { CHANGE_APPROVE, CHANGE_REMOVE };
    struct fixture *f = *state;

    for (size_t i = 0; i < TW_NELEM(kinds); i++) {
        struct op_result r = { 0 };
        struct fake *a = new_fake(f, i ? "b" : "a", "a", "127.0.0.1");
        struct plug plug;

        a->once = true;
        plug_in(f, &plug);
        connect_fake(a);
        WAIT(inventory_agent(&f->c->inv, a->name));
        assert_int_equal(change_submit(f->c->changes, &(struct change_request){ .kind = kinds[i],
                                                                                .name = a->name,
                                                                                .done = change_answered,
                                                                                .ctx = &r }),
                         TW_OK);
        assert_int_equal(inventory_agent(&f->c->inv, a->name)->row.id, 0);
        sem_post(&plug.pull);
        WAIT(r.done && plug.done && a->n_down);
        if (!r.ok)
            fail_msg("change %d: %s", kinds[i], r.detail);
        sem_destroy(&plug.pull);
    }
    assert_true(inventory_agent(&f->c->inv, "a")->row.approved);
    assert_null(inventory_agent(&f->c->inv, "b"));
}

/* Agents that change address while many operators wait must not be forgotten. */
static void an_expansion_always_finds_room(void **state)
{
    struct fixture *f = *state;
    struct change_request rq = { .kind = CHANGE_DELETE, .name = "nothing" };
    struct op_result first = { 0 }, last = { 0 };
    struct plug plug;
    int n = 0;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    plug_in(f, &plug);
    assert_int_equal(change_submit(f->c->changes, &(struct change_request){ .kind = CHANGE_APPLY,
                                                                            .file = "t",
                                                                            .document = MESH_AB,
                                                                            .done = change_answered,
                                                                            .ctx = &first }),
                     TW_OK);
    assert_false(first.done);
    while (change_submit(f->c->changes, &rq) == TW_OK)
        assert_true(++n <= 64);
    assert_int_equal(n, 64);
    rq = (struct change_request){ .kind = CHANGE_EXPAND, .done = change_answered, .ctx = &last };
    assert_int_equal(change_submit(f->c->changes, &rq), TW_OK);
    sem_post(&plug.pull);
    WAIT(first.done && last.done && plug.done);
    assert_true(first.ok && last.ok);
    sem_destroy(&plug.pull);
}

static uint64_t expected_tomorrow(struct fixture *f, uint64_t pair_id)
{
    char path[256];
    struct store_reader *r;
    struct tw_err err = { 0 };
    int64_t from_ns = tw_wall_now().ns + 86400 * TW_NS_PER_S;
    struct store_pair pair = { .id = pair_id };
    struct expectations e;
    uint64_t n;

    snprintf(path, sizeof path, "%s/controller.db", f->data);
    if (store_reader_open(path, &r, &err) != TW_OK ||
        expectations_read(r, &pair, NULL, from_ns, from_ns + 3600 * TW_NS_PER_S, &e, &err) != TW_OK)
        fail_msg("%s", err.text);
    n = expectations_count(&e, EXPECT_ALL_FLOWS, from_ns, from_ns + 3600 * TW_NS_PER_S);
    expectations_free(&e);
    store_reader_close(r);
    return n;
}

/* The agent's answer to the old schedule arrives while the new one is being written. */
static void an_acknowledgement_that_crosses_a_change_opens_nothing(void **state)
{
    struct fixture *f = *state;
    struct fake *a = new_fake(f, "a", "a", "127.0.0.1");
    struct agent *known;
    struct pair *p;

    bring_up(f, "b", "127.0.0.2");
    a->acks = false;
    connect_fake(a);
    WAIT(inventory_agent(&f->c->inv, "a"));
    assert_true(approve(f, "a", "").ok);
    assert_true(apply(f, MESH_AB, false).ok);
    WAIT(a->n_sessions == 1);
    known = inventory_agent(&f->c->inv, "a");
    p = inventory_pair(&f->c->inv, a->pair_ids[0]);
    assert_int_equal(p->interval, INTERVAL_CLOSED);
    assert_int_equal(
        change_submit(f->c->changes, &(struct change_request){ .kind = CHANGE_DELETE, .name = "lab" }),
        TW_OK);
    fleet_acked(known->link, a->generation, &(ProtobufCBinaryData){ sizeof a->digest, a->digest }, 0);
    assert_int_equal(p->interval, INTERVAL_OPEN);
    WAIT(!p->scheduled && p->interval == INTERVAL_CLOSED);
    assert_int_equal(expected_tomorrow(f, p->row.id), 0);
}

static void another_key_under_the_same_name_is_sent_away(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *thief = new_fake(f, "a", "thief", "127.0.0.1");

    thief->once = true; /* to be told of the first refusal */
    connect_fake(thief);
    WAIT(thief->n_down);
    assert_int_equal(thief->n_up, 0);
    assert_int_equal(thief->down_status, TW__STATUS__STATUS_UNAUTHENTICATED);
    assert_non_null(strstr(thief->down_detail, "twampctl agent remove a"));
    assert_non_null(a->peer);
}

static void the_newer_connection_wins(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *again = new_fake(f, "a", "a", "127.0.0.1");
    unsigned down = a->n_down;

    connect_fake(again);
    WAIT(a->n_down > down);
    assert_int_equal(a->down_status, TW__STATUS__STATUS_ABORTED);
    stop_fake(a); /* else it would come back and win in turn */
    WAIT(again->peer && inventory_agent(&f->c->inv, "a")->peer);
}

static void a_schedule_is_pushed_until_it_is_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    struct op_result r;

    a->refuses_schedule = true;
    r = apply(f, MESH_AB, false);
    assert_true(r.ok);
    assert_int_equal(r.pairs, 2);
    assert_int_equal(r.added, 2);
    WAIT(b->n_acked && a->n_schedules);
    assert_int_equal(b->generation, r.generation);
    assert_int_equal(b->n_sessions, 1);
    assert_string_equal(b->targets[0], "a");
    assert_string_equal(b->addresses[0], "127.0.0.1");
    assert_false(inventory_agent(&f->c->inv, "a")->acked_current);
    a->refuses_schedule = false;
    WAIT(a->n_acked); /* tried again */
    WAIT(inventory_agent(&f->c->inv, "a")->acked_current);
    assert_int_equal(inventory_pair(&f->c->inv, a->pair_ids[0])->interval, INTERVAL_OPEN);
}

static void a_new_address_makes_a_new_generation(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    uint64_t generation = apply(f, MESH_AB, false).generation;

    WAIT(a->n_acked && b->n_acked);
    strcpy(b->address, "127.0.0.9");
    fake_enrol(b);
    WAIT(a->generation == generation + 1);
    assert_string_equal(a->addresses[0], "127.0.0.9");
    assert_int_equal(f->c->inv.generation, generation + 1);
    /* b's own sessions are the same: it is not told, but not behind either. */
    assert_int_equal(b->generation, generation);
    assert_int_equal(agent_generation(&f->c->inv, inventory_agent(&f->c->inv, "b")), generation + 1);
    fake_enrol(b); /* the same again: nothing to change */
    assert_int_equal(apply(f, MESH_AB, false).generation, generation + 1);
}

static void a_bad_document_changes_nothing(void **state)
{
    static const struct {
        const char *name, *document;
        uint32_t line;
    } cases[] = {
        { "not a mesh", "mesh: lab\ntopology: star\n", 2 },
        { "unknown agent",
          "mesh: lab\ntopology: full\nmembers: [a, b, nobody]\nclasses:\n  voice: { spacing: 20ms }\n", 3 },
    };
    struct fixture *f = *state;
    uint64_t generation;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    generation = apply(f, MESH_AB, false).generation;
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct op_result r = apply(f, cases[i].document, false);

        if (!r.ok || !r.in_document || r.line != cases[i].line || !r.text[0])
            fail_msg("%s: ok %d in_document %d line %u \"%s\"", cases[i].name, r.ok, r.in_document, r.line,
                     r.text);
    }
    assert_int_equal(f->c->inv.generation, generation);
}

static void a_plan_says_whose_degree_is_below(void **state)
{
    struct fixture *f = *state;
    struct op_result r;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    bring_up(f, "c", "127.0.0.3");
    r = apply(f, "mesh: m\ntopology: k-regular\ndegree: 2\nmembers: [a, b, c]\nclasses: {c: {}}\n", true);
    assert_true(r.ok);
    assert_int_equal(r.added, 6);
    assert_int_equal(r.below_degree, 0);
    r = apply(f,
              "mesh: m\ntopology: k-regular\ndegree: 2\nmembers: [a, b, c]\nexclude: [[a, b]]\n"
              "classes: {c: {}}\n",
              true);
    assert_true(r.ok);
    assert_int_equal(r.added, 5);
    assert_int_equal(r.below_degree, 2); /* a has one target less, b one source */
}

static void a_plan_says_what_never_runs(void **state)
{
    static const struct {
        const char *times;
        size_t ended;
    } cases[] = {
        { "", 0 },
        { "schedule: { every: 1h, count: 5 }\n", 0 },
        { "schedule: { at: \"2020-01-01 00:00\", count: 5 }\n", 1 },
        { "schedule: { at: \"2099-01-01 00:00\", count: 5 }\n", 0 },
        { "schedule: { at: \"2099-01-01 00:00\", count: 5 }\n"
          "maintenance: [{ from: \"2098-12-31 00:00\", to: \"2099-02-01 00:00\", reason: r, probes: stop "
          "}]\n",
          1 },
        { "schedule: { every: 1m, count: 5, until: \"2020-01-01 00:00\" }\n", 1 },
        { "schedule: { start: \"2019-01-01 00:00\", until: \"2020-01-01 00:00\" }\n", 1 },
        { "schedule: { start: \"2019-01-01 00:00\" }\n", 0 },
    };
    struct fixture *f = *state;

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    for (size_t i = 0; i < TW_NELEM(cases); i++) {
        struct op_result r;
        char document[600];

        snprintf(document, sizeof document, "mesh: m\ntopology: full\nmembers: [a, b]\nclasses: {c: {}}\n%s",
                 cases[i].times);
        r = apply(f, document, true);
        if (!r.ok || r.ended_classes != cases[i].ended)
            fail_msg("case %zu: %zu classes have ended: %s", i, (size_t)r.ended_classes, r.text);
    }
}

static void a_plan_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1");
    struct op_result r;

    bring_up(f, "b", "127.0.0.2");
    r = apply(f, MESH_AB, true);
    assert_true(r.ok);
    assert_int_equal(r.generation, 0);
    assert_int_equal(r.added, 2);
    assert_int_equal(f->c->inv.generation, 0);
    assert_null(f->c->inv.meshes);
    assert_int_equal(a->n_schedules, 0);
}

static void pause_resume_delete(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    uint64_t generation = apply(f, MESH_AB, false).generation, id;
    struct pair *p;

    WAIT(a->n_acked && b->n_acked);
    id = a->pair_ids[0];
    p = inventory_pair(&f->c->inv, id);
    assert_int_equal(change_one_mesh(f, tw__admin__schedule_pause, "lab").generation, generation + 1);
    assert_string_equal(pair_state(p, T0), "paused");
    assert_int_equal(p->interval, INTERVAL_CLOSED);
    WAIT(a->n_sessions == 0);
    assert_int_equal(change_one_mesh(f, tw__admin__schedule_pause, "lab").generation, generation + 1);
    assert_int_equal(change_one_mesh(f, tw__admin__schedule_resume, "lab").generation, generation + 2);
    WAIT(a->n_sessions == 1 && a->pair_ids[0] == id && p->interval == INTERVAL_OPEN);
    assert_string_equal(pair_state(p, T0), "no_data");
    assert_int_equal(change_one_mesh(f, tw__admin__schedule_delete, "lab").generation, generation + 3);
    WAIT(a->n_sessions == 0 && a->generation == generation + 3);
    assert_string_equal(pair_state(p, T0), "not_scheduled");
    assert_int_equal(change_one_mesh(f, tw__admin__schedule_delete, "lab").status,
                     TW__STATUS__STATUS_NOT_FOUND);
}

struct seen {
    bool done;
    size_t agents, counters, problems, rollout, rows, groups;
    bool ready, current;
};

static void forgotten(const Tw__StatusReply *m, void *ctx)
{
    (void)m;
    *(bool *)ctx = true;
}

/* The listener of the agents is gone by then, the operators' is not. */
static void a_status_that_is_asked_for_while_stopping(void **state)
{
    struct fixture *f = *state;
    Tw__StatusRequest rq = TW__STATUS_REQUEST__INIT;
    struct rpc_counters before, now = { 0 };
    int64_t until = tw_mono_now().ns + WAIT_S * TW_NS_PER_S;
    bool answered = false;

    bring_up(f, "a", "127.0.0.1");
    rpc_server_counters(f->c->admin, &before);
    tw__admin__status(admin_stub(f), &rq, forgotten, &answered);
    do /* the loop must not see it yet */
        rpc_server_counters(f->c->admin, &now);
    while (now.frames_in == before.frames_in && tw_mono_now().ns < until);
    assert_true(now.frames_in > before.frames_in);
    assert_false(answered);
    stop_controller(f);
    start_controller(f);
    WAIT(answered && f->op);
}

static void ack_noted(const Tw__AckReply *m, void *ctx)
{
    op_note(ctx, m != NULL);
}

static void a_reason_is_a_line(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1");
    char reason[FLEET_REASON_MAX + 2];
    Tw__Refusal refusal = TW__REFUSAL__INIT, *refusals[] = { &refusal };
    Tw__AckRequest rq = TW__ACK_REQUEST__INIT;
    struct op_result r;

    memset(reason, 'x', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    refusal.reason = reason;
    rq.refusals = refusals;
    rq.n_refusals = 1;
    for (int i = 0; i < 2; i++) {
        r = (struct op_result){ 0 };
        tw__fleet_controller__ack(
            rpc_peer_service(a->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000), &rq,
            ack_noted, &r);
        WAIT(r.done);
        assert_int_equal(r.ok, i);
        assert_true(!inventory_agent(&f->c->inv, "a")->ack == !i);
        reason[FLEET_REASON_MAX] = '\0';
    }
}

static void list_done(const Tw__AgentListReply *m, void *ctx)
{
    struct seen *s = ctx;

    s->done = true;
    s->agents = m ? m->n_agents : 99;
    if (m && m->n_agents) {
        assert_string_equal(m->agents[0]->name, "a");
        assert_string_equal(m->agents[0]->state, "up");
        assert_string_equal(m->agents[0]->labels[0]->value, "ams");
        assert_int_equal(strlen(m->agents[0]->fingerprint), 64);
    }
}

static void status_done(const Tw__StatusReply *m, void *ctx)
{
    struct seen *s = ctx;

    s->done = true;
    if (!m)
        return;
    s->ready = m->ready;
    s->counters = m->n_counters;
    s->problems = m->n_problems;
    s->agents = m->agents_up;
}

static void rollout_done(const Tw__ScheduleListReply *m, void *ctx)
{
    struct seen *s = ctx;

    s->done = true;
    s->rollout = m ? m->n_rollout : 99;
    s->current = m && m->n_rollout && m->rollout[0]->current;
}

static void results_seen(const Tw__ResultsReply *m, void *ctx)
{
    struct seen *s = ctx;

    s->done = true;
    s->rows = m ? m->n_rows : 99;
}

static void report_seen(const Tw__ReportReply *m, void *ctx)
{
    struct seen *s = ctx;

    s->done = true;
    s->rows = m ? m->n_pairs : 99;
    s->groups = m ? m->n_groups : 99;
    if (m && m->n_pairs && !strcmp(m->pairs[0]->pair->source, "a")) {
        assert_int_equal(m->pairs[0]->merged->sent, 6);
        assert_int_equal(m->pairs[0]->periods_stored, 2);
    }
}

struct shown {
    bool done;
    char runs[64];
    int64_t next_ns;
    uint64_t pairs, idle;
    bool maintenance;
};

static void mesh_seen(const Tw__ScheduleShowReply *m, void *ctx)
{
    struct shown *s = ctx;

    s->done = true;
    if (!m)
        return;
    snprintf(s->runs, sizeof s->runs, "%s", m->mesh->runs);
    s->next_ns = m->mesh->next_run_ns;
    s->pairs = m->mesh->pairs;
    s->idle = m->mesh->pairs_idle;
    s->maintenance = m->mesh->in_maintenance;
}

static void list_seen(const Tw__ScheduleListReply *m, void *ctx)
{
    struct shown *s = ctx;

    s->done = true;
    for (size_t i = 0; m && i < m->n_meshes; i++) {
        s->idle += m->meshes[i]->pairs_idle;
        if (m->meshes[i]->next_run_ns)
            s->next_ns = m->meshes[i]->next_run_ns;
    }
}

static struct shown show_mesh(struct fixture *f, const char *name)
{
    Tw__MeshRequest rq = TW__MESH_REQUEST__INIT;
    struct shown s = { 0 };

    rq.name = (char *)name;
    tw__admin__schedule_show(admin_stub(f), &rq, mesh_seen, &s);
    WAIT(s.done);
    return s;
}

static void a_mesh_says_when_it_runs(void **state)
{
    struct fixture *f = *state;
    struct op_result r;
    struct shown s, all = { 0 };

    bring_up(f, "a", "127.0.0.1");
    bring_up(f, "b", "127.0.0.2");
    r = apply(f,
              "mesh: timed\ntopology: full\nmembers: [a, b]\nclasses:\n"
              "  once: { schedule: { at: \"2150-01-02T03:04:05Z\", for: 10s } }\n"
              "  daily: { spacing: 1s, schedule: { cron: \"0 0 1 1 *\", for: 10s } }\n"
              "maintenance: [{ from: \"2020-01-01T00:00:00Z\", to: \"2190-01-01T00:00:00Z\" }]\n",
              false);
    if (!r.ok || r.in_document)
        fail_msg("%s%s", r.detail, r.text);
    assert_true(r.mean_pps < r.pps / 1000); /* they mostly rest */
    s = show_mesh(f, "timed");
    assert_string_equal(s.runs, "once,cron");
    assert_true(s.next_ns > tw_wall_now().ns && s.next_ns < tw_wall_now().ns + 367 * INT64_C(86400) * TW_NS_PER_S);
    assert_int_equal(s.pairs, 4);
    assert_true(s.idle == 4 && s.maintenance);
    assert_true(apply(f, MESH_AB, false).ok);
    s = show_mesh(f, "lab");
    assert_string_equal(s.runs, "continuous");
    assert_true(!s.next_ns && !s.idle && !s.maintenance);
    s = show_mesh(f, "timed");
    tw__admin__schedule_list(admin_stub(f), &(Tw__ScheduleListRequest)TW__SCHEDULE_LIST_REQUEST__INIT, list_seen,
                             &all);
    WAIT(all.done);
    assert_true(all.idle == 4 && all.next_ns == s.next_ns);
}

static void an_operator_sees_what_is(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    uint64_t pairs[2];
    struct seen s = { 0 };

    assert_true(apply(f, MESH_AB, false).ok);
    WAIT(a->n_acked && b->n_acked);
    pairs[0] = pairs[1] = a->pair_ids[0];
    deliver(a, 1, pairs, 2);
    tw__admin__agent_list(admin_stub(f), &(Tw__AgentListRequest)TW__AGENT_LIST_REQUEST__INIT, list_done, &s);
    WAIT(s.done);
    assert_int_equal(s.agents, 2);
    s = (struct seen){ 0 };
    tw__admin__status(admin_stub(f), &(Tw__StatusRequest)TW__STATUS_REQUEST__INIT, status_done, &s);
    WAIT(s.done);
    assert_true(s.ready);
    assert_int_equal(s.agents, 2);
    assert_true(s.counters > 40);
    s = (struct seen){ 0 };
    tw__admin__schedule_list(admin_stub(f), &(Tw__ScheduleListRequest)TW__SCHEDULE_LIST_REQUEST__INIT,
                             rollout_done, &s);
    WAIT(s.done);
    assert_int_equal(s.rollout, 2);
    assert_true(s.current);
}

static void results_and_reports_come_back(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    uint64_t pairs[2];
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    struct seen s = { 0 };

    assert_true(apply(f, MESH_AB, false).ok);
    WAIT(a->n_acked && b->n_acked);
    pairs[0] = pairs[1] = a->pair_ids[0];
    deliver(a, 1, pairs, 2);
    rq.source = (char *)"a";
    rq.from_ns = T0;
    rq.to_ns = T0 + 3600 * TW_NS_PER_S;
    tw__admin__results(admin_stub(f), &rq, results_seen, &s);
    WAIT(s.done);
    assert_int_equal(s.rows, 2);
    s = (struct seen){ 0 };
    tw__admin__report(admin_stub(f), &rq, report_seen, &s);
    WAIT(s.done);
    assert_int_equal(s.rows, 1);
    rq.source = (char *)protobuf_c_empty_string;
    for (unsigned i = 0; i < 4; i++) { /* parts: two pairs, and the worst of them first */
        s = (struct seen){ 0 };
        rq.skip = i % 2;
        rq.sort_by = (char *)(i < 2 ? "" : "loss_ratio");
        tw__admin__report(admin_stub(f), &rq, report_seen, &s);
        WAIT(s.done);
        assert_int_equal(s.rows, 2 - i % 2);
    }
    rq.sort_by = (char *)protobuf_c_empty_string;
    rq.group_by = (char *)"source";
    rq.skip = 1;
    s = (struct seen){ 0 };
    tw__admin__report(admin_stub(f), &rq, report_seen, &s);
    WAIT(s.done);
    assert_int_equal(s.groups, 1);
}

struct removed {
    bool done, truncated;
    size_t n;
    char name[STORE_NAME_MAX];
};

static void removed_seen(const Tw__ReportReply *m, void *ctx)
{
    struct removed *r = ctx;

    r->done = true;
    if (!m)
        fail_msg("report: %s %s", rpc_status_name(rpc_result().status), rpc_result().detail);
    r->truncated = m->truncated;
    r->n = m->n_removed_sources;
    if (r->n)
        snprintf(r->name, sizeof r->name, "%s", m->removed_sources[0]);
}

/* A report that is cut names the sources that AgentList cannot. */
static void a_cut_report_names_removed_sources(void **state)
{
    struct fixture *f = *state;
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    struct removed r = { 0 };
    struct fake *a = bring_up(f, "a", "127.0.0.1");

    bring_up(f, "b", "127.0.0.2");
    assert_true(apply(f, MESH_AB, false).ok);
    stop_fake(a); /* it would come again as one that waits to be approved, and have its pairs */
    assert_true(remove_agent(f, "a").ok);
    rq.limit = 1;
    for (int i = 0; i < 2; i++) {
        r = (struct removed){ 0 };
        tw__admin__report(admin_stub(f), &rq, removed_seen, &r);
        WAIT(r.done);
        assert_int_equal(r.truncated, !i);
        assert_int_equal(r.n, !i);
        if (r.n)
            assert_string_equal(r.name, "a");
        rq.limit = 0;
    }
}

static void cut_seen(const Tw__ResultsReply *m, void *ctx)
{
    struct seen *s = ctx;

    s->done = true;
    s->rows = m ? m->n_rows : 0;
    if (!m)
        fail_msg("results: %s %s", rpc_status_name(rpc_result().status), rpc_result().detail);
    s->current = m && m->truncated;
}

struct paged {
    bool done, more;
    size_t rows;
    uint64_t pair;
    int64_t ns, last_ns;
};

static void page_seen(const Tw__ResultsReply *m, void *ctx)
{
    struct paged *p = ctx;

    if (!m)
        fail_msg("results: %s", rpc_result().detail);
    for (size_t i = 0; i < m->n_rows; i++) { /* one pair and flow: each period once, and none left out */
        p->last_ns += 10 * TW_NS_PER_S;
        assert_int_equal(m->rows[i]->summary->start_ns, p->last_ns);
    }
    p->rows += m->n_rows;
    p->more = m->truncated;
    p->pair = m->next_pair;
    p->ns = m->next_ns;
    p->done = true;
}

/* Whatever does not fit comes with the next page. */
static size_t count_by_pages(struct fixture *f, Tw__PairFilter rq, unsigned *ret_pages)
{
    struct paged p = { .more = true, .last_ns = T0 };

    rq.paged = true;
    for (*ret_pages = 0; p.more; ++*ret_pages) {
        p.done = false;
        rq.page_pair = p.pair;
        rq.page_ns = p.ns;
        tw__admin__results(admin_stub(f), &rq, page_seen, &p);
        WAIT(p.done);
        assert_true(!p.more || p.pair);
    }
    return p.rows;
}

/* More rows than fit into a frame: as many as do, and the operator is told. */
static void a_reply_that_is_too_big_is_cut(void **state)
{
    struct fixture *f = *state;
    struct fake *a = bring_up(f, "a", "127.0.0.1"), *b = bring_up(f, "b", "127.0.0.2");
    uint64_t pairs[INGEST_BATCH_MAX], seq = 1;
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    struct seen s = { 0 };
    unsigned pages;
    size_t all;

    assert_true(apply(f, MESH_AB, false).ok);
    WAIT(a->n_acked && b->n_acked);
    fake_report(a, 0);
    for (size_t i = 0; i < TW_NELEM(pairs); i++)
        pairs[i] = a->pair_ids[0];
    for (unsigned k = 0, window = INGEST_WINDOW / INGEST_BATCH_MAX; k < 48; k++, seq += TW_NELEM(pairs)) {
        WAIT(k - a->n_answers < window);
        send_batch(a, seq, pairs, TW_NELEM(pairs));
    }
    WAIT(a->n_answers == 48);
    expect_answer(a, TW__STATUS__STATUS_OK, seq - 1, "all");
    rq.from_ns = T0;
    rq.to_ns = T0 + (int64_t)seq * 10 * TW_NS_PER_S;
    rq.limit = 20000;
    tw__admin__results(admin_stub(f), &rq, cut_seen, &s);
    WAIT(s.done);
    if (!s.current || s.rows < 1000 || s.rows >= seq - 1)
        fail_msg("%zu of %llu rows, truncated %d", s.rows, (unsigned long long)seq - 1, s.current);
    all = count_by_pages(f, rq, &pages); /* cut by size */
    assert_in_range(pages, 2, 100);
    assert_in_range(all, s.rows + 1, seq - 1); /* what is too far in the future is not stored */
    rq.limit = 500; /* cut by the number of rows */
    assert_int_equal(count_by_pages(f, rq, &pages), all);
    assert_in_range(pages, all / 500, 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        T(approval_needs_the_right_fingerprint),
        T(a_new_agent_can_be_approved_or_removed_at_once),
        T(an_acknowledgement_that_crosses_a_change_opens_nothing),
        T(a_status_that_is_asked_for_while_stopping),
        T(a_reason_is_a_line),
        T(an_expansion_always_finds_room),
        T(a_cut_report_names_removed_sources),
        T(another_key_under_the_same_name_is_sent_away),
        T(the_newer_connection_wins),
        T(a_schedule_is_pushed_until_it_is_acknowledged),
        T(a_new_address_makes_a_new_generation),
        T(a_bad_document_changes_nothing),
        T(a_plan_changes_nothing),
        T(a_plan_says_whose_degree_is_below),
        T(a_plan_says_what_never_runs),
        T(a_mesh_says_when_it_runs),
        T(pause_resume_delete),
        T(an_operator_sees_what_is),
        T(results_and_reports_come_back),
        T(a_reply_that_is_too_big_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
