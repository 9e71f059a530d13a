/* tests/sim/sim_pace.c - many sessions on one timer queue through long simulated times: does pacing drift,
 * and what do stalls of the host and steps of the wall clock do to it?
 *
 * What a session sends is held against its own grid: first + k * spacing by the monotonic clock, whatever the
 * wall clock and the host did meanwhile. Each probe must be the only one of its place on the grid, and each
 * place must have its probe, or be counted as skipped if the host was stalled.
 *
 *   sim_pace [--seed N] */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/session.h"
#include "common/timerq.h"
#include "tests/sim/net.h"

#define MS TW_NS_PER_MS
#define S TW_NS_PER_S
#define DAY (86400 * S)
#define EPOCH_NS (INT64_C(1795424486) * S)
#define LATE_NS (100 * TW_NS_PER_US) /* a host that is not stalled wakes up so late at most */

enum { SESSIONS_MAX = 32, CAP = 2000 };

struct scenario {
    const char *name;
    unsigned sessions;
    int64_t spacing_ns, length_ns;
    int64_t stall_every_ns, stall_ns; /* 0 = never */
    int64_t step_every_ns, step_ns;   /* of the wall clock, one way and the other in turn */
    int64_t wall_ppm;                 /* too fast */
};

static const struct scenario scenarios[] = {
    { .name = "a day", .sessions = 1, .spacing_ns = 250 * MS, .length_ns = DAY },
    { .name = "a day, odd spacing", .sessions = 3, .spacing_ns = 1000000007, .length_ns = DAY },
    { .name = "a day with a wall clock that runs too fast",
      .sessions = 2,
      .spacing_ns = 1000 * MS,
      .length_ns = DAY,
      .wall_ppm = 500 },
    { .name = "a day with a wall clock that runs too slowly",
      .sessions = 2,
      .spacing_ns = 1000 * MS,
      .length_ns = DAY,
      .wall_ppm = -500 },
    { .name = "a day, the wall clock steps by 10 s every ten minutes",
      .sessions = 2,
      .spacing_ns = 1000 * MS,
      .length_ns = DAY,
      .step_every_ns = 600 * S,
      .step_ns = 10 * S },
    { .name = "steps of 10 s, dense sessions",
      .sessions = SESSIONS_MAX,
      .spacing_ns = 20 * MS,
      .length_ns = 120 * S,
      .step_every_ns = 7 * S,
      .step_ns = 10 * S },
    { .name = "stalls of 3 s",
      .sessions = SESSIONS_MAX,
      .spacing_ns = 20 * MS,
      .length_ns = 120 * S,
      .stall_every_ns = 11 * S,
      .stall_ns = 3 * S },
    { .name = "stalls of 3 s, sparse sessions",
      .sessions = SESSIONS_MAX,
      .spacing_ns = 2000 * MS,
      .length_ns = 3600 * S,
      .stall_every_ns = 17 * S,
      .stall_ns = 3 * S },
    { .name = "stalls and steps",
      .sessions = SESSIONS_MAX,
      .spacing_ns = 20 * MS,
      .length_ns = 120 * S,
      .stall_every_ns = 11 * S,
      .stall_ns = 3 * S,
      .step_every_ns = 7 * S,
      .step_ns = 10 * S },
};

struct sender {
    struct timerq_entry due; /* first */
    struct session *session;
    int64_t first_ns, last_place; /* on the grid */
    uint64_t sent, skipped_before;
};

struct host {
    const struct scenario *sc;
    struct rng rng;
    struct timerq q;
    int64_t now_ns, started_ns, stalled_until_ns, next_stall_ns;
    bool was_stalled; /* in this round */
    struct sender sender[SESSIONS_MAX];
    struct tw_summary sum;
    uint64_t summed_sent, summed_skipped;
    unsigned bad;
};

static void check(struct host *h, bool ok, const char *what)
{
    if (ok)
        return;
    if (h->bad++ < 5)
        printf("  at %.6f s: %s\n", (double)(h->now_ns - h->started_ns) / 1e9, what);
}

static struct tw_now now_of(const struct host *h)
{
    int64_t since = h->now_ns - h->started_ns, wall = EPOCH_NS + h->now_ns;

    wall += since / 1000000 * h->sc->wall_ppm;
    if (h->sc->step_every_ns && since / h->sc->step_every_ns % 2)
        wall += h->sc->step_ns;
    if (h->sc->step_every_ns && since / h->sc->step_every_ns % 4 == 2) /* below the true time, too */
        wall -= h->sc->step_ns;
    return (struct tw_now){ { h->now_ns }, { wall } };
}

/* ---- One sender ---- */

static uint64_t skipped(const struct sender *s)
{
    struct session_totals t;

    session_totals(s->session, &t);
    return t.skipped;
}

static void check_probe(struct host *h, struct sender *s)
{
    int64_t since = h->now_ns - s->first_ns, place = since / h->sc->spacing_ns;
    int64_t left_out = (int64_t)(skipped(s) - s->skipped_before);

    s->sent++;
    check(h, since >= 0, "a probe left before its time");
    check(h, place > s->last_place, "two probes left in the time of one");
    check(h, place == s->last_place + 1 + left_out, "places were left out and not counted");
    check(h, left_out == 0 || h->was_stalled, "places were left out without a stall");
    check(h, h->was_stalled || since % h->sc->spacing_ns <= LATE_NS, "a probe left late without a stall");
    s->last_place = place;
    s->skipped_before = skipped(s);
}

static void take_summaries(struct host *h, struct sender *s)
{
    while (session_next_summary(s->session, now_of(h), &h->sum) == TW_OK) {
        h->summed_sent += h->sum.sent;
        h->summed_skipped += h->sum.skipped;
    }
}

static void on_due(struct host *h, struct sender *s)
{
    uint8_t buf[CAP];
    size_t len;
    unsigned n = 0;

    while (session_next_probe(s->session, now_of(h), buf, sizeof buf, &len) == TW_OK && n++ < 10)
        check_probe(h, s);
    check(h, n <= 1, "a burst");
    take_summaries(h, s);
    if (timerq_set(&h->q, &s->due, session_next_due(s->session)))
        abort();
}

/* ---- The host ---- */

static void begin(struct host *h, const struct scenario *sc, uint64_t seed)
{
    struct session_cfg c = { .spacing_ns = sc->spacing_ns,
                             .size_bytes = 64,
                             .timeout_ns = S < sc->spacing_ns ? S : sc->spacing_ns,
                             .report_period_ns = 60 * S };

    *h = (struct host){ .sc = sc, .rng = { seed * 2654435761u + 88172645463325252u } };
    h->now_ns = h->started_ns = 1000000007;
    h->next_stall_ns = sc->stall_every_ns ? h->now_ns + sc->stall_every_ns : INT64_MAX;
    timerq_init(&h->q);
    summary_init(&h->sum);
    for (unsigned i = 0; i < sc->sessions; i++) {
        struct sender *s = &h->sender[i];
        c.pair_id = i;
        c.phase_ns = rng_below(&h->rng, sc->spacing_ns);
        if (session_new(&c, NULL, now_of(h), &s->session) ||
            timerq_set(&h->q, &s->due, session_next_due(s->session)))
            abort();
        s->first_ns = session_next_probe_due(s->session).ns;
        s->last_place = -1;
    }
}

/* A little late, and not at all while it is stalled. */
static void wake(struct host *h, int64_t due_ns)
{
    int64_t at = due_ns + rng_below(&h->rng, LATE_NS);

    if (at > h->now_ns)
        h->now_ns = at;
    h->was_stalled = h->now_ns >= h->next_stall_ns;
    if (h->was_stalled) {
        h->now_ns = h->next_stall_ns + h->sc->stall_ns;
        h->next_stall_ns += h->sc->stall_every_ns;
    }
}

static void run(struct host *h, int64_t end_ns)
{
    while (timerq_next_due(&h->q).ns <= end_ns && !h->bad) {
        struct timerq_entry *e;
        struct tw_mono now;

        wake(h, timerq_next_due(&h->q).ns);
        now.ns = h->now_ns; /* all that is due leaves at once */
        while ((e = timerq_pop(&h->q, now)))
            on_due(h, (struct sender *)e);
    }
}

/* Every place up to the end has been used or counted: a day of 250 ms is 345,600 probes, not one less. */
static void check_all(struct host *h, int64_t end_ns)
{
    uint64_t sent = 0, left_out = 0;

    for (unsigned i = 0; i < h->sc->sessions; i++) {
        struct sender *s = &h->sender[i];
        int64_t places;
        if (s->first_ns + s->last_place * h->sc->spacing_ns > end_ns) /* a stall went on beyond the end */
            end_ns = s->first_ns + s->last_place * h->sc->spacing_ns;
        places = (end_ns - s->first_ns) / h->sc->spacing_ns + 1;
        check(h, (int64_t)(s->sent + skipped(s)) == places, "the number of probes is not that of the grid");
        check(h, h->sc->stall_ns || !skipped(s), "something was skipped without a stall");
        check(h, !h->sc->stall_ns || skipped(s) || h->sc->spacing_ns > h->sc->stall_ns / 2,
              "stalls left no trace");
        sent += s->sent;
        left_out += skipped(s);
        session_flush(s->session, now_of(h));
        take_summaries(h, s);
    }
    check(h, h->summed_skipped == left_out && h->summed_sent <= sent, "the summaries tell something else");
    printf("%-58s sent %7" PRIu64 " skipped %6" PRIu64 "\n", h->sc->name, sent, left_out);
}

static unsigned run_scenario(const struct scenario *sc, uint64_t seed)
{
    static struct host h;
    int64_t end;

    begin(&h, sc, seed);
    end = h.started_ns + sc->length_ns - 1;
    run(&h, end);
    check_all(&h, end);
    for (unsigned i = 0; i < sc->sessions; i++)
        session_free(h.sender[i].session);
    summary_free(&h.sum);
    timerq_free(&h.q);
    if (h.bad)
        printf("FAILED: --seed %" PRIu64 ": '%s'\n", seed, sc->name);
    return h.bad;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc == 3 && !strcmp(argv[1], "--seed") ? strtoull(argv[2], NULL, 0) : 1;
    unsigned bad = 0;

    printf("seed %" PRIu64 "\n", seed);
    for (size_t i = 0; i < TW_NELEM(scenarios); i++)
        bad += run_scenario(&scenarios[i], seed) != 0;
    return bad ? 1 : 0;
}
