/* After a restart: alerts and baselines as they were stored. */
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

static void restore_cond(struct alert *a)
{
    a->cond = (struct alert_cond){ .state = a->state,
                                   .severity = a->severity,
                                   .clear_since_ns = a->state == ALERT_FIRING ? a->cond.clear_since_ns : 0 };
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
        return alert_no_memory(e);
    *a = *row;
    if (a->state != ALERT_RESOLVED && alert_find_active(e, &a->key)) {
        free(a);
        return TW_EEXIST;
    }
    if (a->key.kind == ALERT_PAIR && a->state != ALERT_RESOLVED && !alert_make_pair(e, a->key.pair_id)) {
        free(a);
        return alert_no_memory(e);
    }
    memset(&a->hh, 0, sizeof a->hh);
    memset(&a->hh_id, 0, sizeof a->hh_id);
    if (!alert_add(e, a)) {
        free(a);
        return alert_no_memory(e);
    }
    if (a->id > e->last_id)
        e->last_id = a->id;
    if (a->state == ALERT_RESOLVED) {
        alert_keep_done(e, a);
    } else {
        restore_cond(a);
        alert_note_active(e, a, 1, a->state == ALERT_FIRING);
        if (a->key.kind != ALERT_PAIR)
            restore_node(e, a);
    }
    if (a->fired_ns)
        alert_note_fired(e, &a->key, a->fired_ns);
    return TW_OK;
}

void alert_engine_restore_baseline(struct alert_engine *e, uint64_t pair_id, unsigned slot, const char *text)
{
    struct seen_pair *p = alert_make_pair(e, pair_id);
    struct track *t = p && slot < ALERT_SLOTS ? alert_track_of(e, p, slot, TRACK_BASELINE) : NULL;
    long long cell_ns = strtoll(text, NULL, 10);

    if (!t || cell_ns <= 0 || cell_ns > INT64_MAX / ALERT_CELLS)
        return;
    alert_baseline_init(&t->u.baseline, cell_ns * ALERT_CELLS, pair_id ^ slot);
    alert_baseline_load(&t->u.baseline, text);
}
