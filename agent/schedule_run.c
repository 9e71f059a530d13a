/* agent/schedule_run.c - see schedule_run.h. Each session is a row with what is wanted and whether its worker
 * has been told; a full command ring only delays the telling. */
#include "agent/schedule_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "agent/core/run_clock.h"
#include "agent/host_wait.h"
#include "agent/keyring.h"
#include "agent/pair_names.h"
#include "agent/refusals.h"
#include "agent/rules.h"
#include "agent/session_spec.h"
#include "agent/twamp_run.h"
#include "common/log.h"
#include "common/net/now.h"

#define RETRY_NS (20 * TW_NS_PER_MS)
/* A session is made so long before its run begins, so that its first probe goes out in time on a busy host,
 * too; with a TWAMP-Control connection that is dialled for each run. */
#define LEAD_NS TW_NS_PER_S
#define AGREED_LEAD_NS (5 * TW_NS_PER_S)
#define AGREED_REST_NS (15 * TW_NS_PER_S)
/* Of all sessions; each takes 112 to 224 octets. */
#define IN_FLIGHT_MAX 2097152
#define PAIR_MAX (UINT64_C(1) << 53) /* numbers above are for sessions beside the schedule: ondemand.h */
#define UDP_HEADER 8

struct session_key {
    uint64_t pair_id;
    uint32_t flow;
    uint32_t zero; /* no padding octets in a hashed key */
};

/* Of a session whose target is a name. */
struct session_host {
    struct resolver_use use;
    struct host_wait wait;
};

struct run_session {
    struct session_key key;
    struct session_spec spec, next; /* next: if changed */
    uint64_t keys;                  /* version of the keyring that its form is of */
    bool wanted;                    /* in the present schedule */
    bool running;                   /* its worker has taken the add */
    bool changed;                   /* must stop, then start with the new settings */
    bool renumber;                  /* only the generation is new */
    bool moved;                     /* must stop, then go on at its name's present address */
    struct session_host *host;      /* NULL: the target is an address */
    struct run_clock clock;         /* times NULL: it runs always */
    bool unjudged;                  /* when its next run begins is still to be found out */
    bool due;                       /* a run is to begin, spec.cfg says from when to when: tell the worker */
    struct loop_timer wake;         /* then its clock is to be judged */
    struct schedule_run *owner;
    char *trouble; /* TWAMP: why it does not run at present; NULL: nothing is known */
    UT_hash_handle hh;
};

struct schedule_run {
    struct schedule_run_conf conf;
    struct run_session *sessions;
    struct pair_names names;
    struct twamp_run *twamp;
    struct loop_timer retry;
    bool settled; /* every worker knows everything */
    uint64_t generation;
    uint8_t digest[64];
    size_t digest_len;
    struct refusals refusals;
    struct rules rules; /* of the present schedule */
    uint64_t runs, runs_missed, moves;
    struct schedule_load load; /* of the accepted, at most */
};

static struct session_key make_key(uint64_t pair_id, uint32_t flow)
{
    return (struct session_key){ .pair_id = pair_id, .flow = flow };
}

static struct run_session *find(struct schedule_run *r, struct session_key key)
{
    struct run_session *s;

    HASH_FIND(hh, r->sessions, &key, sizeof key, s);
    return s;
}

static struct worker *worker_of(const struct schedule_run *r, const struct session_key *k)
{
    return session_worker(r->conf.workers, r->conf.n_workers, k->pair_id, k->flow);
}

/* ---- What cannot run ---- */

static enum tw_rc refuse(struct schedule_run *r, struct session_key key, const char *reason)
{
    return refusals_add(&r->refusals, key.pair_id, key.flow, reason);
}

/* A session that was accepted and could not start after all: the next schedule tries again. */
static void give_up(struct schedule_run *r, struct run_session *s, enum tw_rc rc, const char *told)
{
    const char *why = "the agent could not open a socket for it";

    if (rc == TW_ENOMEM)
        why = "the agent has no memory or no file descriptors left for it";
    else if (told[0])
        why = told;
    else if (rc == TW_EINVAL)
        why = "more probes would be in flight than the agent can remember: shorter timeout or wider spacing";
    else if (rc == TW_ENOSPC)
        why = "one of the agent's workers has all the sessions or sockets that it can have";
    s->running = s->wanted = false;
    r->load.sessions--;
    log_warn("session could not start", LOG_U("pair", s->key.pair_id), LOG_U("flow", s->key.flow),
             LOG_S("reason", tw_rc_name(rc)));
    if (refuse(r, s->key, why) != TW_OK)
        log_error("out of memory: a refusal cannot be reported");
}

/* ---- Telling the workers ---- */

static uint64_t key_version(const struct schedule_run *r)
{
    return r->conf.keys ? keyring_version(r->conf.keys) : 0;
}

static void forget_trouble(struct run_session *s)
{
    free(s->trouble);
    s->trouble = NULL;
}

static bool is_agreed(const struct run_session *s)
{
    return s->spec.protocol == TW__PROTOCOL__PROTOCOL_TWAMP;
}

static enum tw_rc start_session(struct schedule_run *r, struct run_session *s)
{
    enum tw_rc rc;

    if (is_agreed(s)) {
        rc = twamp_run_add(r->twamp, &s->spec);
        s->running = rc == TW_OK;
        return rc;
    }
    rc = session_spec_start(&s->spec, r->conf.keys, worker_of(r, &s->key));
    if (rc == TW_EEXIST && twamp_run_holds(r->twamp, s->key.pair_id, s->key.flow))
        return TW_EBUSY; /* it was of protocol TWAMP until now: that one ends when the loop goes on */
    if (rc)
        return rc;
    s->running = true;
    s->keys = key_version(r);
    pair_names_find(&r->names, s->key.pair_id)->in_workers++; /* it has one: the session is wanted */
    return TW_OK;
}

/* Other keys, while it goes on. */
static enum tw_rc rekey_session(struct schedule_run *r, struct run_session *s)
{
    struct form *form;
    enum tw_rc rc = session_spec_keyed_form(&s->spec, r->conf.keys, &form);

    if (rc == TW_OK) {
        rc = worker_set_form(worker_of(r, &s->key), s->key.pair_id, s->key.flow, form);
        if (rc)
            form_free(form);
    }
    if (rc == TW_OK || rc == TW_ENOENT) /* ended: its notice is on the way */
        s->keys = key_version(r);
    return rc == TW_ENOENT ? TW_OK : rc;
}

static enum tw_rc stop_session(struct schedule_run *r, struct run_session *s)
{
    enum tw_rc rc;

    if (is_agreed(s)) {
        twamp_run_remove(r->twamp, s->key.pair_id, s->key.flow);
        forget_trouble(s);
        s->running = false;
        return TW_OK;
    }
    rc = worker_remove(worker_of(r, &s->key), s->key.pair_id, s->key.flow);

    if (rc == TW_OK)
        s->running = false;
    return rc;
}

static enum tw_rc renumber_session(struct schedule_run *r, struct run_session *s)
{
    uint64_t generation = s->spec.cfg.generation;

    if (is_agreed(s))
        return twamp_run_set_generation(r->twamp, s->key.pair_id, s->key.flow, generation);
    return worker_set_generation(worker_of(r, &s->key), s->key.pair_id, s->key.flow, generation);
}

/* ---- Times ---- */

static void on_wake(struct loop_timer *t);

static void forget_clock(struct run_session *s)
{
    loop_timer_cancel(s->owner->conf.loop, &s->wake);
    times_unref(s->clock.times);
    s->clock.times = NULL;
    s->due = s->unjudged = false;
}

static void set_clock(struct schedule_run *r, struct run_session *s)
{
    const struct session_cfg *c = &s->spec.cfg;
    struct times_pace pace = { .phase_ns = s->spec.times_phase_ns,
                               .spacing_ns = c->spacing_ns,
                               .probe_phase_ns = c->phase_ns,
                               .exponential = c->spacing_kind == SESSION_EXPONENTIAL };
    const char *why;

    forget_clock(s);
    if (!s->spec.times_id)
        return;
    s->clock =
        (struct run_clock)RUN_CLOCK_INIT(times_ref(rules_find(&r->rules, s->spec.times_id, &why)), pace);
    s->unjudged = true; /* check_times() has found it */
}

/* The run before has sent all, or will in a moment, and may still wait for answers. */
static void let_end(struct schedule_run *r, struct run_session *s)
{
    if (is_agreed(s))
        twamp_run_remove(r->twamp, s->key.pair_id, s->key.flow);
    else
        worker_let_end(worker_of(r, &s->key), s->key.pair_id, s->key.flow);
    s->running = false;
}

static void count_missed(struct schedule_run *r, const struct run_session *s, uint64_t n)
{
    if (!n)
        return;
    r->runs_missed += n;
    log_warn("runs were over before they could begin", LOG_U("pair", s->key.pair_id),
             LOG_U("flow", s->key.flow), LOG_U("runs", n));
}

static void sleep_until(struct schedule_run *r, struct run_session *s, struct tw_now now, int64_t wake_ns)
{
    if (wake_ns == TIMES_NEVER)
        loop_timer_cancel(r->conf.loop, &s->wake);
    else if (loop_timer_set(
                 r->conf.loop, &s->wake,
                 (struct tw_mono){ now.mono.ns + (wake_ns > now.wall.ns ? wake_ns - now.wall.ns : 0) }))
        log_error("out of memory: a session does not run at its times", LOG_U("pair", s->key.pair_id));
}

/* Its connection may not have come about: after the run nobody dials any more. */
static int64_t end_agreed(struct schedule_run *r, struct run_session *s, int64_t now_ns, int64_t wake_ns)
{
    int64_t end_ns = s->spec.cfg.stop_ns + TW_NS_PER_S;

    if (!is_agreed(s) || !s->spec.cfg.stop_ns || (!s->running && !s->due))
        return wake_ns;
    if (now_ns < end_ns)
        return end_ns < wake_ns ? end_ns : wake_ns;
    if (s->running)
        let_end(r, s);
    s->due = false;
    return wake_ns;
}

static void judge(struct schedule_run *r, struct run_session *s)
{
    struct tw_now now = tw_now();
    struct run_order o;

    s->unjudged = false;
    run_clock_judge(&s->clock, now.wall.ns, is_agreed(s) ? AGREED_LEAD_NS : LEAD_NS, &o);
    count_missed(r, s, o.missed);
    if (o.begin) {
        if (s->running)
            let_end(r, s);
        if (s->host)
            host_wait_end(&s->host->wait);
        s->spec.cfg.start_ns = o.start_ns;
        s->spec.cfg.stop_ns = o.stop_ns;
        s->due = true;
        r->runs++;
    }
    sleep_until(r, s, now, end_agreed(r, s, now.wall.ns, o.wake_ns));
}

static bool may_start(const struct run_session *s)
{
    return s->wanted && !s->running && (s->due || !s->clock.times);
}

/* TW_ERANGE: there was nothing left to send in its run. */
static enum tw_rc begin_run(struct schedule_run *r, struct run_session *s)
{
    bool goes_on = s->moved;
    enum tw_rc rc = start_session(r, s);

    if (rc != TW_EBUSY)
        s->moved = false;
    if (!s->clock.times || (rc != TW_OK && rc != TW_ERANGE))
        return rc;
    s->due = false;
    count_missed(r, s, rc == TW_ERANGE && !goes_on);
    return TW_OK;
}

/* ---- Targets by name ---- */

static void say_name_error(void *ctx, const struct tw_summary *sum)
{
    const struct run_session *s = ctx;

    if (s->owner->conf.on_summary)
        s->owner->conf.on_summary(s->owner->conf.ctx, sum);
}

static void miss_run(void *ctx)
{
    struct run_session *s = ctx;

    if (s->due)
        count_missed(s->owner, s, 1);
    s->due = false;
}

static void drop_host(struct run_session *s)
{
    if (!s->host)
        return;
    host_wait_end(&s->host->wait);
    resolver_end(&s->host->use);
    free(s->host);
    s->host = NULL;
    s->moved = false;
}

static void on_name_news(struct resolver_use *u);

/* Its use of a name becomes that of the message. *ret_same: it is the same name as before, or as before there is none. */
static enum tw_rc take_host(struct schedule_run *r, struct run_session *s, const char *host,
                            const struct session_spec *spec, bool *ret_same)
{
    const struct host_wait_conf wait = {
        .loop = r->conf.loop, .cfg = &s->spec.cfg, .report = say_name_error, .on_over = miss_run, .ctx = s
    };
    struct session_host *h;
    enum tw_rc rc;

    *ret_same = s->host ? spec->by_name && resolver_is(&s->host->use, host, spec->target.family)
                        : !spec->by_name;
    if (*ret_same)
        return TW_OK;
    drop_host(s);
    if (!spec->by_name)
        return TW_OK;
    h = calloc(1, sizeof *h);
    if (!h)
        return TW_ENOMEM;
    h->use = (struct resolver_use){ .on_news = on_name_news, .ctx = s };
    host_wait_init(&h->wait, &wait);
    rc = resolver_begin(r->conf.resolver, host, spec->target.family, &h->use);
    if (rc != TW_OK) {
        free(h);
        return rc;
    }
    s->host = h;
    return TW_OK;
}

/* False: its target's name has no address. That is said as long as it is to run. */
static bool has_address(struct run_session *s)
{
    const struct tw_addr *a = s->host ? resolver_address(&s->host->use) : NULL;
    uint16_t port = s->spec.target.port;

    if (!s->host)
        return true;
    if (!a && may_start(s)) {
        host_wait_begin(&s->host->wait, s->clock.times ? s->spec.cfg.start_ns : 0,
                        s->clock.times ? s->spec.cfg.stop_ns : 0, *resolver_why(&s->host->use));
        return false;
    }
    host_wait_end(&s->host->wait);
    if (a && !s->running) {
        s->spec.target = *a;
        s->spec.target.port = port;
    }
    return a != NULL;
}

/* It was stopped to go on at another address: the rest of its run is to come. */
static void resume_run(struct run_session *s)
{
    int64_t stop_ns = s->spec.cfg.stop_ns;

    if (s->clock.times && (!stop_ns || tw_wall_now().ns < stop_ns))
        s->due = true;
}

/* One step of a session towards what is wanted. TW_EBUSY: its worker's ring is full. */
static enum tw_rc settle_session(struct schedule_run *r, struct run_session *s)
{
    enum tw_rc rc = TW_OK;

    if (s->running && (!s->wanted || s->changed || s->moved)) {
        rc = stop_session(r, s);
        if (rc == TW_OK && s->moved && !s->changed)
            resume_run(s);
    }
    if (rc == TW_OK && s->changed) {
        if (s->host)
            host_wait_end(&s->host->wait);
        s->spec = s->next;
        s->changed = s->renumber = s->moved = false;
        set_clock(r, s);
    }
    if (rc == TW_OK && s->wanted && s->unjudged)
        judge(r, s);
    if (rc == TW_OK && has_address(s) && may_start(s)) {
        rc = begin_run(r, s);
        s->renumber = s->renumber && rc != TW_OK;
    }
    if (rc == TW_OK && s->running && s->renumber) {
        rc = renumber_session(r, s);
        s->renumber = rc != TW_OK;
    }
    /* TWAMP uses its key when it logs in. */
    if (rc == TW_OK && s->running && !is_agreed(s) && session_spec_keyed(&s->spec) &&
        s->keys != key_version(r))
        rc = rekey_session(r, s);
    return rc;
}

static void free_session(struct schedule_run *r, struct run_session *s)
{
    HASH_DEL(r->sessions, s);
    drop_host(s);
    forget_clock(s);
    forget_trouble(s);
    free(s);
}

/* False: its worker is busy. The session may be gone afterwards. */
static bool settle_one(struct schedule_run *r, struct run_session *s)
{
    enum tw_rc rc = settle_session(r, s);

    if (rc == TW_EBUSY)
        return false;
    if (rc != TW_OK && s->wanted)
        give_up(r, s, rc, "");
    if (!s->wanted && !s->running)
        free_session(r, s);
    return true;
}

static void retry_soon(struct schedule_run *r)
{
    loop_timer_set(r->conf.loop, &r->retry, (struct tw_mono){ loop_now(r->conf.loop).mono.ns + RETRY_NS });
}

static void settle(struct schedule_run *r)
{
    struct run_session *s, *tmp;
    bool busy = false;

    HASH_ITER(hh, r->sessions, s, tmp)
    busy |= !settle_one(r, s);
    if (busy) {
        retry_soon(r);
    } else if (!r->settled) {
        r->settled = true;
        r->conf.on_applied(r->conf.ctx);
    }
}

/* The session may be gone afterwards. */
static void settle_now(struct schedule_run *r, struct run_session *s)
{
    size_t refused = r->refusals.n;

    if (!settle_one(r, s))
        retry_soon(r);
    else if (r->settled && r->refusals.n != refused)
        r->conf.on_applied(r->conf.ctx);
}

static void on_wake(struct loop_timer *t)
{
    struct run_session *s = t->ctx;

    s->unjudged = true;
    settle_now(s->owner, s);
}

static bool same_ip(const struct tw_addr *a, const struct tw_addr *b)
{
    return a->family == b->family && a->scope == b->scope && !memcmp(a->ip, b->ip, sizeof a->ip);
}

static void on_name_news(struct resolver_use *u)
{
    struct run_session *s = u->ctx;
    const struct tw_addr *a = resolver_address(u);

    if (!a) {
        host_wait_failed(&s->host->wait);
        return;
    }
    if (s->running && !s->changed && !same_ip(a, &s->spec.target)) {
        s->moved = true;
        s->owner->moves++;
    }
    settle_now(s->owner, s);
}

void schedule_run_clock_set(struct schedule_run *r)
{
    struct run_session *s, *tmp;
    int64_t now_ns = tw_wall_now().ns;

    HASH_ITER(hh, r->sessions, s, tmp)
    {
        if (s->host)
            host_wait_end(&s->host->wait); /* it begins anew, by the new time */
        if (!s->clock.times || !s->wanted || s->changed)
            continue;
        if (s->running && !run_clock_goes_on(&s->clock, now_ns) && stop_session(r, s) != TW_OK)
            let_end(r, s);
        s->due = false;
        s->unjudged = true;
    }
    settle(r);
}

static void on_retry(struct loop_timer *t)
{
    settle(t->ctx);
}

/* ---- What TWAMP-Control says ---- */

static void on_twamp_state(void *ctx, uint64_t pair_id, uint32_t flow, const char *why)
{
    struct schedule_run *r = ctx;
    struct run_session *s = find(r, make_key(pair_id, flow));

    if (!s || !s->wanted || !is_agreed(s))
        return;
    if (why)
        log_warn("a TWAMP session does not run", LOG_U("pair", pair_id), LOG_U("flow", flow),
                 LOG_S("reason", why));
    refusals_drop(&r->refusals, pair_id, flow);
    forget_trouble(s);
    if (why && (!(s->trouble = strdup(why)) || refuse(r, s->key, why) != TW_OK))
        log_error("out of memory: a refusal cannot be reported");
    if (r->settled)
        r->conf.on_applied(r->conf.ctx);
}

static void on_twamp_handed(void *ctx, uint64_t pair_id)
{
    struct pair_name *n = pair_names_find(&((struct schedule_run *)ctx)->names, pair_id);

    if (n)
        n->in_workers++;
}

/* ---- Taking over a schedule ---- */

static double in_flight_of(int64_t timeout_ns, int64_t spacing_ns)
{
    return (double)timeout_ns / (double)spacing_ns + 1;
}

/* Of its IP packets, in the mean; an imix has its sizes 7:4:1. */
static double packet_octets(const struct session_spec *s)
{
    const uint16_t *mix = s->cfg.imix_bytes;
    double payload = mix[0] ? (7.0 * mix[0] + 4.0 * mix[1] + mix[2]) / 12 : s->cfg.size_bytes;

    return payload + UDP_HEADER + (s->target.family == 4 ? 20 : 40);
}

void schedule_load_add(struct schedule_load *l, const struct session_spec *s, uint32_t flows)
{
    double pps = flows * 1e9 / (double)s->cfg.spacing_ns;

    l->sessions += flows;
    l->pps += pps;
    l->bps += pps * 8 * packet_octets(s);
    l->in_flight += flows * in_flight_of(s->cfg.timeout_ns, s->cfg.spacing_ns);
}

void schedule_run_set_limits(struct schedule_run *r, const struct schedule_limits *limits)
{
    r->conf.limits = *limits;
}

const char *schedule_run_room(const struct schedule_run *r, const struct schedule_load *more)
{
    const struct schedule_limits *most = &r->conf.limits;

    if (r->load.sessions + more->sessions > most->max_sessions)
        return "over this agent's --max-sessions";
    if (r->load.pps + more->pps > (double)most->max_pps)
        return "over this agent's --max-pps";
    if (r->load.bps + more->bps > (double)most->max_bps)
        return "over this agent's --max-bps";
    if (r->load.in_flight + more->in_flight > IN_FLIGHT_MAX)
        return "over 2097152 probes in flight in all: shorter timeout or wider spacing";
    return NULL;
}

const char *schedule_run_forbids(const struct schedule_run *r, const struct tw_addr *target)
{
    return target_rules_forbid(&r->conf.targets, target);
}

static const char *check_run_times(const struct schedule_run *r, const struct session_spec *s)
{
    const struct session_cfg *c = &s->cfg;
    const char *why;
    const struct times *t;

    if (!s->times_id)
        return NULL;
    t = rules_find(&r->rules, s->times_id, &why);
    if (!t)
        return why;
    if (s->times_phase_ns < 0 || (t->kind == TIMES_INTERVAL && s->times_phase_ns >= t->every_ns))
        return "the phase of its runs is outside their interval";
    return times_check_length(t, c->spacing_ns, c->spacing_kind == SESSION_EXPONENTIAL,
                              s->protocol == TW__PROTOCOL__PROTOCOL_TWAMP ? AGREED_REST_NS : 0, NULL) == TW_OK
               ? NULL
               : "a run of it does not end before the next one";
}

static const char *check_limits(const struct schedule_run *r, const struct session_spec *s)
{
    struct schedule_load one = { 0 };

    schedule_load_add(&one, s, 1);
    return schedule_run_room(r, &one);
}

static const char *check_keys(const struct schedule_run *r, const struct session_spec *s)
{
    return session_spec_keyed(s) ? keyring_lacks(r->conf.keys, s->key_id) : NULL;
}

/* NULL when this agent can run it, else why not, for the operator. */
static const char *check_spec(const struct schedule_run *r, const Tw__SessionSpec *p, uint64_t generation,
                              struct session_spec *ret)
{
    const char *why = session_spec_read(p, generation, ret);

    if (!why && ret->by_name && !r->conf.resolver)
        why = "this agent does not look names up";
    if (!why && p->pair_id > PAIR_MAX)
        why = "the number of the pair is above 2^53";
    if (!why && !ret->by_name) /* what a name leads to is judged when that is known */
        why = schedule_run_forbids(r, &ret->target);
    if (!why)
        why = check_keys(r, ret);
    if (!why)
        why = check_run_times(r, ret);
    return why ? why : check_limits(r, ret);
}

void schedule_run_name(const struct schedule_run *r, Tw__Summary *m)
{
    const struct pair_name *n = pair_names_find(&r->names, m->pair_id);

    if (!n)
        return;
    m->mesh = n->mesh;
    m->class_name = n->class_name;
    m->target = n->target;
}

const struct pair_name *schedule_run_pair(const struct schedule_run *r, uint64_t pair_id)
{
    const struct pair_name *n = pair_names_find(&r->names, pair_id);

    return n && n->wanted_in == r->generation ? n : NULL;
}

static struct run_session *make_session(struct schedule_run *r, struct session_key key,
                                        const struct session_spec *spec)
{
    struct run_session *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->key = key;
    s->spec = *spec;
    s->owner = r;
    s->wake = (struct loop_timer){ .fn = on_wake, .ctx = s };
    set_clock(r, s);
    HASH_ADD(hh, r->sessions, key, sizeof s->key, s);
    return s;
}

/* The address that a name has now is no change. */
static bool is_same(const struct run_session *s, const struct session_spec *spec, bool same_name)
{
    struct session_spec there = *spec;

    if (spec->by_name) {
        there.target = s->spec.target;
        there.target.port = spec->target.port;
    }
    return same_name && session_spec_same(&s->spec, &there);
}

/* Puts what is wanted of one session into its row, new or old. TW_ENOSPC: its name is one too many. */
static enum tw_rc want(struct schedule_run *r, const Tw__SessionSpec *p, const struct session_spec *spec)
{
    struct session_key key = make_key(p->pair_id, p->flow);
    struct run_session *s = find(r, key);
    bool is_new = !s, same_name;
    enum tw_rc rc;

    if (pair_names_keep(&r->names, p, spec->cfg.generation) != TW_OK)
        return TW_ENOMEM;
    if (is_new)
        s = make_session(r, key, spec);
    if (!s)
        return TW_ENOMEM;
    rc = take_host(r, s, p->host, spec, &same_name);
    if (rc != TW_OK)
        return rc;
    if (is_new) {
        s->changed = false;
    } else if (is_same(s, spec, same_name)) {
        s->changed = false;
        s->renumber = s->running && (s->renumber || s->spec.cfg.generation != spec->cfg.generation);
        s->spec.cfg.generation = spec->cfg.generation;
    } else {
        s->changed = true;
        s->next = *spec;
    }
    s->wanted = true;
    schedule_load_add(&r->load, spec, 1);
    return TW_OK;
}

static int compare_keys(const void *a, const void *b)
{
    const struct session_key *x = a, *y = b;

    if (x->pair_id != y->pair_id)
        return x->pair_id < y->pair_id ? -1 : 1;
    return (x->flow > y->flow) - (x->flow < y->flow);
}

/* A pair and flow may be named once: two sessions under one key could not be told apart in the results. *ret:
 * the keys of those that are named again, sorted, each once; the caller's to free. */
static enum tw_rc find_repeated(const Tw__ScheduleRequest *rq, struct session_key **ret, size_t *ret_n)
{
    struct session_key *keys = calloc(rq->n_sessions + 1, sizeof *keys);
    size_t n = 0;

    if (!keys)
        return TW_ENOMEM;
    for (size_t i = 0; i < rq->n_sessions; i++)
        keys[i] = make_key(rq->sessions[i]->pair_id, rq->sessions[i]->flow);
    qsort(keys, rq->n_sessions, sizeof *keys, compare_keys);
    for (size_t i = 1; i < rq->n_sessions; i++)
        if (!compare_keys(&keys[i - 1], &keys[i]) && (!n || compare_keys(&keys[n - 1], &keys[i])))
            keys[n++] = keys[i]; /* n <= i - 1: what is compared next is still there */
    *ret = keys;
    *ret_n = n;
    return TW_OK;
}

/* Which of them is meant? None runs, and that is said once. */
static enum tw_rc refuse_repeated(struct schedule_run *r, const struct session_key *keys, size_t n)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < n && rc == TW_OK; i++)
        rc = refuse(r, keys[i], "this pair and flow stands more than once in the schedule");
    return rc;
}

static enum tw_rc take_session(struct schedule_run *r, const Tw__SessionSpec *p, uint64_t generation)
{
    struct session_spec spec;
    const char *why = check_spec(r, p, generation, &spec);
    enum tw_rc rc = why ? TW_OK : want(r, p, &spec);

    if (rc == TW_ENOSPC)
        why = "over 4096 targets by host name";
    return why ? refuse(r, make_key(p->pair_id, p->flow), why) : rc;
}

static enum tw_rc take_sessions(struct schedule_run *r, const Tw__ScheduleRequest *rq)
{
    struct session_key *repeated = NULL;
    size_t n = 0;
    enum tw_rc rc = find_repeated(rq, &repeated, &n);

    for (size_t i = 0; i < rq->n_sessions && rc == TW_OK; i++) {
        const struct session_key key = make_key(rq->sessions[i]->pair_id, rq->sessions[i]->flow);
        if (!n || !bsearch(&key, repeated, n, sizeof key, compare_keys))
            rc = take_session(r, rq->sessions[i], rq->generation);
    }
    if (rc == TW_OK)
        rc = refuse_repeated(r, repeated, n);
    free(repeated);
    return rc;
}

/* Of sessions that go on as they are. */
static enum tw_rc keep_troubles(struct schedule_run *r)
{
    struct run_session *s, *tmp;
    enum tw_rc rc = TW_OK;

    HASH_ITER(hh, r->sessions, s, tmp)
    if (rc == TW_OK && s->wanted && !s->changed && s->trouble)
        rc = refuse(r, s->key, s->trouble);
    return rc;
}

enum tw_rc schedule_run_apply(struct schedule_run *r, const Tw__ScheduleRequest *rq, struct tw_err *err)
{
    struct run_session *s, *tmp;
    struct rules rules = { 0 };
    enum tw_rc rc;

    if (!rq->digest.len || rq->digest.len > sizeof r->digest)
        return tw_err_set(err, TW_EINVAL, "schedule without a digest");
    if (rules_read(rq->times, rq->n_times, &rules) != TW_OK)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    rules_free(&r->rules); /* sessions have references to theirs */
    r->rules = rules;
    refusals_clear(&r->refusals);
    r->load = (struct schedule_load){ 0 };
    r->settled = false;
    HASH_ITER(hh, r->sessions, s, tmp)
    s->wanted = false;
    rc = take_sessions(r, rq);
    if (rc == TW_OK)
        rc = keep_troubles(r);
    pair_names_forget(&r->names, r->generation, rq->generation);
    r->generation = rq->generation;
    memcpy(r->digest, rq->digest.data, rq->digest.len);
    r->digest_len = rq->digest.len;
    settle(r);
    return rc == TW_OK ? TW_OK : tw_err_set(err, rc, "out of memory while taking over the schedule");
}

void schedule_run_notice(struct schedule_run *r, const struct worker_notice *n)
{
    struct run_session *s = find(r, make_key(n->pair_id, n->flow));
    struct pair_name *name = pair_names_find(&r->names, n->pair_id);

    if (name && name->in_workers)
        name->in_workers--;
    twamp_run_notice(r->twamp, n);
    if (s && s->clock.times && n->rc == TW_OK && !n->removed) /* its run is over */
        s->running = false;
    if (s && is_agreed(s))
        return;
    if (n->rc == TW_OK || n->removed || !s || !s->running)
        return;
    s->running = false;
    if (s->wanted && !s->changed) /* what it changes to may well start */
        give_up(r, s, n->rc, n->why);
    if (r->settled) /* else it is acknowledged when it is */
        r->conf.on_applied(r->conf.ctx);
}

/* ---- Lifetime and figures ---- */

enum tw_rc schedule_run_new(const struct schedule_run_conf *c, struct schedule_run **ret)
{
    struct schedule_run *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    if (twamp_run_new(&(struct twamp_run_conf){ .loop = c->loop,
                                                .workers = c->workers,
                                                .n_workers = c->n_workers,
                                                .keys = c->keys,
                                                .on_state = on_twamp_state,
                                                .on_handed = on_twamp_handed,
                                                .ctx = r },
                      &r->twamp) != TW_OK) {
        free(r);
        return TW_ENOMEM;
    }
    r->conf = *c;
    r->retry.fn = on_retry;
    r->retry.ctx = r;
    r->settled = true;
    *ret = r;
    return TW_OK;
}

void schedule_run_free(struct schedule_run *r)
{
    struct run_session *s, *tmp;

    if (!r)
        return;
    loop_timer_cancel(r->conf.loop, &r->retry);
    r->conf.on_summary = NULL; /* nobody takes it any more */
    twamp_run_free(r->twamp);
    HASH_ITER(hh, r->sessions, s, tmp)
    free_session(r, s);
    rules_free(&r->rules);
    pair_names_free(&r->names);
    refusals_clear(&r->refusals);
    free(r);
}

uint64_t schedule_run_generation(const struct schedule_run *r)
{
    return r->generation;
}

ProtobufCBinaryData schedule_run_digest(const struct schedule_run *r)
{
    return (ProtobufCBinaryData){ .len = r->digest_len, .data = (uint8_t *)r->digest };
}

void schedule_run_runs(const struct schedule_run *r, uint64_t *ret_begun, uint64_t *ret_missed)
{
    *ret_begun = r->runs;
    *ret_missed = r->runs_missed;
}

uint64_t schedule_run_moves(const struct schedule_run *r)
{
    return r->moves;
}

size_t schedule_run_sessions(const struct schedule_run *r)
{
    return r->load.sessions;
}

size_t schedule_run_refusals(const struct schedule_run *r, Tw__Refusal ***ret, uint64_t *ret_more)
{
    *ret = r->refusals.v;
    *ret_more = r->refusals.more;
    return r->refusals.n;
}
