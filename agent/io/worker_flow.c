/* agent/io/worker_flow.c - the life of a session inside the worker: start, results, end. */
#include <stdlib.h>
#include "agent/io/worker_priv.h"

#define CLOSE_PATIENCE_NS TW_NS_PER_S

/* ---- The list of started flows ---- */

static void list_add(struct worker *w, struct flow *f)
{
    f->next = w->flows;
    if (f->next)
        f->next->prev = f;
    w->flows = f;
    w->count.sessions++;
}

static void list_remove(struct worker *w, struct flow *f)
{
    *(f->prev ? &f->prev->next : &w->flows) = f->next;
    if (f->next)
        f->next->prev = f->prev;
    f->prev = f->next = NULL;
    w->count.sessions--;
}

/* ---- Counters ---- */

/* Signed: what a session takes back is taken back here, too. It is counted after each of its calls, far more
 * often than anything moves by 2^31. */
static void add_difference(uint64_t *sum, uint64_t now, uint32_t *counted)
{
    *sum += (uint64_t)(int64_t)(int32_t)((uint32_t)now - *counted);
    *counted = (uint32_t)now;
}

void flow_count(struct worker *w, struct flow *f)
{
    struct session_totals t;

    if (f->self)
        return;
    session_totals(f->session, &t);
    add_difference(&w->count.probes_sent, t.sent, &f->counted.sent);
    add_difference(&w->count.probes_received, t.received, &f->counted.received);
    add_difference(&w->count.probes_lost, t.lost, &f->counted.lost);
    add_difference(&w->count.send_errors, t.send_errors, &f->counted.send_errors);
    add_difference(&w->count.auth_failed, t.auth_failed, &f->counted.auth_failed);
    add_difference(&w->count.summaries_lost, session_summaries_lost(f->session), &f->counted.summaries_lost);
    if (f->flight)
        flight_look(w, f);
}

/* ---- Results ---- */

static void wait_for_room(struct worker *w, struct flow *f)
{
    if (f->stuck)
        return;
    f->stuck = true;
    f->stuck_next = w->stuck;
    w->stuck = f;
    if (!w->retry.entry.slot)
        worker_set_timer(w, &w->retry, (struct tw_mono){ w->now.mono.ns + RESULT_RETRY_NS });
}

static void take_summaries(struct worker *w, struct flow *f)
{
    for (;;) {
        struct tw_summary *slot = sumring_slot(w->results);

        if (!slot) { /* the session keeps them meanwhile, and counts what it cannot keep */
            wait_for_room(w, f);
            return;
        }
        if (session_next_summary(f->session, w->now, slot) != TW_OK)
            return;
        hoststate_fill(w->host, slot);
        sumring_push(w->results);
        w->news = true;
    }
}

void flow_retry_results(struct worker *w, struct wtimer *t)
{
    struct flow *f = w->stuck, *next;

    (void)t;
    w->stuck = NULL;
    for (; f; f = next) {
        next = f->stuck_next;
        f->stuck = false;
        flow_settle(w, f);
    }
    if (w->stuck) /* a consumer that took only a part would not hear of the rest otherwise */
        w->news = true;
}

/* ---- Start and end ---- */

static void say_ended(struct worker *w, struct flow *f, enum tw_rc rc)
{
    struct ending e = { f, rc };

    ring_push(w->endings, &e); /* has room for every registered flow */
    w->news = true;
}

static void flow_end(struct worker *w, struct flow *f)
{
    timerq_cancel(&w->timers, &f->due.entry);
    list_remove(w, f);
    lane_detach(w, f);
    flight_flow_end(f);
    session_set_pool(f->session, NULL);
    say_ended(w, f, TW_OK);
}

/* The periods of all sessions end at the same instant. Closing them is left to each one's next probe if that
 * is not far away, or the probes due just then would have to wait for thousands of summaries. While the
 * result ring is full only the probes count; the retry timer sees to the rest. */
static struct tw_mono next_due(const struct worker *w, const struct flow *f)
{
    struct tw_mono due = session_next_due(f->session), probe = session_next_probe_due(f->session);

    if (f->stuck || probe.ns - CLOSE_PATIENCE_NS < due.ns)
        return probe;
    return due.ns < w->now.mono.ns ? w->now.mono : due;
}

void flow_rearm(struct worker *w, struct flow *f)
{
    struct tw_mono due = next_due(w, f);

    if (session_done(f->session) && !f->stuck) /* the end comes by way of the timer */
        due = w->now.mono;
    if (due.ns == TW_MONO_NEVER.ns)
        timerq_cancel(&w->timers, &f->due.entry);
    else if (!f->due.entry.slot || f->due.entry.due.ns != due.ns)
        worker_set_timer(w, &f->due, due);
}

void flow_settle(struct worker *w, struct flow *f)
{
    if (f->self) {
        selftest_settle(w, f);
        return;
    }
    take_summaries(w, f);
    flow_count(w, f);
    if (session_done(f->session) && !f->stuck)
        flow_end(w, f);
    else
        flow_rearm(w, f);
}

void flow_start(struct worker *w, struct flow *f)
{
    struct tw_err err = { 0 };
    enum tw_rc rc = lane_attach(w, f, &err);

    if (rc) {
        if (err.text[0] && (f->err = malloc(sizeof *f->err)))
            *f->err = err;
        say_ended(w, f, rc);
        return;
    }
    f->due.fn = flow_on_due;
    list_add(w, f);
    flight_flow_start(w, f);
    session_set_pool(f->session, &w->periods);
    flow_set_clock(w, f);
    flow_rearm(w, f);
    selftest_start(w);
}

void flow_stop(struct worker *w, struct flow *f)
{
    if (!f->peer) /* has ended, or never began */
        return;
    session_stop(f->session, w->now);
    flow_settle(w, f);
}
