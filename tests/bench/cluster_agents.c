/* tests/bench/cluster_agents.c - the simulated agents of tests/bench/cluster, for controllers that run: each at the best one for its name
 * (agent/core/homing.h), and at the next when its connection is gone. They send summaries as fast as they are taken: a round of all pairs
 * when the one before is stored. Ends at SIGTERM. Each tenth of a second one line of JSON:
 *   {"at_ns":..,"connected":1000,"settled":1000,"generation":3,"acked":..,"moves":333}
 * at_ns: CLOCK_MONOTONIC. generation: the oldest that an agent runs. moves: to another controller, by the time that they have a connection.
 *
 * usage: cluster_agents URL[,URL...] DIRECTORY AGENTS DEGREE DOCUMENT      (DOCUMENT: the mesh of them all is written there) */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/homing.h"
#include "common/net/now.h"
#include "common/net/process.h"
#include "tests/bench/fleet.h"

#define TELL_NS (100 * TW_NS_PER_MS)
#define CONNECT_BURST 16
#define CONNECT_NS (300 * TW_NS_PER_S)
/* Without a connection: then the next controller is tried, and after that one the next. As homing.c has it, the last of a round gets longer. */
#define BROKEN_NS (300 * TW_NS_PER_MS)
#define SILENT_NS (3 * TW_NS_PER_S)
#define LAST_NS (30 * TW_NS_PER_S)

static volatile sig_atomic_t ended;

struct way {
    size_t rank[HOMING_MAX], at;
    size_t tried; /* others, since it has no connection */
    int64_t gone_ns; /* since when it has no connection; 0: it has one */
    int64_t wait_ns; /* so long from then on */
};

struct ways {
    const char *urls[HOMING_MAX];
    size_t n, moves;
    struct way *v; /* of each agent */
};

static void on_signal(int sig)
{
    (void)sig;
    ended = 1;
}

static void split(char *list, struct ways *w)
{
    for (char *url = strtok(list, ","); url; url = strtok(NULL, ",")) {
        if (w->n == HOMING_MAX)
            fleet_die("at most %d controllers", HOMING_MAX);
        w->urls[w->n++] = url;
    }
}

/* Its name is made by fleet_agent_start(), which connects, too. */
static void rank(struct fleet *f, struct ways *w, size_t i)
{
    char name[sizeof f->agents[i].name];

    snprintf(name, sizeof name, "edge-%05zu.site%02zu", i, i % 40);
    homing_rank(name, w->urls, w->n, w->v[i].rank);
    f->agents[i].url = w->urls[w->v[i].rank[0]];
}

static void connect_all(struct fleet *f, struct ways *w)
{
    int64_t end = tw_mono_now().ns + CONNECT_NS;

    for (size_t i = 0; i < f->n && !ended; i++) {
        rank(f, w, i);
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

/* Those without a connection go on to the next controller. */
static void move(struct fleet *f, struct ways *w)
{
    int64_t now = tw_mono_now().ns;

    for (size_t i = 0; i < f->n; i++) {
        struct way *mine = &w->v[i];
        if (f->agents[i].peer) {
            w->moves += mine->gone_ns && mine->at;
            mine->gone_ns = 0;
            continue;
        }
        if (!mine->gone_ns) {
            mine->gone_ns = now;
            mine->wait_ns = BROKEN_NS;
            mine->tried = 0;
        }
        if (w->n == 1 || now - mine->gone_ns < mine->wait_ns)
            continue;
        mine->wait_ns = ++mine->tried % w->n == w->n - 1 ? LAST_NS : SILENT_NS;
        mine->at = (mine->at + 1) % w->n;
        mine->gone_ns = now;
        fleet_agent_drops(f, i);
        f->agents[i].url = w->urls[mine->rank[mine->at]];
        fleet_agent_returns(f, i);
    }
}

static void offer(struct fleet *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_agent *a = &f->agents[i];
        if (a->peer && a->n_pairs == f->degree && a->acked >= a->due)
            fleet_agent_offer(f, i);
    }
}

static void tell(const struct fleet *f, const struct ways *w)
{
    uint64_t acked = 0, generation = UINT64_MAX;

    for (size_t i = 0; i < f->n; i++) {
        const struct fleet_agent *a = &f->agents[i];
        acked += a->acked;
        generation = a->generation < generation ? a->generation : generation;
    }
    printf("{\"at_ns\":%lld,\"connected\":%zu,\"settled\":%zu,\"generation\":%llu,\"acked\":%llu,\"moves\":%zu}\n",
           (long long)tw_mono_now().ns, fleet_connected(f), fleet_settled(f), (unsigned long long)generation,
           (unsigned long long)acked, w->moves);
    fflush(stdout);
}

static void live(struct fleet *f, struct ways *w)
{
    while (!ended) {
        move(f, w);
        offer(f);
        tell(f, w);
        for (int64_t end = tw_mono_now().ns + TELL_NS; !ended && tw_mono_now().ns < end; offer(f))
            fleet_run_for(f, 10 * TW_NS_PER_MS);
    }
}

int main(int argc, char **argv)
{
    static struct fleet f = { .patient = true, .topology = "k-regular" };
    static struct ways w;

    if (argc != 6)
        fleet_die("usage: cluster_agents URL[,URL...] DIRECTORY AGENTS DEGREE DOCUMENT");
    split(argv[1], &w);
    snprintf(f.dir, sizeof f.dir, "%s", argv[2]);
    f.n = (size_t)atoi(argv[3]);
    f.degree = (size_t)atoi(argv[4]);
    if (f.n < 2 || f.degree < 1 || f.degree >= f.n)
        fleet_die("AGENTS must be at least 2, and DEGREE less");
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    process_raise_files();
    fleet_must(loop_new(&f.loop), "loop");
    f.agents = calloc(f.n, sizeof *f.agents);
    w.v = calloc(f.n, sizeof *w.v);
    if (!f.agents || !w.v)
        fleet_die("out of memory");
    connect_all(&f, &w);
    write_document(&f, argv[5]);
    live(&f, &w);
    return 0;
}
