#include "controller/ondemand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"
#include "controller/decide.h"
#include "controller/enrolment.h"
#include "controller/events.h"
#include "controller/ondemand_plan.h"
#include "controller/relay.h"
#include "controller/shared_id.h"
#include "controller/writer.h"

#define CALL_DEADLINE_MS 5000u
#define REASON_MAX 256
#define LOST_NS (ONDEMAND_LEASE_NS + 2 * TW_NS_PER_S) /* then its agent has ended it by itself */

enum run_state { RUN_QUEUED, RUN_STARTING, RUN_RUNNING, RUN_ENDING, RUN_ENDED };

struct run {
    uint64_t pair_id;
    enum run_state state;
    const char *end; /* RUN_ENDED: how; static */
    char *reason;    /* NULL: the end says all */
    bool asked;      /* a call for its progress is under way */
    bool stop_sent;
    bool relayed; /* its agent was at another controller when it began */
    int64_t started_ns, ended_ns, heard_ns;
    Tw__TestRunProgress *last; /* NULL: nothing yet */
};

struct test {
    uint64_t id;
    struct ondemand *owner;
    struct ondemand_plan plan;
    struct test_queue queue;
    struct run *runs; /* as plan.goals */
    char author[STORE_NAME_MAX];
    int64_t started_ns, ended_ns, touched_ns, polled_ns;
    bool stored; /* it may start */
    struct loop_timer timer;
    UT_hash_handle hh;
};

struct ondemand {
    struct controller *c;
    struct test *tests;
    uint64_t last_id;
    size_t relayed; /* runs that go on, and began so */
    struct ondemand_counters counters;
};

/* A call under way: its test may be gone when the answer comes. */
struct call {
    struct ondemand *owner;
    uint64_t test_id;
    size_t run;
    void (*packets)(void *ctx, const struct ondemand_result *r, const Tw__TestRunProgress *p);
    void *ctx;
};

static struct test *find_test(const struct ondemand *o, uint64_t id)
{
    struct test *t;

    HASH_FIND(hh, o->tests, &id, sizeof id, t);
    return t;
}

static int64_t wall_ns(void)
{
    return tw_wall_now().ns;
}

static int64_t mono_ns(void)
{
    return tw_mono_now().ns;
}

/* ---- Storing ---- */

struct store_job {
    struct writer_job job; /* first */
    struct ondemand *owner;
    struct store_test test;
    char author[STORE_NAME_MAX], what[sizeof((struct ondemand_plan *)0)->what],
        settings[ONDEMAND_SETTINGS_TEXT];
    struct store_pair *pairs; /* with their ids */
    struct store_test_run *runs;
    char **reasons;
    size_t n;
    ondemand_done done; /* NULL: nobody waits */
    void *ctx;
};

static void free_job(struct store_job *j)
{
    for (size_t i = 0; j->reasons && i < j->n; i++)
        free(j->reasons[i]);
    free(j->reasons);
    free(j->pairs);
    free(j->runs);
    free(j);
}

static enum tw_rc run_store(struct writer_job *job, struct store *s, struct tw_err *err)
{
    struct store_job *j = (struct store_job *)job;
    enum tw_rc rc = store_put_test(s, &j->test, err);

    for (size_t i = 0; !rc && i < j->n; i++) {
        struct store_pair p = j->pairs[i];
        rc = store_put_pair(s, &p, err);
        if (!rc)
            rc = store_put_test_run(s, j->test.id, &j->runs[i], err);
    }
    return rc;
}

static const char *run_state_text(const struct test *t, const struct run *r)
{
    static const char *const names[] = { [RUN_QUEUED] = "queued",
                                         [RUN_STARTING] = "starting",
                                         [RUN_RUNNING] = "running",
                                         [RUN_ENDING] = "ending" };

    if (r->state == RUN_QUEUED && t->queue.halt)
        return "not_started";
    return r->state == RUN_ENDED ? r->end : names[r->state];
}

static bool fill_rows(const struct test *t, struct store_job *j)
{
    j->pairs = calloc(t->plan.n + 1, sizeof *j->pairs);
    j->runs = calloc(t->plan.n + 1, sizeof *j->runs);
    j->reasons = calloc(t->plan.n + 1, sizeof *j->reasons);
    if (!j->pairs || !j->runs || !j->reasons)
        return false;
    for (; j->n < t->plan.n; j->n++) {
        const struct run *r = &t->runs[j->n];
        const struct pair *p = inventory_pair(&t->owner->c->inv, r->pair_id);
        if (r->reason && !(j->reasons[j->n] = strdup(r->reason)))
            return false;
        j->pairs[j->n] = p->row; /* names are kept for the inventory's life */
        j->runs[j->n] = (struct store_test_run){ .pair = p->row,
                                                 .state = run_state_text(t, r),
                                                 .reason = r->reason ? j->reasons[j->n] : "",
                                                 .started_ns = r->started_ns,
                                                 .ended_ns = r->ended_ns };
    }
    return true;
}

static struct store_job *make_job(const struct test *t)
{
    struct store_job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    j->owner = t->owner;
    memcpy(j->author, t->author, sizeof j->author);
    memcpy(j->what, t->plan.what, sizeof j->what);
    memcpy(j->settings, t->plan.settings, sizeof j->settings);
    j->test = (struct store_test){ .id = t->id,
                                   .started_ns = t->started_ns,
                                   .ended_ns = t->ended_ns,
                                   .author = j->author,
                                   .what = j->what,
                                   .settings = j->settings,
                                   .state = test_state_name(test_queue_state(&t->queue)),
                                   .count = t->plan.count,
                                   .duration_ns = t->plan.duration_ns };
    if (fill_rows(t, j))
        return j;
    free_job(j);
    return NULL;
}

static void stored_end(struct writer_job *job)
{
    if (job->rc != TW_OK && job->rc != TW_ECLOSED)
        log_error("how a test on demand ended cannot be stored", LOG_S("error", job->err.text));
    free_job((struct store_job *)job);
}

static void store_end(const struct test *t)
{
    struct store_job *j = make_job(t);

    if (!j)
        return;
    j->job = (struct writer_job){ .run = run_store, .done = stored_end };
    if (writer_submit(t->owner->c->writer, &j->job) != TW_OK)
        free_job(j);
}

/* ---- The end of runs and tests ---- */

static void free_test(struct test *t)
{
    struct ondemand *o = t->owner;

    HASH_DEL(o->tests, t);
    loop_timer_cancel(o->c->loop, &t->timer);
    for (size_t i = 0; i < t->plan.n; i++) {
        if (t->runs[i].last)
            tw__test_run_progress__free_unpacked(t->runs[i].last, NULL);
        free(t->runs[i].reason);
    }
    free(t->runs);
    test_queue_free(&t->queue);
    ondemand_plan_free(&t->plan);
    free(t);
}

static void look_whether_done(struct test *t)
{
    if (t->ended_ns || !test_queue_done(&t->queue))
        return;
    t->ended_ns = wall_ns();
    t->owner->counters.running--;
    events_note(t->owner->c->events, EVENT_TESTS);
    t->owner->counters.abandoned += test_queue_state(&t->queue) == TEST_ABANDONED;
    log_info("test on demand ended", LOG_U("test", t->id),
             LOG_S("state", test_state_name(test_queue_state(&t->queue))), LOG_U("runs", t->queue.over),
             LOG_U("failed", t->queue.failed));
    store_end(t);
}

static void pump(struct test *t);

static void end_run(struct test *t, size_t i, const char *end, const char *reason, bool failed)
{
    struct run *r = &t->runs[i];

    if (r->state == RUN_ENDED || r->state == RUN_QUEUED)
        return;
    r->state = RUN_ENDED;
    r->end = end;
    r->ended_ns = wall_ns();
    if (reason && *reason)
        r->reason = strndup(reason, REASON_MAX);
    t->owner->relayed -= r->relayed;
    r->relayed = false;
    t->owner->counters.runs_failed += failed;
    test_queue_end(&t->queue, i, failed);
    events_note(t->owner->c->events, EVENT_TESTS);
    pump(t);
    look_whether_done(t);
}

/* ---- Calls to agents ---- */

/* Wherever it is connected now: it may move while it runs. */
static ProtobufCService *agent_of(const struct test *t, size_t run)
{
    struct controller *c = t->owner->c;
    const struct agent *a = inventory_agent(&c->inv, t->plan.goals[run].source);

    if (!a || !a->row.approved)
        return NULL;
    return a->peer
               ? rpc_peer_service(a->peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, CALL_DEADLINE_MS)
               : relay_agent(c->relay, a);
}

static struct call *new_call(const struct test *t, size_t run)
{
    struct call *call = calloc(1, sizeof *call);

    if (call)
        *call = (struct call){ .owner = t->owner, .test_id = t->id, .run = run };
    return call;
}

static void stop_done(const Tw__TestRunStopReply *reply, void *ctx)
{
    (void)reply; /* the next look at its progress tells */
    free(ctx);
}

static void stop_run(struct test *t, size_t i)
{
    Tw__TestRunStopRequest rq = TW__TEST_RUN_STOP_REQUEST__INIT;
    struct run *r = &t->runs[i];
    ProtobufCService *agent = r->state == RUN_RUNNING && !r->stop_sent ? agent_of(t, i) : NULL;
    struct call *call = agent ? new_call(t, i) : NULL;

    if (!call)
        return;
    r->stop_sent = true;
    rq.test_id = t->id;
    rq.pair_id = r->pair_id;
    tw__fleet_agent__test_stop(agent, &rq, stop_done, call);
}

static void stop_runs(struct test *t)
{
    for (size_t i = 0; i < t->plan.n; i++)
        stop_run(t, i);
}

/* Is it what we asked for? */
static bool is_sane(const struct test *t, const struct run *r, const Tw__TestRunProgress *p)
{
    struct tw_summary s;
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (strlen(p->detail) > REASON_MAX || p->n_packets > MESH_DATAGRAM_MAX)
        return false;
    if (!p->total)
        return true;
    if (p->total->pair_id != r->pair_id || p->total->test_id != t->id)
        return false;
    summary_init(&s);
    rc = summary_from_pb(p->total, &s, &err);
    summary_free(&s);
    return rc == TW_OK;
}

/* Without the single probes, which nobody asks for twice. */
static void keep_progress(struct run *r, const Tw__TestRunProgress *p)
{
    Tw__TestRunProgress bare = *p;
    Tw__TestRunProgress *m;

    bare.n_packets = 0;
    bare.packets = NULL;
    m = message_clone(&bare.base);
    if (!m)
        return;
    if (r->last)
        tw__test_run_progress__free_unpacked(r->last, NULL);
    r->last = m;
}

static void take_end(struct test *t, size_t i, const Tw__TestRunProgress *p)
{
    static const struct {
        const char *name;
        bool failed;
    } ends[] = {
        [TW__TEST_END__TEST_END_NONE] = { "complete", false },
        [TW__TEST_END__TEST_END_COMPLETE] = { "complete", false },
        [TW__TEST_END__TEST_END_STOPPED] = { "stopped", false },
        [TW__TEST_END__TEST_END_LEASE] = { "abandoned", true },
        [TW__TEST_END__TEST_END_NO_ROOM] = { "displaced", true },
        [TW__TEST_END__TEST_END_FAILED] = { "failed", true },
    };
    unsigned end = (unsigned)p->end < TW_NELEM(ends) ? (unsigned)p->end : 0;

    end_run(t, i, ends[end].name, p->detail, ends[end].failed);
}

static void take_progress(struct test *t, size_t i, const Tw__TestRunProgress *p)
{
    struct run *r = &t->runs[i];

    r->heard_ns = mono_ns();
    if (!is_sane(t, r, p)) {
        end_run(t, i, "failed", "its agent's answer contradicts itself", true);
        return;
    }
    keep_progress(r, p);
    if (p->phase == TW__TEST_PHASE__TEST_PHASE_ENDING)
        r->state = RUN_ENDING;
    if (p->phase == TW__TEST_PHASE__TEST_PHASE_DONE)
        take_end(t, i, p);
}

/* No answer. As long as its lease may last it may come back: a connection can break for a moment. */
static void take_silence(struct test *t, size_t i, Tw__Status status, const char *detail)
{
    struct run *r = &t->runs[i];
    char text[REASON_MAX];

    if (status == TW__STATUS__STATUS_NOT_FOUND) {
        end_run(t, i, "lost", "its agent was restarted meanwhile", true);
    } else if (mono_ns() - r->heard_ns > LOST_NS) {
        snprintf(text, sizeof text,
                 "agent %s does not answer (%.100s): what it measured comes when it is back",
                 t->plan.goals[i].source, detail);
        end_run(t, i, "lost", text, true);
    }
}

static void progress_done(const Tw__TestRunProgress *p, void *ctx)
{
    struct call *call = ctx;
    struct test *t = find_test(call->owner, call->test_id);
    struct rpc_result res = rpc_result();
    struct run *r = t ? &t->runs[call->run] : NULL;

    if (r)
        r->asked = false;
    if (r && r->state != RUN_ENDED) {
        if (p)
            take_progress(t, call->run, p);
        else
            take_silence(t, call->run, res.status,
                         res.detail && *res.detail ? res.detail : rpc_status_name(res.status));
    }
    free(call);
}

static Tw__TestRunProgressRequest progress_request(const struct test *t, size_t i)
{
    Tw__TestRunProgressRequest rq = TW__TEST_RUN_PROGRESS_REQUEST__INIT;

    rq.test_id = t->id;
    rq.pair_id = t->runs[i].pair_id;
    rq.lease_ns = ONDEMAND_LEASE_NS;
    return rq;
}

static void poll_run(struct test *t, size_t i)
{
    struct run *r = &t->runs[i];
    Tw__TestRunProgressRequest rq = progress_request(t, i);
    ProtobufCService *agent;
    struct call *call;

    if ((r->state != RUN_RUNNING && r->state != RUN_ENDING) || r->asked)
        return;
    agent = agent_of(t, i);
    if (!agent) {
        take_silence(t, i, TW__STATUS__STATUS_UNAVAILABLE, "not connected");
        return;
    }
    call = new_call(t, i);
    if (!call)
        return;
    r->asked = true;
    tw__fleet_agent__test_progress(agent, &rq, progress_done, call);
}

/* ---- Starting runs ---- */

static void start_done(const Tw__TestRunReply *reply, void *ctx)
{
    struct call *call = ctx;
    struct test *t = find_test(call->owner, call->test_id);
    struct rpc_result res = rpc_result();
    struct run *r = t ? &t->runs[call->run] : NULL;

    if (r && r->state == RUN_STARTING && reply) {
        r->state = RUN_RUNNING;
        r->started_ns = wall_ns();
        r->heard_ns = mono_ns();
        if (t->queue.halt)
            stop_run(t, call->run);
    } else if (r && r->state == RUN_STARTING) {
        end_run(t, call->run, res.answered ? "refused" : "lost",
                res.detail && *res.detail ? res.detail : rpc_status_name(res.status), true);
    }
    free(call);
}

/* What controllers can tell each other is bounded: so many runs get their turn within the lease. */
static bool may_relay(struct test *t, size_t i, char *why, size_t cap)
{
    struct ondemand *o = t->owner;
    const struct agent *a = inventory_agent(&o->c->inv, t->plan.goals[i].source);

    if (!a || a->peer)
        return true;
    if (o->relayed >= ONDEMAND_RELAYED_MAX) {
        snprintf(
            why, cap,
            "%u runs of agents of other controllers go on already: try again later, or ask controller %.100s",
            ONDEMAND_RELAYED_MAX, a->elsewhere);
        return false;
    }
    t->runs[i].relayed = true;
    o->relayed++;
    return true;
}

static void start_run(struct test *t, size_t i)
{
    Tw__TestRunRequest rq = TW__TEST_RUN_REQUEST__INIT;
    Tw__SessionSpec spec;
    char address[TW_ADDR_TEXT], why[REASON_MAX];
    uint32_t imix[MESH_IMIX];
    const struct ondemand_goal *g = &t->plan.goals[i];
    ProtobufCService *agent;
    struct call *call;

    t->runs[i].state = RUN_STARTING;
    t->owner->counters.runs++;
    if (g->refuse) {
        end_run(t, i, "refused", g->refuse, true);
        return;
    }
    if (ondemand_absent(t->owner->c, g->source, why, sizeof why)) {
        end_run(t, i, "agent_down", why, true);
        return;
    }
    if (!may_relay(t, i, why, sizeof why)) {
        end_run(t, i, "refused", why, true);
        return;
    }
    ondemand_plan_spec(&t->plan, i, address, imix, &spec);
    spec.pair_id = t->runs[i].pair_id;
    rq.test_id = t->id;
    rq.spec = &spec;
    rq.flows = t->plan.classes[g->class_index].flows;
    rq.count = t->plan.count;
    rq.duration_ns = t->plan.duration_ns;
    rq.lease_ns = ONDEMAND_LEASE_NS;
    rq.packets = t->plan.n == 1;
    agent = agent_of(t, i);
    call = agent ? new_call(t, i) : NULL;
    if (call)
        tw__fleet_agent__test_start(agent, &rq, start_done, call);
    else
        end_run(t, i, "failed", "out of memory", true);
}

/* A run that fails at once makes room for the next one: that is a loop here, not a recursion. */
static void pump(struct test *t)
{
    size_t run;

    if (!t->stored)
        return;
    t->stored = false;
    while (test_queue_next(&t->queue, &run))
        start_run(t, run);
    t->stored = true;
    events_note(t->owner->c->events, EVENT_TESTS);
}

/* ---- Time ---- */

static void poll_runs(struct test *t)
{
    int64_t now = mono_ns();

    if (!t->stored || now - t->polled_ns < ONDEMAND_POLL_NS / 2)
        return;
    t->polled_ns = now;
    for (size_t i = 0; i < t->plan.n; i++)
        poll_run(t, i);
}

static void halt(struct test *t, bool left)
{
    if (!test_queue_halt(&t->queue, left))
        return;
    stop_runs(t);
    look_whether_done(t);
}

/* While the test is left alone only its last answers are fetched. */
static void on_timer(struct loop_timer *timer)
{
    struct test *t = timer->ctx;
    int64_t now = mono_ns();

    if (t->ended_ns && now - t->touched_ns > ONDEMAND_KEPT_NS) {
        free_test(t);
        return;
    }
    if (!t->ended_ns && test_queue_expired(&t->queue, now))
        halt(t, true);
    if (!t->ended_ns && t->queue.halt) {
        stop_runs(t); /* those that could not be told */
        poll_runs(t);
    }
    loop_timer_set(t->owner->c->loop, timer,
                   (struct tw_mono){ now + (t->ended_ns ? TW_NS_PER_S : ONDEMAND_POLL_NS) });
}

/* ---- Start ---- */

static void answer(ondemand_done done, void *ctx, Tw__Status status, const char *text, uint64_t id)
{
    struct ondemand_result r = { status, text, id };

    done(ctx, &r);
}

static void begin(struct test *t)
{
    t->stored = true;
    test_queue_renew(&t->queue, mono_ns(), ONDEMAND_CLIENT_NS);
    t->touched_ns = mono_ns();
    t->timer = (struct loop_timer){ .fn = on_timer, .ctx = t };
    on_timer(&t->timer);
    pump(t);
    look_whether_done(t);
}

static void stored_start(struct writer_job *job)
{
    struct store_job *j = (struct store_job *)job;
    struct test *t = find_test(j->owner, j->test.id);

    for (size_t i = 0; job->rc == TW_OK && i < j->n; i++)
        inventory_pair(&j->owner->c->inv, j->pairs[i].id)->unstored = false;
    if (!t || job->rc != TW_OK) {
        answer(j->done, j->ctx,
               job->rc == TW_EAGAIN ? TW__STATUS__STATUS_ABORTED : TW__STATUS__STATUS_INTERNAL,
               job->err.text[0] ? job->err.text : "the store is closed", 0);
        if (t) {
            t->owner->counters.running--;
            free_test(t);
        }
    } else {
        begin(t);
        answer(j->done, j->ctx, TW__STATUS__STATUS_OK, "", t->id);
    }
    free_job(j);
}

/* The pairs in the inventory, so that their results find them. */
static bool add_pairs(struct test *t)
{
    struct inventory *inv = &t->owner->c->inv;

    for (size_t i = 0; i < t->plan.n; i++) {
        const struct ondemand_goal *g = &t->plan.goals[i];
        struct store_pair row = { .mesh = ONDEMAND_MESH,
                                  .class_name = t->plan.classes[g->class_index].name,
                                  .source = g->source,
                                  .target = g->target };
        struct pair *p;
        row.id = store_pair_id(&row);
        p = inventory_pair(inv, row.id);
        if (!p && (p = inventory_add_pair(inv, &row)))
            p->unstored = true;
        if (!p)
            return false;
        t->runs[i].pair_id = row.id;
    }
    return true;
}

static bool init_queue(struct test *t)
{
    uint32_t *sources = malloc((t->plan.n + 1) * sizeof *sources);
    enum tw_rc rc = sources ? TW_OK : TW_ENOMEM;

    for (size_t i = 0; !rc && i < t->plan.n; i++)
        sources[i] = t->plan.goals[i].source_index;
    if (!rc)
        rc = test_queue_init(&t->queue, sources, t->plan.n, t->plan.n_sources, t->plan.parallel,
                             ONDEMAND_TOTAL);
    free(sources);
    return rc == TW_OK;
}

/* By the clock, so that a number is never used again, whatever becomes of the database. */
static uint64_t next_id(struct ondemand *o)
{
    uint64_t now = (uint64_t)(wall_ns() / TW_NS_PER_S);

    if (o->c->shared)
        return shared_id_next((struct tw_wall){ wall_ns() }, &o->last_id);
    o->last_id = now > o->last_id ? now : o->last_id + 1;
    return o->last_id;
}

/* Takes the plan. NULL: no memory. */
static struct test *make_test(struct ondemand *o, const struct ondemand_plan *plan, const char *author)
{
    struct test *t = calloc(1, sizeof *t);

    if (!t)
        return NULL;
    t->owner = o;
    t->id = next_id(o);
    t->started_ns = wall_ns();
    t->plan = *plan;
    snprintf(t->author, sizeof t->author, "%s", author);
    HASH_ADD(hh, o->tests, id, sizeof t->id, t);
    t->runs = calloc(plan->n + 1, sizeof *t->runs);
    if (t->runs && init_queue(t) && add_pairs(t))
        return t;
    t->plan.n = t->runs ? t->plan.n : 0;
    free_test(t);
    return NULL;
}

static Tw__Status check_start(const struct ondemand *o, const Tw__TestStartRequest *rq, const char **ret_text)
{
    if (strlen(rq->author) >= STORE_NAME_MAX) {
        *ret_text = "the author has more than 63 octets";
        return TW__STATUS__STATUS_INVALID_ARGUMENT;
    }
    if (o->counters.running >= ONDEMAND_TESTS_MAX) {
        *ret_text = "32 tests on demand run already: twampctl test list shows them";
        return TW__STATUS__STATUS_RESOURCE_EXHAUSTED;
    }
    return TW__STATUS__STATUS_OK;
}

static void submit(struct test *t, ondemand_done done, void *ctx)
{
    struct store_job *j = make_job(t);
    enum tw_rc rc = j ? TW_OK : TW_ENOMEM;

    t->owner->counters.running++;
    t->owner->counters.started++;
    if (j) {
        j->job = (struct writer_job){ .run = run_store,
                                      .done = stored_start,
                                      .rows = 1,
                                      .urgent = true,
                                      .decided = decide_memory(t->owner->c) };
        j->done = done;
        j->ctx = ctx;
        rc = writer_submit(t->owner->c->writer, &j->job);
    }
    if (rc == TW_OK)
        return;
    if (j)
        free_job(j);
    t->owner->counters.running--;
    free_test(t);
    answer(done, ctx, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
           rc == TW_EBUSY ? "the store writer's queue is full: try again" : "out of memory", 0);
}

void ondemand_start(struct ondemand *o, const Tw__TestStartRequest *rq, ondemand_done done, void *ctx)
{
    struct ondemand_plan plan = { 0 };
    struct tw_err err = { 0 };
    const char *text = err.text;
    Tw__Status status = check_start(o, rq, &text);
    struct test *t;

    if (!status)
        status = ondemand_plan(o->c, rq, &plan, &err);
    if (status) {
        o->counters.refused++;
        answer(done, ctx, status, text, 0);
        return;
    }
    t = make_test(o, &plan, rq->author);
    if (!t) {
        answer(done, ctx, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory", 0);
        return;
    }
    log_info("test on demand", LOG_U("test", t->id), LOG_S("what", t->plan.what), LOG_U("runs", t->plan.n),
             LOG_S("author", t->author));
    submit(t, done, ctx);
}

/* ---- Stop, progress ---- */

bool ondemand_stop(struct ondemand *o, uint64_t test_id)
{
    struct test *t = find_test(o, test_id);

    if (!t)
        return false;
    t->touched_ns = mono_ns();
    halt(t, false);
    return true;
}

bool ondemand_touch(struct ondemand *o, uint64_t test_id)
{
    struct test *t = find_test(o, test_id);

    if (!t)
        return false;
    t->touched_ns = mono_ns();
    test_queue_renew(&t->queue, t->touched_ns, ONDEMAND_CLIENT_NS);
    poll_runs(t);
    return true;
}

static void fill_info(const struct test *t, Tw__TestInfo *ret)
{
    tw__test_info__init(ret);
    ret->test_id = t->id;
    ret->started_ns = t->started_ns;
    ret->ended_ns = t->ended_ns;
    ret->author = (char *)t->author;
    ret->what = (char *)t->plan.what;
    ret->settings = (char *)t->plan.settings;
    ret->count = t->plan.count;
    ret->duration_ns = t->plan.duration_ns;
    ret->state = (char *)test_state_name(test_queue_state(&t->queue));
    ret->runs = (uint32_t)t->plan.n;
    ret->queued = (uint32_t)t->queue.queued;
    ret->running = (uint32_t)t->queue.running;
    ret->done = (uint32_t)t->queue.over;
    ret->failed = (uint32_t)t->queue.failed;
}

bool ondemand_info(const struct ondemand *o, uint64_t test_id, Tw__TestInfo *ret)
{
    const struct test *t = find_test(o, test_id);

    if (t)
        fill_info(t, ret);
    return t != NULL;
}

static size_t add_tests(const struct ondemand *o, bool run, Tw__TestInfo *ret, size_t n, size_t cap)
{
    for (const struct test *t = o->tests; t && n < cap; t = t->hh.next)
        if (!t->ended_ns == run)
            fill_info(t, &ret[n++]);
    return n;
}

size_t ondemand_tests(const struct ondemand *o, Tw__TestInfo *ret, size_t cap)
{
    return add_tests(o, false, ret, add_tests(o, true, ret, 0, cap), cap);
}

bool ondemand_run(const struct ondemand *o, uint64_t test_id, size_t i, Tw__TestRun *ret)
{
    const struct test *t = find_test(o, test_id);
    const struct run *r;

    if (!t || i >= t->plan.n)
        return false;
    r = &t->runs[i];
    tw__test_run__init(ret);
    ret->pair_id = r->pair_id;
    ret->class_name = (char *)t->plan.classes[t->plan.goals[i].class_index].name;
    ret->source = (char *)t->plan.goals[i].source;
    ret->target = (char *)t->plan.goals[i].target;
    ret->state = (char *)run_state_text(t, r);
    ret->reason = r->reason ? r->reason : (char *)protobuf_c_empty_string;
    ret->started_ns = r->started_ns;
    ret->ended_ns = r->ended_ns;
    if (r->last) {
        ret->total = r->last->total;
        ret->in_flight = r->last->in_flight;
        ret->last_known = r->last->last_known;
        ret->last_rtt_ns = r->last->last_rtt_ns;
    }
    return true;
}

static void packets_done(const Tw__TestRunProgress *p, void *ctx)
{
    struct call *call = ctx;
    struct test *t = find_test(call->owner, call->test_id);
    struct rpc_result res = rpc_result();
    struct ondemand_result r = { TW__STATUS__STATUS_OK, "", call->test_id };

    if (t && p && t->runs[call->run].state != RUN_ENDED && t->runs[call->run].state != RUN_STARTING)
        take_progress(t, call->run, p);
    if (!p) {
        r.status = TW__STATUS__STATUS_UNAVAILABLE;
        r.text = res.detail && *res.detail ? res.detail : rpc_status_name(res.status);
    }
    call->packets(call->ctx, &r, p);
    free(call);
}

void ondemand_packets(struct ondemand *o, uint64_t test_id, int64_t from_ns,
                      void (*done)(void *ctx, const struct ondemand_result *r, const Tw__TestRunProgress *p),
                      void *ctx)
{
    struct test *t = find_test(o, test_id);
    struct ondemand_result none = { TW__STATUS__STATUS_UNAVAILABLE, "nothing runs yet", test_id };
    bool started = t && t->plan.n == 1 && t->runs[0].started_ns;
    ProtobufCService *agent = started ? agent_of(t, 0) : NULL;
    struct call *call = agent ? new_call(t, 0) : NULL;
    Tw__TestRunProgressRequest rq;

    if (!call) {
        done(ctx, &none, NULL);
        return;
    }
    call->packets = done;
    call->ctx = ctx;
    rq = progress_request(t, 0);
    rq.packets = true;
    rq.packets_from_ns = from_ns;
    tw__fleet_agent__test_progress(agent, &rq, packets_done, call);
}

/* ---- Life ---- */

void ondemand_counters(const struct ondemand *o, struct ondemand_counters *ret)
{
    *ret = o->counters;
}

enum tw_rc ondemand_new(struct controller *c, uint64_t last_id, struct ondemand **ret)
{
    struct ondemand *o = calloc(1, sizeof *o);

    if (!o)
        return TW_ENOMEM;
    o->c = c;
    o->last_id = last_id;
    *ret = o;
    return TW_OK;
}

void ondemand_free(struct ondemand *o)
{
    if (!o)
        return;
    while (o->tests)
        free_test(o->tests);
    free(o);
}
