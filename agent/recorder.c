/* agent/recorder.c - see recorder.h. */
#include "agent/recorder.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/flight_pb.h"
#include "agent/ondemand.h"
#include "common/grow.h"
#include "common/log.h"
#include "common/net/now.h"

enum { PENDING_MAX = 2048, FREEZES_AT_ONCE = 16, FLOWS_MAX = 256, PAIRS_MAX = 10000 };

struct pending {
    struct worker_incident incident;
    struct tw_mono due;
};

struct recorder {
    struct recorder_conf conf;
    struct loop_timer timer;
    struct pending pending[PENDING_MAX];
    size_t n_pending;
    uint64_t lost; /* incidents for which there was no room, or nothing left to freeze */
    struct log_limit incident_log;
};

/* ---- Asking the workers ---- */

/* TW_ENOENT: no worker runs it. */
static enum tw_rc ask(const struct recorder *r, uint64_t pair_id, uint32_t flow,
                      const struct flight_span *span, size_t limit, struct worker_flight *ret)
{
    enum tw_rc rc = TW_ENOENT;

    for (size_t i = 0; rc == TW_ENOENT && i < r->conf.n_workers; i++)
        rc = worker_flight(r->conf.workers[i], pair_id, flow, span, limit, ret);
    return rc;
}

static size_t add_flow(uint32_t *flows, size_t n, uint32_t flow)
{
    size_t at = n;

    for (size_t i = 0; i < n; i++)
        if (flows[i] == flow)
            return n;
    if (n == FLOWS_MAX)
        return n;
    for (; at && flows[at - 1] > flow; at--)
        flows[at] = flows[at - 1];
    flows[at] = flow;
    return n + 1;
}

static size_t running_flows(const struct recorder *r, uint64_t pair_id, uint32_t flows[FLOWS_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < r->conf.n_workers; i++) {
        uint32_t some[FLOWS_MAX];
        size_t k = worker_flows(r->conf.workers[i], pair_id, some, FLOWS_MAX);
        for (size_t j = 0; j < k && j < FLOWS_MAX; j++)
            n = add_flow(flows, n, some[j]);
    }
    return n;
}

/* ---- Freezing ---- */

static enum tw_rc freeze(struct recorder *r, const struct frozen_part *head, const struct flight_span *span,
                         const struct frozen_part **ret)
{
    struct worker_flight a;
    enum tw_rc rc = ask(r, head->pair_id, head->flow, span, FROZEN_PROBES_MAX, &a);

    if (!rc && !a.n)
        rc = TW_EAGAIN;
    return rc ? rc : frozen_add(r->conf.frozen, head, a.records, a.n, ret);
}

static void say_run(const struct worker_incident *c, char *ret, size_t cap)
{
    if (c->what.ended)
        snprintf(ret, cap, "%" PRIu64 " probes lost in a row, until now", c->what.probes);
    else
        snprintf(ret, cap, "%" PRIu64 " or more probes lost in a row", c->what.probes);
}

static void freeze_incident(struct recorder *r, const struct worker_incident *c)
{
    const struct frozen_part *part;
    struct frozen_part head = { .pair_id = c->pair_id,
                                .flow = c->flow,
                                .cause = TW__FLIGHT_CAUSE__FLIGHT_CAUSE_LOSS_RUN,
                                .at_ns = c->what.at_ns,
                                .frozen_ns = tw_wall_now().ns };
    struct flight_span span = { c->what.at_ns - RECORDER_AROUND_NS, c->what.at_ns,
                                c->what.at_ns + RECORDER_AROUND_NS };
    unsigned held;
    enum tw_rc rc;

    say_run(c, head.reason, sizeof head.reason);
    rc = freeze(r, &head, &span, &part);
    if (rc != TW_OK && rc != TW_ENOSPC) /* frozen.c counts that */
        r->lost++;
    if (log_limit_ok(&r->incident_log, tw_mono_now().ns, &held))
        log_info("probes were lost in a row", LOG_U("pair", c->pair_id), LOG_U("flow", c->flow),
                 LOG_U("probes", c->what.probes), LOG_S("frozen", rc == TW_OK ? "yes" : tw_rc_name(rc)),
                 LOG_U("held_back", held));
}

/* ---- Incidents ---- */

/* Until what follows it has met its fate; at most half of what is left until the ring has forgotten what was
 * before it. */
static int64_t wait_for(const struct worker_incident *c, int64_t now_ns)
{
    int64_t age = now_ns - c->what.at_ns;
    int64_t wanted = RECORDER_AROUND_NS + c->timeout_ns - age;
    int64_t most = (c->holds_ns - age) / 2;

    if (wanted > most)
        wanted = most;
    return wanted > 0 ? wanted : 0;
}

static void arm(struct recorder *r)
{
    struct tw_mono first = TW_MONO_NEVER;

    for (size_t i = 0; i < r->n_pending; i++)
        if (r->pending[i].due.ns < first.ns)
            first = r->pending[i].due;
    if (r->n_pending)
        loop_timer_set(r->conf.loop, &r->timer, first);
}

/* A few at a time: each asks a worker. */
static void on_timer(struct loop_timer *t)
{
    struct recorder *r = t->ctx;
    struct tw_mono now = tw_mono_now();
    unsigned done = 0;

    for (size_t i = 0; i < r->n_pending && done < FREEZES_AT_ONCE;) {
        struct worker_incident c = r->pending[i].incident;
        if (r->pending[i].due.ns > now.ns) {
            i++;
            continue;
        }
        r->pending[i] = r->pending[--r->n_pending];
        freeze_incident(r, &c);
        done++;
    }
    arm(r);
}

void recorder_on_results(struct recorder *r)
{
    struct tw_now now = tw_now();
    struct worker_incident c;

    for (size_t i = 0; i < r->conf.n_workers; i++) {
        while (worker_next_incident(r->conf.workers[i], &c) == TW_OK) {
            if (c.pair_id & ONDEMAND_KEY) /* whoever wants it is watching, and the number means nothing later */
                continue;
            if (r->n_pending == PENDING_MAX) {
                r->lost++;
                continue;
            }
            r->pending[r->n_pending++] = (struct pending){ c, { now.mono.ns + wait_for(&c, now.wall.ns) } };
        }
    }
    arm(r);
}

/* ---- Flight ---- */

/* In order of sending; of two copies of a probe the ring's first. */
struct found {
    struct flight_record record;
    bool live;
};

static int by_time(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->record.t1_ns != y->record.t1_ns)
        return x->record.t1_ns < y->record.t1_ns ? -1 : 1;
    if (x->record.seq != y->record.seq)
        return x->record.seq < y->record.seq ? -1 : 1;
    return (int)y->live - (int)x->live;
}

static size_t without_copies(struct found *v, size_t n)
{
    size_t k = 0;

    qsort(v, n, sizeof *v, by_time);
    for (size_t i = 0; i < n; i++) {
        if (k && v[k - 1].record.t1_ns == v[i].record.t1_ns && v[k - 1].record.seq == v[i].record.seq)
            continue;
        v[k++] = v[i];
    }
    return k;
}

static size_t add_frozen(const struct recorder *r, const Tw__FlightRequest *rq, uint32_t flow,
                         struct found *v)
{
    const struct frozen_part *p;
    size_t n = 0;

    for (size_t i = 0; (p = frozen_at(r->conf.frozen, i)); i++) {
        if (p->pair_id != rq->pair_id || p->flow != flow)
            continue;
        for (size_t k = 0; k < p->n; k++)
            if (p->records[k].t1_ns >= rq->from_ns && p->records[k].t1_ns < rq->to_ns)
                v[n++] = (struct found){ p->records[k], false };
    }
    return n;
}

static size_t frozen_probes(const struct recorder *r, uint64_t pair_id)
{
    const struct frozen_part *p;
    size_t n = 0;

    for (size_t i = 0; (p = frozen_at(r->conf.frozen, i)); i++)
        n += p->pair_id == pair_id ? p->n : 0;
    return n;
}

/* The records around `at`, as messages. */
static enum tw_rc put_records(Tw__FlightFlow *ret, const struct found *v, size_t n, int64_t at_ns,
                              size_t limit)
{
    size_t before = 0, skip = 0, k = n < limit ? n : limit;
    struct flight_record *flat = malloc(k * sizeof *flat + 1);

    if (!flat)
        return TW_ENOMEM;
    while (before < n && v[before].record.t1_ns < at_ns)
        before++;
    if (before > k / 2)
        skip = before - k / 2;
    if (skip > n - k)
        skip = n - k;
    for (size_t i = 0; i < k; i++)
        flat[i] = v[skip + i].record;
    ret->records = flight_records_to_pb(flat, k);
    ret->n_records = ret->records ? k : 0;
    free(flat);
    return ret->records ? TW_OK : TW_ENOMEM;
}

static enum tw_rc look_up(const struct recorder *r, const Tw__FlightRequest *rq, uint32_t flow, size_t limit,
                          struct found *v, Tw__FlightFlow *ret)
{
    struct flight_span span = { rq->from_ns, rq->at_ns, rq->to_ns };
    struct worker_flight a = { .n = 0 };
    enum tw_rc rc = ask(r, rq->pair_id, flow, &span, limit, &a);
    size_t n = a.n, all;

    tw__flight_flow__init(ret);
    ret->flow = flow;
    if (rc && rc != TW_ENOENT)
        return rc;
    ret->running = !rc;
    ret->kept = a.kept.n;
    ret->kept_from_ns = a.kept.first_ns;
    ret->kept_to_ns = a.kept.last_ns;
    for (size_t i = 0; i < a.n; i++)
        v[i] = (struct found){ a.records[i], true };
    all = without_copies(v, n + add_frozen(r, rq, flow, v + n));
    ret->total = all + (a.total - a.n); /* the ring has more than we asked for */
    return put_records(ret, v, all, rq->at_ns, limit);
}

struct answer {
    Tw__FlightReply reply;
    Tw__FlightFlow flow[FLOWS_MAX], *flows[FLOWS_MAX];
    Tw__FlightFrozen part[FROZEN_PARTS_MAX], *parts[FROZEN_PARTS_MAX];
};

static void free_answer(struct answer *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->reply.n_flows; i++)
        free(a->flow[i].records);
    free(a);
}

static size_t flows_of(const struct recorder *r, const Tw__FlightRequest *rq, uint32_t flows[FLOWS_MAX])
{
    const struct frozen_part *p;
    size_t n;

    flows[0] = rq->flow;
    if (rq->one_flow)
        return 1;
    n = running_flows(r, rq->pair_id, flows);
    for (size_t i = 0; (p = frozen_at(r->conf.frozen, i)); i++)
        if (p->pair_id == rq->pair_id)
            n = add_flow(flows, n, p->flow);
    return n;
}

static void put_frozen(const struct recorder *r, uint64_t pair_id, struct answer *a)
{
    const struct frozen_part *p;

    for (size_t i = 0; (p = frozen_at(r->conf.frozen, i)); i++) {
        size_t k = a->reply.n_frozen;
        if (p->pair_id != pair_id)
            continue;
        frozen_describe(p, &a->part[k]);
        a->parts[k] = &a->part[k];
        a->reply.n_frozen++;
    }
}

static enum tw_rc fill_answer(const struct recorder *r, const Tw__FlightRequest *rq, struct answer *a)
{
    uint32_t flows[FLOWS_MAX];
    size_t n = flows_of(r, rq, flows), share = RECORDER_REPLY_PROBES / (n ? n : 1);
    size_t limit = rq->limit && rq->limit < share ? rq->limit : share;
    struct found *v = malloc((WORKER_FLIGHT_MAX + frozen_probes(r, rq->pair_id)) * sizeof *v);
    enum tw_rc rc = v ? TW_OK : TW_ENOMEM;

    tw__flight_reply__init(&a->reply);
    a->reply.flows = a->flows;
    a->reply.frozen = a->parts;
    a->reply.recording = r->conf.recording;
    for (size_t i = 0; !rc && i < n; i++) {
        rc = look_up(r, rq, flows[i], limit, v, &a->flow[i]);
        a->flows[i] = &a->flow[i];
        a->reply.n_flows++;
    }
    put_frozen(r, rq->pair_id, a);
    free(v);
    return rc;
}

static void fail(void *closure_data, enum tw_rc rc)
{
    rpc_fail(closure_data,
             rc == TW_ETIMEOUT ? TW__STATUS__STATUS_UNAVAILABLE : TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "%s",
             rc == TW_ETIMEOUT ? "the agent's worker did not answer within a second" : tw_rc_name(rc));
}

static bool is_span(int64_t from_ns, int64_t at_ns, int64_t to_ns, void *closure_data)
{
    if (from_ns < to_ns && from_ns <= at_ns && at_ns <= to_ns)
        return true;
    rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
             "no span: expected from <= at <= to, from < to");
    return false;
}

void recorder_flight(struct recorder *r, const Tw__FlightRequest *rq, Tw__FlightReply_Closure closure,
                     void *closure_data)
{
    struct answer *a;
    enum tw_rc rc;

    if (!is_span(rq->from_ns, rq->at_ns, rq->to_ns, closure_data))
        return;
    a = calloc(1, sizeof *a);
    rc = a ? fill_answer(r, rq, a) : TW_ENOMEM;
    if (rc)
        fail(closure_data, rc);
    else
        closure(&a->reply, closure_data);
    free_answer(a);
}

/* ---- FlightFreeze, FlightList ---- */

struct parts {
    Tw__FlightFrozen *part, **list;
    size_t n, cap;
};

/* NULL: no memory. */
static Tw__FlightFrozen *add_part(struct parts *v, const struct frozen_part *p)
{
    if (!TW_GROW(&v->part, v->n, &v->cap, 64))
        return NULL;
    frozen_describe(p, &v->part[v->n]);
    return &v->part[v->n++];
}

static enum tw_rc list_parts(struct parts *v)
{
    v->list = malloc(v->n * sizeof *v->list + 1);
    for (size_t i = 0; v->list && i < v->n; i++)
        v->list[i] = &v->part[i];
    return v->list ? TW_OK : TW_ENOMEM;
}

static void free_parts(struct parts *v)
{
    free(v->part);
    free(v->list);
}

/* A flow that has nothing in the span has no part. */
static enum tw_rc freeze_pair(struct recorder *r, const Tw__FlightFreezeRequest *rq, uint64_t pair_id,
                              int64_t now_ns, struct parts *v)
{
    struct flight_span span = { rq->from_ns, rq->at_ns, rq->to_ns };
    uint32_t flows[FLOWS_MAX];
    size_t n = running_flows(r, pair_id, flows);
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && i < n; i++) {
        const struct frozen_part *part;
        Tw__FlightFrozen *m;
        struct frozen_part head = {
            .pair_id = pair_id, .flow = flows[i], .cause = rq->cause, .at_ns = rq->at_ns, .frozen_ns = now_ns
        };
        snprintf(head.reason, sizeof head.reason, "%s", rq->reason);
        rc = freeze(r, &head, &span, &part);
        if (rc == TW_EAGAIN || rc == TW_ENOENT)
            rc = TW_OK;
        else if (!rc && (m = add_part(v, part)))
            m->reason = rq->reason; /* the part may have to give way to the next one */
        else if (!rc)
            rc = TW_ENOMEM;
    }
    return rc;
}

void recorder_freeze(struct recorder *r, const Tw__FlightFreezeRequest *rq,
                     Tw__FlightFreezeReply_Closure closure, void *closure_data)
{
    Tw__FlightFreezeReply reply = TW__FLIGHT_FREEZE_REPLY__INIT;
    int64_t now_ns = tw_wall_now().ns;
    struct parts v = { 0 };
    enum tw_rc rc = TW_OK;

    if (!is_span(rq->from_ns, rq->at_ns, rq->to_ns, closure_data))
        return;
    if (rq->n_pair_ids > PAIRS_MAX || strlen(rq->reason) > FROZEN_REASON_MAX) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT,
                 "more than %d pairs, or a reason of more than %u octets", PAIRS_MAX, FROZEN_REASON_MAX);
        return;
    }
    for (size_t i = 0; !rc && i < rq->n_pair_ids; i++)
        rc = freeze_pair(r, rq, rq->pair_ids[i], now_ns, &v);
    if (!rc)
        rc = list_parts(&v);
    if (rc) {
        fail(closure_data, rc);
    } else {
        reply.n_frozen = v.n;
        reply.frozen = v.list;
        reply.recording = r->conf.recording;
        closure(&reply, closure_data);
    }
    free_parts(&v);
}

void recorder_list(struct recorder *r, Tw__FlightListReply_Closure closure, void *closure_data)
{
    Tw__FlightListReply reply = TW__FLIGHT_LIST_REPLY__INIT;
    const struct frozen_part *p;
    struct frozen_stats st;
    struct parts v = { 0 };
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; !rc && (p = frozen_at(r->conf.frozen, i)); i++)
        rc = add_part(&v, p) ? TW_OK : TW_ENOMEM;
    if (!rc)
        rc = list_parts(&v);
    frozen_stats(r->conf.frozen, &st);
    if (rc) {
        fail(closure_data, rc);
    } else {
        reply.n_frozen = v.n;
        reply.frozen = v.list;
        reply.gave_way = st.gave_way;
        closure(&reply, closure_data);
    }
    free_parts(&v);
}

/* ---- Health, life ---- */

void recorder_fill_health(const struct recorder *r, Tw__HealthReport *h)
{
    struct frozen_stats st;

    frozen_stats(r->conf.frozen, &st);
    h->flight_frozen = st.parts;
    h->flight_frozen_bytes = st.octets;
    h->flight_gave_way = st.gave_way + st.refused + r->lost;
    for (size_t i = 0; i < r->conf.n_workers; i++) {
        struct worker_counters c;
        worker_counters(r->conf.workers[i], &c);
        if (!i || c.flight_share < h->flight_share)
            h->flight_share = c.flight_share;
        if (c.flight_kept_min_ns && (!h->flight_kept_ns || (int64_t)c.flight_kept_min_ns < h->flight_kept_ns))
            h->flight_kept_ns = (int64_t)c.flight_kept_min_ns;
        h->flight_bytes += c.flight_octets;
        h->flight_unrecorded += c.flight_refused;
        h->flight_withheld += c.flight_withheld;
        h->flight_gave_way += c.flight_incidents_lost;
    }
}

enum tw_rc recorder_new(const struct recorder_conf *c, struct recorder **ret)
{
    struct recorder *r = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->conf = *c;
    r->timer = (struct loop_timer){ .fn = on_timer, .ctx = r };
    r->incident_log.burst = 10;
    *ret = r;
    return TW_OK;
}

void recorder_free(struct recorder *r)
{
    if (!r)
        return;
    loop_timer_cancel(r->conf.loop, &r->timer);
    free(r);
}
