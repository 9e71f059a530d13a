/* tests/unit/controller/fixture.h - a whole controller on a temporary database, with agents and an operator
 * made of rpc clients in the same loop. */
#ifndef TW_TESTS_CONTROLLER_FIXTURE_H
#define TW_TESTS_CONTROLLER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "common/log.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"
#include "controller/admin.h"
#include "controller/change.h"
#include "controller/controller.h"
#include "controller/ingest.h"
#include "controller/schedule.h"
#include "controller/writer.h"
#include "tests/unit/controller/wait.h"

#define MAX_FAKES 4
#define MAX_SPECS 64

struct fake_run {
    uint64_t test_id, pair_id, count;
    int64_t duration_ns, spacing_ns;
    uint32_t port, size, dscp, family;
    char address[TW_ADDR_TEXT], host[128], target[STORE_NAME_MAX];
    unsigned polls, looks;
    Tw__TestEnd end;
};

struct fake {
    struct fixture *f;
    char name[STORE_NAME_MAX];
    struct identity *id;
    uint8_t boot_id[RPC_ID_LEN], spool_id[RPC_ID_LEN];
    struct rpc_client *client;
    struct rpc_peer *peer;
    Tw__FleetAgent_Service service;
    Tw__ThreadState *thread; /* its only one; NULL: it cannot tell */
    struct rpc_service offered;
    bool enrols, acks, refuses_schedule; /* what it does by itself */
    bool once;                           /* does not come back */
    unsigned n_up, n_down, n_enrolled, n_schedules, n_acked, n_answers, n_reports;
    Tw__Status down_status;
    char down_detail[256], address[64];
    uint64_t generation; /* of the last schedule */
    uint8_t digest[AGENT_DIGEST_LEN];
    size_t n_sessions;
    int64_t schedule_age_ns; /* what it says when it comes back; 0: it is of an earlier release */
    uint64_t pair_ids[MAX_SPECS];
    char targets[MAX_SPECS][STORE_NAME_MAX], addresses[MAX_SPECS][TW_ADDR_TEXT];
    uint64_t through; /* of the last answer to DATA */
    struct rpc_ahead ahead;
    bool sends_ahead; /* its batches say so */
    uint32_t window;
    Tw__Status status;
    char detail[256];
    const Tw__FlightReply *flight;
    const Tw__DiagnoseReply *diagnose[3]; /* by action */
    unsigned n_diagnoses[3];
    Tw__DiagnoseRequest diagnose_asked; /* the last to probe, without what it points to */
    Tw__FlightRequest flight_asked; /* the last ones, without what they point to */
    Tw__FlightFreezeRequest freeze_asked;
    char freeze_reason[256];
    unsigned freezes;
    size_t freeze_pairs;
    bool tests; /* it enrols with the capability */
    bool looks_up; /* and with "hosts", too */
    const char *second_address; /* it enrols with, after the one; NULL: none */
    const char *test_refusal; /* of every test on demand; NULL: none */
    unsigned test_polls, tests_running, tests_most, tests_stopped;
    bool test_nonsense; /* its progress is of another pair */
    struct fake_run runs[64];
    size_t n_runs;
};

struct fixture {
    char dir[64], fleet_url[128], admin_url[128], data[128];
    struct loop *loop;
    struct controller *c;
    struct fake *fakes[MAX_FAKES];
    size_t n_fakes;
    struct rpc_client *operator_;
    struct rpc_peer *op;
    bool auto_approve, shared;
};

/* ---- Controller ---- */

#define FX_DAY (86400 * TW_NS_PER_S)

static inline void start_controller(struct fixture *f)
{
    struct tw_err err = { 0 };
    struct controller_conf conf = { .loop = f->loop,
                                    .listen = f->fleet_url,
                                    .admin_listen = f->admin_url,
                                    .http = "off",
                                    .data_dir = f->data,
                                    .name = "test",
                                    .auto_approve = f->auto_approve,
                                    .shared = f->shared,
                                    .keep = { { 30 * FX_DAY, 30 * FX_DAY, 90 * FX_DAY, 730 * FX_DAY,
                                                3650 * FX_DAY } },
                                    .history_days = 30 };

    if (controller_start(&conf, &f->c, &err) != TW_OK)
        fail_msg("controller_start: %s", err.text);
}

static inline void stop_controller(struct fixture *f)
{
    controller_stop(f->c);
    f->c = NULL;
}

static inline void op_up(void *ctx, struct rpc_peer *p)
{
    ((struct fixture *)ctx)->op = p;
}

static inline void op_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    (void)p;
    (void)status;
    (void)detail;
    ((struct fixture *)ctx)->op = NULL;
}

static inline void start_operator(struct fixture *f)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf c = { .loop = f->loop,
                                 .url = f->admin_url,
                                 .role = TW__ROLE__ROLE_OPERATOR,
                                 .name = "tester",
                                 .software = "test",
                                 .hooks = { .ctx = f, .on_up = op_up, .on_down = op_down } };

    if (rpc_client_start(&c, &f->operator_, &err) != TW_OK)
        fail_msg("operator: %s", err.text);
    WAIT(f->op);
}

static inline ProtobufCService *admin_stub(struct fixture *f)
{
    WAIT(f->op);
    return rpc_peer_service(f->op, RPC_ADMIN, &tw__admin__descriptor, 10000);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    log_init("test", LOG_ERROR_, LOG_TEXT);
    strcpy(f->dir, "/tmp/tw-controller-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->fleet_url, sizeof f->fleet_url, "ipc://%s/fleet.sock", f->dir);
    snprintf(f->admin_url, sizeof f->admin_url, "ipc://%s/ctl.sock", f->dir);
    snprintf(f->data, sizeof f->data, "%s/data", f->dir);
    if (loop_new(&f->loop) != TW_OK)
        return -1;
    start_controller(f);
    start_operator(f);
    *state = f;
    return 0;
}

static inline void stop_fake(struct fake *a)
{
    if (a->client)
        rpc_client_stop(a->client);
    a->client = NULL;
    a->peer = NULL;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[128];

    for (size_t i = 0; i < f->n_fakes; i++) {
        stop_fake(f->fakes[i]);
        identity_free(f->fakes[i]->id);
        free(f->fakes[i]);
    }
    rpc_client_stop(f->operator_);
    controller_stop(f->c);
    loop_free(f->loop);
    snprintf(cmd, sizeof cmd, "rm -rf %s", f->dir);
    if (system(cmd) != 0)
        return -1;
    free(f);
    return 0;
}

/* ---- Agents ---- */

static inline void enrolled(const Tw__EnrolReply *reply, void *ctx)
{
    ((struct fake *)ctx)->n_enrolled += reply != NULL;
}

static inline void fake_enrol(struct fake *a)
{
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    char *addresses[] = { a->address, (char *)a->second_address };
    char test[] = "test", hosts[] = "hosts", *capabilities[] = { test, hosts };
    char key[] = "site", value[] = "ams";
    Tw__Label label = TW__LABEL__INIT, *labels = &label;

    label.key = key;
    label.value = value;
    rq.n_labels = 1;
    rq.labels = &labels;
    rq.n_addresses = a->second_address ? 2 : 1;
    rq.addresses = addresses;
    rq.reflector_port = 862;
    rq.capabilities = capabilities;
    rq.n_capabilities = a->tests ? 1 + a->looks_up : 0;
    rq.generation = a->n_acked ? a->generation : 0;
    if (a->n_acked) {
        rq.digest = (ProtobufCBinaryData){ sizeof a->digest, a->digest };
        rq.schedule_age_ns = a->schedule_age_ns;
        rq.sessions_running = a->schedule_age_ns ? (uint32_t)a->n_sessions : 0;
    }
    tw__fleet_controller__enrol(
        rpc_peer_service(a->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000), &rq,
        enrolled, a);
}

static inline void acked(const Tw__AckReply *reply, void *ctx)
{
    ((struct fake *)ctx)->n_acked += reply != NULL;
}

static inline void fake_ack(struct fake *a)
{
    Tw__AckRequest rq = TW__ACK_REQUEST__INIT;

    rq.generation = a->generation;
    rq.digest = (ProtobufCBinaryData){ sizeof a->digest, a->digest };
    rq.sessions_running = (uint32_t)a->n_sessions;
    tw__fleet_controller__ack(
        rpc_peer_service(a->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000), &rq, acked,
        a);
}

static inline void reported(const Tw__HealthReply *reply, void *ctx)
{
    ((struct fake *)ctx)->n_reports += reply != NULL;
}

/* A health report by a clock that is so much ahead; waits until it has come. */
static inline void fake_report(struct fake *a, int64_t ahead_ns)
{
    struct fixture *f = a->f;
    Tw__HealthReport rq = TW__HEALTH_REPORT__INIT;
    unsigned before = a->n_reports;

    rq.time_ns = tw_wall_now().ns + ahead_ns;
    tw__fleet_controller__report(
        rpc_peer_service(a->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 10000), &rq, reported, a);
    WAIT(a->n_reports > before);
}

static inline void fake_schedule(Tw__FleetAgent_Service *s, const Tw__ScheduleRequest *rq,
                                 Tw__ScheduleReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    Tw__ScheduleReply reply = TW__SCHEDULE_REPLY__INIT;

    a->n_schedules++;
    if (a->refuses_schedule) {
        rpc_fail(data, TW__STATUS__STATUS_INTERNAL, "the disk is on fire");
        return;
    }
    a->generation = rq->generation;
    assert_int_equal(rq->digest.len, sizeof a->digest);
    memcpy(a->digest, rq->digest.data, sizeof a->digest);
    a->n_sessions = rq->n_sessions;
    for (size_t i = 0; i < rq->n_sessions && i < MAX_SPECS; i++) {
        a->pair_ids[i] = rq->sessions[i]->pair_id;
        snprintf(a->targets[i], sizeof a->targets[i], "%s", rq->sessions[i]->target);
        snprintf(a->addresses[i], sizeof a->addresses[i], "%s", rq->sessions[i]->address);
    }
    closure(&reply, data);
    if (a->acks)
        fake_ack(a);
}

static inline void fake_live(Tw__FleetAgent_Service *s, const Tw__LiveRequest *rq,
                             Tw__LiveReply_Closure closure, void *data)
{
    (void)s;
    (void)rq;
    (void)closure;
    rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
}

/* One from before Threads has none. */
static inline void fake_threads(Tw__FleetAgent_Service *s, const Tw__ThreadsRequest *rq,
                                Tw__ThreadsReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    Tw__ThreadsReply reply = TW__THREADS_REPLY__INIT;

    (void)rq;
    if (!a->thread) {
        rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
        return;
    }
    reply.threads = &a->thread;
    reply.n_threads = 1;
    closure(&reply, data);
}

/* An agent from before Diagnose has no answers. */
static inline void fake_diagnose(Tw__FleetAgent_Service *s, const Tw__DiagnoseRequest *rq,
                                 Tw__DiagnoseReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));

    a->n_diagnoses[rq->action]++;
    if (rq->action == TW__DIAGNOSE_ACTION__DIAGNOSE_PROBE)
        a->diagnose_asked = *rq;
    if (a->diagnose[rq->action])
        closure(a->diagnose[rq->action], data);
    else
        rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
}

/* Answers what `flight` says; without it, it is an agent from before there was a flight recorder. */
static inline void fake_flight(Tw__FleetAgent_Service *s, const Tw__FlightRequest *rq,
                               Tw__FlightReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));

    a->flight_asked = *rq;
    if (a->flight)
        closure(a->flight, data);
    else
        rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
}

static inline void fake_flight_freeze(Tw__FleetAgent_Service *s, const Tw__FlightFreezeRequest *rq,
                                      Tw__FlightFreezeReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    Tw__FlightFreezeReply reply = TW__FLIGHT_FREEZE_REPLY__INIT;

    a->freezes++;
    a->freeze_pairs = rq->n_pair_ids;
    a->freeze_asked = *rq;
    snprintf(a->freeze_reason, sizeof a->freeze_reason, "%s", rq->reason);
    reply.recording = a->flight != NULL;
    if (a->flight) {
        reply.n_frozen = a->flight->n_frozen;
        reply.frozen = a->flight->frozen;
    }
    closure(&reply, data);
}

static inline void fake_flight_list(Tw__FleetAgent_Service *s, const Tw__FlightListRequest *rq,
                                    Tw__FlightListReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    Tw__FlightListReply reply = TW__FLIGHT_LIST_REPLY__INIT;

    (void)rq;
    if (a->flight) {
        reply.n_frozen = a->flight->n_frozen;
        reply.frozen = a->flight->frozen;
        closure(&reply, data);
    } else {
        rpc_fail(data, TW__STATUS__STATUS_UNIMPLEMENTED, "not here");
    }
}

/* Tests on demand: each run is done after `polls` looks at its progress (0: when it is stopped). */
static inline struct fake_run *find_fake_run(struct fake *a, uint64_t test_id, uint64_t pair_id)
{
    for (size_t i = 0; i < a->n_runs; i++)
        if (a->runs[i].test_id == test_id && a->runs[i].pair_id == pair_id)
            return &a->runs[i];
    return NULL;
}

static inline void fake_test_start(Tw__FleetAgent_Service *s, const Tw__TestRunRequest *rq,
                                   Tw__TestRunReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    Tw__TestRunReply reply = TW__TEST_RUN_REPLY__INIT;

    if (a->test_refusal || a->n_runs == TW_NELEM(a->runs)) {
        rpc_fail(data, TW__STATUS__STATUS_FAILED_PRECONDITION, "%s", a->test_refusal ? a->test_refusal : "full");
        return;
    }
    a->runs[a->n_runs++] = (struct fake_run){ .test_id = rq->test_id,
                                              .pair_id = rq->spec->pair_id,
                                              .count = rq->count,
                                              .duration_ns = rq->duration_ns,
                                              .spacing_ns = rq->spec->spacing_ns,
                                              .port = rq->spec->port,
                                              .size = rq->spec->size_bytes,
                                              .dscp = rq->spec->dscp,
                                              .family = rq->spec->host_family,
                                              .polls = a->test_polls };
    snprintf(a->runs[a->n_runs - 1].address, sizeof a->runs[0].address, "%s", rq->spec->address);
    snprintf(a->runs[a->n_runs - 1].host, sizeof a->runs[0].host, "%s", rq->spec->host);
    snprintf(a->runs[a->n_runs - 1].target, sizeof a->runs[0].target, "%s", rq->spec->target);
    a->tests_running++;
    if (a->tests_running > a->tests_most)
        a->tests_most = a->tests_running;
    reply.started_ns = tw_wall_now().ns;
    closure(&reply, data);
}

static inline void end_fake_run(struct fake *a, struct fake_run *r, Tw__TestEnd end)
{
    if (r->end)
        return;
    r->end = end;
    a->tests_running--;
}

static inline void fake_test_stop(Tw__FleetAgent_Service *s, const Tw__TestRunStopRequest *rq,
                                  Tw__TestRunStopReply_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    Tw__TestRunStopReply reply = TW__TEST_RUN_STOP_REPLY__INIT;
    struct fake_run *r = find_fake_run(a, rq->test_id, rq->pair_id);

    if (!r) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no such run");
        return;
    }
    a->tests_stopped++;
    end_fake_run(a, r, TW__TEST_END__TEST_END_STOPPED);
    closure(&reply, data);
}

static inline void fake_test_progress(Tw__FleetAgent_Service *s, const Tw__TestRunProgressRequest *rq,
                                      Tw__TestRunProgress_Closure closure, void *data)
{
    struct fake *a = (struct fake *)((char *)s - offsetof(struct fake, service));
    struct fake_run *r = find_fake_run(a, rq->test_id, rq->pair_id);
    Tw__TestRunProgress reply = TW__TEST_RUN_PROGRESS__INIT;
    Tw__Summary sum = TW__SUMMARY__INIT;

    if (!r) {
        rpc_fail(data, TW__STATUS__STATUS_NOT_FOUND, "no such run");
        return;
    }
    r->looks++;
    if (r->polls && r->looks >= r->polls)
        end_fake_run(a, r, TW__TEST_END__TEST_END_COMPLETE);
    sum.pair_id = a->test_nonsense ? 1 : r->pair_id;
    sum.test_id = r->test_id;
    sum.start_ns = 1000;
    sum.end_ns = 2000;
    sum.sent = sum.received = r->end ? r->count : r->looks;
    sum.status = sum.sent ? (uint32_t)TW_STATUS_OK : (uint32_t)TW_STATUS_NOT_RUN;
    reply.total = &sum;
    reply.phase = r->end ? TW__TEST_PHASE__TEST_PHASE_DONE : TW__TEST_PHASE__TEST_PHASE_RUNNING;
    reply.end = r->end;
    closure(&reply, data);
}

static inline void fake_up(void *ctx, struct rpc_peer *p)
{
    struct fake *a = ctx;

    a->peer = p;
    a->n_up++;
    if (a->enrols)
        fake_enrol(a);
}

static inline void fake_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct fake *a = ctx;

    (void)p;
    a->peer = NULL;
    a->n_down++;
    a->down_status = status;
    snprintf(a->down_detail, sizeof a->down_detail, "%s", detail);
}

static inline void fake_answer(void *ctx, struct rpc_peer *p, uint64_t through, const struct rpc_ahead *ahead, uint32_t window,
                               Tw__Status status, const char *detail)
{
    struct fake *a = ctx;

    (void)p;
    a->n_answers++;
    a->through = through;
    a->ahead = *ahead;
    a->window = window;
    a->status = status;
    snprintf(a->detail, sizeof a->detail, "%s", detail);
}

static inline void connect_fake(struct fake *a)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf c = {
        .loop = a->f->loop,
        .url = a->f->fleet_url,
        .role = TW__ROLE__ROLE_AGENT,
        .name = a->name,
        .software = "test-agent 1",
        .boot_id = a->boot_id,
        .spool_id = a->spool_id,
        .identity = a->id,
        .services = &a->offered,
        .n_services = 1,
        .once = a->once,
        .hooks = { .ctx = a, .on_up = fake_up, .on_down = fake_down, .on_ack = fake_answer }
    };

    if (rpc_client_start(&c, &a->client, &err) != TW_OK)
        fail_msg("agent %s: %s", a->name, err.text);
}

/* Two agents with the same name and different `key` have different keys. */
static inline struct fake *new_fake(struct fixture *f, const char *name, const char *key, const char *address)
{
    struct fake *a = calloc(1, sizeof *a);
    char path[256];
    struct tw_err err = { 0 };

    assert_true(f->n_fakes < MAX_FAKES);
    f->fakes[f->n_fakes++] = a;
    a->f = f;
    snprintf(a->name, sizeof a->name, "%s", name);
    snprintf(a->address, sizeof a->address, "%s", address);
    snprintf(path, sizeof path, "%s/%s.pem", f->dir, key);
    if (identity_load(path, &a->id, &err) != TW_OK)
        fail_msg("identity: %s", err.text);
    memset(a->boot_id, 1, sizeof a->boot_id);
    memset(a->spool_id, 0x40 + (int)f->n_fakes, sizeof a->spool_id);
    a->service = (Tw__FleetAgent_Service)TW__FLEET_AGENT__INIT(fake_);
    a->offered = (struct rpc_service){ RPC_FLEET_AGENT, &a->service.base };
    a->enrols = a->acks = true;
    return a;
}

/* ---- What the operator does ---- */

struct op_result {
    bool done, ok;
    Tw__Status status;
    char detail[512];
    uint64_t generation, pairs, added, removed, below_degree, ended_classes;
    double pps, mean_pps;
    bool in_document;
    uint32_t line;
    char text[512];
};

static inline void op_note(struct op_result *r, bool ok)
{
    r->done = true;
    r->ok = ok;
    r->status = rpc_result().status;
    snprintf(r->detail, sizeof r->detail, "%s", rpc_result().detail ? rpc_result().detail : "");
}

static inline void agent_done(const Tw__AgentReply *m, void *ctx)
{
    op_note(ctx, m != NULL);
}

static inline struct op_result approve(struct fixture *f, const char *name, const char *fingerprint)
{
    struct op_result r = { 0 };
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;

    rq.name = (char *)name;
    rq.fingerprint = (char *)fingerprint;
    tw__admin__agent_approve(admin_stub(f), &rq, agent_done, &r);
    WAIT(r.done);
    return r;
}

static inline struct op_result remove_agent(struct fixture *f, const char *name)
{
    struct op_result r = { 0 };
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;

    rq.name = (char *)name;
    tw__admin__agent_remove(admin_stub(f), &rq, agent_done, &r);
    WAIT(r.done);
    return r;
}

static inline void apply_done(const Tw__ScheduleApplyReply *m, void *ctx)
{
    struct op_result *r = ctx;

    op_note(r, m != NULL);
    if (!m)
        return;
    r->generation = m->generation;
    if (m->plan) {
        r->pairs = m->plan->pairs;
        r->added = m->plan->added;
        r->removed = m->plan->removed;
        r->pps = m->plan->packets_per_second;
        r->mean_pps = m->plan->mean_packets_per_second;
        for (size_t i = 0; i < m->plan->n_meshes; i++) {
            r->below_degree += m->plan->meshes[i]->below_degree;
            r->ended_classes += m->plan->meshes[i]->ended_classes;
        }
    }
    if (m->error) {
        r->in_document = true;
        r->line = m->error->line;
        snprintf(r->text, sizeof r->text, "%s", m->error->text);
    }
}

static inline struct op_result apply(struct fixture *f, const char *document, bool plan_only)
{
    struct op_result r = { 0 };
    Tw__ScheduleApplyRequest rq = TW__SCHEDULE_APPLY_REQUEST__INIT;

    rq.file = (char *)"test.yaml";
    rq.document = (char *)document;
    rq.author = (char *)"tester";
    rq.plan_only = plan_only;
    tw__admin__schedule_apply(admin_stub(f), &rq, apply_done, &r);
    WAIT(r.done);
    return r;
}

static inline void mesh_done(const Tw__ScheduleChangeReply *m, void *ctx)
{
    op_note(ctx, m != NULL);
    ((struct op_result *)ctx)->generation = m ? m->generation : 0;
}

typedef void (*mesh_method)(ProtobufCService *, const Tw__MeshRequest *, Tw__ScheduleChangeReply_Closure,
                            void *);
static inline struct op_result change_one_mesh(struct fixture *f, mesh_method method, const char *name)
{
    struct op_result r = { 0 };
    Tw__MeshRequest rq = TW__MESH_REQUEST__INIT;

    rq.name = (char *)name;
    rq.author = (char *)"tester";
    method(admin_stub(f), &rq, mesh_done, &r);
    WAIT(r.done);
    return r;
}

/* Connected, approved and enrolled. */
static inline struct fake *bring_up(struct fixture *f, const char *name, const char *address)
{
    struct fake *a = new_fake(f, name, name, address);
    struct op_result r;
    struct agent *known;

    connect_fake(a);
    WAIT(a->n_enrolled);
    known = inventory_agent(&f->c->inv, name);
    WAIT(known->row.id);
    r = approve(f, name, "");
    if (!r.ok)
        fail_msg("approve %s: %s", name, r.detail);
    WAIT(a->n_enrolled == 2 && inventory_agent(&f->c->inv, name)->peer);
    return a;
}

#define MESH_AB                                                                                            \
    "mesh: lab\ntopology: full\nmembers: [a, b]\nclasses:\n  voice: { spacing: 20ms, report_period: 10s, " \
    "timeout: 1s }\n"

/* ---- Results ---- */

/* An hour or two ago, always the same in one run: rows far from the present are refused. */
static inline int64_t recent_hour(void)
{
    static int64_t t;

    if (!t)
        t = tw_wall_now().ns / (3600 * TW_NS_PER_S) * (3600 * TW_NS_PER_S) - 7200 * TW_NS_PER_S;
    return t;
}
#define T0 recent_hour()

/* A summary of a period in which everything came back, number i of its pair. */
static inline void make_summary(uint64_t pair_id, unsigned i, struct tw_summary *s)
{
    summary_init(s);
    s->pair_id = pair_id;
    s->generation = 1;
    s->start_ns = T0 + i * 10 * TW_NS_PER_S;
    s->end_ns = s->start_ns + 10 * TW_NS_PER_S;
    s->sent = s->received = 3;
    for (int k = 0; k < 3; k++)
        hist_add(&s->delay[TW_ROUNDTRIP], 1000000 + k);
    s->status = TW_STATUS_OK;
    s->tx_source = s->rx_source = TW_TS_KERNEL;
}

/* change() may alter each row before it is sent; NULL = as made. `ar` is empty and holds the message. */
static inline Tw__SummaryBatch make_batch(struct fake *a, struct arena *ar, uint64_t first_seq,
                                          const uint64_t *pair_ids, size_t n, void (*change)(Tw__Summary *m))
{
    Tw__SummaryBatch m = TW__SUMMARY_BATCH__INIT;
    Tw__Summary **rows = arena_alloc(ar, (n + 1) * sizeof(Tw__Summary *));

    for (size_t i = 0; i < n; i++) {
        struct tw_summary s;

        make_summary(pair_ids[i], (unsigned)(first_seq + i), &s);
        assert_int_equal(summary_to_pb(&s, ar, &rows[i]), TW_OK);
        summary_free(&s);
        if (change)
            change(rows[i]);
    }
    m.spool_id = (ProtobufCBinaryData){ sizeof a->spool_id, a->spool_id };
    m.first_seq = first_seq;
    m.ahead = a->sends_ahead;
    m.n_summaries = n;
    m.summaries = rows;
    return m;
}

static inline void send_changed(struct fake *a, uint64_t first_seq, const uint64_t *pair_ids, size_t n,
                                void (*change)(Tw__Summary *m))
{
    Tw__SummaryBatch m;
    struct arena *ar;

    assert_int_equal(arena_new(4u << 20, &ar), TW_OK);
    m = make_batch(a, ar, first_seq, pair_ids, n, change);
    assert_int_equal(rpc_peer_send_data(a->peer, &m.base), TW_OK);
    arena_free(ar);
}

/* Gives the controller a batch as if it had just been received: nothing else happens in between. */
static inline void inject(struct fake *a, uint64_t first_seq, const uint64_t *pair_ids, size_t n,
                          void (*change)(Tw__Summary *m))
{
    struct rpc_peer *p = inventory_agent(&a->f->c->inv, a->name)->peer;
    Tw__SummaryBatch m;
    struct tw_err err = { 0 };
    struct arena *ar;
    uint8_t *body;
    size_t len;
    void *batch;

    assert_int_equal(arena_new(4u << 20, &ar), TW_OK);
    m = make_batch(a, ar, first_seq, pair_ids, n, change);
    body = malloc(tw__summary_batch__get_packed_size(&m) + 1);
    len = tw__summary_batch__pack(&m, body);
    arena_free(ar);
    batch = ingest_decode(body, len, &err);
    free(body);
    if (!batch)
        fail_msg("batch: %s", err.text);
    ingest_on_data(a->f->c->ingest, p, batch);
}

static inline void send_batch(struct fake *a, uint64_t first_seq, const uint64_t *pair_ids, size_t n)
{
    send_changed(a, first_seq, pair_ids, n, NULL);
}

/* Sends and waits for the answer. */
static inline void deliver(struct fake *a, uint64_t first_seq, const uint64_t *pair_ids, size_t n)
{
    struct fixture *f = a->f;
    unsigned before = a->n_answers;

    send_batch(a, first_seq, pair_ids, n);
    WAIT(a->n_answers == before + 1);
}

static inline void expect_answer(const struct fake *a, Tw__Status status, uint64_t through, const char *what)
{
    if (a->status != status || a->through != through)
        fail_msg("%s: got %s through %llu (%s), expected %s through %llu", what, rpc_status_name(a->status),
                 (unsigned long long)a->through, a->detail, rpc_status_name(status),
                 (unsigned long long)through);
}

static inline struct ingest_counters ingested(struct fixture *f)
{
    struct ingest_counters c;

    ingest_counters(f->c->ingest, &c);
    return c;
}

#endif
