#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/change_priv.h"
#include "controller/fleet.h"
#include "controller/near.h"

enum tw_rc change_refuse(struct change *ch, Tw__Status status, enum tw_rc rc, const char *fmt, ...)
{
    char text[sizeof ch->result.err.text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ch->result.status = status;
    return tw_err_set(&ch->result.err, rc, "%s", text);
}

/* ---- First step: what is asked for. Each fills the overlay and what the writer has to put. ---- */

static enum tw_rc find_mesh(struct change *ch, struct mesh_state **ret)
{
    char mean[NEAR_TEXT];
    *ret = inventory_mesh(&ch->owner->c->inv, ch->rq.name);
    if (*ret)
        return TW_OK;
    return change_refuse(ch, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT,
                         "no mesh \"%.63s\"%s: twampctl schedule list shows them", ch->rq.name, near_mesh(&ch->owner->c->inv, ch->rq.name, mean));
}

/* The mesh that a request names, as it is. */
static enum tw_rc touch_mesh(struct change *ch, struct change_mesh **ret)
{
    struct mesh_state *m;
    enum tw_rc rc = find_mesh(ch, &m);

    if (rc != TW_OK)
        return rc;
    *ret = change_add_mesh(ch, m->row.name);
    if (!*ret)
        return change_refuse(ch, TW__STATUS__STATUS_INTERNAL, TW_ENOMEM, "out of memory");
    (*ret)->row = m->row;
    return TW_OK;
}

static enum tw_rc begin_pause(struct change *ch)
{
    bool paused = ch->rq.kind == CHANGE_PAUSE;
    struct change_mesh *m;
    enum tw_rc rc = touch_mesh(ch, &m);

    if (rc != TW_OK)
        return rc;
    m->put = m->row.paused != paused;
    m->row.paused = paused;
    snprintf(ch->what, sizeof ch->what, "%s %s", paused ? "pause" : "resume", m->row.name);
    return TW_OK;
}

static enum tw_rc begin_delete(struct change *ch)
{
    struct change_mesh *m;
    enum tw_rc rc = touch_mesh(ch, &m);

    if (rc != TW_OK)
        return rc;
    m->drop = true;
    snprintf(ch->what, sizeof ch->what, "delete %s", m->row.name);
    return TW_OK;
}

/* It has only just come: the store has not given it its id yet. Or what an operator said of it is on the way
 * there. */
static enum tw_rc await_agent(struct change *ch)
{
    if (ch->awaited && ch->agent->row.id)
        return change_refuse(ch, TW__STATUS__STATUS_UNAVAILABLE, TW_EBUSY,
                             "agent \"%.63s\" is being changed by somebody else: try again", ch->rq.name);
    if (ch->awaited)
        return change_refuse(ch, TW__STATUS__STATUS_INTERNAL, TW_EIO,
                             "agent \"%.63s\" cannot be stored: the controller's log says why", ch->rq.name);
    if (!ch->agent->saving && !ch->agent->editing)
        fleet_save(ch->owner->c, ch->agent);
    ch->await_agent = true;
    return TW_EAGAIN;
}

static enum tw_rc find_agent(struct change *ch)
{
    char mean[NEAR_TEXT];
    ch->agent = inventory_agent(&ch->owner->c->inv, ch->rq.name);
    if (!ch->agent)
        return change_refuse(ch, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT,
                             "no agent \"%.63s\"%s: twampctl agent list shows them", ch->rq.name, near_agent(&ch->owner->c->inv, ch->rq.name, mean));
    return ch->agent->row.id && !ch->agent->editing ? TW_OK : await_agent(ch);
}

static enum tw_rc copy_agent_row(struct change *ch)
{
    enum tw_rc rc = fleet_agent_row(ch->agent, &ch->agent_row);

    return rc == TW_OK ? rc : change_refuse(ch, TW__STATUS__STATUS_INTERNAL, rc, "out of memory");
}

static enum tw_rc begin_approve(struct change *ch)
{
    char fingerprint[IDENTITY_FINGERPRINT_TEXT];
    enum tw_rc rc = find_agent(ch);

    if (rc != TW_OK)
        return rc;
    identity_fingerprint(ch->agent->row.public_key, fingerprint);
    if (ch->rq.fingerprint[0] && strcmp(ch->rq.fingerprint, fingerprint) != 0)
        return change_refuse(ch, TW__STATUS__STATUS_FAILED_PRECONDITION, TW_EPERM,
                             "its key has the fingerprint %s, not the one you gave: find out who that is",
                             fingerprint);
    if (agent_is_revoked(ch->agent))
        return change_refuse(ch, TW__STATUS__STATUS_FAILED_PRECONDITION, TW_EPERM,
                             "agent \"%.63s\" is revoked: twampctl agent remove forgets that, then approve it when it "
                             "comes",
                             ch->rq.name);
    if (ch->agent->row.approved)
        return TW_OK;
    rc = copy_agent_row(ch);
    if (rc != TW_OK)
        return rc;
    ch->agent_row.approved = true;
    ch->agent_row.approved_ns = ch->now_ns;
    ch->overlay.approve = ch->agent;
    ch->put_agent = ch->agent->changing = true;
    return TW_OK;
}

static enum tw_rc begin_remove(struct change *ch)
{
    enum tw_rc rc = find_agent(ch);

    if (rc != TW_OK)
        return rc;
    ch->agent_row = ch->agent->row; /* its texts are nobody's */
    ch->overlay.remove = ch->agent;
    ch->drop_agent = ch->agent->changing = true;
    return TW_OK;
}

static enum tw_rc begin_expand(struct change *ch)
{
    ch->owner->expand_waiting = NULL;
    return TW_OK;
}

/* What was done to the agents is stored and in the inventory already. */
static enum tw_rc begin_agents(struct change *ch)
{
    snprintf(ch->what, sizeof ch->what, "%s", ch->rq.name);
    return TW_OK;
}

static enum tw_rc (*const begin[])(struct change *ch) = {
    [CHANGE_APPLY] = change_read_documents, [CHANGE_ROLLBACK] = change_read_documents,
    [CHANGE_PAUSE] = begin_pause,           [CHANGE_RESUME] = begin_pause,
    [CHANGE_DELETE] = begin_delete,         [CHANGE_APPROVE] = begin_approve,
    [CHANGE_REMOVE] = begin_remove,         [CHANGE_EXPAND] = begin_expand,
    [CHANGE_AGENTS] = begin_agents,
};

/* ---- The plan of an apply ---- */

static enum tw_rc add_cost(struct plan_cost *cost, const struct wanted *w)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < w->n_meshes; i++)
        if (!w->meshes[i].paused)
            rc = plan_add(cost, &w->meshes[i].pairs, wanted_has_ipv6(w, &w->meshes[i]));
    return rc;
}

/* Times are the same for all pairs of a class, but for their phases. */
static size_t count_ended(const struct mesh *m, int64_t now_ns)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_classes; i++) {
        const struct class_times *t = m->classes[i].times;
        const struct pair_key any = { m->name, m->classes[i].name, "", "", 0, class_times_every(t) ? 1 : 0 };

        n += t && t->id && class_times_is_idle(t, &any, now_ns) &&
             class_times_next(t, &any, now_ns) == TIMES_NEVER;
    }
    return n;
}

static enum tw_rc plan_mesh(struct change *ch, const struct change_mesh *cm, const struct wanted *now)
{
    struct change_plan *plan = &ch->plan;
    struct change_mesh_plan *p = &plan->meshes[plan->n_meshes++];
    const struct wanted_mesh *before = wanted_find_mesh(now, cm->row.name);
    const struct wanted_mesh *after = wanted_find_mesh(&ch->wanted, cm->row.name);

    *p = (struct change_mesh_plan){ .mesh = cm->row.name,
                                    .paused = cm->row.paused,
                                    .pairs = after ? after->pairs.n : 0 };
    p->action = cm->drop              ? MESH_DELETED
                : !before             ? MESH_ADDED
                : cm->put || cm->mesh ? MESH_CHANGED
                                      : MESH_UNCHANGED;
    p->ended_classes = after ? count_ended(after->mesh, ch->now_ns) : 0;
    plan_compare(before ? &before->pairs : NULL, after ? &after->pairs : NULL, &p->diff);
    plan->pairs += p->pairs;
    plan->diff.added += p->diff.added;
    plan->diff.removed += p->diff.removed;
    plan->diff.changed += p->diff.changed;
    plan->diff.kept += p->diff.kept;
    return after ? mesh_below_degree(&after->pairs, &p->below_degree) : TW_OK;
}

static enum tw_rc fill_plan(struct change *ch)
{
    struct inventory *inv = &ch->owner->c->inv;
    struct wanted now = { 0 };
    enum tw_rc rc = wanted_build(inv, &(struct overlay){ 0 }, &now, &ch->result.err);

    if (rc != TW_OK)
        return rc;
    ch->plan.meshes = calloc(ch->n_meshes + 1, sizeof *ch->plan.meshes);
    if (!ch->plan.meshes)
        rc = TW_ENOMEM;
    for (size_t i = 0; rc == TW_OK && i < ch->n_meshes; i++)
        rc = plan_mesh(ch, &ch->meshes[i], &now);
    if (rc == TW_OK)
        rc = add_cost(&ch->plan.before, &now);
    if (rc == TW_OK)
        rc = add_cost(&ch->plan.after, &ch->wanted);
    if (rc == TW_OK)
        rc = change_list_pairs(ch, &now);
    wanted_free(&now);
    return rc == TW_OK ? rc : tw_err_set(&ch->result.err, rc, "out of memory");
}

static enum tw_rc plan_apply(struct change *ch)
{
    enum tw_rc rc = fill_plan(ch);

    return rc == TW_OK ? change_check_budgets(ch) : rc;
}

/* ---- Second step: what the store has to do ---- */

static bool is_stored(const struct pair *p)
{
    return p && !p->unstored;
}

/* Of pairs that come into the schedule those that the store does not know for sure. */
static bool has_to_be_stored(const struct change *ch, const struct wanted_change *c)
{
    return c->what == WANTED_ADDED &&
           (c->row == PAIR_NEW || !is_stored(pair_table_at(&ch->owner->c->inv.pairs, c->row)));
}

static bool keep_names(struct names *names, const struct wanted_pair *w, struct store_pair *ret)
{
    *ret = (struct store_pair){ .mesh = names_keep(names, w->mesh->name),
                                .class_name = names_keep(names, w->class_->name),
                                .source = names_keep(names, w->source),
                                .target = names_keep(names, w->target) };
    return ret->mesh && ret->class_name && ret->source && ret->target;
}

static enum tw_rc list_added(struct change *ch)
{
    const struct wanted *w = &ch->wanted;
    size_t n = 0;

    for (size_t i = 0; i < w->n_changes; i++)
        n += has_to_be_stored(ch, &w->changes[i]);
    ch->added = calloc(n + 1, sizeof *ch->added);
    if (!ch->added)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->n_changes; i++) {
        struct wanted_pair p;

        if (!has_to_be_stored(ch, &w->changes[i]))
            continue;
        wanted_change_pair(w, &w->changes[i], &p);
        if (!keep_names(&ch->owner->c->inv.names, &p, &ch->added[ch->n_added]))
            return TW_ENOMEM;
        ch->added[ch->n_added++].slot = w->changes[i].slot;
    }
    return TW_OK;
}

/* The others that come, or come to another interval, may get another slot. */
static bool has_to_be_moved(const struct change *ch, const struct wanted_change *c)
{
    return c->slot && c->row != PAIR_NEW && !has_to_be_stored(ch, c) &&
           pair_table_at(&ch->owner->c->inv.pairs, c->row)->row.slot != c->slot;
}

static enum tw_rc list_moved(struct change *ch)
{
    const struct wanted *w = &ch->wanted;
    size_t n = 0;

    for (size_t i = 0; i < w->n_changes; i++)
        n += has_to_be_moved(ch, &w->changes[i]);
    ch->moved = calloc(n + 1, sizeof *ch->moved);
    if (!ch->moved)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->n_changes; i++)
        if (has_to_be_moved(ch, &w->changes[i]))
            ch->moved[ch->n_moved++] = (struct change_slot){
                pair_table_at(&ch->owner->c->inv.pairs, w->changes[i].row)->row.id, w->changes[i].slot
            };
    return TW_OK;
}

/* The controller that the source is connected to opens it, and does not tell others. To close one that is not
 * open is no error. */
static bool is_open_elsewhere(const struct change *ch, const struct pair *p)
{
    const struct agent *source = pair_source(p);

    return ch->owner->c->shared && p->scheduled && !(source && source->peer);
}

/* Open intervals of pairs that go, are paused, or get other sessions: the report period in which those change is in two summaries,
 * none of them whole, and so must be in no interval. */
static bool has_to_be_closed(const struct change *ch, const struct wanted_change *c)
{
    const struct pair *p = c->row == PAIR_NEW ? NULL : pair_table_at(&ch->owner->c->inv.pairs, c->row);
    struct wanted_pair w;

    if (!p || (p->interval == INTERVAL_CLOSED && !is_open_elsewhere(ch, p)))
        return false;
    if (c->what == WANTED_REMOVED)
        return true;
    wanted_change_pair(&ch->wanted, c, &w);
    return w.paused || c->restarts ||
           !pair_interval_fits(p, w.class_->report_period_ns, w.class_->flows, w.class_->times, c->slot);
}

static enum tw_rc list_closed(struct change *ch)
{
    const struct inventory *inv = &ch->owner->c->inv;
    const struct wanted *w = &ch->wanted;

    ch->closed = calloc(w->n_changes + inv->n_strays + 1, sizeof *ch->closed);
    if (!ch->closed)
        return TW_ENOMEM;
    for (size_t i = 0; i < w->n_changes; i++)
        if (has_to_be_closed(ch, &w->changes[i]))
            ch->closed[ch->n_closed++] = pair_table_at(&inv->pairs, w->changes[i].row)->row.id;
    for (size_t i = 0; i < inv->n_strays; i++)
        ch->closed[ch->n_closed++] = pair_table_at(&inv->pairs, inv->strays[i])->row.id;
    return TW_OK;
}

static bool changes_schedule(const struct change *ch)
{
    for (size_t i = 0; i < ch->n_meshes; i++)
        if (ch->meshes[i].put || ch->meshes[i].drop)
            return true;
    return ch->diff.differs || ch->rq.renames;
}

static enum tw_rc prepare_job(struct change *ch)
{
    enum tw_rc rc = list_added(ch);

    if (rc == TW_OK)
        rc = list_moved(ch);
    if (rc == TW_OK)
        rc = list_closed(ch);
    if (rc != TW_OK)
        return tw_err_set(&ch->result.err, rc, "out of memory");
    wanted_compare(&ch->owner->c->inv, &ch->wanted, &ch->diff);
    ch->renumber = changes_schedule(ch);
    change_number(ch);
    for (size_t i = 0; i < ch->n_meshes; i++) {
        struct store_mesh *row = &ch->meshes[i].row;

        row->generation = ch->generation.number;
        row->changed_ns = ch->now_ns;
        if (ch->meshes[i].mesh)
            row->author = ch->rq.author;
    }
    return rc;
}

struct change_mesh *change_add_mesh(struct change *ch, const char *name)
{
    struct change_mesh *m;

    if (ch->n_meshes == ch->cap_meshes) {
        size_t cap = 2 * ch->cap_meshes + 4;

        m = realloc(ch->meshes, cap * sizeof *m);
        if (!m)
            return NULL;
        ch->meshes = m;
        ch->cap_meshes = cap;
    }
    m = &ch->meshes[ch->n_meshes++];
    *m = (struct change_mesh){ 0 };
    snprintf(m->row.name, sizeof m->row.name, "%s", name);
    return m;
}

static enum tw_rc lay_over(struct change *ch)
{
    ch->overlay_meshes = calloc(ch->n_meshes + 1, sizeof *ch->overlay_meshes);
    if (!ch->overlay_meshes)
        return change_refuse(ch, TW__STATUS__STATUS_INTERNAL, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < ch->n_meshes; i++) {
        const struct change_mesh *m = &ch->meshes[i];

        ch->overlay_meshes[i] = (struct overlay_mesh){ .name = m->row.name,
                                                       .put = m->mesh,
                                                       .file = m->file,
                                                       .lines_before = m->lines_before,
                                                       .strict = ch->rq.kind == CHANGE_APPLY,
                                                       .drop = m->drop,
                                                       .paused = m->row.paused };
    }
    ch->overlay.meshes = ch->overlay_meshes;
    ch->overlay.n_meshes = ch->n_meshes;
    return TW_OK;
}

enum tw_rc change_prepare(struct change *ch)
{
    enum tw_rc rc = begin[ch->rq.kind](ch);

    if (rc == TW_OK)
        rc = lay_over(ch);
    if (rc == TW_OK)
        rc = wanted_build(&ch->owner->c->inv, &ch->overlay, &ch->wanted, &ch->result.err);
    if (rc == TW_EINVAL || rc == TW_ENOSPC) /* more pairs than a mesh may have */
        ch->result.in_document = true;
    if (rc == TW_OK && (ch->rq.kind == CHANGE_APPLY || ch->rq.kind == CHANGE_ROLLBACK))
        rc = plan_apply(ch);
    return rc != TW_OK || ch->rq.plan_only ? rc : prepare_job(ch);
}
