/* Report periods, silence and agents that are gone are judged by rules. */
#include <stdio.h>
#include <string.h>
#include "controller/core/alert_priv.h"

#define LATE_NS (60 * TW_NS_PER_S)  /* what ended longer ago, and two periods, came out of a spool */
#define AHEAD_NS (60 * TW_NS_PER_S) /* no period ends so far in the future, but of a clock that is wrong */
#define GAP_PERIODS 3
#define GAP_LEAST_NS (10 * TW_NS_PER_S)

/* One number of one thing, ready to be judged. */
struct judged {
    const struct alert_subject *s;
    const struct alert_rule *rule;
    struct alert_key key;
    struct alert_cond_rule levels;
    struct tw_num value, baseline;
    int64_t start_ns, end_ns, now_ns;
};

static double max(double a, double b)
{
    return a > b ? a : b;
}

static void set_levels(struct judged *j, const struct alert_rule *r)
{
    memcpy(j->levels.level, r->level, sizeof j->levels.level);
    for (unsigned s = 0; r->relative && s < ALERT_SEVERITY_COUNT; s++) {
        struct alert_level *l = &j->levels.level[s];

        l->raise = alert_rule_raise(r, (enum alert_severity)s, j->baseline.value);
        l->clear = max(j->baseline.value * l->clear, j->baseline.value + r->at_least / 2);
    }
}

static void set_names(struct alert *a, const struct alert_subject *s)
{
    snprintf(a->mesh, sizeof a->mesh, "%s", s->mesh);
    snprintf(a->class_name, sizeof a->class_name, "%s", s->class_name);
    snprintf(a->source, sizeof a->source, "%s", s->source);
    snprintf(a->target, sizeof a->target, "%s", s->target);
}

static void note_value(struct alert *a, const struct judged *j)
{
    bool low = j->levels.low_is_bad;

    if (!j->value.known)
        return;
    a->value = j->value;
    a->baseline = j->baseline;
    a->level = (struct tw_num){ j->levels.level[a->severity].given, j->levels.level[a->severity].raise };
    if (!a->worst.known || (low ? j->value.value < a->worst.value : j->value.value > a->worst.value))
        a->worst = j->value;
    a->lost_sight = false;
}

static int64_t since_of(const struct alert_cond *c)
{
    int64_t since = 0;

    for (unsigned s = 0; s < ALERT_SEVERITY_COUNT; s++)
        if (c->since_ns[s] && (!since || c->since_ns[s] < since))
            since = c->since_ns[s];
    return since;
}

static void take_step(struct alert_engine *e, struct alert *a, enum alert_step step, const struct judged *j)
{
    enum alert_severity before = a->severity;

    if (step == ALERT_STEP_DROPPED) {
        alert_drop(e, a);
        return;
    }
    a->severity = a->cond.severity;
    note_value(a, j);
    if (step == ALERT_STEP_RESOLVED) {
        alert_finish(e, a, "", j->now_ns);
        return;
    }
    snprintf(a->rule, sizeof a->rule, "%s", j->rule->name);
    if (!a->pending_ns)
        a->pending_ns = since_of(&a->cond);
    if (step == ALERT_STEP_FIRED)
        alert_fire(e, a, j->now_ns);
    else if (step == ALERT_STEP_SEVERITY && a->severity > before)
        a->acked_ns = 0; /* who has seen a warning has not seen that */
    if (step != ALERT_STEP_NONE) {
        e->dirty = true;
        e->conf.changed(e->conf.ctx, a);
    }
}

/* It was on its way to its end, and is not any more: as if it had fired again. */
static bool relapsed(const struct alert *a, int64_t was_clear_since_ns)
{
    return a->state == ALERT_FIRING && was_clear_since_ns && !a->cond.clear_since_ns;
}

/* What was judged last came of a clock that was ahead, and is not any more. */
static void forget_future(struct alert_cond *c, const struct judged *j)
{
    if (j->end_ns > c->last_end_ns || c->last_end_ns <= j->now_ns + AHEAD_NS)
        return;
    memset(c->since_ns, 0, sizeof c->since_ns);
    c->clear_since_ns = c->last_end_ns = 0;
}

static enum tw_rc judge(struct alert_engine *e, const struct seen_pair *p, struct judged *j)
{
    struct alert_cond fresh = { 0 };
    struct alert *a = alert_active_of(e, p, &j->key);
    int64_t clear_since_ns = a ? a->cond.clear_since_ns : 0;
    enum alert_step step;

    j->levels.low_is_bad = alert_metric_low_is_bad(j->rule->metric);
    if (a)
        forget_future(&a->cond, j);
    j->levels.for_ns = j->rule->for_ns;
    j->levels.clear_for_ns = a ? alert_clear_for(e, &j->key, j->rule->clear_for_ns, j->now_ns) : 0;
    step = alert_cond_feed(a ? &a->cond : &fresh, &j->levels, j->value, j->start_ns, j->end_ns);
    if (!a) {
        if (step != ALERT_STEP_PENDING && step != ALERT_STEP_FIRED)
            return TW_OK;
        a = alert_make(e, &j->key, j->rule->name);
        if (!a)
            return TW_ENOMEM;
        a->cond = fresh;
        set_names(a, j->s);
        alert_note_active(e, a, 1, 0);
    }
    if (step == ALERT_STEP_NONE && relapsed(a, clear_since_ns))
        alert_note_fired(e, &a->key, j->now_ns);
    take_step(e, a, step, j);
    if (step == ALERT_STEP_NONE && a->state == ALERT_FIRING && a->cond.clear_since_ns != clear_since_ns)
        e->conf.changed(e->conf.ctx, a); /* a restart does not begin its clear-time anew */
    return TW_OK;
}

static void end_without_rule(struct alert_engine *e, const struct seen_pair *p, const struct alert_key *key,
                             int64_t now_ns)
{
    struct alert *a = alert_active_of(e, p, key);

    if (a)
        alert_finish(e, a, "no rule looks at it any more", now_ns);
}

static bool is_rule_of_periods(const struct alert_rule *r)
{
    return alert_is_of_periods(r->metric);
}

static struct judged judged_of(const struct alert_subject *s, const struct alert_rule *r, unsigned slot,
                               int64_t start_ns, int64_t end_ns, int64_t now_ns)
{
    struct judged j = { .s = s, .rule = r, .start_ns = start_ns, .end_ns = end_ns, .now_ns = now_ns };

    memset(&j.key, 0, sizeof j.key); /* padding is hashed */
    j.key.pair_id = s->pair_id;
    j.key.kind = ALERT_PAIR;
    j.key.slot = slot;
    j.levels.gap_ns = INT64_MAX;
    return j;
}

/* False: its baseline is not known yet. Baselines learn from all that comes, also late. */
static bool take_baseline(struct alert_engine *e, struct seen_pair *p, struct judged *j,
                          const struct alert_facts *f)
{
    const struct alert_rule *r = j->rule;
    struct alert_baseline *b = r->relative ? alert_baseline_of(e, p, r, j->key.slot, f, j->now_ns) : NULL;
    char text[ALERT_BASELINE_TEXT];
    int64_t known_ns;

    if (!r->relative)
        return true;
    if (!b || !j->value.known)
        return false;
    j->baseline = alert_baseline_value(b, j->end_ns, r->warm_up_ns, &known_ns);
    if (alert_baseline_add(b, j->end_ns, j->value.value) && alert_baseline_save(b, text))
        e->conf.baseline(e->conf.ctx, p->id, j->key.slot, text);
    return j->baseline.known;
}

bool alert_is_late(const struct alert_facts *f, int64_t now_ns)
{
    return now_ns - f->end_ns > 2 * f->period_ns + LATE_NS;
}

/* A period in which its agent's clock was set forward looks as if it had been bad for hours. */
static int64_t begin_of(const struct alert_facts *f)
{
    return f->end_ns - f->start_ns > 2 * f->period_ns ? f->end_ns - f->period_ns : f->start_ns;
}

static enum tw_rc feed_slot(struct alert_engine *e, struct seen_pair *p, const struct alert_subject *s,
                            unsigned slot, const struct alert_facts *f, int64_t now_ns)
{
    const struct alert_rule *r = &e->rules->rules[p->picked->rule[slot] - 1];
    struct judged j = judged_of(s, r, slot, begin_of(f), f->end_ns, now_ns);
    int64_t gap_ns = GAP_PERIODS * f->period_ns;
    bool late = alert_is_late(f, now_ns), ready;

    j.levels.gap_ns = gap_ns > GAP_LEAST_NS ? gap_ns : GAP_LEAST_NS;
    j.value = alert_value_of(e, p, r, slot, f, now_ns);
    ready = take_baseline(e, p, &j, f);
    if (r->off) {
        end_without_rule(e, p, &j.key, now_ns);
        return TW_OK;
    }
    if (late || !ready)
        return TW_OK;
    set_levels(&j, r);
    return judge(e, p, &j);
}

enum tw_rc alert_engine_feed(struct alert_engine *e, const struct alert_subject *s,
                             const struct alert_facts *f, int64_t now_ns)
{
    struct seen_pair *p;
    enum tw_rc rc = TW_OK;

    if (!e->rules)
        return TW_OK;
    p = alert_know(e, s, now_ns);
    if (!p)
        return TW_ENOMEM;
    p->counts = true;
    for (unsigned slot = 0; slot < ALERT_SLOTS && rc == TW_OK; slot++) {
        uint16_t rule = p->picked->rule[slot];

        if (!rule && p->active) {
            struct alert_key key = judged_of(s, NULL, slot, 0, 0, 0).key;

            end_without_rule(e, p, &key, now_ns);
        }
        if (rule && is_rule_of_periods(&e->rules->rules[rule - 1]))
            rc = feed_slot(e, p, s, slot, f, now_ns);
    }
    return rc;
}

enum tw_rc alert_engine_absent(struct alert_engine *e, const struct alert_subject *s, struct tw_num seconds,
                               int64_t now_ns)
{
    unsigned slot = alert_slot(ALERT_NO_DATA, TW_UNKNOWN);
    struct seen_pair *p;
    struct judged j;

    if (!e->rules)
        return TW_OK;
    p = alert_know(e, s, now_ns);
    if (!p)
        return TW_ENOMEM;
    p->counts = seconds.known;
    j = judged_of(s, NULL, slot, now_ns, now_ns, now_ns);
    if (!p->picked->rule[slot] || e->rules->rules[p->picked->rule[slot] - 1].off) {
        if (p->active)
            end_without_rule(e, p, &j.key, now_ns);
        return TW_OK;
    }
    j.rule = &e->rules->rules[p->picked->rule[slot] - 1];
    j.value = seconds;
    set_levels(&j, j.rule);
    return judge(e, p, &j);
}

enum tw_rc alert_engine_agent(struct alert_engine *e, const struct alert_subject *s,
                              struct tw_num seconds_down, int64_t now_ns)
{
    unsigned slot = alert_slot(ALERT_AGENT_DOWN, TW_UNKNOWN);
    struct judged j = judged_of(s, NULL, slot, now_ns, now_ns, now_ns);
    uint16_t rule[ALERT_SLOTS];
    struct alert *a;
    int32_t node;
    enum tw_rc rc;

    if (!e->rules)
        return TW_OK;
    j.key.pair_id = 0;
    j.key.kind = ALERT_AGENT;
    memcpy(j.key.subject, s->source, strnlen(s->source, ALERT_NAME_MAX - 1));
    alert_rules_pick(e->rules, s, rule);
    node = alert_node_index(e, ALERT_AGENT, s->source);
    if (node < 0)
        return alert_no_memory(e);
    e->node_at[node]->site = alert_site_of(e, s->source_labels, s->n_source_labels);
    if (!rule[slot] || e->rules->rules[rule[slot] - 1].off) {
        end_without_rule(e, NULL, &j.key, now_ns);
        return TW_OK;
    }
    j.rule = &e->rules->rules[rule[slot] - 1];
    j.value = seconds_down;
    set_levels(&j, j.rule);
    rc = judge(e, NULL, &j);
    a = alert_find_active(e, &j.key);
    e->node_at[node]->down = a && a->state == ALERT_FIRING ? a : NULL;
    return rc;
}
