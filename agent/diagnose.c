/* agent/diagnose.c - what comes in is checked and counted here; see diagnose.h. */
#include "agent/diagnose.h"
#include <stdlib.h>
#include <string.h>
#include "agent/core/test_pkt.h"
#include "agent/diagnose_call.h"
#include "common/net/now.h"

#define WATCH_NS (30 * TW_NS_PER_S) /* nobody asks what has come: the place is needed */
#define TIDY_NS (1 * TW_NS_PER_S)
#define MINUTE_NS (60 * TW_NS_PER_S)
#define SMALL_MAX 1000u

struct watch {
    uint64_t token; /* 0 = free */
    int64_t began_ns;
};
struct slot {
    struct diagnose_call *call; /* NULL = free */
    bool over;                  /* it is answered */
};

struct diagnose {
    struct diagnose_conf conf;
    struct slot slots[DIAGNOSE_RUNS];
    struct watch watches[WORKER_TALLIES];
    struct loop_timer tidy;
    int64_t minute_ns; /* when it began */
    unsigned in_minute;
    uint64_t calls, refused, packets;
};

/* ---- Tidying up: what is over is freed outside of its own callbacks ---- */

static void drop_tallies(struct diagnose *d, uint64_t token)
{
    struct worker_tally ignored;

    for (size_t i = 0; i < d->conf.n_workers; i++)
        worker_tally_end(d->conf.workers[i], token, &ignored);
}

static void on_tidy(struct loop_timer *t)
{
    struct diagnose *d = t->ctx;
    int64_t now = tw_mono_now().ns;
    bool busy = false;

    for (size_t i = 0; i < DIAGNOSE_RUNS; i++) {
        struct slot *s = &d->slots[i];
        if (s->call && s->over && diagnose_call_free(s->call, false))
            *s = (struct slot){ .call = NULL };
        busy |= s->call != NULL;
    }
    for (size_t i = 0; i < WORKER_TALLIES; i++) {
        struct watch *w = &d->watches[i];
        if (w->token && now - w->began_ns > WATCH_NS) {
            drop_tallies(d, w->token);
            w->token = 0;
        }
        busy |= w->token != 0;
    }
    if (busy)
        loop_timer_set(d->conf.loop, t, (struct tw_mono){ now + TIDY_NS });
}

static void tidy_soon(struct diagnose *d, int64_t ns)
{
    loop_timer_set(d->conf.loop, &d->tidy, (struct tw_mono){ tw_mono_now().ns + ns });
}

static void on_ended(void *ctx, struct diagnose_call *c, unsigned packets)
{
    struct diagnose *d = ctx;

    d->packets += packets;
    for (size_t i = 0; i < DIAGNOSE_RUNS; i++)
        if (d->slots[i].call == c)
            d->slots[i].over = true;
    tidy_soon(d, 0);
}

/* ---- Checks ---- */

static const char *wrong_with(const struct diagnose *d, const Tw__DiagnoseRequest *rq)
{
    struct tw_addr a;

    if (!rq->token || (rq->token & DIAG_KIND_MASK))
        return "the token must not be 0, and its two lowest bits must be";
    if (rq->action == TW__DIAGNOSE_ACTION__DIAGNOSE_WATCH || rq->action == TW__DIAGNOSE_ACTION__DIAGNOSE_SEEN)
        return NULL;
    if (rq->action != TW__DIAGNOSE_ACTION__DIAGNOSE_PROBE)
        return "the agent does not know this action";
    if (!*rq->address && !*rq->host)
        return "an address or a host is missing";
    if (*rq->address && tw_addr_parse(rq->address, 0, &a) != TW_OK)
        return "the address is not numeric";
    if (*rq->address && target_rules_forbid(&d->conf.targets, &a))
        return target_rules_forbid(&d->conf.targets, &a);
    if (strlen(rq->host) > 253 || strlen(rq->bind) > 63)
        return "the host has more than 253 octets, or bind more than 63";
    if (rq->family != 0 && rq->family != 4 && rq->family != 6)
        return "the family must be 0, 4 or 6";
    if (rq->port > UINT16_MAX || rq->control_port > UINT16_MAX || rq->dscp > 63)
        return "a port is beyond 65535, or dscp beyond 63";
    if (rq->port && (rq->small_bytes < DIAG_PACKET_MIN || rq->small_bytes > SMALL_MAX ||
                     rq->size_bytes > TEST_DATAGRAM_MAX))
        return "small_bytes must be 14 to 1000, size_bytes at most 9000";
    return NULL;
}

static bool is_over_limit(struct diagnose *d)
{
    int64_t now = tw_mono_now().ns;

    if (!d->minute_ns || now - d->minute_ns >= MINUTE_NS) {
        d->minute_ns = now;
        d->in_minute = 0;
    }
    return d->in_minute >= DIAGNOSE_A_MINUTE;
}

static struct slot *free_slot(struct diagnose *d)
{
    on_tidy(&d->tidy); /* what is over, but for its name's thread, need not be in the way */
    for (size_t i = 0; i < DIAGNOSE_RUNS; i++)
        if (!d->slots[i].call)
            return &d->slots[i];
    return NULL;
}

/* ---- Probing ---- */

static void probe(struct diagnose *d, const Tw__DiagnoseRequest *rq, Tw__DiagnoseReply_Closure closure,
                  void *closure_data)
{
    struct diagnose_call_conf conf = { .loop = d->conf.loop,
                                       .targets = d->conf.targets,
                                       .rq = rq,
                                       .closure = closure,
                                       .closure_data = closure_data,
                                       .ended = on_ended,
                                       .ctx = d };
    struct slot *s = is_over_limit(d) ? NULL : free_slot(d);
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (!s) {
        d->refused++;
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                 "this agent looks for faults already: %u at a time and %u a minute are its limits",
                 DIAGNOSE_RUNS, DIAGNOSE_A_MINUTE);
        return;
    }
    d->in_minute++;
    d->calls++;
    rc = diagnose_call_start(&conf, &s->call, &err);
    if (rc) {
        s->call = NULL;
        d->refused++;
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "%s", err.text);
    }
}

/* ---- Watching ---- */

static struct watch *find_watch(struct diagnose *d, uint64_t token)
{
    for (size_t i = 0; i < WORKER_TALLIES; i++)
        if (d->watches[i].token == token)
            return &d->watches[i];
    return NULL;
}

static void watch(struct diagnose *d, const Tw__DiagnoseRequest *rq, Tw__DiagnoseReply_Closure closure,
                  void *closure_data)
{
    struct watch *w = find_watch(d, rq->token) ? NULL : find_watch(d, 0);
    Tw__DiagnoseReply reply = TW__DIAGNOSE_REPLY__INIT;
    enum tw_rc rc = w ? TW_OK : TW_EBUSY;

    for (size_t i = 0; rc == TW_OK && i < d->conf.n_workers; i++)
        rc = worker_tally_begin(d->conf.workers[i], rq->token);
    if (rc) {
        d->refused++;
        if (w)
            drop_tallies(d, rq->token);
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED,
                 "this reflector counts %d tokens already, or this one", WORKER_TALLIES);
        return;
    }
    *w = (struct watch){ rq->token, tw_mono_now().ns };
    tidy_soon(d, TIDY_NS);
    reply.driver_answers = d->conf.driver_answers;
    closure(&reply, closure_data);
}

static void add_tally(const struct worker_tally *t, Tw__DiagnoseSeen seen[DIAG_KINDS], struct tw_addr *from)
{
    for (size_t k = 0; k < DIAG_KINDS; k++) {
        seen[k].came += (uint32_t)t->kind[k].came;
        seen[k].answered += (uint32_t)t->kind[k].answered;
        seen[k].not_allowed += (uint32_t)t->kind[k].not_allowed;
        seen[k].auth_demanded += (uint32_t)t->kind[k].auth_demanded;
        seen[k].refused += (uint32_t)t->kind[k].refused;
        seen[k].send_errors += (uint32_t)t->kind[k].send_errors;
    }
    if (t->from.family)
        *from = t->from;
}

static void seen(struct diagnose *d, const Tw__DiagnoseRequest *rq, Tw__DiagnoseReply_Closure closure,
                 void *closure_data)
{
    struct watch *w = find_watch(d, rq->token);
    Tw__DiagnoseReply reply = TW__DIAGNOSE_REPLY__INIT;
    Tw__DiagnoseSeen rows[DIAG_KINDS], *list[DIAG_KINDS];
    struct tw_addr from = { .family = 0 };
    char text[TW_ADDR_TEXT];

    if (!w) {
        rpc_fail(closure_data, TW__STATUS__STATUS_NOT_FOUND, "nothing is counted with this token (any more)");
        return;
    }
    for (size_t k = 0; k < DIAG_KINDS; k++) {
        tw__diagnose_seen__init(&rows[k]);
        list[k] = &rows[k];
    }
    for (size_t i = 0; i < d->conf.n_workers; i++) {
        struct worker_tally t;
        if (worker_tally_end(d->conf.workers[i], rq->token, &t) == TW_OK)
            add_tally(&t, rows, &from);
    }
    w->token = 0;
    reply.n_seen = DIAG_KINDS;
    reply.seen = list;
    reply.driver_answers = d->conf.driver_answers;
    if (from.family)
        reply.seen_from = (char *)tw_addr_format(&from, text);
    closure(&reply, closure_data);
}

void diagnose_serve(struct diagnose *d, const Tw__DiagnoseRequest *rq, Tw__DiagnoseReply_Closure closure,
                    void *closure_data)
{
    const char *wrong = wrong_with(d, rq);

    if (wrong)
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", wrong);
    else if (rq->action == TW__DIAGNOSE_ACTION__DIAGNOSE_WATCH)
        watch(d, rq, closure, closure_data);
    else if (rq->action == TW__DIAGNOSE_ACTION__DIAGNOSE_SEEN)
        seen(d, rq, closure, closure_data);
    else
        probe(d, rq, closure, closure_data);
}

/* ---- Life ---- */

enum tw_rc diagnose_new(const struct diagnose_conf *c, struct diagnose **ret)
{
    struct diagnose *d = calloc(1, sizeof *d);

    if (!d)
        return TW_ENOMEM;
    d->conf = *c;
    d->tidy = (struct loop_timer){ .fn = on_tidy, .ctx = d };
    *ret = d;
    return TW_OK;
}

void diagnose_free(struct diagnose *d)
{
    if (!d)
        return;
    loop_timer_cancel(d->conf.loop, &d->tidy);
    for (size_t i = 0; i < DIAGNOSE_RUNS; i++) {
        if (!d->slots[i].call)
            continue;
        diagnose_call_cancel(d->slots[i].call);
        diagnose_call_free(d->slots[i].call, true);
    }
    for (size_t i = 0; i < WORKER_TALLIES; i++)
        if (d->watches[i].token)
            drop_tallies(d, d->watches[i].token);
    free(d);
}

void diagnose_fill_health(const struct diagnose *d, Tw__HealthReport *h)
{
    h->diagnoses = d->calls;
    h->diagnoses_refused = d->refused;
    h->diagnose_packets = d->packets;
}
