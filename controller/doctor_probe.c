/* controller/doctor_probe.c - probes of the doctor: the target's agent is told to count, the source's to
 * send, and then the target's is asked for what it counted; see doctor.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "common/net/now.h"
#include "common/grow.h"
#include "controller/doctor_reply.h"
#include "controller/doctor_run.h"

#define WATCH_DEADLINE_MS 3000u
#define PROBE_DEADLINE_MS 15000u
#define OF_ONE_SOURCE 2u
#define OF_ONE_TARGET 3u
#define TO_AGENTS_BYTES 40u /* so few that no XDP program answers before they are counted */
#define TO_OTHERS_BYTES 64u

struct call {
    struct run *run;
    struct way *way;
};

/* ---- Which ---- */

static int urgency(const struct way *w)
{
    return w->asked_for ? 0 : w->suspect ? 1 : w->only_for_agent ? 2 : 3;
}

static int by_urgency(const void *a, const void *b)
{
    const struct way *x = *(struct way *const *)a, *y = *(struct way *const *)b;
    int order = urgency(x) - urgency(y);

    if (!order)
        order = strcmp(x->facts.target, y->facts.target);
    return order ? order : strcmp(x->facts.source, y->facts.source);
}

static const struct agent *agent_of(const struct run *r, const char *name)
{
    return inventory_agent(&r->d->c->inv, name);
}

static bool is_up(const struct agent *a)
{
    return a && a->row.approved && a->peer;
}

/* "": it can be probed. */
static const char *obstacle(const struct run *r, const struct way *w)
{
    if (!is_up(agent_of(r, w->facts.source)))
        return "its source is not connected";
    if (!*w->address && !*w->host)
        return "the address of its target is not known";
    if (!w->port && !w->control_port)
        return "its target has no reflector";
    return "";
}

/* The list is sorted by target within each urgency, so those of one target are neighbours. */
enum tw_rc run_choose(struct run *r)
{
    bool all = r->query.probe_all || r->n_all_ways <= DOCTOR_PROBES_ALL;
    const char *last = "";
    unsigned of_target = 0;

    if (r->n_list)
        qsort(r->list, r->n_list, sizeof *r->list, by_urgency);
    for (size_t i = 0; i < r->n_list; i++) {
        struct way *w = r->list[i];
        const char *why = obstacle(r, w);

        of_target = strcmp(last, w->facts.target) ? 0 : of_target;
        last = w->facts.target;
        if (!w->asked_for && (w->facts.away || (!w->suspect && !w->only_for_agent && !all)))
            continue;
        if (*why) {
            snprintf(w->why_not, sizeof w->why_not, "it was not probed: %s", why);
        } else if (r->info.probes >= DOCTOR_PROBES ||
                   (of_target >= DOCTOR_TO_ONE_TARGET && !w->asked_for && !all)) {
            r->info.not_probed++;
        } else {
            w->state = WAY_WAITS;
            r->info.probes++;
            of_target++;
        }
    }
    return TW_OK;
}

/* ---- What came ---- */

static void take_probe(struct way *w, const Tw__DiagnoseReply *m)
{
    w->probe = calloc(1, sizeof *w->probe);
    if (w->probe)
        doctor_take_probe(m, w->host, w->control_port, w->probe);
    else
        snprintf(w->why_not, sizeof w->why_not, "it was probed, but there is no memory for what came of it");
}

/* ---- Calls ---- */

static void set_active(struct run *r, struct way *from, struct way *to)
{
    for (size_t i = 0; i < DOCTOR_PROBES_AT_A_TIME; i++)
        if (r->active[i] == from) {
            r->active[i] = to;
            return;
        }
}

static void end(struct run *r, struct way *w)
{
    set_active(r, w, NULL);
    w->state = WAY_DONE;
    r->running--;
    r->d->running--;
    r->open--;
    r->info.probes_done++;
}

static void probe_done(struct call *c)
{
    struct run *r = c->run;

    end(r, c->way);
    free(c);
    run_advance(r);
}

static Tw__DiagnoseRequest request_of(const struct way *w, Tw__DiagnoseAction action)
{
    Tw__DiagnoseRequest rq = TW__DIAGNOSE_REQUEST__INIT;

    rq.action = action;
    rq.token = w->token;
    return rq;
}

static void call(struct rpc_peer *p, uint32_t deadline_ms, const Tw__DiagnoseRequest *rq,
                 Tw__DiagnoseReply_Closure done, struct call *c)
{
    tw__fleet_agent__diagnose(rpc_peer_service(p, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, deadline_ms),
                              rq, done, c);
}

static void on_seen(const Tw__DiagnoseReply *m, void *ctx)
{
    struct call *c = ctx;

    if (m && c->way->probe)
        doctor_take_seen(m, c->way->probe);
    probe_done(c);
}

static struct rpc_peer *peer_of(const struct run *r, const char *name)
{
    const struct agent *a = r->d->stopped || r->info.stopped ? NULL : agent_of(r, name);

    return is_up(a) ? a->peer : NULL;
}

static void ask_what_was_seen(struct call *c)
{
    struct rpc_peer *p = c->way->watched ? peer_of(c->run, c->way->facts.target) : NULL;
    Tw__DiagnoseRequest rq = request_of(c->way, TW__DIAGNOSE_ACTION__DIAGNOSE_SEEN);

    if (p)
        call(p, WATCH_DEADLINE_MS, &rq, on_seen, c);
    else
        probe_done(c);
}

static void note_cannot(struct run *r, const char *name)
{
    for (size_t i = 0; i < r->n_cannot; i++)
        if (r->cannot_diagnose[i] == name)
            return;
    if (!TW_GROW(&r->cannot_diagnose, r->n_cannot, &r->cap_cannot, 16))
        return;
    r->cannot_diagnose[r->n_cannot++] = name;
}

static void note_failure(struct call *c)
{
    struct rpc_result res = rpc_result();

    if (res.status == TW__STATUS__STATUS_UNIMPLEMENTED) {
        note_cannot(c->run, c->way->facts.source);
        snprintf(c->way->why_not, sizeof c->way->why_not, "it was not probed: %s is too old to do it",
                 c->way->facts.source);
    } else {
        snprintf(c->way->why_not, sizeof c->way->why_not, "it was not probed: %s: %.120s",
                 c->way->facts.source, res.detail && *res.detail ? res.detail : rpc_status_name(res.status));
    }
}

static void on_probed(const Tw__DiagnoseReply *m, void *ctx)
{
    struct call *c = ctx;

    if (m)
        take_probe(c->way, m);
    else
        note_failure(c);
    ask_what_was_seen(c);
}

static void send_probe(struct call *c)
{
    struct way *w = c->way;
    struct rpc_peer *p = peer_of(c->run, w->facts.source);
    Tw__DiagnoseRequest rq = request_of(w, TW__DIAGNOSE_ACTION__DIAGNOSE_PROBE);

    if (!p) {
        snprintf(w->why_not, sizeof w->why_not, "it was not probed: its source is not connected");
        ask_what_was_seen(c);
        return;
    }
    rq.address = w->address;
    rq.host = w->host;
    rq.family = w->family;
    rq.port = w->port;
    rq.small_bytes = w->facts.target_is_agent ? TO_AGENTS_BYTES : TO_OTHERS_BYTES;
    rq.size_bytes = w->size > rq.small_bytes ? w->size : 0;
    rq.dscp = w->dscp;
    rq.df = w->df;
    rq.path_mtu = rq.size_bytes != 0;
    rq.stamp = w->stamp && !w->facts.target_is_agent;
    rq.control_port = w->control_port;
    rq.bind = w->bind;
    call(p, PROBE_DEADLINE_MS, &rq, on_probed, c);
}

static void on_watching(const Tw__DiagnoseReply *m, void *ctx)
{
    struct call *c = ctx;

    c->way->watched = m != NULL;
    if (!m && rpc_result().status == TW__STATUS__STATUS_UNIMPLEMENTED)
        note_cannot(c->run, c->way->facts.target);
    send_probe(c);
}

static void begin(struct run *r, struct way *w)
{
    struct call *c = calloc(1, sizeof *c);
    struct rpc_peer *target;
    Tw__DiagnoseRequest rq;

    set_active(r, NULL, w); /* there are as many places as may run */
    w->state = WAY_RUNS;
    r->running++;
    r->d->running++;
    r->open++;
    if (!c || getrandom(&w->token, sizeof w->token, 0) != (ssize_t)sizeof w->token) {
        free(c);
        snprintf(w->why_not, sizeof w->why_not, "it was not probed: out of memory");
        end(r, w);
        return;
    }
    w->token = (w->token | UINT64_C(0x8000000000000000)) & ~UINT64_C(3);
    *c = (struct call){ r, w };
    target = w->facts.target_is_agent && w->port ? peer_of(r, w->facts.target) : NULL;
    rq = request_of(w, TW__DIAGNOSE_ACTION__DIAGNOSE_WATCH);
    if (target)
        call(target, WATCH_DEADLINE_MS, &rq, on_watching, c);
    else
        send_probe(c);
}

static unsigned running_with(const struct run *r, const char *source, const char *target)
{
    unsigned n = 0;

    for (size_t i = 0; i < DOCTOR_PROBES_AT_A_TIME; i++) {
        const struct way *w = r->active[i];
        n += w &&
             ((source && !strcmp(w->facts.source, source)) || (target && !strcmp(w->facts.target, target)));
    }
    return n;
}

void run_probe_more(struct run *r)
{
    for (size_t i = 0; i < r->n_list && r->d->running < DOCTOR_PROBES_AT_A_TIME; i++) {
        struct way *w = r->list[i];

        if (w->state == WAY_WAITS && running_with(r, w->facts.source, NULL) < OF_ONE_SOURCE &&
            running_with(r, NULL, w->facts.target) < OF_ONE_TARGET)
            begin(r, w);
    }
}
