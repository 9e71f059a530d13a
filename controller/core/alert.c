#include "controller/core/alert_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATE_NS (60 * TW_NS_PER_S) /* what ended longer ago, and two periods, came out of a spool */
#define AHEAD_NS (60 * TW_NS_PER_S) /* no period ends so far in the future, but of a clock that is wrong */
#define PICK_NS (60 * TW_NS_PER_S) /* labels may have changed */
#define FLAP_BASE_NS (30 * TW_NS_PER_S)
#define GAP_PERIODS 3
#define GAP_LEAST_NS (10 * TW_NS_PER_S)

/* ---- Life ---- */

enum tw_rc alert_engine_new(const struct alert_conf *c, struct alert_engine **ret)
{
    struct alert_engine *e = calloc(1, sizeof *e);

    if (!e)
        return TW_ENOMEM;
    e->conf = *c;
    e->last_id = c->last_id;
    *ret = e;
    return TW_OK;
}

static void free_pair(struct alert_engine *e, struct seen_pair *p)
{
    alert_blame_forget_pair(e, p);
    HASH_DEL(e->pairs, p);
    for (struct track *t = p->tracks, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    free(p);
}

static void free_tables(struct alert_engine *e)
{
    struct seen_pair *p, *next_pair;
    struct picked *k, *next_picked;
    struct node *n, *next_node;
    struct recent *r, *next_recent;

    HASH_ITER(hh, e->pairs, p, next_pair)
    free_pair(e, p);
    HASH_ITER(hh, e->picked, k, next_picked)
    {
        HASH_DEL(e->picked, k);
        free(k);
    }
    HASH_ITER(hh, e->nodes, n, next_node)
    {
        HASH_DEL(e->nodes, n);
        free(n);
    }
    HASH_ITER(hh, e->recent, r, next_recent)
    {
        HASH_DEL(e->recent, r);
        free(r);
    }
}

void alert_engine_free(struct alert_engine *e)
{
    struct alert *a, *next;

    if (!e)
        return;
    alert_blame_stop(e);
    HASH_CLEAR(hh, e->active);
    HASH_ITER(hh_id, e->by_id, a, next)
    {
        HASH_DELETE(hh_id, e->by_id, a);
        free(a);
    }
    free_tables(e);
    for (size_t i = 0; i < e->n_silences; i++)
        selector_free(e->silences[i].match);
    free(e->silences);
    free(e->node_at);
    free(e);
}

void alert_engine_set_rules(struct alert_engine *e, const struct alert_rules *rules)
{
    alert_blame_stop(e); /* by rules that are no more: the next round does it again */
    e->round = ROUND_NONE;
    e->rules = rules;
    e->epoch++;
    e->dirty = true;
}

static enum tw_rc no_memory(struct alert_engine *e)
{
    e->counts.no_memory++;
    return TW_ENOMEM;
}

/* ---- Alerts ---- */

static struct alert *find_active(const struct alert_engine *e, const struct alert_key *key)
{
    struct alert *a;

    HASH_FIND(hh, e->active, key, sizeof *key, a);
    return a;
}

/* p: of a pair, else NULL. */
static struct alert *active_of(const struct alert_engine *e, const struct seen_pair *p,
                               const struct alert_key *key)
{
    struct alert *a = p ? p->alerts : NULL;

    if (!p)
        return find_active(e, key);
    while (a && a->key.slot != key->slot)
        a = a->next_of_pair;
    return a;
}

const struct alert *alert_engine_find(const struct alert_engine *e, uint64_t id)
{
    struct alert *a;

    HASH_FIND(hh_id, e->by_id, &id, sizeof id, a);
    return a;
}

static bool add_alert(struct alert_engine *e, struct alert *a)
{
    HASH_ADD(hh_id, e->by_id, id, sizeof a->id, a);
    if (!a->hh_id.tbl)
        return false;
    if (a->state == ALERT_RESOLVED)
        return true;
    HASH_ADD(hh, e->active, key, sizeof a->key, a);
    if (a->hh.tbl)
        return true;
    HASH_DELETE(hh_id, e->by_id, a);
    return false;
}

struct alert *alert_make(struct alert_engine *e, const struct alert_key *key, const char *rule)
{
    struct alert *a = calloc(1, sizeof *a);

    if (!a) {
        no_memory(e);
        return NULL;
    }
    a->id = ++e->last_id;
    a->key = *key;
    snprintf(a->rule, sizeof a->rule, "%s", rule);
    a->state = ALERT_PENDING;
    if (add_alert(e, a))
        return a;
    free(a);
    no_memory(e);
    return NULL;
}

/* Into the ring of resolved ones; what it pushes out is forgotten. */
static void keep_done(struct alert_engine *e, struct alert *a)
{
    struct alert **at = &e->done[e->next_done++ % ALERT_DONE_MAX];

    if (*at) {
        HASH_DELETE(hh_id, e->by_id, *at);
        free(*at);
    }
    *at = a;
}

static void unlink_alert(struct seen_pair *p, struct alert *a)
{
    struct alert **at = &p->alerts;

    while (*at && *at != a)
        at = &(*at)->next_of_pair;
    if (*at)
        *at = a->next_of_pair;
}

static void note_active(struct alert_engine *e, struct alert *a, int active, int firing)
{
    struct seen_pair *p = a->key.kind == ALERT_PAIR ? alert_pair_of(e, a->key.pair_id) : NULL;

    e->dirty = true;
    if (!p)
        return;
    if (active > 0) {
        a->next_of_pair = p->alerts;
        p->alerts = a;
    } else if (active < 0) {
        unlink_alert(p, a);
    }
    p->active += (uint32_t)active;
    p->firing += (uint32_t)firing;
}

static struct recent *recent_of(struct alert_engine *e, const struct alert_key *key)
{
    struct recent *r;

    HASH_FIND(hh, e->recent, key, sizeof *key, r);
    return r;
}

static void note_fired(struct alert_engine *e, const struct alert_key *key, int64_t now_ns)
{
    struct recent *r = recent_of(e, key);

    if (!r) {
        r = calloc(1, sizeof *r);
        if (!r) {
            no_memory(e);
            return;
        }
        r->key = *key;
        HASH_ADD(hh, e->recent, key, sizeof r->key, r);
        if (!r->hh.tbl) {
            free(r);
            no_memory(e);
            return;
        }
    }
    memmove(r->fired_ns + 1, r->fired_ns, sizeof r->fired_ns - sizeof r->fired_ns[0]);
    r->fired_ns[0] = now_ns;
}

/* The clear-time of what has fired again and again within the hour. */
static int64_t clear_for(struct alert_engine *e, const struct alert_key *key, int64_t ns, int64_t now_ns)
{
    const struct recent *r = recent_of(e, key);
    unsigned again = 0;
    int64_t longer;

    while (r && again + 1 < ALERT_FIRES && r->fired_ns[again + 1] &&
           now_ns - r->fired_ns[again + 1] < ALERT_HOUR_NS)
        again++;
    if (!again)
        return ns;
    longer = (ns > FLAP_BASE_NS ? ns : FLAP_BASE_NS) << again;
    longer = longer < ALERT_HOUR_NS ? longer : ALERT_HOUR_NS;
    return longer > ns ? longer : ns;
}

void alert_fire(struct alert_engine *e, struct alert *a, int64_t now_ns)
{
    a->state = ALERT_FIRING;
    a->fired_ns = now_ns;
    if (!a->pending_ns)
        a->pending_ns = now_ns;
    a->due_ns = now_ns + (e->rules ? e->rules->wait_ns : 0);
    a->quiet = ALERT_WAITS;
    note_fired(e, &a->key, now_ns);
    note_active(e, a, 0, 1);
    e->counts.fired++;
}

/* Nobody may look at it any more as one that goes on. */
static void detach(struct alert_engine *e, struct alert *a)
{
    note_active(e, a, -1, a->state == ALERT_FIRING ? -1 : 0);
    alert_blame_forget_alert(e, a);
    if (e->at == a)
        e->at = a->hh.next;
    HASH_DEL(e->active, a);
    if (a->key.kind != ALERT_PAIR) {
        int32_t i = alert_node_index(e, (enum alert_kind)a->key.kind, a->key.subject);

        if (i >= 0 && e->node_at[i]->alert == a)
            e->node_at[i]->alert = NULL;
        if (i >= 0 && e->node_at[i]->down == a)
            e->node_at[i]->down = NULL;
    }
}

static void drop(struct alert_engine *e, struct alert *a)
{
    detach(e, a);
    e->conf.dropped(e->conf.ctx, a);
    HASH_DELETE(hh_id, e->by_id, a);
    free(a);
}

void alert_finish(struct alert_engine *e, struct alert *a, const char *reason, int64_t now_ns)
{
    if (a->state == ALERT_PENDING) {
        drop(e, a);
        return;
    }
    detach(e, a);
    a->state = ALERT_RESOLVED;
    a->ended_ns = now_ns;
    snprintf(a->end_reason, sizeof a->end_reason, "%s", reason);
    if (a->told) {
        a->notices++;
        e->conf.notice(e->conf.ctx, a, ALERT_NOTICE_RESOLVED);
    }
    a->quiet = ALERT_HEARD;
    a->quiet_text[0] = '\0';
    e->counts.resolved++;
    e->conf.changed(e->conf.ctx, a);
    keep_done(e, a);
}

/* ---- Pairs ---- */

struct seen_pair *alert_pair_of(const struct alert_engine *e, uint64_t id)
{
    struct seen_pair *p;

    HASH_FIND(hh, e->pairs, &id, sizeof id, p);
    return p;
}

static struct seen_pair *make_pair(struct alert_engine *e, uint64_t id)
{
    struct seen_pair *p = alert_pair_of(e, id);

    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->id = id;
    p->seq = ++e->last_seq;
    p->site[0] = p->site[1] = p->agent[0] = p->agent[1] = p->cause = -1;
    HASH_ADD(hh, e->pairs, id, sizeof p->id, p);
    if (p->hh.tbl)
        return p;
    free(p);
    return NULL;
}

static struct picked *intern(struct alert_engine *e, const uint16_t rule[ALERT_SLOTS])
{
    struct picked *k;

    HASH_FIND(hh, e->picked, rule, ALERT_SLOTS * sizeof *rule, k);
    if (k)
        return k;
    k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    memcpy(k->rule, rule, sizeof k->rule);
    HASH_ADD(hh, e->picked, rule, sizeof k->rule, k);
    if (k->hh.tbl)
        return k;
    free(k);
    return NULL;
}

static int32_t site_of(struct alert_engine *e, const struct tw_label *labels, size_t n)
{
    const char *site = label_value(labels, n, e->rules->site_label);

    return site ? alert_node_index(e, ALERT_SITE, site) : -1;
}

static enum tw_rc pick(struct alert_engine *e, struct seen_pair *p, const struct alert_subject *s,
                       int64_t now_ns)
{
    uint16_t rule[ALERT_SLOTS];

    if (p->epoch == e->epoch && now_ns - p->picked_ns < PICK_NS)
        return TW_OK;
    alert_rules_pick(e->rules, s, rule);
    p->picked = intern(e, rule);
    if (!p->picked)
        return no_memory(e);
    p->site[0] = site_of(e, s->source_labels, s->n_source_labels);
    p->site[1] = site_of(e, s->target_labels, s->n_target_labels);
    p->agent[0] = alert_node_index(e, ALERT_AGENT, s->source);
    p->agent[1] = alert_node_index(e, ALERT_AGENT, s->target);
    p->epoch = e->epoch;
    p->picked_ns = now_ns;
    return TW_OK;
}

static struct seen_pair *know(struct alert_engine *e, const struct alert_subject *s, int64_t now_ns)
{
    struct seen_pair *p = make_pair(e, s->pair_id);

    if (!p) {
        no_memory(e);
        return NULL;
    }
    return pick(e, p, s, now_ns) == TW_OK ? p : NULL;
}

void alert_engine_forget(struct alert_engine *e, uint64_t pair_id)
{
    struct seen_pair *p = alert_pair_of(e, pair_id);

    if (!p || p->active) /* asked again and again of what is not in the schedule: that changes nothing */
        return;
    free_pair(e, p);
    e->dirty = true;
}

/* ---- What rules remember ---- */

struct track *alert_track_of(struct alert_engine *e, struct seen_pair *p, unsigned slot, enum track_kind kind)
{
    struct track *t = p->tracks;

    while (t && (t->slot != slot || t->kind != kind))
        t = t->next;
    if (t)
        return t;
    t = calloc(1, sizeof *t);
    if (!t) {
        no_memory(e);
        return NULL;
    }
    t->slot = slot;
    t->kind = kind;
    t->next = p->tracks;
    p->tracks = t;
    return t;
}

struct tw_num alert_engine_baseline(const struct alert_engine *e, uint64_t pair_id, unsigned slot,
                                    int64_t now_ns, int64_t *ret_known_ns)
{
    const struct seen_pair *p = alert_pair_of(e, pair_id);
    const struct track *t = p ? p->tracks : NULL;

    *ret_known_ns = 0;
    while (t && (t->slot != slot || t->kind != TRACK_BASELINE))
        t = t->next;
    return t ? alert_baseline_value(&t->u.baseline, now_ns, 0, ret_known_ns) : (struct tw_num){ 0 };
}

const uint16_t *alert_engine_picked(const struct alert_engine *e, uint64_t pair_id)
{
    const struct seen_pair *p = alert_pair_of(e, pair_id);

    return p && p->picked && p->epoch == e->epoch ? p->picked->rule : NULL;
}

bool alert_engine_fires(const struct alert_engine *e, uint64_t pair_id)
{
    const struct seen_pair *p = alert_pair_of(e, pair_id);

    return p && p->firing;
}

/* ---- Feeding ---- */

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
        drop(e, a);
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
    struct alert *a = active_of(e, p, &j->key);
    int64_t clear_since_ns = a ? a->cond.clear_since_ns : 0;
    enum alert_step step;

    j->levels.low_is_bad = alert_metric_low_is_bad(j->rule->metric);
    if (a)
        forget_future(&a->cond, j);
    j->levels.for_ns = j->rule->for_ns;
    j->levels.clear_for_ns = a ? clear_for(e, &j->key, j->rule->clear_for_ns, j->now_ns) : 0;
    step = alert_cond_feed(a ? &a->cond : &fresh, &j->levels, j->value, j->start_ns, j->end_ns);
    if (!a) {
        if (step != ALERT_STEP_PENDING && step != ALERT_STEP_FIRED)
            return TW_OK;
        a = alert_make(e, &j->key, j->rule->name);
        if (!a)
            return TW_ENOMEM;
        a->cond = fresh;
        set_names(a, j->s);
        note_active(e, a, 1, 0);
    }
    if (step == ALERT_STEP_NONE && relapsed(a, clear_since_ns))
        note_fired(e, &a->key, j->now_ns);
    take_step(e, a, step, j);
    if (step == ALERT_STEP_NONE && a->state == ALERT_FIRING && a->cond.clear_since_ns != clear_since_ns)
        e->conf.changed(e->conf.ctx, a); /* a restart does not begin its clear-time anew */
    return TW_OK;
}

static void end_without_rule(struct alert_engine *e, const struct seen_pair *p, const struct alert_key *key,
                             int64_t now_ns)
{
    struct alert *a = active_of(e, p, key);

    if (a)
        alert_finish(e, a, "no rule looks at it any more", now_ns);
}

static bool is_metric_of_periods(enum alert_metric m)
{
    return m != ALERT_NO_DATA && m != ALERT_AGENT_DOWN;
}

static bool is_rule_of_periods(const struct alert_rule *r)
{
    return is_metric_of_periods(r->metric);
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
static bool take_baseline(struct alert_engine *e, struct seen_pair *p, struct judged *j, const struct alert_facts *f)
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
    p = know(e, s, now_ns);
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
    p = know(e, s, now_ns);
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
        return no_memory(e);
    e->node_at[node]->site = site_of(e, s->source_labels, s->n_source_labels);
    if (!rule[slot] || e->rules->rules[rule[slot] - 1].off) {
        end_without_rule(e, NULL, &j.key, now_ns);
        return TW_OK;
    }
    j.rule = &e->rules->rules[rule[slot] - 1];
    j.value = seconds_down;
    set_levels(&j, j.rule);
    rc = judge(e, NULL, &j);
    a = find_active(e, &j.key);
    e->node_at[node]->down = a && a->state == ALERT_FIRING ? a : NULL;
    return rc;
}

/* ---- Time ---- */

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
            no_memory(e);
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
    return a->key.slot == ALERT_SLOTS || !is_metric_of_periods(alert_metric_of(a));
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

/* ---- Restart ---- */

static void restore_cond(struct alert *a)
{
    a->cond = (struct alert_cond){ .state = a->state,
                                   .severity = a->severity,
                                   .clear_since_ns =
                                       a->state == ALERT_FIRING ? a->cond.clear_since_ns : 0 };
    if (a->state == ALERT_PENDING || a->state == ALERT_FIRING)
        a->cond.since_ns[a->severity] = a->pending_ns;
    a->lost_sight = true;
}

static void restore_node(struct alert_engine *e, struct alert *a)
{
    int32_t i = alert_node_index(e, (enum alert_kind)a->key.kind, a->key.subject);

    if (i < 0)
        return;
    if (a->key.slot == ALERT_SLOTS)
        e->node_at[i]->alert = a;
    else if (a->state == ALERT_FIRING)
        e->node_at[i]->down = a;
}

enum tw_rc alert_engine_restore(struct alert_engine *e, const struct alert *row)
{
    struct alert *a = malloc(sizeof *a);

    if (!a)
        return no_memory(e);
    *a = *row;
    if (a->state != ALERT_RESOLVED && find_active(e, &a->key)) {
        free(a);
        return TW_EEXIST;
    }
    if (a->key.kind == ALERT_PAIR && a->state != ALERT_RESOLVED && !make_pair(e, a->key.pair_id)) {
        free(a);
        return no_memory(e);
    }
    memset(&a->hh, 0, sizeof a->hh);
    memset(&a->hh_id, 0, sizeof a->hh_id);
    if (!add_alert(e, a)) {
        free(a);
        return no_memory(e);
    }
    if (a->id > e->last_id)
        e->last_id = a->id;
    if (a->state == ALERT_RESOLVED) {
        keep_done(e, a);
    } else {
        restore_cond(a);
        note_active(e, a, 1, a->state == ALERT_FIRING);
        if (a->key.kind != ALERT_PAIR)
            restore_node(e, a);
    }
    if (a->fired_ns)
        note_fired(e, &a->key, a->fired_ns);
    return TW_OK;
}

void alert_engine_restore_baseline(struct alert_engine *e, uint64_t pair_id, unsigned slot, const char *text)
{
    struct seen_pair *p = make_pair(e, pair_id);
    struct track *t = p && slot < ALERT_SLOTS ? alert_track_of(e, p, slot, TRACK_BASELINE) : NULL;
    long long cell_ns = strtoll(text, NULL, 10);

    if (!t || cell_ns <= 0 || cell_ns > INT64_MAX / ALERT_CELLS)
        return;
    alert_baseline_init(&t->u.baseline, cell_ns * ALERT_CELLS, pair_id ^ slot);
    alert_baseline_load(&t->u.baseline, text);
}

/* ---- Looking ---- */

enum tw_rc alert_engine_each(const struct alert_engine *e, enum tw_rc (*fn)(void *ctx, const struct alert *a),
                             void *ctx)
{
    for (const struct alert *a = e->by_id; a; a = a->hh_id.next) {
        enum tw_rc rc = fn(ctx, a);

        if (rc)
            return rc;
    }
    return TW_OK;
}

void alert_engine_counts(const struct alert_engine *e, struct alert_counts *ret)
{
    *ret = e->counts;
    ret->pairs = HASH_COUNT(e->pairs);
    for (const struct alert *a = e->active; a; a = a->hh.next)
        ret->active[a->state][a->severity]++;
}
