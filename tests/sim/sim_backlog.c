/* An hour's outage of a fleet, on a virtual clock: what agents send by core/lanes, to a store that takes so
 * many summaries a second and commits now and then. Measured is how old fresh results are when they are
 * durable, before the outage and while the backlog is drained, and how fast it is drained; and every number
 * has to be stored once, whoever crashes meanwhile.
 *
 *     sim_backlog [--seed N]      prints a line for each case; 1 if one is not as it has to be */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/core/lanes.h"
#include "common/splitmix.h"
#include "controller/core/window.h"

#define STEP_NS (10 * TW_NS_PER_MS)
#define WAY_NS (20 * TW_NS_PER_MS)    /* from agent to controller, or back */
#define EVERY_NS (100 * TW_NS_PER_MS) /* an agent closes a summary */
#define COMMIT_NS (50 * TW_NS_PER_MS)
#define STORE_PER_S 13000 /* summaries while others read: docs/benchmarks.md */
#define QUEUE 32768
#define BATCH 256
#define AGENTS 20
#define BEFORE_NS (60 * TW_NS_PER_S)
#define OUTAGE_NS (3600 * TW_NS_PER_S)
#define MOST 60000 /* numbers of an agent */
#define FLYING 512 /* messages of one agent under way */

struct message {
    int64_t at_ns;
    uint64_t first, last;
    bool ahead;
    struct lanes_grant grant; /* acknowledgements */
    bool refused;
};
struct way {
    struct message v[FLYING];
    size_t from, n;
};
struct cursor {
    uint64_t through;
    struct seqset ahead;
};
struct agent {
    struct lanes lanes;
    bool up;
    int64_t again_ns, looked_ns, paused_ns; /* when it dials; looked back; goes on after a refusal */
    struct way up_way, down_way;
    struct cursor now, durable; /* the controller's */
    uint8_t stored[MOST];       /* how often, in what is committed */
    uint8_t pending[MOST];
    uint32_t down_ms, down_before_ms[MOST]; /* without a connection, in all; when a number was made */
};
struct ages {
    int64_t worst_ns, sum_ns;
    int64_t worst_up_ns; /* without the time that there was no connection */
    uint64_t n;
};
struct waiting {
    struct agent *a;
    struct message m;
};
struct world {
    struct agent agents[AGENTS];
    struct waiting queue[AGENTS * FLYING];
    size_t n_queue, queued_rows;
    int64_t now_ns;
    uint64_t seed;
    uint32_t max; /* stretches that the controller takes */
    bool crashes;
    struct ages before,
        during; /* of fresh ones when they are durable: before the outage, and while the backlog is drained */
    uint64_t drained, drained_most; /* of the backlog in all, and in one second at most */
    uint64_t drained_second, refused, crashed;
};

static uint64_t draw(struct world *w, uint64_t n)
{
    return tw_splitmix64(&w->seed) % n;
}

static uint64_t last_of(int64_t now_ns)
{
    return (uint64_t)(now_ns / EVERY_NS);
}

static int64_t closed_ns(uint64_t seq)
{
    return (int64_t)seq * EVERY_NS;
}

static bool outage(const struct world *w)
{
    return w->now_ns >= BEFORE_NS && w->now_ns < BEFORE_NS + OUTAGE_NS;
}

/* ---- The ways ---- */

static void post(struct way *q, const struct message *m)
{
    if (q->n == FLYING) {
        fprintf(stderr, "more messages under way than the window allows\n");
        abort();
    }
    q->v[(q->from + q->n++) % FLYING] = *m;
}

static bool arrived(struct way *q, int64_t now_ns, struct message *ret)
{
    if (!q->n || q->v[q->from].at_ns > now_ns)
        return false;
    *ret = q->v[q->from];
    q->from = (q->from + 1) % FLYING;
    q->n--;
    return true;
}

/* ---- The controller ---- */

static struct lanes_grant granted(const struct world *w, const struct cursor *c)
{
    bool pressed = w->queued_rows > QUEUE / 2;

    return (struct lanes_grant){ .through = c->through,
                                 .anchored = c->through != 0,
                                 .ahead = c->ahead,
                                 .max = w->max,
                                 .window = window_grant(QUEUE, AGENTS, pressed),
                                 .backlog_per_s = w->max ? window_backlog(AGENTS, pressed) : 0 };
}

static void answer(struct world *w, struct agent *a, const struct cursor *c, bool refused)
{
    struct message m = { .at_ns = w->now_ns + WAY_NS, .grant = granted(w, c), .refused = refused };

    if (a->up)
        post(&a->down_way, &m);
    w->refused += refused;
}

/* As db/sqlite/store_append.c. */
static bool store(struct agent *a, const struct message *m)
{
    struct cursor *c = &a->now;
    struct seqset grown = c->ahead;

    if (!c->through && !m->ahead)
        c->through = m->first - 1;
    if (m->first > c->through + 1 && (!m->ahead || seqset_add(&grown, m->first, m->last)))
        return false;
    for (uint64_t q = m->first; q <= m->last; q++)
        if (q > c->through && !seqset_has(&c->ahead, q))
            a->pending[q]++;
    if (m->first > c->through + 1)
        c->ahead = grown;
    else if (m->last > c->through)
        c->through = seqset_absorb(&c->ahead, m->last);
    return true;
}

static void note_stored(struct world *w, struct agent *a, uint64_t q)
{
    bool waited = closed_ns(q) >= BEFORE_NS && closed_ns(q) < BEFORE_NS + OUTAGE_NS - LANES_FRESH_NS;
    struct ages *ages = closed_ns(q) < BEFORE_NS ? &w->before : &w->during;
    int64_t age_ns = w->now_ns - closed_ns(q);
    int64_t up_ns = age_ns - (int64_t)(a->down_ms - a->down_before_ms[q]) * TW_NS_PER_MS;

    a->stored[q] += a->pending[q];
    a->pending[q] = 0;
    if (waited) {
        w->drained++;
        w->drained_second++;
        return;
    }
    if (outage(w) ||
        (ages == &w->during && closed_ns(q) < BEFORE_NS + OUTAGE_NS)) /* as old as the outage makes them */
        return;
    if (ages == &w->before && w->now_ns >= BEFORE_NS)
        return;
    ages->n++;
    ages->sum_ns += age_ns;
    ages->worst_ns = age_ns > ages->worst_ns ? age_ns : ages->worst_ns;
    ages->worst_up_ns = up_ns > ages->worst_up_ns ? up_ns : ages->worst_up_ns;
}

static void commit(struct world *w)
{
    size_t rows = 0, n = 0;

    for (; n < w->n_queue && rows < (size_t)(STORE_PER_S * COMMIT_NS / TW_NS_PER_S); n++) {
        struct waiting *q = &w->queue[n];

        rows += q->m.last - q->m.first + 1;
        q->m.refused = !store(q->a, &q->m);
        q->a->durable = q->a->now;
        for (uint64_t s = q->m.first; s <= q->m.last; s++)
            if (q->a->pending[s])
                note_stored(w, q->a, s);
        answer(w, q->a, &q->a->durable, q->m.refused);
    }
    w->queued_rows -= rows;
    w->n_queue -= n;
    memmove(w->queue, w->queue + n, w->n_queue * sizeof *w->queue);
}

/* ---- An agent, as agent/uplink.c ---- */

static void look_back(struct world *w, struct agent *a)
{
    int64_t since_ns = w->now_ns - LANES_FRESH_NS;

    if (w->now_ns - a->looked_ns < TW_NS_PER_S || !lanes_lags(&a->lanes, last_of(w->now_ns)))
        return;
    a->looked_ns = w->now_ns;
    lanes_jump(&a->lanes, last_of(w->now_ns), since_ns > 0 ? last_of(since_ns - 1) + 1 : 1);
}

static void send_all(struct world *w, struct agent *a)
{
    struct tw_mono now = { w->now_ns };
    struct lanes_pick p;

    if (!a->up || w->now_ns < a->paused_ns)
        return;
    look_back(w, a);
    while (lanes_next(&a->lanes, last_of(w->now_ns), now, &p)) {
        uint64_t last = p.last - p.first < BATCH ? p.last : p.first + BATCH - 1;
        struct message m = { .at_ns = w->now_ns + WAY_NS, .first = p.first, .last = last, .ahead = p.ahead };

        post(&a->up_way, &m);
        lanes_sent(&a->lanes, &p, last, last - p.first + 1, now);
    }
}

static void take_acks(struct world *w, struct agent *a)
{
    struct message m;

    while (arrived(&a->down_way, w->now_ns, &m)) {
        if (!m.refused) {
            lanes_ack(&a->lanes, &m.grant);
            continue;
        }
        lanes_reset(&a->lanes, &m.grant);
        a->paused_ns = w->now_ns + TW_NS_PER_S;
    }
}

static void connect_agent(struct world *w, struct agent *a)
{
    struct lanes_grant g = granted(w, &a->durable);

    a->up = true;
    a->paused_ns = a->looked_ns = 0;
    a->up_way.n = a->down_way.n = 0;
    lanes_reset(&a->lanes, &g);
}

static void cut(struct world *w, struct agent *a)
{
    a->up = false;
    a->up_way.n = a->down_way.n = 0;
    a->again_ns = w->now_ns + (int64_t)draw(w, 2000) * TW_NS_PER_MS;
}

/* ---- What breaks ---- */

/* What the controller had not committed is gone with it. */
static void crash_controller(struct world *w)
{
    w->n_queue = w->queued_rows = 0;
    for (size_t i = 0; i < AGENTS; i++) {
        w->agents[i].now = w->agents[i].durable;
        cut(w, &w->agents[i]);
    }
}

static void break_something(struct world *w)
{
    struct agent *a = &w->agents[draw(w, AGENTS)];

    w->crashed++;
    if (draw(w, 10) == 0)
        crash_controller(w);
    else
        cut(w, a);
    if (draw(w, 2)) /* kill -9: it knows nothing but its spool */
        a->lanes = (struct lanes){ 0 };
}

/* ---- The run ---- */

static void step_agent(struct world *w, struct agent *a)
{
    struct message m;

    if (!outage(w) && !a->up && w->now_ns >= a->again_ns)
        connect_agent(w, a);
    if (!a->up)
        a->down_ms += STEP_NS / TW_NS_PER_MS;
    if (w->now_ns % EVERY_NS == 0)
        a->down_before_ms[last_of(w->now_ns)] = a->down_ms;
    while (a->up && arrived(&a->up_way, w->now_ns, &m)) {
        w->queue[w->n_queue++] = (struct waiting){ a, m };
        w->queued_rows += m.last - m.first + 1;
    }
    take_acks(w, a);
    send_all(w, a);
}

static bool drained(const struct world *w)
{
    for (size_t i = 0; i < AGENTS; i++)
        if (w->agents[i].durable.ahead.n || w->agents[i].durable.through + 50 < last_of(w->now_ns))
            return false;
    return !outage(w);
}

static void run(struct world *w, int64_t until_ns, bool stop_when_drained)
{
    for (; w->now_ns < until_ns && !(stop_when_drained && drained(w)); w->now_ns += STEP_NS) {
        if (w->now_ns == BEFORE_NS)
            crash_controller(w);
        if (w->crashes && !outage(w) && draw(w, 100) == 0)
            break_something(w);
        for (size_t i = 0; i < AGENTS; i++)
            step_agent(w, &w->agents[i]);
        if (w->now_ns % COMMIT_NS == 0)
            commit(w);
        if (w->now_ns % TW_NS_PER_S == 0) {
            w->drained_most = w->drained_second > w->drained_most ? w->drained_second : w->drained_most;
            w->drained_second = 0;
        }
    }
}

static unsigned wrong_numbers(const struct world *w)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < AGENTS; i++)
        for (uint64_t q = 1; q <= w->agents[i].durable.through; q++)
            wrong += w->agents[i].stored[q] != 1;
    return wrong;
}

static const struct sim_case {
    const char *name;
    uint32_t max;
    bool crashes;
    double
        worst_s; /* of a fresh result while its agent has a connection, at most; 0: at least half a minute */
    uint64_t most_per_s; /* of the backlog */
} cases[] = {
    { "fresh first", SEQSET_MAX, false, 0.5, 11000 },
    { "fresh first, a crash each second", SEQSET_MAX, true, 0.5, 11000 },
    { "in order (a controller of an earlier release)", 0, false, 0, 18200 },
};

static void print_ages(const struct ages *a)
{
    printf("%.3f s (at most %.3f s, %.3f s of them connected)",
           a->n ? (double)a->sum_ns / (double)a->n / 1e9 : 0, (double)a->worst_ns / 1e9,
           (double)a->worst_up_ns / 1e9);
}

static bool run_case(const struct sim_case *c, uint64_t seed)
{
    static struct world w;
    double took_s;
    unsigned wrong;
    bool ok;

    w = (struct world){ .seed = seed, .max = c->max, .crashes = c->crashes };
    run(&w, BEFORE_NS + OUTAGE_NS, false);
    run(&w, (int64_t)(MOST - 1) * EVERY_NS, true);
    took_s = (double)(w.now_ns - BEFORE_NS - OUTAGE_NS) / 1e9;
    wrong = wrong_numbers(&w);
    ok = drained(&w) && !wrong && w.before.n && w.during.n && w.drained_most <= c->most_per_s &&
         (c->worst_s > 0 ? (double)w.during.worst_up_ns / 1e9 <= c->worst_s
                         : w.during.worst_ns > 30 * TW_NS_PER_S);
    printf("%s %s: %" PRIu64 " of the backlog in %.0f s, at most %" PRIu64
           " in a second; fresh ones durable after ",
           ok ? "ok" : "not ok", c->name, w.drained, took_s, w.drained_most);
    print_ages(&w.before);
    printf(" before the outage, ");
    print_ages(&w.during);
    printf(" meanwhile; %" PRIu64 " crashes, %" PRIu64 " refusals, %u numbers wrong\n", w.crashed, w.refused,
           wrong);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc == 3 && !strcmp(argv[1], "--seed") ? strtoull(argv[2], NULL, 10) : 20261127;
    bool ok = true;

    printf("# seed %" PRIu64 "; %d agents with 10 summaries a second, an hour without controller\n", seed,
           AGENTS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ok = run_case(&cases[i], seed) && ok;
    return ok ? 0 : 1;
}
