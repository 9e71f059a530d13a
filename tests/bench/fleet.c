/* tests/bench/fleet.c - what a large fleet costs a controller: simulated agents, each with a real nng
 * connection, around a real controller process. Memory and CPU time are the controller's, all of its threads,
 * the store writer's too; a step ends when every agent has acknowledged and the controller has come to rest.
 * Prints a table.
 *
 * usage: fleet CONTROLLER-BINARY [--agents N] [--topology full|k-regular] [--degree K] [--every TIME]
 * [--live] */
#include "tests/bench/fleet.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/net/now.h"
#include "common/net/process.h"

#define STEP_NS (600 * TW_NS_PER_S) /* longer than any step may take */
#define REST_NS (700 * TW_NS_PER_MS)
#define REST_CPU_NS (2 * TW_NS_PER_MS) /* in REST_NS; and for each agent: pings go on */
#define REST_AGENT_NS 6000
#define RESTS 40                       /* at most: health and pings never end */
#define CONNECT_BURST 64               /* a host would not start them all in one moment either */
#define ROUNDS 5                       /* of leaving and joining; the median counts */

static struct fleet fleet; /* for the exit handler */

/* Whatever ends us, the controller and its files go too. */
static void clean_up(void)
{
    char cmd[128];

    if (fleet.controller > 0) {
        kill(fleet.controller, SIGKILL);
        waitpid(fleet.controller, NULL, 0);
    }
    if (!fleet.dir[0])
        return;
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", fleet.dir);
    if (system(cmd))
        fprintf(stderr, "fleet: %s is left behind\n", fleet.dir);
}

/* ---- The controller and its operator ---- */

static void start_controller(struct fleet *f, const char *binary)
{
    char data[96];

    snprintf(data, sizeof data, "%s/data", f->dir);
    f->controller = fork();
    if (f->controller < 0)
        fleet_die("cannot start a process");
    if (f->controller == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(binary, binary, "--listen", f->url, "--admin-listen", f->admin_url, "--http", "off",
              "--data-dir", data, "--auto-approve", "--log-level", "warn", (char *)NULL);
        _exit(127);
    }
    if (clock_getcpuclockid(f->controller, &f->cpu_clock))
        fleet_die("no CPU clock of another process");
}

static void admin_up(void *ctx, struct rpc_peer *p)
{
    ((struct fleet *)ctx)->admin_peer = p;
}

static void admin_down(void *ctx, struct rpc_peer *p, Tw__Status status, const char *detail)
{
    (void)p;
    (void)status;
    (void)detail;
    ((struct fleet *)ctx)->admin_peer = NULL;
}

static int64_t cpu_ns(const struct fleet *f)
{
    struct timespec ts = { 0 };

    clock_gettime(f->cpu_clock, &ts);
    return ts.tv_sec * TW_NS_PER_S + ts.tv_nsec;
}

static double memory_mb(const struct fleet *f, const char *field)
{
    char path[64], line[256];
    size_t len = strlen(field);
    double kb = 0;
    FILE *in;

    snprintf(path, sizeof path, "/proc/%d/status", (int)f->controller);
    in = fopen(path, "re");
    while (in && fgets(line, sizeof line, in))
        if (!strncmp(line, field, len) && sscanf(line + len, ": %lf", &kb) == 1)
            break;
    if (in)
        fclose(in);
    return kb / 1024;
}

/* ---- Steps ---- */

struct step {
    const char *name;
    double cpu_ms, wall_ms, rss_mb;
};

static void run_until(struct fleet *f, bool (*cond)(const struct fleet *f), const char *what)
{
    int64_t end = tw_mono_now().ns + STEP_NS;

    while (!cond(f)) {
        if (tw_mono_now().ns > end || waitpid(f->controller, NULL, WNOHANG) == f->controller)
            fleet_die("%s: %zu of %zu agents settled", what, fleet_settled(f), f->n);
        fleet_run_for(f, 5 * TW_NS_PER_MS);
    }
}

/* What it still does in the background, as writing to the store, belongs to the step. */
static void rest(struct fleet *f)
{
    int64_t before = cpu_ns(f), now;

    for (int i = 0; i < RESTS; i++, before = now) {
        fleet_run_for(f, REST_NS);
        now = cpu_ns(f);
        if (now - before < REST_CPU_NS + (int64_t)f->n * REST_AGENT_NS)
            return;
    }
}

static void begin(struct fleet *f, struct step *s, const char *name)
{
    s->name = name;
    s->cpu_ms = (double)cpu_ns(f) / 1e6;
    s->wall_ms = (double)tw_mono_now().ns / 1e6;
}

static void end(struct fleet *f, struct step *s)
{
    s->wall_ms = (double)tw_mono_now().ns / 1e6 - s->wall_ms;
    rest(f);
    s->cpu_ms = (double)cpu_ns(f) / 1e6 - s->cpu_ms;
    s->rss_mb = memory_mb(f, "VmRSS");
}

static void print_step(const struct step *s)
{
    printf("  %-44s %10.0f %10.0f %10.0f\n", s->name, s->wall_ms, s->cpu_ms, s->rss_mb);
    fflush(stdout);
}

static bool is_up(const struct fleet *f)
{
    return f->admin_peer && fleet_connected(f) == f->n;
}

static bool is_operator_up(const struct fleet *f)
{
    return f->admin_peer != NULL;
}

static bool is_answered(const struct fleet *f)
{
    return f->answered;
}

static bool is_settled(const struct fleet *f)
{
    return fleet_settled(f) == f->n;
}

static void connect_all(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++) {
        fleet_agent_start(f, i);
        while (i + 1 - fleet_connected(f) > CONNECT_BURST)
            fleet_run_for(f, TW_NS_PER_MS);
    }
    run_until(f, is_up, "not all agents came up");
}

static void on_applied(const Tw__ScheduleApplyReply *r, void *ctx)
{
    struct fleet *f = ctx;

    if (!r || r->error)
        fleet_die("apply: %s", r ? r->error->text : rpc_result().detail);
    f->pairs = r->plan->pairs;
    f->answered = true;
}

static void apply(struct fleet *f, bool plan_only)
{
    Tw__ScheduleApplyRequest rq = TW__SCHEDULE_APPLY_REQUEST__INIT;

    rq.file = (char *)"fleet.yaml";
    rq.document = fleet_document(f);
    rq.author = (char *)"bench";
    rq.plan_only = plan_only;
    rq.force = true; /* past the budgets: it is the cost that is of interest */
    f->answered = false;
    tw__admin__schedule_apply(rpc_peer_service(f->admin_peer, RPC_ADMIN, &tw__admin__descriptor, 600000), &rq,
                              on_applied, f);
    run_until(f, is_answered, "the mesh was not applied");
    free(rq.document);
}

static void on_removed(const Tw__AgentReply *r, void *ctx)
{
    if (!r)
        fleet_die("remove: %s", rpc_result().detail);
    ((struct fleet *)ctx)->answered = true;
}

static void leave(struct fleet *f, size_t i)
{
    Tw__AgentRequest rq = TW__AGENT_REQUEST__INIT;

    fleet_agent_leaves(f, i);
    rq.name = f->agents[i].name;
    f->answered = false;
    tw__admin__agent_remove(rpc_peer_service(f->admin_peer, RPC_ADMIN, &tw__admin__descriptor, 600000), &rq,
                            on_removed, f);
    run_until(f, is_answered, "the agent was not removed");
}

static void join(struct fleet *f, size_t i)
{
    fleet_agent_joins(f, i);
    run_until(f, is_up, "the agent did not come up");
}

/* ---- All of it ---- */

static int by_cpu(const void *x, const void *y)
{
    double a = ((const struct step *)x)->cpu_ms, b = ((const struct step *)y)->cpu_ms;

    return (a > b) - (a < b);
}

static void measure(struct fleet *f)
{
    struct step s;

    run_until(f, is_operator_up, "the controller does not answer");
    begin(f, &s, "agents connect and enrol");
    connect_all(f);
    end(f, &s);
    print_step(&s);
    begin(f, &s, "plan (apply --plan)");
    apply(f, true);
    end(f, &s);
    print_step(&s);
    begin(f, &s, "apply, until answered");
    apply(f, false);
    s.wall_ms = (double)tw_mono_now().ns / 1e6 - s.wall_ms;
    s.cpu_ms = (double)cpu_ns(f) / 1e6 - s.cpu_ms;
    s.rss_mb = memory_mb(f, "VmRSS");
    print_step(&s);
    begin(f, &s, "then, until all agents acknowledged");
    run_until(f, is_settled, "not all agents got their schedule");
    end(f, &s);
    print_step(&s);
    begin(f, &s, "plan of the same again");
    apply(f, true);
    end(f, &s);
    print_step(&s);
}

static void measure_changes(struct fleet *f)
{
    struct step s[2][ROUNDS];

    for (size_t i = 0; i < ROUNDS; i++) {
        size_t who = f->n / ROUNDS * i;

        begin(f, &s[0][i], "an agent is removed (median)");
        leave(f, who);
        run_until(f, is_settled, "not all agents know that one left");
        end(f, &s[0][i]);
        begin(f, &s[1][i], "an agent joins (median)");
        join(f, who);
        run_until(f, is_settled, "not all agents know that one joined");
        end(f, &s[1][i]);
    }
    for (int k = 0; k < 2; k++) {
        qsort(s[k], ROUNDS, sizeof s[k][0], by_cpu);
        print_step(&s[k][ROUNDS / 2]);
    }
}

static void measure_live(struct fleet *f)
{
    struct step s;

    begin(f, &s, "a summary of every pair");
    fleet_send_summaries(f);
    run_until(f, fleet_summaries_done, "not all summaries were taken");
    end(f, &s);
    print_step(&s);
    printf("  %-44s %10.0f\n", "summaries stored in a second", (double)f->pairs / (s.wall_ms / 1000));
    printf("  %-44s %10llu\n", "batches sent again, the queue being full", (unsigned long long)f->refused);
}

static void start_operator(struct fleet *f)
{
    struct tw_err err = { 0 };
    struct rpc_client_conf admin = { .loop = f->loop,
                                     .url = f->admin_url,
                                     .role = TW__ROLE__ROLE_OPERATOR,
                                     .name = "bench",
                                     .software = "bench",
                                     .hooks = { .ctx = f, .on_up = admin_up, .on_down = admin_down } };

    fleet_must(rpc_client_start(&admin, &f->admin, &err), err.text);
}

static void set_up(struct fleet *f, const char *binary)
{
    snprintf(f->dir, sizeof f->dir, "/tmp/twbench-XXXXXX");
    if (!mkdtemp(f->dir)) {
        f->dir[0] = '\0';
        fleet_die("no temporary directory");
    }
    atexit(clean_up);
    snprintf(f->url, sizeof f->url, "tcp://127.0.0.1:%d", 20000 + (int)(getpid() % 20000));
    snprintf(f->admin_url, sizeof f->admin_url, "ipc://%.40s/ctl.sock", f->dir);
    fleet_must(loop_new(&f->loop), "loop");
    f->agents = calloc(f->n, sizeof *f->agents);
    if (!f->agents)
        fleet_die("out of memory");
    process_raise_files();
    start_controller(f, binary);
    start_operator(f);
}

static bool parse(struct fleet *f, int argc, char **argv, bool *ret_live)
{
    static const struct option options[] = {
        { "agents", required_argument, NULL, 'n' }, { "topology", required_argument, NULL, 't' },
        { "degree", required_argument, NULL, 'd' }, { "every", required_argument, NULL, 'e' },
        { "live", no_argument, NULL, 'l' },         { 0 }
    };
    int c;

    f->n = 1000;
    f->topology = "full";
    f->degree = 20;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (c == 'n')
            f->n = (size_t)atoi(optarg);
        else if (c == 't')
            f->topology = optarg;
        else if (c == 'd')
            f->degree = (size_t)atoi(optarg);
        else if (c == 'e')
            f->every = optarg;
        else if (c == 'l')
            *ret_live = true;
        else
            return false;
    return optind + 1 == argc && f->n > ROUNDS && f->n <= 20000 && f->degree < f->n &&
           (!strcmp(f->topology, "full") || !strcmp(f->topology, "k-regular"));
}

int main(int argc, char **argv)
{
    struct fleet *f = &fleet;
    bool live = false;

    if (!parse(f, argc, argv, &live))
        fleet_die("usage: fleet CONTROLLER-BINARY [--agents N] [--topology full|k-regular] [--degree K] "
                  "[--every TIME] "
                  "[--live]");
    set_up(f, argv[optind]);
    printf("fleet, %zu agents, %s\n", f->n, f->topology);
    printf("  %-44s %10s %10s %10s\n", "", "wall ms", "CPU ms", "RSS MB");
    measure(f);
    measure_changes(f);
    if (live)
        measure_live(f);
    printf("  %-44s %10.0f MB\n", "controller peak memory", memory_mb(f, "VmHWM"));
    printf("  %-44s %10llu\n", "pairs", (unsigned long long)f->pairs);
    printf("  %-44s %10llu of %llu\n", "schedules that came as a delta", (unsigned long long)f->deltas,
           (unsigned long long)f->schedules);
    return 0;
}
