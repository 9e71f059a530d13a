#include "controller/change.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/fleet.h"
#include "controller/writer.h"

#define MAX_WAITING 64
#define MAX_DOCUMENT (512u << 10) /* a mesh that is shown has to fit into a frame */

struct change {
    struct writer_job job; /* first */
    struct changes *owner;
    struct change *next;
    struct change_request rq; /* its texts are ours */

    struct mesh *mesh; /* parsed document; the inventory's once taken over */
    struct overlay overlay;
    struct wanted wanted;
    struct agent *agent; /* approve, remove */
    struct change_plan plan;
    struct change_result result;
    int64_t now_ns;

    /* For the writer thread. */
    bool put_mesh, drop_mesh, put_agent, drop_agent, renumber;
    struct store_mesh mesh_row;
    struct store_agent agent_row;
    struct store_generation generation;
    char reason[STORE_NAME_MAX + 32];
    struct store_pair *added; /* get their ids there */
    struct wanted_pair **added_to;
    size_t n_added;
    uint64_t *closed; /* ids of pairs whose interval ends */
    size_t n_closed;
};

struct changes {
    struct controller *c;
    struct change *first, **end;
    unsigned waiting;
    bool busy;           /* the first one is with the writer */
    bool running;        /* run_waiting() is on the stack */
    bool expand_waiting; /* a CHANGE_EXPAND that has not begun */
};

/* ---- Requests ---- */

static void change_free(struct change *ch)
{
    free((char *)ch->rq.name);
    free((char *)ch->rq.file);
    free((char *)ch->rq.document);
    free((char *)ch->rq.author);
    free((char *)ch->rq.fingerprint);
    wanted_free(&ch->wanted);
    mesh_free(ch->mesh);
    plan_free(&ch->plan.before);
    plan_free(&ch->plan.after);
    free(ch->agent_row.enrolment);
    free(ch->added);
    free(ch->added_to);
    free(ch->closed);
    free(ch);
}

static const char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static struct change *change_new(struct changes *s, const struct change_request *rq)
{
    struct change *ch = calloc(1, sizeof *ch);

    if (!ch)
        return NULL;
    ch->owner = s;
    ch->rq = *rq;
    ch->rq.name = copy(rq->name);
    ch->rq.file = copy(rq->file);
    ch->rq.document = copy(rq->document);
    ch->rq.author = copy(rq->author);
    ch->rq.fingerprint = copy(rq->fingerprint);
    if (ch->rq.name && ch->rq.file && ch->rq.document && ch->rq.author && ch->rq.fingerprint)
        return ch;
    change_free(ch);
    return NULL;
}

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

static enum tw_rc find_agent(struct change *ch)
{
    ch->agent = inventory_agent(&ch->owner->c->inv, ch->rq.name);
    if (!ch->agent)
        return refuse(ch, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT,
                      "no agent \"%.63s\": twampctl agent list shows them", ch->rq.name);
    if (!ch->agent->row.id)
        return refuse(ch, TW__STATUS__STATUS_UNAVAILABLE, TW_EAGAIN,
                      "agent \"%.63s\" has only just come and is not stored yet: try again", ch->rq.name);
    return TW_OK;
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
            rc = plan_add(cost, w->meshes[i].mesh, w->meshes[i].pairs, w->meshes[i].n,
                          has_ipv6(w, w->meshes[i].mesh));
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
    plan_compare(before ? before->mesh : NULL, before ? before->pairs : NULL, before ? before->n : 0,
                 after->mesh, after->pairs, after->n, &ch->plan.diff);
    ch->plan.pairs = after->n;
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

static enum tw_rc list_added(struct change *ch)
{
    for (size_t i = 0; i < ch->wanted.n; i++)
        ch->n_added += !ch->wanted.pairs[i].pair;
    ch->added = calloc(ch->n_added + 1, sizeof *ch->added);
    ch->added_to = calloc(ch->n_added + 1, sizeof(struct wanted_pair *));
    if (!ch->added || !ch->added_to)
        return TW_ENOMEM;
    for (size_t i = 0, n = 0; i < ch->wanted.n; i++) {
        struct wanted_pair *w = &ch->wanted.pairs[i];

        if (w->pair)
            continue;
        snprintf(ch->added[n].mesh, STORE_NAME_MAX, "%s", w->mesh->name);
        snprintf(ch->added[n].class_name, STORE_NAME_MAX, "%s", w->class_->name);
        snprintf(ch->added[n].source, STORE_NAME_MAX, "%s", w->names->source);
        snprintf(ch->added[n].target, STORE_NAME_MAX, "%s", w->names->target);
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

    for (const struct pair *p = inv->pairs; p; p = p->hh.next)
        open += p->interval != INTERVAL_CLOSED;
    ch->closed = calloc(open + 1, sizeof *ch->closed);
    if (!ch->closed)
        return TW_ENOMEM;
    for (size_t i = 0; i < ch->wanted.n; i++) {
        const struct wanted_pair *w = &ch->wanted.pairs[i];

        if (w->pair && !w->paused && w->pair->interval_period_ns == w->class_->report_period_ns &&
            w->pair->interval_flows == w->class_->flows)
            w->pair->seen = mark;
    }
    for (const struct pair *p = inv->pairs; p; p = p->hh.next)
        if (p->interval != INTERVAL_CLOSED && p->seen != mark)
            ch->closed[ch->n_closed++] = p->row.id;
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

/* Writer thread. */
static enum tw_rc run_change(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct change *ch = (struct change *)j;
    enum tw_rc rc = TW_OK;

    if (ch->put_mesh)
        rc = store_put_mesh(s, &ch->mesh_row, err);
    if (rc == TW_OK && ch->drop_mesh)
        rc = store_remove_mesh(s, ch->rq.name, err);
    if (rc == TW_OK && ch->put_agent)
        rc = store_put_agent(s, &ch->agent_row, err);
    if (rc == TW_OK && ch->drop_agent)
        rc = store_remove_agent(s, ch->agent_row.id, err);
    for (size_t i = 0; rc == TW_OK && i < ch->n_added; i++) {
        ch->added[i].id = 0; /* may be left of a run that was rolled back */
        rc = store_put_pair(s, &ch->added[i], err);
    }
    for (size_t i = 0; rc == TW_OK && i < ch->n_closed; i++)
        rc = store_pair_unscheduled(s, ch->closed[i], ch->now_ns, err);
    if (rc == TW_OK && ch->renumber)
        rc = store_put_generation(s, &ch->generation, err);
    return rc;
}

/* ---- Third step: it is durable ---- */

static enum tw_rc take_pairs(struct change *ch)
{
    for (size_t i = 0; i < ch->n_added; i++) {
        ch->added_to[i]->pair = inventory_add_pair(&ch->owner->c->inv, &ch->added[i]);
        if (!ch->added_to[i]->pair)
            return TW_ENOMEM;
    }
    for (size_t i = 0; i < ch->n_closed; i++)
        inventory_pair(&ch->owner->c->inv, ch->closed[i])->interval = INTERVAL_CLOSED;
    return TW_OK;
}

/* The expansion refers to the mesh that is being replaced only by name, so the order does not matter: the new
 * one is in `wanted`. */
static enum tw_rc take_mesh(struct change *ch)
{
    struct inventory *inv = &ch->owner->c->inv;
    struct mesh_state *m = ch->rq.kind == CHANGE_APPLY ? NULL : inventory_mesh(inv, ch->rq.name);
    enum tw_rc rc;

    if (ch->drop_mesh)
        inventory_drop_mesh(inv, m);
    if (!ch->put_mesh)
        return TW_OK;
    if (ch->rq.kind == CHANGE_APPLY) {
        rc = inventory_put_mesh(inv, &ch->mesh_row, ch->mesh);
        if (rc == TW_OK)
            ch->mesh = NULL;
        return rc;
    }
    m->row.paused = ch->mesh_row.paused;
    m->row.generation = ch->mesh_row.generation;
    m->row.changed_ns = ch->mesh_row.changed_ns;
    return TW_OK;
}

static void forget(void *ctx, struct pair *p)
{
    publish_forget(((struct controller *)ctx)->publish, p);
}

static void take_over(struct change *ch)
{
    struct controller *c = ch->owner->c;
    enum tw_rc rc;

    if (ch->renumber)
        c->inv.generation = ch->generation.number;
    if (ch->put_agent)
        fleet_approved(c, ch->agent, ch->now_ns);
    rc = take_pairs(ch);
    if (rc == TW_OK)
        rc = take_mesh(ch);
    if (rc == TW_OK)
        rc = schedule_adopt(&c->inv, &ch->wanted, ch->now_ns, forget, c);
    if (rc != TW_OK) /* the store has it: a restart, or the next change, brings it */
        log_error("the new schedule is stored but cannot be taken over", LOG_S("error", tw_rc_name(rc)));
    if (ch->drop_agent)
        fleet_removed(c, ch->agent);
    if (ch->renumber)
        log_info("schedule changed", LOG_U("generation", c->inv.generation), LOG_S("reason", ch->reason),
                 LOG_S("author", ch->rq.author), LOG_U("pairs", ch->wanted.n),
                 LOG_U("new_pairs", ch->n_added));
    fleet_push_all(c);
}

/* ---- One after the other ---- */

static void run_waiting(struct changes *s);

static struct change *take_first(struct changes *s)
{
    struct change *ch = s->first;

    s->first = ch->next;
    if (!s->first)
        s->end = &s->first;
    s->waiting--;
    return ch;
}

/* ch is not in the list any more. */
static void answer(struct change *ch, enum tw_rc rc)
{
    if (rc != TW_OK && ch->result.status == TW__STATUS__STATUS_OK)
        ch->result.status = ch->result.in_document ? TW__STATUS__STATUS_INVALID_ARGUMENT
                            : rc == TW_ECLOSED     ? TW__STATUS__STATUS_UNAVAILABLE
                                                   : TW__STATUS__STATUS_INTERNAL;
    ch->result.generation = ch->rq.plan_only ? 0 : ch->owner->c->inv.generation;
    ch->result.plan = rc == TW_OK && ch->rq.kind == CHANGE_APPLY ? &ch->plan : NULL;
    if (ch->rq.done)
        ch->rq.done(ch->rq.ctx, &ch->result);
    change_free(ch);
}

static void change_stored(struct writer_job *j)
{
    struct change *ch = (struct change *)j;
    struct changes *s = ch->owner;
    enum tw_rc rc = j->rc;

    if (ch->agent)
        ch->agent->changing = false;
    s->busy = false;
    if (rc == TW_OK)
        take_over(ch);
    else
        ch->result.err = j->err;
    answer(ch, rc);
    if (rc != TW_ECLOSED)
        run_waiting(s);
}

/* TW_EAGAIN: it is with the writer now. */
static enum tw_rc start(struct change *ch)
{
    struct controller *c = ch->owner->c;
    enum tw_rc rc;

    ch->now_ns = tw_wall_now().ns;
    rc = begin[ch->rq.kind](ch);
    if (rc == TW_OK)
        rc = wanted_build(&c->inv, &ch->overlay, &ch->wanted, &ch->result.err);
    if (rc == TW_EINVAL)
        ch->result.in_document = true;
    if (rc == TW_OK && ch->rq.kind == CHANGE_APPLY)
        rc = plan_apply(ch);
    if (rc != TW_OK || ch->rq.plan_only)
        return rc;
    rc = prepare_job(ch);
    if (rc != TW_OK || (!ch->renumber && !ch->put_agent && !ch->drop_agent))
        return rc;
    ch->job = (struct writer_job){ .run = run_change, .done = change_stored, .urgent = true };
    rc = writer_submit(c->writer, &ch->job);
    return rc == TW_OK ? TW_EAGAIN : tw_err_set(&ch->result.err, rc, "the controller is stopping");
}

static void run_waiting(struct changes *s)
{
    if (s->running) /* a done() submitted another one */
        return;
    s->running = true;
    while (s->first && !s->busy) {
        struct change *ch = take_first(s);
        enum tw_rc rc = start(ch);

        if (rc == TW_EAGAIN && ch->result.status == TW__STATUS__STATUS_OK) {
            s->busy = true;
            continue;
        }
        if (ch->agent)
            ch->agent->changing = false;
        answer(ch, rc);
    }
    s->running = false;
}

enum tw_rc change_submit(struct changes *s, const struct change_request *rq)
{
    struct change *ch;

    if (s->waiting >= MAX_WAITING)
        return TW_EBUSY;
    ch = change_new(s, rq);
    if (!ch)
        return TW_ENOMEM;
    *s->end = ch;
    s->end = &ch->next;
    s->waiting++;
    run_waiting(s);
    return TW_OK;
}

void change_expand(struct changes *s)
{
    struct change_request rq = { .kind = CHANGE_EXPAND };

    if (s->expand_waiting)
        return;
    s->expand_waiting = true;
    if (change_submit(s, &rq) != TW_OK) {
        s->expand_waiting = false;
        log_error("the schedule is not expanded again for now: too many changes wait",
                  LOG_U("waiting", s->waiting));
    }
}

enum tw_rc changes_new(struct controller *c, struct changes **ret)
{
    struct changes *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->c = c;
    s->end = &s->first;
    *ret = s;
    return TW_OK;
}

void changes_free(struct changes *s)
{
    if (!s)
        return;
    while (s->first) {
        struct change *ch = take_first(s);

        tw_err_set(&ch->result.err, TW_ECLOSED, "the controller is stopping");
        answer(ch, TW_ECLOSED);
    }
    free(s);
}
