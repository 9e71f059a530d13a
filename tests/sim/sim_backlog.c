/* An hour's outage of a fleet, on a virtual clock: what agents send by core/lanes, to a store that takes so
 * many summaries a second and commits now and then. Measured is how old fresh results are when they are
 * durable, before the outage and while the backlog is drained, and how fast it is drained; and every number
 * has to be stored once, whoever crashes meanwhile. Then the same with slow lines, of which what is fresh
 * takes all: the backlog has to move all the same.
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
#define CATCH_UP_NS \
    (15 * TW_NS_PER_S) /* until the first is stored after an outage: a slow line takes 8 s for a batch */
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
    int64_t line_ns;                        /* when its line has sent all that it was given */
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
    int64_t outage_ns;
    uint32_t known;      /* agents, of which these are some */
    uint64_t line_per_s; /* summaries that an agent's line takes, in hundredths; 0: no limit */
    int64_t newest_ns;   /* how old the newest that is durable of a connected agent was, at most */
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
    return w->now_ns >= BEFORE_NS && w->now_ns < BEFORE_NS + w->outage_ns;
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
                                 .window = window_grant(QUEUE, w->known, pressed),
                                 .backlog_per_s = w->max ? window_backlog(w->known, pressed) : 0 };
}

static void answer(struct world *w, struct agent *a, const struct cursor *c, bool refused)
{
    struct message m = { .at_ns = w->now_ns + WAY_NS, .grant = granted(w, c), .refused = refused };

    if (a->up)
        post(&a->down_way, &m);
    w->refused += refused;
}

/* As db/sqlite/history_append.c. */
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
    bool waited = closed_ns(q) >= BEFORE_NS && closed_ns(q) < BEFORE_NS + w->outage_ns - LANES_FRESH_NS;
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
        (ages == &w->during && closed_ns(q) < BEFORE_NS + w->outage_ns)) /* as old as the outage makes them */
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

/* When all of it is there. */
static int64_t by_line(const struct world *w, struct agent *a, uint64_t records)
{
    if (!w->line_per_s)
        return w->now_ns + WAY_NS;
    if (a->line_ns < w->now_ns)
        a->line_ns = w->now_ns;
    a->line_ns += (int64_t)records * 100 * TW_NS_PER_S / (int64_t)w->line_per_s;
    return a->line_ns + WAY_NS;
}

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
        struct message m = { .first = p.first, .last = last, .ahead = p.ahead };

        m.at_ns = by_line(w, a, last - p.first + 1);
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
    a->paused_ns = a->looked_ns = a->line_ns = 0;
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

/* What the mark jumps over becomes part of the backlog, so on a line that is too slow this says how fresh it
 * is. */
static void look_at_newest(struct world *w)
{
    for (size_t i = 0; i < AGENTS; i++) {
        const struct cursor *c = &w->agents[i].durable;
        uint64_t end = seqset_end(&c->ahead);
        int64_t age_ns = w->now_ns - closed_ns(end > c->through ? end : c->through);

        if (w->agents[i].up && w->now_ns > BEFORE_NS + w->outage_ns + CATCH_UP_NS && age_ns > w->newest_ns)
            w->newest_ns = age_ns;
    }
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
            look_at_newest(w);
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
    int64_t outage_s;
    uint32_t known;
    uint64_t line_per_s; /* in hundredths; what is fresh is 1000 */
    double
        worst_s; /* of a fresh result while its agent has a connection, at most; 0: at least half a minute */
    double newest_s;     /* how old the newest that is stored is, at most; 0: as they are */
    uint64_t most_per_s; /* of the backlog */
    int64_t for_s;       /* 0: until the backlog is drained, which it has to be */
    uint64_t least;      /* of the backlog in that time */
} cases[] = {
    { "fresh first", SEQSET_MAX, false, 3600, AGENTS, 0, 0.7, 0.7, 12500, 0, 0 },
    { "fresh first, a crash each second", SEQSET_MAX, true, 3600, AGENTS, 0, 0.7, 0, 12500, 0, 0 },
    { "in order (a controller of an earlier release)", 0, false, 3600, AGENTS, 0, 0, 0, 18200, 0, 0 },
    /* A window of 81, which takes 8 s. What is fresh has nine tenths of the line; if that is not enough, its
     * mark jumps when it is 30 s and 256 numbers (26 s) behind. */
    { "a line that takes 1.25 of what is fresh", SEQSET_MAX, false, 120, 200, 1250, 0, 34, 2000, 0, 0 },
    { "a line that takes 1.05 of it", SEQSET_MAX, false, 120, 200, 1050, 0, 68, 2000, 0, 0 },
    { "a line that takes 0.95 of it", SEQSET_MAX, false, 120, 200, 950, 0, 68, 2000, 900, 20 * 750 },
    /* For good: after a quarter of an hour all stretches are used. Then the mark may jump only when the
     * oldest hole is filled, for which the tenth of this line takes more than half an hour. */
    { "a line that takes half of it", SEQSET_MAX, false, 120, 200, 500, 0, 700, 2000, 1800, 20 * 450 },
};

static void print_ages(const struct ages *a)
{
    printf("%.3f s (at most %.3f s, %.3f s of them connected)",
           a->n ? (double)a->sum_ns / (double)a->n / 1e9 : 0, (double)a->worst_ns / 1e9,
           (double)a->worst_up_ns / 1e9);
}

static void print_case(const struct sim_case *c, const struct world *w, bool ok, double took_s,
                       unsigned wrong)
{
    printf("%s %s: %" PRIu64 " of the backlog in %.0f s, at most %" PRIu64
           " in a second; fresh ones durable after ",
           ok ? "ok" : "not ok", c->name, w->drained, took_s, w->drained_most);
    print_ages(&w->before);
    printf(" before the outage, ");
    print_ages(&w->during);
    printf(" meanwhile; the newest stored at most %.1f s old; %" PRIu64 " crashes, %" PRIu64
           " refusals, %u numbers wrong\n",
           (double)w->newest_ns / 1e9, w->crashed, w->refused, wrong);
}

static bool run_case(const struct sim_case *c, uint64_t seed)
{
    static struct world w;
    int64_t back_ns;
    double took_s;
    unsigned wrong;
    bool ok;

    w = (struct world){ .seed = seed,
                        .max = c->max,
                        .crashes = c->crashes,
                        .outage_ns = c->outage_s * TW_NS_PER_S,
                        .known = c->known,
                        .line_per_s = c->line_per_s };
    back_ns = BEFORE_NS + w.outage_ns;
    run(&w, back_ns, false);
    run(&w, c->for_s ? back_ns + c->for_s * TW_NS_PER_S : (int64_t)(MOST - 1) * EVERY_NS, !c->for_s);
    took_s = (double)(w.now_ns - back_ns) / 1e9;
    wrong = wrong_numbers(&w);
    ok = (c->for_s ? w.drained >= c->least : drained(&w)) && !wrong && w.before.n && w.during.n &&
         w.drained_most <= c->most_per_s && (!c->newest_s || (double)w.newest_ns / 1e9 <= c->newest_s) &&
         (c->worst_s > 0 ? (double)w.during.worst_up_ns / 1e9 <= c->worst_s
                         : w.during.worst_ns > 30 * TW_NS_PER_S);
    print_case(c, &w, ok, took_s, wrong);
    return ok;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc == 3 && !strcmp(argv[1], "--seed") ? strtoull(argv[2], NULL, 10) : 20261127;
    bool ok = true;

    printf("# seed %" PRIu64
           "; %d agents with 10 summaries a second, an hour or two minutes without controller\n",
           seed, AGENTS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ok = run_case(&cases[i], seed) && ok;
    return ok ? 0 : 1;
}
