/* Results: who may store what, exactly once, and what survives. */
#include "tests/unit/controller/fixture.h"

struct lab {
    struct fixture *f;
    struct fake *a, *b;
    uint64_t ab, ba; /* pairs */
};

static struct lab make_lab(void **state)
{
    struct fixture *f = *state;
    struct lab l = { .f = f };
    struct op_result r;

    l.a = bring_up(f, "a", "127.0.0.1");
    l.b = bring_up(f, "b", "127.0.0.2");
    r = apply(f, MESH_AB, false);
    if (!r.ok || r.in_document)
        fail_msg("apply: %s %s", r.detail, r.text);
    WAIT(l.a->n_acked && l.b->n_acked);
    l.ab = l.a->pair_ids[0];
    l.ba = l.b->pair_ids[0];
    return l;
}

static void a_pending_agent_stores_nothing(void **state)
{
    struct fixture *f = *state;
    struct fake *a = new_fake(f, "a", "a", "127.0.0.1");
    uint64_t pair = 1;

    connect_fake(a);
    WAIT(a->n_enrolled);
    assert_false(rpc_client_welcome(a->client).approved);
    assert_int_equal(rpc_client_welcome(a->client).window, 0);
    send_batch(a, 1, &pair, 1);
    WAIT(a->n_down);
    assert_int_equal(a->down_status, TW__STATUS__STATUS_PERMISSION_DENIED);
    assert_int_equal(a->n_answers, 0);
    assert_int_equal(ingested(f).summaries, 0);
    assert_int_equal(ingested(f).batches_refused, 1);
    assert_int_equal(ingest_cursor(f->c->ingest, inventory_agent(&f->c->inv, "a")->row.id, a->spool_id).through, 0);
}

static void a_batch_is_stored_once(void **state)
{
    struct lab l = make_lab(state);
    uint64_t pairs[] = { l.ab, l.ab, l.ab };
    struct pair *p = inventory_pair(&l.f->c->inv, l.ab);

    deliver(l.a, 1, pairs, 3);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 3, "first");
    assert_int_equal(l.a->window, INGEST_WINDOW);
    assert_non_null(p->live);
    assert_int_equal(p->live->n.sent, 9);
    deliver(l.a, 1, pairs, 3);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 3, "repeated");
    assert_int_equal(ingested(l.f).repeated_batches, 1);
    assert_int_equal(ingested(l.f).summaries, 3);
    assert_int_equal(p->live->n.sent, 9);
    deliver(l.a, 3, pairs, 2); /* one old, one new */
    expect_answer(l.a, TW__STATUS__STATUS_OK, 4, "overlapping");
    assert_int_equal(ingested(l.f).summaries, 4);
    assert_int_equal(p->live->n.sent, 12);
}

static void a_batch_out_of_sequence_is_refused(void **state)
{
    struct lab l = make_lab(state);

    deliver(l.a, 1, &l.ab, 1);
    deliver(l.a, 5, &l.ab, 1);
    expect_answer(l.a, TW__STATUS__STATUS_OUT_OF_RANGE, 1, "gap");
    assert_int_equal(ingested(l.f).out_of_sequence, 1);
    deliver(l.a, 2, &l.ab, 1);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 2, "continued");
}

static void rows_of_unknown_pairs_keep_their_numbers(void **state)
{
    struct lab l = make_lab(state);
    uint64_t pairs[] = { 990, l.ab, 991, 992, l.ab, 993 };

    deliver(l.a, 1, pairs, 6);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 6, "mixed");
    assert_int_equal(ingested(l.f).summaries, 2);
    assert_int_equal(ingested(l.f).rows_refused, 4);
    deliver(l.a, 1, pairs, 6);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 6, "mixed, repeated");
    assert_int_equal(ingested(l.f).rows_refused, 4);
}

static void what_is_not_its_own_is_refused(void **state)
{
    struct lab l = make_lab(state);
    uint64_t pairs[] = { l.ab, l.ba };

    deliver(l.a, 1, pairs, 2);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 2, "another agent's pair keeps its number");
    assert_int_equal(ingested(l.f).summaries, 1);
    assert_int_equal(ingested(l.f).rows_refused, 1);
    assert_null(inventory_pair(&l.f->c->inv, l.ba)->live);
    l.a->spool_id[0] ^= 1;
    deliver(l.a, 1, &l.ab, 1);
    expect_answer(l.a, TW__STATUS__STATUS_INVALID_ARGUMENT, 2, "another spool");
    assert_int_equal(ingested(l.f).summaries, 1);
    assert_int_equal(ingested(l.f).batches_refused, 1);
}

static void name_old_pair(Tw__Summary *m)
{
    m->mesh = (char *)"gone";
    m->class_name = (char *)"voice";
    m->target = (char *)"z9";
}

/* As after the loss of the database: the pair is in no mesh that this controller has ever seen. */
static void a_pair_is_learned_from_its_own_source_only(void **state)
{
    struct lab l = make_lab(state);
    struct store_pair mine = { .mesh = "gone", .class_name = "voice", .source = "a", .target = "z9" };
    struct store_pair other = { .mesh = "gone", .class_name = "voice", .source = "b", .target = "z9" };
    struct fixture *f = l.f;
    uint64_t ids[] = { store_pair_id(&mine), store_pair_id(&other) };
    unsigned before = l.a->n_answers;

    send_changed(l.a, 1, ids, 2, name_old_pair);
    WAIT(l.a->n_answers == before + 1);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 2, "learned");
    assert_int_equal(ingested(f).summaries, 1);
    assert_int_equal(ingested(f).rows_refused, 1);
    assert_non_null(inventory_pair(&f->c->inv, ids[0]));
    assert_false(inventory_pair(&f->c->inv, ids[0])->scheduled);
    assert_null(inventory_pair(&f->c->inv, ids[1]));
}

static size_t count_pairs(const struct inventory *inv, uint64_t id)
{
    size_t n = 0;

    for (size_t i = 0; i < inv->pairs.n; i++)
        n += pair_table_at(&inv->pairs, i)->row.id == id;
    return n;
}

/* A refill and an operator's apply bring the same pair at the same time. */
static void a_pair_that_comes_twice_is_one(void **state)
{
    static const char doc[] = "mesh: gone\ntopology: list\ntargets: { z9: 192.0.2.9 }\npairs: [[a, z9]]\n"
                              "classes:\n  voice: { spacing: 20ms, report_period: 10s, timeout: 1s }\n";
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    struct store_pair row = { .mesh = "gone", .class_name = "voice", .source = "a", .target = "z9" };
    uint64_t id = store_pair_id(&row);
    unsigned before = l.a->n_answers;

    assert_int_equal(
        change_submit(f->c->changes,
                      &(struct change_request){ .kind = CHANGE_APPLY, .file = "t", .document = doc }),
        TW_OK);
    inject(l.a, 1, &id, 1, name_old_pair);
    assert_int_equal(count_pairs(&f->c->inv, id), 1); /* the change is still with the writer */
    WAIT(l.a->n_answers > before && l.a->n_sessions == 2);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 1, "refilled");
    assert_int_equal(count_pairs(&f->c->inv, id), 1);
    assert_true(inventory_pair(&f->c->inv, id)->scheduled);
}

static void shift_500_days_back(Tw__Summary *m)
{
    m->start_ns -= INT64_C(500) * 86400 * TW_NS_PER_S;
    m->end_ns -= INT64_C(500) * 86400 * TW_NS_PER_S;
}

static void shift_3_days_ahead(Tw__Summary *m)
{
    m->start_ns += INT64_C(3) * 86400 * TW_NS_PER_S;
    m->end_ns += INT64_C(3) * 86400 * TW_NS_PER_S;
}

/* Each day makes a table: an agent may not choose any day it likes. */
static void impossible_times_are_refused(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;

    fake_report(l.a, 0);
    send_changed(l.a, 1, &l.ab, 1, shift_500_days_back);
    send_changed(l.a, 2, &l.ab, 1, shift_3_days_ahead);
    WAIT(l.a->through == 2);
    assert_int_equal(ingested(f).summaries, 0);
    assert_int_equal(ingested(f).rows_refused, 2);
}

/* Sends a row with such times, which is not taken, and nothing is lost. */
static void stays_in_the_spool(struct lab *l, void (*change)(Tw__Summary *m), const char *what)
{
    struct fixture *f = l->f;
    unsigned before = l->a->n_answers;

    send_changed(l->a, 1, &l->ab, 1, change);
    WAIT(l->a->n_answers == before + 1);
    expect_answer(l->a, TW__STATUS__STATUS_UNAVAILABLE, 0, what);
    assert_non_null(strstr(l->a->detail, "stay in its spool"));
    assert_int_equal(ingested(f).rows_refused, 0);
}

/* Whose clock is wrong is not known: a controller with a flat battery must not cost a fleet's results. */
static void nothing_is_refused_for_good_while_clocks_disagree(void **state)
{
    struct lab l = make_lab(state);
    const int64_t day = INT64_C(86400) * TW_NS_PER_S;

    stays_in_the_spool(&l, shift_3_days_ahead, "before its first report");
    fake_report(l.a, 3 * day);
    stays_in_the_spool(&l, shift_3_days_ahead, "by a clock that is ahead");
    fake_report(l.a, -500 * day);
    stays_in_the_spool(&l, shift_500_days_back, "by a clock that is behind");
    deliver(l.a, 1, &l.ab, 1); /* what can be right is taken, whatever its clock says now */
    expect_answer(l.a, TW__STATUS__STATUS_OK, 1, "times that can be right");
    assert_int_equal(ingested(l.f).summaries, 1);
}

static void a_batch_that_is_too_big_cuts_the_connection(void **state)
{
    struct lab l = make_lab(state);
    uint64_t pairs[INGEST_BATCH_MAX + 1];
    struct fixture *f = l.f;
    unsigned down = l.a->n_down;

    for (size_t i = 0; i < TW_NELEM(pairs); i++)
        pairs[i] = l.ab;
    send_batch(l.a, 1, pairs, TW_NELEM(pairs));
    WAIT(l.a->n_down > down);
    assert_int_equal(ingested(f).summaries, 0);
}

static void a_gap_is_stored(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    Tw__SummaryBatch m = TW__SUMMARY_BATCH__INIT;
    Tw__Gap gap = TW__GAP__INIT;
    unsigned before = l.a->n_answers;

    gap.first_seq = 1;
    gap.last_seq = 500;
    gap.reason = (char *)"spool_full";
    m.spool_id = (ProtobufCBinaryData){ sizeof l.a->spool_id, l.a->spool_id };
    m.first_seq = 1;
    m.gap = &gap;
    assert_int_equal(rpc_peer_send_data(l.a->peer, &m.base), TW_OK);
    WAIT(l.a->n_answers > before);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 500, "gap");
    assert_int_equal(ingested(f).gap_summaries, 500);
    deliver(l.a, 501, &l.ab, 1);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 501, "after the gap");
}

/* What a machine that lost power would find: the files as they are, without any goodbye. */
static void crash(struct fixture *f)
{
    char cmd[512];

    snprintf(cmd, sizeof cmd, "cp -r %s %s/crashed", f->data, f->dir);
    assert_int_equal(system(cmd), 0);
    stop_controller(f);
    snprintf(f->data, sizeof f->data, "%s/crashed", f->dir);
    start_controller(f);
}

/* The first batch that told of the pair was not stored, since its agent was being removed. */
static void a_pair_is_brought_until_it_is_stored(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    struct store_pair row = { .mesh = "gone", .class_name = "voice", .source = "a", .target = "z9" };
    uint64_t id = store_pair_id(&row);
    unsigned before = l.a->n_answers;

    assert_int_equal(
        change_submit(f->c->changes, &(struct change_request){ .kind = CHANGE_REMOVE, .name = "a" }), TW_OK);
    inject(l.a, 1, &id, 1, name_old_pair);
    WAIT(inventory_agent(&f->c->inv, "a") && !inventory_agent(&f->c->inv, "a")->row.approved);
    assert_int_equal(ingested(f).summaries, 0);
    assert_true(approve(f, "a", "").ok);
    WAIT(l.a->peer && rpc_client_welcome(l.a->client).approved);
    send_changed(l.a, 1, &id, 1, name_old_pair);
    WAIT(l.a->n_answers > before);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 1, "again");
    crash(f);
    assert_non_null(inventory_pair(&f->c->inv, id));
}

static void shift_40_days_back(Tw__Summary *m)
{
    m->start_ns -= INT64_C(40) * 86400 * TW_NS_PER_S;
    m->end_ns -= INT64_C(40) * 86400 * TW_NS_PER_S;
}

static enum tw_rc count_row(void *ctx, const struct tw_summary *s)
{
    (void)s;
    ++*(size_t *)ctx;
    return TW_OK;
}

/* Of one pair: all summaries, or the latest. */
static size_t rows_in_store(struct fixture *f, uint64_t pair_id, bool latest)
{
    char path[256];
    struct store_reader *r;
    struct tw_err err = { 0 };
    enum tw_rc rc;
    size_t n = 0;

    snprintf(path, sizeof path, "%s/controller.db", f->data);
    rc = store_reader_open(path, &r, &err);
    if (rc == TW_OK)
        rc = latest ? store_read_latest(r, &pair_id, 1, 0, count_row, &n, &err)
                    : store_read_summaries(r, &pair_id, 1, 0, INT64_MAX, count_row, &n, &err);
    if (rc != TW_OK)
        fail_msg("%s", err.text);
    store_reader_close(r);
    return n;
}

static void latest_seen(const Tw__ReportReply *m, void *ctx)
{
    *(int *)ctx = m ? (int)m->n_pairs : -1;
}

/* 30 days are kept: what is older goes soon after the next start, once a result has come that is newer, and
 * nobody who asks for the latest stumbles. */
static void old_days_go(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    Tw__PairFilter rq = TW__PAIR_FILTER__INIT;
    unsigned before = l.a->n_answers;
    int n_pairs = 0;

    send_changed(l.a, 1, &l.ab, 1, shift_40_days_back);
    WAIT(l.a->n_answers > before);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 1, "old, but taken");
    deliver(l.b, 1, &l.ba, 1);
    assert_int_equal(rows_in_store(f, l.ab, true), 1);
    crash(f);
    WAIT(l.b->peer);
    assert_int_equal(rows_in_store(f, l.ab, false), 1);
    deliver(l.b, 2, &l.ba, 1);
    WAIT(rows_in_store(f, l.ab, false) == 0);
    assert_int_equal(rows_in_store(f, l.ab, true), 0);
    assert_int_equal(rows_in_store(f, l.ba, true), 1);
    rq.latest = true;
    tw__admin__report(admin_stub(f), &rq, latest_seen, &n_pairs);
    WAIT(n_pairs);
    assert_int_equal(n_pairs, 2);
    WAIT(l.a->peer);
    before = l.a->n_answers;
    deliver(l.a, 2, &l.ab, 1); /* its spool goes on */
    expect_answer(l.a, TW__STATUS__STATUS_OK, 2, "after it");
    assert_int_equal(rows_in_store(f, l.ab, true), 1);
}

static void a_restart_keeps_everything(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    uint64_t pairs[] = { l.ab, l.ab }, generation = f->c->inv.generation;
    unsigned enrolled_before, schedules_before = l.a->n_schedules;
    struct op_result r;

    deliver(l.a, 1, pairs, 2);
    enrolled_before = l.a->n_enrolled;
    crash(f);
    WAIT(l.a->n_enrolled > enrolled_before && inventory_agent(&f->c->inv, "a")->peer);
    assert_true(rpc_client_welcome(l.a->client).approved);
    assert_int_equal(rpc_client_welcome(l.a->client).through_seq, 2);
    assert_int_equal(f->c->inv.generation, generation);
    assert_int_equal(l.a->n_schedules, schedules_before); /* it runs the same digest already */
    assert_true(inventory_agent(&f->c->inv, "a")->acked_current);
    deliver(l.a, 2, pairs, 2);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 3, "after the restart");
    r = change_one_mesh(f, tw__admin__schedule_delete, "lab");
    assert_true(r.ok);
    assert_int_equal(r.generation, generation + 1);
    r = apply(f, MESH_AB, false);
    assert_int_equal(r.generation, generation + 2);
    WAIT(l.a->generation == generation + 2);
    assert_int_equal(l.a->pair_ids[0], l.ab); /* a pair keeps its id for ever */
}

static void deliver_ahead(struct fake *a, uint64_t first, const uint64_t *pairs, size_t n)
{
    a->sends_ahead = true;
    deliver(a, first, pairs, n);
    a->sends_ahead = false;
}

static void expect_ahead(const struct rpc_ahead *a, size_t n, uint64_t first, uint64_t last, const char *what)
{
    if (a->max != SEQSET_MAX || !a->backlog_per_s || a->spans.n != n ||
        (n && (a->spans.v[n - 1].first != first || a->spans.v[n - 1].last != last)))
        fail_msg("%s: %zu stretches, the last %llu-%llu", what, a->spans.n, (unsigned long long)a->spans.v[0].first,
                 (unsigned long long)a->spans.v[0].last);
}

/* The backlog comes after the fresh ones: stored and counted once, no sign of life, nothing to judge. */
static void fresh_ones_come_before_a_backlog(void **state)
{
    struct lab l = make_lab(state);
    uint64_t pairs[] = { l.ab, l.ab, l.ab, l.ab };
    struct fixture *f = l.f;
    struct pair *p = inventory_pair(&f->c->inv, l.ab);
    int64_t end_ns, heard_ns;

    deliver(l.a, 1, pairs, 2);
    expect_ahead(&l.a->ahead, 0, 0, 0, "in order");
    deliver_ahead(l.a, 9, pairs, 2);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 2, "ahead");
    expect_ahead(&l.a->ahead, 1, 9, 10, "ahead");
    assert_int_equal(ingested(f).spools_ahead, 1);
    end_ns = p->live->last_end_ns;
    heard_ns = p->live->heard.ns;
    deliver_ahead(l.a, 9, pairs, 2);
    assert_int_equal(ingested(f).repeated_batches, 1);
    deliver(l.a, 3, pairs, 4);
    expect_answer(l.a, TW__STATUS__STATUS_OK, 6, "the backlog");
    expect_ahead(&l.a->ahead, 1, 9, 10, "the backlog");
    assert_int_equal(p->live->n.sent, 24);
    assert_int_equal(p->live->last_end_ns, end_ns);
    assert_int_equal(p->live->heard.ns, heard_ns);
    assert_int_equal(ingested(f).backlog_summaries, 4);
    crash(f);
    WAIT(l.a->peer && inventory_agent(&f->c->inv, "a")->peer);
    assert_int_equal(rpc_client_welcome(l.a->client).through_seq, 6);
    expect_ahead(&(struct rpc_ahead){ rpc_client_welcome(l.a->client).ahead.max, 1, rpc_client_welcome(l.a->client).ahead.spans },
                 1, 9, 10, "after a restart");
    deliver(l.a, 7, pairs, 4); /* from an agent that knows nothing of it: two are new */
    expect_answer(l.a, TW__STATUS__STATUS_OK, 10, "all of it");
    expect_ahead(&l.a->ahead, 0, 0, 0, "all of it");
    assert_int_equal(rows_in_store(f, l.ab, false), 10);
    assert_int_equal(ingested(f).summaries, 2); /* since the restart */
    assert_int_equal(ingested(f).backlog_summaries, 2);
    assert_int_equal(ingested(f).spools_ahead, 0);
}

static void a_day_earlier(Tw__Summary *m)
{
    m->start_ns -= INT64_C(86400) * TW_NS_PER_S;
    m->end_ns -= INT64_C(86400) * TW_NS_PER_S;
}

/* Of a pair that has nothing fresh yet: what of the backlog is the latest is shown, but no alert is raised by it. */
static void a_backlog_is_not_judged(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    struct pair *p = inventory_pair(&f->c->inv, l.ab);
    unsigned before;

    before = l.a->n_answers;
    send_changed(l.a, 1, &l.ab, 1, a_day_earlier);
    WAIT(l.a->n_answers > before);
    before = l.a->n_answers;
    l.a->sends_ahead = true;
    send_changed(l.a, 20, &l.ab, 1, a_day_earlier);
    l.a->sends_ahead = false;
    WAIT(l.a->n_answers > before);
    p->live->judged_end_ns = 0;
    deliver(l.a, 2, &l.ab, 1);
    assert_int_equal(p->live->last_end_ns, T0 + 30 * TW_NS_PER_S);
    assert_int_equal(p->live->judged_end_ns, p->live->last_end_ns);
}

/* A row that is not stored keeps its number ahead, too. */
static void refused_rows_ahead_keep_their_numbers(void **state)
{
    struct lab l = make_lab(state);
    uint64_t pairs[] = { 990, l.ab, 991, l.ab };

    deliver(l.a, 1, &l.ab, 1);
    deliver_ahead(l.a, 11, pairs, 4);
    expect_ahead(&l.a->ahead, 1, 11, 14, "mixed");
    assert_int_equal(ingested(l.f).summaries, 3);
    assert_int_equal(ingested(l.f).rows_refused, 2);
}

static void a_removed_agent_is_out(void **state)
{
    struct lab l = make_lab(state);
    struct fixture *f = l.f;
    unsigned down = l.a->n_down;

    deliver(l.a, 1, &l.ab, 1);
    assert_true(remove_agent(f, "a").ok);
    WAIT(l.a->n_down > down);
    WAIT(l.b->n_sessions == 0); /* its pair had the removed agent as target */
    assert_non_null(inventory_pair(&f->c->inv, l.ab));
    assert_string_equal(pair_state(inventory_pair(&f->c->inv, l.ab), T0), "not_scheduled");
    WAIT(l.a->peer); /* comes back as one that waits for approval */
    assert_false(rpc_client_welcome(l.a->client).approved);
    down = l.a->n_down;
    send_batch(l.a, 2, &l.ab, 1);
    WAIT(l.a->n_down > down);
    assert_int_equal(ingested(f).summaries, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)
        T(a_pending_agent_stores_nothing),
        T(a_batch_is_stored_once),
        T(a_batch_out_of_sequence_is_refused),
        T(fresh_ones_come_before_a_backlog),
        T(a_backlog_is_not_judged),
        T(refused_rows_ahead_keep_their_numbers),
        T(rows_of_unknown_pairs_keep_their_numbers),
        T(what_is_not_its_own_is_refused),
        T(a_pair_is_learned_from_its_own_source_only),
        T(a_pair_that_comes_twice_is_one),
        T(a_pair_is_brought_until_it_is_stored),
        T(impossible_times_are_refused),
        T(nothing_is_refused_for_good_while_clocks_disagree),
        T(a_batch_that_is_too_big_cuts_the_connection),
        T(a_gap_is_stored),
        T(old_days_go),
        T(a_restart_keeps_everything),
        T(a_removed_agent_is_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
