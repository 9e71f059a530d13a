/* agent/core/session_clock.c - the two clocks of a session: what is said of ours, and steps of the other's.
 */
#include "agent/core/session_priv.h"

#include <stdlib.h>

/* No clock is slewed faster than that for long: more is a step. */
#define DRIFT_PART 1000

/* A summary tells the worst of its span: a clock that lost its server and found it again was lost. */
static void worsen(struct tw_clock_state *to, const struct tw_clock_state *c)
{
    to->synced = to->synced && c->synced;
    if (c->max_error_ns > to->max_error_ns)
        to->max_error_ns = c->max_error_ns;
    to->steps = c->steps;
}

void session_set_clock(struct session *s, const struct tw_clock_state *c)
{
    struct period *p = session_current(s);

    if (s->clock_told && c->steps > s->clock.steps)
        s->steps_told += c->steps - s->clock.steps;
    if (p && !p->ended && s->clock_told)
        worsen(&p->sum.clock_local, c);
    else if (p && !s->clock_told)
        p->sum.clock_local = *c;
    s->clock_told = true;
    s->clock = *c;
    s->err_est = tw_errest_encode(c->max_error_ns, c->synced, false);
    session_count_steps(s);
}

/* The other clock minus ours lies within half a round trip of half the difference of both ways, whatever the
 * ways are like. Two such spans that do not meet, though ours was not stepped in between, show a step of the
 * other. */
void session_watch_remote(struct session *s, const struct slot *p, struct tw_summary *sum, int64_t forward,
                          int64_t backward)
{
    struct remote_clock *last = &s->remote;
    struct remote_clock now = { .seen = true,
                                .offset_ns = forward / 2 - backward / 2,
                                .within_ns = (forward + backward) / 2,
                                .mono_ns = p->t1_mono.ns,
                                .ours_ns = p->t1_wall.ns - p->t1_mono.ns };
    int64_t may = now.within_ns + last->within_ns + SKEW_NS + llabs(now.mono_ns - last->mono_ns) / DRIFT_PART;

    if (sum && last->seen && llabs(now.ours_ns - last->ours_ns) <= SKEW_NS &&
        sum->clock_remote.steps < UINT32_MAX)
        sum->clock_remote.steps += llabs(now.offset_ns - last->offset_ns) > may;
    *last = now;
}
