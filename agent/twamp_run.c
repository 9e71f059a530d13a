/* agent/twamp_run.c - see twamp_run.h. Whatever happens sets a few facts of the pair and wakes it; what
 * follows from them is decided in one place, step(), outside of everybody's callbacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "agent/io/ctl_dialer.h"
#include "agent/keyring.h"
#include "agent/twamp_run_priv.h"
#include "common/log.h"
#include "common/net/identity.h"
#include "common/net/now.h"

#define BUSY_NS (20 * TW_NS_PER_MS) /* until a full command ring is tried again */
#define STOP_NS (2 * TW_NS_PER_S)   /* for Stop-Sessions to leave */
#define BACKOFF_MIN_NS TW_NS_PER_S
#define BACKOFF_MAX_NS (60 * TW_NS_PER_S)
#define PAUSE_NS (200 * TW_NS_PER_MS) /* the least */
#define STABLE_NS (60 * TW_NS_PER_S)  /* after so long a connection was a good one */

enum phase {
    PHASE_IDLE,
    PHASE_DIALING,
    PHASE_ASKING,   /* for the flows, one after the other */
    PHASE_STARTING, /* Start-Sessions is on its way */
    PHASE_HANDING,  /* to the workers */
    PHASE_RUNNING,
    PHASE_ENDING, /* the workers await the last answers */
    PHASE_STOPPING,
};

/* A pair, or those of its flows that were refused while others run: then it stands in the chain behind them.
 */
struct twamp_pair {
    struct twamp_run *run;
    uint64_t id;
    struct twamp_pair *next;  /* of the same pair */
    struct twamp_flow *flows; /* the index is the session's id on the connection */
    size_t n;
    enum phase phase;
    bool changed; /* in flows or settings */
    bool failed;  /* for the reason in `trouble` */
    bool stopped; /* Stop-Sessions has been sent, or there is nobody to send it to */
    char trouble[WHY_MAX];
    struct ctl_dialer *dialer;
    struct loop_timer tick;
    struct tw_mono since, retry; /* it runs; it may dial again */
    int64_t backoff_ns;
    UT_hash_handle hh;
};

struct twamp_run {
    struct twamp_run_conf conf;
    struct twamp_pair *pairs;
};

static struct twamp_pair *find_pair(const struct twamp_run *t, uint64_t id)
{
    struct twamp_pair *p;

    HASH_FIND(hh, t->pairs, &id, sizeof id, p);
    return p;
}

static struct twamp_flow *find_flow(const struct twamp_run *t, uint64_t pair_id, uint32_t flow,
                                    struct twamp_pair **ret)
{
    for (struct twamp_pair *p = find_pair(t, pair_id); p; p = p->next)
        for (size_t i = 0; i < p->n; i++)
            if (p->flows[i].spec.cfg.flow == flow) {
                *ret = p;
                return &p->flows[i];
            }
    return NULL;
}

static void wake_at(struct twamp_pair *p, struct tw_mono when)
{
    loop_timer_set(p->run->conf.loop, &p->tick, when);
}

static void wake(struct twamp_pair *p)
{
    wake_at(p, tw_mono_now());
}

static void wake_in(struct twamp_pair *p, int64_t ns)
{
    wake_at(p, (struct tw_mono){ tw_mono_now().ns + ns });
}

/* ---- What people hear ---- */

static void tell(struct twamp_pair *p, struct twamp_flow *f, const char *why)
{
    if (!strcmp(f->why, why))
        return;
    snprintf(f->why, sizeof f->why, "%s", why);
    p->run->conf.on_state(p->run->conf.ctx, p->id, f->spec.cfg.flow, *why ? f->why : NULL);
}

static void fail(struct twamp_pair *p, const char *text)
{
    char server[TW_ADDR_TEXT];

    if (p->failed)
        return;
    p->failed = true;
    snprintf(p->trouble, sizeof p->trouble, "TWAMP-Control with %s: %.120s",
             p->n ? tw_addr_format(&p->flows[0].spec.target, server) : "nobody", text);
    wake(p);
}

static void fail_rc(struct twamp_pair *p, const char *what, enum tw_rc rc)
{
    char text[WHY_MAX];

    snprintf(text, sizeof text, "%s: %s", what, tw_rc_name(rc));
    fail(p, text);
}

/* ---- What the connection says ---- */

static void on_ready(void *ctx)
{
    struct twamp_pair *p = ctx;
    struct ctl_session_spec spec;
    enum tw_rc rc = TW_OK;

    p->phase = PHASE_ASKING;
    for (size_t i = 0; rc == TW_OK && i < p->n; i++) {
        twamp_flow_request(&p->flows[i], &spec);
        rc = ctl_dialer_request(p->dialer, (uint32_t)i, &spec);
        p->flows[i].state = FLOW_ASKED;
    }
    if (rc)
        fail_rc(p, "the sessions cannot be requested", rc);
}

static size_t count(const struct twamp_pair *p, enum twamp_flow_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        n += p->flows[i].state == state;
    return n;
}

/* When every flow has its answer those that were accepted start together. */
static void on_answer(struct twamp_pair *p)
{
    enum tw_rc rc;

    if (count(p, FLOW_ASKED) || p->failed)
        return;
    if (!count(p, FLOW_ACCEPTED)) {
        fail(p, p->flows[0].why);
        return;
    }
    p->phase = PHASE_STARTING;
    rc = ctl_dialer_start_sessions(p->dialer, NULL, 0);
    if (rc)
        fail_rc(p, "the sessions cannot be started", rc);
}

static void on_accepted(void *ctx, uint32_t id, const struct ctl_session *s)
{
    struct twamp_pair *p = ctx;
    enum tw_rc rc = twamp_flow_accept(&p->flows[id], s);

    if (rc)
        fail_rc(p, "the session that was accepted cannot be run", rc);
    else
        on_answer(p);
}

static void on_refused(void *ctx, uint32_t id, unsigned accept)
{
    struct twamp_pair *p = ctx;
    char text[WHY_MAX];

    snprintf(text, sizeof text, "the server refuses the session: %s", ctl_accept_text(accept));
    if (id == CTL_ALL) {
        fail(p, "the server did not start the sessions");
        return;
    }
    p->flows[id].state = FLOW_REFUSED;
    tell(p, &p->flows[id], text);
    on_answer(p);
}

static void on_started(void *ctx, uint32_t id)
{
    struct twamp_pair *p = ctx;

    (void)id; /* all at once: individual control is not asked for */
    p->phase = PHASE_HANDING;
    wake(p);
}

static void on_stopped(void *ctx, uint32_t id)
{
    struct twamp_pair *p = ctx;

    (void)id;
    p->stopped = true;
    wake(p);
}

static void on_closed(void *ctx, const char *text)
{
    struct twamp_pair *p = ctx;

    p->stopped = true;
    if (p->phase == PHASE_STOPPING)
        wake(p);
    else
        fail(p, *text ? text : "the server closed the connection");
}

/* ---- Beginning ---- */

static enum tw_rc dial(struct twamp_pair *p, struct tw_err *err)
{
    const struct session_spec *s = &p->flows[0].spec;
    uint8_t passphrase[CTL_PASSPHRASE_MAX];
    struct ctl_dialer_cfg c = {
        .loop = p->run->conf.loop,
        .server = s->target,
        .bind = p->flows[0].sock.any ? (struct tw_addr){ .family = 0 } : p->flows[0].sock.local,
        .client = { .modes = twamp_flow_mode(s), .features = TWAMP_DSCP_ECN, .max_sessions = (uint32_t)p->n },
        .on_ready = on_ready,
        .on_accepted = on_accepted,
        .on_refused = on_refused,
        .on_started = on_started,
        .on_stopped = on_stopped,
        .on_closed = on_closed,
        .ctx = p
    };
    enum tw_rc rc;

    c.bind.port = 0;
    if (session_spec_keyed(s)) {
        c.client.key_id = s->key_id;
        c.client.passphrase = passphrase;
        c.client.passphrase_len =
            keyring_secret(p->run->conf.keys, s->key_id, 0, passphrase, sizeof passphrase);
    }
    rc = ctl_dialer_start(&c, &p->dialer, err);
    crypto_wipe(passphrase, sizeof passphrase);
    return rc;
}

static void begin(struct twamp_pair *p)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = TW_OK;

    p->changed = p->stopped = false;
    p->phase = PHASE_DIALING;
    for (size_t i = 0; rc == TW_OK && i < p->n; i++)
        rc = twamp_flow_open(&p->flows[i], &err);
    if (rc == TW_OK)
        rc = dial(p, &err);
    if (rc)
        fail(p, err.text[0] ? err.text : tw_rc_name(rc));
}

static void drop_unwanted(struct twamp_pair *p)
{
    size_t kept = 0;

    for (size_t i = 0; i < p->n; i++)
        if (p->flows[i].wanted)
            p->flows[kept++] = p->flows[i];
    p->n = kept;
}

/* The next in its chain takes its place. */
static void unlink_pair(struct twamp_pair *p)
{
    struct twamp_pair *head = find_pair(p->run, p->id);

    if (head == p) {
        HASH_DEL(p->run->pairs, p);
        if (p->next)
            HASH_ADD(hh, p->run->pairs, id, sizeof p->id, p->next);
        return;
    }
    while (head->next != p)
        head = head->next;
    head->next = p->next;
}

static void free_pair(struct twamp_pair *p)
{
    loop_timer_cancel(p->run->conf.loop, &p->tick);
    ctl_dialer_free(p->dialer);
    for (size_t i = 0; i < p->n; i++)
        twamp_flow_reset(&p->flows[i]);
    unlink_pair(p);
    free(p->flows);
    free(p);
}

static void on_tick(struct loop_timer *t);

static struct twamp_pair *make_pair(struct twamp_run *t, uint64_t id)
{
    struct twamp_pair *p = calloc(1, sizeof *p), *head = find_pair(t, id);

    if (!p)
        return NULL;
    p->run = t;
    p->id = id;
    p->tick = (struct loop_timer){ .fn = on_tick, .ctx = p };
    if (!head) {
        HASH_ADD(hh, t->pairs, id, sizeof p->id, p);
        return p;
    }
    p->next = head->next;
    head->next = p;
    return p;
}

static struct twamp_flow *make_flow(struct twamp_pair *p)
{
    struct twamp_flow *more = realloc(p->flows, (p->n + 1) * sizeof *more);

    if (!more)
        return NULL;
    p->flows = more;
    more[p->n] = (struct twamp_flow){ .sock = { .fd = -1 } };
    return &more[p->n++];
}

/* ---- Running ---- */

static struct worker *worker_of(const struct twamp_pair *p, const struct twamp_flow *f)
{
    return session_worker(p->run->conf.workers, p->run->conf.n_workers, p->id, f->spec.cfg.flow);
}

static void draw_retry(struct twamp_pair *p)
{
    uint64_t dice = 0;

    if (p->since.ns && tw_mono_now().ns - p->since.ns >= STABLE_NS)
        p->backoff_ns = 0;
    p->backoff_ns = p->backoff_ns ? 2 * p->backoff_ns : BACKOFF_MIN_NS;
    if (p->backoff_ns > BACKOFF_MAX_NS)
        p->backoff_ns = BACKOFF_MAX_NS;
    identity_random((uint8_t *)&dice, sizeof dice);
    p->retry.ns = tw_mono_now().ns + PAUSE_NS + (int64_t)(dice % (uint64_t)p->backoff_ns);
}

/* What was refused tries again on a connection of its own, and leaves those that run alone. Without memory it
 * waits for the next one of all. */
static void part_with_refused(struct twamp_pair *p)
{
    struct twamp_pair *q = count(p, FLOW_REFUSED) ? make_pair(p->run, p->id) : NULL;
    size_t kept = 0;

    if (!q)
        return;
    for (size_t i = 0; i < p->n; i++) {
        struct twamp_flow *f = p->flows[i].state == FLOW_REFUSED ? make_flow(q) : NULL;

        if (!f) {
            p->flows[kept++] = p->flows[i];
            continue;
        }
        twamp_flow_reset(&p->flows[i]);
        *f = p->flows[i];
    }
    p->n = kept;
    draw_retry(q);
    wake_at(q, q->retry);
}

static void hand_over(struct twamp_pair *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct twamp_flow *f = &p->flows[i];
        enum tw_rc rc;

        if (f->state != FLOW_ACCEPTED)
            continue;
        rc = twamp_flow_hand_over(f, worker_of(p, f));
        if (rc == TW_EBUSY) {
            wake_in(p, BUSY_NS);
            return;
        }
        if (rc) {
            fail_rc(p, "a worker cannot take the session", rc);
            return;
        }
        p->run->conf.on_handed(p->run->conf.ctx, p->id);
        tell(p, f, "");
    }
    p->phase = PHASE_RUNNING;
    p->since = tw_mono_now();
    part_with_refused(p);
}

/* ---- Ending ---- */

/* Nothing is left of the connection and its sessions. */
static void finish(struct twamp_pair *p)
{
    ctl_dialer_free(p->dialer);
    p->dialer = NULL;
    for (size_t i = 0; i < p->n; i++) {
        twamp_flow_reset(&p->flows[i]);
        if (p->failed && !p->changed && p->flows[i].wanted)
            tell(p, &p->flows[i], p->trouble);
    }
    if (p->failed && !p->changed) /* else what it changes to may well work */
        draw_retry(p);
    else
        p->retry.ns = p->backoff_ns = 0;
    p->failed = false;
    p->since.ns = 0;
    p->phase = PHASE_IDLE;
    wake_at(p, p->retry);
}

static void end_flows(struct twamp_pair *p)
{
    p->phase = PHASE_ENDING;
    for (size_t i = 0; i < p->n; i++) {
        struct twamp_flow *f = &p->flows[i];
        enum tw_rc rc;

        if (f->state != FLOW_RUNNING)
            continue;
        rc = worker_remove(worker_of(p, f), p->id, f->spec.cfg.flow);
        if (rc == TW_EBUSY) {
            wake_in(p, BUSY_NS);
            return;
        }
        f->state = rc == TW_OK ? FLOW_ENDING : FLOW_IDLE; /* gone by itself: its notice is on the way */
    }
    if (count(p, FLOW_ENDING))
        return;
    p->phase = PHASE_STOPPING;
    if (!p->stopped && ctl_dialer_stop_sessions(p->dialer, NULL, 0) != TW_OK)
        p->stopped = true;
    wake_in(p, p->stopped ? 0 : STOP_NS);
}

/* ---- The next step ---- */

static void step_idle(struct twamp_pair *p)
{
    drop_unwanted(p);
    if (!p->n)
        free_pair(p);
    else if (!p->changed && tw_mono_now().ns < p->retry.ns)
        wake_at(p, p->retry);
    else
        begin(p);
}

static void on_tick(struct loop_timer *t)
{
    struct twamp_pair *p = t->ctx;
    bool over = p->failed || p->changed;

    switch (p->phase) {
    case PHASE_IDLE:
        step_idle(p);
        break;
    case PHASE_DIALING:
    case PHASE_ASKING:
    case PHASE_STARTING:
        if (over)
            finish(p);
        break;
    case PHASE_HANDING:
        if (over)
            end_flows(p);
        else
            hand_over(p);
        break;
    case PHASE_RUNNING:
        if (over)
            end_flows(p);
        break;
    case PHASE_ENDING:
        end_flows(p);
        break;
    case PHASE_STOPPING: /* said, or it has had its time */
        finish(p);
        break;
    }
}

/* ---- For the schedule ---- */

enum tw_rc twamp_run_add(struct twamp_run *t, const struct session_spec *spec)
{
    struct twamp_pair *p = find_pair(t, spec->cfg.pair_id);
    struct twamp_flow *f = find_flow(t, spec->cfg.pair_id, spec->cfg.flow, &p);

    if (!p)
        p = make_pair(t, spec->cfg.pair_id);
    if (p && !f)
        f = make_flow(p);
    if (!f)
        return TW_ENOMEM; /* an empty pair goes with the next step */
    f->spec = *spec;
    f->wanted = true;
    p->changed = true;
    wake(p);
    return TW_OK;
}

void twamp_run_remove(struct twamp_run *t, uint64_t pair_id, uint32_t flow)
{
    struct twamp_pair *p;
    struct twamp_flow *f = find_flow(t, pair_id, flow, &p);

    if (!f)
        return;
    f->wanted = false;
    p->changed = true;
    wake(p);
}

bool twamp_run_holds(const struct twamp_run *t, uint64_t pair_id, uint32_t flow)
{
    struct twamp_pair *p;
    const struct twamp_flow *f = find_flow(t, pair_id, flow, &p);

    return f && f->state == FLOW_RUNNING;
}

enum tw_rc twamp_run_set_generation(struct twamp_run *t, uint64_t pair_id, uint32_t flow, uint64_t generation)
{
    struct twamp_pair *p;
    struct twamp_flow *f = find_flow(t, pair_id, flow, &p);
    enum tw_rc rc = TW_OK;

    if (!f)
        return TW_OK;
    f->spec.cfg.generation = generation;
    if (f->state == FLOW_RUNNING)
        rc = worker_set_generation(worker_of(p, f), pair_id, flow, generation);
    return rc == TW_ENOENT ? TW_OK : rc;
}

void twamp_run_notice(struct twamp_run *t, const struct worker_notice *n)
{
    struct twamp_pair *p;
    struct twamp_flow *f = find_flow(t, n->pair_id, n->flow, &p);

    if (!f || (f->state != FLOW_RUNNING && f->state != FLOW_ENDING))
        return;
    if (f->state == FLOW_RUNNING && n->removed) /* of a session before this one */
        return;
    if (f->state == FLOW_RUNNING && f->spec.cfg.stop_ns && n->rc == TW_OK) {
        f->wanted = false; /* its run is over */
        p->changed = true;
    } else if (f->state == FLOW_RUNNING && (f->wanted || n->rc != TW_OK)) {
        fail(p, n->why[0] ? n->why : "a session ended by itself");
    }
    f->state = FLOW_IDLE;
    wake(p);
}

enum tw_rc twamp_run_new(const struct twamp_run_conf *c, struct twamp_run **ret)
{
    struct twamp_run *t = calloc(1, sizeof *t);

    if (!t)
        return TW_ENOMEM;
    t->conf = *c;
    *ret = t;
    return TW_OK;
}

/* A server that is not told would take it for a lost connection. One that does not read is not waited for. */
static void say_goodbye(struct twamp_pair *p)
{
    if (p->phase >= PHASE_HANDING && p->phase <= PHASE_ENDING && !p->stopped)
        ctl_dialer_stop_sessions(p->dialer, NULL, 0);
}

void twamp_run_free(struct twamp_run *t)
{
    if (!t)
        return;
    while (t->pairs) {
        say_goodbye(t->pairs);
        free_pair(t->pairs);
    }
    free(t);
}
