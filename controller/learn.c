#include "controller/learn.h"
#include <stdlib.h>
#include <string.h>
#include "common/grow.h"
#include "common/log.h"
#include "common/net/now.h"
#include "controller/ingest.h"
#include "controller/writer.h"

#define LOOK_AGAIN_NS (250 * TW_NS_PER_MS) /* for who came while somebody else's time ran */

struct spool {
    int64_t agent_id;
    uint8_t id[STORE_ID_LEN];
    struct store_cursor at; /* of the answer */
};

struct question {
    struct writer_job job; /* first */
    struct learn *l;
    struct spool *spools;
    size_t n;
};

struct learn {
    struct controller *c;
    struct spool *waiting; /* for the next question */
    size_t n, cap;
    uint64_t asked, answered; /* questions, in order; the one under way is `asked` */
    size_t under_way;         /* spools in that one; 0: none is */
    struct loop_timer patience;
    struct learn_counters counters;
};

/* ---- Asking, writer's thread ---- */

static enum tw_rc run(struct writer_job *j, struct store *s, struct tw_err *err)
{
    struct question *q = (struct question *)j;
    int64_t *agents = calloc(q->n, sizeof *agents);
    enum tw_rc rc;

    if (!agents)
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    for (size_t i = 0; i < q->n; i++)
        agents[i] = q->spools[i].agent_id;
    rc = store_learn_cursors(s, agents, q->n, err);
    free(agents);
    for (size_t i = 0; i < q->n && !rc; i++)
        rc = store_full_cursor(s, q->spools[i].agent_id, q->spools[i].id, &q->spools[i].at, err);
    return rc;
}

/* ---- Answers ---- */

static void ask(struct learn *l);

static void take(struct learn *l, const struct spool *s)
{
    struct ingest *in = l->c->ingest;

    if ((!s->at.through && !s->at.ahead.n) || !inventory_agent_by_id(&l->c->inv, s->agent_id))
        return;
    if (ingest_set_cursor(in, s->agent_id, s->id, &s->at) != TW_OK)
        log_error("no memory for a spool's cursor: its agent sends again what is stored");
}

static void done(struct writer_job *j)
{
    struct question *q = (struct question *)j;
    struct learn *l = q->l;

    if (j->rc == TW_OK)
        for (size_t i = 0; i < q->n; i++)
            take(l, &q->spools[i]);
    else if (j->rc != TW_ECLOSED)
        log_warn("how far agents' spools are stored cannot be read back: they send again what is stored",
                 LOG_U("agents", q->n), LOG_S("reason", j->err.text));
    free(q->spools);
    free(q);
    l->under_way = 0;
    l->answered = l->asked;
    if (!l->c->fleet)
        return; /* nobody waits any more, and the writer ends */
    rpc_server_ask_again(l->c->fleet);
    ask(l);
}

/* One question at a time; the others gather meanwhile. */
static void ask(struct learn *l)
{
    struct question *q;

    if (l->under_way || !l->n)
        return;
    q = calloc(1, sizeof *q);
    if (!q)
        return; /* their time runs */
    *q = (struct question){ .l = l,
                            .spools = l->waiting,
                            .n = l->n,
                            .job = { .run = run, .done = done, .urgent = true, .history = true } };
    l->waiting = NULL;
    l->n = l->cap = 0;
    l->asked++;
    l->under_way = q->n;
    l->counters.spools += q->n;
    (void)writer_submit(l->c->writer, &q->job); /* one without rows is always taken */
}

/* ---- Agents ---- */

static void on_patience(struct loop_timer *t)
{
    struct learn *l = t->ctx;

    if (!l->under_way && !l->n)
        return;
    ask(l);
    if (l->c->fleet)
        rpc_server_ask_again(l->c->fleet);
    if (loop_timer_set(l->c->loop, t, (struct tw_mono){ tw_mono_now().ns + LOOK_AGAIN_NS }) != TW_OK)
        log_error("no memory for a timer: agents that come wait for the history");
}

static bool gather(struct learn *l, int64_t agent_id, const uint8_t *spool_id)
{
    if (!TW_GROW(&l->waiting, l->n, &l->cap, 64))
        return false;
    l->waiting[l->n] = (struct spool){ .agent_id = agent_id };
    memcpy(l->waiting[l->n++].id, spool_id, STORE_ID_LEN);
    return true;
}

/* Its connection begins. False: no memory. */
static bool begin(struct learn *l, struct agent *a, const struct rpc_hello *h, struct tw_mono now)
{
    bool first = !l->under_way && !l->n;

    if (!gather(l, a->row.id, h->spool_id))
        return false;
    a->learn_number = l->asked + 1;
    a->learn_by_ns = now.ns + LEARN_WAIT_NS;
    if (!first)
        return true;
    return loop_timer_set(l->c->loop, &l->patience, (struct tw_mono){ now.ns + LEARN_WAIT_NS }) == TW_OK;
}

bool learn_is_over(struct learn *l, struct agent *a, const struct rpc_hello *h)
{
    struct tw_mono now = tw_mono_now();

    if (!l->c->shared || !a->row.id)
        return true;
    if (!h->again) {
        bool waits = begin(l, a, h, now);

        ask(l);
        return !waits;
    }
    if (l->answered >= a->learn_number)
        return true;
    l->counters.late += now.ns >= a->learn_by_ns;
    return now.ns >= a->learn_by_ns;
}

void learn_counters(const struct learn *l, struct learn_counters *ret)
{
    *ret = l->counters;
    ret->questions = l->asked;
    ret->waiting = l->n + l->under_way;
}

enum tw_rc learn_new(struct controller *c, struct learn **ret)
{
    struct learn *l = calloc(1, sizeof *l);

    if (!l)
        return TW_ENOMEM;
    l->c = c;
    l->patience = (struct loop_timer){ .fn = on_patience, .ctx = l };
    *ret = l;
    return TW_OK;
}

void learn_free(struct learn *l)
{
    if (!l)
        return;
    loop_timer_cancel(l->c->loop, &l->patience);
    free(l->waiting);
    free(l);
}
