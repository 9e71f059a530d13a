#include "controller/fleet_push.h"
#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/intervals.h"
#include "controller/schedule.h"

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

/* ---- Whose turn is it? ---- */

static void take_turn(struct fleet_link *l, size_t sessions)
{
    l->under_way = sessions;
    l->c->pushes->under_way += sessions;
}

static void leave_queue(struct fleet_link *l)
{
    if (l->queued)
        DL_DELETE(l->c->pushes->first, l);
    l->queued = false;
}

static bool is_free(const struct push_queue *q)
{
    return q->first && q->under_way < PUSH_SESSIONS;
}

/* Others have their turn in between. */
static void push_next(struct loop_task *t)
{
    struct push_queue *q = t->ctx;
    int64_t until_ns = tw_mono_now().ns + LOOP_SLICE_NS;

    while (is_free(q)) {
        struct fleet_link *next = q->first;

        if (tw_mono_now().ns >= until_ns) {
            loop_post(next->c->loop, t);
            return;
        }
        leave_queue(next);
        fleet_push(next);
    }
}

/* Something has arrived, or never will. */
static void end_turn(struct fleet_link *l)
{
    struct push_queue *q = l->c->pushes;

    q->under_way -= l->under_way;
    l->under_way = 0;
    if (is_free(q))
        loop_post(l->c->loop, &q->task);
}

static void enqueue(struct fleet_link *l)
{
    if (!l->queued)
        DL_APPEND(l->c->pushes->first, l);
    l->queued = true;
}

static bool must_wait(struct fleet_link *l)
{
    if (l->c->pushes->under_way < PUSH_SESSIONS)
        return false;
    enqueue(l);
    return true;
}

/* ---- Sending ---- */

static void push_done(const Tw__ScheduleReply *reply, void *ctx);

static void send_request(struct fleet_link *l, const Tw__ScheduleRequest *rq, size_t sessions)
{
    l->pushing = true;
    l->refs++;
    take_turn(l, sessions);
    tw__fleet_agent__schedule(
        rpc_peer_service(l->peer, RPC_FLEET_AGENT, &tw__fleet_agent__descriptor, PUSH_DEADLINE_MS), rq,
        push_done, l);
}

static void name_schedule(struct fleet_link *l, Tw__ScheduleRequest *rq)
{
    struct agent *a = l->agent;

    tw__schedule_request__init(rq);
    rq->generation = l->c->inv.generation;
    rq->digest = (ProtobufCBinaryData){ sizeof a->digest, a->digest };
    memcpy(l->pushed, a->digest, sizeof l->pushed);
}

/* False: it cannot be told as a difference, or that would be no shorter. */
static bool push_delta(struct fleet_link *l)
{
    struct agent *a = l->agent;
    struct session_part part;
    struct session_delta d;
    Tw__ScheduleRequest rq;
    size_t sessions;

    if (!agent_can(a, "schedule-delta") || schedule_delta(&l->c->inv, a, &d) != TW_OK)
        return false;
    sessions = d.added->n + d.n_removed;
    if (sessions > a->sessions / 2 + 1 || sessions > SCHEDULE_PART_SESSIONS ||
        session_list_part(d.added, 0, &part) != TW_OK) {
        session_delta_free(&d);
        return false;
    }
    if (part.n < d.added->n) { /* too long for one request */
        free(part.rules);
        session_delta_free(&d);
        return false;
    }
    name_schedule(l, &rq);
    rq.base_digest = (ProtobufCBinaryData){ sizeof a->acked_digest, a->acked_digest };
    rq.removed = d.removed;
    rq.n_removed = d.n_removed;
    rq.added = d.added->list;
    rq.n_added = d.added->n;
    rq.times = part.rules;
    rq.n_times = part.n_rules;
    rq.total = (uint32_t)a->sessions;
    l->whole = false;
    l->c->pushes->differences++;
    send_request(l, &rq, sessions);
    free(part.rules);
    session_delta_free(&d);
    return true;
}

/* Part l->part of it, from session l->from on. */
static void push_list(struct fleet_link *l)
{
    struct agent *a = l->agent;
    struct session_list *list = schedule_list(&l->c->inv, a);
    struct session_part part = { 0 };
    Tw__ScheduleRequest rq;
    size_t from;

    if (!list || session_list_part(list, from = l->from < list->n ? l->from : list->n, &part) != TW_OK) {
        session_list_free(list);
        arm_retry(l);
        return;
    }
    name_schedule(l, &rq);
    rq.sessions = part.list;
    rq.n_sessions = part.n;
    rq.times = part.rules;
    rq.n_times = part.n_rules;
    if (part.n < list->n && agent_can(a, "schedule-delta")) {
        rq.total = (uint32_t)list->n;
        rq.part = l->part;
        rq.more = from + part.n < list->n;
    }
    l->whole = true;
    l->more = rq.more;
    l->from = from + part.n;
    l->c->pushes->lists++;
    send_request(l, &rq, part.n);
    free(part.rules);
    session_list_free(list);
}

static void next_part(struct fleet_link *l)
{
    l->part++;
    push_list(l);
}

static void refused(struct fleet_link *l)
{
    struct agent *a = l->agent;
    bool other_list = !l->whole && rpc_result().status == TW__STATUS__STATUS_FAILED_PRECONDITION;

    l->c->pushes->refused++;
    log_warn("agent did not take its schedule", LOG_S("agent", a->row.name),
             LOG_S("status", rpc_status_name(rpc_result().status)), LOG_S("detail", rpc_result().detail));
    if (!other_list) {
        arm_retry(l);
        return;
    }
    journal_forget(&a->journal); /* whatever it has: all of it */
    fleet_push(l);
}

static void push_done(const Tw__ScheduleReply *reply, void *ctx)
{
    struct fleet_link *l = ctx;
    struct agent *a = l->agent;

    l->pushing = false;
    end_turn(l);
    if (l->down || !a)
        ;
    else if (!reply)
        refused(l);
    else if (a->listed && memcmp(l->pushed, a->digest, sizeof l->pushed) != 0)
        fleet_push(l); /* it changed meanwhile */
    else if (l->whole && l->more)
        next_part(l);
    else if (!a->acked_current)
        arm(l, ACK_WAIT_NS);
    fleet_link_unref(l);
}

/* It does not run what is wanted, and is not being told. */
static bool is_due(const struct fleet_link *l)
{
    const struct agent *a = l->agent;

    return a && !l->down && !l->pushing && a->row.approved && a->listed && !a->acked_current &&
           l->c->inv.generation;
}

void fleet_push_soon(struct fleet_link *l)
{
    if (!is_due(l))
        return;
    enqueue(l);
    loop_post(l->c->loop, &l->c->pushes->task);
}

void fleet_push_start(struct push_queue *q)
{
    q->task = (struct loop_task){ .fn = push_next, .ctx = q };
}

void fleet_push_stop(struct push_queue *q, struct loop *loop)
{
    loop_unpost(loop, &q->task);
}

void fleet_push(struct fleet_link *l)
{
    struct agent *a = l->agent;

    if (!is_due(l) || must_wait(l))
        return;
    loop_timer_cancel(l->c->loop, &l->push);
    l->part = 0;
    l->from = 0;
    if (!push_delta(l))
        push_list(l);
    journal_sent(&a->journal, a->digest);
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
    leave_queue(l);
    l->down = true;
    l->agent = NULL;
    fleet_link_unref(l);
}

void fleet_acked(struct fleet_link *l, uint64_t generation, const ProtobufCBinaryData *digest, int64_t age_ns)
{
    struct agent *a = l->agent;
    int64_t now_ns = tw_wall_now().ns;

    if (generation != a->acked_generation || !a->acked_ns)
        a->acked_ns = age_ns > 0 && age_ns < now_ns ? now_ns - age_ns : now_ns;
    a->acked_generation = generation;
    memset(a->acked_digest, 0, sizeof a->acked_digest);
    if (digest->len == sizeof a->acked_digest)
        memcpy(a->acked_digest, digest->data, digest->len);
    a->acked_current = generation && a->listed && !memcmp(a->acked_digest, a->digest, sizeof a->acked_digest);
    if (a->acked_current) {
        l->failures = 0;
        loop_timer_cancel(l->c->loop, &l->push);
        intervals_open(l->c, a);
        journal_acked(&a->journal, a->acked_digest, true);
        return;
    }
    journal_acked(&a->journal, a->acked_digest, false);
    if (!l->pushing)
        arm_retry(l);
}
