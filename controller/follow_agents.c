/* Agents: those that are new, that others approved, edited, renamed, revoked or removed. */
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/grow.h"
#include "controller/enrolment.h"
#include "controller/events.h"
#include "controller/fleet.h"
#include "controller/follow_priv.h"
#include "controller/load.h"

struct agent_rows {
    const struct follow_keys *keys;
    struct store_agent *v; /* by id */
    struct agent **of;     /* loop thread: each row's in memory; NULL: none yet */
    size_t n, cap;
    struct follow_expansion *leaving; /* what is scheduled without those that are gone */
};

static void free_rows(void *data)
{
    struct agent_rows *r = data;

    for (size_t i = 0; i < r->n; i++)
        fleet_agent_row_clear(&r->v[i]);
    free(r->v);
    free(r->of);
    follow_expansion_free(r->leaving);
    free(r);
}

static bool copy_text(const char *text, char **ret)
{
    *ret = text ? strdup(text) : NULL;
    return !text || *ret;
}

static enum tw_rc add_row(void *ctx, const struct store_agent *a)
{
    struct agent_rows *r = ctx;
    struct store_agent *row;
    bool enrolment, ops;

    if (!follow_keys_have_number(r->keys, a->id))
        return TW_OK;
    if (!TW_GROW(&r->v, r->n, &r->cap, 8))
        return TW_ENOMEM;
    row = &r->v[r->n++];
    *row = *a;
    enrolment = copy_text(a->enrolment, &row->enrolment);
    ops = copy_text(a->ops, &row->ops);
    return enrolment && ops ? TW_OK : TW_ENOMEM;
}

static enum tw_rc read_rows(const struct follow_keys *keys, struct store *s, void **ret, struct tw_err *err)
{
    struct agent_rows *r = *ret = calloc(1, sizeof *r);

    if (!r)
        return TW_ENOMEM;
    r->keys = keys;
    return store_each_agent(s, add_row, r, err);
}

/* ---- One that is known ---- */

static bool same_text(char *mine, const char *row)
{
    bool same = mine ? row && !strcmp(mine, row) : !row;

    free(mine);
    return same;
}

static bool same_ops(const struct agent *a, const struct store_agent *row)
{
    return same_text(a->ops ? agent_ops_to_json(a->ops) : NULL, row->ops);
}

static bool same_enrolment(const struct agent *a, const struct store_agent *row)
{
    return same_text(a->enrolment ? enrolment_to_json(a->enrolment, a->peer_address) : NULL, row->enrolment);
}

/* Who is connected here tells us itself. */
static enum tw_rc take_contact(struct agent *a, const struct store_agent *row)
{
    enum tw_rc rc;

    if (a->peer)
        return TW_OK;
    a->last_contact_ns = row->last_contact_ns;
    snprintf(a->row.software, sizeof a->row.software, "%s", row->software);
    if (same_enrolment(a, row))
        return TW_OK;
    rc = load_agent_enrolment(a, row);
    return rc == TW_OK ? agent_refresh(a) : rc;
}

static void take_approval(struct controller *c, struct agent *a, const struct store_agent *row)
{
    if (row->approved && !a->row.approved) {
        fleet_approved(c, a, row->approved_ns);
    } else if (!row->approved && a->row.approved) {
        a->row.approved = false;
        if (agent_is_revoked(a)) /* who is revoked does not wait for approval */
            fleet_revoked(a);
        else
            c->inv.pending++;
    }
    a->row.approved_ns = row->approved_ns;
}

static enum tw_rc take_known(struct controller *c, struct agent *a, const struct store_agent *row)
{
    struct fleet_place before, after;
    struct tw_err err = { 0 };
    enum tw_rc rc = TW_OK;

    fleet_place_of(a, &before);
    if (!same_ops(a, row))
        rc = load_agent_ops(&c->inv, a, row, &err);
    if (rc == TW_ECORRUPT) { /* nothing that comes again is better */
        log_error("an agent that another controller changed stays as it was", LOG_S("error", err.text));
        return TW_OK;
    }
    if (rc == TW_OK)
        rc = take_contact(a, row);
    if (rc != TW_OK)
        return rc;
    take_approval(c, a, row);
    memcpy(a->row.public_key, row->public_key, sizeof a->row.public_key);
    a->row.first_seen_ns = row->first_seen_ns;
    fleet_place_of(a, &after);
    if (!fleet_place_same(&before, &after))
        follow_expand(c);
    return TW_OK;
}

/* ---- Those that are not ---- */

/* It came to us, too, and its row is on the way to the store: that one was first. */
static bool is_the_same(const struct agent *a, const struct store_agent *row)
{
    return !a->row.id && !memcmp(a->row.public_key, row->public_key, sizeof a->row.public_key);
}

static enum tw_rc take_new(struct controller *c, const struct store_agent *row)
{
    struct agent *named = inventory_agent(&c->inv, row->name);
    struct tw_err err = { 0 };
    enum tw_rc rc;

    if (named && is_the_same(named, row)) {
        named->row.id = row->id;
        return take_known(c, named, row);
    }
    if (named)
        fleet_removed(c, named); /* it has another key, and is not stored */
    rc = load_agent(&c->inv, row, &err);
    if (rc != TW_OK && (named = inventory_agent(&c->inv, row->name)))
        inventory_drop_agent(&c->inv, named);
    if (rc == TW_ECORRUPT) {
        log_error("an agent that another controller knows is not known here", LOG_S("error", err.text));
        return TW_OK;
    }
    if (rc == TW_OK && row->approved)
        follow_expand(c);
    return rc;
}

/* ---- All of them ---- */

static int by_id(const void *a, const void *b)
{
    const struct store_agent *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static enum tw_rc find_agents(struct controller *c, struct agent_rows *r)
{
    r->of = calloc(r->n + 1, sizeof(struct agent *));
    if (!r->of)
        return TW_ENOMEM;
    for (struct agent *a = c->inv.agents; a && r->n; a = a->hh.next) {
        const struct store_agent *row = bsearch(&a->row, r->v, r->n, sizeof *r->v, by_id);

        if (row && a->row.id)
            r->of[row - r->v] = a;
    }
    return TW_OK;
}

/* Meshes are expanded without those that are no more before they go: what they had is taken out of the
 * schedule by who they are. */
static bool leave(struct controller *c, const struct follow_keys *keys, const struct agent_rows *r)
{
    bool any = false;

    for (struct agent *a = c->inv.agents; a; a = a->hh.next) {
        if (!a->row.id || !follow_keys_have_number(keys, a->row.id) ||
            (r->n && bsearch(&a->row, r->v, r->n, sizeof *r->v, by_id)))
            continue;
        c->inv.pending += a->row.approved;
        a->row.approved = false;
        a->gone = any = true;
    }
    return any;
}

static void drop_gone(struct controller *c)
{
    struct agent *a, *next;

    HASH_ITER(hh, c->inv.agents, a, next)
    if (a->gone)
        fleet_removed(c, a);
}

/* TW_EBUSY: another one still has the name. */
static enum tw_rc rename_one(struct controller *c, struct agent *a, const char *name)
{
    struct agent *named = inventory_agent(&c->inv, name);

    if (named && named->row.id)
        return TW_EBUSY;
    if (!names_keep(&c->inv.names, name))
        return TW_ENOMEM;
    if (named)
        fleet_removed(c, named); /* it has just come, and is not stored */
    log_info("agent renamed", LOG_S("agent", a->row.name), LOG_S("name", name));
    inventory_rename_agent(&c->inv, a, name);
    follow_expand(c);
    return TW_OK;
}

/* In a chain of names the last one goes first. */
static enum tw_rc rename_all(struct controller *c, const struct agent_rows *r)
{
    size_t busy = 0, before;

    do {
        before = busy;
        busy = 0;
        for (size_t i = 0; i < r->n; i++) {
            struct agent *a = r->of[i];
            enum tw_rc rc =
                a && strcmp(a->row.name, r->v[i].name) != 0 ? rename_one(c, a, r->v[i].name) : TW_OK;

            if (rc != TW_OK && rc != TW_EBUSY)
                return rc;
            busy += rc == TW_EBUSY;
        }
    } while (busy && busy != before);
    return busy ? TW_EBUSY : TW_OK;
}

/* TW_EAGAIN: others have their turn first. */
static enum tw_rc leave_all(struct controller *c, const struct follow_keys *keys, struct agent_rows *r)
{
    enum tw_rc rc = TW_OK;

    if (!r->leaving && leave(c, keys, r))
        rc = follow_now(c, &r->leaving);
    return rc == TW_OK && r->leaving ? follow_expansion_go_on(c, r->leaving) : rc;
}

static enum tw_rc take_rows(struct controller *c, struct follow_keys *keys, void *data)
{
    struct agent_rows *r = data;
    enum tw_rc rc = leave_all(c, keys, r);

    if (rc != TW_OK)
        return rc;
    drop_gone(c);
    rc = find_agents(c, r);
    if (rc == TW_OK)
        rc = rename_all(c, r);
    for (size_t i = 0; rc == TW_OK && i < r->n; i++)
        rc = r->of[i] ? take_known(c, r->of[i], &r->v[i]) : take_new(c, &r->v[i]);
    events_note(c->events, EVENT_AGENTS);
    return rc;
}

const struct follow_part follow_agents = { "agents", true, read_rows, take_rows, free_rows };
