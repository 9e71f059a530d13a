#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/change_priv.h"
#include "common/grow.h"
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

static enum tw_rc plan_apply(struct change *ch, size_t *left)
{
    enum tw_rc rc = TW_OK;

    if (ch->rq.kind != CHANGE_APPLY && ch->rq.kind != CHANGE_ROLLBACK)
        return TW_OK;
    if (!ch->compare)
        rc = change_compare_new(ch, &ch->compare);
    if (rc == TW_OK)
        rc = change_compare_go_on(ch->compare, left);
    if (rc == TW_EAGAIN)
        return rc;
    change_compare_free(ch->compare);
    ch->compare = NULL;
    if (rc == TW_ENOMEM)
        tw_err_set(&ch->result.err, rc, "out of memory");
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

/* By kept names, which outlive the change. */
static void name_pair(const struct wanted *w, const struct wanted_change *c, struct store_pair *ret)
{
    const struct wanted_mesh *m = &w->meshes[c->mesh];
    const struct mesh_pair *p = &m->pairs.v[c->at];

    *ret = (struct store_pair){ .mesh = m->name,
                                .class_name = m->classes[p->class_index],
                                .source = w->names[p->source],
                                .target = p->target >= 0 ? w->names[p->target] : m->targets[~p->target],
                                .slot = c->slot };
}

static enum tw_rc list_added(struct change *ch, const struct wanted_change *c)
{
    if (!has_to_be_stored(ch, c))
        return TW_OK;
    if (!TW_GROW(&ch->added, ch->n_added, &ch->cap_added, 64))
        return TW_ENOMEM;
    name_pair(&ch->wanted, c, &ch->added[ch->n_added++]);
    return TW_OK;
}

/* The others that come, or come to another interval, may get another slot. */
static bool has_to_be_moved(const struct change *ch, const struct wanted_change *c)
{
    return c->slot && c->row != PAIR_NEW && !has_to_be_stored(ch, c) &&
           pair_table_at(&ch->owner->c->inv.pairs, c->row)->row.slot != c->slot;
}

static enum tw_rc list_moved(struct change *ch, const struct wanted_change *c)
{
    if (!has_to_be_moved(ch, c))
        return TW_OK;
    if (!TW_GROW(&ch->moved, ch->n_moved, &ch->cap_moved, 64))
        return TW_ENOMEM;
    ch->moved[ch->n_moved++] =
        (struct change_slot){ pair_table_at(&ch->owner->c->inv.pairs, c->row)->row.id, c->slot };
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

static enum tw_rc close_one(struct change *ch, uint32_t row)
{
    if (!TW_GROW(&ch->closed, ch->n_closed, &ch->cap_closed, 64))
        return TW_ENOMEM;
    ch->closed[ch->n_closed++] = pair_table_at(&ch->owner->c->inv.pairs, row)->row.id;
    return TW_OK;
}

static enum tw_rc list_change(struct change *ch, const struct wanted_change *c)
{
    enum tw_rc rc = list_added(ch, c);

    wanted_compare_change(&ch->owner->c->inv, &ch->wanted, c, &ch->diff);
    if (rc == TW_OK)
        rc = list_moved(ch, c);
    return rc == TW_OK && has_to_be_closed(ch, c) ? close_one(ch, c->row) : rc;
}

static enum tw_rc list_changes(struct change *ch, size_t *left)
{
    const struct wanted *w = &ch->wanted;

    if (!ch->n_listed)
        wanted_compare_begin(w, &ch->diff);
    for (; ch->n_listed < w->n_changes; ch->n_listed++, --*left) {
        enum tw_rc rc = *left ? list_change(ch, &w->changes[ch->n_listed]) : TW_EAGAIN;

        if (rc != TW_OK)
            return rc;
    }
    return TW_OK;
}

static enum tw_rc list_strays(struct change *ch)
{
    const struct inventory *inv = &ch->owner->c->inv;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < inv->n_strays; i++)
        rc = close_one(ch, inv->strays[i]);
    return rc;
}

static bool changes_schedule(const struct change *ch)
{
    for (size_t i = 0; i < ch->n_meshes; i++)
        if (ch->meshes[i].put || ch->meshes[i].drop)
            return true;
    return ch->diff.differs || ch->rq.renames;
}

static enum tw_rc prepare_job(struct change *ch, size_t *left)
{
    enum tw_rc rc = ch->rq.plan_only ? TW_OK : list_changes(ch, left);

    if (ch->rq.plan_only || rc == TW_EAGAIN)
        return rc;
    if (rc == TW_OK)
        rc = list_strays(ch);
    if (rc != TW_OK)
        return tw_err_set(&ch->result.err, rc, "out of memory");
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
    return rc == TW_OK ? wanting_new(&ch->owner->c->inv, &ch->overlay, &ch->wanting, &ch->result.err) : rc;
}

static enum tw_rc want(struct change *ch, size_t *left)
{
    enum tw_rc rc = wanting_go_on(ch->wanting, left, &ch->wanted);

    if (rc == TW_EINVAL || rc == TW_ENOSPC) /* more pairs than a mesh may have */
        ch->result.in_document = true;
    if (rc == TW_EAGAIN)
        return rc;
    wanting_free(ch->wanting);
    ch->wanting = NULL;
    return rc;
}

static enum tw_rc (*const steps[])(struct change *ch, size_t *left) = {
    [CHANGE_WANT] = want, [CHANGE_PLAN] = plan_apply, [CHANGE_LIST] = prepare_job
};

enum tw_rc change_prepare_some(struct change *ch, size_t *left)
{
    enum tw_rc rc;

    while ((rc = *left ? steps[ch->step](ch, left) : TW_EAGAIN) == TW_OK && ch->step < CHANGE_LIST)
        ch->step++;
    return rc;
}
