/* tests/bench/fleet_agent.c - see fleet.h. */
#include <errno.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/net/arena.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"
#include "tests/bench/fleet.h"

#define BATCH 50
#define RUDE_WINDOW 5000 /* more than a controller takes of one agent */
#define PERIOD_NS (10 * TW_NS_PER_S)
#define PROBES 100 /* of a report period with the default spacing */
#define REFUSED_PAUSE_NS TW_NS_PER_S /* as agents do */

/* ---- For all that use these agents ---- */

void fleet_die(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

void fleet_must(enum tw_rc rc, const char *what)
{
    if (rc != TW_OK)
        fleet_die("%s: %s", what, tw_rc_name(rc));
}

void fleet_run_for(struct fleet *f, int64_t ns)
{
    bool never = false;

    loop_run_until(f->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
}

/* ---- Schedules ---- */

static void on_acked(const Tw__AckReply *r, void *ctx)
{
    struct fleet_agent *a = ctx;

    (void)r;
    a->unanswered--;
}

static uint64_t lane(const uint8_t *p)
{
    uint64_t v = 0;

    for (int i = 0; i < 8; i++)
        v = v << 8 | p[i];
    return v;
}

static void add(struct fleet_agent *a, const Tw__SessionSpec *spec)
{
    struct fleet_session *s;
    uint8_t buf[2048], md[SHA256_DIGEST_LENGTH];

    if (a->n_pairs == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 64;
        a->sessions = reallocarray(a->sessions, a->cap, sizeof *a->sessions);
        if (!a->sessions)
            fleet_die("out of memory");
    }
    s = &a->sessions[a->n_pairs++];
    *s = (struct fleet_session){ .pair_id = spec->pair_id, .flow = spec->flow };
    SHA256(buf, tw__session_spec__pack(spec, buf), md);
    for (int i = 0; i < 4; i++) {
        s->sum[i] = lane(md + 8 * i);
        a->sum[i] += s->sum[i];
    }
}

static void take_away(struct fleet_agent *a, const Tw__SessionKey *k)
{
    size_t i = 0;

    while (i < a->n_pairs && (a->sessions[i].pair_id != k->pair_id || a->sessions[i].flow != k->flow))
        i++;
    if (i == a->n_pairs)
        fleet_die("%s: a session is to go that it has not", a->name);
    for (int lane = 0; lane < 4; lane++)
        a->sum[lane] -= a->sessions[i].sum[lane];
    a->sessions[i] = a->sessions[--a->n_pairs];
}

static void clear(struct fleet_agent *a)
{
    a->n_pairs = 0;
    for (int i = 0; i < 4; i++)
        a->sum[i] = 1;
}

static void take_list(struct fleet_agent *a, const Tw__ScheduleRequest *rq)
{
    if (!rq->base_digest.len && !rq->part)
        clear(a);
    if (rq->base_digest.len && memcmp(rq->base_digest.data, a->digest, sizeof a->digest) != 0)
        fleet_die("%s: a difference to another list", a->name);
    a->f->deltas += rq->base_digest.len > 0;
    for (size_t i = 0; i < rq->n_removed; i++)
        take_away(a, rq->removed[i]);
    for (size_t i = 0; i < rq->n_added; i++)
        add(a, rq->added[i]);
    for (size_t i = 0; i < rq->n_sessions; i++)
        add(a, rq->sessions[i]);
    if (rq->more)
        return;
    memcpy(a->digest, rq->digest.data, sizeof a->digest);
    for (int i = 0; i < 4; i++)
        if (lane(a->digest + 8 * i) != a->sum[i])
            fleet_die("%s: its list has not the digest that it was told", a->name);
}

static void serve_schedule(Tw__FleetAgent_Service *s, const Tw__ScheduleRequest *rq,
                           Tw__ScheduleReply_Closure closure, void *closure_data)
{
    struct fleet_agent *a = (struct fleet_agent *)((char *)s - offsetof(struct fleet_agent, service));
    Tw__ScheduleReply reply = TW__SCHEDULE_REPLY__INIT;
    Tw__AckRequest ack = TW__ACK_REQUEST__INIT;

    a->f->schedules++;
    take_list(a, rq);
    if (rq->more) {
        closure(&reply, closure_data);
        return;
    }
    a->generation = rq->generation;
    ack.generation = rq->generation;
    ack.digest = rq->digest;
    ack.sessions_running = (uint32_t)a->n_pairs;
    a->unanswered++;
    tw__fleet_controller__ack(
        rpc_peer_service(a->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 60000), &ack,
        on_acked, a);
    closure(&reply, closure_data); /* the request goes with it */
}

/* ---- What they cannot do, having no probes ---- */

#define DECLINES(method, Request, Reply)                                                                     \
    static void decline_##method(Tw__FleetAgent_Service *s, const Tw__##Request *rq,                         \
                                 Tw__##Reply##_Closure closure, void *closure_data)                          \
    {                                                                                                        \
        (void)s;                                                                                             \
        (void)rq;                                                                                            \
        (void)closure;                                                                                       \
        rpc_fail(closure_data, TW__STATUS__STATUS_UNIMPLEMENTED, "a simulated agent");                       \
    }
DECLINES(live, LiveRequest, LiveReply)
DECLINES(flight, FlightRequest, FlightReply)
DECLINES(flight_freeze, FlightFreezeRequest, FlightFreezeReply)
DECLINES(flight_list, FlightListRequest, FlightListReply)
DECLINES(diagnose, DiagnoseRequest, DiagnoseReply)
DECLINES(test_start, TestRunRequest, TestRunReply)
DECLINES(test_stop, TestRunStopRequest, TestRunStopReply)
DECLINES(test_progress, TestRunProgressRequest, TestRunProgress)

static const Tw__FleetAgent_Service methods = { .base = TW__FLEET_AGENT__BASE_INIT,
                                                .schedule = serve_schedule,
                                                .live = decline_live,
                                                .flight = decline_flight,
                                                .flight_freeze = decline_flight_freeze,
                                                .flight_list = decline_flight_list,
                                                .diagnose = decline_diagnose,
                                                .test_start = decline_test_start,
                                                .test_stop = decline_test_stop,
                                                .test_progress = decline_test_progress };

/* ---- Connections ---- */

static bool send_batch(struct fleet_agent *a);

static void on_enrolled(const Tw__EnrolReply *r, void *ctx)
{
    struct fleet_agent *a = ctx;

    a->unanswered--;
    if (!r && !a->away && !a->f->patient)
        fleet_die("%s could not enrol: %s", a->name, rpc_result().detail);
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct fleet_agent *a = ctx;
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;
    char *addresses[] = { a->address };
    static char light[] = "light", shapes[] = "shapes", stamp[] = "stamp", stateless[] = "stateless",
                delta[] = "schedule-delta", times[] = "times";
    char *capabilities[] = { light, shapes, stamp, stateless, delta, times };
    Tw__Label site = TW__LABEL__INIT, *labels[] = { &site };

    a->peer = p;
    a->window = rpc_client_welcome(a->client).window;
    a->sent = a->acked = rpc_client_welcome(a->client).through_seq;
    site.key = (char *)"site";
    site.value = (char *)"bench";
    rq.n_labels = 1;
    rq.labels = labels;
    rq.n_addresses = 1;
    rq.addresses = addresses;
    rq.reflector_port = 862;
    rq.n_capabilities = TW_NELEM(capabilities);
    rq.capabilities = capabilities;
    a->unanswered++;
    tw__fleet_controller__enrol(
        rpc_peer_service(p, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 60000), &rq, on_enrolled,
        a);
    while (a->f->patient && a->f->sending && send_batch(a)) /* what the connection before left */
        ;
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct fleet_agent *a = ctx;

    (void)p;
    (void)status;
    a->peer = NULL;
    if (!a->away && !a->f->patient)
        fleet_die("%s lost its connection: %s", a->name, detail);
}

/* ---- Summaries: small ones, since it is the controller's memory that counts ---- */

static void fill_row(const struct fleet_agent *a, size_t round, size_t i, Tw__Summary **ret, struct arena *ar)
{
    struct tw_summary s;

    summary_init(&s);
    s.pair_id = a->sessions[i].pair_id;
    s.generation = a->generation;
    s.end_ns = a->made ? a->made[round] : tw_wall_now().ns / PERIOD_NS * PERIOD_NS;
    s.start_ns = s.end_ns - PERIOD_NS;
    s.sent = s.received = PROBES;
    for (unsigned k = 0; k < PROBES; k++) {
        int64_t jitter = (int64_t)((k * 2654435761u + i * 40503u) % 1000) * 700;
        hist_add(&s.delay[TW_FORWARD], 5 * TW_NS_PER_MS + jitter);
        hist_add(&s.delay[TW_BACKWARD], 6 * TW_NS_PER_MS + jitter / 2);
        hist_add(&s.delay[TW_ROUNDTRIP], 11 * TW_NS_PER_MS + jitter + jitter / 2);
        hist_add(&s.send_lateness, 20000 + jitter / 20);
    }
    s.status = TW_STATUS_OK;
    s.tx_source = TW_TS_USER;
    s.rx_source = TW_TS_KERNEL;
    fleet_must(summary_to_pb(&s, ar, ret), "summary");
    summary_free(&s);
}

static bool send_batch(struct fleet_agent *a)
{
    Tw__SummaryBatch m = TW__SUMMARY_BATCH__INIT;
    Tw__Summary *list[BATCH];
    struct arena *ar;
    size_t n = a->due > a->sent ? a->due - a->sent : 0, window = a->rude ? RUDE_WINDOW : a->window,
           room = window - (a->sent - a->acked);

    n = n < BATCH ? n : BATCH;
    if (!a->peer || !n || !a->n_pairs || a->paused || a->sent - a->acked >= window)
        return false;
    n = n < room ? n : room;
    fleet_must(arena_new(4u << 20, &ar), "arena");
    for (size_t i = 0; i < n; i++)
        fill_row(a, (a->sent + i) / a->n_pairs, (a->sent + i) % a->n_pairs, &list[i], ar);
    m.spool_id = (ProtobufCBinaryData){ RPC_ID_LEN, a->spool };
    m.first_seq = a->sent + 1;
    m.n_summaries = n;
    m.summaries = list;
    if (rpc_peer_send_data(a->peer, &m.base) == TW_OK)
        a->sent += n;
    else
        n = 0;
    arena_free(ar);
    return n > 0;
}

static void on_ack(void *ctx, struct rpc_peer *p, uint64_t through, const struct rpc_ahead *ahead, uint32_t window, Tw__Status status,
                   const char *detail)
{
    struct fleet_agent *a = ctx;

    (void)p;
    (void)ahead;
    if (status != TW__STATUS__STATUS_OK && status != TW__STATUS__STATUS_RESOURCE_EXHAUSTED &&
        status != TW__STATUS__STATUS_OUT_OF_RANGE) /* it follows one for which there was no room */
        fleet_die("%s: summaries were refused: %s", a->name, detail);
    a->window = window;
    if (status != TW__STATUS__STATUS_OK) { /* later, from where it stands */
        a->f->refused++;
        a->sent = a->acked = through;
        a->paused = true;
        fleet_must(loop_timer_set(a->f->loop, &a->resume, (struct tw_mono){ tw_mono_now().ns + REFUSED_PAUSE_NS }),
                   "timer");
        return;
    }
    if (through > a->acked)
        a->acked = through;
    if (a->sent < a->acked) /* sent before a refusal took it back, and stored all the same */
        a->sent = a->acked;
    while (a->f->sending && send_batch(a))
        ;
}

static void resume(struct loop_timer *t)
{
    struct fleet_agent *a = t->ctx;

    a->paused = false;
    while (send_batch(a))
        ;
}

size_t fleet_send_summaries(struct fleet *f)
{
    size_t late = 0;

    f->sending = true;
    for (size_t i = 0; i < f->n; i++) {
        struct fleet_agent *a = &f->agents[i];
        if (a->acked < a->due)
            late++;
        else
            a->due = a->acked + a->n_pairs;
        while (send_batch(a))
            ;
    }
    return late;
}

void fleet_agent_offer(struct fleet *f, size_t i)
{
    struct fleet_agent *a = &f->agents[i];
    int64_t now = tw_wall_now().ns;

    if (a->n_made == a->cap_made) {
        a->cap_made = a->cap_made ? 2 * a->cap_made : 64;
        a->made = reallocarray(a->made, a->cap_made, sizeof *a->made);
        if (!a->made)
            fleet_die("out of memory");
    }
    a->made[a->n_made] = a->n_made && a->made[a->n_made - 1] >= now ? a->made[a->n_made - 1] + 1 : now;
    a->n_made++;
    a->due += a->n_pairs;
    f->sending = true;
    while (send_batch(a))
        ;
}

bool fleet_summaries_done(const struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->agents[i].acked < f->agents[i].due)
            return false;
    return true;
}

/* ---- Life ---- */

static void connect(struct fleet_agent *a)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf c = { .loop = a->f->loop,
                                 .url = a->url ? a->url : a->f->url,
                                 .role = TW__ROLE__ROLE_AGENT,
                                 .name = a->name,
                                 .software = "bench",
                                 .boot_id = a->boot,
                                 .spool_id = a->spool,
                                 .identity = a->key,
                                 .services = a->services,
                                 .n_services = 1,
                                 .hooks = {
                                     .ctx = a, .on_up = on_up, .on_down = on_down, .on_ack = on_ack } };

    fleet_must(rpc_client_start(&c, &a->client, &err), err.text);
}

static void new_host(struct fleet_agent *a)
{
    struct tw_err err = { 0 };
    char path[128];

    snprintf(path, sizeof path, "%s/agent.key", a->f->dir);
    fleet_must(identity_load(path, &a->key, &err), err.text);
    unlink(path); /* the next one makes its own */
    fleet_must(identity_random(a->boot, RPC_ID_LEN), "random");
    fleet_must(identity_random(a->spool, RPC_ID_LEN), "random");
}

void fleet_agent_start(struct fleet *f, size_t i)
{
    struct fleet_agent *a = &f->agents[i];

    a->f = f;
    a->resume = (struct loop_timer){ .fn = resume, .ctx = a };
    snprintf(a->name, sizeof a->name, "edge-%05zu.site%02zu", i, i % 40);
    snprintf(a->address, sizeof a->address, "10.%zu.%zu.1", i / 250, i % 250);
    a->service = methods;
    a->services[0] = (struct rpc_service){ RPC_FLEET_AGENT, &a->service.base };
    new_host(a);
    connect(a);
}

void fleet_agent_leaves(struct fleet *f, size_t i)
{
    struct fleet_agent *a = &f->agents[i];

    a->away = true;
    f->n_away++;
    rpc_client_stop(a->client);
    a->client = NULL;
    identity_free(a->key);
    a->sent = a->acked = a->due = 0;
    a->paused = false;
    loop_timer_cancel(f->loop, &a->resume);
    clear(a);
}

void fleet_agent_drops(struct fleet *f, size_t i)
{
    struct fleet_agent *a = &f->agents[i];

    a->away = true;
    f->n_away++;
    rpc_client_stop(a->client);
    a->client = NULL;
    a->paused = false;
    loop_timer_cancel(f->loop, &a->resume);
}

void fleet_agent_returns(struct fleet *f, size_t i)
{
    f->agents[i].away = false;
    f->n_away--;
    connect(&f->agents[i]);
}

void fleet_agent_joins(struct fleet *f, size_t i)
{
    f->agents[i].away = false;
    f->n_away--;
    new_host(&f->agents[i]);
    connect(&f->agents[i]);
}

size_t fleet_connected(const struct fleet *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += f->agents[i].peer || f->agents[i].away;
    return n;
}

size_t fleet_settled(const struct fleet *f)
{
    size_t here = f->n - f->n_away, n = 0;
    size_t want = !strcmp(f->topology, "full") ? here - 1 : f->degree;

    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_agent *a = &f->agents[i];
        n += a->away || (a->peer && !a->unanswered && a->n_pairs == want);
    }
    return n;
}

char *fleet_document(const struct fleet *f)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    fprintf(out, "mesh: bench\ntopology: %s\nmembers:\n", f->topology);
    for (size_t i = 0; i < f->n; i++)
        fprintf(out, "  - %s\n", f->agents[i].name);
    if (!strcmp(f->topology, "k-regular"))
        fprintf(out, "degree: %zu\n", f->degree);
    fprintf(out, "classes:\n  default: { spacing: 1s }\n");
    if (f->every)
        fprintf(out, "schedule: { every: %s, count: 10 }\n", f->every);
    fclose(out);
    return text;
}
