#include "controller/absence.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/log.h"
#include "common/net/now.h"
#include "controller/writer.h"

#define REASON_MAX 200 /* octets kept of why a session was refused */

enum note { LOST, FOUND, REFUSES };

struct refused {
    uint64_t pair_id;
    char reason[REASON_MAX];
};
struct note_job {
    struct writer_job job; /* first */
    enum note note;
    char source[STORE_NAME_MAX];
    int64_t at_ns; /* last heard of, started, or now */
    size_t n;
    struct refused v[];
};

static enum tw_rc put_refusals(const struct note_job *n, struct store *s, struct tw_err *err)
{
    struct store_refusal *v = calloc(n->n + 1, sizeof *v);
    enum tw_rc rc;

    if (!v)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < n->n; i++)
        v[i] = (struct store_refusal){ .pair_id = n->v[i].pair_id, .reason = n->v[i].reason };
    rc = store_put_refusals(s, n->source, v, n->n, n->at_ns, err);
    free(v);
    return rc;
}

static enum tw_rc run_note(struct writer_job *j, struct store *s, struct tw_err *err)
{
    const struct note_job *n = (const struct note_job *)j;

    switch (n->note) {
    case LOST:
        return store_agent_lost(s, n->source, n->at_ns, err);
    case FOUND:
        return store_agent_found(s, n->source, n->at_ns, err);
    case REFUSES:
        break;
    }
    return put_refusals(n, s, err);
}

static void note_done(struct writer_job *j)
{
    if (j->rc != TW_OK && j->rc != TW_ECLOSED)
        log_error("why results are missing cannot be stored", LOG_S("agent", ((struct note_job *)j)->source),
                  LOG_S("error", j->err.text));
    free(j);
}

static struct note_job *new_note(enum note note, const struct agent *a, int64_t at_ns, size_t room)
{
    struct note_job *n = calloc(1, sizeof *n + room * sizeof n->v[0]);

    if (!n)
        return NULL;
    n->job = (struct writer_job){ .run = run_note, .done = note_done };
    n->note = note;
    n->at_ns = at_ns;
    snprintf(n->source, sizeof n->source, "%s", a->row.name);
    return n;
}

/* Without memory, or while the writer ends, the cause stays unknown. */
static bool submit(struct controller *c, struct note_job *n)
{
    if (!n || writer_submit(c->writer, &n->job) == TW_OK)
        return n != NULL;
    free(n);
    return false;
}

void absence_lost(struct controller *c, struct agent *a)
{
    if (!a->row.approved)
        return;
    a->found_started_ns = 0;
    submit(c, new_note(LOST, a, a->last_contact_ns, 0));
}

void absence_found(struct controller *c, struct agent *a, int64_t started_ns)
{
    if (a->found_started_ns != started_ns && submit(c, new_note(FOUND, a, started_ns, 0)))
        a->found_started_ns = started_ns;
}

void absence_acked(struct controller *c, struct agent *a)
{
    size_t n_refusals = a->ack ? a->ack->n_refusals : 0;
    struct note_job *n;

    if (!n_refusals && a->refuses_nothing)
        return;
    n = new_note(REFUSES, a, tw_wall_now().ns, n_refusals);
    for (size_t i = 0; n && i < n_refusals; i++) {
        const Tw__Refusal *r = a->ack->refusals[i];
        const struct pair *p = inventory_pair(&c->inv, r->pair_id);

        if (!p || pair_source(p) != a)
            continue;
        n->v[n->n].pair_id = r->pair_id;
        snprintf(n->v[n->n++].reason, REASON_MAX, "%s", r->reason);
    }
    a->refuses_nothing = submit(c, n) && !n_refusals;
}

enum tw_rc absence_begin(struct controller *c, struct tw_err *err)
{
    enum tw_rc rc;

    if (c->shared) /* they may be connected to another controller */
        return TW_OK;
    rc = store_begin(c->store, err);
    for (struct agent *a = c->inv.agents; a && !rc; a = a->hh.next)
        if (a->row.approved)
            rc = store_agent_lost(c->store, a->row.name, a->last_contact_ns, err);
    if (rc == TW_OK)
        return store_commit(c->store, err);
    store_rollback(c->store);
    return rc;
}
