#include "controller/core/alert_priv.h"
#include <stdlib.h>

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

static void free_tables(struct alert_engine *e)
{
    struct seen_pair *p, *next_pair;
    struct picked *k, *next_picked;
    struct node *n, *next_node;
    struct recent *r, *next_recent;

    HASH_ITER(hh, e->pairs, p, next_pair)
    alert_free_pair(e, p);
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

enum tw_rc alert_no_memory(struct alert_engine *e)
{
    e->counts.no_memory++;
    return TW_ENOMEM;
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
