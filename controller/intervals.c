#include "controller/intervals.h"

#include <stdlib.h>
#include <string.h>
#include "common/grow.h"
#include "common/log.h"
#include "common/net/now.h"
#include "controller/schedule.h"
#include "controller/writer.h"

#define COMPANY_NS (20 * TW_NS_PER_MS) /* how long the first waits for others */
#define MANY 8192                      /* enough company */

struct interval {
    uint64_t pair_id, generation;
    int64_t from_ns;
    struct store_expectation x; /* its rule is one of the job's */
};
struct open_job {
    struct writer_job job; /* first */
    struct rule_list rules;
    struct interval *v;
    size_t n, cap;
};
struct intervals {
    struct controller *c;
    struct open_job *waiting; /* NULL: nothing is */
    struct loop_timer due;
};

/* ---- With the writer ---- */

static void free_job(struct open_job *o)
{
    rule_list_free(&o->rules);
    free(o->v);
    free(o);
}

static enum tw_rc run_open(struct writer_job *j, struct store *s, struct tw_err *err)
{
    const struct open_job *o = (struct open_job *)j;
    enum tw_rc rc = TW_OK;

    for (size_t i = 0; rc == TW_OK && i < o->n; i++)
        rc = store_pair_scheduled(s, o->v[i].pair_id, o->v[i].generation, &o->v[i].x, o->v[i].from_ns, err);
    return rc;
}

static void open_done(struct writer_job *j)
{
    if (j->rc != TW_OK && j->rc != TW_ECLOSED)
        log_error("the times at which pairs are scheduled cannot be stored: their completeness will be wrong",
                  LOG_S("error", j->err.text));
    free_job((struct open_job *)j);
}

void intervals_flush(struct intervals *v)
{
    struct open_job *o = v->waiting;

    if (!o)
        return;
    v->waiting = NULL;
    loop_timer_cancel(v->c->loop, &v->due);
    o->job = (struct writer_job){ .run = run_open, .done = open_done };
    if (writer_submit(v->c->writer, &o->job) != TW_OK)
        free_job(o);
}

static void flush_due(struct loop_timer *t)
{
    intervals_flush(t->ctx);
}

/* ---- Collecting ---- */

static bool make_room(struct intervals *v)
{
    struct open_job *o = v->waiting;

    if (!o) {
        o = v->waiting = calloc(1, sizeof *o);
        if (o &&
            loop_timer_set(v->c->loop, &v->due, (struct tw_mono){ tw_mono_now().ns + COMPANY_NS }) != TW_OK) {
            free(o);
            o = v->waiting = NULL;
        }
    }
    return o && TW_GROW(&o->v, o->n, &o->cap, 64);
}

static bool take_rule(struct open_job *o, const struct pair *p, struct store_expectation *x)
{
    const struct class_times *t = p->times;
    const Tw__TimesRule *r;

    if (!t || !t->id)
        return true;
    r = rule_list_add(&o->rules, t) == TW_OK ? rule_list_find(&o->rules, t->id) : NULL;
    if (!r)
        return false;
    x->rule_id = t->id;
    x->rule = r->rule.data;
    x->rule_len = r->rule.len;
    x->spacing_ns = t->spacing_ns;
    x->exponential = t->exponential;
    x->slot = class_times_every(t) ? p->row.slot : 0;
    return true;
}

struct opening {
    struct intervals *v;
    struct agent *agent;
    int64_t now_ns;
};

/* Without memory it stays as it is: the next acknowledgement opens it. */
static void open_interval(void *ctx, uint32_t row)
{
    const struct opening *g = ctx;
    struct pair *p = pair_table_at(&g->v->c->inv.pairs, row);
    struct interval i = { .pair_id = p->row.id,
                          .generation = g->v->c->inv.generation,
                          .from_ns = g->now_ns,
                          .x = { .report_period_ns = p->report_period_ns, .flows = p->flows } };
    struct open_job *o;

    if (!p->scheduled || p->interval == INTERVAL_OPEN || pair_source(p) != g->agent || !make_room(g->v))
        return;
    o = g->v->waiting;
    if (!take_rule(o, p, &i.x))
        return;
    o->v[o->n++] = i;
    schedule_set_interval(p, INTERVAL_OPEN);
    pair_interval_set(p);
}

/* Agents that come and go acknowledge again and again: only what is not open yet is written. Mostly that is
 * what has just been altered, and the other pairs need not be looked at. */
void intervals_open(struct controller *c, struct agent *a)
{
    struct opening g = { c->intervals, a, tw_wall_now().ns };

    if (!a->unopened)
        return;
    for (size_t i = 0; i < a->journal.n; i++)
        open_interval(&g, a->journal.v[i].row);
    if (a->unopened)
        schedule_each_pair(&c->inv, a, open_interval, &g);
    if (g.v->waiting && g.v->waiting->n >= MANY)
        intervals_flush(g.v);
}

/* ---- Life ---- */

enum tw_rc intervals_new(struct controller *c, struct intervals **ret)
{
    struct intervals *v = calloc(1, sizeof *v);

    if (!v)
        return TW_ENOMEM;
    v->c = c;
    v->due = (struct loop_timer){ .fn = flush_due, .ctx = v };
    *ret = v;
    return TW_OK;
}

void intervals_free(struct intervals *v)
{
    if (!v)
        return;
    if (v->waiting) {
        loop_timer_cancel(v->c->loop, &v->due);
        free_job(v->waiting);
    }
    free(v);
}
