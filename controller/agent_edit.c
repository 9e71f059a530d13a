#include "controller/agent_edit.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/agent_edit_kinds.h"
#include "controller/change.h"
#include "controller/decide.h"
#include "controller/events.h"
#include "controller/fleet.h"
#include "controller/near.h"
#include "controller/roster.h"
#include "controller/writer.h"

/* One agent that does change. */
struct edited {
    struct store_agent row; /* for the writer thread */
    struct agent_ops *ops;  /* the agent's once stored */
    char name[STORE_NAME_MAX];
};
struct edit {
    struct writer_job job; /* first */
    struct controller *c;
    enum agent_edit_kind kind;
    struct agent_edit_result result;
    struct edited *v;
    size_t n;
    int64_t now_ns;
    char what[2 * STORE_NAME_MAX + 32], author[AGENT_AUTHOR_MAX], reason[AGENT_REASON_MAX];
    char new_name[STORE_NAME_MAX]; /* EDIT_RENAME; else "" */
    void (*done)(void *ctx, const struct agent_edit_result *r);
    void *ctx;
};

static void edit_free(struct edit *e)
{
    for (size_t i = 0; i < e->n; i++) {
        fleet_agent_row_clear(&e->v[i].row);
        free(e->v[i].ops);
    }
    free(e->v);
    for (size_t i = 0; i < e->result.n_agents; i++)
        free(e->result.agents[i]);
    free(e->result.agents);
    free(e);
}

/* After a rename, or what was to become one. */
static void release(struct edit *e)
{
    if (!e->new_name[0])
        return;
    e->new_name[0] = '\0';
    change_release(e->c->changes);
}

static void answer(struct edit *e)
{
    e->c->edits--;
    release(e);
    e->result.generation = e->c->inv.generation;
    e->done(e->ctx, &e->result);
    edit_free(e);
}

__attribute__((format(printf, 4, 5))) static enum tw_rc refuse(struct edit *e, Tw__Status status,
                                                               enum tw_rc rc, const char *fmt, ...)
{
    char text[sizeof e->result.err.text];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    e->result.status = status;
    return tw_err_set(&e->result.err, rc, "%s", text);
}

static enum tw_rc no_memory(struct edit *e)
{
    return refuse(e, TW__STATUS__STATUS_RESOURCE_EXHAUSTED, TW_ENOMEM, "out of memory");
}

/* ---- Which agents ---- */

static enum tw_rc find_selected(struct edit *e, const char *text, struct agent **v, size_t *ret_n)
{
    struct selector *sel;
    size_t n = 0;

    if (selector_parse(text, &sel, &e->result.err) != TW_OK) {
        e->result.status = TW__STATUS__STATUS_INVALID_ARGUMENT;
        return TW_EINVAL;
    }
    for (struct agent *a = e->c->inv.agents; a; a = a->hh.next)
        if (!agent_is_revoked(a) && selector_match(sel, a->labels, a->n_labels, a->row.name))
            v[n++] = a;
    selector_free(sel);
    if (!n)
        return refuse(e, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT, "no agent matches \"%.128s\"", text);
    qsort(v, n, sizeof *v, agent_by_name);
    *ret_n = n;
    return TW_OK;
}

static enum tw_rc find_agents(struct edit *e, const Tw__AgentRequest *rq, struct agent **v, size_t *ret_n)
{
    bool many = agent_edit_rules[e->kind].many;
    char mean[NEAR_TEXT];

    if (!rq->name[0] == !rq->select[0])
        return refuse(e, TW__STATUS__STATUS_INVALID_ARGUMENT, TW_EINVAL, "expected the name of an agent%s",
                      many ? " or a selector, one of the two" : "");
    if (rq->select[0] && !many)
        return refuse(e, TW__STATUS__STATUS_INVALID_ARGUMENT, TW_EINVAL,
                      "takes one agent by its name, not a selector");
    if (rq->select[0])
        return find_selected(e, rq->select, v, ret_n);
    v[0] = inventory_agent(&e->c->inv, rq->name);
    *ret_n = 1;
    return v[0] ? TW_OK
                : refuse(e, TW__STATUS__STATUS_NOT_FOUND, TW_ENOENT,
                         "no agent \"%.63s\"%s: twampctl agent list shows them", rq->name, near_agent(&e->c->inv, rq->name, mean));
}

/* ---- What becomes of them ---- */

static enum tw_rc check_agent(struct edit *e, const struct agent *a)
{
    if (agent_is_revoked(a) && !agent_edit_rules[e->kind].revoked_too)
        return refuse(e, TW__STATUS__STATUS_FAILED_PRECONDITION, TW_EPERM, "agent \"%s\" is revoked",
                      a->row.name);
    if (!a->row.id || a->editing || a->changing)
        return refuse(e, TW__STATUS__STATUS_UNAVAILABLE, TW_EBUSY,
                      "agent \"%s\" is being changed already, or has only just come: try again", a->row.name);
    return TW_OK;
}

/* The row as it will be. Takes ops, whatever happens. */
static enum tw_rc add_edited(struct edit *e, const struct agent *a, struct agent_ops *ops)
{
    struct edited *v = &e->v[e->n];

    if (fleet_agent_row(a, &v->row) != TW_OK) {
        free(ops);
        return no_memory(e);
    }
    e->n++;
    v->ops = ops;
    snprintf(v->name, sizeof v->name, "%s", a->row.name);
    free(v->row.ops);
    v->row.ops = agent_ops_to_json(ops);
    v->row.approved = v->row.approved && !ops->revoked.at_ns;
    if (e->new_name[0])
        snprintf(v->row.name, sizeof v->row.name, "%s", e->new_name);
    return v->row.ops ? TW_OK : no_memory(e);
}

static enum tw_rc edit_one(struct edit *e, const Tw__AgentRequest *rq, const struct agent *a, int64_t now_ns)
{
    static const struct agent_ops nothing;
    const struct agent_ops *old = a->ops ? a->ops : &nothing;
    struct agent_ops *ops;
    enum tw_rc rc = check_agent(e, a);

    if (rc != TW_OK)
        return rc;
    ops = malloc(sizeof *ops);
    if (!ops)
        return no_memory(e);
    memcpy(ops, old, sizeof *ops);
    rc = agent_edit_rules[e->kind].edit(rq, a->row.name, now_ns, ops, &e->result.err);
    if (rc != TW_OK)
        e->result.status = TW__STATUS__STATUS_FAILED_PRECONDITION;
    else if (memcmp(ops, old, sizeof *ops) != 0)
        return add_edited(e, a, ops);
    free(ops);
    return rc;
}

static enum tw_rc name_agents(struct edit *e, struct agent *const *v, size_t n)
{
    e->result.agents = calloc(n + 1, sizeof(char *));
    for (size_t i = 0; e->result.agents && i < n; i++) {
        e->result.agents[i] = strdup(v[i]->row.name);
        if (!e->result.agents[i])
            return no_memory(e);
        e->result.n_agents++;
    }
    return e->result.agents ? TW_OK : no_memory(e);
}

static enum tw_rc edit_all(struct edit *e, const Tw__AgentRequest *rq, struct agent *const *v, size_t n)
{
    enum tw_rc rc = name_agents(e, v, n);

    e->now_ns = tw_wall_now().ns;
    e->v = calloc(n, sizeof *e->v);
    if (rc == TW_OK && !e->v)
        rc = no_memory(e);
    for (size_t i = 0; rc == TW_OK && i < n; i++)
        rc = edit_one(e, rq, v[i], e->now_ns);
    return rc;
}

/* ---- Durable, taken over, expanded ---- */

/* For reports of the past. */
static enum tw_rc keep_maintenance(const struct edit *e, const struct edited *v, struct store *s, struct tw_err *err)
{
    struct store_time spans[AGENT_SPANS_MAX];

    for (size_t i = 0; i < v->ops->n_spans; i++)
        spans[i] = (struct store_time){ v->ops->spans[i].from_ns, v->ops->spans[i].to_ns };
    return store_put_maintenance(s, v->name, e->now_ns, spans, v->ops->n_spans, err);
}

static enum tw_rc run_edit(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct edit *e = (struct edit *)j;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < e->n; i++) {
        rc = store_put_agent(s, &e->v[i].row, err);
        if (rc == TW_OK && e->kind == EDIT_MAINTENANCE)
            rc = keep_maintenance(e, &e->v[i], s, err);
    }
    if (rc == TW_OK && e->new_name[0])
        rc = store_rename_source(s, e->v[0].name, e->new_name, err);
    return rc;
}

static void expanded(void *ctx, const struct change_result *r)
{
    struct edit *e = ctx;

    if (r->status !=
        TW__STATUS__STATUS_OK) { /* what was asked for is stored: it takes effect with the next change */
        e->result.status = r->status;
        e->result.err = r->err;
    }
    answer(e);
}

static void take_one(struct edit *e, struct edited *v)
{
    struct controller *c = e->c;
    struct agent *a = inventory_agent_by_id(&c->inv, v->row.id);

    if (!a) /* another controller removed it */
        return;
    a->editing = false;
    if (agent_set_ops(&c->inv, a, v->ops) != TW_OK)
        log_error("no memory for the labels of an agent: it has none now", LOG_S("agent", a->row.name));
    v->ops = NULL;
    if (e->new_name[0])
        inventory_rename_agent(&c->inv, a, e->new_name);
    if (a->row.approved && agent_is_revoked(a)) {
        a->row.approved = false;
        fleet_revoked(a);
    }
    if (a->save_again)
        fleet_save(c, a);
}

static void end_edit(struct controller *c, const struct edited *v)
{
    struct agent *a = inventory_agent_by_id(&c->inv, v->row.id);

    if (!a) /* another controller removed it */
        return;
    a->editing = false;
    if (a->save_again)
        fleet_save(c, a);
}

static void edit_stored(struct writer_job *j)
{
    struct edit *e = (struct edit *)j;
    struct change_request rq = { .kind = CHANGE_AGENTS,
                                 .name = e->what,
                                 .author = e->author,
                                 .reason = e->reason,
                                 .renames = e->new_name[0] != '\0',
                                 .done = expanded,
                                 .ctx = e };

    if (j->rc != TW_OK) {
        for (size_t i = 0; i < e->n; i++)
            end_edit(e->c, &e->v[i]);
        e->result.status = j->rc == TW_ECLOSED  ? TW__STATUS__STATUS_UNAVAILABLE
                           : j->rc == TW_EAGAIN ? TW__STATUS__STATUS_ABORTED
                                                : TW__STATUS__STATUS_INTERNAL;
        e->result.err = j->err;
        answer(e);
        return;
    }
    for (size_t i = 0; i < e->n; i++)
        take_one(e, &e->v[i]);
    release(e);
    events_note(e->c->events, EVENT_AGENTS);
    e->result.changed = (uint32_t)e->n;
    log_info("agents changed", LOG_S("what", e->what), LOG_S("author", e->author), LOG_U("agents", e->n));
    if (!agent_edit_rules[e->kind].expands || change_submit(e->c->changes, &rq) != TW_OK)
        answer(e);
}

static void start(struct edit *e)
{
    for (size_t i = 0; i < e->n; i++)
        inventory_agent(&e->c->inv, e->v[i].name)->editing = true;
    e->job = (struct writer_job){
        .run = run_edit, .done = edit_stored, .urgent = true, .decided = decide_memory(e->c)
    };
    if (writer_submit(e->c->writer, &e->job) == TW_OK) /* it has no rows: it is always taken */
        return;
    e->job.rc = TW_ECLOSED;
    tw_err_set(&e->job.err, TW_ECLOSED, "the controller is stopping");
    edit_stored(&e->job);
}

/* ---- Rename ---- */

/* Does a document say names that are no agent's any more without this one? */
static enum tw_rc find_named(const struct mesh *m, const struct roster *with, const struct roster *without,
                             bool *ret)
{
    size_t before, after;
    enum tw_rc rc = mesh_count_unresolved(m, &with->agents, &before);

    if (rc == TW_OK)
        rc = mesh_count_unresolved(m, &without->agents, &after);
    if (rc == TW_OK)
        *ret = after > before;
    return rc;
}

/* The documents that say its name themselves: they would not find it any more. */
static enum tw_rc list_documents(const struct inventory *inv, const struct agent *a, char *ret, size_t cap)
{
    struct roster *with = roster_new(inv, NULL, NULL), *without = roster_new(inv, NULL, a);
    enum tw_rc rc = with && without ? TW_OK : TW_ENOMEM;
    size_t len = 0;

    for (const struct mesh_state *m = inv->meshes; rc == TW_OK && m && len < cap; m = m->hh.next) {
        bool named = false;

        rc = find_named(m->mesh, with, without, &named);
        if (named)
            len += (size_t)snprintf(ret + len, cap - len, "%s%s", len ? ", " : "", m->row.name);
    }
    roster_free(with);
    roster_free(without);
    return rc;
}

static bool has_history(const struct inventory *inv, const char *name)
{
    const char *kept = names_find(&inv->names, name); /* equal names are one */

    for (size_t i = 0; kept && i < inv->pairs.n; i++) {
        const struct pair *p = pair_table_at(&inv->pairs, i);

        if (p->row.source == kept || p->row.target == kept)
            return true;
    }
    return false;
}

static enum tw_rc check_new_name(struct edit *e, const struct agent *a, const char *name)
{
    char documents[128] = "";
    enum tw_rc rc;

    if (inventory_agent(&e->c->inv, name))
        return refuse(e, TW__STATUS__STATUS_ALREADY_EXISTS, TW_EEXIST, "there is an agent \"%s\" already",
                      name);
    if (has_history(&e->c->inv, name))
        return refuse(e, TW__STATUS__STATUS_FAILED_PRECONDITION, TW_EEXIST,
                      "there are results of another \"%s\": choose a name that was never used", name);
    rc = list_documents(&e->c->inv, a, documents, sizeof documents);
    if (rc != TW_OK || !names_keep(&e->c->inv.names, name)) /* afterwards there must be room for it */
        return no_memory(e);
    if (documents[0])
        return refuse(e, TW__STATUS__STATUS_FAILED_PRECONDITION, TW_EINVAL,
                      "mesh %s names it: take \"%s\" out of there first, and put \"%s\" in afterwards",
                      documents, a->row.name, name);
    /* A change under way has the pairs by the old name. */
    if (!change_hold(e->c->changes))
        return refuse(e, TW__STATUS__STATUS_UNAVAILABLE, TW_EBUSY,
                      "the schedule is being changed: try again");
    snprintf(e->new_name, sizeof e->new_name, "%s", name);
    return TW_OK;
}

/* ---- A request ---- */

/* For the history of the schedule. */
static void name_edit(struct edit *e, struct agent *const *v, size_t n)
{
    const char *verb = agent_edit_rules[e->kind].verb;

    if (n != 1)
        snprintf(e->what, sizeof e->what, "%s %zu agents", verb, n);
    else if (e->new_name[0])
        snprintf(e->what, sizeof e->what, "%s agent %s to %s", verb, v[0]->row.name, e->new_name);
    else
        snprintf(e->what, sizeof e->what, "%s agent %s", verb, v[0]->row.name);
}

static enum tw_rc prepare(struct edit *e, const Tw__AgentRequest *rq)
{
    const struct agent_edit_rule *rule = &agent_edit_rules[e->kind];
    struct agent **v = calloc(HASH_COUNT(e->c->inv.agents) + 1, sizeof(struct agent *));
    enum tw_rc rc = v ? agent_edit_check_texts(rq, &e->result.err) : no_memory(e);
    size_t n = 0;

    if (rc == TW_OK && rule->check)
        rc = rule->check(rq, tw_wall_now().ns, &e->result.err);
    if (rc == TW_EINVAL)
        e->result.status = TW__STATUS__STATUS_INVALID_ARGUMENT;
    if (rc == TW_OK)
        rc = find_agents(e, rq, v, &n);
    if (rc == TW_OK && e->kind == EDIT_RENAME)
        rc = check_new_name(e, v[0], rq->new_name);
    if (rc == TW_OK)
        rc = edit_all(e, rq, v, n);
    if (rc == TW_OK)
        name_edit(e, v, n);
    free(v);
    return rc;
}

void agent_edit(struct controller *c, enum agent_edit_kind kind, const Tw__AgentRequest *rq,
                void (*done)(void *ctx, const struct agent_edit_result *r), void *ctx)
{
    struct agent_edit_result busy = { .status = TW__STATUS__STATUS_RESOURCE_EXHAUSTED };
    struct edit *e = c->edits < AGENT_EDITS_MAX ? calloc(1, sizeof *e) : NULL;

    if (!e) {
        tw_err_set(&busy.err, TW_EBUSY, "too many changes of agents wait: try again");
        done(ctx, &busy);
        return;
    }
    c->edits++;
    e->c = c;
    e->kind = kind;
    e->done = done;
    e->ctx = ctx;
    snprintf(e->author, sizeof e->author, "%s", rq->author);
    snprintf(e->reason, sizeof e->reason, "%s", rq->reason);
    if (prepare(e, rq) != TW_OK || !e->n)
        answer(e);
    else
        start(e);
}
