/* tests/bench/sessions.c - what does a session cost: CPU per probe, memory, punctuality? And an agent that
 * has none?
 *
 *     bench_sessions cost [--rate PPS] [--seconds N]     10, 100, 1,000 and 10,000 sessions, the same rate
 *     bench_sessions stamps [--sessions N] [--seconds N]  without and with the kernel's sending times
 *     bench_sessions memory [--sessions N] [--spacing MS]
 *     bench_sessions idle TWAMP-AGENT
 *
 * cost: one agent worker (CPU 0) sends to a worker's reflector in another process (CPU 1), each session to an
 * address of its own in 127.0.0.0/8. What counts is the CPU time of the sending thread per probe, and how it
 * compares with that of 10 sessions in the same run. Both CPUs are kept awake by threads that run only when
 * nobody else wants to. Timeout 2 s, report period 10 s, of which each case sees one end. `late` is how long
 * after its time a probe left; `boundary` the same for those of the second in which the periods of all
 * sessions end: 20 sessions more have a period of 1 s, so that this second has summaries of its own.
 *
 * memory: heap and resident memory of the sending process at its worst moment, without what it had before the
 * sessions came. Not part of ctest: it wants the machine for itself. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/io/worker.h"
#include "common/net/now.h"
#include "tests/bench/cpu.h"

#define TIMEOUT_NS (2 * TW_NS_PER_S)
#define PERIOD_NS (10 * TW_NS_PER_S)
#define WATCH_PERIOD_NS TW_NS_PER_S
#define WATCH_SPACING_NS (20 * TW_NS_PER_MS)
#define WATCH_PAIR (UINT64_C(1) << 32) /* pair ids of the watchers begin here */

enum { WATCHERS = 20, SETTLE_S = 3, LOOK_US = 5000, LOOKS_PER_MEMORY = 10 };

static struct {
    long rate, seconds, sessions, spacing_ms;
} opt = { 20000, 10, 10000, 200 };
static bool user_tx_times; /* of the worker that sends */

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void start_worker(const struct worker_cfg *cfg, struct worker **ret)
{
    struct tw_err err = { 0 };

    if (worker_start(cfg, ret, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static double seconds_since(struct tw_mono from)
{
    return (double)(tw_mono_now().ns - from.ns) / 1e9;
}

/* ---- The other side: a process of its own, so that its memory and CPU time are its own ---- */

struct mirror {
    pid_t pid;
    uint16_t port;
};

static void run_mirror(int out)
{
    struct worker_cfg cfg = { .max_sessions = 16 };
    struct worker *w;
    struct tw_addr at;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    bench_pin(1);
    tw_addr_parse("0.0.0.0", 0, &cfg.reflect[0]);
    start_worker(&cfg, &w);
    worker_reflector_addr(w, 0, &at);
    if (write(out, &at.port, sizeof at.port) != sizeof at.port)
        die("pipe");
    for (;;)
        pause();
}

static void start_mirror(struct mirror *m)
{
    int ends[2];

    if (pipe(ends) || (m->pid = fork()) < 0)
        die("reflector");
    if (!m->pid)
        run_mirror(ends[1]);
    if (read(ends[0], &m->port, sizeof m->port) != sizeof m->port)
        die("reflector");
    close(ends[0]);
    close(ends[1]);
}

static void stop_mirror(struct mirror *m)
{
    kill(m->pid, SIGTERM);
    waitpid(m->pid, NULL, 0);
}

/* ---- CPUs that do not fall asleep ----
 *
 * A virtual CPU that wakes up costs its next thread more than a probe does, and how often CPUs sleep is
 * chance. So each has something to do that gives way to anybody at once. */

enum { CPUS = 2 };
static pid_t hogs[CPUS];

static void keep_awake(void)
{
    for (int cpu = 0; cpu < CPUS; cpu++) {
        hogs[cpu] = fork();
        if (hogs[cpu] < 0)
            die("fork");
        if (hogs[cpu])
            continue;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bench_pin(cpu);
        if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){ 0 }))
            die("SCHED_IDLE");
        for (volatile unsigned turn = 0;;)
            turn = turn + 1;
    }
}

static void let_sleep(void)
{
    for (int cpu = 0; cpu < CPUS; cpu++) {
        kill(hogs[cpu], SIGKILL);
        waitpid(hogs[cpu], NULL, 0);
    }
}

/* ---- Memory ---- */

struct memory {
    double heap, rss; /* octets */
};

static struct memory memory_now(void)
{
    struct mallinfo2 m = mallinfo2();
    struct memory ret = { .heap = (double)(m.uordblks + m.hblkhd) };
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%*s %ld", &pages) != 1)
        die("/proc/self/statm");
    fclose(f);
    ret.rss = (double)pages * (double)sysconf(_SC_PAGESIZE);
    return ret;
}

static void keep_worst(struct memory *worst)
{
    struct memory m = memory_now();

    if (m.heap > worst->heap)
        worst->heap = m.heap;
    if (m.rss > worst->rss)
        worst->rss = m.rss;
}

/* ---- One case ---- */

struct result {
    double start_s;                 /* until all sessions run */
    double cpu_us;                  /* of the sending thread, per probe */
    double rate;                    /* probes/s */
    double wakeups;                 /* of that thread, per probe */
    uint64_t sent, told, late_told; /* the kernel told when it left, in time; not in time, or not */
    double lost, late_sends;        /* in all; late by more than 1 ms */
    uint64_t skipped;
    struct hist late, boundary; /* of the watchers */
    struct memory before, after, worst;
};

static void add(struct worker *w, uint64_t pair, uint32_t host, uint16_t port, int64_t spacing, int64_t phase,
                int64_t period)
{
    struct worker_session s = { .cfg = { .pair_id = pair,
                                         .spacing_ns = spacing,
                                         .size_bytes = 64,
                                         .timeout_ns = period < TIMEOUT_NS ? period : TIMEOUT_NS,
                                         .report_period_ns = period } };
    char text[32];

    s.cfg.phase_ns = phase;
    snprintf(text, sizeof text, "127.%u.%u.%u", 1 + host / 62500, 1 + host / 250 % 250, 1 + host % 250);
    if (tw_addr_parse(text, port, &s.target))
        die(text);
    for (;;) {
        enum tw_rc rc = worker_add(w, &s);
        if (rc == TW_OK)
            return;
        if (rc != TW_EBUSY) {
            fprintf(stderr, "session %llu: %s\n", (unsigned long long)pair, tw_rc_name(rc));
            exit(1);
        }
        usleep(1000);
    }
}

/* Evenly spread, so that 10 sessions and 10,000 send with the same gaps and wake the thread as often; in an
 * order that is not that of their memory. */
static int64_t phase_of(long i, long n, int64_t spacing)
{
    return i * 7919 % n * spacing / n;
}

static double start_sessions(struct worker *w, uint16_t port, long n, int64_t spacing)
{
    struct tw_mono from = tw_mono_now();
    struct worker_counters c;

    for (long i = 0; i < n; i++)
        add(w, (uint64_t)i + 1, (uint32_t)i, port, spacing, phase_of(i, n, spacing), PERIOD_NS);
    for (int i = 0; i < WATCHERS; i++)
        add(w, WATCH_PAIR + (uint64_t)i, 70000 + (uint32_t)i, port, WATCH_SPACING_NS,
            phase_of(i, WATCHERS, WATCH_SPACING_NS), WATCH_PERIOD_NS);
    do
        worker_counters(w, &c);
    while (c.sessions < (uint64_t)n + WATCHERS && !usleep(100));
    return seconds_since(from);
}

static void take_summary(struct result *r, const struct tw_summary *s)
{
    r->lost += (double)(s->lost_forward + s->lost_backward + s->lost_unknown);
    r->skipped += s->skipped + s->send_errors;
    if (s->pair_id < WATCH_PAIR)
        return;
    hist_merge(s->start_ns % PERIOD_NS == 0 ? &r->boundary : &r->late, &s->send_lateness);
}

/* Takes results for so long, as an agent's loop would. */
static void drain(struct worker *w, struct result *r, double seconds)
{
    struct tw_mono from = tw_mono_now();
    struct tw_summary s;

    summary_init(&s);
    for (int i = 0; seconds_since(from) < seconds; i++) {
        while (worker_next_summary(w, &s) == TW_OK)
            take_summary(r, &s);
        if (i % LOOKS_PER_MEMORY == 0)
            keep_worst(&r->worst);
        usleep(LOOK_US);
    }
    summary_free(&s);
}

static double worker_cpu(void) /* all but this thread */
{
    return bench_cpu_seconds(RUSAGE_SELF) - bench_cpu_seconds(RUSAGE_THREAD);
}

static void measure(struct worker *w, struct result *r)
{
    struct worker_counters before, after;
    struct tw_mono from;
    double cpu;

    drain(w, r, SETTLE_S);
    r->lost = 0;
    r->skipped = 0;
    hist_reset(&r->late);
    hist_reset(&r->boundary);
    worker_counters(w, &before);
    cpu = worker_cpu();
    from = tw_mono_now();
    drain(w, r, (double)opt.seconds);
    cpu = worker_cpu() - cpu;
    worker_counters(w, &after);
    r->told = after.tx_stamps - before.tx_stamps;
    r->late_told = after.tx_stamps_late + after.tx_stamps_refused + after.tx_stamps_missing -
                   before.tx_stamps_late - before.tx_stamps_refused - before.tx_stamps_missing;
    r->sent = after.probes_sent - before.probes_sent;
    r->rate = (double)(after.probes_sent - before.probes_sent) / seconds_since(from);
    r->wakeups = (double)(after.wakeups - before.wakeups) / (double)(after.probes_sent - before.probes_sent);
    r->cpu_us = cpu * 1e6 / (double)(after.probes_sent - before.probes_sent);
}

/* In the process that has nothing else: what it prints is the result. */
static void run_case(uint16_t port, long n, int64_t spacing, struct result *r)
{
    struct worker_cfg cfg = { .max_sessions = (size_t)n + WATCHERS, .user_tx_times = user_tx_times };
    struct worker *w;

    *r = (struct result){ 0 };
    hist_init(&r->late);
    hist_init(&r->boundary);
    bench_pin(0); /* the thread inherits it */
    start_worker(&cfg, &w);
    bench_pin(1);
    usleep(100000);
    r->before = memory_now();
    r->start_s = start_sessions(w, port, n, spacing);
    r->after = r->worst = memory_now();
    measure(w, r);
    worker_free(w);
}

/* ---- cost ---- */

static double percentile_us(const struct hist *h, double p)
{
    int64_t ns = 0;

    hist_percentile(h, p, &ns);
    return (double)ns / 1e3;
}

static void print_cost(long n, const struct result *r, double first_us)
{
    printf("%8ld %9.0f %10.2f %6.2f %8.2f %7.0f %6llu", n, r->rate, r->cpu_us, r->cpu_us / first_us,
           r->wakeups, r->lost, (unsigned long long)r->skipped);
    for (int i = 0; i < 2; i++) {
        const struct hist *h = i ? &r->boundary : &r->late;
        printf("   %5.0f %5.0f %6.0f", percentile_us(h, 50), percentile_us(h, 99), percentile_us(h, 100));
    }
    printf("\n");
    fflush(stdout);
}

/* A child for each case: memory and page tables as fresh as in an agent. */
static double cost_case(uint16_t port, long n, double first_us)
{
    int64_t spacing = n * TW_NS_PER_S / (opt.rate - WATCHERS * (TW_NS_PER_S / WATCH_SPACING_NS));
    struct result r;
    double us = 0;
    int ends[2];
    pid_t pid;

    if (pipe(ends) || (pid = fork()) < 0)
        die("case");
    if (!pid) {
        run_case(port, n, spacing, &r);
        print_cost(n, &r, first_us ? first_us : r.cpu_us);
        _exit(write(ends[1], &r.cpu_us, sizeof r.cpu_us) != sizeof r.cpu_us);
    }
    close(ends[1]);
    if (read(ends[0], &us, sizeof us) != sizeof us)
        exit(1);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return us;
}

static int cost(void)
{
    static const long counts[] = { 10, 100, 1000, 10000 };
    struct mirror m;
    double first = 0, us = 0;

    start_mirror(&m);
    keep_awake();
    printf("%ld probes/s, timeout 2 s, period 10 s; lateness in us\n", opt.rate);
    printf("%8s %9s %10s %6s %8s %7s %6s   %19s   %19s\n", "sessions", "probes/s", "CPU us", "ratio",
           "wake-ups", "lost", "skip", "late p50  p99    max", "boundary p50 p99 max");
    fflush(stdout);
    for (size_t i = 0; i < TW_NELEM(counts); i++) {
        us = cost_case(m.port, counts[i], first);
        if (!first)
            first = us;
    }
    let_sleep();
    stop_mirror(&m);
    printf("ratio of 10000 sessions to 10: %.2f (goal: at most 1.20)\n", us / first);
    return 0;
}

/* ---- stamps ---- */

/* Rates with and without in turn, so that what else the machine does meets both. */
static void stamps_case(uint16_t port, long rate, bool user, double *ret_us)
{
    int ends[2];
    struct result r;
    pid_t pid;

    if (pipe(ends) || (pid = fork()) < 0)
        die("case");
    if (!pid) {
        user_tx_times = user;
        run_case(port, opt.sessions,
                 opt.sessions * TW_NS_PER_S / (rate - WATCHERS * (TW_NS_PER_S / WATCH_SPACING_NS)), &r);
        printf("%9ld %9.0f %5s %10.2f %6.2f %9.1f %7llu %6llu   %5.0f %5.0f %6.0f\n", rate, r.rate,
               user ? "off" : "on", r.cpu_us, *ret_us ? r.cpu_us / *ret_us : 1,
               100.0 * (double)r.told / (double)r.sent, (unsigned long long)r.late_told,
               (unsigned long long)r.skipped, percentile_us(&r.late, 50), percentile_us(&r.late, 99),
               percentile_us(&r.late, 100));
        fflush(stdout);
        _exit(write(ends[1], &r.cpu_us, sizeof r.cpu_us) != sizeof r.cpu_us);
    }
    close(ends[1]);
    if (read(ends[0], ret_us, sizeof *ret_us) != sizeof *ret_us)
        exit(1);
    close(ends[0]);
    waitpid(pid, NULL, 0);
}

static int stamps(void)
{
    static const long rates[] = { 2000, 5000, 20000, 50000 };
    struct mirror m;

    start_mirror(&m);
    printf("%ld sessions; lateness in us\n%9s %9s %5s %10s %6s %9s %7s %6s   %s\n", opt.sessions, "asked",
           "probes/s", "times", "CPU us", "ratio", "told %", "not", "skip", "late p50  p99    max");
    fflush(stdout);
    for (size_t i = 0; i < TW_NELEM(rates); i++)
        for (int round = 0; round < 2; round++) {
            double us = 0;
            stamps_case(m.port, rates[i], true, &us);
            stamps_case(m.port, rates[i], false, &us);
        }
    stop_mirror(&m);
    return 0;
}

/* ---- memory ---- */

static void print_memory(const char *what, struct memory m)
{
    printf("%-28s %12.0f %12.0f %10.0f %10.0f\n", what, m.heap / 1024, m.rss / 1024,
           m.heap / (double)opt.sessions, m.rss / (double)opt.sessions);
}

static struct memory minus(struct memory a, struct memory b)
{
    return (struct memory){ a.heap - b.heap, a.rss - b.rss };
}

static int memory(void)
{
    struct mirror m;
    struct result r;

    start_mirror(&m);
    opt.seconds += (long)(PERIOD_NS / TW_NS_PER_S); /* the ends of two periods at least */
    run_case(m.port, opt.sessions, opt.spacing_ms * TW_NS_PER_MS, &r);
    stop_mirror(&m);
    printf("%ld sessions, a probe each %ld ms, timeout 2 s, period 10 s; %.0f probes/s, %.2f us of CPU each, "
           "%.0f lost, %llu skipped\n",
           opt.sessions, opt.spacing_ms, r.rate, r.cpu_us, r.lost, (unsigned long long)r.skipped);
    printf("%-28s %12s %12s %10s %10s\n", "", "heap kB", "RSS kB", "heap each", "RSS each");
    print_memory("the process before", r.before);
    print_memory("sessions, just started", minus(r.after, r.before));
    print_memory("sessions, worst moment", minus(r.worst, r.before));
    printf(
        "started in %.2f s; lateness of 20 others: p50 %.0f us, p99 %.0f us, max %.0f us; in the second of "
        "the boundary: p50 %.0f us, p99 %.0f us, max %.0f us\n",
        r.start_s, percentile_us(&r.late, 50), percentile_us(&r.late, 99), percentile_us(&r.late, 100),
        percentile_us(&r.boundary, 50), percentile_us(&r.boundary, 99), percentile_us(&r.boundary, 100));
    return 0;
}

/* ---- idle ---- */

struct look {
    double rss_kb;
    long voluntary, involuntary; /* of all threads */
    int threads;
};

static bool read_status(const char *path, long *ret_rss_kb, long *ret_voluntary, long *ret_involuntary)
{
    char line[256];
    FILE *f = fopen(path, "r");

    if (!f)
        return false;
    while (fgets(line, sizeof line, f)) {
        sscanf(line, "VmRSS: %ld", ret_rss_kb);
        sscanf(line, "voluntary_ctxt_switches: %ld", ret_voluntary);
        sscanf(line, "nonvoluntary_ctxt_switches: %ld", ret_involuntary);
    }
    fclose(f);
    return true;
}

static void list_threads(pid_t pid, char *text, size_t cap)
{
    char cmd[64];
    size_t n;
    FILE *f;

    snprintf(cmd, sizeof cmd, "ls /proc/%d/task", (int)pid);
    f = popen(cmd, "r");
    n = f ? fread(text, 1, cap - 1, f) : 0;
    text[n] = 0;
    if (f)
        pclose(f);
}

static struct look look_at(pid_t pid)
{
    struct look l = { 0 };
    char tasks[4096], path[64], *save = NULL;

    list_threads(pid, tasks, sizeof tasks);
    for (char *t = strtok_r(tasks, "\n", &save); t; t = strtok_r(NULL, "\n", &save)) {
        long rss = 0, voluntary = 0, involuntary = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/status", (int)pid, t);
        if (!read_status(path, &rss, &voluntary, &involuntary))
            continue;
        l.rss_kb = (double)rss;
        l.voluntary += voluntary;
        l.involuntary += involuntary;
        l.threads++;
    }
    return l;
}

static pid_t start_agent(const char *program, const char *folder)
{
    pid_t pid = fork();

    if (pid < 0)
        die("agent");
    if (!pid) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!freopen("/dev/null", "w", stderr))
            _exit(1);
        /* Nobody listens there: an agent that waits for its controller. */
        execl(program, program, "--data-dir", folder, "--name", "idle", "--controller", "tcp://127.0.0.1:1",
              "--reflect", "127.0.0.1:18620", (char *)NULL);
        _exit(1);
    }
    return pid;
}

static int idle(const char *program)
{
    char folder[] = "/tmp/bench-idle-XXXXXX", clean[64];
    struct look a, b;
    pid_t pid;

    if (!mkdtemp(folder))
        die(folder);
    pid = start_agent(program, folder);
    sleep(SETTLE_S);
    a = look_at(pid);
    sleep((unsigned)opt.seconds);
    b = look_at(pid);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    snprintf(clean, sizeof clean, "rm -rf %s", folder);
    if (system(clean))
        fprintf(stderr, "%s is left behind\n", folder);
    if (!b.threads) {
        fprintf(stderr, "the agent did not run\n");
        return 1;
    }
    printf("idle agent: RSS %.1f MB (goal: below 10), %d threads, %.1f wake-ups/s, %.1f preemptions/s\n",
           b.rss_kb / 1024, b.threads, (double)(b.voluntary - a.voluntary) / (double)opt.seconds,
           (double)(b.involuntary - a.involuntary) / (double)opt.seconds);
    return 0;
}

/* ---- Options ---- */

static int usage(void)
{
    fprintf(stderr, "usage: bench_sessions cost [--rate PPS] [--seconds N]\n"
                    "       bench_sessions stamps [--sessions N] [--seconds N]\n"
                    "       bench_sessions memory [--sessions N] [--spacing MS]\n"
                    "       bench_sessions idle TWAMP-AGENT [--seconds N]\n");
    return 2;
}

static bool parse(int argc, char **argv)
{
    static const struct option rows[] = { { "rate", 1, NULL, 'r' },
                                          { "seconds", 1, NULL, 's' },
                                          { "sessions", 1, NULL, 'n' },
                                          { "spacing", 1, NULL, 'i' },
                                          { 0 } };

    for (int c; (c = getopt_long(argc, argv, "", rows, NULL)) != -1;) {
        long *to = c == 'r'   ? &opt.rate
                   : c == 's' ? &opt.seconds
                   : c == 'n' ? &opt.sessions
                   : c == 'i' ? &opt.spacing_ms
                              : NULL;
        if (!to)
            return false;
        *to = atol(optarg);
    }
    return opt.rate >= 2000 && opt.seconds > 0 && opt.sessions > 0 && opt.sessions <= 60000 &&
           opt.spacing_ms > 0;
}

int main(int argc, char **argv)
{
    mallopt(M_ARENA_MAX, 1); /* as the agent does */
    if (!parse(argc, argv) || optind == argc)
        return usage();
    if (!strcmp(argv[optind], "cost") && optind + 1 == argc)
        return cost();
    if (!strcmp(argv[optind], "stamps") && optind + 1 == argc)
        return stamps();
    if (!strcmp(argv[optind], "memory") && optind + 1 == argc)
        return memory();
    if (!strcmp(argv[optind], "idle") && optind + 2 == argc)
        return idle(argv[optind + 1]);
    return usage();
}
