/* tests/soak/overload_agents.c - simulated agents that offer a controller as many summaries as they are told
 * to, for tests/system/test_pressure.py. What they offer they keep until it is acknowledged, and send again
 * what was refused, or was under way when the controller ended; each summary is written down in LEDGER before
 * it is sent, as two numbers of 64 bits: its pair, its end.
 *
 * Commands come by standard input, a line each; it ends with its standard input:
 *   keep N    so many are always under way (at least a round of all pairs)
 *   rate N    N a second, whatever becomes of those before
 *   rate 0    no more; what waits is still sent
 * Ten times a second a line of JSON says where they are; all but "connected" are numbers of summaries:
 *   {"connected":40,"offered":..,"sent":..,"acked":..,"refusals":..}
 *
 * usage: overload_agents URL DIRECTORY AGENTS DEGREE RUDE DOCUMENT LEDGER     (DOCUMENT: the mesh of them all
 * is written there; RUDE: so many of the agents send all that they have, whatever window they are granted) */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include "common/net/now.h"
#include "common/net/process.h"
#include "tests/bench/fleet.h"

#define CONNECT_BURST 16
#define CONNECT_NS (30 * TW_NS_PER_S)
#define RUDE_ROUNDS 3 /* they have more than others */
#define STEP_NS (10 * TW_NS_PER_MS)
#define TELL_NS (100 * TW_NS_PER_MS)

struct load {
    struct fleet fleet;
    FILE *ledger;
    uint64_t keep; /* 0: by rate */
    double rate, owed;
    size_t next; /* whose turn it is */
    uint64_t offered;
    int64_t stepped_ns, told_ns;
    struct loop_timer step;
    struct loop_watch commands;
    char line[64];
    size_t line_len;
    bool ended;
};

static void connect_all(struct fleet *f)
{
    int64_t end = tw_mono_now().ns + CONNECT_NS;

    for (size_t i = 0; i < f->n; i++) {
        fleet_agent_start(f, i);
        while (i + 1 - fleet_connected(f) > CONNECT_BURST && tw_mono_now().ns < end)
            fleet_run_for(f, TW_NS_PER_MS);
    }
    while (fleet_connected(f) < f->n) {
        if (tw_mono_now().ns > end)
            fleet_die("only %zu of %zu agents came up", fleet_connected(f), f->n);
        fleet_run_for(f, STEP_NS);
    }
}

static void write_document(const struct fleet *f, const char *path)
{
    char *text = fleet_document(f), part[256];
    FILE *out;

    snprintf(part, sizeof part, "%s.part", path);
    out = fopen(part, "we");
    if (!out || fputs(text, out) == EOF || fclose(out) || rename(part, path))
        fleet_die("%s: %s", path, strerror(errno));
    free(text);
}

/* ---- Load ---- */

static void write_down(struct load *l, const struct fleet_agent *a)
{
    for (size_t i = 0; i < a->n_pairs; i++) {
        const uint64_t row[2] = { a->sessions[i].pair_id, (uint64_t)a->made[a->n_made - 1] };
        if (fwrite(row, sizeof row, 1, l->ledger) != 1)
            fleet_die("the ledger: %s", strerror(errno));
    }
}

static uint64_t sum_acked(const struct fleet *f)
{
    uint64_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += f->agents[i].acked;
    return n;
}

/* A round of the next agent, some of one that is rude; how many summaries that is. */
static size_t offer_one(struct load *l)
{
    struct fleet_agent *a = &l->fleet.agents[l->next];
    size_t rounds = a->rude ? RUDE_ROUNDS : 1;

    for (size_t i = 0; i < rounds; i++) {
        fleet_agent_offer(&l->fleet, l->next);
        write_down(l, a);
    }
    l->next = (l->next + 1) % l->fleet.n;
    l->offered += rounds * a->n_pairs;
    return rounds * a->n_pairs;
}

static void offer(struct load *l, int64_t now_ns)
{
    uint64_t acked = sum_acked(&l->fleet);

    l->owed += l->rate * (double)(now_ns - l->stepped_ns) / 1e9;
    l->stepped_ns = now_ns;
    while (l->keep && l->offered - acked < l->keep)
        if (!offer_one(l))
            return;
    while (!l->keep && l->owed >= 1) {
        size_t n = offer_one(l);
        if (!n)
            return;
        l->owed -= (double)n;
    }
}

static void tell(const struct load *l)
{
    uint64_t sent = 0;

    for (size_t i = 0; i < l->fleet.n; i++)
        sent += l->fleet.agents[i].sent;
    printf("{\"connected\":%zu,\"offered\":%llu,\"sent\":%llu,\"acked\":%llu,\"refusals\":%llu}\n",
           fleet_connected(&l->fleet), (unsigned long long)l->offered, (unsigned long long)sent,
           (unsigned long long)sum_acked(&l->fleet), (unsigned long long)l->fleet.refused);
    fflush(stdout);
}

static void on_step(struct loop_timer *t)
{
    struct load *l = t->ctx;
    int64_t now = tw_mono_now().ns;

    if (fleet_settled(&l->fleet) == l->fleet.n) /* all have their pairs */
        offer(l, now);
    else
        l->stepped_ns = now;
    if (now - l->told_ns >= TELL_NS) {
        l->told_ns = now;
        fflush(l->ledger);
        tell(l);
    }
    fleet_must(loop_timer_set(l->fleet.loop, t, (struct tw_mono){ now + STEP_NS }), "timer");
}

/* ---- Commands ---- */

static void obey(struct load *l, const char *line)
{
    if (!strncmp(line, "keep ", 5)) {
        l->keep = strtoull(line + 5, NULL, 10);
        l->rate = 0;
    } else if (!strncmp(line, "rate ", 5)) {
        l->rate = strtod(line + 5, NULL);
        l->keep = 0;
    } else {
        fleet_die("what is \"%s\"?", line);
    }
    l->owed = 0;
}

static void on_commands(struct loop_watch *w, uint32_t events)
{
    struct load *l = w->ctx;
    ssize_t n = read(w->fd, l->line + l->line_len, sizeof l->line - 1 - l->line_len);
    char *end;

    (void)events;
    if (n <= 0) {
        l->ended = true;
        return;
    }
    l->line_len += (size_t)n;
    l->line[l->line_len] = '\0';
    while ((end = strchr(l->line, '\n'))) {
        *end = '\0';
        obey(l, l->line);
        l->line_len -= (size_t)(end + 1 - l->line);
        memmove(l->line, end + 1, l->line_len + 1);
    }
}

int main(int argc, char **argv)
{
    static struct load l;
    struct fleet *f = &l.fleet;

    if (argc != 8)
        fleet_die("usage: overload_agents URL DIRECTORY AGENTS DEGREE RUDE DOCUMENT LEDGER");
    snprintf(f->url, sizeof f->url, "%s", argv[1]);
    snprintf(f->dir, sizeof f->dir, "%s", argv[2]);
    f->n = (size_t)atoi(argv[3]);
    f->degree = (size_t)atoi(argv[4]);
    f->topology = "k-regular";
    f->patient = true;
    if (f->n < 2 || f->degree < 1 || f->degree >= f->n)
        fleet_die("AGENTS must be at least 2, and DEGREE less");
    l.ledger = fopen(argv[7], "we");
    f->agents = calloc(f->n, sizeof *f->agents);
    if (!f->agents || !l.ledger)
        fleet_die("%s: %s", argv[7], strerror(errno));
    for (size_t i = 0; i < (size_t)atoi(argv[5]) && i < f->n; i++)
        f->agents[i].rude = true;
    process_raise_files();
    fleet_must(loop_new(&f->loop), "loop");
    connect_all(f);
    write_document(f, argv[6]);
    l.step = (struct loop_timer){ .fn = on_step, .ctx = &l };
    l.commands = (struct loop_watch){ .fn = on_commands, .ctx = &l, .fd = STDIN_FILENO };
    fleet_must(loop_watch(f->loop, &l.commands, EPOLLIN), "standard input must be a pipe");
    fleet_must(loop_timer_set(f->loop, &l.step, tw_mono_now()), "timer");
    loop_run_until(f->loop, &l.ended, TW_MONO_NEVER);
    return 0;
}
