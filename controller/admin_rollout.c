/* Who runs what of the schedule, and what differs from what is wanted. */
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "common/selector.h"
#include "common/version.h"
#include "controller/admin.h"
#include "controller/roster.h"
#include "controller/schedule.h"

#define SLOW_NS (10 * TW_NS_PER_S) /* without an acknowledgement that is longer than apply waits */
#define REFUSALS_MAX 20

/* ---- One agent ---- */

static const char *word_of(const struct agent *a, int64_t now_ns)
{
    if (!a->peer)
        return a->elsewhere ? "elsewhere" : "away";
    if (!a->acked_current)
        return a->behind_ns && now_ns - a->behind_ns > SLOW_NS ? "slow" : "behind";
    return a->ack && a->ack->n_refusals ? "refuses" : "current";
}

static void fill_refusals(const struct inventory *inv, const struct agent *a, struct arena *ar, Tw__AgentRollout *r)
{
    size_t n = a->ack ? a->ack->n_refusals : 0;

    r->refused = arena_alloc(ar, sizeof *r->refused * REFUSALS_MAX);
    for (size_t i = 0; r->refused && i < n && i < REFUSALS_MAX; i++) {
        const struct pair *p = inventory_pair((struct inventory *)inv, a->ack->refusals[i]->pair_id);
        Tw__RolloutRefusal *f = arena_alloc(ar, sizeof *f);

        if (!f)
            return;
        tw__rollout_refusal__init(f);
        f->flow = a->ack->refusals[i]->flow;
        f->reason = a->ack->refusals[i]->reason;
        f->pair = p ? arena_alloc(ar, sizeof *f->pair) : NULL;
        if (f->pair)
            admin_fill_pair(inv, &p->row, f->pair);
        r->refused[r->n_refused++] = f;
    }
}

/* Known once it has acknowledged something since it is here; before that it is what it said when it came. An
 * agent of an earlier release does not say so, but its digest means that it runs all of it: it acknowledges
 * anew only if it refuses some. */
static uint32_t sessions_running(const struct agent *a, uint32_t due)
{
    if (a->ack)
        return a->ack->sessions_running;
    if (a->enrolment && a->enrolment->sessions_running)
        return a->enrolment->sessions_running;
    return a->peer && a->acked_current ? due : 0;
}

static void fill_sessions(const struct agent *a, Tw__AgentRollout *r)
{
    uint32_t refused = agent_refusals(a), due = (uint32_t)a->sessions;

    if (a->acked_current)
        due = refused < due ? due - refused : 0;
    r->sessions_wanted = (uint32_t)a->sessions;
    r->refusals = refused;
    r->sessions_running = sessions_running(a, due);
    r->missing = due > r->sessions_running ? due - r->sessions_running : 0;
    r->extra = r->sessions_running > due ? r->sessions_running - due : 0;
}

static enum tw_skew skew_of(const struct agent *a)
{
    return tw_version_skew(a->row.software, tw_version);
}

static Tw__AgentRollout *rollout_row(const struct controller *c, const struct agent *a, int64_t now_ns,
                                     struct arena *ar)
{
    Tw__AgentRollout *r = arena_alloc(ar, sizeof *r);

    if (!r)
        return NULL;
    tw__agent_rollout__init(r);
    r->agent = (char *)a->row.name;
    r->state = (char *)agent_state_here(a);
    r->generation = agent_generation(&c->inv, a);
    r->current = a->acked_current;
    r->word = (char *)word_of(a, now_ns);
    r->acked_ns = a->acked_ns;
    r->behind_ns = a->acked_current ? 0 : a->behind_ns;
    r->last_contact_ns = agent_is_up(a) ? now_ns : a->last_contact_ns ? a->last_contact_ns : a->row.last_contact_ns;
    r->software = (char *)a->row.software;
    r->skew = (char *)tw_skew_name(skew_of(a));
    fill_sessions(a, r);
    fill_refusals(&c->inv, a, ar, r);
    return r;
}

/* ---- All of them ---- */

static void count(Tw__ScheduleRolloutReply *reply, const struct agent *a)
{
    reply->agents++;
    reply->agents_current += a->acked_current;
    reply->agents_behind += a->peer && !a->acked_current;
    reply->agents_away += !agent_is_up(a);
    reply->agents_elsewhere += !a->peer && a->elsewhere;
    reply->agents_refusing += a->ack && a->ack->n_refusals;
    reply->agents_skewed += skew_of(a) >= TW_SKEW_TOO_OLD;
}

static bool put_row(Tw__ScheduleRolloutReply *reply, Tw__AgentRollout *row, size_t *octets)
{
    *octets += row ? tw__agent_rollout__get_packed_size(row) + 8 : 0;
    if (!row || *octets > ADMIN_REPLY_MAX) {
        reply->truncated = true;
        return false;
    }
    reply->rollout[reply->n_rollout++] = row;
    return true;
}

/* Counts are of all that match, rows of those behind `after`. */
static void answer(const struct controller *c, const struct roster *ro, const struct selector *sel,
                   const char *after, Tw__ScheduleRolloutReply *reply)
{
    struct arena *ar = admin_arena((struct controller *)c);
    int64_t now_ns = tw_wall_now().ns;
    size_t octets = 0;

    reply->generation = c->inv.generation;
    reply->rollout = arena_alloc(ar, sizeof *reply->rollout * (ro->agents.n + 1));
    reply->truncated = !reply->rollout;
    for (size_t i = 0; i < ro->agents.n; i++) {
        const struct mesh_agent *m = &ro->agents.v[i];

        if (!selector_match(sel, m->labels, m->n_labels, m->name))
            continue;
        count(reply, ro->of[i]);
        if (!reply->truncated && strcmp(m->name, after) > 0)
            put_row(reply, rollout_row(c, ro->of[i], now_ns, ar), &octets);
    }
}

void admin_schedule_rollout(Tw__Admin_Service *service, const Tw__ScheduleRolloutRequest *rq,
                            Tw__ScheduleRolloutReply_Closure closure, void *closure_data)
{
    struct controller *c = admin_controller(service);
    Tw__ScheduleRolloutReply reply = TW__SCHEDULE_ROLLOUT_REPLY__INIT;
    struct selector *sel = NULL;
    struct roster *ro;
    struct tw_err err = { 0 };

    if (*rq->select && selector_parse(rq->select, &sel, &err) != TW_OK) {
        rpc_fail(closure_data, TW__STATUS__STATUS_INVALID_ARGUMENT, "%s", err.text);
        return;
    }
    ro = roster_new(&c->inv, NULL, NULL);
    if (ro) {
        answer(c, ro, sel, rq->after, &reply);
        closure(&reply, closure_data);
    } else {
        rpc_fail(closure_data, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, "out of memory");
    }
    roster_free(ro);
    selector_free(sel);
}
