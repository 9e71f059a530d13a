#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "controller/change_priv.h"
#include "controller/fleet.h"

#define MAX_DOCUMENT (512u << 10) /* a mesh that is shown has to fit into a frame */

__attribute__((format(printf, 4, 5))) static enum tw_rc refuse(struct change *ch, Tw__Status status,
                                                               enum tw_rc rc, const char *fmt, ...)
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

static enum tw_rc begin_apply(struct change *ch)
{
    struct inventory *inv = &ch->owner->c->inv;
    const struct mesh_state *old;
    enum tw_rc rc;

    if (strlen(ch->rq.document) > MAX_DOCUMENT)
        return refuse(ch, TW__STATUS__STATUS_INVALID_ARGUMENT, TW_EINVAL,
                      "a mesh document has at most 512 KiB");
    rc = mesh_doc_parse(ch->rq.file, ch->rq.document, strlen(ch->rq.document), &ch->mesh, &ch->result.err);
    if (rc != TW_OK) {
        ch->result.in_document = rc != TW_ENOMEM;
        return rc;
    }
    old = inventory_mesh(inv, ch->mesh->name);
    ch->overlay.put = ch->mesh;
    ch->plan.mesh = ch->mesh->name;
    ch->mesh_row.paused = old && old->row.paused;
    ch->put_mesh = !old || strcmp(old->document, ch->rq.document);
    snprintf(ch->mesh_row.name, sizeof ch->mesh_row.name, "%s", ch->mesh->name);
    ch->mesh_row.document = ch->rq.document;
    snprintf(ch->reason, sizeof ch->reason, "apply %s", ch->mesh->name);
    return TW_OK;
}

static enum tw_rc find_mesh(struct change *ch, struct mesh_state **ret)
{
    *ret = inventory_mesh(&ch->owner->c->inv, ch->rq.name);
    if (*ret)
        return TW_OK;
    return refuse(ch, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT,
                  "no mesh \"%.63s\": twampctl schedule list shows them", ch->rq.name);
}

static enum tw_rc begin_pause(struct change *ch)
{
    bool paused = ch->rq.kind == CHANGE_PAUSE;
    struct mesh_state *m;
    enum tw_rc rc = find_mesh(ch, &m);

    if (rc != TW_OK)
        return rc;
    ch->overlay.pause_mesh = m->row.name;
    ch->overlay.paused = paused;
    ch->put_mesh = m->row.paused != paused;
    ch->mesh_row = m->row;
    ch->mesh_row.paused = paused;
    snprintf(ch->reason, sizeof ch->reason, "%s %s", paused ? "pause" : "resume", m->row.name);
    return TW_OK;
}

static enum tw_rc begin_delete(struct change *ch)
{
    struct mesh_state *m;
    enum tw_rc rc = find_mesh(ch, &m);

    if (rc != TW_OK)
        return rc;
    ch->overlay.drop_mesh = ch->rq.name;
    ch->drop_mesh = true;
    snprintf(ch->reason, sizeof ch->reason, "delete %s", m->row.name);
    return TW_OK;
}

/* It has only just come: the store has not given it its id yet. */
static enum tw_rc await_agent(struct change *ch)
{
    if (ch->awaited)
        return refuse(ch, TW__STATUS__STATUS_INTERNAL, TW_EIO,
                      "agent \"%.63s\" cannot be stored: the controller's log says why", ch->rq.name);
    if (!ch->agent->saving)
        fleet_save(ch->owner->c, ch->agent);
    ch->await_agent = true;
    return TW_EAGAIN;
}

static enum tw_rc find_agent(struct change *ch)
{
    ch->agent = inventory_agent(&ch->owner->c->inv, ch->rq.name);
    if (!ch->agent)
        return refuse(ch, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT,
                      "no agent \"%.63s\": twampctl agent list shows them", ch->rq.name);
    return ch->agent->row.id ? TW_OK : await_agent(ch);
}

static enum tw_rc copy_agent_row(struct change *ch)
{
    enum tw_rc rc = fleet_agent_row(ch->agent, &ch->agent_row);

    return rc == TW_OK ? rc : refuse(ch, TW__STATUS__STATUS_INTERNAL, rc, "out of memory");
}

static enum tw_rc begin_approve(struct change *ch)
{
    char fingerprint[IDENTITY_FINGERPRINT_TEXT];
    enum tw_rc rc = find_agent(ch);

    if (rc != TW_OK)
        return rc;
    identity_fingerprint(ch->agent->row.public_key, fingerprint);
    if (ch->rq.fingerprint[0] && strcmp(ch->rq.fingerprint, fingerprint) != 0)
        return refuse(ch, TW__STATUS__STATUS_FAILED_PRECONDITION, TW_EPERM,
                      "its key has the fingerprint %s, not the one you gave: find out who that is",
                      fingerprint);
    if (ch->agent->row.approved)
        return TW_OK;
    rc = copy_agent_row(ch);
    if (rc != TW_OK)
        return rc;
    ch->agent_row.approved = true;
    ch->agent_row.approved_ns = ch->now_ns;
    ch->overlay.approve = ch->agent;
    ch->put_agent = ch->agent->changing = true;
    snprintf(ch->reason, sizeof ch->reason, "approve agent %s", ch->agent->row.name);
    return TW_OK;
}

static enum tw_rc begin_remove(struct change *ch)
{
    enum tw_rc rc = find_agent(ch);

    if (rc != TW_OK)
        return rc;
    ch->agent_row.id = ch->agent->row.id;
    ch->overlay.remove = ch->agent;
    ch->drop_agent = ch->agent->changing = true;
    snprintf(ch->reason, sizeof ch->reason, "remove agent %s", ch->agent->row.name);
    return TW_OK;
}

static enum tw_rc begin_expand(struct change *ch)
{
    ch->owner->expand_waiting = false;
    snprintf(ch->reason, sizeof ch->reason, "agents changed");
    return TW_OK;
}

static enum tw_rc (*const begin[])(struct change *ch) = {
    [CHANGE_APPLY] = begin_apply,   [CHANGE_PAUSE] = begin_pause,     [CHANGE_RESUME] = begin_pause,
    [CHANGE_DELETE] = begin_delete, [CHANGE_APPROVE] = begin_approve, [CHANGE_REMOVE] = begin_remove,
    [CHANGE_EXPAND] = begin_expand,
};

/* ---- The plan of an apply ---- */

static bool has_ipv6(const struct wanted *w, const struct mesh *m)
{
    for (size_t i = 0; i < w->n; i++)
        if (w->pairs[i].mesh == m && w->pairs[i].address.family == 6)
            return true;
    return false;
}

static enum tw_rc add_cost(struct plan_cost *cost, const struct wanted *w)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < w->n_meshes; i++)
        if (!w->meshes[i].paused)
            rc = plan_add(cost, &w->meshes[i].pairs, has_ipv6(w, w->meshes[i].mesh));
    return rc;
}

static enum tw_rc fill_plan(struct change *ch)
{
    struct inventory *inv = &ch->owner->c->inv;
    const struct wanted_mesh *after = wanted_find_mesh(&ch->wanted, ch->mesh->name), *before;
    struct wanted now = { 0 };
    enum tw_rc rc = wanted_build(inv, &(struct overlay){ 0 }, &now, &ch->result.err);

    if (rc != TW_OK)
        return rc;
    before = wanted_find_mesh(&now, ch->mesh->name);
    plan_compare(before ? &before->pairs : NULL, &after->pairs, &ch->plan.diff);
    ch->plan.pairs = after->pairs.n;
    rc = add_cost(&ch->plan.before, &now);
    if (rc == TW_OK)
        rc = add_cost(&ch->plan.after, &ch->wanted);
    wanted_free(&now);
    return rc == TW_OK ? rc : tw_err_set(&ch->result.err, rc, "out of memory");
}

static enum tw_rc check_agent_budget(struct change *ch, const struct plan_agent *p)
{
    const struct agent *a = inventory_agent(&ch->owner->c->inv, p->name);
    uint32_t sessions = a && a->enrolment ? a->enrolment->max_sessions : 0;
    uint32_t pps = a && a->enrolment ? a->enrolment->max_pps : 0;

    if (!sessions || sessions > SCHEDULE_MAX_SESSIONS)
        sessions = SCHEDULE_MAX_SESSIONS;
    if (p->sessions > sessions)
        return tw_err_set(&ch->result.err, TW_EINVAL,
                          "agent %s would run %llu sessions, at most %u are allowed there: use fewer "
                          "members, classes or flows",
                          p->name, (unsigned long long)p->sessions, sessions);
    if (pps && p->pps > pps)
        return tw_err_set(
            &ch->result.err, TW_EINVAL,
            "agent %s would send %.0f packets/s, at most %u are allowed there: use a wider spacing", p->name,
            p->pps, pps);
    return TW_OK;
}

static enum tw_rc plan_apply(struct change *ch)
{
    enum tw_rc rc = fill_plan(ch);

    for (size_t i = 0; rc == TW_OK && i < ch->plan.after.n_agents; i++)
        rc = check_agent_budget(ch, &ch->plan.after.agents[i]);
    ch->result.in_document = rc == TW_EINVAL;
    return rc;
}

/* ---- Second step: what the store has to do ---- */

static bool is_stored(const struct pair *p)
{
    return p && !p->unstored;
}

static enum tw_rc list_added(struct change *ch)
{
    struct names *names = &ch->owner->c->inv.names;

    for (size_t i = 0; i < ch->wanted.n; i++)
        ch->n_added += !is_stored(ch->wanted.pairs[i].pair);
    ch->added = calloc(ch->n_added + 1, sizeof *ch->added);
    ch->added_to = calloc(ch->n_added + 1, sizeof(struct wanted_pair *));
    if (!ch->added || !ch->added_to)
        return TW_ENOMEM;
    for (size_t i = 0, n = 0; i < ch->wanted.n; i++) {
        struct wanted_pair *w = &ch->wanted.pairs[i];

        if (is_stored(w->pair))
            continue;
        ch->added[n] = (struct store_pair){ .mesh = names_keep(names, w->mesh->name),
                                            .class_name = names_keep(names, w->class_->name),
                                            .source = names_keep(names, w->source->row.name),
                                            .target = names_keep(names, w->target) };
        if (!ch->added[n].mesh || !ch->added[n].class_name || !ch->added[n].source || !ch->added[n].target)
            return TW_ENOMEM;
        ch->added_to[n++] = w;
    }
    return TW_OK;
}

/* Open intervals of pairs that go, are paused, or get another period or number of flows. */
static enum tw_rc list_closed(struct change *ch)
{
    struct inventory *inv = &ch->owner->c->inv;
    uint64_t mark = ++inv->marks;
    size_t open = 0;

    for (size_t i = 0; i < inv->pairs.n; i++)
        open += pair_table_at(&inv->pairs, i)->interval != INTERVAL_CLOSED;
    ch->closed = calloc(open + 1, sizeof *ch->closed);
    if (!ch->closed)
        return TW_ENOMEM;
    for (size_t i = 0; i < ch->wanted.n; i++) {
        const struct wanted_pair *w = &ch->wanted.pairs[i];

        if (w->pair && !w->paused && w->pair->interval_period_ns == w->class_->report_period_ns &&
            w->pair->interval_flows == w->class_->flows)
            w->pair->seen = mark;
    }
    for (size_t i = 0; i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (p->interval != INTERVAL_CLOSED && p->seen != mark)
            ch->closed[ch->n_closed++] = p->row.id;
    }
    return TW_OK;
}

static bool changes_schedule(struct change *ch)
{
    return ch->put_mesh || ch->drop_mesh || wanted_differs(&ch->owner->c->inv, &ch->wanted);
}

static enum tw_rc prepare_job(struct change *ch)
{
    enum tw_rc rc = list_added(ch);

    if (rc == TW_OK)
        rc = list_closed(ch);
    if (rc != TW_OK)
        return tw_err_set(&ch->result.err, rc, "out of memory");
    ch->renumber = changes_schedule(ch);
    ch->generation = (struct store_generation){ .number = ch->owner->c->inv.generation + 1,
                                                .time_ns = ch->now_ns,
                                                .author = ch->rq.author,
                                                .reason = ch->reason };
    ch->mesh_row.generation = ch->generation.number;
    ch->mesh_row.changed_ns = ch->now_ns;
    if (ch->rq.kind == CHANGE_APPLY)
        ch->mesh_row.author = ch->rq.author;
    return TW_OK;
}

enum tw_rc change_prepare(struct change *ch)
{
    enum tw_rc rc = begin[ch->rq.kind](ch);

    if (rc == TW_OK)
        rc = wanted_build(&ch->owner->c->inv, &ch->overlay, &ch->wanted, &ch->result.err);
    if (rc == TW_EINVAL || rc == TW_ENOSPC) /* more pairs than a mesh may have */
        ch->result.in_document = true;
    if (rc == TW_OK && ch->rq.kind == CHANGE_APPLY)
        rc = plan_apply(ch);
    return rc != TW_OK || ch->rq.plan_only ? rc : prepare_job(ch);
}
