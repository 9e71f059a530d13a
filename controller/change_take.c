/* controller/change_take.c - a change is durable: the controller's memory follows. What takes long and shows
 * nothing goes first, in pieces of the loop; then all of the change is taken over in one. */
#include "common/log.h"
#include "controller/change_priv.h"
#include "controller/events.h"
#include "controller/fleet.h"

#define TAKE_IN_A_PIECE 1000 /* pairs: 1 to 3 ms */

/* Ingest may have learned of a pair meanwhile. */
static enum tw_rc take_pair(struct inventory *inv, const struct store_pair *row)
{
    struct pair *p = inventory_pair(inv, row->id);

    if (!p)
        p = inventory_add_pair(inv, row);
    if (!p)
        return TW_ENOMEM;
    p->unstored = false;
    return TW_OK;
}

/* Up to `most` of those that come: nothing of them shows before the schedule has them. Returned: how many. */
static size_t take_pairs(struct change *ch, size_t most)
{
    size_t from = ch->n_taken;

    while (ch->taken == TW_OK && ch->n_taken < ch->n_added && ch->n_taken - from < most)
        ch->taken = take_pair(&ch->owner->c->inv, &ch->added[ch->n_taken++]);
    return ch->n_taken - from;
}

static void close_intervals(struct change *ch)
{
    for (size_t i = 0; i < ch->n_closed; i++)
        schedule_set_interval(inventory_pair(&ch->owner->c->inv, ch->closed[i]), INTERVAL_CLOSED);
}

static enum tw_rc take_mesh(struct inventory *inv, struct change_mesh *cm)
{
    struct mesh_state *m = inventory_mesh(inv, cm->row.name);
    enum tw_rc rc = TW_OK;

    if (cm->drop) {
        inventory_drop_mesh(inv, m);
    } else if (cm->mesh) {
        rc = inventory_put_mesh(inv, &cm->row, cm->mesh);
        if (rc == TW_OK)
            cm->mesh = NULL;
    } else if (cm->put) {
        m->row.paused = cm->row.paused;
        m->row.generation = cm->row.generation;
        m->row.changed_ns = cm->row.changed_ns;
    }
    return rc;
}

/* The expansion refers to meshes that are being replaced only by name, so the order does not matter: the new
 * ones are in `wanted`. */
static enum tw_rc take_meshes(struct change *ch)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < ch->n_meshes; i++)
        rc = take_mesh(&ch->owner->c->inv, &ch->meshes[i]);
    return rc;
}

static void forget(void *ctx, struct pair *p)
{
    publish_forget(((struct controller *)ctx)->publish, p);
}

void change_note_behind(struct inventory *inv, int64_t now_ns)
{
    for (struct agent *a = inv->agents; a; a = a->hh.next)
        if (a->acked_current)
            a->behind_ns = 0;
        else if (!a->behind_ns)
            a->behind_ns = now_ns;
}

static void take_over(struct change *ch)
{
    struct controller *c = ch->owner->c;
    enum tw_rc rc = ch->taken;

    if (ch->agent)
        ch->agent->changing = false;
    if (ch->renumber)
        change_numbered(ch);
    if (ch->put_agent)
        fleet_approved(c, ch->agent, ch->now_ns);
    close_intervals(ch);
    if (rc == TW_OK)
        rc = take_meshes(ch);
    if (rc == TW_OK)
        rc = schedule_adopt(&c->inv, &ch->wanted, ch->now_ns, forget, c);
    change_note_behind(&c->inv, ch->now_ns);
    if (rc != TW_OK) /* the store has it: a restart, or the next change, brings it */
        log_error("the new schedule is stored but cannot be taken over", LOG_S("error", tw_rc_name(rc)));
    if (ch->drop_agent)
        fleet_removed(c, ch->agent);
    if (ch->renumber)
        log_info("schedule changed", LOG_U("generation", c->inv.generation), LOG_S("what", ch->what),
                 LOG_S("author", ch->rq.author), LOG_S("reason", ch->rq.reason),
                 LOG_U("pairs", ch->diff.pairs), LOG_U("added", ch->diff.added),
                 LOG_U("removed", ch->diff.removed), LOG_U("changed", ch->diff.changed));
    events_note(c->events, EVENT_SCHEDULE);
    events_note(c->events, EVENT_AGENTS);
    fleet_push_all(c);
}

bool change_take_some(struct change *ch)
{
    size_t room = TAKE_IN_A_PIECE;

    room -= take_pairs(ch, room);
    if (ch->taken == TW_OK && (!room || wanted_sum(&ch->owner->c->inv, &ch->wanted, room)))
        return true;
    take_over(ch);
    return false;
}
