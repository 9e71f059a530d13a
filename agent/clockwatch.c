/* agent/clockwatch.c - see clockwatch.h. */
#include "agent/clockwatch.h"

#include <stdlib.h>
#include "common/log.h"
#include "common/net/now.h"

#define PERIOD_NS (1 * TW_NS_PER_S)
#define STEP_NS \
    (50 * TW_NS_PER_MS) /* more than slewing (500 ppm) can do between two looks, less than matters */

static void look(struct clockwatch *c)
{
    struct tw_now now = tw_now();
    int64_t offset = now.wall.ns - now.mono.ns, jump = offset - c->offset_ns;
    uint32_t steps = c->state.steps;

    tw_clock_read(&c->state);
    c->state.steps = steps;
    if (llabs(jump) > STEP_NS) {
        c->state.steps++;
        log_warn("the wall clock was stepped", LOG_F("seconds", (double)jump / 1e9),
                 LOG_U("steps", c->state.steps));
    }
    c->offset_ns = offset;
    for (size_t i = 0; i < c->n_workers; i++)
        worker_set_clock(c->workers[i], &c->state);
}

static void on_timer(struct loop_timer *t)
{
    struct clockwatch *c = t->ctx;

    look(c);
    loop_timer_set(c->loop, t, (struct tw_mono){ tw_mono_now().ns + PERIOD_NS });
}

void clockwatch_start(struct clockwatch *c, struct loop *loop, struct worker **workers, size_t n_workers)
{
    struct tw_now now = tw_now();

    *c = (struct clockwatch){ .loop = loop,
                              .workers = workers,
                              .n_workers = n_workers,
                              .timer = { .fn = on_timer, .ctx = c },
                              .offset_ns = now.wall.ns - now.mono.ns };
    on_timer(&c->timer);
}

void clockwatch_stop(struct clockwatch *c)
{
    if (c->loop)
        loop_timer_cancel(c->loop, &c->timer);
}
