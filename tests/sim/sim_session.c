/* tests/sim/sim_session.c - a real session and a real reflector on a virtual clock and network, against the
 * truth.
 *
 *   sim_session [--seed N] [--seeds N] [--seconds N] [--scenario NAME] [--verbose]
 *
 * Without --seed the seeds 1..N run; a failure prints the seed and scenario that repeat it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/core/reflect.h"
#include "agent/core/session.h"
#include "agent/core/twamp_pkt.h"
#include "common/timerq.h"
#include "common/wire.h"
#include "tests/sim/net.h"
#include "tests/sim/truth.h"

#define MS TW_NS_PER_MS
#define EPOCH_NS (INT64_C(1795424486) * TW_NS_PER_S)

struct scenario {
    const char *name;
    struct session_cfg cfg; /* what is 0 is set by fill_cfg() */
    struct path_cfg out, back;
    int64_t reflector_offset_ns;
    double reflector_drift;
    double step_every_s, restart_every_s, stall_every_s; /* mean; 0 = never */
    int64_t stall_max_ns;
    double send_error;
    bool stateless;
    struct truth_checks check;
};

#define EVERYTHING                                               \
    {                                                            \
        .order = true, .direction = true, .duplicates_way = true \
    }
static const struct scenario scenarios[] = {
    { .name = "clean", .out = { .delay_ns = 10 * MS }, .back = { .delay_ns = 12 * MS }, .check = EVERYTHING },
    { .name = "clock offset and drift",
      .out = { .delay_ns = 10 * MS, .spread_ns = MS },
      .back = { .delay_ns = 2 * MS, .spread_ns = MS },
      .reflector_offset_ns = -50 * MS,
      .reflector_drift = 50e-6,
      .check = EVERYTHING },
    { .name = "single losses",
      .out = { .loss = 0.05, .delay_ns = 10 * MS, .spread_ns = 5 * MS },
      .back = { .loss = 0.03, .delay_ns = 10 * MS, .spread_ns = 5 * MS },
      .check = EVERYTHING },
    { .name = "bursts",
      .out = { .burst_in = 0.01, .burst_out = 0.1, .delay_ns = 10 * MS },
      .back = { .burst_in = 0.01, .burst_out = 0.2, .delay_ns = 10 * MS },
      .check = EVERYTHING },
    { .name = "outages",
      .out = { .burst_in = 0.002, .burst_out = 0.002, .delay_ns = 10 * MS },
      .back = { .burst_in = 0.001, .burst_out = 0.002, .delay_ns = 10 * MS },
      .check = EVERYTHING },
    { .name = "loss, answers reordered and duplicated",
      .out = { .loss = 0.05, .burst_in = 0.005, .burst_out = 0.2, .delay_ns = 10 * MS, .spread_ns = 5 * MS },
      .back = { .loss = 0.05, .duplicate = 0.05, .delay_ns = 10 * MS, .spread_ns = 150 * MS },
      .check = EVERYTHING },
    { .name = "probes reordered",
      .out = { .delay_ns = 10 * MS, .spread_ns = 100 * MS },
      .back = { .delay_ns = 10 * MS, .spread_ns = 10 * MS },
      .check = EVERYTHING },
    { .name = "both reordered",
      .out = { .delay_ns = 10 * MS, .spread_ns = 100 * MS },
      .back = { .delay_ns = 10 * MS, .spread_ns = 200 * MS },
      .check = EVERYTHING },
    { .name = "probes reordered and lost",
      .out = { .loss = 0.01, .delay_ns = 10 * MS, .spread_ns = 60 * MS },
      .back = { .loss = 0.01, .delay_ns = 10 * MS, .spread_ns = 60 * MS },
      .check = { .order = true, .duplicates_way = true } },
    { .name = "duplicates both ways",
      .out = { .duplicate = 0.1, .delay_ns = 10 * MS, .spread_ns = 50 * MS },
      .back = { .duplicate = 0.1, .delay_ns = 10 * MS, .spread_ns = 50 * MS },
      .check = { .duplicates_way = true } },
    { .name = "probes reordered, lost and duplicated",
      .out = { .loss = 0.05, .duplicate = 0.05, .delay_ns = 10 * MS, .spread_ns = 80 * MS },
      .back = { .loss = 0.05, .duplicate = 0.05, .delay_ns = 10 * MS, .spread_ns = 80 * MS },
      .check = { 0 } },
    { .name = "probes overtaken so far that they are late",
      .out = { .loss = 0.05, .far = 0.01, .delay_ns = 10 * MS, .far_ns = 700 * MS },
      .back = { .loss = 0.05, .delay_ns = 10 * MS },
      .check = { .duplicates_way = true } },
    { .name = "everything",
      .out = { .loss = 0.02,
               .burst_in = 0.005,
               .burst_out = 0.1,
               .duplicate = 0.05,
               .far = 0.02,
               .delay_ns = 10 * MS,
               .spread_ns = 80 * MS,
               .far_ns = 700 * MS },
      .back = { .loss = 0.02,
                .burst_in = 0.005,
                .burst_out = 0.1,
                .duplicate = 0.05,
                .far = 0.02,
                .delay_ns = 10 * MS,
                .spread_ns = 80 * MS,
                .far_ns = 700 * MS },
      .reflector_offset_ns = 30 * MS,
      .reflector_drift = -30e-6,
      .step_every_s = 40,
      .restart_every_s = 50,
      .stall_every_s = 20,
      .stall_max_ns = 9000 * MS,
      .send_error = 0.01 },
    { .name = "late answers",
      .out = { .loss = 0.02, .delay_ns = 10 * MS },
      .back = { .loss = 0.02, .far = 0.05, .delay_ns = 10 * MS, .spread_ns = 10 * MS, .far_ns = 600 * MS },
      .check = EVERYTHING },
    { .name = "reflector restarts",
      .out = { .loss = 0.02, .delay_ns = 10 * MS },
      .back = { .loss = 0.02, .delay_ns = 10 * MS },
      .restart_every_s = 15,
      .check = { .duplicates_way = true } },
    { .name = "clock steps",
      .out = { .loss = 0.02, .delay_ns = 10 * MS },
      .back = { .loss = 0.02, .delay_ns = 10 * MS },
      .step_every_s = 12,
      .check = EVERYTHING },
    { .name = "stalls",
      .out = { .loss = 0.02, .delay_ns = 10 * MS },
      .back = { .loss = 0.02, .delay_ns = 10 * MS },
      .stall_every_s = 8,
      .stall_max_ns = 9000 * MS,
      .check = EVERYTHING },
    { .name = "send errors",
      .out = { .loss = 0.02, .delay_ns = 10 * MS },
      .back = { .loss = 0.02, .delay_ns = 10 * MS },
      .send_error = 0.1,
      .check = EVERYTHING },
    { .name = "sequence numbers wrap",
      .cfg = { .seq_start = UINT32_MAX - 1000 },
      .out = { .loss = 0.05, .delay_ns = 10 * MS },
      .back = { .loss = 0.05, .delay_ns = 10 * MS, .spread_ns = 100 * MS },
      .check = EVERYTHING },
    { .name = "exponential spacing",
      .cfg = { .spacing_kind = SESSION_EXPONENTIAL },
      .out = { .loss = 0.05, .delay_ns = 10 * MS },
      .back = { .loss = 0.05, .delay_ns = 10 * MS },
      .check = EVERYTHING },
    { .name = "wide spacing",
      .cfg = { .spacing_ns = 1000 * MS },
      .out = { .loss = 0.05, .delay_ns = 10 * MS },
      .back = { .loss = 0.05, .delay_ns = 10 * MS },
      .check = EVERYTHING },
    { .name = "timeout as long as the period",
      .cfg = { .timeout_ns = 2000 * MS, .report_period_ns = 2000 * MS },
      .out = { .loss = 0.05, .delay_ns = 10 * MS },
      .back = { .loss = 0.05, .delay_ns = 10 * MS, .spread_ns = 900 * MS },
      .check = EVERYTHING },
    { .name = "stateless reflector",
      .out = { .loss = 0.05, .delay_ns = 10 * MS },
      .back = { .loss = 0.05, .duplicate = 0.05, .delay_ns = 10 * MS },
      .stateless = true,
      .check = { .never_known = true } },
};

/* ---- One run ---- */

enum event_kind { AT_REFLECTOR, AT_SENDER, CLOCK_STEP, RESTART, STALL, STOP };

struct event {
    struct timerq_entry entry; /* first */
    enum event_kind kind;
    size_t probe;                /* index of the truth */
    int64_t arrived_ns, t4_wall; /* at the sender's socket; 0 = not yet */
    bool *delivered;             /* shared by the copies of one answer: set when the first of them arrives */
    size_t len;
    uint8_t data[64];
};

struct answer_mark { /* lists all, for freeing */
    struct answer_mark *next;
    bool delivered;
};

struct sim {
    const struct scenario *sc;
    struct session_cfg cfg;
    struct rng rng;
    struct timerq q;
    int64_t now_ns, wall_offset_ns, stalled_until_ns;
    struct session *session;
    struct reflector *reflector;
    struct path out, back;
    struct truth truth;
    struct answer_mark *marks;
    struct tw_summary *sum;
    size_t n_sum;
    bool stopped;
    unsigned bad;
};

static struct tw_now now_of(const struct sim *s)
{
    return (struct tw_now){ { s->now_ns }, { s->now_ns + s->wall_offset_ns } };
}

static struct event *schedule(struct sim *s, enum event_kind kind, int64_t at)
{
    struct event *e = calloc(1, sizeof *e);

    if (!e)
        abort();
    e->kind = kind;
    if (timerq_set(&s->q, &e->entry, (struct tw_mono){ at }))
        abort();
    return e;
}

static void schedule_random(struct sim *s, enum event_kind kind, double every_s)
{
    if (every_s > 0)
        schedule(s, kind, s->now_ns + rng_below(&s->rng, (int64_t)(2e9 * every_s)) + 1);
}

static void check(struct sim *s, bool ok, const char *what)
{
    if (ok)
        return;
    printf("  at %.6f s: %s\n", (double)s->now_ns / 1e9, what);
    s->bad++;
}

static void take_summaries(struct sim *s)
{
    struct session_totals t;

    for (;;) {
        s->sum = realloc(s->sum, (s->n_sum + 1) * sizeof *s->sum);
        if (!s->sum)
            abort();
        summary_init(&s->sum[s->n_sum]);
        truth_clock(&s->truth, now_of(s));
        if (session_next_summary(s->session, now_of(s), &s->sum[s->n_sum]) != TW_OK)
            break;
        s->n_sum++;
    }
    session_totals(s->session, &t);
    check(s, t.sent == t.received + t.lost + t.in_flight && t.in_flight <= t.sent,
          "sent is not received + lost + in flight");
    check(s, !session_summaries_lost(s->session), "a summary was lost");
}

/* ---- Network ---- */

static void send_copies(struct sim *s, struct path *path, enum event_kind kind, size_t probe,
                        const uint8_t *data, size_t len, int64_t from_ns, bool *mark)
{
    unsigned copies = 1 + rng_chance(&s->rng, path->cfg->duplicate);

    if (path_loses(path, &s->rng))
        return;
    while (copies--) {
        struct event *e = schedule(s, kind, from_ns + path_delay(path, &s->rng));
        e->probe = probe;
        e->len = len;
        e->delivered = mark;
        memcpy(e->data, data, len);
    }
}

static struct tw_wall reflector_wall(const struct sim *s, int64_t at)
{
    return (struct tw_wall){ EPOCH_NS + at + s->sc->reflector_offset_ns +
                             (int64_t)((double)at * s->sc->reflector_drift) };
}

static bool *new_mark(struct sim *s)
{
    struct answer_mark *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    m->next = s->marks;
    s->marks = m;
    return &m->delivered;
}

static void at_reflector(struct sim *s, const struct event *e)
{
    struct reflect_rx rx = { .from = { .ip = { 10, 0, 0, 1 }, .port = 40000, .family = 4 },
                             .to = { .ip = { 10, 0, 0, 2 }, .port = 862, .family = 4 },
                             .t2 = reflector_wall(s, s->now_ns),
                             .mono = { s->now_ns },
                             .ttl = 61,
                             .tos = 184 };
    int64_t residence = 10000 + rng_below(&s->rng, 100000);
    uint8_t answer[64];
    struct reflect_tx tx;

    if (reflect_answer(s->reflector, &rx, e->data, e->len, answer, sizeof answer, &tx)) {
        check(s, false, "the reflector refused a probe");
        return;
    }
    reflect_stamp(s->reflector, &tx, answer, reflector_wall(s, s->now_ns + residence));
    s->truth.probe[e->probe].reached = true;
    send_copies(s, &s->back, AT_SENDER, e->probe, answer, tx.len, s->now_ns + residence, new_mark(s));
}

static void note_first(struct sim *s, const struct event *e)
{
    struct truth_probe *p = &s->truth.probe[e->probe];
    struct test_reply r;
    int64_t t2, t3;

    twamp_decode_reply(e->data, e->len, &r);
    p->answered = true;
    p->arrived = e->arrived_ns;
    p->r = r.seq;
    if (e->arrived_ns - p->t1_mono >= s->cfg.timeout_ns) {
        s->truth.late++;
        return;
    }
    p->received = true;
    s->truth.arrival[s->truth.n_arrival++] = e->probe;
    p->timed = p->t1_wall - p->t1_mono == s->wall_offset_ns;
    t2 = tw_wall_from_ntp(r.t2, (struct tw_wall){ EPOCH_NS }).ns;
    t3 = tw_wall_from_ntp(r.t3, (struct tw_wall){ EPOCH_NS }).ns;
    p->d[TW_FORWARD] = t2 - p->t1_wall;
    p->d[TW_BACKWARD] = e->t4_wall - t3;
    p->d[TW_ROUNDTRIP] = (e->t4_wall - p->t1_wall) - (t3 - t2);
}

/* The session remembers twice what can be in flight, rounded up. */
static size_t remembered(const struct session_cfg *c)
{
    size_t in_flight = (size_t)(c->timeout_ns / c->spacing_ns) + 2, n = 16;

    while (n < (c->spacing_kind == SESSION_FIXED ? in_flight * 2 : in_flight * 4 + 64))
        n *= 2;
    return n;
}

static void note_answer(struct sim *s, const struct event *e)
{
    if (session_done(s->session))
        return;
    if (s->truth.n - e->probe > remembered(&s->cfg)) {
        s->truth.rejected++;
        return;
    }
    if (!s->truth.probe[e->probe].answered)
        note_first(s, e);
    else if (*e->delivered)
        s->truth.duplicates_backward++;
    else
        s->truth.duplicates_forward++;
    *e->delivered = true;
}

static void at_sender(struct sim *s, const struct event *e)
{
    struct session_rx rx = { { e->t4_wall }, TW_TS_KERNEL, 60, 184 };

    if (s->stopped) /* what is still open decides where this answer counts */
        take_summaries(s);
    truth_clock(&s->truth, now_of(s));
    note_answer(s, e);
    session_on_reply(s->session, now_of(s), &rx, e->data, e->len);
}

/* ---- Host ---- */

static void send_due(struct sim *s)
{
    uint8_t buf[64];
    size_t len = 0;
    enum tw_rc rc;

    truth_clock(&s->truth, now_of(s));
    rc = session_next_probe(s->session, now_of(s), buf, sizeof buf, &len);
    if (rc != TW_OK) {
        take_summaries(s);
        return;
    }
    if (rng_chance(&s->rng, s->sc->send_error)) {
        session_on_send_error(s->session);
        truth_unsent(&s->truth, now_of(s));
    } else {
        truth_sent(&s->truth, now_of(s));
        send_copies(s, &s->out, AT_REFLECTOR, s->truth.n - 1, buf, len, s->now_ns, NULL);
    }
    take_summaries(s);
}

static void step_clock(struct sim *s)
{
    int64_t size = 60 * MS + rng_below(&s->rng, 10 * TW_NS_PER_S);

    s->wall_offset_ns += rng_chance(&s->rng, 0.5) ? size : -size;
    schedule_random(s, CLOCK_STEP, s->sc->step_every_s);
}

static void new_reflector(struct sim *s)
{
    struct reflect_cfg rc = { .max_sessions = s->sc->stateless ? 0 : 4,
                              .refwait_ns = 900 * TW_NS_PER_S,
                              .restart_gap_ns = 3 * TW_NS_PER_S,
                              .port = 862 };

    reflector_free(s->reflector);
    if (reflector_new(&rc, &s->reflector))
        abort();
}

static void stop(struct sim *s)
{
    s->stopped = true;
    truth_stop(&s->truth, now_of(s));
    session_stop(s->session, now_of(s));
    take_summaries(s);
}

/* Nothing happens in the sending host while it is stalled, but its kernel takes datagrams and notes the time.
 */
static void handle(struct sim *s, struct event *e)
{
    bool stalled = s->now_ns < s->stalled_until_ns;

    if (e->kind == AT_SENDER && !e->arrived_ns) {
        e->arrived_ns = s->now_ns;
        e->t4_wall = now_of(s).wall.ns;
    }
    if (stalled && e->kind != AT_REFLECTOR && e->kind != RESTART) {
        timerq_set(&s->q, &e->entry, (struct tw_mono){ s->stalled_until_ns + (e->kind != AT_SENDER) });
        return;
    }
    switch (e->kind) {
    case AT_REFLECTOR:
        at_reflector(s, e);
        break;
    case AT_SENDER:
        at_sender(s, e);
        break;
    case CLOCK_STEP:
        step_clock(s);
        break;
    case RESTART:
        new_reflector(s);
        schedule_random(s, RESTART, s->sc->restart_every_s);
        break;
    case STALL:
        if (s->stopped)
            break;
        s->stalled_until_ns = s->now_ns + rng_below(&s->rng, s->sc->stall_max_ns);
        schedule_random(s, STALL, s->sc->stall_every_s);
        break;
    case STOP:
        stop(s);
        break;
    }
    free(e);
}

/* When the host gets round to what is due: a little late, and not while stalled. */
static int64_t wake_time(struct sim *s)
{
    int64_t due = session_next_due(s->session).ns;

    if (due == TW_MONO_NEVER.ns)
        return due;
    due += rng_below(&s->rng, 100000);
    if (due < s->now_ns)
        due = s->now_ns;
    return due < s->stalled_until_ns ? s->stalled_until_ns : due;
}

static void run(struct sim *s)
{
    int64_t wake = wake_time(s), due = session_next_due(s->session).ns;

    while (!session_done(s->session) && s->bad < 10) {
        struct tw_mono next = timerq_next_due(&s->q);
        if (next.ns <= wake) {
            s->now_ns = next.ns;
            handle(s, (struct event *)timerq_pop(&s->q, next));
        } else {
            s->now_ns = wake;
            send_due(s);
        }
        if (session_next_due(s->session).ns != due || s->now_ns >= wake || s->stalled_until_ns > wake) {
            due = session_next_due(s->session).ns;
            wake = wake_time(s);
        }
    }
}

static void fill_cfg(struct session_cfg *c, const struct scenario *sc, uint64_t seed)
{
    c->pair_id = 7;
    c->generation = 3;
    c->size_bytes = TWAMP_REPLY_MIN;
    c->dscp = 46;
    c->phase_ns = 7 * MS;
    c->seed = seed;
    c->reflector_stateful = !sc->stateless;
    if (!c->spacing_ns)
        c->spacing_ns = 20 * MS;
    if (!c->timeout_ns)
        c->timeout_ns = 500 * MS;
    if (!c->report_period_ns)
        c->report_period_ns = 5000 * MS;
}

static void sim_init(struct sim *s, const struct scenario *sc, uint64_t seed, int64_t seconds)
{
    *s = (struct sim){
        .sc = sc, .cfg = sc->cfg, .rng = { seed * 2654435761u + 88172645463325252u }, .now_ns = 1000000007
    };
    s->wall_offset_ns = EPOCH_NS + rng_below(&s->rng, 100 * TW_NS_PER_S);
    fill_cfg(&s->cfg, sc, rng_next(&s->rng));
    s->out.cfg = &sc->out;
    s->back.cfg = &sc->back;
    timerq_init(&s->q);
    new_reflector(s);
    if (session_new(&s->cfg, NULL, now_of(s), &s->session))
        abort();
    truth_init(&s->truth, &s->cfg, now_of(s));
    schedule(s, STOP, s->now_ns + seconds * TW_NS_PER_S + rng_below(&s->rng, TW_NS_PER_S));
    schedule_random(s, CLOCK_STEP, sc->step_every_s);
    schedule_random(s, RESTART, sc->restart_every_s);
    schedule_random(s, STALL, sc->stall_every_s);
}

static void sim_free(struct sim *s)
{
    struct event *e;

    while ((e = (struct event *)timerq_pop(&s->q, TW_MONO_NEVER)))
        free(e);
    timerq_free(&s->q);
    for (struct answer_mark *m = s->marks, *next; m; m = next) {
        next = m->next;
        free(m);
    }
    for (size_t i = 0; i <= s->n_sum; i++)
        summary_free(&s->sum[i]);
    free(s->sum);
    session_free(s->session);
    reflector_free(s->reflector);
    truth_free(&s->truth);
}

struct tally {
    uint64_t probes, lost, forward, backward, unknown, true_forward;
    uint64_t wrong_forward, wrong_backward; /* more than the truth, summed over the summaries */
};

static uint64_t excess(uint64_t said, uint64_t truth)
{
    return said > truth ? said - truth : 0;
}

static void add_tally(const struct sim *s, struct tally *t)
{
    for (size_t i = 0; i < s->n_sum && i < s->truth.n_period; i++) {
        struct truth_lost lost = truth_lost_in(&s->truth, i);
        t->forward += s->sum[i].lost_forward;
        t->backward += s->sum[i].lost_backward;
        t->unknown += s->sum[i].lost_unknown;
        t->lost += lost.forward + lost.backward;
        t->true_forward += lost.forward;
        t->wrong_forward += excess(s->sum[i].lost_forward, lost.forward);
        t->wrong_backward += excess(s->sum[i].lost_backward, lost.backward);
    }
    t->probes += s->truth.n;
}

/* Where probes overtake each other or are duplicated, the direction of a loss can be wrong, in the rare cases
 * that lossdir.h names: the lost probe is the first that was overtaken so far, or the answer to a second copy
 * is lost (no path back loses more than 8 %). */
static bool is_tally_plausible(const struct tally *t, const struct scenario *sc)
{
    double second_copies = (double)t->probes * sc->out.duplicate;

    return t->wrong_forward <= t->lost / 500 &&
           (double)t->wrong_backward <= (double)t->lost / 500 + second_copies * 0.08;
}

static unsigned run_one(const struct scenario *sc, uint64_t seed, int64_t seconds, struct tally *t)
{
    struct sim s;
    unsigned bad;

    sim_init(&s, sc, seed, seconds);
    run(&s);
    bad = s.bad + truth_compare(&s.truth, s.sum, s.n_sum, &sc->check);
    if (bad)
        printf("FAILED: --seed %" PRIu64 " --seconds %" PRId64 " --scenario '%s'\n", seed, seconds, sc->name);
    add_tally(&s, t);
    sim_free(&s);
    return bad;
}

struct options {
    uint64_t seed, seeds;
    int64_t seconds;
    const char *scenario;
    bool verbose;
};

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--verbose"))
            o->verbose = true;
        else if (i + 1 == argc)
            return false;
        else if (!strcmp(argv[i], "--seed"))
            o->seed = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--seeds"))
            o->seeds = strtoull(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--seconds"))
            o->seconds = strtoll(argv[++i], NULL, 0);
        else if (!strcmp(argv[i], "--scenario"))
            o->scenario = argv[++i];
        else
            return false;
    }
    return o->seconds > 0;
}

int main(int argc, char **argv)
{
    struct options o = { .seeds = 20, .seconds = 60 };
    unsigned bad = 0;

    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: sim_session [--seed N] [--seeds N] [--seconds N] [--scenario NAME] [--verbose]\n");
        return 2;
    }
    if (o.seed)
        o.seeds = 1;
    printf("seeds %" PRIu64 "..%" PRIu64 ", %" PRId64 " simulated seconds each\n", o.seed ? o.seed : 1,
           o.seed ? o.seed : o.seeds, o.seconds);
    for (size_t i = 0; i < TW_NELEM(scenarios); i++) {
        struct tally t = { 0 };
        if (o.scenario && strcmp(o.scenario, scenarios[i].name))
            continue;
        for (uint64_t k = 0; k < o.seeds; k++)
            bad += run_one(&scenarios[i], (o.seed ? o.seed : 1) + k, o.seconds, &t) != 0;
        if (!is_tally_plausible(&t, &scenarios[i])) {
            printf("FAILED: '%s': of %" PRIu64 " lost, %" PRIu64 " wrongly forward, %" PRIu64
                   " wrongly backward\n",
                   scenarios[i].name, t.lost, t.wrong_forward, t.wrong_backward);
            bad++;
        }
        if (o.verbose)
            printf("%-40s probes %7" PRIu64 " lost %6" PRIu64 " forward %6" PRIu64 " (truth %6" PRIu64
                   ") backward %6" PRIu64 " unknown %6" PRIu64 "\n",
                   scenarios[i].name, t.probes, t.lost, t.forward, t.true_forward, t.backward, t.unknown);
    }
    printf("%u runs failed\n", bad);
    return bad ? 1 : 0;
}
