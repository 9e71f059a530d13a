#include "controller/fleet_push.h"
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/schedule.h"
#include "controller/writer.h"

#define PUSH_DEADLINE_MS 10000
#define ACK_WAIT_NS (10 * TW_NS_PER_S)
#define RETRY_MIN_NS TW_NS_PER_S
#define RETRY_MAX_NS (30 * TW_NS_PER_S)

static void arm(struct fleet_link *l, int64_t in_ns)
{
    if (loop_timer_set(l->c->loop, &l->push, (struct tw_mono){ tw_mono_now().ns + in_ns }) != TW_OK)
        log_error("no memory for a timer: the schedule is offered again at the next change",
                  LOG_S("agent", l->agent->row.name));
}

static void arm_retry(struct fleet_link *l)
{
    int64_t wait = RETRY_MIN_NS << (l->failures < 5 ? l->failures : 5);

    l->failures++;
    arm(l, wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS);
}

void fleet_link_unref(struct fleet_link *l)
{
    if (--l->refs == 0)
        free(l);
}

static void push_done(const Tw__ScheduleReply *reply, void *ctx)
{
    struct fleet_link *l = ctx;
    struct agent *a = l->agent;

    l->pushing = false;
    if (!l->down && a && !reply) {
        log_warn("agent did not take its schedule", LOG_S("agent", a->row.name),
                 LOG_S("status", rpc_status_name(rpc_result().status)), LOG_S("detail", rpc_result().detail));
        arm_retry(l);
    } else if (!l->down && a && a->wanted && memcmp(l->pushed, a->wanted->digest, sizeof l->pushed) != 0) {
        fleet_push(l); /* it changed meanwhile */
    } else if (!l->down && a && !a->acked_current) {
        arm(l, ACK_WAIT_NS);
    }
    fleet_link_unref(l);
}

void fleet_push(struct fleet_link *l)
{
    struct agent *a = l->agent;
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    if (!a || l->down || l->pushing || !a->row.approved || !a->wanted || a->acked_current ||
        !l->c->inv.generation)
        return;
    loop_timer_cancel(l->c->loop, &l->push);
    rq.generation = l->c->inv.generation;
    rq.digest = (ProtobufCBinaryData){ sizeof a->wanted->digest, a->wanted->digest };
    rq.n_sessions = a->wanted->n;
    rq.sessions = a->wanted->list;
    rq.n_times = a->wanted->rules.n;
    rq.times = a->wanted->rules.list;
    memcpy(l->pushed, a->wanted->digest, sizeof l->pushed);
    l->pushing = true;
    l->refs++;
    tw__fleet_agent__schedule(
        rpc_peer_service(l->peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, PUSH_DEADLINE_MS), &rq,
        push_done, l);
}

static void nothing_done(const Tw__ScheduleReply *reply, void *ctx)
{
    struct fleet_link *l = ctx;

    if (!reply && !l->down)
        log_warn("a removed agent did not stop its sessions",
                 LOG_S("status", rpc_status_name(rpc_result().status)), LOG_S("detail", rpc_result().detail));
    fleet_link_unref(l);
}

void fleet_push_nothing(struct fleet_link *l)
{
    uint8_t digest[AGENT_DIGEST_LEN] = { 0 }; /* no list's, so that approval later brings the real one */
    Tw__ScheduleRequest rq = TW__SCHEDULE_REQUEST__INIT;

    if (l->down || l->told_to_stop)
        return;
    l->told_to_stop = true;
    rq.generation = l->c->inv.generation ? l->c->inv.generation : 1;
    rq.digest = (ProtobufCBinaryData){ sizeof digest, digest };
    l->refs++;
    tw__fleet_agent__schedule(
        rpc_peer_service(l->peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, PUSH_DEADLINE_MS), &rq,
        nothing_done, l);
}

static void push_timer(struct loop_timer *t)
{
    fleet_push(t->ctx);
}

void fleet_push_init(struct fleet_link *l)
{
    l->push = (struct loop_timer){ .fn = push_timer, .ctx = l };
    l->refs = 1;
}

void fleet_link_down(struct fleet_link *l)
{
    loop_timer_cancel(l->c->loop, &l->push);
    l->down = true;
    l->agent = NULL;
    fleet_link_unref(l);
}

/* ---- Intervals ---- */

struct interval {
    uint64_t pair_id;
    int64_t period_ns;
    uint32_t flows;
};
struct open_job {
    struct writer_job job; /* first */
    uint64_t generation;
    int64_t from_ns;
    size_t n;
    struct interval v[];
};

static enum tw_rc run_open(struct writer_job *j, struct store *s, struct tw_err *err)
{
    const struct open_job *o = (struct open_job *)j;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < o->n; i++)
        rc = store_pair_scheduled(s, o->v[i].pair_id, o->generation, o->v[i].period_ns, o->v[i].flows,
                                  o->from_ns, err);
    return rc;
}

static void open_done(struct writer_job *j)
{
    if (j->rc != TW_OK && j->rc != TW_ECLOSED)
        log_error("the times at which pairs are scheduled cannot be stored: their completeness will be wrong",
                  LOG_S("error", j->err.text));
    free(j);
}

/* Agents that come and go acknowledge again and again: only what is not open yet is written. */
static void open_intervals(struct controller *c, struct agent *a)
{
    struct open_job *o = malloc(sizeof *o + a->wanted->n * sizeof o->v[0]);

    if (!o)
        return; /* at the next acknowledgement */
    *o = (struct open_job){ .job = { .run = run_open, .done = open_done },
                            .generation = c->inv.generation,
                            .from_ns = tw_wall_now().ns };
    for (size_t i = 0; i < a->wanted->n; i++) {
        struct pair *p = inventory_pair(&c->inv, a->wanted->specs[i].pair_id);

        if (p->interval == INTERVAL_OPEN)
            continue;
        p->interval = INTERVAL_OPEN;
        p->interval_period_ns = p->report_period_ns;
        p->interval_flows = p->flows;
        o->v[o->n++] = (struct interval){ p->row.id, p->report_period_ns, p->flows };
    }
    if (!o->n || writer_submit(c->writer, &o->job) != TW_OK)
        free(o);
}

void fleet_acked(struct fleet_link *l, uint64_t generation, const ProtobufCBinaryData *digest)
{
    struct agent *a = l->agent;

    if (generation != a->acked_generation || !a->acked_ns)
        a->acked_ns = tw_wall_now().ns;
    a->acked_generation = generation;
    memset(a->acked_digest, 0, sizeof a->acked_digest);
    if (digest->len == sizeof a->acked_digest)
        memcpy(a->acked_digest, digest->data, digest->len);
    a->acked_current =
        generation && a->wanted && !memcmp(a->acked_digest, a->wanted->digest, sizeof a->acked_digest);
    if (a->acked_current) {
        l->failures = 0;
        loop_timer_cancel(l->c->loop, &l->push);
        open_intervals(l->c, a);
    } else if (!l->pushing) {
        arm_retry(l);
    }
}
