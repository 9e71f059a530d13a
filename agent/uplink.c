/* agent/uplink.c - see uplink.h. Which records are sent next is decided by core/lanes. A controller that has
 * nothing of this spool takes whatever it stores first for the beginning: until that is acknowledged, one
 * batch is sent at a time. */
#include "agent/uplink.h"

#include <stdlib.h>
#include <string.h>
#include "agent/core/lanes.h"
#include "agent/diagnose.h"
#include "agent/ondemand.h"
#include "agent/recorder.h"
#include "agent/renewal.h"
#include "common/log.h"
#include "common/net/arena.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"
#include "common/net/thread_list.h"
#include "common/version.h"

#define BATCH_RECORDS 256u
#define BATCH_BYTES (256u * 1024)
#define HEALTH_PERIOD_NS (10 * TW_NS_PER_S)
#define REFUSED_PAUSE_NS (1 * TW_NS_PER_S)
#define LOOK_BACK_NS (1 * TW_NS_PER_S) /* between two looks at where fresh records begin */
#define CALL_DEADLINE_MS 10000
#define THREADS_TOLD 128u            /* more than an agent has */
#define SKIP_MAX (UINT64_C(1) << 32) /* more than a spool gives out between two backups */

struct uplink {
    struct uplink_conf conf;
    struct roam *roam;
    struct renewal *renewal; /* NULL: there is nothing to renew */
    struct rpc_peer *peer;   /* NULL: not connected */
    bool approved;
    bool unwanted; /* by the controller's last word */
    uint8_t boot_id[RPC_ID_LEN];
    struct lanes lanes;
    uint64_t known; /* numbers that the controller can have of us: sent, or given out before the start */
    struct lanes_grant misplaced_at; /* if misplaced: where it could not go on */
    bool misplaced;                  /* the spool is an old copy, and could not be mended yet */
    struct tw_mono looked_back; /* when it was last looked where fresh records begin */
    struct arena *arena;
    struct tw_summary scratch; /* to see whether a record is whole */
    struct loop_timer health, resume, backlog;
    bool paused; /* a batch was refused: wait for `resume` */
    Tw__FleetAgent_Service service;
    struct rpc_service services[1];
    struct log_limit refused_log, failed_log;
};

/* ---- Delivering the spool ---- */

/* NULL: what the disk gave back is no summary that the controller would take. */
static Tw__Summary *unpack_record(struct uplink *u, const struct spool_record *rec)
{
    Tw__Summary *m = tw__summary__unpack(arena_allocator(u->arena), rec->len, rec->data);
    struct tw_err err = { 0 };

    return m && summary_from_pb(m, &u->scratch, &err) == TW_OK ? m : NULL;
}

/* Up to the first record that cannot be read. */
static enum tw_rc unpack_records(struct uplink *u, const struct spool_record *rec, size_t n,
                                 Tw__SummaryBatch *b)
{
    b->summaries = arena_alloc(u->arena, n * sizeof *b->summaries);
    if (!b->summaries)
        return TW_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        b->summaries[i] = unpack_record(u, &rec[i]);
        if (!b->summaries[i])
            break;
        b->n_summaries++;
    }
    return TW_OK;
}

/* What the pick has: records in a row, or a gap. */
static enum tw_rc fill_batch(struct uplink *u, const struct lanes_pick *p, Tw__SummaryBatch *b, Tw__Gap *g,
                             struct spool_gap *gap)
{
    struct spool_record rec[BATCH_RECORDS];
    size_t want = p->last - p->first < BATCH_RECORDS ? (size_t)(p->last - p->first + 1) : BATCH_RECORDS,
           n = 0;
    enum tw_rc rc = spool_read(u->conf.spool, p->first, want, BATCH_BYTES, rec, &n, gap);

    if (rc == TW_OK && n) {
        rc = unpack_records(u, rec, n, b);
        if (rc == TW_OK && !b->n_summaries)
            *gap = (struct spool_gap){ p->first, p->first, "spool_corrupt", 0,
                                       0 }; /* it must not hold up all that follow */
    }
    if (rc != TW_OK || b->n_summaries)
        return rc;
    if (gap->last_seq > p->gap_last) /* what follows is stored */
        gap->last_seq = p->gap_last;
    g->first_seq = gap->first_seq;
    g->last_seq = gap->last_seq;
    g->reason = (char *)gap->reason;
    g->from_ns = gap->from_ns;
    g->until_ns = gap->until_ns;
    b->gap = g;
    return TW_OK;
}

/* Sends the pick, or the beginning of it. TW_EBUSY: the connection is full. */
static enum tw_rc send_batch(struct uplink *u, const struct lanes_pick *p, struct tw_mono now)
{
    Tw__SummaryBatch b = TW__SUMMARY_BATCH__INIT;
    Tw__Gap g = TW__GAP__INIT;
    struct spool_gap gap = { 0 };
    uint64_t last;
    enum tw_rc rc;

    arena_reset(u->arena);
    b.spool_id = (ProtobufCBinaryData){ SPOOL_ID_LEN, (uint8_t *)spool_id(u->conf.spool) };
    b.first_seq = p->first;
    b.ahead = p->ahead;
    rc = fill_batch(u, p, &b, &g, &gap);
    if (rc == TW_OK)
        rc = rpc_peer_send_data(u->peer, &b.base);
    if (rc != TW_OK)
        return rc;
    if (b.gap && !strcmp(gap.reason, "spool_corrupt"))
        log_error("a record of the spool is damaged and is given up", LOG_U("seq", gap.first_seq),
                  LOG_S("hint", "look at the disk"));
    last = b.gap ? gap.last_seq : p->first + b.n_summaries - 1;
    lanes_sent(&u->lanes, p, last, b.gap ? 1 : b.n_summaries, now);
    if (last > u->known)
        u->known = last;
    return TW_OK;
}

/* Fresh records do not wait behind those of an outage. */
static void look_back(struct uplink *u, uint64_t last_seq, struct tw_mono now)
{
    uint64_t since;

    if (now.ns - u->looked_back.ns < LOOK_BACK_NS || !lanes_lags(&u->lanes, last_seq))
        return;
    u->looked_back = now;
    if (spool_since(u->conf.spool, tw_wall_now().ns - LANES_FRESH_NS, &since) == TW_OK)
        lanes_jump(&u->lanes, last_seq, since);
}

static void pump(struct uplink *u)
{
    struct tw_mono now = tw_mono_now(), due;
    struct lanes_pick p = { 0 };
    struct spool_stats st;
    enum tw_rc rc = TW_OK;
    unsigned held;

    if (!u->peer || !u->approved || u->paused)
        return;
    spool_stats(u->conf.spool, &st);
    look_back(u, st.last_seq, now);
    /* A gap may count for more than the window: it is one record to the controller. */
    while (rc == TW_OK && lanes_next(&u->lanes, st.last_seq, now, &p))
        rc = send_batch(u, &p, now);
    due = lanes_due(&u->lanes, now);
    if (due.ns != TW_MONO_NEVER.ns)
        loop_timer_set(u->conf.loop, &u->backlog, due);
    if (rc != TW_OK && rc != TW_EAGAIN && rc != TW_EBUSY && log_limit_ok(&u->failed_log, now.ns, &held))
        log_error("spool cannot be delivered", LOG_S("reason", tw_rc_name(rc)), LOG_U("seq", p.first),
                  LOG_U("held_back", held));
}

static void on_backlog(struct loop_timer *t)
{
    pump(t->ctx);
}

static void note_durable(struct uplink *u, const struct lanes_grant *g)
{
    if (g->anchored && spool_ack(u->conf.spool, g->through, tw_wall_now().ns) != TW_OK)
        log_warn("spool cannot note the acknowledgement", LOG_U("seq", g->through));
    spool_note_ahead(u->conf.spool, &g->ahead);
}

/* The controller has more than this file ever gave out, or sent: it is an old copy (a host that was set back,
 * a clone). New records under those numbers would be taken for repetitions, also those that were appended
 * before we heard of it: they get other numbers. */
static enum tw_rc skip_to(struct uplink *u, uint64_t through, const struct spool_stats *st)
{
    uint64_t moved = 0;
    unsigned held;
    enum tw_rc rc = through - u->known > SKIP_MAX
                        ? TW_ERANGE
                        : spool_move_behind(u->conf.spool, u->known, through, tw_wall_now().ns, &moved);

    if (log_limit_ok(&u->failed_log, tw_mono_now().ns, &held))
        log_error(
            "the controller has more of this spool than the spool itself, which must be an old copy, or "
            "there is a second one of this agent; what only the other copy had is lost",
            LOG_U("controller_seq", through), LOG_U("spool_seq", st->last_seq),
            LOG_U("acked_seq", st->acked_seq), LOG_U("numbers_skipped", rc ? 0 : through - u->known),
            LOG_U("records_moved", moved), LOG_S("result", tw_rc_name(rc)),
            LOG_S("hint", rc ? "free disk space, or remove the spool file to start a new one" : ""));
    if (rc == TW_OK)
        u->known = through;
    return rc;
}

static uint64_t end_of(const struct lanes_grant *g)
{
    uint64_t ahead = seqset_end(&g->ahead);

    return ahead > g->through ? ahead : g->through;
}

/* Nothing is sent meanwhile: it would be acknowledged, and not stored. */
static void wait_misplaced(struct uplink *u, const struct lanes_grant *g)
{
    u->misplaced_at = *g;
    u->misplaced = u->paused = true;
    loop_timer_set(u->conf.loop, &u->resume, (struct tw_mono){ tw_mono_now().ns + REFUSED_PAUSE_NS });
}

/* Where to go on: with what the controller has not. One that knows nothing of this spool gets all that is
 * left, and of what is not, the gaps that nobody was told of yet. */
static void set_position(struct uplink *u, struct lanes_grant *g)
{
    struct spool_stats st;

    spool_stats(u->conf.spool, &st);
    g->anchored = g->through != 0;
    if (!g->anchored)
        g->through = st.acked_seq < st.first_seq - 1 ? st.acked_seq : st.first_seq - 1;
    else if (end_of(g) > u->known && skip_to(u, end_of(g), &st) != TW_OK) {
        wait_misplaced(u, g);
        return;
    }
    u->misplaced = false;
    note_durable(u, g);
    lanes_reset(&u->lanes, g);
    u->looked_back = (struct tw_mono){ tw_mono_now().ns - LOOK_BACK_NS };
}

static void on_resume(struct loop_timer *t)
{
    struct uplink *u = t->ctx;

    u->paused = false;
    if (u->misplaced)
        set_position(u, &u->misplaced_at);
    pump(u);
}

static struct lanes_grant grant_of(uint64_t through, const struct rpc_ahead *a, uint32_t window)
{
    return (struct lanes_grant){ .through = through,
                                 .anchored = true,
                                 .ahead = a->spans,
                                 .max = a->max,
                                 .window = window,
                                 .backlog_per_s = a->backlog_per_s };
}

static void on_refusal(struct uplink *u, struct lanes_grant *g, Tw__Status status, const char *detail)
{
    unsigned held;

    if (log_limit_ok(&u->refused_log, tw_mono_now().ns, &held))
        log_warn("controller refused a batch", LOG_S("status", rpc_status_name(status)),
                 LOG_S("detail", detail), LOG_U("through_seq", g->through), LOG_U("held_back", held));
    set_position(u, g);
    u->paused = true;
    loop_timer_set(u->conf.loop, &u->resume, (struct tw_mono){ tw_mono_now().ns + REFUSED_PAUSE_NS });
}

static void on_ack(void *ctx, struct rpc_peer *p, uint64_t through, const struct rpc_ahead *ahead,
                   uint32_t window, Tw__Status status, const char *detail)
{
    struct uplink *u = ctx;
    struct lanes_grant g = grant_of(through, ahead, window);
    struct spool_stats st;

    (void)p;
    if (status != TW__STATUS__STATUS_OK) {
        on_refusal(u, &g, status, detail);
        return;
    }
    spool_stats(u->conf.spool, &st);
    if (!through || end_of(&g) > st.last_seq) /* of what was never sent */
        u->lanes.grant.window = window;
    else {
        lanes_ack(&u->lanes, &g);
        note_durable(u, &u->lanes.grant);
    }
    pump(u);
}

uint64_t uplink_backlog(const struct uplink *u)
{
    struct spool_stats s;

    if (!u || !u->peer)
        return 0;
    spool_stats(u->conf.spool, &s);
    return lanes_backlog(&u->lanes, s.first_seq);
}

void uplink_kick(struct uplink *u)
{
    pump(u);
}

void uplink_dial_now(struct uplink *u)
{
    roam_hurry(u->roam);
}

/* ---- Calls to the controller ---- */

static void log_failure(const char *event)
{
    struct rpc_result res = rpc_result();

    log_warn(event, LOG_S("status", rpc_status_name(res.status)),
             LOG_S("detail", res.detail ? res.detail : ""));
}

static void ack_done(const Tw__AckReply *reply, void *ctx)
{
    (void)ctx;
    if (!reply)
        log_failure("acknowledging the schedule failed");
}

void uplink_send_ack(struct uplink *u)
{
    Tw__AckRequest rq = TW__ACK_REQUEST__INIT;

    if (!u->peer || !u->approved)
        return;
    rq.generation = schedule_run_generation(u->conf.schedule);
    rq.digest = schedule_run_digest(u->conf.schedule);
    rq.sessions_running = (uint32_t)schedule_run_sessions(u->conf.schedule);
    rq.n_refusals = schedule_run_refusals(u->conf.schedule, &rq.refusals, &rq.refusals_more);
    tw__fleet_controller__ack(
        rpc_peer_service(u->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, CALL_DEADLINE_MS),
        &rq, ack_done, u);
}

static void enrol_done(const Tw__EnrolReply *reply, void *ctx)
{
    struct uplink *u = ctx;
    Tw__Refusal **refusals;
    uint64_t more;

    if (!reply) {
        log_failure("enrolling failed");
        return;
    }
    if (!reply->approved)
        log_info("waiting for approval", LOG_S("hint", "twampctl agent approve"),
                 LOG_S("name", u->conf.name));
    else if (schedule_run_refusals(u->conf.schedule, &refusals,
                                   &more)) /* a new controller does not know of them */
        uplink_send_ack(u);
}

static int64_t schedule_age_ns(const struct uplink *u)
{
    int64_t taken_ns = u->conf.schedule_taken_ns ? *u->conf.schedule_taken_ns : 0, now_ns = tw_wall_now().ns;

    return taken_ns > 0 && taken_ns < now_ns ? now_ns - taken_ns : 0; /* else the clock was set */
}

static void enrol(struct uplink *u)
{
    Tw__EnrolRequest rq = *u->conf.enrolment;

    rq.generation = schedule_run_generation(u->conf.schedule);
    rq.sessions_running = (uint32_t)schedule_run_sessions(u->conf.schedule);
    rq.schedule_age_ns = rq.generation ? schedule_age_ns(u) : 0;
    rq.digest = schedule_run_digest(u->conf.schedule);
    tw__fleet_controller__enrol(
        rpc_peer_service(u->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, CALL_DEADLINE_MS),
        &rq, enrol_done, u);
}

static void report_done(const Tw__HealthReply *reply, void *ctx)
{
    (void)ctx;
    if (!reply && rpc_result().status != TW__STATUS__STATUS_UNAVAILABLE)
        log_failure("health report failed");
}

static void on_health(struct loop_timer *t)
{
    struct uplink *u = t->ctx;
    Tw__HealthReport h = TW__HEALTH_REPORT__INIT;
    Tw__ClockState clock = TW__CLOCK_STATE__INIT;
    Tw__Noise noise = TW__NOISE__INIT;

    loop_timer_set(u->conf.loop, t, (struct tw_mono){ tw_mono_now().ns + HEALTH_PERIOD_NS });
    if (!u->peer || !u->approved) /* before approval only enrolling is allowed */
        return;
    h.clock = &clock;
    h.noise = &noise; /* NULL then if there is none */
    u->conf.fill_health(u->conf.ctx, &h);
    tw__fleet_controller__report(
        rpc_peer_service(u->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, CALL_DEADLINE_MS),
        &h, report_done, u);
}

bool uplink_is_up(const struct uplink *u)
{
    return u && u->peer && u->approved;
}

/* ---- Connection ---- */

/* Status by which a controller says that it does not want this agent, whoever it is (revoked, removed). */
static void take_verdict(struct uplink *u, Tw__Status status, const char *detail)
{
    if (status != TW__STATUS__STATUS_PERMISSION_DENIED || u->unwanted)
        return;
    u->unwanted = true;
    if (u->conf.on_unwanted)
        u->conf.on_unwanted(u->conf.ctx, detail);
}

static void on_refused(void *ctx, Tw__Status status, const char *detail)
{
    take_verdict(ctx, status, detail);
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct uplink *u = ctx;
    struct rpc_welcome w = roam_welcome(u->roam);
    struct lanes_grant g;

    if (u->unwanted && u->conf.on_wanted)
        u->conf.on_wanted(u->conf.ctx);
    u->unwanted = false;

    u->peer = p;
    u->approved = w.approved;
    u->paused = false;
    g = grant_of(w.through_seq, &w.ahead, w.window);
    set_position(u, &g);
    log_info("connected to the controller", LOG_S("url", roam_url(u->roam)),
             LOG_S("state", w.approved ? "approved" : "pending"), LOG_U("through_seq", w.through_seq));
    enrol(u);
    loop_timer_set(u->conf.loop, &u->health, tw_mono_now());
    if (u->renewal && w.approved)
        renewal_set_peer(u->renewal, p);
    pump(u);
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct uplink *u = ctx;

    (void)p; /* rpc has logged it, not too often */
    u->peer = NULL;
    if (u->renewal)
        renewal_set_peer(u->renewal, NULL);
    loop_timer_cancel(u->conf.loop, &u->health);
    loop_timer_cancel(u->conf.loop, &u->resume);
    take_verdict(u, status, detail);
}

/* ---- Calls from the controller ---- */

static struct uplink *uplink_of(Tw__FleetAgent_Service *s)
{
    return (struct uplink *)((char *)s - offsetof(struct uplink, service));
}

static void serve_schedule(Tw__FleetAgent_Service *s, const Tw__ScheduleRequest *rq,
                           Tw__ScheduleReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);
    struct tw_err err = { 0 };
    Tw__ScheduleReply reply = TW__SCHEDULE_REPLY__INIT;
    enum tw_rc rc = u->conf.on_schedule(u->conf.ctx, rq, &err);

    if (rc == TW_OK)
        closure(&reply, closure_data);
    else
        rpc_fail(closure_data,
                 rc == TW_ENOENT ? TW__STATUS__STATUS_FAILED_PRECONDITION
                                 : TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "%s", err.text);
}

static void serve_live(Tw__FleetAgent_Service *s, const Tw__LiveRequest *rq, Tw__LiveReply_Closure closure,
                       void *closure_data)
{
    struct uplink *u = uplink_of(s);
    size_t cap = schedule_run_sessions(u->conf.schedule) + 64, n = 0;
    struct worker_live *live = calloc(cap, sizeof *live);
    Tw__LiveSession *rows = calloc(cap, sizeof *rows), **list = calloc(cap, sizeof *list);
    Tw__LiveReply reply = TW__LIVE_REPLY__INIT;

    (void)rq;
    for (size_t w = 0; live && rows && list && w < u->conf.n_workers; w++) {
        size_t got = 0;
        if (worker_live(u->conf.workers[w], live + n, cap - n, &got) == TW_OK)
            n += got < cap - n ? got : cap - n;
    }
    for (size_t i = 0; i < n; i++) {
        tw__live_session__init(&rows[i]);
        rows[i].pair_id = live[i].pair_id;
        rows[i].flow = live[i].flow;
        rows[i].sent = live[i].totals.sent;
        rows[i].received = live[i].totals.received;
        rows[i].lost = live[i].totals.lost;
        rows[i].in_flight = live[i].totals.in_flight;
        list[i] = &rows[i];
    }
    reply.n_sessions = n;
    reply.sessions = list;
    if (live && rows && list)
        closure(&reply, closure_data);
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    free(live);
    free(rows);
    free(list);
}

/* False: the call is answered. */
static bool has_recorder(const struct uplink *u, void *closure_data)
{
    if (u->conf.recorder)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_UNIMPLEMENTED, "this agent has no flight recorder");
    return false;
}

static void serve_flight(Tw__FleetAgent_Service *s, const Tw__FlightRequest *rq,
                         Tw__FlightReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    if (has_recorder(u, closure_data))
        recorder_flight(u->conf.recorder, rq, closure, closure_data);
}

static void serve_flight_freeze(Tw__FleetAgent_Service *s, const Tw__FlightFreezeRequest *rq,
                                Tw__FlightFreezeReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    if (has_recorder(u, closure_data))
        recorder_freeze(u->conf.recorder, rq, closure, closure_data);
}

static void serve_flight_list(Tw__FleetAgent_Service *s, const Tw__FlightListRequest *rq,
                              Tw__FlightListReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    (void)rq;
    if (has_recorder(u, closure_data))
        recorder_list(u->conf.recorder, closure, closure_data);
}

static void serve_diagnose(Tw__FleetAgent_Service *s, const Tw__DiagnoseRequest *rq,
                           Tw__DiagnoseReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    if (u->conf.diagnose)
        diagnose_serve(u->conf.diagnose, rq, closure, closure_data);
    else
        rpc_fail(closure_data, TW__STATUS__STATUS_UNIMPLEMENTED, "this agent cannot look for faults");
}

/* False: the call is answered. */
static bool runs_tests(const struct uplink *u, void *closure_data)
{
    if (u->conf.ondemand)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_UNIMPLEMENTED, "this agent runs no tests on demand");
    return false;
}

static void serve_test_start(Tw__FleetAgent_Service *s, const Tw__TestRunRequest *rq,
                             Tw__TestRunReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    if (runs_tests(u, closure_data))
        ondemand_start(u->conf.ondemand, rq, closure, closure_data);
}

static void serve_test_stop(Tw__FleetAgent_Service *s, const Tw__TestRunStopRequest *rq,
                            Tw__TestRunStopReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    if (runs_tests(u, closure_data))
        ondemand_stop(u->conf.ondemand, rq, closure, closure_data);
}

static void serve_test_progress(Tw__FleetAgent_Service *s, const Tw__TestRunProgressRequest *rq,
                                Tw__TestRunProgress_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);

    if (runs_tests(u, closure_data))
        ondemand_progress(u->conf.ondemand, rq, closure, closure_data);
}

static void serve_threads(Tw__FleetAgent_Service *s, const Tw__ThreadsRequest *rq,
                          Tw__ThreadsReply_Closure closure, void *closure_data)
{
    struct uplink *u = uplink_of(s);
    Tw__ThreadsReply reply = TW__THREADS_REPLY__INIT;
    struct thread_list list;

    (void)rq;
    arena_reset(u->arena);
    if (!u->conf.fill_threads) {
        rpc_fail(closure_data, TW__STATUS__STATUS_UNIMPLEMENTED, "this agent cannot tell of its threads");
    } else if (thread_list_init(&list, u->arena, THREADS_TOLD) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    } else {
        u->conf.fill_threads(u->conf.ctx, &list);
        reply.threads = list.v;
        reply.n_threads = list.n;
        closure(&reply, closure_data);
    }
}

/* ---- Lifetime ---- */

static enum tw_rc start_roaming(struct uplink *u, struct tw_err *err)
{
    const struct rpc_client_conf c = {
        .loop = u->conf.loop,
        .tls = u->conf.tls,
        .tls_ctx = u->conf.tls_ctx,
        .role = TW__ROLE__ROLE_AGENT,
        .name = u->conf.name,
        .software = tw_software_agent,
        .boot_id = u->boot_id,
        .spool_id = spool_id(u->conf.spool),
        .identity = u->conf.identity,
        .services = u->services,
        .n_services = TW_NELEM(u->services),
        .hooks = { .ctx = u, .on_up = on_up, .on_down = on_down, .on_refused = on_refused, .on_ack = on_ack },
    };

    return roam_start(&(struct roam_conf){ u->conf.urls, u->conf.n_urls, c }, &u->roam, err);
}

size_t uplink_controllers(const struct uplink *u, struct roam_view ret[HOMING_MAX])
{
    return u ? roam_view(u->roam, ret) : 0;
}

uint64_t uplink_moves(const struct uplink *u)
{
    return u ? roam_moves(u->roam) : 0;
}

enum tw_rc uplink_start(const struct uplink_conf *c, struct uplink **ret, struct tw_err *err)
{
    struct uplink *u = calloc(1, sizeof *u);
    struct spool_stats st;
    enum tw_rc rc;

    if (!u)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    u->conf = *c;
    u->service = (Tw__FleetAgent_Service){ .base = TW__FLEET_AGENT__BASE_INIT,
                                           .schedule = serve_schedule,
                                           .live = serve_live,
                                           .flight = serve_flight,
                                           .flight_freeze = serve_flight_freeze,
                                           .flight_list = serve_flight_list,
                                           .diagnose = serve_diagnose,
                                           .test_start = serve_test_start,
                                           .test_stop = serve_test_stop,
                                           .test_progress = serve_test_progress,
                                           .threads = serve_threads };
    u->services[0] = (struct rpc_service){ RPC_FLEET_AGENT, &u->service.base };
    u->health = (struct loop_timer){ .fn = on_health, .ctx = u };
    u->resume = (struct loop_timer){ .fn = on_resume, .ctx = u };
    u->backlog = (struct loop_timer){ .fn = on_backlog, .ctx = u };
    summary_init(&u->scratch);
    spool_stats(u->conf.spool, &st);
    u->known = st.last_seq;
    u->refused_log.burst = u->failed_log.burst = 5;
    rc = identity_random(u->boot_id, sizeof u->boot_id);
    if (rc == TW_OK)
        rc = arena_new(8u << 20, &u->arena);
    if (rc == TW_OK && u->conf.credentials)
        rc = renewal_new(u->conf.loop, u->conf.credentials, u->conf.name, &u->renewal);
    if (rc != TW_OK)
        tw_err_set(err, rc, "cannot prepare the uplink: %s", tw_rc_name(rc));
    else
        rc = start_roaming(u, err);
    if (rc != TW_OK) {
        uplink_stop(u);
        return rc;
    }
    *ret = u;
    return TW_OK;
}

void uplink_stop(struct uplink *u)
{
    if (!u)
        return;
    roam_stop(u->roam);
    renewal_free(u->renewal);
    loop_timer_cancel(u->conf.loop, &u->health);
    loop_timer_cancel(u->conf.loop, &u->resume);
    loop_timer_cancel(u->conf.loop, &u->backlog);
    if (u->arena)
        arena_free(u->arena);
    summary_free(&u->scratch);
    free(u);
}
