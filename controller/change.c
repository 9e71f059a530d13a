#include "controller/change_priv.h"
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/fleet.h"

#define MAX_WAITING 64

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

/* ---- What the store has to do ---- */

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

/* ---- It is durable ---- */

/* Ingest may have learned of a pair meanwhile. */
static enum tw_rc take_pairs(struct change *ch)
{
    struct inventory *inv = &ch->owner->c->inv;

    for (size_t i = 0; i < ch->n_added; i++) {
        struct pair *p = inventory_pair(inv, ch->added[i].id);

        if (!p)
            p = inventory_add_pair(inv, &ch->added[i]);
        if (!p)
            return TW_ENOMEM;
        p->unstored = false;
        ch->added_to[i]->pair = p;
    }
    for (size_t i = 0; i < ch->n_closed; i++)
        inventory_pair(inv, ch->closed[i])->interval = INTERVAL_CLOSED;
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

/* An agent that acknowledged the old schedule while the change was on its way has opened intervals behind it.
 */
static void close_stray_intervals(struct changes *s)
{
    for (size_t i = 0; i < s->c->inv.pairs.n; i++) {
        const struct pair *p = pair_table_at(&s->c->inv.pairs, i);

        if (p->interval != INTERVAL_CLOSED &&
            (!p->scheduled || p->interval_period_ns != p->report_period_ns ||
             p->interval_flows != p->flows)) {
            change_expand(s);
            return;
        }
    }
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
static void run_one(struct change *ch);

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
    else if (ch->rq.kind == CHANGE_EXPAND && rc != TW_OK && rc != TW_ECLOSED)
        log_error("the schedule cannot follow the agents", LOG_S("error", ch->result.err.text));
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
    if (rc != TW_OK && ch->agent && ch->agent->save_again) /* it was held back for the change */
        fleet_save(s->c, ch->agent);
    answer(ch, rc);
    if (rc == TW_OK)
        close_stray_intervals(s);
    if (rc != TW_ECLOSED)
        run_waiting(s);
}

static enum tw_rc run_nothing(struct writer_job *j, struct store *s, struct tw_err *err)
{
    (void)j;
    (void)s;
    (void)err;
    return TW_OK;
}

/* Jobs end in their order, so the one that stores the agent has ended. */
static void agent_awaited(struct writer_job *j)
{
    struct change *ch = (struct change *)j;
    struct changes *s = ch->owner;

    ch->await_agent = false;
    ch->awaited = true;
    s->busy = false;
    if (j->rc == TW_OK) {
        run_one(ch);
        run_waiting(s);
        return;
    }
    ch->result.err = j->err;
    answer(ch, j->rc);
}

/* TW_EAGAIN: it is with the writer now. */
static enum tw_rc start(struct change *ch)
{
    enum tw_rc rc;

    ch->now_ns = tw_wall_now().ns;
    rc = change_prepare(ch);
    if (ch->await_agent)
        ch->job = (struct writer_job){ .run = run_nothing, .done = agent_awaited, .urgent = true };
    else if (rc != TW_OK || ch->rq.plan_only ||
             (!ch->renumber && !ch->put_agent && !ch->drop_agent && !ch->n_closed))
        return rc;
    else
        ch->job = (struct writer_job){ .run = run_change, .done = change_stored, .urgent = true };
    rc = writer_submit(ch->owner->c->writer, &ch->job);
    return rc == TW_OK ? TW_EAGAIN : tw_err_set(&ch->result.err, rc, "the controller is stopping");
}

static void run_one(struct change *ch)
{
    enum tw_rc rc = start(ch);

    if (rc == TW_EAGAIN) {
        ch->owner->busy = true;
        return;
    }
    if (ch->agent)
        ch->agent->changing = false;
    answer(ch, rc);
}

static void run_waiting(struct changes *s)
{
    if (s->running) /* a done() submitted another one */
        return;
    s->running = true;
    while (s->first && !s->busy)
        run_one(take_first(s));
    s->running = false;
}

enum tw_rc change_submit(struct changes *s, const struct change_request *rq)
{
    struct change *ch;

    if (s->waiting >= MAX_WAITING && rq->kind != CHANGE_EXPAND) /* there is one of these at most: see below */
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
        log_error("no memory: the schedule is not expanded again before the next change");
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
