/* controller/doctor.c - the runs and their stages; see doctor.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/net/now.h"
#include "common/selector.h"
#include "controller/doctor_run.h"

#define KEEP_NS (120 * TW_NS_PER_S) /* an ended run, for whoever asks */
#define SETTLE_NS (4 * TW_NS_PER_S) /* that an agent is given to take a new schedule over */
#define TICK_NS (500 * TW_NS_PER_MS)
#define LONGEST_NS (120 * TW_NS_PER_S)
#define KEPT_RUNS 16u

static void free_run(struct run *r)
{
    struct way *w, *next;
    struct member *m, *next_m;

    HASH_ITER(hh, r->ways, w, next)
    {
        HASH_DEL(r->ways, w);
        free(w->probe);
        free(w);
    }
    HASH_ITER(hh, r->members, m, next_m)
    {
        HASH_DEL(r->members, m);
        free(m);
    }
    free(r->list);
    free(r->cannot_diagnose);
    selector_free(r->query.selector);
    findings_free(&r->findings);
    free(r);
}

static void finish(struct run *r)
{
    r->ended_ns = tw_mono_now().ns;
    if (!r->info.stopped && run_examine(r) != TW_OK)
        r->findings.lost++;
    r->info.over = true;
}

void run_advance(struct run *r)
{
    int64_t age = tw_mono_now().ns - r->began_ns;

    if (r->d->stopped || r->info.over)
        return;
    if (!r->info.stopped && age < LONGEST_NS)
        run_probe_more(r);
    if (r->running || r->info.over)
        return;
    if (!r->info.stopped && (!r->audited || (age < SETTLE_NS && run_is_unsettled(r))))
        return; /* the timer, or the audit, comes back to it */
    finish(r);
}

static bool is_forgotten(const struct run *r, int64_t now_ns)
{
    return r->info.over && !r->open && now_ns - r->ended_ns > KEEP_NS;
}

static void on_timer(struct loop_timer *t)
{
    struct doctor *d = t->ctx;
    int64_t now = tw_mono_now().ns;

    for (struct run **at = &d->runs; *at;) {
        struct run *r = *at;
        run_advance(r);
        if (is_forgotten(r, now)) {
            *at = r->next;
            free_run(r);
        } else {
            at = &r->next;
        }
    }
    if (d->runs)
        loop_timer_set(d->c->loop, t, (struct tw_mono){ now + TICK_NS });
}

static void on_audit(void *ctx, enum tw_rc rc, const struct clocks_result *result)
{
    struct run *r = ctx;

    (void)rc; /* then the last audit counts, which stands with each agent */
    (void)result;
    r->open--;
    r->audited = true;
    run_advance(r);
}

static size_t count_runs(const struct doctor *d, bool all)
{
    size_t n = 0;

    for (const struct run *r = d->runs; r; r = r->next)
        n += all || !r->info.over;
    return n;
}

/* The one that ended first makes room. */
static void drop_oldest(struct doctor *d)
{
    struct run **oldest = NULL;

    for (struct run **at = &d->runs; *at; at = &(*at)->next)
        if ((*at)->info.over && !(*at)->open && (!oldest || (*at)->ended_ns < (*oldest)->ended_ns))
            oldest = at;
    if (oldest) {
        struct run *r = *oldest;
        *oldest = r->next;
        free_run(r);
    }
}

static enum tw_rc new_run(struct doctor *d, struct doctor_query *q, struct run **ret, struct tw_err *err)
{
    struct run *r = calloc(1, sizeof *r);
    enum tw_rc rc;

    if (!r) {
        selector_free(q->selector);
        return tw_err_set(err, TW_ENOMEM, "out of memory");
    }
    r->d = d;
    r->query = *q;
    r->began_ns = tw_mono_now().ns;
    rc = run_select(r, err);
    if (rc == TW_OK && (rc = run_choose(r)) != TW_OK)
        tw_err_set(err, rc, "out of memory");
    if (rc != TW_OK) {
        free_run(r);
        return rc;
    }
    *ret = r;
    return TW_OK;
}

enum tw_rc doctor_start(struct doctor *d, struct doctor_query *q, uint64_t *ret_id, struct tw_err *err)
{
    struct run *r = NULL;
    enum tw_rc rc;

    if (count_runs(d, false) >= DOCTOR_RUNS) {
        selector_free(q->selector);
        return tw_err_set(err, TW_EBUSY, "%u doctors are at work already: try again in a few seconds",
                          DOCTOR_RUNS);
    }
    if (count_runs(d, true) >= KEPT_RUNS)
        drop_oldest(d);
    rc = new_run(d, q, &r, err);
    if (rc != TW_OK)
        return rc;
    r->info.id = *ret_id = ++d->last_id;
    r->next = d->runs;
    d->runs = r;
    r->open++;
    loop_timer_set(d->c->loop, &d->timer, (struct tw_mono){ tw_mono_now().ns + TICK_NS });
    clocks_ask(d->c->clocks, on_audit, r);
    run_advance(r);
    return TW_OK;
}

static struct run *find(struct doctor *d, uint64_t id)
{
    struct run *r = d->runs;

    while (r && r->info.id != id)
        r = r->next;
    return r;
}

enum tw_rc doctor_look(struct doctor *d, uint64_t id, struct doctor_run_info *ret)
{
    struct run *r = find(d, id);

    if (!r)
        return TW_ENOENT;
    r->info.elapsed_ns = (r->info.over ? r->ended_ns : tw_mono_now().ns) - r->began_ns;
    r->info.findings = &r->findings;
    *ret = r->info;
    return TW_OK;
}

enum tw_rc doctor_cancel(struct doctor *d, uint64_t id)
{
    struct run *r = find(d, id);

    if (!r)
        return TW_ENOENT;
    if (!r->info.over)
        r->info.stopped = true;
    run_advance(r);
    return TW_OK;
}

/* ---- Life ---- */

enum tw_rc doctor_new(struct controller *c, struct doctor **ret)
{
    struct doctor *d = calloc(1, sizeof *d);

    if (!d)
        return TW_ENOMEM;
    d->c = c;
    d->timer = (struct loop_timer){ .fn = on_timer, .ctx = d };
    if (doctor_count_start(d) != TW_OK) {
        free(d);
        return TW_ENOMEM;
    }
    *ret = d;
    return TW_OK;
}

void doctor_stop(struct doctor *d)
{
    if (!d)
        return;
    d->stopped = true;
    loop_timer_cancel(d->c->loop, &d->timer);
    loop_timer_cancel(d->c->loop, &d->minute);
}

void doctor_free(struct doctor *d)
{
    if (!d)
        return;
    loop_timer_cancel(d->c->loop, &d->timer);
    loop_timer_cancel(d->c->loop, &d->minute);
    while (d->runs) {
        struct run *r = d->runs;
        d->runs = r->next;
        free_run(r);
    }
    free(d);
}
