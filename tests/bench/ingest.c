/* tests/bench/ingest.c - summaries committed per second: simulated agents over real nng into a real
 * controller process, against a bare SQLite batch insert of the same rows into the same schema, in the same
 * run. Prints a table.
 *
 * usage: ingest CONTROLLER-BINARY [agents] [seconds] */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "admin.pb-c.h"
#include "common/net/arena.h"
#include "common/net/now.h"
#include "common/net/rpc.h"
#include "common/net/summary_pb.h"
#include "db/store.h"
#include "fleet.pb-c.h"
#include "tests/bench/bare.h"

#define CLASSES 5 /* pairs per agent */
#define BATCH 50
#define PERIOD_NS (10 * TW_NS_PER_S)
#define LATENCIES 200000
#define FLIGHTS 256
#define REFUSED_PAUSE_NS TW_NS_PER_S /* as an agent waits */
#define WARM_UP_S 2
#define BARE_ROUNDS 3 /* the best one counts, so that what else the disk does flatters nobody */
#define SET_UP_NS (30 * TW_NS_PER_S)

struct flight {
    uint64_t last_seq;
    int64_t sent_ns;
};

struct sim_agent {
    struct bench *b;
    char name[24];
    uint8_t boot[RPC_ID_LEN], spool[RPC_ID_LEN];
    struct identity *key;
    struct rpc_client *client;
    struct rpc_peer *peer;
    struct rpc_service services[1];
    Tw__FleetAgent_Service service;
    Tw__Summary *rows[CLASSES]; /* made once; times and numbers are changed for each sending */
    struct arena *arena;
    size_t n_pairs;
    uint64_t sent_seq, acked_seq;
    uint32_t window;
    struct loop_timer resume; /* after a refusal */
    bool paused;
    struct flight flights[FLIGHTS];
    unsigned first, n_flights;
};

struct bench {
    struct loop *loop;
    char dir[64], url[64], admin_url[128];
    pid_t controller;
    struct sim_agent *agents;
    size_t n;
    struct rpc_client *admin;
    struct rpc_peer *admin_peer;
    bool running, flag;
    uint64_t acked, refused;
    int64_t *latency_ns;
    size_t n_latency;
    int64_t base_ns;
};

static struct bench bench; /* for the exit handler */

/* Whatever ends us, the controller and its files go too. */
static void clean_up(void)
{
    char cmd[128];

    if (bench.controller > 0) {
        kill(bench.controller, SIGKILL);
        waitpid(bench.controller, NULL, 0);
    }
    if (!bench.dir[0])
        return;
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", bench.dir);
    if (system(cmd))
        fprintf(stderr, "ingest: %s is left behind\n", bench.dir);
}

__attribute__((noreturn)) static void die(const char *what)
{
    fprintf(stderr, "ingest: %s\n", what);
    exit(1);
}

static void must(enum tw_rc rc, const char *what)
{
    if (rc != TW_OK) {
        fprintf(stderr, "ingest: %s: %s\n", what, tw_rc_name(rc));
        exit(1);
    }
}

/* ---- A summary as a 20 ms voice session makes it: 500 probes of 10 s ---- */

static void fill_summary(struct tw_summary *s, unsigned salt)
{
    summary_init(s);
    s->pair_id = 1;
    s->generation = 1;
    s->start_ns = PERIOD_NS;
    s->end_ns = 2 * PERIOD_NS;
    s->sent = 500;
    s->received = 498;
    s->lost_forward = 2;
    s->status = TW_STATUS_PARTIAL;
    for (unsigned i = 0; i < 498; i++) {
        int64_t jitter = (int64_t)((i * 2654435761u + salt * 40503u) % 1000) * 700;
        hist_add(&s->delay[TW_FORWARD], 5 * TW_NS_PER_MS + jitter);
        hist_add(&s->delay[TW_BACKWARD], 6 * TW_NS_PER_MS + jitter / 2);
        hist_add(&s->delay[TW_ROUNDTRIP], 11 * TW_NS_PER_MS + jitter + jitter / 2);
        hist_add(&s->send_lateness, 20000 + jitter / 20);
    }
    for (int d = 0; d < 3; d++)
        s->jitter[d] = (struct tw_jitter){ 498 * 90000, 498, 496 * 120000, 496 };
    s->loss_runs = 2;
    s->loss_run_longest = 1;
    s->loss_run_longest_ns = 20 * TW_NS_PER_MS;
    s->ttl_forward = s->ttl_backward = (struct tw_octet_range){ 251, 251, 498, 0 };
    s->tos_backward = (struct tw_octet_range){ 184, 184, 498, 0 };
    s->tos_sent = 184;
    s->residence_sum_ns = 498 * 30000;
    s->residence_max_ns = 90000;
    s->tx_source = TW_TS_USER;
    s->rx_source = TW_TS_KERNEL;
    s->clock_local = (struct tw_clock_state){ .synced = true, .max_error_ns = 400000 };
    s->clock_remote_known = true;
    s->clock_remote = (struct tw_clock_state){ .synced = true, .max_error_ns = 500000 };
}

/* ---- Simulated agents ---- */

static void sent_note(struct sim_agent *a)
{
    struct flight *f = &a->flights[(a->first + a->n_flights) % FLIGHTS];

    *f = (struct flight){ a->sent_seq, tw_mono_now().ns };
    a->n_flights++;
}

static void next_row(const struct sim_agent *a, uint64_t number, Tw__Summary *ret)
{
    *ret = *a->rows[number % a->n_pairs];
    ret->start_ns = a->b->base_ns + (int64_t)(number / a->n_pairs) * PERIOD_NS;
    ret->end_ns = ret->start_ns + PERIOD_NS;
    ret->seq_first = (uint32_t)(number / a->n_pairs * 500);
}

/* How many rows may go now; a part of a batch only when nothing is under way. */
static size_t batch_size(const struct sim_agent *a)
{
    uint64_t under_way = a->sent_seq - a->acked_seq, room;

    if (!a->peer || a->paused || a->n_flights == FLIGHTS || under_way >= a->window)
        return 0;
    room = a->window - under_way;
    if (room >= BATCH)
        return BATCH;
    return under_way ? 0 : (size_t)room;
}

static bool send_batch(struct sim_agent *a)
{
    Tw__SummaryBatch m = TW__SUMMARY_BATCH__INIT;
    Tw__Summary copies[BATCH], *list[BATCH];
    size_t n = batch_size(a);

    if (!n)
        return false;
    for (size_t i = 0; i < n; i++) {
        next_row(a, a->sent_seq + i, &copies[i]);
        list[i] = &copies[i];
    }
    m.spool_id = (ProtobufCBinaryData){ RPC_ID_LEN, a->spool };
    m.first_seq = a->sent_seq + 1;
    m.n_summaries = n;
    m.summaries = list;
    if (rpc_peer_send_data(a->peer, &m.base) != TW_OK)
        return false;
    a->sent_seq += n;
    sent_note(a);
    return true;
}

static void pump(struct sim_agent *a)
{
    while (a->b->running && send_batch(a))
        ;
}

static void on_resume(struct loop_timer *t)
{
    struct sim_agent *a = t->ctx;

    a->paused = false;
    pump(a);
}

/* As an agent does it: back to what is durable, and a pause. */
static void take_refusal(struct sim_agent *a, uint64_t through)
{
    a->sent_seq = a->acked_seq = through;
    a->first = a->n_flights = 0;
    a->b->refused++;
    a->paused = true;
    must(loop_timer_set(a->b->loop, &a->resume, (struct tw_mono){ tw_mono_now().ns + REFUSED_PAUSE_NS }),
         "timer");
}

static void note_latencies(struct sim_agent *a, uint64_t through)
{
    int64_t now = tw_mono_now().ns;

    for (; a->n_flights && a->flights[a->first].last_seq <= through;
         a->first = (a->first + 1) % FLIGHTS, a->n_flights--)
        if (a->b->n_latency < LATENCIES)
            a->b->latency_ns[a->b->n_latency++] = now - a->flights[a->first].sent_ns;
}

static void on_ack(void *ctx, struct rpc_peer *p, uint64_t through, const struct rpc_ahead *ahead, uint32_t window, Tw__Status status,
                   const char *detail)
{
    struct sim_agent *a = ctx;

    (void)p;
    (void)ahead;
    (void)detail;
    a->window = window;
    a->b->acked += through > a->acked_seq ? through - a->acked_seq : 0;
    if (status != TW__STATUS__STATUS_OK) {
        take_refusal(a, through);
        return;
    }
    if (through > a->acked_seq)
        a->acked_seq = through;
    if (a->sent_seq < a->acked_seq) /* stored after all, though a later one was refused */
        a->sent_seq = a->acked_seq;
    note_latencies(a, through);
    pump(a);
}

static void ignore_enrol(const Tw__EnrolReply *r, void *ctx)
{
    (void)ctx;
    if (!r)
        die("an agent could not enrol");
}

static void on_up(void *ctx, struct rpc_peer *p)
{
    struct sim_agent *a = ctx;
    Tw__EnrolRequest rq = TW__ENROL_REQUEST__INIT;

    a->peer = p;
    a->window = rpc_client_welcome(a->client).window;
    rq.reflector_port = 862;
    tw__fleet_controller__enrol(
        rpc_peer_service(p, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 30000), &rq,
        ignore_enrol, a);
}

static void on_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct sim_agent *a = ctx;

    (void)p;
    (void)status;
    a->peer = NULL;
    if (a->b->running)
        fprintf(stderr, "ingest: %s lost its connection: %s\n", a->name, detail);
}

static void ignore_ack(const Tw__AckReply *r, void *ctx)
{
    (void)r;
    (void)ctx;
}

static void serve_schedule(Tw__FleetAgent_Service *s, const Tw__ScheduleRequest *rq,
                           Tw__ScheduleReply_Closure closure, void *closure_data)
{
    struct sim_agent *a = (struct sim_agent *)((char *)s - offsetof(struct sim_agent, service));
    Tw__ScheduleReply reply = TW__SCHEDULE_REPLY__INIT;
    Tw__AckRequest ack = TW__ACK_REQUEST__INIT;

    for (size_t i = 0; i < rq->n_sessions && i < CLASSES; i++) {
        struct tw_summary sum;
        fill_summary(&sum, (unsigned)i);
        sum.pair_id = rq->sessions[i]->pair_id;
        must(summary_to_pb(&sum, a->arena, &a->rows[i]), "summary");
        summary_free(&sum);
    }
    a->n_pairs = rq->n_sessions < CLASSES ? rq->n_sessions : CLASSES;
    ack.generation = rq->generation;
    ack.digest = rq->digest;
    ack.sessions_running = (uint32_t)rq->n_sessions;
    tw__fleet_controller__ack(
        rpc_peer_service(a->peer, RPC_FLEET_CONTROLLER, &tw__fleet_controller__descriptor, 30000), &ack,
        ignore_ack, a);
    closure(&reply, closure_data); /* the request goes with it */
}

static void start_agent(struct bench *b, size_t i)
{
    struct sim_agent *a = &b->agents[i];
    char path[128];
    struct tw_err err = { 0 };
    struct rpc_client_conf c = { .loop = b->loop,
                                 .url = b->url,
                                 .role = TW__ROLE__ROLE_AGENT,
                                 .name = a->name,
                                 .software = "bench",
                                 .boot_id = a->boot,
                                 .spool_id = a->spool,
                                 .services = a->services,
                                 .n_services = 1,
                                 .hooks = {
                                     .ctx = a, .on_up = on_up, .on_down = on_down, .on_ack = on_ack } };

    a->b = b;
    a->resume = (struct loop_timer){ .fn = on_resume, .ctx = a };
    snprintf(a->name, sizeof a->name, "a%zu", i);
    snprintf(path, sizeof path, "%s/%s.key", b->dir, a->name);
    must(identity_load(path, &a->key, &err), err.text);
    must(identity_random(a->boot, RPC_ID_LEN), "random");
    must(identity_random(a->spool, RPC_ID_LEN), "random");
    must(arena_new(1u << 20, &a->arena), "arena");
    a->service = (Tw__FleetAgent_Service){ .base = TW__FLEET_AGENT__BASE_INIT, .schedule = serve_schedule };
    a->services[0] = (struct rpc_service){ RPC_FLEET_AGENT, &a->service.base };
    c.identity = a->key;
    must(rpc_client_start(&c, &a->client, &err), err.text);
}

/* ---- The controller and its operator ---- */

static void start_controller(struct bench *b, const char *binary)
{
    char data[96];

    snprintf(data, sizeof data, "%s/data", b->dir);
    b->controller = fork();
    if (b->controller < 0)
        die("cannot start a process");
    if (b->controller == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(binary, binary, "--listen", b->url, "--admin-listen", b->admin_url, "--http", "off",
              "--data-dir", data, "--auto-approve", "--log-level", "warn", (char *)NULL);
        _exit(127);
    }
}

static void admin_up(void *ctx, struct rpc_peer *p)
{
    struct bench *b = ctx;

    b->admin_peer = p;
}

static void admin_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    struct bench *b = ctx;

    (void)p;
    (void)status;
    (void)detail;
    b->admin_peer = NULL;
}

static void applied(const Tw__ScheduleApplyReply *r, void *ctx)
{
    struct bench *b = ctx;

    if (!r || r->error) {
        die(r ? r->error->text : rpc_result().detail);
    }
    b->flag = true;
}

/* Each agent measures the next one, with CLASSES classes. */
static char *mesh_document(const struct bench *b)
{
    char *text = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&text, &len);

    fprintf(f, "mesh: bench\ntopology: list\npairs:\n");
    for (size_t i = 0; i < b->n; i++)
        fprintf(f, "  - [a%zu, a%zu]\n", i, (i + 1) % b->n);
    fprintf(f, "classes:\n");
    for (int i = 0; i < CLASSES; i++)
        fprintf(f, "  c%d: { spacing: 20ms }\n", i);
    fclose(f);
    return text;
}

static bool all_up(const struct bench *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (!b->agents[i].peer)
            return false;
    return b->admin_peer != NULL;
}

static bool all_scheduled(const struct bench *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->agents[i].n_pairs != CLASSES)
            return false;
    return true;
}

static void run_for(struct bench *b, int64_t ns)
{
    bool never = false;

    loop_run_until(b->loop, &never, (struct tw_mono){ tw_mono_now().ns + ns });
}

static void run_until(struct bench *b, bool (*cond)(const struct bench *), const char *what)
{
    int64_t end = tw_mono_now().ns + SET_UP_NS;

    while (!cond(b)) {
        if (tw_mono_now().ns > end || waitpid(b->controller, NULL, WNOHANG) == b->controller)
            die(what);
        run_for(b, 20 * TW_NS_PER_MS);
    }
}

static bool is_flagged(const struct bench *b)
{
    return b->flag;
}

static void apply(struct bench *b)
{
    Tw__ScheduleApplyRequest rq = TW__SCHEDULE_APPLY_REQUEST__INIT;

    rq.file = (char *)"bench.yaml";
    rq.document = mesh_document(b);
    rq.author = (char *)"bench";
    tw__admin__schedule_apply(rpc_peer_service(b->admin_peer, RPC_ADMIN, &tw__admin__descriptor, 60000), &rq,
                              applied, b);
    run_until(b, is_flagged, "the mesh was not applied");
    free(rq.document);
}

static double controller_peak_mb(const struct bench *b)
{
    char path[64], line[256];
    double kb = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)b->controller);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %lf", &kb) == 1)
            break;
    if (f)
        fclose(f);
    return kb / 1024;
}

static int by_value(const void *x, const void *y)
{
    int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

    return (a > b) - (a < b);
}

static double measure(struct bench *b, int seconds)
{
    int64_t start;
    double rate;

    b->running = true;
    for (size_t i = 0; i < b->n; i++)
        pump(&b->agents[i]);
    run_for(b, WARM_UP_S * TW_NS_PER_S);
    b->acked = b->refused = b->n_latency = 0;
    start = tw_mono_now().ns;
    run_for(b, seconds * TW_NS_PER_S);
    rate = (double)b->acked / ((double)(tw_mono_now().ns - start) / 1e9);
    b->running = false;
    return rate;
}

/* The same number of rows of the same size, so that both tables grow alike. */
static double measure_bare(struct bench *b)
{
    struct bench_rows r = { calloc(b->n * CLASSES, sizeof *r.rows), b->n * CLASSES, b->base_ns, PERIOD_NS };
    char path[96], schema_of[96];
    double best = 0;

    for (size_t i = 0; i < r.n; i++) {
        fill_summary(&r.rows[i], (unsigned)i);
        r.rows[i].pair_id = (i + 1) * 5000000001u;
    }
    snprintf(path, sizeof path, "%s/bare.db", b->dir);
    snprintf(schema_of, sizeof schema_of, "%s/data/controller.db", b->dir);
    for (int round = 0; round < BARE_ROUNDS; round++) {
        double rate;
        sync(); /* or it would wait for the pages that others left to be written */
        rate = bench_bare_inserts_per_second(path, schema_of, &r, b->acked / BENCH_COMMIT * BENCH_COMMIT);
        best = rate > best ? rate : best;
        if (unlink(path))
            die("the bare database cannot be removed");
    }
    for (size_t i = 0; i < r.n; i++)
        summary_free(&r.rows[i]);
    free(r.rows);
    return best;
}

static void set_up(struct bench *b, const char *binary)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf admin = { .loop = b->loop,
                                     .url = b->admin_url,
                                     .role = TW__ROLE__ROLE_OPERATOR,
                                     .name = "bench",
                                     .software = "bench",
                                     .hooks = { .ctx = b, .on_up = admin_up, .on_down = admin_down } };

    start_controller(b, binary);
    must(rpc_client_start(&admin, &b->admin, &err), err.text);
    for (size_t i = 0; i < b->n; i++)
        start_agent(b, i);
    run_until(b, all_up, "not all agents came up");
    apply(b);
    run_until(b, all_scheduled, "not all agents got their schedule");
}

/* Its end is waited for: the bare inserts must have the machine for themselves. */
static void stop_controller(struct bench *b)
{
    kill(b->controller, SIGTERM);
    waitpid(b->controller, NULL, 0);
    b->controller = 0;
}

static double at_ms(const struct bench *b, size_t percent)
{
    return b->n_latency ? (double)b->latency_ns[b->n_latency * percent / 100] / 1e6 : 0;
}

static void report(struct bench *b, int seconds, double rate, double bare, double peak_mb)
{
    qsort(b->latency_ns, b->n_latency, sizeof *b->latency_ns, by_value);
    printf("ingest, %zu agents, %d pairs each, batches of %d, %d s\n", b->n, CLASSES, BATCH, seconds);
    printf("  %-44s %12.0f /s\n", "summaries committed through the controller", rate);
    printf("  %-44s %12.0f /s\n", "bare SQLite inserts of the same rows", bare);
    printf("  %-44s %12.2f\n", "ratio", rate / bare);
    printf("  %-44s %12.1f ms\n", "commit answer p50", at_ms(b, 50));
    printf("  %-44s %12.1f ms\n", "commit answer p99", at_ms(b, 99));
    printf("  %-44s %12llu\n", "batches refused", (unsigned long long)b->refused);
    printf("  %-44s %12.1f MB\n", "controller peak memory", peak_mb);
}

int main(int argc, char **argv)
{
    struct bench *b = &bench;
    int seconds = argc > 3 ? atoi(argv[3]) : 10;
    double rate, peak_mb;

    b->n = argc > 2 ? (size_t)atoi(argv[2]) : 200;
    if (argc < 2 || !b->n || seconds < 1)
        die("usage: ingest CONTROLLER-BINARY [agents] [seconds]");
    snprintf(b->dir, sizeof b->dir, "/tmp/twbench-XXXXXX");
    if (!mkdtemp(b->dir)) {
        b->dir[0] = '\0';
        die("no temporary directory");
    }
    atexit(clean_up);
    snprintf(b->url, sizeof b->url, "tcp://127.0.0.1:%d", 20000 + (int)(getpid() % 20000));
    snprintf(b->admin_url, sizeof b->admin_url, "ipc://%.40s/ctl.sock", b->dir);
    b->agents = calloc(b->n, sizeof *b->agents);
    b->latency_ns = calloc(LATENCIES, sizeof *b->latency_ns);
    b->base_ns = tw_wall_now().ns / (86400 * TW_NS_PER_S) * (86400 * TW_NS_PER_S) - 3 * 86400 * TW_NS_PER_S;
    if (!b->agents || !b->latency_ns)
        die("out of memory");
    must(loop_new(&b->loop), "loop");
    set_up(b, argv[1]);
    rate = measure(b, seconds);
    peak_mb = controller_peak_mb(b);
    stop_controller(b);
    report(b, seconds, rate, measure_bare(b), peak_mb);
    return 0;
}
