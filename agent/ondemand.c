/* agent/ondemand.c - see ondemand.h. */
#include "agent/ondemand.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include "agent/flight_pb.h"
#include "agent/keyring.h"
#include "agent/resolver.h"
#include "agent/twamp_run.h"
#include "common/log.h"
#include "common/net/arena.h"
#include "common/net/now.h"
#include "common/net/summary_pb.h"

#define RETRY_NS (20 * TW_NS_PER_MS)
#define SOON_NS (5 * TW_NS_PER_MS) /* until the first probe */
/* A session of TWAMP that never came to its worker gives no notice. */
#define HANDED_NS (200 * TW_NS_PER_MS)
#define NAME_LEN 64
#define ID_MAX (UINT64_C(1) << 53)
#define PEEKS_MAX 4

struct run_flow {
    bool told;   /* its worker, or TWAMP-Control, has it */
    bool halted; /* and has been told to stop it */
    bool ended;
    struct flight_record *tail; /* its last records, once it has ended */
    size_t n_tail;
};

struct run {
    uint64_t key;
    uint64_t test_id, pair_id;
    char mesh[NAME_LEN], class_name[NAME_LEN], target[NAME_LEN];
    struct session_spec spec; /* of flow 0; by_name: until it has an address */
    struct resolver_use host; /* of that name, until then */
    struct ondemand *owner;
    uint32_t flows;
    struct run_flow flow[ONDEMAND_FLOWS_MAX];
    size_t handed, noticed; /* TWAMP: sessions that reached their workers, and ended there */
    int64_t duration_ns;
    bool packets;
    Tw__TestPhase phase;
    Tw__TestEnd end;
    char detail[256];
    int64_t started_ns, ended_ns;
    struct tw_mono stop_at, lease_until, forget_at, gone_at;
    struct tw_summary total;
    uint64_t summaries;
    UT_hash_handle hh;
};

struct ondemand {
    struct ondemand_conf conf;
    struct run *runs; /* in order of their start */
    struct twamp_run *twamp;
    struct loop_timer timer;
    struct arena *arena;
    uint64_t last_key;
    uint64_t started, refused, expired;
};

/* ---- Which run ---- */

static struct run *find_key(const struct ondemand *o, uint64_t key)
{
    struct run *r;

    HASH_FIND(hh, o->runs, &key, sizeof key, r);
    return r;
}

static struct run *find_run(const struct ondemand *o, uint64_t test_id, uint64_t pair_id)
{
    for (struct run *r = o->runs; r; r = r->hh.next)
        if (r->test_id == test_id && r->pair_id == pair_id)
            return r;
    return NULL;
}

static struct worker *worker_of(const struct ondemand *o, const struct run *r, uint32_t flow)
{
    return session_worker(o->conf.workers, o->conf.n_workers, r->key, flow);
}

static bool is_agreed(const struct run *r)
{
    return r->spec.protocol == TW__PROTOCOL__PROTOCOL_TWAMP;
}

static void free_run(struct ondemand *o, struct run *r)
{
    HASH_DEL(o->runs, r);
    resolver_end(&r->host);
    for (uint32_t i = 0; i < r->flows; i++)
        free(r->flow[i].tail);
    summary_free(&r->total);
    free(r);
}

static size_t count_active(const struct ondemand *o)
{
    size_t n = 0;

    for (const struct run *r = o->runs; r; r = r->hh.next)
        n += r->phase != TW__TEST_PHASE__TEST_PHASE_DONE;
    return n;
}

/* ---- Time ---- */

static void earlier(struct tw_mono *at, struct tw_mono t)
{
    if (t.ns && t.ns < at->ns)
        at->ns = t.ns;
}

static bool is_busy(const struct run *r)
{
    bool running = r->phase == TW__TEST_PHASE__TEST_PHASE_RUNNING;

    if (running && r->spec.by_name)
        return false;
    for (uint32_t i = 0; i < r->flows; i++) {
        const struct run_flow *f = &r->flow[i];
        if (running ? !f->told : f->told && !f->ended && !f->halted)
            return true;
    }
    return false;
}

/* When something is to do next. */
static void arm(struct ondemand *o)
{
    struct tw_mono at = TW_MONO_NEVER;

    for (const struct run *r = o->runs; r; r = r->hh.next) {
        if (r->phase == TW__TEST_PHASE__TEST_PHASE_DONE) {
            earlier(&at, r->forget_at);
            continue;
        }
        if (is_busy(r))
            earlier(&at, (struct tw_mono){ tw_mono_now().ns + RETRY_NS });
        if (r->phase == TW__TEST_PHASE__TEST_PHASE_RUNNING) {
            earlier(&at, r->stop_at);
            earlier(&at, r->lease_until);
        } else {
            earlier(&at, r->gone_at);
        }
    }
    if (at.ns == TW_MONO_NEVER.ns)
        loop_timer_cancel(o->conf.loop, &o->timer);
    else
        loop_timer_set(o->conf.loop, &o->timer, at);
}

/* ---- The end of a run ---- */

static void finish(struct run *r)
{
    r->phase = TW__TEST_PHASE__TEST_PHASE_DONE;
    if (r->end == TW__TEST_END__TEST_END_NONE)
        r->end = TW__TEST_END__TEST_END_COMPLETE;
    if (!r->ended_ns)
        r->ended_ns = tw_wall_now().ns;
    r->forget_at.ns = tw_mono_now().ns + ONDEMAND_KEPT_NS;
    log_info("test on demand ended", LOG_U("test", r->test_id), LOG_U("pair", r->pair_id),
             LOG_U("sent", r->total.sent), LOG_U("received", r->total.received), LOG_S("detail", r->detail));
}

static void look_whether_done(struct run *r)
{
    bool waits = false;

    if (r->phase == TW__TEST_PHASE__TEST_PHASE_DONE)
        return;
    for (uint32_t i = 0; i < r->flows; i++)
        waits |= !r->flow[i].ended;
    if (!waits)
        finish(r);
}

/* TW_EBUSY: again later. */
static enum tw_rc halt_flow(struct ondemand *o, struct run *r, uint32_t i)
{
    struct run_flow *f = &r->flow[i];
    enum tw_rc rc = TW_OK;

    if (!f->told) {
        f->ended = true;
        return TW_OK;
    }
    if (f->ended || f->halted)
        return TW_OK;
    if (is_agreed(r))
        twamp_run_remove(o->twamp, r->key, i);
    else
        rc = worker_remove(worker_of(o, r, i), r->key, i);
    if (rc == TW_EBUSY)
        return rc;
    f->halted = true; /* TW_ENOENT: its notice is on the way */
    f->ended = rc == TW_ECLOSED;
    return TW_OK;
}

static void halt(struct ondemand *o, struct run *r)
{
    for (uint32_t i = 0; i < r->flows; i++)
        halt_flow(o, r, i);
    look_whether_done(r);
}

/* No more probes; the first reason counts. */
static void end_run(struct ondemand *o, struct run *r, Tw__TestEnd end, const char *detail)
{
    if (r->phase != TW__TEST_PHASE__TEST_PHASE_RUNNING)
        return;
    resolver_end(&r->host);
    r->phase = TW__TEST_PHASE__TEST_PHASE_ENDING;
    r->end = end;
    r->ended_ns = tw_wall_now().ns;
    r->gone_at.ns = is_agreed(r) ? tw_mono_now().ns + HANDED_NS : 0;
    snprintf(r->detail, sizeof r->detail, "%s", detail);
    halt(o, r);
}

/* ---- The start of a run ---- */

/* The flows of a run share the spacing evenly, beginning now. */
static struct session_spec spec_of(const struct run *r, uint32_t flow)
{
    struct session_spec s = r->spec;
    int64_t share = s.cfg.spacing_ns / r->flows * flow;

    s.cfg.flow = flow;
    s.cfg.seed += flow * UINT64_C(0x9e3779b97f4a7c15);
    s.cfg.phase_ns = (tw_wall_now().ns + SOON_NS + share) % s.cfg.spacing_ns;
    return s;
}

static const char *say_why(enum tw_rc rc, const char *told)
{
    if (rc == TW_ENOMEM)
        return "the agent has no memory or no file descriptors left for it";
    if (told[0])
        return told;
    if (rc == TW_EINVAL)
        return "more probes would be in flight than the agent can remember: shorter timeout or wider spacing";
    if (rc == TW_ENOSPC)
        return "one of the agent's workers has all the sessions or sockets that it can have";
    return "the agent could not open a socket for it";
}

/* False: its name has none yet. */
static bool take_address(struct run *r)
{
    uint16_t port = r->spec.target.port;
    const struct tw_addr *a;

    if (!r->spec.by_name)
        return true;
    a = resolver_address(&r->host);
    if (!a)
        return false;
    r->spec.target = *a;
    r->spec.target.port = port;
    r->spec.by_name = false;
    resolver_end(&r->host);
    if (r->duration_ns && !is_agreed(r))
        r->stop_at.ns = tw_mono_now().ns + r->duration_ns;
    return true;
}

static void start_flows(struct ondemand *o, struct run *r)
{
    if (!take_address(r))
        return;
    for (uint32_t i = 0; i < r->flows; i++) {
        struct session_spec spec = spec_of(r, i);
        enum tw_rc rc;

        if (r->flow[i].told)
            continue;
        rc = is_agreed(r) ? twamp_run_add(o->twamp, &spec)
                          : session_spec_start(&spec, o->conf.keys, worker_of(o, r, spec.cfg.flow));
        if (rc == TW_EBUSY)
            return;
        if (rc) {
            end_run(o, r, TW__TEST_END__TEST_END_FAILED, say_why(rc, ""));
            return;
        }
        r->flow[i].told = true;
        if (r->packets && !is_agreed(r))
            worker_keep_tail(worker_of(o, r, i), r->key,
                             i); /* without it only the end of the list is missing */
    }
}

static void on_name_news(struct resolver_use *u)
{
    struct run *r = u->ctx;
    struct ondemand *o = r->owner;
    char why[sizeof r->detail];

    if (resolver_address(u)) {
        start_flows(o, r);
    } else {
        snprintf(why, sizeof why, "the agent finds no address of \"%.100s\": %s", resolver_name(u), resolver_why(u));
        end_run(o, r, TW__TEST_END__TEST_END_FAILED, why);
    }
    arm(o);
}

/* ---- Timers ---- */

static void look(struct ondemand *o, struct run *r, struct tw_mono now)
{
    if (r->phase == TW__TEST_PHASE__TEST_PHASE_DONE) {
        if (now.ns >= r->forget_at.ns)
            free_run(o, r);
        return;
    }
    if (r->phase == TW__TEST_PHASE__TEST_PHASE_ENDING) {
        if (r->gone_at.ns && now.ns >= r->gone_at.ns && r->noticed == r->handed)
            finish(r);
        else
            halt(o, r);
        if (r->gone_at.ns && now.ns >= r->gone_at.ns)
            r->gone_at.ns = 0;
        return;
    }
    if (now.ns >= r->lease_until.ns) {
        o->expired++;
        end_run(o, r, TW__TEST_END__TEST_END_LEASE, "nobody asked for its progress any more");
    } else if (r->stop_at.ns && now.ns >= r->stop_at.ns) {
        end_run(o, r, TW__TEST_END__TEST_END_COMPLETE, "");
    } else {
        start_flows(o, r);
    }
}

static void on_timer(struct loop_timer *t)
{
    struct ondemand *o = t->ctx;
    struct tw_mono now = tw_mono_now();

    for (struct run *r = o->runs, *next; r; r = next) {
        next = r->hh.next;
        look(o, r, now);
    }
    arm(o);
}

/* ---- What workers and TWAMP-Control say ---- */

void ondemand_note(struct ondemand *o, const struct tw_summary *s)
{
    struct run *r = s->pair_id & ONDEMAND_KEY ? find_key(o, s->pair_id) : NULL;

    if (!r)
        return;
    summary_merge(&r->total, s);
    r->summaries++;
}

bool ondemand_name(const struct ondemand *o, Tw__Summary *m)
{
    const struct run *r;

    if (!(m->pair_id & ONDEMAND_KEY))
        return false;
    r = find_key(o, m->pair_id);
    if (!r)
        return true;
    m->pair_id = r->pair_id;
    m->test_id = r->test_id;
    m->mesh = (char *)r->mesh;
    m->class_name = (char *)r->class_name;
    m->target = (char *)r->target;
    return true;
}

static void keep_tail(struct run_flow *f, const struct worker_notice *n)
{
    if (!n->n_tail || f->tail || !(f->tail = malloc(n->n_tail * sizeof *f->tail)))
        return;
    memcpy(f->tail, n->tail, n->n_tail * sizeof *f->tail);
    f->n_tail = n->n_tail;
}

bool ondemand_notice(struct ondemand *o, const struct worker_notice *n)
{
    struct run *r;
    struct run_flow *f;

    if (!(n->pair_id & ONDEMAND_KEY))
        return false;
    r = find_key(o, n->pair_id);
    if (!r || n->flow >= r->flows)
        return true;
    f = &r->flow[n->flow];
    keep_tail(f, n);
    r->noticed++;
    if (is_agreed(r)) {
        twamp_run_remove(o->twamp, r->key, n->flow);
        twamp_run_notice(o->twamp, n);
    }
    f->ended = true;
    if (n->rc != TW_OK)
        end_run(o, r, TW__TEST_END__TEST_END_FAILED, say_why(n->rc, n->why));
    look_whether_done(r);
    arm(o);
    return true;
}

static void on_twamp_state(void *ctx, uint64_t key, uint32_t flow, const char *why)
{
    struct ondemand *o = ctx;
    struct run *r = find_key(o, key);

    (void)flow;
    if (!r || !why)
        return;
    end_run(o, r, TW__TEST_END__TEST_END_FAILED, why);
    arm(o);
}

static void on_twamp_handed(void *ctx, uint64_t key)
{
    struct ondemand *o = ctx;
    struct run *r = find_key(o, key);

    if (!r)
        return;
    for (uint32_t i = 0; r->packets && i < r->flows; i++)
        worker_keep_tail(worker_of(o, r, i), key, i);
    if (!r->handed++ && r->duration_ns)
        r->stop_at.ns = tw_mono_now().ns + r->duration_ns;
    arm(o);
}

/* ---- Limits ---- */

static void add_load(const struct run *r, struct schedule_load *l)
{
    if (r->phase == TW__TEST_PHASE__TEST_PHASE_RUNNING)
        schedule_load_add(l, &r->spec, r->flows);
}

void ondemand_on_schedule(struct ondemand *o)
{
    struct schedule_load load = { 0 }, with;

    for (struct run *r = o->runs; r; r = r->hh.next) {
        const char *why;
        with = load;
        add_load(r, &with);
        why = schedule_run_room(o->conf.schedule, &with);
        if (why && r->phase == TW__TEST_PHASE__TEST_PHASE_RUNNING)
            end_run(o, r, TW__TEST_END__TEST_END_NO_ROOM, why);
        else
            load = with;
    }
    arm(o);
}

void ondemand_end_all(struct ondemand *o, const char *why)
{
    for (struct run *r = o->runs; r; r = r->hh.next)
        end_run(o, r, TW__TEST_END__TEST_END_STOPPED, why);
    arm(o);
}

static const char *check_room(const struct ondemand *o, const struct session_spec *s, uint32_t flows)
{
    struct schedule_load load = { 0 };

    for (const struct run *r = o->runs; r; r = r->hh.next)
        add_load(r, &load);
    schedule_load_add(&load, s, flows);
    return schedule_run_room(o->conf.schedule, &load);
}

/* ---- TestStart ---- */

/* NULL: fine. */
static const char *check_request(const Tw__TestRunRequest *rq)
{
    const Tw__SessionSpec *s = rq->spec;

    if (!rq->test_id || rq->test_id > ID_MAX || !s || !s->pair_id || s->pair_id > ID_MAX)
        return "expected the numbers of test and pair, and what to send";
    if (!rq->flows || rq->flows > ONDEMAND_FLOWS_MAX || s->flow)
        return "expected 1 to 32 flows, and the specification of flow 0";
    if (strlen(s->mesh) >= NAME_LEN || strlen(s->class_name) >= NAME_LEN || strlen(s->target) >= NAME_LEN)
        return "names have at most 63 octets";
    if ((!rq->count && !rq->duration_ns) || rq->count > ONDEMAND_COUNT_MAX || rq->duration_ns < 0 ||
        rq->duration_ns > ONDEMAND_LASTS_MAX_NS)
        return "expected a count of at most 10000000 probes, or a duration of at most 24h";
    if (rq->lease_ns < ONDEMAND_LEASE_MIN_NS || rq->lease_ns > ONDEMAND_LEASE_MAX_NS)
        return "expected a lease of 1s to 60s";
    return NULL;
}

/* Why this agent cannot run it; NULL: it can, and *ret is what a worker takes. */
static const char *check_spec(const struct ondemand *o, const Tw__TestRunRequest *rq, uint64_t key,
                              struct session_spec *ret)
{
    Tw__SessionSpec own = *rq->spec;
    const char *why;

    own.pair_id = key;
    own.phase_ns = 0;
    why = session_spec_read(&own, 0, ret);
    if (!why && ret->by_name && !o->conf.resolver)
        why = "this agent does not look names up";
    if (!why && !ret->by_name)
        why = schedule_run_forbids(o->conf.schedule, &ret->target);
    if (!why && session_spec_keyed(ret))
        why = keyring_lacks(o->conf.keys, ret->key_id);
    if (!why && rq->count && !rq->duration_ns &&
        (double)rq->count * (double)ret->cfg.spacing_ns > (double)ONDEMAND_LASTS_MAX_NS)
        why = "so many probes take more than 24h: fewer, or narrower spacing";
    if (!why)
        why = check_room(o, ret, rq->flows);
    ret->cfg.count = rq->count;
    return why;
}

static struct run *make_run(struct ondemand *o, const Tw__TestRunRequest *rq, const struct session_spec *spec)
{
    struct run *r = calloc(1, sizeof *r);
    struct tw_now now = tw_now();

    if (!r)
        return NULL;
    r->key = spec->cfg.pair_id;
    r->test_id = rq->test_id;
    r->pair_id = rq->spec->pair_id;
    strcpy(r->mesh, rq->spec->mesh);
    strcpy(r->class_name, rq->spec->class_name);
    strcpy(r->target, rq->spec->target);
    r->spec = *spec;
    r->flows = rq->flows;
    r->duration_ns = rq->duration_ns;
    r->packets = rq->packets;
    r->started_ns = now.wall.ns;
    r->lease_until.ns = now.mono.ns + rq->lease_ns;
    if (rq->duration_ns && !is_agreed(r) && !spec->by_name)
        r->stop_at.ns = now.mono.ns + rq->duration_ns;
    r->owner = o;
    r->host = (struct resolver_use){ .on_news = on_name_news, .ctx = r };
    if (spec->by_name && resolver_begin(o->conf.resolver, rq->spec->host, spec->target.family, &r->host)) {
        free(r); /* its name has been checked: there is no memory, or no room for another one */
        return NULL;
    }
    summary_init(&r->total);
    HASH_ADD(hh, o->runs, key, sizeof r->key, r);
    return r;
}

static void refuse(struct ondemand *o, Tw__Status status, const char *why, void *closure_data)
{
    o->refused++;
    rpc_fail(closure_data, status, "%s", why);
}

void ondemand_start(struct ondemand *o, const Tw__TestRunRequest *rq, Tw__TestRunReply_Closure closure,
                    void *closure_data)
{
    Tw__TestRunReply reply = TW__TEST_RUN_REPLY__INIT;
    const char *why = check_request(rq);
    struct session_spec spec;
    struct run *r;

    if (why) {
        refuse(o, TW__STATUS__STATUS_INVALID_ARGUMENT, why, closure_data);
        return;
    }
    if (find_run(o, rq->test_id, rq->spec->pair_id)) {
        refuse(o, TW__STATUS__STATUS_ALREADY_EXISTS, "this run has been started before", closure_data);
        return;
    }
    why = count_active(o) >= ONDEMAND_RUNS_MAX ? "the agent runs 64 tests on demand already"
                                               : check_spec(o, rq, ONDEMAND_KEY | (o->last_key + 1), &spec);
    if (why) {
        refuse(o, TW__STATUS__STATUS_FAILED_PRECONDITION, why, closure_data);
        return;
    }
    r = make_run(o, rq, &spec);
    if (!r) {
        refuse(o, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory, or over 4096 targets by host name", closure_data);
        return;
    }
    o->last_key++;
    o->started++;
    log_info("test on demand", LOG_U("test", r->test_id), LOG_U("pair", r->pair_id),
             LOG_S("target", r->target), LOG_U("count", rq->count), LOG_U("flows", r->flows));
    start_flows(o, r);
    arm(o);
    reply.started_ns = r->started_ns;
    closure(&reply, closure_data);
}

/* ---- TestStop ---- */

static struct run *asked_run(const struct ondemand *o, uint64_t test_id, uint64_t pair_id, void *closure_data)
{
    struct run *r = find_run(o, test_id, pair_id);

    if (!r)
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND,
                 "the agent runs no such test: it was restarted, or it is over for more than a minute");
    return r;
}

void ondemand_stop(struct ondemand *o, const Tw__TestRunStopRequest *rq, Tw__TestRunStopReply_Closure closure,
                   void *closure_data)
{
    Tw__TestRunStopReply reply = TW__TEST_RUN_STOP_REPLY__INIT;
    struct run *r = asked_run(o, rq->test_id, rq->pair_id, closure_data);

    if (!r)
        return;
    end_run(o, r, TW__TEST_END__TEST_END_STOPPED, "");
    arm(o);
    closure(&reply, closure_data);
}

/* ---- TestProgress ---- */

struct progress {
    struct tw_summary sum;
    struct session_peek peek; /* of all flows; the newest RTT of any */
};

/* What the sessions have that no summary has told yet. */
static enum tw_rc peek_flows(struct ondemand *o, const struct run *r, struct progress *p)
{
    enum tw_rc rc = summary_copy(&p->sum, &r->total);

    p->peek = (struct session_peek){ .in_flight = 0 };
    for (uint32_t i = 0; !rc && i < r->flows; i++) {
        struct session_peek one;
        if (!r->flow[i].told || r->flow[i].ended)
            continue;
        rc = worker_peek(worker_of(o, r, i), r->key, i, &p->sum, &one);
        if (rc == TW_ENOENT) { /* of TWAMP-Control: not agreed yet */
            rc = TW_OK;
            continue;
        }
        p->peek.in_flight += one.in_flight;
        if (one.last_known) {
            p->peek.last_known = true;
            p->peek.last_rtt_ns = one.last_rtt_ns;
        }
    }
    return rc;
}

/* A summary that comes on the way would be missing, or there twice: then again. */
static enum tw_rc measure(struct ondemand *o, const struct run *r, struct progress *p)
{
    enum tw_rc rc = TW_EAGAIN;

    o->conf.collect(o->conf.ctx);
    for (int i = 0; rc == TW_EAGAIN && i < PEEKS_MAX; i++) {
        uint64_t before = r->summaries;
        rc = peek_flows(o, r, p);
        o->conf.collect(o->conf.ctx);
        if (!rc && r->summaries != before)
            rc = TW_EAGAIN;
    }
    return rc == TW_EAGAIN ? TW_OK : rc; /* it is a momentary value, the end is exact */
}

/* All of one flow from `from` on, at most n. */
static size_t read_flow(struct ondemand *o, const struct run *r, uint32_t flow, int64_t from_ns, size_t n,
                        const struct flight_record **ret)
{
    const struct run_flow *f = &r->flow[flow];
    struct flight_span span = { from_ns, from_ns, INT64_MAX };
    struct worker_flight w = { .n = 0 };
    size_t first = 0;

    if (!f->ended) {
        worker_flight(worker_of(o, r, flow), r->key, flow, &span, n, &w);
        *ret = w.records;
        return w.n;
    }
    while (first < f->n_tail && f->tail[first].t1_ns < from_ns)
        first++;
    *ret = first < f->n_tail ? f->tail + first : NULL;
    return f->n_tail - first < n ? f->n_tail - first : n;
}

struct packets {
    Tw__FlightFlow flow[ONDEMAND_FLOWS_MAX], *flows[ONDEMAND_FLOWS_MAX];
    size_t n;
};

static enum tw_rc read_packets(struct ondemand *o, const struct run *r, int64_t from_ns, struct packets *p)
{
    for (uint32_t i = 0; i < r->flows; i++) {
        const struct flight_record *v = NULL;
        size_t n = read_flow(o, r, i, from_ns, ONDEMAND_REPLY_PROBES / r->flows, &v);
        Tw__FlightFlow *m = &p->flow[p->n];

        tw__flight_flow__init(m);
        m->flow = i;
        m->running = !r->flow[i].ended;
        m->total = n;
        m->records = n ? flight_records_to_pb(v, n) : NULL;
        m->n_records = m->records ? n : 0;
        p->flows[p->n++] = m;
        if (n && !m->records)
            return TW_ENOMEM;
    }
    return TW_OK;
}

static void fill_reply(const struct run *r, const struct progress *p, Tw__TestRunProgress *reply)
{
    reply->phase = r->phase;
    reply->end = r->phase == TW__TEST_PHASE__TEST_PHASE_RUNNING ? TW__TEST_END__TEST_END_NONE : r->end;
    reply->detail = (char *)r->detail;
    reply->started_ns = r->started_ns;
    reply->ended_ns = r->ended_ns;
    reply->in_flight = p->peek.in_flight;
    reply->last_known = p->peek.last_known;
    reply->last_rtt_ns = p->peek.last_rtt_ns;
}

static enum tw_rc fill_total(struct ondemand *o, const struct run *r, struct progress *p,
                             Tw__TestRunProgress *reply)
{
    enum tw_rc rc;

    if (!p->sum.start_ns && !p->sum.end_ns)
        return TW_OK;
    arena_reset(o->arena);
    p->sum.pair_id = r->pair_id;
    p->sum.test_id = r->test_id;
    rc = summary_to_pb(&p->sum, o->arena, &reply->total);
    if (rc)
        return rc;
    reply->total->mesh = (char *)r->mesh;
    reply->total->class_name = (char *)r->class_name;
    reply->total->target = (char *)r->target;
    return TW_OK;
}

void ondemand_progress(struct ondemand *o, const Tw__TestRunProgressRequest *rq,
                       Tw__TestRunProgress_Closure closure, void *closure_data)
{
    struct run *r = asked_run(o, rq->test_id, rq->pair_id, closure_data);
    Tw__TestRunProgress reply = TW__TEST_RUN_PROGRESS__INIT;
    struct progress p;
    struct packets packets = { .n = 0 };
    enum tw_rc rc;

    if (!r)
        return;
    if (rq->lease_ns < ONDEMAND_LEASE_MIN_NS || rq->lease_ns > ONDEMAND_LEASE_MAX_NS) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "expected a lease of 1s to 60s");
        return;
    }
    r->lease_until.ns = tw_mono_now().ns + rq->lease_ns;
    summary_init(&p.sum);
    rc = measure(o, r, &p);
    if (!rc && rq->packets)
        rc = read_packets(o, r, rq->packets_from_ns, &packets);
    fill_reply(r, &p, &reply);
    if (!rc)
        rc = fill_total(o, r, &p, &reply);
    reply.n_packets = packets.n;
    reply.packets = packets.flows;
    reply.recording = o->conf.recording;
    if (rc)
        rpc_fail(closure_data, TW__STATUS__STATUS_UNAVAILABLE, "the agent's worker cannot answer now: %s",
                 tw_rc_name(rc));
    else
        closure(&reply, closure_data);
    for (size_t i = 0; i < packets.n; i++)
        free(packets.flow[i].records);
    summary_free(&p.sum);
    arm(o);
}

/* ---- Health, life ---- */

void ondemand_fill_health(const struct ondemand *o, Tw__HealthReport *h)
{
    h->tests = count_active(o);
    h->tests_started = o->started;
    h->tests_refused = o->refused;
    h->tests_expired = o->expired;
}

enum tw_rc ondemand_new(const struct ondemand_conf *c, struct ondemand **ret)
{
    struct ondemand *o = calloc(1, sizeof *o);

    if (!o)
        return TW_ENOMEM;
    o->conf = *c;
    o->timer = (struct loop_timer){ .fn = on_timer, .ctx = o };
    if (arena_new(1u << 20, &o->arena) != TW_OK ||
        twamp_run_new(&(struct twamp_run_conf){ .loop = c->loop,
                                                .workers = c->workers,
                                                .n_workers = c->n_workers,
                                                .keys = c->keys,
                                                .on_state = on_twamp_state,
                                                .on_handed = on_twamp_handed,
                                                .ctx = o },
                      &o->twamp) != TW_OK) {
        ondemand_free(o);
        return TW_ENOMEM;
    }
    *ret = o;
    return TW_OK;
}

void ondemand_free(struct ondemand *o)
{
    if (!o)
        return;
    loop_timer_cancel(o->conf.loop, &o->timer);
    twamp_run_free(o->twamp);
    while (o->runs)
        free_run(o, o->runs);
    if (o->arena)
        arena_free(o->arena);
    free(o);
}
