/* Alerts that another controller judges: shown, acknowledged, and handed over when their agent comes to us.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/core/alert_priv.h"

/* Of this agent: by it the pair is measured, or it is down itself. */
static bool is_of(const struct alert *a, const char *source)
{
    if (a->key.kind == ALERT_PAIR)
        return !strcmp(a->source, source);
    return a->key.kind == ALERT_AGENT && !strcmp(a->key.subject, source);
}

static struct alert *find(const struct alert_engine *e, uint64_t id)
{
    return (struct alert *)alert_engine_find(e, id);
}

/* All but what says where it is in our tables. */
static void take_row(struct alert *a, const struct alert *row)
{
    struct alert old = *a;

    *a = *row;
    a->hh = old.hh;
    a->hh_id = old.hh_id;
    a->next_of_pair = NULL;
    a->elsewhere = row->state != ALERT_RESOLVED;
}

/* Who judges it may be we, and somebody acknowledged it there. */
static void take_ack(struct alert *a, const struct alert *row)
{
    if (!row->acked_ns || a->acked_ns == row->acked_ns)
        return;
    a->acked_ns = row->acked_ns;
    snprintf(a->ack_author, sizeof a->ack_author, "%s", row->ack_author);
    snprintf(a->ack_reason, sizeof a->ack_reason, "%s", row->ack_reason);
}

static enum tw_rc show_new(struct alert_engine *e, const struct alert *row)
{
    struct alert *a = calloc(1, sizeof *a);

    if (!a)
        return alert_no_memory(e);
    take_row(a, row);
    if (!alert_add_shown(e, a)) {
        free(a);
        return alert_no_memory(e);
    }
    if (a->state == ALERT_RESOLVED)
        alert_keep_done(e, a);
    return TW_OK;
}

enum tw_rc alert_engine_show(struct alert_engine *e, const struct alert *row)
{
    struct alert *a = find(e, row->id);

    if (!a)
        return show_new(e, row);
    if (!a->elsewhere && a->state != ALERT_RESOLVED) {
        take_ack(a, row);
        return TW_OK;
    }
    if (a->elsewhere) {
        take_row(a, row);
        if (a->state == ALERT_RESOLVED)
            alert_keep_done(e, a);
    }
    return TW_OK;
}

void alert_engine_hide(struct alert_engine *e, uint64_t id)
{
    struct alert *a = find(e, id);

    if (!a || !a->elsewhere)
        return;
    HASH_DELETE(hh_id, e->by_id, a);
    free(a);
}

void alert_engine_give(struct alert_engine *e, const char *source)
{
    struct alert *a, *next;

    HASH_ITER(hh, e->active, a, next)
    {
        if (!is_of(a, source))
            continue;
        alert_detach(e, a);
        memset(&a->hh, 0, sizeof a->hh);
        a->elsewhere = true;
        a->quiet = ALERT_HEARD;
        a->quiet_text[0] = '\0';
    }
}

/* What we have found ourselves meanwhile goes on; of two that are the same the other's is over. */
static void claim_one(struct alert_engine *e, struct alert *a, int64_t now_ns)
{
    struct alert row = *a;

    HASH_DELETE(hh_id, e->by_id, a);
    free(a);
    row.elsewhere = false;
    if (alert_engine_restore(e, &row) != TW_EEXIST)
        return;
    row.state = ALERT_RESOLVED;
    row.ended_ns = now_ns;
    snprintf(row.end_reason, sizeof row.end_reason, "judged elsewhere");
    if (alert_engine_restore(e, &row) == TW_OK)
        e->conf.changed(e->conf.ctx, find(e, row.id));
}

static struct alert *find_claimed(const struct alert_engine *e, const char *source)
{
    struct alert *a = e->by_id;

    while (a && !(a->elsewhere && is_of(a, source)))
        a = a->hh_id.next;
    return a;
}

/* Each anew from the beginning: what is claimed may push a resolved one out. */
void alert_engine_claim(struct alert_engine *e, const char *source, int64_t now_ns)
{
    struct alert *a;

    while ((a = find_claimed(e, source)))
        claim_one(e, a, now_ns);
}
