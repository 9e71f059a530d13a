/* tests/sim/sim_session.c - a real session and a real reflector on a virtual clock and network, against the
 * truth. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim_priv.h"

#define EPOCH_NS (INT64_C(1795424486) * TW_NS_PER_S)

static struct event *schedule_data(struct sim *s, enum event_kind kind, int64_t at, const uint8_t *data,
                                   size_t len)
{
    struct event *e = calloc(1, sizeof *e + len);

    if (!e)
        abort();
    e->kind = kind;
    e->len = len;
    if (len)
        memcpy(e->data, data, len);
    if (timerq_set(&s->q, &e->entry, (struct tw_mono){ at }))
        abort();
    return e;
}

static void schedule(struct sim *s, enum event_kind kind, int64_t at)
{
    schedule_data(s, kind, at, NULL, 0);
}

static void schedule_random(struct sim *s, enum event_kind kind, double every_s)
{
    if (every_s > 0)
        schedule(s, kind, s->now_ns + rng_below(&s->rng, (int64_t)(2e9 * every_s)) + 1);
}
/* ---- Network ---- */

/* What is the same in all copies of a datagram. */
struct parcel {
    size_t probe;
    const uint8_t *data;
    size_t len;
    bool *mark;
    int64_t t2, t3, t3_left;
    uint32_t number;
};

static void send_copies(struct sim *s, struct path *path, enum event_kind kind, const struct parcel *p,
                        int64_t from_ns)
{
    unsigned copies = 1 + rng_chance(&s->rng, path->cfg->duplicate);

    if (path_loses(path, &s->rng))
        return;
    while (copies--) {
        struct event *e = schedule_data(s, kind, from_ns + path_delay(path, &s->rng), p->data, p->len);
        e->probe = p->probe;
        e->delivered = p->mark;
        e->t2 = p->t2;
        e->t3 = p->t3;
        e->t3_left = p->t3_left;
        e->number = p->number;
        e->corrupt = rng_chance(&s->rng, path->cfg->corrupt);
        if (e->corrupt)
            e->data[sim_protected_octet(&s->sc->form, kind == AT_SENDER, &s->rng)] ^= 1;
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

static bool asks_follow_up(const struct sim *s)
{
    return s->sc->form.tlvs & STAMP_TLV_BIT(STAMP_TLV_FOLLOW_UP);
}

/* From a timestamp in user space to the device. */
static int64_t time_to_leave(struct sim *s, bool any)
{
    return any ? 1000 + rng_below(&s->rng, 200000) : 0;
}

static const struct tw_addr sender = { .ip = { 10, 0, 0, 1 }, .port = 40000, .family = 4 };

static void at_reflector(struct sim *s, const struct event *e)
{
    struct reflect_rx rx = { .from = sender,
                             .to = { .ip = { 10, 0, 0, 2 }, .port = 862, .family = 4 },
                             .t2 = reflector_wall(s, s->now_ns),
                             .mono = { s->now_ns },
                             .ttl = 61,
                             .tos = TOS };
    int64_t residence = 10000 + rng_below(&s->rng, 100000), left = time_to_leave(s, asks_follow_up(s));
    struct tw_wall t3 = reflector_wall(s, s->now_ns + residence);
    struct tw_wall known = reflector_wall(s, s->now_ns + residence + left);
    uint8_t answer[CAP];
    struct parcel p = { .probe = e->probe, .data = answer, .t2 = rx.t2.ns, .t3 = t3.ns };
    bool refused;

    if (!asks_follow_up(s) || rng_chance(&s->rng, s->sc->follow_up_missing))
        known.ns = 0;
    p.t3_left = known.ns;
    refused =
        mirror_answer(s->mirror, &rx, e->data, e->len, t3, known, answer, sizeof answer, &p.len, &p.number);

    sim_check(s, refused == (e->corrupt || s->sc->wrong_key),
              "the reflector refused a probe, or took a forged one");
    s->refused += refused;
    if (refused)
        return;
    s->truth.probe[e->probe].reached = true;
    if (!s->truth.probe[e->probe].answered)
        s->truth.probe[e->probe].t3_left = known.ns;
    p.mark = new_mark(s);
    send_copies(s, &s->back, AT_SENDER, &p, s->now_ns + residence + left);
}

static void note_first(struct sim *s, const struct event *e)
{
    struct truth_probe *p = &s->truth.probe[e->probe];

    p->answered = true;
    p->arrived = e->arrived_ns;
    p->r = e->number;
    if (e->arrived_ns - p->t1_mono >= s->cfg.timeout_ns) {
        s->truth.late++;
        return;
    }
    p->received = true;
    s->truth.arrival[s->truth.n_arrival++] = e->probe;
    p->timed = p->t1_wall - p->t1_mono == s->wall_offset_ns;
    p->t2 = e->t2;
    p->t3 = e->t3;
    p->t3_left = e->t3_left;
    p->t4 = e->t4_wall;
}

/* The session remembers twice what can be in flight. */
static size_t remembered(const struct session_cfg *c)
{
    size_t in_flight = (size_t)(c->timeout_ns / c->spacing_ns) + 2;
    size_t n = c->spacing_kind == SESSION_FIXED ? in_flight * 2 : in_flight * 4 + 64;

    return n > 16 ? n : 16;
}

static void note_answer(struct sim *s, const struct event *e)
{
    if (session_done(s->session))
        return;
    s->corrupt_answers += e->corrupt;
    if (e->corrupt || s->truth.n - e->probe > remembered(&s->cfg)) {
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
    struct session_rx rx = { { e->t4_wall }, TW_TS_KERNEL, 60, TOS };

    if (s->stopped) /* what is still open decides where this answer counts */
        sim_take_summaries(s);
    truth_clock(&s->truth, sim_now(s));
    note_answer(s, e);
    session_on_reply(s->session, sim_now(s), &rx, e->data, e->len);
}

/* ---- Host ---- */

/* When the probe that was sent last leaves; the kernel tells it a moment later, or much later, or never. */
static int64_t leave(struct sim *s)
{
    struct truth_probe *p = &s->truth.probe[s->truth.n - 1];
    int64_t left = s->now_ns + time_to_leave(s, s->sc->left_told);

    if (!s->sc->left_told)
        return left;
    p->left_ns = left;
    p->left_wall = left + s->wall_offset_ns;
    session_await_txstamp(s->session, TW_TS_KERNEL);
    if (!rng_chance(&s->rng, s->sc->left_missing)) {
        int64_t late = rng_chance(&s->rng, s->sc->left_late) ? s->sc->left_late_ns : 0;
        struct event *e = schedule_data(s, LEFT_TOLD, left + late, NULL, 0);
        e->probe = s->truth.n - 1;
    }
    return left;
}

static void told(struct sim *s, const struct event *e)
{
    struct truth_probe *p = &s->truth.probe[e->probe];

    p->told_ns = s->now_ns;
    session_on_txstamp(s->session, s->cfg.seq_start + (uint32_t)e->probe, (struct tw_wall){ p->left_wall },
                       TW_TS_KERNEL);
}

static void send_due(struct sim *s)
{
    uint8_t buf[CAP];
    struct parcel p = { .data = buf };
    enum tw_rc rc;

    truth_clock(&s->truth, sim_now(s));
    rc = session_next_probe(s->session, sim_now(s), buf, sizeof buf, &p.len);
    if (rc != TW_OK) {
        sim_take_summaries(s);
        return;
    }
    if (rng_chance(&s->rng, s->sc->send_error)) {
        session_on_send_error(s->session);
        truth_unsent(&s->truth, sim_now(s));
    } else {
        truth_sent(&s->truth, sim_now(s));
        sim_check_size(s, p.len);
        p.probe = s->truth.n - 1;
        send_copies(s, &s->out, AT_REFLECTOR, &p, leave(s));
    }
    sim_take_summaries(s);
}

static void step_clock(struct sim *s)
{
    int64_t size = 60 * MS + rng_below(&s->rng, 10 * TW_NS_PER_S);

    s->wall_offset_ns += rng_chance(&s->rng, 0.5) ? size : -size;
    schedule_random(s, CLOCK_STEP, s->sc->step_every_s);
}

static void new_reflector(struct sim *s)
{
    mirror_free(s->mirror);
    s->mirror = mirror_new(s->sc->mirror, &s->sc->form, s->key + s->sc->wrong_key, s->sc->stateless ? 0 : 4,
                           &sender, (struct tw_mono){ s->now_ns });
}

static void use_form(struct sim *s, bool with_previous)
{
    sim_check(s, session_set_form(s->session, sim_form(&s->sc->form, s->key, with_previous)) == TW_OK,
              "the session does not take its new keys");
}

/* First the reflector learns the new key, then the sender signs with it, then the old one goes at both ends;
 * what is on its way between two steps arrives. */
static void rotate(struct sim *s)
{
    switch (s->rotation++ % 4) {
    case 0:
        mirror_set_keys(s->mirror, s->key, 2);
        break;
    case 1:
        s->key++;
        use_form(s, true);
        break;
    case 2:
        mirror_set_keys(s->mirror, s->key, 1);
        break;
    case 3:
        use_form(s, false);
        break;
    }
    schedule(s, ROTATE, s->now_ns + (int64_t)(s->sc->rotate_every_s * 0.25e9));
}

static void stop(struct sim *s)
{
    s->stopped = true;
    truth_stop(&s->truth, sim_now(s));
    session_stop(s->session, sim_now(s));
    sim_take_summaries(s);
}

/* What comes while the host is stalled is seen afterwards: first when probes left, then answers, then the
 * rest. */
static bool put_off(struct sim *s, struct event *e)
{
    int64_t last = s->stalled_until_ns - 1;

    if (s->now_ns > last || e->kind == AT_REFLECTOR || e->kind == RESTART || e->kind == ROTATE ||
        (e->kind == LEFT_TOLD && s->now_ns == last))
        return false;
    timerq_set(&s->q, &e->entry,
               (struct tw_mono){ last + (e->kind == AT_SENDER) +
                                 2 * (e->kind != AT_SENDER && e->kind != LEFT_TOLD) });
    return true;
}

/* Nothing happens in the sending host while it is stalled, but its kernel takes datagrams and notes the time.
 */
static void handle(struct sim *s, struct event *e)
{

    if (e->kind == AT_SENDER && !e->arrived_ns) {
        e->arrived_ns = s->now_ns;
        e->t4_wall = sim_now(s).wall.ns;
    }
    if (put_off(s, e))
        return;
    switch (e->kind) {
    case AT_REFLECTOR:
        at_reflector(s, e);
        break;
    case AT_SENDER:
        at_sender(s, e);
        break;
    case LEFT_TOLD:
        told(s, e);
        break;
    case CLOCK_STEP:
        step_clock(s);
        break;
    case RESTART:
        new_reflector(s);
        schedule_random(s, RESTART, s->sc->restart_every_s);
        break;
    case ROTATE:
        rotate(s);
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
    if (!c->size_bytes)
        c->size_bytes = sc->form.kind == FORM_STAMP ? 0 : 41;
    c->samples = 4096;
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
    *s = (struct sim){ .sc = sc,
                       .cfg = sc->cfg,
                       .rng = { seed * 2654435761u + 88172645463325252u },
                       .now_ns = 1000000007,
                       .key = 1 };
    s->wall_offset_ns = EPOCH_NS + rng_below(&s->rng, 100 * TW_NS_PER_S);
    fill_cfg(&s->cfg, sc, rng_next(&s->rng));
    s->out.cfg = &sc->out;
    s->back.cfg = &sc->back;
    timerq_init(&s->q);
    new_reflector(s);
    if (session_new(&s->cfg, sim_form(&sc->form, s->key, false), sim_now(s), &s->session))
        abort();
    truth_init(&s->truth, &s->cfg, sim_now(s));
    schedule(s, STOP, s->now_ns + seconds * TW_NS_PER_S + rng_below(&s->rng, TW_NS_PER_S));
    schedule_random(s, CLOCK_STEP, sc->step_every_s);
    schedule_random(s, RESTART, sc->restart_every_s);
    schedule_random(s, STALL, sc->stall_every_s);
    if (sc->rotate_every_s > 0)
        schedule(s, ROTATE, s->now_ns + TW_NS_PER_S);
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
    mirror_free(s->mirror);
    truth_free(&s->truth);
}

unsigned sim_run(const struct scenario *sc, uint64_t seed, int64_t seconds, struct tally *t)
{
    struct sim s;
    unsigned bad;

    sim_init(&s, sc, seed, seconds);
    run(&s);
    sim_check_counters(&s);
    bad = s.bad + truth_compare(&s.truth, s.sum, s.n_sum, &sc->check);
    if (bad)
        printf("FAILED: --seed %" PRIu64 " --seconds %" PRId64 " --scenario '%s'\n", seed, seconds, sc->name);
    sim_add_tally(&s, t);
    sim_free(&s);
    return bad;
}
