/* agent/io/worker_clock.c - what a worker's answers and probes say of this host's clock. */
#include "agent/io/worker_priv.h"
#include "common/net/now.h"

static void tell(struct worker *w, const struct tw_clock_state *c, bool watch)
{
    pthread_mutex_lock(&w->clock_lock);
    w->clock_set = *c;
    w->clock_watch_set = watch;
    atomic_fetch_add(&w->clock_version, 1);
    pthread_mutex_unlock(&w->clock_lock);
}

void worker_set_clock(struct worker *w, const struct tw_clock_state *c)
{
    tell(w, c, false);
}

void worker_watch_clock(struct worker *w, const struct tw_clock_state *c)
{
    tell(w, c, true);
}

/* ---- The thread ---- */

void flow_set_clock(struct worker *w, struct flow *f)
{
    f->clock_number = w->clock_number;
    session_set_clock(f->session, &w->clock);
}

/* Reflectors at once. */
static void set_clock(struct worker *w, const struct tw_clock_state *c)
{
    w->clock = *c;
    if (w->clock_watch && w->now.mono.ns < w->clock_settled.ns)
        w->clock.synced = false;
    w->clock_number++;
    mirrors_set_clock(w);
    agreed_set_clock(w);
}

/* A step concerns every session now: what it has measured until here is of the time before. */
static void take_told(struct worker *w)
{
    struct tw_clock_state c;

    pthread_mutex_lock(&w->clock_lock);
    c = w->clock_set;
    w->clock_watch = w->clock_watch_set;
    pthread_mutex_unlock(&w->clock_lock);
    w->now = tw_now(); /* the lock may have taken its time */
    if (w->clock_watch && w->clock_number && c.steps > w->clock.steps)
        w->clock_settled.ns = w->now.mono.ns + CLKSTATE_SETTLE_NS;
    w->clock_looked = w->now.mono;
    set_clock(w, &c);
    for (struct flow *f = w->flows; f; f = f->next) {
        flow_set_clock(w, f);
        flow_rearm(w, f);
    }
}

/* The maximum error has grown, or a daemon has renewed it. Sessions are told with their next probe: of
 * thousands, few send in the same moment. */
static void look(struct worker *w)
{
    struct clkstate c;

    tw_clock_read(&c);
    w->clock_looked = w->now.mono;
    c.state.steps = w->clock.steps;
    set_clock(w, &c.state);
}

void clock_apply(struct worker *w)
{
    unsigned version = atomic_load_explicit(&w->clock_version, memory_order_acquire);

    if (version != w->clock_seen) {
        w->clock_seen = version;
        take_told(w);
    } else if (w->clock_watch && w->now.mono.ns - w->clock_looked.ns >= CLKSTATE_GOOD_NS) {
        look(w);
    }
}
