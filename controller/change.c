#include "controller/change_priv.h"
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/decide.h"
#include "controller/fleet.h"
#include "controller/follow.h"
#include "controller/intervals.h"
#include "db/store_join.h"

#define MAX_WAITING 64

/* Of the time, expansions get one part in so many: thousands of agents that come at once must not each cost a
 * look at all of them. The first one happens at once. */
#define EXPAND_SHARE 5
#define EXPAND_HOLD_MAX_NS (2 * TW_NS_PER_S)

#define PREPARE_IN_A_PIECE 2000 /* pairs: 1 to 3 ms */

/* ---- Requests ---- */

static void free_documents(const struct change_document *v, size_t n)
{
    for (size_t i = 0; v && i < n; i++) {
        free((char *)v[i].file);
        free((char *)v[i].text);
    }
    free((struct change_document *)v);
}

static void free_meshes(struct change *ch)
{
    for (size_t i = 0; i < ch->n_meshes; i++) {
        mesh_free(ch->meshes[i].mesh);
        free(ch->meshes[i].document);
        free(ch->meshes[i].file);
    }
    free(ch->meshes);
    free(ch->overlay_meshes);
}

static void change_free(struct change *ch)
{
    free((char *)ch->rq.name);
    free((char *)ch->rq.author);
    free((char *)ch->rq.reason);
    free((char *)ch->rq.fingerprint);
    free_documents(ch->rq.documents, ch->rq.n_documents);
    wanting_free(ch->wanting);
    change_compare_free(ch->compare);
    wanted_free(&ch->wanted);
    free_meshes(ch);
    free(ch->plan.meshes);
    free(ch->plan.changed_pairs);
    plan_free(&ch->plan.before);
    plan_free(&ch->plan.after);
    fleet_agent_row_clear(&ch->agent_row);
    free(ch->added);
    free(ch->moved);
    free(ch->closed);
    free(ch);
}

static const char *copy(const char *text)
{
    return strdup(text ? text : "");
}

static bool copy_documents(const struct change_request *rq, struct change_request *ret)
{
    const struct change_document alone = { .file = rq->file, .text = rq->document };
    const struct change_document *from = rq->documents ? rq->documents : &alone;
    size_t n = rq->documents ? rq->n_documents : rq->document != NULL;
    struct change_document *v = calloc(n + 1, sizeof *v);
    bool ok = v != NULL;

    for (size_t i = 0; ok && i < n; i++) {
        v[i] = from[i];
        v[i].file = copy(from[i].file);
        v[i].text = copy(from[i].text);
        ok = v[i].file && v[i].text;
    }
    ret->documents = v;
    ret->n_documents = v ? n : 0;
    ret->file = ret->document = NULL; /* they are in the list */
    return ok;
}

static struct change *change_new(struct changes *s, const struct change_request *rq)
{
    struct change *ch = calloc(1, sizeof *ch);
    bool ok;

    if (!ch)
        return NULL;
    ch->owner = s;
    ch->rq = *rq;
    ch->rq.name = copy(rq->name);
    ch->rq.author = copy(rq->author);
    ch->rq.reason = copy(rq->reason);
    ch->rq.fingerprint = copy(rq->fingerprint);
    ok = copy_documents(rq, &ch->rq);
    if (ok && ch->rq.name && ch->rq.author && ch->rq.reason && ch->rq.fingerprint)
        return ch;
    change_free(ch);
    return NULL;
}

/* ---- What the store has to do ---- */

static enum tw_rc run_meshes(struct change *ch, struct store *s, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < ch->n_meshes; i++) {
        struct change_mesh *m = &ch->meshes[i];

        if (m->put)
            rc = store_put_mesh(s, &m->row, err);
        if (rc == TW_OK && m->drop)
            rc = store_remove_mesh(s, m->row.name, ch->generation.number, err);
    }
    return rc;
}

/* Writer thread. */
static enum tw_rc run_change(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct change *ch = (struct change *)j;
    enum tw_rc rc = run_meshes(ch, s, err);

    if (rc == TW_OK && ch->put_agent)
        rc = store_put_agent(s, &ch->agent_row, err);
    if (rc == TW_OK && ch->drop_agent)
        rc = store_remove_certificates(s, ch->agent_row.public_key, err);
    if (rc == TW_OK && ch->drop_agent)
        rc = store_remove_agent(s, ch->agent_row.id, err);
    if (rc == TW_OK && ch->drop_agent) /* another one of this name begins without */
        rc = store_put_maintenance(s, ch->agent_row.name, ch->now_ns, NULL, 0, err);
    for (size_t i = 0; rc == TW_OK && i < ch->n_added; i++) {
        ch->added[i].id = 0; /* may be left of a run that was rolled back */
        rc = store_put_pair(s, &ch->added[i], err);
    }
    for (size_t i = 0; rc == TW_OK && i < ch->n_moved; i++)
        rc = store_put_slot(s, ch->moved[i].pair_id, ch->moved[i].slot, err);
    for (size_t i = 0; rc == TW_OK && i < ch->n_closed; i++)
        rc = store_pair_unscheduled(s, ch->closed[i], ch->now_ns, err);
    if (rc == TW_OK && ch->renumber)
        rc = store_put_generation(s, &ch->generation, err);
    return rc;
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

static bool is_apply(const struct change *ch)
{
    return ch->rq.kind == CHANGE_APPLY || ch->rq.kind == CHANGE_ROLLBACK;
}

/* ch is not in the list any more. */
static void answer(struct change *ch, enum tw_rc rc)
{
    if (rc != TW_OK && ch->result.status == TW__STATUS__STATUS_OK)
        ch->result.status = ch->result.in_document || ch->result.over_budget
                                ? TW__STATUS__STATUS_INVALID_ARGUMENT
                            : rc == TW_ECLOSED ? TW__STATUS__STATUS_UNAVAILABLE
                            : rc == TW_EAGAIN  ? TW__STATUS__STATUS_ABORTED
                                               : TW__STATUS__STATUS_INTERNAL;
    ch->result.generation = ch->rq.plan_only ? 0 : ch->owner->c->inv.generation;
    ch->result.unchanged = rc == TW_OK && !ch->rq.plan_only && !ch->renumber;
    ch->result.plan = (rc == TW_OK || ch->result.over_budget) && is_apply(ch) ? &ch->plan : NULL;
    if (ch->rq.done)
        ch->rq.done(ch->rq.ctx, &ch->result);
    else if (ch->rq.kind == CHANGE_EXPAND && rc != TW_OK && rc != TW_ECLOSED)
        log_error("the schedule cannot follow the agents", LOG_S("error", ch->result.err.text));
    change_free(ch);
}

/* An agent that acknowledged the old schedule while the change was on its way has opened intervals behind it.
 */
static void close_stray_intervals(struct changes *s)
{
    if (schedule_settle_strays(&s->c->inv))
        change_expand(s);
}

/* Others changed what it was made from: it is made anew from its request, before those that wait. False: it
 * has been often enough, or there is no memory. */
static bool begin_again(struct change *ch)
{
    struct changes *s = ch->owner;
    struct change *next = ch->tries + 1 < DECIDE_TRIES ? change_new(s, &ch->rq) : NULL;

    if (!next)
        return false;
    next->names = ch->names;
    next->tries = ch->tries + 1;
    next->next = s->first;
    if (!s->first)
        s->end = &next->next;
    s->first = next;
    s->waiting++;
    change_free(ch);
    return true;
}

static void end(struct change *ch, enum tw_rc rc)
{
    struct changes *s = ch->owner;

    s->busy = false;
    if (rc != TW_OK && ch->agent && ch->agent->save_again) /* it was held back for the change */
        fleet_save(s->c, ch->agent);
    if (rc != TW_EAGAIN || !begin_again(ch))
        answer(ch, rc);
    if (rc == TW_OK)
        close_stray_intervals(s);
    if (rc != TW_ECLOSED)
        run_waiting(s);
}

/* A piece of the loop: the others wait, and agents have their turn in between. */
static void take_some(struct loop_task *t)
{
    struct change *ch = t->ctx;

    if (change_take_some(ch)) {
        loop_post(ch->owner->c->loop, t);
        return;
    }
    ch->owner->taking = NULL;
    end(ch, TW_OK);
}

static void change_stored(struct writer_job *j)
{
    struct change *ch = (struct change *)j;
    struct changes *s = ch->owner;

    if (j->rc != TW_OK) {
        if (ch->agent)
            ch->agent->changing = false;
        ch->result.err = j->err;
        end(ch, j->rc);
        return;
    }
    s->taking = ch;
    s->take_task = (struct loop_task){ .fn = take_some, .ctx = ch };
    take_some(&s->take_task);
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

/* A piece of the loop. TW_EAGAIN: there are more, or it waits for its agent. */
static enum tw_rc prepare(struct change *ch, enum tw_rc (*fn)(struct change *ch))
{
    struct changes *s = ch->owner;
    struct tw_mono begin = tw_mono_now();
    enum tw_rc rc = fn(ch);
    int64_t now = tw_mono_now().ns, hold;

    ch->prepare_ns += now - begin.ns;
    hold = (EXPAND_SHARE - 1) * ch->prepare_ns;
    if (ch->rq.kind == CHANGE_EXPAND)
        s->expand_from.ns = now + (hold < EXPAND_HOLD_MAX_NS ? hold : EXPAND_HOLD_MAX_NS);
    return rc;
}

static enum tw_rc go_on(struct change *ch)
{
    size_t left = PREPARE_IN_A_PIECE;

    return change_prepare_some(ch, &left);
}

/* TW_EAGAIN: it is with the writer now. */
static enum tw_rc hand_over(struct change *ch)
{
    enum tw_rc rc;

    if (ch->await_agent)
        ch->job = (struct writer_job){ .run = run_nothing, .done = agent_awaited, .urgent = true };
    else if (ch->rq.plan_only || (!ch->renumber && !ch->put_agent && !ch->drop_agent && !ch->n_closed))
        return TW_OK;
    else
        ch->job = (struct writer_job){
            .run = run_change, .done = change_stored, .urgent = true, .decided = ch->decided
        };
    intervals_flush(ch->owner->c->intervals); /* of which the change may close some */
    rc = writer_submit(ch->owner->c->writer, &ch->job);
    return rc == TW_OK ? TW_EAGAIN : tw_err_set(&ch->result.err, rc, "the controller is stopping");
}

static void prepared(struct change *ch, enum tw_rc rc)
{
    struct agent *a = ch->agent;

    if (rc == TW_OK || ch->await_agent)
        rc = hand_over(ch);
    if (rc == TW_EAGAIN) {
        ch->owner->busy = true;
        return;
    }
    if (a)
        a->changing = false;
    if (a && a->save_again) /* it was held back for the change */
        fleet_save(ch->owner->c, a);
    answer(ch, rc);
}

/* The others wait, and agents have their turn in between. */
static void prepare_some(struct loop_task *t)
{
    struct change *ch = t->ctx;
    struct changes *s = ch->owner;
    enum tw_rc rc = prepare(ch, go_on);

    if (rc == TW_EAGAIN) {
        loop_post(s->c->loop, t);
        return;
    }
    s->preparing = NULL;
    s->busy = false;
    prepared(ch, rc);
    run_waiting(s);
}

/* What takes but one piece is prepared when this returns. */
static void run_one(struct change *ch)
{
    struct changes *s = ch->owner;
    enum tw_rc rc;

    ch->now_ns = tw_wall_now().ns;
    ch->decided = decide_memory(s->c);
    rc = prepare(ch, change_prepare);
    if (rc == TW_OK)
        rc = prepare(ch, go_on);
    if (rc != TW_EAGAIN || ch->await_agent) {
        prepared(ch, rc);
        return;
    }
    s->busy = true;
    s->preparing = ch;
    s->prepare_task = (struct loop_task){ .fn = prepare_some, .ctx = ch };
    loop_post(s->c->loop, &s->prepare_task);
}

static void run_waiting(struct changes *s)
{
    if (s->running) /* a done() submitted another one */
        return;
    s->running = true;
    do {
        follow_go(s->c->follow); /* first what others did, which the next one builds on */
        if (s->first && !s->busy && !follow_is_behind(s->c->follow))
            run_one(take_first(s));
    } while (s->first && !s->busy && !follow_is_behind(s->c->follow));
    s->running = false;
}

static void enqueue(struct changes *s, struct change *ch)
{
    *s->end = ch;
    s->end = &ch->next;
    s->waiting++;
}

enum tw_rc change_submit(struct changes *s, const struct change_request *rq)
{
    struct change *ch;

    /* There is one of the former at most, see below, and a few of the latter: agent_edit.c. */
    if (s->waiting >= MAX_WAITING && rq->kind != CHANGE_EXPAND && rq->kind != CHANGE_AGENTS)
        return TW_EBUSY;
    ch = change_new(s, rq);
    if (!ch)
        return TW_ENOMEM;
    enqueue(s, ch);
    run_waiting(s);
    return TW_OK;
}

bool change_hold(struct changes *s)
{
    if (s->busy)
        return false;
    s->busy = true;
    return true;
}

void change_release(struct changes *s)
{
    s->busy = false;
    run_waiting(s);
}

void change_go_on(struct changes *s)
{
    run_waiting(s);
}

void change_expand_for(struct changes *s, const char *agent)
{
    struct change_request rq = { .kind = CHANGE_EXPAND };
    struct change *ch = s->expand_waiting;

    if (!ch) {
        ch = change_new(s, &rq);
        if (!ch) {
            log_error("no memory: the schedule is not expanded again before the next change");
            return;
        }
        s->expand_waiting = ch;
        s->expand_held = tw_mono_now().ns < s->expand_from.ns &&
                         loop_timer_set(s->c->loop, &s->expand_timer, s->expand_from) == TW_OK;
        if (!s->expand_held)
            enqueue(s, ch);
    }
    if (agent)
        change_names_add(&ch->names, agent);
    run_waiting(s);
}

static void expand_due(struct loop_timer *t)
{
    struct changes *s = t->ctx;

    s->expand_held = false;
    enqueue(s, s->expand_waiting);
    run_waiting(s);
}

void change_expand(struct changes *s)
{
    change_expand_for(s, NULL);
}

enum tw_rc changes_new(struct controller *c, struct changes **ret)
{
    struct changes *s = calloc(1, sizeof *s);

    if (!s)
        return TW_ENOMEM;
    s->c = c;
    s->end = &s->first;
    s->expand_timer = (struct loop_timer){ .fn = expand_due, .ctx = s };
    *ret = s;
    return TW_OK;
}

static void drop(struct change *ch)
{
    tw_err_set(&ch->result.err, TW_ECLOSED, "the controller is stopping");
    answer(ch, TW_ECLOSED);
}

void changes_free(struct changes *s)
{
    if (!s)
        return;
    loop_timer_cancel(s->c->loop, &s->expand_timer);
    loop_unpost(s->c->loop, &s->prepare_task);
    loop_unpost(s->c->loop, &s->take_task);
    if (s->preparing)
        drop(s->preparing);
    while (s->taking && change_take_some(s->taking))
        ;
    if (s->taking)
        answer(s->taking, TW_OK);
    if (s->expand_held)
        enqueue(s, s->expand_waiting);
    while (s->first)
        drop(take_first(s));
    free(s);
}
