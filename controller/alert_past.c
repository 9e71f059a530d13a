#include "controller/alert_past.h"
#include <stdlib.h>
#include <string.h>
#include "common/log.h"

#define WAIT_MAX 512 /* the engine asks again */
#define AT_ONCE 32   /* of one job: a report behind it waits less than a second */

struct asked {
    struct alert_want w;
    uint32_t flows;
    struct alert_past *v;
    size_t n, cap;
    struct tw_err err;
    enum tw_rc rc;
};
struct past_job {
    struct reader_job job; /* first */
    struct alert_pasts *owner;
    struct asked v[AT_ONCE];
    size_t n;
};
struct alert_pasts {
    struct alert_pasts_conf conf;
    struct alert_want waiting[WAIT_MAX]; /* a ring */
    size_t first, n, reading;
};

enum tw_rc alert_pasts_new(const struct alert_pasts_conf *c, struct alert_pasts **ret)
{
    struct alert_pasts *a = calloc(1, sizeof *a);

    if (!a)
        return TW_ENOMEM;
    a->conf = *c;
    *ret = a;
    return TW_OK;
}

void alert_pasts_free(struct alert_pasts *a)
{
    free(a);
}

bool alert_pasts_want(struct alert_pasts *a, const struct alert_want *w)
{
    if (a->n == WAIT_MAX)
        return false;
    a->waiting[(a->first + a->n++) % WAIT_MAX] = *w;
    return true;
}

size_t alert_pasts_waiting(const struct alert_pasts *a)
{
    return a->n + a->reading;
}

/* ---- Reader thread ---- */

static enum tw_rc take(void *ctx, const struct store_cell *c)
{
    struct asked *q = ctx;
    struct stats_view view;
    struct alert_facts f = {
        .start_ns = c->from_ns, .end_ns = c->until_ns, .period_ns = q->w.step_ns, .view = &view
    };

    if (c->merged->test_id)
        return TW_OK;
    if (q->n == q->cap) {
        size_t cap = 2 * q->cap + 64;
        struct alert_past *more = realloc(q->v, cap * sizeof *more);
        if (!more)
            return TW_ENOMEM;
        q->v = more;
        q->cap = cap;
    }
    stats_view(c->merged, &view);
    alert_past_of(&q->w.rule, &f, c->rows / q->flows, &q->v[q->n++]);
    return TW_OK;
}

static void read_one(struct asked *q, struct store_reader *db)
{
    const struct store_span span = { .pair_ids = &q->w.pair_id,
                                     .n_pairs = 1,
                                     .from_ns = q->w.from_ns,
                                     .to_ns = q->w.to_ns,
                                     .step_ns = q->w.step_ns,
                                     .raw_from_ns = INT64_MAX,
                                     .fn = take,
                                     .ctx = q };

    q->rc = store_read_span(db, &span, &q->err);
}

static void run(struct reader_job *job, struct store_reader *db)
{
    struct past_job *j = (struct past_job *)job;

    for (size_t i = 0; i < j->n; i++)
        read_one(&j->v[i], db);
}

/* ---- Loop thread ---- */

/* What cannot be read is taken for what was never there: rules begin anew, as they would without history. */
static void done(struct reader_job *job)
{
    struct past_job *j = (struct past_job *)job;
    struct alert_pasts *a = j->owner;

    a->reading = 0;
    for (size_t i = 0; i < j->n; i++) {
        struct asked *q = &j->v[i];
        if (q->rc)
            log_warn("the history that an alert rule stands on cannot be read", LOG_S("rule", q->w.rule.name),
                     LOG_S("error", q->err.text[0] ? q->err.text : tw_rc_name(q->rc)));
        a->conf.learn(a->conf.ctx, &q->w, q->v, q->rc ? 0 : q->n);
        free(q->v);
    }
    free(j);
    alert_pasts_go(a);
}

void alert_pasts_go(struct alert_pasts *a)
{
    size_t n = a->n < AT_ONCE ? a->n : AT_ONCE;
    struct past_job *j = n && !a->reading && *a->conf.readers ? calloc(1, sizeof *j) : NULL;

    if (!j)
        return;
    j->job = (struct reader_job){ .run = run, .done = done, .own = true };
    j->owner = a;
    for (; j->n < n; j->n++) {
        struct asked *q = &j->v[j->n];
        q->w = a->waiting[(a->first + j->n) % WAIT_MAX];
        q->flows = a->conf.flows(a->conf.ctx, q->w.pair_id);
    }
    if (reader_submit(*a->conf.readers, &j->job) != TW_OK) {
        free(j); /* they are busy, or end */
        return;
    }
    a->first = (a->first + n) % WAIT_MAX;
    a->n -= n;
    a->reading = n;
}
