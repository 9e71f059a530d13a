/* The pairs that the engine knows: the rules that were picked for each, and where its rules remember
 * something. */
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

#define PICK_NS (60 * TW_NS_PER_S) /* labels may have changed */

struct seen_pair *alert_pair_of(const struct alert_engine *e, uint64_t id)
{
    struct seen_pair *p;

    HASH_FIND(hh, e->pairs, &id, sizeof id, p);
    return p;
}

struct seen_pair *alert_make_pair(struct alert_engine *e, uint64_t id)
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

int32_t alert_site_of(struct alert_engine *e, const struct tw_label *labels, size_t n)
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
        return alert_no_memory(e);
    p->site[0] = alert_site_of(e, s->source_labels, s->n_source_labels);
    p->site[1] = alert_site_of(e, s->target_labels, s->n_target_labels);
    p->agent[0] = alert_node_index(e, ALERT_AGENT, s->source);
    p->agent[1] = alert_node_index(e, ALERT_AGENT, s->target);
    p->epoch = e->epoch;
    p->picked_ns = now_ns;
    return TW_OK;
}

struct seen_pair *alert_know(struct alert_engine *e, const struct alert_subject *s, int64_t now_ns)
{
    struct seen_pair *p = alert_make_pair(e, s->pair_id);

    if (!p) {
        alert_no_memory(e);
        return NULL;
    }
    return pick(e, p, s, now_ns) == TW_OK ? p : NULL;
}

void alert_free_pair(struct alert_engine *e, struct seen_pair *p)
{
    alert_blame_forget_pair(e, p);
    HASH_DEL(e->pairs, p);
    for (struct track *t = p->tracks, *next; t; t = next) {
        next = t->next;
        free(t);
    }
    free(p);
}

void alert_engine_forget(struct alert_engine *e, uint64_t pair_id)
{
    struct seen_pair *p = alert_pair_of(e, pair_id);

    if (!p || p->active) /* asked again and again of what is not in the schedule: that changes nothing */
        return;
    alert_free_pair(e, p);
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
        alert_no_memory(e);
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
