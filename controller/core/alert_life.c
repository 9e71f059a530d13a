/* An alert from its making to its end, and what is kept of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

#define FLAP_BASE_NS (30 * TW_NS_PER_S)

struct alert *alert_find_active(const struct alert_engine *e, const struct alert_key *key)
{
    struct alert *a;

    HASH_FIND(hh, e->active, key, sizeof *key, a);
    return a;
}

const struct alert *alert_engine_find(const struct alert_engine *e, uint64_t id)
{
    struct alert *a;

    HASH_FIND(hh_id, e->by_id, &id, sizeof id, a);
    return a;
}

bool alert_add_shown(struct alert_engine *e, struct alert *a)
{
    HASH_ADD(hh_id, e->by_id, id, sizeof a->id, a);
    return a->hh_id.tbl != NULL;
}

bool alert_add(struct alert_engine *e, struct alert *a)
{
    if (!alert_add_shown(e, a))
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
        alert_no_memory(e);
        return NULL;
    }
    a->id = ++e->last_id;
    a->key = *key;
    snprintf(a->rule, sizeof a->rule, "%s", rule);
    a->state = ALERT_PENDING;
    if (alert_add(e, a))
        return a;
    free(a);
    alert_no_memory(e);
    return NULL;
}

/* Into the ring of resolved ones; what it pushes out is forgotten. */
void alert_keep_done(struct alert_engine *e, struct alert *a)
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

void alert_note_active(struct alert_engine *e, struct alert *a, int active, int firing)
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

void alert_note_fired(struct alert_engine *e, const struct alert_key *key, int64_t now_ns)
{
    struct recent *r = recent_of(e, key);

    if (!r) {
        r = calloc(1, sizeof *r);
        if (!r) {
            alert_no_memory(e);
            return;
        }
        r->key = *key;
        HASH_ADD(hh, e->recent, key, sizeof r->key, r);
        if (!r->hh.tbl) {
            free(r);
            alert_no_memory(e);
            return;
        }
    }
    memmove(r->fired_ns + 1, r->fired_ns, sizeof r->fired_ns - sizeof r->fired_ns[0]);
    r->fired_ns[0] = now_ns;
}

/* The clear-time of what has fired again and again within the hour. */
int64_t alert_clear_for(struct alert_engine *e, const struct alert_key *key, int64_t ns, int64_t now_ns)
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
    alert_note_fired(e, &a->key, now_ns);
    alert_note_active(e, a, 0, 1);
    e->counts.fired++;
}

void alert_detach(struct alert_engine *e, struct alert *a)
{
    alert_note_active(e, a, -1, a->state == ALERT_FIRING ? -1 : 0);
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

void alert_drop(struct alert_engine *e, struct alert *a)
{
    alert_detach(e, a);
    e->conf.dropped(e->conf.ctx, a);
    HASH_DELETE(hh_id, e->by_id, a);
    free(a);
}

void alert_finish(struct alert_engine *e, struct alert *a, const char *reason, int64_t now_ns)
{
    if (a->state == ALERT_PENDING) {
        alert_drop(e, a);
        return;
    }
    alert_detach(e, a);
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
    alert_keep_done(e, a);
}
