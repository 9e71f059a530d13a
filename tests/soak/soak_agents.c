/* tests/soak/soak_agents.c - the simulated agents of the soak test, for a controller that runs: each with a
 * connection of its own, taking schedules, sending a summary of every pair in every report period, and one
 * after another dropping their connections and coming back. Ends at SIGTERM, or when its standard input does.
 * Each period one line of JSON:
 *   {"connected":200,"settled":200,"sent":..,"acked":..,"late":0,"refused":0,"returns":12}
 *
 * usage: soak_agents URL DIRECTORY AGENTS DEGREE DOCUMENT      (DOCUMENT: the mesh of them all is written
 * there) */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/net/now.h"
#include "common/net/process.h"
#include "tests/bench/fleet.h"

#define PERIOD_NS (10 * TW_NS_PER_S)
#define DROP_EVERY 3 /* periods */
#define CONNECT_BURST 16
#define CONNECT_NS (120 * TW_NS_PER_S)
#define AWAY_NS (2 * TW_NS_PER_S)

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
    (void)sig;
    ended = 1;
}

static void connect_all(struct fleet *f)
{
    int64_t end = tw_mono_now().ns + CONNECT_NS;

    for (size_t i = 0; i < f->n && !ended; i++) {
        fleet_agent_start(f, i);
        while (i + 1 - fleet_connected(f) > CONNECT_BURST && tw_mono_now().ns < end)
            fleet_run_for(f, TW_NS_PER_MS);
    }
    while (fleet_connected(f) < f->n && !ended) {
        if (tw_mono_now().ns > end)
            fleet_die("only %zu of %zu agents came up", fleet_connected(f), f->n);
        fleet_run_for(f, 10 * TW_NS_PER_MS);
    }
}

static void write_document(const struct fleet *f, const char *path)
{
    char *text = fleet_document(f);
    FILE *out = fopen(path, "we");

    if (!out || fputs(text, out) == EOF || fclose(out))
        fleet_die("%s: %s", path, strerror(errno));
    free(text);
}

static void tell(const struct fleet *f, size_t late, size_t returns)
{
    uint64_t sent = 0, acked = 0;

    for (size_t i = 0; i < f->n; i++) {
        sent += f->agents[i].sent;
        acked += f->agents[i].acked;
    }
    printf("{\"connected\":%zu,\"settled\":%zu,\"sent\":%llu,\"acked\":%llu,\"late\":%zu,\"refused\":%llu,"
           "\"returns\":%zu}\n",
           fleet_connected(f), fleet_settled(f), (unsigned long long)sent, (unsigned long long)acked, late,
           (unsigned long long)f->refused, returns);
    fflush(stdout);
}

static void live(struct fleet *f)
{
    size_t returns = 0;

    for (size_t period = 0; !ended; period++) {
        int64_t end = tw_mono_now().ns + PERIOD_NS;
        size_t late = fleet_send_summaries(f);
        if (period % DROP_EVERY == 0) {
            size_t who = returns++ * 7 % f->n;
            fleet_agent_drops(f, who);
            fleet_run_for(f, AWAY_NS);
            fleet_agent_returns(f, who);
        }
        tell(f, late, returns);
        while (!ended && tw_mono_now().ns < end)
            fleet_run_for(f, 100 * TW_NS_PER_MS);
    }
}

int main(int argc, char **argv)
{
    static struct fleet f;

    if (argc != 6)
        fleet_die("usage: soak_agents URL DIRECTORY AGENTS DEGREE DOCUMENT");
    snprintf(f.url, sizeof f.url, "%s", argv[1]);
    snprintf(f.dir, sizeof f.dir, "%s", argv[2]);
    f.n = (size_t)atoi(argv[3]);
    f.degree = (size_t)atoi(argv[4]);
    f.topology = "k-regular";
    if (f.n < 2 || f.degree < 1 || f.degree >= f.n)
        fleet_die("AGENTS must be at least 2, and DEGREE less");
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    process_raise_files();
    fleet_must(loop_new(&f.loop), "loop");
    f.agents = calloc(f.n, sizeof *f.agents);
    if (!f.agents)
        fleet_die("out of memory");
    connect_all(&f);
    write_document(&f, argv[5]);
    live(&f);
    return 0;
}
