#include "controller/absence.h"
#include "controller/load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/enrolment.h"
#include "controller/ingest.h"
#include "controller/schedule.h"

struct load {
    struct controller *c;
    struct tw_err *err;
};

static enum tw_rc no_memory(const struct load *l)
{
    return tw_err_set(l->err, TW_ENOMEM, "out of memory");
}

enum tw_rc load_agent_ops(struct inventory *inv, struct agent *a, const struct store_agent *row,
                          struct tw_err *err)
{
    struct agent_ops *ops = NULL;
    enum tw_rc rc = row->ops ? agent_ops_from_json(row->ops, &ops) : TW_OK;

    if (rc == TW_ECORRUPT) /* it may say that the agent is revoked: better not to start */
        return tw_err_set(err, rc, "what operators said of agent %s cannot be read from the database",
                          row->name);
    if (rc == TW_OK)
        rc = agent_set_ops(inv, a, ops);
    return rc == TW_OK ? rc : tw_err_set(err, TW_ENOMEM, "out of memory");
}

enum tw_rc load_agent_enrolment(struct agent *a, const struct store_agent *row)
{
    enum tw_rc rc;

    if (a->enrolment)
        tw__enrol_request__free_unpacked(a->enrolment, NULL);
    a->enrolment = NULL;
    if (!row->enrolment)
        return TW_OK;
    rc = enrolment_from_json(row->enrolment, &a->enrolment, a->peer_address, sizeof a->peer_address);
    if (rc == TW_OK || rc == TW_ENOMEM)
        return rc;
    log_warn("what an agent enrolled with cannot be read",
             LOG_S("agent", row->name)); /* it enrols again when it connects */
    return TW_OK;
}

enum tw_rc load_agent(struct inventory *inv, const struct store_agent *row, struct tw_err *err)
{
    struct agent *a = inventory_add_agent(inv, row);

    if (!a || load_agent_enrolment(a, row) != TW_OK)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    return load_agent_ops(inv, a, row, err);
}

static enum tw_rc load_one_agent(void *ctx, const struct store_agent *row)
{
    struct load *l = ctx;

    return load_agent(&l->c->inv, row, l->err);
}

static enum tw_rc load_mesh(void *ctx, const struct store_mesh *row)
{
    struct load *l = ctx;
    struct mesh *mesh;
    enum tw_rc rc = mesh_doc_parse(row->name, row->document, strlen(row->document), &mesh, l->err);

    if (rc != TW_OK)
        return rc;
    rc = inventory_put_mesh(&l->c->inv, row, mesh);
    if (rc == TW_OK)
        return rc;
    mesh_free(mesh);
    return no_memory(l);
}

static enum tw_rc load_pair(void *ctx, const struct store_pair *row)
{
    struct load *l = ctx;

    return inventory_add_pair(&l->c->inv, row) ? TW_OK : no_memory(l);
}

static enum tw_rc load_cursor(void *ctx, int64_t agent_id, const uint8_t *spool_id,
                              const struct store_cursor *at)
{
    struct load *l = ctx;

    return ingest_set_cursor(l->c->ingest, agent_id, spool_id, at) == TW_OK ? TW_OK : no_memory(l);
}

static void forget_nothing(void *ctx, struct pair *p)
{
    (void)ctx;
    (void)p;
}

#define TRIES 10
/* Where others write, too, they may come first; what they did comes to memory when all is loaded. */
static enum tw_rc commit(struct controller *c,
                         enum tw_rc (*fn)(struct controller *c, void *ctx, struct tw_err *err), void *ctx,
                         struct tw_err *err)
{
    enum tw_rc rc = TW_EAGAIN;

    for (int i = 0; rc == TW_EAGAIN && i < TRIES; i++) {
        rc = store_begin(c->store, err);
        if (rc == TW_OK && (rc = fn(c, ctx, err)) != TW_OK)
            store_rollback(c->store);
        if (rc == TW_OK)
            rc = store_commit(c->store, err);
    }
    return rc;
}

/* Those whose slots are chosen now: the database is from before there were any, or was refilled. */
static enum tw_rc keep_slots(struct controller *c, void *ctx, struct tw_err *err)
{
    const struct wanted *w = ctx;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; i < w->n_changes && rc == TW_OK; i++) {
        const struct wanted_change *ch = &w->changes[i];
        const struct pair *p = ch->row == PAIR_NEW ? NULL : pair_table_at(&c->inv.pairs, ch->row);

        if (p && ch->slot && ch->slot != p->row.slot)
            rc = store_put_slot(c->store, p->row.id, ch->slot, err);
    }
    return rc;
}

static enum tw_rc adopt(struct controller *c, struct tw_err *err)
{
    struct wanted w;
    enum tw_rc rc = wanted_build(&c->inv, &(struct overlay){ 0 }, &w, err);

    if (rc != TW_OK)
        return rc;
    rc = commit(c, keep_slots, &w, err);
    if (rc != TW_OK) {
        wanted_free(&w);
        return rc;
    }
    rc = schedule_adopt(&c->inv, &w, c->started_ns, forget_nothing, NULL);
    wanted_free(&w);
    return rc == TW_OK ? rc : tw_err_set(err, rc, "cannot build the schedule: %s", tw_rc_name(rc));
}

/* What is scheduled may have an open interval, depending on whether its agent had acknowledged it. What is
 * not must not have one: a crash between two commits may have left it. */
static enum tw_rc close_intervals(struct controller *c, void *ctx, struct tw_err *err)
{
    enum tw_rc rc = TW_OK;

    (void)ctx;
    for (size_t i = 0; i < c->inv.pairs.n && rc == TW_OK; i++) {
        const struct pair *p = pair_table_at(&c->inv.pairs, i);

        if (!p->scheduled)
            rc = store_pair_unscheduled(c->store, p->row.id, c->started_ns, err);
    }
    return rc;
}

static enum tw_rc settle_intervals(struct controller *c, struct tw_err *err)
{
    for (size_t i = 0; i < c->inv.pairs.n; i++) {
        struct pair *p = pair_table_at(&c->inv.pairs, i);

        if (!p->scheduled)
            continue;
        schedule_set_interval(p, INTERVAL_MAYBE);
        pair_interval_set(p);
    }
    return commit(c, close_intervals, NULL, err);
}

enum tw_rc load_all(struct controller *c, struct tw_err *err)
{
    struct load l = { c, err };
    enum tw_rc rc = store_each_agent(c->store, load_one_agent, &l, err);

    if (rc == TW_OK)
        rc = store_each_mesh(c->store, load_mesh, &l, err);
    if (rc == TW_OK)
        rc = store_each_pair(c->store, load_pair, &l, err);
    if (rc == TW_OK)
        rc = store_each_cursor(c->store, load_cursor, &l, err);
    if (rc == TW_OK)
        rc = store_last_generation(c->store, &c->inv.generation, err);
    if (rc == TW_OK)
        rc = adopt(c, err);
    if (rc == TW_OK)
        rc = settle_intervals(c, err);
    return rc == TW_OK ? absence_begin(c, err) : rc;
}
