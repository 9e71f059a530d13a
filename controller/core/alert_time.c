/* What comes of time alone: the round of once a second, and steps of the wall clock. */
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

static bool rule_exists(const struct alert_engine *e, const char *name)
{
    for (size_t i = 0; i < e->rules->n_rules; i++)
        if (!strcmp(e->rules->rules[i].name, name))
            return true;
    return false;
}

/* Ends what nobody would feed any more. */
static void sweep(struct alert_engine *e, struct alert *a, int64_t now_ns)
{
    if (a->key.slot < ALERT_SLOTS && !e->conf.alive(e->conf.ctx, a))
        alert_finish(e, a, "it is not measured any more", now_ns);
    else if (a->key.slot < ALERT_SLOTS && a->lost_sight && !rule_exists(e, a->rule))
        alert_finish(e, a, "no rule looks at it any more", now_ns);
}

static void prune_recent(struct alert_engine *e, int64_t now_ns)
{
    struct recent *r, *next;

    HASH_ITER(hh, e->recent, r, next)
    {
        if (now_ns - r->fired_ns[0] < ALERT_HOUR_NS)
            continue;
        HASH_DEL(e->recent, r);
        free(r);
    }
}

static void prune(struct alert_engine *e, int64_t now_ns)
{
    if (now_ns - e->pruned_ns < 60 * TW_NS_PER_S)
        return;
    prune_recent(e, now_ns);
    alert_prune_silences(e, now_ns);
    e->pruned_ns = now_ns;
}

static void begin_round(struct alert_engine *e, int64_t now_ns)
{
    if (!e->first_tick_ns)
        e->first_tick_ns = now_ns;
    e->round = ROUND_SWEEP;
    e->round_ns = now_ns;
    e->at = e->active;
}

static enum tw_rc begin_blame(struct alert_engine *e)
{
    bool due = e->dirty || e->round_ns - e->correlated_ns >= 10 * TW_NS_PER_S;

    e->round = ROUND_BLAME;
    if (!due)
        return TW_OK;
    e->dirty = false; /* what comes from now on is for the next time */
    e->correlated_ns = e->round_ns;
    return alert_blame_begin(e);
}

/* What has fired since the round began is for the next one: nobody has asked who is to blame for it. */
static bool is_new(const struct alert_engine *e, const struct alert *a, int64_t now_ns)
{
    return a->key.slot < ALERT_SLOTS && a->fired_ns > e->round_ns && a->fired_ns <= now_ns;
}

static enum tw_rc go_round(struct alert_engine *e, int64_t now_ns, size_t *looks)
{
    struct alert *a = e->at;
    enum tw_rc rc = TW_OK;

    if (e->round == ROUND_BLAME) {
        rc = alert_blame_go(e, now_ns, looks);
        if (!e->blame) {
            e->round = ROUND_TELL;
            e->at = e->active;
        }
        return rc;
    }
    *looks -= 1;
    if (!a && e->round == ROUND_SWEEP)
        return begin_blame(e);
    if (!a) {
        prune(e, now_ns);
        e->round = ROUND_NONE;
        return TW_OK;
    }
    e->at = a->hh.next;
    if (e->round == ROUND_SWEEP)
        sweep(e, a, now_ns);
    else if (a->state == ALERT_FIRING && !is_new(e, a, now_ns))
        alert_tell(e, a, now_ns);
    return TW_OK;
}

enum tw_rc alert_engine_work(struct alert_engine *e, int64_t now_ns, size_t looks, bool *ret_more)
{
    enum tw_rc rc = TW_OK;

    *ret_more = false;
    if (!e->rules)
        return TW_OK;
    if (e->round == ROUND_NONE)
        begin_round(e, now_ns);
    while (e->round != ROUND_NONE && looks) {
        enum tw_rc one = go_round(e, now_ns, &looks);

        if (one != TW_OK) {
            alert_no_memory(e);
            e->dirty = true;
            rc = one;
        }
    }
    *ret_more = e->round != ROUND_NONE;
    return rc;
}

enum tw_rc alert_engine_tick(struct alert_engine *e, int64_t now_ns)
{
    enum tw_rc rc = TW_OK, one;
    bool more = true;

    while (more) {
        one = alert_engine_work(e, now_ns, SIZE_MAX, &more);
        rc = one ? one : rc;
    }
    return rc;
}

/* ---- Steps of the wall clock ---- */

static void step(int64_t *at_ns, int64_t by_ns)
{
    if (*at_ns)
        *at_ns += by_ns;
}

/* Periods are of the agents' clocks; what is looked at once a second is of ours. */
static bool is_of_our_clock(const struct alert *a)
{
    return a->key.slot == ALERT_SLOTS || !alert_is_of_periods(alert_metric_of(a));
}

static void step_alert(struct alert_engine *e, struct alert *a, int64_t by_ns)
{
    step(&a->fired_ns, by_ns);
    step(&a->due_ns, by_ns);
    step(&a->told_ns, by_ns);
    step(&a->acked_ns, by_ns);
    if (is_of_our_clock(a)) {
        step(&a->pending_ns, by_ns);
        for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++)
            step(&a->cond.since_ns[s], by_ns);
        step(&a->cond.clear_since_ns, by_ns);
        step(&a->cond.last_end_ns, by_ns);
    }
    e->conf.changed(e->conf.ctx, a);
}

void alert_engine_stepped(struct alert_engine *e, int64_t by_ns)
{
    for (struct alert *a = e->active; a; a = a->hh.next)
        step_alert(e, a, by_ns);
    for (struct recent *r = e->recent; r; r = r->hh.next)
        for (size_t i = 0; i < ALERT_FIRES; i++)
            step(&r->fired_ns[i], by_ns);
    for (struct seen_pair *p = e->pairs; p; p = p->hh.next)
        step(&p->picked_ns, by_ns);
    step(&e->first_tick_ns, by_ns);
    step(&e->correlated_ns, by_ns);
    step(&e->round_ns, by_ns);
    step(&e->pruned_ns, by_ns);
}
